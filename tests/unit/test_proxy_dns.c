/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proxy_dns.c - the DNS reader and writer, byte for byte.  Answers are read back with code of
 * the test's own and the C library's, so that reader and writer cannot be wrong together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <arpa/nameser.h>
#include <resolv.h>

#include "proxy/dns.h"

#define RD 0x0100
#define FLAGS_QUERY RD

struct packet {
	uint8_t b[4096];
	size_t n;
};

static void raw(struct packet *p, const void *b, size_t n)
{
	memcpy(p->b + p->n, b, n);
	p->n += n;
}

static void u8(struct packet *p, unsigned v)
{
	uint8_t b = (uint8_t)v;

	raw(p, &b, 1);
}

static void u16(struct packet *p, unsigned v)
{
	u8(p, v >> 8);
	u8(p, v & 0xff);
}

static void header(struct packet *p, unsigned flags, unsigned qd, unsigned an, unsigned ns,
		   unsigned ar)
{
	p->n = 0;
	u16(p, 0xbeef);
	u16(p, flags);
	u16(p, qd);
	u16(p, an);
	u16(p, ns);
	u16(p, ar);
}

static void label(struct packet *p, const void *b, size_t n)
{
	u8(p, (unsigned)n);
	raw(p, b, n);
}

/* Dots separate; for anything odd use label(). */
static void name(struct packet *p, const char *s)
{
	while (*s) {
		size_t n = strcspn(s, ".");

		label(p, s, n);
		s += n + (s[n] == '.');
	}
	u8(p, 0);
}

static void question(struct packet *p, const char *s, unsigned type)
{
	name(p, s);
	u16(p, type);
	u16(p, 1);
}

static void opt(struct packet *p, unsigned version, unsigned flags, const void *data, size_t n)
{
	u8(p, 0);
	u16(p, 41);
	u16(p, 4096);
	u8(p, 0);
	u8(p, version);
	u16(p, flags);
	u16(p, (unsigned)n);
	raw(p, data, n);
}

static struct packet simple(const char *s, unsigned type)
{
	struct packet p;

	header(&p, FLAGS_QUERY, 1, 0, 0, 0);
	question(&p, s, type);
	return p;
}

static int parse(const struct packet *p, struct dns_query *q)
{
	/* An exact allocation, so that the sanitizer sees a read past the end. */
	uint8_t *copy = malloc(p->n ? p->n : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, p->b, p->n);
	r = dns_parse_query((struct slice){copy, p->n}, q);
	free(copy);
	return r;
}

static int parse_only(const struct packet *p)
{
	struct dns_query q;

	return parse(p, &q);
}

/* ----------------------------------------------------------------------------------- reading -- */

static void test_plain_query(void **s)
{
	struct packet p = simple("api.Example.COM", 1);
	struct dns_query q;

	(void)s;
	assert_int_equal(parse(&p, &q), 0);
	assert_int_equal(q.id, 0xbeef);
	assert_true(q.rd);
	assert_false(q.cd);
	assert_false(q.edns);
	assert_int_equal(q.type, DNS_TYPE_A);
	assert_true(q.plain);
	assert_string_equal(q.name, "api.example.com");
	assert_int_equal(q.name_n, 15);
	assert_int_equal(q.question_n, 17 + 4);
	assert_memory_equal(q.question, p.b + 12, q.question_n); /* 0x20: case is kept */
}

static void test_every_prefix_is_refused(void **s)
{
	struct packet p, cut;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.bc.example", 1);
	opt(&p, 0, 0, "\0\x0a\0\x08" "12345678", 12);
	assert_int_equal(parse_only(&p), 0);
	for (size_t n = 0; n < p.n; n++) {
		cut = p;
		cut.n = n;
		assert_int_equal(parse_only(&cut), n < 12 ? -EBADMSG : DNS_FORMERR);
	}
}

static void test_answers_are_not_answered(void **s)
{
	struct packet p;

	(void)s;
	header(&p, 0x8180, 1, 0, 0, 0);
	question(&p, "a.example", 1);
	assert_int_equal(parse_only(&p), -EBADMSG);
	p.n = 0;
	assert_int_equal(parse_only(&p), -EBADMSG);
}

