/* SPDX-License-Identifier: Apache-2.0 */
/* ratelimit.c - token buckets with counts (ratelimit.h).  A bucket is the one time at which it will be full again. */
#include "user/ratelimit.h"

#define SHARED (RATELIMIT_SLOTS - 1)
#define PROBES 8 /* slots that a key looks at */
#define NS_PER_S 1000000000ull

static struct ratelimit_slot *slot_of(struct ratelimit *l, uint64_t key, uint64_t now_ns)
{
	uint64_t at = key * 0x9e3779b97f4a7c15ull >> 32;
	struct ratelimit_slot *free_slot = NULL;

	for (size_t i = 0; i < PROBES; i++) {
		struct ratelimit_slot *s = &l->slots[(at + i) % SHARED];

		if (s->since_ns && s->key == key)
			return s;
		if (!s->since_ns && !free_slot)
			free_slot = s;
	}
	if (!free_slot) {
		free_slot = &l->slots[SHARED];
		key = 0;
		if (free_slot->since_ns)
			return free_slot;
	}
	*free_slot = (struct ratelimit_slot){.key = key, .since_ns = now_ns ? now_ns : 1};
	return free_slot;
}

bool ratelimit_take(struct ratelimit *l, uint64_t key, uint64_t n, uint64_t now_ns, size_t *ret_slot)
{
	struct ratelimit_slot *s = slot_of(l, key, now_ns);
	uint64_t step = NS_PER_S / l->per_second, full = s->full_ns > now_ns ? s->full_ns : now_ns;

	if (ret_slot)
		*ret_slot = (size_t)(s - l->slots);
	if (full + step - now_ns <= step * l->burst) {
		s->full_ns = full + step;
		return true;
	}
	if (!s->suppressed)
		s->since_ns = now_ns ? now_ns : 1;
	s->suppressed += n;
	return false;
}

bool ratelimit_next(struct ratelimit *l, uint64_t now_ns, size_t *at, struct ratelimit_slot *ret)
{
	for (; *at < RATELIMIT_SLOTS; ++*at) {
		struct ratelimit_slot *s = &l->slots[*at];

		if (!s->since_ns)
			continue;
		if (s->suppressed) {
			*ret = *s;
			s->suppressed = 0;
			++*at;
			return true;
		}
		if (s->full_ns <= now_ns)
			s->since_ns = 0;
	}
	return false;
}
