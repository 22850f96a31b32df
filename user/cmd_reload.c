/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_reload.c - `osh-enforce reload`: the short form of `policy set --wait`. */
#include "user/policy_send.h"
#include "user/usage.h"

int cmd_reload(int argc, char **argv)
{
	static const struct option longs[] = {{"policy", required_argument, NULL, 'p'},
					      {"wait", no_argument, NULL, 'w'},
					      {"timeout", required_argument, NULL, 't'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	struct policy_send_options o = {.wait = true, .timeout_s = POLICY_TIMEOUT_DEFAULT_S};
	_cleanup_free_ char *name = NULL;
	int c, status;

	while ((c = usage_getopt(argc, argv, "h", longs)) != -1) {
		switch (c) {
		case 'p':
			o.path = optarg;
			break;
		case 'w': /* it always waits */
			break;
		case 't':
			o.timeout_s = policy_timeout_option("reload", optarg);
			if (!o.timeout_s)
				return USAGE_EXIT;
			break;
		case 'h':
			usage_print("reload", stdout);
			return 0;
		default:
			return USAGE_EXIT;
		}
	}
	if (!o.path)
		return usage_error("reload", "--policy FILE is missing");
	if (argc - optind > 1)
		return usage_error("reload", "takes one NAME");
	name = policy_sandbox_operand("reload", optind < argc ? argv[optind] : NULL, &status);
	if (!name)
		return status;
	o.sandbox = name;
	return policy_send(&o);
}
