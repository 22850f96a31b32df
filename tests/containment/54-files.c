/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 54-files.c - files, processes and IPC objects of the same user outside the sandbox.
 */
#include "attack.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HANDLE_MAX 128

/* tohandle FILE HANDLE: outside; writes FILE's handle into the file HANDLE */
APPLET(tohandle)
{
	char bytes[sizeof(struct file_handle) + HANDLE_MAX] = {0};
	struct file_handle *h = (struct file_handle *)bytes;
	int mount, fd = open(argv[2], O_WRONLY | O_CREAT, 0644);

	h->handle_bytes = HANDLE_MAX;
	if (name_to_handle_at(AT_FDCWD, argv[1], h, &mount, 0) < 0)
		return fail("name_to_handle_at");
	return write(fd, bytes, sizeof(bytes)) < 0 ? fail("write") : done();
}

/* byhandle HANDLE DIR: prints the file of the handle, of DIR's file system */
APPLET(byhandle)
{
	char bytes[sizeof(struct file_handle) + HANDLE_MAX], text[256];
	int in = open(argv[1], O_RDONLY), mount = open(argv[2], O_RDONLY | O_DIRECTORY), fd;
	ssize_t n;

	if (read(in, bytes, sizeof(bytes)) != sizeof(bytes))
		return fail("read");
	fd = open_by_handle_at(mount, (struct file_handle *)bytes, O_RDONLY);
	if (fd < 0)
		return fail("open_by_handle_at");
	n = read(fd, text, sizeof(text));
	return n < 0 || write(1, text, (size_t)n) < 0 ? fail("read") : 0;
}

/* shm make|write|read [ID] */
APPLET(shm)
{
	int id = argc > 2 ? atoi(argv[2]) : shmget(IPC_PRIVATE, 64, 0666 | IPC_CREAT);
	char *p = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	if (p == (void *)-1)
		return fail("shmat");
	if (strcmp(argv[1], "make") == 0)
		return printf("%d\n", id) < 0;
	if (strcmp(argv[1], "write") == 0)
		return strcpy(p, "written"), done();
	puts(p);
	return 0;
}

/* msg make|send|count [ID] */
APPLET(msg)
{
	struct {
		long type;
		char text[8];
	} m = {1, "x"};
	struct msqid_ds ds;
	int id = argc > 2 ? atoi(argv[2]) : msgget(IPC_PRIVATE, 0666 | IPC_CREAT);

	if (strcmp(argv[1], "make") == 0)
		return printf("%d\n", id) < 0;
	if (strcmp(argv[1], "send") == 0)
		return msgsnd(id, &m, sizeof(m.text), IPC_NOWAIT) < 0 ? fail("msgsnd") : done();
	if (msgctl(id, IPC_STAT, &ds) < 0)
		return fail("msgctl");
	return printf("%lu\n", (unsigned long)ds.msg_qnum) < 0;
}

/* sem make|set|get [ID] */
APPLET(sem)
{
	int id = argc > 2 ? atoi(argv[2]) : semget(IPC_PRIVATE, 1, 0666 | IPC_CREAT);

	if (strcmp(argv[1], "make") == 0)
		return printf("%d\n", id) < 0;
	if (strcmp(argv[1], "set") == 0)
		return semctl(id, 0, SETVAL, 7) < 0 ? fail("semctl") : done();
	return printf("%d\n", semctl(id, 0, GETVAL)) < 0;
}

/* mq make|send|count NAME */
APPLET(mq)
{
	struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 16};
	mqd_t q = mq_open(argv[2], O_RDWR | O_NONBLOCK | (strcmp(argv[1], "make") == 0 ? O_CREAT : 0), 0666, &a);

	if (q < 0)
		return fail("mq_open");
	if (strcmp(argv[1], "make") == 0)
		return fchmod(q, 0666);
	if (strcmp(argv[1], "send") == 0)
		return mq_send(q, "x", 1, 0) < 0 ? fail("mq_send") : done();
	if (strcmp(argv[1], "unlink") == 0)
		return mq_unlink(argv[2]);
	return mq_getattr(q, &a) < 0 || printf("%ld\n", a.mq_curmsgs) < 0;
}

/* signal HOW PID; PID 0: itself */
APPLET(signal)
{
	pid_t pid = atoi(argv[2]) ? atoi(argv[2]) : getpid();
	int r = -1, p[2];

	if (strcmp(argv[1], "kill") == 0)
		r = kill(pid, SIGTERM);
	else if (strcmp(argv[1], "group") == 0)
		r = kill(-pid, SIGTERM);
	else if (strcmp(argv[1], "tgkill") == 0)
		r = (int)syscall(SYS_tgkill, pid, pid, SIGTERM);
	else if (strcmp(argv[1], "tkill") == 0)
		r = (int)syscall(SYS_tkill, pid, SIGTERM);
	else if (strcmp(argv[1], "sigqueue") == 0)
		r = sigqueue(pid, SIGTERM, (union sigval){0});
	else if (strcmp(argv[1], "pidfd") == 0)
		r = (int)syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, pid, 0), SIGTERM, NULL, 0);
	else if (strcmp(argv[1], "sigio") == 0) {
		if (pipe(p) < 0 || fcntl(p[0], F_SETOWN, pid) < 0 || fcntl(p[0], F_SETSIG, SIGTERM) < 0 ||
		    fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
			return fail("fcntl");
		r = (int)write(p[1], "x", 1);
		usleep(100000);
	}
	return r < 0 ? fail(argv[1]) : done();
}

/* prio HOW PID */
APPLET(prio)
{
	struct rlimit l = {77, 77};
	struct sched_param none = {0};
	cpu_set_t set;
	pid_t pid = atoi(argv[2]);
	int r = -1;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (strcmp(argv[1], "nice") == 0)
		r = setpriority(PRIO_PROCESS, (id_t)pid, 15);
	else if (strcmp(argv[1], "group") == 0)
		r = setpriority(PRIO_PGRP, (id_t)pid, 15);
	else if (strcmp(argv[1], "user") == 0)
		r = setpriority(PRIO_USER, (id_t)pid, 0); /* of others who run tests, too */
	else if (strcmp(argv[1], "affinity") == 0)
		r = sched_setaffinity(pid, sizeof(set), &set);
	else if (strcmp(argv[1], "policy") == 0)
		r = (int)syscall(SYS_sched_setscheduler, pid, SCHED_BATCH, &none);
	else if (strcmp(argv[1], "io") == 0)
		r = (int)syscall(SYS_ioprio_set, 1, pid, (3 << 13));
	else if (strcmp(argv[1], "limit") == 0)
		r = prlimit(pid, RLIMIT_NOFILE, &l, NULL);
	return r < 0 ? fail(argv[1]) : done();
}

/* ioprio PID: outside; prints it */
APPLET(ioprio)
{
	return printf("%ld\n", syscall(SYS_ioprio_get, 1, atoi(argv[1]))) < 0;
}
