/* SPDX-License-Identifier: Apache-2.0 */
/*
 * binlinks.c - following the symbolic links of binary paths, without trusting what the sandbox can
 * write.
 *
 * The walk goes component by component with O_PATH | O_NOFOLLOW descriptors, so each step looks at
 * exactly the object that the next step starts from.  A directory is trusted when the run-as user
 * cannot change what is in it: not its owner (who may chmod), not writable for its group or others
 * as they apply, no POSIX ACL that could say otherwise.  In a sticky directory (/tmp) entries of
 * others are safe, but anybody can put new ones there, so it counts as writable.  Nothing below an
 * untrusted directory is followed, and no `..` leads out again by text: `..` in a link target goes
 * up the stack of descriptors.
 */
#include "user/binlinks.h"

#include "policy/diag.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define LINKS_MAX 40
#define TEXT_MAX 4096
#define DEPTH_MAX 128

struct caller {
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t ngroups;
};

struct walk {
	const struct caller *who;
	int fd[DEPTH_MAX];     /* directories from the root down, O_PATH */
	size_t end[DEPTH_MAX]; /* length of the path text up to each */
	size_t depth;
	char path[TEXT_MAX + 1]; /* resolved so far, "" for the root */
	char rest[TEXT_MAX + 1]; /* still to be walked */
	unsigned int links;
};

static void walk_done(struct walk *w)
{
	for (size_t i = 0; i < w->depth; i++)
		close(w->fd[i]);
	w->depth = 0;
}

static bool in_group(const struct caller *c, gid_t gid)
{
	if (gid == c->gid)
		return true;
	for (size_t i = 0; i < c->ngroups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

/* An ACL can only widen access through entries bounded by the group bits (its mask); rather than
 * reading it, group bits count for everybody where there is one.  ENODATA and ENOTSUP: there is
 * none. */
static bool has_acl(int fd)
{
	char proc[64];
	ssize_t n;

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = getxattr(proc, "system.posix_acl_access", NULL, 0);
	return n >= 0 || (errno != ENODATA && errno != ENOTSUP);
}

/* Could the caller change the entries of this directory? */
static bool can_write(const struct caller *c, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		return true;
	if (c->uid == 0 || st.st_uid == c->uid)
		return true;
	if (st.st_mode & S_IWOTH)
		return true;
	return (st.st_mode & S_IWGRP) && (in_group(c, st.st_gid) || has_acl(fd));
}

static int push(struct walk *w, int fd)
{
	if (w->depth == DEPTH_MAX) {
		close(fd);
		return -ELOOP;
	}
	w->fd[w->depth] = fd;
	w->end[w->depth++] = strlen(w->path);
	return 0;
}

static int to_root(struct walk *w)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	walk_done(w);
	w->path[0] = 0;
	return push(w, fd);
}

/* Takes the first component off w->rest; false at the end. */
static bool next_component(struct walk *w, char *out)
{
	char *p = w->rest;
	size_t n;

	while (*p == '/')
		p++;
	n = strcspn(p, "/");
	memcpy(out, p, n);
	out[n] = 0;
	memmove(w->rest, p + n, strlen(p + n) + 1);
	return n > 0;
}

static bool at_end(const struct walk *w)
{
	return w->rest[strspn(w->rest, "/")] == 0;
}

static void go_up(struct walk *w)
{
	if (w->depth < 2)
		return;
	close(w->fd[--w->depth]);
	w->path[w->end[w->depth - 1]] = 0;
}

static int append(struct walk *w, const char *name)
{
	size_t n = strlen(w->path), k = strlen(name);

	if (n + 1 + k > TEXT_MAX)
		return -ENAMETOOLONG;
	w->path[n] = '/';
	memcpy(w->path + n + 1, name, k + 1);
	return 0;
}

/* Puts the target of the link before what is left to walk. */
static int follow(struct walk *w, int link)
{
	char target[TEXT_MAX + 1], joined[2 * TEXT_MAX + 2];
	ssize_t n = readlinkat(link, "", target, TEXT_MAX);
	int k;

	if (n < 0)
		return -errno;
	if (n == 0 || n == TEXT_MAX || ++w->links > LINKS_MAX)
		return -ELOOP;
	target[n] = 0;
	k = snprintf(joined, sizeof(joined), "%s/%s", target, w->rest);
	if (k < 0 || k > TEXT_MAX)
		return -ENAMETOOLONG;
	memcpy(w->rest, joined, (size_t)k + 1);
	return target[0] == '/' ? to_root(w) : 0;
}

/* One component.  0: go on, 1: arrived at the file. */
static int step(struct walk *w, const char *name)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		go_up(w);
		return 0;
	}
	if (can_write(w->who, w->fd[w->depth - 1]))
		return -EPERM;
	fd = openat(w->fd[w->depth - 1], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return st.st_uid == w->who->uid ? -EPERM : follow(w, fd);
	r = append(w, name);
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode))
		return push(w, steal_fd(&fd));
	return S_ISREG(st.st_mode) && at_end(w) ? 1 : -ENOENT;
}

