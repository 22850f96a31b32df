/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proxy_flow_rig.h - a whole proxy in one process, without kernel programs and without root.
 *
 * The proxy's loop runs on a thread of its own, as in production; the test plays the program and the server with
 * blocking sockets.  Policies are compiled by the real library.  Names resolve to addresses that the test
 * names; every address is "dialled" at the test's server on loopback.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "proxy/ca.h"
#include "proxy/flow.h"
#include "proxy/images.h"
#include "proxy/loop.h"
#include "proxy/proxy.h"
#include "proxy/upstream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define NAMES_MAX 8
#define RIG_EVENTS 4096

/* ------------------------------------------------------------------------------------------ the rig -- */

struct rig_name {
	const char *name;
	const char *addrs[3]; /* what it resolves to; none: NXDOMAIN */
};

struct rig {
	struct proxy px;
	struct proxy_limits limits;
	pthread_t thread;
	int wake;
	struct loop_watch watch;
	pthread_mutex_t lock;
	pthread_cond_t done;
	void (*job)(struct rig *r, void *arg);
	void *job_arg;
	bool busy;
	volatile uint64_t *current;
	int server; /* listening */
	uint16_t server_port;
	struct ca *server_ca;
	int dials;
	struct wire_event events[RIG_EVENTS];
	size_t nevents;
	const struct rig_name *names;
};

static struct rig *the_rig; /* ops have no argument of their own */

static void rig_on_job(struct loop_watch *w, uint32_t ev)
{
	struct rig *r = w->arg;
	uint64_t n;

	(void)ev;
	assert_int_equal(read(r->wake, &n, sizeof(n)), sizeof(n));
	pthread_mutex_lock(&r->lock);
	r->job(r, r->job_arg);
	r->busy = false;
	pthread_cond_broadcast(&r->done);
	pthread_mutex_unlock(&r->lock);
}

