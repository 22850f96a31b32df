/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_revisions.c - the record of revisions: what is kept, what a crash leaves, what damage does, what goes first. */
#include "policy_fixture.h"
#include "user/revisions.h"
#include "user/statics.h"
#include "user/remove.h"
#include "user/supervise.h"


static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/osh-revisions-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return remove_tree(dir);
}

static struct revisions opened(void)
{
	struct revisions r;

	assert_int_equal(revisions_open(dir, true, &r), 0);
	return r;
}

static uint64_t add(struct revisions *r, const char *text, const char *error)
{
	uint64_t n = 0;

	assert_int_equal(revisions_add(r, slice_str(text), "ab12", "file.yaml", error, &n), 0);
	return n;
}

static void status_is(const struct revisions *r, uint64_t n, enum revision_status want)
{
	const struct revision *v = revisions_find(r, n);

	assert_non_null(v);
	assert_string_equal(revision_status_word(v->status), revision_status_word(want));
}

static void put(const char *name, const char *bytes)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(bytes, f);
	fclose(f);
}

static void take_away(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static bool there(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static void a_life(void **state)
{
	struct revisions r = opened(), again;
	char *text;
	size_t n;

	(void)state;
	assert_int_equal(add(&r, "one", NULL), 1);
	status_is(&r, 1, REVISION_PENDING);
	assert_int_equal(revisions_loaded(&r, 1), 0);
	assert_int_equal(add(&r, "two", NULL), 2);
	assert_int_equal(revisions_loaded(&r, 2), 0);
	assert_int_equal(add(&r, "three", NULL), 3);
	assert_int_equal(revisions_failed(&r, 3, "no\nreally \x1b[31m"), 0);
	assert_int_equal(add(&r, "four", "bad"), 4);
	assert_int_equal(revisions_sync(&r), 0);
	assert_false(r.dirty);

	again = opened();
	assert_int_equal(again.n, 4);
	status_is(&again, 1, REVISION_SUPERSEDED);
	status_is(&again, 2, REVISION_LOADED);
	status_is(&again, 3, REVISION_FAILED);
	assert_string_equal(revisions_find(&again, 3)->error, "no\nreally \\x1b[31m");
	assert_string_equal(revisions_find(&again, 4)->error, "bad");
	assert_string_equal(revisions_find(&again, 2)->hash, "ab12");
	assert_true(revisions_find(&again, 2)->time > 0 && revisions_find(&again, 2)->loaded > 0);
	assert_int_equal(revisions_find(&again, 3)->loaded, 0);
	assert_int_equal(revisions_in_force(&again)->number, 2);
	assert_int_equal(revisions_text(&again, 1, &text, &n), 0);
	assert_string_equal(text, "one");
	free(text);
	assert_int_equal(revisions_text(&again, 9, &text, &n), -ENOENT);
	assert_int_equal(revisions_loaded(&again, 9), -ENOENT);
	revisions_done(&again);
	revisions_done(&r);
}

/* The writer died at any moment: what was pending failed, and one is loaded at most. */
static void a_crash(void **state)
{
	struct revisions r = opened();

	(void)state;
	add(&r, "one", NULL);
	revisions_loaded(&r, 1);
	add(&r, "two", NULL);
	revisions_done(&r);
	/* It died between the two records of a load; and while writing a file; and before a record. */
	put("3.json", "{\"revision\":3,\"status\":\"loaded\",\"time\":5,\"loaded\":6,\"hash\":\"cd\",\"source\":\"s\",\"error\":\"\"}");
	put("3.yaml", "three");
	put(".new", "half");
	put("4.yaml", "never on record");

	r = opened();
	assert_int_equal(revisions_recover(&r, UINT64_MAX), 0);
	status_is(&r, 1, REVISION_SUPERSEDED);
	status_is(&r, 2, REVISION_FAILED);
	assert_string_equal(revisions_find(&r, 2)->error, REVISION_ABANDONED);
	status_is(&r, 3, REVISION_LOADED);
	assert_false(there(".new"));
	assert_int_equal(add(&r, "four", NULL), 4);
	/* Of the global policy another file says which is in force. */
	assert_int_equal(revisions_recover(&r, 4), 0);
	status_is(&r, 3, REVISION_SUPERSEDED);
	status_is(&r, 4, REVISION_LOADED);
	assert_int_equal(revisions_recover(&r, 0), 0);
	status_is(&r, 4, REVISION_SUPERSEDED);
	assert_null(revisions_in_force(&r));
	revisions_done(&r);
}

static void damage(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "{\"revision\":1,\"status\":\"loaded\"}",
		"{\"revision\":2,\"status\":\"loaded\",\"hash\":\"\"}",
		"{\"revision\":1,\"status\":\"lost\",\"hash\":\"\"}",
		("{\"revision\":1,\"status\":\"loaded\",\"hash\":"
		 "\"0123456789012345678901234567890123456789012345678901234567890123456789\"}"),
	};
	struct revisions r;

	(void)state;
	put("0.json", "{}");
	put("01.json", "{}");
	put("-1.json", "{}");
	put("1.jsonx", "{}");
	put("99999999999999999999999.json", "{}");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put("1.json", bad[i]);
		r = opened();
		assert_int_equal(r.n, 1);
		status_is(&r, 1, REVISION_FAILED);
		assert_string_equal(revisions_find(&r, 1)->error, "its record is damaged");
		assert_int_equal(add(&r, "next", NULL), 2);
		revisions_done(&r);
		assert_true(there("2.json"));
		take_away("2.json");
	}
}

