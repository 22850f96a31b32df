/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_body.c - where a body ends: Content-Length, chunked coding (RFC 9112 section 7.1), or the close.
 *
 * Content is returned as parts of the input, framing is swallowed: sizes, extensions and trailers go no
 * further.  A chunk size is one to fifteen hex digits and nothing else, so no two readers can take it for
 * different numbers.
 */
#include "proxy/http1.h"

enum {
	B_SIZE,
	B_EXT,
	B_SIZE_LF,
	B_DATA,
	B_DATA_CR,
	B_DATA_LF,
	B_TRAILER, /* first byte of a line after the last chunk */
	B_TRAILER_NAME,
	B_TRAILER_VALUE,
	B_TRAILER_LF,
	B_END_LF,
};

#define SIZE_DIGITS_MAX 15u
#define EXCESS_MAX (16u << 10)

void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length)
{
	*b = (struct http1_body){.framing = framing};
	if (framing == HTTP1_LENGTH)
		b->left = length;
	b->done = framing == HTTP1_NO_BODY || (framing == HTTP1_LENGTH && length == 0);
}

static enum http1_error size_byte(struct http1_body *b, uint8_t c)
{
	unsigned v;

	if (c >= '0' && c <= '9')
		v = (unsigned)(c - '0');
	else if ((c | 32) >= 'a' && (c | 32) <= 'f')
		v = (unsigned)((c | 32) - 'a' + 10);
	else {
		if (b->digits == 0 || (c != '\r' && c != ';'))
			return c == '\n' ? HTTP1_E_BARE_LF : HTTP1_E_CHUNK_SIZE;
		b->state = c == ';' ? B_EXT : B_SIZE_LF;
		return HTTP1_OK;
	}
	if (++b->digits > SIZE_DIGITS_MAX)
		return HTTP1_E_CHUNK_SIZE;
	b->left = b->left << 4 | v;
	return HTTP1_OK;
}

static enum http1_error ext_byte(struct http1_body *b, uint8_t c)
{
	if (++b->line > HTTP1_CHUNK_LINE_MAX)
		return HTTP1_E_CHUNK_EXT;
	if (c == '\r') {
		b->state = B_SIZE_LF;
		return HTTP1_OK;
	}
	if (c == '\n')
		return HTTP1_E_BARE_LF;
	return c == '\t' || (c >= 0x20 && c != 0x7f) ? HTTP1_OK : HTTP1_E_CHUNK_EXT;
}

/* After the size line.  Many tiny chunks with long extensions are an attack on whoever counts content only:
 * framing may exceed the content by a bounded amount. */
static enum http1_error size_line_end(struct http1_body *b, uint8_t c)
{
	uint64_t earned = b->left < 4096 ? b->left : 4096;

	if (c != '\n')
		return HTTP1_E_BARE_CR;
	b->excess += b->line;
	b->excess -= b->excess < earned ? b->excess : (uint32_t)earned;
	if (b->excess > EXCESS_MAX)
		return HTTP1_E_CHUNK_EXT;
	b->line = b->digits = 0;
	b->state = b->left ? B_DATA : B_TRAILER;
	return HTTP1_OK;
}

static enum http1_error trailer_byte(struct http1_body *b, uint8_t c)
{
	if (++b->trailer > HTTP1_TRAILER_MAX)
		return HTTP1_E_TRAILER;
	if (c == '\n')
		return HTTP1_E_BARE_LF;
	if (b->state == B_TRAILER) {
		b->state = c == '\r' ? B_END_LF : B_TRAILER_NAME;
		if (c == '\r')
			return HTTP1_OK;
		if (c == ':')
			return HTTP1_E_TRAILER;
	}
	if (b->state == B_TRAILER_NAME) {
		if (c == ':')
			b->state = B_TRAILER_VALUE;
		else if (c <= 0x20 || c >= 0x7f || strchr("\"(),/;<=>?@[\\]{}", c))
			return HTTP1_E_TRAILER;
		return HTTP1_OK;
	}
	if (c == '\r')
		b->state = B_TRAILER_LF;
	else if (c != '\t' && (c < 0x20 || c == 0x7f))
		return HTTP1_E_TRAILER;
	return HTTP1_OK;
}

static enum http1_error lf_byte(struct http1_body *b, uint8_t c)
{
	if (c != '\n')
		return HTTP1_E_BARE_CR;
	b->done = b->state == B_END_LF;
	b->state = b->state == B_DATA_LF ? B_SIZE : B_TRAILER;
	return HTTP1_OK;
}

static enum http1_error framing_byte(struct http1_body *b, uint8_t c)
{
	switch (b->state) {
	case B_SIZE:
		return size_byte(b, c);
	case B_EXT:
		return ext_byte(b, c);
	case B_SIZE_LF:
		return size_line_end(b, c);
	case B_DATA_CR:
		b->state = B_DATA_LF;
		return c == '\r' ? HTTP1_OK : HTTP1_E_CHUNK_END;
	case B_DATA_LF:
	case B_TRAILER_LF:
	case B_END_LF:
		return lf_byte(b, c);
	default:
		return trailer_byte(b, c);
	}
}

static size_t take_content(struct http1_body *b, struct slice in, size_t max, struct slice *ret)
{
	size_t n = in.n < max ? in.n : max;

	if (b->framing != HTTP1_UNTIL_CLOSE && n > b->left)
		n = (size_t)b->left;
	*ret = (struct slice){in.p, n};
	if (b->framing != HTTP1_UNTIL_CLOSE)
		b->left -= n;
	return n;
}

size_t http1_body_feed(struct http1_body *b, struct slice in, size_t max, struct slice *ret_data)
{
	size_t i = 0;

	*ret_data = (struct slice){0};
	if (b->done || b->error != HTTP1_OK)
		return 0;
	if (b->framing != HTTP1_CHUNKED) {
		i = take_content(b, in, max, ret_data);
		b->done = b->framing == HTTP1_LENGTH && b->left == 0;
		return i;
	}
	while (i < in.n && b->state != B_DATA && !b->done) {
		b->error = framing_byte(b, in.p[i++]);
		if (b->error != HTTP1_OK)
			return i;
	}
	if (b->state == B_DATA && i < in.n && max) {
		i += take_content(b, (struct slice){in.p + i, in.n - i}, max, ret_data);
		if (b->left == 0)
			b->state = B_DATA_CR;
	}
	return i;
}
