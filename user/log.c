/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - the writing side of the log, and a stored line as logfmt.
 *
 * A record becomes its line in memory at once; log_flush() hands all lines to the kernel in one
 * write.  What could not be written stays in memory, up to BUF_MAX; beyond that records are dropped
 * and counted, and the count becomes a line as soon as lines can be written again.  A segment is
 * never rewritten: a line that only half went out is continued by the next write, and if there is
 * none (crash), log_open() cuts it off.
 *
 * Never logs anything itself, never blocks on anything but the file.
 */
#include "user/log.h"

#include "user/logview.h"
#include "user/safetext.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <time.h>

#define VALUE_MAX LOG_VALUE_MAX
#define FLUSH_AT (64u << 10) /* log_write() flushes by itself from here on */
#define BUF_MAX (2u << 20)   /* more than the longest line, LOG_FIELDS_MAX * VALUE_MAX * 5 */
#define NS_PER_S 1000000000ull
#define LOST_KINDS_MAX 12 /* more than there are */
#define KEPT_TMP "kept.tmp"

_Static_assert(LOG_FIELDS_MAX * (VALUE_MAX * 5 + 64) + 1024 < LOG_LINE_MAX,
	       "the longest line is readable");

/* ---------------------------------------------------------------------------------- records -- */

void log_init(struct log_record *r, enum log_level level, const char *kind, uint64_t time_ns)
{
	r->time_ns = time_ns;
	r->level = level;
	r->kind = kind;
	r->n = 0;
}

static struct log_field *field_add(struct log_record *r, const char *key)
{
	struct log_field *f;

	if (r->n >= LOG_FIELDS_MAX)
		return NULL;
	f = &r->f[r->n++];
	f->key = key;
	return f;
}

void log_str(struct log_record *r, const char *key, struct slice value)
{
	struct log_field *f = field_add(r, key);

	if (!f)
		return;
	f->type = LOG_F_STRING;
	f->s = value;
}

void log_uint(struct log_record *r, const char *key, uint64_t value)
{
	struct log_field *f = field_add(r, key);

	if (!f)
		return;
	f->type = LOG_F_UINT;
	f->u = value;
}

/* ----------------------------------------------------------------------------- growing text -- */

struct text {
	char *p;
	size_t n, cap;
	bool failed; /* out of memory: contents are incomplete */
};

