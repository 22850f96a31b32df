/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c - what happens between init's fork and the command's execve.
 *
 * Runs inside all walls and as the sandbox's user, so a request that is wrong harms nobody else.
 * Whatever cannot be done is said in one report (EXEC_FAILED: our fault or the request's;
 * EXEC_NOT_FOUND: the command's), then the process ends.
 */
#include "user/command.h"

#include "user/blob.h"
#include "user/execreq.h"
#include "user/fdcheck.h"
#include "user/strv.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#define EXIT_NOT_STARTED 125

__attribute__((format(printf, 4, 5))) static void report(int link, uint32_t state, int value,
							 const char *fmt, ...)
{
	struct command_report m = {.state = state, .value = value};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m.text, sizeof(m.text), fmt, ap);
	va_end(ap);
	while (send(link, &m, sizeof(m), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* All are blocked since init: what came meanwhile takes effect at the end of this. */
static void default_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i,
			       SIG_DFL); /* fails for the C library's own two, which are default */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---------------------------------------------------------------------------------- the command --
 */

struct launch {
	const struct command_start *start;
	struct exec_request request;
	char **env;
	int failed;	      /* the most telling errno so far */
	char where[PATH_MAX]; /* and the file it is about */
};

static int stdio_set(const struct command_start *s)
{
	for (int i = 0; i < 3; i++)
		if (dup2(s->stdio[i], i) < 0)
			return -errno;
	/* Everything above goes at execve; it is close-on-exec already, this makes it certain. */
	return close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

/* The workdir may be one that the policy does not show: then the home, then the root. */
static int directory_set(const struct launch *l, char *reason, size_t n)
{
	const struct launch_plan *p = l->start->plan;

	if (l->request.cwd) {
		if (chdir(l->request.cwd) == 0)
			return 0;
		snprintf(reason, n, "cannot start in %s: %s", l->request.cwd, strerror(errno));
		return -errno;
	}
	if (chdir(p->workdir) == 0 || chdir(p->home) == 0 || chdir("/") == 0)
		return 0;
	snprintf(reason, n, "cannot start in /: %s", strerror(errno));
	return -errno;
}

/* A script without "#!" is the shell's, as for every shell (POSIX, "Command Search and Execution").
 */
static void exec_as_script(const char *path, char *const *argv, char *const *env)
{
	size_t n = strv_len(argv);
	char **v = calloc(n + 2, sizeof(*v));

	if (!v)
		return;
	v[0] = (char *)"sh";
	v[1] = (char *)path;
	if (n > 1)
		memcpy(v + 2, argv + 1, (n - 1) * sizeof(*v));
	execve("/bin/sh", v, env);
	free(v);
}

/* Tries one file; returns when it was not executed, with the reason kept if it is the most telling.
 */
static void try_exec(struct launch *l, const char *path, char *const *argv)
{
	struct stat st;
	int e;

	execve(path, argv, l->env);
	e = errno;
	if (e == ENOEXEC) {
		exec_as_script(path, argv, l->env);
		e = errno;
	}
	if (e == ENOENT && stat(path, &st) == 0)
		e = ENOEXEC; /* the file is there, its interpreter or loader is not */
	if (e == EACCES && stat(path, &st) < 0 && errno == ENOENT)
		e = ENOENT;
	if (l->failed == 0 || (l->failed == ENOENT && e != ENOTDIR)) {
		l->failed = e;
		snprintf(l->where, sizeof(l->where), "%s", path);
	}
}

static void try_path(struct launch *l, const char *name, char *const *argv)
{
	const char *path = env_value(l->env, "PATH");

	for (const char *s = path ? path : "/usr/bin:/bin"; *s; s += *s == ':') {
		size_t n = strcspn(s, ":");
		char full[PATH_MAX];

		if (n && s[0] == '/' &&
		    snprintf(full, sizeof(full), "%.*s/%s", (int)n, s, name) < (int)sizeof(full))
			try_exec(l, full, argv);
		s += n;
	}
}

static void say_not_executed(const struct launch *l, const char *name)
{
	int link = l->start->link;

	if (l->failed == ENOEXEC)
		report(link, EXEC_NOT_FOUND, ENOEXEC,
		       "%s: cannot be executed: its interpreter or loader is not there", l->where);
	else if ((l->failed == ENOENT || l->failed == 0) && !strchr(name, '/'))
		report(link, EXEC_NOT_FOUND, ENOENT, "%s: command not found", name);
	else
		report(link, EXEC_NOT_FOUND, l->failed, "%s: %s", l->where, strerror(l->failed));
}

static void exec_request_command(struct launch *l)
{
	char *const *argv = l->request.argv;

	if (strchr(argv[0], '/'))
		try_exec(l, argv[0], argv);
	else
		try_path(l, argv[0], argv);
	say_not_executed(l, argv[0]);
}

static void exec_login_shell(struct launch *l)
{
	const char *shells[] = {l->start->plan->shell, "/bin/bash", "/bin/sh"};

	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		char name[NAME_MAX + 2];
		char *argv[] = {name, NULL};

		snprintf(name, sizeof(name), "-%s", strrchr(shells[i], '/') + 1);
		try_exec(l, shells[i], argv);
	}
	say_not_executed(l, l->start->plan->shell);
}

/* In the process that becomes the command; its session, process group and terminal are set. */
static _Noreturn void become_command(struct launch *l)
{
	char reason[512] = "";
	int r = stdio_set(l->start);

	if (r < 0)
		snprintf(reason, sizeof(reason), "cannot set up its descriptors: %s", strerror(-r));
	if (r == 0)
		r = directory_set(l, reason, sizeof(reason));
	if (r < 0) {
		report(l->start->link, EXEC_FAILED, -r, "%s", reason);
		_exit(EXIT_NOT_STARTED);
	}
	umask(l->request.umask);
	default_signals();
	if (l->request.flags & EXECREQ_LOGIN_SHELL)
		exec_login_shell(l);
	else
		exec_request_command(l);
	_exit(EXIT_NOT_STARTED);
}

/* ---------------------------------------------------------------------------------- the monitor --
 */

struct monitor {
	int link, tty;
	pid_t child; /* and its process group */
	bool done;
};

static void child_stopped_or_ended(struct monitor *m)
{
	int status;

	while (waitpid(m->child, &status, WNOHANG | WUNTRACED | WCONTINUED) == m->child) {
		if (WIFSTOPPED(status))
			report(m->link, EXEC_STOPPED, WSTOPSIG(status), "%s", "");
		else if (WIFCONTINUED(status))
			report(m->link, EXEC_CONTINUED, 0, "%s", "");
		else {
			/* Take the terminal back first: what the command left in its group must not
			 * be hung up when the leader of the session, this process, ends. */
			tcsetpgrp(m->tty, getpgrp());
			if (WIFEXITED(status))
				report(m->link, EXEC_EXITED, WEXITSTATUS(status), "%s", "");
			else
				report(m->link, EXEC_SIGNALED, WTERMSIG(status), "%s", "");
			m->done = true;
			return;
		}
	}
}

static void obey(struct monitor *m)
{
	struct command_order order;
	ssize_t n = recv(m->link, &order, sizeof(order), MSG_DONTWAIT);

	if (n == 0) { /* init is gone, and with it the sandbox */
		kill(-m->child, SIGHUP);
		m->done = true;
	}
	if (n != sizeof(order))
		return;
	if (order.signo == EXEC_SIGNAL_CONT_FOREGROUND ||
	    order.signo == EXEC_SIGNAL_CONT_BACKGROUND) {
		tcsetpgrp(m->tty,
			  order.signo == EXEC_SIGNAL_CONT_FOREGROUND ? m->child : getpgrp());
		order.signo = SIGCONT;
	}
	if (order.signo > 0 && order.signo < NSIG)
		kill(-m->child, order.signo);
}

static _Noreturn void monitor_loop(struct monitor *m, int signals)
{
	while (!m->done) {
		struct pollfd p[] = {{.fd = signals, .events = POLLIN},
				     {.fd = m->link, .events = POLLIN}};
		struct signalfd_siginfo info;

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			break;
		while (read(signals, &info, sizeof(info)) == sizeof(info))
			;
		child_stopped_or_ended(m);
		if (p[1].revents && !m->done)
			obey(m);
	}
	_exit(0);
}

/* The first of 0-2 that is the terminal; init has checked that it is a pty's slave. */
static int find_tty(const struct command_start *s)
{
	for (int i = 0; i < 3; i++)
		if (isatty(s->stdio[i]))
			return s->stdio[i];
	return -1;
}

static void monitor_child(struct launch *l, int tty)
{
	setpgid(0, 0);
	if (!(l->request.flags & EXECREQ_BACKGROUND))
		tcsetpgrp(tty, getpid()); /* SIGTTOU is still blocked */
	become_command(l);
}

static _Noreturn void become_monitor(struct launch *l)
{
	struct monitor m = {.link = l->start->link, .tty = find_tty(l->start)};
	int signals;
	sigset_t chld;

	/* init has blocked all signals: the terminal's hangup and stops are the command's. */
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m.tty < 0 || ioctl(m.tty, TIOCSCTTY, 0) < 0 || signals < 0) {
		report(m.link, EXEC_FAILED, errno, "cannot take the terminal: %s", strerror(errno));
		_exit(EXIT_NOT_STARTED);
	}
	m.child = fork();
	if (m.child < 0) {
		report(m.link, EXEC_FAILED, errno, "cannot fork: %s", strerror(errno));
		_exit(EXIT_NOT_STARTED);
	}
	if (m.child == 0)
		monitor_child(l, m.tty);
	setpgid(m.child, m.child); /* in both: whoever comes first */
	report(m.link, COMMAND_PID, m.child, "%s", "");
	/* The terminal's other descriptors are the command's alone, so that its end is seen as the
	 * end. */
	for (int i = 0; i < 3; i++)
		if (l->start->stdio[i] != m.tty)
			close(l->start->stdio[i]);
	exec_request_done(&l->request);
	strv_free(l->env);
	monitor_loop(&m, signals);
}

/* ------------------------------------------------------------------------------------ the request
 * -- */

static int read_request(int fd, struct exec_request *ret)
{
	_cleanup_free_ char *bytes = NULL;
	size_t n;
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = read_whole_fd(fd, EXECREQ_SIZE_MAX, &bytes, &n);
	return r < 0 ? r : exec_request_parse((struct slice){(const uint8_t *)bytes, n}, ret);
}

static int check_stdio(const struct command_start *s)
{
	static const char *const names[] = {"standard input", "standard output", "standard error"};

	for (int i = 0; i < 3; i++) {
		const char *what;

		if (fd_check(s->stdio[i], s->tty ? FD_TERMINAL_PTY : FD_TERMINAL_NONE, &what) < 0) {
			report(s->link, EXEC_FAILED, EPERM,
			       "%s is %s, which may not enter a sandbox", names[i], what);
			return -EPERM;
		}
	}
	return 0;
}

_Noreturn void command_main(const struct command_start *s)
{
	struct launch l = {.start = s};
	int r;

	if (check_stdio(s) < 0)
		_exit(EXIT_NOT_STARTED);
	r = read_request(s->request, &l.request);
	if (r == 0) {
		l.env = env_merge(s->plan->env, l.request.env);
		if (!l.env)
			r = -ENOMEM;
	}
	if (r == 0 && setsid() < 0)
		r = -errno;
	if (r < 0) {
		report(s->link, EXEC_FAILED, -r, "cannot start the command: %s", strerror(-r));
		_exit(EXIT_NOT_STARTED);
	}
	if (s->tty)
		become_monitor(&l);
	become_command(&l);
}
