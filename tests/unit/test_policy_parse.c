/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_parse.c - what is said about good and bad policies, word for word.
 *
 * With POLICY_TEST_WRITE=FILE in the environment the bad corpus is written out again with the
 * messages of today, to be read and committed by a person.
 */
#include "tests/unit/policy_fixture.h"

#define CORPUS "tests/data/policies"

/* The messages of a text, one a line, as people see them but without the file name. */
static char *messages(struct slice text)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	_cleanup_(policy_freep) struct policy *p = NULL;
	FILE *f;
	char *buf = NULL;
	size_t n = 0;
	int r = policy_parse(text, &d, &p);

	assert_int_equal(r, d.errors ? -EINVAL : 0);
	assert_true(!p == (d.errors > 0));
	f = open_memstream(&buf, &n);
	assert_non_null(f);
	for (size_t i = 0; i < d.n; i++)
		fprintf(f, "%s%d:%d: %s%s", i ? "\n" : "", d.v[i].line, d.v[i].col,
			d.v[i].severity == POLICY_WARNING ? "warning: " : "", d.v[i].message);
	fclose(f);
	return buf;
}

static void bad(void **state)
{
	const char *write_to = getenv("POLICY_TEST_WRITE");
	_cleanup_fclose_ FILE *out = write_to ? fopen(write_to, "we") : NULL;
	size_t n, count = 0, wrong = 0;
	_cleanup_free_ char *text = fixture_read(CORPUS "/bad.txt", &n);
	const char *at = text;
	struct fixture_section s;

	(void)state;
	while (fixture_next_section(&at, &s)) {
		_cleanup_free_ char *got = messages(s.text);

		count++;
		if (out)
			fprintf(out, "=== %.*s\n%.*s---\n%s\n\n", (int)s.name.n,
				(const char *)s.name.p, (int)s.text.n, (const char *)s.text.p, got);
		if (slice_eq_str(s.expect, got) && s.expect.n)
			continue;
		wrong++;
		print_error("=== %.*s\nexpected:\n%.*s\ngot:\n%s\n", (int)s.name.n,
			    (const char *)s.name.p, (int)s.expect.n, (const char *)s.expect.p, got);
	}
	if (out)
		fflush(out);
	print_message("%zu bad policies\n", count);
	assert_int_equal(wrong, 0);
	assert_int_equal(count, 175);
}

static void good(void **state)
{
	size_t n, count = 0;
	_cleanup_free_ char *text = fixture_read(CORPUS "/good.txt", &n);
	const char *at = text;
	struct fixture_section s;

	(void)state;
	while (fixture_next_section(&at, &s)) {
		_cleanup_(fixture_image_done) struct fixture_image f = {0};
		_cleanup_(policy_freep) struct policy *p = fixture_policy(s.text);

		fixture_compile(p, &f);
		count++;
	}
	assert_int_equal(count, 16);
}

static void examples(void **state)
{
	static const char *const files[] = {
		"examples/default.yaml",     "examples/deny-all.yaml",
		"examples/github-push.yaml", "examples/github-readonly.yaml",
		"examples/granular.yaml",    "examples/read-everything-one-post.yaml",
		"policy/default.yaml",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		_cleanup_(fixture_image_done) struct fixture_image f = {0};

		fixture_image_file(files[i], &f);
	}
}

/* -------------------------------------------------------------------- whole-file limits -- */

static void expect_only(struct slice text, const char *expect)
{
	_cleanup_free_ char *got = messages(text);

	assert_string_equal(got, expect);
}

static void not_text(void **state)
{
	(void)state;
	expect_only(SLICE_LIT("version: 1\n# caf\xe9\n"), "2:6: not UTF-8 (byte 0xe9)");
	expect_only(SLICE_LIT("\xff\xfev\0e\0"), "1:1: not UTF-8 (byte 0xff)");
	expect_only(SLICE_LIT("v\0e\0"), "1:2: the character U+0000 cannot stand in a YAML text");
	expect_only(SLICE_LIT("version: 1\nx: \"\u00e9\x1b[m\"\n"),
		    "2:6: the character U+001B cannot stand in a YAML text");
	expect_only(SLICE_LIT("\ufeffversion: 1\r\nx: \ufeff\n"),
		    "2:4: the character U+FEFF cannot stand in a YAML text");
	expect_only(SLICE_LIT("version: 1\nx: \ufffe\n"),
		    "2:4: the character U+FFFE cannot stand in a YAML text");
}

