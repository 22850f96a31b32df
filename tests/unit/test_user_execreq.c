/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_execreq.c - requests and environments: round trips, damage, merging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/blob.h"
#include "user/execreq.h"
#include "user/strv.h"

#include <fcntl.h>

static char *argv_[] = {(char *)"git",	       (char *)"commit", (char *)"-m",
			(char *)"two words\n", (char *)"",	 NULL};
static char *env_[] = {(char *)"TERM=xterm", (char *)"A=", (char *)"LC_ALL=C.UTF-8", NULL};

static char *blob_of(const struct exec_request *r, size_t *n)
{
	char *bytes = NULL;
	int fd = -1;

	assert_int_equal(exec_request_to_memfd(r, &fd), 0);
	assert_int_equal(read_whole_fd(fd, EXECREQ_SIZE_MAX, &bytes, n), 0);
	close(fd);
	return bytes;
}

static struct slice slice_of(const char *p, size_t n)
{
	return (struct slice){(const uint8_t *)p, n};
}

static void round_trip(void **state)
{
	struct exec_request in = {.flags = EXECREQ_BACKGROUND,
				  .umask = 077,
				  .cwd = (char *)"/work",
				  .argv = argv_,
				  .env = env_};
	struct exec_request out;
	size_t n;
	char *bytes = blob_of(&in, &n);

	(void)state;
	assert_int_equal(exec_request_parse(slice_of(bytes, n), &out), 0);
	assert_int_equal(out.flags, EXECREQ_BACKGROUND);
	assert_int_equal(out.umask, 077);
	assert_string_equal(out.cwd, "/work");
	assert_int_equal(strv_len(out.argv), 5);
	assert_string_equal(out.argv[3], "two words\n");
	assert_string_equal(out.argv[4], "");
	assert_string_equal(out.env[2], "LC_ALL=C.UTF-8");
	exec_request_done(&out);
	free(bytes);
}

static void sealed(void **state)
{
	struct exec_request in = {.argv = argv_};
	int fd;

	(void)state;
	assert_int_equal(exec_request_to_memfd(&in, &fd), 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

static void refuse(const struct exec_request *r)
{
	struct exec_request out;
	size_t n;
	char *bytes = blob_of(r, &n);

	assert_int_equal(exec_request_parse(slice_of(bytes, n), &out), -EBADMSG);
	free(bytes);
}

static void nonsense_refused(void **state)
{
	char *none[] = {NULL}, *empty[] = {(char *)"", NULL}, *bad_env[] = {(char *)"1A=x", NULL},
	     *no_equals[] = {(char *)"PATH", NULL};

	(void)state;
	refuse(&(struct exec_request){.argv = none});
	refuse(&(struct exec_request){.argv = empty});
	refuse(&(struct exec_request){.argv = argv_, .cwd = (char *)"relative"});
	refuse(&(struct exec_request){.argv = argv_, .umask = 01000});
	refuse(&(struct exec_request){.argv = argv_, .flags = 1u << 31});
	refuse(&(struct exec_request){.argv = argv_, .env = bad_env});
	refuse(&(struct exec_request){.argv = argv_, .env = no_equals});
}

/* Every prefix is refused; every changed byte is refused or gives a request that is in bounds. */
static void damage(void **state)
{
	struct exec_request in = {.cwd = (char *)"/", .argv = argv_, .env = env_}, out;
	size_t n;
	char *bytes = blob_of(&in, &n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char *copy = malloc(i ? i : 1); /* so that a read beyond is seen */

		memcpy(copy, bytes, i);
		assert_int_equal(exec_request_parse(slice_of(copy, i), &out), -EBADMSG);
		free(copy);
	}
	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			bytes[i] = (char)(bytes[i] ^ (1 << bit));
			if (exec_request_parse(slice_of(bytes, n), &out) == 0)
				exec_request_done(&out);
			bytes[i] = (char)(bytes[i] ^ (1 << bit));
		}
	free(bytes);
}

static void huge_counts(void **state)
{
	const uint8_t bytes[] = {0x45, 0x58, 0x51, 0x31, 0,    0,    0,	   0,	 0,    0,
				 0,    0,    0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff};
	struct exec_request out;

	(void)state;
	assert_int_equal(exec_request_parse((struct slice){bytes, sizeof(bytes)}, &out), -EBADMSG);
}

static void merging(void **state)
{
	char *base[] = {(char *)"A=1", (char *)"AB=2", (char *)"C=3", NULL},
	     *over[] = {(char *)"A=9", (char *)"D=", NULL};
	char **env = env_merge(base, over);

	(void)state;
	assert_int_equal(strv_len(env), 4);
	assert_string_equal(env_value(env, "A"), "9");
	assert_string_equal(env_value(env, "AB"), "2");
	assert_string_equal(env_value(env, "D"), "");
	assert_null(env_value(env, "B"));
	strv_free(env);
	env = env_merge(NULL, NULL);
	assert_non_null(env);
	assert_null(env[0]);
	strv_free(env);
}

static void names(void **state)
{
	(void)state;
	assert_true(env_valid("A=b"));
	assert_true(env_valid("_a9="));
	assert_false(env_valid("=b"));
	assert_false(env_valid("A"));
	assert_false(env_valid("9A=b"));
	assert_false(env_valid("A-B=c"));
	assert_false(env_valid(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(sealed),
		cmocka_unit_test(nonsense_refused),
		cmocka_unit_test(damage),
		cmocka_unit_test(huge_counts),
		cmocka_unit_test(merging),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
