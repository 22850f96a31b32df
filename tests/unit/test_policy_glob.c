/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_glob.c - automata against a matcher that is too simple to be wrong.
 *
 * Random patterns over a small alphabet, several at a time in one automaton, on random inputs: the
 * set of patterns that the automaton reports must be exactly the set that the backtracking matcher
 * finds.
 */
#include "policy/glob.h"
#include "tests/unit/policy_fixture.h"

/* xorshift64*, so that failures repeat. */
static uint32_t rnd(uint64_t *s, uint32_t below)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return (uint32_t)((*s * 0x2545f4914f6cdd1dull) >> 33) % below;
}

/* Patterns here have no braces; classes are [ab] and [!a]. */
static bool simple_match(const char *p, const char *s, bool segments, bool behind_slash)
{
	if (!*p)
		return !*s;
	if (p[0] == '*' && p[1] == '*') {
		const char *q = p + 2;

		if (segments && behind_slash && *q == '/' && simple_match(q + 1, s, segments, true))
			return true;
		for (const char *t = s;; t++) {
			if (simple_match(q, t, segments, false))
				return true;
			if (!*t)
				return false;
		}
	}
	if (*p == '*') {
		for (const char *t = s;; t++) {
			if (simple_match(p + 1, t, segments, false))
				return true;
			if (!*t || (segments && *t == '/'))
				return false;
		}
	}
	if (!*s)
		return false;
	if (*p == '?')
		return !(segments && *s == '/') && simple_match(p + 1, s + 1, segments, false);
	if (*p == '[') {
		bool neg = p[1] == '!', in = false;
		const char *e = p + 1 + neg;

		for (; *e != ']'; e++)
			in |= *e == *s;
		if (in == neg || (segments && *s == '/'))
			return false;
		return simple_match(e + 1, s + 1, segments, false);
	}
	return *p == *s && simple_match(p + 1, s + 1, segments, *p == '/');
}

static void random_pattern(uint64_t *seed, char *out)
{
	static const char *const pieces[] = {
		"a", "b", "/a", "/b", "*", "**", "?", "[ab]", "[!a]", "/**/", "/*",
	};
	size_t n = 1 + rnd(seed, 6);

	strcpy(out, "/");
	for (size_t i = 0; i < n; i++) {
		const char *piece = pieces[rnd(seed, ARRAY_LEN(pieces))];
		size_t k = strlen(out);

		if (out[k - 1] == '/' && piece[0] == '/')
			piece++;
		if (out[k - 1] == '*' && piece[0] == '*') /* three stars read as two */
			continue;
		strcat(out, piece);
	}
}

static void random_input(uint64_t *seed, char *out)
{
	size_t n = 1 + rnd(seed, 8), o = 0;

	out[o++] = '/';
	for (size_t i = 1; i < n; i++) {
		char c = "ab/c"[rnd(seed, 4)];

		if (c != '/' || out[o - 1] != '/')
			out[o++] = c;
	}
	out[o] = 0;
}

#define PATTERNS 4

static int accept_bits(void *ctx, const uint32_t *tags, size_t n, uint32_t *ret)
{
	(void)ctx;
	*ret = 0;
	for (size_t i = 0; i < n; i++)
		*ret |= 1u << tags[i];
	return 0;
}

static uint32_t run(const struct dfa *d, uint32_t s, const char *in)
{
	for (; *in && s; in++) {
		size_t at = d->state[s].base + (uint8_t)*in;

		s = at < d->comb.n && d->comb.cell[at].check == s ? d->comb.cell[at].next
								  : d->state[s].def;
	}
	return d->state[s].accept;
}

