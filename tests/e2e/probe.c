/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - one static program that reaches out in every way the end-to-end tests try.  It knows no proxy variables and
 * no libc resolver, and prints what happened: `ok ...` and exit status 0, or the failed step, its errno, and 1.
 * What arrived is judged at the server, never from here.
 *
 *   tcp|mptcp|fastopen ADDRESS PORT [TEXT]   prints our port and the echo
 *   hold ADDRESS PORT                        connects, then sends a byte for each line of stdin and says how that went
 *   udp|udpconn|udplite|udp46 ADDRESS PORT   one datagram (udp46: an IPv6 socket to an IPv4 address)
 *   ping ADDRESS                             ICMP echo over a ping socket
 *   socket FAMILY TYPE PROTOCOL              numbers; only makes the socket
 *   dns ADDRESS NAME | dnstcp ADDRESS NAME   own resolver: prints the A record
 *   name NAME PORT [TEXT]                    own resolver with /etc/resolv.conf's server, then tcp
 *   listen ADDRESS PORT | listen any 0       says `listening PORT`, then `accepted` (any: listen without bind)
 *   reuseport ADDRESS PORT                   the same with SO_REUSEPORT, whether or not that can be set
 *   unix PATH | unixdgram PATH               PATH beginning with @ is abstract
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int fail(const char *step)
{
	printf("%s: %s\n", step, strerror(errno));
	return 1;
}

static socklen_t parse(const char *text, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*a4);
	}
	if (inet_pton(AF_INET6, text, &a6->sin6_addr) == 1) {
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons((uint16_t)atoi(port));
		return sizeof(*a6);
	}
	fprintf(stderr, "bad address %s\n", text);
	exit(2);
}

static int own_port(int fd)
{
	struct sockaddr_in6 a = {0};
	socklen_t n = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &n);
	return ntohs(a.sin6_port);
}

static ssize_t read_soon(int fd, void *buf, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 2000) <= 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	return recv(fd, buf, n, 0);
}

static int tcp(const char *how, const char *address, const char *port, const char *text)
{
	struct sockaddr_storage a;
	socklen_t n = parse(address, port, &a);
	char reply[512];
	ssize_t r;
	int fd = socket(a.ss_family, SOCK_STREAM, strcmp(how, "mptcp") == 0 ? IPPROTO_MPTCP : 0);

	if (fd < 0)
		return fail("socket");
	if (strcmp(how, "fastopen") == 0) {
		if (sendto(fd, text, strlen(text), MSG_FASTOPEN, (struct sockaddr *)&a, n) < 0)
			return fail("sendto");
	} else {
		if (connect(fd, (struct sockaddr *)&a, n) < 0)
			return fail("connect");
		if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
			return fail("send");
	}
	r = read_soon(fd, reply, sizeof(reply));
	if (r <= 0)
		return fail("recv");
	printf("ok port=%d echo=%.*s\n", own_port(fd), (int)r, reply);
	return 0;
}

static int hold(const char *address, const char *port)
{
	struct sockaddr_storage a;
	socklen_t n = parse(address, port, &a);
	int fd = socket(a.ss_family, SOCK_STREAM, 0);
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, n) < 0)
		return fail("connect");
	printf("connected %d\n", own_port(fd));
	while (fgets(line, sizeof(line), stdin)) {
		char reply[64];

		if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || read_soon(fd, reply, sizeof(reply)) <= 0)
			return fail("cut");
		puts("alive");
	}
	return 0;
}

static int udp(const char *how, const char *address, const char *port)
{
	struct sockaddr_storage a;
	socklen_t n = parse(address, port, &a);
	int family = strcmp(how, "udp46") == 0 ? AF_INET6 : a.ss_family;
	int fd = socket(family, SOCK_DGRAM, strcmp(how, "udplite") == 0 ? IPPROTO_UDPLITE : 0);

	if (fd < 0)
		return fail("socket");
	if (strcmp(how, "udpconn") == 0) {
		if (connect(fd, (struct sockaddr *)&a, n) < 0)
			return fail("connect");
		if (send(fd, "x", 1, 0) < 0)
			return fail("send");
	} else if (sendto(fd, "x", 1, 0, (struct sockaddr *)&a, n) < 0) {
		return fail("sendto");
	}
	puts("ok sent");
	return 0;
}

