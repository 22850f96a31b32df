/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h - strict UTF-8 decoding (RFC 3629): no overlong forms, no surrogates, at most U+10FFFF. */
#pragma once

#include "policy/base.h"

/* Decodes the character at p.  Returns its length in bytes, 0 when it is not valid. */
static inline size_t utf8_decode(const uint8_t *p, size_t n, uint32_t *ret)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t k;
	uint32_t c;

	if (n == 0)
		return 0;
	if (p[0] < 0x80) {
		*ret = p[0];
		return 1;
	}
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	k = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < k)
		return 0;
	c = p[0] & (0x7fu >> k);
	for (size_t i = 1; i < k; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = (c << 6) | (p[i] & 0x3f);
	}
	if (c < least[k] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return k;
}

/* Length of the byte order mark that a text starts with, or 0. */
static inline size_t utf8_bom(struct slice s)
{
	return s.n >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}
