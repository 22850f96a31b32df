/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * enforce.bpf.c - the kernel side of one sandbox.
 *
 *   hook                               where            job
 *   raw_tp exec, fork, exit            global           who a process is (proc.bpf.h)
 *   cgroup/connect4, connect6          agent            the decision; rewrite to a real address or to the proxy
 *   cgroup/sendmsg4, sendmsg6          agent            UDP: DNS to the resolver, all else denied
 *   cgroup/recvmsg4, recvmsg6          agent            DNS answers come from the server that was asked
 *   cgroup/getpeername4, getpeername6  agent            programs see the address that they asked for
 *   cgroup/sock_create                 agent            TCP and UDP only; tags the socket
 *   cgroup/sock_release                agent            table entries go
 *   cgroup/setsockopt                  agent            SO_REUSEPORT refused; a connect() is not put off
 *   cgroup/bind4, bind6                agent            ports of the host's listeners refused
 *   cgroup_skb/ingress                 agent            nothing from outside but answers to our own connects; on
 *                                                       loopback answers only from who may be asked
 *   cgroup_skb/egress                  agent            what leaves is what was decided; on loopback it meets a socket
 *                                                       of the sandbox or of its proxy
 *   sockops                            agent            hand-off of the flow record before the SYN leaves
 *   sockops                            proxy            the record moves to the accepted socket
 *   cgroup_skb/ingress                 proxy            who asks the resolver
 *   cgroup/connect4/6, sendmsg4/6,     proxy            never-allowed ranges and the host refused to the proxy too
 *   cgroup_skb/egress
 *   lsm/...                            global           where BPF LSM loads (lsm.bpf.h)
 *
 * Everything fails closed: what is missing (record, image, name, storage, room in a table) denies.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/image.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/proc.bpf.h"
#include "bpf/decide.bpf.h"

#define AF_INET 2
#define AF_INET6 10
#define SOL_SOCKET 1
#define SOL_IP 0
#define SOL_IPV6 41
#define SOL_TCP 6
#define SO_REUSEPORT 15
#define TCP_FASTOPEN_CONNECT 30
#define ECONNREFUSED 111
#define DNS_PORT 53
#define IFINDEX_LO 1
#define PIN_RETRY_S 30
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_ACK 0x10

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ------------------------------------------------------------------------------------ helpers -- */

/* Record of the calling process, or NULL: reused pid, missed exec, none. */
static __always_inline struct osh_proc *proc_current(__u32 *tgid)
{
	struct task_struct *t = bpf_get_current_task_btf();

	*tgid = (__u32)t->tgid;
	return proc_valid(*tgid, t->group_leader->start_time, t->self_exec_id);
}

static __always_inline bool ident_empty(const struct osh_ident *id)
{
	return !id->exe && !id->script && !id->nanc;
}

static __always_inline void mapped4(__u8 *addr, __be32 a)
{
	__u32 *w = (__u32 *)addr;

	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = a;
}

__noinline int is_host_addr(const struct osh_dst *d)
{
	struct addr_key k;

	if (!d)
		return 1;
	if (d->family == 4)
		mapped4(k.addr, *(const __u32 *)d->addr);
	else
		__builtin_memcpy(k.addr, d->addr, 16);
	return bpf_map_lookup_elem(&host_addrs, &k) != NULL;
}

/* enum osh_addr_class of d->addr. */
__noinline int class_of(const struct osh_dst *d)
{
	const __u32 *a;
	__u32 w[4];

	if (!d)
		return OSH_ADDR_RESERVED;
	a = (const __u32 *)d->addr;
	if (d->family == 4)
		return osh_addr_class4(bpf_ntohl(a[0]));
	for (int i = 0; i < 4; i++)
		w[i] = bpf_ntohl(a[i]);
	return osh_addr_class6(w);
}

/* The destination that the program gave, mapped IPv4 decoded, synthetic addresses recognised. */
static __always_inline void dst_read(struct bpf_sock_addr *ctx, bool v6, struct osh_dst *d)
{
	__u32 *w = (__u32 *)d->addr;

	__builtin_memset(d, 0, sizeof(*d));
	d->port = bpf_ntohs((__u16)ctx->user_port);
	if (!v6) {
		d->family = 4;
		w[0] = ctx->user_ip4;
	} else {
		w[0] = ctx->user_ip6[0];
		w[1] = ctx->user_ip6[1];
		w[2] = ctx->user_ip6[2];
		w[3] = ctx->user_ip6[3];
		if (!w[0] && !w[1] && w[2] == bpf_htonl(0xffff)) {
			d->family = 4;
			w[0] = w[3];
			w[2] = 0;
			w[3] = 0;
		} else {
			d->family = 6;
		}
	}
	if (d->family == 4 && (bpf_ntohl(w[0]) & OSH_SYNTHETIC_MASK) == OSH_SYNTHETIC_NET)
		d->name_addr = w[0];
}

static __always_inline void dst_write(struct bpf_sock_addr *ctx, bool v6, __u8 family, const __u8 *addr,
				      __u16 port)
{
	const __u32 *w = (const __u32 *)addr;

	ctx->user_port = bpf_htons(port);
	if (!v6) {
		ctx->user_ip4 = w[0];
	} else if (family == 4) {
		ctx->user_ip6[0] = 0;
		ctx->user_ip6[1] = 0;
		ctx->user_ip6[2] = bpf_htonl(0xffff);
		ctx->user_ip6[3] = w[0];
	} else {
		ctx->user_ip6[0] = w[0];
		ctx->user_ip6[1] = w[1];
		ctx->user_ip6[2] = w[2];
		ctx->user_ip6[3] = w[3];
	}
}

/* To a listener of ours: over IPv4 when the socket can, else ::1. */
static __always_inline void dst_to_loopback(struct bpf_sock_addr *ctx, bool v6, __u8 family, __u16 port4,
					    __u16 port6)
{
	__u32 w[4] = {bpf_htonl(0x7f000001), 0, 0, 0};

	if (v6 && family == 6) {
		w[0] = 0;
		w[3] = bpf_htonl(1);
		dst_write(ctx, v6, 6, (const __u8 *)w, port6);
	} else {
		dst_write(ctx, v6, 4, (const __u8 *)w, port4);
	}
}

#define PORT_UDP 1u
#define PORT_SIX 2u

/* Is the socket behind our own address and port still the supervisor's listener? */
__noinline int listener_ours(struct bpf_sock_addr *ctx, __u32 which)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 *tag, size;
	int ours;

	if (which & PORT_SIX) {
		t.ipv6.daddr[3] = bpf_htonl(1);
		t.ipv6.dport = bpf_htons(which & PORT_UDP ? cfg_dns_port6 : cfg_proxy_port6);
		size = sizeof(t.ipv6);
	} else {
		t.ipv4.daddr = bpf_htonl(0x7f000001);
		t.ipv4.dport = bpf_htons(which & PORT_UDP ? cfg_dns_port4 : cfg_proxy_port4);
		size = sizeof(t.ipv4);
	}
	sk = which & PORT_UDP ? bpf_sk_lookup_udp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0)
			      : bpf_sk_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	tag = bpf_sk_storage_get(&listeners, sk, NULL, 0);
	ours = tag && *tag == cfg_tag;
	bpf_sk_release(sk);
	return ours;
}

