/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.c - certificates for inspected flows; see ca.h.
 *
 * Certificates carry what strict verifiers ask for (key identifiers, critical basicConstraints and keyUsage,
 * a SAN and no reliance on the subject).  Names become ASN.1 values directly: no text of a host ever passes
 * through OpenSSL's configuration syntax.
 *
 * The client_hello callback is the one place where the server name is judged: it sees the raw extension, so
 * what we read strictly is what OpenSSL reads.
 */
#include "proxy/ca.h"

#include "proxy/hello.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <time.h>
#include <uthash.h>

#define DAY (24L * 60 * 60)
#define CA_DAYS 365L
#define LEAF_DAYS 7L
#define BACKDATE DAY /* clocks of containers and guests run behind */

struct leaf {
	char host[OSH_NAME_MAX];
	X509 *cert;
	time_t renew; /* a new one is made from here on */
	UT_hash_handle hh;
};

struct ca {
	EVP_PKEY *key;
	X509 *cert;
	EVP_PKEY *leaf_key;
	struct leaf *leaves; /* in order of last use */
	SSL_CTX *ctx;	     /* made on first use */
};

/* ------------------------------------------------------------------------------------ certificates -- */

static int add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX v3;
	X509_EXTENSION *e;
	int ok;

	X509V3_set_ctx(&v3, issuer, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&v3);
	e = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
	if (!e)
		return -EIO;
	ok = X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
	return ok == 1 ? 0 : -EIO;
}

static int set_serial(X509 *cert)
{
	uint8_t b[16];
	BIGNUM *n;
	ASN1_INTEGER *a;

	if (RAND_bytes(b, sizeof(b)) != 1)
		return -EIO;
	b[0] = (uint8_t)((b[0] & 0x7f) | 0x40); /* positive, and of one length */
	n = BN_bin2bn(b, sizeof(b), NULL);
	a = n ? BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) : NULL;
	BN_free(n);
	return a ? 0 : -EIO;
}

static int set_name(X509_NAME *name, const char *cn)
{
	return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
					  (const unsigned char *)cn, -1, -1, 0) == 1
		       ? 0
		       : -EIO;
}

/* Version, serial, validity, subject, key: what every certificate here has. */
static X509 *new_cert(const char *cn, EVP_PKEY *key, long days)
{
	X509 *c = X509_new();

	if (!c)
		return NULL;
	if (X509_set_version(c, X509_VERSION_3) != 1 || set_serial(c) < 0 ||
	    !X509_gmtime_adj(X509_getm_notBefore(c), -BACKDATE) ||
	    !X509_gmtime_adj(X509_getm_notAfter(c), days * DAY) ||
	    set_name(X509_get_subject_name(c), cn) < 0 || X509_set_pubkey(c, key) != 1) {
		X509_free(c);
		return NULL;
	}
	return c;
}

