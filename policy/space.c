/* SPDX-License-Identifier: Apache-2.0 */
/* space.c - programs and callers: which sets of blocks can a process be in?  space.h says what for. */
#include "policy/space.h"

void space_done(struct space *s)
{
	arena_done(&s->arena);
	for (size_t i = 0; i < SPACE_LANGS; i++)
		table_dfa_done(&s->lang[i]);
}

static int make_lang(enum space_lang which, struct table_dfa *ret)
{
	switch (which) {
	case SPACE_METHOD_COMMON:
	case SPACE_METHOD:
		return lang_method(which == SPACE_METHOD_COMMON, ret);
	case SPACE_PATH:
	case SPACE_PATH_SLASH:
		return lang_canonical_path(which == SPACE_PATH_SLASH, ret);
	default:
		return lang_query(ret);
	}
}

int space_lang(struct space *s, enum space_lang which, const struct table_dfa **ret)
{
	int r = s->lang[which].states ? 0 : make_lang(which, &s->lang[which]);

	if (r == 0)
		*ret = &s->lang[which];
	return r;
}

int space_spend(struct space *s, uint64_t decisions)
{
	s->work += decisions;
	return s->work > SPACE_WORK_MAX ? -E2BIG : 0;
}

/* ----------------------------------------------------------------------------- programs -- */

void path_classes_done(struct path_classes *c)
{
	free(c->v);
	hmap_done(&c->map);
	*c = (struct path_classes){0};
}

static uint64_t class_hash(const struct path_class *c)
{
	return hash_bytes(6, c->binset, sizeof(c->binset));
}

static bool class_eq(const void *ctx, uint32_t i)
{
	const struct path_classes *c = ctx;

	return memcmp(c->v[i].binset, c->v[c->n].binset, sizeof(c->v[i].binset)) == 0;
}

struct path_walk {
	struct space *s;
	size_t fixed; /* automata before those of the images */
	struct path_classes *out;
};

static int path_visit(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	struct path_walk *w = ctx;
	struct path_classes *c = w->out;
	struct path_class *x;
	uint32_t at;
	int r;

	(void)state;
	for (size_t i = 0; i < w->fixed; i++)
		if (!accept[i])
			return 0;
	r = array_grow(&c->v, &c->cap, c->n + 1, sizeof(*c->v));
	if (r < 0)
		return r;
	x = &c->v[c->n];
	*x = (struct path_class){0};
	for (size_t i = 0; i < w->s->n; i++)
		x->binset[i] = accept[w->fixed + i];
	r = hmap_intern(&c->map, class_hash(x), class_eq, c, (uint32_t)c->n, &at);
	if (r != 0)
		return r < 0 ? r : 0;
	x->path = (struct slice){(const uint8_t *)arena_copy(&w->s->arena, text), text.n};
	c->n++;
	return x->path.p ? 0 : -ENOMEM;
}

static int walk_paths(struct space *s, const struct table_dfa *lang, const struct table_dfa *glob,
		      struct path_classes *out)
{
	struct path_walk w = {.s = s, .out = out};
	struct product_limits limits = PRODUCT_LIMITS_DEFAULT;
	struct automaton a[2 + SIDES_MAX];

	a[w.fixed++] = automaton_of_table(lang);
	if (glob)
		a[w.fixed++] = automaton_of_table(glob);
	for (size_t i = 0; i < s->n; i++) {
		const struct osh_img_dfa *d = &s->img[i]->hdr->bin;

		a[w.fixed + i] = automaton_of_image(s->img[i], d, d->start);
	}
	limits.length = OSH_PATH_MAX - 1;
	return product_walk(a, w.fixed + s->n, w.fixed, NULL, &limits, path_visit, &w);
}

int space_paths(struct space *s, struct slice glob, bool pathless, struct path_classes *ret)
{
	_cleanup_(table_dfa_done) struct table_dfa lang = {0}, match = {0};
	int r = lang_file_path(&lang);

	if (r == 0 && glob.n)
		r = lang_compile(LANG_BINARY, &(struct lang_pattern){.glob = glob}, 1, &match);
	if (r == 0)
		r = walk_paths(s, &lang, glob.n ? &match : NULL, ret);
	if (r == 0 && pathless)
		r = array_grow(&ret->v, &ret->cap, ret->n + 1, sizeof(*ret->v));
	if (r == 0 && pathless)
		ret->v[ret->n++] = (struct path_class){0};
	return r;
}

/* ------------------------------------------------------------------------------ callers -- */

