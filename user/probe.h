/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what this kernel offers, tried by doing.
 *
 * Each probe runs in a child of its own, which is killed after PROBE_TIMEOUT_S, so a try can
 * neither take the caller with it nor leave anything open.  Programs for cgroups are attached to a
 * scratch cgroup only, CGROUP2/osh-enforce/doctor-PID, which probe_env_done() removes.  The order
 * and the words of the table in probe.c are those of `doctor`.
 */
#pragma once

#include "policy/base.h"

#define PROBE_TIMEOUT_S 10
#define PROBE_TEXT_MAX 256

enum probe_state {
	PROBE_OK,
	PROBE_LIMITED, /* there, but with less than it could be */
	PROBE_MISSING,
	PROBE_UNTRIED, /* not tried: needs root, or something that is missing */
};

struct probe_result {
	enum probe_state state;
	char detail[PROBE_TEXT_MAX]; /* what was found; may be empty */
	char remedy[PROBE_TEXT_MAX]; /* way out; empty: that of the table */
};

struct btf;
struct probe_env {
	bool root;
	char *cgroup2;	 /* mount point of cgroup v2; NULL: none */
	char *scratch;	 /* the scratch cgroup; NULL: none */
	int cgroup_fd;	 /* of it, or -1 */
	int cgroup_err;	 /* why there is none: positive errno */
	struct btf *btf; /* the kernel's; NULL: none */
};

enum {
	PROBE_REQUIRED = 1, /* osh-enforce needs it */
	PROBE_ROOT = 2,	    /* trying it needs root */
	PROBE_CGROUP = 4,   /* trying it needs the scratch cgroup */
};

struct probe {
	const char *layer, *id, *title, *purpose;
	unsigned int needs; /* PROBE_* above */
	void (*try)(const struct probe_env *env, const struct probe *p, struct probe_result *ret);
	const char *remedy;
	const void *arg;
};

extern const struct probe probes[];
extern const size_t probes_n;

/* Makes the scratch cgroup when it can; never fails.  Removes those of processes that are no more.
 */
void probe_env_init(struct probe_env *env);
void probe_env_done(struct probe_env *env);

void probe_run(const struct probe_env *env, const struct probe *p, struct probe_result *ret);

const char *probe_state_name(enum probe_state state); /* "ok", "limited", "missing", "untried" */

/* ---------------------------------------------------------------- for the probes themselves -- */

/* They return nothing, so that a try reads `return probe_say(...)` at each way out. */
void probe_ok(struct probe_result *ret);
__attribute__((format(printf, 3, 4))) void probe_say(struct probe_result *ret,
						     enum probe_state state, const char *fmt, ...);
/* The same, with ": strerror(err)" behind. */
__attribute__((format(printf, 4, 5))) void
probe_fail(struct probe_result *ret, enum probe_state state, int err, const char *fmt, ...);

typedef void probe_try(const struct probe_env *env, const struct probe *p,
		       struct probe_result *ret);

/* probe_bpf.c */
struct probe_hook;
extern const struct probe_hook hook_connect, hook_sendmsg, hook_recvmsg, hook_getpeername,
	hook_bind, hook_sock_create, hook_sock_release, hook_setsockopt, hook_packets, hook_sockops,
	hook_connect_unix;
probe_try probe_hook, probe_refusal, probe_tracepoint, probe_helpers, probe_bpf_loop, probe_ringbuf,
	probe_map_of_maps, probe_sk_storage, probe_rdonly_map, probe_btf, probe_bpffs, probe_lsm;

/* probe_walls.c */
probe_try probe_landlock, probe_seccomp, probe_mounts, probe_ipc, probe_sock_destroy;
