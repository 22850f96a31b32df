/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock.h - the second lock on files, and the first on abstract Unix sockets and signals.
 */
#pragma once

#include "user/mounts.h"

struct landlock_ruleset {
	int fd;	 /* -1: no Landlock here, and the policy accepts that */
	int abi; /* 0: none */
};

/* Version of Landlock that the running kernel offers; 0: none. */
int landlock_abi(void);

/* Inside the new root and still as root (so that every mount can be opened): the rules of the plan.
 * -EOPNOTSUPP: no Landlock, and the policy says hard_requirement. */
int landlock_prepare(const struct launch_plan *p, const struct warner *w,
		     struct landlock_ruleset *ret, char **ret_error);

/* Locks this process in, for good, and closes the ruleset.  Needs no_new_privs. */
int landlock_enforce(struct landlock_ruleset *ruleset);
