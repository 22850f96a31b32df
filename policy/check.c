/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - policy_parse() and the readers that all sections share. */
#include "policy/check.h"

void *check_alloc(struct check *c, size_t count, size_t elem)
{
	void *p = count <= SIZE_MAX / 2 / elem ? arena_alloc(&c->p->arena, count * elem) : NULL;

	if (!p)
		c->oom = true;
	return p;
}

struct slice check_copy(struct check *c, struct slice s)
{
	char *p = arena_copy(&c->p->arena, s);

	if (!p)
		c->oom = true;
	return (struct slice){(const uint8_t *)p, p ? s.n : 0};
}

/* Returns the known field that was meant, or NULL. */
static const char *unknown_field(struct check *c, const struct ynode *key, const char *what,
				 const char *const *names, size_t count)
{
	const char *near = diag_suggest(key->s, names, count);

	if (near)
		check_error(c, key, "unknown field '" SLICE_FMT "' (did you mean '%s'?)",
			    SLICE_ARG(key->s), near);
	else
		check_error(c, key, "unknown field '" SLICE_FMT "' in %s", SLICE_ARG(key->s), what);
	return near;
}

static size_t find_name(struct slice s, const char *const *names, size_t count)
{
	size_t k;

	for (k = 0; k < count && !slice_eq_str(s, names[k]); k++)
		;
	return k;
}

/* Reports unknown fields.  A misspelt one then counts as the one that was meant, unless that is
 * there too: its value is checked, and nobody is told on top that the field is missing. */
static void take_unknown_fields(struct check *c, const struct ynode *n, const char *what,
				const char *const *names, size_t count, struct field *out)
{
	for (uint32_t i = 0; i + 1 < n->n; i += 2) {
		const struct ynode *key = n->v[i];
		const char *near;
		size_t k;

		if (find_name(key->s, names, count) < count)
			continue;
		near = unknown_field(c, key, what, names, count);
		k = near ? find_name(slice_str(near), names, count) : count;
		if (k < count && !out[k].val)
			out[k] = (struct field){key, n->v[i + 1]};
	}
}

bool check_fields(struct check *c, const struct ynode *n, const char *what,
		  const char *const *names, size_t count, struct field *out)
{
	memset(out, 0, count * sizeof(*out));
	if (n->kind != Y_MAP) {
		check_error(c, n, "%s must be a map, not %s", what, ynode_type_name(n));
		return false;
	}
	for (uint32_t i = 0; i + 1 < n->n; i += 2) {
		size_t k = find_name(n->v[i]->s, names, count);

		if (k < count)
			out[k] = (struct field){n->v[i], n->v[i + 1]};
	}
	take_unknown_fields(c, n, what, names, count, out);
	return true;
}

bool check_list(struct check *c, const struct ynode *n, const char *what)
{
	if (n->kind == Y_SEQ)
		return true;
	check_error(c, n, "'%s' must be a list, not %s", what, ynode_type_name(n));
	return false;
}

bool check_filled(struct check *c, const struct ynode *n, const char *what)
{
	if (!check_list(c, n, what))
		return false;
	if (n->n)
		return true;
	check_error(c, n, "'%s' is an empty list", what);
	return false;
}

bool check_string(struct check *c, const struct ynode *n, const char *what, struct slice *ret)
{
	enum ynode_type t = ynode_type(n);

	if (t == YT_BOOL || t == YT_INT || t == YT_FLOAT) {
		check_error(c, n, "'%s' must be a string, not %s (quote it: \"" SLICE_FMT "\")",
			    what, ynode_type_name(n), SLICE_ARG(n->s));
		return false;
	}
	if (t != YT_STR) {
		check_error(c, n, "'%s' must be a string, not %s", what, ynode_type_name(n));
		return false;
	}
	if (n->s.n == 0) {
		check_error(c, n, "'%s' is empty", what);
		return false;
	}
	for (size_t i = 0; i < n->s.n; i++) {
		if (n->s.p[i] < 0x20 || n->s.p[i] == 0x7f) {
			check_error(c, n, "'%s' holds a control character", what);
			return false;
		}
	}
	*ret = n->s;
	return true;
}

bool check_bool(struct check *c, const struct ynode *n, const char *what, bool *ret)
{
	static const char *const old[] = {"yes", "no", "on", "off", "y", "n"};

	if (ynode_type(n) == YT_BOOL) {
		*ret = n->s.p[0] == 't' || n->s.p[0] == 'T';
		return true;
	}
	for (size_t i = 0; n->kind == Y_SCALAR && i < ARRAY_LEN(old); i++) {
		if (slice_eq_str(n->s, old[i])) {
			check_error(c, n, "'%s' must be true or false, not '%s'", what, old[i]);
			return false;
		}
	}
	check_error(c, n, "'%s' must be true or false, not %s", what, ynode_type_name(n));
	return false;
}

