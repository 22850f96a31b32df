/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscalls.c - tries calls that a sandboxed program must not have, one line each: `NAME refused ERRNO` or `NAME DONE`.
 * Each is called so that it would succeed, or fail with an errno other than EPERM, ENOSYS or EACCES, were it let
 * through (arguments are otherwise harmless).  `syscalls self` runs the ones that need no other process; `syscalls PID`
 * the ones aimed at a process of the same user.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long r)
{
	int e = errno;

	if (r < 0 && (e == EPERM || e == ENOSYS || e == EACCES))
		printf("%s refused %s\n", name, strerror(e));
	else if (r < 0)
		printf("%s REACHED %s\n", name, strerror(e));
	else
		printf("%s DONE\n", name);
	fflush(stdout);
}

/* In a child: what succeeds must not change this process. */
#define TRY(name, call)                         \
	do {                                    \
		pid_t pid_ = fork();            \
		if (pid_ == 0) {                \
			errno = 0;              \
			say(name, (long)(call)); \
			_exit(0);               \
		}                               \
		int st_;                        \
		waitpid(pid_, &st_, 0);         \
		if (WIFSIGNALED(st_))           \
			printf("%s refused by signal %d\n", name, WTERMSIG(st_)); \
	} while (0)

int main(int argc, char **argv)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	char buf[64] = {0};
	struct iovec io = {buf, sizeof(buf)};

	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "self") != 0) {
		pid_t pid = atoi(argv[1]);
		char path[64];

		TRY("kill", kill(pid, SIGCONT));
		TRY("ptrace", ptrace(PTRACE_SEIZE, pid, 0, 0));
		TRY("pidfd_getfd", syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), 1, 0));
		TRY("process_vm_readv", process_vm_readv(pid, &io, 1, &io, 1, 0));
		snprintf(path, sizeof(path), "/proc/%d/mem", pid);
		if (access(path, F_OK) == 0)
			TRY("mem", open(path, O_RDWR));
		return 0;
	}
	TRY("unshare-user", unshare(CLONE_NEWUSER));
	TRY("unshare-mount", unshare(CLONE_NEWNS));
	TRY("unshare-net", unshare(CLONE_NEWNET));
	TRY("unshare-cgroup", unshare(CLONE_NEWCGROUP));
	TRY("clone-user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	TRY("clone3", syscall(SYS_clone3, buf, sizeof(buf)));
	TRY("setns", setns(open("/proc/self/ns/net", O_RDONLY), 0));
	TRY("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	TRY("umount", umount2("/tmp", MNT_DETACH));
	TRY("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
	TRY("chroot", chroot("/tmp"));
	TRY("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	TRY("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/tmp", 1));
	TRY("move_mount", syscall(SYS_move_mount, -1, "", -1, "", 0));
	TRY("ptrace-traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
	TRY("process_vm_writev", process_vm_writev(getppid(), &io, 1, &io, 1, 0));
	TRY("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
	TRY("perf_event_open", syscall(SYS_perf_event_open, buf, 0, -1, -1, 0));
	TRY("userfaultfd", syscall(SYS_userfaultfd, 1));
	TRY("io_uring_setup", syscall(SYS_io_uring_setup, 1, buf));
	TRY("keyctl", syscall(SYS_keyctl, 0, -3, 1));
	TRY("add_key", syscall(SYS_add_key, "user", "osht", "x", 1, -3));
	TRY("request_key", syscall(SYS_request_key, "user", "osht", "x", -3));
	TRY("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
	TRY("init_module", syscall(SYS_init_module, buf, 0, ""));
	TRY("finit_module", syscall(SYS_finit_module, -1, "", 0));
	TRY("personality", personality(ADDR_NO_RANDOMIZE));
	TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, buf, 0));
	TRY("setuid0", setuid(0));
	TRY("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
	TRY("swapon", syscall(SYS_swapon, "/tmp/none", 0));
	TRY("acct", syscall(SYS_acct, "/tmp/none"));
	return 0;
}
