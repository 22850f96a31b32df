/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dfa.c - subset construction with default transitions.
 *
 * A row lists only the bytes on which the state does something special; all others take the
 * default. A set of more than 128 bytes takes part in the default and lists its complement; a
 * smaller one lists its members.  So `*` (all but '/') costs one cell and an exact name one cell a
 * letter.
 */
#include "policy/nfa_node.h"

struct edge {
	uint32_t to;   /* node */
	uint32_t next; /* next edge on the same byte, index + 1 */
};

struct set_edge {
	uint32_t set, to;
	bool most;
};

struct dfa_scratch {
	uint32_t head[256]; /* first byte edge, index + 1; all 0 between states */
	struct byteset special;
	struct edge *edge;
	size_t nedges, edges_cap;
	struct set_edge *sedge;
	size_t nsedges, sedges_cap;
	uint32_t *list; /* the node list being built, sorted */
	size_t nlist, list_cap;
	uint32_t *tags;
	size_t tags_cap;
	struct comb_entry row[256];
	bool *most; /* by number of set: more than half of all bytes */
};

static bool *most_of_sets(const struct nfa *a)
{
	bool *most = malloc(a->nsets + 1);

	for (size_t i = 0; most && i < a->nsets; i++)
		most[i] = byteset_count(&a->set[i]) > 128;
	return most;
}

int dfa_init(struct dfa *d, const struct nfa *a, const struct dfa_limits *limits, dfa_accept accept,
	     void *ctx)
{
	*d = (struct dfa){.nfa = a, .limits = *limits, .accept = accept, .ctx = ctx};
	if (nfa_status(a) < 0)
		return nfa_status(a);
	d->scratch = calloc(1, sizeof(*d->scratch));
	d->home = calloc(a->n + 1, sizeof(*d->home));
	if (d->scratch)
		d->scratch->most = most_of_sets(a);
	if (!d->scratch || !d->scratch->most || !d->home || array_grow(&d->state, &d->cap, 1, sizeof(*d->state)) < 0 ||
	    array_grow(&d->set_end, &d->set_end_cap, 1, sizeof(*d->set_end)) < 0) {
		dfa_done(d);
		return -ENOMEM;
	}
	d->state[0] = (struct osh_img_state){0};
	d->set_end[0] = 0;
	d->n = 1;
	return 0;
}

void dfa_done(struct dfa *d)
{
	if (d->scratch) {
		free(d->scratch->edge);
		free(d->scratch->sedge);
		free(d->scratch->list);
		free(d->scratch->tags);
		free(d->scratch->most);
		free(d->scratch);
	}
	free(d->state);
	free(d->set);
	free(d->set_end);
	free(d->home);
	free(d->todo);
	hmap_done(&d->lists);
	comb_done(&d->comb);
	*d = (struct dfa){0};
}

/* ----------------------------------------------------------------------- lists of nodes -- */

/* Enters a node into the sorted list; false when it was there. */
static int list_insert(struct dfa_scratch *s, uint32_t node)
{
	size_t lo = 0, hi = s->nlist;
	int r;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->list[mid] < node)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < s->nlist && s->list[lo] == node)
		return 0;
	r = array_grow(&s->list, &s->list_cap, s->nlist + 1, sizeof(*s->list));
	if (r < 0)
		return r;
	memmove(s->list + lo + 1, s->list + lo, (s->nlist - lo) * sizeof(*s->list));
	s->list[lo] = node;
	s->nlist++;
	return 1;
}

/* Enters a node and the stars that it reaches without input.  How deep they nest is bounded by
 * GLOB_MAX, the length of a pattern. */
static int list_add(struct dfa *d, uint32_t node)
{
	int r = list_insert(d->scratch, node);

	d->work += 1 + d->scratch->nlist / 8;
	if (r <= 0)
		return r;
	for (uint32_t n = d->nfa->node[node].star; n; n = d->nfa->node[n].next) {
		r = list_add(d, n);
		if (r < 0)
			return r;
	}
	return 0;
}

static const uint32_t *state_list(const struct dfa *d, uint32_t state, size_t *ret_n)
{
	*ret_n = d->set_end[state] - d->set_end[state - 1];
	return d->set + d->set_end[state - 1];
}

