/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swapper.c - swaps a sandbox's policies in turn, back to back over the control socket, for 66-swap.sh.
 *
 *   swapper NAME UID FILE... SECONDS   the sandbox runs the first; prints `GENERATION LO HI` for each store of `current`, on the
 *                                      monotonic clock, and on stderr what it was and how long it took
 *
 * All are compiled once.  LO and HI come from looking at the word itself, several times a millisecond: before
 * LO it was the old one, after HI the new.
 */
#include "user/control.h"
#include "user/prepare.h"

#include "bpf/abi.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <jansson.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The table of this name among the descriptors of a process. */
static int map_of(pid_t pid, const char *name)
{
	char dir[64], path[400], line[128];
	struct dirent *e;
	unsigned id;
	DIR *d;
	FILE *f;

	snprintf(dir, sizeof(dir), "/proc/%d/fdinfo", (int)pid);
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f)) {
			struct bpf_map_info info = {0};
			uint32_t n = sizeof(info);
			int fd;

			if (sscanf(line, "map_id: %u", &id) != 1)
				continue;
			fd = bpf_map_get_fd_by_id(id);
			if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &n) == 0 && strcmp(info.name, name) == 0) {
				fclose(f);
				closedir(d);
				return fd;
			}
			if (fd >= 0)
				close(fd);
		}
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return -1;
}

static uint64_t generation(int map)
{
	uint32_t key = 0;
	uint64_t w = 0;

	return bpf_map_lookup_elem(map, &key, &w) == 0 ? OSH_CURRENT_GEN(w) : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static double took[200000];
	struct identity id = {0};
	struct prepared p[8];
	uint64_t end;
	struct ucred peer;
	socklen_t peer_n = sizeof(peer);
	size_t n = 0, files = (size_t)argc - 4;
	int fd, map;

	if (argc < 6 || files > ARRAY_LEN(p))
		return 2;
	id.uid = (uid_t)atoi(argv[2]);
	id.gid = (gid_t)id.uid;
	for (size_t i = 0; i < files; i++) {
		struct prepare_options o = {.path = argv[3 + i], .identity = &id};

		if (prepare_policy(&o, &p[i]) < 0)
			return 1;
	}
	if (control_connect(argv[1], &fd) < 0) {
		fprintf(stderr, "swapper: no such sandbox\n");
		return 1;
	}
	map = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_n) < 0 ? -1 : map_of(peer.pid, "current");
	if (map < 0 || generation(map) == 0) {
		fprintf(stderr, "swapper: the word that names the generation was not found\n");
		return 1;
	}
	printf("%llu 0 0\n", (unsigned long long)generation(map));
	end = now() + (uint64_t)(atof(argv[argc - 1]) * 1e9);
	while (now() < end && n < ARRAY_LEN(took)) {
		const struct prepared *next = &p[(n + 1) % files];
		struct ctl_reload q = {.version = CTL_VERSION, .kind = RELOAD_OWN};
		int fds[2] = {next->image_fd, next->text_fd}, r;
		uint64_t began = now(), lo = began, hi = 0, old = generation(map), gen = old, t;
		char buf[4097];
		uint32_t type;
		size_t got;

		r = control_send(fd, CTL_RELOAD, &q, sizeof(q), fds, 2);
		while (r == 0) {
			t = now();
			gen = generation(map);
			if (gen == old)
				lo = t;
			else if (!hi)
				hi = now();
			r = control_recv(fd, 0, &type, buf, sizeof(buf), &got, NULL, NULL);
			if (r == 0 && type != CTL_ACCEPTED)
				break;
			r = r == -ETIMEDOUT && t - began < 30000000000u ? 0 : r;
			nanosleep(&(struct timespec){0, 200000}, NULL);
		}
		if (r < 0 || type != CTL_OK) {
			fprintf(stderr, "swapper: %s\n", r < 0 ? strerror(-r) : got > 4 ? buf + 4 : "refused");
			return 1;
		}
		if (!hi) {
			hi = now();
			gen = generation(map);
		}
		printf("%llu %llu %llu\n", (unsigned long long)gen, (unsigned long long)lo, (unsigned long long)hi);
		took[n++] = (double)(now() - began) / 1e6;
	}
	qsort(took, n, sizeof(*took), by_value);
	fprintf(stderr, "%zu swaps, median %.1f ms, longest %.1f ms\n", n, n ? took[n / 2] : 0, n ? took[n - 1] : 0);
	return 0;
}
