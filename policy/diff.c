/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.c - goes through all that two policies can tell apart and asks both.
 *
 * Destinations with one shape (policy/space.h) differ all or not at all, so a shape that was found the
 * same is not looked at again: two large policies cost what differs in them.
 */
#include "policy/diff.h"

/* Of one shape, so many destinations are looked at for the lines that decide there; the rest are counted. */
#define SAME_SHAPE_MAX 256
#define ALSO_MAX 8

/* What makes two differences one. */
struct group {
	uint32_t how;
	struct group_side {
		uint32_t outcome, block, line, endpoint, rule;
	} side[2];
};

struct diff_walk {
	struct space s;
	struct path_classes exe, any;
	struct caller_filter callers;
	struct shape_set shapes;
	uint32_t *differs; /* by shape: how many destinations were found to; 0: none can */
	size_t differs_cap;
	struct group *group; /* of the items */
	size_t group_cap;
	struct hmap groups;
	/* the destination at hand */
	const struct dest_class *dest;
	struct callers who;
	struct connect_decision *connect; /* [who.n * 2] */
	bool *passes;			  /* [who.n]: some request does, on some side */
	struct space_endpoints ep;
	bool found;
	/* the request at hand */
	struct slice method, path;
	struct diff *ret;
};

static void walk_done(struct diff_walk *w)
{
	path_classes_done(&w->exe);
	path_classes_done(&w->any);
	shape_set_done(&w->shapes);
	callers_done(&w->who);
	hmap_done(&w->groups);
	free(w->differs);
	free(w->group);
	free(w->connect);
	free(w->passes);
	free(w->ep.v);
	space_done(&w->s);
}

void diff_done(struct diff *d)
{
	for (size_t i = 0; i < d->n; i++) {
		witness_done(&d->v[i].w);
		for (size_t k = 0; d->v[i].also && d->v[i].also[k]; k++)
			free(d->v[i].also[k]);
		free(d->v[i].also);
	}
	free(d->v);
	*d = (struct diff){0};
}

/* --------------------------------------------------------------------------- differences -- */

static bool unseen(enum outcome o)
{
	return o == OUT_NATIVE || o == OUT_RELAYED;
}

/* How do the sides differ?  false: they do not.  A connection alone (request false) that one side
 * inspects and the other refuses is no difference yet: requests are. */
static bool compare(const struct decided d[2], bool request, enum diff_how *ret)
{
	enum outcome a = d[0].outcome, b = d[1].outcome;
	bool pass[2] = {outcome_passes(a), outcome_passes(b)};

	if (!request) {
		if (a == b || (!unseen(a) && !unseen(b)))
			return false;
		if (a != OUT_NO_CONNECT && b != OUT_NO_CONNECT) {
			*ret = DIFF_TREATMENT;
			return true;
		}
	}
	if (pass[0] != pass[1]) {
		*ret = pass[1] ? DIFF_ALLOWED : DIFF_DENIED;
		return true;
	}
	*ret = DIFF_MODE;
	return (a == OUT_AUDIT && b == OUT_ALLOW) || (a == OUT_ALLOW && b == OUT_AUDIT);
}

static struct group group_of(enum diff_how how, const struct decided d[2])
{
	struct group g;

	memset(&g, 0, sizeof(g));
	g.how = how;
	for (size_t i = 0; i < 2; i++) {
		struct group_side *s = &g.side[i];
		bool refused = !outcome_passes(d[i].outcome) && how != DIFF_TREATMENT &&
			       how != DIFF_ADDRESS;

		s->outcome = d[i].outcome;
		if (refused && d[i].outcome != OUT_DENY_RULE) {
			s->outcome = OUT_NO_CONNECT; /* a miss is a miss */
			continue;
		}
		s->block = d[i].block;
		s->line = d[i].line;
		s->endpoint = d[i].endpoint;
		s->rule = (uint32_t)hash_bytes(14, d[i].rule, strlen(d[i].rule));
	}
	return g;
}

