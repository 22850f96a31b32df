/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxyctl.c - the supervisor's side of the proxy: its listeners, its start and restart, what it reports.
 *
 * The listeners belong to the supervisor and are made inside the proxy's cgroup (accepted sockets take the cgroup of
 * their listener, which is where the hand-off of flow records runs).  A proxy that dies is replaced; the new one gets
 * the same listeners, CA and tables.  What the proxy says is checked for size and escaped when it is printed, nothing
 * more.
 */
#include "user/fdpass.h"
#include "user/start.h"
#include "user/supervise.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PROXY_UID_BASE 0x34000000u
#define RESTART_MIN_MS 50
#define RESTART_BUSY_MS 500
#define CA_MAX 16384

static uint32_t proxy_uid(const struct supervisor *s)
{
	return PROXY_UID_BASE + (uint32_t)(s->cgroups.agent_id & 0xffffff);
}

static int listener(int family, int type, uint16_t *ret_port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr *a = family == AF_INET ? (void *)&a4 : (void *)&a6;
	socklen_t n = family == AF_INET ? sizeof(a4) : sizeof(a6);
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int big = 1 << 20;

	if (fd < 0 || bind(fd, a, n) < 0 || (type == SOCK_STREAM && listen(fd, 4096) < 0) || getsockname(fd, a, &n) < 0)
		return -errno;
	if (type == SOCK_DGRAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	*ret_port = ntohs(family == AF_INET ? a4.sin_port : a6.sin6_port);
	return steal_fd(&fd);
}

/* In a child that shares our descriptors and lives in the proxy's cgroup. */
static void listeners_in_child(int out)
{
	static const struct {
		int family, type;
	} want[4] = {{AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_STREAM}, {AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_DGRAM}};
	struct {
		int fd[4];
		uint16_t port[4];
	} r = {.fd = {-1, -1, -1, -1}};

	for (int i = 0; i < 4; i++)
		r.fd[i] = listener(want[i].family, want[i].type, &r.port[i]);
	_exit(write(out, &r, sizeof(r)) == sizeof(r) ? 0 : 1);
}

int proxy_listen(struct supervisor *s)
{
	struct {
		int fd[4];
		uint16_t port[4];
	} got;
	int p[2], status;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid = cgroup_fork(s->cgroups.fd[CGROUP_PROXY], CLONE_FILES);
	if (pid == 0)
		listeners_in_child(p[1]);
	if (pid < 0) {
		close(p[0]);
		close(p[1]);
		return pid;
	}
	status = read(p[0], &got, sizeof(got)) == sizeof(got) ? 0 : -EIO;
	close(p[0]);
	close(p[1]);
	(void)waitpid(pid, NULL, 0);
	if (status < 0)
		return status;
	for (int i = 0; i < 4; i++) {
		s->proxy.listen_fd[i] = got.fd[i];
		s->proxy.port[i] = got.port[i];
		/* A host without IPv6 has no ::1: then no IPv6 flow can arrive either. */
		if (got.fd[i] < 0 && (i == 0 || i == 2))
			return got.fd[i];
	}
	return 0;
}

static int nameservers(struct wire_hello *h)
{
	_cleanup_fclose_ FILE *f = fopen("/etc/resolv.conf", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f) && h->nnameservers < WIRE_NAMESERVERS_MAX) {
		char addr[64];
		uint8_t *to = h->nameservers[h->nnameservers].addr;
		uint8_t family = 0;

		if (sscanf(line, "nameserver %63[0-9a-fA-F:.]", addr) != 1)
			continue;
		if (inet_pton(AF_INET, addr, to) == 1)
			family = 4;
		else if (inet_pton(AF_INET6, addr, to) == 1)
			family = 6;
		if (!family)
			continue;
		h->nameservers[h->nnameservers].family = family;
		h->nameservers[h->nnameservers++].port = 53;
	}
	return 0;
}

int proxy_upstream_servers(struct supervisor *s)
{
	struct wire_hello h = {0};
	uint8_t one = 1;

	nameservers(&h);
	for (uint32_t i = 0; i < h.nnameservers; i++) {
		struct osh_flow_key k = {.port = h.nameservers[i].port};
		int r;

		if (h.nameservers[i].family == 4) {
			k.addr[10] = k.addr[11] = 0xff;
			memcpy(k.addr + 12, h.nameservers[i].addr, 4);
		} else {
			memcpy(k.addr, h.nameservers[i].addr, 16);
		}
		r = bpf_map_update_elem(kernel_map_fd(s->kernel, KMAP_UPSTREAM_DNS), &k, &one, BPF_ANY);
		if (r < 0)
			return r;
	}
	return 0;
}

static int wire_send(int sock, const void *msg, size_t n, const int *fds, size_t nfds)
{
	struct iovec iov = {(void *)msg, n};

	return fdpass_send(sock, &iov, 1, fds, nfds, MSG_DONTWAIT);
}

_Static_assert(WH_COUNT <= FDPASS_MAX, "descriptors of the hello");

