/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_btf.h - bytes embedded by kernel_btf.c. */
#pragma once

extern const char kernel_min_btf[], kernel_min_btf_end[];
extern const char kernel_notes[], kernel_notes_end[];
