/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 52-code.c - ways to make an allowed program do what another one wants.
 */
#include "attack.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

int probe_main(int argc, char **argv);

static int reach(const char *address)
{
	return probe_main(4, (char *[]){(char *)"probe", (char *)"tcp", (char *)address, (char *)"4000", NULL});
}

/* victim: connects to the address that somebody writes into its memory within 3 seconds */
static union {
	char text[64];
	long words[8];
} order __attribute__((aligned(64)));

APPLET(victim)
{
	printf("%p\n", (void *)&order);
	for (int i = 0; i < 300; i++) {
		if (*(volatile char *)order.text)
			return usleep(50000), reach(order.text);
		usleep(10000);
	}
	return 1;
}

static int by_mem(pid_t pid, void *at, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR);
	return fd < 0 || pwrite(fd, text, strlen(text) + 1, (off_t)at) < 0 ? fail(path) : 0;
}

static int by_writev(pid_t pid, void *at, const char *text)
{
	struct iovec from = {(void *)text, strlen(text) + 1}, to = {at, strlen(text) + 1};

	return process_vm_writev(pid, &from, 1, &to, 1, 0) < 0 ? fail("process_vm_writev") : 0;
}

static int by_ptrace(pid_t pid, void *at, const char *text)
{
	union {
		char text[64];
		long words[8];
	} w = {{0}};

	snprintf(w.text, sizeof(w.text), "%s", text);
	if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0)
		return fail("PTRACE_ATTACH");
	waitpid(pid, NULL, 0);
	for (int i = 7; i >= 0; i--)
		if (ptrace(PTRACE_POKEDATA, pid, (char *)at + 8 * i, w.words[i]) < 0)
			return fail("PTRACE_POKEDATA");
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return 0;
}

/* hijack mem|writev|ptrace|traceme FILE ADDRESS: FILE is executed as `victim` by a child, and told ADDRESS */
APPLET(hijack)
{
	char line[64] = {0};
	void *at;
	int out[2], status, r;
	pid_t pid;

	if (pipe(out) < 0 || (pid = fork()) < 0)
		return fail("fork");
	if (pid == 0) {
		dup2(out[1], 1);
		if (strcmp(argv[1], "traceme") == 0 && ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(1);
		execl(argv[2], argv[2], "victim", NULL);
		_exit(1);
	}
	close(out[1]);
	if (strcmp(argv[1], "traceme") == 0) {
		waitpid(pid, NULL, 0);
		if (ptrace(PTRACE_CONT, pid, 0, 0) < 0)
			return fail("PTRACE_CONT");
	}
	if (read(out[0], line, sizeof(line) - 1) <= 0 || sscanf(line, "%p", &at) != 1)
		return fail("victim");
	if (strcmp(argv[1], "mem") == 0)
		r = by_mem(pid, at, argv[3]);
	else if (strcmp(argv[1], "writev") == 0)
		r = by_writev(pid, at, argv[3]);
	else if (strcmp(argv[1], "ptrace") == 0)
		r = by_ptrace(pid, at, argv[3]);
	else { /* traced since before exec: stopped by a signal, then written to */
		kill(pid, SIGSTOP);
		waitpid(pid, NULL, 0);
		for (r = 7; r >= 0; r--) {
			long w[8] = {0};

			snprintf((char *)w, sizeof(w), "%s", argv[3]);
			ptrace(PTRACE_POKEDATA, pid, (char *)at + 8 * r, w[r]);
		}
		ptrace(PTRACE_DETACH, pid, 0, 0);
		r = 0;
	}
	waitpid(pid, &status, 0);
	return r ? r : WEXITSTATUS(status);
}

/* mapcode mmap|mprotect FILE ADDRESS: takes FILE's bytes as code, then connects */
APPLET(mapcode)
{
	int fd = open(argv[2], O_RDONLY);
	void *p = mmap(NULL, 4096, PROT_READ | (strcmp(argv[1], "mmap") == 0 ? PROT_EXEC : 0), MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return fail("mmap");
	if (strcmp(argv[1], "mprotect") == 0 && mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0)
		return fail("mprotect");
	return reach(argv[3]);
}

/* listener: a filter whose system calls somebody else answers, inherited over exec */
APPLET(listener)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {.len = 1, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0)
		return fail("seccomp");
	return done();
}

static int filter_load(struct sock_filter *code, unsigned short n)
{
	struct sock_fprog program = {.len = n, .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0
		       ? fail("seccomp")
		       : 0;
}

/* filtered library|script|none INPUT FILE [ARG...]: executes FILE under a filter that lets it take INPUT, at descriptor 0,
 * for its library or for the script to read: open "succeeds", and gives descriptor 0.  none: a filter that lets all pass. */
APPLET(filtered)
{
	const unsigned int flags = strcmp(argv[1], "library") == 0 ? O_CLOEXEC : 0;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, flags, 4, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const unsigned short all = sizeof(code) / sizeof(code[0]);
	const int pass = strcmp(argv[1], "none") == 0, fd = open(argv[2], O_RDONLY);

	if (fd < 0 || dup2(fd, 0) < 0 || close(fd) < 0)
		return fail(argv[2]);
	if (pass ? filter_load(&code[all - 1], 1) : filter_load(code, all))
		return 1;
	execv(argv[3], argv + 3);
	return fail(argv[3]);
}

/* filterself ADDRESS: connects under a filter of its own, made after its exec */
APPLET(filterself)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

	return filter_load(code, 1) ? 1 : reach(argv[1]);
}
