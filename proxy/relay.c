/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - flows whose bytes are not looked at, but for the server name of `tls: skip`.
 *
 * Life: (skip only: the ClientHello is collected and judged) -> upstream is resolved, checked and dialled ->
 * bytes both ways, each direction ending on its own, as TCP does -> both ended, or one broke: closed.
 *
 * With skip, what the server takes for the client's name must be what was judged.  A server may ask for a
 * second ClientHello (HelloRetryRequest, RFC 8446 section 4.1.4), so plain-text handshake records that follow
 * are watched until the connection is encrypted: a second hello must name the same host.  An encrypted hello
 * (ECH) hides the name that counts and is refused.
 */
#include "proxy/flow.h"
#include "proxy/buf.h"
#include "proxy/hello.h"

#include <sys/socket.h>

#define TURN_BYTES (1u << 20) /* of one direction in one turn, so that other flows have theirs */

struct direction {
	struct buf buf;
	bool eof;  /* nothing more will be read */
	bool shut; /* and the other side has been told */
};

struct relay {
	struct flow *f;
	struct upstream_wait *wait;
	struct upstream_conn *up;
	struct direction to_up, to_client;
	struct loop_timer again;
	bool hello_done; /* or not needed */
	bool watching;	 /* client records are still plain text */
	struct buf second; /* handshake records that may be a second hello */
	size_t watched;	 /* bytes at the head of to_up.buf that have been looked at */
	bool seen_ccs;
};

static void on_upstream_io(void *arg, bool hup);

/* -------------------------------------------------------------------------------------------- hello -- */

/* What a hello must be for a relayed flow; NULL: it is. */
static const char *hello_refusal(const struct flow *f, const struct hello *h)
{
	if (!h->tls12)
		return "TLS below 1.2";
	if (h->has_ech)
		return "encrypted ClientHello not allowed with tls: skip";
	if (h->has_early)
		return "early data not allowed with tls: skip";
	if (!h->has_sni)
		return f->literal ? NULL : "no server name";
	return strcmp(h->sni, f->host) == 0 ? NULL : "server name differs from the connection's host";
}

static void refuse(struct flow *f, const struct hello *h, const char *why)
{
	if (h->has_sni)
		flow_error(f, WD_ERROR, "TLS refused: %s (%s)", why, h->sni);
	else
		flow_error(f, WD_ERROR, "TLS refused: %s", why);
	flow_close(f, true);
}

/* One plain-text record after the hello.  false: refused and closed. */
static bool watch_record(struct relay *r, struct slice rec)
{
	struct slice body = {rec.p + 5, rec.n - 5};
	struct hello h;
	const char *why = NULL;

	if (rec.p[0] == 20 && body.n == 1 && !r->seen_ccs) {
		r->seen_ccs = true; /* in TLS 1.3 it means nothing; a second hello may follow it */
		return true;
	}
	if (rec.p[0] != 22) {
		r->watching = rec.p[0] == 21; /* application data: encrypted from here on */
		return true;
	}
	if (buf_len(&r->second) == 0 && (body.n == 0 || body.p[0] != 1 || (body.n > 1 && body.p[1] != 0))) {
		r->watching = false; /* TLS 1.2 goes on with its key exchange or Finished */
		return true;
	}
	if (buf_put_slice(&r->second, rec) < 0)
		return false;
	switch (hello_parse(buf_slice(&r->second), &h, &why)) {
	case HELLO_MORE:
		return true;
	case HELLO_OK:
		why = hello_refusal(r->f, &h);
		r->watching = false;
		buf_done(&r->second);
		break;
	case HELLO_BAD:
		break;
	}
	if (why)
		refuse(r->f, &h, why);
	return !why;
}

