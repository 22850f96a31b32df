/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controld.c - the control socket's server side (control.h): who may speak, and what each request does.
 */
#include "user/landlock.h"
#include "user/reload.h"
#include "user/revoke.h"
#include "user/supervise.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CLIENTS_MAX 256
#define CLIENTS_SPARE 32 /* that commands cannot take: status, reload and delete always get through */

static void on_client(struct loop_watch *w, uint32_t events);

void client_error(struct client *c, int error, const char *fmt, ...)
{
	char buf[4096];
	int32_t e = error;
	va_list ap;
	int n;

	memcpy(buf, &e, sizeof(e));
	va_start(ap, fmt);
	n = vsnprintf(buf + sizeof(e), sizeof(buf) - sizeof(e), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(buf) - sizeof(e))
		n = (int)(sizeof(buf) - sizeof(e) - 1);
	(void)control_send(c->fd, CTL_ERROR, buf, sizeof(e) + (size_t)n, NULL, 0);
}

struct client *client_add(struct supervisor *s, int fd, bool lifeline)
{
	struct client *c = calloc(1, sizeof(*c));

	/* Never waits for a peer: one that does not read loses its connection, not the sandbox its supervisor. */
	if (!c || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 || loop_add(s->loop, &c->watch, fd, EPOLLIN, on_client, c) < 0) {
		free(c);
		close(fd);
		return NULL;
	}
	c->s = s;
	c->fd = fd;
	c->lifeline = lifeline;
	c->next = s->clients;
	s->clients = c;
	return c;
}

void client_drop(struct client *c)
{
	struct supervisor *s = c->s;
	bool last = c->lifeline;

	for (struct client **p = &s->clients; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	if (c->command)
		(void)init_signal(s, c->command, INIT_HANGUP, 0);
	reload_forget(s, c);
	if (s->starter == c)
		s->starter = NULL;
	loop_del(s->loop, &c->watch);
	close(c->fd);
	free(c);
	if (last)
		supervise_stop(s);
}

struct client *client_of_command(struct supervisor *s, uint32_t command)
{
	for (struct client *c = s->clients; c; c = c->next)
		if (command && c->command == command)
			return c;
	return NULL;
}

/* What the launcher and the proxy did not report as missing they have proven, or the sandbox would not be up. */
static json_t *layers(const struct supervisor *s)
{
	const char *walls = s->init.ready ? "proven at start" : "not built";
	int abi = landlock_abi();
	const char *missing = kernel_lsm_missing(s->kernel);
	char landlock[48] = "not in this kernel";
	json_t *j;

	if (abi > 0)
		snprintf(landlock, sizeof(landlock), "proven at start, ABI %d", abi);
	j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "ebpf", walls, "bpf-lsm", missing ? missing : "proven at start", "mounts", walls, "seccomp", walls, "landlock", landlock,
			 "proxy-jail", "proven at start", "proxy", s->proxy.ready ? "running" : "being restarted");
	for (enum layer l = 0; j && l < LAYER_COUNT; l++)
		if (s->missing[l]) {
			char text[640];

			snprintf(text, sizeof(text), "MISSING, as --allow-missing permits: %s", s->missing[l]);
			json_object_set_new(j, layer_name(l), json_string(text));
		}
	return j;
}

static json_t *missing_layers(const struct supervisor *s)
{
	json_t *j = json_array();

	for (enum layer l = 0; j && l < LAYER_COUNT; l++)
		if (s->missing[l])
			json_array_append_new(j, json_string(layer_name(l)));
	return j;
}

static void status(struct client *c)
{
	struct supervisor *s = c->s;
	json_t *w = json_array(), *j;
	uint64_t lost[LOST_KINDS];
	char hash[65], *text;

	reload_hash(s, hash);
	for (size_t i = 0; i < s->nwarnings; i++)
		json_array_append_new(w, json_string(s->warnings[i]));
	j = json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:s,s:i,s:b,s:I}", "name", s->name, "state", "running", "pid", (int)getpid(),
		      "proxy_pid", (int)s->proxy.pid, "proxy_restarts", (int)s->proxy.restarts, "init_pid",
		      (int)s->init.pid, "user", s->args.user, "uid", (int)s->args.uid, "keep", (int)s->args.keep,
		      "started", (json_int_t)s->started);
	if (j) {
		json_object_set_new(j, "policy_path", json_string(s->args.policy_path));
		json_object_set_new(j, "revision", json_integer((json_int_t)s->revision));
		json_object_set_new(j, "first_revision", json_integer((json_int_t)s->first_revision));
		if (s->global)
			json_object_set_new(j, "global", json_integer((json_int_t)s->global));
		json_object_set_new(j, "generation", json_integer((json_int_t)s->gen));
		json_object_set_new(j, "hash", json_string(hash));
		json_object_set_new(j, "policy_loaded", json_integer((json_int_t)s->policy_loaded));
		json_object_set_new(j, "static_hash", json_string(s->args.static_hash));
		json_object_set_new(j, "commands", json_integer(s->init.running));
		json_object_set_new(j, "natives", json_integer((json_int_t)count_natives(s->kernel)));
		json_object_set_new(j, "names", json_integer((json_int_t)kernel_count(s->kernel, KMAP_NAMES)));
		json_object_set_new(j, "paths", json_integer((json_int_t)kernel_count(s->kernel, KMAP_PATHS)));
		json_object_set_new(j, "processes", json_integer((json_int_t)kernel_count(s->kernel, KMAP_PROCS)));
		json_object_set_new(j, "events_lost", json_integer((json_int_t)record_lost(&s->record, lost)));
		json_object_set_new(j, "lost", record_status(&s->record));
		json_object_set_new(j, "failed", record_failed(&s->record));
		json_object_set_new(j, "events_suppressed", json_integer((json_int_t)s->record.suppressed));
		json_object_set_new(j, "inbound_dropped",
				    json_integer((json_int_t)kernel_stat(s->kernel, OSH_STAT_INBOUND)));
		json_object_set_new(j, "outbound_dropped",
				    json_integer((json_int_t)kernel_stat(s->kernel, OSH_STAT_OUTBOUND)));
		json_object_set_new(j, "proxy_port", json_integer(s->proxy.port[0]));
		json_object_set_new(j, "processes_max", json_string(s->limits.pids_text));
		json_object_set_new(j, "memory_max", json_string(s->limits.memory_text));
		json_object_set_new(j, "layers", layers(s));
		json_object_set_new(j, "missing", missing_layers(s));
		json_object_set_new(j, "warnings", w);
	} else {
		json_decref(w);
	}
	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	if (text)
		(void)control_send(c->fd, CTL_STATUS_REPLY, text, strlen(text), NULL, 0);
	else
		client_error(c, -ENOMEM, "status: out of memory");
	free(text);
	json_decref(j);
}

