/* SPDX-License-Identifier: Apache-2.0 */
/* limits.c - cgroup limits, or rlimits in their place (limits.h). */
#include "user/limits.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#define MIB (1024ull * 1024)
#define HOST_RESERVE (256 * MIB)
#define OOM_SUPERVISOR "-900"
#define OOM_SANDBOX "300" /* an unprivileged process cannot go below what root has set */

int limit_parse(const char *text, bool size, uint64_t *ret)
{
	unsigned int shift = 0;
	unsigned long long v;
	char *end;

	if (strcmp(text, "max") == 0) {
		*ret = LIMIT_NONE;
		return 0;
	}
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (size && *end && strchr("KMG", *end)) {
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
		end++;
	}
	if (*end)
		return -EINVAL;
	if (errno || v == 0 || v > ((uint64_t)INT64_MAX >> shift))
		return -ERANGE;
	*ret = (uint64_t)v << shift;
	return 0;
}

static int write_limit(const struct cgroups *c, const char *file, uint64_t value)
{
	_cleanup_close_ int fd = openat(c->fd[CGROUP_AGENT], file, O_WRONLY | O_CLOEXEC);
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

	return fd < 0 || write(fd, text, (size_t)n) != n ? -errno : 0;
}

static uint64_t default_memory(void)
{
	struct sysinfo i;
	uint64_t all, reserve;

	if (sysinfo(&i) < 0)
		return LIMIT_NONE;
	all = (uint64_t)i.totalram * i.mem_unit;
	reserve = all / 10 > HOST_RESERVE ? all / 10 : HOST_RESERVE;
	return all > 2 * reserve ? all - reserve : all / 2;
}

/* Threads of the user now: RLIMIT_NPROC counts them too. */
static uint64_t threads_of(uid_t uid)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	uint64_t sum = 0;

	while (d && (e = readdir(d))) {
		char path[300];
		struct stat st;

		if (!isdigit((unsigned char)e->d_name[0]) || fstatat(dirfd(d), e->d_name, &st, 0) < 0 || st.st_uid != uid)
			continue;
		snprintf(path, sizeof(path), "%s/task", e->d_name);
		/* A directory of tasks has two links more than it has tasks. */
		sum += fstatat(dirfd(d), path, &st, 0) == 0 && st.st_nlink > 2 ? (uint64_t)st.st_nlink - 2 : 1;
	}
	if (d)
		closedir(d);
	return sum;
}

static void apply_pids(struct limits *l, const struct cgroups *c, uid_t uid)
{
	uint64_t n = l->pids == LIMIT_DEFAULT ? LIMIT_PIDS_DEFAULT : l->pids;

	l->nproc = LIMIT_NONE;
	if (n == LIMIT_NONE) {
		snprintf(l->pids_text, sizeof(l->pids_text), "no limit");
		return;
	}
	if (write_limit(c, "pids.max", n) == 0) {
		snprintf(l->pids_text, sizeof(l->pids_text), "%llu (cgroup)", (unsigned long long)n);
		return;
	}
	l->nproc = threads_of(uid) + n;
	snprintf(l->pids_text, sizeof(l->pids_text), "%llu more than the user had at the start (RLIMIT_NPROC)",
		 (unsigned long long)n);
}

static void apply_memory(struct limits *l, const struct cgroups *c)
{
	uint64_t n = l->memory == LIMIT_DEFAULT ? default_memory() : l->memory;

	l->data = LIMIT_NONE;
	if (n == LIMIT_NONE)
		snprintf(l->memory_text, sizeof(l->memory_text), "no limit");
	else if (write_limit(c, "memory.max", n) == 0)
		snprintf(l->memory_text, sizeof(l->memory_text), "%llu MiB (cgroup)", (unsigned long long)(n / MIB));
	else if (l->memory == LIMIT_DEFAULT)
		snprintf(l->memory_text, sizeof(l->memory_text), "no limit (no memory controller on cgroup v2)");
	else {
		l->data = n;
		snprintf(l->memory_text, sizeof(l->memory_text), "%llu MiB for each process (RLIMIT_DATA)",
			 (unsigned long long)(n / MIB));
	}
}

void limits_apply(struct limits *l, const struct cgroups *c, uid_t uid)
{
	apply_pids(l, c, uid);
	apply_memory(l, c);
}

static int lower(int which, uint64_t n)
{
	struct rlimit r;

	if (n == LIMIT_NONE)
		return 0;
	if (getrlimit((__rlimit_resource_t)which, &r) < 0)
		return -errno;
	if (r.rlim_max > n)
		r.rlim_max = n;
	if (r.rlim_cur > r.rlim_max)
		r.rlim_cur = r.rlim_max;
	return setrlimit((__rlimit_resource_t)which, &r) < 0 ? -errno : 0;
}

static void oom_score(const char *text)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* Refused where the host does not let us (a container): then the kernel chooses by size. */
	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		return;
}

int limits_child(const struct limits *l)
{
	int r = lower(RLIMIT_NPROC, l->nproc);

	oom_score(OOM_SANDBOX);
	return r < 0 ? r : lower(RLIMIT_DATA, l->data);
}

void limits_protect(void)
{
	oom_score(OOM_SUPERVISOR);
}
