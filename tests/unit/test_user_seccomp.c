/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_seccomp.c - the filter, by calling what it refuses and what it must let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/landlock.h"
#include "user/seccomp.h"
#include "user/seccomp_table.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A filter that stands in front in the next child. */
static const struct sock_fprog *in_front;

/* Runs fn behind the filter, in a child; its result is the child's exit status. */
static int behind_abi(int (*fn)(void), int landlock_abi)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char *error = NULL;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    (in_front && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, in_front, 0, 0) < 0) ||
		    seccomp_enforce(landlock_abi, NULL, &error) < 0)
			_exit(200);
		_exit(fn());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static int behind(int (*fn)(void))
{
	return behind_abi(fn, landlock_abi());
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

/* What the kernel has and what it does not have yet look alike from here: so each is called with
 * the number it has in the table, and what is allowed must not say EPERM. */
static int newer_calls(void)
{
	for (size_t i = 0; i < seccomp_calls_n; i++) {
		const struct seccomp_call *c = &seccomp_calls[i];

		if (c->nr && !(syscall(c->nr, -1, -1, -1, -1, -1, -1) == -1 && errno == c->answer))
			return (int)i + 1;
	}
	return 0;
}

/* The kernel has none of these and says ENOSYS too: so the test's filter stands in front, with an
 * answer that only ours, the later one, replaces. */
static int calls_above(void)
{
	static const int numbers[] = {SECCOMP_LAST_KNOWN + 1, 500, 512, 547, 1000, 0x3fffffff
#ifdef __x86_64__
				      , 400
#endif
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (!(syscall(numbers[i], 0, 0, 0) == -1 && errno == ENOSYS))
			return (int)i + 1;
	return 0;
}

static int core_limit_stays(void)
{
	const struct rlimit raised = {RLIM_INFINITY, RLIM_INFINITY}, none = {0, 0};
	struct rlimit before, now, old;

	/* As the launcher leaves it. */
	if (getrlimit(RLIMIT_CORE, &before) < 0)
		return 1;
	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_CORE, &raised) < 0 ||
	    syscall(SYS_setrlimit, RLIMIT_CORE, &none) < 0 ||
	    syscall(SYS_prlimit64, 0, (1ul << 32) | RLIMIT_CORE, &none, NULL) < 0)
		return 2;
	if (eperm(prlimit(0, RLIMIT_CORE, &none, &old)))
		return 3;
	if (getrlimit(RLIMIT_CORE, &now) < 0)
		return 4;
	return now.rlim_cur != before.rlim_cur || now.rlim_max != before.rlim_max;
}

static int other_limits_change(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	limit.rlim_cur = limit.rlim_cur > 64 ? 64 : limit.rlim_cur;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0;
}

/* A listener could answer open() of an allowed program's libraries. */
static int listener_refused(void)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {.len = 1, .filter = code};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return 1; /* filters that only take away are one's own business */
	return eperm(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			     &program)) ||
	       eperm(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			     SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC,
			     &program));
}

static int processes_refused(void)
{
	return eperm(prctl(PR_SET_MM, 14 /* PR_SET_MM_MAP */, 0, 0, 0)) ||
	       eperm(prctl(62 /* PR_SCHED_CORE */, 2, 1, 0, 0)) ||
	       eperm(setpriority(PRIO_PGRP, 1, 5)) ||
	       eperm(syscall(SYS_ioprio_set, 2 /* IOPRIO_WHO_PGRP */, 1, 0)) ||
	       eperm(syscall(SYS_ioprio_set, 3 /* IOPRIO_WHO_USER */, 0, 0)) ||
	       eperm(ioctl(0, TIOCSETD, "x")) || prctl(PR_SET_NAME, "x") < 0 ||
	       setpriority(PRIO_PGRP, 0, getpriority(PRIO_PGRP, 0)) < 0;
}

static char victim[] = "/tmp/osh-seccomp-XXXXXX";

static bool victim_whole(void)
{
	struct stat st;

	return stat(victim, &st) == 0 && st.st_size == 3;
}

static int truncation_refused(void)
{
	struct open_how how = {.flags = O_RDONLY | O_TRUNC};

	if (eperm(open(victim, O_RDONLY | O_TRUNC)) ||
	    eperm(syscall(SYS_openat, AT_FDCWD, victim, O_RDONLY | O_TRUNC, 0)) ||
	    eperm(syscall(SYS_openat, AT_FDCWD, victim, O_ACCMODE | O_TRUNC, 0)) ||
#ifdef SYS_open
	    eperm(syscall(SYS_open, victim, O_RDONLY | O_TRUNC, 0)) ||
	    eperm(syscall(SYS_open, victim, O_ACCMODE | O_TRUNC, 0)) ||
#endif
	    eperm(truncate(victim, 0)))
		return 1;
	if (!(syscall(SYS_openat2, AT_FDCWD, victim, &how, sizeof(how)) == -1 && errno == ENOSYS))
		return 2;
	if (!victim_whole())
		return 3;
	return open(victim, O_RDONLY) < 0 || open(victim, O_WRONLY | O_TRUNC) < 0 ? 4 : 0;
}

