/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - the plan as an object: to and from a memfd, printed, compared.  How it is made:
 * planmake.c.
 */
#include "user/plan.h"

#include "user/blob.h"
#include "user/safetext.h"
#include "user/strv.h"

#include <sha256.h>

#define PLAN_MAGIC 0x314e4c50u /* "PLN1" */

void plan_done(struct launch_plan *p)
{
	for (size_t i = 0; i < p->nmounts; i++)
		free(p->mounts[i].path);
	for (size_t i = 0; i < p->nlinks; i++) {
		free(p->links[i].path);
		free(p->links[i].target);
	}
	free(p->mounts);
	free(p->links);
	free(p->groups);
	free(p->name);
	free(p->user);
	free(p->home);
	free(p->shell);
	free(p->workdir);
	strv_free(p->trust);
	strv_free(p->env);
	*p = (struct launch_plan){0};
}

static void plan_donep(struct launch_plan *p)
{
	plan_done(p);
}

/* ------------------------------------------------------------------------------------- memfd -- */

int plan_to_memfd(const struct launch_plan *p, int *ret_fd)
{
	_cleanup_(blob_writer_done) struct blob_writer w = {0};

	blob_put_u32(&w, PLAN_MAGIC);
	blob_put_str(&w, p->name);
	blob_put_str(&w, p->user);
	blob_put_str(&w, p->home);
	blob_put_str(&w, p->shell);
	blob_put_str(&w, p->workdir);
	blob_put_u32(&w, p->uid);
	blob_put_u32(&w, p->gid);
	blob_put_u32(&w, (uint32_t)p->ngroups);
	for (size_t i = 0; i < p->ngroups; i++)
		blob_put_u32(&w, p->groups[i]);
	blob_put_u32(&w, p->files_soft);
	blob_put_u32(&w, p->files_hard);
	blob_put_u32(&w, p->landlock);
	blob_put_u32(&w, (uint32_t)p->nmounts);
	for (size_t i = 0; i < p->nmounts; i++) {
		blob_put_u32(&w, p->mounts[i].kind);
		blob_put_u32(&w, p->mounts[i].flags);
		blob_put_str(&w, p->mounts[i].path);
	}
	blob_put_u32(&w, (uint32_t)p->nlinks);
	for (size_t i = 0; i < p->nlinks; i++) {
		blob_put_str(&w, p->links[i].path);
		blob_put_str(&w, p->links[i].target);
	}
	blob_put_strv(&w, p->trust);
	blob_put_strv(&w, p->env);
	if (w.err)
		return w.err;
	return w.n > PLAN_SIZE_MAX ? -EFBIG
				   : memfd_of("osh-plan", (struct slice){w.p, w.n}, ret_fd);
}

static void get_groups(struct blob_reader *r, struct launch_plan *p)
{
	uint32_t n = blob_get_count(r, IDENTITY_GROUPS_MAX, 4);

	p->groups = calloc((size_t)n + 1, sizeof(*p->groups));
	if (!p->groups) {
		r->err = -ENOMEM;
		return;
	}
	for (p->ngroups = 0; p->ngroups < n; p->ngroups++)
		p->groups[p->ngroups] = blob_get_u32(r);
}

static void get_mounts(struct blob_reader *r, struct launch_plan *p)
{
	uint32_t n = blob_get_count(r, PLAN_STRINGS_MAX, 12);

	p->mounts = calloc((size_t)n + 1, sizeof(*p->mounts));
	if (!p->mounts) {
		r->err = -ENOMEM;
		return;
	}
	while (p->nmounts < n && !r->err) {
		struct plan_mount *m = &p->mounts[p->nmounts++];

		m->kind = blob_get_u32(r);
		m->flags = blob_get_u32(r);
		m->path = blob_get_str(r, PLAN_STRING_MAX, false);
		if (!r->err && (m->kind < PLAN_BIND || m->kind > PLAN_DEVPTS || m->path[0] != '/'))
			r->err = -EBADMSG;
	}
}

static void get_links(struct blob_reader *r, struct launch_plan *p)
{
	uint32_t n = blob_get_count(r, PLAN_STRINGS_MAX, 8);

	p->links = calloc((size_t)n + 1, sizeof(*p->links));
	if (!p->links) {
		r->err = -ENOMEM;
		return;
	}
	while (p->nlinks < n && !r->err) {
		struct plan_link *l = &p->links[p->nlinks++];

		l->path = blob_get_str(r, PLAN_STRING_MAX, false);
		l->target = blob_get_str(r, PLAN_STRING_MAX, false);
		if (!r->err && (l->path[0] != '/' || !l->target[0]))
			r->err = -EBADMSG;
	}
}

