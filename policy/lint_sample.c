/* SPDX-License-Identifier: Apache-2.0 */
/* lint_sample.c - a text or two that a glob matches, without building an automaton. */
#include "policy/canonical.h"
#include "policy/lint_part.h"

static bool put(struct sample *s, const void *p, size_t n)
{
	if (n > SAMPLE_MAX - s->n)
		return false;
	memcpy(s->buf + s->n, p, n);
	s->n += n;
	return true;
}

static bool put_byte(struct sample *s, uint8_t c)
{
	uint8_t triple[3];

	if (canonical_bare(c) || c == '/')
		return put(s, &c, 1);
	canonical_triple(c, triple);
	return put(s, triple, 3);
}

static uint8_t hex(uint8_t c)
{
	return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* "%XX" of a glob that has passed its check; a coded slash stays coded. */
static bool put_coded(struct sample *s, struct slice g)
{
	uint8_t c;

	if (g.n < 3)
		return false;
	c = (uint8_t)(hex(g.p[1]) << 4 | hex(g.p[2]));
	return c == '/' ? put(s, "%2F", 3) : put_byte(s, c);
}

/* A run of stars; between slashes two take the second slash with them. */
static size_t put_stars(struct sample *s, struct slice g, const char *fill, bool *ok)
{
	bool behind_slash = s->n && s->buf[s->n - 1] == '/';
	size_t n = 0;

	while (n < g.n && g.p[n] == '*')
		n++;
	if (n >= 2 && s->n == 0)
		*ok = put(s, "/", 1) && put(s, fill, strlen(fill)); /* "**" begins with any path */
	else if (n >= 2 && behind_slash && n < g.n && g.p[n] == '/')
		n++;
	else
		*ok = put(s, fill, strlen(fill));
	return n;
}

/* One piece; its length, 0: no guess. */
static size_t put_piece(struct sample *s, struct slice g, const char *fill)
{
	bool ok = true;
	size_t n = 1;

	switch (g.p[0]) {
	case '*':
		n = put_stars(s, g, fill, &ok);
		break;
	case '?':
		ok = put(s, "x", 1);
		break;
	case '%':
		ok = put_coded(s, g);
		n = 3;
		break;
	case '[':
	case '{':
		return 0;
	default:
		ok = put_byte(s, g.p[0]);
	}
	return ok ? n : 0;
}

static bool make(struct slice g, const char *fill, struct sample *s)
{
	s->n = 0;
	while (g.n) {
		size_t k = put_piece(s, g, fill);

		if (!k)
			return false;
		g.p += k;
		g.n -= k;
	}
	return true;
}

size_t lint_samples(struct slice glob, struct sample ret[SAMPLES])
{
	static const char *const fills[SAMPLES] = {"x", ""};
	size_t n = 0;

	if (glob.n == 0)
		glob = SLICE_LIT("/**");
	for (size_t i = 0; i < SAMPLES; i++)
		n += make(glob, fills[i], &ret[n]);
	return n;
}
