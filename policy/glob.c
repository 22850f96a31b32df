/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.c - reading globs into automata.
 *
 * Braces are multiplied out first, into patterns that differ only where they say so; the automaton
 * shares what they begin with again.
 */
#include "policy/glob.h"
#include "policy/canonical.h"
#include "policy/utf8.h"

#include <stdarg.h>

struct glob {
	struct nfa *nfa; /* NULL: syntax only */
	enum glob_kind kind;
	uint32_t from, tag;
	unsigned int alternatives;
	uint64_t *work; /* NULL: not counted */
	char *why;
	size_t why_n;
};

__attribute__((format(printf, 2, 3))) static int bad(struct glob *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(g->why, g->why_n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

bool glob_is_pattern(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '*' || s.p[i] == '?' || s.p[i] == '[' || s.p[i] == '{')
			return true;
	return false;
}

bool glob_matches_all(struct slice s)
{
	if (s.n && s.p[0] == '/') {
		s.p++;
		s.n--;
	}
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '*')
			return false;
	return s.n >= 2;
}

/* --------------------------------------------------------------------------- characters -- */

static const struct byteset *all_bytes(void)
{
	static const struct byteset all = {{~0ull, ~0ull, ~0ull, ~0ull}};

	return &all;
}

static struct byteset range_set(unsigned int from, unsigned int to)
{
	struct byteset s = {0};

	byteset_range(&s, from, to);
	return s;
}

static struct byteset hex_digits(uint16_t mask)
{
	struct byteset s = {0};

	for (unsigned int i = 0; i < 16; i++)
		if (mask >> i & 1)
			byteset_add(&s, (uint8_t) "0123456789ABCDEF"[i]);
	return s;
}

/* `c` multi-byte sequences: lead bytes and how many bytes follow. */
static const struct {
	uint8_t from, to, more;
} leads[] = {{0xc2, 0xdf, 1}, {0xe0, 0xef, 2}, {0xf0, 0xf4, 3}};

/* Shapes of one character of raw bytes.  ASCII members are in `s`; with `wide`, all other bytes and
 * UTF-8 sequences too (a single byte that is no UTF-8 is a character as well). */
static void byte_shapes(struct nfa *a, uint32_t from, const struct byteset *s, bool wide,
			uint32_t to)
{
	const struct byteset cont = range_set(0x80, 0xbf);

	nfa_shape_end(a, from, s, to);
	for (size_t i = 0; wide && i < ARRAY_LEN(leads); i++) {
		const struct byteset lead = range_set(leads[i].from, leads[i].to);
		uint32_t at = nfa_shape(a, from, &lead);

		for (unsigned int k = 1; k < leads[i].more; k++)
			at = nfa_shape(a, at, &cont);
		nfa_shape_end(a, at, &cont, to);
	}
}

/* One "%XX" whose byte is in s; it arrives at `to`, or at a node that is returned when to is 0. */
static uint32_t triplet(struct nfa *a, uint32_t from, const struct byteset *s, uint32_t to)
{
	const struct byteset percent = range_set('%', '%');
	uint32_t p = nfa_shape(a, from, &percent);
	uint16_t low[16] = {0};
	uint32_t open = 0;

	for (unsigned int b = 0; b < 256; b++)
		if (byteset_has(s, (uint8_t)b))
			low[b >> 4] = (uint16_t)(low[b >> 4] | 1u << (b & 15));
	for (unsigned int h = 0; h < 16; h++) {
		struct byteset hi, lo = hex_digits(low[h]);
		uint16_t same = 0; /* first digits with the same second ones, taken together */
		uint32_t n;

		for (unsigned int k = 0; k < 16; k++)
			if (low[k] == low[h])
				same = (uint16_t)(same | 1u << k);
		if (!low[h] || same & ((1u << h) - 1))
			continue;
		hi = hex_digits(same);
		n = nfa_shape(a, p, &hi);
		if (to)
			nfa_shape_end(a, n, &lo, to);
		else if (!open)
			open = nfa_shape(a, n, &lo);
		else
			nfa_shape_end(a, n, &lo, open);
	}
	return open;
}

