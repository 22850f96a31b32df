/* SPDX-License-Identifier: Apache-2.0 */
/* diag.c - collecting, ordering and printing diagnostics; suggestions for misspelt words. */
#include "policy/diag.h"
#include "policy/utf8.h"

#include <stdarg.h>

#define MESSAGE_MAX 600

/* Controls, and characters that are invisible or turn the direction of what follows. */
static bool printable(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if (c == 0xad || c == 0x61c || c == 0x180e || (c >= 0xe0000 && c < 0xe1000))
		return false;
	return !((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
		 (c >= 0x2060 && c <= 0x206f) || c == 0xfeff);
}

static char *sanitised(const char *s)
{
	size_t n = strlen(s), i = 0, o = 0;
	char *out = malloc(n + 1);

	if (!out)
		return NULL;
	while (i < n) {
		uint32_t c;
		size_t k = utf8_decode((const uint8_t *)s + i, n - i, &c);

		if (k && printable(c)) {
			memcpy(out + o, s + i, k);
			o += k;
		} else {
			out[o++] = '?';
		}
		i += k ? k : 1;
	}
	out[o] = 0;
	return out;
}

void diag_add(struct policy_diags *d, enum policy_severity severity, int line, int col,
	      const char *fmt, ...)
{
	char buf[MESSAGE_MAX];
	struct policy_diag *v;
	va_list ap;

	d->errors += severity == POLICY_ERROR;
	d->warnings += severity == POLICY_WARNING;
	/* warnings leave room for errors */
	if (d->n >= (severity == POLICY_ERROR ? DIAGS_MAX : DIAGS_MAX - DIAGS_MAX / 5))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	v = reallocarray(d->v, d->n + 1, sizeof(*v));
	if (!v)
		return;
	d->v = v;
	v[d->n] = (struct policy_diag){severity, line, col, sanitised(buf)};
	if (v[d->n].message)
		d->n++;
}

static int cmp_diag(const void *pa, const void *pb)
{
	const struct policy_diag *a = pa, *b = pb;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->col != b->col)
		return a->col < b->col ? -1 : 1;
	return strcmp(a->message, b->message);
}

void diags_finish(struct policy_diags *d)
{
	size_t out = 0;

	if (d->n == 0)
		return;
	qsort(d->v, d->n, sizeof(*d->v), cmp_diag);
	for (size_t i = 0; i < d->n; i++) {
		if (out && cmp_diag(&d->v[out - 1], &d->v[i]) == 0) {
			d->errors -= d->v[i].severity == POLICY_ERROR;
			d->warnings -= d->v[i].severity == POLICY_WARNING;
			free(d->v[i].message);
			continue;
		}
		d->v[out++] = d->v[i];
	}
	d->n = out;
}

void policy_diags_done(struct policy_diags *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->v[i].message);
	free(d->v);
	*d = (struct policy_diags){0};
}

void policy_diags_print(const struct policy_diags *d, const char *file, FILE *out)
{
	static const char *const kinds[] = {
		[POLICY_ERROR] = "", [POLICY_WARNING] = "warning: ", [POLICY_NOTE] = "note: "};
	size_t shown = 0;

	for (size_t i = 0; i < d->n; i++) {
		const struct policy_diag *v = &d->v[i];
		const char *kind = kinds[v->severity];

		shown += v->severity == POLICY_ERROR;
		if (v->line > 0)
			fprintf(out, "%s:%d:%d: %s%s\n", file, v->line, v->col, kind, v->message);
		else
			fprintf(out, "%s: %s%s\n", file, kind, v->message);
	}
	if (d->errors > shown)
		fprintf(out, "%s: %zu more errors\n", file, d->errors - shown);
}

/* Optimal string alignment distance of what differs, at most 24 characters a side. */
#define WORD_MAX 24

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

static uint8_t fold(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c | 0x20);
	return c == '-' ? '_' : c;
}

/* Drops what both begin and end with, which costs no change. */
static void drop_common(struct slice *a, struct slice *b)
{
	while (a->n && b->n && fold(a->p[0]) == fold(b->p[0])) {
		a->p++;
		b->p++;
		a->n--;
		b->n--;
	}
	while (a->n && b->n && fold(a->p[a->n - 1]) == fold(b->p[b->n - 1])) {
		a->n--;
		b->n--;
	}
}

/* SIZE_MAX: more than most, anyway. */
static size_t distance(struct slice a, struct slice b, size_t most)
{
	size_t t[WORD_MAX + 1][WORD_MAX + 1];

	if (a.n > b.n + most || b.n > a.n + most)
		return SIZE_MAX;
	drop_common(&a, &b);
	if (a.n > WORD_MAX || b.n > WORD_MAX)
		return SIZE_MAX;
	for (size_t i = 0; i <= a.n; i++)
		t[i][0] = i;
	for (size_t j = 0; j <= b.n; j++)
		t[0][j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		for (size_t j = 1; j <= b.n; j++) {
			uint8_t x = fold(a.p[i - 1]), y = fold(b.p[j - 1]);

			t[i][j] =
				min3(t[i - 1][j] + 1, t[i][j - 1] + 1, t[i - 1][j - 1] + (x != y));
			if (i > 1 && j > 1 && x == fold(b.p[j - 2]) && y == fold(a.p[i - 2]) &&
			    t[i - 2][j - 2] + 1 < t[i][j])
				t[i][j] = t[i - 2][j - 2] + 1;
		}
	}
	return t[a.n][b.n];
}

const char *diag_suggest(struct slice word, const char *const *known, size_t n)
{
	const char *best = NULL;
	size_t best_d = SIZE_MAX;

	for (size_t i = 0; i < n; i++) {
		struct slice k = slice_str(known[i]);
		size_t most = k.n <= 4 ? 1 : k.n <= 8 ? 2 : 3;
		size_t d = distance(word, k, most);

		if (d <= most && d < best_d) {
			best = known[i];
			best_d = d;
		}
	}
	return best;
}
