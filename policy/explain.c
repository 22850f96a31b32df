/* SPDX-License-Identifier: Apache-2.0 */
/* explain.c - the decision, by the functions that enforce it, and the lines that made it. */
#include "policy/explain_near.h"

#include <stdarg.h>

const char *near_kind_string(enum near_kind k)
{
	static const char *const names[] = {
		[NEAR_PORT] = "port",	      [NEAR_WILDCARD] = "wildcard", [NEAR_SPELLING] = "spelling",
		[NEAR_BINARY] = "binary",     [NEAR_ANCESTOR] = "ancestor", [NEAR_TAINTED] = "tainted",
		[NEAR_METHOD] = "method",     [NEAR_PATH] = "path",	    [NEAR_QUERY] = "query",
		[NEAR_SELECTOR] = "selector", [NEAR_ALLOW] = "allow",
	};

	return (size_t)k < ARRAY_LEN(names) ? names[k] : "unknown";
}

void explanation_done(struct explanation *e)
{
	arena_done(&e->arena);
	*e = (struct explanation){0};
}

const char *explain_say(struct explain *e, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	s = n < 0 ? NULL : arena_alloc(&e->x->arena, (size_t)n + 1);
	if (!s) {
		e->oom = true;
		return "";
	}
	va_start(ap, fmt);
	(void)vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}

bool explain_near(struct explain *e, enum near_kind kind, uint32_t block, int line, const char *text)
{
	struct explanation *x = e->x;

	for (size_t i = 0; i < x->nnearest; i++)
		if (strcmp(x->nearest[i].text, text) == 0)
			return true;
	if (x->nnearest < EXPLAIN_NEAREST_MAX)
		x->nearest[x->nnearest++] = (struct nearest){kind, block, line, text};
	return x->nnearest < EXPLAIN_NEAREST_MAX;
}

/* -------------------------------------------------------------------------- who was matched -- */

struct first_hit {
	uint32_t tag; /* UINT32_MAX: none */
};

static void keep_first(void *ctx, uint32_t tag)
{
	struct first_hit *h = ctx;

	if (tag < h->tag)
		h->tag = tag;
}

static bool counts_for(const struct pol_binary *b, bool anc, bool tainted)
{
	return (!anc || b->ancestors) && (!tainted || b->tainted || glob_matches_all(b->path));
}

static bool is_exactly(const struct pol_binary *b, struct slice path)
{
	for (size_t i = 0; i < b->naliases; i++)
		if (slice_eq(b->alias[i], path))
			return true;
	return !b->glob && slice_eq(b->path, path);
}

const struct pol_binary *explain_binary(struct explain *e, uint32_t block, struct slice path, bool anc, bool tainted)
{
	const struct pol_block *k = &e->p->blocks[block];
	_cleanup_(nfa_done) struct nfa a = {0};
	uint32_t root = nfa_root(&a);
	struct first_hit h = {UINT32_MAX};
	char why[160];

	for (size_t i = 0; i < k->nbinaries; i++) {
		const struct pol_binary *b = &k->binaries[i];

		if (!counts_for(b, anc, tainted))
			continue;
		if (is_exactly(b, path))
			return b;
		if (b->glob)
			(void)glob_add(&a, root, b->path, GLOB_BINARY, (uint32_t)i, why, sizeof(why));
	}
	if (match_run(&a, root, path, keep_first, &h, NULL) == -ENOMEM)
		e->oom = true;
	return h.tag < k->nbinaries ? &k->binaries[h.tag] : NULL;
}

static bool admits(struct explain *e, uint32_t block, const struct ident_paths *id)
{
	struct block_bits bits;

	image_ident_bits(e->img, id, &bits);
	return bits_have(&bits, block);
}

static void tell_binary(struct explain *e, uint32_t block)
{
	const struct ident_paths *id = &e->ask->id;
	const struct pol_binary *b = NULL;
	const char *as = "executable";

	if (admits(e, block, &(struct ident_paths){.exe = id->exe, .tainted = id->tainted}))
		b = explain_binary(e, block, id->exe, false, id->tainted);
	if (!b && admits(e, block, &(struct ident_paths){.script = id->script, .tainted = id->tainted})) {
		b = explain_binary(e, block, id->script, false, id->tainted);
		as = "script";
	}
	for (size_t i = 0; !b && i < id->nanc; i++) {
		if (!admits(e, block, &(struct ident_paths){.anc = &id->anc[i], .nanc = 1, .tainted = id->tainted}))
			continue;
		b = explain_binary(e, block, id->anc[i], true, id->tainted);
		as = "ancestor";
	}
	if (!b)
		return;
	e->x->binary = (const char *)b->path.p;
	e->x->binary_line = b->line;
	e->x->binary_as = as;
}

