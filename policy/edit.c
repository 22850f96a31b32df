/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit.c - what each edit changes in the text of a policy, and whether it did what it should.
 *
 * An edit is a few cuts and insertions (struct edit_patch) found from the marks of the YAML nodes.  How
 * YAML is written has more corners than this file knows; it need not know them all, because the
 * result is parsed and compared, item by item, with what was there before.
 */
#include "policy/edit_place.h"
#include "policy/utf8.h"

#include <stdarg.h>

#define KEY_MAX 60

void edit_done(struct edit *e)
{
	free(e->text);
	policy_free(e->policy);
	*e = (struct edit){0};
}

int edit_open(struct slice text, struct policy_diags *diags, struct edit *ret)
{
	struct edit e = {.n = text.n};
	int r = policy_parse(text, diags, &e.policy);

	if (r < 0)
		return r;
	e.text = malloc(text.n + 1);
	if (!e.text) {
		edit_done(&e);
		return -ENOMEM;
	}
	memcpy(e.text, text.p, text.n);
	e.text[text.n] = 0;
	*ret = e;
	return 0;
}

/* -------------------------------------------------------------------------- an edit's life -- */

static int work_begin(struct edit *e, struct edit_work *w)
{
	*w = (struct edit_work){.e = e, .bom = utf8_bom((struct slice){(const uint8_t *)e->text, e->n})};
	w->text = (struct slice){(const uint8_t *)e->text + w->bom, e->n - w->bom};
	w->nl = edit_line_break(w->text);
	return edit_tree_read(&w->arena, w->text, &w->root);
}

static void work_done(struct edit_work *w)
{
	for (size_t i = 0; i < w->patch.n; i++)
		free(w->patch.v[i].add);
	arena_done(&w->arena);
}

/* What an edit promises, in items. */
struct promise {
	size_t at, cut;
	const uint64_t *add;
	size_t nadd;
};

static int not_kept(struct edit *e, const struct policy_diags *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].severity == POLICY_ERROR)
			return edit_refuse(e, "%s", d->v[i].message);
	return edit_refuse(e, "this place is written in a way that cannot be edited safely; change it "
			 "by hand");
}

static bool keeps(const struct policy *was, const struct policy *now, const struct promise *p)
{
	struct edit_items a = {0}, b = {0};
	bool ok = edit_items_of(was, &a) == 0 && edit_items_of(now, &b) == 0 &&
		  edit_items_changed(&a, &b, p->at, p->cut, p->add, p->nadd);

	free(a.v);
	free(b.v);
	return ok;
}

/* Applies the patch, and takes the new text when it means what was promised. */
static int commit(struct edit_work *w, const struct promise *p)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	_cleanup_(policy_freep) struct policy *next = NULL;
	_cleanup_free_ char *text = NULL;
	struct edit *e = w->e;
	size_t n = 0;
	int r = edit_patch_apply(w, &text, &n);

	if (r == 0)
		r = policy_parse((struct slice){(const uint8_t *)text, n}, &d, &next);
	if (r < 0 && r != -EINVAL)
		return r;
	if (r < 0 || !keeps(e->policy, next, p))
		return not_kept(e, &d);
	free(e->text);
	policy_free(e->policy);
	e->text = steal_ptr(&text);
	e->n = n;
	e->policy = steal_ptr(&next);
	return 0;
}

/* ------------------------------------------------------------------------- fragments -- */

/* What is to be added, as a policy of its own: checked before anything is touched, and the measure
 * of what the result must mean. */
struct fragment {
	struct policy *policy;
	struct edit_items items;
};

static void fragment_done(struct fragment *f)
{
	policy_free(f->policy);
	free(f->items.v);
}

static int fragment_read(struct edit *e, const char *text, struct fragment *ret)
{
	_cleanup_(policy_diags_done) struct policy_diags d = {0};
	int r = policy_parse(slice_str(text), &d, &ret->policy);

	if (r == -EINVAL)
		return not_kept(e, &d);
	return r < 0 ? r : edit_items_of(ret->policy, &ret->items);
}

