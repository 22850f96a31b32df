/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_send.c - checking, compiling, sending, waiting (policy_send.h).
 *
 * Parsing and compiling happen here, in the command; the supervisor gets a finished image and the text for its record.
 */
#include "user/policy_send.h"

#include "user/blob.h"
#include "user/globalpolicy.h"
#include "user/policy_target.h"
#include "user/safetext.h"
#include "user/usage.h"

#include <time.h>

#define RECORD_TIMEOUT_MS 3000
#define ACCEPT_GRACE_MS 1000

static int fail(int status, const char *name, const char *text)
{
	fputs("osh-enforce: ", stderr);
	safetext_print(slice_str(name), stderr);
	fprintf(stderr, ": %s\n", text);
	return status;
}

uint64_t policy_deadline(uint32_t timeout_s)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return ((uint64_t)t.tv_sec + timeout_s) * 1000000000u + (uint64_t)t.tv_nsec;
}

uint32_t policy_timeout_option(const char *command, const char *value)
{
	char *end;
	long t = strtol(value, &end, 10);

	if (end != value && !*end && t >= 1 && t <= POLICY_TIMEOUT_MAX_S)
		return (uint32_t)t;
	usage_error(command, "--timeout takes 1 to %d seconds", POLICY_TIMEOUT_MAX_S);
	return 0;
}

char *policy_sandbox_operand(const char *command, const char *given, int *ret_status)
{
	char *name = NULL;
	int r;

	if (given && !sandbox_name_valid(given)) {
		*ret_status = usage_error(command, "'%s' is not a sandbox name", given);
		return NULL;
	}
	name = given ? strdup(given) : NULL;
	r = given ? (name ? 0 : -ENOMEM) : sandbox_only(&name);
	if (r < 0) {
		fprintf(stderr, "osh-enforce %s: %s\n", command,
			r == -ENOENT	 ? "no sandbox is running"
			: r == -ENOTUNIQ ? "several sandboxes are running: name one"
					 : strerror(-r));
		*ret_status = POLICY_SEND_REFUSED;
	}
	return r < 0 ? NULL : name;
}

/* ----------------------------------------------------------------------------------------- failures -- */

static void record_send(const char *name, const struct prepare_failure *f, const char *label)
{
	struct ctl_failed q = {.version = CTL_VERSION};
	_cleanup_close_ int fd = -1, text = -1;
	json_t *j = NULL;
	char buf[1024];
	uint32_t type = 0;
	size_t n;

	snprintf(q.hash, sizeof(q.hash), "%s", f->hash);
	snprintf(q.path, sizeof(q.path), "%s", label);
	snprintf(q.error, sizeof(q.error), "%s", f->error ? f->error : "");
	if (memfd_of("osh-policy", (struct slice){(const uint8_t *)f->text, f->text_n}, &text) < 0 ||
	    control_connect(name, &fd) < 0 || control_send(fd, CTL_FAILED, &q, sizeof(q), &text, 1) < 0 ||
	    control_recv(fd, RECORD_TIMEOUT_MS, &type, buf, sizeof(buf), &n, NULL, NULL) < 0)
		return;
	j = type == CTL_OK ? json_loadb(buf, n, 0, NULL) : NULL;
	if (j)
		fprintf(stderr, "osh-enforce: %s: on record as revision %lld, failed; the policy in force is untouched\n", name,
			(long long)json_integer_value(json_object_get(j, "revision")));
	json_decref(j);
}

/* ------------------------------------------------------------------------------------------ answers -- */

static int print_loaded(const char *name, const char *text)
{
	json_t *j = json_loads(text, 0, NULL);
	json_int_t revision = json_integer_value(json_object_get(j, "revision"));
	json_int_t closed = json_integer_value(json_object_get(j, "closed"));
	const char *hash = json_string_value(json_object_get(j, "hash"));

	printf("%s: revision %lld loaded, sha256 %.16s, enforced after %.1f ms, complete after %.1f ms", name,
	       (long long)revision, hash ? hash : "", json_real_value(json_object_get(j, "enforced_ms")),
	       json_real_value(json_object_get(j, "total_ms")));
	if (closed > 0)
		printf(", %lld direct connection%s closed", (long long)closed, closed == 1 ? "" : "s");
	putchar('\n');
	json_decref(j);
	return closed >= 0 ? 0
			   : fail(POLICY_SEND_REFUSED, name, "in force, but direct connections that it does not admit could not all "
							   "be closed; 'osh-enforce logs' says why, a reload tries again");
}

static int print_accepted(const char *name, const char *text)
{
	json_t *j = json_loads(text, 0, NULL);
	json_int_t revision = json_integer_value(json_object_get(j, "revision"));
	const char *hash = json_string_value(json_object_get(j, "hash"));

	printf("%s: revision %lld accepted, sha256 %.16s; 'osh-enforce policy list %s' shows when it is loaded\n", name,
	       (long long)revision, hash ? hash : "", name);
	json_decref(j);
	return 0;
}

