/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - the table of what is tried, and the trying: a child for each, a scratch cgroup for all.
 */
#include "user/probe.h"

#include "user/cgroup.h"
#include "user/cores.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* ---------------------------------------------------------------------------------- results -- */

const char *probe_state_name(enum probe_state state)
{
	static const char *const names[] = {[PROBE_OK] = "ok",
					    [PROBE_LIMITED] = "limited",
					    [PROBE_MISSING] = "missing",
					    [PROBE_UNTRIED] = "untried"};

	return names[state];
}

void probe_say(struct probe_result *ret, enum probe_state state, const char *fmt, ...)
{
	va_list ap;

	ret->state = state;
	va_start(ap, fmt);
	vsnprintf(ret->detail, sizeof(ret->detail), fmt, ap);
	va_end(ap);
}

void probe_ok(struct probe_result *ret)
{
	*ret = (struct probe_result){.state = PROBE_OK};
}

void probe_fail(struct probe_result *ret, enum probe_state state, int err, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	ret->state = state;
	va_start(ap, fmt);
	vsnprintf(ret->detail, sizeof(ret->detail), fmt, ap);
	va_end(ap);
	n = strlen(ret->detail);
	snprintf(ret->detail + n, sizeof(ret->detail) - n, ": %s", strerror(err));
}

/* --------------------------------------------------------------------------- scratch cgroup -- */

#define SCRATCH_PREFIX "doctor-"

/* Leftovers of doctors that were killed: an empty cgroup whose process is gone. */
static void sweep(const char *base)
{
	DIR *d = opendir(base);
	struct dirent *e;
	char end;
	int pid;

	while (d && (e = readdir(d)))
		if (sscanf(e->d_name, SCRATCH_PREFIX "%d%c", &pid, &end) == 1 && pid > 0 &&
		    kill(pid, 0) < 0 && errno == ESRCH)
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
}

