/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_product.c - products of automata, and the languages of what can occur at all. */
#include "policy/product.h"
#include "policy/canonical.h"
#include "tests/unit/policy_fixture.h"

/* xorshift64*, so that failures repeat. */
static uint32_t rnd(uint64_t *s, uint32_t below)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return (uint32_t)((*s * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static struct table_dfa paths_of(const char *a, const char *b)
{
	const struct lang_pattern v[] = {{.glob = slice_str(a)}, {.glob = slice_str(b)}};
	struct table_dfa t;

	assert_int_equal(lang_compile(LANG_PATH, v, b ? 2 : 1, &t), 0);
	return t;
}

static bool accepts(const struct table_dfa *t, struct slice s)
{
	const struct automaton a = automaton_of_table(t);

	return t->states[automaton_walk(&a, a.start, s)].accept != 0;
}

struct found {
	bool second_alone; /* look for that instead of both */
	char text[256];
	size_t visits;
};

static int look(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	struct found *f = ctx;

	assert_true(state[0] && ((state[1] && state[2]) || f->second_alone));
	f->visits++;
	if (!accept[0] || !accept[2] || !accept[1] != f->second_alone)
		return 0;
	assert_true(text.n < sizeof(f->text));
	memcpy(f->text, text.p, text.n);
	f->text[text.n] = 0;
	return 1;
}

/* Text that both match (or only the second), in canonical form; NULL: none. */
static const char *meet(const char *first, const char *second, bool alone)
{
	static struct found f;
	struct table_dfa t[3] = {{0}};
	struct automaton a[3];
	int r;

	assert_int_equal(lang_canonical_path(false, &t[0]), 0);
	t[1] = paths_of(first, NULL);
	t[2] = paths_of(second, NULL);
	for (size_t i = 0; i < 3; i++)
		a[i] = automaton_of_table(&t[i]);
	f = (struct found){.second_alone = alone};
	r = product_walk(a, 3, alone ? 1 : 3, NULL, &PRODUCT_LIMITS_DEFAULT, look, &f);
	for (size_t i = 0; i < 3; i++)
		table_dfa_done(&t[i]);
	assert_in_range(r, 0, 1);
	return r ? f.text : NULL;
}

static void test_overlap(void **state)
{
	(void)state;
	assert_string_equal(meet("/repos/*", "/*/x", false), "/repos/x");
	assert_string_equal(meet("/a/**", "/**/b", false), "/a/b");
	assert_string_equal(meet("/{a,b}/*/c", "/b/**", false), "/b/a/c");
	assert_null(meet("/repos/*", "/repos", false));
	assert_null(meet("/repos/*/a", "/repos/*/b", false));
	assert_null(meet("/[a-f]", "/[g-z]", false));
	assert_string_equal(meet("/[a-f]", "/[c-z]", false), "/c");
}

static void test_cover(void **state)
{
	(void)state;
	assert_null(meet("/a/**", "/a/b/**", true));
	assert_null(meet("/a/**", "/a/*", true));
	assert_null(meet("/**", "/x/[0-9]/{y,z}", true));
	assert_string_equal(meet("/a/*", "/a/**", true), "/a/a/");
	assert_string_equal(meet("/a/b/**", "/a/**", true), "/a/");
}

/* Shortest, and of those the plainest: letters first. */
static void test_witness(void **state)
{
	(void)state;
	assert_string_equal(meet("/??", "/*", false), "/aa");
	assert_string_equal(meet("/[!a-z]*", "/**", false), "/0");
	assert_string_equal(meet("/x*y", "/*z*", false), "/xzy");
}

static int count(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	(void)state;
	(void)accept;
	if (text.n > ((struct found *)ctx)->visits)
		((struct found *)ctx)->visits = text.n;
	return 0;
}

static int refuse(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	(void)ctx;
	(void)state;
	(void)accept;
	return text.n == 3 ? -EIO : 0;
}

static void test_limits(void **state)
{
	struct table_dfa t = paths_of("/repos/*/issues/**", NULL);
	const struct automaton a = automaton_of_table(&t);
	struct product_limits few = {.combinations = 5}, shorter = PRODUCT_LIMITS_DEFAULT;
	struct byteset slash = {0};
	struct found f = {0};

	(void)state;
	assert_int_equal(product_walk(&a, 1, 1, NULL, &few, count, &f), -E2BIG);
	shorter.length = 4;
	f.visits = 0;
	assert_int_equal(product_walk(&a, 1, 1, NULL, &shorter, count, &f), 0);
	assert_int_equal(f.visits, 4);
	byteset_add(&slash, '/');
	f.visits = 0;
	assert_int_equal(product_walk(&a, 1, 1, &slash, &PRODUCT_LIMITS_DEFAULT, count, &f), 0);
	assert_int_equal(f.visits, 1);
	assert_int_equal(product_walk(&a, 1, 1, NULL, &PRODUCT_LIMITS_DEFAULT, refuse, &f), -EIO);
	table_dfa_done(&t);
}

/* A dead start: nothing where it is required, the rest where it is not. */
static void test_dead(void **state)
{
	struct table_dfa t = paths_of("/a", NULL);
	const struct automaton a[] = {{t.states, t.cells, 0}, automaton_of_table(&t)};
	struct found f = {0};

	(void)state;
	assert_int_equal(product_walk(a, 2, 1, NULL, &PRODUCT_LIMITS_DEFAULT, count, &f), 0);
	assert_int_equal(f.visits, 0);
	assert_int_equal(product_walk(a, 2, 0, NULL, &PRODUCT_LIMITS_DEFAULT, count, &f), 0);
	assert_int_equal(f.visits, 2);
	table_dfa_done(&t);
}

static void test_compile(void **state)
{
	struct table_dfa t = paths_of("/a/*", "/**");
	const struct automaton a = automaton_of_table(&t);
	const struct lang_pattern req[] = {{slice_str("GET"), slice_str("/a")},
					   {{0}, slice_str("/b")},
					   {slice_str("PUT"), {0}}};
	struct table_dfa q;

	(void)state;
	assert_int_equal(t.states[automaton_walk(&a, a.start, slice_str("/a/b"))].accept, 1);
	assert_int_equal(t.states[automaton_walk(&a, a.start, slice_str("/b"))].accept, 2);
	table_dfa_done(&t);
	assert_int_equal(lang_compile(LANG_REQUEST, req, 3, &q), 0);
	assert_true(accepts(&q, slice_str("GET /a")));
	assert_false(accepts(&q, slice_str("HEAD /a")));
	assert_true(accepts(&q, slice_str("X /b")));
	assert_true(accepts(&q, slice_str("PUT /whatever")));
	table_dfa_done(&q);
}

/* ------------------------------------------------------------------- canonical paths -- */

static void random_target(uint64_t *seed, char *out)
{
	static const char *const pieces[] = {"a",   "B",   ".",	  "..",	 "/",	"%2F",	"%2f", ";x",
					     "%3B", "%20", "%25", "%41", "%c3", "%A9", "~",   "//",
					     "%2E", "/.",  "%7B", "+",	 "@",	"0"};
	size_t n = rnd(seed, 9);

	strcpy(out, "/");
	for (size_t i = 0; i < n; i++)
		strcat(out, pieces[rnd(seed, ARRAY_LEN(pieces))]);
}

static void test_targets_are_in(void **state)
{
	uint64_t seed = 7;
	struct table_dfa t[2];
	size_t good = 0;

	(void)state;
	for (int slash = 0; slash < 2; slash++)
		assert_int_equal(lang_canonical_path(slash, &t[slash]), 0);
	for (int i = 0; i < 200000; i++) {
		bool slash = i & 1;
		struct canonical_target c;
		char raw[128];

		random_target(&seed, raw);
		if (canonical_target(slice_str(raw), slash, &c) != TARGET_OK)
			continue;
		good++;
		if (!accepts(&t[slash], slice_str(c.path)))
			fail_msg("%s gives %s, which is not in the language", raw, c.path);
	}
	assert_true(good > 10000);
	table_dfa_done(&t[0]);
	table_dfa_done(&t[1]);
}

/* Random walks through the language: whatever it accepts, canonical_target() gives back. */
static void test_members_are_fixed_points(void **state)
{
	static const char likely[] = "a.%2F/";
	uint64_t seed = 11;
	size_t members = 0;

	(void)state;
	for (int slash = 0; slash < 2; slash++) {
		struct table_dfa t;
		struct automaton a;

		assert_int_equal(lang_canonical_path(slash, &t), 0);
		a = automaton_of_table(&t);
		for (int i = 0; i < 50000; i++) {
			uint32_t s = a.start;
			struct canonical_target c;
			char text[24];
			size_t n = 0;

			while (n < sizeof(text) - 1) {
				uint8_t b = rnd(&seed, 4) ? (uint8_t)likely[rnd(&seed, 6)]
							  : (uint8_t)rnd(&seed, 256);
				uint32_t to = automaton_step(&a, s, b);

				if (!to)
					continue;
				s = to;
				text[n++] = (char)b;
				text[n] = 0;
				if (!t.states[s].accept)
					continue;
				members++;
				assert_int_equal(canonical_target((struct slice){(uint8_t *)text, n},
								  slash, &c),
						 TARGET_OK);
				assert_string_equal(c.path, text);
			}
		}
		table_dfa_done(&t);
	}
	assert_true(members > 100000);
}

static void test_request_language(void **state)
{
	struct table_dfa t;

	(void)state;
	assert_int_equal(lang_canonical_request(false, false, &t), 0);
	assert_true(accepts(&t, slice_str("GET /")));
	assert_true(accepts(&t, slice_str("x-y /a/b")));
	assert_false(accepts(&t, slice_str(" /")));
	assert_false(accepts(&t, slice_str("G(T /")));
	assert_false(accepts(&t, slice_str("GET /a;b")));
	assert_false(accepts(&t, slice_str("GET /%2F")));
	table_dfa_done(&t);
	assert_int_equal(lang_canonical_request(true, true, &t), 0);
	assert_true(accepts(&t, slice_str("GET /%2F")));
	assert_false(accepts(&t, slice_str("GE /")));
	table_dfa_done(&t);
}

/* ----------------------------------------------------------------------- other texts -- */

struct sample {
	const char *text;
	bool in;
};

static void test_file_paths(void **state)
{
	static const struct sample v[] = {
		{"/a", true},	{"/usr/bin/curl", true}, {"/.", false},	 {"/..", false},
		{"/...", true}, {"/.a/..b/c.", true},	 {"/a/", false}, {"/a//b", false},
		{"a", false},	{"/", false},		 {"", false},	 {"/a/./b", false},
		{"/\xff", true}};
	struct table_dfa t;

	(void)state;
	assert_int_equal(lang_file_path(&t), 0);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		if (accepts(&t, slice_str(v[i].text)) != v[i].in)
			fail_msg("%s", v[i].text);
	table_dfa_done(&t);
}

static void test_hosts(void **state)
{
	static const struct sample v[] = {
		{"a", true},	   {"a.b-c.d_e", true}, {"a..b", false}, {".a", false},
		{"a.", false},	   {"A", false},	{"1.a", true},	 {"a.1", false},
		{"1.2.3.4", false}, {"a.0x1f", false},	{"a.0x", false}, {"a.0x1g", true},
		{"a.1x", true},	   {"a.0a", true},	{"", false},	 {"a b", false},
		{"0x1.com", true}, {"a.00", false}};
	struct table_dfa t;

	(void)state;
	assert_int_equal(lang_host(&t), 0);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		uint8_t buf[64] = {'n'};
		size_t n = strlen(v[i].text);

		memcpy(buf + 1, v[i].text, n);
		if (accepts(&t, (struct slice){buf, n + 2}) != v[i].in)
			fail_msg("%s", v[i].text);
	}
	table_dfa_done(&t);
	assert_int_equal(lang_query(&t), 0);
	assert_true(accepts(&t, slice_str("")));
	assert_true(accepts(&t, slice_str("a /\xff")));
	assert_false(accepts(&t, slice_str("a\n")));
	assert_false(accepts(&t, slice_str("\x7f")));
	table_dfa_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_cover),
		cmocka_unit_test(test_witness),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_compile),
		cmocka_unit_test(test_targets_are_in),
		cmocka_unit_test(test_members_are_fixed_points),
		cmocka_unit_test(test_request_language),
		cmocka_unit_test(test_file_paths),
		cmocka_unit_test(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
