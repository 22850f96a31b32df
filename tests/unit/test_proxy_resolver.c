/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proxy_resolver.c - the resolver as a whole: real sockets on loopback, real policies, c-ares
 * against a small upstream server that the test controls (and one pass against dnsmasq), a table in
 * place of the kernel's maps, and a boot clock that the test can put forward.
 *
 * What it must show above all: nothing is asked upstream for a process that may not reach the name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <uthash.h>

#include "proxy/dns.h"
#include "proxy/names.h"
#include "proxy/resolver.h"

#define S 1000000000ull

/* --------------------------------------------------------------------------------- the clock -- */

static uint64_t clock_shift;

/* Takes the place of the C library's for the whole program. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t ns;

	if (syscall(SYS_clock_gettime, id, ts) < 0)
		return -1;
	if (id != CLOCK_BOOTTIME)
		return 0;
	ns = (uint64_t)ts->tv_sec * S + (uint64_t)ts->tv_nsec + clock_shift;
	ts->tv_sec = (time_t)(ns / S);
	ts->tv_nsec = (long)(ns % S);
	return 0;
}

static uint64_t boot_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * S + (uint64_t)ts.tv_nsec;
}

/* ---------------------------------------------------------------------------------- the maps -- */

struct slot {
	UT_hash_handle hh;
	uint32_t key;
	struct osh_name v;
};

#define SOCKETS 4
enum { CURL, GIT, NOBODY, STRANGER }; /* who a client socket belongs to; the last has no record */

struct env {
	struct loop *loop;
	struct images *images;
	struct resolver *r;
	uint64_t *current, gen;
	struct slot *slots;
	uint16_t dns_port, dns_port6;
	int sock[SOCKETS];
	uint16_t port[SOCKETS];
	int upstream;
	uint16_t upstream_port;
	struct loop_watch upstream_watch;
	unsigned asked; /* queries that reached upstream */
	unsigned refused;
	char refused_text[200];
	struct osh_flow_key last_key; /* asked for in dns_clients */
};

static struct slot *slot_of(struct env *e, uint32_t key)
{
	struct slot *s;

	HASH_FIND(hh, e->slots, &key, sizeof(key), s);
	return s;
}

static int t_next(void *arg, const uint32_t *key, uint32_t *ret)
{
	struct env *e = arg;
	struct slot *s = key ? slot_of(e, *key) : NULL;

	s = s ? s->hh.next : e->slots;
	if (!s)
		return -ENOENT;
	*ret = s->key;
	return 0;
}

static int t_get(void *arg, uint32_t key, struct osh_name *ret)
{
	struct slot *s = slot_of(arg, key);

	if (!s)
		return -ENOENT;
	*ret = s->v;
	return 0;
}

static int t_put(void *arg, uint32_t key, const struct osh_name *v)
{
	struct env *e = arg;
	struct slot *s = slot_of(e, key);

	if (!s) {
		s = calloc(1, sizeof(*s));
		assert_non_null(s);
		s->key = key;
		HASH_ADD(hh, e->slots, key, sizeof(key), s);
	}
	s->v = *v;
	return 0;
}

static int t_del(void *arg, uint32_t key)
{
	struct env *e = arg;
	struct slot *s = slot_of(e, key);

	if (!s)
		return -ENOENT;
	HASH_DEL(e->slots, s);
	free(s);
	return 0;
}

static int t_client(void *arg, const struct osh_flow_key *key, struct osh_dns_client *ret)
{
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
	struct env *e = arg;

	e->last_key = *key;
	if (memcmp(key->addr, mapped, 16) != 0)
		return -ENOENT;
	for (int i = 0; i < SOCKETS - 1; i++)
		if (key->port == e->port[i]) {
			*ret = (struct osh_dns_client){.pid = 100 + (uint32_t)i,
						       .has_id = i != NOBODY};
			ret->id.exe = 1 + (uint32_t)i;
			return 0;
		}
	return -ENOENT;
}

static const struct resolver_maps_ops ops = {t_next, t_get, t_put, t_del, t_client};

/* ---------------------------------------------------------------------------------- policies -- */

#define POLICY                                                                                     \
	"version: 1\n"                                                                             \
	"network_policies:\n"                                                                      \
	"  native:\n"                                                                              \
	"    endpoints:\n"                                                                         \
	"      - {host: api.example.com, port: 443}\n"                                             \
	"      - {host: '*.cdn.example.com', port: 443}\n"                                         \
	"    binaries: [{path: /usr/bin/curl}]\n"                                                  \
	"  corp:\n"                                                                                \
	"    endpoints: [{host: db.corp.example, port: 5432}]\n"                                   \
	"    binaries: [{path: /usr/bin/curl}]\n"                                                  \
	"  ranged:\n"                                                                              \
	"    endpoints: [{host: r.corp.example, port: 5432, allowed_ips: [10.1.0.0/16]}]\n"        \
	"    binaries: [{path: /usr/bin/curl}]\n"                                                  \
	"  rest:\n"                                                                                \
	"    endpoints: [{host: rest.example.com, port: 443, protocol: rest, access: "             \
	"read-only}]\n"                                                                            \
	"    binaries: [{path: /usr/bin/curl}]\n"                                                  \
	"  git:\n"                                                                                 \
	"    endpoints: [{host: git.example.com, port: 22}]\n"                                     \
	"    binaries: [{path: /usr/bin/git}]\n"

static int path_of(void *arg, uint32_t id, struct osh_path *ret)
{
	static const char *const paths[] = {"/usr/bin/curl", "/usr/bin/git", "/usr/bin/curl"};

	(void)arg;
	if (id == 0 || id > ARRAY_LEN(paths))
		return -ENOENT;
	*ret = (struct osh_path){.len = (uint32_t)strlen(paths[id - 1])};
	strcpy(ret->path, paths[id - 1]);
	return 0;
}

/* Mapped, not in force yet. */
static void announce_policy(struct env *e, const char *text)
{
	struct policy_diags diags = {0};
	struct policy *p = NULL;
	uint8_t *image = NULL;
	size_t n = 0;
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (policy_parse(slice_str(text), &diags, &p) < 0 ||
	    policy_compile(p, &diags, &image, &n) < 0) {
		policy_diags_print(&diags, "policy", stderr);
		fail();
	}
	assert_int_equal(write(fd, image, n), n);
	free(image);
	policy_free(p);
	policy_diags_done(&diags);
	e->gen++;
	assert_int_equal(images_add(e->images, e->gen, n, fd), 0);
}

static void load_policy(struct env *e, const char *text)
{
	announce_policy(e, text);
	*e->current = OSH_CURRENT(e->gen);
}

/* ------------------------------------------------------------------------------ the upstream -- */

struct zone {
	const char *name;
	const char *a[20], *aaaa[20];
	unsigned ttl;
	int rcode;
	bool drop, drop_aaaa;
	const char *cname;
	unsigned asked;
};

static struct zone zones[16];
static size_t nzones;

static struct zone *zone_add(const char *name, const char *a)
{
	struct zone *z = &zones[nzones++];

	assert_true(nzones <= ARRAY_LEN(zones));
	*z = (struct zone){.name = name, .a = {a}, .ttl = 60};
	return z;
}

static void be16(uint8_t **p, unsigned v)
{
	*(*p)++ = (uint8_t)(v >> 8);
	*(*p)++ = (uint8_t)v;
}

static void put_rr(uint8_t **p, unsigned owner, unsigned type, unsigned ttl, const void *d,
		   size_t n)
{
	be16(p, owner);
	be16(p, type);
	be16(p, 1);
	be16(p, ttl >> 16);
	be16(p, ttl & 0xffff);
	be16(p, (unsigned)n);
	memcpy(*p, d, n);
	*p += n;
}

static unsigned put_addresses(uint8_t **p, const struct zone *z, unsigned owner, bool v6)
{
	const char *const *v = v6 ? z->aaaa : z->a;
	unsigned n = 0;
	uint8_t b[16];

	for (; v[n]; n++) {
		assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, v[n], b), 1);
		put_rr(p, owner, v6 ? 28 : 1, z->ttl, b, v6 ? 16 : 4);
	}
	return n;
}

