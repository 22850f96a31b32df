/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space_addresses.c - regions of addresses: what the special-purpose registries (bpf/abi.h) and a
 * policy's networks cut out.
 *
 * Prefixes nest or are disjoint, so every region holds the first address of a prefix or the one behind
 * the last address of another.
 */
#include "policy/host.h"
#include "policy/space.h"

typedef unsigned __int128 u128;

struct point {
	uint8_t family;
	u128 at;
};
struct points {
	struct point *v;
	size_t n, cap;
	bool oom;
};

static void point_add(struct points *p, uint8_t family, u128 at)
{
	if (array_grow(&p->v, &p->cap, p->n + 1, sizeof(*p->v)) < 0)
		p->oom = true;
	else
		p->v[p->n++] = (struct point){family, at};
}

/* The edges of a prefix. */
static void edges(struct points *p, uint8_t family, u128 at, unsigned int prefix)
{
	unsigned int bits = family == 4 ? 32 : 128;
	u128 end = prefix ? at + ((u128)1 << (bits - prefix)) : 0;

	point_add(p, family, at);
	if (end && (family == 6 || end >> 32 == 0))
		point_add(p, family, end);
}

/* Where osh_addr_class4() changes. */
static const struct {
	uint32_t at;
	uint8_t prefix;
} v4[] = {
	{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},	{0xa9fe0000, 16},
	{0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
	{0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 4},	{0xf0000000, 4},
	{0xa83f8110, 32}, {0x646464c8, 32},
};

/* Where osh_addr_class6() changes; embeds: an IPv4 address stands behind the prefix. */
static const struct {
	uint64_t high, low;
	uint8_t prefix;
	bool embeds;
} v6[] = {
	{0, 0, 96, true},
	{0, 0, 128, false},
	{0, 1, 128, false},
	{0, 0xffff00000000, 96, true},
	{0, 0xffff000000000000, 96, true},
	{0x0064ff9b00000000, 0, 96, true},
	{0x0064ff9b00000000, 0, 32, false},
	{0x2002000000000000, 0, 16, true},
	{0xff00000000000000, 0, 8, false},
	{0xfe80000000000000, 0, 10, false},
	{0xfec0000000000000, 0, 10, false},
	{0xfc00000000000000, 0, 7, false},
	{0xfd000ec200000000, 0x254, 128, false},
	{0xfd2000ce00000000, 0x254, 128, false},
	{0x2001000000000000, 0, 32, false},
	{0x20010db800000000, 0, 32, false},
	{0x0100000000000000, 0, 64, false},
	{0x3fff000000000000, 0, 20, false},
	{0x2000000000000000, 0, 3, false},
};

static void class_edges(struct points *p)
{
	point_add(p, 4, 0);
	point_add(p, 6, 0);
	for (size_t i = 0; i < ARRAY_LEN(v4); i++)
		edges(p, 4, v4[i].at, v4[i].prefix);
	for (size_t i = 0; i < ARRAY_LEN(v6); i++) {
		u128 at = (u128)v6[i].high << 64 | v6[i].low;

		edges(p, 6, at, v6[i].prefix);
		for (size_t k = 0; v6[i].embeds && k < ARRAY_LEN(v4); k++)
			edges(p, 6, at | (u128)v4[k].at << (96 - v6[i].prefix),
			      v6[i].prefix + v4[k].prefix);
	}
}

static int cmp_point(const void *pa, const void *pb)
{
	const struct point *a = pa, *b = pb;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

/* Sorted, once each. */
static int points_sort(struct points *p)
{
	size_t out = 0;

	if (p->oom)
		return -ENOMEM;
	qsort(p->v, p->n, sizeof(*p->v), cmp_point);
	for (size_t i = 0; i < p->n; i++)
		if (!out || cmp_point(&p->v[out - 1], &p->v[i]) != 0)
			p->v[out++] = p->v[i];
	p->n = out;
	return 0;
}

static struct address address_of(struct point p)
{
	struct address a = {.family = p.family};
	u128 at = p.family == 4 ? p.at << 96 : p.at;

	for (unsigned int i = 0; i < 16; i++)
		a.addr[i] = (uint8_t)(at >> (120 - 8 * i));
	return a;
}

/* ----------------------------------------------------------------------------- language -- */

static bool reachable(struct point p)
{
	struct address a = address_of(p);

	if (p.family == 6 && p.at >> 32 == 0xffff) /* mapped: comes as IPv4 */
		return false;
	return !OSH_ADDR_NEVER(address_class(a.family, a.addr));
}

/* How many addresses behind the first a prefix with k open bits has. */
static u128 span(unsigned int k)
{
	return k < 128 ? ((u128)1 << k) - 1 : ~(u128)0;
}

/* Enters [from, to] as prefixes. */
static void add_range(struct nfa *a, uint32_t root, struct point from, u128 to)
{
	unsigned int bits = from.family == 4 ? 32 : 128;

	for (;;) {
		struct address x = address_of(from);
		struct pol_net net = {.family = from.family};
		unsigned int k = 0; /* bits behind the prefix */

		while (k < bits && !(from.at >> k & 1) && span(k + 1) <= to - from.at)
			k++;
		net.prefix = (uint8_t)(bits - k);
		memcpy(net.addr, x.addr, 16);
		nfa_tag(a, net_add(a, root, &net), 0);
		if (to - from.at == span(k))
			return;
		from.at += (u128)1 << k;
	}
}

static int address_table(const struct points *p, struct table_dfa *ret)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	uint32_t root = nfa_root(&a);

	for (size_t i = 0; i < p->n; i++) {
		bool last = i + 1 == p->n || p->v[i + 1].family != p->v[i].family;
		u128 to = !last ? p->v[i + 1].at - 1
			  : p->v[i].family == 4 ? UINT32_MAX : ~(u128)0;

		if (reachable(p->v[i]))
			add_range(&a, root, p->v[i], to);
	}
	return lang_from_nfa(&a, root, NULL, ret);
}

int lang_address(struct table_dfa *ret)
{
	struct points p = {0};
	int r;

	class_edges(&p);
	r = points_sort(&p);
	if (r == 0)
		r = address_table(&p, ret);
	free(p.v);
	return r;
}

/* ------------------------------------------------------------------------------ samples -- */

static u128 net_first(const struct img_net *n)
{
	u128 at = 0;

	for (unsigned int i = 0; i < (n->family == 4 ? 4u : 16u); i++)
		at = at << 8 | n->addr[i];
	return at;
}

int space_addresses(const struct img_net *nets, size_t n, struct address **ret, size_t *ret_n)
{
	struct points p = {0};
	struct address *v = NULL;
	int r;

	class_edges(&p);
	for (size_t i = 0; i < n; i++)
		edges(&p, nets[i].family, net_first(&nets[i]), nets[i].prefix);
	r = points_sort(&p);
	if (r == 0)
		v = calloc(p.n, sizeof(*v));
	if (r == 0 && !v)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < p.n; i++)
		v[i] = address_of(p.v[i]);
	if (r == 0) {
		*ret = v;
		*ret_n = p.n;
	}
	free(p.v);
	return r;
}
