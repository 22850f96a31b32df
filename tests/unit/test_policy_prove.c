/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_prove.c - what prove says of small policies, and against trying everything. */
#include "policy/prove.h"
#include "tests/unit/policy_random.h"

static struct prove_expr *expression(const char *text)
{
	struct prove_expr *e = NULL;
	char why[256] = "";

	if (prove_parse(slice_str(text), &e, why, sizeof(why)) < 0)
		fail_msg("%s: %s", text, why);
	return e;
}

/* The witness in words, or "proven". */
static const char *ask(const struct image *img, const char *text)
{
	static char buf[1024];
	_cleanup_(prove_expr_freep) struct prove_expr *e = expression(text);
	struct witness w;
	int r = prove_never(img, e, &w);

	if (r == 1) {
		_cleanup_free_ char *words = witness_words(&w);

		snprintf(buf, sizeof(buf), "%s", words);
		witness_done(&w);
	} else {
		snprintf(buf, sizeof(buf), "%s", r == 0 ? "proven" : strerror(-r));
	}
	return buf;
}

#define HEAD "version: 1\nnetwork_policies:\n"
#define BIN(...) "    binaries: [" __VA_ARGS__ "]\n"
#define CURL "{path: /usr/bin/curl}"

struct question {
	const char *expr, *answer;
};

static void check(const char *policy, const struct question *q, size_t n)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};

	fixture_image(policy, &f);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(ask(&f.img, q[i].expr), q[i].answer);
}
#define CHECK(policy, ...)                                                                        \
	do {                                                                                      \
		static const struct question q_[] = {__VA_ARGS__};                                \
		check(policy, q_, ARRAY_LEN(q_));                                                 \
	} while (0)

static void test_native(void **state)
{
	(void)state;
	CHECK(HEAD "  a:\n    endpoints: [{host: \"*.example.com\", ports: [443, 8080]}]\n" BIN(CURL),
	      {"host=**.evil.test", "proven"}, {"host=*.test", "proven"},
	      {"host=**.example.com", "/usr/bin/curl -> a.example.com:443"},
	      {"host=b.a.example.com", "proven"},
	      {"host=x.example.com port=1-442", "proven"},
	      {"host=x.example.com port=444-9000 method=DELETE",
	       "/usr/bin/curl -> x.example.com:8080"},
	      {"binary=/usr/bin/wget ancestor=none script=none", "proven"},
	      {"binary=/usr/bin/wget ancestor=none",
	       "/usr/bin/wget (running /usr/bin/curl) -> a.example.com:443"},
	      {"binary=/usr/bin/wget script=none",
	       "/usr/bin/wget (below /usr/bin/curl) -> a.example.com:443"},
	      {"tainted=yes", "proven"},
	      {"host=0.0.0.0/0", "proven"});
}

static void test_identity(void **state)
{
	(void)state;
	CHECK(HEAD "  a:\n    endpoints: [{host: h.io, port: 1}]\n" BIN(
		      "{path: /a, ancestors: false}, {path: /t/*, allow_tainted: true}"),
	      {"binary=/b script=none ancestor=/a", "/b (below /t/a, /a) -> h.io:1"},
	      {"binary=/b script=none ancestor=none", "proven"},
	      {"ancestor=none tainted=yes script=none",
	       "/t/a (started with loader variables) -> h.io:1"},
	      {"binary=/a tainted=yes script=none ancestor=none", "proven"},
	      {"binary=/a tainted=no", "/a -> h.io:1"}, {"binary=/x/** ancestor=none", "/x/a (running /a) -> h.io:1"},
	      {"script=/t/**", "/a (running /t/a) -> h.io:1"},
	      {"", "/a -> h.io:1"});
}

#define REST "protocol: rest, "
static void test_requests(void **state)
{
	(void)state;
	CHECK(HEAD "  api:\n    endpoints:\n      - {host: api.github.com, port: 443, " REST
		   "rules: [{allow: {method: GET, path: \"/repos/**\"}}, {allow: {method: \"*\", path: \"/x/*\"}}], "
		   "deny_rules: [{method: DELETE}, {path: \"/repos/secret/**\"}]}\n" BIN(CURL),
	      {"host=api.github.com method=DELETE", "proven"},
	      {"host=api.github.com method=POST path=/repos/**", "proven"},
	      {"path=/repos/secret/**", "proven"},
	      {"path=/repos/secret*", "/usr/bin/curl GET https://api.github.com:443/repos/secret"},
	      {"method=HEAD", "/usr/bin/curl HEAD https://api.github.com:443/x/"},
	      {"method=POST", "/usr/bin/curl POST https://api.github.com:443/x/"},
	      {"path=/x/y", "/usr/bin/curl GET https://api.github.com:443/x/y"},
	      {"path=/y", "proven"}, {"path=/x/*%2F*", "proven"});
}