__attribute__((format(printf, 3, 4))) static int fragment_open(struct edit *e,
							       struct fragment *ret,
							       const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return fragment_read(e, text, ret);
}

/* Items of a fragment from `at` to the end. */
static struct promise promise_add(size_t where, const struct fragment *f, size_t at)
{
	return (struct promise){where, 0, f->items.v + at, f->items.n - at};
}

/* --------------------------------------------------------------------------- the places -- */

static struct edit_node *blocks_node(const struct edit_work *w)
{
	return edit_tree_get(w->root, "network_policies");
}

static struct edit_node *block_node(const struct edit_work *w, size_t block)
{
	return blocks_node(w)->v[2 * block + 1];
}

static struct edit_node *endpoint_node(const struct edit_work *w, size_t block, size_t endpoint)
{
	const struct edit_node *list =
		edit_tree_real(edit_tree_get(block_node(w, block), "endpoints"));

	return list->v[endpoint];
}

/* ------------------------------------------------------------------------------- blocks -- */

static bool key_taken(const struct policy *p, const char *key)
{
	for (size_t b = 0; b < p->nblocks; b++)
		if (slice_eq_str(p->blocks[b].key, key))
			return true;
	return false;
}

static void make_key(const struct policy *p, struct slice like, char key[KEY_MAX + 16])
{
	size_t n = 0;

	for (size_t i = 0; i < like.n && n < KEY_MAX; i++) {
		uint8_t c = like.p[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (c >= 'A' && c <= 'Z')
			key[n++] = (char)(c | 0x20);
		else if (good)
			key[n++] = (char)c;
		else if (n && key[n - 1] != '_')
			key[n++] = '_';
	}
	while (n && key[n - 1] == '_')
		n--;
	key[n] = 0;
	if (n == 0 || (key[0] >= '0' && key[0] <= '9')) {
		memmove(key + 5, key, n + 1);
		memcpy(key, "host_", 5);
		n += 5;
		key[n] = 0;
	}
	for (unsigned int i = 2; key_taken(p, key); i++)
		snprintf(key + n, KEY_MAX + 16 - n, "_%u", i);
}

static void put_binaries(FILE *f, const struct edit_binary *binaries, size_t n)
{
	fputs("binaries: [", f);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "", f);
		edit_put_binary(f, &binaries[i]);
	}
	fputs("]", f);
}

/* A block in the two ways of writing it. */
struct block_text {
	char *item, *lines;
};

static void block_text_done(struct block_text *b)
{
	free(b->item);
	free(b->lines);
}

static void put_item_lines(FILE *f, const char *indent, const char *lines)
{
	while (*lines) {
		size_t n = strcspn(lines, "\n");

		fprintf(f, "%s%.*s\n", indent, (int)n, lines);
		lines += n + (lines[n] != 0);
	}
}

static int endpoint_text(const struct edit_endpoint *ep, struct block_text *ret)
{
	size_t n;
	FILE *f = open_memstream(&ret->item, &n);

	if (f) {
		edit_put_endpoint(f, ep);
		fclose(f);
	}
	f = open_memstream(&ret->lines, &n);
	if (f) {
		edit_put_endpoint_lines(f, ep);
		fclose(f);
	}
	return ret->item && ret->lines ? 0 : -ENOMEM;
}

static int block_text(const char *key, const struct edit_endpoint *ep,
		      const struct edit_binary *binaries, size_t nbinaries,
		      struct block_text *ret)
{
	_cleanup_(block_text_done) struct block_text one = {0};
	size_t n;
	FILE *f;
	int r = endpoint_text(ep, &one);

