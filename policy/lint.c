/* SPDX-License-Identifier: Apache-2.0 */
/* lint.c - policy_lint(): its tools, its order, and what is said about hosts. */
#include "policy/lint_part.h"

/* Work for one question, so that one of them cannot take it all. */
#define QUESTION_MAX (LINT_WORK / 8)

bool lint_room(struct lint *l)
{
	if (l->found >= LINT_WARNINGS_MAX) {
		l->cut = true;
		return false;
	}
	l->found++;
	return true;
}

bool lint_spend(struct lint *l, uint64_t work)
{
	if (l->found >= LINT_WARNINGS_MAX || l->work < work) {
		l->cut = true;
		return false;
	}
	l->work -= work;
	return true;
}

/* ----------------------------------------------------------------------------- automata -- */

struct counted {
	product_visit visit;
	void *ctx;
	size_t n;
};

static int count_visit(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	struct counted *c = ctx;

	c->n++;
	return c->visit(c->ctx, state, accept, text);
}

int lint_product(struct lint *l, const struct automaton *a, size_t n, size_t required,
		 product_visit visit, void *ctx)
{
	struct counted c = {visit, ctx, 0};
	uint64_t most = l->work < QUESTION_MAX ? l->work : QUESTION_MAX;
	const struct product_limits limits = {.combinations = most / LINT_WORK_STATE + 1};
	int r;

	if (!lint_spend(l, LINT_WORK_CALL))
		return 1;
	r = product_walk(a, n, required, NULL, &limits, count_visit, &c);
	if (r == -E2BIG || !lint_spend(l, c.n * LINT_WORK_STATE)) {
		l->cut = true;
		l->work -= l->work < c.n * LINT_WORK_STATE ? l->work : c.n * LINT_WORK_STATE;
		return r == -ENOMEM ? r : 1;
	}
	return r;
}

static int all_accept(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	const size_t *n = ctx;

	(void)state;
	(void)text;
	for (size_t i = 0; i < *n; i++)
		if (!accept[i])
			return 0;
	return 1;
}

int lint_meet(struct lint *l, const struct automaton *a, size_t n)
{
	return lint_product(l, a, n, n, all_accept, &n);
}

int lint_compile(struct lint *l, enum lang_kind kind, const struct lang_pattern *v, size_t n,
		 struct table_dfa *ret)
{
	int r;

	if (!lint_spend(l, LINT_WORK_CALL))
		return 1;
	r = lang_compile(kind, v, n, ret);
	if (r == -E2BIG) {
		l->work = 0;
		l->cut = true;
		return 1;
	}
	if (r < 0)
		return r;
	if (lint_spend(l, ret->nstates * LINT_WORK_STATE))
		return 0;
	l->work = 0;
	table_dfa_done(ret);
	*ret = (struct table_dfa){0};
	return 1;
}

int lint_canonical(struct lint *l, bool request, bool slash, struct automaton *ret)
{
	struct table_dfa *t = &l->canonical[request * 2 + slash];
	int r = 0;

	if (!t->states)
		r = request ? lang_canonical_request(slash, false, t)
			    : lang_canonical_path(slash, t);
	if (r == 0)
		*ret = automaton_of_table(t);
	return r == -E2BIG ? -ENOMEM : r;
}

struct automaton lint_selector(const struct lint *l, size_t ep)
{
	return automaton_of_image(l->img, &view_l7(l->img)->dfa,
				  view_endpoint(l->img, (uint32_t)ep)->selector);
}

/* --------------------------------------------------------------------------- the tables -- */

static int number_endpoints(struct lint *l)
{
	size_t n = view_l7(l->img)->endpoints.n;

	l->ep = calloc(n + 1, sizeof(*l->ep));
	if (!l->ep)
		return -ENOMEM;
	for (size_t b = 0; b < l->p->nblocks; b++) {
		const struct pol_block *k = &l->p->blocks[b];

		for (size_t i = 0; i < k->nendpoints && l->nep < n; i++) {
			l->ep[l->nep++] = &k->endpoints[i];
			l->slash |= k->endpoints[i].encoded_slash;
		}
	}
	return 0;
}

/* The sets of each endpoint, from the endpoints of each set. */
static int invert_sets(struct lint *l)
{
	size_t total = 0;

	for (uint32_t s = 0; s < l->img->hdr->ndstsets; s++)
		total += view_eps(l->img, s).n;
	l->set_off = calloc(l->nep + 2, sizeof(*l->set_off));
	l->set = calloc(total + 1, sizeof(*l->set));
	if (!l->set_off || !l->set || total > UINT32_MAX)
		return -ENOMEM;
	for (uint32_t s = 0; s < l->img->hdr->ndstsets; s++) {
		struct view_eps eps = view_eps(l->img, s);

		for (uint32_t i = 0; i < eps.n; i++)
			l->set_off[eps.v[i] + 2]++;
	}
	for (size_t i = 2; i < l->nep + 2; i++)
		l->set_off[i] += l->set_off[i - 1];
	for (uint32_t s = 0; s < l->img->hdr->ndstsets; s++) {
		struct view_eps eps = view_eps(l->img, s);

		for (uint32_t i = 0; i < eps.n; i++)
			l->set[l->set_off[eps.v[i] + 1]++] = s;
	}
	return 0;
}

static void lint_done(struct lint *l)
{
	lint_rules_done(l);
	for (size_t i = 0; i < ARRAY_LEN(l->canonical); i++)
		table_dfa_done(&l->canonical[i]);
	free(l->ep);
	free(l->set_off);
	free(l->set);
}

/* -------------------------------------------------------------------------------- hosts -- */

/* Bare stars are the parser's: they are said at every start. */
static void lint_hosts(struct lint *l)
{
	for (size_t i = 0; i < l->nep; i++) {
		const struct pol_endpoint *e = l->ep[i];
		struct slice s = e->host;

		if (e->host_kind != HOST_PATTERN || s.n < 4 || memcmp(s.p, "**.", 3) != 0)
			continue;
		s.p += 3;
		s.n -= 3;
		lint_warn(l, e->host_line, e->host_col,
			  "host '**." SLICE_FMT "' matches every name below '" SLICE_FMT
			  "', however deep; '*." SLICE_FMT "' is those one label below",
			  SLICE_ARG(s), SLICE_ARG(s), SLICE_ARG(s));
	}
}

int policy_lint(const struct policy *p, const struct image *img, struct policy_diags *diags)
{
	static int (*const parts[])(struct lint *) = {lint_files, lint_cover, lint_rules};
	_cleanup_(lint_done) struct lint l = {.p = p, .img = img, .d = diags};
	int r = number_endpoints(&l);

	if (r == 0)
		r = invert_sets(&l);
	if (r == 0)
		lint_hosts(&l);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(parts); i++) {
		l.work = LINT_WORK;
		r = parts[i](&l);
	}
	if (r < 0)
		return r;
	if (l.cut)
		diag_add(diags, POLICY_NOTE, 0, 0,
			 "not everything was looked for: there are more than %d warnings, or the "
			 "patterns take too much work to compare",
			 LINT_WARNINGS_MAX);
	diags_finish(diags);
	return 0;
}
