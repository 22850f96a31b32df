/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_suggest.c - suggestions: the text that is written, and that it allows what was denied and
 * nothing else. */
#include "policy_fixture.h"

#include "policy/lint.h"
#include "policy/suggest.h"

#define S(x) SLICE_LIT(x)
#define HEAD "version: 1\nnetwork_policies:\n"
#define T0 1767225600000000000ull /* 2026-01-01T00:00:00Z */
#define DAY 86400000000000ull
#define WHEN .count = 1, .first_ns = T0, .last_ns = T0
#define CURL .binary = S("/usr/bin/curl"), WHEN
#define CONN(h, p) {.host = S(h), .port = p, CURL}
#define REQ(h, m, x) {.request = true, .host = S(h), .port = 443, .method = S(m), .path = S(x), CURL}

static const struct suggest_options plain = {.lint = policy_lint};
static const struct suggest_options general = {.generalise = true};

static struct suggestion ask(const char *text, const struct denial *v, size_t n,
			     const struct suggest_options *o)
{
	struct policy_diags d = {0};
	struct suggestion s;

	assert_int_equal(suggest(slice_str(text), v, n, o, &d, &s), 0);
	policy_diags_done(&d);
	return s;
}

static void gives(const char *text, const struct denial *v, size_t n, const char *want)
{
	struct suggestion s = ask(text, v, n, &plain);

	for (size_t i = 0; i < s.nnotes; i++)
		print_error("%s\n", s.notes[i]);
	assert_string_equal(s.e.text, want);
	assert_int_equal(s.nnotes, 0);
	assert_int_equal(s.allowed, n);
	suggestion_done(&s);
}

/* Unchanged, and the note says why. */
static void refuses(const char *text, const struct denial *d, const char *words)
{
	struct suggestion s = ask(text, d, 1, &plain);

	assert_string_equal(s.e.text, text);
	assert_int_equal(s.edits, 0);
	assert_int_equal(s.nnotes, 1);
	if (!strstr(s.notes[0], words))
		fail_msg("'%s' lacks '%s'", s.notes[0], words);
	suggestion_done(&s);
}

#define ONE "# once, 2026-01-01T00:00:00Z: /usr/bin/curl "

static void test_connections(void **state)
{
	const struct denial web = CONN("api.x.com", 443), ssh = CONN("10.0.0.1", 22);
	const struct denial six = CONN("2606:4700::1", 22);
	struct denial script = web;

	(void)state;
	gives("version: 1\n", &web, 1,
	      HEAD "  " ONE "to api.x.com:443\n  # reading only: what else it needs shows as denied "
		   "requests, for another suggestion\n  api_x_com:\n    endpoints:\n      - {host: "
		   "api.x.com, port: 443, protocol: rest, access: read-only}\n    binaries: [{path: "
		   "/usr/bin/curl, ancestors: false}]\n");
	gives(HEAD, &ssh, 1,
	      HEAD "  " ONE "to 10.0.0.1:22\n  # the bytes are not looked at\n  host_10_0_0_1:\n    "
		   "endpoints:\n      - {host: 10.0.0.1, port: 22}\n    binaries: [{path: "
		   "/usr/bin/curl, ancestors: false}]\n");
	gives(HEAD, &six, 1,
	      HEAD "  " ONE "to [2606:4700::1]:22\n  # the bytes are not looked at\n  "
		   "host_2606_4700_1:\n    endpoints:\n      - {host: \"2606:4700::1\", port: 22}\n  "
		   "  binaries: [{path: /usr/bin/curl, ancestors: false}]\n");
	gives(HEAD "  a:\n    endpoints: [{host: API.x.com, port: 443, protocol: rest, access: "
		   "read-only}]\n    binaries:\n      - {path: /a}\n",
	      &web, 1,
	      HEAD "  a:\n    endpoints: [{host: API.x.com, port: 443, protocol: rest, access: "
		   "read-only}]\n    binaries:\n      - {path: /a}\n      " ONE "to api.x.com:443\n   "
		   "   - {path: /usr/bin/curl, ancestors: false}\n");
	gives(HEAD "  a:\n    endpoints:\n    - {host: o.o, port: 1}\n    binaries: [{path: "
		   "/usr/bin/curl, ancestors: false}]\n",
	      &ssh, 1,
	      HEAD "  a:\n    endpoints:\n    - {host: o.o, port: 1}\n    " ONE "to 10.0.0.1:22\n    # "
		   "the bytes are not looked at\n    - {host: 10.0.0.1, port: 22}\n    binaries: "
		   "[{path: /usr/bin/curl, ancestors: false}]\n");
	script.script = S("/opt/my tool");
	script.count = 3;
	script.last_ns += DAY;
	gives(HEAD, &script, 1,
	      HEAD "  # 3 times, first 2026-01-01T00:00:00Z, last 2026-01-02T00:00:00Z: /opt/my tool "
		   "(run by /usr/bin/curl) to api.x.com:443\n  # reading only: what else it needs "
		   "shows as denied requests, for another suggestion\n  api_x_com:\n    endpoints:\n  "
		   "    - {host: api.x.com, port: 443, protocol: rest, access: read-only}\n    "
		   "binaries: [{path: \"/opt/my tool\", ancestors: false}]\n");
	refuses(HEAD, &(struct denial)CONN("169.254.169.254", 80), "never allowed");
	refuses(HEAD, &(struct denial)CONN("a b.x", 80), "host");
	refuses(HEAD, &(struct denial)CONN("*.x.com", 80), "pattern");
	refuses(HEAD, &(struct denial)CONN("x.com", 53), "port 53");
	refuses(HEAD, &(struct denial){.host = S("x.com"), .port = 1, .binary = S("/a\\b"), WHEN},
		"cannot be written");
	refuses(HEAD, &(struct denial){.why_not = "tainted: LD_PRELOAD", .host = S("x.com"), .port = 1,
				       .binary = S("/a"), WHEN},
		"tainted: LD_PRELOAD");
}

