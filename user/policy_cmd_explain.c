/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_cmd_explain.c - `osh-enforce policy explain FILE ...`: what the policy decides about one connection or
 * request, by which lines, and what would have come nearest.
 *
 * Symbolic links count as they do for `run` on this host: those of the policy's binaries are followed, and a binary
 * that is one is judged by the file that the process would be.
 */
#include "user/explain_print.h"
#include "user/policy_cmd.h"
#include "user/policy_image.h"
#include "user/safetext.h"
#include "user/strv.h"
#include "user/usage.h"

#include "policy/host.h"

#include <sys/stat.h>

struct options {
	const char *name; /* of the command */
	const char *file, *binary, *script, *host, *method, *path;
	uint16_t port;
	char *const *ancestors, *const *query; /* NULL-terminated */
	bool tainted, json;
};

/* ---------------------------------------------------------------------------- who asks -- */

/* The file that a process started from path would be, malloced; NULL: path itself. */
static char *real_file(const char *path)
{
	_cleanup_free_ char *real = realpath(path, NULL);
	struct stat st;

	if (!real || strcmp(real, path) == 0 || stat(real, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	return steal_ptr(&real);
}

/* Fills v with the paths as the kernel would report them; *links lists those that differ, "A -> B". */
static int real_files(char *const *paths, char ***v, char ***links)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < strv_len(paths); i++) {
		_cleanup_free_ char *real = real_file(paths[i]);
		char *link = NULL;

		if (real && asprintf(&link, "%s is %s here: a process started from it has that path", paths[i], real) < 0)
			return -ENOMEM;
		r = real ? strv_take(links, link) : 0;
		if (r == 0)
			r = strv_add(v, real ? real : paths[i]);
	}
	return r;
}

static struct query_pair *pairs_of(char *const *query)
{
	struct query_pair *v = calloc(strv_len(query) + 1, sizeof(*v));

	for (size_t i = 0; v && i < strv_len(query); i++) {
		const char *eq = strchr(query[i], '=');

		v[i].name = (struct slice){(const uint8_t *)query[i], (size_t)(eq - query[i])};
		v[i].value = slice_str(eq + 1);
	}
	return v;
}

/* ------------------------------------------------------------------------------- output -- */

static void print_text(const struct options *o, const struct explanation *x, const struct explain_ask *ask,
		       char *const *links)
{
	explain_print(x, ask, strcmp(o->file, "-") == 0 ? "<stdin>" : o->file, "", stdout);
	for (size_t i = 0; i < strv_len(links); i++) {
		fputs("  note: ", stdout);
		safetext_print(slice_str(links[i]), stdout);
		fputc('\n', stdout);
	}
}

static json_t *ask_json(const struct explain_ask *ask)
{
	json_t *o = json_object(), *anc = json_array();

	json_object_set_new(o, "binary", explain_json_text(ask->id.exe));
	json_object_set_new(o, "script", ask->id.script.n ? explain_json_text(ask->id.script) : json_null());
	for (size_t i = 0; i < ask->id.nanc; i++)
		json_array_append_new(anc, explain_json_text(ask->id.anc[i]));
	json_object_set_new(o, "ancestors", anc);
	json_object_set_new(o, "tainted", json_boolean(ask->id.tainted));
	json_object_set_new(o, "host", explain_json_text(ask->host));
	json_object_set_new(o, "port", json_integer(ask->port));
	json_object_set_new(o, "method", ask->method.n ? explain_json_text(ask->method) : json_null());
	json_object_set_new(o, "target", ask->method.n ? explain_json_text(ask->target) : json_null());
	return o;
}

static int print_json(const struct explanation *x, const struct explain_ask *ask, char *const *links)
{
	json_t *o = explain_json(x), *notes = json_array();
	int r;

	json_object_set_new(o, "asked", ask_json(ask));
	for (size_t i = 0; i < strv_len(links); i++)
		json_array_append_new(notes, explain_json_text(slice_str(links[i])));
	json_object_set_new(o, "links", notes);
	r = json_dumpf(o, stdout, JSON_INDENT(2));
	fputc('\n', stdout);
	json_decref(o);
	return r < 0 ? -EIO : 0;
}

