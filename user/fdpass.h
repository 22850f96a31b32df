/* SPDX-License-Identifier: Apache-2.0 */
/* fdpass.h - one packet with descriptors (SCM_RIGHTS, unix(7)). */
#pragma once

#include "policy/base.h"

#include <sys/socket.h>
#include <sys/uio.h>

#define FDPASS_MAX 16

/* Sends the parts as one packet; the descriptors stay the caller's.  0, or -errno (-EMSGSIZE: too many descriptors). */
static inline int fdpass_send(int sock, struct iovec *iov, size_t niov, const int *fds, size_t nfds, int flags)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
	} c = {0};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = niov};

	if (nfds > FDPASS_MAX)
		return -EMSGSIZE;
	if (nfds) {
		struct cmsghdr *cm;

		h.msg_control = &c;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	while (sendmsg(sock, &h, MSG_NOSIGNAL | flags) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}