static bool group_eq(const void *ctx, uint32_t i)
{
	const struct diff_walk *w = ctx;

	return memcmp(&w->group[i], &w->group[w->ret->n], sizeof(struct group)) == 0;
}

/* 1: is new and stands behind the last item. */
static int group_add(struct diff_walk *w, struct group g)
{
	uint32_t at;
	int r = array_grow(&w->group, &w->group_cap, w->ret->n + 1, sizeof(*w->group));

	if (r == 0)
		r = array_grow(&w->ret->v, &w->ret->cap, w->ret->n + 1, sizeof(*w->ret->v));
	if (r < 0)
		return r;
	w->group[w->ret->n] = g;
	r = hmap_intern(&w->groups, hash_bytes(15, &g, sizeof(g)), group_eq, w,
			(uint32_t)w->ret->n, &at);
	return r < 0 ? r : r == 0;
}

/* For which other executables, alone, is it so? */
static int find_also(struct diff_walk *w, struct diff_item *x, const struct request *q)
{
	x->also = calloc(ALSO_MAX + 1, sizeof(*x->also));
	if (!x->also)
		return -ENOMEM;
	for (size_t i = 0; i < w->exe.n; i++) {
		const struct ident_paths id = {.exe = w->exe.v[i].path};
		struct decided d[2];
		enum diff_how how;

		if (!id.exe.n || slice_eq_str(id.exe, x->w.binary))
			continue;
		for (size_t k = 0; k < 2; k++) {
			struct connect_decision c;
			struct block_bits bits;

			image_ident_bits(w->s.img[k], &id, &bits);
			image_decide_connect(w->s.img[k], &bits, &w->dest->dest, &c);
			decide_request(w->s.img[k], &c, q, &d[k]);
		}
		if (!compare(d, q != NULL, &how) || how != x->how)
			continue;
		if (x->nalso < ALSO_MAX) {
			x->also[x->nalso] = strndup((const char *)id.exe.p, id.exe.n);
			if (!x->also[x->nalso])
				return -ENOMEM;
		}
		x->nalso++;
	}
	return 0;
}

/* Believed only when the ordinary functions say the same of its texts. */
static int verify(const struct diff_walk *w, struct diff_item *x, bool request)
{
	enum diff_how how = x->how;

	for (size_t i = 0; i < 2; i++) {
		int r = witness_decide(w->s.img[i], &x->w, &x->side[i]);

		if (r == 0 && x->how == DIFF_ADDRESS)
			r = witness_address_allowed(w->s.img[i], &x->w, &x->admits[i]);
		if (r < 0)
			return r;
	}
	if (x->how == DIFF_ADDRESS)
		return x->admits[0] != x->admits[1] ? 0 : -EINVAL;
	if (x->how == DIFF_TREATMENT)
		return x->side[0].outcome != x->side[1].outcome ? 0 : -EINVAL;
	return compare(x->side, request, &how) && how == x->how ? 0 : -EINVAL;
}

#define ENOUGH 1 /* of a visit: as many items as are shown */

static int add_item(struct diff_walk *w, enum diff_how how, const struct decided d[2],
		    const struct caller *who, const struct request *q, const struct address *a)
{
	struct diff_item x = {.how = how};
	int r;

	w->found = true;
	r = group_add(w, group_of(how, d));
	if (r <= 0)
		return r;
	r = witness_make(&w->who, who, &w->dest->dest, q, &x.w);
	if (r == 0 && a)
		r = witness_set_address(&x.w, a);
	if (r == 0)
		r = verify(w, &x, q != NULL);
	if (r == 0 && !a && !who->script && !who->nanc && !who->tainted)
		r = find_also(w, &x, q);
	w->ret->v[w->ret->n++] = x; /* diff_done() frees it */
	if (r == 0 && w->ret->n >= DIFF_ITEMS_MAX) {
		w->ret->more++;
		return ENOUGH;
	}
	return r;
}

/* ----------------------------------------------------------------------------- requests -- */

