/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_user_paths.c - the collection of path ids, with real processes under the real exec, fork and exit hooks: what
 * somebody has stays, whenever he got it, and what nobody has goes.
 *
 * A small sandbox without proxy, supervisor and walls: a shell in its cgroup does what the test writes to it.  Needs root.
 */
#include "tests/unit/policy_fixture.h"

#include "user/kernel.h"
#include "user/revoke.h"
#include "user/start.h"
#include "user/supervise.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JUNK 0x40000000u /* ids of entries that only fill the table: younger than any that the kernel has given */
#define HALF_FULL 8192u
#define FULL 16384u

static const char policy_text[] = "version: 1\nnetwork_policies:\n"
				  "  bound: {binaries: [{path: /bound}], endpoints: [{host: 1.2.3.4, port: 1, protocol: rest, access: full}]}\n"
				  "  wide: {binaries: [{path: \"**\"}], endpoints: [{host: 1.2.3.4, port: 1}]}\n";

struct rig {
	char name[32], dir[64], pins[128];
	int lock;
	struct cgroups cgroups;
	struct kernel *kernel;
	struct published published;
	struct fixture_image image;
	pid_t shell;
	int to;
	FILE *from;
	uint32_t junk;
};

static struct rig rig = {.lock = -1, .cgroups = CGROUPS_INIT, .to = -1, .published = {.map_fd = -1}};

static int patience(void)
{
	const char *slow = getenv("OSHT_SLOW");

	return 20000 * (slow && atoi(slow) > 0 ? atoi(slow) : 1);
}

/* --------------------------------------------------------------------------------------------- the sandbox -- */

static void directories(struct rig *r)
{
	_cleanup_close_ int all = -1;
	_cleanup_free_ char *base = NULL;
	char path[128];

	snprintf(r->name, sizeof(r->name), "unit-paths-%d", (int)getpid());
	assert_int_equal(state_lock(&all), 0);
	snprintf(path, sizeof(path), OSH_RUN_DIR "/%s", r->name);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), OSH_RUN_DIR "/%s/lock", r->name);
	r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(r->lock >= 0 && flock(r->lock, LOCK_EX | LOCK_NB) == 0);
	assert_int_equal(bpffs_dir(&base), 0);
	snprintf(r->pins, sizeof(r->pins), "%s/%s", base, r->name);
	assert_int_equal(mkdir(r->pins, 0700), 0);
	assert_int_equal(cgroups_create(r->name, &r->cgroups), 0);
}

static void kernel_side(struct rig *r)
{
	struct kernel_config c = {.cgroups = &r->cgroups, .pin_dir = r->pins, .tag = 1, .uid = 65534,
				  .proxy_port4 = 1, .proxy_port6 = 1, .dns_port4 = 1, .dns_port6 = 1};
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
	const char *what = "";
	int e;

	fixture_image(policy_text, &r->image);
	assert_int_equal(write(fd, r->image.p, r->image.n), r->image.n);
	assert_int_equal(kernel_new(&c, &r->kernel), 0);
	assert_int_equal(kernel_publish(r->kernel, 1, fd, false, &r->published), 0);
	kernel_set_current(r->kernel, 1);
	e = kernel_attach(r->kernel, &c, &what);
	if (e < 0)
		fail_msg("%s: %s", what, strerror(-e));
}

/* The first exec is the launcher's, which has no identity; the second makes it a shell that has one. */
static void shell(struct rig *r)
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	kernel_open_launch(r->kernel);
	r->shell = cgroup_fork(r->cgroups.fd[CGROUP_AGENT], 0);
	assert_true(r->shell >= 0);
	if (r->shell == 0) {
		if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
			execl("/bin/sh", "sh", "-c", "exec /bin/sh", NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	r->to = in[1];
	r->from = fdopen(out[0], "r");
	assert_non_null(r->from);
}

static void say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert_int_equal(write(rig.to, line, (size_t)n), n);
}

