/* SPDX-License-Identifier: Apache-2.0 */
/*
 * super.h - the proxy's end of the channel to the supervisor (wire.h).
 */
#pragma once

#include "proxy/proxy.h"

struct super;

/* Waits for WIRE_HELLO on a blocking channel.  All WH_COUNT descriptors are the caller's. */
int super_hello(int fd, uint32_t timeout_ms, struct wire_hello *ret, int ret_fds[WH_COUNT]);

int super_new(struct proxy *px, int fd, struct super **ret); /* takes fd */

/* A sealed memfd with a new CA, for super_ready(); made before files are given up. */
int super_ca_memfd(const char *pem, size_t n);
/* WIRE_READY and from then on whatever the supervisor says.  fd_ca: -1, or taken. */
/* The jail could not be built: said before super_ready(), or before the end. */
int super_unjailed(struct super *s, const char *step, int error);
int super_ready(struct super *s, int fd_ca);

/* Never blocks: what the channel does not take waits in a bounded queue; what the queue does not take is
 * counted, and the count is reported as an event as soon as there is room. */
void super_event(struct super *s, const struct wire_event *e);
