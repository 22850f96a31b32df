/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_lsm.h - is the BPF LSM layer there, and does it refuse?
 */
#pragma once

#include "user/cgroup.h"

/* Could LSM programs and inode storage load at all? *ret_why: a literal, when not. */
bool lsm_offered(const char **ret_why);

/* Tries in the agent's cgroup what only the LSM programs refuse: a kernel that was built with BPF LSM but started
 * without `bpf` in lsm= loads and attaches them and never calls them. */
bool lsm_live(const struct cgroups *c);
