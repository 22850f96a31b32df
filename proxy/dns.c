/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.c - the DNS reader and writer described in dns.h.
 *
 * The bytes come straight from the agent.  The reader moves one cursor forward, checks every length
 * before it looks, follows no pointer and allocates nothing.
 */
#include "proxy/dns.h"

#define FLAG_QR 0x8000u
#define FLAG_TC 0x0200u
#define FLAG_RD 0x0100u
#define FLAG_RA 0x0080u
#define FLAG_CD 0x0010u
#define OPCODE(flags) (((flags) >> 11) & 15u)

#define CLASS_IN 1
#define EDNS_DO 0x8000u
#define NEGATIVE_TTL 60 /* seconds, for empty answers and names that do not exist */

/* ------------------------------------------------------------------------------------ cursor -- */

struct cursor {
	const uint8_t *p, *end;
};

static size_t left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

static bool take8(struct cursor *c, uint8_t *ret)
{
	if (left(c) < 1)
		return false;
	*ret = *c->p++;
	return true;
}

static bool take16(struct cursor *c, uint16_t *ret)
{
	if (left(c) < 2)
		return false;
	*ret = (uint16_t)(c->p[0] << 8 | c->p[1]);
	c->p += 2;
	return true;
}

static bool skip(struct cursor *c, size_t n)
{
	if (left(c) < n)
		return false;
	c->p += n;
	return true;
}

/* ------------------------------------------------------------------------------------- names -- */

static uint8_t lower(uint8_t b)
{
	return b >= 'A' && b <= 'Z' ? (uint8_t)(b + ('a' - 'A')) : b;
}

static bool is_digit(uint8_t b)
{
	return b >= '0' && b <= '9';
}

static bool is_name_byte(uint8_t b)
{
	b = lower(b);
	return (b >= 'a' && b <= 'z') || is_digit(b) || b == '-' || b == '_';
}

static bool is_hex(uint8_t b)
{
	b = lower(b);
	return is_digit(b) || (b >= 'a' && b <= 'f');
}

/* What inet_aton() would take for a number: decimal, octal, 0x hexadecimal. */
static bool is_number(const uint8_t *p, size_t n)
{
	bool hex = n >= 2 && p[0] == '0' && lower(p[1]) == 'x';

	for (size_t i = hex ? 2 : 0; i < n; i++)
		if (!(hex ? is_hex(p[i]) : is_digit(p[i])))
			return false;
	return true;
}

bool dns_name_plain(struct slice name)
{
	size_t start = 0;

	if (name.n == 0 || name.n > DNS_NAME_TEXT_MAX)
		return false;
	for (size_t i = 0; i <= name.n; i++) {
		if (i < name.n && name.p[i] != '.') {
			if (!is_name_byte(name.p[i]))
				return false;
			continue;
		}
		if (i == start || i - start > DNS_LABEL_MAX)
			return false;
		if (i < name.n)
			start = i + 1;
	}
	return !is_number(name.p + start, name.n - start);
}

size_t dns_name_fold(struct slice name, char ret[DNS_NAME_TEXT_MAX + 1])
{
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	if (!dns_name_plain(name))
		return 0;
	for (size_t i = 0; i < name.n; i++)
		ret[i] = (char)lower(name.p[i]);
	ret[name.n] = '\0';
	return name.n;
}

bool dns_name_is_localhost(struct slice folded)
{
	static const struct slice tail = SLICE_LIT(".localhost");

	if (slice_eq_str(folded, "localhost"))
		return true;
	return folded.n > tail.n && memcmp(folded.p + folded.n - tail.n, tail.p, tail.n) == 0;
}

/* One decimal byte, no leading zero, up to a dot that is taken too. */
static bool take_octet(struct cursor *c, uint32_t *ret)
{
	uint32_t v = 0;
	size_t n = 0;

	while (n < 3 && left(c) > n && is_digit(c->p[n]))
		v = v * 10 + (uint32_t)(c->p[n++] - '0');
	if (n == 0 || v > 255 || (n > 1 && c->p[0] == '0') || left(c) <= n || c->p[n] != '.')
		return false;
	c->p += n + 1;
	*ret = v;
	return true;
}

