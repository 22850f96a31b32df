/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonical_text.c - a checked policy as one stable text, for its hash: the same for every spelling of the same
 * policy, another for any other rights.
 *
 * Left out: comments, spacing, quoting, positions, order (blocks, endpoints, binaries, rules, paths and networks
 * are sets: no decision depends on their order, only which of several matching names a log line gives), and
 * repetitions.  A static section stands in it only when the file has it, because leaving one out means something
 * else in a reload than in a start.  What the host adds (symbolic links) is not the policy's.  Text in a policy
 * has no control bytes, so a line break can only be ours.
 */
#include "policy/model.h"

#define FORM "osh-enforce policy 1\n"

struct text {
	char *p;
	size_t n, cap;
	int err;
};

static void put(struct text *t, const void *p, size_t n)
{
	if (t->err || n == 0)
		return;
	t->err = array_grow(&t->p, &t->cap, t->n + n, 1);
	if (t->err)
		return;
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void put_str(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

static void put_quoted(struct text *t, const char *what, struct slice s)
{
	put_str(t, what);
	put_str(t, " \"");
	for (size_t i = 0, n; i < s.n; i += n) {
		for (n = 0; i + n < s.n && s.p[i + n] != '"' && s.p[i + n] != '\\'; n++)
			;
		put(t, s.p + i, n);
		if (i + n < s.n) {
			put(t, "\\", 1);
			put(t, s.p + i + n, 1);
			n++;
		}
	}
	put_str(t, "\"");
}

static void put_number(struct text *t, const char *what, unsigned int v)
{
	char b[16];

	put_str(t, what);
	put(t, b, (size_t)snprintf(b, sizeof(b), "%u", v));
}

/* ------------------------------------------------------------------------------------ sets of lines -- */

struct lines {
	struct text text;
	struct line {
		size_t at, n;
	} *v;
	size_t n, cap;
};

static void lines_done(struct lines *l)
{
	free(l->text.p);
	free(l->v);
	*l = (struct lines){0};
}

/* What was put into l->text since the last call is one element (of several lines, perhaps). */
static void line_end(struct lines *l)
{
	size_t at = l->n ? l->v[l->n - 1].at + l->v[l->n - 1].n : 0;

	if (!l->text.err)
		l->text.err = array_grow(&l->v, &l->cap, l->n + 1, sizeof(*l->v));
	if (!l->text.err)
		l->v[l->n++] = (struct line){at, l->text.n - at};
}

static int compare_lines(const void *a, const void *b, void *base)
{
	const struct line *x = a, *y = b;
	int r = memcmp((char *)base + x->at, (char *)base + y->at, x->n < y->n ? x->n : y->n);

	return r ? r : x->n < y->n ? -1 : x->n > y->n;
}

/* Sorted, once each. */
static void put_set(struct text *to, struct lines *l)
{
	if (l->text.err && !to->err)
		to->err = l->text.err;
	if (to->err || !l->n) {
		lines_done(l);
		return;
	}
	qsort_r(l->v, l->n, sizeof(*l->v), compare_lines, l->text.p);
	for (size_t i = 0; i < l->n; i++)
		if (i == 0 || compare_lines(&l->v[i - 1], &l->v[i], l->text.p) != 0)
			put(to, l->text.p + l->v[i].at, l->v[i].n);
	lines_done(l);
}

/* ---------------------------------------------------------------------------------- network rules -- */

static void put_net(struct text *t, const struct pol_net *n)
{
	char b[40];
	size_t bytes = n->family == 4 ? 4 : 16;

	put_number(t, " ", n->family);
	for (size_t i = 0; i < bytes; i++)
		snprintf(b + 2 * i, 3, "%02x", n->addr[i]);
	put_str(t, " ");
	put(t, b, 2 * bytes);
	put_number(t, "/", n->prefix);
}

static void put_query(struct text *t, const struct pol_rule *r)
{
	struct lines all = {0};

	for (size_t i = 0; i < r->nquery; i++) {
		const struct pol_query *q = &r->query[i];
		struct lines any = {0};

		put_quoted(&all.text, "   query", q->name);
		for (size_t k = 0; k < q->n; k++) {
			put_quoted(&any.text, "", q->any[k]);
			line_end(&any);
		}
		put_set(&all.text, &any);
		put_str(&all.text, "\n");
		line_end(&all);
	}
	put_set(t, &all);
}

static void put_rules(struct text *t, const struct pol_endpoint *e)
{
	struct lines rules = {0};

	for (size_t i = 0; i < e->nrules; i++) {
		const struct pol_rule *r = &e->rules[i];

		put_quoted(&rules.text, r->deny ? "  deny" : "  allow", r->method);
		put_quoted(&rules.text, "", r->path);
		put_str(&rules.text, "\n");
		put_query(&rules.text, r);
		line_end(&rules);
	}
	put_set(t, &rules);
}

static void put_ips(struct text *t, const struct pol_endpoint *e)
{
	struct lines ips = {0};

	for (size_t i = 0; i < e->nips; i++) {
		put_str(&ips.text, "  ip");
		put_net(&ips.text, &e->ips[i]);
		put_str(&ips.text, "\n");
		line_end(&ips);
	}
	put_set(t, &ips);
}

static void put_endpoint(struct text *t, const struct pol_endpoint *e)
{
	static const char *const protocols[] = {"tcp", "rest"}, *const tls[] = {"native", "terminate", "skip"},
				 *const access[] = {"none", "read-only", "read-write", "full"};

	put_str(t, " endpoint");
	if (e->host_kind == HOST_ADDRESS)
		put_net(t, &e->address);
	else if (e->host_kind != HOST_NONE)
		put_quoted(t, e->host_kind == HOST_PATTERN ? " pattern" : " host", e->host);
	for (size_t i = 0; i < e->nports; i++)
		put_number(t, i ? "," : " ports ", e->ports[i]);
	put_str(t, " ");
	put_str(t, protocols[e->protocol]);
	put_str(t, " ");
	put_str(t, tls[e->tls]);
	put_str(t, e->enforcement == AUDIT ? " audit " : " enforce ");
	put_str(t, access[e->access]);
	if (e->path.n)
		put_quoted(t, " path", e->path);
	put_str(t, e->encoded_slash ? " encoded-slash\n" : "\n");
	put_rules(t, e);
	put_ips(t, e);
}

static void put_block(struct text *t, const struct pol_block *b)
{
	struct lines endpoints = {0}, binaries = {0};

	put_quoted(t, "block", b->key);
	put_quoted(t, " name", b->name);
	put_str(t, "\n");
	for (size_t i = 0; i < b->nendpoints; i++) {
		put_endpoint(&endpoints.text, &b->endpoints[i]);
		line_end(&endpoints);
	}
	put_set(t, &endpoints);
	for (size_t i = 0; i < b->nbinaries; i++) {
		put_quoted(&binaries.text, " binary", b->binaries[i].path);
		put_str(&binaries.text, b->binaries[i].ancestors ? "" : " alone");
		put_str(&binaries.text, b->binaries[i].tainted ? " tainted\n" : "\n");
		line_end(&binaries);
	}
	put_set(t, &binaries);
}

/* ---------------------------------------------------------------------------------- static sections -- */

static void put_paths(struct text *t, const char *what, const struct policy_paths *paths)
{
	struct lines l = {0};

	for (size_t i = 0; i < paths->n; i++) {
		put_quoted(&l.text, what, slice_str(paths->v[i].path));
		put_str(&l.text, "\n");
		line_end(&l);
	}
	put_set(t, &l);
}

static void put_static(struct text *t, const struct policy_static *s)
{
	if (s->has_filesystem) {
		put_str(t, s->include_workdir ? "filesystem with workdir\n" : "filesystem\n");
		put_paths(t, " read_only", &s->read_only);
		put_paths(t, " read_write", &s->read_write);
		put_paths(t, " unix_socket", &s->unix_sockets);
	}
	if (s->has_landlock)
		put_str(t, s->landlock == POLICY_HARD_REQUIREMENT ? "landlock hard_requirement\n"
								  : "landlock best_effort\n");
	if (!s->has_process)
		return;
	put_str(t, "process");
	if (s->run_as_user)
		put_quoted(t, " user", slice_str(s->run_as_user));
	if (s->run_as_group)
		put_quoted(t, " group", slice_str(s->run_as_group));
	put_str(t, "\n");
}

int policy_canonical_text(const struct policy *p, char **ret, size_t *ret_n)
{
	struct text t = {0};
	struct lines blocks = {0};

	put_str(&t, FORM);
	put_static(&t, &p->st);
	for (size_t i = 0; i < p->nblocks; i++) {
		put_block(&blocks.text, &p->blocks[i]);
		line_end(&blocks);
	}
	put_set(&t, &blocks);
	put(&t, "", 1);
	if (t.err) {
		free(t.p);
		return t.err;
	}
	*ret = t.p;
	*ret_n = t.n - 1;
	return 0;
}
