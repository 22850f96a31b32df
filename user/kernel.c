/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.c - loads bpf/enforce.bpf.c for one sandbox and keeps its tables.
 *
 * The object carries no configuration of its own: constants are set before loading, so that the verifier removes what
 * does not apply.  Every link is pinned: what was denied stays denied when the supervisor dies.
 */
#include "user/kernel.h"

#include "user/blob.h"
#include "user/kernel_btf.h"
#include "user/kernel_lsm.h"
#include "user/paths.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "enforce.skel.h" /* generated */
#pragma GCC diagnostic pop

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* The programs are verified by two threads, in objects of their own that share the maps of a third and are gone after
 * attaching: verification is most of the time of a start. */
#define LOADERS 2

struct kernel {
	struct enforce_bpf *skel; /* the maps; none of its programs is loaded */
	int btf_fd;		  /* own_btf(), until the programs are attached */
	char btf_path[64];	  /* of it, "": the kernel's own */
	volatile uint64_t *current; /* mmapped */
	int ncpus;
	/* The first image goes into its slot while other things start: the update waits for a grace period. */
	pthread_t publisher;
	bool publishing;
	uint32_t publish_slot;
	int publish_fd, publish_result;
	const char *lsm_missing; /* NULL: the layer is live, or to be tried */
	char lsm_text[160];
	char failed[64]; /* program that could not be attached */
	struct known_path *known; /* KNOWN_PATHS of them, by path id, which is never given to another path */
	struct paths_gone *gone;  /* NULL: nothing has been collected yet */
};

#define KNOWN_PATHS 512
struct known_path {
	uint32_t id;
	char path[OSH_PATH_MAX];
};

static const char *const taint_vars[] = {
#define X(s) s,
	OSH_TAINT_VARS(X)
#undef X
};
static const char *const interp_vars[] = {
#define X(s) s,
	OSH_INTERP_VARS(X)
#undef X
};
_Static_assert(ARRAY_LEN(taint_vars) + ARRAY_LEN(interp_vars) <= OSH_ENV_VARS_MAX, "abi");

static void env_var_set(struct enforce_bpf *s, const char *name, uint32_t taint)
{
	uint32_t i = s->rodata->env_nvars++;
	uint8_t text[24] = {0}, mask[24] = {0};
	size_t n = strlen(name);

	memcpy(text, name, n);
	if (text[n - 1] == '*')
		text[--n] = 0; /* every variable that begins so */
	else
		text[n++] = '=';
	memset(mask, 0xff, n);
	memcpy((void *)s->rodata->env_vars[i].w, text, sizeof(text));
	memcpy((void *)s->rodata->env_vars[i].mask, mask, sizeof(mask));
	s->rodata->env_vars[i].taint = taint;
	s->rodata->env_bucket[(uint8_t)((uint8_t)name[0] * 31 + (uint8_t)name[1])] = 1;
}

static void constants(struct enforce_bpf *s, const struct kernel_config *c)
{
	s->rodata->cfg_cgroup = c->cgroups->agent_id;
	s->rodata->cfg_level = c->cgroups->agent_level;
	s->rodata->cfg_tag = c->tag;
	s->rodata->cfg_uid = c->uid;
	s->rodata->cfg_proxy_port4 = c->proxy_port4;
	s->rodata->cfg_proxy_port6 = c->proxy_port6;
	s->rodata->cfg_dns_port4 = c->dns_port4;
	s->rodata->cfg_dns_port6 = c->dns_port6;
	for (size_t i = 0; i < ARRAY_LEN(taint_vars); i++)
		env_var_set(s, taint_vars[i], (uint32_t)i + 1);
	for (size_t i = 0; i < ARRAY_LEN(interp_vars); i++)
		env_var_set(s, interp_vars[i], 0);
}

static bool is_lsm(const char *program)
{
	return strncmp(program, "lsm_", 4) == 0;
}

static int pin_link(struct bpf_link *l, const char *dir, const char *name)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	return bpf_link__pin(l, path);
}

