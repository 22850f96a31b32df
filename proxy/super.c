/* SPDX-License-Identifier: Apache-2.0 */
/*
 * super.c - orders from the supervisor, events to it; see super.h.
 *
 * The supervisor is trusted, but a message that is not what wire.h says means that the two do not speak the
 * same language, and then the proxy ends: the kernel goes on refusing what nobody inspects, and a new proxy is
 * started.  The end of the channel is the end of the sandbox.
 */
#include "proxy/super.h"

#include "proxy/flow.h"
#include "proxy/resolver.h"
#include "proxy/upstream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define QUEUE_MAX 4096 /* a swap that cuts every flow has an event for each */
#define QUEUE_BYTES (8u << 20)

struct super {
	struct proxy *px;
	struct loop_watch watch;
	int fd;
	struct wire_event **queue; /* ring of QUEUE_MAX, made when first needed; of each what goes on the wire */
	size_t head, n, bytes;
	uint64_t lost, lost_since;
};

union packet {
	struct wire_msg m;
	struct wire_hello hello;
	struct wire_image image;
};

/* One packet.  Descriptors beyond max, or with a message that has none, are an error and closed. */
static ssize_t receive(int fd, union packet *p, int *fds, size_t max, size_t *ret_nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * WH_COUNT)];
	} control;
	struct iovec iov = {.iov_base = p, .iov_len = sizeof(*p)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	ssize_t n;
	bool bad;

	*ret_nfds = 0;
	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	bad = m.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < k; i++) {
			int one;

			memcpy(&one, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*ret_nfds < max) {
				fds[(*ret_nfds)++] = one;
			} else {
				close(one);
				bad = true;
			}
		}
	}
	if (n == 0)
		return 0;
	if (!bad && (size_t)n >= sizeof(p->m) && p->m.size == (size_t)n)
		return n;
	while (*ret_nfds)
		close(fds[--*ret_nfds]);
	return -EBADMSG;
}

int super_hello(int fd, uint32_t timeout_ms, struct wire_hello *ret, int ret_fds[WH_COUNT])
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	union packet p;
	size_t nfds;
	ssize_t n;

	if (poll(&pfd, 1, (int)timeout_ms) <= 0)
		return -ETIMEDOUT;
	n = receive(fd, &p, ret_fds, WH_COUNT, &nfds);
	if (n < 0)
		return (int)n;
	if ((size_t)n == sizeof(p.hello) && p.m.type == WIRE_HELLO && nfds == WH_COUNT &&
	    p.hello.version == WIRE_VERSION && p.hello.nnameservers <= WIRE_NAMESERVERS_MAX &&
	    memchr(p.hello.sandbox, '\0', sizeof(p.hello.sandbox))) {
		*ret = p.hello;
		return 0;
	}
	while (nfds)
		close(ret_fds[--nfds]);
	return n == 0 ? -ECONNRESET : -EBADMSG;
}

/* ----------------------------------------------------------------------------------------- sending -- */

static _Noreturn void end_of_channel(void)
{
	_exit(0);
}

/* 0, or -EAGAIN. */
static int send_packet(struct super *s, const void *p, size_t n, int fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r;

	if (fd >= 0) {
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	do
		r = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r >= 0)
		return 0;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
		return -EAGAIN;
	end_of_channel();
}

static int report_lost(struct super *s)
{
	struct wire_lost m = {.m = {WIRE_LOST, sizeof(m)}, .count = s->lost, .since = s->lost_since};
	int r;

	if (!s->lost)
		return 0;
	r = send_packet(s, &m, sizeof(m), -1);
	if (r == 0)
		s->lost = 0;
	return r;
}

