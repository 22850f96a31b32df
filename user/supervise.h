/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervise.h - inside the supervisor: its state, and what its rooms offer each other.
 *
 *   supervise.c   start, shutdown, the event loop and what arrives in it
 *   proxyctl.c    the proxy: listeners, spawn, hand-over, restart, its events
 *   initctl.c     the launcher and init: spawn, orders, statuses
 *   reload.c      a new image, from the control socket to the last revoked connection
 *   controld.c    the control socket's server side
 *   refused.c     answers and logs the socket() calls that seccomp refuses
 *
 * One thread.  Everything that can make the sandbox less safe when it fails ends in supervise_stop().
 */
#pragma once

#include "proxy/loop.h"
#include "proxy/wire.h"
#include "user/cgroup.h"
#include "user/control.h"
#include "user/eventlog.h"
#include "user/kernel.h"
#include "user/launch.h"
#include "user/limits.h"
#include "user/layers.h"
#include "user/record.h"
#include "user/revisions.h"

#include <sys/types.h>

#define CTL_START 100	      /* starter -> supervisor: struct supervise_args and enum start_fd descriptors */
#define CTL_START_WARNING 101 /* supervisor -> starter: text */

/* SF_GLOBAL: image of the global policy; SF_IMAGE again when there is none. */
enum start_fd { SF_PLAN, SF_IMAGE, SF_POLICY, SF_HOSTS, SF_ROOTS, SF_UPSTREAM, SF_GLOBAL, SF_COUNT };

struct supervise_args {
	uint32_t keep, verbose, uid, allow_missing /* bits by enum layer */;
	char name[OSH_SANDBOX_NAME_MAX + 1]; /* "": choose */
	char user[64];
	char policy_path[256];
	char static_hash[65];
	char hash[65];	 /* of the sandbox's own policy */
	uint64_t global; /* revision of the global policy that SF_GLOBAL is; 0: there is none */
	uint64_t pids_max, memory_max; /* struct limits */
};

struct client {
	struct client *next;
	struct loop_watch watch;
	struct supervisor *s;
	int fd;
	uint32_t command; /* id of its running command, 0 none */
	bool lifeline;	  /* the sandbox ends with this connection */
};

struct proxy_state {
	pid_t pid;
	int sock; /* -1: not running */
	struct loop_watch watch;
	struct loop_timer restart;
	int listen_fd[4]; /* WH_PROXY_TCP4, TCP6, DNS_UDP4, UDP6 */
	uint16_t port[4];
	int ca_fd; /* memfd: what the first proxy made; -1: none yet */
	bool ready;
	bool dying;
	uint64_t acked;	     /* generation it has mapped */
	uint64_t started_ns;
	uint32_t restarts;
};

struct init_state {
	pid_t pid;
	int sock;
	struct loop_watch watch;
	bool ready;
	uint32_t next_command;
	uint32_t running;
};

struct refused_state {
	int fd; /* the filter's listener; -1: none */
	struct loop_watch watch;
};

struct reload_state {
	struct client *client; /* NULL with gen != 0: the client is gone, the swap goes on */
	uint64_t gen;	       /* 0: none under way */
	uint64_t began_ns;
	uint32_t kind;	   /* enum ctl_reload_kind */
	bool ready;	   /* held, and done but for the store */
	uint64_t revision; /* RELOAD_OWN: its number */
	uint64_t global;   /* in force when it is done; 0: none */
	int image_fd;	   /* RELOAD_OWN: memfd */
	char path[256];
	struct loop_timer timer, late;
};

/* The image of a generation that is over: it names the blocks in events that nobody has read yet. */
#define RETIRED_MAX 8
struct retired {
	struct published image;
	uint64_t at_ns;
};

struct supervisor {
	struct supervise_args args;
	char name[OSH_SANDBOX_NAME_MAX + 1];
	char *run_dir, *state_dir, *pin_dir;
	int start_fd[SF_COUNT];
	int lock_fd;
	struct loop *loop;
	struct cgroups cgroups;
	struct limits limits;
	struct kernel *kernel;
	struct published image[OSH_SLOTS];
	struct retired retired[RETIRED_MAX]; /* by generation, for events that are still on their way */
	uint64_t gen;		/* of `current` */
	uint64_t next_gen;
	struct revisions revisions;
	bool history;		 /* there were revisions before this start: they outlive a failed one */
	uint64_t revision;	 /* of the sandbox's own policy */
	uint64_t first_revision; /* the one it was started with */
	uint64_t global;	 /* revision of the global policy in force instead; 0: none */
	int own_image;		 /* memfd of the sandbox's own, for when the global one goes */
	uint64_t policy_loaded; /* wall clock, s */
	uint64_t started;	/* wall clock, s */
	uint64_t began_ns, kernel_ns, proxy_ns; /* boot clock: where the time of the start goes */
	struct log *log;
	struct eventlog events;
	void *ring; /* struct ring_buffer */
	struct loop_watch ring_watch, signal_watch, listen_watch, hostaddr_watch;
	struct loop_timer tick, ring_more;
	uint32_t ring_left; /* events that may still be read in this turn */
	int signal_fd, listen_fd, hostaddr_fd;
	struct proxy_state proxy;
	struct init_state init;
	struct refused_state refused;
	struct reload_state reload;
	struct client *clients;
	struct client *starter; /* until it has its answer */
	bool stopping;
	char *failure; /* why the start failed */
	int failure_code;
	size_t nwarnings;
	char *warnings[16];
	struct record record;
	uint64_t late_lost; /* OSH_STAT_EVENT_LOST_LATE, acted upon */
	char *missing[LAYER_COUNT]; /* layers that --allow-missing let be missing: why they are */
};

