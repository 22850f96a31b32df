/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_diff.c - policies that mean the same, policies that do not, and against trying everything. */
#include "policy/diff.h"
#include "policy/host.h"
#include "tests/unit/policy_random.h"

#define HEAD "version: 1\nnetwork_policies:\n"
#define BLOCK(name, endpoints, ...)                                                               \
	"  " name ":\n    endpoints: [" endpoints "]\n    binaries: [" __VA_ARGS__ "]\n"
#define REST "protocol: rest, "
#define A "{path: /a}"
#define B "{path: /b}"

static int run(const char *before, const char *after, struct diff *ret)
{
	_cleanup_(fixture_image_done) struct fixture_image x = {0}, y = {0};

	fixture_image(before, &x);
	fixture_image(after, &y);
	return policy_diff(&x.img, &y.img, ret);
}

/* One line an item. */
static char *words(const struct diff *d)
{
	static const char *const how[] = {"allowed", "denied", "treatment", "mode", "address"};
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	for (size_t i = 0; i < d->n; i++) {
		_cleanup_free_ char *w = witness_words(&d->v[i].w);

		fprintf(f, "%s%s: %s", i ? "\n" : "", how[d->v[i].how], w);
		for (size_t k = 0; d->v[i].also && d->v[i].also[k]; k++)
			fprintf(f, ", %s", d->v[i].also[k]);
	}
	fclose(f);
	return text;
}

static void expect(const char *before, const char *after, const char *want)
{
	struct diff d = {0};
	_cleanup_free_ char *text = NULL;

	assert_int_equal(run(before, after, &d), 0);
	text = words(&d);
	diff_done(&d);
	assert_string_equal(text, want);
}

/* And the other way round, where allowed and denied change places. */
static void expect_same(const char *a, const char *b)
{
	expect(a, b, "");
	expect(b, a, "");
}

static void test_same(void **state)
{
	(void)state;
	expect_same(HEAD BLOCK("x", "{host: a.io, port: 1}, {host: b.io, port: 2}", A ", " B)
			    BLOCK("y", "{host: c.io, port: 3}", A),
		    HEAD BLOCK("z", "{host: C.io, port: 3}", A)
			    BLOCK("w", "{host: b.io., port: 2}, {host: a.io, port: 1}", B ", " A));
	expect_same(HEAD BLOCK("x", "{host: a.io, port: 1, " REST "access: read-only}", A),
		    HEAD BLOCK("x", "{host: a.io, port: 1, " REST
				    "rules: [{allow: {method: OPTIONS, path: \"/**\"}}, {allow: {method: GET}}]}", A));
	expect_same(HEAD BLOCK("x", "{host: a.io, port: 1, " REST
				    "rules: [{allow: {method: GET, path: \"/a/**\"}}, {allow: {method: GET, path: \"/a/b/**\"}}]}", A),
		    HEAD BLOCK("x", "{host: a.io, port: 1, " REST
				    "rules: [{allow: {method: GET, path: \"/a/**\"}}]}", A));
	expect_same(HEAD BLOCK("x", "{host: a.io, ports: [1, 2]}", A),
		    HEAD BLOCK("x", "{host: a.io, port: 2}, {host: a.io, port: 1}", A));
	expect_same(HEAD BLOCK("x", "{host: a.io, port: 1}", A) BLOCK("y", "{host: a.io, port: 1}", B),
		    HEAD BLOCK("x", "{host: a.io, port: 1}", B ", " A));
	expect_same(HEAD BLOCK("x", "{host: a.io, port: 1}", "{path: \"/[ab]\"}"),
		    HEAD BLOCK("x", "{host: a.io, port: 1}", A ", " B));
	expect_same(HEAD BLOCK("x", "{host: \"*.t.io\", port: 1}, {host: a.t.io, port: 2}", A),
		    HEAD BLOCK("x", "{host: a.t.io, port: 2}, {host: \"*.t.io\", port: 1}", A));
	expect_same(HEAD BLOCK("x", "{host: a.io, port: 1, allowed_ips: [10.0.0.0/8]}", A),
		    HEAD BLOCK("x", "{host: a.io, port: 1, allowed_ips: [10.128.0.0/9, 10.0.0.0/9]}", A));
	expect_same(HEAD BLOCK("x", "{host: a.io, port: 1, " REST
				    "rules: [{allow: {method: GET, query: {q: {any: [x, y]}}}}]}", A),
		    HEAD BLOCK("x", "{host: a.io, port: 1, " REST
				    "rules: [{allow: {method: GET, query: {q: \"[xy]\"}}}]}", A));
	/* never reached: the connection is one of another block's already */
	expect_same(HEAD BLOCK("x", "{host: a.io, port: 1}", A ", {path: \"/**\", ancestors: false}"),
		    HEAD BLOCK("x", "{host: a.io, port: 1}", "{path: \"/**\", ancestors: false}, " A));
}

