/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lang.c - small automata: patterns of the policy language, and the texts that can occur at all.
 *
 * The latter are graphs with cycles, drawn with the free edges that nfa.h has for shapes of
 * characters: any node to any node.
 */
#include "policy/canonical.h"
#include "policy/glob.h"
#include "policy/product.h"

static const struct byteset all_bytes = {{~0ull, ~0ull, ~0ull, ~0ull}};

/* 1 + the lowest tag. */
static int lowest(void *ctx, const uint32_t *tags, size_t n, uint32_t *ret)
{
	uint32_t low = tags[0];

	(void)ctx;
	for (size_t i = 1; i < n; i++)
		low = tags[i] < low ? tags[i] : low;
	*ret = low + 1;
	return 0;
}

/* The lowest counts, as the first allow rule does: what can only lead to later ones is dropped. */
static enum tag_kind all_allow(const void *ctx, uint32_t tag)
{
	(void)ctx;
	(void)tag;
	return TAG_ALLOW;
}

int lang_from_nfa(const struct nfa *a, uint32_t root, const struct nfa_reach *reach,
		  struct table_dfa *ret)
{
	_cleanup_(dfa_done) struct dfa d = {0};
	struct dfa_limits limits = compile_limits(a);
	struct table_dfa t = {0};
	int r = dfa_init(&d, a, &limits, lowest, NULL);

	d.reach = reach;
	d.kind = all_allow;
	if (r == 0)
		r = dfa_start(&d, root, &t.start);
	if (r == 0)
		r = table_from_dfa(&d, &t);
	if (r == 0)
		*ret = t;
	return r;
}

/* ----------------------------------------------------------------------------- patterns -- */

/* As compile_l7.c enters a rule. */
static uint32_t add_method(struct nfa *a, uint32_t root, struct slice method)
{
	struct byteset token = all_bytes;

	byteset_remove(&token, ' ');
	return nfa_byte(a, method.n ? nfa_bytes(a, root, method) : nfa_star(a, root, &token), ' ');
}

static int add_pattern(struct nfa *a, uint32_t root, enum lang_kind kind,
		       const struct lang_pattern *p, uint32_t tag)
{
	static const enum glob_kind globs[] = {
		[LANG_PATH] = GLOB_PATH,
		[LANG_BINARY] = GLOB_BINARY,
		[LANG_QUERY] = GLOB_QUERY,
		[LANG_REQUEST] = GLOB_PATH,
	};
	uint32_t at = kind == LANG_REQUEST ? add_method(a, root, p->method) : root;
	char why[160];

	if (p->glob.n)
		return glob_add(a, at, p->glob, globs[kind], tag, why, sizeof(why));
	nfa_tag(a, nfa_star(a, at, &all_bytes), tag);
	return 0;
}

int lang_compile(enum lang_kind kind, const struct lang_pattern *v, size_t n,
		 struct table_dfa *ret)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	_cleanup_free_ struct nfa_reach *reach = NULL;
	uint32_t root = nfa_root(&a);

	for (size_t i = 0; i < n; i++) {
		int r = add_pattern(&a, root, kind, &v[i], (uint32_t)i);

		if (r < 0)
			return r;
	}
	reach = nfa_reach(&a, all_allow, NULL);
	return reach ? lang_from_nfa(&a, root, reach, ret) : -ENOMEM;
}

/* ------------------------------------------------------------------------ request paths -- */

static struct byteset set_of(const char *s)
{
	struct byteset b = {0};

	for (; *s; s++)
		byteset_add(&b, (uint8_t)*s);
	return b;
}

/* "%XX" for each byte of s, from one node to another. */
static void add_triples(struct nfa *a, uint32_t from, const struct byteset *s, uint32_t to)
{
	const struct byteset percent = set_of("%");
	uint32_t p = nfa_shape(a, from, &percent);

	for (unsigned int hi = 0; hi < 16; hi++) {
		struct byteset low = {0}, high = {0};
		uint8_t triple[3];

		for (unsigned int lo = 0; lo < 16; lo++) {
			canonical_triple((uint8_t)(hi << 4 | lo), triple);
			if (byteset_has(s, (uint8_t)(hi << 4 | lo)))
				byteset_add(&low, triple[2]);
		}
		byteset_add(&high, triple[1]);
		if (byteset_count(&low))
			nfa_shape_end(a, nfa_shape(a, p, &high), &low, to);
	}
}