static int truncation_left_to_landlock(void)
{
	struct open_how how = {.flags = O_RDONLY};

	return open(victim, O_RDONLY | O_TRUNC) < 0 || truncate(victim, 3) < 0 ||
	       syscall(SYS_openat2, AT_FDCWD, victim, &how, sizeof(how)) < 0;
}

static void newer(void **state)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SECCOMP_LAST_KNOWN, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 400, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
	};
	const struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	(void)state;
	assert_int_equal(behind(newer_calls), 0);
	in_front = &program;
	assert_int_equal(behind(calls_above), 0);
	in_front = NULL;
}

static void who_a_process_is(void **state)
{
	(void)state;
	assert_int_equal(behind(listener_refused), 0);
	assert_int_equal(behind(processes_refused), 0);
	assert_int_equal(behind(core_limit_stays), 0);
	assert_int_equal(behind(other_limits_change), 0);
}

static void what_landlock_lacks(void **state)
{
	int fd = mkstemp(victim);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(fd);
	assert_int_equal(behind_abi(truncation_refused, 2), 0);
	assert_int_equal(behind_abi(truncation_left_to_landlock, 3), 0);
	assert_int_equal(behind_abi(truncation_left_to_landlock, 6), 0);
	unlink(victim);
}

/* A name that is misspelt would silently refuse nothing; a wrong number, something else. */
static bool row_right(const struct seccomp_call *c)
{
	static const char *const only_elsewhere[] = {
		"vm86", "vm86old", "stime", "clock_settime64", "umount", "nfsservctl"};
	int nr = seccomp_syscall_resolve_name(c->name);

	for (size_t k = 0; k < ARRAY_LEN(only_elsewhere); k++)
		if (strcmp(c->name, only_elsewhere[k]) == 0)
			return true;
	if (nr == __NR_SCMP_ERROR ? c->nr != 0 : c->nr == 0 || c->nr == nr)
		return *c->reason != '\0';
	print_message("%s: number %d, libseccomp says %d\n", c->name, c->nr, nr);
	return false;
}

static void tables_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < seccomp_calls_n; i++)
		assert_true(row_right(&seccomp_calls[i]));
	for (size_t i = 0; i < seccomp_calls_allowed_n; i++)
		assert_true(row_right(&seccomp_calls_allowed[i]));
	for (size_t i = 0; i < seccomp_arguments_n; i++) {
		const struct seccomp_argument *a = &seccomp_arguments[i];

		assert_true(*a->reason && *a->when);
		assert_int_not_equal(seccomp_syscall_resolve_name(a->name), __NR_SCMP_ERROR);
	}
}

/* Each number that the architectures share is refused or allowed, once. */
static void each_newer_call_decided(void **state)
{
	(void)state;
	for (int nr = SECCOMP_FIRST_SHARED; nr <= SECCOMP_LAST_KNOWN; nr++) {
		size_t found = 0;

		for (size_t i = 0; i < seccomp_calls_n; i++)
			found += seccomp_calls[i].nr == nr;
		for (size_t i = 0; i < seccomp_calls_allowed_n; i++)
			found += seccomp_calls_allowed[i].nr == nr;
		if (found != 1)
			print_message("call %d is decided %zu times\n", nr, found);
		assert_int_equal(found, 1);
	}
}

/* Every family, type and protocol there may be against the table. */
static int every_socket(void)
{
	for (int family = 0; family < 48; family++)
		for (int type = 0; type < 12; type++)
			for (int protocol = 0; protocol < 264; protocol++) {
				bool listed = false;
				int fd = socket(family, type, protocol);
				int refused = fd < 0 && errno == EPERM;

				for (size_t i = 0; i < seccomp_sockets_n; i++) {
					const struct seccomp_socket *s = &seccomp_sockets[i];

					listed = listed || (s->family == (uint64_t)family &&
							    s->type == (uint64_t)type &&
							    (protocol == 0 ||
							     s->protocol == (uint64_t)protocol));
				}
				close(fd);
				if (listed == refused)
					return 1;
			}
	return 0;
}

static void sockets_are_the_table(void **state)
{
	(void)state;
	assert_int_equal(behind(every_socket), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(allowed),
		cmocka_unit_test(other_architectures_end),
		cmocka_unit_test(newer),
		cmocka_unit_test(who_a_process_is),
		cmocka_unit_test(what_landlock_lacks),
		cmocka_unit_test(tables_right),
		cmocka_unit_test(each_newer_call_decided),
		cmocka_unit_test(sockets_are_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
