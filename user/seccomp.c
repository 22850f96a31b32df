/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.c - the system call filter, made from the tables of user/seccomp_table.c.
 *
 * What is not refused is allowed: the sandbox is for unmodified programs, and what the refused
 * calls could reach is guarded by the other walls too.  Two filters stand behind one another, and
 * the kernel takes the stricter answer.  The first, of libseccomp, is the tables; it checks the
 * architecture first, and calls of another one (32-bit, x32) end the process.  The second says
 * ENOSYS to calls that came after the tables were read through, which libseccomp cannot say.
 *
 * A refused socket() is answered by the supervisor, which logs it: no other hook of the kernel sees
 * a call that stops here.  Without a supervisor it says ENOSYS.
 */
#include "user/seccomp.h"

#include "user/seccomp_table.h"
#include "user/strv.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define SOCK_TYPE_MASK 0xf /* the rest of the argument are flags (include/linux/net.h) */

/* What libseccomp's own macros say, with every field set. */
#define ARG_EQ(n, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_EQ, (value), 0})
#define ARG_NE(n, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_NE, (value), 0})
#define ARG_GT(n, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_GT, (value), 0})
#define ARG_MASKED(n, mask, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_MASKED_EQ, (mask), (value)})

/* libseccomp says -EDOM for a call of another architecture; the call is not there then, which is as
 * good. */
static int accept_unknown(int r)
{
	return r == -EDOM ? 0 : r;
}

static int refuse(scmp_filter_ctx ctx, int nr, int answer, unsigned int n,
		  const struct scmp_arg_cmp *cmp)
{
	return accept_unknown(
		seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((unsigned int)answer), nr, n, cmp));
}

/* By name, so that a call that this architecture does not have is simply not there; by number what
 * this libseccomp is too old to know. */
static int refuse_calls(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < seccomp_calls_n; i++) {
		const struct seccomp_call *c = &seccomp_calls[i];
		int nr = seccomp_syscall_resolve_name(c->name);

		if (nr == __NR_SCMP_ERROR && c->nr)
			nr = c->nr;
		if (nr != __NR_SCMP_ERROR)
			r = refuse(ctx, nr, c->answer, 0, NULL);
	}
	return r;
}

static struct scmp_arg_cmp comparison(const struct seccomp_cmp *c)
{
	switch (c->op) {
	case SECCOMP_EQ:
		return ARG_EQ(c->arg, c->value);
	case SECCOMP_NE:
		return ARG_NE(c->arg, c->value);
	case SECCOMP_GT:
		return ARG_GT(c->arg, c->value);
	case SECCOMP_MASKED:
		break;
	}
	return ARG_MASKED(c->arg, c->mask, c->value);
}

static int refuse_arguments(scmp_filter_ctx ctx, int landlock_abi)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < seccomp_arguments_n; i++) {
		const struct seccomp_argument *a = &seccomp_arguments[i];
		int nr = seccomp_syscall_resolve_name(a->name);
		struct scmp_arg_cmp cmp[SECCOMP_CMPS];

		if (nr == __NR_SCMP_ERROR ||
		    (a->landlock_below && landlock_abi >= a->landlock_below))
			continue;
		for (unsigned int k = 0; k < a->n; k++)
			cmp[k] = comparison(&a->cmp[k]);
		r = refuse(ctx, nr, a->answer, a->n, cmp);
	}
	return r;
}

/* personality(): 0 and the query 0xffffffff only, that is, all 32 bits equal: refused where a set
 * bit stands next to a clear one. */
static int refuse_personality(scmp_filter_ctx ctx)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < 32; i++) {
		uint64_t set = 1ull << i, clear = 1ull << ((i + 1) % 32);

		r = refuse(ctx, SCMP_SYS(personality), EPERM, 1, &ARG_MASKED(0, set | clear, set));
	}
	return r;
}

/* ---------------------------------------------------------------------------------- sockets -- */

/* The filter, and what socket() is refused with. */
struct filter {
	scmp_filter_ctx ctx;
	uint32_t refused_socket;
};

/* Refuses socket() where all n comparisons hold: the one place that says how. */
static int refuse_socket(const struct filter *f, unsigned int n, const struct scmp_arg_cmp *cmp)
{
	return accept_unknown(
		seccomp_rule_add_array(f->ctx, f->refused_socket, SCMP_SYS(socket), n, cmp));
}

/* Any type: of the family alone. */
static const struct seccomp_socket *find_socket(uint64_t family, const uint64_t *type)
{
	for (size_t i = 0; i < seccomp_sockets_n; i++)
		if (seccomp_sockets[i].family == family &&
		    (!type || seccomp_sockets[i].type == *type))
			return &seccomp_sockets[i];
	return NULL;
}

