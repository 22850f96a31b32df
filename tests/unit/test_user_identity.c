/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_identity.c - who a sandbox runs as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/identity.h"

#include <sys/stat.h>

#define NO_SUCH_UID "2000000001"

static int resolve(const char *user, const char *group, const char *sudo_uid, struct identity *id,
		   char **error)
{
	struct policy_static s = {
		.has_process = user || group, .run_as_user = user, .run_as_group = group};

	*id = (struct identity){0};
	return identity_resolve(&s, sudo_uid, id, error);
}

static void number_without_entry(void **state)
{
	struct identity id;
	char *error;

	(void)state;
	assert_int_equal(resolve(NO_SUCH_UID, NULL, NULL, &id, &error), 0);
	assert_int_equal(id.uid, 2000000001);
	assert_int_equal(id.gid, 2000000001);
	assert_string_equal(id.user, NO_SUCH_UID);
	assert_string_equal(id.home, IDENTITY_SANDBOX_HOME);
	assert_int_equal(id.ngroups, 0);
	identity_done(&id);
}

static void sudo_user(void **state)
{
	struct identity id;
	char *error;

	(void)state;
	assert_int_equal(resolve(NULL, NULL, NO_SUCH_UID, &id, &error), 0);
	assert_int_equal(id.uid, 2000000001);
	identity_done(&id);
	/* The policy has the word. */
	assert_int_equal(resolve("2000000002", NULL, NO_SUCH_UID, &id, &error), 0);
	assert_int_equal(id.uid, 2000000002);
	identity_done(&id);
}

static void named_user_and_group(void **state)
{
	struct identity id;
	char *error;

	(void)state;
	assert_int_equal(resolve("nobody", "12345", NULL, &id, &error), 0);
	assert_string_equal(id.user, "nobody");
	assert_int_equal(id.gid, 12345);
	assert_string_equal(id.home, IDENTITY_SANDBOX_HOME); /* /nonexistent is none */
	assert_string_equal(id.shell, "/bin/sh");	     /* nologin is none */
	identity_done(&id);
}

static void root_refused(void **state)
{
	static const char *const cases[][2] = {
		{"root", NULL}, {"0", NULL}, {"nobody", "root"}, {"nobody", "0"}};
	struct identity id;
	char *error;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(resolve(cases[i][0], cases[i][1], NULL, &id, &error), -EPERM);
		assert_non_null(strstr(error, "never runs as root"));
		free(error);
	}
}

static void unknown_names(void **state)
{
	struct identity id;
	char *error;

	(void)state;
	assert_int_equal(resolve("no-such-user-here", NULL, NULL, &id, &error), -ENOENT);
	assert_non_null(strstr(error, "'no-such-user-here'"));
	free(error);
	assert_int_equal(resolve("nobody", "no-such-group-here", NULL, &id, &error), -ENOENT);
	assert_non_null(strstr(error, "run_as_group"));
	free(error);
	assert_int_equal(resolve("4294967295", NULL, NULL, &id, &error), -ENOENT);
	free(error);
}

/* Called by root itself: the user "sandbox", or how to create it. */
static void nobody_named(void **state)
{
	static const char *const not_sudo[] = {NULL, "", "0", "x", "4294967295"};
	struct identity id;
	char *error;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(not_sudo); i++) {
		int r = resolve(NULL, NULL, not_sudo[i], &id, &error);

		if (r == 0) {
			assert_string_equal(id.user, "sandbox");
			identity_done(&id);
			continue;
		}
		assert_int_equal(r, -ENOENT);
		assert_non_null(strstr(error, "useradd --system"));
		free(error);
	}
}

static void may_write(void **state)
{
	gid_t groups[] = {30, 40};
	struct identity id = {.uid = 1000, .gid = 1000, .groups = groups, .ngroups = 2};
	const struct {
		struct stat st;
		bool acl, want;
	} cases[] = {
		{{.st_uid = 0, .st_gid = 0, .st_mode = S_IFDIR | 0755}, false, false},
		{{.st_uid = 1000, .st_gid = 0, .st_mode = S_IFDIR | 0555},
		 false,
		 true}, /* the owner can chmod */
		{{.st_uid = 0, .st_gid = 0, .st_mode = S_IFDIR | 01777}, false, true},
		{{.st_uid = 0, .st_gid = 40, .st_mode = S_IFDIR | 0775}, false, true},
		{{.st_uid = 0, .st_gid = 50, .st_mode = S_IFDIR | 0775}, false, false},
		{{.st_uid = 0, .st_gid = 50, .st_mode = S_IFDIR | 0775}, true, true},
		{{.st_uid = 0, .st_gid = 1000, .st_mode = S_IFDIR | 0755}, true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(identity_may_write(&id, &cases[i].st, cases[i].acl),
				 cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_without_entry),
		cmocka_unit_test(sudo_user),
		cmocka_unit_test(named_user_and_group),
		cmocka_unit_test(root_refused),
		cmocka_unit_test(unknown_names),
		cmocka_unit_test(nobody_named),
		cmocka_unit_test(may_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
