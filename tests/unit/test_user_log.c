/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_log.c - escaping, JSON lines, logfmt, segments, crash and full disk, reading back,
 * times and levels. */
#include "user/log.h"
#include "user/logview.h"
#include "user/safetext.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define T0 1893456000000000000ull /* 2030-01-01T00:00:00Z */
#define S(lit) SLICE_LIT(lit)

/* ---------------------------------------------------------------------------------- helpers -- */

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/osh-test-log.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[96];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static char *slurp(uint32_t seg)
{
	char path[128], *out = NULL;
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/" LOG_SEGMENT_FMT, dir, seg);
	f = fopen(path, "r");
	assert_non_null(f);
	if (getdelim(&out, &n, '\0', f) < 0)
		out[0] = '\0';
	fclose(f);
	return out;
}

static void spill(uint32_t seg, const char *text, size_t n)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/" LOG_SEGMENT_FMT, dir, seg);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

static struct log *open_log(void)
{
	struct log *l;

	assert_int_equal(log_open(dir, "demo", &l), 0);
	return l;
}

static void write_n(struct log *l, enum log_level level, uint64_t time_ns, uint64_t n)
{
	struct log_record r;

	log_init(&r, level, "test", time_ns);
	log_uint(&r, "n", n);
	log_write(l, &r);
}

/* The JSON line of one record with one string field v. */
static char *line_of(struct slice value)
{
	struct log *l = open_log();
	struct log_record r;
	char *all, *last, *line;

	log_init(&r, LOG_L_INFO, "test", T0);
	log_str(&r, "v", value);
	log_write(l, &r);
	assert_int_equal(log_flush(l), 0);
	log_close(l);
	all = slurp(1);
	all[strlen(all) - 1] = '\0';
	last = strrchr(all, '\n');
	line = strdup(last ? last + 1 : all);
	free(all);
	return line;
}

#define HEAD_JSON                                                                                  \
	"{\"time\":\"2030-01-01T00:00:00.000000Z\",\"level\":\"info\",\"sandbox\":\"demo\","       \
	"\"kind\":\"test\""
#define HEAD_FMT "time=2030-01-01T00:00:00.000000Z level=info sandbox=demo kind=test"

/* ---------------------------------------------------------------- values, both ways of them -- */

static const struct {
	struct slice in;
	const char *json, *logfmt; /* of the value alone */
} values[] = {
	{{(const uint8_t *)"", 0}, "\"\"", "\"\""},
	{{(const uint8_t *)"plain", 5}, "\"plain\"", "plain"},
	{{(const uint8_t *)"/usr/bin/curl", 13}, "\"/usr/bin/curl\"", "/usr/bin/curl"},
	{{(const uint8_t *)"a-b_c.d/e:f@g%h+i,j=k~l*m", 25},
	 "\"a-b_c.d/e:f@g%h+i,j=k~l*m\"",
	 "a-b_c.d/e:f@g%h+i,j=k~l*m"},
	{{(const uint8_t *)"a b", 3}, "\"a b\"", "\"a b\""},
	{{(const uint8_t *)"a\"b", 3}, "\"a\\\"b\"", "\"a\\\"b\""},
	{{(const uint8_t *)"a\\b", 3}, "\"a\\\\b\"", "\"a\\\\b\""},
	{{(const uint8_t *)"\\", 1}, "\"\\\\\"", "\"\\\\\""},
	{{(const uint8_t *)"\\x", 2}, "\"\\\\x\"", "\"\\\\x\""},
	{{(const uint8_t *)"\\xg0", 4}, "\"\\\\xg0\"", "\"\\\\xg0\""},
	{{(const uint8_t *)"\\x1B", 4}, "\"\\\\x1B\"", "\"\\\\x1B\""},
	/* a literal \x1b is told apart from the byte */
	{{(const uint8_t *)"\\x1b", 4}, "\"\\\\x5cx1b\"", "\"\\\\x1b\""},
	{{(const uint8_t *)"\x1b", 1}, "\"\\\\x1b\"", "\"\\x1b\""},
	{{(const uint8_t *)"\\\\x1b", 5}, "\"\\\\\\\\x5cx1b\"", "\"\\\\\\\\x1b\""},
	{{(const uint8_t *)"a\nb", 3}, "\"a\\\\x0ab\"", "\"a\\nb\""},
	{{(const uint8_t *)"a\tb", 3}, "\"a\\\\x09b\"", "\"a\\x09b\""},
	{{(const uint8_t *)"a\rb", 3}, "\"a\\\\x0db\"", "\"a\\x0db\""},
	{{(const uint8_t *)"a\0b", 3}, "\"a\\\\x00b\"", "\"a\\x00b\""},
	{{(const uint8_t *)"\x7f", 1}, "\"\\\\x7f\"", "\"\\x7f\""},
	{{(const uint8_t *)"\x1b[2J", 4}, "\"\\\\x1b[2J\"", "\"\\x1b[2J\""},
	{{(const uint8_t *)"\xff\xfe", 2}, "\"\\\\xff\\\\xfe\"", "\"\\xff\\xfe\""},
	{{(const uint8_t *)"\xc3", 1}, "\"\\\\xc3\"", "\"\\xc3\""},
	{{(const uint8_t *)"\xc3(", 2}, "\"\\\\xc3(\"", "\"\\xc3(\""},
	{{(const uint8_t *)"\xc0\x80", 2}, "\"\\\\xc0\\\\x80\"", "\"\\xc0\\x80\""}, /* overlong */
	{{(const uint8_t *)"\xed\xa0\x80", 3},
	 "\"\\\\xed\\\\xa0\\\\x80\"",
	 "\"\\xed\\xa0\\x80\""}, /* surrogate */
	{{(const uint8_t *)"\xf4\x90\x80\x80", 4},
	 "\"\\\\xf4\\\\x90\\\\x80\\\\x80\"",
	 "\"\\xf4\\x90\\x80\\x80\""},					    /* above U+10FFFF */
	{{(const uint8_t *)"\xc3\xa9", 2}, "\"\xc3\xa9\"", "\"\xc3\xa9\""}, /* é */
	{{(const uint8_t *)"\xf0\x9f\x90\xa7", 4}, "\"\xf0\x9f\x90\xa7\"", "\"\xf0\x9f\x90\xa7\""},
	{{(const uint8_t *)"\xc2\x9b", 2}, "\"\\\\xc2\\\\x9b\"", "\"\\xc2\\x9b\""}, /* C1: CSI */
	{{(const uint8_t *)"\xe2\x80\xae", 3},
	 "\"\\\\xe2\\\\x80\\\\xae\"",
	 "\"\\xe2\\x80\\xae\""}, /* bidi */
	{{(const uint8_t *)"\xe2\x80\x8b", 3},
	 "\"\\\\xe2\\\\x80\\\\x8b\"",
	 "\"\\xe2\\x80\\x8b\""}, /* zero width */
	{{(const uint8_t *)"\xe2\x80\xa8", 3},
	 "\"\\\\xe2\\\\x80\\\\xa8\"",
	 "\"\\xe2\\x80\\xa8\""}, /* U+2028 */
	{{(const uint8_t *)"\xef\xbb\xbf", 3},
	 "\"\\\\xef\\\\xbb\\\\xbf\"",
	 "\"\\xef\\xbb\\xbf\""}, /* BOM */
	{{(const uint8_t *)"no matching network policy", 26},
	 "\"no matching network policy\"",
	 "\"no matching network policy\""},
	{{(const uint8_t *)"{\"a\":1}", 7}, "\"{\\\"a\\\":1}\"", "\"{\\\"a\\\":1}\""},
	{{(const uint8_t *)"a;b", 3}, "\"a;b\"", "\"a;b\""},
	{{(const uint8_t *)"?x=1&y=2", 8}, "\"?x=1&y=2\"", "\"?x=1&y=2\""},
	{{(const uint8_t *)"=", 1}, "\"=\"", "="},
	{{(const uint8_t *)"-", 1}, "\"-\"", "-"},
	{{(const uint8_t *)"x\" level=error y=\"", 18},
	 "\"x\\\" level=error y=\\\"\"",
	 "\"x\\\" level=error y=\\\"\""},
	{{(const uint8_t *)"192.0.2.1", 9}, "\"192.0.2.1\"", "192.0.2.1"},
	{{(const uint8_t *)"2001:db8::1", 11}, "\"2001:db8::1\"", "2001:db8::1"},
	{{(const uint8_t *)"\n\n", 2}, "\"\\\\x0a\\\\x0a\"", "\"\\n\\n\""},
	{{(const uint8_t *)"\\n", 2}, "\"\\\\n\"", "\"\\\\n\""},
	{{(const uint8_t *)"'", 1}, "\"'\"", "\"'\""},
	{{(const uint8_t *)"(a)", 3}, "\"(a)\"", "\"(a)\""},
};

