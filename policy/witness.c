/* SPDX-License-Identifier: Apache-2.0 */
/* witness.c - requests that show something: made, worded, and decided from their texts. */
#include "policy/witness.h"
#include "policy/host.h"

#include <arpa/inet.h>

void witness_done(struct witness *w)
{
	free(w->binary);
	free(w->script);
	for (size_t i = 0; w->ancestors && w->ancestors[i]; i++)
		free(w->ancestors[i]);
	free(w->ancestors);
	free(w->host);
	free(w->method);
	free(w->path);
	free(w->query);
	free(w->address);
	*w = (struct witness){0};
}

/* ------------------------------------------------------------------------------- making -- */

static char *dup_slice(struct slice s)
{
	return s.n ? strndup((const char *)s.p, s.n) : strdup("");
}

static char *address_text(uint8_t family, const uint8_t addr[16])
{
	char buf[INET6_ADDRSTRLEN];

	if (!inet_ntop(family == 4 ? AF_INET : AF_INET6, addr, buf, sizeof(buf)))
		return NULL;
	return strdup(buf);
}

static int make_caller(const struct callers *c, const struct caller *who, struct witness *w)
{
	struct slice anc[OSH_ANCESTORS_MAX];
	struct ident_paths id;

	caller_paths(c, who, anc, &id);
	w->binary = dup_slice(id.exe);
	w->tainted = id.tainted;
	if (!w->binary)
		return -ENOMEM;
	if (id.script.n) {
		w->script = dup_slice(id.script);
		if (!w->script)
			return -ENOMEM;
	}
	if (!id.nanc)
		return 0;
	w->ancestors = calloc(id.nanc + 1, sizeof(*w->ancestors));
	if (!w->ancestors)
		return -ENOMEM;
	for (size_t i = 0; i < id.nanc; i++) {
		w->ancestors[i] = dup_slice(anc[i]);
		if (!w->ancestors[i])
			return -ENOMEM;
	}
	return 0;
}

/* DNS has no longer labels; the automata do not count. */
static bool labels_fit(struct slice name)
{
	size_t n = 0;

	for (size_t i = 0; i < name.n; i++) {
		n = name.p[i] == '.' ? 0 : n + 1;
		if (n > 63)
			return false;
	}
	return name.n <= HOST_MAX;
}

static void put_encoded(FILE *f, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t b = s.p[i];
		bool plain = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
			     (b >= '0' && b <= '9') || (b && strchr("-._~/*:,@", b));

		if (plain)
			fputc(b, f);
		else
			fprintf(f, "%%%02X", b);
	}
}

static int make_query(const struct request *q, struct witness *w)
{
	size_t n = 0;
	FILE *f = open_memstream(&w->query, &n);
	bool bad;

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < q->nquery; i++) {
		if (i)
			fputc('&', f);
		put_encoded(f, q->query[i].name);
		fputc('=', f);
		put_encoded(f, q->query[i].value);
	}
	bad = ferror(f);
	return fclose(f) != 0 || bad ? -ENOMEM : 0;
}

static int make_request(const struct request *q, struct witness *w)
{
	w->inspected = true;
	w->method = dup_slice(q->method);
	w->path = dup_slice(q->path);
	if (!w->method || !w->path)
		return -ENOMEM;
	return q->nquery ? make_query(q, w) : 0;
}

int witness_make(const struct callers *c, const struct caller *who, const struct dest *d,
		 const struct request *q, struct witness *ret)
{
	struct witness w = {.port = d->port, .literal = d->host.n == 0};
	int r;

	if (!labels_fit(d->host))
		return -E2BIG;
	r = make_caller(c, who, &w);
	w.host = w.literal ? address_text(d->family, d->addr) : dup_slice(d->host);
	if (!w.host)
		r = -ENOMEM;
	if (r == 0 && q)
		r = make_request(q, &w);
	if (r < 0)
		witness_done(&w);
	else
		*ret = w;
	return r;
}

int witness_set_address(struct witness *w, const struct address *a)
{
	free(w->address);
	w->address = address_text(a->family, a->addr);
	return w->address ? 0 : -ENOMEM;
}

/* -------------------------------------------------------------------------------- words -- */

static void put_caller(FILE *f, const struct witness *w)
{
	const char *sep = " (";

	fputs(*w->binary ? w->binary : "a program without a path", f);
	if (w->script) {
		fprintf(f, "%srunning %s", sep, w->script);
		sep = ", ";
	}
	for (size_t i = 0; w->ancestors && w->ancestors[i]; i++) {
		fprintf(f, i ? ", %s" : "%sbelow %s", i ? w->ancestors[i] : sep, w->ancestors[i]);
		sep = ", ";
	}
	if (w->tainted) {
		fprintf(f, "%sstarted with loader variables", sep);
		sep = ", ";
	}
	if (*sep == ',')
		fputc(')', f);
}

static void put_target(FILE *f, const struct witness *w)
{
	const char *open = w->literal && strchr(w->host, ':') ? "[" : "";

	if (w->inspected)
		fprintf(f, " %s %s://", w->method, w->port == 80 ? "http" : "https");
	else
		fputs(" -> ", f);
	fprintf(f, "%s%s%s:%u", open, w->host, *open ? "]" : "", w->port);
	if (w->path)
		fputs(w->path, f);
	if (w->query)
		fprintf(f, "?%s", w->query);
	if (w->address)
		fprintf(f, " at %s", w->address);
}

