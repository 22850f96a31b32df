/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paths.c - collection of path ids (paths.h).
 *
 * An id must stay in `paths` as long as a process record has it, or a connection that may still be judged.  Records are
 * written by the kernel at any moment: exec gives them ids from `path_ids` and those of the replaced record, fork those
 * of the parent, and no lock stops either.  Therefore an id goes in two collections.  The first takes it out of
 * `path_ids`: no exec can get it any more.  The next one, at the earliest, takes it out of `paths`, if nobody has it:
 *
 *   1  `path_round` becomes odd: a fork from now on marks in `paths` what it passes on, before the child's record is there
 *   2  a grace period: hooks that saw the id in `path_ids`, or `path_round` even, are over
 *   3  the records are read, each bucket of the table under its lock
 *   4  then the connections
 *
 * A record that has the id after 2 has it from another record.  Exec replaces a record in its bucket under the lock: one
 * of both is read.  Fork puts it into another bucket, which may have been read already, while the parent may be gone
 * before its own is: then the fork has marked it.  So after 3 an id without a mark is in no record, and there is none
 * left to get it from.  A connection is on its socket before connect() returns, hence either its process was still there
 * in 3 or the socket is found in 4.  An exec that gets an id just before it is hidden is found by the next collection,
 * and the id stays; the path gets a second one meanwhile, which does no harm.
 *
 * What is not found: the proxy's connection whose client's socket is closed, and a UDP socket that was connected to the
 * resolver, handed to another process, and has outlived its own.  Such a holder has an unknown identity and gets
 * nothing (abi.h, paths).  So does whatever a kernel error may hide.
 */
#include "user/paths.h"

#include "policy/arena.h"

#include <bpf/bpf.h>

#define CHUNK 512 /* entries of a table read at once */
#define GONE_MAX 16384 /* all that the table can hold */

struct path_marks {
	uint32_t *ids; /* ascending */
	uint8_t *used;
	size_t n, cap;
};

struct paths_gone {
	uint32_t id[GONE_MAX]; /* 0: none */
	char text[GONE_MAX][OSH_PATH_MAX];
	size_t next; /* to be overwritten */
};

struct paths_gone *paths_gone_free(struct paths_gone *g)
{
	free(g);
	return NULL;
}

const char *paths_gone_text(const struct paths_gone *g, uint32_t id)
{
	for (size_t i = 0; g && id && i < GONE_MAX; i++)
		if (g->id[i] == id)
			return g->text[i];
	return NULL;
}

