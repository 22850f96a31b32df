/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - the proxy's event loop: epoll, level-triggered, one thread, and timers.
 *
 * Watches and timers are embedded in the caller's structures; the loop owns no memory of theirs.  A
 * callback may remove or free any watch, its own included (removal is remembered until the end of the turn).
 */
#pragma once

#include "policy/base.h"

#include <sys/epoll.h>

struct loop;
struct loop_watch;
struct loop_timer;
typedef void (*loop_io_fn)(struct loop_watch *w, uint32_t events);
typedef void (*loop_timer_fn)(struct loop_timer *t);

struct loop_watch {
	int fd; /* not owned; -1: not in the loop */
	uint32_t events;
	loop_io_fn fn;
	void *arg;
};

struct loop_timer {
	uint64_t due_ns; /* CLOCK_BOOTTIME; 0: not armed */
	size_t heap;	 /* loop's own */
	loop_timer_fn fn;
	void *arg;
};

int loop_new(struct loop **ret);
struct loop *loop_free(struct loop *l);
int loop_run(struct loop *l); /* until loop_stop() or an error */
void loop_stop(struct loop *l);
uint64_t loop_now(const struct loop *l); /* boot clock, ns, cached at the start of the turn */

int loop_add(struct loop *l, struct loop_watch *w, int fd, uint32_t events, loop_io_fn fn, void *arg);
int loop_mod(struct loop *l, struct loop_watch *w, uint32_t events);
void loop_del(struct loop *l, struct loop_watch *w); /* does not close */

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t in_ms, loop_timer_fn fn, void *arg);
void loop_timer_stop(struct loop *l, struct loop_timer *t);
