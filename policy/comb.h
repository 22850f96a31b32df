/* SPDX-License-Identifier: Apache-2.0 */
/* comb.h - packing sparse rows into one table of cells by displacement (the tables of bpf/abi.h).
 */
#pragma once

#include "bpf/abi.h"
#include "policy/base.h"

struct comb_entry {
	uint8_t b;
	uint32_t next;
};

struct comb {
	struct osh_img_cell *cell; /* check 0: free */
	size_t n, cap; /* cells in use or below one in use; allocated (zeroed above n) */
	size_t lowest; /* no free cell below */
	size_t fit;    /* where the search for wide rows begins */
};

void comb_done(struct comb *c);
/* Places the row of a state (entries by ascending byte) and returns its base. */
int comb_place(struct comb *c, uint32_t state, const struct comb_entry *e, size_t n,
	       uint32_t *ret_base);
/* How many cells the table needs so that every base + 255 is inside. */
size_t comb_size(const struct comb *c);
