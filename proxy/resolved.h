/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolved.h - what a name look-up gives: real addresses and how long they hold.
 */
#pragma once

#include "policy/base.h"

#define RESOLVED_MAX 16

struct resolved_addr {
	uint8_t family; /* 4 or 6 */
	uint8_t addr[16]; /* network order; IPv4 in the first four bytes, the rest zero */
};

struct resolved {
	size_t n;
	uint64_t expires; /* boot clock, ns */
	struct resolved_addr a[RESOLVED_MAX];
};