static void too_large(void **state)
{
	size_t n = POLICY_TEXT_MAX + 1;
	_cleanup_free_ uint8_t *p = malloc(n);

	(void)state;
	assert_non_null(p);
	memset(p, '#', n);
	expect_only((struct slice){p, n}, "0:0: 4194305 bytes; a policy has at most 4194304");
}

static void too_deep(void **state)
{
	char text[256] = "version: 1\nnetwork_policies: ";

	(void)state;
	memset(text + strlen(text), '[', 200);
	expect_only(slice_str(text), "2:49: nested too deeply (at most 32 levels)");
}

static void alias_bomb(void **state)
{
	char text[2048] = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";

	(void)state;
	for (int i = 1; i < 10; i++) {
		size_t n = strlen(text);

		(void)snprintf(
			text + n, sizeof(text) - n,
			"a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
			i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	}
	expect_only(slice_str(text), "8:58: aliases expand this to more than 4000000 nodes (eight bytes of text "
		    "count as one more)");
}

static void many_errors(void **state)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	FILE *f;
	struct policy *p = NULL;
	char *text = NULL;
	size_t n = 0;

	(void)state;
	f = open_memstream(&text, &n);
	assert_non_null(f);
	fprintf(f, "version: 1\n");
	for (int i = 0; i < 1000; i++)
		fprintf(f, "x%d: 1\n", i);
	fclose(f);
	assert_int_equal(policy_parse((struct slice){(const uint8_t *)text, n}, &d, &p), -EINVAL);
	assert_int_equal(d.errors, 1000);
	assert_int_equal(d.n, DIAGS_MAX);
	free(text);
}

static void too_many_blocks(void **state)
{
	FILE *f;
	char *text = NULL;
	size_t n = 0;

	(void)state;
	f = open_memstream(&text, &n);
	assert_non_null(f);
	fprintf(f, "version: 1\nnetwork_policies:\n");
	for (int i = 0; i <= OSH_BLOCKS_MAX; i++)
		fprintf(f, "  b%d: {}\n", i);
	fclose(f);
	expect_only((struct slice){(const uint8_t *)text, n}, "3:3: 513 blocks (at most 512)");
	free(text);
}

static void aliased_ports(void **state)
{
	FILE *f;
	char *text = NULL;
	size_t n = 0;

	(void)state;
	f = open_memstream(&text, &n);
	assert_non_null(f);
	fprintf(f, "version: 1\nnetwork_policies:\n  b: {binaries: [{path: /a}], endpoints: [\n"
		   "  &e {host: a.b.c, ports: [54");
	for (int i = 1; i < 1000; i++)
		fprintf(f, ",%d", 54 + i);
	fprintf(f, "]}\n");
	for (int i = 0; i < 1000; i++)
		fprintf(f, "  ,*e\n");
	fprintf(f, "  ]}\n");
	fclose(f);
	expect_only((struct slice){(const uint8_t *)text, n},
		    "4:27: up to here the endpoints have 1001000 ports (at most 1000000)");
	free(text);
}

static void aliased_braces(void **state)
{
	char path[4001];
	FILE *f;
	char *text = NULL;
	size_t n = 0;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = 0;
	f = open_memstream(&text, &n);
	assert_non_null(f);
	fprintf(f,
		"version: 1\nnetwork_policies:\n  b: {endpoints: [{host: a.b.c, port: 1}], binaries: [\n"
		"  &x {path: \"/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}%s\"}\n", path);
	for (int i = 0; i < 200; i++)
		fprintf(f, "  ,*x\n");
	fprintf(f, "  ]}\n");
	fclose(f);
	expect_only((struct slice){(const uint8_t *)text, n},
		    "4:13: path '/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx': "
		    "the braces up to here multiply to more than 256 MiB of patterns");
	free(text);
}

/* ---------------------------------------------------------------------- static sections -- */

static void static_sections(void **state)
{
	_cleanup_(policy_freep) struct policy *p =
		fixture_policy(slice_str("version: 1\n"
					 "filesystem_policy: {read_only: [/usr/, //lib/./x], "
					 "read_write: [/a], unix_sockets: [/run/s]}\n"
					 "landlock: {compatibility: hard_requirement}\n"
					 "process: {run_as_user: 1000, run_as_group: staff}\n"));
	const struct policy_static *s = policy_static(p);

	(void)state;
	assert_true(s->has_filesystem && s->has_landlock && s->has_process && s->include_workdir);
	assert_int_equal(s->read_only.n, 2);
	assert_string_equal(s->read_only.v[0].path, "/usr");
	assert_string_equal(s->read_only.v[1].path, "/lib/x");
	assert_int_equal(s->read_only.v[1].line, 2);
	assert_int_equal(s->read_only.v[1].col, 40);
	assert_string_equal(s->unix_sockets.v[0].path, "/run/s");
	assert_int_equal(s->landlock, POLICY_HARD_REQUIREMENT);
	assert_string_equal(s->run_as_user, "1000");
	assert_string_equal(s->run_as_group, "staff");
	assert_int_equal(s->group_line, 4);
}

