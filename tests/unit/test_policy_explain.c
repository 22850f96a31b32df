/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_explain.c - decisions with their lines, and each kind of near miss in words. */
#include "policy/explain.h"
#include "policy/match.h"
#include "tests/unit/policy_fixture.h"

/* clang-format off */
static const char TEXT[] =
	"version: 1\n"							     /* 1 */
	"network_policies:\n"						     /* 2 */
	"  api:\n"							     /* 3 */
	"    name: api-name\n"						     /* 4 */
	"    endpoints:\n"						     /* 5 */
	"      - host: api.github.com\n"				     /* 6 */
	"        port: 443\n"						     /* 7 */
	"        protocol: rest\n"					     /* 8 */
	"        rules:\n"						     /* 9 */
	"          - allow: {method: GET, path: /repos/*}\n"		     /* 10 */
	"          - allow: {method: POST, path: /repos/a/issues}\n"	     /* 11 */
	"          - allow: {method: GET, path: /get, query: {slug: 'skill-*', version: {any: ['1.*', '2.*']}}}\n"
	"          - allow: {method: PUT, path: '/tree/**'}\n"		     /* 13 */
	"          - allow: {method: PATCH, path: '/slash/*/x'}\n"	     /* 14 */
	"          - allow: {method: DELETE, path: '/**'}\n"		     /* 15 */
	"        deny_rules:\n"						     /* 16 */
	"          - {method: DELETE, path: /repos/keep}\n"		     /* 17 */
	"      - {host: '*.example.com', port: 443}\n"			     /* 18 */
	"      - {host: '*-ai.googleapis.test', ports: [443, 8443]}\n"	     /* 19 */
	"      - {host: files.example.org, port: 443}\n"		     /* 20 */
	"      - {host: 10.1.2.3, port: 443}\n"				     /* 21 */
	"    binaries:\n"						     /* 22 */
	"      - {path: /usr/bin/gh}\n"					     /* 23 */
	"      - {path: /usr/bin/alone, ancestors: false}\n"		     /* 24 */
	"      - {path: '/opt/*/tool'}\n"				     /* 25 */
	"  sel:\n"							     /* 26 */
	"    endpoints:\n"						     /* 27 */
	"      - {host: sel.test, port: 443, protocol: rest, path: '/v1/**', access: read-only}\n"
	"      - {host: sel.test, port: 443, protocol: rest, path: '/v2/**', access: full}\n"
	"      - {host: skip.test, port: 443, tls: skip}\n"		     /* 30 */
	"      - {host: audit.test, port: 443, protocol: rest, access: read-only, enforcement: audit}\n"
	"    binaries: [{path: /usr/bin/gh}, {path: /usr/local/bin/curl}]\n" /* 32 */
	;
/* clang-format on */

struct given {
	struct policy *p;
	struct fixture_image f;
	struct explanation x;
};

static struct given g;

static int up(void **state)
{
	(void)state;
	g.p = fixture_policy(slice_str(TEXT));
	fixture_compile(g.p, &g.f);
	return 0;
}

static int down(void **state)
{
	(void)state;
	explanation_done(&g.x);
	g.p = policy_free(g.p);
	fixture_image_done(&g.f);
	return 0;
}

struct q {
	const char *exe, *anc, *script, *host;
	uint16_t port;
	const char *method, *target;
	bool tainted;
};

static void ask_it(struct q q)
{
	struct slice anc = slice_str(q.anc);
	const struct explain_ask a = {
		.id = {slice_str(q.exe ? q.exe : "/usr/bin/gh"), slice_str(q.script), &anc, q.anc != NULL, q.tainted},
		.host = slice_str(q.host ? q.host : "api.github.com"),
		.port = q.port ? q.port : 443,
		.method = slice_str(q.method),
		.target = slice_str(q.target),
	};

	explanation_done(&g.x);
	assert_int_equal(explain(g.p, &g.f.img, &a, true, &g.x), 0);
}

/* The first near miss is of this kind, at this line, and its words have this in them. */
static void nearest_is(enum near_kind kind, int line, const char *words)
{
	if (g.x.nnearest == 0)
		fail_msg("nothing near, wanted: %s", words);
	if (g.x.nearest[0].kind != kind || g.x.nearest[0].line != line || !strstr(g.x.nearest[0].text, words))
		fail_msg("%s at line %d: %s\nwanted %s at line %d: %s", near_kind_string(g.x.nearest[0].kind),
			 g.x.nearest[0].line, g.x.nearest[0].text, near_kind_string(kind), line, words);
}

#define ASK(...) ask_it((struct q){__VA_ARGS__})
#define DENIED(why)                                                                                                    \
	do {                                                                                                           \
		assert_int_equal(g.x.decision, EXPLAIN_DENY);                                                          \
		assert_string_equal(g.x.reason, why);                                                                  \
	} while (0)

