/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_cmd_test.c - `osh-enforce policy test FILE CASES...`: does a policy decide as its cases expect?
 *
 * Symbolic links are not followed and no host is asked anything: the result is the same everywhere.
 */
#include "policy/cases.h"
#include "user/blob.h"
#include "user/explain_print.h"
#include "user/policy_cmd.h"
#include "user/policy_file.h"
#include "user/policy_image.h"
#include "user/safetext.h"
#include "user/usage.h"
#include "user/witness_json.h"

#define EXPLAINED_MAX 100 /* failures that are told with what came nearest; the rest with the decision alone */

struct options {
	const char *policy;
	bool json, verbose;
};

struct run {
	const struct options *o;
	struct policy_image pi;
	size_t passed, failed;
	json_t *list; /* --format json */
};

static const char *shown(const char *path)
{
	return strcmp(path, "-") == 0 ? "<stdin>" : path;
}

/* ------------------------------------------------------------------------------- reading -- */

static int load_cases(const char *path, struct policy_cases *ret)
{
	_cleanup_(policy_diags_done) struct policy_diags diags = {0};
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r = strcmp(path, "-") == 0 ? read_whole_fd(STDIN_FILENO, POLICY_TEXT_MAX, &text, &n)
				       : read_whole_file(path, POLICY_TEXT_MAX, &text, &n);

	if (r == 0)
		r = policy_cases_parse((struct slice){(const uint8_t *)text, n}, &diags, ret);
	policy_file_diags_print(&diags, shown(path), stderr);
	if (r < 0 && diags.errors == 0) {
		safetext_print(slice_str(shown(path)), stderr);
		fprintf(stderr, ": %s\n", strerror(-r));
	}
	return r;
}

/* -------------------------------------------------------------------------------- telling -- */

/* "ok: FILE:LINE: NAME", a `never` without a name by its expression; no newline. */
static void tell(const char *verdict, const char *file, const struct policy_case *c)
{
	printf("%s: ", verdict);
	safetext_print(slice_str(shown(file)), stdout);
	printf(":%d: ", c->line);
	safetext_print(c->name, stdout);
	if (!c->never.n)
		return;
	fputs(c->name.n ? ": never " : "never ", stdout);
	safetext_print(c->never, stdout);
}

static void tell_ok(const char *file, const struct policy_case *c)
{
	tell("ok", file, c);
	fputc('\n', stdout);
}

static void tell_failed(const struct run *t, const char *file, const struct policy_case *c, const struct explanation *x)
{
	tell("not ok", file, c);
	printf(": expected %s", explain_decision_string(c->expect));
	if (c->block.n) {
		fputs(" by policy ", stdout);
		safetext_print(c->block, stdout);
	}
	fputs(", but\n", stdout);
	explain_print(x, &c->ask, shown(t->o->policy), "  ", stdout);
}

static json_t *case_json(const char *file, const struct policy_case *c, bool ok)
{
	json_t *o = json_object();

	json_object_set_new(o, "file", json_safe(shown(file)));
	json_object_set_new(o, "line", json_integer(c->line));
	json_object_set_new(o, "name", c->name.n ? explain_json_text(c->name) : json_null());
	json_object_set_new(o, "ok", json_boolean(ok));
	return o;
}

static void question_json(const struct run *t, const char *file, const struct policy_case *c, bool ok,
			  const struct explanation *x)
{
	json_t *o = case_json(file, c, ok);

	json_object_set_new(o, "expect", json_string(explain_decision_string(c->expect)));
	json_object_set_new(o, "policy", c->block.n ? explain_json_text(c->block) : json_null());
	json_object_set_new(o, "got", explain_json(x));
	json_array_append_new(t->list, o);
}

/* ---------------------------------------------------------------------------- what must never be -- */

struct proof {
	int answer; /* of prove_never() */
	struct witness w;
	struct decided by;
};

static const char *no_answer(int r)
{
	return r == -E2BIG ? "too complex for an exact answer (narrow the expression)" : strerror(-r);
}

static void tell_refuted(const struct run *t, const char *file, const struct policy_case *c, const struct proof *p)
{
	_cleanup_free_ char *meaning = prove_expr_words(c->expr), *by = NULL;

	tell("not ok", file, c);
	fputs(p->answer > 0 ? ", but\n" : ": not proven\n", stdout);
	fputs("  for ", stdout);
	safetext_print(slice_str(meaning ? meaning : "?"), stdout);
	fputc('\n', stdout);
	if (p->answer < 0) {
		printf("  %s\n", no_answer(p->answer));
		return;
	}
	witness_print("  for example: ", &p->w, stdout);
	by = decided_words(&t->pi.img, shown(t->o->policy), &p->by);
	printf("  %s %s\n", p->by.outcome == OUT_AUDIT ? "let through in audit mode, by" : "allowed by", by ? by : "?");
}

static void proof_json(const struct run *t, const char *file, const struct policy_case *c, const struct proof *p)
{
	json_t *o = case_json(file, c, p->answer == 0);

	json_object_set_new(o, "never", explain_json_text(c->never));
	json_object_set_new(o, "error", p->answer < 0 ? json_string(no_answer(p->answer)) : json_null());
	json_object_set_new(o, "witness", p->answer > 0 ? witness_json(&p->w) : json_null());
	json_object_set_new(o, "by", p->answer > 0 ? decided_json(&t->pi.img, &p->by) : json_null());
	json_array_append_new(t->list, o);
}

