/* SPDX-License-Identifier: Apache-2.0 */
/* eventlog.c - one event, one line (eventlog.h; fields as docs/policy-language.md, "What the log says"). */
#include "user/eventlog.h"
#include "user/revoke.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_ns(clockid_t c)
{
	struct timespec t;

	clock_gettime(c, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void eventlog_clock(struct eventlog *l)
{
	l->boot_to_wall = (int64_t)(now_ns(CLOCK_REALTIME) - now_ns(CLOCK_BOOTTIME));
}

static const char *class_name(uint32_t c)
{
	static const char *const names[] = {"public",	   "private",	"loopback", "link-local",
					    "unspecified", "multicast", "reserved"};

	return c < ARRAY_LEN(names) ? names[c] : "unknown";
}

static const char *family_name(uint32_t family, char *buf, size_t n)
{
	static const struct {
		uint32_t family;
		const char *name;
	} names[] = {
		{AF_UNIX, "unix"},	 {AF_INET, "inet"},	{AF_INET6, "inet6"},   {AF_NETLINK, "netlink"},
		{AF_PACKET, "packet"},	 {AF_ALG, "alg"},	{AF_VSOCK, "vsock"},   {AF_KEY, "key"},
		{AF_BLUETOOTH, "bluetooth"}, {AF_CAN, "can"},	{AF_TIPC, "tipc"},     {AF_RDS, "rds"},
		{AF_XDP, "xdp"},	 {AF_SMC, "smc"},	{AF_NFC, "nfc"},       {AF_KCM, "kcm"},
		{AF_QIPCRTR, "qipcrtr"}, {AF_PPPOX, "pppox"},	{AF_PHONET, "phonet"}, {AF_X25, "x25"},
		{AF_AX25, "ax25"},	 {AF_LLC, "llc"},	{AF_IB, "ib"},	       {AF_ISDN, "isdn"},
		{AF_IUCV, "iucv"},	 {AF_MCTP, "mctp"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].family == family)
			return names[i].name;
	snprintf(buf, n, "family %u", family);
	return buf;
}

static const char *type_name(uint32_t type, char *buf, size_t n)
{
	static const char *const names[] = {[SOCK_STREAM] = "stream",	    [SOCK_DGRAM] = "dgram",
					    [SOCK_RAW] = "raw",		    [SOCK_RDM] = "rdm",
					    [SOCK_SEQPACKET] = "seqpacket", [SOCK_DCCP] = "dccp",
					    [SOCK_PACKET] = "packet"};

	type &= 0xf; /* the rest are flags */
	if (type < ARRAY_LEN(names) && names[type])
		return names[type];
	snprintf(buf, n, "type %u", type);
	return buf;
}

static const char *proto_name(uint32_t proto, uint32_t type, char *buf, size_t n)
{
	bool raw = (type & 0xf) == SOCK_RAW;

	if (raw && proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6)
		return "raw"; /* whatever is in it */
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return "icmp";
	case IPPROTO_SCTP:
		return "sctp";
	case IPPROTO_UDPLITE:
		return "udplite";
	case IPPROTO_MPTCP:
		return "mptcp";
	case IPPROTO_DCCP:
		return "dccp";
	}
	snprintf(buf, n, "protocol %u", proto);
	return buf;
}

static const char *option_name(uint32_t level, uint32_t name)
{
	switch (level) {
	case SOL_SOCKET:
		return name == SO_REUSEPORT ? "SO_REUSEPORT" : "bound to a device";
	case IPPROTO_IP:
		return name == IP_OPTIONS ? "IP_OPTIONS" : name == 50 ? "IP_UNICAST_IF" : "multicast group";
	case IPPROTO_IPV6:
		return name == IPV6_RTHDR ? "IPV6_RTHDR"
		       : name == IPV6_JOIN_GROUP || (name >= 42 && name <= 48) ? "multicast group"
									       : "IPv6 header option";
	}
	return "unknown";
}

static void addr_text(const struct osh_dst *d, char *buf)
{
	if (!inet_ntop(d->family == 6 ? AF_INET6 : AF_INET, d->addr, buf, INET6_ADDRSTRLEN))
		buf[0] = '\0';
}

static const char *taint_name(uint32_t t)
{
	static const char *const names[] = {
#define X(s) s,
		OSH_TAINT_VARS(X)
#undef X
	};

	if (t == OSH_TAINT_ENV_TOO_LONG)
		return "environment too long to check";
	if (t == OSH_TAINT_ENV_UNREADABLE)
		return "environment unreadable";
	if (t == OSH_TAINT_CODE)
		return "code from a file that it may write";
	if (t == OSH_TAINT_TRACED)
		return "traced";
	if (t == OSH_TAINT_ANCESTORS)
		return "too many ancestors";
	if (t == OSH_TAINT_PATHS)
		return "too many programs";
	if (t == OSH_TAINT_FILTER)
		return "started under a seccomp filter";
	return t && t <= ARRAY_LEN(names) ? names[t - 1] : "unknown";
}

/* What a line is made of; lives until the record is written. */
struct text {
	char host[OSH_NAME_MAX];
	char addr[INET6_ADDRSTRLEN];
	char binary[OSH_PATH_MAX];
	char script[OSH_PATH_MAX];
	char ancestors[OSH_ANCESTORS_MAX * OSH_PATH_MAX]; /* all of them, with their commas */
	char reason[512];
	char proto[32], family[32], type[32];
	char since[40];
};

static void put(struct log_record *r, const char *key, const char *value)
{
	log_str(r, key, slice_str(value));
}

static void identity(struct eventlog *l, struct log_record *r, struct text *t, const struct osh_ident *id)
{
	size_t n = 0;

	kernel_path(l->kernel, id->exe, t->binary);
	put(r, "binary", t->binary[0] ? t->binary : "-");
	if (id->script && kernel_path(l->kernel, id->script, t->script) == 0)
		put(r, "script", t->script);
	t->ancestors[0] = '\0';
	for (uint32_t i = 0; i < id->nanc && i < OSH_ANCESTORS_MAX; i++) {
		char path[OSH_PATH_MAX];

		if (kernel_path(l->kernel, id->anc[i], path) < 0 || n + strlen(path) + 2 > sizeof(t->ancestors))
			continue;
		n += (size_t)snprintf(t->ancestors + n, sizeof(t->ancestors) - n, "%s%s", n ? "," : "", path);
	}
}

/* The block whose name belongs on the line: the first that matches caller and destination, or for a wrong binary the
 * first that covers the destination. */
static const char *block_of(struct eventlog *l, const struct osh_event *e)
{
	const struct image *img = l->image(l->arg, e->gen);
	struct connect_decision c;
	struct block_bits bits;
	char name[OSH_NAME_MAX];
	struct dest d;

	if (!img || e->kind != OSH_EV_CONNECT || !dest_of(l->kernel, &e->dst, &d, name))
		return NULL;
	ident_bits(l->kernel, img, &e->id, &bits);
	image_decide_connect(img, &bits, &d, &c);
	return image_block_name(img, c.block);
}

/* Of a refused socket: for the Internet families the protocol says what it is, for others the family does. */
static const char *socket_name(struct text *t, const struct osh_event *e)
{
	uint32_t family = OSH_SOCKET_FAMILY(e->aux), type = OSH_SOCKET_TYPE(e->aux);

	if (family != AF_INET && family != AF_INET6)
		return family_name(family, t->family, sizeof(t->family));
	if (e->proto == 0 && (type & 0xf) != SOCK_RAW)
		return type_name(type, t->type, sizeof(t->type));
	return proto_name(e->proto, type, t->proto, sizeof(t->proto));
}

static void socket_fields(struct log_record *r, struct text *t, const struct osh_event *e)
{
	uint32_t family = OSH_SOCKET_FAMILY(e->aux);

	put(r, "family", family_name(family, t->family, sizeof(t->family)));
	put(r, "type", type_name(OSH_SOCKET_TYPE(e->aux), t->type, sizeof(t->type)));
	if ((family == AF_INET || family == AF_INET6) && e->proto)
		put(r, "protocol", proto_name(e->proto, 0, t->proto, sizeof(t->proto)));
	else
		log_uint(r, "protocol", e->proto);
}

static const char *reason_text(struct text *t, const struct osh_event *e, const char *block)
{
	char addr[INET6_ADDRSTRLEN];

	switch (e->reason) {
	case OSH_R_NO_MATCH:
		return "no matching network policy";
	case OSH_R_BINARY:
		snprintf(t->reason, sizeof(t->reason), "binary not in policy %s", block ? block : "-");
		return t->reason;
	case OSH_R_NO_IDENTITY:
		if (e->id.taint != OSH_TAINT_ANCESTORS && e->id.taint != OSH_TAINT_PATHS)
			return "no identity";
		snprintf(t->reason, sizeof(t->reason), "no identity: %s", taint_name(e->id.taint));
		return t->reason;
	case OSH_R_TAINTED:
		snprintf(t->reason, sizeof(t->reason), "tainted: %s", taint_name(e->id.taint));
		return t->reason;
	case OSH_R_NAME_EXPIRED:
		return "name expired";
	case OSH_R_ADDRESS:
		addr_text(&e->dst, addr);
		snprintf(t->reason, sizeof(t->reason), "address not allowed (%s: %s)", addr, class_name(e->aux));
		return t->reason;
	case OSH_R_PROTOCOL:
		snprintf(t->reason, sizeof(t->reason), "protocol not allowed (%s)",
			 e->kind == OSH_EV_SOCKET ? socket_name(t, e)
						  : proto_name(e->proto, e->aux, t->proto, sizeof(t->proto)));
		return t->reason;
	case OSH_R_HOST_LOOPBACK:
		return "loopback service of the host";
	case OSH_R_NO_POLICY:
		return "no policy loaded";
	case OSH_R_BIND:
		return "port reserved by the host";
	case OSH_R_SOCKOPT:
		snprintf(t->reason, sizeof(t->reason), "socket option not allowed (%s)", option_name(e->proto, e->aux));
		return t->reason;
	case OSH_R_UNIX:
		return "unix socket not allowed";
	case OSH_R_OUTSIDE:
		return "process outside the sandbox";
	case OSH_R_NO_PROXY:
		return "the proxy is not there";
	}
	return "unknown";
}

static const char *kind_name(uint32_t kind)
{
	switch (kind) {
	case OSH_EV_CONNECT:
		return "connect";
	case OSH_EV_SOCKET:
		return "socket";
	case OSH_EV_BIND:
		return "bind";
	case OSH_EV_SOCKOPT:
		return "sockopt";
	case OSH_EV_UNIX:
		return "unix";
	case OSH_EV_PROCESS:
		return "process";
	}
	return "event";
}

static void destination(struct eventlog *l, struct log_record *r, struct text *t, const struct osh_dst *d)
{
	t->host[0] = '\0';
	if (d->name_addr)
		kernel_name(l->kernel, d->name_addr, t->host);
	addr_text(d, t->addr);
	put(r, "dst_host", t->host[0] ? t->host : t->addr);
	log_uint(r, "dst_port", d->port);
}

static uint64_t wall(const struct eventlog *l, uint64_t boot)
{
	return boot + (uint64_t)l->boot_to_wall;
}

static void put_time(const struct eventlog *l, struct log_record *r, const char *key, uint64_t boot, char *buf, size_t n)
{
	uint64_t ns = wall(l, boot);
	time_t s = (time_t)(ns / 1000000000u);
	struct tm tm = {0};
	size_t k;

	gmtime_r(&s, &tm);
	k = strftime(buf, n, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + k, n - k, ".%06uZ", (unsigned int)(ns % 1000000000u / 1000));
	put(r, key, buf);
}

static void put_summary(const struct eventlog *l, struct log_record *r, const struct summary *sum, char *buf, size_t n)
{
	if (!sum)
		return;
	log_uint(r, "suppressed", sum->count);
	put_time(l, r, "since", sum->since_ns, buf, n);
}

void eventlog_connect(struct eventlog *l, const struct osh_event *e, const struct summary *sum)
{
	bool deny = e->action != OSH_ALLOW;
	const char *block = block_of(l, e);
	struct log_record r;
	struct text t;

	log_init(&r, deny ? LOG_L_WARN : LOG_L_INFO, kind_name(e->kind), wall(l, e->time));
	put(&r, "action", deny ? "deny" : "allow");
	if (e->dst.family)
		destination(l, &r, &t, &e->dst);
	identity(l, &r, &t, &e->id);
	if (deny)
		put(&r, "deny_reason", reason_text(&t, e, block));
	else
		put(&r, "via", e->verdict == OSH_FLOW_NATIVE ? "native" : e->verdict == OSH_FLOW_DNS ? "resolver"
					 : e->verdict == OSH_FLOW_RELAY				     ? "relay"
												     : "proxy");
	put(&r, "policy", block ? block : "-");
	if (e->kind == OSH_EV_SOCKET)
		socket_fields(&r, &t, e);
	log_uint(&r, "pid", e->pid);
	log_uint(&r, "uid", e->uid);
	put(&r, "ancestors", t.ancestors);
	log_uint(&r, "generation", e->gen);
	if (e->dst.family && t.addr[0])
		put(&r, "address", t.addr);
	put_summary(l, &r, sum, t.since, sizeof(t.since));
	log_write(l->log, &r);
}

static struct slice cut(const char *p, uint16_t n, size_t max)
{
	return (struct slice){(const uint8_t *)p, n < max ? n : max};
}

void eventlog_request(struct eventlog *l, const struct wire_event *e, const struct summary *sum)
{
	static const char *const words[] = {"", "allow", "deny", "audit", "error"};
	const struct image *img = l->image(l->arg, e->gen);
	const char *block = img ? image_block_name(img, e->block) : NULL;
	bool violation = e->decision == WD_DENY || e->decision == WD_AUDIT, error = e->decision == WD_ERROR;
	struct log_record r;
	struct text t;

	log_init(&r, violation ? LOG_L_WARN : error ? LOG_L_WARN : LOG_L_INFO, "request", wall(l, e->time));
	put(&r, "l7_decision", e->decision < ARRAY_LEN(words) ? words[e->decision] : "error");
	log_str(&r, "dst_host", cut(e->host, e->host_n, sizeof(e->host)));
	log_str(&r, "l7_action", cut(e->method, e->method_n, sizeof(e->method)));
	log_str(&r, "l7_target", cut(e->target, e->target_n, sizeof(e->target)));
	if (violation)
		log_str(&r, "l7_deny_reason", cut(e->reason, e->reason_n, sizeof(e->reason)));
	else if (e->reason_n)
		log_str(&r, "reason", cut(e->reason, e->reason_n, sizeof(e->reason)));
	log_uint(&r, "dst_port", e->dst.port);
	identity(l, &r, &t, &e->id);
	put(&r, "policy", block ? block : "-");
	if (e->rule_n)
		log_str(&r, "rule", cut(e->rule, e->rule_n, sizeof(e->rule)));
	if (e->rule_line)
		log_uint(&r, "rule_line", e->rule_line);
	log_uint(&r, "status", e->status);
	if (e->pid)
		log_uint(&r, "pid", e->pid);
	if (e->uid != WIRE_NO_UID)
		log_uint(&r, "uid", e->uid);
	put(&r, "ancestors", t.ancestors);
	log_uint(&r, "generation", e->gen);
	if (e->dst.family) {
		addr_text(&e->dst, t.addr);
		put(&r, "address", t.addr);
	}
	log_uint(&r, "bytes_up", e->bytes_up);
	log_uint(&r, "bytes_down", e->bytes_down);
	log_uint(&r, "duration_us", e->duration_ns / 1000);
	put_summary(l, &r, sum, t.since, sizeof(t.since));
	log_write(l->log, &r);
}

void eventlog_revoked(struct eventlog *l, const struct osh_flow *f, uint64_t gen)
{
	struct log_record r;
	struct text t;

	log_init(&r, LOG_L_WARN, "connect", now_ns(CLOCK_REALTIME));
	put(&r, "action", "revoke");
	destination(l, &r, &t, &f->dst);
	identity(l, &r, &t, &f->id);
	put(&r, "reason", "closed by a policy change");
	log_uint(&r, "pid", f->pid);
	log_uint(&r, "uid", f->uid);
	put(&r, "ancestors", t.ancestors);
	log_uint(&r, "generation", gen);
	put(&r, "address", t.addr);
	log_write(l->log, &r);
}

void eventlog_note(struct eventlog *l, enum log_level level, const char *kind, const char *message, ...)
{
	struct log_record r;
	const char *key;
	va_list ap;

	log_init(&r, level, kind, now_ns(CLOCK_REALTIME));
	put(&r, "message", message);
	va_start(ap, message);
	while ((key = va_arg(ap, const char *)))
		put(&r, key, va_arg(ap, const char *));
	va_end(ap);
	log_write(l->log, &r);
}

void eventlog_count(struct eventlog *l, const char *message, const char *key, uint64_t n)
{
	struct log_record r;

	log_init(&r, LOG_L_WARN, "log", now_ns(CLOCK_REALTIME));
	put(&r, "message", message);
	log_uint(&r, key, n);
	log_write(l->log, &r);
}

void eventlog_lost(struct eventlog *l, const char *message, const char *const *names, const uint64_t *counts, size_t n,
		   uint64_t since_ns, uint64_t until_ns)
{
	char since[40], until[40];
	struct log_record r;
	uint64_t sum = 0;

	log_init(&r, LOG_L_ERROR, "log", now_ns(CLOCK_REALTIME));
	put(&r, "message", message);
	for (size_t i = 0; i < n; i++)
		sum += counts[i];
	log_uint(&r, "count", sum);
	for (size_t i = 0; i < n; i++)
		if (counts[i])
			log_uint(&r, names[i], counts[i]);
	put_time(l, &r, "since", since_ns, since, sizeof(since));
	put_time(l, &r, "until", until_ns, until, sizeof(until));
	log_write(l->log, &r);
}
