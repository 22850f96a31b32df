/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - memory that is freed all at once, growing arrays, and one hash table. */
#include "policy/arena.h"

#include <stdalign.h>

#define CHUNK_MIN (64u << 10)
#define CHUNK_MAX (4u << 20)

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	alignas(max_align_t) uint8_t data[];
};

static struct arena_chunk *chunk_new(struct arena *a, size_t n)
{
	size_t size = a->head && a->head->size < CHUNK_MAX ? a->head->size * 2 : CHUNK_MIN;
	struct arena_chunk *c;

	if (a->head && a->head->size >= CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < n)
		size = n;
	c = calloc(1, sizeof(*c) + size);
	if (!c)
		return NULL;
	c->size = size;
	c->next = a->head;
	a->head = c;
	return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	struct arena_chunk *c = a->head;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + align - 1) & ~(align - 1);
	if (!c || c->size - c->used < n)
		c = chunk_new(a, n);
	if (!c)
		return NULL;
	p = c->data + c->used;
	c->used += n;
	return p;
}

char *arena_copy(struct arena *a, struct slice s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (p && s.n)
		memcpy(p, s.p, s.n);
	return p;
}

void arena_done(struct arena *a)
{
	while (a->head) {
		struct arena_chunk *next = a->head->next;

		free(a->head);
		a->head = next;
	}
}

int array_extend(void *p, size_t *cap, size_t need, size_t elem)
{
	size_t n = *cap ? *cap : 16;
	void *q;

	while (n < need)
		n += n / 2 + 16;
	if (n > SIZE_MAX / 2 / elem)
		return -ENOMEM;
	q = realloc(*(void **)p, n * elem);
	if (!q)
		return -ENOMEM;
	*(void **)p = q;
	*cap = n;
	return 0;
}

/* Multiply-and-fold over eight bytes at a time.  Inputs come from the policy's author, and a table
 * that degenerates only makes the author's own compile slow; the caller bounds the work. */
static uint64_t mix(uint64_t h, uint64_t w)
{
	__uint128_t m = (__uint128_t)(h ^ w) * 0x9e3779b97f4a7c15ull;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t hash_bytes(uint64_t seed, const void *p, size_t n)
{
	const uint8_t *b = p;
	/* the seed is mixed first: it may vary in the same bits as the text */
	uint64_t h = mix(seed ^ n * 0xff51afd7ed558ccdull, 0x2545f4914f6cdd1dull), w;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&w, b, 8);
		h = mix(h, w);
	}
	w = 0;
	if (n)
		memcpy(&w, b, n);
	return mix(h ^ 0xc4ceb9fe1a85ec53ull, w);
}

static int hmap_resize(struct hmap *m)
{
	size_t cap = m->cap ? m->cap * 2 : 64;
	struct hmap_slot *slot = calloc(cap, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		size_t at = m->slot[i].hash & (cap - 1);

		if (!m->slot[i].item)
			continue;
		while (slot[at].item)
			at = (at + 1) & (cap - 1);
		slot[at] = m->slot[i];
	}
	free(m->slot);
	m->slot = slot;
	m->cap = cap;
	return 0;
}

int hmap_intern(struct hmap *m, uint64_t hash, hmap_eq eq, const void *ctx, uint32_t fresh,
		uint32_t *ret)
{
	uint32_t h = (uint32_t)(hash ^ hash >> 32);
	size_t at;

	if (m->n * 3 >= m->cap * 2) {
		int r = hmap_resize(m);

		if (r < 0)
			return r;
	}
	for (at = h & (m->cap - 1); m->slot[at].item; at = (at + 1) & (m->cap - 1)) {
		if (m->slot[at].hash == h && eq(ctx, m->slot[at].item - 1)) {
			*ret = m->slot[at].item - 1;
			return 1;
		}
	}
	m->slot[at] = (struct hmap_slot){fresh + 1, h};
	m->n++;
	*ret = fresh;
	return 0;
}

void hmap_done(struct hmap *m)
{
	free(m->slot);
	*m = (struct hmap){0};
}
