/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_policy.c - `osh-enforce policy ...`: finds the subcommand, asks for root where it talks to a
 * sandbox. */
#include "policy/diag.h"
#include "user/policy_cmd.h"
#include "user/usage.h"

struct subcommand {
	const char *name; /* with "policy ", as in usage.c */
	int (*run)(int argc, char **argv);
	bool root;
};

static const struct subcommand subcommands[] = {
	{"policy check", policy_cmd_check, false},
	{"policy explain", policy_cmd_explain, false},
	{"policy test", policy_cmd_test, false},
	{"policy update", policy_cmd_update, true},
	{"policy diff", policy_cmd_diff, false},
	{"policy prove", policy_cmd_prove, false},
	{"policy suggest", policy_cmd_suggest, true},
	{"policy set", policy_cmd_set, true},
	{"policy get", policy_cmd_get, true},
	{"policy list", policy_cmd_list, true},
	{"policy delete", policy_cmd_delete, true},
};

static const char *short_name(const struct subcommand *s)
{
	return s->name + strlen("policy ");
}

static int unknown(const char *name)
{
	const char *known[ARRAY_LEN(subcommands)], *meant;

	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
		known[i] = short_name(&subcommands[i]);
	meant = diag_suggest(slice_str(name), known, ARRAY_LEN(known));
	if (meant)
		return usage_error("policy", "unknown subcommand '%s' (did you mean '%s'?)", name,
				   meant);
	return usage_error("policy", "unknown subcommand '%s'", name);
}

static int run(const struct subcommand *s, int argc, char **argv)
{
	char name[64];
	bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

	if (help) {
		usage_print(s->name, stdout);
		return 0;
	}
	if (s->root && geteuid() != 0) {
		fprintf(stderr,
			"osh-enforce %s: must be run as root; try: sudo osh-enforce %s ...\n",
			s->name, s->name);
		return 1;
	}
	snprintf(name, sizeof(name), "%s", s->name);
	argv[0] = name;
	optind = 0; /* a fresh vector for getopt */
	return s->run(argc, argv);
}

int cmd_policy(int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	int c;

	while ((c = usage_getopt(argc, argv, "+h", options)) != -1) {
		if (c != 'h')
			return usage_status(argv[0]);
		usage_print(argv[0], stdout);
		return 0;
	}
	if (optind == argc)
		return usage_error(argv[0], "needs a subcommand");
	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
		if (strcmp(short_name(&subcommands[i]), argv[optind]) == 0)
			return run(&subcommands[i], argc - optind, argv + optind);
	return unknown(argv[optind]);
}
