/* SPDX-License-Identifier: Apache-2.0 */
/*
 * planmake.c - from a policy's static sections to the mounts of a sandbox (docs/policy-language.md,
 * "Files").
 *
 * Looks at the host's files by name, as root, and so follows a symbolic link only out of a
 * directory in which the sandbox's user can change nothing: else what ran in an earlier sandbox
 * could choose what the next one is shown.
 */
#include "user/plan.h"

#include "user/strv.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define LINKS_MAX 40

static const char *const baseline_ro[] = {
	"/usr",		"/lib",	       "/lib64", "/bin", "/sbin", "/etc", "/sys/devices/system/cpu",
	"/dev/urandom", "/dev/random",
};
static const char *const baseline_rw[] = {"/dev/null", "/dev/zero", "/dev/tty"};

/* Where distributions keep the trust bundle; TLS libraries have these compiled in. */
static const char *const trust_files[] = {
	"/etc/ssl/certs/ca-certificates.crt",		     /* Debian, Arch, Alpine */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora */
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem", /* openSUSE */
	"/etc/ssl/cert.pem",	  /* OpenSSL's own default */
};

/* What the sandbox has of its own at these places, whatever the policy lists. */
static const struct own_place {
	const char *path;
	uint32_t kind, flags;
	bool yields; /* a policy that lists exactly this path gets the host's */
} own_places[] = {
	{"/dev", PLAN_TMPFS, 0, true},
	{"/dev/pts", PLAN_DEVPTS, PLAN_RW | PLAN_DEVICE, false},
	{"/dev/shm", PLAN_TMPFS, PLAN_RW | PLAN_STICKY, false},
	{"/proc", PLAN_PROC, 0, false},
	{"/run", PLAN_TMPFS, 0, true},
	{"/tmp", PLAN_TMPFS, PLAN_RW | PLAN_STICKY, false},
};

/* Who asked for a path.  For the same path the later in this list wins, of equals read-write. */
enum rank { RANK_BASELINE, RANK_WORKDIR, RANK_POLICY, RANK_HOST, RANK_OPTION };

struct want {
	char *path;
	bool rw, socket, device;
	enum rank rank;
};

struct maker {
	const struct plan_options *o;
	struct launch_plan plan;
	struct want *wants;
	size_t nwants;
	bool private_sandbox_home; /* something at or below /sandbox is listed and the host has none
				    */
	char **ret_error;
};

static void maker_done(struct maker *m)
{
	for (size_t i = 0; i < m->nwants; i++)
		free(m->wants[i].path);
	free(m->wants);
	plan_done(&m->plan);
}

static bool is_below(const char *path, const char *above)
{
	size_t n = strlen(above);

	return strncmp(path, above, n) == 0 && path[n] == '/';
}

static bool at_or_below(const char *path, const char *above)
{
	return strcmp(path, above) == 0 || is_below(path, above);
}

/* --------------------------------------------------------------------------- symbolic links -- */

/* May a link in this directory be trusted to lead where root or the host's administrator meant it
 * to? */
static bool directory_trusted(const struct identity *id, const char *dir)
{
	struct stat st;
	bool acl;

	if (lstat(dir, &st) < 0)
		return false;
	acl = getxattr(dir, "system.posix_acl_access", NULL, 0) > 0;
	return !identity_may_write(id, &st, acl);
}

