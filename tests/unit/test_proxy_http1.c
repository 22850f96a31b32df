/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 reader and writers, case by case.  Every head is also fed one byte at a time: where the network
 * cuts must not matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "proxy/http1.h"

/* ------------------------------------------------------------------------------------------- heads -- */

/* Reads a head in steps of so many bytes, then its meaning.  *ret_left: bytes behind it. */
static enum http1_error read_head(struct http1_head *h, bool response, bool to_head, struct slice s, size_t step,
				  size_t *ret_left)
{
	enum http1_result r = HTTP1_MORE;

	http1_head_init(h, response);
	while (r == HTTP1_MORE && s.n) {
		size_t used, n = s.n < step ? s.n : step;

		r = http1_head_feed(h, (struct slice){s.p, n}, &used);
		assert_true(used <= n);
		s = (struct slice){s.p + used, s.n - used};
	}
	*ret_left = s.n;
	if (r == HTTP1_BAD)
		return h->error;
	assert_int_equal(r, HTTP1_DONE);
	return response ? http1_response_meaning(h, to_head) : http1_request_meaning(h);
}

struct head_case {
	const char *text;
	size_t n; /* 0: strlen */
	enum http1_error error;
	enum http1_framing framing;
	uint64_t length;
};

#define HOST "Host: a\r\n"
#define BAD(text, e) {text, sizeof(text) - 1, HTTP1_E_##e, HTTP1_NO_BODY, 0}
#define GOOD(text, f, l) {text, sizeof(text) - 1, HTTP1_OK, HTTP1_##f, l}

