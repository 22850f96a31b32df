/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_image.c - the layout that the kernel programs read, and images that must be refused.
 */
#include "policy/image.h"
#include "tests/unit/policy_fixture.h"

static const char text[] =
	"version: 1\n"
	"network_policies:\n"
	"  a:\n"
	"    binaries: [{path: /c}, {path: /d, ancestors: false}]\n"
	"    endpoints: [{host: a.b.c, port: 443}, {host: 10.1.2.3, port: 80, tls: skip}]\n"
	"  b:\n"
	"    binaries: [{path: \"**\"}]\n"
	"    endpoints: [{host: \"**.b.c\", port: 443, protocol: rest, access: full}]\n";

/* The walk of abi.h, written down a second time. */
static uint32_t walk(const uint8_t *p, const struct osh_img_dfa *d, const char *in, size_t n)
{
	const struct osh_img_state *st = (const void *)(p + d->states_off);
	const struct osh_img_cell *ce = (const void *)(p + d->cells_off);
	uint32_t s = d->start;

	for (size_t i = 0; i < n; i++) {
		const struct osh_img_cell *c = &ce[st[s].base + (uint8_t)in[i]];

		s = c->check == s ? c->next : st[s].def;
	}
	return st[s].accept;
}

static void layout(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	const struct osh_img_hdr *h;
	const struct osh_img_binset *bin;
	const struct osh_img_dstset *dst;
	uint32_t a;

	(void)state;
	fixture_image(text, &f);
	h = (const void *)f.p;
	assert_true(h->magic == OSH_IMG_MAGIC && h->version == OSH_IMG_VERSION && h->nblocks == 2);
	assert_int_equal(h->size, f.n);
	assert_int_equal(f.n % OSH_IMG_PAGE, 0);
	assert_int_equal(h->bin.states_off, OSH_IMG_PAGE);
	assert_int_equal(h->bin.cells_off % OSH_IMG_PAGE, 0);
	assert_int_equal(h->dst.states_off % OSH_IMG_PAGE, 0);
	assert_int_equal(h->dst.cells_off % OSH_IMG_PAGE, 0);
	assert_int_equal(h->binset_off % OSH_IMG_PAGE, 0);
	assert_int_equal(h->dstset_off % OSH_IMG_PAGE, 0);
	assert_int_equal(h->l7_off % OSH_IMG_PAGE, 0);
	bin = (const void *)(f.p + h->binset_off);
	dst = (const void *)(f.p + h->dstset_off);

	a = walk(f.p, &h->bin, "/c", 2);
	assert_true(bin[a].self[0] == 3 && bin[a].anc[0] == 3 && bin[a].tself[0] == 2 &&
		    bin[a].tanc[0] == 2);
	a = walk(f.p, &h->bin, "/d", 2);
	assert_true(bin[a].self[0] == 3 && bin[a].anc[0] == 2 && bin[a].tself[0] == 2);
	a = walk(f.p, &h->bin, "/e", 2);
	assert_true(bin[a].self[0] == 2 && bin[a].self[1] == 0);

	a = walk(f.p, &h->dst, "na.b.c\0\1\xbb", 9);
	assert_true(dst[a].any[0] == 3 && dst[a].native[0] == 1 && dst[a].proxy[0] == 2 &&
		    dst[a].neps == 2);
	a = walk(f.p, &h->dst, "na.b.c\0", 7);
	assert_true(dst[a].any[0] == 3 && dst[a].native[0] == 1 && dst[a].proxy[0] == 2 &&
		    dst[a].neps == 0);
	a = walk(f.p, &h->dst, "nx.b.c\0\1\xbb", 9);
	assert_true(dst[a].any[0] == 2 && dst[a].neps == 1);
	assert_int_equal(*(const uint32_t *)(const void *)(f.p + dst[a].eps_off), 2);
	a = walk(f.p, &h->dst, "4\x0a\1\2\3\0\x50", 7);
	assert_true(dst[a].any[0] == 1 && dst[a].proxy[0] == 1 && dst[a].native[0] == 0);
	a = walk(f.p, &h->dst, "4\x0a\1\2\3", 5);
	assert_true(dst[a].any[0] == 1 && dst[a].neps == 0);
	assert_int_equal(walk(f.p, &h->dst, "na.b.c\0\1\xbc", 9), 0);
	assert_int_equal(walk(f.p, &h->dst, "nb.c\0\1\xbb", 7), 0);
	assert_int_equal(walk(f.p, &h->dst, "n10.1.2.3\0\0\x50", 12), 0);
	assert_int_equal(walk(f.p, &h->dst, "4\x0a\1\2\4\0\x50", 7), 0);
}

