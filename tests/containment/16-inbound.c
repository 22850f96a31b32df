/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16-inbound.c - listeners and receivers.  Each says `listening PORT` or `receiving PORT`, waits a little, and says
 * `accepted` or `received` when somebody comes.
 */
#include "net.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>


static int port_of(int fd)
{
	union address a;
	socklen_t n = sizeof(a);

	getsockname(fd, &a.any, &n);
	return ntohs(a.v4.sin_port); /* the same place in both families */
}

static int wait_for(int fd, const char *what)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	const char *times = getenv("PATIENCE");
	char buf[64];

	printf("%s %d\n", what, port_of(fd));
	if (poll(&p, 1, 2500 * (times ? atoi(times) : 1)) != 1)
		return puts("nobody"), 1;
	if (*what == 'r') {
		if (recv(fd, buf, sizeof(buf), 0) <= 0)
			return fail("recv");
		return puts("received"), 0;
	}
	if (accept(fd, NULL, NULL) < 0)
		return fail("accept");
	return puts("accepted"), 0;
}

/* accept ADDRESS [fastopen|device|deferred|mptcp|v6only|reuseport PORT]; ADDRESS any: listen() without bind() */
APPLET(accept)
{
	const char *how = argc > 2 ? argv[2] : "";
	union address a = {.any = {.sa_family = AF_INET}};
	socklen_t n = 0;
	int one = 1, five = 5, fd;

	if (strcmp(argv[1], "any6") == 0)
		a.any.sa_family = AF_INET6;
	else if (strcmp(argv[1], "any") != 0)
		n = address(argv[1], argc > 3 ? argv[3] : "0", &a);
	fd = socket(a.any.sa_family, SOCK_STREAM, strcmp(how, "mptcp") == 0 ? 262 : 0);
	if (fd < 0)
		return fail("socket");
	if (strcmp(how, "device") == 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "v0", 3) < 0)
		return fail("setsockopt");
	if (strcmp(how, "fastopen") == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &five, sizeof(five));
	if (strcmp(how, "deferred") == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &five, sizeof(five));
	if (strcmp(how, "v6only") == 0)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (strcmp(how, "reuseport") == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
		return fail("setsockopt");
	if (n && bind(fd, &a.any, n) < 0)
		return fail("bind");
	if (listen(fd, 8) < 0)
		return fail("listen");
	return wait_for(fd, "listening");
}

/* A listener in a socket that was connected before and let go. */
APPLET(acceptagain)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);
	int fd = socket(a.any.sa_family, SOCK_STREAM, 0);

	if (connect(fd, &a.any, n) < 0 || connect(fd, &none, sizeof(none)) < 0)
		return fail("connect");
	if (listen(fd, 8) < 0)
		return fail("listen");
	return wait_for(fd, "listening");
}

/* receive ADDRESS: a UDP socket that only listens */
APPLET(receive)
{
	union address a;
	socklen_t n = address(argv[1], "0", &a);
	int fd = socket(a.any.sa_family, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, &a.any, n) < 0)
		return fail("bind");
	return wait_for(fd, "receiving");
}

/* inside ADDRESS FROM: a listener, and a connection to it from this very program */
APPLET(inside)
{
	union address a, c;
	socklen_t n = address(argv[1], "0", &a), m;
	char port[16];
	int fd = socket(a.any.sa_family, SOCK_STREAM, 0), to;

	if (bind(fd, &a.any, n) < 0 || listen(fd, 8) < 0)
		return fail("listen");
	snprintf(port, sizeof(port), "%d", port_of(fd));
	m = address(argv[2], port, &c);
	to = socket(c.any.sa_family, SOCK_STREAM, 0);
	if (connect(to, &c.any, m) < 0 || write(to, "x", 1) != 1)
		return fail("connect");
	fd = accept(fd, NULL, NULL);
	return fd >= 0 && read(fd, port, 1) == 1 ? done() : fail("accept");
}
