/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.c - the sandbox's DNS server: who asks for what, and what the answer may cost.
 *
 * A question takes one of three ways, by what the policy in force says about the process that asks:
 *
 *   no block allows the name for it     a synthetic address, nothing else: no packet leaves, and
 *                                       connect() denies
 *   only endpoints that need the proxy  a synthetic address at once; the proxy resolves the name
 *                                       for an allowed request
 *   natively                            resolved, every address checked, pinned in the map, then
 *                                       answered
 *
 * Only the third way sends anything upstream.  Answers carry synthetic addresses in every case, so
 * that connect() knows the name.  Real addresses reach the kernel only through pins, and pins only
 * through image_address_allowed().
 *
 * Pins of a name that is in use are looked up again when their time is up, for the process that
 * asked last.
 */
#include "proxy/resolver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <utlist.h>

#include "proxy/dns.h"
#include "proxy/dns_tcp.h"
#include "proxy/hosts.h"
#include "proxy/lookup.h"
#include "proxy/names.h"

#define ANSWER_TTL 60		/* seconds; the address is stable, this only bounds caches */
#define PENDING_MAX 1024	/* questions that wait for upstream */
#define PENDING_PER_PID 64
#define UDP_BATCH 64		/* datagrams taken in one turn */
#define UDP_SIZE 4096		/* a longer one is dropped */
#define TICK_MS 5000
#define REFRESH_PER_TICK 32
#define NS_PER_S 1000000000ull
#define REFRESH_AGAIN_NS (30 * NS_PER_S) /* after a failure, or while the name is not in use */
#define PIN_GRACE_NS (600 * NS_PER_S)	 /* pins hold this much longer than their TTL */
#define IN_USE_NS (600 * NS_PER_S)	 /* connected to this lately: refreshed */

/* Who asked, and the way back. */
struct asker {
	struct osh_dns_client client;
	struct dns_tcp_conn *tcp; /* NULL: UDP */
	int fd;
	socklen_t len;
	struct sockaddr_storage addr;
};

/* A question that waits for upstream. */
struct pending {
	struct pending *prev, *next;
	struct resolver *r;
	struct lookup_wait *wait;
	struct asker asker;
	struct dns_query q;
};

/* A look-up that renews pins; name->refresh points here. */
struct refresh {
	struct resolver *r;
	struct name *name;
	struct lookup_wait *wait;
};

struct resolve_query {
	struct lookup_wait *wait;
	resolve_fn cb;
	void *arg;
};

struct udp {
	struct resolver *r;
	struct loop_watch watch;
	int fd;
};

struct resolver {
	struct loop *loop;
	struct images *images;
	struct resolver_maps_bpf bpf;
	struct resolver_maps maps;
	resolver_refused_fn on_refused;
	void *on_refused_arg;
	struct udp udp[2];
	struct names *names;
	struct lookup *lookup;
	struct dns_tcp *tcp;
	struct pending *pending;
	size_t npending;
	struct loop_timer tick;
};

/* ----------------------------------------------------------------------------------- judging -- */

struct judgement {
	struct image_view view; /* gen 0: no policy, nothing allowed */
	struct block_bits bits;
	bool native;
	enum names_tier tier;
};

static struct block_bits everybody(void)
{
	struct block_bits b;

	memset(&b, 0xff, sizeof(b));
	return b;
}

static bool allowed_for_somebody(void *arg, struct slice name)
{
	const struct image_view *v = arg;
	struct block_bits all = everybody();
	struct name_decision d = {0};

	if (v->gen)
		image_decide_name(v->img, &all, name, &d);
	return d.any;
}

/* id NULL: an asker without identity. */
static struct judgement judge(struct resolver *r, const struct osh_ident *id, struct slice name)
{
	struct judgement j = {.view = images_current(r->images)};
	struct name_decision d = {0};

