/* SPDX-License-Identifier: Apache-2.0 */
/* compile.h - what the three compilers (programs, destinations, requests) hand to the image writer.
 */
#pragma once

#include "policy/diag.h"
#include "policy/image.h"
#include "policy/model.h"
#include "policy/nfa.h"

/* A finished automaton: malloced tables, cells already in the image's form. */
struct table_dfa {
	struct osh_img_state *states;
	struct osh_img_cell *cells;
	size_t nstates, ncells;
	uint32_t start;
};

void table_dfa_done(struct table_dfa *t);

struct compiled {
	const char *what; /* what is being compiled, for messages: "hosts" */
	struct compile_limit {
		char text[400]; /* why a compiler gave up with -E2BIG, and where */
		struct nfa_place place; /* line 0: not known yet */
	} limit;
	struct table_dfa bin, dst, l7;
	struct osh_img_binset *binsets;
	size_t nbinsets;
	struct osh_img_dstset
		*dstsets; /* eps_off: index into lists, made an offset by the writer */
	size_t ndstsets;
	uint32_t *lists;
	size_t nlists;
	struct l7_tables {
		struct img_block *blocks;
		size_t nblocks;
		struct img_endpoint *endpoints;
		size_t nendpoints;
		struct img_net *nets;
		size_t nnets;
		struct img_rule *rules;
		size_t nrules;
		struct img_ruleset *sets;
		size_t nsets;
		uint32_t *setrules;
		size_t nsetrules;
		struct img_cond *conds;
		size_t nconds;
		char *strings;
		size_t nstrings;
	} t;
};

void compiled_done(struct compiled *c);

/* Different sets (of binaries, of endpoints, of rules) that one table may hold. */
#define COMPILE_SETS_MAX 300000u

/* Runs the construction to its end and takes its tables over. */
int table_from_dfa(struct dfa *d, struct table_dfa *ret);
/* Limits that grow with the patterns: honest policies stay far below, wildcards that multiply do
 * not. */
struct dfa_limits compile_limits(const struct nfa *a);

/* Each notes why and where a limit was passed, and returns -E2BIG. */
__attribute__((format(printf, 3, 4))) int compile_limit(struct compiled *c, struct nfa_place at,
							const char *fmt, ...);
int compile_too_complicated(struct compiled *c, const struct dfa *d);
/* table_from_dfa() for the image. */
int compile_table(struct dfa *d, struct compiled *c, struct table_dfa *ret);
/* nfa_status(), and the note that goes with it. */
int compile_nfa_status(struct compiled *c, const struct nfa *a);

/* Each returns 0, -ENOMEM, or -E2BIG when the limits are exceeded. */
int compile_bin(const struct policy *p, struct compiled *c);
int compile_dst(const struct policy *p, struct compiled *c);
int compile_l7(const struct policy *p, struct compiled *c);
