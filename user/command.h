/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - one command inside the sandbox: from its request to execve(), and the monitor of one
 * on a terminal.
 *
 * init forks; the child calls command_main() and never returns.  Without a terminal it becomes the
 * command.  With one it becomes the command's monitor: leader of the terminal's session and parent
 * of the command, without which the command's process group would be orphaned and could not be
 * stopped (POSIX, "orphaned process group").
 */
#pragma once

#include "user/launch.h"
#include "user/plan.h"

/* The child's end of a SOCK_SEQPACKET pair, close-on-exec; init has the other.  All packets are of
 * this type. */
struct command_report {
	uint32_t state; /* enum ctl_exec_state, or COMMAND_PID */
	int32_t value;
	char text[512];
};
#define COMMAND_PID                                                                                \
	100 /* value: pid of the command, which leads its process group (terminal only) */

/* From init to a monitor: a signal for the command's process group, or EXEC_SIGNAL_CONT_*. */
struct command_order {
	int32_t signo;
};

struct command_start {
	const struct launch_plan *plan;
	int link;     /* the child's end */
	int request;  /* memfd */
	int stdio[3]; /* each 3 or more */
	bool tty;
};

_Noreturn void command_main(const struct command_start *s);
