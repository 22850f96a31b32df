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
 *   host=PATTERN     as in a policy, and also *.TLD and **.TLD; an address or network: connections to
 *                    the address itself
 *   port=N|N-M
 *   method=M  path=GLOB
 *   query.NAME=GLOB  NAME is there, with one value at least like this
 * Left out: any.  A connection that is not inspected allows every method, path and query.
 */
#pragma once

#include "policy/policy.h"
#include "policy/witness.h"

struct prove_expr;
int prove_parse(struct slice text, struct prove_expr **ret, char *why, size_t why_n); /* -EINVAL: why */
struct prove_expr *prove_expr_free(struct prove_expr *e);
static inline void prove_expr_freep(struct prove_expr **e)
{
	prove_expr_free(*e);
}
/* What was meant, in words, also where the expression is silent: "/usr/bin/curl as the executable, with
 * any script and any ancestors; any host; ...".  malloced; NULL: out of memory. */
char *prove_expr_words(const struct prove_expr *e);

/* The executable's pattern; n == 0: any. */
struct slice prove_expr_binary(const struct prove_expr *e);

/* 0: no such request is allowed; 1: *ret shows one that is; -E2BIG: too complex for an exact answer;
 * -EINVAL: a witness was found that the ordinary functions do not bear out (a flaw here; never an
 * answer); -ENOMEM.  A request let through by `enforcement: audit` counts as allowed. */
int prove_never(const struct image *img, const struct prove_expr *e, struct witness *ret);
