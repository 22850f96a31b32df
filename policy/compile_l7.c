/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile_l7.c - rules of all inspected endpoints -> one automaton and the tables of
 * policy/image.h.
 *
 * Endpoints with the same rules share one program: the states, and the rule sets that count rules
 * from the endpoint's first.  Programs, selectors and query values are roots in one tree, known by
 * the text that they were made from.
 */
#include "policy/compile.h"
#include "policy/glob.h"

/* What a root was made from: its kind and text. */
struct root {
	struct slice key;
	uint32_t node, state;
};

/* A rule of a program, as the accept values need it. */
struct prule {
	uint32_t ordinal;
	bool deny, conditional;
};

struct l7 {
	const struct policy *p;
	struct compiled *c;
	struct nfa nfa;
	struct arena arena; /* keys */
	struct root *root;
	size_t nroots, roots_cap;
	struct hmap roots;
	struct prule *prule; /* tag = index; tag 0: "matches" of selectors and values */
	size_t nprules, prules_cap;
	struct hmap sets;
	size_t sets_cap, setrules_cap, rules_cap, conds_cap, nets_cap, strings_cap;
	struct hmap strings; /* of struct img_str in str */
	struct img_str *str;
	size_t nstr, str_cap;
	char *key; /* the key being made */
	size_t nkey, key_cap;
	bool oom;
};

static void l7_done(struct l7 *l)
{
	nfa_done(&l->nfa);
	arena_done(&l->arena);
	free(l->root);
	hmap_done(&l->roots);
	free(l->prule);
	hmap_done(&l->sets);
	hmap_done(&l->strings);
	free(l->str);
	free(l->key);
}

/* ------------------------------------------------------------------------------ strings -- */

static struct slice str_slice(const struct l7 *l, uint32_t i)
{
	return (struct slice){(const uint8_t *)l->c->t.strings + l->str[i].off, l->str[i].n};
}

static uint64_t str_hash(const void *ctx, uint32_t i)
{
	struct slice s = str_slice(ctx, i);

	return hash_bytes(2, s.p, s.n);
}

static bool str_eq(const void *ctx, uint32_t i)
{
	const struct l7 *l = ctx;

	return slice_eq(str_slice(l, i), str_slice(l, (uint32_t)l->nstr));
}

/* Enters text once. */
static struct img_str add_string(struct l7 *l, struct slice s)
{
	struct l7_tables *t = &l->c->t;
	uint32_t at = 0;
	int r = array_grow(&t->strings, &l->strings_cap, t->nstrings + s.n + 1, 1);

	if (r == 0)
		r = array_grow(&l->str, &l->str_cap, l->nstr + 1, sizeof(*l->str));
	if (r < 0) {
		l->oom = true;
		return (struct img_str){0};
	}
	if (s.n)
		memcpy(t->strings + t->nstrings, s.p, s.n);
	t->strings[t->nstrings + s.n] = 0;
	l->str[l->nstr] = (struct img_str){(uint32_t)t->nstrings, (uint32_t)s.n};
	r = hmap_intern(&l->strings, str_hash(l, (uint32_t)l->nstr), str_eq, l, (uint32_t)l->nstr,
			&at);
	if (r < 0) {
		l->oom = true;
		return (struct img_str){0};
	}
	if (r == 0) {
		l->nstr++;
		t->nstrings += s.n + 1;
	}
	return l->str[at];
}

/* -------------------------------------------------------------------------------- roots -- */

static uint64_t root_hash(const void *ctx, uint32_t i)
{
	const struct root *r = &((const struct l7 *)ctx)->root[i];

	return hash_bytes(3, r->key.p, r->key.n);
}

static bool root_eq(const void *ctx, uint32_t i)
{
	const struct l7 *l = ctx;

	return slice_eq(l->root[i].key, l->root[l->nroots].key);
}

/* The root for the key in l->key; *fresh: it is new and has no patterns yet. */
static uint32_t add_root(struct l7 *l, bool *fresh)
{
	struct slice key = {(const uint8_t *)l->key, l->nkey};
	uint32_t at = 0;
	int r = array_grow(&l->root, &l->roots_cap, l->nroots + 1, sizeof(*l->root));

	*fresh = false;
	if (r == 0) {
		l->root[l->nroots] = (struct root){.key = key};
		r = hmap_intern(&l->roots, root_hash(l, (uint32_t)l->nroots), root_eq, l,
				(uint32_t)l->nroots, &at);
	}
	if (r == 0) {
		struct root *x = &l->root[l->nroots++];

		x->key.p = (const uint8_t *)arena_copy(&l->arena, key);
		x->node = nfa_root(&l->nfa);
		*fresh = true;
		r = x->key.p ? 0 : -ENOMEM;
	}
	if (r < 0)
		l->oom = true;
	return at;
}

