/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - how many processes and how much memory a sandbox may use.
 *
 * For the supervisor, before the launcher is started.  The cgroup's controllers where the host has them on cgroup v2; else
 * rlimits, which are weaker: RLIMIT_NPROC counts all processes of the user, those outside too, and RLIMIT_DATA is of one
 * process.  Never fails a start: what holds is in the texts, which `status` shows.
 */
#pragma once

#include "user/cgroup.h"

#define LIMIT_DEFAULT 0ull
#define LIMIT_NONE UINT64_MAX
#define LIMIT_PIDS_DEFAULT 4096u

struct limits {
	uint64_t pids;	 /* processes and threads */
	uint64_t memory; /* bytes; LIMIT_DEFAULT: what leaves the host a tenth, 256 MiB at least */
	/* Made by limits_apply(): for limits_child(), and for people. */
	uint64_t nproc, data;
	char pids_text[80], memory_text[80];
};

/* "4096", "512M", "2G", "max"; suffixes K, M, G only with size.  -EINVAL, -ERANGE. */
int limit_parse(const char *text, bool size, uint64_t *ret);
void limits_apply(struct limits *l, const struct cgroups *c, uid_t uid);
/* In the child that becomes the launcher, still root: the rlimits; and the first to be killed when memory ends. */
int limits_child(const struct limits *l);
/* Of this process, which must outlive what the sandbox does to the host's memory. */
void limits_protect(void);
