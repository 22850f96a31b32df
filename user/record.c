/* SPDX-License-Identifier: Apache-2.0 */
/* record.c - summaries and losses (record.h). */
#include "user/record.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <stdarg.h>
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

static int connects_new(struct connects_limit *l, struct ratelimit_bounds bounds)
{
	l->limit = ratelimit_new(bounds);
	l->last = calloc(RATELIMIT_SLOTS, sizeof(*l->last));
	return l->limit && l->last ? 0 : -ENOMEM;
}

static int requests_new(struct requests_limit *l, struct ratelimit_bounds bounds)
{
	l->limit = ratelimit_new(bounds);
	l->last = calloc(RATELIMIT_SLOTS, sizeof(struct wire_event *));
	return l->limit && l->last ? 0 : -ENOMEM;
}

static int limits_new(struct record *r)
{
	const struct ratelimit_bounds deny = {RECORD_DENY_PER_S, RECORD_BURST, RECORD_ALL_DENY_PER_S, RECORD_ALL_BURST};
	const struct ratelimit_bounds pass = {RECORD_PASS_PER_S, RECORD_BURST, RECORD_ALL_PASS_PER_S, RECORD_ALL_BURST};
	int e = connects_new(&r->denials, deny);

	if (e == 0)
		e = connects_new(&r->allows, pass);
	if (e == 0)
		e = connects_new(&r->refused, (struct ratelimit_bounds){OSH_DENY_PER_S, OSH_DENY_BURST, 0, 0});
	if (e == 0)
		e = requests_new(&r->requests, deny);
	if (e == 0)
		e = requests_new(&r->passed_exe, pass);
	if (e == 0)
		e = requests_new(&r->passed, (struct ratelimit_bounds){OSH_ALLOW_PER_S, OSH_ALLOW_BURST, 0, 0});
	return e;
}

int record_open(struct record *r, struct kernel *k, struct eventlog *l)
{
	void *slots = NULL, *told = NULL;
	int e = limits_new(r);

	if (e == 0)
		e = map_pages(kernel_map_fd(k, KMAP_SUPPRESSED), SLOTS_BYTES, &slots);
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
	return 0;
}

/* n are on their way from a count that outlives this process, or from nowhere, to a line in the file. */
static void under_way(struct record *r, uint64_t n)
{
	__atomic_store_n(&r->told[OSH_TOLD_HELD], r->told[OSH_TOLD_HELD] + n, __ATOMIC_RELEASE);
}

/* ------------------------------------------------------------------------------------ one by one -- */

static struct connects_limit *connects_of(struct record *r, const struct osh_event *e)
{
	return e->action == OSH_ALLOW ? &r->allows : &r->denials;
}

/* false: counted, with e as the last of what n stands for. */
static bool take_connects(struct record *r, struct connects_limit *l, uint64_t key, const struct osh_event *e, uint64_t n,
			  uint64_t now)
{
	size_t slot;

	if (ratelimit_take(l->limit, key, n, now, &slot))
		return true;
	l->last[slot] = *e;
	r->held += n;
	return false;
}

static size_t wire_bytes(const struct wire_event *e)
{
	return e->m.size <= sizeof(*e) ? e->m.size : sizeof(*e);
}

static void forget_request(struct record *r, struct wire_event **last)
{
	if (*last)
		r->last_bytes -= wire_bytes(*last);
	free(*last);
	*last = NULL;
}

static bool take_request(struct record *r, struct requests_limit *l, uint64_t key, const struct wire_event *e, uint64_t now)
{
	size_t slot, n = wire_bytes(e);

	if (ratelimit_take(l->limit, key, 1, now, &slot))
		return true;
	forget_request(r, &l->last[slot]);
	if (r->last_bytes + n <= RECORD_LAST_BYTES)
		l->last[slot] = malloc(n);
	if (l->last[slot]) {
		memcpy(l->last[slot], e, n);
		r->last_bytes += n;
	}
	r->held++;
	return false;
}

void record_connect(struct record *r, const struct osh_event *e)
{
	if (take_connects(r, connects_of(r, e), e->id.exe, e, 1, e->time))
		eventlog_connect(r->events, e, NULL);
}

void record_refused(struct record *r, const struct osh_event *e)
{
	if (!r->slots)
		return;
	under_way(r, 1);
	if (take_connects(r, &r->refused, e->pid, e, 1, e->time))
		record_connect(r, e);
}

/* What the audit would have refused and errors have budgets of their own: what is allowed does not hide them. */
#define PASSED_KEY(id, e) ((uint64_t)(id) << 32 | (e)->decision)

void record_request(struct record *r, const struct wire_event *e)
{
	uint64_t now = boot_ns(); /* the proxy's clock is not trusted */

	if (!r->slots)
		return;
	under_way(r, 1);
	if (e->decision == WD_DENY ? take_request(r, &r->requests, e->id.exe, e, now)
				   : take_request(r, &r->passed, PASSED_KEY(e->pid, e), e, now) &&
					     take_request(r, &r->passed_exe, PASSED_KEY(e->id.exe, e), e, now))
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
	under_way(r, sum.count); /* before: who clears up may count them twice, but not miss them */
	__atomic_store_n(&s->told, count, __ATOMIC_RELEASE);
	if (!take_connects(r, connects_of(r, &e), e.id.exe, &e, sum.count, now))
		return;
	eventlog_connect(r->events, &e, &sum);
	r->suppressed += sum.count;
}

