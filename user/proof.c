/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.c - tries what the hooks refuse whatever the policy says, at addresses where nothing can
 * happen.
 *
 * A closed port of loopback: with hooks EPERM, without them ECONNREFUSED, and either way no packet
 * leaves the host. Run as root inside the sandbox's cgroup, before anything else there.
 */
#include "user/proof.h"

#include "user/strv.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define CLOSED_PORT                                                                                \
	1 /* tcpmux: nobody serves it, and if someone did, loopback of the host is refused as well \
	   */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t loopback(int family, union address *a)
{
	*a = (union address){0};
	if (family == AF_INET) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(CLOSED_PORT);
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(a->in);
	}
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons(CLOSED_PORT);
	a->in6.sin6_addr = in6addr_loopback;
	return sizeof(a->in6);
}

/* Non-blocking: should a hook be missing, nobody waits for an answer. Returns 0 or the errno of
 * what was refused. */
static int attempt(int family, int type)
{
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	union address a;
	socklen_t n = loopback(family, &a);

	if (fd < 0)
		return errno;
	if (type == SOCK_STREAM)
		return connect(fd, &a.sa, n) < 0 ? errno : 0;
	return sendto(fd, "", 0, MSG_NOSIGNAL, &a.sa, n) < 0 ? errno : 0;
}

static int raw_socket(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);

	return fd < 0 ? errno : 0;
}

int proof_hooks_live(char **ret_error)
{
	static const struct {
		int family, type;
		const char *what;
	} tries[] = {
		{AF_INET, SOCK_STREAM, "a TCP connection to 127.0.0.1"},
		{AF_INET6, SOCK_STREAM, "a TCP connection to ::1"},
		{AF_INET, SOCK_DGRAM, "a UDP datagram to 127.0.0.1"},
		{AF_INET6, SOCK_DGRAM, "a UDP datagram to ::1"},
	};
	int e;

	*ret_error = NULL;
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		e = attempt(tries[i].family, tries[i].type);
		if (e == EAFNOSUPPORT && tries[i].family == AF_INET6)
			continue; /* no IPv6 in this kernel */
		if (e != EPERM)
			return error_text(ret_error, -ENOTCONN,
					  "the network hooks are not live: %s was not refused (%s)",
					  tries[i].what, e ? strerror(e) : "it went through");
	}
	e = raw_socket();
	if (e != EPERM)
		return error_text(
			ret_error, -ENOTCONN,
			"the network hooks are not live: a raw socket was not refused (%s)",
			e ? strerror(e) : "it was made");
	return 0;
}
