/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environ.h - the environment of what runs in a sandbox: built, not inherited.
 */
#pragma once

#include "user/plan.h"

#define ENVIRON_STANDARD_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* PATH for the sandbox: the entries of `path` (may be NULL), extra (NULL-terminated list, may be
 * NULL) and the standard ones that are absolute, clean, and visible by the plan or in the sandbox's
 * home; each once.  malloced. */
char *environ_path(const struct launch_plan *p, const char *path, char *const *extra);

/* HOME USER LOGNAME SHELL PATH and the variables that point TLS libraries to the trust bundle. */
int environ_base(const struct launch_plan *p, const char *path, char ***env);

/* Adds what a terminal session hands on: TERM COLORTERM TZ LANG LANGUAGE LC_*, from this process.
 */
int environ_session(char ***env);

/* --env: K=V, or K to copy the caller's.  -ENOENT: the caller has no K (nothing is added). -EINVAL:
 * not a name. */
int environ_option(const char *arg, char ***env);

/* --env-file: K=V a line, "#" comments and empty lines; a line that is only K copies the caller's.
 * *ret_error is a message for people. */
int environ_file(const char *file, char ***env, char **ret_error);

/* Names in this process's environment that env does not have with the same value. */
void environ_print_dropped(char *const *env, FILE *out);
