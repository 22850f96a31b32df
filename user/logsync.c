/* SPDX-License-Identifier: Apache-2.0 */
/* logsync.c - asks the supervisor to flush its log. */
#include "user/logsync.h"

#include "user/control.h"

#define SYNC_TIMEOUT_MS 3000

int log_sync(const char *sandbox)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *buf = malloc(CTL_PAYLOAD_MAX + 1);
	uint32_t type = 0;
	size_t n = 0;
	int r;

	if (!buf)
		return -ENOMEM;
	if (control_connect(sandbox, &fd) < 0)
		return 0;
	r = control_send(fd, CTL_SYNC_LOG, NULL, 0, NULL, 0);
	if (r == 0)
		r = control_recv(fd, SYNC_TIMEOUT_MS, &type, buf, CTL_PAYLOAD_MAX + 1, &n, NULL,
				 NULL);
	if (r < 0)
		return r;
	return type == CTL_OK ? 0 : -EPROTO;
}
