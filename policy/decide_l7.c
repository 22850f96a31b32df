/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide_l7.c - what one request on an inspected flow may do.
 *
 * Endpoints that count: those of the blocks that admitted the connection, on this host and port,
 * inspected, and selected by the path where they have a selector.  Over all of them together:
 *
 *   1. a deny rule fires at an enforcing endpoint            -> deny, by deny rule
 *   2. a deny rule fires, at auditing endpoints only:
 *        some allow rule allows, or no endpoint enforces     -> audit, by deny rule
 *        else an enforcing endpoint has refused as well      -> deny
 *   3. an allow rule allows, whatever its endpoint's mode    -> allow
 *   4. plain miss: an endpoint enforces, or none counts      -> deny
 *                  all are in audit mode                     -> audit
 *
 * An endpoint whose deny rule fires allows nothing.  So `audit` weakens only what its own endpoint
 * refuses, and never what another enforces.
 */
#include "policy/image_view.h"

enum flow_treatment image_flow_treatment(const struct image *img, const struct connect_decision *c)
{
	struct view_eps eps = view_eps(img, c->dstset);

	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *e = view_endpoint(img, eps.v[i]);

		if (e->flags & IMG_EP_INSPECTED && bits_have(&c->blocks, e->block))
			return FLOW_INSPECT;
	}
	return FLOW_SKIP;
}

