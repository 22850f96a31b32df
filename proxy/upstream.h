/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.h - connections from the proxy to real servers: resolve, check, dial, verify, pool.
 *
 * Nothing here decides whether a request may be made; by the time of upstream_open() that is settled.  What
 * is settled here is *where to*: every address passes the caller's check, and only a checked address is dialled.
 */
#pragma once

#include "proxy/proxy.h"
#include "proxy/stream.h"

#include <sys/queue.h>

enum upstream_failure {
	UPSTREAM_SSRF = 1,    /* an address that the policy does not admit */
	UPSTREAM_UNREACHABLE, /* no address, or nobody answered */
	UPSTREAM_TLS,
	UPSTREAM_TIMEOUT,
};

struct upstream_error {
	enum upstream_failure kind;
	char reason[WIRE_TEXT_MAX];
};

struct upstream_target {
	const char *host; /* name in lower case, or the text of the address; copied */
	uint8_t family;	  /* 0: a name */
	uint8_t addr[16]; /* when family is not 0 */
	uint16_t port;
	bool tls;
	uint64_t gen; /* generation that allowed it */
};

/* May this address be dialled?  Asked for every address under the policy of that moment. */
typedef bool (*upstream_check_fn)(void *arg, uint8_t family, const uint8_t addr[16],
				  enum osh_addr_class *ret_class);

struct upstream_conn {
	struct stream s; /* fn and arg belong to whoever holds the connection */
	struct upstream *u;
	char host[OSH_NAME_MAX];
	uint16_t port;
	bool tls;
	bool reused; /* has served before: may be dead without our knowing */
	uint64_t gen;
	uint8_t family, addr[16];
	uint64_t idle_since; /* in the pool */
	TAILQ_ENTRY(upstream_conn) link;
};

/* fd_trust: PEM of the roots, read on first use; taken. */
int upstream_new(struct proxy *px, int fd_trust, struct upstream **ret);
struct upstream *upstream_free(struct upstream *u);

/* An idle pooled connection for the target whose address passes the check; NULL: none.  max_idle_ms: how
 * long it may have been idle. */
struct upstream_conn *upstream_take(struct upstream *u, const struct upstream_target *t, uint32_t max_idle_ms,
				    upstream_check_fn check, void *arg);

/* A new connection.  cb is called exactly once, never before upstream_open returns, with either c (now the
 * callee's) or e. */
struct upstream_wait;
typedef void (*upstream_fn)(void *arg, struct upstream_conn *c, const struct upstream_error *e);
int upstream_open(struct upstream *u, const struct upstream_target *t, upstream_check_fn check,
		  upstream_fn cb, void *arg, struct upstream_wait **ret);
void upstream_cancel(struct upstream_wait *w);

/* Gives a connection back: to the pool when the exchange ended cleanly, or closes it.  NULL is fine. */
void upstream_put(struct upstream_conn *c, bool reusable);
void upstream_drop(struct upstream_conn *c, bool reset);

/* Pooled connections of other generations go. */
void upstream_policy_changed(struct upstream *u, uint64_t gen);
/* Closes the oldest idle connection to free a descriptor; false: there is none. */
bool upstream_evict(struct upstream *u);
