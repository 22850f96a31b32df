/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execclient.c - the outer half of a command in a sandbox: terminal, signals, job control.
 *
 * Without a terminal the descriptors go in as they are and signals are forwarded; for a file that
 * is to be read goes in one that cannot change it (fdreadonly.h).  Where one of
 * them is a terminal, a pty goes in for it and bytes are copied.  As in sudo's use_pty, the command
 * starts in the background of its pty unless both input and output are the terminal and this job is
 * in the foreground: in `exec NAME -- ls | less` the keys are less's.  Should it want the terminal
 * after all, it is stopped (SIGTTIN, SIGTTOU), and gets it if we have it.
 *
 * When the command stops, this process puts the terminal back and stops its own job with the same
 * signal; the shell then says what it always says.  On SIGCONT it goes the other way, to the
 * foreground or the background as it finds itself.
 */
#include "user/execclient.h"

#include "user/fdcheck.h"
#include "user/fdreadonly.h"
#include "user/safetext.h"
#include "user/status.h"
#include "user/tty.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#define COPY_SIZE 65536

/* What goes in for one of the caller's descriptors that is a file to read. */
struct input {
	int fd; /* -1: the caller's own goes in */
	off_t start;
};

struct client {
	int control, signals;
	struct input inputs[3];
	int out; /* where the pty's output goes */
	struct tty tty;
	struct pty pty;
	bool foreground; /* the command has the foreground of its pty */
	bool done;
	char keys[4096]; /* read from the terminal, not yet taken by the pty */
	size_t nkeys;
	struct exec_end *end;
};

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static void client_fail(struct client *c, int error, const char *what)
{
	*c->end = (struct exec_end){.state = EXEC_FAILED, .value = error};
	snprintf(c->end->text, sizeof(c->end->text), "%.*s", (int)sizeof(c->end->text) - 1, what);
	c->done = true;
}

static void send_signal(const struct client *c, int signo)
{
	const struct ctl_exec_signal s = {signo};

	(void)control_send(c->control, CTL_EXEC_SIGNAL, &s, sizeof(s), NULL, 0);
}

/* -------------------------------------------------------------------------------------- the bytes
 * -- */

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN) {
			/* Someone else made it non-blocking. */
			struct pollfd w = {.fd = fd, .events = POLLOUT};

			(void)poll(&w, 1, -1);
			continue;
		}
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* From the pty to the terminal: what is there now, or with `all` until nothing is left. */
static void copy_output(struct client *c, bool all)
{
	static char buf[COPY_SIZE];
	ssize_t n;

	do {
		n = read(c->pty.master, buf, sizeof(buf));
		if (n > 0 && !write_all(c->out, buf, (size_t)n))
			break; /* the terminal is gone: SIGHUP says so to the command */
	} while (n > 0 && all);
}

/* The user's terminal is gone, so the pty goes: the kernel tells the command's jobs, and whoever
 * reads it sees the end. */
static void hang_up(struct client *c)
{
	pty_close(&c->pty);
	c->tty = (struct tty){.fd = -1};
	c->nkeys = 0;
}

static void read_keys(struct client *c)
{
	ssize_t n = read(c->tty.fd, c->keys + c->nkeys, sizeof(c->keys) - c->nkeys);

	if (n > 0)
		c->nkeys += (size_t)n;
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		hang_up(c);
}

static void write_keys(struct client *c)
{
	ssize_t n = write(c->pty.master, c->keys, c->nkeys);

	if (n <= 0)
		return;
	c->nkeys -= (size_t)n;
	memmove(c->keys, c->keys + n, c->nkeys);
}

/* ------------------------------------------------------------------------------------ job control
 * -- */

static void resume_foreground(struct client *c)
{
	c->foreground = true;
	pty_copy_settings(&c->pty, &c->tty);
	pty_process_output(&c->pty, true);
	tty_raw(&c->tty);
	pty_copy_size(&c->pty, &c->tty);
	send_signal(c, EXEC_SIGNAL_CONT_FOREGROUND);
}