/* The agent's and the proxy's programs go to their cgroups by the prefix of their names; tracepoints are global. */
static int attach(struct enforce_bpf *s, const struct kernel_config *c, const char **ret_what)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, s->obj)
	{
		const char *name = bpf_program__name(p);
		struct bpf_link *l;
		int r;

		if (!bpf_program__autoload(p))
			continue;

		if (strncmp(name, "agent_", 6) == 0)
			l = bpf_program__attach_cgroup(p, c->cgroups->fd[CGROUP_AGENT]);
		else if (strncmp(name, "proxy_", 6) == 0)
			l = bpf_program__attach_cgroup(p, c->cgroups->fd[CGROUP_PROXY]);
		else
			l = bpf_program__attach(p);
		if (!l) {
			*ret_what = name;
			return -errno;
		}
		r = pin_link(l, c->pin_dir, name);
		if (is_lsm(name))
			close(bpf_link__fd(l)); /* else taking the pin away would not detach it (lsm_detach()) */
		bpf_link__disconnect(l); /* the pin holds it; closing ours must not detach */
		bpf_link__destroy(l);
		if (r < 0) {
			*ret_what = name;
			return r;
		}
	}
	return 0;
}

static int print_warnings(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0; /* seen with -v */
}

/* On the kernel that built us the types are at hand, and libbpf need not read all of its BTF. A memfd with them, or -1. */
static int own_btf(void)
{
	size_t n = (size_t)(kernel_notes_end - kernel_notes), size = (size_t)(kernel_min_btf_end - kernel_min_btf);
	_cleanup_close_ int notes = open("/sys/kernel/notes", O_RDONLY | O_CLOEXEC), fd = -1;
	_cleanup_free_ char *buf = malloc(n + 1);

	if (notes < 0 || !buf || !n || read(notes, buf, n + 1) != (ssize_t)n || memcmp(buf, kernel_notes, n) != 0)
		return -1;
	fd = memfd_create("btf", MFD_CLOEXEC);
	if (fd < 0 || write(fd, kernel_min_btf, size) != (ssize_t)size)
		return -1;
	return steal_fd(&fd);
}

struct loader {
	struct enforce_bpf *maps; /* whose maps to use */
	struct enforce_bpf *skel;
	const struct kernel_config *config;
	const char *btf_path; /* NULL: the kernel's own */
	unsigned int part;
	int result;
};

static int open_object(const char *btf_path, const struct kernel_config *c, bool lsm, struct enforce_bpf **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, o, .btf_custom_path = btf_path);
	struct enforce_bpf *s = enforce_bpf__open_opts(&o);

	if (!s)
		return -errno;
	constants(s, c);
	(void)bpf_map__set_autocreate(s->maps.unix_listed, lsm);
	*ret = s;
	return 0;
}

/* Halves of about the same work: IPv6 and the proxy's programs, and the rest; and the LSM programs, which may fail. */
#define PART_LSM LOADERS
static unsigned int part_of(const char *program)
{
	if (is_lsm(program))
		return PART_LSM;
	return program[strlen(program) - 1] == '6' || strncmp(program, "proxy_", 6) == 0;
}

static int share_maps(struct loader *l)
{
	struct bpf_map *from, *to;

	bpf_object__for_each_map(from, l->maps->obj)
	{
		int r;

		to = bpf_object__find_map_by_name(l->skel->obj, bpf_map__name(from));
		if (!to)
			return -ENOENT;
		if (!bpf_map__autocreate(from))
			continue;
		r = bpf_map__reuse_fd(to, bpf_map__fd(from));
		if (r < 0)
			return r;
	}
	return 0;
}

static void *load_part(void *arg)
{
	struct loader *l = arg;
	struct bpf_program *p;

	l->result = open_object(l->btf_path, l->config, bpf_map__autocreate(l->maps->maps.unix_listed), &l->skel);
	if (l->result < 0)
		return NULL;
	bpf_object__for_each_program(p, l->skel->obj)
		(void)bpf_program__set_autoload(p, part_of(bpf_program__name(p)) == l->part);
	l->result = share_maps(l);
	if (l->result == 0)
		l->result = enforce_bpf__load(l->skel);
	return NULL;
}

