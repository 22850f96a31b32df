/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.h - addresses as people read them.
 */
#pragma once

#include "bpf/abi.h"
#include "policy/base.h"

#include <arpa/inet.h>

#define ADDRESS_TEXT_MAX INET6_ADDRSTRLEN

static inline const char *address_text(uint8_t family, const uint8_t addr[16], char to[ADDRESS_TEXT_MAX])
{
	if (!inet_ntop(family == 4 ? AF_INET : AF_INET6, addr, to, ADDRESS_TEXT_MAX))
		to[0] = '\0';
	return to;
}

/* The words of the policy language; a public address can only be refused by allowed_ips. */
static inline const char *address_class_text(enum osh_addr_class c)
{
	static const char *const text[] = {
		[OSH_ADDR_PUBLIC] = "not in allowed_ips", [OSH_ADDR_PRIVATE] = "private",
		[OSH_ADDR_LOOPBACK] = "loopback",	  [OSH_ADDR_LINK_LOCAL] = "link-local",
		[OSH_ADDR_UNSPECIFIED] = "unspecified",	  [OSH_ADDR_MULTICAST] = "multicast",
		[OSH_ADDR_RESERVED] = "reserved",
	};

	return (size_t)c < ARRAY_LEN(text) ? text[c] : "unknown";
}
