/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_files.c - policies from files, and the links behind binary paths.
 *
 * Both are small pieces of user/ that need nothing of the rest of it, so they are tested here with
 * the library that they belong to.  The link tests build a tree of their own; as root they ask on
 * behalf of another uid.
 */
#include "user/binlinks.c"
#include "user/policy_file.c"
#include "user/safetext.c"

#include "tests/unit/policy_fixture.h"

#define UID 61234
#define GID 61235

/* A directory of this test's own: /tmp itself is writable for all, so links are looked for in a
 * private root that is trusted only where the test can make it so. */
static char base[64];

static void in_base(char out[256], const char *name)
{
	(void)snprintf(out, 256, "%s/%s", base, name);
}

static void make_file(const char *name)
{
	char path[256];
	int fd;

	in_base(path, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	close(fd);
}

static void make_dir(const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	char path[256];

	in_base(path, name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chown(path, uid, gid), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void make_link(const char *name, const char *target)
{
	char path[256];

	in_base(path, name);
	assert_int_equal(symlink(target, path), 0);
}

/* What the path below the base resolves to, relative to the base; "" when nothing is added. */
static void expect(const char *name, const char *want)
{
	char path[256], full[256];
	_cleanup_free_ char *got = NULL;
	const gid_t groups[] = {70001, 70002};
	int r;

	in_base(path, name);
	in_base(full, want);
	r = binlinks_path(path, UID, GID, groups, 2, &got);
	assert_int_equal(r, *want ? 1 : 0);
	if (*want)
		assert_string_equal(got, full);
}

static int remove_tree(void **state)
{
	char cmd[128];

	(void)state;
	if (!*base)
		return 0;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	return system(cmd);
}

static void links(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	/* /run is root's on every system that runs these tests; /tmp is anybody's */
	(void)snprintf(base, sizeof(base), "/run/osh-test-XXXXXX");
	assert_non_null(mkdtemp(base));
	assert_int_equal(chmod(base, 0755), 0);
	make_dir("bin", 0755, 0, 0);
	make_file("bin/real-1.2");
	make_link("bin/real", "real-1.2");
	make_link("bin/twice", "./real");
	make_link("sbin", "bin");
	make_link("bin/up", "../bin/../sbin/real");
	make_link("bin/loop", "loop");
	make_link("bin/dangling", "nowhere");
	make_link("bin/todir", "../bin");
	expect("bin/real", "bin/real-1.2");
	expect("bin/twice", "bin/real-1.2");
	expect("sbin/real-1.2", "bin/real-1.2");
	expect("bin/up", "bin/real-1.2");
	expect("bin/real-1.2", "");
	expect("bin/loop", "");
	expect("bin/dangling", "");
	expect("bin/todir", "");
	expect("bin/missing", "");
	/* places that the run-as user can write */
	make_dir("mine", 0755, UID, 0);
	make_link("mine/link", "../bin/real");
	expect("mine/link", "");
	make_dir("group", 0775, 0, GID);
	make_link("group/link", "../bin/real");
	expect("group/link", "");
	make_dir("other-group", 0775, 0, 70003);
	make_link("other-group/link", "../bin/real");
	expect("other-group/link", "bin/real-1.2");
	make_dir("second-group", 0775, 0, 70002);
	make_link("second-group/link", "../bin/real");
	expect("second-group/link", "");
	make_dir("sticky", 01777, 0, 0);
	make_link("sticky/link", "../bin/real");
	expect("sticky/link", "");
	/* a trusted link into an untrusted place leads nowhere */
	make_file("mine/tool");
	make_link("bin/into", "../mine/tool");
	expect("bin/into", "");
}

static void aliases(void **state)
{
	_cleanup_(policy_freep) struct policy *p =
		fixture_policy(slice_str("version: 1\nnetwork_policies:\n"
					 "  a: {endpoints: [{host: a.test, port: 1}], binaries: "
					 "[{path: /proc/self/exe}, {path: \"/bin/*\"}, "
					 "{path: /nonexistent/x}]}\n"));

	(void)state;
	assert_int_equal(binlinks_resolve(p, UID, GID, NULL, 0), 0);
}

/* -------------------------------------------------------------------------------- files -- */

static void load_fails(const char *path, int error, const char *message)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	struct policy *p = NULL;

	assert_int_equal(policy_load_file(path, &d, &p, NULL, NULL), error);
	assert_null(p);
	assert_int_equal(d.errors, 1);
	assert_string_equal(d.v[0].message, message);
}

static void files(void **state)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	_cleanup_(policy_freep) struct policy *p = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	(void)state;
	load_fails("/nonexistent/policy.yaml", -ENOENT,
		   "cannot be read: No such file or directory");
	load_fails("/", -EISDIR, "is a directory, not a policy file");
	load_fails("/dev/zero", -EFBIG, "larger than 4 MiB, which no policy may be");
	load_fails("/dev/null", -EINVAL, "empty: a policy begins with 'version: 1'");
	assert_int_equal(policy_load_file("examples/default.yaml", &d, &p, &text, &n), 0);
	assert_int_equal(strlen(text), n);
	assert_int_equal(d.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(links, remove_tree),
		cmocka_unit_test(aliases),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
