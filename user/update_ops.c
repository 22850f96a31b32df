/* SPDX-License-Identifier: Apache-2.0 */
/* update_ops.c - from the words of `policy update` to edits of a text. */
#include "user/update_ops.h"

#include "policy/covers.h"
#include "policy/diag.h"
#include "policy/host.h"
#include "user/strv.h"

#include <stdarg.h>

#define HOSTS_MAX 512

/* ------------------------------------------------------------------------------ words -- */

static const char *how(enum update_kind kind)
{
	switch (kind) {
	case UPDATE_ADD_ENDPOINT:
		return "host:port[:access[:protocol[:enforcement]]], as in "
		       "api.example.com:443:read-only";
	case UPDATE_REMOVE_ENDPOINT:
		return "host:port, as in api.example.com:443";
	default:
		return "host:port:METHOD:path, as in 'api.example.com:443:GET:/v1/**'";
	}
}

static const char *option(enum update_kind kind)
{
	static const char *const names[] = {"--add-endpoint", "--add-allow", "--add-deny",
					    "--remove-endpoint", "--remove-rule"};

	return names[kind];
}

__attribute__((format(printf, 3, 4))) static int bad(const struct update_op *op, char **ret_error,
						     const char *fmt, ...)
{
	_cleanup_free_ char *why = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&why, fmt, ap) < 0)
		why = NULL;
	va_end(ap);
	return error_text(ret_error, -EINVAL, "%s %s: %s", option(op->kind), op->text,
			  why ? why : "out of memory");
}

/* Up to the next ':', which is taken too. */
static struct slice take(struct slice *s)
{
	const uint8_t *colon = s->n ? memchr(s->p, ':', s->n) : NULL;
	struct slice word = {s->p, colon ? (size_t)(colon - s->p) : s->n};

	s->p += word.n + (colon != NULL);
	s->n -= word.n + (colon != NULL);
	return word;
}

static int take_host(struct update_op *op, struct slice *s, char **ret_error)
{
	const uint8_t *end = s->n && s->p[0] == '[' ? memchr(s->p, ']', s->n) : NULL;
	uint8_t family, addr[16];

	if (s->n && s->p[0] == '[' && !end)
		return bad(op, ret_error, "'[' is not closed");
	if (!end && address_parse(*s, &family, addr) && family == 6)
		return bad(op, ret_error, "an IPv6 address goes in brackets: [2001:db8::1]:443");
	if (!end) {
		op->ep.host = take(s);
		return 0;
	}
	op->ep.host = (struct slice){s->p, (size_t)(end - s->p) + 1};
	s->p += op->ep.host.n;
	s->n -= op->ep.host.n;
	if (s->n && take(s).n)
		return bad(op, ret_error, "a ':' and the port follow the ']'");
	return 0;
}

static int take_port(struct update_op *op, struct slice *s, char **ret_error)
{
	struct slice word = take(s);
	unsigned long v = 0;

	if (!word.n)
		return bad(op, ret_error, "the port is missing (write it as %s)", how(op->kind));
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] < '0' || word.p[i] > '9' || word.n > 5)
			return bad(op, ret_error,
				   "'" SLICE_FMT "' is no port (write it as %s)",
				   SLICE_ARG(word), how(op->kind));
		v = v * 10 + (unsigned long)(word.p[i] - '0');
	}
	if (v < 1 || v > 65535)
		return bad(op, ret_error, "the port must be 1 to 65535, not %lu", v);
	op->ep.port = (uint16_t)v;
	return 0;
}

static int take_endpoint_words(struct update_op *op, struct slice s, char **ret_error)
{
	op->ep.access = take(&s);
	op->ep.protocol = take(&s);
	op->ep.enforcement = take(&s);
	if (s.n)
		return bad(op, ret_error, "too many words (write it as %s)", how(op->kind));
	if (op->ep.access.n && !op->ep.protocol.n)
		op->ep.protocol = SLICE_LIT("rest");
	return 0;
}

