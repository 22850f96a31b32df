/* SPDX-License-Identifier: Apache-2.0 */
/* start.c - the starter's half of a sandbox's start (start.h): spawn the supervisor, hand over, wait. */
#include "user/start.h"
#include "user/control.h"
#include "user/supervise.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define START_TIMEOUT_MS 60000

/* A grandchild, so that the starter has no child to reap and the supervisor no parent to lose. */
static int spawn(const struct sandbox_start *s, int *ret_sock)
{
	char *argv[] = {"osh-enforce", "__supervise", NULL};
	int sv[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		sigset_t none;

		if (fork() != 0)
			_exit(0);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
		    (!start_shows_stderr(s->verbose, s->keep) && dup2(null, 2) < 0))
			_exit(125);
		sv[1] = fcntl(sv[1], F_DUPFD_CLOEXEC, 64);
		if (dup2(sv[1], 3) < 0 || close_range(4, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
			_exit(125);
		execv("/proc/self/exe", argv);
		_exit(125);
	}
	close(sv[1]);
	if (pid < 0) {
		close(sv[0]);
		return -errno;
	}
	(void)waitpid(pid, NULL, 0);
	*ret_sock = sv[0];
	return 0;
}

static int hand_over(int sock, const struct sandbox_start *s)
{
	struct supervise_args a = {.keep = s->keep, .verbose = s->verbose, .uid = s->uid, .global = s->global, .pids_max = s->pids_max,
				   .memory_max = s->memory_max,
				   .allow_missing = s->allow_missing};
	int fds[SF_COUNT] = {[SF_PLAN] = s->plan_fd,	 [SF_IMAGE] = s->image_fd, [SF_POLICY] = s->policy_fd,
			     [SF_HOSTS] = s->hosts_fd, [SF_ROOTS] = s->roots_fd, [SF_UPSTREAM] = s->upstream_fd,
			     [SF_GLOBAL] = s->global ? s->global_fd : s->image_fd};

	snprintf(a.name, sizeof(a.name), "%s", s->name ? s->name : "");
	snprintf(a.user, sizeof(a.user), "%s", s->user ? s->user : "");
	snprintf(a.policy_path, sizeof(a.policy_path), "%s", s->policy_path ? s->policy_path : "built-in default");
	snprintf(a.static_hash, sizeof(a.static_hash), "%s", s->static_hash ? s->static_hash : "");
	snprintf(a.hash, sizeof(a.hash), "%s", s->hash ? s->hash : "");
	return control_send(sock, CTL_START, &a, sizeof(a), fds, SF_COUNT);
}

int sandbox_start(const struct sandbox_start *s, char **ret_name, int *ret_control, char **ret_error)
{
	_cleanup_close_ int sock = -1;
	char buf[CTL_PAYLOAD_MAX + 1];
	uint32_t type;
	size_t n;
	int r;

	*ret_error = NULL;
	if (s->name)
		sandbox_settle(s->name);
	else
		sandbox_sweep();
	r = spawn(s, &sock);
	if (r == 0)
		r = hand_over(sock, s);
	while (r == 0) {
		r = control_recv(sock, START_TIMEOUT_MS, &type, buf, sizeof(buf), &n, NULL, NULL);
		if (r < 0)
			break;
		if (type == CTL_START_WARNING) {
			fprintf(stderr, "osh-enforce: warning: %s\n", buf);
		} else if (type == CTL_OK) {
			*ret_name = strdup(buf);
			if (!*ret_name)
				return -ENOMEM;
			*ret_control = steal_fd(&sock);
			return 0;
		} else {
			int32_t e = 0;

			if (n >= sizeof(e))
				memcpy(&e, buf, sizeof(e));
			*ret_error = strdup(n > sizeof(e) ? buf + sizeof(e) : "unexpected answer");
			return e == -EAGAIN ? e : -ECANCELED;
		}
	}
	if (asprintf(ret_error, "the supervisor did not come up: %s",
		     r == -EPIPE ? "it ended early" : strerror(-r)) < 0)
		*ret_error = NULL;
	return r;
}
