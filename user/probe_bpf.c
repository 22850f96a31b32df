/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_bpf.c - tries of the kernel's BPF side: the smallest program of each kind is loaded and
 * attached.
 *
 * Programs are written as instructions here, so that a try depends on nothing that it does not try.
 * Those for cgroups are attached to the scratch cgroup only; the tracepoint programs do nothing but
 * return.  Everything goes when the child that tries it exits: nothing is pinned, but for one map
 * for a moment.
 */
#include "user/probe.h"

#include "user/cgroup.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>

/* ----------------------------------------------------------------------------- instructions -- */

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){                                                                        \
		.code = (c), .dst_reg = (d)&15, .src_reg = (s)&15, .off = (o), .imm = (i)})
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD_IMM(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define RSH_IMM(d, i) INSN(BPF_ALU64 | BPF_RSH | BPF_K, d, 0, 0, i)
#define LOAD_DW(d, s, o) INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0)
#define STORE_DW(d, o, i) INSN(BPF_ST | BPF_MEM | BPF_DW, d, 0, o, i)
#define JNE_IMM(d, i, o) INSN(BPF_JMP | BPF_JNE | BPF_K, d, 0, o, i)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Two instructions: a map by descriptor, a function by distance. */
#define LOAD_IMM64(d, s, i) INSN(BPF_LD | BPF_IMM | BPF_DW, d, s, 0, i), INSN(0, 0, 0, 0, 0)

static int load(enum bpf_prog_type type, enum bpf_attach_type attach, const struct bpf_insn *insns,
		size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	int fd = bpf_prog_load(type, "osh_doctor", "GPL", insns, n, &opts);

	return fd < 0 ? -errno : fd;
}

static int load_return(enum bpf_prog_type type, enum bpf_attach_type attach, int value)
{
	const struct bpf_insn insns[] = {MOV_IMM(BPF_REG_0, value), EXIT()};

	return load(type, attach, insns, ARRAY_LEN(insns));
}

/* -------------------------------------------------------------------------- cgroup programs -- */

struct probe_hook {
	enum bpf_prog_type type;
	int attach[2]; /* second: 0 when there is one only */
	int value;     /* what "no objection" is */
};

/* Since 6.7; not in the headers of older distributions. */
#define ATTACH_UNIX_CONNECT 49

#define SOCK_ADDR BPF_PROG_TYPE_CGROUP_SOCK_ADDR
const struct probe_hook hook_connect = {
	SOCK_ADDR, {BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT}, 1};
const struct probe_hook hook_sendmsg = {
	SOCK_ADDR, {BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_SENDMSG}, 1};
const struct probe_hook hook_recvmsg = {
	SOCK_ADDR, {BPF_CGROUP_UDP4_RECVMSG, BPF_CGROUP_UDP6_RECVMSG}, 1};
const struct probe_hook hook_getpeername = {
	SOCK_ADDR, {BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME}, 1};
const struct probe_hook hook_bind = {SOCK_ADDR, {BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND}, 1};
const struct probe_hook hook_connect_unix = {SOCK_ADDR, {ATTACH_UNIX_CONNECT, 0}, 1};
const struct probe_hook hook_sock_create = {
	BPF_PROG_TYPE_CGROUP_SOCK, {BPF_CGROUP_INET_SOCK_CREATE, 0}, 1};
const struct probe_hook hook_sock_release = {
	BPF_PROG_TYPE_CGROUP_SOCK, {BPF_CGROUP_INET_SOCK_RELEASE, 0}, 1};
const struct probe_hook hook_setsockopt = {
	BPF_PROG_TYPE_CGROUP_SOCKOPT, {BPF_CGROUP_SETSOCKOPT, 0}, 1};
const struct probe_hook hook_packets = {
	BPF_PROG_TYPE_CGROUP_SKB, {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS}, 1};
const struct probe_hook hook_sockops = {BPF_PROG_TYPE_SOCK_OPS, {BPF_CGROUP_SOCK_OPS, 0}, 1};

static int attach(int prog, int cgroup, int where)
{
	int fd = bpf_link_create(prog, cgroup, (enum bpf_attach_type)where, NULL);

	return fd < 0 ? -errno : fd;
}

void probe_hook(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	const struct probe_hook *h = p->arg;

	for (size_t i = 0; i < ARRAY_LEN(h->attach) && (i == 0 || h->attach[i]); i++) {
		int prog = load_return(h->type, (enum bpf_attach_type)h->attach[i], h->value), link;

		if (prog < 0)
			return probe_fail(ret, PROBE_MISSING, -prog, "refused when loaded");
		link = attach(prog, env->cgroup_fd, h->attach[i]);
		if (link < 0)
			return probe_fail(ret, PROBE_MISSING, -link, "refused when attached");
	}
	probe_ok(ret);
}

/* errno of a connect to a loopback port on which nobody listens. */
static int connect_closed(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Bound but not listening: the port is certain to be closed. */
	if (holder < 0 || s < 0 || bind(holder, (struct sockaddr *)&a, n) < 0 ||
	    getsockname(holder, (struct sockaddr *)&a, &n) < 0)
		return 0;
	return connect(s, (struct sockaddr *)&a, n) < 0 ? errno : 0;
}

static int connect_closed_in(const struct probe_env *env)
{
	pid_t pid = cgroup_fork(env->cgroup_fd, 0);
	int status;

	if (pid == 0)
		_exit(connect_closed());
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
									       : 0;
}

void probe_refusal(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	int prog = load_return(SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, 0), link, err;

	(void)p;
	if (prog < 0)
		return probe_fail(ret, PROBE_MISSING, -prog, "refused when loaded");
	err = connect_closed_in(env);
	if (err == EPERM)
		return probe_say(ret, PROBE_UNTRIED,
				 "something else refuses connections in a new cgroup already");
	link = attach(prog, env->cgroup_fd, BPF_CGROUP_INET4_CONNECT);
	if (link < 0)
		return probe_fail(ret, PROBE_MISSING, -link, "refused when attached");
	err = connect_closed_in(env);
	if (err != EPERM)
		return probe_fail(ret, PROBE_MISSING, err, "a refused connect() said");
	if (connect_closed() == EPERM) /* this process is outside */
		return probe_say(ret, PROBE_MISSING,
				 "the refusal reaches processes outside of the cgroup");
	probe_ok(ret);
}

/* ------------------------------------------------------------------------------ tracepoints -- */

void probe_btf(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	(void)p;
	if (!env->btf)
		return probe_say(ret, PROBE_MISSING, "%s",
				 access("/sys/kernel/btf/vmlinux", F_OK) < 0
					 ? "no /sys/kernel/btf/vmlinux"
					 : "/sys/kernel/btf/vmlinux is not readable");
	if (btf__find_by_name_kind(env->btf, "task_struct", BTF_KIND_STRUCT) < 0)
		return probe_say(ret, PROBE_MISSING,
				 "/sys/kernel/btf/vmlinux does not describe task_struct");
	probe_say(ret, PROBE_OK, "%u types", btf__type_cnt(env->btf));
}

/* Loads a program for something that is found in the kernel's BTF, and attaches it. */
static int load_btf(enum bpf_prog_type type, enum bpf_attach_type how, int btf_id,
		    const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = how,
		    .attach_btf_id = (__u32)btf_id);
	int fd = bpf_prog_load(type, "osh_doctor", "GPL", insns, n, &opts);

	return fd < 0 ? -errno : fd;
}

