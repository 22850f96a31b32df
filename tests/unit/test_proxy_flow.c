/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow machine from accept to close: a program, the whole proxy, and a server, in one process.
 */
#include <openssl/pem.h>

#include "tests/unit/test_proxy_flow_rig.h"

static const struct rig_name names[NAMES_MAX + 1] = {
	{"api.test", {"93.184.216.34", NULL}},	       /* 1 */
	{"plain.test", {"93.184.216.35", NULL}},       /* 2 */
	{"evil.test", {"93.184.216.36", "127.0.0.1", NULL}}, /* 3 */
	{"gone.test", {NULL}},			       /* 4 */
	{"audit.test", {"93.184.216.37", NULL}},       /* 5 */
	{"skip.test", {"93.184.216.38", NULL}},	       /* 6 */
	{"raw.test", {"93.184.216.39", NULL}},	       /* 7 */
	{"two.test", {"192.0.9.9", "93.184.216.40", NULL}}, /* 8 */
};

static const char policy_one[] =
	"version: 1\n"
	"network_policies:\n"
	"  api:\n"
	"    name: api-policy\n"
	"    endpoints:\n"
	"      - host: api.test\n"
	"        port: 443\n"
	"        protocol: rest\n"
	"        rules:\n"
	"          - allow: {method: GET, path: \"/ok/**\"}\n"
	"          - allow: {method: POST, path: \"/up/**\"}\n"
	"          - allow: {method: PUT, path: \"/up/**\"}\n"
	"          - allow: {method: GET, path: /q, query: {a: \"x y\"}}\n"
	"        deny_rules:\n"
	"          - {method: GET, path: \"/ok/secret\"}\n"
	"      - {host: plain.test, port: 80, protocol: rest, access: read-only}\n"
	"      - {host: evil.test, port: 443, protocol: rest, access: full}\n"
	"      - {host: gone.test, port: 80, protocol: rest, access: full}\n"
	"      - {host: two.test, port: 80, protocol: rest, access: full}\n"
	"      - {host: audit.test, port: 80, protocol: rest, access: read-only, enforcement: audit}\n"
	"      - {host: skip.test, port: 443, protocol: rest, tls: skip}\n"
	"      - {host: raw.test, port: 22}\n"
	"      - {host: 10.1.2.3, port: 80, protocol: rest, access: read-only}\n"
	"      - {host: \"2606:4700::1\", port: 443, protocol: rest, access: read-only}\n"
	"    binaries: [{path: /usr/bin/curl}]\n";

static const char policy_nothing[] =
	"version: 1\n"
	"network_policies:\n"
	"  other:\n"
	"    endpoints: [{host: other.test, port: 443, protocol: rest, access: full}]\n"
	"    binaries: [{path: /usr/bin/curl}]\n";

static const char policy_narrow[] =
	"version: 1\n"
	"network_policies:\n"
	"  api:\n"
	"    name: api-policy\n"
	"    endpoints:\n"
	"      - {host: plain.test, port: 80, protocol: rest, rules: [{allow: {method: GET, path: /still}}]}\n"
	"    binaries: [{path: /usr/bin/curl}]\n";

static int setup(void **state)
{
	struct rig *r = rig_new(names);

	rig_policy(r, 1, policy_one);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	rig_free(*state);
	return 0;
}

/* Serves one connection: n requests, each answered alike. */
static void serve_n(struct server *s, int n, const char *answer)
{
	struct end *e = server_accept(s->r, s->tls_host);

	for (int i = 0; e && i < n; i++) {
		const char *head = end_until(e, "\r\n\r\n");

		if (!head)
			break;
		server_saw(s, head);
		s->count++;
		end_puts(e, answer);
	}
	end_free(e);
}

static void serve_hello(struct server *s)
{
	serve_n(s, 1, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: x\r\n\r\nhello");
}

static void serve_three(struct server *s)
{
	serve_n(s, 3, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

static void test_get_over_tls(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_hello);
	struct end *e = program_https(r, 1);
	struct answer *a = program_ask(e, "GET /ok/./a//b;p=1/../c?z=%2f+x;y HTTP/1.1\r\nHost: API.test:443\r\n"
					  "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Keep:  2 \r\n"
					  "Upgrade: h2c\r\nTE: trailers\r\n\r\n");
	const struct wire_event *ev;

	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, "hello");
	assert_null(strcasestr(a->head, "keep-alive"));
	server_join(s);
	assert_string_equal(s->seen, "GET /ok/a/c?z=%2F%20x%3By HTTP/1.1\r\nHost: api.test:443\r\n"
				     "X-Keep: 2\r\n\r\n");
	ev = rig_event(r, 0);
	assert_event(ev, WD_ALLOW, target, "/ok/a/c");
	assert_int_equal(ev->status, 200);
	assert_int_equal(ev->bytes_down, 5);
	assert_int_equal(ev->pid, 4242);
	assert_int_equal(ev->dst.family, 4);
	assert_memory_equal(ev->dst.addr, "\x5d\xb8\xd8\x22", 4);
	answer_free(a);
	end_free(e);
	free(s);
}

static void test_deny_keeps_connection(void **state)
{
	struct rig *r = *state;
	struct end *e = program_https(r, 1);
	struct answer *a = program_ask(e, "POST /ok/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 7\r\n\r\nsecret!");
	struct server *s;

	assert_int_equal(a->status, 403);
	assert_non_null(strstr(a->head, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(a->head, "\r\nX-Osh-Policy: api-policy\r\n"));
	assert_non_null(strstr(a->body, "\"error\":\"policy_denied\""));
	assert_non_null(strstr(a->body, "\"detail\":\"POST /ok/a not permitted by policy\""));
	assert_non_null(strstr(a->body, "\"binary\":\"/usr/bin/curl\""));
	assert_non_null(strstr(a->body, "\"host\":\"api.test\",\"port\":443"));
	assert_event(rig_event(r, 0), WD_DENY, reason, "POST /ok/a not permitted by policy");
	assert_int_equal(rig_event(r, 0)->status, 403);
	assert_server_untouched(r);
	answer_free(a);

	a = program_ask(e, "GET /ok/secret HTTP/1.1\r\nHost: api.test\r\n\r\n");
	assert_int_equal(a->status, 403);
	assert_non_null(strstr(a->body, "blocked by deny rule"));
	assert_server_untouched(r);
	answer_free(a);

	s = server_start(r, "api.test", serve_hello);
	a = program_ask(e, "GET /ok/a HTTP/1.1\r\nHost: api.test\r\n\r\n");
	assert_int_equal(a->status, 200);
	answer_free(a);
	server_free(s);
	end_free(e);
}

static void test_deny_head_and_large_body(void **state)
{
	struct rig *r = *state;
	struct end *e = program_https(r, 1);
	struct answer *a = program_ask(e, "HEAD /nope HTTP/1.1\r\nHost: api.test\r\n\r\n");

	assert_int_equal(a->status, 403);
	answer_free(a);
	a = program_ask(e, "POST /nope HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000\r\n\r\n");
	assert_int_equal(a->status, 403);
	assert_non_null(strstr(a->head, "Connection: close"));
	assert_true(end_is_closed(e));
	answer_free(a);
	end_free(e);

	e = program_https(r, 1);
	a = program_ask(e, "DELETE /ok/a HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
			   "5\r\nabcde\r\n0\r\n\r\n");
	assert_int_equal(a->status, 403);
	answer_free(a);
	a = program_ask(e, "PUT /ok/b HTTP/1.1\r\nHost: api.test\r\n\r\n");
	assert_int_equal(a->status, 403);
	answer_free(a);
	end_free(e);
	assert_server_untouched(r);
}

static void test_plain_http(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, NULL, serve_hello);
	struct end *e = program_connect(r, 2, 80);
	struct answer *a = program_ask(e, "GET http://plain.test/x HTTP/1.1\r\nHost: plain.test\r\n\r\n");

	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, "hello");
	server_join(s);
	assert_string_equal(s->seen, "GET /x HTTP/1.1\r\nHost: plain.test\r\n\r\n");
	answer_free(a);
	end_free(e);
	free(s);
}

