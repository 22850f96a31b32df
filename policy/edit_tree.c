/* SPDX-License-Identifier: Apache-2.0 */
/* edit_tree.c - a YAML text as it is written, from libyaml's events and their marks. */
#include "policy/edit_tree.h"

#include <yaml.h>

struct anchor {
	const char *name;
	struct edit_node *node;
};

struct reader {
	struct arena *a;
	struct slice text;
	uint32_t *byte_of; /* byte offset of each character; NULL: the text is ASCII */
	size_t chars;
	yaml_parser_t parser;
	struct edit_node *at; /* innermost open collection */
	struct edit_node *root;
	struct edit_node **elem; /* elements of all open collections */
	size_t nelem, cap;
	size_t begin[POLICY_DEPTH_MAX]; /* where those of each open collection start */
	size_t depth;
	struct anchor *anchors;
	size_t nanchors, anchors_cap;
	struct hmap names;
};

/* libyaml counts characters. */
static int index_characters(struct reader *r)
{
	size_t i = 0, chars = 0;

	while (i < r->text.n && r->text.p[i] < 0x80)
		i++;
	if (i == r->text.n)
		return 0;
	r->byte_of = malloc((r->text.n + 1) * sizeof(*r->byte_of));
	if (!r->byte_of)
		return -ENOMEM;
	for (i = 0; i < r->text.n; i++)
		if ((r->text.p[i] & 0xc0) != 0x80)
			r->byte_of[chars++] = (uint32_t)i;
	r->byte_of[chars] = (uint32_t)r->text.n;
	r->chars = chars;
	return 0;
}

static size_t byte_at(const struct reader *r, const yaml_mark_t *m)
{
	if (!r->byte_of)
		return m->index < r->text.n ? m->index : r->text.n;
	return r->byte_of[m->index < r->chars ? m->index : r->chars];
}

static struct edit_node *node_new(struct reader *r, enum ynode_kind kind, const yaml_event_t *ev)
{
	struct edit_node *n = arena_alloc(r->a, sizeof(*n));

	if (!n)
		return NULL;
	n->kind = kind;
	n->start = byte_at(r, &ev->start_mark);
	n->end = byte_at(r, &ev->end_mark);
	n->column = (uint32_t)ev->start_mark.column;
	n->line = (int)ev->start_mark.line + 1;
	n->parent = r->at;
	return n;
}

static int node_place(struct reader *r, struct edit_node *n)
{
	int e;

	if (!r->at) {
		r->root = n;
		return 0;
	}
	e = array_grow(&r->elem, &r->cap, r->nelem + 1, sizeof(*r->elem));
	if (e == 0)
		r->elem[r->nelem++] = n;
	return e;
}

static bool same_anchor(const void *ctx, uint32_t i)
{
	const struct reader *r = ctx;

	return strcmp(r->anchors[i].name, r->anchors[r->nanchors].name) == 0;
}

/* Enters the name where it is new.  *ret_known: it was there. */
static int anchor_find(struct reader *r, const yaml_char_t *name, struct anchor **ret,
		       bool *ret_known)
{
	struct slice s = slice_str((const char *)name);
	uint32_t at = 0;
	int e = array_grow(&r->anchors, &r->anchors_cap, r->nanchors + 1, sizeof(*r->anchors));

	if (e < 0)
		return e;
	r->anchors[r->nanchors] = (struct anchor){arena_copy(r->a, s), NULL};
	if (!r->anchors[r->nanchors].name)
		return -ENOMEM;
	e = hmap_intern(&r->names, hash_bytes(0, s.p, s.n), same_anchor, r, (uint32_t)r->nanchors,
			&at);
	if (e < 0)
		return e;
	*ret_known = e == 1;
	r->nanchors += e == 0;
	*ret = &r->anchors[e == 0 ? r->nanchors - 1 : at];
	return 0;
}

static int anchor_set(struct reader *r, const yaml_char_t *name, struct edit_node *n)
{
	struct anchor *a;
	bool known;
	int e = name ? anchor_find(r, name, &a, &known) : 0;

	if (name && e == 0)
		a->node = n; /* a later anchor of the same name takes over */
	return e;
}

static int on_scalar(struct reader *r, const yaml_event_t *ev)
{
	struct edit_node *n = node_new(r, Y_SCALAR, ev);
	int e;

	if (!n)
		return -ENOMEM;
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->s.n = ev->data.scalar.length;
	n->s.p = (const uint8_t *)arena_copy(
		r->a, (struct slice){ev->data.scalar.value, ev->data.scalar.length});
	if (!n->s.p)
		return -ENOMEM;
	e = anchor_set(r, ev->data.scalar.anchor, n);
	return e < 0 ? e : node_place(r, n);
}

