/* SPDX-License-Identifier: Apache-2.0 */
/*
 * l7.h - what every inspected protocol shares: the question to the policy, and how a refusal looks.
 */
#pragma once

#include "proxy/buf.h"
#include "proxy/flow.h"

/* One request as it is judged, logged and sent. */
struct l7_request {
	char method[33];
	struct canonical_target target; /* target.query points into the protocol's head */
	struct query_pair *query;
	size_t nquery;
	char *query_text; /* decoded bytes behind query */
	bool judged;	  /* the fields above are complete */
};
void l7_request_done(struct l7_request *q);

/* The errors of the policy language, by the name that the body carries. */
#define L7_ERRORS(X)                                                                              \
	X(POLICY_DENIED, "policy_denied", 403)                                                    \
	X(BAD_REQUEST, "bad_request", 400)                                                        \
	X(AUTHORITY, "request_authority_mismatch", 403)                                           \
	X(SSRF, "ssrf_denied", 403)                                                               \
	X(UNREACHABLE, "upstream_unreachable", 502)                                               \
	X(TLS, "upstream_tls_failed", 502)                                                        \
	X(TIMEOUT, "upstream_timeout", 504)                                                       \
	X(TOO_LARGE, "too_large", 413)

enum l7_error {
	L7_OK = 0,
#define X(name, text, status) L7_##name,
	L7_ERRORS(X)
#undef X
};

struct l7_refusal {
	enum l7_error error;
	unsigned status; /* what l7_refuse() set, or a closer one (414, 431, 505) */
	char detail[WIRE_TEXT_MAX];
};
__attribute__((format(printf, 3, 4))) void l7_refuse(struct l7_refusal *r, enum l7_error e, const char *fmt, ...);
enum l7_error l7_upstream_error(enum upstream_failure f);
/* Is it the policy's decision (deny), or did something fail (error)? */
enum wire_decision l7_decision(enum l7_error e);

/* Reads the target: canonical path, decoded query.  host: the Host field, p == NULL: none.  L7_OK, or *ret filled. */
enum l7_error l7_read_target(const struct flow *f, struct image_view v, struct slice method, struct slice target,
			     struct slice host, struct l7_request *q, struct l7_refusal *ret);
/* Asks the policy.  L7_OK: *rd says allow or audit; else *ret filled. */
enum l7_error l7_judge(const struct flow *f, struct image_view v, const struct l7_request *q,
		       struct request_decision *rd, struct l7_refusal *ret);
/* "METHOD PATH not permitted by policy" */
void l7_detail(const struct l7_request *q, const struct request_decision *rd, char *to, size_t n);

/* The Host field to send: the flow's host, with a port where the program wrote one. */
void l7_host_field(const struct flow *f, struct slice host, char *to, size_t n);

/* Appends a whole HTTP/1.1 answer.  q and rd may be NULL when it did not come to that. */
struct l7_answer {
	const struct l7_refusal *refusal;
	const struct l7_request *q;
	const struct request_decision *rd;
	uint64_t gen; /* of rd */
	bool keep_alive, head_only;
	unsigned client_minor;
};
int l7_answer(const struct flow *f, const struct l7_answer *a, struct buf *out);

/* Event of one request. */
void l7_event(const struct flow *f, enum wire_decision d, const struct l7_request *q,
	      const struct request_decision *rd, struct wire_event *e);
