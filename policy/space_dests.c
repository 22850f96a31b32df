/* SPDX-License-Identifier: Apache-2.0 */
/* space_dests.c - which destinations can the policies tell apart, and which of them decide alike?
 * space.h says what for. */
#include "policy/host.h"
#include "policy/space.h"

struct dest_walk {
	struct space *s;
	const struct dest_filter *f;
	dest_visit visit;
	void *ctx;
	size_t fixed;			/* automata before those of the images */
	uint32_t (*seen)[SIDES_MAX];	/* destination sets */
	size_t nseen, seen_cap;
	struct hmap map;
	const uint32_t *state; /* before the port, of the host at hand */
	struct slice text;
};

static bool seen_eq(const void *ctx, uint32_t i)
{
	const struct dest_walk *w = ctx;

	return memcmp(w->seen[i], w->seen[w->nseen], sizeof(w->seen[i])) == 0;
}

static uint32_t step(const struct dest_walk *w, size_t side, uint32_t s, uint8_t b)
{
	const struct image *img = w->s->img[side];

	return s ? view_step(img, &img->hdr->dst, s, b) : 0;
}

static int show(struct dest_walk *w, uint16_t port)
{
	struct dest_class d = {.dest = {.port = port}};
	struct slice t = w->text;

	memcpy(d.dstset, w->seen[w->nseen - 1], sizeof(d.dstset));
	if (t.p[0] == 'n') {
		t = (struct slice){t.p + 1, t.n - 2};
		d.dest.host = (struct slice){
			(const uint8_t *)arena_copy(&w->s->arena, t), t.n};
		return d.dest.host.p ? w->visit(w->ctx, &d) : -ENOMEM;
	}
	d.dest.family = t.p[0] == '4' ? 4 : 6;
	memcpy(d.dest.addr, t.p + 1, t.n - 1);
	return w->visit(w->ctx, &d);
}

/* Ports in the order in which people would name them. */
static int try_port(struct dest_walk *w, const uint32_t *high, uint16_t port)
{
	bool any = false;
	uint32_t at;
	int r;

	if (port < w->f->from || port > w->f->to)
		return 0;
	r = array_grow(&w->seen, &w->seen_cap, w->nseen + 1, sizeof(*w->seen));
	if (r < 0)
		return r;
	memset(w->seen[w->nseen], 0, sizeof(*w->seen));
	for (size_t i = 0; i < w->s->n; i++) {
		const struct image *img = w->s->img[i];
		uint32_t s = step(w, i, high[i], (uint8_t)port);

		w->seen[w->nseen][i] = view_accept(img, &img->hdr->dst, s);
		any |= w->seen[w->nseen][i] != 0;
	}
	if (!any)
		return 0;
	r = hmap_intern(&w->map, hash_bytes(9, w->seen[w->nseen], sizeof(*w->seen)), seen_eq, w,
			(uint32_t)w->nseen, &at);
	if (r != 0)
		return r < 0 ? r : 0;
	w->nseen++;
	return show(w, port);
}

static bool high_states(const struct dest_walk *w, unsigned int hi, uint32_t high[SIDES_MAX])
{
	bool any = false;

	for (size_t i = 0; i < w->s->n; i++) {
		high[i] = step(w, i, w->state[w->fixed + i], (uint8_t)hi);
		any |= high[i] != 0;
	}
	return any;
}

static int each_port(struct dest_walk *w)
{
	static const uint16_t usual[] = {443, 80};
	uint32_t high[SIDES_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(usual); i++)
		if (high_states(w, usual[i] >> 8, high))
			r = try_port(w, high, usual[i]);
	for (unsigned int hi = 0; r == 0 && hi < 256; hi++) {
		if (!high_states(w, hi, high))
			continue;
		for (unsigned int lo = 0; r == 0 && lo < 256; lo++)
			if (hi || lo)
				r = try_port(w, high, (uint16_t)(hi << 8 | lo));
	}
	return r;
}

