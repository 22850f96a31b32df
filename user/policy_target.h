/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_target.h - a running sandbox that is to be given a policy: who it is, and the policy made ready for it.
 */
#pragma once

#include "user/prepare.h"

struct policy_target {
	char *name;
	uid_t uid;
	char static_hash[65];
	uint64_t revision, first_revision, global;
};

/* Asks the sandbox.  -ENOENT: none of this name runs; -ETIMEDOUT: its supervisor does not answer. */
int policy_target_find(const char *name, struct policy_target *ret);
void policy_target_done(struct policy_target *t);

/*
 * Checks, resolves and compiles for the sandbox's user, and compares the static sections with those it was started with.
 * Prints what is wrong; on failure o->failure (must be given) says it again.  o->identity and o->amend are set here.
 */
int policy_target_prepare(const struct policy_target *t, const struct prepare_options *o, struct prepared *ret);
/* The two halves of it. */
int policy_target_compile(const struct policy_target *t, const struct prepare_options *o, struct prepared *ret);
int policy_target_static(const struct policy_target *t, const struct prepared *p, char **ret_error);
