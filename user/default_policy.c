/* SPDX-License-Identifier: Apache-2.0 */
/* default_policy.c - the built-in default policy, policy/default.yaml as it stands in the source tree. */
extern const char default_policy_start[], default_policy_end[];

__asm__(".section .rodata\n"
	".global default_policy_start\n"
	".global default_policy_end\n"
	"default_policy_start:\n"
	".incbin \"policy/default.yaml\"\n"
	"default_policy_end:\n"
	".byte 0\n"
	".previous\n");
