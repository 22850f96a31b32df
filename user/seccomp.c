/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.c - a table of refused calls, and a few calls refused by their arguments.
 *
 * What is not refused is allowed: the sandbox is for unmodified programs, and what these calls
 * could reach is guarded by the other walls too.  libseccomp checks the architecture first; calls
 * of another one (32-bit, x32) end the process.  Refused is EPERM, so that a program says
 * "Operation not permitted"; clone3 says ENOSYS, because its flags are in memory where a filter
 * cannot look, and the C library then uses clone.  A refused socket() is answered by the supervisor,
 * which logs it: no other hook of the kernel sees a call that stops here.  Without a supervisor it says
 * ENOSYS.
 */
#include "user/seccomp.h"

#include "user/strv.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define SOCK_TYPE_MASK 0xf /* the rest of the argument are flags (include/linux/net.h) */

/* What libseccomp's own macros say, with every field set. */
#define ARG_EQ(n, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_EQ, (value), 0})
#define ARG_NE(n, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_NE, (value), 0})
#define ARG_GT(n, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_GT, (value), 0})
#define ARG_MASKED(n, mask, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_MASKED_EQ, (mask), (value)})

struct refused {
	const char *name;
	const char *reason;
	int error; /* 0: EPERM */
};

/* By name, so that a call that this architecture or libseccomp does not have is simply not there.
 */
static const struct refused table[] = {
	/* leaving the sandbox's namespaces and files */
	{"setns", "enters another namespace", 0},
	{"mount", "changes what the sandbox sees", 0},
	{"umount", "changes what the sandbox sees", 0},
	{"umount2", "changes what the sandbox sees", 0},
	{"pivot_root", "changes the root directory", 0},
	{"chroot", "changes the root directory", 0},
	{"fsopen", "new mount API", 0},
	{"fsconfig", "new mount API", 0},
	{"fsmount", "new mount API", 0},
	{"fspick", "new mount API", 0},
	{"move_mount", "new mount API", 0},
	{"open_tree", "new mount API", 0},
	{"open_tree_attr", "new mount API", 0},
	{"mount_setattr", "new mount API", 0},
	{"open_by_handle_at", "opens files past every directory permission", 0},
	{"fanotify_init", "watches files of others", 0},
	{"clone3", "flags cannot be checked; clone is used instead", ENOSYS},

	/* other processes */
	{"ptrace", "another process's memory, registers and system calls", 0},
	{"process_vm_readv", "another process's memory", 0},
	{"process_vm_writev", "another process's memory", 0},
	{"process_madvise", "another process's memory", 0},
	{"process_mrelease", "another process's memory", 0},
	{"pidfd_getfd", "takes another process's descriptors", 0},
	{"kcmp", "compares kernel objects of other processes", 0},
	{"move_pages", "another process's memory", 0},
	{"migrate_pages", "another process's memory", 0},

	/* kernel surface that sandboxed programs do not need and attackers do */
	{"bpf", "loads code into the kernel; would reach our own maps", 0},
	{"perf_event_open", "kernel tracing", 0},
	{"userfaultfd", "stops the kernel in the middle of a copy", 0},
	{"io_uring_setup", "system calls that no filter sees", 0},
	{"io_uring_enter", "system calls that no filter sees", 0},
	{"io_uring_register", "system calls that no filter sees", 0},
	{"keyctl", "keyrings are not in a namespace", 0},
	{"add_key", "keyrings are not in a namespace", 0},
	{"request_key", "keyrings are not in a namespace; calls a helper of the host", 0},
	{"modify_ldt", "segment tables", 0},
	{"vm86", "16-bit mode", 0},
	{"vm86old", "16-bit mode", 0},
	{"uselib", "obsolete", 0},
	{"lookup_dcookie", "obsolete profiling", 0},
	{"nfsservctl", "obsolete", 0},
	{"remap_file_pages", "obsolete", 0},
	{"_sysctl", "obsolete", 0},
	{"sysfs", "obsolete", 0},

	/* the host as a whole */
	{"kexec_load", "boots another kernel", 0},
	{"kexec_file_load", "boots another kernel", 0},
	{"init_module", "loads code into the kernel", 0},
	{"finit_module", "loads code into the kernel", 0},
	{"delete_module", "unloads code from the kernel", 0},
	{"create_module", "loads code into the kernel", 0},
	{"query_module", "obsolete", 0},
	{"get_kernel_syms", "obsolete", 0},
	{"reboot", "stops the host", 0},
	{"acct", "process accounting", 0},
	{"swapon", "swap space", 0},
	{"swapoff", "swap space", 0},
	{"quotactl", "disk quotas", 0},
	{"quotactl_fd", "disk quotas", 0},
	{"settimeofday", "the host's clock", 0},
	{"clock_settime", "the host's clock", 0},
	{"clock_settime64", "the host's clock", 0},
	{"stime", "the host's clock", 0},
	{"sethostname", "the host's name", 0},
	{"setdomainname", "the host's name", 0},
	{"syslog", "the kernel's log", 0},
	{"vhangup", "hangs up a terminal", 0},
	{"iopl", "input/output ports", 0},
	{"ioperm", "input/output ports", 0},
};

