/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_seccomp.c - the filter, by calling what it refuses and what it must let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/seccomp.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Runs fn behind the filter, in a child; its result is the child's exit status. */
static int behind(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char *error = NULL;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_enforce(NULL, &error) < 0)
			_exit(200);
		_exit(fn());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* 0 if refused with EPERM. */
static int eperm(long r)
{
	return r == -1 && errno == EPERM ? 0 : 1;
}

static int sockets_refused(void)
{
	static const int families[] = {3,
				       4,
				       5,
				       9,
				       AF_KEY,
				       AF_PACKET,
				       21 /* RDS */,
				       AF_CAN,
				       30 /* TIPC */,
				       31,
				       38 /* ALG */,
				       40 /* VSOCK */,
				       43 /* SMC */,
				       44 /* XDP */};

	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		for (int type = 1; type <= 5; type++)
			if (eperm(socket(families[i], type, 0)))
				return (int)i + 1;
	return eperm(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)) ||
	       eperm(socket(AF_INET6, SOCK_RAW, IPPROTO_RAW)) ||
	       eperm(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)) ||
	       eperm(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6)) ||
	       eperm(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)) ||
	       eperm(socket(AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP)) ||
	       eperm(socket(AF_INET, SOCK_STREAM, 262 /* MPTCP */)) ||
	       eperm(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)) ||
	       eperm(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP)) ||
	       eperm(socket(AF_INET, SOCK_PACKET, 0)) ||
	       eperm(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)) ||
	       eperm(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
}

/* The kernel cuts arguments to 32 bits; a comparison that does not is passed by this. */
static int upper_halves(void)
{
	const unsigned long high = 1ul << 32;

	return eperm(syscall(SYS_socket, high | AF_PACKET, SOCK_DGRAM, 0)) ||
	       eperm(syscall(SYS_socket, (unsigned long)AF_INET, high | SOCK_RAW,
			     (unsigned long)IPPROTO_ICMP)) ||
	       eperm(syscall(SYS_socket, (unsigned long)AF_INET, (unsigned long)SOCK_DGRAM,
			     high | IPPROTO_ICMP)) ||
	       eperm(syscall(SYS_ioctl, 0, high | TIOCSTI, "x")) ||
	       eperm(syscall(SYS_personality, high | 0x40000));
}

static int sockets_allowed(void)
{
	int pair[2];

	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ||
	       socket(AF_UNIX, SOCK_SEQPACKET, 0) < 0 ||
	       socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) < 0 ||
	       socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) < 0 ||
	       socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) < 0 ||
	       (socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) < 0 && errno == EPERM) ||
	       socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) < 0 ||
	       socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0;
}

static int namespaces_refused(void)
{
	static const int flags[] = {
		CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
		CLONE_NEWUSER, CLONE_NEWPID,	CLONE_NEWNET, 0x80 /* NEWTIME */};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (eperm(unshare(flags[i] | CLONE_FS)))
			return (int)i + 1;
		if (flags[i] != 0x80 &&
		    eperm(syscall(SYS_clone, (unsigned long)flags[i] | SIGCHLD, 0, 0, 0, 0)))
			return (int)i + 101;
	}
	return unshare(CLONE_FS) < 0 || !(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
}

static int others_refused(void)
{
	struct rlimit limit;

	return eperm(ptrace(PTRACE_TRACEME, 0, NULL, NULL)) ||
	       eperm(syscall(SYS_bpf, 0, NULL, 0)) || eperm(syscall(SYS_io_uring_setup, 1, NULL)) ||
	       eperm(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0)) ||
	       eperm(syscall(SYS_keyctl, 0, 0)) || eperm(syscall(SYS_userfaultfd, 0)) ||
	       eperm(syscall(SYS_open_by_handle_at, 0, NULL, 0)) ||
	       eperm(syscall(SYS_mount, 0, 0, 0, 0, 0)) ||
	       eperm(syscall(SYS_open_tree, 0, "", 0)) || eperm(syscall(SYS_chroot, "/")) ||
	       eperm(syscall(SYS_pidfd_getfd, 0, 0, 0)) ||
	       eperm(syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0)) ||
	       eperm(ioctl(0, TIOCSTI, "x")) || eperm(ioctl(0, TIOCLINUX, "x")) ||
	       eperm(syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, NULL, &limit)) ||
	       eperm(setpriority(PRIO_USER, 0, 5)) || eperm(kill(-1, 0));
}

static int personalities(void)
{
	return personality(0) < 0 || personality(0xffffffff) < 0 || eperm(personality(0x0040000)) ||
	       eperm(personality(8)) || eperm(personality(0x0400000)) ||
	       eperm(personality(0x7fffffff)) || eperm(personality(0x80000000)) ||
	       eperm(personality(0xfffffffe));
}

static int ordinary_life(void)
{
	struct rlimit limit;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	return pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7 ||
	       getrlimit(RLIMIT_NOFILE, &limit) < 0 || setpriority(PRIO_PROCESS, 0, 1) < 0;
}

#ifdef __x86_64__
static int call_32_bit(void)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20 /* getpid */) : "memory");
	return (int)(r & 1);
}

static int call_x32(void)
{
	return (int)syscall(0x40000000 + SYS_getpid);
}
#endif

static void refused(void **state)
{
	(void)state;
	assert_int_equal(behind(sockets_refused), 0);
	assert_int_equal(behind(upper_halves), 0);
	assert_int_equal(behind(namespaces_refused), 0);
	assert_int_equal(behind(others_refused), 0);
	assert_int_equal(behind(personalities), 0);
}

static void allowed(void **state)
{
	(void)state;
	assert_int_equal(behind(sockets_allowed), 0);
	assert_int_equal(behind(ordinary_life), 0);
}

static void other_architectures_end(void **state)
{
	(void)state;
#ifdef __x86_64__
	assert_int_equal(behind(call_32_bit), 256 + SIGSYS);
	assert_int_equal(behind(call_x32), 256 + SIGSYS);
#endif
}

/* A name that is misspelt would silently refuse nothing. */
static void table_names_exist(void **state)
{
	static const char *const only_elsewhere[] = {
		"vm86",	  "vm86old",	"stime",	 "clock_settime64",
		"umount", "nfsservctl", "open_tree_attr"};
	const char *name, *reason;
	size_t n = seccomp_refused(0, &name, &reason), unknown = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		bool elsewhere = false;

		seccomp_refused(i, &name, &reason);
		assert_true(*reason);
		for (size_t k = 0; k < ARRAY_LEN(only_elsewhere); k++)
			elsewhere = elsewhere || strcmp(name, only_elsewhere[k]) == 0;
		if (!elsewhere && seccomp_syscall_resolve_name(name) == __NR_SCMP_ERROR) {
			print_message("unknown system call %s\n", name);
			unknown++;
		}
	}
	assert_int_equal(unknown, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(allowed),
		cmocka_unit_test(other_architectures_end),
		cmocka_unit_test(table_names_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
