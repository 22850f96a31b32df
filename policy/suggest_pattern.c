/* SPDX-License-Identifier: Apache-2.0 */
/* suggest_pattern.c - patterns that match one path and no other; and paths with ids. */
#include "policy/suggest.h"

static bool is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_uuid(struct slice s)
{
	if (s.n != 36)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? s.p[i] != '-' : !is_hex(s.p[i]))
			return false;
	return true;
}

/* A number, a UUID, or a hash of seven digits or more (as git abbreviates). */
static bool is_id(struct slice s)
{
	size_t hex = 0, digits = 0;

	for (size_t i = 0; i < s.n; i++) {
		hex += is_hex(s.p[i]);
		digits += s.p[i] >= '0' && s.p[i] <= '9';
	}
	return (s.n && digits == s.n) || is_uuid(s) || (s.n >= 7 && hex == s.n && digits > 0);
}

char *suggest_path_pattern(struct slice path, bool generalise)
{
	char *out = malloc(3 * path.n + 1);
	size_t o = 0;

	for (size_t i = 0, n; out && i < path.n; i += n) {
		struct slice seg;

		for (n = 0; i + n < path.n && path.p[i + n] != '/'; n++)
			;
		seg = (struct slice){path.p + i, n};
		if (generalise && is_id(seg)) {
			out[o++] = '*';
		} else {
			for (size_t k = 0; k < n; k++) {
				if (seg.p[k] == '*') { /* the only one that is bare in a path */
					memcpy(out + o, "%2A", 3);
					o += 3;
				} else {
					out[o++] = (char)seg.p[k];
				}
			}
		}
		if (i + n < path.n) {
			out[o++] = '/';
			n++;
		}
	}
	if (out)
		out[o] = 0;
	return out;
}

char *suggest_binary_pattern(struct slice path)
{
	char *out = malloc(3 * path.n + 1);
	size_t o = 0;

	for (size_t i = 0; out && i < path.n; i++) {
		char c = (char)path.p[i];

		if (c == '\\' || c == 0) {
			free(out);
			errno = EINVAL;
			return NULL;
		}
		if (strchr("*?[{", c)) {
			out[o++] = '[';
			out[o++] = c;
			out[o++] = ']';
		} else {
			out[o++] = c;
		}
	}
	if (out)
		out[o] = 0;
	return out;
}