/* Two blocks at once: a deny rule of one wins over the other's allow, and inspection over none. */
static void test_blocks(void **state)
{
	(void)state;
	CHECK(HEAD "  all:\n    endpoints: [{host: h.io, port: 443, " REST "access: full}]\n" BIN(
		      "{path: /curl}") "  no:\n    endpoints: [{host: h.io, port: 443, " REST
				       "access: read-only, deny_rules: [{method: PUT}]}]\n" BIN("{path: /sh}"),
	      {"binary=/curl method=PUT", "/curl PUT https://h.io:443/"},
	      {"binary=/curl method=PUT ancestor=/sh", "proven"},
	      {"binary=/curl method=POST ancestor=/sh", "/curl (below /sh) POST https://h.io:443/"},
	      {"binary=/x ancestor=/sh script=none method=POST",
	       "/x (below /curl, /sh) POST https://h.io:443/"},
	      {"binary=/sh script=none ancestor=none method=POST", "proven"});
	CHECK(HEAD "  l4:\n    endpoints: [{host: h.x.io, port: 443}]\n" BIN("{path: /pip}") //
	      "  l7:\n    endpoints: [{host: \"*.x.io\", port: 443, " REST "access: read-only}]\n" //
	      BIN("{path: /git}"),
	      {"binary=/pip method=PUT", "/pip -> h.x.io:443"},
	      {"binary=/pip method=PUT ancestor=/git", "proven"},
	      {"binary=/git script=/pip method=PUT", "proven"},
	      {"binary=/pip method=GET ancestor=/git", "/pip (below /git) GET https://a.x.io:443/"});
}

static void test_audit_and_selectors(void **state)
{
	(void)state;
	CHECK(HEAD "  a:\n    endpoints: [{host: h.io, port: 443, " REST
		   "access: read-only, enforcement: audit}]\n" BIN("{path: /a}") //
	      "  e:\n    endpoints: [{host: h.io, port: 443, " REST "access: read-only}]\n" //
	      BIN("{path: /e}"),
	      {"method=PUT", "/a PUT https://h.io:443/"},
	      {"method=PUT ancestor=/e", "proven"},
	      {"method=PUT binary=/e", "proven"});
	CHECK(HEAD "  s:\n    endpoints:\n"
		   "      - {host: h.io, port: 443, path: \"/v1/**\", " REST "access: full}\n"
		   "      - {host: h.io, port: 443, path: \"/v2/**\", " REST "access: read-only}\n" //
	      BIN("{path: /a}"),
	      {"method=PUT path=/v2/**", "proven"},
	      {"method=PUT", "/a PUT https://h.io:443/v1/"}, {"path=/v3/*", "proven"},
	      {"path=/v2/*", "/a GET https://h.io:443/v2/"});
}

static void test_queries(void **state)
{
	(void)state;
	CHECK(HEAD "  q:\n    endpoints:\n      - {host: h.io, port: 443, " REST
		   "rules: [{allow: {method: GET, path: /d, query: {slug: \"skill-*\", v: {any: [\"1.*\", \"2.*\"]}}}}], "
		   "deny_rules: [{method: GET, path: /d, query: {v: \"*x\"}}]}\n" BIN("{path: /a}"),
	      {"path=/d", "/a GET https://h.io:443/d?slug=skill-&v=1."},
	      {"query.slug=evil*", "proven"}, {"query.slug=skill-x query.v=3*", "proven"},
	      {"query.v=2*", "/a GET https://h.io:443/d?slug=skill-&v=2."}, {"query.v=2*x", "proven"},
	      {"query.other=%*", "/a GET https://h.io:443/d?slug=skill-&v=1.&other=%25"});
}