static void allowed(void **state)
{
	(void)state;
	ASK(.method = "GET", .target = "/repos/./x");
	assert_int_equal(g.x.decision, EXPLAIN_ALLOW);
	assert_true(g.x.request);
	assert_string_equal(g.x.path, "/repos/x");
	assert_int_equal(g.x.endpoint_line, 6);
	assert_int_equal(g.x.rule_line, 10);
	assert_int_equal(explanation_line(&g.x), 10);
	assert_string_equal(g.x.rule, "GET /repos/*");
	assert_int_equal(g.x.binary_line, 23);
	assert_string_equal(g.x.binary_as, "executable");
	assert_true(slice_eq_str(g.x.block_key, "api") && slice_eq_str(g.x.block_name, "api-name"));
	assert_null(g.x.reason);
	assert_int_equal(g.x.nnearest, 0);

	ASK(.exe = "/bin/x", .anc = "/opt/y/tool", .host = "a.example.com");
	assert_int_equal(g.x.connection, EXPLAIN_NATIVE);
	assert_int_equal(g.x.endpoint_line, 18);
	assert_int_equal(g.x.binary_line, 25);
	assert_string_equal(g.x.binary_as, "ancestor");
	ASK(.exe = "/bin/x", .script = "/usr/bin/gh", .host = "skip.test", .method = "GET", .target = "/");
	assert_int_equal(g.x.connection, EXPLAIN_RELAYED);
	assert_int_equal(g.x.decision, EXPLAIN_ALLOW);
	assert_false(g.x.request);
	assert_string_equal(g.x.binary_as, "script");
}

static void permits(void **state)
{
	size_t n = 0;

	(void)state;
	ASK(.method = NULL);
	assert_int_equal(g.x.connection, EXPLAIN_INSPECTED);
	while (g.x.permits[n])
		n++;
	assert_int_equal(n, 7);
	assert_string_equal(g.x.permits[0], "line 10: GET /repos/*");
	assert_string_equal(g.x.permits[6], "line 17: not DELETE /repos/keep");
}

static void audit(void **state)
{
	(void)state;
	ASK(.host = "audit.test", .method = "POST", .target = "/x");
	assert_int_equal(g.x.decision, EXPLAIN_AUDIT);
	assert_string_equal(g.x.reason, "POST /x not permitted by policy");
	nearest_is(NEAR_METHOD, 31, "not for POST");
}

static void ports_and_hosts(void **state)
{
	(void)state;
	ASK(.port = 80);
	DENIED("no matching network policy");
	nearest_is(NEAR_PORT, 6, "block api allows api.github.com on port 443, not 80");
	assert_int_equal(g.x.nnearest, 1);
	ASK(.host = "x-ai.googleapis.test", .port = 80);
	nearest_is(NEAR_PORT, 19, "on port 443, 8443, not 80");
	ASK(.host = "10.1.2.3", .port = 80);
	nearest_is(NEAR_PORT, 21, "10.1.2.3 on port 443, not 80");
	ASK(.exe = "/usr/local/bin/curl", .port = 80);
	nearest_is(NEAR_PORT, 6, "not 80 (for /usr/bin/gh, /usr/bin/alone, /opt/*/tool)");

	ASK(.host = "Example.com.");
	nearest_is(NEAR_WILDCARD, 18, "not for the domain itself");
	ASK(.host = "a.b.example.com");
	nearest_is(NEAR_WILDCARD, 18, "'*' stands for one label, '**.example.com' is for names of any depth");
	ASK(.host = "a.b-ai.googleapis.test");
	nearest_is(NEAR_WILDCARD, 19, "does not cross a dot");
	ASK(.host = "www.files.example.org");
	nearest_is(NEAR_WILDCARD, 20, "'**.files.example.org' is for all below it");
	ASK(.host = "api.githup.com");
	nearest_is(NEAR_SPELLING, 6, "block api allows api.github.com, spelt almost like api.githup.com");
	ASK(.host = "nothing.like.it.invalid");
	assert_int_equal(g.x.nnearest, 0);
	ASK(.host = "8.8.8.8");
	assert_int_equal(g.x.nnearest, 0);
	assert_non_null(strstr(g.x.note, "literal address"));
	ASK(.host = "169.254.169.254");
	DENIED("address not allowed (169.254.169.254: link-local)");
}

static void binaries(void **state)
{
	(void)state;
	ASK(.exe = "/usr/bin/curl", .host = "sel.test");
	DENIED("binary not in policy sel");
	nearest_is(NEAR_BINARY, 26, "block sel allows this host for /usr/local/bin/curl, /usr/bin/gh, not for /usr/bin/curl");
	ASK(.exe = "/bin/x", .anc = "/usr/bin/alone");
	DENIED("binary not in policy api-name");
	nearest_is(NEAR_ANCESTOR, 24, "'ancestors: false'");
	ASK(.exe = "/opt/a/b/tool");
	nearest_is(NEAR_BINARY, 25, "which does not match /opt/a/b/tool: '*' stays within one segment");
	ASK(.tainted = true);
	DENIED("tainted");
	nearest_is(NEAR_TAINTED, 23, "allow_tainted: true");
}

