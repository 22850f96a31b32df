/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - checking an image once, so that every reader may follow it blindly.
 *
 * An image comes from the compiler or over a descriptor that another process filled; it is judged
 * as if an enemy had written it.  The checks are linear in its size.
 */
#include "policy/image_view.h"

/* Does [off, off + n * elem) lie inside and is off aligned? */
static bool inside(const struct image *img, uint64_t off, uint64_t n, uint64_t elem, uint64_t align)
{
	return off % align == 0 && off <= img->n && n <= (img->n - off) / elem;
}

static const void *at(const struct image *img, uint32_t off)
{
	return img->p + off;
}

static bool check_dfa(const struct image *img, const struct osh_img_dfa *d, uint64_t align,
		      uint32_t naccepts)
{
	const struct osh_img_state *s;
	const struct osh_img_cell *c;

	if (!inside(img, d->states_off, d->nstates, sizeof(*s), align) ||
	    !inside(img, d->cells_off, d->ncells, sizeof(*c), align))
		return false;
	if (d->nstates == 0 || d->start >= d->nstates)
		return false;
	s = at(img, d->states_off);
	c = at(img, d->cells_off);
	if (s[0].base || s[0].def || s[0].accept)
		return false;
	for (uint32_t i = 0; i < d->nstates; i++)
		if ((uint64_t)s[i].base + 255 >= d->ncells || s[i].def >= d->nstates ||
		    s[i].accept >= naccepts)
			return false;
	for (uint32_t i = 0; i < d->ncells; i++)
		if (c[i].check == 0 || c[i].next >= d->nstates)
			return false;
	return true;
}

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		if (b[i])
			return false;
	return true;
}

/* No bit beyond the last block. */
static bool check_bits(const struct image *img, const uint64_t w[OSH_BLOCK_WORDS])
{
	uint32_t n = img->hdr->nblocks;

	for (uint32_t i = 0; i < OSH_BLOCK_WORDS; i++) {
		uint32_t have = n <= i * 64 ? 0 : n - i * 64;

		if (have < 64 && w[i] >> have)
			return false;
	}
	return true;
}

static bool check_binsets(const struct image *img)
{
	const struct osh_img_hdr *h = img->hdr;
	const struct osh_img_binset *s;

	if (!inside(img, h->binset_off, h->nbinsets, sizeof(*s), OSH_IMG_PAGE) || h->nbinsets == 0)
		return false;
	s = at(img, h->binset_off);
	if (!all_zero(s, sizeof(*s)))
		return false;
	for (uint32_t i = 0; i < h->nbinsets; i++)
		if (!check_bits(img, (const uint64_t *)s[i].self) ||
		    !check_bits(img, (const uint64_t *)s[i].anc) ||
		    !check_bits(img, (const uint64_t *)s[i].tself) ||
		    !check_bits(img, (const uint64_t *)s[i].tanc))
			return false;
	return true;
}

static bool check_range(uint32_t first, uint32_t n, const struct img_table *t)
{
	return first <= t->n && n <= t->n - first;
}

/* Lists follow one another and ascend, so that no reader visits anything twice: what a decision
 * costs is bounded by the size of the image, whoever wrote it. */
static bool check_list(const uint32_t *v, uint32_t first, uint32_t n, const struct img_table *t)
{
	if (!check_range(first, n, t))
		return false;
	for (uint32_t i = 1; i < n; i++)
		if (v[first + i - 1] >= v[first + i])
			return false;
	return true;
}

static bool check_dstsets(const struct image *img)
{
	const struct osh_img_hdr *h = img->hdr;
	const struct img_table *lists = &view_l7(img)->lists;
	const struct osh_img_dstset *s;
	uint32_t next = 0;

	if (!inside(img, h->dstset_off, h->ndstsets, sizeof(*s), OSH_IMG_PAGE) || h->ndstsets == 0)
		return false;
	s = at(img, h->dstset_off);
	if (!all_zero(s, offsetof(struct osh_img_dstset, eps_off)) || s[0].neps)
		return false;
	for (uint32_t i = 0; i < h->ndstsets; i++) {
		if (!check_bits(img, (const uint64_t *)s[i].any) ||
		    !check_bits(img, (const uint64_t *)s[i].proxy) ||
		    !check_bits(img, (const uint64_t *)s[i].native))
			return false;
		if (s[i].neps == 0)
			continue;
		if (s[i].eps_off != lists->off + (uint64_t)next * sizeof(uint32_t) ||
		    !check_list(VIEW(img, lists, uint32_t), next, s[i].neps, lists))
			return false;
		next += s[i].neps;
	}
	return true;
}

/* ------------------------------------------------------------------------------ L7 part -- */

static bool check_str(const struct image *img, struct img_str s)
{
	const struct img_table *t = &view_l7(img)->strings;

	return s.off < t->n && s.n < t->n - s.off && img->p[t->off + s.off + s.n] == 0;
}

