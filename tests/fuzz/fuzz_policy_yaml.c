/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_policy_yaml.c - any text through the parser; what parses is compiled, must make a valid image,
 * and is looked at for warnings. */
#include "policy/lint.h"
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

	if (r == 0) {
		if (image_open(&img, image, size) < 0)
			abort();
		if (policy_lint(p, &img, &d) < 0 || d.errors)
			abort();
		free(image);
	}
	policy_diags_done(&d);
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
