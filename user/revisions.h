/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revisions.h - every policy that was set, with what became of it: a directory of N.yaml (the text, exactly as set,
 * never changed) and N.json (the rest).
 *
 * One writer at a time (a sandbox's supervisor; for the global policy who holds its lock), any number of readers.
 * Every file appears whole or not at all (rename), so a writer may die at any moment; revisions_recover() then says
 * what became of what it had begun.  Writing does not wait for the disk: revisions_sync() does.
 */
#pragma once

#include "policy/base.h"

#include <jansson.h>

#define REVISIONS_MAX 1000		 /* then the oldest go that are neither in force nor being loaded */
#define REVISIONS_TEXT_MAX (64u << 20)	 /* bytes of text together; then the texts of the oldest go */
#define REVISION_ABANDONED "who loaded it ended before it was known to be in force"
#define REVISION_ERROR_MAX 4096		 /* bytes that are kept of an error */

enum revision_status { REVISION_PENDING, REVISION_LOADED, REVISION_FAILED, REVISION_SUPERSEDED };

struct revision {
	uint64_t number;
	enum revision_status status;
	int64_t time;	/* when it was set, wall clock, s */
	int64_t loaded; /* when it came into force; 0: it did not */
	char hash[65];	/* of the policy (prepare.h); "": it has errors */
	char *source;	/* where it came from, as said by who set it; safe text */
	char *error;	/* "" unless failed; safe text, may have several lines */
	uint64_t size;	/* of the text, bytes */
	bool text;	/* it is still kept */
	bool dirty;	/* not synced yet */
};

struct revisions {
	int dir;
	struct revision *v; /* by number */
	size_t n, cap;
	uint64_t text_bytes;
	uint64_t keep; /* is never pruned: its text says what the sandbox was started with */
	bool dirty;
};

/* Reads all of it.  create: makes the directory when missing.  -ENOENT: there is none. */
int revisions_open(const char *path, bool create, struct revisions *ret);
void revisions_done(struct revisions *r);

/* Of the writer, when it begins: what was pending failed, and at most one is loaded: in_force, or the newest when that
 * is UINT64_MAX. */
int revisions_recover(struct revisions *r, uint64_t in_force);

/* A new one, pending or failed.  source and error may hold any bytes.  The number is in *ret. */
int revisions_add(struct revisions *r, struct slice text, const char *hash, const char *source, const char *error,
		  uint64_t *ret);
int revisions_failed(struct revisions *r, uint64_t number, const char *error);
int revisions_loaded(struct revisions *r, uint64_t number); /* the one before is superseded; 0: all are */
/* The same in two halves, the second of which can wait: of two that are loaded the newer is. */
int revisions_mark_loaded(struct revisions *r, uint64_t number);
int revisions_supersede(struct revisions *r, uint64_t number);
int revisions_sync(struct revisions *r);

const struct revision *revisions_find(const struct revisions *r, uint64_t number); /* NULL: none */
const struct revision *revisions_in_force(const struct revisions *r);
/* -ENODATA: it is not kept any more. */
int revisions_text(const struct revisions *r, uint64_t number, char **ret, size_t *ret_n);

const char *revision_status_word(enum revision_status s);
json_t *revision_json(const struct revision *v);
