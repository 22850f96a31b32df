/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_exec.c - `exec NAME -- COMMAND` and `connect NAME`: one more command in a sandbox that runs
 * already.
 */
#include "user/environ.h"
#include "user/execclient.h"
#include "user/start.h"
#include "user/strv.h"
#include "user/usage.h"

#include <sys/stat.h>

static mode_t current_umask(void)
{
	mode_t mask = umask(022);

	umask(mask);
	return mask;
}

/* A connection to NAME, or words on why not. */
static int connect_to(const char *command, const char *name)
{
	int fd = -1, r;

	if (!sandbox_name_valid(name)) {
		fprintf(stderr,
			"osh-enforce %s: '%s' is not a name of a sandbox ([a-z0-9][a-z0-9_.-]*)\n",
			command, name);
		return -EINVAL;
	}
	r = control_connect(name, &fd);
	if (r == -ENOENT)
		fprintf(stderr, "osh-enforce %s: no sandbox '%s'; see: osh-enforce list\n", command,
			name);
	else if (r == -ECONNREFUSED)
		fprintf(stderr,
			"osh-enforce %s: sandbox '%s' has no supervisor any more; remove it: "
			"osh-enforce delete %s\n",
			command, name, name);
	else if (r < 0)
		fprintf(stderr, "osh-enforce %s: sandbox '%s': %s\n", command, name, strerror(-r));
	return r < 0 ? r : fd;
}

static int run_in(const char *command, const char *name, uint32_t flags, char *const *argv)
{
	_cleanup_strv_ char **env = NULL;
	struct exec_request request = {
		.flags = flags, .umask = current_umask(), .argv = (char **)argv};
	struct exec_end end;
	_cleanup_close_ int control = -1;

	sandbox_sweep();
	control = connect_to(command, name);
	if (control < 0)
		return USAGE_EXIT_RUN;
	if (environ_session(&env) < 0) {
		fprintf(stderr, "osh-enforce %s: out of memory\n", command);
		return USAGE_EXIT_RUN;
	}
	request.env = env;
	exec_client_run(control, &request, &end);
	exec_end_print(command, &end);
	return exec_end_status(&end);
}

static const struct option only_help[] = {{"help", no_argument, NULL, 'h'}, {0}};

/* Options before the first operand; returns its index, or -1 with *ret_status. */
static int operands(int argc, char **argv, int *ret_status)
{
	int c;

	while ((c = usage_getopt(argc, argv, "+h", only_help)) != -1) {
		if (c == 'h')
			usage_print(argv[0], stdout);
		*ret_status = c == 'h' ? 0 : usage_status(argv[0]);
		return -1;
	}
	return optind;
}

int cmd_exec(int argc, char **argv)
{
	int status, i = operands(argc, argv, &status);
	const char *name;

	if (i < 0)
		return status;
	if (i >= argc)
		return usage_error(argv[0], "which sandbox? Want: exec NAME -- COMMAND");
	name = argv[i++];
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	if (i >= argc)
		return usage_error(
			argv[0],
			"no command; want: exec %s -- COMMAND (a shell: osh-enforce connect %s)",
			name, name);
	if (!argv[i][0])
		return usage_error(argv[0], "the command is empty");
	return run_in("exec", name, 0, argv + i);
}

int cmd_connect(int argc, char **argv)
{
	int status, i = operands(argc, argv, &status);

	if (i < 0)
		return status;
	if (i >= argc)
		return usage_error(argv[0], "which sandbox? Want: connect NAME");
	if (i + 1 < argc)
		return usage_error(
			argv[0], "one NAME only; to run a command: osh-enforce exec %s -- COMMAND",
			argv[i]);
	return run_in("connect", argv[i], EXECREQ_LOGIN_SHELL, NULL);
}
