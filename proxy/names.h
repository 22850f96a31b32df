/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - the pool of synthetic addresses: which DNS name has which, and which real addresses are
 * pinned to it.
 *
 * The kernel reads the pool as map `names`; this is its only writer.  The life of a name:
 *
 *   asked for the first time   gets the address that its hash points at, or the next free one
 *   asked, connected to, held  stays
 *   quiet for ten minutes      may be evicted, oldest first, when room is needed; then its address
 *                              is free again
 *
 * Since nothing younger is evicted, an address never means two names within ten minutes of its last
 * use, over a restart of the proxy too.  When nothing may be evicted, no new name gets in
 * (-ENOSPC).
 *
 * Flooding.  Names come in three tiers: no block allows the name for anybody; some block does; the
 * asking process may reach it.  A lower tier can fill only a part of the pool and never evicts a
 * higher one, so random names that the policy does not know leave room for those it does.
 *
 * Times are nanoseconds of the boot clock and come from the caller.  Names are folded
 * (dns_name_fold()).
 */
#pragma once

#include "proxy/resolved.h"
#include "proxy/resolver_maps.h"

#include <uthash.h>

#define NAMES_MAX 8192u
#define NAMES_QUIET_NS (600ull * 1000 * 1000 * 1000)

enum names_tier {
	NAMES_UNKNOWN,	/* no block of the policy allows it: at most half of the pool */
	NAMES_POLICY,	/* some block does: these two at most three quarters */
	NAMES_ALLOWED,	/* some block does for a process that asked */
	NAMES_TIERS,
};

struct name {
	/* The pool's; others read. */
	UT_hash_handle by_name, by_addr;
	struct name *prev, *next;	/* of its tier, least recently used first */
	uint32_t addr;			/* synthetic, network order */
	enum names_tier tier;
	uint32_t holds;
	uint64_t last;			/* last query, or last connect if seen */
	uint64_t expires;		/* as in the map: see struct osh_name */
	uint32_t npins;
	uint64_t pin_until[OSH_PIN_MAX]; /* when each pin goes if it is not seen again */
	/* The resolver's. */
	uint64_t refresh_at;		/* when to look it up again if it is in use; 0: never */
	struct refresh *refresh;	/* that look-up, under way: not evicted */
	bool has_asker;
	struct osh_ident asker;		/* who last asked and may natively: refreshes act for it */
	size_t len;
	char text[];			/* NUL-terminated */
};

static inline struct slice name_slice(const struct name *n)
{
	return (struct slice){(const uint8_t *)n->text, n->len};
}

struct names;

/* Takes over what the map holds, all in tier NAMES_POLICY until names_retier(); entries that
 * make no sense are removed from it. */
int names_new(struct resolver_maps maps, uint64_t now, struct names **ret);
struct names *names_free(struct names *p); /* takes NULL, returns NULL; leaves the map alone */

/* The name's entry, made if need be, and counts as a use; raises its tier, never lowers it.
 * -ENOSPC: no room; else what the map said. */
int names_get(struct names *p, struct slice name, enum names_tier tier, uint64_t now,
	      struct name **ret);
struct name *names_find(struct names *p, struct slice name);   /* NULL: none; not a use */
struct name *names_find_addr(struct names *p, uint32_t addr); /* network order */
struct name *names_next(struct names *p, const struct name *n); /* NULL: first; any order */
size_t names_count(const struct names *p, enum names_tier tier);

void names_hold(struct name *n);
void names_release(struct name *n, uint64_t now);

/* When the kernel last saw a connect to it, 0: never (reads the map). */
uint64_t names_connected(struct names *p, const struct name *n);

/* Pins res (n > 0, all of it checked by the caller) until `until`, newest first, and keeps older
 * pins that have not run out as far as there is room.  The map is written when this returns. */
int names_pin(struct names *p, struct name *n, const struct resolved *res, uint64_t until,
	      uint64_t now);
/* Takes all pins out, as if the name had never been resolved. */
int names_unpin(struct names *p, struct name *n);
/* Takes all pins out and leaves bad as the address for which the kernel denies, until `until`
 * (then the name has expired). */
int names_refuse(struct names *p, struct name *n, const struct resolved_addr *bad, uint64_t until);
/* Keeps the pins for which keep() says so; none left: refused for the first of them. */
typedef bool (*names_keep_fn)(void *arg, struct slice name, uint8_t family, const uint8_t addr[16]);
int names_filter(struct names *p, struct name *n, names_keep_fn keep, void *arg);

/* Sorts all names into tiers again: allowed() says whether some block allows the name. */
typedef bool (*names_allowed_fn)(void *arg, struct slice name);
void names_retier(struct names *p, names_allowed_fn allowed, void *arg);

/* Frees what was evicted before the last call of this (one call each tick of the resolver), so
 * that a name handed out in this turn of the loop does not vanish under the caller. */
void names_reap(struct names *p);
