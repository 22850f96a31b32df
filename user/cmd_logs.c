/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_logs.c - `osh-enforce logs`: the record of a sandbox, from the past and as it comes.
 *
 * Asks a living supervisor to write out what it holds, then reads the segments itself; a log can be
 * read when its sandbox is dead.
 */
#include "user/control.h"
#include "user/logsync.h"
#include "user/logview.h"
#include "user/usage.h"

#include <poll.h>
#include <sys/inotify.h>
#include <time.h>

#define TAIL_CHECK_MS 1000 /* looks for the end of the sandbox also when nothing is notified */

struct options {
	const char *name;
	uint64_t since_ns;
	enum log_level level;
	bool tail, json, colour;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* https://no-color.org: any value but the empty one. */
static bool colour_wanted(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

enum { OPT_SINCE = 256, OPT_LEVEL, OPT_TAIL, OPT_FORMAT };

static const struct option longopts[] = {
	{"since", required_argument, NULL, OPT_SINCE},
	{"level", required_argument, NULL, OPT_LEVEL},
	{"tail", no_argument, NULL, OPT_TAIL},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* 0: go on; 1: help was asked for; -EINVAL: told. */
static int option_apply(struct options *o, int c)
{
	int r;

	switch (c) {
	case OPT_SINCE:
		if (since_parse(optarg, now_ns(), &o->since_ns) == 0)
			return 0;
		usage_error("logs",
			    "--since: '%s' is neither a duration (90s, 5m, 2h, 1d) nor a time "
			    "(2030-01-31T12:00:00Z)",
			    optarg);
		return -EINVAL;
	case OPT_LEVEL:
		if (log_level_parse(optarg, &o->level) == 0)
			return 0;
		usage_error("logs", "--level: '%s' is none of debug, info, warn, error", optarg);
		return -EINVAL;
	case OPT_TAIL:
		o->tail = true;
		return 0;
	case OPT_FORMAT:
		r = usage_choice("logs", "format", optarg, "logfmt", "json");
		o->json = r == 1;
		return r < 0 ? r : 0;
	case 'h':
		usage_print("logs", stdout);
		return 1;
	default:
		return -EINVAL;
	}
}

static int options_read(int argc, char **argv, struct options *o)
{
	int c, r;

	*o = (struct options){.level = LOG_L_DEBUG, .colour = colour_wanted()};
	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		r = option_apply(o, c);
		if (r != 0)
			return r;
	}
	if (argc - optind > 1) {
		usage_error("logs", "one sandbox at a time, not '%s' too", argv[optind + 1]);
		return -EINVAL;
	}
	o->name = optind < argc ? argv[optind] : NULL;
	return 0;
}

/* The name as given, or that of the only sandbox. */
static int name_find(const struct options *o, char **ret)
{
	int r;

	if (o->name) {
		if (!sandbox_name_valid(o->name)) {
			fprintf(stderr, "osh-enforce logs: not a sandbox name\n");
			return -EINVAL;
		}
		*ret = strdup(o->name);
		return *ret ? 0 : -ENOMEM;
	}
	r = sandbox_only(ret);
	if (r == -ENOENT)
		fprintf(stderr, "osh-enforce logs: no sandbox is running\n");
	else if (r == -ENOTUNIQ)
		fprintf(stderr, "osh-enforce logs: several sandboxes are running; say which: "
				"osh-enforce logs NAME (see osh-enforce list)\n");
	else if (r < 0)
		fprintf(stderr, "osh-enforce logs: %s\n", strerror(-r));
	return r;
}

static void line_print(const struct options *o, struct slice line)
{
	_cleanup_free_ char *text = NULL, *coloured = NULL;

	if (o->json) {
		fwrite(line.p, 1, line.n, stdout);
		putchar('\n');
		return;
	}
	if (log_line_to_logfmt(line, &text) < 0)
		return;
	if (o->colour && logview_colour(text, &coloured) == 0)
		puts(coloured);
	else
		puts(text);
}

/* A reader that is gone is no error; anything else stays marked on the stream, and main.c says so. */
static int output_failed(void)
{
	if (errno == EPIPE)
		clearerr(stdout);
	return -EPIPE;
}

/* Prints what is there.  -EPIPE: no more can be printed. */
static int print_all(const struct options *o, struct logview *v)
{
	struct slice line;
	int r;

	while ((r = logview_next(v, &line)) == 1) {
		line_print(o, line);
		if (ferror(stdout))
			return output_failed();
	}
	return fflush(stdout) != 0 ? output_failed() : r;
}

/* Waits until something may have been written.  -EPIPE: the reader of our output is gone. */
static int wait_for_more(int inotify_fd)
{
	struct pollfd p[2] = {{.fd = inotify_fd, .events = POLLIN}, {.fd = STDOUT_FILENO}};
	char events[4096];

	if (poll(p, 2, inotify_fd < 0 ? TAIL_CHECK_MS / 4 : TAIL_CHECK_MS) < 0 && errno != EINTR)
		return -errno;
	if (p[1].revents & (POLLERR | POLLHUP))
		return -EPIPE;
	if (p[0].revents & POLLIN)
		while (read(inotify_fd, events, sizeof(events)) > 0)
			;
	return 0;
}

/* A descriptor that becomes readable when the directory's files change; -1: none to be had, so look
 * now and then. */
static int watch(const char *dir)
{
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 ||
	    inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_DELETE_SELF | IN_ONLYDIR) < 0)
		return -1;
	return steal_fd(&fd);
}

static int follow(const struct options *o, struct logview *v, int inotify_fd)
{
	for (;;) {
		bool gone = logview_gone(v);
		int r = print_all(o, v); /* after the question: what was written last is shown */

		if (r < 0 || gone)
			return r;
		r = wait_for_more(inotify_fd);
		if (r < 0)
			return r;
	}
}

static int show(const struct options *o, const char *name)
{
	_cleanup_(logview_closep) struct logview *v = NULL;
	_cleanup_close_ int inotify_fd = -1;
	char dir[256];
	int r;

	snprintf(dir, sizeof(dir), OSH_STATE_DIR "/%s/log", name);
	if (log_sync(name) < 0)
		fprintf(stderr,
			"osh-enforce logs: the supervisor of %s does not answer; the newest events "
			"may be missing\n",
			name);
	inotify_fd = o->tail ? watch(dir) : -1; /* before the first read: nothing falls between */
	r = logview_open(dir, o->since_ns, o->level, &v);
	if (r == -ENOENT) {
		fprintf(stderr, "osh-enforce logs: there is no sandbox %s (see osh-enforce list)\n",
			name);
		return r;
	}
	if (r == 0)
		r = o->tail ? follow(o, v, inotify_fd) : print_all(o, v);
	if (r == -EPIPE)
		return 0;
	if (r < 0)
		fprintf(stderr, "osh-enforce logs: %s: %s\n", dir, strerror(-r));
	if (v && logview_bad_lines(v))
		fprintf(stderr,
			"osh-enforce logs: %llu lines of %s are damaged and were passed over\n",
			(unsigned long long)logview_bad_lines(v), dir);
	return r;
}

int cmd_logs(int argc, char **argv)
{
	_cleanup_free_ char *name = NULL;
	struct options o;
	int r;

	r = options_read(argc, argv, &o);
	if (r < 0)
		return usage_status("logs");
	if (r > 0)
		return 0;
	if (name_find(&o, &name) < 0)
		return 1;
	return show(&o, name) < 0 ? 1 : 0;
}