size_t seccomp_refused(size_t i, const char **ret_name, const char **ret_reason)
{
	if (i < ARRAY_LEN(table)) {
		*ret_name = table[i].name;
		*ret_reason = table[i].reason;
	}
	return ARRAY_LEN(table);
}

/* libseccomp says -EDOM for a call of another architecture; the call is not there then, which is as
 * good. */
static int accept_unknown(int r)
{
	return r == -EDOM ? 0 : r;
}

static int add_table(scmp_filter_ctx ctx)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		int nr = seccomp_syscall_resolve_name(table[i].name);
		unsigned int error = table[i].error ? (unsigned int)table[i].error : EPERM;
		int r;

		if (nr == __NR_SCMP_ERROR)
			continue;
		r = accept_unknown(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(error), nr, 0));
		if (r < 0)
			return r;
	}
	return 0;
}

/* Refuses call nr where all n comparisons hold. */
static int refuse(scmp_filter_ctx ctx, int nr, unsigned int n, const struct scmp_arg_cmp *cmp)
{
	return accept_unknown(seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), nr, n, cmp));
}

/* The same for socket(), where the filter has a listener. */
static int refuse_socket(scmp_filter_ctx ctx, uint32_t action, unsigned int n,
			 const struct scmp_arg_cmp *cmp)
{
	return accept_unknown(seccomp_rule_add_array(ctx, action, SCMP_SYS(socket), n, cmp));
}

/*
 * socket(family, type, protocol).  libseccomp can only say what is refused, and compares whole
 * 64-bit arguments of which the kernel looks at 32: so every value up to the largest allowed one is
 * named, and all above it are refused, which takes in those with something in the upper half.
 */
static int refuse_families(scmp_filter_ctx ctx, uint32_t action)
{
	static const uint64_t allowed[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	int r = 0;

	for (uint64_t family = 0; r == 0 && family <= AF_NETLINK; family++) {
		bool ok = false;

		for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
			ok = ok || allowed[i] == family;
		if (!ok)
			r = refuse_socket(ctx, action, 1, &ARG_EQ(0, family));
	}
	if (r == 0)
		r = refuse_socket(ctx, action, 1, &ARG_GT(0, AF_NETLINK));
	/* Routing only: the kernel lets users read it, and programs list interfaces with it. */
	if (r == 0) {
		const struct scmp_arg_cmp netlink[] = {ARG_EQ(0, AF_NETLINK),
						       ARG_NE(2, NETLINK_ROUTE)};

		r = refuse_socket(ctx, action, ARRAY_LEN(netlink), netlink);
	}
	/* Nothing but Unix sockets comes in pairs. */
	return r ? r : refuse(ctx, SCMP_SYS(socketpair), 1, &ARG_NE(0, AF_UNIX));
}

/* Of an Internet family and one type: protocols 0 and `protocol` only. */
static int refuse_protocols(scmp_filter_ctx ctx, uint32_t action, uint64_t family, uint64_t type,
			    uint64_t protocol)
{
	struct scmp_arg_cmp cmp[] = {
		ARG_EQ(0, family),
		ARG_MASKED(1, SOCK_TYPE_MASK, type),
		ARG_GT(2, protocol),
	};
	int r = refuse_socket(ctx, action, ARRAY_LEN(cmp), cmp);

	for (uint64_t p = 1; r == 0 && p < protocol; p++) {
		cmp[2] = ARG_EQ(2, p);
		r = refuse_socket(ctx, action, ARRAY_LEN(cmp), cmp);
	}
	return r;
}

/* Of the Internet families: stream and datagram sockets, TCP and UDP.  No raw, packet, ICMP, SCTP,
 * MPTCP, UDP-Lite. */
static int refuse_internet(scmp_filter_ctx ctx, uint32_t action, uint64_t family)
{
	int r = 0;

	for (uint64_t type = 0; r == 0 && type <= SOCK_TYPE_MASK; type++) {
		const struct scmp_arg_cmp cmp[] = {ARG_EQ(0, family),
						   ARG_MASKED(1, SOCK_TYPE_MASK, type)};

		if (type != SOCK_STREAM && type != SOCK_DGRAM)
			r = refuse_socket(ctx, action, ARRAY_LEN(cmp), cmp);
	}
	if (r == 0)
		r = refuse_protocols(ctx, action, family, SOCK_STREAM, IPPROTO_TCP);
	return r ? r : refuse_protocols(ctx, action, family, SOCK_DGRAM, IPPROTO_UDP);
}

/* New namespaces give capabilities inside them, and with those the way to much kernel code. */
static int refuse_namespaces(scmp_filter_ctx ctx)
{
	static const uint64_t flags[] = {CLONE_NEWNS,	CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
					 CLONE_NEWUSER, CLONE_NEWPID,	 CLONE_NEWNET};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(flags); i++) {
		r = refuse(ctx, SCMP_SYS(unshare), 1, &ARG_MASKED(0, flags[i], flags[i]));
#if defined(__s390__) || defined(__s390x__)
		if (r == 0)
			r = refuse(ctx, SCMP_SYS(clone), 1, &ARG_MASKED(1, flags[i], flags[i]));
#else
		if (r == 0)
			r = refuse(ctx, SCMP_SYS(clone), 1, &ARG_MASKED(0, flags[i], flags[i]));
#endif
	}
	/* To clone this bit is part of the exit signal. */
	return r ? r
		 : refuse(ctx, SCMP_SYS(unshare), 1, &ARG_MASKED(0, CLONE_NEWTIME, CLONE_NEWTIME));
}

