/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - the part of the policy image that only user space reads: what stands behind a matched
 * destination.  The kernel's part is in bpf/abi.h.
 *
 * Begins at osh_img_hdr.l7_off with struct img_l7_hdr; all tables lie behind it, each aligned to 8.
 * Offsets are in bytes from the start of the image, so the whole is position independent.
 * image_open() checks every offset, index and string once; readers then follow them unchecked.
 *
 * Requests.  One automaton (same tables as in abi.h) serves all endpoints, each with a start state
 * of its own: rules     input METHOD SP canonical-path     accept: index of a rule set selector
 * input canonical-path               accept: not 0 = selected value     input a decoded query value
 * accept: not 0 = matches A rule set names rules by their number within the endpoint, so endpoints
 * with the same rules share states.  What a request costs is its length, plus the conditions on its
 * query that its path selects.
 */
#pragma once

#include "bpf/abi.h"
#include "policy/base.h"

#define IMG_L7_MAGIC 0x374c4853u /* "SHL7" */
#define IMG_L7_VERSION 1

struct img_table {
	uint32_t off; /* bytes from the start of the image */
	uint32_t n;   /* elements */
};

/* Text in the table of strings: n bytes at off (from the start of that table) and a NUL. */
struct img_str {
	uint32_t off, n;
};

struct img_l7_hdr {
	uint32_t magic, version;
	struct img_table blocks;    /* struct img_block [hdr.nblocks] */
	struct img_table endpoints; /* struct img_endpoint, in the order of the file */
	struct img_table
		lists; /* uint32_t: endpoint numbers, what osh_img_dstset.eps_off points into */
	struct img_table nets;	/* struct img_net */
	struct img_table rules; /* struct img_rule */
	struct img_table
		sets; /* struct img_ruleset; 0: nothing, 1: what selectors and values accept */
	struct img_table setrules; /* uint32_t: rule numbers within the endpoint */
	struct img_table conds;	   /* struct img_cond */
	struct img_table strings;  /* bytes */
	struct osh_img_dfa dfa;
};

struct img_block {
	struct img_str name;
	uint32_t first_endpoint, nendpoints;
	uint32_t line;
	uint32_t pad;
};

enum img_endpoint_flags {
	IMG_EP_INSPECTED = 1,	  /* requests are read and judged */
	IMG_EP_ENCODED_SLASH = 2, /* allow_encoded_slash */
	IMG_EP_EXACT = 4,	  /* the host is one name or address: may be private */
	IMG_EP_AUDIT = 8,	  /* enforcement: audit */
	IMG_EP_SKIP = 16,	  /* tls: skip */
	IMG_EP_SELECTOR = 32,	  /* has a path selector */
};

struct img_endpoint {
	uint32_t block;
	uint32_t line;
	struct img_str host; /* as in the policy, lower case; empty: any name within allowed_ips */
	uint32_t flags;	     /* enum img_endpoint_flags */
	uint8_t protocol;    /* enum pol_protocol */
	uint8_t tls;	     /* enum pol_tls */
	uint8_t pad[2];
	uint32_t selector; /* start state */
	uint32_t start;	   /* of the rules; 0: none */
	uint32_t first_rule, nrules;
	uint32_t first_net, nnets; /* allowed_ips */
};

struct img_net {
	uint8_t family, prefix;
	uint8_t pad[2];
	uint8_t addr[16];
};

struct img_rule {
	struct img_str text; /* in words */
	uint32_t line;
	uint32_t deny;
	uint32_t first_cond, nconds; /* all must hold */
};

struct img_cond {
	struct img_str name; /* decoded name of the query parameter */
	uint32_t start;	     /* automaton over one value */
	uint32_t pad;
};

/* What the rules of one endpoint say to one method and path. */
struct img_ruleset {
	uint32_t deny;	   /* 1 + first rule that denies outright, 0 none */
	uint32_t allow;	   /* 1 + first rule that allows outright, 0 none */
	uint32_t first, n; /* in setrules: rules that look at the query, ascending */
};

_Static_assert(sizeof(struct img_l7_hdr) == 104, "image");
_Static_assert(sizeof(struct img_endpoint) == 48, "image");
_Static_assert(sizeof(struct img_rule) == 24, "image");
