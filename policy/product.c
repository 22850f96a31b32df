/* SPDX-License-Identifier: Apache-2.0 */
/*
 * product.c - breadth first over combinations of states; product.h says what for.
 *
 * From each combination every byte of the alphabet is tried, but the bytes on which no row does
 * anything special all lead to the same place, so one of them stands for all.
 */
#include "policy/product.h"

/* States of all combinations together: 256 MiB of numbers. */
#define CELLS_MAX (64u << 20)

struct product {
	const struct automaton *a;
	size_t n, required;
	uint8_t alphabet[256]; /* plainest first */
	size_t nalphabet;
	uint32_t *state; /* [ncombos * n] */
	size_t state_cap;
	struct step {
		uint32_t parent; /* combination */
		uint32_t depth;
		uint8_t byte;
	} *step;
	size_t step_cap, ncombos;
	struct hmap map;
	uint8_t *text;
	size_t text_cap;
	uint32_t *accept; /* [n] */
	struct product_limits limits;
};

static void product_done(struct product *p)
{
	free(p->state);
	free(p->step);
	free(p->text);
	free(p->accept);
	hmap_done(&p->map);
}

/* Letters, digits, and the rest by how strange they look in a witness. */
static void fill_alphabet(struct product *p, const struct byteset *alphabet)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-_./"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ~!$&'()*+,:=@ %";
	struct byteset left = {{~0ull, ~0ull, ~0ull, ~0ull}};

	if (alphabet)
		left = *alphabet;
	for (size_t i = 0; i + 1 < sizeof(plain) && !p->limits.numbers; i++) {
		if (byteset_has(&left, (uint8_t)plain[i]))
			p->alphabet[p->nalphabet++] = (uint8_t)plain[i];
		byteset_remove(&left, (uint8_t)plain[i]);
	}
	for (unsigned int i = 0; i < 256; i++) { /* control bytes last */
		uint8_t b = (uint8_t)(p->limits.numbers ? i : i + 0x20);

		if (byteset_has(&left, b))
			p->alphabet[p->nalphabet++] = b;
	}
}

static const uint32_t *combo(const struct product *p, uint32_t i)
{
	return p->state + (size_t)i * p->n;
}

static bool combo_eq(const void *ctx, uint32_t i)
{
	const struct product *p = ctx;

	return memcmp(combo(p, i), combo(p, (uint32_t)p->ncombos), p->n * sizeof(uint32_t)) == 0;
}

static int reserve(struct product *p)
{
	int r = array_grow(&p->state, &p->state_cap, (p->ncombos + 1) * p->n, sizeof(*p->state));

	return r < 0 ? r : array_grow(&p->step, &p->step_cap, p->ncombos + 1, sizeof(*p->step));
}

/* Enters the combination that was written behind the last one, if it is new and alive. */
static int enter(struct product *p, uint32_t parent, uint32_t depth, uint8_t byte)
{
	const uint32_t *s = combo(p, (uint32_t)p->ncombos);
	bool alive = false;
	uint32_t at;
	int r;

	for (size_t i = 0; i < p->n; i++) {
		if (i < p->required && !s[i])
			return 0;
		alive |= s[i] != 0;
	}
	if (!alive)
		return 0;
	r = hmap_intern(&p->map, hash_bytes(5, s, p->n * sizeof(*s)), combo_eq, p,
			(uint32_t)p->ncombos, &at);
	if (r != 0)
		return r < 0 ? r : 0;
	if (p->ncombos >= p->limits.combinations || p->ncombos * p->n >= CELLS_MAX)
		return -E2BIG;
	p->step[p->ncombos] = (struct step){parent, depth, byte};
	p->ncombos++;
	return reserve(p);
}

static int try_byte(struct product *p, uint32_t from, uint8_t b)
{
	const uint32_t *s = combo(p, from);
	uint32_t *to = p->state + p->ncombos * p->n;

	for (size_t i = 0; i < p->n; i++)
		to[i] = s[i] ? automaton_step(&p->a[i], s[i], b) : 0;
	return enter(p, from, p->step[from].depth + 1, b);
}

static bool special(const struct product *p, const uint32_t *s, uint8_t b)
{
	for (size_t i = 0; i < p->n; i++)
		if (s[i] && p->a[i].cells[p->a[i].states[s[i]].base + b].check == s[i])
			return true;
	return false;
}

static int expand(struct product *p, uint32_t from)
{
	bool rest = false;
	int r = 0;

	if (p->limits.length && p->step[from].depth >= p->limits.length)
		return 0;
	for (size_t i = 0; r == 0 && i < p->nalphabet; i++) {
		if (!special(p, combo(p, from), p->alphabet[i])) {
			if (rest)
				continue;
			rest = true;
		}
		r = try_byte(p, from, p->alphabet[i]);
	}
	return r;
}

static int text_of(struct product *p, uint32_t c, struct slice *ret)
{
	size_t n = p->step[c].depth;
	int r = array_grow(&p->text, &p->text_cap, n + 1, 1);

	if (r < 0)
		return r;
	*ret = (struct slice){p->text, n};
	for (; n; c = p->step[c].parent)
		p->text[--n] = p->step[c].byte;
	return 0;
}

static int show(struct product *p, uint32_t c, product_visit visit, void *ctx)
{
	struct slice text;
	int r = text_of(p, c, &text);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p->n; i++)
		p->accept[i] = p->a[i].states[combo(p, c)[i]].accept;
	return visit(ctx, combo(p, c), p->accept, text);
}

int product_walk(const struct automaton *a, size_t n, size_t required,
		 const struct byteset *alphabet, const struct product_limits *limits,
		 product_visit visit, void *ctx)
{
	_cleanup_(product_done) struct product p = {
		.a = a, .n = n, .required = required, .limits = *limits};
	int r;

	if (p.limits.combinations > UINT32_MAX / 2)
		p.limits.combinations = UINT32_MAX / 2;
	fill_alphabet(&p, alphabet);
	p.accept = calloc(n + 1, sizeof(*p.accept));
	r = p.accept ? reserve(&p) : -ENOMEM;
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		p.state[i] = a[i].start;
	r = enter(&p, 0, 0, 0);
	for (size_t i = 0; r == 0 && i < p.ncombos; i++) {
		r = show(&p, (uint32_t)i, visit, ctx);
		if (r == 0)
			r = expand(&p, (uint32_t)i);
	}
	return r;
}