/* Pushing input into a terminal, and the console's paste.  The kernel looks at 32 bits of the
 * request. */
static int refuse_terminal_input(scmp_filter_ctx ctx)
{
	static const uint64_t requests[] = {TIOCSTI, TIOCLINUX};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(requests); i++)
		r = refuse(ctx, SCMP_SYS(ioctl), 1, &ARG_MASKED(1, UINT32_MAX, requests[i]));
	return r;
}

/* personality(): 0 and the query 0xffffffff only, that is, all 32 bits equal: refused where a set
 * bit stands next to a clear one. */
static int refuse_personality(scmp_filter_ctx ctx)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < 32; i++) {
		uint64_t set = 1ull << i, clear = 1ull << ((i + 1) % 32);

		r = refuse(ctx, SCMP_SYS(personality), 1, &ARG_MASKED(0, set | clear, set));
	}
	return r;
}

/* The sandbox often shares its uid with the user's other processes, which these would reach. */
static int refuse_others(scmp_filter_ctx ctx)
{
	int r = refuse(ctx, SCMP_SYS(prlimit64), 1, &ARG_NE(0, 0));

	if (r == 0)
		r = refuse(ctx, SCMP_SYS(setpriority), 1, &ARG_MASKED(0, UINT32_MAX, PRIO_USER));
	/* Everything that the uid may signal; before Landlock ABI 6 that is not the sandbox alone.
	 */
	if (r == 0)
		r = refuse(ctx, SCMP_SYS(kill), 1, &ARG_MASKED(0, UINT32_MAX, UINT32_MAX));
	/* IOPRIO_WHO_USER */
	return r ? r : refuse(ctx, SCMP_SYS(ioprio_set), 1, &ARG_MASKED(0, UINT32_MAX, 3));
}

static int build(scmp_filter_ctx ctx, uint32_t sockets)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r == 0)
		r = add_table(ctx);
	if (r == 0)
		r = refuse_families(ctx, sockets);
	if (r == 0)
		r = refuse_internet(ctx, sockets, AF_INET);
	if (r == 0)
		r = refuse_internet(ctx, sockets, AF_INET6);
	if (r == 0)
		r = refuse_namespaces(ctx);
	if (r == 0)
		r = refuse_terminal_input(ctx);
	if (r == 0)
		r = refuse_personality(ctx);
	if (r == 0)
		r = refuse_others(ctx);
	/* A binary tree of call numbers: a few comparisons a call, not one for each row.  Absent
	 * before libseccomp 2.5. */
	if (r == 0)
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return r;
}

static int load(uint32_t sockets, int *ret_listener, char **ret_error)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = build(ctx, sockets);
	if (r < 0)
		error_text(ret_error, r, "cannot build the system call filter: %s", strerror(-r));
	else {
		/* What the kernel said, not ECANCELED. */
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
		r = seccomp_load(ctx);
		if (r < 0 && r != -EBUSY)
			error_text(ret_error, r, "cannot load the system call filter: %s",
				   strerror(-r));
	}
	if (r == 0 && sockets == SCMP_ACT_NOTIFY)
		*ret_listener = seccomp_notify_fd(ctx);
	seccomp_release(ctx);
	return r;
}

int seccomp_enforce(int *ret_listener, char **ret_error)
{
	int r;

	*ret_error = NULL;
	if (ret_listener) {
		*ret_listener = -1;
		r = load(SCMP_ACT_NOTIFY, ret_listener, ret_error);
		if (r != -EBUSY)
			return r;
	}
	r = load(SCMP_ACT_ERRNO(EPERM), NULL, ret_error);
	return r == -EBUSY ? error_text(ret_error, r, "cannot load the system call filter: %s",
					strerror(-r))
			   : r;
}
