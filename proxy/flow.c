/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.c - accepting, judging, and ending connections of sandboxed programs; see flow.h.
 *
 * The kernel has admitted the connection, but the policy may have changed on the way, so the record is only
 * the question: who and whereto.  The answer is always computed here under the current view.  Nothing of the
 * client is read before that.
 */
#include "proxy/flow.h"

#include "proxy/address.h"

#include <ctype.h>
#include <malloc.h>
#include <stdarg.h>
#include <sys/socket.h>

#define ACCEPT_BATCH 64
#define ACCEPT_PAUSE_MS 100
#define TRIM_MS 5000 /* after a flow has ended, at most so often: memory goes back to the system */

const struct proxy_limits proxy_limits_default = {
	.max_flows = 4096,
	.first_byte = 30000,
	.handshake = 15000,
	.head = 30000,
	.idle = 120000,
	.connect = 8000,
	.tls = 15000,
	.stall = 900000, /* a language model may think for minutes before its first byte */
	.linger = 3000,
	.skip = 10000,
	.pool_idle = 30000,
};

TAILQ_HEAD(flow_list, flow);

struct listener {
	struct flows *fs;
	struct loop_watch watch;
	int fd;
};

struct flows {
	struct proxy *px;
	struct listener listeners[2];
	struct flow_list all, dead;
	size_t n;
	struct loop_timer bury, resume, trim;
};

/* -------------------------------------------------------------------------------------------- events -- */

void wire_put(char *to, uint16_t *to_n, size_t max, struct slice s)
{
	size_t n = s.n < max ? s.n : max;

	if (n)
		memcpy(to, s.p, n);
	*to_n = (uint16_t)n;
}

void flow_event_init(const struct flow *f, enum wire_decision d, struct wire_event *e)
{
	memset(e, 0, sizeof(*e));
	e->m.type = WIRE_EVENT;
	e->m.size = sizeof(*e);
	e->time = loop_now(f->px->loop);
	e->gen = f->gen;
	e->pid = f->rec.pid;
	e->uid = f->rec.uid;
	e->decision = d;
	e->block = f->cd.block;
	e->id = f->rec.id;
	e->dst = f->rec.dst;
	if (!f->literal) { /* the address of a name is known when one was dialled */
		e->dst.family = 0;
		memset(e->dst.addr, 0, sizeof(e->dst.addr));
	}
	WIRE_PUT(e, host, slice_str(f->host));
}

void flow_event_dialled(struct wire_event *e, const struct upstream_conn *c)
{
	if (!c)
		return;
	e->dst.family = c->family;
	memcpy(e->dst.addr, c->addr, sizeof(e->dst.addr));
}

void flow_error(const struct flow *f, enum wire_decision d, const char *fmt, ...)
{
	char text[WIRE_TEXT_MAX];
	struct wire_event e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	flow_event_init(f, d, &e);
	WIRE_PUT(&e, reason, slice_str(text));
	f->px->ops->event(f->px, &e);
}

static void deny_event(const struct flow *f)
{
	if (f->gen && f->cd.reason == OSH_R_BINARY) {
		const char *name = NULL;
		struct image_view v = images_of(f->px->images, f->gen); /* not of whatever is in force by now */

		if (v.gen)
			name = image_block_name(v.img, f->cd.block);
		flow_error(f, WD_DENY, "binary not in policy %s", name ? name : "");
		return;
	}
	flow_error(f, WD_DENY, "%s", f->gen ? "no matching network policy" : "no policy loaded");
}

/* ------------------------------------------------------------------------------------------ judgement -- */

/* Decides the flow under the view.  false: denied. */
static bool decide(struct flow *f, struct image_view v)
{
	struct block_bits who;

	f->gen = v.gen;
	memset(&f->cd, 0, sizeof(f->cd));
	f->cd.block = ~0u;
	if (v.gen == 0)
		return false;
	images_ident_bits(f->px->images, v, &f->rec.id, &who);
	image_decide_connect(v.img, &who, &f->dest, &f->cd);
	return f->cd.verdict != CONNECT_DENY;
}

static enum flow_treat treatment(const struct flow *f, struct image_view v)
{
	if (f->cd.verdict == CONNECT_NATIVE)
		return FLOW_RELAYED;
	return image_flow_treatment(v.img, &f->cd) == FLOW_SKIP ? FLOW_SKIPPED : FLOW_INSPECTED;
}

