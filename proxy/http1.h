/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1.h - HTTP/1.1 as bytes (RFC 9112): strict readers of heads and bodies, and the writers.
 *
 * Pure: no sockets, no policy.  What is not exactly the grammar is refused, with the reason; nothing is
 * repaired.  Two readers of one message must never disagree about where it ends, so whoever forwards a
 * message writes it anew from what was read here and never passes bytes of a head or of chunk framing on.
 */
#pragma once

#include "proxy/buf.h"

#define HTTP1_HEAD_MAX (64u << 10) /* bytes of a head, its end included */
#define HTTP1_TARGET_MAX 8192u
#define HTTP1_METHOD_MAX 32u
#define HTTP1_FIELDS_MAX 256u
#define HTTP1_OPTIONS_MAX 16u	   /* options named in Connection fields */
#define HTTP1_CHUNK_LINE_MAX 1024u /* chunk size and extensions */
#define HTTP1_TRAILER_MAX (16u << 10)

/* name, status a request that has it is answered with, words for the log and the error body */
#define HTTP1_ERRORS(X)                                                                           \
	X(BARE_LF, 400, "bare line feed")                                                         \
	X(BARE_CR, 400, "carriage return without line feed")                                      \
	X(METHOD, 400, "malformed method")                                                        \
	X(METHOD_REFUSED, 400, "method not supported")                                            \
	X(TARGET, 400, "malformed request target")                                                \
	X(TARGET_LONG, 414, "request target too long")                                            \
	X(VERSION, 400, "malformed request line")                                                 \
	X(VERSION_UNSUPPORTED, 505, "HTTP version not supported")                                 \
	X(STATUS_LINE, 400, "malformed status line")                                              \
	X(STATUS_101, 400, "unexpected protocol switch")                                          \
	X(FIELD_NAME, 400, "malformed field name")                                                \
	X(SPACE_COLON, 400, "space before colon")                                                 \
	X(FOLD, 400, "folded field line")                                                         \
	X(FIELD_VALUE, 400, "control byte in field value")                                        \
	X(HEAD_LONG, 431, "head too long")                                                        \
	X(FIELDS, 431, "too many fields")                                                         \
	X(NO_HOST, 400, "no Host field")                                                          \
	X(HOSTS, 400, "more than one Host field")                                                 \
	X(HOST, 400, "malformed Host field")                                                      \
	X(LENGTH, 400, "malformed Content-Length")                                                \
	X(LENGTHS, 400, "more than one Content-Length")                                           \
	X(LENGTH_TE, 400, "Content-Length together with Transfer-Encoding")                       \
	X(TE, 400, "Transfer-Encoding other than chunked")                                        \
	X(TE_10, 400, "Transfer-Encoding in HTTP/1.0")                                            \
	X(EXPECT, 400, "Expect other than 100-continue")                                          \
	X(OVERRIDE, 400, "a field that asks for another method or target")                        \
	X(OPTIONS, 400, "malformed Connection field")                                             \
	X(CHUNK_SIZE, 400, "malformed chunk size")                                                \
	X(CHUNK_EXT, 400, "malformed or oversized chunk extension")                               \
	X(CHUNK_END, 400, "chunk longer than its size")                                           \
	X(TRAILER, 400, "malformed or oversized trailer")                                         \
	X(MEMORY, 503, "out of memory")

enum http1_error {
	HTTP1_OK = 0,
#define X(name, status, text) HTTP1_E_##name,
	HTTP1_ERRORS(X)
#undef X
};
const char *http1_error_text(enum http1_error e);
unsigned http1_error_status(enum http1_error e);

enum http1_framing { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

/* Part of a head: offset and length in its arena. */
struct http1_span {
	uint32_t at, n;
};

struct http1_field {
	struct http1_span name, value; /* value without the white space around it */
};

/* A request or response head.  The bytes are copied into the arena as they are read, so that slices of a
 * complete head stay valid until http1_head_done(). */
struct http1_head {
	/* the reader */
	bool response;
	uint8_t state;
	enum http1_error error;
	uint8_t *arena;
	uint32_t n, cap;
	uint32_t mark;	  /* where the current element began */
	uint32_t end;	  /* end of the current value without trailing white space */
	struct http1_field *fields;
	uint32_t nfields, cap_fields;

