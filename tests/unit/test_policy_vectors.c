/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_vectors.c - every case of tests/data/vectors: decisions judged by an independent
 * evaluator. */
#include "policy/cases.h"
#include "tests/unit/policy_fixture.h"

#define VECTORS "tests/data/vectors"

static struct slice text_of(const struct ynode *map, const char *key)
{
	const struct ynode *n = fixture_get(map, key);

	return n ? n->s : (struct slice){NULL, 0};
}

/* ---------------------------------------------------------------------------- decisions -- */

static size_t run_decisions(const char *dir)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	_cleanup_(policy_cases_done) struct policy_cases cases = {0};
	_cleanup_(policy_freep) struct policy *p = NULL;
	struct policy_diags d = {0};
	char path[256];
	size_t n, bad = 0;

	(void)snprintf(path, sizeof(path), "%s/policy.yaml", dir);
	_cleanup_free_ char *policy = fixture_read(path, &n);
	p = fixture_policy((struct slice){(const uint8_t *)policy, n});
	fixture_compile(p, &f);
	(void)snprintf(path, sizeof(path), "%s/cases.yaml", dir);
	_cleanup_free_ char *text = fixture_read(path, &n);
	assert_int_equal(policy_cases_parse((struct slice){(const uint8_t *)text, n}, &d, &cases), 0);
	for (size_t i = 0; i < cases.n; i++) {
		const struct policy_case *c = &cases.v[i];
		_cleanup_(explanation_done) struct explanation x = {0};

		assert_int_equal(explain(p, &f.img, &c->ask, true, &x), 0);
		assert_int_equal(x.decision != EXPLAIN_ALLOW, x.reason != NULL);
		if (!policy_case_holds(c, &x)) {
			print_error("%s: case %.*s is wrong\n", dir, SLICE_ARG(c->name));
			bad++;
		}
	}
	assert_int_equal(bad, 0);
	return cases.n;
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
