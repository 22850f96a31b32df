/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refused.h - the socket() calls that seccomp refuses: answered by the supervisor, each a line of the log or part of one.
 *
 * seccomp stops them before any other hook of the kernel sees them, which is safest (no protocol module is loaded, none
 * of its code runs) but silent.  So the filter asks its listener instead (seccomp_unotify(2)).  The answer is EPERM,
 * always; the way to let a call through (SECCOMP_USER_NOTIF_FLAG_CONTINUE) is not in this program.  Of the caller only
 * numbers are read: the arguments, which the kernel has copied, its process, its record.  Without a supervisor the
 * kernel answers ENOSYS.  The lines have the bounds of all refusals, by process and by executable (record.h).
 */
#pragma once

#include "user/supervise.h"

/* Takes fd, the filter's listener. */
int refused_watch(struct supervisor *s, int fd);
