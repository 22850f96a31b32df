/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_image.h - a policy file as the offline tools (explain, test, diff, prove, suggest) need it:
 * parsed, compiled, opened.
 */
#pragma once

#include "policy/policy.h"

struct policy_image {
	char *text; /* of the file, NUL-terminated */
	size_t text_n;
	struct policy *policy;
	uint8_t *bytes; /* what img looks at */
	struct image img;
};

/*
 * Reads path ("-": standard input), checks, compiles.  Errors go to stderr ("FILE:LINE:COL: ...");
 * warnings are not printed: `policy check` is for them.  links: also follow the symbolic links of
 * binary paths on this host, as `run` does for the user it would run as; without it the result is
 * the same on every host.  0 or a negative errno; -EINVAL: the policy has errors.
 */
int policy_image_load(const char *path, bool links, struct policy_image *ret);
void policy_image_done(struct policy_image *p);

/* What `links` does, for a policy that is parsed already. */
int policy_follow_links(struct policy *p);
/* Adds warnings about binary paths that are symbolic links on this host. */
int policy_lint_links(const struct policy *p, struct policy_diags *diags);
