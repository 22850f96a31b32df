/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_batch.c - many texts through the parser in one process, for tests/schema.py.
 *
 * Standard input: texts, each as "LENGTH\n" and that many bytes.  Standard output, for each: the number of errors on
 * a line, then as many lines "LINE:COL: MESSAGE".  Nothing is compiled and no file is opened.
 */
#include "policy/policy.h"

static int one(struct slice text)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	_cleanup_(policy_freep) struct policy *p = NULL;
	int r = policy_parse(text, &d, &p);
	size_t n = 0;

	if (r < 0 && r != -EINVAL)
		return r;
	for (size_t i = 0; i < d.n; i++)
		n += d.v[i].severity == POLICY_ERROR;
	printf("%zu\n", n);
	for (size_t i = 0; i < d.n; i++)
		if (d.v[i].severity == POLICY_ERROR)
			printf("%d:%d: %s\n", d.v[i].line, d.v[i].col, d.v[i].message);
	return 0;
}

int main(void)
{
	size_t n;

	while (scanf("%zu", &n) == 1 && getchar() == '\n' && n <= POLICY_TEXT_MAX + 1) {
		_cleanup_free_ uint8_t *text = malloc(n + 1);

		if (!text || fread(text, 1, n, stdin) != n || one((struct slice){text, n}) < 0)
			return 1;
	}
	return feof(stdin) && fflush(stdout) == 0 ? 0 : 1;
}
