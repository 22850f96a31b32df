/* SPDX-License-Identifier: Apache-2.0 */
/* compile_bin.c - binaries of all blocks -> automaton over paths and table of binary sets. */
#include "policy/compile.h"
#include "policy/glob.h"

/* A tag is the block and two bits. */
#define TAG_ANC 1u
#define TAG_TAINT 2u
#define TAG_SHIFT 2

struct bin_sets {
	struct osh_img_binset *v;
	size_t n, cap;
	struct hmap map;
	struct compiled *c;
};

static uint64_t set_hash(const void *ctx, uint32_t i)
{
	return hash_bytes(0, &((const struct bin_sets *)ctx)->v[i], sizeof(struct osh_img_binset));
}

static bool set_eq(const void *ctx, uint32_t i)
{
	const struct bin_sets *s = ctx;

	return memcmp(&s->v[i], &s->v[s->n], sizeof(*s->v)) == 0;
}

/* Gives the set at v[n] its number. */
static int set_intern(struct bin_sets *s, uint32_t *ret)
{
	int r = hmap_intern(&s->map, set_hash(s, (uint32_t)s->n), set_eq, s, (uint32_t)s->n, ret);

	if (r == 0)
		s->n++;
	return r < 0 ? r : 0;
}

static int accept(void *ctx, const uint32_t *tags, size_t n, uint32_t *ret)
{
	struct bin_sets *s = ctx;
	struct osh_img_binset *b;
	int r = array_grow(&s->v, &s->cap, s->n + 1, sizeof(*s->v));

	if (r < 0)
		return r;
	if (s->n >= COMPILE_SETS_MAX)
		return compile_limit(s->c, (struct nfa_place){0},
				     "the binaries of the blocks overlap in more than %u ways",
				     COMPILE_SETS_MAX);
	b = &s->v[s->n];
	*b = (struct osh_img_binset){0};
	for (size_t i = 0; i < n; i++) {
		uint32_t block = tags[i] >> TAG_SHIFT;
		uint64_t bit = 1ull << (block % 64);

		b->self[block / 64] |= bit;
		if (tags[i] & TAG_ANC)
			b->anc[block / 64] |= bit;
		if (tags[i] & TAG_TAINT)
			b->tself[block / 64] |= bit;
		if (tags[i] & TAG_TAINT && tags[i] & TAG_ANC)
			b->tanc[block / 64] |= bit;
	}
	return set_intern(s, ret);
}

static int add_binary(struct nfa *a, uint32_t root, uint32_t block, const struct pol_binary *x)
{
	bool tainted = x->tainted || glob_matches_all(x->path);
	uint32_t tag =
		block << TAG_SHIFT | (x->ancestors ? TAG_ANC : 0) | (tainted ? TAG_TAINT : 0);
	char why[160];
	int r;

	nfa_mark(a, x->line, x->col);
	r = glob_add(a, root, x->path, GLOB_BINARY, tag, why, sizeof(why));

	for (size_t i = 0; r == 0 && i < x->naliases;
	     i++) /* an alias is exact, whatever it is spelt like */
		nfa_tag(a, nfa_bytes(a, root, x->alias[i]), tag);
	return r;
}

static int build(const struct policy *p, struct nfa *a, struct bin_sets *sets, struct compiled *c)
{
	_cleanup_(dfa_done) struct dfa d = {0};
	struct dfa_limits limits;
	uint32_t root = nfa_root(a), none;
	int r = 0;

	for (size_t b = 0; b < p->nblocks; b++)
		for (size_t i = 0; r == 0 && i < p->blocks[b].nbinaries; i++)
			r = add_binary(a, root, (uint32_t)b, &p->blocks[b].binaries[i]);
	if (r == 0 || r == -E2BIG)
		r = compile_nfa_status(c, a);
	if (r == 0)
		r = accept(sets, NULL, 0, &none); /* set 0 is the empty one */
	if (r < 0)
		return r;
	limits = compile_limits(a);
	r = dfa_init(&d, a, &limits, accept, sets);
	if (r == 0)
		r = dfa_start(&d, root, &c->bin.start);
	return r < 0 ? r : compile_table(&d, c, &c->bin);
}

int compile_bin(const struct policy *p, struct compiled *c)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	struct bin_sets sets = {.c = c};
	int r = build(p, &a, &sets, c);

	c->binsets = sets.v;
	c->nbinsets = sets.n;
	hmap_done(&sets.map);
	return r;
}
