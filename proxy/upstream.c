/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.c - see upstream.h.
 *
 * Life of a connection: upstream_open() -> name resolved -> every address checked (one bad address spoils the
 * answer: a name that resolves to a metadata service and to a public address is an attack, not a choice) ->
 * dialled one after the other -> TLS verified for the name that the program asked for -> handed to the caller
 * -> upstream_put() -> idle in the pool, watched: a byte or an end while idle closes it.
 *
 * Roots are parsed, and the TLS context made, when the first TLS connection is; most sandboxes that never
 * inspect anything never pay for them.
 */
#include "proxy/upstream.h"

#include "proxy/address.h"
#include "proxy/flow.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <uthash.h>

#define POOL_MAX 128
#define SESSIONS_MAX 256
#define TRUST_MAX (16u << 20)
#define KEY_MAX (OSH_NAME_MAX + 8)

struct session {
	char key[KEY_MAX]; /* host:port */
	SSL_SESSION *s;
	UT_hash_handle hh;
};

TAILQ_HEAD(conn_list, upstream_conn);
TAILQ_HEAD(wait_list, upstream_wait);

struct upstream {
	struct proxy *px;
	int fd_trust;
	SSL_CTX *ctx;
	struct session *sessions; /* in order of insertion */
	struct conn_list idle;	  /* oldest first */
	size_t nidle;
	struct loop_timer sweep;
	struct wait_list waits;
};

struct upstream_wait {
	struct upstream *u;
	TAILQ_ENTRY(upstream_wait) link;
	char host[OSH_NAME_MAX];
	uint16_t port;
	bool literal, tls;
	uint64_t gen;
	upstream_check_fn check;
	upstream_fn cb;
	void *arg;
	struct resolve_query *query;
	struct resolved res;
	size_t next; /* address to try */
	struct upstream_conn *conn;
	bool handshaking;
	struct loop_timer timer;
	struct upstream_error error; /* of the last attempt */
};

/* -------------------------------------------------------------------------------------- TLS context -- */

static int on_new_session(SSL *ssl, SSL_SESSION *sess)
{
	struct upstream_conn *c = SSL_get_app_data(ssl);
	struct upstream *u = c->u;
	struct session *s;
	char key[KEY_MAX];

	snprintf(key, sizeof(key), "%s:%u", c->host, c->port);
	HASH_FIND_STR(u->sessions, key, s);
	if (!s) {
		if (HASH_COUNT(u->sessions) >= SESSIONS_MAX) {
			s = u->sessions;
			HASH_DEL(u->sessions, s);
			SSL_SESSION_free(s->s);
			free(s);
		}
		s = calloc(1, sizeof(*s));
		if (!s)
			return 0;
		memcpy(s->key, key, sizeof(key));
		HASH_ADD_STR(u->sessions, key, s);
	}
	SSL_SESSION_free(s->s);
	s->s = sess; /* returning 1 keeps the reference */
	return 1;
}

static void resume_session(struct upstream_conn *c)
{
	struct session *s;
	char key[KEY_MAX];

	snprintf(key, sizeof(key), "%s:%u", c->host, c->port);
	HASH_FIND_STR(c->u->sessions, key, s);
	if (s && SSL_SESSION_is_resumable(s->s))
		SSL_set_session(c->s.ssl, s->s);
}

static int load_roots(struct upstream *u, X509_STORE *store)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t n = 0;
	BIO *b;
	X509 *x;

	if (fstat(u->fd_trust, &st) < 0 || st.st_size <= 0 || st.st_size > (off_t)TRUST_MAX)
		return -EINVAL;
	text = malloc((size_t)st.st_size);
	if (!text)
		return -ENOMEM;
	while (n < (size_t)st.st_size) {
		ssize_t r = pread(u->fd_trust, text + n, (size_t)st.st_size - n, (off_t)n);

		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		n += (size_t)r;
	}
	b = BIO_new_mem_buf(text, (int)n);
	if (!b)
		return -ENOMEM;
	while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
		X509_STORE_add_cert(store, x);
		X509_free(x);
	}
	BIO_free(b);
	ERR_clear_error();
	return 0;
}

static int make_ctx(struct upstream *u)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	SSL_CTX *c;

	if (u->ctx)
		return 0;
	c = SSL_CTX_new(TLS_client_method());
	if (!c)
		return -ENOMEM;
	if (load_roots(u, SSL_CTX_get_cert_store(c)) < 0 ||
	    SSL_CTX_set_alpn_protos(c, alpn, sizeof(alpn) - 1) != 0) {
		SSL_CTX_free(c);
		return -EIO;
	}
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				    SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(c, 1); /* several records in one read(); given back when empty */
	SSL_CTX_set_default_read_buffer_len(c, 64 << 10);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c), X509_V_FLAG_PARTIAL_CHAIN);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c, on_new_session);
	u->ctx = c;
	return 0;
}

