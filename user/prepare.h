/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare.h - from a policy's text to what the supervisor loads: shared by `run` and `reload`.
 */
#pragma once

#include "policy/policy.h"
#include "user/identity.h"

#define PREPARE_ENV "OSH_ENFORCE_POLICY"
#define PREPARE_HOST_POLICY "/etc/osh-enforce/policy.yaml"

struct prepared {
	struct policy *policy;
	struct identity identity;
	bool builtin; /* the built-in default */
	char *path;   /* of the file as safe text, or words for the built-in one */
	char *text;
	size_t text_n;
	int text_fd, image_fd; /* sealed memfds */
	char static_hash[65];
	char hash[65]; /* of the policy, as people see it */
};

struct prepare_options {
	const char *path; /* --policy; NULL: $OSH_ENFORCE_POLICY, PREPARE_HOST_POLICY if it exists,
			     the built-in default */
	struct slice text;    /* when text.p is not NULL, instead of a file */
	const char *label;    /* what messages call that text */
	bool quiet;	      /* its warnings have been printed before */
	/* Of the running sandbox (reload); NULL: by the policy (run).  Only uid, gid and groups
	 * matter. */
	const struct identity *identity;
	/* Called between parsing and compiling, may add to the policy; may be NULL. */
	int (*amend)(struct policy *policy, const struct prepared *so_far, void *userdata);
	void *userdata;
	/* When it fails: the text as far as it was read, and what was said on stderr.  May be NULL. */
	struct prepare_failure *failure;
};

struct prepare_failure {
	char *text; /* NULL: none could be read */
	size_t text_n;
	char hash[65]; /* "": it has errors */
	char *error;
};
void prepare_failure_done(struct prepare_failure *f);

/*
 * Loads, resolves symbolic links of binaries, compiles.  Prints the policy's diagnostics and every
 * other message on stderr itself ("osh-enforce: ..." or "FILE:LINE:COL: ...").  -EINVAL: the policy
 * has errors.
 */
int prepare_policy(const struct prepare_options *o, struct prepared *ret);
void prepared_done(struct prepared *p);

/* SHA-256 of the canonical text (policy.h), and how a digest is written. */
int policy_digest(const struct policy *policy, uint8_t digest[32]);
void hex_digest(const uint8_t digest[32], char hex[65]);
