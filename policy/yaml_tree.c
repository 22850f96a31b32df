/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_tree.c - a YAML text as a tree of nodes, from libyaml's events; refuses bombs of every kind.
 */
#include "policy/yaml_tree.h"
#include "policy/utf8.h"

#include <search.h>
#include <yaml.h>

struct anchor {
	const char *name;
	struct ynode *node;
};

struct reader {
	struct arena *a;
	struct policy_diags *d;
	yaml_parser_t parser;
	struct ynode *stack[POLICY_DEPTH_MAX]; /* open collections, outermost first */
	size_t begin[POLICY_DEPTH_MAX];	       /* where their elements start in `elem` */
	size_t depth;
	struct ynode **elem; /* elements of all open collections */
	size_t nelem, cap;
	void *anchors; /* tsearch(3) tree of struct anchor in the arena */
	struct ynode *root;
	unsigned int documents;
};

static void no_free(void *p)
{
	(void)p;
}

static void reader_done(struct reader *r)
{
	yaml_parser_delete(&r->parser);
	tdestroy(r->anchors, no_free);
	free(r->elem);
}

static int mark_line(const yaml_mark_t *m)
{
	return (int)m->line + 1;
}

static int mark_col(const yaml_mark_t *m)
{
	return (int)m->column + 1;
}

/* A tag changes nothing that follows, so reading goes on. */
static void refuse_tag(struct reader *r, const yaml_mark_t *m)
{
	diag_add(r->d, POLICY_ERROR, mark_line(m), mark_col(m), "tags ('!...') are not supported");
}

static int fail(struct reader *r, const yaml_mark_t *m, const char *message)
{
	diag_add(r->d, POLICY_ERROR, mark_line(m), mark_col(m), "%s", message);
	return -EINVAL;
}

static int cmp_anchor(const void *a, const void *b)
{
	return strcmp(((const struct anchor *)a)->name, ((const struct anchor *)b)->name);
}