	if (j.view.gen && id) {
		images_ident_bits(r->images, j.view, id, &j.bits);
		image_decide_name(j.view.img, &j.bits, name, &d);
	}
	j.native = d.native;
	if (d.any)
		j.tier = NAMES_ALLOWED;
	else
		j.tier = allowed_for_somebody(&j.view, name) ? NAMES_POLICY : NAMES_UNKNOWN;
	return j;
}

static struct judgement judge_client(struct resolver *r, const struct osh_dns_client *c,
				     struct slice name)
{
	return judge(r, c->has_id ? &c->id : NULL, name);
}

/* --------------------------------------------------------------------------------- answering -- */

static struct slice question_name(const struct dns_query *q)
{
	return (struct slice){(const uint8_t *)q->name, q->name_n};
}

static void respond(const struct asker *a, const struct dns_query *q, enum dns_rcode rcode,
		    const struct dns_record *rr)
{
	uint8_t buf[DNS_ANSWER_MAX];
	size_t n = dns_answer(q, rcode, rr, buf);

	/* A datagram that finds no room is lost, as on any network: the asker asks again. */
	if (a->tcp)
		dns_tcp_answer(a->tcp, (struct slice){buf, n});
	else
		(void)sendto(a->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL,
			     (const struct sockaddr *)&a->addr, a->len);
}

static void respond_empty(const struct asker *a, const struct dns_query *q)
{
	respond(a, q, DNS_NOERROR, NULL);
}

static void respond_address(const struct asker *a, const struct dns_query *q, const void *addr,
			    size_t n)
{
	struct dns_record rr = {q->type, ANSWER_TTL, {addr, n}};

	respond(a, q, DNS_NOERROR, &rr);
}

/* RFC 6761: loopback, which is the sandbox's own. */
static void answer_localhost(const struct asker *a, const struct dns_query *q)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};

	if (q->type == DNS_TYPE_A)
		respond_address(a, q, v4, sizeof(v4));
	else if (q->type == DNS_TYPE_AAAA)
		respond_address(a, q, v6, sizeof(v6));
	else
		respond_empty(a, q);
}

static bool is_ptr_of_loopback6(struct slice name)
{
	return slice_eq_str(name, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
				  "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa");
}

/* The name behind a synthetic address, localhost, or nothing: other addresses are nobody's
 * business here. */
static struct slice reverse_name(struct resolver *r, struct slice name)
{
	uint32_t addr = 0;

	if (is_ptr_of_loopback6(name))
		return SLICE_LIT("localhost");
	if (dns_parse_ptr4(name, &addr) < 0)
		return (struct slice){0};
	if (addr >> 24 == 127)
		return SLICE_LIT("localhost");
	return resolver_name(r, htonl(addr));
}

static bool is_reverse(struct slice name)
{
	static const struct slice tail = SLICE_LIT(".arpa");

	return name.n > tail.n && memcmp(name.p + name.n - tail.n, tail.p, tail.n) == 0;
}

static void answer_ptr(struct resolver *r, const struct asker *a, const struct dns_query *q)
{
	uint8_t wire[DNS_NAME_WIRE_MAX];
	struct dns_record rr = {DNS_TYPE_PTR, ANSWER_TTL, {wire, 0}};

	rr.rdata.n = dns_name_to_wire(reverse_name(r, question_name(q)), wire);
	if (rr.rdata.n)
		respond(a, q, DNS_NOERROR, &rr);
	else
		respond(a, q, DNS_NXDOMAIN, NULL);
}

/* The name's synthetic address, without a look-up. */
static void answer_synthetic(struct resolver *r, const struct asker *a, const struct dns_query *q,
			     enum names_tier tier)
{
	struct name *n;

	if (q->type != DNS_TYPE_A)
		respond_empty(a, q);
	else if (names_get(r->names, question_name(q), tier, loop_now(r->loop), &n) < 0)
		respond(a, q, DNS_SERVFAIL, NULL);
	else
		respond_address(a, q, &n->addr, sizeof(n->addr));
}

/* -------------------------------------------------------------------------------------- pins -- */

