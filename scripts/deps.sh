#!/usr/bin/env bash
# deps.sh [build|run|test|guest]...: installs, on Debian 12, what the named groups need and the machine lacks.
#
# Tools are looked for by command, so one that did not come from Debian (a newer node, say) is used as it is; libraries
# by package.  Nothing missing: no network, a fraction of a second.  No service is started by what is installed.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# One line a need: GROUP PACKAGE [COMMAND or file that shows it is there; else the package itself is asked for].
needs() {
	cat <<-'NEEDS'
	build gcc gcc
	build libc6-dev /usr/include/stdio.h
	build make make
	build binutils ar
	build clang clang
	build llvm llvm-strip
	build pkg-config pkg-config
	build bpftool bpftool
	build libbpf-dev
	build libelf-dev
	build zlib1g-dev
	build libssl-dev
	build libyaml-dev
	build libseccomp-dev
	build uthash-dev
	build libjansson-dev
	build libc-ares-dev
	build libmd-dev
	run iproute2 ip
	run util-linux nsenter
	run procps ps
	run passwd useradd
	run nginx-light nginx
	run openssl openssl
	run ca-certificates
	run curl curl
	run wget wget
	run python3 python3
	test libcmocka-dev
	test libclang-rt-14-dev @fuzzer
	test git git
	test python3-requests
	test python3-jsonschema
	test python3-yaml
	test nodejs node
	test npm npm
	test fcgiwrap fcgiwrap
	test dpkg-dev dpkg-scanpackages
	test bind9-dnsutils dig
	test dnsmasq-base dnsmasq
	test strace strace
	test bubblewrap bwrap
	test btrfs-progs mkfs.btrfs
	guest qemu-system-x86 qemu-system-x86_64
	guest busybox-static busybox
	guest cpio cpio
	guest kmod depmod
	guest e2fsprogs mke2fs
	guest xz-utils xz
	guest gawk gawk
	NEEDS
}

# there PACKAGE [WITNESS]
there() {
	case ${2:-} in
	'') [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
	@fuzzer) [ -n "$(find "$(clang -print-runtime-dir 2>/dev/null || echo /nonexistent)" \
		-name 'libclang_rt.fuzzer*' 2>/dev/null | head -n 1)" ] || there "$1" ;;
	/*) [ -e "$2" ] ;;
	*) command -v "$2" >/dev/null ;;
	esac
}

groups=" ${*:-build run test} "
missing=()
while read -r group package witness; do
	case $groups in *" $group "*) ;; *) continue ;; esac
	there "$package" "$witness" || missing+=("$package")
done < <(needs)
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] || { echo "deps.sh: missing ${missing[*]}: run as root, or install them" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "deps.sh: missing ${missing[*]}: no apt-get here, install them" >&2; exit 1; }
printf 'installing: %s\n' "${missing[*]}"

# Packages such as nginx start a service when installed; Debian asks this file first.  One that exists is left alone.
guard=/usr/sbin/policy-rc.d
log=$(mktemp)
temporary=("$log")
trap 'rm -f "${temporary[@]}"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$guard" ]; then
	temporary+=("$guard")
	printf '#!/bin/sh\nexit 101\n' >"$guard"
	chmod 755 "$guard"
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
	tail -n 30 "$log" >&2
	echo "deps.sh: apt-get failed" >&2
	exit 1
fi