static void key_begin(struct l7 *l, char kind)
{
	l->nkey = 0;
	if (array_grow(&l->key, &l->key_cap, 1, 1) < 0)
		l->oom = true;
	else
		l->key[l->nkey++] = kind;
}

/* Text is free of control bytes, so one ends it. */
static void key_add(struct l7 *l, char mark, struct slice s)
{
	if (array_grow(&l->key, &l->key_cap, l->nkey + s.n + 1, 1) < 0) {
		l->oom = true;
		return;
	}
	l->key[l->nkey++] = mark;
	if (s.n)
		memcpy(l->key + l->nkey, s.p, s.n);
	l->nkey += s.n;
}

static void add_glob(struct l7 *l, uint32_t from, struct slice glob, enum glob_kind kind,
		     uint32_t tag)
{
	char why[160];

	if (glob_add(&l->nfa, from, glob, kind, tag, why, sizeof(why)) == -ENOMEM)
		l->oom = true; /* the syntax was checked; "too many" is kept in the tree */
}

/* A root that matches any of the globs. */
static uint32_t add_matcher(struct l7 *l, const struct slice *globs, size_t n, enum glob_kind kind)
{
	bool fresh;
	uint32_t at;

	key_begin(l, kind == GLOB_PATH ? 'p' : 'v');
	for (size_t i = 0; i < n; i++)
		key_add(l, '\1', globs[i]);
	at = add_root(l, &fresh);
	for (size_t i = 0; fresh && i < n; i++)
		add_glob(l, l->root[at].node, globs[i], kind, 0);
	return at;
}

/* ----------------------------------------------------------------------------- programs -- */

static const char *const access_text[] = {
	[ACCESS_NONE] = "",
	[ACCESS_READ_ONLY] = "access: read-only",
	[ACCESS_READ_WRITE] = "access: read-write",
	[ACCESS_FULL] = "access: full",
};

/* METHOD SP path-glob below a root. */
static void add_pattern(struct l7 *l, uint32_t root, struct slice method, struct slice path,
			uint32_t tag)
{
	static const struct byteset all = {{~0ull, ~0ull, ~0ull, ~0ull}};
	struct byteset token = all;
	uint32_t at = root;

	byteset_remove(&token, ' ');
	if (method.n)
		at = nfa_bytes(&l->nfa, at, method);
	else
		at = nfa_star(&l->nfa, at, &token);
	at = nfa_byte(&l->nfa, at, ' ');
	add_glob(l, at, path.n ? path : SLICE_LIT("**"), GLOB_PATH, tag);
}

static uint32_t add_prule(struct l7 *l, uint32_t ordinal, bool deny, bool conditional)
{
	if (array_grow(&l->prule, &l->prules_cap, l->nprules + 1, sizeof(*l->prule)) < 0) {
		l->oom = true;
		return 0;
	}
	l->prule[l->nprules] = (struct prule){ordinal, deny, conditional};
	return (uint32_t)l->nprules++;
}

static void add_rule_patterns(struct l7 *l, uint32_t root, const struct pol_rule *r, uint32_t tag)
{
	add_pattern(l, root, r->method, r->path, tag);
	if (slice_eq_str(r->method, "GET")) /* a rule for GET covers HEAD */
		add_pattern(l, root, SLICE_LIT("HEAD"), r->path, tag);
}

static void add_program_patterns(struct l7 *l, uint32_t root, const struct pol_endpoint *e)
{
	uint32_t ordinal = 0;

	nfa_mark(&l->nfa, e->line, e->col);
	if (e->access != ACCESS_NONE) {
		uint32_t tag = add_prule(l, ordinal++, false, false);

		for (const char *const *m = pol_access_methods(e->access); *m; m++)
			add_pattern(l, root, slice_str(*m), (struct slice){0}, tag);
	}
	for (size_t i = 0; i < e->nrules; i++) {
		const struct pol_rule *r = &e->rules[i];

		nfa_mark(&l->nfa, r->line, r->col);
		add_rule_patterns(l, root, r, add_prule(l, ordinal++, r->deny, r->nquery > 0));
	}
}

