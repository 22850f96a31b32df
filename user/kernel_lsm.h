/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_lsm.h - is the BPF LSM layer there, and does it refuse?
 */
#pragma once

#include "user/cgroup.h"

/* Built into this kernel (CONFIG_BPF_LSM), as far as its maps show? */
bool lsm_offered(void);

/* Tries in the agent's cgroup what only the LSM programs refuse: a kernel that was built with BPF LSM but started
 * without `bpf` in lsm= loads and attaches them and never calls them. */
bool lsm_live(const struct cgroups *c);
