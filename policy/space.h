/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space.h - everything that one policy, or two at once, can tell apart: callers, destinations,
 * requests, queries.  The base of prove and diff.
 *
 * There are endlessly many paths, names and requests, but a policy's automata sort them into few
 * classes.  Each function here gives every class once, with a concrete member; what holds for the
 * member holds for the class.  So asking the ordinary decision functions (policy.h) about the members
 * answers for all, exactly.  With two images (sides) the classes are those that either tells apart.
 *
 * Nothing here decides anything, and nothing gives up silently: beyond a limit the result is -E2BIG.
 */
#pragma once

#include "policy/product.h"

#define SIDES_MAX 2
#define SPACE_CALLERS_MAX 65536	     /* sets of blocks that callers can have at one destination */
#define SPACE_QUERIES_MAX 65536	     /* outcomes of conditions for one method and path */
#define SPACE_WORK_MAX 40000000ull   /* decisions asked for */

enum space_lang { SPACE_METHOD_COMMON, SPACE_METHOD, SPACE_PATH, SPACE_PATH_SLASH, SPACE_QUERY, SPACE_LANGS };

struct space {
	const struct image *img[SIDES_MAX];
	size_t n;
	struct arena arena; /* texts of members */
	uint64_t work;
	struct table_dfa lang[SPACE_LANGS]; /* made when they are first asked for */
};
void space_done(struct space *s);
int space_lang(struct space *s, enum space_lang which, const struct table_dfa **ret);
/* Counts decisions; -E2BIG when it is enough. */
int space_spend(struct space *s, uint64_t decisions);

/* --------------------------------------------------------------------------- programs -- */

struct path_class {
	uint32_t binset[SIDES_MAX];
	struct slice path; /* n == 0: a program without a path (a memfd), which matches nothing */
};
struct path_classes {
	struct path_class *v;
	size_t n, cap;
	struct hmap map;
};
void path_classes_done(struct path_classes *c);
/* Classes of the paths that glob matches; n == 0: of all paths.  pathless: also of none at all. */
int space_paths(struct space *s, struct slice glob, bool pathless, struct path_classes *ret);

/* ------------------------------------------------------------------------ destinations -- */

struct dest_class {
	uint32_t dstset[SIDES_MAX];
	struct dest dest; /* host in the arena */
};
struct dest_filter {
	const struct table_dfa *host; /* over the input of the destination automaton; NULL: any */
	uint16_t from, to;	      /* ports */
};
typedef int (*dest_visit)(void *ctx, const struct dest_class *d);
/* Every pair of destination sets but (none, none): once for names, once for literal addresses (those
 * that the kernel never lets pass are left out).  As product_walk(). */
int space_dests(struct space *s, const struct dest_filter *f, dest_visit visit, void *ctx);

/* What of a destination set decisions depend on.  Two blocks whose endpoints there say the same count
 * as one, their representative: it makes no difference which of them a caller is in, or both. */
struct dest_shape {
	uint16_t rep[SIDES_MAX][OSH_BLOCKS_MAX]; /* of the blocks in mask */
	struct block_bits mask[SIDES_MAX];
	uint8_t *key; /* destinations with one key decide alike for every caller */
	size_t nkey, key_cap;
};
void dest_shape_done(struct dest_shape *s);
int space_shape(const struct space *s, const struct dest_class *d, struct dest_shape *ret);

/* Shapes that were looked at. */
struct shape_set {
	struct slice *key;
	size_t n, cap;
	struct hmap map;
	struct slice look; /* the key looked for */
};
void shape_set_done(struct shape_set *t);
/* *ret numbers shapes from 0.  1: it was there, 0: it is new, or -ENOMEM. */
int shape_set_add(struct space *s, struct shape_set *t, const struct dest_shape *shape,
		  uint32_t *ret);

/* ----------------------------------------------------------------------------- callers -- */

struct caller_filter {
	const struct path_classes *exe;
	const struct path_classes *script; /* NULL: none */
	bool must_script;
	const struct path_classes *anc;	 /* NULL: none */
	const struct path_classes *must; /* one ancestor at least is of these; NULL: no matter */
	bool untainted, tainted;
};

struct caller {
	struct block_bits bits[SIDES_MAX]; /* representatives */
	const struct path_class *exe, *script, *anc; /* anc: the oldest of its ancestors */
	uint32_t parent; /* who has the others */
	uint32_t nanc;
	bool tainted;
	bool repeats; /* bits that an earlier one has */
};
struct callers {
	struct caller *v;
	size_t n, cap;
	struct hmap map;
};
void callers_done(struct callers *c);
/* Every set of blocks that some caller has at the destination, simplest callers first. */
int space_callers(struct space *s, const struct caller_filter *f, const struct dest_shape *shape,
		  struct callers *ret);
/* The caller's paths; anc holds OSH_ANCESTORS_MAX. */
void caller_paths(const struct callers *c, const struct caller *x, struct slice *anc,
		  struct ident_paths *ret);

/* ---------------------------------------------------------------------------- requests -- */

/* An inspected endpoint of a destination. */
struct space_endpoint {
	size_t side;
	const struct img_endpoint *e;
	size_t automaton; /* which accept value of a request class is its rules' */
};

struct space_endpoints {
	struct space_endpoint *v;
	size_t n, cap;
	bool slash; /* one of them keeps slashes */
};
/* The inspected endpoints of the destination that any of the callers has. */
int space_endpoints(const struct space *s, const struct dest_class *d, const struct callers *c,
		    struct space_endpoints *ret);

struct request_filter {
	struct slice method;	      /* n == 0: any */
	const struct table_dfa *path; /* NULL: any */
	bool slash;		      /* kept slashes can occur */
};
/* accept: by space_endpoint.automaton. */
typedef int (*request_visit)(void *ctx, struct slice method, struct slice path,
			     const uint32_t *accept);
/* Fills in the automata of v and visits every class of method and path.  As product_walk(). */
int space_requests(struct space *s, const struct request_filter *f, struct space_endpoint *v, size_t n,
		   request_visit visit, void *ctx);

/* ----------------------------------------------------------------------------- queries -- */

struct query_want { /* the parameter is there, with one value at least that the glob matches */
	struct slice name;
	struct table_dfa glob;
};
struct query_filter {
	const struct query_want *v;
	size_t n;
	bool best; /* only the outcomes that allow most: no other can be allowed where they are not */
};
typedef int (*query_visit)(void *ctx, const struct query_pair *q, size_t n);
/* One query for every outcome of the conditions that the rule sets (accept) of v look at.  Names and
 * values are decoded, valid until the visit returns. */
int space_queries(struct space *s, const struct query_filter *f, const struct space_endpoint *v,
		  size_t n, const uint32_t *accept, query_visit visit, void *ctx);

/* --------------------------------------------------------------------------- addresses -- */

/* Addresses that the kernel does not refuse whatever the policy says: '4' or '6' and the bytes. */
int lang_address(struct table_dfa *ret);

struct address {
	uint8_t family;
	uint8_t addr[16];
};
/* Addresses of which one at least lies in every region that the classes of addresses and the networks
 * cut out.  malloced. */
int space_addresses(const struct img_net *nets, size_t n, struct address **ret, size_t *ret_n);
