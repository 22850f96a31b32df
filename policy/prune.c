/* SPDX-License-Identifier: Apache-2.0 */
/* prune.c - which nodes of a state cannot matter any more; nfa.h says why. */
#include "policy/nfa_node.h"

static void merge(struct nfa_reach *to, const struct nfa_reach *from)
{
	to->allow = from->allow < to->allow ? from->allow : to->allow;
	to->deny = from->deny < to->deny ? from->deny : to->deny;
	to->allow_if |= from->allow_if;
	to->deny_if |= from->deny_if;
}

static void merge_tag(struct nfa_reach *to, enum tag_kind kind, uint32_t tag)
{
	const struct nfa_reach one = {
		.allow = kind == TAG_ALLOW ? tag : UINT32_MAX,
		.deny = kind == TAG_DENY ? tag : UINT32_MAX,
		.allow_if = kind == TAG_ALLOW_IF,
		.deny_if = kind == TAG_DENY_IF,
	};

	merge(to, &one);
}

static void reach_of(const struct nfa *a, uint32_t n, struct nfa_reach *r, nfa_tag_kind kind,
		     const void *ctx)
{
	const struct nfa_node *x = &a->node[n];

	for (uint32_t t = x->tags; t; t = a->tag[t].next)
		merge_tag(&r[n], kind(ctx, a->tag[t].tag), a->tag[t].tag);
	if (NFA_KIND(*x) == NFA_LAST) { /* its child is where it arrives */
		merge(&r[n], &r[x->child]);
		return;
	}
	for (uint32_t c = x->child; c; c = a->node[c].next)
		merge(&r[n], &r[c]);
	for (uint32_t c = x->star; c; c = a->node[c].next)
		merge(&r[n], &r[c]);
	if (NFA_KIND(*x) == NFA_STAR)
		r[n].forever = byteset_count(&a->set[NFA_LABEL(*x)]) == 256;
}

/* Children have higher numbers than their parents, but for the node that a shape arrives at, which
 * is a child of the parent as well: so a second pass completes the shapes. */
struct nfa_reach *nfa_reach(const struct nfa *a, nfa_tag_kind kind, const void *ctx)
{
	struct nfa_reach *r = malloc((a->n + 1) * sizeof(*r));

	if (!r)
		return NULL;
	for (size_t n = 0; n <= a->n; n++)
		r[n] = (struct nfa_reach){.allow = UINT32_MAX, .deny = UINT32_MAX};
	for (int pass = 0; pass < 2; pass++)
		for (size_t n = a->n; n-- > 1;)
			reach_of(a, (uint32_t)n, r, kind, ctx);
	return r;
}

/* The first rules that have matched for good. */
static struct nfa_reach settled(const struct nfa *a, const struct nfa_reach *reach,
				nfa_tag_kind kind, const void *ctx, const uint32_t *list, size_t n)
{
	struct nfa_reach s = {.allow = UINT32_MAX, .deny = UINT32_MAX};

	for (size_t i = 0; i < n; i++) {
		if (!reach[list[i]].forever)
			continue;
		for (uint32_t t = a->node[list[i]].tags; t; t = a->tag[t].next)
			merge_tag(&s, kind(ctx, a->tag[t].tag), a->tag[t].tag);
	}
	return s;
}

/* Can the node still change the outcome?  Behind a deny rule only an earlier one counts, and no
 * allow rule. */
static bool matters(const struct nfa_reach *r, const struct nfa_reach *settled)
{
	if (r->deny < settled->deny)
		return true;
	if (settled->deny != UINT32_MAX)
		return false;
	return r->deny_if || r->allow < settled->allow;
}

static bool holds_tag(const struct nfa *a, uint32_t node, uint32_t tag)
{
	for (uint32_t t = a->node[node].tags; t; t = a->tag[t].next)
		if (a->tag[t].tag == tag)
			return true;
	return false;
}

size_t nfa_prune(const struct nfa *a, const struct nfa_reach *reach, nfa_tag_kind kind,
		 const void *ctx, uint32_t *list, size_t n)
{
	struct nfa_reach s = settled(a, reach, kind, ctx, list, n);
	uint32_t first = s.deny != UINT32_MAX ? s.deny : s.allow;
	bool kept = false;
	size_t out = 0;

	if (first == UINT32_MAX)
		return n;
	for (size_t i = 0; i < n; i++) {
		const struct nfa_reach *r = &reach[list[i]];
		bool keep = matters(r, &s);

		if (r->forever && !kept && holds_tag(a, list[i], first))
			keep = kept = true;
		if (keep)
			list[out++] = list[i];
	}
	return out;
}