static void tell_block(struct explain *e, uint32_t block)
{
	if (block >= e->p->nblocks)
		return;
	e->x->block = block;
	e->x->block_key = e->p->blocks[block].key;
	e->x->block_name = e->p->blocks[block].name;
}

/* ------------------------------------------------------------------------------- connecting -- */

static const char *denied_connect(struct explain *e)
{
	const struct slice name = e->cd.block < e->p->nblocks ? e->p->blocks[e->cd.block].name : SLICE_LIT("-");

	if (e->cd.reason != OSH_R_BINARY)
		return "no matching network policy";
	if (e->ask->id.tainted)
		return "tainted";
	return explain_say(e, "binary not in policy %.*s", (int)name.n, (const char *)name.p);
}

/* Literal addresses of a class that nothing opens are refused before the policy is asked. */
static bool refused_address(struct explain *e)
{
	const struct dest *d = &e->dest;
	enum osh_addr_class c;

	if (d->host.n)
		return false;
	c = address_class(d->family, d->addr);
	if (!OSH_ADDR_NEVER(c))
		return false;
	e->x->reason = explain_say(e, "address not allowed (%.*s: %s)", (int)e->ask->host.n,
				   (const char *)e->ask->host.p, address_class_name(c));
	if (c == OSH_ADDR_LOOPBACK)
		e->x->note = "loopback inside a sandbox reaches only what listens in that sandbox, whatever the "
			     "policy says";
	e->cd.verdict = CONNECT_DENY;
	e->cd.reason = OSH_R_ADDRESS;
	return true;
}

/* The first endpoint of the deciding block on this host and port; inspected: of those only. */
static void tell_endpoint(struct explain *e, bool inspected)
{
	struct view_eps eps = view_eps(e->img, e->cd.dstset);

	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *x = view_endpoint(e->img, eps.v[i]);

		if (x->block != e->x->block || (inspected && !(x->flags & IMG_EP_INSPECTED)))
			continue;
		e->x->endpoint_line = (int)x->line;
		return;
	}
}

/* An inspected flow is so for the sake of an inspected endpoint: that one is the one to name. */
static uint32_t inspecting_block(const struct explain *e)
{
	struct view_eps eps = view_eps(e->img, e->cd.dstset);

	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *x = view_endpoint(e->img, eps.v[i]);

		if (x->flags & IMG_EP_INSPECTED && bits_have(&e->cd.blocks, x->block))
			return x->block;
	}
	return e->cd.block;
}

static void decide_connect(struct explain *e)
{
	struct explanation *x = e->x;

	image_ident_bits(e->img, &e->ask->id, &e->caller);
	dest_from_text(&e->dest, e->ask->host, e->ask->port);
	image_decide_connect(e->img, &e->caller, &e->dest, &e->cd);
	if (e->ask->port == 53)
		x->note = "port 53 is answered by the sandbox's own resolver, for the names that the policy allows";
	if (refused_address(e))
		return;
	if (e->cd.verdict == CONNECT_DENY) {
		x->reason = denied_connect(e);
		if (e->cd.reason == OSH_R_BINARY)
			tell_block(e, e->cd.block);
		return;
	}
	x->decision = EXPLAIN_ALLOW;
	x->connection = e->cd.verdict == CONNECT_NATIVE			    ? EXPLAIN_NATIVE
			: image_flow_treatment(e->img, &e->cd) == FLOW_SKIP ? EXPLAIN_RELAYED
									    : EXPLAIN_INSPECTED;
	tell_block(e, x->connection == EXPLAIN_INSPECTED ? inspecting_block(e) : e->cd.block);
	tell_endpoint(e, x->connection == EXPLAIN_INSPECTED);
	tell_binary(e, x->block);
}

/* --------------------------------------------------------------------- rules in few words -- */

#define PERMITS_MAX 20

