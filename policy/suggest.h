/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest.h - the smallest addition to a policy that would allow what it denied, as an edit of its
 * text.
 *
 * What a denial asks for is decided anew, under the policy as it is and as it becomes with each
 * edit; what the log said of the reason only keeps things out (`why_not`).  Names, paths and
 * methods come from what ran in the sandbox: they are data here, checked by the language's own
 * parser and quoted, never text.
 *
 *   connection   the host and port, exactly; the program itself (its script where it has one), not
 *                what it starts.  Ports 80 and 443: inspected and read-only, so that what more is
 *                needed shows as denied requests; others: the bytes are not looked at.
 *   request      an allow rule for exactly that method and path, at the endpoint that decided if it
 *                is for that host and port alone and has rules; else in an endpoint beside it.
 */
#pragma once

#include "policy/edit.h"

struct denial {
	bool request;
	const char *why_not; /* never suggested, for this reason; NULL: look */
	struct slice host;   /* as in the log: a name or an address */
	uint16_t port;
	struct slice binary, script; /* script: n == 0: none */
	const struct slice *anc;
	size_t nanc;
	struct slice method, path; /* of a request; path: canonical */
	bool audit;		   /* let through */
	uint64_t count, first_ns, last_ns; /* since 1970 */
};

struct suggest_options {
	bool generalise; /* path segments that are numbers, UUIDs or hashes become '*' */
	/* Called on each policy before it is compiled, to add what symbolic links lead to; or NULL. */
	int (*prepare)(void *arg, struct policy *p);
	/* Further warnings about a policy; or NULL. */
	int (*lint)(const struct policy *p, const struct image *img, struct policy_diags *diags);
	void *arg;
};

struct suggestion {
	struct edit e;	/* e.text: the whole new policy */
	size_t edits;	/* 0: e.text is the text as it was */
	size_t allowed; /* denials (distinct) that the suggestion allows */
	size_t already; /* that the policy in force allows by now */
	char **notes;	/* what is not suggested or covered and why, a line each; bytes as in the log */
	size_t nnotes;
	struct policy_diags warnings; /* that the policy did not have before */
};

/* -EINVAL: the text has errors, which are in diags. */
int suggest(struct slice text, const struct denial *v, size_t n, const struct suggest_options *o,
	    struct policy_diags *diags, struct suggestion *ret);
void suggestion_done(struct suggestion *s);

/* The pattern that matches exactly this canonical path, with ids as '*' where asked.  malloced. */
char *suggest_path_pattern(struct slice path, bool generalise);
/* The pattern that matches exactly this file; NULL with errno EINVAL: the language has none. */
char *suggest_binary_pattern(struct slice path);
