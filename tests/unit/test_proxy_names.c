/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proxy_names.c - the pool of synthetic addresses, over a table in place of the kernel's map
 * and with a clock of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "proxy/names.h"

#define S 1000000000ull
#define T0 (100000 * S)

/* --------------------------------------------------------------------------------- the "map" -- */

struct slot {
	UT_hash_handle hh;
	uint32_t key;
	struct osh_name v;
};

struct table {
	struct slot *slots;
	unsigned puts, gets;
	int put_error, del_error;
};

static struct slot *slot_of(struct table *t, uint32_t key)
{
	struct slot *s;

	HASH_FIND(hh, t->slots, &key, sizeof(key), s);
	return s;
}

static int t_next(void *arg, const uint32_t *key, uint32_t *ret)
{
	struct table *t = arg;
	struct slot *s = key ? slot_of(t, *key) : NULL;

	s = s ? s->hh.next : t->slots;
	if (!s)
		return -ENOENT;
	*ret = s->key;
	return 0;
}

static int t_get(void *arg, uint32_t key, struct osh_name *ret)
{
	struct table *t = arg;
	struct slot *s = slot_of(t, key);

	t->gets++;
	if (!s)
		return -ENOENT;
	*ret = s->v;
	return 0;
}

static int t_put(void *arg, uint32_t key, const struct osh_name *v)
{
	struct table *t = arg;
	struct slot *s = slot_of(t, key);

	t->puts++;
	if (t->put_error)
		return t->put_error;
	if (!s) {
		s = calloc(1, sizeof(*s));
		assert_non_null(s);
		s->key = key;
		HASH_ADD(hh, t->slots, key, sizeof(key), s);
	}
	s->v = *v;
	return 0;
}

static int t_del(void *arg, uint32_t key)
{
	struct table *t = arg;
	struct slot *s = slot_of(t, key);

	if (t->del_error)
		return t->del_error;
	if (!s)
		return -ENOENT;
	HASH_DEL(t->slots, s);
	free(s);
	return 0;
}

static const struct resolver_maps_ops ops = {t_next, t_get, t_put, t_del, NULL};

static void table_done(struct table *t)
{
	struct slot *s, *next;

	HASH_ITER(hh, t->slots, s, next) {
		HASH_DEL(t->slots, s);
		free(s);
	}
}

static struct names *pool(struct table *t, uint64_t now)
{
	struct names *p = NULL;

	assert_int_equal(names_new((struct resolver_maps){&ops, t}, now, &p), 0);
	return p;
}

static struct name *get(struct names *p, const char *s, enum names_tier tier, uint64_t now)
{
	struct name *n = NULL;
	int r = names_get(p, slice_str(s), tier, now, &n);

	if (r < 0)
		assert_int_equal(r, -ENOSPC);
	return r < 0 ? NULL : n;
}

static struct name *get_i(struct names *p, const char *prefix, unsigned i, enum names_tier tier,
			  uint64_t now)
{
	char s[64];

	snprintf(s, sizeof(s), "%s%u.example", prefix, i);
	return get(p, s, tier, now);
}

/* How many new names get in before the pool says no; at most max. */
static unsigned fill(struct names *p, const char *prefix, unsigned max, enum names_tier tier,
		     uint64_t now)
{
	unsigned i = 0;

	while (i < max && get_i(p, prefix, i, tier, now))
		i++;
	return i;
}

static bool known(struct names *p, const char *s)
{
	return names_find(p, slice_str(s));
}

/* ---------------------------------------------------------------------------------- the pool -- */

static void test_address_is_stable_and_well_formed(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *a = get(p, "api.example", NAMES_ALLOWED, T0);
	uint32_t addr = ntohl(a->addr);

	(void)state;
	assert_int_equal(addr & OSH_SYNTHETIC_MASK, OSH_SYNTHETIC_NET);
	assert_int_not_equal(addr & 255, 0);
	assert_int_not_equal(addr & 255, 255);
	assert_ptr_equal(get(p, "api.example", NAMES_UNKNOWN, T0 + S), a);
	assert_ptr_equal(names_find_addr(p, a->addr), a);
	assert_int_equal(a->tier, NAMES_ALLOWED); /* never lowered by asking */
	assert_string_equal(slot_of(&t, a->addr)->v.name, "api.example");
	assert_int_equal(slot_of(&t, a->addr)->v.len, 11);
	assert_int_equal(slot_of(&t, a->addr)->v.npins, 0);
	assert_int_equal(slot_of(&t, a->addr)->v.expires, 0);
	assert_int_equal(t.puts, 1);
	names_free(p);
	table_done(&t);
}