/* What the view says of a flow that is under way; an answer is kept for its generation. */
static enum standing refresh(struct flow *f, struct image_view v)
{
	if (v.gen != 0 && v.gen == f->gen)
		return f->standing;
	if (!decide(f, v))
		f->standing = STANDING_DENIED;
	else
		f->standing = treatment(f, v) <= f->treat ? STANDING_ADMITTED : STANDING_CHANGED;
	return f->standing;
}

static void standing_event(const struct flow *f)
{
	if (f->standing == STANDING_DENIED)
		deny_event(f);
	else
		flow_error(f, WD_ERROR, "closed: the new policy looks inside this connection");
}

bool flow_current(struct flow *f, struct image_view *ret)
{
	*ret = images_current(f->px->images);
	if (refresh(f, *ret) == STANDING_ADMITTED)
		return true;
	standing_event(f);
	flow_close(f, true);
	return false;
}

bool flow_address_allowed(void *arg, uint8_t family, const uint8_t addr[16], enum osh_addr_class *ret)
{
	struct flow *f = arg;
	struct image_view v = images_current(f->px->images);

	*ret = OSH_ADDR_RESERVED;
	if (refresh(f, v) != STANDING_ADMITTED)
		return false;
	return image_address_allowed(v.img, &f->cd.blocks, f->dest.host, f->dest.port, family, addr, ret);
}

void flow_target(const struct flow *f, bool tls, struct upstream_target *ret)
{
	*ret = (struct upstream_target){
		.host = f->host, .port = f->dest.port, .tls = tls, .gen = f->gen};
	if (f->literal) {
		ret->family = f->dest.family;
		memcpy(ret->addr, f->dest.addr, sizeof(ret->addr));
	}
}

/* A swap: `current` names v now.  Whoever is in the middle of something is asked whether that still goes. */
static void rejudge(struct flow *f, struct image_view v)
{
	if (refresh(f, v) != STANDING_ADMITTED) {
		if (f->handler && f->state && f->handler->interrupted)
			f->handler->interrupted(f);
		standing_event(f);
		flow_close(f, true);
	} else if (f->handler && f->state && !f->handler->admitted(f, v)) {
		flow_close(f, true);
	}
}

void flows_policy_changed(struct flows *fs)
{
	struct image_view v = images_current(fs->px->images);
	struct flow *f, *next;

	for (f = TAILQ_FIRST(&fs->all); f; f = next) {
		next = TAILQ_NEXT(f, link);
		rejudge(f, v);
	}
}

/* ------------------------------------------------------------------------------------------ closing -- */

static void bury(struct flow *f)
{
	if (f->handler && f->state)
		f->handler->free(f);
	free(f);
}

static void on_trim(struct loop_timer *t)
{
	(void)t;
	malloc_trim(256 << 10);
}

void flows_trim_later(struct flows *fs)
{
	if (!fs->trim.due_ns)
		loop_timer_set(fs->px->loop, &fs->trim, TRIM_MS, on_trim, fs);
}

static void on_bury(struct loop_timer *t)
{
	struct flows *fs = t->arg;
	struct flow *f;

	while ((f = TAILQ_FIRST(&fs->dead))) {
		TAILQ_REMOVE(&fs->dead, f, link);
		bury(f);
	}
	flows_trim_later(fs);
}

void flow_close(struct flow *f, bool reset)
{
	struct flows *fs = f->px->flows;

	if (f->dead)
		return;
	f->dead = true;
	loop_timer_stop(f->px->loop, &f->timer);
	stream_close(&f->client, reset);
	if (f->handler && f->state)
		f->handler->close(f);
	if (f->rec.dst.name_addr)
		f->px->ops->release(f->px, f->rec.dst.name_addr);
	TAILQ_REMOVE(&fs->all, f, link);
	fs->n--;
	TAILQ_INSERT_TAIL(&fs->dead, f, link);
	if (!fs->bury.due_ns)
		loop_timer_set(f->px->loop, &fs->bury, 0, on_bury, fs);
}

/* ------------------------------------------------------------------------- inspected: what is it? -- */

static void on_timeout(struct loop_timer *t)
{
	struct flow *f = t->arg;

	if (f->handler && f->state) {
		f->handler->timeout(f);
		return;
	}
	if (f->client.ssl)
		flow_error(f, WD_ERROR, "TLS handshake with the program timed out");
	flow_close(f, false);
}

static void hand_over(struct flow *f)
{
	f->handler = &http1_handler;
	loop_timer_stop(f->px->loop, &f->timer);
	f->timer.fn = on_timeout;
	f->timer.arg = f;
	if (f->handler->start(f) < 0)
		flow_close(f, true);
}

