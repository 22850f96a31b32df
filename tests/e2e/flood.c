/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood.c - for 72-flood.sh and 73-flood-allowed.sh: connects that are refused, or allowed, as fast as they go, and what
 * others see meanwhile.
 *
 *   flood SECONDS PROCESSES ADDRESS PORT        each process connects again and again; prints the attempts of all
 *   forks SECONDS PROCESSES N ADDRESS PORT      each makes children of N attempts one after another; prints the attempts
 *   pass, passforks                             the same with connects that are allowed
 *   requests N ADDRESS PORT HOST PATH           N requests on one connection, one after another; prints how many
 *   burst N PORT                                N attempts at once, each to an address of its own (10.200.x.y)
 *   quiet SECONDS MS PORT                       one attempt each MS milliseconds, to 10.201.x.y; prints how many
 *   allowed SECONDS ADDRESS PORT                connects that go through, one each 10 ms; prints median and 99 % in us
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct sockaddr_in address(uint32_t ip, const char *port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(ip)};
}

static int tcp_socket(void)
{
	struct linger reset = {1, 0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		perror("socket");
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

static void refused(int fd, const struct sockaddr_in *a)
{
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno != EPERM) {
		perror("not refused");
		exit(1);
	}
}

static void passed(const struct sockaddr_in *a)
{
	int fd = tcp_socket();

	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0) {
		perror("not allowed");
		exit(1);
	}
	close(fd);
}

static bool passing; /* else: what is refused */

static void attempts(unsigned long n, const struct sockaddr_in *a)
{
	int fd = passing ? -1 : tcp_socket();

	for (unsigned long i = 0; i < n; i++)
		if (passing)
			passed(a);
		else
			refused(fd, a);
	if (fd >= 0)
		close(fd);
}

static uint64_t until_time(uint64_t end, const struct sockaddr_in *a)
{
	uint64_t n = 0;

	for (; now() < end; n += 64)
		attempts(64, a);
	return n;
}

static uint64_t by_children(uint64_t end, unsigned long each, const struct sockaddr_in *a)
{
	uint64_t n = 0;

	while (now() < end) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			attempts(each, a);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
			fprintf(stderr, "a child failed\n");
			exit(1);
		}
		n += each;
	}
	return n;
}

static int many(double seconds, int processes, unsigned long each, const struct sockaddr_in *a)
{
	uint64_t *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), sum = 0;
	uint64_t end = now() + (uint64_t)(seconds * 1e9);
	int status, bad = 0;

	if (n == MAP_FAILED || processes > 512)
		return 1;
	for (int i = 0; i < processes; i++)
		if (fork() == 0) {
			n[i] = each ? by_children(end, each, a) : until_time(end, a);
			_exit(0);
		}
	while (wait(&status) > 0)
		bad |= status;
	for (int i = 0; i < processes; i++)
		sum += n[i];
	printf("%llu\n", (unsigned long long)sum);
	return bad != 0;
}

static void burst(unsigned int n, const char *port)
{
	int fd = tcp_socket();

	for (unsigned int i = 0; i < n; i++) {
		struct sockaddr_in a = address(0x0ac80000u + i, port);

		refused(fd, &a);
	}
}

static void quiet(double seconds, long ms, const char *port)
{
	uint64_t end = now() + (uint64_t)(seconds * 1e9);
	unsigned int n = 0;
	int fd = tcp_socket();

	for (; now() < end; n++) {
		struct sockaddr_in a = address(0x0ac90000u + n, port);

		refused(fd, &a);
		nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
	}
	printf("%u\n", n);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int allowed(double seconds, const struct sockaddr_in *a)
{
	static uint64_t t[100000];
	uint64_t end = now() + (uint64_t)(seconds * 1e9);
	size_t n = 0;

	while (now() < end && n < sizeof(t) / sizeof(t[0])) {
		int fd = tcp_socket();
		uint64_t t0 = now();

		if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0) {
			perror("connect");
			return 1;
		}
		t[n++] = now() - t0;
		close(fd);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	qsort(t, n, sizeof(t[0]), by_size);
	printf("%zu connects, median %.1f us, 99 %% %.1f us\n", n, (double)t[n / 2] / 1e3, (double)t[n * 99 / 100] / 1e3);
	return 0;
}

static int requests(unsigned long n, const struct sockaddr_in *a, const char *host, const char *path)
{
	char text[8192], b[4096];
	int fd = tcp_socket(), len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
	unsigned long done = 0;

	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0) {
		perror("connect");
		return 1;
	}
	for (; done < n; done++) {
		size_t k = 0;

		if (write(fd, text, (size_t)len) != len)
			break;
		do { /* the answers have no body */
			ssize_t got = read(fd, b + k, sizeof(b) - 1 - k);

			if (got <= 0)
				goto out;
			k += (size_t)got;
			b[k] = 0;
		} while (!strstr(b, "\r\n\r\n"));
		if (strncmp(b, "HTTP/1.1 200", 12)) {
			fprintf(stderr, "%s\n", b);
			break;
		}
	}
out:
	printf("%lu\n", done);
	return done != n;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strncmp(what, "pass", 4)) {
		passing = true;
		what = !strcmp(what, "pass") ? "flood" : what + 4;
	}
	if (!strcmp(what, "requests") && argc == 7) {
		struct sockaddr_in a = address(ntohl(inet_addr(argv[3])), argv[4]);

		return requests(strtoul(argv[2], NULL, 10), &a, argv[5], argv[6]);
	}
	if (!strcmp(what, "flood") && argc == 6) {
		struct sockaddr_in a = address(ntohl(inet_addr(argv[4])), argv[5]);

		return many(atof(argv[2]), atoi(argv[3]), 0, &a);
	}
	if (!strcmp(what, "forks") && argc == 7) {
		struct sockaddr_in a = address(ntohl(inet_addr(argv[5])), argv[6]);

		return many(atof(argv[2]), atoi(argv[3]), strtoul(argv[4], NULL, 10), &a);
	}
	if (!strcmp(what, "allowed") && argc == 5) {
		struct sockaddr_in a = address(ntohl(inet_addr(argv[3])), argv[4]);

		return allowed(atof(argv[2]), &a);
	}
	if (!strcmp(what, "burst") && argc == 4)
		burst((unsigned int)atoi(argv[2]), argv[3]);
	else if (!strcmp(what, "quiet") && argc == 5)
		quiet(atof(argv[2]), atol(argv[3]), argv[4]);
	else
		return 2;
	return 0;
}
