/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.h - the first flight of a TLS client (RFC 8446 section 4.1.2, RFC 6066 section 3), read strictly.
 *
 * For flows that are relayed unopened the server name in it is all there is to judge, so a hello that two
 * readers could understand differently is refused.
 */
#pragma once

#include "bpf/abi.h"
#include "policy/base.h"

#define HELLO_MAX (64u << 10) /* bytes of records that may hold one hello */

enum hello_result { HELLO_MORE, HELLO_OK, HELLO_BAD };

struct hello {
	bool has_sni;
	bool has_ech;	/* encrypted_client_hello, real or grease: the name that counts may be inside */
	bool has_early; /* early_data: after a HelloRetryRequest a second hello comes behind records nobody can read */
	bool tls12;	/* offers TLS 1.2 or later */
	size_t used;	/* bytes of the records that hold the hello; what follows is early data */
	size_t sni_n;
	char sni[OSH_NAME_MAX]; /* lower case, one trailing dot taken off, NUL-terminated */
};

/* in: all bytes read so far, from the first.  HELLO_BAD: *ret_why says what is wrong, in words for the log. */
enum hello_result hello_parse(struct slice in, struct hello *ret, const char **ret_why);

/* The body of a server_name extension. */
bool hello_parse_sni(struct slice ext, struct hello *ret);