/* Looks at the records that have become complete.  Returns how many bytes at the head may go. */
static size_t watch(struct relay *r)
{
	struct slice all = buf_slice(&r->to_up.buf);
	size_t at = r->watched;

	while (r->watching && all.n - at >= 5) {
		size_t n = 5 + ((size_t)all.p[at + 3] << 8 | all.p[at + 4]);

		if (all.n - at < n)
			break;
		if (!watch_record(r, (struct slice){all.p + at, n}))
			return 0;
		at += n;
	}
	r->watched = at;
	return r->watching ? at : all.n;
}

/* ------------------------------------------------------------------------------------------- upstream -- */

static void on_upstream(void *arg, struct upstream_conn *c, const struct upstream_error *e)
{
	struct relay *r = arg;

	r->wait = NULL;
	if (!c) {
		flow_error(r->f, e->kind == UPSTREAM_SSRF ? WD_DENY : WD_ERROR, "%s", e->reason);
		flow_close(r->f, true);
		return;
	}
	r->up = c;
	c->s.fn = on_upstream_io;
	c->s.arg = r;
	on_upstream_io(r, false);
}

static bool address_allowed(void *arg, uint8_t family, const uint8_t addr[16], enum osh_addr_class *ret)
{
	struct relay *r = arg;

	return flow_address_allowed(r->f, family, addr, ret);
}

static int open_upstream(struct relay *r)
{
	struct upstream_target t;

	flow_target(r->f, false, &t);
	return upstream_open(r->f->px->upstream, &t, address_allowed, on_upstream, r, &r->wait);
}

/* Collects the hello.  true: done, the upstream is being opened. */
static bool read_hello(struct relay *r)
{
	struct flow *f = r->f;
	const char *why = NULL;
	struct hello h = {0};
	uint8_t *room = buf_room(&r->to_up.buf, 4096);
	ssize_t n = room ? stream_read(&f->client, room, 4096) : -ENOMEM;

	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		flow_close(f, n < 0);
		return false;
	}
	r->to_up.buf.w += (size_t)n;
	switch (hello_parse(buf_slice(&r->to_up.buf), &h, &why)) {
	case HELLO_MORE:
		return false;
	case HELLO_OK:
		why = hello_refusal(f, &h);
		break;
	case HELLO_BAD:
		break;
	}
	if (why) {
		refuse(f, &h, why);
		return false;
	}
	r->hello_done = r->watching = true;
	r->watched = h.used;
	loop_timer_stop(f->px->loop, &f->timer);
	if (open_upstream(r) < 0)
		flow_close(f, true);
	return true;
}

/* ----------------------------------------------------------------------------------------------- pump -- */

/* Moves bytes from one side to the other until nothing moves.  < 0: broken. */
static int pump(struct relay *r, struct direction *d, struct stream *from, struct stream *to)
{
	size_t moved = 0;

	for (;;) {
		struct slice s = buf_slice(&d->buf);
		bool watched = d == &r->to_up && r->watching;
		size_t may = watched ? watch(r) : s.n;
		bool progress = false;

		if (r->f->dead)
			return 0;
		if (may) {
			ssize_t n = stream_write(to, s.p, may);

			if (n < 0 && n != -EAGAIN)
				return (int)n;
			if (n > 0) {
				buf_take(&d->buf, (size_t)n);
				r->watched -= watched ? (size_t)n : 0;
				progress = true;
			}
		}
		if (!d->eof && buf_len(&d->buf) < BUF_CHUNK && moved < TURN_BYTES) {
			size_t room = BUF_CHUNK - buf_len(&d->buf);
			uint8_t *p = buf_room(&d->buf, room);
			ssize_t n = p ? stream_read(from, p, room) : -ENOMEM;

			if (n < 0 && n != -EAGAIN)
				return (int)n;
			d->eof = n == 0;
			if (d->eof && d == &r->to_up)
				r->watching = false; /* no hello can become complete any more */
			if (n > 0) {
				d->buf.w += (size_t)n;
				moved += (size_t)n;
			}
			progress = progress || n >= 0;
		}
		if (d->eof && !d->shut && buf_len(&d->buf) == 0) {
			stream_shutdown(to);
			d->shut = true;
		}
		if (!progress)
			break;
	}
	if (moved >= TURN_BYTES)
		loop_timer_set(r->f->px->loop, &r->again, 0, r->again.fn, r);
	buf_release(&d->buf);
	return 0;
}

