/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdcheck.h - what may be handed into a sandbox as descriptor 0, 1 or 2.
 *
 * A socket made outside is judged by no hook of the sandbox, and a directory leads out of its
 * files: so only regular files, pipes, unnamed Unix pairs and harmless character devices go in, and
 * a terminal only as the sandbox's own pty, and a file to read only from a mount that is read-only
 * (fdreadonly.h). Checked by the client, for a clear message, and by init, which is what counts.
 *
 * What the caller opened for writing the sandbox may change, its mode included: that is what it was
 * given for. So may it the mode of a FIFO with a name, where that is its user's.
 */
#pragma once

#include "policy/base.h"

enum fd_terminal {
	FD_TERMINAL_NONE,
	FD_TERMINAL_PTY, /* a Unix98 pty's slave, not its master */
	FD_TERMINAL_ANY, /* for the client, which puts a pty in its place, and for a file to read
			    another descriptor */
};

/* 0, or -EPERM with *ret_what a literal that names what it is ("an Internet socket"). */
int fd_check(int fd, enum fd_terminal terminal, const char **ret_what);
