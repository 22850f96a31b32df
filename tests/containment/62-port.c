/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 62-port.c - a program that trusts what it is turned to, and others that want to be there in its place.
 */
#include "net.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define QUESTION "\x12\x34\1\0\0\1\0\0\0\0\0\0\5trust\4flow\4test\0\0\1\0\1"

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* How many times as long a slow machine takes. */
static int patience(void)
{
	const char *times = getenv("PATIENCE");

	return times ? atoi(times) : 1;
}

/* One socket, connected once, that asks all the time: as trust. */
static int trust_held(const union address *a, socklen_t n)
{
	struct pollfd p = {.fd = socket(a->any.sa_family, SOCK_DGRAM, 0), .events = POLLIN};
	bool served = false;
	char reply[512];

	if (connect(p.fd, &a->any, n) < 0)
		return fail("connect");
	for (long end = now_ms() + 25000 * patience(); now_ms() < end; usleep(30000)) {
		if (send(p.fd, QUESTION, sizeof(QUESTION) - 1, 0) > 0 && poll(&p, 1, 150 * patience()) == 1 &&
		    recv(p.fd, reply, sizeof(reply), 0) > 0 && !served) {
			served = true;
			puts("served");
			fflush(stdout);
		}
	}
	return 0;
}

/*
 * trust tcp|udp|held ADDRESS PORT: asks again and again, until it is killed or 25 s (times PATIENCE) are over; says `served` when it first
 * gets an answer.  held: UDP, always by the same connected socket
 */
APPLET(trust)
{
	static const char get[] = "GET /ok/trust HTTP/1.1\r\nHost: trust.flow.test:8080\r\n\r\n";
	bool udp = strcmp(argv[1], "udp") == 0, served = false;
	struct linger hard = {1, 0};
	union address a;
	socklen_t n = address(argv[2], argv[3], &a);
	char reply[512];

	if (strcmp(argv[1], "held") == 0)
		return trust_held(&a, n);
	for (long end = now_ms() + 25000 * patience(); now_ms() < end; usleep(30000)) {
		struct pollfd p = {.events = POLLIN};

		p.fd = socket(a.any.sa_family, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
		setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)); /* leaves no port waiting */
		if (connect(p.fd, &a.any, n) == 0 &&
		    send(p.fd, udp ? QUESTION : get, udp ? sizeof(QUESTION) - 1 : sizeof(get) - 1, MSG_NOSIGNAL) > 0 &&
		    poll(&p, 1, 150 * patience()) == 1 && recv(p.fd, reply, sizeof(reply), 0) > 0 && !served) {
			served = true;
			puts("served");
		}
		close(p.fd);
	}
	return 0;
}

static int bound_port(int fd)
{
	union address a;
	socklen_t n = sizeof(a);

	getsockname(fd, &a.any, &n);
	return ntohs(a.v4.sin_port);
}

/* Sockets with ports of the kernel's choice, until it has chosen `port`. */
static int chosen(int family, bool udp, bool by_bind, int port)
{
	union address a = {.any = {.sa_family = (sa_family_t)family}};
	int held[512], n = 0, fd = -1;

	while (n < 512) {
		fd = socket(family, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
		if ((by_bind && bind(fd, &a.any, sizeof(a.v6)) < 0) || (!udp && listen(fd, 8) < 0)) {
			fail("no port");
			close(fd);
			fd = -1;
			break;
		}
		if (bound_port(fd) == port)
			break;
		held[n++] = fd;
		fd = -1;
	}
	while (n > 0)
		close(held[--n]);
	errno = EADDRINUSE;
	return fd;
}

static int taken(const char *how, const char *where, const char *port)
{
	bool udp = strncmp(how, "udp", 3) == 0;
	union address a;
	socklen_t n;
	int one = 1, fd, c;

	if (strstr(how, "chosen") || strcmp(how, "unbound") == 0)
		return chosen(strchr(where, ':') ? AF_INET6 : AF_INET, udp, how[0] != 'u' || udp, atoi(port));
	n = address(where, port, &a);
	fd = socket(a.any.sa_family, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (strstr(how, "reuseport") && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
		fail("SO_REUSEPORT");
	if (bind(fd, &a.any, n) < 0 || (!udp && listen(fd, 8) < 0)) {
		fail("bind");
		c = errno;
		close(fd);
		errno = c;
		return -1;
	}
	return fd;
}

/* usurp HOW ADDRESS PORT [GO TURN MS]: takes the port, when the file GO is there and nobody else holds TURN, and says who comes
 *   HOW: tcp udp reuseport udpreuseport, or chosen udpchosen unbound: as the kernel chooses, by bind() or listen() */
APPLET(usurp)
{
	struct pollfd p = {.events = POLLIN};
	struct stat st;
	char text[512];
	long end;
	int turn = argc > 4 ? open(argv[5], O_RDWR | O_CREAT, 0666) : -1, c;
	ssize_t n;

	if (argc > 4) {
		while (stat(argv[4], &st) < 0)
			usleep(10000);
		if (turn < 0 || flock(turn, LOCK_EX) < 0)
			return fail(argv[5]);
	}
	end = now_ms() + (argc > 6 ? atoi(argv[6]) : 0);
	do
		p.fd = taken(argv[1], argv[2], argv[3]);
	while (p.fd < 0 && errno != EPERM && now_ms() < end);
	if (p.fd < 0)
		return 1;
	printf("bound %d\n", bound_port(p.fd));
	if (argc <= 4)
		return 0;
	if (poll(&p, 1, atoi(argv[6])) != 1)
		return puts("nobody"), 1;
	c = strncmp(argv[1], "udp", 3) == 0 ? p.fd : accept(p.fd, NULL, NULL);
	p.fd = c;
	if (c < 0 || poll(&p, 1, 1000) != 1 || (n = recv(c, text, sizeof(text) - 1, 0)) <= 0)
		return puts("accepted, nothing said"), 0;
	text[n] = '\0';
	printf("accepted %.*s\n", (int)strcspn(text, "\r\n"), text);
	return 0;
}