void probe_tracepoint(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	const struct bpf_insn insns[] = {MOV_IMM(BPF_REG_0, 0), EXIT()};
	int prog = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "osh_doctor", "GPL", insns, ARRAY_LEN(insns), NULL);

	(void)env;
	if (prog < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "refused when loaded");
	if (bpf_raw_tracepoint_open(p->arg, prog) < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "refused when attached");
	probe_ok(ret);
}

/* A program that refuses this very process a change of its own priority to what it is. */
void probe_lsm(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	const struct bpf_insn insns[] = {
		CALL(BPF_FUNC_get_current_pid_tgid),
		RSH_IMM(BPF_REG_0, 32),
		JNE_IMM(BPF_REG_0, (int)getpid(), 2),
		MOV_IMM(BPF_REG_0, -EPERM),
		EXIT(),
		MOV_IMM(BPF_REG_0, 0),
		EXIT(),
	};
	int id, prog;

	(void)p;
	id = env->btf ? btf__find_by_name_kind(env->btf, "bpf_lsm_task_setnice", BTF_KIND_FUNC)
		      : -ENOENT;
	if (id < 0)
		return probe_say(ret, PROBE_MISSING, "not built into this kernel");
	prog = load_btf(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, id, insns, ARRAY_LEN(insns));
	if (prog < 0)
		return probe_fail(ret, PROBE_MISSING, -prog, "refused when loaded");
	if (bpf_raw_tracepoint_open(NULL, prog) < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "refused when attached");
	errno = 0;
	if (setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0)) == 0)
		return probe_say(ret, PROBE_LIMITED,
				 "programs load, but what they refuse is not refused");
	probe_ok(ret);
}

