/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail.c - see jail.h.  The process that parses hostile bytes keeps its sockets, its maps and its memory.
 *
 * The table of system calls is meant to be read line by line.  What is not in it answers EPERM, so that a
 * library that tries something optional goes on without it; what no honest code path here can ask for kills.
 */
#include "proxy/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define NOFILE_MAX 65536

/* ----------------------------------------------------------------------------------------- identity -- */

static int set_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return -errno;
	if (l.rlim_max > NOFILE_MAX)
		l.rlim_max = NOFILE_MAX;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) < 0)
		return -errno;
	l.rlim_cur = l.rlim_max = 0;
	return setrlimit(RLIMIT_CORE, &l) < 0 ? -errno : 0;
}

static int drop_bounding(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 0)
			return -EPERM;
	}
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

static int drop_ids(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return -errno;
	if (r != uid || e != uid || s != uid || rg != gid || eg != gid || sg != gid ||
	    getgroups(0, NULL) != 0 || setuid(0) == 0)
		return -EPERM;
	return 0;
}

static int drop_caps(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {0}, now[2];

	if (syscall(SYS_capset, &h, d) < 0 || syscall(SYS_capget, &h, now) < 0)
		return -errno;
	return memcmp(d, now, sizeof(d)) == 0 ? 0 : -EPERM;
}

int jail_identity(uid_t uid, gid_t gid, pid_t parent, const char **ret_step)
{
	int r;

	*ret_step = "identity of the proxy must not be root";
	if (uid == 0 || gid == 0)
		return -EINVAL;
	*ret_step = "setting limits";
	if ((r = set_limits()) < 0)
		return r;
	*ret_step = "dropping the capability bounding set";
	if ((r = drop_bounding()) < 0)
		return r;
	*ret_step = "dropping to the proxy's uid and gid";
	if ((r = drop_ids(uid, gid)) < 0)
		return r;
	*ret_step = "dropping capabilities";
	if ((r = drop_caps()) < 0)
		return r;
	/* After the change of identity, which clears both. */
	*ret_step = "PR_SET_DUMPABLE";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	*ret_step = "PR_SET_PDEATHSIG";
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	*ret_step = "supervisor is gone";
	return getppid() == parent ? 0 : -ESRCH;
}

/* ----------------------------------------------------------------------------------------- Landlock -- */

/* linux/landlock.h of the oldest system we build on knows less than the kernels we run on. */
struct ruleset_attr {
	uint64_t fs, net, scoped;
};
#define NET_BIND_TCP 1u
#define SCOPE_ALL 3u /* abstract Unix sockets, signals */