bool image_encoded_slash(const struct image *img, const struct connect_decision *c)
{
	struct view_eps eps = view_eps(img, c->dstset);

	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *e = view_endpoint(img, eps.v[i]);

		if (e->flags & IMG_EP_INSPECTED && e->flags & IMG_EP_ENCODED_SLASH &&
		    bits_have(&c->blocks, e->block))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------ queries -- */

static bool value_matches(const struct image *img, const struct img_cond *c, struct slice value)
{
	const struct osh_img_dfa *d = &view_l7(img)->dfa;

	return view_accept(img, d, view_walk(img, d, c->start, value)) != 0;
}

/* An allow rule wants the key and all of its values; a deny rule is content with any one. */
bool view_cond_holds(const struct image *img, const struct img_cond *c, const struct request *r,
		     bool deny)
{
	struct slice name = view_str(img, c->name);
	bool found = false;

	for (size_t i = 0; i < r->nquery; i++) {
		bool matches;

		if (!slice_eq(r->query[i].name, name))
			continue;
		matches = value_matches(img, c, r->query[i].value);
		if (deny && matches)
			return true;
		if (!deny && !matches)
			return false;
		found = true;
	}
	return !deny && found;
}

static bool conds_hold(const struct image *img, const struct img_rule *rule,
		       const struct request *r)
{
	const struct img_cond *c = VIEW(img, conds, struct img_cond) + rule->first_cond;

	for (uint32_t i = 0; i < rule->nconds; i++)
		if (!view_cond_holds(img, &c[i], r, rule->deny))
			return false;
	return true;
}

/* ------------------------------------------------------------------------- one endpoint -- */

/* What one endpoint says: the first rule that denies, or else the first that allows. */
struct opinion {
	const struct img_rule *deny, *allow;
};

static uint32_t walk_request(const struct image *img, uint32_t state, const struct request *r)
{
	const struct osh_img_dfa *d = &view_l7(img)->dfa;

	state = view_walk(img, d, state, r->method);
	state = view_step(img, d, state, ' ');
	return view_walk(img, d, state, r->path);
}

static void ask_endpoint(const struct image *img, const struct img_endpoint *e,
			 const struct request *r, struct opinion *ret)
{
	const struct osh_img_dfa *d = &view_l7(img)->dfa;
	const struct img_rule *rules = VIEW(img, rules, struct img_rule) + e->first_rule;
	uint32_t set = view_accept(img, d, walk_request(img, e->start, r));
	const struct img_ruleset *s = VIEW(img, sets, struct img_ruleset) + set;
	const uint32_t *list = VIEW(img, setrules, uint32_t) + s->first;

	*ret = (struct opinion){NULL, NULL};
	if (s->deny && s->deny <= e->nrules) {
		ret->deny = &rules[s->deny - 1];
		return; /* past this, states are built as if nothing else mattered (policy/prune.c)
			 */
	}
	if (s->allow && s->allow <= e->nrules)
		ret->allow = &rules[s->allow - 1];
	for (uint32_t i = 0; i < s->n; i++) {
		const struct img_rule *x = list[i] < e->nrules ? &rules[list[i]] : NULL;

		if (!x || (!x->deny && ret->allow) || !conds_hold(img, x, r))
			continue;
		if (x->deny) {
			*ret = (struct opinion){x, NULL};
			return;
		}
		ret->allow = x;
	}
}

bool view_selected(const struct image *img, const struct img_endpoint *e, struct slice path)
{
	const struct osh_img_dfa *d = &view_l7(img)->dfa;

	return !(e->flags & IMG_EP_SELECTOR) ||
	       view_accept(img, d, view_walk(img, d, e->selector, path)) != 0;
}

/* ----------------------------------------------------------------------------- together -- */

struct verdicts {
	bool enforces;	/* an endpoint that counts is in enforce mode */
	bool counts;	/* any endpoint counts */
	uint32_t first; /* block for a plain miss */
	const struct img_rule *deny, *audit_deny, *allow; /* the first of each in file order */
	uint32_t deny_block, audit_block, allow_block;
};

static void add_opinion(struct verdicts *v, const struct img_endpoint *e, const struct opinion *o)
{
	bool audit = e->flags & IMG_EP_AUDIT;

	if (!v->counts)
		v->first = e->block;
	v->counts = true;
	v->enforces |= !audit;
	if (o->deny && !audit && !v->deny) {
		v->deny = o->deny;
		v->deny_block = e->block;
	}
	if (o->deny && audit && !v->audit_deny) {
		v->audit_deny = o->deny;
		v->audit_block = e->block;
	}
	if (o->allow && !v->allow) {
		v->allow = o->allow;
		v->allow_block = e->block;
	}
}

static void decide(const struct image *img, struct request_decision *ret,
		   enum request_verdict verdict, uint32_t block, const struct img_rule *rule)
{
	struct slice text;
	size_t n;

	ret->verdict = verdict;
	ret->block = block;
	if (!rule)
		return;
	ret->by_deny_rule = rule->deny != 0;
	ret->rule_line = rule->line;
	text = view_str(img, rule->text);
	n = text.n < sizeof(ret->rule) ? text.n : sizeof(ret->rule) - 1;
	memcpy(ret->rule, text.p, n);
	ret->rule[n] = 0;
}

static void conclude(const struct image *img, const struct verdicts *v,
		     struct request_decision *ret)
{
	if (v->deny)
		decide(img, ret, REQUEST_DENY, v->deny_block, v->deny);
	else if (v->audit_deny)
		decide(img, ret, v->allow || !v->enforces ? REQUEST_AUDIT : REQUEST_DENY,
		       v->audit_block, v->audit_deny);
	else if (v->allow)
		decide(img, ret, REQUEST_ALLOW, v->allow_block, v->allow);
	else if (v->counts && !v->enforces)
		decide(img, ret, REQUEST_AUDIT, v->first, NULL);
	else
		decide(img, ret, REQUEST_DENY, v->first, NULL);
}

void image_decide_request(const struct image *img, const struct connect_decision *c,
			  const struct request *r, struct request_decision *ret)
{
	struct view_eps eps = view_eps(img, c->dstset);
	struct verdicts v = {.first = c->block};
	bool covered = false, slash = memmem(r->path.p, r->path.n, "%2F", 3) != NULL;

	*ret = (struct request_decision){.verdict = REQUEST_DENY, .block = c->block};
	/* a blank in the method would shift what is path; the reader of requests lets none through
	 */
	if (r->method.n == 0 || memchr(r->method.p, ' ', r->method.n) || r->path.n == 0)
		return;
	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *e = view_endpoint(img, eps.v[i]);
		struct opinion o;

		if (!(e->flags & IMG_EP_INSPECTED) || !bits_have(&c->blocks, e->block))
			continue;
		if (!covered)
			v.first = e->block;
		covered = true;
		if (!view_selected(img, e, r->path))
			continue;
		ask_endpoint(img, e, r, &o);
		/* kept for another endpoint's sake: this one would have refused the target */
		if (slash && !(e->flags & IMG_EP_ENCODED_SLASH))
			o.allow = NULL;
		add_opinion(&v, e, &o);
	}
	conclude(img, &v, ret);
}
