/* SPDX-License-Identifier: Apache-2.0 */
/* Lines per source: the burst, the rate behind it, and that every refused line is counted exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/ratelimit.h"

#define S 1000000000ull

static struct ratelimit *make(uint32_t per_second, uint32_t burst, uint32_t all_per_second, uint32_t all_burst)
{
	struct ratelimit *l = ratelimit_new((struct ratelimit_bounds){per_second, burst, all_per_second, all_burst});

	assert_non_null(l);
	return l;
}

static uint64_t told(struct ratelimit *l, uint64_t now)
{
	struct ratelimit_slot *s;
	uint64_t sum = 0;
	size_t at = 0;

	while ((s = ratelimit_next(l, now, &at))) {
		sum += s->suppressed;
		ratelimit_told(l, s);
	}
	assert_int_equal(l->pending, 0);
	return sum;
}

static void burst_then_rate(void **state)
{
	struct ratelimit *l = make(10, 200, 0, 0);
	unsigned int written = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		written += ratelimit_take(l, 7, 1, 5 * S, NULL);
	assert_int_equal(written, 200);
	assert_true(ratelimit_take(l, 8, 1, 5 * S, NULL)); /* another key is not concerned */
	for (int i = 0; i < 1000; i++)
		written += ratelimit_take(l, 7, 1, 6 * S, NULL);
	assert_int_equal(written, 210);
	assert_int_equal(l->pending, 1);
	assert_int_equal(told(l, 6 * S), 2000 - 210);
	assert_int_equal(told(l, 6 * S), 0);
	free(l);
}

static void what_a_line_stands_for(void **state)
{
	struct ratelimit *l = make(1, 1, 0, 0);
	struct ratelimit_slot *s;
	size_t slot, at = 0;

	(void)state;
	assert_true(ratelimit_take(l, 3, 50, S, NULL));
	assert_false(ratelimit_take(l, 3, 50, S + 5, &slot));
	assert_false(ratelimit_take(l, 3, 7, S + 9, &slot));
	s = ratelimit_next(l, S + 10, &at);
	assert_non_null(s);
	assert_int_equal(at, slot + 1);
	assert_int_equal(s->key, 3);
	assert_int_equal(s->suppressed, 57);
	assert_int_equal(s->since_ns, S + 5);
	assert_null(ratelimit_next(l, S + 10, &at));
	free(l);
}

/* As many keys as there can be executables, all counting at once: none shares a slot, and each is handed out by name. */
static void each_key_has_its_count(void **state)
{
	const uint64_t keys = 16384 + 1; /* and those without an identity */
	struct ratelimit *l = make(1, 2, 0, 0);
	_cleanup_free_ uint8_t *seen = calloc(keys, 1);
	struct ratelimit_slot *s;
	size_t at = 0;

	(void)state;
	for (uint64_t k = 0; k < keys; k++)
		for (int i = 0; i < 3; i++)
			assert_int_equal(ratelimit_take(l, k, 1, S, NULL), i < 2);
	while ((s = ratelimit_next(l, S, &at))) {
		assert_true(s->key < keys && !seen[s->key]);
		seen[s->key] = 1;
		assert_int_equal(s->suppressed, 1);
		ratelimit_told(l, s);
	}
	for (uint64_t k = 0; k < keys; k++)
		assert_true(seen[k]);
	free(l);
}

/* More keys than slots: memory stays what it is, nothing is lost from the counts, quiet keys make room. */
static void many_keys(void **state)
{
	struct ratelimit *l = make(1, 2, 0, 0);
	uint64_t written = 0, asked = 0;
	size_t slot;

	(void)state;
	for (uint64_t k = 0; k < 3 * RATELIMIT_SLOTS; k++)
		for (int i = 0; i < 3; i++, asked++)
			written += ratelimit_take(l, k, 1, S, NULL);
	assert_true(written >= 2 * (RATELIMIT_SLOTS - 1));
	assert_int_equal(written + told(l, S), asked);
	assert_int_equal(told(l, 1000 * S), 0);
	for (size_t i = 0; i < RATELIMIT_SLOTS; i++)
		assert_int_equal(l->slots[i].since_ns, 0);
	for (size_t i = 0; i < RATELIMIT_BUCKETS; i++)
		assert_int_equal(l->head[i], 0);
	assert_true(ratelimit_take(l, 99999, 1, 1000 * S, NULL));
	/* Keys that wait for nothing, and are not quiet yet, give their slots to others. */
	for (uint64_t k = 0; k < 3 * RATELIMIT_SLOTS; k++) {
		assert_true(ratelimit_take(l, 200000 + k, 1, 1000 * S, &slot));
		assert_true(slot < RATELIMIT_SLOTS - 1);
	}
	free(l);
}

/* 600 keys flood: all together stay within their bound, and who comes with few lines finds room. */
static void all_together(void **state)
{
	struct ratelimit *l = make(50, 20000, 100, 40000);
	uint64_t written = 0, asked = 0, few = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		for (uint64_t k = 1; k <= 100; k++, asked++)
			written += ratelimit_take(l, k, 1, S, NULL);
	assert_true(written >= 20000 && written <= 20000 + 100 * RATELIMIT_FIRST);
	for (uint32_t i = 0; i < RATELIMIT_FIRST; i++)
		few += ratelimit_take(l, 7777, 1, S, NULL);
	assert_int_equal(few, RATELIMIT_FIRST);
	for (uint64_t k = 1000; k < 2000; k++)
		for (int i = 0; i < 100; i++, asked++)
			written += ratelimit_take(l, k, 1, S, NULL);
	assert_true(written + few <= 40000);
	for (uint64_t k = 1; k <= 600; k++)
		for (int i = 0; i < 100; i++, asked++)
			written += ratelimit_take(l, k, 1, 11 * S, NULL);
	assert_true(written + few <= 40000 + 10 * 100);
	assert_int_equal(written + told(l, 11 * S), asked);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_then_rate),
		cmocka_unit_test(what_a_line_stands_for),
		cmocka_unit_test(each_key_has_its_count),
		cmocka_unit_test(many_keys),
		cmocka_unit_test(all_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