int dns_parse_ptr4(struct slice folded, uint32_t *ret)
{
	struct cursor c = {folded.p, folded.p + folded.n};
	uint32_t a = 0, octet;

	for (unsigned i = 0; i < 4; i++) {
		if (!take_octet(&c, &octet))
			return -EINVAL;
		a |= octet << (8 * i);
	}
	if (!slice_eq_str((struct slice){c.p, left(&c)}, "in-addr.arpa"))
		return -EINVAL;
	*ret = a;
	return 0;
}

size_t dns_name_to_wire(struct slice name, uint8_t ret[DNS_NAME_WIRE_MAX])
{
	size_t start = 0;

	if (!dns_name_plain(name))
		return 0;
	for (size_t i = 0; i <= name.n; i++) {
		if (i < name.n && name.p[i] != '.') {
			ret[i + 1] = name.p[i];
			continue;
		}
		ret[start] = (uint8_t)(i - start);
		start = i + 1;
	}
	ret[start] = 0;
	return start + 1;
}

/* ----------------------------------------------------------------------------------- reading -- */

/* The question's name.  Fills name when all its bytes are ones we serve; a stranger name is
 * well-formed all the same (RFC 2181 section 11) and only leaves plain unset. */
static bool take_name(struct cursor *c, struct dns_query *q)
{
	uint8_t text[DNS_NAME_WIRE_MAX];
	size_t n = 0, wire = 1;
	bool strange = false;
	uint8_t len;

	for (;;) {
		if (!take8(c, &len) || len > DNS_LABEL_MAX)
			return false; /* 0xc0: compression has no place in a question */
		if (len == 0)
			break;
		wire += (size_t)len + 1;
		if (wire > DNS_NAME_WIRE_MAX || left(c) < len)
			return false;
		if (n)
			text[n++] = '.';
		for (uint8_t i = 0; i < len; i++) {
			/* A dot inside a label must not become a separator. */
			strange |= !is_name_byte(c->p[i]);
			text[n++] = c->p[i];
		}
		c->p += len;
	}
	if (n == 0) {
		q->plain = true; /* the root */
	} else if (!strange) {
		q->name_n = dns_name_fold((struct slice){text, n}, q->name);
		q->plain = q->name_n > 0;
	}
	return true;
}

static bool take_question(struct cursor *c, struct dns_query *q)
{
	const uint8_t *start = c->p;

	if (!take_name(c, q) || !take16(c, &q->type) || !take16(c, &q->class))
		return false;
	q->question_n = (size_t)(c->p - start);
	memcpy(q->question, start, q->question_n);
	return true;
}

/* EDNS options must fill the record exactly; none of them means anything here. */
static bool skip_options(struct cursor *c, size_t n)
{
	struct cursor o = {c->p, c->p + n};
	uint16_t code, len;

	while (left(&o) > 0)
		if (!take16(&o, &code) || !take16(&o, &len) || !skip(&o, len))
			return false;
	return skip(c, n);
}

/* The one additional record a query may have (RFC 6891 section 6.1.2). */
static bool take_opt(struct cursor *c, struct dns_query *q, uint8_t *ret_version)
{
	uint8_t owner, xrcode;
	uint16_t type, size, flags, n;

	if (!take8(c, &owner) || owner != 0 || !take16(c, &type) || type != DNS_TYPE_OPT)
		return false;
	if (!take16(c, &size) || !take8(c, &xrcode) || !take8(c, ret_version) ||
	    !take16(c, &flags) || !take16(c, &n) || left(c) < n || !skip_options(c, n))
		return false;
	q->edns = true;
	q->dnssec_ok = flags & EDNS_DO;
	return true;
}

static int check_type(const struct dns_query *q)
{
	if (q->type == 0 || q->type == DNS_TYPE_OPT ||
	    (q->type >= DNS_TYPE_TKEY && q->type <= DNS_TYPE_ANY))
		return DNS_NOTIMP; /* meta types, zone transfers, ANY (RFC 8482) */
	return 0;
}