static void test_pool_and_pipeline(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, NULL, serve_three);
	struct end *e = program_connect(r, 2, 80), *f;
	struct answer *a;

	assert_true(end_puts(e, "GET /1 HTTP/1.1\r\nHost: plain.test\r\n\r\n"
				"POST /2 HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 2\r\n\r\nxx"
				"GET /3 HTTP/1.1\r\nHost: plain.test\r\n\r\n"));
	for (int i = 0; i < 3; i++) {
		a = end_answer_to(e, false);
		assert_int_equal(a->status, i == 1 ? 403 : 200);
		answer_free(a);
	}
	f = program_connect(r, 2, 80); /* another program's connection, the same upstream connection */
	a = program_ask(f, "GET /4 HTTP/1.1\r\nHost: plain.test\r\nConnection: close\r\n\r\n");
	assert_int_equal(a->status, 200);
	assert_true(end_is_closed(f));
	answer_free(a);
	server_join(s);
	assert_int_equal(s->count, 3);
	assert_int_equal(r->dials, 1);
	assert_non_null(strstr(s->seen, "GET /3 "));
	assert_null(strstr(s->seen, "/2"));
	end_free(e);
	end_free(f);
	free(s);
}

static void serve_post(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);
	const char *t;

	server_saw(s, end_until(e, "\r\n\r\n"));
	t = end_until(e, "0\r\n\r\n");
	server_saw(s, t);
	end_puts(e, "HTTP/1.1 204 No Content\r\n\r\n");
	server_saw(s, end_until(e, "\r\n\r\n"));
	end_free(e);
}

static void test_request_hidden_behind_chunks(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_post);
	struct end *e = program_https(r, 1);
	struct answer *a;

	assert_true(end_puts(e, "POST /up/x HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
				"3;ext=\"a b\"\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n"
				"DELETE /admin HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"));
	a = end_answer_to(e, false);
	assert_int_equal(a->status, 204);
	answer_free(a);
	a = end_answer_to(e, false);
	assert_int_equal(a->status, 403);
	answer_free(a);
	end_free(e);
	rig_do(r, rig_job_swapped, NULL);
	rig_policy(r, 2, policy_nothing);
	rig_swapped(r, NULL); /* closes the pooled connection */
	server_join(s);
	assert_string_equal(s->seen, "POST /up/x HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
				     "3\r\nabc\r\n0\r\n\r\n(end)");
	free(s);
}

