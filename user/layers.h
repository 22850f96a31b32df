/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers.h - the walls by name: which there are, and which may be missing when --allow-missing says so.
 *
 * Each is exercised once at start.  One that is required and cannot be proven live ends the start.
 */
#pragma once

#include "policy/base.h"

/* X(constant, name, may be missing).  Without the first two nothing decides who reaches what, and the others rely on it. */
#define LAYERS(X)                                                                                                      \
	X(LAYER_EBPF, "ebpf", false)                                                                                   \
	X(LAYER_MOUNTS, "mounts", false)                                                                               \
	X(LAYER_LANDLOCK, "landlock", true)                                                                            \
	X(LAYER_SECCOMP, "seccomp", true)                                                                              \
	X(LAYER_BPF_LSM, "bpf-lsm", true)                                                                              \
	X(LAYER_PROXY_JAIL, "proxy-jail", true)

enum layer {
#define X(id, name, optional) id,
	LAYERS(X)
#undef X
	LAYER_COUNT
};

const char *layer_name(enum layer l);
/* -EINVAL: no layer, or none that may be missing; *ret_error says so, and what would be right. */
int layer_parse_optional(const char *text, enum layer *ret, char **ret_error);
