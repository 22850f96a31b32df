/* SPDX-License-Identifier: Apache-2.0 */
/* policy_cmd_delete.c - `osh-enforce policy delete --global`: every sandbox goes back to its own policy. */
#include "user/globalset.h"
#include "user/policy_cmd.h"
#include "user/policy_send.h"
#include "user/usage.h"

int policy_cmd_delete(int argc, char **argv)
{
	static const struct option longopts[] = {{"global", no_argument, NULL, 'g'},
						 {"timeout", required_argument, NULL, 't'},
						 {"help", no_argument, NULL, 'h'},
						 {0}};
	uint32_t timeout_s = POLICY_TIMEOUT_DEFAULT_S;
	bool global = false;
	int c;

	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		switch (c) {
		case 'g':
			global = true;
			break;
		case 't':
			timeout_s = policy_timeout_option(argv[0], optarg);
			if (!timeout_s)
				return USAGE_EXIT;
			break;
		case 'h':
			usage_print(argv[0], stdout);
			return 0;
		default:
			return USAGE_EXIT;
		}
	}
	if (optind < argc || !global)
		return usage_error(argv[0], "want --global and no NAME: a sandbox's own policy goes with "
					    "'osh-enforce delete NAME'");
	return global_unset(timeout_s);
}
