/* SPDX-License-Identifier: Apache-2.0 */
/*
 * images.c - the policy images that this process has mapped, and what a caller matches under them.
 *
 * An image is a frozen BPF array mapped read-only: nobody can change it any more, so it is validated once
 * and used in place.  `current` is one 64-bit word that the supervisor stores into.  It is looked up, one short
 * system call a decision: a read-only map descriptor cannot be mmapped (do_mmap() takes VM_SHARED from it,
 * bpf_map_mmap() insists on it), and a writable one is not for this process.  A generation that was never
 * mapped, or failed validation, gives no view, and no view means deny.
 *
 * Path ids are never given to another path, so a path string is cached without ever being refreshed.
 */
#include "proxy/images.h"

#include <bpf/bpf.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define PATH_CACHE 512 /* direct-mapped, by path id */
#define BITS_CACHE 64  /* direct-mapped, by identity */
#define IMAGE_SIZE_MAX (1ull << 30)

struct mapped {
	uint64_t gen; /* 0: empty */
	uint8_t *p;
	size_t n;
	struct image img;
};

struct cached_path {
	uint32_t id;
	uint32_t len;
	char *s;
};

struct cached_bits {
	uint64_t gen;
	struct osh_ident id;
	struct block_bits bits;
};

struct images {
	int fd_current;
	const _Atomic uint64_t *current; /* instead, when the descriptor is a memory file (tests) */
	int fd_paths;
	images_lookup_fn lookup;
	void *lookup_arg;
	struct mapped slot[OSH_SLOTS];
	struct mapped retired; /* a view of this turn may still point here */
	struct cached_path paths[PATH_CACHE];
	struct cached_bits *bits; /* BITS_CACHE of them, made on first use */
};

static int lookup_in_map(void *arg, uint32_t id, struct osh_path *ret)
{
	const struct images *im = arg;

	return bpf_map_lookup_elem(im->fd_paths, &id, ret) < 0 ? -errno : 0;
}

int images_new(int fd_current, int fd_paths, struct images **ret)
{
	_cleanup_close_ int cur = fd_current;
	struct images *im = calloc(1, sizeof(*im));
	void *p;

	if (!im) {
		closep(&fd_paths);
		return -ENOMEM;
	}
	im->fd_paths = fd_paths;
	im->fd_current = steal_fd(&cur);
	p = mmap(NULL, (size_t)getpagesize(), PROT_READ, MAP_SHARED, im->fd_current, 0);
	im->current = p == MAP_FAILED ? NULL : p;
	im->lookup = lookup_in_map;
	im->lookup_arg = im;
	*ret = im;
	return 0;
}

void images_set_lookup(struct images *im, images_lookup_fn fn, void *arg)
{
	im->lookup = fn;
	im->lookup_arg = arg;
}

static void mapped_done(struct mapped *m)
{
	if (m->p)
		munmap(m->p, m->n);
	*m = (struct mapped){0};
}

struct images *images_free(struct images *im)
{
	if (!im)
		return NULL;
	for (size_t i = 0; i < OSH_SLOTS; i++)
		mapped_done(&im->slot[i]);
	mapped_done(&im->retired);
	for (size_t i = 0; i < PATH_CACHE; i++)
		free(im->paths[i].s);
	if (im->current)
		munmap((void *)(uintptr_t)im->current, (size_t)getpagesize());
	closep(&im->fd_current);
	closep(&im->fd_paths);
	free(im->bits);
	free(im);
	return NULL;
}

int images_add(struct images *im, uint64_t gen, uint64_t size, int fd)
{
	_cleanup_close_ int mapfd = fd;
	struct mapped m = {.gen = gen, .n = (size_t)size};
	struct mapped *slot = &im->slot[OSH_CURRENT_SLOT(OSH_CURRENT(gen))];
	void *p;
	int r;

	if (gen == 0 || size == 0 || size % OSH_IMG_PAGE || size > IMAGE_SIZE_MAX)
		return -EINVAL;
	p = mmap(NULL, m.n, PROT_READ, MAP_SHARED, mapfd, 0);
	if (p == MAP_FAILED)
		return -errno;
	m.p = p;
	r = image_open(&m.img, m.p, m.n);
	if (r < 0) {
		mapped_done(&m);
		return r;
	}
	mapped_done(&im->retired);
	im->retired = *slot;
	*slot = m;
	return 0;
}