void callers_done(struct callers *c)
{
	free(c->v);
	hmap_done(&c->map);
	*c = (struct callers){0};
}

/* What a path adds in one role: representatives of the blocks that count at the destination. */
struct option {
	struct block_bits bits[SIDES_MAX];
	const struct path_class *path;
};
struct options {
	struct option *v;
	size_t n, cap;
	struct hmap map;
};

static void options_done(struct options *o)
{
	free(o->v);
	hmap_done(&o->map);
}

static bool option_eq(const void *ctx, uint32_t i)
{
	const struct options *o = ctx;

	return memcmp(o->v[i].bits, o->v[o->n].bits, sizeof(o->v[i].bits)) == 0;
}

static void contribution(const struct space *s, const struct dest_shape *shape,
			 const struct path_class *c, bool anc, bool tainted, struct block_bits *ret)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct image *img = s->img[i];
		const struct osh_img_binset *b =
			(const struct osh_img_binset *)(const void *)(img->p +
								      img->hdr->binset_off) +
			c->binset[i];
		const __u64 *w = anc ? (tainted ? b->tanc : b->anc)
				     : (tainted ? b->tself : b->self);

		for (uint32_t k = 0; k < OSH_BLOCK_WORDS; k++) {
			for (uint64_t bits = w[k] & shape->mask[i].w[k]; bits; bits &= bits - 1) {
				uint32_t rep =
					shape->rep[i][k * 64 + (uint32_t)__builtin_ctzll(bits)];

				ret[i].w[rep / 64] |= 1ull << (rep % 64);
			}
		}
	}
}

/* The distinct contributions of a list of classes. */
static int options_of(const struct space *s, const struct dest_shape *shape,
		      const struct path_classes *c, bool anc, bool tainted, struct options *ret)
{
	for (size_t i = 0; c && i < c->n; i++) {
		struct option *o;
		uint32_t at;
		int r = array_grow(&ret->v, &ret->cap, ret->n + 1, sizeof(*ret->v));

		if (r < 0)
			return r;
		o = &ret->v[ret->n];
		*o = (struct option){.path = &c->v[i]};
		contribution(s, shape, &c->v[i], anc, tainted, o->bits);
		r = hmap_intern(&ret->map, hash_bytes(7, o->bits, sizeof(o->bits)), option_eq, ret,
				(uint32_t)ret->n, &at);
		if (r < 0)
			return r;
		ret->n += r == 0;
	}
	return 0;
}

static bool caller_eq(const void *ctx, uint32_t i)
{
	const struct callers *c = ctx;
	const struct caller *a = &c->v[i], *b = &c->v[c->n];

	return a->tainted == b->tainted && memcmp(a->bits, b->bits, sizeof(a->bits)) == 0;
}

static void add_bits(struct caller *x, const struct option *o)
{
	for (size_t i = 0; o && i < SIDES_MAX; i++)
		for (size_t k = 0; k < OSH_BLOCK_WORDS; k++)
			x->bits[i].w[k] |= o->bits[i].w[k];
}

static int caller_add(struct callers *c, const struct caller *x)
{
	uint32_t at;
	int r = array_grow(&c->v, &c->cap, c->n + 1, sizeof(*c->v));

	if (r < 0)
		return r;
	if (c->n >= SPACE_CALLERS_MAX)
		return -E2BIG;
	c->v[c->n] = *x;
	r = hmap_intern(&c->map, hash_bytes(x->tainted, x->bits, sizeof(x->bits)), caller_eq, c,
			(uint32_t)c->n, &at);
	if (r < 0)
		return r;
	c->n += r == 0;
	return 0;
}

/* Executables with scripts, and the ancestor that must be there. */
static int first_callers(struct callers *c, const struct options *exe, const struct options *script,
			 const struct options *must, const struct caller_filter *f, bool tainted)
{
	int r = 0;

	for (size_t k = 0; k <= script->n; k++) { /* 0: no script */
		const struct option *s = k ? &script->v[k - 1] : NULL;

		if (!s && f->must_script)
			continue;
		for (size_t i = 0; r == 0 && i < exe->n; i++) {
			struct caller x = {.exe = exe->v[i].path,
					   .script = s ? s->path : NULL,
					   .parent = UINT32_MAX,
					   .tainted = tainted};

			add_bits(&x, &exe->v[i]);
			add_bits(&x, s);
			if (!f->must)
				r = caller_add(c, &x);
			for (size_t m = 0; r == 0 && f->must && m < must->n; m++) {
				struct caller y = x;

				y.anc = must->v[m].path;
				y.nanc = 1;
				add_bits(&y, &must->v[m]);
				r = caller_add(c, &y);
			}
		}
	}
	return r;
}

