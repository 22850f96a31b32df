/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_canonical.c - the canonical text: the same for every spelling, another for any other right. */
#include "policy_fixture.h"

#define HEAD "version: 1\n"

static char *canonical(const char *text)
{
	_cleanup_(policy_freep) struct policy *p = fixture_policy(slice_str(text));
	char *s = NULL;
	size_t n;

	assert_int_equal(policy_canonical_text(p, &s, &n), 0);
	assert_int_equal(strlen(s), n);
	return s;
}

static bool same(const char *a, const char *b)
{
	_cleanup_free_ char *x = canonical(a), *y = canonical(b);

	return strcmp(x, y) == 0;
}

static const char base[] =
	HEAD "filesystem_policy: {include_workdir: true, read_only: [/usr, /lib], read_write: [/tmp]}\n"
	     "process: {run_as_user: sandbox}\n"
	     "network_policies:\n"
	     "  one:\n"
	     "    name: one\n"
	     "    endpoints:\n"
	     "      - host: api.example.test\n"
	     "        port: 443\n"
	     "        protocol: rest\n"
	     "        rules:\n"
	     "          - allow: {method: GET, path: /a/**, query: {x: '1', y: '2*'}}\n"
	     "          - allow: {method: POST, path: /b}\n"
	     "      - {host: '*.example.test', ports: [80, 8080]}\n"
	     "    binaries: [{path: /usr/bin/curl}, {path: /usr/bin/wget}]\n"
	     "  two:\n"
	     "    endpoints: [{allowed_ips: [10.0.0.0/8, 192.168.0.0/16], port: 22}]\n"
	     "    binaries: [{path: /usr/bin/ssh}]\n";

/* Comments, spacing, quoting, order of keys and of lists, repetitions, spelling of paths, of ports and of networks. */
static const char respelt[] =
	"# a comment\n"
	"network_policies:\n"
	"\n"
	"  two:\n"
	"    binaries: [{path: \"/usr/bin/ssh\"}]\n"
	"    endpoints:\n"
	"      - {port: 22, allowed_ips: [192.168.0.0/16, 10.0.0.0/8, 10.0.0.0/8]}\n"
	"  one:   # another\n"
	"    binaries:\n"
	"      - {path: /usr/bin/wget}\n"
	"      - {ancestors: true, path: /usr/bin/curl}\n"
	"      - {path: /usr/bin/wget}\n"
	"    endpoints:\n"
	"      - ports: [8080, 80]\n"
	"        host: \"*.EXAMPLE.test\"\n"
	"      - ports: [443]\n"
	"        protocol: rest\n"
	"        host: API.example.test\n"
	"        rules:\n"
	"          - allow: {path: /b, method: POST}\n"
	"          - allow: {path: /a/**, query: {y: '2*', x: '1'}, method: GET}\n"
	"process: {run_as_user: \"sandbox\"}\n"
	"filesystem_policy:\n"
	"  read_write: [/tmp/]\n"
	"  read_only: [/lib, /usr/, /usr]\n"
	"version: 1\n";

static void spellings_are_one(void **state)
{
	(void)state;
	assert_true(same(base, base));
	assert_true(same(base, respelt));
}

/* base with the first `from` replaced. */
static char *changed(const char *from, const char *to)
{
	const char *at = strstr(base, from);
	char *s = NULL;

	assert_non_null(at);
	assert_true(asprintf(&s, "%.*s%s%s", (int)(at - base), base, to, at + strlen(from)) > 0);
	return s;
}

static void every_right_counts(void **state)
{
	static const char *const changes[][2] = {
		{"api.example.test", "api2.example.test"},
		{"port: 443", "port: 444"},
		{"port: 443", "ports: [443, 444]"},
		{"protocol: rest\n", "protocol: rest\n        enforcement: audit\n"},
		{"protocol: rest\n", "protocol: rest\n        allow_encoded_slash: true\n"},
		{"method: GET", "method: HEAD"},
		{"method: GET", "method: '*'"},
		{"/a/**", "/a/*"},
		{"x: '1'", "x: '3'"},
		{"x: '1', ", ""},
		{"x: '1'", "x: {any: ['1', '3']}"},
		{"          - allow: {method: POST, path: /b}\n", ""},
		{"        rules:\n", "        deny_rules: [{method: GET, path: /a/secret}]\n        rules:\n"},
		{"'*.example.test'", "'**.example.test'"},
		{"ports: [80, 8080]", "ports: [80]"},
		{"{path: /usr/bin/wget}", "{path: /usr/bin/wget2}"},
		{"{path: /usr/bin/wget}", "{path: /usr/bin/wget, ancestors: false}"},
		{"{path: /usr/bin/wget}", "{path: /usr/bin/wget, allow_tainted: true}"},
		{", {path: /usr/bin/wget}", ""},
		{"10.0.0.0/8", "10.0.0.0/9"},
		{"10.0.0.0/8", "'::ffff:10.0.0.1'"},
		{"  two:", "  three:"},
		{"name: one", "name: eins"},
		{"include_workdir: true", "include_workdir: false"},
		{"/usr, /lib", "/usr"},
		{"read_write: [/tmp]", "read_write: [/tmp], unix_sockets: [/run/x]"},
		{"process: {run_as_user: sandbox}", "process: {run_as_user: other}"},
		{"process: {run_as_user: sandbox}", "process: {run_as_user: sandbox, run_as_group: other}"},
		{"process: {run_as_user: sandbox}\n", ""},
		{"process:", "landlock: {compatibility: hard_requirement}\nprocess:"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		_cleanup_free_ char *text = changed(changes[i][0], changes[i][1]);

		if (same(base, text))
			fail_msg("'%s' -> '%s' changes nothing", changes[i][0], changes[i][1]);
	}
}

static void tls_and_access_count(void **state)
{
	static const char *const endpoints[] = {
		"host: a.b.test, port: 443",
		"host: a.b.test, port: 443, tls: skip",
		"host: a.b.test, port: 443, protocol: rest, access: read-only",
		"host: a.b.test, port: 443, protocol: rest, access: read-write",
		"host: a.b.test, port: 443, protocol: rest, access: full",
		"host: a.b.test, port: 443, protocol: rest, access: full, path: /x/**",
		"host: 10.1.2.3, port: 443",
		"host: a.b.test, port: 443, allowed_ips: [10.1.2.3]",
	};
	char *text[ARRAY_LEN(endpoints)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		assert_true(asprintf(&text[i], HEAD "network_policies:\n  a: {endpoints: [{%s}], binaries: [{path: /x}]}\n",
				     endpoints[i]) > 0);
		for (size_t k = 0; k < i; k++)
			if (same(text[i], text[k]))
				fail_msg("%s and %s are one", endpoints[i], endpoints[k]);
	}
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++)
		free(text[i]);
}

/* A quote inside a name must not make two policies one. */
static void quotes_cannot_collide(void **state)
{
	(void)state;
	assert_false(same(HEAD "network_policies:\n  'a\" name \"b': {endpoints: [{host: x.y.test, port: 1}], binaries: [{path: /x}]}\n",
			  HEAD "network_policies:\n  a: {name: 'b\" name \"b', endpoints: [{host: x.y.test, port: 1}], binaries: [{path: /x}]}\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spellings_are_one),
		cmocka_unit_test(every_right_counts),
		cmocka_unit_test(tls_and_access_count),
		cmocka_unit_test(quotes_cannot_collide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
