/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * decide.bpf.h - the verdict: bits(paths of the caller) AND bits(destination).
 *
 * Everything is computed from one load of `current`.  What a path or a name matches is cached per slot; a cache entry
 * belongs to a generation, its generation is written last, and a slot is used again only after a grace period, so that
 * an entry is never read half old and half new.
 */
#pragma once

#define barrier_store() asm volatile("" ::: "memory")

static __always_inline bool cache_get(volatile struct osh_word_cache *c, __u64 gen, __u32 key, __u32 *ret)
{
	__u64 word;

	if (c->gen != gen)
		return false;
	word = c->word;
	*ret = (__u32)(word >> 32);
	return (__u32)word == key;
}

static __always_inline void cache_put(volatile struct osh_word_cache *c, __u64 gen, __u32 key, __u32 value)
{
	c->word = (__u64)value << 32 | key;
	barrier_store();
	c->gen = gen;
}

struct run_ctx {
	__u64 cur;
	__u32 states_off, cells_off;
	__u32 state;
	__u32 key; /* path id or synthetic address */
	__u32 len;
	__u32 pad;
};

/* One byte of an interned path through `bin`. */
static long path_step(__u32 i, void *arg)
{
	struct run_ctx *c = arg;
	void *img = image_of(c->cur);
	struct osh_path *p = bpf_map_lookup_elem(&paths, &c->key);
	__u64 at = i;

	if (!img || !p || i >= c->len) {
		if (i < c->len)
			c->state = 0;
		return 1;
	}
	asm volatile("%[at] &= 511" : [at] "+r"(at));
	c->state = dfa_step(img, c->states_off, c->cells_off, c->state, (__u8)p->path[at]);
	return c->state == 0;
}

#define SET_GONE (~0u)

/* Index of the binary set of a path id under cur; 0: none; SET_GONE: the id is not known any more. */
__noinline __u32 path_set(__u32 id, __u64 cur)
{
	struct osh_path *p = bpf_map_lookup_elem(&paths, &id);
	__u32 slot = OSH_CURRENT_SLOT(cur);
	__u64 gen = OSH_CURRENT_GEN(cur);
	const struct osh_img_hdr *h;
	struct run_ctx c = {.cur = cur, .key = id};
	void *img = image_of(cur);
	__u32 set;

	if (!p)
		return SET_GONE;
	if (!img)
		return 0;
	if (cache_get(&p->cache[slot], gen, id, &set))
		return set;
	h = img_hdr(img);
	if (!h)
		return 0;
	c.states_off = h->bin.states_off;
	c.cells_off = h->bin.cells_off;
	c.state = h->bin.start;
	c.len = p->len;
	bpf_loop(OSH_PATH_MAX, path_step, &c, 0);
	set = dfa_accept(img, c.states_off, c.state);
	if (set >= h->nbinsets)
		set = 0;
	cache_put(&p->cache[slot], gen, id, set);
	return set;
}

struct bits_ctx {
	__u64 cur;
	__u32 tgid;
	__u32 binset_off;
	__u64 tainted; /* one look for all paths */
	__u64 bits[OSH_BLOCK_WORDS];
};

static long bits_step(__u32 i, void *arg)
{
	struct bits_ctx *c = arg;
	struct osh_proc *r = bpf_map_lookup_elem(&procs, &c->tgid);
	void *img = image_of(c->cur);
	const struct osh_img_binset *s;
	__u32 id, set;
	const __u64 *w;

	if (!r || !img)
		return 1;
	id = i == 0 ? r->id.exe : i == 1 ? r->id.script : r->id.anc[(i - 2) & (OSH_ANCESTORS_MAX - 1)];
	if (!id)
		return i >= 2;
	set = path_set(id, c->cur);
	if (!set)
		return 0;
	if (set == SET_GONE) { /* it may be the one that a block binds: not judged by the others alone */
		__builtin_memset(c->bits, 0, sizeof(c->bits));
		return 1;
	}
	s = img_at(img, c->binset_off + set * sizeof(*s), sizeof(*s));
	if (!s)
		return 0;
	if (c->tainted)
		w = i < 2 ? s->tself : s->tanc;
	else
		w = i < 2 ? s->self : s->anc;
	for (int k = 0; k < OSH_BLOCK_WORDS; k++)
		c->bits[k] |= w[k];
	return 0;
}

/* Blocks that the record's paths match under cur.  The cached union is the usual way: one generation test. */
static __always_inline void caller_bits(struct osh_proc *r, __u32 tgid, __u64 cur, void *img,
					struct bits_ctx *c)
{
	__u32 slot = OSH_CURRENT_SLOT(cur);
	__u64 tag = OSH_BITS_TAG(OSH_CURRENT_GEN(cur), r->id.taint);
	const struct osh_img_hdr *h;

	if (r->cache[slot].gen == tag) {
		for (int k = 0; k < OSH_BLOCK_WORDS; k++)
			c->bits[k] = r->cache[slot].bits[k];
		return;
	}
	__builtin_memset(c->bits, 0, sizeof(c->bits));
	h = img_hdr(img);
	if (!h)
		return;
	c->cur = cur;
	c->tgid = tgid;
	c->tainted = tag & 1;
	c->binset_off = h->binset_off;
	bpf_loop(2 + OSH_ANCESTORS_MAX, bits_step, c, 0);
	for (int k = 0; k < OSH_BLOCK_WORDS; k++)
		r->cache[slot].bits[k] = c->bits[k];
	barrier_store();
	r->cache[slot].gen = tag;
}

