/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest_log.h - denials out of a sandbox's log.
 *
 * The log is the supervisor's, but names, paths and methods in it are the agent's words: every field
 * is bounded and checked for its shape, and what is odd is passed over and counted.
 */
#pragma once

#include "policy/arena.h"
#include "policy/suggest.h"

#define DENIALS_MAX 1000 /* distinct ones; more are only counted */

struct denials {
	struct denial *v;
	size_t n, cap;
	uint64_t dropped; /* beyond DENIALS_MAX */
	uint64_t odd;	  /* lines that are not as the supervisor writes them */
	struct arena arena;
	struct hmap map;
};

/* Takes what a stored line (one JSON object) says was denied, or let through by audit; others are
 * passed over.  0 or -ENOMEM. */
int denials_add_line(struct denials *d, struct slice line);
void denials_done(struct denials *d);
