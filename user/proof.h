/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.h - are the hooks on this cgroup live?  Asked before anything else is trusted to them.
 */
#pragma once

#include "user/plan.h"

/* 0: everything that must be refused was refused with EPERM.  -ENOTCONN: not live; *ret_error says
 * what got through. */
int proof_hooks_live(char **ret_error);

/*
 * The walls, each right after it was put up; results as above.  Each tries what would succeed without it, and leaves
 * nothing behind where it does.
 */
/* As root: every read-only place of the plan refuses a new file, and a file there to be opened for writing; the root
 * directory is another than `host_root`. */
int proof_mounts(const struct launch_plan *p, const struct stat *host_root, char **ret_error);
/* As the sandbox's user, host_proc being the host's /proc, opened while it could be seen: a file there, which every
 * user may read and only Landlock forbids, is refused, and one in each directory of the sandbox's own can be made.
 * (Not a device node where files may be made: newer kernels take 0,0 for a file.) */
int proof_landlock(const struct launch_plan *p, int host_proc, char **ret_error);
/* 0 or negative errno: the same file, which must open before Landlock is enforced for the proof to mean anything. */
int proof_outside_readable(int host_proc);
/* As the sandbox's user, when it is all that runs inside: /proc shows no other process.  One that it shows may be traced
 * (hidepid=ptraceable), and its root and its descriptors may be opened. */
int proof_processes(const struct launch_plan *p, char **ret_error);
/* Calls that any user can make are refused; socket: also one that the filter's listener answers. */
int proof_calls(char **ret_error);
int proof_refused_socket(char **ret_error);
