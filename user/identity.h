/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - who the sandbox runs as: never root.
 *
 * Looks names up through NSS, which may open sockets and load libraries: only for the commands that
 * a person starts, never for the supervisor's children.
 */
#pragma once

#include "policy/policy.h"

#include <sys/types.h>

#define IDENTITY_GROUPS_MAX 65536
#define IDENTITY_SANDBOX_HOME "/sandbox" /* home of who has none */

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary, root's group never among them */
	size_t ngroups;
	char *user; /* name, or the number as text when there is no passwd entry */
	char *home; /* absolute */
	char *shell;
};

void identity_done(struct identity *id);

/*
 * In this order: run_as_user and run_as_group of the policy; the user who called sudo (sudo_uid:
 * the value of SUDO_UID, or NULL); the system user "sandbox".  A number without a passwd entry
 * works, with the home IDENTITY_SANDBOX_HOME. -ENOENT no such user or group, -EPERM root;
 * *ret_error is a message for people with the way out.
 */
int identity_resolve(const struct policy_static *policy, const char *sudo_uid, struct identity *ret,
		     char **ret_error);

/* A user or group as written in a policy -> its number. -ENOENT: neither a known name nor a number.
 */
int identity_user_id(const char *user, uid_t *ret);
int identity_group_id(const char *group, gid_t *ret);

/* Could this identity write (or make itself able to write) the directory or file with this stat?
 * Sticky directories count as writable; `acl`: it has a POSIX ACL, whose mask the group bits then
 * are. */
struct stat;
bool identity_may_write(const struct identity *id, const struct stat *st, bool acl);
