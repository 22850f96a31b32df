/* SPDX-License-Identifier: Apache-2.0 */
/* compile.c - policy_compile(): runs the compilers and writes the image. */
#include "policy/compile.h"
#include "policy/nfa_node.h"

#include <stdarg.h>

#define IMAGE_MAX (256u << 20)
#define STATES_MIN 262144
#define STATES_PER_NODE 8
#define STATES_MAX (8u << 20)
#define WORK_MAX (300u << 20)
#define MEMORY_MAX (300u << 20) /* of one construction, its tree included */
#define NFA_NODE_BYTES (sizeof(struct nfa_node) + sizeof(struct nfa_reach) + sizeof(uint32_t))

void table_dfa_done(struct table_dfa *t)
{
	free(t->states);
	free(t->cells);
	*t = (struct table_dfa){0};
}

void compiled_done(struct compiled *c)
{
	struct table_dfa *t[] = {&c->bin, &c->dst, &c->l7};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		table_dfa_done(t[i]);
	free(c->binsets);
	free(c->dstsets);
	free(c->lists);
	free(c->t.blocks);
	free(c->t.endpoints);
	free(c->t.nets);
	free(c->t.rules);
	free(c->t.sets);
	free(c->t.setrules);
	free(c->t.conds);
	free(c->t.strings);
	*c = (struct compiled){0};
}

/* What a construction may take grows with the patterns, up to a point. */
struct dfa_limits compile_limits(const struct nfa *a)
{
	uint64_t work = (100u << 20) + 50ull * a->n;
	size_t states = STATES_MIN + (size_t)STATES_PER_NODE * a->n;

	return (struct dfa_limits){
		.states = states < STATES_MAX ? states : STATES_MAX,
		.bytes = MEMORY_MAX - a->n * NFA_NODE_BYTES,
		.work = work < WORK_MAX ? work : WORK_MAX,
	};
}

/* Unused cells get a check that no state has: in the image no cell has check 0. */
static void finish_cells(struct osh_img_cell *cell, size_t used, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (i >= used || cell[i].check == 0)
			cell[i] = (struct osh_img_cell){UINT32_MAX, 0};
}

int table_from_dfa(struct dfa *d, struct table_dfa *ret)
{
	size_t ncells;
	int r = dfa_run(d);

	if (r < 0)
		return r;
	ncells = comb_size(&d->comb);
	r = array_grow(&d->comb.cell, &d->comb.cap, ncells, sizeof(*d->comb.cell));
	if (r < 0)
		return r;
	finish_cells(d->comb.cell, d->comb.n, ncells);
	ret->ncells = ncells;
	ret->nstates = d->n;
	ret->cells = steal_ptr(&d->comb.cell);
	ret->states = steal_ptr(&d->state);
	return 0;
}

/* ------------------------------------------------------------------------------ writing -- */

struct image_writer {
	uint8_t *p; /* NULL: only measuring */
	size_t n;
};

static uint32_t put(struct image_writer *w, const void *data, size_t bytes, size_t align)
{
	size_t off = (w->n + align - 1) & ~(align - 1);

	if (w->p && bytes)
		memcpy(w->p + off, data, bytes);
	w->n = off + bytes;
	return (uint32_t)off;
}

/* What is written is let go of at once: tables and image are never there twice as a whole. */
static void put_dfa(struct image_writer *w, struct table_dfa *t, size_t align,
		    struct osh_img_dfa *ret)
{
	ret->states_off = put(w, t->states, t->nstates * sizeof(*t->states), align);
	if (w->p)
		free(steal_ptr(&t->states));
	ret->cells_off = put(w, t->cells, t->ncells * sizeof(*t->cells), align);
	if (w->p)
		free(steal_ptr(&t->cells));
	ret->nstates = (uint32_t)t->nstates;
	ret->ncells = (uint32_t)t->ncells;
	ret->start = t->start;
}

