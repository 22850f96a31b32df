/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_tcp.h - DNS over TCP (RFC 7766): takes accepted connections, hands out whole messages, sends
 * answers.
 *
 * Bounded in everything the other side decides: connections (in all and of one process), bytes
 * buffered each way, queries not yet answered, and time without a whole message.
 */
#pragma once

#include "bpf/abi.h"
#include "proxy/loop.h"

#define DNS_TCP_CONNS_MAX 128
#define DNS_TCP_CONNS_PER_PID 16
#define DNS_TCP_IDLE_MS 10000
#define DNS_TCP_PENDING_MAX 16	 /* unanswered queries of one connection; then it is not read */
#define DNS_TCP_MESSAGE_MAX 4096 /* a longer query closes the connection */

struct dns_tcp;
struct dns_tcp_conn;

struct dns_tcp_handler {
	/* One message: dns_tcp_answer() it now or later, or dns_tcp_drop() it. */
	void (*message)(void *arg, struct dns_tcp_conn *c, const struct osh_dns_client *client,
			struct slice packet);
	/* c goes away, and its unanswered messages with it. */
	void (*gone)(void *arg, struct dns_tcp_conn *c);
	void *arg;
};

int dns_tcp_new(struct loop *loop, const struct dns_tcp_handler *h, struct dns_tcp **ret);
struct dns_tcp *dns_tcp_free(struct dns_tcp *t); /* closes all; takes NULL, returns NULL */

/* Takes fd, whatever happens. */
void dns_tcp_accept(struct dns_tcp *t, int fd, const struct osh_dns_client *client);
/* Each message is answered or dropped exactly once. c stays valid until the next turn of the
 * loop. */
void dns_tcp_answer(struct dns_tcp_conn *c, struct slice packet);
void dns_tcp_drop(struct dns_tcp_conn *c);
