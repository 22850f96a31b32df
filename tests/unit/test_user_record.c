/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record under floods, with a kernel of memory: every event is a line or in a count, each executable is named, and what
 * a supervisor that dies would leave is in the counts that outlive it.  And lines as long as they may be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/kernel.h"
#include "user/logview.h"
#include "user/record.h"
#include "user/revoke.h"

#include <jansson.h>
#include <sys/mman.h>
#include <time.h>

/* ------------------------------------------------------------------------------------ the kernel -- */

static uint64_t stats[OSH_STAT_MAX];
static int map_fd[2];

int kernel_map_fd(const struct kernel *k, enum kernel_map m)
{
	(void)k;
	return m == KMAP_SUPPRESSED ? map_fd[0] : m == KMAP_TOLD ? map_fd[1] : -1;
}

uint64_t kernel_stat(const struct kernel *k, enum osh_stat s)
{
	(void)k;
	return stats[s];
}

/* "/exe/ID", and for ids beyond 1000 as long as a path can be. */
int kernel_path(const struct kernel *k, uint32_t id, char *buf)
{
	int n = snprintf(buf, OSH_PATH_MAX, "/exe/%u", id);

	(void)k;
	if (!id) {
		buf[0] = '\0';
		return -ENOENT;
	}
	if (id > 1000000) {
		memset(buf + n, 'x', (size_t)(OSH_PATH_MAX - 1 - n));
		buf[OSH_PATH_MAX - 1] = '\0';
	}
	return 0;
}

int kernel_name(const struct kernel *k, uint32_t addr, char *buf)
{
	(void)k;
	(void)addr;
	buf[0] = '\0';
	return -ENOENT;
}

bool dest_of(const struct kernel *k, const struct osh_dst *from, struct dest *ret, char *name)
{
	(void)k;
	(void)from;
	(void)ret;
	(void)name;
	return false;
}

void ident_bits(const struct kernel *k, const struct image *img, const struct osh_ident *id, struct block_bits *out)
{
	(void)k;
	(void)img;
	(void)id;
	(void)out;
}

static const struct image *no_image(void *arg, uint64_t gen)
{
	(void)arg;
	(void)gen;
	return NULL;
}

/* --------------------------------------------------------------------------------------- helpers -- */

static char dir[64];
static struct record r;
static struct eventlog events;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/osh-test-record.XXXXXX");
	memset(stats, 0, sizeof(stats));
	memset(&r, 0, sizeof(r));
	for (size_t i = 0; i < 2; i++) {
		map_fd[i] = memfd_create("map", MFD_CLOEXEC);
		if (ftruncate(map_fd[i], 1 << 20) < 0)
			return -1;
	}
	events = (struct eventlog){.image = no_image};
	return mkdtemp(dir) && log_open(dir, "s", &events.log) == 0 && record_open(&r, NULL, &events) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	struct connects_limit *const c[] = {&r.denials, &r.allows, &r.refused};
	struct requests_limit *const q[] = {&r.requests, &r.passed, &r.passed_exe};
	char cmd[96];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		free(c[i]->limit);
		free(c[i]->last);
	}
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		for (size_t k = 0; k < RATELIMIT_SLOTS; k++)
			free(q[i]->last[k]);
		free(q[i]->limit);
		free(q[i]->last);
	}
	munmap(r.slots, OSH_SUPPRESSED_MAX * sizeof(struct osh_suppressed));
	munmap(r.told, OSH_TOLD_MAX * sizeof(uint64_t));
	log_close(events.log);
	close(map_fd[0]);
	close(map_fd[1]);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct osh_event denial(uint32_t exe, uint32_t pid)
{
	return (struct osh_event){.time = now(), .gen = 1, .pid = pid, .uid = 1000, .kind = OSH_EV_CONNECT,
				  .action = OSH_DENY, .reason = OSH_R_NO_MATCH, .id.exe = exe,
				  .dst = {.family = 4, .port = 1, .addr = {10, 0, 0, 1}}};
}

static void deny(uint32_t exe, uint32_t pid)
{
	struct osh_event e = denial(exe, pid);

	r.read++;
	record_connect(&r, &e);
}

/* What the log says of executables, and of all together in [0]; from its beginning. */
#define EXES 20000
struct counts {
	uint64_t lines, suppressed;
};
static struct counts seen[EXES];

