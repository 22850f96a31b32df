/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paths.h - forgets executables' paths that nobody has any more, and names them for the log a while longer.
 */
#pragma once

#include "policy/policy.h"

/* What the collector works on; nothing is owned. */
struct path_tables {
	int procs, paths, path_ids, images; /* descriptors of the maps */
	const volatile uint64_t *current;
	const __u64 *last_id; /* the kernel's */
	__u32 *round;	 /* this file's, read by the kernel */
};

/* Ids that may go, of which those that are in use get marked. */
struct path_marks;
void path_marks_add(struct path_marks *m, const struct osh_ident *id);

/* The texts of the last ids that were taken out of the table. */
struct paths_gone;
struct paths_gone *paths_gone_free(struct paths_gone *g);
const char *paths_gone_text(const struct paths_gone *g, uint32_t id); /* NULL: not among them; until the next collection */

/* One collection: what the one before has hidden and nobody has now goes; what nobody has now is hidden.  mark adds what
 * connections have; if it returns < 0 nothing goes.  *gone is made on first use.  Waits for a grace period.  0 or -errno,
 * after which the tables are as good as before. */
int paths_collect(const struct path_tables *t, int (*mark)(void *arg, struct path_marks *m), void *arg,
		  struct paths_gone **gone);
