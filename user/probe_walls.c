/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_walls.c - tries of the walls round a process: Landlock, seccomp, namespaces; and of cutting
 * a connection.
 *
 * Each runs in a child that ends right after, so walls can be put up for good.
 */
#include "user/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* --------------------------------------------------------------------------------- landlock -- */

#define LANDLOCK_ABI_TRUNCATE 3
#define LANDLOCK_ABI_IOCTL 5
#define LANDLOCK_ABI_SCOPES 6

static int landlock_abi(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return r < 0 ? -errno : (int)r;
}

/* From now on this process may read files below `dir` only. */
static int landlock_read_only_below(const char *dir)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE};
	struct landlock_path_beneath_attr beneath = {.allowed_access =
							     LANDLOCK_ACCESS_FS_READ_FILE};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	beneath.parent_fd = open(dir, O_PATH | O_CLOEXEC);
	if (ruleset < 0 || beneath.parent_fd < 0 ||
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return -errno;
	return 0;
}

void probe_landlock(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	int abi = landlock_abi(), r, fd;

	(void)env;
	(void)p;
	if (abi < 0)
		return probe_fail(ret, PROBE_MISSING, -abi,
				  abi == -EOPNOTSUPP ? "built in but not switched on"
						     : "not built into this kernel");
	r = landlock_read_only_below("/proc");
	if (r < 0)
		return probe_fail(ret, PROBE_MISSING, -r, "a rule was refused");
	fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || errno != EACCES)
		return probe_say(ret, PROBE_MISSING, "a rule has no effect");
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "a rule refuses what it allows");
	if (abi < LANDLOCK_ABI_SCOPES) {
		probe_say(ret, PROBE_LIMITED, "ABI %d, without%s%s signals and abstract sockets",
			  abi, abi < LANDLOCK_ABI_TRUNCATE ? " truncate," : "",
			  abi < LANDLOCK_ABI_IOCTL ? " device ioctls," : "");
		snprintf(ret->remedy, sizeof(ret->remedy),
			 "a kernel of 6.12 or later; files are walled off all the same");
		return;
	}
	probe_say(ret, PROBE_OK, "ABI %d", abi);
}

/* ---------------------------------------------------------------------------------- seccomp -- */

void probe_seccomp(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	(void)env;
	(void)p;
	r = f ? seccomp_rule_add(f, SCMP_ACT_ERRNO(EXDEV), SCMP_SYS(personality), 0) : -ENOMEM;
	if (r == 0)
		r = seccomp_load(f); /* sets no_new_privs */
	if (r < 0)
		return probe_fail(ret, PROBE_MISSING, -r, "a filter was refused");
	if (personality(0xffffffff) != -1 || errno != EXDEV)
		return probe_say(ret, PROBE_MISSING, "a filter has no effect");
	probe_ok(ret);
}

/* ------------------------------------------------------------------------------- namespaces -- */

/* The root of the sandbox in small: a tmpfs with a procfs and terminals of its own, the host's root
 * gone. */
void probe_mounts(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	static const char root[] = "/run"; /* covered in this namespace only */
	struct stat st;

	(void)env;
	(void)p;
	if (unshare(CLONE_NEWNS) < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "no mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0 || chdir(root) < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "no private tmpfs");
	if (mkdir("proc", 0755) < 0 || mkdir("pts", 0755) < 0 || mkdir("bin", 0755) < 0 ||
	    mount("/bin/.", "bin", NULL, MS_BIND | MS_REC, NULL) < 0 ||
	    mount(NULL, "bin", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV,
		  NULL) < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "no read-only bind mount");
	if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=4") < 0)
		return probe_fail(ret, PROBE_MISSING, errno,
				  "no procfs that hides other processes");
	if (mount("devpts", "pts", "devpts", MS_NOSUID | MS_NOEXEC,
		  "newinstance,ptmxmode=0666,mode=620") < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "no private devpts");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "the old root cannot be let go");
	if (stat("/etc", &st) == 0 || stat("/proc/self", &st) < 0)
		return probe_say(ret, PROBE_MISSING, "the host's root is still there");
	probe_ok(ret);
}

