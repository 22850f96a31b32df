/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remove.h - removing directories that hold as much as a sandboxed program cared to make: in two steps, so that nobody
 * else waits for it.
 *
 * set_aside(), under the lock (state_lock()), gives the directory another name, which no sandbox can have; that takes as
 * long as one rename.  remove_aside(), without the lock, removes what has such a name.  Who dies in between leaves it to
 * the next who calls that.
 */
#pragma once

#include "policy/base.h"
#include "user/control.h"

#define ASIDE_DIR OSH_STATE_DIR "/.removed" /* NAME.NUMBER */

/* What path names, a directory of sandbox `name` or something in it, is not there any more.  Where it cannot be renamed
 * (a mount point, a full disk) it is removed on the spot.  0 when there is none. */
int set_aside(const char *name, const char *path);
/* Something was set aside, and nobody has removed it yet. */
bool anything_aside(void);
/* Removes all that is aside but what another process is just removing.  An error is one of what was `name`'s; NULL: of
 * nobody's. */
int remove_aside(const char *name);
/* Never follows a link; bounded in descriptors whatever the depth.  0 when there is none. */
int remove_tree(const char *path);
