/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.c - from names to numbers, and the refusal of root.
 */
#include "user/identity.h"

#include "user/strv.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#define NSS_BUF_MAX (1u << 20)

/* Enough said once, in the one message that a fresh host shows. */
#define MAKE_SANDBOX_USER "useradd --system --create-home --shell /bin/bash sandbox"

void identity_done(struct identity *id)
{
	free(id->groups);
	free(id->user);
	free(id->home);
	free(id->shell);
	*id = (struct identity){0};
}

static void identity_donep(struct identity *id)
{
	identity_done(id);
}

/* Decimal, 0 to 4294967294; the last number means "no change" to setuid() and is nobody. */
static int parse_id(const char *s, uint32_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v >= UINT32_MAX)
			return -ERANGE;
	}
	*ret = (uint32_t)v;
	return 0;
}

/* One passwd entry, by name, or by uid when name is NULL.  The strings live in *buf. -ENOENT: there
 * is none. */
static int lookup_user(const char *name, uid_t uid, struct passwd *pw, char **buf)
{
	for (size_t n = 4096; n <= NSS_BUF_MAX; n *= 4) {
		struct passwd *found = NULL;
		int r;

		free(*buf);
		*buf = malloc(n);
		if (!*buf)
			return -ENOMEM;
		r = name ? getpwnam_r(name, pw, *buf, n, &found)
			 : getpwuid_r(uid, pw, *buf, n, &found);
		if (r == ERANGE)
			continue;
		return found					     ? 0
		       : r && r != ESRCH && r != EPERM && r != EBADF ? (r == ENOENT ? -ENOENT : -r)
								     : -ENOENT;
	}
	return -ERANGE;
}

static int lookup_group(const char *name, gid_t *ret)
{
	_cleanup_free_ char *buf = NULL;

	for (size_t n = 4096; n <= NSS_BUF_MAX; n *= 4) {
		struct group gr, *found = NULL;
		int r;

		free(buf);
		buf = malloc(n);
		if (!buf)
			return -ENOMEM;
		r = getgrnam_r(name, &gr, buf, n, &found);
		if (r == ERANGE)
			continue;
		if (!found)
			return -ENOENT;
		*ret = gr.gr_gid;
		return 0;
	}
	return -ERANGE;
}

int identity_user_id(const char *user, uid_t *ret)
{
	_cleanup_free_ char *buf = NULL;
	struct passwd pw;
	int r = lookup_user(user, 0, &pw, &buf);

	if (r == 0)
		*ret = pw.pw_uid;
	return r == -ENOENT && parse_id(user, ret) == 0 ? 0 : r;
}

int identity_group_id(const char *group, gid_t *ret)
{
	int r = lookup_group(group, ret);

	return r == -ENOENT && parse_id(group, ret) == 0 ? 0 : r;
}

/* Supplementary groups of a named user.  Root's group is left out: its files are root's business.
 */
static int load_groups(struct identity *id)
{
	int n = 64;

	for (;;) {
		gid_t *bigger = realloc(id->groups, (size_t)n * sizeof(*bigger));
		int had = n;

		if (!bigger)
			return -ENOMEM;
		id->groups = bigger;
		if (getgrouplist(id->user, id->gid, id->groups, &n) >= 0)
			break;
		if (n <= had || n > IDENTITY_GROUPS_MAX)
			return -E2BIG;
	}
	id->ngroups = 0;
	for (int i = 0; i < n; i++)
		if (id->groups[i] != 0)
			id->groups[id->ngroups++] = id->groups[i];
	return 0;
}

/* A home that can be one: absolute, a directory of the host, and not the root of everything. */
static const char *usable_home(const char *home)
{
	struct stat st;

	if (!home || home[0] != '/' || home[strspn(home, "/")] == '\0' || strlen(home) > 4096 ||
	    strstr(home, "/../") || stat(home, &st) < 0 || !S_ISDIR(st.st_mode))
		return IDENTITY_SANDBOX_HOME;
	return home;
}

static const char *usable_shell(const char *shell)
{
	static const char *const no_shells[] = {"nologin", "false", "true", "sync"};
	const char *base = shell ? strrchr(shell, '/') : NULL;

	if (!base || shell[0] != '/')
		return "/bin/sh";
	for (size_t i = 0; i < ARRAY_LEN(no_shells); i++)
		if (strcmp(base + 1, no_shells[i]) == 0)
			return "/bin/sh";
	return shell;
}

