/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match.h - which of many patterns does one text match?
 *
 * For explanations, where a question is asked once: the patterns are walked as they stand (policy/nfa.h), without the
 * automaton that answers the same question a million times over.  Costs the text times the patterns still alive.
 */
#pragma once

#include "policy/glob.h"

/* Called for each tag whose pattern matches the whole text, possibly more than once. */
typedef void (*match_hit)(void *ctx, uint32_t tag);

/* *ret_alive, when asked for: how many bytes of text some pattern could begin with.  0, -ENOMEM, or -E2BIG when the
 * patterns were too many to be held (nfa_status()). */
int match_run(const struct nfa *a, uint32_t root, struct slice text, match_hit hit, void *ctx, size_t *ret_alive);

/* One glob.  1: matches, 0: does not (a pattern that is none matches nothing), or -ENOMEM. */
int match_glob(struct slice glob, enum glob_kind kind, struct slice text, size_t *ret_alive);

/* A copy of the glob in which every single star is two, malloced: what matches this one alone has a '/' too many.
 * NULL: it has no star, or memory is short. */
char *match_widened(struct slice glob);