/* Runs fn on the loop's thread and waits for it. */
static void rig_do(struct rig *r, void (*fn)(struct rig *, void *), void *arg)
{
	uint64_t one = 1;

	pthread_mutex_lock(&r->lock);
	r->job = fn;
	r->job_arg = arg;
	r->busy = true;
	assert_int_equal(write(r->wake, &one, sizeof(one)), sizeof(one));
	while (r->busy)
		pthread_cond_wait(&r->done, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* A name's synthetic address is its position + 1. */
static struct slice op_name(struct proxy *px, uint32_t synthetic)
{
	(void)px;
	if (synthetic == 0 || synthetic > NAMES_MAX || !the_rig->names[synthetic - 1].name)
		return (struct slice){0};
	return slice_str(the_rig->names[synthetic - 1].name);
}

static void op_hold(struct proxy *px, uint32_t synthetic)
{
	(void)px;
	(void)synthetic;
}

static void op_dns(struct proxy *px, int fd, const struct osh_flow *rec)
{
	(void)px;
	(void)rec;
	close(fd);
}

struct resolve_query {
	struct loop_timer timer;
	resolve_fn cb;
	void *arg;
	struct resolved res;
};

static void on_resolve(struct loop_timer *t)
{
	struct resolve_query *q = t->arg;

	q->cb(q->arg, q->res.n ? 0 : -ENOENT, q->res.n ? &q->res : NULL);
	free(q);
}

static void rig_add_addr(struct resolved *res, const char *text)
{
	struct resolved_addr *a = &res->a[res->n++];

	memset(a, 0, sizeof(*a));
	a->family = strchr(text, ':') ? 6 : 4;
	assert_int_equal(inet_pton(a->family == 4 ? AF_INET : AF_INET6, text, a->addr), 1);
}

static int op_resolve(struct proxy *px, struct slice name, resolve_fn cb, void *arg, struct resolve_query **ret)
{
	struct resolve_query *q = calloc(1, sizeof(*q));

	for (size_t i = 0; i < NAMES_MAX && the_rig->names[i].name; i++)
		if (slice_eq_str(name, the_rig->names[i].name))
			for (size_t k = 0; k < 3 && the_rig->names[i].addrs[k]; k++)
				rig_add_addr(&q->res, the_rig->names[i].addrs[k]);
	q->cb = cb;
	q->arg = arg;
	loop_timer_set(px->loop, &q->timer, 0, on_resolve, q);
	*ret = q;
	return 0;
}

static void op_resolve_cancel(struct proxy *px, struct resolve_query *q)
{
	loop_timer_stop(px->loop, &q->timer);
	free(q);
}

/* 192.0.9.9 stands for an address where nobody listens. */
static int op_dial(struct proxy *px, uint8_t family, const uint8_t addr[16], uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(the_rig->server_port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)px;
	(void)port;
	__atomic_add_fetch(&the_rig->dials, 1, __ATOMIC_SEQ_CST);
	if (family == 4 && memcmp(addr, "\xc0\x00\x09\x09", 4) == 0)
		a.sin_port = htons(1);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int op_record(struct proxy *px, int fd, struct osh_flow *ret)
{
	(void)px;
	(void)fd;
	(void)ret;
	return -ENOENT;
}

static void op_event(struct proxy *px, const struct wire_event *e)
{
	(void)px;
	if (the_rig->nevents < RIG_EVENTS)
		the_rig->events[__atomic_fetch_add(&the_rig->nevents, 1, __ATOMIC_SEQ_CST)] = *e;
}

static const struct proxy_ops rig_ops = {
	.name = op_name,
	.hold = op_hold,
	.release = op_hold,
	.dns = op_dns,
	.resolve = op_resolve,
	.resolve_cancel = op_resolve_cancel,
	.dial = op_dial,
	.record = op_record,
	.event = op_event,
};

/* Path ids of the tests. */
enum { EXE_CURL = 1, EXE_OTHER = 2 };

static int rig_lookup(void *arg, uint32_t id, struct osh_path *ret)
{
	static const char *const paths[] = {NULL, "/usr/bin/curl", "/usr/bin/other"};

	(void)arg;
	if (id >= ARRAY_LEN(paths) || !paths[id])
		return -ENOENT;
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->path, sizeof(ret->path), "%s", paths[id]);
	ret->len = (uint32_t)strlen(ret->path);
	return 0;
}

static int rig_memfd(const void *p, size_t n)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	return fd;
}

struct rig_policy {
	const char *text;
	uint64_t gen;
};

static void rig_job_policy(struct rig *r, void *arg)
{
	const struct rig_policy *p = arg;
	struct policy_diags diags = {0};
	struct policy *policy = NULL;
	uint8_t *image = NULL;
	size_t n = 0;

	if (policy_parse(slice_str(p->text), &diags, &policy) < 0 ||
	    policy_compile(policy, &diags, &image, &n) < 0) {
		policy_diags_print(&diags, "test", stderr);
		fail();
	}
	assert_int_equal(images_add(r->px.images, p->gen, n, rig_memfd(image, n)), 0);
	__atomic_store_n(r->current, OSH_CURRENT(p->gen), __ATOMIC_RELEASE);
	free(image);
	policy_free(policy);
	policy_diags_done(&diags);
}

static void rig_policy(struct rig *r, uint64_t gen, const char *text)
{
	struct rig_policy p = {text, gen};

	rig_do(r, rig_job_policy, &p);
}

static void rig_job_swapped(struct rig *r, void *arg)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	flows_policy_changed(r->px.flows);
	upstream_policy_changed(r->px.upstream, images_current(r->px.images).gen);
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (arg)
		*(long *)arg = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
}

static void rig_swapped(struct rig *r, long *ret_us)
{
	rig_do(r, rig_job_swapped, ret_us);
}

static void *rig_main(void *arg)
{
	struct rig *r = arg;

	loop_run(r->px.loop);
	return NULL;
}

static void rig_job_stop(struct rig *r, void *arg)
{
	(void)arg;
	loop_stop(r->px.loop);
}

