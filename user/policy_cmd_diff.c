/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_cmd_diff.c - `osh-enforce policy diff OLD NEW`: what becomes allowed and what becomes denied,
 * by meaning, each with a request that is decided differently.
 */
#include "policy/diff.h"

#include "user/policy_cmd.h"
#include "user/policy_image.h"
#include "user/safetext.h"
#include "user/usage.h"
#include "user/witness_json.h"

#define EXIT_SAME 0
#define EXIT_DIFFERS 1
#define EXIT_TROUBLE 2

struct compared {
	const char *file[2];
	struct policy_image p[2];
	struct diff d;
	struct diff_static *st;
	size_t nst;
};

static void compared_done(struct compared *c)
{
	policy_image_done(&c->p[0]);
	policy_image_done(&c->p[1]);
	diff_done(&c->d);
	free(c->st);
}

static bool unseen(const struct decided *d)
{
	return d->outcome == OUT_NATIVE || d->outcome == OUT_RELAYED;
}

/* --------------------------------------------------------------------------------- text -- */

static void put_safe(const char *s)
{
	safetext_print(slice_str(s ? s : "?"), stdout);
}

/* "FILE:LINE, block NAME" */
static void put_by(const struct compared *c, size_t side, const struct decided *d)
{
	put_safe(c->file[side]);
	if (d->line)
		printf(":%u", d->line);
	fputs(", block ", stdout);
	put_safe(d->block == ~0u ? NULL : image_block_name(&c->p[side].img, d->block));
}

/* The host as the endpoint names it; else the witness's. */
static void put_place(const struct compared *c, size_t side, const struct diff_item *x)
{
	const struct image *img = &c->p[side].img;
	const struct decided *d = &x->side[side];
	struct slice host = {0};

	if (d->endpoint != ~0u && !x->w.literal)
		host = view_str(img, view_endpoint(img, d->endpoint)->host);
	if (host.n)
		safetext_print(host, stdout);
	else
		put_safe(x->w.host);
	printf(":%u", x->w.port);
}

static void put_callers(const struct diff_item *x)
{
	fputs(" for ", stdout);
	put_safe(*x->w.binary ? x->w.binary : "a program without a path");
	if (x->w.script)
		fputs(" running a script", stdout);
	if (x->w.ancestors)
		fputs(" with ancestors", stdout);
	if (x->w.tainted)
		fputs(", started with loader variables", stdout);
	for (size_t i = 0; x->also && x->also[i]; i++) {
		fputs(", ", stdout);
		put_safe(x->also[i]);
	}
	for (size_t k = 0; x->also && k <= x->nalso; k++)
		if (k < x->nalso && !x->also[k]) {
			printf(" and %zu more", x->nalso - k);
			break;
		}
}

/* What the side that refuses says. */
static void put_refusal(const struct compared *c, size_t side, const struct decided *d)
{
	if (d->outcome == OUT_DENY_RULE) {
		fputs("denied by rule ", stdout);
		put_safe(d->rule);
		fputs(" (", stdout);
		put_by(c, side, d);
		putchar(')');
	} else if (d->outcome == OUT_TARGET) {
		fputs("an encoded slash, which is refused there", stdout);
	} else {
		fputs("not permitted", stdout);
	}
}

static void print_permission(const struct compared *c, const struct diff_item *x)
{
	bool now = x->how == DIFF_ALLOWED;
	const struct decided *by = &x->side[now];

	printf(now ? "+ allowed now: " : "- denied now: ");
	if (unseen(by))
		fputs(x->w.inspected ? "requests" : "connections, not inspected,", stdout);
	else if (by->outcome == OUT_AUDIT)
		fputs("what audit mode lets through", stdout);
	else
		put_safe(by->rule);
	fputs(" on ", stdout);
	put_place(c, now, x);
	put_callers(x);
	fputs(now ? " (" : " (was allowed by ", stdout);
	put_by(c, now, by);
	fputs(now ? "); was: " : "); now: ", stdout);
	put_refusal(c, !now, &x->side[!now]);
	putchar('\n');
}

