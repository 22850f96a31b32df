/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_flow.c - HTTP/1.1 on an inspected flow: requests judged one by one, answers streamed back.
 *
 * Life of a connection:
 *
 *   X_HEAD      a request head is awaited and read          --(judged: deny)--> X_SKIP or X_LAST
 *   X_UPSTREAM  judged; the upstream connection is made     --(failed)--> X_SKIP or X_LAST
 *   X_OPEN      both directions run; ends when the answer is complete and the body went up --> X_HEAD or X_LAST
 *   X_SKIP      answered by us; the rest of the body is thrown away, within bounds --> X_HEAD or X_LAST
 *   X_LAST      the last bytes are written, our side is shut, the program's are thrown away --> closed
 *
 * No byte of a request goes up before its head has been judged, and what goes up is written anew from the parsed
 * form, body framing included; the next head is read only where the parsed body ended.  Bytes of an answer are
 * treated alike.  Each direction holds at most BUF_CHUNK bytes: who cannot write does not read.
 *
 * Nothing passes silently: an answer that upstream cut short is cut short for the program too.
 */
#include "proxy/buf.h"
#include "proxy/flow.h"
#include "proxy/http1.h"
#include "proxy/l7.h"

#define SKIP_MAX (64u << 10)  /* bytes of an unwanted body that are read to keep a connection */
#define TURNS 32	      /* rounds of BUF_CHUNK bytes before other flows have their turn */
#define INTERIM_MAX 16	      /* 1xx answers to one request */
#define RISKY_IDLE_MS 5000    /* a request that cannot be repeated takes no connection idle for longer */

enum state { X_HEAD, X_UPSTREAM, X_OPEN, X_SKIP, X_LAST };

/* One request and its answer. */
struct exchange {
	struct http1_head head;
	struct http1_body body;
	struct l7_request l7;
	struct request_decision rd;
	uint64_t gen; /* of rd: a swap may judge the flow anew while this goes on */
	bool decided;
	enum wire_decision decision;
	uint64_t start;
	bool keep; /* the program's connection can be used again */

	struct upstream_wait *wait;
	struct upstream_conn *up;
	struct buf up_in, up_out;
	bool up_eof, up_broken; /* broken: not a clean end */
	const char *up_alert;	/* and this was TLS's word, which comes after the handshake where a certificate is wanted */
	bool body_dropped;	/* upstream takes no more of the body */
	bool retried;

	struct http1_head resp;
	struct http1_body resp_body;
	enum http1_framing framing; /* of the answer, to the program */
	bool resp_begun, resp_done;
	unsigned interim;

	unsigned status;
	uint64_t bytes_up, bytes_down;
};

struct http1_flow {
	struct flow *f;
	enum state state;
	struct buf in, out; /* of the program */
	bool eof;	    /* the program has ended its direction */
	bool shut;	    /* we have ended ours */
	bool cut;	    /* X_LAST: end without a proper end */
	bool cut_reset;
	size_t skipped;
	struct exchange *ex; /* X_HEAD: only while a head is being read */
	struct loop_timer again;
	int phase; /* what the flow's timer stands for */
};

static void pump(struct http1_flow *x);
static void pump_later(struct http1_flow *x);

/* ------------------------------------------------------------------------------------------ exchange -- */

static void upstream_done(struct exchange *ex, bool reusable, bool reset)
{
	upstream_cancel(steal_ptr(&ex->wait));
	if (ex->up && reusable)
		upstream_put(steal_ptr(&ex->up), true);
	else
		upstream_drop(steal_ptr(&ex->up), reset);
	buf_done(&ex->up_in);
	buf_done(&ex->up_out);
}

static void exchange_free(struct exchange *ex)
{
	if (!ex)
		return;
	upstream_done(ex, false, true);
	http1_head_done(&ex->head);
	http1_head_done(&ex->resp);
	l7_request_done(&ex->l7);
	free(ex);
}

static struct exchange *exchange_new(const struct http1_flow *x)
{
	struct exchange *ex = calloc(1, sizeof(*ex));

	if (!ex)
		return NULL;
	http1_head_init(&ex->head, false);
	http1_head_init(&ex->resp, true);
	ex->start = loop_now(x->f->px->loop);
	return ex;
}

