/* SPDX-License-Identifier: Apache-2.0 */
/* check_rules.c - the allow and deny rules of an inspected endpoint. */
#include "policy/check.h"
#include "policy/glob.h"

#include <strings.h>

enum { RULE_METHOD, RULE_PATH, RULE_QUERY, RULE_COUNT };
static const char *const rule_fields[RULE_COUNT] = {"method", "path", "query"};

#define METHOD_MAX 64

static bool token_byte(uint8_t c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c && strchr("!#$%&'+-.^_`|~", c) != NULL; /* RFC 9110 5.6.2, without '*' */
}

/* A standard method in the wrong case is a mistake: methods compare exactly. */
static const char *standard_method(struct slice s)
{
	static const char *const methods[] = {"GET",	 "HEAD",  "POST",    "PUT",  "DELETE",
					      "OPTIONS", "PATCH", "CONNECT", "TRACE"};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (s.n == strlen(methods[i]) &&
		    strncasecmp((const char *)s.p, methods[i], s.n) == 0)
			return methods[i];
	return NULL;
}

static bool check_method(struct check *c, const struct ynode *n, struct slice *ret)
{
	const char *standard;
	struct slice s;

	if (!check_string(c, n, "method", &s))
		return false;
	if (slice_eq_str(s, "*"))
		return true;
	for (size_t i = 0; i < s.n; i++) {
		if (!token_byte(s.p[i]) || s.n > METHOD_MAX) {
			check_error(c, n,
				    "'" SLICE_FMT
				    "' is no method (a name such as GET, or '*' for any)",
				    SLICE_ARG(s));
			return false;
		}
	}
	standard = standard_method(s);
	if (standard && !slice_eq_str(s, standard)) {
		check_error(c, n,
			    "unknown method '" SLICE_FMT
			    "': methods are case-sensitive (did you mean '%s'?)",
			    SLICE_ARG(s), standard);
		return false;
	}
	*ret = check_copy(c, s);
	return true;
}

static bool check_glob(struct check *c, const struct ynode *n, const char *what,
		       enum glob_kind kind, struct slice *ret)
{
	char why[160];
	int r;

	/* an empty query value is one that can be asked for */
	if (kind == GLOB_QUERY && ynode_type(n) == YT_STR && n->s.n == 0) {
		*ret = check_copy(c, n->s);
		return true;
	}
	if (!check_string(c, n, what, ret))
		return false;
	r = glob_check(*ret, kind, &c->glob_work, why, sizeof(why));
	if (r == -ENOMEM)
		c->oom = true;
	else if (r < 0)
		check_error(c, n, "%s '" SLICE_FMT "': %s", what, SLICE_ARG(*ret), why);
	*ret = check_copy(c, *ret);
	return r == 0;
}

/* The globs of one query key: a string, or {any: [...]}. */
static bool check_query_value(struct check *c, const struct ynode *n, struct pol_query *ret)
{
	static const char *const names[] = {"any"};
	struct field f[1];
	struct slice *v;
	const struct ynode *one[1] = {n};
	const struct ynode *const *items = one;
	bool ok = true;

	ret->n = 1;
	if (n->kind == Y_MAP) {
		if (!check_fields(c, n, "a query condition", names, 1, f))
			return false;
		if (!f[0].val) {
			check_error(c, n, "a query condition is a pattern or {any: [patterns]}");
			return false;
		}
		if (!check_filled(c, f[0].val, "any"))
			return false;
		items = (const struct ynode *const *)f[0].val->v;
		ret->n = f[0].val->n;
	}
	v = check_alloc(c, ret->n, sizeof(*v));
	for (size_t i = 0; v && i < ret->n; i++)
		ok &= check_glob(c, items[i], "query value", GLOB_QUERY, &v[i]);
	ret->any = v;
	return ok && v;
}

/* Any text, empty included; a query with a control byte in it is refused before rules are asked. */
static void check_query_name(struct check *c, const struct ynode *key)
{
	for (size_t i = 0; i < key->s.n; i++) {
		if (key->s.p[i] < 0x20 || key->s.p[i] == 0x7f) {
			check_error(c, key, "'query' has a name that holds a control character");
			return;
		}
	}
}

