/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdcheck.c - tells the harmless kinds of descriptors from the rest.
 */
#include "user/fdcheck.h"

#include "user/fdreadonly.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static int refuse(const char **ret_what, const char *what)
{
	*ret_what = what;
	return -EPERM;
}

/* /dev/null, zero, full, random, urandom: Documentation/admin-guide/devices.txt, major 1. */
static bool harmless_device(dev_t device)
{
	static const unsigned int minors[] = {3, 5, 7, 8, 9};

	for (size_t i = 0; major(device) == 1 && i < ARRAY_LEN(minors); i++)
		if (minor(device) == minors[i])
			return true;
	return false;
}

/* A name on either side means that it is a connection to some service, not one end of a pair. */
static bool unnamed(int fd)
{
	struct sockaddr_un a;
	socklen_t n = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0 || n > sizeof(a.sun_family))
		return false;
	n = sizeof(a);
	return getpeername(fd, (struct sockaddr *)&a, &n) == 0 ? n <= sizeof(a.sun_family)
							       : errno == ENOTCONN;
}

static int check_socket(int fd, const char **ret_what)
{
	int family = 0;
	socklen_t n = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) < 0)
		return refuse(ret_what, "a socket of unknown kind");
	if (family == AF_INET || family == AF_INET6)
		return refuse(ret_what, "an Internet socket");
	if (family != AF_UNIX)
		return refuse(ret_what, "a socket that is neither a pipe nor a Unix pair");
	return unnamed(fd) ? 0 : refuse(ret_what, "a Unix socket connected to a service");
}

/* Majors 136 to 143 (include/uapi/linux/major.h): UNIX98_PTY_SLAVE_MAJOR. */
static bool pty_slave(dev_t device)
{
	return major(device) >= 136 && major(device) <= 143;
}

static int check_device(int fd, dev_t device, enum fd_terminal terminal, const char **ret_what)
{
	if (harmless_device(device))
		return 0;
	if (!isatty(fd))
		return refuse(ret_what, "a device");
	if (terminal == FD_TERMINAL_ANY || (terminal == FD_TERMINAL_PTY && pty_slave(device)))
		return 0;
	return refuse(ret_what, "a terminal of the host");
}

static int check_file(int fd, enum fd_terminal terminal, const char **ret_what)
{
	if (terminal == FD_TERMINAL_ANY || !fd_to_read(fd) || fd_mount_read_only(fd))
		return 0;
	return refuse(ret_what, "a file to read that could be changed through it");
}

int fd_check(int fd, enum fd_terminal terminal, const char **ret_what)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) < 0)
		return refuse(ret_what, "closed");
	if (flags & O_PATH)
		return refuse(ret_what, "a path without access");
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return check_file(fd, terminal, ret_what);
	case S_IFIFO:
		return 0;
	case S_IFSOCK:
		return check_socket(fd, ret_what);
	case S_IFDIR:
		return refuse(ret_what, "a directory");
	case S_IFBLK:
		return refuse(ret_what, "a block device");
	case S_IFCHR:
		return check_device(fd, st.st_rdev, terminal, ret_what);
	default:
		return refuse(ret_what, "neither file, pipe nor terminal");
	}
}
