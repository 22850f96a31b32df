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
 * Until step 3 nothing has changed; a failure leaves the old policy whole.
 */
#include "user/reload.h"
#include "user/revoke.h"
#include "user/supervise.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <time.h>

static void hex32(const uint8_t *b, char *to)
{
	for (int i = 0; i < 32; i++)
		sprintf(to + 2 * i, "%02x", b[i]);
}

void reload_hash(const struct supervisor *s, char hex[65])
{
	const struct published *p = &s->image[s->gen & 1];

	hex[0] = '\0';
	if (p->base)
		hex32(p->image.hdr->sha256, hex);
}

/* Revisions are kept as they were set. */
static void keep_text(struct supervisor *s, int text_fd)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	char buf[65536];
	ssize_t n;

	if (text_fd < 0 ||
	    asprintf(&path, "%s/revisions/%llu.yaml", s->state_dir, (unsigned long long)s->revision) < 0)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	for (off_t at = 0; (n = pread(text_fd, buf, sizeof(buf), at)) > 0; at += n)
		if (write(fd, buf, (size_t)n) != n)
			break;
}

int reload_first(struct supervisor *s)
{
	struct published p;
	int r = kernel_publish(s->kernel, 1, s->start_fd[SF_IMAGE], true, &p);

	if (r < 0)
		return r;
	s->image[1] = p;
	s->reload.gen = 1;
	s->next_gen = 2;
	return 0;
}

static void over(struct supervisor *s)
{
	loop_timer_stop(s->loop, &s->reload.timer);
	closep(&s->reload.text_fd);
	s->reload.text_fd = -1;
	s->reload.gen = 0;
	s->reload.client = NULL;
}

static void on_timeout(struct loop_timer *t)
{
	struct supervisor *s = t->arg;

	if (s->reload.client)
		client_error(s->reload.client, -ETIMEDOUT,
			     "the proxy did not take the new policy in time; the old one is in force");
	published_done(&s->image[s->reload.gen & 1]);
	s->next_gen = s->reload.gen + 2; /* the same slot again */
	over(s);
}

void reload_request(struct supervisor *s, struct client *c, const struct ctl_reload *q, int image_fd, int text_fd)
{
	struct published p;
	uint32_t timeout = q->timeout_ms ? q->timeout_ms : 10000;
	uint64_t began = supervise_now();
	int r;

	if (s->reload.gen) {
		close(text_fd);
		client_error(c, -EBUSY, "another reload is under way");
		return;
	}
	if (q->static_hash[0] && memcmp(q->static_hash, s->args.static_hash, 64) != 0) {
		close(text_fd);
		client_error(c, -EPERM, "static sections cannot change in a running sandbox");
		return;
	}
	r = kernel_publish(s->kernel, s->next_gen, image_fd, false, &p);
	if (r < 0) {
		close(text_fd);
		client_error(c, r, "the image was not accepted: %s", strerror(-r));
		return;
	}
	supervise_drain(s); /* the last events of the generation that had this slot are named by its image */
	published_done(&s->image[p.gen & 1]);
	s->image[p.gen & 1] = p;
	s->reload.gen = p.gen;
	s->reload.client = c;
	s->reload.began_ns = began;
	s->reload.text_fd = text_fd;
	memcpy(s->reload.path, q->path, sizeof(s->reload.path));
	s->reload.path[sizeof(s->reload.path) - 1] = '\0';
	loop_timer_set(s->loop, &s->reload.timer, timeout, on_timeout, s);
	/* No proxy at the moment: the next one is given this image too. */
	(void)proxy_send_image(s, &p);
}

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
	j = json_pack("{s:I,s:I,s:s,s:f,s:f,s:i}", "revision", (json_int_t)s->revision, "generation",
		      (json_int_t)s->gen, "hash", hash, "enforced_ms",
		      (double)(enforced - s->reload.began_ns) / 1e6, "total_ms",
		      (double)(supervise_now() - s->reload.began_ns) / 1e6, "closed", closed);
	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	(void)control_send(s->reload.client->fd, CTL_OK, text ? text : "{}", text ? strlen(text) : 2, NULL, 0);
	free(text);
	json_decref(j);
}

/* Steps 3 to 5. */
static void swap(struct supervisor *s)
{
	struct published *p = &s->image[s->reload.gen & 1];
	uint64_t enforced;
	char rev[24], gen[24], hash[65];
	int closed = 0, r;

	if (kernel_published(s->kernel) < 0) {
		supervise_fail(s, "the policy image could not be put in place");
		return;
	}
	kernel_set_current(s->kernel, p->gen);
	enforced = supervise_now();
	s->gen = p->gen;
	s->next_gen = p->gen + 1;
	s->revision++;
	s->policy_loaded = (uint64_t)time(NULL);
	proxy_swapped(s); /* it accepts from now on, or re-judges while we wait */
	if (s->revision > 1) {
		/* At once what there is; again what was decided before the store and has arrived since. */
		closed = rejudge_natives(s);
		(void)kernel_grace(s->kernel, p);
		r = rejudge_natives(s);
		closed = closed < 0 || r < 0 ? -1 : closed + r;
		memcpy(s->args.policy_path, s->reload.path, sizeof(s->args.policy_path));
		keep_text(s, s->reload.text_fd);
	} else {
		keep_text(s, s->start_fd[SF_POLICY]);
	}
	snprintf(rev, sizeof(rev), "%llu", (unsigned long long)s->revision);
	snprintf(gen, sizeof(gen), "%llu", (unsigned long long)s->gen);
	reload_hash(s, hash);
	eventlog_note(&s->events, LOG_L_INFO, "policy", "policy loaded", "revision", rev, "generation", gen, "hash", hash,
		      "path", s->args.policy_path, NULL);
	log_flush(s->log);
	answer(s, enforced, closed);
	over(s);
}

void reload_acked(struct supervisor *s, uint64_t gen, int error)
{
	if (!s->reload.gen || gen != s->reload.gen)
		return;
	if (error) {
		if (s->reload.client)
			client_error(s->reload.client, error, "the proxy refused the policy image: %s", strerror(-error));
		if (gen == 1)
			supervise_fail(s, "the proxy refused the policy image: %s", strerror(-error));
		published_done(&s->image[gen & 1]);
		s->next_gen = gen + 2;
		over(s);
		return;
	}
	swap(s);
}

void reload_forget(struct supervisor *s, struct client *c)
{
	if (s->reload.client == c)
		s->reload.client = NULL;
}
