/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swap.c - load for the test of policy swaps (66-swap.sh), and the judge of what came out.
 *
 *   swap serve PORT HTTPPORT               in the server's namespace: accepts; answers every HTTP request with 200
 *   swap load OUT SECONDS RATE TARGET...   connects, RATE a second (0: as fast as it can)
 *   swap burst OUT N TARGET...             N connects, then ends: for programs that come and go
 *   swap spawn OUT SECONDS BIN TARGET...   runs `BIN burst` again and again
 *   swap http OUT SECONDS once|keep HOST PORT  one request a connection, or one connection for as long as it lasts
 *   swap names SECONDS NAME...             resolves them again and again, and names that nobody knows
 *   swap judge OUT SWAPS                   compares the recorded outcomes with the generations then in force
 *   swap log DIR                           follows the log's segments until SIGTERM, then counts lines by what they say
 *
 * TARGET is KIND,HOST,PORT.  KIND: b both policies allow it, n neither does, d only odd generations do.  Every outcome
 * is recorded with the times before and after the call; SWAPS has a line `GENERATION LO HI`: its store was between.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum outcome { YES, NO, OTHER }; /* let through, refused by the policy, anything else (errno beside it) */

struct record {
	uint64_t t0, t1;
	uint32_t pid;
	char kind;
	uint8_t outcome, http;
	uint8_t error;
};