static int trouble(const struct options *o, int r)
{
	fprintf(stderr, "osh-enforce %s: %s\n", o->name, strerror(-r));
	return USAGE_EXIT;
}

static int run_ask(const struct options *o, const struct policy_image *pi, const struct explain_ask *ask,
		   char *const *links)
{
	_cleanup_(explanation_done) struct explanation x = {0};
	int r = explain(pi->policy, &pi->img, ask, true, &x);

	if (r == 0 && o->json)
		r = print_json(&x, ask, links);
	else if (r == 0)
		print_text(o, &x, ask, links);
	if (r == 0 && fflush(stdout) != 0)
		r = -errno;
	if (r < 0)
		return trouble(o, r);
	return x.decision == EXPLAIN_DENY ? 1 : 0;
}

static int run(const struct options *o)
{
	_cleanup_(policy_image_done) struct policy_image pi = {0};
	_cleanup_free_ struct query_pair *pairs = pairs_of(o->query);
	_cleanup_strv_ char **exe = NULL, **anc = NULL, **links = NULL;
	char *const binary[] = {(char *)o->binary, NULL};
	struct slice ancestors[OSH_ANCESTORS_MAX];
	struct explain_ask ask = {
		.id = {.script = slice_str(o->script), .anc = ancestors, .nanc = strv_len(o->ancestors), .tainted = o->tainted},
		.host = slice_str(o->host),
		.port = o->port,
		.method = slice_str(o->method),
		.target = slice_str(o->path),
		.query = pairs,
		.nquery = strv_len(o->query),
	};
	int r = pairs ? real_files(binary, &exe, &links) : -ENOMEM;

	if (r == 0)
		r = real_files(o->ancestors, &anc, &links);
	if (r < 0)
		return trouble(o, r);
	ask.id.exe = slice_str(exe[0]);
	for (size_t i = 0; i < ask.id.nanc; i++)
		ancestors[i] = slice_str(anc[i]);
	if (policy_image_load(o->file, true, &pi) < 0)
		return USAGE_EXIT;
	return run_ask(o, &pi, &ask, links);
}

/* ------------------------------------------------------------------------------ options -- */

static bool is_host(const char *s)
{
	char low[HOST_MAX + 1];
	struct dest d;

	dest_from_text(&d, slice_str(s), 1);
	return !d.host.n ? d.family != 0 : host_lower(d.host, low) != 0;
}

static bool is_method(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if (s[n] <= ' ' || s[n] >= 0x7f)
			return false;
	return n > 0;
}

static bool read_port(const char *s, uint16_t *ret)
{
	char *end;
	unsigned long v = *s >= '0' && *s <= '9' ? strtoul(s, &end, 10) : 0;

	if (!v || *end || v > 65535)
		return false;
	*ret = (uint16_t)v;
	return true;
}

static int check_path(const char *name, const char *option, const char *path)
{
	if (path[0] != '/')
		return usage_error(name, "--%s: '%s' is not an absolute path", option, path);
	if (strlen(path) >= OSH_PATH_MAX)
		return usage_error(name, "--%s: longer than %d bytes, which no identity is", option, OSH_PATH_MAX - 1);
	return 0;
}