static void test_encoded_slash(void **state)
{
	(void)state;
	CHECK(HEAD "  s:\n    endpoints: [{host: h.io, port: 443, " REST
		   "allow_encoded_slash: true, rules: [{allow: {method: GET, path: \"/a/*/b\"}}]}]\n" BIN("{path: /s}") //
	      "  n:\n    endpoints: [{host: h.io, port: 443, " REST "access: full}]\n" //
	      BIN("{path: /n}"),
	      {"path=/**%2F**", "/s GET https://h.io:443/a/%2F/b"},
	      {"path=/**%2F** method=PUT", "proven"},
	      {"path=/**%2F** binary=/n script=none ancestor=none", "proven"});
}

static void test_addresses(void **state)
{
	(void)state;
	CHECK(HEAD "  a:\n    endpoints:\n      - {host: db.internal.io, port: 5432, allowed_ips: [10.1.0.0/16, \"fd00::/8\"]}\n"
		   "      - {host: 192.0.1.7, port: 80}\n" BIN("{path: /a}"),
	      {"host=10.1.2.0/24", "/a -> 10.1.2.0:5432"}, {"host=10.2.0.0/16", "proven"},
	      {"host=0.0.0.0/0 port=80", "/a -> 192.0.1.7:80"}, {"host=::/0", "/a -> [fd00::]:5432"},
	      {"host=fe80::/10", "proven"}, {"host=10.1.0.5", "/a -> 10.1.0.5:5432"});
	CHECK(HEAD "  a:\n    endpoints: [{port: 1, allowed_ips: [192.0.0.0/3, 11.0.0.0/8]}]\n" BIN(
		      "{path: /a}"),
	      {"host=192.0.2.0/24", "proven"}, {"host=192.0.2.0/23", "/a -> 192.0.3.0:1"}, {"host=11.0.0.0/8", "/a -> 11.0.0.0:1"},
	      {"host=**", "/a -> a:1"});
}

static void test_catch_all(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};

	(void)state;
	fixture_image(HEAD "  a:\n    endpoints: [{host: \"**\", port: 443, " REST
			   "access: read-only}]\n" BIN("{path: \"/**\", ancestors: false}"),
		      &f);
	assert_string_equal(ask(&f.img, "method=POST"), "proven");
	assert_string_equal(ask(&f.img, "tainted=yes"),
			    "/a (started with loader variables) GET https://a:443/");
}

/* Twenty blocks that say different things at one place: too many sets of them, and no answer. */
static void test_too_complex(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	char *text = NULL;
	size_t n = 0;
	FILE *o = open_memstream(&text, &n);

	(void)state;
	fputs(HEAD, o);
	for (int i = 0; i < 20; i++)
		fprintf(o, "  b%d:\n    endpoints: [{host: h.io, port: 443, " REST
			   "rules: [{allow: {method: GET, path: /p%d}}]}]\n" BIN("{path: /b%d}"), i, i, i);
	fclose(o);
	fixture_image(text, &f);
	assert_string_equal(ask(&f.img, "method=PUT"), strerror(E2BIG));
	assert_string_equal(ask(&f.img, "method=PUT ancestor=none"), "proven");
	assert_string_equal(ask(&f.img, "host=i.io"), "proven");
	free(text);
}

/* A hundred blocks that say the same count as one. */
static void test_same_blocks(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	char *text = NULL;
	size_t n = 0;
	FILE *o = open_memstream(&text, &n);

	(void)state;
	fputs(HEAD, o);
	for (int i = 0; i < 100; i++)
		fprintf(o, "  b%d:\n    endpoints: [{host: h.io, port: 443, " REST
			   "access: read-only}]\n" BIN("{path: /b%d}"), i, i);
	fclose(o);
	fixture_image(text, &f);
	assert_string_equal(ask(&f.img, "method=PUT"), "proven");
	assert_string_equal(ask(&f.img, "method=GET"), "/b0 GET https://h.io:443/");
	free(text);
}

/* ------------------------------------------------------------------------- expressions -- */