/*
 * A segment in the making.  part: where a part begins, at the start of a segment or behind a kept
 * slash; one, two: so many dots and nothing else; text: anything else.  The part "." or ".." never
 * ends: not in a '/', not in a kept slash, not in the end of the path (policy/target.c).
 */
struct segment {
	uint32_t part, one, two, text, kept;
};

static void add_text(struct nfa *a, uint32_t from, uint32_t to, bool dot)
{
	struct byteset bare = {0}, coded = {0};

	for (unsigned int b = 0x20; b < 256; b++) {
		if (b == '/' || b == ';' || b == 0x7f || (b == '.' && !dot))
			continue;
		byteset_add(canonical_bare((uint8_t)b) ? &bare : &coded, (uint8_t)b);
	}
	nfa_shape_end(a, from, &bare, to);
	add_triples(a, from, &coded, to);
}

static void add_paths(struct nfa *a, uint32_t root, bool slash)
{
	const struct byteset dot = set_of("."), sep = set_of("/");
	const struct segment s = {nfa_root(a), nfa_root(a), nfa_root(a), nfa_root(a), nfa_root(a)};
	const uint32_t starts[] = {s.part, s.kept};

	nfa_shape_end(a, root, &sep, s.part);
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		nfa_shape_end(a, starts[i], &dot, s.one);
		add_text(a, starts[i], s.text, false);
	}
	nfa_shape_end(a, s.one, &dot, s.two);
	add_text(a, s.one, s.text, false);
	add_text(a, s.two, s.text, true);
	add_text(a, s.text, s.text, true);
	nfa_shape_end(a, s.text, &sep, s.part);
	nfa_shape_end(a, s.kept, &sep, s.part);
	nfa_tag(a, s.part, 0);
	nfa_tag(a, s.text, 0);
	nfa_tag(a, s.kept, 0);
	if (!slash)
		return;
	add_triples(a, s.part, &sep, s.kept);
	add_triples(a, s.text, &sep, s.kept);
	add_triples(a, s.kept, &sep, s.kept);
}

int lang_canonical_path(bool slash, struct table_dfa *ret)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	uint32_t root = nfa_root(&a);

	add_paths(&a, root, slash);
	return lang_from_nfa(&a, root, NULL, ret);
}

/* Tokens of at least one character. */
static void add_tokens(struct nfa *a, uint32_t root, uint32_t to)
{
	struct byteset token = set_of("!#$%&'*+-.^_`|~"), sp = set_of(" ");
	uint32_t more = nfa_root(a);

	byteset_range(&token, '0', '9');
	byteset_range(&token, 'a', 'z');
	byteset_range(&token, 'A', 'Z');
	nfa_shape_end(a, root, &token, more);
	nfa_shape_end(a, more, &token, more);
	nfa_shape_end(a, more, &sp, to);
}

static void add_methods(struct nfa *a, uint32_t root, bool common, uint32_t to)
{
	static const char *const methods[] = {"GET",   "HEAD",	 "POST",   "PUT",
					      "PATCH", "DELETE", "OPTIONS"};
	const struct byteset sp = set_of(" ");

	for (size_t i = 0; common && i < ARRAY_LEN(methods); i++)
		nfa_shape_end(a, nfa_bytes(a, root, slice_str(methods[i])), &sp, to);
	if (!common)
		add_tokens(a, root, to);
}

int lang_method(bool common, struct table_dfa *ret)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	uint32_t root = nfa_root(&a), end = nfa_root(&a);

	add_methods(&a, root, common, end);
	nfa_tag(&a, end, 0);
	return lang_from_nfa(&a, root, NULL, ret);
}

