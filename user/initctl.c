/* SPDX-License-Identifier: Apache-2.0 */
/*
 * initctl.c - the supervisor's side of the launcher, which becomes the sandbox's init (launch.h).
 */
#include "user/fdpass.h"
#include "user/refused.h"
#include "user/start.h"
#include "user/supervise.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define QUEUE_FOR_STOPS 16384 /* bytes not yet read by the client */
#define CERT_MARK "-----BEGIN CERTIFICATE-----"

static int copy_all(int from, int to, off_t at)
{
	char buf[65536];
	ssize_t n;

	while ((n = pread(from, buf, sizeof(buf), at)) > 0) {
		if (write(to, buf, (size_t)n) != n)
			return -EIO;
		at += n;
	}
	return n < 0 ? -errno : 0;
}

/* System roots and this sandbox's CA.  The key stands before the certificate in the CA's memfd. */
static int trust_bundle(struct supervisor *s, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("trust", MFD_CLOEXEC);
	char ca[16384 + 1];
	ssize_t n = s->proxy.ca_fd < 0 ? 0 : pread(s->proxy.ca_fd, ca, sizeof(ca) - 1, 0);
	const char *cert;
	int r;

	if (fd < 0)
		return -errno;
	if (n <= 0)
		return -EIO;
	ca[n] = '\0';
	cert = strstr(ca, CERT_MARK);
	if (!cert)
		return -EBADMSG;
	r = copy_all(s->start_fd[SF_ROOTS], fd, 0);
	if (r == 0)
		r = copy_all(s->proxy.ca_fd, fd, cert - ca);
	explicit_bzero(ca, sizeof(ca));
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

static void child(const struct supervisor *s, int sock, int plan, int trust)
{
	char mask[16];
	char *argv[] = {"osh-enforce", "__launch", mask, NULL}, *envp[] = {NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	snprintf(mask, sizeof(mask), "%x", s->args.allow_missing);
	/* Above every number that is about to be taken. */
	sock = fcntl(sock, F_DUPFD_CLOEXEC, 64);
	plan = fcntl(plan, F_DUPFD_CLOEXEC, 64);
	trust = fcntl(trust, F_DUPFD_CLOEXEC, 64);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    (!start_shows_stderr(s->args.verbose, s->args.keep) && dup2(null, 2) < 0) || dup2(sock, LAUNCH_FD_SUPERVISOR) < 0 ||
	    dup2(plan, LAUNCH_FD_PLAN) < 0 || dup2(trust, LAUNCH_FD_TRUST) < 0 ||
	    close_range(LAUNCH_FD_TRUST + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(125);
	if (limits_child(&s->limits) < 0)
		_exit(125);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", argv, envp);
	_exit(127);
}

/* As recv(); *ret_fd: the descriptor that came with it, or -1.  Nobody is made to keep more than one. */
static ssize_t receive(int sock, struct init_msg *m, int *ret_fd)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {m, sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock, &h, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&h);

	*ret_fd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

static void on_init(struct loop_watch *w, uint32_t events);

int init_spawn(struct supervisor *s)
{
	_cleanup_close_ int trust = -1;
	int sv[2], r = trust_bundle(s, &trust);
	pid_t pid;

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	kernel_open_launch(s->kernel);
	pid = cgroup_fork(s->cgroups.fd[CGROUP_AGENT], 0);
	if (pid == 0)
		child(s, sv[1], s->start_fd[SF_PLAN], trust);
	close(sv[1]);
	if (pid < 0) {
		close(sv[0]);
		return pid;
	}
	s->init.pid = pid;
	s->init.sock = sv[0];
	return loop_add(s->loop, &s->init.watch, sv[0], EPOLLIN, on_init, s);
}

static int order(struct supervisor *s, const struct init_msg *m, const int *fds, size_t nfds)
{
	struct iovec iov = {(void *)m, sizeof(*m)};

	return fdpass_send(s->init.sock, &iov, 1, fds, nfds, MSG_DONTWAIT);
}

int init_exec(struct supervisor *s, struct client *c, const struct ctl_exec *x, const int *fds, size_t nfds)
{
	struct init_msg m = {.type = INIT_EXEC, .tty = x->tty};
	int r;

	if (!s->init.ready)
		return -ENOTCONN;
	if (nfds != 4)
		return -EINVAL;
	m.id = ++s->init.next_command;
	r = order(s, &m, fds, nfds);
	if (r < 0)
		return r;
	c->command = m.id;
	s->init.running++;
	return 0;
}

int init_signal(struct supervisor *s, uint32_t command, enum init_type type, int signo)
{
	struct init_msg m = {.type = type, .id = command, .value = signo};

	return s->init.sock < 0 ? -ENOTCONN : order(s, &m, NULL, 0);
}

static void command_status(struct supervisor *s, const struct init_msg *m)
{
	struct client *c = client_of_command(s, m->id);
	struct ctl_exec_status st = {.state = m->state, .value = m->value};
	bool over = m->state != EXEC_STOPPED && m->state != EXEC_CONTINUED;
	int queued = 0;

	if (over && s->init.running)
		s->init.running--;
	if (!c)
		return;
	memcpy(st.text, m->text, sizeof(st.text));
	if (over)
		c->command = 0;
	if (over)
		supervise_drain(s); /* what it did is in the log before its caller goes on */
	/* Stops and continues are as many as the program likes; room must stay for its end. */
	if (!over && (ioctl(c->fd, SIOCOUTQ, &queued) < 0 || queued > QUEUE_FOR_STOPS))
		return;
	if (control_send(c->fd, CTL_EXEC_STATUS, &st, sizeof(st), NULL, 0) < 0 && over)
		(void)shutdown(c->fd, SHUT_RDWR);
}

/* Takes *fd, -1 for none, when it is wanted. */
static void on_message(struct supervisor *s, struct init_msg *m, int *fd)
{
	struct client *c;
	int r;

	m->text[sizeof(m->text) - 1] = '\0';
	switch (m->type) {
	case INIT_READY:
		if (s->init.ready)
			return;
		r = kernel_count_filters(s->kernel, s->init.pid);
		if (r < 0) {
			supervise_fail(s, "/proc/PID/status of the launcher: %s", strerror(-r));
			return;
		}
		s->init.ready = true;
		supervise_advance(s);
		return;
	case INIT_FAILED:
		supervise_fail(s, "%s", m->text);
		return;
	case INIT_WARNING:
		supervise_warn(s, m->text);
		return;
	case INIT_STARTED:
		c = client_of_command(s, m->id);
		if (c)
			(void)control_send(c->fd, CTL_EXEC_STARTED, &m->value, sizeof(m->value), NULL, 0);
		return;
	case INIT_MISSING:
		if (s->init.ready || supervise_missing(s, (enum layer)m->id, m->text) == -EINVAL)
			supervise_fail(s, "the launcher names no layer");
		return;
	case INIT_REFUSED: /* once, and before anything of the sandbox runs */
		r = s->init.ready || *fd < 0 ? -EBADMSG : refused_watch(s, steal_fd(fd));
		if (r < 0)
			supervise_fail(s, "the system call filter's listener: %s", strerror(-r));
		return;
	case INIT_STATUS:
		command_status(s, m);
		return;
	}
}

static void init_died(struct supervisor *s)
{
	loop_del(s->loop, &s->init.watch);
	closep(&s->init.sock);
	s->init.sock = -1;
	(void)waitpid(s->init.pid, NULL, WNOHANG);
	if (!s->init.ready) {
		supervise_fail(s, "the launcher ended before the sandbox was up");
		return;
	}
	eventlog_note(&s->events, LOG_L_ERROR, "sandbox", "init ended, and the sandbox with it", NULL);
	supervise_stop(s);
}

static void on_init(struct loop_watch *w, uint32_t events)
{
	struct supervisor *s = w->arg;

	(void)events;
	for (int i = 0; i < 64 && s->init.sock >= 0 && !s->stopping; i++) {
		_cleanup_close_ int fd = -1;
		struct init_msg m;
		ssize_t n = receive(s->init.sock, &m, &fd);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			init_died(s);
			return;
		}
		if (n == sizeof(m))
			on_message(s, &m, &fd);
	}
}