static size_t build_answer(const struct dns_query *q, struct zone *z, uint8_t *buf)
{
	uint8_t *p = buf, wire[DNS_NAME_WIRE_MAX];
	unsigned n = 0, owner = 0xc00c;

	be16(&p, q->id);
	be16(&p, 0x8180u | (z ? (unsigned)z->rcode : 3u));
	be16(&p, 1);
	be16(&p, 0);
	be16(&p, 0);
	be16(&p, 0);
	memcpy(p, q->question, q->question_n);
	p += q->question_n;
	if (z && z->cname) {
		size_t len = dns_name_to_wire(slice_str(z->cname), wire);

		owner = 0xc000u | (unsigned)(p - buf + 12);
		put_rr(&p, 0xc00c, 5, 5, wire, len);
		n++;
	}
	if (z && z->rcode == 0)
		n += put_addresses(&p, z, owner, q->type == 28);
	buf[7] = (uint8_t)n;
	return (size_t)(p - buf);
}

static void on_upstream(struct loop_watch *w, uint32_t events)
{
	struct env *e = w->arg;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t buf[4096];
	ssize_t n = recvfrom(e->upstream, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
	struct zone *z = NULL;
	struct dns_query q;
	size_t k;

	(void)events;
	assert_true(n > 0);
	assert_int_equal(dns_parse_query((struct slice){buf, (size_t)n}, &q), 0);
	assert_true(q.type == 1 || q.type == 28);
	e->asked++;
	for (size_t i = 0; i < nzones; i++)
		if (strcmp(zones[i].name, q.name) == 0)
			z = &zones[i];
	if (z)
		z->asked++;
	if (z && (z->drop || (z->drop_aaaa && q.type == 28)))
		return;
	k = build_answer(&q, z, buf);
	assert_int_equal(sendto(e->upstream, buf, k, 0, (struct sockaddr *)&from, len), k);
}

/* ------------------------------------------------------------------------------------ set-up -- */

static int udp_socket(uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* -1 where there is no IPv6. */
static int udp_socket6(uint16_t *ret_port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
		*ret_port = ntohs(a.sin6_port);
		return fd;
	}
	closep(&fd);
	return -1;
}

static int memfd_of(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void on_refused(void *arg, const struct osh_dns_client *c, struct slice name, uint8_t family,
		       const uint8_t addr[16], enum osh_addr_class class)
{
	char text[INET6_ADDRSTRLEN];
	struct env *e = arg;

	e->refused++;
	inet_ntop(family == 4 ? AF_INET : AF_INET6, addr, text, sizeof(text));
	snprintf(e->refused_text, sizeof(e->refused_text), "%u %.*s %s %d", c->pid, (int)name.n,
		 (const char *)name.p, text, (int)class);
}

static void start_resolver(struct env *e, uint16_t upstream_port, const char *hosts)
{
	struct resolver_maps maps = {&ops, e};
	struct wire_hello hello = {.nnameservers = upstream_port ? 1 : 0};
	struct resolver_config c = {
		.loop = e->loop,
		.images = e->images,
		.hello = &hello,
		.map_names = -1,
		.map_dns_clients = -1,
		.hosts = memfd_of(hosts),
		.on_refused = on_refused,
		.on_refused_arg = e,
		.maps = &maps,
	};

	hello.nameservers[0].family = 4;
	hello.nameservers[0].port = upstream_port;
	memcpy(hello.nameservers[0].addr, (uint8_t[]){127, 0, 0, 1}, 4);
	c.udp4 = udp_socket(&e->dns_port);
	c.udp6 = udp_socket6(&e->dns_port6);
	assert_int_equal(resolver_new(&c, &e->r), 0);
}

#define HOSTS                                                                                      \
	"10.0.0.9 db.corp.example\n93.0.0.77 HOSTED.cdn.example.com # static\n"                    \
	"127.0.0.1 bad.cdn.example.com\n"

static void setup_without_policy(struct env *e)
{
	uint64_t zero = 0;
	int cur = memfd_create("current", MFD_CLOEXEC);

	*e = (struct env){0};
	nzones = 0;
	assert_int_equal(loop_new(&e->loop), 0);
	assert_int_equal(ftruncate(cur, getpagesize()), 0);
	assert_int_equal(pwrite(cur, &zero, 8, 0), 8);
	e->current = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, cur, 0);
	assert_true(e->current != MAP_FAILED);
	assert_int_equal(images_new(cur, -1, &e->images), 0);
	images_set_lookup(e->images, path_of, NULL);
	for (int i = 0; i < SOCKETS; i++)
		e->sock[i] = udp_socket(&e->port[i]);
	e->upstream = udp_socket(&e->upstream_port);
	assert_int_equal(
		loop_add(e->loop, &e->upstream_watch, e->upstream, EPOLLIN, on_upstream, e), 0);
}

static void setup(struct env *e)
{
	setup_without_policy(e);
	load_policy(e, POLICY);
	start_resolver(e, e->upstream_port, HOSTS);
}

static void teardown(struct env *e)
{
	struct slot *s, *next;

	resolver_free(e->r);
	loop_del(e->loop, &e->upstream_watch);
	close(e->upstream);
	for (int i = 0; i < SOCKETS; i++)
		close(e->sock[i]);
	images_free(e->images);
	munmap(e->current, 4096);
	loop_free(e->loop);
	HASH_ITER(hh, e->slots, s, next) {
		HASH_DEL(e->slots, s);
		free(s);
	}
}

/* ------------------------------------------------------------------------------------ asking -- */

static void on_stop(struct loop_watch *w, uint32_t events)
{
	(void)events;
	loop_stop(w->arg);
}

static void on_stop_timer(struct loop_timer *t)
{
	loop_stop(t->arg);
}

/* Until fd is readable (true), or ms have passed. */
static bool run_until(struct env *e, int fd, uint64_t ms)
{
	struct loop_watch w = {.fd = -1};
	struct loop_timer t = {0};
	bool readable;
	uint8_t b;

	if (fd >= 0)
		assert_int_equal(loop_add(e->loop, &w, fd, EPOLLIN, on_stop, e->loop), 0);
	loop_timer_set(e->loop, &t, ms, on_stop_timer, e->loop);
	assert_int_equal(loop_run(e->loop), 0);
	loop_del(e->loop, &w);
	loop_timer_stop(e->loop, &t);
	readable = fd >= 0 && recv(fd, &b, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
	return readable;
}

/* The loop keeps its time for a turn: it has to see the jump. */
static void advance(struct env *e, uint64_t seconds)
{
	clock_shift += seconds * S;
	run_until(e, -1, 0);
}

static void put_query(uint8_t **p, unsigned id, const char *name, unsigned type)
{
	uint8_t wire[DNS_NAME_WIRE_MAX];
	size_t n = dns_name_to_wire(slice_str(name), wire);

	assert_true(n > 0);
	be16(p, id);
	be16(p, 0x0100);
	be16(p, 1);
	be16(p, 0);
	be16(p, 0);
	be16(p, 0);
	memcpy(*p, wire, n);
	*p += n;
	be16(p, type);
	be16(p, 1);
}

static void send_query(struct env *e, int who, unsigned id, const char *name, unsigned type)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(e->dns_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint8_t buf[512], *p = buf;

	put_query(&p, id, name, type);
	assert_int_equal(
		sendto(e->sock[who], buf, (size_t)(p - buf), 0, (struct sockaddr *)&to, sizeof(to)),
		p - buf);
}

struct reply {
	int rcode; /* -1: none came */
	unsigned id, answers;
	uint32_t a; /* first A record, network order */
	uint8_t rd[256];
	size_t rd_n;
};

static struct reply read_reply(const uint8_t *b, size_t n)
{
	struct reply r = {.rcode = b[3] & 15, .id = (unsigned)b[0] << 8 | b[1], .answers = b[7]};
	const uint8_t *p = b + 12;

	assert_true(n >= 12);
	while (*p)
		p += *p + 1;
	p += 5;
	if (r.answers) {
		r.rd_n = (size_t)p[10] << 8 | p[11];
		memcpy(r.rd, p + 12, r.rd_n);
		if (r.rd_n == 4)
			memcpy(&r.a, p + 12, 4);
	}
	return r;
}

static struct reply receive(struct env *e, int who, uint64_t ms)
{
	uint8_t buf[1024];
	ssize_t n;

	if (!run_until(e, e->sock[who], ms))
		return (struct reply){.rcode = -1};
	n = recv(e->sock[who], buf, sizeof(buf), 0);
	assert_true(n > 0);
	return read_reply(buf, (size_t)n);
}

static struct reply ask(struct env *e, int who, const char *name, unsigned type)
{
	struct reply r;

	send_query(e, who, 0x1234, name, type);
	r = receive(e, who, 8000);
	if (r.rcode >= 0)
		assert_int_equal(r.id, 0x1234);
	return r;
}

/* The synthetic address; fails the test if there is none. */
static uint32_t ask_a(struct env *e, int who, const char *name)
{
	struct reply r = ask(e, who, name, DNS_TYPE_A);

	assert_int_equal(r.rcode, 0);
	assert_int_equal(r.answers, 1);
	assert_int_equal(ntohl(r.a) & OSH_SYNTHETIC_MASK, OSH_SYNTHETIC_NET);
	return r.a;
}

/* "1.2.3.4 2001:db8::1" */
static void expect_pins(struct env *e, uint32_t addr, const char *want)
{
	struct slot *s = slot_of(e, addr);
	char got[400] = "", text[INET6_ADDRSTRLEN];

	assert_non_null(s);
	for (uint32_t i = 0; i < s->v.npins; i++) {
		inet_ntop(s->v.pins[i].family == 4 ? AF_INET : AF_INET6, s->v.pins[i].addr, text,
			  sizeof(text));
		if (i)
			strcat(got, " ");
		strcat(got, text);
	}
	assert_string_equal(got, want);
}

/* ---------------------------------------------------------------------------- tests: secrecy -- */

static void test_forbidden_names_never_leave(void **state)
{
	struct env e;
	uint32_t a;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	a = ask_a(&e, GIT, "api.example.com"); /* somebody may, git may not */
	assert_int_equal(ask_a(&e, GIT, "secret-data.evil.example") == a, 0);
	ask_a(&e, CURL, "api.example.com.evil.example");
	ask_a(&e, CURL, "git.example.com");
	ask_a(&e, NOBODY, "api.example.com");	/* curl, but without a valid record */
	ask_a(&e, STRANGER, "api.example.com"); /* not in the map at all */
	for (unsigned type = 1; type < 70; type++)
		if (type != 41)
			assert_int_equal(ask(&e, GIT, "api.example.com", type).rcode, 0);
	run_until(&e, -1, 50);
	assert_int_equal(e.asked, 0);
	assert_string_equal(slot_of(&e, a)->v.name, "api.example.com");
	assert_int_equal(slot_of(&e, a)->v.npins, 0);
	assert_int_equal(slot_of(&e, a)->v.expires, 0);
	teardown(&e);
}

static void test_no_policy_no_query(void **state)
{
	struct env e;

	(void)state;
	setup_without_policy(&e);
	start_resolver(&e, e.upstream_port, HOSTS);
	ask_a(&e, CURL, "api.example.com");
	resolver_policy_changed(e.r);
	assert_int_equal(e.asked, 0);
	teardown(&e);
}

/* A path id that is in no table: the caller matches nothing, whatever its other paths are. */
static void test_unknown_path(void **state)
{
	struct osh_ident id = {.exe = 1, .script = 2, .nanc = 2, .anc = {3, 2}};
	struct block_bits bits;
	struct env e;

	(void)state;
	setup_without_policy(&e);
	start_resolver(&e, e.upstream_port, HOSTS);
	load_policy(&e, "version: 1\nnetwork_policies:\n"
			"  all: {binaries: [{path: \"**\"}], endpoints: [{host: api.example.com, port: 443}]}\n");
	images_ident_bits(e.images, images_current(e.images), &id, &bits);
	assert_true(bits.w[0] == 1);
	for (int i = 0; i < 4; i++) {
		struct osh_ident gone = id;

		*(i == 0 ? &gone.exe : i == 1 ? &gone.script : &gone.anc[i - 2]) = 99;
		images_ident_bits(e.images, images_current(e.images), &gone, &bits);
		assert_true(bits.w[0] == 0);
	}
	teardown(&e);
}

static void test_other_types_never_leave(void **state)
{
	static const unsigned types[] = {2,  5,	 6,  10, 15, 16,  33,	35,
					 43, 48, 64, 65, 99, 256, 65280};
	struct env e;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct reply r = ask(&e, CURL, "api.example.com", types[i]);

		assert_int_equal(r.rcode, 0);
		assert_int_equal(r.answers, 0);
	}
	assert_int_equal(ask(&e, CURL, "api.example.com", 255).rcode, DNS_NOTIMP);
	assert_int_equal(ask(&e, CURL, "api.example.com", 252).rcode, DNS_NOTIMP);
	assert_int_equal(e.asked, 0);
	teardown(&e);
}

static void test_inspected_names_wait_for_a_request(void **state)
{
	struct env e;
	uint32_t a;

	(void)state;
	setup(&e);
	zone_add("rest.example.com", "93.0.0.1");
	a = ask_a(&e, CURL, "rest.example.com");
	assert_int_equal(e.asked, 0);
	assert_int_equal(slot_of(&e, a)->v.expires, 0);
	assert_int_equal(ask(&e, CURL, "rest.example.com", DNS_TYPE_AAAA).answers, 0);
	assert_int_equal(e.asked, 0);
	teardown(&e);
}

/* ----------------------------------------------------------------------------- tests: native -- */

static void test_native_name(void **state)
{
	struct env e;
	struct zone *z;
	uint64_t expires;
	uint32_t a;

	(void)state;
	setup(&e);
	z = zone_add("api.example.com", "93.0.0.1");
	z->a[1] = "93.0.0.2";
	z->aaaa[0] = "2a00:1450::1";
	z->ttl = 120;
	a = ask_a(&e, CURL, "API.example.com");
	expect_pins(&e, a, "93.0.0.1 93.0.0.2 2a00:1450::1");
	assert_string_equal(slot_of(&e, a)->v.name, "api.example.com");
	expires = slot_of(&e, a)->v.expires;
	assert_true(expires > boot_now() + 715 * S && expires <= boot_now() + 720 * S);
	assert_int_equal(e.asked, 2);
	/* From the cache: no query, the same address. */
	assert_int_equal(ask_a(&e, CURL, "api.EXAMPLE.com"), a);
	assert_int_equal(ask_a(&e, GIT, "api.example.com"), a);
	assert_int_equal(e.asked, 2);
	assert_int_equal(e.refused, 0);
	assert_true(slice_eq_str(resolver_name(e.r, a), "api.example.com"));
	assert_int_equal(resolver_name(e.r, htonl(0xc6130101)).n, 0);
	teardown(&e);
}

static void test_ttl_bounds(void **state)
{
	struct env e;
	struct zone *z;
	uint64_t expires;

	(void)state;
	setup(&e);
	z = zone_add("a.cdn.example.com", "93.0.0.1");
	z->ttl = 0;
	expires = slot_of(&e, ask_a(&e, CURL, "a.cdn.example.com"))->v.expires;
	assert_true(expires > boot_now() + 625 * S && expires <= boot_now() + 630 * S);
	z = zone_add("b.cdn.example.com", "93.0.0.1");
	z->ttl = 0x7fffffff;
	expires = slot_of(&e, ask_a(&e, CURL, "b.cdn.example.com"))->v.expires;
	assert_true(expires > boot_now() + 4195 * S && expires <= boot_now() + 4200 * S);
	teardown(&e);
}

static void test_aaaa_follows_a(void **state)
{
	struct env e;
	struct reply r;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	r = ask(&e, CURL, "api.example.com", DNS_TYPE_AAAA);
	assert_int_equal(r.rcode, 0);
	assert_int_equal(r.answers, 0);
	assert_int_equal(ask(&e, CURL, "none.cdn.example.com", DNS_TYPE_AAAA).rcode, DNS_NXDOMAIN);
	assert_int_equal(ask(&e, CURL, "none.cdn.example.com", DNS_TYPE_A).rcode, DNS_NXDOMAIN);
	assert_int_equal(e.asked, 4);
	teardown(&e);
}

static void test_upstream_errors_are_passed_on(void **state)
{
	struct env e;
	struct zone *z;
	struct reply r;

	(void)state;
	setup(&e);
	z = zone_add("fail.cdn.example.com", "93.0.0.1");
	z->rcode = 2;
	z = zone_add("refused.cdn.example.com", "93.0.0.1");
	z->rcode = 5;
	zone_add("empty.cdn.example.com", NULL);
	z = zone_add("bad.rcode.cdn.example.com", NULL);
	assert_int_equal(ask(&e, CURL, "none.cdn.example.com", 1).rcode, DNS_NXDOMAIN);
	assert_int_equal(ask(&e, CURL, "fail.cdn.example.com", 1).rcode, DNS_SERVFAIL);
	assert_int_equal(ask(&e, CURL, "refused.cdn.example.com", 1).rcode, DNS_SERVFAIL);
	r = ask(&e, CURL, "empty.cdn.example.com", 1);
	assert_int_equal(r.rcode, 0);
	assert_int_equal(r.answers, 0);
	assert_int_equal(HASH_COUNT(e.slots), 0); /* none of them needed an address */
	teardown(&e);
}

static void test_cname(void **state)
{
	struct env e;
	struct zone *z;
	uint32_t a;

	(void)state;
	setup(&e);
	z = zone_add("api.example.com", "93.0.0.1");
	z->cname = "elsewhere.example.net";
	a = ask_a(&e, CURL, "api.example.com");
	expect_pins(&e, a, "93.0.0.1");
	/* The CNAME's TTL of 5 counts, raised to the least. */
	assert_true(slot_of(&e, a)->v.expires <= boot_now() + 630 * S);
	teardown(&e);
}

static void test_only_ipv6(void **state)
{
	struct env e;
	struct zone *z;

	(void)state;
	setup(&e);
	z = zone_add("api.example.com", NULL);
	z->aaaa[0] = "2a00:1450::1";
	expect_pins(&e, ask_a(&e, CURL, "api.example.com"), "2a00:1450::1");
	teardown(&e);
}

static void test_dropped_aaaa_costs_a_second(void **state)
{
	struct env e;
	struct zone *z;
	uint64_t start = boot_now();

	(void)state;
	setup(&e);
	z = zone_add("api.example.com", "93.0.0.1");
	z->drop_aaaa = true;
	expect_pins(&e, ask_a(&e, CURL, "api.example.com"), "93.0.0.1");
	assert_true(boot_now() - start < 3 * S);
	teardown(&e);
}

static void test_timeout(void **state)
{
	struct env e;
	struct zone *z;
	uint64_t start = boot_now();

	(void)state;
	setup(&e);
	z = zone_add("api.example.com", "93.0.0.1");
	z->drop = true;
	assert_int_equal(ask(&e, CURL, "api.example.com", 1).rcode, DNS_SERVFAIL);
	assert_true(boot_now() - start > 3 * S && boot_now() - start < 7 * S);
	assert_true(e.asked >= 4); /* it did try again */
	teardown(&e);
}

static void test_questions_of_one_name_share_a_look_up(void **state)
{
	struct env e;
	unsigned n = 0;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	for (unsigned i = 0; i < 20; i++)
		send_query(&e, CURL, i, "api.example.com", 1);
	while (n < 20 && receive(&e, CURL, 2000).rcode == 0)
		n++;
	assert_int_equal(n, 20);
	assert_int_equal(e.asked, 2);
	teardown(&e);
}

static void test_one_process_cannot_take_all_look_ups(void **state)
{
	struct env e;
	char name[64];
	unsigned servfail = 0;

	(void)state;
	setup(&e);
	for (unsigned i = 0; i < 16; i++)
		zones[i] = (struct zone){0};
	zone_add("git.example.com", "93.0.0.1");
	loop_del(e.loop, &e.upstream_watch); /* upstream is silent for now */
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%u.cdn.example.com", i);
		send_query(&e, CURL, i, name, 1);
	}
	while (receive(&e, CURL, 200).rcode == DNS_SERVFAIL)
		servfail++;
	assert_int_equal(servfail, 100 - 64);
	assert_int_equal(loop_add(e.loop, &e.upstream_watch, e.upstream, EPOLLIN, on_upstream, &e),
			 0);
	ask_a(&e, GIT, "git.example.com");
	teardown(&e); /* with questions still waiting */
}

