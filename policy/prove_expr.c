/* SPDX-License-Identifier: Apache-2.0 */
/* prove_expr.c - reading expressions (policy/prove.h) and saying back what they mean. */
#include "policy/prove_expr.h"
#include "policy/diag.h"
#include "policy/glob.h"
#include "policy/host.h"

#include <stdarg.h>

#define EXPR_MAX 16384
#define QUERIES_MAX 32

struct parse {
	struct prove_expr *e;
	char *why;
	size_t why_n;
	struct slice key, value;
};

__attribute__((format(printf, 2, 3))) static int bad(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(p->why, p->why_n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

struct prove_expr *prove_expr_free(struct prove_expr *e)
{
	if (!e)
		return NULL;
	arena_done(&e->arena);
	table_dfa_done(&e->host);
	table_dfa_done(&e->path_dfa);
	for (size_t i = 0; i < e->nquery; i++)
		table_dfa_done(&e->query[i].glob);
	free(e->query);
	free(e->query_text);
	free(e);
	return NULL;
}

static int check_glob(struct parse *p, enum glob_kind kind)
{
	char why[160];
	int r = glob_add(NULL, 0, p->value, kind, 0, why, sizeof(why));

	if (r == -EINVAL)
		return bad(p, "%.*s: '%.*s' %s", (int)p->key.n, (const char *)p->key.p,
			   (int)p->value.n, (const char *)p->value.p, why);
	return r;
}

/* --------------------------------------------------------------------------------- keys -- */

static int take_binary(struct parse *p)
{
	p->e->binary = p->value;
	return check_glob(p, GLOB_BINARY);
}

static int take_program(struct parse *p, struct expr_program *x)
{
	x->which = slice_eq_str(p->value, "none") ? EXPR_NONE : EXPR_GLOB;
	x->glob = p->value;
	return x->which == EXPR_NONE ? 0 : check_glob(p, GLOB_BINARY);
}

static int take_script(struct parse *p)
{
	return take_program(p, &p->e->script);
}

static int take_ancestor(struct parse *p)
{
	return take_program(p, &p->e->ancestor);
}

static int take_tainted(struct parse *p)
{
	if (!slice_eq_str(p->value, "yes") && !slice_eq_str(p->value, "no"))
		return bad(p, "tainted is 'yes' or 'no'");
	p->e->tainted = slice_eq_str(p->value, "yes");
	return 0;
}

/* The automaton of a name, a pattern or a network. */
static int host_table(struct prove_expr *e, const struct pol_net *net)
{
	_cleanup_(nfa_done) struct nfa a = {0};
	uint32_t root = nfa_root(&a);

	nfa_tag(&a, net ? net_add(&a, root, net) : host_add(&a, root, e->host_text), 0);
	return lang_from_nfa(&a, root, NULL, &e->host);
}

/* Patterns over a whole top-level domain are no good in a policy, but they are a good question. */
static int check_name(struct parse *p, char *why, size_t n)
{
	struct pol_endpoint ep = {0};
	char low[HOST_MAX + 16], longer[HOST_MAX + 16];
	struct slice v = p->value;
	size_t stars = v.n > 2 && v.p[0] == '*' ? (v.p[1] == '*' ? 2u : 1u) : 0;
	int r;

	if (v.n > HOST_MAX)
		return bad(p, "host: longer than %d characters", HOST_MAX);
	if (stars && v.n > stars + 1 && v.p[stars] == '.' &&
	    !memchr(v.p + stars + 1, '.', v.n - stars - 1)) {
		int k = snprintf(longer, sizeof(longer), "a%.*s", (int)(v.n - stars),
				 (const char *)v.p + stars);

		r = host_parse((struct slice){(const uint8_t *)longer, (size_t)k}, low, &ep, why, n);
	} else {
		r = host_parse(v, low, &ep, why, n);
	}
	return r;
}

static int take_host(struct parse *p)
{
	struct prove_expr *e = p->e;
	struct pol_net net = {0};
	char why[160], *low;
	int r;

	e->has_host = true;
	e->host_text = p->value;
	e->host_literal = memchr(p->value.p, '/', p->value.n) ||
			  address_parse(p->value, &net.family, net.addr);
	if (e->host_literal) {
		r = net_read(p->value, &net, why, sizeof(why));
		if (r < 0)
			return bad(p, "host: '%.*s' is %s", (int)p->value.n,
				   (const char *)p->value.p, why);
		return host_table(e, &net);
	}
	r = check_name(p, why, sizeof(why));
	if (r < 0)
		return bad(p, "host: '%.*s' %s", (int)p->value.n, (const char *)p->value.p, why);
	low = arena_copy(&e->arena, p->value);
	if (!low)
		return -ENOMEM;
	for (size_t i = 0; low[i]; i++)
		low[i] = (char)(low[i] >= 'A' && low[i] <= 'Z' ? low[i] | 0x20 : low[i]);
	e->host_text = slice_str(low);
	if (low[e->host_text.n - 1] == '.')
		e->host_text.n--;
	return host_table(e, NULL);
}

static bool read_port(struct slice s, uint16_t *ret)
{
	unsigned int v = 0;

	if (s.n == 0 || s.n > 5)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (unsigned int)(s.p[i] - '0');
	}
	*ret = (uint16_t)v;
	return v > 0 && v <= UINT16_MAX;
}

static int take_port(struct parse *p)
{
	const uint8_t *dash = memchr(p->value.p, '-', p->value.n);
	struct slice from = {p->value.p, dash ? (size_t)(dash - p->value.p) : p->value.n}, to = from;

	if (dash)
		to = (struct slice){dash + 1, p->value.n - from.n - 1};
	if (!read_port(from, &p->e->from) || !read_port(to, &p->e->to) || p->e->from > p->e->to)
		return bad(p, "port is N or N-M, 1 to 65535");
	return 0;
}

static int take_method(struct parse *p)
{
	for (size_t i = 0; i < p->value.n; i++) {
		uint8_t c = p->value.p[i];

		if (c <= 0x20 || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
			return bad(p, "method is a token such as DELETE, or '*' for any");
	}
	if (p->value.n > 32)
		return bad(p, "method: longer than 32 characters");
	if (!slice_eq_str(p->value, "*"))
		p->e->method = p->value;
	return 0;
}

static int take_path(struct parse *p)
{
	int r = check_glob(p, GLOB_PATH);

	p->e->path = p->value;
	if (r == 0)
		r = lang_compile(LANG_PATH, &(struct lang_pattern){.glob = p->value}, 1,
				 &p->e->path_dfa);
	return r;
}

static int take_query(struct parse *p)
{
	struct prove_expr *e = p->e;
	struct slice name = {p->key.p + strlen("query."), p->key.n - strlen("query.")};
	int r = check_glob(p, GLOB_QUERY);

	if (name.n == 0)
		return bad(p, "query.NAME needs a name");
	for (size_t i = 0; i < e->nquery; i++)
		if (slice_eq(e->query[i].name, name))
			return bad(p, "'%.*s' stands twice", (int)p->key.n, (const char *)p->key.p);
	if (e->nquery == QUERIES_MAX)
		return bad(p, "more than %d query parameters", QUERIES_MAX);
	if (r == 0)
		r = array_grow(&e->query, &e->query_cap, e->nquery + 1, sizeof(*e->query));
	if (r == 0)
		r = array_grow(&e->query_text, &e->text_cap, e->nquery + 1, sizeof(*e->query_text));
	if (r < 0)
		return r;
	e->query[e->nquery] = (struct query_want){.name = name};
	e->query_text[e->nquery] = p->value;
	e->nquery++;
	return lang_compile(LANG_QUERY, &(struct lang_pattern){.glob = p->value}, 1,
			    &e->query[e->nquery - 1].glob);
}

static const struct {
	const char *key;
	int (*take)(struct parse *p);
} keys[] = {
	{"binary", take_binary}, {"script", take_script}, {"ancestor", take_ancestor},
	{"tainted", take_tainted}, {"host", take_host},	  {"port", take_port},
	{"method", take_method}, {"path", take_path},
};

/* ----------------------------------------------------------------------------- together -- */

static int take_pair(struct parse *p, uint32_t *seen)
{
	const char *known[ARRAY_LEN(keys)], *meant;

	if (p->value.n == 0)
		return bad(p, "'%.*s' has no value", (int)p->key.n, (const char *)p->key.p);
	if (p->key.n >= 6 && memcmp(p->key.p, "query.", 6) == 0)
		return take_query(p);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		known[i] = keys[i].key;
		if (!slice_eq_str(p->key, keys[i].key))
			continue;
		if (*seen >> i & 1)
			return bad(p, "'%s' stands twice", keys[i].key);
		*seen |= 1u << i;
		return keys[i].take(p);
	}
	meant = diag_suggest(p->key, known, ARRAY_LEN(known));
	if (meant)
		return bad(p, "unknown key '%.*s' (did you mean '%s'?)", (int)p->key.n,
			   (const char *)p->key.p, meant);
	return bad(p, "unknown key '%.*s': there are binary, script, ancestor, tainted, host, port, "
		      "method, path and query.NAME", (int)p->key.n, (const char *)p->key.p);
}

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int parse(struct parse *p, struct slice text)
{
	uint32_t seen = 0;
	size_t i = 0;

	for (size_t k = 0; k < text.n; k++)
		if ((text.p[k] < 0x20 && !blank(text.p[k])) || text.p[k] == 0x7f)
			return bad(p, "a control byte");
	for (;;) {
		const uint8_t *eq;
		struct slice word;
		int r;

		while (i < text.n && blank(text.p[i]))
			i++;
		if (i == text.n)
			return 0;
		word = (struct slice){text.p + i, 0};
		while (i < text.n && !blank(text.p[i])) {
			i++;
			word.n++;
		}
		eq = memchr(word.p, '=', word.n);
		if (!eq)
			return bad(p, "'%.*s' is not KEY=VALUE", (int)word.n, (const char *)word.p);
		p->key = (struct slice){word.p, (size_t)(eq - word.p)};
		p->value = (struct slice){eq + 1, word.n - p->key.n - 1};
		r = take_pair(p, &seen);
		if (r < 0)
			return r;
	}
}

int prove_parse(struct slice text, struct prove_expr **ret, char *why, size_t why_n)
{
	_cleanup_(prove_expr_freep) struct prove_expr *e = calloc(1, sizeof(*e));
	struct parse p = {.e = e, .why = why, .why_n = why_n};
	struct slice own;
	int r;

	if (!e)
		return -ENOMEM;
	e->tainted = -1;
	e->from = 1;
	e->to = UINT16_MAX;
	if (text.n > EXPR_MAX)
		return bad(&p, "longer than %d bytes", EXPR_MAX);
	own = (struct slice){(const uint8_t *)arena_copy(&e->arena, text), text.n};
	if (!own.p)
		return -ENOMEM;
	r = parse(&p, own);
	if (r == -E2BIG)
		return bad(&p, "'%.*s' is too complex a pattern", (int)p.value.n,
			   (const char *)p.value.p);
	if (r < 0)
		return r;
	*ret = steal_ptr(&e);
	return 0;
}

struct slice prove_expr_binary(const struct prove_expr *e)
{
	return e->binary;
}

/* -------------------------------------------------------------------------------- words -- */

static void put(FILE *f, const char *before, struct slice s, const char *after)
{
	fprintf(f, "%s%.*s%s", before, (int)s.n, (const char *)s.p, after);
}

static void put_programs(FILE *f, const struct prove_expr *e)
{
	if (e->binary.n)
		put(f, "", e->binary, " as the executable");
	else
		fputs("any executable", f);
	if (e->script.which == EXPR_GLOB)
		put(f, ", running the script ", e->script.glob, "");
	else
		fputs(e->script.which == EXPR_NONE ? ", with no script" : ", with any script", f);
	if (e->ancestor.which == EXPR_GLOB)
		put(f, " and below the ancestor ", e->ancestor.glob, "");
	else
		fputs(e->ancestor.which == EXPR_NONE ? " and no ancestors" : " and any ancestors", f);
	fputs(e->tainted == 1	? ", started with loader variables"
	      : e->tainted == 0 ? ", started without loader variables"
				: "",
	      f);
}

static void put_destination(FILE *f, const struct prove_expr *e)
{
	if (!e->has_host)
		fputs("; any host or address", f);
	else
		put(f, e->host_literal ? "; connections to the address " : "; host ", e->host_text,
		    e->host_literal ? " itself" : "");
	if (e->from == 1 && e->to == UINT16_MAX)
		fputs(", any port", f);
	else if (e->from == e->to)
		fprintf(f, ", port %u", e->from);
	else
		fprintf(f, ", ports %u to %u", e->from, e->to);
}

char *prove_expr_words(const struct prove_expr *e)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	put_programs(f, e);
	put_destination(f, e);
	put(f, e->method.n ? "; method " : "; any method", e->method, "");
	put(f, e->path.n ? ", path " : ", any path", e->path, "");
	for (size_t i = 0; i < e->nquery; i++) {
		put(f, ", a query parameter ", e->query[i].name, "");
		put(f, " like ", e->query_text[i], "");
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