static void test_connections(void **state)
{
	(void)state;
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443}, {host: b.io, port: 443}", A),
	       "allowed: /a -> b.io:443");
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443}", B),
	       "denied: /a -> a.io:443\nallowed: /b -> a.io:443");
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443}", "{path: \"/**\"}"),
	       "allowed: /b -> a.io:443");
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443}", "{path: /a, ancestors: false}"),
	       "denied: /b (below /a) -> a.io:443");
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", "{path: /a, allow_tainted: true}"),
	       HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       "denied: /a (started with loader variables) -> a.io:443");
	expect(HEAD BLOCK("x", "{host: \"*.t.io\", port: 443}", A),
	       HEAD BLOCK("x", "{host: \"**.t.io\", port: 443}", A), "allowed: /a -> a.a.t.io:443");
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 444}", A),
	       "denied: /a -> a.io:443\nallowed: /a -> a.io:444");
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443, " REST "tls: skip}", A),
	       "treatment: /a -> a.io:443");
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443, " REST "access: read-only}", A),
	       "treatment: /a -> a.io:443\ndenied: /a PUT https://a.io:443/");
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443}", A)
		       BLOCK("y", "{host: a.io, port: 443, " REST "access: full}", B),
	       "treatment: /b (running /a) -> a.io:443\nallowed: /b GET https://a.io:443/");
}

static void test_requests(void **state)
{
#define EP(rest) HEAD BLOCK("x", "{host: a.io, port: 443, " REST rest "}", A)
	(void)state;
	expect(EP("access: read-only"), EP("access: read-write"), "allowed: /a PUT https://a.io:443/");
	expect(EP("access: full"), EP("access: full, deny_rules: [{method: DELETE, path: \"/x/*\"}]"),
	       "denied: /a DELETE https://a.io:443/x/");
	expect(EP("rules: [{allow: {method: GET, path: /a}}]"),
	       EP("rules: [{allow: {method: GET, path: /a}}, {allow: {method: POST, path: \"/r/*/i\"}}]"),
	       "allowed: /a POST https://a.io:443/r/a/i");
	expect(EP("access: read-only, enforcement: audit"), EP("access: read-only"),
	       "denied: /a PUT https://a.io:443/");
	expect(EP("rules: [{allow: {method: GET}}], enforcement: audit"),
	       EP("rules: [{allow: {method: PUT}}, {allow: {method: GET}}], enforcement: audit"),
	       "mode: /a PUT https://a.io:443/");
	expect(EP("access: full, path: \"/v1/**\""), EP("access: full, path: \"/v[12]/**\""),
	       "allowed: /a GET https://a.io:443/v2/");
	expect(EP("access: full"), EP("access: full, allow_encoded_slash: true"),
	       "allowed: /a GET https://a.io:443/%2F");
	expect(EP("rules: [{allow: {method: GET, query: {q: \"x*\"}}}]"),
	       EP("rules: [{allow: {method: GET, query: {q: \"x?*\"}}}]"),
	       "denied: /a GET https://a.io:443/?q=x");
	expect(EP("access: full, deny_rules: [{method: GET, query: {q: {any: [x, y]}}}]"),
	       EP("access: full, deny_rules: [{method: GET, query: {q: x}}]"),
	       "allowed: /a GET https://a.io:443/?q=y");
	expect(EP("rules: [{allow: {method: GET, query: {q: x}}}]"),
	       EP("rules: [{allow: {method: GET, query: {q: x, r: y}}}]"),
	       "denied: /a GET https://a.io:443/?q=x");
}

/* All that one side takes is refused, the other takes nothing. */
static void test_empty(void **state)
{
	(void)state;
	expect(HEAD BLOCK("x", "{host: b.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: b.io, port: 443}, {host: a.io, port: 443, " REST
			       "access: read-only, deny_rules: [{path: \"/**\"}]}", A),
	       "treatment: /a -> a.io:443");
}

static void test_addresses(void **state)
{
	(void)state;
	expect(HEAD BLOCK("x", "{host: a.io, port: 443, allowed_ips: [10.0.0.0/8]}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443, allowed_ips: [10.0.0.0/9]}", A),
	       "address: /a -> a.io:443 at 10.128.0.0\ndenied: /a -> 10.128.0.0:443");
}

