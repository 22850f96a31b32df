/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ClientHello reader, against hand-made and OpenSSL-made hellos, and the certificate authority, against
 * OpenSSL's strictest verification.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "proxy/ca.h"
#include "proxy/hello.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <time.h>

/* -------------------------------------------------------------------------------------------- hello -- */

/* Builds a hello by hand, so that every length can be wrong. */
struct maker {
	uint8_t b[70000];
	size_t n;
};

static void put(struct maker *m, const void *p, size_t n)
{
	memcpy(m->b + m->n, p, n);
	m->n += n;
}

static void put_n(struct maker *m, size_t v, size_t bytes)
{
	while (bytes--)
		m->b[m->n++] = (uint8_t)(v >> (8 * bytes));
}

static void put_ext(struct maker *m, unsigned type, const void *body, size_t n)
{
	put_n(m, type, 2);
	put_n(m, n, 2);
	put(m, body, n);
}

static void put_sni(struct maker *m, const char *name, size_t n)
{
	struct maker e = {.n = 0};

	put_n(&e, n + 3, 2);
	put_n(&e, 0, 1);
	put_n(&e, n, 2);
	put(&e, name, n);
	put_ext(m, 0, e.b, e.n);
}

/* The handshake message around extensions. */
static void put_hello(struct maker *m, unsigned version, const struct maker *ext)
{
	struct maker *h = calloc(1, sizeof(*h));

	put_n(h, version, 2);
	h->n += 32;
	put_n(h, 0, 1);
	put_n(h, 2, 2);
	put_n(h, 0x1301, 2);
	put_n(h, 1, 1);
	put_n(h, 0, 1);
	if (ext) {
		put_n(h, ext->n, 2);
		put(h, ext->b, ext->n);
	}
	put_n(m, 1, 1);
	put_n(m, h->n, 3);
	put(m, h->b, h->n);
	free(h);
}

/* Cuts a message into records of at most `size` bytes. */
static void put_records(struct maker *m, const struct maker *msg, size_t size)
{
	for (size_t at = 0; at < msg->n; at += size) {
		size_t n = msg->n - at < size ? msg->n - at : size;

		put_n(m, 22, 1);
		put_n(m, 0x0301, 2);
		put_n(m, n, 2);
		put(m, msg->b + at, n);
	}
}

static struct maker *make(unsigned version, const struct maker *ext, size_t record)
{
	struct maker *msg = calloc(1, sizeof(*msg)), *m = calloc(1, sizeof(*m));

	put_hello(msg, version, ext);
	put_records(m, msg, record);
	free(msg);
	return m;
}

static enum hello_result parse(const struct maker *m, struct hello *h, const char **why)
{
	return hello_parse((struct slice){m->b, m->n}, h, why);
}

static enum hello_result parse_named(const char *name, size_t n, struct hello *h)
{
	struct maker ext = {.n = 0}, *m;
	enum hello_result r;
	const char *why;

	put_sni(&ext, name, n);
	m = make(0x0303, &ext, 16384);
	r = parse(m, h, &why);
	free(m);
	return r;
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		size_t n;
		const char *got; /* NULL: refused */
	} cases[] = {
		{"example.com", 11, "example.com"},
		{"EXAMPLE.Com", 11, "example.com"},
		{"example.com.", 12, "example.com"},
		{"a_b-c.1", 7, "a_b-c.1"},
		{"192.0.2.1", 9, "192.0.2.1"},
		{"", 0, NULL},
		{".", 1, NULL},
		{"example.com..", 13, NULL},
		{".example.com", 12, NULL},
		{"a..b", 4, NULL},
		{"exa\0mple.com", 12, NULL},
		{"example.com\0", 12, NULL},
		{"exa mple.com", 12, NULL},
		{"ex\xc3\xa4mple.com", 13, NULL},
		{"*.example.com", 13, NULL},
		{"[::1]", 5, NULL},
		{"a/b", 3, NULL},
	};
	char longest[300];
	struct hello h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum hello_result r = parse_named(cases[i].name, cases[i].n, &h);

		assert_int_equal(r, cases[i].got ? HELLO_OK : HELLO_BAD);
		if (cases[i].got) {
			assert_true(h.has_sni);
			assert_string_equal(h.sni, cases[i].got);
		}
	}
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(parse_named(longest, 255, &h), HELLO_OK);
	assert_int_equal(parse_named(longest, 256, &h), HELLO_BAD);
}

