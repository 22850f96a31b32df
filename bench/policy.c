/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - what a policy of N rules costs: to compile, and to decide under.
 *
 *     policy tables                     all tables
 *     policy decide                     the first: decisions
 *     policy compile [SHAPE [N]]        one row (or all shapes) of the second: compiling
 *     policy text SHAPE N               the policy itself
 *     policy nasty [NAME [BYTES]]       what the worst inputs cost; 1: one was not refused as it should be
 *
 * Each compilation runs in a process of its own, so that its peak memory is its own.  Times are
 * medians; nothing here fails for being slow.
 */
#include "tests/policy_texts.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static char *make_text(const struct shape *s, unsigned int n, size_t *ret_n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_n);

	if (!f)
		abort();
	s->text(f, n);
	if (fclose(f))
		abort();
	return text;
}

/* ------------------------------------------------------------------------------ compile -- */

/* CPU time, which is the same as time where nothing else runs, and less disturbed by what does. */
static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int cmp_double(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;

	return a < b ? -1 : a > b;
}

static double median(double *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), cmp_double);
	return v[n / 2];
}

/* Text to a validated image; ends the process when that fails. */
static uint8_t *compile(const struct shape *s, unsigned int n, struct image *ret, double *ret_ms)
{
	struct policy_diags d = {0};
	struct policy *p = NULL;
	uint8_t *image = NULL;
	size_t text_n, size;
	char *text = make_text(s, n, &text_n);
	uint64_t start = now_ns();
	int r = policy_parse((struct slice){(const uint8_t *)text, text_n}, &d, &p);

	if (r == 0)
		r = policy_compile(p, &d, &image, &size);
	policy_free(p);
	if (r == 0)
		r = image_open(ret, image, size);
	if (r < 0) {
		policy_diags_print(&d, s->name, stderr);
		exit(1);
	}
	*ret_ms = (double)(now_ns() - start) / 1e6;
	policy_diags_done(&d);
	free(text);
	return image;
}

struct cost {
	double ms, peak_mib, image_mib;
};

/* One compilation in a process of its own; ms 0: it failed. */
static struct cost compile_once(const struct shape *s, unsigned int n)
{
	struct cost c = {0};
	struct rusage u;
	int fd[2], status;
	pid_t pid;

	fflush(NULL);
	if (pipe(fd) < 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		struct image img;

		free(compile(s, n, &img, &c.ms));
		c.image_mib = (double)img.n / 1048576;
		_exit(write(fd[1], &c, sizeof(c)) != sizeof(c));
	}
	close(fd[1]);
	if (read(fd[0], &c, sizeof(c)) != sizeof(c))
		c = (struct cost){0};
	close(fd[0]);
	if (wait4(pid, &status, 0, &u) < 0)
		abort();
	c.peak_mib = (double)u.ru_maxrss / 1024;
	return c;
}

static void compile_row(const struct shape *s, unsigned int n, unsigned int rounds)
{
	double ms[64];
	struct cost c = {0};

	for (unsigned int i = 0; i < rounds; i++) {
		c = compile_once(s, n);
		ms[i] = c.ms;
	}
	if (c.ms == 0.0)
		printf("%-44s %8u  failed\n", s->what, n);
	else
		printf("%-44s %8u %10.1f ms %8.1f MiB %8.1f MiB\n", s->what, n, median(ms, rounds),
		       c.peak_mib, c.image_mib);
}

static const struct shape *find_shape(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(policy_shapes); i++)
		if (strcmp(policy_shapes[i].name, name) == 0)
			return &policy_shapes[i];
	fprintf(stderr, "no shape '%s'\n", name);
	exit(2);
}

static void compile_table(unsigned int rounds)
{
	static const unsigned int counts[] = {10, 100, 1000, 10000, 100000};

	printf("%-44s %8s %13s %12s %12s\n", "compile: check, compile, validate", "number", "time",
	       "peak memory", "image");
	for (size_t i = 0; i < ARRAY_LEN(policy_shapes); i++)
		for (size_t k = 0; k < ARRAY_LEN(counts); k++)
			compile_row(&policy_shapes[i], counts[k], rounds);
	printf("%-44s %8s %13s %12s\n", "aim", "100000", "1000.0 ms", "256.0 MiB");
}

