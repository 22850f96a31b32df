/* SPDX-License-Identifier: Apache-2.0 */
/*
 * globalset.h - setting and deleting the global policy: in all running sandboxes or in none.
 *
 * Each supervisor is given the image and does everything but the store that makes it so; when all have, the decision is
 * written (globalpolicy.h) and each is told to go on.  Before the decision any one of them can refuse, after it none
 * needs to agree: one that loses its connection reads what was decided.
 */
#pragma once

#include "policy/base.h"

/* Print what happened, sandbox by sandbox; the exit status: 0, 1 refused, 124 timed out. */
int global_set(const char *path, bool wait, uint32_t timeout_s);
int global_unset(uint32_t timeout_s);