static void test_many_addresses_differ(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	assert_int_equal(fill(p, "n", 10000, NAMES_ALLOWED, T0), NAMES_MAX);
	assert_int_equal(HASH_COUNT(t.slots), NAMES_MAX); /* one key each: all differ */
	for (struct slot *s = t.slots; s; s = s->hh.next) {
		uint32_t a = ntohl(s->key);

		assert_int_equal(a & OSH_SYNTHETIC_MASK, OSH_SYNTHETIC_NET);
		assert_true((a & 255) != 0 && (a & 255) != 255);
	}
	names_free(p);
	table_done(&t);
}

static void test_bad_names(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n;
	char text[254];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(names_get(p, (struct slice){0}, NAMES_ALLOWED, T0, &n), -EINVAL);
	assert_int_equal(names_get(p, (struct slice){(uint8_t *)text, 254}, NAMES_ALLOWED, T0, &n),
			 -EINVAL);
	assert_int_equal(names_get(p, (struct slice){(uint8_t *)text, 253}, NAMES_ALLOWED, T0, &n),
			 0);
	names_free(p);
	table_done(&t);
}

static void test_map_full(void **state)
{
	struct table t = {.put_error = -E2BIG};
	struct names *p = pool(&t, T0);
	struct name *n;

	(void)state;
	assert_int_equal(names_get(p, SLICE_LIT("a"), NAMES_ALLOWED, T0, &n), -E2BIG);
	assert_false(known(p, "a"));
	assert_int_equal(names_count(p, NAMES_ALLOWED), 0);
	t.put_error = 0;
	assert_non_null(get(p, "a", NAMES_ALLOWED, T0));
	names_free(p);
	table_done(&t);
}

/* ---------------------------------------------------------------------------------- eviction -- */

static void test_flood_of_unknown_names(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	assert_non_null(get(p, "api.example", NAMES_ALLOWED, T0));
	assert_int_equal(fill(p, "flood", 20000, NAMES_UNKNOWN, T0), NAMES_MAX / 2);
	assert_int_equal(HASH_COUNT(t.slots), NAMES_MAX / 2 + 1);
	/* Names of the policy still get in, in their own shares. */
	assert_int_equal(fill(p, "policy", 20000, NAMES_POLICY, T0), NAMES_MAX / 4);
	assert_int_equal(fill(p, "mine", 20000, NAMES_ALLOWED, T0), NAMES_MAX / 4 - 1);
	assert_non_null(get(p, "api.example", NAMES_ALLOWED, T0));
	assert_null(get(p, "more.example", NAMES_ALLOWED, T0));
	assert_int_equal(HASH_COUNT(t.slots), NAMES_MAX);
	names_free(p);
	table_done(&t);
}

static void test_ten_minutes(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	fill(p, "flood", 20000, NAMES_UNKNOWN, T0);
	assert_null(get(p, "new.example", NAMES_UNKNOWN, T0 + 600 * S - 1));
	assert_non_null(get(p, "new.example", NAMES_UNKNOWN, T0 + 600 * S));
	assert_false(known(p, "flood0.example"));
	assert_true(known(p, "flood1.example"));
	assert_int_equal(HASH_COUNT(t.slots), NAMES_MAX / 2);
	names_free(p);
	table_done(&t);
}