static __always_inline struct osh_sock *sock_of(struct bpf_sock *sk)
{
	struct osh_sock *st;

	if (!sk)
		return NULL;
	st = bpf_sk_storage_get(&socks, sk, NULL, 0);
	return st && st->tag == cfg_tag ? st : NULL;
}

static __always_inline void peer_keep(struct osh_sock *st, const struct osh_dst *d)
{
	st->has_peer = 1;
	st->peer_family = d->family;
	st->peer_port = d->port;
	__builtin_memcpy(st->peer_addr, d->addr, 16);
}

static __always_inline bool may_report(volatile __u64 *full, __u64 now, __u64 burst, __u64 per_s)
{
	const __u64 step = 1000000000ull / per_s;
	__u64 room = burst, at = *full;

	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > RING_CROWDED)
		room = OSH_EVENTS_CROWDED;
	if (at < now)
		at = now;
	if (at + step - now > room * step)
		return false;
	*full = at + step; /* threads may overwrite each other: a few lines more */
	return true;
}

static __always_inline bool deny_may_report(volatile __u64 *full, __u64 now)
{
	return may_report(full, now, OSH_DENY_BURST, OSH_DENY_PER_S);
}

static __always_inline void deny_fill(struct osh_event *e, __u64 now, __u32 what, __u32 aux, __u64 cur,
				      const struct osh_dst *d, const struct osh_proc *r)
{
	e->time = now;
	e->gen = OSH_CURRENT_GEN(cur);
	e->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	e->uid = (__u32)bpf_get_current_uid_gid();
	e->kind = what & 0xff;
	e->action = OSH_DENY;
	e->reason = what >> 8 & 0xff;
	e->aux = aux;
	e->proto = what >> 16;
	e->verdict = 0;
	e->pad0 = 0;
	e->pad = 0;
	if (d)
		e->dst = *d;
	else
		__builtin_memset(&e->dst, 0, sizeof(e->dst));
	if (r)
		e->id = r->id;
	else
		__builtin_memset(&e->id, 0, sizeof(e->id));
}

/* Of a connection that was allowed. */
static __always_inline void allow_fill(struct osh_event *e, __u64 now, const struct osh_flow *f)
{
	e->time = now;
	e->gen = f->gen;
	e->pid = f->pid;
	e->uid = f->uid;
	e->kind = OSH_EV_CONNECT;
	e->action = OSH_ALLOW;
	e->reason = 0;
	e->aux = 0;
	e->proto = IPPROTO_TCP;
	e->verdict = f->kind;
	e->pad0 = 0;
	e->pad = 0;
	e->id = f->id;
	e->dst = f->dst;
}

struct slot_ctx {
	__u64 owner;
	__u32 at; /* OSH_SUPPRESSED_MAX: none */
	__u32 first;
	__u32 base; /* where slots of this kind begin */
	__u32 pad;
};

static long slot_step(__u32 i, void *arg)
{
	struct slot_ctx *c = arg;
	__u32 at = c->base + (c->first + i) % OSH_SUPPRESSED_EACH;
	struct osh_suppressed *s = bpf_map_lookup_elem(&suppressed, &at);
	__u64 was;

	if (!s)
		return 1;
	was = *(volatile __u64 *)&s->owner;
	if (!was)
		was = __sync_val_compare_and_swap(&s->owner, 0, c->owner);
	if (was && was != c->owner)
		return 0;
	c->at = at;
	return 1;
}

static __always_inline struct osh_suppressed *slot_of(__u64 owner, __u32 base)
{
	struct slot_ctx c = {.owner = owner, .at = OSH_SUPPRESSED_MAX, .base = base};

	c.first = (__u32)(owner * 0x9e3779b97f4a7c15ull >> 40);
	bpf_loop(OSH_SUPPRESSED_PROBES, slot_step, &c, 0);
	return c.at < OSH_SUPPRESSED_MAX ? bpf_map_lookup_elem(&suppressed, &c.at) : NULL;
}

/* true: the caller writes s->last, and ends with slot_done().  Never waits for another writer. */
static __always_inline bool slot_write(struct osh_suppressed *s, __u64 now)
{
	__u64 seq = *(volatile __u64 *)&s->seq;

	if ((seq & 1) || __sync_val_compare_and_swap(&s->seq, seq, seq + 1) != seq)
		return false;
	if (s->count == s->told)
		s->since = now;
	return true;
}

static __always_inline void slot_done(struct osh_suppressed *s)
{
	__sync_fetch_and_add(&s->seq, 1);
}

/* Counted, and kept as the last of its process. */
static __always_inline void deny_suppress(__u64 now, __u32 what, __u32 aux, __u64 cur, const struct osh_dst *d,
					  const struct osh_proc *r, __u32 tgid)
{
	struct osh_suppressed *s = slot_of(r ? OSH_OWNER(tgid, r->start_time) : OSH_OWNER_NOBODY, 0);

	if (!s) {
		stat_inc(OSH_STAT_SUPPRESSED_OTHER);
		return;
	}
	if (slot_write(s, now)) {
		deny_fill(&s->last, now, what, aux, cur, d, r);
		slot_done(s);
	}
	__sync_fetch_and_add(&s->count, 1);
}

static __always_inline void allow_suppress(__u64 now, const struct osh_proc *r, const struct osh_flow *f)
{
	struct osh_suppressed *s = slot_of(OSH_OWNER(f->pid, r->start_time), OSH_SUPPRESSED_EACH);

	if (!s) {
		stat_inc(OSH_STAT_ALLOWED_OTHER);
		return;
	}
	if (slot_write(s, now)) {
		allow_fill(&s->last, now, f);
		slot_done(s);
	}
	__sync_fetch_and_add(&s->count, 1);
}

/* One event of the calling process.  Global functions: verified once, not once at each of their many calls. */
__noinline int deny_event(__u32 what, __u32 aux, __u64 cur, const struct osh_dst *d)
{
	__u64 now = bpf_ktime_get_boot_ns();
	struct osh_event *e;
	struct osh_proc *r;
	__u32 tgid;

	r = proc_current(&tgid);
	if (!deny_may_report(r ? &r->deny_full : &nobody_deny_full, now)) {
		deny_suppress(now, what, aux, cur, d, r, tgid);
		return 0;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		stat_inc(OSH_STAT_EVENT_LOST_DENY);
		return 0;
	}
	deny_fill(e, now, what, aux, cur, d, r);
	event_submit(e);
	return 0;
}

/* From the flow that the connect hook has just filled, of the process with the record r. */
__noinline int allow_event(struct osh_proc *r, const struct osh_flow *f)
{
	__u64 now = bpf_ktime_get_boot_ns();
	struct osh_event *e;

	if (!r || !f)
		return 0;
	if (!may_report(&r->allow_full, now, OSH_ALLOW_BURST, OSH_ALLOW_PER_S)) {
		allow_suppress(now, r, f);
		return 0;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		stat_inc(OSH_STAT_EVENT_LOST_ALLOW);
		return 0;
	}
	allow_fill(e, now, f);
	event_submit(e);
	return 0;
}

