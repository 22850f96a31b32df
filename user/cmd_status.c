/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_status.c - `osh-enforce status`: everything about one sandbox; and the asking itself, also
 * for `list`.
 */
#include "user/control.h"
#include "user/status.h"
#include "user/usage.h"

#include <time.h>

#define EXIT_DEAD 3 /* as in the Linux Standard Base: not running */

/* 0 and *ret; -ECONNREFUSED, -ENOENT: nobody is there; other: it did not answer as it should, or could not be asked. */
static int ask(const char *name, json_t **ret)
{
	_cleanup_free_ char *buf = NULL;
	uint32_t type = 0;
	size_t n = 0;
	int r = sandbox_ask(name, CTL_STATUS, &type, &buf, &n);

	if (r == -EPIPE || r == -ECONNRESET)
		return control_gone(name) ? -ECONNREFUSED : -ETIMEDOUT;
	if (r < 0)
		return r;
	*ret = type == CTL_STATUS_REPLY ? json_loadb(buf, n, 0, NULL) : NULL;
	return json_is_object(*ret) ? 0 : -EBADMSG;
}

json_t *status_fetch(const char *name)
{
	json_t *reply = NULL, *o;
	const char *state = STATUS_RUNNING;
	int r = ask(name, &reply);

	if (r == -ENOENT || r == -ECONNREFUSED)
		state = STATUS_DEAD;
	else if (r < 0)
		state = STATUS_SILENT;
	o = status_normalise(name, reply, state);
	json_decref(reply);
	return o;
}

static const struct option longopts[] = {
	{"format", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* 0: go on; 1: help was asked for; -EINVAL: told. */
static int options_read(int argc, char **argv, bool *ret_json, const char **ret_name)
{
	int c, r;

	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		if (c == 'h') {
			usage_print("status", stdout);
			return 1;
		}
		r = c == 'f' ? usage_choice("status", "format", optarg, "text", "json") : -EINVAL;
		if (r < 0)
			return r;
		*ret_json = r == 1;
	}
	if (argc - optind > 1) {
		usage_error("status", "one sandbox at a time, not '%s' too", argv[optind + 1]);
		return -EINVAL;
	}
	*ret_name = optind < argc ? argv[optind] : NULL;
	return 0;
}

/* A sandbox that is known, by the name given or as the only one.  Negative: told. */
static int name_find(const char *given, char **ret)
{
	_cleanup_(freep) char *only = NULL;
	char **names = NULL;
	int r;

	if (!given) {
		r = sandbox_only(ret);
		if (r < 0)
			fprintf(stderr, "osh-enforce status: %s\n",
				r == -ENOENT	 ? "no sandbox is running"
				: r == -ENOTUNIQ ? "several sandboxes are running; say which (see "
						   "osh-enforce list)"
						 : strerror(-r));
		return r;
	}
	r = sandbox_list(&names);
	if (r < 0) {
		fprintf(stderr, "osh-enforce status: %s: %s\n", OSH_RUN_DIR, strerror(-r));
		return r;
	}
	for (char **n = names; n && *n && !only; n++)
		if (strcmp(*n, given) == 0)
			only = strdup(*n);
	strv_free(names);
	if (!only) {
		fprintf(stderr,
			"osh-enforce status: there is no such sandbox (see osh-enforce list)\n");
		return -ENOENT;
	}
	*ret = steal_ptr(&only);
	return 0;
}

int cmd_status(int argc, char **argv)
{
	_cleanup_free_ char *name = NULL;
	const char *given = NULL;
	bool json = false, dead;
	json_t *st;
	int r;

	r = options_read(argc, argv, &json, &given);
	if (r != 0)
		return r < 0 ? usage_status("status") : 0;
	if (name_find(given, &name) < 0)
		return 1;
	st = status_fetch(name);
	if (!st)
		return 1;
	if (json)
		r = status_print_json(st, stdout);
	else
		status_print(st, (int64_t)time(NULL), stdout);
	dead = strcmp(status_string(st, "state", ""), STATUS_DEAD) == 0;
	json_decref(st);
	return r < 0 ? 1 : dead ? EXIT_DEAD : 0;
}
