#!/bin/sh
# make.sh OUTPUT: vmlinux.h, the types of the running kernel, from its BTF.
#
# Only names and layouts are taken from it; the BPF object is relocated to the kernel that loads it (CO-RE), so a header
# of one kernel serves for others.
set -eu
btf=${BTF:-/sys/kernel/btf/vmlinux}
tool=${BPFTOOL:-bpftool}
if [ ! -r "$btf" ]; then
	echo "vmlinux/make.sh: $btf is not there: this kernel was built without CONFIG_DEBUG_INFO_BTF;" \
		"give another kernel's BTF file in the variable BTF" >&2
	exit 1
fi
"$tool" btf dump file "$btf" format c >"$1.tmp"
mv "$1.tmp" "$1"
