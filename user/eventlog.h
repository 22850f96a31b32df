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
/* A line that stands for count events, of which it names the last. */
struct summary {
	uint64_t count;
	uint64_t since_ns; /* boot clock: the first */
};
void eventlog_connect(struct eventlog *l, const struct osh_event *e, const struct summary *sum);
void eventlog_request(struct eventlog *l, const struct wire_event *e, const struct summary *sum);
void eventlog_count(struct eventlog *l, const char *message, const char *key, uint64_t n);
/* Losses by kind between two moments of the boot clock; kinds without any are left out. */
void eventlog_lost(struct eventlog *l, const char *message, const char *const *names, const uint64_t *counts, size_t n,
		   uint64_t since_ns, uint64_t until_ns);
void eventlog_revoked(struct eventlog *l, const struct osh_flow *f, uint64_t gen);
/* A line of the supervisor's own; fields: NULL-terminated pairs of key and value. */
void eventlog_note(struct eventlog *l, enum log_level level, const char *kind, const char *message, ...)
	__attribute__((sentinel));