static bool allowed_for_all(void *arg, struct slice name, uint8_t family, const uint8_t addr[16])
{
	const struct image_view *v = arg;
	struct block_bits all = everybody();
	enum osh_addr_class class;

	return image_address_allowed(v->img, &all, name, 0, family, addr, &class);
}

/* The first address that these blocks may not reach under the name; NULL: all pass. */
static const struct resolved_addr *find_refused(const struct judgement *j, struct slice name,
						const struct resolved *res,
						enum osh_addr_class *ret_class)
{
	for (size_t i = 0; i < res->n; i++)
		if (!image_address_allowed(j->view.img, &j->bits, name, 0, res->a[i].family,
					   res->a[i].addr, ret_class))
			return &res->a[i];
	return NULL;
}

/* Pins hold for every process, so an address is pinned only if all blocks that let somebody
 * reach the name natively admit it: a private address that one block names exactly must not come
 * to those who have the name from another block's wildcard. */
static bool all_blocks_agree(const struct image_view *v, struct slice name, uint8_t family,
			     const uint8_t addr[16])
{
	for (uint32_t b = 0; b < v->img->hdr->nblocks; b++) {
		struct block_bits one = {0};
		enum osh_addr_class class;
		struct name_decision d;

		one.w[b / 64] = 1ull << (b % 64);
		image_decide_name(v->img, &one, name, &d);
		if (d.native &&
		    !image_address_allowed(v->img, &one, name, 0, family, addr, &class))
			return false;
	}
	return true;
}

static bool all_blocks_agree_on(const struct image_view *v, struct slice name,
				const struct resolved *res)
{
	for (size_t i = 0; i < res->n; i++)
		if (!all_blocks_agree(v, name, res->a[i].family, res->a[i].addr))
			return false;
	return true;
}

/* As if never resolved: the kernel turns connections to the proxy, which checks each for its own
 * blocks. */
static int leave_to_proxy(struct resolver *r, struct name *n)
{
	n->refresh_at = 0;
	return n->npins || n->expires ? names_unpin(r->names, n) : 0;
}

/* An address that nobody may have takes all pins out: who answers so is not to be trusted about
 * the rest.  One that only this asker may not have leaves the others what they have. */
static int refuse(struct resolver *r, struct name *n, const struct judgement *j,
		  const struct resolved_addr *bad, uint64_t until)
{
	struct image_view v = j->view;

	if (allowed_for_all(&v, name_slice(n), bad->family, bad->addr))
		return n->npins ? 0 : leave_to_proxy(r, n);
	n->refresh_at = 0;
	if (n->npins == 0 && n->expires == until)
		return 0; /* the same answer, from the cache */
	return names_refuse(r->names, n, bad, until);
}

/* Checks res and pins it to n, or refuses it. client is told to the log. */
static int check_and_pin(struct resolver *r, struct name *n, const struct judgement *j,
			 const struct osh_dns_client *client, const struct resolved *res)
{
	uint64_t until = res->expires + PIN_GRACE_NS;
	struct image_view next = images_next(r->images);
	enum osh_addr_class class;
	const struct resolved_addr *bad = find_refused(j, name_slice(n), res, &class);
	int err;

	if (bad) {
		if (r->on_refused)
			r->on_refused(r->on_refused_arg, client, name_slice(n), bad->family,
				      bad->addr, class);
		return refuse(r, n, j, bad, until);
	}
	if (n->npins && n->expires == until)
		return 0; /* the same answer, from the cache */
	if (!all_blocks_agree_on(&j->view, name_slice(n), res) ||
	    (next.gen && !all_blocks_agree_on(&next, name_slice(n), res)))
		return leave_to_proxy(r, n);
	err = names_pin(r->names, n, res, until, loop_now(r->loop));
	if (err == 0)
		n->refresh_at = res->expires;
	return err;
}

/* ------------------------------------------------------------------------------ native names -- */

