/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - see stream.h.  No policy and no buffering; OpenSSL's many ways to say "not now" end here.
 */
#include "proxy/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

static void on_io(struct loop_watch *w, uint32_t events)
{
	struct stream *s = w->arg;
	bool gone = events & (EPOLLERR | EPOLLHUP);

	if ((events & ~(uint32_t)EPOLLOUT) || s->read_needs_write)
		s->drained = false;
	if (s->wanted == 0 && gone) {
		/* Level-triggered and unwanted: it would come back for ever. */
		loop_del(s->loop, w);
		s->fn(s->arg, true);
		return;
	}
	if (!(events & s->wanted) && !gone) {
		loop_mod(s->loop, w, s->wanted); /* what stream_want() had left on */
		return;
	}
	s->fn(s->arg, false);
}

void stream_init(struct stream *s, struct loop *l, int fd, stream_fn fn, void *arg)
{
	*s = (struct stream){.loop = l, .fd = fd, .fn = fn, .arg = arg};
	s->watch.fd = -1;
}

void stream_tune(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

const char *stream_tls_error(void)
{
	unsigned long e = ERR_get_error();
	const char *why = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return why ? why : "connection closed";
}

/* Result of an SSL call that did not succeed. */
static int tls_result(struct stream *s, int ret, bool *needs_other, int other)
{
	int e = SSL_get_error(s->ssl, ret), saved = errno;

	*needs_other = e == other;
	switch (e) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		s->broken = true;
		return saved > 0 ? -saved : -ENODATA;
	default:
		s->broken = true;
		if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return -ENODATA;
		return -EPROTO;
	}
}

static ssize_t read_clear(struct stream *s, void *to, size_t n)
{
	ssize_t r;

	do
		r = recv(s->fd, to, n, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno != EAGAIN)
		s->broken = true;
	return r < 0 ? -errno : r;
}

static ssize_t read_tls(struct stream *s, void *to, size_t n)
{
	size_t got;
	int ok;

	ERR_clear_error();
	errno = 0;
	ok = SSL_read_ex(s->ssl, to, n, &got);
	s->read_needs_write = false;
	return ok == 1 ? (ssize_t)got : tls_result(s, ok, &s->read_needs_write, SSL_ERROR_WANT_WRITE);
}

ssize_t stream_read(struct stream *s, void *to, size_t n)
{
	ssize_t r;

	if (s->drained)
		return -EAGAIN;
	r = s->ssl ? read_tls(s, to, n) : read_clear(s, to, n);
	/* Less than asked for: the rest has not come yet.  Should it come now, the loop will tell. */
	if (r == -EAGAIN || (r > 0 && (size_t)r < n && !(s->ssl && SSL_has_pending(s->ssl))))
		s->drained = true;
	return r;
}

ssize_t stream_probe(struct stream *s, void *to, size_t n)
{
	s->drained = false;
	return stream_read(s, to, n);
}

ssize_t stream_write(struct stream *s, const void *p, size_t n)
{
	ssize_t r;
	size_t put;
	int ok;

	if (!s->ssl) {
		do
			r = send(s->fd, p, n, MSG_NOSIGNAL);
		while (r < 0 && errno == EINTR);
		s->broken = s->broken || (r < 0 && errno != EAGAIN);
		return r < 0 ? -errno : r;
	}
	ERR_clear_error();
	errno = 0;
	ok = SSL_write_ex(s->ssl, p, n, &put);
	s->write_needs_read = false;
	if (ok == 1)
		return (ssize_t)put;
	r = tls_result(s, ok, &s->write_needs_read, SSL_ERROR_WANT_READ);
	return r == 0 ? -EPIPE : r;
}

int stream_handshake(struct stream *s)
{
	int ok, r;

	ERR_clear_error();
	errno = 0;
	ok = SSL_do_handshake(s->ssl);
	s->read_needs_write = false;
	if (ok == 1)
		return 0;
	r = tls_result(s, ok, &s->read_needs_write, SSL_ERROR_WANT_WRITE);
	return r == 0 ? -ENODATA : r;
}

/* Interest in reading goes on and off with every request: it is left on until it proves unwanted. */
int stream_want(struct stream *s, bool read, bool write)
{
	uint32_t ev = 0;

	if (s->fd < 0)
		return 0;
	if (read)
		ev |= s->read_needs_write ? EPOLLOUT : EPOLLIN;
	if (write)
		ev |= s->write_needs_read ? EPOLLIN : EPOLLOUT;
	s->wanted = ev;
	if (s->watch.fd >= 0)
		return loop_mod(s->loop, &s->watch, ev | (s->watch.events & EPOLLIN));
	return ev ? loop_add(s->loop, &s->watch, s->fd, ev, on_io, s) : 0;
}

void stream_shutdown(struct stream *s)
{
	if (s->fd < 0)
		return;
	if (s->ssl && !s->broken && SSL_is_init_finished(s->ssl)) {
		ERR_clear_error();
		SSL_shutdown(s->ssl);
	}
	shutdown(s->fd, SHUT_WR);
}

void stream_close(struct stream *s, bool reset)
{
	if (s->fd < 0)
		return;
	loop_del(s->loop, &s->watch);
	if (reset) {
		struct linger l = {.l_onoff = 1};

		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	}
	if (s->ssl) /* or OpenSSL takes the session for broken and never resumes it */
		SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(s->ssl);
	s->ssl = NULL;
	close(s->fd);
	s->fd = -1;
}
