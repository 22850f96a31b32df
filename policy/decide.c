/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.c - who may connect where: identity, destination, names and addresses.
 *
 * The same walk over the same tables as the kernel programs make; requests are decided in
 * decide_l7.c.
 */
#include "policy/host.h"
#include "policy/image_view.h"

/* ----------------------------------------------------------------------------- identity -- */

uint32_t image_binset(const struct image *img, struct slice path)
{
	const struct osh_img_dfa *d = &img->hdr->bin;

	return view_accept(img, d, view_walk(img, d, d->start, path));
}

static void add_path(const struct image *img, struct slice path, bool anc, bool tainted,
		     struct block_bits *ret)
{
	const struct osh_img_binset *s;

	if (path.n == 0)
		return;
	s = (const struct osh_img_binset *)(const void *)(img->p + img->hdr->binset_off) +
	    image_binset(img, path);
	for (int i = 0; i < OSH_BLOCK_WORDS; i++) {
		if (anc)
			ret->w[i] |= tainted ? s->tanc[i] : s->anc[i];
		else
			ret->w[i] |= tainted ? s->tself[i] : s->self[i];
	}
}

void image_ident_bits(const struct image *img, const struct ident_paths *id, struct block_bits *ret)
{
	*ret = (struct block_bits){{0}};
	add_path(img, id->exe, false, id->tainted, ret);
	add_path(img, id->script, false, id->tainted, ret);
	for (size_t i = 0; i < id->nanc; i++)
		add_path(img, id->anc[i], true, id->tainted, ret);
}

/* ------------------------------------------------------------------------- destinations -- */

void dest_from_text(struct dest *ret, struct slice host, uint16_t port)
{
	*ret = (struct dest){.port = port};
	if (!address_parse(host, &ret->family, ret->addr))
		ret->host = host;
}

static uint32_t name_state(const struct image *img, struct slice name)
{
	const struct osh_img_dfa *d = &img->hdr->dst;
	char low[HOST_MAX + 1];
	size_t n = host_lower(name, low);
	uint32_t s;

	if (n == 0)
		return 0;
	s = view_step(img, d, d->start, 'n');
	s = view_walk(img, d, s, (struct slice){(const uint8_t *)low, n});
	return view_step(img, d, s, 0);
}

static uint32_t address_state(const struct image *img, uint8_t family, const uint8_t addr[16])
{
	const struct osh_img_dfa *d = &img->hdr->dst;
	uint8_t a[16];
	uint32_t s;

	memcpy(a, addr, 16);
	address_unmap(&family, a);
	if (family != 4 && family != 6)
		return 0;
	s = view_step(img, d, d->start, family == 4 ? '4' : '6');
	return view_walk(img, d, s, (struct slice){a, family == 4 ? 4 : 16});
}

uint32_t view_dest_state(const struct image *img, const struct dest *d)
{
	if (d->host.n)
		return name_state(img, d->host);
	return address_state(img, d->family, d->addr);
}

uint32_t view_port_set(const struct image *img, uint32_t state, uint16_t port)
{
	const struct osh_img_dfa *d = &img->hdr->dst;
	const uint8_t b[2] = {(uint8_t)(port >> 8), (uint8_t)port};

	return view_accept(img, d, view_walk(img, d, state, (struct slice){b, 2}));
}

static uint32_t first_bit(const uint64_t w[OSH_BLOCK_WORDS])
{
	for (uint32_t i = 0; i < OSH_BLOCK_WORDS; i++)
		if (w[i])
			return i * 64 + (uint32_t)__builtin_ctzll(w[i]);
	return ~0u;
}

