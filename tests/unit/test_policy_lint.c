/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_lint.c - what is said about policies that parse but read like a slip, word for word; and
 * that nothing is said about those that only look like one.
 *
 * With POLICY_TEST_WRITE=FILE in the environment the corpus is written out again with the messages of
 * today, to be read and committed by a person.
 */
#include "policy/lint_part.h"

#include "tests/unit/policy_fixture.h"

static void lint_text(struct slice text, struct policy_diags *d)
{
	_cleanup_(policy_freep) struct policy *p = NULL;
	_cleanup_(fixture_image_done) struct fixture_image f = {0};

	if (policy_parse(text, d, &p) < 0) {
		policy_diags_print(d, "policy", stderr);
		fail_msg("does not parse");
	}
	fixture_compile(p, &f);
	assert_int_equal(policy_lint(p, &f.img, d), 0);
	assert_int_equal(d->errors, 0);
}

/* The messages, one a line, without the file name. */
static char *messages(struct slice text)
{
	static const char *const words[] = {
		[POLICY_ERROR] = "", [POLICY_WARNING] = "warning: ", [POLICY_NOTE] = "note: "};
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	char *buf = NULL;
	size_t n = 0;
	FILE *f;

	lint_text(text, &d);
	f = open_memstream(&buf, &n);
	assert_non_null(f);
	for (size_t i = 0; i < d.n; i++)
		fprintf(f, "%s%d:%d: %s%s", i ? "\n" : "", d.v[i].line, d.v[i].col,
			words[d.v[i].severity], d.v[i].message);
	fclose(f);
	return buf;
}

static void corpus(void **state)
{
	const char *write_to = getenv("POLICY_TEST_WRITE");
	_cleanup_fclose_ FILE *out = write_to ? fopen(write_to, "we") : NULL;
	size_t n, count = 0, wrong = 0;
	_cleanup_free_ char *text = fixture_read("tests/data/policies/warn.txt", &n);
	const char *at = text;
	struct fixture_section s;

	(void)state;
	while (fixture_next_section(&at, &s)) {
		_cleanup_free_ char *got = messages(s.text);

		count++;
		if (out)
			fprintf(out, "=== %.*s\n%.*s---\n%s\n\n", (int)s.name.n,
				(const char *)s.name.p, (int)s.text.n, (const char *)s.text.p, got);
		if (slice_eq_str(s.expect, got))
			continue;
		wrong++;
		print_error("=== %.*s\nexpected:\n%.*s\ngot:\n%s\n", (int)s.name.n,
			    (const char *)s.name.p, (int)s.expect.n, (const char *)s.expect.p, got);
	}
	if (out)
		fflush(out);
	print_message("%zu policies\n", count);
	assert_int_equal(wrong, 0);
	assert_true(count >= 60);
}

/* The policies of the tree say nothing by accident. */
static void examples(void **state)
{
	static const struct {
		const char *path;
		size_t warnings;
	} files[] = {
		{"examples/default.yaml", 7}, /* seven places below /sandbox, which it makes read-write */
		{"policy/default.yaml", 7},
		{"examples/deny-all.yaml", 0},
		{"examples/github-push.yaml", 0},
		{"examples/github-readonly.yaml", 0},
		{"examples/granular.yaml", 0},
		{"examples/read-everything-one-post.yaml", 1}, /* host "**" */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		_cleanup_(policy_diags_done) struct policy_diags d = {0};
		size_t n;
		_cleanup_free_ char *text = fixture_read(files[i].path, &n);

		lint_text((struct slice){(const uint8_t *)text, n}, &d);
		if (d.n != files[i].warnings || d.warnings != files[i].warnings)
			policy_diags_print(&d, files[i].path, stderr);
		assert_int_equal(d.n, files[i].warnings);
	}
}

