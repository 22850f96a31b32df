/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp_table.c - refused system calls and sockets, each with its reason.
 *
 * EPERM says "this is not for you" and is what people see; ENOSYS makes the C library and programs
 * take the older call that does the same.
 *
 * Looked at and left alone, because something else answers: mknod (no capability, nodev mounts),
 * name_to_handle_at (a handle opens nothing without open_by_handle_at), PR_SET_PTRACER (there is no
 * ptrace), PR_SET_SECUREBITS (locked, no capability), memfd_create and execveat (identity follows
 * the file that the kernel executes), sched_setaffinity and sched_setattr (threads of every large
 * program use them with a number; of others they change the priority, not the behaviour), prctl and
 * seccomp as far as they only take more away.
 */
#include "user/seccomp_table.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080 /* include/uapi/linux/sched.h */
#endif
#define IOPRIO_WHO_PGRP 2 /* include/uapi/linux/ioprio.h */
#define IOPRIO_WHO_USER 3
#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62 /* include/uapi/linux/prctl.h */
#endif
#define FILTER_FLAG_NEW_LISTENER (1u << 3) /* include/uapi/linux/seccomp.h */

/* clone() has its flags second there (CONFIG_CLONE_BACKWARDS2). */
#if defined(__s390__) || defined(__s390x__)
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

