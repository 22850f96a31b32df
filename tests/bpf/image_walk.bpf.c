/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * image_walk.bpf.c - the kernel's own readers of the image (bpf/image.bpf.h, bpf/decide.bpf.h), run by
 * a test on records, names and images of its making.  Attached to nothing.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/image.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/decide.bpf.h"
#include "tests/bpf/image_walk.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("syscall")
int image_walk(struct image_walk *w)
{
	__u32 tgid = w->tgid;
	struct osh_proc *r = bpf_map_lookup_elem(&procs, &tgid);
	struct osh_dst d = {.name_addr = w->dst.name_addr, .port = w->dst.port, .family = w->dst.family};

	if (!r)
		return 1;
	for (int i = 0; i < 16; i++)
		d.addr[i] = w->dst.addr[i];
	w->binset = path_set(w->path, w->cur);
	w->judged = judge(r, tgid, w->cur, &d);
	return 0;
}
