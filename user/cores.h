/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cores.h - where the host sends core files.
 *
 * A core file of one byte at most, as a sandbox has (user/launch.c), is neither written nor given to a program of the host.
 * A handler behind a socket (core_pattern(5): '@', Linux 6.16 and later) is asked whatever the limit is.
 */
#pragma once

#include "policy/base.h"

#define CORES_PATTERN "/proc/sys/kernel/core_pattern"
#define CORES_REMEDY "sysctl -w kernel.core_pattern=core (or any other that does not begin with @)"

/* Does this text of core_pattern name a socket? */
bool cores_pattern_socket(const char *text);
/* Of this host.  What cannot be read names none. */
bool cores_to_socket(void);