static int take_rule_words(struct update_op *op, struct slice s, char **ret_error)
{
	op->rule.method = take(&s);
	op->rule.path = s;
	op->rule.deny = op->kind == UPDATE_ADD_DENY;
	if (!op->rule.method.n || !op->rule.path.n)
		return bad(op, ret_error, "%s is missing (write it as %s)",
			   op->rule.method.n ? "the path" : "the method", how(op->kind));
	if (slice_eq_str(op->rule.method, "*"))
		op->rule.method.n = 0;
	return 0;
}

int update_op_parse(enum update_kind kind, const char *text, struct update_op *ret,
		    char **ret_error)
{
	struct update_op op = {.kind = kind, .text = text};
	struct slice s = slice_str(text);
	int r = take_host(&op, &s, ret_error);

	if (r == 0 && !op.ep.host.n)
		r = bad(&op, ret_error, "the host is missing (write it as %s)", how(kind));
	if (r == 0)
		r = take_port(&op, &s, ret_error);
	if (r == 0 && kind == UPDATE_ADD_ENDPOINT)
		r = take_endpoint_words(&op, s, ret_error);
	else if (r == 0 && kind == UPDATE_REMOVE_ENDPOINT && s.n)
		r = bad(&op, ret_error, "too many words (write it as %s)", how(kind));
	else if (r == 0 && kind != UPDATE_REMOVE_ENDPOINT)
		r = take_rule_words(&op, s, ret_error);
	if (r == 0)
		*ret = op;
	return r;
}

/* ------------------------------------------------------------------------ finding things -- */

struct place {
	size_t block, endpoint;
};

static const struct pol_endpoint *endpoint_at(const struct edit *e, struct place at)
{
	return &e->policy->blocks[at.block].endpoints[at.endpoint];
}

/* What a policy has for the host and port of an operation. */
struct finder {
	struct place *v; /* those on the operation's host and port */
	size_t n, cap;
	int other_port;	      /* line of one on that host, another port */
	const struct pol_endpoint *pattern; /* one that matches the host */
	const char *hosts[HOSTS_MAX];
	size_t nhosts;
	bool oom;
};

static void look_at(struct finder *f, const struct update_op *op, const struct pol_endpoint *x,
		    struct place at)
{
	struct dest d;

	dest_from_text(&d, op->ep.host, op->ep.port);
	if (f->nhosts < HOSTS_MAX && x->host.n)
		f->hosts[f->nhosts++] = (const char *)x->host.p;
	if (!endpoint_names(x, op->ep.host)) {
		if (!f->pattern && endpoint_covers(x, &d))
			f->pattern = x;
		return;
	}
	if (!endpoint_has_port(x, op->ep.port)) {
		f->other_port = x->line;
		return;
	}
	if (array_grow(&f->v, &f->cap, f->n + 1, sizeof(*f->v)) < 0)
		f->oom = true;
	else
		f->v[f->n++] = at;
}

static int find(const struct edit *e, const struct update_op *op, struct finder *f,
		char **ret_error)
{
	const char *near;

	*f = (struct finder){0};
	for (size_t b = 0; b < e->policy->nblocks; b++)
		for (size_t i = 0; i < e->policy->blocks[b].nendpoints; i++)
			look_at(f, op, &e->policy->blocks[b].endpoints[i], (struct place){b, i});
	if (f->oom)
		return -ENOMEM;
	if (f->n)
		return 0;
	if (f->other_port)
		return bad(op, ret_error, "line %d has this host, but not on port %u",
			   f->other_port, op->ep.port);
	if (f->pattern)
		return bad(op, ret_error,
			   "no endpoint has this host; '" SLICE_FMT
			   "' (line %d) covers it: name that one",
			   SLICE_ARG(f->pattern->host), f->pattern->line);
	near = diag_suggest(op->ep.host, f->hosts, f->nhosts);
	if (near)
		return bad(op, ret_error, "no endpoint has this host (did you mean '%s'?)", near);
	return bad(op, ret_error, "no endpoint has this host");
}

static void lines_of(const struct edit *e, const struct place *v, size_t n, char *out, size_t out_n)
{
	size_t at = 0;

	out[0] = 0;
	for (size_t i = 0; i < n && at < out_n; i++)
		at += (size_t)snprintf(out + at, out_n - at, "%s%d", i ? ", " : "",
				       endpoint_at(e, v[i])->line);
}