static bool text_reserve(struct text *t, size_t more)
{
	size_t cap = t->cap ? t->cap : 4096;
	char *p;

	if (t->failed)
		return false;
	if (t->cap - t->n >= more)
		return true;
	while (cap - t->n < more)
		cap *= 2;
	p = realloc(t->p, cap);
	if (!p) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

static void text_add(struct text *t, const void *p, size_t n)
{
	if (n == 0 || !text_reserve(t, n))
		return;
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

#define text_lit(t, s) text_add(t, s, sizeof(s) - 1)

static void text_str(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

static void text_uint(struct text *t, uint64_t v)
{
	char d[20];
	size_t i = sizeof(d);

	do {
		d[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	text_add(t, d + i, sizeof(d) - i);
}

static void text_hex(struct text *t, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	char d[2] = {hex[byte >> 4], hex[byte & 15]};

	text_add(t, d, 2);
}

/* --------------------------------------------------------------------------- record to JSON -- */

/* Bytes that stand for themselves in safe text and in a JSON string alike. */
static bool plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Not in the middle of a character. */
static struct slice cut(struct slice s, size_t max)
{
	size_t n = max;

	if (s.n <= max)
		return s;
	while (n > max - 4 && (s.p[n] & 0xc0) == 0x80)
		n--;
	return (struct slice){s.p, n};
}

static void put_string(struct text *t, struct slice s)
{
	s = cut(s, VALUE_MAX);
	text_lit(t, "\"");
	while (s.n) {
		size_t k = 0;

		while (k < s.n && plain(s.p[k]))
			k++;
		text_add(t, s.p, k);
		if (k == 0) {
			k = safetext_char(s);
			if (k == 0) {
				k = 1;
				text_lit(t, "\\\\x");
				text_hex(t, s.p[0]);
			} else {
				if (s.p[0] == '"' || s.p[0] == '\\')
					text_lit(t, "\\");
				text_add(t, s.p, k);
			}
		}
		s.p += k;
		s.n -= k;
	}
	text_lit(t, "\"");
}

/* Numbers that many JSON readers cannot hold go out as strings (RFC 8259, section 6). */
static void put_uint(struct text *t, uint64_t v)
{
	if (v > INT64_MAX)
		text_lit(t, "\"");
	text_uint(t, v);
	if (v > INT64_MAX)
		text_lit(t, "\"");
}

static void put_int(struct text *t, int64_t v)
{
	if (v < 0)
		text_lit(t, "-");
	text_uint(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* The last second that was written as text: most records share it with the one before. */
struct second {
	uint64_t s;
	char text[32]; /* "2030-01-31T12:00:00." */
	size_t n;
};

static void put_time(struct text *t, struct second *last, uint64_t ns)
{
	uint64_t s = ns / NS_PER_S;
	uint32_t us = (uint32_t)(ns % NS_PER_S / 1000);
	char frac[7];

	if (last->n == 0 || last->s != s) {
		time_t tt = (time_t)s;
		struct tm tm;

		if (!gmtime_r(&tt, &tm))
			memset(&tm, 0, sizeof(tm));
		last->n = strftime(last->text, sizeof(last->text), "%Y-%m-%dT%H:%M:%S.", &tm);
		last->s = s;
	}
	text_add(t, last->text, last->n);
	for (int i = 5; i >= 0; i--, us /= 10)
		frac[i] = (char)('0' + us % 10);
	frac[6] = 'Z';
	text_add(t, frac, sizeof(frac));
}

static void put_record(struct text *t, struct second *last, const char *sandbox,
		       const struct log_record *r)
{
	text_lit(t, "{\"time\":\"");
	put_time(t, last, r->time_ns);
	text_lit(t, "\",\"level\":\"");
	text_str(t, log_level_name(r->level));
	text_lit(t, "\",\"sandbox\":");
	put_string(t, slice_str(sandbox));
	text_lit(t, ",\"kind\":");
	put_string(t, slice_str(r->kind));
	for (size_t i = 0; i < r->n; i++) {
		const struct log_field *f = &r->f[i];

		text_lit(t, ",\"");
		text_str(t, f->key);
		text_lit(t, "\":");
		if (f->type == LOG_F_STRING)
			put_string(t, f->s);
		else
			put_uint(t, f->u);
	}
	text_lit(t, "}\n");
}

/* --------------------------------------------------------------------------------- segments -- */

struct log {
	int dirfd, fd;
	uint32_t seg;  /* number of the open segment */
	uint64_t size; /* bytes in it */
	char *sandbox;
	char *missing; /* layers; NULL: none */
	struct text buf;  /* lines not yet written; starts inside a line when midline */
	struct text line; /* scratch */
	struct second second;
	bool midline; /* the segment ends inside a line, which buf continues */
	bool failing; /* the last write failed: log_write() leaves it to log_flush() to try again */
	uint64_t lost;	    /* records dropped, ever */
	uint64_t lost_told; /* of them stated in a line */
	/* Of those not stated: when the first and the last were dropped, and how many of each kind. */
	uint64_t lost_since, lost_until;
	struct {
		const char *kind; /* a literal */
		uint64_t n;
	} lost_kinds[LOST_KINDS_MAX];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* kind: NULL: not known. */
static void count_lost(struct log *l, const char *kind)
{
	l->lost_until = now_ns();
	if (l->lost++ == l->lost_told)
		l->lost_since = l->lost_until;
	for (size_t i = 0; kind && i < LOST_KINDS_MAX; i++) {
		if (l->lost_kinds[i].kind && strcmp(l->lost_kinds[i].kind, kind) != 0)
			continue;
		l->lost_kinds[i].kind = kind;
		l->lost_kinds[i].n++;
		break;
	}
}

static int segment_open(int dirfd, uint32_t seg, int *ret_fd, uint64_t *ret_size)
{
	_cleanup_close_ int fd = -1;
	char name[LOG_SEGMENT_NAME_MAX];
	struct stat st;

	snprintf(name, sizeof(name), LOG_SEGMENT_FMT, seg);
	fd = openat(dirfd, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		    0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	*ret_size = (uint64_t)st.st_size;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Cuts off what follows the last newline.  *ret_cut: there was something. */
static int segment_cut(int fd, uint64_t *size, bool *ret_cut)
{
	uint64_t end = *size;
	char b[4096];

	while (end > 0) {
		size_t k = end < sizeof(b) ? (size_t)end : sizeof(b);
		ssize_t n = pread(fd, b, k, (off_t)(end - k));
		const char *nl;

		if (n < 0)
			return -errno;
		if ((size_t)n != k)
			return -EIO;
		nl = memrchr(b, '\n', k);
		if (nl) {
			end = end - k + (size_t)(nl - b) + 1;
			break;
		}
		end -= k;
	}
	*ret_cut = end != *size;
	if (*ret_cut && ftruncate(fd, (off_t)end) < 0)
		return -errno;
	*size = end;
	return 0;
}

static int make_dirs(const char *dir)
{
	_cleanup_free_ char *path = strdup(dir);

	if (!path)
		return -ENOMEM;
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Opens the last segment, or the first one of a new log. */
static int continue_last(struct log *l)
{
	_cleanup_free_ uint32_t *segs = NULL;
	bool was_cut = false;
	size_t n;
	int r;

	r = log_segments(l->dirfd, &segs, &n);
	if (r < 0)
		return r;
	l->seg = n && segs[n - 1] != LOG_KEPT ? segs[n - 1] : 1;
	r = segment_open(l->dirfd, l->seg, &l->fd, &l->size);
	if (r < 0)
		return r;
	r = segment_cut(l->fd, &l->size, &was_cut);
	if (r == 0 && was_cut)
		count_lost(l, NULL); /* the line that a crash cut short */
	return r;
}

int log_open(const char *dir, const char *sandbox, struct log **ret)
{
	struct log *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	if (!l)
		return r;
	l->dirfd = l->fd = -1;
	l->sandbox = strdup(sandbox);
	if (!l->sandbox)
		goto fail;
	r = make_dirs(dir);
	if (r < 0)
		goto fail;
	l->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (l->dirfd < 0) {
		r = -errno;
		goto fail;
	}
	r = continue_last(l);
	if (r < 0)
		goto fail;
	*ret = l;
	return 0;
fail:
	log_close(l);
	return r;
}

struct log *log_close(struct log *l)
{
	if (!l)
		return NULL;
	if (l->fd >= 0) {
		log_flush(l);
		close(l->fd);
	}
	if (l->dirfd >= 0)
		close(l->dirfd);
	free(l->sandbox);
	free(l->missing);
	free(l->buf.p);
	free(l->line.p);
	free(l);
	return NULL;
}

uint64_t log_lost(const struct log *l)
{
	return l->lost;
}

/* ---------------------------------------------------------------------------------- writing -- */

/* Puts one of the log's own lines before (front) or behind what waits in buf. */
static bool own_line(struct log *l, const struct log_record *r, bool front)
{
	l->line.n = 0;
	put_record(&l->line, &l->second, l->sandbox, r);
	if (l->line.failed || !text_reserve(&l->buf, l->line.n)) {
		l->line.failed = l->buf.failed = false;
		return false;
	}
	if (front)
		memmove(l->buf.p + l->line.n, l->buf.p, l->buf.n);
	memcpy(l->buf.p + (front ? 0 : l->buf.n), l->line.p, l->line.n);
	l->buf.n += l->line.n;
	return true;
}

static void add_time(struct log_record *r, const char *key, uint64_t ns, struct text *t)
{
	struct second second = {0};

	put_time(t, &second, ns);
	if (!t->failed)
		log_str(r, key, (struct slice){(const uint8_t *)t->p, t->n});
}

static void tell_lost(struct log *l)
{
	struct text since = {0}, until = {0};
	struct log_record r;

	log_init(&r, LOG_L_WARN, "log", now_ns());
	log_str(&r, "message", SLICE_LIT("records could not be written and are lost"));
	log_uint(&r, "count", l->lost - l->lost_told);
	for (size_t i = 0; i < LOST_KINDS_MAX && l->lost_kinds[i].kind; i++)
		log_uint(&r, l->lost_kinds[i].kind, l->lost_kinds[i].n);
	add_time(&r, "since", l->lost_since, &since);
	add_time(&r, "until", l->lost_until, &until);
	if (own_line(l, &r, false)) {
		l->lost_told = l->lost;
		memset(l->lost_kinds, 0, sizeof(l->lost_kinds));
	}
	free(since.p);
	free(until.p);
}

static void tell_removed(struct log *l, struct slice message, const char *segment, uint64_t bytes)
{
	struct log_record r;

	log_init(&r, LOG_L_WARN, "log", now_ns());
	log_str(&r, "message", message);
	log_str(&r, "segment", slice_str(segment));
	log_uint(&r, "bytes", bytes);
	own_line(l, &r, true);
}

/* Is it of what a program was allowed, and can so make as it likes?  What stands before "kind" holds no quotation mark. */
static bool of_allowed(struct slice line)
{
	static const char *const kinds[] = {
		"\"kind\":\"connect\",\"action\":\"allow\"",
		"\"kind\":\"request\",\"l7_decision\":\"allow\"",
		"\"kind\":\"request\",\"l7_decision\":\"audit\"",
		"\"kind\":\"request\",\"l7_decision\":\"error\"",
	};
	const uint8_t *kind = memmem(line.p, line.n, "\"kind\":", 7);

	for (size_t i = 0; kind && i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i]);

		if ((size_t)(line.p + line.n - kind) >= n && memcmp(kind, kinds[i], n) == 0)
			return true;
	}
	return false;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

/* Moves the whole lines of b that are to be kept to its beginning.  Returns their bytes; *ret_rest: where what is left,
 * without a newline, begins. */
static size_t pick_kept(char *b, size_t n, bool *skipping, size_t *ret_rest)
{
	size_t kept = 0, at = 0;
	const char *nl;

	while ((nl = memchr(b + at, '\n', n - at))) {
		size_t len = (size_t)(nl + 1 - (b + at));

		if (!*skipping && !of_allowed((struct slice){(uint8_t *)b + at, len})) {
			memmove(b + kept, b + at, len);
			kept += len;
		}
		*skipping = false;
		at += len;
	}
	*ret_rest = at;
	return kept;
}

/* Copies from fd what is to be kept to LOG_KEPT, which is made when there is something. */
static int copy_kept(struct log *l, int fd, int *to, uint64_t *size, uint64_t *ret_kept)
{
	const size_t cap = 2 * LOG_LINE_MAX;
	_cleanup_free_ char *b = malloc(cap);
	bool skipping = false; /* inside a line that is none of ours */
	size_t n = 0;

	if (!b)
		return -ENOMEM;
	for (;;) {
		ssize_t k = read(fd, b + n, cap - n);
		size_t kept, rest;
		int r = 0;

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : 0;
		n += (size_t)k;
		kept = pick_kept(b, n, &skipping, &rest);
		if (kept && *to < 0)
			r = segment_open(l->dirfd, LOG_KEPT, to, size);
		if (kept && r == 0)
			r = write_all(*to, b, kept);
		if (r < 0)
			return r;
		*ret_kept += kept;
		n -= rest;
		memmove(b, b + rest, n);
		if (n == cap) {
			skipping = true;
			n = 0;
		}
	}
}

/* 0: all that is to be kept of the segment is in LOG_KEPT; else nothing of it is. */
static int keep(struct log *l, const char *name, uint64_t *ret_kept)
{
	_cleanup_close_ int from = openat(l->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), to = -1;
	uint64_t size = 0;
	int r;

	*ret_kept = 0;
	if (from < 0)
		return -errno;
	r = copy_kept(l, from, &to, &size, ret_kept);
	if (r < 0) {
		*ret_kept = 0;
		if (to >= 0 && ftruncate(to, (off_t)size) < 0)
			return -errno;
	}
	return r;
}

/* Whole lines of fd from off on, or from the next line there, to a new file. */
static int copy_tail(int fd, uint64_t off, int to, uint64_t *ret_copied)
{
	const size_t cap = 1 << 20;
	_cleanup_free_ char *b = malloc(cap);
	bool started = false;

	*ret_copied = 0;
	if (!b)
		return -ENOMEM;
	for (;;) {
		ssize_t k = pread(fd, b, cap, (off_t)off);
		const char *p = b;
		int r;

		if (k <= 0)
			return k < 0 ? -errno : 0;
		off += (uint64_t)k;
		if (!started) {
			p = memchr(b, '\n', (size_t)k);
			if (!p)
				continue;
			p++;
			started = true;
		}
		r = write_all(to, p, (size_t)(b + k - p));
		if (r < 0)
			return r;
		*ret_copied += (uint64_t)(b + k - p);
	}
}

/* Removes the older half of LOG_KEPT when it has become too large. */
static void bound_kept(struct log *l)
{
	_cleanup_close_ int fd = -1, to = -1;
	char name[LOG_SEGMENT_NAME_MAX];
	uint64_t copied = 0;
	struct stat st;
	int r = 0;

	snprintf(name, sizeof(name), LOG_SEGMENT_FMT, LOG_KEPT);
	fd = openat(l->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= LOG_KEPT_MAX)
		return;
	unlinkat(l->dirfd, KEPT_TMP, 0);
	to = openat(l->dirfd, KEPT_TMP, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = to < 0 ? -errno : copy_tail(fd, (uint64_t)st.st_size / 2, to, &copied);
	if (r == 0 && renameat(l->dirfd, KEPT_TMP, l->dirfd, name) == 0) {
		tell_removed(l, SLICE_LIT("the oldest records were removed to make room"), name,
			     (uint64_t)st.st_size - copied);
		return;
	}
	unlinkat(l->dirfd, KEPT_TMP, 0);
	/* The disk is full: that is no reason to remove anything. */
	if (st.st_size > 2 * (off_t)LOG_KEPT_MAX && unlinkat(l->dirfd, name, 0) == 0)
		tell_removed(l, SLICE_LIT("the oldest records were removed to make room"), name, (uint64_t)st.st_size);
}

/* Removes the oldest segments beyond LOG_SEGMENTS_MAX and says so in the next line. */
static void drop_oldest(struct log *l)
{
	_cleanup_free_ uint32_t *segs = NULL;
	size_t n, first, excess;

	if (log_segments(l->dirfd, &segs, &n) < 0)
		return;
	first = n && segs[0] == LOG_KEPT;
	excess = n - first > LOG_SEGMENTS_MAX ? n - first - LOG_SEGMENTS_MAX : 0;
	for (size_t i = first; i < first + excess; i++) {
		char name[LOG_SEGMENT_NAME_MAX];
		struct stat st = {0};
		uint64_t kept;
		int r;

		snprintf(name, sizeof(name), LOG_SEGMENT_FMT, segs[i]);
		r = keep(l, name, &kept);
		/* The disk is full, perhaps by the program that fills the log: it waits for the next time. */
		if (r < 0 && excess <= LOG_SEGMENTS_MAX)
			break;
		if (fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    unlinkat(l->dirfd, name, 0) < 0)
			continue;
		tell_removed(l,
			     r < 0 ? SLICE_LIT("the oldest records were removed to make room")
				   : SLICE_LIT("the oldest records of what was allowed were removed to make room"),
			     name, (uint64_t)st.st_size - kept);
	}
	if (excess)
		bound_kept(l);
}

static void tell_missing(struct log *l, bool front)
{
	struct log_record r;

	if (!l->missing)
		return;
	log_init(&r, LOG_L_WARN, "sandbox", now_ns());
	log_str(&r, "message", SLICE_LIT("layers are missing, as --allow-missing permits"));
	log_str(&r, "missing", slice_str(l->missing));
	own_line(l, &r, front);
}

int log_set_missing(struct log *l, const char *layers)
{
	char *copy = *layers ? strdup(layers) : NULL;

	if (*layers && !copy)
		return -ENOMEM;
	free(l->missing);
	l->missing = copy;
	tell_missing(l, l->size == 0 && !l->midline);
	return 0;
}

static int rotate(struct log *l)
{
	uint64_t size;
	int fd, r;

	r = segment_open(l->dirfd, l->seg + 1, &fd, &size);
	if (r < 0)
		return r;
	close(l->fd);
	l->fd = fd;
	l->size = size;
	l->seg++;
	drop_oldest(l);
	tell_missing(l, true);
	return 0;
}

/* Writes out buf, as far as it goes. */
static int write_out(struct log *l)
{
	size_t done = 0;
	int r = 0;

	while (done < l->buf.n) {
		ssize_t n = write(l->fd, l->buf.p + done, l->buf.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = n < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)n;
	}
	if (done > 0) {
		l->midline = l->buf.p[done - 1] != '\n';
		l->size += done;
		l->buf.n -= done;
		memmove(l->buf.p, l->buf.p + done, l->buf.n);
	}
	return r;
}

static int flush_once(struct log *l)
{
	if (!l->midline && l->size > 0 && l->size + l->buf.n > LOG_SEGMENT_MAX) {
		int r = rotate(l);

		if (r < 0)
			return r;
	}
	return write_out(l);
}

int log_flush(struct log *l)
{
	int r = 0;

	if (l->buf.n > 0)
		r = flush_once(l);
	if (r == 0 && l->lost > l->lost_told) {
		tell_lost(l);
		r = flush_once(l);
	}
	l->failing = r < 0;
	return r;
}

void log_write(struct log *l, const struct log_record *r)
{
	l->line.n = 0;
	put_record(&l->line, &l->second, l->sandbox, r);
	if (l->line.failed || l->buf.n + l->line.n > BUF_MAX || !text_reserve(&l->buf, l->line.n)) {
		l->line.failed = l->buf.failed = false;
		count_lost(l, r->kind);
		return;
	}
	text_add(&l->buf, l->line.p, l->line.n);
	if (l->buf.n >= FLUSH_AT && !l->failing)
		log_flush(l);
}

/* --------------------------------------------------------------------------- line to logfmt -- */

static bool bare(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_./:@%+,=~*-", c));
}

static bool all_bare(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!bare(s.p[i]))
			return false;
	return s.n > 0;
}

/* Takes the escapes of safe text back, in place. */
static struct slice original_bytes(char *p, size_t n)
{
	size_t o = 0;

	for (size_t i = 0; i < n;) {
		uint8_t byte;
		size_t k = safetext_unescape((struct slice){(uint8_t *)p + i, n - i}, &byte);

		p[o++] = k ? (char)byte : p[i];
		i += k ? k : 1;
	}
	return (struct slice){(uint8_t *)p, o};
}

static void logfmt_quoted(struct text *t, struct slice s)
{
	text_lit(t, "\"");
	while (s.n) {
		size_t k = 1;

		if (s.p[0] == '"' || s.p[0] == '\\') {
			text_lit(t, "\\");
			text_add(t, s.p, 1);
		} else if (s.p[0] == '\n') {
			text_lit(t, "\\n");
		} else if ((k = safetext_char(s)) > 0) {
			text_add(t, s.p, k);
		} else {
			k = 1;
			text_lit(t, "\\x");
			text_hex(t, s.p[0]);
		}
		s.p += k;
		s.n -= k;
	}
	text_lit(t, "\"");
}

static int logfmt_string(struct text *t, const json_t *v)
{
	size_t n = json_string_length(v);
	_cleanup_free_ char *copy = malloc(n + 1);
	struct slice s;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, json_string_value(v), n);
	s = original_bytes(copy, n);
	if (all_bare(s))
		text_add(t, s.p, s.n);
	else
		logfmt_quoted(t, s);
	return 0;
}

static int logfmt_value(struct text *t, const json_t *v)
{
	if (json_is_string(v))
		return logfmt_string(t, v);
	if (json_is_boolean(v))
		text_str(t, json_is_true(v) ? "true" : "false");
	else if (json_is_integer(v))
		put_int(t, json_integer_value(v));
	else
		return -EBADMSG;
	return 0;
}

static bool key_valid(const char *key)
{
	return *key && key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int logfmt_object(struct text *t, json_t *o)
{
	const char *key;
	json_t *v;
	int r;

	json_object_foreach(o, key, v)
	{ /* in the order of the text */
		if (!key_valid(key))
			return -EBADMSG;
		if (t->n)
			text_lit(t, " ");
		text_str(t, key);
		text_lit(t, "=");
		r = logfmt_value(t, v);
		if (r < 0)
			return r;
	}
	text_add(t, "", 1);
	return t->failed ? -ENOMEM : 0;
}

int log_line_to_logfmt(struct slice json_line, char **ret)
{
	enum log_level level;
	struct text t = {0};
	uint64_t time_ns;
	json_t *o;
	int r;

	r = log_line_head(json_line, &time_ns, &level);
	if (r < 0)
		return r;
	o = json_loadb((const char *)json_line.p, json_line.n, 0, NULL);
	if (!o)
		return -EBADMSG;
	r = logfmt_object(&t, o);
	json_decref(o);
	if (r < 0) {
		free(t.p);
		return r;
	}
	*ret = t.p;
	return 0;
}
