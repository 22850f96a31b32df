/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_btf.c - the few kernel types that the BPF object's relocations need, of the kernel that built this program,
 * and that kernel's notes (build id), to know it again.
 */
#include "user/kernel_btf.h"

__asm__(".section .rodata\n"
	".global kernel_min_btf\n"
	".global kernel_min_btf_end\n"
	".global kernel_notes\n"
	".global kernel_notes_end\n"
	"kernel_min_btf:\n"
	".incbin \"" OSH_BUILD_DIR "/enforce.min.btf\"\n"
	"kernel_min_btf_end:\n"
	"kernel_notes:\n"
	".incbin \"" OSH_BUILD_DIR "/kernel.notes\"\n"
	"kernel_notes_end:\n"
	".previous\n");