/* Each is refused with that status, and nothing arrives at the server. */
static void test_refused_requests(void **state)
{
	static const struct {
		const char *request;
		int status;
		const char *error;
	} cases[] = {
		{"GET /x HTTP/1.1\r\nHost: other.test\r\n\r\n", 403, "request_authority_mismatch"},
		{"GET /x HTTP/1.1\r\nHost: plain.test:81\r\n\r\n", 403, "request_authority_mismatch"},
		{"GET http://other.test/x HTTP/1.1\r\nHost: plain.test\r\n\r\n", 403, "request_authority_mismatch"},
		{"GET http://u@plain.test/x HTTP/1.1\r\nHost: plain.test\r\n\r\n", 0, NULL},
		{"GET /x HTTP/1.1\r\n\r\n", 400, "no Host"},
		{"GET /x HTTP/1.1\r\nHost: plain.test\r\nHost: plain.test\r\n\r\n", 400, "more than one Host"},
		{"GET /x HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		 400, "together"},
		{"GET /x HTTP/1.1\nHost: plain.test\r\n\r\n", 400, "bare line feed"},
		{"GET /x HTTP/1.1\r\nHost : plain.test\r\n\r\n", 400, "space before colon"},
		{"GET /x HTTP/1.1\r\nHost: plain.test\r\n a: b\r\n\r\n", 400, "folded"},
		{"GET /../x HTTP/1.1\r\nHost: plain.test\r\n\r\n", 400, "traversal"},
		{"GET /a%2fb HTTP/1.1\r\nHost: plain.test\r\n\r\n", 400, "encoded_slash"},
		{"GET /a?b=%zz HTTP/1.1\r\nHost: plain.test\r\n\r\n", 400, "query"},
		{"CONNECT plain.test:80 HTTP/1.1\r\nHost: plain.test\r\n\r\n", 400, "method not supported"},
		{"TRACE /x HTTP/1.1\r\nHost: plain.test\r\n\r\n", 400, "method not supported"},
		{"OPTIONS * HTTP/1.1\r\nHost: plain.test\r\n\r\n", 400, "not_origin_form"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"},
		{"GET /x HTTP/2.0\r\nHost: plain.test\r\n\r\n", 505, "version"},
		{"GET /x\r\n", 400, "request line"},
		{"get /x HTTP/1.1\r\nHost: plain.test\r\n\r\n", 403, "policy_denied"},
		{"\x80\x01\x02\x03 garbage\r\n\r\n", 400, "method"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct end *e = program_connect(r, 2, 80);
		struct answer *a = program_ask(e, cases[i].request);

		if (cases[i].status ? a->status != cases[i].status : a->status < 400)
			print_error("case %zu: %d %s\n", i, a->status, a->body);
		if (cases[i].status)
			assert_int_equal(a->status, cases[i].status);
		else
			assert_in_range(a->status, 400, 403);
		if (cases[i].error && !strstr(a->body, cases[i].error))
			print_error("case %zu: %s\n", i, a->body);
		if (cases[i].error)
			assert_non_null(strstr(a->body, cases[i].error));
		assert_event(rig_event(r, i), WD_DENY, reason, "");
		answer_free(a);
		end_free(e);
	}
	assert_server_untouched(r);
	assert_int_equal(r->dials, 0);
}

static void test_too_large(void **state)
{
	struct rig *r = *state;
	struct end *e = program_connect(r, 2, 80);
	char *big = malloc(100000);
	struct answer *a;
	int n = sprintf(big, "GET /");

	memset(big + n, 'a', 9000);
	strcpy(big + n + 9000, " HTTP/1.1\r\nHost: plain.test\r\n\r\n");
	a = program_ask(e, big);
	assert_int_equal(a->status, 414);
	assert_non_null(strstr(a->body, "too_large"));
	answer_free(a);
	end_free(e);
	e = program_connect(r, 2, 80);
	n = sprintf(big, "GET / HTTP/1.1\r\nHost: plain.test\r\nX: ");
	memset(big + n, 'a', 70000);
	strcpy(big + n + 70000, "\r\n\r\n");
	a = program_ask(e, big);
	assert_int_equal(a->status, 431);
	answer_free(a);
	end_free(e);
	free(big);
}

static void test_sni(void **state)
{
	struct rig *r = *state;
	struct end *e = program_connect(r, 1, 443);

	assert_false(program_tls(r, e, "other.test", "other.test"));
	end_free(e);
	assert_event(rig_event(r, 0), WD_ERROR, reason, "server name differs");
	assert_non_null(memmem(r->events[0].reason, r->events[0].reason_n, "other.test", 10));
	e = program_connect(r, 1, 443);
	assert_true(program_tls(r, e, NULL, "api.test"));
	end_free(e);
	e = program_connect(r, 1, 443);
	assert_true(program_tls(r, e, "API.Test", "api.test"));
	end_free(e);
	assert_server_untouched(r);
}

static void test_not_the_program(void **state)
{
	struct rig *r = *state;
	struct end *e = program_connect_as(r, EXE_OTHER, 1, 443);

	assert_true(end_is_closed(e));
	assert_int_equal(e->error, ECONNRESET);
	end_free(e);
	assert_event(rig_event(r, 0), WD_DENY, reason, "binary not in policy");
	e = program_connect(r, 1, 444);
	assert_true(end_is_closed(e));
	end_free(e);
	assert_event(rig_event(r, 1), WD_DENY, reason, "no matching network policy");
	e = program_connect(r, 9, 443);
	assert_true(end_is_closed(e));
	end_free(e);
	assert_event(rig_event(r, 2), WD_DENY, reason, "name expired");
}

static void serve_tls_only(struct server *s)
{
	end_free(server_accept(s->r, s->tls_host));
}

static void test_upstream_certificate(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_tls_only);
	struct ca *other;
	struct end *e = program_https(r, 1);
	struct answer *a;

	assert_int_equal(ca_new((struct slice){0}, "stranger", &other), 0);
	pthread_mutex_lock(&r->lock);
	struct ca *good = r->server_ca;
	r->server_ca = other;
	pthread_mutex_unlock(&r->lock);
	a = program_ask(e, "GET /ok/a HTTP/1.1\r\nHost: api.test\r\n\r\n");
	assert_int_equal(a->status, 502);
	assert_non_null(strstr(a->body, "upstream_tls_failed"));
	assert_non_null(strstr(a->body, "certificate"));
	assert_event(rig_event(r, 0), WD_ERROR, reason, "certificate");
	answer_free(a);
	server_free(s);
	r->server_ca = good;
	ca_free(other);
	end_free(e);
}

static void test_addresses(void **state)
{
	struct rig *r = *state;
	struct end *e = program_connect(r, 3, 443);
	struct answer *a;

	assert_true(program_tls(r, e, "evil.test", "evil.test"));
	a = program_ask(e, "GET /ok/a HTTP/1.1\r\nHost: evil.test\r\n\r\n");
	assert_int_equal(a->status, 403);
	assert_non_null(strstr(a->body, "ssrf_denied"));
	assert_non_null(strstr(a->body, "address not allowed (127.0.0.1: loopback)"));
	answer_free(a);
	end_free(e);
	assert_int_equal(r->dials, 0);
	assert_event(rig_event(r, 0), WD_DENY, reason, "127.0.0.1: loopback");

	e = program_connect(r, 4, 80);
	a = program_ask(e, "GET / HTTP/1.1\r\nHost: gone.test\r\n\r\n");
	assert_int_equal(a->status, 502);
	assert_non_null(strstr(a->body, "upstream_unreachable"));
	answer_free(a);
	end_free(e);
}

static void test_next_address(void **state)
{
	struct rig *r = *state;
	struct end *e;
	struct answer *a;

	/* 192.0.9.9 is a public address to the policy, and nobody listens there. */
	struct server *s = server_start(r, NULL, serve_hello);
	e = program_connect(r, 8, 80);
	a = program_ask(e, "GET / HTTP/1.1\r\nHost: two.test\r\n\r\n");
	assert_int_equal(a->status, 200);
	assert_int_equal(r->dials, 2);
	answer_free(a);
	end_free(e);
	server_free(s);
}

/* --------------------------------------------------------------------------------------- streaming -- */

#define DOWNLOAD (48u << 20)

static void serve_download(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);
	static char block[1 << 16];
	char head[200];

	memset(block, 'd', sizeof(block));
	server_saw(s, end_until(e, "\r\n\r\n"));
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", DOWNLOAD);
	end_puts(e, head);
	for (size_t n = 0; n < DOWNLOAD; n += sizeof(block))
		if (!end_write(e, block, sizeof(block)))
			break;
	end_until(e, "never");
	end_free(e);
}

static void test_download(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_download);
	struct end *e = program_https(r, 1);

	assert_true(end_puts(e, "GET /ok/big HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"));
	assert_non_null(end_until(e, "\r\n\r\n"));
	assert_true(end_bytes(e, NULL, DOWNLOAD));
	assert_true(end_is_closed(e));
	assert_int_equal(e->error, 0); /* close_notify */
	end_free(e);
	rig_policy(r, 2, policy_nothing);
	rig_swapped(r, NULL);
	server_free(s);
	assert_event(rig_event(r, 0), WD_ALLOW, reason, "");
	assert_int_equal(r->events[0].bytes_down, DOWNLOAD);
}

