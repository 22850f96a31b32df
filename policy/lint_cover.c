/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint_cover.c - endpoints that change nothing, for another of their block covers them.
 *
 * Without the endpoint no decision may differ: each of its destinations is the other's too, each
 * address it admits the other admits, and either the other makes that requests are read where this
 * one says nothing about them, or both say the same about each request.  Where that cannot be shown
 * by one other endpoint, nothing is said.
 */
#include "policy/host.h"
#include "policy/lint_part.h"

#define CANDIDATE_WORK 64

/* ------------------------------------------------------------------ destinations, addresses -- */

static bool destinations_covered(struct lint *l, uint32_t e, uint32_t f)
{
	for (uint32_t i = l->set_off[e]; i < l->set_off[e + 1]; i++)
		if (!lint_spend(l, 2) || !view_eps_has(view_eps(l->img, l->set[i]), f))
			return false;
	return true;
}

static bool in_nets(const struct pol_net *n, const struct pol_endpoint *f)
{
	for (size_t i = 0; i < f->nips; i++)
		if (f->ips[i].prefix <= n->prefix && net_has(&f->ips[i], n->family, n->addr))
			return true;
	return false;
}

/* Is each address that e admits one that f admits (decide.c, endpoint_admits())? */
static bool addresses_covered(struct lint *l, const struct pol_endpoint *e,
			      const struct pol_endpoint *f)
{
	const bool exact = f->host_kind == HOST_EXACT || f->host_kind == HOST_ADDRESS;
	const bool address = e->host_kind == HOST_ADDRESS && e->nips == 0;

	if (f->nips == 0 && exact)
		return true;
	if (f->nips == 0 && address)
		return address_class(e->address.family, e->address.addr) == OSH_ADDR_PUBLIC;
	if (f->nips == 0)
		return e->nips == 0 && e->host_kind != HOST_EXACT;
	if (address)
		return in_nets(&e->address, f);
	if (e->nips == 0 || !lint_spend(l, e->nips * f->nips))
		return false;
	for (size_t i = 0; i < e->nips; i++)
		if (!in_nets(&e->ips[i], f))
			return false;
	return true;
}

/* ---------------------------------------------------------------------------- requests -- */

struct pair {
	struct lint *l;
	uint32_t en, fn;
	const struct img_endpoint *e, *f;
};

static const struct img_ruleset *set_of(const struct lint *l, uint32_t accept)
{
	return VIEW(l->img, sets, struct img_ruleset) + accept;
}

static bool same_conds(const struct lint *l, const struct img_rule *a, const struct img_rule *b)
{
	const struct img_cond *c = VIEW(l->img, conds, struct img_cond);

	if (a->nconds != b->nconds || a->deny != b->deny)
		return false;
	for (uint32_t i = 0; i < a->nconds; i++) {
		const struct img_cond *x = &c[a->first_cond + i], *y = &c[b->first_cond + i];

		if (x->start != y->start ||
		    !slice_eq(view_str(l->img, x->name), view_str(l->img, y->name)))
			return false;
	}
	return true;
}

static const struct img_rule *rule_of(const struct lint *l, const struct img_endpoint *e,
				      const struct img_ruleset *s, uint32_t i)
{
	uint32_t ordinal = VIEW(l->img, setrules, uint32_t)[s->first + i];

	return VIEW(l->img, rules, struct img_rule) + e->first_rule + ordinal;
}

/* Has the set of f a rule under the same conditions? */
static bool has_conditional(const struct pair *p, const struct img_rule *rule,
			    const struct img_endpoint *f, const struct img_ruleset *sf)
{
	for (uint32_t i = 0; i < sf->n; i++)
		if (same_conds(p->l, rule, rule_of(p->l, f, sf, i)))
			return true;
	return false;
}

/* Are all conditional rules of the set (of one kind) in the other too? */
static bool conditionals_in(const struct pair *p, bool deny, const struct img_endpoint *e,
			    const struct img_ruleset *se, const struct img_endpoint *f,
			    const struct img_ruleset *sf)
{
	for (uint32_t i = 0; i < se->n; i++) {
		const struct img_rule *r = rule_of(p->l, e, se, i);

		if ((r->deny != 0) == deny && !has_conditional(p, r, f, sf))
			return false;
	}
	return true;
}

