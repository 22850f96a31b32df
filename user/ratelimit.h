/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ratelimit.h - how many lines a source may put into the log, and a count of what it put in beyond that.
 *
 * For the supervisor: each key (an executable, a process, a layer) may write `burst` lines at once and `per_second` from
 * then on.  What is beyond is not forgotten: it is counted under its key, and ratelimit_next() hands the counts out, to be
 * written as one line each.  Bounded memory: keys that find no slot share the last one.  No allocation, no clock of its own.
 */
#pragma once

#include "policy/base.h"

#define RATELIMIT_SLOTS 256 /* the last is shared by keys that find none */

struct ratelimit_slot {
	uint64_t key;
	uint64_t full_ns; /* when the whole burst is there again */
	uint64_t suppressed; /* since ratelimit_next() has last told of them */
	uint64_t since_ns;   /* of the first of them; 0: the slot is free */
};

struct ratelimit {
	uint32_t per_second, burst; /* both at least 1 */
	struct ratelimit_slot slots[RATELIMIT_SLOTS];
};

/* n: what the line stands for, usually 1.  true: write it.  false: n is counted.  *ret_slot (may be NULL): index of the
 * key's slot, for what the caller keeps beside it, such as the last one that was not written. */
bool ratelimit_take(struct ratelimit *l, uint64_t key, uint64_t n, uint64_t now_ns, size_t *ret_slot);

/* Goes through the slots from *at (begin with 0): true and a copy of the next one that has counted something, whose count
 * begins again; false: no more.  Frees slots whose keys are quiet. */
bool ratelimit_next(struct ratelimit *l, uint64_t now_ns, size_t *at, struct ratelimit_slot *ret);