static void test_exactness(void **state)
{
	struct diff d = {0};

	(void)state;
	/* one name by pattern instead of exactly: private addresses are out, and other names are in */
	assert_int_equal(run(HEAD BLOCK("x", "{host: a.t.io, port: 443}", A),
			     HEAD BLOCK("x", "{host: \"a*.t.io\", port: 443}", A), &d),
			 0);
	assert_int_equal(d.n, 2);
	assert_int_equal(d.v[0].how, DIFF_ADDRESS);
	assert_true(d.v[0].admits[0] && !d.v[0].admits[1]);
	assert_int_equal(d.v[1].how, DIFF_ALLOWED);
	diff_done(&d);
}

static void test_also(void **state)
{
	(void)state;
	expect(HEAD BLOCK("x", "{host: a.io, port: 443}", A),
	       HEAD BLOCK("x", "{host: a.io, port: 443}", A ", " B)
		       BLOCK("y", "{host: a.io, port: 443}", "{path: /c}"),
	       "allowed: /b -> a.io:443, /c");
}

/* Shapes: many hosts alike are many differences, and none is missed. */
static void test_many(void **state)
{
	char *one = NULL, *two = NULL;
	size_t n;
	struct diff d = {0};
	FILE *f = open_memstream(&one, &n), *g = open_memstream(&two, &n);

	(void)state;
	fputs(HEAD "  x:\n    binaries: [" A "]\n    endpoints:\n", f);
	fputs(HEAD "  x:\n    binaries: [" A "]\n    endpoints:\n", g);
	for (int i = 0; i < 1000; i++) {
		fprintf(f, "      - {host: h%d.io, port: 1}\n", i);
		if (i >= 500)
			fprintf(g, "      - {host: h%d.io, port: 1}\n", i);
	}
	fclose(f);
	fclose(g);
	assert_int_equal(run(one, two, &d), 0);
	assert_int_equal(d.n + d.more, 500);
	assert_in_range(d.n, 100, 500);
	for (size_t i = 0; i < d.n; i++)
		assert_int_equal(d.v[i].how, DIFF_DENIED);
	diff_done(&d);
	free(one);
	free(two);
}

/* ------------------------------------------------------------------- static sections -- */

