/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.h - the globs of the policy language.
 *
 *   *      within one segment
 *   **     across '/'; between slashes any number of segments, none included
 *   ?      one character
 *   [abc]  one of them, also [a-z]; [!a] any other
 *   {a,b}  either
 *
 * One reader checks the syntax and enters the pattern into an automaton.
 */
#pragma once

#include "policy/nfa.h"

/* What a character is depends on where the pattern is used. */
enum glob_kind {
	GLOB_BINARY, /* bytes of a path; a character is a byte or a UTF-8 sequence */
	GLOB_PATH,   /* a canonical request path; what that writes as %XX may be written raw, as
			UTF-8 or as %xx in the pattern, and is one character */
	GLOB_QUERY,  /* decoded bytes; '/' is nothing special, one star is as good as two */
};

#define GLOB_MAX 4096	      /* bytes of a pattern */
#define GLOB_ALTERNATIVES 256 /* patterns that the braces of one pattern may multiply to */
#define GLOB_WORK_MAX (256u << 20) /* bytes that those of all patterns may have, and 64 for each */

/* Enters the pattern below `from` and tags its end.  nfa NULL: only checks.  Returns 0, -ENOMEM, or
 * -EINVAL with the reason in why (a sentence about the pattern, without it). */
int glob_add(struct nfa *nfa, uint32_t from, struct slice pattern, enum glob_kind kind,
	     uint32_t tag, char *why, size_t why_n);

/* Only checks, for a policy with many patterns: *work counts what their braces multiply to, and what
 * is beyond GLOB_WORK_MAX in all is refused. */
int glob_check(struct slice pattern, enum glob_kind kind, uint64_t *work, char *why, size_t why_n);

/* Has the pattern any glob character? */
bool glob_is_pattern(struct slice s);
/* Is it two stars, or those behind a slash: every path. */
bool glob_matches_all(struct slice s);
