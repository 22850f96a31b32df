/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock.c - the plan's files once more, as Landlock rules.
 *
 * The mount namespace already holds nothing else; Landlock stands behind it should a descriptor or
 * a kernel defect lead out.  It also says what mounts cannot: no ioctl on devices but the listed
 * ones, and from ABI 6 on no signals and no abstract Unix sockets across the sandbox's border.  A
 * rule covers what lies below it, so a read-only directory inside a read-write one is read-only by
 * its mount alone.  A device is read-only by its rule alone: a read-only mount does not keep anyone
 * from writing to one.
 *
 * No TCP rules: they judge the port before the connect hook rewrites it and could not change with a
 * reload.
 */
#include "user/landlock.h"

#include "user/strv.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* What the header of the oldest supported distribution does not know yet
 * (include/uapi/linux/landlock.h). */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#endif
#ifndef LANDLOCK_SCOPE_SIGNAL
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* ABI 6 */
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1)		/* ABI 6 */
#endif

struct ruleset_attr { /* struct landlock_ruleset_attr as of ABI 6 */
	uint64_t handled_access_fs, handled_access_net, scoped;
};

#define RIGHTS_READ                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_WRITE                                                                               \
	(RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |             \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                            \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                              \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER |   \
	 LANDLOCK_ACCESS_FS_TRUNCATE)
/* All that a rule on something other than a directory may hold. */
#define RIGHTS_OF_FILES                                                                            \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                               \
	 LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |                             \
	 LANDLOCK_ACCESS_FS_IOCTL_DEV)

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static uint64_t handled_rights(int abi)
{
	unsigned int bits = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;

	return (1ULL << bits) - 1;
}

static int create_ruleset(int abi)
{
	struct ruleset_attr attr = {.handled_access_fs = handled_rights(abi)};
	size_t size = sizeof(attr.handled_access_fs);
	int fd;

	if (abi >= 6) {
		attr.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
		size = sizeof(attr);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	return fd < 0 ? -errno : fd;
}

static int allow(const struct landlock_ruleset *ruleset, const char *path, uint64_t rights)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rights &= RIGHTS_OF_FILES;
	rule.allowed_access = rights & handled_rights(ruleset->abi);
	if (!rule.allowed_access)
		return 0;
	return syscall(SYS_landlock_add_rule, ruleset->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

static uint64_t mount_rights(const struct plan_mount *m)
{
	uint64_t rights = m->flags & PLAN_RW ? RIGHTS_WRITE : RIGHTS_READ;

	if (m->flags & PLAN_SOCKET)
		return 0; /* connect() needs none */
	/* Read-only as well: few devices can be read without an ioctl.  What one does is the driver's. */
	return m->flags & PLAN_DEVICE ? rights | LANDLOCK_ACCESS_FS_IOCTL_DEV : rights;
}

static int allow_plan(const struct launch_plan *p, const struct landlock_ruleset *ruleset,
		      char **ret_error)
{
	char runtime[64];
	/* Listing "/" and the directories on the way down shows only what the plan put there. */
	int r = allow(ruleset, "/", LANDLOCK_ACCESS_FS_READ_DIR);

	if (r < 0)
		return error_text(ret_error, r, "Landlock rule for /: %s", strerror(-r));
	for (size_t i = 0; i < p->nmounts; i++) {
		r = allow(ruleset, p->mounts[i].path, mount_rights(&p->mounts[i]));
		if (r == -ENOENT && (p->mounts[i].flags & PLAN_OPTIONAL))
			continue; /* its mount was skipped, with a warning */
		if (r < 0)
			return error_text(ret_error, r, "Landlock rule for %s: %s",
					  p->mounts[i].path, strerror(-r));
	}
	snprintf(runtime, sizeof(runtime), "/run/user/%u", p->uid);
	r = allow(ruleset, runtime, RIGHTS_WRITE);
	return r < 0 && r != -ENOENT ? r : 0;
}

int landlock_prepare(const struct launch_plan *p, const struct warner *w,
		     struct landlock_ruleset *ret, char **ret_error)
{
	struct landlock_ruleset ruleset = {.fd = -1, .abi = landlock_abi()};
	int r;

	*ret_error = NULL;
	if (ruleset.abi == 0) {
		if (p->landlock == POLICY_HARD_REQUIREMENT)
			return error_text(ret_error, -EOPNOTSUPP,
					  "this kernel has no Landlock (or it was not switched on "
					  "with lsm=landlock,...), and the "
					  "policy says landlock.compatibility: hard_requirement");
		warner_say(w, "this kernel has no Landlock: files are guarded by the mount "
			      "namespace alone, and without BPF LSM every later process of the same "
			      "user is a way out of that: let process.run_as_user be a user that runs "
			      "nothing else");
		*ret = ruleset;
		return 0;
	}
	if (ruleset.abi < 6)
		warner_say(w,
			   "Landlock of this kernel (ABI %d) does not keep signals and abstract "
			   "Unix sockets "
			   "inside: let process.run_as_user be a user that runs nothing else",
			   ruleset.abi);
	ruleset.fd = create_ruleset(ruleset.abi);
	if (ruleset.fd < 0)
		return error_text(ret_error, ruleset.fd, "Landlock ruleset: %s",
				  strerror(-ruleset.fd));
	r = allow_plan(p, &ruleset, ret_error);
	if (r < 0) {
		close(ruleset.fd);
		return r;
	}
	*ret = ruleset;
	return 0;
}

int landlock_enforce(struct landlock_ruleset *ruleset)
{
	int r = 0;

	if (ruleset->fd < 0)
		return 0;
	if (syscall(SYS_landlock_restrict_self, ruleset->fd, 0) < 0)
		r = -errno;
	close(ruleset->fd);
	ruleset->fd = -1;
	return r;
}
