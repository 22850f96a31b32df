/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - the policy language: text -> checked policy -> image -> decisions.
 *
 * Pure code: no sockets, no globals, no files but the text it is given; uses libyaml and libc only.
 * Functions return 0 or a negative errno; ret_* outputs are set only on success.
 * The language itself is docs/policy-language.md.
 */
#pragma once

#include "bpf/abi.h"
#include "policy/base.h"

/* ------------------------------------------------------------------------------- diagnostics -- */

enum policy_severity {
	POLICY_ERROR,
	POLICY_WARNING,
	POLICY_NOTE, /* for the reader; never counts against the policy */
};

struct policy_diag {
	enum policy_severity severity;
	int line, col; /* 1-based; 0: the file as a whole */
	char *message; /* printable UTF-8, no newline */
};

struct policy_diags {
	struct policy_diag *v;
	size_t n;
	size_t errors, warnings; /* how many there are; not all need be kept */
};

void policy_diags_done(struct policy_diags *d);
/* Prints "FILE:LINE:COL: message" lines ("... warning: message", "... note: message"), in order of
 * position. */
void policy_diags_print(const struct policy_diags *d, const char *file, FILE *out);

/* -------------------------------------------------------------------------------- the policy -- */

struct policy_path {
	const char *path; /* absolute, normalised, no trailing slash */
	int line, col;
};

struct policy_paths {
	const struct policy_path *v;
	size_t n;
};

enum policy_landlock { POLICY_BEST_EFFORT, POLICY_HARD_REQUIREMENT };

/* The static sections, as read; the baseline is added by the launcher, not here. */
struct policy_static {
	bool has_filesystem, has_landlock, has_process; /* section present: absent in a reload = unchanged */
	bool include_workdir;
	struct policy_paths read_only, read_write, unix_sockets;
	enum policy_landlock landlock;
	const char *run_as_user, *run_as_group; /* name or decimal id; NULL: not given */
	int user_line, user_col, group_line, group_col;
};

struct policy; /* owns everything reachable from it */

/* Limits, stated in docs/policy-language.md and refused with the number when exceeded. */
#define POLICY_TEXT_MAX (4u << 20)
#define POLICY_DEPTH_MAX 32
#define POLICY_NODES_MAX 4000000u /* after alias expansion; eight bytes of text count as one more */
#define POLICY_ENDPOINTS_MAX 250000u
#define POLICY_RULES_MAX 500000u
#define POLICY_BINARIES_MAX 250000u
#define POLICY_PORTS_MAX 1000000u /* of all endpoints */

/* Parses and checks text (at most POLICY_TEXT_MAX bytes).  All errors and warnings go to diags, positions
 * included.  Returns -EINVAL when there is at least one error. */
int policy_parse(struct slice text, struct policy_diags *diags, struct policy **ret);
struct policy *policy_free(struct policy *p); /* takes NULL, returns NULL */
static inline void policy_freep(struct policy **p)
{
	policy_free(*p);
}

const struct policy_static *policy_static(const struct policy *p);

/* How many blocks, and endpoints over all of them. */
void policy_counts(const struct policy *p, size_t *ret_blocks, size_t *ret_endpoints);
/* How many of the endpoints are native: their bytes go straight to the address, unseen. */
size_t policy_count_native(const struct policy *p);

/*
 * The policy as one text in which every spelling of it is the same (policy/canonical_text.c says what counts);
 * its SHA-256 is the hash that people see.  *ret is malloced, with a NUL behind that is not counted.
 */
int policy_canonical_text(const struct policy *p, char **ret, size_t *ret_n);

/* Compares the static sections of a reload with those in force.  Returns NULL when nothing changes (an
 * absent section means unchanged; lists compare as sets, names by resolved meaning of the caller), else
 * the name of the first field that differs, for example "filesystem_policy.read_only". */
const char *policy_static_differs(const struct policy_static *in_force, const struct policy_static *next);

/* Visits every `path` of every binary entry, so that the caller can add what a symbolic link in it
 * resolves to (only the caller may look at files). add: policy_add_binary_alias(). */
struct policy_binary {
	size_t block, index;
	const char *path; /* pattern as written */
	bool glob;	  /* has *, ?, [ or { */
	int line, col;
};
size_t policy_binaries(const struct policy *p, size_t i, struct policy_binary *ret); /* returns the total
	number; fills ret when i is below it */
/* Adds another exact path that the entry (block, index) matches. */
int policy_add_binary_alias(struct policy *p, size_t block, size_t index, const char *path);

/* Adds an exact binary path to every block that has a binary entry with exactly the path `like`
 * (the host section of the built-in default policy).  Returns the number of blocks, or -errno. */
int policy_add_binary_like(struct policy *p, const char *like, const char *path);

/* ----------------------------------------------------------------------------------- compile -- */

/* Compiles to an image.  *ret_image is malloced, *ret_size a multiple of OSH_IMG_PAGE.  Limits exceeded
 * are errors in diags with the number. */
int policy_compile(const struct policy *p, struct policy_diags *diags, uint8_t **ret_image,
		   size_t *ret_size);

/* ------------------------------------------------------------------------------------- decide -- */

/* A validated view of an image; holds no memory of its own. */
struct image {
	const uint8_t *p;
	size_t n;
	const struct osh_img_hdr *hdr;
};

/* Checks every offset, count, state, cell, set, string and table of the image, so that no later function
 * can leave it.  Bounded by the image's size.  -EBADMSG: not a valid image.  The bytes must stay unchanged
 * (a frozen map, a private buffer). */