/* All that decides how the rules accept; conditions themselves are the endpoint's own. */
static uint32_t add_program(struct l7 *l, const struct pol_endpoint *e)
{
	bool fresh;
	uint32_t at;

	key_begin(l, 'r');
	key_add(l, '\1', slice_str(access_text[e->access]));
	for (size_t i = 0; i < e->nrules; i++) {
		const struct pol_rule *r = &e->rules[i];

		key_add(l, r->deny ? '\2' : '\3', r->method);
		key_add(l, r->nquery ? '\4' : '\5', r->path);
	}
	at = add_root(l, &fresh);
	if (fresh)
		add_program_patterns(l, l->root[at].node, e);
	return at;
}

/* ---------------------------------------------------------------------------- rule sets -- */

static uint64_t set_hash(const void *ctx, uint32_t i)
{
	const struct l7_tables *t = &((const struct l7 *)ctx)->c->t;
	const struct img_ruleset *s = &t->sets[i];
	const uint32_t head[3] = {s->deny, s->allow, s->n};
	uint64_t h = hash_bytes(4, head, sizeof(head));

	return s->n ? hash_bytes(h, t->setrules + s->first, s->n * sizeof(*t->setrules)) : h;
}

static bool set_eq(const void *ctx, uint32_t i)
{
	const struct l7_tables *t = &((const struct l7 *)ctx)->c->t;
	const struct img_ruleset *a = &t->sets[i], *b = &t->sets[t->nsets];

	return a->deny == b->deny && a->allow == b->allow && a->n == b->n &&
	       (a->n == 0 || memcmp(t->setrules + a->first, t->setrules + b->first,
				    a->n * sizeof(*t->setrules)) == 0);
}

