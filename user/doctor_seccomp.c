/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_seccomp.c - prints the tables of the system call filter: what is refused, when, with which
 * answer and why.
 *
 * It reads the tables that the filter is made from and Landlock's version, and loads nothing.  What
 * the filter makes without a table, in user/seccomp.c, is named in generated[].
 */
#include "user/doctor_seccomp.h"

#include "user/landlock.h"
#include "user/seccomp_table.h"

#include <jansson.h>

static const struct {
	const char *name, *when;
	int answer;
	const char *reason;
} generated[] = {
	{"personality", "other than 0 and the query", EPERM,
	 "other layouts of memory, and emulations of other systems"},
	{"socket", "not in the list of sockets", EPERM, "traffic that no hook of the policy sees"},
	{"socketpair", "family other than AF_UNIX", EPERM, "no other family has pairs in use"},
};

static const char *answer_name(int answer)
{
	switch (answer) {
	case SECCOMP_PRETEND:
		return "none: 0";
	case EPERM:
		return "EPERM";
	default:
		return "ENOSYS";
	}
}

/* Of the rows that depend on Landlock's version. */
static bool in_force(const struct seccomp_argument *a, int abi)
{
	return !a->landlock_below || abi < a->landlock_below;
}

/* ------------------------------------------------------------------------------------- text -- */

static void text_row(const char *name, const char *when, int answer, const char *reason)
{
	printf("  %-22s %-7s  %-34s %s\n", name, answer_name(answer), when, reason);
}

static void text_arguments(int abi)
{
	puts("\nRefused by their arguments");
	for (size_t i = 0; i < seccomp_arguments_n; i++) {
		const struct seccomp_argument *a = &seccomp_arguments[i];

		if (in_force(a, abi))
			text_row(a->name, a->when, a->answer, a->reason);
	}
	for (size_t i = 0; i < ARRAY_LEN(generated); i++)
		text_row(generated[i].name, generated[i].when, generated[i].answer,
			 generated[i].reason);
	if (abi < 3)
		return;
	printf("\nRefused only where Landlock is older than this kernel's ABI %d\n", abi);
	for (size_t i = 0; i < seccomp_arguments_n; i++) {
		const struct seccomp_argument *a = &seccomp_arguments[i];

		if (!in_force(a, abi))
			text_row(a->name, a->when, a->answer, a->reason);
	}
}

static void text_print(int abi)
{
	puts("What is not named here is allowed.\n\n"
	     "Calls of another architecture (32-bit, x32): the process is killed.");
	printf("Calls with a number above %d: ENOSYS, as on a kernel that does not have them.\n",
	       SECCOMP_LAST_KNOWN);
	puts("\nRefused whatever their arguments");
	for (size_t i = 0; i < seccomp_calls_n; i++)
		text_row(seccomp_calls[i].name, "always", seccomp_calls[i].answer,
			 seccomp_calls[i].reason);
	text_arguments(abi);
	puts("\nSockets that there are; any other is refused (protocol 0 or as named)");
	for (size_t i = 0; i < seccomp_sockets_n; i++) {
		const struct seccomp_socket *s = &seccomp_sockets[i];

		printf("  %-11s %-15s %-14s %s\n", s->family_name, s->type_name, s->protocol_name,
		       s->reason);
	}
	puts("\nCalls of Linux 5.1 and later, looked at and allowed");
	for (size_t i = 0; i < seccomp_calls_allowed_n; i++)
		printf("  %-24s %s\n", seccomp_calls_allowed[i].name,
		       seccomp_calls_allowed[i].reason);
}

/* ------------------------------------------------------------------------------------- json -- */

static json_t *json_rule(const char *name, const char *when, int answer, const char *reason,
			 bool active)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:s}", "call", name, "when", when, "answer",
			 answer == SECCOMP_PRETEND ? "0" : answer_name(answer), "in_force", active,
			 "reason", reason);
}

static int json_rules(json_t *rules, int abi)
{
	int r = 0;

	for (size_t i = 0; i < seccomp_calls_n; i++)
		r |= json_array_append_new(rules, json_rule(seccomp_calls[i].name, "always",
							    seccomp_calls[i].answer,
							    seccomp_calls[i].reason, true));
	for (size_t i = 0; i < seccomp_arguments_n; i++) {
		const struct seccomp_argument *a = &seccomp_arguments[i];

		r |= json_array_append_new(
			rules, json_rule(a->name, a->when, a->answer, a->reason, in_force(a, abi)));
	}
	for (size_t i = 0; i < ARRAY_LEN(generated); i++)
		r |= json_array_append_new(rules, json_rule(generated[i].name, generated[i].when,
							    generated[i].answer,
							    generated[i].reason, true));
	return r;
}

static int json_lists(json_t *sockets, json_t *allowed)
{
	int r = 0;

	for (size_t i = 0; i < seccomp_sockets_n; i++) {
		const struct seccomp_socket *s = &seccomp_sockets[i];

		r |= json_array_append_new(sockets, json_pack("{s:s, s:s, s:[s, s], s:s}", "family",
							      s->family_name, "type", s->type_name,
							      "protocols", "0", s->protocol_name,
							      "reason", s->reason));
	}
	for (size_t i = 0; i < seccomp_calls_allowed_n; i++)
		r |= json_array_append_new(
			allowed, json_pack("{s:s, s:s}", "call", seccomp_calls_allowed[i].name,
					   "reason", seccomp_calls_allowed[i].reason));
	return r;
}

static int json_print(int abi)
{
	json_t *rules = json_array(), *sockets = json_array(), *allowed = json_array();
	int r = json_rules(rules, abi) | json_lists(sockets, allowed);
	json_t *all = json_pack("{s:s, s:s, s:i, s:s, s:i, s:o, s:o, s:o}", "default", "allow",
				"other_architectures", "kill", "last_known_call",
				SECCOMP_LAST_KNOWN, "above", "ENOSYS", "landlock_abi", abi,
				"refused", rules, "sockets", sockets, "allowed", allowed);
	_cleanup_free_ char *text = all && r == 0 ? json_dumps(all, JSON_INDENT(2)) : NULL;

	json_decref(all);
	if (!text)
		return -ENOMEM;
	puts(text);
	return 0;
}

int doctor_seccomp(bool json)
{
	int abi = landlock_abi();

	if (json)
		return json_print(abi);
	text_print(abi);
	return 0;
}
