/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the proxy process, from exec to its loop.
 *
 * Started by the supervisor as root with one end of a SOCK_SEQPACKET pair as descriptor 3.  In order: close what
 * was inherited, receive the hello with its descriptors, build what needs files or privileges, give both up,
 * say ready, serve.  From the first byte of anybody else on it is unprivileged, sees no file, and can start
 * nothing.  It keeps no state that a successor needs: kill it at any time.
 */
#include "proxy/address.h"
#include "proxy/ca.h"
#include "proxy/flow.h"
#include "proxy/jail.h"
#include "proxy/proxy.h"
#include "proxy/resolver.h"
#include "proxy/super.h"
#include "proxy/upstream.h"

#include <bpf/bpf.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define HELLO_TIMEOUT_MS 60000 /* a start may take as long (user/start.c) */

/* ---------------------------------------------------------------------------------- the real world -- */

static struct slice real_name(struct proxy *px, uint32_t synthetic)
{
	return resolver_name(px->resolver, synthetic);
}

static void real_hold(struct proxy *px, uint32_t synthetic)
{
	resolver_hold(px->resolver, synthetic);
}

static void real_release(struct proxy *px, uint32_t synthetic)
{
	resolver_release(px->resolver, synthetic);
}

static void real_dns(struct proxy *px, int fd, const struct osh_flow *rec)
{
	resolver_accept_tcp(px->resolver, fd, rec);
}

static int real_resolve(struct proxy *px, struct slice name, resolve_fn cb, void *arg, struct resolve_query **ret)
{
	return resolve_start(px->resolver, name, cb, arg, ret);
}

static void real_resolve_cancel(struct proxy *px, struct resolve_query *q)
{
	(void)px;
	resolve_cancel(q);
}

static int real_dial(struct proxy *px, uint8_t family, const uint8_t addr[16], uint16_t port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const struct sockaddr *sa = family == 4 ? (const struct sockaddr *)&a4 : (const struct sockaddr *)&a6;
	socklen_t n = family == 4 ? sizeof(a4) : sizeof(a6);
	_cleanup_close_ int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)px;
	if (fd < 0)
		return -errno;
	memcpy(&a4.sin_addr, addr, 4);
	memcpy(&a6.sin6_addr, addr, 16);
	if (connect(fd, sa, n) < 0 && errno != EINPROGRESS)
		return -errno;
	return steal_fd(&fd);
}

static int real_record(struct proxy *px, int fd, struct osh_flow *ret)
{
	return bpf_map_lookup_elem(px->map_accepted, &fd, ret) < 0 ? -errno : 0;
}

static void real_event(struct proxy *px, const struct wire_event *e)
{
	super_event(px->super, e);
}

static const struct proxy_ops real_ops = {
	.name = real_name,
	.hold = real_hold,
	.release = real_release,
	.dns = real_dns,
	.resolve = real_resolve,
	.resolve_cancel = real_resolve_cancel,
	.dial = real_dial,
	.record = real_record,
	.event = real_event,
};

/* A name that may be reached natively resolves to an address that may not. */
static void on_name_refused(void *arg, const struct osh_dns_client *client, struct slice name, uint8_t family,
			    const uint8_t addr[16], enum osh_addr_class class)
{
	struct proxy *px = arg;
	struct wire_event e = {.m = {WIRE_EVENT, sizeof(e)}, .decision = WD_DENY, .block = ~0u};
	char text[ADDRESS_TEXT_MAX], reason[WIRE_TEXT_MAX];

	e.time = loop_now(px->loop);
	e.gen = images_current(px->images).gen;
	e.pid = client->pid;
	e.uid = WIRE_NO_UID; /* who asks the resolver is known by process */
	e.id = client->id;
	e.dst.family = family;
	memcpy(e.dst.addr, addr, sizeof(e.dst.addr));
	snprintf(reason, sizeof(reason), "address not allowed (%s: %s)", address_text(family, addr, text),
		 address_class_text(class));
	WIRE_PUT(&e, host, name);
	WIRE_PUT(&e, reason, slice_str(reason));
	super_event(px->super, &e);
}

/* --------------------------------------------------------------------------------------------- set-up -- */

static int fail(const char *step, int r)
{
	fprintf(stderr, "osh-enforce-proxy: %s: %s\n", step, strerror(-r));
	return 1;
}