/* Adds ancestors to those from `begin` on, until nothing new comes. */
static int more_ancestors(struct callers *c, size_t begin, const struct options *anc)
{
	for (size_t i = begin; i < c->n; i++) {
		for (size_t k = 0; k < anc->n && c->v[i].nanc < OSH_ANCESTORS_MAX; k++) {
			struct caller x = c->v[i];
			int r;

			x.parent = (uint32_t)i;
			x.anc = anc->v[k].path;
			x.nanc++;
			add_bits(&x, &anc->v[k]);
			r = caller_add(c, &x);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int callers_of(struct space *s, const struct caller_filter *f, const struct dest_shape *shape,
		      bool tainted, struct callers *ret)
{
	_cleanup_(options_done) struct options exe = {0}, script = {0}, anc = {0}, must = {0};
	size_t begin = ret->n;
	int r = options_of(s, shape, f->exe, false, tainted, &exe);

	if (r == 0)
		r = options_of(s, shape, f->script, false, tainted, &script);
	if (r == 0)
		r = options_of(s, shape, f->anc, true, tainted, &anc);
	if (r == 0)
		r = options_of(s, shape, f->must, true, tainted, &must);
	if (r == 0)
		r = first_callers(ret, &exe, &script, &must, f, tainted);
	return r < 0 ? r : more_ancestors(ret, begin, &anc);
}

static bool bits_eq(const void *ctx, uint32_t i)
{
	const struct callers *c = ctx; /* n: the one looked for */

	return memcmp(c->v[i].bits, c->v[c->n].bits, sizeof(c->v[i].bits)) == 0;
}

static int mark_repeats(const struct callers *c)
{
	struct callers at = *c;
	struct hmap map = {0};
	int r = 0;

	for (at.n = 0; r >= 0 && at.n < c->n; at.n++) {
		struct caller *x = &at.v[at.n];
		uint32_t same;

		r = hmap_intern(&map, hash_bytes(8, x->bits, sizeof(x->bits)), bits_eq, &at,
				(uint32_t)at.n, &same);
		x->repeats = r > 0;
	}
	hmap_done(&map);
	return r < 0 ? r : 0;
}

int space_callers(struct space *s, const struct caller_filter *f, const struct dest_shape *shape,
		  struct callers *ret)
{
	int r = 0;

	if (f->untainted)
		r = callers_of(s, f, shape, false, ret);
	if (r == 0 && f->tainted)
		r = callers_of(s, f, shape, true, ret);
	return r < 0 ? r : mark_repeats(ret);
}

void caller_paths(const struct callers *c, const struct caller *x, struct slice *anc,
		  struct ident_paths *ret)
{
	*ret = (struct ident_paths){.exe = x->exe->path, .anc = anc, .tainted = x->tainted};
	if (x->script)
		ret->script = x->script->path;
	for (; x->nanc; x = &c->v[x->parent]) {
		anc[ret->nanc++] = x->anc->path;
		if (x->parent == UINT32_MAX)
			break;
	}
}

int space_endpoints(const struct space *s, const struct dest_class *d, const struct callers *c,
		    struct space_endpoints *ret)
{
	struct block_bits all[SIDES_MAX] = {{{0}}};

	ret->n = 0;
	ret->slash = false;
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < SIDES_MAX * OSH_BLOCK_WORDS; k++)
			all[k / OSH_BLOCK_WORDS].w[k % OSH_BLOCK_WORDS] |=
				c->v[i].bits[k / OSH_BLOCK_WORDS].w[k % OSH_BLOCK_WORDS];
	for (size_t side = 0; side < s->n; side++) {
		struct view_eps eps = view_eps(s->img[side], d->dstset[side]);

		for (uint32_t i = 0; i < eps.n; i++) {
			const struct img_endpoint *e = view_endpoint(s->img[side], eps.v[i]);
			int r = array_grow(&ret->v, &ret->cap, ret->n + 1, sizeof(*ret->v));

			if (r < 0)
				return r;
			if (!(e->flags & IMG_EP_INSPECTED) || !bits_have(&all[side], e->block))
				continue;
			ret->v[ret->n++] = (struct space_endpoint){.side = side, .e = e};
			ret->slash |= (e->flags & IMG_EP_ENCODED_SLASH) != 0;
		}
	}
	return 0;
}