int image_open(struct image *ret, const uint8_t *p, size_t n);

const char *image_block_name(const struct image *img, uint32_t block); /* NULL: no such block */

/* Puts the digest of an image (over its bytes with the digest zero) into its header. */
void image_set_sha256(uint8_t *image, const uint8_t digest[32]);

struct block_bits {
	uint64_t w[OSH_BLOCK_WORDS];
};

/* Set of binary set for one path: index into the binset table (0: none). */
uint32_t image_binset(const struct image *img, struct slice path);

/* The identity of the caller as path strings. */
struct ident_paths {
	struct slice exe, script; /* n == 0: none */
	const struct slice *anc;
	size_t nanc;
	bool tainted;
};
void image_ident_bits(const struct image *img, const struct ident_paths *id, struct block_bits *ret);

/* A destination, as the program meant it. */
struct dest {
	struct slice host;   /* name in any case (lowered inside); n == 0: a literal address */
	uint8_t family;	     /* 4 or 6 when literal */
	uint8_t addr[16];    /* network order */
	uint16_t port;
};
/* Parses what a person or a URL writes: a name, an IPv4 literal, an IPv6 literal with or without brackets. */
void dest_from_text(struct dest *ret, struct slice host, uint16_t port);

enum connect_verdict { CONNECT_DENY = 0, CONNECT_NATIVE, CONNECT_PROXY };

struct connect_decision {
	enum connect_verdict verdict;
	enum osh_reason reason;	  /* deny: OSH_R_NO_MATCH or OSH_R_BINARY */
	uint32_t block;		  /* first matching block in file order; or nearest for OSH_R_BINARY; ~0 none */
	struct block_bits blocks; /* that match caller and destination */
	uint32_t dstset;
};
void image_decide_connect(const struct image *img, const struct block_bits *caller,
			  const struct dest *d, struct connect_decision *ret);

/* What the resolver asks: may this caller reach the name on some port, and natively on some port? */
struct name_decision {
	bool any, native;
};
void image_decide_name(const struct image *img, const struct block_bits *caller, struct slice name,
		       struct name_decision *ret);

/* May `name`, allowed for these blocks on port (0: any port), resolve to this address?  Checks the class
 * (never-allowed ranges never; private only for an exactly named host or through allowed_ips; an endpoint
 * that has allowed_ips admits only those).  *ret_class is always set. */
bool image_address_allowed(const struct image *img, const struct block_bits *blocks, struct slice name,
			   uint16_t port, uint8_t family, const uint8_t addr[16],
			   enum osh_addr_class *ret_class);

struct query_pair {
	struct slice name, value; /* decoded */
};

/* One request on an inspected flow. */
struct request {
	struct slice method;		/* as sent, case kept */
	struct slice path;		/* canonical, canonical_target() */
	const struct query_pair *query; /* decoded, in order */
	size_t nquery;
};

enum request_verdict {
	REQUEST_DENY = 0,
	REQUEST_ALLOW,
	REQUEST_AUDIT, /* not permitted, but every endpoint that says so is in audit mode: logged, let through */
};

struct request_decision {
	enum request_verdict verdict;
	bool by_deny_rule; /* deny or audit: a deny rule fired, not a plain miss */
	uint32_t block;	   /* whose rule decided; for a plain miss the first in file order that covers */
	uint32_t rule_line; /* line of the rule in the policy, 0 for a miss */
	char rule[160];	   /* the rule in words, printable: "access: read-only", "" */
};
void image_decide_request(const struct image *img, const struct connect_decision *c,
			  const struct request *r, struct request_decision *ret);

/* How a flow must be treated before any byte is read: terminate TLS / parse HTTP, or relay after SNI. */
enum flow_treatment { FLOW_INSPECT, FLOW_SKIP };
enum flow_treatment image_flow_treatment(const struct image *img, const struct connect_decision *c);
/* Does any endpoint that matched set allow_encoded_slash? */
bool image_encoded_slash(const struct image *img, const struct connect_decision *c);

/* --------------------------------------------------------------------------- request targets -- */

enum target_error {
	TARGET_OK = 0,
	TARGET_TRAVERSAL,
	TARGET_ENCODED_SLASH,
	TARGET_CONTROL_BYTE,
	TARGET_FRAGMENT,
	TARGET_NON_ASCII,
	TARGET_BAD_PERCENT,
	TARGET_TOO_LONG,
	TARGET_RESIDUAL_DOTS,
	TARGET_NOT_ORIGIN_FORM,
};
const char *target_error_string(enum target_error e); /* "traversal", ... as in vectors/paths.yaml */

#define TARGET_PATH_MAX 4096

struct canonical_target {
	char path[TARGET_PATH_MAX + 1]; /* canonical, NUL-terminated */
	size_t path_n;
	struct slice query;	/* raw, points into the input; n == 0 and p == NULL: no '?' */
	struct slice authority; /* of an absolute-form target, else n == 0 */
};
/* Canonicalises a raw request target (RFC 9112 section 3.2; order of steps: docs/policy-language.md).  The
 * caller compares authority with Host. */
enum target_error canonical_target(struct slice raw, bool encoded_slash, struct canonical_target *ret);

/* Splits and percent-decodes a raw query ('&' separates, first '=' splits, '+' is a space) into at most max
 * pairs; decoded bytes go to buf.  -EBADMSG: bad percent or control byte; -E2BIG: more pairs or bytes than fit. */
int parse_query(struct slice raw, struct query_pair *pairs, size_t max, size_t *ret_n, char *buf,
		size_t buf_n);
