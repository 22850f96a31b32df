/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint_files.c - binaries that what runs in the sandbox can replace.
 *
 * By the file section alone, as docs/policy-language.md has it: of the listed paths, the baseline and
 * the sandbox's own places, the deepest at or above a path says whether it can be written.  What only
 * the host knows (where a user's home is, what the workdir will be) is not guessed at, but for /home.
 */
#include "policy/glob.h"
#include "policy/lint_part.h"

enum why { READ_ONLY, LISTED, PRIVATE, OWN_HOME, HOMES };

/* By falling precedence where a path is there twice. */
struct area {
	const char *path;
	enum why why;
	int line; /* LISTED: of the entry */
};

struct areas {
	struct area *v;
	size_t n;
	struct table_dfa dfa; /* accept: 1 + area that can be written */
};

static void areas_done(struct areas *a)
{
	free(a->v);
	table_dfa_done(&a->dfa);
}

static const char *const baseline[] = {"/usr",	"/lib", "/lib64", "/bin",
				       "/sbin", "/etc", "/proc",  "/sys/devices/system/cpu"};

static bool below_sandbox_home(const char *path)
{
	return strncmp(path, "/sandbox", 8) == 0 && (path[8] == 0 || path[8] == '/');
}

static void add(struct areas *a, const char *path, enum why why, int line)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i].path, path) == 0)
			return;
	a->v[a->n++] = (struct area){path, why, line};
}

static void add_all(struct areas *a, const struct policy_static *st)
{
	add(a, "/tmp", PRIVATE, 0);
	add(a, "/dev/shm", PRIVATE, 0);
	for (size_t i = 0; i < st->read_write.n; i++)
		add(a, st->read_write.v[i].path, LISTED, st->read_write.v[i].line);
	/* a read-only path below a home that the host lacks takes nothing back */
	for (size_t i = 0; i < st->read_only.n; i++)
		if (!below_sandbox_home(st->read_only.v[i].path))
			add(a, st->read_only.v[i].path, READ_ONLY, 0);
	for (size_t i = 0; i < ARRAY_LEN(baseline); i++)
		add(a, baseline[i], READ_ONLY, 0);
	add(a, "/sandbox", OWN_HOME, 0);
	add(a, "/home", HOMES, 0);
}

/* The deepest area that covers the text. */
static int deepest(void *ctx, const uint32_t *tags, size_t n, uint32_t *ret)
{
	const struct areas *a = ctx;
	uint32_t best = tags[0];

	for (size_t i = 1; i < n; i++)
		if (strlen(a->v[tags[i]].path) > strlen(a->v[best].path))
			best = tags[i];
	*ret = a->v[best].why == READ_ONLY ? 0 : best + 1;
	return 0;
}

static int compile_areas(struct areas *a)
{
	static const struct byteset all = {{~0ull, ~0ull, ~0ull, ~0ull}};
	_cleanup_(nfa_done) struct nfa nfa = {0};
	_cleanup_(dfa_done) struct dfa dfa = {0};
	uint32_t root = nfa_root(&nfa);
	struct dfa_limits limits;
	int r;

	for (size_t i = 0; i < a->n; i++) {
		const char *path = strcmp(a->v[i].path, "/") == 0 ? "" : a->v[i].path;
		uint32_t at = nfa_bytes(&nfa, root, slice_str(path));

		/* the sandbox's own places are directories, which are no programs */
		if (a->v[i].why <= LISTED)
			nfa_tag(&nfa, at, (uint32_t)i);
		nfa_tag(&nfa, nfa_star(&nfa, nfa_byte(&nfa, at, '/'), &all), (uint32_t)i);
	}
	limits = compile_limits(&nfa);
	r = dfa_init(&dfa, &nfa, &limits, deepest, a);
	if (r == 0)
		r = dfa_start(&dfa, root, &a->dfa.start);
	return r < 0 ? r : table_from_dfa(&dfa, &a->dfa);
}

/* ----------------------------------------------------------------------------- binaries -- */

struct found {
	uint32_t area; /* 1 + index, 0: none */
	char text[160];
};

