/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.c - "__launch": from root inside the sandbox's cgroup to init behind all walls.
 *
 * What it is given, and what it answers: user/launch.h.  The order of the steps is that of the
 * design, and each depends on those before it; any failure ends the process, and with it the
 * sandbox, before anything else ran.
 */
#include "user/launch.h"

#include "user/blob.h"
#include "user/drop.h"
#include "user/fdpass.h"
#include "user/init.h"
#include "user/landlock.h"
#include "user/layers.h"
#include "user/mounts.h"
#include "user/proof.h"
#include "user/seccomp.h"
#include "user/start.h"
#include "user/strv.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void tell(uint32_t type, const char *text)
{
	struct init_msg m = {.type = type};

	snprintf(m.text, sizeof(m.text), "%s", text);
	while (send(LAUNCH_FD_SUPERVISOR, &m, sizeof(m), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* The listener leaves the sandbox before anything of it runs: who holds it answers for refused calls. */
static int hand_over_listener(int fd, char **ret_error)
{
	struct init_msg m = {.type = INIT_REFUSED};
	struct iovec iov = {&m, sizeof(m)};
	int r;

	if (fd < 0) {
		tell(INIT_WARNING, "refused socket() calls are not logged: osh-enforce itself runs under a "
				   "system call filter with a listener, and the kernel allows only one");
		return 0;
	}
	r = fdpass_send(LAUNCH_FD_SUPERVISOR, &iov, 1, &fd, 1, 0);
	if (r == 0 && close(fd) < 0)
		r = -errno;
	return r < 0 ? error_text(ret_error, r, "cannot hand over the filter's listener: %s", strerror(-r))
		     : 0;
}

/* A layer that is not live: 0 when it may be missing, which the supervisor writes down, else error. */
static int layer_missing(uint32_t allowed, enum layer l, int error, char **text)
{
	struct init_msg m = {.type = INIT_MISSING, .id = l};

	if (!(allowed & 1u << l)) {
		_cleanup_free_ char *why = *text;

		*text = NULL;
		return error_text(text, error,
				  "%s; 'osh-enforce doctor' says what this host lacks, and --allow-missing %s starts without "
				  "this layer",
				  why ? why : strerror(-error), layer_name(l));
	}
	snprintf(m.text, sizeof(m.text), "%s", *text ? *text : strerror(-error));
	free(*text);
	*text = NULL;
	while (send(LAUNCH_FD_SUPERVISOR, &m, sizeof(m), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	return 0;
}

static void tell_warning(void *userdata, const char *text)
{
	(void)userdata;
	tell(INIT_WARNING, text);
}

static int read_plan(struct launch_plan *ret)
{
	_cleanup_free_ char *bytes = NULL;
	size_t n;
	int r;

	if (lseek(LAUNCH_FD_PLAN, 0, SEEK_SET) < 0)
		return -errno;
	r = read_whole_fd(LAUNCH_FD_PLAN, PLAN_SIZE_MAX, &bytes, &n);
	if (r == 0)
		r = plan_parse((struct slice){(const uint8_t *)bytes, n}, ret);
	return r;
}

/* Nothing that the supervisor had open goes further than here, and what it handed over not into a
 * command. */
static int own_descriptors(void)
{
	if (close_range(LAUNCH_FD_TRUST + 1, ~0u, 0) < 0)
		return -errno;
	return close_range(LAUNCH_FD_SUPERVISOR, LAUNCH_FD_TRUST, CLOSE_RANGE_CLOEXEC) < 0 ? -errno
											   : 0;
}

/* A core file would be written as the host's core_pattern says, perhaps by a program of the host,
 * which the kernel starts as root even at a limit of 0, but not at one of 1 byte (fs/coredump.c); no
 * core file is that small.  The system call filter keeps it there.  Open files as for the caller:
 * select() fails above 1024, and the supervisor needs more. */
static int limit(const struct launch_plan *p)
{
	const struct rlimit none = {1, 1}, files = {p->files_soft, p->files_hard};

	return setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno
											 : 0;
}

static int lock_files(const struct launch_plan *p, int host_proc, struct landlock_ruleset *ruleset, char **ret_error)
{
	int r;

	if (ruleset->fd < 0) /* none in this kernel, or said to be missing */
		return 0;
	r = proof_outside_readable(host_proc);
	if (r < 0)
		return error_text(ret_error, r, "Landlock cannot be proven live: the host's /proc/version: %s", strerror(-r));
	r = landlock_enforce(ruleset);
	if (r < 0)
		return error_text(ret_error, r, "cannot enforce Landlock: %s", strerror(-r));
	return proof_landlock(p, host_proc, ret_error);
}

static int lock_calls(int landlock, char **ret_error)
{
	int listener, r;

	r = seccomp_enforce(landlock, &listener, ret_error);
	/* Before a descriptor goes out that would not be what it should. */
	if (r == 0)
		r = proof_calls(ret_error);
	if (r == 0)
		r = hand_over_listener(listener, ret_error);
	return r < 0 ? r : proof_refused_socket(ret_error);
}

/* The last two locks, in the only order that works: without no_new_privs neither is accepted from a
 * plain user. */
static int lock(const struct launch_plan *p, uint32_t allowed, int host_proc, struct landlock_ruleset *ruleset,
		char **ret_error)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return error_text(ret_error, -EPERM, "cannot set no_new_privs: %s",
				  strerror(errno));
	r = lock_files(p, host_proc, ruleset, ret_error);
	close(host_proc);
	if (r == 0)
		r = proof_processes(p, ret_error);
	if (r < 0) {
		ruleset->abi = 0;
		r = layer_missing(allowed, LAYER_LANDLOCK, r, ret_error);
	}
	if (r < 0)
		return r;
	r = lock_calls(ruleset->abi, ret_error);
	return r < 0 ? layer_missing(allowed, LAYER_SECCOMP, r, ret_error) : 0;
}

/* Each wall is tried right after it stands. */
static int build_walls(const struct launch_plan *p, uint32_t allowed, char **ret_error)
{
	const struct warner warner = {.warn = tell_warning};
	struct landlock_ruleset ruleset = {.fd = -1};
	struct stat host_root;
	int host_proc, r;

	/* 1. Before anything that relies on them: the hooks of the cgroup that this process was
	 * born in. */
	r = proof_hooks_live(ret_error);
	host_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && (stat("/", &host_root) < 0 || host_proc < 0))
		r = -errno;
	/* 2. Files and IPC, while there is the privilege to mount. */
	if (r == 0)
		r = mounts_build(p, LAUNCH_FD_TRUST, &warner, ret_error);
	if (r == 0)
		r = proof_mounts(p, &host_root, ret_error);
	if (r == 0)
		r = limit(p);
	/* 3. The Landlock rules name files that root can open and the user perhaps cannot; enforced
	 * last. */
	if (r == 0) {
		r = landlock_prepare(p, &warner, &ruleset, ret_error);
		if (r < 0)
			r = layer_missing(allowed, LAYER_LANDLOCK, r, ret_error);
	}
	/* 4. From here on without privileges. */
	if (r == 0)
		r = drop_identity(p, ret_error);
	if (r == 0 && close_range(LAUNCH_FD_PLAN, LAUNCH_FD_TRUST, 0) < 0)
		r = -errno;
	if (r == 0)
		r = lock(p, allowed, host_proc, &ruleset, ret_error);
	return r;
}

int launch_main(int argc, char **argv)
{
	uint32_t allowed = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 16) : 0;
	struct launch_plan plan = {0};
	_cleanup_free_ char *error = NULL;
	int r;

	/* A session of its own, so that no terminal of the host is the sandbox's controlling
	 * terminal. */
	setsid();
	umask(022);
	r = own_descriptors();
	if (r == 0)
		r = read_plan(&plan);
	if (r < 0)
		error_text(&error, r, "cannot read the launch plan: %s", strerror(-r));
	else
		r = build_walls(&plan, allowed, &error);
	if (r < 0) {
		tell(INIT_FAILED, error ? error : strerror(-r));
		return 1;
	}
	init_main(&plan, LAUNCH_FD_SUPERVISOR);
}