static void serve_upload(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);
	char answer[100];

	server_saw(s, end_until(e, "\r\n\r\n"));
	for (;;) {
		const char *line = end_until(e, "\r\n");
		size_t n = line ? strtoul(line, NULL, 16) : 0;

		if (!n)
			break;
		end_bytes(e, NULL, n);
		end_until(e, "\r\n");
		s->count += n;
	}
	end_until(e, "\r\n");
	snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Got: %zu\r\n\r\n", s->count);
	end_puts(e, answer);
	end_until(e, "never");
	end_free(e);
}

static void test_upload(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_upload);
	struct end *e = program_https(r, 1);
	static char block[30000];
	struct answer *a;
	char line[20];

	assert_true(end_puts(e, "PUT /up/big HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"));
	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "%zX\r\n", sizeof(block));
		assert_true(end_puts(e, line) && end_write(e, block, sizeof(block)) && end_puts(e, "\r\n"));
	}
	a = program_ask(e, "0\r\n\r\n");
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->head, "X-Got: 30000000"));
	assert_int_equal(rig_event(r, 0)->bytes_up, 30000000);
	answer_free(a);
	end_free(e);
	rig_policy(r, 2, policy_nothing);
	rig_swapped(r, NULL);
	server_free(s);
}

static void serve_short(struct server *s)
{
	serve_n(s, 1, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
}

static void serve_short_chunked(struct server *s)
{
	serve_n(s, 1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
}

static void serve_bad_chunk(struct server *s)
{
	serve_n(s, 1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n");
}

static void test_truncated_answers(void **state)
{
	void (*const servers[])(struct server *) = {serve_short, serve_short_chunked, serve_bad_chunk};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		struct server *s = server_start(r, NULL, servers[i]);
		struct end *e = program_connect(r, 2, 80);
		struct answer *a = program_ask(e, "GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n");

		assert_int_equal(a->status, 200);
		assert_false(a->whole);
		answer_free(a);
		end_free(e);
		server_free(s);
		assert_true(rig_event(r, i)->reason_n > 0);
	}
}

static void serve_until_close(struct server *s)
{
	serve_n(s, 1, "HTTP/1.0 200 OK\r\n\r\nold server");
}

static void test_until_close(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, NULL, serve_until_close);
	struct end *e = program_connect(r, 2, 80);
	struct answer *a = program_ask(e, "GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n");

	assert_non_null(strstr(a->head, "chunked"));
	assert_true(a->whole);
	assert_string_equal(a->body, "old server");
	answer_free(a);
	end_free(e);
	server_free(s);

	s = server_start(r, NULL, serve_until_close);
	e = program_connect(r, 2, 80);
	a = program_ask(e, "GET / HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(a->head, "Connection: close"));
	assert_null(strstr(a->head, "chunked"));
	assert_string_equal(a->body, "old server");
	assert_int_equal(e->error, 0);
	answer_free(a);
	end_free(e);
	server_free(s);
}

static void serve_bad_head(struct server *s)
{
	serve_n(s, 1, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello");
}

static void serve_switch(struct server *s)
{
	serve_n(s, 1, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
}

static void serve_nothing(struct server *s)
{
	serve_n(s, 1, "");
}

static void test_bad_answers(void **state)
{
	void (*const servers[])(struct server *) = {serve_bad_head, serve_switch, serve_nothing};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		struct server *s = server_start(r, NULL, servers[i]);
		struct end *e = program_connect(r, 2, 80);
		struct answer *a = program_ask(e, "GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n");

		assert_int_equal(a->status, 502);
		assert_event(rig_event(r, i), WD_ERROR, reason, "bad answer from upstream");
		answer_free(a);
		end_free(e);
		server_free(s);
	}
}

static void serve_stale(struct server *s)
{
	struct end *e = server_accept(s->r, NULL), *f;
	struct linger l = {.l_onoff = 1};

	server_saw(s, end_until(e, "\r\n\r\n"));
	end_puts(e, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
	server_saw(s, end_until(e, "\r\n\r\n")); /* the second request, and no answer */
	setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	end_free(e);
	f = server_accept(s->r, NULL);
	server_saw(s, end_until(f, "\r\n\r\n"));
	end_puts(f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
	end_free(f);
}

static void test_stale_connection(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, NULL, serve_stale);
	struct end *e = program_connect(r, 2, 80);
	struct answer *a = program_ask(e, "GET /1 HTTP/1.1\r\nHost: plain.test\r\n\r\n");

	assert_string_equal(a->body, "a");
	answer_free(a);
	a = program_ask(e, "GET /2 HTTP/1.1\r\nHost: plain.test\r\n\r\n");
	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, "b");
	answer_free(a);
	assert_int_equal(r->dials, 2);
	end_free(e);
	server_free(s);
}

static void serve_continue(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);
	char body[6] = {0};

	server_saw(s, end_until(e, "\r\n\r\n"));
	end_puts(e, "HTTP/1.1 100 Continue\r\n\r\n");
	end_bytes(e, body, 5);
	server_saw(s, body);
	end_puts(e, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
	end_until(e, "never");
	end_free(e);
}

static void test_expect(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_continue);
	struct end *e = program_https(r, 1);
	struct answer *a = program_ask(e, "POST /up/a HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\n"
					  "Content-Length: 5\r\n\r\n");

	assert_int_equal(a->status, 100);
	answer_free(a);
	a = program_ask(e, "12345");
	assert_int_equal(a->status, 103);
	assert_non_null(strstr(a->head, "Link"));
	answer_free(a);
	a = end_answer_to(e, false);
	assert_int_equal(a->status, 201);
	answer_free(a);
	a = program_ask(e, "POST /no HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	assert_int_equal(a->status, 403);
	assert_non_null(strstr(a->head, "Connection: close"));
	answer_free(a);
	end_free(e);
	rig_policy(r, 2, policy_nothing);
	rig_swapped(r, NULL);
	server_free(s);
	assert_event(rig_event(r, 0), WD_ALLOW, target, "/up/a");
}

static void test_audit(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, NULL, serve_hello);
	struct end *e = program_connect(r, 5, 80);
	struct answer *a = program_ask(e, "DELETE /x HTTP/1.1\r\nHost: audit.test\r\n\r\n");

	assert_int_equal(a->status, 200);
	assert_event(rig_event(r, 0), WD_AUDIT, reason, "DELETE /x not permitted by policy");
	answer_free(a);
	end_free(e);
	server_free(s);
}

static void test_literals(void **state)
{
	struct rig *r = *state;
	struct osh_dst four = {.family = 4, .port = 80, .addr = {10, 1, 2, 3}};
	struct osh_dst six = {.family = 6, .port = 443, .addr = {0x26, 0x06, 0x47, [15] = 1}};
	struct server *s = server_start(r, NULL, serve_three);
	struct end *e = program_connect_to(r, EXE_CURL, &four);
	struct answer *a = program_ask(e, "GET /a HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n");

	assert_int_equal(a->status, 200);
	answer_free(a);
	a = program_ask(e, "GET /b HTTP/1.1\r\nHost: 10.1.2.4\r\n\r\n");
	assert_int_equal(a->status, 403);
	answer_free(a);
	a = program_ask(e, "GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"); /* no Host: it is the flow's */
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->head, "Connection: keep-alive"));
	answer_free(a);
	a = program_ask(e, "GET /d HTTP/1.0\r\n\r\n");
	assert_int_equal(a->status, 200);
	assert_true(end_is_closed(e));
	answer_free(a);
	end_free(e);
	server_join(s);
	assert_string_equal(s->seen, "GET /a HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n"
				     "GET /c HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n"
				     "GET /d HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n");
	free(s);

	s = server_start(r, "2606:4700::1", serve_hello);
	e = program_connect_to(r, EXE_CURL, &six);
	SSL_CTX *c = program_ctx(r->px.ca);
	e->ssl = SSL_new(c);
	SSL_CTX_free(c);
	SSL_set_fd(e->ssl, e->fd);
	X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(e->ssl), "2606:4700::1");
	assert_int_equal(SSL_connect(e->ssl), 1);
	a = program_ask(e, "GET / HTTP/1.1\r\nHost: [2606:4700:0::1]:443\r\n\r\n");
	assert_int_equal(a->status, 200);
	answer_free(a);
	end_free(e);
	server_join(s);
	assert_non_null(strstr(s->seen, "Host: [2606:4700::1]:443\r\n"));
	free(s);
}