static int host_visit(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	struct dest_walk *w = ctx;

	for (size_t i = 0; i < w->fixed; i++)
		if (!accept[i])
			return 0;
	w->state = state;
	w->text = text;
	return each_port(w);
}

static int walk(struct dest_walk *w, const struct table_dfa *lang, const struct byteset *alphabet,
		const struct product_limits *limits)
{
	struct automaton a[2 + SIDES_MAX];

	w->fixed = 0;
	a[w->fixed++] = automaton_of_table(lang);
	if (w->f->host)
		a[w->fixed++] = automaton_of_table(w->f->host);
	for (size_t i = 0; i < w->s->n; i++) {
		const struct osh_img_dfa *d = &w->s->img[i]->hdr->dst;

		a[w->fixed + i] = automaton_of_image(w->s->img[i], d, d->start);
	}
	w->nseen = 0;
	hmap_done(&w->map);
	return product_walk(a, w->fixed + w->s->n, w->fixed, alphabet, limits, host_visit, w);
}

static int walk_names(struct dest_walk *w)
{
	_cleanup_(table_dfa_done) struct table_dfa lang = {0};
	struct product_limits limits = PRODUCT_LIMITS_DEFAULT;
	struct byteset name = {0};
	int r = lang_host(&lang);

	byteset_range(&name, 'a', 'z');
	byteset_range(&name, '0', '9');
	byteset_range(&name, '-', '.');
	byteset_add(&name, '_');
	byteset_add(&name, 0);
	limits.length = HOST_MAX + 2; /* 'n' and NUL */
	return r < 0 ? r : walk(w, &lang, &name, &limits);
}

static int walk_addresses(struct dest_walk *w)
{
	_cleanup_(table_dfa_done) struct table_dfa lang = {0};
	struct product_limits limits = PRODUCT_LIMITS_DEFAULT;
	int r = lang_address(&lang);

	limits.numbers = true;
	return r < 0 ? r : walk(w, &lang, NULL, &limits);
}

int space_dests(struct space *s, const struct dest_filter *f, dest_visit visit, void *ctx)
{
	struct dest_walk w = {.s = s, .f = f, .visit = visit, .ctx = ctx};
	int r = walk_names(&w);

	if (r == 0)
		r = walk_addresses(&w);
	free(w.seen);
	hmap_done(&w.map);
	return r;
}

/* ------------------------------------------------------------------------------- shapes -- */

void dest_shape_done(struct dest_shape *s)
{
	free(s->key);
}

static int put(struct dest_shape *s, const void *p, size_t n)
{
	int r = array_grow(&s->key, &s->key_cap, s->nkey + n, 1);

	if (r < 0)
		return r;
	memcpy(s->key + s->nkey, p, n);
	s->nkey += n;
	return 0;
}

static int put_u32(struct dest_shape *s, uint32_t v)
{
	return put(s, &v, sizeof(v));
}

static int put_conds(struct dest_shape *s, const struct image *img, const struct img_endpoint *e)
{
	const struct img_rule *rules = VIEW(img, rules, struct img_rule) + e->first_rule;
	int r = 0;

	for (uint32_t i = 0; i < e->nrules; i++) {
		const struct img_cond *c = VIEW(img, conds, struct img_cond) + rules[i].first_cond;

		for (uint32_t k = 0; r == 0 && k < rules[i].nconds; k++) {
			const uint32_t v[] = {i, c[k].name.off, c[k].name.n, c[k].start};

			r = put(s, v, sizeof(v));
		}
	}
	return r;
}

static int put_endpoint(struct dest_shape *s, const struct image *img, const struct img_endpoint *e)
{
	const struct img_net *nets = VIEW(img, nets, struct img_net) + e->first_net;
	const uint32_t v[] = {e->flags, e->selector, e->start, e->nrules, e->nnets};
	int r = put(s, v, sizeof(v));

	if (r == 0 && e->nnets)
		r = put(s, nets, e->nnets * sizeof(*nets));
	return r < 0 ? r : put_conds(s, img, e);
}

