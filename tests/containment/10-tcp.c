/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 10-tcp.c - connections opened in every way that the kernel has for them.  All take ADDRESS PORT and are content when
 * the other side echoes.
 */
#include "net.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

static int tcp_socket(const char *text, const char *port, union address *a, socklen_t *n)
{
	*n = address(text, port, a);
	return socket(a->any.sa_family, SOCK_STREAM, 0);
}

static int connect_and_talk(int fd, const union address *a, socklen_t n)
{
	return connect(fd, &a->any, n) < 0 ? fail("connect") : talk(fd);
}

APPLET(connect)
{
	union address a;
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);

	return connect_and_talk(fd, &a, n);
}

/* Data in the SYN, by sendmsg() and sendmmsg(). */
static int fastopen_by(const char *how, char **argv)
{
	union address a;
	struct iovec io = {(void *)TEXT, strlen(TEXT)};
	struct mmsghdr m = {0};
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);

	m.msg_hdr = (struct msghdr){.msg_name = &a, .msg_namelen = n, .msg_iov = &io, .msg_iovlen = 1};
	if (strcmp(how, "sendmsg") == 0 ? sendmsg(fd, &m.msg_hdr, MSG_FASTOPEN) < 0 : sendmmsg(fd, &m, 1, MSG_FASTOPEN) < 0)
		return fail(how);
	return echo_only(fd);
}

APPLET(tfosendmsg)
{
	return fastopen_by("sendmsg", argv);
}

APPLET(tfosendmmsg)
{
	return fastopen_by("sendmmsg", argv);
}

/* TCP_FASTOPEN_CONNECT: connect() that sends nothing by itself. */
APPLET(tfoconnect)
{
	union address a;
	socklen_t n;
	int one = 1, fd = tcp_socket(argv[1], argv[2], &a, &n);

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) < 0)
		return fail("setsockopt");
	return connect_and_talk(fd, &a, n);
}

APPLET(mptcpfo)
{
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);
	int fd = socket(a.any.sa_family, SOCK_STREAM, IPPROTO_MPTCP);

	if (fd < 0)
		return fail("socket");
	if (sendto(fd, TEXT, strlen(TEXT), MSG_FASTOPEN, &a.any, n) < 0)
		return fail("sendto");
	return echo_only(fd);
}

APPLET(nonblock)
{
	union address a;
	struct pollfd p = {.events = POLLOUT};
	int error = 0;
	socklen_t n, m = sizeof(error);

	p.fd = tcp_socket(argv[1], argv[2], &a, &n);
	fcntl(p.fd, F_SETFL, O_NONBLOCK);
	if (connect(p.fd, &a.any, n) < 0 && errno != EINPROGRESS)
		return fail("connect");
	poll(&p, 1, 3000);
	getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &m);
	if (error) {
		errno = error;
		return fail("connect");
	}
	return talk(p.fd);
}

/* reconnect ALLOWED PORT ADDRESS PORT: one socket, first there, then here */
APPLET(reconnect)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	union address a;
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);

	if (connect_and_talk(fd, &a, n) != 0)
		return 1;
	if (connect(fd, &none, sizeof(none)) < 0)
		return fail("disconnect");
	n = address(argv[3], argv[4], &a);
	return connect_and_talk(fd, &a, n);
}

/* An IPv6 address without its scope field: 24 bytes (SIN6_LEN_RFC2133). */
APPLET(short6)
{
	union address a;
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);

	return connect_and_talk(fd, &a, 24);
}

/* A longer address structure than the family has. */
APPLET(longaddr)
{
	struct sockaddr_storage s = {0};
	union address a;
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);

	memcpy(&s, &a, n);
	return connect(fd, (struct sockaddr *)&s, sizeof(s)) < 0 ? fail("connect") : talk(fd);
}

/* With a flow label and a scope. */
APPLET(flow6)
{
	union address a;
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);

	a.v6.sin6_scope_id = 77;
	a.v6.sin6_flowinfo = htonl(0x12345);
	return connect_and_talk(fd, &a, n);
}