static int answer(int fd, const struct policy_send_options *o)
{
	char buf[4096];
	uint32_t type;
	int32_t e = 0;
	size_t n;
	int r;

	do {
		r = control_recv(fd, (int)(o->timeout_s * 1000 + ACCEPT_GRACE_MS), &type, buf, sizeof(buf), &n, NULL, NULL);
		if (r == 0 && type == CTL_ACCEPTED && !o->wait)
			return print_accepted(o->sandbox, buf);
	} while (r == 0 && type == CTL_ACCEPTED);
	if (r == -ETIMEDOUT)
		return fail(POLICY_SEND_TIMEOUT, o->sandbox, "timed out: no answer from the supervisor; 'osh-enforce status' shows the revision in force");
	if (r < 0)
		return fail(POLICY_SEND_REFUSED, o->sandbox, r == -EPIPE ? "the supervisor ended" : strerror(-r));
	if (type == CTL_OK)
		return print_loaded(o->sandbox, buf);
	if (n >= sizeof(e))
		memcpy(&e, buf, sizeof(e));
	if (o->ret_again && (e == -ESTALE || e == -EBUSY)) {
		*o->ret_again = true;
		return POLICY_SEND_REFUSED;
	}
	return fail(e == -ETIMEDOUT ? POLICY_SEND_TIMEOUT : POLICY_SEND_REFUSED, o->sandbox,
		    n > sizeof(e) ? buf + sizeof(e) : "unexpected answer");
}

static int send_prepared(const struct policy_send_options *o, const struct prepared *p)
{
	struct ctl_reload q = {.version = CTL_VERSION,
			       .kind = RELOAD_OWN,
			       .deadline_ns = policy_deadline(o->timeout_s),
			       .base = o->base};
	_cleanup_close_ int fd = -1;
	int fds[2] = {p->image_fd, p->text_fd};
	int r = control_connect(o->sandbox, &fd);

	snprintf(q.path, sizeof(q.path), "%s", o->label ? o->label : p->path);
	if (r == 0)
		r = control_send(fd, CTL_RELOAD, &q, sizeof(q), fds, 2);
	return r < 0 ? fail(POLICY_SEND_REFUSED, o->sandbox, strerror(-r)) : answer(fd, o);
}

static int prepare_and_send(const struct policy_send_options *o, const struct policy_target *t)
{
	struct prepare_failure failure = {0};
	const struct prepare_options po = {.path = o->path,
					   .text = o->path ? (struct slice){0} : o->text,
					   .label = o->label ? o->label : "policy",
					   .failure = &failure};
	struct prepared p;
	int status = POLICY_SEND_REFUSED;

	if (policy_target_prepare(t, &po, &p) == 0) {
		status = send_prepared(o, &p);
		prepared_done(&p);
	} else if (failure.text) {
		record_send(o->sandbox, &failure, o->label ? o->label : o->path);
	}
	prepare_failure_done(&failure);
	return status;
}

int policy_send(const struct policy_send_options *o)
{
	struct policy_target t = {0};
	char refusal[256];
	int status, r = policy_target_find(o->sandbox, &t);

	if (r == -ETIMEDOUT)
		return fail(POLICY_SEND_TIMEOUT, o->sandbox,
			    "timed out: the supervisor does not answer; the old policy is in force");
	if (r < 0)
		return fail(POLICY_SEND_REFUSED, o->sandbox,
			    r == -ENOENT ? "no such sandbox is running; 'osh-enforce list' shows what runs" : strerror(-r));
	if (t.global) {
		snprintf(refusal, sizeof(refusal), GLOBAL_REFUSAL, (unsigned long long)t.global);
		status = fail(POLICY_SEND_REFUSED, o->sandbox, refusal);
	} else {
		status = prepare_and_send(o, &t);
	}
	policy_target_done(&t);
	return status;
}

/* ------------------------------------------------------------------------------------------ reading -- */

int policy_revisions(const char *sandbox, struct revisions *ret)
{
	_cleanup_free_ char *path = NULL;
	struct policy_target t = {0};

	if (!sandbox_name_valid(sandbox))
		return -EINVAL;
	if (asprintf(&path, OSH_STATE_DIR "/%s/revisions", sandbox) < 0)
		return -ENOMEM;
	/* Its supervisor does one thing after the other: with its answer, what it had to write down is written. */
	if (policy_target_find(sandbox, &t) == 0)
		policy_target_done(&t);
	return revisions_open(path, false, ret);
}

int policy_fetch(const char *sandbox, uint64_t rev, char **ret_text, size_t *ret_n, uint64_t *ret_rev)
{
	const struct revision *v;
	struct revisions all;
	int r = policy_revisions(sandbox, &all);

	if (r < 0)
		return r;
	v = rev ? revisions_find(&all, rev) : revisions_in_force(&all);
	r = v ? revisions_text(&all, v->number, ret_text, ret_n) : -ENOENT;
	if (r == 0)
		*ret_rev = v->number;
	revisions_done(&all);
	return r;
}

void policy_settle(const char *sandbox, struct revisions *r)
{
	_cleanup_close_ int fd = -1;

	if (!sandbox || control_connect(sandbox, &fd) == 0)
		return;
	for (size_t i = 0; i < r->n; i++) {
		char *why;

		if (r->v[i].status != REVISION_PENDING || !(why = strdup(REVISION_ABANDONED)))
			continue;
		free(r->v[i].error);
		r->v[i].error = why;
		r->v[i].status = REVISION_FAILED;
	}
}

void policy_standing(const char *sandbox, uint64_t *ret_first, uint64_t *ret_global)
{
	struct policy_target t = {0};

	if (policy_target_find(sandbox, &t) < 0)
		return;
	*ret_first = t.first_revision;
	*ret_global = t.global;
	policy_target_done(&t);
}
