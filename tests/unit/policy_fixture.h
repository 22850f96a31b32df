/* SPDX-License-Identifier: Apache-2.0 */
/* policy_fixture.h - what the policy tests share: files of the tree, policies from text, images. */
#pragma once

#include "policy/policy.h"
#include "policy/yaml_tree.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A file of the source tree; tests run from its root.  Malloced, NUL-terminated. */
static inline char *fixture_read(const char *path, size_t *ret_n)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	size_t n = 0, cap = 0;
	char *buf = NULL;

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	do {
		assert_int_equal(array_grow(&buf, &cap, n + 65536, 1), 0);
		n += fread(buf + n, 1, 65535, f);
	} while (!feof(f) && !ferror(f));
	buf[n] = 0;
	*ret_n = n;
	return buf;
}

/* Parses text that must be a good policy. */
static inline struct policy *fixture_policy(struct slice text)
{
	struct policy_diags d = {0};
	struct policy *p = NULL;
	int r = policy_parse(text, &d, &p);

	if (r < 0) {
		policy_diags_print(&d, "policy", stderr);
		policy_diags_done(&d);
		fail_msg("policy_parse: %s", strerror(-r));
	}
	policy_diags_done(&d);
	return p;
}

struct fixture_image {
	uint8_t *p;
	size_t n;
	struct image img;
};

static inline void fixture_compile(const struct policy *p, struct fixture_image *ret)
{
	struct policy_diags d = {0};
	int r = policy_compile(p, &d, &ret->p, &ret->n);

	if (r < 0)
		policy_diags_print(&d, "policy", stderr);
	policy_diags_done(&d);
	assert_int_equal(r, 0);
	assert_int_equal(image_open(&ret->img, ret->p, ret->n), 0);
}

/* Text straight to an image. */
static inline void fixture_image(const char *text, struct fixture_image *ret)
{
	_cleanup_(policy_freep) struct policy *p = fixture_policy(slice_str(text));

	fixture_compile(p, ret);
}

static inline void fixture_image_file(const char *path, struct fixture_image *ret)
{
	size_t n;
	_cleanup_free_ char *text = fixture_read(path, &n);
	_cleanup_(policy_freep) struct policy *p =
		fixture_policy((struct slice){(const uint8_t *)text, n});

	fixture_compile(p, ret);
}

static inline void fixture_image_done(struct fixture_image *f)
{
	free(f->p);
	f->p = NULL;
}

/* The value of a key of a map node, or NULL. */
static inline const struct ynode *fixture_get(const struct ynode *map, const char *key)
{
	for (uint32_t i = 0; map && map->kind == Y_MAP && i + 1 < map->n; i += 2)
		if (slice_eq_str(map->v[i]->s, key))
			return map->v[i + 1];
	return NULL;
}

/* ---------------------------------------------------------------------- asking an image -- */

struct ask {
	const char *exe, *host;
	uint16_t port;
	const char *anc; /* one ancestor, or NULL */
	bool tainted;
};

static inline void fixture_connect(const struct image *img, const struct ask *a,
				   struct connect_decision *ret)
{
	struct slice anc = slice_str(a->anc);
	const struct ident_paths id = {.exe = slice_str(a->exe),
				       .anc = &anc,
				       .nanc = a->anc != NULL,
				       .tainted = a->tainted};
	struct block_bits bits;
	struct dest d;

	image_ident_bits(img, &id, &bits);
	dest_from_text(&d, slice_str(a->host), a->port);
	image_decide_connect(img, &bits, &d, ret);
}

/* Connects and sends "METHOD target"; the target is made canonical and its query parsed. */
static inline void fixture_request(const struct image *img, const struct ask *a, const char *method,
				   const char *target, struct request_decision *ret)
{
	struct connect_decision c;
	struct canonical_target t;
	struct query_pair pairs[16];
	char buf[1024];
	size_t n = 0;

	fixture_connect(img, a, &c);
	assert_int_equal(canonical_target(slice_str(target), image_encoded_slash(img, &c), &t),
			 TARGET_OK);
	assert_int_equal(parse_query(t.query, pairs, ARRAY_LEN(pairs), &n, buf, sizeof(buf)), 0);
	image_decide_request(
		img, &c,
		&(struct request){slice_str(method), {(const uint8_t *)t.path, t.path_n}, pairs, n},
		ret);
}

/* ------------------------------------------------------------------------------ corpora -- */

/* One "=== NAME" section of a corpus. */
struct fixture_section {
	struct slice name, text, expect;
};

static inline struct slice fixture_upto(const char *from, const char *to)
{
	return (struct slice){(const uint8_t *)from, (size_t)(to - from)};
}

/* Advances *at past the next section; false at the end. */
static inline bool fixture_next_section(const char **at, struct fixture_section *ret)
{
	const char *begin = strstr(*at, "\n=== "), *line, *dashes, *end;

	if (!begin++)
		return false;
	line = strchr(begin, '\n') + 1;
	dashes = line - 1;
	/* a document marker "---" may stand in the text: the last one before the next section
	 * counts */
	end = strstr(line, "\n=== ");
	end = end ? end + 1 : line + strlen(line);
	for (const char *p = line - 1; p && p + 5 <= end; p = strstr(p + 1, "\n---\n"))
		if (strncmp(p, "\n---\n", 5) == 0)
			dashes = p;
	ret->name = fixture_upto(begin + 4, line - 1);
	ret->text = fixture_upto(line, dashes + 1);
	ret->expect = fixture_upto(dashes + 5, end);
	while (ret->expect.n && ret->expect.p[ret->expect.n - 1] == '\n')
		ret->expect.n--;
	*at = end - 1;
	return true;
}