static void gone_add(struct paths_gone *g, uint32_t id, const struct osh_path *p)
{
	g->id[g->next] = id;
	memcpy(g->text[g->next], p->path, OSH_PATH_MAX);
	g->text[g->next][OSH_PATH_MAX - 1] = '\0';
	g->next = (g->next + 1) % GONE_MAX;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void mark_id(struct path_marks *m, uint32_t id)
{
	const uint32_t *p = id && m->n ? bsearch(&id, m->ids, m->n, sizeof(id), by_id) : NULL;

	if (p)
		m->used[p - m->ids] = 1;
}

void path_marks_add(struct path_marks *m, const struct osh_ident *id)
{
	mark_id(m, id->exe);
	mark_id(m, id->script);
	for (size_t i = 0; i < OSH_ANCESTORS_MAX; i++)
		mark_id(m, id->anc[i]);
}

typedef int (*entry_fn)(struct path_marks *m, uint32_t key, const void *value);

/* Calls fn with every entry of a hash table with 32-bit keys.  The kernel copies a bucket under its lock
 * (kernel/bpf/hashtab.c, __htab_map_lookup_and_delete_batch()); walking by keys would miss an entry that is replaced. */
static int each_entry(int fd, size_t value_size, entry_fn fn, struct path_marks *m)
{
	_cleanup_free_ uint32_t *keys = calloc(CHUNK, sizeof(*keys));
	_cleanup_free_ uint8_t *values = calloc(CHUNK, value_size);
	uint32_t in = 0, out = 0;
	bool first = true;
	int r;

	if (!keys || !values)
		return -ENOMEM;
	do {
		uint32_t n = CHUNK;

		r = bpf_map_lookup_batch(fd, first ? NULL : &in, &out, keys, values, &n, NULL);
		if (r < 0 && r != -ENOENT) /* which says that it was the last chunk */
			return r;
		for (uint32_t i = 0; i < n; i++) {
			int e = fn(m, keys[i], values + i * value_size);

			if (e < 0)
				return e;
		}
		in = out;
		first = false;
	} while (r == 0);
	return 0;
}

static int list_path(struct path_marks *m, uint32_t key, const void *value)
{
	int r = array_grow(&m->ids, &m->cap, m->n + 1, sizeof(*m->ids));

	(void)value;
	if (r == 0)
		m->ids[m->n++] = key;
	return r;
}

static int mark_record(struct path_marks *m, uint32_t key, const void *value)
{
	(void)key;
	path_marks_add(m, &((const struct osh_proc *)value)->id);
	return 0;
}

/* The ids up to last, ascending.  Younger ones may belong to a hook that is not over yet. */
static int list(const struct path_tables *t, uint64_t last, struct path_marks *m)
{
	int r = each_entry(t->paths, sizeof(struct osh_path), list_path, m);

	if (r < 0)
		return r;
	if (m->n)
		qsort(m->ids, m->n, sizeof(*m->ids), by_id);
	while (m->n && m->ids[m->n - 1] > last)
		m->n--;
	m->used = calloc(m->n + 1, 1);
	return m->used ? 0 : -ENOMEM;
}

/* Returns after every hook that began before the call is over: the image in use is put into its slot once more
 * (kernel_grace()). */
static int grace(const struct path_tables *t)
{
	uint32_t slot = OSH_CURRENT_SLOT(*t->current), id = 0;
	_cleanup_close_ int fd = -1;
	int r = bpf_map_lookup_elem(t->images, &slot, &id);

	if (r < 0)
		return r;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? fd : bpf_map_update_elem(t->images, &slot, &fd, BPF_ANY);
}

static void take(const struct path_tables *t, uint32_t id, uint32_t round, struct paths_gone *gone)
{
	struct osh_path p;
	uint32_t known = 0;
	int r;

	if (bpf_map_lookup_elem(t->paths, &id, &p) < 0 || p.round == round)
		return;
	r = bpf_map_lookup_elem(t->path_ids, p.path, &known);
	if (r == 0 && known == id) {
		(void)bpf_map_delete_elem(t->path_ids, p.path);
	} else if (r == 0 || r == -ENOENT) { /* hidden by an earlier collection */
		gone_add(gone, id, &p);
		(void)bpf_map_delete_elem(t->paths, &id);
	}
}

static int collect(const struct path_tables *t, uint32_t round, int (*mark)(void *arg, struct path_marks *m), void *arg,
		   struct path_marks *m, struct paths_gone *gone)
{
	uint64_t last = __atomic_load_n(t->last_id, __ATOMIC_SEQ_CST);
	int r = grace(t);

	if (r == 0)
		r = list(t, last, m);
	if (r == 0)
		r = each_entry(t->procs, sizeof(struct osh_proc), mark_record, m);
	if (r == 0)
		r = mark(arg, m);
	for (size_t i = 0; r == 0 && i < m->n; i++)
		if (!m->used[i])
			take(t, m->ids[i], round, gone);
	return r;
}

int paths_collect(const struct path_tables *t, int (*mark)(void *arg, struct path_marks *m), void *arg,
		  struct paths_gone **gone)
{
	uint32_t round = *t->round + 1; /* odd */
	struct path_marks m = {0};
	int r;

	if (!*gone && !(*gone = calloc(1, sizeof(**gone))))
		return -ENOMEM;
	__atomic_store_n(t->round, round, __ATOMIC_SEQ_CST);
	r = collect(t, round, mark, arg, &m, *gone);
	__atomic_store_n(t->round, round + 1, __ATOMIC_SEQ_CST);
	free(m.ids);
	free(m.used);
	return r;
}
