/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - the two cgroups of a sandbox, CGROUP2/osh-enforce/NAME/{agent,proxy}, and the directory for pins.
 */
#pragma once

#include "policy/base.h"

#include <sys/types.h>

enum cgroup_role { CGROUP_AGENT, CGROUP_PROXY, CGROUP_ROLES };

struct cgroups {
	char *dir; /* CGROUP2/osh-enforce/NAME */
	int fd[CGROUP_ROLES];
	uint64_t agent_id; /* as bpf_get_current_ancestor_cgroup_id() gives it */
	uint32_t agent_level;
};
#define CGROUPS_INIT {NULL, {-1, -1}, 0, 0}

/* The cgroup v2 mount point, from /proc/self/mountinfo (the hybrid layout too).  Caller frees.  -ENOENT: none. */
int cgroup2_mount(char **ret);

/* -EEXIST: NAME has cgroups. */
int cgroups_create(const char *name, struct cgroups *ret);
/* Kills what is inside (cgroup.kill), waits up to timeout_ms, removes.  Missing directories are fine. -EBUSY: processes
 * would not die. */
int cgroups_remove(const char *name, int timeout_ms);
void cgroups_remove_base(void); /* CGROUP2/osh-enforce, when it is empty; under the state lock */
void cgroups_done(struct cgroups *c); /* closes, frees; removes nothing */
/* Is the process in any sandbox's cgroup? */
int cgroup_inside(pid_t pid, bool *ret);

/* Like fork(), but the child starts in the cgroup (CLONE_INTO_CGROUP): no migration, no moment outside.  flags: clone
 * flags such as CLONE_FILES. */
pid_t cgroup_fork(int cgroup_fd, uint64_t flags);

/* Directory for pins of NAME: on /sys/fs/bpf when that is a bpffs, else on a private one under /run/osh-enforce/.bpf,
 * mounted on demand.  Caller frees. */
int bpffs_dir(char **ret_base);