static void test_negative_answers_are_cached_and_expire(void **state)
{
	struct env e;

	(void)state;
	setup(&e);
	assert_int_equal(ask(&e, CURL, "late.cdn.example.com", 1).rcode, DNS_NXDOMAIN);
	assert_int_equal(ask(&e, CURL, "late.cdn.example.com", 1).rcode, DNS_NXDOMAIN);
	assert_int_equal(e.asked, 2);
	zone_add("late.cdn.example.com", "93.0.0.1");
	advance(&e, 31);
	ask_a(&e, CURL, "late.cdn.example.com");
	assert_int_equal(e.asked, 4);
	teardown(&e);
}

/* --------------------------------------------------------------------- tests: address checks -- */

static void expect_refused(struct env *e, const char *name, const char *addr,
			   enum osh_addr_class class)
{
	unsigned before = e->refused;
	uint32_t a = ask_a(e, CURL, name); /* an address all the same: the deny comes at connect */
	const struct osh_name *v = &slot_of(e, a)->v;
	char want[200], text[INET6_ADDRSTRLEN];

	assert_int_equal(e->refused, before + 1);
	snprintf(want, sizeof(want), "100 %s %s %d", name, addr, (int)class);
	assert_string_equal(e->refused_text, want);
	/* What makes the kernel deny, and say for which address. */
	assert_int_equal(v->npins, 0);
	assert_true(v->expires > boot_now());
	inet_ntop(v->pins[0].family == 4 ? AF_INET : AF_INET6, v->pins[0].addr, text, sizeof(text));
	assert_string_equal(text, addr);
}

