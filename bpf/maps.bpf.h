/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* maps.bpf.h - the tables of one sandbox, its constants, its counters and its events. */
#pragma once

/* Set before loading. */
const volatile __u64 cfg_cgroup;	/* id of the agent's cgroup */
const volatile __u32 cfg_level;		/* its depth below the root of the hierarchy */
const volatile __u32 cfg_tag;		/* this sandbox's sockets */
const volatile __u16 cfg_proxy_port4, cfg_proxy_port6; /* listeners of the proxy on loopback, host order */
const volatile __u16 cfg_dns_port4, cfg_dns_port6;

/* 1: the next exec in the cgroup is the launcher's and starts the family of records, empty. */
__u32 launch_open;
/* System call filters of init, which everything inside has inherited.  0 until init is ready, so that none is free. */
__u32 init_filters;
__u64 last_path_id; /* given; wider than an id, so that none is ever given again */
__u32 path_round; /* user space only; odd: a collection of paths is under way (user/paths.c) */

const volatile struct osh_env_var env_vars[OSH_ENV_VARS_MAX];
const volatile __u32 env_nvars;
const volatile __u8 env_bucket[256]; /* 1: some name's first two bytes fall here */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct osh_proc);
} procs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct osh_path);
} paths SEC(".maps");

struct path_key {
	char s[OSH_PATH_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct path_key);
	__type(value, __u32);
} path_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct osh_name);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct osh_flow_key);
	__type(value, struct osh_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct osh_flow_key);
	__type(value, struct osh_dns_client);
} dns_clients SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct osh_sock);
} socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct osh_flow);
} accepted SEC(".maps");

/* Set by the supervisor on the listeners of proxy and resolver, and passed on to what they accept: nothing is turned to a
 * port that somebody else has taken after their death, and no packet goes there. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u32);
} listeners SEC(".maps");

struct addr_key {
	__u8 addr[16]; /* network order, IPv4 mapped */
};
/* The host's own addresses, kept by the supervisor from rtnetlink. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct addr_key);
	__type(value, __u8);
} host_addrs SEC(".maps");

/* Upstream name servers: the only never-allowed or UDP destinations of the proxy. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct osh_flow_key);
	__type(value, __u8);
} upstream_dns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OSH_STAT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20);
} events SEC(".maps");

#define RING_CROWDED (1 << 20)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OSH_SUPPRESSED_MAX);
	__type(key, __u32);
	__type(value, struct osh_suppressed);
} suppressed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OSH_TOLD_MAX);
	__type(key, __u32);
	__type(value, __u64);
} told SEC(".maps");

__u64 nobody_deny_full; /* as osh_proc.deny_full, for callers without a record */

/* Atomic: a program can be interrupted on its CPU, and what is lost is to add up. */
static __always_inline void stat_inc(__u32 which)
{
	__u64 *v = bpf_map_lookup_elem(&stats, &which);

	if (v)
		__sync_fetch_and_add(v, 1);
}

/* A denial wakes the supervisor at once; an allow only when a quarter of the ring is full (the supervisor looks by
 * itself several times a second). */
static __always_inline void event_submit(struct osh_event *e)
{
	__u64 flags = 0;

	if (e->action == OSH_ALLOW && bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < (512 << 10))
		flags = BPF_RB_NO_WAKEUP;
	bpf_ringbuf_submit(e, flags);
}
