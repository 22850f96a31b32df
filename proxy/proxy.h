/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy.h - the one object of the process: its rooms, and what it asks of the world outside them.
 */
#pragma once

#include "proxy/images.h"
#include "proxy/loop.h"
#include "proxy/resolver.h"
#include "proxy/wire.h"

struct ca;
struct flows;
struct proxy;
struct super;
struct upstream;

/* Everything that leaves the proxy's own rooms.  main.c has the one real set; the tests bring theirs (names and
 * servers on loopback, which the real checks refuse). */
struct proxy_ops {
	struct slice (*name)(struct proxy *px, uint32_t synthetic);
	void (*hold)(struct proxy *px, uint32_t synthetic);
	void (*release)(struct proxy *px, uint32_t synthetic);
	void (*dns)(struct proxy *px, int fd, const struct osh_flow *rec); /* takes fd */
	int (*resolve)(struct proxy *px, struct slice name, resolve_fn cb, void *arg,
		       struct resolve_query **ret);
	void (*resolve_cancel)(struct proxy *px, struct resolve_query *q);
	/* Starts connecting; returns a non-blocking socket or a negative errno. */
	int (*dial)(struct proxy *px, uint8_t family, const uint8_t addr[16], uint16_t port);
	/* The flow record of an accepted socket. */
	int (*record)(struct proxy *px, int fd, struct osh_flow *ret);
	void (*event)(struct proxy *px, const struct wire_event *e);
};

/* Milliseconds, but for max_flows. */
struct proxy_limits {
	uint32_t max_flows;
	uint32_t first_byte; /* from accept to the first byte of a flow that is looked into */
	uint32_t handshake;  /* TLS with the program */
	uint32_t head;	     /* from the first to the last byte of a request head */
	uint32_t idle;	     /* between requests */
	uint32_t connect;    /* to one upstream address */
	uint32_t tls;	     /* handshake with upstream */
	uint32_t stall;	     /* no byte in any direction of a request in progress */
	uint32_t linger;     /* after our last byte */
	uint32_t skip;	     /* for a body that nobody wants */
	uint32_t pool_idle;  /* of an upstream connection */
};
extern const struct proxy_limits proxy_limits_default;

struct proxy {
	struct loop *loop;
	struct images *images;
	struct resolver *resolver;
	struct ca *ca;
	struct super *super;
	struct upstream *upstream;
	struct flows *flows;
	const struct proxy_ops *ops;
	const struct proxy_limits *limits;
	int map_accepted;
	char sandbox[64];
};