static int on_query(void *ctx, const struct query_pair *query, size_t n)
{
	struct diff_walk *w = ctx;
	const struct request q = {w->method, w->path, query, n};
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->who.n; i++) {
		struct decided d[2];
		enum diff_how how;

		if (w->who.v[i].repeats)
			continue;
		r = space_spend(&w->s, 2 + w->ep.n / 16);
		for (size_t k = 0; k < 2; k++) {
			decide_request(w->s.img[k], &w->connect[2 * i + k], &q, &d[k]);
			w->passes[i] |= outcome_passes(d[k].outcome);
		}
		if (r == 0 && compare(d, true, &how))
			r = add_item(w, how, d, &w->who.v[i], &q, NULL);
	}
	return r;
}

static int on_request(void *ctx, struct slice method, struct slice path, const uint32_t *accept)
{
	struct diff_walk *w = ctx;
	const struct query_filter f = {0};

	w->method = method;
	w->path = path;
	return space_queries(&w->s, &f, w->ep.v, w->ep.n, accept, on_query, w);
}

/* ---------------------------------------------------------------------------- addresses -- */

/* The networks of all endpoints at the destination.  *ret_same: without any, and with hosts named alike,
 * no caller can be told apart by addresses. */
static int find_nets(const struct diff_walk *w, struct img_net **ret, size_t *ret_n, bool *ret_same)
{
	uint32_t exact = 0, all = 0;
	size_t cap = 0;

	*ret_n = 0;
	for (size_t k = 0; k < 2; k++) {
		const struct image *img = w->s.img[k];
		struct view_eps eps = view_eps(img, w->dest->dstset[k]);

		for (uint32_t i = 0; i < eps.n; i++) {
			const struct img_endpoint *e = view_endpoint(img, eps.v[i]);
			int r = array_grow(ret, &cap, *ret_n + e->nnets + 1, sizeof(**ret));

			if (r < 0)
				return r;
			memcpy(*ret + *ret_n, VIEW(img, nets, struct img_net) + e->first_net,
			       e->nnets * sizeof(**ret));
			*ret_n += e->nnets;
			exact += (e->flags & IMG_EP_EXACT) != 0;
			all++;
		}
	}
	*ret_same = *ret_n == 0 && (exact == 0 || exact == all);
	return 0;
}

static int compare_address(struct diff_walk *w, size_t i, const struct decided d[2],
			   const struct address *a)
{
	const struct dest *to = &w->dest->dest;
	bool admits[2];

	for (size_t k = 0; k < 2; k++) {
		enum osh_addr_class class;

		admits[k] = image_address_allowed(w->s.img[k], &w->connect[2 * i + k].blocks,
						  to->host, to->port, a->family, a->addr, &class);
	}
	return admits[0] == admits[1] ? 0 : add_item(w, DIFF_ADDRESS, d, &w->who.v[i], NULL, a);
}

static int search_addresses(struct diff_walk *w)
{
	_cleanup_free_ struct img_net *nets = NULL;
	_cleanup_free_ struct address *v = NULL;
	size_t n, nv = 0;
	bool same;
	int r = find_nets(w, &nets, &n, &same);

	if (r < 0 || same || !w->dest->dest.host.n)
		return r;
	r = space_addresses(nets, n, &v, &nv);
	for (size_t i = 0; r == 0 && i < w->who.n; i++) {
		struct decided d[2];

		if (w->who.v[i].repeats)
			continue;
		for (size_t k = 0; k < 2; k++)
			decide_flow(w->s.img[k], &w->connect[2 * i + k], &d[k]);
		if (d[0].outcome == OUT_NO_CONNECT || d[1].outcome == OUT_NO_CONNECT)
			continue;
		r = space_spend(&w->s, nv);
		for (size_t k = 0; r == 0 && k < nv; k++)
			r = compare_address(w, i, d, &v[k]);
	}
	return r;
}

/* ------------------------------------------------------------------------- destinations -- */