static void resume_background(struct client *c)
{
	c->foreground = false;
	pty_process_output(&c->pty, false);
	send_signal(c, EXEC_SIGNAL_CONT_BACKGROUND);
}

static void resume(struct client *c)
{
	if (c->pty.master < 0)
		send_signal(c, SIGCONT);
	else if (tty_foreground(&c->tty))
		resume_foreground(c);
	else
		resume_background(c);
}

/* Stops this job as the command was stopped.  SIGSTOP was meant for one process, the others come
 * from the terminal and are for the whole pipeline. */
static void suspend(int signo)
{
	sigset_t one;

	if (signo != SIGTSTP && signo != SIGTTIN && signo != SIGTTOU) {
		raise(SIGSTOP); /* whatever number came out of the sandbox: no other signal than a stop is sent */
		return;
	}
	sigemptyset(&one);
	sigaddset(&one, signo);
	signal(signo, SIG_DFL);
	kill(0, signo);
	sigprocmask(
		SIG_UNBLOCK, &one,
		NULL); /* stops here, unless the job is orphaned: then nobody could continue it */
	sigprocmask(SIG_BLOCK, &one, NULL);
}

static void command_stopped(struct client *c, int signo)
{
	bool wants_terminal = signo == SIGTTIN || signo == SIGTTOU;

	if (c->pty.master >= 0 && wants_terminal && tty_foreground(&c->tty)) {
		resume_foreground(c);
		return;
	}
	if (c->pty.master >= 0)
		copy_output(c, true);
	tty_restore(&c->tty);
	suspend(signo);
	resume(c);
}

/* -------------------------------------------------------------------------------------- the events
 * -- */

static void on_status(struct client *c, const struct ctl_exec_status *s)
{
	switch (s->state) {
	case EXEC_STOPPED:
		command_stopped(c, s->value);
		return;
	case EXEC_CONTINUED:
		return;
	default:
		*c->end = (struct exec_end){.state = s->state, .value = s->value};
		memcpy(c->end->text, s->text, sizeof(c->end->text));
		c->end->text[sizeof(c->end->text) - 1] = '\0';
		c->done = true;
	}
}

static void on_control(struct client *c)
{
	_Alignas(struct ctl_exec_status) char buf[CTL_PAYLOAD_MAX + 1];
	uint32_t type;
	size_t n;
	int r = control_recv(c->control, 0, &type, buf, sizeof(buf), &n, NULL, NULL);

	if (r == -ETIMEDOUT || r == -EINTR || r == -EAGAIN)
		return;
	if (r < 0) {
		client_fail(c, -r, "the sandbox has ended");
		return;
	}
	if (type == CTL_EXEC_STATUS && n == sizeof(struct ctl_exec_status))
		on_status(c, (const struct ctl_exec_status *)buf);
	else if (type == CTL_ERROR && n > sizeof(int32_t))
		client_fail(c, 0, buf + sizeof(int32_t));
}

static void on_signal(struct client *c)
{
	struct signalfd_siginfo info;

	while (!c->done && read(c->signals, &info, sizeof(info)) == sizeof(info)) {
		int signo = (int)info.ssi_signo;

		if (signo == SIGWINCH)
			pty_copy_size(&c->pty, &c->tty);
		else if (signo == SIGCONT)
			resume(c);
		else if (signo == SIGTSTP && c->pty.master < 0)
			send_signal(c, SIGSTOP); /* with no terminal its group is orphaned and
						    ignores SIGTSTP */
		else
			send_signal(c, signo);
		if (signo == SIGHUP && tty_gone(&c->tty))
			hang_up(c);
	}
}

static void loop(struct client *c)
{
	while (!c->done) {
		bool reading = c->tty.raw && c->nkeys < sizeof(c->keys);
		struct pollfd p[] = {
			{.fd = c->signals, .events = POLLIN},
			{.fd = c->control, .events = POLLIN},
			{.fd = c->pty.master, .events = (short)(POLLIN | (c->nkeys ? POLLOUT : 0))},
			{.fd = reading ? c->tty.fd : -1, .events = POLLIN},
		};

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR) {
			client_fail(c, errno, strerror(errno));
			return;
		}
		if (p[0].revents)
			on_signal(c);
		if ((p[2].revents & POLLOUT) && c->pty.master >= 0)
			write_keys(c);
		if ((p[2].revents & (POLLIN | POLLHUP | POLLERR)) && c->pty.master >= 0)
			copy_output(c, false);
		if (p[3].revents && c->tty.raw)
			read_keys(c);
		if (p[1].revents && !c->done)
			on_control(c);
	}
	if (c->pty.master >= 0)
		copy_output(c, true);
}

