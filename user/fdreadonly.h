/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdreadonly.h - a file that goes into a sandbox to be read and for nothing else, as `exec NAME -- COMMAND < FILE`.
 *
 * A descriptor that is open for reading leads back to the whole file: its owner sets mode, times and attributes through
 * it, and /proc/self/fd/N opens it once more, for writing.  Only the mount that it was opened on says no to both.  So the
 * client hands in another descriptor of the file, on a mount that is in no tree and is read-only.
 */
#pragma once

#include "policy/base.h"

/* Is it a regular file, open for reading only? */
bool fd_to_read(int fd);

/* Can nothing be changed through this descriptor, because its mount is read-only? */
bool fd_mount_read_only(int fd);

/*
 * Opens the file behind fd (fd_to_read()) once more, at the same offset, on a clone of its mount: read-only, and nothing
 * on it can be executed or mapped as code, for the sandbox may be able to write the same file by its path.  Needs
 * CAP_SYS_ADMIN.  The descriptor (close-on-exec), to be closed by the caller, or -errno: -EINVAL when the mount cannot be
 * cloned (it is unbindable, or of another mount namespace and no path leads to the file), -EACCES where root may not open
 * the file.
 */
int fd_read_only(int fd);
