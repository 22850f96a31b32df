/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* image_walk.h - what the test asks of image_walk.bpf.c, and its answer. */
#pragma once

#include "bpf/abi.h"

struct image_walk {
	__u64 cur;
	__u32 tgid; /* key of procs */
	__u32 path; /* key of paths */
	struct osh_dst dst;
	__u32 binset; /* of path */
	__u32 judged; /* verdict << 8 | reason, as judge() says it */
};
