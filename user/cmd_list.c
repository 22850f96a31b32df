/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_list.c - `osh-enforce list`: the sandboxes of this host, dead ones included; changes nothing.
 */
#include "user/control.h"
#include "user/status.h"
#include "user/usage.h"

#include <time.h>

static const struct option longopts[] = {
	{"format", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* 0: go on; 1: help was asked for; -EINVAL: told. */
static int options_read(int argc, char **argv, bool *ret_json)
{
	int c, r;

	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		if (c == 'h') {
			usage_print("list", stdout);
			return 1;
		}
		r = c == 'f' ? usage_choice("list", "format", optarg, "text", "json") : -EINVAL;
		if (r < 0)
			return r;
		*ret_json = r == 1;
	}
	if (optind < argc) {
		usage_error("list", "takes no names; see osh-enforce status NAME");
		return -EINVAL;
	}
	return 0;
}

/* Status objects of all sandboxes, sorted by name. */
static int collect(json_t **ret)
{
	char **names = NULL;
	json_t *list = json_array();
	int r;

	r = list ? sandbox_list(&names) : -ENOMEM;
	for (char **n = names; r == 0 && n && *n; n++)
		if (json_array_append_new(list, status_fetch(*n)) < 0)
			r = -ENOMEM;
	strv_free(names);
	if (r < 0) {
		json_decref(list);
		return r;
	}
	*ret = list;
	return 0;
}

int cmd_list(int argc, char **argv)
{
	bool json = false;
	json_t *list;
	int r;

	r = options_read(argc, argv, &json);
	if (r != 0)
		return r < 0 ? usage_status("list") : 0;
	r = collect(&list);
	if (r < 0) {
		fprintf(stderr, "osh-enforce list: %s: %s\n", OSH_RUN_DIR, strerror(-r));
		return 1;
	}
	if (json)
		r = status_print_json(list, stdout);
	else
		status_print_list(list, (int64_t)time(NULL), stdout);
	json_decref(list);
	return r < 0 ? 1 : 0;
}