/* supervise.c */
void supervise_stop(struct supervisor *s);
__attribute__((format(printf, 2, 3))) int supervise_fail(struct supervisor *s, const char *fmt, ...);
void supervise_warn(struct supervisor *s, const char *text);
/* 0: it is written down everywhere that the layer is missing; else the start fails. */
int supervise_missing(struct supervisor *s, enum layer l, const char *why);
void supervise_ring(struct supervisor *s);  /* the kernel's events into the log: a turn's worth */
void supervise_drain(struct supervisor *s); /* all there are now, and the proxy's, flushed */
void supervise_flush(struct supervisor *s); /* the log's lines into its file */
void supervise_advance(struct supervisor *s); /* the next step of the start, when something became ready */
const struct image *supervise_image(void *arg, uint64_t gen);
uint64_t supervise_now(void); /* boot clock, ns */

/* proxyctl.c */
int proxy_listen(struct supervisor *s); /* in the proxy's cgroup */
int proxy_fork(struct supervisor *s);  /* starts the program, which waits for */
int proxy_hello(struct supervisor *s); /* its descriptors and the images */
int proxy_send_image(struct supervisor *s, const struct published *p);
void proxy_swapped(struct supervisor *s);
void proxy_drain(struct supervisor *s);
void proxy_died(struct supervisor *s);
int proxy_upstream_servers(struct supervisor *s); /* resolv.conf into the kernel's table */

/* initctl.c */
int init_spawn(struct supervisor *s);
int init_exec(struct supervisor *s, struct client *c, const struct ctl_exec *x, const int *fds, size_t nfds);
int init_signal(struct supervisor *s, uint32_t command, enum init_type type, int signo);

/* reload.c */
int reload_record(struct supervisor *s); /* the policy of the start as a pending revision */
int reload_first(struct supervisor *s); /* generation 1, before anything runs */
/* Takes the descriptors that it sets to -1. */
void reload_request(struct supervisor *s, struct client *c, const struct ctl_reload *q, int *fds, size_t nfds);
void reload_commit(struct supervisor *s, struct client *c);
void reload_failed(struct supervisor *s, struct client *c, const struct ctl_failed *f, int text_fd);
void reload_ended(struct supervisor *s); /* what is pending failed */
void reload_acked(struct supervisor *s, uint64_t gen, int error);
void reload_forget(struct supervisor *s, struct client *c);
void reload_tick(struct supervisor *s); /* drops retired images */

/* controld.c */
int control_listen(struct supervisor *s);
struct client *client_add(struct supervisor *s, int fd, bool lifeline);
void client_drop(struct client *c);
struct client *client_of_command(struct supervisor *s, uint32_t command);
__attribute__((format(printf, 3, 4))) void client_error(struct client *c, int error, const char *fmt, ...);

/* cleanup.c */
/* Removes everything of a sandbox whose supervisor is this process and holds lock_fd (-1: it did not get that far); its
 * revisions may stay.  Nothing, when the name has become another sandbox's. */
int cleanup_sandbox(const char *name, int lock_fd, bool keep_revisions);
/* Removes what a sandbox that is gone left on purpose.  -ENOENT: nothing; -EBUSY: it is there. */
int cleanup_revisions(const char *name);
/* In the run directory: its revisions go with the supervisor, however that ends.  Who dies before this is there, or while
 * the run directory is being removed, has them kept. */
#define TEMPORARY_FILE "temporary"
/* Under the lock, and quick however much there is: directories are only moved aside.  The bytes go later, without the lock
 * (cleanup_sandbox(), cleanup_revisions(), sandbox_sweep()). */
int remove_state(const char *name, bool keep_revisions); /* 0 when there is none */
int state_lock(int *ret_fd); /* the one lock around creation and sweeping */
