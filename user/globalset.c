/* SPDX-License-Identifier: Apache-2.0 */
/* globalset.c - the global policy, in all running sandboxes or in none (globalset.h). */
#include "user/globalset.h"

#include "user/globalpolicy.h"
#include "user/policy_send.h"
#include "user/policy_target.h"
#include "user/safetext.h"
#include "user/strv.h"

#include <time.h>

#define NOBODY 65534
#define AGAIN_MS 50

struct member {
	struct policy_target target;
	int fd;
};

struct change {
	struct ctl_reload request;
	uint32_t timeout_s;
	struct member *v;
	size_t n;
	int status;  /* why it cannot be: 0, 1 or 124 */
	char *error; /* of the first that refused */
	struct prepared for_uid; /* the policy as compiled for the last user; text_fd -1: none */
	uid_t uid;
	const struct prepared *policy;
};

static void change_done(struct change *c)
{
	for (size_t i = 0; i < c->n; i++) {
		closep(&c->v[i].fd);
		policy_target_done(&c->v[i].target);
	}
	free(c->v);
	free(c->error);
	prepared_done(&c->for_uid);
}

static int say(int status, const char *text)
{
	fprintf(stderr, "osh-enforce: global policy: %s\n", text);
	return status;
}

static void refuse(struct change *c, const char *name, int error, const char *why)
{
	int status = error == -ETIMEDOUT ? POLICY_SEND_TIMEOUT : POLICY_SEND_REFUSED;

	fprintf(stderr, "osh-enforce: %s: refuses the global policy: ", name);
	safetext_print(slice_str(why), stderr);
	fputc('\n', stderr);
	if (!c->status && asprintf(&c->error, "%s: %s", name, why) < 0)
		c->error = NULL;
	if (!c->status || status == POLICY_SEND_REFUSED)
		c->status = status;
}

/* -------------------------------------------------------------------------------------- the members -- */

static int find_members(struct change *c)
{
	_cleanup_strv_ char **names = NULL;
	int r = sandbox_list(&names);

	if (r < 0)
		return r;
	c->v = calloc(strv_len(names) + 1, sizeof(*c->v));
	if (!c->v)
		return -ENOMEM;
	for (size_t i = 0; names[i]; i++) {
		struct member *m = &c->v[c->n];

		*m = (struct member){.fd = -1};
		r = policy_target_find(names[i], &m->target);
		if (r == -ENOENT)
			continue; /* dead, or it starts: then it looks at the decision before it is up */
		if (r == 0)
			c->n++;
		else
			refuse(c, names[i], r, r == -ETIMEDOUT ? "its supervisor does not answer" : strerror(-r));
	}
	return 0;
}

/* The image for this sandbox's user: what a symbolic link leads to depends on who could have placed it. */
static int compile_for(struct change *c, const struct policy_target *t)
{
	struct prepare_failure failure = {0};
	const struct prepare_options o = {.text = {(const uint8_t *)c->policy->text, c->policy->text_n},
					  .label = c->policy->path,
					  .failure = &failure,
					  .quiet = true};
	int r;

	if (c->for_uid.image_fd >= 0 && c->uid == t->uid)
		return 0;
	prepared_done(&c->for_uid);
	c->uid = t->uid;
	r = policy_target_compile(t, &o, &c->for_uid);
	prepare_failure_done(&failure);
	return r;
}

/* It ended meanwhile: there is nobody left to be bound.  A connection alone may also end for want of room. */
static bool ended(struct member *m, int error)
{
	if (error != -ECONNREFUSED && error != -ENOENT && error != -EPIPE && error != -ECONNRESET)
		return false;
	return control_gone(m->target.name);
}

static void hang_up(struct member *m)
{
	closep(&m->fd);
	m->fd = -1;
}

static int ask(struct change *c, struct member *m)
{
	_cleanup_free_ char *error = NULL;
	int r = control_connect(m->target.name, &m->fd);

	if (r == 0 && c->policy) {
		r = compile_for(c, &m->target);
		if (r == 0)
			r = policy_target_static(&m->target, &c->for_uid, &error);
	}
	if (r == 0)
		r = control_send(m->fd, CTL_RELOAD, &c->request, sizeof(c->request), c->policy ? &c->for_uid.image_fd : NULL,
				 c->policy ? 1 : 0);
	if (r < 0 && ended(m, r))
		hang_up(m);
	else if (r < 0)
		refuse(c, m->target.name, r, error ? error : strerror(-r));
	return r;
}

