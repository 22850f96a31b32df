/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hidesock.h - Unix sockets of the host in directories that the sandbox is shown.
 */
#pragma once

#include "user/mounts.h"
#include "user/plan.h"

/* The kernel's list of Unix sockets.  Open it while the host's /proc is still there. */
FILE *hide_sockets_open(void);

/*
 * Covers every listed socket that a bound directory of the plan shows, and that the plan does not list itself, with
 * the null device.  root: the new root, O_PATH, before it is turned, with its /proc.  Returns how many, or -errno;
 * *ret_path (PATH_MAX) is the socket that could not be covered.
 *
 * A socket is found by the path that it was bound to, as the sandbox sees that path and as the host does.  One that the
 * sandbox sees by a third (through a bind mount of the host, or bound in a chroot) is not, nor one bound by a relative path.
 * A socket that a host process makes there later is not covered: only a kernel with BPF LSM can refuse it by its peer.
 */
int hide_sockets(FILE *list, int root, const struct launch_plan *p, char *ret_path);
