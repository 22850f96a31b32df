/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy_image.c - damaged images: what image_open() lets through, every reader must survive.
 *
 * Images are pages of mostly zeros, which a fuzzer wastes its time on.  So the input is a list of
 * changes to one of a few good images, chosen by the first byte: a table, a place in it, what to do
 * there.  Small changes of indices and counts keep an image valid, or nearly so.  With 255 in the
 * first byte the rest is an image as it is.
 */
#include "policy/image_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const policies[] = {
	"version: 1\nnetwork_policies:\n"
	"  a: {binaries: [{path: /c}], endpoints: [{host: a.b, port: 1}]}\n",
	"version: 1\nnetwork_policies:\n"
	"  a:\n"
	"    binaries: [{path: /c, ancestors: false}, {path: \"/x/**/y*\"}, {path: \"**\"}]\n"
	"    endpoints:\n"
	"      - {host: \"**.x.b\", port: 1, tls: skip}\n"
	"      - {host: \"a*.b.c\", ports: [1, 2], protocol: rest, allow_encoded_slash: true, "
	"path: \"/s/**\",\n"
	"         rules: [{allow: {method: GET, path: \"/s/*\", query: {q: \"a*\", r: {any: [x, "
	"y]}}}},\n"
	"                 {allow: {method: \"*\", path: \"/s/t\"}}],\n"
	"         deny_rules: [{path: \"/s/?\"}, {method: GET, query: {d: \"1\"}}]}\n"
	"      - {host: 10.1.2.3, port: 1, protocol: rest, access: full, enforcement: audit,\n"
	"         allowed_ips: [10.0.0.0/8, \"fd00::/8\"]}\n"
	"  b: {binaries: [{path: \"/**\"}], endpoints: [{port: 1, allowed_ips: [10.0.0.0/8]}]}\n",
	"version: 1\nnetwork_policies:\n"
	"  a: {binaries: [{path: /c}], endpoints: [{host: a.b, port: 1, protocol: rest, access: "
	"read-only}]}\n"
	"  b: {binaries: [{path: \"/*\", allow_tainted: true}], endpoints: [{host: a.b, port: 1, "
	"protocol: rest,\n"
	"      path: \"/s/**\", rules: [{allow: {method: POST, path: \"/s/**\", query: {q: "
	"\"a*\"}}}]}]}\n",
};

/* A fresh copy of a good image; compiled once, for a fuzzer's time is in its runs. */
static uint8_t *good_image(unsigned int which, size_t *ret_n)
{
	static uint8_t *kept[ARRAY_LEN(policies)];
	static size_t kept_n[ARRAY_LEN(policies)];
	struct policy_diags d = {0};
	struct policy *p = NULL;
	uint8_t *image;

	which %= ARRAY_LEN(policies);
	if (!kept[which]) {
		if (policy_parse(slice_str(policies[which]), &d, &p) < 0 ||
		    policy_compile(p, &d, &kept[which], &kept_n[which]) < 0)
			abort();
		policy_free(p);
		policy_diags_done(&d);
	}
	*ret_n = kept_n[which];
	image = malloc(*ret_n);
	if (image)
		memcpy(image, kept[which], *ret_n);
	return image;
}

struct part {
	uint64_t off, n;
};

/* The parts of a good image, by number; the last is the whole. */
static struct part part_of(const struct osh_img_hdr *h, const uint8_t *image, unsigned int which)
{
	const struct img_l7_hdr *l = (const void *)(image + h->l7_off);
	const struct part parts[] = {
		{0, sizeof(*h)},
		{h->l7_off, sizeof(*l)},
		{h->bin.states_off, h->bin.nstates * sizeof(struct osh_img_state)},
		{h->bin.cells_off, h->bin.ncells * sizeof(struct osh_img_cell)},
		{h->dst.states_off, h->dst.nstates * sizeof(struct osh_img_state)},
		{h->dst.cells_off, h->dst.ncells * sizeof(struct osh_img_cell)},
		{l->dfa.states_off, l->dfa.nstates * sizeof(struct osh_img_state)},
		{l->dfa.cells_off, l->dfa.ncells * sizeof(struct osh_img_cell)},
		{h->binset_off, h->nbinsets * sizeof(struct osh_img_binset)},
		{h->dstset_off, h->ndstsets * sizeof(struct osh_img_dstset)},
		{l->blocks.off, l->blocks.n * sizeof(struct img_block)},
		{l->endpoints.off, l->endpoints.n * sizeof(struct img_endpoint)},
		{l->lists.off, l->lists.n * sizeof(uint32_t)},
		{l->nets.off, l->nets.n * sizeof(struct img_net)},
		{l->rules.off, l->rules.n * sizeof(struct img_rule)},
		{l->sets.off, l->sets.n * sizeof(struct img_ruleset)},
		{l->setrules.off, l->setrules.n * sizeof(uint32_t)},
		{l->conds.off, l->conds.n * sizeof(struct img_cond)},
		{l->strings.off, l->strings.n},
		{0, h->size},
	};