static void test_parse(void **state)
{
	static const struct question bad[] = {
		{"hots=x", "unknown key 'hots' (did you mean 'host'?)"},
		{"binary", "'binary' is not KEY=VALUE"},
		{"host=", "'host' has no value"},
		{"port=0", "port is N or N-M, 1 to 65535"},
		{"port=9-8", "port is N or N-M, 1 to 65535"},
		{"port=65536", "port is N or N-M, 1 to 65535"},
		{"host=a.io host=b.io", "'host' stands twice"},
		{"query.a=1 query.a=2", "'query.a' stands twice"},
		{"query.=1", "query.NAME needs a name"},
		{"tainted=maybe", "tainted is 'yes' or 'no'"},
		{"method=G(T", "method is a token such as DELETE, or '*' for any"},
		{"binary=curl", "binary: 'curl' must start with '/' or '**'"},
		{"path=/a;b", "path: '/a;b' never matches: ';' and what follows it in a segment is "
			      "dropped from request paths"},
		{"host=1.2.3.4/33", "host: '1.2.3.4/33' is the prefix length must be 0 to 32"},
		{"host=a..b", "host: 'a..b' has an empty label"},
		{"a\x01=b", "a control byte"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct prove_expr *e = NULL;
		char why[256] = "";

		assert_int_equal(prove_parse(slice_str(bad[i].expr), &e, why, sizeof(why)), -EINVAL);
		assert_string_equal(why, bad[i].answer);
	}
}

static void test_words(void **state)
{
	static const struct question v[] = {
		{"binary=/usr/bin/curl host=**.Evil.test",
		 "/usr/bin/curl as the executable, with any script and any ancestors; host "
		 "**.evil.test, any port; any method, any path"},
		{"ancestor=none script=/s tainted=no port=1-2 method=PUT path=/a query.k=v*",
		 "any executable, running the script /s and no ancestors, started without loader "
		 "variables; any host or address, ports 1 to 2; method PUT, path /a, a query "
		 "parameter k like v*"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		_cleanup_(prove_expr_freep) struct prove_expr *e = expression(v[i].expr);
		_cleanup_free_ char *words = prove_expr_words(e);

		assert_string_equal(words, v[i].answer);
	}
}

/* ------------------------------------------------------------------- trying everything -- */

/* Expressions of the small world, and what they mean there, told apart from prove's own reading. */
struct trial {
	const char *binary, *host, *method, *path, *query;
	int anc, script, port;
	char text[256];
};

static void random_trial(uint64_t *s, struct trial *t)
{
	static const char *const binaries[] = {NULL, "/a", "/c", "/*"};
	static const char *const hosts[] = {NULL, "a.t.io", "*.t.io", "**.t.io"};
	static const char *const methods[] = {NULL, "PUT", "GET", "X"};
	static const char *const paths[] = {NULL, "/a", "/a/**", "/**%2F**"};
	static const char *const queries[] = {NULL, NULL, "x", "z"};

	*t = (struct trial){.binary = PICK(s, binaries),
			    .host = PICK(s, hosts),
			    .method = PICK(s, methods),
			    .path = PICK(s, paths),
			    .query = PICK(s, queries),
			    .anc = (int)rnd(s, 3),
			    .script = (int)rnd(s, 2),
			    .port = (int)rnd(s, 3)};
	snprintf(t->text, sizeof(t->text), "%s%s%s%s%s%s%s%s%s%s%s%s%s", t->binary ? " binary=" : "",
		 t->binary ? t->binary : "", t->host ? " host=" : "", t->host ? t->host : "",
		 t->method ? " method=" : "", t->method ? t->method : "", t->path ? " path=" : "",
		 t->path ? t->path : "", t->query ? " query.q=" : "", t->query ? t->query : "",
		 t->anc == 1   ? " ancestor=none"
		 : t->anc == 2 ? " ancestor=/a"
			       : "",
		 t->script ? " script=none" : "",
		 t->port == 1	? " port=1"
		 : t->port == 2 ? " port=2-65535"
				: "");
}

static bool is(struct slice s, const char *want)
{
	return slice_eq_str(s, want);
}

static bool meant_connect(const struct trial *t, const struct world_connect *c)
{
	bool below_a = false;

	for (size_t i = 0; i < c->id.nanc; i++)
		below_a |= is(c->id.anc[i], "/a");
	if (t->binary && (strcmp(t->binary, "/*") == 0 ? c->id.exe.n != 2 : !is(c->id.exe, t->binary)))
		return false;
	if (t->host && strcmp(t->host, "a.t.io") == 0 && strcmp(c->host, "a.t.io") != 0)
		return false;
	if (t->host && strcmp(t->host, "*.t.io") == 0 && strlen(c->host) != 6)
		return false;
	if (t->host && strcmp(t->host, "**.t.io") == 0 && strlen(c->host) < 6)
		return false;
	return !(t->anc == 1 && c->id.nanc) && !(t->anc == 2 && !below_a) &&
	       !(t->script && c->id.script.n) && !(t->port && t->port != c->dest.port);
}

static bool meant_request(const struct trial *t, const struct request *q)
{
	bool has = false;

	for (size_t i = 0; i < q->nquery; i++)
		has |= is(q->query[i].name, "q") && t->query && is(q->query[i].value, t->query);
	if ((t->method && !is(q->method, t->method)) || (t->query && !has))
		return false;
	if (!t->path)
		return true;
	if (strcmp(t->path, "/a") == 0)
		return is(q->path, "/a");
	return strcmp(t->path, "/a/**") == 0 ? q->path.n > 2 && memcmp(q->path.p, "/a/", 3) == 0
					     : memmem(q->path.p, q->path.n, "%2F", 3) != NULL;
}

/* Is anything of the small world that was meant allowed? */
static bool try_all(const struct image *img, const struct trial *t)
{
	static struct world_request q[WORLD_REQUESTS];
	static bool filled;
	struct connect_decision last = {0};

	for (uint32_t i = 0; !filled && i < WORLD_REQUESTS; i++)
		world_request(i, &q[i]);
	if (!filled)
		for (uint32_t i = 0; i < WORLD_REQUESTS; i++)
			q[i].q.query = q[i].pairs;
	filled = true;
	for (uint32_t i = 0; i < WORLD_CONNECTS; i++) {
		struct world_connect c;
		struct connect_decision d;
		struct block_bits bits;
		struct decided x;

		world_connect(i, &c);
		if (!meant_connect(t, &c))
			continue;
		image_ident_bits(img, &c.id, &bits);
		image_decide_connect(img, &bits, &c.dest, &d);
		if (d.verdict == CONNECT_DENY || (d.dstset == last.dstset && memcmp(&d.blocks, &last.blocks, sizeof(d.blocks)) == 0))
			continue;
		last = d;
		decide_flow(img, &d, &x);
		if (outcome_passes(x.outcome))
			return true;
		for (uint32_t k = 0; k < WORLD_REQUESTS; k++) {
			if (!meant_request(t, &q[k].q))
				continue;
			decide_request(img, &d, &q[k].q, &x);
			if (outcome_passes(x.outcome))
				return true;
		}
	}
	return false;
}

/* The witness is what was meant. */
static void check_meant(const struct trial *t, const struct witness *w)
{
	struct slice anc[OSH_ANCESTORS_MAX];
	struct world_connect c = {.host = w->host};
	struct query_pair pairs[64];
	char buf[512];
	struct request q = {slice_str(w->method), slice_str(w->path), pairs, 0};

	c.id = (struct ident_paths){
		.exe = slice_str(w->binary), .script = slice_str(w->script), .anc = anc};
	for (; w->ancestors && w->ancestors[c.id.nanc]; c.id.nanc++)
		anc[c.id.nanc] = slice_str(w->ancestors[c.id.nanc]);
	c.dest.port = w->port;
	assert_true(meant_connect(t, &c));
	if (!w->inspected)
		return;
	assert_int_equal(parse_query(slice_str(w->query), pairs, 64, &q.nquery, buf, sizeof(buf)), 0);
	assert_true(meant_request(t, &q));
}

static void test_against_everything(void **state)
{
	uint64_t seed = 20;
	size_t proven = 0, shown = 0;

	(void)state;
	for (int i = 0; i < 120; i++) {
		_cleanup_free_ char *text = random_policy(&seed);
		_cleanup_(fixture_image_done) struct fixture_image f = {0};

		if (!random_image(text, &f))
			continue;
		for (int k = 0; k < 8; k++) {
			_cleanup_(prove_expr_freep) struct prove_expr *e = NULL;
			struct witness w = {0};
			struct trial t;
			bool any;
			int r;

			random_trial(&seed, &t);
			e = expression(t.text);
			r = prove_never(&f.img, e, &w);
			any = try_all(&f.img, &t);
			if (r < 0 || (any && r == 0))
				fail_msg("%d where trying says %d:%s\n%s", r, any, t.text, text);
			if (r == 1)
				check_meant(&t, &w);
			witness_done(&w);
			shown += r == 1;
			proven += r == 0;
		}
	}
	assert_true(proven > 100 && shown > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_native),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_audit_and_selectors),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_encoded_slash),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_catch_all),
		cmocka_unit_test(test_too_complex),
		cmocka_unit_test(test_same_blocks),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_against_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