void probe_ipc(const struct probe_env *env, const struct probe *p, struct probe_result *ret)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	struct shmid_ds ds;
	int r;

	(void)env;
	(void)p;
	if (id < 0)
		return probe_fail(ret, PROBE_MISSING, errno, "no System V IPC");
	/* Goes by itself when nobody is attached, which is at once after the look below. */
	shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	r = unshare(CLONE_NEWIPC) < 0 ? -errno : 0;
	if (r < 0)
		return probe_fail(ret, PROBE_MISSING, -r, "no IPC namespace");
	if (shmctl(id, IPC_STAT, &ds) == 0)
		return probe_say(ret, PROBE_MISSING, "a segment of the host is still visible");
	probe_ok(ret);
}

/* ----------------------------------------------------------------------------- SOCK_DESTROY -- */

/* A connection over loopback: 0, or a negative errno. */
static int loopback_pair(int *ret_client, int *ret_server)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval wait = {.tv_sec = 2};
	socklen_t n = sizeof(a);
	_cleanup_close_ int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (l < 0 || c < 0 || setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
	    setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	    bind(l, (struct sockaddr *)&a, n) < 0 || listen(l, 1) < 0 ||
	    getsockname(l, (struct sockaddr *)&a, &n) < 0 ||
	    connect(c, (struct sockaddr *)&a, n) < 0)
		return -errno;
	*ret_server = accept(l, NULL, NULL);
	*ret_client = c;
	return *ret_server < 0 ? -errno : 0;
}

struct destroy_request {
	struct nlmsghdr nl;
	struct inet_diag_req_v2 diag;
};

static int destroy_fill(int s, struct destroy_request *r)
{
	struct sockaddr_in here, there;
	socklen_t n = sizeof(here), m = sizeof(there), k = sizeof(uint64_t);
	uint64_t cookie;

	if (getsockname(s, (struct sockaddr *)&here, &n) < 0 ||
	    getpeername(s, (struct sockaddr *)&there, &m) < 0 ||
	    getsockopt(s, SOL_SOCKET, SO_COOKIE, &cookie, &k) < 0)
		return -errno;
	*r = (struct destroy_request){
		.nl = {.nlmsg_len = sizeof(*r),
		       .nlmsg_type = SOCK_DESTROY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.diag = {.sdiag_family = AF_INET,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = 1 << TCP_ESTABLISHED},
	};
	r->diag.id.idiag_sport = here.sin_port;
	r->diag.id.idiag_dport = there.sin_port;
	r->diag.id.idiag_src[0] = here.sin_addr.s_addr;
	r->diag.id.idiag_dst[0] = there.sin_addr.s_addr;
	r->diag.id.idiag_cookie[0] = (uint32_t)cookie;
	r->diag.id.idiag_cookie[1] = (uint32_t)(cookie >> 32);
	return 0;
}

static int destroy(int s)
{
	_cleanup_close_ int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct destroy_request req;
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[256];
	} answer;
	int r = destroy_fill(s, &req);

	if (r < 0)
		return r;
	if (nl < 0 || send(nl, &req, sizeof(req), 0) < 0)
		return -errno;
	if (recv(nl, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.e)) ||
	    answer.h.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	return answer.e.error;
}

void probe_sock_destroy(const struct probe_env *env, const struct probe *p,
			struct probe_result *ret)
{
	int client = -1, server = -1, r = loopback_pair(&client, &server);
	char b;

	(void)env;
	(void)p;
	if (r < 0)
		return probe_fail(ret, PROBE_UNTRIED, -r, "no connection over loopback");
	r = destroy(client);
	if (r < 0)
		return probe_fail(ret, PROBE_MISSING, -r, "refused");
	if (recv(client, &b, 1, 0) >= 0 || errno != ECONNABORTED)
		return probe_say(ret, PROBE_MISSING, "the connection is still there");
	probe_ok(ret);
}
