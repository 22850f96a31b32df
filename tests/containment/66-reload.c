/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 66-reload.c - programs that were there before a reload.
 */
#include "net.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

int probe_main(int argc, char **argv);

static int reach(const char *address)
{
	return probe_main(4, (char *[]){(char *)"probe", (char *)"tcp", (char *)address, (char *)"4000", NULL});
}

static void *wait_and_reach(void *arg)
{
	char **argv = arg;
	struct stat st;

	puts("ready");
	while (stat(argv[2], &st) < 0)
		usleep(10000);
	return (void *)(long)reach(argv[3]);
}

/* A connect() that sends nothing before there is data. */
static int put_off(int fd)
{
	int one = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) < 0 ||
	       setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof(one)) < 0;
}

static int hold(char **argv)
{
	const int deferred = strcmp(argv[1], "deferred") == 0;
	union address a;
	socklen_t n = address(argv[3], "4000", &a);
	int fd = socket(a.any.sa_family, SOCK_STREAM, 0);
	struct stat st;

	if (deferred && put_off(fd))
		return fail("setsockopt");
	if (connect(fd, &a.any, n) < 0)
		return fail("connect");
	if (!deferred && talk(fd) != 0)
		return 1;
	puts("ready");
	while (stat(argv[2], &st) < 0)
		usleep(10000);
	return send(fd, argv[4], strlen(argv[4]), MSG_NOSIGNAL) < 0 ? fail("send") : echo_only(fd);
}

/*
 * after HOW GO ADDRESS [TEXT]: says `ready`, and when the file GO is there connects to ADDRESS:
 *   plain; thread: not the first one; orphan: its parents are dead; held: had connected before, and sends TEXT;
 *   deferred: the same, and has sent nothing before
 */
APPLET(after)
{
	pthread_t t;
	void *r;
	int over[2];
	char byte;

	if (strcmp(argv[1], "held") == 0 || strcmp(argv[1], "deferred") == 0)
		return hold(argv);
	if (strcmp(argv[1], "thread") == 0) {
		if (pthread_create(&t, NULL, wait_and_reach, argv) != 0 || pthread_join(t, &r) != 0)
			return fail("pthread");
		return r ? 1 : 0;
	}
	if (strcmp(argv[1], "orphan") != 0)
		return wait_and_reach(argv) ? 1 : 0;
	if (pipe(over) < 0)
		return fail("pipe");
	if (fork() == 0) { /* who was started waits for the end of it; between them there is nobody */
		pid_t parent = getpid();

		if (fork() != 0)
			_exit(0);
		setsid();
		while (getppid() == parent)
			usleep(1000);
		close(over[0]);
		wait_and_reach(argv);
		_exit(0);
	}
	close(over[1]);
	wait(NULL);
	return read(over[0], &byte, 1) < 0;
}
