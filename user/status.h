/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - what a supervisor says of its sandbox (CTL_STATUS_REPLY), for people and for machines.
 *
 * The reply is JSON; every key may be missing.  Keys: name state pid proxy_pid proxy_restarts
 * init_pid user uid keep started policy_path revision first_revision global (when a global policy is in
 * force instead) generation hash (of what is in force) policy_loaded commands
 * natives names paths events_lost layers{} warnings[]; times in Unix seconds.  Strings in it are
 * printed as safe text (user/safetext.h).
 */
#pragma once

#include "policy/base.h"

#include <jansson.h>

/* How a command that failed to reach the supervisor describes the sandbox. */
#define STATUS_RUNNING "running"
#define STATUS_DEAD "dead"	      /* no supervisor */
#define STATUS_SILENT "not answering" /* there is one, but it did not answer in time */

/* Asks the supervisor of `name`.  Always an object with at least name and state; NULL: out of
 * memory. */
json_t *status_fetch(const char *name);
/* The same object from a reply (NULL: none), for tests. */
json_t *status_normalise(const char *name, json_t *reply, const char *state);

const char *status_string(const json_t *status, const char *key, const char *missing);
bool status_number(const json_t *status, const char *key, int64_t *ret);

/* "3s", "12m", "2h 13m", "5d 4h"; seconds below 0 are 0. */
void duration_text(int64_t seconds, char *ret, size_t n);

void status_print(const json_t *status, int64_t now_s, FILE *out);
/* list: array of status objects. */
void status_print_list(const json_t *list, int64_t now_s, FILE *out);
/* JSON with a newline behind it. -EIO, -ENOMEM. */
int status_print_json(const json_t *value, FILE *out);