static int anchor_set(struct reader *r, const yaml_char_t *name, struct ynode *node)
{
	struct anchor *a, **at;

	if (!name)
		return 0;
	a = arena_alloc(r->a, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->name = arena_copy(r->a, slice_str((const char *)name));
	a->node = node;
	if (!a->name)
		return -ENOMEM;
	at = tsearch(a, &r->anchors, cmp_anchor);
	if (!at)
		return -ENOMEM;
	(*at)->node = node; /* a later anchor of the same name takes over */
	return 0;
}

static struct ynode *node_new(struct reader *r, enum ynode_kind kind, const yaml_mark_t *m)
{
	struct ynode *n = arena_alloc(r->a, sizeof(*n));

	if (!n)
		return NULL;
	n->kind = kind;
	n->line = mark_line(m);
	n->col = mark_col(m);
	n->weight = 1;
	n->height = 1;
	return n;
}

/* Puts a finished or just opened node where it belongs. */
static int node_place(struct reader *r, struct ynode *n)
{
	int e;

	if (r->depth == 0) {
		r->root = n;
		return 0;
	}
	e = array_grow(&r->elem, &r->cap, r->nelem + 1, sizeof(*r->elem));
	if (e < 0)
		return e;
	r->elem[r->nelem++] = n;
	return 0;
}

static int on_scalar(struct reader *r, const yaml_event_t *ev)
{
	struct ynode *n = node_new(r, Y_SCALAR, &ev->start_mark);
	int e;

	if (!n)
		return -ENOMEM;
	if (ev->data.scalar.tag)
		refuse_tag(r, &ev->start_mark);
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->s.n = ev->data.scalar.length;
	n->weight += (uint32_t)(n->s.n / 8); /* long text costs too, each time an alias repeats it */
	n->s.p = (const uint8_t *)arena_copy(
		r->a, (struct slice){ev->data.scalar.value, ev->data.scalar.length});
	if (!n->s.p)
		return -ENOMEM;
	e = anchor_set(r, ev->data.scalar.anchor, n);
	return e < 0 ? e : node_place(r, n);
}

static int on_alias(struct reader *r, const yaml_event_t *ev)
{
	const struct anchor key = {(const char *)ev->data.alias.anchor, NULL};
	struct anchor *const *at = tfind(&key, &r->anchors, cmp_anchor);

	if (!at) {
		diag_add(r->d, POLICY_ERROR, mark_line(&ev->start_mark), mark_col(&ev->start_mark),
			 "alias '*%.60s' names no anchor above it", key.name);
		return -EINVAL;
	}
	if ((*at)->node->open)
		return fail(r, &ev->start_mark, "an alias inside its own anchor never ends");
	if (r->depth + (*at)->node->height > POLICY_DEPTH_MAX)
		return fail(r, &ev->start_mark,
			    "nested too deeply through this alias (at most 32 levels)");
	return node_place(r, (*at)->node);
}

static int on_open(struct reader *r, const yaml_event_t *ev, enum ynode_kind kind,
		   const yaml_char_t *tag, const yaml_char_t *anchor)
{
	struct ynode *n;
	int e;

	if (tag)
		refuse_tag(r, &ev->start_mark);
	if (r->depth == POLICY_DEPTH_MAX - 1)
		return fail(r, &ev->start_mark, "nested too deeply (at most 32 levels)");
	n = node_new(r, kind, &ev->start_mark);
	if (!n)
		return -ENOMEM;
	n->open = true;
	e = anchor_set(r, anchor, n);
	if (e < 0)
		return e;
	e = node_place(r, n);
	if (e < 0)
		return e;
	r->begin[r->depth] = r->nelem;
	r->stack[r->depth++] = n;
	return 0;
}

/* ------------------------------------------------------------------------ closing a map -- */

static int cmp_key(const void *pa, const void *pb)
{
	const struct ynode *a = *(const struct ynode *const *)pa;
	const struct ynode *b = *(const struct ynode *const *)pb;
	size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
	int c = n ? memcmp(a->s.p, b->s.p, n) : 0;

	if (c)
		return c;
	if (a->s.n != b->s.n)
		return a->s.n < b->s.n ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->col - b->col;
}

static bool same_key(const struct ynode *a, const struct ynode *b)
{
	return slice_eq(a->s, b->s);
}

/* Leaves out pairs whose key cannot be a name. */
static void drop_other_keys(struct reader *r, struct ynode *map)
{
	uint32_t out = 0;

	for (uint32_t i = 0; i + 1 < map->n; i += 2) {
		const struct ynode *k = map->v[i];

		if (k->kind != Y_SCALAR) {
			diag_add(r->d, POLICY_ERROR, k->line, k->col,
				 "a key must be a name, not %s", ynode_type_name(k));
			continue;
		}
		if (k->plain && slice_eq_str(k->s, "<<")) {
			diag_add(r->d, POLICY_ERROR, k->line, k->col,
				 "merge keys ('<<') are not supported; use an alias for the whole "
				 "value");
			continue;
		}
		map->v[out++] = map->v[i];
		map->v[out++] = map->v[i + 1];
	}
	map->n = out;
}

/* Reports repeated keys; the first one counts. */
static int drop_duplicate_keys(struct reader *r, struct ynode *map)
{
	uint32_t nkeys = map->n / 2, out = 0;
	_cleanup_free_ struct ynode **keys = malloc((nkeys + 1) * sizeof(struct ynode *));
	bool any = false;

	if (!keys)
		return -ENOMEM;
	for (uint32_t i = 0; i < nkeys; i++)
		keys[i] = map->v[2 * i];
	qsort(keys, nkeys, sizeof(struct ynode *), cmp_key);
	for (uint32_t i = 1, first = 0; i < nkeys; i++) {
		if (!same_key(keys[i], keys[first])) {
			first = i;
			continue;
		}
		diag_add(r->d, POLICY_ERROR, keys[i]->line, keys[i]->col,
			 "duplicate key '%.60s' (first at line %d)", (const char *)keys[i]->s.p,
			 keys[first]->line);
		keys[i]->open = true; /* a mark: scalars are never open */
		any = true;
	}
	for (uint32_t i = 0; any && i + 1 < map->n; i += 2) {
		if (map->v[i]->open) {
			map->v[i]->open = false;
			continue;
		}
		map->v[out++] = map->v[i];
		map->v[out++] = map->v[i + 1];
	}
	if (any)
		map->n = out;
	return 0;
}

static int on_close(struct reader *r, const yaml_event_t *ev)
{
	struct ynode *n = r->stack[--r->depth];
	size_t begin = r->begin[r->depth], count = r->nelem - begin;

	_Static_assert(POLICY_TEXT_MAX < UINT32_MAX / 2, "every element takes a byte of the text");
	n->v = arena_alloc(r->a, (count + 1) * sizeof(struct ynode *));
	if (!n->v)
		return -ENOMEM;
	if (count)
		memcpy(n->v, r->elem + begin, count * sizeof(struct ynode *));
	n->n = (uint32_t)count;
	r->nelem = begin;
	n->open = false;
	for (size_t i = 0; i < count; i++) {
		const struct ynode *c = n->v[i];

		if (c->height + 1 > n->height)
			n->height = c->height + 1;
		n->weight += c->weight;
		if (n->weight > POLICY_NODES_MAX)
			return fail(r, &ev->start_mark,
				    "aliases expand this to more than 4000000 nodes (eight bytes "
				    "of text count as one more)");
	}
	if (n->kind != Y_MAP)
		return 0;
	drop_other_keys(r, n);
	return drop_duplicate_keys(r, n);
}

/* ------------------------------------------------------------------------------- events -- */

/* 1: nothing more is read. */
static int on_event(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (!r->documents++)
			return 0;
		(void)fail(r, &ev->start_mark,
			   "a policy is one document; a second one starts here");
		return 1; /* what is wrong in the first is still worth saying */
	case YAML_SCALAR_EVENT:
		return on_scalar(r, ev);
	case YAML_ALIAS_EVENT:
		return on_alias(r, ev);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(r, ev, Y_SEQ, ev->data.sequence_start.tag,
			       ev->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		return on_open(r, ev, Y_MAP, ev->data.mapping_start.tag,
			       ev->data.mapping_start.anchor);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(r, ev);
	default:
		return 0;
	}
}

static int syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	diag_add(r->d, POLICY_ERROR, mark_line(&p->problem_mark), mark_col(&p->problem_mark),
		 "not YAML: %s%s%s", p->context ? p->context : "", p->context ? ": " : "",
		 p->problem ? p->problem : "cannot be read");
	return -EINVAL;
}