#define API(more)                                                                                  \
	HEAD "  a:\n    endpoints:\n      - {host: api.x.com, port: 443, protocol: rest, " more "}\n" \
	     "    binaries: [{path: /usr/bin/curl}]\n"
#define RULES "rules: [{allow: {method: GET}}]"

static void test_requests(void **state)
{
	const struct denial post = REQ("api.x.com", "POST", "/a");
	const char *lines = HEAD "  a:\n    endpoints:\n      - host: api.x.com\n        port: 443\n  "
				 "      protocol: rest\n        rules:\n          - allow: {method: GET} "
				 "# read\n    binaries: [{path: /usr/bin/curl}]\n";

	(void)state;
	gives(lines, &post, 1,
	      HEAD "  a:\n    endpoints:\n      - host: api.x.com\n        port: 443\n        "
		   "protocol: rest\n        rules:\n          - allow: {method: GET} # read\n        "
		   "  " ONE "POST /a at api.x.com:443\n          - allow: {method: POST, path: /a}\n  "
		   "  binaries: [{path: /usr/bin/curl}]\n");
	gives(API("access: read-only"), &post, 1,
	      HEAD "  a:\n    endpoints:\n      - {host: api.x.com, port: 443, protocol: rest, "
		   "access: read-only}\n      - host: api.x.com\n        port: 443\n        protocol: "
		   "rest\n        rules:\n          " ONE "POST /a at api.x.com:443\n          - "
		   "allow: {method: POST, path: /a}\n    binaries: [{path: /usr/bin/curl}]\n");
	/* as the endpoint beside it: audit, selector, addresses */
	gives(API("access: read-only, enforcement: audit, path: /a, allowed_ips: [10.0.0.0/8]"), &post,
	      1,
	      HEAD "  a:\n    endpoints:\n      - {host: api.x.com, port: 443, protocol: rest, "
		   "access: read-only, enforcement: audit, path: /a, allowed_ips: [10.0.0.0/8]}\n     "
		   " - host: api.x.com\n        port: 443\n        protocol: rest\n        "
		   "enforcement: audit\n        path: /a\n        allowed_ips: [10.0.0.0/8]\n     "
		   "   rules:\n          " ONE "POST /a at api.x.com:443\n          - allow: {method: "
		   "POST, path: /a}\n    binaries: [{path: /usr/bin/curl}]\n");
	refuses(API(RULES ", deny_rules: [{path: /a}]"), &post, "deny rule forbids it (line 5)");
}

/* ------------------------------------------------------------------ nothing else opens -- */

static const char *const methods[] = {"GET", "POST", "PUT", "HEAD"};
static const char *const paths[] = {"/",	"/a",	    "/a/b",	"/a/1",	    "/a/2",
				    "/a/1/x",	"/a*b",	    "/axb",	"/a%5Bb%5D", "/ab",
				    "/a%2Fb",	"/%C3%A9",  "/x,y",	"/x",	    "/%7Ba,b%7D"};