static void one_round(uint64_t *seed, enum glob_kind kind)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	_cleanup_(dfa_done) struct dfa d = {0};
	const struct dfa_limits limits = {100000, 1000000, 100000000};
	char p[PATTERNS][64], why[160];
	uint32_t root = nfa_root(&a), start;

	for (uint32_t i = 0; i < PATTERNS; i++) {
		random_pattern(seed, p[i]);
		if (glob_add(&a, root, slice_str(p[i]), kind, i, why, sizeof(why)) < 0)
			fail_msg("%s: %s", p[i], why);
	}
	assert_int_equal(dfa_init(&d, &a, &limits, accept_bits, NULL), 0);
	assert_int_equal(dfa_start(&d, root, &start), 0);
	assert_int_equal(dfa_run(&d), 0);
	for (int k = 0; k < 40; k++) {
		char in[16];
		uint32_t want = 0, got;

		random_input(seed, in);
		got = run(&d, start, in);
		for (uint32_t i = 0; i < PATTERNS; i++)
			want |= (uint32_t)simple_match(p[i], in, kind != GLOB_QUERY, false) << i;
		if (got != want)
			fail_msg("'%s' on %s %s %s %s: %x, not %x", in, p[0], p[1], p[2], p[3], got,
				 want);
	}
}

static void against_simple_matcher(void **state)
{
	uint64_t seed = 20240229;

	(void)state;
	for (int i = 0; i < 3000; i++)
		one_round(&seed, i % 3 == 0 ? GLOB_BINARY : i % 3 == 1 ? GLOB_PATH : GLOB_QUERY);
}

/* A pattern whose automaton doubles with every character behind the star. */
static void blow_up(void **state)
{
	_cleanup_(policy_freep) struct policy *p = NULL;
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	uint8_t *image = NULL;
	size_t n;

	(void)state;
	p = fixture_policy(
		slice_str("version: 1\nnetwork_policies:\n  b:\n"
			  "    endpoints: [{host: a.b, port: 1}]\n"
			  "    binaries: [{path: \"/**a??????????????????????????????b\"}]\n"));
	assert_int_equal(policy_compile(p, &d, &image, &n), -E2BIG);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.v[0].line, 5);
	assert_string_equal(
		d.v[0].message,
		"too complicated: together, the wildcards of the binary paths need more than 100 "
		"million steps to combine, and those written here have the largest part in it; "
		"write fewer of '*', '?' and '[...]' behind a '*' or '**', or name what they stand "
		"for");
	/* many stars alone stay small */
	p = policy_free(p);
	p = fixture_policy(slice_str(
		"version: 1\nnetwork_policies:\n  b:\n"
		"    endpoints: [{host: a.b, port: 1}]\n"
		"    binaries: [{path: \"/**a**b**c**d**e**f**g**h**i**j**k**l**m\"}]\n"));
	assert_int_equal(policy_compile(p, &d, &image, &n), 0);
	assert_true(n < 100000);
	free(image);
}

/* Ten thousand names: a few megabytes. */
static void many_hosts(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	struct connect_decision c;
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	(void)state;
	assert_non_null(out);
	fprintf(out, "version: 1\nnetwork_policies:\n  b:\n    binaries: [{path: /c}]\n    "
		     "endpoints:\n");
	for (unsigned int i = 0; i < 10000; i++)
		fprintf(out, "      - {host: host-%x.example-%u.com, port: %u}\n", i * 2654435761u,
			i % 97, 1000 + i % 7);
	fclose(out);
	fixture_image(text, &f);
	free(text);
	assert_true(f.n < 12u << 20);
	for (unsigned int i = 0; i < 10000; i += 37) {
		char host[64];

		(void)snprintf(host, sizeof(host), "host-%x.example-%u.com", i * 2654435761u,
			       i % 97);
		fixture_connect(&f.img,
				&(struct ask){"/c", host, (uint16_t)(1000 + i % 7), NULL, false},
				&c);
		assert_int_equal(c.verdict, CONNECT_NATIVE);
		fixture_connect(&f.img,
				&(struct ask){"/c", host, (uint16_t)(1001 + i % 7), NULL, false},
				&c);
		assert_int_equal(c.verdict, CONNECT_DENY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_simple_matcher),
		cmocka_unit_test(blow_up),
		cmocka_unit_test(many_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