static int start_tls(struct upstream_conn *c, bool literal)
{
	X509_VERIFY_PARAM *p;
	int r = make_ctx(c->u);

	if (r < 0)
		return r;
	c->s.ssl = SSL_new(c->u->ctx);
	if (!c->s.ssl || SSL_set_fd(c->s.ssl, c->s.fd) != 1)
		return -ENOMEM;
	SSL_set_app_data(c->s.ssl, c);
	SSL_set_connect_state(c->s.ssl);
	p = SSL_get0_param(c->s.ssl);
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (literal ? X509_VERIFY_PARAM_set1_ip_asc(p, c->host) != 1
		    : X509_VERIFY_PARAM_set1_host(p, c->host, 0) != 1 ||
			      SSL_set_tlsext_host_name(c->s.ssl, c->host) != 1)
		return -EIO;
	resume_session(c);
	return 0;
}

/* ---------------------------------------------------------------------------------------------- pool -- */

static void conn_free(struct upstream_conn *c, bool reset)
{
	stream_close(&c->s, reset);
	free(c);
}

static void idle_remove(struct upstream_conn *c)
{
	TAILQ_REMOVE(&c->u->idle, c, link);
	c->u->nidle--;
}

/* Session tickets may still come; anything else on an idle connection ends it. */
static bool still_idle(struct upstream_conn *c)
{
	uint8_t b;

	return stream_probe(&c->s, &b, 1) == -EAGAIN;
}

static void on_idle(void *arg, bool hup)
{
	struct upstream_conn *c = arg;

	if (!hup && still_idle(c)) {
		stream_want(&c->s, true, false);
		return;
	}
	idle_remove(c);
	conn_free(c, false);
}

static void on_sweep(struct loop_timer *t)
{
	struct upstream *u = t->arg;
	uint64_t now = loop_now(u->px->loop), limit = u->px->limits->pool_idle * 1000000ull;
	struct upstream_conn *c;

	while ((c = TAILQ_FIRST(&u->idle)) && now - c->idle_since >= limit) {
		idle_remove(c);
		stream_shutdown(&c->s);
		conn_free(c, false);
	}
	flows_trim_later(u->px->flows);
	if (c)
		loop_timer_set(u->px->loop, &u->sweep, u->px->limits->pool_idle / 4 + 1, on_sweep, u);
}

bool upstream_evict(struct upstream *u)
{
	struct upstream_conn *c = TAILQ_FIRST(&u->idle);

	if (!c)
		return false;
	idle_remove(c);
	conn_free(c, false);
	return true;
}

void upstream_drop(struct upstream_conn *c, bool reset)
{
	if (c)
		conn_free(c, reset);
}

void upstream_put(struct upstream_conn *c, bool reusable)
{
	struct upstream *u;

	if (!c)
		return;
	u = c->u;
	if (!reusable) {
		stream_shutdown(&c->s);
		conn_free(c, false);
		return;
	}
	if (u->nidle == POOL_MAX)
		upstream_evict(u);
	c->reused = true;
	c->s.fn = on_idle;
	c->s.arg = c;
	c->idle_since = loop_now(u->px->loop);
	TAILQ_INSERT_TAIL(&u->idle, c, link);
	u->nidle++;
	stream_want(&c->s, true, false);
	if (!u->sweep.due_ns)
		loop_timer_set(u->px->loop, &u->sweep, u->px->limits->pool_idle + 1, on_sweep, u);
}

struct upstream_conn *upstream_take(struct upstream *u, const struct upstream_target *t, uint32_t max_idle_ms,
				    upstream_check_fn check, void *arg)
{
	uint64_t now = loop_now(u->px->loop);
	struct upstream_conn *c, *prev;
	enum osh_addr_class class;

	for (c = TAILQ_LAST(&u->idle, conn_list); c; c = prev) {
		prev = TAILQ_PREV(c, conn_list, link);
		if (c->port != t->port || c->tls != t->tls || c->gen != t->gen ||
		    strcmp(c->host, t->host) != 0 || now - c->idle_since > max_idle_ms * 1000000ull ||
		    !check(arg, c->family, c->addr, &class))
			continue;
		idle_remove(c);
		if (still_idle(c))
			return c;
		conn_free(c, false);
	}
	return NULL;
}

void upstream_policy_changed(struct upstream *u, uint64_t gen)
{
	struct upstream_conn *c, *next;

	for (c = TAILQ_FIRST(&u->idle); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->gen == gen)
			continue;
		idle_remove(c);
		conn_free(c, false);
	}
}

/* ------------------------------------------------------------------------------------------- connect -- */

