/* SPDX-License-Identifier: Apache-2.0 */
/*
 * l7.c - see l7.h.  One request, one view, one decision; and the words and bodies of refusals.
 */
#include "proxy/l7.h"

#include "proxy/http1.h"

#include <jansson.h>
#include <stdarg.h>

static const struct {
	const char *name;
	unsigned status;
} errors[] = {
#define X(name, text, st) [L7_##name] = {text, st},
	L7_ERRORS(X)
#undef X
};

void l7_refuse(struct l7_refusal *r, enum l7_error e, const char *fmt, ...)
{
	va_list ap;

	r->error = e;
	r->status = errors[e].status;
	va_start(ap, fmt);
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
}

enum l7_error l7_upstream_error(enum upstream_failure f)
{
	switch (f) {
	case UPSTREAM_SSRF:
		return L7_SSRF;
	case UPSTREAM_TLS:
		return L7_TLS;
	case UPSTREAM_TIMEOUT:
		return L7_TIMEOUT;
	default:
		return L7_UNREACHABLE;
	}
}

enum wire_decision l7_decision(enum l7_error e)
{
	return e == L7_UNREACHABLE || e == L7_TLS || e == L7_TIMEOUT ? WD_ERROR : WD_DENY;
}

void l7_request_done(struct l7_request *q)
{
	free(q->query);
	free(q->query_text);
	q->query = NULL;
	q->query_text = NULL;
}

/* ------------------------------------------------------------------------------------------- reading -- */

static struct slice undot(struct slice s)
{
	if (s.n > 1 && s.p[s.n - 1] == '.')
		s.n--;
	return s;
}

/* Does a Host field or an authority name the flow's host, and its port or none? */
static bool names_flow(const struct flow *f, struct slice authority)
{
	struct slice host;
	struct dest d;
	int port;

	if (!http1_authority(authority, &host, &port))
		return false;
	if (port >= 0 && port != f->dest.port)
		return false;
	if (!f->literal)
		return http1_name_is(undot(host), f->host);
	dest_from_text(&d, host, f->dest.port);
	return d.host.n == 0 && d.family == f->dest.family &&
	       memcmp(d.addr, f->dest.addr, d.family == 4 ? 4 : 16) == 0;
}

static enum l7_error read_query(struct l7_request *q, struct l7_refusal *ret)
{
	struct slice raw = q->target.query;
	size_t max = 1;
	int r;

	if (raw.n == 0)
		return L7_OK;
	for (size_t i = 0; i < raw.n; i++)
		max += raw.p[i] == '&';
	q->query = calloc(max, sizeof(*q->query));
	q->query_text = malloc(raw.n + 1);
	r = q->query && q->query_text
		    ? parse_query(raw, q->query, max, &q->nquery, q->query_text, raw.n + 1)
		    : -ENOMEM;
	if (r == 0)
		return L7_OK;
	l7_refuse(ret, L7_BAD_REQUEST, "%s",
		  r == -EBADMSG ? "malformed query" : r == -E2BIG ? "query too long" : "out of memory");
	return ret->error;
}

enum l7_error l7_read_target(const struct flow *f, struct image_view v, struct slice method, struct slice target,
			     struct slice host, struct l7_request *q, struct l7_refusal *ret)
{
	enum target_error te;

	snprintf(q->method, sizeof(q->method), "%.*s", (int)method.n, (const char *)method.p);
	if (host.p && !names_flow(f, host)) {
		l7_refuse(ret, L7_AUTHORITY, "Host %.*s differs from the connection's host %s", (int)host.n,
			  (const char *)host.p, f->host);
		return ret->error;
	}
	te = canonical_target(target, image_encoded_slash(v.img, &f->cd), &q->target);
	if (te == TARGET_TOO_LONG) {
		l7_refuse(ret, L7_TOO_LARGE, "request path too long");
		ret->status = 414;
		return ret->error;
	}
	if (te != TARGET_OK) {
		l7_refuse(ret, L7_BAD_REQUEST, "request target refused: %s", target_error_string(te));
		return ret->error;
	}
	if (q->target.authority.n && !names_flow(f, q->target.authority)) {
		l7_refuse(ret, L7_AUTHORITY, "request target names %.*s, the connection's host is %s",
			  (int)q->target.authority.n, (const char *)q->target.authority.p, f->host);
		return ret->error;
	}
	if (read_query(q, ret) != L7_OK)
		return ret->error;
	q->judged = true;
	return L7_OK;
}

void l7_host_field(const struct flow *f, struct slice host, char *to, size_t n)
{
	bool v6 = f->literal && f->dest.family == 6;
	struct slice name;
	int port = -1;
	size_t len;

	if (host.p)
		(void)http1_authority(host, &name, &port);
	else if (f->dest.port != (f->tls ? 443 : 80))
		port = f->dest.port;
	len = (size_t)snprintf(to, n, v6 ? "[%s]" : "%s", f->host);
	if (port >= 0 && len < n)
		snprintf(to + len, n - len, ":%d", port);
}

/* ------------------------------------------------------------------------------------------- judging -- */