/* ---------------------------------------------------------------------------------- helpers -- */

void probe_helpers(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	static const struct {
		enum bpf_func_id id;
		const char *name;
	} helpers[] = {
		{BPF_FUNC_sk_lookup_tcp, "sk_lookup_tcp"},
		{BPF_FUNC_sk_lookup_udp, "sk_lookup_udp"},
		{BPF_FUNC_sk_storage_get, "sk_storage_get"},
		{BPF_FUNC_get_current_task_btf, "get_current_task_btf"},
		{BPF_FUNC_get_current_ancestor_cgroup_id, "get_current_ancestor_cgroup_id"},
		{BPF_FUNC_get_socket_cookie, "get_socket_cookie"},
		{BPF_FUNC_ktime_get_boot_ns, "ktime_get_boot_ns"},
		{BPF_FUNC_ringbuf_reserve, "ringbuf_reserve"},
		{BPF_FUNC_set_retval, "set_retval"},
		{BPF_FUNC_loop, "loop"},
	};
	char missing[PROBE_TEXT_MAX] = "";

	(void)env;
	(void)p;
	for (size_t i = 0; i < ARRAY_LEN(helpers); i++) {
		size_t n = strlen(missing);

		if (libbpf_probe_bpf_helper(SOCK_ADDR, helpers[i].id, NULL) != 1)
			snprintf(missing + n, sizeof(missing) - n, " bpf_%s", helpers[i].name);
	}
	if (*missing)
		return probe_say(ret, PROBE_MISSING, "without%s", missing);
	probe_ok(ret);
}

/* BTF with `int f(int)`: a callback needs type information.  Type ids: 1 int, 2 the prototype, 3
 * main, 4 the callback. */
static int loop_btf(void)
{
	struct btf *b = btf__new_empty();
	const void *raw;
	__u32 size;
	int fd = -ENOMEM;

	if (!b)
		return fd;
	if (btf__add_int(b, "int", 4, BTF_INT_SIGNED) == 1 && btf__add_func_proto(b, 1) == 2 &&
	    btf__add_func_param(b, "x", 1) == 0 &&
	    btf__add_func(b, "main", BTF_FUNC_GLOBAL, 2) == 3 &&
	    btf__add_func(b, "callback", BTF_FUNC_STATIC, 2) == 4 &&
	    (raw = btf__raw_data(b, &size))) {
		fd = bpf_btf_load(raw, size, NULL);
		fd = fd < 0 ? -errno : fd;
	}
	btf__free(b);
	return fd;
}