static int load_maps(struct kernel *k, const struct kernel_config *c)
{
	struct bpf_program *p;
	int r = open_object(k->btf_path[0] ? k->btf_path : NULL, c, !k->lsm_missing, &k->skel);

	if (r < 0)
		return r;
	bpf_object__for_each_program(p, k->skel->obj)
		(void)bpf_program__set_autoload(p, false);
	return enforce_bpf__load(k->skel);
}

static int load_programs(struct kernel *k, const struct kernel_config *c, const char *btf_path,
			 struct loader loaders[LOADERS])
{
	pthread_t thread[LOADERS];
	bool threaded[LOADERS] = {false};
	int r = 0;

	for (unsigned int i = 0; i < LOADERS; i++) {
		loaders[i] = (struct loader){.maps = k->skel, .config = c, .btf_path = btf_path, .part = i};
		if (i + 1 < LOADERS)
			threaded[i] = pthread_create(&thread[i], NULL, load_part, &loaders[i]) == 0;
		if (!threaded[i])
			load_part(&loaders[i]);
	}
	for (unsigned int i = 0; i < LOADERS; i++) {
		if (threaded[i])
			(void)pthread_join(thread[i], NULL);
		if (loaders[i].result < 0)
			r = loaders[i].result;
	}
	return r;
}

static void loaders_done(struct loader loaders[LOADERS])
{
	for (unsigned int i = 0; i < LOADERS; i++) {
		enforce_bpf__destroy(loaders[i].skel);
		loaders[i].skel = NULL;
	}
}

static int pin_maps(const struct kernel *k, const char *dir)
{
	static const struct {
		enum kernel_map map;
		const char *name;
	} pins[] = {{KMAP_STATS, KERNEL_PIN_STATS},
		    {KMAP_EVENTS, KERNEL_PIN_EVENTS},
		    {KMAP_SUPPRESSED, KERNEL_PIN_SUPPRESSED},
		    {KMAP_TOLD, KERNEL_PIN_TOLD}};

	for (size_t i = 0; i < ARRAY_LEN(pins); i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, pins[i].name) < 0)
			return -ENOMEM;
		if (bpf_obj_pin(kernel_map_fd(k, pins[i].map), path) < 0)
			return -errno;
	}
	return 0;
}

int kernel_new(const struct kernel_config *c, struct kernel **ret)
{
	struct kernel *k = calloc(1, sizeof(*k));
	void *p;
	int r;

	if (!k)
		return -ENOMEM;
	libbpf_set_print(print_warnings);
	k->btf_fd = own_btf();
	if (k->btf_fd >= 0)
		snprintf(k->btf_path, sizeof(k->btf_path), "/proc/self/fd/%d", k->btf_fd);
	k->lsm_missing = lsm_offered() ? NULL : "not built into this kernel (CONFIG_BPF_LSM)";
	r = load_maps(k, c);
	if (r < 0)
		goto fail;
	r = pin_maps(k, c->pin_dir);
	if (r < 0)
		goto fail;
	p = mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED,
		 bpf_map__fd(k->skel->maps.current), 0);
	if (p == MAP_FAILED) {
		r = -errno;
		goto fail;
	}
	k->current = p;
	k->ncpus = libbpf_num_possible_cpus();
	k->known = calloc(KNOWN_PATHS, sizeof(*k->known));
	if (!k->known) {
		r = -ENOMEM;
		goto fail;
	}
	*ret = k;
	return 0;
fail:
	kernel_free(k);
	return r;
}

/* Nothing of the layer stays when it is not whole. */
static void lsm_detach(struct enforce_bpf *s, const char *pin_dir)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, s->obj)
	{
		_cleanup_free_ char *path = NULL;

		if (is_lsm(bpf_program__name(p)) && asprintf(&path, "%s/%s", pin_dir, bpf_program__name(p)) > 0)
			(void)unlink(path);
	}
}