/* The CA of the hello; a new one comes back as a memfd for the supervisor to keep. */
static int setup_ca(struct proxy *px, int fd, int *ret_new)
{
	_cleanup_free_ char *pem = NULL;
	_cleanup_close_ int blob = fd;
	char text[CA_PEM_MAX];
	size_t n = 0;
	ssize_t r;

	while (n < sizeof(text) && (r = pread(blob, text + n, sizeof(text) - n, (off_t)n)) > 0)
		n += (size_t)r;
	*ret_new = -1;
	r = ca_new((struct slice){(const uint8_t *)text, n}, px->sandbox, &px->ca);
	explicit_bzero(text, sizeof(text));
	if (r < 0 || n)
		return (int)r;
	r = ca_pem(px->ca, &pem, &n);
	if (r < 0)
		return (int)r;
	*ret_new = super_ca_memfd(pem, n);
	explicit_bzero(pem, n);
	return *ret_new < 0 ? *ret_new : 0;
}

static int setup_resolver(struct proxy *px, const struct wire_hello *h, int fds[WH_COUNT])
{
	const struct resolver_config c = {
		.loop = px->loop,
		.images = px->images,
		.hello = h,
		.udp4 = fds[WH_DNS_UDP4],
		.udp6 = fds[WH_DNS_UDP6],
		.map_names = fds[WH_MAP_NAMES],
		.map_dns_clients = fds[WH_MAP_DNS_CLIENTS],
		.hosts = fds[WH_HOSTS],
		.on_refused = on_name_refused,
		.on_refused_arg = px,
	};

	return resolver_new(&c, &px->resolver);
}

/* Everything that needs files, privileges, or time. */
static int setup(struct proxy *px, const struct wire_hello *h, int fds[WH_COUNT], int *ret_ca, const char **step)
{
	int r;

	memcpy(px->sandbox, h->sandbox, sizeof(px->sandbox));
	px->map_accepted = fds[WH_MAP_ACCEPTED];
	*step = "event loop";
	if ((r = loop_new(&px->loop)) < 0 || (r = super_new(px, WIRE_FD, &px->super)) < 0)
		return r;
	*step = "policy maps";
	if ((r = images_new(fds[WH_MAP_CURRENT], fds[WH_MAP_PATHS], &px->images)) < 0)
		return r;
	*step = "certificate authority";
	if ((r = setup_ca(px, fds[WH_CA], ret_ca)) < 0)
		return r;
	*step = "upstream";
	if ((r = upstream_new(px, fds[WH_TRUST], &px->upstream)) < 0)
		return r;
	*step = "listeners";
	if ((r = flows_new(px, fds[WH_PROXY_TCP4], fds[WH_PROXY_TCP6], &px->flows)) < 0)
		return r;
	*step = "resolver";
	return setup_resolver(px, h, fds);
}

/* Two descriptors a flow, and some for everything else. */
static void fit_limits(struct proxy_limits *l)
{
	struct rlimit r;

	*l = proxy_limits_default;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur / 2 < l->max_flows + 128u)
		l->max_flows = r.rlim_cur > 512 ? (uint32_t)(r.rlim_cur / 2 - 128) : 64;
}

int main(void)
{
	static struct proxy_limits limits;
	static struct proxy px = {.ops = &real_ops, .limits = &limits};
	pid_t parent = getppid();
	struct wire_hello hello;
	int fds[WH_COUNT], fd_ca = -1, r;
	const char *step = "";

	if (syscall(SYS_close_range, WIRE_FD + 1, ~0u, 0) < 0)
		return fail("close_range", -errno);
	signal(SIGPIPE, SIG_IGN);
	/* One arena, given back generously: an idle proxy is small. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 512 << 10);
	r = super_hello(WIRE_FD, HELLO_TIMEOUT_MS, &hello, fds);
	if (r < 0)
		return r == -ECONNRESET ? 0 : fail("no hello from the supervisor", r);
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	r = setup(&px, &hello, fds, &fd_ca, &step);
	if (r < 0)
		return fail(step, r);
	r = jail_identity(hello.uid, hello.gid, parent, &step);
	if (r == 0) {
		fit_limits(&limits);
		r = jail_lock(&step);
		if (r < 0 && super_unjailed(px.super, step, r) == 0 && hello.may_lack_jail)
			r = 0;
	}
	if (r < 0)
		return fail(step, r);
	malloc_trim(0);
	r = super_ready(px.super, fd_ca);
	if (r < 0)
		return fail("ready", r);
	r = loop_run(px.loop);
	return fail("event loop", r);
}
