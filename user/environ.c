/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environ.c - which variables go into a sandbox.
 *
 * A list of what goes in, not of what stays out: variables carry proxies, agents' sockets, tokens
 * and code (LD_PRELOAD, NODE_OPTIONS), and nobody knows them all.
 */
#include "user/environ.h"

#include "user/blob.h"
#include "user/caller.h"
#include "user/execreq.h"
#include "user/safetext.h"
#include "user/strv.h"

#include <limits.h>

#define ENV_FILE_MAX (1u << 20)

static int put(char ***env, const char *name, const char *value)
{
	_cleanup_free_ char *var = NULL;
	char *one[2] = {NULL, NULL};
	char **merged;

	if (asprintf(&var, "%s=%s", name, value) < 0) {
		var = NULL;
		return -ENOMEM;
	}
	one[0] = var;
	merged = env_merge(*env, one);
	if (!merged)
		return -ENOMEM;
	strv_free(*env);
	*env = merged;
	return 0;
}

/* --------------------------------------------------------------------------------------- PATH --
 */

/* Absolute, without empty, "." and ".." components, without the separator. */
static bool clean_directory(const char *dir)
{
	if (dir[0] != '/' || strchr(dir, ':'))
		return false;
	for (const char *s = dir; *s;) {
		size_t n;

		s++;
		n = strcspn(s, "/");
		if ((n == 0 && *s) || (n == 1 && s[0] == '.') ||
		    (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += n;
	}
	return true;
}

static bool visible(const struct launch_plan *p, const char *dir)
{
	const struct plan_mount *m = plan_covering(p, dir);

	return plan_shows(p, dir) || (m && m->kind == PLAN_HOME);
}

static int path_add(const struct launch_plan *p, char ***dirs, struct slice dir)
{
	char text[PATH_MAX];

	while (dir.n > 1 && dir.p[dir.n - 1] == '/')
		dir.n--;
	if (dir.n == 0 || dir.n >= sizeof(text))
		return 0;
	memcpy(text, dir.p, dir.n);
	text[dir.n] = '\0';
	if (!clean_directory(text) || !visible(p, text) || strv_has(*dirs, text))
		return 0;
	return strv_add(dirs, text);
}

static int path_add_list(const struct launch_plan *p, char ***dirs, const char *list)
{
	int r = 0;

	for (const char *s = list; r == 0 && s && *s; s += *s == ':') {
		size_t n = strcspn(s, ":");

		r = path_add(p, dirs, (struct slice){(const uint8_t *)s, n});
		s += n;
	}
	return r;
}

static char *join(char *const *dirs)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	for (size_t i = 0; dirs && dirs[i]; i++)
		fprintf(f, "%s%s", i ? ":" : "", dirs[i]);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

char *environ_path(const struct launch_plan *p, const char *path, char *const *extra)
{
	_cleanup_strv_ char **dirs = NULL;
	int r = path_add_list(p, &dirs, path);

	for (size_t i = 0; r == 0 && extra && extra[i]; i++)
		r = path_add(p, &dirs, slice_str(extra[i]));
	if (r == 0)
		r = path_add_list(p, &dirs, ENVIRON_STANDARD_PATH);
	return r < 0 ? NULL : join(dirs);
}

/* -------------------------------------------------------------------------------------- the rest
 * -- */

int environ_base(const struct launch_plan *p, const char *path, char ***env)
{
	/* Everything that reads a bundle of its own unless told otherwise. */
	static const char *const trust_vars[] = {
		"SSL_CERT_FILE",     "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
		"CURL_CA_BUNDLE",    "GIT_SSL_CAINFO",	    "PIP_CERT",
		"CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE",	    "DENO_CERT",
	};
	const char *trust = p->trust && p->trust[0] ? p->trust[0] : PLAN_TRUST_FILE;
	const char *const basic[][2] = {
		{"HOME", p->home},   {"USER", p->user}, {"LOGNAME", p->user},
		{"SHELL", p->shell}, {"PATH", path},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(basic); i++)
		r = put(env, basic[i][0], basic[i][1]);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(trust_vars); i++)
		r = put(env, trust_vars[i], trust);
	return r;
}

int environ_session(char ***env)
{
	static const char *const names[] = {"TERM", "COLORTERM", "TZ", "LANG", "LANGUAGE"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value)
			r = put(env, names[i], value);
	}
	for (char **v = environ; r == 0 && *v; v++)
		if (strncmp(*v, "LC_", 3) == 0 && env_valid(*v)) {
			_cleanup_free_ char *name = strndup(*v, strcspn(*v, "="));

			r = name ? put(env, name, strchr(*v, '=') + 1) : -ENOMEM;
		}
	return r;
}

static bool name_valid(const char *name)
{
	_cleanup_free_ char *var = NULL;

	if (asprintf(&var, "%s=", name) < 0) {
		var = NULL;
		return false;
	}
	return !strchr(name, '=') && env_valid(var);
}

int environ_option(const char *arg, char ***env)
{
	_cleanup_free_ char *value = NULL, *name = strndup(arg, strcspn(arg, "="));

	if (!name)
		return -ENOMEM;
	if (!name_valid(name))
		return -EINVAL;
	if (arg[strlen(name)] == '=')
		return put(env, name, arg + strlen(name) + 1);
	value = caller_getenv(name);
	return value ? put(env, name, value) : -ENOENT;
}

int environ_file(const char *file, char ***env, char **ret_error)
{
	_cleanup_free_ char *text = NULL;
	unsigned line = 0;
	size_t n;
	int r = read_whole_file(file, ENV_FILE_MAX, &text, &n);

	*ret_error = NULL;
	if (r < 0)
		return error_text(ret_error, r, "--env-file %s: %s", file, strerror(-r));
	if (memchr(text, '\0', n))
		return error_text(ret_error, -EINVAL, "--env-file %s: holds a NUL byte", file);
	for (char *s = text, *next; *s; s = next) {
		size_t k = strcspn(s, "\r\n");

		line++;
		next = s + k;
		next += *next == '\r';
		next += *next == '\n';
		s[k] = '\0';
		s += strspn(s, " \t");
		if (*s == '\0' || *s == '#')
			continue;
		r = environ_option(s, env);
		if (r < 0 && r != -ENOENT)
			return error_text(ret_error, r, "%s:%u: %s", file, line,
					  r == -EINVAL ? "not a variable (want NAME=VALUE)"
						       : strerror(-r));
	}
	return 0;
}

void environ_print_dropped(char *const *env, FILE *out)
{
	for (char **v = environ; *v; v++) {
		_cleanup_free_ char *name = strndup(*v, strcspn(*v, "="));
		const char *value = name ? env_value(env, name) : NULL;

		if (!name || (value && (*v)[strlen(name)] == '=' &&
			      strcmp(value, *v + strlen(name) + 1) == 0))
			continue;
		fputs("osh-enforce: variable not passed on: ", out);
		safetext_print(slice_str(name), out);
		fputc('\n', out);
	}
}
