/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClientHello reader: never reads outside, and what it accepts is the same however it arrives.
 */
#include "proxy/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct hello h, again;
	const char *why = NULL;
	enum hello_result r = hello_parse((struct slice){p, n}, &h, &why);

	if (r == HELLO_BAD && !why)
		abort();
	if (r != HELLO_OK)
		return 0;
	if (h.used > n || (h.has_sni && (h.sni_n == 0 || strlen(h.sni) != h.sni_n)))
		abort();
	/* Every proper beginning waits for more, and the whole without what follows says the same. */
	if (hello_parse((struct slice){p, h.used}, &again, &why) != HELLO_OK || strcmp(h.sni, again.sni) != 0)
		abort();
	for (size_t i = 0; i < h.used && i < 64; i++)
		if (hello_parse((struct slice){p, h.used - 1 - i}, &again, &why) != HELLO_MORE)
			abort();
	return 0;
}