static void test_static(void **state)
{
	static const char a[] = "version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/x, /y]}\n";
	static const char b[] = "version: 1\nfilesystem_policy: {read_only: [/y, /z], include_workdir: false}\n"
				"process: {run_as_user: bob}\n";
	_cleanup_(policy_freep) struct policy *p = fixture_policy(slice_str(a)),
					      *q = fixture_policy(slice_str(b));
	_cleanup_free_ struct diff_static *v = NULL, *none = NULL;
	size_t n = 9;

	(void)state;
	assert_int_equal(policy_diff_static(policy_static(p), policy_static(p), &none, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(policy_diff_static(policy_static(p), policy_static(q), &v, &n), 0);
	assert_int_equal(n, 4);
	assert_string_equal(v[0].field, "filesystem_policy.include_workdir");
	assert_string_equal(v[1].before, "/x");
	assert_null(v[1].after);
	assert_string_equal(v[2].after, "/z");
	assert_string_equal(v[3].after, "bob");
}

/* --------------------------------------------------------------- classes of addresses -- */

static bool never(const struct address *a)
{
	return OSH_ADDR_NEVER(address_class(a->family, a->addr));
}

/* Every sample of all /24 networks, and random IPv6 addresses near the edges: the language says what
 * the class says. */
static void test_address_language(void **state)
{
	uint64_t seed = 3;
	struct table_dfa t;
	struct automaton a;

	(void)state;
	assert_int_equal(lang_address(&t), 0);
	a = automaton_of_table(&t);
	for (uint32_t i = 0; i < 1u << 24; i += 1) {
		struct address x = {4, {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, (uint8_t)(i * 7)}};
		uint8_t in[5] = {'4'};

		memcpy(in + 1, x.addr, 4);
		if (!t.states[automaton_walk(&a, a.start, (struct slice){in, 5})].accept != never(&x))
			fail_msg("%u.%u.%u.%u", in[1], in[2], in[3], in[4]);
	}
	for (int i = 0; i < 2000000; i++) {
		static const uint16_t heads[] = {0, 0x64, 0x2001, 0x2002, 0xfe80, 0xfec0, 0xfc00, 0xff00,
						 0x100, 0x3fff, 0x2000, 0x4000, 0xfe00, 0xfdff};
		struct address x = {.family = 6};
		uint8_t in[17] = {'6'}, family = 6;
		uint16_t head = PICK(&seed, heads);

		for (size_t k = 0; k < 16; k++)
			x.addr[k] = rnd(&seed, 3) ? 0 : rnd(&seed, 4) ? (uint8_t)rnd(&seed, 256) : 0xff;
		x.addr[0] = (uint8_t)(head >> 8);
		x.addr[1] = (uint8_t)head;
		memcpy(in + 1, x.addr, 16);
		address_unmap(&family, x.addr);
		if (family == 4)
			continue;
		if (!t.states[automaton_walk(&a, a.start, (struct slice){in, 17})].accept != never(&x))
			fail_msg("%02x%02x:%02x%02x", in[1], in[2], in[3], in[4]);
	}
	table_dfa_done(&t);
}

/* ------------------------------------------------------------------- trying everything -- */

/* The text with one word replaced by another. */
static char *mutate(uint64_t *s, const char *text)
{
	static const char *const words[] = {"GET",   "PUT",	"/a",	 "/b",	       "port: 1", "port: 2", "a.t.io",
					    "b.t.io", "read-only", "full", "\"x*\"", "true",	  "false",   "q: "};
	for (int tries = 0; tries < 100; tries++) {
		const char *from = PICK(s, words), *to = PICK(s, words), *at = text;
		size_t hits = 0, pick;
		char *out;

		for (const char *p = text; (p = strstr(p, from)); p++)
			hits++;
		if (!hits || from == to)
			continue;
		pick = rnd(s, (uint32_t)hits);
		for (at = strstr(text, from); pick--; at = strstr(at + 1, from))
			;
		if (asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) < 0)
			abort();
		return out;
	}
	return strdup(text);
}

/* What the two sides make of a connection or request: passes, inspected, audited. */
static uint32_t meaning(const struct image *img, const struct connect_decision *c, const struct request *q)
{
	struct decided d;

	decide_request(img, c, q, &d);
	if (!q)
		return d.outcome;
	if (d.outcome == OUT_AUDIT)
		return 2;
	return outcome_passes(d.outcome);
}

static bool try_all(const struct image *x, const struct image *y)
{
	static struct world_request q[WORLD_REQUESTS];
	struct connect_decision last[2];
	const struct image *img[2] = {x, y};

	memset(last, 0xff, sizeof(last));
	for (uint32_t i = 0; i < WORLD_REQUESTS; i++) {
		world_request(i, &q[i]);
		q[i].q.query = q[i].pairs;
	}
	for (uint32_t i = 0; i < WORLD_CONNECTS; i++) {
		struct world_connect c;
		struct connect_decision d[2];
		bool same = true;

		world_connect(i, &c);
		for (size_t k = 0; k < 2; k++) {
			struct block_bits bits;

			image_ident_bits(img[k], &c.id, &bits);
			image_decide_connect(img[k], &bits, &c.dest, &d[k]);
			same &= d[k].dstset == last[k].dstset &&
				memcmp(&d[k].blocks, &last[k].blocks, sizeof(d[k].blocks)) == 0;
		}
		if (same)
			continue;
		memcpy(last, d, sizeof(d));
		if (meaning(x, &d[0], NULL) != meaning(y, &d[1], NULL))
			return true;
		for (uint32_t k = 0; k < WORLD_REQUESTS; k++)
			if (meaning(x, &d[0], &q[k].q) != meaning(y, &d[1], &q[k].q))
				return true;
	}
	return false;
}

static void test_against_everything(void **state)
{
	uint64_t seed = 33;
	size_t same = 0, differ = 0;

	(void)state;
	for (int i = 0; i < 150 || (same < 10 || differ < 50); i++) {
		_cleanup_free_ char *text = random_policy(&seed), *other = mutate(&seed, text);
		_cleanup_(fixture_image_done) struct fixture_image x = {0}, y = {0};
		struct diff d = {0};
		bool any;
		int r;

		if (!random_image(text, &x) || !random_image(other, &y))
			continue;
		r = policy_diff(&x.img, &y.img, &d);
		any = try_all(&x.img, &y.img);
		if (r < 0 || (any && d.n == 0))
			fail_msg("%d, %zu, trying says %d\n%s\n%s", r, d.n, any, text, other);
		same += d.n == 0;
		differ += d.n != 0;
		diff_done(&d);
		assert_int_equal(policy_diff(&x.img, &x.img, &d), 0);
		assert_int_equal(d.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_exactness),
		cmocka_unit_test(test_also),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_address_language),
		cmocka_unit_test(test_against_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
