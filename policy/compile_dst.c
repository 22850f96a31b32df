/* SPDX-License-Identifier: Apache-2.0 */
/* compile_dst.c - endpoints of all blocks -> automaton over destinations and table of destination
 * sets. */
#include "policy/compile.h"
#include "policy/host.h"

/* A tag is the endpoint's number and whether it stands before the port (any port) or behind it. */
#define TAG_PORT 1u
#define LISTS_MAX (16u << 20)

struct dst {
	const struct pol_endpoint **ep; /* by number */
	uint32_t *block;		/* of the endpoint */
	size_t nep;
	struct osh_img_dstset *v; /* eps_off: index into list */
	size_t n, cap;
	struct hmap map;
	uint32_t *list;
	size_t nlist, list_cap;
	struct compiled *c;
};

static void dst_done(struct dst *d)
{
	free(d->ep);
	free(d->block);
	hmap_done(&d->map);
}

/* --------------------------------------------------------------------- destination sets -- */

static uint64_t set_hash(const void *ctx, uint32_t i)
{
	const struct dst *d = ctx;
	const struct osh_img_dstset *s = &d->v[i];
	uint64_t h = hash_bytes(s->neps, s, offsetof(struct osh_img_dstset, eps_off));

	return s->neps ? hash_bytes(h, d->list + s->eps_off, s->neps * sizeof(*d->list)) : h;
}

static bool set_eq(const void *ctx, uint32_t i)
{
	const struct dst *d = ctx;
	const struct osh_img_dstset *a = &d->v[i], *b = &d->v[d->n];

	return a->neps == b->neps && memcmp(a, b, offsetof(struct osh_img_dstset, eps_off)) == 0 &&
	       (a->neps == 0 || memcmp(d->list + a->eps_off, d->list + b->eps_off,
				       a->neps * sizeof(*d->list)) == 0);
}

static void add_endpoint(const struct dst *d, struct osh_img_dstset *s, uint32_t ep)
{
	const struct pol_endpoint *e = d->ep[ep];
	uint32_t block = d->block[ep];
	uint64_t bit = 1ull << (block % 64);

	s->any[block / 64] |= bit;
	if (pol_inspected(e) || e->tls == TLS_SKIP)
		s->proxy[block / 64] |= bit;
	else
		s->native[block / 64] |= bit;
}

