/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup.c - removing a sandbox, and sweeping what dead supervisors left.
 *
 * A supervisor is alive as long as it holds the lock on RUN/NAME/lock.  Order: processes first, then pins (so that
 * nothing runs unenforced), then files.  What a program may have made as much of as it liked is only set aside under the
 * lock and removed without it (remove.h): nobody else's start waits for that.
 */
#include "user/cgroup.h"
#include "user/remove.h"
#include "user/start.h"
#include "user/supervise.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#define ANSWER_MS 1000
#define SETTLE_STEP_MS 25
#define SETTLE_TRIES 200
#define REVISIONS "revisions"
#define LOCK_FILE OSH_RUN_DIR "/.lock"

/* The last one out removes the lock file (remove_shared()), so what was locked must still be what the name means. */
static int try_lock(int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct stat mine, now;

	if (mkdir(OSH_RUN_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX) < 0 || fstat(fd, &mine) < 0)
		return -errno;
	if (stat(LOCK_FILE, &now) < 0 || now.st_ino != mine.st_ino || now.st_dev != mine.st_dev)
		return -EAGAIN;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int state_lock(int *ret_fd)
{
	int r;

	do
		r = try_lock(ret_fd);
	while (r == -EAGAIN || r == -EINTR);
	return r;
}

static void unpin(const char *name)
{
	_cleanup_free_ char *base = NULL, *dir = NULL;

	if (bpffs_dir(&base) == 0 && asprintf(&dir, "%s/%s", base, name) >= 0)
		(void)remove_tree(dir);
}

/* What all sandboxes share goes with the last one.  Under the lock: a start makes these and its own entry in one go. */
static void remove_shared(void)
{
	_cleanup_free_ char *base = NULL;
	char **v = NULL;
	bool last;

	/* Asked of the directories, not of the bpf file system: in another mount namespace that may be another one, and
	 * removing the directory under a mount point detaches what is mounted there in every namespace, with all pins. */
	last = sandbox_list(&v) >= 0 && !v[0];
	strv_free(v);
	if (!last)
		return;
	cgroups_remove_base();
	(void)rmdir(OSH_STATE_DIR);
	if (bpffs_dir(&base) < 0 || rmdir(base) < 0)
		return; /* other sandboxes are there */
	if (strncmp(base, OSH_RUN_DIR, strlen(OSH_RUN_DIR)) == 0) {
		(void)umount2(OSH_RUN_DIR "/.bpf", MNT_DETACH);
		(void)rmdir(OSH_RUN_DIR "/.bpf");
	}
	/* Last, for from here on another process may hold a lock of its own. */
	(void)unlink(LOCK_FILE);
	(void)rmdir(OSH_RUN_DIR);
}

static int keep_only_revisions(const char *name, const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		_cleanup_free_ char *sub = NULL;
		int k;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, REVISIONS) == 0)
			continue;
		if (asprintf(&sub, "%s/%s", path, e->d_name) < 0) {
			r = -ENOMEM;
			break;
		}
		k = set_aside(name, sub);
		if (k < 0)
			r = k;
	}
	closedir(d);
	(void)rmdir(path); /* when there are no revisions either */
	return r;
}

int remove_state(const char *name, bool keep_revisions)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, OSH_STATE_DIR "/%s", name) < 0)
		return -ENOMEM;
	return keep_revisions ? keep_only_revisions(name, path) : set_aside(name, path);
}

/* Not under the lock.  What was set aside, and what all sandboxes share when this was the last one. */
static int remove_rest(const char *name)
{
	_cleanup_close_ int lock = -1;
	int r = remove_aside(name);

	if (state_lock(&lock) < 0)
		return r;
	(void)rmdir(ASIDE_DIR);
	remove_shared();
	return r;
}

/* Connections that were refused or made after the supervisor's last line; its processes are dead by now. */
static void tell_left(const char *name)
{
	_cleanup_free_ char *base = NULL, *dir = NULL, *control = NULL;
	struct record_left left;

	if (asprintf(&control, OSH_RUN_DIR "/%s/control", name) < 0 || access(control, F_OK) < 0)
		return; /* it never ran anything */
	if (bpffs_dir(&base) < 0 || asprintf(&dir, "%s/%s", base, name) < 0 || record_left(dir, &left) < 0)
		return;
	if (left.unread || left.lost || left.suppressed)
		fprintf(stderr,
			"osh-enforce: %s: its supervisor died; events after that are in no log: %llu not read, %llu lost, "
			"%llu suppressed; requests that its proxy had not handed over are not counted\n",
			name, (unsigned long long)left.unread, (unsigned long long)left.lost,
			(unsigned long long)left.suppressed);
}

static int cleanup_locked(const char *name, bool keep_revisions, bool dead)
{
	_cleanup_free_ char *run = NULL;
	int r, k;

	if (!sandbox_name_valid(name) || asprintf(&run, OSH_RUN_DIR "/%s", name) < 0)
		return -EINVAL;
	r = cgroups_remove(name, 5000);
	if (r < 0)
		return r; /* while something still runs, everything stays enforced */
	if (dead)
		tell_left(name);
	unpin(name);
	r = remove_state(name, keep_revisions);
	k = remove_tree(run);
	return r < 0 ? r : k;
}

