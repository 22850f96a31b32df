/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostaddr.c - the host's own addresses (rtnetlink(7), RTM_GETADDR) into the kernel programs' table.
 *
 * A connection to one of them reaches the host's services, so it is judged like loopback.  A change is answered by a
 * full dump: new addresses enter before stale ones leave, so the table is never too small.
 */
#include "user/hostaddr.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <time.h>

#define HOSTADDR_MAX 4096

struct seen {
	uint8_t addr[HOSTADDR_MAX][16];
	size_t n;
};

static void add(struct seen *s, uint8_t family, const void *p)
{
	uint8_t a[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (s->n == HOSTADDR_MAX)
		return;
	if (family == AF_INET)
		memcpy(a + 12, p, 4);
	else
		memcpy(a, p, 16);
	memcpy(s->addr[s->n++], a, 16);
}

static void message(struct seen *s, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	unsigned int left = (unsigned int)IFA_PAYLOAD(h);

	if (h->nlmsg_type != RTM_NEWADDR || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
		return;
	for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type == IFA_LOCAL || a->rta_type == IFA_ADDRESS) &&
		    RTA_PAYLOAD(a) >= (m->ifa_family == AF_INET ? 4u : 16u)) {
			/* With a peer, IFA_ADDRESS is the other end and IFA_LOCAL ours. */
			if (a->rta_type == IFA_LOCAL || m->ifa_family == AF_INET6)
				add(s, m->ifa_family, RTA_DATA(a));
		} else if (a->rta_type == IFA_BROADCAST && m->ifa_family == AF_INET && RTA_PAYLOAD(a) >= 4) {
			add(s, m->ifa_family, RTA_DATA(a));
		}
}

static int dump(struct seen *s)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg m;
	} q = {.h = {.nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	static char buf[32768] __attribute__((aligned(8)));

	if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		unsigned int left;

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		left = (unsigned int)n;
		for (const struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return -EIO;
			message(s, h);
		}
	}
}

static int fill(struct kernel *k)
{
	_cleanup_free_ struct seen *s = calloc(1, sizeof(*s));
	int fd = kernel_map_fd(k, KMAP_HOST_ADDRS), r;
	uint8_t one = 1, key[16], next[16];

	if (!s)
		return -ENOMEM;
	r = dump(s);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n; i++) {
		r = bpf_map_update_elem(fd, s->addr[i], &one, BPF_ANY);
		if (r < 0)
			return r;
	}
	for (r = bpf_map_get_next_key(fd, NULL, next); r == 0;) {
		bool stale = true;

		memcpy(key, next, 16);
		r = bpf_map_get_next_key(fd, key, next);
		for (size_t i = 0; i < s->n && stale; i++)
			stale = memcmp(s->addr[i], key, 16) != 0;
		if (stale)
			bpf_map_delete_elem(fd, key);
	}
	return 0;
}

int hostaddr_open(struct kernel *k, int *ret_fd)
{
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int r;

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	r = fill(k); /* after the bind: no change is missed */
	if (r < 0)
		return r;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int hostaddr_update(struct kernel *k, int fd)
{
	char buf[4096];

	while (recv(fd, buf, sizeof(buf), MSG_TRUNC) > 0 || errno == ENOBUFS || errno == EINTR)
		;
	return fill(k);
}