static int scratch_make(struct probe_env *env)
{
	_cleanup_free_ char *base = NULL;

	if (asprintf(&base, "%s/osh-enforce", env->cgroup2) < 0 ||
	    asprintf(&env->scratch, "%s/" SCRATCH_PREFIX "%d", base, (int)getpid()) < 0) {
		env->scratch = NULL;
		return -ENOMEM;
	}
	sweep(base);
	if ((mkdir(base, 0755) == 0 || errno == EEXIST) && mkdir(env->scratch, 0755) == 0) {
		env->cgroup_fd = open(env->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (env->cgroup_fd >= 0)
			return 0;
	}
	return -errno;
}

void probe_env_init(struct probe_env *env)
{
	*env = (struct probe_env){.root = geteuid() == 0, .cgroup_fd = -1, .cgroup_err = ENOENT};
	libbpf_set_print(NULL);
	env->btf = btf__load_vmlinux_btf();
	if (libbpf_get_error(env->btf))
		env->btf = NULL;
	if (cgroup2_mount(&env->cgroup2) == 0)
		env->cgroup_err = -scratch_make(env);
}

void probe_env_done(struct probe_env *env)
{
	const struct timespec pause = {0, 10 * 1000 * 1000};

	closep(&env->cgroup_fd);
	/* A child that was just killed may take a moment to leave. */
	for (int i = 0; env->scratch && i < 100 && rmdir(env->scratch) < 0 && errno == EBUSY; i++)
		nanosleep(&pause, NULL);
	if (env->scratch) {
		*strrchr(env->scratch, '/') = '\0';
		rmdir(env->scratch); /* osh-enforce: stays when a sandbox is in it */
	}
	btf__free(env->btf);
	free(env->scratch);
	free(env->cgroup2);
	*env = (struct probe_env){.cgroup_fd = -1};
}

/* -------------------------------------------------------------------------------- one probe -- */

static void child(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	struct rlimit no_core = {0, 0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	alarm(PROBE_TIMEOUT_S);
	p->try(env, p, ret);
	_exit(0);
}

static void run_in_child(const struct probe_env *env, const struct probe *p,
			 struct probe_result *ret)
{
	struct probe_result *shared;
	int status = 0;
	pid_t pid;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return probe_fail(ret, PROBE_UNTRIED, errno, "cannot share memory with a child");
	probe_say(shared, PROBE_MISSING, "the try did not come to an end");
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(env, p, shared);
	if (pid < 0)
		probe_fail(shared, PROBE_UNTRIED, errno, "cannot start a child");
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*ret = *shared;
	munmap(shared, sizeof(*shared));
	if (pid > 0 && WIFSIGNALED(status))
		probe_say(ret, PROBE_MISSING, "the try was ended by %s",
			  WTERMSIG(status) == SIGALRM ? "a time limit"
						      : strsignal(WTERMSIG(status)));
}

void probe_run(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	*ret = (struct probe_result){0};
	if ((p->needs & PROBE_ROOT) && !env->root)
		probe_say(ret, PROBE_UNTRIED, "needs root");
	else if ((p->needs & PROBE_CGROUP) && env->cgroup_fd < 0)
		probe_say(ret, PROBE_UNTRIED, "needs a cgroup of its own");
	else
		run_in_child(env, p, ret);
	if (ret->state == PROBE_OK)
		ret->remedy[0] = '\0';
	else if (ret->state == PROBE_UNTRIED && (p->needs & PROBE_ROOT) && !env->root)
		snprintf(ret->remedy, sizeof(ret->remedy), "sudo osh-enforce doctor");
	else if (ret->state != PROBE_UNTRIED && !ret->remedy[0] && p->remedy)
		snprintf(ret->remedy, sizeof(ret->remedy), "%s", p->remedy);
}

/* --------------------------------------------------------------------------------- the host -- */

static void probe_root(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	static const struct {
		uint32_t cap;
		const char *name;
	} caps[] = {
		{CAP_SYS_ADMIN, "SYS_ADMIN"},
		{CAP_BPF, "BPF"},
		{CAP_PERFMON, "PERFMON"},
		{CAP_NET_ADMIN, "NET_ADMIN"},
		{CAP_SETUID, "SETUID"},
		{CAP_SETGID, "SETGID"},
		{CAP_SETPCAP, "SETPCAP"},
		{CAP_CHOWN, "CHOWN"},
		{CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
		{CAP_KILL, "KILL"},
	};
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	char missing[200] = "";

	(void)env;
	(void)p;
	if (geteuid() != 0)
		return probe_say(ret, PROBE_MISSING, "uid %d", (int)geteuid());
	if (syscall(SYS_capget, &head, data) < 0)
		return probe_fail(ret, PROBE_UNTRIED, errno, "capget");
	for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
		size_t n = strlen(missing);

		if (!(data[caps[i].cap / 32].effective & (1u << caps[i].cap % 32)))
			snprintf(missing + n, sizeof(missing) - n, " CAP_%s", caps[i].name);
	}
	if (*missing)
		return probe_say(ret, PROBE_MISSING, "root without%s", missing);
	probe_ok(ret);
}

static void probe_cgroup2(const struct probe_env *env, const struct probe *p,
			  struct probe_result *ret)
{
	(void)p;
	if (!env->cgroup2)
		return probe_say(ret, PROBE_MISSING, "not mounted");
	probe_say(ret, PROBE_OK, "%s%s", env->cgroup2,
		  strcmp(env->cgroup2, "/sys/fs/cgroup") == 0 ? "" : " (hybrid layout)");
}

static void probe_cgroup_make(const struct probe_env *env, const struct probe *p,
			      struct probe_result *ret)
{
	(void)p;
	if (!env->cgroup2)
		return probe_say(ret, PROBE_UNTRIED, "cgroup v2 is not mounted");
	if (env->cgroup_fd < 0)
		return probe_fail(ret, PROBE_MISSING, env->cgroup_err, "%s/osh-enforce",
				  env->cgroup2);
	probe_say(ret, PROBE_OK, "osh-enforce%s", strrchr(env->scratch, '/'));
}

/* Does /proc/self/cgroup of the calling process name the scratch cgroup? */
static bool inside_scratch(const struct probe_env *env)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/cgroup", "re");
	const char *name = strrchr(env->scratch, '/');
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0 && strlen(line) > strlen(name) &&
		    strcmp(line + strlen(line) - strlen(name), name) == 0)
			return true;
	}
	return false;
}