static void test_least_recently_used_goes_first(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	uint64_t now = T0 + 700 * S;

	(void)state;
	fill(p, "flood", 20000, NAMES_UNKNOWN, T0);
	get(p, "flood0.example", NAMES_UNKNOWN, T0 + 50 * S);
	get(p, "flood2.example", NAMES_UNKNOWN, T0 + 51 * S);
	assert_non_null(get(p, "new1.example", NAMES_UNKNOWN, now));
	assert_non_null(get(p, "new2.example", NAMES_UNKNOWN, now));
	assert_true(known(p, "flood0.example"));
	assert_false(known(p, "flood1.example"));
	assert_true(known(p, "flood2.example"));
	assert_false(known(p, "flood3.example"));
	assert_true(known(p, "flood4.example"));
	names_free(p);
	table_done(&t);
}

static void test_connects_count_as_use(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	fill(p, "flood", 20000, NAMES_UNKNOWN, T0);
	slot_of(&t, names_find(p, SLICE_LIT("flood0.example"))->addr)->v.used = T0 + 500 * S;
	assert_non_null(get(p, "new.example", NAMES_UNKNOWN, T0 + 650 * S));
	assert_true(known(p, "flood0.example"));
	assert_false(known(p, "flood1.example"));
	/* Ten minutes after that connect it may go like any other. */
	for (unsigned i = 0; i < NAMES_MAX / 2; i++)
		get_i(p, "again", i, NAMES_UNKNOWN, T0 + 1100 * S);
	assert_false(known(p, "flood0.example"));
	names_free(p);
	table_done(&t);
}

static void test_held_names_stay(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n;
	uint32_t addr;

	(void)state;
	fill(p, "flood", 20000, NAMES_UNKNOWN, T0);
	n = names_find(p, SLICE_LIT("flood0.example"));
	addr = n->addr;
	names_hold(n);
	names_hold(n);
	names_release(n, T0);
	assert_non_null(get(p, "new.example", NAMES_UNKNOWN, T0 + 5000 * S));
	assert_ptr_equal(names_find_addr(p, addr), n);
	names_release(n, T0 + 5000 * S);
	names_release(n, T0 + 5000 * S); /* one too many is harmless */
	assert_int_equal(n->holds, 0);
	fill(p, "x", 20000, NAMES_UNKNOWN, T0 + 5300 * S);
	assert_ptr_equal(names_find_addr(p, addr), n); /* quiet for five minutes only */
	fill(p, "y", 20000, NAMES_UNKNOWN, T0 + 6000 * S);
	assert_null(names_find(p, SLICE_LIT("flood0.example")));
	names_free(p);
	table_done(&t);
}

static void test_only_held_names(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	fill(p, "flood", 20000, NAMES_UNKNOWN, T0);
	for (struct name *n = names_next(p, NULL); n; n = names_next(p, n))
		names_hold(n);
	assert_null(get(p, "new.example", NAMES_UNKNOWN, T0 + 5000 * S));
	assert_non_null(get(p, "new.example", NAMES_POLICY, T0 + 5000 * S));
	names_free(p);
	table_done(&t);
}

static void test_lower_tiers_go_first(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	fill(p, "mine", 1000, NAMES_ALLOWED, T0);
	fill(p, "policy", 1000, NAMES_POLICY, T0);
	fill(p, "flood", 4000, NAMES_UNKNOWN, T0);
	fill(p, "rest", 20000, NAMES_ALLOWED, T0);
	assert_non_null(get(p, "new.example", NAMES_ALLOWED, T0 + 700 * S));
	assert_true(known(p, "mine0.example"));
	assert_true(known(p, "policy0.example"));
	assert_false(known(p, "flood0.example"));
	/* Unknown names never push out the others, even old ones. */
	fill(p, "more", 20000, NAMES_UNKNOWN, T0 + 5000 * S);
	assert_true(known(p, "mine0.example"));
	assert_true(known(p, "policy0.example"));
	assert_int_equal(names_count(p, NAMES_POLICY), 1000);
	names_free(p);
	table_done(&t);
}