/* As byte_shapes(), for the canonical form. */
static void path_shapes(struct nfa *a, uint32_t from, const struct byteset *s, bool wide,
			uint32_t to)
{
	struct byteset bare = {0}, coded = {0};
	const struct byteset cont = range_set(0x80, 0xbf);

	for (unsigned int b = 0; b < 256; b++) {
		if (!byteset_has(s, (uint8_t)b))
			continue;
		byteset_add(canonical_bare((uint8_t)b) ? &bare : &coded, (uint8_t)b);
	}
	if (wide)
		byteset_add(&coded, '/'); /* %2F, where it is kept, is a character of its segment */
	if (byteset_count(&bare))
		nfa_shape_end(a, from, &bare, to);
	if (byteset_count(&coded))
		triplet(a, from, &coded, to);
	for (size_t i = 0; wide && i < ARRAY_LEN(leads); i++) {
		const struct byteset lead = range_set(leads[i].from, leads[i].to);
		uint32_t at = triplet(a, from, &lead, 0);

		for (unsigned int k = 1; k < leads[i].more; k++)
			at = triplet(a, at, &cont, 0);
		triplet(a, at, &cont, to);
	}
}

/* One character out of s. */
static uint32_t add_char(struct glob *g, uint32_t at, const struct byteset *s, bool wide)
{
	bool fresh;
	uint32_t to;

	if (!g->nfa)
		return 0;
	to = nfa_char(g->nfa, at, s, &fresh);
	if (!fresh)
		return to;
	if (g->kind == GLOB_PATH)
		path_shapes(g->nfa, at, s, wide, to);
	else
		byte_shapes(g->nfa, at, s, wide, to);
	return to;
}

/* --------------------------------------------------------------------------- the pieces -- */

static uint32_t add_star(struct glob *g, uint32_t at, bool across)
{
	struct byteset s = *all_bytes();

	if (!g->nfa)
		return 0;
	if (!across && g->kind != GLOB_QUERY)
		byteset_remove(&s, '/');
	return nfa_star(g->nfa, at, &s);
}

static uint32_t add_question(struct glob *g, uint32_t at)
{
	struct byteset s = *all_bytes();

	if (g->kind != GLOB_QUERY)
		byteset_remove(&s, '/');
	return add_char(g, at, &s, true);
}