static const struct head_case requests[] = {
	/* the first line */
	GOOD("GET / HTTP/1.1\r\n" HOST "\r\n", NO_BODY, 0),
	GOOD("\r\nGET / HTTP/1.1\r\n" HOST "\r\n", NO_BODY, 0),
	GOOD("GET / HTTP/1.0\r\n\r\n", NO_BODY, 0),
	GOOD("M-SEARCH / HTTP/1.1\r\n" HOST "\r\n", NO_BODY, 0),
	GOOD("get / HTTP/1.1\r\n" HOST "\r\n", NO_BODY, 0),
	BAD("\r\n\r\nGET / HTTP/1.1\r\n", METHOD),
	BAD("\nGET / HTTP/1.1\r\n", BARE_LF),
	BAD(" GET / HTTP/1.1\r\n", METHOD),
	BAD("GET  / HTTP/1.1\r\n", TARGET),
	BAD("GET\t/ HTTP/1.1\r\n", METHOD),
	BAD("GE(T / HTTP/1.1\r\n", METHOD),
	BAD("GET\0 / HTTP/1.1\r\n", METHOD),
	BAD("G\x80T / HTTP/1.1\r\n", METHOD),
	BAD("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n", METHOD),
	BAD("GET /\r\n", VERSION),
	BAD("GET / \r\n", VERSION),
	BAD("GET /a b HTTP/1.1\r\n", VERSION),
	BAD("GET / HTTP/1.1 \r\n", VERSION),
	BAD("GET / http/1.1\r\n", VERSION),
	BAD("GET / HTTP/11\r\n", VERSION),
	BAD("GET / HTTP/1.10\r\n", VERSION),
	BAD("GET / HTTP/0.9\r\n", VERSION_UNSUPPORTED),
	BAD("GET / HTTP/1.2\r\n", VERSION_UNSUPPORTED),
	BAD("GET / HTTP/2.0\r\n", VERSION_UNSUPPORTED),
	BAD("PRI * HTTP/2.0\r\n", VERSION_UNSUPPORTED),
	BAD("GET / HTTP/1.1\n", BARE_LF),
	BAD("GET / HTTP/1.1\r\r\n", BARE_CR),
	BAD("GET / HTTP/1.1\rX", BARE_CR),
	BAD("GET /\x01 HTTP/1.1\r\n", TARGET),
	BAD("GET /\x7f HTTP/1.1\r\n", TARGET),
	BAD("GET /\t HTTP/1.1\r\n", TARGET),
	BAD("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", METHOD_REFUSED),
	BAD("connect a:443 HTTP/1.1\r\n" HOST "\r\n", METHOD_REFUSED),
	BAD("TRACE / HTTP/1.1\r\n" HOST "\r\n", METHOD_REFUSED),
	BAD("PRI * HTTP/1.1\r\n" HOST "\r\n", METHOD_REFUSED),

	/* fields */
	GOOD("GET / HTTP/1.1\r\n" HOST "X:\r\n\r\n", NO_BODY, 0),
	GOOD("GET / HTTP/1.1\r\n" HOST "X: \t \r\n\r\n", NO_BODY, 0),
	GOOD("GET / HTTP/1.1\r\n" HOST "X: a\x80\xff\r\n\r\n", NO_BODY, 0),
	BAD("GET / HTTP/1.1\r\nX : a\r\n\r\n", SPACE_COLON),
	BAD("GET / HTTP/1.1\r\nX\t: a\r\n\r\n", SPACE_COLON),
	BAD("GET / HTTP/1.1\r\n X: a\r\n\r\n", FOLD),
	BAD("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", FOLD),
	BAD("GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n", FOLD),
	BAD("GET / HTTP/1.1\r\nX: a\n\r\n", BARE_LF),
	BAD("GET / HTTP/1.1\r\nX: a\r\r\n", BARE_CR),
	BAD("GET / HTTP/1.1\r\nX: a\rb\r\n", BARE_CR),
	BAD("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", FIELD_VALUE),
	BAD("GET / HTTP/1.1\r\nX: a\x0b\r\n\r\n", FIELD_VALUE),
	BAD("GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n", FIELD_VALUE),
	BAD("GET / HTTP/1.1\r\n: a\r\n\r\n", FIELD_NAME),
	BAD("GET / HTTP/1.1\r\nX\r\n\r\n", FIELD_NAME),
	BAD("GET / HTTP/1.1\r\nX(: a\r\n\r\n", FIELD_NAME),
	BAD("GET / HTTP/1.1\r\nX\0: a\r\n\r\n", FIELD_NAME),
	BAD("GET / HTTP/1.1\r\n\n", BARE_LF),
	BAD("GET / HTTP/1.1\r\n" HOST "\n", BARE_LF),

	/* Host */
	GOOD("GET / HTTP/1.1\r\nHOST:a:80\r\n\r\n", NO_BODY, 0),
	GOOD("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", NO_BODY, 0),
	BAD("GET / HTTP/1.1\r\n\r\n", NO_HOST),
	BAD("GET / HTTP/1.1\r\n" HOST HOST "\r\n", HOSTS),
	BAD("GET / HTTP/1.1\r\n" HOST "hOsT: b\r\n\r\n", HOSTS),
	BAD("GET / HTTP/1.1\r\nHost:\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a:\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HOST),
	BAD("GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", HOST),

	/* framing */
	GOOD("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", LENGTH, 5),
	GOOD("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", NO_BODY, 0),
	GOOD("POST / HTTP/1.1\r\n" HOST "Content-Length: 005\r\n\r\n", LENGTH, 5),
	GOOD("POST / HTTP/1.1\r\n" HOST "Content-Length: 999999999999999999\r\n\r\n", LENGTH, 999999999999999999u),
	GOOD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", CHUNKED, 0),
	GOOD("POST / HTTP/1.1\r\n" HOST "transfer-encoding:CHUNKED\r\n\r\n", CHUNKED, 0),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", LENGTHS),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", LENGTHS),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 6\r\n\r\n", LENGTHS),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n", LENGTH),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n", LENGTH),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n", LENGTH),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n", LENGTH),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 5 5\r\n\r\n", LENGTH),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", LENGTH),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 1000000000000000000\r\n\r\n", LENGTH),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551621\r\n\r\n", LENGTH),
	BAD("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH_TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", LENGTH_TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b" "chunked\r\n\r\n", FIELD_VALUE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n", TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;q=1\r\n\r\n", TE),
	BAD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", TE),
	BAD("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", TE_10),

	/* Expect, Connection */
	GOOD("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n", LENGTH, 5),
	BAD("POST / HTTP/1.1\r\n" HOST "Expect: 200-maybe\r\n\r\n", EXPECT),
	BAD("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue, x\r\n\r\n", EXPECT),
	BAD("GET / HTTP/1.1\r\n" HOST "X-HTTP-Method-Override: POST\r\n\r\n", OVERRIDE),
	BAD("GET / HTTP/1.1\r\n" HOST "x-method-override: delete\r\n\r\n", OVERRIDE),
	BAD("GET / HTTP/1.1\r\n" HOST "X_HTTP_Method-Override: POST\r\n\r\n", OVERRIDE),
	BAD("GET / HTTP/1.1\r\n" HOST "X-Original-URL: /admin\r\n\r\n", OVERRIDE),
	BAD("GET / HTTP/1.1\r\n" HOST "x_rewrite_url: /admin\r\n\r\n", OVERRIDE),
	GOOD("GET / HTTP/1.1\r\n" HOST "X-Original: /admin\r\n\r\n", NO_BODY, 0),
	GOOD("GET / HTTP/1.1\r\n" HOST "Connection: , close ,,\r\n\r\n", NO_BODY, 0),
	BAD("GET / HTTP/1.1\r\n" HOST "Connection: a b\r\n\r\n", OPTIONS),
	BAD("GET / HTTP/1.1\r\n" HOST "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n", OPTIONS),
};

