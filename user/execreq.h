/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execreq.h - the request to run one command: what `run`, `exec` and `connect` hand to init, as a
 * sealed memfd.
 *
 * The supervisor passes it on unread.  init parses it inside the walls, with the sandbox's own
 * rights, so that even a damaged one can do no more than the command could.
 */
#pragma once

#include "policy/base.h"

#define EXECREQ_SIZE_MAX (8u << 20)
#define EXECREQ_STRINGS_MAX 65536
#define EXECREQ_STRING_MAX 131071 /* MAX_ARG_STRLEN less the NUL */

enum {
	EXECREQ_LOGIN_SHELL = 1, /* argv is ignored: the user's shell, as a login shell */
	EXECREQ_BACKGROUND =
		2, /* on a terminal: the command does not get the foreground until it asks for it */
};

/* Beside real signals, in struct ctl_exec_signal and INIT_SIGNAL, for a command on a terminal:
 * continue its process group in the foreground or in the background of that terminal. */
#define EXEC_SIGNAL_CONT_FOREGROUND (-2)
#define EXEC_SIGNAL_CONT_BACKGROUND (-3)

struct exec_request {
	uint32_t flags;
	uint32_t umask;
	char *cwd;   /* absolute; NULL: the sandbox's workdir */
	char **argv; /* at least one, unless EXECREQ_LOGIN_SHELL */
	char **env;  /* K=V, over the sandbox's own */
};

void exec_request_done(struct exec_request *r);
int exec_request_to_memfd(const struct exec_request *r, int *ret_fd);
/* -EBADMSG for anything that exec_request_to_memfd() cannot have written. */
int exec_request_parse(struct slice bytes, struct exec_request *ret);

/* A variable K=V or K= with K of [A-Za-z0-9_], not beginning with a digit? */
bool env_valid(const char *var);
/* base, with each variable of `over` replacing that of the same name or added.  NULL: out of
 * memory.  strv_free(). */
char **env_merge(char *const *base, char *const *over);
/* The value of a variable in env, or NULL. */
const char *env_value(char *const *env, const char *name);
