/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space_requests.c - which methods and paths can the rules of some endpoints tell apart?
 *
 * In two steps, because path selectors read the path alone: first the states of all rules' automata
 * behind "METHOD SP", then from each combination of these the path, selectors beside it.
 */
#include "policy/canonical.h"
#include "policy/space.h"

/* One of the automata that read, not two that are the same. */
struct reader {
	size_t side;
	uint32_t start;
	bool selector;
};

/* Where all rules' automata are behind a method. */
struct method {
	struct slice text;
	size_t states; /* index into .states */
};

struct request_walk {
	struct space *s;
	const struct request_filter *f;
	struct space_endpoint *ep;
	size_t nep;
	struct reader *reader; /* rules first, then selectors */
	size_t nreaders, readers_cap, nrules;
	struct method *method;
	size_t nmethods, methods_cap;
	uint32_t *states;
	size_t nstates, states_cap;
	uint32_t *seen; /* accept values, nreaders + 1 (kept slash) each */
	size_t nseen, seen_cap;
	struct hmap map;
	struct automaton *a;
	size_t fixed;
	const struct method *at;
	request_visit visit;
	void *ctx;
};

static void walk_done(struct request_walk *w)
{
	free(w->reader);
	free(w->method);
	free(w->states);
	free(w->seen);
	free(w->a);
	hmap_done(&w->map);
}

static const struct osh_img_dfa *dfa_of(const struct request_walk *w, size_t side)
{
	return &view_l7(w->s->img[side])->dfa;
}

static int reader_add(struct request_walk *w, struct reader x, size_t *ret)
{
	int r;

	for (*ret = 0; *ret < w->nreaders; ++*ret) {
		const struct reader *y = &w->reader[*ret];

		if (y->side == x.side && y->start == x.start && y->selector == x.selector)
			return 0;
	}
	r = array_grow(&w->reader, &w->readers_cap, w->nreaders + 1, sizeof(*w->reader));
	if (r == 0)
		w->reader[w->nreaders++] = x;
	return r;
}

#define READERS_MAX 4096

static int make_readers(struct request_walk *w)
{
	size_t none;
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->nep; i++)
		r = reader_add(w, (struct reader){w->ep[i].side, w->ep[i].e->start, false},
			       &w->ep[i].automaton);
	w->nrules = w->nreaders;
	for (size_t i = 0; r == 0 && i < w->nep; i++)
		if (w->ep[i].e->flags & IMG_EP_SELECTOR)
			r = reader_add(w,
				       (struct reader){w->ep[i].side, w->ep[i].e->selector, true},
				       &none);
	if (r == 0 && w->nreaders > READERS_MAX)
		r = -E2BIG;
	if (r == 0) {
		w->a = calloc(w->nreaders + 3, sizeof(*w->a));
		r = w->a ? 0 : -ENOMEM;
	}
	return r;
}

static struct automaton reader_automaton(const struct request_walk *w, const struct reader *x,
					 uint32_t state)
{
	return automaton_of_image(w->s->img[x->side], dfa_of(w, x->side), state);
}

/* ------------------------------------------------------------------------------ methods -- */

static int method_add(struct request_walk *w, const uint32_t *states, struct slice text)
{
	struct method *m;
	int r;

	for (size_t i = 0; i < w->nmethods; i++)
		if (memcmp(w->states + w->method[i].states, states, w->nrules * sizeof(*states)) ==
		    0)
			return 0;
	r = array_grow(&w->method, &w->methods_cap, w->nmethods + 1, sizeof(*w->method));
	if (r == 0)
		r = array_grow(&w->states, &w->states_cap, w->nstates + w->nrules + 1,
			       sizeof(*w->states));
	if (r < 0)
		return r;
	m = &w->method[w->nmethods];
	*m = (struct method){.states = w->nstates};
	m->text = (struct slice){(const uint8_t *)arena_copy(&w->s->arena, text), text.n};
	memcpy(w->states + w->nstates, states, w->nrules * sizeof(*states));
	w->nstates += w->nrules;
	w->nmethods++;
	return m->text.p ? 0 : -ENOMEM;
}

static int method_visit(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	if (!accept[0])
		return 0;
	return method_add(ctx, state + 1, (struct slice){text.p, text.n - 1});
}

static int walk_methods(struct request_walk *w, bool common)
{
	const struct table_dfa *lang;
	struct product_limits limits = PRODUCT_LIMITS_DEFAULT;
	int r = space_lang(w->s, common ? SPACE_METHOD_COMMON : SPACE_METHOD, &lang);

	if (r < 0)
		return r;
	w->a[0] = automaton_of_table(lang);
	for (size_t i = 0; i < w->nrules; i++)
		w->a[1 + i] = reader_automaton(w, &w->reader[i], w->reader[i].start);
	limits.length = 32 + 1; /* the proxy reads no longer method (proxy/http1.h) */
	return product_walk(w->a, 1 + w->nrules, 1, NULL, &limits, method_visit, w);
}