	if (r < 0)
		return r;
	f = open_memstream(&ret->item, &n);
	if (f) {
		fprintf(f, "%s: {endpoints: [%s], ", key, one.item);
		put_binaries(f, binaries, nbinaries);
		fputs("}", f);
		fclose(f);
	}
	f = open_memstream(&ret->lines, &n);
	if (f) {
		fprintf(f, "%s:\n  endpoints:\n", key);
		put_item_lines(f, "    ", one.lines);
		fputs("  ", f);
		put_binaries(f, binaries, nbinaries);
		fclose(f);
	}
	return ret->item && ret->lines ? 0 : -ENOMEM;
}

/* Comments of an endpoint and of its first rule, for where both stand above it. */
static char *both_comments(const char *a, const char *b)
{
	char *out;

	if (asprintf(&out, "%s%s%s", a ? a : "", a && b ? "\n" : "", b ? b : "") < 0)
		return NULL;
	return out;
}

/* `network_policies:` with nothing in it, or {}: the new block stands in its place. */
static void fill_blocks(struct edit_work *w, const struct edit_node *val, const struct block_text *b,
			const char *comment)
{
	const struct edit_node *key = val->parent->v[0];
	_cleanup_free_ char *braced = NULL;

	if (!val->parent->flow) {
		size_t from = edit_tree_content(w->text, val);

		if (val->start < val->end)
			edit_patch_put(w, from, val->end - from, NULL);
		edit_patch_lines(w, edit_line_end(w->text, val->end), key->column + 2, "", comment, b->lines);
		return;
	}
	if (asprintf(&braced, " {%s}", b->item) < 0) {
		braced = NULL;
		w->oom = true;
		return;
	}
	edit_patch_text(w, val->start, val->end - val->start,
		   val->start < val->end ? braced + 1 : braced);
}

/* No `network_policies` at all. */
static void new_blocks(struct edit_work *w, const struct block_text *b, const char *comment)
{
	_cleanup_free_ char *item = NULL, *lines = NULL;
	size_t n;
	FILE *f = open_memstream(&lines, &n);

	if (f) {
		fputs("network_policies:\n", f);
		if (comment && !w->root->flow) {
			char *notes = NULL;
			FILE *g = open_memstream(&notes, &n);

			if (g) {
				edit_put_comment(g, comment);
				fclose(g);
			}
			put_item_lines(f, "  ", notes ? notes : "");
			free(notes);
		}
		put_item_lines(f, "  ", b->lines);
		fclose(f);
	}
	if (asprintf(&item, "network_policies: {%s}", b->item) < 0)
		item = NULL;
	if (!item || !lines)
		w->oom = true;
	else
		edit_append(w, w->root, item, lines, w->root->flow ? comment : NULL);
}

static int place_block(struct edit_work *w, const struct block_text *b, const char *comment)
{
	const struct edit_node *val = blocks_node(w);
	const struct edit_node *real = edit_tree_real(val);
	int r = edit_check_own(w->e, w->root);

	if (r < 0)
		return r;
	if (!val) {
		new_blocks(w, b, comment);
		return 0;
	}
	r = edit_check_own(w->e, val);
	if (r < 0)
		return r;
	if (real->kind == Y_SCALAR)
		fill_blocks(w, val, b, comment);
	else if (real->n == 0 && !val->parent->flow &&
		 edit_past_blanks(w->text, edit_tree_content(w->text, val) + 1) == val->end - 1)
		fill_blocks(w, val, b, comment);
	else
		edit_append(w, val, b->item, b->lines, comment);
	return 0;
}