static int cmp_u32(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

static void first_of(uint32_t *at, uint32_t ordinal)
{
	if (*at == 0 || ordinal + 1 < *at)
		*at = ordinal + 1;
}

/* Fills the set behind the last one from the tags of a state. */
static void make_set(struct l7 *l, const uint32_t *tags, size_t n, struct img_ruleset *s)
{
	struct l7_tables *t = &l->c->t;
	uint32_t *list = t->setrules + t->nsetrules, out = 0, k = 0;

	*s = (struct img_ruleset){.first = (uint32_t)t->nsetrules};
	for (size_t i = 0; i < n; i++) {
		const struct prule *r = &l->prule[tags[i]];

		if (r->conditional)
			list[k++] = r->ordinal;
		else
			first_of(r->deny ? &s->deny : &s->allow, r->ordinal);
	}
	if (k > 1)
		qsort(list, k, sizeof(*list), cmp_u32);
	for (uint32_t i = 0; i < k; i++)
		if (!out || list[out - 1] != list[i])
			list[out++] = list[i];
	s->n = out;
}

#define SETRULES_MAX (16u << 20)

static int accept(void *ctx, const uint32_t *tags, size_t n, uint32_t *ret)
{
	struct l7 *l = ctx;
	struct l7_tables *t = &l->c->t;
	int r;

	if (n && tags[0] == 0) { /* a selector or a value: it matches */
		*ret = 1;
		return 0;
	}
	r = array_grow(&t->sets, &l->sets_cap, t->nsets + 1, sizeof(*t->sets));
	if (r == 0)
		r = array_grow(&t->setrules, &l->setrules_cap, t->nsetrules + n + 1,
			       sizeof(*t->setrules));
	if (r < 0)
		return r;
	if (t->nsetrules + n > SETRULES_MAX)
		return compile_limit(l->c, (struct nfa_place){0},
				     "the rules with queries overlap too much: the lists of those "
				     "that share a path have more than %u entries",
				     SETRULES_MAX);
	make_set(l, tags, n, &t->sets[t->nsets]);
	r = hmap_intern(&l->sets, set_hash(l, (uint32_t)t->nsets), set_eq, l, (uint32_t)t->nsets,
			ret);
	if (r == 0) {
		t->nsetrules += t->sets[t->nsets].n;
		t->nsets++;
	}
	return r < 0 ? r : 0;
}

/* Set 0: nothing.  Set 1 looks the same but is not found by content. */
static int reserve_sets(struct l7 *l)
{
	struct l7_tables *t = &l->c->t;
	uint32_t none;
	int r = accept(l, NULL, 0, &none);

	if (r == 0)
		r = array_grow(&t->sets, &l->sets_cap, t->nsets + 1, sizeof(*t->sets));
	if (r == 0)
		t->sets[t->nsets++] = (struct img_ruleset){0};
	return r;
}

/* ----------------------------------------------------------------------- rules in words -- */

#define WORDS_MAX 160

struct words {
	char buf[WORDS_MAX];
	size_t n;
};

static void say(struct words *w, const char *sep, struct slice s)
{
	size_t k = strlen(sep);

	for (size_t i = 0; i < k + s.n && w->n + 1 < WORDS_MAX; i++) {
		uint8_t b = i < k ? (uint8_t)sep[i] : s.p[i - k];

		w->buf[w->n++] = (char)(b < 0x20 || b == 0x7f ? '?' : b);
	}
}

/* A cut may fall inside a character: drop what is left of it. */
static void trim_utf8(struct words *w)
{
	size_t i = w->n;

	if (w->n + 1 < WORDS_MAX)
		return;
	while (i && ((uint8_t)w->buf[i - 1] & 0xc0) == 0x80)
		i--;
	if (i && (uint8_t)w->buf[i - 1] >= 0xc0)
		w->n = i - 1;
}

static struct img_str rule_words(struct l7 *l, const struct pol_rule *r)
{
	struct words w = {.n = 0};

	say(&w, "", r->method.n ? r->method : SLICE_LIT("*"));
	say(&w, " ", r->path.n ? r->path : SLICE_LIT("**"));
	for (size_t i = 0; i < r->nquery; i++) {
		say(&w, i ? "&" : "?", r->query[i].name);
		for (size_t k = 0; k < r->query[i].n; k++)
			say(&w, k ? "|" : "=", r->query[i].any[k]);
	}
	trim_utf8(&w);
	return add_string(l, (struct slice){(const uint8_t *)w.buf, w.n});
}

/* ---------------------------------------------------------------------------- endpoints -- */

/* cond.start holds the number of a root until the states are known. */
static void add_cond(struct l7 *l, const struct pol_query *q)
{
	struct l7_tables *t = &l->c->t;

	if (array_grow(&t->conds, &l->conds_cap, t->nconds + 1, sizeof(*t->conds)) < 0) {
		l->oom = true;
		return;
	}
	t->conds[t->nconds] = (struct img_cond){
		.name = add_string(l, q->name),
		.start = add_matcher(l, q->any, q->n, GLOB_QUERY),
	};
	t->nconds++;
}

static struct img_rule *rule_new(struct l7 *l)
{
	struct l7_tables *t = &l->c->t;

	if (array_grow(&t->rules, &l->rules_cap, t->nrules + 1, sizeof(*t->rules)) < 0) {
		l->oom = true;
		return NULL;
	}
	t->rules[t->nrules] = (struct img_rule){.first_cond = (uint32_t)t->nconds};
	return &t->rules[t->nrules++];
}

static void add_rule(struct l7 *l, const struct pol_rule *r)
{
	struct img_rule *x = rule_new(l);

	if (!x)
		return;
	nfa_mark(&l->nfa, r->line, r->col); /* of its conditions */
	x->line = (uint32_t)r->line;
	x->deny = r->deny;
	x->nconds = (uint32_t)r->nquery;
	x->text = rule_words(l, r);
	for (size_t i = 0; i < r->nquery; i++)
		add_cond(l, &r->query[i]);
}

/* The rules in the order of add_program_patterns(). */
static void add_rules(struct l7 *l, const struct pol_endpoint *e)
{
	if (e->access != ACCESS_NONE) {
		struct img_rule *x = rule_new(l);

		if (x) {
			x->line = (uint32_t)e->access_line;
			x->text = add_string(l, slice_str(access_text[e->access]));
		}
	}
	for (size_t i = 0; i < e->nrules; i++)
		add_rule(l, &e->rules[i]);
}

static void add_nets(struct l7 *l, const struct pol_endpoint *e)
{
	struct l7_tables *t = &l->c->t;

	if (array_grow(&t->nets, &l->nets_cap, t->nnets + e->nips + 1, sizeof(*t->nets)) < 0) {
		l->oom = true;
		return;
	}
	for (size_t i = 0; i < e->nips; i++) {
		struct img_net *n = &t->nets[t->nnets++];

		*n = (struct img_net){.family = e->ips[i].family, .prefix = e->ips[i].prefix};
		memcpy(n->addr, e->ips[i].addr, 16);
	}
}

static uint32_t endpoint_flags(const struct pol_endpoint *e)
{
	uint32_t f = 0;

	f |= pol_inspected(e) ? IMG_EP_INSPECTED : 0;
	f |= e->encoded_slash ? IMG_EP_ENCODED_SLASH : 0;
	f |= e->host_kind == HOST_EXACT || e->host_kind == HOST_ADDRESS ? IMG_EP_EXACT : 0;
	f |= e->enforcement == AUDIT ? IMG_EP_AUDIT : 0;
	f |= e->tls == TLS_SKIP ? IMG_EP_SKIP : 0;
	f |= e->path.n ? IMG_EP_SELECTOR : 0;
	return f;
}

/* start and selector hold numbers of roots until the states are known. */
static void add_endpoint(struct l7 *l, uint32_t block, const struct pol_endpoint *e)
{
	struct l7_tables *t = &l->c->t;
	struct img_endpoint x = {
		.block = block,
		.line = (uint32_t)e->line,
		.host = add_string(l, e->host),
		.flags = endpoint_flags(e),
		.protocol = (uint8_t)e->protocol,
		.tls = (uint8_t)e->tls,
		.first_rule = (uint32_t)t->nrules,
		.first_net = (uint32_t)t->nnets,
		.nnets = (uint32_t)e->nips,
	};

	add_nets(l, e);
	nfa_mark(&l->nfa, e->line, e->col);
	if (pol_inspected(e)) {
		x.start = add_program(l, e);
		if (e->path.n)
			x.selector = add_matcher(l, &e->path, 1, GLOB_PATH);
		add_rules(l, e);
		x.nrules = (uint32_t)t->nrules - x.first_rule;
	}
	t->endpoints[t->nendpoints++] = x;
}

static int add_blocks(struct l7 *l)
{
	const struct policy *p = l->p;
	struct l7_tables *t = &l->c->t;
	size_t n = 0;

	for (size_t b = 0; b < p->nblocks; b++)
		n += p->blocks[b].nendpoints;
	t->blocks = calloc(p->nblocks + 1, sizeof(*t->blocks));
	t->endpoints = calloc(n + 1, sizeof(*t->endpoints));
	if (!t->blocks || !t->endpoints)
		return -ENOMEM;
	for (size_t b = 0; b < p->nblocks; b++) {
		const struct pol_block *k = &p->blocks[b];

		t->blocks[t->nblocks++] = (struct img_block){
			.name = add_string(l, k->name),
			.first_endpoint = (uint32_t)t->nendpoints,
			.nendpoints = (uint32_t)k->nendpoints,
			.line = (uint32_t)k->line,
		};
		for (size_t i = 0; i < k->nendpoints; i++)
			add_endpoint(l, (uint32_t)b, &k->endpoints[i]);
	}
	return l->oom ? -ENOMEM : compile_nfa_status(l->c, &l->nfa);
}

/* Roots become start states. */
static void resolve_roots(struct l7 *l)
{
	struct l7_tables *t = &l->c->t;

	for (size_t i = 0; i < t->nendpoints; i++) {
		struct img_endpoint *e = &t->endpoints[i];

		if (e->flags & IMG_EP_INSPECTED)
			e->start = l->root[e->start].state;
		if (e->flags & IMG_EP_SELECTOR)
			e->selector = l->root[e->selector].state;
	}
	for (size_t i = 0; i < t->nconds; i++)
		t->conds[i].start = l->root[t->conds[i].start].state;
}

/* Tag 0, a match of a selector or value, is as good as an allow rule: nothing comes before it. */
static enum tag_kind kind_of(const void *ctx, uint32_t tag)
{
	const struct prule *r = &((const struct l7 *)ctx)->prule[tag];

	if (r->conditional)
		return r->deny ? TAG_DENY_IF : TAG_ALLOW_IF;
	return r->deny ? TAG_DENY : TAG_ALLOW;
}

static int determinise(struct l7 *l)
{
	_cleanup_(dfa_done) struct dfa d = {0};
	_cleanup_free_ struct nfa_reach *reach = nfa_reach(&l->nfa, kind_of, l);
	struct dfa_limits limits = compile_limits(&l->nfa);
	int r = reach ? dfa_init(&d, &l->nfa, &limits, accept, l) : -ENOMEM;

	d.reach = reach;
	d.kind = kind_of;
	for (size_t i = 0; r == 0 && i < l->nroots; i++)
		r = dfa_start(&d, l->root[i].node, &l->root[i].state);
	if (r == -E2BIG)
		return compile_too_complicated(l->c, &d);
	if (r == 0)
		r = compile_table(&d, l->c, &l->c->l7);
	if (r == 0)
		resolve_roots(l);
	return r;
}

int compile_l7(const struct policy *p, struct compiled *c)
{
	_cleanup_(l7_done) struct l7 l = {.p = p, .c = c};
	int r;

	add_prule(&l, 0, false, false); /* tag 0 is taken */
	add_string(&l, SLICE_LIT(""));
	r = reserve_sets(&l);
	if (r == 0)
		r = add_blocks(&l);
	return r < 0 ? r : determinise(&l);
}
