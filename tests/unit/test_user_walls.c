/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_user_walls.c - the walls round a process, built for real: mounts, Landlock, identity, system
 * calls.  Needs root; skipped without.  Every refusal has beside it the same action where it is
 * allowed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/control.h"
#include "user/drop.h"
#include "user/landlock.h"
#include "user/mounts.h"
#include "user/seccomp.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>

#define TEST_UID 2000000001

static char base[] = "/var/tmp/osh-walls-XXXXXX";
static char work[64], shown[64], hidden[64], name[32];
static pid_t outside; /* a process of the same user */
static int listener;  /* in `shown`, bound by a path that the sandbox does not have */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void make_file(const char *dir, const char *file)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("x\n", f);
	fclose(f);
	assert_int_equal(chmod(path, 0666), 0);
}

static void make_dir(const char *path)
{
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(chmod(path, 0777), 0);
	make_file(path, "file");
}

static int unix_socket(const char *dir, int (*how)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/socket", dir);
	if (fd >= 0 && how(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void listen_by_link(void)
{
	char link[64], path[128];

	snprintf(link, sizeof(link), "%s/link", base);
	assert_int_equal(symlink("shown", link), 0);
	listener = unix_socket(link, bind);
	assert_true(listener >= 0);
	assert_int_equal(listen(listener, 1), 0);
	snprintf(path, sizeof(path), "%s/socket", shown);
	assert_int_equal(chmod(path, 0666), 0);
}

static int setup(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	assert_non_null(mkdtemp(base));
	assert_int_equal(chmod(base, 0755), 0);
	snprintf(work, sizeof(work), "%s/work", base);
	snprintf(shown, sizeof(shown), "%s/shown", base);
	snprintf(hidden, sizeof(hidden), "%s/hidden", base);
	snprintf(name, sizeof(name), "unit-walls-%d", (int)getpid());
	make_dir(work);
	make_dir(shown);
	make_dir(hidden);
	listen_by_link();
	outside = fork();
	if (outside == 0) {
		if (setresgid(TEST_UID, TEST_UID, TEST_UID) == 0 &&
		    setresuid(TEST_UID, TEST_UID, TEST_UID) == 0)
			pause();
		_exit(1);
	}
	return 0;
}

static int teardown(void **state)
{
	char path[128];

	(void)state;
	if (geteuid() != 0)
		return 0;
	close(listener);
	kill(outside, SIGKILL);
	waitpid(outside, NULL, 0);
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	snprintf(path, sizeof(path), OSH_STATE_DIR "/%s", name);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static int build(char **error)
{
	const struct policy_path ro[] = {{shown, 1, 1}, {(char *)"/dev/full", 1, 1}};
	const struct policy_static s = {
		.has_filesystem = true, .include_workdir = true, .read_only = {ro, ARRAY_LEN(ro)}};
	gid_t groups[] = {TEST_UID - 1};
	struct identity id = {.uid = TEST_UID,
			      .gid = TEST_UID,
			      .groups = groups,
			      .ngroups = 1,
			      .user = (char *)"u",
			      .home = (char *)IDENTITY_SANDBOX_HOME,
			      .shell = (char *)"/bin/sh"};
	const struct plan_options o = {
		.policy = &s, .identity = &id, .name = name, .workdir = work};
	struct landlock_ruleset ruleset;
	struct launch_plan p;
	int trust = memfd_create("trust", 0), r = plan_make(&o, &p, error);

	if (r == 0)
		r = mounts_build(&p, trust, NULL, error);
	if (r == 0)
		r = landlock_prepare(&p, NULL, &ruleset, error);
	if (r == 0)
		r = drop_identity(&p, error);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = landlock_enforce(&ruleset);
	return r == 0 ? seccomp_enforce(landlock_abi(), NULL, error) : r;
}

/* Runs fn behind the walls; it returns 0, or the line that did not hold. */
static void inside(int (*fn)(void))
{
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		char *error = NULL;
		int line;

		if (build(&error) < 0) {
			fprintf(stderr, "walls: %s\n", error ? error : "?");
			_exit(255);
		}
		line = fn();
		if (line)
			fprintf(stderr, "line %d: %s\n", line, strerror(errno));
		_exit(line ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define HOLDS(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			return __LINE__;                                                           \
	} while (0)

static bool can_open(const char *dir, const char *file, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s%s%s", dir, *file ? "/" : "", file);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int files_hold(void)
{
	char path[256];

	HOLDS(can_open(work, "file", O_RDWR));
	HOLDS(can_open(work, "new", O_RDWR | O_CREAT | O_EXCL));
	HOLDS(can_open(shown, "file", O_RDONLY));
	HOLDS(!can_open(shown, "file", O_RDWR));
	HOLDS(!can_open(shown, "new", O_RDWR | O_CREAT));
	HOLDS(!can_open(hidden, "file", O_RDONLY) && errno == ENOENT);
	snprintf(path, sizeof(path), "%s/file", shown);
	HOLDS(chmod(path, 0600) < 0 && errno == EROFS); /* what Landlock alone lets through */
	HOLDS(truncate(path, 0) < 0);
	HOLDS(!can_open("/", "new", O_RDWR | O_CREAT));
	HOLDS(!can_open("/usr", "new", O_RDWR | O_CREAT));
	HOLDS(!can_open("/root", "", O_RDONLY));
	HOLDS(can_open("/tmp", "new", O_RDWR | O_CREAT));
	HOLDS(can_open("/dev/shm", "new", O_RDWR | O_CREAT));
	HOLDS(can_open(IDENTITY_SANDBOX_HOME, "new", O_RDWR | O_CREAT));
	HOLDS(can_open("/usr/bin/env", "", O_RDONLY));
	HOLDS(can_open("/bin/sh", "", O_RDONLY));
	return 0;
}

static int devices_hold(void)
{
	struct statvfs fs;

	HOLDS(can_open("/dev/null", "", O_RDWR));
	HOLDS(can_open("/dev/urandom", "", O_RDONLY));
	HOLDS(can_open("/dev/full", "", O_RDONLY));
	HOLDS(landlock_abi() == 0 || (!can_open("/dev/full", "", O_WRONLY) && errno == EACCES));
	HOLDS(!can_open("/dev/kmsg", "", O_RDONLY));
	HOLDS(!can_open("/dev/mem", "", O_RDONLY));
	HOLDS(can_open("/dev/ptmx", "", O_RDWR | O_NOCTTY));
	HOLDS(statvfs(work, &fs) == 0 && (fs.f_flag & ST_NOSUID) && (fs.f_flag & ST_NODEV));
	HOLDS(statvfs("/usr", &fs) == 0 && (fs.f_flag & ST_NOSUID) && (fs.f_flag & ST_RDONLY));
	return 0;
}

/* Only this process is to be seen, and nothing in /proc can be written. */
static int processes_hold(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	char path[64];

	HOLDS(d);
	while ((e = readdir(d)))
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
			HOLDS(landlock_abi() == 0 || atoi(e->d_name) == getpid());
	closedir(d);
	HOLDS(can_open("/proc/self/status", "", O_RDONLY));
	HOLDS(!can_open("/proc/self/oom_score_adj", "", O_WRONLY));
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)outside);
	HOLDS(landlock_abi() == 0 || !can_open(path, "", O_RDONLY));
	HOLDS(landlock_abi() < 6 || (kill(outside, 0) < 0 && errno == EPERM));
	HOLDS(kill(getpid(), 0) == 0);
	return 0;
}

static int identity_holds(void)
{
	gid_t groups[4];

	HOLDS(getuid() == TEST_UID && geteuid() == TEST_UID && getgid() == TEST_UID);
	HOLDS(getgroups(4, groups) == 1 && groups[0] == TEST_UID - 1);
	HOLDS(setuid(0) < 0 && setgid(0) < 0);
	HOLDS(prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 0);
	HOLDS(mount("x", "/tmp", "tmpfs", 0, NULL) < 0 && errno == EPERM);
	return 0;
}

static int own_files_hold(void)
{
	char text[256] = "";
	FILE *f = fopen("/etc/resolv.conf", "r");

	HOLDS(!f || (fread(text, 1, sizeof(text) - 1, f) > 0 &&
		     strncmp(text, "nameserver 198.18.", 18) == 0));
	HOLDS(can_open(PLAN_TRUST_FILE, "", O_RDONLY) && !can_open(PLAN_TRUST_FILE, "", O_WRONLY));
	return 0;
}

static int sockets_hold(void)
{
	HOLDS(unix_socket(shown, connect) < 0 && errno == ECONNREFUSED);
	HOLDS(unix_socket("/tmp", bind) >= 0);
	return 0;
}

static void files(void **state)
{
	(void)state;
	inside(files_hold);
	assert_int_equal(access(shown, F_OK), 0); /* and this process is where it was */
}

static void devices(void **state)
{
	(void)state;
	inside(devices_hold);
}

static void processes(void **state)
{
	(void)state;
	inside(processes_hold);
}

static void identity(void **state)
{
	(void)state;
	inside(identity_holds);
}

static void sockets(void **state)
{
	int fd;

	(void)state;
	inside(sockets_hold);
	fd = unix_socket(shown, connect);
	assert_true(fd >= 0);
	close(fd);
}

static void own_files(void **state)
{
	(void)state;
	inside(own_files_hold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),     cmocka_unit_test(devices),
		cmocka_unit_test(processes), cmocka_unit_test(identity),
		cmocka_unit_test(sockets),   cmocka_unit_test(own_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
