/* SPDX-License-Identifier: Apache-2.0 */
/* cores.c - where the host sends core files (cores.h). */
#include "user/cores.h"

#include "user/blob.h"

#define PATTERN_MAX 4096

bool cores_pattern_socket(const char *text)
{
	return text[0] == '@'; /* the kernel's test (fs/coredump.c) */
}

bool cores_to_socket(void)
{
	_cleanup_free_ char *text = NULL;
	size_t n;

	return read_whole_file(CORES_PATTERN, PATTERN_MAX, &text, &n) == 0 && n && cores_pattern_socket(text);
}