void probe_bpf_loop(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	const struct bpf_insn insns[] = {
		STORE_DW(BPF_REG_10, -8, 0),
		MOV_IMM(BPF_REG_1, 4),
		LOAD_IMM64(BPF_REG_2, BPF_PSEUDO_FUNC, 7), /* instruction 10 */
		MOV_REG(BPF_REG_3, BPF_REG_10),
		ADD_IMM(BPF_REG_3, -8),
		MOV_IMM(BPF_REG_4, 0),
		CALL(BPF_FUNC_loop),
		MOV_IMM(BPF_REG_0, 1),
		EXIT(),
		MOV_IMM(BPF_REG_0, 0), /* 10: the callback */
		EXIT(),
	};
	const struct bpf_func_info funcs[] = {{0, 3}, {10, 4}};
	int btf = loop_btf(), fd;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET4_CONNECT,
		    .prog_btf_fd = (__u32)btf, .func_info = funcs,
		    .func_info_cnt = ARRAY_LEN(funcs), .func_info_rec_size = sizeof(funcs[0]));

	(void)env;
	(void)p;
	if (btf < 0)
		return probe_fail(ret, PROBE_MISSING, -btf, "type information refused");
	fd = bpf_prog_load(SOCK_ADDR, "osh_doctor", "GPL", insns, ARRAY_LEN(insns), &opts);
	if (fd < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "refused when loaded");
	probe_ok(ret);
}

/* ------------------------------------------------------------------------------------- maps -- */

void probe_ringbuf(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "osh_doctor", 0, 0, (__u32)getpagesize(),
				NULL);

	(void)env;
	(void)p;
	if (fd < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "refused");
	if (mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
	    MAP_FAILED)
		return probe_fail(ret, PROBE_MISSING, errno, "cannot be mapped");
	probe_ok(ret);
}

static int inner_array(__u32 pages)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "osh_doctor", 4, 4096, pages, &opts);

	return fd < 0 ? -errno : fd;
}

static bool can_map(int fd, int prot)
{
	void *m = mmap(NULL, 4096, prot, MAP_SHARED, fd, 0);

	if (m != MAP_FAILED)
		munmap(m, 4096);
	return m != MAP_FAILED;
}

/* The policy image is an array that is filled, frozen and put into a slot of an outer map of
 * another template size. */
void probe_map_of_maps(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	int template = inner_array(1), inner = inner_array(3), outer;
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (__u32) template);
	uint8_t page[4096] = {0};
	__u32 zero = 0;

	(void)env;
	(void)p;
	if (template <0 || inner < 0)
		return probe_fail(ret, PROBE_MISSING,
				  template <0 ? -template : -inner, "inner array refused");
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "osh_doctor", 4, 4, 2, &opts);
	if (outer < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "outer map refused");
	if (bpf_map_update_elem(inner, &zero, page, BPF_ANY) < 0 || bpf_map_freeze(inner) < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "the inner array cannot be frozen");
	if (bpf_map_update_elem(outer, &zero, &inner, BPF_ANY) < 0)
		return probe_fail(ret, PROBE_MISSING, errno,
				  "an inner array of another size is refused");
	if (bpf_map_update_elem(inner, &zero, page, BPF_ANY) == 0 ||
	    can_map(inner, PROT_READ | PROT_WRITE))
		return probe_say(ret, PROBE_MISSING, "a frozen array can still be written");
	if (!can_map(inner, PROT_READ))
		return probe_fail(ret, PROBE_MISSING, errno, "a frozen array cannot be mapped");
	probe_ok(ret);
}

/* Socket storage maps must have types. */
static int storage_map(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC, .btf_key_type_id = 1,
		    .btf_value_type_id = 1);
	struct btf *b = btf__new_empty();
	const void *raw;
	int fd = -ENOMEM;
	__u32 size;

	if (b && btf__add_int(b, "int", 4, BTF_INT_SIGNED) == 1 &&
	    (raw = btf__raw_data(b, &size))) {
		int btf = bpf_btf_load(raw, size, NULL);

		opts.btf_fd = (__u32)btf;
		fd = btf < 0 ? btf
			     : bpf_map_create(BPF_MAP_TYPE_SK_STORAGE, "osh_doctor", 4, 4, 0,
					      &opts);
		fd = fd < 0 ? -errno : fd;
	}
	btf__free(b);
	return fd;
}

