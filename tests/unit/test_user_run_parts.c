/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_run_parts.c - what `run` is made of: install trees, PATH, variables, descriptors,
 * nsswitch.conf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/caller.h"
#include "user/environ.h"
#include "user/execreq.h"
#include "user/fdcheck.h"
#include "user/fdreadonly.h"
#include "user/hostsection.h"
#include "user/mounts.h"
#include "user/strv.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void install_trees(void **state)
{
	static const char *const cases[][2] = {
		{"/home/u/.nvm/versions/node/v20.1.0/lib/node_modules/@anthropic-ai/claude-code/"
		 "cli.js",
		 "/home/u/.nvm/versions/node/v20.1.0"},
		{"/home/u/.nvm/versions/node/v20.1.0/bin/node",
		 "/home/u/.nvm/versions/node/v20.1.0"},
		{"/home/u/.local/share/claude/versions/2.0.1",
		 "/home/u/.local/share/claude/versions"},
		{"/home/u/.npm-global/lib/node_modules/@scope/tool/cli.js",
		 "/home/u/.npm-global/lib/node_modules"},
		{"/srv/app/node_modules/tool/cli.js", "/srv/app/node_modules"},
		{"/home/u/.volta/bin/volta-shim", "/home/u/.volta"},
		{"/home/u/.local/share/pipx/venvs/black/bin/black",
		 "/home/u/.local/share/pipx/venvs/black"},
		{"/opt/google/chrome/chrome", "/opt/google"},
		{"/opt/tool", NULL},
		{"/home/u/.local/bin/tool", NULL},
		{"/home/u/bin/tool", NULL},
		{"/usr/bin/curl", NULL},
		{"/home/u2/.volta/bin/x", NULL}, /* another's home */
		{"/home/u/.nvm/versions/node", NULL},
		{"/home/u/.nvm/versions/node/v20", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *tree = install_tree(cases[i][0], "/home/u");

		if (cases[i][1]) {
			assert_non_null(tree);
			assert_string_equal(tree, cases[i][1]);
		} else
			assert_null(tree);
		free(tree);
	}
}

static void directories(void **state)
{
	char **dirs = command_directories("/a/b::relative:/a/b:.:/x/../y:/usr/bin", "/home/u");

	(void)state;
	assert_string_equal(dirs[0], "/a/b");
	assert_string_equal(dirs[1], "/usr/bin");
	assert_string_equal(dirs[2], "/home/u/.local/bin");
	assert_true(strv_has(dirs, "/usr/local/bin"));
	assert_false(strv_has(dirs, "relative"));
	assert_false(strv_has(dirs, "/x/../y"));
	for (size_t i = 0; dirs[i]; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(dirs[i], dirs[k]);
	strv_free(dirs);
}

static void environ_blocks(void **state)
{
	static const char block[] = "A=1\0PATH=/x\0AB=\0PATH2=n";

	(void)state;
	assert_string_equal(
		environ_block_find((struct slice){(const uint8_t *)block, sizeof(block)}, "PATH"),
		"/x");
	assert_string_equal(
		environ_block_find((struct slice){(const uint8_t *)block, sizeof(block)}, "AB"),
		"");
	assert_null(environ_block_find((struct slice){(const uint8_t *)block, sizeof(block)}, "B"));
	/* Cut short: the last one has no end. */
	assert_null(environ_block_find((struct slice){(const uint8_t *)block, sizeof(block) - 1},
				       "PATH2"));
	assert_null(environ_block_find((struct slice){NULL, 0}, "A"));
}

static void visible_path(void **state)
{
	struct plan_mount mounts[] = {
		{PLAN_HOME, PLAN_RW, (char *)"/home/u"},
		{PLAN_TMPFS, PLAN_RW, (char *)"/tmp"},
		{PLAN_BIND, 0, (char *)"/usr"},
	};
	struct plan_link links[] = {{(char *)"/bin", (char *)"usr/bin"}};
	struct launch_plan p = {.mounts = mounts, .nmounts = 3, .links = links, .nlinks = 1};
	char *extra[] = {(char *)"/usr/lib/tool/bin", NULL};
	char *path = environ_path(
		&p, "/root/bin:/usr/bin/:/home/u/.local/bin:.:/tmp/x:/usr/../etc:/usr/bin:/sbin",
		extra);

	(void)state;
	assert_string_equal(path, "/usr/bin:/home/u/.local/bin:/usr/lib/tool/bin:/usr/local/sbin:/"
				  "usr/local/bin:/usr/sbin:/bin");
	free(path);
}

static void options(void **state)
{
	char **env = NULL;

	(void)state;
	setenv("OSH_TEST_COPIED", "from here", 1);
	unsetenv("OSH_TEST_UNSET");
	unsetenv("SUDO_UID");
	assert_int_equal(environ_option("A=b=c", &env), 0);
	assert_int_equal(environ_option("OSH_TEST_COPIED", &env), 0);
	assert_int_equal(environ_option("OSH_TEST_UNSET", &env), -ENOENT);
	assert_int_equal(environ_option("1A=x", &env), -EINVAL);
	assert_int_equal(environ_option("=x", &env), -EINVAL);
	assert_int_equal(environ_option("A=", &env), 0);
	assert_int_equal(strv_len(env), 2);
	assert_string_equal(env_value(env, "A"), "");
	assert_string_equal(env_value(env, "OSH_TEST_COPIED"), "from here");
	strv_free(env);
}

static void files(void **state)
{
	char name[] = "/tmp/osh-env-XXXXXX";
	int fd = mkstemp(name);
	const char text[] = "# comment\n\nA=1\r\n  B=two words\nOSH_TEST_COPIED\n";
	char **env = NULL, *error = NULL;

	(void)state;
	setenv("OSH_TEST_COPIED", "from here", 1);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(environ_file(name, &env, &error), 0);
	assert_int_equal(strv_len(env), 3);
	assert_string_equal(env_value(env, "A"), "1");
	assert_string_equal(env_value(env, "B"), "two words");
	assert_int_equal(write(fd, "not a name=x\n", 13), 13);
	assert_int_equal(environ_file(name, &env, &error), -EINVAL);
	assert_non_null(strstr(error, ":6: "));
	free(error);
	strv_free(env);
	close(fd);
	unlink(name);
	env = NULL;
	assert_int_equal(environ_file(name, &env, &error), -ENOENT);
	free(error);
}

static bool passes(int fd, enum fd_terminal terminal)
{
	const char *what = NULL;
	int r = fd_check(fd, terminal, &what);

	if (r < 0)
		assert_non_null(what);
	return r == 0;
}

static void plain_descriptors(void **state)
{
	int null = open("/dev/null", O_RDWR), dir = open("/", O_RDONLY | O_DIRECTORY),
	    path = open("/dev/null", O_PATH), ends[2];
	FILE *file = tmpfile();

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_true(passes(null, FD_TERMINAL_NONE));
	assert_true(passes(ends[0], FD_TERMINAL_NONE));
	assert_true(passes(fileno(file), FD_TERMINAL_NONE));
	assert_false(passes(dir, FD_TERMINAL_ANY));
	assert_false(passes(path, FD_TERMINAL_ANY));
	assert_false(passes(-1, FD_TERMINAL_ANY));
	close(null);
	close(dir);
	close(path);
	close(ends[0]);
	close(ends[1]);
	fclose(file);
}

/* A file with "0123456789", open for reading at 4. */
static int input_file(char *name)
{
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	close(fd);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
	return fd;
}

static void only_read(int fd)
{
	char path[32], text[16];
	void *code;

	assert_true(fd >= 0);
	assert_true(fd_to_read(fd) && fd_mount_read_only(fd));
	assert_true(passes(fd, FD_TERMINAL_PTY));
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 6);
	assert_memory_equal(text, "456789", 6);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(open(path, O_WRONLY), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(truncate(path, 0), -1);
	assert_int_equal(fchmod(fd, 0666), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(futimens(fd, NULL), -1);
	code = mmap(NULL, 10, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_ptr_equal(code, MAP_FAILED);
}

static void files_to_read(void **state)
{
	char name[] = "/var/tmp/osh-input-XXXXXX";
	int fd = input_file(name), other;

	(void)state;
	assert_true(fd_to_read(fd));
	assert_true(passes(fd, FD_TERMINAL_ANY));
	if (!fd_mount_read_only(fd))
		assert_false(passes(fd, FD_TERMINAL_NONE));
	if (geteuid() != 0) {
		unlink(name);
		skip();
	}
	other = fd_read_only(fd);
	only_read(other);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 4); /* its own */
	close(other);
	/* Another file at its path; then none. */
	assert_int_equal(unlink(name), 0);
	other = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_true(other >= 0);
	close(other);
	other = fd_read_only(fd);
	only_read(other);
	close(other);
	assert_int_equal(unlink(name), 0);
	other = fd_read_only(fd);
	only_read(other);
	close(other);
	assert_int_equal(fchmod(fd, 0640), 0); /* the mount itself is as it was */
	close(fd);
}

/* What has no mount of this namespace: the caller refuses it. */
static void files_not_to_read(void **state)
{
	char path[32];
	int memory = memfd_create("x", MFD_CLOEXEC), fd, null = open("/dev/null", O_RDONLY);

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd_to_read(fd));
	assert_true(fd_read_only(fd) < 0);
	assert_false(passes(fd, FD_TERMINAL_NONE));
	assert_false(fd_to_read(memory));
	assert_false(fd_to_read(null));
	close(fd);
	close(memory);
	close(null);
}

static void sockets(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int inet = socket(AF_INET, SOCK_STREAM, 0), inet6 = socket(AF_INET6, SOCK_DGRAM, 0),
	    pair[2], server = socket(AF_UNIX, SOCK_STREAM, 0),
	    client = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_true(passes(pair[0], FD_TERMINAL_NONE));
	assert_false(passes(inet, FD_TERMINAL_ANY));
	if (inet6 >= 0) {
		assert_false(passes(inet6, FD_TERMINAL_ANY));
		close(inet6);
	}
	/* Abstract, chosen by the kernel. */
	assert_int_equal(bind(server, (struct sockaddr *)&name, sizeof(name.sun_family)), 0);
	assert_false(passes(server, FD_TERMINAL_ANY));
	{
		socklen_t n = sizeof(name);

		assert_int_equal(getsockname(server, (struct sockaddr *)&name, &n), 0);
		assert_int_equal(listen(server, 1), 0);
		assert_int_equal(connect(client, (struct sockaddr *)&name, n), 0);
	}
	assert_false(passes(client, FD_TERMINAL_ANY));
	close(inet);
	close(pair[0]);
	close(pair[1]);
	close(server);
	close(client);
}

static void terminals(void **state)
{
	int master, slave;

	(void)state;
	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		skip();
	assert_true(passes(slave, FD_TERMINAL_PTY));
	assert_true(passes(slave, FD_TERMINAL_ANY));
	assert_false(passes(slave, FD_TERMINAL_NONE));
	assert_false(passes(master, FD_TERMINAL_PTY));
	close(master);
	close(slave);
}

static void nsswitch(void **state)
{
	char *s = nsswitch_with_dns("# x\npasswd: files systemd\n hosts:\tfiles mymachines resolve "
				    "[!UNAVAIL=return] dns\nhostsx: a");

	(void)state;
	assert_string_equal(s, "# x\npasswd: files systemd\nhostsx: a\nhosts: files dns\n");
	free(s);
	s = nsswitch_with_dns("");
	assert_string_equal(s, "hosts: files dns\n");
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(install_trees),     cmocka_unit_test(directories),
		cmocka_unit_test(environ_blocks),    cmocka_unit_test(visible_path),
		cmocka_unit_test(options),	     cmocka_unit_test(files),
		cmocka_unit_test(plain_descriptors), cmocka_unit_test(files_to_read),
		cmocka_unit_test(files_not_to_read), cmocka_unit_test(sockets),
		cmocka_unit_test(terminals),	     cmocka_unit_test(nsswitch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