static void test_opcodes(void **s)
{
	(void)s;
	for (unsigned op = 1; op < 16; op++) {
		struct packet p;
		struct dns_query q;

		header(&p, op << 11, 1, 0, 0, 0);
		question(&p, "a.example", 1);
		assert_int_equal(parse(&p, &q), DNS_NOTIMP);
		assert_int_equal(q.opcode, op);
		assert_int_equal(q.question_n, 0);
	}
}

static void test_counts(void **s)
{
	static const unsigned bad[][4] = {
		{0, 0, 0, 0}, {2, 0, 0, 0}, {1, 1, 0, 0}, {1, 0, 1, 0},
		{1, 0, 0, 2}, {1, 0, 0, 1}, {0xffff, 0, 0, 0}, {1, 0xffff, 0xffff, 0xffff},
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct packet p;

		header(&p, FLAGS_QUERY, bad[i][0], bad[i][1], bad[i][2], bad[i][3]);
		question(&p, "a.example", 1);
		assert_int_equal(parse_only(&p), DNS_FORMERR);
	}
}

static void test_two_questions(void **s)
{
	struct packet p;

	(void)s;
	header(&p, FLAGS_QUERY, 2, 0, 0, 0);
	question(&p, "a.example", 1);
	question(&p, "b.example", 1);
	assert_int_equal(parse_only(&p), DNS_FORMERR);
	p.b[5] = 1; /* one announced, two there */
	assert_int_equal(parse_only(&p), DNS_FORMERR);
}

static void test_trailing_junk(void **s)
{
	struct packet p = simple("a.example", 1);

	(void)s;
	u8(&p, 0);
	assert_int_equal(parse_only(&p), DNS_FORMERR);
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.example", 1);
	opt(&p, 0, 0, "", 0);
	assert_int_equal(parse_only(&p), 0);
	u8(&p, 0xff);
	assert_int_equal(parse_only(&p), DNS_FORMERR);
}

static void test_truncated_flag(void **s)
{
	struct packet p = simple("a.example", 1);

	(void)s;
	p.b[2] |= 0x02;
	assert_int_equal(parse_only(&p), DNS_FORMERR);
}

static void test_harmless_flags(void **s)
{
	struct packet p = simple("a.example", 1);
	struct dns_query q;

	(void)s;
	p.b[2] |= 0x04; /* AA */
	p.b[3] |= 0x20; /* AD */
	p.b[3] |= 0x10; /* CD */
	p.b[3] |= 0x40; /* Z */
	p.b[3] |= 0x80; /* RA */
	assert_int_equal(parse(&p, &q), 0);
	assert_true(q.cd);
	p.b[2] &= (uint8_t)~1u;
	assert_int_equal(parse(&p, &q), 0);
	assert_false(q.rd);
}

static void test_compression_in_question(void **s)
{
	static const uint8_t lens[] = {0x40, 0x80, 0xc0, 0xff};
	struct packet p;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		header(&p, FLAGS_QUERY, 1, 0, 0, 0);
		u8(&p, lens[i]);
		u8(&p, 12);
		u16(&p, 1);
		u16(&p, 1);
		assert_int_equal(parse_only(&p), DNS_FORMERR);
	}
	header(&p, FLAGS_QUERY, 1, 0, 0, 0);
	label(&p, "www", 3);
	u8(&p, 0xc0);
	u8(&p, 12);
	u16(&p, 1);
	u16(&p, 1);
	assert_int_equal(parse_only(&p), DNS_FORMERR);
}

static void test_label_bounds(void **s)
{
	char text[80];
	struct packet p;
	struct dns_query q;

	(void)s;
	memset(text, 'x', sizeof(text));
	text[63] = '\0';
	p = simple(text, 1);
	assert_int_equal(parse(&p, &q), 0);
	assert_true(q.plain);
	assert_int_equal(q.name_n, 63);
	text[63] = 'x';
	text[64] = '\0';
	p = simple(text, 1); /* length byte 64: no label */
	assert_int_equal(parse(&p, &q), DNS_FORMERR);
}

