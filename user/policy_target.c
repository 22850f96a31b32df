/* SPDX-License-Identifier: Apache-2.0 */
/* policy_target.c - a policy made ready for a running sandbox (policy_target.h). */
#include "user/policy_target.h"

#include "user/control.h"
#include "user/policy_file.h"
#include "user/statics.h"
#include "user/status.h"
#include "user/strv.h"

#include <grp.h>
#include <pwd.h>

void policy_target_done(struct policy_target *t)
{
	free(t->name);
	*t = (struct policy_target){0};
}

static uint64_t number(const json_t *st, const char *key)
{
	int64_t v;

	return status_number(st, key, &v) && v > 0 ? (uint64_t)v : 0;
}

int policy_target_find(const char *name, struct policy_target *ret)
{
	json_t *st = status_fetch(name);
	const char *state = status_string(st, "state", "");
	int64_t uid;
	int r = 0;

	if (!st)
		return -ENOMEM;
	if (strcmp(state, STATUS_SILENT) == 0)
		r = -ETIMEDOUT;
	else if (strcmp(state, STATUS_RUNNING) != 0 || !status_number(st, "uid", &uid))
		r = -ENOENT;
	if (r == 0) {
		*ret = (struct policy_target){.name = strdup(name),
					      .uid = (uid_t)uid,
					      .revision = number(st, "revision"),
					      .first_revision = number(st, "first_revision"),
					      .global = number(st, "global")};
		snprintf(ret->static_hash, sizeof(ret->static_hash), "%s", status_string(st, "static_hash", ""));
		r = ret->name ? 0 : -ENOMEM;
	}
	json_decref(st);
	return r;
}

/* Enough of the sandbox's identity to judge what it can write. */
static int running_identity(uid_t uid, struct identity *ret)
{
	struct passwd *pw = getpwuid(uid);
	int n = 256;

	*ret = (struct identity){.uid = uid, .gid = pw ? pw->pw_gid : (gid_t)uid};
	ret->groups = calloc((size_t)n, sizeof(gid_t));
	if (!ret->groups)
		return -ENOMEM;
	if (pw && getgrouplist(pw->pw_name, pw->pw_gid, ret->groups, &n) >= 0)
		ret->ngroups = (size_t)n;
	return 0;
}

int policy_target_static(const struct policy_target *t, const struct prepared *p, char **ret_error)
{
	_cleanup_(policy_freep) struct policy *first = NULL;
	_cleanup_free_ char *path = NULL;
	const struct policy_static *next = policy_static(p->policy);
	struct policy_diags d = {0};
	const char *field = NULL;
	int r;

	*ret_error = NULL;
	if ((!next->has_filesystem && !next->has_landlock && !next->has_process) ||
	    strcmp(p->static_hash, t->static_hash) == 0)
		return 0;
	if (asprintf(&path, OSH_STATE_DIR "/%s/revisions/%llu.yaml", t->name, (unsigned long long)t->first_revision) < 0)
		return -ENOMEM;
	r = policy_load_file(path, &d, &first, NULL, NULL);
	policy_diags_done(&d);
	if (r < 0)
		return error_text(ret_error, r, "%s: what the sandbox was started with cannot be read: %s", path, strerror(-r));
	r = statics_compare(policy_static(first), next, t->uid, &field, ret_error);
	if (r < 0 || !field)
		return r;
	return error_text(ret_error, -EPERM,
			  "%s differs from what the sandbox '%s' was started with; static sections cannot change in a "
			  "running sandbox: leave the section out, or delete the sandbox and run it anew",
			  field, t->name);
}

static void take_failure(struct prepare_failure *f, struct prepared *p, char **error)
{
	f->text = steal_ptr(&p->text);
	f->text_n = p->text_n;
	memcpy(f->hash, p->hash, sizeof(f->hash));
	f->error = steal_ptr(error);
}

int policy_target_compile(const struct policy_target *t, const struct prepare_options *o, struct prepared *ret)
{
	struct prepare_options mine = *o;
	struct identity id = {0};
	int r = running_identity(t->uid, &id);

	mine.identity = &id;
	mine.amend = NULL;
	if (r == 0)
		r = prepare_policy(&mine, ret);
	identity_done(&id);
	return r;
}

int policy_target_prepare(const struct policy_target *t, const struct prepare_options *o, struct prepared *ret)
{
	struct prepared p = {.text_fd = -1, .image_fd = -1};
	_cleanup_free_ char *error = NULL;
	int r = policy_target_compile(t, o, &p);

	if (r < 0)
		return r;
	r = policy_target_static(t, &p, &error);
	if (r < 0) {
		if (!error)
			error = strdup(strerror(-r));
		fprintf(stderr, "%s: %s\n", p.path, error ? error : strerror(-r));
		take_failure(o->failure, &p, &error);
		prepared_done(&p);
		return r;
	}
	*ret = p;
	return 0;
}
