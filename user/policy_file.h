/* SPDX-License-Identifier: Apache-2.0 */
/* policy_file.h - a policy from a file; policy/ itself reads none. */
#pragma once

#include "policy/policy.h"

/* Reads path ("-": standard input) and parses it.  What is wrong with the file itself (missing, a
 * directory, too large) goes to diags like any error.  *ret_text, when asked for, is malloced.
 * Returns 0 or a negative errno; -EINVAL when the policy has errors. */
int policy_load_file(const char *path, struct policy_diags *diags, struct policy **ret,
		     char **ret_text, size_t *ret_n);

/* The first half of it: the text, at most POLICY_TEXT_MAX bytes, malloced and NUL-terminated. */
int policy_read_file(const char *path, struct policy_diags *diags, char **ret_text, size_t *ret_n);

/* policy_diags_print() for a file whose name may be anything. */
void policy_file_diags_print(const struct policy_diags *d, const char *path, FILE *out);