/* ------------------------------------------------------------------------------------- the start
 * -- */

static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	sigaddset(&set, SIGWINCH);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	/* What was ignored for us, as nohup does, is ignored by the command: such a signal never
	 * reaches a signalfd. */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The first of the descriptors that is a terminal; input from it and settings by it. */
static int find_terminal(void)
{
	for (int i = 0; i < 3; i++)
		if (isatty(i))
			return i;
	return -1;
}

static const char *const names[] = {"standard input", "standard output", "standard error"};

static bool check_descriptors(struct client *c)
{
	static const char *const ways_out[] = {"< /dev/null", "> FILE or a pipe",
					       "2> FILE or a pipe"};

	for (int i = 0; i < 3; i++) {
		const char *what;
		char text[256];

		if (fd_check(i, FD_TERMINAL_ANY, &what) == 0)
			continue;
		snprintf(text, sizeof(text), "%s is %s, which may not enter a sandbox; use %s",
			 names[i], what, ways_out[i]);
		client_fail(c, EPERM, text);
		return false;
	}
	return true;
}

static bool open_inputs(struct client *c)
{
	for (int i = 0; i < 3; i++) {
		struct input *in = &c->inputs[i];
		char text[256];
		int r;

		if (!fd_to_read(i))
			continue;
		r = fd_read_only(i);
		if (r < 0 && fd_mount_read_only(i))
			continue;
		if (r < 0) {
			snprintf(text, sizeof(text),
				 "%s is a file that cannot be made read-only for the sandbox (%s); use a pipe: "
				 "cat FILE |",
				 names[i], strerror(-r));
			client_fail(c, -r, text);
			return false;
		}
		in->fd = r;
		in->start = lseek(r, 0, SEEK_CUR);
	}
	return true;
}

/* What the command has read is read for who has the caller's file next, as after any other command.  Unless somebody read
 * there meanwhile: nothing is read twice. */
static void close_inputs(struct client *c)
{
	for (int i = 0; i < 3; i++) {
		const struct input *in = &c->inputs[i];
		off_t end = in->fd < 0 ? -1 : lseek(in->fd, 0, SEEK_CUR);

		if (end >= 0 && end != in->start && lseek(i, 0, SEEK_CUR) == in->start)
			(void)lseek(i, end, SEEK_SET);
		if (in->fd >= 0)
			close(in->fd);
	}
}

/* init's pid and the sandbox's uid, from the supervisor. */
static int sandbox_ids(int control, pid_t *ret_pid, uid_t *ret_uid)
{
	static char buf[CTL_PAYLOAD_MAX + 1];
	int64_t pid, uid;
	json_t *status;
	uint32_t type = 0;
	size_t n;
	int r = control_send(control, CTL_STATUS, NULL, 0, NULL, 0);

	while (r == 0 && type != CTL_STATUS_REPLY && type != CTL_ERROR)
		r = control_recv(control, -1, &type, buf, sizeof(buf), &n, NULL, NULL);
	if (r < 0)
		return r;
	status = type == CTL_STATUS_REPLY ? json_loadb(buf, n, 0, NULL) : NULL;
	r = status && status_number(status, "init_pid", &pid) &&
			    status_number(status, "uid", &uid) && pid > 1
		    ? 0
		    : -EBADMSG;
	json_decref(status);
	if (r == 0) {
		*ret_pid = (pid_t)pid;
		*ret_uid = (uid_t)uid;
	}
	return r;
}