static void test_no_address_twice_within_ten_minutes(void **state)
{
	/* A day of a name server's nightmare: who had which address until when. */
	struct {
		uint64_t until;
		char name[64];
	} *had = calloc(1u << 17, sizeof(*had));
	struct table t = {0};
	struct names *p = pool(&t, T0);
	unsigned seed = 7;

	(void)state;
	assert_non_null(had);
	for (unsigned i = 0; i < 60000; i++) {
		uint64_t now = T0 + i * (S / 5);
		char text[64];
		struct name *n;
		uint32_t slot;

		snprintf(text, sizeof(text), "n%u.example", (unsigned)rand_r(&seed) % 30000);
		n = get(p, text, (enum names_tier)(rand_r(&seed) % 3), now);
		if (!n)
			continue;
		slot = ntohl(n->addr) & ~OSH_SYNTHETIC_MASK;
		if (strcmp(had[slot].name, text) != 0) {
			assert_true(!had[slot].name[0] || now - had[slot].until >= NAMES_QUIET_NS);
			strcpy(had[slot].name, text);
		}
		had[slot].until = now;
		if (i % 100 == 0)
			names_reap(p);
	}
	assert_true(HASH_COUNT(t.slots) <= NAMES_MAX);
	names_free(p);
	table_done(&t);
	free(had);
}

static void test_map_keeps_what_cannot_be_removed(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	fill(p, "flood", 20000, NAMES_UNKNOWN, T0);
	t.del_error = -EPERM;
	assert_null(get(p, "new.example", NAMES_UNKNOWN, T0 + 700 * S));
	assert_true(known(p, "flood0.example"));
	names_free(p);
	table_done(&t);
}

static void test_evicted_names_stay_readable_until_reaped(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct slice s;

	(void)state;
	fill(p, "flood", 20000, NAMES_UNKNOWN, T0);
	s = name_slice(names_find(p, SLICE_LIT("flood0.example")));
	assert_non_null(get(p, "new.example", NAMES_UNKNOWN, T0 + 700 * S));
	assert_true(slice_eq_str(s, "flood0.example"));
	names_reap(p);
	names_free(p);
	table_done(&t);
}

/* A name comes back to its old address when that is free. */
static void test_same_address_again(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	uint32_t addr = get(p, "api.example", NAMES_UNKNOWN, T0)->addr;

	(void)state;
	names_free(p);
	table_done(&t);
	t = (struct table){0};
	p = pool(&t, T0);
	assert_int_equal(get(p, "api.example", NAMES_UNKNOWN, T0)->addr, addr);
	names_free(p);
	table_done(&t);
}

/* -------------------------------------------------------------------------------------- pins -- */

static struct resolved addrs4(unsigned from, unsigned n)
{
	struct resolved r = {.n = n};

	for (unsigned i = 0; i < n; i++) {
		r.a[i].family = 4;
		r.a[i].addr[0] = 93;
		r.a[i].addr[3] = (uint8_t)(from + i);
	}
	return r;
}

static void add6(struct resolved *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		r->a[r->n].family = 6;
		r->a[r->n].addr[0] = 0x20;
		r->a[r->n++].addr[15] = (uint8_t)i;
	}
}

static void expect_pins(struct table *t, const struct name *n, const char *want)
{
	const struct osh_name *v = &slot_of(t, n->addr)->v;
	char got[200] = "";

	assert_int_equal(v->npins, n->npins);
	assert_int_equal(v->expires, n->expires);
	for (uint32_t i = 0; i < v->npins; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%u/%u", i ? " " : "",
			 v->pins[i].family, v->pins[i].addr[v->pins[i].family == 4 ? 3 : 15]);
	assert_string_equal(got, want);
	for (uint32_t i = v->npins ? v->npins : 1; i < OSH_PIN_MAX; i++)
		assert_int_equal(v->pins[i].family, 0);
	/* Refused: the address stands in the first place. */
	if (v->npins == 0)
		assert_int_equal(v->pins[0].family != 0, v->expires != 0);
}

static void test_pins_are_written(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "api.example", NAMES_ALLOWED, T0);
	struct resolved r = addrs4(1, 2);
	struct slot *s = slot_of(&t, n->addr);

	(void)state;
	add6(&r, 1);
	s->v.cache[1].gen = 5; /* the kernel's notes */
	s->v.cache[1].word = 77;
	s->v.used = T0 + 3;
	s->v.rotate = 9;
	assert_int_equal(names_pin(p, n, &r, T0 + 660 * S, T0), 0);
	expect_pins(&t, n, "4/1 4/2 6/0");
	assert_int_equal(s->v.expires, T0 + 660 * S);
	assert_int_equal(s->v.cache[1].gen, 0); /* emptied: never half a copy */
	assert_int_equal(s->v.used, T0 + 3);
	assert_int_equal(s->v.rotate, 9);
	assert_string_equal(s->v.name, "api.example");
	names_free(p);
	table_done(&t);
}

