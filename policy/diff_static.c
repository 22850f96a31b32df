/* SPDX-License-Identifier: Apache-2.0 */
/* diff_static.c - differences between the static sections of two policies. */
#include "policy/diff.h"

struct list {
	struct diff_static *v;
	size_t n, cap;
	bool oom;
};

static void add(struct list *l, const char *field, const char *before, const char *after)
{
	if (array_grow(&l->v, &l->cap, l->n + 1, sizeof(*l->v)) < 0)
		l->oom = true;
	else
		l->v[l->n++] = (struct diff_static){field, before, after};
}

static bool has(const struct policy_paths *p, const char *path)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i].path, path) == 0)
			return true;
	return false;
}

/* At most 256 paths together, so comparing each with each is nothing. */
static void paths(struct list *l, const char *field, const struct policy_paths *a,
		  const struct policy_paths *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!has(b, a->v[i].path))
			add(l, field, a->v[i].path, NULL);
	for (size_t i = 0; i < b->n; i++)
		if (!has(a, b->v[i].path))
			add(l, field, NULL, b->v[i].path);
}

static void value(struct list *l, const char *field, const char *a, const char *b)
{
	a = a ? a : "the caller";
	b = b ? b : "the caller";
	if (strcmp(a, b) != 0)
		add(l, field, a, b);
}

static const char *landlock_text(const struct policy_static *s)
{
	return s->landlock == POLICY_HARD_REQUIREMENT ? "hard_requirement" : "best_effort";
}

int policy_diff_static(const struct policy_static *a, const struct policy_static *b,
		       struct diff_static **ret, size_t *ret_n)
{
	struct list l = {0};

	value(&l, "filesystem_policy.include_workdir", a->include_workdir ? "true" : "false",
	      b->include_workdir ? "true" : "false");
	paths(&l, "filesystem_policy.read_only", &a->read_only, &b->read_only);
	paths(&l, "filesystem_policy.read_write", &a->read_write, &b->read_write);
	paths(&l, "filesystem_policy.unix_sockets", &a->unix_sockets, &b->unix_sockets);
	value(&l, "landlock.compatibility", landlock_text(a), landlock_text(b));
	value(&l, "process.run_as_user", a->run_as_user, b->run_as_user);
	value(&l, "process.run_as_group", a->run_as_group, b->run_as_group);
	if (l.oom) {
		free(l.v);
		return -ENOMEM;
	}
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}
