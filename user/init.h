/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.h - the process that stays inside the walls: forks commands, reaps orphans, relays statuses.
 */
#pragma once

#include "user/plan.h"

#define INIT_COMMANDS_MAX 4096 /* at the same time */

/* Serves the supervisor's orders on pair until it closes; never returns. */
_Noreturn void init_main(const struct launch_plan *p, int pair);
