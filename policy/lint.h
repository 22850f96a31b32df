/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint.h - what a policy says without fault but hardly on purpose.
 *
 * Exact, over automata: a warning is given only where its statement holds for every request, and where
 * a question takes more work than there is (LINT_WORK), it stays open and one note says so.
 */
#pragma once

#include "policy/policy.h"

/*
 * Adds warnings to diags, and at most one note, in order of position:
 *   a binary that what runs in the sandbox can write, by the policy's own file section;
 *   a host that begins with `**.`;
 *   an endpoint that changes nothing, for another of its block covers it;
 *   a selector or rule that can never match, an allow rule that can never allow;
 *   a deny rule whose requests nothing allows.
 * img: compiled from p.  Looks at no file.  0 or -ENOMEM.
 */
int policy_lint(const struct policy *p, const struct image *img, struct policy_diags *diags);
