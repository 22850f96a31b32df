/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.c - the first process of a sandbox, and parent of all others.
 *
 * It holds nothing secret and has no right that its children lack: it is inside the same mounts,
 * Landlock domain and system call filter, as the same user.  It never executes anything itself and
 * reads nothing that a command wrote, but reports of fixed size from its own children before their
 * execve.  When the supervisor's end of the pair closes it exits; when it exits, the supervisor
 * ends the sandbox.
 *
 * The life of a command: order -> fork (command.c) -> reports over the link -> its end, from
 * waitpid() for one without a terminal, from its monitor for one with -> one final INIT_STATUS.
 */
#include "user/init.h"

#include "user/command.h"
#include "user/execreq.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct command {
	struct command *next;
	uint32_t id; /* the supervisor's */
	pid_t pid;   /* of our child: the command, or its monitor */
	int link;
	bool tty;
	bool reaped; /* our child has ended */
	bool final;  /* the last status was sent */
};

struct init {
	const struct launch_plan *plan;
	int pair, signals;
	struct command *commands;
	size_t ncommands;
	struct pollfd *poll; /* pair, signals, then a link each */
	size_t npoll;
};

/* Without the supervisor there is nothing to be init of. */
static void tell(const struct init *in, const struct init_msg *m)
{
	while (send(in->pair, m, sizeof(*m), MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			_exit(0);
}

static void tell_status(const struct init *in, uint32_t id, uint32_t state, int value,
			const char *text)
{
	struct init_msg m = {.type = INIT_STATUS, .id = id, .state = state, .value = value};

	snprintf(m.text, sizeof(m.text), "%s", text);
	tell(in, &m);
}

static bool is_final(uint32_t state)
{
	return state != EXEC_STOPPED && state != EXEC_CONTINUED;
}

static void command_status(const struct init *in, struct command *c, uint32_t state, int value,
			   const char *text)
{
	if (c->final)
		return;
	c->final = is_final(state);
	tell_status(in, c->id, state, value, text);
}

static void command_started(const struct init *in, const struct command *c, pid_t pid)
{
	struct init_msg m = {.type = INIT_STARTED, .id = c->id, .value = pid, .tty = c->tty};

	tell(in, &m);
}

/* ---------------------------------------------------------------------------- from the children --
 */

/* What came over a link so far.  After a successful execve it is closed on the other side. */
static void read_link(const struct init *in, struct command *c)
{
	struct command_report m;
	ssize_t n;

	while (c->link >= 0 && (n = recv(c->link, &m, sizeof(m), MSG_DONTWAIT)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n != sizeof(m))
			break;
		m.text[sizeof(m.text) - 1] = '\0';
		if (m.state == COMMAND_PID)
			command_started(in, c, m.value);
		else
			command_status(in, c, m.state, m.value, m.text);
	}
	if (c->link >= 0)
		close(c->link);
	c->link = -1;
}

static void child_changed(const struct init *in, struct command *c, int status)
{
	if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
		if (!c->tty) /* a stopped monitor is nobody's business */
			command_status(in, c, WIFSTOPPED(status) ? EXEC_STOPPED : EXEC_CONTINUED,
				       WIFSTOPPED(status) ? WSTOPSIG(status) : 0, "");
		return;
	}
	c->reaped = true;
	read_link(in, c); /* a failed execve says more than the exit status after it */
	if (c->tty)
		command_status(in, c, EXEC_SIGNALED, SIGKILL, "the command's monitor was killed");
	else if (WIFEXITED(status))
		command_status(in, c, EXEC_EXITED, WEXITSTATUS(status), "");
	else
		command_status(in, c, EXEC_SIGNALED, WTERMSIG(status), "");
}

static void reap(struct init *in)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(in->signals, &info, sizeof(info)) == sizeof(info))
		;
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0)
		for (struct command *c = in->commands; c; c = c->next)
			if (c->pid == pid && !c->reaped) {
				child_changed(in, c, status);
				break;
			}
}

static void forget_reaped(struct init *in)
{
	for (struct command **p = &in->commands; *p;) {
		struct command *c = *p;

		if (!c->reaped) {
			p = &c->next;
			continue;
		}
		*p = c->next;
		if (c->link >= 0)
			close(c->link);
		free(c);
		in->ncommands--;
	}
}

/* -------------------------------------------------------------------------- from the supervisor --
 */

static struct command *command_add(struct init *in, uint32_t id, bool tty)
{
	struct command *c = in->ncommands < INIT_COMMANDS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	*c = (struct command){.next = in->commands, .id = id, .link = -1, .tty = tty};
	in->commands = c;
	in->ncommands++;
	return c;
}

static _Noreturn void child(const struct init *in, const struct command *c, int link,
			    const int fds[4])
{
	struct command_start s = {
		.plan = in->plan,
		.link = link,
		.request = fds[0],
		.stdio = {fds[1], fds[2], fds[3]},
		.tty = c->tty,
	};

	for (const struct command *other = in->commands; other; other = other->next)
		if (other->link >= 0)
			close(other->link);
	close(in->pair);
	close(in->signals);
	command_main(&s);
}

