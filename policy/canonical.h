/* SPDX-License-Identifier: Apache-2.0 */
/* canonical.h - how the canonical form of a request path spells a byte. */
#pragma once

#include "policy/base.h"

/* Does the byte stand for itself?  Letters, digits and -._~!$&'()*+,;=:@ (policy language, request
 * targets). */
static inline bool canonical_bare(uint8_t c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c && strchr("-._~!$&'()*+,;=:@", c) != NULL;
}

/* "%XX" with upper-case digits. */
static inline void canonical_triple(uint8_t c, uint8_t out[3])
{
	static const char hex[] = "0123456789ABCDEF";

	out[0] = '%';
	out[1] = (uint8_t)hex[c >> 4];
	out[2] = (uint8_t)hex[c & 15];
}
