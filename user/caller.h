/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caller.h - what the person who typed the command had in their environment, sudo or not.
 *
 * sudo gives root a fresh environment; the user's own is still to be read from the sudo process, or
 * from the shell that started it.  Nothing is run for it.  The values only ever go into the sandbox
 * of that user.
 */
#pragma once

#include "policy/base.h"

#define CALLER_ENV_MAX (4u << 20)

/* SUDO_UID, when sudo (and not root itself) called; NULL else. */
const char *caller_sudo_uid(void);

/* The variable as the user has it: ours, else of the user's processes above us.  malloced; NULL:
 * not set. */
char *caller_getenv(const char *name);

/* The user's PATH: not the one that sudo sets (secure_path).  malloced; NULL: not known. */
char *caller_path(void);

/* Value of name in a block of NUL-terminated strings, as in /proc/PID/environ; NULL: not there. */
const char *environ_block_find(struct slice block, const char *name);
