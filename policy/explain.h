/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain.h - what a policy decides about one connection or request, which lines decided it, and for a denial what
 * would have come nearest; for `policy explain` and `policy test`.
 *
 * The decision is made by the functions that enforce it (decide.c, decide_l7.c), over the image; the checked policy is
 * read for the words only.
 */
#pragma once

#include "policy/arena.h"
#include "policy/policy.h"

struct explain_ask {
	struct ident_paths id;
	struct slice host; /* as a person or a URL writes it */
	uint16_t port;
	struct slice method; /* n == 0: the connection only */
	struct slice target; /* raw request target, a `?query` included */
	const struct query_pair *query; /* decoded, besides the target's own */
	size_t nquery;
};

enum explain_decision {
	EXPLAIN_DENY,
	EXPLAIN_ALLOW,
	EXPLAIN_AUDIT, /* not permitted, logged, let through */
};

/* How the connection is treated. */
enum explain_connection {
	EXPLAIN_REFUSED,
	EXPLAIN_NATIVE,	   /* its bytes are not looked at */
	EXPLAIN_RELAYED,   /* tls: skip */
	EXPLAIN_INSPECTED, /* requests are judged one by one */
};

enum near_kind {
	NEAR_PORT,     /* the same host, another port */
	NEAR_WILDCARD, /* a host pattern that does not stretch so far */
	NEAR_SPELLING, /* a host spelt almost so */
	NEAR_BINARY,   /* this destination, for other binaries */
	NEAR_ANCESTOR, /* an ancestor is listed, with ancestors: false */
	NEAR_TAINTED,  /* the binary is listed, without allow_tainted */
	NEAR_METHOD,   /* this path, for another method */
	NEAR_PATH,     /* this method, for another path */
	NEAR_QUERY,    /* this method and path, with other query values */
	NEAR_SELECTOR, /* an endpoint that is for other paths */
	NEAR_ALLOW,    /* a rule that allows, were it not for the deny rule */
};
const char *near_kind_string(enum near_kind k); /* "port", "wildcard", ... */

struct nearest {
	enum near_kind kind;
	uint32_t block;
	int line;	  /* of what is meant; 0: of nothing in particular */
	const char *text; /* a sentence without full stop */
};

#define EXPLAIN_NEAREST_MAX 3

/* Text lives in the arena; it holds whatever bytes the question and the policy hold. */
struct explanation {
	struct arena arena;
	enum explain_decision decision;
	enum explain_connection connection;
	bool request;	 /* decided at the request, else at connect */
	unsigned status; /* of the answer to a denied request, else 0 */
	uint32_t block;	 /* ~0: none */
	struct slice block_key, block_name;
	int endpoint_line;	/* 0: none decided */
	int binary_line;	/* of the entry that matched the caller, 0: none */
	const char *binary;	/* that entry as written, and what of the caller it matched: */
	const char *binary_as;	/* "executable", "script" or "ancestor" */
	int rule_line;		/* 0: no rule decided */
	const char *rule;	/* in words, NULL */
	const char *reason;	/* of a denial or an audit hit, as in the log; NULL: allowed */
	const char *path;	/* canonical; NULL: no request was read */
	const char *note;	/* one more thing to know, or NULL */
	const char *const *permits; /* inspected, no method asked: the rules in words, NULL-terminated */
	struct nearest nearest[EXPLAIN_NEAREST_MAX]; /* best first */
	size_t nnearest;
};

/* img: of p.  words: also look for the nearest misses.  0 or -ENOMEM.  explanation_done() frees. */
int explain(const struct policy *p, const struct image *img, const struct explain_ask *ask, bool words,
	    struct explanation *ret);
void explanation_done(struct explanation *e);

/* The line that decided: the rule's, else the endpoint's, else 0. */
static inline int explanation_line(const struct explanation *e)
{
	return e->rule_line ? e->rule_line : e->endpoint_line;
}
