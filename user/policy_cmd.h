/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_cmd.h - the subcommands of `osh-enforce policy`, one file each (user/policy_cmd_NAME.c).
 *
 * Each is called as a command is: argv[0] is "policy NAME" (what usage_error() and usage_getopt() want),
 * the result is the exit status.  Help texts are in usage.c under that name.
 */
#pragma once

int policy_cmd_check(int argc, char **argv);
int policy_cmd_explain(int argc, char **argv);
int policy_cmd_test(int argc, char **argv);
int policy_cmd_update(int argc, char **argv);
int policy_cmd_diff(int argc, char **argv);
int policy_cmd_prove(int argc, char **argv);
int policy_cmd_suggest(int argc, char **argv);
int policy_cmd_delete(int argc, char **argv);
int policy_cmd_get(int argc, char **argv);
int policy_cmd_list(int argc, char **argv);
int policy_cmd_set(int argc, char **argv);
