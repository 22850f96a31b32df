/* SPDX-License-Identifier: Apache-2.0 */
/* cases.c - reading the cases of `policy test`; all errors at once, as policies are read. */
#include "policy/cases.h"

#include "policy/check.h"
#include "policy/host.h"

enum {
	C_NAME,
	C_BINARY,
	C_SCRIPT,
	C_ANCESTORS,
	C_TAINTED,
	C_HOST,
	C_PORT,
	C_METHOD,
	C_PATH,
	C_QUERY,
	C_EXPECT,
	C_POLICY,
	C_NEVER,
	C_COUNT
};

static const char *const names[C_COUNT] = {"name",   "binary", "script", "ancestors", "tainted", "host", "port",
					   "method", "path",   "query",	 "expect",    "policy",	 "never"};

/* The readers of policies allocate from a policy's arena: this one is a mere vessel.  The tree of nodes is read into the
 * same arena and kept, so that text need not be copied (aliases could make a copy of it large). */
struct reader {
	struct policy vessel;
	struct check c;
	struct policy_cases *out;
	size_t nnever;
};

void policy_cases_done(struct policy_cases *c)
{
	for (size_t i = 0; i < c->n; i++)
		prove_expr_free(c->v[i].expr);
	free(c->v);
	arena_done(&c->arena);
	*c = (struct policy_cases){0};
}

bool policy_case_holds(const struct policy_case *c, const struct explanation *x)
{
	if (x->decision != c->expect)
		return false;
	return !c->block.n || (x->block != ~0u && (slice_eq(c->block, x->block_key) || slice_eq(c->block, x->block_name)));
}

/* ---------------------------------------------------------------------------------- fields -- */

static void read_text(struct check *c, const struct field *f, const char *what, struct slice *ret)
{
	struct slice s;

	if (f->val && check_string(c, f->val, what, &s))
		*ret = s;
}

static bool path_ok(struct check *c, const struct ynode *n, const char *what, struct slice *ret)
{
	struct slice s;

	if (!check_string(c, n, what, &s))
		return false;
	if (s.p[0] != '/')
		check_error(c, n, "'%s' must be an absolute path, not '" SLICE_FMT "'", what, SLICE_ARG(s));
	else if (s.n >= OSH_PATH_MAX)
		check_error(c, n, "'%s' is longer than %d bytes, which no identity is", what, OSH_PATH_MAX - 1);
	*ret = s;
	return true;
}

static void read_ancestors(struct check *c, const struct ynode *n, struct ident_paths *id)
{
	struct slice *v;

	if (!check_list(c, n, "ancestors"))
		return;
	if (n->n > OSH_ANCESTORS_MAX) {
		check_error(c, n, "%u ancestors (a process has at most %d)", n->n, OSH_ANCESTORS_MAX);
		return;
	}
	v = check_alloc(c, n->n + 1, sizeof(*v));
	for (uint32_t i = 0; v && i < n->n; i++)
		id->nanc += path_ok(c, n->v[i], "ancestors", &v[id->nanc]);
	id->anc = v;
}

static void read_host(struct check *c, const struct ynode *n, struct slice *ret)
{
	char low[HOST_MAX + 1];
	struct dest d;
	struct slice s;

	if (!check_string(c, n, "host", &s))
		return;
	dest_from_text(&d, s, 1);
	if (d.host.n && !host_lower(d.host, low))
		check_error(c, n, "host '" SLICE_FMT "' is neither a name nor an address", SLICE_ARG(s));
	*ret = s;
}

static void read_method(struct check *c, const struct ynode *n, struct slice *ret)
{
	struct slice s;

	if (!check_string(c, n, "method", &s))
		return;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] > ' ' && s.p[i] < 0x7f)
			continue;
		check_error(c, n, "'" SLICE_FMT "' is no method", SLICE_ARG(s));
		break;
	}
	*ret = s;
}

/* ----------------------------------------------------------------------------------- query -- */

#define PAIRS_MAX 4096

