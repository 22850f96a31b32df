/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - a new policy in a running sandbox: publish, acknowledge, swap, revoke.
 *
 *   1. the image is copied into a fresh map, frozen, validated and put into the free slot
 *   2. the proxy maps it and acknowledges
 *   3. one store to `current`: from here on every decision is the new policy's
 *   4. connections that the new policy would not admit are closed, natives here, proxied ones by the proxy
 *   5. a grace period: no decision of the old image is under way any more, and its slot is free; step 4 once more
 *
 * Until step 3 nothing has changed; a failure leaves the old policy whole.  A held reload (the global policy, which
 * changes in all sandboxes or in none) waits before step 3.
 *
 * What was set is on record as pending before step 2 and as loaded or failed after step 3 (revisions.h); the disk is
 * waited for later, by the tick.
 */
#include "user/blob.h"
#include "user/globalpolicy.h"
#include "user/prepare.h"
#include "user/reload.h"
#include "user/revoke.h"
#include "user/supervise.h"

#include <fcntl.h>
#include <jansson.h>
#include <time.h>

#define TIMEOUT_DEFAULT_MS 10000
#define RETIRED_NS 2000000000u
#define RETIRED_BYTES (32u << 20) /* of them together */

void reload_hash(const struct supervisor *s, char hex[65])
{
	const struct published *p = &s->image[s->gen & 1];

	hex[0] = '\0';
	if (p->base)
		hex_digest(p->image.hdr->sha256, hex);
}

/* ------------------------------------------------------------------------------------- on record -- */

static void note_record(struct supervisor *s, int r, const char *what)
{
	if (r < 0)
		eventlog_note(&s->events, LOG_L_ERROR, "policy", what, "error", strerror(-r), NULL);
}

static void note_revision(struct supervisor *s, enum log_level level, const char *message, uint64_t number)
{
	const struct revision *v = revisions_find(&s->revisions, number);
	char rev[24];

	if (!v)
		return;
	snprintf(rev, sizeof(rev), "%llu", (unsigned long long)number);
	if (v->error[0])
		eventlog_note(&s->events, level, "policy", message, "revision", rev, "status",
			      revision_status_word(v->status), "hash", v->hash, "path", v->source, "error", v->error, NULL);
	else
		eventlog_note(&s->events, level, "policy", message, "revision", rev, "status",
			      revision_status_word(v->status), "hash", v->hash, "path", v->source, NULL);
}

static int record(struct supervisor *s, int text_fd, const char *hash, const char *path, const char *error, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r = 0;

	if (text_fd >= 0)
		r = lseek(text_fd, 0, SEEK_SET) < 0 ? -errno : read_whole_fd(text_fd, POLICY_TEXT_MAX, &text, &n);
	if (r == 0)
		r = revisions_add(&s->revisions, (struct slice){(const uint8_t *)text, n}, hash, path, error, ret);
	return r;
}

int reload_record(struct supervisor *s)
{
	int r = record(s, s->start_fd[SF_POLICY], s->args.hash, s->args.policy_path, NULL, &s->revision);

	if (r < 0)
		return r;
	s->first_revision = s->revisions.keep = s->revision;
	s->own_image = s->start_fd[SF_IMAGE];
	return 0;
}

void reload_failed(struct supervisor *s, struct client *c, const struct ctl_failed *f, int text_fd)
{
	char hash[sizeof(f->hash)], path[sizeof(f->path)], error[sizeof(f->error)], text[64];
	uint64_t number;
	int r, n;

	snprintf(hash, sizeof(hash), "%.*s", (int)sizeof(hash) - 1, f->hash);
	snprintf(path, sizeof(path), "%.*s", (int)sizeof(path) - 1, f->path);
	snprintf(error, sizeof(error), "%.*s", (int)sizeof(error) - 1, f->error);
	r = record(s, text_fd, hash, path, error, &number);
	if (r < 0) {
		client_error(c, r, "the revision could not be recorded: %s", strerror(-r));
		return;
	}
	note_revision(s, LOG_L_WARN, "policy refused", number);
	log_flush(s->log);
	n = snprintf(text, sizeof(text), "{\"revision\":%llu}", (unsigned long long)number);
	(void)control_send(c->fd, CTL_OK, text, (size_t)n, NULL, 0);
}

void reload_ended(struct supervisor *s)
{
	const struct revision *v = revisions_find(&s->revisions, s->first_revision);

	if (v && v->status == REVISION_PENDING && s->failure)
		(void)revisions_failed(&s->revisions, v->number, s->failure);
	(void)revisions_recover(&s->revisions, UINT64_MAX);
	(void)revisions_sync(&s->revisions);
}