int edit_add_block(struct edit *e, struct slice like, const struct edit_endpoint *ep,
		   const struct edit_binary *binaries, size_t nbinaries, const char *comment)
{
	_cleanup_(block_text_done) struct block_text b = {0};
	_cleanup_(fragment_done) struct fragment f = {0};
	_cleanup_free_ char *above = both_comments(comment, ep->rules_comment);
	char key[KEY_MAX + 16];
	struct promise p;
	struct edit_work w;
	int r;

	make_key(e->policy, like, key);
	r = above ? block_text(key, ep, binaries, nbinaries, &b) : -ENOMEM;
	if (r == 0)
		r = fragment_open(e, &f, "version: 1\nnetwork_policies: {%s}\n", b.item);
	if (r < 0)
		return r;
	r = work_begin(e, &w);
	if (r == 0) {
		const struct edit_node *val = blocks_node(&w);
		bool flow = w.root->flow || (val && val->flow && val->n);
		const char *c = flow ? above : comment;

		r = place_block(&w, &b, c && *c ? c : NULL);
	}
	p = promise_add(edit_at_block(e->policy, e->policy->nblocks), &f, 1);
	if (r == 0)
		r = commit(&w, &p);
	work_done(&w);
	return r;
}

/* ------------------------------------------------------------- endpoints, binaries, rules -- */

int edit_add_endpoint(struct edit *e, size_t block, const struct edit_endpoint *ep,
		      const char *comment)
{
	_cleanup_(block_text_done) struct block_text b = {0};
	_cleanup_(fragment_done) struct fragment f = {0};
	_cleanup_free_ char *above = both_comments(comment, ep->rules_comment);
	struct promise p;
	struct edit_work w;
	int r = above ? endpoint_text(ep, &b) : -ENOMEM;

	if (r == 0)
		r = fragment_open(e, &f,
				  "version: 1\nnetwork_policies: {k: {endpoints: [%s], binaries: "
				  "[{path: /k}]}}\n",
				  b.item);
	if (r < 0)
		return r;
	r = work_begin(e, &w);
	if (r == 0) {
		const struct edit_node *list = edit_tree_get(block_node(&w, block), "endpoints");
		const char *c = list->flow ? above : comment;

		r = edit_check_own(e, list);
		if (r == 0)
			edit_append(&w, list, b.item, b.lines, c && *c ? c : NULL);
	}
	p = promise_add(edit_at_endpoint(e->policy, block, e->policy->blocks[block].nendpoints), &f,
			3);
	if (r == 0)
		r = commit(&w, &p);
	work_done(&w);
	return r;
}

/* One item in front of which, on a line, stands a dash. */
static int add_item(struct edit_work *w, const struct edit_node *list, const char *item,
		    const char *line, const char *comment)
{
	_cleanup_free_ char *dashed = NULL;
	int r = edit_check_own(w->e, list);

	if (r < 0)
		return r;
	if (asprintf(&dashed, "- %s", line) < 0) {
		dashed = NULL;
		return -ENOMEM;
	}
	edit_append(w, list, item, dashed, comment);
	return 0;
}

int edit_add_binary(struct edit *e, size_t block, const struct edit_binary *binary,
		    const char *comment)
{
	_cleanup_(fragment_done) struct fragment f = {0};
	_cleanup_free_ char *item = NULL;
	struct promise p;
	struct edit_work w;
	size_t n;
	int r;
	FILE *s = open_memstream(&item, &n);

	if (!s)
		return -ENOMEM;
	edit_put_binary(s, binary);
	if (fclose(s) != 0)
		return -ENOMEM;
	r = fragment_open(e, &f,
			  "version: 1\nnetwork_policies: {k: {endpoints: [{host: k, port: 1}], "
			  "binaries: [%s]}}\n",
			  item);
	if (r < 0)
		return r;
	r = work_begin(e, &w);
	if (r == 0)
		r = add_item(&w, edit_tree_get(block_node(&w, block), "binaries"), item, item,
			     comment);
	p = promise_add(edit_at_binary(e->policy, block, e->policy->blocks[block].nbinaries), &f,
			2);
	p.nadd = 1;
	if (r == 0)
		r = commit(&w, &p);
	work_done(&w);
	return r;
}

static int rule_text(const struct edit_rule *rule, bool line, char **ret)
{
	size_t n;
	FILE *f = open_memstream(ret, &n);

	if (!f)
		return -ENOMEM;
	edit_put_rule(f, rule, line);
	return fclose(f) == 0 && *ret ? 0 : -ENOMEM;
}