static const char *const hosts[] = {"api.x.com", "b.x.com", "api.y.com", "10.0.0.1"};
static const char *const exes[] = {"/usr/bin/curl", "/usr/bin/git", "/opt/a*", "/opt/ab"};
static const uint16_t ports[] = {443, 80, 8443};

static bool allowed(const struct image *img, const struct denial *d)
{
	const struct ident_paths id = {.exe = d->binary};
	struct request_decision r;
	struct connect_decision c;
	struct block_bits bits;
	struct dest dest;

	image_ident_bits(img, &id, &bits);
	dest_from_text(&dest, d->host, d->port);
	image_decide_connect(img, &bits, &dest, &c);
	if (c.verdict != CONNECT_PROXY || !d->request)
		return c.verdict != CONNECT_DENY;
	image_decide_request(img, &c, &(struct request){.method = d->method, .path = d->path}, &r);
	return r.verdict == REQUEST_ALLOW;
}

static bool asked_for(const struct denial *d, size_t n, const struct denial *probe)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(d[i].host, probe->host) && d[i].port == probe->port &&
		    slice_eq(d[i].method, probe->method) && slice_eq(d[i].path, probe->path))
			return true;
	return false;
}

/* For other programs of a block a rule holds too, so programs are not compared here. */
static void nothing_else(const char *text, const struct denial *d, size_t n)
{
	struct suggestion s = ask(text, d, n, &plain);
	struct fixture_image was, now;

	assert_int_equal(s.allowed, n);
	fixture_image(text, &was);
	fixture_image(s.e.text, &now);
	for (size_t i = 0; i < ARRAY_LEN(methods) * ARRAY_LEN(paths) * ARRAY_LEN(hosts) *
				       ARRAY_LEN(exes) * ARRAY_LEN(ports);
	     i++) {
		size_t k = i;
		struct denial q = {.request = true};

		q.method = slice_str(methods[k % ARRAY_LEN(methods)]);
		k /= ARRAY_LEN(methods);
		q.path = slice_str(paths[k % ARRAY_LEN(paths)]);
		k /= ARRAY_LEN(paths);
		q.host = slice_str(hosts[k % ARRAY_LEN(hosts)]);
		k /= ARRAY_LEN(hosts);
		q.binary = slice_str(exes[k % ARRAY_LEN(exes)]);
		q.port = ports[k / ARRAY_LEN(exes)];
		if (!asked_for(d, n, &q) && allowed(&was.img, &q) != allowed(&now.img, &q))
			fail_msg("%s %s at %s:%u by %s changed in\n%s", (const char *)q.method.p,
				 (const char *)q.path.p, (const char *)q.host.p, q.port,
				 (const char *)q.binary.p, s.e.text);
	}
	for (size_t i = 0; i < n; i++)
		assert_true(allowed(&now.img, &d[i]));
	fixture_image_done(&was);
	fixture_image_done(&now);
	suggestion_done(&s);
}

static void test_nothing_else(void **state)
{
	static const char *const policies[] = {
		API("access: read-only"),
		API(RULES),
		API("path: \"/a/**\", enforcement: audit, " RULES),
		API("allow_encoded_slash: true, access: read-only"),
		HEAD "  a: {endpoints: [{host: \"*.x.com\", ports: [80, 443], protocol: rest, access: "
		     "read-only}], binaries: [{path: /usr/bin/curl}]}\n",
		HEAD "  a: {endpoints: [{host: \"**.x.com\", port: 443, protocol: rest, path: "
		     "/x, " RULES "}, {host: \"*.x.com\", port: 443, protocol: rest, path: "
		     "\"/a/*\", " RULES "}], binaries: [{path: \"/usr/**\"}]}\n",
		HEAD "  a: {endpoints: &e [{host: api.x.com, port: 443, protocol: rest, " RULES
		     "}], binaries: [{path: /usr/bin/curl}]}\n  b: {endpoints: *e, binaries: [{path: "
		     "/b}]}\n",
	};
	const struct denial d[] = {REQ("api.x.com", "POST", "/a/1"), REQ("api.x.com", "PUT", "/a*b"),
				   REQ("api.x.com", "PUT", "/a%5Bb%5D"),
				   REQ("api.x.com", "POST", "/%C3%A9"),
				   REQ("api.x.com", "POST", "/%7Ba,b%7D")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
		nothing_else(policies[i], d, ARRAY_LEN(d));
		nothing_else(policies[i], d + 1, 1);
	}
	nothing_else(API("allow_encoded_slash: true, access: read-only"),
		     &(struct denial)REQ("api.x.com", "POST", "/a%2Fb"), 1);
}