static int rig_listen(uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 512), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static struct rig *rig_new(const struct rig_name *names)
{
	struct rig *r = calloc(1, sizeof(*r));
	uint64_t zero = 0;
	char *pem, *cert;
	size_t n;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	the_rig = r;
	r->names = names;
	r->limits = proxy_limits_default;
	r->px.ops = &rig_ops;
	r->px.limits = &r->limits;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->done, NULL);
	assert_int_equal(loop_new(&r->px.loop), 0);
	fd = rig_memfd(&zero, sizeof(zero));
	r->current = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(r->current, MAP_FAILED);
	assert_int_equal(images_new(fd, -1, &r->px.images), 0);
	images_set_lookup(r->px.images, rig_lookup, NULL);
	assert_int_equal(ca_new((struct slice){0}, "test", &r->px.ca), 0);
	assert_int_equal(ca_new((struct slice){0}, "upstream", &r->server_ca), 0);
	assert_int_equal(ca_pem(r->server_ca, &pem, &n), 0);
	pem = realloc(pem, n + 1);
	pem[n] = '\0';
	cert = strstr(pem, "-----BEGIN CERTIFICATE");
	assert_non_null(cert);
	assert_int_equal(upstream_new(&r->px, rig_memfd(cert, strlen(cert)), &r->px.upstream), 0);
	free(pem);
	assert_int_equal(flows_new(&r->px, -1, -1, &r->px.flows), 0);
	r->server = rig_listen(&r->server_port);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(loop_add(r->px.loop, &r->watch, r->wake, EPOLLIN, rig_on_job, r), 0);
	assert_int_equal(pthread_create(&r->thread, NULL, rig_main, r), 0);
	return r;
}

static void rig_free(struct rig *r)
{
	rig_do(r, rig_job_stop, NULL);
	pthread_join(r->thread, NULL);
	flows_free(r->px.flows);
	upstream_free(r->px.upstream);
	ca_free(r->px.ca);
	ca_free(r->server_ca);
	images_free(r->px.images);
	loop_free(r->px.loop);
	munmap((void *)(uintptr_t)r->current, 4096);
	close(r->wake);
	close(r->server);
	free(r);
	the_rig = NULL;
}

static size_t rig_nevents(struct rig *r)
{
	return __atomic_load_n(&r->nevents, __ATOMIC_SEQ_CST);
}

/* Waits for event number i (from 0), at most three seconds. */
static const struct wire_event *rig_event(struct rig *r, size_t i)
{
	for (int k = 0; k < 600 && rig_nevents(r) <= i; k++)
		usleep(5000);
	assert_true(rig_nevents(r) > i);
	usleep(1000);
	return &r->events[i];
}

