/* SPDX-License-Identifier: Apache-2.0 */
/* check_endpoint.c - one endpoint of a block. */
#include "policy/check.h"
#include "policy/glob.h"
#include "policy/host.h"

enum {
	EP_HOST,
	EP_PORT,
	EP_PORTS,
	EP_PATH,
	EP_PROTOCOL,
	EP_TLS,
	EP_ENFORCEMENT,
	EP_ACCESS,
	EP_RULES,
	EP_DENY_RULES,
	EP_ALLOWED_IPS,
	EP_ENCODED_SLASH,
	EP_COUNT
};

static const char *const names[EP_COUNT] = {
	"host",	       "port",	 "ports", "path",	"protocol",    "tls",
	"enforcement", "access", "rules", "deny_rules", "allowed_ips", "allow_encoded_slash"};

static void check_host(struct check *c, const struct ynode *ep, const struct field *f,
		       struct pol_endpoint *ret)
{
	const struct ynode *n = f[EP_HOST].val;
	char buf[HOST_MAX + 64], why[160];
	struct slice s;

	if (!n || (ynode_type(n) == YT_STR && n->s.n == 0)) {
		ret->host_kind = HOST_NONE;
		if (!f[EP_ALLOWED_IPS].val)
			check_error(c, n ? n : ep,
				    "'host' is %s (it may be only with 'allowed_ips')",
				    n ? "empty" : "missing");
		return;
	}
	if (!check_string(c, n, "host", &s))
		return;
	ret->host_line = n->line;
	ret->host_col = n->col;
	if (host_parse(s, buf, ret, why, sizeof(why)) < 0)
		check_error(c, n, "host '" SLICE_FMT "' %s", SLICE_ARG(s), why);
	else
		ret->host = check_copy(c, ret->host);
	if (slice_eq_str(ret->host, "*") || slice_eq_str(ret->host, "**"))
		check_warning(c, n, "host '" SLICE_FMT "' matches every %sname", SLICE_ARG(s),
			      ret->host.n == 1 ? "one-label " : "");
}

/* -------------------------------------------------------------------------------- ports -- */

static bool check_port(struct check *c, const struct ynode *n, uint16_t *ret)
{
	unsigned long v;

	if (!check_number(c, n, "port", 1, 65535, &v))
		return false;
	if (v == 53) {
		check_error(c, n,
			    "port 53 cannot be opened: names are resolved by the sandbox's own "
			    "resolver");
		return false;
	}
	*ret = (uint16_t)v;
	return true;
}

