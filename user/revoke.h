/* SPDX-License-Identifier: Apache-2.0 */
/* revoke.h - after a swap: native connections that the new policy would not admit are closed. */
#pragma once

#include "user/kernel.h"

/* Called with each connection that was closed. */
typedef void (*revoke_fn)(void *arg, const struct osh_flow *f);

/* Re-judges every native connection of the sandbox under the image and destroys those that it would not let go natively.
 * Call after the swap's store, after the grace period, and for OSH_EV_LATE.  Returns how many were closed, or -errno. */
int revoke_natives(struct kernel *k, const struct image *img, revoke_fn fn, void *arg);
size_t count_natives(struct kernel *k);
/* Calls fn for every TCP connection of the sandbox whose own socket is open, the proxied ones too.  0 or -errno. */
int visit_flows(struct kernel *k, revoke_fn fn, void *arg);
/* The identity's blocks, by path strings from the table; none if one of the paths is gone. */
void ident_bits(const struct kernel *k, const struct image *img, const struct osh_ident *id, struct block_bits *ret);
/* The destination as the policy sees it; buf of OSH_NAME_MAX holds the name. false: its name is gone. */
bool dest_of(const struct kernel *k, const struct osh_dst *d, struct dest *ret, char *buf);
