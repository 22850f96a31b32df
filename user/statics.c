/* SPDX-License-Identifier: Apache-2.0 */
/* statics.c - static sections compared by effective meaning (statics.h). */
#include "user/statics.h"

#include "user/caller.h"
#include "user/identity.h"

static int compare_identity(const struct policy_static *first, const struct policy_static *next, uid_t uid,
			    const char **ret_field, char **ret_error)
{
	struct identity a = {0}, b = {0};
	char running[16];
	const char *caller = caller_sudo_uid();
	int r;

	/* Who runs a policy that names nobody depends on who asks; in this sandbox that is settled. */
	snprintf(running, sizeof(running), "%u", uid);
	r = identity_resolve(first, first->run_as_user ? caller : running, &a, ret_error);
	if (r == 0)
		r = identity_resolve(next, first->run_as_user ? caller : running, &b, ret_error);
	if (r == 0)
		*ret_field = a.uid != b.uid   ? "process.run_as_user"
			     : a.gid != b.gid ? "process.run_as_group"
					      : NULL;
	identity_done(&a);
	identity_done(&b);
	return r;
}

int statics_compare(const struct policy_static *first, const struct policy_static *next, uid_t uid,
		    const char **ret_field, char **ret_error)
{
	struct policy_static rest = *next;

	*ret_error = NULL;
	rest.has_process = false;
	*ret_field = policy_static_differs(first, &rest);
	if (*ret_field || !next->has_process)
		return 0;
	return compare_identity(first, next, uid, ret_field, ret_error);
}