/* 1: locked; 0: this kernel has no Landlock. */
static int lock_files(void)
{
	static const unsigned fs_bits[] = {0, 13, 14, 15, 15, 16}; /* number of rights by ABI */
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* VERSION */);
	struct ruleset_attr a = {0};
	_cleanup_close_ int fd = -1;
	size_t size = sizeof(a.fs);

	if (abi <= 0)
		return 0; /* a kernel without it: seccomp refuses open() all the same */
	a.fs = (1u << fs_bits[abi < 5 ? abi : 5]) - 1;
	if (abi >= 4) {
		a.net = NET_BIND_TCP;
		size = 2 * sizeof(a.fs);
	}
	if (abi >= 6) {
		a.scoped = SCOPE_ALL;
		size = sizeof(a);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
	if (fd < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 1;
}

/* 0, or the errno: what every process can do and this one must not. */
static int list_root(void)
{
	_cleanup_close_ int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

/* ------------------------------------------------------------------------------------------ seccomp -- */

#define ANY {0, SCMP_CMP_EQ, 0, 0}, false
#define ARG(n, value) {(n), SCMP_CMP_EQ, (value), 0}, true
#define ARG_MASK(n, mask, value) {(n), SCMP_CMP_MASKED_EQ, (mask), (value)}, true
#define CALL(name) SCMP_SYS(name), #name

static const struct rule {
	int nr;
	const char *name;
	struct scmp_arg_cmp arg;
	bool has_arg;
} allowed[] = {
	/* bytes on descriptors that are open already */
	{CALL(read), ANY},
	{CALL(write), ANY},
	{CALL(readv), ANY},
	{CALL(writev), ANY},
	{CALL(pread64), ANY}, /* roots, on first use */
	{CALL(lseek), ANY},
	{CALL(fstat), ANY},
	{CALL(newfstatat), ARG_MASK(3, 0x1000, 0x1000)}, /* AT_EMPTY_PATH: fstat() of newer libcs */
	{CALL(close), ANY},
	{CALL(fcntl), ARG(1, F_GETFL)},
	{CALL(fcntl), ARG(1, F_SETFL)},
	{CALL(fcntl), ARG(1, F_GETFD)},
	{CALL(fcntl), ARG(1, F_SETFD)},
	{CALL(ioctl), ARG(1, FIONBIO)},
	{CALL(ioctl), ARG(1, FIONREAD)},
	/* sockets: TCP and UDP over IPv4 and IPv6, never listening */
	{CALL(socket), ARG(0, AF_INET)}, /* types: refine_sockets() */
	{CALL(socket), ARG(0, AF_INET6)},
	{CALL(connect), ANY},
	{CALL(accept4), ANY},
	{CALL(shutdown), ANY},
	{CALL(sendto), ANY},
	{CALL(sendmsg), ANY},
	{CALL(recvfrom), ANY},
	{CALL(recvmsg), ANY},
	{CALL(getsockopt), ANY},
	{CALL(setsockopt), ANY},
	{CALL(getsockname), ANY},
	{CALL(getpeername), ANY},
	{CALL(bind), ANY}, /* c-ares; TCP ports are Landlock's */
	/* the loop */
	{CALL(epoll_ctl), ANY},
	{CALL(epoll_wait), ANY},
	{CALL(epoll_pwait), ANY},
	{CALL(poll), ANY},
	{CALL(ppoll), ANY},
	/* maps: look-ups, and the names map's entries */
	{CALL(bpf), ARG(0, BPF_MAP_LOOKUP_ELEM)},
	{CALL(bpf), ARG(0, BPF_MAP_UPDATE_ELEM)},
	{CALL(bpf), ARG(0, BPF_MAP_DELETE_ELEM)},
	{CALL(bpf), ARG(0, BPF_MAP_GET_NEXT_KEY)},
	/* memory, never executable */
	{CALL(mmap), ARG_MASK(2, PROT_EXEC, 0)},
	{CALL(mprotect), ARG_MASK(2, PROT_EXEC, 0)},
	{CALL(munmap), ANY},
	{CALL(mremap), ANY},
	{CALL(madvise), ANY},
	{CALL(brk), ANY},
	{CALL(futex), ANY},
	/* time and chance */
	{CALL(clock_gettime), ANY},
	{CALL(clock_getres), ANY},
	{CALL(gettimeofday), ANY},
	{CALL(time), ANY},
	{CALL(getrandom), ANY},
	/* oneself */
	{CALL(getpid), ANY},
	{CALL(gettid), ANY},
	{CALL(getuid), ANY},
	{CALL(geteuid), ANY},
	{CALL(getgid), ANY},
	{CALL(getegid), ANY},
	{CALL(uname), ANY},
	{CALL(rt_sigaction), ANY},
	{CALL(rt_sigprocmask), ANY},
	{CALL(rt_sigreturn), ANY},
	{CALL(restart_syscall), ANY},
	{CALL(sched_yield), ANY},
	{CALL(exit), ANY},
	{CALL(exit_group), ANY},
};

/* Asking for one of these means that somebody else is at the controls. */
static const struct {
	int nr;
	const char *name;
} deadly[] = {
	{CALL(execve)},		  {CALL(execveat)},	    {CALL(fork)},
	{CALL(vfork)},		  {CALL(ptrace)},	    {CALL(process_vm_readv)},
	{CALL(process_vm_writev)}, {CALL(pidfd_getfd)},	    {CALL(mount)},
	{CALL(umount2)},	  {CALL(pivot_root)},	    {CALL(chroot)},
	{CALL(setns)},		  {CALL(unshare)},	    {CALL(init_module)},
	{CALL(finit_module)},	  {CALL(kexec_load)},	    {CALL(keyctl)},
	{CALL(add_key)},	  {CALL(request_key)},	    {CALL(perf_event_open)},
	{CALL(userfaultfd)},	  {CALL(io_uring_setup)},   {CALL(io_uring_enter)},
	{CALL(io_uring_register)}, {CALL(personality)},	    {CALL(listen)},
};

/* abort() and failed assertions signal the process itself, and nobody else. */
static int allow_abort(scmp_filter_ctx c)
{
	pid_t self = getpid();

	return seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)self, 0));
}

static int allow_sockets(scmp_filter_ctx c, int family)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(types) && r == 0; i++)
		r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0),
				     SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, (scmp_datum_t)types[i]));
	return r;
}

static int fill_filter(scmp_filter_ctx c)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(allowed) && r == 0; i++) {
		const struct rule *a = &allowed[i];

		if (a->nr == SCMP_SYS(socket))
			r = allow_sockets(c, (int)a->arg.datum_a);
		else
			r = seccomp_rule_add_array(c, SCMP_ACT_ALLOW, a->nr, a->has_arg ? 1 : 0, &a->arg);
	}
	for (size_t i = 0; i < ARRAY_LEN(deadly) && r == 0; i++)
		r = seccomp_rule_add_array(c, SCMP_ACT_KILL_PROCESS, deadly[i].nr, 0, NULL);
	return r == 0 ? allow_abort(c) : r;
}

static int lock_calls(void)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = -ENOMEM;

	if (!c)
		return r;
	r = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree: hot calls cost the same */
	if (r == 0)
		r = fill_filter(c);
	if (r == 0)
		r = seccomp_load(c);
	seccomp_release(c);
	return r;
}

int jail_lock(const char **ret_step)
{
	bool could;
	int r;

	*ret_step = "no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	*ret_step = "Landlock";
	could = list_root() == 0;
	r = lock_files();
	if (r < 0)
		return r;
	*ret_step = "Landlock has no effect: a directory could be opened";
	if (r > 0 && could && list_root() != EACCES)
		return -ENOTCONN;
	*ret_step = "seccomp";
	r = lock_calls();
	if (r < 0)
		return r;
	/* Neither is in the table, both would work without it. */
	*ret_step = "seccomp has no effect: a system call that it refuses was made";
	if (syscall(SYS_getpriority, 0 /* PRIO_PROCESS */, 0) >= 0 || errno != EPERM || list_root() != EPERM)
		return -ENOTCONN;
	return 0;
}
