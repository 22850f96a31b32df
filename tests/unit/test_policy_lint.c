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

/* ------------------------------------------------------------------------------- random -- */

/*
 * Whatever is said to change nothing is taken out of the policy, and every question of a list must be
 * answered as before.
 */

static uint32_t seed;

static uint32_t any(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 16) % n;
}

#define PICK(list) list[any(ARRAY_LEN(list))]

static void write_rule(FILE *f)
{
	static const char *const methods[] = {"GET", "GET", "HEAD", "POST", "\"*\""};
	static const char *const paths[] = {"/a",     "/a/*",   "/a/**",     "/**",   "/*/b",
					    "/a/b",   "/{a,b}", "/a%2Fb",    "/**/b", "/a/[.]/b",
					    "/[ab]/*"};
	static const char *const queries[] = {"", "", "", ", query: {q: x}", ", query: {q: \"x*\"}"};

	fprintf(f, "{method: %s, path: \"%s\"%s}", PICK(methods), PICK(paths), PICK(queries));
}

/* One a line, so that a line tells which. */
static void write_rules(FILE *f, const char *head, const char *before)
{
	fputs(head, f);
	for (uint32_t n = 1 + any(3); n; n--) {
		fprintf(f, "          - %s", before);
		write_rule(f);
		fputc('\n', f);
	}
}

static void write_inspected(FILE *f)
{
	static const char *const selectors[] = {"", "", "", "        path: /a/**\n",
						"        path: \"/*/b\"\n", "        path: /a/*\n"};
	static const char *const modes[] = {"", "", "        enforcement: audit\n"};
	static const char *const slashes[] = {"", "", "        allow_encoded_slash: true\n"};
	static const char *const access[] = {"read-only", "read-write", "full"};

	fprintf(f, "        protocol: rest\n%s%s%s", PICK(selectors), PICK(modes), PICK(slashes));
	if (any(2))
		fprintf(f, "        access: %s\n", PICK(access));
	else
		write_rules(f, "        rules:\n", "allow: ");
	if (any(2))
		write_rules(f, "        deny_rules:\n", "");
}

static void write_endpoint(FILE *f)
{
	static const char *const hosts[] = {"a.test",		 "a.test",	"b.a.test",
					    "\"*.a.test\"",	 "\"**.a.test\"", "\"**\"",
					    "10.0.0.5"};
	static const char *const ips[] = {"", "", "        allowed_ips: [10.0.0.0/8]\n",
					  "        allowed_ips: [10.0.0.0/16, 1.1.1.0/24]\n"};
	static const char *const ports[] = {"443", "443", "[443, 80]"};
	const char *port = PICK(ports);

	fprintf(f, "      - host: %s\n        port%s: %s\n%s", PICK(hosts), *port == '[' ? "s" : "",
		port, PICK(ips));
	if (any(4))
		write_inspected(f);
	else if (any(3) == 0)
		fputs("        tls: skip\n", f);
}

static char *random_policy(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	fputs("version: 1\nnetwork_policies:\n", f);
	for (int b = 0; b < 2; b++) {
		fprintf(f, "  b%d:\n    binaries: [{path: /bin/%d}]\n    endpoints:\n", b, b);
		for (uint32_t k = 1 + any(3); k; k--)
			write_endpoint(f);
	}
	fclose(f);
	return text;
}

/* Takes out the endpoint or rule that begins at the line. */
static bool take_out(struct policy *p, int line)
{
	for (size_t b = 0; b < p->nblocks; b++) {
		struct pol_block *k = &p->blocks[b];

		for (size_t i = 0; i < k->nendpoints; i++) {
			struct pol_endpoint *e = &k->endpoints[i];
			struct pol_rule *rules = (struct pol_rule *)(uintptr_t)e->rules;

			for (size_t r = 0; r < e->nrules; r++) {
				if (rules[r].line != line)
					continue;
				memmove(&rules[r], &rules[r + 1],
					(e->nrules - r - 1) * sizeof(*rules));
				e->nrules--;
				return true;
			}
			if (e->line != line)
				continue;
			memmove(e, e + 1, (k->nendpoints - i - 1) * sizeof(*e));
			k->nendpoints--;
			return true;
		}
	}
	return false;
}

/* All answers to all questions, as text. */
struct answers {
	FILE *f;
	const struct image *img;
	const char *host;
};

static void answer_requests(struct answers *a, const struct connect_decision *c)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE"};
	static const char *const paths[] = {"/",    "/a",     "/b",	  "/a/",    "/a/b", "/a/c",
					    "/c/b", "/a/b/c", "/a%2Fb", "/b/a%2Fb", "/x/y/b"};
	static const char *const values[] = {NULL, "x", "xy", "z"};

	for (size_t m = 0; m < ARRAY_LEN(methods); m++)
		for (size_t p = 0; p < ARRAY_LEN(paths); p++)
			for (size_t v = 0; v < ARRAY_LEN(values); v++) {
				const struct query_pair q = {SLICE_LIT("q"), slice_str(values[v])};
				const struct request r = {slice_str(methods[m]), slice_str(paths[p]),
							  &q, values[v] != NULL};
				struct request_decision d;

				if (strstr(paths[p], "%2F") && !image_encoded_slash(a->img, c))
					continue;
				image_decide_request(a->img, c, &r, &d);
				fprintf(a->f, "%s %s ?%s: %d\n", methods[m], paths[p],
					values[v] ? values[v] : "", d.verdict);
			}
}

