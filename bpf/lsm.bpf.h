/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lsm.bpf.h - the layer that BPF LSM adds where it loads; the base layer holds without it.
 *
 *   lsm/unix_stream_connect, unix_may_send  the peer is of this sandbox, or a socket file that the policy lists
 *   lsm/socket_create                       families, types and protocols: the same list as seccomp's
 *   lsm/ptrace_access_check, ptrace_traceme nobody outside; a traced process of the sandbox loses its identity
 *   lsm/task_kill                           nobody outside; nor by a descriptor's owner:
 *   lsm/file_fcntl, file_ioctl              a descriptor's signals go to the process itself
 *   lsm/task_setnice, task_setioprio, task_setscheduler, task_movememory   nobody outside
 *   lsm/file_receive                        no socket that was made outside, but a Unix one
 *   lsm/mmap_file, file_mprotect            code from a file that the agent may write takes identity away
 *   lsm/bpf, bpf_map, bpf_prog              our tables and programs
 *
 * LSM programs are attached for the whole host: each looks first whether the caller is in this sandbox's cgroup, and
 * returns at once when not.
 */
#pragma once

#define EPERM 1
#define AF_UNIX 1
#define AF_NETLINK 16
#define NETLINK_ROUTE 0
#define PROT_EXEC 4
#define VM_EXEC 4
#define PTRACE_MODE_ATTACH 2
#define MNT_READONLY 0x40
#define S_IWOTH 2
#define S_IWGRP 020
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define F_SETOWN 8
#define F_SETOWN_EX 15
#define FIOSETOWN 0x8901
#define SIOCSPGRP 0x8902

const volatile __u32 cfg_uid; /* that the agent runs as */

/* Inodes of the host's sockets that the policy lists. */
struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} unix_listed SEC(".maps");

static __always_inline bool cgroup_ours(struct cgroup *cg)
{
	struct cgroup *at = NULL;

	if (!cg || BPF_CORE_READ(cg, level) < (int)cfg_level)
		return false;
	if (bpf_probe_read_kernel(&at, sizeof(at), &cg->ancestors[cfg_level]) || !at)
		return false;
	return BPF_CORE_READ(at, kn, id) == cfg_cgroup;
}

static __always_inline bool task_ours(struct task_struct *p)
{
	return cgroup_ours(BPF_CORE_READ(p, cgroups, dfl_cgrp));
}

static __always_inline int refuse(__u32 kind, __u32 reason, __u32 aux, __u32 proto)
{
	deny(kind, reason, aux, proto, current_load(), NULL);
	return -EPERM;
}

/* --------------------------------------------------------------------------------- Unix sockets -- */