static void probe_clone_into(const struct probe_env *env, const struct probe *p,
			     struct probe_result *ret)
{
	int status;
	pid_t pid;

	(void)p;
	pid = cgroup_fork(env->cgroup_fd, 0);
	if (pid == 0)
		_exit(inside_scratch(env) ? 0 : 1);
	if (pid < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "clone3");
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return probe_say(ret, PROBE_MISSING, "the child started in another cgroup");
	probe_ok(ret);
}

static void probe_cores(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	(void)env;
	(void)p;
	if (cores_to_socket())
		return probe_say(ret, PROBE_LIMITED, "kernel.core_pattern names a socket, which no limit keeps them from");
	probe_ok(ret);
}

/* -------------------------------------------------------------------------------- the table -- */

#define KCONFIG_BPF                                                                                \
	"a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_CGROUP_BPF=y (Debian's since 10 have them)"
#define KCONFIG_BTF "a kernel with CONFIG_DEBUG_INFO_BTF=y"
#define KERNEL_61 "a kernel of 6.1 or later"
#define REMEDY_ROOT                                                                                \
	"sudo osh-enforce ...; in a container: give it the missing capabilities, or run on the host"
#define REMEDY_CGROUP2                                                                             \
	"mount -t cgroup2 cgroup2 /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1"
#define REMEDY_CGROUP_RW "mount -o remount,rw MOUNTPOINT; in a container: run on the host"
#define REMEDY_DIAG                                                                                \
	"a kernel with CONFIG_INET_DIAG (modprobe tcp_diag) and CONFIG_INET_DIAG_DESTROY=y"
#define REMEDY_MOUNTS                                                                              \
	"CONFIG_NAMESPACES=y; switch_root out of an initramfs first; in a container: run on the host"
#define REMEDY_LANDLOCK                                                                            \
	"a kernel with CONFIG_SECURITY_LANDLOCK=y, and landlock in lsm= on its command line"
#define REMEDY_CORES CORES_REMEDY
#define REMEDY_LSM "a kernel with CONFIG_BPF_LSM=y, and bpf in lsm= on its command line"

