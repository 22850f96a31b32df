/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logview.c - the reading side of the log.
 *
 * Reads while the supervisor writes: a line without its newline is not there yet, a segment that is
 * no longer the last is read to its end before the next one is opened, and removed segments are
 * just gone.  Old lines are passed over by a binary search in the first segment that can hold a
 * line of interest.
 *
 * What is in the files is not trusted more than needed: lengths are bounded, lines that are not
 * ours are counted.
 */
#include "user/logview.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define CHUNK (256u << 10)

/* ----------------------------------------------------------------------------------- levels -- */

static const char *const level_names[] = {[LOG_L_DEBUG] = "debug",
					  [LOG_L_INFO] = "info",
					  [LOG_L_WARN] = "warn",
					  [LOG_L_ERROR] = "error"};

const char *log_level_name(enum log_level level)
{
	return (size_t)level < ARRAY_LEN(level_names) ? level_names[level] : "error";
}

static int level_parse(struct slice s, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (slice_eq_str(s, level_names[i])) {
			*ret = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

int log_level_parse(const char *text, enum log_level *ret)
{
	return level_parse(slice_str(text), ret);
}

/* ------------------------------------------------------------------------------------ times -- */

static uint64_t unit_ns(const char *p, size_t n)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ms", 1000000},	     {"s", NS_PER_S},	      {"m", 60 * NS_PER_S},
		     {"h", 3600 * NS_PER_S}, {"d", 86400 * NS_PER_S}, {"w", 604800 * NS_PER_S}};

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (slice_eq_str((struct slice){(const uint8_t *)p, n}, units[i].name))
			return units[i].ns;
	return 0;
}

int duration_parse(const char *text, uint64_t *ret_ns)
{
	uint64_t sum = 0;

	if (!*text)
		return -EINVAL;
	while (*text) {
		uint64_t v = 0, unit;
		size_t digits = strspn(text, "0123456789"), n;

		if (digits == 0)
			return -EINVAL;
		for (size_t i = 0; i < digits; i++)
			if (__builtin_mul_overflow(v, 10, &v) ||
			    __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
				return -ERANGE;
		text += digits;
		n = strspn(text, "mshdw");
		unit = unit_ns(text, n);
		if (unit == 0)
			return -EINVAL;
		if (__builtin_mul_overflow(v, unit, &v) || __builtin_add_overflow(sum, v, &sum))
			return -ERANGE;
		text += n;
	}
	*ret_ns = sum;
	return 0;
}

/* Exactly n digits. */
static bool digits_take(const char **p, int n, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return true;
}

static bool char_take(const char **p, const char *any)
{
	if (!**p || !strchr(any, **p))
		return false;
	(*p)++;
	return true;
}

static bool date_valid(const struct tm *tm)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int y = tm->tm_year + 1900, m = tm->tm_mon, d;

	if (m < 0 || m > 11)
		return false;
	d = days[m] + (m == 1 && ((y % 4 == 0 && y % 100 != 0) || y % 400 == 0));
	return tm->tm_mday >= 1 && tm->tm_mday <= d && tm->tm_hour <= 23 && tm->tm_min <= 59 &&
	       tm->tm_sec <= 60;
}

static bool date_time_take(const char **p, struct tm *tm)
{
	memset(tm, 0, sizeof(*tm));
	if (!digits_take(p, 4, &tm->tm_year) || !char_take(p, "-") ||
	    !digits_take(p, 2, &tm->tm_mon) || !char_take(p, "-") ||
	    !digits_take(p, 2, &tm->tm_mday) || !char_take(p, "Tt ") ||
	    !digits_take(p, 2, &tm->tm_hour) || !char_take(p, ":") ||
	    !digits_take(p, 2, &tm->tm_min) || !char_take(p, ":") ||
	    !digits_take(p, 2, &tm->tm_sec))
		return false;
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return date_valid(tm);
}

static bool fraction_take(const char **p, uint64_t *ret_ns)
{
	uint64_t unit = NS_PER_S / 10;

	*ret_ns = 0;
	if (!char_take(p, "."))
		return true;
	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++, unit /= 10)
		*ret_ns += (uint64_t)(**p - '0') * unit;
	return true;
}

static bool offset_take(const char **p, int64_t *ret_s)
{
	int h, m, sign = **p == '-' ? -1 : 1;

	*ret_s = 0;
	if (char_take(p, "Zz"))
		return true;
	if (!char_take(p, "+-") || !digits_take(p, 2, &h) || !char_take(p, ":") ||
	    !digits_take(p, 2, &m) || h > 23 || m > 59)
		return false;
	*ret_s = sign * (h * 3600 + m * 60);
	return true;
}