/* ------------------------------------------------------------------------------- decide -- */

#define QUESTIONS 8192
#define BATCHES 41

/* A question that rule number i of the shape answers. */
struct question {
	char host[40], path[24];
	struct dest dest;
	struct connect_decision connect;
};

enum subject { CONNECT_TO_HOST, CONNECT_TO_PATTERN, REQUEST_OF_ONE, REQUEST_OF_MANY };

static void question_make(struct question *q, enum subject s, unsigned int i)
{
	static const char *const tails[] = {"", "/abc", "/abc", "/ab/x"};
	static const char *const wild[] = {"h%05u.example.com",	    "abcdef.w%05u.example.com",
					   "e%05u.example.com",	    "ab.cd.d%05u.example.com",
					   "f%05u.example.com",	    "a-bcdef.p%05u.exa.com"};

	*q = (struct question){.host = "api.example.com"};
	if (s == CONNECT_TO_PATTERN)
		(void)snprintf(q->host, sizeof(q->host), wild[i % ARRAY_LEN(wild)], i);
	else if (s != REQUEST_OF_ONE)
		(void)snprintf(q->host, sizeof(q->host), "h%05u.example.com",
			       s == REQUEST_OF_MANY ? i / 100 : i);
	(void)snprintf(q->path, sizeof(q->path), "/r%05u%s", i, tails[i / 3 % ARRAY_LEN(tails)]);
	dest_from_text(&q->dest, slice_str(q->host), 443);
}

static bool ask_request(const struct image *img, const struct question *q, unsigned int i)
{
	static const char *const methods[] = {"GET", "PUT", "POST"};
	struct request_decision d;

	image_decide_request(img, &q->connect,
			     &(struct request){slice_str(methods[i % ARRAY_LEN(methods)]),
					       slice_str(q->path), NULL, 0},
			     &d);
	return d.verdict == REQUEST_ALLOW;
}

/* One batch: ns for each question.  Ends the program when an answer is not the right one. */
static double ask_all(const struct image *img, const struct block_bits *caller, enum subject s,
		      struct question *q, const unsigned int *rule)
{
	uint64_t start = now_ns();
	unsigned int good = 0;

	for (unsigned int i = 0; i < QUESTIONS; i++) {
		if (s >= REQUEST_OF_ONE) {
			good += ask_request(img, &q[i], rule[i]);
			continue;
		}
		image_decide_connect(img, caller, &q[i].dest, &q[i].connect);
		good += q[i].connect.verdict == CONNECT_NATIVE;
	}
	if (good != QUESTIONS) {
		fprintf(stderr, "%u of %u answers are wrong\n", QUESTIONS - good, QUESTIONS);
		exit(1);
	}
	return (double)(now_ns() - start) / QUESTIONS;
}

/* Questions about `asked` of the n rules. */
static double decide_time(const struct image *img, enum subject s, unsigned int n, unsigned int asked)
{
	const struct ident_paths id = {.exe = SLICE_LIT("/b/a")};
	struct question *q = calloc(QUESTIONS, sizeof(*q));
	unsigned int *rule = calloc(QUESTIONS, sizeof(*rule));
	struct block_bits caller;
	double ns[BATCHES], m;

	if (!q || !rule)
		abort();
	image_ident_bits(img, &id, &caller);
	for (unsigned int i = 0; i < QUESTIONS; i++) {
		rule[i] = nasty_random(asked) * (n / asked);
		question_make(&q[i], s, rule[i]);
		image_decide_connect(img, &caller, &q[i].dest, &q[i].connect);
	}
	for (unsigned int b = 0; b < BATCHES; b++)
		ns[b] = ask_all(img, &caller, s, q, rule);
	m = median(ns, BATCHES);
	free(q);
	free(rule);
	return m;
}

