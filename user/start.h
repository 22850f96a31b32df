/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.h - from the `run` command to a running supervisor.
 *
 * `run` (user/cmd_run.c) reads and compiles the policy, makes the plan of the walls (user/plan.h), and calls
 * sandbox_start(), which spawns the supervisor (this binary again, so that it starts with clean memory) and waits
 * until the sandbox is up: BPF attached and proven live, proxy ready, init inside its walls.
 */
#pragma once

#include "policy/base.h"

#include <netinet/in.h>

struct sandbox_start {
	const char *name; /* NULL: one is chosen */
	bool keep;	  /* false: the sandbox ends when the returned control connection closes */
	bool verbose;
	uint32_t allow_missing; /* bits by enum layer: may be missing */
	/* memfds, not taken */
	int plan_fd;	/* launch plan, opaque to the supervisor, for the launcher */
	int image_fd;	/* compiled image */
	int policy_fd;	/* text of the policy, kept as revision 1 */
	int hosts_fd;	/* lines as /etc/hosts: the host's file, then --add-host */
	int roots_fd;	/* PEM: system roots, for the sandbox's trust bundle (the CA is appended) */
	int upstream_fd; /* PEM: system roots and --upstream-ca, for the proxy */
	const char *policy_path; /* for status */
	const char *static_hash; /* hex SHA-256 of the canonical static sections (plan.h) */
	const char *hash;	 /* of the policy (prepare.h) */
	int global_fd;		 /* image of the global policy, in force instead of image_fd */
	uint64_t global;	 /* its revision; 0: there is none, and global_fd is not looked at */
	uid_t uid;	/* of the sandbox's processes */
	uint64_t pids_max, memory_max; /* struct limits */
	const char *user;
};

/* On success *ret_control is a connection on which CTL_EXEC can be sent.  On failure *ret_error is a message for
 * people (malloced; may be NULL) and everything that was made is gone again.  -EAGAIN: the global policy has changed. */
int sandbox_start(const struct sandbox_start *s, char **ret_name, int *ret_control, char **ret_error);

/* -v in the foreground: what supervisor, proxy and launcher say on stderr reaches the caller's. A kept sandbox must not
 * hold it open. */
static inline bool start_shows_stderr(bool verbose, bool keep)
{
	return verbose && !keep;
}

/* Removes what dead supervisors left (cgroups and their processes, pins, directories).  Every command calls it. */
void sandbox_sweep(void);
/* The same, and waits for a supervisor of that name which is just dying. */
void sandbox_settle(const char *name);

/* Hidden commands, dispatched by main.c. */
int supervise_main(int argc, char **argv); /* "__supervise" */
int launch_main(int argc, char **argv);	   /* "__launch": user/launch.c */
