/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit_tree.h - a YAML text as it is written: every node with the bytes it takes, aliases as aliases.
 *
 * For editing a text in place (policy/edit.c); what the text means is yaml_tree.h's and check.c's
 * business.  Reads only texts that policy_parse() accepted (without its byte order mark), which
 * bounds depth and size; a repeated or complex key does not occur.
 */
#pragma once

#include "policy/yaml_tree.h"

struct edit_node {
	enum ynode_kind kind;
	bool plain;   /* scalar without quotes */
	bool flow;    /* collection in [] or {} */
	bool shared;  /* anchored, and an alias stands for it somewhere */
	size_t start; /* first byte, that of its anchor if it has one */
	size_t end;   /* behind the last byte; of a block collection: behind that of its last leaf */
	uint32_t column; /* of start, in characters from 0 */
	int line;	 /* of start, from 1 */
	struct slice s;	 /* scalar: the value */
	struct edit_node *parent;
	const struct edit_node *target; /* of an alias: the anchored node; else NULL */
	struct edit_node **v;		/* items; of a map: key, value, key, value ... */
	uint32_t n;
};

/* Nodes live in the arena, strings too.  -EINVAL: not one document of YAML. */
int edit_tree_read(struct arena *a, struct slice text, struct edit_node **ret);

/* The value of a key of a map node (an alias is looked through), or NULL. */
struct edit_node *edit_tree_get(const struct edit_node *map, const char *key);

/* The node itself, or what it stands for. */
static inline const struct edit_node *edit_tree_real(const struct edit_node *n)
{
	return n && n->target ? n->target : n;
}

/* Where the content of a node starts: behind anchor, blanks and comments. */
size_t edit_tree_content(struct slice text, const struct edit_node *n);
/* The first byte at or behind `at` that is neither blank, line break nor comment. */
size_t edit_tree_skip(struct slice text, size_t at);