int lang_canonical_request(bool slash, bool common, struct table_dfa *ret)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	uint32_t root = nfa_root(&a), path = nfa_root(&a);

	add_methods(&a, root, common, path);
	add_paths(&a, path, slash);
	return lang_from_nfa(&a, root, NULL, ret);
}

/* -------------------------------------------------------------------------- other texts -- */

int lang_file_path(struct table_dfa *ret)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	const struct byteset dot = set_of("."), sep = set_of("/");
	uint32_t root = nfa_root(&a), begin = nfa_root(&a), one = nfa_root(&a);
	uint32_t two = nfa_root(&a), text = nfa_root(&a);
	struct byteset name = all_bytes, other;

	byteset_remove(&name, 0);
	byteset_remove(&name, '/');
	other = name;
	byteset_remove(&other, '.');
	nfa_shape_end(&a, root, &sep, begin);
	nfa_shape_end(&a, begin, &dot, one);
	nfa_shape_end(&a, begin, &other, text);
	nfa_shape_end(&a, one, &dot, two);
	nfa_shape_end(&a, one, &other, text);
	nfa_shape_end(&a, two, &name, text);
	nfa_shape_end(&a, text, &name, text);
	nfa_shape_end(&a, text, &sep, begin);
	nfa_tag(&a, text, 0);
	return lang_from_nfa(&a, root, NULL, ret);
}

/* A label that is a number, and only the last one may not be: such a "name" is an address in some old
 * spelling, and the resolver answers none (digits, or 0x and hexadecimal ones). */
struct label {
	uint32_t begin, zero, number, hex, text;
};

static void add_label(struct nfa *a, const struct label *l)
{
	const struct byteset zero = set_of("0"), x = set_of("x");
	struct byteset digits = {0}, hex = {0}, rest = set_of("-_"), all;

	byteset_range(&digits, '0', '9');
	byteset_range(&rest, 'a', 'z');
	hex = digits;
	byteset_range(&hex, 'a', 'f');
	all = rest;
	byteset_range(&all, '0', '9');
	nfa_shape_end(a, l->begin, &zero, l->zero);
	nfa_shape_end(a, l->zero, &x, l->hex);
	nfa_shape_end(a, l->hex, &hex, l->hex);
	byteset_remove(&digits, '0');
	nfa_shape_end(a, l->begin, &digits, l->number);
	byteset_add(&digits, '0');
	nfa_shape_end(a, l->zero, &digits, l->number);
	nfa_shape_end(a, l->number, &digits, l->number);
	nfa_shape_end(a, l->begin, &rest, l->text);
	nfa_shape_end(a, l->number, &rest, l->text);
	nfa_shape_end(a, l->text, &all, l->text);
	byteset_remove(&rest, 'x');
	nfa_shape_end(a, l->zero, &rest, l->text);
	for (unsigned int b = 0; b < 256; b++)
		if (byteset_has(&hex, (uint8_t)b))
			byteset_remove(&all, (uint8_t)b);
	nfa_shape_end(a, l->hex, &all, l->text);
}

int lang_host(struct table_dfa *ret)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	const struct byteset n = set_of("n"), dot = set_of("."), end = {{1}};
	const uint32_t root = nfa_root(&a);
	const struct label l = {nfa_root(&a), nfa_root(&a), nfa_root(&a), nfa_root(&a),
				nfa_root(&a)};
	const uint32_t in[] = {l.zero, l.number, l.hex, l.text};
	uint32_t done = nfa_root(&a);

	nfa_shape_end(&a, root, &n, l.begin);
	add_label(&a, &l);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		nfa_shape_end(&a, in[i], &dot, l.begin);
	nfa_shape_end(&a, l.text, &end, done);
	nfa_tag(&a, done, 0);
	return lang_from_nfa(&a, root, NULL, ret);
}

int lang_query(struct table_dfa *ret)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	struct byteset text = all_bytes;
	uint32_t root = nfa_root(&a);

	for (unsigned int b = 0; b < 0x20; b++)
		byteset_remove(&text, (uint8_t)b);
	byteset_remove(&text, 0x7f);
	nfa_tag(&a, nfa_star(&a, root, &text), 0);
	return lang_from_nfa(&a, root, NULL, ret);
}
