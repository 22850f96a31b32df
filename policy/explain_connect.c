/* SPDX-License-Identifier: Apache-2.0 */
/* explain_connect.c - what came nearest to allowing a connection: other binaries, ports and hosts. */
#include "policy/explain_near.h"

#define KEY_FMT "%.*s"
#define KEY_ARG(e, b) (int)(e)->p->blocks[b].key.n, (const char *)(e)->p->blocks[b].key.p
#define HOST_ARG(e) (int)(e)->ask->host.n, (const char *)(e)->ask->host.p

/* ------------------------------------------------------------------------ lists in few words -- */

#define LISTED 3

struct list {
	char text[512];
	size_t n, shown, more;
};

static void list_add(struct list *l, struct slice s)
{
	int k;

	if (l->shown == LISTED || l->n + s.n + 3 > sizeof(l->text)) {
		l->more++;
		return;
	}
	k = snprintf(l->text + l->n, sizeof(l->text) - l->n, "%s%.*s", l->shown ? ", " : "", (int)s.n,
		     (const char *)s.p);
	l->n += k > 0 ? (size_t)k : 0;
	l->shown++;
}

static const char *list_end(struct explain *e, const struct list *l)
{
	if (!l->shown)
		return "others";
	if (!l->more)
		return explain_say(e, "%s", l->text);
	return explain_say(e, "%s and %zu more", l->text, l->more);
}

static struct slice last_segment(struct slice path)
{
	const uint8_t *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;

	return slash ? (struct slice){slash + 1, path.n - (size_t)(slash + 1 - path.p)} : path;
}

/* The binaries of a block, those of the caller's own name first. */
static const char *binaries_of(struct explain *e, uint32_t block)
{
	const struct pol_block *k = &e->p->blocks[block];
	struct slice name = last_segment(e->ask->id.exe);
	struct list l = {.n = 0};

	for (int same = 1; same >= 0; same--)
		for (size_t i = 0; i < k->nbinaries; i++)
			if (slice_eq(last_segment(k->binaries[i].path), name) == same)
				list_add(&l, k->binaries[i].path);
	return list_end(e, &l);
}

/* -------------------------------------------------------------------------------- binaries -- */

static bool have(struct explain *e, const struct ident_paths *id, uint32_t block)
{
	struct block_bits bits;

	image_ident_bits(e->img, id, &bits);
	return bits_have(&bits, block);
}

/* What of the caller would match but for a word on the entry. */
static bool near_word(struct explain *e, uint32_t block)
{
	struct ident_paths id = e->ask->id;
	const struct pol_binary *b;

	if (id.tainted) {
		const struct slice self[] = {id.exe, id.script};

		id.tainted = false;
		for (size_t i = 0; i < ARRAY_LEN(self) + id.nanc; i++) {
			bool anc = i >= ARRAY_LEN(self);
			struct slice path = anc ? id.anc[i - ARRAY_LEN(self)] : self[i];

			b = path.n && have(e, &id, block) ? explain_binary(e, block, path, anc, false) : NULL;
			if (!b)
				continue;
			explain_near(e, NEAR_TAINTED, block, b->line,
				     explain_say(e,
						 "block " KEY_FMT " allows it for %.*s, but not for a program started "
						 "with loader variables (the entry has no 'allow_tainted: true')",
						 KEY_ARG(e, block), (int)path.n, (const char *)path.p));
			return true;
		}
	}
	for (size_t i = 0; i < id.nanc; i++) {
		if (!have(e, &(struct ident_paths){.exe = id.anc[i]}, block))
			continue;
		b = explain_binary(e, block, id.anc[i], false, false);
		if (!b || b->ancestors)
			continue;
		explain_near(e, NEAR_ANCESTOR, block, b->line,
			     explain_say(e,
					 "block " KEY_FMT " allows it for %.*s itself, not for what it starts "
					 "(the entry says 'ancestors: false')",
					 KEY_ARG(e, block), (int)id.anc[i].n, (const char *)id.anc[i].p));
		return true;
	}
	return false;
}

/* A star that would have had to cross a slash. */
static bool near_star(struct explain *e, uint32_t block)
{
	const struct pol_block *k = &e->p->blocks[block];
	size_t tries = 64;

	for (size_t i = 0; i < k->nbinaries && tries; i++) {
		const struct pol_binary *b = &k->binaries[i];
		_cleanup_free_ char *wide = b->glob ? match_widened(b->path) : NULL;

		if (!wide)
			continue;
		tries--;
		if (match_glob(slice_str(wide), GLOB_BINARY, e->ask->id.exe, NULL) <= 0)
			continue;
		explain_near(e, NEAR_BINARY, block, b->line,
			     explain_say(e,
					 "block " KEY_FMT " allows this host for %.*s, which does not match %.*s: "
					 "'*' stays within one segment, '**' crosses '/'",
					 KEY_ARG(e, block), (int)b->path.n, (const char *)b->path.p,
					 (int)e->ask->id.exe.n, (const char *)e->ask->id.exe.p));
		return true;
	}
	return false;
}