static void decide_table(void)
{
	static const struct {
		const char *what, *shape;
		enum subject subject;
	} rows[] = {
		{"request, rules of one endpoint", "rules", REQUEST_OF_ONE},
		{"request, a hundred rules for each host", "spread", REQUEST_OF_MANY},
		{"connect, hosts", "hosts", CONNECT_TO_HOST},
		{"connect, half of the hosts patterns", "wild", CONNECT_TO_PATTERN},
	};

	printf("%-44s %8s %20s %8s %20s %8s\n", "decide, in user space", "number", "all asked",
	       "ratio", "ten of them asked", "ratio");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		double all0 = 0, ten0 = 0;

		for (unsigned int n = 10; n <= 100000; n *= 10) {
			struct image img;
			double ms, all, ten;
			uint8_t *image = compile(find_shape(rows[i].shape), n, &img, &ms);

			all = decide_time(&img, rows[i].subject, n, n);
			ten = decide_time(&img, rows[i].subject, n, 10);
			all0 = n == 10 ? all : all0;
			ten0 = n == 10 ? ten : ten0;
			printf("%-44s %8u %17.0f ns %8.2f %17.0f ns %8.2f\n", rows[i].what, n, all,
			       all / all0, ten, ten / ten0);
			free(image);
		}
	}
	printf("%-44s %8s %20s\n", "aim", "100000", "1000 ns");
}

/* -------------------------------------------------------------------------------- nasty -- */

#define NASTY_MEMORY (512ul << 20)

/* Checks and compiles one nasty text where memory ends at NASTY_MEMORY.  Any answer will do, but not
 * "out of memory", and a refusal names its line. */
static int nasty_child(const struct nasty *t, size_t bytes)
{
	const struct rlimit limit = {NASTY_MEMORY, NASTY_MEMORY};
	struct policy_diags d = {0};
	struct policy *p = NULL;
	uint8_t *image = NULL;
	size_t text_n, size = 0, i;
	char *text = NULL;
	FILE *f = open_memstream(&text, &text_n);
	uint64_t start;
	int r;

	t->text(f, bytes);
	fclose(f);
	setrlimit(RLIMIT_AS, &limit);
	start = now_ns();
	r = policy_parse((struct slice){(const uint8_t *)text, text_n}, &d, &p);
	if (r == 0)
		r = policy_compile(p, &d, &image, &size);
	printf("%-16s %8.0f kB %7.0f ms ", t->name, (double)text_n / 1024,
	       (double)(now_ns() - start) / 1e6);
	for (i = 0; i < d.n && d.v[i].severity != POLICY_ERROR; i++)
		;
	if (r == 0)
		printf("compiles to %zu MiB", size >> 20);
	else if (i < d.n)
		printf("line %d: %s", d.v[i].line, d.v[i].message);
	else
		printf("%s", strerror(-r));
	fflush(stdout);
	return r != 0 && (i == d.n || d.v[i].line <= 0);
}

static bool nasty_row(const struct nasty *t, size_t bytes)
{
	struct rusage u;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(nasty_child(t, bytes));
	if (pid < 0 || wait4(pid, &status, 0, &u) < 0)
		abort();
	printf(" [%ld MiB]%s\n", u.ru_maxrss / 1024, status ? " FAILED" : "");
	return status == 0;
}

static int nasty(const char *name, size_t bytes)
{
	bool good = true;

	for (size_t i = 0; i < ARRAY_LEN(policy_nasties); i++)
		if (!name || strcmp(name, policy_nasties[i].name) == 0)
			good &= nasty_row(&policy_nasties[i], bytes);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "tables";
	unsigned int n = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 100000;

	if (strcmp(what, "text") == 0 && argc > 2) {
		find_shape(argv[2])->text(stdout, n);
	} else if (strcmp(what, "compile") == 0) {
		for (size_t i = 0; i < ARRAY_LEN(policy_shapes); i++)
			if (argc < 3 || &policy_shapes[i] == find_shape(argv[2]))
				compile_row(&policy_shapes[i], n, 5);
	} else if (strcmp(what, "nasty") == 0) {
		return nasty(argc > 2 ? argv[2] : NULL, argc > 3 ? n : POLICY_TEXT_MAX);
	} else if (strcmp(what, "tables") == 0) {
		compile_table(5); /* first: what the other leaves behind would count as theirs */
		printf("\n");
		decide_table();
	} else if (strcmp(what, "decide") == 0) {
		decide_table();
	} else {
		return 2;
	}
	return 0;
}
