/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - the record stays usable and honest under a flood: what comes too fast becomes one line with a count, and what
 * was lost is counted by kind and stated.
 *
 * For the supervisor.  For every connection and request, refused or allowed, there is a line of its own, or it is part of
 * the `suppressed` of one, or of the counts in a line of kind "log".  Never drops anything without counting it.  What it
 * holds in memory is in a pinned count until its line is in the file.
 */
#pragma once

#include "proxy/wire.h"
#include "user/eventlog.h"
#include "user/ratelimit.h"

#include <jansson.h>

/* Of one executable, and of all together: refusals with a line of their own, and what goes through likewise.  The kernel
 * has its bounds for each process (bpf/abi.h); these are for those who make new processes, and new executables, all the
 * time.  A line of a refusal takes some 400 bytes, and the log keeps 256 MiB (user/log.h): whoever makes refusals of every
 * kind, with as many executables as he likes, needs more than half an hour to push one out. */
#define RECORD_BURST 20000
#define RECORD_DENY_PER_S 50
#define RECORD_PASS_PER_S 500
#define RECORD_ALL_BURST 60000 /* a single executable does not use up the half that is open to all */
#define RECORD_ALL_DENY_PER_S 100
#define RECORD_ALL_PASS_PER_S 1000
/* Lines for what was suppressed, in a turn (one a second): this many, or more, so that RECORD_ROUND turns name every
 * executable that waits.  Who waits longest comes first. */
#define RECORD_SUMMARIES 50
#define RECORD_ROUND 60
/* Of the last requests that were suppressed, in memory.  Beyond it a line says who made them, and how many. */
#define RECORD_LAST_BYTES (4u << 20)

enum lost_kind { LOST_DENY, LOST_ALLOW, LOST_REQUEST, LOST_LOG, LOST_KINDS };
/* What the kernel had to give up, without a line for each. */
enum failed_kind { FAILED_FLOW, FAILED_RECORD, FAILED_PROCESS, FAILED_PATH, FAILED_KINDS };

/* What waits for its line: how many are in the slot, the last of them is here under the slot's index. */
struct connects_limit {
	struct ratelimit *limit;
	struct osh_event *last;
	size_t at; /* where the next turn begins */
};
struct requests_limit {
	struct ratelimit *limit;
	struct wire_event **last; /* cut off behind their target; NULL: there was no memory */
	size_t at;
};

/* Memory: what is used of it; 3.5 MiB for each kind of refusal that 16384 executables have within a minute, 18 MiB when they
 * have and do everything at once, some 100 KiB otherwise. */
struct record {
	struct eventlog *events;
	struct kernel *kernel;
	struct osh_suppressed *slots; /* OSH_SUPPRESSED_MAX, shared with the kernel */
	uint64_t *told;		      /* OSH_TOLD_MAX: what is in the log's file */
	uint64_t stated[OSH_TOLD_MAX]; /* of those that are statistics: in lines, which may not be in the file yet */
	uint64_t failed[FAILED_KINDS]; /* stated likewise */
	uint64_t read;		      /* events of the ring, ever */
	uint64_t held;		      /* counted in the limits below, in no line yet */
	uint64_t checked_ns;	      /* when nothing new was lost (boot clock) */
	uint64_t suppressed;	      /* ever stated in a line */
	uint64_t lost_requests;
	size_t last_bytes;
	bool all; /* the next turn leaves nothing out */
	/* By path id of the executable. */
	struct connects_limit denials, allows;
	/* By process: sockets that seccomp refused, for which the kernel has no bound. */
	struct connects_limit refused;
	/* Requests that were refused, by path id; those that went through, by process and by path id. */
	struct requests_limit requests, passed, passed_exe;
};

/* -ENOMEM, or as mmap(2).  What it has taken is never given back. */
int record_open(struct record *r, struct kernel *k, struct eventlog *l);

void record_connect(struct record *r, const struct osh_event *e);  /* an event of the ring */
void record_refused(struct record *r, const struct osh_event *e);  /* a socket that seccomp refused */
void record_request(struct record *r, const struct wire_event *e); /* an event of the proxy */
void record_request_lost(struct record *r, const struct wire_lost *m);

/* The lines that stand for many: all of generations up to upto (an image that is going names its blocks in them), or, with
 * UINT64_MAX, a turn. */
void record_summarise(struct record *r, uint64_t upto);
/* The next turn is not bounded: somebody wants to read the log, or the sandbox ends. */
void record_all(struct record *r);
/* States what was lost since the last call. */
void record_check(struct record *r);
/* Everything read so far is in the log's file. */
void record_written(struct record *r);

uint64_t record_lost(const struct record *r, uint64_t by_kind[LOST_KINDS]); /* the sum */
json_t *record_status(const struct record *r);				    /* the counts by kind */
json_t *record_failed(const struct record *r);				    /* what the kernel gave up, by kind */
/* "12 events lost (deny 10, allow 2)", and what the kernel gave up; "" when nothing was. */
void record_text(const struct record *r, char *buf, size_t n);

/* What a dead supervisor left: denials and connections that are in no line of its log.  suppressed: with what it had
 * counted in its memory, requests too; those that the proxy had not handed over are counted nowhere. */
struct record_left {
	uint64_t unread, lost, suppressed;
};
int record_left(const char *pin_dir, struct record_left *ret); /* -ENOENT: nothing to look at */