/* ------------------------------------------------------------------------------------ before the swap -- */

int reload_first(struct supervisor *s)
{
	struct published p;
	int r = kernel_publish(s->kernel, 1, s->start_fd[s->args.global ? SF_GLOBAL : SF_IMAGE], true, &p);

	if (r < 0)
		return r;
	s->image[1] = p;
	s->reload.gen = 1;
	s->reload.kind = RELOAD_OWN;
	s->reload.revision = s->revision;
	s->reload.global = s->args.global;
	s->next_gen = 2;
	return 0;
}

static void over(struct supervisor *s)
{
	loop_timer_stop(s->loop, &s->reload.timer);
	closep(&s->reload.image_fd);
	s->reload.image_fd = -1;
	s->reload.gen = 0;
	s->reload.ready = false;
	s->reload.client = NULL;
}

/* The old policy stays in force. */
static void give_up(struct supervisor *s, int error, const char *why)
{
	if (s->reload.client)
		client_error(s->reload.client, error, "%s", why);
	if (s->reload.kind == RELOAD_OWN) {
		note_record(s, revisions_failed(&s->revisions, s->reload.revision, why), "a revision could not be recorded");
		note_revision(s, LOG_L_WARN, "policy refused", s->reload.revision);
	} else {
		eventlog_note(&s->events, LOG_L_WARN, "policy", "global policy refused", "error", why, NULL);
	}
	log_flush(s->log);
	published_done(&s->image[s->reload.gen & 1]);
	s->next_gen = s->reload.gen + 2; /* the same slot again */
	over(s);
}

/* Under load, events wait in the ring for a quarter of a second. */
static void retire(struct supervisor *s, struct published *p)
{
	struct retired *oldest = &s->retired[0];
	size_t bytes = p->image.n;

	if (!p->base)
		return;
	for (size_t i = 0; i < RETIRED_MAX; i++) {
		if (s->retired[i].at_ns < oldest->at_ns)
			oldest = &s->retired[i];
		bytes += s->retired[i].image.image.n;
	}
	for (size_t i = 0; i < RETIRED_MAX && bytes > RETIRED_BYTES; i++) {
		published_done(&s->retired[i].image);
		s->retired[i].at_ns = 0;
		oldest = &s->retired[i];
	}
	if (oldest->image.base) /* the last lines in which it names its blocks */
		record_summarise(&s->record, oldest->image.gen);
	published_done(&oldest->image);
	*oldest = (struct retired){.image = *p, .at_ns = supervise_now()};
	*p = (struct published){.map_fd = -1};
}

void reload_tick(struct supervisor *s)
{
	uint64_t now = supervise_now();

	for (size_t i = 0; i < RETIRED_MAX; i++) {
		if (!s->retired[i].at_ns || now - s->retired[i].at_ns < RETIRED_NS)
			continue;
		published_done(&s->retired[i].image);
		s->retired[i].at_ns = 0;
	}
}

static void on_timeout(struct loop_timer *t)
{
	give_up(t->arg, -ETIMEDOUT, "the proxy did not take the new policy in time; the old one is in force");
}

/* Why this request cannot be taken now; 0: it can. */
static int refuse(const struct supervisor *s, struct client *c, const struct ctl_reload *q, size_t nfds)
{
	static const size_t want[] = {[RELOAD_OWN] = 2, [RELOAD_GLOBAL] = 1, [RELOAD_UNGLOBAL] = 0};

	if (q->kind >= ARRAY_LEN(want) || nfds != want[q->kind] || (q->kind == RELOAD_GLOBAL && !q->global)) {
		client_error(c, -EINVAL, "malformed request; are both programs of one version?");
		return -EINVAL;
	}
	if (s->reload.gen) {
		client_error(c, -EBUSY, "another reload is under way");
		return -EBUSY;
	}
	if (q->kind == RELOAD_OWN && s->global) {
		client_error(c, -EPERM, GLOBAL_REFUSAL, (unsigned long long)s->global);
		return -EPERM;
	}
	if (q->kind == RELOAD_OWN && q->base && q->base != s->revision) {
		client_error(c, -ESTALE, "revision %llu is in force by now, not %llu", (unsigned long long)s->revision,
			     (unsigned long long)q->base);
		return -ESTALE;
	}
	if (q->deadline_ns && q->deadline_ns <= supervise_now()) {
		client_error(c, -ETIMEDOUT, "the request came too late; the old policy is in force");
		return -ETIMEDOUT;
	}
	return 0;
}

