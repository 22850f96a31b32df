/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tty.h - the user's terminal, and the sandbox's pty that stands in for it.
 *
 * The user's own terminal never enters a sandbox: who holds it can read what is typed later and,
 * with an ioctl, type.
 */
#pragma once

#include "policy/base.h"

#include <sys/types.h>
#include <termios.h>

/* The user's terminal; what tty_raw() found is what tty_restore() puts back. */
struct tty {
	int fd; /* -1: none */
	bool raw;
	struct termios saved;
};

/* Is this process's job in the foreground of the terminal?  True for one that controls nobody. */
bool tty_foreground(const struct tty *t);

/* Was it hung up?  False when there is none. */
bool tty_gone(const struct tty *t);

/* Raw: every key goes through untouched.  Nothing happens while the job is in the background:
 * changing the settings there would stop it. */
void tty_raw(struct tty *t);
/* Puts the settings back as tty_raw() found them. */
void tty_restore(struct tty *t);

struct pty {
	int master, slave; /* -1: none; the master is non-blocking */
	bool settings_copied;
};

/*
 * A pty in the sandbox's own /dev/pts, so that its name inside is right; init_pid: a process
 * inside, uid: who may open it there.
 */
int pty_open(pid_t init_pid, uid_t uid, struct pty *ret);
void pty_close(struct pty *p);
/* The settings of the user's terminal, once: as found while this job has the foreground.  In the
 * background they are those that the shell needs for its own line editing. */
void pty_copy_settings(struct pty *p, const struct tty *t);
void pty_copy_size(const struct pty *p, const struct tty *t);
/* Whether the pty or the user's terminal, still in its own mode, turns newlines into CR LF. */
void pty_process_output(const struct pty *p, bool pty_does);
