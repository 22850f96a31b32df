/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail.h - how the proxy gives up everything it does not need.  One way: there is no function to get it back.
 */
#pragma once

#include "policy/base.h"

#include <sys/types.h>

/* Limits, groups, capabilities, identity (each verified), not dumpable, dies with parent.  Needs root. */
int jail_identity(uid_t uid, gid_t gid, pid_t parent, const char **ret_step);
/* no_new_privs, Landlock (no file at all), seccomp; both exercised.  *ret_step: what failed, in words. */
int jail_lock(const char **ret_step);
