/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_plan.c - from static sections to mounts; the plan through a memfd and damaged; the
 * canonical text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/blob.h"
#include "user/plan.h"
#include "user/strv.h"

#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>

/* A small host below a directory of the test's own, which the sandbox's user cannot write. */
struct fixture {
	char dir[64], work[128], home[128];
	struct identity id;
	char *warnings;
	size_t nwarnings;
};

static void make_dir(const char *dir, const char *name, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void make_link(const char *dir, const char *name, const char *target)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(symlink(target, path), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/var/tmp/osh-plan-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	make_dir(f->dir, "work", 0755);
	make_dir(f->dir, "work/sub", 0755);
	make_dir(f->dir, "home", 0755);
	make_dir(f->dir, "home/u", 0755);
	make_dir(f->dir, "home/u/cfg", 0755);
	make_dir(f->dir, "data", 0755);
	make_dir(f->dir, "open", 0777);
	make_link(f->dir, "link", "data");
	make_link(f->dir, "open/link", "../data");
	snprintf(f->work, sizeof(f->work), "%s/work", f->dir);
	snprintf(f->home, sizeof(f->home), "%s/home/u", f->dir);
	f->id = (struct identity){.uid = 2000000001,
				  .gid = 2000000001,
				  .user = (char *)"u",
				  .home = f->home,
				  .shell = (char *)"/bin/sh"};
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f->warnings);
	free(f);
	return 0;
}

static void keep_warning(void *userdata, const char *text)
{
	struct fixture *f = userdata;

	free(f->warnings);
	f->warnings = strdup(text);
	f->nwarnings++;
}

/* A path of the fixture, in a ring of buffers. */
static const char *at(const struct fixture *f, const char *name)
{
	static char ring[8][256];
	static unsigned next;
	char *s = ring[next++ % 8];

	snprintf(s, sizeof(ring[0]), "%s/%s", f->dir, name);
	return s;
}

static int make(struct fixture *f, const struct policy_static *s, struct launch_plan *p,
		char **error)
{
	struct plan_options o = {.policy = s,
				 .identity = &f->id,
				 .name = "t",
				 .workdir = f->work,
				 .warn = keep_warning,
				 .userdata = f};

	return plan_make(&o, p, error);
}

static const struct plan_mount *mount_at(const struct launch_plan *p, const char *path)
{
	for (size_t i = 0; i < p->nmounts; i++)
		if (strcmp(p->mounts[i].path, path) == 0)
			return &p->mounts[i];
	return NULL;
}

static void assert_kind(const struct launch_plan *p, const char *path, uint32_t kind, bool rw)
{
	const struct plan_mount *m = mount_at(p, path);

	if (!m)
		fail_msg("no mount at %s", path);
	assert_int_equal(m->kind, kind);
	assert_int_equal(m->flags & PLAN_RW, rw ? PLAN_RW : 0);
}

#define PATHS(...)                                                                                 \
	{                                                                                          \
		.v = (const struct policy_path[]){__VA_ARGS__},                                    \
		.n = sizeof((const struct policy_path[]){__VA_ARGS__}) /                           \
		     sizeof(struct policy_path)                                                    \
	}

static void baseline(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {0};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_kind(&p, "/usr", PLAN_BIND, false);
	assert_kind(&p, "/etc", PLAN_BIND, false);
	assert_kind(&p, "/dev/null", PLAN_BIND, true);
	assert_true(mount_at(&p, "/dev/null")->flags & PLAN_DEVICE);
	assert_false(mount_at(&p, "/usr")->flags & PLAN_DEVICE);
	assert_kind(&p, "/dev", PLAN_TMPFS, false);
	assert_kind(&p, "/dev/pts", PLAN_DEVPTS, true);
	assert_kind(&p, "/proc", PLAN_PROC, false);
	assert_kind(&p, "/tmp", PLAN_TMPFS, true);
	assert_kind(&p, "/run", PLAN_TMPFS, false);
	assert_kind(&p, f->work, PLAN_BIND, true);
	assert_kind(&p, f->home, PLAN_HOME, true);
	for (size_t i = 1; i < p.nmounts; i++) /* parents first, no path twice */
		assert_true(strcmp(p.mounts[i - 1].path, p.mounts[i].path) < 0);
	assert_int_equal(f->nwarnings, 0);
	plan_done(&p);
}

