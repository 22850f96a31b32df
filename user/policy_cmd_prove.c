/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_cmd_prove.c - `osh-enforce policy prove FILE --never EXPR`: no request like this can be
 * allowed, or here is one.  What could not be decided exactly is never called proven.
 */
#include "policy/prove.h"

#include "user/policy_cmd.h"
#include "user/policy_image.h"
#include "user/safetext.h"
#include "user/usage.h"
#include "user/witness_json.h"

struct question {
	const char *text;
	struct prove_expr *e;
	int answer; /* of prove_never() */
	struct witness w;
	struct decided by; /* what allows the witness */
};

struct questions {
	struct question *v;
	size_t n;
};

static void questions_done(struct questions *q)
{
	for (size_t i = 0; i < q->n; i++) {
		prove_expr_free(q->v[i].e);
		witness_done(&q->v[i].w);
	}
	free(q->v);
}

static int add(const char *cmd, struct questions *q, const char *text)
{
	char why[512];
	int r = prove_parse(slice_str(text), &q->v[q->n].e, why, sizeof(why));

	q->v[q->n].text = text;
	if (r == -EINVAL) {
		_cleanup_free_ char *safe = safetext_dup(slice_str(why));

		return usage_error(cmd, "--never: %s", safe ? safe : "bad expression");
	}
	if (r < 0) {
		fprintf(stderr, "osh-enforce %s: %s\n", cmd, strerror(-r));
		return 1;
	}
	q->n++;
	return 0;
}

static const char *no_answer(int r)
{
	return r == -E2BIG ? "too complex for an exact answer (narrow the expression: a binary, "
			     "ancestor=none, a host)"
			   : strerror(-r);
}

static void print_text(const struct policy_image *p, const char *file, const struct question *q)
{
	_cleanup_free_ char *meaning = prove_expr_words(q->e);
	_cleanup_free_ char *by = NULL;

	fputs(q->answer == 0 ? "proven never: " : q->answer > 0 ? "allowed: " : "no answer: ", stdout);
	safetext_print(slice_str(q->text), stdout);
	fputs("\n  for ", stdout);
	safetext_print(slice_str(meaning ? meaning : "?"), stdout);
	fputc('\n', stdout);
	if (q->answer < 0)
		printf("  %s\n", no_answer(q->answer));
	if (q->answer <= 0)
		return;
	witness_print("  for example: ", &q->w, stdout);
	by = decided_words(&p->img, file, &q->by);
	printf("  %s %s\n", q->by.outcome == OUT_AUDIT ? "let through in audit mode, by" : "allowed by",
	       by ? by : "?");
	if (q->by.outcome == OUT_NATIVE || q->by.outcome == OUT_RELAYED)
		puts("  the connection is not inspected: it may carry every method, path and query");
}

static json_t *question_json(const struct policy_image *p, const struct question *q)
{
	_cleanup_free_ char *meaning = prove_expr_words(q->e);
	json_t *o = json_object();

	json_object_set_new(o, "never", json_safe(q->text));
	json_object_set_new(o, "meaning", json_safe(meaning));
	json_object_set_new(o, "result",
			    json_string(q->answer == 0	? "proven"
					: q->answer > 0 ? "allowed"
							: "no_answer"));
	if (q->answer < 0)
		json_object_set_new(o, "error", json_string(no_answer(q->answer)));
	if (q->answer > 0) {
		json_object_set_new(o, "witness", witness_json(&q->w));
		json_object_set_new(o, "by", decided_json(&p->img, &q->by));
	}
	return o;
}

static void print_json(const struct policy_image *p, const char *file, const struct questions *q)
{
	json_t *o = json_object(), *a = json_array();
	bool all = true;

	for (size_t i = 0; i < q->n; i++) {
		json_array_append_new(a, question_json(p, &q->v[i]));
		all &= q->v[i].answer == 0;
	}
	json_object_set_new(o, "file", json_safe(file));
	json_object_set_new(o, "proven", json_boolean(all));
	json_object_set_new(o, "answers", a);
	json_dumpf(o, stdout, JSON_INDENT(2));
	fputc('\n', stdout);
	json_decref(o);
}

/* Processes are known by the paths that links lead to: a question about a link proves nothing. */
static void note_links(const struct question *q)
{
	struct slice binary = prove_expr_binary(q->e);
	_cleanup_free_ char *path = binary.n ? strndup((const char *)binary.p, binary.n) : NULL;
	_cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;

	if (!real || strcmp(path, real) == 0)
		return;
	fputs("note: on this host ", stderr);
	safetext_print(slice_str(path), stderr);
	fputs(" is ", stderr);
	safetext_print(slice_str(real), stderr);
	fputs(", and its processes are known by that path: ask about it\n", stderr);
}

static int prove(const char *file, struct questions *q, bool json)
{
	struct policy_image p = {0};
	const char *name = strcmp(file, "-") == 0 ? "<stdin>" : file;
	int status = 0;

	if (policy_image_load(file, true, &p) < 0)
		return 1;
	for (size_t i = 0; i < q->n; i++) {
		struct question *x = &q->v[i];

		note_links(x);
		x->answer = prove_never(&p.img, x->e, &x->w);
		if (x->answer > 0 && witness_decide(&p.img, &x->w, &x->by) < 0)
			x->answer = -EINVAL;
		status |= x->answer != 0;
		if (!json)
			print_text(&p, name, x);
	}
	if (json)
		print_json(&p, name, q);
	policy_image_done(&p);
	return fflush(stdout) == 0 ? status : 1;
}

enum { OPT_NEVER = 256, OPT_FORMAT };

int policy_cmd_prove(int argc, char **argv)
{
	static const struct option options[] = {{"never", required_argument, NULL, OPT_NEVER},
						{"format", required_argument, NULL, OPT_FORMAT},
						{"help", no_argument, NULL, 'h'},
						{0}};
	_cleanup_(questions_done) struct questions q = {0};
	int c, r, format = 0;

	q.v = calloc((size_t)argc + 1, sizeof(*q.v));
	if (!q.v)
		return 1;
	while ((c = usage_getopt(argc, argv, "h", options)) != -1) {
		switch (c) {
		case OPT_NEVER:
			r = add(argv[0], &q, optarg);
			if (r)
				return r;
			break;
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
	if (optind + 1 != argc)
		return usage_error(argv[0], "takes one file ('-' for standard input)");
	if (q.n == 0)
		return usage_error(argv[0], "needs --never 'EXPR', such as --never 'host=**.evil.test'");
	return prove(argv[optind], &q, format == 1);
}
