/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tty.c - terminal settings, and a pty made inside the sandbox by a process outside.
 */
#include "user/tty.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#define TTY_GROUP 5 /* as in the devpts mount of the sandbox */

bool tty_foreground(const struct tty *t)
{
	pid_t group = t->fd < 0 ? -1 : tcgetpgrp(t->fd);

	return group < 0 ? t->fd >= 0
			 : group == getpgrp(); /* ENOTTY: not our controlling terminal */
}

bool tty_gone(const struct tty *t)
{
	struct termios a;

	return t->fd >= 0 && tcgetattr(t->fd, &a) < 0 && errno == EIO;
}

static int set_attributes(int fd, const struct termios *a)
{
	int r;

	do {
		r = tcsetattr(fd, TCSADRAIN, a);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

void tty_raw(struct tty *t)
{
	struct termios a;

	if (t->fd < 0 || !tty_foreground(t))
		return;
	/* Still raw, or thought to be: another program may have changed it while we were stopped.
	 */
	if (!t->raw && tcgetattr(t->fd, &t->saved) < 0)
		return;
	a = t->saved;
	cfmakeraw(&a);
	if (set_attributes(t->fd, &a) == 0)
		t->raw = true;
}

void tty_restore(struct tty *t)
{
	if (t->fd < 0 || !t->raw)
		return;
	t->raw = false;
	if (tty_foreground(t))
		(void)set_attributes(t->fd, &t->saved);
}

/* ---------------------------------------------------------------------------------------- the pty
 * -- */

static int open_in(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* The multiplexer of the sandbox's devpts instance.  Nothing inside can put anything else there,
 * but this is root. */
static int open_multiplexer(pid_t init_pid)
{
	char path[64];
	_cleanup_close_ int root = -1, master = -1;
	struct statfs fs;

	snprintf(path, sizeof(path), "/proc/%d/root", (int)init_pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	master = open_in(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK,
			 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	if (master < 0)
		return master;
	if (fstatfs(master, &fs) < 0)
		return -errno;
	return fs.f_type == DEVPTS_SUPER_MAGIC ? steal_fd(&master) : -ENOTTY;
}

static int open_slave(int master, uid_t uid)
{
	int unlocked = 0;
	_cleanup_close_ int slave = -1;

	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return -errno;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	if (fchown(slave, uid, TTY_GROUP) < 0 || fchmod(slave, 0620) < 0)
		return -errno;
	return steal_fd(&slave);
}

int pty_open(pid_t init_pid, uid_t uid, struct pty *ret)
{
	_cleanup_close_ int master = open_multiplexer(init_pid), slave = -1;

	if (master < 0)
		return master;
	slave = open_slave(master, uid);
	if (slave < 0)
		return slave;
	*ret = (struct pty){.master = steal_fd(&master), .slave = steal_fd(&slave)};
	return 0;
}

void pty_close(struct pty *p)
{
	if (p->master >= 0)
		close(p->master);
	if (p->slave >= 0)
		close(p->slave);
	p->master = p->slave = -1;
}

void pty_copy_settings(struct pty *p, const struct tty *t)
{
	struct termios a;

	if (p->slave < 0 || p->settings_copied || !tty_foreground(t) || tcgetattr(t->fd, &a) < 0)
		return;
	p->settings_copied = set_attributes(p->slave, &a) == 0;
}

void pty_copy_size(const struct pty *p, const struct tty *t)
{
	struct winsize size;

	if (p->master >= 0 && t->fd >= 0 && ioctl(t->fd, TIOCGWINSZ, &size) == 0)
		(void)ioctl(p->master, TIOCSWINSZ, &size); /* tells the foreground job inside */
}

void pty_process_output(const struct pty *p, bool pty_does)
{
	struct termios a;

	if (p->slave < 0 || tcgetattr(p->slave, &a) < 0)
		return;
	a.c_oflag = pty_does ? a.c_oflag | OPOST : a.c_oflag & ~(tcflag_t)OPOST;
	(void)tcsetattr(p->slave, TCSANOW, &a);
}
