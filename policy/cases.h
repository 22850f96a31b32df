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
 */
#pragma once

#include "policy/explain.h"

struct policy_case {
	struct slice name;
	int line, col;
	struct explain_ask ask;
	enum explain_decision expect;
	struct slice block; /* n == 0: any */
};

struct policy_cases {
	struct arena arena;
	struct policy_case *v;
	size_t n;
};

/* At most POLICY_TEXT_MAX bytes.  All errors go to diags, as for a policy.  -EINVAL: there is at least one; -ENOMEM. */
int policy_cases_parse(struct slice text, struct policy_diags *diags, struct policy_cases *ret);
void policy_cases_done(struct policy_cases *c);

/* Is the decision what the case expects, by the block that it expects? */
bool policy_case_holds(const struct policy_case *c, const struct explanation *x);
