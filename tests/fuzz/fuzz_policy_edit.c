/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy_edit.c - up to four edits of any policy: what is refused leaves the text as it was; an
 * addition keeps every byte there was, in order; a removal adds none.
 *
 * Input: per edit two bytes (which, where), then a byte 0xff, then the text.
 */
#include "policy/edit.h"

#define TEXT_MAX 8192
#define ENDPOINTS_MAX 500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Are the bytes of a, in order, among those of b? */
static bool among(struct slice a, struct slice b)
{
	size_t i = 0;

	for (size_t k = 0; i < a.n && k < b.n; k++)
		i += a.p[i] == b.p[k];
	return i == a.n;
}

static const struct edit_rule rule = {false, SLICE_LIT("GET"), SLICE_LIT("/a b")};
static const struct edit_rule deny = {true, {NULL, 0}, SLICE_LIT("/x/**")};
static const struct edit_endpoint plain = {.host = SLICE_LIT("x.y"), .port = 1};
static const struct edit_endpoint full = {.host = SLICE_LIT("x.y"),
					  .port = 443,
					  .protocol = SLICE_LIT("rest"),
					  .rules = &rule,
					  .nrules = 1,
					  .rules_comment = "two\nlines"};
static const struct edit_binary binary = {SLICE_LIT("/usr/bin/*"), true};

/* Returns what the edit did; *ret_adds: 1 adds, -1 removes, 0 may do both. */
static int one_edit(struct edit *e, uint8_t which, uint8_t where, int *ret_adds)
{
	const char *comment = which & 0x40 ? "why\nso" : NULL;
	const struct edit_endpoint *ep = which & 0x20 ? &full : &plain;
	const struct policy *p = e->policy;
	size_t block = p->nblocks ? (where & 15) % p->nblocks : 0, i;

	*ret_adds = which % 7 < 4 ? 1 : -1;
	if (which % 7 == 0 || p->nblocks == 0) {
		*ret_adds = p->nblocks ? 1 : 0; /* `{}` and `null` are replaced */
		return edit_add_block(e, SLICE_LIT("x.y"), ep, &binary, 1, comment);
	}
	i = (where >> 4) % p->blocks[block].nendpoints;
	switch (which % 7) {
	case 1:
		return edit_add_endpoint(e, block, ep, comment);
	case 2:
		return edit_add_binary(e, block, &binary, comment);
	case 3:
		return edit_add_rule(e, block, i, which & 0x20 ? &rule : &deny, comment);
	case 4:
	case 5:
		return edit_remove_endpoint(e, block, i, p->blocks[block].endpoints[i].ports[0]);
	default:
		if (!p->blocks[block].endpoints[i].nrules)
			return -EINVAL;
		return edit_remove_rule(e, block, i,
					which / 7 % p->blocks[block].endpoints[i].nrules);
	}
}

static void step(struct edit *e, uint8_t which, uint8_t where)
{
	_cleanup_free_ char *before = malloc(e->n + 1);
	struct slice was, now;
	int adds, r;

	if (!before)
		return;
	memcpy(before, e->text, e->n);
	was = (struct slice){(const uint8_t *)before, e->n};
	r = one_edit(e, which, where, &adds);
	now = (struct slice){(const uint8_t *)e->text, e->n};
	if (r < 0 && !slice_eq(was, now))
		abort();
	if (r == 0 && adds > 0 && !among(was, now))
		abort();
	if (r == 0 && adds < 0 && !among(now, was))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *end = n ? memchr(data, 0xff, n < 9 ? n : 9) : NULL;
	struct policy_diags d = {0};
	size_t ops, blocks, endpoints;
	struct edit e;
	int r;

	if (!end || n > TEXT_MAX)
		return 0;
	ops = (size_t)(end - data) / 2;
	r = edit_open((struct slice){end + 1, n - (size_t)(end - data) - 1}, &d, &e);
	policy_diags_done(&d);
	if (r < 0)
		return 0;
	policy_counts(e.policy, &blocks, &endpoints);
	for (size_t i = 0; i < ops && endpoints <= ENDPOINTS_MAX; i++)
		step(&e, data[2 * i], data[2 * i + 1]);
	edit_done(&e);
	return 0;
}
