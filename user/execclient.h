/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execclient.h - runs one command in a sandbox on this process's terminal or descriptors, as if it
 * ran here.
 */
#pragma once

#include "user/control.h"
#include "user/execreq.h"

/* How it ended, as the supervisor says. */
struct exec_end {
	enum ctl_exec_state state; /* EXEC_EXITED, EXEC_SIGNALED, EXEC_NOT_FOUND or EXEC_FAILED */
	int value;
	char text[512];
};

/*
 * control: a connection on which no command runs.  Blocks the signals that it forwards, and leaves
 * them blocked. Always fills *ret.
 */
void exec_client_run(int control, const struct exec_request *request, struct exec_end *ret);

/* The exit status of the client: the command's, 128+N for signal N, 125, 126, 127. */
int exec_end_status(const struct exec_end *e);

/* What there is to say about it on stderr: nothing, when the command ran. */
void exec_end_print(const char *command, const struct exec_end *e);

/* Asks the supervisor on this connection and waits (at most timeout_ms; < 0: as long as it takes)
 * for CTL_OK. *ret_error gets its words otherwise. */
int control_ask(int control, uint32_t type, int timeout_ms, char **ret_error);