static void test_programs(void **state)
{
	const struct denial star = {.host = S("api.y.com"), .port = 22, .binary = S("/opt/a*"), WHEN};
	struct suggestion s = ask(API(RULES), &star, 1, &plain);
	struct fixture_image img;
	struct denial other = star;

	(void)state;
	fixture_image(s.e.text, &img);
	other.binary = S("/opt/ab");
	assert_true(allowed(&img.img, &star));
	assert_false(allowed(&img.img, &other));
	fixture_image_done(&img);
	suggestion_done(&s);
}

static void test_generalise(void **state)
{
	const struct denial d[] = {
		REQ("api.x.com", "POST", "/r/17/x"),
		REQ("api.x.com", "POST", "/r/18/x"),
		REQ("api.x.com", "POST", "/c/0123abc"),
		REQ("api.x.com", "POST", "/u/123e4567-e89b-12d3-a456-426614174000/"),
		REQ("api.x.com", "POST", "/v1/abcdefa"),
	};
	struct suggestion s = ask(API(RULES), d, ARRAY_LEN(d), &general);

	(void)state;
	assert_int_equal(s.allowed, ARRAY_LEN(d));
	assert_int_equal(s.edits, 4);
	assert_non_null(strstr(s.e.text, "path: \"/r/*/x\""));
	assert_non_null(strstr(s.e.text, "# 2 times, last 2026-01-01T00:00:00Z: /usr/bin/curl POST "
					 "/r/18/x at api.x.com:443 (one of 2 paths)"));
	assert_non_null(strstr(s.e.text, "path: \"/c/*\""));
	assert_non_null(strstr(s.e.text, "path: \"/u/*/\""));
	assert_non_null(strstr(s.e.text, "path: /v1/abcdefa"));
	suggestion_done(&s);
}

static void test_already(void **state)
{
	const struct denial d[] = {REQ("api.x.com", "GET", "/x"), CONN("api.x.com", 443)};
	struct suggestion s = ask(API(RULES), d, 2, &plain);

	(void)state;
	assert_int_equal(s.already, 2);
	assert_int_equal(s.edits, 0);
	assert_string_equal(s.e.text, API(RULES));
	suggestion_done(&s);
}

/* Words from inside the sandbox stay data. */
static void test_hostile(void **state)
{
	const struct denial d[] = {
		{.host = S("a.b"), .port = 1, .binary = S("/x\"\n}]\nversion: 2 #"), WHEN},
		{.host = S("a.b"), .port = 1, .binary = S("/x'}, {path: /**}"), WHEN},
		{.host = S("a.b\n  c:"), .port = 1, .binary = S("/x"), WHEN},
		{.request = true, .host = S("api.x.com"), .port = 443, .method = S("PO\nST"),
		 .path = S("/a"), CURL},
		{.request = true, .host = S("api.x.com"), .port = 443, .method = S("GET\", x"),
		 .path = S("/a"), CURL},
		REQ("api.x.com", "POST", "/'&$:,(%22%23)*"),
	};
	struct suggestion s = ask(API(RULES), d, ARRAY_LEN(d), &plain);
	size_t blocks, endpoints;

	(void)state;
	policy_counts(s.e.policy, &blocks, &endpoints);
	assert_int_equal(s.edits, 2);
	assert_int_equal(blocks, 2);
	assert_int_equal(endpoints, 2);
	assert_true(slice_eq_str(s.e.policy->blocks[1].binaries[0].path, "/x'}, [{]path: /[*][*]}"));
	assert_int_equal(s.nnotes, 4);
	suggestion_done(&s);
}

/* What `policy check` says of an addition is said at its place. */
static void test_warnings(void **state)
{
	const char *text = "version: 1\nfilesystem_policy: {read_write: [/work]}\nnetwork_policies:\n";
	const struct denial d = {.host = S("a.b"), .port = 1, .binary = S("/work/tool"), WHEN};
	struct suggestion s = ask(text, &d, 1, &plain);

	(void)state;
	assert_int_equal(s.warnings.n, 1);
	assert_non_null(strstr(s.e.text, "    # policy check warns here: "));
	suggestion_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections), cmocka_unit_test(test_requests),
		cmocka_unit_test(test_nothing_else), cmocka_unit_test(test_programs),
		cmocka_unit_test(test_generalise), cmocka_unit_test(test_already),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_warnings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