/* bound ADDRESS PORT: from a port of its own choice; IP_BIND_ADDRESS_NO_PORT as well */
APPLET(bound)
{
	union address a, b = {0};
	socklen_t n;
	int one = 1, fd = tcp_socket(argv[1], argv[2], &a, &n);

	b.any.sa_family = a.any.sa_family;
	setsockopt(fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof(one));
	if (bind(fd, &b.any, n) < 0)
		return fail("bind");
	return connect_and_talk(fd, &a, n);
}

/* boundto SOURCE ADDRESS PORT: from an address of this host */
APPLET(boundto)
{
	union address a, b;
	socklen_t n, m = address(argv[1], "0", &b);
	int fd = tcp_socket(argv[2], argv[3], &a, &n);

	if (bind(fd, &b.any, m) < 0)
		return fail("bind");
	return connect_and_talk(fd, &a, n);
}

static void *thread_connect(void *x)
{
	char **argv = x;
	union address a;
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);

	return connect_and_talk(fd, &a, n) ? x : NULL;
}

APPLET(tcpthread)
{
	pthread_t t;
	void *r = NULL;

	if (pthread_create(&t, NULL, thread_connect, argv) != 0)
		return fail("pthread_create");
	pthread_join(t, &r);
	return r != NULL;
}

APPLET(tcpvfork)
{
	union address a;
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);
	volatile int r = -1, e = 0;
	pid_t pid = vfork();

	if (pid == 0) {
		r = connect(fd, &a.any, n);
		e = errno;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	errno = e;
	return r < 0 ? fail("connect") : talk(fd);
}

APPLET(tcporphan)
{
	for (int i = 0; i < 2; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid > 0) {
			waitpid(pid, &status, 0);
			return WEXITSTATUS(status);
		}
		setsid();
	}
	union address a;
	socklen_t n;
	int fd = tcp_socket(argv[1], argv[2], &a, &n);

	return connect_and_talk(fd, &a, n);
}

/* The socket is made in one process, connected in another that never called socket(). */
APPLET(tcpinherited)
{
	char fd_text[16];
	union address a;
	socklen_t n;
	int fd;

	if (argc > 3) {
		n = address(argv[1], argv[2], &a);
		return connect_and_talk(atoi(argv[3]), &a, n);
	}
	fd = tcp_socket(argv[1], argv[2], &a, &n);
	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	execl("/proc/self/exe", "attack", "tcpinherited", argv[1], argv[2], fd_text, (char *)NULL);
	return fail("exec");
}

static int scm_send(int to, int fd)
{
	char byte = 'x', space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec io = {&byte, 1};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(to, &m, 0) == 1 ? 0 : -1;
}

