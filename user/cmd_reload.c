/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_reload.c - `osh-enforce reload`: another policy for a running sandbox.
 *
 * Parsing, checking and compiling happen here, in the command; the supervisor gets a finished image.
 */
#include "user/control.h"
#include "user/plan.h"
#include "user/policy_file.h"
#include "user/prepare.h"
#include "user/status.h"
#include "user/usage.h"

#include <grp.h>
#include <pwd.h>
#include <time.h>

#define EXIT_REFUSED 1
#define EXIT_TIMEOUT 124
#define BRIEF_MS 2000
#define DEFAULT_TIMEOUT_S 60
#define TIMEOUT_MAX_S 3600

struct reload_options {
	char *name;
	const char *policy;
	bool wait;
	uint32_t timeout_s;
};

static int fail(int status, const char *name, const char *text)
{
	fprintf(stderr, "osh-enforce reload: %s%s%s\n", name ? name : "", name ? ": " : "", text);
	return status;
}

/* Enough of the sandbox's identity to judge what it can write. */
static int running_identity(uid_t uid, struct identity *ret)
{
	struct passwd *pw = getpwuid(uid);
	int n = 256;

	*ret = (struct identity){.uid = uid, .gid = pw ? pw->pw_gid : (gid_t)uid};
	ret->groups = calloc((size_t)n, sizeof(gid_t));
	if (!ret->groups)
		return -ENOMEM;
	if (pw && getgrouplist(pw->pw_name, pw->pw_gid, ret->groups, &n) >= 0)
		ret->ngroups = (size_t)n;
	return 0;
}

/* Static sections cannot change.  Compared with revision 1, the text that the sandbox was started with; a section that
 * the new file leaves out means unchanged. */
static int static_unchanged(const char *name, const struct prepared *p, const char *running_hash)
{
	_cleanup_(policy_freep) struct policy *first = NULL;
	_cleanup_free_ char *path = NULL, *text = NULL;
	const struct policy_static *next = policy_static(p->policy);
	struct policy_diags d = {0};
	const char *field;
	size_t n;
	int r;

	if ((!next->has_filesystem && !next->has_landlock && !next->has_process) ||
	    strcmp(p->static_hash, running_hash) == 0)
		return 0;
	if (asprintf(&path, OSH_STATE_DIR "/%s/revisions/1.yaml", name) < 0)
		return -ENOMEM;
	r = policy_load_file(path, &d, &first, &text, &n);
	policy_diags_done(&d);
	if (r < 0)
		return r;
	field = policy_static_differs(policy_static(first), next);
	if (!field)
		return 0;
	fprintf(stderr,
		"%s: %s differs from what the sandbox '%s' was started with; static sections cannot change in a "
		"running sandbox: leave the section out, or delete the sandbox and run it anew\n",
		p->path, field, name);
	return -EPERM;
}

static int send_reload(int fd, const struct reload_options *o, const struct prepared *p)
{
	struct ctl_reload q = {.version = CTL_VERSION, .timeout_ms = o->timeout_s * 1000};
	int fds[2] = {p->image_fd, p->text_fd};

	snprintf(q.path, sizeof(q.path), "%s", p->path);
	return control_send(fd, CTL_RELOAD, &q, sizeof(q), fds, 2);
}

static int print_loaded(const char *name, const char *text)
{
	json_t *j = json_loads(text, 0, NULL);
	json_int_t revision = json_integer_value(json_object_get(j, "revision"));
	json_int_t closed = json_integer_value(json_object_get(j, "closed"));
	const char *hash = json_string_value(json_object_get(j, "hash"));

	printf("%s: revision %lld loaded, sha256 %.16s, enforced after %.1f ms, complete after %.1f ms", name,
	       (long long)revision, hash ? hash : "", json_real_value(json_object_get(j, "enforced_ms")),
	       json_real_value(json_object_get(j, "total_ms")));
	if (closed > 0)
		printf(", %lld direct connection%s closed", (long long)closed, closed == 1 ? "" : "s");
	putchar('\n');
	json_decref(j);
	return 0;
}

