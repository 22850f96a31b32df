/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.c - raw request targets to the one form that is judged, logged and sent.
 *
 * The path is decoded once, its segments resolved on the decoded bytes, and every byte written
 * again in one spelling.  An encoded slash that the endpoint keeps is a NUL among the decoded bytes
 * (a decoded NUL was refused before), so no later step can take it for a separator.
 */
#include "policy/canonical.h"
#include "policy/policy.h"

#include <strings.h>

#define KEPT_SLASH 0

const char *target_error_string(enum target_error e)
{
	static const char *const names[] = {
		[TARGET_OK] = "ok",
		[TARGET_TRAVERSAL] = "traversal",
		[TARGET_ENCODED_SLASH] = "encoded_slash",
		[TARGET_CONTROL_BYTE] = "control_byte",
		[TARGET_FRAGMENT] = "fragment",
		[TARGET_NON_ASCII] = "non_ascii",
		[TARGET_BAD_PERCENT] = "bad_percent",
		[TARGET_TOO_LONG] = "too_long",
		[TARGET_RESIDUAL_DOTS] = "residual_dots",
		[TARGET_NOT_ORIGIN_FORM] = "not_origin_form",
	};

	return (size_t)e < ARRAY_LEN(names) ? names[e] : "unknown";
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that p's "%XX" stands for, or -1. */
static int percent_value(struct slice p)
{
	int h = p.n > 2 ? hex_value(p.p[1]) : -1;
	int l = p.n > 2 ? hex_value(p.p[2]) : -1;

	return h < 0 || l < 0 ? -1 : h << 4 | l;
}

static bool control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

static enum target_error check_bytes(struct slice raw)
{
	for (size_t i = 0; i < raw.n; i++) {
		uint8_t c = raw.p[i];

		if (control(c) || c == ' ') /* a space ends a target; one in it is smuggling */
			return TARGET_CONTROL_BYTE;
		if (c >= 0x80)
			return TARGET_NON_ASCII;
		if (c == '#')
			return TARGET_FRAGMENT;
	}
	return TARGET_OK;
}

/* Takes "http://authority" off an absolute-form target (RFC 9112 3.2.2). */
static enum target_error split_authority(struct slice *path, struct slice *ret_authority)
{
	static const char *const schemes[] = {"http://", "https://"};
	size_t skip = 0, end;

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (path->n >= n && strncasecmp((const char *)path->p, schemes[i], n) == 0)
			skip = n;
	}
	if (!skip)
		return TARGET_NOT_ORIGIN_FORM;
	for (end = skip; end < path->n && path->p[end] != '/'; end++)
		;
	if (end == skip)
		return TARGET_NOT_ORIGIN_FORM;
	*ret_authority = (struct slice){path->p + skip, end - skip};
	path->p += end;
	path->n -= end;
	return TARGET_OK;
}

static enum target_error decode(struct slice p, bool encoded_slash, uint8_t *out, size_t *ret_n)
{
	size_t o = 0;

	for (size_t i = 0; i < p.n; i++) {
		uint8_t c = p.p[i];
		int v;

		if (c != '%') {
			out[o++] = c;
			continue;
		}
		v = percent_value((struct slice){p.p + i, p.n - i});
		if (v < 0)
			return TARGET_BAD_PERCENT;
		if (control((uint8_t)v))
			return TARGET_CONTROL_BYTE;
		if (v == '/' && !encoded_slash)
			return TARGET_ENCODED_SLASH;
		out[o++] = v == '/' ? KEPT_SLASH : (uint8_t)v;
		i += 2;
	}
	*ret_n = o;
	return TARGET_OK;
}

static bool is_dots(struct slice s, size_t dots)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '.')
			return false;
	return s.n == dots;
}

/* Is a part between kept slashes "." or ".."? */
static bool residual_dots(struct slice seg)
{
	bool kept = false, dots = false;

	for (size_t i = 0, n; i <= seg.n; i += n + 1) {
		struct slice part;

		for (n = 0; i + n < seg.n && seg.p[i + n] != KEPT_SLASH; n++)
			;
		kept |= i + n < seg.n;
		part = (struct slice){seg.p + i, n};
		dots |= is_dots(part, 1) || is_dots(part, 2);
	}
	return kept && dots;
}

struct writer {
	char *out;
	size_t n;
};

static enum target_error put_segment(struct writer *w, struct slice seg)
{
	if (residual_dots(seg))
		return TARGET_RESIDUAL_DOTS;
	for (size_t i = 0; i < seg.n; i++) {
		uint8_t c = seg.p[i];

		if (canonical_bare(c)) {
			if (w->n + 1 > TARGET_PATH_MAX)
				return TARGET_TOO_LONG;
			w->out[w->n++] = (char)c;
			continue;
		}
		if (w->n + 3 > TARGET_PATH_MAX)
			return TARGET_TOO_LONG;
		canonical_triple(c == KEPT_SLASH ? '/' : c, (uint8_t *)w->out + w->n);
		w->n += 3;
	}
	return TARGET_OK;
}

