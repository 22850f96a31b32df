/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execreq.c - a command with its directory and environment, to and from bytes.
 */
#include "user/execreq.h"

#include "user/blob.h"
#include "user/strv.h"

#define EXECREQ_MAGIC 0x31515845u /* "EXQ1" */

void exec_request_done(struct exec_request *r)
{
	free(r->cwd);
	strv_free(r->argv);
	strv_free(r->env);
	*r = (struct exec_request){0};
}

static void exec_request_donep(struct exec_request *r)
{
	exec_request_done(r);
}

int exec_request_to_memfd(const struct exec_request *r, int *ret_fd)
{
	_cleanup_(blob_writer_done) struct blob_writer w = {0};

	blob_put_u32(&w, EXECREQ_MAGIC);
	blob_put_u32(&w, r->flags);
	blob_put_u32(&w, r->umask);
	blob_put_str(&w, r->cwd);
	blob_put_strv(&w, r->argv);
	blob_put_strv(&w, r->env);
	if (w.err)
		return w.err;
	return w.n > EXECREQ_SIZE_MAX ? -E2BIG
				      : memfd_of("osh-exec", (struct slice){w.p, w.n}, ret_fd);
}

static bool request_sane(const struct exec_request *r)
{
	const uint32_t known = EXECREQ_LOGIN_SHELL | EXECREQ_BACKGROUND;

	if ((r->flags & ~known) || r->umask > 0777 || (r->cwd && r->cwd[0] != '/'))
		return false;
	if (!(r->flags & EXECREQ_LOGIN_SHELL) && (strv_len(r->argv) == 0 || r->argv[0][0] == '\0'))
		return false;
	for (size_t i = 0; r->env && r->env[i]; i++)
		if (!env_valid(r->env[i]))
			return false;
	return true;
}

int exec_request_parse(struct slice bytes, struct exec_request *ret)
{
	_cleanup_(exec_request_donep) struct exec_request q = {0};
	struct blob_reader r = {.rest = bytes};
	int err;

	if (bytes.n > EXECREQ_SIZE_MAX || blob_get_u32(&r) != EXECREQ_MAGIC)
		return -EBADMSG;
	q.flags = blob_get_u32(&r);
	q.umask = blob_get_u32(&r);
	q.cwd = blob_get_str(&r, EXECREQ_STRING_MAX, true);
	q.argv = blob_get_strv(&r, EXECREQ_STRINGS_MAX, EXECREQ_STRING_MAX);
	q.env = blob_get_strv(&r, EXECREQ_STRINGS_MAX, EXECREQ_STRING_MAX);
	err = blob_get_end(&r);
	if (err == 0 && !request_sane(&q))
		err = -EBADMSG;
	if (err < 0)
		return err;
	*ret = q;
	q = (struct exec_request){0};
	return 0;
}

/* ------------------------------------------------------------------------------- environments --
 */

static bool name_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

bool env_valid(const char *var)
{
	const char *s = var;

	while (name_byte(*s))
		s++;
	return s != var && *s == '=' && !(var[0] >= '0' && var[0] <= '9');
}

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return n == strcspn(b, "=") && strncmp(a, b, n) == 0;
}

static int env_put(char ***env, const char *var)
{
	for (size_t i = 0; *env && (*env)[i]; i++)
		if (same_name((*env)[i], var)) {
			char *s = strdup(var);

			if (!s)
				return -ENOMEM;
			free((*env)[i]);
			(*env)[i] = s;
			return 0;
		}
	return strv_add(env, var);
}

char **env_merge(char *const *base, char *const *over)
{
	char **env = calloc(1, sizeof(*env));
	int r = env ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && base && base[i]; i++)
		r = env_put(&env, base[i]);
	for (size_t i = 0; r == 0 && over && over[i]; i++)
		r = env_put(&env, over[i]);
	return r < 0 ? strv_free(env) : env;
}

const char *env_value(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; env && env[i]; i++)
		if (strncmp(env[i], name, n) == 0 && env[i][n] == '=')
			return env[i] + n + 1;
	return NULL;
}
