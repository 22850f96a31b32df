/* SPDX-License-Identifier: Apache-2.0 */
/* match.c - pattern nodes, walked as sets. */
#include "policy/match.h"

#include "policy/nfa_node.h"

struct node_list {
	uint32_t *v;
	size_t n, cap;
};

struct walk {
	const struct nfa *a;
	struct node_list now, next;
	uint32_t *round; /* node -> the last round in which it was entered */
	uint32_t at;	 /* this round */
	int err;
};

/* Enters a node and the stars that it reaches without input; the list is its own queue. */
static void enter(struct walk *w, uint32_t node)
{
	struct node_list *l = &w->next;
	size_t i = l->n;

	if (!node || w->round[node] == w->at)
		return;
	if (array_grow(&l->v, &l->cap, l->n + 1, sizeof(*l->v)) < 0) {
		w->err = -ENOMEM;
		return;
	}
	w->round[node] = w->at;
	l->v[l->n++] = node;
	for (; i < l->n; i++) {
		for (uint32_t n = w->a->node[l->v[i]].star; n; n = w->a->node[n].next) {
			if (w->round[n] == w->at)
				continue;
			if (array_grow(&l->v, &l->cap, l->n + 1, sizeof(*l->v)) < 0) {
				w->err = -ENOMEM;
				return;
			}
			w->round[n] = w->at;
			l->v[l->n++] = n;
		}
	}
}

static bool takes(const struct nfa *a, const struct nfa_node *n, uint8_t b)
{
	switch (NFA_KIND(*n)) {
	case NFA_BYTE:
		return NFA_LABEL(*n) == b;
	case NFA_SET:
	case NFA_STAR:
	case NFA_INNER:
	case NFA_LAST:
		return byteset_has(&a->set[NFA_LABEL(*n)], b);
	default:
		return false;
	}
}

static void step(struct walk *w, uint32_t node, uint8_t b)
{
	const struct nfa_node *nodes = w->a->node;

	if (NFA_KIND(nodes[node]) == NFA_STAR && takes(w->a, &nodes[node], b))
		enter(w, node);
	for (uint32_t c = nodes[node].child; c; c = nodes[c].next)
		if (takes(w->a, &nodes[c], b))
			enter(w, NFA_KIND(nodes[c]) == NFA_LAST ? nodes[c].child : c);
}

static void swap(struct walk *w)
{
	struct node_list l = w->now;

	w->now = w->next;
	w->next = l;
	w->next.n = 0;
	w->at++;
}

static size_t run(struct walk *w, uint32_t root, struct slice text)
{
	size_t i;

	enter(w, root);
	swap(w);
	for (i = 0; i < text.n && !w->err; i++) {
		for (size_t k = 0; k < w->now.n; k++)
			step(w, w->now.v[k], text.p[i]);
		swap(w);
		if (!w->now.n)
			break;
	}
	return i;
}

int match_run(const struct nfa *a, uint32_t root, struct slice text, match_hit hit, void *ctx, size_t *ret_alive)
{
	struct walk w = {.a = a, .at = 1};
	size_t alive = 0;

	if (nfa_status(a) < 0)
		return nfa_status(a);
	w.round = calloc(a->n + 1, sizeof(*w.round));
	if (w.round)
		alive = run(&w, root, text);
	else
		w.err = -ENOMEM;
	for (size_t i = 0; !w.err && i < w.now.n; i++)
		for (uint32_t t = a->node[w.now.v[i]].tags; t; t = a->tag[t].next)
			hit(ctx, a->tag[t].tag);
	if (!w.err && ret_alive)
		*ret_alive = alive;
	free(w.round);
	free(w.now.v);
	free(w.next.v);
	return w.err;
}

static void hit_any(void *ctx, uint32_t tag)
{
	(void)tag;
	*(bool *)ctx = true;
}

int match_glob(struct slice glob, enum glob_kind kind, struct slice text, size_t *ret_alive)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	uint32_t root = nfa_root(&a);
	bool found = false;
	char why[160];
	int r = glob_add(&a, root, glob, kind, 0, why, sizeof(why));

	if (r == -EINVAL) {
		if (ret_alive)
			*ret_alive = 0;
		return 0;
	}
	if (r == 0)
		r = match_run(&a, root, text, hit_any, &found, ret_alive);
	return r < 0 ? r : found;
}

char *match_widened(struct slice glob)
{
	char *out = glob.n && memchr(glob.p, '*', glob.n) ? malloc(2 * glob.n + 1) : NULL;
	size_t o = 0;

	for (size_t i = 0; out && i < glob.n; i++) {
		bool single = glob.p[i] == '*' && (i == 0 || glob.p[i - 1] != '*') &&
			      (i + 1 == glob.n || glob.p[i + 1] != '*');

		out[o++] = (char)glob.p[i];
		if (single)
			out[o++] = '*';
	}
	if (out)
		out[o] = 0;
	return out;
}
