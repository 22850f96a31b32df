/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - the plan of a sandbox's walls: made by `run` from policy and identity, carried out by
 * the launcher.
 *
 * Everything that needs a look at the host by name (symbolic links, what exists, users) is decided
 * when the plan is made and can be printed (--dry-run); the launcher only executes it, and refuses
 * a path in which a symbolic link has appeared since.  The supervisor passes it on as a memfd and
 * does not look inside.
 */
#pragma once

#include "policy/policy.h"
#include "user/identity.h"

#define PLAN_STRINGS_MAX 8192  /* of one list */
#define PLAN_STRING_MAX 131072 /* as the kernel's limit for one argument or variable */
#define PLAN_SIZE_MAX (8u << 20)
#define PLAN_FILES_DIR                                                                             \
	"/run/osh-enforce" /* inside: where our files lie when the host has no place for them */
#define PLAN_TRUST_FILE PLAN_FILES_DIR "/ca-certificates.crt"

enum plan_mount_kind {
	PLAN_BIND = 1, /* the host's file or directory, at its own path, with everything mounted
			  below */
	PLAN_TMPFS,    /* private, empty */
	PLAN_HOME,     /* private directory of the sandbox, kept under OSH_STATE_DIR/NAME/home */
	PLAN_PROC,     /* procfs of the sandbox's own: read-only, shows only what it may trace */
	PLAN_DEVPTS,   /* terminals of the sandbox's own */
};

enum {
	PLAN_RW = 1,	 /* else read-only */
	PLAN_DEVICE = 2, /* device nodes work here */
	PLAN_OPTIONAL =
		4, /* best effort: gone when the walls are built, it is skipped with a warning */
	PLAN_SOCKET = 8,  /* a Unix socket of the host */
	PLAN_STICKY = 16, /* PLAN_TMPFS: writable for everybody, as /tmp; else root's */
};

struct plan_mount {
	uint32_t kind, flags;
	char *path; /* where, and for PLAN_BIND also what: real path, no symbolic link in it */
};

/* A symbolic link of the host that leads to something in the plan, reproduced where no mount shows
 * it. */
struct plan_link {
	char *path, *target;
};

struct launch_plan {
	char *name, *user, *home, *shell;
	char *workdir; /* where commands start */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t ngroups;
	/* RLIMIT_NOFILE of the caller: the supervisor raises its own.  Other limits are inherited.
	 */
	uint32_t files_soft, files_hard;
	enum policy_landlock landlock;
	struct plan_mount *mounts; /* parents before what lies below them */
	size_t nmounts;
	struct plan_link *links;
	size_t nlinks;
	char **trust; /* existing files over which the trust bundle goes */
	char **env;   /* K=V, what every command starts with */
};

struct plan_options {
	const struct policy_static *policy;
	const struct identity *identity;
	const char *name;
	const char *workdir;		       /* real path */
	char *const *host_ro, *const *host_rw; /* host section: skipped when missing */
	const struct plan_link *host_links;    /* made where no mount shows the path */
	size_t nhost_links;
	char *const *ro, *const *rw; /* --ro, --rw: an error when missing */
	bool quiet_missing;	     /* the built-in default lists what few hosts have */
	void (*warn)(void *userdata, const char *text);
	void *userdata;
};

/* All but `env`, which the caller sets. *ret_error: message for people with the way out (may be
 * NULL). */
int plan_make(const struct plan_options *o, struct launch_plan *ret, char **ret_error);
void plan_done(struct launch_plan *p);

/* The mount that shows `path` (real path): the last one at or above it.  NULL: only the private
 * root. */
const struct plan_mount *plan_covering(const struct launch_plan *p, const char *path);
/* Could the sandbox rename this directory (real path), and so move what the plan shows read-only below it?  The mount
 * would go along, and a file of the sandbox's own could take the path that a policy names. */
bool plan_must_hold(const struct launch_plan *p, const char *dir);
/* Is something of the host or of the sandbox visible at this path, links of the plan followed? */
bool plan_shows(const struct launch_plan *p, const char *path);

int plan_to_memfd(const struct launch_plan *p, int *ret_fd);
/* -EBADMSG for anything that plan_to_memfd() cannot have written. */
int plan_parse(struct slice bytes, struct launch_plan *ret);
void plan_print(const struct launch_plan *p, FILE *out);

/*
 * The static sections by their meaning: ids as numbers, paths sorted and unique, defaults spelt
 * out.  Two policies with the same text here need the same walls.  -ENOENT: a user or group that
 * this host does not know.
 */
int static_canonical_text(const struct policy_static *policy, char **ret);
/* SHA-256 of it in lower-case hex. */
int static_canonical_hash(const struct policy_static *policy, char hex[65]);
