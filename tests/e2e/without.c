/* SPDX-License-Identifier: Apache-2.0 */
/*
 * without.c - runs a command on a kernel that seems to lack something: `without CALL[:ARG0[+]]=ERRNO... -- COMMAND...`
 * (+: and a third argument that is not 0).
 * Each such system call of the command and all it starts returns ERRNO; 0: success, with nothing done.  For tests of
 * what a start does when a wall cannot be had, or is said to stand and does not.
 */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		char *value = strchr(argv[i], '='), *arg;
		unsigned int error;
		int nr;

		if (!value)
			return 2;
		*value++ = '\0';
		error = (unsigned int)atoi(value);
		arg = strchr(argv[i], ':');
		if (arg)
			*arg++ = '\0';
		nr = seccomp_syscall_resolve_name(argv[i]);
		if (nr == __NR_SCMP_ERROR ||
		    (arg && strchr(arg, '+')
			 ? seccomp_rule_add(c, SCMP_ACT_ERRNO(error), nr, 2, SCMP_A0(SCMP_CMP_EQ, strtoull(arg, NULL, 0)),
					    SCMP_A2(SCMP_CMP_NE, 0))
		     : arg ? seccomp_rule_add(c, SCMP_ACT_ERRNO(error), nr, 1, SCMP_A0(SCMP_CMP_EQ, strtoull(arg, NULL, 0)))
			 : seccomp_rule_add(c, SCMP_ACT_ERRNO(error), nr, 0)) < 0) {
			fprintf(stderr, "without: %s\n", argv[i]);
			return 2;
		}
	}
	if (i + 1 >= argc || seccomp_attr_set(c, SCMP_FLTATR_CTL_NNP, 0) < 0 || seccomp_load(c) < 0) {
		perror("without");
		return 2;
	}
	execvp(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 2;
}
