/* SPDX-License-Identifier: Apache-2.0 */
/* explain_print.h - an explanation (policy/explain.h) as text for a terminal and as JSON; shared by `policy explain`
 * and `policy test`. */
#pragma once

#include "policy/explain.h"

#include <jansson.h>

/* Some lines, each behind `indent`; file: what the policy is called in FILE:LINE. */
void explain_print(const struct explanation *x, const struct explain_ask *ask, const char *file, const char *indent,
		   FILE *out);

/* A new object; NULL: out of memory. */
json_t *explain_json(const struct explanation *x);

const char *explain_decision_string(enum explain_decision d); /* "deny", "allow", "audit" */

/* A JSON string that is safe text. */
json_t *explain_json_text(struct slice s);
