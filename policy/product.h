/* SPDX-License-Identifier: Apache-2.0 */
/*
 * product.h - several automata read the same text: which combinations of states are there, and by
 * what text?
 *
 * The base of all exact answers about policies (lint, diff, prove): two patterns overlap when their
 * product reaches a state where both accept; one covers the other when no reachable state accepts
 * the second alone.  Witnesses are shortest and, among those, made of the plainest letters.
 */
#pragma once

#include "policy/compile.h"
#include "policy/image_view.h"

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

/* One of an image's automata, from any of its states on. */
static inline struct automaton automaton_of_image(const struct image *img,
						  const struct osh_img_dfa *d, uint32_t start)
{
	return (struct automaton){
		(const struct osh_img_state *)(const void *)(img->p + d->states_off),
		(const struct osh_img_cell *)(const void *)(img->p + d->cells_off), start};
}

static inline uint32_t automaton_step(const struct automaton *a, uint32_t s, uint8_t b)
{
	const struct osh_img_cell *c = &a->cells[a->states[s].base + b];

	return c->check == s ? c->next : a->states[s].def;
}

static inline uint32_t automaton_walk(const struct automaton *a, uint32_t s, struct slice in)
{
	for (size_t i = 0; s && i < in.n; i++)
		s = automaton_step(a, s, in.p[i]);
	return s;
}

/* One combination, reached for the first time.  state[i] is the state of automaton i (0: dead),
 * accept[i] its accept value; text led there.  0: go on; > 0: stop, product_walk() returns it;
 * negative: error, likewise. */
typedef int (*product_visit)(void *ctx, const uint32_t *state, const uint32_t *accept,
			     struct slice text);

struct product_limits {
	size_t combinations; /* -E2BIG beyond: no answer rather than a wrong one */
	size_t length;	     /* what only longer texts reach is not visited; 0: any length */
	bool numbers;	     /* texts are numbers (addresses): lowest bytes first, not plainest */
};
#define PRODUCT_LIMITS_DEFAULT ((struct product_limits){.combinations = 4u << 20})

/*
 * Breadth first over the combinations of n automata.  The first `required` of them must stay alive
 * (state not 0): a combination in which one of them is dead is neither visited nor followed.
 * alphabet: the bytes that texts are made of; NULL: all 256.
 * 0: all visited; > 0: what a visit returned; -E2BIG, -ENOMEM, or a visit's error.
 */
int product_walk(const struct automaton *a, size_t n, size_t required,
		 const struct byteset *alphabet, const struct product_limits *limits,
		 product_visit visit, void *ctx);

/* ------------------------------------------------------------- small automata (lang.c) -- */

enum lang_kind {
	LANG_PATH,    /* globs over request paths */
	LANG_BINARY,  /* globs over paths of programs */
	LANG_QUERY,   /* globs over query values */
	LANG_REQUEST, /* "METHOD SP path-glob": what the L7 automaton reads; method empty: any.  A
			 policy's rule for GET covers HEAD too: that is a second pattern here */
};

struct lang_pattern {
	struct slice method; /* LANG_REQUEST only */
	struct slice glob;   /* n == 0: everything */
};

/* The automaton below a root of the tree; accept value of a state: 1 + the lowest tag in it, 0 none.  reach: of the
 * nodes (nfa_reach()), what can only lead to higher tags is dropped; NULL: nothing is, as for a graph with cycles. */
int lang_from_nfa(const struct nfa *a, uint32_t root, const struct nfa_reach *reach, struct table_dfa *ret);

/* Accept value of a state: 1 + the lowest index of a pattern that matches, 0 none.  The patterns must
 * have passed the policy's check.  0, -ENOMEM or -E2BIG.  table_dfa_done() frees. */
int lang_compile(enum lang_kind kind, const struct lang_pattern *v, size_t n,
		 struct table_dfa *ret);

/* Exactly the paths that canonical_target() can give (policy.h), at any length; slash: with %2F
 * kept. */
int lang_canonical_path(bool slash, struct table_dfa *ret);
/* "METHOD SP": tokens (RFC 9110 section 5.6.2).  common: only GET, HEAD, POST, PUT, PATCH, DELETE and
 * OPTIONS, for witnesses that people know. */
int lang_method(bool common, struct table_dfa *ret);
/* A method and a canonical path, as the rules' automaton reads them. */
int lang_canonical_request(bool slash, bool common, struct table_dfa *ret);
/* Absolute paths as the kernel reports them: no empty, "." or ".." segment, below OSH_PATH_MAX bytes
 * (the length is not in the automaton: product_limits.length). */
int lang_file_path(struct table_dfa *ret);
/* Names that the resolver answers, lower case, in the form of the destination automaton: 'n' name 0x00.
 * Not in the automaton: at most HOST_MAX bytes, at most 63 in a label. */
int lang_host(struct table_dfa *ret);
/* Decoded query values (and names): no control bytes. */
int lang_query(struct table_dfa *ret);