static int command_fork(struct init *in, struct command *c, const int fds[4])
{
	int link[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return -errno;
	c->link = link[0];
	c->pid = fork();
	if (c->pid == 0)
		child(in, c, link[1], fds);
	close(link[1]);
	return c->pid < 0 ? -errno : 0;
}

static void order_exec(struct init *in, const struct init_msg *m, const int *fds, size_t nfds)
{
	struct command *c;
	int r;

	if (nfds != 4) {
		tell_status(in, m->id, EXEC_FAILED, EINVAL,
			    "a command needs its request and three descriptors");
		return;
	}
	c = command_add(in, m->id, m->tty != 0);
	if (!c) {
		tell_status(in, m->id, EXEC_FAILED, ENOMEM, "too many commands at the same time");
		return;
	}
	r = command_fork(in, c, fds);
	if (r < 0) {
		c->reaped = true;
		command_status(in, c, EXEC_FAILED, -r, strerror(-r));
	} else if (!c->tty)
		command_started(in, c, c->pid);
}

static void command_signal(const struct command *c, int signo)
{
	struct command_order order = {signo};

	if (c->tty) {
		/* Its monitor is in the terminal's session and knows when the command has ended. */
		send(c->link, &order, sizeof(order), MSG_NOSIGNAL | MSG_DONTWAIT);
		return;
	}
	if (signo == EXEC_SIGNAL_CONT_FOREGROUND || signo == EXEC_SIGNAL_CONT_BACKGROUND)
		signo = SIGCONT;
	if (signo <= 0 || signo >= NSIG)
		return;
	/* Leads its session and group as soon as it has called setsid(). */
	if (kill(-c->pid, signo) < 0 && errno == ESRCH)
		kill(c->pid, signo);
}

static void order_signal(const struct init *in, const struct init_msg *m)
{
	for (const struct command *c = in->commands; c; c = c->next)
		if (c->id == m->id && !c->reaped && !c->final) {
			if (m->type == INIT_HANGUP) {
				command_signal(c, SIGHUP);
				command_signal(c, SIGCONT);
			} else
				command_signal(c, m->value);
		}
}

static size_t take_fds(struct msghdr *h, int fds[4])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < k; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < 4)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

static void read_order(struct init *in)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct init_msg m;
	struct iovec iov = {&m, sizeof(m)};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	int fds[4];
	size_t nfds;
	ssize_t n = recvmsg(in->pair, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		_exit(0);
	nfds = take_fds(&h, fds);
	if (n == sizeof(m)) {
		if (m.type == INIT_EXEC)
			order_exec(in, &m, fds, nfds);
		else if (m.type == INIT_SIGNAL || m.type == INIT_HANGUP)
			order_signal(in, &m);
	}
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
}

/* ------------------------------------------------------------------------------------- the loop --
 */

static size_t fill_poll(struct init *in)
{
	size_t n = 2;

	if (in->npoll < in->ncommands + 2) {
		size_t want = (in->ncommands + 2) * 2;
		struct pollfd *bigger = realloc(in->poll, want * sizeof(*bigger));

		if (bigger) {
			in->poll = bigger;
			in->npoll = want;
		}
		/* else the newest links are read when their processes end */
	}
	in->poll[0] = (struct pollfd){.fd = in->pair, .events = POLLIN};
	in->poll[1] = (struct pollfd){.fd = in->signals, .events = POLLIN};
	for (const struct command *c = in->commands; c && n < in->npoll; c = c->next)
		if (c->link >= 0)
			in->poll[n++] = (struct pollfd){.fd = c->link, .events = POLLIN};
	return n;
}

static void read_links(struct init *in)
{
	for (struct command *c = in->commands; c; c = c->next)
		if (c->link >= 0)
			read_link(in, c);
}

static int prepare(struct init *in)
{
	sigset_t all, chld;

	/* No core, no tracing, no /proc/PID of it for the commands, though they have its uid. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return -errno;
	prctl(PR_SET_NAME, "osh-init", 0, 0, 0);
	/*
	 * Blocked, not ignored: so none of them ends init, and one that is sent to a command
	 * between its fork and its execve waits until it can have its effect.
	 */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	in->signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	in->npoll = 16;
	in->poll = calloc(in->npoll, sizeof(*in->poll));
	return in->signals < 0 ? -errno : in->poll ? 0 : -ENOMEM;
}

_Noreturn void init_main(const struct launch_plan *p, int pair)
{
	struct init in = {.plan = p, .pair = pair};
	struct init_msg ready = {.type = INIT_READY};
	int r = prepare(&in);

	if (r < 0) {
		ready.type = INIT_FAILED;
		snprintf(ready.text, sizeof(ready.text), "init: %s", strerror(-r));
	}
	tell(&in, &ready);
	if (r < 0)
		_exit(1);
	for (;;) {
		size_t n = fill_poll(&in);

		if (poll(in.poll, n, -1) < 0 && errno != EINTR)
			_exit(1);
		read_links(&in);
		reap(&in);
		forget_reaped(&in);
		if (in.poll[0].revents)
			read_order(&in);
	}
}
