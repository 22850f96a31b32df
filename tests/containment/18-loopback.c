/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 18-loopback.c - what was decided for a listener of one's own, and reaches whoever has its port later.
 */
#include "net.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#define FILLERS 4

static int patience(void)
{
	const char *p = getenv("PATIENCE");

	return p && atoi(p) > 0 ? atoi(p) : 1;
}

static void touch(const char *path)
{
	close(open(path, O_CREAT | O_WRONLY, 0666));
}

/* false: not there within ten seconds. */
static int appears(const char *path)
{
	struct stat st;

	for (int i = 0; i < 1000 * patience(); i++) {
		if (stat(path, &st) == 0)
			return 1;
		usleep(10000);
	}
	return 0;
}

/* A connect() that sends nothing yet. */
static int deferred(int fd, const union address *a, socklen_t n)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof(one)) < 0)
		return -1;
	return connect(fd, &a->any, n);
}

/* A connect() whose SYN the full listener does not answer: it is sent again after 1 s, 3 s, ... */
static int unanswered(int fd, const union address *a, socklen_t n)
{
	for (int i = 0; i < FILLERS; i++) { /* there is room for one */
		int f = socket(a->any.sa_family, SOCK_STREAM | (i ? SOCK_NONBLOCK : 0), 0);

		if (connect(f, &a->any, n) < 0 && errno != EINPROGRESS)
			return -1;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return connect(fd, &a->any, n) < 0 && errno != EINPROGRESS ? -1 : 0;
}

/*
 * outlive HOW ADDRESS PORT FREE TAKEN: connects to its own listener, closes that, makes the file FREE, and when TAKEN is
 * there sends.  HOW: deferred (TCP_FASTOPEN_CONNECT), syn (a SYN that is sent again), udp (a connected socket)
 */
APPLET(outlive)
{
	const int udp = strcmp(argv[1], "udp") == 0, type = udp ? SOCK_DGRAM : SOCK_STREAM;
	struct pollfd p = {.events = POLLOUT};
	union address a;
	socklen_t n = address(argv[2], argv[3], &a);
	int own = socket(a.any.sa_family, type, 0), one = 1, error = 0, r;
	socklen_t m = sizeof(error);
	char reply[64];

	setsockopt(own, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(own, &a.any, n) < 0 || (!udp && listen(own, 0) < 0))
		return fail("listen");
	p.fd = socket(a.any.sa_family, type, 0);
	if (strcmp(argv[1], "deferred") == 0)
		r = deferred(p.fd, &a, n);
	else
		r = udp ? connect(p.fd, &a.any, n) : unanswered(p.fd, &a, n);
	if (r < 0)
		fail("connect");
	close(own);
	touch(argv[4]);
	if (!appears(argv[5]))
		return puts("nobody took the port"), 1;
	puts("taken");
	if (strcmp(argv[1], "syn") == 0) {
		r = poll(&p, 1, 3500 * patience());
		getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &m);
		if (r != 1 || error) {
			errno = error ? error : ETIMEDOUT;
			return fail("connect");
		}
	}
	if (send(p.fd, TEXT, strlen(TEXT), MSG_NOSIGNAL) < 0)
		return fail("send");
	p.events = POLLIN;
	if (poll(&p, 1, 2000) != 1 || (r = (int)recv(p.fd, reply, sizeof(reply) - 1, 0)) <= 0)
		return fail("no answer");
	reply[r] = '\0';
	printf("answered %.*s\n", (int)strcspn(reply, "\r\n"), reply);
	return 0;
}

/*
 * forged ADDRESS FILE: asks the name server at ADDRESS, says in FILE which port it asked from, and then takes an answer
 * from anybody
 */
APPLET(forged)
{
	static const char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\6direct\7example\4test\0\0\1\0\1";
	struct pollfd p = {.events = POLLIN};
	union address a, from;
	socklen_t n = address(argv[1], "53", &a), m;
	char reply[512], path[256], text[64];
	ssize_t got;
	int f;

	p.fd = socket(a.any.sa_family, SOCK_DGRAM, 0);
	if (sendto(p.fd, question, sizeof(question) - 1, 0, &a.any, n) < 0)
		return fail("sendto");
	if (poll(&p, 1, 3000 * patience()) == 1 && recv(p.fd, reply, sizeof(reply), 0) > 0)
		puts("asked");
	m = sizeof(from);
	getsockname(p.fd, &from.any, &m);
	snprintf(path, sizeof(path), "%s.new", argv[2]);
	f = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	snprintf(text, sizeof(text), "%d", ntohs(from.v4.sin_port));
	if (f < 0 || write(f, text, strlen(text)) < 0 || rename(path, argv[2]) < 0)
		return fail(argv[2]);
	if (poll(&p, 1, 3000 * patience()) != 1)
		return puts("nothing"), 1;
	m = sizeof(from);
	got = recvfrom(p.fd, reply, sizeof(reply) - 1, 0, &from.any, &m);
	reply[got < 0 ? 0 : got] = '\0';
	printf("got %s, as from %s\n", reply, m ? inet_ntop(AF_INET, &from.v4.sin_addr, text, sizeof(text)) : "nobody");
	return 0;
}
