/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_target.c - request targets and queries beyond the vectors: limits, absolute form,
 * decoding. */
#include "tests/unit/policy_fixture.h"

static enum target_error canon(const char *raw, struct canonical_target *t)
{
	return canonical_target(slice_str(raw), false, t);
}

static void absolute_form(void **state)
{
	struct canonical_target t;

	(void)state;
	assert_int_equal(canon("HTTP://Host:80/a?b", &t), TARGET_OK);
	assert_true(slice_eq_str(t.authority, "Host:80"));
	assert_string_equal(t.path, "/a");
	assert_true(slice_eq_str(t.query, "b"));
	assert_int_equal(canon("https://host?x=/y", &t), TARGET_OK);
	assert_string_equal(t.path, "/");
	assert_true(slice_eq_str(t.query, "x=/y"));
	assert_int_equal(canon("/plain", &t), TARGET_OK);
	assert_true(t.authority.n == 0 && t.query.p == NULL);
	assert_int_equal(canon("/plain?", &t), TARGET_OK);
	assert_true(t.query.n == 0 && t.query.p != NULL);
	assert_int_equal(canon("http:///a", &t), TARGET_NOT_ORIGIN_FORM);
	assert_int_equal(canon("ftp://host/a", &t), TARGET_NOT_ORIGIN_FORM);
	assert_int_equal(canon("host:443", &t), TARGET_NOT_ORIGIN_FORM);
	assert_int_equal(canon("", &t), TARGET_NOT_ORIGIN_FORM);
	assert_int_equal(canon("?x", &t), TARGET_NOT_ORIGIN_FORM);
}

static void bytes(void **state)
{
	struct canonical_target t;

	(void)state;
	assert_int_equal(canon("/a b", &t), TARGET_CONTROL_BYTE);
	assert_int_equal(canon("/a?b\tc", &t), TARGET_CONTROL_BYTE);
	assert_int_equal(canon("/a?b#c", &t), TARGET_FRAGMENT);
	assert_int_equal(canon("/caf\xc3\xa9", &t), TARGET_NON_ASCII);
	assert_int_equal(canonical_target((struct slice){(const uint8_t *)"/a\0b", 4}, true, &t),
			 TARGET_CONTROL_BYTE);
	assert_int_equal(canon("/%", &t), TARGET_BAD_PERCENT);
	assert_int_equal(canon("/%a", &t), TARGET_BAD_PERCENT);
	assert_int_equal(canon("/a\"<>\\^`{|}", &t), TARGET_OK);
	assert_string_equal(t.path, "/a%22%3C%3E%5C%5E%60%7B%7C%7D");
	assert_int_equal(canon("/a?%zz", &t), TARGET_OK); /* the query is judged when it is read */
	assert_string_equal(target_error_string(TARGET_RESIDUAL_DOTS), "residual_dots");
}

static void length(void **state)
{
	char raw[TARGET_PATH_MAX + 2];
	struct canonical_target t;

	(void)state;
	memset(raw, 'a', sizeof(raw));
	raw[0] = '/';
	assert_int_equal(
		canonical_target((struct slice){(uint8_t *)raw, TARGET_PATH_MAX}, false, &t),
		TARGET_OK);
	assert_int_equal(t.path_n, TARGET_PATH_MAX);
	assert_int_equal(
		canonical_target((struct slice){(uint8_t *)raw, TARGET_PATH_MAX + 1}, false, &t),
		TARGET_TOO_LONG);
	memset(raw + 1, '"', sizeof(raw) - 1); /* each grows to three bytes */
	assert_int_equal(canonical_target((struct slice){(uint8_t *)raw, 1366}, false, &t),
			 TARGET_OK);
	assert_int_equal(t.path_n, 4096);
	assert_int_equal(canonical_target((struct slice){(uint8_t *)raw, 1367}, false, &t),
			 TARGET_TOO_LONG);
}

static void dots(void **state)
{
	struct canonical_target t;

	(void)state;
	assert_int_equal(canon("/a/b/../../c/./d/..", &t), TARGET_OK);
	assert_string_equal(t.path, "/c/");
	assert_int_equal(canon("/a/...", &t), TARGET_OK);
	assert_string_equal(t.path, "/a/...");
	assert_int_equal(canon("/a;/b/;x/", &t), TARGET_OK);
	assert_string_equal(t.path, "/a/b/");
	assert_int_equal(canonical_target(SLICE_LIT("/a%2fb;%2f../c"), true, &t), TARGET_OK);
	assert_string_equal(t.path, "/a%2Fb/c");
	assert_int_equal(canonical_target(SLICE_LIT("/a%2f..;x"), true, &t), TARGET_RESIDUAL_DOTS);
	assert_int_equal(canonical_target(SLICE_LIT("/%2f"), true, &t), TARGET_OK);
	assert_string_equal(t.path, "/%2F");
}

static void queries(void **state)
{
	struct query_pair p[4];
	char buf[16];
	size_t n = 9;

	(void)state;
	assert_int_equal(parse_query(SLICE_LIT("a=1&&b=x+y%26&c&=d"), p, 4, &n, buf, sizeof(buf)),
			 0);
	assert_int_equal(n, 4);
	assert_true(slice_eq_str(p[0].name, "a") && slice_eq_str(p[0].value, "1"));
	assert_true(slice_eq_str(p[1].name, "b") && slice_eq_str(p[1].value, "x y&"));
	assert_true(slice_eq_str(p[2].name, "c") && p[2].value.n == 0);
	assert_true(p[3].name.n == 0 && slice_eq_str(p[3].value, "d"));
	assert_int_equal(parse_query(SLICE_LIT("a=b=c"), p, 4, &n, buf, sizeof(buf)), 0);
	assert_true(n == 1 && slice_eq_str(p[0].value, "b=c"));
	assert_int_equal(parse_query(SLICE_LIT(""), p, 4, &n, buf, sizeof(buf)), 0);
	assert_int_equal(n, 0);
	assert_int_equal(parse_query(SLICE_LIT("a&b&c&d&e"), p, 4, &n, buf, sizeof(buf)), -E2BIG);
	assert_int_equal(parse_query(SLICE_LIT("aaaaaaaaaaaaaaaaa"), p, 4, &n, buf, sizeof(buf)),
			 -E2BIG);
	assert_int_equal(parse_query(SLICE_LIT("a=%4"), p, 4, &n, buf, sizeof(buf)), -EBADMSG);
	assert_int_equal(parse_query(SLICE_LIT("a=%00"), p, 4, &n, buf, sizeof(buf)), -EBADMSG);
	assert_int_equal(parse_query(SLICE_LIT("%zz=a"), p, 4, &n, buf, sizeof(buf)), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absolute_form), cmocka_unit_test(bytes),
		cmocka_unit_test(length),	 cmocka_unit_test(dots),
		cmocka_unit_test(queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