/* What is not proven has failed, whatever the cause. */
static int run_never(struct run *t, const char *file, const struct policy_case *c)
{
	struct proof p = {0};

	p.answer = prove_never(&t->pi.img, c->expr, &p.w);
	if (p.answer > 0 && witness_decide(&t->pi.img, &p.w, &p.by) < 0)
		p.answer = -EINVAL;
	t->passed += p.answer == 0;
	t->failed += p.answer != 0;
	if (t->o->json)
		proof_json(t, file, c, &p);
	else if (p.answer != 0)
		tell_refuted(t, file, c, &p);
	else if (t->o->verbose)
		tell_ok(file, c);
	witness_done(&p.w);
	return p.answer == -ENOMEM ? -ENOMEM : 0;
}

/* -------------------------------------------------------------------------------- running -- */

static int explain_case(const struct run *t, const struct policy_case *c, bool words, struct explanation *ret)
{
	explanation_done(ret);
	return explain(t->pi.policy, &t->pi.img, &c->ask, words, ret);
}

static int run_question(struct run *t, const char *file, const struct policy_case *c)
{
	_cleanup_(explanation_done) struct explanation x = {0};
	int r = explain_case(t, c, false, &x);
	bool ok = r == 0 && policy_case_holds(c, &x);

	if (r < 0)
		return r;
	if (ok)
		t->passed++;
	else if (t->failed++ < EXPLAINED_MAX)
		r = explain_case(t, c, true, &x);
	if (r == 0 && t->o->json)
		question_json(t, file, c, ok, &x);
	else if (r == 0 && !ok)
		tell_failed(t, file, c, &x);
	else if (r == 0 && t->o->verbose)
		tell_ok(file, c);
	return r;
}

static int run_file(struct run *t, const char *file, const struct policy_cases *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = (c->v[i].never.n ? run_never : run_question)(t, file, &c->v[i]);
	return r;
}

static int end(struct run *t)
{
	if (t->o->json) {
		json_t *o = json_pack("{s:s, s:I, s:I, s:O}", "policy", "", "passed", (json_int_t)t->passed, "failed",
				      (json_int_t)t->failed, "cases", t->list);

		json_object_set_new(o, "policy", explain_json_text(slice_str(shown(t->o->policy))));
		if (!o || json_dumpf(o, stdout, JSON_INDENT(2)) < 0)
			fprintf(stderr, "osh-enforce policy test: cannot write the result\n");
		fputc('\n', stdout);
		json_decref(o);
	} else {
		printf("%zu passed, %zu failed\n", t->passed, t->failed);
	}
	if (fflush(stdout) != 0)
		return USAGE_EXIT;
	return t->failed ? 1 : 0;
}

static int run_all(const struct options *o, char *const *files, const struct policy_cases *cases, size_t n)
{
	struct run t = {.o = o, .list = o->json ? json_array() : NULL};
	int r = policy_image_load(o->policy, false, &t.pi), status = USAGE_EXIT;

	if (r < 0)
		goto out;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = run_file(&t, files[i], &cases[i]);
	if (r < 0)
		fprintf(stderr, "osh-enforce policy test: %s\n", strerror(-r));
	else
		status = end(&t);
	policy_image_done(&t.pi);
out:
	json_decref(t.list);
	return status;
}

/* All files of cases are read first, so that one run shows everything that is wrong with any of them. */
static int load_and_run(const struct options *o, char *const *files, size_t n)
{
	_cleanup_free_ struct policy_cases *cases = calloc(n, sizeof(*cases));
	bool bad = !cases;
	int status;

	for (size_t i = 0; cases && i < n; i++)
		bad |= load_cases(files[i], &cases[i]) < 0;
	status = bad ? USAGE_EXIT : run_all(o, files, cases, n);
	for (size_t i = 0; cases && i < n; i++)
		policy_cases_done(&cases[i]);
	return status;
}

int policy_cmd_test(int argc, char **argv)
{
	static const struct option options[] = {{"format", required_argument, NULL, 'f'},
						{"verbose", no_argument, NULL, 'v'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct options o = {0};
	size_t inputs = 0;
	int c, r;

	while ((c = usage_getopt(argc, argv, "vh", options)) != -1) {
		if (c == 'v') {
			o.verbose = true;
			continue;
		}
		if (c != 'f')
			return USAGE_EXIT;
		r = usage_choice(argv[0], "format", optarg, "text", "json");
		if (r < 0)
			return USAGE_EXIT;
		o.json = r == 1;
	}
	if (argc - optind < 2)
		return usage_error(argv[0], "takes a policy and at least one file of cases");
	for (int i = optind; i < argc; i++)
		inputs += strcmp(argv[i], "-") == 0;
	if (inputs > 1)
		return usage_error(argv[0], "standard input ('-') can be read once only");
	o.policy = argv[optind++];
	return load_and_run(&o, argv + optind, (size_t)(argc - optind));
}
