/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h - from names to real addresses: the host's static names, a cache, then the upstream
 * servers (c-ares).
 *
 * Who may ask for what is not decided here: callers do that first.  Look-ups of one name that are
 * under way at the same time share one pair of upstream queries (A and AAAA).
 */
#pragma once

#include "proxy/hosts.h"
#include "proxy/loop.h"
#include "proxy/resolved.h"
#include "proxy/wire.h"

#define LOOKUP_TIMEOUT_MS 5000
#define LOOKUP_JOBS_MAX 256	/* upstream look-ups under way; more: -EAGAIN */
#define LOOKUP_CACHE_MAX 2048	/* names remembered */
#define LOOKUP_TTL_MIN 30	/* seconds; bounds of what upstream says */
#define LOOKUP_TTL_MAX 3600
#define LOOKUP_TTL_NEGATIVE 30	/* no such name, no address */
#define LOOKUP_TTL_FAILED 2	/* SERVFAIL, time-out: not hammered */

struct lookup;
struct lookup_wait;

/* Opens no file after this returns; sockets only. nameservers of hello are copied; hosts is
 * taken on success. */
int lookup_new(struct loop *loop, const struct wire_hello *hello, struct hosts *hosts,
	       struct lookup **ret);
/* Takes NULL, returns NULL.  Waits still there are dropped, their cb is not called. */
struct lookup *lookup_free(struct lookup *l);

/* error: 0 (res->n > 0), -ENOENT (no such name), -ENODATA (it has no address), -EAGAIN (SERVFAIL
 * and the like), -ETIMEDOUT. */
typedef void (*lookup_fn)(void *arg, int error, const struct resolved *res);

/* What is known without asking: true and *ret_error, ret as for lookup_fn.  name is folded. */
bool lookup_known(struct lookup *l, struct slice name, int *ret_error, struct resolved *ret);

/* Calls cb exactly once, never before this returns.  name is folded. */
int lookup_start(struct lookup *l, struct slice name, lookup_fn cb, void *arg,
		 struct lookup_wait **ret);
void lookup_cancel(struct lookup_wait *w); /* takes NULL; cb is not called */