static uint64_t current_word(const struct images *im)
{
	uint32_t key = 0;
	uint64_t w = 0;

	if (im->current)
		return atomic_load_explicit(im->current, memory_order_acquire);
	return bpf_map_lookup_elem(im->fd_current, &key, &w) < 0 ? 0 : w;
}

struct image_view images_of(const struct images *im, uint64_t gen)
{
	const struct mapped *m = &im->slot[OSH_CURRENT_SLOT(OSH_CURRENT(gen))];

	if (gen == 0 || m->gen != gen)
		return (struct image_view){0};
	return (struct image_view){.gen = m->gen, .img = &m->img};
}

struct image_view images_current(const struct images *im)
{
	return images_of(im, OSH_CURRENT_GEN(current_word(im)));
}

struct image_view images_next(const struct images *im)
{
	uint64_t gen = OSH_CURRENT_GEN(current_word(im));

	for (size_t i = 0; i < OSH_SLOTS; i++)
		if (im->slot[i].gen > gen)
			return images_of(im, im->slot[i].gen);
	return (struct image_view){0};
}

/* NULL: the id is gone, or never was. */
static const struct cached_path *path_of(struct images *im, uint32_t id)
{
	struct cached_path *c = &im->paths[id % PATH_CACHE];
	struct osh_path p;
	char *s;

	if (id == 0)
		return NULL;
	if (c->id == id)
		return c;
	if (im->lookup(im->lookup_arg, id, &p) < 0 || p.len == 0 || p.len >= OSH_PATH_MAX)
		return NULL;
	s = malloc(p.len + 1u);
	if (!s)
		return NULL;
	memcpy(s, p.path, p.len);
	s[p.len] = '\0';
	free(c->s);
	*c = (struct cached_path){.id = id, .len = p.len, .s = s};
	return c;
}

const char *images_path(struct images *im, uint32_t path_id)
{
	const struct cached_path *c = path_of(im, path_id);

	return c ? c->s : "";
}

/* Path strings copied out, since ids may share a place in the cache. */
struct ident_text {
	char text[2 + OSH_ANCESTORS_MAX][OSH_PATH_MAX];
	struct slice anc[OSH_ANCESTORS_MAX];
};

/* id 0 gives the empty path.  false: the id is gone. */
static bool copy_path(struct images *im, uint32_t id, char to[OSH_PATH_MAX], struct slice *ret)
{
	const struct cached_path *c = path_of(im, id);

	*ret = (struct slice){0};
	if (!c)
		return id == 0;
	memcpy(to, c->s, c->len);
	*ret = (struct slice){(const uint8_t *)to, c->len};
	return true;
}

static void compute_bits(struct images *im, const struct image *img, const struct osh_ident *id,
			 struct block_bits *ret)
{
	struct ident_text t;
	struct ident_paths who = {.anc = t.anc, .tainted = id->taint != 0};
	uint32_t nanc = id->nanc < OSH_ANCESTORS_MAX ? id->nanc : OSH_ANCESTORS_MAX;

	memset(ret, 0, sizeof(*ret));
	if (!copy_path(im, id->exe, t.text[0], &who.exe) || !copy_path(im, id->script, t.text[1], &who.script))
		return;
	for (uint32_t i = 0; i < nanc; i++) {
		if (!copy_path(im, id->anc[i], t.text[2 + i], &t.anc[who.nanc]))
			return;
		who.nanc += t.anc[who.nanc].n != 0;
	}
	image_ident_bits(img, &who, ret);
}

static size_t ident_hash(const struct osh_ident *id)
{
	const uint8_t *p = (const uint8_t *)id;
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a: the ids are the kernel's, not an attacker's choice */

	for (size_t i = 0; i < sizeof(*id); i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return (size_t)(h >> 17) % BITS_CACHE;
}

void images_ident_bits(struct images *im, struct image_view v, const struct osh_ident *id,
		       struct block_bits *ret)
{
	struct cached_bits *c;

	memset(ret, 0, sizeof(*ret));
	if (v.gen == 0)
		return;
	if (!im->bits)
		im->bits = calloc(BITS_CACHE, sizeof(*im->bits));
	if (!im->bits) {
		compute_bits(im, v.img, id, ret);
		return;
	}
	c = &im->bits[ident_hash(id)];
	if (c->gen != v.gen || memcmp(&c->id, id, sizeof(*id)) != 0) {
		compute_bits(im, v.img, id, &c->bits);
		c->id = *id;
		c->gen = v.gen;
	}
	*ret = c->bits;
}