static void die(const char *what)
{
	fprintf(stderr, "swap: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---------------------------------------------------------------------------------------- recording -- */

static struct record buffer[2048];
static size_t buffered;
static int out_fd = -1;

static void flush(void)
{
	size_t n = buffered * sizeof(buffer[0]);

	if (n && write(out_fd, buffer, n) != (ssize_t)n)
		die("write");
	buffered = 0;
}

static void record(char kind, bool http, uint64_t t0, enum outcome o, int error)
{
	buffer[buffered++] = (struct record){
		.t0 = t0, .t1 = now(), .pid = (uint32_t)getpid(), .kind = kind, .outcome = (uint8_t)o, .http = http,
		.error = (uint8_t)error};
	if (buffered == sizeof(buffer) / sizeof(buffer[0]))
		flush();
}

static void record_to(const char *path)
{
	out_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (out_fd < 0)
		die(path);
}

/* ----------------------------------------------------------------------------------------- connects -- */

struct target {
	char kind;
	struct sockaddr_storage a;
	socklen_t n;
};

static bool lookup(const char *host, const char *port, struct target *ret)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;

	hints.ai_family = strchr(host, ':') ? AF_INET6 : AF_INET;
	if (getaddrinfo(host, port, &hints, &ai) != 0)
		return false;
	memcpy(&ret->a, ai->ai_addr, ai->ai_addrlen);
	ret->n = ai->ai_addrlen;
	freeaddrinfo(ai);
	return true;
}

static size_t targets(char **argv, size_t n, struct target *t)
{
	for (size_t i = 0; i < n; i++) {
		char kind, host[256], port[8];

		if (sscanf(argv[i], "%c,%255[^,],%7s", &kind, host, port) != 3)
			exit(2);
		t[i].kind = kind;
		if (!lookup(host, port, &t[i]))
			die(host);
	}
	return n;
}

static int tcp_socket(int family)
{
	struct linger reset = {1, 0}; /* no TIME_WAIT: ports last for any number of connects */
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

/* A refused connect leaves the socket as it was: it serves for the next. */
static void attempt(const struct target *t)
{
	static int fds[2] = {-1, -1};
	int *fd = &fds[t->a.ss_family == AF_INET6];
	enum outcome o;
	uint64_t t0;

	if (*fd < 0)
		*fd = tcp_socket(t->a.ss_family);
	t0 = now();
	o = connect(*fd, (const struct sockaddr *)&t->a, t->n) == 0 ? YES : errno == EPERM ? NO : OTHER;
	record(t->kind, false, t0, o, o == YES ? 0 : errno);
	if (o != NO) {
		close(*fd);
		*fd = -1;
	}
}

static void load(double seconds, double rate, const struct target *t, size_t n)
{
	uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9), i = 0;

	while (now() < end) {
		attempt(&t[i++ % n]);
		if (rate > 0 && i % 16 == 0) {
			uint64_t due = start + (uint64_t)((double)i / rate * 1e9), at = now();

			if (due > at)
				nanosleep(&(struct timespec){(time_t)((due - at) / 1000000000), (long)((due - at) % 1000000000)}, NULL);
		}
	}
	flush();
}

static void spawn(double seconds, char **argv)
{
	uint64_t end = now() + (uint64_t)(seconds * 1e9);
	char *words[64] = {argv[1], "burst", argv[0], "20"};
	unsigned n = 0;

	for (size_t i = 2; argv[i] && i < 58; i++)
		words[i + 2] = argv[i];
	while (now() < end) {
		pid_t pid = fork();

		if (pid == 0) {
			execv(words[0], words);
			_exit(127);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
		n++;
	}
	printf("%u programs run\n", n);
}

static void names(double seconds, char **argv)
{
	uint64_t end = now() + (uint64_t)(seconds * 1e9);
	struct target a;
	unsigned n = 0;

	for (; now() < end; n++) {
		char nobody[64];

		for (size_t i = 0; argv[i]; i++)
			if (!lookup(argv[i], "1", &a))
				printf("%s was not resolved\n", argv[i]);
		snprintf(nobody, sizeof(nobody), "n%u.nobody.test", n % 2000);
		(void)lookup(nobody, "1", &a);
		usleep(2000);
	}
	printf("%u rounds of names\n", n);
}

/* -------------------------------------------------------------------------------------------- requests -- */

/* Status of the answer, -1 when the connection ended. */
static int exchange(int fd, const char *host, const char *path)
{
	char q[512], r[65536];
	size_t got = 0;
	int n = snprintf(q, sizeof(q), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host), status;
	char *head, *field;

	if (send(fd, q, (size_t)n, MSG_NOSIGNAL) != n)
		return -1;
	for (;;) {
		ssize_t k = recv(fd, r + got, sizeof(r) - 1 - got, 0);

		if (k <= 0) {
			if (k == 0)
				errno = EPIPE;
			return -1;
		}
		got += (size_t)k;
		r[got] = 0;
		head = strstr(r, "\r\n\r\n");
		field = head ? strcasestr(r, "content-length:") : NULL;
		if (field && got >= (size_t)(head + 4 - r) + (size_t)atol(field + 15))
			break;
	}
	return sscanf(r, "HTTP/1.%*d %d", &status) == 1 ? status : -1;
}

static void http(double seconds, bool keep, const char *host, const char *port)
{
	static const char kinds[] = "bnd", *const paths[] = {"/both", "/never", "/differs"};
	uint64_t end = now() + (uint64_t)(seconds * 1e9), t0;
	char name[300];
	struct target a;
	unsigned flows = 0;
	int fd = -1, status;

	snprintf(name, sizeof(name), "%s:%s", host, port);
	if (!lookup(host, port, &a))
		die(host);
	for (unsigned i = 0; now() < end; i++) {
		t0 = now();
		if (fd < 0) {
			fd = tcp_socket(AF_INET);
			flows++;
			if (connect(fd, (struct sockaddr *)&a.a, a.n) < 0) {
				record(kinds[i % 3], true, t0, OTHER, errno);
				close(fd);
				fd = -1;
				continue;
			}
		}
		status = exchange(fd, name, paths[i % 3]);
		record(kinds[i % 3], true, t0, status == 200 ? YES : status == 403 ? NO : OTHER, status < 0 ? errno : 0);
		if (!keep || status < 0) {
			close(fd);
			fd = -1;
		}
	}
	flush();
	printf("%u flows\n", flows);
}

/* ---------------------------------------------------------------------------------------------- server -- */

static int listener(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static void *answer(void *arg)
{
	static const char yes[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
	int fd = (int)(intptr_t)arg;
	char r[16384];
	size_t got = 0;
	ssize_t k;

	while ((k = recv(fd, r + got, sizeof(r) - 1 - got, 0)) > 0) {
		char *end;

		got += (size_t)k;
		r[got] = 0;
		while ((end = strstr(r, "\r\n\r\n"))) {
			got -= (size_t)(end + 4 - r);
			memmove(r, end + 4, got + 1);
			if (send(fd, yes, sizeof(yes) - 1, MSG_NOSIGNAL) < 0)
				break;
		}
		if (got == sizeof(r) - 1)
			break;
	}
	close(fd);
	return NULL;
}

static void *serve_http(void *arg)
{
	int l = *(int *)arg;

	for (;;) {
		int c = accept(l, NULL, NULL), one = 1;
		pthread_t t;

		if (c < 0)
			continue;
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&t, NULL, answer, (void *)(intptr_t)c) == 0)
			pthread_detach(t);
		else
			close(c);
	}
	return NULL;
}

_Noreturn static void serve(const char *port, const char *http_port)
{
	int l = listener(port), h = listener(http_port);
	pthread_t t;

	pthread_create(&t, NULL, serve_http, &h);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int c = accept(l, NULL, NULL);

		if (c >= 0)
			close(c);
	}
}

/* --------------------------------------------------------------------------------------------- judging -- */

struct swap {
	unsigned long long gen, lo, hi;
};

static struct swap *swaps;
static size_t nswaps;

static void read_swaps(const char *path)
{
	FILE *f = fopen(path, "re");
	struct swap s;

	if (!f)
		die(path);
	while (fscanf(f, "%llu %llu %llu", &s.gen, &s.lo, &s.hi) == 3) {
		swaps = realloc(swaps, (nswaps + 1) * sizeof(*swaps));
		swaps[nswaps++] = s;
	}
	fclose(f);
}

static int by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct record *)a)->t0, y = ((const struct record *)b)->t0;

	return (x > y) - (x < y);
}