static int fill_from_passwd(struct identity *id, const struct passwd *pw)
{
	size_t n;

	id->uid = pw->pw_uid;
	id->gid = pw->pw_gid;
	id->user = strdup(pw->pw_name);
	id->home = strdup(usable_home(pw->pw_dir));
	id->shell = strdup(usable_shell(pw->pw_shell));
	if (!id->user || !id->home || !id->shell)
		return -ENOMEM;
	for (n = strlen(id->home); n > 1 && id->home[n - 1] == '/'; n--)
		id->home[n - 1] = '\0';
	return load_groups(id);
}

static int fill_from_number(struct identity *id, uid_t uid)
{
	id->uid = uid;
	id->gid = (gid_t)uid;
	id->home = strdup(IDENTITY_SANDBOX_HOME);
	id->shell = strdup("/bin/sh");
	return asprintf(&id->user, "%u", uid) < 0 || !id->home || !id->shell ? -ENOMEM : 0;
}

static int fill_uid(struct identity *id, uid_t uid)
{
	_cleanup_free_ char *buf = NULL;
	struct passwd pw;
	int r = lookup_user(NULL, uid, &pw, &buf);

	if (r == -ENOENT)
		return fill_from_number(id, uid);
	return r < 0 ? r : fill_from_passwd(id, &pw);
}

/* name: a user name, else a number. */
static int fill_user(struct identity *id, const char *name)
{
	_cleanup_free_ char *buf = NULL;
	struct passwd pw;
	uint32_t uid;
	int r = lookup_user(name, 0, &pw, &buf);

	if (r == -ENOENT && parse_id(name, &uid) == 0)
		return fill_uid(id, uid);
	return r < 0 ? r : fill_from_passwd(id, &pw);
}

static int choose_user(const struct policy_static *policy, const char *sudo_uid,
		       struct identity *id, char **ret_error)
{
	uint32_t uid;
	int r;

	if (policy->run_as_user) {
		r = fill_user(id, policy->run_as_user);
		if (r == -ENOENT)
			return error_text(ret_error, r,
					  "process.run_as_user: there is no user '%s' on this "
					  "host; create it, or name another",
					  policy->run_as_user);
		return r;
	}
	if (sudo_uid && parse_id(sudo_uid, &uid) == 0 && uid != 0)
		return fill_uid(id, uid);
	r = fill_user(id, "sandbox");
	if (r == -ENOENT)
		return error_text(
			ret_error, r,
			"no user to run as: root was not reached through sudo, the policy names no "
			"process.run_as_user, and there is no user 'sandbox'; create it "
			"with: " MAKE_SANDBOX_USER);
	return r;
}

static int choose_group(const struct policy_static *policy, struct identity *id, char **ret_error)
{
	int r;

	if (!policy->run_as_group)
		return 0;
	r = identity_group_id(policy->run_as_group, &id->gid);
	if (r == -ENOENT)
		return error_text(ret_error, r,
				  "process.run_as_group: there is no group '%s' on this host; "
				  "create it, or name another",
				  policy->run_as_group);
	return r;
}

int identity_resolve(const struct policy_static *policy, const char *sudo_uid, struct identity *ret,
		     char **ret_error)
{
	_cleanup_(identity_donep) struct identity id = {0};
	int r;

	*ret_error = NULL;
	r = choose_user(policy, sudo_uid, &id, ret_error);
	if (r == 0)
		r = choose_group(policy, &id, ret_error);
	if (r < 0)
		return *ret_error
			       ? r
			       : error_text(ret_error, r, "cannot look up the user to run as: %s",
					    strerror(-r));
	if (id.uid == 0 || id.gid == 0)
		return error_text(ret_error, -EPERM,
				  "refusing to run as user '%s' (uid %u, gid %u): a sandbox never "
				  "runs as root; name "
				  "another process.run_as_user%s",
				  id.user, id.uid, id.gid, id.uid ? " or run_as_group" : "");
	*ret = id;
	id = (struct identity){0};
	return 0;
}

bool identity_may_write(const struct identity *id, const struct stat *st, bool acl)
{
	if (st->st_uid == id->uid || (st->st_mode & S_IWOTH))
		return true;
	if (!(st->st_mode & S_IWGRP))
		return false;
	if (acl || st->st_gid == id->gid)
		return true;
	for (size_t i = 0; i < id->ngroups; i++)
		if (st->st_gid == id->groups[i])
			return true;
	return false;
}
