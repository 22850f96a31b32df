/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_delete.c - `osh-enforce delete NAME`: ends a sandbox and removes everything of it, also of a dead one. */
#include "user/control.h"
#include "user/start.h"
#include "user/supervise.h"
#include "user/usage.h"

#include <sys/file.h>
#include <time.h>

/* The supervisor answers before it exits; its own end frees the lock. */
static void wait_gone(int fd)
{
	char b[8];
	uint32_t type;

	while (control_recv(fd, 5000, &type, b, sizeof(b), NULL, NULL, NULL) == 0)
		;
}

int cmd_delete(int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {0}};
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *run = NULL;
	char buf[4096];
	uint32_t type;
	size_t n;
	int c, r;

	while ((c = usage_getopt(argc, argv, "h", longs)) != -1) {
		if (c == 'h') {
			usage_print("delete", stdout);
			return 0;
		}
		return USAGE_EXIT;
	}
	if (argc - optind != 1)
		return usage_error("delete", "takes one NAME");
	if (!sandbox_name_valid(argv[optind]))
		return usage_error("delete", "'%s' is not a sandbox name", argv[optind]);
	if (asprintf(&run, OSH_RUN_DIR "/%s", argv[optind]) < 0)
		return 1;
	if (access(run, F_OK) < 0) {
		sandbox_sweep();
		if (cleanup_revisions(argv[optind]) == 0)
			return 0; /* only its revisions were left */
		fprintf(stderr, "osh-enforce: no sandbox named '%s'; 'osh-enforce list' shows what runs\n", argv[optind]);
		return 1;
	}
	r = control_connect(argv[optind], &fd);
	if (r == 0)
		r = control_send(fd, CTL_DELETE, NULL, 0, NULL, 0);
	if (r == 0)
		r = control_recv(fd, 30000, &type, buf, sizeof(buf), &n, NULL, NULL);
	if (r < 0 && r != -ETIMEDOUT) { /* its supervisor is dead, or was killed just now */
		sandbox_settle(argv[optind]);
		r = cleanup_revisions(argv[optind]);
		if (r != -EBUSY)
			return r == 0 || r == -ENOENT ? 0 : 1;
		fprintf(stderr, "osh-enforce: %s: still there: its processes do not end, or it is just starting\n", run);
		return 1;
	}
	if (r == -ETIMEDOUT && !sandbox_named(argv[optind])) {
		fprintf(stderr, "osh-enforce: %s: gone; so many files that they are still being removed\n", argv[optind]);
		return 0;
	}
	if (r < 0) {
		fprintf(stderr, "osh-enforce: %s: %s\n", argv[optind], strerror(-r));
		return 1;
	}
	if (type == CTL_ERROR) {
		fprintf(stderr, "osh-enforce: %s: %s\n", argv[optind], buf + sizeof(int32_t));
		return 1;
	}
	if (n)
		fprintf(stderr, "osh-enforce: %s: %s\n", argv[optind], buf);
	wait_gone(fd);
	return 0;
}
