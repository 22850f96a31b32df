/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.c - the client and server of the benchmarks.  Each prints one number, its own median or rate; bench.sh compares.
 *
 *   net serve PORT PORT2          accepts and closes on PORT; on PORT2 sends zeros until the client is gone
 *   net connect ADDRESS PORT N    median of N blocking connect() calls, nanoseconds
 *   net bulk ADDRESS PORT SECONDS received, MB/s
 *   net get HOST ADDRESS PORT N CONNECTIONS   HTTPS GETs on kept-alive connections, N in all; ADDRESS `-`: look it up;
 *                                 prints median latency in microseconds and requests per second
 *   net spawn N COMMAND...        median of N runs from fork to exit, milliseconds
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die(ip);
	return a;
}

static int listener(const char *port)
{
	struct sockaddr_in a = address("0.0.0.0", port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static void *send_zeros(void *arg)
{
	static const char zeros[262144];
	int l = *(int *)arg;

	for (;;) { /* one client at a time */
		int c = accept(l, NULL, NULL);

		while (c >= 0 && send(c, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0)
			;
		close(c);
	}
	return NULL;
}

_Noreturn static void serve(const char *port, const char *port2)
{
	int l = listener(port), l2 = listener(port2);
	pthread_t t;

	pthread_create(&t, NULL, send_zeros, &l2);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int c = accept(l, NULL, NULL);

		if (c >= 0)
			close(c);
	}
}

static int bench_connect(const char *ip, const char *port, size_t n)
{
	struct sockaddr_in a = address(ip, port);
	struct linger reset = {1, 0}; /* no TIME_WAIT: ports last for any number of rounds */
	uint64_t *v = calloc(n, sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		uint64_t t = now_ns();

		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			die("connect");
		v[i] = now_ns() - t;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
	printf("%llu\n", (unsigned long long)median(v, n));
	return 0;
}

static int bench_bulk(const char *ip, const char *port, double seconds)
{
	static char buf[262144];
	struct sockaddr_in a = address(ip, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t bytes = 0, start, end;

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	start = now_ns();
	end = start + (uint64_t)(seconds * 1e9);
	while (now_ns() < end) {
		ssize_t r = recv(fd, buf, sizeof(buf), 0);

		if (r <= 0)
			die("recv");
		bytes += (uint64_t)r;
	}
	printf("%.0f\n", (double)bytes / ((double)(now_ns() - start) / 1e9) / 1e6);
	return 0;
}

struct getter {
	pthread_t thread;
	SSL_CTX *ctx;
	const char *host;
	struct sockaddr_in to;
	size_t n;
	uint64_t *v;
};

static SSL *tls_open(struct getter *g)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	SSL *s = SSL_new(g->ctx);

	if (connect(fd, (struct sockaddr *)&g->to, sizeof(g->to)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	SSL_set_fd(s, fd);
	SSL_set_tlsext_host_name(s, g->host);
	SSL_set1_host(s, g->host);
	if (SSL_connect(s) != 1) {
		fprintf(stderr, "TLS with %s failed, verify result %ld\n", g->host, SSL_get_verify_result(s));
		exit(1);
	}
	return s;
}

/* One small response with Content-Length. */
static void get_once(SSL *s, const char *host)
{
	char buf[8192], *body, *len;
	int n = snprintf(buf, sizeof(buf), "GET /zen HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", host);
	size_t got = 0;

	if (SSL_write(s, buf, n) != n)
		die("write");
	for (;;) {
		int r = SSL_read(s, buf + got, (int)(sizeof(buf) - 1 - got));

		if (r <= 0)
			die("read");
		got += (size_t)r;
		buf[got] = 0;
		body = strstr(buf, "\r\n\r\n");
		len = strcasestr(buf, "\r\ncontent-length:");
		if (body && len && got >= (size_t)(body + 4 - buf) + (size_t)atoi(len + 17))
			break;
	}
	if (strncmp(buf, "HTTP/1.1 200", 12) != 0) {
		fprintf(stderr, "%.200s\n", buf);
		exit(1);
	}
}

static void *get_many(void *arg)
{
	struct getter *g = arg;
	SSL *s = tls_open(g);

	for (size_t i = 0; i < g->n; i++) {
		uint64_t t = now_ns();

		get_once(s, g->host);
		g->v[i] = now_ns() - t;
	}
	return NULL;
}

static int bench_get(char **argv)
{
	size_t n = (size_t)atol(argv[3]), c = (size_t)atol(argv[4]);
	struct getter *g = calloc(c, sizeof(*g));
	uint64_t *v = calloc(n, sizeof(*v)), start;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct sockaddr_in to;

	SSL_CTX_set_default_verify_paths(ctx);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (strcmp(argv[1], "-") == 0) {
		struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *r;

		if (getaddrinfo(argv[0], argv[2], &hints, &r) != 0)
			die("getaddrinfo");
		memcpy(&to, r->ai_addr, sizeof(to));
	} else {
		to = address(argv[1], argv[2]);
	}
	start = now_ns();
	for (size_t i = 0; i < c; i++) {
		g[i] = (struct getter){.ctx = ctx, .host = argv[0], .to = to, .n = n / c, .v = v + i * (n / c)};
		pthread_create(&g[i].thread, NULL, get_many, &g[i]);
	}
	for (size_t i = 0; i < c; i++)
		pthread_join(g[i].thread, NULL);
	printf("%.1f %.0f\n", (double)median(v, n / c * c) / 1e3,
	       (double)(n / c * c) / ((double)(now_ns() - start) / 1e9));
	return 0;
}

static int bench_spawn(size_t n, char **argv)
{
	uint64_t *v = calloc(n, sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		uint64_t t = now_ns();
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			execvp(argv[0], argv);
			_exit(127);
		}
		waitpid(pid, &status, 0);
		v[i] = now_ns() - t;
		if (status != 0) {
			fprintf(stderr, "%s: status %d\n", argv[0], status);
			return 1;
		}
	}
	printf("%.2f\n", (double)median(v, n) / 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "serve"))
		serve(argv[2], argv[3]);
	if (argc == 5 && !strcmp(argv[1], "connect"))
		return bench_connect(argv[2], argv[3], (size_t)atol(argv[4]));
	if (argc == 5 && !strcmp(argv[1], "bulk"))
		return bench_bulk(argv[2], argv[3], atof(argv[4]));
	if (argc == 7 && !strcmp(argv[1], "get"))
		return bench_get(argv + 2);
	if (argc >= 4 && !strcmp(argv[1], "spawn"))
		return bench_spawn((size_t)atol(argv[2]), argv + 3);
	fprintf(stderr, "net: see the head of net.c\n");
	return 2;
}
