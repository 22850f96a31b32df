/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_proxy_dns.c - one datagram through the DNS reader and the writer of its answer.
 *
 * Beyond memory errors it holds them to what the resolver relies on: a plain name reads back to the
 * bytes of the question, answers keep id and question, and no answer is longer than its bound or
 * itself taken for a query.
 */
#include "proxy/dns.h"

#include <assert.h>
#include <ctype.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const struct dns_query *q)
{
	struct slice name = {(const uint8_t *)q->name, q->name_n};
	uint8_t wire[DNS_NAME_WIRE_MAX];
	char again[DNS_NAME_TEXT_MAX + 1];
	uint32_t addr;
	size_t n;

	assert(q->name_n == strlen(q->name) && q->name_n <= DNS_NAME_TEXT_MAX);
	if (!q->plain)
		assert(q->name_n == 0);
	if (q->name_n == 0)
		return;
	n = dns_name_to_wire(name, wire);
	assert(n > 0 && n + 4 == q->question_n);
	for (size_t i = 0; i < n; i++)
		assert(wire[i] == tolower(q->question[i]));
	assert(dns_name_fold(name, again) == q->name_n && memcmp(again, q->name, q->name_n) == 0);
	if (dns_parse_ptr4(name, &addr) == 0)
		assert(q->name_n >= strlen("0.0.0.0.in-addr.arpa"));
	(void)dns_name_is_localhost(name);
}

static void check_answer(const struct dns_query *q, enum dns_rcode rcode,
			 const struct dns_record *rr)
{
	uint8_t out[DNS_ANSWER_MAX];
	size_t n = dns_answer(q, rcode, rr, out);
	struct dns_query back;

	assert(n >= DNS_HEADER_SIZE + q->question_n && n <= DNS_ANSWER_MAX);
	assert(out[0] == q->id >> 8 && out[1] == (q->id & 0xff));
	assert(memcmp(out + DNS_HEADER_SIZE, q->question, q->question_n) == 0);
	assert(dns_parse_query((struct slice){out, n}, &back) == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t addr[16] = {198, 18, 0, 1};
	struct dns_query q;
	int r = dns_parse_query((struct slice){data, size}, &q);

	(void)dns_name_plain((struct slice){data, size});
	if (r < 0) {
		assert(r == -EBADMSG);
		return 0;
	}
	assert(q.question_n <= DNS_QUESTION_MAX);
	check_answer(&q, (enum dns_rcode)r, NULL);
	if (r > 0)
		return 0;
	assert(q.question_n >= 5);
	check_name(&q);
	check_answer(&q, DNS_NXDOMAIN, NULL);
	check_answer(&q, DNS_NOERROR, &(struct dns_record){DNS_TYPE_A, 60, {addr, 4}});
	check_answer(&q, DNS_NOERROR, &(struct dns_record){DNS_TYPE_AAAA, 60, {addr, 16}});
	return 0;
}