static void test_records(void **state)
{
	static uint8_t padding[9000];
	struct maker ext = {.n = 0}, *m;
	struct hello h;
	const char *why;

	(void)state;
	put_ext(&ext, 51, padding, sizeof(padding)); /* a post-quantum key share, and more */
	put_sni(&ext, "late.example", 12);
	m = make(0x0303, &ext, 1000);
	assert_int_equal(parse(m, &h, &why), HELLO_OK);
	assert_string_equal(h.sni, "late.example");
	assert_int_equal(h.used, m->n);
	/* Every cut waits for more. */
	for (size_t n = 0; n < m->n; n++)
		assert_int_equal(hello_parse((struct slice){m->b, n}, &h, &why), HELLO_MORE);
	/* What follows is not looked at, but counted. */
	put(m, "\x17\x03\x03\0\x01x", 6);
	assert_int_equal(parse(m, &h, &why), HELLO_OK);
	assert_int_equal(h.used, m->n - 6);
	free(m);
	m = make(0x0303, &ext, 1);
	assert_int_equal(parse(m, &h, &why), HELLO_OK);
	free(m);
}

static void assert_bad(const struct maker *m, const char *text)
{
	struct hello h;
	const char *why = NULL;

	assert_int_equal(parse(m, &h, &why), HELLO_BAD);
	if (!strstr(why, text))
		print_error("%s\n", why);
	assert_non_null(strstr(why, text));
}

static void test_not_hellos(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *why;
	} cases[] = {
		{"GET / HTTP/1.1\r\n", 16, "not TLS"},
		{"SSH-2.0-x\r\n", 11, "not TLS"},
		{"\x80\x2e\x01\x03\x01", 5, "not TLS"}, /* SSLv2 */
		{"\x16\x02\x00", 3, "not TLS"},
		{"\x15\x03\x01\0\x02\x01\0", 7, "not TLS"},
		{"\x17\x03\x03\0\x01x", 6, "not TLS"},
		{"\x16\x03\x01\0\0", 5, "malformed TLS record"},
		{"\x16\x03\x01\x40\x01", 5, "malformed TLS record"},
		{"\x16\x03\x01\0\x04\x02\0\0\0", 9, "malformed TLS record"}, /* a ServerHello */
		{"\x16\x03\x01\0\x04\x01\xff\xff\xff", 9, "malformed TLS record"},
	};
	struct maker m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		m.n = 0;
		put(&m, cases[i].bytes, cases[i].n);
		assert_bad(&m, cases[i].why);
	}
}

static void test_malformed_hellos(void **state)
{
	struct maker ext = {.n = 0}, *m;
	struct hello h;
	const char *why;

	(void)state;
	put_sni(&ext, "a.example", 9);
	m = make(0x0303, &ext, 16384);
	/* A wrong length anywhere is found, or the hello is incomplete; it is never read differently. */
	for (size_t i = 3; i < m->n; i++) {
		for (int d = -1; d <= 1; d += 2) {
			enum hello_result r;

			m->b[i] = (uint8_t)(m->b[i] + d);
			r = parse(m, &h, &why);
			if (r == HELLO_OK && h.has_sni && strcmp(h.sni, "a.example") != 0)
				assert_true(i >= m->n - 9); /* the name itself */
			m->b[i] = (uint8_t)(m->b[i] - d);
		}
	}
	free(m);

	put_sni(&ext, "b.example", 9);
	m = make(0x0303, &ext, 16384);
	assert_bad(m, "repeated extension");
	free(m);
	ext.n = 0;
	put_ext(&ext, 0, "\0\x08\0\0\x01x\0\0\x01y", 10); /* two names */
	m = make(0x0303, &ext, 16384);
	assert_bad(m, "server name");
	free(m);
	ext.n = 0;
	put_ext(&ext, 0, "\0\x04\x01\0\x01x", 6); /* another type of name */
	m = make(0x0303, &ext, 16384);
	assert_bad(m, "server name");
	free(m);
	ext.n = 0;
	put_ext(&ext, 0, "", 0);
	m = make(0x0303, &ext, 16384);
	assert_bad(m, "server name");
	free(m);
	/* An odd number of bytes in a list of versions. */
	ext.n = 0;
	put_ext(&ext, 43, "\x03\x03\x04\x03", 4);
	m = make(0x0303, &ext, 16384);
	assert_bad(m, "supported_versions");
	free(m);
	/* Something behind the hello in its record. */
	ext.n = 0;
	struct maker msg = {.n = 0}, two = {.n = 0};
	put_sni(&ext, "a.example", 9);
	put_hello(&msg, 0x0303, &ext);
	put(&msg, "\x01\0\0\0", 4);
	put_records(&two, &msg, 16384);
	assert_bad(&two, "malformed TLS record");
}

