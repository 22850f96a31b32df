/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_cmd_get.c - `osh-enforce policy get`: a policy exactly as it was set, under a header of YAML comments, so that
 * what it prints can be set again.
 */
#include "user/globalpolicy.h"
#include "user/plan.h"
#include "user/policy_cmd.h"
#include "user/policy_send.h"
#include "user/safetext.h"
#include "user/usage.h"

#include <time.h>

#define HEADER_FIRST "# osh-enforce policy: "
#define HEADER_LAST "# ---\n"
#define BOM "\xef\xbb\xbf"

struct get {
	const char *command;
	char *sandbox; /* NULL: the global policy */
	uint64_t rev;  /* 0: the one in force */
	bool full;
};

/* A value in a comment stays in its line, whatever it holds. */
static void comment(const char *what, const char *value)
{
	for (const char *s = value;; s++) {
		size_t n = strcspn(s, "\n");

		printf("# %s: ", what);
		safetext_print((struct slice){(const uint8_t *)s, n}, stdout);
		putchar('\n');
		s += n;
		if (!*s)
			return;
	}
}

static void comment_time(const char *what, int64_t t)
{
	char text[32];
	time_t tt = (time_t)t;
	struct tm tm;

	if (t && gmtime_r(&tt, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		comment(what, text);
}

static void print_header(const struct get *g, const struct revision *v)
{
	if (g->sandbox)
		printf(HEADER_FIRST "sandbox %s, revision %llu\n", g->sandbox, (unsigned long long)v->number);
	else
		printf(HEADER_FIRST "global, revision %llu\n", (unsigned long long)v->number);
	comment("sha256", v->hash[0] ? v->hash : "none, for it has errors");
	comment("status", revision_status_word(v->status));
	comment_time("set", v->time);
	comment_time("loaded", v->loaded);
	comment("source", v->source);
	if (v->error[0])
		comment("error", v->error);
}

/* The static sections that stand in this sandbox, whether this text has them or not. */
static void print_static(const struct get *g, const struct revisions *all, uint64_t first)
{
	_cleanup_(policy_freep) struct policy *p = NULL;
	_cleanup_free_ char *text = NULL, *canonical = NULL;
	struct policy_diags d = {0};
	size_t n;

	if (!first || revisions_text(all, first, &text, &n) < 0)
		return;
	if (policy_parse((struct slice){(const uint8_t *)text, n}, &d, &p) == 0 &&
	    static_canonical_text(policy_static(p), &canonical) == 0) {
		printf("# files and identity of the sandbox %s, as it was started (revision %llu):\n", g->sandbox,
		       (unsigned long long)first);
		n = strlen(canonical);
		if (n && canonical[n - 1] == '\n')
			canonical[n - 1] = '\0';
		comment("  ", canonical);
	}
	policy_diags_done(&d);
}

static void print_full(const struct get *g, const struct revisions *all)
{
	uint64_t first = 0, global = 0;

	if (!g->sandbox)
		return;
	policy_standing(g->sandbox, &first, &global);
	print_static(g, all, first);
	if (global)
		printf("# the global policy (revision %llu) is in force instead of this sandbox's own\n",
		       (unsigned long long)global);
}

/* Of what an earlier `get` printed and was set again, the header is not repeated. */
static struct slice without_header(struct slice s)
{
	struct slice rest = s;

	if (rest.n < strlen(HEADER_FIRST) || memcmp(rest.p, HEADER_FIRST, strlen(HEADER_FIRST)) != 0)
		return s;
	while (rest.n && rest.p[0] == '#') {
		const uint8_t *end = memchr(rest.p, '\n', rest.n);
		size_t n = end ? (size_t)(end - rest.p) + 1 : rest.n;
		bool last = slice_eq_str((struct slice){rest.p, n}, HEADER_LAST);

		rest.p += n;
		rest.n -= n;
		if (last)
			return rest;
	}
	return s;
}

/* Byte for byte, but on a terminal, which a text with errors could do something to. */
static void print_policy(struct slice s)
{
	s = without_header(s);
	if (s.n >= strlen(BOM) && memcmp(s.p, BOM, strlen(BOM)) == 0) { /* only first in a file is it one */
		s.p += strlen(BOM);
		s.n -= strlen(BOM);
	}
	if (!isatty(STDOUT_FILENO)) {
		(void)fwrite(s.p, 1, s.n, stdout);
		return;
	}
	while (s.n) {
		const uint8_t *end = memchr(s.p, '\n', s.n);
		size_t n = end ? (size_t)(end - s.p) : s.n;

		safetext_print((struct slice){s.p, n}, stdout);
		if (end)
			putchar('\n');
		n += end != NULL;
		s.p += n;
		s.n -= n;
	}
}

static int refuse(const struct get *g, int r, const struct revisions *all)
{
	const char *who = g->sandbox ? g->sandbox : "global policy";

	if (!all)
		fprintf(stderr, "osh-enforce %s: %s: %s\n", g->command, who,
			r != -ENOENT  ? strerror(-r)
			: g->sandbox ? "no such sandbox; 'osh-enforce list' shows what runs"
				     : "none was ever set");
	else if (r == -ENODATA)
		fprintf(stderr, "osh-enforce %s: %s: the text of this revision is too old to be kept, or was none\n", g->command,
			who);
	else if (r == -ENOENT && g->rev)
		fprintf(stderr, "osh-enforce %s: %s: there is no revision %llu; 'osh-enforce policy list' shows those there are\n",
			g->command, who, (unsigned long long)g->rev);
	else
		fprintf(stderr, "osh-enforce %s: %s: %s\n", g->command, who,
			r == -ENOENT ? "none is in force" : strerror(-r));
	return 1;
}

static int get(const struct get *g)
{
	_cleanup_free_ char *text = NULL;
	const struct revision *v;
	struct revisions all;
	size_t n = 0;
	int r = g->sandbox ? policy_revisions(g->sandbox, &all) : revisions_open(GLOBAL_DIR "/revisions", false, &all);

	if (r < 0)
		return refuse(g, r, NULL);
	policy_settle(g->sandbox, &all);
	v = g->rev ? revisions_find(&all, g->rev) : revisions_in_force(&all);
	r = v ? revisions_text(&all, v->number, &text, &n) : -ENOENT;
	if (r == 0) {
		print_header(g, v);
		if (g->full)
			print_full(g, &all);
		fputs(HEADER_LAST, stdout);
		print_policy((struct slice){(const uint8_t *)text, n});
	} else {
		(void)refuse(g, r, &all);
	}
	revisions_done(&all);
	return r < 0 ? 1 : 0;
}

static bool revision_option(const char *value, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(value, &end, 10);
	return *value >= '1' && *value <= '9' && !errno && !*end && *ret <= INT64_MAX;
}

int policy_cmd_get(int argc, char **argv)
{
	static const struct option longopts[] = {{"global", no_argument, NULL, 'g'},
						 {"rev", required_argument, NULL, 'r'},
						 {"full", no_argument, NULL, 'f'},
						 {"help", no_argument, NULL, 'h'},
						 {0}};
	struct get g = {.command = argv[0]};
	bool global = false;
	int c, status;

	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		if (c == 'h') {
			usage_print(argv[0], stdout);
			return 0;
		}
		if (c == '?')
			return USAGE_EXIT;
		if (c == 'r' && !revision_option(optarg, &g.rev))
			return usage_error(argv[0], "--rev takes the number of a revision, not '%s'", optarg);
		global |= c == 'g';
		g.full |= c == 'f';
	}
	if (argc - optind > (global ? 0 : 1))
		return usage_error(argv[0], global ? "takes no NAME with --global" : "takes one NAME");
	if (!global) {
		g.sandbox = policy_sandbox_operand(argv[0], optind < argc ? argv[optind] : NULL, &status);
		if (!g.sandbox)
			return status;
	}
	status = get(&g);
	free(g.sandbox);
	return status;
}
