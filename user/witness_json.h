/* SPDX-License-Identifier: Apache-2.0 */
/* witness_json.h - witnesses and what decided them, as prove and diff print them. */
#pragma once

#include "policy/witness.h"

#include <jansson.h>

/* Any bytes as a JSON string of safe text (user/safetext.h); NULL gives null. */
json_t *json_safe(const char *s);
json_t *witness_json(const struct witness *w);
/* {"outcome": "...", "block": "...", "line": N, "rule": "..."} */
json_t *decided_json(const struct image *img, const struct decided *d);
/* "no_connect", "native", "relayed", "allow", "audit", "miss", "deny_rule", "refused_target" */
const char *outcome_name(enum outcome o);
/* "FILE:LINE: RULE (block NAME)", safe text, malloced. */
char *decided_words(const struct image *img, const char *file, const struct decided *d);
/* Prints the witness on one line, safe for a terminal. */
void witness_print(const char *indent, const struct witness *w, FILE *out);