static int cmp_u32(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

/* Appends the endpoints of a set behind the port, ascending and once each (a literal address may
 * match by its host and by its allowed_ips). */
static int add_list(struct dst *d, const uint32_t *tags, size_t n, struct osh_img_dstset *s)
{
	uint32_t *l;
	size_t out = 0;
	int r = array_grow(&d->list, &d->list_cap, d->nlist + n, sizeof(*d->list));

	if (r < 0)
		return r;
	if (d->nlist + n > LISTS_MAX)
		return compile_limit(d->c, (struct nfa_place){0},
				     "the endpoints overlap too much: the lists of those that share a "
				     "host and port have more than %u entries",
				     LISTS_MAX);
	l = d->list + d->nlist;
	for (size_t i = 0; i < n; i++)
		l[i] = tags[i] >> 1;
	if (n > 1)
		qsort(l, n, sizeof(*l), cmp_u32);
	for (size_t i = 0; i < n; i++)
		if (!out || l[out - 1] != l[i])
			l[out++] = l[i];
	s->eps_off = (uint32_t)d->nlist;
	s->neps = (uint32_t)out;
	return 0;
}

static int accept(void *ctx, const uint32_t *tags, size_t n, uint32_t *ret)
{
	struct dst *d = ctx;
	struct osh_img_dstset *s;
	int r = array_grow(&d->v, &d->cap, d->n + 1, sizeof(*d->v));

	if (r < 0)
		return r;
	if (d->n >= COMPILE_SETS_MAX)
		return compile_limit(d->c, (struct nfa_place){0},
				     "the endpoints overlap in more than %u ways", COMPILE_SETS_MAX);
	s = &d->v[d->n];
	*s = (struct osh_img_dstset){0};
	for (size_t i = 0; i < n; i++)
		add_endpoint(d, s, tags[i] >> 1);
	if (n && tags[0] & TAG_PORT) {
		r = add_list(d, tags, n, s);
		if (r < 0)
			return r;
	}
	r = hmap_intern(&d->map, set_hash(d, (uint32_t)d->n), set_eq, d, (uint32_t)d->n, ret);
	if (r == 0) {
		d->nlist += s->neps;
		d->n++;
	}
	return r < 0 ? r : 0;
}

/* ----------------------------------------------------------------------------- patterns -- */

/* Before the port: every destination of the host.  Behind it: this endpoint. */
static void add_ports(struct nfa *a, uint32_t at, const struct pol_endpoint *e, uint32_t number)
{
	nfa_tag(a, at, number << 1);
	for (size_t i = 0; i < e->nports; i++) {
		uint32_t p = nfa_byte(a, at, (uint8_t)(e->ports[i] >> 8));

		nfa_tag(a, nfa_byte(a, p, (uint8_t)e->ports[i]), number << 1 | TAG_PORT);
	}
}

static void add_patterns(struct nfa *a, uint32_t root, const struct pol_endpoint *e,
			 uint32_t number)
{
	nfa_mark(a, e->line, e->col);
	if (e->host_kind == HOST_ADDRESS)
		add_ports(a, net_add(a, root, &e->address), e, number);
	else if (e->host_kind == HOST_NONE)
		add_ports(a, host_add(a, root, SLICE_LIT("**")), e, number);
	else
		add_ports(a, host_add(a, root, e->host), e, number);
	for (size_t i = 0; i < e->nips; i++)
		add_ports(a, net_add(a, root, &e->ips[i]), e, number);
}

static int number_endpoints(const struct policy *p, struct dst *d)
{
	size_t n = 0;

	for (size_t b = 0; b < p->nblocks; b++)
		n += p->blocks[b].nendpoints;
	if (n > UINT32_MAX / 4)
		return -E2BIG;
	d->ep = calloc(n + 1, sizeof(*d->ep));
	d->block = calloc(n + 1, sizeof(*d->block));
	if (!d->ep || !d->block)
		return -ENOMEM;
	for (size_t b = 0; b < p->nblocks; b++) {
		for (size_t i = 0; i < p->blocks[b].nendpoints; i++) {
			d->ep[d->nep] = &p->blocks[b].endpoints[i];
			d->block[d->nep++] = (uint32_t)b;
		}
	}
	return 0;
}

static int build(const struct policy *p, struct nfa *a, struct dst *d, struct compiled *c)
{
	_cleanup_(dfa_done) struct dfa dfa = {0};
	struct dfa_limits limits;
	uint32_t root = nfa_root(a), none;
	int r = number_endpoints(p, d);

	if (r < 0)
		return r;
	for (size_t i = 0; i < d->nep; i++)
		add_patterns(a, root, d->ep[i], (uint32_t)i);
	r = compile_nfa_status(c, a);
	if (r == 0)
		r = accept(d, NULL, 0, &none); /* set 0 is the empty one */
	if (r < 0)
		return r;
	limits = compile_limits(a);
	r = dfa_init(&dfa, a, &limits, accept, d);
	if (r == 0)
		r = dfa_start(&dfa, root, &c->dst.start);
	return r < 0 ? r : compile_table(&dfa, c, &c->dst);
}

int compile_dst(const struct policy *p, struct compiled *c)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	_cleanup_(dst_done) struct dst d = {.c = c};
	int r = build(p, &a, &d, c);

	c->dstsets = d.v;
	c->ndstsets = d.n;
	c->lists = d.list;
	c->nlists = d.nlist;
	return r;
}
