/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_limits.c - the limits of docs/policy-language.md that the compiler keeps: each is refused
 * with its number and a line.  Those of the text are in test_policy_parse.c and tests/data/policies.
 */
#include "policy/nfa.h"
#include "tests/unit/policy_fixture.h"

/* Head and tail with `n` times `item` between, which may hold one %u. */
static char *repeated(const char *head, const char *item, unsigned int n, const char *tail)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	fputs(head, f);
	for (unsigned int i = 0; i < n; i++) {
		const char *at = strstr(item, "%u");

		if (at)
			fprintf(f, "%.*s%u%s", (int)(at - item), item, i, at + 2);
		else
			fputs(item, f);
	}
	fputs(tail, f);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* The one error that checking and compiling the text gives. */
static void refused(const char *text, int line, const char *expect)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	_cleanup_(policy_freep) struct policy *p = fixture_policy(slice_str(text));
	uint8_t *image = NULL;
	size_t n;

	assert_int_equal(policy_compile(p, &d, &image, &n), -E2BIG);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.v[0].line, line);
	assert_non_null(strstr(d.v[0].message, expect));
}

static void accepted(const char *text)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};

	fixture_image(text, &f);
}

#define HEAD                                                                                       \
	"version: 1\nnetwork_policies:\n  first: {binaries: [{path: /b}], endpoints: [{host: a.b, " \
	"port: 1}]}\n"

static void endpoints(void **state)
{
	static const char head[] =
		HEAD "  many:\n    binaries: [{path: /b}]\n    endpoints: [&e {host: b.c, port: 1},";
	_cleanup_free_ char *fits = repeated(head, "*e,", POLICY_ENDPOINTS_MAX - 2, "]\n");
	_cleanup_free_ char *more = repeated(head, "*e,", POLICY_ENDPOINTS_MAX - 1, "]\n");

	(void)state;
	accepted(fits);
	refused(more, 4, "250001 endpoints (at most 250000)");
}

static void binaries(void **state)
{
	static const char head[] = HEAD "  many:\n    endpoints: [{host: b.c, port: 1}]\n    binaries: "
					"[&b {path: /c},";
	_cleanup_free_ char *fits = repeated(head, "*b,", POLICY_BINARIES_MAX - 2, "]\n");
	_cleanup_free_ char *more = repeated(head, "*b,", POLICY_BINARIES_MAX - 1, "]\n");

	(void)state;
	accepted(fits);
	refused(more, 4, "250001 binaries (at most 250000)");
}

static void rules(void **state)
{
	static const char head[] =
		HEAD "  many:\n    binaries: [{path: /b}]\n    endpoints:\n"
		     "    - {host: b.c, port: 1, protocol: rest, access: full, deny_rules: &r [";
	_cleanup_free_ char *list = repeated(head, "{path: /x%u},", 1000, "]}\n");
	_cleanup_free_ char *text = repeated(
		list, "    - {host: h%u.c, port: 1, protocol: rest, access: full, deny_rules: *r}\n", 500,
		"");

	(void)state;
	refused(text, 4, "501000 rules (at most 500000)");
}

static void steps(void **state)
{
	_cleanup_free_ char *many = repeated("", "?", 4000, "");
	_cleanup_free_ char *rule = repeated("{allow: {method: GET, path: '/%u", many, 1, "'}},\n");
	_cleanup_free_ char *text = repeated(
		HEAD "  many:\n    binaries: [{path: /b}]\n    endpoints:\n"
		     "    - {host: b.c, port: 1, protocol: rest, rules: [{allow: {method: '*', path: /x}},\n",
		"", 0, "");
	_cleanup_free_ char *all = repeated(text, rule, 30, "]}\n");

	(void)state;
	refused(all, 8, "more than 5242880 steps");
}

/* Every host is in the lists of all endpoints that match every host. */
static void lists(void **state)
{
	_cleanup_free_ char *head = repeated(
		HEAD "  many:\n    binaries: [{path: /b}]\n    endpoints:\n    - &e {host: '**', port: 1}\n",
		"    - *e\n", 2000, "");
	_cleanup_free_ char *text = repeated(head, "    - {host: h%u.x.y, port: 1}\n", 9000, "");

	(void)state;
	refused(text, 7, "more than 16777216 entries");
}

static void lists_of_rules(void **state)
{
	_cleanup_free_ char *head = repeated(
		HEAD "  many:\n    binaries: [{path: /b}]\n    endpoints:\n    - host: b.c\n      port: 1\n"
		     "      protocol: rest\n      rules:\n"
		     "      - &r {allow: {method: GET, path: '/**', query: {q: x}}}\n",
		"      - *r\n", 2000, "");
	_cleanup_free_ char *text =
		repeated(head, "      - {allow: {method: GET, path: /%u, query: {q: x}}}\n", 9000, "");

	(void)state;
	refused(text, 11, "more than 16777216 entries");
}

/* ------------------------------------------------------------------- of one construction -- */

static int accept_any(void *ctx, const uint32_t *tags, size_t n, uint32_t *ret)
{
	(void)ctx;
	(void)tags;
	*ret = n > 0;
	return 0;
}

/* Two patterns, marked as of lines 7 and 8; the second is the longer one. */
static int construct(const struct dfa_limits *limits, struct nfa_place *ret_blame)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	_cleanup_(dfa_done) struct dfa d = {0};
	uint32_t root = nfa_root(&a), start;
	int r;

	nfa_mark(&a, 7, 1);
	nfa_tag(&a, nfa_bytes(&a, root, SLICE_LIT("abc")), 1);
	nfa_mark(&a, 8, 2);
	nfa_tag(&a, nfa_bytes(&a, root, SLICE_LIT("bcdefghijklmnopqrstuvwxyz")), 2);
	r = dfa_init(&d, &a, limits, accept_any, NULL);
	if (r == 0)
		r = dfa_start(&d, root, &start);
	if (r == 0)
		r = dfa_run(&d);
	*ret_blame = dfa_blame(&d);
	return r;
}

static void construction(void **state)
{
	const struct dfa_limits enough = {100, 1u << 20, 10000};
	const struct dfa_limits few[] = {{20, 1u << 20, 10000}, {100, 300, 10000}, {100, 1u << 20, 30}};
	struct nfa_place at;

	(void)state;
	assert_int_equal(construct(&enough, &at), 0);
	for (size_t i = 0; i < ARRAY_LEN(few); i++) {
		assert_int_equal(construct(&few[i], &at), -E2BIG);
		assert_true(at.line == 8 || i > 0); /* the others may stop before its states */
		assert_true(at.line == 7 || at.line == 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints),	  cmocka_unit_test(binaries),
		cmocka_unit_test(rules),	  cmocka_unit_test(steps),
		cmocka_unit_test(lists),	  cmocka_unit_test(lists_of_rules),
		cmocka_unit_test(construction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