static int given_method(struct request_walk *w)
{
	_cleanup_free_ uint32_t *states = calloc(w->nrules + 1, sizeof(*states));

	if (!states)
		return -ENOMEM;
	for (size_t i = 0; i < w->nrules; i++) {
		const struct automaton a =
			reader_automaton(w, &w->reader[i], w->reader[i].start);
		uint32_t s = automaton_walk(&a, a.start, w->f->method);

		states[i] = s ? automaton_step(&a, s, ' ') : 0;
	}
	return method_add(w, states, w->f->method);
}

/* -------------------------------------------------------------------------------- paths -- */

static bool seen_eq(const void *ctx, uint32_t i)
{
	const struct request_walk *w = ctx;
	size_t n = w->nreaders + 1;

	return memcmp(w->seen + i * n, w->seen + w->nseen * n, n * sizeof(*w->seen)) == 0;
}

static int path_visit(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	struct request_walk *w = ctx;
	size_t n = w->nreaders + 1, plain = w->fixed - 1;
	uint32_t *x, at;
	struct slice path;
	int r;

	(void)state;
	for (size_t i = 0; i < plain; i++)
		if (!accept[i])
			return 0;
	r = array_grow(&w->seen, &w->seen_cap, (w->nseen + 1) * n, sizeof(*w->seen));
	if (r < 0)
		return r;
	x = w->seen + w->nseen * n;
	memcpy(x, accept + w->fixed, w->nreaders * sizeof(*x));
	x[w->nreaders] = accept[plain] == 0; /* a kept slash */
	r = hmap_intern(&w->map, hash_bytes(11, x, n * sizeof(*x)), seen_eq, w,
			(uint32_t)w->nseen, &at);
	if (r != 0)
		return r < 0 ? r : 0;
	w->nseen++;
	if (w->nseen > SPACE_QUERIES_MAX)
		return -E2BIG;
	path = (struct slice){(const uint8_t *)arena_copy(&w->s->arena, text), text.n};
	return path.p ? w->visit(w->ctx, w->at->text, path, x) : -ENOMEM;
}

/* All bytes that a canonical path is written with. */
static struct byteset path_bytes(void)
{
	struct byteset s = {0};

	for (unsigned int b = 0; b < 256; b++)
		if (canonical_bare((uint8_t)b))
			byteset_add(&s, (uint8_t)b);
	byteset_add(&s, '/');
	byteset_add(&s, '%');
	return s;
}

/* any: paths as they can be here; plain: those without a kept slash. */
static int walk_paths(struct request_walk *w, const struct table_dfa *any,
		      const struct table_dfa *plain)
{
	struct product_limits limits = PRODUCT_LIMITS_DEFAULT;
	const struct byteset bytes = path_bytes();
	size_t required;

	w->fixed = 0;
	w->a[w->fixed++] = automaton_of_table(any);
	if (w->f->path)
		w->a[w->fixed++] = automaton_of_table(w->f->path);
	required = w->fixed;
	w->a[w->fixed++] = automaton_of_table(plain);
	for (size_t i = 0; i < w->nreaders; i++)
		w->a[w->fixed + i] = reader_automaton(
			w, &w->reader[i],
			i < w->nrules ? w->states[w->at->states + i] : w->reader[i].start);
	limits.length = TARGET_PATH_MAX;
	return product_walk(w->a, w->fixed + w->nreaders, required, &bytes, &limits, path_visit,
			    w);
}

static int run(struct request_walk *w)
{
	const struct table_dfa *any = NULL, *plain = NULL;
	int r = make_readers(w);

	if (r == 0 && w->f->method.n)
		r = given_method(w);
	else if (r == 0)
		r = walk_methods(w, true);
	if (r == 0 && !w->f->method.n)
		r = walk_methods(w, false);
	if (r == 0)
		r = space_lang(w->s, w->f->slash ? SPACE_PATH_SLASH : SPACE_PATH, &any);
	if (r == 0)
		r = space_lang(w->s, SPACE_PATH, &plain);
	for (size_t i = 0; r == 0 && i < w->nmethods; i++) {
		w->at = &w->method[i];
		r = walk_paths(w, any, plain);
	}
	return r;
}

int space_requests(struct space *s, const struct request_filter *f, struct space_endpoint *v, size_t n,
		   request_visit visit, void *ctx)
{
	struct request_walk w = {
		.s = s, .f = f, .ep = v, .nep = n, .visit = visit, .ctx = ctx};
	int r = run(&w);

	walk_done(&w);
	return r;
}
