/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_init.c - init's protocol, without walls: orders in, statuses out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/execreq.h"
#include "user/init.h"
#include "user/launch.h"
#include "user/strv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct fixture {
	pid_t pid;
	int pair;
};

static struct launch_plan plan(void)
{
	static char *env[] = {(char *)"PATH=/usr/bin:/bin", (char *)"HOME=/", (char *)"A=plan",
			      NULL};

	return (struct launch_plan){
		.name = (char *)"t",
		.user = (char *)"u",
		.home = (char *)"/",
		.shell = (char *)"/bin/sh",
		.workdir = (char *)"/usr",
		.env = env,
	};
}

static struct init_msg next_message(const struct fixture *f)
{
	struct pollfd p = {.fd = f->pair, .events = POLLIN};
	struct init_msg m;

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(recv(f->pair, &m, sizeof(m), 0), sizeof(m));
	return m;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int sv[2];

	assert_non_null(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	f->pair = sv[0];
	f->pid = fork();
	if (f->pid == 0) {
		struct launch_plan p = plan();

		close(sv[0]);
		init_main(&p, sv[1]);
	}
	close(sv[1]);
	assert_int_equal(next_message(f).type, INIT_READY);
	*state = f;
	return 0;
}

/* Closing the pair is the end of init. */
static int teardown(void **state)
{
	struct fixture *f = *state;
	int status;

	close(f->pair);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	free(f);
	return 0;
}

static void order(const struct fixture *f, const struct init_msg *m, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)m, sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		struct cmsghdr *c;

		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	assert_int_equal(sendmsg(f->pair, &h, 0), sizeof(*m));
}

static void run_request(const struct fixture *f, uint32_t id, const struct exec_request *r, int out)
{
	const struct init_msg m = {.type = INIT_EXEC, .id = id};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC),
	    fds[4] = {-1, null, out < 0 ? null : out, null};

	assert_int_equal(exec_request_to_memfd(r, &fds[0]), 0);
	order(f, &m, fds, 4);
	close(fds[0]);
	close(null);
}

static void run_shell(const struct fixture *f, uint32_t id, const char *script, int out)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	struct exec_request r = {.umask = 022, .argv = argv};

	run_request(f, id, &r, out);
}

/* No shell, which would handle signals in ways of its own. */
static void run_sleep(const struct fixture *f, uint32_t id)
{
	char *argv[] = {(char *)"sleep", (char *)"100", NULL};

	run_request(f, id, &(struct exec_request){.argv = argv}, -1);
}

static struct init_msg next_of(const struct fixture *f, uint32_t type, uint32_t id)
{
	struct init_msg m;

	do
		m = next_message(f);
	while (m.type != type || m.id != id);
	return m;
}

static void assert_status(const struct fixture *f, uint32_t id, uint32_t state, int value)
{
	struct init_msg m = next_of(f, INIT_STATUS, id);

	assert_int_equal(m.state, state);
	assert_int_equal(m.value, value);
}

static void statuses(void **state)
{
	struct fixture *f = *state;

	run_shell(f, 1, "exit 7", -1);
	assert_true(next_of(f, INIT_STARTED, 1).value > 1);
	assert_status(f, 1, EXEC_EXITED, 7);
	run_shell(f, 2, "kill -TERM $$", -1);
	assert_status(f, 2, EXEC_SIGNALED, SIGTERM);
}

static void not_found(void **state)
{
	struct fixture *f = *state;
	char *nowhere[] = {(char *)"no-such-command-here", NULL},
	     *data[] = {(char *)"/etc/passwd", NULL}, *directory[] = {(char *)"/etc", NULL},
	     *no_path[] = {(char *)"/nowhere/x", NULL};
	struct init_msg m;

	run_request(f, 1, &(struct exec_request){.argv = nowhere}, -1);
	m = next_of(f, INIT_STATUS, 1);
	assert_int_equal(m.state, EXEC_NOT_FOUND);
	assert_int_equal(m.value, ENOENT);
	assert_string_equal(m.text, "no-such-command-here: command not found");
	run_request(f, 2, &(struct exec_request){.argv = data}, -1);
	m = next_of(f, INIT_STATUS, 2);
	assert_int_equal(m.state, EXEC_NOT_FOUND);
	assert_int_equal(m.value, EACCES);
	assert_non_null(strstr(m.text, "/etc/passwd: "));
	run_request(f, 3, &(struct exec_request){.argv = directory}, -1);
	assert_status(f, 3, EXEC_NOT_FOUND, EACCES);
	run_request(f, 4, &(struct exec_request){.argv = no_path}, -1);
	assert_status(f, 4, EXEC_NOT_FOUND, ENOENT);
}