/* Of one family and type: protocols 0 and the listed one only. */
static int refuse_protocols(const struct filter *f, const struct seccomp_socket *s)
{
	struct scmp_arg_cmp cmp[] = {
		ARG_EQ(0, s->family),
		ARG_MASKED(1, SOCK_TYPE_MASK, s->type),
		ARG_GT(2, s->protocol),
	};
	int r = refuse_socket(f, ARRAY_LEN(cmp), cmp);

	for (uint64_t p = 1; r == 0 && p < s->protocol; p++) {
		cmp[2] = ARG_EQ(2, p);
		r = refuse_socket(f, ARRAY_LEN(cmp), cmp);
	}
	return r;
}

static int refuse_types(const struct filter *f, uint64_t family)
{
	int r = 0;

	for (uint64_t type = 0; r == 0 && type <= SOCK_TYPE_MASK; type++) {
		const struct scmp_arg_cmp cmp[] = {ARG_EQ(0, family),
						   ARG_MASKED(1, SOCK_TYPE_MASK, type)};
		const struct seccomp_socket *s = find_socket(family, &type);

		r = s ? refuse_protocols(f, s) : refuse_socket(f, ARRAY_LEN(cmp), cmp);
	}
	return r;
}

/*
 * socket(family, type, protocol): what is not in the table.  libseccomp can only say what is
 * refused, and compares whole 64-bit arguments of which the kernel looks at 32: so every value up
 * to the largest allowed one is named, and all above it are refused, which takes in those with
 * something in the upper half.
 */
static int refuse_sockets(const struct filter *f)
{
	uint64_t last = 0;
	int r = 0;

	for (size_t i = 0; i < seccomp_sockets_n; i++)
		if (seccomp_sockets[i].family > last)
			last = seccomp_sockets[i].family;
	for (uint64_t family = 0; r == 0 && family <= last; family++)
		r = find_socket(family, NULL) ? refuse_types(f, family)
					      : refuse_socket(f, 1, &ARG_EQ(0, family));
	if (r == 0)
		r = refuse_socket(f, 1, &ARG_GT(0, last));
	/* Nothing but Unix sockets comes in pairs. */
	return r ? r : refuse(f->ctx, SCMP_SYS(socketpair), EPERM, 1, &ARG_NE(0, AF_UNIX));
}

/* -------------------------------------------------------------------------- the two filters -- */

static int build(const struct filter *f, int landlock_abi)
{
	int r = seccomp_attr_set(f->ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r == 0)
		r = refuse_calls(f->ctx);
	if (r == 0)
		r = refuse_arguments(f->ctx, landlock_abi);
	if (r == 0)
		r = refuse_personality(f->ctx);
	if (r == 0)
		r = refuse_sockets(f);
	/* A binary tree of call numbers: a few comparisons a call, not one for each row.  Absent
	 * before libseccomp 2.5. */
	if (r == 0)
		(void)seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return r;
}

static int load_tables(int landlock_abi, uint32_t refused_socket, int *ret_listener,
		       char **ret_error)
{
	const struct filter f = {seccomp_init(SCMP_ACT_ALLOW), refused_socket};
	int r;

	if (!f.ctx)
		return -ENOMEM;
	r = build(&f, landlock_abi);
	if (r < 0)
		error_text(ret_error, r, "cannot build the system call filter: %s", strerror(-r));
	else {
		/* What the kernel said, not ECANCELED. */
		(void)seccomp_attr_set(f.ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
		r = seccomp_load(f.ctx);
		if (r < 0 && r != -EBUSY)
			error_text(ret_error, r, "cannot load the system call filter: %s",
				   strerror(-r));
	}
	if (r == 0 && refused_socket == SCMP_ACT_NOTIFY)
		*ret_listener = seccomp_notify_fd(f.ctx);
	seccomp_release(f.ctx);
	return r;
}

/* Calls of other architectures pass here: the tables' filter ends them. */
static int load_newer(char **ret_error)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SECCOMP_LAST_KNOWN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
#ifdef __x86_64__
		/* Numbers that are free, and may yet be given to calls of x86 alone. */
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SECCOMP_FIRST_SHARED, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SECCOMP_LAST_X86, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	static const struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		return error_text(ret_error, -errno,
				  "cannot load the filter of newer system calls: %s",
				  strerror(errno));
	return 0;
}

int seccomp_enforce(int landlock_abi, int *ret_listener, char **ret_error)
{
	int r;

	*ret_error = NULL;
	r = load_newer(ret_error);
	if (r < 0)
		return r;
	if (ret_listener) {
		*ret_listener = -1;
		r = load_tables(landlock_abi, SCMP_ACT_NOTIFY, ret_listener, ret_error);
		if (r != -EBUSY)
			return r;
	}
	r = load_tables(landlock_abi, SCMP_ACT_ERRNO(EPERM), NULL, ret_error);
	return r == -EBUSY ? error_text(ret_error, r, "cannot load the system call filter: %s",
					strerror(-r))
			   : r;
}