static void rules(void **state)
{
	(void)state;
	ASK(.method = "POST", .target = "/repos/x");
	DENIED("POST /repos/x not permitted by policy");
	assert_int_equal(g.x.status, 403);
	nearest_is(NEAR_METHOD, 10, "line 10 of block api (GET /repos/*) allows this path, not for POST");
	ASK(.method = "get", .target = "/repos/x");
	nearest_is(NEAR_METHOD, 10, "methods are compared with their case");
	ASK(.method = "GET", .target = "/repos/x/y");
	nearest_is(NEAR_PATH, 10, "'*' stays within one segment, '**' crosses '/'");
	ASK(.method = "PUT", .target = "/tree");
	nearest_is(NEAR_PATH, 13, "stands for what is below");
	ASK(.method = "POST", .target = "/repos/a/issues/");
	nearest_is(NEAR_PATH, 11, "has a '/' at its end");
	ASK(.method = "POST", .target = "/repos/a/Issues");
	nearest_is(NEAR_PATH, 11, "compared with their case");
	ASK(.method = "POST", .target = "/repos/a/pulls");
	nearest_is(NEAR_PATH, 11, "agrees with this path up to /repos/a/");
	ASK(.method = "HEAD", .target = "/gex"); /* what agrees longest, not what comes first */
	nearest_is(NEAR_PATH, 12, "agrees with this path up to /ge");
	ASK(.method = "PATCH", .target = "/slash/q/y");
	nearest_is(NEAR_PATH, 14, "up to /slash/q/");
	ASK(.method = "OPTIONS", .target = "/nowhere");
	nearest_is(NEAR_METHOD, 15, "allows this path, not for OPTIONS");
	ASK(.method = "DELETE", .target = "/repos/keep");
	DENIED("DELETE /repos/keep blocked by deny rule");
	assert_int_equal(g.x.rule_line, 17);
	nearest_is(NEAR_ALLOW, 15, "a deny rule wins over every allow rule");
}

static void queries(void **state)
{
	(void)state;
	ASK(.method = "GET", .target = "/get?slug=skill-1&version=2.0");
	assert_int_equal(g.x.decision, EXPLAIN_ALLOW);
	ASK(.method = "GET", .target = "/get?slug=skill-1");
	nearest_is(NEAR_QUERY, 12, "wants the query to have version (1.* or 2.*)");
	ASK(.method = "GET", .target = "/get?version=1.0&slug=other");
	nearest_is(NEAR_QUERY, 12, "wants slug to be skill-*, not 'other'");
	ASK(.method = "GET", .target = "/get?version=1.0&version=3&slug=skill-2");
	nearest_is(NEAR_QUERY, 12, "wants version to be 1.* or 2.*, not '3'");
}

static void selectors(void **state)
{
	(void)state;
	ASK(.host = "sel.test", .method = "GET", .target = "/v3/x");
	nearest_is(NEAR_SELECTOR, 28, "its endpoint (line 28) is for paths that match /v1/**");
	ASK(.host = "sel.test", .method = "POST", .target = "/v1/x");
	nearest_is(NEAR_SELECTOR, 29, "its endpoint (line 29) is for paths that match /v2/**");
}

static void refused(void **state)
{
	(void)state;
	ASK(.method = "GET", .target = "/a/%2e%2e/%2e%2e/x");
	DENIED("request target refused: traversal");
	assert_int_equal(g.x.status, 400);
	assert_non_null(strstr(g.x.note, "climb above the root"));
	ASK(.method = "GET", .target = "/repos/a%2fb");
	DENIED("request target refused: encoded_slash");
	ASK(.method = "GET", .target = "/get?a=%zz");
	DENIED("malformed query");
	ASK(.method = "GET", .target = "https://API.github.com:443/repos/x");
	assert_int_equal(g.x.decision, EXPLAIN_ALLOW);
	ASK(.method = "GET", .target = "https://api.github.com:444/repos/x");
	DENIED("request target names api.github.com:444, the connection's host is api.github.com");
	assert_int_equal(g.x.status, 403);
}

/* The sets of nodes say what the automaton of the same glob says. */
static void matching(void **state)
{
	static const struct {
		const char *glob, *text;
		bool is;
	} v[] = {
		{"/a/*", "/a/b", true},	     {"/a/*", "/a/b/c", false},	  {"/a/**", "/a/b/c", true},
		{"/a/**", "/a", false},	     {"/a/**/z", "/a/z", true},	  {"/a/**/z", "/a/b/c/z", true},
		{"/a/**/z", "/a/bz", false}, {"/{x,y}?", "/yz", true},	  {"/{x,y}?", "/y", false},
		{"/[!a]b", "/cb", true},     {"/\xc3\xa4", "/%C3%A4", true}, {"/?", "/%C3%A4", true},
		{"**", "/any", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		if (match_glob(slice_str(v[i].glob), GLOB_PATH, slice_str(v[i].text), NULL) != v[i].is)
			fail_msg("%s on %s", v[i].glob, v[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allowed),  cmocka_unit_test(permits),	cmocka_unit_test(audit),
		cmocka_unit_test(ports_and_hosts), cmocka_unit_test(binaries), cmocka_unit_test(rules),
		cmocka_unit_test(queries),  cmocka_unit_test(selectors), cmocka_unit_test(refused),
		cmocka_unit_test(matching),
	};

	return cmocka_run_group_tests(tests, up, down);
}
