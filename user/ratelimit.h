/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ratelimit.h - how many lines a source may put into the log, and a count of what it put in beyond that.
 *
 * For the supervisor: each key (an executable, a process) may write `burst` lines at once and `per_second` from then on,
 * and all keys together `all_burst` and `all_per_second`.  The second half of all_burst is for keys that have had few
 * lines lately (RATELIMIT_FIRST), so that one which is refused now and then has lines of its own beside one that floods.
 * What is beyond is not forgotten: it is counted under its key, and ratelimit_next() hands the counts out, to be written
 * as one line each.
 *
 * A key has a slot of its own, however others choose theirs: slots are found by a seeded hash with chains, and there are
 * more than keys can be in use at a moment.  Where they end all the same, the slot of a key that waits for nothing is
 * taken; only when none is found do keys share the last.  Slots are given out from the first on, so that what is touched
 * follows what is used.  Constant time for each line; no allocation but by ratelimit_new(), no clock of its own.
 */
#pragma once

#include "policy/base.h"

#define RATELIMIT_SLOTS 16640u	 /* executables at a moment: 16384 (bpf/maps.bpf.h); the last is shared */
#define RATELIMIT_BUCKETS 16384u /* of the hash; a power of two */
#define RATELIMIT_FIRST 32u	 /* lines of a key that find the second half open */
#define RATELIMIT_FIRST_EACH 10u /* seconds until one of them is there again */

struct ratelimit_slot {
	uint64_t key;
	uint64_t full_ns;    /* when the whole burst is there again */
	uint64_t first_ns;   /* the same of RATELIMIT_FIRST */
	uint64_t suppressed; /* since ratelimit_told() */
	uint64_t since_ns;   /* of the first of them; 0: the slot is free */
	uint32_t next;	     /* in its chain, or among the free: index + 1; 0: the last */
	uint32_t pad;
};

struct ratelimit_bounds {
	uint32_t per_second, burst;	    /* both at least 1 */
	uint32_t all_per_second, all_burst; /* all_per_second 0: no bound */
};

struct ratelimit {
	struct ratelimit_bounds bounds;
	uint64_t all_full_ns;
	uint64_t seed;
	uint32_t used;	  /* slots that were ever given out */
	uint32_t free;	  /* of those: index + 1; 0: none */
	uint32_t hand;	  /* where the next slot to be taken away is looked for */
	uint32_t pending; /* slots that have counted something */
	uint32_t head[RATELIMIT_BUCKETS]; /* index + 1 */
	struct ratelimit_slot slots[RATELIMIT_SLOTS];
};

/* NULL: no memory.  850 KiB at most, of which what is used is there; free() it. */
struct ratelimit *ratelimit_new(struct ratelimit_bounds bounds);

/* n: what the line stands for, usually 1.  true: write it.  false: n is counted.  *ret_slot (may be NULL): index of the
 * key's slot, for what the caller keeps beside it, such as the last one that was not written. */
bool ratelimit_take(struct ratelimit *l, uint64_t key, uint64_t n, uint64_t now_ns, size_t *ret_slot);

/* Goes through the slots from *at (begin with 0): the next one that has counted something, with *at behind it; NULL: no
 * more.  Frees slots whose keys are quiet. */
struct ratelimit_slot *ratelimit_next(struct ratelimit *l, uint64_t now_ns, size_t *at);
/* There is a line for all that s has counted: it begins again. */
void ratelimit_told(struct ratelimit *l, struct ratelimit_slot *s);
