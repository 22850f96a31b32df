/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space_queries.c - which outcomes can a request's query give to the conditions of some rules?
 *
 * Parameters of different names are independent.  For one name, the values that can be sent fall into
 * classes by which conditions they match; a query sends values of some classes, and what counts is
 * which conditions hold: of an allow rule, when all values match and there is one; of a deny rule,
 * when any value does.
 */
#include "policy/space.h"

#define CONDS_MAX 64	   /* of one name */
#define STATES_MAX 65536 /* sets of classes that differ, of one name */

struct value_class {
	uint64_t matches; /* by condition */
	bool wanted;
	struct slice text;
};

/* Values sent so far. */
struct sent {
	uint64_t all, any;
	bool present, wanted;
	uint32_t parent, value; /* the last one */
	uint32_t n;
};

struct outcome {
	uint64_t allow, deny; /* which conditions hold */
	uint32_t sent;
};

struct name {
	struct slice name;
	const struct query_want *want;
	struct {
		size_t side;
		uint32_t start;
		bool deny;
	} cond[CONDS_MAX];
	size_t nconds;
	struct value_class *value;
	size_t nvalues, values_cap;
	struct sent *sent;
	size_t nsent, sent_cap;
	struct hmap map;
	struct outcome *outcome;
	size_t noutcomes, outcomes_cap;
};

struct query_space {
	struct space *s;
	const struct query_filter *f;
	struct name *v;
	size_t n, cap;
	struct query_pair *pair;
	size_t npairs, pairs_cap;
	uint64_t visits;
	query_visit visit;
	void *ctx;
};

static void query_space_done(struct query_space *q)
{
	for (size_t i = 0; i < q->n; i++) {
		free(q->v[i].value);
		free(q->v[i].sent);
		free(q->v[i].outcome);
		hmap_done(&q->v[i].map);
	}
	free(q->v);
	free(q->pair);
}

/* --------------------------------------------------------------- the conditions at stake -- */

static struct name *name_of(struct query_space *q, struct slice text)
{
	for (size_t i = 0; i < q->n; i++)
		if (slice_eq(q->v[i].name, text))
			return &q->v[i];
	if (array_grow(&q->v, &q->cap, q->n + 1, sizeof(*q->v)) < 0)
		return NULL;
	q->v[q->n] = (struct name){.name = text};
	return &q->v[q->n++];
}

static int add_cond(struct query_space *q, size_t side, const struct img_cond *c, bool deny)
{
	struct name *n = name_of(q, view_str(q->s->img[side], c->name));

	if (!n)
		return -ENOMEM;
	for (size_t i = 0; i < n->nconds; i++)
		if (n->cond[i].side == side && n->cond[i].start == c->start &&
		    n->cond[i].deny == deny)
			return 0;
	if (n->nconds == CONDS_MAX)
		return -E2BIG;
	n->cond[n->nconds].side = side;
	n->cond[n->nconds].start = c->start;
	n->cond[n->nconds++].deny = deny;
	return 0;
}

static int add_endpoint(struct query_space *q, const struct space_endpoint *x, uint32_t accept)
{
	const struct image *img = q->s->img[x->side];
	const struct img_ruleset *set = VIEW(img, sets, struct img_ruleset) + accept;
	const uint32_t *list = VIEW(img, setrules, uint32_t) + set->first;
	const struct img_rule *rules = VIEW(img, rules, struct img_rule) + x->e->first_rule;
	int r = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		const struct img_rule *rule = list[i] < x->e->nrules ? &rules[list[i]] : NULL;
		const struct img_cond *c;

		if (!rule)
			continue;
		c = VIEW(img, conds, struct img_cond) + rule->first_cond;
		for (uint32_t k = 0; r == 0 && k < rule->nconds; k++)
			r = add_cond(q, x->side, &c[k], rule->deny);
	}
	return r;
}

/* ------------------------------------------------------------------------ value classes -- */

struct value_walk {
	struct query_space *q;
	struct name *n;
};

static int value_visit(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	struct value_walk *w = ctx;
	struct name *n = w->n;
	struct value_class x = {.wanted = !n->want || accept[1]};
	size_t fixed = n->want ? 2 : 1;
	int r;

	(void)state;
	if (!accept[0])
		return 0;
	for (size_t i = 0; i < n->nconds; i++)
		x.matches |= (uint64_t)(accept[fixed + i] != 0) << i;
	for (size_t i = 0; i < n->nvalues; i++)
		if (n->value[i].matches == x.matches && n->value[i].wanted == x.wanted)
			return 0;
	r = array_grow(&n->value, &n->values_cap, n->nvalues + 1, sizeof(*n->value));
	if (r < 0)
		return r;
	if (n->nvalues >= 4096)
		return -E2BIG;
	x.text = (struct slice){(const uint8_t *)arena_copy(&w->q->s->arena, text), text.n};
	n->value[n->nvalues++] = x;
	return x.text.p ? 0 : -ENOMEM;
}

static int find_values(struct query_space *q, struct name *n, const struct table_dfa *lang)
{
	struct automaton a[2 + CONDS_MAX];
	struct value_walk w = {q, n};
	size_t k = 0;

	a[k++] = automaton_of_table(lang);
	if (n->want)
		a[k++] = automaton_of_table(&n->want->glob);
	for (size_t i = 0; i < n->nconds; i++) {
		const struct image *img = q->s->img[n->cond[i].side];

		a[k++] = automaton_of_image(img, &view_l7(img)->dfa, n->cond[i].start);
	}
	return product_walk(a, k, 1, NULL, &PRODUCT_LIMITS_DEFAULT, value_visit, &w);
}

/* ----------------------------------------------------------------------------- outcomes -- */

