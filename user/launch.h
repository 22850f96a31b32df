/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.h - what the supervisor and the launcher (later: init) say to each other over a SOCK_SEQPACKET pair.
 *
 * The supervisor starts "__launch" with clone3(CLONE_INTO_CGROUP) into the sandbox's cgroup, as root, with
 *   descriptor 3  the socket pair
 *   descriptor 4  memfd: the plan (user/plan.h)
 *   descriptor 5  memfd: PEM trust bundle of the sandbox (system roots and this sandbox's CA)
 *   argv[1]        the layers that may be missing, in hex, bits by enum layer
 *   descriptor 0-2 /dev/null, /dev/null, the starting command's stderr or a log
 * The launcher proves that the hooks are live, builds the walls (design: "The walls, in the order they are built"),
 * answers INIT_READY or INIT_FAILED, and stays as init: it forks commands, reaps orphans, relays statuses.  It never
 * execs again, so that no executable of ours is ever an ancestor of what runs inside; the supervisor deletes its
 * process record when INIT_READY arrives.  When the pair closes, init exits; when init exits, the supervisor ends the
 * sandbox.
 */
#pragma once

#include "user/control.h"

#define LAUNCH_FD_SUPERVISOR 3
#define LAUNCH_FD_PLAN 4
#define LAUNCH_FD_TRUST 5

enum init_type {
	/* supervisor -> init */
	INIT_EXEC = 1, /* struct init_msg; descriptors: memfd (exec request blob), 0, 1, 2 */
	INIT_SIGNAL,   /* value: signal, to the process group of command id */
	INIT_HANGUP,   /* the client is gone: SIGHUP and SIGCONT to the command's process group */
	/* init -> supervisor */
	INIT_READY = 32,
	INIT_FAILED,  /* text: what, and the way out */
	INIT_WARNING, /* text: for example a listed path that cannot be opened */
	INIT_STARTED, /* id, value: pid */
	INIT_STATUS,  /* id, state and value as struct ctl_exec_status */
	INIT_MISSING, /* before INIT_READY; id: enum layer, text: why; goes on when it is in the mask of argv[1] */
	INIT_REFUSED, /* before INIT_READY, once; descriptor: the listener of the system call filter */
};

struct init_msg {
	uint32_t type;
	uint32_t id; /* of the command, chosen by the supervisor */
	uint32_t tty;
	uint32_t state; /* enum ctl_exec_state */
	int32_t value;
	char text[512]; /* NUL-terminated */
};
