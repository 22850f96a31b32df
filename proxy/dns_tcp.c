/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_tcp.c - connections to port 53, as described in dns_tcp.h.
 *
 * A connection reads while it owes fewer than DNS_TCP_PENDING_MAX answers, writes when the loop
 * says so, and ends at the first error, when it has been silent too long, or when the other side
 * has finished and everything is answered. Answering only fills the buffer: nothing is sent, and
 * nothing freed, under a caller's feet.
 */
#include "proxy/dns_tcp.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <utlist.h>

#include "proxy/dns.h"

#define LENGTH_SIZE 2u
/* Every answer owed has room. */
#define OUT_MAX (DNS_TCP_PENDING_MAX * (LENGTH_SIZE + DNS_ANSWER_MAX))

struct dns_tcp_conn {
	struct dns_tcp_conn *prev, *next;
	struct dns_tcp *t;
	struct loop_watch watch;
	struct loop_timer timer;
	struct osh_dns_client client;
	unsigned pending;
	bool eof;
	size_t in_n, out_n;
	uint8_t in[LENGTH_SIZE + DNS_TCP_MESSAGE_MAX];
	uint8_t out[OUT_MAX];
};

struct dns_tcp {
	struct loop *loop;
	struct dns_tcp_handler h;
	struct dns_tcp_conn *conns;
	size_t n;
};

static void conn_close(struct dns_tcp_conn *c)
{
	struct dns_tcp *t = c->t;
	int fd = c->watch.fd;

	t->h.gone(t->h.arg, c);
	loop_timer_stop(t->loop, &c->timer);
	loop_del(t->loop, &c->watch);
	close(fd);
	DL_DELETE(t->conns, c);
	t->n--;
	free(c);
}

static void on_idle(struct loop_timer *timer)
{
	conn_close(timer->arg);
}

static void busy(struct dns_tcp_conn *c)
{
	loop_timer_set(c->t->loop, &c->timer, DNS_TCP_IDLE_MS, on_idle, c);
}

/* Another answer owed would still have room. */
static bool may_take(const struct dns_tcp_conn *c)
{
	return c->out_n + (c->pending + 1) * (LENGTH_SIZE + DNS_ANSWER_MAX) <= OUT_MAX;
}

static bool may_read(const struct dns_tcp_conn *c)
{
	return !c->eof && may_take(c);
}

static void update_events(struct dns_tcp_conn *c)
{
	loop_mod(c->t->loop, &c->watch,
		 (may_read(c) ? EPOLLIN : 0u) | (c->out_n ? EPOLLOUT : 0u));
}

/* -errno: close. */
static int flush_out(struct dns_tcp_conn *c)
{
	while (c->out_n) {
		ssize_t n = send(c->watch.fd, c->out, c->out_n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		c->out_n -= (size_t)n;
		memmove(c->out, c->out + n, c->out_n);
	}
	return 0;
}

/* Hands out the messages that are complete, as far as their answers have room. */
static int take_messages(struct dns_tcp_conn *c)
{
	size_t at = 0;

	while (may_take(c) && c->in_n - at >= LENGTH_SIZE) {
		size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];

		if (len > DNS_TCP_MESSAGE_MAX)
			return -EMSGSIZE;
		if (c->in_n - at < LENGTH_SIZE + len)
			break;
		c->pending++;
		busy(c);
		c->t->h.message(c->t->h.arg, c, &c->client,
				(struct slice){c->in + at + LENGTH_SIZE, len});
		at += LENGTH_SIZE + len;
	}
	c->in_n -= at;
	memmove(c->in, c->in + at, c->in_n);
	return 0;
}

static int read_in(struct dns_tcp_conn *c)
{
	ssize_t n;

	if (c->in_n == sizeof(c->in))
		return 0; /* a whole message is in there, and waits for room */
	n = recv(c->watch.fd, c->in + c->in_n, sizeof(c->in) - c->in_n, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		c->eof = true;
	c->in_n += (size_t)n;
	return 0;
}

static void on_conn(struct loop_watch *w, uint32_t events)
{
	struct dns_tcp_conn *c = w->arg;
	int r = events & (EPOLLERR | EPOLLHUP) ? -EPIPE : 0; /* reset: nobody reads answers */

	if (r == 0 && (events & EPOLLOUT))
		r = flush_out(c);
	if (r == 0 && (events & EPOLLIN) && may_read(c))
		r = read_in(c);
	if (r == 0)
		r = take_messages(c);
	if (r < 0 || (c->eof && !c->pending && !c->out_n))
		conn_close(c);
	else
		update_events(c);
}

void dns_tcp_answer(struct dns_tcp_conn *c, struct slice packet)
{
	if (c->pending)
		c->pending--;
	if (packet.n <= DNS_ANSWER_MAX && LENGTH_SIZE + packet.n <= OUT_MAX - c->out_n) {
		c->out[c->out_n++] = (uint8_t)(packet.n >> 8);
		c->out[c->out_n++] = (uint8_t)packet.n;
		memcpy(c->out + c->out_n, packet.p, packet.n);
		c->out_n += packet.n;
	}
	update_events(c);
}

/* A message that cannot be answered ends the connection: what else would tell the asker? */
void dns_tcp_drop(struct dns_tcp_conn *c)
{
	if (c->pending)
		c->pending--;
	loop_timer_set(c->t->loop, &c->timer, 0, on_idle, c);
}

static bool has_room(const struct dns_tcp *t, uint32_t pid)
{
	const struct dns_tcp_conn *c;
	unsigned same = 0;

	DL_FOREACH(t->conns, c)
		same += c->client.pid == pid;
	return t->n < DNS_TCP_CONNS_MAX && same < DNS_TCP_CONNS_PER_PID;
}

void dns_tcp_accept(struct dns_tcp *t, int fd, const struct osh_dns_client *client)
{
	struct dns_tcp_conn *c = has_room(t, client->pid) ? calloc(1, sizeof(*c)) : NULL;
	int flags = fcntl(fd, F_GETFL);

	if (!c || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    loop_add(t->loop, &c->watch, fd, EPOLLIN, on_conn, c) < 0) {
		free(c);
		close(fd);
		return;
	}
	c->t = t;
	c->client = *client;
	DL_APPEND(t->conns, c);
	t->n++;
	busy(c);
}

int dns_tcp_new(struct loop *loop, const struct dns_tcp_handler *h, struct dns_tcp **ret)
{
	struct dns_tcp *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->h = *h;
	*ret = t;
	return 0;
}

struct dns_tcp *dns_tcp_free(struct dns_tcp *t)
{
	if (!t)
		return NULL;
	while (t->conns)
		conn_close(t->conns);
	free(t);
	return NULL;
}