/* Upstream has seen enough: its answer counts, the rest of the body does not. */
static void serve_early(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);
	struct timespec t = {.tv_nsec = 50000000};

	server_saw(s, end_until(e, "\r\n\r\n"));
	end_puts(e, "HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!");
	nanosleep(&t, NULL);
	end_free(e);
}

static void test_early_answer(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_early);
	struct end *e = program_https(r, 1);
	static char block[1 << 16];
	struct answer *a;

	assert_true(end_puts(e, "PUT /up/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 30000000\r\n\r\n"));
	for (int i = 0; i < 40; i++)
		if (!end_write(e, block, sizeof(block)))
			break;
	a = end_answer_to(e, false);
	assert_int_equal(a->status, 413);
	assert_string_equal(a->body, "no!");
	answer_free(a);
	end_free(e);
	server_free(s);
	assert_event(rig_event(r, 0), WD_ALLOW, target, "/up/x");
	assert_int_equal(r->events[0].status, 413);
}

static void serve_resumed(struct server *s)
{
	for (int i = 0; i < 2; i++) {
		struct end *e = server_accept(s->r, s->tls_host);

		server_saw(s, SSL_session_reused(e->ssl) ? "resumed " : "full ");
		end_until(e, "\r\n\r\n");
		end_puts(e, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
		end_until(e, "never");
		end_free(e);
	}
}

static void test_resumption(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_resumed);
	struct end *e = program_https(r, 1);

	for (int i = 0; i < 2; i++) {
		struct answer *a = program_ask(e, "GET /ok/a HTTP/1.1\r\nHost: api.test\r\n\r\n");

		assert_int_equal(a->status, 200);
		answer_free(a);
	}
	end_free(e);
	server_join(s);
	assert_string_equal(s->seen, "full resumed ");
	free(s);
}

