/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - the pool of synthetic addresses described in names.h.
 *
 * The map is the truth for the kernel; the entries here mirror what eviction, refresh and reload
 * need, so that most questions cost no system call.  A write replaces the whole value.  Between the
 * read and the write the kernel may have noted a connect; losing that note costs nothing (the
 * resolver's own query time stands beside it).  The kernel's per-generation cache is always written
 * empty, so that half a copy of it can never count.
 */
#include "proxy/names.h"

#include <arpa/inet.h>
#include <utlist.h>

#include "proxy/dns.h"

/* Hosts .1 to .254 of each of the 512 /24 networks of 198.18.0.0/15. */
#define SLOTS_PER_NET 254u
#define SLOTS (512u * SLOTS_PER_NET)
#define EVICT_TRIES 64	/* entries looked at for one new name */
#define REBUILD_MAX (2u * NAMES_MAX)
#define SECOND_FAMILY_MIN 2u /* pins kept for the other family when both have addresses */

struct names {
	struct resolver_maps maps;
	struct name *by_name, *by_addr; /* uthash heads */
	struct name *lru[NAMES_TIERS];	/* utlist heads */
	size_t count[NAMES_TIERS];
	struct name *evicted;  /* utlist heads: since the last names_reap(), */
	struct name *reapable; /* and before it */
};

/* Names of this tier and the ones below it together. */
static const size_t tier_limit[NAMES_TIERS] = {
	[NAMES_UNKNOWN] = NAMES_MAX / 2,
	[NAMES_POLICY] = NAMES_MAX / 4 * 3,
	[NAMES_ALLOWED] = NAMES_MAX,
};

/* --------------------------------------------------------------------------------- addresses -- */

static uint32_t slot_addr(uint32_t slot)
{
	return htonl(OSH_SYNTHETIC_NET + slot / SLOTS_PER_NET * 256 + 1 + slot % SLOTS_PER_NET);
}

static bool is_pool_addr(uint32_t addr)
{
	uint32_t a = ntohl(addr);

	return (a & OSH_SYNTHETIC_MASK) == OSH_SYNTHETIC_NET && (a & 255) != 0 && (a & 255) != 255;
}

/* FNV-1a: the same name finds the same address again after it was evicted, or the proxy
 * restarted.  Who makes names collide makes a search of at most NAMES_MAX steps longer, nothing
 * else. */
static uint32_t hash_slot(struct slice name)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * 0x100000001b3ull;
	return (uint32_t)((h ^ h >> 32) % SLOTS);
}

static uint32_t free_addr(struct names *p, struct slice name)
{
	uint32_t slot = hash_slot(name);

	/* Ends: there are many more slots than names. */
	while (names_find_addr(p, slot_addr(slot)))
		slot = (slot + 1) % SLOTS;
	return slot_addr(slot);
}

/* ------------------------------------------------------------------------------------- table -- */

struct name *names_find(struct names *p, struct slice name)
{
	struct name *n;

	HASH_FIND(by_name, p->by_name, name.p, (unsigned)name.n, n);
	return n;
}

struct name *names_find_addr(struct names *p, uint32_t addr)
{
	struct name *n;

	HASH_FIND(by_addr, p->by_addr, &addr, sizeof(addr), n);
	return n;
}

struct name *names_next(struct names *p, const struct name *n)
{
	return n ? n->by_name.next : p->by_name;
}

size_t names_count(const struct names *p, enum names_tier tier)
{
	return p->count[tier];
}

static void link_tier(struct names *p, struct name *n, enum names_tier tier)
{
	n->tier = tier;
	DL_APPEND(p->lru[tier], n);
	p->count[tier]++;
}

static void unlink_tier(struct names *p, struct name *n)
{
	DL_DELETE(p->lru[n->tier], n);
	p->count[n->tier]--;
}

static struct name *insert(struct names *p, struct slice text, uint32_t addr, enum names_tier tier,
			   uint64_t now)
{
	struct name *n = calloc(1, sizeof(*n) + text.n + 1);

	if (!n)
		return NULL;
	memcpy(n->text, text.p, text.n);
	n->len = text.n;
	n->addr = addr;
	n->last = now;
	HASH_ADD_KEYPTR(by_name, p->by_name, n->text, (unsigned)n->len, n);
	HASH_ADD(by_addr, p->by_addr, addr, sizeof(n->addr), n);
	link_tier(p, n, tier);
	return n;
}

