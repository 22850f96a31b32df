/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revoke.c - re-judging native connections, and closing them (revoke.h).
 *
 * Every socket of the sandbox carries struct osh_sock, which names the connection that was admitted.  sock_diag(7) dumps
 * the TCP sockets together with that storage (net/core/bpf_sk_storage.c, INET_DIAG_REQ_SK_BPF_STORAGES), and destroys
 * a socket by its tuple and cookie (net/ipv4/inet_diag.c, SOCK_DESTROY): the program sees ECONNABORTED, the peer a
 * reset.  A socket whose connect() was decided before a swap and reaches the kernel's tables after this dump reports
 * itself (OSH_EV_LATE), whereupon the caller looks again.
 */
#include "user/revoke.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define DUMP_BUFFER 65536

void ident_bits(const struct kernel *k, const struct image *img, const struct osh_ident *id, struct block_bits *ret)
{
	char text[2 + OSH_ANCESTORS_MAX][OSH_PATH_MAX];
	struct slice anc[OSH_ANCESTORS_MAX];
	struct ident_paths p = {.anc = anc, .tainted = id->taint != 0};

	memset(ret, 0, sizeof(*ret));
	if ((kernel_path(k, id->exe, text[0]) < 0 && id->exe) || (kernel_path(k, id->script, text[1]) < 0 && id->script))
		return;
	p.exe = slice_str(text[0]);
	p.script = slice_str(text[1]);
	for (uint32_t i = 0; i < id->nanc && i < OSH_ANCESTORS_MAX; i++) {
		if (kernel_path(k, id->anc[i], text[2 + i]) < 0)
			return;
		anc[p.nanc++] = slice_str(text[2 + i]);
	}
	image_ident_bits(img, &p, ret);
}

bool dest_of(const struct kernel *k, const struct osh_dst *d, struct dest *ret, char *buf)
{
	memset(ret, 0, sizeof(*ret));
	ret->port = d->port;
	buf[0] = '\0';
	if (d->name_addr) {
		if (kernel_name(k, d->name_addr, buf) < 0)
			return false;
		ret->host = slice_str(buf);
		return true;
	}
	ret->family = d->family;
	memcpy(ret->addr, d->addr, sizeof(ret->addr));
	return true;
}

static bool admitted(const struct kernel *k, const struct image *img, const struct osh_flow *f)
{
	struct connect_decision c;
	struct block_bits bits;
	char name[OSH_NAME_MAX];
	struct dest d;

	if (!dest_of(k, &f->dst, &d, name))
		return false;
	ident_bits(k, img, &f->id, &bits);
	image_decide_connect(img, &bits, &d, &c);
	if (c.verdict != CONNECT_NATIVE)
		return false;
	/* The address itself must still be one that the name may have. */
	if (f->dst.name_addr) {
		enum osh_addr_class cls;

		return image_address_allowed(img, &c.blocks, d.host, d.port, f->dst.family, f->dst.addr, &cls);
	}
	return true;
}

static int destroy(int fd, const struct inet_diag_msg *m)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 q;
	} d = {
		.h = {.nlmsg_len = sizeof(d), .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.q = {.sdiag_family = m->idiag_family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u, .id = m->id},
	};
	char buf[512] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (void *)buf;
	const struct nlmsgerr *e;
	ssize_t n;

	if (send(fd, &d, sizeof(d), 0) < 0)
		return -errno;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(*e)) || h->nlmsg_type != NLMSG_ERROR)
		return -EIO;
	e = NLMSG_DATA(h);
	return e->error == -ENOENT ? 0 : e->error; /* closed by itself meanwhile */
}

/* Attribute of a type inside [p, p+n), or NULL. */
static const struct rtattr *attribute(const void *p, size_t n, uint16_t type)
{
	const struct rtattr *a = p;
	unsigned int left = (unsigned int)n;

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

/* The sandbox's own storage of a dumped socket. */
static bool storage_of(const struct nlmsghdr *h, struct osh_sock *ret)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return false;
	a = attribute(m + 1, h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)), INET_DIAG_SK_BPF_STORAGES);
	if (a)
		a = attribute(RTA_DATA(a), RTA_PAYLOAD(a), SK_DIAG_BPF_STORAGE);
	if (a)
		a = attribute(RTA_DATA(a), RTA_PAYLOAD(a), SK_DIAG_BPF_STORAGE_MAP_VALUE);
	if (!a || RTA_PAYLOAD(a) < sizeof(*ret))
		return false;
	memcpy(ret, RTA_DATA(a), sizeof(*ret));
	return true;
}

