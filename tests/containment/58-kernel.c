/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 58-kernel.c - system calls that lead out of a sandbox or deep into the kernel.  `done`: it worked; a call that only
 * root gets through says with which error the kernel answered, with arguments that can do nothing.
 */
#include "attack.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

static int said(const char *what, long r)
{
	return r < 0 ? fail(what) : done();
}

static int namespace_flags(const char *names)
{
	static const struct {
		const char *name;
		int flag;
	} all[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS}, {"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC},
		   {"pid", CLONE_NEWPID},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80}};
	int flags = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strstr(names, all[i].name))
			flags |= all[i].flag;
	return flags;
}

/* unshare NAMES */
APPLET(unshare)
{
	return said("unshare", unshare(namespace_flags(argv[1])));
}

static int child(void *arg)
{
	(void)arg;
	return 0;
}

/* clone NAMES | clone3 NAMES */
APPLET(clone)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid = clone(child, stack + sizeof(stack), namespace_flags(argv[1]) | SIGCHLD, NULL);

	return said("clone", pid < 0 ? pid : waitpid(pid, NULL, 0));
}

APPLET(clone3)
{
	unsigned long long args[8] = {(unsigned long long)namespace_flags(argv[1]), 0, 0, 0, SIGCHLD};
	long pid = syscall(SYS_clone3, args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return said("clone3", pid < 0 ? pid : waitpid((pid_t)pid, NULL, 0));
}

/* enter FILE: setns */
APPLET(enter)
{
	return said("setns", setns(open(argv[1], O_RDONLY), 0));
}

/* rooted CALL DIR: as root of new namespaces, where there are any, CALL at DIR */
APPLET(rooted)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	char map[64];
	int fd;
	long attr[4] = {1 /* MOUNT_ATTR_RDONLY */};
	const char *call = argv[1], *dir = argv[2];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) == 0) {
		fd = open("/proc/self/uid_map", O_WRONLY);
		dprintf(fd, "0 %u 1", uid);
		close(fd);
		fd = open("/proc/self/setgroups", O_WRONLY);
		dprintf(fd, "deny");
		close(fd);
		snprintf(map, sizeof(map), "0 %u 1", gid);
		fd = open("/proc/self/gid_map", O_WRONLY);
		dprintf(fd, "%s", map);
		close(fd);
	}
	if (!strcmp(call, "mount"))
		return said(call, mount("none", dir, "tmpfs", 0, NULL));
	if (!strcmp(call, "bind"))
		return said(call, mount(dir, dir, NULL, MS_BIND, NULL));
	if (!strcmp(call, "cgroup2"))
		return said(call, mount("none", dir, "cgroup2", 0, NULL));
	if (!strcmp(call, "umount"))
		return said(call, mount("none", dir, "tmpfs", 0, NULL) ? -1 : umount2(dir, MNT_DETACH));
	if (!strcmp(call, "chroot"))
		return said(call, chroot(dir));
	if (!strcmp(call, "pivot_root")) {
		mount("none", dir, "tmpfs", 0, NULL);
		return said(call, chdir(dir) ? -1 : syscall(SYS_pivot_root, ".", "."));
	}
	if (!strcmp(call, "fsopen"))
		return said(call, syscall(SYS_fsopen, "tmpfs", 0));
	if (!strcmp(call, "open_tree"))
		return said(call, syscall(SYS_open_tree, AT_FDCWD, dir, 1 /* OPEN_TREE_CLONE */));
	if (!strcmp(call, "open_tree_attr"))
		return said(call, syscall(467, AT_FDCWD, dir, 1, attr, sizeof(attr)));
	if (!strcmp(call, "fspick"))
		return said(call, mount("none", dir, "tmpfs", 0, NULL) ? -1 : syscall(SYS_fspick, AT_FDCWD, dir, 0));
	if (!strcmp(call, "mount_setattr"))
		return said(call, mount("none", dir, "tmpfs", 0, NULL) ? -1 : syscall(SYS_mount_setattr, AT_FDCWD, dir, 0, attr, sizeof(attr)));
	return 2;
}

static long terminal(unsigned long request, void *arg)
{
	int pty = posix_openpt(O_RDWR | O_NOCTTY), tty;

	setsid();
	if (pty < 0 || grantpt(pty) < 0 || unlockpt(pty) < 0 || (tty = open(ptsname(pty), O_RDWR)) < 0)
		return ioctl(0, request, arg); /* not a terminal, which the kernel says only when asked */
	return ioctl(tty, request, arg);
}