/* The number on the next line of what the sandbox says. */
static int hear(void)
{
	struct pollfd p = {.fd = fileno(rig.from), .events = POLLIN};
	char line[64];

	if (poll(&p, 1, patience()) != 1 || !fgets(line, sizeof(line), rig.from))
		fail_msg("the sandbox says nothing");
	return atoi(line);
}

static int up(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	strcpy(rig.dir, "/tmp/unit-paths-XXXXXX");
	assert_non_null(mkdtemp(rig.dir));
	directories(&rig);
	kernel_side(&rig);
	shell(&rig);
	say("mkfifo %s/never && echo 1\n", rig.dir);
	return hear() == 1 ? 0 : -1;
}

static int down(void **state)
{
	char cmd[128];

	(void)state;
	if (geteuid() != 0)
		return 0;
	closep(&rig.to);
	if (rig.from)
		fclose(rig.from);
	published_done(&rig.published);
	kernel_free(rig.kernel);
	cgroups_done(&rig.cgroups);
	fixture_image_done(&rig.image);
	closep(&rig.lock);
	sandbox_sweep(); /* ends and removes what a dead supervisor leaves */
	if (rig.shell > 0)
		waitpid(rig.shell, NULL, 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", rig.dir);
	return system(cmd);
}

/* ------------------------------------------------------------------------------------ programs and tables -- */

/* A program of its own path, which is a shell. */
static void program(const char *name)
{
	say("cp /bin/sh %s/%s && echo 1\n", rig.dir, name);
	assert_int_equal(hear(), 1);
}

static void run(const char *name)
{
	say("%s/%s -c 'echo 1'\n", rig.dir, name);
	assert_int_equal(hear(), 1);
}

/* Starts it, with a child of the same image if child is set; returns the pid of that one, or its own. */
static pid_t hold(const char *name, bool child)
{
	if (child) /* $$ is the parent's: the child says its own */
		say("%s/%s -c '(sh -c \"echo \\$PPID\"; read x <%s/never)& wait' &\n", rig.dir, name, rig.dir);
	else
		say("%s/%s -c 'echo $$; read x <%s/never' &\n", rig.dir, name, rig.dir);
	return hear();
}

static bool record(pid_t pid, struct osh_proc *ret)
{
	uint32_t tgid = (uint32_t)pid;

	return bpf_map_lookup_elem(kernel_map_fd(rig.kernel, KMAP_PROCS), &tgid, ret) == 0;
}

static void end(pid_t pid)
{
	struct osh_proc p;

	assert_int_equal(kill(pid, SIGKILL), 0);
	for (int i = 0; record(pid, &p); i++) {
		assert_true(i < patience());
		poll(NULL, 0, 1);
	}
}

static uint32_t exe_of(pid_t pid)
{
	struct osh_proc p;

	assert_true(record(pid, &p));
	assert_true(p.id.exe != 0);
	return p.id.exe;
}

static bool in_table(uint32_t id, struct osh_path *p)
{
	struct osh_path own;

	return bpf_map_lookup_elem(kernel_map_fd(rig.kernel, KMAP_PATHS), &id, p ? p : &own) == 0;
}

static void path_of(const char *name, char key[OSH_PATH_MAX])
{
	memset(key, 0, OSH_PATH_MAX);
	snprintf(key, OSH_PATH_MAX, "%s/%s", rig.dir, name);
}

/* Its id, 0 if an exec would give a new one. */
static uint32_t id_of(const char *name)
{
	char key[OSH_PATH_MAX];
	uint32_t id = 0;

	path_of(name, key);
	if (bpf_map_lookup_elem(kernel_map_fd(rig.kernel, KMAP_PATH_IDS), key, &id) < 0)
		return 0;
	return id;
}

static bool put_junk(uint32_t n)
{
	struct osh_path p = {0};
	uint32_t id = JUNK + n;

	p.len = (uint32_t)snprintf(p.path, sizeof(p.path), "/junk/%u", n);
	return bpf_map_update_elem(kernel_map_fd(rig.kernel, KMAP_PATHS), &id, &p, BPF_ANY) == 0 &&
	       bpf_map_update_elem(kernel_map_fd(rig.kernel, KMAP_PATH_IDS), p.path, &id, BPF_ANY) == 0;
}

/* From here on collections do something. */
static void half_full(void)
{
	while (rig.junk < HALF_FULL)
		assert_true(put_junk(rig.junk++));
}

/* --------------------------------------------------------------------------------------------- collections -- */

static void (*meanwhile)(void); /* after the records were read, once */
static pid_t meanwhile_pid;
static int marked; /* what marking the connections returns */
static struct osh_ident connection; /* of one that only its socket knows */

static int marks(void *arg, struct path_marks *m)
{
	(void)arg;
	path_marks_add(m, &connection);
	if (meanwhile)
		meanwhile();
	meanwhile = NULL;
	return marked;
}

static void collect(void)
{
	kernel_collect_paths(rig.kernel, marks, NULL);
}

static void start_known(void)
{
	meanwhile_pid = hold("known", false);
}

/* A path that is known and in nobody's hands when the records are read, and in somebody's a moment later. */
static void executed_meanwhile(void **state)
{
	char text[OSH_PATH_MAX], want[OSH_PATH_MAX];

	(void)state;
	if (geteuid() != 0)
		skip();
	half_full();
	program("known");
	run("known");
	for (int round = 0; round < 2; round++) {
		meanwhile = start_known;
		collect();
		assert_true(in_table(exe_of(meanwhile_pid), NULL));
		for (int i = 0; i < 3; i++) {
			collect();
			assert_true(in_table(exe_of(meanwhile_pid), NULL));
		}
		path_of("known", want);
		assert_int_equal(kernel_path(rig.kernel, exe_of(meanwhile_pid), text), 0);
		assert_string_equal(text, want);
		end(meanwhile_pid);
		collect(); /* hidden: the next exec gets a new id */
	}
}

static void unused(void **state)
{
	char text[OSH_PATH_MAX], want[OSH_PATH_MAX];
	uint32_t id, again;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	half_full();
	program("once");
	run("once");
	id = id_of("once");
	assert_true(id != 0 && in_table(id, NULL));
	collect();
	assert_int_equal(id_of("once"), 0);
	assert_true(in_table(id, NULL)); /* whoever has just ended is still known */
	collect();
	assert_false(in_table(id, NULL));
	path_of("once", want);
	assert_int_equal(kernel_path(rig.kernel, id, text), 0); /* for the log */
	assert_string_equal(text, want);
	pid = hold("once", false);
	again = exe_of(pid);
	assert_true(again != id && in_table(again, NULL));
	end(pid);
}

static void by_connection(void **state)
{
	uint32_t id;

	(void)state;
	if (geteuid() != 0)
		skip();
	half_full();
	program("sender");
	run("sender");
	id = id_of("sender");
	for (int i = 0; i < 3; i++) {
		memset(&connection, 0, sizeof(connection));
		*(i == 0 ? &connection.exe : i == 1 ? &connection.script : &connection.anc[OSH_ANCESTORS_MAX - 1]) = id;
		collect();
		collect();
		assert_true(in_table(id, NULL));
	}
	memset(&connection, 0, sizeof(connection));
	meanwhile = NULL;
	collect();
	collect();
	assert_false(in_table(id, NULL));
}

static void marks_fail(void **state)
{
	uint32_t id;

	(void)state;
	if (geteuid() != 0)
		skip();
	half_full();
	program("kept");
	run("kept");
	id = id_of("kept");
	marked = -EAGAIN;
	for (int i = 0; i < 3; i++)
		collect();
	marked = 0;
	assert_int_equal(id_of("kept"), id);
	assert_true(in_table(id, NULL));
}

static struct osh_path before;

static void start_parent(void)
{
	assert_true(in_table(id_of("parent"), &before));
	meanwhile_pid = hold("parent", true);
}

/* What a fork passes on while the records are read is marked. */
static void fork_marks(void **state)
{
	struct osh_path after;
	struct osh_proc p;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	half_full();
	program("parent");
	pid = hold("parent", true);
	end(pid);
	assert_true(in_table(id_of("parent"), &after));
	assert_int_equal(after.round, 0); /* no collection, no marks */
	meanwhile = start_parent;
	collect();
	assert_true(record(meanwhile_pid, &p));
	assert_true(in_table(p.id.exe, &after));
	assert_true(after.round != before.round && after.round & 1);
	for (uint32_t i = 0; i < p.id.nanc; i++) { /* the shell */
		assert_true(in_table(p.id.anc[i], &after));
		assert_true(after.round & 1);
	}
	assert_true(p.id.nanc > 0);
	end(meanwhile_pid);
}

static void parent_gone(void)
{
	end(meanwhile_pid);
}

/* Who is not in the records any more when the connections are looked at keeps what it had until the next time. */
static void ended_meanwhile(void **state)
{
	uint32_t id;

	(void)state;
	if (geteuid() != 0)
		skip();
	half_full();
	program("ending");
	meanwhile_pid = hold("ending", false);
	id = exe_of(meanwhile_pid);
	meanwhile = parent_gone;
	collect();
	collect();
	assert_true(in_table(id, NULL));
	collect();
	assert_false(in_table(id, NULL));
}

/* A caller of whom a path is not known is bound by nothing that one knows, and is let go by nothing. */
static void unknown_matches_nothing(void **state)
{
	struct osh_ident id = {.nanc = 1};
	struct block_bits bits;
	uint64_t any = 0;

	(void)state;
	if (geteuid() != 0)
		skip();
	id.anc[0] = JUNK;
	assert_true(put_junk(0));
	rig.junk += rig.junk == 0;
	ident_bits(rig.kernel, &rig.image.img, &id, &bits);
	for (size_t i = 0; i < ARRAY_LEN(bits.w); i++)
		any |= bits.w[i];
	assert_true(any != 0); /* `wide`, by the ancestor */
	for (int i = 0; i < 3; i++) {
		struct osh_ident gone = id;

		*(i == 0 ? &gone.exe : i == 1 ? &gone.script : &gone.anc[1]) = JUNK - 1;
		gone.nanc = i == 2 ? 2 : 1;
		ident_bits(rig.kernel, &rig.image.img, &gone, &bits);
		any = 0;
		for (size_t k = 0; k < ARRAY_LEN(bits.w); k++)
			any |= bits.w[k];
		assert_true(any == 0);
	}
}

/* No room for a path: no identity, and none for what it starts, rather than one of an unknown program. */
static void table_full(void **state)
{
	struct osh_proc p;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	program("old");
	program("new");
	run("old");
	while (rig.junk < 2 * FULL && put_junk(rig.junk))
		rig.junk++;
	pid = hold("old", false);
	assert_true(exe_of(pid) == id_of("old"));
	end(pid);
	for (int child = 0; child < 2; child++) {
		pid = hold("new", child);
		assert_true(record(pid, &p));
		assert_int_equal(p.id.exe, 0);
		assert_int_equal(p.id.nanc, 0);
		assert_int_equal(p.id.taint, OSH_TAINT_PATHS);
		end(pid);
	}
	/* what it executes is known, but not what has led there */
	say("%s/new -c 'exec %s/old -c \"echo \\$\\$; read x <%s/never\"' &\n", rig.dir, rig.dir, rig.dir);
	pid = hear();
	assert_true(record(pid, &p));
	assert_int_equal(p.id.exe, 0);
	assert_int_equal(p.id.taint, OSH_TAINT_PATHS);
	end(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(executed_meanwhile), cmocka_unit_test(unused),
		cmocka_unit_test(by_connection),      cmocka_unit_test(marks_fail),
		cmocka_unit_test(fork_marks),
		cmocka_unit_test(ended_meanwhile),    cmocka_unit_test(unknown_matches_nothing),
		cmocka_unit_test(table_full),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, up, down);
}
