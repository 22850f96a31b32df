/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1.c - reading HTTP/1.1 heads and what they mean; see http1.h.
 *
 * The reader is one switch over (state, byte).  Every byte is looked at once, copied into the head's arena,
 * and either fits the grammar or ends the connection; there is no second look with another idea of where a
 * line ends.
 */
#include "proxy/http1.h"

static const struct {
	unsigned status;
	const char *text;
} errors[] = {
	[HTTP1_OK] = {200, "ok"},
#define X(name, st, words) [HTTP1_E_##name] = {st, words},
	HTTP1_ERRORS(X)
#undef X
};

const char *http1_error_text(enum http1_error e)
{
	return errors[e].text;
}

unsigned http1_error_status(enum http1_error e)
{
	return errors[e].status;
}

/* ----------------------------------------------------------------------------------- characters -- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool is_alpha(uint8_t c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

/* RFC 9110 section 5.6.2 */
static bool is_tchar(uint8_t c)
{
	return is_alpha(c) || is_digit(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* field-vchar, SP or HTAB: RFC 9110 section 5.5; obs-text is kept as it is */
static bool is_value(uint8_t c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* --------------------------------------------------------------------------------------- reader -- */

enum {
	S_START,    /* before the first line; one empty line is skipped (RFC 9112 section 2.2) */
	S_START_LF,
	S_METHOD,
	S_TARGET,
	S_VERSION,  /* of a request, to the CR */
	S_ST_VERSION,
	S_ST_CODE,
	S_ST_REASON,
	S_LINE_LF,
	S_FIELD,    /* first byte of a line */
	S_NAME,
	S_OWS,
	S_VALUE,
	S_VALUE_LF,
	S_END_LF,
	S_DONE,
};

void http1_head_init(struct http1_head *h, bool response)
{
	*h = (struct http1_head){.response = response, .state = S_START};
}

void http1_head_done(struct http1_head *h)
{
	free(h->arena);
	free(h->fields);
	*h = (struct http1_head){0};
}

struct slice http1_slice(const struct http1_head *h, struct http1_span s)
{
	return (struct slice){h->arena + s.at, s.n};
}

static enum http1_error arena_put(struct http1_head *h, uint8_t c)
{
	if (h->n == HTTP1_HEAD_MAX)
		return HTTP1_E_HEAD_LONG;
	if (h->n == h->cap) {
		uint32_t cap = h->cap ? 2 * h->cap : 1024;
		uint8_t *p = realloc(h->arena, cap);

		if (!p)
			return HTTP1_E_MEMORY;
		h->arena = p;
		h->cap = cap;
	}
	h->arena[h->n++] = c;
	return HTTP1_OK;
}

/* The element from the mark to (not with) the byte just read. */
static struct http1_span since_mark(const struct http1_head *h)
{
	return (struct http1_span){h->mark, h->n - 1 - h->mark};
}

static enum http1_error add_field(struct http1_head *h)
{
	if (h->nfields == HTTP1_FIELDS_MAX)
		return HTTP1_E_FIELDS;
	if (h->nfields == h->cap_fields) {
		uint32_t cap = h->cap_fields ? 2 * h->cap_fields : 16;
		struct http1_field *f = realloc(h->fields, cap * sizeof(*f));

		if (!f)
			return HTTP1_E_MEMORY;
		h->fields = f;
		h->cap_fields = cap;
	}
	h->fields[h->nfields++] = (struct http1_field){.name = since_mark(h)};
	return HTTP1_OK;
}

static enum http1_error parse_version(struct http1_head *h, struct http1_span at, bool response)
{
	struct slice v = http1_slice(h, at);

	if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || !is_digit(v.p[5]) || v.p[6] != '.' ||
	    !is_digit(v.p[7]))
		return response ? HTTP1_E_STATUS_LINE : HTTP1_E_VERSION;
	if (v.p[5] != '1' || v.p[7] > '1')
		return HTTP1_E_VERSION_UNSUPPORTED;
	h->minor = (unsigned)(v.p[7] - '0');
	return HTTP1_OK;
}

static enum http1_error step_start(struct http1_head *h, uint8_t c)
{
	if (c == '\r' && h->n == 1) {
		h->state = S_START_LF;
		return HTTP1_OK;
	}
	h->mark = h->n - 1;
	if (c == '\n')
		return HTTP1_E_BARE_LF;
	if (h->response) {
		h->state = S_ST_VERSION;
		return c == 'H' ? HTTP1_OK : HTTP1_E_STATUS_LINE;
	}
	h->state = S_METHOD;
	return is_tchar(c) ? HTTP1_OK : HTTP1_E_METHOD;
}

static enum http1_error step_method(struct http1_head *h, uint8_t c)
{
	if (c == ' ') {
		h->method = since_mark(h);
		h->mark = h->n;
		h->state = S_TARGET;
		return HTTP1_OK;
	}
	return is_tchar(c) && h->n - h->mark <= HTTP1_METHOD_MAX ? HTTP1_OK : HTTP1_E_METHOD;
}

static enum http1_error step_target(struct http1_head *h, uint8_t c)
{
	if (c == ' ') {
		h->target = since_mark(h);
		h->mark = h->n;
		h->state = S_VERSION;
		return h->target.n ? HTTP1_OK : HTTP1_E_TARGET;
	}
	if (c == '\r' || c == '\n')
		return HTTP1_E_VERSION; /* HTTP/0.9 */
	if (c < 0x20 || c == 0x7f)
		return HTTP1_E_TARGET;
	return h->n - h->mark <= HTTP1_TARGET_MAX ? HTTP1_OK : HTTP1_E_TARGET_LONG;
}

static enum http1_error step_version(struct http1_head *h, uint8_t c)
{
	if (c == '\r') {
		h->state = S_LINE_LF;
		return parse_version(h, since_mark(h), false);
	}
	if (c == '\n')
		return HTTP1_E_BARE_LF;
	return h->n - h->mark <= 8 ? HTTP1_OK : HTTP1_E_VERSION;
}

static enum http1_error step_status_version(struct http1_head *h, uint8_t c)
{
	if (c == ' ') {
		enum http1_error e = parse_version(h, since_mark(h), true);

		h->mark = h->n;
		h->state = S_ST_CODE;
		return e;
	}
	return c >= 0x20 && h->n - h->mark <= 8 ? HTTP1_OK : HTTP1_E_STATUS_LINE;
}

/* Three digits, then SP and a reason; the SP may be missing when there is no reason. */
static enum http1_error step_status_code(struct http1_head *h, uint8_t c)
{
	uint32_t at = h->n - 1 - h->mark;

	if (at < 3) {
		h->status = h->status * 10 + (unsigned)(c - '0');
		return is_digit(c) ? HTTP1_OK : HTTP1_E_STATUS_LINE;
	}
	if (h->status < 100 || h->status > 599)
		return HTTP1_E_STATUS_LINE;
	h->mark = h->n;
	h->state = c == '\r' ? S_LINE_LF : S_ST_REASON;
	return c == ' ' || c == '\r' ? HTTP1_OK : HTTP1_E_STATUS_LINE;
}

static enum http1_error step_reason(struct http1_head *h, uint8_t c)
{
	if (c == '\r') {
		h->reason = since_mark(h);
		h->state = S_LINE_LF;
		return HTTP1_OK;
	}
	if (c == '\n')
		return HTTP1_E_BARE_LF;
	return is_value(c) ? HTTP1_OK : HTTP1_E_STATUS_LINE;
}

static enum http1_error step_field(struct http1_head *h, uint8_t c)
{
	if (c == '\r') {
		h->state = S_END_LF;
		return HTTP1_OK;
	}
	if (c == '\n')
		return HTTP1_E_BARE_LF;
	if (c == ' ' || c == '\t')
		return HTTP1_E_FOLD;
	h->mark = h->n - 1;
	h->state = S_NAME;
	return is_tchar(c) ? HTTP1_OK : HTTP1_E_FIELD_NAME;
}

static enum http1_error step_name(struct http1_head *h, uint8_t c)
{
	if (c == ':') {
		h->state = S_OWS;
		return add_field(h);
	}
	if (c == ' ' || c == '\t')
		return HTTP1_E_SPACE_COLON;
	return is_tchar(c) ? HTTP1_OK : HTTP1_E_FIELD_NAME;
}

static enum http1_error step_value(struct http1_head *h, uint8_t c)
{
	if (h->state == S_OWS && (c == ' ' || c == '\t'))
		return HTTP1_OK;
	if (h->state == S_OWS) {
		h->mark = h->end = h->n - 1;
		h->state = S_VALUE;
	}
	if (c == '\r') {
		h->fields[h->nfields - 1].value =
			(struct http1_span){h->mark, h->end - h->mark};
		h->state = S_VALUE_LF;
		return HTTP1_OK;
	}
	if (c == '\n')
		return HTTP1_E_BARE_LF;
	if (!is_value(c))
		return HTTP1_E_FIELD_VALUE;
	if (c != ' ' && c != '\t')
		h->end = h->n;
	return HTTP1_OK;
}

static enum http1_error step_lf(struct http1_head *h, uint8_t c)
{
	if (c != '\n')
		return HTTP1_E_BARE_CR;
	switch (h->state) {
	case S_START_LF:
		h->state = S_START;
		break;
	case S_END_LF:
		h->state = S_DONE;
		break;
	default:
		h->state = S_FIELD;
		break;
	}
	return HTTP1_OK;
}

static enum http1_error step(struct http1_head *h, uint8_t c)
{
	switch (h->state) {
	case S_START:
		return step_start(h, c);
	case S_METHOD:
		return step_method(h, c);
	case S_TARGET:
		return step_target(h, c);
	case S_VERSION:
		return step_version(h, c);
	case S_ST_VERSION:
		return step_status_version(h, c);
	case S_ST_CODE:
		return step_status_code(h, c);
	case S_ST_REASON:
		return step_reason(h, c);
	case S_FIELD:
		return step_field(h, c);
	case S_NAME:
		return step_name(h, c);
	case S_OWS:
	case S_VALUE:
		return step_value(h, c);
	default:
		return step_lf(h, c);
	}
}

enum http1_result http1_head_feed(struct http1_head *h, struct slice in, size_t *ret_used)
{
	size_t i = 0;

	while (i < in.n && h->state != S_DONE && h->error == HTTP1_OK) {
		uint8_t c = in.p[i++];

		h->error = arena_put(h, c);
		if (h->error == HTTP1_OK)
			h->error = step(h, c);
	}
	*ret_used = i;
	if (h->error != HTTP1_OK)
		return HTTP1_BAD;
	return h->state == S_DONE ? HTTP1_DONE : HTTP1_MORE;
}

/* -------------------------------------------------------------------------------------- meaning -- */

bool http1_name_is(struct slice name, const char *want)
{
	size_t i;

	for (i = 0; i < name.n && want[i]; i++)
		if (lower(name.p[i]) != (uint8_t)want[i])
			return false;
	return i == name.n && !want[i];
}

static bool eq_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

struct slice http1_field(const struct http1_head *h, const char *want)
{
	for (uint32_t i = 0; i < h->nfields; i++)
		if (http1_name_is(http1_slice(h, h->fields[i].name), want))
			return http1_slice(h, h->fields[i].value);
	return (struct slice){0};
}

static bool parse_length(struct slice v, uint64_t *ret)
{
	uint64_t n = 0;

	if (v.n == 0 || v.n > 18)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		if (!is_digit(v.p[i]))
			return false;
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	*ret = n;
	return true;
}

static struct slice trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = (struct slice){s.p + 1, s.n - 1};
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* A Connection field: a list of tokens (RFC 9110 section 7.6.1); empty members are allowed. */
static enum http1_error add_options(struct http1_head *h, struct slice v)
{
	while (v.n) {
		const uint8_t *comma = memchr(v.p, ',', v.n);
		size_t n = comma ? (size_t)(comma - v.p) : v.n;
		struct slice o = trim((struct slice){v.p, n});

		for (size_t i = 0; i < o.n; i++)
			if (!is_tchar(o.p[i]))
				return HTTP1_E_OPTIONS;
		if (o.n) {
			if (h->noptions == HTTP1_OPTIONS_MAX)
				return HTTP1_E_OPTIONS;
			h->options[h->noptions++] = o;
		}
		n += comma ? 1 : 0;
		v = (struct slice){v.p + n, v.n - n};
	}
	return HTTP1_OK;
}

static bool has_option(const struct http1_head *h, const char *option)
{
	for (size_t i = 0; i < h->noptions; i++)
		if (http1_name_is(h->options[i], option))
			return true;
	return false;
}

/* What both directions share: Content-Length, Transfer-Encoding, Connection. */
static enum http1_error common_meaning(struct http1_head *h)
{
	bool chunked = false;

	for (uint32_t i = 0; i < h->nfields; i++) {
		struct slice name = http1_slice(h, h->fields[i].name);
		struct slice v = http1_slice(h, h->fields[i].value);
		enum http1_error e = HTTP1_OK;

		if (http1_name_is(name, "content-length")) {
			if (h->has_length)
				return HTTP1_E_LENGTHS;
			h->has_length = true;
			e = parse_length(v, &h->length) ? HTTP1_OK : HTTP1_E_LENGTH;
		} else if (http1_name_is(name, "transfer-encoding")) {
			e = !chunked && http1_name_is(v, "chunked") ? HTTP1_OK : HTTP1_E_TE;
			chunked = true;
		} else if (http1_name_is(name, "connection")) {
			e = add_options(h, v);
		}
		if (e != HTTP1_OK)
			return e;
	}
	if (chunked && h->has_length)
		return HTTP1_E_LENGTH_TE;
	if (chunked && h->minor == 0)
		return HTTP1_E_TE_10;
	h->framing = chunked ? HTTP1_CHUNKED : HTTP1_NO_BODY;
	h->keep_alive = h->minor == 1 ? !has_option(h, "close")
				      : has_option(h, "keep-alive") && !has_option(h, "close");
	return HTTP1_OK;
}

static enum http1_error find_host(struct http1_head *h)
{
	struct slice name;
	int port;

	for (uint32_t i = 0; i < h->nfields; i++) {
		if (!http1_name_is(http1_slice(h, h->fields[i].name), "host"))
			continue;
		if (h->host.p)
			return HTTP1_E_HOSTS;
		h->host = http1_slice(h, h->fields[i].value);
	}
	if (!h->host.p)
		return h->minor == 1 ? HTTP1_E_NO_HOST : HTTP1_OK;
	return http1_authority(h->host, &name, &port) ? HTTP1_OK : HTTP1_E_HOST;
}

static enum http1_error find_expect(struct http1_head *h)
{
	for (uint32_t i = 0; i < h->nfields; i++) {
		if (!http1_name_is(http1_slice(h, h->fields[i].name), "expect"))
			continue;
		if (h->expect_continue ||
		    !http1_name_is(http1_slice(h, h->fields[i].value), "100-continue"))
			return HTTP1_E_EXPECT;
		h->expect_continue = true;
	}
	/* RFC 9110 section 10.1.1: not from HTTP/1.0, and not without a body to wait with. */
	if (h->minor == 0 || h->framing == HTTP1_NO_BODY)
		h->expect_continue = false;
	return HTTP1_OK;
}

/* As http1_name_is(), but '_' is '-': so servers that hand fields on as environment variables (RFC 3875 section 4.1.18)
 * read them. */
static bool name_means(struct slice name, const char *want)
{
	size_t i;

	for (i = 0; i < name.n && want[i]; i++)
		if ((name.p[i] == '_' ? '-' : lower(name.p[i])) != (uint8_t)want[i])
			return false;
	return i == name.n && !want[i];
}

/* Frameworks let a field replace the method, or the target, that was judged. */
static enum http1_error find_override(struct http1_head *h)
{
	static const char *const names[] = {"x-http-method-override", "x-http-method", "x-method-override",
					    "x-original-url",	      "x-rewrite-url"};

	for (uint32_t i = 0; i < h->nfields; i++)
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (name_means(http1_slice(h, h->fields[i].name), names[k]))
				return HTTP1_E_OVERRIDE;
	return HTTP1_OK;
}

enum http1_error http1_request_meaning(struct http1_head *h)
{
	struct slice m = http1_slice(h, h->method);
	enum http1_error e;

	/* Servers that fold case must not see these either. */
	if (http1_name_is(m, "connect") || http1_name_is(m, "trace") || http1_name_is(m, "pri"))
		return HTTP1_E_METHOD_REFUSED;
	e = common_meaning(h);
	if (e == HTTP1_OK)
		e = find_override(h);
	if (e == HTTP1_OK)
		e = find_host(h);
	if (e != HTTP1_OK)
		return e;
	if (h->has_length && h->length > 0)
		h->framing = HTTP1_LENGTH;
	return find_expect(h);
}

enum http1_error http1_response_meaning(struct http1_head *h, bool to_head_request)
{
	enum http1_error e = common_meaning(h);
	bool bodiless = to_head_request || h->status < 200 || h->status == 204 || h->status == 304;

	if (e != HTTP1_OK)
		return e;
	if (h->status == 101)
		return HTTP1_E_STATUS_101;
	if (bodiless)
		h->framing = HTTP1_NO_BODY;
	else if (h->has_length)
		h->framing = h->length ? HTTP1_LENGTH : HTTP1_NO_BODY;
	else if (h->framing != HTTP1_CHUNKED)
		h->framing = HTTP1_UNTIL_CLOSE;
	if (h->framing == HTTP1_UNTIL_CLOSE)
		h->keep_alive = false;
	return HTTP1_OK;
}

static bool parse_port(struct slice s, int *ret)
{
	int n = 0;

	if (s.n == 0 || s.n > 5)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return false;
		n = n * 10 + (s.p[i] - '0');
	}
	if (n < 1 || n > 65535)
		return false;
	*ret = n;
	return true;
}

bool http1_authority(struct slice s, struct slice *ret_host, int *ret_port)
{
	bool v6 = s.n && s.p[0] == '[';
	size_t i = v6 ? 1 : 0, start = i;

	for (; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (v6 ? !(is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f') || c == ':' || c == '.')
		       : !(is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '.'))
			break;
	}
	*ret_host = (struct slice){s.p + start, i - start};
	if (i == start)
		return false;
	if (v6 && (i == s.n || s.p[i++] != ']'))
		return false;
	*ret_port = -1;
	if (i == s.n)
		return true;
	return s.p[i] == ':' && parse_port((struct slice){s.p + i + 1, s.n - i - 1}, ret_port);
}

/* ---------------------------------------------------------------------------------------- write -- */

/* Fields that speak about one connection (RFC 9110 section 7.6.1), that we write ourselves, or that offer
 * what cannot be used from here (Alt-Svc).  Never passed on, in either direction. */
static const char *const dropped[] = {
	"alt-svc",	  "connection",	       "content-length",      "expect",
	"host",		  "http2-settings",    "keep-alive",	      "proxy-authenticate",
	"proxy-authorization", "proxy-connection", "te",	      "trailer",
	"transfer-encoding", "upgrade",
};

static bool passes(const struct http1_head *h, struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		if (http1_name_is(name, dropped[i]))
			return false;
	for (size_t i = 0; i < h->noptions; i++)
		if (eq_nocase(name, h->options[i]))
			return false;
	return true;
}

static int write_fields(struct buf *out, const struct http1_head *h)
{
	int r = 0;

	for (uint32_t i = 0; i < h->nfields && r == 0; i++) {
		struct slice name = http1_slice(h, h->fields[i].name);

		if (!passes(h, name))
			continue;
		r = buf_put_slice(out, name);
		if (r == 0)
			r = buf_puts(out, ": ");
		if (r == 0)
			r = buf_put_slice(out, http1_slice(h, h->fields[i].value));
		if (r == 0)
			r = buf_puts(out, "\r\n");
	}
	return r;
}

static int write_length(struct buf *out, uint64_t n)
{
	char s[64];
	int len = snprintf(s, sizeof(s), "Content-Length: %llu\r\n", (unsigned long long)n);

	return buf_put(out, s, (size_t)len);
}

int http1_write_query(struct buf *out, struct slice raw)
{
	static const char hex[] = "0123456789ABCDEF";
	int r = 0;

	for (size_t i = 0; i < raw.n && r == 0; i++) {
		uint8_t c = raw.p[i];

		if (c == '%' && i + 2 < raw.n) { /* two hex digits: parse_query() has seen to it */
			uint8_t e[3] = {'%', raw.p[i + 1], raw.p[i + 2]};

			for (size_t k = 1; k < 3; k++)
				if (e[k] >= 'a' && e[k] <= 'f')
					e[k] = (uint8_t)(e[k] - 32);
			r = buf_put(out, e, 3);
			i += 2;
		} else if (c == '+') {
			r = buf_puts(out, "%20");
		} else if (is_alpha(c) || is_digit(c) || (c && strchr("-._~!$&'()*,:=@/?[]", c))) {
			r = buf_put(out, &c, 1);
		} else {
			uint8_t e[3] = {'%', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};

			r = buf_put(out, e, 3);
		}
	}
	return r;
}

static int write_request_line(struct buf *out, const struct http1_head *h,
			      const struct http1_request_out *o)
{
	int r = buf_put_slice(out, http1_slice(h, h->method));

	if (r == 0)
		r = buf_puts(out, " ");
	if (r == 0)
		r = buf_put_slice(out, o->path);
	if (r == 0 && o->query.p)
		r = buf_puts(out, "?");
	if (r == 0 && o->query.p)
		r = http1_write_query(out, o->query);
	if (r == 0)
		r = buf_puts(out, " HTTP/1.1\r\nHost: ");
	if (r == 0)
		r = buf_puts(out, o->host);
	return r == 0 ? buf_puts(out, "\r\n") : r;
}

int http1_write_request(struct buf *out, const struct http1_head *h, const struct http1_request_out *o)
{
	int r = write_request_line(out, h, o);

	if (r == 0)
		r = write_fields(out, h);
	if (r == 0 && h->framing == HTTP1_CHUNKED)
		r = buf_puts(out, "Transfer-Encoding: chunked\r\n");
	if (r == 0 && h->has_length)
		r = write_length(out, h->length);
	if (r == 0 && h->expect_continue)
		r = buf_puts(out, "Expect: 100-continue\r\n");
	return r == 0 ? buf_puts(out, "\r\n") : r;
}

static int write_connection(struct buf *out, const struct http1_response_out *o)
{
	if (!o->keep_alive)
		return buf_puts(out, "Connection: close\r\n");
	return o->client_minor == 0 ? buf_puts(out, "Connection: keep-alive\r\n") : 0;
}

int http1_write_response(struct buf *out, const struct http1_head *h, const struct http1_response_out *o)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "HTTP/1.1 %u ", h->status);
	int r = buf_put(out, line, (size_t)n);

	if (r == 0)
		r = buf_put_slice(out, http1_slice(h, h->reason));
	if (r == 0)
		r = buf_puts(out, "\r\n");
	if (r == 0)
		r = write_fields(out, h);
	if (h->status < 200)
		return r == 0 ? buf_puts(out, "\r\n") : r;
	if (r == 0 && o->framing == HTTP1_CHUNKED)
		r = buf_puts(out, "Transfer-Encoding: chunked\r\n");
	if (r == 0 && h->has_length && h->status != 204)
		r = write_length(out, h->length);
	if (r == 0)
		r = write_connection(out, o);
	return r == 0 ? buf_puts(out, "\r\n") : r;
}

int http1_write_chunk(struct buf *out, struct slice data)
{
	char s[24];
	int n = snprintf(s, sizeof(s), "%zx\r\n", data.n), r = buf_put(out, s, (size_t)n);

	if (r == 0)
		r = buf_put_slice(out, data);
	return r == 0 ? buf_puts(out, "\r\n") : r;
}

int http1_write_last_chunk(struct buf *out)
{
	return buf_puts(out, "0\r\n\r\n");
}
