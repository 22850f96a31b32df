/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy_suggest.c - any denial against any policy: what is suggested keeps every byte of the old
 * text, and each denial is allowed by it or named with a reason.
 *
 * Input: a byte of flags, four strings ended by NUL (host, program, method, path), then the text.
 */
#include "policy/suggest.h"

#define TEXT_MAX 8192
#define ENDPOINTS_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool among(struct slice a, struct slice b)
{
	size_t i = 0;

	for (size_t k = 0; i < a.n && k < b.n; k++)
		i += a.p[i] == b.p[k];
	return i == a.n;
}

/* Takes a string; false: there is none. */
static bool take(struct slice *from, struct slice *ret)
{
	const uint8_t *end = from->n ? memchr(from->p, 0, from->n) : NULL;

	if (!end)
		return false;
	*ret = (struct slice){from->p, (size_t)(end - from->p)};
	from->p += ret->n + 1;
	from->n -= ret->n + 1;
	return true;
}

static bool small(struct slice text, bool *ret_blocks)
{
	struct policy_diags d = {0};
	struct policy *p = NULL;
	size_t blocks = 0, endpoints = 0;
	int r = policy_parse(text, &d, &p);

	policy_diags_done(&d);
	if (r == 0)
		policy_counts(p, &blocks, &endpoints);
	policy_free(p);
	*ret_blocks = blocks > 0;
	return r == 0 && endpoints <= ENDPOINTS_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint16_t ports[] = {443, 80, 1, 8443};
	struct denial d[2] = {{.count = 1}};
	struct suggest_options o = {0};
	struct policy_diags diags = {0};
	struct suggestion s;
	struct slice text;
	bool blocks;

	if (n < 1 || n > TEXT_MAX)
		return 0;
	text = (struct slice){data + 1, n - 1};
	if (!take(&text, &d[0].host) || !take(&text, &d[0].binary) || !take(&text, &d[0].method) ||
	    !take(&text, &d[0].path) || !small(text, &blocks))
		return 0;
	d[0].request = data[0] & 1 && d[0].method.n;
	d[0].audit = data[0] >> 4 & 1;
	d[0].port = ports[data[0] >> 2 & 3];
	o.generalise = data[0] >> 1 & 1;
	if (!d[0].request)
		d[0].method = d[0].path = (struct slice){NULL, 0};
	d[1] = d[0];
	d[1].port = 1;
	if (suggest(text, d, 2, &o, &diags, &s) == 0) {
		struct slice now = {(const uint8_t *)s.e.text, s.e.n};

		if (!s.edits && !slice_eq(text, now))
			abort();
		if (blocks && !among(text, now))
			abort();
		if (!s.allowed && !s.already && !s.nnotes)
			abort();
		suggestion_done(&s);
	}
	policy_diags_done(&diags);
	return 0;
}