static const struct head_case responses[] = {
	GOOD("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", LENGTH, 3),
	GOOD("HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", LENGTH, 3),
	GOOD("HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n", LENGTH, 3),
	GOOD("HTTP/1.1 200 Tout \xc3\xa0 fait\r\n\r\n", UNTIL_CLOSE, 0),
	GOOD("HTTP/1.0 200 OK\r\n\r\n", UNTIL_CLOSE, 0),
	GOOD("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKED, 0),
	GOOD("HTTP/1.1 204 No Content\r\n\r\n", NO_BODY, 0),
	GOOD("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", NO_BODY, 7),
	GOOD("HTTP/1.1 100 Continue\r\n\r\n", NO_BODY, 0),
	GOOD("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", NO_BODY, 0),
	BAD("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", STATUS_101),
	BAD("HTTP/1.1 99 X\r\n\r\n", STATUS_LINE),
	BAD("HTTP/1.1 099 X\r\n\r\n", STATUS_LINE),
	BAD("HTTP/1.1 600 X\r\n\r\n", STATUS_LINE),
	BAD("HTTP/1.1 2000 X\r\n\r\n", STATUS_LINE),
	BAD("HTTP/1.1 2x0 X\r\n\r\n", STATUS_LINE),
	BAD("HTTP/1.1  200 X\r\n\r\n", STATUS_LINE),
	BAD("HTTP/2.0 200 X\r\n\r\n", VERSION_UNSUPPORTED),
	BAD("HTTP/1.1200 X\r\n\r\n", STATUS_LINE),
	BAD("ICY 200 OK\r\n\r\n", STATUS_LINE),
	BAD("<html>", STATUS_LINE),
	BAD("HTTP/1.1 200 O\0K\r\n\r\n", STATUS_LINE),
	BAD("HTTP/1.1 200 OK\n\n", BARE_LF),
	BAD("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", SPACE_COLON),
	BAD("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", FOLD),
	BAD("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", LENGTHS),
	BAD("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH_TE),
	BAD("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", TE),
	BAD("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", TE_10),
};

static void check_cases(const struct head_case *c, size_t n, bool response)
{
	static const size_t steps[] = {SIZE_MAX, 1, 3};

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
			struct http1_head h;
			size_t left;
			enum http1_error e = read_head(&h, response, false,
						       (struct slice){(const uint8_t *)c[i].text, c[i].n},
						       steps[k], &left);

			if (e != c[i].error)
				print_error("%s: %s instead of %s\n", c[i].text, http1_error_text(e),
					    http1_error_text(c[i].error));
			assert_int_equal(e, c[i].error);
			if (e == HTTP1_OK) {
				assert_int_equal(h.framing, c[i].framing);
				assert_int_equal(h.length, c[i].length);
				assert_int_equal(left, 0);
			}
			http1_head_done(&h);
		}
	}
}

static void test_request_heads(void **state)
{
	(void)state;
	check_cases(requests, ARRAY_LEN(requests), false);
	print_message("%zu requests\n", ARRAY_LEN(requests));
}

static void test_response_heads(void **state)
{
	(void)state;
	check_cases(responses, ARRAY_LEN(responses), true);
	print_message("%zu responses\n", ARRAY_LEN(responses));
}

static void test_end_of_head(void **state)
{
	struct slice s = SLICE_LIT("GET / HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n");
	struct http1_head h;
	size_t left;

	(void)state;
	assert_int_equal(read_head(&h, false, false, s, SIZE_MAX, &left), HTTP1_OK);
	assert_int_equal(left, 17);
	assert_int_equal(h.nfields, 1);
	http1_head_done(&h);
}