static void send_event(struct http1_flow *x, enum wire_decision d, const char *reason)
{
	struct exchange *ex = x->ex;
	struct proxy *px = x->f->px;
	struct wire_event e;

	l7_event(x->f, d, ex ? &ex->l7 : NULL, ex && ex->decided ? &ex->rd : NULL, &e);
	WIRE_PUT(&e, reason, slice_str(reason));
	if (ex && ex->decided)
		e.gen = ex->gen;
	if (ex) {
		if (!ex->l7.judged && ex->head.target.n)
			WIRE_PUT(&e, target, http1_slice(&ex->head, ex->head.target));
		if (!ex->l7.judged && ex->head.method.n)
			WIRE_PUT(&e, method, http1_slice(&ex->head, ex->head.method));
		flow_event_dialled(&e, ex->up);
		e.status = ex->status;
		e.bytes_up = ex->bytes_up;
		e.bytes_down = ex->bytes_down;
		e.duration_ns = loop_now(px->loop) - ex->start;
	}
	px->ops->event(px, &e);
}

/* The one event of a request that was let through. */
static void send_outcome(struct http1_flow *x, const char *note)
{
	struct exchange *ex = x->ex;
	char detail[WIRE_TEXT_MAX];

	if (ex->decision == WD_AUDIT) {
		l7_detail(&ex->l7, &ex->rd, detail, sizeof(detail));
		send_event(x, WD_AUDIT, detail);
	} else {
		send_event(x, WD_ALLOW, note);
	}
}

/* The request was let through, and what came of it is not logged yet. */
static bool under_way(const struct http1_flow *x)
{
	return x->ex && (x->state == X_UPSTREAM || x->state == X_OPEN);
}

/* The connection ends at once, whatever was going on. */
static void drop(struct http1_flow *x, const char *note)
{
	if (under_way(x))
		send_outcome(x, note);
	flow_close(x->f, true);
}

static void to_last(struct http1_flow *x)
{
	exchange_free(steal_ptr(&x->ex));
	x->state = X_LAST;
}

static void next_request(struct http1_flow *x, bool keep)
{
	if (!keep) {
		to_last(x);
		return;
	}
	exchange_free(steal_ptr(&x->ex));
	x->state = X_HEAD;
}

/* Upstream failed when an answer had begun, or the program is gone: there is no proper end any more. */
static void cut(struct http1_flow *x, const char *note)
{
	x->cut = true;
	x->cut_reset = x->ex->framing == HTTP1_UNTIL_CLOSE && x->ex->resp_begun;
	send_outcome(x, note);
	to_last(x);
}

/* ------------------------------------------------------------------------------------------ refusing -- */

static bool body_can_be_skipped(const struct exchange *ex)
{
	if (!ex->head.keep_alive || ex->head.expect_continue || ex->body.error != HTTP1_OK)
		return false; /* whether a body follows a refused Expect is the program's choice */
	return ex->body.framing != HTTP1_LENGTH || ex->body.left <= SKIP_MAX;
}

/* Answers instead of upstream.  complete: the head was read, so that we know where the next one begins. */
static void refuse(struct http1_flow *x, const struct l7_refusal *why, bool complete)
{
	struct exchange *ex = x->ex;
	struct l7_answer a = {
		.refusal = why,
		.q = &ex->l7,
		.rd = ex->decided ? &ex->rd : NULL,
		.gen = ex->gen,
		.keep_alive = complete && body_can_be_skipped(ex) && !x->eof,
		.head_only = slice_eq_str(http1_slice(&ex->head, ex->head.method), "HEAD"),
		.client_minor = ex->head.minor,
	};

	ex->status = why->status;
	if (ex->decided && ex->decision == WD_AUDIT && why->error != L7_POLICY_DENIED)
		send_outcome(x, why->detail);
	else
		send_event(x, l7_decision(why->error), why->detail);
	upstream_done(ex, false, true);
	if (l7_answer(x->f, &a, &x->out) < 0 || !a.keep_alive) {
		to_last(x);
		return;
	}
	x->skipped = 0;
	x->state = X_SKIP;
}

