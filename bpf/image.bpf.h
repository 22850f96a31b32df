/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * image.bpf.h - reading the policy image in the kernel: pages of the inner map, automaton steps, sets.
 *
 * Nothing here trusts an offset: a page that is not there or a state out of range reads as the dead state and the empty
 * set, so a damaged image denies.  The automata run under bpf_loop; its context lives on the stack and cannot carry a
 * map pointer, so each step looks the inner map up again (an array look-up).
 */
#pragma once

struct image_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, OSH_IMG_PAGE);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, OSH_SLOTS);
	__type(key, __u32);
	__array(values, struct image_map);
} images SEC(".maps");

/* One 64-bit word: mmapped by the supervisor, looked up by the proxy. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} current SEC(".maps");

static __always_inline __u64 current_load(void)
{
	__u32 zero = 0;
	volatile __u64 *w = bpf_map_lookup_elem(&current, &zero);

	return w ? *w : 0;
}

static __always_inline void *image_of(__u64 cur)
{
	__u32 slot = OSH_CURRENT_SLOT(cur);

	return bpf_map_lookup_elem(&images, &slot);
}

/* Address of the element of `size` bytes (a power of two) at offset off, or NULL. */
static __always_inline void *img_at(void *img, __u32 off, const __u32 size)
{
	__u32 page = off / OSH_IMG_PAGE;
	__u8 *p = bpf_map_lookup_elem(img, &page);
	__u64 in = off;

	if (!p)
		return NULL;
	/* Keep the compiler from proving the mask away before the verifier sees it. */
	asm volatile("%[in] &= %[mask]" : [in] "+r"(in) : [mask] "r"((__u64)(OSH_IMG_PAGE - size)));
	return p + in;
}

static __always_inline const struct osh_img_hdr *img_hdr(void *img)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(img, &zero);
}

static __always_inline __u32 dfa_step(void *img, __u32 states_off, __u32 cells_off, __u32 s, __u8 b)
{
	const struct osh_img_state *st = img_at(img, states_off + s * sizeof(*st), sizeof(*st));
	const struct osh_img_cell *c;

	if (!s || !st)
		return 0;
	c = img_at(img, cells_off + (st->base + b) * sizeof(*c), sizeof(*c));
	if (!c)
		return 0;
	return c->check == s ? c->next : st->def;
}

static __always_inline __u32 dfa_accept(void *img, __u32 states_off, __u32 s)
{
	const struct osh_img_state *st = img_at(img, states_off + s * sizeof(*st), sizeof(*st));

	return s && st ? st->accept : 0;
}
