/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.h - are the hooks on this cgroup live?  Asked before anything else is trusted to them.
 */
#pragma once

/* 0: everything that must be refused was refused with EPERM.  -ENOTCONN: not live; *ret_error says
 * what got through. */
int proof_hooks_live(char **ret_error);