static void refuse_text(struct http1_flow *x, enum l7_error e, unsigned status, const char *text, bool complete)
{
	struct l7_refusal r;

	l7_refuse(&r, e, "%s", text);
	if (status)
		r.status = status;
	refuse(x, &r, complete);
}

static void refuse_syntax(struct http1_flow *x, enum http1_error e)
{
	unsigned status = http1_error_status(e);

	refuse_text(x, status == 414 || status == 431 ? L7_TOO_LARGE : L7_BAD_REQUEST, status,
		    http1_error_text(e), false);
}

/* Upstream's answer could not be used. */
static void bad_answer(struct http1_flow *x, const char *what)
{
	char text[WIRE_TEXT_MAX];

	if (x->ex->resp_begun) {
		cut(x, what);
		return;
	}
	snprintf(text, sizeof(text), "bad answer from upstream: %s", what);
	refuse_text(x, L7_UNREACHABLE, 0, text, true);
}

/* ------------------------------------------------------------------------------------------ upstream -- */

static bool is_idempotent(const struct exchange *ex)
{
	static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(ex->l7.method, methods[i]) == 0)
			return true;
	return false;
}

/* Nothing of the request can have had an effect: sent again, it is the same request. */
static bool replayable(const struct exchange *ex)
{
	return ex->bytes_up == 0 && (is_idempotent(ex) || !ex->body.done);
}

/* Authentication that belongs to a connection (RFC 4559) must not be inherited by another program. */
static bool is_bound(struct slice v)
{
	static const char *const schemes[] = {"negotiate", "ntlm"};

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (v.n >= n && http1_name_is((struct slice){v.p, n}, schemes[i]))
			return true;
	}
	return false;
}

static bool poolable(const struct exchange *ex)
{
	return ex->resp.keep_alive && !ex->up_eof && buf_len(&ex->up_in) == 0 && buf_len(&ex->up_out) == 0 &&
	       ex->body.done && !ex->body_dropped && !is_bound(http1_field(&ex->head, "authorization")) &&
	       !is_bound(http1_field(&ex->resp, "www-authenticate"));
}

static void on_upstream_io(void *arg, bool hup)
{
	struct http1_flow *x = arg;

	(void)hup; /* found by reading */
	pump(x);
}

static int attach(struct http1_flow *x, struct upstream_conn *c)
{
	struct exchange *ex = x->ex;
	char host[OSH_NAME_MAX + 16];
	struct http1_request_out o = {
		.path = {(const uint8_t *)ex->l7.target.path, ex->l7.target.path_n},
		.query = ex->l7.target.query,
		.host = host,
	};

	ex->up = c;
	c->s.fn = on_upstream_io;
	c->s.arg = x;
	x->state = X_OPEN;
	l7_host_field(x->f, ex->head.host, host, sizeof(host));
	return http1_write_request(&ex->up_out, &ex->head, &o);
}

static void on_upstream_open(void *arg, struct upstream_conn *c, const struct upstream_error *e)
{
	struct http1_flow *x = arg;
	struct exchange *ex = x->ex;

	ex->wait = NULL;
	if (!c)
		refuse_text(x, l7_upstream_error(e->kind), 0, e->reason, true);
	else if (attach(x, c) < 0)
		refuse_text(x, L7_UNREACHABLE, 503, "out of memory", false);
	pump(x);
}

static bool address_allowed(void *arg, uint8_t family, const uint8_t addr[16], enum osh_addr_class *ret)
{
	struct http1_flow *x = arg;

	return flow_address_allowed(x->f, family, addr, ret);
}

static void open_new(struct http1_flow *x)
{
	struct upstream_target t;
	int r;

	flow_target(x->f, x->f->tls, &t);
	x->state = X_UPSTREAM;
	r = upstream_open(x->f->px->upstream, &t, address_allowed, on_upstream_open, x, &x->ex->wait);
	if (r < 0)
		refuse_text(x, L7_UNREACHABLE, 503, strerror(-r), true);
}

static void open_upstream(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	struct proxy *px = x->f->px;
	struct upstream_target t;
	struct upstream_conn *c;

	flow_target(x->f, x->f->tls, &t);
	c = upstream_take(px->upstream, &t, is_idempotent(ex) ? px->limits->pool_idle : RISKY_IDLE_MS,
			  address_allowed, x);
	if (!c)
		open_new(x);
	else if (attach(x, c) < 0)
		refuse_text(x, L7_UNREACHABLE, 503, "out of memory", false);
}