int rfc3339_parse(const char *text, uint64_t *ret_ns)
{
	uint64_t frac;
	int64_t offset, s;
	struct tm tm;

	if (!date_time_take(&text, &tm) || !fraction_take(&text, &frac) ||
	    !offset_take(&text, &offset) || *text)
		return -EINVAL;
	s = (int64_t)timegm(&tm) - offset;
	if (s < 0 || (uint64_t)s > UINT64_MAX / NS_PER_S - 1)
		return -ERANGE;
	*ret_ns = (uint64_t)s * NS_PER_S + frac;
	return 0;
}

int since_parse(const char *text, uint64_t now_ns, uint64_t *ret_ns)
{
	uint64_t ns;
	int r = duration_parse(text, &ns);

	if (r == -EINVAL)
		return rfc3339_parse(text, ret_ns);
	if (r < 0)
		return r;
	*ret_ns = ns < now_ns ? now_ns - ns : 0;
	return 0;
}

/* --------------------------------------------------------------------------- head of a line -- */

#define HEAD_TIME "{\"time\":\""
#define HEAD_LEVEL "\",\"level\":\""
#define HEAD_TIME_N 27 /* 2030-01-31T12:00:00.000000Z */

int log_line_head(struct slice line, uint64_t *ret_time_ns, enum log_level *ret_level)
{
	const size_t time_at = sizeof(HEAD_TIME) - 1,
		     level_at = time_at + HEAD_TIME_N + sizeof(HEAD_LEVEL) - 1;
	char time_text[HEAD_TIME_N + 1];
	const uint8_t *end;

	if (line.n < level_at + 1 || memcmp(line.p, HEAD_TIME, time_at) != 0 ||
	    memcmp(line.p + time_at + HEAD_TIME_N, HEAD_LEVEL, sizeof(HEAD_LEVEL) - 1) != 0)
		return -EBADMSG;
	memcpy(time_text, line.p + time_at, HEAD_TIME_N);
	time_text[HEAD_TIME_N] = '\0';
	end = memchr(line.p + level_at, '"', line.n - level_at);
	if (!end ||
	    level_parse((struct slice){line.p + level_at, (size_t)(end - line.p) - level_at},
			ret_level) < 0 ||
	    rfc3339_parse(time_text, ret_time_ns) < 0)
		return -EBADMSG;
	return 0;
}

/* --------------------------------------------------------------------------------- segments -- */

static bool segment_number(const char *name, uint32_t *ret)
{
	char again[LOG_SEGMENT_NAME_MAX];
	uint32_t v;

	if (sscanf(name, "%8u", &v) != 1)
		return false;
	snprintf(again, sizeof(again), LOG_SEGMENT_FMT, v);
	if (strcmp(again, name) != 0)
		return false;
	*ret = v;
	return true;
}

static int number_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int log_segments(int dirfd, uint32_t **ret, size_t *ret_n)
{
	_cleanup_free_ uint32_t *v = NULL;
	_cleanup_(closedirp) DIR *d = NULL;
	size_t n = 0, cap = 0;
	struct dirent *e;
	uint32_t seg;
	int fd;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		int err = errno;

		close(fd);
		return -err;
	}
	while ((e = readdir(d))) {
		if (!segment_number(e->d_name, &seg))
			continue;
		if (n == cap) {
			uint32_t *bigger = realloc(v, (cap = cap ? cap * 2 : 32) * sizeof(*v));

			if (!bigger)
				return -ENOMEM;
			v = bigger;
		}
		v[n++] = seg;
	}
	if (n)
		qsort(v, n, sizeof(*v), number_compare);
	*ret = steal_ptr(&v);
	*ret_n = n;
	return 0;
}

/* ----------------------------------------------------------------------------------- reader -- */

struct logview {
	char *dir;
	int dirfd, fd; /* fd: the open segment, or -1: none yet */
	uint32_t seg;
	uint32_t next_seg; /* known to exist: read seg once more to its end, then go there */
	uint64_t off;	   /* in the file, of the byte after buf */
	uint64_t since_ns;
	enum log_level level;
	uint64_t bad;
	char *buf;
	size_t start, end, cap; /* unread bytes of buf: [start, end) */
	size_t scanned;		/* of them without a newline */
	bool skipping;		/* inside a line longer than LOG_LINE_MAX */
};

