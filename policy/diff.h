/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.h - what does another policy allow and deny that this one does not?  By meaning: over all callers,
 * destinations and requests that either policy can tell apart (policy/space.h), exactly.
 *
 * A difference is shown once for each pair of lines that decide on the two sides, with a witness that
 * the ordinary decision functions of both images decide so.
 */
#pragma once

#include "policy/witness.h"

#define DIFF_ITEMS_MAX 1000 /* differences shown; then `more` */

enum diff_how {
	DIFF_ALLOWED,	/* passes now */
	DIFF_DENIED,	/* passes no more */
	DIFF_TREATMENT, /* a connection is inspected now, or no more, or otherwise relayed */
	DIFF_MODE,	/* passes on both sides, on one only because of audit mode */
	DIFF_ADDRESS,	/* what a name may resolve to */
};

struct diff_item {
	enum diff_how how;
	struct decided side[2];
	bool admits[2]; /* DIFF_ADDRESS: the witness's address */
	struct witness w;
	char **also;  /* other executables that this is so for; NULL-terminated or NULL */
	size_t nalso; /* how many there are; `also` holds the first */
};

struct diff {
	struct diff_item *v;
	size_t n, cap;
	size_t more; /* destinations that differ and were not looked at one by one */
};
void diff_done(struct diff *d);

/* 0 (also when nothing differs), -E2BIG: too complex for an exact answer, -ENOMEM, -EINVAL: a
 * difference that the ordinary functions do not bear out (a flaw here; never an answer). */
int policy_diff(const struct image *before, const struct image *after, struct diff *ret);

/* ------------------------------------------------------------------------ static sections -- */

struct diff_static {
	const char *field; /* "filesystem_policy.read_only" */
	const char *before, *after; /* a list: the path on the side that has it, NULL on the other; what is
				       left out: its default.  Belong to the policies. */
};
/* malloced; 0 or -ENOMEM. */
int policy_diff_static(const struct policy_static *before, const struct policy_static *after,
		       struct diff_static **ret, size_t *ret_n);
