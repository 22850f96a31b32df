/* SPDX-License-Identifier: Apache-2.0 */
/* edit_place.h - the text of a policy under an edit: where pieces go in and what is cut out, by the marks of its YAML nodes.
 * For edit.c alone, which knows what the pieces mean. */
#pragma once

#include "policy/edit_parts.h"
#include "policy/edit_tree.h"

#define PATCH_MAX 4

/* Of the old text, in ascending order, not overlapping. */
struct edit_patch {
	struct {
		size_t at, cut;
		char *add; /* or NULL */
	} v[PATCH_MAX];
	size_t n;
};

/* What an edit needs to know while it is made. */
struct edit_work {
	struct edit *e;
	struct slice text; /* behind the byte order mark, if there is one */
	size_t bom;
	struct arena arena;
	struct edit_node *root;
	struct edit_patch patch;
	const char *nl; /* how this text ends lines */
	bool oom;
};

/* Why the edit cannot be made.  Returns -EINVAL. */
__attribute__((format(printf, 2, 3))) int edit_refuse(struct edit *e, const char *fmt, ...);

/* Places in the text. */
bool edit_is_break(uint8_t c);
size_t edit_line_end(struct slice t, size_t at);
size_t edit_past_break(struct slice t, size_t at);
size_t edit_past_blanks(struct slice t, size_t at);
const char *edit_line_break(struct slice t);

/* add: malloced, taken. */
void edit_patch_put(struct edit_work *w, size_t at, size_t cut, char *add);
void edit_patch_text(struct edit_work *w, size_t at, size_t cut, const char *add);
void edit_patch_lines(struct edit_work *w, size_t at, size_t indent, const char *before,
			const char *comment, const char *lines);
int edit_patch_apply(struct edit_work *w, char **ret, size_t *ret_n);

/* May it be edited in its place?  What an alias leads to, or is anchored and used elsewhere, may not. */
int edit_check_own(struct edit *e, const struct edit_node *n);

/* Into a list or a map, in flow or block form, as the one that is there is written. */
void edit_append(struct edit_work *w, const struct edit_node *c, const char *item, const char *lines,
		   const char *comment);
int edit_remove_item(struct edit_work *w, const struct edit_node *list, uint32_t i);
int edit_remove_pair(struct edit_work *w, const struct edit_node *val);