static void test_values(void **state)
{
	(void)state;
	assert_true(ARRAY_LEN(values) >= 40);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		char want_json[512], want_fmt[512], *line = line_of(values[i].in), *fmt;
		json_t *o;

		snprintf(want_json, sizeof(want_json), HEAD_JSON ",\"v\":%s}", values[i].json);
		snprintf(want_fmt, sizeof(want_fmt), HEAD_FMT " v=%s", values[i].logfmt);
		assert_string_equal(line, want_json);
		o = json_loads(line, 0, NULL); /* others can read it */
		assert_non_null(o);
		json_decref(o);
		assert_int_equal(log_line_to_logfmt(slice_str(line), &fmt), 0);
		assert_string_equal(fmt, want_fmt);
		free(fmt);
		free(line);
	}
}

/* Whatever the bytes: a valid line, no control byte, and the original is to be had back. */
static void test_values_any(void **state)
{
	static const uint8_t nasty[] = "\\x015cabf\n\xc2\x9b\xe2";
	uint8_t in[64];
	uint32_t x = 12345;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint8_t back[64];
		size_t n, o = 0;
		char *safe;
		struct slice s;

		x = x * 1664525 + 1013904223;
		n = (x >> 24) % sizeof(in);
		for (size_t i = 0; i < n; i++) {
			x = x * 1664525 + 1013904223;
			in[i] = round % 2 ? nasty[(x >> 24) % (sizeof(nasty) - 1)]
					  : (uint8_t)(x >> 24);
		}
		safe = safetext_dup((struct slice){in, n});
		assert_non_null(safe);
		for (s = slice_str(safe); s.n;) {
			uint8_t byte;
			size_t k = safetext_unescape(s, &byte);

			assert_true(s.p[0] >= 0x20 && s.p[0] != 0x7f);
			assert_true(o < sizeof(back));
			back[o++] = k ? byte : s.p[0];
			k = k ? k : 1;
			s.p += k;
			s.n -= k;
		}
		assert_int_equal(o, n);
		assert_memory_equal(back, in, n);
		free(safe);
	}
}

static void test_value_cut(void **state)
{
	static uint8_t big[LOG_VALUE_MAX + 2000];
	char *line;

	(void)state;
	memset(big, 'a', sizeof(big));
	memcpy(big + LOG_VALUE_MAX - 1, "\xc3\xa9", 2); /* would be cut in two */
	line = line_of((struct slice){big, sizeof(big)});
	assert_int_equal(strlen(line), strlen(HEAD_JSON ",\"v\":\"\"}") + LOG_VALUE_MAX - 1);
	free(line);
	memset(big, 0x80, sizeof(big)); /* all escaped */
	line = line_of((struct slice){big, sizeof(big)});
	assert_true(strlen(line) >= strlen(HEAD_JSON ",\"v\":\"\"}") + (LOG_VALUE_MAX - 4ul) * 5);
	free(line);
}