static void accepted(struct supervisor *s)
{
	char hash[65], text[160];
	int n;

	if (!s->reload.client)
		return;
	hex_digest(s->image[s->reload.gen & 1].image.hdr->sha256, hash);
	n = snprintf(text, sizeof(text), "{\"revision\":%llu,\"hash\":\"%s\"}",
		     (unsigned long long)(s->reload.kind == RELOAD_OWN ? s->reload.revision : s->reload.global), hash);
	(void)control_send(s->reload.client->fd, CTL_ACCEPTED, text, (size_t)n, NULL, 0);
}

/* On record as pending. */
static int begin_record(struct supervisor *s, const struct ctl_reload *q, const struct published *p, int text_fd,
			uint64_t *ret)
{
	char hash[65], path[sizeof(q->path)];
	int r;

	hex_digest(p->image.hdr->sha256, hash);
	snprintf(path, sizeof(path), "%.*s", (int)sizeof(path) - 1, q->path);
	r = record(s, text_fd, hash, path, NULL, ret);
	if (r == 0)
		note_revision(s, LOG_L_INFO, "policy accepted", *ret);
	return r;
}

void reload_request(struct supervisor *s, struct client *c, const struct ctl_reload *q, int *fds, size_t nfds)
{
	struct published p;
	uint64_t began = supervise_now(), timeout = TIMEOUT_DEFAULT_MS, number = 0;
	int r;

	if (refuse(s, c, q, nfds) < 0)
		return;
	r = kernel_publish(s->kernel, s->next_gen, nfds ? fds[0] : s->own_image, false, &p);
	if (r < 0) {
		client_error(c, r, "the image was not accepted: %s", strerror(-r));
		return;
	}
	retire(s, &s->image[p.gen & 1]);
	s->image[p.gen & 1] = p;
	r = q->kind == RELOAD_OWN ? begin_record(s, q, &p, fds[1], &number) : 0;
	if (r < 0) {
		published_done(&s->image[p.gen & 1]);
		s->next_gen += 2;
		client_error(c, r, "the revision could not be recorded in %s: %s", s->state_dir, strerror(-r));
		return;
	}
	if (q->deadline_ns)
		timeout = (q->deadline_ns - began) / 1000000 + 1;
	s->reload.gen = p.gen;
	s->reload.client = c;
	s->reload.began_ns = began;
	s->reload.kind = q->kind;
	s->reload.ready = false;
	s->reload.revision = number;
	s->reload.global = q->kind == RELOAD_GLOBAL ? q->global : 0;
	s->reload.image_fd = q->kind == RELOAD_OWN ? steal_fd(&fds[0]) : -1;
	memcpy(s->reload.path, q->path, sizeof(s->reload.path));
	s->reload.path[sizeof(s->reload.path) - 1] = '\0';
	loop_timer_set(s->loop, &s->reload.timer, timeout, on_timeout, s);
	if (q->kind == RELOAD_OWN)
		accepted(s);
	/* No proxy at the moment: the next one is given this image too. */
	(void)proxy_send_image(s, &p);
}

/* ------------------------------------------------------------------------------------- and after it -- */

static void on_revoked(void *arg, const struct osh_flow *f)
{
	struct supervisor *s = arg;

	eventlog_revoked(&s->events, f, s->gen);
}

static int rejudge_natives(struct supervisor *s)
{
	int r = revoke_natives(s->kernel, &s->image[s->gen & 1].image, on_revoked, s);

	if (r < 0)
		eventlog_note(&s->events, LOG_L_ERROR, "policy", "native connections could not be re-judged", "error",
			      strerror(-r), NULL);
	return r;
}

static void on_late(struct loop_timer *t)
{
	struct supervisor *s = t->arg;

	(void)rejudge_natives(s);
	log_flush(s->log);
}

void reload_late(struct supervisor *s)
{
	if (s->gen && !s->reload.late.due_ns)
		loop_timer_set(s->loop, &s->reload.late, 1, on_late, s);
}

static void answer(struct supervisor *s, uint64_t enforced, int closed)
{
	char hash[65];
	json_t *j;
	char *text;

	if (!s->reload.client)
		return;
	reload_hash(s, hash);
	j = json_pack("{s:I,s:I,s:I,s:s,s:f,s:f,s:i}", "revision", (json_int_t)s->revision, "global",
		      (json_int_t)s->global, "generation",
		      (json_int_t)s->gen, "hash", hash, "enforced_ms",
		      (double)(enforced - s->reload.began_ns) / 1e6, "total_ms",
		      (double)(supervise_now() - s->reload.began_ns) / 1e6, "closed", closed);
	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	(void)control_send(s->reload.client->fd, CTL_OK, text ? text : "{}", text ? strlen(text) : 2, NULL, 0);
	free(text);
	json_decref(j);
}

