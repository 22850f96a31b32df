/* SPDX-License-Identifier: Apache-2.0 */
/* nfa_node.h - the node itself, shared by nfa.c (builds) and dfa.c (determinises) and by nobody
 * else. */
#pragma once

#include "policy/nfa.h"

enum nfa_kind {
	NFA_ROOT,
	NFA_BYTE,  /* entered on one byte: the label */
	NFA_SET,   /* entered on a byte of set `label` */
	NFA_STAR,  /* entered without input, stays on bytes of set `label` */
	NFA_CHAR,  /* entered through the shapes beside it; the label tells equal characters */
	NFA_INNER, /* inner step of a shape, entered on a byte of set `label` */
	NFA_LAST,  /* as inner, but one arrives at node `child` instead */
};

#define NFA_KIND_SHIFT 28
#define NFA_NODES_MAX (5u << 20) /* 100 MiB */
#define NFA_KIND(n) ((enum nfa_kind)((n).label >> NFA_KIND_SHIFT))
#define NFA_LABEL(n) ((n).label & ((1u << NFA_KIND_SHIFT) - 1))

/* Twenty bytes: 100,000 names of 20 letters are two million of these. */
struct nfa_node {
	uint32_t next;	/* sibling */
	uint32_t child; /* first child that input leads to; the first few bytes lead */
	uint32_t star;	/* first child of kind NFA_STAR */
	uint32_t tags;	/* first tag */
	uint32_t label; /* kind and label */
};