static bool open_pty(struct client *c)
{
	pid_t pid;
	uid_t uid;
	char text[256];
	int r;

	c->tty.fd = find_terminal();
	if (c->tty.fd < 0)
		return true;
	c->out = isatty(1) ? 1 : isatty(2) ? 2 : c->tty.fd;
	r = sandbox_ids(c->control, &pid, &uid);
	if (r == 0)
		r = pty_open(pid, uid, &c->pty);
	if (r < 0) {
		snprintf(text, sizeof(text), "cannot make a terminal in the sandbox: %s",
			 strerror(-r));
		client_fail(c, -r, text);
	}
	return r == 0;
}

static int send_request(struct client *c, struct exec_request request)
{
	struct ctl_exec x = {.version = CTL_VERSION, .tty = c->pty.master >= 0};
	_cleanup_close_ int memfd = -1;
	int fds[4], r;

	if (x.tty && !c->foreground)
		request.flags |= EXECREQ_BACKGROUND;
	r = exec_request_to_memfd(&request, &memfd);
	if (r < 0)
		return r;
	fds[0] = memfd;
	for (int i = 0; i < 3; i++)
		fds[i + 1] = x.tty && isatty(i) ? c->pty.slave : c->inputs[i].fd >= 0 ? c->inputs[i].fd : i;
	return control_send(c->control, CTL_EXEC, &x, sizeof(x), fds, ARRAY_LEN(fds));
}

static void start(struct client *c, const struct exec_request *request)
{
	int r;

	c->foreground = c->pty.master >= 0 && isatty(0) && isatty(1) && tty_foreground(&c->tty);
	pty_copy_settings(&c->pty, &c->tty);
	pty_copy_size(&c->pty, &c->tty);
	pty_process_output(&c->pty, c->foreground);
	if (c->foreground)
		tty_raw(&c->tty);
	r = send_request(c, *request);
	if (r < 0)
		client_fail(c, -r,
			    r == -E2BIG ? "the command line or environment is too long"
					: strerror(-r));
}

void exec_client_run(int control, const struct exec_request *request, struct exec_end *ret)
{
	struct client c = {.control = control,
			   .tty = {.fd = -1},
			   .pty = {.master = -1, .slave = -1},
			   .inputs = {{.fd = -1}, {.fd = -1}, {.fd = -1}},
			   .out = 1,
			   .end = ret};

	c.signals = block_signals();
	if (c.signals < 0)
		client_fail(&c, -c.signals, "cannot catch signals");
	else if (check_descriptors(&c) && open_inputs(&c) && open_pty(&c)) {
		start(&c, request);
		loop(&c);
	}
	tty_restore(&c.tty);
	pty_close(&c.pty);
	close_inputs(&c);
	if (c.signals >= 0)
		close(c.signals);
}

int exec_end_status(const struct exec_end *e)
{
	switch (e->state) {
	case EXEC_EXITED:
		return e->value;
	case EXEC_SIGNALED:
		return 128 + e->value;
	case EXEC_NOT_FOUND:
		return e->value == ENOENT ? 127 : 126;
	default:
		return 125;
	}
}

void exec_end_print(const char *command, const struct exec_end *e)
{
	if (e->state == EXEC_EXITED || e->state == EXEC_SIGNALED)
		return;
	fprintf(stderr, "osh-enforce %s: ", command);
	safetext_print(slice_str(e->text), stderr);
	fputc('\n', stderr);
}

int control_ask(int control, uint32_t type, int timeout_ms, char **ret_text)
{
	static char buf[CTL_PAYLOAD_MAX + 1];
	uint32_t answer = 0;
	int32_t error;
	size_t n = 0;
	int r = control_send(control, type, NULL, 0, NULL, 0);

	*ret_text = NULL;
	while (r == 0 && answer != CTL_OK) {
		r = control_recv(control, timeout_ms, &answer, buf, sizeof(buf), &n, NULL, NULL);
		if (r == 0 && answer == CTL_ERROR && n >= sizeof(error)) {
			memcpy(&error, buf, sizeof(error));
			*ret_text = strdup(buf + sizeof(error));
			return error < 0 ? error : -EIO;
		}
	}
	if (r == 0 && n)
		*ret_text = strdup(buf);
	return r;
}