static void wait_free(struct upstream_wait *w)
{
	TAILQ_REMOVE(&w->u->waits, w, link);
	loop_timer_stop(w->u->px->loop, &w->timer);
	if (w->query)
		w->u->px->ops->resolve_cancel(w->u->px, w->query);
	if (w->conn)
		conn_free(w->conn, true);
	free(w);
}

void upstream_cancel(struct upstream_wait *w)
{
	if (w)
		wait_free(w);
}

static void finish(struct upstream_wait *w)
{
	struct upstream_conn *c = steal_ptr(&w->conn);
	struct upstream_error e = w->error;
	upstream_fn cb = w->cb;
	void *arg = w->arg;

	wait_free(w);
	cb(arg, c, c ? NULL : &e);
}

__attribute__((format(printf, 3, 4))) static void set_error(struct upstream_wait *w, enum upstream_failure kind,
							     const char *fmt, ...)
{
	va_list ap;

	w->error.kind = kind;
	va_start(ap, fmt);
	vsnprintf(w->error.reason, sizeof(w->error.reason), fmt, ap);
	va_end(ap);
}

static void try_next(struct upstream_wait *w);

static void attempt_failed(struct upstream_wait *w)
{
	if (w->conn)
		conn_free(steal_ptr(&w->conn), true);
	try_next(w);
}

static void tls_failed(struct upstream_wait *w, int r)
{
	long v = w->conn->s.ssl ? SSL_get_verify_result(w->conn->s.ssl) : X509_V_OK;

	if (v != X509_V_OK)
		set_error(w, UPSTREAM_TLS, "certificate of %s: %s", w->host, X509_verify_cert_error_string(v));
	else
		set_error(w, UPSTREAM_TLS, "TLS with %s: %s", w->host,
			  r == -EPROTO ? stream_tls_error() : "connection closed");
	ERR_clear_error();
	conn_free(steal_ptr(&w->conn), true);
	finish(w);
}

static void handshake(struct upstream_wait *w)
{
	struct upstream_conn *c = w->conn;
	int r = stream_handshake(&c->s);

	if (r == -EAGAIN) {
		/* OpenSSL knows which; a handshake waits for reading unless it could not write. */
		stream_want(&c->s, !SSL_want_write(c->s.ssl), SSL_want_write(c->s.ssl));
		return;
	}
	if (r < 0) {
		tls_failed(w, r);
		return;
	}
	finish(w);
}

static void connected(struct upstream_wait *w)
{
	struct proxy *px = w->u->px;
	int r;

	stream_tune(w->conn->s.fd);
	if (!w->tls) {
		finish(w);
		return;
	}
	r = start_tls(w->conn, w->literal);
	if (r < 0) {
		set_error(w, UPSTREAM_TLS, "TLS set-up: %s", r == -EIO ? "no trusted roots" : strerror(-r));
		conn_free(steal_ptr(&w->conn), true);
		finish(w);
		return;
	}
	w->handshaking = true;
	loop_timer_set(px->loop, &w->timer, px->limits->tls, w->timer.fn, w);
	handshake(w);
}

