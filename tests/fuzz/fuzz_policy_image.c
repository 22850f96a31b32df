/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy_image.c - damaged images: what image_open() lets through, every reader must survive.
 *
 * Images are pages of mostly zeros, which a fuzzer wastes its time on.  So the input is a list of
 * changes (offset, byte) to one of a few good images, chosen by the first byte; with 255 there the
 * rest is an image as it is.
 */
#include "policy/image.h"
#include "policy/policy.h"

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

/* Offsets are spread over the header, the tables' beginnings and the L7 part, where there is
 * something to damage. */
static void damage(uint8_t *image, size_t size, const uint8_t *data, size_t n)
{
	for (; n >= 5; data += 5, n -= 5) {
		uint32_t off = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16;

		if (data[3] & 1)
			image[off % size] = data[4];
		else
			image[off % size] ^= data[4];
	}
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