static int add_link(struct launch_plan *p, const char *path, const char *target)
{
	struct plan_link *bigger;

	for (size_t i = 0; i < p->nlinks; i++)
		if (strcmp(p->links[i].path, path) == 0)
			return 0;
	bigger = realloc(p->links, (p->nlinks + 1) * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	p->links = bigger;
	p->links[p->nlinks] = (struct plan_link){strdup(path), strdup(target)};
	p->nlinks++;
	return bigger[p->nlinks - 1].path && bigger[p->nlinks - 1].target ? 0 : -ENOMEM;
}

struct walk {
	char done[PATH_MAX]; /* real, without trailing slash; "" is the root */
	char rest[PATH_MAX]; /* still to go */
	unsigned links;
};

/* Takes the first component off w->rest.  NULL: nothing is left. */
static const char *next_component(struct walk *w, char component[NAME_MAX + 1])
{
	const char *s = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(s, "/");

	if (n == 0 || n > NAME_MAX)
		return NULL;
	memcpy(component, s, n);
	component[n] = '\0';
	memmove(w->rest, s + n, strlen(s + n) + 1);
	return component;
}

/* path (in w->done's place) is a link: note it, put its target before the rest. */
static int follow_link(struct maker *m, struct walk *w, const char *path)
{
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t n;
	int r;

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (!directory_trusted(m->o->identity, *w->done ? w->done : "/"))
		return -EXDEV;
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	r = add_link(&m->plan, path, target);
	if (r < 0)
		return r;
	if (snprintf(joined, sizeof(joined), "%s/%s", target, w->rest) >= (int)sizeof(joined))
		return -ENAMETOOLONG;
	memcpy(w->rest, joined, sizeof(joined));
	if (target[0] == '/')
		w->done[0] = '\0';
	return 0;
}

static int walk_step(struct maker *m, struct walk *w, const char *component)
{
	char path[PATH_MAX];
	struct stat st;

	if (strcmp(component, ".") == 0)
		return 0;
	if (strcmp(component, "..") == 0) {
		char *slash = strrchr(w->done, '/');

		if (slash)
			*slash = '\0';
		return 0;
	}
	if (snprintf(path, sizeof(path), "%s/%s", w->done, component) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (lstat(path, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return follow_link(m, w, path);
	memcpy(w->done, path, sizeof(path));
	return 0;
}

/* The real path of a listed one; links on the way go to the plan.  -EXDEV: a link that the user
 * could have made. */
static int resolve(struct maker *m, const char *path, char ret[PATH_MAX])
{
	struct walk w = {0};
	char component[NAME_MAX + 1];

	if (strlen(path) >= sizeof(w.rest))
		return -ENAMETOOLONG;
	strcpy(w.rest, path);
	while (next_component(&w, component)) {
		int r = walk_step(m, &w, component);

		if (r < 0)
			return r;
	}
	if (w.rest[strspn(w.rest, "/")])
		return -ENAMETOOLONG;
	strcpy(ret, *w.done ? w.done : "/");
	return 0;
}

/* ---------------------------------------------------------------------------- what is wanted -- */

static int add_want(struct maker *m, const char *path, bool rw, bool socket, enum rank rank)
{
	struct want *bigger = realloc(m->wants, (m->nwants + 1) * sizeof(*bigger));
	struct want w = {strdup(path), rw, socket, is_below(path, "/dev"), rank};

	if (bigger)
		m->wants = bigger;
	if (!bigger || !w.path) {
		free(w.path);
		return -ENOMEM;
	}
	m->wants[m->nwants++] = w;
	return 0;
}

static const char *why_not(const struct maker *m, int r, char *buf, size_t n)
{
	if (r != -EXDEV)
		return strerror(-r);
	snprintf(buf, n,
		 "there is a symbolic link in it that user '%s' could have made; list what it "
		 "leads to",
		 m->o->identity->user);
	return buf;
}

static void warn_skipped(struct maker *m, const char *path, const char *reason)
{
	_cleanup_free_ char *text = NULL;

	if (m->o->warn && asprintf(&text, "%s: not shown in the sandbox: %s", path, reason) >= 0)
		m->o->warn(m->o->userdata, text);
	else
		text = NULL;
}

/* A listed path that cannot be had: skipped, or the end, by who asked for it. */
static int missing(struct maker *m, const char *path, enum rank rank, int r)
{
	char buf[512];
	const char *reason = why_not(m, r, buf, sizeof(buf));

	if (rank == RANK_OPTION)
		return error_text(m->ret_error, r, "--ro/--rw %s: %s", path, reason);
	if (rank == RANK_WORKDIR)
		return error_text(m->ret_error, r, "workdir %s: %s", path, reason);
	if (rank == RANK_POLICY && m->o->policy->landlock == POLICY_HARD_REQUIREMENT)
		return error_text(m->ret_error, r,
				  "filesystem_policy: %s: %s; landlock.compatibility is "
				  "hard_requirement, so every listed path "
				  "must be there",
				  path, reason);
	if ((rank == RANK_POLICY || rank == RANK_HOST) && !(m->o->quiet_missing && r == -ENOENT))
		warn_skipped(m, path, reason);
	return 0;
}

/* Is this path one that the sandbox has of its own, so that nothing of the host goes there? */
static bool own_instead(struct maker *m, const char *path)
{
	struct stat st;

	if (at_or_below(path, "/proc") || at_or_below(path, "/dev/pts") ||
	    strcmp(path, "/dev/ptmx") == 0 || strcmp(path, "/dev/shm") == 0 ||
	    strcmp(path, "/tmp") == 0)
		return true;
	if (at_or_below(path, IDENTITY_SANDBOX_HOME) && lstat(IDENTITY_SANDBOX_HOME, &st) < 0) {
		m->private_sandbox_home = true;
		return true;
	}
	return false;
}

static int want(struct maker *m, const char *path, bool rw, enum rank rank)
{
	char real[PATH_MAX];
	int r;

	if (own_instead(m, path))
		return 0;
	r = resolve(m, path, real);
	if (r < 0)
		return missing(m, path, rank, r);
	if (own_instead(m, real))
		return 0;
	if (rw && strcmp(real, "/") == 0)
		return error_text(m->ret_error, -EINVAL,
				  "%s: the root directory may not be read-write", path);
	return add_want(m, real, rw, false, rank);
}

static int want_socket(struct maker *m, const char *path)
{
	char real[PATH_MAX];
	struct stat st;
	int r = resolve(m, path, real);

	if (r == 0 && lstat(real, &st) < 0)
		r = -errno;
	if (r == 0 && !S_ISSOCK(st.st_mode))
		r = -ENOTSOCK;
	if (r == 0 && (at_or_below(real, "/proc") || at_or_below(real, OSH_RUN_DIR)))
		r = -EPERM;
	return r < 0 ? missing(m, path, RANK_POLICY, r)
		     : add_want(m, real, false, true, RANK_POLICY);
}

static int want_list(struct maker *m, char *const *v, bool rw, enum rank rank)
{
	int r = 0;

	for (size_t i = 0; r == 0 && v && v[i]; i++)
		r = want(m, v[i], rw, rank);
	return r;
}

static int want_policy(struct maker *m)
{
	const struct policy_static *s = m->o->policy;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->read_only.n; i++)
		r = want(m, s->read_only.v[i].path, false, RANK_POLICY);
	for (size_t i = 0; r == 0 && i < s->read_write.n; i++)
		r = want(m, s->read_write.v[i].path, true, RANK_POLICY);
	for (size_t i = 0; r == 0 && i < s->unix_sockets.n; i++)
		r = want_socket(m, s->unix_sockets.v[i].path);
	return r;
}

static int want_all(struct maker *m)
{
	const struct plan_options *o = m->o;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(baseline_ro); i++)
		r = want(m, baseline_ro[i], false, RANK_BASELINE);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(baseline_rw); i++)
		r = want(m, baseline_rw[i], true, RANK_BASELINE);
	if (r == 0 && (!o->policy->has_filesystem || o->policy->include_workdir))
		r = want(m, o->workdir, true, RANK_WORKDIR);
	if (r == 0)
		r = want_policy(m);
	if (r == 0)
		r = want_list(m, o->host_ro, false, RANK_HOST);
	if (r == 0)
		r = want_list(m, o->host_rw, true, RANK_HOST);
	for (size_t i = 0; r == 0 && i < o->nhost_links; i++)
		r = add_link(&m->plan, o->host_links[i].path, o->host_links[i].target);
	if (r == 0)
		r = want_list(m, o->ro, false, RANK_OPTION);
	if (r == 0)
		r = want_list(m, o->rw, true, RANK_OPTION);
	return r;
}

/* -------------------------------------------------------------------------------- the mounts -- */

static int add_mount(struct launch_plan *p, uint32_t kind, uint32_t flags, const char *path)
{
	struct plan_mount *bigger = realloc(p->mounts, (p->nmounts + 1) * sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	p->mounts = bigger;
	p->mounts[p->nmounts] = (struct plan_mount){kind, flags, strdup(path)};
	p->nmounts++;
	return bigger[p->nmounts - 1].path ? 0 : -ENOMEM;
}

static int compare_wants(const void *a, const void *b)
{
	const struct want *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	if (c)
		return c;
	if (x->rank != y->rank)
		return x->rank < y->rank ? 1 : -1;
	return (int)y->rw - (int)x->rw;
}

static int compare_mounts(const void *a, const void *b)
{
	return strcmp(((const struct plan_mount *)a)->path, ((const struct plan_mount *)b)->path);
}

static bool wanted(const struct maker *m, const char *path)
{
	for (size_t i = 0; i < m->nwants; i++)
		if (strcmp(m->wants[i].path, path) == 0)
			return true;
	return false;
}

static int add_own_places(struct maker *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(own_places); i++)
		if (!own_places[i].yields || !wanted(m, own_places[i].path))
			r = add_mount(&m->plan, own_places[i].kind, own_places[i].flags,
				      own_places[i].path);
	return r;
}

/* The first of each path (compare_wants) becomes a mount. */
static int add_wanted(struct maker *m)
{
	qsort(m->wants, m->nwants, sizeof(*m->wants), compare_wants);
	for (size_t i = 0; i < m->nwants; i++) {
		const struct want *w = &m->wants[i];
		uint32_t flags = (w->rw ? PLAN_RW : 0u) | (w->socket ? PLAN_SOCKET : 0u) |
				 (w->device ? PLAN_DEVICE : 0u);
		bool must = w->rank == RANK_OPTION || w->rank == RANK_WORKDIR ||
			    (w->rank == RANK_POLICY && m->plan.landlock == POLICY_HARD_REQUIREMENT);
		int r;

		if (i && strcmp(m->wants[i - 1].path, w->path) == 0)
			continue;
		r = add_mount(&m->plan, PLAN_BIND, flags | (must ? 0 : PLAN_OPTIONAL), w->path);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A bind that shows what the bind above it shows already, in the same way, is left out. */
static void drop_redundant(struct launch_plan *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->nmounts; i++) {
		struct plan_mount m = p->mounts[i];
		struct launch_plan so_far = {.mounts = p->mounts, .nmounts = kept};
		const struct plan_mount *above = plan_covering(&so_far, m.path);
		uint32_t same = PLAN_RW | PLAN_DEVICE;

		if (m.kind == PLAN_BIND && !(m.flags & PLAN_SOCKET) && above &&
		    above->kind == PLAN_BIND && (m.flags & same) == (above->flags & same)) {
			free(m.path);
			p->mounts[i].path = NULL;
			continue;
		}
		p->mounts[kept++] = m;
	}
	p->nmounts = kept;
}

static void arrange(struct launch_plan *p)
{
	qsort(p->mounts, p->nmounts, sizeof(*p->mounts), compare_mounts);
	drop_redundant(p);
}

/* A home must not hide what others rely on. */
static bool home_possible(const char *home)
{
	static const char *const never[] = {"/",    "/usr",   "/etc", "/bin",  "/sbin",
					    "/lib", "/lib64", "/dev", "/proc", "/sys",
					    "/run", "/tmp",   "/var"};

	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (strcmp(home, never[i]) == 0)
			return false;
	return !is_below(home, "/proc") && !is_below(home, "/dev") && !is_below(home, "/sys");
}

/* $HOME where no listed path shows it, and /sandbox where it is asked for, are the sandbox's own.
 */
static int add_homes(struct maker *m)
{
	char home[PATH_MAX];
	const struct plan_mount *above;
	int r;

	if (!home_possible(m->plan.home) || resolve(m, m->plan.home, home) < 0 ||
	    !home_possible(home)) {
		free(m->plan.home);
		m->plan.home = strdup(IDENTITY_SANDBOX_HOME);
		if (!m->plan.home)
			return -ENOMEM;
		strcpy(home, IDENTITY_SANDBOX_HOME);
	}
	above = plan_covering(&m->plan, home);
	if (!above || above->kind != PLAN_BIND || strcmp(above->path, "/") == 0) {
		r = add_mount(&m->plan, PLAN_HOME, PLAN_RW, home);
		if (r < 0)
			return r;
	}
	if (m->private_sandbox_home && strcmp(home, IDENTITY_SANDBOX_HOME) != 0)
		return add_mount(&m->plan, PLAN_HOME, PLAN_RW, IDENTITY_SANDBOX_HOME);
	return 0;
}

static int find_trust_files(struct launch_plan *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(trust_files); i++)
		if (access(trust_files[i], R_OK) == 0)
			r = strv_add(&p->trust, trust_files[i]);
	return r;
}

static int copy_identity(struct launch_plan *p, const struct plan_options *o)
{
	const struct identity *id = o->identity;

	p->name = strdup(o->name);
	p->user = strdup(id->user);
	p->home = strdup(id->home);
	p->shell = strdup(id->shell);
	p->workdir = strdup(o->workdir);
	p->groups = calloc(id->ngroups + 1, sizeof(*p->groups));
	if (!p->name || !p->user || !p->home || !p->shell || !p->workdir || !p->groups)
		return -ENOMEM;
	if (id->ngroups)
		memcpy(p->groups, id->groups, id->ngroups * sizeof(*p->groups));
	p->ngroups = id->ngroups;
	p->uid = id->uid;
	p->gid = id->gid;
	p->landlock = o->policy->landlock;
	return 0;
}

static void copy_limits(struct launch_plan *p)
{
	struct rlimit files = {1024, 4096};

	(void)getrlimit(RLIMIT_NOFILE, &files);
	p->files_soft = files.rlim_cur < UINT32_MAX ? (uint32_t)files.rlim_cur : UINT32_MAX;
	p->files_hard = files.rlim_max < UINT32_MAX ? (uint32_t)files.rlim_max : UINT32_MAX;
}

static int make(struct maker *m)
{
	bool any = false;
	int r = copy_identity(&m->plan, m->o);

	copy_limits(&m->plan);
	if (r == 0)
		r = want_all(m);
	if (r == 0)
		r = add_own_places(m);
	if (r == 0)
		r = add_wanted(m);
	if (r < 0)
		return r;
	arrange(&m->plan);
	for (size_t i = 0; i < m->plan.nmounts; i++)
		any = any || (m->plan.mounts[i].kind == PLAN_BIND &&
			      !is_below(m->plan.mounts[i].path, "/dev"));
	if (!any)
		return error_text(m->ret_error, -ENOENT,
				  "none of the listed paths exists on this host: the sandbox would "
				  "be empty; list at least /usr");
	r = add_homes(m);
	if (r < 0)
		return r;
	arrange(&m->plan);
	if (m->plan.nmounts > PLAN_STRINGS_MAX || m->plan.nlinks > PLAN_STRINGS_MAX)
		return -E2BIG;
	return find_trust_files(&m->plan);
}

int plan_make(const struct plan_options *o, struct launch_plan *ret, char **ret_error)
{
	_cleanup_(maker_done) struct maker m = {.o = o, .ret_error = ret_error};
	int r;

	*ret_error = NULL;
	r = make(&m);
	if (r < 0)
		return r;
	*ret = m.plan;
	m.plan = (struct launch_plan){0};
	return 0;
}