static int several(const struct edit *e, const struct update_op *op, const struct place *v,
		   size_t n, char **ret_error)
{
	char lines[120];

	lines_of(e, v, n, lines, sizeof(lines));
	return bad(op, ret_error,
		   "%zu endpoints are for this host and port, at lines %s; change the one that is "
		   "meant with `policy get` and `policy set`",
		   n, lines);
}

/* ----------------------------------------------------------------------------- endpoints -- */

static bool has_path(const struct edit_binary *v, size_t n, struct slice path)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(v[i].path, path))
			return true;
	return false;
}

/* Has the block these binaries, no others, and nothing special about any? */
static bool same_binaries(const struct pol_block *b, const struct edit_binary *v, size_t n)
{
	for (size_t i = 0; i < b->nbinaries; i++) {
		const struct pol_binary *x = &b->binaries[i];

		if (!x->ancestors || x->tainted || !has_path(v, n, x->path))
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		bool found = false;

		for (size_t k = 0; !found && k < b->nbinaries; k++)
			found = slice_eq(b->binaries[k].path, v[i].path);
		if (!found)
			return false;
	}
	return true;
}

static bool same_word(const char *const *words, size_t n, size_t have, struct slice s)
{
	return s.n ? have < n && slice_eq_str(s, words[have]) : have == 0;
}

/* Is it there already, word for word? */
static bool same_endpoint(const struct pol_endpoint *x, const struct edit_endpoint *ep)
{
	static const char *const access[] = {"", "read-only", "read-write", "full"};
	static const char *const protocol[] = {"tcp", "rest"};
	static const char *const enforcement[] = {"enforce", "audit"};

	return endpoint_names(x, ep->host) && endpoint_has_port(x, ep->port) && !ep->nrules &&
	       !x->nrules && !x->nips && !x->path.n && !x->encoded_slash &&
	       x->tls == (x->protocol == PROTO_TCP ? TLS_NATIVE : TLS_TERMINATE) &&
	       same_word(access, ARRAY_LEN(access), x->access, ep->access) &&
	       same_word(protocol, ARRAY_LEN(protocol), x->protocol, ep->protocol) &&
	       same_word(enforcement, ARRAY_LEN(enforcement), x->enforcement, ep->enforcement);
}

struct update {
	struct edit *e;
	const struct update_op *ops;
	size_t n;
	bool *done; /* folded into an endpoint */
	const struct edit_binary *binaries;
	size_t nbinaries;
	FILE *said;
	size_t changes;
	char **ret_error;
};

static bool is_rule_for(const struct update_op *op, const struct edit_endpoint *ep)
{
	return (op->kind == UPDATE_ADD_ALLOW || op->kind == UPDATE_ADD_DENY) &&
	       slice_eq(op->ep.host, ep->host) && op->ep.port == ep->port;
}

/* Rules that follow for an endpoint without access are part of it. */
static struct edit_rule *fold_rules(struct update *u, size_t i, struct edit_endpoint *ep)
{
	struct edit_rule *rules = calloc(u->n, sizeof(*rules));

	for (size_t k = i + 1; rules && k < u->n; k++) {
		if (!is_rule_for(&u->ops[k], ep))
			continue;
		rules[ep->nrules++] = u->ops[k].rule;
		u->done[k] = true;
	}
	ep->rules = rules;
	return rules;
}

static void say_block(struct update *u, const struct update_op *op, const char *what, size_t block)
{
	const struct pol_block *b = &u->e->policy->blocks[block];

	fprintf(u->said, "%s " SLICE_FMT ":%u %s block " SLICE_FMT "\n", what,
		SLICE_ARG(op->ep.host), op->ep.port, strcmp(what, "removed") == 0 ? "from" : "to",
		SLICE_ARG(b->key));
}