static bool plan_sane(const struct launch_plan *p)
{
	/* Whoever wrote it: the launcher never leaves root on and never builds a name into a path.
	 */
	return p->uid != 0 && p->gid != 0 && p->uid != (uid_t)-1 && p->gid != (gid_t)-1 &&
	       sandbox_name_valid(p->name) && p->home[0] == '/' && p->shell[0] == '/' &&
	       p->workdir[0] == '/' && p->landlock <= POLICY_HARD_REQUIREMENT;
}

int plan_parse(struct slice bytes, struct launch_plan *ret)
{
	_cleanup_(plan_donep) struct launch_plan p = {0};
	struct blob_reader r = {.rest = bytes};
	int err;

	if (blob_get_u32(&r) != PLAN_MAGIC)
		return -EBADMSG;
	p.name = blob_get_str(&r, OSH_SANDBOX_NAME_MAX, false);
	p.user = blob_get_str(&r, 256, false);
	p.home = blob_get_str(&r, PLAN_STRING_MAX, false);
	p.shell = blob_get_str(&r, PLAN_STRING_MAX, false);
	p.workdir = blob_get_str(&r, PLAN_STRING_MAX, false);
	p.uid = blob_get_u32(&r);
	p.gid = blob_get_u32(&r);
	get_groups(&r, &p);
	p.files_soft = blob_get_u32(&r);
	p.files_hard = blob_get_u32(&r);
	p.landlock = blob_get_u32(&r);
	get_mounts(&r, &p);
	get_links(&r, &p);
	p.trust = blob_get_strv(&r, PLAN_STRINGS_MAX, PLAN_STRING_MAX);
	p.env = blob_get_strv(&r, PLAN_STRINGS_MAX, PLAN_STRING_MAX);
	err = blob_get_end(&r);
	if (err == 0 && !plan_sane(&p))
		err = -EBADMSG;
	if (err < 0)
		return err;
	*ret = p;
	p = (struct launch_plan){0};
	return 0;
}

/* ---------------------------------------------------------------------------------- look-ups -- */

