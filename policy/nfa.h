/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nfa.h - patterns as one tree of nodes, and from it one deterministic automaton.
 *
 * Every pattern is a path from a root.  An edge is a byte, a set of bytes, or "star over a set": a
 * node that is entered without input and stays on bytes of its set.  Patterns share what they begin
 * with, so exact names form a plain trie and the usual state of the automaton is one or two nodes.
 * Subset construction then runs over small sorted node lists; rows are packed as they are found
 * (policy/comb.h).
 *
 * A tag is a number of the caller's: the nodes where patterns end carry tags, and the accept value
 * of a state is computed by the caller from the tags of its nodes.
 */
#pragma once

#include "policy/arena.h"
#include "policy/comb.h"

struct byteset {
	uint64_t w[4];
};

static inline bool byteset_has(const struct byteset *s, uint8_t b)
{
	return s->w[b >> 6] >> (b & 63) & 1;
}
static inline void byteset_add(struct byteset *s, uint8_t b)
{
	s->w[b >> 6] |= 1ull << (b & 63);
}
static inline void byteset_remove(struct byteset *s, uint8_t b)
{
	s->w[b >> 6] &= ~(1ull << (b & 63));
}
static inline void byteset_range(struct byteset *s, unsigned int from, unsigned int to)
{
	for (unsigned int b = from; b <= to; b++)
		byteset_add(s, (uint8_t)b);
}
static inline void byteset_invert(struct byteset *s)
{
	for (int i = 0; i < 4; i++)
		s->w[i] = ~s->w[i];
}
static inline unsigned int byteset_count(const struct byteset *s)
{
	int n = 0;

	for (int i = 0; i < 4; i++)
		n += __builtin_popcountll(s->w[i]);
	return (unsigned int)n;
}

struct nfa_node; /* nfa.c */
struct nfa_tag {
	uint32_t next, tag;
};
struct nfa_edge; /* nfa.c */

/* Where a pattern stands in the policy. */
struct nfa_place {
	int line, col;
};
struct nfa_mark {
	uint32_t node; /* the first of those that came with patterns of this place */
	struct nfa_place place;
};

struct nfa {
	struct nfa_node *node; /* node 0 is unused */
	size_t n, cap;
	struct nfa_tag *tag; /* tag 0 is unused */
	size_t ntags, tags_cap;
	struct byteset *set;
	size_t nsets, sets_cap;
	struct hmap sets;
	struct nfa_edge *edge; /* to children entered on a set: there may be many beside each other */
	size_t nedges, edges_cap;
	struct hmap edges;
	struct nfa_mark *mark;
	size_t nmarks, marks_cap;
	bool oom, full; /* sticky: an addition failed; nfa_status() says how */
};

void nfa_done(struct nfa *a);
/* 0, -ENOMEM, or -E2BIG when there are more nodes than any sensible policy has. */
int nfa_status(const struct nfa *a);

/* What is added from here on is of this place. */
void nfa_mark(struct nfa *a, int line, int col);
/* The place whose patterns have the most of the `n` nodes listed; with list NULL, of all nodes.
 * Line 0: none is marked. */
struct nfa_place nfa_blame(const struct nfa *a, const uint32_t *list, size_t n);

/* Each returns the node reached (an existing one where the patterns agree), 0 after a failed
 * allocation; taking node 0 is harmless. */
uint32_t nfa_root(struct nfa *a);
uint32_t nfa_byte(struct nfa *a, uint32_t from, uint8_t b);
uint32_t nfa_bytes(struct nfa *a, uint32_t from, struct slice s);
uint32_t nfa_set(struct nfa *a, uint32_t from, const struct byteset *s);
uint32_t nfa_star(struct nfa *a, uint32_t from, const struct byteset *s);
void nfa_tag(struct nfa *a, uint32_t at, uint32_t tag);

/* What `**` followed by '/' stands for between slashes: any run of segments, none included.  The
 * node behind its '/'. */
