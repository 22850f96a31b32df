/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64-flows.c - a connection that leaves its source port behind, and another one that takes the port.
 */
#include "net.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

/* A socket of source port PORT: IPv4, or for six an IPv6 one that talks IPv4. */
static int from_port(const char *port, bool six)
{
	union address a;
	socklen_t n = address(six ? "::" : "0.0.0.0", port, &a);
	int one = 1, fd = socket(a.any.sa_family, SOCK_STREAM, 0);

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -1;
	for (int i = 0; bind(fd, &a.any, n) < 0; i++) {
		if (errno != EADDRINUSE || i == 400)
			return -1;
		usleep(10000);
	}
	return fd;
}

static socklen_t to(const char *text, const char *port, bool six, union address *ret)
{
	char mapped[64];

	snprintf(mapped, sizeof(mapped), "%s%s", six ? "::ffff:" : "", text);
	return address(mapped, port, ret);
}

/* What the other side takes for a packet that was tampered with: it never answers. */
static int sign(int fd, const union address *a, socklen_t n)
{
	struct tcp_md5sig m = {.tcpm_keylen = 4, .tcpm_key = "osht"};

	memcpy(&m.tcpm_addr, a, n);
	return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m));
}

static bool unanswered(int fd)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_state == 2; /* TCP_SYN_SENT */
}

static int request(int fd, const char *host, const char *target)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char text[512];
	ssize_t n;

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s:8080\r\nConnection: close\r\n\r\n", target, host);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return fail("send");
	if (poll(&p, 1, 3000) != 1 || (n = recv(fd, text, sizeof(text) - 1, 0)) <= 0)
		return puts("no answer"), 1;
	text[n] = '\0';
	if (strncmp(target, "/evil", 5) == 0)
		printf("%.*s\n", (int)strcspn(text, "\r\n"), text);
	return strncmp(text, "HTTP/1.1 200", 12) ? 1 : 0;
}

static void until_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char text[512];

	while (poll(&p, 1, 300) == 1 && recv(fd, text, sizeof(text), 0) > 0)
		;
}

/* What `leave` does up to the end of its connection. */
static int leave_fd(const char *how, char **argv, bool six)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	union address a;
	socklen_t n = to(argv[3], argv[4], six, &a);
	int fd = from_port(argv[2], six);

	if (fd < 0)
		return fail("bind"), -1;
	if (strncmp(how, "lost", 4) == 0) {
		if (sign(fd, &a, n) < 0)
			return fail("TCP_MD5SIG"), -1;
		/* The key is the address's that the connection really goes to. */
		if (a.any.sa_family == AF_INET)
			inet_pton(AF_INET, "127.0.0.1", &a.v4.sin_addr);
		else
			inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.v6.sin6_addr);
		if (sign(fd, &a, n) < 0)
			return fail("TCP_MD5SIG"), -1;
		to(argv[3], argv[4], six, &a);
	}
	if (strncmp(how, "lost", 4) == 0 || strcmp(how, "half") == 0)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, &a.any, n) < 0 && errno != EINPROGRESS)
		return fail("connect"), -1;
	if (strncmp(how, "lost", 4) == 0 && !unanswered(fd))
		return puts("answered"), -1;
	if (strcmp(how, "killsent") == 0 && send(fd, "GET /ok HTTP/1.1\r\n", 18, MSG_NOSIGNAL) < 0)
		return fail("send"), -1;
	if (strcmp(how, "lostopen") == 0 && connect(fd, &none, sizeof(none)) < 0)
		return fail("disconnect"), -1;
	return fd;
}

/*
 * leave HOW PORT ADDRESS PORT HOST: connects from source port PORT and says `left` when that is over:
 *   fin rst   a request, its answer, then the end
 *   kill      connected, then killed with SIGKILL (killsent: a request is under way)
 *   half      closed while it connects
 *   lost      nobody answers its SYN; then closed
 *   lostkill  and killed
 *   lostopen  and disconnected, the socket stays open for some seconds
 * with 6 behind it: of an IPv6 socket.
 */
APPLET(leave)
{
	struct linger hard = {1, 0};
	char how[16];
	bool six = argv[1][strlen(argv[1]) - 1] == '6';
	int fd, ready[2];
	pid_t pid;

	snprintf(how, sizeof(how), "%.*s", (int)strlen(argv[1]) - six, argv[1]);
	if (strstr(how, "kill")) {
		if (pipe(ready) < 0 || (pid = fork()) < 0)
			return fail("fork");
		if (pid == 0) {
			if (leave_fd(how, argv, six) < 0)
				_exit(1);
			if (write(ready[1], "x", 1) == 1)
				pause();
			_exit(1);
		}
		close(ready[1]);
		if (read(ready[0], how, 1) != 1)
			return fail("not connected");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return puts("left"), 0;
	}
	fd = leave_fd(how, argv, six);
	if (fd < 0)
		return 1;
	if (strcmp(how, "fin") == 0 || strcmp(how, "rst") == 0) {
		if (request(fd, argv[5], "/ok") != 0)
			return 1;
		if (how[0] == 'r')
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		else
			until_end(fd);
	}
	if (strcmp(how, "lostopen") == 0)
		return puts("left"), sleep(argc > 6 ? 0 : 5), 0;
	close(fd);
	return puts("left"), 0;
}

/* reuse PORT ADDRESS PORT HOST TARGET: a request from source port PORT */
APPLET(reuse)
{
	union address a;
	socklen_t n = address(argv[2], argv[3], &a);
	int fd = from_port(argv[1], false);

	if (fd < 0)
		return fail("bind");
	for (int i = 0; connect(fd, &a.any, n) < 0; i++) {
		if (errno != EADDRNOTAVAIL || i == 20)
			return fail("connect");
		usleep(100000);
	}
	puts("connected");
	return request(fd, argv[4], argv[5]);
}
