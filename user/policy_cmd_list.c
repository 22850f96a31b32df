/* SPDX-License-Identifier: Apache-2.0 */
/* policy_cmd_list.c - `osh-enforce policy list`: the revisions of a sandbox, or of the global policy. */
#include "user/globalpolicy.h"
#include "user/policy_cmd.h"
#include "user/policy_send.h"
#include "user/safetext.h"
#include "user/status.h"
#include "user/usage.h"

#include <time.h>

#define HASH_SHORT 12

static const struct option longopts[] = {
	{"global", no_argument, NULL, 'g'},
	{"format", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void print_time(int64_t t)
{
	char text[32] = "-";
	time_t tt = (time_t)t;
	struct tm tm;

	if (gmtime_r(&tt, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf("%-20s  ", text);
}

static void print_revision(const struct revision *v)
{
	size_t first = strcspn(v->error, "\n");

	printf("%-8llu  %-10s  ", (unsigned long long)v->number, revision_status_word(v->status));
	print_time(v->time);
	printf("%-*.*s  ", HASH_SHORT, HASH_SHORT, v->hash[0] ? v->hash : "-");
	safetext_print(slice_str(v->source), stdout);
	if (v->error[0]) {
		fputs("  (", stdout);
		safetext_print((struct slice){(const uint8_t *)v->error, first}, stdout);
		fputs(v->error[first] ? " ...)" : ")", stdout);
	}
	putchar('\n');
}

static void print_text(const struct revisions *all, uint64_t global)
{
	printf("%-8s  %-10s  %-20s  %-*s  %s\n", "REVISION", "STATUS", "TIME", HASH_SHORT, "SHA256", "SOURCE");
	for (size_t i = 0; i < all->n; i++)
		print_revision(&all->v[i]);
	if (global)
		printf("The global policy (revision %llu) is in force; what is loaded here waits until "
		       "'osh-enforce policy delete --global'.\n",
		       (unsigned long long)global);
}

static int print_json(const struct revisions *all, const char *sandbox, uint64_t global)
{
	json_t *j = json_object(), *v = json_array();
	int r;

	if (sandbox)
		json_object_set_new(j, "sandbox", json_string(sandbox));
	if (global)
		json_object_set_new(j, "global", json_integer((json_int_t)global));
	for (size_t i = 0; i < all->n; i++)
		json_array_append_new(v, revision_json(&all->v[i]));
	json_object_set_new(j, "revisions", v);
	r = status_print_json(j, stdout);
	json_decref(j);
	return r;
}

static int no_such(const char *command, const char *sandbox, int r)
{
	fprintf(stderr, "osh-enforce %s: %s: %s\n", command, sandbox ? sandbox : "global policy",
		r != -ENOENT ? strerror(-r)
		: sandbox    ? "no such sandbox; 'osh-enforce list' shows what runs"
			     : "none was ever set");
	return 1;
}

static int list(const char *command, const char *sandbox, bool json)
{
	struct revisions all;
	uint64_t global = 0;
	int r = sandbox ? policy_revisions(sandbox, &all) : revisions_open(GLOBAL_DIR "/revisions", false, &all);

	if (r < 0)
		return no_such(command, sandbox, r);
	(void)global_in_force(&global);
	policy_settle(sandbox, &all);
	if (json)
		r = print_json(&all, sandbox, global);
	else
		print_text(&all, sandbox ? global : 0);
	revisions_done(&all);
	return r < 0 ? 1 : 0;
}

int policy_cmd_list(int argc, char **argv)
{
	_cleanup_free_ char *name = NULL;
	bool global = false, json = false;
	int c, r, status;

	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		if (c == 'h') {
			usage_print(argv[0], stdout);
			return 0;
		}
		if (c == 'g') {
			global = true;
			continue;
		}
		r = c == 'f' ? usage_choice(argv[0], "format", optarg, "text", "json") : -EINVAL;
		if (r < 0)
			return USAGE_EXIT;
		json = r == 1;
	}
	if (argc - optind > (global ? 0 : 1))
		return usage_error(argv[0], global ? "takes no NAME with --global" : "takes one NAME");
	if (!global) {
		name = policy_sandbox_operand(argv[0], optind < argc ? argv[optind] : NULL, &status);
		if (!name)
			return status;
	}
	return list(argv[0], name, json);
}