static int on_alias(struct reader *r, const yaml_event_t *ev)
{
	struct edit_node *n;
	struct anchor *a;
	bool known;
	int e = anchor_find(r, ev->data.alias.anchor, &a, &known);

	if (e < 0 || !known)
		return e < 0 ? e : -EINVAL;
	n = node_new(r, a->node->kind, ev);
	if (!n)
		return -ENOMEM;
	a->node->shared = true;
	n->target = a->node;
	return node_place(r, n);
}

static int on_open(struct reader *r, const yaml_event_t *ev, enum ynode_kind kind,
		   const yaml_char_t *anchor, bool flow)
{
	struct edit_node *n = node_new(r, kind, ev);
	int e;

	if (!n)
		return -ENOMEM;
	if (r->depth == POLICY_DEPTH_MAX)
		return -EINVAL;
	n->flow = flow;
	e = anchor_set(r, anchor, n);
	if (e == 0)
		e = node_place(r, n);
	if (e < 0)
		return e;
	r->begin[r->depth++] = r->nelem;
	r->at = n;
	return 0;
}

static int on_close(struct reader *r, const yaml_event_t *ev)
{
	struct edit_node *n = r->at;
	size_t begin = r->begin[--r->depth], content;

	n->n = (uint32_t)(r->nelem - begin);
	n->v = arena_alloc(r->a, (n->n + 1) * sizeof(struct edit_node *));
	if (!n->v)
		return -ENOMEM;
	if (n->n)
		memcpy(n->v, r->elem + begin, n->n * sizeof(struct edit_node *));
	r->nelem = begin;
	r->at = n->parent;
	content = edit_tree_content(r->text, n);
	/* a pair in [a: b] is a map without braces */
	if (n->flow && content < r->text.n &&
	    r->text.p[content] == (n->kind == Y_MAP ? '{' : '['))
		n->end = byte_at(r, &ev->end_mark);
	else if (n->n)
		n->end = n->v[n->n - 1]->end; /* the mark is where the next token starts */
	return 0;
}

static int on_event(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(r, ev);
	case YAML_ALIAS_EVENT:
		return on_alias(r, ev);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(r, ev, Y_SEQ, ev->data.sequence_start.anchor,
			       ev->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
	case YAML_MAPPING_START_EVENT:
		return on_open(r, ev, Y_MAP, ev->data.mapping_start.anchor,
			       ev->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(r, ev);
	default:
		return 0;
	}
}

static int read_events(struct reader *r)
{
	bool end = false;
	int e = 0;

	while (!end && e == 0) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&r->parser, &ev))
			return r->parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
		end = ev.type == YAML_STREAM_END_EVENT;
		e = on_event(r, &ev);
		yaml_event_delete(&ev);
	}
	return e;
}

int edit_tree_read(struct arena *a, struct slice text, struct edit_node **ret)
{
	struct reader r = {.a = a, .text = text};
	int e;

	if (!yaml_parser_initialize(&r.parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, text.n ? text.p : (const uint8_t *)"", text.n);
	e = index_characters(&r);
	if (e == 0)
		e = read_events(&r);
	yaml_parser_delete(&r.parser);
	free(r.byte_of);
	free(r.elem);
	free(r.anchors);
	hmap_done(&r.names);
	if (e == 0 && !r.root)
		e = -EINVAL;
	if (e == 0)
		*ret = r.root;
	return e;
}

struct edit_node *edit_tree_get(const struct edit_node *map, const char *key)
{
	map = edit_tree_real(map);
	for (uint32_t i = 0; map && map->kind == Y_MAP && i + 1 < map->n; i += 2)
		if (slice_eq_str(edit_tree_real(map->v[i])->s, key))
			return map->v[i + 1];
	return NULL;
}

size_t edit_tree_skip(struct slice text, size_t at)
{
	while (at < text.n) {
		uint8_t c = text.p[at];

		if (c == '#')
			while (at < text.n && text.p[at] != '\n' && text.p[at] != '\r')
				at++;
		else if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			at++;
		else
			break;
	}
	return at;
}

size_t edit_tree_content(struct slice text, const struct edit_node *n)
{
	size_t at = n->start;

	if (at < text.n && text.p[at] == '&') {
		while (at < text.n && !strchr(" \t\r\n", text.p[at]))
			at++;
		at = edit_tree_skip(text, at);
	}
	return at;
}