static __always_inline int unix_peer(struct sock *peer)
{
	struct unix_sock *u;
	struct inode *inode;
	__u32 *listed;

	if (!peer) /* not connected to anything: the kernel refuses it itself */
		return 0;
	if (cgroup_ours(BPF_CORE_READ(peer, sk_cgrp_data.cgroup)))
		return 0;
	u = bpf_skc_to_unix_sock(peer);
	if (u && u->path.dentry) {
		inode = u->path.dentry->d_inode;
		if (inode) {
			listed = bpf_inode_storage_get(&unix_listed, inode, NULL, 0);
			if (listed && *listed == cfg_tag)
				return 0;
		}
	}
	return refuse(OSH_EV_UNIX, OSH_R_UNIX, 0, 0);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(lsm_unix_connect, struct sock *sock, struct sock *other, struct sock *newsk, int ret)
{
	return ret || !in_sandbox() ? ret : unix_peer(other);
}

SEC("lsm/unix_may_send")
int BPF_PROG(lsm_unix_send, struct socket *sock, struct socket *other, int ret)
{
	struct sock *own = sock->sk, *peer = other->sk;
	struct unix_sock *u;

	if (ret || !in_sandbox())
		return ret;
	/* Connected to it already: asked then, or a pair that was handed in as standard input or output. */
	u = own ? bpf_skc_to_unix_sock(own) : NULL;
	if (u && peer && u->peer == peer)
		return 0;
	return unix_peer(peer);
}

/* Sockets belong to the cgroup that they were made in, and no hook of ours would see what one from outside does. */
SEC("lsm/file_receive")
int BPF_PROG(lsm_receive, struct file *file, int ret)
{
	struct socket *sock;
	struct sock *sk;

	if (ret || !in_sandbox() || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return ret;
	sock = BPF_CORE_READ(file, private_data); /* NULL: only a path to a socket file */
	sk = sock ? BPF_CORE_READ(sock, sk) : NULL;
	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX ||
	    cgroup_ours(BPF_CORE_READ(sk, sk_cgrp_data.cgroup)))
		return 0;
	return refuse(OSH_EV_SOCKET, OSH_R_PROTOCOL, OSH_SOCKET_AUX(BPF_CORE_READ(sk, __sk_common.skc_family), 0), 0);
}

SEC("lsm/socket_create")
int BPF_PROG(lsm_socket, int family, int type, int protocol, int kern, int ret)
{
	if (ret || kern || !in_sandbox())
		return ret;
	type &= 0xf;
	if (family == AF_UNIX || (family == AF_NETLINK && protocol == NETLINK_ROUTE))
		return 0;
	if ((family == AF_INET || family == AF_INET6) &&
	    ((type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
	     (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP))))
		return 0;
	return refuse(OSH_EV_SOCKET, OSH_R_PROTOCOL, OSH_SOCKET_AUX(family, type), (__u32)protocol);
}

/* ------------------------------------------------------------------------------ other processes -- */

/* Of the record that is there now.  An exec may replace it at the same time: it looks at the old one once more after
 * that, and here the look-up is repeated, so that one of the two sees the other. */
static __always_inline void taint(struct task_struct *p, __u32 why)
{
	__u32 tgid = (__u32)BPF_CORE_READ(p, tgid);

	taint_record(tgid, why);
	taint_record(tgid, why);
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(lsm_ptrace, struct task_struct *child, unsigned int mode, int ret)
{
	if (ret || !in_sandbox())
		return ret;
	if (!task_ours(child))
		return mode & PTRACE_MODE_ATTACH ? refuse(OSH_EV_PROCESS, OSH_R_OUTSIDE, 0, 0) : -EPERM;
	if (mode & PTRACE_MODE_ATTACH)
		taint(child, OSH_TAINT_TRACED);
	return 0;
}

/* What the parent does to it from here on no hook sees.  seccomp refuses it first. */
SEC("lsm/ptrace_traceme")
int BPF_PROG(lsm_traceme, struct task_struct *parent, int ret)
{
	if (!ret && in_sandbox())
		taint(bpf_get_current_task_btf(), OSH_TAINT_TRACED);
	return ret;
}

SEC("lsm/task_kill")
int BPF_PROG(lsm_kill, struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred, int ret)
{
	/* cred, of a signal that USB sends for somebody, is not looked at: newer verifiers take it for never NULL, and all
	 * behind a test of it for dead code. */
	if (ret || !in_sandbox() || task_ours(p))
		return ret;
	return refuse(OSH_EV_PROCESS, OSH_R_OUTSIDE, (__u32)sig, 0);
}

/* The owner of a descriptor gets signals for it (F_SETOWN, fcntl(2)), of F_SETSIG's choice, without task_kill.  Which
 * process a number means is not known here before Linux 6.2, so only the caller's own may be named; the forms that hand
 * it over in memory are refused. */
SEC("lsm/file_fcntl")
int BPF_PROG(lsm_fcntl, struct file *file, unsigned int cmd, unsigned long arg, int ret)
{
	if (ret || (cmd != F_SETOWN && cmd != F_SETOWN_EX) || !in_sandbox())
		return ret;
	if (cmd == F_SETOWN && ((__u32)arg == 0 || (__u32)arg == (__u32)(bpf_get_current_pid_tgid() >> 32)))
		return 0;
	return refuse(OSH_EV_PROCESS, OSH_R_OUTSIDE, 0, 0);
}

SEC("lsm/file_ioctl")
int BPF_PROG(lsm_ioctl, struct file *file, unsigned int cmd, unsigned long arg, int ret)
{
	if (ret || (cmd != FIOSETOWN && cmd != SIOCSPGRP) || !in_sandbox())
		return ret;
	return refuse(OSH_EV_PROCESS, OSH_R_OUTSIDE, 0, 0);
}

static __always_inline int schedule(struct task_struct *p, int ret)
{
	if (ret || !in_sandbox() || task_ours(p))
		return ret;
	return refuse(OSH_EV_PROCESS, OSH_R_OUTSIDE, 0, 0);
}

SEC("lsm/task_setnice")
int BPF_PROG(lsm_setnice, struct task_struct *p, int nice, int ret)
{
	return schedule(p, ret);
}

SEC("lsm/task_setioprio")
int BPF_PROG(lsm_setioprio, struct task_struct *p, int ioprio, int ret)
{
	return schedule(p, ret);
}

SEC("lsm/task_setscheduler")
int BPF_PROG(lsm_setscheduler, struct task_struct *p, int ret)
{
	return schedule(p, ret);
}

SEC("lsm/task_movememory")
int BPF_PROG(lsm_movememory, struct task_struct *p, int ret)
{
	return schedule(p, ret);
}

/* ------------------------------------------------------------------------- code that was not there -- */

/* May the agent have written the file?  On a mount that is writable here, and its own or open to others.  Where there is
 * a POSIX ACL the group bits are its mask, so one that lets somebody write is seen too. */
static __always_inline bool agent_may_write(struct file *f)
{
	struct inode *inode = BPF_CORE_READ(f, f_inode);
	umode_t mode = BPF_CORE_READ(inode, i_mode);

	if (BPF_CORE_READ(f, f_path.mnt, mnt_flags) & MNT_READONLY)
		return false;
	return BPF_CORE_READ(inode, i_uid.val) == cfg_uid || mode & (S_IWOTH | S_IWGRP);
}

/* A program that is itself the agent's has an identity that is worth nothing more than its file; it keeps it. */
static __always_inline void code_mapped(struct file *f)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct file *exe;

	if (!f || !agent_may_write(f))
		return;
	exe = BPF_CORE_READ(t, mm, exe_file);
	if (exe && agent_may_write(exe))
		return;
	taint(t, OSH_TAINT_CODE);
}

SEC("lsm/mmap_file")
int BPF_PROG(lsm_mmap, struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags, int ret)
{
	if (!ret && prot & PROT_EXEC && file && in_sandbox())
		code_mapped(file);
	return ret;
}

SEC("lsm/file_mprotect")
int BPF_PROG(lsm_mprotect, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot, int ret)
{
	if (!ret && prot & PROT_EXEC && in_sandbox())
		code_mapped(BPF_CORE_READ(vma, vm_file));
	return ret;
}

/* ------------------------------------------------------------------------------------ ourselves -- */

SEC("lsm/bpf")
int BPF_PROG(lsm_bpf, int cmd, union bpf_attr *attr, unsigned int size, int ret)
{
	return ret || !in_sandbox() ? ret : -EPERM;
}

SEC("lsm/bpf_map")
int BPF_PROG(lsm_bpf_map, struct bpf_map *map, fmode_t mode, int ret)
{
	return ret || !in_sandbox() ? ret : -EPERM;
}

SEC("lsm/bpf_prog")
int BPF_PROG(lsm_bpf_prog, struct bpf_prog *prog, int ret)
{
	return ret || !in_sandbox() ? ret : -EPERM;
}
