/* SPDX-License-Identifier: Apache-2.0 */
/* policy.c - a checked policy's accessors, additions by the caller, comparison of static sections.
 */
#include "policy/model.h"

struct policy *policy_free(struct policy *p)
{
	if (!p)
		return NULL;
	for (size_t b = 0; b < p->nblocks; b++)
		for (size_t i = 0; i < p->blocks[b].nbinaries; i++)
			free(p->blocks[b].binaries[i].alias);
	arena_done(&p->arena);
	free(p);
	return NULL;
}

const struct policy_static *policy_static(const struct policy *p)
{
	return &p->st;
}

void policy_counts(const struct policy *p, size_t *ret_blocks, size_t *ret_endpoints)
{
	*ret_blocks = p->nblocks;
	*ret_endpoints = 0;
	for (size_t b = 0; b < p->nblocks; b++)
		*ret_endpoints += p->blocks[b].nendpoints;
}

size_t policy_count_native(const struct policy *p)
{
	size_t n = 0;

	for (size_t b = 0; b < p->nblocks; b++)
		for (size_t e = 0; e < p->blocks[b].nendpoints; e++)
			n += p->blocks[b].endpoints[e].protocol == PROTO_TCP &&
			     p->blocks[b].endpoints[e].tls == TLS_NATIVE;
	return n;
}

const char *const *pol_access_methods(enum pol_access a)
{
	static const char *const methods[][8] = {
		[ACCESS_NONE] = {NULL},
		[ACCESS_READ_ONLY] = {"GET", "HEAD", "OPTIONS"},
		[ACCESS_READ_WRITE] = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"},
		[ACCESS_FULL] = {""},
	};

	return methods[a];
}

/* ----------------------------------------------------------------------------- binaries -- */

size_t policy_binaries(const struct policy *p, size_t i, struct policy_binary *ret)
{
	size_t total = 0;

	for (size_t b = 0; b < p->nblocks; b++) {
		const struct pol_block *k = &p->blocks[b];

		if (i >= total && i - total < k->nbinaries) {
			const struct pol_binary *x = &k->binaries[i - total];

			*ret = (struct policy_binary){b,       i - total, (const char *)x->path.p,
						      x->glob, x->line,	  x->col};
		}
		total += k->nbinaries;
	}
	return total;
}

static bool has_alias(const struct pol_binary *x, struct slice path)
{
	for (size_t i = 0; i < x->naliases; i++)
		if (slice_eq(x->alias[i], path))
			return true;
	return !x->glob && slice_eq(x->path, path);
}

static int add_alias(struct policy *p, struct pol_binary *x, const char *path)
{
	struct slice s = slice_str(path);
	int r;

	if (s.n == 0 || s.p[0] != '/' || s.n >= OSH_PATH_MAX)
		return -EINVAL;
	if (has_alias(x, s))
		return 0;
	r = array_grow(&x->alias, &x->alias_cap, x->naliases + 1, sizeof(*x->alias));
	if (r < 0)
		return r;
	s.p = (const uint8_t *)arena_copy(&p->arena, s);
	if (!s.p)
		return -ENOMEM;
	x->alias[x->naliases++] = s;
	return 0;
}

int policy_add_binary_alias(struct policy *p, size_t block, size_t index, const char *path)
{
	if (block >= p->nblocks || index >= p->blocks[block].nbinaries)
		return -EINVAL;
	return add_alias(p, &p->blocks[block].binaries[index], path);
}

int policy_add_binary_like(struct policy *p, const char *like, const char *path)
{
	int blocks = 0;

	for (size_t b = 0; b < p->nblocks; b++) {
		bool any = false;

		for (size_t i = 0; i < p->blocks[b].nbinaries; i++) {
			struct pol_binary *x = &p->blocks[b].binaries[i];
			int r;

			if (!slice_eq_str(x->path, like))
				continue;
			r = add_alias(p, x, path);
			if (r < 0)
				return r;
			any = true;
		}
		blocks += any;
	}
	return blocks;
}

/* ---------------------------------------------------------------------- static sections -- */

static bool path_in(const struct policy_paths *set, const char *path)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->v[i].path, path) == 0)
			return true;
	return false;
}

/* At most 256 paths together, so comparing each with each is nothing. */
static bool same_paths(const struct policy_paths *a, const struct policy_paths *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!path_in(b, a->v[i].path))
			return false;
	for (size_t i = 0; i < b->n; i++)
		if (!path_in(a, b->v[i].path))
			return false;
	return true;
}

static bool same_name(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

const char *policy_static_differs(const struct policy_static *a, const struct policy_static *b)
{
	if (b->has_filesystem) {
		if (a->include_workdir != b->include_workdir)
			return "filesystem_policy.include_workdir";
		if (!same_paths(&a->read_only, &b->read_only))
			return "filesystem_policy.read_only";
		if (!same_paths(&a->read_write, &b->read_write))
			return "filesystem_policy.read_write";
		if (!same_paths(&a->unix_sockets, &b->unix_sockets))
			return "filesystem_policy.unix_sockets";
	}
	if (b->has_landlock && a->landlock != b->landlock)
		return "landlock.compatibility";
	if (b->has_process) {
		if (!same_name(a->run_as_user, b->run_as_user))
			return "process.run_as_user";
		if (!same_name(a->run_as_group, b->run_as_group))
			return "process.run_as_group";
	}
	return NULL;
}