/* call NAME */
APPLET(call)
{
	const char *n = argv[1];
	union bpf_attr bpf = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	struct perf_event_attr perf = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(perf), .config = PERF_COUNT_SW_TASK_CLOCK,
				       .exclude_kernel = 1, .exclude_hv = 1};
	char ring[256] = {0};
	int n_tty = 0;

	if (!strcmp(n, "bpf"))
		return said(n, syscall(SYS_bpf, BPF_MAP_CREATE, &bpf, sizeof(bpf)));
	if (!strcmp(n, "bpf-next-id")) {
		memset(&bpf, 0, sizeof(bpf));
		return said(n, syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, &bpf, sizeof(bpf)));
	}
	if (!strcmp(n, "perf"))
		return said(n, syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0));
	if (!strcmp(n, "userfaultfd"))
		return said(n, syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */));
	if (!strcmp(n, "io_uring"))
		return said(n, syscall(SYS_io_uring_setup, 4, ring));
	if (!strcmp(n, "add_key"))
		return said(n, syscall(SYS_add_key, "user", "osht", "x", 1, -3 /* session */));
	if (!strcmp(n, "keyctl"))
		return said(n, syscall(SYS_keyctl, 0 /* get id */, -3, 1));
	if (!strcmp(n, "request_key"))
		return said(n, syscall(SYS_request_key, "keyring", "_ses", NULL, 0));
	if (!strcmp(n, "personality"))
		return said(n, personality(ADDR_NO_RANDOMIZE));
	if (!strcmp(n, "read-implies-exec"))
		return said(n, personality(READ_IMPLIES_EXEC));
	if (!strcmp(n, "traceme"))
		return said(n, ptrace(PTRACE_TRACEME, 0, 0, 0));
	if (!strcmp(n, "kcmp"))
		return said(n, syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
	if (!strcmp(n, "fanotify"))
		return said(n, fanotify_init(FAN_CLASS_NOTIF | 0x200 /* FAN_REPORT_FID */, O_RDONLY));
	if (!strcmp(n, "modify_ldt"))
		return said(n, syscall(SYS_modify_ldt, 0, ring, 16));
	if (!strcmp(n, "process_madvise")) {
		struct iovec v = {mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096};

		return said(n, syscall(440, syscall(SYS_pidfd_open, getpid(), 0), &v, 1, MADV_COLD, 0));
	}
	if (!strcmp(n, "move_pages"))
		return said(n, syscall(SYS_move_pages, 0, 0, NULL, NULL, NULL, 0));
	if (!strcmp(n, "cachestat"))
		return said(n, syscall(451, memfd_create("x", 0), (long[]){0, 0}, ring, 0));
	if (!strcmp(n, "statmount"))
		return said(n, syscall(458, (long[]){24, -1, 0}, ring, 4, 0));
	if (!strcmp(n, "tiocsti"))
		return said(n, terminal(TIOCSTI, (void *)"x"));
	if (!strcmp(n, "tioclinux"))
		return said(n, terminal(TIOCLINUX, (void *)"\6"));
	if (!strcmp(n, "tiocsetd"))
		return said(n, terminal(TIOCSETD, &n_tty));
	if (!strcmp(n, "kexec_load"))
		return said(n, syscall(SYS_kexec_load, 0, 1, NULL, 0));
	if (!strcmp(n, "init_module"))
		return said(n, syscall(SYS_init_module, ring, 4, ""));
	if (!strcmp(n, "finit_module"))
		return said(n, syscall(SYS_finit_module, open("/dev/null", O_RDONLY), "", 0));
	if (!strcmp(n, "delete_module"))
		return said(n, syscall(SYS_delete_module, "osht_none", O_NONBLOCK));
	if (!strcmp(n, "reboot"))
		return said(n, syscall(SYS_reboot, 0, 0, 0, 0)); /* wrong magic */
	if (!strcmp(n, "swapon"))
		return said(n, syscall(SYS_swapon, "/nonexistent/osht", 0));
	if (!strcmp(n, "acct"))
		return said(n, syscall(SYS_acct, "/nonexistent/osht"));
	if (!strcmp(n, "settimeofday"))
		return said(n, syscall(SYS_settimeofday, (long[]){-1, -1}, NULL));
	if (!strcmp(n, "iopl"))
		return said(n, syscall(SYS_iopl, 3));
	return 2;
}

/* core: leaves a core file in the current directory, where the kernel writes one there */
APPLET(core)
{
	struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_CORE, &l) < 0)
		return fail("setrlimit");
	abort();
}

/* corelimit BYTES: sets the limit and says what it is then */
APPLET(corelimit)
{
	struct rlimit l = {(rlim_t)atoi(argv[1]), (rlim_t)atoi(argv[1])};

	if (setrlimit(RLIMIT_CORE, &l) < 0 || getrlimit(RLIMIT_CORE, &l) < 0)
		return fail("setrlimit");
	return printf("limit %llu\n", (unsigned long long)l.rlim_cur) < 0;
}

#ifdef __x86_64__
/* int80: getpid by the 32-bit entry; x32: by a number of x32 */
APPLET(int80)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory");
	return r > 0 ? done() : fail("int80");
}

APPLET(x32)
{
	return said("x32", syscall(0x40000000 + SYS_getpid));
}
#endif