/* The connection ended before an answer began. */
static void no_answer(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	struct l7_refusal why;

	if (ex->up->reused && !ex->retried && replayable(ex)) {
		upstream_done(ex, false, true);
		ex->up_eof = ex->up_broken = ex->body_dropped = false;
		ex->up_alert = NULL;
		ex->retried = true;
		open_new(x);
		return;
	}
	if (!ex->up_alert) {
		bad_answer(x, "connection closed before an answer");
		return;
	}
	l7_refuse(&why, L7_TLS, "TLS with %s: %s", x->f->host, ex->up_alert);
	refuse(x, &why, true);
}

/* ------------------------------------------------------------------------------------------- request -- */

/* A head is complete: one view, one decision. */
static void judge(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	struct http1_head *h = &ex->head;
	enum http1_error he = http1_request_meaning(h);
	struct l7_refusal why;
	struct image_view v;

	if (!flow_current(x->f, &v))
		return;
	if (he != HTTP1_OK) {
		refuse_syntax(x, he);
		return;
	}
	http1_body_init(&ex->body, h->framing, h->length);
	if (l7_read_target(x->f, v, http1_slice(h, h->method), http1_slice(h, h->target), h->host, &ex->l7,
			   &why) != L7_OK) {
		refuse(x, &why, true);
		return;
	}
	ex->decided = true;
	ex->gen = v.gen;
	ex->decision = WD_DENY;
	if (l7_judge(x->f, v, &ex->l7, &ex->rd, &why) != L7_OK) {
		refuse(x, &why, true);
		return;
	}
	ex->decision = ex->rd.verdict == REQUEST_AUDIT ? WD_AUDIT : WD_ALLOW;
	open_upstream(x);
}

static bool step_head(struct http1_flow *x)
{
	size_t used;
	enum http1_result r;

	if (buf_len(&x->out) >= BUF_CHUNK)
		return false; /* the program sends requests but does not read answers */
	if (buf_len(&x->in) == 0) {
		if (x->eof)
			to_last(x);
		return x->eof;
	}
	if (!x->ex)
		x->ex = exchange_new(x);
	if (!x->ex) {
		to_last(x);
		return true;
	}
	r = http1_head_feed(&x->ex->head, buf_slice(&x->in), &used);
	buf_take(&x->in, used);
	if (r == HTTP1_BAD)
		refuse_syntax(x, x->ex->head.error);
	else if (r == HTTP1_DONE)
		judge(x);
	return true;
}

/* How much content may be added, with the framing that it brings; 0: wait. */
static size_t room_in(const struct buf *b)
{
	size_t taken = buf_len(b) + 2 * HTTP1_CHUNK_OVERHEAD;

	return taken < BUF_CHUNK ? BUF_CHUNK - taken : 0;
}

static int put_content(struct buf *b, enum http1_framing framing, struct slice data)
{
	if (data.n == 0)
		return 0;
	return framing == HTTP1_CHUNKED ? http1_write_chunk(b, data) : buf_put_slice(b, data);
}

/* Body of the program to upstream. */
static bool step_body(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	struct slice data;
	size_t used;
	int r = 0;

	if (ex->body.done || room_in(&ex->up_out) == 0)
		return false;
	if (buf_len(&x->in) == 0) {
		if (x->eof)
			cut(x, "program closed before the end of its request");
		return x->eof;
	}
	used = http1_body_feed(&ex->body, buf_slice(&x->in), room_in(&ex->up_out), &data);
	ex->bytes_up += data.n;
	if (!ex->body_dropped)
		r = put_content(&ex->up_out, ex->body.framing, data);
	if (r == 0 && ex->body.done && ex->body.framing == HTTP1_CHUNKED && !ex->body_dropped)
		r = http1_write_last_chunk(&ex->up_out);
	buf_take(&x->in, used);
	if (r < 0) {
		cut(x, "out of memory");
	} else if (ex->body.error != HTTP1_OK) {
		if (ex->resp_begun)
			cut(x, http1_error_text(ex->body.error));
		else
			refuse_syntax(x, ex->body.error);
	}
	return used > 0;
}