static void test_same_answer_costs_no_write(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "api.example", NAMES_ALLOWED, T0);
	struct resolved r = addrs4(1, 2);
	unsigned before;

	(void)state;
	assert_int_equal(names_pin(p, n, &r, T0 + 660 * S, T0), 0);
	before = t.puts;
	assert_int_equal(names_pin(p, n, &r, T0 + 660 * S, T0), 0);
	assert_int_equal(t.puts, before);
	names_free(p);
	table_done(&t);
}

static void test_rotating_answers_merge(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "cdn.example", NAMES_ALLOWED, T0);
	struct resolved a = addrs4(1, 2), b = addrs4(3, 2), c = addrs4(2, 2);

	(void)state;
	names_pin(p, n, &a, T0 + 600 * S, T0);
	slot_of(&t, n->addr)->v.pins[1].failed = 42; /* 93.0.0.2 */
	names_pin(p, n, &b, T0 + 700 * S, T0 + 100 * S);
	expect_pins(&t, n, "4/3 4/4 4/1 4/2");
	names_pin(p, n, &c, T0 + 800 * S, T0 + 200 * S);
	expect_pins(&t, n, "4/2 4/3 4/4 4/1");
	assert_int_equal(slot_of(&t, n->addr)->v.pins[0].failed, 42); /* goes with the address */
	/* 93.0.0.1 has not been seen since T0: gone after its own time. */
	a = addrs4(9, 1);
	names_pin(p, n, &a, T0 + 1200 * S, T0 + 600 * S);
	expect_pins(&t, n, "4/9 4/2 4/3 4/4");
	a = addrs4(8, 1);
	names_pin(p, n, &a, T0 + 1400 * S, T0 + 750 * S);
	expect_pins(&t, n, "4/8 4/9 4/2 4/3"); /* 3 was renewed with c */
	names_free(p);
	table_done(&t);
}

static void test_pins_are_bounded(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "cdn.example", NAMES_ALLOWED, T0);
	struct resolved a = addrs4(1, 12);

	(void)state;
	add6(&a, 4);
	names_pin(p, n, &a, T0 + 600 * S, T0);
	expect_pins(&t, n, "4/1 4/2 4/3 4/4 4/5 4/6 6/0 6/1");
	a = addrs4(20, 9);
	names_pin(p, n, &a, T0 + 601 * S, T0);
	expect_pins(&t, n, "4/20 4/21 4/22 4/23 4/24 4/25 4/26 4/27");
	a = addrs4(30, 1);
	names_pin(p, n, &a, T0 + 602 * S, T0);
	expect_pins(&t, n, "4/30 4/20 4/21 4/22 4/23 4/24 4/25 4/26");
	a.n = 0;
	add6(&a, 12);
	names_pin(p, n, &a, T0 + 603 * S, T0);
	expect_pins(&t, n, "6/0 6/1 6/2 6/3 6/4 6/5 6/6 6/7");
	names_free(p);
	table_done(&t);
}

static void test_repeated_addresses(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "cdn.example", NAMES_ALLOWED, T0);
	struct resolved a = addrs4(1, 1);

	(void)state;
	for (a.n = 1; a.n < 16; a.n++)
		a.a[a.n] = a.a[0];
	names_pin(p, n, &a, T0 + 600 * S, T0);
	expect_pins(&t, n, "4/1");
	names_free(p);
	table_done(&t);
}

