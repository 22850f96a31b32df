/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proxy_dns_hosts.c - the reader of /etc/hosts lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/mman.h>

#include "proxy/hosts.h"

static struct hosts *parse(const char *text)
{
	struct hosts *h = NULL;

	assert_int_equal(hosts_parse(slice_str(text), &h), 0);
	return h;
}

/* "1.2.3.4 ::1", in the order given; "" when the name is not there. */
static void expect(struct hosts *h, const char *name, const char *want)
{
	char got[200] = "", text[INET6_ADDRSTRLEN];
	struct resolved res = {0};

	if (hosts_find(h, slice_str(name), &res))
		for (size_t i = 0; i < res.n; i++) {
			inet_ntop(res.a[i].family == 4 ? AF_INET : AF_INET6, res.a[i].addr, text,
				  sizeof(text));
			if (i)
				strcat(got, " ");
			strcat(got, text);
		}
	assert_string_equal(got, want);
}

static void test_ordinary(void **s)
{
	struct hosts *h = parse("127.0.0.1\tlocalhost\n"
				"::1 localhost ip6-localhost\n"
				"# comment\n"
				"   \n"
				"10.0.0.5  db.corp db  DB2.Corp. # trailing comment x\n"
				"2001:db8::5 db.corp\r\n");

	(void)s;
	expect(h, "localhost", "127.0.0.1 ::1");
	expect(h, "db.corp", "10.0.0.5 2001:db8::5");
	expect(h, "db", "10.0.0.5");
	expect(h, "db2.corp", "10.0.0.5");
	expect(h, "x", "");
	expect(h, "trailing", "");
	assert_int_equal(hosts_count(h), 5);
	assert_int_equal(hosts_skipped(h), 0);
	hosts_free(h);
}

static void test_later_wins(void **s)
{
	struct hosts *h = parse("1.1.1.1 a b\n2001:db8::1 a\n2.2.2.2 a\n3.3.3.3 a\n");

	(void)s;
	expect(h, "a", "3.3.3.3 2001:db8::1");
	expect(h, "b", "1.1.1.1");
	hosts_free(h);
}

static void test_malformed(void **s)
{
	struct hosts *h = parse("nonsense\n"
				"1.2.3 a\n"
				"1.2.3.4.5 a\n"
				"01.2.3.4 a\n"
				"fe80::1%eth0 a\n"
				"1.2.3.4\n"
				"1.2.3.4 a..b *.c 5.6.7.8 good\n"
				"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa x\n");

	(void)s;
	expect(h, "a", "");
	expect(h, "good", "1.2.3.4");
	assert_int_equal(hosts_count(h), 1);
	assert_int_equal(hosts_skipped(h), 5 + 1 + 3 + 1);
	hosts_free(h);
}

static void test_no_final_newline_and_empty(void **s)
{
	struct hosts *h = parse("1.2.3.4 last");

	(void)s;
	expect(h, "last", "1.2.3.4");
	hosts_free(h);
	h = parse("");
	assert_int_equal(hosts_count(h), 0);
	hosts_free(h);
	h = parse("\n\n\n#");
	assert_int_equal(hosts_count(h), 0);
	assert_int_equal(hosts_skipped(h), 0);
	hosts_free(h);
}

static void test_nul_bytes(void **s)
{
	struct hosts *h = NULL;

	(void)s;
	assert_int_equal(hosts_parse(SLICE_LIT("1.2.3.4\0 a\n1.2.3.4 b\0c d\n"), &h), 0);
	expect(h, "a", "");
	expect(h, "b", "");
	expect(h, "d", "1.2.3.4");
	assert_int_equal(hosts_skipped(h), 2);
	hosts_free(h);
}

static void test_name_bound(void **s)
{
	char *text = malloc(3u << 20), *p = text;
	struct hosts *h;

	(void)s;
	assert_non_null(text);
	p += sprintf(p, "1.1.1.1 the-first-line\n");
	for (unsigned i = 0; i < HOSTS_NAMES_MAX; i++)
		p += sprintf(p, "10.0.0.1 n%u.example\n", i);
	h = parse(text);
	assert_int_equal(hosts_count(h), HOSTS_NAMES_MAX);
	assert_int_equal(hosts_skipped(h), 1);
	expect(h, "the-first-line", ""); /* the oldest goes, the newest stay */
	expect(h, "n0.example", "10.0.0.1");
	expect(h, "n65535.example", "10.0.0.1");
	hosts_free(h);
	free(text);
}

static void test_size_bound(void **s)
{
	size_t n = HOSTS_TEXT_MAX + 1000;
	char *text = malloc(n + 1);
	struct hosts *h;

	(void)s;
	assert_non_null(text);
	memset(text, '#', n);
	text[n] = '\0';
	/* A line that the bound cuts in half must not count at all. */
	memcpy(text + 990, "\n9.9.9.9 half-line\n", 19);
	memcpy(text, "1.1.1.1 first\n", 14);
	memcpy(text + n - 14, "\n2.2.2.2 last\n", 14);
	h = parse(text);
	expect(h, "first", "");
	expect(h, "half-line", "");
	expect(h, "line", "");
	expect(h, "last", "2.2.2.2");
	hosts_free(h);
	free(text);
}

static void test_memfd(void **s)
{
	int fd = memfd_create("hosts", MFD_CLOEXEC);
	struct hosts *h = NULL;

	(void)s;
	assert_true(fd >= 0);
	assert_int_equal(hosts_read(fd, &h), 0);
	assert_int_equal(hosts_count(h), 0);
	hosts_free(h);
	/* This leaves the offset at the end: it must be read from 0. */
	assert_int_equal(write(fd, "1.2.3.4 a\n", 10), 10);
	assert_int_equal(hosts_read(fd, &h), 0);
	expect(h, "a", "1.2.3.4");
	hosts_free(h);
	assert_int_equal(ftruncate(fd, HOSTS_TEXT_MAX + 5000), 0);
	assert_int_equal(pwrite(fd, "\n5.6.7.8 tail\n", 14, HOSTS_TEXT_MAX + 5000 - 14), 14);
	assert_int_equal(hosts_read(fd, &h), 0);
	expect(h, "a", "");
	expect(h, "tail", "5.6.7.8");
	hosts_free(h);
	close(fd);
	assert_int_equal(hosts_read(-1, &h), -EBADF);
	assert_null(hosts_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_later_wins),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_no_final_newline_and_empty),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_name_bound),
		cmocka_unit_test(test_size_bound),
		cmocka_unit_test(test_memfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
