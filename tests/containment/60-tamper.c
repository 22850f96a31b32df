/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 60-tamper.c - reaching for the processes that enforce.
 */
#include "attack.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <unistd.h>

/* strike SIGNAL PID | strike trace PID | strike mem PID */
APPLET(strike)
{
	pid_t pid = atoi(argv[2]);
	char path[64];
	long r;

	if (strcmp(argv[1], "trace") == 0)
		r = ptrace(PTRACE_SEIZE, pid, 0, 0);
	else if (strcmp(argv[1], "mem") == 0) {
		snprintf(path, sizeof(path), "/proc/%d/mem", pid);
		r = open(path, O_RDWR);
	} else if (strcmp(argv[1], "fds") == 0) {
		snprintf(path, sizeof(path), "/proc/%d/fd/0", pid);
		r = open(path, O_RDONLY | O_NONBLOCK);
	} else
		r = kill(pid, atoi(argv[1]));
	return r < 0 ? fail(argv[1]) : done();
}