static const char *differs(const char *a, const char *b)
{
	_cleanup_(policy_freep) struct policy *pa = fixture_policy(slice_str(a));
	_cleanup_(policy_freep) struct policy *pb = fixture_policy(slice_str(b));

	return policy_static_differs(policy_static(pa), policy_static(pb));
}

static void static_differs(void **state)
{
	static const char base[] =
		"version: 1\nfilesystem_policy: {read_only: [/a, /b], read_write: [/c]}\n"
		"process: {run_as_user: u}\n";

	(void)state;
	assert_null(differs(base, "version: 1\n"));
	assert_null(differs(base, "version: 1\nlandlock: {compatibility: best_effort}\n"));
	assert_null(differs(base, "version: 1\nfilesystem_policy: {include_workdir: true, "
				  "read_only: [/b/, /a, /b], read_write: [/c]}\n"));
	assert_null(differs("version: 1\n", "version: 1\nfilesystem_policy: {read_only: []}\n"));
	assert_string_equal(
		differs(base,
			"version: 1\nfilesystem_policy: {read_only: [/a], read_write: [/c]}\n"),
		"filesystem_policy.read_only");
	assert_string_equal(
		differs(base, "version: 1\nfilesystem_policy: {include_workdir: false}\n"),
		"filesystem_policy.include_workdir");
	assert_string_equal(
		differs(base, "version: 1\nlandlock: {compatibility: hard_requirement}\n"),
		"landlock.compatibility");
	assert_string_equal(differs(base, "version: 1\nprocess: {run_as_user: v}\n"),
			    "process.run_as_user");
	assert_string_equal(
		differs(base, "version: 1\nprocess: {run_as_user: u, run_as_group: g}\n"),
		"process.run_as_group");
}

static void binaries(void **state)
{
	_cleanup_(policy_freep) struct policy *p = fixture_policy(slice_str(
		"version: 1\nnetwork_policies:\n"
		"  a: {endpoints: [{host: a.b.c, port: 1}], binaries: [{path: /bin/sh}, {path: "
		"\"/x/*\"}]}\n"
		"  b: {endpoints: [{host: a.b.c, port: 1}], binaries: [{path: /bin/sh}]}\n"));
	struct policy_binary b;
	size_t blocks, endpoints;

	(void)state;
	policy_counts(p, &blocks, &endpoints);
	assert_int_equal(blocks, 2);
	assert_int_equal(endpoints, 2);
	assert_int_equal(policy_binaries(p, 1, &b), 3);
	assert_true(b.glob && b.block == 0 && b.index == 1);
	assert_string_equal(b.path, "/x/*");
	assert_int_equal(policy_binaries(p, 2, &b), 3);
	assert_true(!b.glob && b.block == 1 && b.index == 0 && b.line == 4 && b.col == 62);
	assert_int_equal(policy_add_binary_alias(p, 1, 0, "/usr/bin/dash"), 0);
	assert_int_equal(policy_add_binary_alias(p, 1, 0, "/usr/bin/dash"), 0);
	assert_int_equal(policy_add_binary_alias(p, 2, 0, "/x"), -EINVAL);
	assert_int_equal(policy_add_binary_alias(p, 1, 1, "/x"), -EINVAL);
	assert_int_equal(policy_add_binary_like(p, "/bin/sh", "/opt/sh"), 2);
	assert_int_equal(policy_add_binary_like(p, "/bin/nosuch", "/opt/sh"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad),
		cmocka_unit_test(good),
		cmocka_unit_test(examples),
		cmocka_unit_test(not_text),
		cmocka_unit_test(too_large),
		cmocka_unit_test(too_deep),
		cmocka_unit_test(alias_bomb),
		cmocka_unit_test(many_errors),
		cmocka_unit_test(too_many_blocks),
		cmocka_unit_test(aliased_ports),
		cmocka_unit_test(aliased_braces),
		cmocka_unit_test(static_sections),
		cmocka_unit_test(static_differs),
		cmocka_unit_test(binaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
