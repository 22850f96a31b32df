/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_user_image_walk.c - the kernel's readers of the image against those of user space: the same
 * answers on every image that image_open() takes, and an answer, whatever it is, on every other.
 *
 * The programs run by BPF_PROG_TEST_RUN and are attached to nothing.  Needs root.
 */
#include "tests/bpf/image_walk.h"
#include "tests/unit/policy_fixture.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "image_walk.skel.h"
#pragma GCC diagnostic pop

#include <bpf/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#define TGID 7u
#define NAME_ADDR 1u
#define SLOT 0u
#define ROUNDS 1500 /* damaged images of each policy */

static const char *const policies[] = {
	"version: 1\nnetwork_policies:\n"
	"  a: {binaries: [{path: /c}], endpoints: [{host: a.b, port: 1}]}\n",
	"version: 1\nnetwork_policies:\n"
	"  a:\n"
	"    binaries: [{path: /c, ancestors: false}, {path: \"/x/**/y*\"}, {path: \"**\"}]\n"
	"    endpoints:\n"
	"      - {host: \"**.x.b\", port: 1, tls: skip}\n"
	"      - {host: \"a*.b.c\", ports: [1, 443], protocol: rest, access: full}\n"
	"      - {host: 10.1.2.3, port: 1, protocol: rest, access: full,\n"
	"         allowed_ips: [10.0.0.0/8, \"fd00::/8\"]}\n"
	"  b: {binaries: [{path: \"/usr/bin/?\", allow_tainted: true}],\n"
	"      endpoints: [{port: 443, allowed_ips: [10.0.0.0/8]}, {host: \"*.b.c\", port: 443}]}\n"
	"  c: {binaries: [{path: /usr/bin/c}], endpoints: [{host: \"a.x.b\", port: 65535}]}\n",
};

static const char *const paths[] = {"/c",	  "/x/y",	"/x/a/b/yz",  "/usr/bin/c",
				    "/usr/bin/d", "/usr/bin/", "/usr/bin/dd", "/"};
static const char *const hosts[] = {"a.b",   "x.x.b", "a.x.b",	  "ab.b.c",  "b.b.c",	 "x.b",
				    "ax.b.c", "c.c",   "10.1.2.3", "10.9.9.9", "fd00::1", "8.8.8.8"};
static const uint16_t ports[] = {1, 443, 65535, 257};

struct rig {
	struct image_walk_bpf *skel;
	int image_fd;
	uint8_t *pages; /* of the kernel's image, writable */
	size_t n;
	uint64_t gen; /* even: slot 0 */
	uint64_t seed;
};

static uint32_t rnd(struct rig *r, uint32_t below)
{
	r->seed ^= r->seed << 13;
	r->seed ^= r->seed >> 7;
	r->seed ^= r->seed << 17;
	return (uint32_t)(r->seed >> 33) % below;
}

/* ------------------------------------------------------------------------------- the rig -- */

static bool rig_up(struct rig *r)
{
	if (geteuid() != 0)
		return false;
	*r = (struct rig){.image_fd = -1, .seed = 88172645463325252u};
	r->skel = image_walk_bpf__open_and_load();
	assert_non_null(r->skel);
	return true;
}

static void image_out(struct rig *r)
{
	if (r->pages)
		munmap(r->pages, r->n);
	if (r->image_fd >= 0)
		close(r->image_fd);
	r->pages = NULL;
	r->image_fd = -1;
}

static void rig_down(struct rig *r)
{
	image_out(r);
	image_walk_bpf__destroy(r->skel);
}

/* The kernel's copy of an image, in the slot that is asked. */
static void image_in(struct rig *r, const struct fixture_image *f)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	const uint32_t slot = SLOT;

	image_out(r);
	r->n = f->n;
	r->image_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "test_image", sizeof(uint32_t),
				     OSH_IMG_PAGE, (uint32_t)(f->n / OSH_IMG_PAGE), &o);
	assert_true(r->image_fd >= 0);
	r->pages = mmap(NULL, r->n, PROT_READ | PROT_WRITE, MAP_SHARED, r->image_fd, 0);
	assert_true(r->pages != MAP_FAILED);
	memcpy(r->pages, f->p, f->n);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(r->skel->maps.images), &slot, &r->image_fd,
					     BPF_ANY),
			 0);
}

/* ------------------------------------------------------------------------------ questions -- */

