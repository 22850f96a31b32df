/* SPDX-License-Identifier: Apache-2.0 */
/* Lines per source: the burst, the rate behind it, and that every refused line is counted exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/ratelimit.h"

#define S 1000000000ull

static uint64_t told(struct ratelimit *l, uint64_t now)
{
	struct ratelimit_slot s;
	uint64_t sum = 0;
	size_t at = 0;

	while (ratelimit_next(l, now, &at, &s))
		sum += s.suppressed;
	return sum;
}

static void burst_then_rate(void **state)
{
	struct ratelimit l = {.per_second = 10, .burst = 200};
	unsigned int written = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		written += ratelimit_take(&l, 7, 1, 5 * S, NULL);
	assert_int_equal(written, 200);
	assert_true(ratelimit_take(&l, 8, 1, 5 * S, NULL)); /* another key is not concerned */
	for (int i = 0; i < 1000; i++)
		written += ratelimit_take(&l, 7, 1, 6 * S, NULL);
	assert_int_equal(written, 210);
	assert_int_equal(told(&l, 6 * S), 2000 - 210);
	assert_int_equal(told(&l, 6 * S), 0);
}

static void what_a_line_stands_for(void **state)
{
	struct ratelimit l = {.per_second = 1, .burst = 1};
	struct ratelimit_slot s;
	size_t slot, at = 0;

	(void)state;
	assert_true(ratelimit_take(&l, 3, 50, S, NULL));
	assert_false(ratelimit_take(&l, 3, 50, S + 5, &slot));
	assert_false(ratelimit_take(&l, 3, 7, S + 9, &slot));
	assert_true(ratelimit_next(&l, S + 10, &at, &s));
	assert_int_equal(at, slot + 1);
	assert_int_equal(s.key, 3);
	assert_int_equal(s.suppressed, 57);
	assert_int_equal(s.since_ns, S + 5);
	assert_false(ratelimit_next(&l, S + 10, &at, &s));
}

/* More keys than slots: memory stays what it is, nothing is lost from the counts, quiet keys make room. */
static void many_keys(void **state)
{
	struct ratelimit l = {.per_second = 1, .burst = 2};
	uint64_t written = 0, asked = 0;

	(void)state;
	for (uint64_t k = 0; k < 10000; k++)
		for (int i = 0; i < 3; i++, asked++)
			written += ratelimit_take(&l, k, 1, S, NULL);
	assert_true(written >= 2);
	assert_int_equal(written + told(&l, S), asked);
	assert_int_equal(told(&l, 100 * S), 0);
	for (size_t i = 0; i < RATELIMIT_SLOTS; i++)
		assert_int_equal(l.slots[i].since_ns, 0);
	assert_true(ratelimit_take(&l, 99999, 1, 100 * S, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_then_rate),
		cmocka_unit_test(what_a_line_stands_for),
		cmocka_unit_test(many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
