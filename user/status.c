/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - a sandbox's status as text; no sockets here (status_fetch() is in cmd_status.c).
 */
#include "user/status.h"

#include "user/safetext.h"

#include <inttypes.h>
#include <time.h>

const char *status_string(const json_t *status, const char *key, const char *missing)
{
	const char *s = json_string_value(json_object_get(status, key));

	return s ? s : missing;
}

bool status_number(const json_t *status, const char *key, int64_t *ret)
{
	const json_t *v = json_object_get(status, key);

	if (!json_is_integer(v))
		return false;
	*ret = json_integer_value(v);
	return true;
}

json_t *status_normalise(const char *name, json_t *reply, const char *state)
{
	json_t *o = json_is_object(reply) ? json_incref(reply) : json_object();

	if (!o)
		return NULL;
	if (!json_is_string(json_object_get(o, "name")))
		json_object_set_new(o, "name", json_string(name));
	if (!json_is_string(json_object_get(o, "state")))
		json_object_set_new(o, "state", json_string(state));
	return o;
}

void duration_text(int64_t s, char *ret, size_t n)
{
	s = s < 0 ? 0 : s;
	if (s < 60)
		snprintf(ret, n, "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(ret, n, "%" PRId64 "m", s / 60);
	else if (s < 86400)
		snprintf(ret, n, "%" PRId64 "h %" PRId64 "m", s / 3600, s % 3600 / 60);
	else
		snprintf(ret, n, "%" PRId64 "d %" PRId64 "h", s / 86400, s % 86400 / 3600);
}

/* Seconds since t, which may be nonsense. */
static int64_t elapsed(int64_t t, int64_t now_s)
{
	int64_t s;

	return __builtin_sub_overflow(now_s, t, &s) ? 0 : s;
}

static void safe_print(const char *s, FILE *out)
{
	safetext_print(slice_str(s), out);
}

/* Columns that s takes on a terminal, near enough: one a character. */
static int width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* ------------------------------------------------------------------------------ one sandbox -- */

static void label(const char *text, FILE *out)
{
	fprintf(out, "  %-12s ", text);
}

/* "name value" of the numbers that are there, with `separator` between. */
static void numbers_print(const json_t *st, const char *const keys[][2], size_t n, FILE *out)
{
	const char *separator = "";
	int64_t v;

	for (size_t i = 0; i < n; i++)
		if (status_number(st, keys[i][0], &v)) {
			fprintf(out, "%s%s %" PRId64, separator, keys[i][1], v);
			separator = ", ";
		}
	fputc('\n', out);
}

static void time_print(int64_t t, int64_t now_s, FILE *out)
{
	char text[32], ago[32];
	time_t tt = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&tt, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return;
	duration_text(elapsed(t, now_s), ago, sizeof(ago));
	fprintf(out, "%s (%s ago)", text, ago);
}

static void print_title(const json_t *st, int64_t now_s, FILE *out)
{
	const json_t *keep = json_object_get(st, "keep");
	char up[32];
	int64_t v;

	safe_print(status_string(st, "name", "?"), out);
	fputs(": ", out);
	safe_print(status_string(st, "state", "?"), out);
	if (status_number(st, "started", &v)) {
		duration_text(elapsed(v, now_s), up, sizeof(up));
		fprintf(out, " for %s", up);
	}
	if (json_is_boolean(keep))
		fputs(json_is_true(keep) ? ", kept until deleted" : ", ends with its command", out);
	fputc('\n', out);
}

static void print_user(const json_t *st, FILE *out)
{
	const char *user = status_string(st, "user", NULL);
	int64_t uid;
	bool has_uid = status_number(st, "uid", &uid);

	if (!user && !has_uid)
		return;
	label("user", out);
	if (user)
		safe_print(user, out);
	if (has_uid)
		fprintf(out, "%suid %" PRId64 "%s", user ? " (" : "", uid, user ? ")" : "");
	fputc('\n', out);
}

static void print_policy(const json_t *st, int64_t now_s, FILE *out)
{
	static const char *const numbers[][2] = {{"revision", "number"},
						 {"generation", "generation"}};
	const char *path = status_string(st, "policy_path", NULL),
		   *hash = status_string(st, "hash", NULL);
	int64_t v;

	if (path) {
		label("policy", out);
		safe_print(*path ? path : "(built in)", out);
		fputc('\n', out);
	}
	if (status_number(st, "global", &v)) {
		label("global", out);
		fprintf(out, "revision %" PRId64 " of the global policy is in force instead; see 'policy delete --global'\n", v);
	}
	if (hash) {
		label("sha256", out);
		safe_print(hash, out);
		fputc('\n', out);
	}
	if (status_number(st, "revision", &v) || status_number(st, "generation", &v)) {
		label("revision", out);
		numbers_print(st, numbers, ARRAY_LEN(numbers), out);
	}
	if (status_number(st, "policy_loaded", &v)) {
		label("loaded", out);
		time_print(v, now_s, out);
		fputc('\n', out);
	}
}

/* " (deny 10, allow 2)": before and after are what stands around it, when there is any. */
static void print_kinds(json_t *by_kind, const char *before, const char *after, FILE *out)
{
	const char *key, *first = before;
	json_t *v;

	json_object_foreach(by_kind, key, v)
	{
		if (!json_is_integer(v) || !json_integer_value(v))
			continue;
		fputs(before, out);
		safe_print(key, out);
		fprintf(out, " %" PRId64, (int64_t)json_integer_value(v));
		before = ", ";
	}
	fputs(before != first ? after : "", out);
}

static bool any_kind(json_t *by_kind)
{
	const char *key;
	json_t *v;

	json_object_foreach(by_kind, key, v) if (json_integer_value(v)) return true;
	return false;
}

static void print_counts(const json_t *st, FILE *out)
{
	static const char *const pids[][2] = {{"pid", "supervisor"},
					      {"proxy_pid", "proxy"},
					      {"init_pid", "init"},
					      {"proxy_restarts", "proxy restarts"}};
	static const char *const counts[][2] = {{"commands", "commands"},
						{"natives", "native connections"},
						{"names", "names"},
						{"paths", "executables seen"}};
	int64_t v;

	if (status_number(st, "pid", &v)) {
		label("processes", out);
		numbers_print(st, pids, ARRAY_LEN(pids), out);
	}
	if (status_number(st, "commands", &v)) {
		label("now", out);
		numbers_print(st, counts, ARRAY_LEN(counts), out);
	}
	if (status_string(st, "processes_max", NULL)) {
		label("limits", out);
		fputs("processes: ", out);
		safe_print(status_string(st, "processes_max", ""), out);
		fputs("; memory: ", out);
		safe_print(status_string(st, "memory_max", "?"), out);
		fputc('\n', out);
	}
	if (status_number(st, "events_lost", &v)) {
		label("events lost", out);
		fprintf(out, "%" PRId64, v);
		print_kinds(json_object_get(st, "lost"), " (", ")", out);
		fputc('\n', out);
	}
	if (any_kind(json_object_get(st, "failed"))) {
		label("failed", out);
		print_kinds(json_object_get(st, "failed"), "", "", out);
		fputs(" (without a line for each)\n", out);
	}
	if (status_number(st, "events_suppressed", &v) && v) {
		label("suppressed", out);
		fprintf(out, "%" PRId64 " (counted in summary lines of the log)\n", v);
	}
}

static void print_layers(json_t *layers, FILE *out)
{
	const char *key;
	json_t *v;
	int most = 0;

	json_object_foreach(layers, key, v) most = width(key) > most ? width(key) : most;
	if (json_object_size(layers))
		fputs("  layers\n", out);
	json_object_foreach(layers, key, v)
	{
		if (!json_is_string(v))
			continue;
		fputs("    ", out);
		safe_print(key, out);
		fprintf(out, "%*s ", most - width(key), "");
		safe_print(json_string_value(v), out);
		fputc('\n', out);
	}
}

/* Above the layers: what a reader must not overlook. */
static void print_missing(const json_t *missing, FILE *out)
{
	const json_t *v;
	size_t i;

	if (!json_array_size(missing))
		return;
	label("MISSING", out);
	json_array_foreach(missing, i, v)
	{
		if (!json_is_string(v))
			continue;
		fputs(i ? ", " : "", out);
		safe_print(json_string_value(v), out);
	}
	fputs(" (started with --allow-missing)\n", out);
}

static void print_warnings(const json_t *warnings, FILE *out)
{
	const json_t *v;
	size_t i;

	json_array_foreach(warnings, i, v)
	{
		if (!json_is_string(v))
			continue;
		label("warning", out);
		safe_print(json_string_value(v), out);
		fputc('\n', out);
	}
}

void status_print(const json_t *st, int64_t now_s, FILE *out)
{
	print_title(st, now_s, out);
	print_user(st, out);
	print_policy(st, now_s, out);
	print_counts(st, out);
	print_missing(json_object_get(st, "missing"), out);
	print_layers(json_object_get(st, "layers"), out);
	print_warnings(json_object_get(st, "warnings"), out);
}

/* --------------------------------------------------------------------------------- the list -- */

enum { COL_NAME, COL_STATE, COL_USER, COL_POLICY, COL_REVISION, COL_HASH, COL_COMMANDS, COL_UPTIME, COLS };
#define HASH_SHORT 12

struct row {
	char *cell[COLS];
};

static char *cell_string(const json_t *st, const char *key)
{
	const char *s = status_string(st, key, "-");

	return safetext_dup(slice_str(*s ? s : "-"));
}

static char *cell_number(const json_t *st, const char *key)
{
	char text[24] = "-";
	int64_t v;

	if (status_number(st, key, &v))
		snprintf(text, sizeof(text), "%" PRId64, v);
	return strdup(text);
}

/* "3", or "3 (global 1)" when the global policy is in force instead. */
static char *cell_revision(const json_t *st)
{
	char *own = cell_number(st, "revision"), *both = NULL;
	int64_t global;

	if (!own || !status_number(st, "global", &global))
		return own;
	if (asprintf(&both, "%s (global %" PRId64 ")", own, global) < 0)
		both = NULL;
	free(own);
	return both;
}

/* Of what is in force. */
static char *cell_hash(const json_t *st)
{
	struct slice s = slice_str(status_string(st, "hash", "-"));

	if (s.n > HASH_SHORT)
		s.n = HASH_SHORT;
	return safetext_dup(s);
}

static char *cell_uptime(const json_t *st, int64_t now_s)
{
	char text[32] = "-";
	int64_t v;

	if (status_number(st, "started", &v))
		duration_text(elapsed(v, now_s), text, sizeof(text));
	return strdup(text);
}

static char *cell_policy(const json_t *st)
{
	const char *path = status_string(st, "policy_path", NULL);

	return path && !*path ? strdup("(built in)") : cell_string(st, "policy_path");
}

static void row_fill(struct row *r, const json_t *st, int64_t now_s)
{
	r->cell[COL_NAME] = cell_string(st, "name");
	r->cell[COL_STATE] = cell_string(st, "state");
	r->cell[COL_USER] = cell_string(st, "user");
	r->cell[COL_POLICY] = cell_policy(st);
	r->cell[COL_REVISION] = cell_revision(st);
	r->cell[COL_HASH] = cell_hash(st);
	r->cell[COL_COMMANDS] = cell_number(st, "commands");
	r->cell[COL_UPTIME] = cell_uptime(st, now_s);
}

static void row_print(const struct row *r, const int *widths, FILE *out)
{
	for (int c = 0; c < COLS; c++) {
		const char *s = r->cell[c] ? r->cell[c] : "?";

		fputs(s, out);
		if (c < COLS - 1)
			fprintf(out, "%*s", widths[c] - width(s) + 2, "");
	}
	fputc('\n', out);
}

void status_print_list(const json_t *list, int64_t now_s, FILE *out)
{
	static const struct row head = {{(char *)"NAME", (char *)"STATE", (char *)"USER",
					 (char *)"POLICY", (char *)"REVISION", (char *)"SHA256", (char *)"COMMANDS",
					 (char *)"UPTIME"}};
	size_t n = json_array_size(list);
	_cleanup_free_ struct row *rows = calloc(n + 1, sizeof(*rows));
	int widths[COLS] = {0};

	if (!rows)
		return;
	rows[0] = head;
	for (size_t i = 0; i < n; i++)
		row_fill(&rows[i + 1], json_array_get(list, i), now_s);
	for (size_t i = 0; i <= n; i++)
		for (int c = 0; c < COLS; c++)
			if (rows[i].cell[c] && width(rows[i].cell[c]) > widths[c])
				widths[c] = width(rows[i].cell[c]);
	for (size_t i = 0; i <= n; i++)
		row_print(&rows[i], widths, out);
	for (size_t i = 1; i <= n; i++)
		for (int c = 0; c < COLS; c++)
			free(rows[i].cell[c]);
}

int status_print_json(const json_t *value, FILE *out)
{
	_cleanup_free_ char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENSURE_ASCII);

	if (!text)
		return -ENOMEM;
	return fprintf(out, "%s\n", text) < 0 ? -EIO : 0;
}
