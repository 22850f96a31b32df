/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - a byte queue: written at the tail, taken from the head, given back to the allocator when empty.
 *
 * An idle flow owns no buffer.  The limit is the caller's business: it asks for room only while it is below
 * its own bound, so that a slow reader slows the writer down and memory stays flat.
 */
#pragma once

#include "policy/base.h"

#define BUF_CHUNK (64u << 10) /* what a streaming direction holds at most */

struct buf {
	uint8_t *p;
	size_t cap, r, w; /* content is p[r..w) */
};

static inline size_t buf_len(const struct buf *b)
{
	return b->w - b->r;
}

static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){b->p ? b->p + b->r : NULL, b->w - b->r};
}

static inline void buf_done(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

/* Drops n bytes from the head.  An empty buffer keeps its memory: see buf_release(). */
static inline void buf_take(struct buf *b, size_t n)
{
	b->r += n;
	if (b->r == b->w)
		b->r = b->w = 0;
}

static inline void buf_release(struct buf *b)
{
	if (b->p && b->r == b->w)
		buf_done(b);
}

/* Makes room for at least n bytes at the tail and returns where they go; NULL: no memory. */
static inline uint8_t *buf_room(struct buf *b, size_t n)
{
	size_t len = buf_len(b), cap = b->cap ? b->cap : BUF_CHUNK;
	uint8_t *p;

	if (b->p && b->cap - b->w >= n)
		return b->p + b->w;
	if (b->p && b->r)
		memmove(b->p, b->p + b->r, len);
	b->r = 0;
	b->w = len;
	while (cap - len < n)
		cap *= 2;
	if (b->p && cap == b->cap)
		return b->p + b->w;
	p = realloc(b->p, cap);
	if (!p)
		return NULL;
	b->p = p;
	b->cap = cap;
	return p + len;
}

static inline int buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *to = buf_room(b, n);

	if (!to)
		return -ENOMEM;
	if (n)
		memcpy(to, p, n);
	b->w += n;
	return 0;
}

static inline int buf_puts(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

static inline int buf_put_slice(struct buf *b, struct slice s)
{
	return buf_put(b, s.p, s.n);
}
