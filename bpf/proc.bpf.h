/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * proc.bpf.h - who a process is: exec, fork and exit of the agent's processes.
 *
 *   raw_tp/sched_process_exec  interns the path of the executed file and of the script, scans the environment,
 *                              looks for system call filters, writes the record; the replaced image becomes an
 *                              ancestor
 *   raw_tp/sched_process_fork  children inherit the record
 *   raw_tp/sched_process_exit  the record goes with the last thread
 *
 * The path is the walk of dentries and mounts from the file that the kernel executes up to the process's root
 * directory, which is the sandbox's (chroot, pivot_root and new namespaces are refused), as fs/d_path.c does it;
 * anything unusual (unhashed dentry, never meeting that root, too long) gives no path.
 * These programs never run twice at once on a CPU (the kernel skips a nested run: then there is no record, and no
 * identity), so each may use a per-CPU scratch of its own.
 */
#pragma once

#define ENV_CHUNK 256
#define ENV_CHUNKS_MAX 4096

struct exec_scratch {
	char walk[2 * OSH_PATH_MAX]; /* built backwards from OSH_PATH_MAX */
	struct path_key key;
	struct osh_path path;
	struct osh_proc proc;
	char env[ENV_CHUNK + 8];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_scratch);
} exec_scratch SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct osh_proc);
} fork_scratch SEC(".maps");

static __always_inline bool in_sandbox(void)
{
	return bpf_get_current_ancestor_cgroup_id((int)cfg_level) == cfg_cgroup;
}

/* --- path of a file -------------------------------------------------------------------------------- */

struct walk_ctx {
	__u64 dentry, mount; /* struct dentry *, struct mount * */
	__u64 root_dentry, root_mount;
	__u32 pos;	     /* first byte of the path so far, in walk[] */
	__u32 state;	     /* 0 going on, 1 reached the root, 2 no path */
};

static long walk_step(__u32 i, void *arg)
{
	struct walk_ctx *c = arg;
	__u32 zero = 0;
	struct exec_scratch *x = bpf_map_lookup_elem(&exec_scratch, &zero);
	struct dentry *d = (void *)c->dentry;
	struct mount *m = (void *)c->mount;
	struct dentry *root = BPF_CORE_READ(m, mnt.mnt_root);
	struct mount *parent;
	__u64 len, to;

	c->state = 2;
	if (!x)
		return 1;
	if (c->dentry == c->root_dentry && c->mount == c->root_mount) {
		c->state = 1;
		return 1;
	}
	if (d == root) {
		parent = BPF_CORE_READ(m, mnt_parent);
		if (parent == m) /* an internal or detached mount, or past a root that it does not lie under */
			return 1;
		c->dentry = (__u64)BPF_CORE_READ(m, mnt_mountpoint);
		c->mount = (__u64)parent;
		c->state = 0;
		return 0;
	}
	if (!BPF_CORE_READ(d, d_hash.pprev)) /* d_unhashed(): deleted, memfd */
		return 1;
	parent = NULL;
	len = BPF_CORE_READ(d, d_name.len);
	if (!len || len > 255 || c->pos < len + 1)
		return 1;
	to = c->pos - len;
	asm volatile("%[to] &= 511" : [to] "+r"(to));
	asm volatile("%[len] &= 255" : [len] "+r"(len));
	if (bpf_probe_read_kernel(x->walk + to, (__u32)len, BPF_CORE_READ(d, d_name.name)))
		return 1;
	to = c->pos - len - 1;
	asm volatile("%[to] &= 511" : [to] "+r"(to));
	x->walk[to] = '/';
	c->pos = (__u32)to;
	c->dentry = (__u64)BPF_CORE_READ(d, d_parent);
	c->state = 0;
	return 0;
}