static void test_versions_and_ech(void **state)
{
	struct maker ext = {.n = 0}, *m;
	struct hello h;
	const char *why;

	(void)state;
	put_sni(&ext, "a.example", 9);
	m = make(0x0301, &ext, 16384);
	assert_int_equal(parse(m, &h, &why), HELLO_OK);
	assert_false(h.tls12);
	free(m);
	put_ext(&ext, 43, "\x04\x03\x02\x03\x01", 5);
	m = make(0x0303, &ext, 16384);
	assert_int_equal(parse(m, &h, &why), HELLO_OK);
	assert_false(h.tls12);
	assert_false(h.has_ech);
	free(m);
	put_ext(&ext, 0xfe0d, "\0", 1);
	m = make(0x0303, &ext, 16384);
	assert_int_equal(parse(m, &h, &why), HELLO_OK);
	assert_true(h.has_ech);
	assert_false(h.has_early);
	free(m);
	put_ext(&ext, 42, "", 0);
	m = make(0x0303, &ext, 16384);
	assert_int_equal(parse(m, &h, &why), HELLO_OK);
	assert_true(h.has_early);
	free(m);
	m = make(0x0303, NULL, 16384);
	assert_int_equal(parse(m, &h, &why), HELLO_OK);
	assert_false(h.has_sni);
	assert_true(h.tls12);
	free(m);
}

static void test_openssl_hello(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	struct hello h;
	const char *why;
	char *p;
	long n;

	(void)state;
	SSL_set_bio(ssl, in, out);
	SSL_set_tlsext_host_name(ssl, "Real.Example");
	SSL_set_connect_state(ssl);
	assert_int_not_equal(SSL_do_handshake(ssl), 1);
	n = BIO_get_mem_data(out, &p);
	assert_int_equal(hello_parse((struct slice){(uint8_t *)p, (size_t)n}, &h, &why), HELLO_OK);
	assert_string_equal(h.sni, "real.example");
	assert_true(h.tls12);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
}

/* ----------------------------------------------------------------------------------------------- CA -- */

static struct ca *new_ca(void)
{
	struct ca *ca = NULL;

	assert_int_equal(ca_new((struct slice){0}, "unit", &ca), 0);
	return ca;
}

static X509 *ca_cert(struct ca *ca)
{
	char *pem = NULL;
	size_t n;
	X509 *x;
	BIO *b;

	assert_int_equal(ca_pem(ca, &pem, &n), 0);
	b = BIO_new_mem_buf(pem, (int)n);
	x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	assert_non_null(x);
	BIO_free(b);
	free(pem);
	return x;
}

/* Client and server side of a handshake over a socket pair.  Returns the client's SSL or NULL. */
struct pair {
	int fd[2];
	SSL *client, *server;
	struct ca_session session;
	bool ok;
};

static void shake(struct pair *p, struct ca *ca, struct ca *trust, const char *host, const char *sni,
		  const char *alpn, int max_version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	X509 *root = ca_cert(trust);
	bool c = false, s = false;

	*p = (struct pair){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root);
	X509_free(root);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
	p->client = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(p->client, p->fd[0]);
	SSL_set_connect_state(p->client);
	if (max_version) {
		SSL_set_security_level(p->client, 0);
		SSL_set_max_proto_version(p->client, max_version);
	}
	if (alpn)
		SSL_set_alpn_protos(p->client, (const unsigned char *)alpn, (unsigned)strlen(alpn));
	if (sni)
		SSL_set_tlsext_host_name(p->client, sni);
	if (!X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(p->client), host))
		SSL_set1_host(p->client, host);
	p->session.host = host;
	assert_int_equal(ca_accept(ca, p->fd[1], &p->session, &p->server), 0);
	for (int i = 0; i < 20 && !(c && s); i++) {
		c = c || SSL_do_handshake(p->client) == 1;
		s = s || SSL_do_handshake(p->server) == 1;
	}
	ERR_clear_error();
	p->ok = c && s;
}

static void pair_done(struct pair *p)
{
	SSL_free(p->client);
	SSL_free(p->server);
	close(p->fd[0]);
	close(p->fd[1]);
}

