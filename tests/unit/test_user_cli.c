/* SPDX-License-Identifier: Apache-2.0 */
/* test_user_cli.c - help texts, option reading and its messages, exit statuses, status and list as
 * text. */
#include "user/safetext.h"
#include "user/status.h"
#include "user/usage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const names[] = {"run",    "exec",	"connect", "list",   "status",
				    "reload", "delete", "logs",	   "policy", "doctor"};

/* --------------------------------------------------------------------------------- captured -- */

/* What f prints to a stream, or to stderr. */
static char *printed(void (*f)(FILE *, const void *), const void *arg)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	f(out, arg);
	fclose(out);
	return text;
}

static char errors[1024];

static void errors_catch(int (*f)(void), int want)
{
	FILE *file = tmpfile(), *real = stderr;
	size_t n;

	assert_non_null(file);
	stderr = file;
	assert_int_equal(f(), want);
	stderr = real;
	rewind(file);
	n = fread(errors, 1, sizeof(errors) - 1, file);
	errors[n] = '\0';
	fclose(file);
}

/* ------------------------------------------------------------------------------------- help -- */

static void print_help(FILE *out, const void *name)
{
	usage_print(name, out);
}

static void test_help(void **state)
{
	char *all = printed(print_help, NULL), *unknown = printed(print_help, "nonsense");

	(void)state;
	assert_string_equal(all, unknown);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *one = printed(print_help, names[i]), start[64];

		assert_non_null(usage_summary(names[i]));
		assert_non_null(strstr(all, usage_summary(names[i])));
		snprintf(start, sizeof(start), "usage: osh-enforce %s", names[i]);
		assert_memory_equal(one, start, strlen(start));
		assert_non_null(strstr(one, "--help"));
		assert_int_equal(one[strlen(one) - 1], '\n');
		for (char *line = one, *nl; (nl = strchr(line, '\n')); line = nl + 1)
			assert_true(nl - line <= 96);
		free(one);
	}
	assert_null(usage_summary("nonsense"));
	assert_null(usage_summary(NULL));
	assert_null(usage_summary("__supervise"));
	free(all);
	free(unknown);
}

static void test_suggest(void **state)
{
	(void)state;
	assert_string_equal(usage_suggest("relod"), "reload");
	assert_string_equal(usage_suggest("rnu"), "run");
	assert_string_equal(usage_suggest("lgs"), "logs");
	assert_string_equal(usage_suggest("statsu"), "status");
	assert_null(usage_suggest("xyzzy"));
	assert_null(usage_suggest(""));
}

static void test_statuses(void **state)
{
	(void)state;
	assert_int_equal(usage_status("run"), 125);
	assert_int_equal(usage_status("exec"), 125);
	assert_int_equal(usage_status("connect"), 125);
	assert_int_equal(usage_status("logs"), 2);
	assert_int_equal(usage_status(""), 2);
	assert_int_equal(usage_status(NULL), 2);
}

/* ---------------------------------------------------------------------------------- options -- */

static const struct option longopts[] = {
	{"policy", required_argument, NULL, 256},
	{"wait", no_argument, NULL, 257},
	{"verbose", no_argument, NULL, 'v'},
	{"workdir", required_argument, NULL, 'w'},
	{NULL, 0, NULL, 0},
};

static char **args;
static const char *shorts = "vw:";

static int one_option(void)
{
	int argc = 0;

	while (args[argc])
		argc++;
	optind = 0; /* glibc: start anew */
	return usage_getopt(argc, args, shorts, longopts);
}

#define ARGS(...)                                                                                  \
	(char *[])                                                                                 \
	{                                                                                          \
		(char *)"reload", __VA_ARGS__, NULL                                                \
	}
#define A(s) (char *)(s)

