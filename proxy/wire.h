/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - what supervisor and proxy say to each other over a SOCK_SEQPACKET pair (descriptor 3 of the
 * proxy).  Every message is one packet that starts with struct wire_msg.  The supervisor treats what the
 * proxy sends as hostile: fixed sizes, lengths checked, strings escaped where they are printed.
 */
#pragma once

#include "bpf/abi.h"
#include "policy/base.h"

#define WIRE_VERSION 3
#define WIRE_FD 3
#define WIRE_NAMESERVERS_MAX 4
#define WIRE_TARGET_MAX 4096 /* TARGET_PATH_MAX: whatever is judged is whole */
#define WIRE_TEXT_MAX 256

enum wire_type {
	/* supervisor -> proxy */
	WIRE_HELLO = 1, /* struct wire_hello, descriptors in the order of enum wire_hello_fd */
	WIRE_IMAGE,	/* struct wire_image, one descriptor: the frozen map.  Answer: WIRE_IMAGE_ACK */
	WIRE_SWAPPED,	/* struct wire_image, no descriptor: `current` now names it; re-judge all flows */
	/* proxy -> supervisor */
	WIRE_READY = 32, /* struct wire_ready; one descriptor when the proxy made a new CA: memfd, see below */
	WIRE_IMAGE_ACK,	 /* struct wire_image_ack */
	WIRE_EVENT,	 /* struct wire_event */
	WIRE_LOST,	 /* struct wire_lost */
	WIRE_UNJAILED,	 /* struct wire_unjailed, before WIRE_READY: it could not lock itself in */
};

struct wire_msg {
	uint32_t type;
	uint32_t size; /* of the whole packet */
};

/* Descriptors of WIRE_HELLO, in this order.  */
enum wire_hello_fd {
	WH_PROXY_TCP4,	 /* listening, 127.0.0.1: flows (struct osh_flow in `accepted`) */
	WH_PROXY_TCP6,	 /* listening, ::1 */
	WH_DNS_UDP4,	 /* bound, 127.0.0.1: the resolver; the asker is in `dns_clients` */
	WH_DNS_UDP6,	 /* bound, ::1 */
	WH_MAP_CURRENT,	 /* array of one __u64, read-only: to be looked up */
	WH_MAP_NAMES,	 /* hash, read and write */
	WH_MAP_PATHS,	 /* hash, read-only */
	WH_MAP_ACCEPTED, /* socket storage of accepted sockets, read-only */
	WH_MAP_DNS_CLIENTS, /* hash, read-only */
	WH_HOSTS,	 /* memfd: lines "ADDRESS NAME...", as /etc/hosts: host file and --add-host, later wins */
	WH_TRUST,	 /* memfd: PEM, roots for upstream certificates (system store and --upstream-ca) */
	WH_CA,		 /* memfd: PEM, private key then certificate of this sandbox's CA; empty: make one */
	WH_COUNT
};
/* TCP flows of port 53 (OSH_FLOW_DNS) arrive at the proxy's listeners like any other flow. */

struct wire_hello {
	struct wire_msg m;
	uint32_t version;
	uint32_t verbose;
	uint32_t may_lack_jail; /* go on when Landlock or seccomp cannot be had (--allow-missing) */
	char sandbox[64];
	uint32_t uid, gid; /* the proxy drops to these itself */
	uint32_t nnameservers;
	struct {
		uint8_t family; /* 4 or 6 */
		uint8_t pad;
		uint16_t port;
		uint8_t addr[16];
	} nameservers[WIRE_NAMESERVERS_MAX]; /* upstream, from the host's resolv.conf */
};

struct wire_image {
	struct wire_msg m;
	uint64_t gen;
	uint64_t size; /* bytes of the image */
};

struct wire_image_ack {
	struct wire_msg m;
	uint64_t gen;
	int32_t error; /* 0 or a negative errno */
	uint32_t pad;
};

struct wire_ready {
	struct wire_msg m;
	uint32_t version;
	uint32_t new_ca; /* 1: a memfd (PEM, private key then certificate, at most 16 KiB) comes with it */
};

/* Events that found no room; said as soon as there is some. */
struct wire_lost {
	struct wire_msg m;
	uint64_t count;
	uint64_t since; /* boot clock, ns: the first of them */
};

struct wire_unjailed {
	struct wire_msg m;
	char text[WIRE_TEXT_MAX]; /* what failed, and why */
};

enum wire_decision { WD_ALLOW = 1, WD_DENY, WD_AUDIT, WD_ERROR };

#define WIRE_NO_UID 0xffffffffu /* (uid_t)-1: nobody's */

/* One request-level event, or an error of a proxied flow.  Strings are bytes with a length, cut to their
 * bound, not trusted.  On the wire, and where many are kept, it ends behind its target: WIRE_EVENT_SIZE(target_n) bytes,
 * which m.size says there. */
struct wire_event {
	struct wire_msg m;
	uint64_t time; /* boot clock, ns */
	uint64_t gen;
	uint32_t pid, uid; /* pid 0, uid WIRE_NO_UID: not known */
	uint32_t decision; /* enum wire_decision */
	uint32_t block;	   /* or ~0 */
	uint32_t status;   /* HTTP status sent to the program, 0 none */
	uint32_t rule_line;
	struct osh_ident id;
	struct osh_dst dst; /* addr: the upstream address dialled, family 0 if none */
	uint64_t bytes_up, bytes_down; /* of bodies */
	uint64_t duration_ns;
	uint16_t host_n, method_n, target_n, reason_n, rule_n, pad[3];
	char host[OSH_NAME_MAX];
	char method[32];
	char reason[WIRE_TEXT_MAX]; /* deny, audit: l7_deny_reason; error: what happened */
	char rule[WIRE_TEXT_MAX];
	char target[WIRE_TARGET_MAX]; /* canonical path; raw target of a refused one */
};
#define WIRE_EVENT_SIZE(target_n) ((uint32_t)(offsetof(struct wire_event, target) + (target_n)))

/* Is what came, n bytes of it, a whole event? */
static inline bool wire_event_whole(const struct wire_event *e, size_t n)
{
	return n >= WIRE_EVENT_SIZE(0) && e->target_n <= WIRE_TARGET_MAX && n == WIRE_EVENT_SIZE(e->target_n);
}