static void handshake_failed(struct flow *f, int r)
{
	const struct ca_session *s = &f->session;

	if (s->refused && s->sni[0])
		flow_error(f, WD_ERROR, "TLS refused: %s (%s)", s->refused, s->sni);
	else if (s->refused)
		flow_error(f, WD_ERROR, "TLS refused: %s", s->refused);
	else
		flow_error(f, WD_ERROR, "TLS handshake with the program failed: %s",
			   r == -EPROTO ? stream_tls_error() : "connection closed");
	stream_tls_error();
	/* Not a reset: the alert shall arrive. */
	flow_close(f, false);
}

static void on_handshake(void *arg, bool hup)
{
	struct flow *f = arg;
	int r = stream_handshake(&f->client);

	(void)hup;
	if (r == -EAGAIN)
		stream_want(&f->client, !f->client.read_needs_write, f->client.read_needs_write);
	else if (r < 0)
		handshake_failed(f, r);
	else
		hand_over(f);
}

/* The first byte tells TLS (RFC 8446 section 5.1: handshake record) from everything else. */
static void on_first_byte(void *arg, bool hup)
{
	struct flow *f = arg;
	uint8_t first;
	ssize_t n = recv(f->client.fd, &first, 1, MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR) && !hup)
		return;
	if (n <= 0) {
		flow_close(f, n < 0);
		return;
	}
	if (first != 0x16) {
		hand_over(f);
		return;
	}
	f->tls = true;
	f->session.host = f->host;
	if (ca_accept(f->px->ca, f->client.fd, &f->session, &f->client.ssl) < 0) {
		flow_error(f, WD_ERROR, "TLS with the program could not be set up");
		flow_close(f, true);
		return;
	}
	f->client.fn = on_handshake;
	loop_timer_set(f->px->loop, &f->timer, f->px->limits->handshake, on_timeout, f);
	on_handshake(f, false);
}

/* ------------------------------------------------------------------------------------------- accept -- */

/* Whom does the program want?  false: the name is gone. */
static bool name_host(struct flow *f)
{
	const struct osh_dst *d = &f->rec.dst;
	struct slice name;
	char text[ADDRESS_TEXT_MAX];

	f->dest.port = d->port;
	if (!d->name_addr) {
		f->literal = true;
		f->dest.family = d->family;
		memcpy(f->dest.addr, d->addr, sizeof(f->dest.addr));
		snprintf(f->host, sizeof(f->host), "%s", address_text(d->family, d->addr, text));
		return f->host[0] != '\0';
	}
	name = f->px->ops->name(f->px, d->name_addr);
	if (name.n == 0 || name.n >= sizeof(f->host))
		return false;
	for (size_t i = 0; i < name.n; i++)
		f->host[i] = (char)tolower(name.p[i]);
	f->dest.host = (struct slice){(const uint8_t *)f->host, name.n};
	return true;
}

static void start(struct flow *f, struct image_view v)
{
	f->treat = treatment(f, v);
	f->standing = STANDING_ADMITTED;
	if (f->treat == FLOW_INSPECTED) {
		f->client.fn = on_first_byte;
		loop_timer_set(f->px->loop, &f->timer, f->px->limits->first_byte, on_timeout, f);
		if (stream_want(&f->client, true, false) < 0)
			flow_close(f, true);
		return;
	}
	f->handler = &relay_handler;
	f->timer.fn = on_timeout;
	f->timer.arg = f;
	if (f->handler->start(f) < 0)
		flow_close(f, true);
}

/* Makes room by closing the flow that has been idle for longest. */
static bool make_room(struct flows *fs)
{
	struct flow *f;

	TAILQ_FOREACH(f, &fs->all, link) {
		if (f->handler && f->state && f->handler->evictable(f)) {
			flow_close(f, false);
			return true;
		}
	}
	return false;
}

static void refuse_fd(int fd)
{
	struct linger l = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

/* A connection that the kernel has let through and logged so, and that nobody serves: that has a line too. */
static void refuse_flow(struct flows *fs, int fd, const struct osh_flow *rec, const char *why)
{
	struct flow f = {.px = fs->px, .rec = *rec, .gen = images_current(fs->px->images).gen, .cd.block = ~0u};

	if (!name_host(&f))
		f.host[0] = '\0';
	flow_error(&f, WD_ERROR, "%s", why);
	refuse_fd(fd);
}

static struct flow *flow_new(struct flows *fs, int fd, const struct osh_flow *rec)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->px = fs->px;
	f->rec = *rec;
	f->cd.block = ~0u;
	stream_init(&f->client, fs->px->loop, fd, NULL, f);
	if (rec->dst.name_addr)
		fs->px->ops->hold(fs->px, rec->dst.name_addr);
	TAILQ_INSERT_TAIL(&fs->all, f, link);
	fs->n++;
	return f;
}