void l7_detail(const struct l7_request *q, const struct request_decision *rd, char *to, size_t n)
{
	snprintf(to, n, "%s %.*s %s", q->method, (int)(n - 80 < q->target.path_n ? n - 80 : q->target.path_n),
		 q->target.path, rd->by_deny_rule ? "blocked by deny rule" : "not permitted by policy");
}

enum l7_error l7_judge(const struct flow *f, struct image_view v, const struct l7_request *q,
		       struct request_decision *rd, struct l7_refusal *ret)
{
	struct request r = {
		.method = slice_str(q->method),
		.path = {(const uint8_t *)q->target.path, q->target.path_n},
		.query = q->query,
		.nquery = q->nquery,
	};

	/* a flow that began inspected, under a policy that asks for it no more: every request passes */
	if (f->cd.verdict == CONNECT_NATIVE || image_flow_treatment(v.img, &f->cd) == FLOW_SKIP) {
		*rd = (struct request_decision){.verdict = REQUEST_ALLOW, .block = f->cd.block, .rule = "not inspected"};
		return L7_OK;
	}
	image_decide_request(v.img, &f->cd, &r, rd);
	if (rd->verdict == REQUEST_ALLOW || rd->verdict == REQUEST_AUDIT)
		return L7_OK;
	l7_refuse(ret, L7_POLICY_DENIED, "%s", "");
	l7_detail(q, rd, ret->detail, sizeof(ret->detail));
	return ret->error;
}

/* ------------------------------------------------------------------------------------------ answering -- */

/* The policy's name in a field value: printable ASCII only. */
static void put_policy_field(struct buf *out, const char *name, int *r)
{
	if (*r < 0 || !name || !*name)
		return;
	*r = buf_puts(out, "X-Osh-Policy: ");
	for (; *name && *r == 0; name++) {
		char c = *name >= 0x20 && *name < 0x7f ? *name : '?';

		*r = buf_put(out, &c, 1);
	}
	if (*r == 0)
		*r = buf_puts(out, "\r\n");
}

/* JSON strings are UTF-8; what came from outside may not be. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);
	size_t n = strlen(s);
	char *copy;

	if (j)
		return j;
	copy = malloc(n + 1);
	if (!copy)
		return NULL;
	for (size_t i = 0; i <= n; i++)
		copy[i] = (s[i] & 0x80) ? '?' : s[i];
	j = json_string(copy);
	free(copy);
	return j;
}

static char *body_text(const struct flow *f, const struct l7_answer *a, const char *policy)
{
	const struct l7_request *q = a->q;
	json_t *o = json_object();
	char *s;

	json_object_set_new(o, "error", text(errors[a->refusal->error].name));
	json_object_set_new(o, "policy", text(policy ? policy : ""));
	json_object_set_new(o, "detail", text(a->refusal->detail));
	json_object_set_new(o, "method", text(q ? q->method : ""));
	json_object_set_new(o, "path", text(q && q->judged ? q->target.path : ""));
	json_object_set_new(o, "host", text(f->host));
	json_object_set_new(o, "port", json_integer(f->dest.port));
	json_object_set_new(o, "binary", text(images_path(f->px->images, f->rec.id.exe)));
	json_object_set_new(o, "rule", text(a->rd ? a->rd->rule : ""));
	s = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return s;
}

static const char *reason_phrase(unsigned status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 502:
		return "Bad Gateway";
	case 504:
		return "Gateway Timeout";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Service Unavailable";
	}
}

static const char *policy_name(const struct flow *f, const struct l7_answer *a)
{
	struct image_view v = images_of(f->px->images, a->rd ? a->gen : f->gen);

	if (v.gen == 0)
		return NULL;
	return image_block_name(v.img, a->rd ? a->rd->block : f->cd.block);
}

int l7_answer(const struct flow *f, const struct l7_answer *a, struct buf *out)
{
	const char *policy = policy_name(f, a);
	char *body = body_text(f, a, policy);
	char head[256];
	int r, n;

	if (!body)
		return -ENOMEM;
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s",
		     a->refusal->status, reason_phrase(a->refusal->status), strlen(body) + 1,
		     !a->keep_alive	    ? "Connection: close\r\n"
		     : a->client_minor == 0 ? "Connection: keep-alive\r\n"
					    : "");
	r = buf_put(out, head, (size_t)n);
	put_policy_field(out, policy, &r);
	if (r == 0)
		r = buf_puts(out, "\r\n");
	if (r == 0 && !a->head_only)
		r = buf_puts(out, body);
	if (r == 0 && !a->head_only)
		r = buf_puts(out, "\n");
	free(body);
	return r;
}

void l7_event(const struct flow *f, enum wire_decision d, const struct l7_request *q,
	      const struct request_decision *rd, struct wire_event *e)
{
	flow_event_init(f, d, e);
	if (q) {
		WIRE_PUT(e, method, slice_str(q->method));
		if (q->judged)
			WIRE_PUT(e, target, ((struct slice){(const uint8_t *)q->target.path, q->target.path_n}));
	}
	if (rd) {
		e->block = rd->block;
		e->rule_line = rd->rule_line;
		WIRE_PUT(e, rule, slice_str(rd->rule));
	}
}