static void answer_pinned(struct resolver *r, const struct asker *a, const struct dns_query *q,
			  const struct judgement *j, const struct resolved *res)
{
	struct name *n;

	if (names_get(r->names, question_name(q), j->tier, loop_now(r->loop), &n) < 0) {
		respond(a, q, DNS_SERVFAIL, NULL);
		return;
	}
	n->asker = a->client.id;
	n->has_asker = true;
	if (check_and_pin(r, n, j, &a->client, res) < 0)
		respond(a, q, DNS_SERVFAIL, NULL);
	else
		respond_address(a, q, &n->addr, sizeof(n->addr));
}

/* With the result of the look-up.  The policy may have changed since the question: judged again. */
static void answer_resolved(struct resolver *r, const struct asker *a, const struct dns_query *q,
			    int error, const struct resolved *res)
{
	struct judgement j = judge_client(r, &a->client, question_name(q));

	if (!j.native)
		answer_synthetic(r, a, q, j.tier);
	else if (error == -ENOENT)
		respond(a, q, DNS_NXDOMAIN, NULL);
	else if (error == -ENODATA)
		respond_empty(a, q);
	else if (error)
		respond(a, q, DNS_SERVFAIL, NULL);
	else if (q->type != DNS_TYPE_A)
		respond_empty(a, q);
	else
		answer_pinned(r, a, q, &j, res);
}

static void pending_free(struct pending *p)
{
	lookup_cancel(p->wait);
	DL_DELETE(p->r->pending, p);
	p->r->npending--;
	free(p);
}

static void on_looked_up(void *arg, int error, const struct resolved *res)
{
	struct pending *p = arg;

	p->wait = NULL;
	answer_resolved(p->r, &p->asker, &p->q, error, res);
	pending_free(p);
}

static bool may_wait(const struct resolver *r, uint32_t pid)
{
	const struct pending *p;
	unsigned same = 0;

	DL_FOREACH(r->pending, p)
		same += p->asker.client.pid == pid;
	return r->npending < PENDING_MAX && same < PENDING_PER_PID;
}

static int wait_for_upstream(struct resolver *r, const struct asker *a, const struct dns_query *q)
{
	struct pending *p;
	int err;

	if (!may_wait(r, a->client.pid))
		return -EAGAIN;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->r = r;
	p->asker = *a;
	p->q = *q;
	err = lookup_start(r->lookup, question_name(q), on_looked_up, p, &p->wait);
	if (err < 0) {
		free(p);
		return err;
	}
	DL_APPEND(r->pending, p);
	r->npending++;
	return 0;
}

static void answer_native(struct resolver *r, const struct asker *a, const struct dns_query *q)
{
	struct resolved res;
	int error;

	if (lookup_known(r->lookup, question_name(q), &error, &res))
		answer_resolved(r, a, q, error, &res);
	else if (wait_for_upstream(r, a, q) < 0)
		respond(a, q, DNS_SERVFAIL, NULL);
}

/* --------------------------------------------------------------------------------- questions -- */

static void answer_question(struct resolver *r, const struct asker *a, const struct dns_query *q)
{
	struct slice name = question_name(q);
	struct judgement j;

	if (!q->plain) {
		respond(a, q, DNS_NXDOMAIN, NULL); /* no policy and no pool can hold such a name */
	} else if (name.n == 0) {
		respond_empty(a, q); /* the root */
	} else if (dns_name_is_localhost(name)) {
		answer_localhost(a, q);
	} else if (q->type == DNS_TYPE_PTR && is_reverse(name)) {
		answer_ptr(r, a, q);
	} else if (q->type != DNS_TYPE_A && q->type != DNS_TYPE_AAAA) {
		respond_empty(a, q);
	} else {
		j = judge_client(r, &a->client, name);
		if (j.native)
			answer_native(r, a, q);
		else
			answer_synthetic(r, a, q, j.tier);
	}
}