void probe_sk_storage(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	int map = storage_map(), prog, link;
	const struct bpf_insn insns[] = {
		LOAD_DW(BPF_REG_2, BPF_REG_1, offsetof(struct bpf_sock_addr, sk)),
		LOAD_IMM64(BPF_REG_1, BPF_PSEUDO_MAP_FD, map),
		MOV_IMM(BPF_REG_3, 0),
		MOV_IMM(BPF_REG_4, BPF_SK_STORAGE_GET_F_CREATE),
		CALL(BPF_FUNC_sk_storage_get),
		MOV_IMM(BPF_REG_0, 1),
		EXIT(),
	};

	(void)p;
	if (map < 0)
		return probe_fail(ret, PROBE_MISSING, -map, "map refused");
	prog = load(SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, insns, ARRAY_LEN(insns));
	if (prog < 0)
		return probe_fail(ret, PROBE_MISSING, -prog, "refused in a connect hook");
	link = attach(prog, env->cgroup_fd, BPF_CGROUP_INET4_CONNECT);
	if (link < 0)
		return probe_fail(ret, PROBE_MISSING, -link, "refused when attached");
	probe_ok(ret);
}

/* A second descriptor of the map, for reading only. */
static int reopen_rdonly(int map)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, opts, .open_flags = BPF_F_RDONLY);
	struct bpf_map_info info = {0};
	__u32 n = sizeof(info);
	int fd;

	if (bpf_obj_get_info_by_fd(map, &info, &n) < 0)
		return -errno;
	fd = bpf_map_get_fd_by_id_opts(info.id, &opts);
	return fd < 0 ? -errno : fd;
}

static int become_nobody(void)
{
	const uid_t nobody = 65534;

	if (setgroups(0, NULL) < 0 || setresgid(nobody, nobody, nobody) < 0 ||
	    setresuid(nobody, nobody, nobody) < 0)
		return -errno;
	return 0;
}

void probe_rdonly_map(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "osh_doctor", 4, 4, 1, &opts), ro, r;
	__u32 zero = 0, value = 42, got = 0;

	(void)env;
	(void)p;
	if (map < 0 || bpf_map_update_elem(map, &zero, &value, BPF_ANY) < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "array refused");
	ro = reopen_rdonly(map);
	if (ro < 0)
		return probe_fail(ret, PROBE_MISSING, -ro, "no descriptor for reading only");
	close(map);
	r = become_nobody();
	if (r < 0)
		return probe_fail(ret, PROBE_UNTRIED, -r, "cannot drop to another uid");
	if (bpf_map_lookup_elem(ro, &zero, &got) < 0 || got != 42)
		return probe_fail(ret, PROBE_MISSING, errno,
				  "a process without rights cannot read through it");
	/* Mapping it is refused even for reading: the kernel maps BPF arrays through writable
	 * descriptors only. */
	if (bpf_map_update_elem(ro, &zero, &value, BPF_ANY) == 0 ||
	    can_map(ro, PROT_READ | PROT_WRITE))
		return probe_say(ret, PROBE_MISSING, "it can be written through");
	probe_ok(ret);
}

/* ------------------------------------------------------------------------------------ bpffs -- */

/* Pins a map in dir for a moment. */
static int pin_in(const char *dir)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "osh_doctor", 4, 4, 1, NULL), r;
	char path[128];

	if (map < 0)
		return -errno;
	snprintf(path, sizeof(path), "%s/osh-doctor-%d", dir, (int)getpid());
	r = bpf_obj_pin(map, path) < 0 ? -errno : 0;
	if (r == 0)
		unlink(path);
	close(map);
	return r;
}

/* In a mount namespace of its own, so nothing has to be unmounted. */
static int pin_in_private(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", "/run", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700") < 0)
		return -errno;
	return pin_in("/run");
}

void probe_bpffs(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	static const char dir[] = "/sys/fs/bpf";
	struct statfs fs;
	bool mounted = statfs(dir, &fs) == 0 && fs.f_type == (__fsword_t)BPF_FS_MAGIC;
	int r;

	(void)env;
	(void)p;
	r = mounted ? pin_in(dir) : pin_in_private();
	if (r < 0)
		return probe_fail(ret, PROBE_MISSING, -r, "pinning a map %s %s",
				  mounted ? "in" : "with no bpffs on", dir);
	probe_say(ret, PROBE_OK, mounted ? "%s" : "not on %s: a private one will do", dir);
}
