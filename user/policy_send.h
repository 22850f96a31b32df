/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_send.h - a policy for a running sandbox: fetch the one in force, send another.  What `reload`,
 * `policy set` and `policy update` share.
 */
#pragma once

#include "policy/base.h"

struct policy_send_options {
	const char *sandbox;
	const char *path;  /* of the file, "-": standard input; NULL: text */
	struct slice text; /* when path is NULL */
	const char *label; /* what the revision says about where it came from, e.g. the file's name */
	uint64_t base;	   /* refuse when another revision is in force by now; 0: do not look */
	bool wait;	   /* return when it is loaded or failed; else when it is accepted */
	uint32_t timeout_s;
};

/* Checks and compiles here (errors are printed with line and column), sends, prints the answer.
 * Returns the exit status: 0, 1 refused, 124 timed out. */
int policy_send(const struct policy_send_options *o);

/* The text of a revision exactly as it was set, malloced and NUL-terminated; rev 0: the one in force.
 * -ENOENT: no such sandbox or revision. */
int policy_fetch(const char *sandbox, uint64_t rev, char **ret_text, size_t *ret_n, uint64_t *ret_rev);
