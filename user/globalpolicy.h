/* SPDX-License-Identifier: Apache-2.0 */
/*
 * globalpolicy.h - the one policy that, while it is set, is in force in every sandbox instead of its own.
 *
 * It has revisions like a sandbox (revisions.h), in OSH_STATE_DIR/.global/, a name that no sandbox can have.  The file
 * `current` there, replaced whole, names the one in force: writing it is the decision, everything else follows.  A lock
 * keeps two who set it apart, and a sandbox from starting past a change.
 */
#pragma once

#include "policy/policy.h"
#include "user/control.h"
#include "user/revisions.h"

#define GLOBAL_DIR OSH_STATE_DIR "/.global"
#define GLOBAL_REFUSAL                                                                                                 \
	"the global policy (revision %llu) is in force: 'osh-enforce policy delete --global' first, or change it with " \
	"'osh-enforce policy set --global'"

/* Number of the revision in force, 0: there is no global policy. */
int global_in_force(uint64_t *ret);

/* For who changes it: waits for the lock.  -ENOENT unless create: there never was one. */
int global_open(bool create, int *ret_lock, struct revisions *ret);
/* The decision: when this returns 0 every reader sees it; negative: nothing has changed.  0: none. */
int global_decide(uint64_t number);

/* For a sandbox that starts: is `number` what is in force, and nobody changing it?  -EAGAIN: no. */
int global_unchanged(uint64_t number);
/* Waits until nobody is changing it. */
void global_settled(void);
/* The text of the one in force; *ret_number is 0, and no text, when there is none. */
int global_text(char **ret, size_t *ret_n, uint64_t *ret_number);