/* Is what the name means still the sandbox whose lock this is?  Another may have been started under it since. */
static bool still_ours(const char *name, int lock_fd)
{
	_cleanup_free_ char *path = NULL;
	struct stat mine, now;

	if (asprintf(&path, OSH_RUN_DIR "/%s/lock", name) < 0 || fstat(lock_fd, &mine) < 0)
		return false;
	return stat(path, &now) == 0 && now.st_ino == mine.st_ino && now.st_dev == mine.st_dev;
}

int cleanup_sandbox(const char *name, int lock_fd, bool keep_revisions)
{
	_cleanup_close_ int lock = -1;
	int r = state_lock(&lock), k;

	if (r < 0)
		return r;
	r = lock_fd < 0 || still_ours(name, lock_fd) ? cleanup_locked(name, keep_revisions, false) : 0;
	closep(&lock);
	lock = -1;
	k = remove_rest(name);
	return r < 0 ? r : k;
}

/* Somebody answers as the supervisor of the name. */
static bool answers(const char *name)
{
	_cleanup_free_ char *buf = malloc(CTL_PAYLOAD_MAX + 1);
	_cleanup_close_ int fd = -1;
	uint32_t type;
	int r;

	if (!buf)
		return true;
	r = control_connect(name, &fd);
	if (r == 0)
		r = control_send(fd, CTL_STATUS, NULL, 0, NULL, 0);
	if (r == 0)
		r = control_recv(fd, ANSWER_MS, &type, buf, CTL_PAYLOAD_MAX + 1, NULL, NULL, NULL);
	return r == 0 || r == -ETIMEDOUT || r == -EAGAIN;
}

/* A host that went down leaves what is not in /run. */
static void set_stale_aside(const char *name, const char *run)
{
	_cleanup_close_ int lock = -1;

	if (state_lock(&lock) == 0 && access(run, F_OK) < 0)
		(void)remove_state(name, true);
}

void sandbox_settle(const char *name)
{
	_cleanup_free_ char *run = NULL, *state = NULL;

	if (!sandbox_name_valid(name) || asprintf(&run, OSH_RUN_DIR "/%s", name) < 0 ||
	    asprintf(&state, OSH_STATE_DIR "/%s", name) < 0)
		return;
	sandbox_sweep();
	/* One that is being killed holds its lock until the kernel is done with it. */
	for (int i = 0; i < SETTLE_TRIES && access(run, F_OK) == 0 && !answers(name); i++) {
		nanosleep(&(struct timespec){.tv_nsec = SETTLE_STEP_MS * 1000000}, NULL);
		sandbox_sweep();
	}
	if (access(run, F_OK) == 0 || access(state, F_OK) < 0)
		return;
	set_stale_aside(name, run);
	if (anything_aside())
		(void)remove_rest(NULL);
}

static int remove_left(const char *name, const char *run, const char *state)
{
	_cleanup_close_ int lock = -1;
	int r = state_lock(&lock);

	if (r < 0)
		return r;
	if (access(run, F_OK) == 0)
		return -EBUSY;
	return access(state, F_OK) < 0 ? -ENOENT : remove_state(name, false);
}

int cleanup_revisions(const char *name)
{
	_cleanup_free_ char *run = NULL, *state = NULL;
	int r, k;

	if (!sandbox_name_valid(name) || asprintf(&run, OSH_RUN_DIR "/%s", name) < 0 ||
	    asprintf(&state, OSH_STATE_DIR "/%s", name) < 0)
		return -EINVAL;
	if (access(state, F_OK) < 0)
		return -ENOENT;
	r = remove_left(name, run, state);
	k = remove_rest(name);
	return r < 0 ? r : k;
}

/* Returns whether there was one. */
static bool sweep_dead(void)
{
	_cleanup_close_ int lock = -1;
	bool any = false;
	char **v = NULL;

	if (state_lock(&lock) < 0 || sandbox_list(&v) < 0)
		return false;
	for (size_t i = 0; v[i]; i++) {
		_cleanup_free_ char *path = NULL, *temporary = NULL;
		_cleanup_close_ int fd = -1;

		if (asprintf(&path, OSH_RUN_DIR "/%s/lock", v[i]) < 0 ||
		    asprintf(&temporary, OSH_RUN_DIR "/%s/" TEMPORARY_FILE, v[i]) < 0)
			break;
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 ? errno != ENOENT : flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue; /* alive, or that cannot be known */
		(void)cleanup_locked(v[i], access(temporary, F_OK) < 0, true);
		any = true;
	}
	strv_free(v);
	return any;
}

void sandbox_sweep(void)
{
	bool any = anything_aside();

	if (access(OSH_RUN_DIR, F_OK) == 0)
		any |= sweep_dead();
	if (any)
		(void)remove_rest(NULL);
}
