/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_random.h - small random policies, and everything that can be asked of them: what the exact
 * tools are compared with.
 */
#pragma once

#include "policy/witness.h"
#include "tests/unit/policy_fixture.h"

/* xorshift64*, so that failures repeat. */
static inline uint32_t rnd(uint64_t *s, uint32_t below)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return (uint32_t)((*s * 0x2545f4914f6cdd1dull) >> 33) % below;
}
#define PICK(seed, list) ((list)[rnd(seed, ARRAY_LEN(list))])

static inline void random_rule(uint64_t *s, FILE *f, bool allow)
{
	static const char *const methods[] = {"GET", "PUT", "\"*\""};
	static const char *const paths[] = {"/a", "/*", "/a/**", "/**", "/a*", "/**/b", "/a/?"};
	static const char *const values[] = {"x*", "\"*y\"", "x", "{any: [x, y]}"};

	fprintf(f, allow ? "          - allow: {method: %s, path: \"%s\"" : "          - {method: %s, path: \"%s\"",
		PICK(s, methods), PICK(s, paths));
	if (rnd(s, 3) == 0)
		fprintf(f, ", query: {q: %s%s}", PICK(s, values), rnd(s, 3) ? "" : ", r: x");
	fputs("}\n", f);
}

static inline void random_endpoint(uint64_t *s, FILE *f)
{
	static const char *const hosts[] = {"a.t.io", "b.t.io", "\"*.t.io\"", "\"**.t.io\"", "\"**\""};
	static const char *const ports[] = {"1", "2"};
	uint32_t kind = rnd(s, 6);

	fprintf(f, "      - host: %s\n        port: %s\n", PICK(s, hosts), PICK(s, ports));
	if (kind == 0)
		return;
	fputs("        protocol: rest\n", f);
	if (kind == 1 && rnd(s, 2)) {
		fputs("        tls: skip\n", f);
		return;
	}
	if (rnd(s, 4) == 0)
		fputs("        enforcement: audit\n", f);
	if (rnd(s, 4) == 0)
		fputs("        path: \"/a/**\"\n", f);
	if (rnd(s, 4) == 0)
		fputs("        allow_encoded_slash: true\n", f);
	if (rnd(s, 3) == 0) {
		fprintf(f, "        access: %s\n", rnd(s, 2) ? "read-only" : "full");
	} else {
		fputs("        rules:\n", f);
		for (uint32_t n = 1 + rnd(s, 2); n--;)
			random_rule(s, f, true);
	}
	if (rnd(s, 2)) {
		fputs("        deny_rules:\n", f);
		for (uint32_t n = 1 + rnd(s, 2); n--;)
			random_rule(s, f, false);
	}
}

/* Text of a policy; about one in ten is refused by the check (conflicts). */
static inline char *random_policy(uint64_t *s)
{
	static const char *const binaries[] = {"/a", "/b", "\"/*\"", "\"/**\"", "/a/b"};
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	fputs("version: 1\nnetwork_policies:\n", f);
	for (uint32_t b = 0, nb = 1 + rnd(s, 3); b < nb; b++) {
		fprintf(f, "  b%u:\n    endpoints:\n", b);
		for (uint32_t e = 1 + rnd(s, 2); e--;)
			random_endpoint(s, f);
		fputs("    binaries:\n", f);
		for (uint32_t k = 1 + rnd(s, 2); k--;)
			fprintf(f, "      - {path: %s%s%s}\n", PICK(s, binaries),
				rnd(s, 3) ? "" : ", ancestors: false",
				rnd(s, 3) ? "" : ", allow_tainted: true");
	}
	fclose(f);
	return text;
}

/* false: refused. */
static inline bool random_image(const char *text, struct fixture_image *ret)
{
	struct policy_diags d = {0};
	struct policy *p = NULL;
	int r = policy_parse(slice_str(text), &d, &p);

	policy_diags_done(&d);
	if (r < 0)
		return false;
	fixture_compile(p, ret);
	policy_free(p);
	return true;
}

/* Every caller and destination (index below CONNECTS) and every request (below REQUESTS) of a small
 * world; [..] 0 stands for none where there can be none. */
static const char *const world_exe[] = {"", "/a", "/b", "/c", "/a/b"};
static const char *const world_anc[] = {"/a", "/b", "/c", "/a/b"};
static const char *const world_host[] = {"a.t.io", "b.t.io", "b.a.t.io", "c"};
static const char *const world_method[] = {"GET", "HEAD", "PUT", "X"};
static const char *const world_path[] = {"/",	 "/a",	  "/b",	      "/a/",
					 "/a/b", "/a/bb", "/a%2Fb", "/ab"};
static const char *const world_query[] = {"",	    "q=x",	  "q=y",	"q=xy",	     "q=z",
					  "q=x&q=y", "q=x&q=z",	  "q=xy&q=x",	"r=x",	     "q=x&r=x",
					  "q=xy&r=x", "q=y&r=x&r=z", "q=x&q=z&r=x", "q=y&r=x"};

#define WORLD_CONNECTS (5u * 5 * 16 * 2 * 4 * 2)
#define WORLD_REQUESTS (4u * 8 * 14)

struct world_connect {
	struct ident_paths id;
	struct slice anc[4];
	const char *host;
	struct dest dest;
};

static inline void world_connect(uint32_t i, struct world_connect *c)
{
	uint32_t mask;

	*c = (struct world_connect){.id.anc = NULL};
	c->id.exe = slice_str(world_exe[i % 5]);
	i /= 5;
	c->id.script = slice_str(world_exe[i % 5]);
	i /= 5;
	mask = i % 16;
	i /= 16;
	c->id.tainted = i % 2;
	i /= 2;
	c->host = world_host[i % 4];
	i /= 4;
	dest_from_text(&c->dest, slice_str(c->host), (uint16_t)(1 + i));
	for (uint32_t k = 0; k < 4; k++)
		if (mask >> k & 1)
			c->anc[c->id.nanc++] = slice_str(world_anc[k]);
	c->id.anc = c->anc;
}

struct world_request {
	struct request q;
	struct query_pair pairs[8];
	char buf[64];
};

static inline void world_request(uint32_t i, struct world_request *q)
{
	*q = (struct world_request){.q.nquery = 0};
	q->q.method = slice_str(world_method[i % 4]);
	i /= 4;
	q->q.path = slice_str(world_path[i % 8]);
	i /= 8;
	assert_int_equal(parse_query(slice_str(world_query[i]), q->pairs, 8, &q->q.nquery, q->buf,
				     sizeof(q->buf)),
			 0);
	q->q.query = q->pairs;
}
