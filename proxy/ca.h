/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.h - the sandbox's certificate authority and the TLS server that inspected programs meet.
 *
 * One CA per sandbox; its key never leaves supervisor and proxy.  One leaf key per proxy process, one
 * certificate per host, made on first use and kept in a bounded cache.
 */
#pragma once

#include "policy/base.h"

#include <openssl/ssl.h>

#define CA_PEM_MAX (16u << 10)
#define CA_LEAVES_MAX 1024u

struct ca;

/* pem: private key, then certificate; empty: a new CA is made for that sandbox name. */
int ca_new(struct slice pem, const char *sandbox, struct ca **ret);
struct ca *ca_free(struct ca *ca);
static inline void ca_freep(struct ca **ca)
{
	ca_free(*ca);
}

/* Private key and certificate of the CA; malloced. */
int ca_pem(const struct ca *ca, char **ret, size_t *ret_n);

/* The certificate for a host: a DNS name in lower case or the text of an address.  Borrowed. */
int ca_leaf(struct ca *ca, const char *host, X509 **ret);

/* A server-side TLS object on fd for a flow to `host` (which must outlive it).  The handshake goes through
 * only when the client names that host or none. */
struct ca_session {
	const char *host;
	const char *refused; /* out: why the handshake was refused here, NULL when it was not */
	char sni[256];	     /* out: what the client named instead, printable */
};
int ca_accept(struct ca *ca, int fd, struct ca_session *s, SSL **ret);