/* Would a generation that may have been in force during the call have given this? */
static bool explained(const struct record *r, size_t first, bool *ret_crossed)
{
	bool good = false;
	size_t n = 0;

	for (size_t i = first; i < nswaps && swaps[i].lo <= r->t1; i++) {
		bool yes = r->kind == 'b' || (r->kind == 'd' && swaps[i].gen % 2);

		if (i + 1 < nswaps && swaps[i + 1].hi < r->t0)
			continue;
		n++;
		good |= r->outcome == (yes ? YES : NO);
	}
	*ret_crossed = n > 1;
	/* What the new policy does not admit may be cut in the middle. */
	if (r->outcome == OTHER && r->kind == 'd' && n > 1)
		good = true;
	return good;
}

static int judge(const char *out, const char *swaps_path)
{
	unsigned long count[2][3][3] = {{{0}}}, bad = 0, crossed = 0;
	int fd = open(out, O_RDONLY | O_CLOEXEC);
	struct record *v;
	struct stat st;
	size_t n, first = 0;

	read_swaps(swaps_path);
	if (fd < 0 || fstat(fd, &st) < 0 || !(v = malloc((size_t)st.st_size + 1)))
		die(out);
	for (size_t got = 0; got < (size_t)st.st_size;) {
		ssize_t k = read(fd, (char *)v + got, (size_t)st.st_size - got);

		if (k <= 0)
			die(out);
		got += (size_t)k;
	}
	n = (size_t)st.st_size / sizeof(*v);
	qsort(v, n, sizeof(*v), by_start);
	for (size_t i = 0; i < n; i++) {
		const struct record *r = &v[i];
		bool over;

		while (first + 1 < nswaps && swaps[first + 1].hi < r->t0)
			first++;
		count[r->http][r->kind == 'b' ? 0 : r->kind == 'n' ? 1 : 2][r->outcome]++;
		if (!explained(r, first, &over)) {
			if (bad++ < 20)
				printf("wrong: %s kind=%c outcome=%s errno=%d pid=%u generation=%llu +%.3f ms took %.3f ms crossed=%d\n",
				       r->http ? "request" : "connect", r->kind,
				       r->outcome == YES ? "allowed" : r->outcome == NO ? "refused" : "other", r->error, r->pid,
				       swaps[first].gen, (double)(r->t0 - swaps[first].hi) / 1e6,
				       (double)(r->t1 - r->t0) / 1e6, over);
		}
		crossed += over;
	}
	for (int h = 0; h < 2; h++)
		for (int k = 0; k < 3; k++)
			printf("%s %s: allowed %lu refused %lu other %lu\n", h ? "requests" : "connects",
			       k == 0 ? "both" : k == 1 ? "neither" : "differs", count[h][k][YES], count[h][k][NO],
			       count[h][k][OTHER]);
	printf("decisions %zu swaps %zu crossed %lu wrong %lu\n", n, nswaps - 1, crossed, bad);
	return bad != 0;
}

/* ------------------------------------------------------------------------------------------------ log -- */

#define KEYS 4096
static struct {
	char text[400];
	unsigned long n;
} keys[KEYS];

static void count_key(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (const char *p = text; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3u;
	for (size_t i = 0; i < KEYS; i++) {
		size_t at = (h + i) % KEYS;

		if (!keys[at].n)
			snprintf(keys[at].text, sizeof(keys[at].text), "%s", text);
		if (strcmp(keys[at].text, text) == 0) {
			keys[at].n++;
			return;
		}
	}
	die("too many kinds of lines");
}

/* Value of "key": in the line, quotes taken off; "" when it is not there.  *times: how often it is. */
static void field(const char *line, const char *key, char *to, size_t max, int *times)
{
	char want[40];
	const char *p, *q;
	size_t n;

	snprintf(want, sizeof(want), "\"%s\":", key);
	*to = 0;
	*times = 0;
	for (q = line; (q = strstr(q, want)); q += strlen(want))
		++*times;
	p = strstr(line, want);
	if (!p)
		return;
	p += strlen(want);
	p += *p == ' ';
	n = *p == '"' ? strcspn(++p, "\"") : strcspn(p, ",}");
	snprintf(to, max, "%.*s", (int)n, p);
}

static void one_line(const char *line)
{
	static const char *const shown[] = {"kind", "action", "l7_decision", "dst_host", "dst_port", "l7_target", "binary",
					    "policy", "deny_reason", "l7_deny_reason", "message"};
	char text[400] = "", value[160];
	size_t n = 0;
	int times;

	field(line, "generation", value, sizeof(value), &times);
	n += (size_t)snprintf(text, sizeof(text), "gens=%d parity=%c", times, times ? "ab"[(value[strlen(value) - 1] - '0' + 1) % 2] : '-');
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]) && n < sizeof(text); i++) {
		field(line, shown[i], value, sizeof(value), &times);
		/* The names that nobody knows are one. */
		if (strstr(value, ".nobody.test"))
			strcpy(value, "nobody");
		if (times)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %s=[%s]", shown[i],
					      !strncmp(shown[i], "binary", 6) && strrchr(value, '/') ? strrchr(value, '/') + 1 : value);
	}
	field(line, "count", value, sizeof(value), &times);
	if (!times) /* a line that stands for many */
		field(line, "suppressed", value, sizeof(value), &times);
	for (unsigned long lost = times ? strtoul(value, NULL, 10) : 1; lost; lost--)
		count_key(text);
}