static void take_packet(struct resolver *r, const struct asker *a, struct slice packet)
{
	struct dns_query q;
	int rcode = dns_parse_query(packet, &q);

	if (rcode > 0)
		respond(a, &q, (enum dns_rcode)rcode, NULL);
	else if (rcode == 0)
		answer_question(r, a, &q);
	else if (a->tcp)
		dns_tcp_drop(a->tcp);
}

/* Leaves the client without identity when the kernel has no record of the socket. */
static void find_client(struct resolver *r, struct asker *a)
{
	struct osh_flow_key key = {0};

	if (a->addr.ss_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)&a->addr;

		key.addr[10] = key.addr[11] = 0xff;
		memcpy(key.addr + 12, &sin->sin_addr, 4);
		key.port = ntohs(sin->sin_port);
	} else {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&a->addr;

		memcpy(key.addr, &sin6->sin6_addr, 16);
		key.port = ntohs(sin6->sin6_port);
	}
	if (r->maps.ops->client(r->maps.arg, &key, &a->client) < 0)
		a->client = (struct osh_dns_client){0};
}

static void on_udp(struct loop_watch *w, uint32_t events)
{
	struct udp *u = w->arg;
	uint8_t buf[UDP_SIZE];

	(void)events;
	for (int i = 0; i < UDP_BATCH; i++) {
		struct asker a = {.fd = u->fd, .len = sizeof(a.addr)};
		ssize_t n = recvfrom(u->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&a.addr, &a.len);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (size_t)n > sizeof(buf))
			continue; /* an error of an earlier send, or longer than any query */
		find_client(u->r, &a);
		take_packet(u->r, &a, (struct slice){buf, (size_t)n});
	}
}

static void on_tcp_message(void *arg, struct dns_tcp_conn *c, const struct osh_dns_client *client,
			   struct slice packet)
{
	struct asker a = {.client = *client, .tcp = c, .fd = -1};

	take_packet(arg, &a, packet);
}

static void on_tcp_gone(void *arg, struct dns_tcp_conn *c)
{
	struct resolver *r = arg;
	struct pending *p, *next;

	DL_FOREACH_SAFE(r->pending, p, next)
		if (p->asker.tcp == c)
			pending_free(p);
}

void resolver_accept_tcp(struct resolver *r, int fd, const struct osh_flow *flow)
{
	struct osh_dns_client client = {.id = flow->id, .pid = flow->pid, .has_id = 1};

	dns_tcp_accept(r->tcp, fd, &client);
}

/* ----------------------------------------------------------------------------------- refresh -- */

static void on_refreshed(void *arg, int error, const struct resolved *res)
{
	struct refresh *f = arg;
	struct resolver *r = f->r;
	struct name *n = f->name;
	struct osh_dns_client client = {.id = n->asker, .has_id = n->has_asker};
	struct judgement j = judge(r, &n->asker, name_slice(n));

	n->refresh = NULL;
	free(f);
	n->refresh_at = loop_now(r->loop) + REFRESH_AGAIN_NS;
	if (!n->has_asker && j.view.gen) {
		/* Pinned before a restart: who asked is not known any more. */
		struct name_decision d;

		j.bits = everybody();
		image_decide_name(j.view.img, &j.bits, name_slice(n), &d);
		j.native = d.native;
	}
	if (error == 0 && j.native)
		(void)check_and_pin(r, n, &j, &client, res);
}

static void refresh_start(struct resolver *r, struct name *n)
{
	struct refresh *f = calloc(1, sizeof(*f));

	if (!f)
		return;
	f->r = r;
	f->name = n;
	if (lookup_start(r->lookup, name_slice(n), on_refreshed, f, &f->wait) < 0)
		free(f);
	else
		n->refresh = f;
}

/* true: a look-up was started. */
static bool refresh_if_used(struct resolver *r, struct name *n, uint64_t now)
{
	uint64_t connected;

	if (!n->refresh_at || n->refresh_at > now || n->refresh)
		return false;
	if (n->npins == 0 || n->expires <= now) {
		n->refresh_at = 0; /* run out unused: the next question starts anew */
		return false;
	}
	n->refresh_at = now + REFRESH_AGAIN_NS;
	connected = names_connected(r->names, n);
	if (connected == 0 || connected + IN_USE_NS <= now)
		return false;
	refresh_start(r, n);
	return n->refresh;
}

