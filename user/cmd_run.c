/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_run.c - `run`: from a policy and a command line to a sandbox, the command in it, and its exit
 * status.
 *
 * In order: options; policy, identity and (default policy only) host section; plan and environment;
 * then, unless
 * --dry-run, the supervisor, the command, and the end of the sandbox.  All that looks at the user's
 * files does so before anything is started.
 */
#include "user/blob.h"
#include "user/caller.h"
#include "user/cores.h"
#include "user/environ.h"
#include "user/execclient.h"
#include "user/globalpolicy.h"
#include "user/hostsection.h"
#include "user/limits.h"
#include "user/layers.h"
#include "user/plan.h"
#include "user/prepare.h"
#include "user/safetext.h"
#include "user/start.h"
#include "user/strv.h"
#include "user/usage.h"

#include <arpa/inet.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>

#define EXIT_ENFORCER USAGE_EXIT_RUN
#define PEM_MAX (16u << 20)
#define HOSTS_MAX (4u << 20)
#define DELETE_TIMEOUT_MS 30000
#define START_TRIES 5

struct run {
	/* options */
	const char *name, *policy, *workdir_option;
	bool keep, dry_run, verbose, any_workdir;
	uint32_t allow_missing; /* bits by enum layer */
	uint64_t pids_max, memory_max;
	char **ro, **rw, **env, **hosts, **upstream_ca;
	char **argv;
	/* made from them */
	char workdir[PATH_MAX];
	char chosen_name[OSH_SANDBOX_NAME_MAX + 1];
	struct prepared prepared;
	struct prepared global_policy; /* image_fd -1: there is none */
	uint64_t global;	       /* its revision */
	struct host_section host;
	struct launch_plan plan;
};

static void run_done(struct run *x)
{
	strv_free(x->ro);
	strv_free(x->rw);
	strv_free(x->env);
	strv_free(x->hosts);
	strv_free(x->upstream_ca);
	prepared_done(&x->prepared);
	prepared_done(&x->global_policy);
	host_section_done(&x->host);
	plan_done(&x->plan);
}

