/* SPDX-License-Identifier: Apache-2.0 */
/* check_static.c - the sections that a running sandbox cannot change: files, Landlock, identity. */
#include "policy/check.h"

#define PATHS_MAX 256
#define PATH_BYTES_MAX 4096
#define USER_NAME_MAX 64

/* -------------------------------------------------------------------------------- files -- */

/* Writes the path without empty and '.' components and without trailing slash.  false: has "..". */
static bool normalise(struct slice s, char *out)
{
	size_t o = 0;

	for (size_t i = 0, n; i < s.n; i += n + 1) {
		for (n = 0; i + n < s.n && s.p[i + n] != '/'; n++)
			;
		if (n == 0 || (n == 1 && s.p[i] == '.'))
			continue;
		if (n == 2 && s.p[i] == '.' && s.p[i + 1] == '.')
			return false;
		out[o++] = '/';
		memcpy(out + o, s.p + i, n);
		o += n;
	}
	if (o == 0)
		out[o++] = '/';
	out[o] = 0;
	return true;
}

static bool check_path(struct check *c, const struct ynode *n, const char *what,
		       struct policy_path *ret)
{
	char buf[PATH_BYTES_MAX + 2];
	struct slice s;

	if (!check_string(c, n, what, &s))
		return false;
	if (s.n > PATH_BYTES_MAX) {
		check_error(c, n, "a path of %zu bytes (at most %d)", s.n, PATH_BYTES_MAX);
		return false;
	}
	if (s.p[0] != '/') {
		check_error(c, n, "'" SLICE_FMT "' must be an absolute path", SLICE_ARG(s));
		return false;
	}
	if (!normalise(s, buf)) {
		check_error(c, n, "'" SLICE_FMT "' must not contain '..'", SLICE_ARG(s));
		return false;
	}
	ret->path = (const char *)check_copy(c, slice_str(buf)).p;
	ret->line = n->line;
	ret->col = n->col;
	return ret->path != NULL;
}

static void check_paths(struct check *c, const struct ynode *n, const char *what,
			struct policy_paths *ret)
{
	struct policy_path *v;
	size_t count = 0;

	if (!n || !check_list(c, n, what))
		return;
	v = check_alloc(c, n->n + 1, sizeof(*v));
	for (uint32_t i = 0; v && i < n->n; i++)
		count += check_path(c, n->v[i], what, &v[count]);
	*ret = (struct policy_paths){v, count};
}

static void check_writable(struct check *c, const struct policy_paths *rw)
{
	for (size_t i = 0; i < rw->n; i++) {
		const struct policy_path *p = &rw->v[i];

		if (strcmp(p->path, "/") == 0 || strcmp(p->path, "/proc") == 0)
			diag_add(c->d, POLICY_ERROR, p->line, p->col, "'%s' may not be read-write",
				 p->path);
	}
}

static void check_filesystem(struct check *c, const struct field *f)
{
	enum { WORKDIR, READ_ONLY, READ_WRITE, SOCKETS, COUNT };
	static const char *const names[COUNT] = {"include_workdir", "read_only", "read_write",
						 "unix_sockets"};
	struct policy_static *st = &c->p->st;
	struct field v[COUNT];
	size_t total;

	if (!check_fields(c, f->val, "'filesystem_policy'", names, COUNT, v))
		return;
	st->has_filesystem = true;
	if (v[WORKDIR].val)
		check_bool(c, v[WORKDIR].val, "include_workdir", &st->include_workdir);
	check_paths(c, v[READ_ONLY].val, "read_only", &st->read_only);
	check_paths(c, v[READ_WRITE].val, "read_write", &st->read_write);
	check_paths(c, v[SOCKETS].val, "unix_sockets", &st->unix_sockets);
	check_writable(c, &st->read_write);
	total = st->read_only.n + st->read_write.n + st->unix_sockets.n;
	if (total > PATHS_MAX)
		check_error(c, f->key, "%zu paths (at most %d together)", total, PATHS_MAX);
}

static void check_landlock(struct check *c, const struct ynode *n)
{
	static const char *const names[] = {"compatibility"};
	static const char *const words[] = {"best_effort", "hard_requirement"};
	struct field v[1];
	size_t i;

	if (!check_fields(c, n, "'landlock'", names, 1, v))
		return;
	c->p->st.has_landlock = true;
	if (v[0].val && check_word(c, v[0].val, "compatibility", words, ARRAY_LEN(words), &i))
		c->p->st.landlock = i ? POLICY_HARD_REQUIREMENT : POLICY_BEST_EFFORT;
}

/* ----------------------------------------------------------------------------- identity -- */

static bool all_digits(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

static bool account_name(struct slice s)
{
	if (s.n > USER_NAME_MAX || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t b = s.p[i];

		if ((b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') &&
		    b != '_' && b != '-' && b != '.' && b != '@' && !(b == '$' && i + 1 == s.n))
			return false;
	}
	return true;
}

/* Decimal id; refuses leading zeros, 0 and 2^32 - 1, which the kernel reads as "no change".
 */
static const char *account_id(struct check *c, const struct ynode *n, const char *what)
{
	char buf[16];
	uint64_t v = 0;

	if (n->s.n > 1 && n->s.p[0] == '0') {
		check_error(c, n, "'%s' must not begin with 0, which some read as octal", what);
		return NULL;
	}
	for (size_t i = 0; i < n->s.n && v <= UINT32_MAX; i++)
		v = v * 10 + (uint64_t)(n->s.p[i] - '0');
	if (v == 0 || v >= UINT32_MAX) {
		check_error(c, n, "'%s' may not be " SLICE_FMT " (1 to 4294967294, or a name)",
			    what, SLICE_ARG(n->s));
		return NULL;
	}
	(void)snprintf(buf, sizeof(buf), "%llu", (unsigned long long)v);
	return (const char *)check_copy(c, slice_str(buf)).p;
}

static const char *check_account(struct check *c, const struct ynode *n, const char *what)
{
	struct slice s;

	if (n->kind == Y_SCALAR && all_digits(n->s))
		return account_id(c, n, what);
	if (ynode_type(n) == YT_INT) {
		check_error(c, n, "'%s' may not be " SLICE_FMT " (1 to 4294967294, or a name)",
			    what, SLICE_ARG(n->s));
		return NULL;
	}
	if (!check_string(c, n, what, &s))
		return NULL;
	if (slice_eq_str(s, "root")) {
		check_error(c, n, "'%s' may not be root", what);
		return NULL;
	}
	if (!account_name(s)) {
		check_error(c, n, "'" SLICE_FMT "' is no account name", SLICE_ARG(s));
		return NULL;
	}
	return (const char *)check_copy(c, s).p;
}

static void check_process(struct check *c, const struct ynode *n)
{
	static const char *const names[] = {"run_as_user", "run_as_group"};
	struct policy_static *st = &c->p->st;
	struct field v[2];

	if (!check_fields(c, n, "'process'", names, 2, v))
		return;
	st->has_process = true;
	if (v[0].val) {
		st->run_as_user = check_account(c, v[0].val, "run_as_user");
		st->user_line = v[0].val->line;
		st->user_col = v[0].val->col;
	}
	if (v[1].val) {
		st->run_as_group = check_account(c, v[1].val, "run_as_group");
		st->group_line = v[1].val->line;
		st->group_col = v[1].val->col;
	}
}

void check_static(struct check *c, const struct field *filesystem, const struct field *landlock,
		  const struct field *process)
{
	if (filesystem->val)
		check_filesystem(c, filesystem);
	if (landlock->val)
		check_landlock(c, landlock->val);
	if (process->val)
		check_process(c, process->val);
}