/* 1: there already; 0: added to a block with these binaries; -ENOENT: there is none that takes it. */
static int extend_block(struct update *u, const struct update_op *op,
			const struct edit_endpoint *ep)
{
	const struct policy *p = u->e->policy;

	for (size_t b = 0; b < p->nblocks; b++)
		for (size_t i = 0; i < p->blocks[b].nendpoints; i++)
			if (same_binaries(&p->blocks[b], u->binaries, u->nbinaries) &&
			    same_endpoint(&p->blocks[b].endpoints[i], ep))
				return 1;
	for (size_t b = 0; b < u->e->policy->nblocks; b++) {
		int r;

		if (!same_binaries(&u->e->policy->blocks[b], u->binaries, u->nbinaries))
			continue;
		r = edit_add_endpoint(u->e, b, ep, NULL);
		if (r == 0)
			say_block(u, op, "added", b);
		if (r != -EINVAL)
			return r;
	}
	return -ENOENT;
}

static int add_endpoint(struct update *u, size_t i)
{
	const struct update_op *op = &u->ops[i];
	struct edit_endpoint ep = op->ep;
	_cleanup_free_ struct edit_rule *rules = NULL;
	int r;

	if (!u->nbinaries)
		return bad(op, u->ret_error, "needs --binary: which program may connect");
	if (ep.protocol.n && !slice_eq_str(ep.protocol, "tcp") && !ep.access.n) {
		rules = fold_rules(u, i, &ep);
		if (!rules)
			return -ENOMEM;
	}
	r = extend_block(u, op, &ep);
	if (r == 1) {
		fprintf(u->said, "%s is there already\n", op->text);
		return 0;
	}
	if (r == -ENOENT) {
		r = edit_add_block(u->e, ep.host, &ep, u->binaries, u->nbinaries, NULL);
		if (r == 0)
			say_block(u, op, "added", u->e->policy->nblocks - 1);
	}
	if (r == -EINVAL)
		return bad(op, u->ret_error, "%s", u->e->why);
	u->changes += r == 0;
	return r;
}

static int remove_endpoint(struct update *u, const struct update_op *op)
{
	struct finder f;
	int r = find(u->e, op, &f, u->ret_error);

	if (r == 0 && f.n > 1)
		r = several(u->e, op, f.v, f.n, u->ret_error);
	if (r == 0) {
		struct slice key = u->e->policy->blocks[f.v[0].block].key;
		_cleanup_free_ char *name = strndup((const char *)key.p, key.n);

		r = edit_remove_endpoint(u->e, f.v[0].block, f.v[0].endpoint, op->ep.port);
		if (r == -EINVAL)
			r = bad(op, u->ret_error, "%s", u->e->why);
		if (r == 0)
			fprintf(u->said, "removed " SLICE_FMT ":%u from block %s\n",
				SLICE_ARG(op->ep.host), op->ep.port, name ? name : "");
		u->changes += r == 0;
	}
	free(f.v);
	return r;
}

/* --------------------------------------------------------------------------------- rules -- */

static bool takes_rule(const struct pol_endpoint *x, bool deny)
{
	return pol_inspected(x) && !x->path.n && (deny || x->access == ACCESS_NONE);
}

/* Of several endpoints the one that is meant: clear only within one block, where all serve the same
 * programs. */
static int choose(const struct edit *e, const struct update_op *op, const struct finder *f,
		  struct place *ret, char **ret_error)
{
	size_t fit = 0;

	*ret = f->v[0];
	for (size_t i = 0; f->n > 1 && i < f->n; i++) {
		if (f->v[i].block != f->v[0].block)
			return several(e, op, f->v, f->n, ret_error);
		if (!takes_rule(endpoint_at(e, f->v[i]), op->rule.deny))
			continue;
		if (!fit++)
			*ret = f->v[i];
	}
	if (f->n > 1 && (fit == 0 || (fit > 1 && !op->rule.deny)))
		return several(e, op, f->v, f->n, ret_error);
	if (endpoint_at(e, *ret)->nports > 1)
		return bad(op, ret_error,
			   "the endpoint at line %d is for other ports too, where the rule would "
			   "hold as well",
			   endpoint_at(e, *ret)->line);
	return 0;
}

static bool same_rule(const struct pol_rule *x, const struct edit_rule *r)
{
	bool path = slice_eq(x->path, r->path) || (!x->path.n && slice_eq_str(r->path, "**"));

	return slice_eq(x->method, r->method) && path && !x->nquery;
}