static int left_ms(const struct change *c)
{
	uint64_t now = policy_deadline(0);

	return now >= c->request.deadline_ns ? 0 : (int)((c->request.deadline_ns - now) / 1000000);
}

/* Its answer: 1 as wanted, 0 it is gone, else refused.  text: of the answer. */
static int hear(struct change *c, struct member *m, uint32_t want, int grace_ms, char *text, size_t text_n)
{
	uint32_t type = 0;
	int32_t e;
	size_t n = 0;
	int r;

	for (;;) {
		r = control_recv(m->fd, left_ms(c) + grace_ms, &type, text, text_n, &n, NULL, NULL);
		if (r == -EINTR)
			continue;
		if (r < 0 && ended(m, r)) {
			hang_up(m);
			return 0;
		}
		if (r == 0 && type == want)
			return 1;
		e = -EBADMSG;
		if (r == 0 && n >= sizeof(e))
			memcpy(&e, text, sizeof(e));
		if (r < 0 || e != -EBUSY || left_ms(c) <= AGAIN_MS)
			break;
		nanosleep(&(struct timespec){0, AGAIN_MS * 1000000}, NULL); /* its own reload comes first */
		hang_up(m);
		r = ask(c, m);
		if (r < 0)
			return m->fd < 0 ? 0 : r;
	}
	refuse(c, m->target.name, r < 0 ? r : e,
	       r == -ETIMEDOUT ? "timed out" : r < 0 ? strerror(-r) : n > sizeof(e) ? text + sizeof(e) : "unexpected answer");
	return -ECANCELED;
}

/* All are asked first, then heard: what each has to do goes on side by side. */
static void make_ready(struct change *c)
{
	char text[4096];

	for (size_t i = 0; i < c->n; i++)
		(void)ask(c, &c->v[i]);
	for (size_t i = 0; i < c->n && !c->status; i++)
		if (c->v[i].fd >= 0)
			(void)hear(c, &c->v[i], CTL_ACCEPTED, 1000, text, sizeof(text));
}

static void print_done(const struct member *m, const char *text)
{
	json_t *j = json_loads(text, 0, NULL);
	const char *hash = json_string_value(json_object_get(j, "hash"));
	json_int_t global = json_integer_value(json_object_get(j, "global"));

	printf("%s: ", m->target.name);
	if (global)
		printf("global revision %lld", (long long)global);
	else
		printf("its own revision %lld", (long long)json_integer_value(json_object_get(j, "revision")));
	printf(" loaded, sha256 %.16s, enforced after %.1f ms, complete after %.1f ms\n", hash ? hash : "",
	       json_real_value(json_object_get(j, "enforced_ms")), json_real_value(json_object_get(j, "total_ms")));
	json_decref(j);
}

/* The decision is made: from here on nobody is asked.  Returns how many sandboxes it was. */
static size_t go_on(struct change *c, bool wait)
{
	char text[4096];
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].fd >= 0)
			n += control_send(c->v[i].fd, CTL_COMMIT, NULL, 0, NULL, 0) == 0;
	for (size_t i = 0; wait && i < c->n; i++)
		if (c->v[i].fd >= 0 && hear(c, &c->v[i], CTL_OK, 5000, text, sizeof(text)) == 1)
			print_done(&c->v[i], text);
	return n;
}

/* -------------------------------------------------------------------------------------- set, delete -- */

static int store_decision(struct change *c, struct revisions *all, uint64_t number)
{
	int r = revisions_sync(all); /* its text is there before its name */

	if (r == 0)
		r = global_decide(number);
	if (r < 0) {
		c->status = POLICY_SEND_REFUSED;
		fprintf(stderr, "osh-enforce: " GLOBAL_DIR ": %s; nothing has changed\n", strerror(-r));
		return r;
	}
	(void)revisions_loaded(all, number);
	(void)revisions_sync(all);
	return 0;
}