static struct img_table put_table(struct image_writer *w, const void *data, size_t n, size_t elem)
{
	uint32_t off = put(w, data, n * elem, 8);

	return (struct img_table){off, (uint32_t)n};
}

static void put_l7(struct image_writer *w, struct compiled *c, struct osh_img_hdr *hdr)
{
	const struct l7_tables *t = &c->t;
	struct img_l7_hdr l = {.magic = IMG_L7_MAGIC, .version = IMG_L7_VERSION};
	uint32_t at = put(w, &l, sizeof(l), OSH_IMG_PAGE);

	l.blocks = put_table(w, t->blocks, t->nblocks, sizeof(*t->blocks));
	l.endpoints = put_table(w, t->endpoints, t->nendpoints, sizeof(*t->endpoints));
	l.lists = put_table(w, c->lists, c->nlists, sizeof(*c->lists));
	l.nets = put_table(w, t->nets, t->nnets, sizeof(*t->nets));
	l.rules = put_table(w, t->rules, t->nrules, sizeof(*t->rules));
	l.sets = put_table(w, t->sets, t->nsets, sizeof(*t->sets));
	l.setrules = put_table(w, t->setrules, t->nsetrules, sizeof(*t->setrules));
	l.conds = put_table(w, t->conds, t->nconds, sizeof(*t->conds));
	l.strings = put_table(w, t->strings, t->nstrings, 1);
	put_dfa(w, &c->l7, 8, &l.dfa);
	if (w->p)
		memcpy(w->p + at, &l, sizeof(l));
	hdr->l7_off = at;
	/* the sets of the kernel's part point into the lists just placed */
	for (size_t i = 0; w->p && i < c->ndstsets; i++) {
		struct osh_img_dstset *s =
			(struct osh_img_dstset *)(void *)(w->p + hdr->dstset_off) + i;

		s->eps_off = l.lists.off + s->eps_off * (uint32_t)sizeof(uint32_t);
	}
}

static void put_image(struct image_writer *w, struct compiled *c)
{
	struct osh_img_hdr hdr = {.magic = OSH_IMG_MAGIC,
				  .version = OSH_IMG_VERSION,
				  .nblocks = (uint32_t)c->t.nblocks};

	put(w, &hdr, sizeof(hdr), 1);
	put_dfa(w, &c->bin, OSH_IMG_PAGE, &hdr.bin);
	put_dfa(w, &c->dst, OSH_IMG_PAGE, &hdr.dst);
	hdr.binset_off = put(w, c->binsets, c->nbinsets * sizeof(*c->binsets), OSH_IMG_PAGE);
	hdr.nbinsets = (uint32_t)c->nbinsets;
	if (w->p)
		free(steal_ptr(&c->binsets));
	hdr.dstset_off = put(w, c->dstsets, c->ndstsets * sizeof(*c->dstsets), OSH_IMG_PAGE);
	hdr.ndstsets = (uint32_t)c->ndstsets;
	if (w->p)
		free(steal_ptr(&c->dstsets));
	put_l7(w, c, &hdr);
	put(w, NULL, 0, OSH_IMG_PAGE);
	hdr.size = w->n;
	if (w->p)
		memcpy(w->p, &hdr, sizeof(hdr));
}

static int write_image(struct compiled *c, struct policy_diags *d, uint8_t **ret_image,
		       size_t *ret_size)
{
	struct image_writer w = {0};
	size_t size;

	put_image(&w, c);
	size = w.n;
	if (size > IMAGE_MAX) {
		diag_add(d, POLICY_ERROR, 0, 0, "too large: compiled it takes %zu MiB (at most %u)",
			 size >> 20, IMAGE_MAX >> 20);
		return -E2BIG;
	}
	w = (struct image_writer){.p = calloc(1, size)};
	if (!w.p)
		return -ENOMEM;
	put_image(&w, c);
	*ret_image = w.p;
	*ret_size = size;
	return 0;
}

/* ------------------------------------------------------------------------------- limits -- */