static int ping(const char *address)
{
	struct sockaddr_storage a;
	socklen_t n = parse(address, "0", &a);
	unsigned char echo[16] = {8};
	int fd = socket(a.ss_family, SOCK_DGRAM, a.ss_family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	if (a.ss_family == AF_INET6)
		echo[0] = 128;
	if (fd < 0)
		return fail("socket");
	if (sendto(fd, echo, sizeof(echo), 0, (struct sockaddr *)&a, n) < 0)
		return fail("sendto");
	puts("ok sent");
	return 0;
}

/* A query for NAME's address; returns its length. */
static size_t query(uint8_t *q, const char *name)
{
	static const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
	size_t n = sizeof(head);

	memcpy(q, head, sizeof(head));
	while (*name) {
		size_t l = strcspn(name, ".");

		q[n++] = (uint8_t)l;
		memcpy(q + n, name, l);
		n += l;
		name += l + (name[l] == '.');
	}
	memcpy(q + n, "\0\0\1\0\1", 5);
	return n + 5;
}

static int dns(int type, const char *server, const char *name, char *ret)
{
	struct sockaddr_storage a;
	socklen_t n = parse(server, "53", &a);
	uint8_t q[600], r[600];
	size_t qn = query(q + 2, name), skip = type == SOCK_STREAM ? 2 : 0;
	ssize_t rn;
	int fd = socket(a.ss_family, type, 0);

	if (fd < 0)
		return fail("socket");
	q[0] = (uint8_t)(qn >> 8);
	q[1] = (uint8_t)qn;
	if (connect(fd, (struct sockaddr *)&a, n) < 0)
		return fail("connect");
	if (send(fd, q + 2 - skip, qn + skip, MSG_NOSIGNAL) < 0)
		return fail("send");
	rn = read_soon(fd, r, sizeof(r));
	if (rn < (ssize_t)(12 + skip))
		return fail("recv");
	if ((r[skip + 3] & 15) || r[skip + 7] == 0) {
		printf("rcode=%d answers=%d\n", r[skip + 3] & 15, r[skip + 7]);
		return 1;
	}
	/* One answer, its address last; EDNS was not asked for. */
	inet_ntop(AF_INET, r + rn - 4, ret, INET_ADDRSTRLEN);
	return 0;
}

static int by_name(const char *name, const char *port, const char *text)
{
	char server[64] = "", line[128], address[INET_ADDRSTRLEN];
	FILE *f = fopen("/etc/resolv.conf", "re");

	while (f && fgets(line, sizeof(line), f))
		if (!*server)
			sscanf(line, "nameserver %63s", server);
	if (!*server)
		return fail("resolv.conf");
	if (dns(SOCK_DGRAM, server, name, address))
		return 1;
	return tcp("tcp", address, port, text);
}

static int listener(int option, const char *address, const char *port)
{
	struct sockaddr_storage a;
	socklen_t n = 0;
	int one = 1, fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(address, "any") != 0)
		n = parse(address, port, &a);
	fd = socket(n ? a.ss_family : AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return fail("socket");
	setsockopt(fd, SOL_SOCKET, option, &one, sizeof(one));
	if (n && bind(fd, (struct sockaddr *)&a, n) < 0)
		return fail("bind");
	if (listen(fd, 8) < 0)
		return fail("listen");
	printf("listening %d\n", own_port(fd));
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			return fail("accept");
		puts("accepted");
		close(c);
	}
}

static int local(int type, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	int fd = socket(AF_UNIX, type, 0);

	if (n >= sizeof(a.sun_path))
		return 2;
	memcpy(a.sun_path, path, n);
	if (*path == '@')
		a.sun_path[0] = 0;
	n += offsetof(struct sockaddr_un, sun_path) + (*path != '@');
	if (fd < 0)
		return fail("socket");
	if (connect(fd, (struct sockaddr *)&a, (socklen_t)n) < 0)
		return fail("connect");
	if (send(fd, "x\n", 2, MSG_NOSIGNAL) < 0)
		return fail("send");
	puts("ok");
	return 0;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "", *x = argc > 2 ? argv[2] : "", *y = argc > 3 ? argv[3] : "0";
	const char *text = argc > 4 ? argv[4] : "hello";
	char address[INET_ADDRSTRLEN];

	if (!strcmp(how, "tcp") || !strcmp(how, "mptcp") || !strcmp(how, "fastopen"))
		return tcp(how, x, y, text);
	if (!strcmp(how, "hold"))
		return hold(x, y);
	if (!strncmp(how, "udp", 3))
		return udp(how, x, y);
	if (!strcmp(how, "ping"))
		return ping(x);
	if (!strcmp(how, "socket"))
		return socket(atoi(x), atoi(y), atoi(text)) < 0 ? fail("socket") : (puts("ok"), 0);
	if (!strcmp(how, "dns") || !strcmp(how, "dnstcp")) {
		if (dns(strcmp(how, "dns") ? SOCK_STREAM : SOCK_DGRAM, x, y, address))
			return 1;
		puts(address);
		return 0;
	}
	if (!strcmp(how, "name"))
		return by_name(x, y, text);
	if (!strcmp(how, "listen"))
		return listener(SO_REUSEADDR, x, y);
	if (!strcmp(how, "reuseport"))
		return listener(SO_REUSEPORT, x, y);
	if (!strcmp(how, "unix") || !strcmp(how, "unixdgram"))
		return local(strcmp(how, "unix") ? SOCK_DGRAM : SOCK_STREAM, x);
	fprintf(stderr, "probe: see the head of probe.c\n");
	return 2;
}
