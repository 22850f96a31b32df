/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - a checked policy, as policy_parse() builds it and policy_compile() reads it.
 *
 * Everything hangs in the policy's arena.  Text is valid UTF-8 without control bytes; globs have
 * passed glob_add()'s syntax check.  What is added here and means something is added to
 * canonical_text.c too.
 */
#pragma once

#include "policy/arena.h"
#include "policy/policy.h"

enum pol_host_kind {
	HOST_NONE, /* left out: any name that resolves into allowed_ips, and those addresses */
	HOST_EXACT,
	HOST_PATTERN,
	HOST_ADDRESS,
};

/* Values stand in images; policy/image.h. */
enum pol_protocol { PROTO_TCP = 0, PROTO_REST = 1 };
enum pol_tls { TLS_NATIVE = 0, TLS_TERMINATE = 1, TLS_SKIP = 2 };
enum pol_enforcement { ENFORCE = 0, AUDIT = 1 };
enum pol_access { ACCESS_NONE = 0, ACCESS_READ_ONLY, ACCESS_READ_WRITE, ACCESS_FULL };

struct pol_net {
	uint8_t family; /* 4 or 6; a mapped IPv4 address is 4 */
	uint8_t prefix; /* bits */
	uint8_t addr[16];
};

struct pol_query {
	struct slice name;
	const struct slice *any; /* globs, one of which must match */
	size_t n;
};

struct pol_rule {
	bool deny;
	struct slice method; /* n == 0: any */
	struct slice path;   /* glob; n == 0: every path */
	const struct pol_query *query;
	size_t nquery;
	int line, col;
};

struct pol_endpoint {
	enum pol_host_kind host_kind;
	struct slice host; /* lower case, no trailing dot; empty for HOST_NONE */
	struct pol_net address;
	const uint16_t *ports; /* ascending, no repetition */
	size_t nports;
	enum pol_protocol protocol;
	enum pol_tls tls;
	enum pol_enforcement enforcement;
	enum pol_access access;
	struct slice path;	      /* selector; n == 0: none */
	const struct pol_rule *rules; /* allow and deny, in the order of the file */
	size_t nrules;
	const struct pol_net *ips;
	size_t nips;
	bool encoded_slash;
	bool says_protocol; /* written out, for the conflict check */
	int line, col, access_line, host_line, host_col;
};

struct pol_binary {
	struct slice path;
	bool glob, ancestors, tainted;
	struct slice *alias; /* malloced array, text in the arena */
	size_t naliases, alias_cap;
	int line, col;
};

struct pol_block {
	struct slice key, name;
	struct pol_endpoint *endpoints;
	size_t nendpoints;
	struct pol_binary *binaries;
	size_t nbinaries;
	int line, col;
};

struct policy {
	struct arena arena;
	struct policy_static st;
	struct pol_block *blocks;
	size_t nblocks;
};

static inline bool pol_inspected(const struct pol_endpoint *e)
{
	return e->protocol != PROTO_TCP && e->tls != TLS_SKIP;
}

/* The methods that a word for access stands for, NULL-terminated; "" is any. */
const char *const *pol_access_methods(enum pol_access a);