static void most_specific_wins(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {
		.has_filesystem = true,
		.read_only =
			PATHS({f->dir, 1, 1}, {at(f, "work/sub"), 1, 1}, {at(f, "data"), 1, 1}),
		.read_write = PATHS({f->work, 1, 1}),
	};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_kind(&p, f->dir, PLAN_BIND, false);
	assert_kind(&p, f->work, PLAN_BIND, true);
	assert_kind(&p, at(f, "work/sub"), PLAN_BIND, false);
	assert_null(mount_at(&p, at(f, "data"))); /* shown so already */
	assert_null(mount_at(&p, f->home));	  /* covered: no home of its own */
	assert_string_equal(plan_covering(&p, at(f, "work/sub/x"))->path, at(f, "work/sub"));
	assert_string_equal(plan_covering(&p, at(f, "workshop"))->path, f->dir);
	plan_done(&p);
}

static void listed_beats_workdir_and_baseline(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {
		.has_filesystem = true,
		.include_workdir = true,
		.read_only = PATHS({f->work, 1, 1}, {"/dev/null", 1, 1}),
	};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_kind(&p, f->work, PLAN_BIND, false);
	assert_kind(&p, "/dev/null", PLAN_BIND, false);
	plan_done(&p);
}

static void no_workdir(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {.has_filesystem = true};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_null(mount_at(&p, f->work));
	assert_false(plan_shows(&p, f->work));
	assert_true(plan_shows(&p, "/usr/bin/env"));
	plan_done(&p);
}

static void links_are_reproduced(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {.has_filesystem = true,
				  .read_only = PATHS({at(f, "link"), 1, 1})};
	struct launch_plan p;
	char *error;
	bool found = false;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_kind(&p, at(f, "data"), PLAN_BIND, false);
	for (size_t i = 0; i < p.nlinks; i++)
		found = found || (strcmp(p.links[i].path, at(f, "link")) == 0 &&
				  strcmp(p.links[i].target, "data") == 0);
	assert_true(found);
	assert_true(plan_shows(&p, at(f, "link/file")));
	plan_done(&p);
}

/* A link that the sandbox's user could have placed is not followed, whoever listed it. */
static void links_of_the_user_are_not(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {.has_filesystem = true,
				  .read_only = PATHS({at(f, "open/link"), 1, 1})};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_null(mount_at(&p, at(f, "data")));
	assert_int_equal(f->nwarnings, 1);
	assert_non_null(strstr(f->warnings, "open/link"));
	assert_non_null(strstr(f->warnings, "list what it leads to"));
	plan_done(&p);
}

static void missing_paths(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {.has_filesystem = true,
				  .read_only = PATHS({at(f, "nowhere"), 1, 1})};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_int_equal(f->nwarnings, 1);
	assert_non_null(strstr(f->warnings, "nowhere: "));
	assert_non_null(strstr(f->warnings, strerror(ENOENT)));
	plan_done(&p);

	s.landlock = POLICY_HARD_REQUIREMENT;
	assert_int_equal(make(f, &s, &p, &error), -ENOENT);
	assert_non_null(strstr(error, "hard_requirement"));
	free(error);
}

static void options_must_exist(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {.has_filesystem = true};
	char *list[] = {(char *)at(f, "nowhere"), NULL}, *good[] = {(char *)at(f, "data"), NULL};
	struct plan_options o = {
		.policy = &s, .identity = &f->id, .name = "t", .workdir = f->work, .rw = list};
	struct launch_plan p;
	char *error;

	assert_int_equal(plan_make(&o, &p, &error), -ENOENT);
	assert_non_null(strstr(error, "nowhere"));
	free(error);
	o.rw = good;
	assert_int_equal(plan_make(&o, &p, &error), 0);
	assert_kind(&p, good[0], PLAN_BIND, true);
	assert_false(mount_at(&p, good[0])->flags & PLAN_OPTIONAL);
	plan_done(&p);
}

