/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 56-sockets.c - Unix sockets and descriptors of others.
 */
#include "attack.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* take PATH [TEXT]: receives a descriptor over the Unix socket PATH and writes TEXT ("taken") into it */
APPLET(take)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", argv[1]);
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fail("connect");
	if (recvmsg(s, &m, 0) < 0 || !CMSG_FIRSTHDR(&m))
		return fail("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return dprintf(fd, "%s", argc > 2 ? argv[2] : "taken") < 0 ? fail("write") : done();
}

/* getfd PID FD: takes it with pidfd_getfd and writes "taken" into it */
APPLET(getfd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0), fd;

	if (pidfd < 0)
		return fail("pidfd_open");
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(argv[2]), 0);
	if (fd < 0)
		return fail("pidfd_getfd");
	return write(fd, "taken", 5) < 0 ? fail("write") : done();
}

/* inherited TEXT: writes TEXT into every descriptor above 2 that is not this test's own, and into 0 */
APPLET(inherited)
{
	int n = 0;

	for (int fd = 0; fd < 64; fd++)
		if ((fd == 0 || fd > 2) && write(fd, argv[1], strlen(argv[1])) > 0)
			n++;
	return printf("%d written\n", n) < 0;
}

/* joincgroup: writes its pid into cgroup.procs of every directory that it has open */
APPLET(joincgroup)
{
	int n = 0;

	for (int fd = 3; fd < 64; fd++) {
		int procs = openat(fd, "cgroup.procs", O_WRONLY);

		n += procs >= 0 && write(procs, "0", 1) == 1;
	}
	return printf("%d joined\n", n) < 0;
}
