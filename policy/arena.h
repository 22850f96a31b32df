/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that is freed all at once, growing arrays, and one hash table.
 *
 * A policy of 100,000 rules is some millions of small objects with one lifetime.  The hash table
 * maps a hash to indices of the caller's own array and holds eight bytes an entry, which per-item
 * handles of a general library (56 bytes) would not do for millions of automaton states.
 */
#pragma once

#include "policy/base.h"

struct arena_chunk;
struct arena {
	struct arena_chunk *head;
};

/* Zeroed, aligned for any type, valid until arena_done().  NULL: out of memory. */
void *arena_alloc(struct arena *a, size_t n);
/* NUL-terminated copy. */
char *arena_copy(struct arena *a, struct slice s);
void arena_done(struct arena *a);

int array_extend(void *p, size_t *cap, size_t need, size_t elem);
/* Makes room for `need` elements of `elem` bytes in the malloced array *p.  -ENOMEM. */
static inline int array_grow(void *p, size_t *cap, size_t need, size_t elem)
{
	return need <= *cap ? 0 : array_extend(p, cap, need, elem);
}

struct hmap {
	struct hmap_slot {
		uint32_t item; /* index + 1; 0: free */
		uint32_t hash; /* spares most looks at items that are not it, and rehashing */
	} *slot;
	size_t cap, n;
};

uint64_t hash_bytes(uint64_t seed, const void *p, size_t n);

/* Is item number i the one looked for? */
typedef bool (*hmap_eq)(const void *ctx, uint32_t i);
/* Returns 1 and the index of an item with this hash that eq() accepts, or enters `fresh` and returns
 * 0, or -ENOMEM. */
int hmap_intern(struct hmap *m, uint64_t hash, hmap_eq eq, const void *ctx, uint32_t fresh,
		uint32_t *ret);
void hmap_done(struct hmap *m);