/* n bytes of wire name: labels of 63 and a rest. */
static void long_question(struct packet *p, size_t wire)
{
	uint8_t x[63];

	memset(x, 'x', sizeof(x));
	header(p, FLAGS_QUERY, 1, 0, 0, 0);
	for (size_t left = wire - 1; left;) {
		size_t n = left > 64 ? 64 : left;

		if (left - n == 1)
			n--; /* a label needs two bytes */
		label(p, x, n - 1);
		left -= n;
	}
	u8(p, 0);
	u16(p, 1);
	u16(p, 1);
}

static void test_name_bounds(void **s)
{
	struct packet p;
	struct dns_query q;

	(void)s;
	long_question(&p, 255);
	assert_int_equal(parse(&p, &q), 0);
	assert_true(q.plain);
	assert_int_equal(q.name_n, 253);
	assert_int_equal(q.question_n, DNS_QUESTION_MAX);
	long_question(&p, 256);
	assert_int_equal(parse(&p, &q), DNS_FORMERR);
	long_question(&p, 300);
	assert_int_equal(parse(&p, &q), DNS_FORMERR);
	long_question(&p, 3000);
	assert_int_equal(parse(&p, &q), DNS_FORMERR);
}

static void test_127_labels(void **s)
{
	struct packet p;
	struct dns_query q;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 0);
	for (int i = 0; i < 127; i++)
		label(&p, "a", 1);
	u8(&p, 0);
	u16(&p, 1);
	u16(&p, 1);
	assert_int_equal(parse(&p, &q), 0);
	assert_int_equal(q.name_n, 253);
	header(&p, FLAGS_QUERY, 1, 0, 0, 0);
	for (int i = 0; i < 128; i++)
		label(&p, "a", 1);
	u8(&p, 0);
	u16(&p, 1);
	u16(&p, 1);
	assert_int_equal(parse(&p, &q), DNS_FORMERR);
}

static void test_strange_bytes(void **s)
{
	(void)s;
	for (unsigned b = 0; b < 256; b++) {
		uint8_t l[3] = {'a', (uint8_t)b, 'c'};
		bool good = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
			    (b >= '0' && b <= '9') || b == '-' || b == '_';
		struct packet p;
		struct dns_query q;

		header(&p, FLAGS_QUERY, 1, 0, 0, 0);
		label(&p, l, 3);
		label(&p, "example", 7);
		u8(&p, 0);
		u16(&p, 1);
		u16(&p, 1);
		assert_int_equal(parse(&p, &q), 0);
		assert_int_equal(q.plain, good);
		if (!good)
			assert_int_equal(q.name_n, 0);
	}
}

static void test_dot_in_label(void **s)
{
	struct packet p;
	struct dns_query q;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 0);
	label(&p, "evil.api", 8); /* must not read as evil.api.example.com */
	label(&p, "example", 7);
	label(&p, "com", 3);
	u8(&p, 0);
	u16(&p, 1);
	u16(&p, 1);
	assert_int_equal(parse(&p, &q), 0);
	assert_false(q.plain);
	assert_int_equal(q.name_n, 0);
}

static void test_root(void **s)
{
	struct packet p = simple("", 2);
	struct dns_query q;

	(void)s;
	assert_int_equal(parse(&p, &q), 0);
	assert_true(q.plain);
	assert_int_equal(q.name_n, 0);
	assert_int_equal(q.question_n, 5);
}

static void test_numbers_are_no_names(void **s)
{
	static const char *const bad[] = {"1.2.3.4", "127.1", "0x7f.1", "1", "a.0x7f000001",
					  "x.0x", "2130706433", "example.00", "a.0X1f"};
	static const char *const good[] = {"1.a", "0x7g", "1e3", "9-9", "4.3.2.1.in-addr.arpa",
					   "x.1-2", "0x_"};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct packet p = simple(bad[i], 1);
		struct dns_query q;

		assert_int_equal(parse(&p, &q), 0);
		assert_false(q.plain);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(dns_name_plain(slice_str(good[i])));
}

static void test_classes(void **s)
{
	static const unsigned bad[] = {0, 2, 3, 4, 254, 255, 0x8001};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct packet p = simple("a.example", 1);
		struct dns_query q;

		p.b[p.n - 2] = (uint8_t)(bad[i] >> 8);
		p.b[p.n - 1] = (uint8_t)bad[i];
		assert_int_equal(parse(&p, &q), DNS_REFUSED);
		assert_true(q.question_n > 0);
	}
}