static void test_never_allowed_addresses(void **state)
{
	static const struct {
		const char *addr;
		enum osh_addr_class class;
	} bad[] = {
		{"127.0.0.1", OSH_ADDR_LOOPBACK},
		{"0.0.0.0", OSH_ADDR_UNSPECIFIED},
		{"169.254.169.254", OSH_ADDR_LINK_LOCAL},
		{"168.63.129.16", OSH_ADDR_RESERVED},
		{"100.100.100.200", OSH_ADDR_RESERVED},
		{"fd00:ec2::254", OSH_ADDR_RESERVED},
		{"224.0.0.1", OSH_ADDR_MULTICAST},
		{"198.18.0.1", OSH_ADDR_RESERVED},
		{"10.0.0.1", OSH_ADDR_PRIVATE},
		{"::1", OSH_ADDR_LOOPBACK},
		{"fe80::1", OSH_ADDR_LINK_LOCAL},
		{"::ffff:127.0.0.1", OSH_ADDR_LOOPBACK},
		{"64:ff9b::a9fe:a9fe", OSH_ADDR_LINK_LOCAL},
		{"2002:7f00:1::", OSH_ADDR_LOOPBACK},
		{"fd00::1", OSH_ADDR_PRIVATE},
	};
	char name[64];
	struct env e;

	(void)state;
	setup(&e);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		bool v6 = strchr(bad[i].addr, ':');
		struct zone *z;

		nzones = 0;
		snprintf(name, sizeof(name), "n%zu.cdn.example.com", i);
		z = zone_add(name, v6 ? NULL : bad[i].addr);
		if (v6)
			z->aaaa[0] = bad[i].addr;
		expect_refused(&e, name, bad[i].addr, bad[i].class);
	}
	teardown(&e);
}

static void test_all_addresses_must_pass(void **state)
{
	struct env e;
	struct zone *z;

	(void)state;
	setup(&e);
	z = zone_add("a.cdn.example.com", "93.0.0.1");
	z->a[1] = "10.0.0.1";
	expect_refused(&e, "a.cdn.example.com", "10.0.0.1", OSH_ADDR_PRIVATE);
	z = zone_add("b.cdn.example.com", "93.0.0.1");
	z->aaaa[0] = "::1";
	expect_refused(&e, "b.cdn.example.com", "::1", OSH_ADDR_LOOPBACK);
	teardown(&e);
}

static void test_private_addresses(void **state)
{
	struct env e;
	struct zone *z;

	(void)state;
	setup(&e);
	z = zone_add("api.example.com", "10.0.0.1"); /* named exactly */
	expect_pins(&e, ask_a(&e, CURL, "api.example.com"), "10.0.0.1");
	z = zone_add("r.corp.example", "10.1.2.3");
	expect_pins(&e, ask_a(&e, CURL, "r.corp.example"), "10.1.2.3");
	advance(&e, 61);
	z->a[0] = "10.2.0.1"; /* outside allowed_ips */
	expect_refused(&e, "r.corp.example", "10.2.0.1", OSH_ADDR_PRIVATE);
	advance(&e, 61);
	z->a[0] = "93.0.0.1"; /* public, and outside too */
	expect_refused(&e, "r.corp.example", "93.0.0.1", OSH_ADDR_PUBLIC);
	teardown(&e);
}

/* git has the name exactly, curl from a wildcard: what is pinned holds for both, so a private
 * address is not. */