static void test_refuse_and_unpin(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "cdn.example", NAMES_ALLOWED, T0);
	struct resolved a = addrs4(1, 3);

	(void)state;
	names_pin(p, n, &a, T0 + 600 * S, T0);
	assert_int_equal(names_refuse(p, n, &a.a[2], T0 + 800 * S), 0);
	expect_pins(&t, n, "");
	assert_int_equal(n->expires, T0 + 800 * S);
	assert_memory_equal(slot_of(&t, n->addr)->v.pins[0].addr, a.a[2].addr, 16);
	assert_int_equal(names_unpin(p, n), 0);
	expect_pins(&t, n, "");
	assert_int_equal(n->expires, 0);
	/* Pins of before do not come back with the next answer. */
	a = addrs4(7, 1);
	names_pin(p, n, &a, T0 + 700 * S, T0 + 2 * S);
	expect_pins(&t, n, "4/7");
	names_free(p);
	table_done(&t);
}

static bool keep_even(void *arg, struct slice name, uint8_t family, const uint8_t addr[16])
{
	assert_true(slice_eq_str(name, "cdn.example"));
	assert_int_equal(family, 4);
	return !arg && addr[3] % 2 == 0;
}

static void test_filter(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "cdn.example", NAMES_ALLOWED, T0);
	struct resolved a = addrs4(1, 5);

	(void)state;
	names_pin(p, n, &a, T0 + 600 * S, T0);
	assert_int_equal(names_filter(p, n, keep_even, NULL), 0);
	expect_pins(&t, n, "4/2 4/4");
	assert_int_equal(n->expires, T0 + 600 * S);
	assert_int_equal(names_filter(p, n, keep_even, n), 0);
	expect_pins(&t, n, "");
	assert_int_equal(n->expires, T0 + 600 * S); /* refused, not "never resolved" */
	assert_int_equal(slot_of(&t, n->addr)->v.pins[0].addr[3], 2);
	names_free(p);
	table_done(&t);
}

static void test_pin_when_the_map_lost_the_name(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "cdn.example", NAMES_ALLOWED, T0);
	struct resolved a = addrs4(1, 1);

	(void)state;
	t_del(&t, n->addr);
	assert_int_equal(names_pin(p, n, &a, T0 + 600 * S, T0), 0);
	expect_pins(&t, n, "4/1");
	assert_string_equal(slot_of(&t, n->addr)->v.name, "cdn.example");
	t.put_error = -EPERM;
	a = addrs4(2, 1);
	assert_int_equal(names_pin(p, n, &a, T0 + 601 * S, T0), -EPERM);
	expect_pins(&t, n, "4/1");
	names_free(p);
	table_done(&t);
}

/* --------------------------------------------------------------------------- restart, reload -- */

static void test_rebuild(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);
	struct name *n = get(p, "api.example", NAMES_ALLOWED, T0);
	struct resolved a = addrs4(1, 2);
	uint32_t addr = n->addr, other;

	(void)state;
	names_pin(p, n, &a, T0 + 660 * S, T0);
	other = get(p, "other.example", NAMES_UNKNOWN, T0)->addr;
	names_free(p);

	p = pool(&t, T0 + 60 * S);
	n = names_find(p, SLICE_LIT("api.example"));
	assert_non_null(n);
	assert_int_equal(n->addr, addr);
	assert_int_equal(n->npins, 2);
	assert_int_equal(n->tier, NAMES_POLICY);
	assert_int_equal(n->last, T0 + 60 * S); /* not known better */
	assert_int_equal(names_find_addr(p, other)->len, 13);
	a = addrs4(5, 1);
	names_pin(p, n, &a, T0 + 700 * S, T0 + 61 * S);
	expect_pins(&t, n, "4/5 4/1 4/2");
	names_free(p);
	table_done(&t);
}

static void plant(struct table *t, uint32_t host_order, const char *name, uint32_t len)
{
	struct osh_name v = {.len = len};

	strncpy(v.name, name, sizeof(v.name) - 1);
	t_put(t, htonl(host_order), &v);
}

