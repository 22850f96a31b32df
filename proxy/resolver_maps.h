/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver_maps.h - the two kernel maps that the resolver works with, as functions.
 *
 * Production uses the BPF maps themselves; tests put tables of their own in their place.  All
 * functions return 0 or a negative errno (-ENOENT: no such key).
 */
#pragma once

#include "bpf/abi.h"
#include "policy/base.h"

struct resolver_maps_ops {
	/* Map names; keys in network order. next: key NULL gives the first, -ENOENT ends. */
	int (*next)(void *arg, const uint32_t *key, uint32_t *ret);
	int (*get)(void *arg, uint32_t key, struct osh_name *ret);
	int (*put)(void *arg, uint32_t key, const struct osh_name *value);
	int (*del)(void *arg, uint32_t key);
	/* Map dns_clients. */
	int (*client)(void *arg, const struct osh_flow_key *key, struct osh_dns_client *ret);
};

struct resolver_maps {
	const struct resolver_maps_ops *ops;
	void *arg;
};

/* Over descriptors of the BPF maps; argument of the operations. */
struct resolver_maps_bpf {
	int names, dns_clients;
};
extern const struct resolver_maps_ops resolver_maps_bpf_ops;