static long name_step(__u32 i, void *arg)
{
	struct run_ctx *c = arg;
	void *img = image_of(c->cur);
	struct osh_name *n = bpf_map_lookup_elem(&names, &c->key);
	__u64 at = i;

	if (!img || !n || i >= c->len) {
		if (i < c->len)
			c->state = 0;
		return 1;
	}
	asm volatile("%[at] &= 255" : [at] "+r"(at));
	c->state = dfa_step(img, c->states_off, c->cells_off, c->state, (__u8)n->name[at]);
	return c->state == 0;
}

/* State of `dst` after 'n' host 0x00. */
__noinline __u32 name_state(__u32 addr, __u64 cur)
{
	struct osh_name *n = bpf_map_lookup_elem(&names, &addr);
	__u32 slot = OSH_CURRENT_SLOT(cur);
	__u64 gen = OSH_CURRENT_GEN(cur);
	struct run_ctx c = {.cur = cur, .key = addr};
	void *img = image_of(cur);
	const struct osh_img_hdr *h;
	__u32 state;

	if (!n || !img)
		return 0;
	if (cache_get(&n->cache[slot], gen, addr, &state))
		return state;
	h = img_hdr(img);
	if (!h)
		return 0;
	c.states_off = h->dst.states_off;
	c.cells_off = h->dst.cells_off;
	c.len = n->len;
	c.state = dfa_step(img, c.states_off, c.cells_off, h->dst.start, 'n');
	bpf_loop(OSH_NAME_MAX, name_step, &c, 0);
	c.state = dfa_step(img, c.states_off, c.cells_off, c.state, 0);
	cache_put(&n->cache[slot], gen, addr, c.state);
	return c.state;
}

struct addr_run {
	__u64 cur;
	__u32 states_off, cells_off;
	__u32 state;
	__u32 len;
	__u8 b[16];
};

static long addr_step(__u32 i, void *arg)
{
	struct addr_run *c = arg;
	void *img = image_of(c->cur);
	__u64 at = i;

	if (!img || i >= c->len) {
		if (i < c->len)
			c->state = 0;
		return 1;
	}
	asm volatile("%[at] &= 15" : [at] "+r"(at));
	c->state = dfa_step(img, c->states_off, c->cells_off, c->state, c->b[at]);
	return c->state == 0;
}

enum verdict { V_DENY, V_NATIVE, V_PROXY };

#define JUDGED(verdict, reason) ((__u32)(verdict) << 8 | (__u32)(reason))
#define JUDGED_VERDICT(j) ((enum verdict)((j) >> 8 & 0xff))
#define JUDGED_REASON(j) ((j) & 0xff)

/* State of `dst` behind the destination, before the port. */
static __always_inline __u32 dst_state(void *img, const struct osh_img_hdr *h, __u64 cur, const struct osh_dst *d)
{
	struct addr_run c = {.cur = cur, .states_off = h->dst.states_off, .cells_off = h->dst.cells_off};

	if (d->name_addr)
		return name_state(d->name_addr, cur);
	c.len = d->family == 4 ? 4 : 16;
	__builtin_memcpy(c.b, d->addr, 16);
	c.state = dfa_step(img, c.states_off, c.cells_off, h->dst.start, d->family == 4 ? '4' : '6');
	bpf_loop(16, addr_step, &c, 0);
	return c.state;
}

/* The decision for destination d by the process tgid with the valid record r.  The block that user space names in the
 * log is computed there, from the same image.  A global function: verified once, not once for each place that calls it. */
__noinline __u32 judge(struct osh_proc *r, __u32 tgid, __u64 cur, const struct osh_dst *d)
{
	void *img = image_of(cur);
	const struct osh_img_hdr *h;
	const struct osh_img_dstset *s;
	__u64 any = 0, proxy = 0, covered = 0;
	struct bits_ctx caller;
	__u32 state, set, states, cells;

	if (!d || !r || !img || !OSH_CURRENT_GEN(cur))
		return JUDGED(V_DENY, OSH_R_NO_POLICY);
	h = img_hdr(img);
	if (!h)
		return JUDGED(V_DENY, OSH_R_NO_POLICY);
	states = h->dst.states_off;
	cells = h->dst.cells_off;
	state = dst_state(img, h, cur, d);
	state = dfa_step(img, states, cells, state, (__u8)(d->port >> 8));
	state = dfa_step(img, states, cells, state, (__u8)d->port);
	set = dfa_accept(img, states, state);
	if (!set || set >= h->ndstsets)
		return JUDGED(V_DENY, OSH_R_NO_MATCH);
	s = img_at(img, h->dstset_off + set * sizeof(*s), sizeof(*s));
	if (!s)
		return JUDGED(V_DENY, OSH_R_NO_MATCH);
	caller_bits(r, tgid, cur, img, &caller);
#pragma unroll
	for (int k = 0; k < OSH_BLOCK_WORDS; k++) {
		any |= s->any[k] & caller.bits[k];
		covered |= s->any[k];
		proxy |= s->proxy[k] & caller.bits[k];
	}
	if (any)
		return JUDGED(proxy ? V_PROXY : V_NATIVE, OSH_R_NONE);
	if (!covered)
		return JUDGED(V_DENY, OSH_R_NO_MATCH);
	return JUDGED(V_DENY, r->id.taint ? OSH_R_TAINTED : OSH_R_BINARY);
}