static void test_meta_types(void **s)
{
	static const unsigned bad[] = {0, 41, 249, 250, 251, 252, 253, 254, 255};
	static const unsigned good[] = {1, 2, 5, 6, 10, 12, 15, 16, 28, 33, 35, 43, 46, 48, 64, 65,
					99, 248, 256, 257, 32768, 65535};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct packet p = simple("a.example", bad[i]);

		assert_int_equal(parse_only(&p), DNS_NOTIMP);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct packet p = simple("a.example", good[i]);

		assert_int_equal(parse_only(&p), 0);
	}
}

static void test_edns(void **s)
{
	struct packet p;
	struct dns_query q;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.example", 1);
	opt(&p, 0, 0x8000, "", 0);
	assert_int_equal(parse(&p, &q), 0);
	assert_true(q.edns);
	assert_true(q.dnssec_ok);
}

static void test_edns_version(void **s)
{
	struct packet p;
	struct dns_query q;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.example", 1);
	opt(&p, 1, 0, "", 0);
	assert_int_equal(parse(&p, &q), DNS_BADVERS);
	assert_true(q.edns);
}

static void test_edns_options(void **s)
{
	uint8_t big[600] = {0, 12, 2, 84}; /* padding, 596 bytes */
	struct packet p;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.example", 1);
	opt(&p, 0, 0, big, sizeof(big));
	assert_int_equal(parse_only(&p), 0);
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.example", 1);
	opt(&p, 0, 0, "\0\x0a\0\x09" "12345678", 12); /* option longer than the record */
	assert_int_equal(parse_only(&p), DNS_FORMERR);
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.example", 1);
	opt(&p, 0, 0, "\0\x0a\0", 3);
	assert_int_equal(parse_only(&p), DNS_FORMERR);
}

static void test_edns_owner_and_type(void **s)
{
	struct packet p;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.example", 1);
	label(&p, "x", 1); /* OPT of a name */
	opt(&p, 0, 0, "", 0);
	assert_int_equal(parse_only(&p), DNS_FORMERR);
	header(&p, FLAGS_QUERY, 1, 0, 0, 1);
	question(&p, "a.example", 1);
	opt(&p, 0, 0, "", 0);
	p.b[p.n - 9] = 250; /* TSIG */
	assert_int_equal(parse_only(&p), DNS_FORMERR);
}

static void test_two_opts(void **s)
{
	struct packet p;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 2);
	question(&p, "a.example", 1);
	opt(&p, 0, 0, "", 0);
	opt(&p, 0, 0, "", 0);
	assert_int_equal(parse_only(&p), DNS_FORMERR);
}

static void test_noise(void **s)
{
	unsigned seed = 1;

	(void)s;
	for (int i = 0; i < 20000; i++) {
		struct packet p = simple("abc.example", 1);
		struct dns_query q;
		uint8_t out[DNS_ANSWER_MAX];
		int r;

		for (int k = 0; k < 3; k++)
			p.b[(size_t)rand_r(&seed) % p.n] = (uint8_t)rand_r(&seed);
		p.n -= (size_t)rand_r(&seed) % 4;
		r = parse(&p, &q);
		if (r >= 0)
			assert_true(dns_answer(&q, (enum dns_rcode)r, NULL, out) >= 12);
	}
}

/* ------------------------------------------------------------------------------------- names -- */

