/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the record of decisions: one JSON object a line in segments under OSH_STATE_DIR/NAME/log/, shown as logfmt
 * or JSON by `osh-enforce logs`.
 *
 * When there are too many segments the oldest goes: its lines on what was allowed, which a program makes as it likes, are
 * removed; all others move to segment LOG_KEPT, which is read first and has a bound of its own.
 *
 * Written by the supervisor only.  Strings in a record may hold any bytes: they are made safe here, once, so that no
 * control byte and no invalid UTF-8 ever reaches a file or a terminal.
 */
#pragma once

#include "policy/base.h"

enum log_level { LOG_L_DEBUG, LOG_L_INFO, LOG_L_WARN, LOG_L_ERROR };

#define LOG_FIELDS_MAX 24
#define LOG_VALUE_MAX 8192u /* bytes of a string: 16 paths of 511 and their commas; what is beyond is cut off */
#define LOG_SEGMENT_MAX (16u << 20) /* bytes; then a new segment */
#define LOG_SEGMENTS_MAX 12	    /* the oldest goes, and its loss is stated in the next line */
#define LOG_KEPT 0		    /* the segment of what was kept of those */
#define LOG_KEPT_MAX (64u << 20)    /* bytes; then its older half goes */

struct log_field {
	const char *key; /* a literal: [a-z0-9_] */
	enum { LOG_F_STRING, LOG_F_UINT } type;
	struct slice s; /* any bytes, at most LOG_VALUE_MAX are kept */
	uint64_t u;
};

struct log_record {
	uint64_t time_ns; /* wall clock */
	enum log_level level;
	const char *kind; /* "connect", "request", "policy", "sandbox", ... */
	size_t n;
	struct log_field f[LOG_FIELDS_MAX];
};

void log_init(struct log_record *r, enum log_level level, const char *kind, uint64_t time_ns);
void log_str(struct log_record *r, const char *key, struct slice value); /* empty values are kept */
void log_uint(struct log_record *r, const char *key, uint64_t value);

struct log;
int log_open(const char *dir, const char *sandbox, struct log **ret); /* creates dir; continues the last segment,
	dropping a line cut short by a crash */
/* Layers that are missing by --allow-missing, for the first line of this and of each further segment; "": none. */
int log_set_missing(struct log *l, const char *layers);
struct log *log_close(struct log *l);
/* Buffers; log_flush() writes out in one write.  A record that could not be written (disk full) is counted and the
 * count is written as a line of kind "log" when writing works again. */
void log_write(struct log *l, const struct log_record *r);
int log_flush(struct log *l);
uint64_t log_lost(const struct log *l);

/* One stored line (JSON) to logfmt, newline excluded.  -EBADMSG: not a line of ours. */
int log_line_to_logfmt(struct slice json_line, char **ret);