/* Never fails the start: what it misses is said. */
static void load_lsm(struct kernel *k, const struct kernel_config *c)
{
	struct loader l = {.maps = k->skel, .config = c, .part = PART_LSM};
	const char *what = "load";
	int r;

	if (k->lsm_missing)
		return;
	load_part(&l);
	r = l.result;
	if (r == 0)
		r = attach(l.skel, c, &what);
	if (r < 0)
		snprintf(k->lsm_text, sizeof(k->lsm_text), "refused when loaded (%s: %s)", what, strerror(-r));
	else if (!lsm_live(c->cgroups))
		snprintf(k->lsm_text, sizeof(k->lsm_text), "programs load, but are not called (no bpf in lsm=)");
	if (k->lsm_text[0]) {
		k->lsm_missing = k->lsm_text;
		if (l.skel)
			lsm_detach(l.skel, c->pin_dir);
	}
	enforce_bpf__destroy(l.skel);
}

const char *kernel_lsm_missing(const struct kernel *k)
{
	return k->lsm_missing;
}

int kernel_list_unix(struct kernel *k, int path_fd)
{
	uint32_t tag = k->skel->rodata->cfg_tag;

	if (k->lsm_missing)
		return 0;
	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.unix_listed), &path_fd, &tag, BPF_ANY) < 0 ? -errno : 0;
}

int kernel_attach(struct kernel *k, const struct kernel_config *c, const char **ret_what)
{
	struct loader loaders[LOADERS] = {0};
	int r;

	*ret_what = "load";
	r = load_programs(k, c, k->btf_path[0] ? k->btf_path : NULL, loaders);
	if (r < 0 && k->btf_path[0]) {
		loaders_done(loaders);
		r = load_programs(k, c, NULL, loaders);
	}
	for (unsigned int i = 0; r == 0 && i < LOADERS; i++)
		r = attach(loaders[i].skel, c, ret_what);
	snprintf(k->failed, sizeof(k->failed), "%s", *ret_what);
	*ret_what = k->failed;
	loaders_done(loaders);
	if (r == 0)
		load_lsm(k, c);
	closep(&k->btf_fd);
	k->btf_fd = -1;
	return r;
}

struct kernel *kernel_free(struct kernel *k)
{
	if (!k)
		return NULL;
	(void)kernel_published(k);
	if (k->current)
		munmap((void *)k->current, (size_t)getpagesize());
	enforce_bpf__destroy(k->skel);
	closep(&k->btf_fd);
	free(k->known);
	paths_gone_free(k->gone);
	free(k);
	return NULL;
}

static struct bpf_map *map_of(const struct kernel *k, enum kernel_map m)
{
	switch (m) {
	case KMAP_CURRENT:
		return k->skel->maps.current;
	case KMAP_NAMES:
		return k->skel->maps.names;
	case KMAP_PATHS:
		return k->skel->maps.paths;
	case KMAP_PATH_IDS:
		return k->skel->maps.path_ids;
	case KMAP_ACCEPTED:
		return k->skel->maps.accepted;
	case KMAP_DNS_CLIENTS:
		return k->skel->maps.dns_clients;
	case KMAP_SOCKS:
		return k->skel->maps.socks;
	case KMAP_PROCS:
		return k->skel->maps.procs;
	case KMAP_HOST_ADDRS:
		return k->skel->maps.host_addrs;
	case KMAP_UPSTREAM_DNS:
		return k->skel->maps.upstream_dns;
	case KMAP_STATS:
		return k->skel->maps.stats;
	case KMAP_EVENTS:
		return k->skel->maps.events;
	case KMAP_SUPPRESSED:
		return k->skel->maps.suppressed;
	case KMAP_TOLD:
		return k->skel->maps.told;
	}
	return NULL;
}

int kernel_map_fd(const struct kernel *k, enum kernel_map m)
{
	return bpf_map__fd(map_of(k, m));
}

int kernel_map_export(const struct kernel *k, enum kernel_map m, bool rdonly)
{
	struct bpf_map_info info = {0};
	uint32_t n = sizeof(info);
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, o, .open_flags = rdonly ? BPF_F_RDONLY : 0);

	if (bpf_obj_get_info_by_fd(kernel_map_fd(k, m), &info, &n) < 0)
		return -errno;
	return bpf_map_get_fd_by_id_opts(info.id, &o);
}

