/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drop.h - from root to the sandbox's user, with no way back.
 */
#pragma once

#include "user/plan.h"

/* Gives up every privilege and reads each back.  On failure the process must end. */
int drop_identity(const struct launch_plan *p, char **ret_error);