/* ---------------------------------------------------------------------------- whole records -- */

static void check_last(struct log *l, const struct log_record *r, const char *want_json,
		       const char *want_fmt)
{
	char *all, *fmt;

	log_write(l, r);
	assert_int_equal(log_flush(l), 0);
	all = slurp(1);
	all[strlen(all) - 1] = '\0';
	if (want_json)
		assert_string_equal(strrchr(all, '\n') ? strrchr(all, '\n') + 1 : all, want_json);
	assert_int_equal(
		log_line_to_logfmt(slice_str(strrchr(all, '\n') ? strrchr(all, '\n') + 1 : all),
				   &fmt),
		0);
	assert_string_equal(fmt, want_fmt);
	free(fmt);
	free(all);
}

static void test_record_connect(void **state)
{
	struct log *l = open_log();
	struct log_record r;

	(void)state;
	log_init(&r, LOG_L_WARN, "connect", T0 + 123456789);
	log_str(&r, "action", S("deny"));
	log_str(&r, "dst_host", S("api.github.com"));
	log_uint(&r, "dst_port", 443);
	log_str(&r, "binary", S("/usr/bin/curl"));
	log_str(&r, "deny_reason", S("no matching network policy"));
	log_uint(&r, "pid", 4242);
	check_last(
		l, &r,
		"{\"time\":\"2030-01-01T00:00:00.123456Z\",\"level\":\"warn\",\"sandbox\":\"demo\","
		"\"kind\":\"connect\",\"action\":\"deny\",\"dst_host\":\"api.github.com\",\"dst_"
		"port\":443,"
		"\"binary\":\"/usr/bin/curl\",\"deny_reason\":\"no matching network "
		"policy\",\"pid\":4242}",
		"time=2030-01-01T00:00:00.123456Z level=warn sandbox=demo kind=connect action=deny "
		"dst_host=api.github.com dst_port=443 binary=/usr/bin/curl "
		"deny_reason=\"no matching network policy\" pid=4242");
	log_close(l);
}

static void test_record_request(void **state)
{
	struct log *l = open_log();
	struct log_record r;

	(void)state;
	log_init(&r, LOG_L_WARN, "request", T0);
	log_str(&r, "l7_decision", S("deny"));
	log_str(&r, "dst_host", S("api.github.com"));
	log_str(&r, "l7_action", S("POST"));
	log_str(&r, "l7_target", S("/repos/octocat/hello-world/issues"));
	log_str(&r, "l7_deny_reason",
		S("POST /repos/octocat/hello-world/issues not permitted by policy"));
	check_last(l, &r, NULL,
		   "time=2030-01-01T00:00:00.000000Z level=warn sandbox=demo kind=request "
		   "l7_decision=deny "
		   "dst_host=api.github.com l7_action=POST "
		   "l7_target=/repos/octocat/hello-world/issues "
		   "l7_deny_reason=\"POST /repos/octocat/hello-world/issues not permitted by "
		   "policy\"");
	log_close(l);
}

static void test_record_numbers(void **state)
{
	struct log *l = open_log();
	struct log_record r;

	(void)state;
	log_init(&r, LOG_L_ERROR, "test", 0);
	log_uint(&r, "zero", 0);
	log_uint(&r, "big", INT64_MAX);
	log_uint(&r, "bigger", UINT64_MAX);
	check_last(
		l, &r,
		"{\"time\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"error\",\"sandbox\":"
		"\"demo\","
		"\"kind\":\"test\",\"zero\":0,\"big\":9223372036854775807,"
		"\"bigger\":\"18446744073709551615\"}",
		"time=1970-01-01T00:00:00.000000Z level=error sandbox=demo kind=test zero=0 "
		"big=9223372036854775807 bigger=18446744073709551615");
	log_close(l);
}

static void test_record_bounds(void **state)
{
	static uint8_t big[LOG_FIELDS_MAX][LOG_VALUE_MAX];
	struct log *l = open_log();
	struct logview *v;
	struct log_record r;
	struct slice line;

	(void)state;
	memset(big, 1, sizeof(big));
	log_init(&r, LOG_L_INFO, "test", T0);
	for (size_t i = 0; i < LOG_FIELDS_MAX + 5; i++)
		log_str(&r, "v", (struct slice){big[i % LOG_FIELDS_MAX], LOG_VALUE_MAX});
	assert_int_equal(r.n, LOG_FIELDS_MAX);
	log_write(l, &r); /* the longest line there can be is written and read */
	write_n(l, LOG_L_INFO, T0, 7);
	assert_int_equal(log_flush(l), 0);
	assert_int_equal(log_lost(l), 0);
	log_close(l);
	assert_int_equal(logview_open(dir, 0, LOG_L_DEBUG, &v), 0);
	assert_int_equal(logview_next(v, &line), 1);
	assert_true(line.n > LOG_FIELDS_MAX * (size_t)LOG_VALUE_MAX * 5);
	assert_int_equal(logview_next(v, &line), 1);
	assert_int_equal(logview_next(v, &line), 0);
	assert_int_equal(logview_bad_lines(v), 0);
	logview_close(v);
}

