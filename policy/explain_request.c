/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain_request.c - what came nearest to allowing a request: the rules of the endpoints that judged it.
 *
 * All path globs are walked together once; a closer look is taken only at the few whose beginning agrees best.
 */
#include "policy/explain_near.h"

#include <strings.h>

/* One way to be allowed: an allow rule, or an endpoint's `access`. */
struct way {
	const struct img_endpoint *ep;
	const struct pol_endpoint *model;
	const struct pol_rule *rule; /* NULL: access */
	bool selected, method, path, query;
};

struct ways {
	struct explain *e;
	const struct request *r;
	struct way *v;
	size_t n, cap;
};

#define PATH_ARG(s) (int)(s).n, (const char *)(s).p

static const struct img_rule *image_rule(const struct ways *w, const struct way *y)
{
	uint32_t at = y->ep->first_rule;

	if (y->rule)
		at += (uint32_t)(y->rule - y->model->rules) + (y->model->access != ACCESS_NONE);
	return &VIEW(w->e->img, rules, struct img_rule)[at];
}

/* "line 14 (POST /repos/x)" and the block's name. */
static const char *way_words(struct ways *w, const struct way *y)
{
	const struct img_rule *r = image_rule(w, y);
	struct slice text = view_str(w->e->img, r->text), key = w->e->p->blocks[y->ep->block].key;

	return explain_say(w->e, "line %u of block %.*s (%.*s)", r->line, PATH_ARG(key), PATH_ARG(text));
}

static void tell(struct ways *w, const struct way *y, enum near_kind kind, const char *text)
{
	explain_near(w->e, kind, y->ep->block, (int)image_rule(w, y)->line, text);
}

/* ------------------------------------------------------------------------------- collecting -- */

static bool method_of_rule(const struct pol_rule *rule, struct slice m)
{
	return rule->method.n == 0 || slice_eq(rule->method, m) ||
	       (slice_eq_str(rule->method, "GET") && slice_eq_str(m, "HEAD"));
}

static bool method_of_access(enum pol_access a, struct slice m)
{
	for (const char *const *v = pol_access_methods(a); *v; v++)
		if (!**v || slice_eq_str(m, *v))
			return true;
	return false;
}

/* The condition on the query that is not met, or NULL. */
static const struct pol_query *missed(const struct ways *w, const struct way *y)
{
	const struct img_rule *r = image_rule(w, y);
	const struct img_cond *c = VIEW(w->e->img, conds, struct img_cond) + r->first_cond;

	for (size_t i = 0; y->rule && i < y->rule->nquery; i++)
		if (!view_cond_holds(w->e->img, &c[i], w->r, false))
			return &y->rule->query[i];
	return NULL;
}

static void add_way(struct ways *w, struct way y)
{
	if (array_grow(&w->v, &w->cap, w->n + 1, sizeof(*w->v)) < 0) {
		w->e->oom = true;
		return;
	}
	y.method = y.rule ? method_of_rule(y.rule, w->r->method) : method_of_access(y.model->access, w->r->method);
	y.path = !y.rule || y.rule->path.n == 0;
	y.query = !missed(w, &y);
	w->v[w->n++] = y;
}

static void add_endpoint(struct ways *w, uint32_t number)
{
	const struct img_endpoint *ep = view_endpoint(w->e->img, number);
	const struct pol_block *k = &w->e->p->blocks[ep->block];
	const struct pol_endpoint *model = &k->endpoints[number - explain_first_endpoint(w->e, ep->block)];
	bool selected = view_selected(w->e->img, ep, w->r->path);

	if (model->access != ACCESS_NONE)
		add_way(w, (struct way){.ep = ep, .model = model, .selected = selected});
	for (size_t i = 0; i < model->nrules; i++)
		if (!model->rules[i].deny)
			add_way(w, (struct way){.ep = ep, .model = model, .rule = &model->rules[i], .selected = selected});
}

static void hit(void *ctx, uint32_t tag)
{
	((struct ways *)ctx)->v[tag].path = true;
}

/* Which of the globs match: all at once. */
static void match_paths(struct ways *w)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	uint32_t root = nfa_root(&a);
	char why[160];

	for (size_t i = 0; i < w->n; i++)
		if (!w->v[i].path)
			(void)glob_add(&a, root, w->v[i].rule->path, GLOB_PATH, (uint32_t)i, why, sizeof(why));
	if (match_run(&a, root, w->r->path, hit, w, NULL) == -ENOMEM)
		w->e->oom = true;
}