static void test_getopt_good(void **state)
{
	(void)state;
	args = ARGS(A("--policy"), A("f.yaml"));
	errors_catch(one_option, 256);
	assert_string_equal(optarg, "f.yaml");
	args = ARGS(A("--policy=f.yaml"));
	errors_catch(one_option, 256);
	assert_string_equal(optarg, "f.yaml");
	args = ARGS(A("--pol=f.yaml")); /* abbreviated, as GNU does */
	errors_catch(one_option, 256);
	args = ARGS(A("-v"));
	errors_catch(one_option, 'v');
	args = ARGS(A("demo"), A("--wait"));
	errors_catch(one_option, 257);
	shorts = "+vw:";
	errors_catch(one_option, -1); /* ends at the first operand */
	shorts = "vw:";
	assert_string_equal(errors, "");
	args = ARGS(A("--"), A("--nonsense"));
	errors_catch(one_option, -1);
	assert_string_equal(errors, "");
}

static void test_getopt_bad(void **state)
{
	static const char help[] = "Try: osh-enforce reload --help\n";
	const struct {
		char **args;
		const char *message;
	} cases[] = {
		{ARGS(A("--polcy"), A("x")), "unknown option '--polcy' (did you mean '--policy'?)"},
		{ARGS(A("--polcy=x")), "unknown option '--polcy' (did you mean '--policy'?)"},
		{ARGS(A("--nonsense")), "unknown option '--nonsense'"},
		{ARGS(A("demo"), A("--nonsense")), "unknown option '--nonsense'"},
		{ARGS(A("-x")), "unknown option '-x'"},
		{ARGS(A("-xv")), "unknown option '-x'"},
		{ARGS(A("--policy")), "option '--policy' needs a value"},
		{ARGS(A("--workdir")), "option '--workdir' needs a value"},
		{ARGS(A("-w")), "option '--workdir' needs a value"},
		{ARGS(A("--wait=5")), "option '--wait' takes no value"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[256];

		args = cases[i].args;
		errors_catch(one_option, '?');
		snprintf(want, sizeof(want), "osh-enforce reload: %s\n%s", cases[i].message, help);
		assert_string_equal(errors, want);
	}
}

static int choose_yaml(void)
{
	return usage_choice("list", "format", "yaml", "text", "json");
}

static void test_choice(void **state)
{
	(void)state;
	assert_int_equal(usage_choice("list", "format", "text", "text", "json"), 0);
	assert_int_equal(usage_choice("list", "format", "json", "text", "json"), 1);
	errors_catch(choose_yaml, -EINVAL);
	assert_non_null(
		strstr(errors, "osh-enforce list: --format: 'yaml' is neither text nor json\n"));
}

/* ----------------------------------------------------------------------------------- status -- */

static void test_duration_text(void **state)
{
	static const struct {
		int64_t s;
		const char *want;
	} cases[] = {{-5, "0s"},	 {0, "0s"},	   {59, "59s"},
		     {60, "1m"},	 {3599, "59m"},	   {3600, "1h 0m"},
		     {86399, "23h 59m"}, {86400, "1d 0h"}, {90000, "1d 1h"}};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		duration_text(cases[i].s, text, sizeof(text));
		assert_string_equal(text, cases[i].want);
	}
}

#define NOW 1893456000

static void print_status(FILE *out, const void *json)
{
	json_t *reply = json_loads(json, 0, NULL);
	json_t *st = status_normalise("demo", reply, STATUS_RUNNING);

	assert_non_null(st);
	status_print(st, NOW, out);
	json_decref(st);
	json_decref(reply);
}

