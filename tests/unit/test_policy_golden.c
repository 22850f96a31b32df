/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_golden.c - the layout of the image, written down: sizes and offsets of its structures and
 * the tables of one small policy, compared with tests/data/image.golden.
 *
 * Images outlive the program that made them (a running sandbox holds one), so a change of what this
 * prints is a change of the format.  After OSH_IMG_VERSION (kernel's part) or IMG_L7_VERSION was
 * raised, write the file anew:  OSH_GOLDEN_WRITE=1 make unit ONLY=policy_golden
 */
#include "policy/image_view.h"
#include "tests/unit/policy_fixture.h"

#define GOLDEN "tests/data/image.golden"

static const char policy[] =
	"version: 1\n"
	"network_policies:\n"
	"  a:\n"
	"    name: first\n"
	"    binaries: [{path: /c, ancestors: false}, {path: \"/x/*\", allow_tainted: true}]\n"
	"    endpoints:\n"
	"      - {host: a.b, port: 443}\n"
	"      - {host: \"*.b.c\", ports: [80, 443], protocol: rest, path: \"/s/**\", enforcement: audit,\n"
	"         allow_encoded_slash: true,\n"
	"         rules: [{allow: {method: GET, path: \"/s/?\", query: {q: \"v*\"}}}],\n"
	"         deny_rules: [{path: \"/s/t\"}]}\n"
	"  b:\n"
	"    binaries: [{path: \"**\"}]\n"
	"    endpoints:\n"
	"      - {host: 10.1.2.3, port: 1, tls: skip}\n"
	"      - {host: x.b.c, port: 80, protocol: rest, access: read-only, allowed_ips: [10.0.0.0/8]}\n";

/* -------------------------------------------------------------------------- structures -- */

#define SIZE(f, s) fprintf(f, "%s: %zu bytes\n", #s, sizeof(struct s))
#define FIELD(f, s, m) fprintf(f, "    %-16s at %zu\n", #m, offsetof(struct s, m))

static void print_kernel_part(FILE *f)
{
	fprintf(f, "kernel's part, version %u\n", OSH_IMG_VERSION);
	SIZE(f, osh_img_hdr);
	FIELD(f, osh_img_hdr, magic);
	FIELD(f, osh_img_hdr, version);
	FIELD(f, osh_img_hdr, nblocks);
	FIELD(f, osh_img_hdr, size);
	FIELD(f, osh_img_hdr, bin);
	FIELD(f, osh_img_hdr, dst);
	FIELD(f, osh_img_hdr, binset_off);
	FIELD(f, osh_img_hdr, nbinsets);
	FIELD(f, osh_img_hdr, dstset_off);
	FIELD(f, osh_img_hdr, ndstsets);
	FIELD(f, osh_img_hdr, l7_off);
	FIELD(f, osh_img_hdr, sha256);
	SIZE(f, osh_img_dfa);
	FIELD(f, osh_img_dfa, states_off);
	FIELD(f, osh_img_dfa, nstates);
	FIELD(f, osh_img_dfa, cells_off);
	FIELD(f, osh_img_dfa, ncells);
	FIELD(f, osh_img_dfa, start);
	SIZE(f, osh_img_state);
	FIELD(f, osh_img_state, base);
	FIELD(f, osh_img_state, def);
	FIELD(f, osh_img_state, accept);
	SIZE(f, osh_img_cell);
	FIELD(f, osh_img_cell, check);
	FIELD(f, osh_img_cell, next);
	SIZE(f, osh_img_binset);
	FIELD(f, osh_img_binset, self);
	FIELD(f, osh_img_binset, anc);
	FIELD(f, osh_img_binset, tself);
	FIELD(f, osh_img_binset, tanc);
	SIZE(f, osh_img_dstset);
	FIELD(f, osh_img_dstset, any);
	FIELD(f, osh_img_dstset, proxy);
	FIELD(f, osh_img_dstset, native);
	FIELD(f, osh_img_dstset, eps_off);
	FIELD(f, osh_img_dstset, neps);
}

static void print_l7_part(FILE *f)
{
	fprintf(f, "user space's part, version %u\n", IMG_L7_VERSION);
	SIZE(f, img_l7_hdr);
	FIELD(f, img_l7_hdr, magic);
	FIELD(f, img_l7_hdr, version);
	FIELD(f, img_l7_hdr, blocks);
	FIELD(f, img_l7_hdr, endpoints);
	FIELD(f, img_l7_hdr, lists);
	FIELD(f, img_l7_hdr, nets);
	FIELD(f, img_l7_hdr, rules);
	FIELD(f, img_l7_hdr, sets);
	FIELD(f, img_l7_hdr, setrules);
	FIELD(f, img_l7_hdr, conds);
	FIELD(f, img_l7_hdr, strings);
	FIELD(f, img_l7_hdr, dfa);
	SIZE(f, img_block);
	FIELD(f, img_block, name);
	FIELD(f, img_block, first_endpoint);
	FIELD(f, img_block, nendpoints);
	FIELD(f, img_block, line);
	SIZE(f, img_endpoint);
	FIELD(f, img_endpoint, block);
	FIELD(f, img_endpoint, line);
	FIELD(f, img_endpoint, host);
	FIELD(f, img_endpoint, flags);
	FIELD(f, img_endpoint, protocol);
	FIELD(f, img_endpoint, tls);
	FIELD(f, img_endpoint, selector);
	FIELD(f, img_endpoint, start);
	FIELD(f, img_endpoint, first_rule);
	FIELD(f, img_endpoint, nrules);
	FIELD(f, img_endpoint, first_net);
	FIELD(f, img_endpoint, nnets);
	SIZE(f, img_net);
	FIELD(f, img_net, family);
	FIELD(f, img_net, prefix);
	FIELD(f, img_net, addr);
	SIZE(f, img_rule);
	FIELD(f, img_rule, text);
	FIELD(f, img_rule, line);
	FIELD(f, img_rule, deny);
	FIELD(f, img_rule, first_cond);
	FIELD(f, img_rule, nconds);
	SIZE(f, img_cond);
	FIELD(f, img_cond, name);
	FIELD(f, img_cond, start);
	SIZE(f, img_ruleset);
	FIELD(f, img_ruleset, deny);
	FIELD(f, img_ruleset, allow);
	FIELD(f, img_ruleset, first);
	FIELD(f, img_ruleset, n);
}

/* ------------------------------------------------------------------------------- tables -- */

static void print_dfa(FILE *f, const struct image *img, const char *name, const struct osh_img_dfa *d)
{
	const struct osh_img_state *s = (const void *)(img->p + d->states_off);
	const struct osh_img_cell *c = (const void *)(img->p + d->cells_off);

	fprintf(f, "automaton %s: %u states at %u, %u cells at %u, starts in %u\n", name, d->nstates,
		d->states_off, d->ncells, d->cells_off, d->start);
	for (uint32_t i = 0; i < d->nstates; i++)
		fprintf(f, "    state %u: base %u def %u accept %u\n", i, s[i].base, s[i].def,
			s[i].accept);
	for (uint32_t i = 0; i < d->ncells; i++)
		if (c[i].check != UINT32_MAX)
			fprintf(f, "    cell %u: check %u next %u\n", i, c[i].check, c[i].next);
}

/* Words of a table, eight on a line; zero lines are left out. */
static void print_words(FILE *f, const struct image *img, const char *name, uint32_t off, size_t bytes)
{
	const uint32_t *w = (const void *)(img->p + off);
	size_t n = bytes / 4;

	fprintf(f, "%s: %zu bytes at %u\n", name, bytes, off);
	for (size_t i = 0; i < n; i += 8) {
		bool any = false;

		for (size_t k = i; k < n && k < i + 8; k++)
			any |= w[k] != 0;
		if (!any)
			continue;
		fprintf(f, "    %zu:", i * 4);
		for (size_t k = i; k < n && k < i + 8; k++)
			fprintf(f, " %x", w[k]);
		fprintf(f, "\n");
	}
}

static void print_image(FILE *f, const struct image *img)
{
	const struct osh_img_hdr *h = img->hdr;
	const struct img_l7_hdr *l = view_l7(img);
	const struct img_str all = {0, l->strings.n};

	fprintf(f, "image: %zu bytes, %u blocks, user space's part at %u\n", img->n, h->nblocks,
		h->l7_off);
	print_dfa(f, img, "bin", &h->bin);
	print_dfa(f, img, "dst", &h->dst);
	print_dfa(f, img, "requests", &l->dfa);
#define WORDS(name, off, n, type) print_words(f, img, name, off, (n) * sizeof(type))
	WORDS("binary sets", h->binset_off, h->nbinsets, struct osh_img_binset);
	WORDS("destination sets", h->dstset_off, h->ndstsets, struct osh_img_dstset);
	WORDS("blocks", l->blocks.off, l->blocks.n, struct img_block);
	WORDS("endpoints", l->endpoints.off, l->endpoints.n, struct img_endpoint);
	WORDS("lists", l->lists.off, l->lists.n, uint32_t);
	WORDS("nets", l->nets.off, l->nets.n, struct img_net);
	WORDS("rules", l->rules.off, l->rules.n, struct img_rule);
	WORDS("rule sets", l->sets.off, l->sets.n, struct img_ruleset);
	WORDS("rules of sets", l->setrules.off, l->setrules.n, uint32_t);
	WORDS("conditions", l->conds.off, l->conds.n, struct img_cond);
	fprintf(f, "strings: %u bytes at %u\n    ", l->strings.n, l->strings.off);
	for (uint32_t i = 0; i < all.n; i++)
		fputc(img->p[l->strings.off + i] ? img->p[l->strings.off + i] : '|', f);
	fprintf(f, "\n");
}

/* --------------------------------------------------------------------------------- test -- */

static char *print_all(const struct image *img)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	print_kernel_part(f);
	print_l7_part(f);
	print_image(f, img);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void write_golden(const char *text)
{
	_cleanup_fclose_ FILE *f = fopen(GOLDEN, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void golden(void **state)
{
	_cleanup_(fixture_image_done) struct fixture_image f = {0};
	_cleanup_free_ char *got = NULL, *want = NULL;
	size_t n, line = 1;

	(void)state;
	fixture_image(policy, &f);
	got = print_all(&f.img);
	if (getenv("OSH_GOLDEN_WRITE"))
		write_golden(got);
	want = fixture_read(GOLDEN, &n);
	for (size_t i = 0; got[i] || want[i]; i++) {
		if (got[i] != want[i])
			fail_msg("the image is not laid out as " GOLDEN " says, from its line %zu on. If that "
				 "is meant, raise OSH_IMG_VERSION (bpf/abi.h: what the kernel reads) or "
				 "IMG_L7_VERSION (policy/image.h: what only user space reads), and write the "
				 "file anew: OSH_GOLDEN_WRITE=1 make unit ONLY=policy_golden. (Where only the "
				 "numbers of states and cells changed, old images still mean what they meant, "
				 "and the file alone is enough.)",
				 line);
		line += got[i] == '\n';
	}
}

/* Comments, blanks and the order of keys in a map are no part of the meaning. */
static void same_bytes(void **state)
{
	static const char one[] =
		"version: 1\nnetwork_policies:\n  a: {binaries: [{path: /c}], endpoints: "
		"[{host: a.b, port: 443, protocol: rest, access: full}]}\n";
	static const char other[] =
		"network_policies:\n  a: {endpoints: [{access: full, port: 443, protocol: rest, "
		"host: A.b.}], binaries: [{path: \"/c\"}]} # said otherwise\nversion: 1\n";
	_cleanup_(fixture_image_done) struct fixture_image f = {0}, g = {0};

	(void)state;
	fixture_image(one, &f);
	fixture_image(one, &g);
	assert_int_equal(f.n, g.n);
	assert_memory_equal(f.p, g.p, f.n);
	fixture_image_done(&g);
	fixture_image(other, &g);
	assert_int_equal(f.n, g.n);
	/* all that the kernel reads; the lines of rules stand in the rest */
	assert_memory_equal(f.p, g.p, f.img.hdr->l7_off);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden),
		cmocka_unit_test(same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
