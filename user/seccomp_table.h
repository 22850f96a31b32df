/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp_table.h - what the system call filter refuses, as tables to be read line by line.
 *
 * user/seccomp.c makes the filter from them, user/doctor_seccomp.c prints them, and the tests walk
 * them.  Nothing here acts.
 */
#pragma once

#include "policy/base.h"

/* What a refused call returns; otherwise an errno. */
#define SECCOMP_PRETEND 0 /* 0, as if done */

/* A call that is not there, whatever its arguments. */
struct seccomp_call {
	const char *name;
	int answer;
	int nr; /* since Linux 5.1, where all architectures share the number; else 0: by name */
	const char *reason;
};

enum seccomp_op { SECCOMP_EQ, SECCOMP_NE, SECCOMP_GT, SECCOMP_MASKED };

struct seccomp_cmp {
	unsigned int arg;
	enum seccomp_op op;
	uint64_t value;
	uint64_t mask; /* of SECCOMP_MASKED */
};

#define SECCOMP_CMPS 3

/* A call that is refused where all n comparisons hold. */
struct seccomp_argument {
	const char *name;
	const char *when; /* the comparisons, for people */
	int answer;
	int landlock_below; /* only where Landlock's ABI is below this; 0: everywhere */
	const char *reason;
	unsigned int n;
	struct seccomp_cmp cmp[SECCOMP_CMPS];
};

/* A kind of socket that there is, by what socket() is asked for.  Protocol 0 (the family's own
 * choice) always goes with it. */
struct seccomp_socket {
	const char *family_name, *type_name, *protocol_name;
	uint64_t family, type, protocol;
	const char *reason;
};

extern const struct seccomp_call seccomp_calls[];
extern const size_t seccomp_calls_n;
/* Those since Linux 5.1 that were looked at and are left alone; answer is not used.  With the
 * refused ones, every number from SECCOMP_FIRST_SHARED to SECCOMP_LAST_KNOWN is decided. */
extern const struct seccomp_call seccomp_calls_allowed[];
extern const size_t seccomp_calls_allowed_n;
extern const struct seccomp_argument seccomp_arguments[];
extern const size_t seccomp_arguments_n;
extern const struct seccomp_socket seccomp_sockets[];
extern const size_t seccomp_sockets_n;

#define SECCOMP_FIRST_SHARED 424
/* Calls above this one came after the tables were read through: ENOSYS, which every program that
 * tries a new call is ready for, as it must run on older kernels. */
#define SECCOMP_LAST_KNOWN 471
#ifdef __x86_64__
#define SECCOMP_LAST_X86                                                                           \
	336 /* of x86 alone; from there to SECCOMP_FIRST_SHARED none is given yet */
#endif