static bool read_value(struct check *c, const struct ynode *n, struct slice *ret)
{
	if (n->kind != Y_SCALAR) {
		check_error(c, n, "a query value must be a string, not %s", ynode_type_name(n));
		return false;
	}
	for (size_t i = 0; i < n->s.n; i++) {
		if (n->s.p[i] >= 0x20 && n->s.p[i] != 0x7f)
			continue;
		check_error(c, n, "a query value holds a control character");
		return false;
	}
	*ret = n->s; /* numbers and the like are what is written */
	return true;
}

/* {key: value} or {key: [value, value]}. */
static void read_query(struct check *c, const struct ynode *n, struct explain_ask *ask)
{
	struct query_pair *v;
	size_t max = 0;

	if (n->kind != Y_MAP) {
		check_error(c, n, "'query' must be a map of names to values, not %s", ynode_type_name(n));
		return;
	}
	for (uint32_t i = 0; i + 1 < n->n; i += 2)
		max += n->v[i + 1]->kind == Y_SEQ ? n->v[i + 1]->n : 1;
	if (max > PAIRS_MAX) {
		check_error(c, n, "%zu query values (at most %d)", max, PAIRS_MAX);
		return;
	}
	v = check_alloc(c, max + 1, sizeof(*v));
	for (uint32_t i = 0; v && i + 1 < n->n; i += 2) {
		const struct ynode *x = n->v[i + 1];
		struct ynode *one[] = {n->v[i + 1]};
		struct ynode *const *items = x->kind == Y_SEQ ? x->v : one;
		struct slice key = n->v[i]->s;

		for (uint32_t k = 0; k < (x->kind == Y_SEQ ? x->n : 1); k++) {
			v[ask->nquery].name = key;
			ask->nquery += read_value(c, items[k], &v[ask->nquery].value);
		}
	}
	ask->query = v;
}

/* ---------------------------------------------------------------------------------- a case -- */

static void check_missing(struct check *c, const struct ynode *n, const struct field *f)
{
	static const int needed[] = {C_NAME, C_BINARY, C_HOST, C_PORT, C_EXPECT};

	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (!f[needed[i]].val)
			check_error(c, n, "'%s' is missing", names[needed[i]]);
	if (!f[C_METHOD].val != !f[C_PATH].val)
		check_error(c, f[C_METHOD].val ? f[C_METHOD].key : f[C_PATH].key, "'method' and 'path' go together");
	if (f[C_QUERY].val && !f[C_PATH].val && !f[C_METHOD].val)
		check_error(c, f[C_QUERY].key, "'query' goes with 'method' and 'path'");
}

static void read_question(struct check *c, const struct ynode *n, const struct field *f, struct policy_case *ret)
{
	static const char *const words[] = {[EXPLAIN_DENY] = "deny", [EXPLAIN_ALLOW] = "allow", [EXPLAIN_AUDIT] = "audit"};
	unsigned long port = 0;
	size_t expect = 0;

	check_missing(c, n, f);
	read_text(c, &f[C_POLICY], "policy", &ret->block);
	read_text(c, &f[C_PATH], "path", &ret->ask.target);
	if (f[C_BINARY].val)
		path_ok(c, f[C_BINARY].val, "binary", &ret->ask.id.exe);
	if (f[C_SCRIPT].val)
		path_ok(c, f[C_SCRIPT].val, "script", &ret->ask.id.script);
	if (f[C_ANCESTORS].val)
		read_ancestors(c, f[C_ANCESTORS].val, &ret->ask.id);
	if (f[C_TAINTED].val)
		check_bool(c, f[C_TAINTED].val, "tainted", &ret->ask.id.tainted);
	if (f[C_HOST].val)
		read_host(c, f[C_HOST].val, &ret->ask.host);
	if (f[C_PORT].val && check_number(c, f[C_PORT].val, "port", 1, 65535, &port))
		ret->ask.port = (uint16_t)port;
	if (f[C_METHOD].val)
		read_method(c, f[C_METHOD].val, &ret->ask.method);
	if (f[C_QUERY].val)
		read_query(c, f[C_QUERY].val, &ret->ask);
	if (f[C_EXPECT].val && check_word(c, f[C_EXPECT].val, "expect", words, ARRAY_LEN(words), &expect))
		ret->expect = (enum explain_decision)expect;
}