void flow_accept(struct flows *fs, int fd, const struct osh_flow *rec)
{
	struct image_view v = images_current(fs->px->images);
	struct flow *f;

	if (rec->kind == OSH_FLOW_DNS) {
		fs->px->ops->dns(fs->px, fd, rec);
		return;
	}
	if (fs->n >= fs->px->limits->max_flows && !make_room(fs)) {
		refuse_flow(fs, fd, rec, "reset: the proxy has as many connections as it can hold");
		return;
	}
	f = flow_new(fs, fd, rec);
	if (!f) {
		refuse_flow(fs, fd, rec, "reset: out of memory");
		return;
	}
	stream_tune(fd);
	if (!name_host(f)) {
		flow_error(f, WD_DENY, "name expired");
		flow_close(f, true);
	} else if (!decide(f, v)) {
		deny_event(f);
		flow_close(f, true);
	} else {
		start(f, v);
	}
}

static void on_resume(struct loop_timer *t)
{
	struct flows *fs = t->arg;

	for (size_t i = 0; i < ARRAY_LEN(fs->listeners); i++)
		if (fs->listeners[i].watch.fd >= 0)
			loop_mod(fs->px->loop, &fs->listeners[i].watch, EPOLLIN);
}

/* Out of descriptors or memory: free something, and let the kernel queue for a moment. */
static void pause_accepting(struct flows *fs)
{
	if (!make_room(fs))
		upstream_evict(fs->px->upstream);
	for (size_t i = 0; i < ARRAY_LEN(fs->listeners); i++)
		if (fs->listeners[i].watch.fd >= 0)
			loop_mod(fs->px->loop, &fs->listeners[i].watch, 0);
	loop_timer_set(fs->px->loop, &fs->resume, ACCEPT_PAUSE_MS, on_resume, fs);
}

static void on_accept(struct loop_watch *w, uint32_t events)
{
	struct listener *l = w->arg;
	struct flows *fs = l->fs;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct osh_flow rec;
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			pause_accepting(fs);
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
			return;
		if (fd < 0)
			continue;
		/* No record: it did not come through the connect hook, and gets nothing. */
		if (fs->px->ops->record(fs->px, fd, &rec) < 0)
			refuse_fd(fd);
		else
			flow_accept(fs, fd, &rec);
	}
}

int flows_new(struct proxy *px, int fd4, int fd6, struct flows **ret)
{
	struct flows *fs = calloc(1, sizeof(*fs));

	if (!fs) {
		closep(&fd4);
		closep(&fd6);
		return -ENOMEM;
	}
	fs->px = px;
	fs->listeners[0] = (struct listener){.fs = fs, .fd = fd4, .watch.fd = -1};
	fs->listeners[1] = (struct listener){.fs = fs, .fd = fd6, .watch.fd = -1};
	TAILQ_INIT(&fs->all);
	TAILQ_INIT(&fs->dead);
	*ret = fs;
	return 0;
}

void flows_listen(struct flows *fs)
{
	for (size_t i = 0; i < ARRAY_LEN(fs->listeners); i++) {
		struct listener *l = &fs->listeners[i];

		if (l->fd >= 0 && l->watch.fd < 0)
			loop_add(fs->px->loop, &l->watch, l->fd, EPOLLIN, on_accept, l);
	}
}

struct flows *flows_free(struct flows *fs)
{
	struct flow *f;

	if (!fs)
		return NULL;
	while ((f = TAILQ_FIRST(&fs->all)))
		flow_close(f, true);
	loop_timer_stop(fs->px->loop, &fs->bury);
	loop_timer_stop(fs->px->loop, &fs->resume);
	loop_timer_stop(fs->px->loop, &fs->trim);
	while ((f = TAILQ_FIRST(&fs->dead))) {
		TAILQ_REMOVE(&fs->dead, f, link);
		bury(f);
	}
	for (size_t i = 0; i < ARRAY_LEN(fs->listeners); i++) {
		loop_del(fs->px->loop, &fs->listeners[i].watch);
		closep(&fs->listeners[i].fd);
	}
	free(fs);
	return NULL;
}