int dns_parse_query(struct slice packet, struct dns_query *ret)
{
	struct cursor c = {packet.p, packet.p + packet.n};
	uint16_t flags, counts[4];
	uint8_t version = 0;

	*ret = (struct dns_query){0};
	if (packet.n < DNS_HEADER_SIZE)
		return -EBADMSG;
	take16(&c, &ret->id);
	take16(&c, &flags);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		take16(&c, &counts[i]);
	if (flags & FLAG_QR)
		return -EBADMSG;
	ret->opcode = (uint8_t)OPCODE(flags);
	ret->rd = flags & FLAG_RD;
	ret->cd = flags & FLAG_CD;
	if (ret->opcode != 0)
		return DNS_NOTIMP;
	/* RFC 9619: exactly one question; nothing but an OPT beside it. */
	if ((flags & FLAG_TC) || counts[0] != 1 || counts[1] || counts[2] || counts[3] > 1)
		return DNS_FORMERR;
	if (!take_question(&c, ret))
		return DNS_FORMERR;
	if ((counts[3] && !take_opt(&c, ret, &version)) || left(&c) > 0)
		return DNS_FORMERR;
	if (version != 0)
		return DNS_BADVERS;
	if (ret->class != CLASS_IN)
		return DNS_REFUSED;
	return check_type(ret);
}

/* ----------------------------------------------------------------------------------- writing -- */

struct out {
	uint8_t *p;
	size_t n;
};

static void put(struct out *o, const void *p, size_t n)
{
	if (n > DNS_ANSWER_MAX - o->n)
		return; /* cannot happen: see DNS_ANSWER_MAX; never past the buffer all the same */
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void put8(struct out *o, unsigned v)
{
	uint8_t b = (uint8_t)v;

	put(o, &b, 1);
}

static void put16(struct out *o, unsigned v)
{
	put8(o, v >> 8);
	put8(o, v & 0xff);
}

static void put32(struct out *o, uint32_t v)
{
	put16(o, v >> 16);
	put16(o, v & 0xffff);
}

static void put_record(struct out *o, const struct dns_record *rr)
{
	put16(o, 0xc000 | DNS_HEADER_SIZE); /* the question's name */
	put16(o, rr->type);
	put16(o, CLASS_IN);
	put32(o, rr->ttl);
	put16(o, (unsigned)rr->rdata.n);
	put(o, rr->rdata.p, rr->rdata.n);
}

/* RFC 2308: an empty answer without a SOA is not cached and looks like a referral to some. */
static void put_soa(struct out *o)
{
	put8(o, 0);
	put16(o, DNS_TYPE_SOA);
	put16(o, CLASS_IN);
	put32(o, NEGATIVE_TTL);
	put16(o, 2 + 5 * 4);
	put8(o, 0); /* MNAME, RNAME: the root */
	put8(o, 0);
	put32(o, 1); /* serial, refresh, retry, expire, minimum */
	put32(o, 3600);
	put32(o, 600);
	put32(o, 86400);
	put32(o, NEGATIVE_TTL);
}

static void put_opt(struct out *o, const struct dns_query *q, enum dns_rcode rcode)
{
	put8(o, 0);
	put16(o, DNS_TYPE_OPT);
	put16(o, DNS_EDNS_SIZE);
	put8(o, (unsigned)rcode >> 4);
	put8(o, 0); /* version */
	put16(o, q->dnssec_ok ? EDNS_DO : 0);
	put16(o, 0);
}

size_t dns_answer(const struct dns_query *q, enum dns_rcode rcode, const struct dns_record *rr,
		  uint8_t ret[DNS_ANSWER_MAX])
{
	bool negative = !rr && q->question_n && (rcode == DNS_NOERROR || rcode == DNS_NXDOMAIN);
	struct out o = {ret, 0};

	put16(&o, q->id);
	put16(&o, FLAG_QR | (unsigned)q->opcode << 11 | (q->rd ? FLAG_RD : 0) | FLAG_RA |
			  (q->cd ? FLAG_CD : 0) | ((unsigned)rcode & 15u));
	put16(&o, q->question_n ? 1 : 0);
	put16(&o, rr ? 1 : 0);
	put16(&o, negative ? 1 : 0);
	put16(&o, q->edns ? 1 : 0);
	put(&o, q->question, q->question_n);
	if (rr)
		put_record(&o, rr);
	if (negative)
		put_soa(&o);
	if (q->edns)
		put_opt(&o, q, rcode);
	return o.n;
}