struct segment {
	char name[64], part[65536];
	int fd;
	size_t n;
};

static void drain(struct segment *s)
{
	ssize_t k;

	while ((k = read(s->fd, s->part + s->n, sizeof(s->part) - 1 - s->n)) > 0) {
		char *from = s->part, *nl;

		s->n += (size_t)k;
		s->part[s->n] = 0;
		for (; (nl = memchr(from, '\n', s->n - (size_t)(from - s->part))); from = nl + 1) {
			*nl = 0;
			one_line(from);
		}
		s->n -= (size_t)(from - s->part);
		memmove(s->part, from, s->n);
	}
}

static volatile sig_atomic_t ending;

static void on_term(int sig)
{
	(void)sig;
	ending = 1;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Segments are opened when they appear, so that those which the supervisor removes are read all the same. */
static int follow(const char *dir)
{
	struct segment *s = NULL;
	size_t n = 0;
	bool last = false;

	signal(SIGTERM, on_term);
	while (!last) {
		struct dirent **e;
		int k;

		last = ending;
		k = scandir(dir, &e, NULL, by_name);
		for (int i = 0; i < k; i++) {
			size_t j = 0;
			char path[600];

			while (j < n && strcmp(s[j].name, e[i]->d_name) != 0)
				j++;
			if (j < n || e[i]->d_name[0] == '.' || strlen(e[i]->d_name) > 60)
				continue;
			s = realloc(s, (n + 1) * sizeof(*s));
			memset(&s[n], 0, sizeof(*s));
			strcpy(s[n].name, e[i]->d_name);
			snprintf(path, sizeof(path), "%s/%s", dir, e[i]->d_name);
			s[n].fd = open(path, O_RDONLY | O_CLOEXEC);
			if (s[n].fd >= 0)
				n++;
		}
		for (size_t j = 0; j < n; j++)
			drain(&s[j]);
		if (!last)
			usleep(300000);
	}
	for (size_t i = 0; i < KEYS; i++)
		if (keys[i].n)
			printf("%lu %s\n", keys[i].n, keys[i].text);
	return 0;
}

int main(int argc, char **argv)
{
	static struct target t[64];
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "serve") && argc == 4)
		serve(argv[2], argv[3]);
	if (!strcmp(what, "judge") && argc == 4)
		return judge(argv[2], argv[3]);
	if (!strcmp(what, "log") && argc == 3)
		return follow(argv[2]);
	if (!strcmp(what, "names") && argc > 3)
		names(atof(argv[2]), argv + 3);
	else if (!strcmp(what, "spawn") && argc > 5)
		spawn(atof(argv[3]), (char *[64]){argv[2], argv[4], argv[5], argv[6], argc > 7 ? argv[7] : NULL, argc > 8 ? argv[8] : NULL, argc > 9 ? argv[9] : NULL});
	else if (!strcmp(what, "load") && argc > 5 && argc < 64) {
		record_to(argv[2]);
		load(atof(argv[3]), atof(argv[4]), t, targets(argv + 5, (size_t)argc - 5, t));
	} else if (!strcmp(what, "burst") && argc > 4 && argc < 64) {
		size_t n = targets(argv + 4, (size_t)argc - 4, t);

		record_to(argv[2]);
		for (size_t i = 0; i < (size_t)atol(argv[3]); i++)
			attempt(&t[i % n]);
		flush();
	} else if (!strcmp(what, "http") && argc == 7) {
		record_to(argv[2]);
		http(atof(argv[3]), !strcmp(argv[4], "keep"), argv[5], argv[6]);
	} else {
		fprintf(stderr, "swap: see the head of swap.c\n");
		return 2;
	}
	return 0;
}