/* Fills x->key (zero-padded) with the path of file; its length, or 0 for none. */
static __always_inline __u32 walk_file(struct exec_scratch *x, struct task_struct *p, struct file *f)
{
	const __u64 in_mount = bpf_core_field_offset(struct mount, mnt);
	struct walk_ctx c = {
		.dentry = (__u64)BPF_CORE_READ(f, f_path.dentry),
		.mount = (__u64)BPF_CORE_READ(f, f_path.mnt) - in_mount,
		.root_dentry = (__u64)BPF_CORE_READ(p, fs, root.dentry),
		.root_mount = (__u64)BPF_CORE_READ(p, fs, root.mnt) - in_mount,
		.pos = OSH_PATH_MAX - 1,
	};
	__u64 len, from;

	bpf_loop(256, walk_step, &c, 0);
	if (c.state != 1)
		return 0;
	from = c.pos;
	len = OSH_PATH_MAX - 1 - from;
	if (!len || len >= OSH_PATH_MAX)
		return 0;
	asm volatile("%[from] &= 511" : [from] "+r"(from));
	asm volatile("%[len] &= 511" : [len] "+r"(len));
	__builtin_memset(&x->key, 0, sizeof(x->key));
	if (bpf_probe_read_kernel(x->key.s, (__u32)len, x->walk + from))
		return 0;
	return (__u32)len;
}

/* --- interning ------------------------------------------------------------------------------------- */

#define PATH_FULL (~0u)

/* Path id of x->key, of len bytes; PATH_FULL when there is no room for it. */
static __always_inline __u32 intern(struct exec_scratch *x, __u32 len)
{
	__u32 *known = bpf_map_lookup_elem(&path_ids, &x->key);
	__u64 next;
	__u32 id;

	if (known)
		return *known;
	next = __sync_fetch_and_add(&last_path_id, 1) + 1;
	if (next >= PATH_FULL) /* after 4 billion paths: no more identities rather than a reused number */
		return PATH_FULL;
	id = (__u32)next;
	x->path.len = len;
	x->path.round = 0;
	__builtin_memset(x->path.cache, 0, sizeof(x->path.cache));
	__builtin_memcpy(x->path.path, x->key.s, OSH_PATH_MAX);
	if (bpf_map_update_elem(&paths, &id, &x->path, BPF_NOEXIST))
		return PATH_FULL;
	if (!bpf_map_update_elem(&path_ids, &x->key, &id, BPF_NOEXIST))
		return id;
	bpf_map_delete_elem(&paths, &id);
	known = bpf_map_lookup_elem(&path_ids, &x->key); /* another CPU was first */
	return known ? *known : PATH_FULL;
}

static __always_inline void path_mark(__u32 id, __u32 round)
{
	struct osh_path *p = id ? bpf_map_lookup_elem(&paths, &id) : NULL;

	if (p)
		p->round = round;
}

/* Before a child has the record: a collection that has passed the child's place in the table, and comes to the parent's
 * when that is gone, finds the paths marked. */
static __always_inline void paths_inherited(const struct osh_ident *id)
{
	__u32 round = *(volatile __u32 *)&path_round;

	if (!(round & 1))
		return;
	path_mark(id->exe, round);
	path_mark(id->script, round);
	for (int i = 0; i < OSH_ANCESTORS_MAX; i++)
		path_mark(id->anc[i], round);
}

/* --- the script ------------------------------------------------------------------------------------ */

struct clean_ctx {
	__u32 len;
	__u32 since; /* bytes since the last '/' */
	__u32 dots;  /* of them, leading dots only */
	__u32 bad;
};

static long clean_step(__u32 i, void *arg)
{
	struct clean_ctx *c = arg;
	__u32 zero = 0;
	struct exec_scratch *x = bpf_map_lookup_elem(&exec_scratch, &zero);
	__u64 at = i;
	char ch;

	if (!x || i >= OSH_PATH_MAX - 1) {
		c->bad = 1;
		return 1;
	}
	asm volatile("%[at] &= 511" : [at] "+r"(at));
	ch = i < c->len ? x->key.s[at] : '/';
	if (ch == '/') {
		if ((i && !c->since) || (c->since && c->dots == c->since && c->since <= 2)) {
			c->bad = 1;
			return 1;
		}
		c->since = 0;
		c->dots = 0;
		return i >= c->len;
	}
	c->since++;
	if (ch == '.')
		c->dots++;
	return 0;
}