/* A connection that was authenticated for one program is not given to another. */
static void serve_ntlm(struct server *s)
{
	serve_n(s, 2, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); /* would serve two */
	if (s->count == 1)
		serve_n(s, 1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void test_bound_connection(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, NULL, serve_ntlm);
	struct end *e = program_connect(r, 2, 80);

	for (int i = 0; i < 2; i++) {
		struct answer *a = program_ask(e, "GET / HTTP/1.1\r\nHost: plain.test\r\n"
						  "Authorization: Negotiate abc\r\n\r\n");

		assert_int_equal(a->status, 200);
		answer_free(a);
	}
	assert_int_equal(r->dials, 2);
	end_free(e);
	server_free(s);
}

static void serve_no_body(struct server *s)
{
	serve_n(s, 3, "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"x\"\r\n\r\n");
}

static void test_bodiless_answers(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, NULL, serve_no_body);
	struct end *e = program_connect(r, 2, 80);

	for (int i = 0; i < 3; i++) {
		struct answer *a = program_ask(e, "GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n");

		assert_int_equal(a->status, 304);
		assert_non_null(strstr(a->head, "Content-Length: 99"));
		answer_free(a);
	}
	end_free(e);
	server_free(s);
}

/* -------------------------------------------------------------------------------------------- relay -- */

static void serve_echo(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);

	end_puts(e, "banner\n");
	while (end_fill(e))
		;
	s->count = e->n;
	end_write(e, e->buf, e->n);
	end_free(e);
}

static void test_relay(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, NULL, serve_echo);
	struct end *e = program_connect(r, 7, 22);

	assert_string_equal(end_until(e, "\n"), "banner\n");
	assert_true(end_puts(e, "anything \x16\x03 at all"));
	shutdown(e->fd, SHUT_WR); /* and still reads */
	assert_non_null(end_until(e, "at all"));
	assert_true(end_is_closed(e));
	assert_int_equal(e->error, 0);
	end_free(e);
	server_free(s);
}

static void serve_tls_echo(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);

	if (!e)
		return;
	server_saw(s, end_until(e, "\n"));
	end_puts(e, "pong\n");
	end_free(e);
}

static void test_skip(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "skip.test", serve_tls_echo);
	struct end *e = program_connect(r, 6, 443);
	SSL_CTX *c = program_ctx(r->server_ca);

	e->ssl = SSL_new(c);
	SSL_CTX_free(c);
	SSL_set_fd(e->ssl, e->fd);
	SSL_set_tlsext_host_name(e->ssl, "Skip.Test");
	SSL_set1_host(e->ssl, "skip.test");
	assert_int_equal(SSL_connect(e->ssl), 1); /* the server's own certificate */
	assert_true(end_puts(e, "ping\n"));
	assert_string_equal(end_until(e, "\n"), "pong\n");
	end_free(e);
	server_free(s);

	e = program_connect(r, 6, 443);
	assert_false(program_tls(r, e, "other.test", "other.test"));
	end_free(e);
	assert_event(rig_event(r, 0), WD_ERROR, reason, "server name differs");
	e = program_connect(r, 6, 443);
	assert_false(program_tls(r, e, NULL, "skip.test"));
	end_free(e);
	assert_event(rig_event(r, 1), WD_ERROR, reason, "no server name");
	e = program_connect(r, 6, 443);
	assert_true(end_puts(e, "GET / HTTP/1.1\r\n\r\n"));
	assert_true(end_is_closed(e));
	end_free(e);
	assert_event(rig_event(r, 2), WD_ERROR, reason, "not TLS");
	assert_server_untouched(r);
}

/* The first flight of a client that names a host. */
static size_t client_hello(const char *sni, char *to, size_t max)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *out = BIO_new(BIO_s_mem());
	int n;

	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	SSL_set_tlsext_host_name(ssl, sni);
	SSL_set_connect_state(ssl);
	SSL_do_handshake(ssl);
	n = BIO_read(out, to, (int)max);
	ERR_clear_error();
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	assert_true(n > 0);
	return (size_t)n;
}

static void serve_count(struct server *s)
{
	struct end *e = server_accept(s->r, NULL);

	while (e && end_fill(e)) {
		s->count += e->n;
		e->n = 0;
		end_puts(e, "more");
	}
	end_free(e);
}

/* A server that asks for another hello gets one with the same name, or none. */
static void test_skip_second_hello(void **state)
{
	struct rig *r = *state;
	char first[4096], second[4096];
	size_t n1 = client_hello("skip.test", first, sizeof(first));
	size_t n2 = client_hello("other.test", second, sizeof(second));

	for (int split = 0; split < 3; split++) { /* whole, after a CCS, in two parts */
		struct server *s = server_start(r, NULL, serve_count);
		struct end *e = program_connect(r, 6, 443);
		size_t half = 5 + (n2 - 5) / 2;
		char part[5] = {0x16, 3, 1, 0, 0};

		assert_true(end_write(e, first, n1));
		assert_non_null(end_until(e, "more"));
		if (split == 1)
			assert_true(end_write(e, "\x14\x03\x03\0\x01\x01", 6));
		if (split == 2) {
			part[3] = (char)((half - 5) >> 8);
			part[4] = (char)(half - 5);
			assert_true(end_write(e, part, 5) && end_write(e, second + 5, half - 5));
			part[3] = (char)((n2 - half) >> 8);
			part[4] = (char)(n2 - half);
			assert_true(end_write(e, part, 5) && end_write(e, second + half, n2 - half));
		} else {
			assert_true(end_write(e, second, n2));
		}
		while (end_fill(e))
			;
		assert_int_equal(e->error, ECONNRESET);
		end_free(e);
		server_join(s);
		if (split == 0)
			assert_int_equal(s->count, n1); /* not one byte of the second */
		free(s);
		assert_event(rig_event(r, (size_t)split), WD_ERROR, reason, "other.test");
	}
}

/* The real thing: the server wants another group than the client guessed. */
static void serve_retry(struct server *s)
{
	struct end *e = server_accept(s->r, NULL);

	e->session.host = s->tls_host;
	assert_int_equal(ca_accept(s->r->server_ca, e->fd, &e->session, &e->ssl), 0);
	SSL_set1_groups_list(e->ssl, "P-384");
	if (SSL_accept(e->ssl) == 1) {
		server_saw(s, end_until(e, "\n"));
		end_puts(e, "pong\n");
	}
	end_free(e);
}

