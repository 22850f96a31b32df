/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_cmd_update.c - `osh-enforce policy update NAME ...`: some edits of the policy in force, as one
 * new revision.
 *
 * Fetch, edit, send with the revision that was fetched; where another came in between or is on its
 * way, all over again on that one, until time is up.
 */
#include "user/policy_cmd.h"
#include "user/policy_send.h"
#include "user/safetext.h"
#include "user/strv.h"
#include "user/update_ops.h"
#include "user/usage.h"

#define OPS_MAX 1000
#define AGAIN_MS 20

struct options {
	struct update_op *ops;
	size_t n;
	struct edit_binary *binaries;
	size_t nbinaries;
	bool dry_run, wait;
	uint32_t timeout_s;
};

enum { OPT_BINARY = 256, OPT_DRY_RUN, OPT_WAIT, OPT_TIMEOUT, OPT_OPS };

static const struct option longopts[] = {
	{"add-endpoint", required_argument, NULL, OPT_OPS + UPDATE_ADD_ENDPOINT},
	{"add-allow", required_argument, NULL, OPT_OPS + UPDATE_ADD_ALLOW},
	{"add-deny", required_argument, NULL, OPT_OPS + UPDATE_ADD_DENY},
	{"remove-endpoint", required_argument, NULL, OPT_OPS + UPDATE_REMOVE_ENDPOINT},
	{"remove-rule", required_argument, NULL, OPT_OPS + UPDATE_REMOVE_RULE},
	{"binary", required_argument, NULL, OPT_BINARY},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"wait", no_argument, NULL, OPT_WAIT},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int add_op(struct options *o, const char *command, enum update_kind kind)
{
	_cleanup_free_ char *why = NULL;

	if (update_op_parse(kind, optarg, &o->ops[o->n], &why) == 0) {
		o->n++;
		return 0;
	}
	usage_error(command, "%s", why ? why : "out of memory");
	return -EINVAL;
}

/* 0: go on; 1: help was asked for; -EINVAL: told. */
static int option_apply(struct options *o, const char *command, int c)
{
	switch (c) {
	case OPT_BINARY:
		o->binaries[o->nbinaries++] = (struct edit_binary){slice_str(optarg), false};
		return 0;
	case OPT_DRY_RUN:
		o->dry_run = true;
		return 0;
	case OPT_WAIT:
		o->wait = true;
		return 0;
	case OPT_TIMEOUT:
		o->timeout_s = policy_timeout_option(command, optarg);
		return o->timeout_s ? 0 : -EINVAL;
	case 'h':
		usage_print(command, stdout);
		return 1;
	default:
		return c >= OPT_OPS ? add_op(o, command, (enum update_kind)(c - OPT_OPS)) : -EINVAL;
	}
}

static int check_options(const struct options *o, const char *command)
{
	bool adds = false;

	for (size_t i = 0; i < o->n; i++)
		adds |= o->ops[i].kind == UPDATE_ADD_ENDPOINT;
	if (!o->n)
		return usage_error(command, "nothing to do: needs --add-endpoint, --add-allow, "
					    "--add-deny, --remove-endpoint or --remove-rule");
	if (adds && !o->nbinaries)
		return usage_error(command, "--add-endpoint needs --binary: which program may "
					    "connect");
	if (!adds && o->nbinaries)
		return usage_error(command, "--binary goes with --add-endpoint");
	return 0;
}

static int options_read(int argc, char **argv, struct options *o)
{
	int c, r;

	if (argc > OPS_MAX) {
		usage_error(argv[0], "more than %d arguments", OPS_MAX);
		return -EINVAL;
	}
	o->ops = calloc((size_t)argc + 1, sizeof(*o->ops));
	o->binaries = calloc((size_t)argc + 1, sizeof(*o->binaries));
	if (!o->ops || !o->binaries)
		return -ENOMEM;
	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		r = option_apply(o, argv[0], c);
		if (r != 0)
			return r;
	}
	if (argc - optind > 1) {
		usage_error(argv[0], "one sandbox at a time, not '%s' too", argv[optind + 1]);
		return -EINVAL;
	}
	return check_options(o, argv[0]) == 0 ? 0 : -EINVAL;
}