static bool list_eq(const void *ctx, uint32_t i)
{
	const struct dfa *d = ctx;
	size_t n;
	const uint32_t *l = state_list(d, i, &n);

	return n == d->scratch->nlist && memcmp(l, d->scratch->list, n * sizeof(*l)) == 0;
}

/* ------------------------------------------------------------------------------- states -- */

static int accept_of(struct dfa *d, uint32_t *ret)
{
	struct dfa_scratch *s = d->scratch;
	size_t n = 0;

	*ret = 0;
	for (size_t i = 0; i < s->nlist; i++) {
		for (uint32_t t = d->nfa->node[s->list[i]].tags; t; t = d->nfa->tag[t].next) {
			int r = array_grow(&s->tags, &s->tags_cap, n + 1, sizeof(*s->tags));

			if (r < 0)
				return r;
			s->tags[n++] = d->nfa->tag[t].tag;
		}
	}
	d->work += n;
	return n ? d->accept(d->ctx, s->tags, n, ret) : 0;
}

static size_t memory_used(const struct dfa *d)
{
	return d->n * (sizeof(*d->state) + sizeof(*d->set_end)) + d->nset * sizeof(*d->set) +
	       d->todo_cap * sizeof(*d->todo) + d->lists.cap * sizeof(*d->lists.slot) +
	       d->comb.n * sizeof(*d->comb.cell);
}

static int state_new(struct dfa *d)
{
	struct dfa_scratch *s = d->scratch;
	int r;

	if (d->n >= d->limits.states || memory_used(d) > d->limits.bytes)
		return -E2BIG;
	r = array_grow(&d->state, &d->cap, d->n + 1, sizeof(*d->state));
	if (r == 0)
		r = array_grow(&d->set_end, &d->set_end_cap, d->n + 1, sizeof(*d->set_end));
	if (r == 0)
		r = array_grow(&d->set, &d->set_cap, d->nset + s->nlist, sizeof(*d->set));
	if (r == 0)
		r = array_grow(&d->todo, &d->todo_cap, d->ntodo + 1, sizeof(*d->todo));
	if (r < 0)
		return r;
	memcpy(d->set + d->nset, s->list, s->nlist * sizeof(*s->list));
	d->nset += s->nlist;
	d->set_end[d->n] = (uint32_t)d->nset;
	d->state[d->n] = (struct osh_img_state){0};
	r = accept_of(d, &d->state[d->n].accept);
	if (r < 0)
		return r;
	d->todo[d->ntodo++] = (uint32_t)d->n++;
	return 0;
}

/* The node that a list is looked up by: the last that is no star, for that is one step of few
 * patterns, while a star stays in the lists of many states. */
static uint32_t home_of_list(const struct dfa *d)
{
	const struct dfa_scratch *s = d->scratch;

	for (size_t i = s->nlist; i-- > 0;)
		if (NFA_KIND(d->nfa->node[s->list[i]]) != NFA_STAR)
			return s->list[i];
	return s->list[s->nlist - 1];
}

/* The state of the list in scratch; 0 for the empty list.  In a tree nearly every list is the first
 * of its home, which lies near the one before; the table is for the others. */
static int state_of_list(struct dfa *d, uint32_t *ret)
{
	struct dfa_scratch *s = d->scratch;
	uint32_t *home;
	int r;

	*ret = 0;
	if (d->work > d->limits.work)
		return -E2BIG;
	if (d->reach && s->nlist > 1) {
		d->work += s->nlist;
		s->nlist = nfa_prune(d->nfa, d->reach, d->kind, d->ctx, s->list, s->nlist);
	}
	if (s->nlist == 0)
		return 0;
	home = &d->home[home_of_list(d)];
	if (*home && list_eq(d, *home)) {
		*ret = *home;
		return 0;
	}
	if (!*home) {
		r = state_new(d);
		if (r == 0)
			*ret = *home = (uint32_t)d->n - 1;
		return r;
	}
	r = hmap_intern(&d->lists, hash_bytes(1, s->list, s->nlist * sizeof(*s->list)), list_eq, d,
			(uint32_t)d->n, ret);
	return r == 0 ? state_new(d) : r < 0 ? r : 0;
}

int dfa_start(struct dfa *d, uint32_t root, uint32_t *ret_state)
{
	int r;

	d->scratch->nlist = 0;
	r = list_add(d, root);
	return r < 0 ? r : state_of_list(d, ret_state);
}

/* --------------------------------------------------------------------------------- rows -- */

