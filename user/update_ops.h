/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update_ops.h - the operations of `policy update`: what their words mean, and where in a policy they
 * go.  Works on an opened text; nothing is fetched or sent here.
 */
#pragma once

#include "policy/edit.h"

enum update_kind {
	UPDATE_ADD_ENDPOINT,	/* host:port[:access[:protocol[:enforcement]]] */
	UPDATE_ADD_ALLOW,	/* host:port:METHOD:glob */
	UPDATE_ADD_DENY,
	UPDATE_REMOVE_ENDPOINT, /* host:port */
	UPDATE_REMOVE_RULE,	/* host:port:METHOD:glob */
};

struct update_op {
	enum update_kind kind;
	const char *text; /* as written; the slices below point into it */
	struct edit_endpoint ep;
	struct edit_rule rule;
};

/* -EINVAL: *ret_error says what is wrong and how it is written. */
int update_op_parse(enum update_kind kind, const char *text, struct update_op *ret,
		    char **ret_error);

/*
 * Applies the operations in their order; one that fails ends it with *ret_error (-EINVAL), and the
 * caller drops the text.  binaries: for every endpoint added, which goes to the block that has
 * exactly these, else to a new one.  Rules for an endpoint that is added without access in the same
 * list become its rules.  What was done goes to `said`, a line each.  *ret_changes: how many.
 */
int update_apply(struct edit *e, const struct update_op *ops, size_t n,
		 const struct edit_binary *binaries, size_t nbinaries, FILE *said, size_t *ret_changes,
		 char **ret_error);
