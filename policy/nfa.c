/* SPDX-License-Identifier: Apache-2.0 */
/* nfa.c - building the tree of pattern nodes; nfa.h says what it is. */
#include "policy/nfa_node.h"

struct nfa_edge {
	uint32_t from, label, to;
};

void nfa_done(struct nfa *a)
{
	free(a->edge);
	hmap_done(&a->edges);
	free(a->mark);
	free(a->node);
	free(a->tag);
	free(a->set);
	hmap_done(&a->sets);
	*a = (struct nfa){0};
}

int nfa_status(const struct nfa *a)
{
	if (a->oom)
		return -ENOMEM;
	return a->full ? -E2BIG : 0;
}

static uint32_t node_new(struct nfa *a, enum nfa_kind kind, uint32_t label)
{
	if (a->n == 0)
		a->n = 1;
	if (a->n > NFA_NODES_MAX) {
		a->full = true;
		return 0;
	}
	if (array_grow(&a->node, &a->cap, a->n + 1, sizeof(*a->node)) < 0) {
		a->oom = true;
		return 0;
	}
	a->node[a->n] = (struct nfa_node){.label = (uint32_t)kind << NFA_KIND_SHIFT | label};
	return (uint32_t)a->n++;
}

uint32_t nfa_root(struct nfa *a)
{
	return node_new(a, NFA_ROOT, 0);
}

/* ------------------------------------------------------------------------------ places -- */

void nfa_mark(struct nfa *a, int line, int col)
{
	if (array_grow(&a->mark, &a->marks_cap, a->nmarks + 1, sizeof(*a->mark)) < 0) {
		a->oom = true;
		return;
	}
	a->mark[a->nmarks++] = (struct nfa_mark){(uint32_t)a->n, {line, col}};
}

