/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.h - the system calls that a sandbox does not have.
 */
#pragma once

#include "policy/base.h"

/* Loads the filter into this thread, for good.  Needs no_new_privs.  *ret_error names the call that
 * failed. */
int seccomp_enforce(char **ret_error);

/* The rules one by one, for tests and for people: name, reason. Returns how many there are. */
size_t seccomp_refused(size_t i, const char **ret_name, const char **ret_reason);
