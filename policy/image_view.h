/* SPDX-License-Identifier: Apache-2.0 */
/* image_view.h - walking a validated image; internal to image.c and decide*.c. */
#pragma once

#include "policy/image.h"
#include "policy/policy.h"

static inline const struct img_l7_hdr *view_l7(const struct image *img)
{
	return (const struct img_l7_hdr *)(const void *)(img->p + img->hdr->l7_off);
}

/* Element i of a table of the L7 part. */
#define VIEW(img, table, type) ((const type *)(const void *)((img)->p + view_l7(img)->table.off))

static inline uint32_t view_step(const struct image *img, const struct osh_img_dfa *d, uint32_t s,
				 uint8_t b)
{
	const struct osh_img_state *states =
		(const struct osh_img_state *)(const void *)(img->p + d->states_off);
	const struct osh_img_cell *cells =
		(const struct osh_img_cell *)(const void *)(img->p + d->cells_off);
	const struct osh_img_cell *c = &cells[states[s].base + b];

	return c->check == s ? c->next : states[s].def;
}

static inline uint32_t view_walk(const struct image *img, const struct osh_img_dfa *d, uint32_t s,
				 struct slice in)
{
	for (size_t i = 0; s && i < in.n; i++)
		s = view_step(img, d, s, in.p[i]);
	return s;
}

static inline uint32_t view_accept(const struct image *img, const struct osh_img_dfa *d, uint32_t s)
{
	return ((const struct osh_img_state *)(const void *)(img->p + d->states_off))[s].accept;
}

static inline struct slice view_str(const struct image *img, struct img_str s)
{
	return (struct slice){img->p + view_l7(img)->strings.off + s.off, s.n};
}

static inline const struct osh_img_dstset *view_dstset(const struct image *img, uint32_t i)
{
	return (const struct osh_img_dstset *)(const void *)(img->p + img->hdr->dstset_off) + i;
}

static inline bool bits_have(const struct block_bits *b, uint32_t block)
{
	return block < OSH_BLOCKS_MAX && b->w[block / 64] >> (block % 64) & 1;
}

/* The endpoints of a destination set. */
struct view_eps {
	const uint32_t *v;
	uint32_t n;
};

static inline struct view_eps view_eps(const struct image *img, uint32_t dstset)
{
	const struct osh_img_dstset *s;

	if (dstset >= img->hdr->ndstsets)
		return (struct view_eps){NULL, 0};
	s = view_dstset(img, dstset);
	return (struct view_eps){(const uint32_t *)(const void *)(img->p + s->eps_off), s->neps};
}

/* The list is sorted. */
static inline bool view_eps_has(struct view_eps eps, uint32_t ep)
{
	uint32_t lo = 0, hi = eps.n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (eps.v[mid] == ep)
			return true;
		if (eps.v[mid] < ep)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static inline const struct img_endpoint *view_endpoint(const struct image *img, uint32_t i)
{
	return &VIEW(img, endpoints, struct img_endpoint)[i];
}

/* State of the destination automaton before the port; 0: nothing matches. */
uint32_t view_dest_state(const struct image *img, const struct dest *d);
/* Is one condition of a rule on the query met?  decide_l7.c */
bool view_cond_holds(const struct image *img, const struct img_cond *c, const struct request *r,
		     bool deny);
/* Is the endpoint for this path?  decide_l7.c */
bool view_selected(const struct image *img, const struct img_endpoint *e, struct slice path);
/* Destination set behind the port. */
uint32_t view_port_set(const struct image *img, uint32_t state, uint16_t port);