int compile_limit(struct compiled *c, struct nfa_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->limit.text, sizeof(c->limit.text), fmt, ap);
	va_end(ap);
	c->limit.place = at;
	return -E2BIG;
}

int compile_too_complicated(struct compiled *c, const struct dfa *d)
{
	char most[64];

	if (d->n >= d->limits.states)
		(void)snprintf(most, sizeof(most), "%zu states", d->limits.states);
	else if (d->work > d->limits.work)
		(void)snprintf(most, sizeof(most), "%llu million steps to combine",
			       (unsigned long long)d->limits.work >> 20);
	else
		(void)snprintf(most, sizeof(most), "%u MiB to combine", MEMORY_MAX >> 20);
	return compile_limit(c, dfa_blame(d),
			     "too complicated: together, the wildcards of the %s need more than %s, "
			     "and those written here have the largest part in it; write fewer of '*', "
			     "'?' and '[...]' behind a '*' or '**', or name what they stand for",
			     c->what, most);
}

int compile_table(struct dfa *d, struct compiled *c, struct table_dfa *ret)
{
	int r = table_from_dfa(d, ret);

	if (r == -E2BIG && !c->limit.text[0])
		return compile_too_complicated(c, d);
	if (r == -E2BIG && !c->limit.place.line)
		c->limit.place = dfa_blame(d);
	return r;
}

int compile_nfa_status(struct compiled *c, const struct nfa *a)
{
	int r = nfa_status(a);

	if (r != -E2BIG)
		return r;
	return compile_limit(c, nfa_blame(a, NULL, 0),
			     "too large: written out, the patterns of the %s have more than %u steps, "
			     "and those written here are the longest; a '?' or '[...]' in a path "
			     "takes some sixty steps, and braces multiply",
			     c->what, NFA_NODES_MAX);
}

static int check_counts(const struct policy *p, struct compiled *c)
{
	size_t endpoints = 0, rules = 0, binaries = 0;

	for (size_t b = 0; b < p->nblocks; b++) {
		const struct pol_block *k = &p->blocks[b];
		const struct nfa_place at = {k->line, k->col};

		binaries += k->nbinaries;
		endpoints += k->nendpoints;
		for (size_t i = 0; i < k->nendpoints; i++)
			rules += k->endpoints[i].nrules;
		if (binaries > POLICY_BINARIES_MAX)
			return compile_limit(c, at, "up to this block %zu binaries (at most %u)",
					     binaries, POLICY_BINARIES_MAX);
		if (endpoints > POLICY_ENDPOINTS_MAX)
			return compile_limit(c, at, "up to this block %zu endpoints (at most %u)",
					     endpoints, POLICY_ENDPOINTS_MAX);
		if (rules > POLICY_RULES_MAX)
			return compile_limit(c, at, "up to this block %zu rules (at most %u)", rules,
					     POLICY_RULES_MAX);
	}
	return 0;
}

/* --------------------------------------------------------------------------------------- -- */

int policy_compile(const struct policy *p, struct policy_diags *diags, uint8_t **ret_image,
		   size_t *ret_size)
{
	static const struct {
		int (*run)(const struct policy *, struct compiled *);
		const char *what;
	} steps[] = {
		{check_counts, "policy"},
		{compile_bin, "binary paths"},
		{compile_dst, "hosts"},
		{compile_l7, "rules"},
	};
	_cleanup_(compiled_done) struct compiled c = {0};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int r;

		c.what = steps[i].what;
		r = steps[i].run(p, &c);
		if (r == -E2BIG)
			diag_add(diags, POLICY_ERROR, c.limit.place.line, c.limit.place.col, "%s",
				 c.limit.text[0] ? c.limit.text : "too large");
		if (r < 0)
			return r;
	}
	return write_image(&c, diags, ret_image, ret_size);
}

void image_set_sha256(uint8_t *image, const uint8_t digest[32])
{
	memcpy(image + offsetof(struct osh_img_hdr, sha256), digest, 32);
}