	return parts[which % ARRAY_LEN(parts)];
}

/* One change is six bytes: part, place (two), what, value (two). */
static void damage(uint8_t *image, size_t size, const uint8_t *data, size_t n)
{
	uint8_t *good = malloc(size);

	if (!good)
		return;
	memcpy(good, image, size);
	for (; n >= 6; data += 6, n -= 6) {
		struct part p = part_of((const void *)good, good, data[0]);
		uint64_t off = p.n ? p.off + (data[1] | (unsigned int)data[2] << 8) % p.n : 0;
		uint32_t value = data[4] | (uint32_t)data[5] << 8, word;

		if (data[3] & 1) {
			image[off] = data[4];
			continue;
		}
		off &= ~3ull;
		memcpy(&word, image + off, 4);
		switch (data[3] >> 1 & 3) {
		case 0:
			word = value;
			break;
		case 1:
			word += value;
			break;
		case 2:
			word -= value;
			break;
		default:
			word = value << 16 | value;
		}
		memcpy(image + off, &word, 4);
	}
	free(good);
}

static void ask_requests(const struct image *img, const struct connect_decision *c)
{
	static const char *const paths[] = {"/", "/s/a", "/s/t", "/x/y/z"};
	const struct query_pair q[] = {{SLICE_LIT("q"), SLICE_LIT("ab")},
				       {SLICE_LIT("r"), SLICE_LIT("x")},
				       {SLICE_LIT("d"), SLICE_LIT("1")}};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct request_decision d;
		const struct request r = {i & 1 ? SLICE_LIT("GET") : SLICE_LIT("POST"),
					  slice_str(paths[i]), q, i % 4};

		image_decide_request(img, c, &r, &d);
		if (strlen(d.rule) >= sizeof(d.rule))
			abort();
		(void)image_block_name(img, d.block);
	}
	(void)image_flow_treatment(img, c);
	(void)image_encoded_slash(img, c);
}

static void ask(const struct image *img)
{
	static const char *const hosts[] = {"a.b", "x.x.b", "ax.b.c", "10.1.2.3", "fd00::1", "*"};
	const struct slice anc[] = {SLICE_LIT("/x/y"), SLICE_LIT("/x/a/b/yz")};
	const struct ident_paths id = {SLICE_LIT("/c"), SLICE_LIT("/x/q"), anc, ARRAY_LEN(anc),
				       false};
	const uint8_t addr[16] = {10, 1, 2, 3};
	struct block_bits bits;

	image_ident_bits(img, &id, &bits);
	bits.w[0] |= 3;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct connect_decision c;
		struct name_decision nd;
		enum osh_addr_class class;
		struct dest d;

		dest_from_text(&d, slice_str(hosts[i]), 1);
		image_decide_connect(img, &bits, &d, &c);
		image_decide_name(img, &bits, d.host, &nd);
		(void)image_address_allowed(img, &bits, d.host, (uint16_t)(i & 1), 4, addr, &class);
		(void)image_address_allowed(img, &bits, d.host, 1, 6, addr, &class);
		(void)image_binset(img, slice_str(hosts[i]));
		(void)image_block_name(img, c.block);
		ask_requests(img, &c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct image img;
	uint8_t *image;
	size_t size;

	if (n < 1)
		return 0;
	if (data[0] == 255) {
		size = n - 1;
		image = malloc(size + 1);
		if (image)
			memcpy(image, data + 1, size);
	} else {
		image = good_image(data[0], &size);
		if (image)
			damage(image, size, data + 1, n - 1);
	}
	if (image && image_open(&img, image, size) == 0)
		ask(&img);
	free(image);
	return 0;
}
