/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_policy_cases.c - any text as a file of cases; what is read is asked of a policy and explained, words and all. */
#include "policy/cases.h"

static const char POLICY[] = "version: 1\n"
			     "network_policies:\n"
			     "  a:\n"
			     "    endpoints:\n"
			     "      - {host: h.test, port: 443, protocol: rest, allow_encoded_slash: true, rules: [\n"
			     "          {allow: {method: GET, path: '/a/*/{b,c}', query: {k: 'v*'}}},\n"
			     "          {allow: {method: POST, path: '/**/x?'}}], deny_rules: [{path: /a/no}]}\n"
			     "      - {host: '*.p.test', port: 443, protocol: rest, path: '/v/**', access: read-only}\n"
			     "      - {host: 10.0.0.0, port: 80}\n"
			     "      - {port: 8080, allowed_ips: [fd00::/8]}\n"
			     "    binaries: [{path: /b}, {path: '/o/*/t', ancestors: false}]\n"
			     "  b:\n"
			     "    endpoints: [{host: h.test, port: 443, protocol: rest, access: full, enforcement: audit}]\n"
			     "    binaries: [{path: '/z/**', allow_tainted: true}]\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct policy *policy;
static struct image img;

static void up(void)
{
	struct policy_diags d = {0};
	uint8_t *bytes;
	size_t size;

	if (policy_parse(slice_str(POLICY), &d, &policy) < 0 || policy_compile(policy, &d, &bytes, &size) < 0 ||
	    image_open(&img, bytes, size) < 0)
		abort();
	policy_diags_done(&d);
}

/* Says the same with and without words, and has a reason exactly where it does not allow. */
static void ask(const struct policy_case *c)
{
	struct explanation x, y;

	if (explain(policy, &img, &c->ask, true, &x) < 0)
		return;
	if (explain(policy, &img, &c->ask, false, &y) == 0) {
		if (x.decision != y.decision || x.block != y.block || x.rule_line != y.rule_line)
			abort();
		explanation_done(&y);
	}
	if ((x.decision == EXPLAIN_ALLOW) == (x.reason != NULL))
		abort();
	(void)policy_case_holds(c, &x);
	explanation_done(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct policy_diags d = {0};
	struct policy_cases c = {0};
	int r;

	if (!policy)
		up();
	if (n > 16384)
		return 0;
	r = policy_cases_parse((struct slice){data, n}, &d, &c);
	if ((r == 0) != (d.errors == 0) && r != -ENOMEM)
		abort();
	for (size_t i = 0; r == 0 && i < c.n && i < 64; i++)
		if (!c.v[i].never.n)
			ask(&c.v[i]);
	if (r == 0)
		policy_cases_done(&c);
	policy_diags_done(&d);
	return 0;
}
