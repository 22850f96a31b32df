/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.c - tries what the hooks refuse whatever the policy says, at addresses where nothing can
 * happen.
 *
 * A closed port of loopback: with hooks EPERM, without them ECONNREFUSED, and either way no packet
 * leaves the host. Run as root inside the sandbox's cgroup, before anything else there.
 */
#include "user/proof.h"

#include "user/strv.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CLOSED_PORT                                                                                \
	1 /* tcpmux: nobody serves it, and if someone did, loopback of the host is refused as well \
	   */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t loopback(int family, union address *a)
{
	*a = (union address){0};
	if (family == AF_INET) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(CLOSED_PORT);
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(a->in);
	}
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons(CLOSED_PORT);
	a->in6.sin6_addr = in6addr_loopback;
	return sizeof(a->in6);
}

/* Non-blocking: should a hook be missing, nobody waits for an answer. Returns 0 or the errno of
 * what was refused. */
static int attempt(int family, int type)
{
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	union address a;
	socklen_t n = loopback(family, &a);

	if (fd < 0)
		return errno;
	if (type == SOCK_STREAM)
		return connect(fd, &a.sa, n) < 0 ? errno : 0;
	return sendto(fd, "", 0, MSG_NOSIGNAL, &a.sa, n) < 0 ? errno : 0;
}

static int raw_socket(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);

	return fd < 0 ? errno : 0;
}

int proof_hooks_live(char **ret_error)
{
	static const struct {
		int family, type;
		const char *what;
	} tries[] = {
		{AF_INET, SOCK_STREAM, "a TCP connection to 127.0.0.1"},
		{AF_INET6, SOCK_STREAM, "a TCP connection to ::1"},
		{AF_INET, SOCK_DGRAM, "a UDP datagram to 127.0.0.1"},
		{AF_INET6, SOCK_DGRAM, "a UDP datagram to ::1"},
	};
	int e;

	*ret_error = NULL;
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		e = attempt(tries[i].family, tries[i].type);
		if (e == EAFNOSUPPORT && tries[i].family == AF_INET6)
			continue; /* no IPv6 in this kernel */
		if (e != EPERM)
			return error_text(ret_error, -ENOTCONN,
					  "the network hooks are not live: %s was not refused (%s)",
					  tries[i].what, e ? strerror(e) : "it went through");
	}
	e = raw_socket();
	if (e != EPERM)
		return error_text(
			ret_error, -ENOTCONN,
			"the network hooks are not live: a raw socket was not refused (%s)",
			e ? strerror(e) : "it was made");
	return 0;
}

/* --------------------------------------------------------------------------------- the walls -- */

/* An errno, 0 when it can be written.  A directory: by a file without a name, which is gone with its descriptor. */
static int try_write(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	else if (S_ISREG(st.st_mode))
		fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	else
		return EROFS; /* opening it could have effects */
	return fd < 0 ? errno : 0;
}

int proof_mounts(const struct launch_plan *p, const struct stat *host_root, char **ret_error)
{
	struct stat root;

	*ret_error = NULL;
	if (stat("/", &root) < 0 || (root.st_dev == host_root->st_dev && root.st_ino == host_root->st_ino))
		return error_text(ret_error, -ENOTCONN, "the private mounts are not live: / is still the host's");
	for (size_t i = 0; i < p->nmounts; i++) {
		const struct plan_mount *m = &p->mounts[i];
		int e;

		if (m->kind != PLAN_BIND || m->flags & (PLAN_RW | PLAN_DEVICE | PLAN_SOCKET))
			continue;
		e = try_write(m->path);
		/* EACCES: of a network file system, which knows no root. */
		if (e != EROFS && e != EACCES && !(e == ENOENT && m->flags & PLAN_OPTIONAL))
			return error_text(ret_error, -ENOTCONN, "the private mounts are not live: %s is not read-only (%s)",
					  m->path, e ? strerror(e) : "it could be written");
	}
	return 0;
}

/* An errno, 0 when it could be made. */
static int try_file(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/.osh-proof", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	unlink(path);
	return 0;
}

int proof_outside_readable(int host_proc)
{
	_cleanup_close_ int fd = openat(host_proc, "version", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

int proof_landlock(const struct launch_plan *p, int host_proc, char **ret_error)
{
	int r = proof_outside_readable(host_proc);

	*ret_error = NULL;
	if (r != -EACCES)
		return error_text(ret_error, -ENOTCONN, "Landlock is not live: a file outside the sandbox was not refused (%s)",
				  r ? strerror(-r) : "it was opened");
	for (size_t i = 0; i < p->nmounts; i++) {
		int e;

		if (p->mounts[i].kind != PLAN_TMPFS || !(p->mounts[i].flags & PLAN_STICKY))
			continue;
		e = try_file(p->mounts[i].path);
		if (e)
			return error_text(ret_error, -ENOTCONN, "Landlock refuses what it must allow: a file in %s (%s)",
					  p->mounts[i].path, strerror(e));
	}
	return 0;
}

int proof_processes(const struct launch_plan *p, char **ret_error)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	int r = 0;

	*ret_error = NULL;
	if (!d)
		return error_text(ret_error, -errno, "/proc cannot be listed: %s", strerror(errno));
	while (r == 0 && (e = readdir(d))) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9' || atoi(e->d_name) == getpid())
			continue;
		r = error_text(ret_error, -ENOTCONN,
			       "processes outside are in reach: user '%s' has others (%s, say), and in /proc/%s/root any of "
			       "them opens the host's files and sockets, which Landlock or BPF LSM would refuse; let "
			       "process.run_as_user be a user that runs nothing else",
			       p->user, e->d_name, e->d_name);
	}
	closedir(d);
	return r;
}

int proof_calls(char **ret_error)
{
	const char *what = "keyctl";

	*ret_error = NULL;
	/* KEYCTL_GET_KEYRING_ID of the session's, without making one. */
	if (syscall(SYS_keyctl, 0L, -3L, 0L) < 0 && errno == EPERM) {
		what = "personality";
		if (personality(ADDR_NO_RANDOMIZE) < 0 && errno == EPERM)
			return 0;
	}
	return error_text(ret_error, -ENOTCONN, "the system call filter is not live: %s was not refused", what);
}

int proof_refused_socket(char **ret_error)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	int e = fd < 0 ? errno : 0;

	*ret_error = NULL;
	if (e == EPERM)
		return 0;
	return error_text(ret_error, -ENOTCONN, "the system call filter is not live: a netlink socket was not refused (%s)",
			  e ? strerror(e) : "it was made");
}