__attribute__((format(printf, 1, 2))) static int fail(const char *fmt, ...)
{
	va_list ap;

	fputs("osh-enforce run: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -EINVAL;
}

/* ------------------------------------------------------------------------------------- the options
 * -- */

enum {
	OPT_POLICY = 256,
	OPT_NAME,
	OPT_KEEP,
	OPT_DRY_RUN,
	OPT_ADD_HOST,
	OPT_UPSTREAM_CA,
	OPT_WORKDIR,
	OPT_ANY_WORKDIR,
	OPT_RO,
	OPT_RW,
	OPT_ENV,
	OPT_ENV_FILE,
	OPT_ALLOW_MISSING,
	OPT_PIDS_MAX,
	OPT_MEMORY_MAX,
};

static const struct option options[] = {
	{"policy", required_argument, NULL, OPT_POLICY},
	{"name", required_argument, NULL, OPT_NAME},
	{"keep", no_argument, NULL, OPT_KEEP},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"add-host", required_argument, NULL, OPT_ADD_HOST},
	{"upstream-ca", required_argument, NULL, OPT_UPSTREAM_CA},
	{"workdir", required_argument, NULL, OPT_WORKDIR},
	{"allow-any-workdir", no_argument, NULL, OPT_ANY_WORKDIR},
	{"ro", required_argument, NULL, OPT_RO},
	{"rw", required_argument, NULL, OPT_RW},
	{"env", required_argument, NULL, OPT_ENV},
	{"env-file", required_argument, NULL, OPT_ENV_FILE},
	{"allow-missing", required_argument, NULL, OPT_ALLOW_MISSING},
	{"pids-max", required_argument, NULL, OPT_PIDS_MAX},
	{"memory-max", required_argument, NULL, OPT_MEMORY_MAX},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* NAME:IP -> a line as in /etc/hosts.  IPv6 with or without brackets. */
static int add_host(struct run *x, const char *arg)
{
	const char *colon = strchr(arg, ':');
	char ip[INET6_ADDRSTRLEN + 3] = "", name[256];
	uint8_t bytes[16];
	char *s = ip, *line = NULL;
	size_t n = colon ? (size_t)(colon - arg) : 0;

	if (n == 0 || n >= sizeof(name) ||
	    strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != n)
		return fail("--add-host %s: want NAME:IP", arg);
	memcpy(name, arg, n);
	name[n] = '\0';
	if (strlen(colon + 1) < sizeof(ip))
		strcpy(ip, colon + 1);
	n = strlen(ip);
	if (n > 2 && ip[0] == '[' && ip[n - 1] == ']') {
		ip[n - 1] = '\0';
		s++;
	}
	if (inet_pton(AF_INET, s, bytes) != 1 && inet_pton(AF_INET6, s, bytes) != 1)
		return fail("--add-host %s: '%s' is not an IP address", arg, colon + 1);
	if (asprintf(&line, "%s %s\n", s, name) < 0)
		return -ENOMEM;
	return strv_take(&x->hosts, line);
}

/* --ro, --rw: absolute from here on. */
static int add_file(char ***list, const char *option, const char *path)
{
	_cleanup_free_ char *cwd = NULL;
	char *absolute = NULL;

	if (!*path)
		return fail("%s: the path is empty", option);
	if (path[0] == '/')
		return strv_add(list, path);
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return fail("%s %s: the current directory is gone: %s", option, path,
			    strerror(errno));
	return asprintf(&absolute, "%s/%s", cwd, path) < 0 ? -ENOMEM : strv_take(list, absolute);
}

static int add_env(struct run *x, const char *arg)
{
	int r = environ_option(arg, &x->env);

	if (r == -EINVAL)
		return fail("--env %s: want NAME=VALUE, or NAME to pass on the caller's", arg);
	if (r == -ENOENT) {
		fprintf(stderr,
			"osh-enforce run: warning: --env %s: not set here, so not passed on\n",
			arg);
		return 0;
	}
	return r;
}

static int add_env_file(struct run *x, const char *file)
{
	_cleanup_free_ char *error = NULL;
	int r = environ_file(file, &x->env, &error);

	return r < 0 ? fail("%s", error ? error : strerror(-r)) : 0;
}

static int allow_missing(struct run *x, const char *arg)
{
	_cleanup_free_ char *error = NULL;
	enum layer l;
	int r = layer_parse_optional(arg, &l, &error);

	if (r < 0)
		return fail("--allow-missing: %s", error ? error : strerror(-r));
	x->allow_missing |= 1u << l;
	return 0;
}

static int take_limit(const char *option, const char *arg, bool size, uint64_t *ret)
{
	if (limit_parse(arg, size, ret) == 0)
		return 0;
	return fail("%s %s: want a number%s, or 'max'", option, arg, size ? " of bytes (512M, 2G)" : "");
}

static int take_option(struct run *x, int c)
{
	switch (c) {
	case OPT_POLICY:
		x->policy = optarg;
		return 0;
	case OPT_NAME:
		if (!sandbox_name_valid(optarg))
			return fail("--name %s: want [a-z0-9][a-z0-9_.-]*, at most %d bytes",
				    optarg, OSH_SANDBOX_NAME_MAX);
		x->name = optarg;
		return 0;
	case OPT_KEEP:
		x->keep = true;
		return 0;
	case OPT_DRY_RUN:
		x->dry_run = true;
		return 0;
	case OPT_ADD_HOST:
		return add_host(x, optarg);
	case OPT_UPSTREAM_CA:
		return strv_add(&x->upstream_ca, optarg);
	case OPT_WORKDIR:
		x->workdir_option = optarg;
		return 0;
	case OPT_ANY_WORKDIR:
		x->any_workdir = true;
		return 0;
	case OPT_RO:
		return add_file(&x->ro, "--ro", optarg);
	case OPT_RW:
		return add_file(&x->rw, "--rw", optarg);
	case OPT_ENV:
		return add_env(x, optarg);
	case OPT_ENV_FILE:
		return add_env_file(x, optarg);
	case OPT_PIDS_MAX:
		return take_limit("--pids-max", optarg, false, &x->pids_max);
	case OPT_MEMORY_MAX:
		return take_limit("--memory-max", optarg, true, &x->memory_max);
	case OPT_ALLOW_MISSING:
		return allow_missing(x, optarg);
	case 'v':
		x->verbose = true;
		return 0;
	default:
		return -EINVAL;
	}
}

/* 0: go on; else *ret_status is the end. */
static int read_options(struct run *x, int argc, char **argv, int *ret_status)
{
	int c;

	*ret_status = EXIT_ENFORCER;
	while ((c = usage_getopt(argc, argv, "+vh", options)) != -1) {
		if (c == 'h') {
			usage_print(argv[0], stdout);
			*ret_status = 0;
			return -ECANCELED;
		}
		if (c == '?') {
			*ret_status = usage_status(argv[0]);
			return -EINVAL;
		}
		if (take_option(x, c) < 0)
			return -EINVAL;
	}
	x->argv = argv + optind;
	if (optind >= argc || !argv[optind][0]) {
		*ret_status = usage_error(argv[0], "no command; want: run [OPTIONS] -- COMMAND");
		return -EINVAL;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------- the workdir
 * -- */

static int find_workdir(struct run *x)
{
	const char *dir = x->workdir_option ? x->workdir_option : ".";
	struct stat st;

	if (!realpath(dir, x->workdir) || stat(x->workdir, &st) < 0)
		return fail("workdir %s: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail("workdir %s: not a directory", dir);
	return 0;
}

/* A directory that holds the system, or everything a user has: not what someone who types a command
 * there means. */
static bool opens_too_much(const char *dir, const struct identity *id)
{
	static const char *const whole[] = {"/",    "/bin",   "/boot",	"/dev", "/etc", "/home",
					    "/lib", "/lib32", "/lib64", "/mnt", "/opt", "/proc",
					    "/run", "/sbin",  "/srv",	"/sys", "/usr", "/var",
					    "/tmp", "/root",  "/media"};
	static const char *const below[] = {"/boot/", "/dev/", "/etc/", "/proc/", "/sys/", "/usr/"};
	_cleanup_free_ char *home = realpath(id->home, NULL);

	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		if (strcmp(dir, whole[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(below); i++)
		if (strncmp(dir, below[i], strlen(below[i])) == 0 &&
		    strncmp(dir, "/usr/src/", 9) != 0)
			return true;
	/* The home itself, or a directory that it is in. */
	return home && strncmp(home, dir, strlen(dir)) == 0 &&
	       (home[strlen(dir)] == '/' || home[strlen(dir)] == '\0');
}

static int check_workdir(const struct run *x)
{
	const struct policy_static *s = policy_static(x->prepared.policy);

	if (x->any_workdir || (s->has_filesystem && !s->include_workdir) ||
	    !opens_too_much(x->workdir, &x->prepared.identity))
		return 0;
	return fail("the workdir %s would be read-write in the sandbox, and it is a system "
		    "directory or a whole home; start "
		    "from a project's directory, or use --workdir DIR, or --allow-any-workdir",
		    x->workdir);
}

/* ---------------------------------------------------------------------------------- policy and
 * plan -- */

static int amend(struct policy *policy, const struct prepared *so_far, void *userdata)
{
	struct run *x = userdata;
	_cleanup_free_ char *path = NULL;
	int r;

	if (!so_far->builtin)
		return 0;
	path = caller_path();
	r = host_section_find(&so_far->identity, path, x->argv[0], x->workdir, !x->dry_run,
			      &x->host);
	if (r == 0)
		r = host_section_apply(policy, &x->host);
	return r < 0 ? fail("cannot look for %s as user %s: %s", x->argv[0], so_far->identity.user,
			    strerror(-r))
		     : 0;
}

/* NAME-xxxx after the command, for who gives no --name. */
static int choose_name(struct run *x)
{
	const char *base = strrchr(x->argv[0], '/');
	uint16_t number;
	size_t n = 0;

	base = base ? base + 1 : x->argv[0];
	for (; *base && n < 24; base++) {
		char c = *base >= 'A' && *base <= 'Z' ? (char)(*base - 'A' + 'a') : *base;
		bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (alnum || (n && strchr("_.-", c)))
			x->chosen_name[n++] = c;
	}
	if (n == 0)
		n = (size_t)snprintf(x->chosen_name, sizeof(x->chosen_name), "run");
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	snprintf(x->chosen_name + n, sizeof(x->chosen_name) - n, "-%04x", number);
	x->name = x->chosen_name;
	return 0;
}

static void print_warning(void *userdata, const char *text)
{
	(void)userdata;
	fputs("osh-enforce run: warning: ", stderr);
	safetext_print(slice_str(text), stderr);
	fputc('\n', stderr);
}

static int make_plan(struct run *x)
{
	const struct plan_options o = {
		.policy = policy_static(x->prepared.policy),
		.identity = &x->prepared.identity,
		.name = x->name,
		.workdir = x->workdir,
		.host_ro = x->host.ro,
		.host_rw = x->host.rw,
		.host_links = &x->host.link,
		.nhost_links = x->host.link.path ? 1 : 0,
		.ro = x->ro,
		.rw = x->rw,
		.quiet_missing = x->prepared.builtin && !x->verbose,
		.warn = print_warning,
	};
	_cleanup_free_ char *error = NULL;
	int r = plan_make(&o, &x->plan, &error);

	return r < 0 ? fail("%s", error ? error : strerror(-r)) : 0;
}

static int make_environment(struct run *x)
{
	_cleanup_free_ char *caller = caller_path(),
			    *path = environ_path(&x->plan, caller, x->host.path);
	_cleanup_strv_ char **base = NULL;

	if (!path || environ_base(&x->plan, path, &base) < 0)
		return -ENOMEM;
	x->plan.env = env_merge(base, x->env);
	return x->plan.env ? 0 : -ENOMEM;
}

/* While a global policy is in force, its network rules apply; the walls are those of the sandbox's own. */
static int prepare_global(struct run *x)
{
	_cleanup_free_ char *text = NULL;
	struct prepare_options o = {.identity = &x->prepared.identity, .label = "global policy", .quiet = true};
	uint64_t before = x->global;
	size_t n = 0;
	int r = global_text(&text, &n, &x->global);

	prepared_done(&x->global_policy);
	if (r < 0)
		return fail("the global policy cannot be read: %s", strerror(-r));
	if (!x->global)
		return 0;
	if (x->global != before)
		fprintf(stderr, "osh-enforce run: the global policy (revision %llu) is in force: its network rules apply, not "
				"those of %s; files and identity are as %s says\n",
			(unsigned long long)x->global, x->prepared.path, x->prepared.path);
	o.text = (struct slice){(const uint8_t *)text, n};
	return prepare_policy(&o, &x->global_policy);
}

static int prepare(struct run *x)
{
	const struct prepare_options o = {.path = x->policy, .amend = amend, .userdata = x};
	int r = find_workdir(x);

	if (r == 0)
		r = prepare_policy(&o, &x->prepared);
	if (r == 0)
		r = check_workdir(x);
	if (r == 0 && !x->name)
		r = choose_name(x);
	if (r == 0)
		r = make_plan(x);
	if (r == 0)
		r = make_environment(x);
	if (r == 0)
		r = prepare_global(x);
	if (r == -ENOMEM)
		fail("out of memory");
	return r;
}

/* ---------------------------------------------------------------------------------------- dry run
 * -- */

static void print_text(const char *text)
{
	for (const char *s = text; *s;) {
		size_t n = strcspn(s, "\n");

		safetext_print((struct slice){(const uint8_t *)s, n}, stdout);
		putchar('\n');
		s += n + (s[n] == '\n');
	}
}

static void print_dry_run(const struct run *x)
{
	const struct prepared *p = &x->prepared;
	struct policy_binary b;
	size_t n = policy_binaries(p->policy, 0, &b);

	printf("policy: %s\nsandbox: %s%s\n", p->path, x->name, x->keep ? " (kept)" : "");
	printf("command:");
	for (char **v = x->argv; *v; v++) {
		putchar(' ');
		safetext_print(slice_str(*v), stdout);
	}
	putchar('\n');
	if (p->builtin && x->host.found)
		printf("found as: %s\nreal path: %s\n", x->host.found, x->host.real);
	else if (p->builtin)
		printf("found as: not found on the PATH of user %s\n", p->identity.user);
	if (x->host.interpreter)
		printf("interpreter: %s\n", x->host.interpreter);
	if (x->host.claude)
		printf("host section: Claude Code; %s is added where the policy lists "
		       "/usr/local/bin/claude; ~/.claude* is "
		       "read-write (~/.claude and ~/.claude.json are made when missing)\n",
		       x->host.real);
	plan_print(&x->plan, stdout);
	printf("network policy: %zu binary entries\n--- %s\n", n, p->path);
	print_text(p->text);
}

/* --------------------------------------------------------------------------------------- the
 * memfds -- */

static int add_text(struct blob_writer *w, const char *file, size_t max)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r = read_whole_file(file, max, &text, &n);

	if (r == 0)
		blob_put_bytes(w, (struct slice){(const uint8_t *)text, n});
	if (r == 0 && n && text[n - 1] != '\n')
		blob_put_bytes(w, SLICE_LIT("\n"));
	return r;
}

/* The host's names, then --add-host: of two lines for one name the later wins. */
static int hosts_memfd(const struct run *x, int *ret_fd)
{
	_cleanup_(blob_writer_done) struct blob_writer w = {0};
	int r = add_text(&w, "/etc/hosts", HOSTS_MAX);

	if (r < 0 && r != -ENOENT)
		fprintf(stderr, "osh-enforce run: warning: /etc/hosts: %s\n", strerror(-r));
	for (size_t i = 0; x->hosts && x->hosts[i]; i++)
		blob_put_bytes(&w, slice_str(x->hosts[i]));
	return w.err ? w.err : memfd_of("osh-hosts", (struct slice){w.p, w.n}, ret_fd);
}

static int add_roots(struct blob_writer *w)
{
	static const char *const bundles[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
	};

	for (size_t i = 0; i < ARRAY_LEN(bundles); i++)
		if (add_text(w, bundles[i], PEM_MAX) == 0)
			return 0;
	fprintf(stderr, "osh-enforce run: warning: no system certificates found; TLS to the "
			"outside will fail (install the "
			"package ca-certificates)\n");
	return 0;
}

static int roots_memfds(const struct run *x, int *ret_roots, int *ret_upstream)
{
	_cleanup_(blob_writer_done) struct blob_writer w = {0};
	int r = add_roots(&w);

	if (r == 0 && !w.err)
		r = memfd_of("osh-roots", (struct slice){w.p, w.n}, ret_roots);
	for (size_t i = 0; r == 0 && x->upstream_ca && x->upstream_ca[i]; i++) {
		r = add_text(&w, x->upstream_ca[i], PEM_MAX);
		if (r < 0)
			return fail("--upstream-ca %s: %s", x->upstream_ca[i], strerror(-r));
	}
	if (r == 0 && w.err)
		r = w.err;
	return r < 0 ? r : memfd_of("osh-upstream", (struct slice){w.p, w.n}, ret_upstream);
}

/* ------------------------------------------------------------------------------------- the command
 * -- */

/* -EAGAIN: the global policy has changed since it was read. */
static void warn_cores(void)
{
	if (cores_to_socket())
		fputs("osh-enforce run: warning: kernel.core_pattern begins with '@': the handler behind that socket gets the "
		      "memory of what crashes in the sandbox; remedy: " CORES_REMEDY "\n",
		      stderr);
}

static int start(const struct run *x, int *ret_control, bool last_try)
{
	_cleanup_close_ int plan = -1, hosts = -1, roots = -1, upstream = -1;
	_cleanup_free_ char *error = NULL, *name = NULL;
	struct sandbox_start s = {
		.name = x->name,
		.keep = x->keep,
		.verbose = x->verbose,
		.allow_missing = x->allow_missing,
		.pids_max = x->pids_max,
		.memory_max = x->memory_max,
		.image_fd = x->prepared.image_fd,
		.policy_fd = x->prepared.text_fd,
		.policy_path = x->prepared.path,
		.static_hash = x->prepared.static_hash,
		.hash = x->prepared.hash,
		.global_fd = x->global_policy.image_fd,
		.global = x->global,
		.uid = x->plan.uid,
		.user = x->plan.user,
	};
	int r = plan_to_memfd(&x->plan, &plan);

	if (r == 0)
		r = hosts_memfd(x, &hosts);
	if (r == 0)
		r = roots_memfds(x, &roots, &upstream);
	if (r < 0)
		return fail("cannot hand the plan over: %s", strerror(-r));
	s.plan_fd = plan;
	s.hosts_fd = hosts;
	s.roots_fd = roots;
	s.upstream_fd = upstream;
	r = sandbox_start(&s, &name, ret_control, &error);
	if (r == -EAGAIN && !last_try)
		return r;
	if (r < 0)
		return fail("%s", error ? error : strerror(-r));
	if (x->verbose || x->keep)
		fprintf(stderr, "osh-enforce: sandbox %s is up\n", name);
	return 0;
}

static int start_settled(struct run *x, int *ret_control)
{
	int r = -EAGAIN;

	warn_cores();
	for (int i = 1; r == -EAGAIN && i <= START_TRIES; i++) {
		r = start(x, ret_control, i == START_TRIES);
		if (r == -EAGAIN) {
			global_settled();
			if (prepare_global(x) < 0)
				return -ECANCELED;
		}
	}
	return r;
}

/* If the host has `file` but the sandbox does not show it, says which flag would. */
static bool explain_hidden(const struct run *x, const char *what, const char *file)
{
	_cleanup_free_ char *tree = NULL;

	if (!file || plan_shows(&x->plan, file))
		return false;
	tree = install_tree(file, x->prepared.identity.home);
	fail("%s is on the host at %s, but the policy does not show it; add it to "
	     "filesystem_policy, or use --ro %s (or --rw, if it must be writable)",
	     what, file, tree ? tree : file);
	return true;
}

/* Not found or not executable inside: perhaps the user has it outside.  Returns the exit status. */
static int explain_not_found(const struct run *x, const struct exec_end *end)
{
	_cleanup_free_ char *path = caller_path();
	struct host_section host = {0};
	bool hidden = false;

	exec_end_print("run", end);
	if (host_section_find(&x->prepared.identity, path, x->argv[0], x->workdir, false, &host) ==
	    0)
		hidden = explain_hidden(x, x->argv[0], host.real) ||
			 explain_hidden(x, "its interpreter", host.interpreter);
	host_section_done(&host);
	return hidden ? 126 : exec_end_status(end);
}

static int run_command(const struct run *x, int control)
{
	_cleanup_strv_ char **env = NULL;
	mode_t mask = umask(022);
	struct exec_request request = {.umask = mask, .argv = x->argv};
	struct exec_end end;

	umask(mask);
	if (environ_session(&env) < 0) {
		fail("out of memory");
		return EXIT_ENFORCER;
	}
	request.env = env;
	exec_client_run(control, &request, &end);
	if (end.state == EXEC_NOT_FOUND)
		return explain_not_found(x, &end);
	exec_end_print("run", &end);
	return exec_end_status(&end);
}

/* Everything gone before this command returns, so that the next one finds nothing of it. */
static void end_sandbox(const struct run *x, int control)
{
	_cleanup_free_ char *text = NULL;
	int r;

	if (x->keep)
		return;
	r = control_ask(control, CTL_DELETE, DELETE_TIMEOUT_MS, &text);
	if (r == -ETIMEDOUT && !sandbox_named(x->name))
		fprintf(stderr, "osh-enforce: %s: gone; so many files that they are still being removed\n", x->name);
	else if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		fail("sandbox %s: not all of it is removed: %s", x->name,
		     text ? text : strerror(-r));
	else if (r == 0 && text)
		fprintf(stderr, "osh-enforce: %s: %s\n", x->name, text);
}

int cmd_run(int argc, char **argv)
{
	_cleanup_(run_done) struct run x = {.prepared = {.text_fd = -1, .image_fd = -1},
					  .global_policy = {.text_fd = -1, .image_fd = -1}};
	_cleanup_close_ int control = -1;
	int status;

	if (read_options(&x, argc, argv, &status) < 0)
		return status;
	if (prepare(&x) < 0)
		return EXIT_ENFORCER;
	if (x.dry_run) {
		print_dry_run(&x);
		return 0;
	}
	if (x.verbose)
		environ_print_dropped(x.plan.env, stderr);
	sandbox_sweep();
	if (start_settled(&x, &control) < 0)
		return EXIT_ENFORCER;
	status = run_command(&x, control);
	end_sandbox(&x, control);
	return status;
}
