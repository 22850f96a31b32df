/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_cases.c - reading files of cases: every field, every error with its place. */
#include "policy/cases.h"
#include "tests/unit/policy_fixture.h"

static const char ALL[] = "cases:\n"
			  "  - name: everything\n"
			  "    binary: /usr/bin/env\n"
			  "    script: /opt/x.sh\n"
			  "    ancestors: [/bin/bash, /usr/bin/node]\n"
			  "    tainted: true\n"
			  "    host: API.github.com\n"
			  "    port: 443\n"
			  "    method: GET\n"
			  "    path: /a?b=c\n"
			  "    query: {k: [v, w], n: 7}\n"
			  "    expect: audit\n"
			  "    policy: some\n"
			  "  - {name: little, binary: /b, host: '::1', port: 1, expect: deny}\n";

static void all_fields(void **state)
{
	_cleanup_(policy_cases_done) struct policy_cases c = {0};
	struct policy_diags d = {0};
	const struct policy_case *v;

	(void)state;
	assert_int_equal(policy_cases_parse(slice_str(ALL), &d, &c), 0);
	assert_int_equal(c.n, 2);
	v = &c.v[0];
	assert_true(slice_eq_str(v->name, "everything"));
	assert_int_equal(v->line, 2);
	assert_true(slice_eq_str(v->ask.id.exe, "/usr/bin/env") && slice_eq_str(v->ask.id.script, "/opt/x.sh"));
	assert_int_equal(v->ask.id.nanc, 2);
	assert_true(slice_eq_str(v->ask.id.anc[1], "/usr/bin/node"));
	assert_true(v->ask.id.tainted);
	assert_int_equal(v->ask.port, 443);
	assert_true(slice_eq_str(v->ask.method, "GET") && slice_eq_str(v->ask.target, "/a?b=c"));
	assert_int_equal(v->ask.nquery, 3);
	assert_true(slice_eq_str(v->ask.query[1].name, "k") && slice_eq_str(v->ask.query[1].value, "w"));
	assert_true(slice_eq_str(v->ask.query[2].value, "7"));
	assert_int_equal(v->expect, EXPLAIN_AUDIT);
	assert_true(slice_eq_str(v->block, "some"));
	assert_int_equal(c.v[1].expect, EXPLAIN_DENY);
	assert_int_equal(c.v[1].ask.method.n, 0);
}

/* What policy_diags_print() would print. */
static char *errors_of(const char *text)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	struct policy_cases c = {0};
	size_t n;
	char *s = NULL;
	FILE *f = open_memstream(&s, &n);

	assert_int_equal(policy_cases_parse(slice_str(text), &d, &c), -EINVAL);
	policy_diags_print(&d, "f", f);
	fclose(f);
	return s;
}