static void test_status(void **state)
{
	char *text = printed(
		print_status,
		"{\"name\":\"demo\",\"state\":\"running\",\"pid\":10,\"proxy_pid\":11,\"proxy_"
		"restarts\":0,"
		"\"init_pid\":12,\"user\":\"ann\",\"uid\":1000,\"keep\":true,\"started\":"
		"1893452400,"
		"\"policy_path\":\"/p/a.yaml\",\"revision\":3,\"generation\":3,\"hash\":\"ab12\","
		"\"policy_loaded\":1893455700,\"commands\":2,\"natives\":1,\"names\":4,\"paths\":9,"
		"\"events_lost\":0,\"layers\":{\"landlock\":\"ABI 7\",\"lsm\":\"no\"},"
		"\"warnings\":[\"/nonexistent: skipped\"]}");

	(void)state;
	assert_string_equal(
		text,
		"demo: running for 1h 0m, kept until deleted\n"
		"  user         ann (uid 1000)\n"
		"  policy       /p/a.yaml\n"
		"  sha256       ab12\n"
		"  revision     number 3, generation 3\n"
		"  loaded       2029-12-31T23:55:00Z (5m ago)\n"
		"  processes    supervisor 10, proxy 11, init 12, proxy restarts 0\n"
		"  now          commands 2, native connections 1, names 4, executables seen 9\n"
		"  events lost  0\n"
		"  layers\n"
		"    landlock ABI 7\n"
		"    lsm      no\n"
		"  warning      /nonexistent: skipped\n");
	free(text);
}

/* Keys that are missing or of another type are left out; nothing of a reply reaches the terminal
 * raw. */
static void test_status_tolerant(void **state)
{
	static const char *const replies[] = {
		"{}",
		"[]",
		"null",
		"{\"pid\":\"x\",\"layers\":[],\"warnings\":{},\"user\":7,\"started\":null}",
		"{\"layers\":{\"a\":1},\"warnings\":[1,null]}",
		"{\"started\":9223372036854775807}",
		"{\"started\":-9223372036854775807}",
		"{\"policy_loaded\":-9223372036854775807}"};
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		text = printed(print_status, replies[i]);
		assert_memory_equal(text, "demo: running", strlen("demo: running"));
		free(text);
	}
	text = printed(print_status,
		       "{\"policy_path\":\"/a\\u001b[2J\\nb\",\"warnings\":[\"\\u009b\\u202e\"]}");
	assert_non_null(strstr(text, "  policy       /a\\x1b[2J\\x0ab\n"));
	assert_null(strchr(text, '\033'));
	assert_null(strstr(text, "\xc2\x9b"));
	free(text);
}

static void print_list(FILE *out, const void *json)
{
	json_t *list = json_loads(json, 0, NULL);

	assert_non_null(list);
	status_print_list(list, NOW, out);
	json_decref(list);
}

static void test_list(void **state)
{
	char *text =
		printed(print_list, "[{\"name\":\"a\",\"state\":\"running\",\"user\":\"ann\","
				    "\"policy_path\":\"/p/x.yaml\","
				    "\"revision\":12,\"hash\":\"0123456789abcdef\",\"commands\":1,"
				    "\"started\":1893455990},"
				    "{\"name\":\"long-name\",\"state\":\"dead\"},"
				    "{\"name\":\"c\",\"state\":\"running\",\"policy_path\":\"\","
				    "\"revision\":2,\"global\":7}]");

	(void)state;
	assert_string_equal(text,
			    "NAME       STATE    USER  POLICY      REVISION      SHA256        COMMANDS  UPTIME\n"
			    "a          running  ann   /p/x.yaml   12            0123456789ab  1         10s\n"
			    "long-name  dead     -     -           -             -             -         -\n"
			    "c          running  -     (built in)  2 (global 7)  -             -         -\n");
	free(text);
	text = printed(print_list, "[]");
	assert_string_equal(text, "NAME  STATE  USER  POLICY  REVISION  SHA256  COMMANDS  UPTIME\n");
	free(text);
}

static void print_as_json(FILE *out, const void *json)
{
	json_t *v = json_loads(json, 0, NULL);

	assert_int_equal(status_print_json(v, out), 0);
	json_decref(v);
}

static void test_json(void **state)
{
	char *text = printed(print_as_json, "{\"a\":\"\\u009b\\u202e\\u001b\"}");
	json_t *again = json_loads(text, 0, NULL);

	(void)state;
	assert_non_null(again);
	json_decref(again);
	for (char *p = text; *p; p++)
		assert_true((*p >= 0x20 && *p < 0x7f) || *p == '\n');
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_getopt_good),
		cmocka_unit_test(test_getopt_bad),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_duration_text),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_tolerant),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
