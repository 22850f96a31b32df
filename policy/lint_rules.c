/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint_rules.c - rules that can never match, never allow, or deny what nothing allows.
 *
 * A sample of what a rule matches usually shows that all is well; only what no sample clears is looked
 * at exactly, with automata.
 */
#include "policy/diag.h"
#include "policy/glob.h"
#include "policy/lint_part.h"

#define ACCESS_METHODS_MAX 8

/* What the allow rules of one program allow, denies left aside. */
struct lint_allow {
	uint32_t start; /* the program's state in the image */
	struct table_dfa dfa;
	bool open; /* too large to tell */
};

/* The endpoint whose rules are looked at. */
struct subject {
	struct lint *l;
	uint32_t n;
	const struct pol_endpoint *e;
	bool denies;	/* has a deny rule without conditions */
	uint32_t *seen; /* endpoints that the rule at hand was held against: stamps */
	uint32_t stamp;
};

void lint_rules_done(struct lint *l)
{
	for (size_t i = 0; i < l->nallow; i++)
		table_dfa_done(&l->allow[i].dfa);
	free(l->allow);
	hmap_done(&l->allows);
}

static struct slice sample_text(const struct sample *s)
{
	return (struct slice){s->buf, s->n};
}

static const struct osh_img_dfa *l7_of(const struct lint *l)
{
	return &view_l7(l->img)->dfa;
}

/* ------------------------------------------------------------------------------ patterns -- */

struct patterns {
	struct lang_pattern *v;
	size_t n;
};

static void patterns_done(struct patterns *p)
{
	free(p->v);
}

static void add_rule(struct patterns *p, const struct pol_rule *r)
{
	p->v[p->n++] = (struct lang_pattern){r->method, r->path};
	if (slice_eq_str(r->method, "GET"))
		p->v[p->n++] = (struct lang_pattern){SLICE_LIT("HEAD"), r->path};
}