/* R: required; S: trying it needs root; G: trying it needs the scratch cgroup. */
#define R PROBE_REQUIRED
#define S PROBE_ROOT
#define G PROBE_CGROUP
/* clang-format off */
const struct probe probes[] = {
	{"host", "root", "root", "build the walls, load BPF",
	 R, probe_root, REMEDY_ROOT, NULL},

	{"cgroup", "cgroup2", "cgroup v2", "which processes belong to a sandbox",
	 R, probe_cgroup2, REMEDY_CGROUP2, NULL},
	{"cgroup", "cgroup-create", "creating a cgroup", "one for each sandbox",
	 R | S, probe_cgroup_make, REMEDY_CGROUP_RW, NULL},
	{"cgroup", "clone-into-cgroup", "clone3 into a cgroup", "no moment outside the walls",
	 R | S | G, probe_clone_into, KERNEL_61, NULL},

	{"bpf", "btf", "kernel types (BTF)", "one program for all kernels",
	 R, probe_btf, KCONFIG_BTF, NULL},
	{"bpf", "bpffs", "bpf file system", "hooks outlive a killed supervisor",
	 R | S, probe_bpffs, "mount -t bpf bpf /sys/fs/bpf", NULL},
	{"bpf", "connect", "cgroup/connect4, connect6", "the decision on each connection",
	 R | S | G, probe_hook, KCONFIG_BPF, &hook_connect},
	{"bpf", "refusal", "a refusal takes effect", "connect() in the cgroup says EPERM",
	 R | S | G, probe_refusal, KCONFIG_BPF, NULL},
	{"bpf", "sendmsg", "cgroup/sendmsg4, sendmsg6", "UDP: DNS to the resolver, the rest refused",
	 R | S | G, probe_hook, KCONFIG_BPF, &hook_sendmsg},
	{"bpf", "recvmsg", "cgroup/recvmsg4, recvmsg6", "answers come from where they were asked",
	 R | S | G, probe_hook, KCONFIG_BPF, &hook_recvmsg},
	{"bpf", "getpeername", "cgroup/getpeername4, 6", "programs see the address they asked for",
	 R | S | G, probe_hook, KERNEL_61, &hook_getpeername},
	{"bpf", "sock-create", "cgroup/sock_create", "kinds of sockets; whose socket it is",
	 R | S | G, probe_hook, KCONFIG_BPF, &hook_sock_create},
	{"bpf", "sock-release", "cgroup/sock_release", "records of connections go with them",
	 R | S | G, probe_hook, KERNEL_61, &hook_sock_release},
	{"bpf", "bind", "cgroup/bind4, bind6", "ports of the host are not taken",
	 R | S | G, probe_hook, KCONFIG_BPF, &hook_bind},
	{"bpf", "setsockopt", "cgroup/setsockopt", "options that share or steer are refused",
	 R | S | G, probe_hook, KERNEL_61, &hook_setsockopt},
	{"bpf", "packets", "cgroup_skb/ingress, egress", "nothing comes in or leaves but what was decided",
	 R | S | G, probe_hook, KCONFIG_BPF, &hook_packets},
	{"bpf", "sockops", "sockops", "the proxy learns whose connection it is",
	 R | S | G, probe_hook, KCONFIG_BPF, &hook_sockops},
	{"bpf", "exec", "raw_tp/sched_process_exec", "which executable a process runs",
	 R | S, probe_tracepoint, KCONFIG_BTF, "sched_process_exec"},
	{"bpf", "fork", "raw_tp/sched_process_fork", "children inherit",
	 R | S, probe_tracepoint, KCONFIG_BTF, "sched_process_fork"},
	{"bpf", "exit", "raw_tp/sched_process_exit", "records of processes go with them",
	 R | S, probe_tracepoint, KCONFIG_BTF, "sched_process_exit"},
	{"bpf", "helpers", "helpers in connect hooks", "listeners, process, clock, socket cookie",
	 R | S, probe_helpers, KERNEL_61, NULL},
	{"bpf", "bpf-loop", "bpf_loop", "walks paths and automata",
	 R | S, probe_bpf_loop, KERNEL_61, NULL},
	{"bpf", "ringbuf", "ring buffer", "events",
	 R | S, probe_ringbuf, KERNEL_61, NULL},
	{"bpf", "map-of-maps", "mappable, frozen inner arrays", "the policy image and its swap",
	 R | S, probe_map_of_maps, KERNEL_61, NULL},
	{"bpf", "sk-storage", "socket storage", "what a socket is allowed",
	 R | S | G, probe_sk_storage, KERNEL_61, NULL},
	{"bpf", "rdonly-map", "read-only map descriptors", "the proxy reads maps without rights",
	 R | S, probe_rdonly_map, KERNEL_61, NULL},
	{"bpf", "sock-destroy", "SOCK_DESTROY", "cuts what a new policy no longer allows",
	 R | S, probe_sock_destroy, REMEDY_DIAG, NULL},

	{"walls", "mounts", "mount namespace, pivot_root", "only the policy's files are there",
	 R | S, probe_mounts, REMEDY_MOUNTS, NULL},
	{"walls", "ipc", "IPC namespace", "no shared memory with the host",
	 R | S, probe_ipc, "a kernel with CONFIG_IPC_NS=y", NULL},
	{"walls", "seccomp", "seccomp filter", "which system calls there are",
	 R, probe_seccomp, "a kernel with CONFIG_SECCOMP_FILTER=y", NULL},
	{"walls", "landlock", "Landlock", "second lock on files; signals and sockets",
	 0, probe_landlock, REMEDY_LANDLOCK, NULL},
	{"walls", "core-files", "core files", "no handler of the host gets what crashes inside",
	 0, probe_cores, REMEDY_CORES, NULL},

	{"extras", "connect-unix", "cgroup/connect_unix", "second lock on Unix sockets",
	 S | G, probe_hook, "a kernel of 6.7 or later", &hook_connect_unix},
	{"extras", "bpf-lsm", "BPF LSM", "whose Unix socket, processes outside, code of its own",
	 S, probe_lsm, REMEDY_LSM, NULL},
};
/* clang-format on */
#undef R
#undef S
#undef G
const size_t probes_n = ARRAY_LEN(probes);