/* Both directions, then what to wait for. */
static void pump_both(struct relay *r)
{
	struct direction *a = &r->to_up, *b = &r->to_client;
	struct flow *f = r->f;

	int n = pump(r, a, &f->client, &r->up->s);

	if (n == 0 && !f->dead) /* dead: a second hello was refused */
		n = pump(r, b, &r->up->s, &f->client);
	if (n < 0)
		flow_close(f, true);
	if (f->dead)
		return;
	if (a->shut && b->shut) {
		flow_close(f, false);
		return;
	}
	stream_want(&f->client, !a->eof && buf_len(&a->buf) < BUF_CHUNK, buf_len(&b->buf) > 0);
	stream_want(&r->up->s, !b->eof && buf_len(&b->buf) < BUF_CHUNK,
		    r->watching ? r->watched > 0 : buf_len(&a->buf) > 0);
}

static void on_again(struct loop_timer *t)
{
	pump_both(t->arg);
}

static void on_upstream_io(void *arg, bool hup)
{
	struct relay *r = arg;

	(void)hup; /* what is left to read, or the error, is found by reading */
	if (!r->f->dead)
		pump_both(r);
}

static void on_client_io(void *arg, bool hup)
{
	struct relay *r = arg;
	struct flow *f = r->f;

	if (f->dead)
		return;
	if (hup && !r->to_client.shut) { /* nobody is there to receive anything */
		flow_close(f, true);
		return;
	}
	if (!r->hello_done && !read_hello(r))
		return;
	if (r->up)
		pump_both(r);
	else if (!f->dead)
		stream_want(&f->client, false, false);
}

/* --------------------------------------------------------------------------------------------- handler -- */

static int relay_start(struct flow *f)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->f = f;
	r->again.fn = on_again;
	r->again.arg = r;
	r->hello_done = f->treat == FLOW_RELAYED;
	f->state = r;
	f->client.fn = on_client_io;
	f->client.arg = r;
	if (r->hello_done)
		return open_upstream(r);
	loop_timer_set(f->px->loop, &f->timer, f->px->limits->first_byte, f->timer.fn, f);
	return stream_want(&f->client, true, false);
}

static void relay_timeout(struct flow *f)
{
	flow_error(f, WD_ERROR, "TLS refused: no complete ClientHello in time");
	flow_close(f, true);
}

static bool relay_admitted(struct flow *f, struct image_view v)
{
	const struct relay *r = f->state;
	enum osh_addr_class class;

	(void)v;
	if (!r->up || flow_address_allowed(f, r->up->family, r->up->addr, &class))
		return true;
	flow_error(f, WD_DENY, "closed: address not allowed by the new policy");
	return false;
}

static bool relay_evictable(const struct flow *f)
{
	(void)f;
	return false; /* silence is no sign of idleness in a protocol that we do not read */
}

static void relay_close(struct flow *f)
{
	struct relay *r = f->state;

	upstream_cancel(steal_ptr(&r->wait));
	upstream_drop(steal_ptr(&r->up), !(r->to_up.shut && r->to_client.shut));
	loop_timer_stop(f->px->loop, &r->again);
}

static void relay_free(struct flow *f)
{
	struct relay *r = f->state;

	buf_done(&r->to_up.buf);
	buf_done(&r->to_client.buf);
	buf_done(&r->second);
	free(r);
}

const struct flow_handler relay_handler = {
	.name = "relay",
	.start = relay_start,
	.timeout = relay_timeout,
	.admitted = relay_admitted,
	.evictable = relay_evictable,
	.close = relay_close,
	.free = relay_free,
};