static void take_out(struct names *p, struct name *n)
{
	HASH_DELETE(by_name, p->by_name, n);
	HASH_DELETE(by_addr, p->by_addr, n);
	unlink_tier(p, n);
}

/* ---------------------------------------------------------------------------------- eviction -- */

uint64_t names_connected(struct names *p, const struct name *n)
{
	struct osh_name v;

	return p->maps.ops->get(p->maps.arg, n->addr, &v) == 0 ? v.used : 0;
}

static bool quiet(const struct name *n, uint64_t now)
{
	return n->last <= now && now - n->last >= NAMES_QUIET_NS;
}

/* The list is in order of what the resolver saw; what only the kernel saw is found out here, and
 * moves a name back to the end. */
static struct name *find_evictable(struct names *p, enum names_tier tier, uint64_t now)
{
	for (int i = 0; i < EVICT_TRIES; i++) {
		struct name *n = p->lru[tier];

		if (!n || !quiet(n, now))
			return NULL; /* those behind it are younger */
		if (n->holds || n->refresh) {
			n->last = now;
		} else {
			uint64_t used = names_connected(p, n);

			if (used > n->last)
				n->last = used;
			if (quiet(n, now))
				return n;
		}
		unlink_tier(p, n);
		link_tier(p, n, tier);
	}
	return NULL;
}

static bool evict_one(struct names *p, enum names_tier highest, uint64_t now)
{
	for (unsigned tier = 0; tier <= highest; tier++) {
		struct name *n = find_evictable(p, tier, now);
		int r;

		if (!n)
			continue;
		r = p->maps.ops->del(p->maps.arg, n->addr);
		if (r < 0 && r != -ENOENT)
			return false; /* the kernel would still know it */
		take_out(p, n);
		DL_APPEND(p->evicted, n);
		return true;
	}
	return false;
}

static bool has_room(const struct names *p, enum names_tier tier)
{
	size_t below = 0, all = 0;

	for (unsigned t = 0; t < NAMES_TIERS; t++) {
		all += p->count[t];
		if (t <= tier)
			below += p->count[t];
	}
	return below < tier_limit[tier] && all < NAMES_MAX;
}

void names_reap(struct names *p)
{
	struct name *n, *next;

	DL_FOREACH_SAFE(p->reapable, n, next)
		free(n);
	p->reapable = p->evicted;
	p->evicted = NULL;
}

/* ------------------------------------------------------------------------------------ asking -- */

static void touch(struct names *p, struct name *n, enum names_tier tier, uint64_t now)
{
	n->last = now;
	unlink_tier(p, n);
	link_tier(p, n, tier > n->tier ? tier : n->tier);
}

/* A value without pins. */
static void blank_value(const struct name *n, struct osh_name *ret)
{
	*ret = (struct osh_name){.len = (uint32_t)n->len};
	memcpy(ret->name, n->text, n->len);
}

int names_get(struct names *p, struct slice name, enum names_tier tier, uint64_t now,
	      struct name **ret)
{
	struct name *n = names_find(p, name);
	struct osh_name v;
	int r;

