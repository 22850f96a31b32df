/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.h - the system calls that a sandbox does not have (user/seccomp_table.h says which).
 */
#pragma once

#include "policy/base.h"

/*
 * Loads the filter into this thread, for good.  Needs no_new_privs.  landlock_abi (landlock_abi()):
 * what Landlock does not see yet is refused here.  *ret_error names what failed.
 *
 * With ret_listener, a refused socket() is not answered by the kernel but waits for whoever holds that
 * descriptor (seccomp_unotify(2), user/refused.h), so that it can be logged.  The caller hands it out of the
 * sandbox and closes its own: who holds it could also let the call through.  -1: the caller is itself under a
 * filter with a listener, of which a process can have only one; refused are they all the same.
 */
int seccomp_enforce(int landlock_abi, int *ret_listener, char **ret_error);
