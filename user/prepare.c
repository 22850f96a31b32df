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
#include "user/safetext.h"
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

static int copy_text(struct prepared *p, struct slice text)
{
	p->text = malloc(text.n + 1);
	if (!p->text)
		return -ENOMEM;
	if (text.n)
		memcpy(p->text, text.p, text.n);
	p->text[text.n] = '\0';
	p->text_n = text.n;
	return 0;
}

static int read_policy(const struct prepare_options *o, struct prepared *p, struct policy_diags *diags)
{
	const char *path = o->text.p ? NULL : choose_path(o->path);

	p->builtin = !path && !o->text.p;
	p->path = safetext_dup(slice_str(path	      ? (strcmp(path, "-") == 0 ? "<stdin>" : path)
					 : p->builtin ? BUILTIN_NAME
						      : o->label));
	if (!p->path)
		return -ENOMEM;
	if (path)
		return policy_read_file(path, diags, &p->text, &p->text_n);
	return copy_text(p, p->builtin ? (struct slice){(const uint8_t *)default_policy_start,
							(size_t)(default_policy_end - default_policy_start)}
				       : o->text);
}

static int load(const struct prepare_options *o, struct prepared *p, struct policy_diags *diags)
{
	int r = read_policy(o, p, diags);

	return r < 0 ? r
		     : policy_parse((struct slice){(const uint8_t *)p->text, p->text_n}, diags, &p->policy);
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

int policy_digest(const struct policy *policy, uint8_t digest[32])
{
	_cleanup_free_ char *text = NULL;
	SHA2_CTX hash;
	size_t n;
	int r = policy_canonical_text(policy, &text, &n);

	if (r < 0)
		return r;
	SHA256Init(&hash);
	SHA256Update(&hash, (const uint8_t *)text, n);
	SHA256Final(digest, &hash);
	return 0;
}

void hex_digest(const uint8_t digest[32], char hex[65])
{
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static int compile(struct prepared *p, struct policy_diags *diags)
{
	_cleanup_free_ uint8_t *image = NULL;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	size_t n;
	int r = policy_compile(p->policy, diags, &image, &n);

	if (r < 0)
		return diags->errors ? r : complain(r, "cannot compile the policy");
	r = policy_digest(p->policy, digest);
	if (r < 0)
		return complain(r, "cannot hash the policy");
	image_set_sha256(image, digest);
	hex_digest(digest, p->hash);
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

void prepare_failure_done(struct prepare_failure *f)
{
	free(f->text);
	free(f->error);
	*f = (struct prepare_failure){0};
}

static void hand_over_failure(struct prepare_failure *f, struct prepared *p, const struct policy_diags *diags, int error)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	size_t n = 0;
	FILE *out;

	if (!f)
		return;
	f->text = steal_ptr(&p->text);
	f->text_n = p->text_n;
	if (p->policy && policy_digest(p->policy, digest) == 0)
		hex_digest(digest, f->hash);
	out = diags->errors ? open_memstream(&f->error, &n) : NULL;
	if (!out) {
		f->error = strdup(strerror(-error));
		return;
	}
	policy_diags_print(diags, p->path ? p->path : "policy", out);
	fclose(out);
}

int prepare_policy(const struct prepare_options *o, struct prepared *ret)
{
	_cleanup_(prepared_donep) struct prepared p = {.text_fd = -1, .image_fd = -1};
	_cleanup_(policy_diags_done) struct policy_diags diags = {0};
	int r = load(o, &p, &diags);

	if (r == 0) {
		r = resolve(o, &p);
		if (r == 0)
			r = compile(&p, &diags);
	}
	if (r < 0 || !o->quiet)
		policy_diags_print(&diags, p.path ? p.path : "policy", stderr);
	if (r < 0 && !diags.errors && !p.policy)
		complain(r, p.path ? p.path : "policy");
	if (r < 0) {
		hand_over_failure(o->failure, &p, &diags, r);
		return r;
	}
	*ret = p;
	p = (struct prepared){.text_fd = -1, .image_fd = -1};
	return 0;
}