	/* the first line */
	struct http1_span method, target; /* request */
	struct http1_span reason;	  /* response */
	unsigned status;
	unsigned minor; /* HTTP/1.minor: 0 or 1 */

	/* what it means: http1_request_meaning(), http1_response_meaning() */
	enum http1_framing framing;
	uint64_t length; /* HTTP1_LENGTH; also Content-Length of a response without body */
	bool has_length;
	bool keep_alive;      /* the sender wants the connection kept */
	bool expect_continue; /* request */
	struct slice host;    /* request; p == NULL: none (HTTP/1.0) */
	struct slice options[HTTP1_OPTIONS_MAX];
	size_t noptions;
};

enum http1_result { HTTP1_MORE, HTTP1_DONE, HTTP1_BAD };

void http1_head_init(struct http1_head *h, bool response);
void http1_head_done(struct http1_head *h);
static inline bool http1_head_empty(const struct http1_head *h)
{
	return h->n == 0;
}
/* Reads on.  *ret_used: bytes of `in` that belong to the head, never one more. */
enum http1_result http1_head_feed(struct http1_head *h, struct slice in, size_t *ret_used);

struct slice http1_slice(const struct http1_head *h, struct http1_span s);
bool http1_name_is(struct slice name, const char *lower); /* case-insensitive */
/* First field of that name; p == NULL: none. */
struct slice http1_field(const struct http1_head *h, const char *lower);

/* Framing, Host and connection options of a complete head (RFC 9112 section 6.3, 7, 9). */
enum http1_error http1_request_meaning(struct http1_head *h);
enum http1_error http1_response_meaning(struct http1_head *h, bool to_head_request);

/* uri-host [":" port], the only forms that Host may have here: a name of letters, digits, '-', '_', '.', an
 * IPv4 literal, or an IPv6 literal in brackets (returned without).  *ret_port: -1 when absent. */
bool http1_authority(struct slice s, struct slice *ret_host, int *ret_port);

/* ---------------------------------------------------------------------------------------- bodies -- */

struct http1_body {
	enum http1_framing framing;
	uint8_t state;
	bool done;
	enum http1_error error;
	uint64_t left;	 /* of the body (length) or of the chunk */
	uint32_t line;	 /* bytes of the current size line, or digits of the size */
	uint32_t digits;
	uint32_t excess; /* framing bytes beyond what the data justifies */
	uint32_t trailer;
};

void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length);
/* Consumes framing and at most max bytes of content.  Returns the bytes of `in` consumed; *ret_data is the
 * content among them (a part of `in`, may be empty).  Check b->error, then b->done; 0 consumed: more is
 * needed.  HTTP1_UNTIL_CLOSE is never done by itself. */
size_t http1_body_feed(struct http1_body *b, struct slice in, size_t max, struct slice *ret_data);

/* --------------------------------------------------------------------------------------- writers -- */

struct http1_request_out {
	struct slice path;  /* canonical */
	struct slice query; /* p == NULL: none; re-encoded by http1_write_query() */
	const char *host;   /* Host field as it will be sent */
};
/* All writers: 0, or -ENOMEM with the buffer unchanged in meaning (the caller gives up). */
int http1_write_request(struct buf *out, const struct http1_head *h, const struct http1_request_out *o);
/* A query in the one spelling that every server reads as it was judged: '+' as %20, ';' as %3B, upper-case
 * hex, everything that is not a query character encoded. */
int http1_write_query(struct buf *out, struct slice raw);

struct http1_response_out {
	enum http1_framing framing; /* to the program */
	bool keep_alive;
	unsigned client_minor;
};
int http1_write_response(struct buf *out, const struct http1_head *h, const struct http1_response_out *o);

#define HTTP1_CHUNK_OVERHEAD 20u /* bytes that one chunk adds at most */
int http1_write_chunk(struct buf *out, struct slice data); /* data not empty */
int http1_write_last_chunk(struct buf *out);