/* -------------------------------------------------------------------------- all but one thing -- */

/* Everything fits, and yet: the endpoint is for other paths, or does not take encoded slashes, or a deny rule fired. */
static void near_whole(struct ways *w, bool denied)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct way *y = &w->v[i];
		struct slice selector = y->model->path;

		if (!y->method || !y->path || !y->query)
			continue;
		if (!y->selected)
			tell(w, y, NEAR_SELECTOR,
			     explain_say(w->e, "%s allows it, but its endpoint (line %u) is for paths that match %.*s",
					 way_words(w, y), y->ep->line, PATH_ARG(selector)));
		else if (memmem(w->r->path.p, w->r->path.n, "%2F", 3) && !y->model->encoded_slash)
			tell(w, y, NEAR_PATH,
			     explain_say(w->e,
					 "%s allows it, but its endpoint (line %u) takes no encoded slash (it has no "
					 "'allow_encoded_slash: true')",
					 way_words(w, y), y->ep->line));
		else if (denied)
			tell(w, y, NEAR_ALLOW,
			     explain_say(w->e, "%s allows it, but a deny rule wins over every allow rule",
					 way_words(w, y)));
		if (w->e->x->nnearest)
			return;
	}
}

static const char *values_words(struct ways *w, const struct pol_query *q)
{
	const char *s = "";

	for (size_t i = 0; i < q->n && i < 4; i++)
		s = explain_say(w->e, "%s%s%.*s", s, i ? " or " : "", PATH_ARG(q->any[i]));
	return q->n > 4 ? explain_say(w->e, "%s or %zu more", s, q->n - 4) : s;
}

/* The first value that a condition met and did not match; NULL: the key is not there. */
static const struct slice *first_value(const struct ways *w, const struct way *y, const struct pol_query *q)
{
	const struct img_rule *r = image_rule(w, y);
	const struct img_cond *c =
		VIEW(w->e->img, conds, struct img_cond) + r->first_cond + (size_t)(q - y->rule->query);

	for (size_t i = 0; i < w->r->nquery; i++) {
		struct request one = *w->r;

		one.query = &w->r->query[i];
		one.nquery = 1;
		if (slice_eq(w->r->query[i].name, q->name) && !view_cond_holds(w->e->img, c, &one, false))
			return &w->r->query[i].value;
	}
	return NULL;
}

static void near_query(struct ways *w)
{
	for (size_t i = 0; i < w->n && !w->e->x->nnearest; i++) {
		const struct way *y = &w->v[i];
		const struct pol_query *q = missed(w, y);
		const struct slice *value;

		if (!y->selected || !y->method || !y->path || !q)
			continue;
		value = first_value(w, y, q);
		tell(w, y, NEAR_QUERY,
		     value ? explain_say(w->e, "%s wants %.*s to be %s, not '%.*s'", way_words(w, y), PATH_ARG(q->name),
					 values_words(w, q), PATH_ARG(*value))
			   : explain_say(w->e, "%s wants the query to have %.*s (%s)", way_words(w, y),
					 PATH_ARG(q->name), values_words(w, q)));
	}
}

/* wide: also rules that hold for every path. */
static void near_method(struct ways *w, bool wide)
{
	struct slice m = w->r->method;

	for (size_t i = 0; i < w->n; i++) {
		const struct way *y = &w->v[i];
		bool every = !y->rule || !y->rule->path.n || glob_matches_all(y->rule->path);

		if (!y->selected || y->method || !y->path || every != wide)
			continue;
		if (y->rule && y->rule->method.n == m.n &&
		    strncasecmp((const char *)y->rule->method.p, (const char *)m.p, m.n) == 0)
			tell(w, y, NEAR_METHOD,
			     explain_say(w->e, "%s allows %.*s: methods are compared with their case", way_words(w, y),
					 PATH_ARG(y->rule->method)));
		else
			tell(w, y, NEAR_METHOD,
			     explain_say(w->e, "%s allows this path, not for %.*s", way_words(w, y), PATH_ARG(m)));
		return;
	}
}

/* ------------------------------------------------------------------------------------ paths -- */

#define CLOSER_LOOK 16

