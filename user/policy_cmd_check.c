/* SPDX-License-Identifier: Apache-2.0 */
/* policy_cmd_check.c - `osh-enforce policy check FILE`: everything that is wrong with a policy,
 * without running anything. */
#include "user/policy_cmd.h"
#include "user/policy_file.h"
#include "user/usage.h"

static int check(const char *path)
{
	_cleanup_(policy_freep) struct policy *p = NULL;
	_cleanup_(policy_diags_done) struct policy_diags diags = {0};
	_cleanup_free_ uint8_t *image = NULL;
	const char *name = strcmp(path, "-") == 0 ? "<stdin>" : path;
	size_t n, blocks, endpoints, native;
	int r = policy_load_file(path, &diags, &p, NULL, NULL);

	if (r == 0)
		r = policy_compile(p, &diags, &image, &n);
	policy_diags_print(&diags, name, stderr);
	if (r < 0 && diags.errors == 0)
		fprintf(stderr, "%s: %s\n", name, strerror(-r));
	if (r < 0)
		return 1;
	policy_counts(p, &blocks, &endpoints);
	printf("%s: ok, %zu block%s, %zu endpoint%s\n", name, blocks, blocks == 1 ? "" : "s",
	       endpoints, endpoints == 1 ? "" : "s");
	native = policy_count_native(p);
	if (native)
		printf("%s: note: the bytes of %zu endpoint%s are not looked at; where many sites share one address, a "
		       "program can name another of them there ('tls: skip' or 'protocol: rest' pins the name)\n",
		       name, native, native == 1 ? "" : "s");
	return fflush(stdout) == 0 ? 0 : 1;
}

int policy_cmd_check(int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	int c;

	while ((c = usage_getopt(argc, argv, "h", options)) != -1) {
		if (c != 'h')
			return USAGE_EXIT;
		usage_print(argv[0], stdout);
		return 0;
	}
	if (optind + 1 != argc)
		return usage_error(argv[0], "takes one file ('-' for standard input)");
	return check(argv[optind]);
}
