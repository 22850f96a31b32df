/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob.c - writing, sealing and bounds-checked reading of flat messages.
 */
#include "user/blob.h"

#include "user/strv.h"

#include <fcntl.h>
#include <sys/mman.h>

static bool writer_room(struct blob_writer *w, size_t more)
{
	size_t cap = w->cap ? w->cap : 1024;
	uint8_t *p;

	if (w->err)
		return false;
	while (cap - w->n < more)
		cap *= 2;
	if (cap == w->cap)
		return true;
	p = realloc(w->p, cap);
	if (!p) {
		w->err = -ENOMEM;
		return false;
	}
	w->p = p;
	w->cap = cap;
	return true;
}

void blob_put_u32(struct blob_writer *w, uint32_t v)
{
	if (!writer_room(w, 4))
		return;
	for (unsigned i = 0; i < 4; i++)
		w->p[w->n++] = (uint8_t)(v >> (8 * i));
}

void blob_put_bytes(struct blob_writer *w, struct slice bytes)
{
	if (bytes.n == 0 || !writer_room(w, bytes.n))
		return;
	memcpy(w->p + w->n, bytes.p, bytes.n);
	w->n += bytes.n;
}

void blob_put_str(struct blob_writer *w, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n >= BLOB_NULL)
		w->err = w->err ? w->err : -EFBIG;
	blob_put_u32(w, s ? (uint32_t)n : BLOB_NULL);
	blob_put_bytes(w, slice_str(s));
}

void blob_put_strv(struct blob_writer *w, char *const *v)
{
	blob_put_u32(w, (uint32_t)strv_len(v));
	for (size_t i = 0; v && v[i]; i++)
		blob_put_str(w, v[i]);
}

void blob_writer_done(struct blob_writer *w)
{
	free(w->p);
	*w = (struct blob_writer){0};
}

uint32_t blob_get_u32(struct blob_reader *r)
{
	uint32_t v = 0;

	if (r->rest.n < 4)
		r->err = r->err ? r->err : -EBADMSG;
	if (r->err)
		return 0;
	for (unsigned i = 0; i < 4; i++)
		v |= (uint32_t)r->rest.p[i] << (8 * i);
	r->rest.p += 4;
	r->rest.n -= 4;
	return v;
}

uint32_t blob_get_count(struct blob_reader *r, uint32_t max, size_t min_bytes)
{
	uint32_t n = blob_get_u32(r);

	if (n > max || (min_bytes && n > r->rest.n / min_bytes))
		r->err = r->err ? r->err : -EBADMSG;
	return r->err ? 0 : n;
}

char *blob_get_str(struct blob_reader *r, size_t max, bool optional)
{
	uint32_t n = blob_get_u32(r);
	char *s;

	if (r->err || (n == BLOB_NULL && optional))
		return NULL;
	if (n > max || n > r->rest.n || (n && memchr(r->rest.p, '\0', n))) {
		r->err = -EBADMSG;
		return NULL;
	}
	s = malloc((size_t)n + 1);
	if (!s) {
		r->err = -ENOMEM;
		return NULL;
	}
	if (n)
		memcpy(s, r->rest.p, n);
	s[n] = '\0';
	r->rest.p += n;
	r->rest.n -= n;
	return s;
}

char **blob_get_strv(struct blob_reader *r, uint32_t max_strings, size_t max_string)
{
	uint32_t n = blob_get_count(r, max_strings, 4);
	char **v;

	if (r->err)
		return NULL;
	v = calloc((size_t)n + 1, sizeof(*v));
	if (!v) {
		r->err = -ENOMEM;
		return NULL;
	}
	for (uint32_t i = 0; i < n && !r->err; i++)
		v[i] = blob_get_str(r, max_string, false);
	return r->err ? strv_free(v) : v;
}

int blob_get_end(struct blob_reader *r)
{
	if (!r->err && r->rest.n)
		r->err = -EBADMSG;
	return r->err;
}

int memfd_of(const char *name, struct slice bytes, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	while (bytes.n) {
		ssize_t k = write(fd, bytes.p, bytes.n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		bytes.p += k;
		bytes.n -= (size_t)k;
	}
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int read_whole_fd(int fd, size_t max, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *buf = NULL;
	size_t n = 0, cap = 0;

	for (;;) {
		ssize_t k;

		if (cap - n < 2) {
			char *bigger = realloc(buf, cap = cap ? cap * 2 : 4096);

			if (!bigger)
				return -ENOMEM;
			buf = bigger;
		}
		k = read(fd, buf + n, cap - n - 1);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		n += (size_t)k;
		if (n > max)
			return -EFBIG;
	}
	buf[n] = '\0';
	*ret = steal_ptr(&buf);
	*ret_n = n;
	return 0;
}

int read_whole_file(const char *path, size_t max, char **ret, size_t *ret_n)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : read_whole_fd(fd, max, ret, ret_n);
}
