/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revisions.c - the directory of revisions: read whole, written file by file.
 *
 * The directory is root's alone, but a record may be damaged all the same (a disk that was full, a host that lost its
 * power): such a one counts as failed and keeps its number.
 */
#include "user/revisions.h"

#include "policy/arena.h"
#include "policy/policy.h"
#include "user/blob.h"
#include "user/safetext.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define RECORD_MAX (4 * REVISION_ERROR_MAX + 65536)
#define NAME_MAX_BYTES 40
#define TEMPORARY ".new"

static const char *const words[] = {"pending", "loaded", "failed", "superseded"};

const char *revision_status_word(enum revision_status s)
{
	return words[s];
}

static void file_name(char *to, uint64_t number, const char *suffix)
{
	snprintf(to, NAME_MAX_BYTES, "%llu.%s", (unsigned long long)number, suffix);
}

/* ------------------------------------------------------------------------------------------ files -- */

static int write_all(int fd, struct slice s)
{
	while (s.n) {
		ssize_t k = write(fd, s.p, s.n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		s.p += k;
		s.n -= (size_t)k;
	}
	return 0;
}

static int write_file(int dir, const char *name, struct slice bytes)
{
	_cleanup_close_ int fd = openat(dir, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : write_all(fd, bytes);

	if (r == 0 && renameat(dir, TEMPORARY, dir, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, TEMPORARY, 0);
	return r;
}

static int sync_file(int dir, uint64_t number, const char *suffix)
{
	char name[NAME_MAX_BYTES];
	_cleanup_close_ int fd = -1;

	file_name(name, number, suffix);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

int revisions_sync(struct revisions *r)
{
	int first = 0, k;

	if (!r->dirty)
		return 0;
	for (size_t i = 0; i < r->n; i++) {
		if (!r->v[i].dirty)
			continue;
		k = sync_file(r->dir, r->v[i].number, "yaml");
		if (k == 0)
			k = sync_file(r->dir, r->v[i].number, "json");
		if (k < 0 && first == 0)
			first = k;
		r->v[i].dirty = false;
	}
	if (fsync(r->dir) < 0 && first == 0)
		first = -errno;
	r->dirty = false;
	return first;
}

/* ---------------------------------------------------------------------------------------- records -- */

json_t *revision_json(const struct revision *v)
{
	return json_pack("{s:I,s:s,s:I,s:I,s:s,s:s,s:s,s:I,s:b}", "revision", (json_int_t)v->number, "status",
			 words[v->status], "time", (json_int_t)v->time, "loaded", (json_int_t)v->loaded, "hash", v->hash,
			 "source", v->source ? v->source : "", "error", v->error ? v->error : "", "size",
			 (json_int_t)v->size, "text", (int)v->text);
}

static int store(struct revisions *r, struct revision *v)
{
	char name[NAME_MAX_BYTES];
	json_t *j = revision_json(v);
	_cleanup_free_ char *s = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	if (!s)
		return -ENOMEM;
	file_name(name, v->number, "json");
	v->dirty = r->dirty = true;
	return write_file(r->dir, name, slice_str(s));
}

static char *member_string(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return strdup(s ? s : "");
}

static int64_t member_number(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

/* false: not a record of ours. */
static bool record_read(const json_t *j, struct revision *v)
{
	const char *status = json_string_value(json_object_get(j, "status"));
	const char *hash = json_string_value(json_object_get(j, "hash"));
	size_t i;

	for (i = 0; i < ARRAY_LEN(words) && (!status || strcmp(status, words[i]) != 0); i++)
		;
	if (i == ARRAY_LEN(words) || !hash || strlen(hash) >= sizeof(v->hash) ||
	    member_number(j, "revision") != (int64_t)v->number)
		return false;
	v->status = (enum revision_status)i;
	v->time = member_number(j, "time");
	v->loaded = member_number(j, "loaded");
	strcpy(v->hash, hash);
	v->source = member_string(j, "source");
	v->error = member_string(j, "error");
	return true;
}

static int load(struct revisions *r, uint64_t number)
{
	struct revision v = {.number = number, .status = REVISION_FAILED};
	_cleanup_free_ char *s = NULL;
	char name[NAME_MAX_BYTES];
	struct stat st;
	json_t *j = NULL;
	size_t n;
	int fd;

	file_name(name, number, "json");
	fd = openat(r->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno != ELOOP) /* a link is no record of ours */
		return errno == ENOENT ? 0 : -errno; /* it was pruned meanwhile */
	if (fd >= 0 && fstat(fd, &st) == 0)
		v.time = st.st_mtime;
	if (fd >= 0 && read_whole_fd(fd, RECORD_MAX, &s, &n) == 0)
		j = json_loadb(s, n, 0, NULL);
	closep(&fd);
	if (!j || !record_read(j, &v)) {
		v.source = strdup("");
		v.error = strdup("its record is damaged");
	}
	json_decref(j);
	file_name(name, number, "yaml");
	v.text = fstatat(r->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	v.size = v.text ? (uint64_t)st.st_size : 0;
	if (!v.source || !v.error || array_grow(&r->v, &r->cap, r->n + 1, sizeof(*r->v)) < 0) {
		free(v.source);
		free(v.error);
		return -ENOMEM;
	}
	r->text_bytes += v.size;
	r->v[r->n++] = v;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct revision *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* "12.json" -> 12; 0: another name. */
static uint64_t number_of(const char *name)
{
	char again[NAME_MAX_BYTES];
	uint64_t v = strtoull(name, NULL, 10);

	file_name(again, v, "json");
	return v && v < INT64_MAX && strcmp(name, again) == 0 ? v : 0;
}

static int load_all(struct revisions *r)
{
	int copy = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), k = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;

	if (!d) {
		k = -errno;
		closep(&copy);
		return k;
	}
	while (k == 0 && (e = readdir(d)))
		if (number_of(e->d_name))
			k = load(r, number_of(e->d_name));
	closedir(d);
	if (r->n)
		qsort(r->v, r->n, sizeof(*r->v), by_number);
	return k;
}

int revisions_open(const char *path, bool create, struct revisions *ret)
{
	struct revisions r = {.dir = -1};
	int k;

	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	r.dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r.dir < 0)
		return -errno;
	k = load_all(&r);
	if (k < 0) {
		revisions_done(&r);
		return k;
	}
	*ret = r;
	return 0;
}

static void forget(struct revision *v)
{
	free(v->source);
	free(v->error);
}

void revisions_done(struct revisions *r)
{
	for (size_t i = 0; i < r->n; i++)
		forget(&r->v[i]);
	free(r->v);
	closep(&r->dir);
	*r = (struct revisions){.dir = -1};
}

/* --------------------------------------------------------------------------------------- changing -- */

static struct revision *find(const struct revisions *r, uint64_t number)
{
	struct revision key = {.number = number};

	return r->n ? bsearch(&key, r->v, r->n, sizeof(*r->v), by_number) : NULL;
}

const struct revision *revisions_find(const struct revisions *r, uint64_t number)
{
	return find(r, number);
}

const struct revision *revisions_in_force(const struct revisions *r)
{
	for (size_t i = r->n; i--;)
		if (r->v[i].status == REVISION_LOADED)
			return &r->v[i];
	return NULL;
}

static bool may_go(const struct revisions *r, const struct revision *v)
{
	return (v->status == REVISION_FAILED || v->status == REVISION_SUPERSEDED) && v->number != r->keep;
}

static void drop_text(struct revisions *r, struct revision *v)
{
	char name[NAME_MAX_BYTES];

	file_name(name, v->number, "yaml");
	(void)unlinkat(r->dir, name, 0);
	r->text_bytes -= v->size;
	v->size = 0;
	v->text = false;
}

static void drop(struct revisions *r, size_t i)
{
	char name[NAME_MAX_BYTES];

	if (r->v[i].text)
		drop_text(r, &r->v[i]);
	file_name(name, r->v[i].number, "json");
	(void)unlinkat(r->dir, name, 0);
	forget(&r->v[i]);
	memmove(&r->v[i], &r->v[i + 1], (--r->n - i) * sizeof(*r->v));
}

static void make_room(struct revisions *r, size_t bytes)
{
	for (size_t i = 0; i < r->n && r->n >= REVISIONS_MAX;)
		if (may_go(r, &r->v[i]))
			drop(r, i);
		else
			i++;
	for (size_t i = 0; i < r->n && r->text_bytes + bytes > REVISIONS_TEXT_MAX; i++)
		if (r->v[i].text && may_go(r, &r->v[i]))
			drop_text(r, &r->v[i]);
}

static char *safe_copy(const char *s, size_t max)
{
	struct slice all = slice_str(s);

	if (all.n > max)
		all.n = max;
	return safetext_dup(all);
}

/* An error may have several lines, each of them safe. */
static char *safe_lines(const char *s)
{
	_cleanup_free_ char *out = NULL;
	size_t n = 0, left = REVISION_ERROR_MAX;
	FILE *f = open_memstream(&out, &n);

	if (!f)
		return NULL;
	while (s && *s && left) {
		size_t line = strcspn(s, "\n");
		bool more = s[line] == '\n' && s[line + 1];

		if (line > left)
			line = left;
		safetext_print((struct slice){(const uint8_t *)s, line}, f);
		left -= line;
		s += line;
		if (*s != '\n')
			break;
		if (more)
			fputc('\n', f);
		s++;
		left -= left > 0;
	}
	if (fclose(f) != 0)
		return NULL;
	return steal_ptr(&out);
}

int revisions_add(struct revisions *r, struct slice text, const char *hash, const char *source, const char *error,
		  uint64_t *ret)
{
	struct revision v = {.number = r->n ? r->v[r->n - 1].number + 1 : 1,
			     .status = error ? REVISION_FAILED : REVISION_PENDING,
			     .time = (int64_t)time(NULL),
			     .source = safe_copy(source, 256),
			     .error = safe_lines(error)};
	char name[NAME_MAX_BYTES];
	int k = v.source && v.error ? 0 : -ENOMEM;

	snprintf(v.hash, sizeof(v.hash), "%s", hash ? hash : "");
	make_room(r, text.n);
	if (k == 0)
		k = array_grow(&r->v, &r->cap, r->n + 1, sizeof(*r->v));
	file_name(name, v.number, "yaml");
	if (k == 0 && text.p) {
		k = write_file(r->dir, name, text);
		v.text = k == 0;
		v.size = k == 0 ? text.n : 0;
	}
	if (k == 0)
		k = store(r, &v);
	if (k < 0) {
		forget(&v);
		return k;
	}
	r->text_bytes += v.size;
	r->v[r->n++] = v;
	*ret = v.number;
	return 0;
}

int revisions_failed(struct revisions *r, uint64_t number, const char *error)
{
	struct revision *v = find(r, number);
	char *s;

	if (!v)
		return -ENOENT;
	s = safe_lines(error);
	if (!s)
		return -ENOMEM;
	free(v->error);
	v->error = s;
	v->status = REVISION_FAILED;
	return store(r, v);
}

int revisions_mark_loaded(struct revisions *r, uint64_t number)
{
	struct revision *v = find(r, number);

	if (!v)
		return -ENOENT;
	if (v->status == REVISION_LOADED)
		return 0;
	v->status = REVISION_LOADED;
	v->loaded = (int64_t)time(NULL);
	return store(r, v);
}

int revisions_supersede(struct revisions *r, uint64_t number)
{
	int first = 0, k;

	for (size_t i = 0; i < r->n; i++) {
		if (r->v[i].number == number || r->v[i].status != REVISION_LOADED)
			continue;
		r->v[i].status = REVISION_SUPERSEDED;
		k = store(r, &r->v[i]);
		if (k < 0 && first == 0)
			first = k;
	}
	return first;
}

int revisions_loaded(struct revisions *r, uint64_t number)
{
	int first = number ? revisions_mark_loaded(r, number) : 0, k;

	if (first == -ENOENT)
		return first;
	k = revisions_supersede(r, number);
	return first ? first : k;
}

int revisions_recover(struct revisions *r, uint64_t in_force)
{
	const struct revision *last;
	int first = 0, k;

	(void)unlinkat(r->dir, TEMPORARY, 0);
	for (size_t i = 0; i < r->n; i++) {
		if (r->v[i].status != REVISION_PENDING || r->v[i].number == in_force)
			continue;
		k = revisions_failed(r, r->v[i].number, REVISION_ABANDONED);
		if (k < 0 && first == 0)
			first = k;
	}
	last = revisions_in_force(r);
	if (in_force == UINT64_MAX)
		in_force = last ? last->number : 0;
	k = revisions_loaded(r, in_force);
	return first ? first : k;
}

int revisions_text(const struct revisions *r, uint64_t number, char **ret, size_t *ret_n)
{
	const struct revision *v = find(r, number);
	char name[NAME_MAX_BYTES];
	_cleanup_close_ int fd = -1;

	if (!v)
		return -ENOENT;
	if (!v->text)
		return -ENODATA;
	file_name(name, number, "yaml");
	fd = openat(r->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENODATA : -errno;
	return read_whole_fd(fd, POLICY_TEXT_MAX, ret, ret_n);
}