static void test_plain_names(void **s)
{
	static const char *const good[] = {"a", "a.b", "_dmarc.example.com",
					   "xn--bcher-kva.example", "a-.b", "-a", "A.B", "localhost",
					   "1a"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a b", "a/b", "a:1", "a\\.b",
					  "*.example.com", "[::1]", "a@b",
					  "m\xc3\xbcnchen.example"};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(dns_name_plain(slice_str(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(dns_name_plain(slice_str(bad[i])));
	assert_false(dns_name_plain(SLICE_LIT("a\0b")));
}

static void test_plain_name_lengths(void **s)
{
	char t[300];

	(void)s;
	memset(t, 'a', sizeof(t));
	t[63] = t[127] = t[191] = '.';
	assert_true(dns_name_plain((struct slice){(uint8_t *)t, 253}));
	t[255] = '.';
	assert_false(dns_name_plain((struct slice){(uint8_t *)t, 254}));
	assert_true(dns_name_plain((struct slice){(uint8_t *)t, 63}));
	assert_false(dns_name_plain((struct slice){(uint8_t *)t, 64}));
	t[63] = 'a';
	assert_false(dns_name_plain((struct slice){(uint8_t *)t, 64}));
}

static void test_fold(void **s)
{
	char t[DNS_NAME_TEXT_MAX + 1];

	(void)s;
	assert_int_equal(dns_name_fold(SLICE_LIT("API.Example.Com."), t), 15);
	assert_string_equal(t, "api.example.com");
	assert_int_equal(dns_name_fold(SLICE_LIT("a.."), t), 0);
	assert_int_equal(dns_name_fold(SLICE_LIT("."), t), 0);
	assert_int_equal(dns_name_fold(SLICE_LIT(""), t), 0);
	assert_int_equal(dns_name_fold(SLICE_LIT("1.2.3.4"), t), 0);
}

static void test_localhost(void **s)
{
	(void)s;
	assert_true(dns_name_is_localhost(SLICE_LIT("localhost")));
	assert_true(dns_name_is_localhost(SLICE_LIT("a.b.localhost")));
	assert_false(dns_name_is_localhost(SLICE_LIT("notlocalhost")));
	assert_false(dns_name_is_localhost(SLICE_LIT("localhost.example")));
	assert_false(dns_name_is_localhost(SLICE_LIT(".localhost")));
}

static void test_ptr_names(void **s)
{
	static const char *const bad[] = {
		"in-addr.arpa", "1.in-addr.arpa", "2.1.18.198", "256.1.18.198.in-addr.arpa",
		"01.1.18.198.in-addr.arpa", "1.1.18.198.in-addr.arpa.x",
		"1.1.1.18.198.in-addr.arpa",
		"a.1.18.198.in-addr.arpa", "1.1.18.198.in-addr.arp", "1..18.198.in-addr.arpa",
		"0000.1.18.198.in-addr.arpa", "-1.1.18.198.in-addr.arpa", "",
	};
	uint32_t a = 0;

	(void)s;
	assert_int_equal(dns_parse_ptr4(SLICE_LIT("4.3.18.198.in-addr.arpa"), &a), 0);
	assert_int_equal(a, 0xc6120304);
	assert_int_equal(dns_parse_ptr4(SLICE_LIT("0.0.255.10.in-addr.arpa"), &a), 0);
	assert_int_equal(a, 0x0aff0000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(dns_parse_ptr4(slice_str(bad[i]), &a), -EINVAL);
}

static void test_to_wire(void **s)
{
	uint8_t w[DNS_NAME_WIRE_MAX];

	(void)s;
	assert_int_equal(dns_name_to_wire(SLICE_LIT("ab.c"), w), 6);
	assert_memory_equal(w, "\2ab\1c\0", 6);
	assert_int_equal(dns_name_to_wire(SLICE_LIT("a..b"), w), 0);
	assert_int_equal(dns_name_to_wire(SLICE_LIT(""), w), 0);
}

/* ----------------------------------------------------------------------------------- writing -- */

struct record {
	char name[1025];
	unsigned type, class, n;
	uint32_t ttl;
	const uint8_t *rdata;
};

/* An answer, read back: at most one record in each section. */
struct answer {
	uint8_t b[DNS_ANSWER_MAX];
	size_t n;
	unsigned flags, count[4];
	struct record section[4];
};

enum { QD, AN, NS, AR };

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static const uint8_t *read_record(struct answer *a, const uint8_t *p, int section)
{
	struct record *r = &a->section[section];
	int n = dn_expand(a->b, a->b + a->n, p, r->name, sizeof(r->name));

	assert_true(n > 0);
	p += n;
	assert_true(p + 4 <= a->b + a->n);
	r->type = get16(p);
	r->class = get16(p + 2);
	p += 4;
	if (section == QD)
		return p;
	assert_true(p + 6 <= a->b + a->n);
	r->ttl = (uint32_t)get16(p) << 16 | get16(p + 2);
	r->n = get16(p + 4);
	r->rdata = p + 6;
	assert_true(r->rdata + r->n <= a->b + a->n);
	return r->rdata + r->n;
}

static void answer(struct answer *a, const struct dns_query *q, enum dns_rcode rcode,
		   const struct dns_record *rr)
{
	const uint8_t *p = a->b + 12;

	memset(a, 0, sizeof(*a));
	a->n = dns_answer(q, rcode, rr, a->b);
	assert_true(a->n >= 12 && a->n <= DNS_ANSWER_MAX);
	a->flags = get16(a->b + 2);
	for (int i = 0; i < 4; i++) {
		a->count[i] = get16(a->b + 4 + 2 * i);
		assert_true(a->count[i] <= 1);
		if (a->count[i])
			p = read_record(a, p, i);
	}
	assert_ptr_equal(p, a->b + a->n);
	assert_int_equal(get16(a->b), q->id);
	/* QR and RA set; AA, TC, Z and AD clear; opcode, RD and CD copied. */
	assert_int_equal(a->flags, 0x8080u | (unsigned)q->opcode << 11 | (q->rd ? 0x100u : 0u) |
					   (q->cd ? 0x10u : 0u) | (rcode & 15u));
}

static struct dns_query query(const char *n, unsigned type, bool edns)
{
	struct packet p;
	struct dns_query q;

	header(&p, FLAGS_QUERY, 1, 0, 0, edns);
	question(&p, n, type);
	if (edns)
		opt(&p, 0, 0x8000, "", 0);
	assert_int_equal(parse(&p, &q), 0);
	return q;
}

static void test_answer_a(void **s)
{
	struct dns_query q = query("Api.Example", 1, false);
	struct dns_record rr = {1, 60, SLICE_LIT("\xc6\x12\1\2")};
	struct answer a;
	const struct record *r;

	(void)s;
	answer(&a, &q, DNS_NOERROR, &rr);
	assert_int_equal(a.count[QD], 1);
	assert_int_equal(a.count[AN], 1);
	assert_int_equal(a.count[NS], 0);
	assert_int_equal(a.count[AR], 0);
	r = &a.section[QD];
	assert_string_equal(r->name, "Api.Example");
	r = &a.section[AN];
	assert_string_equal(r->name, "Api.Example");
	assert_int_equal(r->type, 1);
	assert_int_equal(r->ttl, 60);
	assert_int_equal(r->n, 4);
	assert_memory_equal(r->rdata, "\xc6\x12\1\2", 4);
}

static void test_answer_empty_has_soa(void **s)
{
	static const enum dns_rcode codes[] = {DNS_NOERROR, DNS_NXDOMAIN};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct dns_query q = query("api.example", 28, false);
		struct answer a;
		const struct record *r;

		answer(&a, &q, codes[i], NULL);
		assert_int_equal(a.count[AN], 0);
		assert_int_equal(a.count[NS], 1);
		r = &a.section[NS];
		assert_int_equal(r->type, DNS_TYPE_SOA);
		assert_int_equal(r->n, 22);
	}
}

static void test_answer_errors_are_bare(void **s)
{
	static const enum dns_rcode codes[] = {DNS_FORMERR, DNS_SERVFAIL, DNS_NOTIMP, DNS_REFUSED};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct dns_query q = query("api.example", 1, false);
		struct answer a;

		answer(&a, &q, codes[i], NULL);
		assert_int_equal(a.count[QD], 1);
		assert_int_equal(a.count[AN], 0);
		assert_int_equal(a.count[NS], 0);
	}
}

static void test_answer_without_question(void **s)
{
	struct packet p;
	struct dns_query q;
	struct answer a;

	(void)s;
	header(&p, FLAGS_QUERY, 1, 0, 0, 0);
	u8(&p, 0xc0);
	assert_int_equal(parse(&p, &q), DNS_FORMERR);
	answer(&a, &q, DNS_FORMERR, NULL);
	assert_int_equal(a.count[QD], 0);
}

static void test_answer_edns(void **s)
{
	struct dns_query q = query("api.example", 1, true);
	struct answer a;
	const struct record *r;

	(void)s;
	answer(&a, &q, DNS_NOERROR, NULL);
	assert_int_equal(a.count[AR], 1);
	r = &a.section[AR];
	assert_int_equal(r->type, 41);
	assert_int_equal(r->class, DNS_EDNS_SIZE);
	assert_int_equal(r->ttl, 0x8000); /* DO copied, version and extended rcode 0 */
	assert_int_equal(r->n, 0);
}

static void test_answer_badvers(void **s)
{
	struct dns_query q = query("api.example", 1, true);
	struct answer a;
	const struct record *r;

	(void)s;
	q.dnssec_ok = false;
	answer(&a, &q, DNS_BADVERS, NULL);
	r = &a.section[AR];
	assert_int_equal(r->ttl, 1u << 24);
}

static void test_answer_largest(void **s)
{
	struct packet p;
	struct dns_query q;
	struct answer a;

	(void)s;
	long_question(&p, 255);
	p.b[11] = 1;
	opt(&p, 0, 0x8000, "", 0);
	assert_int_equal(parse(&p, &q), 0);
	answer(&a, &q, DNS_NXDOMAIN, NULL);
	answer(&a, &q, DNS_NOERROR, &(struct dns_record){28, 60, SLICE_LIT("0123456789abcdef")});
}

static void test_answer_ptr(void **s)
{
	struct dns_query q = query("2.1.18.198.in-addr.arpa", 12, true);
	uint8_t w[DNS_NAME_WIRE_MAX];
	struct dns_record rr = {12, 60, {w, 0}};
	char text[300];
	struct answer a;
	const struct record *r;

	(void)s;
	memset(text, 'a', 253);
	text[63] = text[127] = text[191] = '.';
	rr.rdata.n = dns_name_to_wire((struct slice){(uint8_t *)text, 253}, w);
	assert_int_equal(rr.rdata.n, 255);
	answer(&a, &q, DNS_NOERROR, &rr);
	r = &a.section[AN];
	assert_int_equal(r->n, 255);
}

static void test_answer_flags(void **s)
{
	struct dns_query q = query("api.example", 1, false);
	struct answer a;

	(void)s;
	q.rd = false;
	q.cd = true;
	answer(&a, &q, DNS_NOERROR, NULL);
	q.opcode = 5;
	answer(&a, &q, DNS_NOTIMP, NULL);
	assert_int_equal(a.flags >> 11 & 15, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_query),
		cmocka_unit_test(test_every_prefix_is_refused),
		cmocka_unit_test(test_answers_are_not_answered),
		cmocka_unit_test(test_opcodes),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_two_questions),
		cmocka_unit_test(test_trailing_junk),
		cmocka_unit_test(test_truncated_flag),
		cmocka_unit_test(test_harmless_flags),
		cmocka_unit_test(test_compression_in_question),
		cmocka_unit_test(test_label_bounds),
		cmocka_unit_test(test_name_bounds),
		cmocka_unit_test(test_127_labels),
		cmocka_unit_test(test_strange_bytes),
		cmocka_unit_test(test_dot_in_label),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_numbers_are_no_names),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_meta_types),
		cmocka_unit_test(test_edns),
		cmocka_unit_test(test_edns_version),
		cmocka_unit_test(test_edns_options),
		cmocka_unit_test(test_edns_owner_and_type),
		cmocka_unit_test(test_two_opts),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_plain_names),
		cmocka_unit_test(test_plain_name_lengths),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_localhost),
		cmocka_unit_test(test_ptr_names),
		cmocka_unit_test(test_to_wire),
		cmocka_unit_test(test_answer_a),
		cmocka_unit_test(test_answer_empty_has_soa),
		cmocka_unit_test(test_answer_errors_are_bare),
		cmocka_unit_test(test_answer_without_question),
		cmocka_unit_test(test_answer_edns),
		cmocka_unit_test(test_answer_badvers),
		cmocka_unit_test(test_answer_largest),
		cmocka_unit_test(test_answer_ptr),
		cmocka_unit_test(test_answer_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