static void add(struct counts *c, json_t *suppressed)
{
	if (suppressed)
		c->suppressed += (uint64_t)json_integer_value(suppressed);
	else
		c->lines++;
}

static void tally(const char *kind)
{
	struct logview *v;
	struct slice line;

	memset(seen, 0, sizeof(seen));
	assert_int_equal(log_flush(events.log), 0);
	assert_int_equal(logview_open(dir, 0, LOG_L_DEBUG, &v), 0);
	while (logview_next(v, &line) == 1) {
		json_t *o = json_loadb((const char *)line.p, line.n, 0, NULL);
		const char *b = json_string_value(json_object_get(o, "binary"));
		unsigned long exe = b && strncmp(b, "/exe/", 5) == 0 ? strtoul(b + 5, NULL, 10) : 0;

		assert_non_null(o);
		if (strcmp(json_string_value(json_object_get(o, "kind")), kind) == 0) {
			add(&seen[0], json_object_get(o, "suppressed"));
			if (exe && exe < EXES)
				add(&seen[exe], json_object_get(o, "suppressed"));
		}
		json_decref(o);
	}
	logview_close(v);
}

static uint64_t sum(uint32_t exe)
{
	return seen[exe].lines + seen[exe].suppressed;
}

static json_t *last_line(const char *key)
{
	struct logview *v;
	struct slice line;
	json_t *o = NULL;

	assert_int_equal(log_flush(events.log), 0);
	assert_int_equal(logview_open(dir, 0, LOG_L_DEBUG, &v), 0);
	while (logview_next(v, &line) == 1) {
		json_t *x = json_loadb((const char *)line.p, line.n, 0, NULL);

		if (json_object_get(x, key)) {
			json_decref(o);
			o = json_incref(x);
		}
		json_decref(x);
	}
	logview_close(v);
	return o;
}

static void everything(void)
{
	record_all(&r);
	record_summarise(&r, UINT64_MAX);
}

/* ----------------------------------------------------------------------------------------- tests -- */

/* 600 executables flood, another is refused a few things: it has lines of its own, each of the 600 is named, and all
 * together stay within a bound. */
static void test_many_executables(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		for (uint32_t k = 1; k <= 600; k++)
			deny(k, k);
		if (i >= 200 - RATELIMIT_FIRST)
			deny(777, 777);
	}
	everything();
	tally("connect");
	assert_int_equal(sum(0), 600 * 200 + RATELIMIT_FIRST);
	assert_true(seen[0].lines < 600 * 150);
	assert_int_equal(seen[777].lines, RATELIMIT_FIRST);
	for (uint32_t k = 1; k <= 600; k++)
		assert_int_equal(sum(k), 200);
}

/* Beyond all bounds: a turn has its bound too, and turn by turn each executable is named. */
static void test_turns(void **state)
{
	uint64_t before;
	uint32_t pending;

	(void)state;
	for (uint32_t i = 0; i < RECORD_ALL_BURST; i++)
		deny(1 + i % 3000, 1);
	for (uint32_t k = 1; k <= 12000; k++)
		deny(4000 + k, 1);
	tally("connect");
	before = seen[0].suppressed;
	pending = r.denials.limit->pending;
	assert_true(pending > RECORD_SUMMARIES * RECORD_ROUND);
	record_summarise(&r, UINT64_MAX);
	assert_int_equal(r.denials.limit->pending, pending - pending / RECORD_ROUND);
	tally("connect");
	assert_true(seen[0].suppressed > before);
	for (int i = 0; i < 10 * RECORD_ROUND; i++)
		record_summarise(&r, UINT64_MAX);
	assert_int_equal(r.denials.limit->pending, 0);
	tally("connect");
	assert_int_equal(sum(0), RECORD_ALL_BURST + 12000);
	assert_int_equal(r.suppressed, seen[0].suppressed);
	for (uint32_t k = 1; k <= 12000; k++)
		assert_int_equal(sum(4000 + k), 1);
}

/* The last of a policy that goes is told while its blocks have names, and only those. */
static void test_generations(void **state)
{
	struct osh_event e = denial(5, 1);

	(void)state;
	for (uint32_t i = 0; i < 2 * RECORD_BURST; i++)
		deny(5, 1);
	e.gen = 2;
	e.id.exe = 6;
	for (uint32_t i = 0; i < 2 * RECORD_BURST; i++)
		record_connect(&r, &e);
	assert_int_equal(r.denials.limit->pending, 2);
	record_summarise(&r, 1);
	assert_int_equal(r.denials.limit->pending, 1);
	tally("connect");
	assert_int_equal(sum(5), 2 * RECORD_BURST);
	assert_int_equal(seen[6].suppressed, 0);
}

