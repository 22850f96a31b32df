/* SPDX-License-Identifier: Apache-2.0 */
/*
 * product.h - several automata read the same text: which combinations of states are there, and by
 * what text?
 *
 * The base of all exact answers about policies (lint, diff, prove): two patterns overlap when their
 * product reaches a state where both accept; one covers the other when no reachable state accepts the
 * second alone.  Witnesses are shortest and, among those, made of the plainest letters.
 */
#pragma once

#include "policy/compile.h"

/* Tables in the form of the image (bpf/abi.h), wherever they lie. */
struct automaton {
	const struct osh_img_state *states;
	const struct osh_img_cell *cells;
	uint32_t start;
};

static inline struct automaton automaton_of_table(const struct table_dfa *t)
{
	return (struct automaton){t->states, t->cells, t->start};
}

/* One combination, reached for the first time.  state[i] is the state of automaton i (0: dead),
 * accept[i] its accept value; text led there.  0: go on; > 0: stop, product_walk() returns it;
 * negative: error, likewise. */
typedef int (*product_visit)(void *ctx, const uint32_t *state, const uint32_t *accept,
			     struct slice text);

struct product_limits {
	size_t combinations; /* -E2BIG beyond: no answer rather than a wrong one */
};
#define PRODUCT_LIMITS_DEFAULT ((struct product_limits){.combinations = 4u << 20})

/*
 * Breadth first over the combinations of n automata.  The first `required` of them must stay alive
 * (state not 0): a combination in which one of them is dead is neither visited nor followed.
 * alphabet: the bytes that texts are made of; NULL: all 256.
 * 0: all visited; > 0: what a visit returned; -E2BIG, -ENOMEM, or a visit's error.
 */
int product_walk(const struct automaton *a, size_t n, size_t required, const struct byteset *alphabet,
		 const struct product_limits *limits, product_visit visit, void *ctx);

/* ------------------------------------------------------------- small automata from patterns -- */

enum lang_kind {
	LANG_PATH,    /* globs over request paths and binary paths */
	LANG_QUERY,   /* globs over query values */
	LANG_REQUEST, /* "METHOD SP path-glob": what the L7 automaton reads; method empty: any */
};

struct lang_pattern {
	struct slice method; /* LANG_REQUEST only */
	struct slice glob;   /* n == 0: everything */
};

/* Accept value of a state: 1 + the lowest index of a pattern that matches, 0 none.  The patterns must
 * have passed the policy's check.  0, -ENOMEM or -E2BIG.  table_dfa_done() frees. */
int lang_compile(enum lang_kind kind, const struct lang_pattern *v, size_t n, struct table_dfa *ret);

/* Exactly the paths that canonical_target() can give (policy.h); slash: with %2F kept. */
int lang_canonical_path(bool slash, struct table_dfa *ret);
/* The same behind "METHOD SP". */
int lang_canonical_request(bool slash, struct table_dfa *ret);
/* Absolute paths as the kernel reports them: no empty, "." or ".." segment, below OSH_PATH_MAX bytes
 * (the length is not in the automaton: longer witnesses are the caller's to refuse). */
int lang_file_path(struct table_dfa *ret);
void table_dfa_done(struct table_dfa *t);
