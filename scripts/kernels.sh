#!/usr/bin/env bash
# kernels.sh: the tests on other kernels, in QEMU guests.
#
#     sudo scripts/kernels.sh [--short] [--kernel 6.1|6.12]... [--lsm on|off]... [--jobs N] [--keep-logs DIR] [--list] [CHECK...]
#
# Boots Debian's cloud kernels (TCG: no KVM is needed) with BPF LSM on and again off (lsm= on the kernel command
# line) and runs there the binaries built here: unit tests, end-to-end tests, containment tests.  CHECK: only these
# (names as --list shows them, or beginnings of such; containment:CLASS, a part of that suite).  --short: one guest
# with BPF LSM and one without, and what says most in a few minutes.  --jobs: guests at a time.  Prints one table:
# kernel, layer, passed, failed, escaped, limits; ends with `N passed, N failed` over all.  Installs what is missing.
# Downloads and images are kept in build/kernels.
#
# A guest has a disk with the tools that the tests need (copied from the packages installed here), one with this
# repository and its build, and no network card.  Both are opened as snapshots: nothing that a guest does is kept.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd)
cd "$TOP" || exit 1
exec </dev/null
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LIMIT=${OSHT_GUEST_LIMIT:-5400} # seconds for one guest
MEMORY=${OSHT_GUEST_MEMORY:-2048}
W=$TOP/build/kernels

# Name of a kernel line, and the package that Debian keeps pointing at its newest kernel.
declare -A META=([6.1]=linux-image-cloud-amd64 [6.12]=linux-image-6.12-cloud-amd64)

usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
die() { printf 'kernels.sh: %s\n' "$*" >&2; exit 1; }
KERNELS=() LSMS=() ONLY=() KEEP='' LIST=0 SHORT=0 JOBS=$(nproc)
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) KERNELS+=("${2:-}"); [ -n "${META[${2:-}]:-}" ] || usage; shift ;;
	--lsm) LSMS+=("${2:-}"); case ${2:-} in on | off) ;; *) usage ;; esac; shift ;;
	--keep-logs) KEEP=${2:-}; [ -n "$KEEP" ] || usage; shift ;;
	--jobs) JOBS=${2:-}; case $JOBS in '' | 0* | *[!0-9]*) usage ;; esac; shift ;;
	--list) LIST=1 ;;
	--short) SHORT=1 ;;
	-*) usage ;;
	*) ONLY+=("$1") ;;
	esac
	shift