static int hello(struct supervisor *s)
{
	struct wire_hello h = {.m = {WIRE_HELLO, sizeof(h)}, .version = WIRE_VERSION, .verbose = s->args.verbose,
			       .may_lack_jail = (s->args.allow_missing & 1u << LAYER_PROXY_JAIL) != 0};
	_cleanup_close_ int empty = -1;
	int fds[WH_COUNT], r = 0;
	static const struct {
		enum wire_hello_fd at;
		enum kernel_map map;
		bool rdonly;
	} maps[] = {{WH_MAP_CURRENT, KMAP_CURRENT, true},
		    {WH_MAP_NAMES, KMAP_NAMES, false},
		    {WH_MAP_PATHS, KMAP_PATHS, true},
		    {WH_MAP_ACCEPTED, KMAP_ACCEPTED, true},
		    {WH_MAP_DNS_CLIENTS, KMAP_DNS_CLIENTS, true}};

	snprintf(h.sandbox, sizeof(h.sandbox), "%s", s->name);
	h.uid = h.gid = proxy_uid(s);
	nameservers(&h);
	empty = memfd_create("empty", MFD_CLOEXEC);
	if (empty < 0)
		return -errno;
	for (int i = 0; i < 4; i++)
		fds[WH_PROXY_TCP4 + i] = s->proxy.listen_fd[i] >= 0 ? s->proxy.listen_fd[i] : empty;
	fds[WH_HOSTS] = s->start_fd[SF_HOSTS];
	fds[WH_TRUST] = s->start_fd[SF_UPSTREAM];
	fds[WH_CA] = s->proxy.ca_fd >= 0 ? s->proxy.ca_fd : empty;
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		fds[maps[i].at] = kernel_map_export(s->kernel, maps[i].map, maps[i].rdonly);
		if (fds[maps[i].at] < 0 && r == 0)
			r = fds[maps[i].at];
	}
	if (r == 0)
		r = wire_send(s->proxy.sock, &h, sizeof(h), fds, WH_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		closep(&fds[maps[i].at]);
	return r;
}

int proxy_send_image(struct supervisor *s, const struct published *p)
{
	struct wire_image m = {.m = {WIRE_IMAGE, sizeof(m)}, .gen = p->gen, .size = p->image.n};

	if (s->proxy.sock < 0)
		return -ENOTCONN;
	return wire_send(s->proxy.sock, &m, sizeof(m), &p->map_fd, 1);
}

void proxy_swapped(struct supervisor *s)
{
	struct wire_image m = {.m = {WIRE_SWAPPED, sizeof(m)}, .gen = s->gen};

	if (s->proxy.sock >= 0 && wire_send(s->proxy.sock, &m, sizeof(m), NULL, 0) < 0)
		kill(s->proxy.pid, SIGKILL); /* one that cannot hear of a swap must not keep flows */
}

/* The program lies beside this one when run from a build tree, else where `make install` puts it. */
static void exec_proxy(void)
{
	char path[4096];
	char *argv[] = {"osh-enforce-proxy", NULL}, *envp[] = {NULL}, *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash) {
			strcpy(slash + 1, "osh-enforce-proxy");
			execve(path, argv, envp);
		}
	}
	execve(OSH_LIBEXECDIR "/osh-enforce-proxy", argv, envp);
}