static int read_events(struct reader *r)
{
	bool end = false;

	while (!end) {
		yaml_event_t ev;
		int e;

		if (!yaml_parser_parse(&r->parser, &ev))
			return syntax_error(r);
		e = on_event(r, &ev);
		end = e > 0 || ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
		if (e < 0)
			return e;
	}
	return 0;
}

/* Characters that YAML texts may hold (YAML 1.2, 5.1, as libyaml reads it). */
static bool yaml_char(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n' || c == '\r';
	if (c >= 0x7f && c < 0xa0)
		return c == 0x85;
	return c != 0xfeff && c != 0xfffe && c != 0xffff;
}

/* libyaml would find what is bad too, but names no line and column. */
static int check_chars(struct slice text, struct policy_diags *d)
{
	int line = 1, col = 1;
	uint32_t c;

	for (size_t i = 0, k; i < text.n; i += k, col++) {
		k = utf8_decode(text.p + i, text.n - i, &c);
		if (!k) {
			diag_add(d, POLICY_ERROR, line, col, "not UTF-8 (byte 0x%02x)", text.p[i]);
			return -EINVAL;
		}
		if (!yaml_char(c)) {
			diag_add(d, POLICY_ERROR, line, col,
				 "the character U+%04X cannot stand in a YAML text", c);
			return -EINVAL;
		}
		if (c == '\n') {
			line++;
			col = 0;
		}
	}
	return 0;
}

int yaml_tree_read(struct arena *a, struct slice text, struct policy_diags *d, struct ynode **ret)
{
	struct reader r = {.a = a, .d = d};
	size_t bom = utf8_bom(text);
	int e;

	if (text.n > POLICY_TEXT_MAX) {
		diag_add(d, POLICY_ERROR, 0, 0, "%zu bytes; a policy has at most %u", text.n,
			 POLICY_TEXT_MAX);
		return -EINVAL;
	}
	/* libyaml would count the mark as a column, and the second line as outdented */
	text.p += bom;
	text.n -= bom;
	e = check_chars(text, d);
	if (e < 0)
		return e;
	if (!yaml_parser_initialize(&r.parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, text.n ? text.p : (const uint8_t *)"", text.n);
	e = read_events(&r);
	reader_done(&r);
	if (e < 0)
		return e;
	*ret = r.root;
	return 0;
}

/* -------------------------------------------------------------------------------- types -- */

static bool one_of(struct slice s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_str(s, words[i]))
			return true;
	return false;
}

static bool is_number(struct slice s, bool *is_int)
{
	size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0, digits = 0;
	bool dot = false, exp = false;

	if (s.n - i > 2 && s.p[i] == '0' && (s.p[i + 1] == 'x' || s.p[i + 1] == 'o')) {
		*is_int = true;
		for (size_t k = i + 2; k < s.n; k++)
			if (!strchr("0123456789abcdefABCDEF", s.p[k]) || !s.p[k])
				return false;
		return true;
	}
	for (; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c >= '0' && c <= '9') {
			digits++;
		} else if (c == '.' && !dot && !exp) {
			dot = true;
		} else if ((c == 'e' || c == 'E') && digits && !exp) {
			exp = true;
			digits = 0;
			if (i + 1 < s.n && (s.p[i + 1] == '-' || s.p[i + 1] == '+'))
				i++;
		} else {
			return false;
		}
	}
	*is_int = !dot && !exp;
	return digits > 0;
}

enum ynode_type ynode_type(const struct ynode *n)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
	bool is_int;

	if (n->kind != Y_SCALAR)
		return n->kind == Y_SEQ ? YT_SEQ : YT_MAP;
	if (!n->plain)
		return YT_STR;
	if (one_of(n->s, nulls, ARRAY_LEN(nulls)))
		return YT_NULL;
	if (one_of(n->s, bools, ARRAY_LEN(bools)))
		return YT_BOOL;
	if (is_number(n->s, &is_int))
		return is_int ? YT_INT : YT_FLOAT;
	return YT_STR;
}

const char *ynode_type_name(const struct ynode *n)
{
	switch (ynode_type(n)) {
	case YT_NULL:
		return "nothing";
	case YT_BOOL:
		return "a truth value";
	case YT_INT:
	case YT_FLOAT:
		return "a number";
	case YT_STR:
		return "a string";
	case YT_SEQ:
		return "a list";
	case YT_MAP:
		return "a map";
	}
	return "?";
}
