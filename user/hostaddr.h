/* SPDX-License-Identifier: Apache-2.0 */
/* hostaddr.h - keeps the table of the host's own addresses current, from rtnetlink. */
#pragma once

#include "user/kernel.h"

/* Opens a netlink socket that hears of address changes and fills the table.  *ret_fd becomes readable on a change. */
int hostaddr_open(struct kernel *k, int *ret_fd);
/* On a change: drains the socket and fills the table anew. */
int hostaddr_update(struct kernel *k, int fd);
