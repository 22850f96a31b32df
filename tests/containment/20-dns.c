/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 20-dns.c - questions to resolvers, as no library would ask them.
 */
#include "net.h"

#include <time.h>

static size_t put_name(unsigned char *q, const char *name)
{
	size_t n = 0;

	while (*name) {
		size_t l = strcspn(name, ".");

		q[n++] = (unsigned char)l;
		for (size_t i = 0; i < l; i++)
			/* written as printable text: ^ is NUL, _ a dot inside the label, ~ a byte that is not ASCII */
			q[n++] = (unsigned char)(name[i] == '^' ? 0 : name[i] == '_' ? '.' : name[i] == '~' ? 0xe9 : name[i]);
		name += l + (name[l] == '.');
	}
	q[n++] = 0;
	return n;
}

static size_t question(unsigned char *q, int opcode, int type, int class, const char *name)
{
	unsigned char head[12] = {0x12, 0x34, (unsigned char)(opcode << 3 | 1), 0, 0, 1};
	size_t n;

	memcpy(q, head, sizeof(head));
	n = 12 + put_name(q + 12, name);
	q[n++] = (unsigned char)(type >> 8);
	q[n++] = (unsigned char)type;
	q[n++] = (unsigned char)(class >> 8);
	q[n++] = (unsigned char)class;
	return n;
}

static int to_server(const char *how, const char *server, unsigned char *q, size_t n)
{
	unsigned char framed[4096] = {(unsigned char)(n >> 8), (unsigned char)n}, r[512];
	int stream = strcmp(how, "tcp") == 0, fd;
	union address a;
	socklen_t an = address(server, "53", &a);
	struct pollfd p = {.events = POLLIN};
	ssize_t rn;

	memcpy(framed + 2, q, n);
	p.fd = fd = socket(a.any.sa_family, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (connect(fd, &a.any, an) < 0)
		return fail("connect");
	if (send(fd, framed + (stream ? 0 : 2), n + (stream ? 2 : 0), MSG_NOSIGNAL) < 0)
		return fail("send");
	if (poll(&p, 1, 1500) != 1)
		return puts("no answer"), 1;
	rn = recv(fd, r, sizeof(r), 0);
	if (rn < (stream ? 14 : 12))
		return puts("short answer"), 1;
	printf("rcode=%d answers=%d\n", r[stream ? 5 : 3] & 15, r[stream ? 9 : 7]);
	return 0;
}

/* ask udp|tcp SERVER TYPE NAME [CLASS [OPCODE]] */
APPLET(ask)
{
	unsigned char q[2048];

	return to_server(argv[1], argv[2], q,
			 question(q, argc > 6 ? atoi(argv[6]) : 0, atoi(argv[3]), argc > 5 ? atoi(argv[5]) : 1, argv[4]));
}

/* askmore udp|tcp SERVER NAME trailing|additional|two|response|edns TEXT: a good question, and more than a question */
APPLET(askmore)
{
	unsigned char q[2048];
	size_t n = question(q, 0, 1, 1, argv[3]), l = strlen(argv[5]);
	const char *how = argv[4];

	if (strcmp(how, "trailing") == 0) {
		memcpy(q + n, argv[5], l);
		n += l;
	} else if (strcmp(how, "two") == 0) {
		q[5] = 2;
		n += put_name(q + n, argv[5]);
		memcpy(q + n, "\0\1\0\1", 4);
		n += 4;
	} else if (strcmp(how, "response") == 0) {
		q[2] |= 0x80;
		n += put_name(q + n, argv[5]);
	} else if (strcmp(how, "edns") == 0) { /* option 65001 */
		unsigned char opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, (unsigned char)(l + 4), 0xfd, 0xe9, 0, (unsigned char)l};

		q[11] = 1;
		memcpy(q + n, opt, sizeof(opt));
		memcpy(q + n + sizeof(opt), argv[5], l);
		n += sizeof(opt) + l;
	} else { /* a TXT record in the additional section */
		unsigned char rr[] = {0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 1, 0, (unsigned char)(l + 1), (unsigned char)l};

		q[11] = 1;
		memcpy(q + n, rr, sizeof(rr));
		memcpy(q + n + sizeof(rr), argv[5], l);
		n += sizeof(rr) + l;
	}
	return to_server(argv[1], argv[2], q, n);
}

/* flood SERVER COUNT DOMAIN: so many names that nobody asked for before, as fast as they go */
APPLET(flood)
{
	union address a;
	socklen_t n = address(argv[1], "53", &a);
	int fd = socket(a.any.sa_family, SOCK_DGRAM, 0), count = atoi(argv[2]);
	unsigned char q[512], r[512];
	char name[200];

	srand((unsigned)time(NULL));
	if (connect(fd, &a.any, n) < 0)
		return fail("connect");
	for (int i = 0; i < count; i++) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		snprintf(name, sizeof(name), "exfil-flood-%d-%d.%s", i, rand(), argv[3]);
		if (send(fd, q, question(q, 0, 1, 1, name), 0) < 0 && errno != ECONNREFUSED)
			return fail("send");
		while (poll(&p, 1, i % 16 ? 0 : 2) == 1 && recv(fd, r, sizeof(r), 0) > 0)
			;
	}
	return done();
}
