/* SPDX-License-Identifier: Apache-2.0 */
/* safetext.c - bytes from anywhere as safe text; what is safe is said in safetext.h. */
#include "user/safetext.h"

#include "policy/utf8.h"

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

size_t safetext_unescape(struct slice s, uint8_t *ret)
{
	int hi, lo;

	if (s.n < 4 || s.p[0] != '\\' || s.p[1] != 'x')
		return 0;
	hi = hex_value(s.p[2]);
	lo = hex_value(s.p[3]);
	if (hi < 0 || lo < 0)
		return 0;
	*ret = (uint8_t)(hi << 4 | lo);
	return 4;
}

static bool codepoint_safe(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if (c < 0x200b)
		return c != 0xad && c != 0x61c && c != 0x115f &&
		       c != 0x1160; /* soft hyphen, ALM, fillers */
	if (c <= 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f))
		return false; /* zero width, separators, embeddings, isolates */
	if (c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff))
		return false; /* BOM, interlinear, tags */
	return (c & 0xfffe) != 0xfffe;
}

size_t safetext_char(struct slice s)
{
	uint8_t byte;
	uint32_t c;
	size_t k;

	if (s.n == 0)
		return 0;
	if (s.p[0] >= 0x20 && s.p[0] < 0x7f && s.p[0] != '\\')
		return 1;
	if (s.p[0] == '\\')
		return safetext_unescape(s, &byte) ? 0 : 1;
	k = utf8_decode(s.p, s.n, &c);
	return k && codepoint_safe(c) ? k : 0;
}

char *safetext_dup(struct slice s)
{
	static const char hex[] = "0123456789abcdef";
	char *out, *o;

	if (s.n > (SIZE_MAX - 1) / 4)
		return NULL;
	o = out = malloc(s.n * 4 + 1);
	if (!out)
		return NULL;
	while (s.n) {
		size_t k = safetext_char(s);

		if (k) {
			memcpy(o, s.p, k);
			o += k;
		} else {
			*o++ = '\\';
			*o++ = 'x';
			*o++ = hex[s.p[0] >> 4];
			*o++ = hex[s.p[0] & 15];
			k = 1;
		}
		s.p += k;
		s.n -= k;
	}
	*o = '\0';
	return out;
}

void safetext_print(struct slice s, FILE *out)
{
	while (s.n) {
		size_t k = safetext_char(s);

		if (k)
			fwrite(s.p, 1, k, out);
		else
			fprintf(out, "\\x%02x", s.p[0]);
		k = k ? k : 1;
		s.p += k;
		s.n -= k;
	}
}
