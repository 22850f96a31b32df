/* SPDX-License-Identifier: Apache-2.0 */
/* host.h - hosts, addresses and networks as people write them; pure text, nothing is looked up. */
#pragma once

#include "policy/model.h"
#include "policy/nfa.h"

/* Reads an IPv4 or IPv6 literal, the latter with or without brackets; mapped IPv4 becomes family 4.
 */
bool address_parse(struct slice s, uint8_t *ret_family, uint8_t ret_addr[16]);

/* Reads an address or network; host bits are cleared.  0, or -EINVAL with the reason. */
int net_read(struct slice s, struct pol_net *ret, char *why, size_t why_n);
/* The same for allowed_ips: refuses what no policy can open. */
int net_parse(struct slice s, struct pol_net *ret, char *why, size_t why_n);
bool net_has(const struct pol_net *net, uint8_t family, const uint8_t addr[16]);

/* A mapped IPv4 address (::ffff:a.b.c.d) becomes family 4, in place. */
void address_unmap(uint8_t *family, uint8_t addr[16]);
enum osh_addr_class address_class(uint8_t family, const uint8_t addr[16]);
const char *address_class_name(enum osh_addr_class c);

#define HOST_MAX 253

/* Checks and lowers the host of an endpoint; out holds HOST_MAX + 1 bytes.  -EINVAL with the reason
 * in why. */
int host_parse(struct slice s, char *out, struct pol_endpoint *ret, char *why, size_t why_n);

/* Enters 'n' host 0x00 (or '4'/'6' and the network's bits) below `from`; returns the node before
 * the port. */
uint32_t host_add(struct nfa *a, uint32_t from, struct slice host);
uint32_t net_add(struct nfa *a, uint32_t from, const struct pol_net *net);

/* Lowers a name as a program gave it, without trailing dot; returns its length, 0 when it is no
 * name (empty, too long, an empty label, a byte that cannot stand in one). */
size_t host_lower(struct slice s, char out[HOST_MAX + 1]);