static int segment_open(struct logview *v, uint32_t seg)
{
	char name[LOG_SEGMENT_NAME_MAX];
	int fd;

	snprintf(name, sizeof(name), LOG_SEGMENT_FMT, seg);
	fd = openat(v->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (v->fd >= 0)
		close(v->fd);
	v->fd = fd;
	v->seg = seg;
	v->off = 0;
	v->start = v->end = v->scanned = 0;
	v->skipping = false;
	return 0;
}

/* The first line that starts at or after off: its time.  1; 0: there is none. */
static int time_after(int fd, uint64_t off, uint64_t *ret_ns, uint64_t *ret_off)
{
	enum log_level level;
	_cleanup_free_ char *b = malloc(CHUNK);
	bool fresh = off == 0;

	if (!b)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(fd, b, CHUNK, (off_t)off);
		char *p = b, *nl;

		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (;; fresh = true) {
			nl = memchr(p, '\n', (size_t)(b + n - p));
			if (!nl)
				break;
			if (fresh && log_line_head((struct slice){(uint8_t *)p, (size_t)(nl - p)},
						   ret_ns, &level) == 0) {
				*ret_off = off + (uint64_t)(p - b);
				return 1;
			}
			p = nl + 1;
		}
		/* The rest has no newline: start there, or pass over it when it fills the buffer.
		 */
		if (p == b && n < (ssize_t)CHUNK)
			return 0;
		fresh = p == b ? false : fresh;
		off += p == b ? (uint64_t)n : (uint64_t)(p - b);
	}
}

/* Sets v->off so that no line of interest of the open segment is before it. */
static int seek_since(struct logview *v, uint64_t after_ns)
{
	uint64_t lo = 0, hi, at, ns;
	struct stat st;
	int r;

	if (fstat(v->fd, &st) < 0)
		return -errno;
	hi = (uint64_t)st.st_size;
	while (hi - lo > CHUNK / 4) {
		uint64_t mid = lo + (hi - lo) / 2;

		r = time_after(v->fd, mid, &ns, &at);
		if (r < 0)
			return r;
		if (r == 0 || ns >= after_ns || at >= hi)
			hi = mid;
		else
			lo = at; /* starts a line */
	}
	v->off = lo;
	return 0;
}

/* Opens the last segment whose first line is older than the lines of interest, and seeks in it. */
static int start_at_since(struct logview *v)
{
	uint64_t after_ns = v->since_ns > LOG_DISORDER_NS ? v->since_ns - LOG_DISORDER_NS : 0;
	_cleanup_free_ uint32_t *segs = NULL;
	uint64_t ns, at;
	size_t n, i;
	int r;

	r = log_segments(v->dirfd, &segs, &n);
	if (r < 0 || n == 0)
		return r;
	for (i = after_ns ? n - 1 : 0;; i--) {
		r = segment_open(v, segs[i]);
		if (r == -ENOENT) /* just removed: so are those before it */
			return i + 1 < n ? segment_open(v, segs[i + 1]) : 0;
		if (r < 0 || i == 0)
			break;
		r = time_after(v->fd, 0, &ns, &at);
		if (r < 0 || (r == 1 && ns < after_ns))
			break;
	}
	return r < 0 || !after_ns ? r : seek_since(v, after_ns);
}

int logview_open(const char *dir, uint64_t since_ns, enum log_level level, struct logview **ret)
{
	struct logview *v = calloc(1, sizeof(*v));
	int r = -ENOMEM;

	if (!v)
		return r;
	v->dirfd = v->fd = -1;
	v->since_ns = since_ns;
	v->level = level;
	v->cap = CHUNK;
	v->buf = malloc(v->cap);
	v->dir = strdup(dir);
	if (v->buf && v->dir) {
		v->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = v->dirfd < 0 ? -errno : start_at_since(v);
	}
	if (r < 0) {
		logview_close(v);
		return r;
	}
	*ret = v;
	return 0;
}

struct logview *logview_close(struct logview *v)
{
	if (!v)
		return NULL;
	if (v->fd >= 0)
		close(v->fd);
	if (v->dirfd >= 0)
		close(v->dirfd);
	free(v->buf);
	free(v->dir);
	free(v);
	return NULL;
}

uint64_t logview_bad_lines(const struct logview *v)
{
	return v->bad;
}

bool logview_gone(const struct logview *v)
{
	struct stat here, open_one;

	if (fstat(v->dirfd, &open_one) < 0 || stat(v->dir, &here) < 0)
		return true;
	return here.st_dev != open_one.st_dev || here.st_ino != open_one.st_ino;
}

/* The number after `seg` that exists; 0: none. */
static int segment_after(const struct logview *v, uint32_t seg, uint32_t *ret)
{
	_cleanup_free_ uint32_t *segs = NULL;
	size_t n;
	int r;

	r = log_segments(v->dirfd, &segs, &n);
	if (r == -ENOENT) /* the directory was removed */
		n = 0;
	else if (r < 0)
		return r;
	*ret = 0;
	for (size_t i = 0; i < n && *ret == 0; i++)
		if (segs[i] > seg)
			*ret = segs[i];
	return 0;
}

