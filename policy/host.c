/* SPDX-License-Identifier: Apache-2.0 */
/* host.c - hosts, addresses and networks as people write them. */
#include "policy/host.h"

#include <arpa/inet.h>
#include <stdarg.h>

__attribute__((format(printf, 3, 4))) static int bad(char *why, size_t n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---------------------------------------------------------------------------- addresses -- */

void address_unmap(uint8_t *family, uint8_t addr[16])
{
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (*family != 6 || memcmp(addr, prefix, sizeof(prefix)) != 0)
		return;
	*family = 4;
	memmove(addr, addr + 12, 4);
	memset(addr + 4, 0, 12);
}

bool address_parse(struct slice s, uint8_t *ret_family, uint8_t ret_addr[16])
{
	char buf[INET6_ADDRSTRLEN + 1];
	uint8_t addr[16] = {0}, family;

	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']') {
		s.p++;
		s.n -= 2;
		if (!memchr(s.p, ':', s.n))
			return false;
	}
	if (s.n == 0 || s.n >= sizeof(buf) || memchr(s.p, 0, s.n))
		return false;
	memcpy(buf, s.p, s.n);
	buf[s.n] = 0;
	if (inet_pton(AF_INET, buf, addr) == 1)
		family = 4;
	else if (inet_pton(AF_INET6, buf, addr) == 1)
		family = 6;
	else
		return false;
	address_unmap(&family, addr);
	*ret_family = family;
	memcpy(ret_addr, addr, 16);
	return true;
}

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

enum osh_addr_class address_class(uint8_t family, const uint8_t addr[16])
{
	const __u32 w[4] = {word(addr), word(addr + 4), word(addr + 8), word(addr + 12)};

	return family == 4 ? osh_addr_class4(w[0]) : osh_addr_class6(w);
}

const char *address_class_name(enum osh_addr_class c)
{
	static const char *const names[] = {
		"public",	 "private",   "loopback", "link-local",
		"unspecified", "multicast", "reserved",
	};

	return (size_t)c < ARRAY_LEN(names) ? names[c] : "reserved";
}

/* ----------------------------------------------------------------------------- networks -- */

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || (uint8_t)(a[bytes] ^ b[bytes]) >> (8 - rest) == 0;
}

bool net_has(const struct pol_net *net, uint8_t family, const uint8_t addr[16])
{
	return net->family == family && same_bits(net->addr, addr, net->prefix);
}

static void clear_host_bits(struct pol_net *n)
{
	for (unsigned int bit = n->prefix; bit < 128; bit++)
		n->addr[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
}

/* Networks that no policy can open. */
static const struct {
	struct pol_net net;
	const char *name;
} never[] = {
	{{4, 8, {0}}, "unspecified (0.0.0.0/8)"},
	{{4, 8, {127}}, "loopback (127.0.0.0/8)"},
	{{4, 16, {169, 254}}, "link-local (169.254.0.0/16)"},
	{{6, 128, {0}}, "unspecified (::)"},
	{{6, 128, {[15] = 1}}, "loopback (::1)"},
	{{6, 10, {0xfe, 0x80}}, "link-local (fe80::/10)"},
	{{6, 96, {[10] = 0xff, [11] = 0xff}}, "IPv4-mapped (write the IPv4 network)"},
};

static int check_never(const struct pol_net *n, char *why, size_t why_n)
{
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		const struct pol_net *v = &never[i].net;
		unsigned int bits = n->prefix < v->prefix ? n->prefix : v->prefix;

		if (n->family == v->family && same_bits(n->addr, v->addr, bits))
			return bad(why, why_n, "%s is never allowed", never[i].name);
	}
	return 0;
}

/* A network of addresses of one class that is never allowed: an entry that would do nothing. */
static int check_class(const struct pol_net *n, char *why, size_t why_n)
{
	static const uint8_t nat64[16] = {0x00, 0x64, 0xff, 0x9b};
	enum osh_addr_class first = address_class(n->family, n->addr), last;
	uint8_t end[16];

	memcpy(end, n->addr, sizeof(end));
	for (unsigned int bit = n->prefix; bit < (n->family == 4 ? 32 : 128); bit++)
		end[bit / 8] |= (uint8_t)(0x80u >> (bit % 8));
	last = address_class(n->family, end);
	if (first != last || !OSH_ADDR_NEVER(first))
		return 0;
	/* Between two ends alike only these hold something else: 192.0.0.0/2, and the networks around
	 * NAT64's prefix. */
	if (n->family == 4 ? n->prefix >= 3 : !net_has(n, 6, nat64))
		return bad(why, why_n, "%s addresses are never allowed", address_class_name(first));
	return 0;
}