int kernel_mark_listener(struct kernel *k, int fd)
{
	uint32_t tag = k->skel->rodata->cfg_tag;

	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.listeners), &fd, &tag, BPF_ANY);
}

void kernel_open_launch(struct kernel *k)
{
	__atomic_store_n(&k->skel->bss->launch_open, 1, __ATOMIC_SEQ_CST);
}

#define STATUS_MAX (1u << 20) /* the groups are one line of it */

int kernel_count_filters(struct kernel *k, pid_t pid)
{
	static const char key[] = "\nSeccomp_filters:";
	_cleanup_free_ char *text = NULL;
	uint32_t n = UINT32_MAX; /* no such line: a kernel without filters (fs/proc/array.c), so nobody can have one */
	char path[64];
	const char *line;
	size_t size;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	r = read_whole_file(path, STATUS_MAX, &text, &size);
	if (r < 0)
		return r;
	line = strstr(text, key);
	if (line)
		n = (uint32_t)strtoul(line + sizeof(key) - 1, NULL, 10);
	__atomic_store_n(&k->skel->bss->init_filters, n, __ATOMIC_SEQ_CST);
	return 0;
}

static void *publish_slot(void *arg)
{
	struct kernel *k = arg;

	k->publish_result =
		bpf_map_update_elem(bpf_map__fd(k->skel->maps.images), &k->publish_slot, &k->publish_fd, BPF_ANY);
	return NULL;
}

int kernel_published(struct kernel *k)
{
	if (k->publishing)
		(void)pthread_join(k->publisher, NULL);
	k->publishing = false;
	return k->publish_result;
}

/* A frozen map with the image, validated in place; not in any slot yet. */
static int publish_map(int image_fd, struct published *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	struct published p = {.map_fd = -1};
	struct stat st;
	size_t done = 0;
	int r;

	if (fstat(image_fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)OSH_IMG_PAGE || st.st_size % OSH_IMG_PAGE || st.st_size > (1 << 30))
		return -EBADMSG;
	p.map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "osh_image", sizeof(uint32_t), OSH_IMG_PAGE,
				  (uint32_t)(st.st_size / OSH_IMG_PAGE), &o);
	if (p.map_fd < 0)
		return p.map_fd;
	p.image.n = (size_t)st.st_size;
	p.base = mmap(NULL, p.image.n, PROT_READ | PROT_WRITE, MAP_SHARED, p.map_fd, 0);
	if (p.base == MAP_FAILED) {
		p.base = NULL;
		r = -errno;
		goto fail;
	}
	while (done < p.image.n) {
		ssize_t n = pread(image_fd, (uint8_t *)p.base + done, p.image.n - done, (off_t)done);

		if (n <= 0) {
			r = n < 0 ? -errno : -EBADMSG;
			goto fail;
		}
		done += (size_t)n;
	}
	munmap(p.base, p.image.n); /* freezing needs no writable mapping left */
	p.base = NULL;
	r = bpf_map_freeze(p.map_fd);
	if (r < 0)
		goto fail;
	p.base = mmap(NULL, p.image.n, PROT_READ, MAP_SHARED, p.map_fd, 0);
	if (p.base == MAP_FAILED) {
		p.base = NULL;
		r = -errno;
		goto fail;
	}
	r = image_open(&p.image, p.base, (size_t)st.st_size);
	if (r < 0)
		goto fail;
	*ret = p;
	return 0;
fail:
	p.image.n = (size_t)st.st_size;
	published_done(&p);
	return r;
}

int kernel_publish(struct kernel *k, uint64_t gen, int image_fd, bool background, struct published *ret)
{
	struct published p;
	int r = publish_map(image_fd, &p);

	if (r < 0)
		return r;
	p.gen = gen;
	k->publish_slot = (uint32_t)(gen & 1);
	k->publish_fd = p.map_fd;
	k->publish_result = 0;
	k->publishing = background && pthread_create(&k->publisher, NULL, publish_slot, k) == 0;
	if (!k->publishing)
		publish_slot(k);
	if (!k->publishing && k->publish_result < 0) {
		published_done(&p);
		return k->publish_result;
	}
	*ret = p;
	return 0;
}

