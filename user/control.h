/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - how commands talk to a sandbox's supervisor: /run/osh-enforce/NAME/control, SOCK_SEQPACKET.
 *
 * Only root connects (SO_PEERCRED), and a peer inside any sandbox's cgroup is turned away whoever it is.  Every
 * packet is a struct ctl_msg and `size` bytes of payload (at most CTL_PAYLOAD_MAX), descriptors as SCM_RIGHTS.
 * One request at a time per connection, but for CTL_EXEC_SIGNAL.
 */
#pragma once

#include "policy/base.h"

#include <sys/types.h>

#define CTL_VERSION 2
#define CTL_ANSWER_MS 3000
#define CTL_PAYLOAD_MAX 65536
#define CTL_FDS_MAX 8
#define OSH_RUN_DIR "/run/osh-enforce"
#define OSH_STATE_DIR "/var/lib/osh-enforce"
#define OSH_SANDBOX_NAME_MAX 48 /* [a-z0-9][a-z0-9_.-]*, NUL not counted */

enum ctl_type {
	/* requests */
	CTL_STATUS = 1,	 /* no payload -> CTL_STATUS_REPLY, JSON text */
	CTL_EXEC,	 /* struct ctl_exec; descriptors: memfd (exec request blob), 0, 1, 2 -> STARTED, STATUS... */
	CTL_EXEC_SIGNAL, /* struct ctl_exec_signal: to the running command of this connection */
	CTL_RELOAD,	 /* struct ctl_reload, see there -> ACCEPTED, then OK or ERROR */
	CTL_DELETE,	 /* -> OK when everything is gone but the supervisor itself; text: what of the record was lost */
	CTL_SYNC_LOG,	 /* -> OK when every event so far is in the log */
	CTL_COMMIT,	 /* the held reload of this connection is to happen now -> OK or ERROR */
	CTL_FAILED,	 /* struct ctl_failed; descriptor: policy text memfd, or none -> OK: it is on record */
	/* replies */
	CTL_OK = 64,	   /* payload: text for people, may be empty (reload: JSON revision, hash, ms) */
	CTL_ERROR,	   /* int32_t -errno, then text */
	CTL_STATUS_REPLY,  /* JSON */
	CTL_EXEC_STARTED,  /* int32_t pid */
	CTL_EXEC_STATUS,   /* struct ctl_exec_status */
	CTL_ACCEPTED,	   /* JSON revision, hash: a reload is under way, or (held) waits for CTL_COMMIT */
};

struct ctl_msg {
	uint32_t type;
	uint32_t size; /* of the payload */
};

struct ctl_exec {
	uint32_t version;
	uint32_t tty; /* 1: descriptors 0-2 that are terminals are the pty's slave, which becomes the
			 controlling terminal of a new session */
};

struct ctl_exec_signal {
	int32_t signo; /* sent to the command's process group */
};

enum ctl_exec_state {
	EXEC_EXITED = 1, /* value: exit status; last message */
	EXEC_SIGNALED,	 /* value: signal; last message */
	EXEC_STOPPED,	 /* value: signal; the command's process group stopped */
	EXEC_CONTINUED,
	EXEC_NOT_FOUND,	 /* last message; value: errno of execve: 127 (ENOENT) or 126 for the caller; text follows */
	EXEC_FAILED,	 /* last message; the enforcer itself failed: 125; text follows */
};
struct ctl_exec_status {
	uint32_t state;
	int32_t value;
	char text[512]; /* NUL-terminated */
};

enum ctl_reload_kind {
	RELOAD_OWN,	 /* a new revision of the sandbox's own; descriptors: image memfd, policy text memfd */
	RELOAD_GLOBAL,	 /* the global policy; descriptor: image memfd.  Always held */
	RELOAD_UNGLOBAL, /* back to the sandbox's own last loaded one; no descriptor.  Always held */
};

/* A held reload does everything but the store that makes it so, answers ACCEPTED, and then waits for CTL_COMMIT.  When
 * the connection ends first, what the store of global policies says decides (globalpolicy.h). */
struct ctl_reload {
	uint32_t version;
	uint32_t kind;	      /* enum ctl_reload_kind */
	uint64_t deadline_ns; /* boot clock: not in force by then, it is given up; 0: a default */
	uint64_t base;	      /* RELOAD_OWN: only when this revision is in force; 0: whichever */
	uint64_t global;      /* RELOAD_GLOBAL: number of the global revision */
	char path[256];	      /* where the text came from: for status and the record */
};

/* A policy that did not get as far as a reload, for the record. */
struct ctl_failed {
	uint32_t version;
	char hash[65]; /* "": it has errors */
	char path[256];
	char error[4096]; /* NUL-terminated, like all of them */
};

/* Client side. */
int control_connect(const char *name, int *ret_fd);
/* No supervisor listens (any more; one that is ending is given a moment).  A connection that was closed does not say so:
 * a supervisor with too many of them closes the next. */
bool control_gone(const char *name);
int control_send(int fd, uint32_t type, const void *payload, size_t n, const int *fds, size_t nfds);
/* Connects, sends a request without payload and waits CTL_ANSWER_MS for the answer; *ret is malloced, NUL-terminated. */
int sandbox_ask(const char *name, uint32_t request, uint32_t *ret_type, char **ret, size_t *ret_n);
/* Receives one packet; payload is NUL-terminated for text.  Descriptors not asked for are closed. timeout_ms < 0:
 * wait.  0: peer closed -> -EPIPE. */
int control_recv(int fd, int timeout_ms, uint32_t *ret_type, void *buf, size_t buf_n, size_t *ret_n, int *fds,
		 size_t *nfds);
/* Names of sandboxes under OSH_RUN_DIR, sorted; alive or dead. Caller frees with strv_free(). */
int sandbox_list(char ***ret);
char **strv_free(char **v);
bool sandbox_name_valid(const char *name);
bool sandbox_named(const char *name); /* there is one under OSH_RUN_DIR, alive or dead */
/* The one running sandbox, for commands whose NAME may be left out. -ENOENT none, -ENOTUNIQ several. */
int sandbox_only(char **ret_name);
