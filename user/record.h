/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - the record stays usable and honest under a flood: what comes too fast becomes one line with a count, and what
 * was lost is counted by kind and stated.
 *
 * For the supervisor.  For every connection and request, refused or allowed, there is a line of its own, or it is part of
 * the `suppressed` of one, or of the counts in a line of kind "log".  Never drops anything without counting it.
 */
#pragma once

#include "proxy/wire.h"
#include "user/eventlog.h"
#include "user/ratelimit.h"

#include <jansson.h>

/* Of one executable: denials with a line of their own, and as many that are allowed.  The kernel has its bound for each
 * process (bpf/abi.h); this one is for those who make new processes all the time. */
#define RECORD_PER_S 500
#define RECORD_BURST 20000

enum lost_kind { LOST_DENY, LOST_ALLOW, LOST_REQUEST, LOST_LOG, LOST_KINDS };

struct record {
	struct eventlog *events;
	struct kernel *kernel;
	struct osh_suppressed *slots; /* OSH_SUPPRESSED_MAX, shared with the kernel */
	uint64_t *told;		      /* OSH_TOLD_MAX */
	uint64_t read;		      /* events of the ring, ever */
	uint64_t checked_ns;	      /* when nothing new was lost (boot clock) */
	uint64_t suppressed;	      /* ever stated in a line */
	uint64_t lost_requests;
	/* By path id of the executable. */
	struct connects_limit {
		struct ratelimit limit;
		struct osh_event last[RATELIMIT_SLOTS];
	} denials, allows;
	/* Requests that were refused, by path id; those that went through, by process and by path id. */
	struct requests_limit {
		struct ratelimit limit;
		struct wire_event last[RATELIMIT_SLOTS];
	} requests, passed, passed_exe;
};

int record_open(struct record *r, struct kernel *k, struct eventlog *l);

void record_connect(struct record *r, const struct osh_event *e);  /* an event of the ring */
void record_request(struct record *r, const struct wire_event *e); /* an event of the proxy */
void record_request_lost(struct record *r, const struct wire_lost *m);

/* The lines that stand for many, of generations up to upto (an image that is going names its blocks in them). */
void record_summarise(struct record *r, uint64_t upto);
/* States what was lost since the last call. */
void record_check(struct record *r);
/* Everything read so far is in the log's file. */
void record_written(struct record *r);

uint64_t record_lost(const struct record *r, uint64_t by_kind[LOST_KINDS]); /* the sum */
json_t *record_status(const struct record *r);				    /* the counts by kind */
/* "12 events lost (deny 10, allow 2)"; "" when nothing was. */
void record_text(const struct record *r, char *buf, size_t n);

/* What a dead supervisor left: denials and connections that are in no line of its log. */
struct record_left {
	uint64_t unread, lost, suppressed;
};
int record_left(const char *pin_dir, struct record_left *ret); /* -ENOENT: nothing to look at */
