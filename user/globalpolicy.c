/* SPDX-License-Identifier: Apache-2.0 */
/* globalpolicy.c - which global policy is in force (globalpolicy.h). */
#include "user/globalpolicy.h"

#include "user/blob.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define CURRENT GLOBAL_DIR "/current"
#define CURRENT_NEW GLOBAL_DIR "/.current"
#define LOCK GLOBAL_DIR "/lock"

int global_in_force(uint64_t *ret)
{
	_cleanup_free_ char *s = NULL;
	unsigned long long v;
	char *end;
	size_t n;
	int r = read_whole_file(CURRENT, 32, &s, &n);

	if (r == -ENOENT) {
		*ret = 0;
		return 0;
	}
	if (r < 0)
		return r;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || end == s || strcmp(end, "\n") != 0)
		return -EBADMSG;
	*ret = v;
	return 0;
}

static void sync_dir(void)
{
	_cleanup_close_ int fd = open(GLOBAL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)fsync(fd);
}

static int write_current(uint64_t number)
{
	_cleanup_close_ int fd = open(CURRENT_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || dprintf(fd, "%llu\n", (unsigned long long)number) < 0 || fsync(fd) < 0)
		return -errno;
	return rename(CURRENT_NEW, CURRENT) < 0 ? -errno : 0;
}

int global_decide(uint64_t number)
{
	int r = write_current(number);

	if (r == 0)
		sync_dir(); /* whatever becomes of it: sandboxes and starts go by the name that is there now */
	return r;
}

static int lock_take(int how, int *ret)
{
	_cleanup_close_ int fd = open(LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (how == LOCK_EX ? O_CREAT : 0), 0600);
	int r;

	if (fd < 0)
		return -errno;
	do
		r = flock(fd, how);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*ret = steal_fd(&fd);
	return 0;
}

int global_open(bool create, int *ret_lock, struct revisions *ret)
{
	_cleanup_close_ int lock = -1;
	uint64_t number;
	int r;

	if (create && ((mkdir(OSH_STATE_DIR, 0755) < 0 && errno != EEXIST) ||
		       (mkdir(GLOBAL_DIR, 0700) < 0 && errno != EEXIST)))
		return -errno;
	r = lock_take(LOCK_EX, &lock);
	if (r == 0)
		r = global_in_force(&number);
	if (r == 0)
		r = revisions_open(GLOBAL_DIR "/revisions", create, ret);
	if (r < 0)
		return r;
	ret->keep = number;
	r = revisions_recover(ret, number);
	if (r < 0) {
		revisions_done(ret);
		return r;
	}
	*ret_lock = steal_fd(&lock);
	return 0;
}

int global_unchanged(uint64_t number)
{
	_cleanup_close_ int lock = -1;
	uint64_t now;
	int r = lock_take(LOCK_SH | LOCK_NB, &lock);

	if (r == -ENOENT)
		return number ? -EAGAIN : 0;
	if (r == -EWOULDBLOCK)
		return -EAGAIN;
	if (r == 0)
		r = global_in_force(&now);
	return r < 0 ? r : now == number ? 0 : -EAGAIN;
}

void global_settled(void)
{
	_cleanup_close_ int lock = -1;

	(void)lock_take(LOCK_SH, &lock);
}

int global_text(char **ret, size_t *ret_n, uint64_t *ret_number)
{
	_cleanup_free_ char *path = NULL;
	uint64_t number;
	int r = global_in_force(&number);

	if (r == 0 && number) {
		if (asprintf(&path, GLOBAL_DIR "/revisions/%llu.yaml", (unsigned long long)number) < 0)
			return -ENOMEM;
		r = read_whole_file(path, POLICY_TEXT_MAX, ret, ret_n);
	}
	if (r == 0)
		*ret_number = number;
	return r;
}
