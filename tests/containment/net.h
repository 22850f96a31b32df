/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - addresses and small steps that the applets of several network classes share.
 */
#pragma once

#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT "exfil"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* ADDRESS and PORT as an address of its own family; its length. */
static inline socklen_t address(const char *text, const char *port, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons((uint16_t)atoi(port));
		return sizeof(ret->v4);
	}
	if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons((uint16_t)atoi(port));
		return sizeof(ret->v6);
	}
	fprintf(stderr, "bad address %s\n", text);
	exit(2);
}

/* Sends and waits for the echo: for controls, which must know that it worked. */
static inline int talk(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char reply[64];

	if (send(fd, TEXT, strlen(TEXT), MSG_NOSIGNAL) < 0)
		return fail("send");
	if (poll(&p, 1, 3000) != 1 || recv(fd, reply, sizeof(reply), 0) <= 0)
		return fail("no echo");
	return done();
}

static inline int echo_only(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char reply[64];

	if (poll(&p, 1, 3000) != 1 || recv(fd, reply, sizeof(reply), 0) <= 0)
		return fail("no echo");
	return done();
}
