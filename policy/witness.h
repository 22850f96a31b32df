/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witness.h - a request that shows something about a policy: in a form that people can read and send,
 * and decided from that form by the ordinary functions, so that no flaw of an exact tool makes it claim
 * what is not so.
 */
#pragma once

#include "policy/space.h"

/* Everything malloced.  A text may hold bytes that are not for terminals. */
struct witness {
	char *binary;  /* "": a program without a path */
	char *script;  /* NULL: none */
	char **ancestors; /* NULL-terminated, newest first; NULL: none */
	bool tainted;
	char *host; /* name or literal */
	bool literal;
	uint16_t port;
	bool inspected;	     /* else method, path and query are NULL: every request passes */
	char *method, *path; /* canonical path */
	char *query;	     /* "k=v&k=v", percent-encoded; NULL: none needed */
	char *address;	     /* when the matter is what host may resolve to; else NULL */
};
void witness_done(struct witness *w);

/* q NULL: the connection is not looked into.  0, -ENOMEM, or -E2BIG when there is no such thing in
 * reality (a host label beyond 63 bytes, a target that is too long). */
int witness_make(const struct callers *c, const struct caller *who, const struct dest *d,
		 const struct request *q, struct witness *ret);
int witness_set_address(struct witness *w, const struct address *a);

/* "/usr/bin/curl (below /bin/bash) GET https://host:443/path", one line, malloced. */
char *witness_words(const struct witness *w);

enum outcome {
	OUT_NO_CONNECT, /* no block lets the connection through */
	OUT_NATIVE,	/* connected; the bytes are not looked at */
	OUT_RELAYED,	/* tls: skip */
	OUT_ALLOW,
	OUT_AUDIT, /* refused in audit mode: let through and logged */
	OUT_MISS,  /* inspected, and no rule allows it */
	OUT_DENY_RULE,
	OUT_TARGET, /* an encoded slash where none is kept */
};
static inline bool outcome_passes(enum outcome o)
{
	return o == OUT_NATIVE || o == OUT_RELAYED || o == OUT_ALLOW || o == OUT_AUDIT;
}

struct decided {
	enum outcome outcome;
	uint32_t block;	   /* ~0: none */
	uint32_t line;	   /* of the rule, or of the endpoint where no rule decided; 0: none */
	uint32_t endpoint; /* the first that counts; ~0: none */
	char rule[160];
};
/* What a connection comes to before any request; inspected ones are OUT_MISS. */
void decide_flow(const struct image *img, const struct connect_decision *c, struct decided *ret);
/* q NULL: as decide_flow(). */
void decide_request(const struct image *img, const struct connect_decision *c,
		    const struct request *q, struct decided *ret);
/* The same from the witness's texts alone.  -EINVAL: they do not say what they should. */
int witness_decide(const struct image *img, const struct witness *w, struct decided *ret);
/* Like image_address_allowed(), likewise. */
int witness_address_allowed(const struct image *img, const struct witness *w, bool *ret);