/* What changed besides the image. */
static void take_over(struct supervisor *s)
{
	if (s->reload.kind == RELOAD_OWN) {
		s->revision = s->reload.revision;
		note_record(s, revisions_mark_loaded(&s->revisions, s->revision), "a revision could not be recorded");
		if (s->reload.image_fd >= 0) {
			closep(&s->own_image);
			s->own_image = steal_fd(&s->reload.image_fd);
			memcpy(s->args.policy_path, s->reload.path, sizeof(s->args.policy_path));
		}
	}
	s->global = s->reload.global;
}

static void note_swap(struct supervisor *s)
{
	const char *message = s->reload.kind == RELOAD_GLOBAL	  ? "global policy loaded"
			      : s->reload.kind == RELOAD_UNGLOBAL ? "global policy gone, the sandbox's own is back"
								  : "policy loaded";
	char rev[24], gen[24], global[24], hash[65];

	snprintf(rev, sizeof(rev), "%llu", (unsigned long long)s->revision);
	snprintf(gen, sizeof(gen), "%llu", (unsigned long long)s->gen);
	snprintf(global, sizeof(global), "%llu", (unsigned long long)s->global);
	reload_hash(s, hash);
	eventlog_note(&s->events, LOG_L_INFO, "policy", message, "revision", rev, "status", "loaded", "generation", gen,
		      "hash", hash, "path", s->args.policy_path, s->global ? "global" : NULL, global, NULL);
	log_flush(s->log);
}

/* Steps 3 to 5. */
static void swap(struct supervisor *s)
{
	struct published *p = &s->image[s->reload.gen & 1];
	uint64_t enforced;
	bool first = s->reload.gen == 1;
	int closed = 0, grace, r;

	if (kernel_published(s->kernel) < 0) {
		supervise_fail(s, "the policy image could not be put in place");
		return;
	}
	kernel_set_current(s->kernel, p->gen);
	enforced = supervise_now();
	s->gen = p->gen;
	s->next_gen = p->gen + 1;
	s->policy_loaded = (uint64_t)time(NULL);
	proxy_swapped(s); /* it accepts from now on, or re-judges while we wait */
	if (!first) {
		/* At once what there is; again what was decided before the store and has arrived since. */
		closed = rejudge_natives(s);
		grace = kernel_grace(s->kernel, p);
		r = rejudge_natives(s);
		closed = closed < 0 || grace < 0 || r < 0 ? -1 : closed + r;
	}
	take_over(s);
	note_swap(s);
	answer(s, enforced, closed);
	over(s);
	/* Replacing a file takes the disk a while; who reads the record asks for the status first, and so waits for it. */
	note_record(s, revisions_supersede(&s->revisions, s->revision), "a revision could not be recorded");
}

void reload_acked(struct supervisor *s, uint64_t gen, int error)
{
	char why[128];

	if (!s->reload.gen || gen != s->reload.gen || s->reload.ready)
		return;
	if (s->reload.timer.due_ns && supervise_now() >= s->reload.timer.due_ns) {
		on_timeout(&s->reload.timer); /* we were held up: whoever asked has given up by now */
	} else if (error) {
		snprintf(why, sizeof(why), "the proxy refused the policy image: %s", strerror(-error));
		if (gen == 1)
			supervise_fail(s, "%s", why);
		give_up(s, error, why);
	} else if (s->reload.kind == RELOAD_OWN) {
		swap(s);
	} else if (!s->reload.client) {
		give_up(s, -ECANCELED, "who set the global policy went away");
	} else {
		/* From here on only the connection decides, or its end: no timer. */
		loop_timer_stop(s->loop, &s->reload.timer);
		s->reload.ready = true;
		accepted(s);
	}
}

void reload_commit(struct supervisor *s, struct client *c)
{
	if (s->reload.gen && s->reload.ready && s->reload.client == c)
		swap(s);
	else
		client_error(c, -EINVAL, "nothing waits for this");
}

void reload_forget(struct supervisor *s, struct client *c)
{
	uint64_t global;

	if (!s->reload.gen || s->reload.client != c)
		return;
	s->reload.client = NULL;
	if (!s->reload.ready || s->stopping)
		return;
	/* It waited for a word that does not come any more: what is on disk is what was decided. */
	if (global_in_force(&global) == 0 && global == s->reload.global)
		swap(s);
	else
		give_up(s, -ECANCELED, "who set the global policy went away");
}
