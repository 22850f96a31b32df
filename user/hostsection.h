/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostsection.h - what the built-in default policy, and only it, learns from this host: where the
 * command is.
 *
 * A policy in a file says what it shows; the default one cannot know where a user has installed
 * things.
 */
#pragma once

#include "policy/policy.h"
#include "user/plan.h"

struct host_section {
	char *found;	       /* the command on the user's PATH, as spelt there; NULL: not found */
	char *real;	       /* the file that it is */
	char *interpreter;     /* real path of what "#!" names, or NULL */
	bool claude;	       /* it is Claude Code */
	char **ro, **rw;       /* to be shown, when there */
	char **path;	       /* directories for PATH */
	struct plan_link link; /* found -> real, when they differ; path NULL: none */
};

void host_section_done(struct host_section *h);

/*
 * Looks for command (a name, or a path relative to workdir) as the user `id`, with that user's
 * rights: in a child that has given up root's.  path: the user's PATH, or NULL.  create: make what
 * the user would otherwise lose with the sandbox (~/.claude).  Not finding it is no error.
 */
int host_section_find(const struct identity *id, const char *path, const char *command,
		      const char *workdir, bool create, struct host_section *ret);

/* Adds the command to the blocks of the default policy that are meant for it. */
int host_section_apply(struct policy *p, const struct host_section *h);

/* The directory tree that must be visible for the executable at `real` to run (home: of its user),
 * or NULL: only the file itself.  By spelling alone. malloced. */
char *install_tree(const char *real, const char *home);
/* The user's usual places for programs, PATH first; strv_free(). */
char **command_directories(const char *path, const char *home);
