/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts.h - the first wall: a mount namespace in which only the plan's files are.
 */
#pragma once

#include "user/plan.h"

/* What could not be done but need not end the start: for INIT_WARNING. */
struct warner {
	void (*warn)(void *userdata, const char *text);
	void *userdata;
};
__attribute__((format(printf, 2, 3))) void warner_say(const struct warner *w, const char *fmt, ...);

/*
 * As root: leaves the host's mount and IPC namespaces for private ones, builds the plan's tree,
 * makes it the root directory and lets go of the host's.  trust_fd: the PEM bundle.  On failure the
 * process must end: it may stand anywhere between the two trees. *ret_error: message for people
 * (may be NULL).
 */
int mounts_build(const struct launch_plan *p, int trust_fd, const struct warner *w,
		 char **ret_error);

/* The host's nsswitch.conf with a `hosts: files dns` line, everything else kept.  malloced. */
char *nsswitch_with_dns(const char *text);
