/* SPDX-License-Identifier: Apache-2.0 */
/* record.c - summaries and losses (record.h). */
#include "user/record.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#define RECORD_BYTES (8 + sizeof(struct osh_event)) /* of the ring */
#define SEQ_TRIES 64

static const char *const lost_name[LOST_KINDS] = {"deny", "allow", "request", "log"};

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t page_up(size_t n)
{
	size_t page = (size_t)getpagesize();

	return (n + page - 1) / page * page;
}
#define SLOTS_BYTES page_up(OSH_SUPPRESSED_MAX * sizeof(struct osh_suppressed))
#define TOLD_BYTES page_up(OSH_TOLD_MAX * sizeof(uint64_t))

static int map_pages(int fd, size_t n, void **ret)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

int record_open(struct record *r, struct kernel *k, struct eventlog *l)
{
	void *slots = NULL, *told = NULL;
	int e = map_pages(kernel_map_fd(k, KMAP_SUPPRESSED), SLOTS_BYTES, &slots);

	if (e < 0)
		return e;
	e = map_pages(kernel_map_fd(k, KMAP_TOLD), TOLD_BYTES, &told);
	if (e < 0) {
		munmap(slots, SLOTS_BYTES);
		return e;
	}
	r->slots = slots;
	r->told = told;
	r->kernel = k;
	r->events = l;
	r->checked_ns = boot_ns();
	r->denials.limit = r->allows.limit = r->requests.limit = r->passed_exe.limit =
		(struct ratelimit){.per_second = RECORD_PER_S, .burst = RECORD_BURST};
	r->passed.limit = (struct ratelimit){.per_second = OSH_ALLOW_PER_S, .burst = OSH_ALLOW_BURST};
	return 0;
}

/* ------------------------------------------------------------------------------------ one by one -- */

static struct connects_limit *connects_of(struct record *r, const struct osh_event *e)
{
	return e->action == OSH_ALLOW ? &r->allows : &r->denials;
}

/* false: counted, with e as the last of what n stands for. */
static bool take_connects(struct connects_limit *l, const struct osh_event *e, uint64_t n, uint64_t now)
{
	size_t slot;

	if (ratelimit_take(&l->limit, e->id.exe, n, now, &slot))
		return true;
	l->last[slot] = *e;
	return false;
}

static bool take_request(struct requests_limit *l, uint64_t key, const struct wire_event *e, uint64_t now)
{
	size_t slot;

	if (ratelimit_take(&l->limit, key, 1, now, &slot))
		return true;
	l->last[slot] = *e;
	return false;
}

void record_connect(struct record *r, const struct osh_event *e)
{
	if (take_connects(connects_of(r, e), e, 1, e->time))
		eventlog_connect(r->events, e, NULL);
}

/* What the audit would have refused and errors have budgets of their own: what is allowed does not hide them. */
#define PASSED_KEY(id, e) ((uint64_t)(id) << 32 | (e)->decision)

void record_request(struct record *r, const struct wire_event *e)
{
	uint64_t now = boot_ns(); /* the proxy's clock is not trusted */

	if (e->decision == WD_DENY ? take_request(&r->requests, e->id.exe, e, now)
				   : take_request(&r->passed, PASSED_KEY(e->pid, e), e, now) &&
					     take_request(&r->passed_exe, PASSED_KEY(e->id.exe, e), e, now))
		eventlog_request(r->events, e, NULL);
}

/* ------------------------------------------------------------------------------------- summaries -- */

/* What the kernel keeps as the last of a process; it may be writing it. */
static bool read_last(const struct osh_suppressed *s, struct osh_event *ret)
{
	for (int i = 0; i < SEQ_TRIES; i++) {
		uint64_t seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);

		memcpy(ret, &s->last, sizeof(*ret));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && __atomic_load_n(&s->seq, __ATOMIC_RELAXED) == seq)
			return true;
		if (i % 8 == 7)
			sched_yield(); /* its writer was interrupted */
	}
	return false;
}

static bool owner_gone(const struct record *r, const struct osh_suppressed *s)
{
	uint32_t tgid = s->last.pid;
	struct osh_proc p;

	if (s->owner == OSH_OWNER_NOBODY)
		return false;
	return bpf_map_lookup_elem(kernel_map_fd(r->kernel, KMAP_PROCS), &tgid, &p) < 0 ||
	       OSH_OWNER(tgid, p.start_time) != s->owner;
}

static void slot_free(struct osh_suppressed *s)
{
	s->count = s->told = s->since = 0;
	__atomic_store_n(&s->owner, 0, __ATOMIC_RELEASE);
}