static void child_fds(const struct supervisor *s, int sock)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		_exit(125);
	if (!start_shows_stderr(s->args.verbose, s->args.keep) && dup2(null, 2) < 0)
		_exit(125);
	if (dup2(sock, WIRE_FD) < 0 || close_range(WIRE_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(125);
	fcntl(WIRE_FD, F_SETFD, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void on_proxy(struct loop_watch *w, uint32_t events);

static void on_restart(struct loop_timer *t)
{
	struct supervisor *s = t->arg;
	int r = proxy_fork(s);

	if (r == 0)
		r = proxy_hello(s);

	if (r < 0) {
		eventlog_note(&s->events, LOG_L_ERROR, "sandbox", "the proxy could not be restarted", "error",
			      strerror(-r), NULL);
		loop_timer_set(s->loop, &s->proxy.restart, RESTART_BUSY_MS, on_restart, s);
	}
}

int proxy_fork(struct supervisor *s)
{
	int sv[2], room = 4 << 20;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	(void)setsockopt(sv[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)); /* its events */
	pid = cgroup_fork(s->cgroups.fd[CGROUP_PROXY], 0);
	if (pid == 0) {
		child_fds(s, sv[1]);
		exec_proxy();
		_exit(127);
	}
	close(sv[1]);
	if (pid < 0) {
		close(sv[0]);
		return pid;
	}
	s->proxy.pid = pid;
	s->proxy.sock = sv[0];
	s->proxy.ready = false;
	s->proxy.acked = 0;
	s->proxy.started_ns = supervise_now();
	return 0;
}

int proxy_hello(struct supervisor *s)
{
	int r = loop_add(s->loop, &s->proxy.watch, s->proxy.sock, EPOLLIN, on_proxy, s);

	if (r == 0)
		r = hello(s);
	for (int i = 0; i < OSH_SLOTS && r == 0; i++)
		if (s->image[i].gen && (s->image[i].gen == s->gen || s->image[i].gen == s->reload.gen))
			r = proxy_send_image(s, &s->image[i]);
	if (r < 0) {
		proxy_drain(s); /* its last words */
		proxy_died(s);
	}
	return r;
}

void proxy_died(struct supervisor *s)
{
	bool busy = supervise_now() - s->proxy.started_ns < 1000000000u;

	if (s->proxy.sock < 0 || s->proxy.dying)
		return;
	s->proxy.dying = true;
	kill(s->proxy.pid, SIGKILL);
	proxy_drain(s); /* what it had said stays said */
	s->proxy.dying = false;
	loop_del(s->loop, &s->proxy.watch);
	closep(&s->proxy.sock);
	s->proxy.sock = -1;
	(void)waitpid(s->proxy.pid, NULL, 0);
	s->proxy.pid = 0;
	s->proxy.ready = false;
	if (s->stopping)
		return;
	if (!s->init.ready) {
		supervise_fail(s, "the proxy ended during the start; run 'osh-enforce doctor' to see what is missing");
		return;
	}
	s->proxy.restarts++;
	eventlog_note(&s->events, LOG_L_ERROR, "sandbox",
		      "the proxy ended and is being restarted; the requests that were under way, and what it had not yet "
		      "reported, are in no line and in no count", NULL);
	loop_timer_set(s->loop, &s->proxy.restart, busy ? RESTART_BUSY_MS : RESTART_MIN_MS, on_restart, s);
}

static void take_ca(struct supervisor *s, int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);

	if (s->proxy.ca_fd >= 0 || size <= 0 || size > CA_MAX) {
		close(fd);
		return;
	}
	s->proxy.ca_fd = fd;
}

union wire_any {
	struct wire_msg m;
	struct wire_ready ready;
	struct wire_image_ack ack;
	struct wire_event event;
	struct wire_lost lost;
	struct wire_unjailed unjailed;
};

static void on_message(struct supervisor *s, const union wire_any *u, size_t n, int fd)
{
	if (u->m.type == WIRE_READY && n == sizeof(u->ready) && u->ready.version == WIRE_VERSION) {
		if (u->ready.new_ca && fd >= 0)
			take_ca(s, steal_fd(&fd));
		s->proxy.ready = true;
		supervise_advance(s);
	} else if (u->m.type == WIRE_IMAGE_ACK && n == sizeof(u->ack)) {
		if (u->ack.error == 0)
			s->proxy.acked = u->ack.gen;
		reload_acked(s, u->ack.gen, u->ack.error);
		supervise_advance(s);
	} else if (u->m.type == WIRE_UNJAILED && n == sizeof(u->unjailed) && !s->proxy.ready) {
		char why[WIRE_TEXT_MAX + 64];

		snprintf(why, sizeof(why), "the proxy could not lock itself in: %.*s", WIRE_TEXT_MAX, u->unjailed.text);
		if (s->init.ready && !s->missing[LAYER_PROXY_JAIL])
			eventlog_note(&s->events, LOG_L_ERROR, "sandbox", why, NULL); /* a restarted one: it ends */
		else
			(void)supervise_missing(s, LAYER_PROXY_JAIL, why);
	} else if (u->m.type == WIRE_EVENT && wire_event_whole(&u->event, n)) {
		record_request(&s->record, &u->event);
	} else if (u->m.type == WIRE_LOST && n == sizeof(u->lost)) {
		record_request_lost(&s->record, &u->lost);
	}
	closep(&fd);
}

/* One packet.  0: none, or the proxy is gone. */
static int receive(struct supervisor *s)
{
	static union wire_any u;
	struct iovec iov = {&u, sizeof(u)};
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int) * 4)];
	} c;
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	ssize_t n = recvmsg(s->proxy.sock, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd = -1;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno == ECONNRESET)
		return 1; /* once: it ended without reading all; what it said before is still to come, then the end */
	if (n <= 0) {
		proxy_died(s);
		return 0;
	}
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(&h); cm; cm = CMSG_NXTHDR(&h, cm))
		if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS)
			for (size_t i = 0; i < (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
				closep(&fd);
				memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
			}
	if ((size_t)n < sizeof(u.m) || u.m.size != (size_t)n || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		closep(&fd); /* not a packet of ours: ignored */
	else
		on_message(s, &u, (size_t)n, fd);
	return 1;
}

void proxy_drain(struct supervisor *s)
{
	for (int i = 0; i < 4096 && s->proxy.sock >= 0 && receive(s); i++)
		;
}

static void on_proxy(struct loop_watch *w, uint32_t events)
{
	struct supervisor *s = w->arg;

	(void)events;
	supervise_ring(s); /* the connection stands in the log before its requests */
	for (int i = 0; i < 256 && s->proxy.sock >= 0 && receive(s); i++)
		;
	supervise_flush(s);
}
