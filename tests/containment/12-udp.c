/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 12-udp.c - datagrams sent in every way that the kernel has for them.  All take ADDRESS PORT [TEXT] first.
 */
#include "net.h"

#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <sys/sendfile.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_CORK
#define UDP_CORK 1
#endif

static int dgram(const char *text, const char *port, union address *a, socklen_t *n)
{
	*n = address(text, port, a);
	return socket(a->any.sa_family, SOCK_DGRAM, 0);
}

static int sent(ssize_t r, const char *step)
{
	return r < 0 ? fail(step) : done();
}

APPLET(udpsendmsg)
{
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);
	struct iovec io = {(void *)TEXT, strlen(TEXT)};

	return sent(sendmsg(fd, &(struct msghdr){.msg_name = &a, .msg_namelen = n, .msg_iov = &io, .msg_iovlen = 1}, 0), "sendmsg");
}

/* udpsendmmsg ADDRESS PORT: two datagrams, the first to port 53, where the resolver takes it */
APPLET(udpsendmmsg)
{
	union address a[2];
	struct iovec io = {(void *)TEXT, strlen(TEXT)};
	struct mmsghdr m[2] = {0};
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a[1], &n);

	address(argv[1], "53", &a[0]);
	for (int i = 0; i < 2; i++)
		m[i].msg_hdr = (struct msghdr){.msg_name = &a[i], .msg_namelen = n, .msg_iov = &io, .msg_iovlen = 1};
	return sendmmsg(fd, m, 2, 0) == 2 ? done() : fail("sendmmsg");
}

/* Connected to port 53, where the resolver is; the datagram names another address. */
APPLET(udpelse)
{
	union address a, first;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	address(argv[1], "53", &first);
	if (connect(fd, &first.any, n) < 0)
		return fail("connect");
	return sent(sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n), "sendto");
}

/* Connected to port 53, then connected again. */
APPLET(udpagain)
{
	union address a, first;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	address(argv[1], "53", &first);
	if (connect(fd, &first.any, n) < 0 || connect(fd, &a.any, n) < 0)
		return fail("connect");
	return sent(write(fd, TEXT, strlen(TEXT)), "write");
}

/* An IPv4 address whose family is left out (AF_UNSPEC), as the kernel allows. */
APPLET(udpunspec)
{
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	a.any.sa_family = AF_UNSPEC;
	return sent(sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n), "sendto");
}

/* An IPv6 socket connected to an IPv4 address. */
APPLET(udp46conn)
{
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (connect(fd, &a.any, n) < 0)
		return fail("connect");
	return sent(send(fd, TEXT, strlen(TEXT), 0), "send");
}

/* One large buffer that the kernel cuts into datagrams. */
APPLET(udpgso)
{
	union address a;
	socklen_t n;
	int size = 100, fd = dgram(argv[1], argv[2], &a, &n);
	char buf[500] = TEXT;

	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) < 0)
		return fail("setsockopt");
	return sent(sendto(fd, buf, sizeof(buf), 0, &a.any, n), "sendto");
}

/* Put together in two steps: the first names port 53, the second the address meant. */
APPLET(udpcork)
{
	union address a, first;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	address(argv[1], "53", &first);
	(void)sendto(fd, TEXT, strlen(TEXT), MSG_MORE, &first.any, n);
	if (sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n) < 0) /* ends the first, wherever to */
		return fail("sendto");
	return sent(sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n), "sendto");
}

APPLET(udpmore)
{
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	if (sendto(fd, TEXT, strlen(TEXT), MSG_MORE, &a.any, n) < 0)
		return fail("sendto");
	return sent(send(fd, TEXT, strlen(TEXT), 0), "send");
}

/* Larger than a packet: leaves in fragments. */
APPLET(udpfragments)
{
	static char buf[8000] = TEXT;
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	return sent(sendto(fd, buf, sizeof(buf), 0, &a.any, n), "sendto");
}

APPLET(udpzerocopy)
{
	union address a;
	socklen_t n;
	int one = 1, fd = dgram(argv[1], argv[2], &a, &n);

	if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0)
		return fail("setsockopt");
	return sent(sendto(fd, TEXT, strlen(TEXT), MSG_ZEROCOPY, &a.any, n), "sendto");
}

/* From a file and from a pipe, without send(). */
APPLET(udpsendfile)
{
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n), file = open("/proc/self/exe", O_RDONLY);

	if (connect(fd, &a.any, n) < 0)
		return fail("connect");
	return sent(sendfile(fd, file, NULL, 100), "sendfile");
}

APPLET(udpsplice)
{
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n), p[2];

	if (pipe(p) < 0 || write(p[1], TEXT, strlen(TEXT)) < 0)
		return fail("pipe");
	if (connect(fd, &a.any, n) < 0)
		return fail("connect");
	return sent(splice(p[0], NULL, fd, NULL, strlen(TEXT), 0), "splice");
}

APPLET(udpbroadcast)
{
	union address a;
	socklen_t n;
	int one = 1, fd = dgram(argv[1], argv[2], &a, &n);

	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	return sent(sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n), "sendto");
}

/* udplite6 ADDRESS PORT, and connected: UDP-Lite over IPv6 */
APPLET(udplite6)
{
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);
	int fd = socket(a.any.sa_family, SOCK_DGRAM, IPPROTO_UDPLITE);

	if (fd < 0)
		return fail("socket");
	if (connect(fd, &a.any, n) < 0)
		return fail("connect");
	return sent(send(fd, TEXT, strlen(TEXT), 0), "send");
}

/* quic ADDRESS PORT: the form of a QUIC version 1 Initial packet */
APPLET(quic)
{
	static unsigned char initial[1200] = {0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x96};
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	return sent(sendto(fd, initial, sizeof(initial), 0, &a.any, n), "sendto");
}

/* rawtext ADDRESS PORT TEXT: a datagram that is no DNS message, to any port; a minute's patience for no answer */
APPLET(rawtext)
{
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	return sent(sendto(fd, argv[3], strlen(argv[3]), 0, &a.any, n), "sendto");
}

/* multicast GROUP PORT DEVICE */
APPLET(multicast)
{
	union address a;
	socklen_t n;
	int fd = dgram(argv[1], argv[2], &a, &n);

	return sent(sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n), "sendto");
}