bool check_number(struct check *c, const struct ynode *n, const char *what, unsigned long least,
		  unsigned long most, unsigned long *ret)
{
	unsigned long v = 0;

	if (ynode_type(n) != YT_INT) {
		check_error(c, n, "'%s' must be a number, not %s", what,
			    ynode_type(n) == YT_FLOAT ? "a fraction" : ynode_type_name(n));
		return false;
	}
	if (n->s.n > 1 && n->s.p[0] == '0' && n->s.p[1] >= '0' && n->s.p[1] <= '9') {
		check_error(c, n, "'%s' must not begin with 0, which some read as octal", what);
		return false;
	}
	for (size_t i = 0; i < n->s.n; i++) {
		uint8_t d = n->s.p[i];

		if (d < '0' || d > '9' || v > most) {
			v = most + 1;
			break;
		}
		v = v * 10 + (unsigned long)(d - '0');
	}
	if (v < least || v > most) {
		check_error(c, n, "'%s' must be %lu to %lu, not " SLICE_FMT, what, least, most,
			    SLICE_ARG(n->s));
		return false;
	}
	*ret = v;
	return true;
}

static void list_words(char *out, size_t n, const char *const *words, size_t count)
{
	size_t at = 0;

	out[0] = 0;
	for (size_t i = 0; i < count && at < n; i++)
		at += (size_t)snprintf(out + at, n - at, "%s%s", i ? ", " : "", words[i]);
}

bool check_word(struct check *c, const struct ynode *n, const char *what, const char *const *words,
		size_t count, size_t *ret)
{
	const char *near;
	char known[200];
	struct slice s;

	if (!check_string(c, n, what, &s))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (slice_eq_str(s, words[i])) {
			*ret = i;
			return true;
		}
	}
	near = diag_suggest(s, words, count);
	list_words(known, sizeof(known), words, count);
	if (near)
		check_error(c, n, "unknown %s '" SLICE_FMT "' (did you mean '%s'?)", what,
			    SLICE_ARG(s), near);
	else
		check_error(c, n, "unknown %s '" SLICE_FMT "' (known: %s)", what, SLICE_ARG(s),
			    known);
	return false;
}

/* ---------------------------------------------------------------------------- top level -- */

enum { TOP_VERSION, TOP_FILESYSTEM, TOP_LANDLOCK, TOP_PROCESS, TOP_NETWORK, TOP_COUNT };

static void check_version(struct check *c, const struct ynode *root, const struct field *f)
{
	if (!f->val)
		check_error(c, root, "'version' is missing (write 'version: 1')");
	else if (ynode_type(f->val) != YT_INT && ynode_type(f->val) != YT_FLOAT)
		check_error(c, f->val, "'version' must be the number 1, not %s",
			    ynode_type_name(f->val));
	else if (!slice_eq_str(f->val->s, "1"))
		check_error(c, f->val,
			    "version " SLICE_FMT " is not supported (this program reads version 1)",
			    SLICE_ARG(f->val->s));
}

static void check_top(struct check *c, const struct ynode *root)
{
	static const char *const names[TOP_COUNT] = {"version", "filesystem_policy", "landlock",
						     "process", "network_policies"};
	struct field f[TOP_COUNT];

	if (!check_fields(c, root, "a policy", names, TOP_COUNT, f))
		return;
	check_version(c, root, &f[TOP_VERSION]);
	check_static(c, &f[TOP_FILESYSTEM], &f[TOP_LANDLOCK], &f[TOP_PROCESS]);
	/* nothing after the colon: all blocks commented out, which is no blocks */
	if (f[TOP_NETWORK].val && ynode_type(f[TOP_NETWORK].val) != YT_NULL)
		check_blocks(c, f[TOP_NETWORK].val);
}

int policy_parse(struct slice text, struct policy_diags *diags, struct policy **ret)
{
	_cleanup_(policy_freep) struct policy *p = calloc(1, sizeof(*p));
	struct check c = {.p = p, .d = diags};
	struct arena tree = {0};
	struct ynode *root = NULL;
	size_t before = diags->errors;
	int r;

	if (!p)
		return -ENOMEM;
	p->st.include_workdir = true;
	r = yaml_tree_read(&tree, text, diags, &root);
	if (r == 0 && root)
		check_top(&c, root);
	else if (r == 0)
		diag_add(diags, POLICY_ERROR, 0, 0, "empty: a policy begins with 'version: 1'");
	arena_done(&tree);
	diags_finish(diags);
	if (r == -ENOMEM || c.oom)
		return -ENOMEM;
	if (r < 0 || diags->errors > before)
		return -EINVAL;
	*ret = steal_ptr(&p);
	return 0;
}
