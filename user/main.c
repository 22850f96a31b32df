/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the program: finds the command, asks for root where it is needed, runs it.
 *
 * The commands themselves are in user/cmd_*.c, their help texts in user/usage.c.  Nothing here
 * reads a policy, a sandbox or the network.
 */
#include "user/start.h"
#include "user/usage.h"

#include <fcntl.h>

enum root_need { ROOT_NO, ROOT_YES };

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	enum root_need root;
};

/* The order of `osh-enforce --help` is that of usage.c, which also holds the one-line help of each.
 */
static const struct command commands[] = {
	{"run", cmd_run, ROOT_YES},
	{"exec", cmd_exec, ROOT_YES},
	{"connect", cmd_connect, ROOT_YES},
	{"list", cmd_list, ROOT_YES},
	{"status", cmd_status, ROOT_YES},
	{"reload", cmd_reload, ROOT_YES},
	{"delete", cmd_delete, ROOT_YES},
	{"logs", cmd_logs, ROOT_YES},
	{"policy", cmd_policy, ROOT_NO},
	{"doctor", cmd_doctor, ROOT_NO},
	/* What this binary is when it starts itself; not for people. */
	{"__supervise", supervise_main, ROOT_YES},
	{"__launch", launch_main, ROOT_YES},
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* A descriptor opened later must never land on 0, 1 or 2 and be taken for a terminal. */
static int standard_fds_open(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= 2 && fcntl(fd, F_SETFD, 0) == 0);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int unknown_command(const char *name)
{
	const char *meant = usage_suggest(name);

	if (*name == '-')
		return usage_error("", "unknown option '%s'", name);
	if (meant)
		return usage_error("", "unknown command '%s' (did you mean '%s'?)", name, meant);
	return usage_error("", "unknown command '%s'", name);
}

static bool is_help(const char *arg)
{
	return arg && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0);
}

static int print_help(const char *name)
{
	if (name && !usage_summary(name))
		return unknown_command(name);
	usage_print(name, stdout);
	return 0;
}

/* What was printed must have arrived, or the status says that it did not. */
static int finish(const char *name, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		fprintf(stderr, "osh-enforce %s: the output could not be written\n", name);
	return status ? status : usage_status(name) == USAGE_EXIT_RUN ? USAGE_EXIT_RUN : 1;
}

static int command_run(const struct command *c, int argc, char **argv)
{
	if (c->root == ROOT_YES && geteuid() != 0) {
		fprintf(stderr,
			"osh-enforce %s: must be run as root; try: sudo osh-enforce %s ...\n",
			c->name, c->name);
		return usage_status(c->name) == USAGE_EXIT_RUN ? USAGE_EXIT_RUN : 1;
	}
	return finish(c->name, c->run(argc, argv));
}

int main(int argc, char **argv)
{
	const struct command *c;
	const char *name = argc > 1 ? argv[1] : NULL;

	if (standard_fds_open() < 0)
		return USAGE_EXIT_RUN;
	if (!name) {
		usage_print(NULL, stderr);
		return USAGE_EXIT;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("osh-enforce " OSH_VERSION);
		return finish(name, 0);
	}
	if (is_help(name) || strcmp(name, "help") == 0)
		return finish("help", print_help(argc > 2 ? argv[2] : NULL));

	c = command_find(name);
	if (!c)
		return unknown_command(name);
	/* Asked for first, help needs no root. */
	if (is_help(argc > 2 ? argv[2] : NULL) && usage_summary(name))
		return finish("help", print_help(name));
	return command_run(c, argc - 1, argv + 1);
}
