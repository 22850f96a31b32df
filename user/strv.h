/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strv.h - NULL-terminated arrays of strings (argv, envp, lists of paths) that grow.
 *
 * strv_free() is in user/control.h.
 */
#pragma once

#include "user/control.h"

#include <stdarg.h>

static inline size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

/* Takes s, also on failure.  s == NULL: -ENOMEM, so that the result of strdup() can be handed in.
 */
static inline int strv_take(char ***v, char *s)
{
	size_t n = strv_len(*v);
	char **bigger;

	if (!s)
		return -ENOMEM;
	bigger = realloc(*v, (n + 2) * sizeof(*bigger));
	if (!bigger) {
		free(s);
		return -ENOMEM;
	}
	bigger[n] = s;
	bigger[n + 1] = NULL;
	*v = bigger;
	return 0;
}

static inline int strv_add(char ***v, const char *s)
{
	return strv_take(v, strdup(s));
}

static inline bool strv_has(char *const *v, const char *s)
{
	for (size_t i = 0; v && v[i]; i++)
		if (strcmp(v[i], s) == 0)
			return true;
	return false;
}

static inline void strv_freep(char ***v)
{
	strv_free(*v);
}
#define _cleanup_strv_ _cleanup_(strv_freep)

/* A message for people: *ret_error gets what printf would have printed (NULL when memory is short);
 * returns r. */
__attribute__((format(printf, 3, 4))) static inline int error_text(char **ret_error, int r,
								   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!ret_error || vasprintf(ret_error, fmt, ap) < 0) {
		if (ret_error)
			*ret_error = NULL;
	}
	va_end(ap);
	return r;
}