static int scm_receive(int from)
{
	char byte, space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec io = {&byte, 1};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	int fd = -1;

	if (recvmsg(from, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

/* Passed over a Unix socket between processes of the sandbox. */
APPLET(passed)
{
	union address a;
	socklen_t n;
	int pair[2], fd, status;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return fail("socketpair");
	if (fork() == 0) {
		fd = tcp_socket(argv[1], argv[2], &a, &n);
		_exit(scm_send(pair[0], fd) != 0);
	}
	fd = scm_receive(pair[1]);
	wait(&status);
	n = address(argv[1], argv[2], &a);
	return connect_and_talk(fd, &a, n);
}

/* --- io_uring, by hand: one operation at a time ------------------------------------------------------------------ */
static int uring_run(int ring, void *sq, struct io_uring_sqe *sqes, void *cq, const struct io_uring_params *p,
		     const struct io_uring_sqe *op)
{
	unsigned *tail = (unsigned *)((char *)sq + p->sq_off.tail), *array = (unsigned *)((char *)sq + p->sq_off.array);
	unsigned *cq_head = (unsigned *)((char *)cq + p->cq_off.head);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)((char *)cq + p->cq_off.cqes);
	unsigned index = *tail & *(unsigned *)((char *)sq + p->sq_off.ring_mask);
	int r;

	sqes[index] = *op;
	array[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	r = cqes[*cq_head & *(unsigned *)((char *)cq + p->cq_off.ring_mask)].res;
	__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	return r;
}

/* uring ADDRESS PORT [own]: connects by IORING_OP_CONNECT; own: the socket is made by IORING_OP_SOCKET as well */
APPLET(uring)
{
	struct io_uring_params p = {0};
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);
	int ring = (int)syscall(SYS_io_uring_setup, 4, &p), fd, r;
	struct io_uring_sqe *sqes;
	char *sq, *cq;

	if (ring < 0)
		return fail("io_uring_setup");
	sq = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED)
		return fail("mmap");
	if (argc > 3)
		fd = uring_run(ring, sq, sqes, cq, &p,
			       &(struct io_uring_sqe){.opcode = 45 /* IORING_OP_SOCKET */, .fd = a.any.sa_family, .off = SOCK_STREAM});
	else
		fd = socket(a.any.sa_family, SOCK_STREAM, 0);
	r = fd < 0 ? fd
		   : uring_run(ring, sq, sqes, cq, &p,
			       &(struct io_uring_sqe){.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (unsigned long)&a, .off = n});
	if (r < 0) {
		errno = -r;
		return fail("io_uring");
	}
	return talk(fd);
}

/* --- options that send a packet elsewhere ------------------------------------------------------------------------- */
/* srcroute ADDRESS PORT VIA stream|dgram: a loose source route over VIA (IPv4), a routing header (IPv6) */
APPLET(srcroute)
{
	unsigned char lsrr[8] = {131, 7, 4}, srh[40] = {0, 4, 4, 1, 1};
	int stream = strcmp(argv[4], "stream") == 0, fd;
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);

	fd = socket(a.any.sa_family, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (a.any.sa_family == AF_INET) {
		inet_pton(AF_INET, argv[3], lsrr + 3);
		if (setsockopt(fd, IPPROTO_IP, 4 /* IP_OPTIONS */, lsrr, sizeof(lsrr)) < 0)
			return fail("setsockopt");
	} else {
		inet_pton(AF_INET6, argv[3], srh + 24);
		if (setsockopt(fd, IPPROTO_IPV6, 57 /* IPV6_RTHDR */, srh, sizeof(srh)) < 0)
			return fail("setsockopt");
	}
	if (stream)
		return connect_and_talk(fd, &a, n);
	return sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n) < 0 ? fail("sendto") : done();
}

/* device ADDRESS PORT DEVICE stream|dgram: SO_BINDTODEVICE */
APPLET(device)
{
	int stream = strcmp(argv[4], "stream") == 0, fd;
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);

	fd = socket(a.any.sa_family, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, argv[3], (socklen_t)strlen(argv[3]) + 1) < 0)
		return fail("setsockopt");
	if (stream)
		return connect_and_talk(fd, &a, n);
	return sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n) < 0 ? fail("sendto") : done();
}

/* pktinfo ADDRESS PORT DEVICE: a datagram whose device is in its control data */
APPLET(pktinfo)
{
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);
	unsigned char space[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
	struct iovec io = {(void *)TEXT, strlen(TEXT)};
	struct msghdr m = {&a, n, &io, 1, space, sizeof(space), 0};
	struct in_pktinfo info = {.ipi_ifindex = (int)if_nametoindex(argv[3])};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	return sendmsg(socket(AF_INET, SOCK_DGRAM, 0), &m, 0) < 0 ? fail("sendmsg") : done();
}

/* unicastif ADDRESS PORT DEVICE: IP_UNICAST_IF */
APPLET(unicastif)
{
	union address a;
	socklen_t n = address(argv[1], argv[2], &a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint32_t index = htonl(if_nametoindex(argv[3]));

	if (setsockopt(fd, IPPROTO_IP, 50 /* IP_UNICAST_IF */, &index, sizeof(index)) < 0)
		return fail("setsockopt");
	return sendto(fd, TEXT, strlen(TEXT), 0, &a.any, n) < 0 ? fail("sendto") : done();
}

/* joingroup GROUP6 DEVICE: a membership report tells the network the group's address */
APPLET(joingroup)
{
	struct ipv6_mreq m = {.ipv6mr_interface = if_nametoindex(argv[2])};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	inet_pton(AF_INET6, argv[1], &m.ipv6mr_multiaddr);
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)) < 0)
		return fail("setsockopt");
	sleep(2);
	return done();
}