static bool step_skip(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	struct slice data;
	size_t used;

	if (ex->body.done) {
		next_request(x, true);
		return true;
	}
	if (buf_len(&x->in) == 0) {
		if (x->eof)
			to_last(x);
		return x->eof;
	}
	used = http1_body_feed(&ex->body, buf_slice(&x->in), SIZE_MAX, &data);
	buf_take(&x->in, used);
	x->skipped += used;
	if (ex->body.error != HTTP1_OK || x->skipped > SKIP_MAX)
		to_last(x);
	return used > 0;
}

static bool wants_client(const struct http1_flow *x)
{
	if (x->eof || buf_len(&x->in) >= BUF_CHUNK)
		return false;
	switch (x->state) {
	case X_HEAD:
		return buf_len(&x->out) < BUF_CHUNK;
	case X_OPEN:
		return !x->ex->body.done;
	case X_SKIP:
		return true;
	case X_LAST:
		return x->shut;
	default:
		return false;
	}
}

static bool read_client(struct http1_flow *x)
{
	size_t room = BUF_CHUNK - buf_len(&x->in);
	uint8_t *p;
	ssize_t n;

	if (!wants_client(x))
		return false;
	p = buf_room(&x->in, room);
	n = p ? stream_read(&x->f->client, p, room) : -ENOMEM;
	if (n == -EAGAIN)
		return false;
	if (n == 0 || n == -ENODATA) {
		x->eof = true;
		return true;
	}
	if (n < 0) {
		drop(x, "program closed the connection");
		return false;
	}
	x->in.w += (size_t)n;
	if (x->state == X_LAST)
		buf_take(&x->in, (size_t)n);
	return true;
}

/* -------------------------------------------------------------------------------------------- answer -- */

static bool write_upstream(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	struct slice s = buf_slice(&ex->up_out);
	ssize_t n;

	if (s.n == 0)
		return false;
	n = stream_write(&ex->up->s, s.p, s.n);
	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		/* It may have answered before it closed (413, say): what it said is still to be read. */
		ex->body_dropped = true;
		n = (ssize_t)s.n;
	}
	buf_take(&ex->up_out, (size_t)n);
	return true;
}

static bool read_upstream(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	size_t room = BUF_CHUNK - buf_len(&ex->up_in);
	uint8_t *p;
	ssize_t n;

	if (ex->up_eof || ex->resp_done || buf_len(&ex->up_in) >= BUF_CHUNK)
		return false;
	p = buf_room(&ex->up_in, room);
	n = p ? stream_read(&ex->up->s, p, room) : -ENOMEM;
	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		ex->up_eof = true;
		ex->up_broken = n < 0;
		ex->up_alert = n == -EPROTO ? stream_tls_error() : NULL;
	} else {
		ex->up_in.w += (size_t)n;
	}
	return true;
}

static void begin_answer(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	struct http1_head *h = &ex->resp;
	struct http1_response_out o = {.client_minor = ex->head.minor};

	ex->framing = h->framing;
	if (h->framing == HTTP1_UNTIL_CLOSE || h->framing == HTTP1_CHUNKED)
		ex->framing = ex->head.minor == 1 ? HTTP1_CHUNKED : HTTP1_UNTIL_CLOSE;
	ex->keep = ex->head.keep_alive && ex->framing != HTTP1_UNTIL_CLOSE;
	if (ex->head.expect_continue && !ex->body.done && ex->bytes_up == 0) {
		/* Answered without 100: whether the body still comes is the program's choice, so what
		 * follows cannot be told from it. */
		ex->keep = false;
		ex->body_dropped = true;
	}
	o.framing = ex->framing;
	o.keep_alive = ex->keep;
	http1_body_init(&ex->resp_body, h->framing, h->length);
	ex->status = h->status;
	ex->resp_begun = true;
	if (http1_write_response(&x->out, h, &o) < 0)
		cut(x, "out of memory");
}