/* Without LSM only the caller's string is left of a script: it counts if it is absolute, free of empty, "." and
 * ".." components, and not a way round through /proc or /dev/fd. */
static __always_inline __u32 script_id(struct exec_scratch *x, struct linux_binprm *bprm)
{
	const char *file = BPF_CORE_READ(bprm, filename);
	struct clean_ctx c = {};
	long n;

	if (file == BPF_CORE_READ(bprm, interp))
		return 0;
	__builtin_memset(&x->key, 0, sizeof(x->key));
	n = bpf_probe_read_kernel_str(x->key.s, sizeof(x->key.s), file);
	if (n < 3 || n >= OSH_PATH_MAX || x->key.s[0] != '/')
		return 0;
	c.len = (__u32)n - 1;
	bpf_loop(OSH_PATH_MAX, clean_step, &c, 0);
	if (c.bad)
		return 0;
	if (x->key.s[1] == 'p' && x->key.s[2] == 'r' && x->key.s[3] == 'o' && x->key.s[4] == 'c' &&
	    x->key.s[5] == '/')
		return 0;
	if (x->key.s[1] == 'd' && x->key.s[2] == 'e' && x->key.s[3] == 'v' && x->key.s[4] == '/')
		return 0;
	return intern(x, c.len);
}

/* --- the environment ------------------------------------------------------------------------------- */

struct env_ctx {
	__u64 at, end;
	__u32 inside;	/* continuing a variable longer than a chunk */
	__u32 taint;
	__u32 script;	/* 1: an interpreter variable is there */
	__u32 done;
};

static long env_compare(__u32 i, void *arg)
{
	struct env_ctx *c = arg;
	__u32 zero = 0;
	const struct exec_scratch *x = bpf_map_lookup_elem(&exec_scratch, &zero);
	const __u64 *w;

	if (!x || i >= env_nvars || i >= OSH_ENV_VARS_MAX)
		return 1;
	w = (const __u64 *)x->env;
	if ((w[0] & env_vars[i].mask[0]) != env_vars[i].w[0] || (w[1] & env_vars[i].mask[1]) != env_vars[i].w[1] ||
	    (w[2] & env_vars[i].mask[2]) != env_vars[i].w[2])
		return 0;
	if (env_vars[i].taint)
		c->taint = env_vars[i].taint;
	else
		c->script = 1;
	return 1;
}

static long env_step(__u32 i, void *arg)
{
	struct env_ctx *c = arg;
	__u32 zero = 0;
	struct exec_scratch *x = bpf_map_lookup_elem(&exec_scratch, &zero);
	long n;

	if (!x)
		return 1;
	if (c->at >= c->end) {
		c->done = 1;
		return 1;
	}
	n = bpf_probe_read_user_str(x->env, ENV_CHUNK, (void *)c->at);
	if (n <= 0) {
		c->taint = OSH_TAINT_ENV_UNREADABLE;
		c->done = 1;
		return 1;
	}
	if (!c->inside && n > 3 && env_bucket[(__u8)((__u8)x->env[0] * 31 + (__u8)x->env[1])])
		bpf_loop(OSH_ENV_VARS_MAX, env_compare, c, 0);
	/* A full chunk has no NUL of the variable's own: go on inside it. */
	c->inside = n == ENV_CHUNK;
	c->at += c->inside ? ENV_CHUNK - 1 : n;
	return 0;
}

/* --- the system call filters ------------------------------------------------------------------------ */

/*
 * Were filters added to those of init?  They survive execve, and one that answers "0" for a call not made chooses the
 * files of the program executed: an openat() that "returns" descriptor 0 makes that its library or its script.  At the
 * exec tracepoint the task is alone, so nobody adds one meanwhile (SECCOMP_FILTER_FLAG_TSYNC).  task_struct has the
 * count since Linux 5.9; without it there would be no telling, and all are taken for added.
 */
