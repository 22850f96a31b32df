/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_tree.h - a YAML text as a tree of nodes, each with its place in the text.
 *
 * An alias is the anchored node itself (the tree is a directed graph without cycles), so memory
 * stays proportional to the text; POLICY_NODES_MAX and POLICY_DEPTH_MAX bound what walking it
 * costs.
 */
#pragma once

#include "policy/arena.h"
#include "policy/diag.h"

enum ynode_kind { Y_SCALAR, Y_SEQ, Y_MAP };

struct ynode {
	enum ynode_kind kind;
	bool plain; /* scalar written without quotes: may be a number, a truth value or nothing */
	bool open;  /* still being read: an alias to it would be a cycle */
	int line, col;
	struct slice s;	  /* scalar: the value, NUL-terminated after s.n bytes */
	struct ynode **v; /* sequence: items; map: key, value, key, value ... keys are scalars */
	uint32_t n;	  /* elements of v */
	uint32_t weight;  /* nodes below and including this one, aliases expanded; and text */
	uint32_t height;  /* levels below and including this one */
};

/* What a scalar is under the core schema of YAML 1.2. */
enum ynode_type { YT_NULL, YT_BOOL, YT_INT, YT_FLOAT, YT_STR, YT_SEQ, YT_MAP };
enum ynode_type ynode_type(const struct ynode *n);
/* "a string", "a list", ... */
const char *ynode_type_name(const struct ynode *n);

/* Reads one document.  *ret is NULL for an empty text.  Nodes live in the arena.  Returns -EINVAL
 * when the text is no YAML that may be looked at further (reported); duplicate and complex keys are
 * reported, left out of the tree, and reading goes on. */
int yaml_tree_read(struct arena *a, struct slice text, struct policy_diags *d, struct ynode **ret);
