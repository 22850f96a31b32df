/* SPDX-License-Identifier: Apache-2.0 */
/* lint_part.h - what the parts of lint share; internal to policy/lint*.c. */
#pragma once

#include "policy/lint.h"
#include "policy/model.h"
#include "policy/product.h"

/* For each part, in steps of about ten nanoseconds: half a second or so. */
#define LINT_WORK (64u << 20)
#define LINT_WORK_STATE 96 /* of a state built or a combination visited */
#define LINT_WORK_CALL 1024
/* Beyond, nobody reads on. */
#define LINT_WARNINGS_MAX 200

struct lint_allow; /* lint_rules.c */

struct lint {
	const struct policy *p;
	const struct image *img;
	struct policy_diags *d;
	size_t found;
	uint64_t work; /* left */
	bool cut;      /* something stays open */
	bool slash;    /* an endpoint keeps encoded slashes */

	/* Endpoints by their number in the image, and the destination sets that each is in:
	 * set[set_off[i]] to set[set_off[i + 1]]. */
	const struct pol_endpoint **ep;
	size_t nep;
	uint32_t *set_off, *set;

	struct table_dfa canonical[4]; /* see lint_canonical() */
	struct lint_allow *allow;
	size_t nallow, allow_cap;
	struct hmap allows;
};

/* The parts.  0 or -ENOMEM. */
int lint_files(struct lint *l);
int lint_cover(struct lint *l);
int lint_rules(struct lint *l);
void lint_rules_done(struct lint *l);

/* Is there room for one more warning?  If not, that is noted. */
bool lint_room(struct lint *l);
#define lint_warn(l, line, col, ...)                                                               \
	do {                                                                                       \
		if (lint_room(l))                                                                  \
			diag_add((l)->d, POLICY_WARNING, line, col, __VA_ARGS__);                  \
	} while (0)

/* Takes from the work that is left; false: there is none, and that is noted. */
bool lint_spend(struct lint *l, uint64_t work);

/* As product_walk(); 1 and l->cut where the answer would take too much work. */
int lint_product(struct lint *l, const struct automaton *a, size_t n, size_t required,
		 product_visit visit, void *ctx);
/* Is there a text that all of them accept?  1: yes, or open; 0: no. */
int lint_meet(struct lint *l, const struct automaton *a, size_t n);
/* As lang_compile(); 1 and l->cut where it would take too much work. */
int lint_compile(struct lint *l, enum lang_kind kind, const struct lang_pattern *v, size_t n,
		 struct table_dfa *ret);
/* Canonical request paths, or what stands before and including them; compiled once. */
int lint_canonical(struct lint *l, bool request, bool slash, struct automaton *ret);

/* The endpoint's path selector in the image. */
struct automaton lint_selector(const struct lint *l, size_t ep);
static inline bool automaton_accepts(const struct automaton *a, struct slice text)
{
	return a->states[automaton_walk(a, a->start, text)].accept != 0;
}

/* ------------------------------------------------------------------------- lint_sample.c -- */

#define SAMPLE_MAX 1024
#define SAMPLES 2

struct sample {
	uint8_t buf[SAMPLE_MAX];
	size_t n;
};
/*
 * Texts that a path glob matches, in canonical spelling; empty glob: every path.  Returns how many, 0
 * when it has no guess.  They need not be canonical paths.  What a sample shows spares the exact
 * answer; nothing is ever concluded from there being none.
 */
size_t lint_samples(struct slice glob, struct sample ret[SAMPLES]);
