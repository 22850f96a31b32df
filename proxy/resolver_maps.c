/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver_maps.c - resolver_maps.h over BPF map descriptors.
 *
 * Values are read and written whole: the descriptor is an ordinary map descriptor, so the value's
 * size is the map's, which the supervisor made from the same abi.h.
 */
#include "proxy/resolver_maps.h"

#include <bpf/bpf.h>

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static int names_next(void *arg, const uint32_t *key, uint32_t *ret)
{
	const struct resolver_maps_bpf *m = arg;

	return result(bpf_map_get_next_key(m->names, key, ret));
}

static int names_get(void *arg, uint32_t key, struct osh_name *ret)
{
	const struct resolver_maps_bpf *m = arg;

	return result(bpf_map_lookup_elem(m->names, &key, ret));
}

static int names_put(void *arg, uint32_t key, const struct osh_name *value)
{
	const struct resolver_maps_bpf *m = arg;

	return result(bpf_map_update_elem(m->names, &key, value, BPF_ANY));
}

static int names_del(void *arg, uint32_t key)
{
	const struct resolver_maps_bpf *m = arg;

	return result(bpf_map_delete_elem(m->names, &key));
}

static int clients_get(void *arg, const struct osh_flow_key *key, struct osh_dns_client *ret)
{
	const struct resolver_maps_bpf *m = arg;

	return result(bpf_map_lookup_elem(m->dns_clients, key, ret));
}

const struct resolver_maps_ops resolver_maps_bpf_ops = {
	.next = names_next,
	.get = names_get,
	.put = names_put,
	.del = names_del,
	.client = clients_get,
};