static void near_binary(struct explain *e)
{
	const struct osh_img_dstset *s = view_dstset(e->img, e->cd.dstset);
	const struct ident_paths *id = &e->ask->id;

	for (int pass = 0; pass < 3; pass++) {
		for (uint32_t b = 0; b < e->p->nblocks && e->x->nnearest < EXPLAIN_NEAREST_MAX; b++) {
			if (!(s->any[b / 64] >> (b % 64) & 1))
				continue;
			if (pass == 0 && near_word(e, b))
				continue;
			if (pass == 1 && near_star(e, b))
				continue;
			if (pass < 2 || (e->x->nnearest && e->x->nearest[0].block == b))
				continue;
			explain_near(e, NEAR_BINARY, b, e->p->blocks[b].line,
				     explain_say(e, "block " KEY_FMT " allows this host for %s, not for %.*s", KEY_ARG(e, b),
						 binaries_of(e, b), (int)id->exe.n, (const char *)id->exe.p));
		}
	}
}

/* ----------------------------------------------------------------------------------- ports -- */

/* ", for its own binaries" where the caller would not be one of them. */
static const char *for_whom(struct explain *e, uint32_t block)
{
	return bits_have(&e->caller, block) ? "" : explain_say(e, " (for %s)", binaries_of(e, block));
}

/* The ports on which a block names the host that state stands for. */
static void near_port_of(struct explain *e, uint32_t state, uint32_t block)
{
	const struct pol_block *k = &e->p->blocks[block];
	struct list l = {.n = 0};
	int line = 0;

	for (uint32_t i = 0; i < k->nendpoints; i++) {
		const struct pol_endpoint *ep = &k->endpoints[i];

		if (!ep->nports ||
		    !view_eps_has(view_eps(e->img, view_port_set(e->img, state, ep->ports[0])),
			     explain_first_endpoint(e, block) + i))
			continue;
		line = line ? line : ep->line;
		for (size_t p = 0; p < ep->nports; p++) {
			char port[8];

			(void)snprintf(port, sizeof(port), "%u", ep->ports[p]);
			list_add(&l, slice_str(port));
		}
	}
	if (l.shown)
		explain_near(e, NEAR_PORT, block, line,
			     explain_say(e, "block " KEY_FMT " allows %.*s on port %s, not %u%s", KEY_ARG(e, block),
					 HOST_ARG(e), list_end(e, &l), e->ask->port, for_whom(e, block)));
}

static void near_ports(struct explain *e)
{
	uint32_t state = view_dest_state(e->img, &e->dest);
	const struct osh_img_dstset *s = view_dstset(e->img, view_accept(e->img, &e->img->hdr->dst, state));

	if (!state)
		return;
	for (int mine = 1; mine >= 0; mine--) {
		for (uint32_t b = 0; b < e->p->nblocks && e->x->nnearest < EXPLAIN_NEAREST_MAX; b++)
			if (s->any[b / 64] >> (b % 64) & 1 && bits_have(&e->caller, b) == mine)
				near_port_of(e, state, b);
	}
}

/* ----------------------------------------------------------------------------------- hosts -- */