static void summarise_slot(struct record *r, struct osh_suppressed *s, uint64_t upto, uint64_t now)
{
	uint64_t count = __atomic_load_n(&s->count, __ATOMIC_ACQUIRE);
	struct summary sum = {.count = count - s->told, .since_ns = s->since};
	struct osh_event e;

	if (!sum.count) {
		if (upto == UINT64_MAX && owner_gone(r, s) && __atomic_load_n(&s->count, __ATOMIC_ACQUIRE) == s->told)
			slot_free(s);
		return;
	}
	if (!read_last(s, &e) || e.gen > upto)
		return;
	s->told = count;
	if (!take_connects(connects_of(r, &e), &e, sum.count, now))
		return;
	eventlog_connect(r->events, &e, &sum);
	r->suppressed += sum.count;
}

static void summarise_connects(struct record *r, struct connects_limit *l, uint64_t now)
{
	struct ratelimit_slot slot;

	for (size_t at = 0; ratelimit_next(&l->limit, now, &at, &slot);) {
		struct summary sum = {.count = slot.suppressed, .since_ns = slot.since_ns};

		eventlog_connect(r->events, &l->last[at - 1], &sum);
		r->suppressed += sum.count;
	}
}

static void summarise_requests(struct record *r, struct requests_limit *l, uint64_t now)
{
	struct ratelimit_slot slot;

	for (size_t at = 0; ratelimit_next(&l->limit, now, &at, &slot);) {
		struct summary sum = {.count = slot.suppressed, .since_ns = slot.since_ns};

		eventlog_request(r->events, &l->last[at - 1], &sum);
		r->suppressed += sum.count;
	}
}

static void summarise_others(struct record *r, uint32_t stat, uint32_t told, const char *message)
{
	uint64_t n = kernel_stat(r->kernel, stat), more = n - r->told[told];

	if (!more)
		return;
	eventlog_count(r->events, message, "suppressed", more);
	r->told[told] = n;
	r->suppressed += more;
}

void record_summarise(struct record *r, uint64_t upto)
{
	uint64_t now = boot_ns();

	if (!r->slots)
		return;
	eventlog_clock(r->events);
	for (size_t i = 0; i < OSH_SUPPRESSED_MAX; i++)
		if (__atomic_load_n(&r->slots[i].owner, __ATOMIC_ACQUIRE))
			summarise_slot(r, &r->slots[i], upto, now);
	summarise_connects(r, &r->denials, now);
	summarise_connects(r, &r->allows, now);
	summarise_requests(r, &r->requests, now);
	summarise_requests(r, &r->passed, now);
	summarise_requests(r, &r->passed_exe, now);
	summarise_others(r, OSH_STAT_SUPPRESSED_OTHER, OSH_TOLD_SUPPRESSED_OTHER,
			 "denials of many processes at once are counted together");
	summarise_others(r, OSH_STAT_ALLOWED_OTHER, OSH_TOLD_ALLOWED_OTHER,
			 "allowed connections of many processes at once are counted together");
}

/* ----------------------------------------------------------------------------------------- losses -- */

void record_request_lost(struct record *r, const struct wire_lost *m)
{
	uint64_t counts[LOST_KINDS] = {[LOST_REQUEST] = m->count};

	r->lost_requests += m->count;
	eventlog_lost(r->events, "events lost: the proxy makes them faster than they are written", lost_name, counts,
		      LOST_KINDS, m->since, boot_ns());
}

void record_check(struct record *r)
{
	uint64_t now = boot_ns(), counts[LOST_KINDS] = {0}, deny, allow;

	if (!r->slots)
		return;
	deny = kernel_stat(r->kernel, OSH_STAT_EVENT_LOST_DENY);
	allow = kernel_stat(r->kernel, OSH_STAT_EVENT_LOST_ALLOW);
	counts[LOST_DENY] = deny - r->told[OSH_TOLD_LOST_DENY];
	counts[LOST_ALLOW] = allow - r->told[OSH_TOLD_LOST_ALLOW];
	if (counts[LOST_DENY] || counts[LOST_ALLOW])
		eventlog_lost(r->events, "events lost: the ring buffer was full", lost_name, counts, LOST_KINDS, r->checked_ns,
			      now);
	r->told[OSH_TOLD_LOST_DENY] = deny;
	r->told[OSH_TOLD_LOST_ALLOW] = allow;
	r->checked_ns = now;
}

void record_written(struct record *r)
{
	if (r->slots)
		__atomic_store_n(&r->told[OSH_TOLD_WRITTEN], r->read, __ATOMIC_RELEASE);
}

