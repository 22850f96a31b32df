/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.h - one connection that the kernel turned to the proxy.
 *
 * Life: accepted with its record (no record: reset) -> judged again under the policy of now -> one treatment:
 *
 *   FLOW_RELAYED   an L4 endpoint: bytes both ways, unopened
 *   FLOW_SKIPPED   tls: skip: the ClientHello's server name must be the host, then as above
 *   FLOW_INSPECTED TLS ended here or clear text, and an L7 protocol inside (the table in flow.c)
 *
 * -> closed by either side, by a time-out, or by a policy swap that does not admit it any more.  A closed flow
 * keeps its memory until the end of the turn, so whoever holds it looks at `dead` after any call.
 */
#pragma once

#include "proxy/ca.h"
#include "proxy/proxy.h"
#include "proxy/stream.h"
#include "proxy/upstream.h"

#include <sys/queue.h>

/* From loose to strict: a flow that is treated more strictly than a new policy asks for may go on. */
enum flow_treat { FLOW_NEW = 0, FLOW_RELAYED, FLOW_SKIPPED, FLOW_INSPECTED };

enum standing { STANDING_DENIED = 0, STANDING_CHANGED, STANDING_ADMITTED };

struct flow;

/* What runs on an admitted flow.  One row and one file for each. */
struct flow_handler {
	const char *name;
	int (*start)(struct flow *f);	 /* takes over f->client's callback; negative: flow is closed */
	void (*timeout)(struct flow *f); /* f->timer fired */
	/* After a swap that still admits the flow: is what is going on now admitted too?  false: cut. */
	bool (*admitted)(struct flow *f, struct image_view v);
	/* A swap closes the flow: whatever it had let through is logged.  NULL: nothing ever is to be. */
	void (*interrupted)(struct flow *f);
	bool (*evictable)(const struct flow *f); /* idle: may be closed to make room */
	void (*close)(struct flow *f);		 /* lets go of everything but memory */
	void (*free)(struct flow *f);		 /* f->state, at the end of the turn */
};
extern const struct flow_handler relay_handler, http1_handler;

struct flow {
	struct proxy *px;
	TAILQ_ENTRY(flow) link;
	bool dead;
	struct osh_flow rec;
	char host[OSH_NAME_MAX]; /* lower case, or the text of the literal address */
	bool literal;
	struct dest dest;
	enum flow_treat treat;
	bool tls; /* inspected: the program speaks TLS */
	struct stream client;
	struct ca_session session;
	struct loop_timer timer;
	const struct flow_handler *handler;
	void *state; /* handler's */

	uint64_t gen; /* of what follows */
	struct connect_decision cd;
	enum standing standing;
};

struct flows;
int flows_new(struct proxy *px, int fd4, int fd6, struct flows **ret); /* takes the listeners; -1: none */
struct flows *flows_free(struct flows *fs);
void flows_listen(struct flows *fs); /* begins to accept; again: nothing */
/* After a swap: every flow is judged again, at once. */
void flows_policy_changed(struct flows *fs);
void flows_trim_later(struct flows *fs); /* something was freed: give memory back when it is quiet */

/* A socket with its record, as accepted; takes fd. */
void flow_accept(struct flows *fs, int fd, const struct osh_flow *rec);

/* One view for one decision: brings f->cd up to date.  false: no block admits the flow any more, or it would be
 * treated otherwise; it has been logged and closed. */
bool flow_current(struct flow *f, struct image_view *ret);
void flow_close(struct flow *f, bool reset);

/* upstream_check_fn: arg is the flow. */
bool flow_address_allowed(void *arg, uint8_t family, const uint8_t addr[16], enum osh_addr_class *ret);
void flow_target(const struct flow *f, bool tls, struct upstream_target *ret);

/* Events: begin, fill what is known, send. */
void flow_event_init(const struct flow *f, enum wire_decision d, struct wire_event *e);
void flow_event_dialled(struct wire_event *e, const struct upstream_conn *c);
void wire_put(char *to, uint16_t *to_n, size_t max, struct slice s);
#define WIRE_PUT(e, field, s) wire_put((e)->field, &(e)->field##_n, sizeof((e)->field), (s))
/* An error of the flow as a whole, in words. */
__attribute__((format(printf, 3, 4))) void flow_error(const struct flow *f, enum wire_decision d, const char *fmt,
						      ...);
