/* SPDX-License-Identifier: Apache-2.0 */
/* compile.c - policy_compile(): runs the compilers and writes the image. */
#include "policy/compile.h"

#define IMAGE_MAX (512u << 20)
#define STATES_MIN 262144
#define STATES_PER_NODE 8

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

struct dfa_limits compile_limits(const struct nfa *a)
{
	return (struct dfa_limits){
		.states = STATES_MIN + STATES_PER_NODE * a->n,
		.nodes = (16u << 20) + 4 * a->n,
		.work = (100u << 20) + 100ull * a->n,
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

static void put_dfa(struct image_writer *w, const struct table_dfa *t, size_t align,
		    struct osh_img_dfa *ret)
{
	ret->states_off = put(w, t->states, t->nstates * sizeof(*t->states), align);
	ret->cells_off = put(w, t->cells, t->ncells * sizeof(*t->cells), align);
	ret->nstates = (uint32_t)t->nstates;
	ret->ncells = (uint32_t)t->ncells;
	ret->start = t->start;
}

static struct img_table put_table(struct image_writer *w, const void *data, size_t n, size_t elem)
{
	uint32_t off = put(w, data, n * elem, 8);

	return (struct img_table){off, (uint32_t)n};
}

static void put_l7(struct image_writer *w, const struct compiled *c, struct osh_img_hdr *hdr)
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

static void put_image(struct image_writer *w, const struct compiled *c)
{
	struct osh_img_hdr hdr = {.magic = OSH_IMG_MAGIC,
				  .version = OSH_IMG_VERSION,
				  .nblocks = (uint32_t)c->t.nblocks};

	put(w, &hdr, sizeof(hdr), 1);
	put_dfa(w, &c->bin, OSH_IMG_PAGE, &hdr.bin);
	put_dfa(w, &c->dst, OSH_IMG_PAGE, &hdr.dst);
	hdr.binset_off = put(w, c->binsets, c->nbinsets * sizeof(*c->binsets), OSH_IMG_PAGE);
	hdr.nbinsets = (uint32_t)c->nbinsets;
	hdr.dstset_off = put(w, c->dstsets, c->ndstsets * sizeof(*c->dstsets), OSH_IMG_PAGE);
	hdr.ndstsets = (uint32_t)c->ndstsets;
	put_l7(w, c, &hdr);
	put(w, NULL, 0, OSH_IMG_PAGE);
	hdr.size = w->n;
	if (w->p)
		memcpy(w->p, &hdr, sizeof(hdr));
}

static int write_image(const struct compiled *c, struct policy_diags *d, uint8_t **ret_image,
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

static int too_complicated(struct policy_diags *d, const char *what)
{
	diag_add(d, POLICY_ERROR, 0, 0,
		 "the wildcards of %s multiply beyond the limit (%d states and %d for each "
		 "character); use fewer '?' and '[...]' behind a '*'",
		 what, STATES_MIN, STATES_PER_NODE);
	return -E2BIG;
}

int policy_compile(const struct policy *p, struct policy_diags *diags, uint8_t **ret_image,
		   size_t *ret_size)
{
	static const struct {
		int (*run)(const struct policy *, struct compiled *);
		const char *what;
	} steps[] = {
		{compile_bin, "the binary paths"},
		{compile_dst, "the hosts"},
		{compile_l7, "the rules"},
	};
	_cleanup_(compiled_done) struct compiled c = {0};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int r = steps[i].run(p, &c);

		if (r == -E2BIG)
			return too_complicated(diags, steps[i].what);
		if (r < 0)
			return r;
	}
	return write_image(&c, diags, ret_image, ret_size);
}

void image_set_sha256(uint8_t *image, const uint8_t digest[32])
{
	memcpy(image + offsetof(struct osh_img_hdr, sha256), digest, 32);
}