static void test_blocks_that_disagree(void **state)
{
	struct env e;
	struct zone *z;
	uint32_t a;

	(void)state;
	setup(&e);
	load_policy(&e, "version: 1\nnetwork_policies:\n"
			"  exact:\n    endpoints: [{host: x.cdn.example.com, port: 443}]\n"
			"    binaries: [{path: /usr/bin/git}]\n"
			"  wild:\n    endpoints: [{host: '*.cdn.example.com', port: 443}]\n"
			"    binaries: [{path: /usr/bin/curl}]\n");
	resolver_policy_changed(e.r);
	z = zone_add("x.cdn.example.com", "10.0.0.1");
	for (int i = 0; i < 2; i++) {
		a = ask_a(&e, GIT, "x.cdn.example.com");
		assert_int_equal(e.refused, i);
		expect_pins(&e, a, "");
		assert_int_equal(slot_of(&e, a)->v.expires,
				 0); /* never resolved: the proxy decides */
		ask_a(&e, CURL, "x.cdn.example.com");
		assert_int_equal(e.refused, i + 1);
		assert_int_equal(slot_of(&e, a)->v.expires, 0);
	}
	z->a[0] = "93.0.0.1"; /* all agree */
	advance(&e, 61);
	assert_int_equal(ask_a(&e, GIT, "x.cdn.example.com"), a);
	expect_pins(&e, a, "93.0.0.1");
	z->a[0] = "10.0.0.1"; /* and not any more */
	advance(&e, 61);
	ask_a(&e, CURL, "x.cdn.example.com");
	expect_pins(&e, a, "93.0.0.1");
	ask_a(&e, GIT, "x.cdn.example.com");
	expect_pins(&e, a, "");
	/* Alone, git has its private address; with the wildcard back, it goes. */
	load_policy(&e, "version: 1\nnetwork_policies:\n"
			"  exact:\n    endpoints: [{host: x.cdn.example.com, port: 443}]\n"
			"    binaries: [{path: /usr/bin/git}]\n");
	resolver_policy_changed(e.r);
	ask_a(&e, GIT, "x.cdn.example.com");
	expect_pins(&e, a, "10.0.0.1");
	load_policy(&e, "version: 1\nnetwork_policies:\n"
			"  exact:\n    endpoints: [{host: x.cdn.example.com, port: 443}]\n"
			"    binaries: [{path: /usr/bin/git}]\n"
			"  wild:\n    endpoints: [{host: '*.cdn.example.com', port: 443}]\n"
			"    binaries: [{path: /usr/bin/curl}]\n");
	resolver_policy_changed(e.r);
	expect_pins(&e, a, "");
	assert_int_equal(slot_of(&e, a)->v.expires, 0);
	teardown(&e);
}

static void test_rebinding(void **state)
{
	struct env e;
	struct zone *z;
	uint32_t a;

	(void)state;
	setup(&e);
	z = zone_add("x.cdn.example.com", "93.0.0.1");
	a = ask_a(&e, CURL, "x.cdn.example.com");
	expect_pins(&e, a, "93.0.0.1");
	z->a[0] = "127.0.0.1";
	advance(&e, 61);
	expect_refused(&e, "x.cdn.example.com", "127.0.0.1", OSH_ADDR_LOOPBACK);
	z->a[0] = "93.0.0.2";
	advance(&e, 61);
	assert_int_equal(ask_a(&e, CURL, "x.cdn.example.com"), a);
	expect_pins(&e, a, "93.0.0.2"); /* what was thrown out stays out */
	teardown(&e);
}

static void test_rotation_keeps_old_pins(void **state)
{
	struct env e;
	struct zone *z;
	uint32_t a;

	(void)state;
	setup(&e);
	z = zone_add("x.cdn.example.com", "93.0.0.1");
	a = ask_a(&e, CURL, "x.cdn.example.com");
	advance(&e, 61);
	z->a[0] = "93.0.0.2";
	ask_a(&e, CURL, "x.cdn.example.com");
	expect_pins(&e, a, "93.0.0.2 93.0.0.1");
	advance(&e, 660);
	z->a[0] = "93.0.0.3";
	ask_a(&e, CURL, "x.cdn.example.com");
	expect_pins(&e, a, "93.0.0.3"); /* ten minutes after their TTL the others are gone */
	teardown(&e);
}

/* ----------------------------------------------------------------- tests: refresh and reload -- */

static void test_pins_in_use_are_refreshed(void **state)
{
	struct env e;
	struct zone *z, *idle;
	uint32_t a, b;
	unsigned asked;

	(void)state;
	setup(&e);
	z = zone_add("x.cdn.example.com", "93.0.0.1");
	idle = zone_add("idle.cdn.example.com", "93.0.0.9");
	a = ask_a(&e, CURL, "x.cdn.example.com");
	b = ask_a(&e, CURL, "idle.cdn.example.com");
	asked = e.asked;
	z->a[0] = "93.0.0.2";
	slot_of(&e, a)->v.used = boot_now();
	advance(&e, 61);
	run_until(&e, -1, 300);
	assert_int_equal(e.asked, asked + 2);
	assert_int_equal(idle->asked, 2);
	expect_pins(&e, a, "93.0.0.2 93.0.0.1");
	expect_pins(&e, b, "93.0.0.9");
	assert_true(slot_of(&e, a)->v.expires > boot_now() + 650 * S);
	/* An answer that has turned bad takes them out, without anybody asking. */
	z->a[0] = "169.254.169.254";
	slot_of(&e, a)->v.used = boot_now();
	advance(&e, 61);
	run_until(&e, -1, 300);
	expect_pins(&e, a, "");
	assert_int_equal(e.refused, 1);
	teardown(&e);
}

static void test_refresh_is_only_for_what_is_allowed_now(void **state)
{
	struct env e;
	uint32_t a;
	unsigned asked;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	a = ask_a(&e, CURL, "api.example.com");
	asked = e.asked;
	load_policy(&e,
		    "version: 1\nnetwork_policies:\n  x:\n    endpoints: [{host: other.example, "
		    "port: 1}]\n    binaries: [{path: /usr/bin/curl}]\n");
	resolver_policy_changed(e.r);
	expect_pins(&e, a, "");
	slot_of(&e, a)->v.used = boot_now();
	advance(&e, 61);
	run_until(&e, -1, 200);
	assert_int_equal(e.asked, asked);
	teardown(&e);
}

static void test_policy_change(void **state)
{
	struct env e;
	struct zone *z;
	uint32_t a, b, c;

	(void)state;
	setup(&e);
	z = zone_add("r.corp.example", "10.1.2.3");
	z->a[1] = "10.1.9.9";
	zone_add("api.example.com", "93.0.0.1");
	zone_add("x.cdn.example.com", "127.0.0.1");
	a = ask_a(&e, CURL, "r.corp.example");
	b = ask_a(&e, CURL, "api.example.com");
	c = ask_a(&e, CURL, "x.cdn.example.com");
	assert_true(slot_of(&e, c)->v.expires != 0);
	load_policy(&e, "version: 1\nnetwork_policies:\n  x:\n"
			"    endpoints:\n"
			"      - {host: r.corp.example, port: 5432, allowed_ips: [10.1.2.0/24]}\n"
			"      - {host: api.example.com, port: 443}\n"
			"    binaries: [{path: /usr/bin/curl}]\n");
	resolver_policy_changed(e.r);
	expect_pins(&e, a, "10.1.2.3");
	expect_pins(&e, b, "93.0.0.1");
	assert_int_equal(slot_of(&e, c)->v.expires, 0); /* as if never resolved: judged anew */
	load_policy(&e, "version: 1\nnetwork_policies:\n  x:\n"
			"    endpoints:\n"
			"      - {host: r.corp.example, port: 5432, allowed_ips: [10.3.0.0/24]}\n"
			"      - {host: api.example.com, port: 443, protocol: rest, access: full}\n"
			"    binaries: [{path: /usr/bin/curl}]\n");
	resolver_policy_changed(e.r);
	expect_pins(&e, a, "");
	assert_true(slot_of(&e, a)->v.expires != 0); /* refused */
	expect_pins(&e, b, "");
	assert_int_equal(slot_of(&e, b)->v.expires, 0); /* not native any more */
	teardown(&e);
}

/* The kernel uses pins from the store of `current` on: nothing may be pinned then that the new policy does not allow. */
static void test_policy_coming(void **state)
{
	static const char next[] = "version: 1\nnetwork_policies:\n  x:\n"
				   "    endpoints:\n"
				   "      - {host: r.corp.example, port: 5432, allowed_ips: [10.3.0.0/24]}\n"
				   "      - {host: api.example.com, port: 443}\n"
				   "    binaries: [{path: /usr/bin/curl}]\n";
	struct env e;
	uint32_t a, b;

	(void)state;
	setup(&e);
	zone_add("r.corp.example", "10.1.2.3");
	zone_add("api.example.com", "93.0.0.1");
	a = ask_a(&e, CURL, "r.corp.example");
	b = ask_a(&e, CURL, "api.example.com");
	expect_pins(&e, a, "10.1.2.3");
	announce_policy(&e, next);
	resolver_policy_coming(e.r);
	expect_pins(&e, a, "");
	assert_int_equal(slot_of(&e, a)->v.expires, 0); /* relayed until then */
	expect_pins(&e, b, "93.0.0.1");
	assert_int_equal(ask_a(&e, CURL, "r.corp.example"), a);
	expect_pins(&e, a, ""); /* a question meanwhile changes nothing */
	*e.current = OSH_CURRENT(e.gen);
	resolver_policy_changed(e.r);
	expect_pins(&e, a, "");
	expect_pins(&e, b, "93.0.0.1");
	teardown(&e);
}

