/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.h - the static names of the host: /etc/hosts and --add-host, as the supervisor hands them
 * over.
 *
 * Lines "ADDRESS NAME...", "#" starts a comment.  A name has at most one address of each family:
 * that of the last line that gives one.  Malformed lines and names are skipped and counted, never
 * guessed at.
 */
#pragma once

#include "proxy/resolved.h"

#define HOSTS_TEXT_MAX (4u << 20) /* of a longer text only the end is read: later lines win */
#define HOSTS_NAMES_MAX 65536u

struct hosts;

/* Reads all of text.  Never fails on content, only with -ENOMEM. */
int hosts_parse(struct slice text, struct hosts **ret);
/* The same for a file or memfd, from its start; fd stays the caller's. */
int hosts_read(int fd, struct hosts **ret);
struct hosts *hosts_free(struct hosts *h); /* takes NULL, returns NULL */

/* Addresses of a folded name (dns_name_fold()); IPv4 first.  Leaves ret->expires alone.  false:
 * not there. */
bool hosts_find(const struct hosts *h, struct slice name, struct resolved *ret);

size_t hosts_count(const struct hosts *h); /* names */
/* Malformed lines and names, and what went over the bounds. */
size_t hosts_skipped(const struct hosts *h);