/* 100 goes to who asked for it, others to who can understand them; none ends the exchange. */
static void interim_answer(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	struct http1_response_out o = {.client_minor = ex->head.minor};

	if (++ex->interim > INTERIM_MAX) {
		bad_answer(x, "too many interim answers");
		return;
	}
	if (ex->head.minor == 1 && (ex->resp.status != 100 || ex->head.expect_continue))
		(void)http1_write_response(&x->out, &ex->resp, &o);
	http1_head_done(&ex->resp);
	http1_head_init(&ex->resp, true);
}

static bool step_answer_head(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	enum http1_result r;
	size_t used;

	if (buf_len(&ex->up_in) == 0) {
		if (!ex->up_eof)
			return false;
		if (http1_head_empty(&ex->resp) && ex->interim == 0)
			no_answer(x);
		else
			bad_answer(x, "connection closed within the head");
		return true;
	}
	r = http1_head_feed(&ex->resp, buf_slice(&ex->up_in), &used);
	buf_take(&ex->up_in, used);
	if (r == HTTP1_MORE)
		return true;
	if (r == HTTP1_DONE)
		ex->resp.error = http1_response_meaning(&ex->resp, strcmp(ex->l7.method, "HEAD") == 0);
	if (ex->resp.error != HTTP1_OK)
		bad_answer(x, http1_error_text(ex->resp.error));
	else if (ex->resp.status < 200)
		interim_answer(x);
	else
		begin_answer(x);
	return true;
}

static void end_answer(struct http1_flow *x)
{
	struct exchange *ex = x->ex;

	if (ex->framing == HTTP1_CHUNKED && http1_write_last_chunk(&x->out) < 0) {
		cut(x, "out of memory");
		return;
	}
	ex->resp_done = true;
}

/* Many small chunks are gathered into one write. */
static void stream_answer(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	size_t used;
	int r = 0;

	do {
		struct slice data;

		used = http1_body_feed(&ex->resp_body, buf_slice(&ex->up_in), room_in(&x->out), &data);
		ex->bytes_down += data.n;
		r = put_content(&x->out, ex->framing, data);
		buf_take(&ex->up_in, used);
	} while (r == 0 && used && ex->resp_body.error == HTTP1_OK && buf_len(&ex->up_in) && room_in(&x->out));
	if (r < 0)
		cut(x, "out of memory");
	else if (ex->resp_body.error != HTTP1_OK)
		bad_answer(x, http1_error_text(ex->resp_body.error));
}

static bool step_answer_body(struct http1_flow *x)
{
	struct exchange *ex = x->ex;

	if (ex->resp_body.done) {
		end_answer(x);
		return true;
	}
	if (buf_len(&ex->up_in) == 0) {
		if (!ex->up_eof)
			return false;
		if (ex->resp_body.framing == HTTP1_UNTIL_CLOSE && !ex->up_broken)
			end_answer(x);
		else
			cut(x, "upstream closed before the end of its answer");
		return true;
	}
	if (room_in(&x->out) == 0)
		return false;
	stream_answer(x);
	return true;
}

/* The answer is complete; so is the exchange when the body has gone up, or will not. */
static bool step_end(struct http1_flow *x)
{
	struct exchange *ex = x->ex;
	bool whole = ex->body.done && !ex->body_dropped;

	if (!ex->resp_done)
		return false;
	if (!ex->body_dropped && (!ex->body.done || buf_len(&ex->up_out)))
		return false; /* a server may answer early and still read on: let the program finish */
	send_outcome(x, "");
	upstream_done(ex, poolable(ex), false);
	next_request(x, ex->keep && whole);
	return true;
}

static bool step_open(struct http1_flow *x)
{
	bool more = step_body(x);

	if (x->state == X_OPEN)
		more |= write_upstream(x);
	if (x->state == X_OPEN)
		more |= read_upstream(x);
	/* Head and what is there of the body leave in one write. */
	while (x->state == X_OPEN && !x->ex->resp_done &&
	       (x->ex->resp_begun ? step_answer_body(x) : step_answer_head(x)))
		more = true;
	if (x->state == X_OPEN)
		more |= step_end(x);
	return more;
}

/* -------------------------------------------------------------------------------------------- the end -- */

