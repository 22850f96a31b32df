/* SPDX-License-Identifier: Apache-2.0 */
/* explain_near.h - internal to policy/explain*.c. */
#pragma once

#include "policy/diag.h"
#include "policy/explain.h"
#include "policy/host.h"
#include "policy/image_view.h"
#include "policy/match.h"
#include "policy/model.h"

struct explain {
	const struct policy *p;
	const struct image *img;
	const struct explain_ask *ask;
	struct block_bits caller;
	struct dest dest;
	struct connect_decision cd;
	struct explanation *x;
	bool oom; /* sticky */
};

/* Text in the arena; never NULL. */
__attribute__((format(printf, 2, 3))) const char *explain_say(struct explain *e, const char *fmt, ...);

/* Enters a miss behind those that are there; beyond EXPLAIN_NEAREST_MAX it is dropped.  false: full now. */
bool explain_near(struct explain *e, enum near_kind kind, uint32_t block, int line, const char *text);

/* The first binary entry of a block that matches path; anc: as an ancestor.  NULL: none. */
const struct pol_binary *explain_binary(struct explain *e, uint32_t block, struct slice path, bool anc, bool tainted);

/* Endpoint number of a block's first; endpoints are numbered in the order of the file. */
static inline uint32_t explain_first_endpoint(const struct explain *e, uint32_t block)
{
	return VIEW(e->img, blocks, struct img_block)[block].first_endpoint;
}

void near_connect(struct explain *e);
void near_request(struct explain *e, const struct request *r, const struct request_decision *rd);