static void check_query(struct check *c, const struct ynode *n, struct pol_rule *ret)
{
	struct pol_query *v;

	if (n->kind != Y_MAP) {
		check_error(c, n, "'query' must be a map of names to patterns, not %s",
			    ynode_type_name(n));
		return;
	}
	if (n->n == 0) {
		check_error(c, n, "'query' is an empty map");
		return;
	}
	v = check_alloc(c, n->n / 2, sizeof(*v));
	for (uint32_t i = 0; v && i + 1 < n->n; i += 2) {
		check_query_name(c, n->v[i]);
		v[i / 2].name = check_copy(c, n->v[i]->s);
		check_query_value(c, n->v[i + 1], &v[i / 2]);
	}
	ret->query = v;
	ret->nquery = v ? n->n / 2 : 0;
}

/* Fields that only protocols of later versions know. */
static bool later_field(struct check *c, const struct ynode *n)
{
	static const char *const later[] = {"operation_type", "operation_name", "fields",
					    "tool", "params", "command"};
	bool found = false;

	for (uint32_t i = 0; n->kind == Y_MAP && i + 1 < n->n; i += 2) {
		for (size_t k = 0; k < ARRAY_LEN(later); k++) {
			if (!slice_eq_str(n->v[i]->s, later[k]))
				continue;
			check_error(c, n->v[i], "'%s' does not belong in a REST rule", later[k]);
			found = true;
		}
	}
	return found;
}

static void check_rule(struct check *c, const struct ynode *n, bool deny, struct pol_rule *ret)
{
	struct field f[RULE_COUNT];
	const char *what = deny ? "a deny rule" : "an allow rule";

	ret->deny = deny;
	ret->line = n->line;
	ret->col = n->col;
	if (later_field(c, n) || !check_fields(c, n, what, rule_fields, RULE_COUNT, f))
		return;
	if (n->n == 0)
		check_error(c, n, "%s is empty", what);
	else if (!f[RULE_METHOD].val && !deny)
		check_error(c, n, "%s needs 'method' ('*' for any)", what);
	if (f[RULE_METHOD].val)
		check_method(c, f[RULE_METHOD].val, &ret->method);
	if (f[RULE_PATH].val)
		check_glob(c, f[RULE_PATH].val, "path", GLOB_PATH, &ret->path);
	if (f[RULE_QUERY].val)
		check_query(c, f[RULE_QUERY].val, ret);
}

/* One element of `rules`: {allow: {...}}. */
static void check_allow(struct check *c, const struct ynode *n, struct pol_rule *ret)
{
	static const char *const names[] = {"allow"};
	struct field f[1];

	for (uint32_t i = 0; n->kind == Y_MAP && i + 1 < n->n; i += 2) {
		if (slice_eq_str(n->v[i]->s, "deny")) {
			check_error(c, n->v[i],
				    "'rules' holds allow rules; deny rules stand in 'deny_rules'");
			return;
		}
		if (slice_eq_str(n->v[i]->s, "method") || slice_eq_str(n->v[i]->s, "path")) {
			check_error(c, n->v[i],
				    "a rule is written 'allow: {method: ..., path: ...}'");
			return;
		}
	}
	if (!check_fields(c, n, "a rule", names, 1, f))
		return;
	if (!f[0].val)
		check_error(c, n, "a rule is written 'allow: {method: ..., path: ...}'");
	else
		check_rule(c, f[0].val, false, ret);
}

void check_rules(struct check *c, const struct field *allow, const struct field *deny,
		 struct pol_endpoint *ret)
{
	const struct ynode *a =
		allow->val && check_filled(c, allow->val, "rules") ? allow->val : NULL;
	const struct ynode *d =
		deny->val && check_filled(c, deny->val, "deny_rules") ? deny->val : NULL;
	size_t n = (a ? a->n : 0) + (d ? d->n : 0), at = 0;
	struct pol_rule *v;

	if (!n)
		return;
	v = check_alloc(c, n, sizeof(*v));
	if (!v)
		return;
	for (uint32_t i = 0; a && i < a->n; i++)
		check_allow(c, a->v[i], &v[at++]);
	for (uint32_t i = 0; d && i < d->n; i++)
		check_rule(c, d->v[i], true, &v[at++]);
	ret->rules = v;
	ret->nrules = n;
}
