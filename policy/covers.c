/* SPDX-License-Identifier: Apache-2.0 */
/* covers.c - does an endpoint cover a destination?  Tested against the compiled decision. */
#include "policy/covers.h"
#include "policy/host.h"

bool endpoint_has_port(const struct pol_endpoint *e, uint16_t port)
{
	for (size_t i = 0; i < e->nports; i++)
		if (e->ports[i] == port)
			return true;
	return false;
}

/* `*`: part of a label, at least one character where it is all of it; a leading `**`: one or more
 * labels.  at[i]: the pattern up to i matches the name so far; no backtracking. */
static bool pattern_matches(struct slice p, struct slice name)
{
	bool at[HOST_MAX + 2] = {true}, next[HOST_MAX + 2];

	for (size_t k = 0; k <= name.n; k++) {
		memset(next, 0, sizeof(next));
		for (size_t i = 0; i < p.n; i++) { /* what matches nothing */
			bool whole = (i == 0 || p.p[i - 1] == '.') &&
				     (i + 1 == p.n || p.p[i + 1] == '.');

			if (at[i] && p.p[i] == '*' && !whole &&
			    !(i + 1 < p.n && p.p[i + 1] == '*') && !(i && p.p[i - 1] == '*'))
				at[i + 1] = true;
		}
		if (k == name.n)
			return at[p.n];
		for (size_t i = 0; i < p.n; i++) {
			bool across = i + 1 < p.n && p.p[i] == '*' && p.p[i + 1] == '*';
			uint8_t c = name.p[k];

			if (!at[i])
				continue;
			if (p.p[i] != '*') {
				next[i + 1] |= p.p[i] == c;
			} else if (across) { /* any bytes, the first no dot */
				bool first = k == 0;

				next[i] |= !first || c != '.';
				next[i + 2] |= !first || c != '.';
				i++;
			} else if (c != '.') {
				next[i] = next[i + 1] = true;
			}
		}
		memcpy(at, next, sizeof(at));
	}
	return false;
}

static bool in_networks(const struct pol_endpoint *e, const struct dest *d)
{
	uint8_t family = d->family, addr[16];

	memcpy(addr, d->addr, sizeof(addr));
	address_unmap(&family, addr);
	for (size_t i = 0; i < e->nips; i++)
		if (net_has(&e->ips[i], family, addr))
			return true;
	return false;
}

static bool same_address(const struct pol_endpoint *e, const struct dest *d)
{
	uint8_t family = d->family, addr[16];

	memcpy(addr, d->addr, sizeof(addr));
	address_unmap(&family, addr);
	return net_has(&e->address, family, addr);
}

bool endpoint_covers(const struct pol_endpoint *e, const struct dest *d)
{
	char low[HOST_MAX + 1];
	struct slice name = {(const uint8_t *)low, d->host.n ? host_lower(d->host, low) : 0};

	if (!endpoint_has_port(e, d->port) || (d->host.n && !name.n))
		return false;
	if (!name.n)
		return in_networks(e, d) || (e->host_kind == HOST_ADDRESS && same_address(e, d));
	return e->host_kind == HOST_NONE || (e->host_kind == HOST_EXACT && slice_eq(e->host, name)) ||
	       (e->host_kind == HOST_PATTERN && pattern_matches(e->host, name));
}

bool endpoint_names(const struct pol_endpoint *e, struct slice host)
{
	char buf[HOST_MAX + 64], why[160];
	struct pol_endpoint x = {0};

	if (host_parse(host, buf, &x, why, sizeof(why)) < 0 || x.host_kind != e->host_kind)
		return false;
	if (x.host_kind == HOST_ADDRESS)
		return x.address.family == e->address.family &&
		       memcmp(x.address.addr, e->address.addr, 16) == 0;
	return slice_eq(x.host, e->host);
}