static int cmp_port(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void check_ports(struct check *c, const struct ynode *ep, const struct field *f,
			struct pol_endpoint *ret)
{
	const struct ynode *one = f[EP_PORT].val, *many = f[EP_PORTS].val;
	size_t n = 0, out = 0;
	uint16_t *v;

	if (!one == !many) {
		check_error(c, one ? f[EP_PORTS].key : ep,
			    one ? "'port' and 'ports' exclude each other" : "'port' is missing");
		return;
	}
	if (many && !check_filled(c, many, "ports"))
		return;
	v = check_alloc(c, one ? 1 : many->n, sizeof(*v));
	if (!v)
		return;
	if (one)
		n += check_port(c, one, &v[0]);
	for (uint32_t i = 0; many && i < many->n; i++)
		n += check_port(c, many->v[i], &v[n]);
	qsort(v, n, sizeof(*v), cmp_port);
	for (size_t i = 0; i < n; i++)
		if (!out || v[out - 1] != v[i])
			v[out++] = v[i];
	c->ports += out;
	if (c->ports > POLICY_PORTS_MAX) {
		check_error(c, one ? one : many, "up to here the endpoints have %zu ports (at most %u)",
			    c->ports, POLICY_PORTS_MAX);
		return;
	}
	ret->ports = v;
	ret->nports = out;
}

static void check_ips(struct check *c, const struct ynode *n, struct pol_endpoint *ret)
{
	struct pol_net *v;
	char why[160];

	if (!n || !check_filled(c, n, "allowed_ips"))
		return;
	v = check_alloc(c, n->n, sizeof(*v));
	for (uint32_t i = 0; v && i < n->n; i++) {
		struct slice s;

		if (!check_string(c, n->v[i], "allowed_ips", &s))
			continue;
		if (net_parse(s, &v[ret->nips], why, sizeof(why)) < 0)
			check_error(c, n->v[i], "allowed_ips '" SLICE_FMT "': %s", SLICE_ARG(s),
				    why);
		else
			ret->nips++;
	}
	ret->ips = v;
}

/* --------------------------------------------------------------------- protocol and tls -- */

static bool check_protocol(struct check *c, const struct ynode *n, struct pol_endpoint *ret)
{
	static const char *const words[] = {"tcp",	"rest", "websocket", "graphql",
					    "json-rpc", "mcp",	"sql"};
	size_t i;

	if (!n)
		return true;
	if (ynode_type(n) == YT_STR && (slice_eq_str(n->s, "http") || slice_eq_str(n->s, "https"))) {
		check_error(c, n, "unknown protocol '" SLICE_FMT "' (did you mean 'rest'?)",
			    SLICE_ARG(n->s));
		return false;
	}
	if (!check_word(c, n, "protocol", words, ARRAY_LEN(words), &i))
		return false;
	ret->says_protocol = true;
	ret->protocol = i ? PROTO_REST : PROTO_TCP;
	if (i <= 1)
		return true;
	check_error(c, n, "protocol '%s' is not supported%s", words[i],
		    strcmp(words[i], "sql") ? " yet by this version" : "");
	return false;
}

static void check_tls(struct check *c, const struct ynode *n, struct pol_endpoint *ret)
{
	static const char *const words[] = {"terminate", "passthrough", "skip"};
	bool inspected = ret->protocol != PROTO_TCP;
	size_t i = 1;

	ret->tls = inspected ? TLS_TERMINATE : TLS_NATIVE;
	if (!n || !check_word(c, n, "tls", words, ARRAY_LEN(words), &i))
		return;
	if (i == 2)
		ret->tls = TLS_SKIP;
	else if (i == 0 && !inspected)
		check_error(c, n,
			    "'tls: terminate' needs an inspected protocol (add 'protocol: rest')");
}

/* Fields that mean something only where requests are read. */
static void refuse_l7_fields(struct check *c, const struct field *f, const struct pol_endpoint *e)
{
	static const int fields[] = {EP_PATH, EP_ACCESS, EP_RULES, EP_DENY_RULES, EP_ENCODED_SLASH};
	const char *way_out = e->tls == TLS_SKIP
				      ? "means nothing with 'tls: skip': the requests are not read"
				      : "needs an inspected protocol (add 'protocol: rest')";

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (f[fields[i]].val)
			check_error(c, f[fields[i]].key, "'%s' %s", names[fields[i]], way_out);
	if (f[EP_ENFORCEMENT].val && e->enforcement == AUDIT)
		check_error(c, f[EP_ENFORCEMENT].key, "'enforcement: audit' %s", way_out);
}

static void check_enforcement(struct check *c, const struct ynode *n, struct pol_endpoint *ret)
{
	static const char *const words[] = {"enforce", "audit"};
	size_t i;

	if (n && check_word(c, n, "enforcement", words, ARRAY_LEN(words), &i))
		ret->enforcement = i ? AUDIT : ENFORCE;
}

/* ---------------------------------------------------------------------------- L7 fields -- */

static void check_access(struct check *c, const struct field *f, struct pol_endpoint *ret)
{
	static const char *const words[] = {"read-only", "read-write", "full"};
	size_t i;

	if (!check_word(c, f->val, "access", words, ARRAY_LEN(words), &i))
		return;
	ret->access = (enum pol_access)(i + ACCESS_READ_ONLY);
	ret->access_line = f->key->line;
}

static void check_selector(struct check *c, const struct ynode *n, struct pol_endpoint *ret)
{
	struct slice s;
	char why[160];
	int r;

	if (!n || !check_string(c, n, "path", &s))
		return;
	r = glob_check(s, GLOB_PATH, &c->glob_work, why, sizeof(why));
	if (r == -ENOMEM)
		c->oom = true;
	else if (r < 0)
		check_error(c, n, "path '" SLICE_FMT "': %s", SLICE_ARG(s), why);
	ret->path = check_copy(c, s);
}

static void check_l7(struct check *c, const struct ynode *ep, const struct field *f,
		     struct pol_endpoint *ret)
{
	check_selector(c, f[EP_PATH].val, ret);
	if (f[EP_ACCESS].val)
		check_access(c, &f[EP_ACCESS], ret);
	if (f[EP_ACCESS].val && f[EP_RULES].val)
		check_error(c, f[EP_RULES].key, "'access' and 'rules' exclude each other");
	if (!f[EP_ACCESS].val && !f[EP_RULES].val)
		check_error(c, ep, "an inspected endpoint needs 'access' or 'rules'");
	check_rules(c, &f[EP_RULES], &f[EP_DENY_RULES], ret);
	if (f[EP_ENCODED_SLASH].val)
		check_bool(c, f[EP_ENCODED_SLASH].val, "allow_encoded_slash", &ret->encoded_slash);
}

bool check_endpoint(struct check *c, const struct ynode *n, struct pol_endpoint *ret)
{
	struct field f[EP_COUNT];
	bool known;

	ret->line = n->line;
	ret->col = n->col;
	if (!check_fields(c, n, "an endpoint", names, EP_COUNT, f))
		return false;
	check_host(c, n, f, ret);
	check_ports(c, n, f, ret);
	check_ips(c, f[EP_ALLOWED_IPS].val, ret);
	known = check_protocol(c, f[EP_PROTOCOL].val, ret);
	if (!known)
		return false; /* what the other fields mean hangs on it */
	check_tls(c, f[EP_TLS].val, ret);
	check_enforcement(c, f[EP_ENFORCEMENT].val, ret);
	if (pol_inspected(ret))
		check_l7(c, n, f, ret);
	else
		refuse_l7_fields(c, f, ret);
	return true;
}