/* What was admitted and then stopped at the packet: who it was stands in the flow, for the caller may be anybody by then
 * (a timer sends a SYN again). */
__noinline int stopped_event(const struct osh_flow *f, __u32 reason, __u32 proto)
{
	__u64 now = bpf_ktime_get_boot_ns();
	struct osh_event *e;
	struct osh_proc *r;
	__u32 tgid;

	if (!f)
		return 0;
	tgid = f->pid;
	r = bpf_map_lookup_elem(&procs, &tgid);
	if (!deny_may_report(r ? &r->deny_full : &nobody_deny_full, now)) {
		stat_inc(OSH_STAT_SUPPRESSED_OTHER);
		return 0;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		stat_inc(OSH_STAT_EVENT_LOST_DENY);
		return 0;
	}
	allow_fill(e, now, f);
	if (!f->gen)
		e->gen = OSH_CURRENT_GEN(current_load());
	e->action = OSH_DENY;
	e->reason = reason;
	e->proto = proto;
	e->verdict = 0;
	event_submit(e);
	return 0;
}

/* From sockops, where kernels before 6.18 have no helper that tells who is calling. */
static __always_inline void late_event(void)
{
	struct osh_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		stat_inc(OSH_STAT_EVENT_LOST_LATE);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = OSH_EV_LATE;
	e->action = OSH_DENY;
	event_submit(e);
}

static __always_inline int deny(__u32 kind, __u32 reason, __u32 aux, __u32 proto, __u64 cur, const struct osh_dst *d)
{
	deny_event(kind | reason << 8 | proto << 16, aux, cur, d);
	return 0;
}

/* -------------------------------------------------------------------------------- loopback -- */

enum listener_owner { LISTENER_NONE, LISTENER_OURS, LISTENER_FOREIGN };

/* enum listener_owner of the listener that a connection, or of a UDP socket's ctx a datagram, to d would meet. */
__noinline int listener_at(struct bpf_sock_addr *ctx, const struct osh_dst *d)
{
	bool udp = ctx->protocol == IPPROTO_UDP;
	struct bpf_sock_tuple t = {};
	int ret = LISTENER_FOREIGN;
	const __u32 *a;
	struct bpf_sock *sk;

	if (!d)
		return LISTENER_FOREIGN;
	a = (const __u32 *)d->addr;
	if (d->family == 4) {
		t.ipv4.daddr = a[0] ? a[0] : bpf_htonl(0x7f000001);
		t.ipv4.dport = bpf_htons(d->port);
		sk = udp ? bpf_sk_lookup_udp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0)
			 : bpf_sk_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		t.ipv6.daddr[0] = a[0];
		t.ipv6.daddr[1] = a[1];
		t.ipv6.daddr[2] = a[2];
		t.ipv6.daddr[3] = a[3];
		if (!a[0] && !a[1] && !a[2] && !a[3])
			t.ipv6.daddr[3] = bpf_htonl(1);
		t.ipv6.dport = bpf_htons(d->port);
		sk = udp ? bpf_sk_lookup_udp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0)
			 : bpf_sk_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return LISTENER_NONE;
	if (sock_of(sk))
		ret = LISTENER_OURS;
	bpf_sk_release(sk);
	return ret;
}

/* ------------------------------------------------------------------------------------- connect -- */

struct pick {
	__u32 name;
	__u32 v4_only;
	__u32 start;
	__u32 now; /* boot clock, s */
	__s32 chosen;
};

static long pick_step(__u32 i, void *arg)
{
	struct pick *c = arg;
	struct osh_name *n = bpf_map_lookup_elem(&names, &c->name);
	__u32 k = (c->start + i) & (OSH_PIN_MAX - 1);

	if (!n)
		return 1;
	if (k >= n->npins || (c->v4_only && n->pins[k].family != 4))
		return 0;
	c->chosen = (__s32)k;
	return !n->pins[k].failed || c->now - n->pins[k].failed >= PIN_RETRY_S;
}

/* Index of the pinned address to dial next: rotates, reaches with the socket's family, avoids one that has just failed
 * while there is another; -1: none of that family. */
static __always_inline int pin_choose(struct osh_name *n, __u32 name, bool v6, __u64 now)
{
	struct pick c = {.name = name, .v4_only = !v6, .start = n->rotate++, .chosen = -1};

	c.now = (__u32)(now / 1000000000ull);
	bpf_loop(OSH_PIN_MAX, pick_step, &c, 0);
	return c.chosen;
}

/* cur 0: connections on loopback, which no policy has judged. */
static __always_inline void flow_fill(struct osh_sock *st, const struct osh_proc *r, __u32 tgid, __u64 cur,
				      const struct osh_dst *d, __u32 kind, __u64 cookie)
{
	struct osh_flow *f = &st->flow;

	f->gen = OSH_CURRENT_GEN(cur);
	f->cookie = cookie;
	f->pid = tgid;
	f->uid = (__u32)bpf_get_current_uid_gid();
	f->kind = kind;
	f->pad = 0;
	f->id = r->id;
	f->dst = *d;
	st->pin_name = 0;
	st->has_flow = 0;
	st->has_peer = 0;
}

/* Turns the connection to the proxy; the record follows at TCP_CONNECT_CB. */
static __always_inline int to_proxy(struct bpf_sock_addr *ctx, bool v6, struct osh_sock *st,
				    struct osh_proc *r, __u32 tgid, __u64 cur, const struct osh_dst *d,
				    __u32 kind, __u64 cookie)
{
	bool six = v6 && d->family == 6;

	if (!listener_ours(ctx, six ? PORT_SIX : 0))
		return deny(OSH_EV_CONNECT, OSH_R_NO_PROXY, 0, IPPROTO_TCP, cur, d);
	flow_fill(st, r, tgid, cur, d, kind, cookie);
	peer_keep(st, d);
	st->has_flow = 1;
	dst_to_loopback(ctx, v6, d->family, cfg_proxy_port4, cfg_proxy_port6);
	allow_event(r, &st->flow);
	return 1;
}

#define TO_RELAY 2 /* to_native(): the proxy must resolve, judge and relay */

static __always_inline int to_native(struct bpf_sock_addr *ctx, bool v6, struct osh_sock *st,
				     struct osh_proc *r, __u32 tgid, __u64 cur, struct osh_dst *d,
				     __u64 cookie)
{
	struct osh_name *name;
	int pin = -1;
	__u32 at;

	if (d->name_addr) {
		name = bpf_map_lookup_elem(&names, &d->name_addr);
		if (!name)
			return deny(OSH_EV_CONNECT, OSH_R_NAME_EXPIRED, 0, IPPROTO_TCP, cur, d);
		name->used = bpf_ktime_get_boot_ns();
		if (name->expires && name->expires < name->used)
			return deny(OSH_EV_CONNECT, OSH_R_NAME_EXPIRED, 0, IPPROTO_TCP, cur, d);
		pin = name->npins ? pin_choose(name, d->name_addr, v6, name->used) : -1;
		/* Never resolved, or only addresses of the other family. */
		if (pin < 0 && (name->npins || !name->expires))
			return TO_RELAY;
		at = pin < 0 ? 0 : (__u32)pin & (OSH_PIN_MAX - 1);
		/* No pin at all: the resolver refused an address of the answer and left it in pins[0]. */
		d->family = name->pins[at].family;
		__builtin_memcpy(d->addr, name->pins[at].addr, 16);
		/* The proxy replaces whole entries: had this one become another name's while it was read, the address
		 * would be that name's. */
		if (bpf_map_lookup_elem(&names, &d->name_addr) != name)
			return TO_RELAY;
		if (pin < 0 || OSH_ADDR_NEVER(class_of(d)) || is_host_addr(d))
			return deny(OSH_EV_CONNECT, OSH_R_ADDRESS, class_of(d), IPPROTO_TCP, cur, d);
	}
	flow_fill(st, r, tgid, cur, d, OSH_FLOW_NATIVE, cookie);
	if (d->name_addr) {
		st->has_peer = 1;
		st->peer_family = 4;
		st->peer_port = d->port;
		*(__u32 *)st->peer_addr = d->name_addr;
		st->pin_name = d->name_addr;
		st->pin_index = (__u32)pin;
		dst_write(ctx, v6, d->family, d->addr, d->port);
	}
	allow_event(r, &st->flow);
	return 1;
}

