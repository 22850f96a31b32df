/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.c - reads /etc/hosts lines into a table from name to at most one address of each family.
 *
 * The text is read from its last line to its first and the first address seen stays, so that later
 * lines win and the bounds cut off the oldest.  The supervisor passes it unread, so it is treated
 * as hostile.
 */
#include "proxy/hosts.h"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <uthash.h>

#include "proxy/dns.h"

struct host {
	UT_hash_handle hh;
	bool has4, has6;
	uint8_t a4[4], a6[16];
	char name[];
};

struct hosts {
	struct host *table;
	size_t skipped;
};

static bool is_blank(uint8_t b)
{
	return b == ' ' || b == '\t' || b == '\r' || b == '\v' || b == '\f';
}

/* Takes the next word off the front of line; n == 0: none left. */
static struct slice take_word(struct slice *line)
{
	struct slice w;

	while (line->n && is_blank(*line->p))
		line->p++, line->n--;
	w = (struct slice){line->p, 0};
	while (line->n && !is_blank(*line->p))
		line->p++, line->n--, w.n++;
	return w;
}

static bool parse_address(struct slice word, struct resolved_addr *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (word.n == 0 || word.n >= sizeof(text) || memchr(word.p, 0, word.n))
		return false;
	memcpy(text, word.p, word.n);
	text[word.n] = '\0';
	*ret = (struct resolved_addr){.family = 4};
	if (inet_pton(AF_INET, text, ret->addr) == 1)
		return true;
	ret->family = 6;
	return inet_pton(AF_INET6, text, ret->addr) == 1;
}

static int find_or_add(struct hosts *h, struct slice name, struct host **ret)
{
	struct host *e;

	HASH_FIND(hh, h->table, name.p, (unsigned)name.n, e);
	if (!e) {
		if (HASH_COUNT(h->table) >= HOSTS_NAMES_MAX)
			return -E2BIG;
		e = calloc(1, sizeof(*e) + name.n + 1);
		if (!e)
			return -ENOMEM;
		memcpy(e->name, name.p, name.n);
		HASH_ADD_KEYPTR(hh, h->table, e->name, (unsigned)name.n, e);
	}
	*ret = e;
	return 0;
}

static int add_name(struct hosts *h, struct slice word, const struct resolved_addr *a)
{
	char name[DNS_NAME_TEXT_MAX + 1];
	size_t n = dns_name_fold(word, name);
	struct host *e;
	int r;

	if (n == 0)
		return -EINVAL;
	r = find_or_add(h, (struct slice){(const uint8_t *)name, n}, &e);
	if (r < 0)
		return r;
	if (a->family == 4 && !e->has4) {
		memcpy(e->a4, a->addr, sizeof(e->a4));
		e->has4 = true;
	} else if (a->family == 6 && !e->has6) {
		memcpy(e->a6, a->addr, sizeof(e->a6));
		e->has6 = true;
	}
	return 0;
}

static int add_line(struct hosts *h, struct slice line)
{
	const uint8_t *comment = line.n ? memchr(line.p, '#', line.n) : NULL;
	struct resolved_addr a;
	struct slice word;
	int r;

	if (comment)
		line.n = (size_t)(comment - line.p);
	word = take_word(&line);
	if (word.n == 0)
		return 0;
	if (!parse_address(word, &a)) {
		h->skipped++;
		return 0;
	}
	word = take_word(&line);
	if (word.n == 0)
		h->skipped++;
	for (; word.n; word = take_word(&line)) {
		r = add_name(h, word, &a);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			h->skipped++;
	}
	return 0;
}

int hosts_parse(struct slice text, struct hosts **ret)
{
	struct hosts *h = calloc(1, sizeof(*h));
	size_t floor = 0, end = text.n;

	if (!h)
		return -ENOMEM;
	if (text.n > HOSTS_TEXT_MAX) {
		floor = text.n - HOSTS_TEXT_MAX;
		while (floor < text.n && text.p[floor - 1] != '\n')
			floor++; /* never half a line */
		h->skipped++;
	}
	while (end > floor) {
		const uint8_t *nl = memrchr(text.p + floor, '\n', end - floor);
		size_t start = nl ? (size_t)(nl - text.p) + 1 : floor;
		int r = add_line(h, (struct slice){text.p + start, end - start});

		if (r < 0) {
			hosts_free(h);
			return r;
		}
		end = nl ? start - 1 : floor;
	}
	*ret = h;
	return 0;
}

int hosts_read(int fd, struct hosts **ret)
{
	_cleanup_free_ uint8_t *buf = NULL;
	struct stat st;
	size_t n = 0, cap;
	off_t off;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* One byte more than the bound tells hosts_parse() that the start is missing. */
	cap = HOSTS_TEXT_MAX + 1;
	off = st.st_size > (off_t)cap ? st.st_size - (off_t)cap : 0;
	if (st.st_size < (off_t)cap)
		cap = st.st_size > 0 ? (size_t)st.st_size : 1;
	buf = malloc(cap);
	if (!buf)
		return -ENOMEM;
	while (n < cap) {
		ssize_t k = pread(fd, buf + n, cap - n, off + (off_t)n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		n += (size_t)k;
	}
	return hosts_parse((struct slice){buf, n}, ret);
}

struct hosts *hosts_free(struct hosts *h)
{
	struct host *e, *next;

	if (!h)
		return NULL;
	HASH_ITER(hh, h->table, e, next) {
		HASH_DEL(h->table, e);
		free(e);
	}
	free(h);
	return NULL;
}

bool hosts_find(const struct hosts *h, struct slice name, struct resolved *ret)
{
	struct host *e;
	size_t n = 0;

	HASH_FIND(hh, h->table, name.p, (unsigned)name.n, e);
	if (!e)
		return false;
	if (e->has4) {
		ret->a[n] = (struct resolved_addr){.family = 4};
		memcpy(ret->a[n++].addr, e->a4, sizeof(e->a4));
	}
	if (e->has6) {
		ret->a[n] = (struct resolved_addr){.family = 6};
		memcpy(ret->a[n++].addr, e->a6, sizeof(e->a6));
	}
	ret->n = n;
	return true;
}

size_t hosts_count(const struct hosts *h)
{
	return HASH_COUNT(h->table);
}

size_t hosts_skipped(const struct hosts *h)
{
	return h->skipped;
}