static void test_skip_retry(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "skip.test", serve_retry);
	struct end *e = program_connect(r, 6, 443);
	SSL_CTX *c = program_ctx(r->server_ca);

	e->ssl = SSL_new(c);
	SSL_CTX_free(c);
	SSL_set_fd(e->ssl, e->fd);
	SSL_set1_groups_list(e->ssl, "X25519:P-384");
	SSL_set_tlsext_host_name(e->ssl, "skip.test");
	assert_int_equal(SSL_connect(e->ssl), 1);
	assert_true(end_puts(e, "ping\n"));
	assert_string_equal(end_until(e, "\n"), "pong\n");
	end_free(e);
	server_free(s);

	/* TLS 1.2, whose key exchange follows in clear text */
	s = server_start(r, "skip.test", serve_tls_echo);
	e = program_connect(r, 6, 443);
	c = program_ctx(r->server_ca);
	SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
	e->ssl = SSL_new(c);
	SSL_CTX_free(c);
	SSL_set_fd(e->ssl, e->fd);
	SSL_set_tlsext_host_name(e->ssl, "skip.test");
	assert_int_equal(SSL_connect(e->ssl), 1);
	assert_true(end_puts(e, "ping\n"));
	assert_string_equal(end_until(e, "\n"), "pong\n");
	end_free(e);
	server_free(s);
}

/* ---------------------------------------------------------------------------------------- time and swap -- */

static void test_timeouts(void **state)
{
	struct rig *r = *state;
	struct end *e;
	struct answer *a;
	struct server *s;

	r->limits.head = 100;
	e = program_connect(r, 2, 80);
	a = program_ask(e, "GET / HTTP/1.1\r\nHost:");
	assert_int_equal(a->status, 408);
	answer_free(a);
	end_free(e);
	r->limits.idle = r->limits.first_byte = 100;
	e = program_connect(r, 2, 80);
	assert_true(end_is_closed(e));
	end_free(e);
	r->limits.stall = 150;
	s = server_start(r, NULL, serve_echo);
	e = program_connect(r, 5, 80);
	a = program_ask(e, "GET / HTTP/1.1\r\nHost: audit.test\r\n\r\n");
	assert_int_equal(a->status, 502); /* "banner" is no answer */
	answer_free(a);
	end_free(e);
	server_free(s);
	s = server_start(r, NULL, serve_post);
	e = program_connect(r, 5, 80);
	a = program_ask(e, "GET / HTTP/1.1\r\nHost: audit.test\r\n\r\n");
	assert_int_equal(a->status, 504);
	assert_non_null(strstr(a->body, "upstream_timeout"));
	answer_free(a);
	end_free(e);
	server_free(s);
}

static void serve_slow(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);

	server_saw(s, end_until(e, "\r\n\r\n"));
	end_puts(e, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
	server_saw(s, end_until(e, "\r\n\r\n"));
	end_free(e);
}

static void test_swap_cuts(void **state)
{
	struct rig *r = *state;
	struct end *idle = program_connect(r, 2, 80), *raw, *busy, *tls = program_https(r, 1);
	struct server *s1, *s2;
	size_t n;

	s1 = server_start(r, NULL, serve_echo);
	raw = program_connect(r, 7, 22);
	assert_non_null(end_until(raw, "banner\n"));
	s2 = server_start(r, NULL, serve_slow);
	busy = program_connect(r, 2, 80);
	assert_true(end_puts(busy, "GET /busy HTTP/1.1\r\nHost: plain.test\r\n\r\n"));
	assert_non_null(end_until(busy, "begun"));

	/* The host stays, the request in progress is not allowed any more (two events: what it did, and that); raw and TLS go. */
	n = rig_nevents(r);
	rig_policy(r, 2, policy_narrow);
	rig_swapped(r, NULL);
	assert_true(end_is_closed(raw));
	assert_int_equal(raw->error, ECONNRESET);
	assert_true(end_is_closed(tls));
	assert_true(end_is_closed(busy));
	assert_int_equal(busy->error, ECONNRESET);
	server_join(s1);
	server_join(s2);
	assert_non_null(strstr(s2->seen, "(end)"));
	assert_int_equal(rig_nevents(r) - n, 4);

	/* The idle one lives on under the new rules. */
	struct answer *a = program_ask(idle, "GET /other HTTP/1.1\r\nHost: plain.test\r\n\r\n");
	assert_int_equal(a->status, 403);
	answer_free(a);
	end_free(idle);
	end_free(raw);
	end_free(busy);
	end_free(tls);
	free(s1);
	free(s2);
}

static const char policy_moved[] =
	"version: 1\n"
	"network_policies:\n"
	"  first:\n"
	"    endpoints: [{host: other.test, port: 443, protocol: rest, access: full}]\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"  api:\n"
	"    endpoints:\n"
	"      - {host: api.test, port: 443, protocol: rest, rules: [{allow: {method: PUT, path: \"/up/b*\"}}]}\n"
	"    binaries: [{path: /usr/bin/curl}]\n";

/* A request that goes on by the new policy's leave is logged with that one's generation, block and rule, not with some
 * of either. */
static void test_swap_in_a_request(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_upload);
	struct end *e = program_https(r, 1);
	const struct wire_event *ev;
	struct answer *a;

	assert_true(end_puts(e, "PUT /up/big HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
	while (!*(const char *volatile)s->seen) /* it is under way */
		usleep(1000);
	rig_policy(r, 2, policy_moved);
	rig_swapped(r, NULL);
	a = program_ask(e, "3\r\ndef\r\n0\r\n\r\n");
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->head, "X-Got: 6"));
	ev = rig_event(r, 0);
	assert_int_equal(ev->decision, WD_ALLOW);
	assert_int_equal(ev->gen, 2);
	assert_int_equal(ev->block, 1);
	assert_int_equal(ev->rule_line, 8);
	answer_free(a);
	end_free(e);
	rig_policy(r, 3, policy_nothing);
	rig_swapped(r, NULL);
	server_free(s);
}

