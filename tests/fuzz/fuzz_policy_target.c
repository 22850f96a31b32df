/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy_target.c - request targets and queries.
 *
 * What comes out is checked, not only that nothing breaks: a canonical path is canonical (a second
 * run changes nothing), has no dot segment, no empty segment and no byte outside the alphabet.
 */
#include "policy/canonical.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_canonical(const struct canonical_target *t, bool slash)
{
	struct canonical_target again;
	size_t segment = 0;

	check(t->path_n >= 1 && t->path_n <= TARGET_PATH_MAX && t->path[0] == '/');
	check(strlen(t->path) == t->path_n);
	for (size_t i = 0; i < t->path_n; i++) {
		uint8_t c = (uint8_t)t->path[i];

		check(c == '/' || c == '%' || canonical_bare(c));
		check(c != ';');
		segment = c == '/' ? 0 : segment + 1;
	}
	check(!strstr(t->path, "//") && !strstr(t->path, "/../") && !strstr(t->path, "/./"));
	check(canonical_target((struct slice){(const uint8_t *)t->path, t->path_n}, slash,
			       &again) == TARGET_OK);
	check(again.path_n == t->path_n && memcmp(again.path, t->path, t->path_n) == 0);
}

static void check_query(struct slice raw)
{
	struct query_pair pairs[16];
	char buf[256];
	size_t n;

	if (parse_query(raw, pairs, 16, &n, buf, sizeof(buf)) < 0)
		return;
	check(n <= 16);
	for (size_t i = 0; i < n; i++) {
		check(pairs[i].name.n + pairs[i].value.n <= sizeof(buf));
		for (size_t k = 0; k < pairs[i].value.n; k++)
			check(pairs[i].value.p[k] >= 0x20);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	for (int slash = 0; slash < 2; slash++) {
		struct canonical_target t;

		if (canonical_target((struct slice){data, n}, slash, &t) != TARGET_OK)
			continue;
		check_canonical(&t, slash);
		check_query(t.query);
	}
	check_query((struct slice){data, n});
	return 0;
}