static void test_not_ours(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"hello",
		"{\"level\":\"info\",\"time\":\"2030-01-01T00:00:00.000000Z\"}",
		"{\"time\":\"yesterday\",\"level\":\"info\"}",
		"{\"time\":\"2030-01-01T00:00:00.000000Z\",\"level\":\"loud\"}",
		"{\"time\":\"2030-13-01T00:00:00.000000Z\",\"level\":\"info\"}",
		HEAD_JSON,
		HEAD_JSON ",\"v\":}",
		HEAD_JSON ",\"v\":[1]}",
		HEAD_JSON ",\"v\":{}}",
		HEAD_JSON ",\"v\":1.5}",
		HEAD_JSON ",\"v\":null}",
		HEAD_JSON ",\"bad key\":1}",
		HEAD_JSON ",\"\":1}",
		HEAD_JSON ",\"v\":\"\\u0000\"}",
		HEAD_JSON "} trailing",
	};
	char *fmt;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(log_line_to_logfmt(slice_str(bad[i]), &fmt), -EBADMSG);
	/* a control byte that another hand put there comes out escaped */
	assert_int_equal(log_line_to_logfmt(S(HEAD_JSON ",\"v\":\"\\u001b[m\",\"b\":true}"), &fmt),
			 0);
	assert_string_equal(fmt, HEAD_FMT " v=\"\\x1b[m\" b=true");
	free(fmt);
}

/* --------------------------------------------------------------------------------- segments -- */

static void test_crash_cut(void **state)
{
	static const char whole[] = HEAD_JSON ",\"n\":1}\n", cut[] = HEAD_JSON ",\"n\":2";
	char text[512], *all;
	struct log *l;

	(void)state;
	snprintf(text, sizeof(text), "%s%s", whole, cut);
	spill(3, text, strlen(text));
	l = open_log();
	assert_int_equal(log_lost(l), 1);
	write_n(l, LOG_L_INFO, T0, 3);
	log_close(l);
	all = slurp(3);
	assert_memory_equal(all, whole, strlen(whole));
	assert_non_null(strstr(all, "\"n\":3}\n"));
	assert_null(strstr(all, "\"n\":2"));
	assert_non_null(strstr(all, "\"kind\":\"log\""));
	assert_non_null(strstr(all, "\"count\":1,\"since\":\""));
	free(all);
}

static void test_crash_cut_more(void **state)
{
	static char junk[9000];
	struct log *l;
	char *all;

	(void)state;
	memset(junk, 'x', sizeof(junk)); /* no newline at all, more than one block */
	spill(1, junk, sizeof(junk));
	l = open_log();
	write_n(l, LOG_L_INFO, T0, 1);
	log_close(l);
	all = slurp(1);
	assert_int_equal(all[0], '{');
	free(all);

	memset(junk, '\0', sizeof(junk)); /* blocks that never reached the disk */
	junk[0] = '\n';
	spill(2, junk, sizeof(junk));
	l = open_log();
	write_n(l, LOG_L_INFO, T0, 1);
	log_close(l);
	all = slurp(2);
	assert_memory_equal(all, "\n{", 2);
	free(all);

	spill(3, "\n", 1); /* whole: nothing is dropped */
	l = open_log();
	assert_int_equal(log_lost(l), 0);
	log_close(l);
}

static void test_continue(void **state)
{
	struct log *l;
	char *all;

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		l = open_log();
		write_n(l, LOG_L_INFO, T0, i);
		log_close(l); /* flushes */
	}
	all = slurp(1);
	assert_string_equal(all, HEAD_JSON ",\"n\":0}\n" HEAD_JSON ",\"n\":1}\n" HEAD_JSON
					   ",\"n\":2}\n");
	free(all);
}

static void test_private(void **state)
{
	char path[128];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/a/b", dir);
	memcpy(dir, path, strlen(path) + 1);
	log_close(open_log());
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(path, sizeof(path), "%.40s/" LOG_SEGMENT_FMT, dir, 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	*strrchr(dir, '/') = '\0';
	*strrchr(dir, '/') = '\0';
}

static void make_full(uint32_t seg)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/" LOG_SEGMENT_FMT, dir, seg);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\n", 1, LOG_SEGMENT_MAX - 10), 1);
	close(fd);
}

static void test_rotation(void **state)
{
	uint32_t *segs;
	struct log *l;
	size_t n;
	char *all;
	int fd;

	(void)state;
	for (uint32_t i = 5; i < 5 + LOG_SEGMENTS_MAX; i++)
		make_full(i);
	l = open_log();
	write_n(l, LOG_L_INFO, T0, 1);
	assert_int_equal(log_flush(l), 0);
	write_n(l, LOG_L_INFO, T0, 2);
	log_close(l);

	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(log_segments(fd, &segs, &n), 0);
	close(fd);
	assert_int_equal(n, LOG_SEGMENTS_MAX);
	assert_int_equal(segs[0], 6);
	assert_int_equal(segs[n - 1], 5 + LOG_SEGMENTS_MAX);
	all = slurp(segs[n - 1]);
	free(segs);
	assert_non_null(strstr(all, "\"kind\":\"log\"")); /* the loss is stated first */
	assert_true(strstr(all, "\"kind\":\"log\"") < strchr(all, '\n'));
	assert_non_null(strstr(all, "\"segment\":\"00000005.jsonl\""));
	assert_non_null(strstr(all, "\"n\":1}\n" HEAD_JSON ",\"n\":2}\n"));
	free(all);
}

