/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 50-identity.c - ways for one file to be taken for another, each ending in a connection to ADDRESS, port 4000.
 */
#include "attack.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int probe_main(int argc, char **argv);
extern char **environ;

static int reach(const char *address)
{
	return probe_main(4, (char *[]){(char *)"probe", (char *)"tcp", (char *)address, (char *)"4000", NULL});
}

static int copy_to(int to, const char *path)
{
	int from = open(path, O_RDONLY);
	struct stat st;

	if (from < 0 || fstat(from, &st) < 0 || sendfile(to, from, NULL, (size_t)st.st_size) != st.st_size)
		return -1;
	close(from);
	return 0;
}

/* unlinked ADDRESS: takes its own file away, then connects */
APPLET(unlinked)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return fail("readlink");
	self[n] = '\0';
	if (unlink(self) < 0)
		return fail("unlink");
	return reach(argv[1]);
}

/* memfd FILE NAME ADDRESS: FILE, in memory, called NAME */
APPLET(memfd)
{
	int fd = memfd_create(argv[2], MFD_CLOEXEC);
	char *args[] = {argv[2], (char *)"probe", (char *)"tcp", argv[3], (char *)"4000", NULL};

	if (fd < 0 || copy_to(fd, argv[1]) < 0)
		return fail("memfd");
	fexecve(fd, args, environ);
	return fail("fexecve");
}

/* execfd FILE ADDRESS [unlink]: by descriptor alone, perhaps of a file without a name */
APPLET(execfd)
{
	int fd = open(argv[1], O_PATH | O_CLOEXEC);
	char *args[] = {argv[1], (char *)"probe", (char *)"tcp", argv[2], (char *)"4000", NULL};

	if (fd < 0 || (argc > 3 && unlink(argv[1]) < 0))
		return fail("open");
	syscall(SYS_execveat, fd, "", args, environ, AT_EMPTY_PATH);
	return fail("execveat");
}

/* execscript FILE ADDRESS: a script by descriptor */
APPLET(execscript)
{
	int fd = open(argv[1], O_RDONLY);
	char *args[] = {argv[1], argv[2], NULL};

	if (fd < 0)
		return fail("open");
	syscall(SYS_execveat, fd, "", args, environ, AT_EMPTY_PATH);
	return fail("execveat");
}

/* execat DIR NAME ADDRESS: relative to a directory */
APPLET(execat)
{
	int fd = open(argv[1], O_PATH | O_DIRECTORY);
	char *args[] = {argv[2], (char *)"probe", (char *)"tcp", argv[3], (char *)"4000", NULL};

	if (fd < 0)
		return fail("open");
	syscall(SYS_execveat, fd, argv[2], args, environ, 0);
	return fail("execveat");
}

/* again FILE ADDRESS: executes /proc/self/exe under the name FILE */
APPLET(again)
{
	execv("/proc/self/exe", (char *[]){argv[1], (char *)"probe", (char *)"tcp", argv[2], (char *)"4000", NULL});
	return fail("execv");
}

/* comm NAME ADDRESS: calls itself NAME, then connects */
APPLET(comm)
{
	if (prctl(PR_SET_NAME, argv[1]) < 0)
		return fail("prctl");
	return reach(argv[2]);
}

/* exefile FILE ADDRESS: asks the kernel to name FILE as its executable, then connects in any case */
APPLET(exefile)
{
	int fd = open(argv[1], O_RDONLY);

	if (prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, fd, 0, 0) < 0)
		fail("PR_SET_MM");
	return reach(argv[2]);
}

static void *reach_thread(void *address)
{
	return (void *)(long)reach(address);
}

/* thread ADDRESS: not the first thread connects */
APPLET(thread)
{
	pthread_t t;
	void *r;

	if (pthread_create(&t, NULL, reach_thread, argv[1]) != 0 || pthread_join(t, &r) != 0)
		return fail("pthread");
	return r ? 1 : 0;
}

static void *exec_thread(void *arg)
{
	execv(((char **)arg)[0], (char **)arg);
	return NULL;
}

/* threadexec FILE ADDRESS: not the first thread executes FILE */
APPLET(threadexec)
{
	char *args[] = {argv[1], (char *)"probe", (char *)"tcp", argv[2], (char *)"4000", NULL};
	pthread_t t;

	if (pthread_create(&t, NULL, exec_thread, args) != 0)
		return fail("pthread");
	for (;;)
		pause();
}

/* vforked ADDRESS: a child that shares its parent's memory connects */
APPLET(vforked)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status;
	pid_t pid = clone((int (*)(void *))(void *)reach, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, argv[1]);

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return fail("clone");
	return WEXITSTATUS(status);
}

/* orphan FILE ADDRESS: forks twice, lets the parents die, then executes FILE */
APPLET(orphan)
{
	pid_t parent;

	if (fork() != 0)
		return sleep(1), done();
	setsid();
	parent = getpid();
	if (fork() != 0)
		_exit(0);
	while (getppid() == parent)
		usleep(1000);
	execv(argv[1], (char *[]){argv[1], (char *)"probe", (char *)"tcp", argv[2], (char *)"4000", NULL});
	return fail("execv");
}

/* spawn FILE ADDRESS: a child executes FILE */
APPLET(spawn)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execv(argv[1], (char *[]){argv[1], (char *)"probe", (char *)"tcp", argv[2], (char *)"4000", NULL});
		_exit(fail("execv"));
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid ? fail("fork") : WEXITSTATUS(status);
}