done
GUESTS=() # "LINE LSM"
if [ $SHORT = 1 ]; then
	[ ${#KERNELS[@]} = 0 ] && [ ${#LSMS[@]} = 0 ] && GUESTS=("6.12 on" "6.1 off")
	[ ${#ONLY[@]} -gt 0 ] || ONLY=(10-story 45-lsm 76-exhaust containment:identity containment:code containment:files containment:sockets
		containment:tamper)
fi
[ ${#KERNELS[@]} -gt 0 ] || KERNELS=(6.1 6.12)
[ ${#LSMS[@]} -gt 0 ] || LSMS=(on off)
[ ${#GUESTS[@]} -gt 0 ] || for k in "${KERNELS[@]}"; do for l in "${LSMS[@]}"; do GUESTS+=("$k $l"); done; done
if [ $LIST = 1 ]; then exec bash tests/kernels/guest.sh --list; fi
for o in "${ONLY[@]}"; do
	case $o in containment:*) list=(tests/containment/run.sh --list "${o#*:}") ;; *) list=(bash tests/kernels/guest.sh --list "$o") ;; esac
	"${list[@]}" >/dev/null || exit 2
done
[ "$(id -u)" = 0 ] || die "run as root: sudo $0"
[ "$(uname -m)" = x86_64 ] || die "the guests are x86_64 kernels; this machine is $(uname -m)"

LOGS=${KEEP:-$(mktemp -d)}
mkdir -p "$LOGS" "$W"
chmod 700 "$W" # what is in a copy of /etc is not everybody's
STAGE='' QEMU=() # pid of each guest, as in GUESTS
leave() {
	trap '' INT TERM HUP
	[ ${#QEMU[@]} = 0 ] || { kill "${QEMU[@]}" 2>/dev/null; wait "${QEMU[@]}" 2>/dev/null; }
	[ -z "$STAGE" ] || rm -rf "$STAGE"
	[ -n "$KEEP" ] || rm -rf "$LOGS"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# --- kernels ---------------------------------------------------------------------------------------------------
# kernel_get LINE: KVER, and its vmlinuz and modules below $W/LINE.
kernel_get() {
	local line=$1 package dir=$W/$1
	package=$(apt-cache depends "${META[$line]}" | awk '$1 == "Depends:" {print $2; exit}')
	[ -n "$package" ] || die "Debian names no kernel as ${META[$line]}"
	if [ "$(cat "$dir/package" 2>/dev/null)" != "$package" ]; then
		printf 'kernel %s: %s\n' "$line" "$package"
		rm -rf "$dir" && mkdir -p "$dir" || exit 1
		(cd "$dir" && apt-get download -q "$package" >"$LOGS/download.log" 2>&1 && dpkg -x ./*.deb . && rm -f ./*.deb) ||
			die "cannot download $package"
		depmod -b "$dir" "$(ls "$dir/lib/modules")" || die "depmod"
		initramfs "$dir" || die "cannot make the initramfs of $line"
		echo "$package" >"$dir/package"
	fi
}
# initramfs DIR: busybox, what finds a virtio disk, and tests/kernels/init.
initramfs() {
	local dir=$1 kver m modules
	kver=$(ls "$dir/lib/modules")
	STAGE=$(mktemp -d)
	mkdir -p "$STAGE"/{bin,m,dev,proc,sys,root}
	cp "$(type -P busybox)" "$STAGE/bin/busybox"
	modules=$(modprobe -d "$dir" -S "$kver" --show-depends -a virtio_pci virtio_blk | awk '$1 == "insmod" && !seen[$2]++ {print $2}')
	for m in $modules; do
		case $m in
		*.xz) xz -dc "$m" >"$STAGE/m/$(basename "$m" .xz)" ;;
		*) cp "$m" "$STAGE/m/" ;;
		esac || return 1
		echo "$(basename "$m" .xz)" >>"$STAGE/m/order"
	done
	cp tests/kernels/init "$STAGE/init"
	(cd "$STAGE" && find . | cpio -o -H newc --quiet | gzip -1) >"$dir/initrd" || return 1
	rm -rf "$STAGE"
	STAGE=''
}

# --- disks -----------------------------------------------------------------------------------------------------
# Packages whose files a guest needs: what the tests need, and all that these depend on.
guest_packages() {
	local roots libs essential
	essential=$(dpkg-query -W -f '${Essential} ${Package}\n' | awk '$1 == "yes" {print $2}')
	libs=$(ldd build/osh-enforce build/osh-enforce-proxy build/clang/unit/test_* | awk '$2 == "=>" {print $3}' | sort -u |
		xargs -r realpath | xargs -r dpkg-query -S 2>/dev/null | sed 's/:.*//' | sort -u)
	roots=$(awk '$1 == "run" || $1 == "test" {print $2}' <(sed -n '/NEEDS/,/NEEDS/p' scripts/deps.sh) | grep -vE 'libclang-rt')
	apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
		--no-enhances $essential apt gawk passwd mount kmod gcc libc6-dev libbpf-dev libseccomp-dev make $libs $roots | grep -E '^[a-z0-9]' | sort -u
}
# disk FILE SIZE DIR: an ext4 image of a directory.
disk() { rm -f "$1" && mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$3" "$1" "$2" 2>&1 | grep -v "^Creating regular file"; [ "${PIPESTATUS[0]}" = 0 ]; }

# The disk with the tools; made again when a package in it changed.
tools_disk() {
	local list=$W/packages.now line
	guest_packages >"$W/names" || return 1
	# shellcheck disable=SC2046
	dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' $(cat "$W/names") 2>/dev/null | grep '^ii' >"$list"
	cat "$W"/*/package >>"$list" 2>/dev/null
	cksum <"$0" >>"$list" # how it is made
	cmp -s "$list" "$W/packages" && [ -e "$W/tools.img" ] && return 0
	printf 'disk of tools: %s packages\n' "$(wc -l <"$list")"
	STAGE=$(mktemp -d -p "$W")
	mkdir -p "$STAGE"/{proc,sys,dev,run,tmp,root,home,mnt,osh,var/tmp,var/lib,var/log,var/cache,usr/lib/modules,usr/local/bin,usr/local/sbin,usr/local/lib}
	chmod 1777 "$STAGE/tmp" "$STAGE/var/tmp"
	# shellcheck disable=SC2046
	{
		dpkg -L $(awk '{print $2}' "$list" | grep -vE '^linux-image') 2>/dev/null
		find /usr/bin /usr/sbin -type l
		[ ! -d /usr/lib/node_modules ] || find /usr/lib/node_modules
	} | grep '^/' | grep -vE '^/usr/share/(doc|man|locale|info|lintian)/' | sed -E 's#^/(bin|sbin|lib|lib32|lib64)(/|$)#/usr/\1\2#' |
		sort -u | tar -C / --no-recursion --ignore-failed-read -cf - -T - 2>/dev/null | tar -C "$STAGE" -xf - || return 1
	for line in bin sbin lib lib64; do ln -sfn "usr/$line" "$STAGE/$line"; done
	tar -C / --exclude='etc/*shadow*' --exclude=etc/ssh --exclude=etc/ssl/private --exclude=etc/resolv.conf --exclude=etc/mtab -cf - etc |
		tar -C "$STAGE" -xf - || return 1
	awk -F: '{print $1 ":*:19000::::::"}' /etc/passwd >"$STAGE/etc/shadow" && awk -F: '{print $1 ":*::"}' /etc/group >"$STAGE/etc/gshadow" &&
		chmod 600 "$STAGE/etc/shadow" "$STAGE/etc/gshadow" || return 1
	for line in "$W"/*/lib/modules/*; do cp -a "$line" "$STAGE/usr/lib/modules/"; done
	disk "$W/tools.img" 6G "$STAGE" || return 1
	rm -rf "$STAGE"
	STAGE=''
	mv "$list" "$W/packages"
}
# The disk with this repository and what was built from it.
project_disk() {
	STAGE=$(mktemp -d -p "$W")
	git ls-files -z -co --exclude-standard | tar --null -T - -cf - | tar -C "$STAGE" -xf - &&
		mkdir -p "$STAGE/build/clang/unit" && cp build/osh-enforce build/osh-enforce-proxy "$STAGE/build/" &&
		cp build/clang/unit/test_* "$STAGE/build/clang/unit/" && chown -R 0:0 "$STAGE" && disk "$W/project.img" 2G "$STAGE" || return 1
	rm -rf "$STAGE"
	STAGE=''
}

# --- one guest -------------------------------------------------------------------------------------------------
# guest LINE LSM: starts it; results in $LOGS/LINE-LSM.log.
guest() {
	local dir=$W/$1 log=$LOGS/$1-lsm-$2.log modules=landlock,lockdown,yama
	[ "$2" = off ] || modules+=,bpf
	# One thread for both processors: with two, QEMU 7.2 may run code that another processor has just patched (text_poke),
	# and the guest's kernel stops at an int3 that is not there any more.
	timeout --kill-after=10 "$LIMIT" qemu-system-x86_64 -accel tcg,thread=single -cpu max -smp 2 -m "$MEMORY" -nographic \
		-no-reboot -nic none -kernel "$dir"/boot/vmlinuz-* -initrd "$dir/initrd" \
		-append "console=ttyS0 quiet panic=-1 lsm=$modules osht_lsm=$2 -- $(IFS=,; echo "${ONLY[*]}")" \
		-drive "file=$W/tools.img,if=virtio,format=raw,snapshot=on" \
		-drive "file=$W/project.img,if=virtio,format=raw,snapshot=on" >"$log" 2>&1 &
	QEMU+=($!)
}
# report LINE LSM: a row of the table for each layer that the guest's log names (tests/kernels/guest.sh).
PASSED=0 FAILED=0 ESCAPED=0 LIMITS=0
report() {
	local log=$LOGS/$1-lsm-$2.log text=$LOGS/$1-lsm-$2.txt layer p f e l rows=0 failed=$FAILED lost
	tr -d '\r' <"$log" >"$text"
	while read -r _ layer p f e l; do
		rows=$((rows + 1))
		printf '%-6s %-8s %-32s %6d %6d %7d %6d\n' "$1" "$2" "$layer" "$p" "$f" "$e" "$l"
		PASSED=$((PASSED + p)) FAILED=$((FAILED + f)) ESCAPED=$((ESCAPED + e)) LIMITS=$((LIMITS + l))
	done < <(grep -E '^RESULT [^ ]+( +[0-9]+){4}$' "$text")
	awk '/^(not ok|FAILED)/ {p = 1; print; next} /^#/ && p {print; next} {p = 0}' "$text" | cut -c 1-200 | sed 's/^/    /'
	# A guest is trusted as far as its log is whole: it ended, every row that it wrote arrived, its kernel is well.
	lost=$(grep -E '^END OF GUEST [0-9]+ rows$' "$text") || lost="the guest did not end by itself"
	[ "$lost" != "END OF GUEST $rows rows" ] || lost=''
	[ "$rows" -gt 0 ] || lost=${lost:-no results}
	[ -n "$lost" ] || lost=$(grep -m 1 -aE '^\[ *[0-9.]+\] .*(BUG: |Oops|general protection fault|Kernel panic|KASAN)' "$text") || lost=''
	[ -n "$lost" ] || [ "$FAILED" != "$failed" ] || lost=$(grep -m 1 -E '^not ok' "$text") || lost=''
	if [ -n "$lost" ]; then
		printf '%-6s %-8s %s (%d rows came); the end of its log:\n' "$1" "$2" "$lost" "$rows"
		tail -n 25 "$text" | sed 's/^/    | /'
		FAILED=$((FAILED + 1))
	fi
}

# progress: on a terminal, what each guest is at.
progress() {
	local log text=''
	[ -t 2 ] || return 0
	for log in "$LOGS"/*-lsm-*.log; do text+="$(basename "$log" .log): $(grep -c '^RESULT' "$log") done, $(awk '/^BEGIN/ {n = $2} END {print n}' "$log"); "; done
	printf '\r\033[K%s\r' "${text//[[:cntrl:]]/}" >&2
}

scripts/deps.sh build run test guest || die "packages are missing"
make -s -j"$(nproc)" all || die "the build fails"
make -s -j"$(nproc)" CC=clang B=build/clang unit-build >"$LOGS/unit-build.log" 2>&1 || # without sanitisers, which find the same on every kernel
	die "the unit tests do not build: $(tail -n 5 "$LOGS/unit-build.log")"
for k in "${KERNELS[@]}"; do kernel_get "$k"; done
tools_disk || die "cannot make the disk of tools"
project_disk || die "cannot make the project's disk"
printf '%-6s %-8s %-32s %6s %6s %7s %6s\n' kernel 'BPF LSM' layer passed failed ESCAPED limit
started=0 told=0
while [ $told -lt ${#GUESTS[@]} ]; do
	# shellcheck disable=SC2086
	while [ $started -lt ${#GUESTS[@]} ] && [ "$(jobs -rp | wc -l)" -lt "$JOBS" ]; do guest ${GUESTS[started]}; started=$((started + 1)); done
	if [ $told -lt $started ] && ! kill -0 "${QEMU[told]}" 2>/dev/null; then
		[ ! -t 2 ] || printf '\r\033[K' >&2
		# shellcheck disable=SC2086
		report ${GUESTS[told]}
		told=$((told + 1))
	else
		progress
		sleep 1
	fi
done
printf '%d ESCAPED, %d limits (documented)\n' "$ESCAPED" "$LIMITS"
printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
[ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