static bool write_client(struct http1_flow *x)
{
	struct slice s = buf_slice(&x->out);
	ssize_t n;

	if (s.n == 0)
		return false;
	n = stream_write(&x->f->client, s.p, s.n);
	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		drop(x, "program closed the connection");
		return false;
	}
	buf_take(&x->out, (size_t)n);
	return true;
}

static bool step_last(struct http1_flow *x)
{
	if (buf_len(&x->out))
		return false;
	if (x->cut_reset || (x->shut && x->eof)) {
		flow_close(x->f, x->cut_reset);
		return false;
	}
	if (x->shut)
		return false;
	buf_take(&x->in, buf_len(&x->in));
	if (x->cut)
		x->f->client.broken = true; /* no close_notify: the end is not a proper one */
	stream_shutdown(&x->f->client);
	x->shut = true;
	return true;
}

/* ---------------------------------------------------------------------------------------------- timer -- */

enum { P_NONE, P_IDLE, P_HEAD, P_UPSTREAM, P_OPEN, P_TAIL, P_SKIP, P_FLUSH, P_LINGER };

static int phase_of(const struct http1_flow *x)
{
	switch (x->state) {
	case X_HEAD:
		return x->ex ? P_HEAD : P_IDLE;
	case X_UPSTREAM:
		return P_UPSTREAM;
	case X_OPEN:
		return x->ex->resp_done ? P_TAIL : P_OPEN;
	case X_SKIP:
		return P_SKIP;
	case X_LAST:
		return x->shut ? P_LINGER : P_FLUSH;
	}
	return P_NONE;
}

/* Some limits count from the last byte, others from when the phase began. */
static void arm(struct http1_flow *x, bool progress)
{
	const struct proxy_limits *l = x->f->px->limits;
	const struct {
		uint32_t ms;
		bool renews;
	} limits[] = {
		[P_IDLE] = {l->idle, true},   [P_HEAD] = {l->head, false}, [P_OPEN] = {l->stall, true},
		[P_TAIL] = {l->skip, true},   [P_SKIP] = {l->skip, false}, [P_FLUSH] = {l->stall, true},
		[P_LINGER] = {l->linger, false},
	};
	int phase = phase_of(x);

	if (phase == x->phase && !(progress && limits[phase].renews))
		return;
	x->phase = phase;
	if (phase == P_UPSTREAM || phase == P_NONE)
		loop_timer_stop(x->f->px->loop, &x->f->timer); /* upstream.c has its own limits */
	else
		loop_timer_set(x->f->px->loop, &x->f->timer, limits[phase].ms, x->f->timer.fn, x->f);
}

static void stalled(struct http1_flow *x)
{
	struct exchange *ex = x->ex;

	if (ex->resp_begun)
		cut(x, "answer stalled");
	else if (!ex->body.done && buf_len(&ex->up_out) == 0)
		refuse_text(x, L7_BAD_REQUEST, 408, "request body timed out", false);
	else
		refuse_text(x, L7_TIMEOUT, 0, "no answer in time", true);
}

static void http1_timeout(struct flow *f)
{
	struct http1_flow *x = f->state;

	switch (x->phase) {
	case P_IDLE:
		to_last(x);
		break;
	case P_HEAD:
		refuse_text(x, L7_BAD_REQUEST, 408, "request head timed out", false);
		break;
	case P_OPEN:
		stalled(x);
		break;
	case P_TAIL:
		send_outcome(x, "program did not send the rest of its request");
		to_last(x);
		break;
	case P_SKIP:
		to_last(x);
		break;
	default:
		flow_close(f, x->phase == P_FLUSH);
		return;
	}
	pump(x);
}

/* ----------------------------------------------------------------------------------------------- pump -- */

static bool turn(struct http1_flow *x)
{
	bool more = read_client(x);

	if (x->f->dead)
		return false;
	switch (x->state) {
	case X_HEAD:
		more |= step_head(x);
		break;
	case X_OPEN:
		more |= step_open(x);
		break;
	case X_SKIP:
		more |= step_skip(x);
		break;
	case X_UPSTREAM:
	case X_LAST:
		break;
	}
	if (!x->f->dead)
		more |= write_client(x);
	if (!x->f->dead && x->state == X_LAST)
		more |= step_last(x);
	return more;
}