/* At any moment: events of the ring are in the file, or in what is held, or not written; never in none of these. */
static void test_what_death_leaves(void **state)
{
	const uint64_t n = RECORD_BURST + 7000;

	(void)state;
	for (uint64_t i = 0; i < n; i++)
		deny(9, 1);
	assert_int_equal(r.told[OSH_TOLD_WRITTEN], 0);
	assert_int_equal(log_flush(events.log), 0);
	record_written(&r);
	assert_int_equal(r.told[OSH_TOLD_WRITTEN], n);
	tally("connect");
	assert_true(seen[0].lines < n);
	assert_int_equal(r.told[OSH_TOLD_HELD], n - seen[0].lines);
	/* A slot of the kernel's, from the slot to the file. */
	r.slots[3] = (struct osh_suppressed){.owner = OSH_OWNER_NOBODY, .count = 50, .since = 1, .last = denial(9, 1)};
	stats[OSH_STAT_SUPPRESSED_OTHER] = 4;
	stats[OSH_STAT_EVENT_LOST_DENY] = 3;
	record_check(&r);
	everything();
	assert_int_equal(r.slots[3].told, 50);
	assert_int_equal(r.held, 0);
	assert_true(r.told[OSH_TOLD_HELD] >= n - seen[0].lines + 50);
	assert_int_equal(r.told[OSH_TOLD_SUPPRESSED_OTHER], 0); /* not in the file yet */
	assert_int_equal(r.told[OSH_TOLD_LOST_DENY], 0);
	assert_int_equal(log_flush(events.log), 0);
	record_written(&r);
	assert_int_equal(r.told[OSH_TOLD_HELD], 0);
	assert_int_equal(r.told[OSH_TOLD_SUPPRESSED_OTHER], 4);
	assert_int_equal(r.told[OSH_TOLD_LOST_DENY], 3);
	tally("connect");
	assert_int_equal(sum(0), n + 50);
}

/* Refused sockets: processes that flood leave others their lines. */
static void test_refused(void **state)
{
	struct osh_event e = denial(9, 100);

	(void)state;
	e.kind = OSH_EV_SOCKET;
	for (uint32_t i = 0; i < 60000; i++) {
		e.pid = 100 + i % 10;
		record_refused(&r, &e);
	}
	assert_int_equal(r.told[OSH_TOLD_HELD], 60000); /* none of them is in a file yet, nor in another count */
	e.pid = 55;
	e.id.exe = 8;
	for (uint32_t i = 0; i < 20; i++)
		record_refused(&r, &e);
	everything();
	tally("socket");
	assert_int_equal(seen[8].lines, 20);
	assert_true(seen[9].lines <= 10 * (OSH_DENY_BURST + OSH_DENY_PER_S * 60));
	assert_int_equal(sum(0), 60020);
}

static struct wire_event request(uint32_t exe, uint32_t pid, uint32_t decision, size_t target_n)
{
	struct wire_event e = {.m.type = WIRE_EVENT, .time = now(), .gen = 1, .pid = pid, .uid = 1000, .block = ~0u,
			       .decision = decision, .id.exe = exe};

	memset(e.target, 'a', target_n);
	e.target[0] = '/';
	e.target[target_n - 1] = 'Z';
	e.target_n = (uint16_t)target_n;
	e.m.size = WIRE_EVENT_SIZE(e.target_n);
	assert_true(wire_event_whole(&e, e.m.size));
	assert_false(wire_event_whole(&e, e.m.size - 1));
	return e;
}

static void test_requests(void **state)
{
	struct wire_event e = request(9, 1, WD_DENY, 4096);

	(void)state;
	for (uint32_t i = 0; i < 3 * 20000; i++) {
		e.id.exe = 1 + i % 300;
		record_request(&r, &e);
	}
	for (uint32_t i = 0; i < 3000; i++) { /* their last would take more than there may be */
		e.id.exe = 1001 + i;
		record_request(&r, &e);
		record_request(&r, &e);
	}
	assert_true(r.last_bytes > 0 && r.last_bytes <= RECORD_LAST_BYTES);
	everything();
	assert_int_equal(r.last_bytes, 0);
	tally("request");
	assert_int_equal(sum(0), 3 * 20000 + 2 * 3000);
	for (uint32_t k = 1; k <= 300; k++)
		assert_int_equal(sum(k), 200);
	for (uint32_t k = 1001; k <= 4000; k++)
		assert_int_equal(sum(k), 2);
}