/* Where the endpoints of a block stand in the key. */
struct span {
	uint32_t block;
	size_t from, to;
};
struct spans {
	const struct dest_shape *shape;
	struct span v[OSH_BLOCKS_MAX];
	uint32_t n;
};

static bool span_eq(const void *ctx, uint32_t i)
{
	const struct spans *s = ctx;
	const struct span *a = &s->v[i], *b = &s->v[s->n];

	return a->to - a->from == b->to - b->from &&
	       memcmp(s->shape->key + a->from, s->shape->key + b->from, a->to - a->from) == 0;
}

static int represent(struct dest_shape *shape, size_t side, struct spans *s, struct hmap *map)
{
	const struct span *x = &s->v[s->n];
	uint32_t at;
	int r = hmap_intern(map, hash_bytes(10, shape->key + x->from, x->to - x->from), span_eq, s,
			    s->n, &at);

	if (r < 0)
		return r;
	shape->rep[side][x->block] = (uint16_t)s->v[at].block;
	shape->mask[side].w[x->block / 64] |= 1ull << (x->block % 64);
	s->n++;
	return 0;
}

/* Endpoints are in the order of the file, so those of a block stand together. */
static int shape_side(struct dest_shape *shape, const struct image *img, size_t side, uint32_t dstset)
{
	struct view_eps eps = view_eps(img, dstset);
	struct spans s = {.shape = shape};
	struct hmap map = {0};
	int r = put_u32(shape, eps.n);

	for (uint32_t i = 0; r == 0 && i < eps.n;) {
		uint32_t block = view_endpoint(img, eps.v[i])->block;

		if (bits_have(&shape->mask[side], block) || s.n >= OSH_BLOCKS_MAX) {
			r = -E2BIG; /* not an image of our compiler's */
			break;
		}
		r = put_u32(shape, block);
		s.v[s.n] = (struct span){.block = block, .from = shape->nkey};
		for (; r == 0 && i < eps.n && view_endpoint(img, eps.v[i])->block == block; i++)
			r = put_endpoint(shape, img, view_endpoint(img, eps.v[i]));
		s.v[s.n].to = shape->nkey;
		if (r == 0)
			r = represent(shape, side, &s, &map);
	}
	hmap_done(&map);
	return r;
}

int space_shape(const struct space *s, const struct dest_class *d, struct dest_shape *ret)
{
	int r;

	ret->nkey = 0;
	memset(ret->mask, 0, sizeof(ret->mask));
	r = put_u32(ret, d->dest.host.n != 0); /* what names resolve to is part of it */
	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = shape_side(ret, s->img[i], i, d->dstset[i]);
	return r;
}

void shape_set_done(struct shape_set *t)
{
	free(t->key);
	hmap_done(&t->map);
	*t = (struct shape_set){0};
}

static bool key_eq(const void *ctx, uint32_t i)
{
	const struct shape_set *t = ctx;

	return slice_eq(t->key[i], t->look);
}

int shape_set_add(struct space *s, struct shape_set *t, const struct dest_shape *shape,
		  uint32_t *ret)
{
	int r = array_grow(&t->key, &t->cap, t->n + 1, sizeof(*t->key));

	if (r < 0)
		return r;
	t->look = (struct slice){shape->key, shape->nkey};
	r = hmap_intern(&t->map, hash_bytes(13, shape->key, shape->nkey), key_eq, t,
			(uint32_t)t->n, ret);
	if (r != 0)
		return r;
	t->key[t->n] = (struct slice){(const uint8_t *)arena_copy(&s->arena, t->look), t->look.n};
	return t->key[t->n++].p ? 0 : -ENOMEM;
}