static void test_handshakes(void **state)
{
	static const struct {
		const char *host, *sni, *alpn;
		int max_version;
		bool ok;
	} cases[] = {
		{"api.example.com", "api.example.com", NULL, 0, true},
		{"api.example.com", "API.Example.COM", NULL, 0, true},
		{"api.example.com", "api.example.com.", NULL, 0, true},
		{"api.example.com", NULL, NULL, 0, true},
		{"api.example.com", "api.example.com", "\x02h2\x08http/1.1", 0, true},
		{"api.example.com", "api.example.com", "\x08http/1.1", TLS1_2_VERSION, true},
		{"api.example.com", "api.example.com", "\x02h2", 0, false},
		{"api.example.com", "other.example.com", NULL, 0, false},
		{"api.example.com", "xapi.example.com", NULL, 0, false},
		{"api.example.com", "api.example.com", NULL, TLS1_1_VERSION, false},
		{"192.0.2.7", NULL, NULL, 0, true},
		{"2001:db8::7", NULL, NULL, 0, true},
		{"192.0.2.7", "api.example.com", NULL, 0, false},
		{"a-very-long-label-that-makes-the-name-longer-than-sixty-four-bytes.example.com", NULL, NULL, 0, true},
	};
	struct ca *ca = new_ca();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pair p;

		shake(&p, ca, ca, cases[i].host, cases[i].sni, cases[i].alpn, cases[i].max_version);
		if (p.ok != cases[i].ok)
			print_error("case %zu: %s\n", i, p.session.refused ? p.session.refused : "?");
		assert_int_equal(p.ok, cases[i].ok);
		if (!p.ok && cases[i].sni && strcasecmp(cases[i].sni, cases[i].host) != 0) {
			assert_non_null(p.session.refused);
			assert_string_equal(p.session.sni, cases[i].sni);
		}
		pair_done(&p);
	}
	ca_free(ca);
}

static void test_strangers(void **state)
{
	struct ca *ca = new_ca(), *other = new_ca();
	struct pair p;

	(void)state;
	shake(&p, ca, other, "a.example", "a.example", NULL, 0);
	assert_false(p.ok);
	pair_done(&p);
	ca_free(ca);
	ca_free(other);
}

/* A restarted proxy signs with the same CA: running programs go on trusting it. */
static void test_same_ca(void **state)
{
	struct ca *first = new_ca(), *second = NULL;
	struct pair p;
	char *pem;
	size_t n;

	(void)state;
	assert_int_equal(ca_pem(first, &pem, &n), 0);
	assert_true(n < CA_PEM_MAX);
	assert_non_null(memmem(pem, n, "-----BEGIN PRIVATE KEY-----", 27));
	assert_int_equal(ca_new((struct slice){(uint8_t *)pem, n}, "unit", &second), 0);
	shake(&p, second, first, "a.example", "a.example", NULL, 0);
	assert_true(p.ok);
	pair_done(&p);
	pem[60] ^= 1; /* within the key */
	ca_free(second);
	second = NULL;
	assert_int_not_equal(ca_new((struct slice){(uint8_t *)pem, n}, "unit", &second), 0);
	ERR_clear_error();
	free(pem);
	ca_free(first);
}

static void test_leaves(void **state)
{
	struct ca *ca = new_ca();
	X509 *a, *b, *again, *root = ca_cert(ca);
	char name[64], subject[200];
	int days, secs;

	(void)state;
	X509_NAME_oneline(X509_get_subject_name(root), subject, sizeof(subject));
	assert_string_equal(subject, "/CN=osh-enforce sandbox unit");
	assert_int_equal(X509_check_ca(root), 1);
	X509_free(root);
	assert_int_equal(ca_leaf(ca, "a.example", &a), 0);
	assert_int_equal(ca_leaf(ca, "b.example", &b), 0);
	assert_int_equal(ca_leaf(ca, "a.example", &again), 0);
	assert_ptr_equal(a, again);
	assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)), 0);
	assert_int_equal(X509_check_host(a, "a.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(a, "b.example", 0, 0, NULL), 0);
	assert_true(X509_cmp_current_time(X509_get0_notBefore(a)) < 0);
	assert_int_equal(ASN1_TIME_diff(&days, &secs, X509_get0_notBefore(a), X509_get0_notAfter(a)), 1);
	assert_in_range(days, 7, 9);
	/* The text of a name is never syntax. */
	assert_int_equal(ca_leaf(ca, "a.example,DNS:evil.example", &a), 0);
	assert_int_equal(X509_check_host(a, "evil.example", 0, 0, NULL), 0);
	assert_int_equal(ca_leaf(ca, "192.0.2.9", &a), 0);
	assert_int_equal(X509_check_ip_asc(a, "192.0.2.9", 0), 1);
	X509_up_ref(b);
	for (unsigned i = 0; i < CA_LEAVES_MAX + 50; i++) { /* the cache stays bounded, the first ones go */
		snprintf(name, sizeof(name), "h%u.example", i);
		assert_int_equal(ca_leaf(ca, name, &a), 0);
	}
	assert_int_equal(ca_leaf(ca, "b.example", &again), 0);
	assert_ptr_not_equal(b, again);
	X509_free(b);
	ca_free(ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),		 cmocka_unit_test(test_records),
		cmocka_unit_test(test_not_hellos),	 cmocka_unit_test(test_malformed_hellos),
		cmocka_unit_test(test_versions_and_ech), cmocka_unit_test(test_openssl_hello),
		cmocka_unit_test(test_handshakes),	 cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_same_ca),		 cmocka_unit_test(test_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
