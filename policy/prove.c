/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prove.c - looks for a request that an expression describes and the policy allows.
 *
 * Goes through all classes of destinations, of callers at each, and of requests of each, that
 * policy/space.h tells apart, and asks the ordinary decision functions about one member of each.  When
 * none is allowed, none is.
 */
#include "policy/prove_expr.h"

struct prove {
	struct space s;
	const struct image *img;
	const struct prove_expr *e;
	struct path_classes exe, script, anc, must;
	struct caller_filter callers;
	struct shape_set seen;
	/* the destination at hand */
	const struct dest_class *dest;
	struct callers who;
	struct connect_decision *connect; /* [who.n] */
	struct space_endpoints ep;
	/* the request at hand */
	struct slice method, path;
	struct witness *ret;
};

static void prove_done(struct prove *p)
{
	path_classes_done(&p->exe);
	path_classes_done(&p->script);
	path_classes_done(&p->anc);
	path_classes_done(&p->must);
	callers_done(&p->who);
	shape_set_done(&p->seen);
	free(p->connect);
	free(p->ep.v);
	space_done(&p->s);
}

/* ------------------------------------------------------------------------------ callers -- */

static int programs(struct prove *p, const struct expr_program *x, struct path_classes *ret)
{
	if (x->which == EXPR_NONE)
		return 0;
	return space_paths(&p->s, x->which == EXPR_GLOB ? x->glob : (struct slice){0}, false, ret);
}

static int find_programs(struct prove *p)
{
	const struct prove_expr *e = p->e;
	const struct expr_program any = {.which = EXPR_ANY};
	int r = space_paths(&p->s, e->binary, e->binary.n == 0, &p->exe);

	if (r == 0)
		r = programs(p, &e->script, &p->script);
	if (r == 0 && e->ancestor.which != EXPR_NONE)
		r = programs(p, &any, &p->anc);
	if (r == 0 && e->ancestor.which == EXPR_GLOB)
		r = programs(p, &e->ancestor, &p->must);
	p->callers = (struct caller_filter){
		.exe = &p->exe,
		.script = e->script.which == EXPR_NONE ? NULL : &p->script,
		.must_script = e->script.which == EXPR_GLOB,
		.anc = e->ancestor.which == EXPR_NONE ? NULL : &p->anc,
		.must = e->ancestor.which == EXPR_GLOB ? &p->must : NULL,
		.untainted = e->tainted != 1,
		.tainted = e->tainted != 0,
	};
	return r;
}

/* ---------------------------------------------------------------------------- witnesses -- */

/* Believed only when the ordinary functions say the same of its texts. */
static int found(struct prove *p, const struct caller *who, const struct request *q)
{
	struct witness w = {0};
	struct decided d = {0};
	int r = witness_make(&p->who, who, &p->dest->dest, q, &w);

	if (r == 0)
		r = witness_decide(p->img, &w, &d);
	if (r == 0 && !outcome_passes(d.outcome))
		r = -EINVAL;
	if (r < 0) {
		witness_done(&w);
		return r;
	}
	*p->ret = w;
	return 1;
}

/* ----------------------------------------------------------------------------- requests -- */

static int on_query(void *ctx, const struct query_pair *query, size_t n)
{
	struct prove *p = ctx;
	const struct request q = {p->method, p->path, query, n};

	for (size_t i = 0; i < p->who.n; i++) {
		struct decided d;
		int r;

		if (p->who.v[i].repeats)
			continue;
		r = space_spend(&p->s, 1 + p->ep.n / 16);
		if (r < 0)
			return r;
		decide_request(p->img, &p->connect[i], &q, &d);
		if (outcome_passes(d.outcome))
			return found(p, &p->who.v[i], &q);
	}
	return 0;
}

static int on_request(void *ctx, struct slice method, struct slice path, const uint32_t *accept)
{
	struct prove *p = ctx;
	const struct query_filter f = {p->e->query, p->e->nquery, true};

	p->method = method;
	p->path = path;
	return space_queries(&p->s, &f, p->ep.v, p->ep.n, accept, on_query, p);
}

static int search_requests(struct prove *p)
{
	struct request_filter f = {.method = p->e->method,
				   .path = p->e->path.n ? &p->e->path_dfa : NULL};
	int r = space_endpoints(&p->s, p->dest, &p->who, &p->ep);

	if (r < 0 || p->ep.n == 0)
		return r;
	f.slash = p->ep.slash;
	return space_requests(&p->s, &f, p->ep.v, p->ep.n, on_request, p);
}

/* ------------------------------------------------------------------------- destinations -- */

/* Connections first: the simplest answer is one that is not looked into. */
static int search_callers(struct prove *p)
{
	free(p->connect);
	p->connect = calloc(p->who.n + 1, sizeof(*p->connect));
	if (!p->connect)
		return -ENOMEM;
	for (size_t i = 0; i < p->who.n; i++) {
		struct decided d;

		if (p->who.v[i].repeats)
			continue;
		image_decide_connect(p->img, &p->who.v[i].bits[0], &p->dest->dest, &p->connect[i]);
		decide_flow(p->img, &p->connect[i], &d);
		if (outcome_passes(d.outcome))
			return found(p, &p->who.v[i], NULL);
	}
	return search_requests(p);
}

static int on_dest(void *ctx, const struct dest_class *d)
{
	struct prove *p = ctx;
	_cleanup_(dest_shape_done) struct dest_shape shape = {0};
	uint32_t at;
	int r = space_shape(&p->s, d, &shape);

	if (r == 0)
		r = shape_set_add(&p->s, &p->seen, &shape, &at);
	if (r != 0)
		return r < 0 ? r : 0;
	p->dest = d;
	callers_done(&p->who);
	r = space_callers(&p->s, &p->callers, &shape, &p->who);
	return r < 0 ? r : search_callers(p);
}

int prove_never(const struct image *img, const struct prove_expr *e, struct witness *ret)
{
	_cleanup_(prove_done) struct prove p = {
		.s = {.img = {img}, .n = 1}, .img = img, .e = e, .ret = ret};
	const struct dest_filter f = {e->has_host ? &e->host : NULL, e->from, e->to};
	int r = find_programs(&p);

	if (r < 0)
		return r;
	return space_dests(&p.s, &f, on_dest, &p);
}
