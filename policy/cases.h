/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cases.h - unit tests of a policy: a YAML text of questions with the answers that are expected.
 *
 *   cases:
 *     - name: curl reads          what a failure is called
 *       binary: /usr/bin/curl     and optionally script, ancestors: [...], tainted: true
 *       host: api.github.com
 *       port: 443
 *       method: GET               a request: method and path together, or neither
 *       path: /repos/a/b          request target, raw or canonical, `?query` included
 *       query: {k: [v, w]}        decoded, besides the target's own
 *       expect: allow             or deny, or audit
 *       policy: github_api        optional: key or name of the block that must decide
 *     - name: curl deletes nothing
 *       never: binary=/usr/bin/curl method=DELETE       or a list: no such request is allowed (prove.h)
 *   never: [...]                  the same without a name
 */
#pragma once

#include "policy/explain.h"
#include "policy/prove.h"

struct policy_case {
	struct slice name; /* n == 0: none, of a `never` only */
	int line, col;
	struct slice never; /* n == 0: a question, below */
	struct prove_expr *expr; /* of never */
	struct explain_ask ask;
	enum explain_decision expect;
	struct slice block; /* n == 0: any */
};

struct policy_cases {
	struct arena arena;
	struct policy_case *v; /* malloced */
	size_t n, cap;
};

/* At most POLICY_TEXT_MAX bytes.  All errors go to diags, as for a policy.  -EINVAL: there is at least one; -ENOMEM. */
int policy_cases_parse(struct slice text, struct policy_diags *diags, struct policy_cases *ret);
void policy_cases_done(struct policy_cases *c);

/* Of a question: is the decision what it expects, by the block that it expects? */
bool policy_case_holds(const struct policy_case *c, const struct explanation *x);
