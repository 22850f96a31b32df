/* SPDX-License-Identifier: Apache-2.0 */
/* check_block.c - network_policies: blocks, binaries, and endpoints of one block that contradict
 * each other. */
#include "policy/check.h"
#include "policy/glob.h"

#define NAME_MAX_BYTES 128

/* ----------------------------------------------------------------------------- binaries -- */

static bool check_binary_path(struct check *c, const struct ynode *n, struct pol_binary *ret)
{
	char why[160];
	struct slice s;
	int r;

	if (!check_string(c, n, "path", &s))
		return false;
	r = glob_check(s, GLOB_BINARY, &c->glob_work, why, sizeof(why));
	if (r == -ENOMEM)
		c->oom = true;
	else if (r < 0)
		check_error(c, n, "path '" SLICE_FMT "': %s", SLICE_ARG(s), why);
	else if (s.p[s.n - 1] == '/')
		check_error(c, n,
			    "path '" SLICE_FMT "': names a directory (write '" SLICE_FMT
			    "**' for all below it)",
			    SLICE_ARG(s), SLICE_ARG(s));
	ret->path = check_copy(c, s);
	ret->glob = glob_is_pattern(s);
	if (r == 0 && !ret->glob && s.n >= OSH_PATH_MAX)
		check_error(c, n, "a path of %zu bytes (at most %d)", s.n, OSH_PATH_MAX - 1);
	return true;
}

static void check_binary(struct check *c, const struct ynode *n, struct pol_binary *ret)
{
	enum { PATH, ANCESTORS, TAINTED, COUNT };
	static const char *const names[COUNT] = {"path", "ancestors", "allow_tainted"};
	struct field f[COUNT];

	ret->line = n->line;
	ret->col = n->col;
	ret->ancestors = true;
	if (ynode_type(n) == YT_STR) {
		check_error(c, n, "a binary is written '{path: " SLICE_FMT "}'", SLICE_ARG(n->s));
		return;
	}
	if (!check_fields(c, n, "a binary", names, COUNT, f))
		return;
	if (!f[PATH].val) {
		check_error(c, n, "'path' is missing");
	} else if (check_binary_path(c, f[PATH].val, ret)) {
		ret->line = f[PATH].val->line;
		ret->col = f[PATH].val->col;
	}
	if (f[ANCESTORS].val)
		check_bool(c, f[ANCESTORS].val, "ancestors", &ret->ancestors);
	if (f[TAINTED].val)
		check_bool(c, f[TAINTED].val, "allow_tainted", &ret->tainted);
}

static void check_binaries(struct check *c, const struct ynode *n, struct pol_block *b)
{
	if (!check_filled(c, n, "binaries"))
		return;
	b->binaries = check_alloc(c, n->n, sizeof(*b->binaries));
	for (uint32_t i = 0; b->binaries && i < n->n; i++)
		check_binary(c, n->v[i], &b->binaries[b->nbinaries++]);
}

/* ---------------------------------------------------------------------------- conflicts -- */

/* How an endpoint wants a flow treated before its requests can be told apart. */
enum treatment { T_NATIVE, T_TCP, T_SKIP, T_INSPECT, T_COUNT };

static enum treatment treatment(const struct pol_endpoint *e)
{
	if (e->tls == TLS_SKIP)
		return T_SKIP;
	if (pol_inspected(e))
		return T_INSPECT;
	return e->says_protocol ? T_TCP : T_NATIVE;
}

/* An endpoint that says neither protocol nor tls does not contradict an inspected one on the same
 * host and port: as between blocks, the flow is inspected and the plain one adds nothing. */
static bool contradict(enum treatment a, enum treatment b)
{
	if (a == b)
		return false;
	if ((a == T_NATIVE && b == T_INSPECT) || (a == T_INSPECT && b == T_NATIVE))
		return false;
	return !((a == T_NATIVE && b == T_TCP) || (a == T_TCP && b == T_NATIVE));
}

/* The endpoints of a block by host and port; per place the first of each treatment. */
struct place {
	const struct pol_endpoint *of[T_COUNT];
	struct slice host; /* as written, lower case */
	struct slice key;  /* the same, or the address's bytes: it has many spellings */
	uint8_t family;	   /* of an address, 0: a name */
	uint16_t port;
};

struct places {
	struct place *v;
	size_t n, cap;
	struct hmap map;
};

static uint64_t place_hash(const void *ctx, uint32_t i)
{
	const struct place *p = &((const struct places *)ctx)->v[i];

	return hash_bytes((uint32_t)p->port << 8 | p->family, p->key.p, p->key.n);
}

static bool place_eq(const void *ctx, uint32_t i)
{
	const struct places *ps = ctx;
	const struct place *a = &ps->v[i], *b = &ps->v[ps->n];

	return a->port == b->port && a->family == b->family && slice_eq(a->key, b->key);
}