static bool check_tables(const struct image *img)
{
	const struct img_l7_hdr *l = view_l7(img);
	const struct {
		const struct img_table *t;
		size_t elem;
	} v[] = {
		{&l->blocks, sizeof(struct img_block)},
		{&l->endpoints, sizeof(struct img_endpoint)},
		{&l->lists, sizeof(uint32_t)},
		{&l->nets, sizeof(struct img_net)},
		{&l->rules, sizeof(struct img_rule)},
		{&l->sets, sizeof(struct img_ruleset)},
		{&l->setrules, sizeof(uint32_t)},
		{&l->conds, sizeof(struct img_cond)},
		{&l->strings, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		if (!inside(img, v[i].t->off, v[i].t->n, v[i].elem, 8))
			return false;
	return l->blocks.n == img->hdr->nblocks;
}

static bool check_blocks(const struct image *img)
{
	const struct img_l7_hdr *l = view_l7(img);
	const struct img_block *b = VIEW(img, blocks, struct img_block);

	for (uint32_t i = 0; i < l->blocks.n; i++)
		if (!check_str(img, b[i].name) ||
		    !check_range(b[i].first_endpoint, b[i].nendpoints, &l->endpoints))
			return false;
	return true;
}

static bool check_endpoints(const struct image *img)
{
	const struct img_l7_hdr *l = view_l7(img);
	const struct img_endpoint *e = VIEW(img, endpoints, struct img_endpoint);
	const uint32_t *list = VIEW(img, lists, uint32_t);
	uint32_t rule = 0, net = 0;

	for (uint32_t i = 0; i < l->endpoints.n; i++) {
		if (e[i].block >= l->blocks.n || !check_str(img, e[i].host) ||
		    e[i].selector >= l->dfa.nstates || e[i].start >= l->dfa.nstates ||
		    e[i].first_rule != rule || !check_range(rule, e[i].nrules, &l->rules) ||
		    e[i].first_net != net || !check_range(net, e[i].nnets, &l->nets))
			return false;
		rule += e[i].nrules;
		net += e[i].nnets;
	}
	for (uint32_t i = 0; i < l->lists.n; i++)
		if (list[i] >= l->endpoints.n)
			return false;
	return true;
}

static bool check_nets(const struct image *img)
{
	const struct img_net *n = VIEW(img, nets, struct img_net);

	for (uint32_t i = 0; i < view_l7(img)->nets.n; i++)
		if (n[i].prefix > (n[i].family == 4 ? 32 : 128) ||
		    (n[i].family != 4 && n[i].family != 6))
			return false;
	return true;
}

static bool check_rules(const struct image *img)
{
	const struct img_l7_hdr *l = view_l7(img);
	const struct img_rule *r = VIEW(img, rules, struct img_rule);
	const struct img_cond *c = VIEW(img, conds, struct img_cond);
	const struct img_ruleset *s = VIEW(img, sets, struct img_ruleset);

	uint32_t cond = 0, set = 0;

	for (uint32_t i = 0; i < l->rules.n; i++) {
		if (!check_str(img, r[i].text) || r[i].first_cond != cond ||
		    !check_range(cond, r[i].nconds, &l->conds))
			return false;
		cond += r[i].nconds;
	}
	for (uint32_t i = 0; i < l->conds.n; i++)
		if (!check_str(img, c[i].name) || c[i].start >= l->dfa.nstates)
			return false;
	for (uint32_t i = 0; i < l->sets.n; i++) {
		if (s[i].n && s[i].first != set)
			return false;
		if (!check_list(VIEW(img, setrules, uint32_t), set, s[i].n, &l->setrules))
			return false;
		set += s[i].n;
	}
	return l->sets.n >= 2 && all_zero(&s[0], sizeof(s[0])) && s[1].n == 0;
}

static bool check_l7(const struct image *img)
{
	const struct img_l7_hdr *l;

	if (!inside(img, img->hdr->l7_off, 1, sizeof(*l), 8))
		return false;
	l = view_l7(img);
	return l->magic == IMG_L7_MAGIC && l->version == IMG_L7_VERSION && check_tables(img) &&
	       check_dfa(img, &l->dfa, 8, l->sets.n) && check_blocks(img) && check_endpoints(img) &&
	       check_nets(img) && check_rules(img);
}

int image_open(struct image *ret, const uint8_t *p, size_t n)
{
	const struct osh_img_hdr *h = (const struct osh_img_hdr *)(const void *)p;
	struct image img;

	if ((uintptr_t)p % 8 || n < sizeof(*h) || h->magic != OSH_IMG_MAGIC ||
	    h->version != OSH_IMG_VERSION)
		return -EBADMSG;
	if (h->size > n || h->size % OSH_IMG_PAGE || h->size < OSH_IMG_PAGE ||
	    h->size >= (1u << 30) || h->nblocks > OSH_BLOCKS_MAX)
		return -EBADMSG;
	img = (struct image){p, (size_t)h->size, h};
	if (!check_dfa(&img, &h->bin, OSH_IMG_PAGE, h->nbinsets) ||
	    !check_dfa(&img, &h->dst, OSH_IMG_PAGE, h->ndstsets) || !check_binsets(&img) ||
	    !check_l7(&img) || !check_dstsets(&img))
		return -EBADMSG;
	*ret = img;
	return 0;
}

const char *image_block_name(const struct image *img, uint32_t block)
{
	if (block >= img->hdr->nblocks)
		return NULL;
	return (const char *)view_str(img, VIEW(img, blocks, struct img_block)[block].name).p;
}
