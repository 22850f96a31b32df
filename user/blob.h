/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob.h - flat messages inside a memfd: numbers and strings, one after the other.
 *
 * For what one process of ours hands to another (the plan of the walls, a request to run a
 * command).  The reader checks every length against what is left: it may be handed anything.
 * Numbers are little-endian 32 bits; a string is its length and its bytes, without NUL; an absent
 * string has the length BLOB_NULL.
 */
#pragma once

#include "policy/base.h"

#define BLOB_NULL 0xffffffffu

/* The first failure sticks: write or read everything, then look at `err` once. */
struct blob_writer {
	uint8_t *p;
	size_t n, cap;
	int err; /* 0 or negative errno */
};

struct blob_reader {
	struct slice rest;
	int err; /* 0 or -EBADMSG, -ENOMEM */
};

void blob_put_u32(struct blob_writer *w, uint32_t v);
void blob_put_bytes(struct blob_writer *w, struct slice bytes); /* as they are */
void blob_put_str(struct blob_writer *w, const char *s);	/* s may be NULL */
void blob_put_strv(struct blob_writer *w, char *const *v);
void blob_writer_done(struct blob_writer *w);

uint32_t blob_get_u32(struct blob_reader *r);
/* A number that counts things of which each takes at least min_bytes of what is left. */
uint32_t blob_get_count(struct blob_reader *r, uint32_t max, size_t min_bytes);
/* malloced, at most max bytes, no NUL inside; NULL for an absent string (an error unless
 * `optional`). */
char *blob_get_str(struct blob_reader *r, size_t max, bool optional);
char **blob_get_strv(struct blob_reader *r, uint32_t max_strings, size_t max_string);
/* Everything must have been read.  Returns the sticky error. */
int blob_get_end(struct blob_reader *r);

/* A sealed memfd with these bytes: nobody changes it any more. */
int memfd_of(const char *name, struct slice bytes, int *ret_fd);
/* All bytes of a file; -EFBIG above max.  *ret is malloced, with a NUL behind that is not counted.
 */
int read_whole_fd(int fd, size_t max, char **ret, size_t *ret_n);
int read_whole_file(const char *path, size_t max, char **ret, size_t *ret_n);