/* Index of the mark that a node came under. */
static size_t mark_of(const struct nfa *a, uint32_t node)
{
	size_t lo = 0, hi = a->nmarks;

	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (a->mark[mid].node <= node)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

struct nfa_place nfa_blame(const struct nfa *a, const uint32_t *list, size_t n)
{
	_cleanup_free_ uint32_t *count = calloc(a->nmarks + 1, sizeof(*count));
	size_t worst = 0;

	if (!count || !a->nmarks)
		return (struct nfa_place){0, 0};
	for (size_t i = 0; list && i < n; i++)
		count[mark_of(a, list[i])]++;
	for (size_t i = 0; !list && i < a->nmarks; i++)
		count[i] = (i + 1 < a->nmarks ? a->mark[i + 1].node : (uint32_t)a->n) - a->mark[i].node;
	for (size_t i = 1; i < a->nmarks; i++)
		if (count[i] > count[worst])
			worst = i;
	return a->mark[worst].place;
}

/* --------------------------------------------------------------------------------- nodes -- */

static bool set_eq(const void *ctx, uint32_t i)
{
	const struct nfa *a = ctx;

	return memcmp(&a->set[i], &a->set[a->nsets], sizeof(struct byteset)) == 0;
}

static uint64_t set_hash(const void *ctx, uint32_t i)
{
	return hash_bytes(0, &((const struct nfa *)ctx)->set[i], sizeof(struct byteset));
}

/* Number of a byte set; equal sets have one number. */
static bool set_intern(struct nfa *a, const struct byteset *s, uint32_t *ret)
{
	int r;

	if (array_grow(&a->set, &a->sets_cap, a->nsets + 1, sizeof(*a->set)) < 0) {
		a->oom = true;
		return false;
	}
	a->set[a->nsets] = *s;
	r = hmap_intern(&a->sets, set_hash(a, (uint32_t)a->nsets), set_eq, a, (uint32_t)a->nsets,
			ret);
	if (r < 0)
		a->oom = true;
	else if (r == 0)
		a->nsets++;
	return r >= 0;
}

/* Children entered on a byte are looked for among the first few in the list, where they stand before
 * all others; all further ones, and those entered on a set, are found by a table. */
#define NEAR 8

/* The place in the list where the search ends, or where the one looked for stands. */
static uint32_t *search_near(struct nfa *a, uint32_t from, uint32_t label, bool *ret_full)
{
	uint32_t *at = &a->node[from].child;
	unsigned int k = 0;

	for (; k < NEAR && *at && NFA_KIND(a->node[*at]) == NFA_BYTE; k++) {
		if (a->node[*at].label == label)
			break;
		at = &a->node[*at].next;
	}
	*ret_full = k == NEAR;
	return at;
}

static uint32_t child_new(struct nfa *a, uint32_t from, enum nfa_kind kind, uint32_t label)
{
	uint32_t n = node_new(a, kind, label), *at;
	bool full;

	if (!n)
		return 0;
	at = search_near(a, from, 0, &full);
	a->node[n].next = *at;
	*at = n;
	return n;
}

static bool edge_eq(const void *ctx, uint32_t i)
{
	const struct nfa *a = ctx;
	const struct nfa_edge *e = &a->edge[i], *f = &a->edge[a->nedges];

	return e->from == f->from && e->label == f->label;
}

/* Finds or adds the child of `from` by the table. */
static uint32_t child(struct nfa *a, uint32_t from, enum nfa_kind kind, uint32_t label, bool *fresh)
{
	uint32_t key[2] = {from, (uint32_t)kind << NFA_KIND_SHIFT | label}, at, n;
	int r;

	*fresh = false;
	if (!from)
		return 0;
	r = array_grow(&a->edge, &a->edges_cap, a->nedges + 1, sizeof(*a->edge));
	if (r == 0) {
		a->edge[a->nedges] = (struct nfa_edge){key[0], key[1], 0};
		r = hmap_intern(&a->edges, hash_bytes(5, key, sizeof(key)), edge_eq, a,
				(uint32_t)a->nedges, &at);
	}
	if (r < 0)
		a->oom = true;
	if (r != 0)
		return r < 0 ? 0 : a->edge[at].to;
	n = child_new(a, from, kind, label);
	a->edge[a->nedges++].to = n;
	*fresh = n != 0;
	return n;
}

uint32_t nfa_byte(struct nfa *a, uint32_t from, uint8_t b)
{
	uint32_t want = (uint32_t)NFA_BYTE << NFA_KIND_SHIFT | b, n;
	bool full, fresh;

	if (!from)
		return 0;
	n = *search_near(a, from, want, &full);
	if (full)
		return child(a, from, NFA_BYTE, b, &fresh);
	return n && a->node[n].label == want ? n : child_new(a, from, NFA_BYTE, b);
}

uint32_t nfa_bytes(struct nfa *a, uint32_t from, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		from = nfa_byte(a, from, s.p[i]);
	return from;
}

uint32_t nfa_set(struct nfa *a, uint32_t from, const struct byteset *s)
{
	uint32_t id;
	bool fresh;

	return set_intern(a, s, &id) ? child(a, from, NFA_SET, id, &fresh) : 0;
}

static uint32_t star(struct nfa *a, uint32_t from, const struct byteset *s, bool *fresh)
{
	uint32_t id, n;

	*fresh = false;
	if (!from || !set_intern(a, s, &id))
		return 0;
	for (n = a->node[from].star; n; n = a->node[n].next)
		if (NFA_LABEL(a->node[n]) == id)
			return n;
	n = node_new(a, NFA_STAR, id);
	if (!n)
		return 0;
	a->node[n].next = a->node[from].star;
	a->node[from].star = n;
	*fresh = true;
	return n;
}

uint32_t nfa_star(struct nfa *a, uint32_t from, const struct byteset *s)
{
	bool fresh;

	return star(a, from, s, &fresh);
}

/* Two stars: over nothing, which is the way past without input, and over everything, whose '/'
 * leads there. */
uint32_t nfa_segments(struct nfa *a, uint32_t from)
{
	static const struct byteset none, all = {{~0ull, ~0ull, ~0ull, ~0ull}};
	struct byteset slash = {0};
	bool fresh;
	uint32_t to = star(a, from, &none, &fresh);

	byteset_add(&slash, '/');
	if (fresh)
		nfa_shape_end(a, nfa_star(a, from, &all), &slash, to);
	return to;
}

uint32_t nfa_char(struct nfa *a, uint32_t from, const struct byteset *form, bool *fresh)
{
	uint32_t id;

	*fresh = false;
	return set_intern(a, form, &id) ? child(a, from, NFA_CHAR, id, fresh) : 0;
}

uint32_t nfa_shape(struct nfa *a, uint32_t from, const struct byteset *s)
{
	uint32_t id;

	return from && set_intern(a, s, &id) ? child_new(a, from, NFA_INNER, id) : 0;
}

void nfa_shape_end(struct nfa *a, uint32_t from, const struct byteset *s, uint32_t to)
{
	uint32_t n = nfa_shape(a, from, s);

	if (!n)
		return;
	a->node[n].label = (uint32_t)NFA_LAST << NFA_KIND_SHIFT | NFA_LABEL(a->node[n]);
	a->node[n].child = to;
}

void nfa_tag(struct nfa *a, uint32_t at, uint32_t tag)
{
	if (a->ntags == 0)
		a->ntags = 1;
	if (!at)
		return;
	if (a->ntags > NFA_NODES_MAX) {
		a->full = true;
		return;
	}
	if (array_grow(&a->tag, &a->tags_cap, a->ntags + 1, sizeof(*a->tag)) < 0) {
		a->oom = true;
		return;
	}
	a->tag[a->ntags] = (struct nfa_tag){a->node[at].tags, tag};
	a->node[at].tags = (uint32_t)a->ntags++;
}