#define assert_event(e, d, field, text)                                                           \
	do {                                                                                      \
		const struct wire_event *_e = (e);                                                \
		if (_e->decision != (d) || !memmem(_e->field, _e->field##_n, (text), strlen(text))) \
			print_error("event: decision %u method %.*s target %.*s reason %.*s\n",   \
				    _e->decision, _e->method_n, _e->method, _e->target_n,         \
				    _e->target, _e->reason_n, _e->reason);                        \
		assert_int_equal(_e->decision, (d));                                              \
		assert_non_null(memmem(_e->field, _e->field##_n, (text), strlen(text)));          \
	} while (0)

/* ---------------------------------------------------------------------------------- both ends' sockets -- */

struct end {
	int fd;
	SSL *ssl;
	struct ca_session session;
	char buf[256 << 10]; /* read, not yet taken */
	size_t n;
	bool eof;
	int error;
};

static struct end *end_new(int fd)
{
	struct end *e = calloc(1, sizeof(*e));
	struct timeval tv = {.tv_sec = 20};

	e->fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	return e;
}

static void end_free(struct end *e)
{
	if (!e)
		return;
	SSL_free(e->ssl);
	close(e->fd);
	free(e);
}

static bool end_write(struct end *e, const void *p, size_t n)
{
	const char *s = p;

	while (n) {
		ssize_t r = e->ssl ? SSL_write(e->ssl, s, n > INT32_MAX ? INT32_MAX : (int)n)
				   : send(e->fd, s, n, MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		s += r;
		n -= (size_t)r;
	}
	return true;
}

static bool end_puts(struct end *e, const char *s)
{
	return end_write(e, s, strlen(s));
}

/* Reads more; false: end or error. */
static bool end_fill(struct end *e)
{
	size_t room = sizeof(e->buf) - e->n;
	ssize_t r;

	if (e->eof || room == 0)
		return false;
	r = e->ssl ? SSL_read(e->ssl, e->buf + e->n, (int)room) : recv(e->fd, e->buf + e->n, room, 0);
	if (r <= 0) {
		e->eof = true;
		if (e->ssl)
			e->error = SSL_get_error(e->ssl, (int)r) == SSL_ERROR_ZERO_RETURN ? 0 : EPROTO;
		else
			e->error = r < 0 ? errno : 0;
		ERR_clear_error();
		return false;
	}
	e->n += (size_t)r;
	return true;
}

static void end_take(struct end *e, size_t n)
{
	memmove(e->buf, e->buf + n, e->n - n);
	e->n -= n;
}

/* Reads up to and including the text; NULL: the end came first. Static result. */
static const char *end_until(struct end *e, const char *text)
{
	static __thread char got[256 << 10];

	for (;;) {
		char *at = memmem(e->buf, e->n, text, strlen(text));

		if (at) {
			size_t n = (size_t)(at - e->buf) + strlen(text);

			memcpy(got, e->buf, n);
			got[n] = '\0';
			end_take(e, n);
			return got;
		}
		if (!end_fill(e))
			return NULL;
	}
}

static bool end_bytes(struct end *e, char *to, size_t n)
{
	while (n) {
		size_t k = e->n < n ? e->n : n;

		if (k == 0 && !end_fill(e))
			return false;
		k = e->n < n ? e->n : n;
		if (to) {
			memcpy(to, e->buf, k);
			to += k;
		}
		end_take(e, k);
		n -= k;
	}
	return true;
}

/* The peer ends the connection without another byte. */
static bool end_is_closed(struct end *e)
{
	return e->n == 0 && !end_fill(e) && e->error != EAGAIN;
}

struct answer {
	int status;
	char head[16 << 10];
	char *body; /* NUL-terminated */
	size_t n;
	bool whole;
};

static void answer_body(struct end *e, struct answer *a)
{
	const char *cl = strcasestr(a->head, "\r\ncontent-length: ");
	size_t cap = 1 << 16;

	a->body = malloc(cap + 1);
	a->whole = true;
	if (cl) {
		a->n = strtoul(cl + 18, NULL, 10);
		a->body = realloc(a->body, a->n + 1);
		a->whole = end_bytes(e, a->body, a->n);
	} else if (strcasestr(a->head, "\r\ntransfer-encoding: chunked")) {
		for (;;) {
			const char *line = end_until(e, "\r\n");
			size_t k = line ? strtoul(line, NULL, 16) : 0;

			a->whole = line != NULL;
			if (!line)
				break;
			if (a->n + k > cap)
				a->body = realloc(a->body, (cap = 2 * (a->n + k)) + 1);
			a->whole = end_bytes(e, a->body + a->n, k) && end_until(e, "\r\n");
			a->n += a->whole ? k : 0;
			if (k == 0 || !a->whole)
				break;
		}
	} else {
		while (end_fill(e))
			;
		a->n = e->n < cap ? e->n : cap;
		memcpy(a->body, e->buf, a->n);
		e->n = 0;
	}
	a->body[a->whole ? a->n : 0] = '\0';
}

/* Reads one answer; status 0: none came. */
static struct answer *end_answer_to(struct end *e, bool head_only)
{
	struct answer *a = calloc(1, sizeof(*a));
	const char *head = end_until(e, "\r\n\r\n");

	a->whole = true;
	if (head)
		snprintf(a->head, sizeof(a->head), "%s", head);
	a->status = head && strncmp(head, "HTTP/1.1 ", 9) == 0 ? atoi(head + 9) : 0;
	if (head && !head_only && a->status >= 200 && a->status != 204 && a->status != 304)
		answer_body(e, a);
	return a;
}

static void answer_free(struct answer *a)
{
	free(a->body);
	free(a);
}

/* ------------------------------------------------------------------------------------------- program -- */

struct rig_accept {
	int fd;
	struct osh_flow rec;
};

static void rig_job_accept(struct rig *r, void *arg)
{
	struct rig_accept *a = arg;

	flow_accept(r->px.flows, a->fd, &a->rec);
}

/* A program's connection to a destination. */
static struct end *program_connect_to(struct rig *r, uint32_t exe, const struct osh_dst *dst)
{
	struct rig_accept a = {.rec = {.kind = OSH_FLOW_L7, .pid = 4242, .uid = 1000, .dst = *dst}};
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint16_t lport;
	int l = rig_listen(&lport), c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_port = htons(lport);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(c, (struct sockaddr *)&to, sizeof(to)), 0);
	a.fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(a.fd >= 0);
	close(l);
	a.rec.id.exe = exe;
	rig_do(r, rig_job_accept, &a);
	return end_new(c);
}

/* ... to name number `name` (from 1) and port. */
static struct end *program_connect_as(struct rig *r, uint32_t exe, uint32_t name, uint16_t port)
{
	return program_connect_to(r, exe, &(struct osh_dst){.name_addr = name, .port = port});
}

static struct end *program_connect(struct rig *r, uint32_t name, uint16_t port)
{
	return program_connect_as(r, EXE_CURL, name, port);
}

static SSL_CTX *program_ctx(struct ca *ca)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	char *pem;
	size_t n;
	BIO *b;
	X509 *x;

	assert_int_equal(ca_pem(ca, &pem, &n), 0);
	b = BIO_new_mem_buf(pem, (int)n);
	x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	assert_non_null(x);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(c), x);
	X509_free(x);
	BIO_free(b);
	free(pem);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c), X509_V_FLAG_X509_STRICT);
	return c;
}

