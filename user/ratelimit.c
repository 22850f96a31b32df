/* SPDX-License-Identifier: Apache-2.0 */
/* ratelimit.c - token buckets with counts (ratelimit.h).  A bucket is the one time at which it will be full again. */
#include "user/ratelimit.h"

#include <sys/random.h>

#define SHARED (RATELIMIT_SLOTS - 1)
#define LOOKED_AT 64 /* slots, for one that can be taken away */
#define NS_PER_S 1000000000ull

_Static_assert((RATELIMIT_BUCKETS & (RATELIMIT_BUCKETS - 1)) == 0, "a power of two");

struct ratelimit *ratelimit_new(struct ratelimit_bounds bounds)
{
	struct ratelimit *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->bounds = bounds;
	if (getrandom(&l->seed, sizeof(l->seed), GRND_NONBLOCK) != sizeof(l->seed))
		l->seed = (uintptr_t)l;
	return l;
}

static uint32_t *chain_of(struct ratelimit *l, uint64_t key)
{
	uint64_t h = (key ^ l->seed) * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	return &l->head[h >> 32 & (RATELIMIT_BUCKETS - 1)];
}

static void release(struct ratelimit *l, struct ratelimit_slot *s)
{
	uint32_t index = (uint32_t)(s - l->slots), *p = chain_of(l, s->key);

	s->since_ns = 0;
	if (index == SHARED)
		return; /* in no chain */
	while (*p && *p != index + 1)
		p = &l->slots[*p - 1].next;
	*p = s->next;
	s->next = l->free;
	l->free = index + 1;
}

/* A slot whose count nobody waits for: its key begins anew. */
static bool take_away(struct ratelimit *l)
{
	for (uint32_t i = 0; i < LOOKED_AT; i++) {
		struct ratelimit_slot *s = &l->slots[l->hand++ % SHARED];

		if (s->since_ns && !s->suppressed) {
			release(l, s);
			return true;
		}
	}
	return false;
}

static struct ratelimit_slot *slot_new(struct ratelimit *l, uint64_t key, uint64_t now_ns)
{
	struct ratelimit_slot *s = &l->slots[SHARED];
	uint32_t *head = chain_of(l, key);

	if (l->free || (l->used == SHARED && take_away(l))) {
		s = &l->slots[l->free - 1];
		l->free = s->next;
	} else if (l->used < SHARED) {
		s = &l->slots[l->used++];
	} else if (s->since_ns) {
		return s;
	}
	*s = (struct ratelimit_slot){.key = key, .since_ns = now_ns ? now_ns : 1};
	if (s != &l->slots[SHARED]) {
		s->next = *head;
		*head = (uint32_t)(s - l->slots) + 1;
	}
	return s;
}

static struct ratelimit_slot *slot_of(struct ratelimit *l, uint64_t key, uint64_t now_ns)
{
	for (uint32_t i = *chain_of(l, key); i; i = l->slots[i - 1].next)
		if (l->slots[i - 1].key == key)
			return &l->slots[i - 1];
	return slot_new(l, key, now_ns);
}

/* Is there one more in a bucket that is full again at full, and gains one in step ns?  *ret: when it is without that one. */
static bool one_more(uint64_t full, uint64_t step, uint64_t burst, uint64_t now_ns, uint64_t *ret)
{
	*ret = (full > now_ns ? full : now_ns) + step;
	return *ret - now_ns <= step * burst;
}

bool ratelimit_take(struct ratelimit *l, uint64_t key, uint64_t n, uint64_t now_ns, size_t *ret_slot)
{
	struct ratelimit_slot *s = slot_of(l, key, now_ns);
	const struct ratelimit_bounds *b = &l->bounds;
	uint64_t full, first, all = l->all_full_ns;
	bool few = one_more(s->first_ns, RATELIMIT_FIRST_EACH * NS_PER_S, RATELIMIT_FIRST, now_ns, &first);

	if (ret_slot)
		*ret_slot = (size_t)(s - l->slots);
	if (one_more(s->full_ns, NS_PER_S / b->per_second, b->burst, now_ns, &full) &&
	    (!b->all_per_second ||
	     one_more(l->all_full_ns, NS_PER_S / b->all_per_second, few ? b->all_burst : b->all_burst / 2, now_ns, &all))) {
		s->full_ns = full;
		l->all_full_ns = all;
		if (few)
			s->first_ns = first;
		return true;
	}
	if (!s->suppressed) {
		s->since_ns = now_ns ? now_ns : 1;
		l->pending++;
	}
	s->suppressed += n;
	return false;
}

struct ratelimit_slot *ratelimit_next(struct ratelimit *l, uint64_t now_ns, size_t *at)
{
	while (*at < RATELIMIT_SLOTS) {
		struct ratelimit_slot *s;

		if (*at >= l->used && *at < SHARED)
			*at = SHARED;
		s = &l->slots[(*at)++];
		if (!s->since_ns)
			continue;
		if (s->suppressed)
			return s;
		if (s->full_ns <= now_ns && s->first_ns <= now_ns)
			release(l, s);
	}
	return NULL;
}

void ratelimit_told(struct ratelimit *l, struct ratelimit_slot *s)
{
	if (s->suppressed)
		l->pending--;
	s->suppressed = 0;
}
