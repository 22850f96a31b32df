/* SPDX-License-Identifier: Apache-2.0 */
/* binlinks.h - what the binaries named in a policy are called once symbolic links are followed. */
#pragma once

#include "policy/policy.h"

#include <sys/types.h>

/*
 * For each exact path of a binary entry, adds the path that it resolves to (/bin/bash ->
 * /usr/bin/bash) with policy_add_binary_alias().  Links are followed only where the user that the
 * sandbox runs as (uid, its gid and groups) could not have placed them; a link it could have placed
 * ends the walk, and so does a missing file: the entry then stays as written.  Patterns stay as
 * they are.  0, or a negative errno when memory runs out.
 */
int binlinks_resolve(struct policy *p, uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups);

/* One path.  Returns 1 and the resolved path (malloced) when it differs, 0 when there is nothing to
 * add. */
int binlinks_path(const char *path, uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups,
		  char **ret);

/*
 * Adds a warning for each exact path of a binary entry that leads through a symbolic link on this host:
 * what it resolves to, and whether the entry matches that as well.  Missing files are nothing to say
 * about.  0 or -ENOMEM.
 */
int binlinks_lint(const struct policy *p, uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups,
		  struct policy_diags *diags);