uint64_t record_lost(const struct record *r, uint64_t by_kind[LOST_KINDS])
{
	uint64_t sum = 0;

	memset(by_kind, 0, LOST_KINDS * sizeof(*by_kind));
	if (r->slots) {
		by_kind[LOST_DENY] = kernel_stat(r->kernel, OSH_STAT_EVENT_LOST_DENY);
		by_kind[LOST_ALLOW] = kernel_stat(r->kernel, OSH_STAT_EVENT_LOST_ALLOW);
		by_kind[LOST_REQUEST] = r->lost_requests;
		by_kind[LOST_LOG] = log_lost(r->events->log);
	}
	for (size_t i = 0; i < LOST_KINDS; i++)
		sum += by_kind[i];
	return sum;
}

json_t *record_status(const struct record *r)
{
	uint64_t n[LOST_KINDS];
	json_t *o = json_object();

	(void)record_lost(r, n);
	for (size_t i = 0; o && i < LOST_KINDS; i++)
		json_object_set_new(o, lost_name[i], json_integer((json_int_t)n[i]));
	return o;
}

void record_text(const struct record *r, char *buf, size_t max)
{
	uint64_t n[LOST_KINDS], sum = record_lost(r, n);
	size_t at = 0;

	buf[0] = '\0';
	if (!sum)
		return;
	at += (size_t)snprintf(buf, max, "%llu events lost", (unsigned long long)sum);
	for (size_t i = 0, some = 0; i < LOST_KINDS && at < max; i++)
		if (n[i])
			at += (size_t)snprintf(buf + at, max - at, "%s%s %llu", some++ ? ", " : " (", lost_name[i],
					       (unsigned long long)n[i]);
	if (at < max)
		snprintf(buf + at, max - at, "); the log has no line for each of them");
}

/* ------------------------------------------------------------------- after a supervisor's death -- */

static int pinned(const char *dir, const char *name)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	return bpf_obj_get(path);
}

static uint64_t stat_of(int fd, uint32_t key)
{
	int n = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *v = n > 0 ? calloc((size_t)n, sizeof(*v)) : NULL;
	uint64_t sum = 0;

	if (!v || bpf_map_lookup_elem(fd, &key, v) < 0)
		return 0;
	for (int i = 0; i < n; i++)
		sum += v[i];
	return sum;
}

/* Events that were ever put into the ring, from the producer's position. */
static uint64_t submitted(int fd)
{
	size_t page = (size_t)getpagesize();
	const uint64_t *p = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)page);
	uint64_t n;

	if (p == MAP_FAILED)
		return 0;
	n = __atomic_load_n(p, __ATOMIC_ACQUIRE) / RECORD_BYTES;
	munmap((void *)(uintptr_t)p, page);
	return n;
}

static uint64_t left_in_slots(int fd)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < OSH_SUPPRESSED_MAX; i++) {
		struct osh_suppressed s;

		if (bpf_map_lookup_elem(fd, &i, &s) == 0 && s.count > s.told)
			sum += s.count - s.told;
	}
	return sum;
}

int record_left(const char *dir, struct record_left *ret)
{
	_cleanup_close_ int stats = pinned(dir, KERNEL_PIN_STATS), told_fd = pinned(dir, KERNEL_PIN_TOLD),
			    slots = pinned(dir, KERNEL_PIN_SUPPRESSED), events = pinned(dir, KERNEL_PIN_EVENTS);
	uint64_t told[OSH_TOLD_MAX] = {0}, total;

	if (stats < 0 || told_fd < 0 || slots < 0 || events < 0)
		return -ENOENT;
	for (uint32_t i = 0; i < OSH_TOLD_MAX; i++)
		if (bpf_map_lookup_elem(told_fd, &i, &told[i]) < 0)
			return -errno;
	total = submitted(events);
	ret->unread = total > told[OSH_TOLD_WRITTEN] ? total - told[OSH_TOLD_WRITTEN] : 0;
	ret->lost = stat_of(stats, OSH_STAT_EVENT_LOST_DENY) + stat_of(stats, OSH_STAT_EVENT_LOST_ALLOW) -
		    told[OSH_TOLD_LOST_DENY] - told[OSH_TOLD_LOST_ALLOW];
	ret->suppressed = left_in_slots(slots) + stat_of(stats, OSH_STAT_SUPPRESSED_OTHER) -
			  told[OSH_TOLD_SUPPRESSED_OTHER] + stat_of(stats, OSH_STAT_ALLOWED_OTHER) -
			  told[OSH_TOLD_ALLOWED_OTHER];
	return 0;
}