static int make_ca(struct ca *ca, const char *sandbox)
{
	char cn[65];

	snprintf(cn, sizeof(cn), "osh-enforce sandbox %.44s", sandbox);
	ca->key = EVP_EC_gen("P-256");
	ca->cert = ca->key ? new_cert(cn, ca->key, CA_DAYS) : NULL;
	if (!ca->cert || X509_set_issuer_name(ca->cert, X509_get_subject_name(ca->cert)) != 1 ||
	    add_ext(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") < 0 ||
	    add_ext(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") < 0 ||
	    add_ext(ca->cert, ca->cert, NID_subject_key_identifier, "hash") < 0 ||
	    X509_sign(ca->cert, ca->key, EVP_sha256()) == 0)
		return -EIO;
	return 0;
}

static int load_ca(struct ca *ca, struct slice pem)
{
	BIO *b;

	if (pem.n > CA_PEM_MAX)
		return -EFBIG;
	b = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (!b)
		return -ENOMEM;
	ca->key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	ca->cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	if (!ca->key || !ca->cert || X509_check_private_key(ca->cert, ca->key) != 1)
		return -EBADMSG;
	return 0;
}

int ca_pem(const struct ca *ca, char **ret, size_t *ret_n)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p = NULL, *copy;
	long n;

	if (!b)
		return -ENOMEM;
	if (PEM_write_bio_PKCS8PrivateKey(b, ca->key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    PEM_write_bio_X509(b, ca->cert) != 1) {
		BIO_free(b);
		return -EIO;
	}
	n = BIO_get_mem_data(b, &p);
	copy = n > 0 ? malloc((size_t)n) : NULL;
	if (copy) {
		memcpy(copy, p, (size_t)n);
		*ret = copy;
		*ret_n = (size_t)n;
	}
	OPENSSL_cleanse(p, (size_t)n);
	BIO_free(b);
	return copy ? 0 : -ENOMEM;
}

int ca_new(struct slice pem, const char *sandbox, struct ca **ret)
{
	struct ca *ca = calloc(1, sizeof(*ca));
	int r;

	if (!ca)
		return -ENOMEM;
	r = pem.n ? load_ca(ca, pem) : make_ca(ca, sandbox);
	if (r == 0) {
		ca->leaf_key = EVP_EC_gen("P-256");
		r = ca->leaf_key ? 0 : -EIO;
	}
	if (r < 0) {
		ca_free(ca);
		return r;
	}
	*ret = ca;
	return 0;
}

static void leaf_free(struct leaf *l)
{
	X509_free(l->cert);
	free(l);
}

struct ca *ca_free(struct ca *ca)
{
	struct leaf *l, *tmp;

	if (!ca)
		return NULL;
	HASH_ITER(hh, ca->leaves, l, tmp) {
		HASH_DEL(ca->leaves, l);
		leaf_free(l);
	}
	SSL_CTX_free(ca->ctx);
	EVP_PKEY_free(ca->leaf_key);
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
	free(ca);
	return NULL;
}

/* ------------------------------------------------------------------------------------------ leaves -- */

static int fill_san(GENERAL_NAME *g, const char *host)
{
	uint8_t a[16];
	int n = inet_pton(AF_INET, host, a) == 1 ? 4 : inet_pton(AF_INET6, host, a) == 1 ? 16 : 0;
	ASN1_STRING *s = n ? (ASN1_STRING *)ASN1_OCTET_STRING_new() : (ASN1_STRING *)ASN1_IA5STRING_new();

	if (!s || ASN1_STRING_set(s, n ? (const void *)a : host, n ? n : -1) != 1) {
		ASN1_STRING_free(s);
		return -ENOMEM;
	}
	GENERAL_NAME_set0_value(g, n ? GEN_IPADD : GEN_DNS, s);
	return 0;
}

static int add_san(X509 *cert, const char *host)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *g = GENERAL_NAME_new();
	int r = -ENOMEM;

	if (names && g && fill_san(g, host) == 0 && sk_GENERAL_NAME_push(names, g) > 0) {
		g = NULL;
		r = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1 ? 0 : -EIO;
	}
	GENERAL_NAME_free(g);
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	return r;
}

static X509 *make_leaf(struct ca *ca, const char *host)
{
	/* A common name has 64 characters at most; nobody should look at it. */
	X509 *c = new_cert(strlen(host) <= 64 ? host : "osh-enforce", ca->leaf_key, LEAF_DAYS);

	if (c && X509_set_issuer_name(c, X509_get_subject_name(ca->cert)) == 1 &&
	    add_ext(c, ca->cert, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
	    add_ext(c, ca->cert, NID_key_usage, "critical,digitalSignature") == 0 &&
	    add_ext(c, ca->cert, NID_ext_key_usage, "serverAuth") == 0 &&
	    add_ext(c, ca->cert, NID_subject_key_identifier, "hash") == 0 &&
	    add_ext(c, ca->cert, NID_authority_key_identifier, "keyid:always") == 0 &&
	    add_san(c, host) == 0 && X509_sign(c, ca->key, EVP_sha256()) > 0)
		return c;
	X509_free(c);
	return NULL;
}

static void evict_oldest(struct ca *ca)
{
	struct leaf *oldest = ca->leaves; /* uthash keeps the order of insertion */

	if (HASH_COUNT(ca->leaves) < CA_LEAVES_MAX)
		return;
	HASH_DEL(ca->leaves, oldest);
	leaf_free(oldest);
}

int ca_leaf(struct ca *ca, const char *host, X509 **ret)
{
	struct leaf *l = NULL;

	if (strlen(host) >= sizeof(l->host))
		return -ENAMETOOLONG;
	HASH_FIND_STR(ca->leaves, host, l);
	if (l) {
		HASH_DEL(ca->leaves, l); /* taken out and, when still good, put back as the newest */
		if (time(NULL) >= l->renew) {
			leaf_free(l);
			l = NULL;
		}
	}
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return -ENOMEM;
		snprintf(l->host, sizeof(l->host), "%s", host);
		l->renew = time(NULL) + (LEAF_DAYS - 1) * DAY;
		l->cert = make_leaf(ca, host);
		if (!l->cert) {
			leaf_free(l);
			return -EIO;
		}
		evict_oldest(ca);
	}
	HASH_ADD_STR(ca->leaves, host, l);
	*ret = l->cert;
	return 0;
}

/* ------------------------------------------------------------------------------------------ server -- */

static void note_sni(struct ca_session *s, const struct hello *h)
{
	snprintf(s->sni, sizeof(s->sni), "%s", h->sni);
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct ca *ca = arg;
	struct ca_session *s = SSL_get_app_data(ssl);
	const unsigned char *ext;
	struct hello h = {0};
	X509 *cert;
	size_t n;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &n)) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		if (!hello_parse_sni((struct slice){ext, n}, &h)) {
			s->refused = "malformed server name";
			return SSL_CLIENT_HELLO_ERROR;
		}
		if (strcmp(h.sni, s->host) != 0) {
			s->refused = "server name differs from the connection's host";
			note_sni(s, &h);
			return SSL_CLIENT_HELLO_ERROR;
		}
	}
	*alert = SSL_AD_INTERNAL_ERROR;
	if (ca_leaf(ca, s->host, &cert) < 0 || SSL_use_certificate(ssl, cert) != 1 ||
	    SSL_use_PrivateKey(ssl, ca->leaf_key) != 1) {
		s->refused = "no certificate could be made";
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* http/1.1 when offered; a client that offers only other protocols is told so (RFC 7301 section 3.2). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
		   unsigned in_n, void *arg)
{
	struct ca_session *s = SSL_get_app_data(ssl);

	(void)arg;
	for (unsigned i = 0; i < in_n; i += 1u + in[i]) {
		if (in[i] == 8 && i + 9 <= in_n && memcmp(in + i + 1, "http/1.1", 8) == 0) {
			*out = in + i + 1;
			*out_n = 8;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	s->refused = "client does not offer HTTP/1.1";
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int make_ctx(struct ca *ca)
{
	static const unsigned char id[] = "osh-enforce";
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());

	if (!c)
		return -ENOMEM;
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				    SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(c, 1); /* several records in one read(); given back when empty */
	SSL_CTX_set_default_read_buffer_len(c, 64 << 10);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* tickets only: no state here */
	SSL_CTX_set_session_id_context(c, id, sizeof(id) - 1);
	SSL_CTX_set_num_tickets(c, 1);
	SSL_CTX_set_client_hello_cb(c, on_client_hello, ca);
	SSL_CTX_set_alpn_select_cb(c, on_alpn, NULL);
	ca->ctx = c;
	return 0;
}

int ca_accept(struct ca *ca, int fd, struct ca_session *s, SSL **ret)
{
	SSL *ssl;
	int r = ca->ctx ? 0 : make_ctx(ca);

	if (r < 0)
		return r;
	ssl = SSL_new(ca->ctx);
	if (!ssl || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	s->refused = NULL;
	s->sni[0] = '\0';
	SSL_set_app_data(ssl, s);
	SSL_set_accept_state(ssl);
	*ret = ssl;
	return 0;
}