static int add_rule(struct update *u, const struct update_op *op)
{
	const struct pol_endpoint *x;
	struct place at = {0};
	struct finder f;
	int r = find(u->e, op, &f, u->ret_error);

	if (r == 0)
		r = choose(u->e, op, &f, &at, u->ret_error);
	free(f.v);
	if (r < 0)
		return r;
	x = endpoint_at(u->e, at);
	for (size_t i = 0; i < x->nrules; i++)
		if (x->rules[i].deny == op->rule.deny && same_rule(&x->rules[i], &op->rule)) {
			fprintf(u->said, "%s is there already (line %d)\n", op->text,
				x->rules[i].line);
			return 0;
		}
	r = edit_add_rule(u->e, at.block, at.endpoint, &op->rule, NULL);
	if (r == -EINVAL)
		return bad(op, u->ret_error, "%s", u->e->why);
	if (r == 0)
		fprintf(u->said, "added %s %s to block " SLICE_FMT "\n",
			op->rule.deny ? "deny rule" : "allow rule", op->text,
			SLICE_ARG(u->e->policy->blocks[at.block].key));
	u->changes += r == 0;
	return r;
}

/* Finds the one rule; its number in *ret. */
static int find_rule(const struct edit *e, const struct update_op *op, const struct finder *f,
		     struct place *ret, size_t *ret_rule, char **ret_error)
{
	int lines[2] = {0, 0};
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++) {
		const struct pol_endpoint *x = endpoint_at(e, f->v[i]);

		for (size_t k = 0; k < x->nrules; k++) {
			if (!same_rule(&x->rules[k], &op->rule))
				continue;
			lines[n != 0] = x->rules[k].line;
			if (n++)
				continue;
			*ret = f->v[i];
			*ret_rule = k;
		}
	}
	if (n == 0)
		return bad(op, ret_error, "no rule of this host and port has this method and path");
	if (n > 1)
		return bad(op, ret_error,
			   "%zu rules have this method and path, at lines %d and %d; change the one "
			   "that is meant with `policy get` and `policy set`",
			   n, lines[0], lines[1]);
	if (endpoint_at(e, *ret)->nports > 1)
		return bad(op, ret_error, "the endpoint at line %d is for other ports too",
			   endpoint_at(e, *ret)->line);
	return 0;
}

static int remove_rule(struct update *u, const struct update_op *op)
{
	struct place at = {0};
	struct finder f;
	size_t rule = 0;
	int r = find(u->e, op, &f, u->ret_error);

	if (r == 0)
		r = find_rule(u->e, op, &f, &at, &rule, u->ret_error);
	free(f.v);
	if (r < 0)
		return r;
	r = edit_remove_rule(u->e, at.block, at.endpoint, rule);
	if (r == -EINVAL)
		return bad(op, u->ret_error, "%s", u->e->why);
	if (r == 0)
		fprintf(u->said, "removed rule %s from block " SLICE_FMT "\n", op->text,
			SLICE_ARG(u->e->policy->blocks[at.block].key));
	u->changes += r == 0;
	return r;
}

static int apply_one(struct update *u, size_t i)
{
	switch (u->ops[i].kind) {
	case UPDATE_ADD_ENDPOINT:
		return add_endpoint(u, i);
	case UPDATE_ADD_ALLOW:
	case UPDATE_ADD_DENY:
		return add_rule(u, &u->ops[i]);
	case UPDATE_REMOVE_ENDPOINT:
		return remove_endpoint(u, &u->ops[i]);
	case UPDATE_REMOVE_RULE:
		return remove_rule(u, &u->ops[i]);
	}
	return -EINVAL;
}

int update_apply(struct edit *e, const struct update_op *ops, size_t n,
		 const struct edit_binary *binaries, size_t nbinaries, FILE *said, size_t *ret_changes,
		 char **ret_error)
{
	_cleanup_free_ bool *done = calloc(n + 1, sizeof(*done));
	struct update u = {e, ops, n, done, binaries, nbinaries, said, 0, ret_error};
	int r = done ? 0 : -ENOMEM;

	*ret_error = NULL;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (!done[i])
			r = apply_one(&u, i);
	if (r == 0)
		*ret_changes = u.changes;
	return r;
}