static void own_places(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {
		.has_filesystem = true,
		.read_only = PATHS({"/proc", 1, 1}, {"/proc/cpuinfo", 1, 1}, {"/dev/pts", 1, 1}),
		.read_write = PATHS({"/tmp", 1, 1}, {"/dev/shm", 1, 1}, {"/dev/ptmx", 1, 1}),
	};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_kind(&p, "/tmp", PLAN_TMPFS, true);
	assert_kind(&p, "/proc", PLAN_PROC, false);
	assert_null(mount_at(&p, "/proc/cpuinfo"));
	assert_kind(&p, "/dev/pts", PLAN_DEVPTS, true);
	assert_kind(&p, "/dev/shm", PLAN_TMPFS, true);
	assert_null(mount_at(&p, "/dev/ptmx"));
	plan_done(&p);
}

static void home_inside_private_home(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {.has_filesystem = true,
				  .read_write = PATHS({at(f, "home/u/cfg"), 1, 1})};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_kind(&p, f->home, PLAN_HOME, true);
	assert_kind(&p, at(f, "home/u/cfg"), PLAN_BIND, true);
	plan_done(&p);
}

static void homes_that_cannot_be(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {.has_filesystem = true};
	static const char *const homes[] = {"/", "/usr", "/proc/x", "/no/such/directory"};

	for (size_t i = 0; i < ARRAY_LEN(homes); i++) {
		struct launch_plan p;
		char *error;

		f->id.home = (char *)homes[i];
		assert_int_equal(make(f, &s, &p, &error), 0);
		assert_string_equal(p.home, IDENTITY_SANDBOX_HOME);
		plan_done(&p);
	}
}

static void root_not_writable(void **state)
{
	struct fixture *f = *state;
	struct policy_static s = {.has_filesystem = true, .read_write = PATHS({"/", 1, 1})};
	struct launch_plan p;
	char *error;

	assert_int_equal(make(f, &s, &p, &error), -EINVAL);
	free(error);
}

/* ------------------------------------------------------------------------------------- the memfd
 * -- */

static char *blob(struct fixture *f, size_t *n)
{
	struct policy_static s = {.has_filesystem = true, .include_workdir = true};
	struct launch_plan p;
	char *error, *bytes = NULL;
	gid_t groups[] = {5, 6};
	int fd;

	f->id.groups = groups;
	f->id.ngroups = 2;
	assert_int_equal(make(f, &s, &p, &error), 0);
	assert_int_equal(strv_add(&p.env, "PATH=/usr/bin"), 0);
	assert_int_equal(plan_to_memfd(&p, &fd), 0);
	assert_int_equal(read_whole_fd(fd, PLAN_SIZE_MAX, &bytes, n), 0);
	close(fd);
	plan_done(&p);
	return bytes;
}

static void round_trip(void **state)
{
	struct fixture *f = *state;
	struct launch_plan p;
	size_t n;
	char *bytes = blob(f, &n);

	assert_int_equal(plan_parse((struct slice){(uint8_t *)bytes, n}, &p), 0);
	assert_string_equal(p.name, "t");
	assert_int_equal(p.uid, 2000000001);
	assert_int_equal(p.ngroups, 2);
	assert_int_equal(p.groups[1], 6);
	assert_true(p.files_soft > 0 && p.files_soft <= p.files_hard);
	assert_string_equal(p.workdir, f->work);
	assert_kind(&p, f->work, PLAN_BIND, true);
	assert_string_equal(p.env[0], "PATH=/usr/bin");
	plan_done(&p);
	free(bytes);
}

static void damage(void **state)
{
	struct fixture *f = *state;
	struct launch_plan p;
	size_t n;
	char *bytes = blob(f, &n);

	for (size_t i = 0; i < n; i++) {
		char *copy = malloc(i ? i : 1);

		memcpy(copy, bytes, i);
		assert_int_equal(plan_parse((struct slice){(uint8_t *)copy, i}, &p), -EBADMSG);
		free(copy);
	}
	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			bytes[i] = (char)(bytes[i] ^ (1 << bit));
			if (plan_parse((struct slice){(uint8_t *)bytes, n}, &p) == 0) {
				assert_true(p.uid != 0 && p.gid != 0);
				assert_true(sandbox_name_valid(p.name));
				plan_done(&p);
			}
			bytes[i] = (char)(bytes[i] ^ (1 << bit));
		}
	free(bytes);
}

/* ------------------------------------------------------------------------------------- the meaning
 * -- */

