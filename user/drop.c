/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drop.c - groups, gid, uid, every capability set; each verified by reading it back.
 *
 * The order is forced: the bounding set and the securebits need CAP_SETPCAP, groups and gid need
 * CAP_SETGID, and the change of uid takes all of them away.
 */
#include "user/drop.h"

#include "user/strv.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define SECUREBITS                                                                                 \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |                          \
	 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED |                        \
	 SECBIT_NO_SETUID_FIXUP_LOCKED)

static int drop_bounding(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

static int set_capabilities_none(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static bool groups_are(const gid_t *want, size_t n)
{
	_cleanup_free_ gid_t *have = calloc(n + 1, sizeof(*have));

	if (!have || getgroups((int)n, have) != (int)n)
		return false; /* EINVAL: there are more */
	/* The kernel sorts them; every one of ours must be there and the count be the same. */
	for (size_t i = 0; i < n; i++) {
		bool found = false;

		for (size_t k = 0; k < n; k++)
			found = found || have[k] == want[i];
		if (!found)
			return false;
	}
	return true;
}

static bool ids_are(uid_t uid, gid_t gid)
{
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	return getresuid(&ru, &eu, &su) == 0 && ru == uid && eu == uid && su == uid &&
	       getresgid(&rg, &eg, &sg) == 0 && rg == gid && eg == gid && sg == gid &&
	       (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid;
}

static bool capabilities_are_none(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct have[2] = {{0}};
	int bounding;

	if (syscall(SYS_capget, &header, have) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(have); i++)
		if (have[i].effective || have[i].permitted || have[i].inheritable)
			return false;
	for (unsigned long cap = 0; (bounding = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++)
		if (bounding || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) > 0)
			return false;
	return prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == SECUREBITS;
}

static int drop(const struct launch_plan *p)
{
	int r = drop_bounding();

	if (r < 0)
		return r;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECUREBITS, (unsigned long)SECUREBITS, 0, 0, 0) < 0 ||
	    setgroups(p->ngroups, p->groups) < 0 || setresgid(p->gid, p->gid, p->gid) < 0 ||
	    setresuid(p->uid, p->uid, p->uid) < 0)
		return -errno;
	return set_capabilities_none();
}

int drop_identity(const struct launch_plan *p, char **ret_error)
{
	int r;

	*ret_error = NULL;
	if (p->uid == 0 || p->gid == 0)
		return error_text(ret_error, -EPERM, "the plan says root: refused");
	r = drop(p);
	if (r < 0)
		return error_text(ret_error, r, "cannot become user %s (uid %u, gid %u): %s",
				  p->user, p->uid, p->gid, strerror(-r));
	if (!ids_are(p->uid, p->gid) || !groups_are(p->groups, p->ngroups) ||
	    !capabilities_are_none() || setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
		return error_text(
			ret_error, -EPERM,
			"became user %s (uid %u, gid %u), but not wholly: refused to go on",
			p->user, p->uid, p->gid);
	return 0;
}