static __always_inline bool filters_added(struct task_struct *p)
{
	__u32 n = ~0u;

	if (bpf_core_field_exists(p->seccomp.filter_count))
		n = (__u32)BPF_CORE_READ(p, seccomp.filter_count.counter);
	return n > init_filters;
}

static __always_inline void taint_record(__u32 tgid, __u32 why)
{
	struct osh_proc *r = bpf_map_lookup_elem(&procs, &tgid);

	if (r)
		__sync_val_compare_and_swap(&r->id.taint, 0, why); /* the first reason stays; a full barrier */
}

/* --- the hooks ------------------------------------------------------------------------------------- */

static __always_inline struct osh_proc *proc_valid(__u32 tgid, __u64 start, __u64 exec_id)
{
	struct osh_proc *r = bpf_map_lookup_elem(&procs, &tgid);

	return r && r->start_time == start && r->exec_id == exec_id ? r : NULL;
}

/* false: no room. */
static __always_inline bool ancestor_add(struct osh_ident *id, __u32 path)
{
	__u32 seen = 0, n = id->nanc;

	if (!path)
		return true;
	for (int i = 0; i < OSH_ANCESTORS_MAX; i++)
		if (id->anc[i] == path)
			seen = 1;
	if (seen)
		return true;
	if (n >= OSH_ANCESTORS_MAX)
		return false;
	id->anc[n & (OSH_ANCESTORS_MAX - 1)] = path;
	id->nanc = n + 1;
	return true;
}

struct anc_ctx {
	__u32 tgid;
	__u32 full;
};

/* Step i adds executable, script, then ancestors of the replaced image: newest first. */
static long anc_step(__u32 i, void *arg)
{
	struct anc_ctx *c = arg;
	__u32 zero = 0;
	struct exec_scratch *x = bpf_map_lookup_elem(&exec_scratch, &zero);
	struct osh_proc *old = bpf_map_lookup_elem(&procs, &c->tgid);
	__u32 path;

	if (!x || !old)
		return 1;
	path = i == 0 ? old->id.exe : i == 1 ? old->id.script : old->id.anc[(i - 2) & (OSH_ANCESTORS_MAX - 1)];
	if (ancestor_add(&x->proc.id, path))
		return 0;
	c->full = 1;
	return 1;
}

/* Nor has what it starts any: nothing of what binds it is known then. */
static __always_inline int exec_nobody(struct exec_scratch *x, __u32 tgid, __u32 why)
{
	__builtin_memset(&x->proc.id, 0, sizeof(x->proc.id));
	x->proc.id.taint = why;
	if (bpf_map_update_elem(&procs, &tgid, &x->proc, BPF_ANY)) {
		bpf_map_delete_elem(&procs, &tgid);
		stat_inc(OSH_STAT_PROC_LOST);
	}
	return 0;
}

