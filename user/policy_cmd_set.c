/* SPDX-License-Identifier: Apache-2.0 */
/* policy_cmd_set.c - `osh-enforce policy set`: another policy for a running sandbox, or for all of them. */
#include "user/globalset.h"
#include "user/policy_cmd.h"
#include "user/policy_send.h"
#include "user/usage.h"

static const struct option longopts[] = {
	{"policy", required_argument, NULL, 'p'}, {"global", no_argument, NULL, 'g'},
	{"wait", no_argument, NULL, 'w'},	  {"timeout", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'h'},	  {0},
};

static int set_one(const char *command, const char *given, struct policy_send_options *o)
{
	_cleanup_free_ char *name = NULL;
	int status;

	name = policy_sandbox_operand(command, given, &status);
	if (!name)
		return status;
	o->sandbox = name;
	return policy_send(o);
}

int policy_cmd_set(int argc, char **argv)
{
	struct policy_send_options o = {.timeout_s = POLICY_TIMEOUT_DEFAULT_S};
	bool global = false;
	int c;

	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		switch (c) {
		case 'p':
			o.path = optarg;
			break;
		case 'g':
			global = true;
			break;
		case 'w':
			o.wait = true;
			break;
		case 't':
			o.timeout_s = policy_timeout_option(argv[0], optarg);
			if (!o.timeout_s)
				return USAGE_EXIT;
			break;
		case 'h':
			usage_print(argv[0], stdout);
			return 0;
		default:
			return USAGE_EXIT;
		}
	}
	if (!o.path)
		return usage_error(argv[0], "--policy FILE is missing");
	if (argc - optind > (global ? 0 : 1))
		return usage_error(argv[0], global ? "takes no NAME with --global" : "takes one NAME");
	return global ? global_set(o.path, o.wait, o.timeout_s)
		      : set_one(argv[0], optind < argc ? argv[optind] : NULL, &o);
}