static const char *treatment(const struct decided *d)
{
	switch (d->outcome) {
	case OUT_NO_CONNECT:
		return "refused";
	case OUT_NATIVE:
		return "not inspected";
	case OUT_RELAYED:
		return "relayed after a look at the server name (tls: skip)";
	default:
		return "inspected";
	}
}

static void put_side(const struct compared *c, size_t side, const struct decided *d)
{
	if (d->line) {
		fputs(" (", stdout);
		put_by(c, side, d);
		putchar(')');
	}
}

static void print_change(const struct compared *c, const struct diff_item *x)
{
	bool after = x->side[1].endpoint != ~0u;

	fputs("~ changed: ", stdout);
	if (x->how == DIFF_MODE) {
		fputs("requests (", stdout);
		put_safe(x->side[x->side[0].outcome == OUT_AUDIT].rule);
		fputs(") on ", stdout);
	} else {
		fputs("connections to ", stdout);
	}
	put_place(c, after, x);
	put_callers(x);
	if (x->how == DIFF_MODE) {
		fputs(x->side[1].outcome == OUT_AUDIT
			      ? " pass only because of audit mode now, and are logged as violations"
			      : " are allowed by a rule now; passed only because of audit mode",
		      stdout);
		put_side(c, 0, &x->side[0]);
		fputs(" ->", stdout);
	} else if (x->how == DIFF_ADDRESS) {
		printf(": the name may %s resolve to ", x->admits[1] ? "now" : "no longer");
		put_safe(x->w.address);
		put_side(c, 0, &x->side[0]);
		fputs(" ->", stdout);
	} else {
		printf(" are %s now", treatment(&x->side[1]));
		put_side(c, 1, &x->side[1]);
		printf("; were %s", treatment(&x->side[0]));
		put_side(c, 0, &x->side[0]);
		putchar('\n');
		return;
	}
	put_side(c, 1, &x->side[1]);
	putchar('\n');
}

static void print_static(const struct diff_static *s)
{
	printf("~ static: %s: ", s->field);
	if (s->before && s->after) {
		put_safe(s->before);
		fputs(" -> ", stdout);
		put_safe(s->after);
	} else {
		fputs(s->after ? "now also " : "no longer ", stdout);
		put_safe(s->after ? s->after : s->before);
	}
	putchar('\n');
}

static void print_text(const struct compared *c)
{
	static const enum diff_how order[] = {DIFF_ALLOWED, DIFF_DENIED, DIFF_TREATMENT, DIFF_MODE,
					      DIFF_ADDRESS};

	for (size_t o = 0; o < ARRAY_LEN(order); o++) {
		for (size_t i = 0; i < c->d.n; i++) {
			const struct diff_item *x = &c->d.v[i];

			if (x->how != order[o])
				continue;
			if (x->how == DIFF_ALLOWED || x->how == DIFF_DENIED)
				print_permission(c, x);
			else
				print_change(c, x);
			witness_print("    for example: ", &x->w, stdout);
		}
	}
	for (size_t i = 0; i < c->nst; i++)
		print_static(&c->st[i]);
	if (c->d.more)
		printf("and more: at least %zu destination%s in the same ways\n", c->d.more,
		       c->d.more == 1 ? " differs" : "s differ");
	if (!c->d.n && !c->nst)
		puts("no difference");
}

/* --------------------------------------------------------------------------------- JSON -- */

static json_t *item_json(const struct compared *c, const struct diff_item *x)
{
	static const char *const change[] = {
		[DIFF_TREATMENT] = "treatment", [DIFF_MODE] = "mode", [DIFF_ADDRESS] = "address"};
	static const char *const key[] = {"before", "after"};
	json_t *o = json_object(), *also = json_array();

	if (x->how >= DIFF_TREATMENT)
		json_object_set_new(o, "change", json_string(change[x->how]));
	for (size_t i = 0; i < 2; i++) {
		json_t *side = decided_json(&c->p[i].img, &x->side[i]);

		if (x->how == DIFF_ADDRESS)
			json_object_set_new(side, "admits", json_boolean(x->admits[i]));
		json_object_set_new(o, key[i], side);
	}
	json_object_set_new(o, "witness", witness_json(&x->w));
	for (size_t i = 0; x->also && x->also[i]; i++)
		json_array_append_new(also, json_safe(x->also[i]));
	json_object_set_new(o, "also", also);
	return o;
}

