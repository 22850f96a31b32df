/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.h - DNS messages on the wire: one strict reader for queries, one writer for answers.
 *
 * Pure functions over bytes for the sandbox's resolver.  A query is read in one pass and either
 * understood completely or refused; nothing is guessed.  Answers are small by construction (below
 * 512 bytes), so that truncation and compression beyond one pointer never come up.  References: RFC
 * 1035 section 4, RFC 2308, RFC 6891, RFC 9619.
 */
#pragma once

#include "policy/base.h"

#define DNS_NAME_WIRE_MAX 255
#define DNS_NAME_TEXT_MAX 253
#define DNS_LABEL_MAX 63
#define DNS_HEADER_SIZE 12
#define DNS_QUESTION_MAX (DNS_NAME_WIRE_MAX + 4)
#define DNS_ANSWER_MAX 512 /* header, question, one record, OPT: never more */
#define DNS_EDNS_SIZE 1232 /* what we tell askers (RFC 9715) */

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_TKEY = 249, /* first of the meta types; 255 (ANY) is the last */
	DNS_TYPE_ANY = 255,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* extended: needs an OPT in the answer */
};

/* One query, self-contained: nothing points into the packet. */
struct dns_query {
	uint16_t id;
	uint8_t opcode;
	bool rd, cd;		/* copied to the answer (RFC 4035 section 3.2.2 for CD) */
	bool edns, dnssec_ok;	/* OPT was there; its DO bit (copied, RFC 3225) */
	uint16_t type, class;
	size_t question_n;	/* 0: no question could be read, none is echoed */
	uint8_t question[DNS_QUESTION_MAX]; /* as it came, letters' case included */
	bool plain;		/* a name we serve: dns_name_plain(); else name is empty */
	size_t name_n;		/* 0: the root, or not plain */
	char name[DNS_NAME_TEXT_MAX + 1]; /* lower case, no trailing dot, NUL-terminated */
};

/* Reads a query.  Returns 0 when it is one that deserves an answer by content; a positive enum
 * dns_rcode when it must be answered with that (ret is filled as far as dns_answer() needs it);
 * -EBADMSG when it must not be answered at all (shorter than a header, or itself an answer: two
 * servers must not talk for ever). */
int dns_parse_query(struct slice packet, struct dns_query *ret);

/* Letters, digits, hyphen and underscore in labels of 1 to 63 bytes joined by single dots, at
 * most 253 bytes, and the last label not a number (an address is not a name: RFC 1123 section
 * 2.1).  Upper case is accepted. */
bool dns_name_plain(struct slice name);

/* Lower-cases name into ret (NUL-terminated) without one trailing dot.  Returns its length, or 0
 * when it is not plain. */
size_t dns_name_fold(struct slice name, char ret[DNS_NAME_TEXT_MAX + 1]);

/* localhost, or a name below it (RFC 6761 section 6.3). */
bool dns_name_is_localhost(struct slice folded);

/* d.c.b.a.in-addr.arpa in canonical decimal: 0 and the address in host order, or -EINVAL. */
int dns_parse_ptr4(struct slice folded, uint32_t *ret);

/* Wire form of a plain name, without compression.  Returns its size; 0 when it is not plain. */
size_t dns_name_to_wire(struct slice name, uint8_t ret[DNS_NAME_WIRE_MAX]);

struct dns_record {
	uint16_t type;
	uint32_t ttl;	    /* seconds */
	struct slice rdata; /* at most DNS_NAME_WIRE_MAX bytes */
};

/* Writes the answer to q: rr (owner: the question's name) or, when it is NULL and rcode is
 * NOERROR or NXDOMAIN, a SOA of the root so that askers know how long the negative answer holds.
 * Returns the size. */
size_t dns_answer(const struct dns_query *q, enum dns_rcode rcode, const struct dns_record *rr,
		  uint8_t ret[DNS_ANSWER_MAX]);