static int read_prefix(struct slice s, unsigned int most, unsigned int *ret)
{
	unsigned int v = 0;

	if (s.n == 0 || s.n > 3 || (s.n > 1 && s.p[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
		v = v * 10 + (unsigned int)(s.p[i] - '0');
	}
	if (v > most)
		return -EINVAL;
	*ret = v;
	return 0;
}

int net_read(struct slice s, struct pol_net *ret, char *why, size_t why_n)
{
	const uint8_t *slash = s.n ? memchr(s.p, '/', s.n) : NULL;
	struct slice addr = {s.p, slash ? (size_t)(slash - s.p) : s.n};
	struct pol_net n = {0};
	bool colon = addr.n && memchr(addr.p, ':', addr.n);
	unsigned int bits = colon ? 128 : 32, prefix = bits;

	if (!address_parse(addr, &n.family, n.addr))
		return bad(why, why_n, "not an address or network (such as 10.0.0.0/8)");
	if (slash) {
		struct slice p = {slash + 1, s.n - addr.n - 1};

		if (read_prefix(p, bits, &prefix) < 0)
			return bad(why, why_n, "the prefix length must be 0 to %u", bits);
	}
	if (colon && n.family == 4) { /* mapped: judged as what it maps */
		if (prefix < 96)
			return bad(why, why_n,
				   "IPv4-mapped (write the IPv4 network) is never allowed");
		prefix -= 96;
	}
	n.prefix = (uint8_t)prefix;
	clear_host_bits(&n);
	*ret = n;
	return 0;
}

int net_parse(struct slice s, struct pol_net *ret, char *why, size_t why_n)
{
	struct pol_net n;
	int r = net_read(s, &n, why, why_n);

	if (r == 0)
		r = check_never(&n, why, why_n);
	if (r == 0)
		r = check_class(&n, why, why_n);
	if (r == 0)
		*ret = n;
	return r;
}

/* -------------------------------------------------------------------------------- names -- */

static bool label_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

size_t host_lower(struct slice s, char out[HOST_MAX + 1])
{
	size_t label = 0;

	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n == 0 || s.n > HOST_MAX)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = lower(s.p[i]);

		if (c == '.' ? label == 0 : c <= 0x20 || c >= 0x7f)
			return 0;
		label = c == '.' ? 0 : label + 1;
		out[i] = (char)c;
	}
	out[s.n] = 0;
	return label ? s.n : 0;
}