/* UDP and TCP port 53: whatever server the program means, it is ours. */
static __always_inline int to_resolver_udp(struct bpf_sock_addr *ctx, bool v6, struct osh_sock *st,
					   struct osh_proc *r, __u32 tgid, const struct osh_dst *d)
{
	bool six = v6 && d->family == 6;

	if (!listener_ours(ctx, PORT_UDP | (six ? PORT_SIX : 0)))
		return deny(OSH_EV_CONNECT, OSH_R_NO_PROXY, 0, IPPROTO_UDP, 0, d);
	peer_keep(st, d);
	st->flow.gen = 0;
	st->flow.kind = OSH_FLOW_DNS;
	st->flow.pid = tgid;
	st->flow.uid = (__u32)bpf_get_current_uid_gid();
	st->flow.dst = *d;
	st->flow.cookie = r != NULL;
	if (r)
		st->flow.id = r->id;
	else
		__builtin_memset(&st->flow.id, 0, sizeof(st->flow.id));
	dst_to_loopback(ctx, v6, d->family, cfg_dns_port4, cfg_dns_port6);
	return 1;
}

/* Exactly the addresses that the kernel keeps on loopback.  Other spellings of the class (0.1.2.3, addresses that embed
 * 127.0.0.1) are routed like any address, and denied. */
static __always_inline bool is_loopback(const struct osh_dst *d)
{
	const __u32 *w = (const __u32 *)d->addr;

	if (d->family == 4)
		return !w[0] || (bpf_ntohl(w[0]) >> 24) == 127;
	return !w[0] && !w[1] && !w[2] && (!w[3] || w[3] == bpf_htonl(1));
}

/* The unspecified address becomes the one that is looked up: what else the kernel would make of it depends on the
 * socket's own address. */
static __always_inline void loopback_explicit(struct bpf_sock_addr *ctx, bool v6, struct osh_dst *d)
{
	__u32 *w = (__u32 *)d->addr;

	if (d->family == 4) {
		if (w[0])
			return;
		w[0] = bpf_htonl(0x7f000001);
	} else {
		if (w[0] || w[1] || w[2] || w[3])
			return;
		w[3] = bpf_htonl(1);
	}
	dst_write(ctx, v6, d->family, d->addr, d->port);
}

static __always_inline int loopback(struct bpf_sock_addr *ctx, bool v6, struct osh_sock *st, const struct osh_proc *r,
				    __u32 tgid, __u64 cur, struct osh_dst *d, __u64 cookie)
{
	loopback_explicit(ctx, v6, d);
	flow_fill(st, r, tgid, 0, d, OSH_FLOW_NATIVE, cookie);
	switch (listener_at(ctx, d)) {
	case LISTENER_OURS:
		return 1;
	case LISTENER_NONE:
		bpf_set_retval(-ECONNREFUSED); /* what the kernel would say, without a packet */
		return 0;
	default:
		return deny(OSH_EV_CONNECT, OSH_R_HOST_LOOPBACK, 0, IPPROTO_TCP, cur, d);
	}
}

static __always_inline int on_connect(struct bpf_sock_addr *ctx, bool v6)
{
	struct osh_sock *st = sock_of(ctx->sk);
	__u64 cur = current_load(), cookie;
	enum osh_addr_class cls;
	struct osh_proc *r;
	struct osh_dst d;
	__u32 judged, tgid, kind = OSH_FLOW_L7;
	int done;

	dst_read(ctx, v6, &d);
	r = proc_current(&tgid);
	if (!st) /* a socket that sock_create has not seen */
		return deny(OSH_EV_CONNECT, OSH_R_PROTOCOL, ctx->type, ctx->protocol, cur, &d);
	if (ctx->protocol == IPPROTO_UDP) {
		if (d.port == DNS_PORT)
			return to_resolver_udp(ctx, v6, st, r, tgid, &d);
		return deny(OSH_EV_CONNECT, OSH_R_PROTOCOL, ctx->type, ctx->protocol, cur, &d);
	}
	if (ctx->protocol != IPPROTO_TCP)
		return deny(OSH_EV_CONNECT, OSH_R_PROTOCOL, ctx->type, ctx->protocol, cur, &d);
	if (!r || ident_empty(&r->id))
		return deny(OSH_EV_CONNECT, OSH_R_NO_IDENTITY, 0, IPPROTO_TCP, cur, &d);
	cookie = bpf_get_socket_cookie(ctx);
	if (d.port == DNS_PORT) {
		kind = OSH_FLOW_DNS;
		goto proxy;
	}
	if (!d.name_addr) {
		cls = class_of(&d);
		if (is_loopback(&d) || is_host_addr(&d))
			return loopback(ctx, v6, st, r, tgid, cur, &d, cookie);
		if (OSH_ADDR_NEVER(cls))
			return deny(OSH_EV_CONNECT, OSH_R_ADDRESS, cls, IPPROTO_TCP, cur, &d);
	} else if (!bpf_map_lookup_elem(&names, &d.name_addr)) {
		return deny(OSH_EV_CONNECT, OSH_R_NAME_EXPIRED, 0, IPPROTO_TCP, cur, &d);
	}

	judged = judge(r, tgid, cur, &d);
	if (JUDGED_VERDICT(judged) == V_NATIVE) {
		done = to_native(ctx, v6, st, r, tgid, cur, &d, cookie);
		if (done != TO_RELAY)
			return done;
		kind = OSH_FLOW_RELAY;
	} else if (JUDGED_VERDICT(judged) != V_PROXY) {
		return deny(OSH_EV_CONNECT, JUDGED_REASON(judged), 0, IPPROTO_TCP, cur, &d);
	}
proxy:
	return to_proxy(ctx, v6, st, r, tgid, cur, &d, kind, cookie);
}

SEC("cgroup/connect4")
int agent_connect4(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx, false);
}

SEC("cgroup/connect6")
int agent_connect6(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx, true);
}

/* ----------------------------------------------------------------------------------------- UDP -- */

/* An IPv6 socket connected to an IPv4 address passes here at each send(), with what the connect hook made of that
 * address: *d becomes what the program asked for. */