struct question {
	const char *exe, *script, *anc[2];
	const char *host;
	uint16_t port;
	bool tainted;
};

static struct question question_any(struct rig *r)
{
	return (struct question){
		.exe = paths[rnd(r, ARRAY_LEN(paths))],
		.script = rnd(r, 2) ? paths[rnd(r, ARRAY_LEN(paths))] : NULL,
		.anc = {paths[rnd(r, ARRAY_LEN(paths))], paths[rnd(r, ARRAY_LEN(paths))]},
		.host = hosts[rnd(r, ARRAY_LEN(hosts))],
		.port = ports[rnd(r, ARRAY_LEN(ports))],
		.tainted = rnd(r, 3) == 0,
	};
}

static void put(struct bpf_map *map, uint32_t key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, value, BPF_ANY), 0);
}

static uint32_t put_path(struct rig *r, uint32_t id, const char *text)
{
	struct osh_path p = {0};

	if (!text)
		return 0;
	p.len = (uint32_t)strlen(text);
	memcpy(p.path, text, p.len);
	put(r->skel->maps.paths, id, &p);
	return id;
}

/* Enters who asks, and for what, as the hooks and the resolver would: nothing is cached. */
static struct image_walk question_put(struct rig *r, const struct question *q)
{
	struct image_walk w = {.cur = OSH_CURRENT(r->gen), .tgid = TGID, .path = 1};
	struct osh_proc p = {0};
	struct dest d;

	p.id.exe = put_path(r, 1, q->exe);
	p.id.script = put_path(r, 2, q->script);
	p.id.anc[0] = put_path(r, 3, q->anc[0]);
	p.id.anc[1] = put_path(r, 4, q->anc[1]);
	p.id.nanc = 2;
	p.id.taint = q->tainted;
	put(r->skel->maps.procs, TGID, &p);
	dest_from_text(&d, slice_str(q->host), q->port);
	w.dst.port = q->port;
	w.dst.family = d.family;
	memcpy(w.dst.addr, d.addr, 16);
	if (d.host.n) {
		struct osh_name n = {.len = (uint32_t)d.host.n};

		memcpy(n.name, d.host.p, d.host.n);
		put(r->skel->maps.names, NAME_ADDR, &n);
		w.dst.name_addr = NAME_ADDR;
	}
	return w;
}

static void kernel_answers(struct rig *r, struct image_walk *w)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = w, .ctx_size_in = sizeof(*w));

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(r->skel->progs.image_walk), &o), 0);
	assert_int_equal(o.retval, 0);
}

/* What judge() must say by the word of user space. */
static uint32_t expected(const struct image *img, const struct question *q)
{
	const struct slice anc[2] = {slice_str(q->anc[0]), slice_str(q->anc[1])};
	const struct ident_paths id = {slice_str(q->exe), slice_str(q->script), anc, 2, q->tainted};
	struct connect_decision c;
	struct block_bits bits;
	struct dest d;

	image_ident_bits(img, &id, &bits);
	dest_from_text(&d, slice_str(q->host), q->port);
	image_decide_connect(img, &bits, &d, &c);
	if (c.reason == OSH_R_BINARY && q->tainted)
		c.reason = OSH_R_TAINTED;
	return (uint32_t)c.verdict << 8 | (uint32_t)c.reason;
}

static void compare(struct rig *r, const struct image *img, const struct question *q,
		    uint64_t *seen)
{
	struct image_walk w = question_put(r, q);
	uint32_t want = expected(img, q), set = image_binset(img, slice_str(q->exe));

	kernel_answers(r, &w);
	if (w.judged != want || w.binset != set)
		fail_msg("%s, script %s, of %s and %s%s, to %s:%u: kernel %x (set %u), user space "
			 "%x (set %u)",
			 q->exe, q->script ? q->script : "none", q->anc[0], q->anc[1],
			 q->tainted ? ", tainted" : "", q->host, q->port, w.judged, w.binset, want,
			 set);
	*seen |= 1ull << (want >> 8) | 1ull << (8 + (want & 0xff));
}

/* ---------------------------------------------------------------------------------- tests -- */