static bool all_digits(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

/* What inet_aton(3) and browsers take for a number, and so for an address. */
static bool numeric(struct slice s)
{
	if (s.n < 2 || s.p[0] != '0' || s.p[1] != 'x')
		return all_digits(s);
	for (size_t i = 2; i < s.n; i++)
		if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return true;
}

static bool is_star(struct slice label)
{
	return slice_eq_str(label, "*") || slice_eq_str(label, "**");
}

struct host_scan {
	size_t labels;
	bool pattern;
	struct slice first, last;
};

static int check_label(struct slice l, bool first, char *why, size_t n)
{
	if (l.n == 0)
		return bad(why, n, "has an empty label");
	if (l.n > 63)
		return bad(why, n, "has a label of more than 63 characters");
	if (first && slice_eq_str(l, "**"))
		return 0;
	for (size_t i = 0; i < l.n; i++) {
		if (l.p[i] == '*') {
			if (i + 1 < l.n && l.p[i + 1] == '*')
				return bad(why, n, "has a '**' that is not the whole first label");
			continue;
		}
		if (l.p[i] >= 0x80)
			return bad(why, n, "is not ASCII (write the xn-- form)");
		if (!label_byte(l.p[i]))
			return bad(why, n, "has a character that no host name has: '%c'", l.p[i]);
	}
	return 0;
}

static int scan_labels(struct slice h, struct host_scan *ret, char *why, size_t n)
{
	struct host_scan s = {0};

	for (size_t i = 0, k; i <= h.n; i += k + 1) {
		struct slice l;
		int r;

		for (k = 0; i + k < h.n && h.p[i + k] != '.'; k++)
			;
		l = (struct slice){h.p + i, k};
		r = check_label(l, i == 0, why, n);
		if (r < 0)
			return r;
		if (i == 0)
			s.first = l;
		s.last = l;
		s.labels++;
		s.pattern |= memchr(l.p, '*', l.n) != NULL;
	}
	*ret = s;
	return 0;
}

static int check_pattern(struct slice h, const struct host_scan *s, char *why, size_t n)
{
	if (s->labels == 1 && is_star(s->first))
		return 0;
	if (memchr(s->last.p, '*', s->last.n))
		return bad(why, n,
			   "has a wildcard in its last label, which spans domains of strangers");
	if (s->labels == 2 && is_star(s->first))
		return bad(
			why, n,
			"spans a whole top-level domain; name the domain, as in '*.example.%.*s'",
			(int)(s->last.n < 20 ? s->last.n : 20), s->last.p);
	(void)h;
	return 0;
}

static int check_not_url(struct slice s, char *why, size_t n)
{
	const uint8_t *colon = s.n ? memchr(s.p, ':', s.n) : NULL;

	if (s.n && memmem(s.p, s.n, "://", 3))
		return bad(why, n, "is a URL; write the host name alone");
	if (s.n && memchr(s.p, '/', s.n))
		return bad(why, n,
			   "has a '/'; a network belongs in 'allowed_ips', a path in 'path'");
	if (colon && s.p[0] != '[' &&
	    all_digits((struct slice){colon + 1, s.n - (size_t)(colon - s.p) - 1}))
		return bad(why, n, "has a port; write it in 'port'");
	if (colon)
		return bad(why, n, "is neither a host name nor an IPv6 address");
	return 0;
}

static int host_address(struct pol_endpoint *ret, char *why, size_t n)
{
	const struct pol_net *a = &ret->address;
	enum osh_addr_class c = address_class(a->family, a->addr);

	if (OSH_ADDR_NEVER(c))
		return bad(why, n, "is %s, which is never allowed", address_class_name(c));
	ret->address.prefix = a->family == 4 ? 32 : 128;
	ret->host_kind = HOST_ADDRESS;
	return 0;
}

int host_parse(struct slice s, char *out, struct pol_endpoint *ret, char *why, size_t why_n)
{
	struct host_scan scan;
	struct slice h;
	int r;

	if (address_parse(s, &ret->address.family, ret->address.addr)) {
		memcpy(out, s.p, s.n); /* at most INET6_ADDRSTRLEN and brackets */
		ret->host = (struct slice){(const uint8_t *)out, s.n};
		return host_address(ret, why, why_n);
	}
	r = check_not_url(s, why, why_n);
	if (r < 0)
		return r;
	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n > HOST_MAX)
		return bad(why, why_n, "is longer than %d characters", HOST_MAX);
	for (size_t i = 0; i < s.n; i++)
		out[i] = (char)lower(s.p[i]);
	out[s.n] = 0;
	h = (struct slice){(const uint8_t *)out, s.n};
	r = scan_labels(h, &scan, why, why_n);
	if (r == 0)
		r = check_pattern(h, &scan, why, why_n);
	if (r < 0)
		return r;
	if (numeric(scan.last))
		return bad(why, why_n, "is neither an IPv4 address nor a name");
	ret->host = h;
	ret->host_kind = scan.pattern ? HOST_PATTERN : HOST_EXACT;
	return 0;
}

/* ---------------------------------------------------------------------------- automaton -- */

/* `*`: part of a label, or all of one, which then has at least one character; `**`: one or more
 * labels. */
uint32_t host_add(struct nfa *a, uint32_t from, struct slice host)
{
	struct byteset name = {{~0ull, ~0ull, ~0ull, ~0ull}}, label;
	uint32_t at = nfa_byte(a, from, 'n');

	byteset_remove(&name, 0);
	label = name;
	byteset_remove(&label, '.');
	for (size_t i = 0; i < host.n; i++) {
		bool starts = i == 0 || host.p[i - 1] == '.';

		if (host.p[i] != '*') {
			at = nfa_byte(a, at, host.p[i]);
		} else if (i + 1 < host.n && host.p[i + 1] == '*') {
			at = nfa_star(a, nfa_set(a, at, &label), &name);
			i++;
		} else {
			bool ends = i + 1 == host.n || host.p[i + 1] == '.';

			at = starts && ends ? nfa_set(a, at, &label) : at;
			at = nfa_star(a, at, &label);
		}
	}
	return nfa_byte(a, at, 0);
}

uint32_t net_add(struct nfa *a, uint32_t from, const struct pol_net *net)
{
	static const struct byteset all = {{~0ull, ~0ull, ~0ull, ~0ull}};
	uint32_t at = nfa_byte(a, from, net->family == 4 ? '4' : '6');
	unsigned int bytes = net->family == 4 ? 4 : 16;

	for (unsigned int i = 0; i < bytes; i++) {
		unsigned int bits = net->prefix <= i * 8 ? 0 : net->prefix - i * 8;
		struct byteset s = {0};

		if (bits >= 8) {
			at = nfa_byte(a, at, net->addr[i]);
			continue;
		}
		if (bits)
			byteset_range(&s, net->addr[i], net->addr[i] | 0xffu >> bits);
		at = nfa_set(a, at, bits ? &s : &all);
	}
	return at;
}