/* Resolves one segment; w->out ends in '/' before and after, or after the last segment in a name.
 */
static enum target_error resolve_segment(struct writer *w, struct slice seg, bool last)
{
	const uint8_t *semi = seg.n ? memchr(seg.p, ';', seg.n) : NULL;
	enum target_error e;

	if (semi)
		seg.n = (size_t)(semi - seg.p);
	if (seg.n == 0 || is_dots(seg, 1))
		return TARGET_OK;
	if (is_dots(seg, 2)) {
		if (w->n == 1)
			return TARGET_TRAVERSAL;
		for (w->n--; w->out[w->n - 1] != '/'; w->n--)
			;
		return TARGET_OK;
	}
	e = put_segment(w, seg);
	if (e != TARGET_OK || last)
		return e;
	if (w->n + 1 > TARGET_PATH_MAX)
		return TARGET_TOO_LONG;
	w->out[w->n++] = '/';
	return TARGET_OK;
}

/* d: decoded bytes, starting with '/'. */
static enum target_error resolve(struct slice d, struct canonical_target *ret)
{
	struct writer w = {ret->path, 0};

	w.out[w.n++] = '/';
	for (size_t i = 1, n; i <= d.n; i += n + 1) {
		enum target_error e;

		for (n = 0; i + n < d.n && d.p[i + n] != '/'; n++)
			;
		e = resolve_segment(&w, (struct slice){d.p + i, n}, i + n == d.n);
		if (e != TARGET_OK)
			return e;
	}
	w.out[w.n] = 0;
	ret->path_n = w.n;
	return TARGET_OK;
}

enum target_error canonical_target(struct slice raw, bool encoded_slash,
				   struct canonical_target *ret)
{
	uint8_t decoded[TARGET_PATH_MAX];
	enum target_error e = check_bytes(raw);
	const uint8_t *q;
	struct slice path;
	size_t n;

	ret->path_n = 0;
	ret->path[0] = 0;
	ret->query = ret->authority = (struct slice){NULL, 0};
	if (e != TARGET_OK)
		return e;
	q = raw.n ? memchr(raw.p, '?', raw.n) : NULL;
	path = (struct slice){raw.p, q ? (size_t)(q - raw.p) : raw.n};
	if (q)
		ret->query = (struct slice){q + 1, raw.n - path.n - 1};
	if (path.n == 0 || path.p[0] != '/') {
		e = split_authority(&path, &ret->authority);
		if (e != TARGET_OK)
			return e;
		if (path.n == 0)
			path = SLICE_LIT("/");
	}
	if (path.n > TARGET_PATH_MAX)
		return TARGET_TOO_LONG;
	e = decode(path, encoded_slash, decoded, &n);
	if (e != TARGET_OK)
		return e;
	return resolve((struct slice){decoded, n}, ret);
}

/* ------------------------------------------------------------------------------ queries -- */

struct query_buf {
	char *p;
	size_t n, max;
};

/* Decodes to the buffer. */
static int decode_query(struct slice s, struct query_buf *b, struct slice *ret)
{
	size_t begin = b->n;

	for (size_t i = 0; i < s.n; i++) {
		int v = s.p[i] == '+' ? ' ' : s.p[i];

		if (v == '%') {
			v = percent_value((struct slice){s.p + i, s.n - i});
			i += 2;
		}
		if (v < 0 || control((uint8_t)v))
			return -EBADMSG;
		if (b->n == b->max)
			return -E2BIG;
		b->p[b->n++] = (char)v;
	}
	*ret = (struct slice){(const uint8_t *)b->p + begin, b->n - begin};
	return 0;
}

int parse_query(struct slice raw, struct query_pair *pairs, size_t max, size_t *ret_n, char *buf,
		size_t buf_n)
{
	struct query_buf b = {buf, 0, buf_n};
	size_t count = 0;

	for (size_t i = 0, n; i < raw.n; i += n + 1) {
		struct slice part, value = {NULL, 0};
		const uint8_t *eq;
		int r;

		for (n = 0; i + n < raw.n && raw.p[i + n] != '&'; n++)
			;
		if (n == 0)
			continue;
		part = (struct slice){raw.p + i, n};
		eq = memchr(part.p, '=', n);
		if (eq) {
			value = (struct slice){eq + 1, n - (size_t)(eq - part.p) - 1};
			part.n = (size_t)(eq - part.p);
		}
		if (count == max)
			return -E2BIG;
		r = decode_query(part, &b, &pairs[count].name);
		if (r == 0)
			r = decode_query(value, &b, &pairs[count].value);
		if (r < 0)
			return r;
		count++;
	}
	*ret_n = count;
	return 0;
}