static bool sent_eq(const void *ctx, uint32_t i)
{
	const struct name *n = ctx;
	const struct sent *a = &n->sent[i], *b = &n->sent[n->nsent];

	return a->all == b->all && a->any == b->any && a->present == b->present &&
	       a->wanted == b->wanted;
}

static int sent_add(struct name *n, struct sent x)
{
	const uint64_t key[] = {x.all, x.any, (uint64_t)x.present << 1 | x.wanted};
	uint32_t at;
	int r = array_grow(&n->sent, &n->sent_cap, n->nsent + 1, sizeof(*n->sent));

	if (r < 0)
		return r;
	if (n->nsent >= STATES_MAX)
		return -E2BIG;
	n->sent[n->nsent] = x;
	r = hmap_intern(&n->map, hash_bytes(12, key, sizeof(key)), sent_eq, n, (uint32_t)n->nsent,
			&at);
	if (r == 0)
		n->nsent++;
	return r < 0 ? r : 0;
}

static int find_sent(struct name *n)
{
	int r = sent_add(n, (struct sent){.all = ~0ull, .wanted = !n->want, .parent = UINT32_MAX});

	for (size_t i = 0; r == 0 && i < n->nsent; i++) {
		for (size_t k = 0; r == 0 && k < n->nvalues; k++) {
			const struct value_class *v = &n->value[k];
			struct sent x = n->sent[i];

			x.all &= v->matches;
			x.any |= v->matches;
			x.present = true;
			x.wanted |= n->want && v->wanted;
			x.parent = (uint32_t)i;
			x.value = (uint32_t)k;
			x.n++;
			r = sent_add(n, x);
		}
	}
	return r;
}

static int outcome_add(struct name *n, const struct outcome *x, bool best)
{
	size_t out = 0;
	int r;

	for (size_t i = 0; i < n->noutcomes; i++) {
		const struct outcome *y = &n->outcome[i];

		if (y->allow == x->allow && y->deny == x->deny)
			return 0;
		if (best && !(x->allow & ~y->allow) && !(y->deny & ~x->deny))
			return 0; /* y allows as much and denies no more */
	}
	for (size_t i = 0; best && i < n->noutcomes; i++) {
		const struct outcome *y = &n->outcome[i];

		if ((y->allow & ~x->allow) || (x->deny & ~y->deny))
			n->outcome[out++] = *y;
	}
	if (best)
		n->noutcomes = out;
	r = array_grow(&n->outcome, &n->outcomes_cap, n->noutcomes + 1, sizeof(*n->outcome));
	if (r == 0)
		n->outcome[n->noutcomes++] = *x;
	return r;
}

static int find_outcomes(struct query_space *q, struct name *n, const struct table_dfa *lang)
{
	uint64_t allow = 0;
	int r = find_values(q, n, lang);

	for (size_t i = 0; i < n->nconds; i++)
		allow |= (uint64_t)!n->cond[i].deny << i;
	if (r == 0)
		r = find_sent(n);
	for (size_t i = 0; r == 0 && i < n->nsent; i++) {
		const struct sent *x = &n->sent[i];
		const struct outcome o = {.allow = x->present ? x->all & allow : 0,
					  .deny = x->any & ~allow,
					  .sent = (uint32_t)i};

		if (x->wanted)
			r = outcome_add(n, &o, q->f->best);
	}
	return r;
}

/* ----------------------------------------------------------------------------- together -- */

static int push_values(struct query_space *q, const struct name *n, const struct outcome *o)
{
	const struct sent *x = &n->sent[o->sent];
	int r = array_grow(&q->pair, &q->pairs_cap, q->npairs + x->n + 1, sizeof(*q->pair));

	if (r < 0)
		return r;
	for (; x->n; x = &n->sent[x->parent])
		q->pair[q->npairs++] = (struct query_pair){n->name, n->value[x->value].text};
	return 0;
}

/* Every combination of outcomes of the names from i on. */
static int combine(struct query_space *q, size_t i)
{
	int r = 0;

	if (i == q->n) {
		if (++q->visits > SPACE_QUERIES_MAX)
			return -E2BIG;
		return q->visit(q->ctx, q->pair, q->npairs);
	}
	for (size_t k = 0; r == 0 && k < q->v[i].noutcomes; k++) {
		size_t before = q->npairs;

		r = push_values(q, &q->v[i], &q->v[i].outcome[k]);
		if (r == 0)
			r = combine(q, i + 1);
		q->npairs = before;
	}
	return r;
}

static int run(struct query_space *q, const struct space_endpoint *v, size_t n,
	       const uint32_t *accept)
{
	const struct table_dfa *lang = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_endpoint(q, &v[i], accept[v[i].automaton]);
	for (size_t i = 0; r == 0 && i < q->f->n; i++) {
		struct name *x = name_of(q, q->f->v[i].name);

		if (x)
			x->want = &q->f->v[i];
		else
			r = -ENOMEM;
	}
	if (r == 0 && q->n)
		r = space_lang(q->s, SPACE_QUERY, &lang);
	if (r == 0 && q->n > 64) /* combine() goes so deep */
		r = -E2BIG;
	for (size_t i = 0; r == 0 && i < q->n; i++)
		r = find_outcomes(q, &q->v[i], lang);
	return r < 0 ? r : combine(q, 0);
}

int space_queries(struct space *s, const struct query_filter *f, const struct space_endpoint *v,
		  size_t n, const uint32_t *accept, query_visit visit, void *ctx)
{
	struct query_space q = {.s = s, .f = f, .visit = visit, .ctx = ctx};
	int r = run(&q, v, n, accept);

	query_space_done(&q);
	return r;
}