static int found_visit(void *ctx, const uint32_t *state, const uint32_t *accept, struct slice text)
{
	struct found *f = ctx;

	(void)state;
	if (!accept[0] || !accept[1] || !accept[2])
		return 0;
	f->area = accept[1];
	(void)snprintf(f->text, sizeof(f->text), SLICE_FMT, SLICE_ARG(text));
	return 1;
}

/* Is the text at the path, above or below it? */
static bool on_one_line(const char *path, struct slice s)
{
	size_t n = strlen(path);

	return strncmp(path, (const char *)s.p, n < s.n ? n : s.n) == 0;
}

/* What a pattern begins with may rule out every place that can be written. */
static bool begins_elsewhere(const struct areas *a, struct slice glob)
{
	struct slice literal = {glob.p, 0};

	while (literal.n < glob.n && !strchr("*?[{", glob.p[literal.n]))
		literal.n++;
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].why != READ_ONLY && on_one_line(a->v[i].path, literal))
			return false;
	return true;
}

/* A pattern, and the shortest path that it matches in a place that can be written. */
static int find_pattern(struct lint *l, const struct areas *a, struct slice glob,
			struct found *ret)
{
	const struct lang_pattern pattern = {.glob = glob};
	_cleanup_(table_dfa_done) struct table_dfa t = {0}, file = {0};
	struct automaton v[3];
	int r = lint_compile(l, LANG_BINARY, &pattern, 1, &t);

	if (r == 0)
		r = lang_file_path(&file);
	if (r != 0)
		return r < 0 ? r : 0;
	v[0] = automaton_of_table(&t);
	v[1] = automaton_of_table(&a->dfa);
	v[2] = automaton_of_table(&file);
	r = lint_product(l, v, 3, 3, found_visit, ret);
	return r < 0 ? r : 0;
}

static int find(struct lint *l, const struct areas *a, const struct pol_binary *x,
		struct found *ret)
{
	const struct automaton area = automaton_of_table(&a->dfa);

	*ret = (struct found){0};
	/* every program is what was asked for */
	if (glob_matches_all(x->path))
		return 0;
	if (x->glob)
		return begins_elsewhere(a, x->path) ? 0 : find_pattern(l, a, x->path, ret);
	if (lint_spend(l, x->path.n))
		ret->area = area.states[automaton_walk(&area, area.start, x->path)].accept;
	return 0;
}

static void say(struct lint *l, const struct pol_binary *x, const struct area *a,
		const char *example)
{
	char matches[200] = "", where[200];

	if (x->glob)
		(void)snprintf(matches, sizeof(matches), " matches '%s', and", example);
	switch (a->why) {
	case LISTED:
		(void)snprintf(where, sizeof(where), "'%.100s' is read-write by line %d", a->path,
			       a->line);
		break;
	case OWN_HOME:
		(void)snprintf(where, sizeof(where),
			       "'/sandbox', where the host has none, is the sandbox's own home");
		break;
	case HOMES:
		(void)snprintf(where, sizeof(where),
			       "the home of its user is read-write where 'read_only' does not "
			       "list it");
		break;
	default:
		(void)snprintf(where, sizeof(where), "'%s' is the sandbox's own", a->path);
	}
	lint_warn(l, x->line, x->col,
		  "binary '" SLICE_FMT "':%s what runs in the sandbox can put a program of its "
		  "choice there (%s)",
		  SLICE_ARG(x->path), matches, where);
}

static int check_binary(struct lint *l, const struct areas *a, const struct pol_binary *x)
{
	struct found f;
	int r = find(l, a, x, &f);

	if (r == 0 && f.area)
		say(l, x, &a->v[f.area - 1], f.text);
	return r;
}

int lint_files(struct lint *l)
{
	const struct policy_static *st = &l->p->st;
	_cleanup_(areas_done) struct areas a = {
		.v = calloc(st->read_only.n + st->read_write.n + ARRAY_LEN(baseline) + 8,
			    sizeof(*a.v))};
	int r = a.v ? 0 : -ENOMEM;

	if (r == 0) {
		add_all(&a, st);
		r = compile_areas(&a);
	}
	for (size_t b = 0; r == 0 && b < l->p->nblocks; b++)
		for (size_t i = 0; r == 0 && i < l->p->blocks[b].nbinaries; i++)
			r = check_binary(l, &a, &l->p->blocks[b].binaries[i]);
	return r;
}