/* A segment whose lines alternate: an allowed connection, another of what is allowed, a denial, one of a policy. */
static void make_mixed(uint32_t seg, unsigned int lines, int pad)
{
	static const char *const tails[] = {
		"info\",\"sandbox\":\"box\",\"kind\":\"connect\",\"action\":\"allow\"",
		"warn\",\"sandbox\":\"box\",\"kind\":\"connect\",\"action\":\"deny\"",
		"info\",\"sandbox\":\"box\",\"kind\":\"request\",\"l7_decision\":\"allow\"",
		"warn\",\"sandbox\":\"box\",\"kind\":\"request\",\"l7_decision\":\"deny\"",
		"warn\",\"sandbox\":\"box\",\"kind\":\"request\",\"l7_decision\":\"audit\"",
		"info\",\"sandbox\":\"box\",\"kind\":\"policy\",\"x\":\"\\\"kind\\\":\\\"connect\"",
		"warn\",\"sandbox\":\"box\",\"kind\":\"request\",\"l7_decision\":\"error\"",
		"warn\",\"sandbox\":\"box\",\"kind\":\"connect\",\"action\":\"revoke\"",
	};
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/" LOG_SEGMENT_FMT, dir, seg);
	f = fopen(path, "we");
	assert_non_null(f);
	for (unsigned int i = 0; i < lines; i++)
		fprintf(f, "{\"time\":\"2030-01-31T12:00:00.000000Z\",\"level\":\"%s,\"seg\":%u,\"line\":%u,\"pad\":\"%0*d\"}\n",
			tails[i % ARRAY_LEN(tails)], seg, i, pad, 0);
	fclose(f);
}

static size_t occurrences(const char *s, const char *what)
{
	size_t n = 0;

	for (; (s = strstr(s, what)); s++)
		n++;
	return n;
}

/* What is allowed cannot push out what was refused: of segments that go, all but the allowed is kept, in order, bounded,
 * and readers see it first. */
static void test_rotation_keeps(void **state)
{
	const unsigned int lines = 8000;
	unsigned int last = 0, went = 0;
	struct logview *v;
	struct slice line;
	uint64_t seen = 0;
	char *kept;
	struct log *l;

	(void)state;
	for (uint32_t i = 5; i < 5 + LOG_SEGMENTS_MAX; i++)
		make_mixed(i, i < 7 ? lines : 8, 1900);
	for (int i = 0; i < 2; i++) { /* 5 and 6 go */
		l = open_log();
		make_full(5 + LOG_SEGMENTS_MAX - 1 + (uint32_t)i);
		log_close(l);
		l = open_log();
		write_n(l, LOG_L_INFO, T0, 1);
		log_close(l);
	}
	kept = slurp(LOG_KEPT);
	assert_int_equal(occurrences(kept, "\n"), lines); /* half of each */
	assert_int_equal(occurrences(kept, "\"seg\":5,"), lines / 2);
	assert_int_equal(occurrences(kept, "\"action\":\"deny\""), lines / 4);
	assert_int_equal(occurrences(kept, "\"l7_decision\":\"deny\""), lines / 4);
	assert_int_equal(occurrences(kept, "\"kind\":\"policy\""), lines / 4);
	assert_int_equal(occurrences(kept, "\"action\":\"revoke\""), lines / 4);
	assert_null(strstr(kept, "\"allow\""));
	assert_true(strstr(kept, "\"seg\":6,") > strstr(kept, "\"seg\":5,\"line\":7999"));
	free(kept);
	assert_int_equal(logview_open(dir, 0, LOG_L_DEBUG, &v), 0);
	while (logview_next(v, &line) == 1) {
		const char *p = memmem(line.p, line.n, "\"seg\":", 6);
		unsigned int seg = p ? (unsigned int)strtoul(p + 6, NULL, 10) : last;

		seen++;
		went += memmem(line.p, line.n, "of what was allowed were removed", 32) != NULL;
		assert_true(seg >= last);
		last = seg;
	}
	logview_close(v);
	assert_int_equal(went, 2);
	assert_true(seen > lines);
	/* A log of which only that is left goes on behind it. */
	l = open_log();
	write_n(l, LOG_L_INFO, T0, 2);
	log_close(l);
}

/* Its bound holds, whole lines stay, and that something went is said. */
static void test_kept_bound(void **state)
{
	char path[128], *kept, *all;
	struct stat st;
	struct log *l;
	FILE *f;

	(void)state;
	make_mixed(5, 800, 19000);
	kept = slurp(5);
	snprintf(path, sizeof(path), "%s/" LOG_SEGMENT_FMT, dir, LOG_KEPT);
	f = fopen(path, "we");
	assert_non_null(f);
	for (size_t n = 0; n < LOG_KEPT_MAX; n += strlen(kept))
		fputs(kept, f);
	fclose(f);
	free(kept);
	for (uint32_t i = 6; i < 5 + LOG_SEGMENTS_MAX; i++)
		make_full(i);
	l = open_log();
	write_n(l, LOG_L_INFO, T0, 1);
	log_close(l);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > LOG_KEPT_MAX / 4 && st.st_size < LOG_KEPT_MAX);
	kept = slurp(LOG_KEPT);
	assert_int_equal(strncmp(kept, "{\"time\":", 8), 0);
	assert_non_null(strstr(kept, "\"line\":799"));
	free(kept);
	all = slurp(5 + LOG_SEGMENTS_MAX);
	assert_non_null(strstr(all, "\"segment\":\"00000000.jsonl\""));
	free(all);
}

/* A file size limit stands for a full disk: writes come back short, then fail. */
static void limit_size(rlim_t size)
{
	struct rlimit rl;

	getrlimit(RLIMIT_FSIZE, &rl);
	rl.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &rl), 0);
}

