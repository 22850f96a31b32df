/* SPDX-License-Identifier: Apache-2.0 */
/* refused.c - socket() calls that seccomp refuses (refused.h). */
#include "user/refused.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>

#define TURN 64 /* answers in a row: then somebody else has his turn */

/* Room for what a later kernel may add. */
union refused_call {
	struct seccomp_notif n;
	char room[1024];
};
union refused_answer {
	struct seccomp_notif_resp n;
	char room[1024];
};

/* The number behind a label of /proc/TID/status.  The name in it is the caller's, but its newlines are escaped. */
static bool number_after(const char *text, const char *label, uint32_t *ret)
{
	const char *p = strstr(text, label);
	unsigned long v;
	char *end;

	if (!p)
		return false;
	p += strlen(label);
	errno = 0;
	v = strtoul(p, &end, 10);
	if (errno || end == p || v > UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static int process_of(uint32_t tid, uint32_t *ret_pid, uint32_t *ret_uid)
{
	char path[48], text[2048];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return number_after(text, "\nTgid:\t", ret_pid) && number_after(text, "\nUid:\t", ret_uid) ? 0 : -EBADMSG;
}

/* While the caller waits for its answer, its process cannot have become another; whether it still waits is asked last. */
static bool describe(struct supervisor *s, const struct seccomp_notif *q, struct osh_event *ret)
{
	struct osh_event e = {.gen = s->gen, .kind = OSH_EV_SOCKET, .action = OSH_DENY, .reason = OSH_R_PROTOCOL};
	struct osh_proc proc;
	uint64_t id = q->id;

	e.time = supervise_now();
	e.aux = OSH_SOCKET_AUX((uint32_t)q->data.args[0], (uint32_t)q->data.args[1]);
	e.proto = (uint32_t)q->data.args[2];
	if (process_of(q->pid, &e.pid, &e.uid) < 0)
		return false;
	if (bpf_map_lookup_elem(kernel_map_fd(s->kernel, KMAP_PROCS), &e.pid, &proc) == 0)
		e.id = proc.id;
	*ret = e;
	return ioctl(s->refused.fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* Next call, answered.  -ENOENT: withdrawn meanwhile (a signal, its end). */
static int answer_next(struct supervisor *s)
{
	union refused_call q = {0};
	union refused_answer a = {0};
	struct osh_event e;
	bool known;

	if (ioctl(s->refused.fd, SECCOMP_IOCTL_NOTIF_RECV, &q) < 0)
		return -errno;
	known = s->init.ready && describe(s, &q.n, &e); /* before: the launcher's proof */
	a.n.id = q.n.id;
	a.n.error = -EPERM;
	if (ioctl(s->refused.fd, SECCOMP_IOCTL_NOTIF_SEND, &a) < 0)
		return -errno;
	if (!known)
		return 0;
	eventlog_clock(&s->events);
	record_refused(&s->record, &e);
	return 0;
}

static void on_refused(struct loop_watch *w, uint32_t events)
{
	struct supervisor *s = w->arg;
	struct pollfd p = {.fd = s->refused.fd, .events = POLLIN};

	(void)events;
	/* Receiving waits while there is nothing, so each is asked for first; what is there then may be withdrawn, not used up. */
	for (int i = 0; i < TURN && poll(&p, 1, 0) > 0 && p.revents & POLLIN; i++)
		(void)answer_next(s);
	if (p.revents & (POLLHUP | POLLERR) && !(p.revents & POLLIN)) {
		loop_del(s->loop, &s->refused.watch); /* nobody is behind the filter any more */
		closep(&s->refused.fd);
		s->refused.fd = -1;
		return;
	}
	supervise_flush(s);
}

int refused_watch(struct supervisor *s, int fd)
{
	if (s->refused.fd >= 0) {
		close(fd);
		return -EEXIST;
	}
	s->refused.fd = fd;
	return loop_add(s->loop, &s->refused.watch, fd, EPOLLIN, on_refused, s);
}
