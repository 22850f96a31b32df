/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdreadonly.c - another descriptor of an open file, on a read-only mount (fdreadonly.h).
 *
 * Landlock judges an opening by the directories above the file, up to the root of its mount.  So the clone begins with the
 * uppermost directory of the mount that still leads to the file: then /dev/stdin can be opened inside wherever the policy
 * shows the file, as it could with the caller's own descriptor.  For a file that no path leads to, the clone is of the file
 * alone.
 */
#include "user/fdreadonly.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

bool fd_to_read(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) == O_RDONLY && fstat(fd, &st) == 0 &&
	       S_ISREG(st.st_mode);
}

bool fd_mount_read_only(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

/* 0, which no mount has: not known. */
static uint64_t mount_id(int fd)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) == 0 && (st.stx_mask & STATX_MNT_ID) ? st.stx_mnt_id : 0;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void fd_path(char ret[32], int fd)
{
	snprintf(ret, 32, "/proc/self/fd/%d", fd);
}

static int read_only_clone(int fd)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
			       .propagation = MS_PRIVATE};
	_cleanup_close_ int tree = (int)syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0)
		return -errno;
	return steal_fd(&tree);
}

/* The uppermost directory above `path` (absolute) on the mount of `file`, O_PATH; *ret_rest: from there on, inside path. */
static int uppermost(int file, char *path, const char **ret_rest)
{
	_cleanup_close_ int top = -1;
	uint64_t mount = mount_id(file);

	for (char *end = strrchr(path, '/'); mount && end; end = memrchr(path, '/', (size_t)(end - path))) {
		_cleanup_close_ int dir = -1;

		*end = '\0';
		dir = open(end == path ? "/" : path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		*end = '/';
		if (dir < 0 || mount_id(dir) != mount)
			break;
		closep(&top);
		top = steal_fd(&dir);
		*ret_rest = end + 1;
	}
	return top < 0 ? -ENOENT : steal_fd(&top);
}

/*
 * The file (O_PATH) on a clone of its mount, found by its path, which may lead to it by another mount: the descriptor can
 * come from another mount namespace (`ip netns exec`), whose mounts cannot be cloned here.  Whatever stands there by now:
 * the result is this file or nothing.
 */
static int clone_with_path(int fd)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	_cleanup_close_ int file = -1, top = -1, tree = -1, at = -1;
	char link[32], path[PATH_MAX];
	const char *rest;
	ssize_t n;

	fd_path(link, fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return -ENOENT;
	path[n] = '\0';
	file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path[0] != '/' || file < 0 || !same_file(file, fd))
		return -ENOENT;
	top = uppermost(file, path, &rest);
	if (top < 0) /* a mount of its own */
		return read_only_clone(file);
	tree = read_only_clone(top);
	if (tree < 0)
		return tree;
	at = (int)syscall(SYS_openat2, tree, rest, &how, sizeof(how));
	if (at < 0)
		return -errno;
	return same_file(at, fd) ? steal_fd(&at) : -ENOENT;
}

int fd_read_only(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	_cleanup_close_ int at = clone_with_path(fd), file = -1;
	off_t offset = lseek(fd, 0, SEEK_CUR);
	char link[32];

	if (at < 0)
		at = read_only_clone(fd);
	if (at < 0)
		return at;
	fd_path(link, at);
	file = open(link, O_RDONLY | O_CLOEXEC | (flags & (O_DIRECT | O_NONBLOCK)));
	if (file < 0 || (offset > 0 && lseek(file, offset, SEEK_SET) != offset))
		return -errno;
	return steal_fd(&file);
}