static void errors(void **state)
{
	static const struct {
		const char *text, *errors;
	} v[] = {
		{"", "f: empty: a file of cases begins with 'cases:'\n"},
		{"[]", "f:1:1: a file of cases must be a map, not a list\n"},
		{"case: []", "f:1:1: unknown field 'case' (did you mean 'cases'?)\n"
			     "f:1:7: 'cases' is an empty list\n"},
		{"cases: [{}]", "f:1:9: 'binary' is missing\nf:1:9: 'expect' is missing\nf:1:9: 'host' is missing\n"
				"f:1:9: 'name' is missing\nf:1:9: 'port' is missing\n"},
		{"cases:\n  - {name: x, binary: b, host: 'a b', port: 0, expect: alow, metod: GET}",
		 "f:2:23: 'binary' must be an absolute path, not 'b'\n"
		 "f:2:32: host 'a b' is neither a name nor an address\n"
		 "f:2:45: 'port' must be 1 to 65535, not 0\n"
		 "f:2:56: unknown expect 'alow' (did you mean 'allow'?)\n"
		 "f:2:62: 'method' and 'path' go together\n"
		 "f:2:62: unknown field 'metod' (did you mean 'method'?)\n"},
		{"cases: [{name: x, binary: /b, host: h, port: 1, expect: deny, method: GET}]",
		 "f:1:63: 'method' and 'path' go together\n"},
		{"cases: [{name: x, binary: /b, host: h, port: 1, expect: deny, query: {a: b}}]",
		 "f:1:63: 'query' goes with 'method' and 'path'\n"},
		{"cases: [{name: x, binary: /b, host: h, port: 1, expect: deny, method: 'A B', path: /, query: [1]}]",
		 "f:1:71: 'A B' is no method\nf:1:94: 'query' must be a map of names to values, not a list\n"},
		{"cases: [{name: 1, binary: /b, ancestors: /x, tainted: yes, host: h, port: 1, expect: deny}]",
		 "f:1:16: 'name' must be a string, not a number (quote it: \"1\")\n"
		 "f:1:42: 'ancestors' must be a list, not a string\n"
		 "f:1:55: 'tainted' must be true or false, not 'yes'\n"},
		{"cases: [{name: a, name: b, binary: /b, host: h, port: 1, expect: deny}]",
		 "f:1:19: duplicate key 'name' (first at line 1)\n"},
		{"cases: [{name: x, never: port=x, port: 3, expect: deny}]\nnever: []",
		 "f:1:26: never: port is N or N-M, 1 to 65535\n"
		 "f:1:34: 'port' does not go with 'never'\nf:1:43: 'expect' does not go with 'never'\n"
		 "f:2:8: 'never' is an empty list\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		_cleanup_free_ char *got = errors_of(v[i].text);

		if (strcmp(got, v[i].errors) != 0)
			fail_msg("%s\n--- got\n%s--- wanted\n%s", v[i].text, got, v[i].errors);
	}
}

static void never(void **state)
{
	static const char text[] = "cases:\n"
				   "  - {name: n, never: method=DELETE}\n"
				   "  - {name: m, never: [port=80, host=**.evil.test]}\n"
				   "never: [path=/x]\n";
	_cleanup_(policy_cases_done) struct policy_cases c = {0};
	struct policy_diags d = {0};
	static const char *const wants[][2] = {
		{"n", "method=DELETE"}, {"m", "port=80"}, {"m", "host=**.evil.test"}, {"", "path=/x"}};

	(void)state;
	assert_int_equal(policy_cases_parse(slice_str(text), &d, &c), 0);
	assert_int_equal(c.n, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_true(slice_eq_str(c.v[i].name, wants[i][0]) && slice_eq_str(c.v[i].never, wants[i][1]));
		assert_non_null(c.v[i].expr);
	}
	policy_cases_done(&c);
	assert_int_equal(policy_cases_parse(SLICE_LIT("never: port=1"), &d, &c), 0);
	assert_int_equal(c.n, 1);
}

static void holding(void **state)
{
	struct explanation x = {.decision = EXPLAIN_DENY,
				.block = 0,
				.block_key = SLICE_LIT("key"),
				.block_name = SLICE_LIT("name")};
	struct policy_case c = {.expect = EXPLAIN_DENY};

	(void)state;
	assert_true(policy_case_holds(&c, &x));
	c.block = SLICE_LIT("key");
	assert_true(policy_case_holds(&c, &x));
	c.block = SLICE_LIT("name");
	assert_true(policy_case_holds(&c, &x));
	c.block = SLICE_LIT("other");
	assert_false(policy_case_holds(&c, &x));
	x.block = ~0u;
	c.block = SLICE_LIT("key");
	assert_false(policy_case_holds(&c, &x));
	c.block.n = 0;
	c.expect = EXPLAIN_ALLOW;
	assert_false(policy_case_holds(&c, &x));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_fields),
		cmocka_unit_test(errors),
		cmocka_unit_test(never),
		cmocka_unit_test(holding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
