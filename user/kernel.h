/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.h - the sandbox's BPF programs and tables: load, attach, pin, publish an image, look things up.
 */
#pragma once

#include "policy/policy.h"
#include "user/cgroup.h"

struct kernel;

struct kernel_config {
	const struct cgroups *cgroups;
	const char *pin_dir; /* empty; one pin per link, and those of the maps below */
	uint32_t tag;	     /* nonzero, of this sandbox's sockets */
	uid_t uid;	     /* that the agent runs as */
	uint16_t proxy_port4, proxy_port6, dns_port4, dns_port6; /* host order */
};

/* Pinned beside the links: who clears up after a dead supervisor says what is in no log. */
#define KERNEL_PIN_STATS "map_stats"
#define KERNEL_PIN_EVENTS "map_events"
#define KERNEL_PIN_SUPPRESSED "map_suppressed"
#define KERNEL_PIN_TOLD "map_told"

/* The tables.  From here on an image can be published and descriptors exported. */
int kernel_new(const struct kernel_config *c, struct kernel **ret);
/* Loads, attaches and pins the programs.  *ret_what names the failing part on error (lives as long as k). */
int kernel_attach(struct kernel *k, const struct kernel_config *c, const char **ret_what);
/* NULL: the BPF LSM layer is live; else why it is not there (lives as long as k). */
const char *kernel_lsm_missing(const struct kernel *k);
/* A socket file of the host that the sandbox may connect to.  Without the layer: nothing to do, 0. */
int kernel_list_unix(struct kernel *k, int path_fd);
struct kernel *kernel_free(struct kernel *k); /* the pinned links stay */

enum kernel_map {
	KMAP_CURRENT,
	KMAP_NAMES,
	KMAP_PATHS,
	KMAP_PATH_IDS,
	KMAP_ACCEPTED,
	KMAP_DNS_CLIENTS,
	KMAP_SOCKS,
	KMAP_PROCS,
	KMAP_HOST_ADDRS,
	KMAP_UPSTREAM_DNS,
	KMAP_STATS,
	KMAP_EVENTS,
	KMAP_SUPPRESSED,
	KMAP_TOLD,
};
/* The supervisor's own descriptor (not to be closed). */
int kernel_map_fd(const struct kernel *k, enum kernel_map m);
/* A fresh descriptor for the proxy; rdonly: BPF_F_RDONLY.  Caller closes. */
int kernel_map_export(const struct kernel *k, enum kernel_map m, bool rdonly);

/* Marks a listener of proxy or resolver as ours; no flow is turned to a port held by any other socket. */
int kernel_mark_listener(struct kernel *k, int fd);

/* The next exec in the agent's cgroup is the launcher's. */
void kernel_open_launch(struct kernel *k);
/* Takes the number of init's system call filters, which its children share: who executes a program under more is
 * tainted.  pid: of init, with its walls up, before it has run anything.  -errno: not known, and every program would be. */
int kernel_count_filters(struct kernel *k, pid_t pid);

/* A published image: the frozen inner map and a read-only mapping of it. */
struct published {
	uint64_t gen;
	int map_fd;
	void *base;
	struct image image;
};
/* Copies the image into a fresh map, freezes and validates it, and puts it into the slot of gen, which waits for a grace
 * period; background: that wait goes on beside other work, and kernel_published() must follow before `current` may name
 * gen.  `current` is not touched. */
int kernel_publish(struct kernel *k, uint64_t gen, int image_fd, bool background, struct published *ret);
int kernel_published(struct kernel *k); /* joins; result of the update */
void published_done(struct published *p);
/* The one store that is the reload. */
void kernel_set_current(struct kernel *k, uint64_t gen);
/* Returns after every decision that began before the call is over. */
int kernel_grace(struct kernel *k, const struct published *p);

/* Path of an id into buf (OSH_PATH_MAX bytes), name of a synthetic address (network order) into buf
 * (OSH_NAME_MAX).  -ENOENT: gone; buf is then "".  A path is found for a while after its id has left the table: events
 * name it later. */
int kernel_path(const struct kernel *k, uint32_t id, char *buf);
int kernel_name(const struct kernel *k, uint32_t addr, char *buf);
uint64_t kernel_stat(const struct kernel *k, enum osh_stat s);
/* Number of entries, by walking the keys; for status. */
size_t kernel_count(const struct kernel *k, enum kernel_map m);
/* When the table of paths is half full: forgets those that no process and no connection has (user/paths.c), which takes
 * two calls.  mark_flows calls path_marks_add() for each connection; when it returns < 0 nothing is forgotten. */
struct path_marks;
void path_marks_add(struct path_marks *m, const struct osh_ident *id);
void kernel_collect_paths(struct kernel *k, int (*mark_flows)(void *arg, struct path_marks *m), void *arg);