/* What cannot be moved stays where it is, until there is room. */
static void test_kept_disk_full(void **state)
{
	const uint32_t last = 5 + LOG_SEGMENTS_MAX - 1;
	char *kept, *all;
	struct log *l;

	(void)state;
	for (uint32_t i = 5; i <= last; i++)
		make_mixed(i, 8, 1900);
	make_full(last);
	signal(SIGXFSZ, SIG_IGN);
	limit_size(5000); /* less than is to be kept of a segment */
	l = open_log();
	write_n(l, LOG_L_INFO, T0, 1);
	log_close(l);
	limit_size(RLIM_INFINITY);
	kept = slurp(LOG_KEPT);
	assert_string_equal(kept, "");
	free(kept);
	all = slurp(5);
	assert_int_equal(occurrences(all, "\n"), 8);
	free(all);
	make_full(last + 1);
	l = open_log();
	write_n(l, LOG_L_INFO, T0, 2);
	log_close(l);
	kept = slurp(LOG_KEPT);
	assert_int_equal(occurrences(kept, "\"seg\":5,"), 4);
	assert_int_equal(occurrences(kept, "\"seg\":6,"), 4);
	assert_int_equal(occurrences(kept, "\n"), 8);
	free(kept);
}

/* What is missing stands at the beginning of every segment, and nowhere when nothing is. */
static void test_missing(void **state)
{
	struct log *l;
	char *all;

	(void)state;
	l = open_log();
	assert_int_equal(log_set_missing(l, ""), 0);
	assert_int_equal(log_set_missing(l, "landlock"), 0);
	assert_int_equal(log_flush(l), 0);
	write_n(l, LOG_L_INFO, T0, 1);
	log_close(l);
	all = slurp(1);
	assert_non_null(strstr(all, "\"missing\":\"landlock\"}\n" HEAD_JSON ",\"n\":1}\n"));
	free(all);
	make_full(2);
	l = open_log();
	assert_int_equal(log_set_missing(l, "seccomp,proxy-jail"), 0);
	write_n(l, LOG_L_INFO, T0, 2);
	log_close(l);
	all = slurp(3);
	assert_true(strstr(all, "\"missing\":\"seccomp,proxy-jail\"") < strchr(all, '\n'));
	assert_non_null(strstr(all, "\"missing\":\"seccomp,proxy-jail\""));
	free(all);
}

/* Segments do not grow beyond their bound, and every line is in one of them. */
static void test_rotation_many(void **state)
{
	static uint8_t pad[4000];
	const uint64_t lines = 9000; /* 36 MB: three segments */
	struct log *l = open_log();
	struct logview *v;
	struct slice line;
	uint64_t seen = 0;
	uint32_t *segs;
	size_t n;
	int fd;

	(void)state;
	memset(pad, 'p', sizeof(pad));
	for (uint64_t i = 0; i < lines; i++) {
		struct log_record r;

		log_init(&r, LOG_L_INFO, "test", T0 + i * 1000000);
		log_str(&r, "pad", (struct slice){pad, sizeof(pad)});
		log_write(l, &r);
	}
	log_close(l);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(log_segments(fd, &segs, &n), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		char name[32];
		struct stat st;

		snprintf(name, sizeof(name), LOG_SEGMENT_FMT, segs[i]);
		assert_int_equal(fstatat(fd, name, &st, 0), 0);
		assert_true(st.st_size <= LOG_SEGMENT_MAX);
	}
	close(fd);
	free(segs);
	assert_int_equal(logview_open(dir, 0, LOG_L_DEBUG, &v), 0);
	while (logview_next(v, &line) == 1)
		seen++;
	assert_int_equal(seen, lines);
	logview_close(v);
}

static void test_disk_full(void **state)
{
	static uint8_t pad[4096];
	struct log *l = open_log();
	struct logview *v;
	struct slice line;
	uint64_t lost, lines = 0, stated = 0;

	(void)state;
	memset(pad, 'p', sizeof(pad));
	signal(SIGXFSZ, SIG_IGN);
	write_n(l, LOG_L_INFO, T0, 1);
	assert_int_equal(log_flush(l), 0);
	limit_size(150); /* in the middle of the next line */
	write_n(l, LOG_L_INFO, T0, 2);
	assert_true(log_flush(l) < 0);
	assert_int_equal(log_lost(l), 0); /* kept in memory */
	for (int i = 0; i < 1000; i++) {
		struct log_record r;

		log_init(&r, LOG_L_INFO, "test", T0);
		log_str(&r, "pad", (struct slice){pad, sizeof(pad)});
		log_write(l, &r);
	}
	lost = log_lost(l);
	assert_true(lost > 100 && lost < 1000);
	assert_true(log_flush(l) < 0);
	limit_size(RLIM_INFINITY);
	assert_int_equal(log_flush(l), 0);
	write_n(l, LOG_L_INFO, T0, 3);
	log_close(l);

	assert_int_equal(logview_open(dir, 0, LOG_L_DEBUG, &v), 0);
	while (logview_next(v, &line) == 1) {
		char *fmt, *p;

		assert_int_equal(log_line_to_logfmt(line, &fmt), 0);
		lines++;
		p = strstr(fmt, "kind=log ");
		if (p)
			stated += strtoull(strstr(p, " count=") + 7, NULL, 10);
		if (p) {
			assert_int_equal(strtoull(strstr(p, " test=") + 6, NULL, 10), lost);
			assert_non_null(strstr(p, " since="));
			assert_non_null(strstr(p, " until="));
		}
		free(fmt);
	}
	assert_int_equal(logview_bad_lines(v), 0);
	logview_close(v);
	assert_int_equal(stated, lost);
	assert_int_equal(lines, 2 + 1000 - lost + 1 + 1);
	signal(SIGXFSZ, SIG_DFL);
}

/* ---------------------------------------------------------------------------------- reading -- */

static uint64_t number_in(struct slice line)
{
	char *p = memmem(line.p, line.n, "\"n\":", 4);

	assert_non_null(p);
	return strtoull(p + 4, NULL, 10);
}

