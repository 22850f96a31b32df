/* SPDX-License-Identifier: Apache-2.0 */
/* policy_image.c - read, check, compile, open. */
#include "user/policy_image.h"

#include "user/binlinks.h"
#include "user/caller.h"
#include "user/identity.h"
#include "user/policy_file.h"
#include "user/safetext.h"

#define NOBODY 65534

void policy_image_done(struct policy_image *p)
{
	free(p->text);
	free(p->bytes);
	policy_free(p->policy);
	*p = (struct policy_image){0};
}

static void policy_image_donep(struct policy_image *p)
{
	policy_image_done(p);
}

/* Without an identity (no such user here) nothing is followed: the policy counts as written. */
int policy_follow_links(struct policy *p)
{
	struct identity id = {0};
	_cleanup_free_ char *why = NULL;
	int r = identity_resolve(policy_static(p), caller_sudo_uid(), &id, &why);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = binlinks_resolve(p, id.uid, id.gid, id.groups, id.ngroups);
	identity_done(&id);
	return r;
}

/* Links count as for the user that `run` would run it as; where that is not known, as for the one
 * who asks. */
int policy_lint_links(const struct policy *p, struct policy_diags *diags)
{
	struct identity id = {0};
	_cleanup_free_ char *why = NULL;
	uid_t me = getuid() ? getuid() : NOBODY;
	gid_t mine = getuid() ? getgid() : NOBODY;
	int r = identity_resolve(policy_static(p), caller_sudo_uid(), &id, &why);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return binlinks_lint(p, me, mine, NULL, 0, diags);
	r = binlinks_lint(p, id.uid, id.gid, id.groups, id.ngroups, diags);
	identity_done(&id);
	return r;
}

int policy_image_load(const char *path, bool links, struct policy_image *ret)
{
	_cleanup_(policy_image_donep) struct policy_image p = {0};
	_cleanup_(policy_diags_done) struct policy_diags diags = {0};
	const char *name = strcmp(path, "-") == 0 ? "<stdin>" : path;
	size_t n = 0;
	int r = policy_load_file(path, &diags, &p.policy, &p.text, &p.text_n);

	if (r == 0 && links)
		r = policy_follow_links(p.policy);
	if (r == 0)
		r = policy_compile(p.policy, &diags, &p.bytes, &n);
	if (r == 0)
		r = image_open(&p.img, p.bytes, n);
	if (r < 0) {
		policy_file_diags_print(&diags, name, stderr);
		if (diags.errors == 0) {
			safetext_print(slice_str(name), stderr);
			fprintf(stderr, ": %s\n", strerror(-r));
		}
		return r;
	}
	*ret = p;
	p = (struct policy_image){0};
	return 0;
}