static struct summary summary_of(struct record *r, struct ratelimit *l, struct ratelimit_slot *s)
{
	struct summary sum = {.count = s->suppressed, .since_ns = s->since_ns};

	ratelimit_told(l, s);
	r->held -= sum.count;
	return sum;
}

/* How many lines of this turn. */
static size_t turn(const struct record *r, const struct ratelimit *l, uint64_t upto)
{
	size_t n = l->pending / RECORD_ROUND;

	return r->all || upto != UINT64_MAX ? SIZE_MAX : n > RECORD_SUMMARIES ? n : RECORD_SUMMARIES;
}

/* The processes' refused sockets, each under the bound of its executable. */
static void summarise_refused(struct record *r, uint64_t upto, uint64_t now)
{
	struct connects_limit *l = &r->refused;
	struct ratelimit_slot *s;

	for (size_t at = 0; (s = ratelimit_next(l->limit, now, &at));) {
		const struct osh_event *e = &l->last[at - 1];
		struct summary sum;

		if (e->gen > upto)
			continue;
		sum = summary_of(r, l->limit, s);
		if (!take_connects(r, &r->denials, e->id.exe, e, sum.count, now))
			continue;
		eventlog_connect(r->events, e, &sum);
		r->suppressed += sum.count;
	}
}

static void summarise_connects(struct record *r, struct connects_limit *l, uint64_t upto, uint64_t now)
{
	size_t left = turn(r, l->limit, upto), at = left == SIZE_MAX ? 0 : l->at;
	struct ratelimit_slot *s = NULL;

	while (left && (s = ratelimit_next(l->limit, now, &at))) {
		struct summary sum;

		if (l->last[at - 1].gen > upto)
			continue;
		sum = summary_of(r, l->limit, s);
		eventlog_connect(r->events, &l->last[at - 1], &sum);
		r->suppressed += sum.count;
		left--;
	}
	l->at = s ? at : 0;
}

/* What stands for a request that there was no memory for. */
static void blank_request(const struct record *r, const struct requests_limit *l, const struct ratelimit_slot *s,
			  struct wire_event *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->m = (struct wire_msg){WIRE_EVENT, WIRE_EVENT_SIZE(0)};
	ret->time = s->since_ns;
	ret->block = ~0u;
	ret->uid = WIRE_NO_UID;
	ret->decision = l == &r->requests ? WD_DENY : (uint32_t)s->key;
	if (l == &r->requests)
		ret->id.exe = (uint32_t)s->key;
	else if (l == &r->passed_exe)
		ret->id.exe = (uint32_t)(s->key >> 32);
	else
		ret->pid = (uint32_t)(s->key >> 32);
}

static void summarise_requests(struct record *r, struct requests_limit *l, uint64_t upto, uint64_t now)
{
	size_t left = turn(r, l->limit, upto), at = left == SIZE_MAX ? 0 : l->at;
	struct ratelimit_slot *s = NULL;
	struct wire_event blank;

	while (left && (s = ratelimit_next(l->limit, now, &at))) {
		struct wire_event **e = &l->last[at - 1];
		struct summary sum;

		if (*e && (*e)->gen > upto)
			continue;
		if (!*e)
			blank_request(r, l, s, &blank);
		sum = summary_of(r, l->limit, s);
		eventlog_request(r->events, *e ? *e : &blank, &sum);
		forget_request(r, e);
		r->suppressed += sum.count;
		left--;
	}
	l->at = s ? at : 0;
}

static void summarise_others(struct record *r, uint32_t stat, uint32_t told, const char *message)
{
	uint64_t n = kernel_stat(r->kernel, stat), more = n - r->stated[told];

	if (!more)
		return;
	eventlog_count(r->events, message, "suppressed", more);
	r->stated[told] = n;
	r->suppressed += more;
}

void record_all(struct record *r)
{
	r->all = true;
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
	summarise_refused(r, upto, now);
	summarise_connects(r, &r->denials, upto, now);
	summarise_connects(r, &r->allows, upto, now);
	summarise_requests(r, &r->requests, upto, now);
	summarise_requests(r, &r->passed, upto, now);
	summarise_requests(r, &r->passed_exe, upto, now);
	summarise_others(r, OSH_STAT_SUPPRESSED_OTHER, OSH_TOLD_SUPPRESSED_OTHER,
			 "denials of many processes at once are counted together");
	summarise_others(r, OSH_STAT_ALLOWED_OTHER, OSH_TOLD_ALLOWED_OTHER,
			 "allowed connections of many processes at once are counted together");
	if (upto == UINT64_MAX)
		r->all = false;
}

/* ----------------------------------------------------------------------------------------- losses -- */

