/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 10-tcp.c - connections and packets in every way that the kernel has for them.
 */
#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* rawicmp ADDRESS: an echo request over a raw socket */
APPLET(rawicmp)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	unsigned char echo[8] = {8, 0, 0xf7, 0xff};
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	inet_pton(AF_INET, argv[1], &a.sin_addr);
	if (fd < 0)
		return fail("socket");
	if (sendto(fd, echo, sizeof(echo), 0, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fail("sendto");
	return done();
}
