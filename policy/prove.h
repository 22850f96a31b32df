/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prove.h - can any request that looks like this be allowed?  Exact, over the compiled automata: either
 * no such request exists or one is shown.
 *
 * An expression is a list of KEY=VALUE, separated by blanks; all must hold:
 *   binary=GLOB      the executable (with any script and any ancestors, unless said otherwise)
 *   script=GLOB|none the script that the executable was asked to run
 *   ancestor=none    no ancestors; ancestor=GLOB: one ancestor at least is like this
 *   tainted=yes|no   started with loader variables or not
 *   host=PATTERN     as in a policy, and also bare '*' and '**'; an IP literal or CIDR
 *   port=N|N-M
 *   method=M  path=GLOB  query.NAME=GLOB
 * Left out: any.  A connection that is not inspected allows every method, path and query.
 */
#pragma once

#include "policy/policy.h"

struct prove_expr;
int prove_parse(struct slice text, struct prove_expr **ret, char *why, size_t why_n); /* -EINVAL: why */
struct prove_expr *prove_expr_free(struct prove_expr *e);
/* What was meant where the expression is silent, in words: "binary /usr/bin/curl with any script and any
 * ancestors, ...". malloced; NULL: out of memory. */
char *prove_expr_words(const struct prove_expr *e);

/* A request that is decided: everything printable, malloced. */
struct witness {
	char *binary, *script; /* script NULL: none */
	char **ancestors;      /* NULL-terminated, newest first */
	bool tainted;
	char *host; /* name or literal */
	uint16_t port;
	bool inspected;	     /* else method, path and query are NULL: every request passes */
	char *method, *path; /* canonical path */
	char *query;	     /* "k=v&k=v", percent-encoded; NULL: none needed */
	char *address;	     /* when the difference lies in what host may resolve to; else NULL */
};
void witness_done(struct witness *w);
/* "/usr/bin/curl (below /bin/bash) GET https://host:443/path", one line, malloced. */
char *witness_words(const struct witness *w);

/* 0: no such request is allowed; 1: *ret shows one that is; -E2BIG: too complex for an exact answer;
 * -ENOMEM.  A request let through by `enforcement: audit` counts as allowed. */
int prove_never(const struct image *img, const struct prove_expr *e, struct witness *ret);
