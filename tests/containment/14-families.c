/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 14-families.c - packets and sockets of kinds that no sandbox has.
 */
#include "net.h"

#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

static unsigned short sum(const void *p, size_t n)
{
	const unsigned char *b = p;
	unsigned long s = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += (unsigned long)(b[i] << 8 | b[i + 1]);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((unsigned short)~s);
}

/* raw ADDRESS PROTOCOL: eight bytes of that protocol over a raw socket */
APPLET(raw)
{
	union address a;
	socklen_t n = address(argv[1], "0", &a);
	int protocol = atoi(argv[2]), fd = socket(a.any.sa_family, SOCK_RAW, protocol);
	unsigned char bytes[20] = {8};

	if (fd < 0)
		return fail("socket");
	if (protocol == IPPROTO_ICMPV6)
		bytes[0] = 128;
	*(unsigned short *)(bytes + 2) = protocol == IPPROTO_ICMP ? sum(bytes, sizeof(bytes)) : 0;
	if (protocol == IPPROTO_TCP) { /* a SYN to port 4000 */
		memcpy(bytes, "\x12\x34\x0f\xa0", 4);
		bytes[12] = 0x50;
		bytes[13] = 2;
	} else if (protocol == IPPROTO_UDP) {
		memcpy(bytes, "\x12\x34\x0f\xa0\0\x14", 6);
	}
	return sendto(fd, bytes, sizeof(bytes), 0, &a.any, n) < 0 ? fail("sendto") : done();
}

/* hdrincl ADDRESS: an IPv4 header of its own making */
APPLET(hdrincl)
{
	struct {
		struct iphdr ip;
		struct icmphdr icmp;
	} p = {.ip = {.version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_ICMP}, .icmp = {.type = 8}};
	union address a;
	socklen_t n = address(argv[1], "0", &a);
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (fd < 0)
		return fail("socket");
	p.ip.daddr = a.v4.sin_addr.s_addr;
	p.icmp.checksum = sum(&p.icmp, sizeof(p.icmp));
	return sendto(fd, &p, sizeof(p), 0, &a.any, n) < 0 ? fail("sendto") : done();
}

/* packet TYPE DEVICE TOKEN: a frame with a token, past everything above the device */
APPLET(packet)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_halen = 6};
	char frame[100] = {0};
	size_t head;
	int type = atoi(argv[1]), fd = socket(AF_PACKET, type, htons(0x88b5));

	if (fd < 0)
		return fail("socket");
	memset(a.sll_addr, 0xff, 6);
	a.sll_ifindex = (int)if_nametoindex(argv[2]);
	head = type == SOCK_RAW ? 14 : 0;
	memset(frame, 0xff, 6);
	frame[12] = (char)0x88;
	frame[13] = (char)0xb5;
	memcpy(frame + head, argv[3], strlen(argv[3]));
	return sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&a, sizeof(a)) < 0 ? fail("sendto") : done();
}

/* spkt DEVICE TOKEN: the ancient SOCK_PACKET */
APPLET(spkt)
{
	struct sockaddr a = {.sa_family = AF_INET};
	char frame[100] = {0};
	int fd = socket(AF_INET, SOCK_PACKET, htons(0x88b5));

	if (fd < 0)
		return fail("socket");
	memset(frame, 0xff, 6);
	frame[12] = (char)0x88;
	frame[13] = (char)0xb5;
	memcpy(frame + 14, argv[2], strlen(argv[2]));
	strncpy(a.sa_data, argv[1], sizeof(a.sa_data) - 1);
	return sendto(fd, frame, sizeof(frame), 0, &a, sizeof(a)) < 0 ? fail("sendto") : done();
}

/* sctp|dccp ADDRESS PORT: connects (TYPE PROTOCOL first) */
APPLET(other)
{
	union address a;
	socklen_t n = address(argv[3], argv[4], &a);
	int fd = socket(a.any.sa_family, atoi(argv[1]), atoi(argv[2]));
	struct timeval t = {.tv_sec = 1};

	if (fd < 0)
		return fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	return connect(fd, &a.any, n) < 0 ? fail("connect") : done();
}

/* alg: hashes with the kernel's crypto */
APPLET(alg)
{
	struct sockaddr_alg a = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0), op;

	if (fd < 0)
		return fail("socket");
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fail("bind");
	op = accept(fd, NULL, NULL);
	if (op < 0 || write(op, "x", 1) != 1)
		return fail("accept");
	puts("hashed");
	return 0;
}

/* sock FAMILY TYPE PROTOCOL [hex]: says `made`; arguments are whole registers */
APPLET(sock)
{
	int fd = socket(atoi(argv[1]), (int)strtol(argv[2], NULL, 0), (int)strtol(argv[3], NULL, 0));

	if (fd < 0)
		return fail("socket");
	puts("made");
	return 0;
}

/* wide FAMILY TYPE PROTOCOL: the same with rubbish in the upper halves, which the kernel does not look at */
APPLET(wide)
{
	long high = 0x5eedL << 32;
	long fd = syscall(41 /* SYS_socket */, high | atol(argv[1]), high | strtol(argv[2], NULL, 0), high | atol(argv[3]));

	if (fd < 0)
		return fail("socket");
	puts("made");
	return 0;
}

APPLET(pair)
{
	int p[2];

	if (socketpair(atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), p) < 0)
		return fail("socketpair");
	puts("made");
	return 0;
}
