/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage.h - the commands of osh-enforce, their help texts and their way of reading options.
 *
 * A command is `int cmd_NAME(int argc, char **argv)` in user/cmd_NAME.c; argv[0] is the command's
 * name, the result is the exit status.  All texts of --help are in usage.c, so that they read as
 * one hand wrote them.
 */
#pragma once

#include "policy/base.h"

#include <getopt.h>

#define USAGE_EXIT 2	   /* wrong usage, of the commands that have an exit status of their own */
#define USAGE_EXIT_RUN 125 /* of run, exec and connect, which hand on the status of what they ran  \
			    */

int cmd_run(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_connect(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

/* Prints the help of a command; NULL, "" or an unknown name: that of the program. */
void usage_print(const char *name, FILE *out);

/* One line on what the command is for; NULL: there is no such command. */
const char *usage_summary(const char *name);

/* The known command that `name` was meant to be, or NULL. */
const char *usage_suggest(const char *name);

/* USAGE_EXIT_RUN or USAGE_EXIT. */
int usage_status(const char *name);

/* Prints "osh-enforce NAME: message" and where help is; returns usage_status(name). */
__attribute__((format(printf, 2, 3))) int usage_error(const char *name, const char *fmt, ...);

/*
 * getopt_long() with messages of ours: on a bad option it prints one ("unknown option '--polcy'
 * (did you mean
 * '--policy'?)") and returns '?', whereupon the command returns usage_status(argv[0]).  `shortopts`
 * as for getopt(); start it with '+' where options end at the first operand (run, exec).
 */
int usage_getopt(int argc, char **argv, const char *shortopts, const struct option *longopts);

/* Value of --format: `a` -> 0, `b` -> 1, anything else: message, -EINVAL. */
int usage_choice(const char *name, const char *option, const char *value, const char *a,
		 const char *b);