static void environment_and_directory(void **state)
{
	struct fixture *f = *state;
	char *argv[] = {(char *)"sh", (char *)"-c",
			(char *)"echo $A $B; pwd; umask; ls /proc/self/fd | wc -l", NULL};
	char *env[] = {(char *)"B=request", NULL};
	struct exec_request r = {.umask = 027, .argv = argv, .env = env, .cwd = (char *)"/etc"};
	char text[256] = "";
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	run_request(f, 1, &r, ends[1]);
	assert_status(f, 1, EXEC_EXITED, 0);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "plan request\n/etc\n0027\n4\n"); /* 0, 1, 2 and ls's own */
	r.cwd = (char *)"/no/such/directory";
	run_request(f, 2, &r, ends[1]);
	assert_int_equal(next_of(f, INIT_STATUS, 2).state, EXEC_FAILED);
	close(ends[0]);
	close(ends[1]);
}

static void signals_and_stops(void **state)
{
	struct fixture *f = *state;
	struct init_msg m = {.type = INIT_SIGNAL, .id = 1, .value = SIGSTOP};

	run_sleep(f, 1);
	next_of(f, INIT_STARTED, 1);
	order(f, &m, NULL, 0);
	assert_status(f, 1, EXEC_STOPPED, SIGSTOP);
	m.value = SIGCONT;
	order(f, &m, NULL, 0);
	assert_status(f, 1, EXEC_CONTINUED, 0);
	m.value = SIGINT;
	order(f, &m, NULL, 0);
	assert_status(f, 1, EXEC_SIGNALED, SIGINT);
	/* To nobody: nothing happens. */
	order(f, &m, NULL, 0);
	m.id = 99;
	order(f, &m, NULL, 0);
	run_shell(f, 2, ":", -1);
	assert_status(f, 2, EXEC_EXITED, 0);
}

static void hangup(void **state)
{
	struct fixture *f = *state;
	struct init_msg m = {.type = INIT_HANGUP, .id = 1};

	run_sleep(f, 1);
	next_of(f, INIT_STARTED, 1);
	order(f, &m, NULL, 0);
	assert_status(f, 1, EXEC_SIGNALED, SIGHUP);
}

static void many_at_once(void **state)
{
	struct fixture *f = *state;
	unsigned ended = 0;

	for (uint32_t i = 0; i < 50; i++)
		run_shell(f, i, "exit 3", -1);
	while (ended < 50) {
		struct init_msg m = next_message(f);

		if (m.type != INIT_STATUS)
			continue;
		assert_int_equal(m.state, EXEC_EXITED);
		assert_int_equal(m.value, 3);
		ended++;
	}
}

static void bad_descriptors(void **state)
{
	struct fixture *f = *state;
	char *argv[] = {(char *)"true", NULL};
	struct exec_request r = {.argv = argv};
	struct init_msg m = {.type = INIT_EXEC, .id = 1};
	int inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
	    directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	run_request(f, 1, &r, inet);
	m = next_of(f, INIT_STATUS, 1);
	assert_int_equal(m.state, EXEC_FAILED);
	assert_non_null(strstr(m.text, "standard output is an Internet socket"));
	run_request(f, 2, &r, directory);
	assert_int_equal(next_of(f, INIT_STATUS, 2).state, EXEC_FAILED);
	m = (struct init_msg){.type = INIT_EXEC, .id = 3};
	order(f, &m, &inet, 1);
	assert_int_equal(next_of(f, INIT_STATUS, 3).state, EXEC_FAILED);
	/* Not a request. */
	m.id = 4;
	{
		int null = open("/dev/null", O_RDWR | O_CLOEXEC),
		    fds[] = {directory, null, null, null};

		order(f, &m, fds, 4);
		assert_int_equal(next_of(f, INIT_STATUS, 4).state, EXEC_FAILED);
		close(null);
	}
	close(inet);
	close(directory);
}

/* An orphan becomes init's child and is reaped: no zombie stays. */
static void orphans(void **state)
{
	struct fixture *f = *state;
	char path[64], text[64] = "";
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	run_shell(f, 1, "(sleep 0.1 & echo $!)", ends[1]);
	assert_status(f, 1, EXEC_EXITED, 0);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	snprintf(path, sizeof(path), "/proc/%d", atoi(text));
	for (unsigned i = 0; i < 100 && access(path, F_OK) == 0; i++)
		usleep(50000);
	assert_int_not_equal(access(path, F_OK), 0);
	close(ends[0]);
	close(ends[1]);
}

#define WITH_INIT(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INIT(statuses),
		WITH_INIT(not_found),
		WITH_INIT(environment_and_directory),
		WITH_INIT(signals_and_stops),
		WITH_INIT(hangup),
		WITH_INIT(many_at_once),
		WITH_INIT(bad_descriptors),
		WITH_INIT(orphans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
