/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caller.c - reads the environment of the processes above this one that belong to the user.
 */
#include "user/caller.h"

#include "user/blob.h"

#include <sys/types.h>

#define ANCESTORS_MAX 32

struct ancestor {
	pid_t pid, parent;
	uid_t real, effective;
	char comm[32];
};

const char *caller_sudo_uid(void)
{
	const char *uid = getenv("SUDO_UID");

	return uid && *uid && strcmp(uid, "0") != 0 ? uid : NULL;
}

static int ancestor_read(pid_t pid, struct ancestor *ret)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	const char *s;
	size_t n;
	int r;

	*ret = (struct ancestor){.pid = pid};
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	r = read_whole_file(path, 65536, &text, &n);
	if (r < 0)
		return r;
	if (sscanf(text, "Name:\t%31[^\n]", ret->comm) != 1 || !(s = strstr(text, "\nPPid:\t")) ||
	    sscanf(s, "\nPPid:\t%d", &ret->parent) != 1 || !(s = strstr(text, "\nUid:\t")) ||
	    sscanf(s, "\nUid:\t%u\t%u", &ret->real, &ret->effective) != 2)
		return -EBADMSG;
	return 0;
}

const char *environ_block_find(struct slice block, const char *name)
{
	size_t n = strlen(name);

	while (block.n) {
		const uint8_t *end = memchr(block.p, '\0', block.n);
		size_t k = end ? (size_t)(end - block.p) : block.n;

		if (!end)
			return NULL; /* cut short */
		if (k > n && block.p[n] == '=' && memcmp(block.p, name, n) == 0)
			return (const char *)block.p + n + 1;
		block.p += k + 1;
		block.n -= k + 1;
	}
	return NULL;
}

static char *ancestor_getenv(pid_t pid, const char *name)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	const char *value;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	if (read_whole_file(path, CALLER_ENV_MAX, &text, &n) < 0)
		return NULL;
	value = environ_block_find((struct slice){(const uint8_t *)text, n}, name);
	return value ? strdup(value) : NULL;
}

/* Nearest first: the sudo processes, which were started with the user's environment, then the
 * user's shell. */
static char *from_ancestors(const char *name)
{
	const char *sudo_uid = caller_sudo_uid();
	uid_t uid = sudo_uid ? (uid_t)strtoul(sudo_uid, NULL, 10) : 0;
	struct ancestor a;
	pid_t pid = getppid();

	for (unsigned i = 0; sudo_uid && i < ANCESTORS_MAX && pid > 1; i++, pid = a.parent) {
		bool users, sudo;
		char *value;

		if (ancestor_read(pid, &a) < 0)
			return NULL;
		users = a.real == uid && a.effective == uid;
		sudo = strcmp(a.comm, "sudo") == 0;
		value = users || sudo ? ancestor_getenv(pid, name) : NULL;
		if (value || users)
			return value;
	}
	return NULL;
}

char *caller_getenv(const char *name)
{
	const char *ours = getenv(name);

	return ours ? strdup(ours) : from_ancestors(name);
}

char *caller_path(void)
{
	const char *ours = getenv("PATH");

	if (caller_sudo_uid())
		return from_ancestors("PATH");
	return ours ? strdup(ours) : NULL;
}