static int set_prepared(struct revisions *all, const struct prepared *p, bool wait, uint32_t timeout_s)
{
	_cleanup_(change_done) struct change c = {.policy = p, .timeout_s = timeout_s,
						  .for_uid = {.text_fd = -1, .image_fd = -1}};
	uint64_t number;
	size_t n;
	int r = revisions_add(all, (struct slice){(const uint8_t *)p->text, p->text_n}, p->hash, p->path, NULL, &number);

	if (r < 0)
		return say(POLICY_SEND_REFUSED, strerror(-r));
	c.request = (struct ctl_reload){.version = CTL_VERSION,
					.kind = RELOAD_GLOBAL,
					.global = number,
					.deadline_ns = policy_deadline(timeout_s)};
	r = find_members(&c);
	if (r == 0)
		make_ready(&c);
	if (r == 0 && !c.status)
		r = store_decision(&c, all, number);
	if (r < 0 || c.status) {
		(void)revisions_failed(all, number, c.error ? c.error : strerror(-r));
		(void)revisions_sync(all);
		return say(c.status ? c.status : POLICY_SEND_REFUSED, "refused; nothing has changed in any sandbox");
	}
	n = go_on(&c, wait);
	printf("global policy: revision %llu in force, sha256 %.16s, in %zu running sandbox%s and in all that start\n",
	       (unsigned long long)number, p->hash, n, n == 1 ? "" : "es");
	return c.status;
}

int global_set(const char *path, bool wait, uint32_t timeout_s)
{
	struct prepare_failure failure = {0};
	const struct identity nobody = {.uid = NOBODY, .gid = NOBODY};
	const struct prepare_options o = {.path = path, .identity = &nobody, .failure = &failure};
	_cleanup_close_ int lock = -1;
	struct revisions all;
	struct prepared p;
	uint64_t number;
	int status, r = global_open(true, &lock, &all);

	if (r < 0)
		return say(POLICY_SEND_REFUSED, strerror(-r));
	if (prepare_policy(&o, &p) == 0) {
		status = set_prepared(&all, &p, wait, timeout_s);
		prepared_done(&p);
	} else {
		status = POLICY_SEND_REFUSED;
		if (failure.text && revisions_add(&all, (struct slice){(const uint8_t *)failure.text, failure.text_n},
						  failure.hash, path, failure.error, &number) == 0) {
			(void)revisions_sync(&all);
			fprintf(stderr, "osh-enforce: global policy: on record as revision %llu, failed; nothing has changed\n",
				(unsigned long long)number);
		}
	}
	prepare_failure_done(&failure);
	revisions_done(&all);
	return status;
}

static int unset(struct revisions *all, uint32_t timeout_s)
{
	_cleanup_(change_done) struct change c = {.timeout_s = timeout_s, .for_uid = {.text_fd = -1, .image_fd = -1}};
	size_t n;
	int r;

	c.request = (struct ctl_reload){
		.version = CTL_VERSION, .kind = RELOAD_UNGLOBAL, .deadline_ns = policy_deadline(timeout_s)};
	r = find_members(&c);
	if (r == 0)
		make_ready(&c);
	if (r == 0 && !c.status)
		r = store_decision(&c, all, 0);
	if (r < 0 || c.status)
		return say(c.status ? c.status : POLICY_SEND_REFUSED, "not deleted; it is in force as before");
	n = go_on(&c, true);
	printf("global policy: deleted; %zu running sandbox%s back to %s own\n", n, n == 1 ? " is" : "es are",
	       n == 1 ? "its" : "their");
	return c.status;
}

int global_unset(uint32_t timeout_s)
{
	_cleanup_close_ int lock = -1;
	struct revisions all;
	uint64_t number = 0;
	int r = global_open(false, &lock, &all), status;

	if (r == 0)
		(void)global_in_force(&number);
	if (r == -ENOENT || (r == 0 && !number)) {
		if (r == 0)
			revisions_done(&all);
		return say(POLICY_SEND_REFUSED, "there is none");
	}
	if (r < 0)
		return say(POLICY_SEND_REFUSED, strerror(-r));
	status = unset(&all, timeout_s);
	revisions_done(&all);
	return status;
}
