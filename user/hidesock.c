/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hidesock.c - covers the host's Unix sockets (hidesock.h).
 *
 * /proc/net/unix names every bound socket of this network namespace by the path that its owner gave to bind(2).  The
 * path is opened inside the new root, as the sandbox would, and so is the place that it leads to on the host: the owner may
 * have come there by a symbolic link that the sandbox does not have.  Only a socket is covered; the text itself, which any
 * local user can choose, leads to nothing else.
 */
#include "user/hidesock.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SOCKETS_MAX 4096 /* covered in one sandbox */

FILE *hide_sockets_open(void)
{
	return fopen("/proc/net/unix", "re");
}

/* Num RefCount Protocol Flags Type St Inode Path: the path is the rest of the line behind seven fields. */
static char *path_of(char *line)
{
	for (int i = 0; i < 7; i++) {
		line += strspn(line, " ");
		line += strcspn(line, " ");
	}
	line += strspn(line, " ");
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static bool listed(const struct launch_plan *p, int root, const struct stat *st)
{
	for (size_t i = 0; i < p->nmounts; i++) {
		struct stat other;

		if ((p->mounts[i].flags & PLAN_SOCKET) &&
		    fstatat(root, p->mounts[i].path + 1, &other, AT_SYMLINK_NOFOLLOW) == 0 && other.st_dev == st->st_dev &&
		    other.st_ino == st->st_ino)
			return true;
	}
	return false;
}

/* Where a path leads to on the host, "" for nowhere.  The host's /proc is covered by now; the sandbox's own says it too. */
static int real_path(int root, const char *path, char ret[PATH_MAX])
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int at = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	char link[32];
	ssize_t n;

	ret[0] = '\0';
	if (at < 0)
		return 0;
	snprintf(link, sizeof(link), "proc/self/fd/%d", at);
	n = readlinkat(root, link, ret, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

/* 1: covered; 0: nothing there to cover. */
static int cover(int root, const struct launch_plan *p, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int at = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	_cleanup_close_ int null = -1;
	struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
			       .propagation = MS_PRIVATE};
	struct stat st;

	if (at < 0)
		return 0; /* the sandbox does not see it either */
	if (fstat(at, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || listed(p, root, &st))
		return 0;
	null = open_tree(root, "dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (null < 0 || mount_setattr(null, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0 ||
	    move_mount(null, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 1;
}

/* How many were covered, by either name; as cover(). */
static int cover_both(int root, const struct launch_plan *p, const char *path)
{
	char real[PATH_MAX];
	int r = real_path(root, path, real), more;

	if (r < 0)
		return r;
	r = cover(root, p, path);
	if (r < 0 || !real[0] || strcmp(real, path) == 0)
		return r;
	more = cover(root, p, real);
	return more < 0 ? more : r + more;
}

int hide_sockets(FILE *list, int root, const struct launch_plan *p, char *ret_path)
{
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	int n = 0;

	if (!list)
		return -ENOENT;
	while (getline(&line, &cap, list) > 0) {
		const char *path = path_of(line);
		int r;

		if (path[0] != '/' || strlen(path) >= PATH_MAX)
			continue;
		r = cover_both(root, p, path);
		if (r < 0 || n + r > SOCKETS_MAX) {
			snprintf(ret_path, PATH_MAX, "%s", path);
			return r < 0 ? r : -E2BIG;
		}
		n += r;
	}
	return ferror(list) ? -EIO : n;
}
