/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c - epoll and a binary heap of timers; see loop.h for the contract.
 *
 * Everything in the proxy runs from here, on one thread, so no callback may block.  A watch that is removed
 * while its turn's events are being handed out is struck from the batch: its owner may free it at once, and a
 * new watch at the same address never receives the old one's event.
 */
#include "proxy/loop.h"

#include <limits.h>
#include <time.h>

#define BATCH 128

struct loop {
	int epfd;
	bool stop;
	uint64_t now;
	struct epoll_event batch[BATCH]; /* of this turn */
	int nbatch, next;
	struct loop_timer **heap; /* smallest due first; heap[i]->heap == i */
	size_t ntimers, cap;
};

static uint64_t boot_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		int r = -errno;
		free(l);
		return r;
	}
	l->now = boot_ns();
	*ret = l;
	return 0;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	close(l->epfd);
	free(l->heap);
	free(l);
	return NULL;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

uint64_t loop_now(const struct loop *l)
{
	return l->now;
}

/* -------------------------------------------------------------------------------------- watches -- */

int loop_add(struct loop *l, struct loop_watch *w, int fd, uint32_t events, loop_io_fn fn, void *arg)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		w->fd = -1;
		return -errno;
	}
	*w = (struct loop_watch){.fd = fd, .events = events, .fn = fn, .arg = arg};
	return 0;
}

int loop_mod(struct loop *l, struct loop_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (w->fd < 0)
		return -EBADF;
	if (w->events == events)
		return 0;
	if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	return 0;
}

void loop_del(struct loop *l, struct loop_watch *w)
{
	if (w->fd < 0)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	for (int i = l->next; i < l->nbatch; i++)
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
}

/* --------------------------------------------------------------------------------------- timers -- */

static void heap_put(struct loop *l, size_t i, struct loop_timer *t)
{
	l->heap[i] = t;
	t->heap = i;
}

static void heap_up(struct loop *l, size_t i)
{
	struct loop_timer *t = l->heap[i];

	while (i > 0 && l->heap[(i - 1) / 2]->due_ns > t->due_ns) {
		heap_put(l, i, l->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i)
{
	struct loop_timer *t = l->heap[i];

	for (;;) {
		size_t c = 2 * i + 1;

		if (c >= l->ntimers)
			break;
		if (c + 1 < l->ntimers && l->heap[c + 1]->due_ns < l->heap[c]->due_ns)
			c++;
		if (l->heap[c]->due_ns >= t->due_ns)
			break;
		heap_put(l, i, l->heap[c]);
		i = c;
	}
	heap_put(l, i, t);
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
	size_t i = t->heap;
	struct loop_timer *last;

	if (!t->due_ns)
		return;
	t->due_ns = 0;
	last = l->heap[--l->ntimers];
	if (last == t)
		return;
	heap_put(l, i, last);
	heap_up(l, i);
	heap_down(l, last->heap);
}

static void heap_grow(struct loop *l)
{
	size_t cap = l->cap ? 2 * l->cap : 64;
	struct loop_timer **h = realloc(l->heap, cap * sizeof(*h));

	if (!h)
		abort(); /* a lost time-out would hang a flow for ever; the supervisor restarts us */
	l->heap = h;
	l->cap = cap;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t in_ms, loop_timer_fn fn, void *arg)
{
	loop_timer_stop(l, t);
	if (l->ntimers == l->cap)
		heap_grow(l);
	/* + 1: a timer for "now" set by a callback runs in the next turn, and never starves I/O. */
	t->due_ns = l->now + in_ms * 1000000u + 1;
	t->fn = fn;
	t->arg = arg;
	heap_put(l, l->ntimers++, t);
	heap_up(l, t->heap);
}

static void run_timers(struct loop *l)
{
	while (!l->stop && l->ntimers && l->heap[0]->due_ns <= l->now) {
		struct loop_timer *t = l->heap[0];

		loop_timer_stop(l, t);
		t->fn(t);
	}
}

static int wait_ms(const struct loop *l)
{
	uint64_t now = boot_ns(), ms;

	if (!l->ntimers)
		return -1;
	if (l->heap[0]->due_ns <= now)
		return 0;
	ms = (l->heap[0]->due_ns - now + 999999u) / 1000000u;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int loop_run(struct loop *l)
{
	l->stop = false;
	l->now = boot_ns();
	while (!l->stop) {
		int n = epoll_wait(l->epfd, l->batch, BATCH, wait_ms(l));

		if (n < 0 && errno != EINTR)
			return -errno;
		l->now = boot_ns();
		l->nbatch = n < 0 ? 0 : n;
		for (l->next = 0; l->next < l->nbatch && !l->stop;) {
			struct epoll_event *e = &l->batch[l->next++];
			struct loop_watch *w = e->data.ptr;

			if (w)
				w->fn(w, e->events);
		}
		l->nbatch = l->next = 0;
		run_timers(l);
	}
	return 0;
}