/* Reads more of the segment behind what is in buf.  1: there was more; 0: end of file. */
static int fill(struct logview *v)
{
	ssize_t n;

	if (v->start > 0) {
		memmove(v->buf, v->buf + v->start, v->end - v->start);
		v->end -= v->start;
		v->start = 0;
	}
	if (v->end == v->cap) {
		char *bigger = realloc(v->buf, v->cap * 2);

		if (!bigger)
			return -ENOMEM;
		v->buf = bigger;
		v->cap *= 2;
	}
	n = pread(v->fd, v->buf + v->end, v->cap - v->end, (off_t)v->off);
	if (n < 0)
		return -errno;
	v->end += (size_t)n;
	v->off += (uint64_t)n;
	return n > 0;
}

/* A whole line of buf, without its newline. */
static bool line_take(struct logview *v, struct slice *ret)
{
	char *from = v->buf + v->start + v->scanned;
	char *nl = memchr(from, '\n', v->end - v->start - v->scanned);

	if (!nl) {
		v->scanned = v->end - v->start;
		if (v->scanned > LOG_LINE_MAX) {
			v->bad += !v->skipping;
			v->skipping = true;
			v->start = v->end;
			v->scanned = 0;
		}
		return false;
	}
	*ret = (struct slice){(uint8_t *)v->buf + v->start, (size_t)(nl - v->buf) - v->start};
	v->start = (size_t)(nl - v->buf) + 1;
	v->scanned = 0;
	return true;
}

/* At the end of the open segment.  1: read on; 0: nothing more for now. */
static int go_on(struct logview *v)
{
	uint32_t seg;
	int r;

	if (v->next_seg) {
		seg = v->next_seg;
		v->next_seg = 0;
		r = segment_open(v, seg);
		if (r == -ENOENT) { /* removed meanwhile */
			r = segment_after(v, seg, &seg);
			v->next_seg = r < 0 ? 0 : seg;
			return r < 0 ? r : seg != 0;
		}
		return r < 0 ? r : 1;
	}
	r = segment_after(v, v->fd < 0 ? 0 : v->seg, &seg);
	v->next_seg = r < 0 ? 0 : seg;
	return r < 0 ? r
		     : seg != 0; /* the writer may have added to seg before it opened the next */
}

/* No byte that a terminal could take for anything but text (the writer lets none through). */
static bool harmless(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool wanted(struct logview *v, struct slice line)
{
	enum log_level level;
	uint64_t ns;

	if (v->skipping) { /* the end of a line that was too long */
		v->skipping = false;
		return false;
	}
	if (log_line_head(line, &ns, &level) < 0 || !harmless(line)) {
		v->bad++;
		return false;
	}
	return ns >= v->since_ns && level >= v->level;
}

int logview_next(struct logview *v, struct slice *ret)
{
	for (;;) {
		struct slice line;
		int r;

		while (line_take(v, &line))
			if (wanted(v, line)) {
				*ret = line;
				return 1;
			}
		r = v->fd < 0 ? 0 : fill(v);
		if (r == 0)
			r = go_on(v);
		if (r <= 0)
			return r;
	}
}

/* ----------------------------------------------------------------------------------- colour -- */

static const char *token_colour(struct slice token)
{
	static const struct {
		const char *token, *sgr;
	} colours[] = {
		{"level=debug", "\033[2m"},	     {"level=warn", "\033[33m"},
		{"level=error", "\033[31m"},	     {"action=deny", "\033[1;31m"},
		{"action=allow", "\033[32m"},	     {"action=revoke", "\033[1;31m"},
		{"l7_decision=deny", "\033[1;31m"},  {"l7_decision=allow", "\033[32m"},
		{"l7_decision=audit", "\033[1;33m"}, {"l7_decision=error", "\033[31m"},
	};

	for (size_t i = 0; i < ARRAY_LEN(colours); i++)
		if (slice_eq_str(token, colours[i].token))
			return colours[i].sgr;
	return NULL;
}

/* Length of the key=value at p, quotes respected. */
static size_t token_length(const char *p)
{
	bool quoted = false;
	size_t n = 0;

	for (; p[n] && (quoted || p[n] != ' '); n++) {
		if (quoted && p[n] == '\\' && p[n + 1])
			n++;
		else if (p[n] == '"')
			quoted = !quoted;
	}
	return n;
}

int logview_colour(const char *logfmt, char **ret)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (!f)
		return -ENOMEM;
	while (*logfmt) {
		size_t n = token_length(logfmt);
		const char *sgr = token_colour((struct slice){(const uint8_t *)logfmt, n});

		fprintf(f, "%s%.*s%s", sgr ? sgr : "", (int)n, logfmt, sgr ? "\033[0m" : "");
		logfmt += n;
		if (*logfmt == ' ')
			fputc(*logfmt++, f);
	}
	if (fclose(f) != 0) {
		free(out);
		return -ENOMEM;
	}
	*ret = out;
	return 0;
}