static bool path_covers(const char *above, const char *path)
{
	size_t n = strlen(above);

	if (n == 1)
		return true; /* "/" */
	return strncmp(above, path, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

const struct plan_mount *plan_covering(const struct launch_plan *p, const char *path)
{
	const struct plan_mount *best = NULL;

	for (size_t i = 0; i < p->nmounts; i++)
		if (path_covers(p->mounts[i].path, path) &&
		    (!best || strlen(p->mounts[i].path) >= strlen(best->path)))
			best = &p->mounts[i];
	return best;
}

static bool stays_as_it_is(const struct plan_mount *m)
{
	return m->kind == PLAN_BIND && !(m->flags & (PLAN_RW | PLAN_SOCKET));
}

bool plan_must_hold(const struct launch_plan *p, const char *dir)
{
	const struct plan_mount *over = plan_covering(p, dir);

	/* A mount point cannot be renamed, and what is in the root or read-only neither. */
	if (!over || stays_as_it_is(over) || strcmp(over->path, dir) == 0)
		return false;
	for (size_t i = 0; i < p->nmounts; i++)
		if (stays_as_it_is(&p->mounts[i]) && path_covers(dir, p->mounts[i].path))
			return true;
	return false;
}

/* The path with the first reproduced link in it replaced by its target, or NULL. */
static char *follow_one_link(const struct launch_plan *p, const char *path)
{
	for (size_t i = 0; i < p->nlinks; i++) {
		const struct plan_link *l = &p->links[i];
		const char *slash = strrchr(l->path, '/');
		char *s = NULL;

		if (!path_covers(l->path, path))
			continue;
		if (asprintf(&s, "%.*s%s%s", l->target[0] == '/' ? 0 : (int)(slash - l->path) + 1,
			     l->path, l->target, path + strlen(l->path)) < 0)
			return NULL;
		return s;
	}
	return NULL;
}

bool plan_shows(const struct launch_plan *p, const char *path)
{
	_cleanup_free_ char *now = strdup(path);

	for (int i = 0; now && i < 40; i++) {
		char *next = follow_one_link(p, now);

		if (!next) {
			const struct plan_mount *m = plan_covering(p, now);

			return m && m->kind == PLAN_BIND;
		}
		free(now);
		now = next;
	}
	return false;
}

/* ----------------------------------------------------------------------------------- printed -- */

static const char *mount_words(const struct plan_mount *m)
{
	switch (m->kind) {
	case PLAN_TMPFS:
		return "private, empty";
	case PLAN_HOME:
		return "home of the sandbox, removed with it";
	case PLAN_PROC:
		return "read-only, shows only the sandbox's processes";
	case PLAN_DEVPTS:
		return "terminals of the sandbox";
	default:
		return m->flags & PLAN_SOCKET ? "socket of the host"
		       : m->flags & PLAN_DEVICE
			       ? (m->flags & PLAN_RW ? "device, read-write" : "device, read-only")
			       : "";
	}
}

/* Keys are for the program, not for the terminal's scroll-back. */
static bool looks_secret(struct slice name)
{
	static const char *const words[] = {"KEY",	"TOKEN",  "SECRET",
					    "PASSWORD", "PASSWD", "CREDENTIAL"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (memmem(name.p, name.n, words[i], strlen(words[i])))
			return true;
	return false;
}

static void print_variable(FILE *out, const char *var)
{
	struct slice name = {(const uint8_t *)var, strcspn(var, "=")};

	fprintf(out, "  %.*s=", (int)name.n, var);
	safetext_print(
		slice_str(looks_secret(name) ? "(not shown)" : var + name.n + (var[name.n] == '=')),
		out);
	fputc('\n', out);
}

void plan_print(const struct launch_plan *p, FILE *out)
{
	fprintf(out, "identity: %s (uid %u, gid %u; groups", p->user, p->uid, p->gid);
	for (size_t i = 0; i < p->ngroups; i++)
		fprintf(out, " %u", p->groups[i]);
	fprintf(out, "%s)\nworkdir: %s\nhome: %s\nshell: %s\nlandlock: %s\nfiles:\n",
		p->ngroups ? "" : " none", p->workdir, p->home, p->shell,
		p->landlock == POLICY_HARD_REQUIREMENT ? "hard_requirement" : "best_effort");
	for (size_t i = 0; i < p->nmounts; i++) {
		const struct plan_mount *m = &p->mounts[i];
		const char *words = mount_words(m);

		fputs(m->kind == PLAN_BIND ? (m->flags & PLAN_RW ? "  rw   " : "  ro   ")
					   : "  own  ",
		      out);
		safetext_print(slice_str(m->path), out);
		fprintf(out, "%s%s%s\n", *words ? " (" : "", words, *words ? ")" : "");
	}
	for (size_t i = 0; i < p->nlinks; i++)
		fprintf(out, "  link %s -> %s\n", p->links[i].path, p->links[i].target);
	fprintf(out, "environment:\n");
	for (size_t i = 0; p->env && p->env[i]; i++)
		print_variable(out, p->env[i]);
}

/* ---------------------------------------------------------------------------------- compared -- */

static int compare_paths(const void *a, const void *b)
{
	return strcmp((*(const struct policy_path *const *)a)->path,
		      (*(const struct policy_path *const *)b)->path);
}

static int print_paths(FILE *f, const char *what, const struct policy_paths *paths)
{
	_cleanup_free_ const struct policy_path **v = calloc(paths->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < paths->n; i++)
		v[i] = &paths->v[i];
	qsort(v, paths->n, sizeof(*v), compare_paths);
	for (size_t i = 0; i < paths->n; i++)
		if (i == 0 || strcmp(v[i - 1]->path, v[i]->path) != 0)
			fprintf(f, "%s %s\n", what, v[i]->path);
	return 0;
}

static int print_static(FILE *f, const struct policy_static *policy)
{
	uid_t uid;
	gid_t gid;
	int r;

	fprintf(f, "include_workdir %s\n",
		!policy->has_filesystem || policy->include_workdir ? "true" : "false");
	r = print_paths(f, "read_only", &policy->read_only);
	if (r == 0)
		r = print_paths(f, "read_write", &policy->read_write);
	if (r == 0)
		r = print_paths(f, "unix_socket", &policy->unix_sockets);
	fprintf(f, "landlock %s\n",
		policy->landlock == POLICY_HARD_REQUIREMENT ? "hard_requirement" : "best_effort");
	if (r == 0 && policy->run_as_user && (r = identity_user_id(policy->run_as_user, &uid)) == 0)
		fprintf(f, "user %u\n", uid);
	if (r == 0 && policy->run_as_group &&
	    (r = identity_group_id(policy->run_as_group, &gid)) == 0)
		fprintf(f, "group %u\n", gid);
	return r;
}

int static_canonical_text(const struct policy_static *policy, char **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	int r;

	if (!f)
		return -ENOMEM;
	r = print_static(f, policy);
	if (fclose(f) != 0 && r == 0)
		r = -ENOMEM;
	if (r == 0)
		*ret = steal_ptr(&text);
	return r;
}

int static_canonical_hash(const struct policy_static *policy, char hex[65])
{
	_cleanup_free_ char *text = NULL;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX ctx;
	int r = static_canonical_text(policy, &text);

	if (r < 0)
		return r;
	SHA256Init(&ctx);
	SHA256Update(&ctx, (const uint8_t *)text, strlen(text));
	SHA256Final(digest, &ctx);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return 0;
}