SEC("raw_tp/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
{
	__u32 zero = 0, tgid, len, late;
	struct exec_scratch *x;
	struct osh_proc *old;
	struct env_ctx env = {};
	struct anc_ctx anc = {};
	__u64 start, exec_id;

	if (!in_sandbox())
		return 0;
	x = bpf_map_lookup_elem(&exec_scratch, &zero);
	if (!x)
		return 0;
	tgid = BPF_CORE_READ(p, tgid);
	start = BPF_CORE_READ(p, group_leader, start_time);
	exec_id = BPF_CORE_READ(p, self_exec_id);
	__builtin_memset(&x->proc, 0, sizeof(x->proc));
	x->proc.start_time = start;
	x->proc.exec_id = exec_id;

	old = proc_valid(tgid, start, exec_id - 1);
	if (!old) {
		/* Only the launcher begins without a record; anything else stays without identity. */
		if (__sync_val_compare_and_swap(&launch_open, 1, 0) != 1) {
			bpf_map_delete_elem(&procs, &tgid);
			stat_inc(OSH_STAT_PROC_LOST);
			return 0;
		}
		if (bpf_map_update_elem(&procs, &tgid, &x->proc, BPF_ANY))
			stat_inc(OSH_STAT_PROC_LOST);
		return 0;
	}
	x->proc.deny_full = old->deny_full;
	x->proc.allow_full = old->allow_full;
	x->proc.id.taint = old->id.taint;
	anc.tgid = tgid;
	bpf_loop(OSH_ANCESTORS_MAX + 2, anc_step, &anc, 0);
	/* An ancestor may bring deny rules and inspection, not only rights: none is forgotten.  Who has too many gets
	 * nothing, and the mark stays with what it starts. */
	if (anc.full || old->id.taint == OSH_TAINT_ANCESTORS)
		return exec_nobody(x, tgid, OSH_TAINT_ANCESTORS);
	if (old->id.taint == OSH_TAINT_PATHS)
		return exec_nobody(x, tgid, OSH_TAINT_PATHS);

	len = walk_file(x, p, BPF_CORE_READ(bprm, file));
	if (len)
		x->proc.id.exe = intern(x, len);
	if (!x->proc.id.exe || x->proc.id.exe == PATH_FULL)
		stat_inc(OSH_STAT_NO_PATH);

	env.at = BPF_CORE_READ(p, mm, env_start);
	env.end = BPF_CORE_READ(p, mm, env_end);
	bpf_loop(ENV_CHUNKS_MAX, env_step, &env, 0);
	if (!env.done)
		env.taint = OSH_TAINT_ENV_TOO_LONG;
	if (env.taint && !x->proc.id.taint)
		x->proc.id.taint = env.taint;
	if (!x->proc.id.taint && filters_added(p))
		x->proc.id.taint = OSH_TAINT_FILTER;
	if (!env.script)
		x->proc.id.script = script_id(x, bprm);
	/* A known program whose path does not fit would pass for an unknown one, which a wider block may let go. */
	if (x->proc.id.exe == PATH_FULL || x->proc.id.script == PATH_FULL)
		return exec_nobody(x, tgid, OSH_TAINT_PATHS);

	if (bpf_map_update_elem(&procs, &tgid, &x->proc, BPF_ANY)) {
		bpf_map_delete_elem(&procs, &tgid);
		stat_inc(OSH_STAT_PROC_LOST);
		return 0;
	}
	/* Traced while the environment was read, by the record that this one has just replaced (lsm.bpf.h). */
	late = __sync_val_compare_and_swap(&old->id.taint, 0, 0);
	if (late)
		taint_record(tgid, late);
	return 0;
}

SEC("raw_tp/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 zero = 0, tgid, ptgid;
	struct osh_proc *old, *new;

	if (!in_sandbox())
		return 0;
	tgid = BPF_CORE_READ(child, tgid);
	ptgid = BPF_CORE_READ(parent, tgid);
	if (tgid == ptgid)
		return 0;
	new = bpf_map_lookup_elem(&fork_scratch, &zero);
	old = proc_valid(ptgid, BPF_CORE_READ(parent, group_leader, start_time),
			 BPF_CORE_READ(parent, self_exec_id));
	if (!new || !old) {
		stat_inc(OSH_STAT_PROC_LOST);
		return 0;
	}
	new->id = old->id;
	new->deny_full = old->deny_full;
	new->allow_full = old->allow_full;
	new->cache[0].gen = 0;
	new->cache[1].gen = 0;
	new->start_time = BPF_CORE_READ(child, start_time);
	new->exec_id = BPF_CORE_READ(child, self_exec_id);
	paths_inherited(&new->id);
	if (bpf_map_update_elem(&procs, &tgid, new, BPF_ANY))
		stat_inc(OSH_STAT_PROC_LOST);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *p)
{
	__u32 tgid;

	if (!in_sandbox() || BPF_CORE_READ(p, signal, live.counter) != 0)
		return 0;
	tgid = BPF_CORE_READ(p, tgid);
	bpf_map_delete_elem(&procs, &tgid);
	return 0;
}
