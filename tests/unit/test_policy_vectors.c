/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_vectors.c - every case of tests/data/vectors: decisions judged by an independent
 * evaluator. */
#include "tests/unit/policy_fixture.h"

#define VECTORS "tests/data/vectors"

static struct slice text_of(const struct ynode *map, const char *key)
{
	const struct ynode *n = fixture_get(map, key);

	return n ? n->s : (struct slice){NULL, 0};
}

/* ---------------------------------------------------------------------------- decisions -- */

#define ANCESTORS 16
#define PAIRS 64

struct one_case {
	struct slice name, expect;
	struct ident_paths id;
	struct slice anc[ANCESTORS];
	struct dest dest;
	bool request;
	struct request r;
	struct query_pair query[PAIRS];
};

static void read_query(const struct ynode *q, struct one_case *c)
{
	for (uint32_t i = 0; q && i + 1 < q->n; i += 2) {
		for (uint32_t k = 0; k < q->v[i + 1]->n; k++) {
			assert_true(c->r.nquery < PAIRS);
			c->query[c->r.nquery++] =
				(struct query_pair){q->v[i]->s, q->v[i + 1]->v[k]->s};
		}
	}
	c->r.query = c->query;
}

static void read_case(const struct ynode *n, struct one_case *c)
{
	const struct ynode *anc = fixture_get(n, "ancestors");

	*c = (struct one_case){.name = text_of(n, "name"), .expect = text_of(n, "expect")};
	c->id.exe = text_of(n, "binary");
	for (uint32_t i = 0; anc && i < anc->n && i < ANCESTORS; i++)
		c->anc[c->id.nanc++] = anc->v[i]->s;
	c->id.anc = c->anc;
	dest_from_text(&c->dest, text_of(n, "host"),
		       (uint16_t)strtoul((const char *)text_of(n, "port").p, NULL, 10));
	c->request = fixture_get(n, "method") != NULL;
	c->r.method = text_of(n, "method");
	c->r.path = text_of(n, "path");
	read_query(fixture_get(n, "query"), c);
}

static bool judge(const struct image *img, const struct one_case *c)
{
	struct connect_decision cd;
	struct request_decision rd;
	struct block_bits bits;

	image_ident_bits(img, &c->id, &bits);
	image_decide_connect(img, &bits, &c->dest, &cd);
	if (!c->request || cd.verdict == CONNECT_DENY)
		return cd.verdict != CONNECT_DENY;
	if (cd.verdict == CONNECT_NATIVE || image_flow_treatment(img, &cd) == FLOW_SKIP)
		return true;
	image_decide_request(img, &cd, &c->r, &rd);
	return rd.verdict == REQUEST_ALLOW;
}

static size_t run_decisions(const char *dir)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	_cleanup_(arena_done) struct arena a = {0};
	struct policy_diags d = {0};
	struct ynode *root = NULL;
	const struct ynode *cases;
	char path[256];
	size_t n, bad = 0;

	(void)snprintf(path, sizeof(path), "%s/policy.yaml", dir);
	fixture_image_file(path, &f);
	(void)snprintf(path, sizeof(path), "%s/cases.yaml", dir);
	_cleanup_free_ char *text = fixture_read(path, &n);
	assert_int_equal(yaml_tree_read(&a, (struct slice){(const uint8_t *)text, n}, &d, &root),
			 0);
	cases = fixture_get(root, "cases");
	assert_non_null(cases);
	for (uint32_t i = 0; i < cases->n; i++) {
		struct one_case c;

		read_case(cases->v[i], &c);
		if (judge(&f.img, &c) != slice_eq_str(c.expect, "allow")) {
			print_error("%s: case %.*s: expected %.*s\n", dir, SLICE_ARG(c.name),
				    SLICE_ARG(c.expect));
			bad++;
		}
	}
	assert_int_equal(bad, 0);
	return cases->n;
}

static void decisions(void **state)
{
	size_t total = 0;

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		char dir[64];

		(void)snprintf(dir, sizeof(dir), VECTORS "/decisions/%02u", i);
		total += run_decisions(dir);
	}
	print_message("%zu decision cases\n", total);
	assert_int_equal(total, 1295);
}

/* -------------------------------------------------------------------------------- paths -- */

static bool run_path(const struct ynode *n)
{
	struct slice target = text_of(n, "target"), refuse = text_of(n, "refuse"),
		     query = text_of(n, "query");
	bool slash = slice_eq_str(text_of(n, "encoded_slash"), "true");
	struct canonical_target t;
	enum target_error e = canonical_target(target, slash, &t);
	bool ok;

	if (refuse.n)
		ok = slice_eq_str(refuse, target_error_string(e));
	else
		ok = e == TARGET_OK && slice_eq_str(text_of(n, "path"), t.path) &&
		     (!query.n || slice_eq(query, t.query));
	if (!ok)
		print_error("%.*s: got %s '%s'\n", SLICE_ARG(target), target_error_string(e),
			    t.path);
	return ok;
}

static void paths(void **state)
{
	_cleanup_(arena_done) struct arena a = {0};
	struct policy_diags d = {0};
	struct ynode *root = NULL;
	const struct ynode *cases;
	size_t n, bad = 0;
	_cleanup_free_ char *text = fixture_read(VECTORS "/paths.yaml", &n);

	(void)state;
	assert_int_equal(yaml_tree_read(&a, (struct slice){(const uint8_t *)text, n}, &d, &root),
			 0);
	cases = fixture_get(root, "cases");
	assert_non_null(cases);
	for (uint32_t i = 0; i < cases->n; i++)
		bad += !run_path(cases->v[i]);
	print_message("%u path cases\n", cases->n);
	assert_int_equal(bad, 0);
	assert_true(cases->n >= 53);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
