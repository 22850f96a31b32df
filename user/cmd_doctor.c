/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_doctor.c - `osh-enforce doctor`: prints what user/probe.c found, with the way out of what is
 * missing.
 */
#include "user/doctor_seccomp.h"
#include "user/probe.h"
#include "user/usage.h"

#include <jansson.h>
#include <signal.h>
#include <sys/utsname.h>

static const struct option longopts[] = {
	{"format", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{"seccomp", no_argument, NULL, 's'},
	{NULL, 0, NULL, 0},
};

/* 0: go on; 1: help was asked for; -EINVAL: told. */
static int options_read(int argc, char **argv, bool *ret_json, bool *ret_seccomp)
{
	int c, r;

	while ((c = usage_getopt(argc, argv, "h", longopts)) != -1) {
		if (c == 'h') {
			usage_print("doctor", stdout);
			return 1;
		}
		if (c == 's') {
			*ret_seccomp = true;
			continue;
		}
		r = c == 'f' ? usage_choice("doctor", "format", optarg, "text", "json") : -EINVAL;
		if (r < 0)
			return r;
		*ret_json = r == 1;
	}
	if (optind < argc) {
		usage_error("doctor", "takes no operands");
		return -EINVAL;
	}
	return 0;
}

static bool required(const struct probe *p)
{
	return (p->needs & PROBE_REQUIRED) != 0;
}

/* A required thing that is limited still does what is required. */
static bool good_enough(const struct probe *p, const struct probe_result *r)
{
	return !required(p) || r->state == PROBE_OK || r->state == PROBE_LIMITED;
}

static const char *state_colour(const struct probe *p, enum probe_state state)
{
	if (state == PROBE_OK)
		return "\033[32m";
	return state == PROBE_MISSING && required(p) ? "\033[1;31m" : "\033[33m";
}

static void text_print(const struct probe *p, const struct probe_result *r, bool root, bool colour)
{
	bool told_below = r->state == PROBE_UNTRIED && (p->needs & PROBE_ROOT) && !root;

	printf("  %s%-8s%s %-30s %s%s\n", colour ? state_colour(p, r->state) : "",
	       probe_state_name(r->state), colour ? "\033[0m" : "", p->title, p->purpose,
	       required(p) ? "" : " (optional)");
	if (told_below)
		return;
	if (r->detail[0])
		printf("  %-8s %-30s -> %s\n", "", "", r->detail);
	if (r->remedy[0])
		printf("  %-8s %-30s remedy: %s\n", "", "", r->remedy);
}

static int json_add(json_t *checks, const struct probe *p, const struct probe_result *r)
{
	return json_array_append_new(
		checks, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s}", "id", p->id, "layer",
				  p->layer, "title", p->title, "state", probe_state_name(r->state),
				  "required", required(p), "purpose", p->purpose, "detail",
				  r->detail, "remedy", r->remedy));
}

struct outcome {
	size_t wanting; /* required and not there */
	size_t untried; /* of them */
	bool interrupted;
};

/* Runs all; prints as it goes, or collects in checks. */
static struct outcome run_all(const struct probe_env *env, json_t *checks, bool colour)
{
	struct outcome out = {0};
	const char *layer = "";
	sigset_t pending;

	for (size_t i = 0; i < probes_n; i++) {
		const struct probe *p = &probes[i];
		struct probe_result r;

		if (sigpending(&pending) == 0 &&
		    (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM))) {
			out.interrupted = true;
			break;
		}
		probe_run(env, p, &r);
		out.wanting += !good_enough(p, &r);
		out.untried += !good_enough(p, &r) && r.state == PROBE_UNTRIED;
		if (checks) {
			json_add(checks, p, &r);
			continue;
		}
		if (strcmp(layer, p->layer) != 0)
			printf("%s%s\n", *layer ? "\n" : "", p->layer);
		layer = p->layer;
		text_print(p, &r, env->root, colour);
		fflush(stdout);
	}
	return out;
}

static void verdict_print(const struct outcome *o, bool root)
{
	size_t missing = o->wanting - o->untried;

	if (o->wanting == 0)
		puts("\nEverything required is there.");
	else if (!root)
		printf("\n%zu required things were not tried without root: sudo osh-enforce "
		       "doctor\n",
		       o->untried);
	else
		printf("\nRequired: %zu missing, %zu not tried.\n", missing, o->untried);
}

static int json_print(const struct utsname *u, json_t *checks, const struct outcome *o)
{
	json_t *all = json_pack("{s:s, s:s, s:b, s:O}", "kernel", u->release, "machine", u->machine,
				"ok", o->wanting == 0, "checks", checks);
	_cleanup_free_ char *text =
		all ? json_dumps(all, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;

	json_decref(all);
	if (!text)
		return -ENOMEM;
	puts(text);
	return 0;
}

/* Ctrl-C, and a reader of our output that goes, wait until the scratch cgroup is gone. */
static void signals_hold(sigset_t *ret_before)
{
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGHUP);
	sigaddset(&held, SIGPIPE);
	sigprocmask(SIG_BLOCK, &held, ret_before);
}

static int doctor(bool json)
{
	const char *no_colour = getenv("NO_COLOR");
	bool colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
	json_t *checks = json ? json_array() : NULL;
	struct utsname u = {0};
	struct probe_env env;
	struct outcome o;
	sigset_t before;
	int r = 0;

	uname(&u);
	signals_hold(&before);
	probe_env_init(&env);
	if (!json)
		printf("osh-enforce " OSH_VERSION " on Linux %s %s%s\n\n", u.release, u.machine,
		       env.root ? "" : " (not root: tries what it can)");
	o = run_all(&env, checks, colour);
	probe_env_done(&env);
	sigprocmask(SIG_SETMASK, &before, NULL); /* and ends here when it was interrupted */
	if (json)
		r = json_print(&u, checks, &o);
	else if (!o.interrupted)
		verdict_print(&o, geteuid() == 0);
	json_decref(checks);
	return r < 0 || o.wanting || o.interrupted ? 1 : 0;
}

int cmd_doctor(int argc, char **argv)
{
	bool json = false, seccomp = false;
	int r = options_read(argc, argv, &json, &seccomp);

	if (r != 0)
		return r < 0 ? usage_status("doctor") : 0;
	if (seccomp)
		return doctor_seccomp(json) < 0 ? 1 : 0;
	return doctor(json);
}
