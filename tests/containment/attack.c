/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attack.c - runs the applet named by the first argument (attack.h).
 */
#include "attack.h"

extern const struct applet __start_applets[], __stop_applets[];
int probe_main(int argc, char **argv); /* tests/e2e/probe.c */

APPLET(probe)
{
	return probe_main(argc, argv);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const struct applet *a = __start_applets; argc > 1 && a < __stop_applets; a++)
		if (strcmp(a->name, argv[1]) == 0)
			return a->main(argc - 1, argv + 1);
	fprintf(stderr, "attack: no applet %s\n", argc > 1 ? argv[1] : "");
	return 2;
}
