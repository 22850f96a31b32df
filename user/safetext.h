/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetext.h - bytes from anywhere as text that can do nothing to a file or a terminal.
 *
 * Safe text is valid UTF-8 without control characters (C0, DEL, C1), line separators and characters
 * that change the direction or are invisible (Trojan Source, CVE-2021-42574).  Every other byte is
 * written as the four characters \xNN, lower-case hex.  A backslash that would read as such an
 * escape is itself written \x5c, so the original bytes can always be had back.
 */
#pragma once

#include "policy/base.h"

/* Number of bytes of s, at least 1, that are safe as they are; 0: s.p[0] must be escaped (or s is
 * empty). */
size_t safetext_char(struct slice s);

/* If s starts with an escape as written by safetext: 4, and the byte in *ret; else 0. */
size_t safetext_unescape(struct slice s, uint8_t *ret);

/* A copy of s as safe text, NUL-terminated.  NULL: out of memory.  The caller frees it. */
char *safetext_dup(struct slice s);

/* Writes s as safe text. */
void safetext_print(struct slice s, FILE *out);
