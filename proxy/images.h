/* SPDX-License-Identifier: Apache-2.0 */
/*
 * images.h - the policy images that the proxy has mapped, the `current` word, and who a caller is.
 *
 * A request or a query takes one view and decides everything from it.  Views stay valid until the next turn of
 * the event loop.
 */
#pragma once

#include "policy/policy.h"

struct images;

struct image_view {
	uint64_t gen; /* 0: no policy; deny */
	const struct image *img;
};

/* Loads `current` once (acquire).  A generation that has not been mapped gives gen 0: deny. */
struct image_view images_current(const struct images *im);
/* The image that is mapped and waits for its swap (or whose swap has failed); gen 0: none. */
struct image_view images_next(const struct images *im);
/* The image of a generation that a decision of this turn was made under; gen 0 when it is gone. */
struct image_view images_of(const struct images *im, uint64_t gen);

/* The blocks that the caller matches under the view: path ids are looked up in the `paths` map and cached.
 * With an id that is gone the caller matches nothing. */
void images_ident_bits(struct images *im, struct image_view v, const struct osh_ident *id,
		       struct block_bits *ret);

/* Path string of an id, for error bodies; "" when it is gone.  Points into a cache, valid until the next call. */
const char *images_path(struct images *im, uint32_t path_id);

int images_new(int fd_current, int fd_paths, struct images **ret); /* takes the descriptors */
struct images *images_free(struct images *im);
/* Replaces the look-up in the `paths` map (for tests, which have no BPF): 0 and *ret filled, or -errno. */
typedef int (*images_lookup_fn)(void *arg, uint32_t path_id, struct osh_path *ret);
void images_set_lookup(struct images *im, images_lookup_fn fn, void *arg);

/* Maps and validates; keeps at most OSH_SLOTS.  Takes the descriptor. */
int images_add(struct images *im, uint64_t gen, uint64_t size, int fd);
