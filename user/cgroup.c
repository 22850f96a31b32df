/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.c - cgroups and the bpf file system: find, create, kill, remove.
 *
 * Never touches a cgroup outside CGROUP2/osh-enforce/.
 */
#include "user/cgroup.h"
#include "user/control.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>

static const char *const role_name[CGROUP_ROLES] = {"agent", "proxy"};

int cgroup2_mount(char **ret)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0) {
		char *dash = strstr(line, " - "), *save = NULL, *field;
		char *point = NULL;

		if (!dash || strncmp(dash + 3, "cgroup2 ", 8) != 0)
			continue;
		*dash = '\0';
		field = strtok_r(line, " ", &save);
		for (int i = 0; field && i < 4; i++) {
			point = field = strtok_r(NULL, " ", &save);
			if (i == 2 && field && strcmp(field, "/") != 0) { /* a subtree, as in a container */
				point = NULL;
				break;
			}
		}
		if (!point)
			continue;
		*ret = strdup(point);
		return *ret ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

static int mkdir_open(const char *path)
{
	int fd;

	if (mkdir(path, 0755) < 0)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The id is the inode number of the directory, which is the lower part of the file handle on cgroup2 (kernfs). */
static int cgroup_id(int fd, uint64_t *ret)
{
	struct {
		struct file_handle h;
		uint8_t b[8];
	} fh = {.h.handle_bytes = 8};
	int mnt;

	if (name_to_handle_at(fd, "", &fh.h, &mnt, AT_EMPTY_PATH) < 0)
		return -errno;
	memcpy(ret, fh.h.f_handle, 8);
	return 0;
}

static void write_file(const char *dir, const char *file, const char *text);

/* For what lies below dir, where the host gives them to dir itself; one that it does not is no error. */
static void pass_controllers(const char *dir)
{
	write_file(dir, "cgroup.subtree_control", "+pids");
	write_file(dir, "cgroup.subtree_control", "+memory");
}

int cgroups_create(const char *name, struct cgroups *ret)
{
	_cleanup_free_ char *mnt = NULL, *base = NULL;
	struct cgroups c = CGROUPS_INIT;
	int r = cgroup2_mount(&mnt);

	if (r < 0)
		return r;
	if (asprintf(&base, "%s/osh-enforce", mnt) < 0 || asprintf(&c.dir, "%s/%s", base, name) < 0)
		return -ENOMEM;
	if ((mkdir(base, 0755) < 0 && errno != EEXIST) || mkdir(c.dir, 0755) < 0) {
		r = -errno;
		goto fail;
	}
	pass_controllers(base);
	pass_controllers(c.dir);
	for (int i = 0; i < CGROUP_ROLES; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s", c.dir, role_name[i]) < 0) {
			r = -ENOMEM;
			goto fail;
		}
		c.fd[i] = r = mkdir_open(path);
		if (r < 0)
			goto fail;
	}
	r = cgroup_id(c.fd[CGROUP_AGENT], &c.agent_id);
	if (r < 0)
		goto fail;
	c.agent_level = 3; /* osh-enforce/NAME/agent */
	*ret = c;
	return 0;
fail:
	cgroups_done(&c);
	return r;
}

void cgroups_done(struct cgroups *c)
{
	for (int i = 0; i < CGROUP_ROLES; i++) {
		closep(&c->fd[i]);
		c->fd[i] = -1;
	}
	free(c->dir);
	c->dir = NULL;
}

static void write_file(const char *dir, const char *file, const char *text)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (asprintf(&path, "%s/%s", dir, file) < 0)
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		return;
}

static bool is_populated(const char *dir)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	char line[64];

	if (asprintf(&path, "%s/cgroup.events", dir) < 0)
		return true;
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strcmp(line, "populated 1\n") == 0)
			return true;
	return false;
}

int cgroups_remove(const char *name, int timeout_ms)
{
	_cleanup_free_ char *mnt = NULL, *dir = NULL;
	int r = cgroup2_mount(&mnt);

	if (r < 0)
		return r;
	if (asprintf(&dir, "%s/osh-enforce/%s", mnt, name) < 0)
		return -ENOMEM;
	if (access(dir, F_OK) < 0)
		return 0;
	write_file(dir, "cgroup.kill", "1");
	for (int waited = 0; is_populated(dir); waited++) {
		if (waited >= timeout_ms)
			return -EBUSY;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	for (int i = 0; i < CGROUP_ROLES; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, role_name[i]) < 0)
			return -ENOMEM;
		if (rmdir(path) < 0 && errno != ENOENT)
			return -errno;
	}
	if (rmdir(dir) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

void cgroups_remove_base(void)
{
	_cleanup_free_ char *mnt = NULL, *base = NULL;

	if (cgroup2_mount(&mnt) == 0 && asprintf(&base, "%s/osh-enforce", mnt) >= 0)
		(void)rmdir(base);
}

int cgroup_inside(pid_t pid, bool *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], line[4096];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	*ret = false;
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "0::", 3) == 0 && strncmp(line + 3, "/osh-enforce/", 13) == 0)
			*ret = true;
	return 0;
}

pid_t cgroup_fork(int cgroup_fd, uint64_t flags)
{
	struct clone_args a = {
		.flags = flags | CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (unsigned int)cgroup_fd,
	};
	long r = syscall(SYS_clone3, &a, sizeof(a));

	return r < 0 ? -errno : (pid_t)r;
}

static bool is_bpffs(const char *path)
{
	struct statfs s;

	return statfs(path, &s) == 0 && (uint32_t)s.f_type == BPF_FS_MAGIC;
}

int bpffs_dir(char **ret_base)
{
	const char *dir = "/sys/fs/bpf";

	if (!is_bpffs(dir)) {
		dir = OSH_RUN_DIR "/.bpf";
		if (!is_bpffs(dir)) {
			(void)mkdir(OSH_RUN_DIR, 0755);
			(void)mkdir(dir, 0700);
			if (mount("bpf", dir, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
				return -errno;
		}
	}
	if (asprintf(ret_base, "%s/osh-enforce", dir) < 0)
		return -ENOMEM;
	if (mkdir(*ret_base, 0700) < 0 && errno != EEXIST) {
		int r = -errno;

		free(*ret_base);
		return r;
	}
	return 0;
}