static int check_options(const struct options *o, const char *port)
{
	const char *missing = !o->binary ? "binary" : !o->host ? "host" : !port ? "port" : NULL;
	int r = 0;

	if (missing)
		return usage_error(o->name, "needs --%s", missing);
	if (!o->method != !o->path)
		return usage_error(o->name, "--method and --path go together");
	if (strv_len(o->query) && !o->path)
		return usage_error(o->name, "--query goes with --method and --path");
	if (!o->port)
		return usage_error(o->name, "--port: '%s' is not a number from 1 to 65535", port);
	if (!is_host(o->host))
		return usage_error(o->name, "--host: '%s' is neither a host name nor an address", o->host);
	if (o->method && !is_method(o->method))
		return usage_error(o->name, "--method: '%s' is no method", o->method);
	if (strv_len(o->ancestors) > OSH_ANCESTORS_MAX)
		return usage_error(o->name, "more than %d ancestors, which is as many as a process has", OSH_ANCESTORS_MAX);
	for (size_t i = 0; i < strv_len(o->query); i++)
		if (!strchr(o->query[i], '='))
			return usage_error(o->name, "--query: '%s' is not K=V", o->query[i]);
	r = check_path(o->name, "binary", o->binary);
	if (r == 0 && o->script)
		r = check_path(o->name, "script", o->script);
	for (size_t i = 0; r == 0 && i < strv_len(o->ancestors); i++)
		r = check_path(o->name, "ancestor", o->ancestors[i]);
	return r;
}

enum { O_BINARY = 256, O_SCRIPT, O_ANCESTOR, O_HOST, O_PORT, O_METHOD, O_PATH_, O_QUERY, O_TAINTED, O_FORMAT };

struct lists {
	char **ancestors, **query;
	const char *port;
};

/* One option.  0, or what the command returns. */
static int take(struct options *o, struct lists *l, int c)
{
	int r = 0;

	switch (c) {
	case O_BINARY:
		o->binary = optarg;
		break;
	case O_SCRIPT:
		o->script = optarg;
		break;
	case O_ANCESTOR:
		r = strv_add(&l->ancestors, optarg);
		break;
	case O_HOST:
		o->host = optarg;
		break;
	case O_PORT:
		l->port = optarg;
		break;
	case O_METHOD:
		o->method = optarg;
		break;
	case O_PATH_:
		o->path = optarg;
		break;
	case O_QUERY:
		r = strv_add(&l->query, optarg);
		break;
	case O_TAINTED:
		o->tainted = true;
		break;
	case O_FORMAT:
		r = usage_choice(o->name, "format", optarg, "text", "json");
		o->json = r == 1;
		return r < 0 ? USAGE_EXIT : 0;
	default:
		return USAGE_EXIT;
	}
	return r < 0 ? trouble(o, r) : 0;
}

static int read_options(int argc, char **argv, struct options *o, struct lists *l)
{
	static const struct option options[] = {
		{"binary", required_argument, NULL, O_BINARY},	   {"script", required_argument, NULL, O_SCRIPT},
		{"ancestor", required_argument, NULL, O_ANCESTOR}, {"host", required_argument, NULL, O_HOST},
		{"port", required_argument, NULL, O_PORT},	   {"method", required_argument, NULL, O_METHOD},
		{"path", required_argument, NULL, O_PATH_},	   {"query", required_argument, NULL, O_QUERY},
		{"tainted", no_argument, NULL, O_TAINTED},	   {"format", required_argument, NULL, O_FORMAT},
		{"help", no_argument, NULL, 'h'},		   {0},
	};
	int c, r;

	while ((c = usage_getopt(argc, argv, "h", options)) != -1) {
		r = take(o, l, c);
		if (r)
			return r;
	}
	if (optind + 1 != argc)
		return usage_error(o->name, "takes one file ('-' for standard input)");
	o->file = argv[optind];
	o->ancestors = l->ancestors;
	o->query = l->query;
	if (l->port && !read_port(l->port, &o->port))
		o->port = 0;
	return check_options(o, l->port);
}

int policy_cmd_explain(int argc, char **argv)
{
	struct options o = {.name = argv[0]};
	struct lists l = {0};
	int r = read_options(argc, argv, &o, &l);

	if (r == 0)
		r = run(&o);
	strv_free(l.ancestors);
	strv_free(l.query);
	return r;
}