static __always_inline void peer_again(const struct osh_sock *st, struct osh_dst *d)
{
	__u32 *w = (__u32 *)d->addr;

	if (d->family != 4 || w[0] != bpf_htonl(0x7f000001) || d->port != cfg_dns_port4 || !st->has_peer ||
	    st->peer_family != 4 || st->peer_port != DNS_PORT)
		return;
	w[0] = *(const __u32 *)st->peer_addr;
	d->port = DNS_PORT;
}

static __always_inline int on_sendmsg(struct bpf_sock_addr *ctx, bool v6)
{
	struct osh_sock *st = sock_of(ctx->sk);
	struct osh_proc *r;
	struct osh_dst d;
	__u32 tgid;

	dst_read(ctx, v6, &d);
	if (st && ctx->protocol == IPPROTO_UDP)
		peer_again(st, &d);
	if (st && ctx->protocol == IPPROTO_UDP && d.port == DNS_PORT) {
		r = proc_current(&tgid);
		return to_resolver_udp(ctx, v6, st, r, tgid, &d);
	}
	return deny(OSH_EV_CONNECT, OSH_R_PROTOCOL, ctx->type, ctx->protocol, current_load(), &d);
}

SEC("cgroup/sendmsg4")
int agent_sendmsg4(struct bpf_sock_addr *ctx)
{
	return on_sendmsg(ctx, false);
}

SEC("cgroup/sendmsg6")
int agent_sendmsg6(struct bpf_sock_addr *ctx)
{
	return on_sendmsg(ctx, true);
}

/* The address that the program asked for, in place of ours. */
static __always_inline int peer_show(struct bpf_sock_addr *ctx, bool v6)
{
	struct osh_sock *st = sock_of(ctx->sk);

	if (st && st->has_peer && (v6 || st->peer_family == 4))
		dst_write(ctx, v6, st->peer_family, st->peer_addr, st->peer_port);
	return 1;
}

SEC("cgroup/recvmsg4")
int agent_recvmsg4(struct bpf_sock_addr *ctx)
{
	return peer_show(ctx, false);
}

SEC("cgroup/recvmsg6")
int agent_recvmsg6(struct bpf_sock_addr *ctx)
{
	return peer_show(ctx, true);
}

SEC("cgroup/getpeername4")
int agent_getpeername4(struct bpf_sock_addr *ctx)
{
	return peer_show(ctx, false);
}

SEC("cgroup/getpeername6")
int agent_getpeername6(struct bpf_sock_addr *ctx)
{
	return peer_show(ctx, true);
}

/* --------------------------------------------------------------------------- life of a socket -- */

