/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revoke.c - re-judging native connections, and closing them (revoke.h).
 *
 * The table is keyed by socket cookie; sock_diag(7) knows the cookie too.  A socket is destroyed through inet_diag
 * (net/ipv4/inet_diag.c, SOCK_DESTROY): the program sees ECONNABORTED, the peer a reset.
 */
#include "user/revoke.h"

#include <bpf/bpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define REVOKE_ROUNDS 3

void ident_bits(const struct kernel *k, const struct image *img, const struct osh_ident *id, struct block_bits *ret)
{
	char text[2 + OSH_ANCESTORS_MAX][OSH_PATH_MAX];
	struct slice anc[OSH_ANCESTORS_MAX];
	struct ident_paths p = {.anc = anc, .tainted = id->taint != 0};

	kernel_path(k, id->exe, text[0]);
	kernel_path(k, id->script, text[1]);
	p.exe = slice_str(text[0]);
	p.script = slice_str(text[1]);
	for (uint32_t i = 0; i < id->nanc && i < OSH_ANCESTORS_MAX; i++) {
		if (kernel_path(k, id->anc[i], text[2 + i]) == 0)
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

struct victim {
	uint64_t cookie;
	struct osh_flow flow;
	bool gone;
};

static int collect(struct kernel *k, const struct image *img, struct victim **ret, size_t *ret_n)
{
	int fd = kernel_map_fd(k, KMAP_NATIVES), r;
	struct victim *v = NULL;
	uint64_t key, next;
	size_t n = 0, cap = 0;

	for (r = bpf_map_get_next_key(fd, NULL, &next); r == 0; r = bpf_map_get_next_key(fd, &key, &next)) {
		struct osh_flow f;

		key = next;
		if (bpf_map_lookup_elem(fd, &key, &f) < 0)
			continue;
		if (admitted(k, img, &f))
			continue;
		if (n == cap) {
			struct victim *w = realloc(v, (cap ? cap * 2 : 64) * sizeof(*v));

			if (!w) {
				free(v);
				return -ENOMEM;
			}
			v = w;
			cap = cap ? cap * 2 : 64;
		}
		v[n++] = (struct victim){.cookie = key, .flow = f};
	}
	*ret = v;
	*ret_n = n;
	return 0;
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
	return e->error;
}

static uint64_t cookie_of(const struct inet_diag_msg *m)
{
	return (uint64_t)m->id.idiag_cookie[0] | (uint64_t)m->id.idiag_cookie[1] << 32;
}

static int by_cookie(const void *a, const void *b)
{
	const struct victim *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* Dumps the TCP sockets of one family and destroys the victims among them. */
static int sweep_family(int family, struct victim *v, size_t n, size_t *found)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 q;
	} d = {
		.h = {.nlmsg_len = sizeof(d), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.q = {.sdiag_family = (uint8_t)family,
		      .sdiag_protocol = IPPROTO_TCP,
		      .idiag_states = ~(1u << TCP_LISTEN | 1u << TCP_TIME_WAIT)},
	};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_cleanup_close_ int kill_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_cleanup_free_ char *buf = malloc(32768);

	if (!buf)
		return -ENOMEM;
	if (fd < 0 || kill_fd < 0 || send(fd, &d, sizeof(d), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t got = recv(fd, buf, 32768, 0);
		unsigned int left;

		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		left = (unsigned int)got;
		for (const struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			const struct inet_diag_msg *m = NLMSG_DATA(h);
			struct victim key, *hit;

			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return -EIO;
			key.cookie = cookie_of(m);
			hit = bsearch(&key, v, n, sizeof(*v), by_cookie);
			if (!hit || hit->gone)
				continue;
			(*found)++;
			if (destroy(kill_fd, m) == 0)
				hit->gone = true;
		}
	}
}

int revoke_natives(struct kernel *k, const struct image *img, revoke_fn fn, void *arg)
{
	struct victim *v = NULL;
	size_t n = 0;
	int r = collect(k, img, &v, &n), count = 0;

	if (r < 0 || !n)
		return r;
	qsort(v, n, sizeof(*v), by_cookie);
	/* A socket may be between two states during a dump: look again until none is found. */
	for (int round = 0; round < REVOKE_ROUNDS; round++) {
		size_t found = 0;

		r = sweep_family(AF_INET, v, n, &found);
		if (r == 0)
			r = sweep_family(AF_INET6, v, n, &found);
		if (r < 0 || !found)
			break;
	}
	for (size_t i = 0; i < n; i++)
		if (v[i].gone) {
			count++;
			if (fn)
				fn(arg, &v[i].flow);
		}
	free(v);
	return r < 0 ? r : count;
}