static void same_meaning(void **state)
{
	const struct policy_static a = {
		.has_filesystem = true,
		.include_workdir = true,
		.read_only = PATHS({"/usr", 1, 1}, {"/etc", 2, 1}, {"/usr", 3, 1}),
		.run_as_user = "nobody",
	};
	const struct policy_static b = {
		.has_filesystem = true,
		.include_workdir = true,
		.has_landlock = true,
		.read_only = PATHS({"/etc", 9, 9}, {"/usr", 8, 8}),
		.run_as_user = "65534",
	};
	const struct policy_static defaults = {0},
				   spelt_out = {.has_filesystem = true, .include_workdir = true};
	char x[65], y[65];

	(void)state;
	assert_int_equal(static_canonical_hash(&a, x), 0);
	assert_int_equal(static_canonical_hash(&b, y), 0);
	assert_string_equal(x, y);
	assert_int_equal(strlen(x), 64);
	assert_int_equal(static_canonical_hash(&defaults, x), 0);
	assert_int_equal(static_canonical_hash(&spelt_out, y), 0);
	assert_string_equal(x, y);
}

static void other_meaning(void **state)
{
	const struct policy_static all[] = {
		{0},
		{.has_filesystem = true},
		{.landlock = POLICY_HARD_REQUIREMENT},
		{.read_only = PATHS({"/a", 1, 1})},
		{.read_write = PATHS({"/a", 1, 1})},
		{.unix_sockets = PATHS({"/a", 1, 1})},
		{.run_as_user = "65534"},
		{.run_as_group = "65534"},
	};
	char hash[ARRAY_LEN(all)][65];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(static_canonical_hash(&all[i], hash[i]), 0);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(hash[i], hash[k]);
	}
}

/* Directories on the way to something read-only, where the sandbox could rename them. */
static void held(void **state)
{
	struct plan_mount mounts[] = {
		{PLAN_TMPFS, 0, (char *)"/dev"},
		{PLAN_BIND, PLAN_DEVICE, (char *)"/dev/urandom"},
		{PLAN_HOME, PLAN_RW, (char *)"/home/u"},
		{PLAN_BIND, PLAN_RW, (char *)"/home/u/a/cache"},
		{PLAN_BIND, PLAN_SOCKET, (char *)"/home/u/run/s"},
		{PLAN_BIND, PLAN_RW, (char *)"/home/u/src/work"},
		{PLAN_BIND, 0, (char *)"/home/u/src/work/a/b/tools"},
		{PLAN_BIND, 0, (char *)"/usr"},
		{PLAN_BIND, PLAN_RW, (char *)"/usr/rw"},
		{PLAN_BIND, 0, (char *)"/usr/rw/x/ro"},
	};
	const struct launch_plan p = {.mounts = mounts, .nmounts = ARRAY_LEN(mounts)};
	static const char *const yes[] = {"/home/u/src", "/home/u/src/work/a", "/home/u/src/work/a/b", "/usr/rw/x"};
	static const char *const no[] = {"/dev",
					 "/home",
					 "/home/u",
					 "/home/u/a",
					 "/home/u/a/cache",
					 "/home/u/run",
					 "/home/u/sr",
					 "/home/u/src/work",
					 "/home/u/src/work/a/b/tools",
					 "/home/u/src/work/a/b/tools/x",
					 "/home/u/src/work/b",
					 "/usr",
					 "/usr/rw"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (!plan_must_hold(&p, yes[i]))
			fail_msg("%s is not held", yes[i]);
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		if (plan_must_hold(&p, no[i]))
			fail_msg("%s is held", no[i]);
}

#define WITH_HOST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HOST(baseline),
		WITH_HOST(most_specific_wins),
		WITH_HOST(listed_beats_workdir_and_baseline),
		WITH_HOST(no_workdir),
		WITH_HOST(links_are_reproduced),
		WITH_HOST(links_of_the_user_are_not),
		WITH_HOST(missing_paths),
		WITH_HOST(options_must_exist),
		WITH_HOST(own_places),
		WITH_HOST(home_inside_private_home),
		WITH_HOST(homes_that_cannot_be),
		WITH_HOST(root_not_writable),
		WITH_HOST(round_trip),
		WITH_HOST(damage),
		cmocka_unit_test(held),
		cmocka_unit_test(same_meaning),
		cmocka_unit_test(other_meaning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
