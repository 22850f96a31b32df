/* SPDX-License-Identifier: Apache-2.0 */
/* logsync.h - has a living supervisor write out the events that it holds. */
#pragma once

/* 0; a negative errno: it does not answer, and the newest events may be missing.  A dead supervisor
 * has nothing more to write: 0. */
int log_sync(const char *sandbox);