SEC("cgroup/sock_create")
int agent_sock_create(struct bpf_sock *ctx)
{
	__u32 family = *(volatile __u32 *)&ctx->family, type = *(volatile __u32 *)&ctx->type; /* as a whole, for the verifier */
	struct osh_sock *st;

	if ((family == AF_INET || family == AF_INET6) &&
	    ((type == SOCK_STREAM && (ctx->protocol == 0 || ctx->protocol == IPPROTO_TCP)) ||
	     (type == SOCK_DGRAM && (ctx->protocol == 0 || ctx->protocol == IPPROTO_UDP)))) {
		st = bpf_sk_storage_get(&socks, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (st) {
			st->tag = cfg_tag;
			return 1;
		}
	}
	return deny(OSH_EV_SOCKET, OSH_R_PROTOCOL, OSH_SOCKET_AUX(family, type), ctx->protocol, current_load(), NULL);
}

SEC("cgroup/sock_release")
int agent_sock_release(struct bpf_sock *ctx)
{
	struct osh_sock *st = sock_of(ctx);

	if (st && st->has_key)
		bpf_map_delete_elem(&flows, &st->key);
	return 1;
}

/* Options that send a packet elsewhere than to the address that was judged: by device, by source route; and the joining
 * of multicast groups, which the kernel tells the network with the group's address (112 bits of the program's choice). */
static __always_inline bool steers(int level, int name)
{
	switch (level) {
	case SOL_SOCKET:
		return name == 25 /* SO_BINDTODEVICE */ || name == 62 /* SO_BINDTOIFINDEX */;
	case SOL_IP:
		return name == 4 /* IP_OPTIONS */ || name == 50 /* IP_UNICAST_IF */ ||
		       (name >= 35 && name <= 48) /* IP_ADD_MEMBERSHIP to MCAST_MSFILTER */;
	case SOL_IPV6:
		return name == 54 /* IPV6_HOPOPTS */ || name == 55 /* IPV6_RTHDRDSTOPTS */ || name == 57 /* IPV6_RTHDR */ ||
		       name == 59 /* IPV6_DSTOPTS */ || name == 50 /* IPV6_PKTINFO */ || name == 9 /* IPV6_NEXTHOP */ ||
		       name == 6 /* IPV6_2292PKTOPTIONS */ || name == 5 /* IPV6_2292RTHDR */ ||
		       name == 76 /* IPV6_UNICAST_IF */ || name == 20 /* IPV6_JOIN_GROUP */ ||
		       name == 27 /* IPV6_JOIN_ANYCAST */ ||
		       (name >= 42 && name <= 48) /* MCAST_JOIN_GROUP to MCAST_MSFILTER */;
	}
	return false;
}

/* A group of SO_REUSEPORT shared with a host process would pass the look-up of a listener and then receive
 * connections of the sandbox: refused.  On datagram sockets programs set it out of habit and die when they cannot
 * (dig): there it is answered with success and has no effect.
 *
 * The same for TCP_FASTOPEN_CONNECT: it puts the SYN off until there is data, so that a decision would be carried out
 * any time later, and the kernel keeps it put off when the socket is destroyed by a reload in between. */
SEC("cgroup/setsockopt")
int agent_setsockopt(struct bpf_sockopt *ctx)
{
	if (ctx->level == SOL_SOCKET && ctx->optname == SO_REUSEPORT) {
		if (ctx->sk && ctx->sk->type == SOCK_DGRAM) {
			ctx->optlen = -1; /* the kernel's own handler is left out */
			return 1;
		}
		return deny(OSH_EV_SOCKOPT, OSH_R_SOCKOPT, SO_REUSEPORT, SOL_SOCKET, current_load(), NULL);
	}
	if (ctx->level == SOL_TCP && ctx->optname == TCP_FASTOPEN_CONNECT) {
		ctx->optlen = -1;
		return 1;
	}
	if (steers(ctx->level, ctx->optname))
		return deny(OSH_EV_SOCKOPT, OSH_R_SOCKOPT, (__u32)ctx->optname, (__u32)ctx->level, current_load(), NULL);
	ctx->optlen = 0; /* the kernel takes the program's own buffer */
	return 1;
}

/* The kernel lets two UDP sockets with SO_REUSEADDR have one port, and the narrower or younger gets the datagrams. */
static __always_inline int on_bind(struct bpf_sock_addr *ctx, bool v6)
{
	struct osh_dst d;

	dst_read(ctx, v6, &d);
	if (!d.port)
		return 1;
	if (d.port == cfg_proxy_port4 || d.port == cfg_proxy_port6 || d.port == cfg_dns_port4 ||
	    d.port == cfg_dns_port6 || listener_at(ctx, &d) == LISTENER_FOREIGN)
		return deny(OSH_EV_BIND, OSH_R_BIND, 0, ctx->protocol, current_load(), &d);
	return 1;
}

SEC("cgroup/bind4")
int agent_bind4(struct bpf_sock_addr *ctx)
{
	return on_bind(ctx, false);
}

SEC("cgroup/bind6")
int agent_bind6(struct bpf_sock_addr *ctx)
{
	return on_bind(ctx, true);
}

/* Offset of the TCP header, 0 for anything else.  IPv6 extension headers in front of TCP are not worth following. */
static __always_inline __u32 tcp_offset(const __u8 *p, const __u8 *end)
{
	if (p + 40 > end)
		return 0;
	if (p[0] >> 4 == 4)
		return p[9] == IPPROTO_TCP ? (p[0] & 0xf) * 4u : 0;
	return p[0] >> 4 == 6 && p[6] == IPPROTO_TCP ? 40 : 0;
}

enum peer { PEER_NONE, PEER_SANDBOX, PEER_PROXY, PEER_FOREIGN };

#define LOOK_SENDER 1u /* of a packet that came; else the receiver of one that goes */
#define LOOK_SYN 2u

static __always_inline struct bpf_sock *peer_look(struct __sk_buff *skb, struct bpf_sock_tuple *t, __u32 size, bool udp)
{
	return udp ? bpf_sk_lookup_udp(skb, t, size, BPF_F_CURRENT_NETNS, 0)
		   : bpf_sk_lookup_tcp(skb, t, size, BPF_F_CURRENT_NETNS, 0);
}

static __always_inline void tuple_turn4(struct bpf_sock_tuple *t)
{
	__be32 a = t->ipv4.saddr;
	__be16 port = t->ipv4.sport;

	t->ipv4.saddr = t->ipv4.daddr;
	t->ipv4.daddr = a;
	t->ipv4.sport = t->ipv4.dport;
	t->ipv4.dport = port;
}

static __always_inline void tuple_turn6(struct bpf_sock_tuple *t)
{
	__be16 port = t->ipv6.sport;
	__be32 a;

	for (int i = 0; i < 4; i++) {
		a = t->ipv6.saddr[i];
		t->ipv6.saddr[i] = t->ipv6.daddr[i];
		t->ipv6.daddr[i] = a;
	}
	t->ipv6.sport = t->ipv6.dport;
	t->ipv6.dport = port;
}

/* Source, destination and ports lie in a tuple as in a packet without options.  It is copied whole and turned on the stack:
 * the verifier of 6.1 takes no computed offset into a packet. */
#define TUPLE_COPIED(t) asm volatile("" : : "r"(t) : "memory")

/* enum peer: whose socket is at the other end of a TCP segment or UDP datagram on loopback.  The whole tuple is looked
 * up, so that a connected socket and a half-open connection are found as the kernel finds them; a request for a
 * connection counts as its listener.  What listeners of the supervisor accept has their mark; what the sandbox's accept
 * has their cgroup. */
__noinline int peer_of(struct __sk_buff *skb, __u32 look)
{
	const __u8 *p = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct bpf_sock_tuple t = {};
	__u32 size = sizeof(t.ipv4), *tag;
	int ret = PEER_FOREIGN;
	struct bpf_sock *sk;
	bool udp;

	if (p + 28 > end)
		return PEER_FOREIGN;
	if (p[0] == 0x45) {
		udp = p[9] == IPPROTO_UDP;
		if (!udp && p[9] != IPPROTO_TCP)
			return PEER_FOREIGN;
		t.ipv4 = *(const __typeof__(t.ipv4) *)(p + 12);
		TUPLE_COPIED(&t);
		if (look & LOOK_SENDER)
			tuple_turn4(&t);
	} else {
		if (p[0] >> 4 != 6 || p + 48 > end)
			return PEER_FOREIGN;
		udp = p[6] == IPPROTO_UDP;
		if (!udp && p[6] != IPPROTO_TCP)
			return PEER_FOREIGN;
		size = sizeof(t.ipv6);
		t.ipv6 = *(const __typeof__(t.ipv6) *)(p + 8);
		TUPLE_COPIED(&t);
		if (look & LOOK_SENDER)
			tuple_turn6(&t);
	}
	sk = peer_look(skb, &t, size, udp);
	if (!sk && (look & LOOK_SYN)) {
		/* Nobody, or the TIME_WAIT of an earlier connection from this port, behind which the listener gets it. */
		if (size == sizeof(t.ipv4))
			t.ipv4.sport = 0;
		else
			t.ipv6.sport = 0;
		sk = peer_look(skb, &t, size, udp);
	}
	if (!sk)
		return PEER_NONE;
	tag = bpf_sk_storage_get(&listeners, sk, NULL, 0);
	if (tag && *tag == cfg_tag)
		ret = PEER_PROXY;
	else if (bpf_sk_ancestor_cgroup_id(sk, (int)cfg_level) == cfg_cgroup)
		ret = PEER_SANDBOX;
	bpf_sk_release(sk);
	return ret;
}

static __always_inline int peer_wanted(const struct osh_sock *st)
{
	return st->flow.kind == OSH_FLOW_NATIVE ? PEER_SANDBOX : PEER_PROXY;
}

static __always_inline bool peer_refuse(const struct osh_sock *st, int peer, __u32 proto)
{
	if (peer_wanted(st) == PEER_PROXY)
		stopped_event(&st->flow, OSH_R_NO_PROXY, proto);
	else if (peer != PEER_NONE)
		stopped_event(&st->flow, OSH_R_HOST_LOOPBACK, proto);
	return false;
}

/* On loopback, an answer to a SYN, and any datagram to a socket that asks the resolver: from who may be asked.  Other
 * packets belong to a connection that was answered so, or to one that the sender began. */
static __always_inline bool answer_admitted(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	const struct osh_sock *st;
	__u32 proto;
	int peer;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (!sk)
		return false;
	proto = *(volatile __u32 *)&sk->protocol; /* as a whole, for the verifier */
	st = sock_of(sk);
	if (!st || (proto == IPPROTO_UDP && st->flow.kind != OSH_FLOW_DNS))
		return true;
	peer = peer_of(skb, LOOK_SENDER);
	return peer == peer_wanted(st) || peer_refuse(st, peer, proto);
}

/* From outside only what answers our own connections: no bare SYN, no datagram.  Runs for every packet: read in place,
 * the headers are in the linear part once TCP has accepted them. */
SEC("cgroup_skb/ingress")
int agent_ingress(struct __sk_buff *skb)
{
	const __u8 *p = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *tcp;
	const bool lo = skb->ifindex == IFINDEX_LO;
	__u64 off;
	__u8 flags;

	off = tcp_offset(p, end);
	asm volatile("%[off] &= 63" : [off] "+r"(off)); /* the verifier wants to see the bound */
	tcp = p + off;
	if (off && tcp + 14 <= end) {
		flags = tcp[13] & (TCP_FLAG_SYN | TCP_FLAG_ACK);
		if (flags != (lo ? TCP_FLAG_SYN | TCP_FLAG_ACK : TCP_FLAG_SYN))
			return 1;
	}
	if (lo && answer_admitted(skb))
		return 1;
	stat_inc(OSH_STAT_INBOUND);
	return 0;
}

static __always_inline bool bare_syn(const __u8 *tcp)
{
	return (tcp[13] & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN;
}

/* The last look, at the packet itself: nothing leaves the host but TCP of connections that the connect hook has sent to
 * this very address, without IP options and extension headers.  A SYN is compared with the record on its socket; what
 * follows a SYN belongs to it.  Data in a SYN goes only under the generation that admitted it: when it is stopped, the
 * kernel sends the SYN without, and user space judges the connection again. */
static __always_inline bool syn_admitted(struct __sk_buff *skb, const __u8 *p, const __u8 *end, const __u8 *tcp, bool v6,
					 bool data)
{
	struct bpf_sock *sk = skb->sk;
	const struct osh_sock *st;
	const __u32 *want, *have;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	st = sock_of(sk);
	if (!st || !st->flow.gen || st->flow.kind != OSH_FLOW_NATIVE || st->flow.dst.family != (v6 ? 6 : 4) ||
	    st->flow.dst.port != (__u16)(tcp[2] << 8 | tcp[3]) || p + 40 > end)
		return false;
	if (data && st->flow.gen != OSH_CURRENT_GEN(current_load()))
		return false;
	want = (const __u32 *)st->flow.dst.addr;
	have = (const __u32 *)(p + (v6 ? 24 : 16));
	if (want[0] != have[0])
		return false;
	return !v6 || (want[1] == have[1] && want[2] == have[2] && want[3] == have[3]);
}

/*
 * On loopback each packet is asked about again, not only the connect(): what was a listener of the sandbox or of the
 * proxy then may be the host's when a SYN is sent again, when a connected datagram socket sends, or when the other end of
 * a connection has gone without a word (an acknowledgement with a SYN cookie opens a connection to a listener that never
 * saw its SYN).  Packets of connections to outside do not come here, unless they have met the host itself: an address
 * that is not in host_addrs (newer than the supervisor's last look, or made local by a route), or a redirection.
 *
 * A SYN finds its listener, or does not go; what follows it may also find nobody, and then gets the kernel's reset.  A
 * SYN with data is stopped: the kernel sends it again without, at once.
 */
static __always_inline bool loopback_admitted(struct __sk_buff *skb, bool udp, bool syn, bool data)
{
	struct bpf_sock *sk = skb->sk;
	const struct osh_sock *st;
	int peer = PEER_FOREIGN;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	st = sock_of(sk);
	if (!st) /* accepted: who it talks to came to it */
		return sk && !udp && !syn;
	if (syn && data)
		return false;
	if (!st->flow.gen || st->flow.kind != OSH_FLOW_NATIVE) {
		peer = peer_of(skb, syn ? LOOK_SYN : 0);
		if (peer == peer_wanted(st) || (peer == PEER_NONE && !syn && !udp))
			return true;
	}
	return peer_refuse(st, peer, udp ? IPPROTO_UDP : IPPROTO_TCP);
}

SEC("cgroup_skb/egress")
int agent_egress(struct __sk_buff *skb)
{
	const __u8 *p = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *tcp;
	const bool lo = skb->ifindex == IFINDEX_LO;
	bool v6, syn, data;

	if (p + 28 > end)
		goto drop;
	v6 = p[0] >> 4 == 6;
	if (!v6 && p[0] != 0x45) /* IPv4 without options */
		goto drop;
	if (v6 && p + 48 > end)
		goto drop;
	if ((v6 ? p[6] : p[9]) != IPPROTO_TCP) {
		if (lo && (v6 ? p[6] : p[9]) == IPPROTO_UDP && loopback_admitted(skb, true, false, false))
			return 1;
		goto drop;
	}
	tcp = p + (v6 ? 40 : 20);
	if (tcp + 14 > end)
		goto drop;
	syn = bare_syn(tcp);
	data = skb->len > (v6 ? 40u : 20u) + (tcp[12] >> 4) * 4u;
	if (!lo) {
		if (!syn || syn_admitted(skb, p, end, tcp, v6, data))
			return 1;
	} else if ((tcp[13] & TCP_FLAG_SYN && !syn) || loopback_admitted(skb, false, syn, data)) {
		return 1;
	}
drop:
	stat_inc(OSH_STAT_OUTBOUND);
	return 0;
}

/* ---------------------------------------------------------------------------- flow hand-off -- */

static __always_inline void ops_key(struct bpf_sock_ops *ctx, bool remote, struct osh_flow_key *k)
{
	__builtin_memset(k, 0, sizeof(*k));
	k->port = remote ? (__u16)bpf_ntohl(ctx->remote_port) : (__u16)ctx->local_port;
	if (ctx->family == AF_INET) {
		mapped4(k->addr, remote ? ctx->remote_ip4 : ctx->local_ip4);
	} else {
		__u32 *w = (__u32 *)k->addr;

		w[0] = remote ? ctx->remote_ip6[0] : ctx->local_ip6[0];
		w[1] = remote ? ctx->remote_ip6[1] : ctx->local_ip6[1];
		w[2] = remote ? ctx->remote_ip6[2] : ctx->local_ip6[2];
		w[3] = remote ? ctx->remote_ip6[3] : ctx->local_ip6[3];
		/* An IPv6 socket that talks IPv4 may show its address in either field. */
		if (!w[0] && !w[1] && !w[2] && !w[3])
			mapped4(k->addr, remote ? ctx->remote_ip4 : ctx->local_ip4);
	}
}

SEC("sockops")
int agent_sockops(struct bpf_sock_ops *ctx)
{
	struct osh_sock *st;
	struct osh_name *n;
	struct bpf_sock *sk;

	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		sk = ctx->sk;
		st = sk ? bpf_sk_storage_get(&socks, sk, NULL, 0) : NULL;
		if (!st)
			return 1;
		if (st->has_key)
			bpf_map_delete_elem(&flows, &st->key); /* of an earlier connect of this socket */
		if (st->has_flow) {
			ops_key(ctx, false, &st->key);
			st->has_key = 1;
			st->has_flow = 0;
			if (bpf_map_update_elem(&flows, &st->key, &st->flow, BPF_ANY)) {
				stat_inc(OSH_STAT_FLOW_LOST);
				/* No memory: what a disconnected socket left there must not stand for this one. */
				bpf_map_delete_elem(&flows, &st->key);
			}
			return 1;
		}
		if (st->pin_name)
			bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);
		/* Decided before a swap, findable only now: user space must look again. */
		if (st->flow.gen && st->flow.gen != OSH_CURRENT_GEN(current_load()))
			late_event();
	} else if (ctx->op == BPF_SOCK_OPS_STATE_CB) {
		if (ctx->args[0] != BPF_TCP_SYN_SENT)
			return 1;
		sk = ctx->sk;
		st = sk ? bpf_sk_storage_get(&socks, sk, NULL, 0) : NULL;
		if (!st || !st->pin_name)
			return 1;
		n = bpf_map_lookup_elem(&names, &st->pin_name);
		if (n)
			n->pins[st->pin_index & (OSH_PIN_MAX - 1)].failed =
				ctx->args[1] == BPF_TCP_ESTABLISHED ? 0 : (__u32)(bpf_ktime_get_boot_ns() / 1000000000ull);
		if (ctx->args[1] == BPF_TCP_ESTABLISHED)
			bpf_sock_ops_cb_flags_set(ctx, 0);
	}
	return 1;
}