static int add_byte_edge(struct dfa_scratch *s, uint8_t b, uint32_t to)
{
	int r = array_grow(&s->edge, &s->edges_cap, s->nedges + 1, sizeof(*s->edge));

	if (r < 0)
		return r;
	s->edge[s->nedges] = (struct edge){to, s->head[b]};
	s->head[b] = (uint32_t)++s->nedges;
	byteset_add(&s->special, b);
	return 0;
}

static int add_set_edge(struct dfa *d, uint32_t set, uint32_t to)
{
	struct dfa_scratch *s = d->scratch;
	const struct byteset *m = &d->nfa->set[set];
	bool most = s->most[set];
	int r = array_grow(&s->sedge, &s->sedges_cap, s->nsedges + 1, sizeof(*s->sedge));

	if (r < 0)
		return r;
	s->sedge[s->nsedges++] = (struct set_edge){set, to, most};
	for (int i = 0; i < 4; i++)
		s->special.w[i] |= most ? ~m->w[i] : m->w[i];
	return 0;
}

static int gather_child(struct dfa *d, uint32_t c)
{
	const struct nfa_node *n = &d->nfa->node[c];

	switch (NFA_KIND(*n)) {
	case NFA_BYTE:
		return add_byte_edge(d->scratch, (uint8_t)NFA_LABEL(*n), c);
	case NFA_SET:
	case NFA_INNER:
		return add_set_edge(d, NFA_LABEL(*n), c);
	case NFA_LAST:
		return add_set_edge(d, NFA_LABEL(*n), n->child);
	default:
		return 0;
	}
}

/* Collects where input leads from every node of the state. */
static int gather(struct dfa *d, uint32_t state)
{
	struct dfa_scratch *s = d->scratch;
	size_t n;
	const uint32_t *l = state_list(d, state, &n);

	s->special = (struct byteset){0};
	s->nedges = s->nsedges = 0;
	for (size_t i = 0; i < n; i++) {
		const struct nfa_node *x = &d->nfa->node[l[i]];
		int r = 0;

		if (NFA_KIND(*x) == NFA_STAR)
			r = add_set_edge(d, NFA_LABEL(*x), l[i]);
		for (uint32_t c = x->child; r == 0 && c; c = d->nfa->node[c].next) {
			d->work++;
			r = gather_child(d, c);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where byte b leads; b < 0: any byte that is not special. */
static int target_of(struct dfa *d, int b, uint32_t *ret)
{
	struct dfa_scratch *s = d->scratch;
	int r = 0;

	s->nlist = 0;
	for (size_t i = 0; r == 0 && i < s->nsedges; i++) {
		const struct set_edge *e = &s->sedge[i];

		if (b < 0 ? e->most : byteset_has(&d->nfa->set[e->set], (uint8_t)b))
			r = list_add(d, s->sedge[i].to);
	}
	for (uint32_t e = b < 0 ? 0 : s->head[b]; r == 0 && e; e = s->edge[e - 1].next)
		r = list_add(d, s->edge[e - 1].to);
	d->work += s->nsedges;
	return r < 0 ? r : state_of_list(d, ret);
}

static int make_row(struct dfa *d, uint32_t state)
{
	struct dfa_scratch *s = d->scratch;
	uint32_t def = 0, to = 0, base = 0;
	size_t n = 0;
	int r = gather(d, state);

	if (r == 0 && s->nsedges)
		r = target_of(d, -1, &def);
	for (int w = 0; w < 4; w++) {
		for (uint64_t bits = s->special.w[w]; r == 0 && bits; bits &= bits - 1) {
			int b = w * 64 + __builtin_ctzll(bits);

			r = target_of(d, b, &to);
			s->head[b] = 0;
			if (r == 0 && to != def)
				s->row[n++] = (struct comb_entry){(uint8_t)b, to};
		}
	}
	if (r == 0)
		r = comb_place(&d->comb, state, s->row, n, &base);
	if (r < 0)
		return r;
	d->state[state].base = base;
	d->state[state].def = def;
	return 0;
}

int dfa_run(struct dfa *d)
{
	while (d->ntodo) {
		int r = make_row(d, d->todo[--d->ntodo]);

		if (r < 0)
			return r;
	}
	return 0;
}

struct nfa_place dfa_blame(const struct dfa *d)
{
	return nfa_blame(d->nfa, d->set, d->nset);
}