static void a_link_is_no_record(void **state)
{
	struct revisions r;
	char path[128];

	(void)state;
	put("other", "{\"revision\":1,\"status\":\"loaded\",\"hash\":\"\"}");
	snprintf(path, sizeof(path), "%s/1.json", dir);
	assert_int_equal(symlink("other", path), 0);
	r = opened();
	assert_int_equal(r.n, 1);
	status_is(&r, 1, REVISION_FAILED);
	assert_int_equal(add(&r, "next", NULL), 2);
	revisions_done(&r);
}

/* The oldest go first, never the one in force, never that of the start. */
static void bounded(void **state)
{
	struct revisions r = opened();

	(void)state;
	for (int i = 1; i <= REVISIONS_MAX + 10; i++) {
		assert_int_equal(add(&r, "t", NULL), i);
		if (i == 1)
			r.keep = 1;
		if (i <= 3)
			assert_int_equal(revisions_loaded(&r, (uint64_t)i), 0);
		else
			assert_int_equal(revisions_failed(&r, (uint64_t)i, "e"), 0);
	}
	assert_int_equal(r.n, REVISIONS_MAX);
	assert_non_null(revisions_find(&r, 1));
	assert_null(revisions_find(&r, 2));
	status_is(&r, 3, REVISION_LOADED);
	assert_null(revisions_find(&r, 12));
	assert_non_null(revisions_find(&r, 13));
	assert_false(there("12.json") || there("12.yaml"));
	revisions_done(&r);
	r = opened();
	assert_int_equal(add(&r, "t", NULL), REVISIONS_MAX + 11);
	revisions_done(&r);
}

static void bounded_text(void **state)
{
	static char big[4 << 20];
	struct revisions r = opened();
	char *text;
	size_t n;
	uint64_t last = 0;

	(void)state;
	memset(big, '#', sizeof(big) - 1);
	for (int i = 0; i < 20; i++)
		last = add(&r, big, "e");
	assert_true(r.text_bytes <= REVISIONS_TEXT_MAX);
	assert_int_equal(r.n, 20);
	assert_int_equal(revisions_text(&r, 1, &text, &n), -ENODATA);
	assert_false(there("1.yaml"));
	assert_true(there("1.json"));
	assert_int_equal(revisions_text(&r, last, &text, &n), 0);
	assert_int_equal(n, sizeof(big) - 1);
	free(text);
	revisions_done(&r);
}

