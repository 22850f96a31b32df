/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statics.h - are the static sections of a new policy those that a running sandbox was started with?  By effective
 * meaning: paths as sets, users and groups by number, what is left out of a section by its default; a section that is
 * left out altogether means unchanged.
 */
#pragma once

#include "policy/policy.h"

#include <sys/types.h>

/* *ret_field is NULL when they are, else the first field that differs.  uid: the sandbox runs as it.  Negative: a user or
 * group cannot be looked up; *ret_error says which. */
int statics_compare(const struct policy_static *first, const struct policy_static *next, uid_t uid,
		    const char **ret_field, char **ret_error);