/* Only what could be followed to a regular file counts; a path that begins with links and ends in a
 * directory of the caller's is left as written. */
static int resolve(struct walk *w, const char *path)
{
	char name[TEXT_MAX + 1];
	int r;

	if (strlen(path) > TEXT_MAX)
		return -ENAMETOOLONG;
	memcpy(w->rest, path, strlen(path) + 1);
	r = to_root(w);
	while (r == 0) {
		if (!next_component(w, name))
			return -EISDIR;
		r = step(w, name);
	}
	return r < 0 ? r : 0;
}

int binlinks_path(const char *path, uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups,
		  char **ret)
{
	const struct caller who = {uid, gid, groups, ngroups};
	_cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
	char *found;
	int r;

	if (!w)
		return -ENOMEM;
	w->who = &who;
	r = resolve(w, path);
	walk_done(w);
	if (r < 0 || strcmp(w->path, path) == 0)
		return 0;
	found = strdup(w->path);
	if (!found)
		return -ENOMEM;
	*ret = found;
	return 1;
}

int binlinks_resolve(struct policy *p, uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups)
{
	struct policy_binary b;
	size_t n = policy_binaries(p, SIZE_MAX, &b);

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *resolved = NULL;
		int r;

		policy_binaries(p, i, &b);
		if (b.glob)
			continue;
		r = binlinks_path(b.path, uid, gid, groups, ngroups, &resolved);
		if (r > 0)
			r = policy_add_binary_alias(p, b.block, b.index, resolved);
		if (r == -EINVAL) /* longer than any path that has an identity */
			continue;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whose link it is does not matter here: what a process would be called. */
static char *leads_to(const char *path)
{
	char *real = realpath(path, NULL);
	struct stat st;

	if (real && strcmp(real, path) != 0 && stat(real, &st) == 0 && S_ISREG(st.st_mode))
		return real;
	free(real);
	return NULL;
}

int binlinks_lint(const struct policy *p, uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups,
		  struct policy_diags *diags)
{
	struct policy_binary b;
	size_t n = policy_binaries(p, SIZE_MAX, &b);

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *followed = NULL, *real = NULL;
		int r = 0;

		policy_binaries(p, i, &b);
		real = b.glob ? NULL : leads_to(b.path);
		if (real)
			r = binlinks_path(b.path, uid, gid, groups, ngroups, &followed);
		if (r < 0)
			return r;
		if (followed)
			diag_add(diags, POLICY_WARNING, b.line, b.col,
				 "binary '%.100s': through a symbolic link the process will be "
				 "'%.200s' on this host, which is matched as well",
				 b.path, followed);
		else if (real)
			diag_add(diags, POLICY_WARNING, b.line, b.col,
				 "binary '%.100s': through a symbolic link the process will be "
				 "'%.200s' on this host, which is not matched: the sandbox's user could "
				 "have placed the link",
				 b.path, real);
	}
	return 0;
}