/* One row a line where it fits. */
/* clang-format off */
const struct seccomp_call seccomp_calls[] = {
	/* leaving the sandbox's namespaces and files */
	{"setns", EPERM, 0, "enters another namespace"},
	{"mount", EPERM, 0, "changes what the sandbox sees"},
	{"umount", EPERM, 0, "changes what the sandbox sees"},
	{"umount2", EPERM, 0, "changes what the sandbox sees"},
	{"pivot_root", EPERM, 0, "changes the root directory"},
	{"chroot", EPERM, 0, "changes the root directory"},
	{"fsopen", EPERM, 430, "new mount API"},
	{"fsconfig", EPERM, 431, "new mount API"},
	{"fsmount", EPERM, 432, "new mount API"},
	{"fspick", EPERM, 433, "new mount API"},
	{"move_mount", EPERM, 429, "new mount API"},
	{"open_tree", EPERM, 428, "new mount API"},
	{"open_tree_attr", EPERM, 467, "new mount API"},
	{"mount_setattr", EPERM, 442, "new mount API"},
	{"statmount", ENOSYS, 457, "mounts by number, of other namespaces too; there is /proc/self/mountinfo"},
	{"listmount", ENOSYS, 458, "mounts by number, of other namespaces too; there is /proc/self/mountinfo"},
	{"listns", ENOSYS, 470, "lists namespaces of others"},
	{"open_by_handle_at", EPERM, 0, "opens files past every directory permission"},
	{"fanotify_init", EPERM, 0, "watches files of others"},
	{"clone3", ENOSYS, 435, "flags are in memory, where no filter looks; clone is used instead"},

	/* other processes */
	{"ptrace", EPERM, 0, "another process's memory, registers and system calls"},
	{"process_vm_readv", EPERM, 0, "another process's memory"},
	{"process_vm_writev", EPERM, 0, "another process's memory"},
	{"process_madvise", EPERM, 440, "another process's memory"},
	{"process_mrelease", EPERM, 448, "another process's memory"},
	{"pidfd_getfd", EPERM, 438, "takes another process's descriptors"},
	{"kcmp", EPERM, 0, "compares kernel objects of other processes"},
	{"move_pages", EPERM, 0, "another process's memory"},
	{"migrate_pages", EPERM, 0, "another process's memory"},
	{"cachestat", ENOSYS, 451, "tells what others read of a shared file"},

	/* kernel surface that sandboxed programs do not need and attackers do */
	{"bpf", EPERM, 0, "loads code into the kernel; would reach our own maps"},
	{"perf_event_open", EPERM, 0, "kernel tracing"},
	{"userfaultfd", EPERM, 0, "stops the kernel in the middle of a copy"},
	{"io_uring_setup", EPERM, 425, "system calls that no filter sees"},
	{"io_uring_enter", EPERM, 426, "system calls that no filter sees"},
	{"io_uring_register", EPERM, 427, "system calls that no filter sees"},
	{"socketcall", EPERM, 0, "socket calls with arguments that no filter sees"},
	{"keyctl", EPERM, 0, "keyrings are not in a namespace"},
	{"add_key", EPERM, 0, "keyrings are not in a namespace"},
	{"request_key", EPERM, 0, "keyrings are not in a namespace; calls a helper of the host"},
	{"memfd_secret", ENOSYS, 447, "memory that is hidden from the kernel and stays in RAM"},
	{"lsm_set_self_attr", EPERM, 460, "changes its own security label"},
	{"file_setattr", ENOSYS, 469, "inode flags and quota project by path, which Landlock does not see"},
	{"modify_ldt", EPERM, 0, "segment tables"},
	{"vm86", EPERM, 0, "16-bit mode"},
	{"vm86old", EPERM, 0, "16-bit mode"},
	{"uselib", EPERM, 0, "obsolete"},
	{"lookup_dcookie", EPERM, 0, "obsolete profiling"},
	{"nfsservctl", EPERM, 0, "obsolete"},
	{"remap_file_pages", EPERM, 0, "obsolete"},
	{"_sysctl", EPERM, 0, "obsolete"},
	{"sysfs", EPERM, 0, "obsolete"},

	/* the host as a whole */
	{"kexec_load", EPERM, 0, "boots another kernel"},
	{"kexec_file_load", EPERM, 0, "boots another kernel"},
	{"init_module", EPERM, 0, "loads code into the kernel"},
	{"finit_module", EPERM, 0, "loads code into the kernel"},
	{"delete_module", EPERM, 0, "unloads code from the kernel"},
	{"create_module", EPERM, 0, "loads code into the kernel"},
	{"query_module", EPERM, 0, "obsolete"},
	{"get_kernel_syms", EPERM, 0, "obsolete"},
	{"reboot", EPERM, 0, "stops the host"},
	{"acct", EPERM, 0, "process accounting"},
	{"swapon", EPERM, 0, "swap space"},
	{"swapoff", EPERM, 0, "swap space"},
	{"quotactl", EPERM, 0, "disk quotas"},
	{"quotactl_fd", EPERM, 443, "disk quotas"},
	{"settimeofday", EPERM, 0, "the host's clock"},
	{"clock_settime", EPERM, 0, "the host's clock"},
	{"clock_settime64", EPERM, 0, "the host's clock"},
	{"stime", EPERM, 0, "the host's clock"},
	{"sethostname", EPERM, 0, "the host's name"},
	{"setdomainname", EPERM, 0, "the host's name"},
	{"syslog", EPERM, 0, "the kernel's log"},
	{"vhangup", EPERM, 0, "hangs up a terminal"},
	{"iopl", EPERM, 0, "input/output ports"},
	{"ioperm", EPERM, 0, "input/output ports"},
};
const size_t seccomp_calls_n = ARRAY_LEN(seccomp_calls);

const struct seccomp_call seccomp_calls_allowed[] = {
	{"pidfd_send_signal", 0, 424, "as kill: Landlock's signal scope and BPF LSM judge both"},
	{"pidfd_open", 0, 434, "waits for a child; pidfd_getfd and setns are refused"},
	{"close_range", 0, 436, "own descriptors"},
	{"openat2", 0, 437, "as openat; ENOSYS where Landlock does not see O_TRUNC"},
	{"faccessat2", 0, 439, "as access"},
	{"epoll_pwait2", 0, 441, "as epoll_wait"},
	{"landlock_create_ruleset", 0, 444, "takes more away"},
	{"landlock_add_rule", 0, 445, "takes more away"},
	{"landlock_restrict_self", 0, 446, "takes more away"},
	{"futex_waitv", 0, 449, "as futex"},
	{"set_mempolicy_home_node", 0, 450, "own memory"},
	{"fchmodat2", 0, 452, "as chmod: the mounts judge"},
	{"map_shadow_stack", 0, 453, "own memory; protects return addresses"},
	{"futex_wake", 0, 454, "as futex"},
	{"futex_wait", 0, 455, "as futex"},
	{"futex_requeue", 0, 456, "as futex"},
	{"lsm_get_self_attr", 0, 459, "reads its own security label"},
	{"lsm_list_modules", 0, 461, "reads"},
	{"mseal", 0, 462, "takes away from own memory"},
	{"setxattrat", 0, 463, "as setxattr: the mounts judge"},
	{"getxattrat", 0, 464, "as getxattr"},
	{"listxattrat", 0, 465, "as listxattr"},
	{"removexattrat", 0, 466, "as removexattr: the mounts judge"},
	{"file_getattr", 0, 468, "reads"},
	{"rseq_slice_yield", 0, 471, "own time slice"},
#ifdef __x86_64__
	{"uretprobe", 0, 335, "the kernel puts it there when the host traces a program; of no use else"},
	{"uprobe", 0, 336, "the kernel puts it there when the host traces a program; of no use else"},
#endif
};
const size_t seccomp_calls_allowed_n = ARRAY_LEN(seccomp_calls_allowed);