static int ask_dump(int fd, int map, int family)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 q;
		struct rtattr nest;
		struct rtattr map;
		uint32_t fd;
	} d = {
		.h = {.nlmsg_len = sizeof(d), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.q = {.sdiag_family = (uint8_t)family,
		      .sdiag_protocol = IPPROTO_TCP,
		      .idiag_states = ~(1u << TCP_LISTEN | 1u << TCP_TIME_WAIT)},
		.nest = {.rta_len = RTA_LENGTH(RTA_LENGTH(sizeof(uint32_t))),
			 .rta_type = INET_DIAG_REQ_SK_BPF_STORAGES | NLA_F_NESTED},
		.map = {.rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = SK_DIAG_BPF_STORAGE_REQ_MAP_FD},
		.fd = (uint32_t)map,
	};

	return send(fd, &d, sizeof(d), 0) < 0 ? -errno : 0;
}

typedef int (*flow_fn)(void *arg, const struct inet_diag_msg *m, const struct osh_flow *f);

/* Calls fn for every connection of the sandbox in one family, proxied ones too. */
static int each_flow(struct kernel *k, int family, flow_fn fn, void *arg)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_cleanup_free_ char *buf = malloc(DUMP_BUFFER);
	int r;

	if (!buf)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	r = ask_dump(fd, kernel_map_fd(k, KMAP_SOCKS), family);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t got = recv(fd, buf, DUMP_BUFFER, 0);
		unsigned int left;

		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		left = (unsigned int)got;
		for (const struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			struct osh_sock s;

			if (h->nlmsg_type == NLMSG_DONE)
				return r;
			if (h->nlmsg_type == NLMSG_ERROR)
				return -EIO;
			if (!storage_of(h, &s) || !s.flow.gen)
				continue;
			if (r == 0)
				r = fn(arg, NLMSG_DATA(h), &s.flow);
		}
	}
}

struct revocation {
	struct kernel *kernel;
	const struct image *img;
	revoke_fn fn;
	void *arg;
	int kill_fd;
	int closed;
	int error; /* the first; the others are closed all the same */
};

static int judge(void *arg, const struct inet_diag_msg *m, const struct osh_flow *f)
{
	struct revocation *v = arg;
	int r;

	if (f->kind != OSH_FLOW_NATIVE || admitted(v->kernel, v->img, f))
		return 0;
	r = destroy(v->kill_fd, m);
	if (r < 0) {
		v->error = v->error ? v->error : r;
		return 0;
	}
	v->closed++;
	if (v->fn)
		v->fn(v->arg, f);
	return 0;
}

int revoke_natives(struct kernel *k, const struct image *img, revoke_fn fn, void *arg)
{
	struct revocation v = {.kernel = k, .img = img, .fn = fn, .arg = arg};
	_cleanup_close_ int kill_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int r, r6;

	if (kill_fd < 0)
		return -errno;
	v.kill_fd = kill_fd;
	r = each_flow(k, AF_INET, judge, &v);
	r6 = each_flow(k, AF_INET6, judge, &v);
	if (r == 0)
		r = r6;
	if (r == 0)
		r = v.error;
	return r < 0 ? r : v.closed;
}

static int count(void *arg, const struct inet_diag_msg *m, const struct osh_flow *f)
{
	(void)m;
	*(size_t *)arg += f->kind == OSH_FLOW_NATIVE;
	return 0;
}

size_t count_natives(struct kernel *k)
{
	size_t n = 0;

	(void)each_flow(k, AF_INET, count, &n);
	(void)each_flow(k, AF_INET6, count, &n);
	return n;
}

struct flow_visitor {
	revoke_fn fn;
	void *arg;
};

static int visit(void *arg, const struct inet_diag_msg *m, const struct osh_flow *f)
{
	const struct flow_visitor *v = arg;

	(void)m;
	v->fn(v->arg, f);
	return 0;
}

int visit_flows(struct kernel *k, revoke_fn fn, void *arg)
{
	struct flow_visitor v = {fn, arg};
	int r = each_flow(k, AF_INET, visit, &v);

	if (r == 0)
		r = each_flow(k, AF_INET6, visit, &v);
	return r;
}
