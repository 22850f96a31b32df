/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_seccomp.h - `osh-enforce doctor --seccomp`: the system call filter as people read it.
 */
#pragma once

#include "policy/base.h"

/* Prints the tables of user/seccomp_table.h as they would be loaded on this kernel.  0 or -ENOMEM.
 */
int doctor_seccomp(bool json);