	if (n) {
		touch(p, n, tier, now);
		*ret = n;
		return 0;
	}
	if (name.n == 0 || name.n > DNS_NAME_TEXT_MAX)
		return -EINVAL;
	if (!has_room(p, tier) && !evict_one(p, tier, now))
		return -ENOSPC;
	n = insert(p, name, free_addr(p, name), tier, now);
	if (!n)
		return -ENOMEM;
	blank_value(n, &v);
	r = p->maps.ops->put(p->maps.arg, n->addr, &v);
	if (r < 0) {
		take_out(p, n);
		free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void names_hold(struct name *n)
{
	n->holds++;
}

void names_release(struct name *n, uint64_t now)
{
	if (n->holds)
		n->holds--;
	n->last = now;
}

/* -------------------------------------------------------------------------------------- pins -- */

static int load(struct names *p, const struct name *n, struct osh_name *ret)
{
	int r = p->maps.ops->get(p->maps.arg, n->addr, ret);

	if (r == -ENOENT) {
		blank_value(n, ret);
		r = 0;
	}
	if (ret->npins > OSH_PIN_MAX)
		ret->npins = 0;
	return r;
}

static int store(struct names *p, struct name *n, struct osh_name *v)
{
	bool refused = v->npins == 0 && v->expires != 0; /* pins[0] tells for what */
	int r;

	memset(v->cache, 0, sizeof(v->cache));
	for (uint32_t i = refused ? 1 : v->npins; i < OSH_PIN_MAX; i++)
		v->pins[i] = (struct osh_pin){0};
	r = p->maps.ops->put(p->maps.arg, n->addr, v);
	if (r < 0)
		return r;
	n->npins = v->npins;
	n->expires = v->expires;
	return 0;
}

static const struct osh_pin *find_pin(const struct osh_name *v, uint8_t family,
				      const uint8_t addr[16])
{
	for (uint32_t i = 0; i < v->npins; i++)
		if (v->pins[i].family == family && memcmp(v->pins[i].addr, addr, 16) == 0)
			return &v->pins[i];
	return NULL;
}

struct pin_list {
	uint32_t n;
	struct osh_pin pin[OSH_PIN_MAX];
	uint64_t until[OSH_PIN_MAX];
};

static void list_add(struct pin_list *l, const struct osh_pin *pin, uint64_t until)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->pin[i].family == pin->family &&
		    memcmp(l->pin[i].addr, pin->addr, sizeof(pin->addr)) == 0)
			return;
	if (l->n == OSH_PIN_MAX)
		return;
	l->pin[l->n] = *pin;
	l->until[l->n++] = until;
}

/* At most max addresses of one family from a fresh answer; what the kernel noted about a pin
 * goes with it. */
static void list_add_family(struct pin_list *l, const struct osh_name *old,
			    const struct resolved *res, uint8_t family, uint32_t max,
			    uint64_t until)
{
	for (size_t i = 0; i < res->n && l->n < max; i++) {
		struct osh_pin pin = {.family = res->a[i].family};
		const struct osh_pin *known;

		if (pin.family != family)
			continue;
		memcpy(pin.addr, res->a[i].addr, sizeof(pin.addr));
		known = find_pin(old, pin.family, pin.addr);
		if (known)
			pin.failed = known->failed;
		list_add(l, &pin, until);
	}
}

static void list_fresh(struct pin_list *l, const struct osh_name *old, const struct resolved *res,
		       uint64_t until)
{
	uint32_t n6 = 0;

	for (size_t i = 0; i < res->n; i++)
		n6 += res->a[i].family == 6;
	list_add_family(l, old, res, 4,
			OSH_PIN_MAX - (n6 < SECOND_FAMILY_MIN ? n6 : SECOND_FAMILY_MIN), until);
	list_add_family(l, old, res, 6, OSH_PIN_MAX, until);
}

int names_pin(struct names *p, struct name *n, const struct resolved *res, uint64_t until,
	      uint64_t now)
{
	struct pin_list l = {0};
	struct osh_name v;
	int r;

	if (n->npins && n->expires == until)
		return 0; /* the same answer, from the cache */
	r = load(p, n, &v);
	if (r < 0)
		return r;
	list_fresh(&l, &v, res, until);
	for (uint32_t i = 0; i < v.npins; i++)
		if (n->pin_until[i] > now)
			list_add(&l, &v.pins[i], n->pin_until[i]);
	v.npins = l.n;
	v.expires = until;
	memcpy(v.pins, l.pin, sizeof(v.pins));
	r = store(p, n, &v);
	if (r == 0)
		memcpy(n->pin_until, l.until, sizeof(n->pin_until));
	return r;
}

int names_unpin(struct names *p, struct name *n)
{
	struct osh_name v;
	int r = load(p, n, &v);

	if (r < 0)
		return r;
	v.npins = 0;
	v.expires = 0;
	return store(p, n, &v);
}

int names_refuse(struct names *p, struct name *n, const struct resolved_addr *bad, uint64_t until)
{
	struct osh_name v;
	int r = load(p, n, &v);

	if (r < 0)
		return r;
	v.npins = 0;
	v.expires = until;
	v.pins[0] = (struct osh_pin){.family = bad->family};
	memcpy(v.pins[0].addr, bad->addr, sizeof(bad->addr));
	return store(p, n, &v);
}

