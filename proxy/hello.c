/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c - ClientHello reader; see hello.h.
 *
 * First the handshake message is put together from its records (clients with post-quantum key shares need
 * more than one segment, and may split where they like), then it is read with a cursor that fails on the
 * first length that does not fit.  Every vector must be filled exactly.
 */
#include "proxy/hello.h"

#define RECORD_HANDSHAKE 22
#define RECORD_BYTES_MAX 16384u
#define CLIENT_HELLO 1
#define EXT_SERVER_NAME 0
#define EXT_SUPPORTED_VERSIONS 43
#define EXT_ECH 0xfe0d
#define EXT_EARLY_DATA 42 /* RFC 8446 section 4.2.10 */
#define EXTENSIONS_MAX 128

/* Bytes not yet read; a read beyond the end sets bad, gives zeros, and leaves nothing: every loop ends. */
struct cursor {
	struct slice s;
	bool bad;
};

static struct slice take(struct cursor *c, size_t n)
{
	struct slice r = {c->s.p, n};

	if (c->bad || n > c->s.n) {
		c->bad = true;
		c->s.n = 0;
		return (struct slice){0};
	}
	c->s.p += n;
	c->s.n -= n;
	return r;
}

static uint32_t number(struct cursor *c, size_t bytes)
{
	struct slice s = take(c, bytes);
	uint32_t v = 0;

	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | s.p[i];
	return v;
}

/* A vector with a length of so many bytes in front. */
static struct slice vector(struct cursor *c, size_t length_bytes)
{
	return take(c, number(c, length_bytes));
}

/* Copies a name in lower case: letters, digits, '-', '_' and single dots, as DNS and policies have them. */
static bool copy_name(struct slice s, struct hello *ret)
{
	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n == 0 || s.n >= sizeof(ret->sni))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + 32);
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		      (c == '.' && i > 0 && s.p[i - 1] != '.')))
			return false;
		ret->sni[i] = (char)c;
	}
	ret->sni[s.n] = '\0';
	ret->sni_n = s.n;
	return s.p[s.n - 1] != '.';
}

bool hello_parse_sni(struct slice ext, struct hello *ret)
{
	struct cursor c = {.s = ext}, list;
	struct slice name;

	list = (struct cursor){.s = vector(&c, 2)};
	if (c.bad || c.s.n)
		return false;
	if (number(&list, 1) != 0) /* host_name is the only type there is */
		return false;
	name = vector(&list, 2);
	if (list.bad || list.s.n || !copy_name(name, ret))
		return false;
	ret->has_sni = true;
	return true;
}

static bool parse_versions(struct slice ext, struct hello *ret)
{
	struct cursor c = {.s = ext}, list;

	list = (struct cursor){.s = vector(&c, 1)};
	if (c.bad || c.s.n || list.s.n == 0)
		return false;
	ret->tls12 = false;
	while (list.s.n) {
		uint32_t v = number(&list, 2);

		if (v == 0x0303 || v == 0x0304)
			ret->tls12 = true;
	}
	return !list.bad;
}

static const char *parse_extension(uint32_t type, struct slice body, struct hello *ret)
{
	switch (type) {
	case EXT_SERVER_NAME:
		return hello_parse_sni(body, ret) ? NULL : "malformed server name";
	case EXT_SUPPORTED_VERSIONS:
		return parse_versions(body, ret) ? NULL : "malformed supported_versions";
	case EXT_ECH:
		ret->has_ech = true;
		return NULL;
	case EXT_EARLY_DATA:
		ret->has_early = true;
		return NULL;
	default:
		return NULL;
	}
}

static const char *parse_extensions(struct slice all, struct hello *ret)
{
	struct cursor c = {.s = all};
	uint16_t seen[EXTENSIONS_MAX];
	size_t n = 0;

	while (c.s.n) {
		uint32_t type = number(&c, 2);
		struct slice body = vector(&c, 2);
		const char *why;

		if (c.bad || n == EXTENSIONS_MAX)
			return "malformed extensions";
		for (size_t i = 0; i < n; i++)
			if (seen[i] == type)
				return "repeated extension";
		seen[n++] = (uint16_t)type;
		why = parse_extension(type, body, ret);
		if (why)
			return why;
	}
	return NULL;
}

static const char *parse_message(struct slice m, struct hello *ret)
{
	struct cursor c = {.s = m};
	struct slice session, suites, compression, extensions;
	uint32_t version = number(&c, 2);

	take(&c, 32); /* random */
	session = vector(&c, 1);
	suites = vector(&c, 2);
	compression = vector(&c, 1);
	if (c.bad || version >> 8 != 3 || session.n > 32 || suites.n == 0 || suites.n % 2 ||
	    compression.n == 0)
		return "malformed ClientHello";
	ret->tls12 = version >= 0x0303;
	if (c.s.n == 0)
		return NULL; /* no extensions at all: TLS 1.2 allows it */
	extensions = vector(&c, 2);
	if (c.bad || c.s.n)
		return "malformed ClientHello";
	return parse_extensions(extensions, ret);
}

/* Puts the handshake message together.  out has room for in.n bytes. */
static enum hello_result join_records(struct slice in, uint8_t *out, size_t *ret_n, size_t *ret_used,
				      const char **why)
{
	struct cursor c = {.s = in};
	size_t have = 0, want = 4;

	*why = "not TLS";
	while (c.s.n) {
		struct slice body;
		size_t n;

		if (c.s.p[0] != RECORD_HANDSHAKE || (c.s.n > 1 && c.s.p[1] != 3))
			return HELLO_BAD;
		if (c.s.n < 5)
			return HELLO_MORE;
		*why = "malformed TLS record";
		take(&c, 3);
		n = number(&c, 2);
		if (n == 0 || n > RECORD_BYTES_MAX)
			return HELLO_BAD;
		body = take(&c, n < c.s.n ? n : c.s.n);
		memcpy(out + have, body.p, body.n);
		have += body.n;
		if (have && out[0] != CLIENT_HELLO)
			return HELLO_BAD;
		if (have >= 4)
			want = 4 + ((size_t)out[1] << 16 | (size_t)out[2] << 8 | out[3]);
		if (want > HELLO_MAX || have > want || (have == want && body.n < n))
			return HELLO_BAD; /* too long, or something behind it in its record */
		*ret_n = have;
		*ret_used = in.n - c.s.n;
		if (have == want)
			return HELLO_OK;
	}
	return HELLO_MORE;
}

enum hello_result hello_parse(struct slice in, struct hello *ret, const char **ret_why)
{
	_cleanup_free_ uint8_t *message = NULL;
	enum hello_result r;
	size_t n = 0;

	*ret = (struct hello){0};
	*ret_why = "ClientHello too long";
	if (in.n > HELLO_MAX)
		return HELLO_BAD;
	message = malloc(in.n + 1);
	if (!message) {
		*ret_why = "out of memory";
		return HELLO_BAD;
	}
	r = join_records(in, message, &n, &ret->used, ret_why);
	if (r == HELLO_MORE && in.n == HELLO_MAX)
		return HELLO_BAD;
	if (r != HELLO_OK)
		return r;
	*ret_why = parse_message((struct slice){message + 4, n - 4}, ret);
	return *ret_why ? HELLO_BAD : HELLO_OK;
}