void published_done(struct published *p)
{
	if (p->base)
		munmap(p->base, p->image.n);
	if (p->map_fd > 0)
		closep(&p->map_fd);
	*p = (struct published){.map_fd = -1};
}

void kernel_set_current(struct kernel *k, uint64_t gen)
{
	__atomic_store_n(k->current, OSH_CURRENT(gen), __ATOMIC_SEQ_CST);
}

int kernel_grace(struct kernel *k, const struct published *p)
{
	uint32_t slot = (uint32_t)(p->gen & 1);

	/* An update of the outer map returns after a grace period (kernel/bpf/syscall.c, maybe_wait_bpf_programs). */
	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.images), &slot, &p->map_fd, BPF_ANY);
}

int kernel_path(const struct kernel *k, uint32_t id, char *buf)
{
	struct known_path *c = &k->known[id % KNOWN_PATHS];
	struct osh_path p;

	buf[0] = '\0';
	if (!id)
		return -ENOENT;
	if (c->id != id) {
		const char *text = p.path;

		if (bpf_map_lookup_elem(kernel_map_fd(k, KMAP_PATHS), &id, &p) < 0)
			text = paths_gone_text(k->gone, id);
		if (!text)
			return -ENOENT;
		memcpy(c->path, text, OSH_PATH_MAX);
		c->path[OSH_PATH_MAX - 1] = '\0';
		c->id = id;
	}
	strcpy(buf, c->path);
	return 0;
}

int kernel_name(const struct kernel *k, uint32_t addr, char *buf)
{
	struct osh_name n;

	buf[0] = '\0';
	if (!addr || bpf_map_lookup_elem(kernel_map_fd(k, KMAP_NAMES), &addr, &n) < 0)
		return -ENOENT;
	memcpy(buf, n.name, OSH_NAME_MAX);
	buf[OSH_NAME_MAX - 1] = '\0';
	return 0;
}

uint64_t kernel_stat(const struct kernel *k, enum osh_stat s)
{
	_cleanup_free_ uint64_t *v = calloc((size_t)k->ncpus, sizeof(*v));
	uint32_t key = s;
	uint64_t sum = 0;

	if (!v || bpf_map_lookup_elem(kernel_map_fd(k, KMAP_STATS), &key, v) < 0)
		return 0;
	for (int i = 0; i < k->ncpus; i++)
		sum += v[i];
	return sum;
}

size_t kernel_count(const struct kernel *k, enum kernel_map m)
{
	uint8_t key[OSH_PATH_MAX], next[OSH_PATH_MAX];
	int fd = kernel_map_fd(k, m);
	size_t n = 0;

	if (bpf_map_get_next_key(fd, NULL, next) < 0)
		return 0;
	do {
		memcpy(key, next, sizeof(key));
		n++;
	} while (n < 200000 && bpf_map_get_next_key(fd, key, next) == 0);
	return n;
}

/* --- paths that nobody has any more -------------------------------------------------------------------- */

#define PATHS_COLLECT_AT 8192 /* half of the table */
#define PATHS_HURRY_AT 12288

void kernel_collect_paths(struct kernel *k, int (*mark_flows)(void *arg, struct path_marks *m), void *arg)
{
	const struct path_tables t = {
		.procs = kernel_map_fd(k, KMAP_PROCS),
		.paths = kernel_map_fd(k, KMAP_PATHS),
		.path_ids = kernel_map_fd(k, KMAP_PATH_IDS),
		.images = bpf_map__fd(k->skel->maps.images),
		.current = k->current,
		.last_id = &k->skel->bss->last_path_id,
		.round = &k->skel->bss->path_round,
	};

	/* What is hidden now goes at the next call, so that the proxy has had its time with what has just ended; but not
	 * when programs are about to find the table full. */
	if (kernel_count(k, KMAP_PATHS) >= PATHS_COLLECT_AT)
		(void)paths_collect(&t, mark_flows, arg, &k->gone);
	if (kernel_count(k, KMAP_PATHS) >= PATHS_HURRY_AT)
		(void)paths_collect(&t, mark_flows, arg, &k->gone);
}