/* A sample must be matched by its glob, or real mistakes would be passed over. */
static void samples(void **state)
{
	static const char *const globs[] = {
		"/",	    "/a",	"/**",	     "**",	 "**/x",    "**x",	 "/*",
		"/a/*/b",   "/a/**/b",	"/a**/b",    "/**/**/x", "/a/?",    "/%41/%20",	 "/caf\xc3\xa9",
		"/a b",	    "/x%2Fy",	"/repos/**", "/a/**",	 "/*.*",    "/a/***/b",	 "/*/**/*",
		"/**/info/refs*", "/a?b=c", "/{",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(globs); i++) {
		const struct lang_pattern p = {.glob = slice_str(globs[i])};
		struct table_dfa t = {0};
		struct automaton a;
		struct sample v[SAMPLES];
		size_t n = lint_samples(p.glob, v);

		if (strchr(globs[i], '{')) {
			assert_int_equal(n, 0);
			continue;
		}
		assert_int_equal(n, SAMPLES);
		assert_int_equal(lang_compile(LANG_PATH, &p, 1, &t), 0);
		a = automaton_of_table(&t);
		for (size_t k = 0; k < n; k++)
			if (!automaton_accepts(&a, (struct slice){v[k].buf, v[k].n}))
				fail_msg("'%s' does not match '%.*s'", globs[i], (int)v[k].n,
					 (const char *)v[k].buf);
		table_dfa_done(&t);
	}
}

/* ------------------------------------------------------------------------------- large -- */

typedef void (*writer)(FILE *f, int i);

/* A policy of n lines that `line` writes behind `head`. */
static char *generate(const char *head, writer line, int n)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	fputs(head, f);
	for (int i = 0; i < n; i++)
		line(f, i);
	fclose(f);
	return text;
}

#define BLOCK                                                                                      \
	"version: 1\nnetwork_policies:\n  b:\n    binaries: [{path: /usr/bin/curl}]\n    endpoints:\n"
#define ENDPOINT BLOCK "      - host: a.test\n        port: 443\n        protocol: rest\n"

static void allow_line(FILE *f, int i)
{
	fprintf(f, "          - allow: {method: GET, path: \"/r%d/**\"}\n", i);
}

static void twin_line(FILE *f, int i)
{
	(void)i;
	fputs("      - {host: a.test, port: 443}\n", f);
}

static void own_line(FILE *f, int i)
{
	fprintf(f,
		"      - {host: a.test, port: 443, protocol: rest, access: full, path: \"/{a,b}%d/**\"}\n",
		i);
}

static void deny_line(FILE *f, int i)
{
	fprintf(f, "          - {method: POST, path: \"/{a,b}%d/**\"}\n", i);
}

/* Everything is found or the note says that it was not. */
static void large(void **state)
{
	static const struct {
		const char *head;
		writer line;
		int n;
		size_t warnings;
		bool note;
	} cases[] = {
		{ENDPOINT "        rules:\n", allow_line, 3000, 0, false},
		{BLOCK, twin_line, 150, 149, false},
		{BLOCK, twin_line, 500, LINT_WARNINGS_MAX, true},
		{BLOCK, own_line, 30, 0, false},
		{ENDPOINT "        access: full\n        deny_rules:\n", deny_line, 300, 0, false},
		{ENDPOINT "        access: read-only\n        deny_rules:\n", deny_line, 1000,
		 LINT_WARNINGS_MAX, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *text = generate(cases[i].head, cases[i].line, cases[i].n);
		_cleanup_(policy_diags_done) struct policy_diags d = {0};
		size_t notes = 0;

		lint_text(slice_str(text), &d);
		for (size_t k = 0; k < d.n; k++)
			notes += d.v[k].severity == POLICY_NOTE;
		print_message("case %zu: %zu warnings, %zu notes\n", i, d.warnings, notes);
		assert_int_equal(d.warnings, cases[i].warnings);
		assert_int_equal(notes, cases[i].note);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus),
		cmocka_unit_test(examples),
		cmocka_unit_test(samples),
		cmocka_unit_test(large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