static void test_view_filter(void **state)
{
	static const struct {
		enum log_level level;
		uint64_t since;
		uint64_t want; /* sum of 10^n */
	} cases[] = {
		{LOG_L_DEBUG, 0, 1111},
		{LOG_L_INFO, 0, 1110},
		{LOG_L_WARN, 0, 1100},
		{LOG_L_ERROR, 0, 1000},
		{LOG_L_DEBUG, T0 + 1, 1110},
		{LOG_L_DEBUG, T0 + 1000000000, 1110},
		{LOG_L_WARN, T0 + 3000000000, 1000},
		{LOG_L_DEBUG, T0 + 3000000001, 0},
	};
	struct log *l = open_log();

	(void)state;
	write_n(l, LOG_L_DEBUG, T0, 1);
	write_n(l, LOG_L_INFO, T0 + 1000000000, 10);
	write_n(l, LOG_L_WARN, T0 + 2000000000, 100);
	write_n(l, LOG_L_ERROR, T0 + 3000000000, 1000);
	log_close(l);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct logview *v;
		struct slice line;
		uint64_t sum = 0;

		assert_int_equal(logview_open(dir, cases[i].since, cases[i].level, &v), 0);
		while (logview_next(v, &line) == 1)
			sum += number_in(line);
		assert_int_equal(sum, cases[i].want);
		logview_close(v);
	}
}

/* The search by time finds exactly the lines that reading everything finds. */
static void test_view_search(void **state)
{
	const uint64_t lines = 30000, step = 1000000000;
	struct log *l = open_log();

	(void)state;
	for (uint64_t i = 0; i < lines; i++)
		write_n(l, LOG_L_INFO, T0 + (i ^ 3) * step, i ^ 3); /* a little out of order */
	log_close(l);
	for (uint64_t k = 0; k <= lines; k += 997) {
		struct logview *v;
		struct slice line;
		uint64_t n = 0, least = UINT64_MAX;

		assert_int_equal(logview_open(dir, T0 + k * step, LOG_L_DEBUG, &v), 0);
		while (logview_next(v, &line) == 1) {
			uint64_t i = number_in(line);

			least = i < least ? i : least;
			n++;
		}
		assert_int_equal(n, lines - k);
		if (n)
			assert_int_equal(least, k);
		assert_int_equal(logview_bad_lines(v), 0);
		logview_close(v);
	}
}

/* Follows over a half-written line, a rotation and the end. */
static void test_view_follow(void **state)
{
	static const char half[] = HEAD_JSON ",\"n\":", rest[] = "5}\n" HEAD_JSON ",\"n\":6}\n";
	char path[128], cmd[96];
	struct logview *v;
	struct slice line;
	FILE *f;

	(void)state;
	assert_int_equal(logview_open(dir, 0, LOG_L_DEBUG, &v), 0);
	assert_int_equal(logview_next(v, &line), 0); /* no segment yet */
	snprintf(path, sizeof(path), "%s/" LOG_SEGMENT_FMT, dir, 1);
	f = fopen(path, "a");
	assert_non_null(f);
	fwrite(half, 1, strlen(half), f);
	fflush(f);
	assert_int_equal(logview_next(v, &line), 0);
	fwrite(rest, 1, strlen(rest), f);
	fflush(f);
	assert_int_equal(logview_next(v, &line), 1);
	assert_int_equal(number_in(line), 5);
	spill(2, HEAD_JSON ",\"n\":8}\n", strlen(HEAD_JSON ",\"n\":8}\n")); /* rotated ... */
	fputs(HEAD_JSON ",\"n\":7}\n", f); /* ... just after a last line */
	fclose(f);
	for (uint64_t i = 6; i <= 8; i++) {
		assert_int_equal(logview_next(v, &line), 1);
		assert_int_equal(number_in(line), i);
	}
	assert_int_equal(logview_next(v, &line), 0);
	spill(9, HEAD_JSON ",\"n\":9}\n",
	      strlen(HEAD_JSON ",\"n\":9}\n")); /* 3 to 8 are gone already */
	assert_int_equal(logview_next(v, &line), 1);
	assert_int_equal(number_in(line), 9);
	assert_false(logview_gone(v));
	snprintf(cmd, sizeof(cmd), "rm -r '%s'", dir);
	assert_int_equal(system(cmd), 0);
	assert_true(logview_gone(v));
	assert_int_equal(logview_next(v, &line), 0);
	assert_int_equal(mkdir(dir, 0700), 0); /* another sandbox of that name */
	assert_true(logview_gone(v));
	logview_close(v);
}

static void test_view_bad_lines(void **state)
{
	static char big[LOG_LINE_MAX * 3];
	struct logview *v;
	struct slice line;
	char path[128];
	FILE *f;

	(void)state;
	memset(big, 'x', sizeof(big));
	snprintf(path, sizeof(path), "%s/" LOG_SEGMENT_FMT, dir, 1);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("not ours\n", f);
	fputs(HEAD_JSON ",\"n\":1}\n", f);
	fwrite(big, 1, sizeof(big), f);
	fputs("\n" HEAD_JSON ",\"n\":2,\"v\":\"\033[2J\"}\n", f); /* a raw control byte */
	fputs(HEAD_JSON ",\"n\":3}\n", f);
	fclose(f);
	assert_int_equal(logview_open(dir, 0, LOG_L_DEBUG, &v), 0);
	assert_int_equal(logview_next(v, &line), 1);
	assert_int_equal(number_in(line), 1);
	assert_int_equal(logview_next(v, &line), 1);
	assert_int_equal(number_in(line), 3);
	assert_int_equal(logview_next(v, &line), 0);
	assert_int_equal(logview_bad_lines(v), 3);
	logview_close(v);
	assert_int_equal(logview_open("/nonexistent/log", 0, LOG_L_DEBUG, &v), -ENOENT);
}