/* The answer comes after the policy has changed: what counts is the policy then. */
static void test_policy_change_during_a_look_up(void **state)
{
	struct env e;
	struct reply r;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	loop_del(e.loop, &e.upstream_watch);
	send_query(&e, CURL, 7, "api.example.com", 1);
	run_until(&e, -1, 50);
	load_policy(&e,
		    "version: 1\nnetwork_policies:\n  x:\n    endpoints: [{host: other.example, "
		    "port: 1}]\n    binaries: [{path: /usr/bin/curl}]\n");
	resolver_policy_changed(e.r);
	assert_int_equal(loop_add(e.loop, &e.upstream_watch, e.upstream, EPOLLIN, on_upstream, &e),
			 0);
	r = receive(&e, CURL, 3000);
	assert_int_equal(r.rcode, 0);
	assert_int_equal(r.answers, 1);
	expect_pins(&e, r.a, "");
	assert_int_equal(slot_of(&e, r.a)->v.expires, 0);
	assert_int_equal(e.refused, 0);
	teardown(&e);
}

static void test_restart_keeps_addresses(void **state)
{
	struct env e;
	uint32_t a, b;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	a = ask_a(&e, CURL, "api.example.com");
	b = ask_a(&e, CURL, "never.example");
	resolver_free(e.r);
	start_resolver(&e, e.upstream_port, HOSTS);
	assert_true(slice_eq_str(resolver_name(e.r, a), "api.example.com"));
	expect_pins(&e, a, "93.0.0.1");
	assert_int_equal(ask_a(&e, GIT, "never.example"), b);
	assert_int_equal(ask_a(&e, GIT, "api.example.com"), a);
	teardown(&e);
}

/* ------------------------------------------------------------------- tests: the host's names -- */

static void test_hosts(void **state)
{
	struct env e;
	uint32_t a;

	(void)state;
	setup(&e);
	expect_pins(&e, ask_a(&e, CURL, "hosted.cdn.example.com"), "93.0.0.77");
	expect_pins(&e, ask_a(&e, CURL, "db.corp.example"), "10.0.0.9");
	expect_refused(&e, "bad.cdn.example.com", "127.0.0.1", OSH_ADDR_LOOPBACK);
	a = ask_a(&e, GIT, "hosted.cdn.example.com");
	assert_int_equal(ntohl(a) & OSH_SYNTHETIC_MASK, OSH_SYNTHETIC_NET);
	assert_int_equal(e.asked, 0);
	teardown(&e);
}

static void test_no_nameservers(void **state)
{
	struct env e;

	(void)state;
	setup_without_policy(&e);
	load_policy(&e, POLICY);
	start_resolver(&e, 0, HOSTS);
	assert_int_equal(ask(&e, CURL, "api.example.com", 1).rcode, DNS_NXDOMAIN);
	expect_pins(&e, ask_a(&e, CURL, "db.corp.example"), "10.0.0.9");
	teardown(&e);
}

static void test_localhost_and_odd_names(void **state)
{
	static const uint8_t v6[16] = {[15] = 1};
	struct env e;
	struct reply r;

	(void)state;
	setup(&e);
	r = ask(&e, NOBODY, "localhost", 1);
	assert_int_equal(r.a, htonl(INADDR_LOOPBACK));
	r = ask(&e, NOBODY, "app.LocalHost", 28);
	assert_int_equal(r.rd_n, 16);
	assert_memory_equal(r.rd, v6, 16);
	assert_int_equal(ask(&e, CURL, "localhost", 16).answers, 0);
	ask_a(&e, CURL, "singlelabel");
	ask_a(&e, CURL, "_srv._tcp.example");
	assert_int_equal(e.asked, 0);
	teardown(&e);
}

static void test_ptr(void **state)
{
	uint8_t wire[DNS_NAME_WIRE_MAX];
	char name[64];
	struct reply r;
	struct env e;
	uint32_t a;

	(void)state;
	setup(&e);
	a = ntohl(ask_a(&e, GIT, "some.example"));
	snprintf(name, sizeof(name), "%u.%u.%u.%u.in-addr.arpa", a & 255, a >> 8 & 255,
		 a >> 16 & 255, a >> 24);
	r = ask(&e, GIT, name, DNS_TYPE_PTR);
	assert_int_equal(r.rcode, 0);
	assert_int_equal(r.rd_n, dns_name_to_wire(SLICE_LIT("some.example"), wire));
	assert_memory_equal(r.rd, wire, r.rd_n);
	assert_int_equal(ask(&e, GIT, "1.0.0.127.in-addr.arpa", DNS_TYPE_PTR).answers, 1);
	assert_int_equal(ask(&e, GIT, "1.0.0.10.in-addr.arpa", DNS_TYPE_PTR).rcode, DNS_NXDOMAIN);
	assert_int_equal(ask(&e, GIT, "9.9.19.198.in-addr.arpa", DNS_TYPE_PTR).rcode, DNS_NXDOMAIN);
	assert_int_equal(ask(&e, GIT, "arpa.in-addr.arpa", DNS_TYPE_PTR).rcode, DNS_NXDOMAIN);
	r = ask(&e, GIT, "host.example", DNS_TYPE_PTR); /* not "no such name": it has an address */
	assert_int_equal(r.rcode, 0);
	assert_int_equal(r.answers, 0);
	assert_int_equal(e.asked, 0);
	teardown(&e);
}

static void test_ipv6_socket(void **state)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
	uint8_t buf[512], *p = buf;
	struct reply r;
	struct env e;
	uint16_t port;
	int fd = udp_socket6(&port);
	ssize_t n;

	(void)state;
	if (fd < 0)
		skip();
	setup(&e);
	to.sin6_port = htons(e.dns_port6);
	put_query(&p, 9, "some.example", 1);
	assert_int_equal(sendto(fd, buf, (size_t)(p - buf), 0, (struct sockaddr *)&to, sizeof(to)),
			 p - buf);
	assert_true(run_until(&e, fd, 2000));
	n = recv(fd, buf, sizeof(buf), 0);
	assert_true(n > 0);
	r = read_reply(buf, (size_t)n);
	assert_int_equal(r.answers, 1);
	assert_memory_equal(e.last_key.addr, &loopback6, 16);
	assert_int_equal(e.last_key.port, port);
	close(fd);
	teardown(&e);
}

/* ----------------------------------------------------------------------------- tests: floods -- */

static void test_flood(void **state)
{
	struct env e;
	char name[64];
	unsigned servfail = 0;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "x%u.evil.example", i);
		servfail += ask(&e, GIT, name, 1).rcode == DNS_SERVFAIL;
	}
	assert_int_equal(servfail, 5000 - NAMES_MAX / 2);
	assert_int_equal(HASH_COUNT(e.slots), NAMES_MAX / 2);
	expect_pins(&e, ask_a(&e, CURL, "api.example.com"), "93.0.0.1");
	assert_int_equal(e.asked, 2);
	teardown(&e);
}