static void test_rebuild_removes_nonsense(void **state)
{
	struct table t = {0};
	struct names *p;

	(void)state;
	plant(&t, 0xc6120001, "good.example", 12);
	plant(&t, 0xc6120002, "good.example", 12); /* twice */
	plant(&t, 0x0a000001, "out.example", 11);
	plant(&t, 0xc6140001, "out2.example", 12);
	plant(&t, 0xc6120100, "net.example", 11);
	plant(&t, 0xc61201ff, "broadcast.example", 17);
	plant(&t, 0xc6120003, "", 0);
	plant(&t, 0xc6120004, "short.example", 200);
	plant(&t, 0xc6120005, "huge.example", 0xffffffff);
	plant(&t, 0xc6120006, "Upper.example", 13);
	plant(&t, 0xc6120007, "sp ace.example", 14);
	plant(&t, 0xc6120008, "pins.example", 12);
	slot_of(&t, htonl(0xc6120008))->v.npins = 9;
	p = pool(&t, T0);
	assert_int_equal(HASH_COUNT(t.slots), 1);
	assert_true(known(p, "good.example"));
	names_free(p);
	table_done(&t);
}

static void test_rebuild_of_a_full_map(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	fill(p, "n", 20000, NAMES_ALLOWED, T0);
	names_free(p);
	plant(&t, 0xc613fffe, "one-more.example", 16);
	p = pool(&t, T0 + S);
	assert_int_equal(HASH_COUNT(t.slots), NAMES_MAX);
	assert_null(get(p, "new.example", NAMES_ALLOWED, T0 + 2 * S));
	assert_non_null(get(p, "n1.example", NAMES_ALLOWED, T0 + 2 * S));
	names_free(p);
	table_done(&t);
}

static bool allowed_mine(void *arg, struct slice name)
{
	(void)arg;
	return name.n > 4 && memcmp(name.p, "mine", 4) == 0;
}

static void test_retier(void **state)
{
	struct table t = {0};
	struct names *p = pool(&t, T0);

	(void)state;
	get(p, "mine1.example", NAMES_UNKNOWN, T0 + S);
	get(p, "mine2.example", NAMES_POLICY, T0);
	get(p, "mine3.example", NAMES_ALLOWED, T0);
	get(p, "gone1.example", NAMES_ALLOWED, T0 + 3 * S);
	get(p, "gone2.example", NAMES_POLICY, T0 + 2 * S);
	get(p, "gone3.example", NAMES_UNKNOWN, T0 + 4 * S);
	names_retier(p, allowed_mine, NULL);
	assert_int_equal(names_count(p, NAMES_UNKNOWN), 3);
	assert_int_equal(names_count(p, NAMES_POLICY), 2);
	assert_int_equal(names_count(p, NAMES_ALLOWED), 1);
	assert_int_equal(names_find(p, SLICE_LIT("mine3.example"))->tier, NAMES_ALLOWED);
	/* Order by use survives: gone2 is the oldest of the unknown. */
	fill(p, "flood", NAMES_MAX / 2 - 3, NAMES_UNKNOWN, T0 + 5 * S);
	get(p, "new.example", NAMES_UNKNOWN, T0 + 700 * S);
	assert_false(known(p, "gone2.example"));
	assert_true(known(p, "gone1.example"));
	names_free(p);
	table_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_is_stable_and_well_formed),
		cmocka_unit_test(test_many_addresses_differ),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_map_full),
		cmocka_unit_test(test_flood_of_unknown_names),
		cmocka_unit_test(test_ten_minutes),
		cmocka_unit_test(test_least_recently_used_goes_first),
		cmocka_unit_test(test_connects_count_as_use),
		cmocka_unit_test(test_held_names_stay),
		cmocka_unit_test(test_only_held_names),
		cmocka_unit_test(test_lower_tiers_go_first),
		cmocka_unit_test(test_no_address_twice_within_ten_minutes),
		cmocka_unit_test(test_map_keeps_what_cannot_be_removed),
		cmocka_unit_test(test_evicted_names_stay_readable_until_reaped),
		cmocka_unit_test(test_same_address_again),
		cmocka_unit_test(test_pins_are_written),
		cmocka_unit_test(test_same_answer_costs_no_write),
		cmocka_unit_test(test_rotating_answers_merge),
		cmocka_unit_test(test_pins_are_bounded),
		cmocka_unit_test(test_repeated_addresses),
		cmocka_unit_test(test_refuse_and_unpin),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_pin_when_the_map_lost_the_name),
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_rebuild_removes_nonsense),
		cmocka_unit_test(test_rebuild_of_a_full_map),
		cmocka_unit_test(test_retier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