static int answer(int fd, const struct reload_options *o)
{
	char buf[4096];
	uint32_t type;
	size_t n;
	int r = control_recv(fd, o->wait ? (int)(o->timeout_s * 1000 + 1000) : BRIEF_MS, &type, buf, sizeof(buf), &n, NULL,
			     NULL);
	int32_t e = 0;

	if (r == -ETIMEDOUT && !o->wait) {
		printf("%s: accepted, not loaded yet; 'osh-enforce status %s' shows the revision in force\n", o->name, o->name);
		return 0;
	}
	if (r == -ETIMEDOUT)
		return fail(EXIT_TIMEOUT, o->name, "timed out; the old policy is in force");
	if (r < 0)
		return fail(EXIT_REFUSED, o->name, r == -EPIPE ? "the supervisor ended" : strerror(-r));
	if (type == CTL_OK)
		return print_loaded(o->name, buf);
	if (n >= sizeof(e))
		memcpy(&e, buf, sizeof(e));
	return fail(e == -ETIMEDOUT ? EXIT_TIMEOUT : EXIT_REFUSED, o->name,
		    n > sizeof(e) ? buf + sizeof(e) : "unexpected answer");
}

static int reload(const struct reload_options *o)
{
	struct prepare_options po = {.path = o->policy};
	struct identity id = {0};
	struct prepared p = {.text_fd = -1, .image_fd = -1};
	_cleanup_close_ int fd = -1;
	json_t *st = status_fetch(o->name);
	int64_t uid = 0;
	int status = EXIT_REFUSED, r;

	if (st && strcmp(status_string(st, "state", ""), STATUS_SILENT) == 0) {
		json_decref(st);
		return fail(EXIT_TIMEOUT, o->name, "timed out: the supervisor does not answer; the old policy is in force");
	}
	if (!st || strcmp(status_string(st, "state", ""), STATUS_RUNNING) != 0 || !status_number(st, "uid", &uid)) {
		json_decref(st);
		return fail(EXIT_REFUSED, o->name, "no such sandbox is running; 'osh-enforce list' shows what runs");
	}
	r = running_identity((uid_t)uid, &id);
	po.identity = &id;
	if (r == 0)
		r = prepare_policy(&po, &p);
	if (r == 0) {
		r = static_unchanged(o->name, &p, status_string(st, "static_hash", ""));
		if (r == 0) {
			r = control_connect(o->name, &fd);
			if (r == 0)
				r = send_reload(fd, o, &p);
			status = r < 0 ? fail(EXIT_REFUSED, o->name, strerror(-r)) : answer(fd, o);
		}
		prepared_done(&p);
	}
	identity_done(&id);
	json_decref(st);
	return status;
}

int cmd_reload(int argc, char **argv)
{
	static const struct option longs[] = {{"policy", required_argument, NULL, 'p'},
					      {"wait", no_argument, NULL, 'w'},
					      {"timeout", required_argument, NULL, 't'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	struct reload_options o = {.timeout_s = DEFAULT_TIMEOUT_S};
	char *end;
	long t;
	int c, r;

	while ((c = usage_getopt(argc, argv, "h", longs)) != -1) {
		switch (c) {
		case 'p':
			o.policy = optarg;
			break;
		case 'w':
			o.wait = true;
			break;
		case 't':
			t = strtol(optarg, &end, 10);
			if (end == optarg || *end || t < 1 || t > TIMEOUT_MAX_S)
				return usage_error("reload", "--timeout takes 1 to %d seconds", TIMEOUT_MAX_S);
			o.timeout_s = (uint32_t)t;
			break;
		case 'h':
			usage_print("reload", stdout);
			return 0;
		default:
			return USAGE_EXIT;
		}
	}
	if (!o.policy)
		return usage_error("reload", "--policy FILE is missing");
	if (argc - optind > 1)
		return usage_error("reload", "takes one NAME");
	if (optind < argc) {
		if (!sandbox_name_valid(argv[optind]))
			return usage_error("reload", "'%s' is not a sandbox name", argv[optind]);
		o.name = strdup(argv[optind]);
		r = o.name ? 0 : -ENOMEM;
	} else {
		r = sandbox_only(&o.name);
	}
	if (r < 0)
		return fail(EXIT_REFUSED, NULL,
			    r == -ENOENT     ? "no sandbox is running"
			    : r == -ENOTUNIQ ? "several sandboxes are running: name one"
					     : strerror(-r));
	r = reload(&o);
	free(o.name);
	return r;
}