static void test_segment_names(void **state)
{
	static const char *const other[] = {"1.jsonl",	      "00000001.jsonl.bak",
					    "x0000001.jsonl", "0000001 .jsonl",
					    "-0000001.jsonl", "00000001.json"};
	char path[128];
	uint32_t *segs;
	size_t n;
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, other[i]);
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	spill(10, "", 0);
	spill(9, "", 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(log_segments(fd, &segs, &n), 0);
	close(fd);
	assert_int_equal(n, 2);
	assert_int_equal(segs[0], 9);
	assert_int_equal(segs[1], 10);
	free(segs);
}

/* ----------------------------------------------------------------- durations, times, levels -- */

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t ms;
	} cases[] = {
		{"90s", 0, 90000},
		{"5m", 0, 300000},
		{"2h", 0, 7200000},
		{"1d", 0, 86400000},
		{"1w", 0, 604800000},
		{"500ms", 0, 500},
		{"1h30m", 0, 5400000},
		{"0s", 0, 0},
		{"1d12h", 0, 129600000},
		{"1m1ms", 0, 60001},
		{"", -EINVAL, 0},
		{"5", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"-5m", -EINVAL, 0},
		{"5 m", -EINVAL, 0},
		{"5x", -EINVAL, 0},
		{"1.5h", -EINVAL, 0},
		{"5mm", -EINVAL, 0},
		{"5min", -EINVAL, 0},
		{"+5m", -EINVAL, 0},
		{"99999999999999999999s", -ERANGE, 0},
		{"99999999999999d", -ERANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t ns = 0;

		assert_int_equal(duration_parse(cases[i].text, &ns), cases[i].r);
		assert_int_equal(ns, cases[i].ms * 1000000);
	}
}

static void test_rfc3339(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t ns;
	} cases[] = {
		{"2030-01-01T00:00:00Z", 0, T0},
		{"2030-01-01t00:00:00z", 0, T0},
		{"2030-01-01 00:00:00Z", 0, T0},
		{"2030-01-01T00:00:00.5Z", 0, T0 + 500000000},
		{"2030-01-01T00:00:00.123456789999Z", 0, T0 + 123456789},
		{"2030-01-01T02:00:00+02:00", 0, T0},
		{"2029-12-31T18:30:00-05:30", 0, T0},
		{"1970-01-01T00:00:00Z", 0, 0},
		{"2028-02-29T00:00:00Z", 0, 1835395200000000000ull},
		{"2030-02-29T00:00:00Z", -EINVAL, 0},
		{"2100-02-29T00:00:00Z", -EINVAL, 0},
		{"2030-04-31T00:00:00Z", -EINVAL, 0},
		{"2030-00-01T00:00:00Z", -EINVAL, 0},
		{"2030-13-01T00:00:00Z", -EINVAL, 0},
		{"2030-01-00T00:00:00Z", -EINVAL, 0},
		{"2030-01-01T24:00:00Z", -EINVAL, 0},
		{"2030-01-01T00:60:00Z", -EINVAL, 0},
		{"2030-01-01T00:00:00", -EINVAL, 0},
		{"2030-01-01T00:00Z", -EINVAL, 0},
		{"2030-01-01", -EINVAL, 0},
		{"2030-01-01T00:00:00.Z", -EINVAL, 0},
		{"2030-01-01T00:00:00+0200", -EINVAL, 0},
		{"2030-01-01T00:00:00Zx", -EINVAL, 0},
		{"1969-12-31T23:59:59Z", -ERANGE, 0},
		{"9999-12-31T23:59:59Z", -ERANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t ns = 0;

		assert_int_equal(rfc3339_parse(cases[i].text, &ns), cases[i].r);
		assert_int_equal(ns, cases[i].ns);
	}
}

static void test_since(void **state)
{
	uint64_t ns;

	(void)state;
	assert_int_equal(since_parse("5m", T0, &ns), 0);
	assert_int_equal(ns, T0 - 300000000000ull);
	assert_int_equal(since_parse("1d", 5, &ns), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(since_parse("2030-01-01T00:00:00Z", 5, &ns), 0);
	assert_int_equal(ns, T0);
	assert_int_equal(since_parse("yesterday", T0, &ns), -EINVAL);
	assert_int_equal(since_parse("99999999999999d", T0, &ns), -ERANGE);
}

static void test_levels(void **state)
{
	static const char *const names[] = {"debug", "info", "warn", "error"}, *const bad[] = {
										       "", "WARN",
										       "warning",
										       "err"};
	enum log_level level;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(log_level_parse(names[i], &level), 0);
		assert_int_equal(level, i);
		assert_string_equal(log_level_name(level), names[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(log_level_parse(bad[i], &level), -EINVAL);
}

static void test_colour(void **state)
{
	char *out;

	(void)state;
	assert_int_equal(
		logview_colour(
			"time=1 level=warn action=deny x=\"a level=warn \\\" action=deny\" y=2",
			&out),
		0);
	assert_string_equal(out, "time=1 \033[33mlevel=warn\033[0m \033[1;31maction=deny\033[0m "
				 "x=\"a level=warn \\\" action=deny\" y=2");
	free(out);
	assert_int_equal(logview_colour("", &out), 0);
	assert_string_equal(out, "");
	free(out);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_values),		T(test_values_any),	T(test_value_cut),
		T(test_record_connect), T(test_record_request), T(test_record_numbers),
		T(test_record_bounds),	T(test_not_ours),	T(test_crash_cut),
		T(test_crash_cut_more), T(test_continue),	T(test_private),
		T(test_rotation),	T(test_rotation_keeps),	T(test_kept_bound),	T(test_kept_disk_full),	T(test_missing),	T(test_rotation_many),	T(test_disk_full),
		T(test_view_filter),	T(test_view_search),	T(test_view_follow),
		T(test_view_bad_lines), T(test_segment_names),	T(test_durations),
		T(test_rfc3339),	T(test_since),		T(test_levels),
		T(test_colour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