/* The comparisons that the rows below use.  The kernel cuts most arguments to 32 bits, so what is
 * compared is those (MASKED), or what is in the upper half is refused as well (NE, GT). */
#define EQ(n, v) {(n), SECCOMP_EQ, (v), 0}
#define NE(n, v) {(n), SECCOMP_NE, (v), 0}
#define LOW(n, v) {(n), SECCOMP_MASKED, (v), UINT32_MAX}
#define BITS(n, mask, v) {(n), SECCOMP_MASKED, (v), (mask)}
#define BIT(n, bit) BITS(n, bit, bit)

/* New namespaces give capabilities inside them, and with those the way to much kernel code. */
#define NAMESPACE(flag)                                                                            \
	{"unshare", #flag, EPERM, 0, "a new namespace", 1, {BIT(0, flag)}},                        \
	{                                                                                          \
		"clone", #flag, EPERM, 0, "a new namespace", 1, {BIT(CLONE_FLAGS, flag)}           \
	}

/* open() is how the oldest programs call openat(); flags are in another place. */
#define TRUNCATING(call, flags, name, mode)                                                        \
	{call,                                                                                     \
	 name,                                                                                     \
	 EPERM,                                                                                    \
	 3,                                                                                        \
	 "truncates what it may only read: Landlock does not see it",                              \
	 1,                                                                                        \
	 {BITS(flags, (uint64_t)(O_TRUNC | O_ACCMODE), (uint64_t)(O_TRUNC | (mode)))}}

const struct seccomp_argument seccomp_arguments[] = {
	NAMESPACE(CLONE_NEWNS),
	NAMESPACE(CLONE_NEWCGROUP),
	NAMESPACE(CLONE_NEWUTS),
	NAMESPACE(CLONE_NEWIPC),
	NAMESPACE(CLONE_NEWUSER),
	NAMESPACE(CLONE_NEWPID),
	NAMESPACE(CLONE_NEWNET),
	/* To clone this bit is part of the exit signal. */
	{"unshare", "CLONE_NEWTIME", EPERM, 0, "a new namespace", 1, {BIT(0, CLONE_NEWTIME)}},

	{"ioctl", "request TIOCSTI", EPERM, 0, "puts input into a terminal", 1, {LOW(1, TIOCSTI)}},
	{"ioctl", "request TIOCLINUX", EPERM, 0, "pastes into the console", 1, {LOW(1, TIOCLINUX)}},
	{"ioctl", "request TIOCSETD", EPERM, 0, "loads line disciplines, old kernel code", 1, {LOW(1, TIOCSETD)}},

	/* The sandbox often shares its uid with the user's other processes, which these would reach. */
	{"prlimit64", "a pid other than 0", EPERM, 0, "limits of other processes", 1, {NE(0, 0)}},
	{"setpriority", "PRIO_USER", EPERM, 0, "all processes of the user", 1, {LOW(0, PRIO_USER)}},
	{"setpriority", "PRIO_PGRP other than its own", EPERM, 0, "other processes", 2, {LOW(0, PRIO_PGRP), NE(1, 0)}},
	{"ioprio_set", "IOPRIO_WHO_USER", EPERM, 0, "all processes of the user", 1, {LOW(0, IOPRIO_WHO_USER)}},
	{"ioprio_set", "IOPRIO_WHO_PGRP other than its own", EPERM, 0, "other processes", 2,
	 {LOW(0, IOPRIO_WHO_PGRP), NE(1, 0)}},
	{"kill", "pid -1", EPERM, 0, "all processes of the user", 1, {LOW(0, UINT32_MAX)}},
	{"prctl", "PR_SCHED_CORE", EPERM, 0, "gives a scheduling cookie to other processes", 1, {LOW(0, PR_SCHED_CORE)}},

	/* Who a process is. */
	{"prctl", "PR_SET_MM", EPERM, 0, "another executable, arguments, environment for /proc", 1, {LOW(0, PR_SET_MM)}},
	{"seccomp", "SECCOMP_FILTER_FLAG_NEW_LISTENER", EPERM, 0,
	 "would answer the system calls of an allowed program, its libraries' files included", 1,
	 {BIT(1, FILTER_FLAG_NEW_LISTENER)}},

	/* The limit is 1 byte: at 0 the kernel still starts a host's handler of core files, as root
	 * (fs/coredump.c). */
	{"setrlimit", "RLIMIT_CORE", SECCOMP_PRETEND, 0, "stays at 1 byte: no core file, no handler of the host", 1,
	 {LOW(0, RLIMIT_CORE)}},
	{"prlimit64", "RLIMIT_CORE, new limit", SECCOMP_PRETEND, 0, "stays at 1 byte: no core file, no handler of the host", 3,
	 {LOW(1, RLIMIT_CORE), NE(2, 0), EQ(3, 0)}},
	{"prlimit64", "RLIMIT_CORE, new and old limit", EPERM, 0, "stays at 1 byte, and the old one would be made up", 3,
	 {LOW(1, RLIMIT_CORE), NE(2, 0), NE(3, 0)}},

	/* What Landlock does not see before its ABI 3. */
	TRUNCATING("open", 1, "O_TRUNC with O_RDONLY", O_RDONLY),
	TRUNCATING("open", 1, "O_TRUNC with access mode 3", O_ACCMODE),
	TRUNCATING("openat", 2, "O_TRUNC with O_RDONLY", O_RDONLY),
	TRUNCATING("openat", 2, "O_TRUNC with access mode 3", O_ACCMODE),
	{"openat2", "always", ENOSYS, 3, "flags are in memory, where no filter looks; openat is used instead", 0, {EQ(0, 0)}},
	{"truncate", "always", EPERM, 3, "Landlock does not see it; ftruncate needs a file open for writing", 0, {EQ(0, 0)}},
	{"truncate64", "always", EPERM, 3, "Landlock does not see it; ftruncate needs a file open for writing", 0, {EQ(0, 0)}},
};
const size_t seccomp_arguments_n = ARRAY_LEN(seccomp_arguments);

#define SOCKET(family, type, protocol, reason)                                                     \
	{                                                                                          \
		#family, #type, #protocol, family, type, protocol, reason                          \
	}

const struct seccomp_socket seccomp_sockets[] = {
	SOCKET(AF_UNIX, SOCK_STREAM, PF_UNIX, "peers are judged by the mounts and by BPF LSM"),
	SOCKET(AF_UNIX, SOCK_DGRAM, PF_UNIX, "peers are judged by the mounts and by BPF LSM"),
	SOCKET(AF_UNIX, SOCK_SEQPACKET, PF_UNIX, "peers are judged by the mounts and by BPF LSM"),
	SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP, "the policy judges each connect()"),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP, "names only: what is not a question to the resolver is denied"),
	SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP, "the policy judges each connect()"),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "names only: what is not a question to the resolver is denied"),
	/* The kernel lets users read it, and programs list interfaces with it. */
	SOCKET(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "lists interfaces, addresses and routes; changes need a capability"),
	SOCKET(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE, "lists interfaces, addresses and routes; changes need a capability"),
};
const size_t seccomp_sockets_n = ARRAY_LEN(seccomp_sockets);
/* clang-format on */