/* Does the request, on which e and f have these rules, go the same way without e? */
static bool implied(const struct pair *p, const struct img_ruleset *e, const struct img_ruleset *f)
{
	/* an auditing endpoint that denies what the other would allow lets it through */
	if (p->e->flags & IMG_EP_AUDIT &&
	    ((!e->deny && f->deny) || !conditionals_in(p, true, p->f, f, p->e, e)))
		return false;
	if (f->deny)
		return true;
	if (e->deny || !conditionals_in(p, true, p->e, e, p->f, f))
		return false;
	if (f->allow)
		return true;
	return !e->allow && conditionals_in(p, false, p->e, e, p->f, f);
}

/* Canonical requests, e's selector, e's rules, f's rules, f's selector. */
enum { REQUEST, SELECTED, RULES, OTHER_RULES, OTHER_SELECTED, AUTOMATA };

static int differ_visit(void *ctx, const uint32_t *state, const uint32_t *accept,
			struct slice text)
{
	const struct pair *p = ctx;

	(void)state;
	(void)text;
	if (!accept[REQUEST] || !accept[SELECTED])
		return 0;
	return !accept[OTHER_SELECTED] ||
	       !implied(p, set_of(p->l, accept[RULES]), set_of(p->l, accept[OTHER_RULES]));
}

/* A selector in the form of requests; none: every path. */
static int selector_of(struct lint *l, uint32_t n, struct table_dfa *ret)
{
	const struct lang_pattern pattern = {.glob = l->ep[n]->path};

	return lint_compile(l, LANG_REQUEST, &pattern, 1, ret);
}

/* 1: they differ on some request, or that takes too long to tell; 0: they do not. */
static int requests_differ(struct pair *p)
{
	_cleanup_(table_dfa_done) struct table_dfa mine = {0}, other = {0};
	const struct osh_img_dfa *l7 = &view_l7(p->l->img)->dfa;
	struct automaton a[AUTOMATA];
	int r = lint_canonical(p->l, true, true, &a[REQUEST]);

	if (r == 0)
		r = selector_of(p->l, p->en, &mine);
	if (r == 0)
		r = selector_of(p->l, p->fn, &other);
	if (r != 0)
		return r;
	a[SELECTED] = automaton_of_table(&mine);
	a[RULES] = automaton_of_image(p->l->img, l7, p->e->start);
	a[OTHER_RULES] = automaton_of_image(p->l->img, l7, p->f->start);
	a[OTHER_SELECTED] = automaton_of_table(&other);
	return lint_product(p->l, a, AUTOMATA, 2, differ_visit, p);
}

/* ------------------------------------------------------------------------------ samples -- */

static uint32_t rules_on(const struct lint *l, const struct img_endpoint *e, struct slice method,
			 const struct sample *s)
{
	const struct osh_img_dfa *d = &view_l7(l->img)->dfa;
	uint32_t at = view_walk(l->img, d, e->start, method);

	at = view_step(l->img, d, at, ' ');
	at = view_walk(l->img, d, at, (struct slice){s->buf, s->n});
	return view_accept(l->img, d, at);
}

static bool selects(const struct lint *l, uint32_t n, const struct sample *s)
{
	struct automaton a = lint_selector(l, n);

	return l->ep[n]->path.n == 0 || automaton_accepts(&a, (struct slice){s->buf, s->n});
}

/* Does one request of this kind show that they differ? */
static int sample_differs(struct pair *p, struct slice method, struct slice glob)
{
	struct sample s[SAMPLES];
	struct automaton canonical;
	int r = lint_canonical(p->l, false, true, &canonical);

	for (size_t i = 0, n = lint_samples(glob, s); r == 0 && i < n; i++) {
		if (!lint_spend(p->l, s[i].n * 4))
			return 1;
		if (!automaton_accepts(&canonical, (struct slice){s[i].buf, s[i].n}) ||
		    !selects(p->l, p->en, &s[i]))
			continue;
		if (!selects(p->l, p->fn, &s[i]) ||
		    !implied(p, set_of(p->l, rules_on(p->l, p->e, method, &s[i])),
			     set_of(p->l, rules_on(p->l, p->f, method, &s[i]))))
			return 1;
	}
	return r;
}

#define RULES_TRIED 8

/* A look at a few requests settles most pairs. */
static int samples_differ(struct pair *p)
{
	const struct pol_endpoint *e = p->l->ep[p->en];
	int r = sample_differs(p, SLICE_LIT("GET"), e->path);

	if (r == 0 && e->access >= ACCESS_READ_WRITE)
		r = sample_differs(p, SLICE_LIT("POST"), e->path);
	if (r == 0 && e->access == ACCESS_FULL)
		r = sample_differs(p, SLICE_LIT("DELETE"), e->path);
	for (size_t i = 0; r == 0 && i < e->nrules && i < RULES_TRIED; i++)
		r = sample_differs(p, e->rules[i].method.n ? e->rules[i].method : SLICE_LIT("GET"),
				   e->rules[i].path);
	return r;
}

