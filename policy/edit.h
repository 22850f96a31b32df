/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit.h - changes to the text of a policy that keep every other byte: comments, quotes, order, line
 * ends.
 *
 * Each edit is whole or nothing: the new text is parsed again and must mean exactly the old policy
 * and the change, else the edit is refused with a reason and the text stays.  What is written
 * through an alias, or anchored and used elsewhere, is never edited: the change would show in
 * another place too.  Comments on the lines of what is removed go with it; those on lines of their
 * own stay.
 */
#pragma once

#include "policy/model.h"

struct edit_rule {
	bool deny;
	struct slice method; /* n == 0: any */
	struct slice path;   /* glob; n == 0: every path */
};

/* Fields as in the language; what has n == 0 is left out. */
struct edit_endpoint {
	struct slice host;
	uint16_t port;
	struct slice access, protocol, enforcement;
	struct slice path; /* selector */
	const struct slice *ips;
	size_t nips;
	bool encoded_slash;
	const struct edit_rule *rules;
	size_t nrules;
	const char *rules_comment; /* as `comment` below, at the first rule; or NULL */
};

struct edit_binary {
	struct slice path; /* exact or a glob */
	bool itself;	   /* `ancestors: false`: not what it starts */
};

struct edit {
	char *text; /* as it is now, NUL-terminated */
	size_t n;
	struct policy *policy; /* what it means */
	char why[400];	       /* of the last refusal */
};

/*
 * Opens a copy of a policy's text.  -EINVAL: it has errors, which are in diags.
 *
 * The edits return 0, -EINVAL when refused (e->why says why, in one line without the text's name)
 * or -ENOMEM.  Blocks, endpoints and rules are named by their place in e->policy, which each edit
 * replaces.  comment: lines separated by '\n' (without '#') that go above what is added, or NULL;
 * bytes that are not printable ASCII become '?'.
 */
int edit_open(struct slice text, struct policy_diags *diags, struct edit *ret);
void edit_done(struct edit *e);

/* A new block at the end, its key made from `like` (api.github.com -> api_github_com, or with _2,
 * _3 ... when taken). */
int edit_add_block(struct edit *e, struct slice like, const struct edit_endpoint *ep,
		   const struct edit_binary *binaries, size_t nbinaries, const char *comment);
int edit_add_endpoint(struct edit *e, size_t block, const struct edit_endpoint *ep,
		      const char *comment);
int edit_add_binary(struct edit *e, size_t block, const struct edit_binary *binary,
		    const char *comment);
int edit_add_rule(struct edit *e, size_t block, size_t endpoint, const struct edit_rule *rule,
		  const char *comment);
/* The endpoint for this port; one of several ports goes alone.  With its last endpoint a block goes. */
int edit_remove_endpoint(struct edit *e, size_t block, size_t endpoint, uint16_t port);
int edit_remove_rule(struct edit *e, size_t block, size_t endpoint, size_t rule);
/* A comment above line (from 1). */
int edit_add_comment(struct edit *e, int line, const char *comment);