static void on_tick(struct loop_timer *t)
{
	struct resolver *r = t->arg;
	uint64_t now = loop_now(r->loop);
	unsigned started = 0;

	names_reap(r->names);
	for (struct name *n = names_next(r->names, NULL); n && started < REFRESH_PER_TICK;
	     n = names_next(r->names, n))
		started += refresh_if_used(r, n, now);
	loop_timer_set(r->loop, &r->tick, TICK_MS, on_tick, r);
}

static void refresh_cancel(struct name *n)
{
	if (!n->refresh)
		return;
	lookup_cancel(n->refresh->wait);
	free(n->refresh);
	n->refresh = NULL;
}

/* ------------------------------------------------------------------------------------ reload -- */

struct rejudging {
	struct image_view *view;
	bool disputed; /* a pin that somebody may have, but not all blocks agree on */
};

static bool keep_pin(void *arg, struct slice name, uint8_t family, const uint8_t addr[16])
{
	struct rejudging *j = arg;

	if (!allowed_for_all(j->view, name, family, addr))
		return false;
	j->disputed |= !all_blocks_agree(j->view, name, family, addr);
	return true;
}

static void rejudge_pins(struct resolver *r, struct name *n, struct image_view *v)
{
	struct block_bits all = everybody();
	struct rejudging j = {.view = v};
	struct name_decision d;

	image_decide_name(v->img, &all, name_slice(n), &d);
	if (n->npins && d.native) {
		(void)names_filter(r->names, n, keep_pin, &j);
		if (!j.disputed)
			return;
	}
	/* Also what was refused before: the new policy may see it otherwise. */
	(void)leave_to_proxy(r, n);
}

static bool note_pin(void *arg, struct slice name, uint8_t family, const uint8_t addr[16])
{
	struct rejudging *j = arg;

	j->disputed |= !all_blocks_agree(j->view, name, family, addr);
	return true;
}

void resolver_policy_coming(struct resolver *r)
{
	struct image_view v = images_next(r->images);

	for (struct name *n = v.gen ? names_next(r->names, NULL) : NULL; n; n = names_next(r->names, n)) {
		struct rejudging j = {.view = &v};

		if (n->npins)
			(void)names_filter(r->names, n, note_pin, &j);
		/* What was refused may be allowed then. */
		if (j.disputed || (n->npins == 0 && n->expires))
			(void)leave_to_proxy(r, n);
	}
}

void resolver_policy_changed(struct resolver *r)
{
	struct image_view v = images_current(r->images);

	if (v.gen == 0)
		return; /* no policy: the kernel denies everything anyway */
	names_retier(r->names, allowed_for_somebody, &v);
	for (struct name *n = names_next(r->names, NULL); n; n = names_next(r->names, n))
		rejudge_pins(r, n, &v);
}

/* ----------------------------------------------------------------------------- for the proxy -- */

struct slice resolver_name(struct resolver *r, uint32_t synthetic)
{
	struct name *n = names_find_addr(r->names, synthetic);

	return n ? name_slice(n) : (struct slice){0};
}

void resolver_hold(struct resolver *r, uint32_t synthetic)
{
	struct name *n = names_find_addr(r->names, synthetic);

	if (n)
		names_hold(n);
}

void resolver_release(struct resolver *r, uint32_t synthetic)
{
	struct name *n = names_find_addr(r->names, synthetic);

	if (n)
		names_release(n, loop_now(r->loop));
}

static void on_resolved(void *arg, int error, const struct resolved *res)
{
	struct resolve_query *q = arg;

	q->cb(q->arg, error == -ENODATA ? -ENOENT : error, res);
	free(q);
}