static void answer_addresses(struct answers *a, const struct connect_decision *c, uint16_t port)
{
	static const uint8_t addrs[][4] = {
		{1, 1, 1, 1}, {9, 9, 9, 9}, {10, 0, 0, 5}, {10, 1, 0, 1}, {192, 168, 1, 1}};
	struct dest d;

	dest_from_text(&d, slice_str(a->host), port);
	for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
		enum osh_addr_class class;
		uint8_t addr[16] = {0};

		memcpy(addr, d.host.n ? addrs[i] : d.addr, 4);
		fprintf(a->f, "address %zu: %d\n", i,
			image_address_allowed(a->img, &c->blocks, d.host, port, 4, addr, &class));
	}
}

static char *all_answers(const struct policy *p)
{
	static const char *const hosts[] = {"a.test", "b.a.test", "c.b.a.test", "other.test", "x",
					    "10.0.0.5", "10.1.0.1", "1.1.1.1"};
	static const struct ask callers[] = {
		{.exe = "/bin/0"}, {.exe = "/bin/1"}, {.exe = "/bin/0", .anc = "/bin/1"}};
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	char *text = NULL;
	size_t n = 0;
	struct answers a = {.f = open_memstream(&text, &n), .img = &f.img};

	fixture_compile(p, &f);
	for (size_t h = 0; h < ARRAY_LEN(hosts) * ARRAY_LEN(callers) * 2; h++) {
		struct ask ask = callers[h / 2 % ARRAY_LEN(callers)];
		struct connect_decision c;

		ask.host = a.host = hosts[h / 2 / ARRAY_LEN(callers)];
		ask.port = h % 2 ? 80 : 443;
		fixture_connect(&f.img, &ask, &c);
		fprintf(a.f, "%s %s %u: %d\n", ask.exe, ask.host, ask.port, c.verdict);
		if (c.verdict == CONNECT_DENY)
			continue;
		answer_addresses(&a, &c, ask.port);
		if (c.verdict != CONNECT_PROXY)
			continue;
		fprintf(a.f, "treatment %d\n", image_flow_treatment(&f.img, &c));
		if (image_flow_treatment(&f.img, &c) == FLOW_INSPECT)
			answer_requests(&a, &c);
	}
	fclose(a.f);
	return text;
}

static bool says_needless(const char *message)
{
	return strstr(message, "changes nothing") || strstr(message, "never match") ||
	       strstr(message, "rule can never allow");
}

static void compare_without(const char *text, const struct policy_diag *d, const char *before)
{
	_cleanup_(policy_freep) struct policy *p = fixture_policy(slice_str(text));
	_cleanup_free_ char *after = NULL;

	if (!take_out(p, d->line))
		fail_msg("nothing at line %d of\n%s", d->line, text);
	after = all_answers(p);
	for (size_t i = 0; before[i] != after[i] || before[i]; i++) {
		if (before[i] == after[i])
			continue;
		while (i && before[i - 1] != '\n')
			i--;
		fail_msg("not needless: line %d (%s) of\n%s\nbefore: %.60s\nafter: %.60s", d->line,
			 d->message, text, before + i, after + i);
	}
}

static void random_policies(void **state)
{
	size_t policies = 0, needless = 0;
	const char *rounds = getenv("POLICY_LINT_ROUNDS");

	(void)state;
	for (uint32_t i = 0; i < (rounds ? (uint32_t)atoi(rounds) : 400); i++) {
		_cleanup_free_ char *text = NULL, *before = NULL;
		_cleanup_(policy_diags_done) struct policy_diags d = {0};
		_cleanup_(policy_freep) struct policy *p = NULL;
		_cleanup_(fixture_image_done) struct fixture_image f = {0};

		seed = i * 7919;
		text = random_policy();
		if (policy_parse(slice_str(text), &d, &p) < 0)
			continue; /* endpoints that contradict each other */
		fixture_compile(p, &f);
		assert_int_equal(policy_lint(p, &f.img, &d), 0);
		before = all_answers(p);
		for (size_t k = 0; k < d.n; k++) {
			if (!says_needless(d.v[k].message))
				continue;
			compare_without(text, &d.v[k], before);
			needless++;
		}
		policies++;
	}
	print_message("%zu policies, %zu needless parts\n", policies, needless);
	assert_true(rounds || (policies > 200 && needless > 200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus),
		cmocka_unit_test(examples),
		cmocka_unit_test(samples),
		cmocka_unit_test(large),
		cmocka_unit_test(random_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
