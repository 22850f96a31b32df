/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_user_suggest_log.c - any lines as a sandbox's log: what comes out as a denial has its shape. */
#include "user/suggest_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct denial *d)
{
	if (d->why_not)
		return;
	if (!d->count || d->first_ns > d->last_ns || !d->host.n || !d->port)
		abort();
	if (!d->binary.n || d->binary.p[0] != '/' || (d->script.n && d->script.p[0] != '/'))
		abort();
	if (d->request && (!d->method.n || !d->path.n || d->path.p[0] != '/'))
		abort();
	for (size_t i = 0; i < d->nanc; i++)
		if (d->anc[i].p[0] != '/')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct denials d = {0};

	for (size_t i = 0, k; i < n; i += k + 1) {
		for (k = 0; i + k < n && data[i + k] != '\n'; k++)
			;
		if (denials_add_line(&d, (struct slice){data + i, k}) < 0)
			abort();
	}
	if (d.n > DENIALS_MAX)
		abort();
	for (size_t i = 0; i < d.n; i++)
		check(&d.v[i]);
	denials_done(&d);
	return 0;
}