static void test_garbage_is_survived(void **state)
{
	struct env e;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint8_t buf[6000];
	unsigned seed = 3;

	(void)state;
	setup(&e);
	to.sin_port = htons(e.dns_port);
	for (int i = 0; i < 2000; i++) {
		size_t n = (size_t)rand_r(&seed) % (i % 100 ? 80 : sizeof(buf));

		for (size_t k = 0; k < n; k++)
			buf[k] = (uint8_t)rand_r(&seed);
		if (n > 5) {
			buf[2] &= 0x7f;
			buf[4] = 0;
			buf[5] = 1;
		}
		sendto(e.sock[CURL], buf, n, 0, (struct sockaddr *)&to, sizeof(to));
		if (i % 50 == 0)
			run_until(&e, -1, 1);
	}
	while (recv(e.sock[CURL], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	run_until(&e, -1, 20);
	while (recv(e.sock[CURL], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	ask_a(&e, CURL, "still.here.example");
	teardown(&e);
}

/* -------------------------------------------------------------------------------- tests: TCP -- */

/* The resolver's end of a new connection of `who` is handed over; returns the client's. */
static int tcp_open(struct env *e, int who)
{
	struct osh_flow flow = {.kind = OSH_FLOW_DNS, .pid = 100 + (uint32_t)who};
	int sv[2];

	flow.id.exe = 1 + (uint32_t)who;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	resolver_accept_tcp(e->r, sv[0], &flow);
	return sv[1];
}

static void tcp_put(uint8_t **p, unsigned id, const char *name, unsigned type)
{
	uint8_t *start = *p;

	*p += 2;
	put_query(p, id, name, type);
	start[0] = (uint8_t)((*p - start - 2) >> 8);
	start[1] = (uint8_t)(*p - start - 2);
}

static bool tcp_read(struct env *e, int fd, struct reply *ret)
{
	uint8_t buf[1024];
	size_t n = 0, want = 2;

	while (n < want) {
		ssize_t k;

		if (!run_until(e, fd, 3000))
			return false;
		k = recv(fd, buf + n, want - n, MSG_DONTWAIT);
		if (k <= 0)
			return false;
		n += (size_t)k;
		if (n == 2)
			want = 2 + ((size_t)buf[0] << 8 | buf[1]);
	}
	*ret = read_reply(buf + 2, n - 2);
	return true;
}

static bool tcp_closed(struct env *e, int fd, uint64_t ms)
{
	uint8_t b;

	return run_until(e, fd, ms) && recv(fd, &b, 1, MSG_DONTWAIT) <= 0;
}

static void test_tcp(void **state)
{
	struct env e;
	struct reply r;
	uint8_t buf[4096], *p = buf;
	int fd;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	fd = tcp_open(&e, CURL);
	tcp_put(&p, 1, "api.example.com", 1);
	assert_int_equal(send(fd, buf, (size_t)(p - buf), 0), p - buf);
	assert_true(tcp_read(&e, fd, &r));
	assert_int_equal(r.id, 1);
	expect_pins(&e, r.a, "93.0.0.1");
	/* Byte by byte. */
	for (uint8_t *b = buf; b < p; b++) {
		assert_int_equal(send(fd, b, 1, 0), 1);
		run_until(&e, -1, 1);
	}
	assert_true(tcp_read(&e, fd, &r));
	close(fd);
	/* The other process's rights are its own. */
	fd = tcp_open(&e, GIT);
	p = buf;
	tcp_put(&p, 2, "y.cdn.example.com", 1);
	assert_int_equal(send(fd, buf, (size_t)(p - buf), 0), p - buf);
	assert_true(tcp_read(&e, fd, &r));
	assert_int_equal(r.rcode, 0);
	assert_int_equal(e.asked, 2);
	close(fd);
	run_until(&e, -1, 10);
	teardown(&e);
}

static void test_tcp_pipelined_then_half_closed(void **state)
{
	struct env e;
	struct reply r;
	uint8_t buf[8192], *p = buf;
	char name[64];
	bool seen[60] = {false};
	int fd;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	fd = tcp_open(&e, CURL);
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		tcp_put(&p, i, i % 3 ? name : "api.example.com", 1);
	}
	assert_int_equal(send(fd, buf, (size_t)(p - buf), 0), p - buf);
	shutdown(fd, SHUT_WR);
	for (unsigned i = 0; i < 60; i++) {
		assert_true(tcp_read(&e, fd, &r));
		assert_int_equal(r.rcode, 0);
		assert_true(r.id < 60 && !seen[r.id]);
		seen[r.id] = true;
	}
	assert_true(tcp_closed(&e, fd, 1000));
	close(fd);
	teardown(&e);
}

static void test_tcp_bad_lengths_and_drops(void **state)
{
	struct env e;
	struct reply r;
	int fd;

	(void)state;
	setup(&e);
	fd = tcp_open(&e, CURL);
	assert_int_equal(send(fd, "\x10\x01", 2, 0), 2); /* 4097 */
	assert_true(tcp_closed(&e, fd, 1000));
	close(fd);
	fd = tcp_open(&e, CURL);
	assert_int_equal(send(fd, "\0\0", 2, 0), 2); /* no message */
	assert_true(tcp_closed(&e, fd, 1000));
	close(fd);
	fd = tcp_open(&e, CURL);
	assert_int_equal(send(fd,
			      "\0\x0c"
			      "AA\x01\0\0\2\0\0\0\0\0\0",
			      14, 0),
			 14);
	assert_true(tcp_read(&e, fd, &r));
	assert_int_equal(r.rcode, DNS_FORMERR);
	close(fd);
	run_until(&e, -1, 10);
	teardown(&e);
}

static void test_tcp_idle_and_limits(void **state)
{
	struct env e;
	int fd[20], open = 0;

	(void)state;
	setup(&e);
	for (int i = 0; i < 20; i++)
		fd[i] = tcp_open(&e, CURL);
	for (int i = 0; i < 20; i++)
		open += !tcp_closed(&e, fd[i], 1);
	assert_int_equal(open, 16);
	assert_int_equal(send(fd[0], "\0", 1, 0), 1); /* a byte is no message */
	run_until(&e, -1, 10);
	advance(&e, 11);
	run_until(&e, -1, 50);
	for (int i = 0; i < 20; i++)
		assert_true(tcp_closed(&e, fd[i], 100));
	for (int i = 0; i < 20; i++)
		close(fd[i]);
	teardown(&e);
}

static void test_tcp_gone_while_waiting(void **state)
{
	struct env e;
	uint8_t buf[512], *p = buf;
	int fd;

	(void)state;
	setup(&e);
	zone_add("api.example.com", "93.0.0.1");
	loop_del(e.loop, &e.upstream_watch);
	fd = tcp_open(&e, CURL);
	tcp_put(&p, 1, "api.example.com", 1);
	assert_int_equal(send(fd, buf, (size_t)(p - buf), 0), p - buf);
	run_until(&e, -1, 20);
	close(fd);
	run_until(&e, -1, 20);
	assert_int_equal(loop_add(e.loop, &e.upstream_watch, e.upstream, EPOLLIN, on_upstream, &e),
			 0);
	run_until(&e, -1, 50);
	fd = tcp_open(&e, CURL); /* and with one open at the end */
	run_until(&e, -1, 20);
	teardown(&e);
	close(fd);
}

/* ------------------------------------------------------------------- tests: the proxy's side -- */

struct got {
	unsigned called;
	int error;
	struct resolved res;
};

static void on_got(void *arg, int error, const struct resolved *res)
{
	struct got *g = arg;

	g->called++;
	g->error = error;
	g->res = *res;
}

static struct got resolve(struct env *e, const char *name)
{
	struct resolve_query *q;
	struct got g = {0};

	assert_int_equal(resolve_start(e->r, slice_str(name), on_got, &g, &q), 0);
	assert_int_equal(g.called, 0);
	for (int i = 0; i < 100 && !g.called; i++)
		run_until(e, -1, 10);
	assert_int_equal(g.called, 1);
	return g;
}

static void test_resolve(void **state)
{
	struct env e;
	struct zone *z;
	struct got g;
	struct resolve_query *q;

	(void)state;
	setup(&e);
	z = zone_add("rest.example.com", "93.0.0.1");
	z->aaaa[0] = "2a00:1450::1";
	z = zone_add("fail.example", NULL);
	z->rcode = 2;
	zone_add("empty.example", NULL);
	g = resolve(&e, "REST.example.com.");
	assert_int_equal(g.error, 0);
	assert_int_equal(g.res.n, 2);
	assert_int_equal(g.res.a[0].family, 4);
	assert_int_equal(g.res.a[1].family, 6);
	g = resolve(&e, "rest.example.com");
	assert_int_equal(g.res.n, 2);
	assert_int_equal(e.asked, 2);
	assert_int_equal(resolve(&e, "none.example").error, -ENOENT);
	assert_int_equal(resolve(&e, "empty.example").error, -ENOENT);
	assert_int_equal(resolve(&e, "fail.example").error, -EAGAIN);
	g = resolve(&e, "bad.cdn.example.com"); /* hosts; the caller checks */
	assert_int_equal(g.res.n, 1);
	assert_int_equal(g.res.a[0].addr[0], 127);
	assert_int_equal(resolve(&e, "x.localhost").res.n, 2);
	assert_int_equal(resolve_start(e.r, SLICE_LIT("a b"), on_got, &g, &q), -EINVAL);
	assert_int_equal(resolve_start(e.r, SLICE_LIT("1.2.3.4"), on_got, &g, &q), -EINVAL);
	assert_int_equal(resolve_start(e.r, SLICE_LIT(""), on_got, &g, &q), -EINVAL);
	teardown(&e);
}

static void test_many_addresses(void **state)
{
	static char text[20][20];
	struct env e;
	struct zone *z;
	struct got g;

	(void)state;
	setup(&e);
	z = zone_add("many.example", NULL);
	for (unsigned i = 0; i < 19; i++) {
		snprintf(text[i], sizeof(text[i]), "93.0.0.%u", i);
		z->a[i] = text[i];
	}
	for (unsigned i = 0; i < 6; i++)
		z->aaaa[i] = "2a00:1450::1";
	g = resolve(&e, "many.example");
	assert_int_equal(g.res.n, 16);
	assert_int_equal(g.res.a[11].family, 4);
	assert_int_equal(g.res.a[12].family, 6);
	teardown(&e);
}

static void test_cancel(void **state)
{
	struct resolve_query *a, *b, *c;
	struct got ga = {0}, gb = {0}, gc = {0};
	struct env e;

	(void)state;
	setup(&e);
	zone_add("rest.example.com", "93.0.0.1");
	assert_int_equal(resolve_start(e.r, SLICE_LIT("rest.example.com"), on_got, &ga, &a), 0);
	assert_int_equal(resolve_start(e.r, SLICE_LIT("rest.example.com"), on_got, &gb, &b), 0);
	assert_int_equal(resolve_start(e.r, SLICE_LIT("localhost"), on_got, &gc, &c), 0);
	resolve_cancel(a);
	resolve_cancel(c);
	resolve_cancel(NULL);
	run_until(&e, -1, 200);
	assert_int_equal(ga.called, 0);
	assert_int_equal(gb.called, 1);
	assert_int_equal(gc.called, 0);
	assert_int_equal(e.asked, 2);
	teardown(&e);
}

static void test_hold(void **state)
{
	struct env e;
	uint32_t a;

	(void)state;
	setup(&e);
	a = ask_a(&e, GIT, "some.example");
	resolver_hold(e.r, a);
	resolver_release(e.r, a);
	resolver_hold(e.r, htonl(0xc6130101)); /* nobody's */
	resolver_release(e.r, htonl(0xc6130101));
	teardown(&e);
}

/* --------------------------------------------------------------------------- tests: for real -- */

static int map_new(enum bpf_map_type type, unsigned key, unsigned value)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_NO_PREALLOC);

	return bpf_map_create(type, "test", key, value, 100, &o);
}

static void test_bpf_maps(void **state)
{
	struct resolver_maps_bpf m = {
		map_new(BPF_MAP_TYPE_HASH, 4, sizeof(struct osh_name)),
		map_new(BPF_MAP_TYPE_HASH, sizeof(struct osh_flow_key),
			sizeof(struct osh_dns_client)),
	};
	struct resolver_maps maps = {&resolver_maps_bpf_ops, &m};
	struct osh_flow_key key = {.port = 7};
	struct osh_dns_client client = {.pid = 5, .has_id = 1}, got;
	struct names *p = NULL;
	struct name *n;
	struct osh_name v;
	uint32_t addr;

	(void)state;
	if (m.names < 0 || m.dns_clients < 0)
		skip();
	assert_int_equal(names_new(maps, 1000, &p), 0);
	assert_int_equal(names_get(p, SLICE_LIT("api.example"), NAMES_ALLOWED, 1000, &n), 0);
	addr = n->addr;
	assert_int_equal(names_get(p, SLICE_LIT("two.example"), NAMES_ALLOWED, 1000, &n), 0);
	names_free(p);
	assert_int_equal(maps.ops->get(&m, addr, &v), 0);
	assert_string_equal(v.name, "api.example");
	assert_int_equal(maps.ops->get(&m, 1, &v), -ENOENT);
	assert_int_equal(names_new(maps, 2000, &p), 0);
	assert_int_equal(names_count(p, NAMES_POLICY), 2);
	names_free(p);
	assert_int_equal(maps.ops->del(&m, addr), 0);
	assert_int_equal(maps.ops->del(&m, addr), -ENOENT);
	assert_int_equal(maps.ops->client(&m, &key, &got), -ENOENT);
	assert_int_equal(bpf_map_update_elem(m.dns_clients, &key, &client, BPF_ANY), 0);
	assert_int_equal(maps.ops->client(&m, &key, &got), 0);
	assert_int_equal(got.pid, 5);
	close(m.names);
	close(m.dns_clients);
}

static pid_t start_dnsmasq(uint16_t port)
{
	char arg[32];
	pid_t pid = fork();

	snprintf(arg, sizeof(arg), "--port=%u", port);
	if (pid != 0)
		return pid;
	/* Not left behind when the test fails half-way. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || !freopen("/dev/null", "w", stderr))
		_exit(126);
	execlp("dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
	       "--no-hosts", "--pid-file=", "--user=", "--bind-interfaces",
	       "--listen-address=127.0.0.1", arg, "--local=/example.com/",
	       "--host-record=api.example.com,93.0.0.5,2a00:1450::5",
	       "--host-record=x.cdn.example.com,127.0.0.9",
	       "--cname=alias.cdn.example.com,api.example.com", (char *)NULL);
	_exit(127);
}

static void test_with_dnsmasq(void **state)
{
	uint16_t port;
	int fd = udp_socket(&port), status = 0;
	struct reply r = {.rcode = -1};
	struct env e;
	pid_t pid;

	(void)state;
	close(fd);
	setup_without_policy(&e);
	load_policy(&e, POLICY);
	pid = start_dnsmasq(port);
	assert_true(pid > 0);
	start_resolver(&e, port, HOSTS);
	for (int i = 0; i < 50 && r.rcode != 0; i++) { /* until it listens */
		if (waitpid(pid, &status, WNOHANG) == pid) {
			teardown(&e);
			skip(); /* not installed */
		}
		usleep(100000);
		advance(&e, 3); /* past what a failed look-up is remembered for */
		r = ask(&e, CURL, "api.example.com", 1);
	}
	assert_int_equal(r.rcode, 0);
	expect_pins(&e, r.a, "93.0.0.5 2a00:1450::5");
	expect_pins(&e, ask_a(&e, CURL, "alias.cdn.example.com"), "93.0.0.5 2a00:1450::5");
	expect_refused(&e, "x.cdn.example.com", "127.0.0.9", OSH_ADDR_LOOPBACK);
	assert_int_equal(ask(&e, CURL, "none.cdn.example.com", 1).rcode, DNS_NXDOMAIN);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	teardown(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden_names_never_leave),
		cmocka_unit_test(test_no_policy_no_query),
		cmocka_unit_test(test_unknown_path),
		cmocka_unit_test(test_other_types_never_leave),
		cmocka_unit_test(test_inspected_names_wait_for_a_request),
		cmocka_unit_test(test_native_name),
		cmocka_unit_test(test_ttl_bounds),
		cmocka_unit_test(test_aaaa_follows_a),
		cmocka_unit_test(test_upstream_errors_are_passed_on),
		cmocka_unit_test(test_cname),
		cmocka_unit_test(test_only_ipv6),
		cmocka_unit_test(test_dropped_aaaa_costs_a_second),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_questions_of_one_name_share_a_look_up),
		cmocka_unit_test(test_one_process_cannot_take_all_look_ups),
		cmocka_unit_test(test_negative_answers_are_cached_and_expire),
		cmocka_unit_test(test_never_allowed_addresses),
		cmocka_unit_test(test_all_addresses_must_pass),
		cmocka_unit_test(test_private_addresses),
		cmocka_unit_test(test_blocks_that_disagree),
		cmocka_unit_test(test_rebinding),
		cmocka_unit_test(test_rotation_keeps_old_pins),
		cmocka_unit_test(test_pins_in_use_are_refreshed),
		cmocka_unit_test(test_refresh_is_only_for_what_is_allowed_now),
		cmocka_unit_test(test_policy_change),
		cmocka_unit_test(test_policy_coming),
		cmocka_unit_test(test_policy_change_during_a_look_up),
		cmocka_unit_test(test_restart_keeps_addresses),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_no_nameservers),
		cmocka_unit_test(test_localhost_and_odd_names),
		cmocka_unit_test(test_ptr),
		cmocka_unit_test(test_ipv6_socket),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_garbage_is_survived),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tcp_pipelined_then_half_closed),
		cmocka_unit_test(test_tcp_bad_lengths_and_drops),
		cmocka_unit_test(test_tcp_idle_and_limits),
		cmocka_unit_test(test_tcp_gone_while_waiting),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_bpf_maps),
		cmocka_unit_test(test_with_dnsmasq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