/* `deny_rules` where there are none yet. */
static int new_rules(struct edit_work *w, const struct edit_node *ep, const char *item,
		     const char *comment)
{
	_cleanup_free_ char *braced = NULL, *lines = NULL;

	if (asprintf(&braced, "deny_rules: [%s]", item) < 0) {
		braced = NULL;
		return -ENOMEM;
	}
	if (asprintf(&lines, "deny_rules:\n  - %s", item) < 0) {
		lines = NULL;
		return -ENOMEM;
	}
	edit_append(w, ep, braced, lines, comment);
	return 0;
}

static int place_rule(struct edit_work *w, size_t block, size_t endpoint, const struct edit_rule *rule,
		      const char *item, const char *line, const char *comment)
{
	const struct edit_node *ep = endpoint_node(w, block, endpoint), *list;
	int r = edit_check_own(w->e, ep);

	if (r < 0)
		return r;
	list = edit_tree_get(ep, rule->deny ? "deny_rules" : "rules");
	if (list)
		return add_item(w, list, item, line, comment);
	if (rule->deny)
		return new_rules(w, ep, item, comment);
	return edit_refuse(w->e,
		      "the endpoint at line %d has 'access', which 'rules' exclude: add another "
		      "endpoint beside it, or replace its 'access' by rules",
		      ep->line);
}

/* Behind the last allow rule, or at the end. */
static size_t rule_place(const struct pol_endpoint *ep, bool deny)
{
	size_t n = ep->nrules;

	while (!deny && n > 0 && ep->rules[n - 1].deny)
		n--;
	return n;
}

int edit_add_rule(struct edit *e, size_t block, size_t endpoint, const struct edit_rule *rule,
		  const char *comment)
{
	const struct pol_endpoint *ep = &e->policy->blocks[block].endpoints[endpoint];
	_cleanup_(fragment_done) struct fragment f = {0};
	_cleanup_free_ char *item = NULL, *line = NULL;
	struct promise p;
	struct edit_work w;
	int r;

	if (!pol_inspected(ep))
		return edit_refuse(e,
			      "the endpoint at line %d is not inspected, so rules mean nothing "
			      "there",
			      ep->line);
	r = rule_text(rule, false, &item);
	if (r == 0)
		r = rule_text(rule, true, &line);
	if (r == 0)
		r = fragment_open(e, &f,
				  "version: 1\nnetwork_policies: {k: {binaries: [{path: /k}], "
				  "endpoints: [{host: k, port: 1, protocol: rest, %s[%s]}]}}\n",
				  rule->deny ? "access: full, deny_rules: " : "rules: ", item);
	if (r < 0)
		return r;
	r = work_begin(e, &w);
	if (r == 0)
		r = place_rule(&w, block, endpoint, rule, item, line, comment);
	p = promise_add(edit_at_rule(e->policy, block, endpoint, rule_place(ep, rule->deny)), &f,
			5);
	if (r == 0)
		r = commit(&w, &p);
	work_done(&w);
	return r;
}

/* ----------------------------------------------------------------------------- removals -- */

/* One of several ports. */
static int remove_port(struct edit_work *w, size_t block, size_t endpoint, uint16_t port)
{
	const struct edit_node *ep = endpoint_node(w, block, endpoint), *list;
	char text[8];
	int r = edit_check_own(w->e, ep);

	snprintf(text, sizeof(text), "%u", port);
	list = r == 0 ? edit_tree_get(ep, "ports") : NULL;
	if (r < 0 || !list)
		return r < 0 ? r : -EINVAL;
	for (uint32_t i = 0; i < edit_tree_real(list)->n; i++)
		if (slice_eq_str(edit_tree_real(edit_tree_real(list)->v[i])->s, text))
			return edit_check_own(w->e, list) < 0 ? -EINVAL : edit_remove_item(w, list, i);
	return edit_refuse(w->e, "port %u of line %d is written in a way that cannot be edited safely",
		      port, ep->line);
}