void image_decide_connect(const struct image *img, const struct block_bits *caller,
			  const struct dest *d, struct connect_decision *ret)
{
	const struct osh_img_dstset *s;
	uint64_t proxy = 0;

	*ret = (struct connect_decision){
		.verdict = CONNECT_DENY, .reason = OSH_R_NO_MATCH, .block = ~0u};
	ret->dstset = view_port_set(img, view_dest_state(img, d), d->port);
	s = view_dstset(img, ret->dstset);
	for (int i = 0; i < OSH_BLOCK_WORDS; i++) {
		ret->blocks.w[i] = caller->w[i] & s->any[i];
		proxy |= caller->w[i] & s->proxy[i];
	}
	ret->block = first_bit(ret->blocks.w);
	if (ret->block != ~0u) {
		ret->verdict = proxy ? CONNECT_PROXY : CONNECT_NATIVE;
		ret->reason = OSH_R_NONE;
		return;
	}
	ret->block = first_bit((const uint64_t *)s->any);
	if (ret->block != ~0u)
		ret->reason = OSH_R_BINARY;
}

void image_decide_name(const struct image *img, const struct block_bits *caller, struct slice name,
		       struct name_decision *ret)
{
	const struct osh_img_dstset *s =
		view_dstset(img, view_accept(img, &img->hdr->dst, name_state(img, name)));

	*ret = (struct name_decision){0};
	for (int i = 0; i < OSH_BLOCK_WORDS; i++) {
		ret->any |= (caller->w[i] & s->any[i]) != 0;
		ret->native |= (caller->w[i] & s->native[i]) != 0;
	}
}

/* ---------------------------------------------------------------------------- addresses -- */

struct address_query {
	const struct block_bits *blocks;
	uint8_t family;
	uint8_t addr[16];
	enum osh_addr_class class;
	uint32_t work; /* endpoints and networks looked at */
};

/* An honest policy stays far below; beyond, the answer is no. */
#define ADDRESS_WORK_MAX (20u << 20)

static bool endpoint_admits(const struct image *img, const struct img_endpoint *e,
			    struct address_query *q)
{
	const struct img_net *n = VIEW(img, nets, struct img_net) + e->first_net;

	if (e->nnets == 0)
		return q->class == OSH_ADDR_PUBLIC || (e->flags & IMG_EP_EXACT);
	for (uint32_t i = 0; i < e->nnets; i++) {
		struct pol_net net = {n[i].family, n[i].prefix, {0}};

		memcpy(net.addr, n[i].addr, 16);
		if (net_has(&net, q->family, q->addr))
			return true;
	}
	return false;
}

static bool set_admits(const struct image *img, uint32_t dstset, struct address_query *q)
{
	struct view_eps eps = view_eps(img, dstset);

	for (uint32_t i = 0; i < eps.n && q->work < ADDRESS_WORK_MAX; i++) {
		const struct img_endpoint *e = view_endpoint(img, eps.v[i]);

		q->work += 1 + e->nnets;
		if (bits_have(q->blocks, e->block) && endpoint_admits(img, e, q))
			return true;
	}
	return false;
}

/* Any port: the automaton tells which there are; at most 65,536 steps, in practice some hundred. */
static bool any_port_admits(const struct image *img, uint32_t state, struct address_query *q)
{
	const struct osh_img_dfa *d = &img->hdr->dst;
	uint32_t last = 0;

	for (unsigned int hi = 0; hi < 256; hi++) {
		uint32_t s = view_step(img, d, state, (uint8_t)hi);

		for (unsigned int lo = 0; s && lo < 256; lo++) {
			uint32_t set = view_accept(img, d, view_step(img, d, s, (uint8_t)lo));

			if (set && set != last && set_admits(img, set, q))
				return true;
			last = set ? set : last;
		}
	}
	return false;
}

bool image_address_allowed(const struct image *img, const struct block_bits *blocks,
			   struct slice name, uint16_t port, uint8_t family, const uint8_t addr[16],
			   enum osh_addr_class *ret_class)
{
	struct address_query q = {.blocks = blocks, .family = family};
	uint32_t state;

	memcpy(q.addr, addr, 16);
	address_unmap(&q.family, q.addr);
	q.class = address_class(q.family, q.addr);
	*ret_class = q.class;
	if (OSH_ADDR_NEVER(q.class))
		return false;
	state = name.n ? name_state(img, name) : address_state(img, q.family, q.addr);
	if (port)
		return set_admits(img, view_port_set(img, state, port), &q);
	return any_port_admits(img, state, &q);
}