/* Beyond what the bytes of a file can hold without aliases. */
#define CASES_MAX 100000
#define NEVER_MAX 1000

static struct policy_case *add_case(struct reader *r, const struct ynode *n, struct slice name)
{
	struct policy_cases *o = r->out;

	if (o->n == CASES_MAX) {
		check_error(&r->c, n, "more than %d cases", CASES_MAX);
		return NULL;
	}
	if (array_grow(&o->v, &o->cap, o->n + 1, sizeof(*o->v)) < 0) {
		r->c.oom = true;
		return NULL;
	}
	o->v[o->n] = (struct policy_case){.name = name, .line = n->line, .col = n->col};
	return &o->v[o->n++];
}

static void read_expr(struct reader *r, const struct ynode *n, struct slice name)
{
	struct policy_case *x;
	struct slice text;
	char why[512];
	int e;

	if (!check_string(&r->c, n, "never", &text))
		return;
	if (r->nnever++ == NEVER_MAX)
		check_error(&r->c, n, "more than %d expressions", NEVER_MAX);
	x = r->nnever <= NEVER_MAX ? add_case(r, n, name) : NULL;
	if (!x)
		return;
	x->never = text;
	e = prove_parse(text, &x->expr, why, sizeof(why));
	if (e == -EINVAL)
		check_error(&r->c, n, "never: %s", why);
	else if (e < 0)
		r->c.oom = true;
}

/* An expression, or a list of them. */
static void read_never(struct reader *r, const struct ynode *n, struct slice name)
{
	if (n->kind != Y_SEQ)
		read_expr(r, n, name);
	else if (check_filled(&r->c, n, "never"))
		for (uint32_t i = 0; i < n->n; i++)
			read_expr(r, n->v[i], name);
}

static void read_case(struct reader *r, const struct ynode *n)
{
	struct check *c = &r->c;
	struct slice name = {NULL, 0};
	struct field f[C_COUNT];
	struct policy_case *x;

	if (!check_fields(c, n, "a case", names, C_COUNT, f))
		return;
	read_text(c, &f[C_NAME], "name", &name);
	if (f[C_NEVER].val) {
		for (int i = C_BINARY; i < C_NEVER; i++)
			if (f[i].val)
				check_error(c, f[i].key, "'%s' does not go with 'never'", names[i]);
		read_never(r, f[C_NEVER].val, name);
		return;
	}
	x = add_case(r, n, name);
	if (x)
		read_question(c, n, f, x);
}

static void read_top(struct reader *r, const struct ynode *root)
{
	static const char *const top[] = {"cases", "never"};
	struct field f[ARRAY_LEN(top)];

	if (!check_fields(&r->c, root, "a file of cases", top, ARRAY_LEN(top), f))
		return;
	if (!f[0].val && !f[1].val)
		check_error(&r->c, root, "'cases' is missing");
	if (f[0].val && check_filled(&r->c, f[0].val, "cases"))
		for (uint32_t i = 0; i < f[0].val->n; i++)
			read_case(r, f[0].val->v[i]);
	if (f[1].val)
		read_never(r, f[1].val, (struct slice){NULL, 0});
}

int policy_cases_parse(struct slice text, struct policy_diags *diags, struct policy_cases *ret)
{
	struct policy_cases cases = {0};
	struct reader r = {.c = {.p = &r.vessel, .d = diags}, .out = &cases};
	size_t before = diags->errors;
	struct ynode *root = NULL;
	int e = yaml_tree_read(&r.vessel.arena, text, diags, &root);

	if (e == 0 && root)
		read_top(&r, root);
	else if (e == 0)
		diag_add(diags, POLICY_ERROR, 0, 0, "empty: a file of cases begins with 'cases:'");
	diags_finish(diags);
	cases.arena = r.vessel.arena;
	if (e == -ENOMEM || r.c.oom)
		e = -ENOMEM;
	else if (e < 0 || diags->errors > before)
		e = -EINVAL;
	if (e < 0)
		policy_cases_done(&cases);
	else
		*ret = cases;
	return e;
}
