/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_policy_yaml.c - any text through the parser; what parses is compiled and must make a valid
 * image. */
#include "policy/model.h"
#include "policy/policy.h"

#define TEXT_MAX 16384
#define ENDPOINTS_MAX                                                                              \
	2000 /* aliases can make many of few bytes; compiling them all is slow, not wrong */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void compile(const struct policy *p)
{
	struct policy_diags d = {0};
	struct image img;
	uint8_t *image;
	size_t size;
	int r = policy_compile(p, &d, &image, &size);

	policy_diags_done(&d);
	if (r < 0)
		return;
	if (image_open(&img, image, size) < 0)
		abort();
	free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct policy_diags d = {0};
	struct policy *p = NULL;
	size_t blocks, endpoints;
	int r;

	if (n > TEXT_MAX)
		return 0;
	r = policy_parse((struct slice){data, n}, &d, &p);
	if ((r == 0) != (d.errors == 0) && r != -ENOMEM)
		abort();
	if (r == 0) {
		policy_counts(p, &blocks, &endpoints);
		if (endpoints <= ENDPOINTS_MAX)
			compile(p);
		policy_free(p);
	}
	policy_diags_done(&d);
	return 0;
}