/* TLS as a program does it: verifies against the sandbox's CA for `host`.  false: handshake failed. */
static bool program_tls(struct rig *r, struct end *e, const char *sni, const char *host)
{
	SSL_CTX *c = program_ctx(r->px.ca);
	int ok;

	e->ssl = SSL_new(c);
	SSL_CTX_free(c);
	SSL_set_fd(e->ssl, e->fd);
	if (sni)
		SSL_set_tlsext_host_name(e->ssl, sni);
	SSL_set1_host(e->ssl, host);
	ok = SSL_connect(e->ssl);
	ERR_clear_error();
	return ok == 1;
}

static struct end *program_https(struct rig *r, uint32_t name)
{
	struct end *e = program_connect(r, name, 443);

	assert_true(program_tls(r, e, r->names[name - 1].name, r->names[name - 1].name));
	return e;
}

static struct answer *program_ask(struct end *e, const char *request)
{
	assert_true(end_puts(e, request));
	return end_answer_to(e, strncmp(request, "HEAD", 4) == 0);
}

/* -------------------------------------------------------------------------------------------- server -- */

/* The server side of one upstream connection; tls_host: NULL in clear. */
static struct end *server_accept(struct rig *r, const char *tls_host)
{
	struct pollfd p = {.fd = r->server, .events = POLLIN};
	struct end *e;
	int fd;

	if (poll(&p, 1, 10000) != 1)
		return NULL;
	fd = accept4(r->server, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return NULL;
	e = end_new(fd);
	if (!tls_host)
		return e;
	e->session.host = tls_host;
	if (ca_accept(r->server_ca, fd, &e->session, &e->ssl) < 0 || SSL_accept(e->ssl) != 1) {
		ERR_clear_error();
		end_free(e);
		return NULL;
	}
	return e;
}

/* A server that answers on its own thread: one function for one test. */
struct server {
	struct rig *r;
	pthread_t thread;
	void (*fn)(struct server *s);
	const char *tls_host;
	char seen[64 << 10]; /* what it received */
	size_t count;
};

static void *server_main(void *arg)
{
	struct server *s = arg;

	s->fn(s);
	return NULL;
}

static struct server *server_start(struct rig *r, const char *tls_host, void (*fn)(struct server *))
{
	struct server *s = calloc(1, sizeof(*s));

	s->r = r;
	s->fn = fn;
	s->tls_host = tls_host;
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
	return s;
}

static void server_join(struct server *s)
{
	pthread_join(s->thread, NULL);
}

static void server_free(struct server *s)
{
	server_join(s);
	free(s);
}

static void server_saw(struct server *s, const char *text)
{
	size_t at = strlen(s->seen);

	snprintf(s->seen + at, sizeof(s->seen) - at, "%s", text ? text : "(end)");
}

/* Nothing ever arrives at the server. */
static void assert_server_untouched(struct rig *r)
{
	struct pollfd p = {.fd = r->server, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 50), 0);
}