/* How far the path goes with what the glob begins with literally. */
static size_t common(struct slice glob, struct slice path)
{
	size_t i = 0;

	while (i < glob.n && i < path.n && glob.p[i] == path.p[i] && !strchr("*?[{", glob.p[i]))
		i++;
	return i;
}

struct closest {
	const struct way *y[CLOSER_LOOK];
	size_t common[CLOSER_LOOK], n;
};

static void closest_add(struct closest *c, const struct way *y, size_t n)
{
	size_t at;

	if (c->n == CLOSER_LOOK && n <= c->common[c->n - 1])
		return;
	at = c->n < CLOSER_LOOK ? c->n++ : c->n - 1;
	for (; at && c->common[at - 1] < n; at--) {
		c->y[at] = c->y[at - 1];
		c->common[at] = c->common[at - 1];
	}
	c->y[at] = y;
	c->common[at] = n;
}

/* What sets the path apart from a glob that it nearly matches, or NULL. */
static const char *path_why(struct slice glob, struct slice path)
{
	_cleanup_free_ char *wide = match_widened(glob);
	bool slash = path.n > 1 && path.p[path.n - 1] == '/';

	if (glob.n > 3 && memcmp(glob.p + glob.n - 3, "/**", 3) == 0 &&
	    match_glob((struct slice){glob.p, glob.n - 3}, GLOB_PATH, path, NULL) > 0)
		return "a final '/**' stands for what is below, not for the path itself";
	if (slash && match_glob(glob, GLOB_PATH, (struct slice){path.p, path.n - 1}, NULL) > 0)
		return "the request has a '/' at its end";
	if (glob.n > 1 && glob.p[glob.n - 1] == '/' &&
	    match_glob((struct slice){glob.p, glob.n - 1}, GLOB_PATH, path, NULL) > 0)
		return "the rule has a '/' at its end";
	if (wide && match_glob(slice_str(wide), GLOB_PATH, path, NULL) > 0)
		return "'*' stays within one segment, '**' crosses '/'";
	if (glob.n == path.n && strncasecmp((const char *)glob.p, (const char *)path.p, path.n) == 0)
		return "paths are compared with their case";
	return NULL;
}

static void near_path(struct ways *w)
{
	const struct way *best = NULL;
	struct closest c = {.n = 0};
	size_t most = 1;

	for (size_t i = 0; i < w->n; i++) {
		const struct way *y = &w->v[i];

		if (y->selected && y->method && !y->path)
			closest_add(&c, y, common(y->rule->path, w->r->path));
	}
	for (size_t i = 0; i < c.n; i++) {
		const char *why = path_why(c.y[i]->rule->path, w->r->path);
		size_t alive = 0;

		if (why) {
			tell(w, c.y[i], NEAR_PATH,
			     explain_say(w->e, "%s does not match this path: %s", way_words(w, c.y[i]), why));
			return;
		}
		if (match_glob(c.y[i]->rule->path, GLOB_PATH, w->r->path, &alive) == 0 && alive > most) {
			most = alive;
			best = c.y[i];
		}
	}
	if (best)
		tell(w, best, NEAR_PATH,
		     explain_say(w->e, "%s agrees with this path up to %.*s", way_words(w, best), (int)most,
				 (const char *)w->r->path.p));
}

/* No endpoint is for this path. */
static void near_selectors(struct ways *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].selected)
			return;
	for (size_t i = 0; i < w->n; i++) {
		const struct way *y = &w->v[i];
		struct slice key = w->e->p->blocks[y->ep->block].key;

		explain_near(w->e, NEAR_SELECTOR, y->ep->block, (int)y->ep->line,
			     explain_say(w->e, "the endpoint of block %.*s is for paths that match %.*s only",
					 PATH_ARG(key), PATH_ARG(y->model->path)));
	}
}

void near_request(struct explain *e, const struct request *r, const struct request_decision *rd)
{
	struct view_eps eps = view_eps(e->img, e->cd.dstset);
	struct ways w = {.e = e, .r = r};

	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *ep = view_endpoint(e->img, eps.v[i]);

		if (ep->flags & IMG_EP_INSPECTED && bits_have(&e->cd.blocks, ep->block))
			add_endpoint(&w, eps.v[i]);
	}
	match_paths(&w);
	near_whole(&w, rd->by_deny_rule);
	near_query(&w);
	near_method(&w, false);
	near_path(&w);
	near_method(&w, true);
	near_selectors(&w);
	free(w.v);
}