static size_t count_clients(const struct supervisor *s)
{
	size_t n = 0;

	for (const struct client *c = s->clients; c; c = c->next)
		n++;
	return n;
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		closep(&fds[i]);
}

static void request(struct client *c, uint32_t type, const void *p, size_t n, int *fds, size_t nfds)
{
	struct supervisor *s = c->s;
	char lost[256];
	int r;

	switch (type) {
	case CTL_STATUS:
		status(c);
		break;
	case CTL_EXEC:
		if (n != sizeof(struct ctl_exec) || ((const struct ctl_exec *)p)->version != CTL_VERSION || c->command) {
			client_error(c, -EINVAL, "malformed request; are both programs of one version?");
			break;
		}
		if (count_clients(s) > CLIENTS_MAX - CLIENTS_SPARE) {
			client_error(c, -EAGAIN, "%d commands and other clients are connected, no more can be",
				     CLIENTS_MAX - CLIENTS_SPARE);
			break;
		}
		r = init_exec(s, c, p, fds, nfds);
		if (r < 0)
			client_error(c, r, "the sandbox's init did not take the command: %s", strerror(-r));
		break;
	case CTL_EXEC_SIGNAL:
		if (n == sizeof(struct ctl_exec_signal) && c->command)
			(void)init_signal(s, c->command, INIT_SIGNAL, ((const struct ctl_exec_signal *)p)->signo);
		break;
	case CTL_RELOAD:
		if (n != sizeof(struct ctl_reload) || ((const struct ctl_reload *)p)->version != CTL_VERSION)
			client_error(c, -EINVAL, "malformed request; are both programs of one version?");
		else
			reload_request(s, c, p, fds, nfds);
		break;
	case CTL_COMMIT:
		reload_commit(s, c);
		break;
	case CTL_FAILED:
		if (n != sizeof(struct ctl_failed) || ((const struct ctl_failed *)p)->version != CTL_VERSION)
			client_error(c, -EINVAL, "malformed request; are both programs of one version?");
		else
			reload_failed(s, c, p, nfds ? fds[0] : -1);
		break;
	case CTL_DELETE:
		supervise_drain(s);
		record_text(&s->record, lost, sizeof(lost));
		s->stopping = true;
		/* At the end of `run` what was there before it stays; `delete` takes all. */
		r = cleanup_sandbox(s->name, s->lock_fd, c->lifeline && s->history);
		if (r < 0)
			client_error(c, r, "not everything could be removed: %s", strerror(-r));
		else
			(void)control_send(c->fd, CTL_OK, lost, strlen(lost), NULL, 0);
		supervise_stop(s);
		break;
	case CTL_SYNC_LOG:
		supervise_drain(s);
		(void)control_send(c->fd, CTL_OK, NULL, 0, NULL, 0);
		break;
	default:
		client_error(c, -EOPNOTSUPP, "unknown request %u", type);
	}
	close_all(fds, nfds);
}

static void on_client(struct loop_watch *w, uint32_t events)
{
	static char buf[CTL_PAYLOAD_MAX + 1] __attribute__((aligned(16)));
	struct client *c = w->arg;
	int fds[CTL_FDS_MAX];
	size_t n, nfds = CTL_FDS_MAX;
	uint32_t type;
	int r;

	(void)events;
	r = control_recv(c->fd, 0, &type, buf, sizeof(buf), &n, fds, &nfds);
	if (r == -ETIMEDOUT || r == -EINTR)
		return;
	if (r < 0)
		client_drop(c);
	else
		request(c, type, buf, n, fds, nfds);
}

static void on_connect(struct loop_watch *w, uint32_t events)
{
	struct supervisor *s = w->arg;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct ucred u;
	socklen_t n = sizeof(u);
	bool inside = true;

	(void)events;
	if (fd < 0)
		return;
	if (count_clients(s) >= CLIENTS_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) < 0 || u.uid != 0 ||
	    cgroup_inside(u.pid, &inside) < 0 || inside) {
		close(fd);
		return;
	}
	(void)client_add(s, fd, false);
}

int control_listen(struct supervisor *s)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/control", s->run_dir) >= (int)sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(sa.sun_path, 0600) < 0 || listen(fd, 64) < 0)
		return -errno;
	s->listen_fd = steal_fd(&fd);
	return loop_add(s->loop, &s->listen_watch, s->listen_fd, EPOLLIN, on_connect, s);
}