static void on_connecting(void *arg, bool hup)
{
	struct upstream_wait *w = arg;
	char text[ADDRESS_TEXT_MAX];
	socklen_t n = sizeof(int);
	int err = 0;

	(void)hup;
	if (w->handshaking) {
		handshake(w);
		return;
	}
	if (getsockopt(w->conn->s.fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
		err = errno;
	if (err == 0) {
		connected(w);
		return;
	}
	set_error(w, err == ETIMEDOUT ? UPSTREAM_TIMEOUT : UPSTREAM_UNREACHABLE, "connect to %s: %s",
		  address_text(w->conn->family, w->conn->addr, text), strerror(err));
	attempt_failed(w);
}

static void on_attempt_timeout(struct loop_timer *t)
{
	struct upstream_wait *w = t->arg;
	char text[ADDRESS_TEXT_MAX];

	if (!w->conn) { /* nothing left to try: reported from here, never from within upstream_open() */
		finish(w);
		return;
	}
	set_error(w, UPSTREAM_TIMEOUT, "%s %s: timed out", w->handshaking ? "TLS with" : "connect to",
		  address_text(w->conn->family, w->conn->addr, text));
	if (w->handshaking) {
		conn_free(steal_ptr(&w->conn), true);
		finish(w);
		return;
	}
	attempt_failed(w);
}

static int dial(struct upstream_wait *w, const struct resolved_addr *a)
{
	struct upstream *u = w->u;
	struct upstream_conn *c;
	int fd = u->px->ops->dial(u->px, a->family, a->addr, w->port);

	if (fd < 0)
		return fd;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	stream_init(&c->s, u->px->loop, fd, on_connecting, w);
	c->u = u;
	memcpy(c->host, w->host, sizeof(c->host));
	c->port = w->port;
	c->tls = w->tls;
	c->gen = w->gen;
	c->family = a->family;
	memcpy(c->addr, a->addr, sizeof(c->addr));
	w->conn = c;
	w->handshaking = false;
	return stream_want(&c->s, false, true);
}

/* Dials addresses until one is under way; what was checked is what is dialled. */
static void try_next(struct upstream_wait *w)
{
	struct proxy *px = w->u->px;
	char text[ADDRESS_TEXT_MAX];

	while (w->next < w->res.n) {
		const struct resolved_addr *a = &w->res.a[w->next++];
		enum osh_addr_class class;
		int r;

		/* Again, since the policy may have been replaced while earlier addresses were tried. */
		if (!w->check(w->arg, a->family, a->addr, &class)) {
			set_error(w, UPSTREAM_SSRF, "address not allowed (%s: %s)",
				  address_text(a->family, a->addr, text), address_class_text(class));
			break;
		}
		r = dial(w, a);
		if (r == 0) {
			loop_timer_set(px->loop, &w->timer, px->limits->connect, on_attempt_timeout, w);
			return;
		}
		set_error(w, UPSTREAM_UNREACHABLE, "connect to %s: %s",
			  address_text(a->family, a->addr, text), strerror(-r));
	}
	w->next = w->res.n;
	loop_timer_set(px->loop, &w->timer, 0, on_attempt_timeout, w);
}

/* All addresses pass, or none is dialled. */
static void check_and_dial(struct upstream_wait *w)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < w->res.n; i++) {
		enum osh_addr_class class;

		if (w->check(w->arg, w->res.a[i].family, w->res.a[i].addr, &class))
			continue;
		set_error(w, UPSTREAM_SSRF, "address not allowed (%s: %s)",
			  address_text(w->res.a[i].family, w->res.a[i].addr, text),
			  address_class_text(class));
		w->next = w->res.n;
		break;
	}
	try_next(w);
}

static void on_resolved(void *arg, int error, const struct resolved *res)
{
	struct upstream_wait *w = arg;

	w->query = NULL;
	if (error == 0 && res->n > 0) {
		w->res = *res;
		if (w->res.n > RESOLVED_MAX)
			w->res.n = RESOLVED_MAX;
		check_and_dial(w);
		return;
	}
	if (error == -ETIMEDOUT)
		set_error(w, UPSTREAM_TIMEOUT, "name look-up timed out");
	else
		set_error(w, UPSTREAM_UNREACHABLE, "%s",
			  error == -EAGAIN ? "name servers failed" : "name does not exist");
	finish(w);
}

int upstream_open(struct upstream *u, const struct upstream_target *t, upstream_check_fn check,
		  upstream_fn cb, void *arg, struct upstream_wait **ret)
{
	struct upstream_wait *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->u = u;
	snprintf(w->host, sizeof(w->host), "%s", t->host);
	w->port = t->port;
	w->literal = t->family != 0;
	w->tls = t->tls;
	w->gen = t->gen;
	w->check = check;
	w->cb = cb;
	w->arg = arg;
	set_error(w, UPSTREAM_UNREACHABLE, "no address");
	TAILQ_INSERT_TAIL(&u->waits, w, link);
	if (w->literal) {
		w->res.n = 1;
		w->res.a[0].family = t->family;
		memcpy(w->res.a[0].addr, t->addr, sizeof(t->addr));
		check_and_dial(w);
	} else {
		r = u->px->ops->resolve(u->px, slice_str(w->host), on_resolved, w, &w->query);
	}
	if (r < 0) {
		wait_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

int upstream_new(struct proxy *px, int fd_trust, struct upstream **ret)
{
	struct upstream *u = calloc(1, sizeof(*u));

	if (!u) {
		closep(&fd_trust);
		return -ENOMEM;
	}
	u->px = px;
	u->fd_trust = fd_trust;
	TAILQ_INIT(&u->idle);
	TAILQ_INIT(&u->waits);
	*ret = u;
	return 0;
}

struct upstream *upstream_free(struct upstream *u)
{
	struct session *s, *tmp;
	struct upstream_wait *w;

	if (!u)
		return NULL;
	while ((w = TAILQ_FIRST(&u->waits)))
		wait_free(w);
	while (upstream_evict(u))
		;
	loop_timer_stop(u->px->loop, &u->sweep);
	HASH_ITER(hh, u->sessions, s, tmp) {
		HASH_DEL(u->sessions, s);
		SSL_SESSION_free(s->s);
		free(s);
	}
	SSL_CTX_free(u->ctx);
	closep(&u->fd_trust);
	free(u);
	return NULL;
}