char *witness_words(const struct witness *w)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	put_caller(f, w);
	put_target(f, w);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ----------------------------------------------------------------------------- deciding -- */

/* The first endpoint that counts; on inspected flows only inspected ones do. */
static uint32_t first_endpoint(const struct image *img, const struct connect_decision *c)
{
	bool inspected = image_flow_treatment(img, c) == FLOW_INSPECT;
	struct view_eps eps = view_eps(img, c->dstset);

	for (uint32_t i = 0; i < eps.n; i++) {
		const struct img_endpoint *e = view_endpoint(img, eps.v[i]);

		if (bits_have(&c->blocks, e->block) &&
		    (!inspected || e->flags & IMG_EP_INSPECTED))
			return eps.v[i];
	}
	return ~0u;
}

void decide_flow(const struct image *img, const struct connect_decision *c, struct decided *ret)
{
	*ret = (struct decided){.outcome = OUT_NO_CONNECT, .block = ~0u, .endpoint = ~0u};
	if (c->verdict == CONNECT_DENY)
		return;
	ret->endpoint = first_endpoint(img, c);
	ret->outcome = c->verdict == CONNECT_NATIVE			? OUT_NATIVE
		       : image_flow_treatment(img, c) == FLOW_SKIP	? OUT_RELAYED
									: OUT_MISS;
	if (ret->endpoint != ~0u) {
		ret->block = view_endpoint(img, ret->endpoint)->block;
		ret->line = view_endpoint(img, ret->endpoint)->line;
	}
}

void decide_request(const struct image *img, const struct connect_decision *c,
		    const struct request *q, struct decided *ret)
{
	struct request_decision d;

	decide_flow(img, c, ret);
	if (!q || ret->outcome != OUT_MISS)
		return;
	if (memmem(q->path.p, q->path.n, "%2F", 3) && !image_encoded_slash(img, c)) {
		ret->outcome = OUT_TARGET;
		return;
	}
	image_decide_request(img, c, q, &d);
	ret->outcome = d.verdict == REQUEST_ALLOW   ? OUT_ALLOW
		       : d.verdict == REQUEST_AUDIT ? OUT_AUDIT
		       : d.by_deny_rule		    ? OUT_DENY_RULE
						    : OUT_MISS;
	ret->block = d.block;
	if (d.rule_line)
		ret->line = d.rule_line;
	memcpy(ret->rule, d.rule, sizeof(ret->rule));
}

static int decide_connect(const struct image *img, const struct witness *w, struct dest *d,
			  struct connect_decision *ret)
{
	struct slice anc[OSH_ANCESTORS_MAX];
	struct ident_paths id = {.exe = slice_str(w->binary),
				 .script = slice_str(w->script),
				 .anc = anc,
				 .tainted = w->tainted};
	struct block_bits bits;

	for (; w->ancestors && w->ancestors[id.nanc]; id.nanc++) {
		if (id.nanc == OSH_ANCESTORS_MAX)
			return -EINVAL;
		anc[id.nanc] = slice_str(w->ancestors[id.nanc]);
	}
	dest_from_text(d, slice_str(w->host), w->port);
	if ((d->host.n == 0) != w->literal)
		return -EINVAL;
	if (w->literal && OSH_ADDR_NEVER(address_class(d->family, d->addr)))
		return -EINVAL;
	image_ident_bits(img, &id, &bits);
	image_decide_connect(img, &bits, d, ret);
	return 0;
}

#define QUERY_PAIRS_MAX 4096

static int decide_texts(const struct image *img, const struct connect_decision *c,
			const struct witness *w, struct decided *ret)
{
	_cleanup_free_ struct query_pair *pairs = calloc(QUERY_PAIRS_MAX, sizeof(*pairs));
	struct slice query = slice_str(w->query);
	_cleanup_free_ char *buf = malloc(query.n + 1);
	_cleanup_free_ struct canonical_target *t = malloc(sizeof(*t));
	struct request q = {.method = slice_str(w->method), .query = pairs};

	if (!pairs || !buf || !t)
		return -ENOMEM;
	/* true: OUT_TARGET is decide_request()'s to say */
	if (canonical_target(slice_str(w->path), true, t) != TARGET_OK ||
	    strcmp(t->path, w->path) != 0)
		return -EINVAL;
	q.path = slice_str(t->path);
	if (parse_query(query, pairs, QUERY_PAIRS_MAX, &q.nquery, buf, query.n + 1) < 0)
		return -EINVAL;
	decide_request(img, c, &q, ret);
	return 0;
}

int witness_decide(const struct image *img, const struct witness *w, struct decided *ret)
{
	struct connect_decision c;
	struct dest d;
	int r = decide_connect(img, w, &d, &c);

	if (r == 0 && w->inspected)
		return decide_texts(img, &c, w, ret);
	if (r == 0)
		decide_flow(img, &c, ret);
	return r;
}

int witness_address_allowed(const struct image *img, const struct witness *w, bool *ret)
{
	struct connect_decision c;
	enum osh_addr_class class;
	struct dest d, a;
	int r = decide_connect(img, w, &d, &c);

	if (r < 0)
		return r;
	dest_from_text(&a, slice_str(w->address), 0);
	if (a.host.n)
		return -EINVAL;
	*ret = image_address_allowed(img, &c.blocks, d.host, d.port, a.family, a.addr, &class);
	return 0;
}
