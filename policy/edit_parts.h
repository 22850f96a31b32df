/* SPDX-License-Identifier: Apache-2.0 */
/* edit_parts.h - what policy/edit*.c share: pieces of a policy as YAML, and the meaning of a policy as
 * a list of numbers that can be compared. */
#pragma once

#include "policy/edit.h"

/* ------------------------------------------------------------------------ pieces as YAML -- */

/* Plain where it can be, else in double quotes. */
void edit_put_scalar(FILE *f, struct slice s);
void edit_put_binary(FILE *f, const struct edit_binary *b);
/* With its `allow:`; line: as an item of a block list, "allow: {...}". */
void edit_put_rule(FILE *f, const struct edit_rule *r, bool line);
void edit_put_endpoint(FILE *f, const struct edit_endpoint *ep); /* {host: ...} */
/* As an item of a block list, "- host: ..." with lines of its own for rules; no newline at the end. */
void edit_put_endpoint_lines(FILE *f, const struct edit_endpoint *ep);
/* "# " lines, each ended by a newline. */
void edit_put_comment(FILE *f, const char *comment);

/* ----------------------------------------------------------------------------- meaning -- */

/* A policy as numbers: one for the static sections; then per block itself, its binaries, and per
 * endpoint itself, its ports, its rules. */
struct edit_items {
	uint64_t *v;
	size_t n;
};
int edit_items_of(const struct policy *p, struct edit_items *ret);

/* Where things stand in the list; one past the last names the end. */
size_t edit_at_block(const struct policy *p, size_t block);
size_t edit_at_binary(const struct policy *p, size_t block, size_t i);
size_t edit_at_endpoint(const struct policy *p, size_t block, size_t endpoint);
size_t edit_at_port(const struct policy *p, size_t block, size_t endpoint, size_t i);
size_t edit_at_rule(const struct policy *p, size_t block, size_t endpoint, size_t rule);

/* Is `now` what `was` is with `cut` items taken out at `at` and `add` put in there? */
bool edit_items_changed(const struct edit_items *was, const struct edit_items *now, size_t at,
			size_t cut, const uint64_t *add, size_t nadd);