static void tables(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	const struct osh_img_hdr *h;
	const struct osh_img_dfa *d[2];

	(void)state;
	fixture_image(text, &f);
	h = (const void *)f.p;
	d[0] = &h->bin;
	d[1] = &h->dst;
	for (size_t k = 0; k < 2; k++) {
		const struct osh_img_state *st = (const void *)(f.p + d[k]->states_off);
		const struct osh_img_cell *ce = (const void *)(f.p + d[k]->cells_off);

		assert_true(st[0].base == 0 && st[0].def == 0 && st[0].accept == 0);
		for (uint32_t i = 0; i < d[k]->nstates; i++)
			assert_true(st[i].base + 255 < d[k]->ncells);
		for (uint32_t i = 0; i < d[k]->ncells; i++)
			assert_true(ce[i].check != 0 && ce[i].next < d[k]->nstates);
	}
}

/* The same text makes the same bytes. */
static void deterministic(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0}, g = {0};
	uint8_t digest[32];

	(void)state;
	fixture_image(text, &f);
	fixture_image(text, &g);
	assert_int_equal(f.n, g.n);
	assert_memory_equal(f.p, g.p, f.n);
	memset(digest, 7, sizeof(digest));
	image_set_sha256(f.p, digest);
	assert_int_equal(f.img.hdr->sha256[31], 7);
	assert_int_equal(image_open(&f.img, f.p, f.n), 0);
}

static void refused(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	struct osh_img_hdr *h, good;
	struct image img;

	(void)state;
	fixture_image(text, &f);
	h = (struct osh_img_hdr *)(void *)f.p;
	good = *h;
#define REFUSES(change)                                                                            \
	do {                                                                                       \
		change;                                                                            \
		assert_int_equal(image_open(&img, f.p, f.n), -EBADMSG);                            \
		*h = good;                                                                         \
	} while (0)
	REFUSES(h->magic++);
	REFUSES(h->version++);
	REFUSES(h->nblocks = OSH_BLOCKS_MAX + 1);
	REFUSES(h->nblocks--);
	REFUSES(h->size += OSH_IMG_PAGE);
	REFUSES(h->size--);
	REFUSES(h->size = OSH_IMG_PAGE);
	REFUSES(h->bin.states_off += 16);
	REFUSES(h->bin.nstates = 0);
	REFUSES(h->bin.start = h->bin.nstates);
	REFUSES(h->bin.ncells = 255);
	REFUSES(h->dst.cells_off = (uint32_t)f.n);
	REFUSES(h->dst.nstates = UINT32_MAX);
	REFUSES(h->nbinsets = 1);
	REFUSES(h->binset_off = 0xfffff000u);
	REFUSES(h->ndstsets = 0);
	REFUSES(h->l7_off = (uint32_t)f.n - 8);
	REFUSES(h->l7_off++);
#undef REFUSES
	assert_int_equal(image_open(&img, f.p, f.n - 1), -EBADMSG);
	assert_int_equal(image_open(&img, f.p, 0), -EBADMSG);
	assert_int_equal(image_open(&img, f.p, f.n), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout),
		cmocka_unit_test(tables),
		cmocka_unit_test(deterministic),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
