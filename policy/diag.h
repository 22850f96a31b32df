/* SPDX-License-Identifier: Apache-2.0 */
/* diag.h - collecting diagnostics; the public half (struct, print, done) is in policy/policy.h. */
#pragma once

#include "policy/policy.h"

/* After so many messages further errors are only counted. */
#define DIAGS_MAX 500

/* "%.*s" of a slice, cut to what fits a line. */
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)((s).n < 80 ? (s).n : 80), (const char *)(s).p

/* Adds a message; control bytes, invisible and direction-changing characters in it become '?'.
 * Never fails outwardly: an error whose text cannot be stored is still counted. */
__attribute__((format(printf, 5, 6))) void diag_add(struct policy_diags *d,
						    enum policy_severity severity, int line,
						    int col, const char *fmt, ...);

/* Sorts by position and drops repetitions (an aliased node is checked at each use). */
void diags_finish(struct policy_diags *d);

/* The known word closest to `word`, or NULL when none is close enough to be what was meant. */
const char *diag_suggest(struct slice word, const char *const *known, size_t n);