int resolve_start(struct resolver *r, struct slice name, resolve_fn cb, void *arg,
		  struct resolve_query **ret)
{
	char folded[DNS_NAME_TEXT_MAX + 1];
	size_t n = dns_name_fold(name, folded);
	struct resolve_query *q;
	int err;

	if (n == 0)
		return -EINVAL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->cb = cb;
	q->arg = arg;
	err = lookup_start(r->lookup, (struct slice){(uint8_t *)folded, n}, on_resolved, q,
			   &q->wait);
	if (err < 0) {
		free(q);
		return err;
	}
	*ret = q;
	return 0;
}

void resolve_cancel(struct resolve_query *q)
{
	if (!q)
		return;
	lookup_cancel(q->wait);
	free(q);
}

/* ----------------------------------------------------------------------------- start and end -- */

static int open_udp(struct resolver *r, struct udp *u)
{
	u->r = r;
	if (u->fd < 0)
		return 0;
	return loop_add(r->loop, &u->watch, u->fd, EPOLLIN, on_udp, u);
}

static int open_lookup(struct resolver *r, const struct wire_hello *hello, int fd)
{
	struct hosts *hosts;
	int err = fd < 0 ? hosts_parse((struct slice){0}, &hosts) : hosts_read(fd, &hosts);

	if (err < 0)
		return err;
	err = lookup_new(r->loop, hello, hosts, &r->lookup);
	if (err < 0)
		hosts_free(hosts);
	return err;
}

static int open_all(struct resolver *r, const struct resolver_config *c)
{
	const struct dns_tcp_handler h = {on_tcp_message, on_tcp_gone, r};
	int err = open_lookup(r, c->hello, c->hosts);

	if (err == 0)
		err = names_new(r->maps, loop_now(r->loop), &r->names);
	if (err == 0)
		err = dns_tcp_new(r->loop, &h, &r->tcp);
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(r->udp); i++)
		err = open_udp(r, &r->udp[i]);
	return err;
}

int resolver_new(const struct resolver_config *c, struct resolver **ret)
{
	_cleanup_close_ int hosts = c->hosts;
	struct resolver *r = calloc(1, sizeof(*r));
	int fds[] = {c->udp4, c->udp6, c->map_names, c->map_dns_clients}, err;

	(void)hosts;
	if (!r) {
		for (size_t i = 0; i < ARRAY_LEN(fds); i++)
			closep(&fds[i]);
		return -ENOMEM;
	}
	r->loop = c->loop;
	r->images = c->images;
	r->udp[0] = (struct udp){.fd = c->udp4, .watch.fd = -1};
	r->udp[1] = (struct udp){.fd = c->udp6, .watch.fd = -1};
	r->bpf = (struct resolver_maps_bpf){c->map_names, c->map_dns_clients};
	r->maps = c->maps ? *c->maps : (struct resolver_maps){&resolver_maps_bpf_ops, &r->bpf};
	r->on_refused = c->on_refused;
	r->on_refused_arg = c->on_refused_arg;
	err = open_all(r, c);
	if (err < 0) {
		resolver_free(r);
		return err;
	}
	loop_timer_set(r->loop, &r->tick, TICK_MS, on_tick, r);
	resolver_policy_changed(r);
	*ret = r;
	return 0;
}

struct resolver *resolver_free(struct resolver *r)
{
	struct pending *p, *next;

	if (!r)
		return NULL;
	loop_timer_stop(r->loop, &r->tick);
	dns_tcp_free(r->tcp);
	DL_FOREACH_SAFE(r->pending, p, next)
		pending_free(p);
	for (struct name *n = r->names ? names_next(r->names, NULL) : NULL; n;
	     n = names_next(r->names, n))
		refresh_cancel(n);
	lookup_free(r->lookup);
	names_free(r->names);
	for (size_t i = 0; i < ARRAY_LEN(r->udp); i++) {
		loop_del(r->loop, &r->udp[i].watch);
		closep(&r->udp[i].fd);
	}
	closep(&r->bpf.names);
	closep(&r->bpf.dns_clients);
	free(r);
	return NULL;
}
