/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attack.h - how a containment class adds its attempts to the one static program that runs in the sandbox.
 *
 * Each tests/containment/NN-name.c holds applets; all of them and tests/e2e/probe.c (applet `probe`) are linked into
 * $A.  An applet tries one thing and says in words how that went; what came of it is judged outside, never here.
 *
 *     APPLET(mkdirat) { return mkdirat(AT_FDCWD, argv[1], 0755) ? fail("mkdirat") : done(); }
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct applet {
	const char *name;
	int (*main)(int argc, char **argv); /* argv[0] is the applet's name */
	void *pad[2];                       /* entries of a linker section lie 32 bytes apart, whatever the compiler aligns to */
};

#define APPLET(id)                                                                                       \
	static int applet_##id(int argc, char **argv);                                                   \
	/* not static: two of one name do not link */                                                    \
	const struct applet entry_##id __attribute__((used, section("applets"), aligned(32))) = {        \
	    #id, applet_##id, {0}};                                                                      \
	static int applet_##id(__attribute__((unused)) int argc, __attribute__((unused)) char **argv)

static inline int fail(const char *step)
{
	printf("%s: %s\n", step, strerror(errno));
	return 1;
}

static inline int done(void)
{
	puts("done");
	return 0;
}
