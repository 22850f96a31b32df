/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 reader and writers.  The first byte chooses: request or response, and how the input is cut.
 *
 * Besides memory: a message must mean the same whatever the cuts; what the writer makes of an accepted message
 * must be accepted again, with the same framing and the same end; content must come out as it went in.
 */
#include "proxy/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(cond) \
	do { \
		if (!(cond)) \
			abort(); \
	} while (0)

/* Reads a head in steps; the result is the error, or that of the meaning. HTTP1_MORE: *ret_more. */
static enum http1_error read_head(struct http1_head *h, bool response, struct slice *s, size_t step, bool *ret_more)
{
	enum http1_result r = HTTP1_MORE;

	http1_head_init(h, response);
	while (r == HTTP1_MORE && s->n) {
		size_t used, n = s->n < step ? s->n : step;

		r = http1_head_feed(h, (struct slice){s->p, n}, &used);
		CHECK(used <= n);
		*s = (struct slice){s->p + used, s->n - used};
	}
	*ret_more = r == HTTP1_MORE;
	if (r == HTTP1_BAD)
		return h->error;
	if (r == HTTP1_MORE)
		return HTTP1_OK;
	return response ? http1_response_meaning(h, false) : http1_request_meaning(h);
}

static enum http1_error read_body(const struct http1_head *h, struct slice *s, size_t step, struct buf *content,
				  bool *ret_done)
{
	struct http1_body b;

	http1_body_init(&b, h->framing, h->length);
	while (s->n && !b.done && b.error == HTTP1_OK) {
		struct slice data, in = {s->p, s->n < step ? s->n : step};
		size_t used = http1_body_feed(&b, in, step, &data);

		CHECK(used > 0 && used <= in.n);
		CHECK(data.n == 0 || (data.p >= in.p && data.p + data.n <= in.p + used));
		buf_put_slice(content, data);
		*s = (struct slice){s->p + used, s->n - used};
	}
	*ret_done = b.done;
	return b.error;
}

static void write_head(struct buf *out, const struct http1_head *h)
{
	if (h->response) {
		struct http1_response_out o = {.framing = h->framing, .keep_alive = true, .client_minor = 1};

		CHECK(http1_write_response(out, h, &o) == 0);
	} else {
		struct http1_request_out o = {.path = SLICE_LIT("/"), .host = "h"};

		CHECK(http1_write_request(out, h, &o) == 0);
	}
}

/* What we send must be read by a strict reader as what we read. */
static void check_written(const struct http1_head *h, const struct buf *content, bool done)
{
	struct buf out = {0}, back = {0};
	struct http1_head again;
	struct slice s;
	bool more, done_again = false;

	write_head(&out, h);
	if (h->framing == HTTP1_CHUNKED && buf_len(content))
		http1_write_chunk(&out, buf_slice(content));
	else if (h->framing != HTTP1_CHUNKED)
		buf_put_slice(&out, buf_slice(content));
	if (h->framing == HTTP1_CHUNKED && done)
		http1_write_last_chunk(&out);
	s = buf_slice(&out);
	CHECK(read_head(&again, h->response, &s, SIZE_MAX, &more) == HTTP1_OK || out.w > HTTP1_HEAD_MAX - 256);
	if (again.error == HTTP1_OK && !more) {
		CHECK(again.framing == h->framing);
		CHECK(h->framing != HTTP1_LENGTH || again.length == h->length);
		CHECK(read_body(&again, &s, SIZE_MAX, &back, &done_again) == HTTP1_OK);
		CHECK(done_again == done && s.n == 0);
		CHECK(slice_eq(buf_slice(&back), buf_slice(content)));
	}
	http1_head_done(&again);
	buf_done(&out);
	buf_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct http1_head a, b;
	struct buf ca = {0}, cb = {0};
	bool response, more_a, more_b, done_a = false, done_b = false;
	struct slice sa, sb;
	size_t step;
	enum http1_error ea, eb;

	if (n < 1)
		return 0;
	response = p[0] & 1;
	step = (size_t)(p[0] >> 1) % 17 + 1;
	sa = sb = (struct slice){p + 1, n - 1};
	ea = read_head(&a, response, &sa, SIZE_MAX, &more_a);
	eb = read_head(&b, response, &sb, step, &more_b);
	CHECK(ea == eb && more_a == more_b && sa.n == sb.n);
	if (ea == HTTP1_OK && !more_a) {
		CHECK(a.framing == b.framing && a.length == b.length && a.keep_alive == b.keep_alive);
		ea = read_body(&a, &sa, SIZE_MAX, &ca, &done_a);
		eb = read_body(&b, &sb, step, &cb, &done_b);
		CHECK(ea == eb && done_a == done_b && slice_eq(buf_slice(&ca), buf_slice(&cb)));
		if (ea == HTTP1_OK) {
			CHECK(sa.n == sb.n);
			check_written(&a, &ca, done_a);
		}
	}
	http1_head_done(&a);
	http1_head_done(&b);
	buf_done(&ca);
	buf_done(&cb);
	return 0;
}
