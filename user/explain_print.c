/* SPDX-License-Identifier: Apache-2.0 */
/* explain_print.c - explanations for people and for machines. */
#include "user/explain_print.h"

#include "user/safetext.h"
#include "user/witness_json.h"

#include <stdarg.h>

#define TEXT(s) (int)(s).n, (const char *)(s).p

const char *explain_decision_string(enum explain_decision d)
{
	static const char *const names[] = {[EXPLAIN_DENY] = "deny", [EXPLAIN_ALLOW] = "allow", [EXPLAIN_AUDIT] = "audit"};

	return names[d];
}

/* ------------------------------------------------------------------------------------- text -- */

struct printer {
	const struct explanation *x;
	const char *file, *indent;
	FILE *out;
};

/* One line; whatever it quotes can do nothing to a terminal. */
__attribute__((format(printf, 2, 3))) static void line(const struct printer *p, const char *fmt, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0) {
		s = NULL;
		return;
	}
	fputs(p->indent, p->out);
	safetext_print((struct slice){(const uint8_t *)s, (size_t)n}, p->out);
	fputc('\n', p->out);
}

static void print_verdict(const struct printer *p)
{
	static const char *const connections[] = {
		[EXPLAIN_NATIVE] = "not inspected: every request passes",
		[EXPLAIN_RELAYED] = "not inspected ('tls: skip': the server's name is checked, TLS stays closed): "
				    "every request passes",
		[EXPLAIN_INSPECTED] = "inspected: each request is judged",
	};
	const struct explanation *x = p->x;

	if (!x->request && x->decision == EXPLAIN_ALLOW)
		line(p, "allow at connect, %s", connections[x->connection]);
	else if (!x->request)
		line(p, "deny at connect: %s", x->reason);
	else if (x->decision == EXPLAIN_ALLOW)
		line(p, "allow the request");
	else if (x->decision == EXPLAIN_AUDIT)
		line(p, "audit: %s; logged and let through", x->reason);
	else
		line(p, "deny the request (status %u): %s", x->status, x->reason);
}

static void print_lines(const struct printer *p)
{
	const struct explanation *x = p->x;
	bool named = x->block_name.n && !slice_eq(x->block_key, x->block_name);

	if (x->block != ~0u && x->endpoint_line)
		line(p, "  %s:%d: endpoint of block %.*s%s%.*s%s", p->file, x->endpoint_line, TEXT(x->block_key),
		     named ? " (name " : "", named ? (int)x->block_name.n : 0, (const char *)x->block_name.p,
		     named ? ")" : "");
	if (x->rule_line)
		line(p, "  %s:%d: %s", p->file, x->rule_line, x->rule);
	if (x->binary_line)
		line(p, "  %s:%d: %s matches the %s", p->file, x->binary_line, x->binary, x->binary_as);
	for (size_t i = 0; x->permits && x->permits[i]; i++)
		line(p, "  %s%s", i ? "        " : "rules:  ", x->permits[i]);
}

/* Is what was judged spelt otherwise than what was sent? */
static bool respelt(const struct explanation *x, struct slice target)
{
	const uint8_t *q = target.n ? memchr(target.p, '?', target.n) : NULL;

	if (q)
		target.n = (size_t)(q - target.p);
	return x->path && !slice_eq_str(target, x->path);
}

void explain_print(const struct explanation *x, const struct explain_ask *ask, const char *file, const char *indent,
		   FILE *out)
{
	const struct printer p = {x, file, indent, out};

	print_verdict(&p);
	if (respelt(x, ask->target))
		line(&p, "  judged as: %s", x->path);
	print_lines(&p);
	for (size_t i = 0; i < x->nnearest; i++) {
		if (x->nearest[i].line)
			line(&p, "  %s: %s:%d: %s", i ? "also near" : "nearest", file, x->nearest[i].line,
			     x->nearest[i].text);
		else
			line(&p, "  %s: %s", i ? "also near" : "nearest", x->nearest[i].text);
	}
	if (x->note)
		line(&p, "  note: %s", x->note);
}

/* ------------------------------------------------------------------------------------- JSON -- */

json_t *explain_json_text(struct slice s)
{
	_cleanup_free_ char *safe = safetext_dup(s);

	return safe ? json_string(safe) : NULL;
}

static json_t *line_or_null(int n)
{
	return n ? json_integer(n) : json_null();
}

static json_t *near_json(const struct explanation *x, size_t i)
{
	const struct nearest *n = &x->nearest[i];
	json_t *o = json_object();

	json_object_set_new(o, "kind", json_string(near_kind_string(n->kind)));
	json_object_set_new(o, "line", line_or_null(n->line));
	json_object_set_new(o, "text", json_safe(n->text));
	return o;
}

static json_t *strings_json(const char *const *v)
{
	json_t *a = v ? json_array() : json_null();

	for (size_t i = 0; v && v[i]; i++)
		json_array_append_new(a, json_safe(v[i]));
	return a;
}

json_t *explain_json(const struct explanation *x)
{
	static const char *const connections[] = {
		[EXPLAIN_REFUSED] = "refused",
		[EXPLAIN_NATIVE] = "native",
		[EXPLAIN_RELAYED] = "relayed",
		[EXPLAIN_INSPECTED] = "inspected",
	};
	bool block = x->block != ~0u;
	json_t *o = json_object(), *also = json_array();

	json_object_set_new(o, "decision", json_string(explain_decision_string(x->decision)));
	json_object_set_new(o, "layer", json_string(x->request ? "request" : "connect"));
	json_object_set_new(o, "connection", json_string(connections[x->connection]));
	json_object_set_new(o, "status", x->status ? json_integer(x->status) : json_null());
	json_object_set_new(o, "reason", json_safe(x->reason));
	json_object_set_new(o, "block", block ? explain_json_text(x->block_key) : json_null());
	json_object_set_new(o, "name", block ? explain_json_text(x->block_name) : json_null());
	json_object_set_new(o, "line", line_or_null(explanation_line(x)));
	json_object_set_new(o, "endpoint_line", line_or_null(x->endpoint_line));
	json_object_set_new(o, "rule", json_safe(x->rule));
	json_object_set_new(o, "rule_line", line_or_null(x->rule_line));
	json_object_set_new(o, "binary_entry", json_safe(x->binary));
	json_object_set_new(o, "binary_line", line_or_null(x->binary_line));
	json_object_set_new(o, "matched_as", json_safe(x->binary ? x->binary_as : NULL));
	json_object_set_new(o, "path", json_safe(x->path));
	json_object_set_new(o, "rules", strings_json(x->permits));
	json_object_set_new(o, "nearest", x->nnearest ? near_json(x, 0) : json_null());
	for (size_t i = 1; i < x->nnearest; i++)
		json_array_append_new(also, near_json(x, i));
	json_object_set_new(o, "also_near", also);
	json_object_set_new(o, "note", json_safe(x->note));
	return o;
}
