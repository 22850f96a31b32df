/* SPDX-License-Identifier: Apache-2.0 */
/*
 * comb.c - packing sparse rows into one table of cells by displacement.
 *
 * First fit.  Rows of one cell (nearly all, in a trie) fill the lowest hole.  Wider rows try a
 * bounded number of places and then go to the end, so packing stays linear whatever the rows look
 * like.
 */
#include "policy/comb.h"
#include "policy/arena.h"

#define TRIES 48
#define ROW 256u

void comb_done(struct comb *c)
{
	free(c->cell);
	*c = (struct comb){0};
}

/* Makes cells up to base + 255 exist. */
static int comb_reserve(struct comb *c, size_t base)
{
	size_t old = c->cap;
	int r = array_grow(&c->cell, &c->cap, base + ROW, sizeof(*c->cell));

	if (r < 0)
		return r;
	if (c->cap > old)
		memset(c->cell + old, 0, (c->cap - old) * sizeof(*c->cell));
	return 0;
}

static bool fits(const struct comb *c, size_t base, const struct comb_entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c->cell[base + e[i].b].check)
			return false;
	return true;
}

static int find_base(struct comb *c, const struct comb_entry *e, size_t n, size_t *ret)
{
	unsigned int tries = 0;
	size_t at;
	int r;

	while (c->lowest < c->n && c->cell[c->lowest].check)
		c->lowest++;
	while (c->fit < c->n && c->cell[c->fit].check)
		c->fit++;
	/* below ROW a hole may be out of reach for good (a base is not negative), and would be
	 * tried forever */
	if (c->lowest < ROW)
		c->lowest = ROW;
	if (c->fit < ROW)
		c->fit = ROW;
	at = n == 1 ? c->lowest : c->fit;
	for (;; at++) {
		r = comb_reserve(c, at);
		if (r < 0)
			return r;
		if (!c->cell[at].check && fits(c, at - e[0].b, e, n))
			break;
		if (++tries >= TRIES && n > 1 &&
		    at < c->n) { /* crowded: begin further on from now */
			c->fit = at;
			at = (c->n > ROW ? c->n : ROW) - 1;
		}
	}
	*ret = at - e[0].b;
	return 0;
}

int comb_place(struct comb *c, uint32_t state, const struct comb_entry *e, size_t n,
	       uint32_t *ret_base)
{
	size_t base = 0;
	int r;

	if (n == 0) {
		*ret_base = 0;
		return 0;
	}
	r = find_base(c, e, n, &base);
	if (r < 0)
		return r;
	r = comb_reserve(c, base);
	if (r < 0)
		return r;
	if (base > UINT32_MAX / 2)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		c->cell[base + e[i].b] = (struct osh_img_cell){state, e[i].next};
	if (base + e[n - 1].b + 1 > c->n)
		c->n = base + e[n - 1].b + 1;
	*ret_base = (uint32_t)base;
	return 0;
}

size_t comb_size(const struct comb *c)
{
	return c->n + ROW;
}