static const char *rule_line(struct explain *e, const struct img_endpoint *ep, const struct img_rule *r)
{
	struct slice text = view_str(e->img, r->text);

	return explain_say(e, "line %u: %s%.*s%s%s", r->line, r->deny ? "not " : "", (int)text.n,
			   (const char *)text.p, ep->flags & IMG_EP_AUDIT ? " (audit)" : "",
			   ep->flags & IMG_EP_SELECTOR ? " (within the endpoint's path)" : "");
}

/* All rules that a request on this connection is judged by, the first of them in words. */
static void tell_permits(struct explain *e)
{
	struct view_eps eps = view_eps(e->img, e->cd.dstset);
	const struct img_rule *rules = VIEW(e->img, rules, struct img_rule);
	const char **v = arena_alloc(&e->x->arena, (PERMITS_MAX + 2) * sizeof(*v));
	size_t n = 0, more = 0;

	if (!v) {
		e->oom = true;
		return;
	}
	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *ep = view_endpoint(e->img, eps.v[i]);

		if (!(ep->flags & IMG_EP_INSPECTED) || !bits_have(&e->cd.blocks, ep->block))
			continue;
		for (uint32_t k = 0; k < ep->nrules; k++) {
			if (n < PERMITS_MAX)
				v[n++] = rule_line(e, ep, &rules[ep->first_rule + k]);
			else
				more++;
		}
	}
	if (more)
		v[n++] = explain_say(e, "and %zu more", more);
	e->x->permits = v;
}

/* ----------------------------------------------------------------------------- the request -- */

static void refuse(struct explain *e, unsigned status, const char *reason)
{
	e->x->decision = EXPLAIN_DENY;
	e->x->request = true;
	e->x->status = status;
	e->x->reason = reason;
}

/* Does the authority of an absolute-form target name the connection's host and port? */
static bool names_host(const struct explain *e, struct slice a)
{
	const uint8_t *colon = memrchr(a.p, ':', a.n);
	const uint8_t *bracket = memrchr(a.p, ']', a.n);
	char one[HOST_MAX + 1], two[HOST_MAX + 1];
	struct dest d;
	size_t n;

	if (colon && (!bracket || colon > bracket)) {
		unsigned long port = 0;

		for (const uint8_t *p = colon + 1; p < a.p + a.n; p++) {
			if (*p < '0' || *p > '9' || port > 65535)
				return false;
			port = port * 10 + (unsigned long)(*p - '0');
		}
		if (port != e->ask->port)
			return false;
		a.n = (size_t)(colon - a.p);
	}
	dest_from_text(&d, a, e->ask->port);
	if (!e->dest.host.n)
		return !d.host.n && d.family == e->dest.family &&
		       memcmp(d.addr, e->dest.addr, d.family == 4 ? 4 : 16) == 0;
	n = host_lower(a, one);
	return n && n == host_lower(e->dest.host, two) && memcmp(one, two, n) == 0;
}

/* All decoded pairs: those of the target, then those given beside it. */
static int all_pairs(struct explain *e, struct slice raw, struct request *r)
{
	const struct explain_ask *q = e->ask;
	size_t max = 1 + q->nquery, n = 0;
	struct query_pair *v;
	char *buf;
	int k;

	for (size_t i = 0; i < raw.n; i++)
		max += raw.p[i] == '&';
	v = arena_alloc(&e->x->arena, max * sizeof(*v));
	buf = arena_alloc(&e->x->arena, raw.n + 1);
	if (!v || !buf)
		return -ENOMEM;
	k = raw.n ? parse_query(raw, v, max, &n, buf, raw.n + 1) : 0;
	if (k < 0)
		return k;
	for (size_t i = 0; i < q->nquery; i++)
		v[n++] = q->query[i];
	r->query = v;
	r->nquery = n;
	return 0;
}

static const char *refusal_why(enum target_error e)
{
	static const char *const why[] = {
		[TARGET_TRAVERSAL] = "its '..' segments climb above the root",
		[TARGET_ENCODED_SLASH] = "'%2F' in a path is taken only where an endpoint says 'allow_encoded_slash: "
					 "true'",
		[TARGET_CONTROL_BYTE] = "it holds a blank or a control byte, raw or encoded",
		[TARGET_FRAGMENT] = "'#' and what follows it is never sent",
		[TARGET_NON_ASCII] = "it holds raw non-ASCII bytes, which are sent as '%XX'",
		[TARGET_BAD_PERCENT] = "'%' is not followed by two hexadecimal digits",
		[TARGET_RESIDUAL_DOTS] = "a dot segment is left behind an encoded slash",
		[TARGET_NOT_ORIGIN_FORM] = "it is neither a path that begins with '/' nor http(s)://host/path",
	};

	return (size_t)e < ARRAY_LEN(why) ? why[e] : NULL;
}