SEC("sockops")
int proxy_sockops(struct bpf_sock_ops *ctx)
{
	struct osh_flow_key k;
	struct osh_flow *f;
	struct bpf_sock *sk;

	if (ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	ops_key(ctx, true, &k);
	f = bpf_map_lookup_elem(&flows, &k);
	sk = ctx->sk;
	if (!f || !sk) {
		stat_inc(OSH_STAT_NO_FLOW); /* the proxy finds no record and resets */
		return 1;
	}
	bpf_sk_storage_get(&accepted, sk, f, BPF_SK_STORAGE_GET_F_CREATE);
	bpf_map_delete_elem(&flows, &k);
	return 1;
}

/* -------------------------------------------------------------------------- the proxy's side -- */

/* Who asks: the identity that connect or sendmsg left on the asking socket, found by its address and port. */
SEC("cgroup_skb/ingress")
int proxy_ingress(struct __sk_buff *skb)
{
	struct {
		__be16 sport, dport;
	} udp;
	struct osh_dns_client c = {};
	struct bpf_sock_tuple t = {};
	struct osh_flow_key k = {};
	struct osh_sock *st;
	struct bpf_sock *sk;
	__u32 a[8];
	__u8 proto, vihl;

	if (skb->protocol == bpf_htons(0x0800)) {
		if (bpf_skb_load_bytes(skb, 9, &proto, 1) || proto != IPPROTO_UDP)
			return 1;
		if (bpf_skb_load_bytes(skb, 0, &vihl, 1) ||
		    bpf_skb_load_bytes(skb, (vihl & 0xf) * 4u, &udp, sizeof(udp)) ||
		    udp.dport != bpf_htons(cfg_dns_port4) || bpf_skb_load_bytes(skb, 12, a, 8))
			return 1;
		mapped4(k.addr, a[0]);
		t.ipv4.saddr = a[1];
		t.ipv4.daddr = a[0];
		t.ipv4.sport = udp.dport;
		t.ipv4.dport = udp.sport;
		sk = bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		if (bpf_skb_load_bytes(skb, 6, &proto, 1) || proto != IPPROTO_UDP)
			return 1;
		if (bpf_skb_load_bytes(skb, 40, &udp, sizeof(udp)) || udp.dport != bpf_htons(cfg_dns_port6) ||
		    bpf_skb_load_bytes(skb, 8, a, 32))
			return 1;
		__builtin_memcpy(k.addr, a, 16);
		__builtin_memcpy(t.ipv6.saddr, a + 4, 16);
		__builtin_memcpy(t.ipv6.daddr, a, 16);
		t.ipv6.sport = udp.dport;
		t.ipv6.dport = udp.sport;
		sk = bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	k.port = bpf_ntohs(udp.sport);
	if (!sk) {
		bpf_map_delete_elem(&dns_clients, &k);
		return 1;
	}
	st = sock_of(sk);
	if (st && st->flow.kind == OSH_FLOW_DNS) {
		c.id = st->flow.id;
		c.pid = st->flow.pid;
		c.has_id = st->flow.cookie != 0;
		bpf_map_update_elem(&dns_clients, &k, &c, BPF_ANY);
	} else {
		bpf_map_delete_elem(&dns_clients, &k);
	}
	bpf_sk_release(sk);
	return 1;
}

/* The proxy dials only what it has checked; this is the second lock. */
static __always_inline int proxy_may(struct bpf_sock_addr *ctx, bool v6)
{
	struct osh_flow_key k = {};
	struct osh_dst d;

	dst_read(ctx, v6, &d);
	k.port = d.port;
	if (d.family == 4)
		mapped4(k.addr, *(__u32 *)d.addr);
	else
		__builtin_memcpy(k.addr, d.addr, 16);
	if (bpf_map_lookup_elem(&upstream_dns, &k))
		return 1;
	if (ctx->protocol != IPPROTO_TCP)
		return 0;
	return !OSH_ADDR_NEVER(class_of(&d)) && !is_host_addr(&d);
}

/* And at the packet: no IP options, no extension headers, nothing but TCP and the resolver's UDP to outside, never
 * an address that connect would have refused, and no connection that ends at the host, whatever its address. */
SEC("cgroup_skb/egress")
int proxy_egress(struct __sk_buff *skb)
{
	const __u8 *p = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *tcp;
	const bool lo = skb->ifindex == IFINDEX_LO;
	struct osh_flow_key k = {};
	struct osh_dst d = {};
	__u8 proto;

	if (p + 28 > end)
		goto drop;
	if (p[0] == 0x45) {
		d.family = 4;
		__builtin_memcpy(d.addr, p + 16, 4);
		proto = p[9];
		k.port = (__u16)(p[22] << 8 | p[23]);
		mapped4(k.addr, *(const __u32 *)d.addr);
	} else {
		if (p[0] >> 4 != 6 || p + 48 > end)
			goto drop;
		d.family = 6;
		__builtin_memcpy(d.addr, p + 24, 16);
		proto = p[6];
		k.port = (__u16)(p[42] << 8 | p[43]);
		__builtin_memcpy(k.addr, d.addr, 16);
	}
	if (proto == IPPROTO_TCP) {
		tcp = p + (d.family == 6 ? 40 : 20);
		if (tcp + 14 > end)
			goto drop;
		if (lo ? !bare_syn(tcp) : !OSH_ADDR_NEVER(class_of(&d)))
			return 1;
	} else if (lo) {
		return 1; /* the resolver's answers */
	}
	if ((proto == IPPROTO_TCP || proto == IPPROTO_UDP) && bpf_map_lookup_elem(&upstream_dns, &k))
		return 1;
drop:
	stat_inc(OSH_STAT_OUTBOUND);
	return 0;
}

SEC("cgroup/connect4")
int proxy_connect4(struct bpf_sock_addr *ctx)
{
	return proxy_may(ctx, false);
}

SEC("cgroup/connect6")
int proxy_connect6(struct bpf_sock_addr *ctx)
{
	return proxy_may(ctx, true);
}

/* A reply of the resolver goes back to a loopback client on our own port; anything else only upstream. */
static __always_inline int proxy_sends(struct bpf_sock_addr *ctx, bool v6)
{
	struct bpf_sock *sk = ctx->sk;
	struct osh_dst d;

	dst_read(ctx, v6, &d);
	if (sk && (sk->src_port == cfg_dns_port4 || sk->src_port == cfg_dns_port6) &&
	    class_of(&d) == OSH_ADDR_LOOPBACK)
		return 1;
	return proxy_may(ctx, v6);
}

SEC("cgroup/sendmsg4")
int proxy_sendmsg4(struct bpf_sock_addr *ctx)
{
	return proxy_sends(ctx, false);
}

SEC("cgroup/sendmsg6")
int proxy_sendmsg6(struct bpf_sock_addr *ctx)
{
	return proxy_sends(ctx, true);
}

#include "bpf/lsm.bpf.h"