static struct place *place_find(struct check *c, struct places *ps, const struct pol_endpoint *e,
				uint16_t port)
{
	bool address = e->host_kind == HOST_ADDRESS;
	uint32_t at = 0;
	int r = array_grow(&ps->v, &ps->cap, ps->n + 1, sizeof(*ps->v));

	if (r == 0) {
		ps->v[ps->n] = (struct place){
			.host = e->host,
			.key = address ? (struct slice){e->address.addr, 16} : e->host,
			.family = address ? e->address.family : 0,
			.port = port,
		};
		r = hmap_intern(&ps->map, place_hash(ps, (uint32_t)ps->n), place_eq, ps,
				(uint32_t)ps->n, &at);
	}
	if (r < 0) {
		c->oom = true;
		return NULL;
	}
	ps->n += r == 0;
	return &ps->v[at];
}

static bool enter_place(struct check *c, struct place *p, const struct pol_endpoint *e)
{
	enum treatment mine = treatment(e);

	for (enum treatment t = 0; t < T_COUNT; t++) {
		const struct pol_endpoint *o = p->of[t];

		if (!o || !contradict(t, mine))
			continue;
		diag_add(c->d, POLICY_ERROR, e->line, e->col,
			 "this endpoint and the one at line %d are both for '" SLICE_FMT
			 "' port %u but disagree on %s",
			 o->line, SLICE_ARG(e->host), p->port,
			 mine == T_SKIP || t == T_SKIP ? "'tls'" : "'protocol'");
		return false;
	}
	if (!p->of[mine])
		p->of[mine] = e;
	return true;
}

static void check_conflicts(struct check *c, const struct pol_block *b)
{
	struct places ps = {0};

	for (size_t i = 0; i < b->nendpoints; i++) {
		const struct pol_endpoint *e = &b->endpoints[i];
		bool ok = e->host_kind != HOST_NONE && e->host.n;

		for (size_t k = 0; ok && k < e->nports; k++) {
			struct place *p = place_find(c, &ps, e, e->ports[k]);

			ok = p && enter_place(c, p, e);
		}
	}
	free(ps.v);
	hmap_done(&ps.map);
}

/* ------------------------------------------------------------------------------- blocks -- */

static void check_endpoints(struct check *c, const struct ynode *n, struct pol_block *b)
{
	if (!check_filled(c, n, "endpoints"))
		return;
	b->endpoints = check_alloc(c, n->n, sizeof(*b->endpoints));
	for (uint32_t i = 0; b->endpoints && i < n->n; i++) {
		struct pol_endpoint e = {0};

		if (check_endpoint(c, n->v[i], &e))
			b->endpoints[b->nendpoints++] = e;
	}
	check_conflicts(c, b);
}

static void check_name(struct check *c, const struct ynode *n, const char *what, struct slice *ret)
{
	struct slice s;

	if (!check_string(c, n, what, &s))
		return;
	if (s.n > NAME_MAX_BYTES)
		check_error(c, n, "a name of %zu bytes (at most %d)", s.n, NAME_MAX_BYTES);
	*ret = check_copy(c, s);
}

/* A block's key may look like a number; as a name it is text all the same. */
static void check_key(struct check *c, const struct ynode *key, struct pol_block *b)
{
	struct ynode text = *key;

	text.plain = false;
	check_name(c, &text, "the name of a block", &b->key);
	b->name = b->key;
	b->line = key->line;
	b->col = key->col;
}

static void check_block(struct check *c, const struct ynode *key, const struct ynode *n,
			struct pol_block *b)
{
	enum { NAME, ENDPOINTS, BINARIES, COUNT };
	static const char *const names[COUNT] = {"name", "endpoints", "binaries"};
	struct field f[COUNT];

	check_key(c, key, b);
	if (!check_fields(c, n, "a block", names, COUNT, f))
		return;
	if (f[NAME].val)
		check_name(c, f[NAME].val, "name", &b->name);
	if (f[ENDPOINTS].val)
		check_endpoints(c, f[ENDPOINTS].val, b);
	else
		check_error(c, key, "block '" SLICE_FMT "' has no 'endpoints'", SLICE_ARG(key->s));
	if (f[BINARIES].val)
		check_binaries(c, f[BINARIES].val, b);
	else
		check_error(c, key, "block '" SLICE_FMT "' has no 'binaries'", SLICE_ARG(key->s));
}

void check_blocks(struct check *c, const struct ynode *n)
{
	struct policy *p = c->p;

	if (n->kind != Y_MAP) {
		check_error(c, n, "'network_policies' must be a map of blocks, not %s",
			    ynode_type_name(n));
		return;
	}
	if (n->n / 2 > OSH_BLOCKS_MAX) {
		check_error(c, n, "%u blocks (at most %d)", n->n / 2, OSH_BLOCKS_MAX);
		return;
	}
	p->blocks = check_alloc(c, n->n / 2 + 1, sizeof(*p->blocks));
	for (uint32_t i = 0; p->blocks && i + 1 < n->n; i += 2)
		check_block(c, n->v[i], n->v[i + 1], &p->blocks[p->nblocks++]);
}
