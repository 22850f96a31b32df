/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eventlog.h - events of the kernel programs and of the proxy, as log records.
 *
 * Both kinds are structures of fixed size whose lengths were checked by the caller; their strings may hold any bytes,
 * log.c makes them safe.
 */
#pragma once

#include "proxy/wire.h"
#include "user/kernel.h"
#include "user/log.h"

struct eventlog {
	struct log *log;
	struct kernel *kernel;
	/* Image of a generation, or NULL when it is gone. */
	const struct image *(*image)(void *arg, uint64_t gen);
	void *arg;
	int64_t boot_to_wall; /* ns */
};

void eventlog_clock(struct eventlog *l); /* before a batch: offset of the wall clock */
void eventlog_connect(struct eventlog *l, const struct osh_event *e);
void eventlog_request(struct eventlog *l, const struct wire_event *e);
void eventlog_revoked(struct eventlog *l, const struct osh_flow *f, uint64_t gen);
/* A line of the supervisor's own; fields: NULL-terminated pairs of key and value. */
void eventlog_note(struct eventlog *l, enum log_level level, const char *kind, const char *message, ...)
	__attribute__((sentinel));
