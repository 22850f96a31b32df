/* SPDX-License-Identifier: Apache-2.0 */
/* logsync.c - asks the supervisor to flush its log. */
#include "user/logsync.h"

#include "user/control.h"

int log_sync(const char *sandbox)
{
	_cleanup_free_ char *buf = NULL;
	uint32_t type = 0;
	size_t n = 0;
	int r = sandbox_ask(sandbox, CTL_SYNC_LOG, &type, &buf, &n);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return 0; /* nobody is there who could have kept something back */
	if (r < 0)
		return r;
	return type == CTL_OK ? 0 : -EPROTO;
}
