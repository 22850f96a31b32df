/* SPDX-License-Identifier: Apache-2.0 */
/* policy_cmd_check.c - `osh-enforce policy check FILE...`: everything that is wrong with a policy, or
 * reads like a slip, without running anything. */
#include "policy/diag.h"
#include "policy/lint.h"
#include "user/policy_cmd.h"
#include "user/policy_file.h"
#include "user/policy_image.h"
#include "user/safetext.h"
#include "user/usage.h"

#include <jansson.h>

#define NATIVE_NOTE                                                                                \
	"the bytes of %zu endpoint%s are not looked at; where many sites share one address, a "    \
	"program can name another of them there ('tls: skip' or 'protocol: rest' pins the name)"

/* What is known of one file. */
struct report {
	char *name; /* as safe text */
	struct policy_diags diags;
	bool read; /* the counts below hold */
	size_t blocks, endpoints, native;
};

static bool good(const struct report *r, bool strict)
{
	return r->diags.errors == 0 && !(strict && r->diags.warnings);
}

/* ------------------------------------------------------------------------------ looking -- */

static int check_policy(const struct policy *p, struct report *ret)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct image img;
	size_t n = 0;
	int r = policy_compile(p, &ret->diags, &bytes, &n);

	if (r == 0)
		r = image_open(&img, bytes, n);
	if (r == 0)
		r = policy_lint(p, &img, &ret->diags);
	if (r == 0)
		r = policy_lint_links(p, &ret->diags);
	if (r < 0)
		return r;
	diags_finish(&ret->diags);
	policy_counts(p, &ret->blocks, &ret->endpoints);
	ret->native = policy_count_native(p);
	ret->read = true;
	return 0;
}

/* Whatever fails is in the diagnostics then. */
static void check(const char *path, struct report *ret)
{
	_cleanup_(policy_freep) struct policy *p = NULL;
	int r;

	*ret = (struct report){
		.name = safetext_dup(slice_str(strcmp(path, "-") == 0 ? "<stdin>" : path))};
	r = ret->name ? policy_load_file(path, &ret->diags, &p, NULL, NULL) : -ENOMEM;
	if (r == 0)
		r = check_policy(p, ret);
	if (r < 0 && ret->diags.errors == 0)
		diag_add(&ret->diags, POLICY_ERROR, 0, 0, "%s", strerror(-r));
}

/* -------------------------------------------------------------------------------- saying -- */

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void say_text(const struct report *r, bool strict)
{
	size_t w = r->diags.warnings;

	policy_diags_print(&r->diags, r->name, stderr);
	if (!r->read)
		return;
	if (!good(r, strict)) {
		fprintf(stderr, "%s: %zu warning%s, with --strict as good as errors\n", r->name, w,
			plural(w));
		return;
	}
	printf("%s: ok, %zu block%s, %zu endpoint%s", r->name, r->blocks, plural(r->blocks),
	       r->endpoints, plural(r->endpoints));
	if (w)
		printf(", %zu warning%s", w, plural(w));
	printf("\n");
	if (r->native)
		printf("%s: note: " NATIVE_NOTE "\n", r->name, r->native, plural(r->native));
}

static json_t *json_of_diag(const struct policy_diag *d)
{
	static const char *const words[] = {
		[POLICY_ERROR] = "error", [POLICY_WARNING] = "warning", [POLICY_NOTE] = "note"};

	return json_pack("{s:s, s:i, s:i, s:s}", "severity", words[d->severity], "line", d->line,
			 "column", d->col, "message", d->message);
}

static json_t *json_of_notes(const struct report *r)
{
	json_t *notes = json_array();

	if (r->native)
		json_array_append_new(notes,
				      json_sprintf(NATIVE_NOTE, r->native, plural(r->native)));
	return notes;
}

static json_t *json_of(const struct report *r, bool strict)
{
	json_t *o = json_object(), *list = json_array();

	for (size_t i = 0; i < r->diags.n; i++)
		json_array_append_new(list, json_of_diag(&r->diags.v[i]));
	json_object_set_new(o, "file", json_string(r->name));
	json_object_set_new(o, "ok", json_boolean(good(r, strict)));
	json_object_set_new(o, "errors", json_integer((json_int_t)r->diags.errors));
	json_object_set_new(o, "warnings", json_integer((json_int_t)r->diags.warnings));
	json_object_set_new(o, "diagnostics", list);
	json_object_set_new(o, "notes", json_of_notes(r));
	json_object_set_new(o, "blocks",
			    r->read ? json_integer((json_int_t)r->blocks) : json_null());
	json_object_set_new(o, "endpoints",
			    r->read ? json_integer((json_int_t)r->endpoints) : json_null());
	return o;
}

static int print_json(json_t *v)
{
	int r = json_dumpf(v, stdout, JSON_INDENT(2));

	json_decref(v);
	return r == 0 && putchar('\n') != EOF ? 0 : 1;
}

/* One file: its object; several: an array of them. */
static int check_all(char *const *files, int n, bool json, bool strict)
{
	json_t *all = json ? json_array() : NULL;
	int status = 0;

	for (int i = 0; i < n; i++) {
		struct report r;

		check(files[i], &r);
		status |= !good(&r, strict);
		if (json)
			json_array_append_new(all, json_of(&r, strict));
		else
			say_text(&r, strict);
		policy_diags_done(&r.diags);
		free(r.name);
	}
	if (json && n == 1) {
		json_t *one = json_incref(json_array_get(all, 0));

		json_decref(all);
		all = one;
	}
	if (json)
		status |= print_json(all);
	return fflush(stdout) == 0 ? status : 1;
}

int policy_cmd_check(int argc, char **argv)
{
	static const struct option options[] = {{"format", required_argument, NULL, 'f'},
						{"strict", no_argument, NULL, 's'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	bool strict = false;
	int c, json = 0;

	while ((c = usage_getopt(argc, argv, "h", options)) != -1) {
		if (c == 'h') {
			usage_print(argv[0], stdout);
			return 0;
		}
		if (c == 's')
			strict = true;
		else if (c == 'f')
			json = usage_choice(argv[0], "format", optarg, "text", "json");
		else
			return USAGE_EXIT;
		if (json < 0)
			return USAGE_EXIT;
	}
	if (optind == argc)
		return usage_error(argv[0], "needs a file ('-' for standard input)");
	return check_all(argv + optind, argc - optind, json == 1, strict);
}
