/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy_prove.c - expressions for `policy prove`, and the answers to them.
 *
 * A witness was borne out by the ordinary decision functions, or prove_never() says -EINVAL: a flaw.
 */
#include "policy/prove.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char policy[] =
	"version: 1\n"
	"network_policies:\n"
	"  a:\n"
	"    endpoints:\n"
	"      - {host: '*.x.io', port: 443, protocol: rest, allow_encoded_slash: true,\n"
	"         rules: [{allow: {method: GET, path: '/a/**', query: {q: 'x*'}}}],\n"
	"         deny_rules: [{method: '*', path: '/a/b*', query: {r: '*y'}}]}\n"
	"      - {host: 192.0.1.1, port: 80}\n"
	"    binaries: [{path: '/bin/*'}]\n"
	"  b:\n"
	"    endpoints: [{host: '**', port: 443, protocol: rest, access: read-only}]\n"
	"    binaries: [{path: /b, ancestors: false}]\n";

static const struct image *image(void)
{
	static struct image img;
	struct policy_diags d = {0};
	struct policy *p = NULL;
	uint8_t *bytes;
	size_t n;

	if (img.p)
		return &img;
	if (policy_parse(slice_str(policy), &d, &p) < 0 || policy_compile(p, &d, &bytes, &n) < 0 ||
	    image_open(&img, bytes, n) < 0)
		abort();
	policy_diags_done(&d);
	policy_free(p);
	return &img;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct prove_expr *e = NULL;
	struct witness w = {0};
	char why[256], *words;

	if (n > 512 || prove_parse((struct slice){data, n}, &e, why, sizeof(why)) < 0)
		return 0;
	words = prove_expr_words(e);
	free(words);
	switch (prove_never(image(), e, &w)) {
	case 1:
		words = witness_words(&w);
		free(words);
		witness_done(&w);
		break;
	case -EINVAL:
		abort();
	}
	prove_expr_free(e);
	return 0;
}