static void test_keep_alive(void **state)
{
	static const struct {
		const char *text;
		bool keep;
	} cases[] = {
		{"GET / HTTP/1.1\r\n" HOST "\r\n", true},
		{"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false},
		{"GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: y, CLOSE\r\n\r\n", false},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http1_head h;
		size_t left;

		assert_int_equal(read_head(&h, false, false, slice_str(cases[i].text), 7, &left), HTTP1_OK);
		assert_int_equal(h.keep_alive, cases[i].keep);
		http1_head_done(&h);
	}
}

static void test_answer_to_head(void **state)
{
	struct slice s = SLICE_LIT("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
	struct http1_head h;
	size_t left;

	(void)state;
	assert_int_equal(read_head(&h, true, true, s, SIZE_MAX, &left), HTTP1_OK);
	assert_int_equal(h.framing, HTTP1_NO_BODY);
	assert_true(h.has_length);
	assert_int_equal(h.length, 10);
	http1_head_done(&h);
}

static enum http1_error feed_repeated(const char *start, const char *more, size_t times)
{
	struct http1_head h;
	enum http1_error e;
	size_t used;

	http1_head_init(&h, false);
	http1_head_feed(&h, slice_str(start), &used);
	while (times-- && http1_head_feed(&h, slice_str(more), &used) == HTTP1_MORE)
		;
	e = h.error;
	http1_head_done(&h);
	return e;
}

static void test_bounds(void **state)
{
	(void)state;
	assert_int_equal(feed_repeated("GET /", "aaaaaaaa", 1023), HTTP1_OK);
	assert_int_equal(feed_repeated("GET /", "aaaaaaaa", 1025), HTTP1_E_TARGET_LONG);
	assert_int_equal(feed_repeated("GET / HTTP/1.1\r\n", "a: b\r\n", 256), HTTP1_OK);
	assert_int_equal(feed_repeated("GET / HTTP/1.1\r\n", "a: b\r\n", 257), HTTP1_E_FIELDS);
	assert_int_equal(feed_repeated("GET / HTTP/1.1\r\na: ", "bbbbbbbb", 8000), HTTP1_OK);
	assert_int_equal(feed_repeated("GET / HTTP/1.1\r\na: ", "bbbbbbbb", 9000), HTTP1_E_HEAD_LONG);
	assert_int_equal(feed_repeated("GET / HTTP/1.1\r\n", "bbbbbbbb", 9000), HTTP1_E_HEAD_LONG);
	assert_int_equal(feed_repeated("GET / HTTP/1.1\r\na:", "        ", 9000), HTTP1_E_HEAD_LONG);
	assert_int_equal(http1_error_status(HTTP1_E_TARGET_LONG), 414);
	assert_int_equal(http1_error_status(HTTP1_E_HEAD_LONG), 431);
	assert_int_equal(http1_error_status(HTTP1_E_FIELDS), 431);
	assert_int_equal(http1_error_status(HTTP1_E_VERSION_UNSUPPORTED), 505);
}

/* ------------------------------------------------------------------------------------------- bodies -- */

/* Reads a body in steps and copies its content. */
static enum http1_error read_body(enum http1_framing f, uint64_t length, struct slice s, size_t step, size_t max,
				  char *to, bool *ret_done, size_t *ret_left)
{
	struct http1_body b;
	size_t at = 0;

	http1_body_init(&b, f, length);
	while (s.n && !b.done && b.error == HTTP1_OK) {
		struct slice data;
		size_t used =
			http1_body_feed(&b, (struct slice){s.p, s.n < step ? s.n : step}, max, &data);

		assert_true(data.n <= max && (data.n == 0 || (data.p >= s.p && data.p + data.n <= s.p + used)));
		if (data.n)
			memcpy(to + at, data.p, data.n);
		at += data.n;
		s = (struct slice){s.p + used, s.n - used};
		assert_true(used > 0);
	}
	to[at] = '\0';
	*ret_done = b.done;
	*ret_left = s.n;
	return b.error;
}

struct body_case {
	const char *text;
	size_t n;
	enum http1_error error;
	const char *content; /* NULL: not complete */
	size_t left;
};

#define CHUNKS(text, content, left) {text, sizeof(text) - 1, HTTP1_OK, content, left}
#define BADCHUNK(text, e) {text, sizeof(text) - 1, HTTP1_E_##e, NULL, 0}

static const struct body_case chunked[] = {
	CHUNKS("0\r\n\r\n", "", 0),
	CHUNKS("3\r\nabc\r\n0\r\n\r\n", "abc", 0),
	CHUNKS("3\r\nabc\r\n0000a\r\n0123456789\r\n00\r\n\r\n", "abc0123456789", 0),
	CHUNKS("A\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1", "0123456789", 14),
	CHUNKS("3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n", "abc", 0),
	CHUNKS("3\r\nabc\r\n0\r\nA: b\r\nC:\r\n\r\nX", "abc", 1),
	CHUNKS("3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", "abc", 0),
	CHUNKS("3\r\n\r\n\0\r\n0\r\n\r\n", "\r\n", 0),
	CHUNKS("3\r\nabc\r\n0\r\n", NULL, 0),
	CHUNKS("3\r\nab", NULL, 0),
	BADCHUNK("\r\n", CHUNK_SIZE),
	BADCHUNK("-1\r\n", CHUNK_SIZE),
	BADCHUNK("+3\r\nabc", CHUNK_SIZE),
	BADCHUNK(" 3\r\nabc", CHUNK_SIZE),
	BADCHUNK("3 \r\nabc", CHUNK_SIZE),
	BADCHUNK("3 ;a\r\nabc", CHUNK_SIZE),
	BADCHUNK("0x3\r\nabc", CHUNK_SIZE),
	BADCHUNK("3g\r\nabc", CHUNK_SIZE),
	BADCHUNK(";a\r\nabc", CHUNK_SIZE),
	BADCHUNK("3\nabc", BARE_LF),
	BADCHUNK("3\r\rabc", BARE_CR),
	BADCHUNK("3\rabc", BARE_CR),
	BADCHUNK("3;a\nabc", BARE_LF),
	BADCHUNK("3;a\0\r\nabc", CHUNK_EXT),
	BADCHUNK("3;a\r \nabc", BARE_CR),
	BADCHUNK("3\r\nabcd\r\n", CHUNK_END),
	BADCHUNK("3\r\nabc\n0\r\n", CHUNK_END),
	BADCHUNK("3\r\nabc\rX", BARE_CR),
	BADCHUNK("1000000000000000\r\n", CHUNK_SIZE),
	BADCHUNK("0000000000000003\r\n", CHUNK_SIZE),
	BADCHUNK("ffffffffffffffffff\r\n", CHUNK_SIZE),
	BADCHUNK("0\r\nA : b\r\n\r\n", TRAILER),
	BADCHUNK("0\r\n A: b\r\n\r\n", TRAILER),
	BADCHUNK("0\r\nA: b\r\n c\r\n\r\n", TRAILER),
	BADCHUNK("0\r\n: b\r\n\r\n", TRAILER),
	BADCHUNK("0\r\nA\r\n\r\n", TRAILER),
	BADCHUNK("0\r\nA: b\n\r\n", BARE_LF),
	BADCHUNK("0\r\nA: \0\r\n\r\n", TRAILER),
	BADCHUNK("0\r\n\n", BARE_LF),
	BADCHUNK("0\r\n\rX", BARE_CR),
};

static void test_chunked(void **state)
{
	static const size_t steps[] = {SIZE_MAX, 1, 2, 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(chunked); i++) {
		for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
			const struct body_case *c = &chunked[i];
			char got[256];
			bool done;
			size_t left;
			enum http1_error e = read_body(HTTP1_CHUNKED, 0,
						       (struct slice){(const uint8_t *)c->text, c->n}, steps[k],
						       k == 3 ? 2 : SIZE_MAX, got, &done, &left);

			if (e != c->error)
				print_error("%s: %s\n", c->text, http1_error_text(e));
			assert_int_equal(e, c->error);
			assert_int_equal(done, c->content != NULL);
			if (c->content) {
				assert_string_equal(got, c->content);
				assert_int_equal(left, c->left);
			}
		}
	}
	print_message("%zu chunked bodies\n", ARRAY_LEN(chunked));
}

static void test_length_and_close(void **state)
{
	char got[64];
	bool done;
	size_t left;

	(void)state;
	assert_int_equal(read_body(HTTP1_LENGTH, 3, SLICE_LIT("abcdef"), 2, SIZE_MAX, got, &done, &left), HTTP1_OK);
	assert_string_equal(got, "abc");
	assert_true(done);
	assert_int_equal(left, 3);
	read_body(HTTP1_LENGTH, 9, SLICE_LIT("abcdef"), SIZE_MAX, SIZE_MAX, got, &done, &left);
	assert_false(done);
	read_body(HTTP1_UNTIL_CLOSE, 0, SLICE_LIT("abcdef"), SIZE_MAX, 4, got, &done, &left);
	assert_string_equal(got, "abcdef");
	assert_false(done);
	read_body(HTTP1_NO_BODY, 0, SLICE_LIT("abcdef"), SIZE_MAX, SIZE_MAX, got, &done, &left);
	assert_true(done);
	assert_int_equal(left, 6);
	assert_string_equal(got, "");
}

/* Framing that outweighs the content is an attack; framing in proportion is not. */
static void test_chunk_excess(void **state)
{
	struct http1_body b;
	char line[700], ext[601];
	struct slice data;

	(void)state;
	memset(ext, 'e', 600);
	ext[600] = '\0';
	http1_body_init(&b, HTTP1_CHUNKED, 0);
	for (int i = 0; i < 100 && b.error == HTTP1_OK; i++) {
		int n = snprintf(line, sizeof(line), "1;%s\r\nx\r\n", ext);

		for (struct slice s = {(const uint8_t *)line, (size_t)n}; s.n && b.error == HTTP1_OK;) {
			size_t used = http1_body_feed(&b, s, SIZE_MAX, &data);
			s = (struct slice){s.p + used, s.n - used};
		}
	}
	assert_int_equal(b.error, HTTP1_E_CHUNK_EXT);

	http1_body_init(&b, HTTP1_CHUNKED, 0);
	for (int i = 0; i < 2000; i++) {
		struct slice s = SLICE_LIT("3c;chunk-signature=0123456789abcdef0123456789abcdef01234567\r\n"
					   "0123456789012345678901234567890123456789012345678901234567" "89\r\n");

		while (s.n && b.error == HTTP1_OK) {
			size_t used = http1_body_feed(&b, s, SIZE_MAX, &data);
			s = (struct slice){s.p + used, s.n - used};
		}
		assert_int_equal(b.error, HTTP1_OK);
	}
}

/* ------------------------------------------------------------------------------------------ writers -- */

static char *written(struct buf *b)
{
	assert_int_equal(buf_put(b, "", 1), 0);
	return (char *)b->p + b->r;
}

static void test_write_request(void **state)
{
	struct slice s = SLICE_LIT("POST /raw HTTP/1.1\r\nhost: A.test\r\nConnection: close, X-One\r\nx-one: 1\r\n"
				   "X-Two:\t 2 \r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nTE: trailers\r\n"
				   "Trailer: T\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nContent-Length: 3\r\n"
				   "Expect: 100-continue\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n");
	struct http1_request_out o = {.path = SLICE_LIT("/x"), .query = SLICE_LIT("a=+;%2f"), .host = "a.test"};
	struct http1_head h;
	struct buf out = {0};
	size_t left;

	(void)state;
	assert_int_equal(read_head(&h, false, false, s, SIZE_MAX, &left), HTTP1_OK);
	assert_int_equal(http1_write_request(&out, &h, &o), 0);
	assert_string_equal(written(&out), "POST /x?a=%20%3B%2F HTTP/1.1\r\nHost: a.test\r\nX-Two: 2\r\n"
					   "Cookie: a=b\r\nCookie: c=d\r\nContent-Length: 3\r\n"
					   "Expect: 100-continue\r\n\r\n");
	http1_head_done(&h);
	buf_done(&out);
}

static void test_write_query(void **state)
{
	static const struct {
		const char *raw, *sent;
	} cases[] = {
		{"", ""},
		{"a=b&c=d", "a=b&c=d"},
		{"a=%2f%3D", "a=%2F%3D"},
		{"q=a+b", "q=a%20b"},
		{"a=1;b=2", "a=1%3Bb=2"},
		{"x[]=1&y=~-._!$'()*,:@/?", "x[]=1&y=~-._!$'()*,:@/?"},
		{"a=\"<>\\^`{|}", "a=%22%3C%3E%5C%5E%60%7B%7C%7D"},
		{"&&a&=", "&&a&="},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = {0};

		assert_int_equal(http1_write_query(&out, slice_str(cases[i].raw)), 0);
		assert_string_equal(written(&out), cases[i].sent);
		buf_done(&out);
	}
}

static void write_response(const char *head, const struct http1_response_out *o, const char *expect)
{
	struct http1_head h;
	struct buf out = {0};
	size_t left;

	assert_int_equal(read_head(&h, true, false, slice_str(head), SIZE_MAX, &left), HTTP1_OK);
	assert_int_equal(http1_write_response(&out, &h, o), 0);
	assert_string_equal(written(&out), expect);
	http1_head_done(&h);
	buf_done(&out);
}

static void test_write_response(void **state)
{
	(void)state;
	write_response("HTTP/1.0 200 Fine\r\nServer: x\r\nConnection: keep-alive, Y\r\nY: z\r\n"
		       "Alt-Svc: h3=\":443\"\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
		       &(struct http1_response_out){.framing = HTTP1_CHUNKED, .keep_alive = true, .client_minor = 1},
		       "HTTP/1.1 200 Fine\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n");
	write_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
		       &(struct http1_response_out){.framing = HTTP1_UNTIL_CLOSE},
		       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	write_response("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
		       &(struct http1_response_out){.framing = HTTP1_NO_BODY, .keep_alive = true},
		       "HTTP/1.1 404 \r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
	write_response("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
		       &(struct http1_response_out){.keep_alive = true, .client_minor = 1},
		       "HTTP/1.1 204 No\r\n\r\n");
	write_response("HTTP/1.1 103 Early\r\nLink: x\r\nConnection: y\r\n\r\n",
		       &(struct http1_response_out){.client_minor = 1}, "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n");
}

static void test_write_chunks(void **state)
{
	struct buf out = {0};

	(void)state;
	assert_int_equal(http1_write_chunk(&out, SLICE_LIT("0123456789abcdef")), 0);
	assert_int_equal(http1_write_last_chunk(&out), 0);
	assert_string_equal(written(&out), "10\r\n0123456789abcdef\r\n0\r\n\r\n");
	buf_done(&out);
}

static void test_authority(void **state)
{
	struct slice host;
	int port;

	(void)state;
	assert_true(http1_authority(SLICE_LIT("a-b_c.example"), &host, &port));
	assert_int_equal(port, -1);
	assert_true(http1_authority(SLICE_LIT("10.0.0.1:8080"), &host, &port));
	assert_int_equal(port, 8080);
	assert_int_equal(host.n, 8);
	assert_true(http1_authority(SLICE_LIT("[fe80::1]"), &host, &port));
	assert_true(slice_eq_str(host, "fe80::1"));
	assert_false(http1_authority(SLICE_LIT("[fe80::1]x"), &host, &port));
	assert_false(http1_authority(SLICE_LIT("[]"), &host, &port));
	assert_false(http1_authority(SLICE_LIT("::1"), &host, &port));
	assert_false(http1_authority(SLICE_LIT(""), &host, &port));
	assert_false(http1_authority((struct slice){(const uint8_t *)"a\0b", 3}, &host, &port));
}

static void test_buf(void **state)
{
	struct buf b = {0};

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(buf_put(&b, "0123456789", 10), 0);
		buf_take(&b, 7);
	}
	assert_int_equal(buf_len(&b), 3000);
	assert_int_equal(b.cap, BUF_CHUNK);
	for (int i = 0; i < 100; i++)
		assert_non_null(buf_room(&b, BUF_CHUNK - buf_len(&b)));
	assert_int_equal(b.cap, BUF_CHUNK);
	buf_take(&b, 3000);
	buf_release(&b);
	assert_null(b.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_heads),	 cmocka_unit_test(test_response_heads),
		cmocka_unit_test(test_end_of_head),	 cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_answer_to_head),	 cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_chunked),		 cmocka_unit_test(test_length_and_close),
		cmocka_unit_test(test_chunk_excess),	 cmocka_unit_test(test_write_request),
		cmocka_unit_test(test_write_query),	 cmocka_unit_test(test_write_response),
		cmocka_unit_test(test_write_chunks),	 cmocka_unit_test(test_authority),
		cmocka_unit_test(test_buf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