static int search_connections(struct diff_walk *w)
{
	for (size_t i = 0; i < w->who.n; i++) {
		struct decided d[2];
		enum diff_how how;
		int r = 0;

		if (w->who.v[i].repeats)
			continue;
		for (size_t k = 0; k < 2; k++) {
			image_decide_connect(w->s.img[k], &w->who.v[i].bits[k], &w->dest->dest,
					     &w->connect[2 * i + k]);
			decide_flow(w->s.img[k], &w->connect[2 * i + k], &d[k]);
		}
		if (compare(d, false, &how))
			r = add_item(w, how, d, &w->who.v[i], NULL, NULL);
		if (r != 0)
			return r;
	}
	return 0;
}

/* One side takes a connection only to refuse all requests on it; the other refuses it. */
static int search_empty(struct diff_walk *w)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->who.n; i++) {
		struct decided d[2];

		if (w->who.v[i].repeats || w->passes[i])
			continue;
		for (size_t k = 0; k < 2; k++)
			decide_flow(w->s.img[k], &w->connect[2 * i + k], &d[k]);
		if (d[0].outcome != d[1].outcome && !unseen(d[0].outcome) && !unseen(d[1].outcome))
			r = add_item(w, DIFF_TREATMENT, d, &w->who.v[i], NULL, NULL);
	}
	return r;
}

static int search(struct diff_walk *w)
{
	struct request_filter f = {0};
	int r;

	free(w->connect);
	free(w->passes);
	w->connect = calloc(w->who.n * 2 + 1, sizeof(*w->connect));
	w->passes = calloc(w->who.n + 1, sizeof(*w->passes));
	if (!w->connect || !w->passes)
		return -ENOMEM;
	w->found = false;
	r = search_connections(w);
	if (r == 0)
		r = space_endpoints(&w->s, w->dest, &w->who, &w->ep);
	f.slash = w->ep.slash;
	if (r == 0 && w->ep.n)
		r = space_requests(&w->s, &f, w->ep.v, w->ep.n, on_request, w);
	if (r == 0)
		r = search_empty(w);
	return r < 0 ? r : r == 0 ? search_addresses(w) : r;
}

static int on_dest(void *ctx, const struct dest_class *d)
{
	struct diff_walk *w = ctx;
	_cleanup_(dest_shape_done) struct dest_shape shape = {0};
	uint32_t at;
	int r = space_shape(&w->s, d, &shape), known;

	if (r < 0)
		return r;
	known = shape_set_add(&w->s, &w->shapes, &shape, &at);
	r = known < 0 ? known : array_grow(&w->differs, &w->differs_cap, at + 1, sizeof(*w->differs));
	if (r < 0)
		return r;
	if (!known)
		w->differs[at] = 0;
	if (known && (!w->differs[at] || w->differs[at] >= SAME_SHAPE_MAX)) {
		w->ret->more += w->differs[at] != 0;
		return 0;
	}
	w->dest = d;
	callers_done(&w->who);
	r = space_callers(&w->s, &w->callers, &shape, &w->who);
	if (r == 0)
		r = search(w);
	if (r >= 0)
		w->differs[at] += w->found;
	return r;
}

int policy_diff(const struct image *before, const struct image *after, struct diff *ret)
{
	struct diff d = {0};
	_cleanup_(walk_done) struct diff_walk w = {.s = {.img = {before, after}, .n = 2}, .ret = &d};
	const struct dest_filter all = {.from = 1, .to = UINT16_MAX};
	int r = space_paths(&w.s, (struct slice){0}, true, &w.exe);

	if (r == 0)
		r = space_paths(&w.s, (struct slice){0}, false, &w.any);
	w.callers = (struct caller_filter){.exe = &w.exe,
					   .script = &w.any,
					   .anc = &w.any,
					   .untainted = true,
					   .tainted = true};
	if (r == 0)
		r = space_dests(&w.s, &all, on_dest, &w);
	if (r < 0)
		diff_done(&d);
	else
		*ret = d;
	return r < 0 ? r : 0;
}