static void serve_and_read_on(struct server *s)
{
	struct end *e = server_accept(s->r, s->tls_host);

	server_saw(s, end_until(e, "\r\n\r\n"));
	end_puts(e, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	server_saw(s, end_until(e, "after"));
	end_free(e);
}

static const char policy_reading[] =
	"version: 1\n"
	"network_policies:\n"
	"  api:\n"
	"    endpoints: [{host: api.test, port: 443, protocol: rest, access: read-only}]\n"
	"    binaries: [{path: /usr/bin/curl}]\n";

/* An answer that came early does not take the rest of the body out of the new policy's reach. */
static void test_swap_behind_the_answer(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_and_read_on);
	struct end *e = program_https(r, 1);
	struct answer *a = program_ask(e, "POST /up/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 100\r\n\r\nbefore");

	assert_int_equal(a->status, 200);
	answer_free(a);
	rig_policy(r, 2, policy_reading);
	rig_swapped(r, NULL);
	(void)end_puts(e, "after");
	assert_true(end_is_closed(e));
	server_join(s);
	assert_non_null(strstr(s->seen, "(end)"));
	assert_event(rig_event(r, 0), WD_ALLOW, reason, "closed by a policy change");
	assert_int_equal(rig_event(r, 0)->gen, 1);
	assert_int_equal(rig_event(r, 0)->status, 200);
	assert_int_equal(rig_event(r, 0)->bytes_up, 6);
	assert_event(rig_event(r, 1), WD_DENY, target, "/up/x");
	assert_int_equal(rig_event(r, 1)->gen, 2);
	assert_int_equal(rig_event(r, 1)->bytes_up, 0);
	end_free(e);
	free(s);
}

/* A policy that takes the caller's right to the host cuts a request half-way: the log has the request as it went, by the
 * rule that let it through, and then the end of the connection. */
static void test_swap_takes_the_host(void **state)
{
	struct rig *r = *state;
	struct server *s = server_start(r, "api.test", serve_upload);
	struct end *e = program_https(r, 1);
	const struct wire_event *ev;

	assert_true(end_puts(e, "PUT /up/big HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
	while (__atomic_load_n(&s->count, __ATOMIC_ACQUIRE) < 3) /* it is under way */
		usleep(1000);
	rig_policy(r, 2, policy_nothing);
	rig_swapped(r, NULL);
	assert_true(end_is_closed(e));
	assert_int_equal(rig_nevents(r), 2);
	ev = rig_event(r, 0);
	assert_event(ev, WD_ALLOW, reason, "closed by a policy change");
	assert_event(ev, WD_ALLOW, method, "PUT");
	assert_event(ev, WD_ALLOW, target, "/up/big");
	assert_int_equal(ev->gen, 1);
	assert_int_equal(ev->bytes_up, 3);
	assert_true(ev->rule_line > 0);
	assert_int_equal(ev->dst.family, 4);
	assert_event(rig_event(r, 1), WD_DENY, reason, "no matching network policy");
	assert_int_equal(rig_event(r, 1)->gen, 2);
	end_free(e);
	server_free(s);
}

static void test_swap_of_many(void **state)
{
	enum { N = 300 };
	struct rig *r = *state;
	struct end *e[N];
	long us = 0;

	for (int i = 0; i < N; i++)
		e[i] = program_connect(r, 2, 80);
	rig_policy(r, 2, policy_nothing);
	rig_swapped(r, &us);
	print_message("%d flows judged and cut in %ld us\n", N, us);
	for (int i = 0; i < N; i++) {
		assert_true(end_is_closed(e[i]));
		end_free(e[i]);
	}
	assert_int_equal(rig_nevents(r), N);
}

static void test_no_policy(void **state)
{
	struct rig *r = *state;
	struct end *e;

	__atomic_store_n(r->current, OSH_CURRENT(7), __ATOMIC_RELEASE); /* a generation that was never mapped */
	e = program_connect(r, 2, 80);
	assert_true(end_is_closed(e));
	assert_event(rig_event(r, 0), WD_DENY, reason, "no policy loaded");
	end_free(e);
}

static void test_limit_of_flows(void **state)
{
	struct rig *r = *state;
	struct end *a, *b, *c;

	r->limits.max_flows = 2;
	a = program_connect(r, 7, 22);
	b = program_connect(r, 7, 22);
	c = program_connect(r, 7, 22);
	assert_true(end_is_closed(c));
	assert_int_equal(c->error, ECONNRESET);
	assert_int_equal(rig_nevents(r), 1);
	assert_event(rig_event(r, 0), WD_ERROR, reason, "reset: the proxy has as many connections as it can hold");
	assert_event(rig_event(r, 0), WD_ERROR, host, "raw.test");
	assert_int_equal(rig_event(r, 0)->pid, 4242);
	assert_int_equal(rig_event(r, 0)->gen, 1);
	end_free(a);
	end_free(b);
	end_free(c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_get_over_tls),
		T(test_deny_keeps_connection),
		T(test_deny_head_and_large_body),
		T(test_plain_http),
		T(test_pool_and_pipeline),
		T(test_request_hidden_behind_chunks),
		T(test_refused_requests),
		T(test_too_large),
		T(test_sni),
		T(test_not_the_program),
		T(test_upstream_certificate),
		T(test_addresses),
		T(test_next_address),
		T(test_download),
		T(test_upload),
		T(test_truncated_answers),
		T(test_until_close),
		T(test_bad_answers),
		T(test_stale_connection),
		T(test_expect),
		T(test_audit),
		T(test_bodiless_answers),
		T(test_literals),
		T(test_early_answer),
		T(test_resumption),
		T(test_bound_connection),
		T(test_relay),
		T(test_skip),
		T(test_skip_second_hello),
		T(test_skip_retry),
		T(test_timeouts),
		T(test_swap_cuts),
		T(test_swap_in_a_request),
		T(test_swap_behind_the_answer),
		T(test_swap_takes_the_host),
		T(test_swap_of_many),
		T(test_no_policy),
		T(test_limit_of_flows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