static void same_answers(void **state)
{
	uint64_t seen = 0;
	struct rig r;

	(void)state;
	if (!rig_up(&r))
		skip();
	for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
		_cleanup_(fixture_image_done) struct fixture_image f = {0};

		fixture_image(policies[i], &f);
		image_in(&r, &f);
		r.gen += 2;
		for (unsigned int k = 0; k < 3000; k++) {
			struct question q = question_any(&r);

			compare(&r, &f.img, &q, &seen);
		}
	}
	/* every verdict, and every reason that an image can be the cause of, was among them */
	assert_int_equal(seen & 7, 7);
	assert_true(seen >> (8 + OSH_R_NO_MATCH) & 1 && seen >> (8 + OSH_R_BINARY) & 1 &&
		    seen >> (8 + OSH_R_TAINTED) & 1);
	rig_down(&r);
}

/* A path id that is in no table lets nothing go, whatever the others match. */
static void unknown_path(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	const struct question q = {.exe = "/x/y", .script = "/x/y", .anc = {"/x/y", "/x/y"}, .host = "10.1.2.3", .port = 1};
	struct image_walk w;
	struct rig r;

	(void)state;
	if (!rig_up(&r))
		skip();
	fixture_image(policies[1], &f); /* of its block a, with "**" among the binaries */
	image_in(&r, &f);
	r.gen += 2;
	w = question_put(&r, &q);
	kernel_answers(&r, &w);
	assert_true(w.judged >> 8 != CONNECT_DENY);
	for (uint32_t id = 1; id <= 4; id++) {
		w = question_put(&r, &q);
		assert_int_equal(bpf_map_delete_elem(bpf_map__fd(r.skel->maps.paths), &id), 0);
		for (int again = 0; again < 2; again++) { /* computed, and remembered */
			kernel_answers(&r, &w);
			assert_int_equal(w.judged >> 8, CONNECT_DENY);
		}
	}
	rig_down(&r);
}

/* Where there is something to break: the header, the automata's tables, the sets; anywhere else. */
static uint32_t damage_at(struct rig *r, const struct fixture_image *f)
{
	const struct osh_img_hdr *h = f->img.hdr;

	switch (rnd(r, 8)) {
	case 0:
		return rnd(r, (uint32_t)sizeof(*h));
	case 1:
		return h->bin.states_off + rnd(r, h->bin.nstates * 16);
	case 2:
		return h->dst.states_off + rnd(r, h->dst.nstates * 16);
	case 3:
		return h->bin.cells_off + rnd(r, h->bin.ncells * 8);
	case 4:
		return h->dst.cells_off + rnd(r, h->dst.ncells * 8);
	case 5:
		return h->binset_off + rnd(r, h->nbinsets * 256);
	case 6:
		return h->dstset_off + rnd(r, h->ndstsets * 256);
	default:
		return rnd(r, (uint32_t)f->n);
	}
}

static void damage(struct rig *r, const struct fixture_image *f)
{
	static const uint32_t words[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 4096};

	memcpy(r->pages, f->p, f->n);
	for (unsigned int k = 1 + rnd(r, 6); k > 0; k--) {
		uint32_t at = damage_at(r, f), word = words[rnd(r, ARRAY_LEN(words))];

		if (rnd(r, 2))
			r->pages[at] = (uint8_t)rnd(r, 256);
		else
			memcpy(r->pages + (at & ~3u), &word, sizeof(word));
	}
}

static void damaged(void **state)
{
	unsigned int valid = 0;
	uint64_t seen = 0;
	struct rig r;

	(void)state;
	if (!rig_up(&r))
		skip();
	for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
		_cleanup_(fixture_image_done) struct fixture_image f = {0};

		fixture_image(policies[i], &f);
		image_in(&r, &f);
		for (unsigned int k = 0; k < ROUNDS; k++) {
			struct image img;
			bool opens;

			damage(&r, &f);
			r.gen += 2;
			opens = image_open(&img, r.pages, r.n) == 0;
			valid += opens;
			for (unsigned int n = 0; n < 4; n++) {
				struct question q = question_any(&r);
				struct image_walk w;

				if (opens) {
					compare(&r, &img, &q, &seen);
					continue;
				}
				w = question_put(&r, &q);
				kernel_answers(&r, &w);
				assert_true(w.judged >> 8 <= 2);
			}
		}
	}
	/* both kinds were there */
	assert_true(valid > 100 && valid < ARRAY_LEN(policies) * ROUNDS - 100);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_answers),
		cmocka_unit_test(unknown_path),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
