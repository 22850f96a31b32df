/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remove.c - directories set aside and removed (remove.h).
 *
 * Who removes one holds a lock on it (flock of the directory), so that a second one passes it by and does not wait.
 */
#include "user/remove.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#define DEPTH_MAX 64

/* Empties the directory dfd.  A directory deeper than DEPTH_MAX is moved up to the root of the tree, where the caller's
 * loop meets it again. */
static int empty_dir(int dfd, int root, int depth, unsigned int *moved)
{
	DIR *d;
	int copy = dup(dfd), r = 0;
	struct dirent *e;

	if (copy < 0)
		return -errno;
	d = fdopendir(copy);
	if (!d) {
		close(copy);
		return -errno;
	}
	rewinddir(d);
	while ((e = readdir(d))) {
		_cleanup_close_ int sub = -1;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dfd, e->d_name, 0) == 0)
			continue;
		if (errno != EISDIR && errno != EPERM) {
			if (errno != ENOENT)
				r = -errno;
			continue;
		}
		if (depth >= DEPTH_MAX) {
			char up[48];

			snprintf(up, sizeof(up), ".osh-deep-%u", (*moved)++);
			if (renameat(dfd, e->d_name, root, up) < 0)
				r = -errno;
			continue;
		}
		sub = openat(dfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0) {
			r = -errno;
			continue;
		}
		(void)empty_dir(sub, root, depth + 1, moved);
		if (unlinkat(dfd, e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			r = -errno;
	}
	closedir(d);
	return r;
}

static int empty_tree(int fd)
{
	unsigned int moved = 0, before;
	int r;

	do {
		before = moved;
		r = empty_dir(fd, fd, 0, &moved);
	} while (moved != before);
	return r;
}

int remove_tree(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = empty_tree(fd);
	if (r < 0)
		return r;
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_any(const char *path)
{
	int r = remove_tree(path);

	if (r == -ENOTDIR || r == -ELOOP)
		r = unlink(path) < 0 ? -errno : 0;
	return r;
}

int set_aside(const char *name, const char *path)
{
	_cleanup_free_ char *to = NULL;
	uint64_t number;

	if ((mkdir(ASIDE_DIR, 0700) < 0 && errno != EEXIST) || getrandom(&number, sizeof(number), 0) != sizeof(number) ||
	    asprintf(&to, ASIDE_DIR "/%s.%016llx", name, (unsigned long long)number) < 0)
		return remove_any(path);
	return rename(path, to) == 0 || errno == ENOENT ? 0 : remove_any(path);
}

bool anything_aside(void)
{
	return access(ASIDE_DIR, F_OK) == 0;
}

static int remove_one(int dir, const char *entry)
{
	_cleanup_close_ int fd = openat(dir, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		r = unlinkat(dir, entry, 0) < 0 ? -errno : 0;
	else if (fd < 0)
		r = -errno;
	else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return 0; /* somebody is at it */
	else
		r = empty_tree(fd);
	if (r == 0 && fd >= 0 && unlinkat(dir, entry, AT_REMOVEDIR) < 0)
		r = -errno;
	return r == -ENOENT ? 0 : r;
}

static bool was_of(const char *entry, const char *name)
{
	const char *dot = strrchr(entry, '.');

	return name && dot && strlen(name) == (size_t)(dot - entry) && memcmp(entry, name, strlen(name)) == 0;
}

int remove_aside(const char *name)
{
	DIR *d = opendir(ASIDE_DIR);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		int k;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		k = remove_one(dirfd(d), e->d_name);
		if (k < 0 && was_of(e->d_name, name))
			r = k;
	}
	closedir(d);
	return r;
}
