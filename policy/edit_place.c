/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit_place.c - cuts and insertions in the text of a policy (edit_place.h).
 *
 * How YAML is written has more corners than this file knows; it need not know them all, because the result is parsed
 * and compared, item by item, with what was there before (edit.c).
 */
#include "policy/edit_place.h"

#include <stdarg.h>

int edit_refuse(struct edit *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(e->why, sizeof(e->why), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ------------------------------------------------------------------------------- bytes -- */

bool edit_is_break(uint8_t c)
{
	return c == '\n' || c == '\r';
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* The end of the line that holds byte at, before its break. */
size_t edit_line_end(struct slice t, size_t at)
{
	while (at < t.n && !edit_is_break(t.p[at]))
		at++;
	return at;
}

static size_t line_start(struct slice t, size_t at)
{
	while (at > 0 && !edit_is_break(t.p[at - 1]))
		at--;
	return at;
}

size_t edit_past_break(struct slice t, size_t at)
{
	if (at + 1 < t.n && t.p[at] == '\r' && t.p[at + 1] == '\n')
		return at + 2;
	return at < t.n ? at + 1 : at;
}

size_t edit_past_blanks(struct slice t, size_t at)
{
	while (at < t.n && is_blank(t.p[at]))
		at++;
	return at;
}

/* Nothing but blanks before `at` on its line. */
static bool begins_line(struct slice t, size_t at)
{
	return edit_past_blanks(t, line_start(t, at)) >= at;
}

/* Nothing but blanks and a comment from `at` to the end of its line. */
static bool ends_line(struct slice t, size_t at)
{
	size_t to = edit_past_blanks(t, at);

	return to == t.n || edit_is_break(t.p[to]) || (t.p[to] == '#' && (to > at || to == 0));
}

const char *edit_line_break(struct slice t)
{
	size_t at = edit_line_end(t, 0);

	if (at == t.n || t.p[at] == '\n')
		return "\n";
	return edit_past_break(t, at) - at == 2 ? "\r\n" : "\r";
}

/* ----------------------------------------------------------------------------- patches -- */

void edit_patch_put(struct edit_work *w, size_t at, size_t cut, char *add)
{
	struct edit_patch *p = &w->patch;

	if (p->n == PATCH_MAX) { /* no edit has as many */
		w->oom = true;
		free(add);
		return;
	}
	p->v[p->n].at = at;
	p->v[p->n].cut = cut;
	p->v[p->n++].add = add;
}

void edit_patch_text(struct edit_work *w, size_t at, size_t cut, const char *add)
{
	char *copy = strdup(add);

	if (!copy)
		w->oom = true;
	edit_patch_put(w, at, cut, copy);
}

/* Lines of text, each after a line break and so many blanks. */
static void put_indented(struct edit_work *w, FILE *f, size_t indent, const char *lines)
{
	while (*lines) {
		size_t n = strcspn(lines, "\n");

		fprintf(f, "%s%*s%.*s", w->nl, (int)indent, "", (int)n, lines);
		lines += n + (lines[n] != 0);
	}
}

void edit_patch_lines(struct edit_work *w, size_t at, size_t indent, const char *before,
			const char *comment, const char *lines)
{
	char *out = NULL, *notes = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n), *g = open_memstream(&notes, &n);

	if (g) {
		edit_put_comment(g, comment);
		fclose(g);
	}
	if (f) {
		fputs(before, f);
		put_indented(w, f, indent, notes ? notes : "");
		put_indented(w, f, indent, lines);
		fclose(f);
	}
	if (!f || !g || !out || !notes)
		w->oom = true;
	free(notes);
	edit_patch_put(w, at, 0, out);
}

static int cmp_at(const struct edit_patch *p, size_t a, size_t b)
{
	return p->v[a].at < p->v[b].at ? -1 : p->v[a].at > p->v[b].at;
}

static void patch_sort(struct edit_patch *p)
{
	for (size_t i = 1; i < p->n; i++)
		for (size_t k = i; k > 0 && cmp_at(p, k - 1, k) > 0; k--) {
			__typeof__(p->v[0]) t = p->v[k];

			p->v[k] = p->v[k - 1];
			p->v[k - 1] = t;
		}
}

int edit_patch_apply(struct edit_work *w, char **ret, size_t *ret_n)
{
	size_t at = 0, n;
	char *out = NULL;
	FILE *f;

	patch_sort(&w->patch);
	f = w->oom ? NULL : open_memstream(&out, &n);
	if (!f)
		return -ENOMEM;
	fwrite(w->e->text, 1, w->bom, f);
	for (size_t i = 0; i < w->patch.n; i++) {
		size_t to = w->patch.v[i].at;

		if (to < at || to + w->patch.v[i].cut > w->text.n)
			break; /* overlapping: what comes out will not be what was meant */
		fwrite(w->text.p + at, 1, to - at, f);
		if (w->patch.v[i].add)
			fputs(w->patch.v[i].add, f);
		at = to + w->patch.v[i].cut;
	}
	fwrite(w->text.p + at, 1, w->text.n - at, f);
	if (fclose(f) != 0 || !out) {
		free(out);
		return -ENOMEM;
	}
	*ret = out;
	*ret_n = n;
	return 0;
}


/* Is this node, or one that it is part of, written elsewhere too? */
int edit_check_own(struct edit *e, const struct edit_node *n)
{
	if (n->target)
		return edit_refuse(e,
			      "line %d is an alias of line %d: the change would show there too; "
			      "write it out first",
			      n->line, n->target->line);
	for (; n; n = n->parent)
		if (n->shared)
			return edit_refuse(e,
				      "line %d is anchored and used elsewhere: the change would "
				      "show there too; write it out first",
				      n->line);
	return 0;
}

/* Something anchored in what is to be removed, and used outside? */
static const struct edit_node *shared_below(const struct edit_node *n)
{
	const struct edit_node *s = n->shared ? n : NULL;

	for (uint32_t i = 0; !s && i < n->n; i++)
		s = shared_below(n->v[i]);
	return s;
}

static int check_unused(struct edit *e, const struct edit_node *n)
{
	const struct edit_node *s = shared_below(n);

	if (s)
		return edit_refuse(e, "line %d is anchored and used elsewhere; write it out first",
			      s->line);
	return 0;
}

/* ---------------------------------------------------------------------------- inserting -- */

/* Behind the line on which a block collection ends. */
static size_t behind(struct slice t, size_t end)
{
	if (end > 0 && end <= t.n && edit_is_break(t.p[end - 1])) { /* a literal scalar has its break */
		end--;
		return end > 0 && t.p[end] == '\n' && t.p[end - 1] == '\r' ? end - 1 : end;
	}
	return edit_line_end(t, end);
}

static size_t indent_of_line(struct slice t, size_t at)
{
	size_t from = line_start(t, at);

	return edit_past_blanks(t, from) - from;
}

/* Column of the "-" of a block list. */
static size_t dash_column(const struct edit_work *w, const struct edit_node *list)
{
	size_t at = edit_tree_content(w->text, list), n = 0;

	for (size_t i = line_start(w->text, at); i < at; i++)
		n += (w->text.p[i] & 0xc0) != 0x80;
	return n;
}

/* Into [] or {}: in line where the others are, on a line of its own where they are or a comment
 * comes along. */
static void append_flow(struct edit_work *w, const struct edit_node *c, const char *item,
			const char *comment)
{
	size_t step = c->kind == Y_MAP ? 2 : 1;
	struct slice t = w->text;
	const struct edit_node *first;
	size_t end, comma, indent;
	bool own_line;

	indent = indent_of_line(t, c->start) + 4;
	if (c->n < step) {
		if (comment)
			edit_patch_lines(w, c->end - 1, indent, "", comment, item);
		else
			edit_patch_text(w, c->end - 1, 0, item);
		return;
	}
	first = c->v[c->n - step];
	end = c->v[c->n - 1]->end;
	comma = edit_past_blanks(t, end);
	own_line = begins_line(t, first->start);
	if (own_line)
		indent = first->column;
	if (comma >= t.n || t.p[comma] != ',')
		comma = end;
	else
		comma++;
	if (own_line && ends_line(t, comma)) {
		if (comma == end)
			edit_patch_text(w, end, 0, ",");
		edit_patch_lines(w, edit_line_end(t, comma), indent, "", comment, item);
	} else if (own_line || comment) {
		edit_patch_lines(w, end, indent, ",", comment, item);
	} else {
		edit_patch_text(w, end, 0, ", ");
		edit_patch_text(w, end, 0, item);
	}
}

/* Puts an item at the end of a list or map: `item` within brackets, `lines` on lines of its own. */
void edit_append(struct edit_work *w, const struct edit_node *c, const char *item, const char *lines,
		   const char *comment)
{
	if (c->flow)
		append_flow(w, c, item, comment);
	else
		edit_patch_lines(w, behind(w->text, c->end),
			    c->kind == Y_SEQ ? dash_column(w, c) : c->v[0]->column, "", comment,
			    lines);
}

/* ----------------------------------------------------------------------------- removing -- */

/* Where the comma behind an item is, or SIZE_MAX. */
static size_t comma_behind(struct slice t, size_t end)
{
	size_t at = edit_tree_skip(t, end);

	return at < t.n && t.p[at] == ',' ? at : SIZE_MAX;
}

/* Takes [from, to) out; with it its line where nothing else is on it. */
static void cut(struct edit_work *w, size_t from, size_t to)
{
	struct slice t = w->text;

	if (begins_line(t, from) && ends_line(t, to)) {
		from = line_start(t, from);
		to = edit_past_break(t, edit_line_end(t, to));
	}
	edit_patch_put(w, from, to - from, NULL);
}

/* Item (or pair) number i, taking [start, end), out of [] or {}. */
static void remove_flow(struct edit_work *w, const struct edit_node *c, uint32_t first, size_t start,
			size_t end)
{
	size_t comma = comma_behind(w->text, end);

	if (comma != SIZE_MAX) {
		if (edit_past_blanks(w->text, end) == comma) {
			size_t to = comma + 1;

			if (!(begins_line(w->text, start) && ends_line(w->text, to)))
				to = edit_past_blanks(w->text, to);
			cut(w, start, to);
		} else { /* comments or line breaks before the comma stay */
			edit_patch_put(w, start, end - start, NULL);
			edit_patch_put(w, comma, 1, NULL);
		}
		return;
	}
	if (first > 0) {
		size_t before = comma_behind(w->text, c->v[first - 1]->end);

		if (before != SIZE_MAX && edit_past_blanks(w->text, before + 1) == start) {
			edit_patch_put(w, before, end - before, NULL);
			return;
		}
		if (before != SIZE_MAX)
			edit_patch_put(w, before, 1, NULL);
	}
	cut(w, start, end);
}

/* The "-" of item i. */
static size_t dash_of(const struct edit_work *w, const struct edit_node *list, uint32_t i)
{
	return i ? edit_tree_skip(w->text, list->v[i - 1]->end)
		 : edit_tree_content(w->text, list);
}

static int remove_at(struct edit_work *w, const struct edit_node *c, uint32_t first, size_t start)
{
	size_t step = c->kind == Y_MAP ? 2 : 1, end = c->v[first + step - 1]->end;
	struct slice t = w->text;

	if (c->flow) {
		remove_flow(w, c, first, start, end);
		return 0;
	}
	if (!begins_line(t, start)) { /* the first key of "- key: value" */
		if (first + step >= c->n)
			return edit_refuse(w->e, "this place is written in a way that cannot be edited "
					    "safely; change it by hand");
		edit_patch_put(w, start, c->v[first + step]->start - start, NULL);
		return 0;
	}
	if (end > start && edit_is_break(t.p[end - 1]))
		edit_patch_put(w, line_start(t, start), end - line_start(t, start), NULL);
	else
		cut(w, start, edit_line_end(t, end));
	return 0;
}

int edit_remove_item(struct edit_work *w, const struct edit_node *list, uint32_t i)
{
	int r = edit_check_own(w->e, list);

	if (r == 0)
		r = check_unused(w->e, list->v[i]);
	if (r < 0)
		return r;
	return remove_at(w, list, i, list->flow ? list->v[i]->start : dash_of(w, list, i));
}

/* The pair whose value is val. */
int edit_remove_pair(struct edit_work *w, const struct edit_node *val)
{
	const struct edit_node *map = val->parent;
	uint32_t i = 0;
	int r = edit_check_own(w->e, map);

	while (i < map->n && map->v[i + 1] != val)
		i += 2;
	if (r == 0)
		r = check_unused(w->e, val);
	return r < 0 ? r : remove_at(w, map, i, map->v[i]->start);
}
