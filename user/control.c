/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - packets with descriptors over the control socket, and the names of sandboxes (control.h). */
#include "user/control.h"

#include "user/fdpass.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define GONE_TRIES 20
#define GONE_MS 10

bool sandbox_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > OSH_SANDBOX_NAME_MAX || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") == 0)
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == n;
}

bool sandbox_named(const char *name)
{
	char path[sizeof(OSH_RUN_DIR) + OSH_SANDBOX_NAME_MAX + 2];

	snprintf(path, sizeof(path), OSH_RUN_DIR "/%s", name);
	return access(path, F_OK) == 0;
}

int control_connect(const char *name, int *ret_fd)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	if (!sandbox_name_valid(name))
		return -EINVAL;
	if (snprintf(sa.sun_path, sizeof(sa.sun_path), OSH_RUN_DIR "/%s/control", name) >= (int)sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

bool control_gone(const char *name)
{
	for (int i = 0; i < GONE_TRIES; i++) {
		_cleanup_close_ int fd = -1;
		int r = control_connect(name, &fd);

		if (r == -ECONNREFUSED || r == -ENOENT)
			return true;
		nanosleep(&(struct timespec){0, GONE_MS * 1000000}, NULL); /* it may be ending */
	}
	return false;
}

int control_send(int fd, uint32_t type, const void *payload, size_t n, const int *fds, size_t nfds)
{
	struct ctl_msg m = {.type = type, .size = (uint32_t)n};
	struct iovec iov[2] = {{&m, sizeof(m)}, {(void *)payload, n}};

	if (n > CTL_PAYLOAD_MAX || nfds > CTL_FDS_MAX)
		return -EMSGSIZE;
	return fdpass_send(fd, iov, n ? 2 : 1, fds, nfds, 0);
}

int sandbox_ask(const char *name, uint32_t request, uint32_t *ret_type, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *buf = malloc(CTL_PAYLOAD_MAX + 1);
	_cleanup_close_ int fd = -1;
	int r = buf ? control_connect(name, &fd) : -ENOMEM;

	if (r == 0)
		r = control_send(fd, request, NULL, 0, NULL, 0);
	if (r == 0)
		r = control_recv(fd, CTL_ANSWER_MS, ret_type, buf, CTL_PAYLOAD_MAX + 1, ret_n, NULL, NULL);
	if (r < 0)
		return r;
	*ret = steal_ptr(&buf);
	return 0;
}

/* Keeps at most *nfds descriptors, closes the rest. */
static void take_fds(struct msghdr *h, int *fds, size_t *nfds)
{
	size_t max = nfds ? *nfds : 0, got = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(h); cm; cm = CMSG_NXTHDR(h, cm)) {
		size_t n;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
			if (got < max)
				fds[got++] = fd;
			else
				close(fd);
		}
	}
	if (nfds)
		*nfds = got;
}

int control_recv(int fd, int timeout_ms, uint32_t *ret_type, void *buf, size_t buf_n, size_t *ret_n, int *fds,
		 size_t *nfds)
{
	struct ctl_msg m;
	struct iovec iov[2] = {{&m, sizeof(m)}, {buf, buf_n ? buf_n - 1 : 0}};
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int) * CTL_FDS_MAX)];
	} c;
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = &c, .msg_controllen = sizeof(c)};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;
	int r;

	do
		r = poll(&p, 1, timeout_ms);
	while (r < 0 && errno == EINTR && timeout_ms < 0);
	if (r < 0)
		return -errno;
	if (r == 0)
		return -ETIMEDOUT;
	do
		n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_fds(&h, fds, nfds);
	if (n == 0)
		return -EPIPE;
	if ((size_t)n < sizeof(m) || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || m.size != (size_t)n - sizeof(m)) {
		for (size_t i = 0; nfds && i < *nfds; i++)
			close(fds[i]);
		if (nfds)
			*nfds = 0;
		return -EBADMSG;
	}
	if (buf_n)
		((char *)buf)[m.size] = '\0';
	*ret_type = m.type;
	if (ret_n)
		*ret_n = m.size;
	return 0;
}

char **strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int sandbox_list(char ***ret)
{
	char **v = calloc(1, sizeof(*v));
	size_t n = 0;
	DIR *d;

	if (!v)
		return -ENOMEM;
	d = opendir(OSH_RUN_DIR);
	if (d) {
		struct dirent *e;

		while ((e = readdir(d))) {
			char **w;

			if (!sandbox_name_valid(e->d_name))
				continue;
			w = realloc(v, (n + 2) * sizeof(*v));
			if (w)
				v = w;
			if (!w || !(v[n] = strdup(e->d_name))) {
				closedir(d);
				strv_free(v);
				return -ENOMEM;
			}
			v[++n] = NULL;
		}
		closedir(d);
	}
	qsort(v, n, sizeof(*v), by_name);
	*ret = v;
	return 0;
}

int sandbox_only(char **ret_name)
{
	char **v = NULL, *found = NULL;
	size_t alive = 0;
	int r = sandbox_list(&v);

	if (r < 0)
		return r;
	for (size_t i = 0; v[i]; i++) {
		_cleanup_close_ int fd = -1;

		if (control_connect(v[i], &fd) < 0)
			continue;
		if (alive++ == 0)
			found = strdup(v[i]);
	}
	strv_free(v);
	if (alive != 1) {
		free(found);
		return alive ? -ENOTUNIQ : -ENOENT;
	}
	if (!found)
		return -ENOMEM;
	*ret_name = found;
	return 0;
}
