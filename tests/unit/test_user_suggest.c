/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_suggest.c - denials out of the log: what counts, what is passed over, and its bounds. */
#include "user/suggest_log.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEAD(level) "{\"time\":\"2026-01-01T00:00:0%d.000000Z\",\"level\":\"" level "\",\"sandbox\":\"s\","
#define WHO                                                                                        \
	"\"dst_port\":443,\"binary\":\"/usr/bin/curl\",\"policy\":\"-\",\"pid\":1,\"uid\":1,"       \
	"\"ancestors\":\"/bin/bash,/usr/bin/x\",\"generation\":1"
#define CONNECT(reason)                                                                            \
	HEAD("warn") "\"kind\":\"connect\",\"action\":\"deny\",\"dst_host\":\"a.b\"," WHO             \
		     ",\"deny_reason\":\"" reason "\"}"
#define REQUEST(decision, target, reason)                                                          \
	HEAD("warn") "\"kind\":\"request\",\"l7_decision\":\"" decision                              \
		     "\",\"dst_host\":\"a.b\",\"l7_action\":\"POST\",\"l7_target\":\"" target         \
		     "\",\"l7_deny_reason\":\"" reason "\"," WHO "}"

static void add(struct denials *d, const char *fmt, int second)
{
	char line[8192];

	snprintf(line, sizeof(line), fmt, second);
	assert_int_equal(denials_add_line(d, (struct slice){(uint8_t *)line, strlen(line)}), 0);
}

static void test_taken(void **state)
{
	struct denials d = {0};

	(void)state;
	add(&d, CONNECT("no matching network policy"), 3);
	add(&d, CONNECT("no matching network policy"), 5);
	add(&d, CONNECT("no matching network policy"), 4);
	add(&d, CONNECT("binary not in policy x"), 1);
	add(&d, REQUEST("deny", "/a", "POST /a not permitted by policy"), 1);
	add(&d, REQUEST("audit", "/b", "POST /b not permitted by policy"), 1);
	add(&d, REQUEST("deny", "/c", "POST /c blocked by deny rule"), 1);
	assert_int_equal(d.n, 4);
	assert_int_equal(d.v[0].count, 4); /* the reason is asked of the policy in force */
	assert_int_equal(d.v[0].last_ns - d.v[0].first_ns, 4000000000ull);
	assert_false(d.v[0].request);
	assert_true(slice_eq_str(d.v[0].host, "a.b"));
	assert_true(slice_eq_str(d.v[0].binary, "/usr/bin/curl"));
	assert_int_equal(d.v[0].port, 443);
	assert_int_equal(d.v[0].nanc, 2);
	assert_true(slice_eq_str(d.v[0].anc[1], "/usr/bin/x"));
	assert_true(d.v[1].request && !d.v[1].why_not);
	assert_true(slice_eq_str(d.v[1].path, "/a"));
	assert_true(d.v[2].audit);
	assert_null(d.v[3].why_not);
	denials_done(&d);
}

static void test_never(void **state)
{
	struct denials d = {0};

	(void)state;
	add(&d, CONNECT("tainted: LD_PRELOAD"), 1);
	add(&d, CONNECT("no identity"), 1);
	add(&d, CONNECT("x no matching network policy"), 1);
	add(&d, REQUEST("deny", "/a", "Host x differs from the connection's host"), 1);
	add(&d, REQUEST("deny", "/a", "not permitted by policy, or is it"), 1);
	assert_int_equal(d.n, 5);
	for (size_t i = 0; i < d.n; i++)
		assert_non_null(d.v[i].why_not);
	assert_string_equal(d.v[0].why_not, "tainted: LD_PRELOAD");
	denials_done(&d);
}

static void test_passed_over(void **state)
{
	struct denials d = {0};

	(void)state;
	add(&d, HEAD("info") "\"kind\":\"connect\",\"action\":\"deny\"}", 1);
	add(&d, HEAD("warn") "\"kind\":\"connect\",\"action\":\"allow\"}", 1);
	add(&d, HEAD("warn") "\"kind\":\"connect\",\"action\":\"revoke\",\"dst_host\":\"a.b\"," WHO "}", 1);
	add(&d, HEAD("warn") "\"kind\":\"log\",\"message\":\"action=deny\"}", 1);
	add(&d, REQUEST("error", "/a", "x not permitted by policy"), 1);
	assert_int_equal(d.n, 0);
	assert_int_equal(d.odd, 0);
	add(&d, "not a line %d", 1);
	add(&d, HEAD("warn") "\"kind\":\"connect\"", 1);
	add(&d, HEAD("warn") "\"action\":\"deny\",\"action\":\"deny\"}", 1);
	add(&d, HEAD("warn") "\"action\":\"deny\",\"dst_host\":\"a\",\"dst_port\":99999,\"binary\":\"/x\"}", 1);
	add(&d, HEAD("warn") "\"kind\":\"request\",\"l7_decision\":\"deny\",\"l7_action\":\"GET\","
			     "\"l7_target\":\"x\",\"l7_deny_reason\":\"GET x not permitted by policy\","
			     "\"dst_host\":\"a\",\"dst_port\":1,\"binary\":\"/x\"}", 1);
	assert_int_equal(d.n, 0);
	assert_int_equal(d.odd, 5);
	denials_done(&d);
}

static void test_bytes(void **state)
{
	struct denials d = {0};
	char target[4200];

	(void)state;
	add(&d, HEAD("warn") "\"action\":\"deny\",\"dst_host\":\"a\",\"dst_port\":1,\"binary\":\"/x\\\\x0ay\\\\x5cx0a\\\"\","
			     "\"deny_reason\":\"no matching network policy\"}", 1);
	assert_int_equal(d.n, 1);
	assert_true(slice_eq_str(d.v[0].binary, "/x\ny\\x0a\""));
	memset(target, 'a', sizeof(target));
	target[0] = '/';
	target[4096] = 0;
	{
		char line[8192];

		snprintf(line, sizeof(line),
			 HEAD("warn") "\"kind\":\"request\",\"l7_decision\":\"deny\",\"dst_host\":\"a.b\","
				      "\"l7_action\":\"POST\",\"l7_target\":\"%s\",\"l7_deny_reason\":"
				      "\"x not permitted by policy\"," WHO "}",
			 1, target);
		assert_int_equal(denials_add_line(&d, (struct slice){(uint8_t *)line, strlen(line)}), 0);
	}
	assert_int_equal(d.n, 2);
	assert_non_null(strstr(d.v[1].why_not, "cut"));
	denials_done(&d);
}

static void test_bounded(void **state)
{
	struct denials d = {0};
	char line[1024];

	(void)state;
	for (int i = 0; i < 2 * DENIALS_MAX; i++) {
		snprintf(line, sizeof(line),
			 HEAD("warn") "\"action\":\"deny\",\"dst_host\":\"h%d\",\"dst_port\":1,"
				      "\"binary\":\"/x\",\"deny_reason\":\"no matching network policy\"}",
			 1, i % (DENIALS_MAX + 500));
		assert_int_equal(denials_add_line(&d, (struct slice){(uint8_t *)line, strlen(line)}), 0);
	}
	assert_int_equal(d.n, DENIALS_MAX);
	assert_int_equal(d.dropped, 500);
	assert_int_equal(d.v[0].count, 2);
	denials_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken), cmocka_unit_test(test_never),
		cmocka_unit_test(test_passed_over), cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
