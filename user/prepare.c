/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare.c - load, resolve, compile, seal.
 */
#include "user/prepare.h"

#include "user/binlinks.h"
#include "user/blob.h"
#include "user/caller.h"
#include "user/plan.h"
#include "user/policy_file.h"
#include "user/strv.h"

#include <sha256.h>

#define BUILTIN_NAME "built-in default policy"

extern const char default_policy_start[], default_policy_end[];

void prepared_done(struct prepared *p)
{
	p->policy = policy_free(p->policy);
	identity_done(&p->identity);
	free(p->path);
	free(p->text);
	if (p->text_fd >= 0)
		close(p->text_fd);
	if (p->image_fd >= 0)
		close(p->image_fd);
	*p = (struct prepared){.text_fd = -1, .image_fd = -1};
}

static void prepared_donep(struct prepared *p)
{
	prepared_done(p);
}

static int complain(int r, const char *what)
{
	fprintf(stderr, "osh-enforce: %s: %s\n", what, strerror(-r));
	return r;
}

/* By falling precedence; NULL: the built-in one. */
static const char *choose_path(const char *option)
{
	const char *env = getenv(PREPARE_ENV);

	if (option)
		return option;
	if (env && *env)
		return env;
	return access(PREPARE_HOST_POLICY, F_OK) == 0 ? PREPARE_HOST_POLICY : NULL;
}

static int load_builtin(struct prepared *p, struct policy_diags *diags)
{
	size_t n = (size_t)(default_policy_end - default_policy_start);

	p->builtin = true;
	p->text = strndup(default_policy_start, n);
	p->text_n = n;
	if (!p->text)
		return -ENOMEM;
	return policy_parse((struct slice){(const uint8_t *)p->text, n}, diags, &p->policy);
}

static int load(const char *path, struct prepared *p, struct policy_diags *diags)
{
	p->path = strdup(path ? path : BUILTIN_NAME);
	if (!p->path)
		return -ENOMEM;
	return path ? policy_load_file(path, diags, &p->policy, &p->text, &p->text_n)
		    : load_builtin(p, diags);
}

static int copy_identity(const struct identity *from, struct identity *to)
{
	*to = (struct identity){.uid = from->uid, .gid = from->gid};
	to->user = strdup(from->user ? from->user : "");
	to->home = strdup(from->home ? from->home : "/");
	to->shell = strdup(from->shell ? from->shell : "/bin/sh");
	to->groups = calloc(from->ngroups + 1, sizeof(*to->groups));
	if (!to->user || !to->home || !to->shell || !to->groups)
		return -ENOMEM;
	if (from->ngroups)
		memcpy(to->groups, from->groups, from->ngroups * sizeof(*to->groups));
	to->ngroups = from->ngroups;
	return 0;
}

static int find_identity(const struct prepare_options *o, struct prepared *p)
{
	_cleanup_free_ char *error = NULL;
	int r;

	if (o->identity)
		return copy_identity(o->identity, &p->identity);
	r = identity_resolve(policy_static(p->policy), caller_sudo_uid(), &p->identity, &error);
	if (r < 0)
		fprintf(stderr, "osh-enforce: %s\n", error ? error : strerror(-r));
	return r;
}

static int compile(struct prepared *p, struct policy_diags *diags)
{
	_cleanup_free_ uint8_t *image = NULL;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX hash;
	size_t n;
	int r = policy_compile(p->policy, diags, &image, &n);

	if (r < 0)
		return diags->errors ? r : complain(r, "cannot compile the policy");
	/* Of what is enforced: text without meaning (comments, spacing) is not in the image. */
	SHA256Init(&hash);
	SHA256Update(&hash, image, n);
	SHA256Final(digest, &hash);
	image_set_sha256(image, digest);
	r = memfd_of("osh-image", (struct slice){image, n}, &p->image_fd);
	if (r == 0)
		r = memfd_of("osh-policy", (struct slice){(const uint8_t *)p->text, p->text_n},
			     &p->text_fd);
	return r < 0 ? complain(r, "cannot hold the policy in memory") : 0;
}

static int resolve(const struct prepare_options *o, struct prepared *p)
{
	const struct identity *id = &p->identity;
	int r = find_identity(o, p);

	if (r < 0)
		return r;
	r = binlinks_resolve(p->policy, id->uid, id->gid, id->groups, id->ngroups);
	if (r < 0)
		return complain(r, "cannot resolve the policy's binary paths");
	r = static_canonical_hash(policy_static(p->policy), p->static_hash);
	if (r < 0)
		return complain(r, "the policy's process section");
	return o->amend ? o->amend(p->policy, p, o->userdata) : 0;
}

int prepare_policy(const struct prepare_options *o, struct prepared *ret)
{
	_cleanup_(prepared_donep) struct prepared p = {.text_fd = -1, .image_fd = -1};
	_cleanup_(policy_diags_done) struct policy_diags diags = {0};
	int r = load(choose_path(o->path), &p, &diags);

	if (r == 0) {
		r = resolve(o, &p);
		if (r == 0)
			r = compile(&p, &diags);
	}
	policy_diags_print(&diags, p.path ? p.path : "policy", stderr);
	if (r < 0 && !diags.errors && !p.policy)
		complain(r, p.path ? p.path : "policy");
	if (r < 0)
		return r;
	*ret = p;
	p = (struct prepared){.text_fd = -1, .image_fd = -1};
	return 0;
}