/* --------------------------------------------------------------------------- endpoints -- */

/* The same rules under the same conditions, and the same selector. */
static bool same_requests(const struct pair *p)
{
	const struct img_rule *v = VIEW(p->l->img, rules, struct img_rule);

	if (p->e->start != p->f->start || p->e->nrules != p->f->nrules ||
	    !slice_eq(p->l->ep[p->en]->path, p->l->ep[p->fn]->path) ||
	    !lint_spend(p->l, p->e->nrules))
		return false;
	for (uint32_t i = 0; i < p->e->nrules; i++)
		if (!same_conds(p->l, &v[p->e->first_rule + i], &v[p->f->first_rule + i]))
			return false;
	return true;
}

/* How much of a flow is looked at; the most that any endpoint of the block wants is done. */
static int depth(const struct pol_endpoint *e)
{
	return pol_inspected(e) ? 2 : e->tls == TLS_SKIP;
}

/* 1: without e nothing changes, for there is f; 0: it would, or it is not known. */
static int covered(struct pair *p)
{
	const struct pol_endpoint *e = p->l->ep[p->en], *f = p->l->ep[p->fn];
	int r;

	if (depth(e) > depth(f) || !addresses_covered(p->l, e, f) ||
	    !destinations_covered(p->l, p->en, p->fn))
		return 0;
	if (depth(e) < 2)
		return 1;
	if (e->enforcement != f->enforcement || (e->encoded_slash && !f->encoded_slash))
		return 0;
	if (same_requests(p))
		return 1;
	r = samples_differ(p);
	if (r == 0)
		r = requests_differ(p);
	return r < 0 ? r : !r;
}

static void say(struct lint *l, const struct pol_endpoint *e, const struct pol_endpoint *f)
{
	if (e->line == f->line && e->col == f->col) /* by an alias */
		lint_warn(l, e->line, e->col, "this endpoint is in its block more than once");
	else if (depth(e) < depth(f))
		lint_warn(l, e->line, e->col,
			  "this endpoint changes nothing: the one at line %d of this block covers "
			  "it and has %s",
			  f->line,
			  depth(f) == 2 ? "its connections inspected" : "its server name checked");
	else
		lint_warn(l, e->line, e->col,
			  "this endpoint changes nothing: the one at line %d of this block covers "
			  "it",
			  f->line);
}

/* The smallest set that the endpoint is in: who covers it is there too. */
static struct view_eps smallest_set(struct lint *l, uint32_t e)
{
	struct view_eps best = {NULL, 0};

	for (uint32_t i = l->set_off[e]; i < l->set_off[e + 1]; i++) {
		struct view_eps s = view_eps(l->img, l->set[i]);

		if (!best.v || s.n < best.n)
			best = s;
	}
	return best;
}

/* Where the endpoints of the block begin in an ascending list. */
static uint32_t first_of_block(const struct lint *l, struct view_eps eps, uint32_t block)
{
	uint32_t lo = 0, hi = eps.n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (view_endpoint(l->img, eps.v[mid])->block < block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int check_endpoint(struct lint *l, uint32_t en, uint8_t *pointless)
{
	const struct img_endpoint *e = view_endpoint(l->img, en), *f;
	struct view_eps eps = smallest_set(l, en);
	int r = 0;

	for (uint32_t i = first_of_block(l, eps, e->block); r == 0 && i < eps.n; i++) {
		f = view_endpoint(l->img, eps.v[i]);
		if (f->block != e->block || !lint_spend(l, CANDIDATE_WORK))
			break;
		if (eps.v[i] != en && !pointless[eps.v[i]])
			r = covered(&(struct pair){l, en, eps.v[i], e, f});
		if (r > 0) {
			pointless[en] = 1;
			say(l, l->ep[en], l->ep[eps.v[i]]);
		}
	}
	return r < 0 ? r : 0;
}

/* From the last to the first, so that of two alike the later one is named, and the first stays. */
int lint_cover(struct lint *l)
{
	_cleanup_free_ uint8_t *pointless = calloc(l->nep + 1, 1);
	int r = pointless ? 0 : -ENOMEM;

	for (size_t i = l->nep; r == 0 && i-- > 0;)
		r = check_endpoint(l, (uint32_t)i, pointless);
	return r;
}
