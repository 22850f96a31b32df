/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_cmd_suggest.c - `osh-enforce policy suggest NAME`: from what was denied to a policy that would
 * allow it.
 *
 * Prints, and changes nothing: a person reads it and decides.
 */
#include "policy/lint.h"
#include "user/control.h"
#include "user/logsync.h"
#include "user/logview.h"
#include "user/policy_cmd.h"
#include "user/policy_file.h"
#include "user/policy_image.h"
#include "user/policy_send.h"
#include "user/safetext.h"
#include "user/suggest_log.h"
#include "user/usage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

struct options {
	uint64_t since_ns;
	bool generalise;
	const char *out; /* NULL: standard output */
};

enum { OPT_SINCE = 256, OPT_GENERALISE };

static const struct option longopts[] = {
	{"since", required_argument, NULL, OPT_SINCE},
	{"generalise", no_argument, NULL, OPT_GENERALISE},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* 0: go on; 1: help was asked for; -EINVAL: told. */
static int options_read(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = usage_getopt(argc, argv, "ho:", longopts)) != -1) {
		switch (c) {
		case OPT_SINCE:
			if (since_parse(optarg, now_ns(), &o->since_ns) == 0)
				break;
			usage_error(argv[0],
				    "--since: '%s' is neither a duration (90s, 5m, 2h, 1d) nor a "
				    "time (2030-01-31T12:00:00Z)",
				    optarg);
			return -EINVAL;
		case OPT_GENERALISE:
			o->generalise = true;
			break;
		case 'o':
			o->out = optarg;
			break;
		case 'h':
			usage_print(argv[0], stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	if (argc - optind > 1) {
		usage_error(argv[0], "one sandbox at a time, not '%s' too", argv[optind + 1]);
		return -EINVAL;
	}
	return 0;
}

static int read_log(const char *command, const char *name, uint64_t since_ns, struct denials *ret)
{
	_cleanup_(logview_closep) struct logview *v = NULL;
	struct slice line;
	char dir[256];
	int r, more = 0;

	if (log_sync(name) < 0)
		fprintf(stderr,
			"osh-enforce %s: the supervisor of %s does not answer; the newest events "
			"may be missing\n",
			command, name);
	snprintf(dir, sizeof(dir), OSH_STATE_DIR "/%s/log", name);
	r = logview_open(dir, since_ns, LOG_L_WARN, &v);
	while (r == 0 && (more = logview_next(v, &line)) == 1)
		r = denials_add_line(ret, line);
	r = r < 0 ? r : more;
	if (r < 0)
		fprintf(stderr, "osh-enforce %s: %s: %s\n", command, dir, strerror(-r));
	else if (logview_bad_lines(v) + ret->odd)
		fprintf(stderr, "osh-enforce %s: %llu damaged lines of the log were passed over\n",
			command, (unsigned long long)(logview_bad_lines(v) + ret->odd));
	return r;
}

static int follow_links(void *arg, struct policy *p)
{
	(void)arg;
	return policy_follow_links(p);
}

static int lint(const struct policy *p, const struct image *img, struct policy_diags *diags)
{
	int r = policy_lint(p, img, diags);

	return r < 0 ? r : policy_lint_links(p, diags);
}

/* The directory may be one that the agent writes: what it left there under this name is not followed elsewhere. */
static int open_out(const char *path, FILE **ret)
{
	_cleanup_close_ int fd = open(
		path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && st.st_nlink > 1)
		return -EMLINK;
	if (S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0)
		return -errno;
	*ret = fdopen(fd, "w");
	if (!*ret)
		return -errno;
	fd = -1;
	return 0;
}

static int cannot_write(const char *command, const char *path, const char *why)
{
	fprintf(stderr, "osh-enforce %s: ", command);
	safetext_print(slice_str(path ? path : "standard output"), stderr);
	fprintf(stderr, ": %s\n", why);
	return 1;
}

static int write_out(const char *command, const char *path, const struct edit *e)
{
	_cleanup_fclose_ FILE *file = NULL;
	FILE *f = stdout;
	int r = path ? open_out(path, &file) : 0;

	if (r < 0)
		return cannot_write(command, path,
				    r == -ELOOP    ? "is a symbolic link; nothing is written through one"
				    : r == -EMLINK ? "has other names too (hard links); nothing is "
						     "written to such a file"
						   : strerror(-r));
	if (path)
		f = file;
	if (fwrite(e->text, 1, e->n, f) == e->n && fflush(f) == 0)
		return 0;
	return cannot_write(command, path, strerror(errno));
}

static void say(const char *command, const struct denials *d, const struct suggestion *s,
		const char *out)
{
	for (size_t i = 0; i < s->nnotes; i++) {
		safetext_print(slice_str(s->notes[i]), stderr);
		fputc('\n', stderr);
	}
	if (d->dropped)
		fprintf(stderr,
			"osh-enforce %s: only the first %d different denials are looked at; %llu more "
			"are not (narrow it with --since)\n",
			command, DENIALS_MAX, (unsigned long long)d->dropped);
	policy_file_diags_print(&s->warnings, out ? out : "suggestion", stderr);
	if (s->edits)
		fprintf(stderr, "osh-enforce %s: allows %zu different denial%s with %zu addition%s\n",
			command, s->allowed, s->allowed == 1 ? "" : "s", s->edits,
			s->edits == 1 ? "" : "s");
	else
		fprintf(stderr, "osh-enforce %s: nothing to suggest%s; the policy is unchanged\n",
			command,
			d->n == 0	? ": nothing was denied"
			: s->already	? ": what was denied is allowed by now, or listed above"
					: "");
}

static int run(const char *command, const char *name, const struct options *o)
{
	const struct suggest_options so = {
		.generalise = o->generalise, .prepare = follow_links, .lint = lint};
	_cleanup_(suggestion_done) struct suggestion s = {0};
	_cleanup_(policy_diags_done) struct policy_diags diags = {0};
	_cleanup_(denials_done) struct denials d = {0};
	_cleanup_free_ char *text = NULL;
	uint64_t rev;
	size_t n;
	int r = policy_fetch(name, 0, &text, &n, &rev);

	if (r == -ENOENT)
		fprintf(stderr, "osh-enforce %s: there is no sandbox %s (see osh-enforce list)\n",
			command, name);
	else if (r < 0)
		fprintf(stderr, "osh-enforce %s: %s: %s\n", command, name, strerror(-r));
	if (r < 0 || read_log(command, name, o->since_ns, &d) < 0)
		return 1;
	r = suggest((struct slice){(const uint8_t *)text, n}, d.v, d.n, &so, &diags, &s);
	if (r < 0) {
		policy_diags_print(&diags, "policy in force", stderr);
		fprintf(stderr, "osh-enforce %s: %s\n", command, strerror(-r));
		return 1;
	}
	say(command, &d, &s, o->out);
	return write_out(command, o->out, &s.e);
}

int policy_cmd_suggest(int argc, char **argv)
{
	_cleanup_free_ char *name = NULL;
	struct options o = {0};
	int r = options_read(argc, argv, &o), status = r > 0 ? 0 : USAGE_EXIT;

	if (r != 0)
		return status;
	name = policy_sandbox_operand(argv[0], argv[optind], &status);
	return name ? run(argv[0], name, &o) : status;
}
