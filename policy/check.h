/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - from the node tree to the checked policy; internal to policy/check*.c.
 *
 * Checking never stops at an error: a reader that finds one reports it, returns false and leaves
 * its output alone, so that one run shows all errors of a file.
 */
#pragma once

#include "policy/model.h"
#include "policy/yaml_tree.h"

struct check {
	struct policy *p;
	struct policy_diags *d;
	uint64_t glob_work; /* glob_check() */
	size_t ports;	    /* of all endpoints so far */
	bool oom;	    /* sticky */
};

/* A field of a map as found; val NULL: not there. */
struct field {
	const struct ynode *key, *val;
};

#define check_error(c, node, ...)                                                                  \
	diag_add((c)->d, POLICY_ERROR, (node)->line, (node)->col, __VA_ARGS__)
#define check_warning(c, node, ...)                                                                \
	diag_add((c)->d, POLICY_WARNING, (node)->line, (node)->col, __VA_ARGS__)

void *check_alloc(struct check *c, size_t count, size_t elem);
struct slice check_copy(struct check *c, struct slice s);

/* Sorts the pairs of a map to fields by the names of the table; unknown ones are reported.  false:
 * no map. */
bool check_fields(struct check *c, const struct ynode *n, const char *what,
		  const char *const *names, size_t count, struct field *out);
bool check_list(struct check *c, const struct ynode *n, const char *what);
/* A list with at least one element. */
bool check_filled(struct check *c, const struct ynode *n, const char *what);
/* A string that is not empty and holds no control byte. */
bool check_string(struct check *c, const struct ynode *n, const char *what, struct slice *ret);
bool check_bool(struct check *c, const struct ynode *n, const char *what, bool *ret);
bool check_number(struct check *c, const struct ynode *n, const char *what, unsigned long least,
		  unsigned long most, unsigned long *ret);
/* One of the words; *ret is its index. */
bool check_word(struct check *c, const struct ynode *n, const char *what, const char *const *words,
		size_t count, size_t *ret);

void check_static(struct check *c, const struct field *filesystem, const struct field *landlock,
		  const struct field *process);
void check_blocks(struct check *c, const struct ynode *n);
bool check_endpoint(struct check *c, const struct ynode *n, struct pol_endpoint *ret);
/* Reads `rules` and `deny_rules`, either may be absent. */
void check_rules(struct check *c, const struct field *allow, const struct field *deny,
		 struct pol_endpoint *ret);