/* What the endpoint allows, by access or by rules. */
static int patterns_of_allows(const struct pol_endpoint *e, struct patterns *ret)
{
	const char *const *methods = pol_access_methods(e->access);

	ret->v = calloc(2 * e->nrules + ACCESS_METHODS_MAX, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (size_t i = 0; methods[i]; i++)
		ret->v[ret->n++].method = slice_str(methods[i]);
	for (size_t i = 0; i < e->nrules; i++)
		if (!e->rules[i].deny)
			add_rule(ret, &e->rules[i]);
	return 0;
}

static int compile_rule(struct lint *l, const struct pol_rule *r, struct table_dfa *ret)
{
	struct lang_pattern v[2];
	struct patterns p = {v, 0};

	add_rule(&p, r);
	return lint_compile(l, LANG_REQUEST, p.v, p.n, ret);
}

static int compile_selector(struct lint *l, const struct pol_endpoint *e, struct table_dfa *ret)
{
	const struct lang_pattern pattern = {.glob = e->path};

	return lint_compile(l, LANG_REQUEST, &pattern, 1, ret);
}

/* --------------------------------------------------------------------------- never matches -- */

enum matching { MATCHES, NO_PATH, NOT_SELECTED };

static bool fits(const struct subject *s, const struct automaton *canonical,
		 const struct sample *text)
{
	struct automaton selector = lint_selector(s->l, s->n);

	return automaton_accepts(canonical, sample_text(text)) &&
	       (s->e->path.n == 0 || automaton_accepts(&selector, sample_text(text)));
}

/* 0, the answer in *ret (MATCHES where it stays open), or -ENOMEM. */
static int match_exactly(const struct subject *s, struct slice glob,
			 const struct automaton *canonical, enum matching *ret)
{
	const struct lang_pattern pattern = {.glob = glob};
	_cleanup_(table_dfa_done) struct table_dfa t = {0};
	struct automaton a[3] = {*canonical};
	int r = lint_compile(s->l, LANG_PATH, &pattern, 1, &t);

	*ret = MATCHES;
	if (r != 0)
		return r < 0 ? r : 0;
	a[1] = automaton_of_table(&t);
	r = lint_meet(s->l, a, 2);
	if (r == 0)
		*ret = NO_PATH;
	if (r <= 0 || s->e->path.n == 0)
		return r < 0 ? r : 0;
	a[2] = lint_selector(s->l, s->n);
	r = lint_meet(s->l, a, 3);
	if (r == 0)
		*ret = NOT_SELECTED;
	return r < 0 ? r : 0;
}

/* Is there a request path that the glob matches and that the endpoint is for? */
static int match(const struct subject *s, struct slice glob, bool slash, enum matching *ret)
{
	struct sample v[SAMPLES];
	struct automaton canonical;
	int r = lint_canonical(s->l, false, slash, &canonical);

	*ret = MATCHES;
	for (size_t i = 0, n = lint_samples(glob, v); r == 0 && i < n; i++)
		if (!lint_spend(s->l, v[i].n * 2) || fits(s, &canonical, &v[i]))
			return 0;
	return r < 0 ? r : match_exactly(s, glob, &canonical, ret);
}

/* "%2F", in either case. */
static bool has_coded_slash(struct slice s)
{
	return s.n && (memmem(s.p, s.n, "%2F", 3) || memmem(s.p, s.n, "%2f", 3));
}

/* Where a "?NAME=" stands, as in a URL, or NULL. */
static const uint8_t *url_query(struct slice s)
{
	for (size_t i = 0; i + 1 < s.n; i++) {
		size_t k = i + 1;

		if (s.p[i] != '?')
			continue;
		while (k < s.n && ((s.p[k] | 0x20) >= 'a' && (s.p[k] | 0x20) <= 'z'))
			k++;
		if (k > i + 1 && k < s.n && s.p[k] == '=')
			return s.p + i;
	}
	return NULL;
}

static void say_unmatched(struct lint *l, const struct pol_rule *r, const struct pol_endpoint *e,
			  enum matching m)
{
	if (m == NOT_SELECTED)
		lint_warn(l, r->line, r->col,
			  "this rule can never match: no path is both '" SLICE_FMT
			  "' and '" SLICE_FMT "', which the endpoint is for",
			  SLICE_ARG(r->path), SLICE_ARG(e->path));
	else if (has_coded_slash(r->path))
		lint_warn(l, r->line, r->col,
			  "this rule can never match: paths with '%%2F' are refused without "
			  "'allow_encoded_slash: true'");
	else
		lint_warn(l, r->line, r->col,
			  "this rule can never match: rules see request paths with '.' and '..' "
			  "resolved and ';...' dropped, and none of those is '" SLICE_FMT "'",
			  SLICE_ARG(r->path));
}

/* 1: the rule can match; 0: it cannot, and that has been said. */
static int check_matching(const struct subject *s, const struct pol_rule *r)
{
	/* a kept slash may come through another endpoint's leave, and a deny rule sees it */
	bool slash = r->deny ? s->l->slash : s->e->encoded_slash;
	enum matching m;
	int e = match(s, r->path, slash, &m);

	if (e < 0)
		return e;
	if (m == MATCHES)
		return 1;
	say_unmatched(s->l, r, s->e, m);
	return 0;
}

/* What reads like a slip, though it means something. */
static void check_spelling(struct lint *l, const struct pol_rule *r)
{
	static const char *const methods[] = {"GET",	 "HEAD",  "POST",    "PUT",  "DELETE",
					      "OPTIONS", "PATCH", "CONNECT", "TRACE"};
	const uint8_t *query = url_query(r->path);
	const char *near = diag_suggest(r->method, methods, ARRAY_LEN(methods));

	if (near && !slice_eq_str(r->method, near))
		lint_warn(l, r->line, r->col,
			  "method '" SLICE_FMT "' is not a usual one (did you mean '%s'?)",
			  SLICE_ARG(r->method), near);
	if (query)
		lint_warn(l, r->line, r->col,
			  "'?' in a path stands for any one character; what follows it in a URL is "
			  "matched by 'query'");
}

/* ----------------------------------------------------------------------------- never allows -- */

static const struct img_endpoint *image_endpoint(const struct subject *s)
{
	return view_endpoint(s->l->img, s->n);
}

static bool denied_on(const struct lint *l, uint32_t accept)
{
	return VIEW(l->img, sets, struct img_ruleset)[accept].deny != 0;
}

/* Is one of the samples left alone by the deny rules? */
static int sample_allowed(const struct subject *s, struct slice method, struct slice glob)
{
	struct sample v[SAMPLES];
	struct automaton canonical;
	int r = lint_canonical(s->l, false, s->e->encoded_slash, &canonical);

	for (size_t i = 0, n = lint_samples(glob, v); r == 0 && i < n; i++) {
		const struct osh_img_dfa *d = l7_of(s->l);
		uint32_t at = view_walk(s->l->img, d, image_endpoint(s)->start, method);

		if (!lint_spend(s->l, v[i].n * 4))
			return 1;
		at = view_step(s->l->img, d, at, ' ');
		at = view_walk(s->l->img, d, at, sample_text(&v[i]));
		if (fits(s, &canonical, &v[i]) && !denied_on(s->l, view_accept(s->l->img, d, at)))
			return 1;
	}
	return r;
}

static int allowed_visit(void *ctx, const uint32_t *state, const uint32_t *accept,
			 struct slice text)
{
	const struct subject *s = ctx;

	(void)state;
	(void)text;
	return accept[0] && accept[1] && accept[2] && !denied_on(s->l, accept[3]);
}

/* Is any request of these patterns left alone by the deny rules? */
static int allowed_exactly(struct subject *s, const struct lang_pattern *v, size_t n)
{
	_cleanup_(table_dfa_done) struct table_dfa rule = {0}, selector = {0};
	struct automaton a[4];
	int r = lint_canonical(s->l, true, s->e->encoded_slash, &a[0]);

	if (r == 0)
		r = lint_compile(s->l, LANG_REQUEST, v, n, &rule);
	if (r == 0)
		r = compile_selector(s->l, s->e, &selector);
	if (r != 0)
		return r;
	a[1] = automaton_of_table(&rule);
	a[2] = automaton_of_table(&selector);
	a[3] = automaton_of_image(s->l->img, l7_of(s->l), image_endpoint(s)->start);
	return lint_product(s->l, a, 4, 3, allowed_visit, s);
}

static int check_allow(struct subject *s, const struct pol_rule *rule)
{
	struct lang_pattern v[2];
	struct patterns p = {v, 0};
	int r = sample_allowed(s, rule->method.n ? rule->method : SLICE_LIT("GET"), rule->path);

	if (r != 0)
		return r < 0 ? r : 0;
	add_rule(&p, rule);
	r = allowed_exactly(s, p.v, p.n);
	if (r == 0)
		lint_warn(s->l, rule->line, rule->col,
			  "this rule can never allow anything: deny rules of this endpoint cover "
			  "all that it matches");
	return r < 0 ? r : 0;
}

static int check_access(struct subject *s)
{
	_cleanup_(patterns_done) struct patterns p = {0};
	int r = sample_allowed(s, SLICE_LIT("GET"), s->e->path);

	if (r == 0)
		r = patterns_of_allows(s->e, &p);
	if (r == 0)
		r = allowed_exactly(s, p.v, p.n);
	if (r == 0)
		lint_warn(s->l, s->e->line, s->e->col,
			  "'access' of this endpoint can never allow anything: its deny rules cover "
			  "every request");
	return r < 0 ? r : 0;
}

/* ------------------------------------------------------------------- denies what is not allowed -- */

static uint64_t allow_hash(const void *ctx, uint32_t i)
{
	return hash_bytes(6, &((const struct lint *)ctx)->allow[i].start, sizeof(uint32_t));
}

static bool allow_eq(const void *ctx, uint32_t i)
{
	const struct lint *l = ctx;

	return l->allow[i].start == l->allow[l->nallow].start;
}

/* Endpoints with the same program share what they allow. */
static int allow_of(struct lint *l, uint32_t n, const struct lint_allow **ret)
{
	_cleanup_(patterns_done) struct patterns p = {0};
	struct lint_allow *x;
	uint32_t at = 0;
	int r = array_grow(&l->allow, &l->allow_cap, l->nallow + 1, sizeof(*l->allow));

	if (r == 0) {
		l->allow[l->nallow] =
			(struct lint_allow){.start = view_endpoint(l->img, n)->start};
		r = hmap_intern(&l->allows, allow_hash(l, (uint32_t)l->nallow), allow_eq, l,
				(uint32_t)l->nallow, &at);
	}
	if (r < 0)
		return r;
	*ret = x = &l->allow[at];
	if (r == 1)
		return 0;
	l->nallow++;
	r = patterns_of_allows(l->ep[n], &p);
	if (r == 0)
		r = lint_compile(l, LANG_REQUEST, p.v, p.n, &x->dfa);
	x->open = r > 0;
	return r < 0 ? r : 0;
}

#define METHODS_TRIED 4

/* Methods of requests that a deny rule matches, to try against the allow rules of f. */
static size_t methods_to_try(const struct pol_rule *deny, const struct pol_endpoint *f,
			     struct slice ret[METHODS_TRIED])
{
	size_t n = 0;

	if (deny->method.n) {
		ret[n++] = deny->method;
		if (slice_eq_str(deny->method, "GET"))
			ret[n++] = SLICE_LIT("HEAD");
		return n;
	}
	ret[n++] = SLICE_LIT("GET");
	ret[n++] = SLICE_LIT("POST");
	for (size_t i = 0; i < f->nrules && n < METHODS_TRIED; i++)
		if (!f->rules[i].deny && f->rules[i].method.n)
			ret[n++] = f->rules[i].method;
	return n;
}

static bool allows_text(const struct lint_allow *a, struct slice method, const struct sample *s)
{
	struct automaton dfa = automaton_of_table(&a->dfa);
	uint32_t at = automaton_walk(&dfa, dfa.start, method);

	at = at ? automaton_step(&dfa, at, ' ') : 0;
	return dfa.states[automaton_walk(&dfa, at, sample_text(s))].accept != 0;
}

static int sample_overlaps(const struct subject *s, const struct pol_rule *deny, uint32_t fn,
			   const struct lint_allow *allow)
{
	const struct subject other = {.l = s->l, .n = fn, .e = s->l->ep[fn]};
	struct slice methods[METHODS_TRIED];
	size_t nmethods = methods_to_try(deny, other.e, methods);
	struct sample v[SAMPLES];
	struct automaton canonical;
	int r = lint_canonical(s->l, false, other.e->encoded_slash, &canonical);

	for (size_t i = 0, n = lint_samples(deny->path, v); r == 0 && i < n; i++) {
		if (!lint_spend(s->l, v[i].n * 8))
			return 1;
		if (!fits(s, &canonical, &v[i]) || !fits(&other, &canonical, &v[i]))
			continue;
		for (size_t k = 0; k < nmethods; k++)
			if (allows_text(allow, methods[k], &v[i]))
				return 1;
	}
	return r;
}

static int overlaps_exactly(const struct subject *s, const struct pol_rule *deny, uint32_t fn,
			    const struct lint_allow *allow)
{
	_cleanup_(table_dfa_done) struct table_dfa rule = {0}, mine = {0}, other = {0};
	struct automaton a[5];
	int r = lint_canonical(s->l, true, s->l->ep[fn]->encoded_slash, &a[0]);

	if (r == 0)
		r = compile_rule(s->l, deny, &rule);
	if (r == 0)
		r = compile_selector(s->l, s->e, &mine);
	if (r == 0)
		r = compile_selector(s->l, s->l->ep[fn], &other);
	if (r != 0)
		return r;
	a[1] = automaton_of_table(&rule);
	a[2] = automaton_of_table(&mine);
	a[3] = automaton_of_table(&other);
	a[4] = automaton_of_table(&allow->dfa);
	return lint_meet(s->l, a, 5);
}

/* Does endpoint fn allow a request that the rule denies?  1: yes, or open; 0: no. */
static int overlaps(const struct subject *s, const struct pol_rule *deny, uint32_t fn)
{
	const struct lint_allow *allow = NULL;
	int r;

	if (!pol_inspected(s->l->ep[fn]))
		return 0;
	r = allow_of(s->l, fn, &allow);
	if (r < 0 || allow->open)
		return r < 0 ? r : 1;
	r = sample_overlaps(s, deny, fn, allow);
	return r ? r : overlaps_exactly(s, deny, fn, allow);
}

/* Does any endpoint that can share a connection with this one allow what the rule denies? */
static int any_overlaps(struct subject *s, const struct pol_rule *deny)
{
	const struct lint *l = s->l;
	int r = overlaps(s, deny, s->n);

	s->stamp++;
	s->seen[s->n] = s->stamp;
	for (uint32_t i = l->set_off[s->n]; r == 0 && i < l->set_off[s->n + 1]; i++) {
		struct view_eps eps = view_eps(l->img, l->set[i]);

		for (uint32_t k = 0; r == 0 && k < eps.n; k++) {
			if (!lint_spend(s->l, 1))
				return 1;
			if (s->seen[eps.v[k]] == s->stamp)
				continue;
			s->seen[eps.v[k]] = s->stamp;
			r = overlaps(s, deny, eps.v[k]);
		}
	}
	return r;
}

static int check_deny(struct subject *s, const struct pol_rule *deny)
{
	int r = any_overlaps(s, deny);

	if (r == 0)
		lint_warn(s->l, deny->line, deny->col,
			  "this deny rule changes nothing: no rule allows what it denies");
	return r < 0 ? r : 0;
}

/* ------------------------------------------------------------------------------- endpoints -- */

static int check_rule(struct subject *s, const struct pol_rule *rule)
{
	int r;

	check_spelling(s->l, rule);
	r = check_matching(s, rule);
	if (r <= 0)
		return r;
	if (rule->deny)
		return check_deny(s, rule);
	return s->denies ? check_allow(s, rule) : 0;
}

/* 1: go on with its rules. */
static int check_endpoint_path(const struct subject *s)
{
	enum matching m;
	int r;

	if (s->e->path.n == 0)
		return 1;
	r = match(s, s->e->path, s->l->slash, &m);
	if (r < 0 || m == MATCHES)
		return r < 0 ? r : 1;
	lint_warn(s->l, s->e->line, s->e->col,
		  "this endpoint is for no request: none has a path '" SLICE_FMT "'",
		  SLICE_ARG(s->e->path));
	return 0;
}

static int check_endpoint(struct subject *s)
{
	int r = check_endpoint_path(s);

	if (r <= 0)
		return r;
	s->denies = false;
	for (size_t i = 0; i < s->e->nrules; i++)
		s->denies |= s->e->rules[i].deny && s->e->rules[i].nquery == 0;
	r = s->denies && s->e->access != ACCESS_NONE ? check_access(s) : 0;
	for (size_t i = 0; r == 0 && i < s->e->nrules; i++)
		r = check_rule(s, &s->e->rules[i]);
	return r;
}

int lint_rules(struct lint *l)
{
	_cleanup_free_ uint32_t *seen = calloc(l->nep + 1, sizeof(*seen));
	struct subject s = {.l = l, .seen = seen};
	int r = seen ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < l->nep; i++) {
		s.n = (uint32_t)i;
		s.e = l->ep[i];
		if (pol_inspected(s.e))
			r = check_endpoint(&s);
	}
	return r;
}
