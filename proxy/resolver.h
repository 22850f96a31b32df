/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.h - the sandbox's DNS server, the synthetic addresses, and the upstream look-ups of the
 * proxy.
 *
 * Answers every question of the sandbox (UDP port 53 turned here by the kernel, TCP port 53 as a
 * flow).  A name gets a stable synthetic address; upstream is asked only for names that the asking
 * process may reach natively, and by the proxy when it has allowed a request.  design:
 * docs/design.md, "Names and addresses".
 */
#pragma once

#include "policy/policy.h"
#include "proxy/images.h"
#include "proxy/loop.h"
#include "proxy/resolved.h"
#include "proxy/resolver_maps.h"
#include "proxy/wire.h"

struct resolver;

/* A name that client may reach natively resolves to an address it may not: for the log, "address
 * not allowed (ADDRESS: CLASS)".  Called in the turn of the question. */
typedef void (*resolver_refused_fn)(void *arg, const struct osh_dns_client *client,
				    struct slice name, uint8_t family, const uint8_t addr[16],
				    enum osh_addr_class class);

struct resolver_config {
	struct loop *loop;
	struct images *images;
	const struct wire_hello *hello;	 /* nameservers; copied */
	int udp4, udp6;			 /* taken; bound sockets of the resolver */
	int map_names, map_dns_clients;	 /* taken */
	int hosts;			 /* taken: memfd, lines as /etc/hosts, later lines win */
	resolver_refused_fn on_refused;	 /* or NULL */
	void *on_refused_arg;
	const struct resolver_maps *maps; /* tests only: instead of the two maps; copied */
};
/* The descriptors are taken whatever happens; any of them may be -1 (no IPv6, no hosts).
 * Rebuilds the pool from the names map, so that a restarted proxy gives the same addresses. Call
 * before the proxy gives up access to files (c-ares reads none after this). */
int resolver_new(const struct resolver_config *c, struct resolver **ret);
/* Takes NULL, returns NULL; after all resolve_query are gone. */
struct resolver *resolver_free(struct resolver *r);

/* Name behind a synthetic address (network order); n == 0: none.  Valid until the next turn of
 * the loop. */
struct slice resolver_name(struct resolver *r, uint32_t synthetic);
/* A name with open flows is not evicted. */
void resolver_hold(struct resolver *r, uint32_t synthetic);
void resolver_release(struct resolver *r, uint32_t synthetic);

/* A TCP connection to port 53 (OSH_FLOW_DNS): the resolver takes fd and serves it (2-byte
 * lengths, RFC 7766, idle time-out, bounded number). */
void resolver_accept_tcp(struct resolver *r, int fd, const struct osh_flow *flow);

/* An image was mapped, its swap may come at any moment: the kernel goes on using pins from then on without a word from
 * here, so those that the new policy would not allow are taken out before (connections are relayed, and checked). */
void resolver_policy_coming(struct resolver *r);
/* After a swap: pins that the new policy would not allow are taken out. */
void resolver_policy_changed(struct resolver *r);

/* Looks a name up (hosts, cache, then upstream A and AAAA).  cb is called exactly once, never
 * before resolve_start returns; error 0, or -ENOENT (NXDOMAIN or no address), -EAGAIN
 * (SERVFAIL), -ETIMEDOUT.  Addresses are NOT checked against the policy: the caller uses
 * image_address_allowed() on each and dials what it checked. */
struct resolve_query;
typedef void (*resolve_fn)(void *arg, int error, const struct resolved *res);
int resolve_start(struct resolver *r, struct slice name, resolve_fn cb, void *arg,
		  struct resolve_query **ret);
void resolve_cancel(struct resolve_query *q); /* cb is not called */