/* "[...]" at p->p[0].  Returns its length or -EINVAL. */
static int read_class(struct glob *g, struct slice p, struct byteset *ret, bool *wide)
{
	struct byteset s = {0};
	size_t i = 1;
	bool negate = p.n > 1 && (p.p[1] == '!' || p.p[1] == '^');
	bool first = true;

	for (i += negate;; first = false) {
		uint8_t from, to;

		if (i >= p.n)
			return bad(g, "'[' is not closed");
		if (p.p[i] == ']' && !first)
			break;
		from = to = p.p[i++];
		if (i + 1 < p.n && p.p[i] == '-' && p.p[i + 1] != ']') {
			to = p.p[i + 1];
			i += 2;
		}
		if (from >= 0x80 || to >= 0x80)
			return bad(g, "only ASCII characters can stand in '[...]'");
		if (from > to)
			return bad(g, "'[%c-%c]' is a range from high to low", from, to);
		if (g->kind != GLOB_QUERY && from <= '/' && to >= '/')
			return bad(g, "'/' cannot stand in '[...]'");
		if (from == '\\' || to == '\\')
			return bad(g, "'\\' is not part of the pattern syntax");
		byteset_range(&s, from, to);
	}
	if (negate) {
		byteset_invert(&s);
		if (g->kind != GLOB_QUERY)
			byteset_remove(&s, '/');
	}
	*ret = s;
	*wide = negate;
	return (int)(i + 1);
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A literal character of a request path in its canonical spelling. */
static int add_path_literal(struct glob *g, struct slice p, uint32_t *at)
{
	uint8_t c = p.p[0], triple[3];
	bool coded = c == '%';
	int h, l;

	if (coded) {
		h = p.n > 1 ? hex_value(p.p[1]) : -1;
		l = p.n > 2 ? hex_value(p.p[2]) : -1;
		if (h < 0 || l < 0)
			return bad(g, "'%%' is not followed by two hexadecimal digits");
		c = (uint8_t)(h << 4 | l);
	}
	if (c < 0x20 || c == 0x7f)
		return bad(g, "a request path never holds the control byte 0x%02x", c);
	if (c == ';')
		return bad(g, "never matches: ';' and what follows it in a segment is dropped from "
			      "request paths");
	if (g->nfa && canonical_bare(c) && c != '/') {
		*at = nfa_byte(g->nfa, *at, c);
	} else if (g->nfa && c == '/' && !coded) {
		*at = nfa_byte(g->nfa, *at, '/');
	} else if (g->nfa) {
		canonical_triple(c, triple);
		*at = nfa_bytes(g->nfa, *at, (struct slice){triple, 3});
	}
	return coded ? 3 : 1;
}

static int add_literal(struct glob *g, struct slice p, uint32_t *at)
{
	if (p.p[0] == '\\')
		return bad(g, "'\\' is not part of the pattern syntax");
	if (g->kind == GLOB_PATH)
		return add_path_literal(g, p, at);
	if (g->nfa)
		*at = nfa_byte(g->nfa, *at, p.p[0]);
	return 1;
}

static size_t star_run(struct slice p)
{
	size_t n = 0;

	while (n < p.n && p.p[n] == '*')
		n++;
	return n;
}

/* A run of '*'.  Between slashes two or more take the second slash with them. */
static int add_stars(struct glob *g, struct slice p, bool behind_slash, uint32_t *at)
{
	size_t n = star_run(p);

	if (n >= 2 && behind_slash && n < p.n && p.p[n] == '/' && g->kind != GLOB_QUERY) {
		*at = g->nfa ? nfa_segments(g->nfa, *at) : 0;
		return (int)n + 1;
	}
	*at = add_star(g, *at, n >= 2);
	return (int)n;
}

/* One piece of a pattern without braces; its length, or -EINVAL. */
static int add_piece(struct glob *g, struct slice p, bool behind_slash, uint32_t *at)
{
	struct byteset s;
	bool wide = false;
	int k;

	switch (p.p[0]) {
	case '*':
		return add_stars(g, p, behind_slash, at);
	case '?':
		*at = add_question(g, *at);
		return 1;
	case '[':
		k = read_class(g, p, &s, &wide);
		if (k > 0)
			*at = add_char(g, *at, &s, wide);
		return k;
	default:
		return add_literal(g, p, at);
	}
}

/* Segments that neither a canonical path nor the path of a file has. */
static int check_segments(struct glob *g, struct slice p)
{
	const char *what = g->kind == GLOB_PATH ? "request paths" : "paths of programs";

	if (g->kind == GLOB_QUERY)
		return 0;
	if (p.n == 0 || (p.p[0] != '/' && star_run(p) < 2))
		return bad(g, "must start with '/' or '**'");
	for (size_t i = 0, n; i < p.n; i += n + 1) {
		for (n = 0; i + n < p.n && p.p[i + n] != '/'; n++)
			;
		if (n == 0 && i > 0 && i < p.n)
			return bad(g, "never matches: %s have no '//'", what);
		if ((n == 1 && p.p[i] == '.') || (n == 2 && p.p[i] == '.' && p.p[i + 1] == '.'))
			return bad(g, "never matches: %s have no '.' or '..' segment", what);
	}
	return 0;
}

static int add_plain(struct glob *g, struct slice p)
{
	uint32_t at = g->from;
	bool behind_slash = false;
	int r = check_segments(g, p);

	if (r < 0)
		return r;
	while (p.n) {
		r = add_piece(g, p, behind_slash, &at);
		if (r < 0)
			return r;
		behind_slash = p.p[r - 1] == '/';
		p.p += r;
		p.n -= (size_t)r;
	}
	if (g->nfa)
		nfa_tag(g->nfa, at, g->tag);
	return 0;
}

/* ------------------------------------------------------------------------------- braces -- */

/* First '{' outside "[...]", or p.n. */
static size_t find_brace(struct slice p)
{
	for (size_t i = 0; i < p.n; i++) {
		if (p.p[i] == '{')
			return i;
		if (p.p[i] != '[')
			continue;
		i += i + 1 < p.n && (p.p[i + 1] == '!' || p.p[i + 1] == '^');
		for (i += 2; i < p.n && p.p[i] != ']'; i++)
			;
	}
	return p.n;
}

/* The end of the alternative that starts at i: ',' or '}' of its own level, or p.n. */
static size_t alternative_end(struct slice p, size_t i)
{
	unsigned int level = 0;

	for (; i < p.n; i++) {
		if (p.p[i] == '{')
			level++;
		if (level == 0 && (p.p[i] == ',' || p.p[i] == '}'))
			return i;
		if (p.p[i] == '}')
			level--;
	}
	return p.n;
}

static int add_braced(struct glob *g, struct slice p, unsigned int depth);

/* Continues with p where p[open, close] is replaced by p[from, to). */
static int add_alternative(struct glob *g, struct slice p, size_t open, size_t close, size_t from,
			   size_t to, unsigned int depth)
{
	size_t tail = p.n - close - 1, n = open + (to - from) + tail;
	_cleanup_free_ uint8_t *q = malloc(n + 1);

	if (!q)
		return -ENOMEM;
	if (g->work && (*g->work += n + 64) > GLOB_WORK_MAX)
		return bad(g, "the braces up to here multiply to more than %u MiB of patterns",
			   GLOB_WORK_MAX >> 20);
	memcpy(q, p.p, open);
	memcpy(q + open, p.p + from, to - from);
	memcpy(q + open + (to - from), p.p + close + 1, tail);
	return add_braced(g, (struct slice){q, n}, depth + 1);
}

static int add_braced(struct glob *g, struct slice p, unsigned int depth)
{
	size_t open = find_brace(p), close, from;
	int r = 0;

	if (open == p.n) {
		if (++g->alternatives > GLOB_ALTERNATIVES)
			return bad(g, "its braces stand for more than %d patterns",
				   GLOB_ALTERNATIVES);
		return add_plain(g, p);
	}
	if (depth >= 16)
		return bad(g, "more than 16 braces");
	for (close = open + 1; close < p.n; close++) {
		close = alternative_end(p, close);
		if (close < p.n && p.p[close] == '}')
			break;
	}
	if (close >= p.n)
		return bad(g, "'{' is not closed");
	for (from = open + 1; r == 0 && from <= close;) {
		size_t to = alternative_end(p, from);

		r = add_alternative(g, p, open, close, from, to, depth);
		from = to + 1;
	}
	return r;
}

static int add(struct glob *g, struct slice pattern)
{
	if (pattern.n > GLOB_MAX)
		return bad(g, "longer than %d bytes", GLOB_MAX);
	return add_braced(g, pattern, 0);
}

int glob_add(struct nfa *nfa, uint32_t from, struct slice pattern, enum glob_kind kind,
	     uint32_t tag, char *why, size_t why_n)
{
	struct glob g = {nfa, kind, from, tag, 0, NULL, why, why_n};
	int r = nfa ? nfa_status(nfa) : 0;

	if (r == 0)
		r = add(&g, pattern);
	return r == 0 && nfa ? nfa_status(nfa) : r;
}

int glob_check(struct slice pattern, enum glob_kind kind, uint64_t *work, char *why, size_t why_n)
{
	struct glob g = {NULL, kind, 0, 0, 0, work, why, why_n};

	return add(&g, pattern);
}
