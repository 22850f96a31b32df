/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logview.h - the reading side of the log: segments in order, lines chosen by time and level,
 * colour.
 *
 * A log is a directory of segments named LOG_SEGMENT_FMT, numbered upwards without a gap but where
 * the oldest were removed; LOG_KEPT holds the lines that were kept of those.  A line is one JSON object that starts with time and level (user/log.h),
 * so both can be read without parsing the rest.  Lines are nearly, not strictly, in order of time:
 * events come from several sources.
 */
#pragma once

#include "user/log.h"

#define LOG_SEGMENT_FMT "%08u.jsonl"
#define LOG_SEGMENT_NAME_MAX 24
#define LOG_LINE_MAX (1u << 20)	       /* longer lines are passed over */
#define LOG_DISORDER_NS 10000000000ull /* a line is at most this much older than one before it */

/* Numbers of the segments in the directory, ascending.  Caller frees *ret (NULL when there are
 * none). */
int log_segments(int dirfd, uint32_t **ret, size_t *ret_n);

/* Time and level of a stored line.  -EBADMSG: not a line of ours. */
int log_line_head(struct slice line, uint64_t *ret_time_ns, enum log_level *ret_level);

const char *log_level_name(enum log_level level);
int log_level_parse(const char *text, enum log_level *ret); /* -EINVAL */

/* "90s", "5m", "1h30m", "1d"; 500ms; -EINVAL, -ERANGE. */
int duration_parse(const char *text, uint64_t *ret_ns);
/* RFC 3339: "2030-01-31T12:00:00Z", with a fraction, with an offset.  Since 1970.  -EINVAL,
 * -ERANGE. */
int rfc3339_parse(const char *text, uint64_t *ret_ns);
/* What --since takes: a duration before now_ns, or a time. */
int since_parse(const char *text, uint64_t now_ns, uint64_t *ret_ns);

struct logview;

/* Opens the log below dir.  Lines older than since_ns or below level are passed over.  -ENOENT:
 * there is no log. */
int logview_open(const char *dir, uint64_t since_ns, enum log_level level, struct logview **ret);
struct logview *logview_close(struct logview *v);
static inline void logview_closep(struct logview **v)
{
	logview_close(*v);
}

/* The next line, without its newline, valid until the next call.  1: a line; 0: no more for now,
 * call again when something was written; negative: errno.  Goes on into new segments by itself. */
int logview_next(struct logview *v, struct slice *ret);
/* Lines so far that were not lines of ours. */
uint64_t logview_bad_lines(const struct logview *v);
/* The directory was removed (or replaced): nothing more will come. */
bool logview_gone(const struct logview *v);

/* A logfmt line as made by log_line_to_logfmt() with the terminal's colours for level and decision.
 */
int logview_colour(const char *logfmt, char **ret);