/* Whatever is judged stands in the log whole. */
static void test_whole_lines(void **state)
{
	struct wire_event e = request(1000001, 1, WD_ALLOW, WIRE_TARGET_MAX);
	const char *p;
	json_t *o;
	size_t n = 1;

	(void)state;
	e.id.nanc = OSH_ANCESTORS_MAX;
	for (uint32_t i = 0; i < OSH_ANCESTORS_MAX; i++)
		e.id.anc[i] = 2000000 + i;
	e.id.anc[OSH_ANCESTORS_MAX - 1] = 7; /* the one they all come from */
	record_request(&r, &e);
	o = last_line("l7_target");
	p = json_string_value(json_object_get(o, "l7_target"));
	assert_int_equal(strlen(p), WIRE_TARGET_MAX);
	assert_int_equal(p[WIRE_TARGET_MAX - 1], 'Z');
	p = json_string_value(json_object_get(o, "ancestors"));
	for (const char *c = p; *c; c++)
		n += *c == ',';
	assert_int_equal(n, OSH_ANCESTORS_MAX);
	assert_string_equal(p + strlen(p) - strlen(",/exe/7"), ",/exe/7");
	json_decref(o);
}

/* Who it was is left out where it is not known, rather than made up. */
static void test_unknown_user(void **state)
{
	struct wire_event e = request(9, 0, WD_DENY, 1);
	json_t *o;

	(void)state;
	e.uid = WIRE_NO_UID;
	record_request(&r, &e);
	o = last_line("l7_decision");
	assert_null(json_object_get(o, "uid"));
	assert_null(json_object_get(o, "pid"));
	json_decref(o);
	e.uid = 0;
	e.pid = 3;
	record_request(&r, &e);
	o = last_line("l7_decision");
	assert_int_equal(json_integer_value(json_object_get(o, "uid")), 0);
	assert_int_equal(json_integer_value(json_object_get(o, "pid")), 3);
	json_decref(o);
}

/* What the kernel gave up is in the log, in status and at the end. */
static void test_failures(void **state)
{
	char text[512];
	json_t *o;

	(void)state;
	record_check(&r);
	record_text(&r, text, sizeof(text));
	assert_string_equal(text, "");
	assert_null(last_line("message"));
	stats[OSH_STAT_FLOW_LOST] = 1;
	stats[OSH_STAT_NO_FLOW] = 2;
	stats[OSH_STAT_PROC_LOST] = 3;
	stats[OSH_STAT_NO_PATH] = 4;
	record_check(&r);
	record_check(&r);
	tally("log");
	assert_int_equal(seen[0].lines, FAILED_KINDS); /* said once */
	o = last_line("processes");
	assert_int_equal(json_integer_value(json_object_get(o, "processes")), 3);
	json_decref(o);
	stats[OSH_STAT_NO_PATH] = 9;
	record_check(&r);
	o = last_line("programs");
	assert_int_equal(json_integer_value(json_object_get(o, "programs")), 5);
	json_decref(o);
	o = record_failed(&r);
	assert_int_equal(json_integer_value(json_object_get(o, "flows")), 1);
	assert_int_equal(json_integer_value(json_object_get(o, "flow_records")), 2);
	json_decref(o);
	record_text(&r, text, sizeof(text));
	assert_string_equal(text, "1 connections reset (no room in the table of flows); 2 connections reset (without a record); "
				  "3 processes without identity (not recorded); 9 programs without identity (no path)");
	stats[OSH_STAT_EVENT_LOST_DENY] = 10;
	record_text(&r, text, sizeof(text));
	assert_non_null(strstr(text, "10 events lost (deny 10); the log has no line for each of them; 1 connections"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_many_executables), T(test_turns),    T(test_generations),   T(test_what_death_leaves), T(test_refused),
		T(test_requests),	  T(test_whole_lines), T(test_unknown_user), T(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
