/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_proxy_hosts.c - any text through the reader of /etc/hosts lines, then every word of it
 * looked up.
 */
#include "proxy/hosts.h"

#include <assert.h>

#include "proxy/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(const struct hosts *h, struct slice word)
{
	char folded[DNS_NAME_TEXT_MAX + 1];
	struct slice name = {(const uint8_t *)folded, dns_name_fold(word, folded)};
	struct resolved res = {0};

	if (name.n == 0 || !hosts_find(h, name, &res))
		return;
	assert(res.n >= 1 && res.n <= 2);
	for (size_t i = 0; i < res.n; i++)
		assert(res.a[i].family == 4 || res.a[i].family == 6);
	assert(res.n == 1 || (res.a[0].family == 4 && res.a[1].family == 6));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hosts *h = NULL;
	size_t start = 0;

	if (hosts_parse((struct slice){data, size}, &h) < 0)
		return 0;
	assert(hosts_count(h) <= HOSTS_NAMES_MAX && hosts_count(h) <= size);
	for (size_t i = 0; i <= size; i++) {
		if (i < size && data[i] > ' ')
			continue;
		look_up(h, (struct slice){data + start, i - start});
		start = i + 1;
	}
	hosts_free(h);
	return 0;
}