int names_filter(struct names *p, struct name *n, names_keep_fn keep, void *arg)
{
	struct osh_name v;
	uint32_t kept = 0;
	int r = load(p, n, &v);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < v.npins; i++) {
		if (!keep(arg, name_slice(n), v.pins[i].family, v.pins[i].addr))
			continue;
		n->pin_until[kept] = n->pin_until[i];
		v.pins[kept++] = v.pins[i];
	}
	if (kept == v.npins)
		return 0;
	v.npins = kept; /* 0: pins[0] and expires still stand, that is: refused */
	return store(p, n, &v);
}

/* --------------------------------------------------------------------------- reload, restart -- */

static int compare_last(const struct name *a, const struct name *b)
{
	return (a->last > b->last) - (a->last < b->last);
}

void names_retier(struct names *p, names_allowed_fn allowed, void *arg)
{
	for (struct name *n = p->by_name; n; n = n->by_name.next) {
		enum names_tier tier = n->tier;

		if (!allowed(arg, name_slice(n)))
			tier = NAMES_UNKNOWN;
		else if (tier == NAMES_UNKNOWN)
			tier = NAMES_POLICY;
		if (tier == n->tier)
			continue;
		unlink_tier(p, n);
		link_tier(p, n, tier);
	}
	for (unsigned t = 0; t < NAMES_TIERS; t++)
		DL_SORT(p->lru[t], compare_last);
}

static bool value_ok(const struct osh_name *v)
{
	char folded[DNS_NAME_TEXT_MAX + 1];
	struct slice text = {(const uint8_t *)v->name, v->len};

	if (v->len == 0 || v->len > DNS_NAME_TEXT_MAX || v->npins > OSH_PIN_MAX)
		return false;
	return dns_name_fold(text, folded) == v->len && memcmp(folded, v->name, v->len) == 0;
}

static int adopt(struct names *p, uint32_t addr, uint64_t now)
{
	struct osh_name v;
	struct slice text;
	struct name *n;
	int r = p->maps.ops->get(p->maps.arg, addr, &v);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	text = (struct slice){(const uint8_t *)v.name, v.len};
	if (!is_pool_addr(addr) || !value_ok(&v) || names_find(p, text) ||
	    HASH_CNT(by_name, p->by_name) >= NAMES_MAX) {
		r = p->maps.ops->del(p->maps.arg, addr);
		return r == -ENOENT ? 0 : r;
	}
	/* When it was last asked for is not known: now. */
	n = insert(p, text, addr, NAMES_POLICY, now);
	if (!n)
		return -ENOMEM;
	n->npins = v.npins;
	n->expires = v.expires;
	n->refresh_at = v.npins ? now : 0;
	for (uint32_t i = 0; i < v.npins; i++)
		n->pin_until[i] = v.expires;
	return 0;
}

static int rebuild(struct names *p, uint64_t now)
{
	_cleanup_free_ uint32_t *keys = calloc(REBUILD_MAX, sizeof(*keys));
	const uint32_t *last = NULL;
	size_t n = 0;
	int r = 0;

	if (!keys)
		return -ENOMEM;
	/* All keys first: removing some while walking would start the walk again. */
	while (n < REBUILD_MAX && (r = p->maps.ops->next(p->maps.arg, last, &keys[n])) == 0)
		last = &keys[n++];
	if (r < 0 && r != -ENOENT)
		return r;
	for (size_t i = 0; i < n; i++) {
		r = adopt(p, keys[i], now);
		if (r < 0)
			return r;
	}
	return 0;
}

int names_new(struct resolver_maps maps, uint64_t now, struct names **ret)
{
	struct names *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->maps = maps;
	r = rebuild(p, now);
	if (r < 0) {
		names_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct names *names_free(struct names *p)
{
	struct name *n, *next;

	if (!p)
		return NULL;
	HASH_ITER(by_name, p->by_name, n, next) {
		take_out(p, n);
		free(n);
	}
	names_reap(p);
	names_reap(p);
	free(p);
	return NULL;
}