/* What the proxy reads (proxy/l7.c does the same); false: refused as it stands. */
static bool read_request(struct explain *e, struct request *r)
{
	struct canonical_target t;
	enum target_error te = canonical_target(e->ask->target, image_encoded_slash(e->img, &e->cd), &t);
	int k;

	if (te == TARGET_TOO_LONG) {
		refuse(e, 414, "request path too long");
		return false;
	}
	if (te != TARGET_OK) {
		refuse(e, 400, explain_say(e, "request target refused: %s", target_error_string(te)));
		e->x->note = refusal_why(te);
		return false;
	}
	e->x->path = explain_say(e, "%s", t.path);
	if (t.authority.n && !names_host(e, t.authority)) {
		refuse(e, 403,
		       explain_say(e, "request target names %.*s, the connection's host is %.*s", (int)t.authority.n,
				   (const char *)t.authority.p, (int)e->ask->host.n, (const char *)e->ask->host.p));
		return false;
	}
	k = all_pairs(e, t.query, r);
	if (k < 0) {
		e->oom |= k == -ENOMEM;
		refuse(e, 400, "malformed query");
		return false;
	}
	r->method = e->ask->method;
	r->path = slice_str(e->x->path);
	return true;
}

/* Where the rule that decided stands. */
static void tell_rule(struct explain *e, const struct request_decision *rd)
{
	struct view_eps eps = view_eps(e->img, e->cd.dstset);
	const struct img_rule *rules = VIEW(e->img, rules, struct img_rule);

	e->x->endpoint_line = 0;
	if (!rd->rule_line) {
		tell_endpoint(e, true);
		return;
	}
	e->x->rule_line = (int)rd->rule_line;
	e->x->rule = explain_say(e, "%s", rd->rule);
	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *x = view_endpoint(e->img, eps.v[i]);

		for (uint32_t k = 0; x->block == rd->block && k < x->nrules; k++) {
			if (rules[x->first_rule + k].line != rd->rule_line)
				continue;
			e->x->endpoint_line = (int)x->line;
			return;
		}
	}
}

static void decide_request(struct explain *e, bool words)
{
	static const enum explain_decision decisions[] = {
		[REQUEST_DENY] = EXPLAIN_DENY, [REQUEST_ALLOW] = EXPLAIN_ALLOW, [REQUEST_AUDIT] = EXPLAIN_AUDIT};
	struct explanation *x = e->x;
	struct request_decision rd;
	struct request r = {0};

	if (!read_request(e, &r))
		return;
	image_decide_request(e->img, &e->cd, &r, &rd);
	x->request = true;
	x->decision = decisions[rd.verdict];
	tell_block(e, rd.block);
	tell_binary(e, x->block);
	tell_rule(e, &rd);
	if (rd.verdict == REQUEST_ALLOW)
		return;
	x->status = rd.verdict == REQUEST_DENY ? 403 : 0;
	x->reason = explain_say(e, "%.*s %s %s", (int)r.method.n, (const char *)r.method.p, x->path,
				rd.by_deny_rule ? "blocked by deny rule" : "not permitted by policy");
	if (words)
		near_request(e, &r, &rd);
}

int explain(const struct policy *p, const struct image *img, const struct explain_ask *ask, bool words,
	    struct explanation *ret)
{
	struct explanation x = {.block = ~0u};
	struct explain e = {.p = p, .img = img, .ask = ask, .x = &x};

	decide_connect(&e);
	if (x.connection == EXPLAIN_REFUSED && words && ask->port != 53)
		near_connect(&e);
	if (x.connection == EXPLAIN_INSPECTED && ask->method.n)
		decide_request(&e, words);
	else if (x.connection == EXPLAIN_INSPECTED && words)
		tell_permits(&e);
	if (e.oom) {
		explanation_done(&x);
		return -ENOMEM;
	}
	*ret = x;
	return 0;
}