static void flush(struct super *s)
{
	while (s->n && send_packet(s, s->queue[s->head], s->queue[s->head]->m.size, -1) == 0) {
		s->bytes -= s->queue[s->head]->m.size;
		free(s->queue[s->head]);
		s->head = (s->head + 1) % QUEUE_MAX;
		s->n--;
	}
	if (s->n == 0 && report_lost(s) == 0) {
		free(s->queue);
		s->queue = NULL;
		s->head = 0;
	}
	loop_mod(s->px->loop, &s->watch, s->n || s->lost ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* false: no room. */
static bool enqueue(struct super *s, const struct wire_event *e)
{
	struct wire_event *copy = NULL;

	if (!s->queue)
		s->queue = calloc(QUEUE_MAX, sizeof(struct wire_event *));
	if (s->queue && s->n < QUEUE_MAX && s->bytes + e->m.size <= QUEUE_BYTES)
		copy = malloc(e->m.size);
	if (!copy)
		return false;
	memcpy(copy, e, e->m.size);
	s->queue[(s->head + s->n++) % QUEUE_MAX] = copy;
	s->bytes += e->m.size;
	return true;
}

void super_event(struct super *s, const struct wire_event *whole)
{
	uint32_t n = WIRE_EVENT_SIZE(whole->target_n);
	struct wire_event e;

	memcpy(&e, whole, n);
	e.m.size = n;
	if (s->n == 0 && s->lost == 0 && send_packet(s, &e, n, -1) == 0)
		return;
	if (!enqueue(s, &e) && !s->lost++)
		s->lost_since = loop_now(s->px->loop);
	loop_mod(s->px->loop, &s->watch, EPOLLIN | EPOLLOUT);
}

/* ------------------------------------------------------------------------------------------ orders -- */

/* A connection is accepted when there is something to judge it by: before that it waits in the kernel. */
static void listen_when_ready(struct super *s)
{
	if (images_current(s->px->images).gen)
		flows_listen(s->px->flows);
}

static void on_image(struct super *s, const struct wire_image *m, int fd)
{
	struct wire_image_ack ack = {.m = {WIRE_IMAGE_ACK, sizeof(ack)}, .gen = m->gen};

	ack.error = images_add(s->px->images, m->gen, m->size, fd);
	if (ack.error == 0 && s->px->resolver) {
		/* In force already: a proxy before this one may have died before it looked at the pins. */
		if (images_current(s->px->images).gen == m->gen)
			resolver_policy_changed(s->px->resolver);
		else
			resolver_policy_coming(s->px->resolver);
	}
	if (send_packet(s, &ack, sizeof(ack), -1) < 0) {
		/* The channel is full of events: the supervisor waits for this and nothing else. */
		fcntl(s->fd, F_SETFL, 0);
		if (send(s->fd, &ack, sizeof(ack), MSG_NOSIGNAL) < 0)
			end_of_channel();
		fcntl(s->fd, F_SETFL, O_NONBLOCK);
	}
	listen_when_ready(s);
}

static void on_swapped(struct super *s)
{
	flows_policy_changed(s->px->flows);
	upstream_policy_changed(s->px->upstream, images_current(s->px->images).gen);
	if (s->px->resolver)
		resolver_policy_changed(s->px->resolver);
	listen_when_ready(s);
}

/* false: nothing there. */
static bool one_order(struct super *s)
{
	union packet p;
	int fd = -1;
	size_t nfds;
	ssize_t n = receive(s->fd, &p, &fd, 1, &nfds);

	if (n == -EAGAIN)
		return false;
	if (n <= 0)
		end_of_channel();
	if ((size_t)n == sizeof(p.image) && p.m.type == WIRE_IMAGE && nfds == 1)
		on_image(s, &p.image, fd);
	else if ((size_t)n == sizeof(p.image) && p.m.type == WIRE_SWAPPED && nfds == 0)
		on_swapped(s);
	else
		_exit(2);
	return true;
}

static void on_io(struct loop_watch *w, uint32_t events)
{
	struct super *s = w->arg;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		while (one_order(s))
			;
	if (events & EPOLLOUT)
		flush(s);
}

int super_ca_memfd(const char *pem, size_t n)
{
	_cleanup_close_ int fd = memfd_create("osh-ca", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, pem, n) != (ssize_t)n)
		return -EIO;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	return steal_fd(&fd);
}

int super_unjailed(struct super *s, const char *step, int error)
{
	struct wire_unjailed m = {.m = {WIRE_UNJAILED, sizeof(m)}};

	snprintf(m.text, sizeof(m.text), "%s: %s", step, strerror(-error));
	return send_packet(s, &m, sizeof(m), -1);
}

int super_ready(struct super *s, int fd_ca)
{
	struct wire_ready m = {
		.m = {WIRE_READY, sizeof(m)}, .version = WIRE_VERSION, .new_ca = fd_ca >= 0};
	int r = send_packet(s, &m, sizeof(m), fd_ca);

	closep(&fd_ca);
	if (r < 0)
		return r;
	if (fcntl(s->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return loop_add(s->px->loop, &s->watch, s->fd, EPOLLIN, on_io, s);
}

int super_new(struct proxy *px, int fd, struct super **ret)
{
	struct super *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	s->px = px;
	s->fd = fd;
	s->watch.fd = -1;
	*ret = s;
	return 0;
}