void record_request_lost(struct record *r, const struct wire_lost *m)
{
	uint64_t counts[LOST_KINDS] = {[LOST_REQUEST] = m->count};

	r->lost_requests += m->count;
	eventlog_lost(r->events, "events lost: the proxy makes them faster than they are written", lost_name, counts,
		      LOST_KINDS, m->since, boot_ns());
}

static const struct {
	uint32_t stat;
	const char *name;    /* in status */
	const char *message; /* in the log, with the field key */
	const char *key;
	const char *text; /* at the end, behind the number */
} failures[FAILED_KINDS] = {
	[FAILED_FLOW] = {OSH_STAT_FLOW_LOST, "flows", "the table of flows had no room: connections are reset", "connections",
			 "connections reset (no room in the table of flows)"},
	[FAILED_RECORD] = {OSH_STAT_NO_FLOW, "flow_records", "connections came to the proxy without a record and are reset",
			   "connections", "connections reset (without a record)"},
	[FAILED_PROCESS] = {OSH_STAT_PROC_LOST, "processes", "processes could not be recorded and have no identity",
			    "processes", "processes without identity (not recorded)"},
	[FAILED_PATH] = {OSH_STAT_NO_PATH, "paths",
			 "programs without a path that can be recorded (in memory, deleted, too long, too many) have no identity",
			 "programs", "programs without identity (no path)"},
};

static void check_failures(struct record *r)
{
	for (size_t i = 0; i < FAILED_KINDS; i++) {
		uint64_t n = kernel_stat(r->kernel, failures[i].stat);

		if (n != r->failed[i])
			eventlog_count(r->events, failures[i].message, failures[i].key, n - r->failed[i]);
		r->failed[i] = n;
	}
}

void record_check(struct record *r)
{
	uint64_t now = boot_ns(), counts[LOST_KINDS] = {0}, deny, allow;

	if (!r->slots)
		return;
	deny = kernel_stat(r->kernel, OSH_STAT_EVENT_LOST_DENY);
	allow = kernel_stat(r->kernel, OSH_STAT_EVENT_LOST_ALLOW);
	counts[LOST_DENY] = deny - r->stated[OSH_TOLD_LOST_DENY];
	counts[LOST_ALLOW] = allow - r->stated[OSH_TOLD_LOST_ALLOW];
	if (counts[LOST_DENY] || counts[LOST_ALLOW])
		eventlog_lost(r->events, "events lost: the ring buffer was full", lost_name, counts, LOST_KINDS, r->checked_ns,
			      now);
	r->stated[OSH_TOLD_LOST_DENY] = deny;
	r->stated[OSH_TOLD_LOST_ALLOW] = allow;
	r->checked_ns = now;
	check_failures(r);
}

void record_written(struct record *r)
{
	static const uint32_t stated[] = {OSH_TOLD_LOST_DENY, OSH_TOLD_LOST_ALLOW, OSH_TOLD_SUPPRESSED_OTHER,
					  OSH_TOLD_ALLOWED_OTHER};

	if (!r->slots)
		return;
	/* Held first: what came from the ring and is held is in one of the two counts at any moment. */
	__atomic_store_n(&r->told[OSH_TOLD_HELD], r->held, __ATOMIC_RELEASE);
	__atomic_store_n(&r->told[OSH_TOLD_WRITTEN], r->read, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_LEN(stated); i++)
		__atomic_store_n(&r->told[stated[i]], r->stated[stated[i]], __ATOMIC_RELEASE);
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

json_t *record_failed(const struct record *r)
{
	json_t *o = json_object();

	for (size_t i = 0; o && r->slots && i < FAILED_KINDS; i++)
		json_object_set_new(o, failures[i].name, json_integer((json_int_t)kernel_stat(r->kernel, failures[i].stat)));
	return o;
}

__attribute__((format(printf, 4, 5))) static void add_text(char *buf, size_t max, size_t *at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = *at < max ? vsnprintf(buf + *at, max - *at, fmt, ap) : 0;
	va_end(ap);
	*at += n > 0 ? (size_t)n : 0;
}

void record_text(const struct record *r, char *buf, size_t max)
{
	uint64_t n[LOST_KINDS], sum = record_lost(r, n);
	size_t at = 0, some = 0;

	buf[0] = '\0';
	if (sum) {
		add_text(buf, max, &at, "%llu events lost", (unsigned long long)sum);
		for (size_t i = 0; i < LOST_KINDS; i++)
			if (n[i])
				add_text(buf, max, &at, "%s%s %llu", some++ ? ", " : " (", lost_name[i],
					 (unsigned long long)n[i]);
		add_text(buf, max, &at, "); the log has no line for each of them");
	}
	for (size_t i = 0; r->slots && i < FAILED_KINDS; i++) {
		uint64_t k = kernel_stat(r->kernel, failures[i].stat);

		if (k)
			add_text(buf, max, &at, "%s%llu %s", at ? "; " : "", (unsigned long long)k, failures[i].text);
	}
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
			  told[OSH_TOLD_ALLOWED_OTHER] + told[OSH_TOLD_HELD];
	return 0;
}
