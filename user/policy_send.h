/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_send.h - a policy for a running sandbox: fetch the one in force, send another.  What `reload`,
 * `policy set` and `policy update` share.
 */
#pragma once

#include "policy/base.h"

#define POLICY_SEND_REFUSED 1
#define POLICY_SEND_TIMEOUT 124
#define POLICY_TIMEOUT_DEFAULT_S 60
#define POLICY_TIMEOUT_MAX_S 3600

struct revisions;

struct policy_send_options {
	const char *sandbox;
	const char *path;  /* of the file, "-": standard input; NULL: text */
	struct slice text; /* when path is NULL */
	const char *label; /* what the revision says about where it came from; NULL: the file's name.  Not NULL with text */
	uint64_t base;	   /* refuse when another revision is in force by now; 0: do not look */
	bool wait;	   /* return when it is loaded or failed; else when it is accepted */
	uint32_t timeout_s;
	/* Set, and nothing printed, when it was refused only for another revision that came in between or is on its way;
	 * NULL: that is an error as any other. */
	bool *ret_again;
};

/* Checks and compiles here (errors are printed with line and column), sends, prints the answer.  What fails is on the
 * sandbox's record too.  Returns the exit status: 0, 1 refused (or in force, and what it does not admit is not all closed:
 * that is told), 124 timed out. */
int policy_send(const struct policy_send_options *o);

/* The text of a revision exactly as it was set, malloced and NUL-terminated; rev 0: the one in force (of the sandbox's
 * own, when a global policy is in force).  -ENOENT: no such sandbox or revision; -ENODATA: too old, its text is gone. */
int policy_fetch(const char *sandbox, uint64_t rev, char **ret_text, size_t *ret_n, uint64_t *ret_rev);

/* All revisions of a sandbox, running or not.  -ENOENT: no such sandbox. */
int policy_revisions(const char *sandbox, struct revisions *ret);

/* What is said to be pending failed when there is nobody any more who could load it.  sandbox NULL: the global policy,
 * where a pending one is being set. */
void policy_settle(const char *sandbox, struct revisions *r);
/* Of a running sandbox: the revision it was started with, and the global one in force; 0: none, or not known. */
void policy_standing(const char *sandbox, uint64_t *ret_first, uint64_t *ret_global);

/* --timeout S -> seconds; 0: told. */
uint32_t policy_timeout_option(const char *command, const char *value);
/* NAME, or the only sandbox that runs.  malloced; NULL: told, and *ret_status is the exit status. */
char *policy_sandbox_operand(const char *command, const char *given, int *ret_status);
/* "now" plus so many seconds, for ctl_reload. */
uint64_t policy_deadline(uint32_t timeout_s);