/* Edits the text; what was done goes to `said`.  Returns an exit status. */
static int edit_text(const struct options *o, const char *command, struct slice text,
		     struct edit *ret, size_t *ret_changes, char **ret_said)
{
	_cleanup_(policy_diags_done) struct policy_diags diags = {0};
	_cleanup_free_ char *why = NULL;
	size_t n;
	FILE *said;
	int r = edit_open(text, &diags, ret);

	if (r < 0) {
		policy_diags_print(&diags, "policy in force", stderr);
		return 1;
	}
	said = open_memstream(ret_said, &n);
	if (!said)
		return 1;
	r = update_apply(ret, o->ops, o->n, o->binaries, o->nbinaries, said, ret_changes, &why);
	fclose(said);
	if (r < 0) {
		fprintf(stderr, "osh-enforce %s: ", command);
		safetext_print(slice_str(why ? why : strerror(-r)), stderr);
		fputc('\n', stderr);
	}
	return r < 0 ? 1 : 0;
}

static int fetch(const char *command, const char *name, char **ret, size_t *ret_n, uint64_t *ret_rev)
{
	int r = policy_fetch(name, 0, ret, ret_n, ret_rev);

	if (r == -ENOENT)
		fprintf(stderr, "osh-enforce %s: there is no sandbox %s (see osh-enforce list)\n",
			command, name);
	else if (r < 0)
		fprintf(stderr, "osh-enforce %s: %s: %s\n", command, name, strerror(-r));
	return r;
}

/* *ret_again: another revision came in between, or is on its way. */
static int update_once(const struct options *o, const char *command, const char *name,
		       bool *ret_again)
{
	_cleanup_(edit_done) struct edit e = {0};
	_cleanup_free_ char *text = NULL, *said = NULL;
	uint64_t rev = 0;
	size_t n, changes = 0;
	int status;

	if (fetch(command, name, &text, &n, &rev) < 0)
		return 1;
	status = edit_text(o, command, (struct slice){(const uint8_t *)text, n}, &e, &changes,
			   &said);
	if (status)
		return status;
	if (o->dry_run || !changes) {
		fputs(said, o->dry_run ? stderr : stdout);
		if (!o->dry_run)
			return 0;
		return fwrite(e.text, 1, e.n, stdout) == e.n && fflush(stdout) == 0 ? 0 : 1;
	}
	status = policy_send(&(struct policy_send_options){
		.sandbox = name,
		.text = {(const uint8_t *)e.text, e.n},
		.label = "policy update",
		.base = rev,
		.wait = o->wait,
		.timeout_s = o->timeout_s,
		.ret_again = ret_again,
	});
	if (status == 0)
		fputs(said, stdout);
	return status;
}

static int update(const struct options *o, const char *command, const char *name)
{
	uint64_t tries = (uint64_t)o->timeout_s * 1000 / AGAIN_MS + 1;

	for (; tries > 0; tries--) {
		bool again = false;
		int status = update_once(o, command, name, &again);

		if (!again)
			return status;
		usleep(AGAIN_MS * 1000);
	}
	fprintf(stderr, "osh-enforce %s: %s: other policies keep coming in between; nothing is changed\n",
		command, name);
	return POLICY_SEND_TIMEOUT;
}

int policy_cmd_update(int argc, char **argv)
{
	struct options o = {.timeout_s = POLICY_TIMEOUT_DEFAULT_S};
	_cleanup_free_ char *name = NULL;
	int r = options_read(argc, argv, &o), status = r > 0 ? 0 : USAGE_EXIT;

	if (r == 0) {
		name = policy_sandbox_operand(argv[0], argv[optind], &status);
		if (name)
			status = update(&o, argv[0], name);
	}
	free(o.ops);
	free(o.binaries);
	return status;
}