static void want(struct http1_flow *x)
{
	struct exchange *ex = x->ex;

	if (stream_want(&x->f->client, wants_client(x), buf_len(&x->out) > 0) < 0)
		drop(x, "out of memory");
	else if (ex && ex->up)
		stream_want(&ex->up->s, !ex->up_eof && !ex->resp_done && buf_len(&ex->up_in) < BUF_CHUNK,
			    buf_len(&ex->up_out) > 0);
}

static void pump(struct http1_flow *x)
{
	bool more, progress = false;
	int n = 0;

	if (x->f->dead)
		return;
	do {
		more = turn(x);
		progress |= more;
		if (x->f->dead)
			return;
	} while (more && ++n < TURNS);
	buf_release(&x->in);
	buf_release(&x->out);
	if (x->ex) {
		buf_release(&x->ex->up_in);
		buf_release(&x->ex->up_out);
	}
	arm(x, progress);
	want(x);
	if (more && !x->f->dead)
		pump_later(x);
}

static void on_again(struct loop_timer *t)
{
	pump(t->arg);
}

static void pump_later(struct http1_flow *x)
{
	loop_timer_set(x->f->px->loop, &x->again, 0, on_again, x);
}

static void on_client_io(void *arg, bool hup)
{
	struct http1_flow *x = arg;

	if (x->f->dead)
		return;
	if (hup) { /* both directions are gone while we wait for upstream */
		drop(x, "program closed the connection");
		return;
	}
	pump(x);
}

/* -------------------------------------------------------------------------------------------- handler -- */

static int http1_start(struct flow *f)
{
	struct http1_flow *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->f = f;
	x->again.fn = on_again;
	x->again.arg = x;
	f->state = x;
	f->client.fn = on_client_io;
	f->client.arg = x;
	pump(x);
	return 0;
}

/* The new policy closes what the old one has let through: the log shall have that, by the old one's rule, before it says
 * what the new one denies. */
static void http1_interrupted(struct flow *f)
{
	struct http1_flow *x = f->state;

	if (!under_way(x))
		return;
	send_outcome(x, "closed by a policy change");
	/* Told once. */
	x->ex->status = 0;
	x->ex->bytes_up = x->ex->bytes_down = 0;
}

/* The request in progress, under the new policy. */
static bool http1_admitted(struct flow *f, struct image_view v)
{
	struct http1_flow *x = f->state;
	struct exchange *ex = x->ex;
	struct request_decision rd;
	struct l7_refusal why;
	enum osh_addr_class class;
	const char *refused = NULL;

	/* A server may answer early and read on: the rest of the body is still on its way. */
	if (!under_way(x) || (ex->resp_done && ex->body.done))
		return true;
	if (l7_judge(f, v, &ex->l7, &rd, &why) != L7_OK)
		refused = why.detail;
	else if (ex->up && !flow_address_allowed(f, ex->up->family, ex->up->addr, &class))
		refused = "closed: address not allowed by the new policy";
	if (refused)
		http1_interrupted(f);
	/* From here on the new policy decides, and the log shall say by which rule of that. */
	ex->rd = rd;
	ex->gen = v.gen;
	if (refused) {
		send_event(x, WD_DENY, refused);
		return false;
	}
	ex->decision = rd.verdict == REQUEST_AUDIT ? WD_AUDIT : WD_ALLOW;
	return true;
}

static bool http1_evictable(const struct flow *f)
{
	const struct http1_flow *x = f->state;

	return x->state == X_LAST || (x->state == X_HEAD && !x->ex);
}

static void http1_close(struct flow *f)
{
	struct http1_flow *x = f->state;

	loop_timer_stop(f->px->loop, &x->again);
	if (x->ex)
		upstream_done(x->ex, false, true);
}

static void http1_free(struct flow *f)
{
	struct http1_flow *x = f->state;

	exchange_free(x->ex);
	buf_done(&x->in);
	buf_done(&x->out);
	free(x);
}

const struct flow_handler http1_handler = {
	.name = "http/1.1",
	.start = http1_start,
	.timeout = http1_timeout,
	.admitted = http1_admitted,
	.interrupted = http1_interrupted,
	.evictable = http1_evictable,
	.close = http1_close,
	.free = http1_free,
};
