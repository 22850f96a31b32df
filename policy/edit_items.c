/* SPDX-License-Identifier: Apache-2.0 */
/* edit_items.c - what a policy means, item by item, so that an edit can be held to its word. */
#include "policy/edit_parts.h"

struct list {
	uint64_t *v;
	size_t n, cap;
	bool oom;
};

static uint64_t mix_str(uint64_t h, struct slice s)
{
	return hash_bytes(h, s.p, s.n);
}

static uint64_t mix_num(uint64_t h, uint64_t v)
{
	return hash_bytes(h, &v, sizeof(v));
}

static uint64_t mix_paths(uint64_t h, const struct policy_paths *p)
{
	h = mix_num(h, p->n);
	for (size_t i = 0; i < p->n; i++)
		h = mix_str(h, slice_str(p->v[i].path));
	return h;
}

static uint64_t mix_net(uint64_t h, const struct pol_net *n)
{
	h = mix_num(h, (uint64_t)n->family << 8 | n->prefix);
	return hash_bytes(h, n->addr, sizeof(n->addr));
}

static void put(struct list *l, uint64_t v)
{
	if (array_grow(&l->v, &l->cap, l->n + 1, sizeof(*l->v)) < 0)
		l->oom = true;
	else
		l->v[l->n++] = v;
}

static uint64_t static_item(const struct policy_static *s)
{
	uint64_t h = mix_num(1, (uint64_t)s->has_filesystem << 3 | (uint64_t)s->has_landlock << 2 |
					(uint64_t)s->has_process << 1 | s->include_workdir);

	h = mix_paths(h, &s->read_only);
	h = mix_paths(h, &s->read_write);
	h = mix_paths(h, &s->unix_sockets);
	h = mix_num(h, s->landlock);
	h = mix_str(h, slice_str(s->run_as_user));
	return mix_str(h, slice_str(s->run_as_group));
}

static uint64_t rule_item(const struct pol_rule *r)
{
	uint64_t h = mix_str(mix_str(mix_num(2, r->deny), r->method), r->path);

	for (size_t i = 0; i < r->nquery; i++) {
		h = mix_str(mix_num(h, r->query[i].n), r->query[i].name);
		for (size_t k = 0; k < r->query[i].n; k++)
			h = mix_str(h, r->query[i].any[k]);
	}
	return h;
}

static uint64_t endpoint_item(const struct pol_endpoint *e)
{
	uint64_t h = mix_str(mix_num(3, e->host_kind), e->host);

	if (e->host_kind == HOST_ADDRESS)
		h = mix_net(h, &e->address);
	h = mix_num(h, e->protocol);
	h = mix_num(h, e->tls);
	h = mix_num(h, e->enforcement);
	h = mix_num(h, e->access);
	h = mix_num(h, (uint64_t)e->encoded_slash << 1 | e->says_protocol);
	h = mix_str(h, e->path);
	h = mix_num(h, e->nips);
	for (size_t i = 0; i < e->nips; i++)
		h = mix_net(h, &e->ips[i]);
	return h;
}

static void put_endpoint(struct list *l, const struct pol_endpoint *e)
{
	put(l, endpoint_item(e));
	for (size_t i = 0; i < e->nports; i++)
		put(l, mix_num(4, e->ports[i]));
	for (size_t i = 0; i < e->nrules; i++)
		put(l, rule_item(&e->rules[i]));
}

static void put_block(struct list *l, const struct pol_block *b)
{
	put(l, mix_str(mix_str(5, b->key), b->name));
	for (size_t i = 0; i < b->nbinaries; i++) {
		const struct pol_binary *x = &b->binaries[i];

		put(l, mix_str(mix_num(6, (uint64_t)x->ancestors << 1 | x->tainted), x->path));
	}
	for (size_t i = 0; i < b->nendpoints; i++)
		put_endpoint(l, &b->endpoints[i]);
}

int edit_items_of(const struct policy *p, struct edit_items *ret)
{
	struct list l = {0};

	put(&l, static_item(&p->st));
	for (size_t b = 0; b < p->nblocks; b++)
		put_block(&l, &p->blocks[b]);
	if (l.oom) {
		free(l.v);
		return -ENOMEM;
	}
	*ret = (struct edit_items){l.v, l.n};
	return 0;
}

size_t edit_at_rule(const struct policy *p, size_t block, size_t endpoint, size_t rule)
{
	return edit_at_port(p, block, endpoint, p->blocks[block].endpoints[endpoint].nports) + rule;
}

size_t edit_at_port(const struct policy *p, size_t block, size_t endpoint, size_t i)
{
	return edit_at_endpoint(p, block, endpoint) + 1 + i;
}

size_t edit_at_endpoint(const struct policy *p, size_t block, size_t endpoint)
{
	const struct pol_block *b = &p->blocks[block];
	size_t at = edit_at_binary(p, block, b->nbinaries);

	for (size_t i = 0; i < endpoint; i++)
		at += 1 + b->endpoints[i].nports + b->endpoints[i].nrules;
	return at;
}

size_t edit_at_binary(const struct policy *p, size_t block, size_t i)
{
	return edit_at_block(p, block) + 1 + i;
}

size_t edit_at_block(const struct policy *p, size_t block)
{
	size_t at = 1;

	for (size_t b = 0; b < block; b++) {
		const struct pol_block *k = &p->blocks[b];

		at += 1 + k->nbinaries;
		for (size_t i = 0; i < k->nendpoints; i++)
			at += 1 + k->endpoints[i].nports + k->endpoints[i].nrules;
	}
	return at;
}

bool edit_items_changed(const struct edit_items *was, const struct edit_items *now, size_t at,
			size_t cut, const uint64_t *add, size_t nadd)
{
	size_t rest = was->n - at - cut;

	return at + cut <= was->n && now->n == at + nadd + rest &&
	       memcmp(was->v, now->v, at * sizeof(*now->v)) == 0 &&
	       (nadd == 0 || memcmp(add, now->v + at, nadd * sizeof(*now->v)) == 0) &&
	       (rest == 0 ||
		memcmp(was->v + at + cut, now->v + at + nadd, rest * sizeof(*now->v)) == 0);
}