int edit_remove_endpoint(struct edit *e, size_t block, size_t endpoint, uint16_t port)
{
	const struct pol_block *b = &e->policy->blocks[block];
	const struct pol_endpoint *ep = &b->endpoints[endpoint];
	struct promise p = {0};
	struct edit_work w;
	size_t i = 0;
	int r = work_begin(e, &w);

	while (i < ep->nports && ep->ports[i] != port)
		i++;
	if (r == 0 && i == ep->nports)
		r = edit_refuse(e, "the endpoint at line %d is not for port %u", ep->line, port);
	if (r == 0 && ep->nports > 1) {
		p = (struct promise){edit_at_port(e->policy, block, endpoint, i), 1, NULL, 0};
		r = remove_port(&w, block, endpoint, port);
	} else if (r == 0 && b->nendpoints > 1) {
		p.at = edit_at_endpoint(e->policy, block, endpoint);
		p.cut = edit_at_endpoint(e->policy, block, endpoint + 1) - p.at;
		r = edit_remove_item(&w, edit_tree_get(block_node(&w, block), "endpoints"),
				(uint32_t)endpoint);
	} else if (r == 0) {
		p.at = edit_at_block(e->policy, block);
		p.cut = edit_at_block(e->policy, block + 1) - p.at;
		r = edit_remove_pair(&w, block_node(&w, block));
	}
	if (r == 0)
		r = commit(&w, &p);
	work_done(&w);
	return r;
}

int edit_remove_rule(struct edit *e, size_t block, size_t endpoint, size_t rule)
{
	const struct pol_endpoint *ep = &e->policy->blocks[block].endpoints[endpoint];
	bool deny = ep->rules[rule].deny;
	size_t first = deny ? rule_place(ep, false) : 0;
	size_t count = deny ? ep->nrules - first : rule_place(ep, false);
	struct promise p = {edit_at_rule(e->policy, block, endpoint, rule), 1, NULL, 0};
	const struct edit_node *node, *list;
	struct edit_work w;
	int r;

	if (!deny && count == 1)
		return edit_refuse(e,
			      "the rule at line %d is the only allow rule of the endpoint at line "
			      "%d; remove the endpoint instead",
			      ep->rules[rule].line, ep->line);
	r = work_begin(e, &w);
	if (r == 0) {
		node = endpoint_node(&w, block, endpoint);
		r = edit_check_own(e, node);
	}
	if (r == 0) {
		list = edit_tree_get(node, deny ? "deny_rules" : "rules");
		if (list->target)
			r = edit_check_own(e, list);
		else
			r = count == 1 ? edit_remove_pair(&w, list)
				       : edit_remove_item(&w, list, (uint32_t)(rule - first));
	}
	if (r == 0)
		r = commit(&w, &p);
	work_done(&w);
	return r;
}

int edit_add_comment(struct edit *e, int line, const char *comment)
{
	const struct promise p = {0};
	size_t at = 0, indent;
	char *out = NULL, *blanks;
	struct edit_work w;
	int r = work_begin(e, &w);
	struct slice t = w.text;

	for (int i = 1; i < line && at < t.n; i++)
		at = edit_past_break(t, edit_line_end(t, at));
	indent = edit_past_blanks(t, at) - at;
	blanks = strndup((const char *)t.p + at, indent);
	if (r == 0 && blanks &&
	    asprintf(&out, "%s# %s%s", blanks, comment, w.nl) >= 0) {
		for (char *c = out + indent; *c && !edit_is_break((uint8_t)*c); c++)
			if (*c < 0x20 || *c == 0x7f)
				*c = '?';
		edit_patch_put(&w, at, 0, out);
		r = commit(&w, &p);
	} else if (r == 0) {
		r = -ENOMEM;
	}
	free(blanks);
	work_done(&w);
	return r;
}