static void print_json(const struct compared *c)
{
	static const char *const names[] = {
		[DIFF_ALLOWED] = "allowed",	[DIFF_DENIED] = "denied",
		[DIFF_TREATMENT] = "changed", [DIFF_MODE] = "changed", [DIFF_ADDRESS] = "changed"};
	json_t *o = json_object(), *st = json_array();

	json_object_set_new(o, "same", json_boolean(!c->d.n && !c->nst));
	json_object_set_new(o, "allowed", json_array());
	json_object_set_new(o, "denied", json_array());
	json_object_set_new(o, "changed", json_array());
	for (size_t i = 0; i < c->d.n; i++)
		json_array_append_new(json_object_get(o, names[c->d.v[i].how]),
				      item_json(c, &c->d.v[i]));
	for (size_t i = 0; i < c->nst; i++) {
		json_t *x = json_object();

		json_object_set_new(x, "field", json_string(c->st[i].field));
		json_object_set_new(x, "before", json_safe(c->st[i].before));
		json_object_set_new(x, "after", json_safe(c->st[i].after));
		json_array_append_new(st, x);
	}
	json_object_set_new(o, "static", st);
	json_object_set_new(o, "more", json_integer((json_int_t)c->d.more));
	json_dumpf(o, stdout, JSON_INDENT(2));
	fputc('\n', stdout);
	json_decref(o);
}

/* ------------------------------------------------------------------------------ command -- */

static int compare(struct compared *c, bool json)
{
	int r;

	for (size_t i = 0; i < 2; i++) {
		if (policy_image_load(c->file[i], true, &c->p[i]) < 0)
			return EXIT_TROUBLE;
		if (strcmp(c->file[i], "-") == 0)
			c->file[i] = "<stdin>";
	}
	r = policy_diff(&c->p[0].img, &c->p[1].img, &c->d);
	if (r == 0)
		r = policy_diff_static(policy_static(c->p[0].policy), policy_static(c->p[1].policy),
				       &c->st, &c->nst);
	if (r < 0) {
		fprintf(stderr, "osh-enforce policy diff: %s\n",
			r == -E2BIG ? "too complex for an exact answer: the policies may or may not differ"
				    : strerror(-r));
		return EXIT_TROUBLE;
	}
	if (json)
		print_json(c);
	else
		print_text(c);
	if (fflush(stdout) != 0)
		return EXIT_TROUBLE;
	return c->d.n || c->nst ? EXIT_DIFFERS : EXIT_SAME;
}

enum { OPT_FORMAT = 256 };

int policy_cmd_diff(int argc, char **argv)
{
	static const struct option options[] = {{"format", required_argument, NULL, OPT_FORMAT},
						{"help", no_argument, NULL, 'h'},
						{0}};
	_cleanup_(compared_done) struct compared c = {0};
	int o, format = 0;

	while ((o = usage_getopt(argc, argv, "h", options)) != -1) {
		switch (o) {
		case OPT_FORMAT:
			format = usage_choice(argv[0], "format", optarg, "text", "json");
			if (format < 0)
				return USAGE_EXIT;
			break;
		case 'h':
			usage_print(argv[0], stdout);
			return 0;
		default:
			return USAGE_EXIT;
		}
	}
	if (optind + 2 != argc)
		return usage_error(argv[0], "takes two files, the old policy and the new one");
	c.file[0] = argv[optind];
	c.file[1] = argv[optind + 1];
	if (strcmp(c.file[0], "-") == 0 && strcmp(c.file[1], "-") == 0)
		return usage_error(argv[0], "one file at most can be standard input");
	return compare(&c, format == 1);
}
