/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - a non-blocking TCP connection in the loop, clear or under TLS, with one set of results.
 */
#pragma once

#include "proxy/loop.h"

#include <openssl/ssl.h>

struct stream;
/* hup: both directions are gone and nobody was waiting for anything; the watch is off until stream_want(). */
typedef void (*stream_fn)(void *arg, bool hup);

struct stream {
	struct loop *loop;
	struct loop_watch watch;
	uint32_t wanted; /* epoll events that stream_want() asked for */
	int fd;	  /* owned; -1: none */
	SSL *ssl; /* owned; NULL: clear */
	stream_fn fn;
	void *arg;
	bool read_needs_write, write_needs_read; /* TLS */
	bool broken;  /* an error was seen: no close_notify any more */
	bool drained; /* nothing to read until the loop says otherwise: saves a call that says EAGAIN */
};

void stream_init(struct stream *s, struct loop *l, int fd, stream_fn fn, void *arg);

/* > 0: bytes.  0: the peer ended its direction cleanly.  -EAGAIN.  -ENODATA: the transport ended without
 * close_notify.  Other negative errno: broken (-EPROTO: TLS). */
ssize_t stream_read(struct stream *s, void *to, size_t n);
ssize_t stream_write(struct stream *s, const void *p, size_t n);
/* 0: done; -EAGAIN; other: failed (-EPROTO: stream_tls_error()). */
int stream_handshake(struct stream *s);
/* Text of the oldest error of OpenSSL's queue; empties it.  Never NULL. */
const char *stream_tls_error(void);

/* As stream_read(), and asks the kernel whatever is known. */
ssize_t stream_probe(struct stream *s, void *to, size_t n);

/* What to wait for; called again after every turn of reading and writing. */
int stream_want(struct stream *s, bool read, bool write);
/* Ends our direction: close_notify, then FIN. */
void stream_shutdown(struct stream *s);
/* reset: RST, queued bytes are dropped (SO_LINGER 0). */
void stream_close(struct stream *s, bool reset);
/* Sets what every connection has: no delay, keep-alive. */
void stream_tune(int fd);
