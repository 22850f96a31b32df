/* SPDX-License-Identifier: Apache-2.0 */
/* What --pids-max and --memory-max take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/cores.h"
#include "user/limits.h"

static void good(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(limit_parse("1", false, &v), 0);
	assert_true(v == 1);
	assert_int_equal(limit_parse("max", false, &v), 0);
	assert_true(v == LIMIT_NONE);
	assert_int_equal(limit_parse("64K", true, &v), 0);
	assert_true(v == 65536);
	assert_int_equal(limit_parse("512M", true, &v), 0);
	assert_true(v == 512ull << 20);
	assert_int_equal(limit_parse("3G", true, &v), 0);
	assert_true(v == 3ull << 30);
	assert_int_equal(limit_parse("1000000", true, &v), 0);
	assert_true(v == 1000000);
}

static void refused(void **state)
{
	static const char *const no[] = {"", "-1", "+1", " 1", "1 ", "x", "1x", "1MM", "0x10", "maximum"};
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_int_equal(limit_parse(no[i], true, &v), -EINVAL);
	assert_int_equal(limit_parse("1K", false, &v), -EINVAL);
	assert_int_equal(limit_parse("0", true, &v), -ERANGE);
	assert_int_equal(limit_parse("99999999999999999999", true, &v), -ERANGE);
	assert_int_equal(limit_parse("9223372036854775807G", true, &v), -ERANGE);
	assert_true(v == 77);
}

static void core_patterns(void **state)
{
	(void)state;
	assert_true(cores_pattern_socket("@/run/cores.socket\n"));
	assert_true(cores_pattern_socket("@@/run/cores.socket\n"));
	assert_false(cores_pattern_socket(""));
	assert_false(cores_pattern_socket("\n"));
	assert_false(cores_pattern_socket("core\n"));
	assert_false(cores_pattern_socket("core.%p@%h\n"));
	assert_false(cores_pattern_socket("|/usr/lib/handler %P\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(refused),
					   cmocka_unit_test(core_patterns)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