uint32_t nfa_segments(struct nfa *a, uint32_t from);

/* One character that takes more than one shape in bytes: `form` names the shape set among the edges
 * of `from`.  Returns the node behind it; *fresh says that the caller must now add the shapes with
 * nfa_shape() and nfa_shape_end(). */
uint32_t nfa_char(struct nfa *a, uint32_t from, const struct byteset *form, bool *fresh);
/* An inner step of a shape: a private node, never shared with a pattern. */
uint32_t nfa_shape(struct nfa *a, uint32_t from, const struct byteset *s);
/* The last step of a shape, which arrives at `to`. */
void nfa_shape_end(struct nfa *a, uint32_t from, const struct byteset *s, uint32_t to);

/* ------------------------------------------------------------------- what cannot matter -- */

/*
 * Rules end in stars: once a rule for all below /x/ has matched, it matches whatever follows, and a
 * list of twenty such rules would make a state for every subset of them.  But only the first deny
 * rule counts, or without one the first allow rule. So a node is dropped from a state when a rule
 * that has matched for good comes before all it can still lead to.
 */
enum tag_kind { TAG_ALLOW, TAG_DENY, TAG_ALLOW_IF, TAG_DENY_IF }; /* IF: only under conditions */

/* The first tags that input can still lead to from a node; UINT32_MAX: none. */
struct nfa_reach {
	uint32_t allow, deny;
	bool allow_if, deny_if;
	bool forever; /* a star over every byte: once in a state, it stays */
};

/* Kind of a tag.  Tags ascend in the order in which rules count. */
typedef enum tag_kind (*nfa_tag_kind)(const void *ctx, uint32_t tag);

/* malloced, one for each node; NULL: out of memory. */
struct nfa_reach *nfa_reach(const struct nfa *a, nfa_tag_kind kind, const void *ctx);
/* Drops from the list; returns how many are left, in the same order. */
size_t nfa_prune(const struct nfa *a, const struct nfa_reach *reach, nfa_tag_kind kind,
		 const void *ctx, uint32_t *list, size_t n);

/* ------------------------------------------------------------------------ determinising -- */

struct dfa_limits {
	size_t states; /* -E2BIG beyond */
	size_t bytes;  /* of memory, about; -E2BIG beyond */
	uint64_t work; /* node visits; -E2BIG beyond */
};

/* Computes the accept value for the (unsorted, possibly repeated) tags of a state.  0 or -errno. */
typedef int (*dfa_accept)(void *ctx, const uint32_t *tags, size_t n, uint32_t *ret);

struct dfa {
	const struct nfa *nfa;
	struct dfa_limits limits;
	uint64_t work;
	dfa_accept accept;
	void *ctx;
	const struct nfa_reach *reach; /* set by the caller after dfa_init(): prune states by it */
	nfa_tag_kind kind;
	struct osh_img_state *state; /* state 0 is dead */
	size_t n, cap;
	uint32_t *todo; /* states whose rows are not there yet: a stack, so that a name's nodes and
			   states are visited in the order in which they lie in memory */
	size_t ntodo, todo_cap;
	struct comb comb;
	uint32_t *set; /* node lists of all states, one after the other */
	size_t nset, set_cap;
	uint32_t *set_end; /* [n]: where the list of a state ends */
	size_t set_end_cap;
	uint32_t *home;	   /* node -> the first state whose list it stands for, 0 none */
	struct hmap lists; /* states whose home was taken */
	struct dfa_scratch *scratch;
};

int dfa_init(struct dfa *d, const struct nfa *a, const struct dfa_limits *limits, dfa_accept accept,
	     void *ctx);
void dfa_done(struct dfa *d);
/* The state that a root stands for; its rows come with dfa_run(). */
int dfa_start(struct dfa *d, uint32_t root, uint32_t *ret_state);
int dfa_run(struct dfa *d);
/* After -E2BIG: the place with the largest part in it. */
struct nfa_place dfa_blame(const struct dfa *d);