static void long_errors(void **state)
{
	static char error[3 * REVISION_ERROR_MAX];
	struct revisions r = opened();

	(void)state;
	memset(error, '\x01', sizeof(error) - 1);
	add(&r, "t", error);
	revisions_done(&r);
	r = opened();
	status_is(&r, 1, REVISION_FAILED);
	assert_int_equal(strlen(revisions_find(&r, 1)->error), 4 * REVISION_ERROR_MAX);
	revisions_done(&r);
}

static void missing(void **state)
{
	struct revisions r;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(revisions_open(path, false, &r), -ENOENT);
}

/* ------------------------------------------------------------------------------ static sections -- */

static const char *differs(const char *a, const char *b, uid_t uid)
{
	char x[512], y[512];
	_cleanup_(policy_freep) struct policy *pa = NULL, *pb = NULL;
	const char *field = "?";
	char *error = NULL;

	snprintf(x, sizeof(x), "version: 1\n%s\n", a);
	snprintf(y, sizeof(y), "version: 1\n%s\n", b);
	pa = fixture_policy(slice_str(x));
	pb = fixture_policy(slice_str(y));
	if (statics_compare(policy_static(pa), policy_static(pb), uid, &field, &error) < 0)
		field = error ? "lookup" : "?";
	free(error);
	return field ? field : "";
}

static void statics(void **state)
{
	/* daemon is user and group 1 on every Debian. */
	static const struct {
		const char *first, *next, *want;
	} cases[] = {
		{"process: {run_as_user: daemon}", "", ""},
		{"process: {run_as_user: daemon}", "process: {run_as_user: 1}", ""},
		{"process: {run_as_user: daemon}", "process: {run_as_user: daemon, run_as_group: daemon}", ""},
		{"process: {run_as_user: daemon, run_as_group: '1'}", "process: {run_as_user: '1'}", ""},
		{"process: {run_as_user: daemon}", "process: {run_as_user: bin}", "process.run_as_user"},
		{"process: {run_as_user: daemon}", "process: {run_as_user: daemon, run_as_group: bin}",
		 "process.run_as_group"},
		{"process: {run_as_user: daemon}", "process: {run_as_user: no-such-user-here}", "lookup"},
		{"", "process: {}", ""},
		{"", "process: {run_as_user: daemon}", ""}, /* it runs as uid 1 */
		{"", "process: {run_as_user: bin}", "process.run_as_user"},
		{"", "landlock: {compatibility: best_effort}", ""},
		{"", "landlock: {compatibility: hard_requirement}", "landlock.compatibility"},
		{"", "filesystem_policy: {include_workdir: true, read_only: []}", ""},
		{"", "filesystem_policy: {read_write: [/x]}", "filesystem_policy.read_write"},
		{"filesystem_policy: {read_only: [/a, /b]}", "filesystem_policy: {read_only: [/b/, /a, //b]}", ""},
		{"filesystem_policy: {read_only: [/a, /b]}", "filesystem_policy: {read_only: [/a]}",
		 "filesystem_policy.read_only"},
		{"filesystem_policy: {read_only: [/a, /b]}", "filesystem_policy: {read_only: [/a], read_write: [/b]}",
		 "filesystem_policy.read_only"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = differs(cases[i].first, cases[i].next, 1);

		if (strcmp(got, cases[i].want) != 0)
			fail_msg("'%s' -> '%s': '%s', want '%s'", cases[i].first, cases[i].next, got, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_life, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crash, setup, teardown),
		cmocka_unit_test_setup_teardown(damage, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_is_no_record, setup, teardown),
		cmocka_unit_test_setup_teardown(bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(bounded_text, setup, teardown),
		cmocka_unit_test_setup_teardown(long_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(missing, setup, teardown),
		cmocka_unit_test(statics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