/* Would the pattern match if '*' crossed dots?  Two indices, back to the last star where they part. */
static bool matches_loosely(struct slice pat, struct slice s)
{
	size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;

	while (i < s.n) {
		if (p < pat.n && pat.p[p] == '*') {
			star = p++;
			mark = i;
		} else if (p < pat.n && pat.p[p] == s.p[i]) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (p < pat.n && pat.p[p] == '*')
		p++;
	return p == pat.n;
}

static bool has_port(const struct pol_endpoint *ep, uint16_t port)
{
	for (size_t i = 0; i < ep->nports; i++)
		if (ep->ports[i] == port)
			return true;
	return false;
}

/* What is behind the first label of "*.example.com" or "**.example.com"; n == 0: another pattern. */
static struct slice below(struct slice pattern)
{
	size_t stars = 0;

	while (stars < pattern.n && pattern.p[stars] == '*')
		stars++;
	if (!stars || stars + 1 >= pattern.n || pattern.p[stars] != '.')
		return (struct slice){NULL, 0};
	return (struct slice){pattern.p + stars + 1, pattern.n - stars - 1};
}

static bool ends_below(struct slice name, struct slice domain)
{
	return domain.n && name.n > domain.n + 1 && name.p[name.n - domain.n - 1] == '.' &&
	       memcmp(name.p + name.n - domain.n, domain.p, domain.n) == 0;
}

/* Why this host does not match that of the endpoint, or NULL: they have nothing to do with each other. */
static const char *wildcard_why(struct explain *e, const struct pol_endpoint *ep, struct slice host)
{
	struct slice domain = below(ep->host);

	if (ep->host_kind == HOST_EXACT)
		return ends_below(host, ep->host)
			       ? explain_say(e, "a name stands for itself only, '**.%.*s' is for all below it",
					     (int)ep->host.n, (const char *)ep->host.p)
			       : NULL;
	if (ep->host_kind != HOST_PATTERN)
		return NULL;
	if (domain.n && slice_eq(domain, host))
		return "a pattern stands for names below the domain, not for the domain itself";
	if (ends_below(host, domain))
		return explain_say(e, "'*' stands for one label, '**.%.*s' is for names of any depth", (int)domain.n,
				   (const char *)domain.p);
	return matches_loosely(ep->host, host) ? "'*' stands for part or all of one label, it does not cross a dot" : NULL;
}

static bool near_wildcard(struct explain *e, uint32_t block, struct slice host, bool same_port)
{
	const struct pol_block *k = &e->p->blocks[block];

	for (size_t i = 0; i < k->nendpoints; i++) {
		const struct pol_endpoint *ep = &k->endpoints[i];
		const char *why;

		if (has_port(ep, e->ask->port) != same_port)
			continue;
		why = wildcard_why(e, ep, host);
		if (why)
			return explain_near(e, NEAR_WILDCARD, block, ep->line,
					    explain_say(e, "block " KEY_FMT " allows %.*s, which does not match %.*s: %s%s",
							KEY_ARG(e, block), (int)ep->host.n, (const char *)ep->host.p,
							HOST_ARG(e), why, for_whom(e, block)));
	}
	return true;
}

struct spelt {
	const char **name;
	const struct pol_endpoint **ep;
	uint32_t *block;
	size_t n;
};

static void spelt_collect(struct explain *e, struct spelt *s, bool same_port)
{
	s->n = 0;
	for (uint32_t b = 0; b < e->p->nblocks; b++) {
		for (size_t i = 0; i < e->p->blocks[b].nendpoints; i++) {
			const struct pol_endpoint *ep = &e->p->blocks[b].endpoints[i];

			if (ep->host_kind != HOST_EXACT || has_port(ep, e->ask->port) != same_port)
				continue;
			s->name[s->n] = (const char *)ep->host.p;
			s->ep[s->n] = ep;
			s->block[s->n++] = b;
		}
	}
}

static void near_spelling(struct explain *e, struct slice host, struct spelt *s)
{
	for (int same = 1; same >= 0; same--) {
		const char *meant;

		spelt_collect(e, s, same);
		meant = diag_suggest(host, s->name, s->n);
		for (size_t i = 0; meant && i < s->n; i++) {
			uint32_t b = s->block[i];

			if (s->name[i] != meant)
				continue;
			explain_near(e, NEAR_SPELLING, b, s->ep[i]->line,
				     explain_say(e, "block " KEY_FMT " allows %s, spelt almost like %.*s%s", KEY_ARG(e, b),
						 meant, HOST_ARG(e), for_whom(e, b)));
			return;
		}
	}
}

static void near_hosts(struct explain *e)
{
	char low[HOST_MAX + 1];
	struct slice host = {(const uint8_t *)low, host_lower(e->dest.host, low)};
	size_t blocks, endpoints;
	struct spelt s;

	if (!host.n)
		return;
	policy_counts(e->p, &blocks, &endpoints);
	for (int same = 1; same >= 0; same--)
		for (uint32_t b = 0; b < e->p->nblocks; b++)
			if (!near_wildcard(e, b, host, same))
				return;
	s.name = arena_alloc(&e->x->arena, (endpoints + 1) * sizeof(*s.name));
	s.ep = arena_alloc(&e->x->arena, (endpoints + 1) * sizeof(const struct pol_endpoint *));
	s.block = arena_alloc(&e->x->arena, (endpoints + 1) * sizeof(*s.block));
	if (s.name && s.ep && s.block)
		near_spelling(e, host, &s);
	else
		e->oom = true;
}

/* All misses are looked for among a policy's own words, so each costs at most one pass over its endpoints. */
void near_connect(struct explain *e)
{
	if (e->cd.reason == OSH_R_BINARY) {
		near_binary(e);
		return;
	}
	if (e->cd.reason != OSH_R_NO_MATCH)
		return;
	near_ports(e);
	if (e->dest.host.n && !e->x->nnearest)
		near_hosts(e);
	if (!e->dest.host.n && !e->x->nnearest && !e->x->note)
		e->x->note = "a rule for a name does not cover the addresses it resolves to: a literal address is "
			     "allowed as 'host' or within 'allowed_ips'";
}
