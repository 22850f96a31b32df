#!/bin/bash
# guest.sh: process 1 of a guest (scripts/kernels.sh): mounts what a host has, runs the tests, powers off.
#
# What a test says goes to the console, then `RESULT NAME PASSED FAILED ESCAPED LIMITS` (containment: one for each layer).
#     guest.sh --list [X]  names of the tests (that begin with X)
#     guest.sh [CHECK...]  only these, or those whose names begin so; containment:CLASS, one class of that suite
TOP=$(cd "$(dirname "$0")/../.." && pwd)
cd "$TOP" || exit 1
CHECKS=(unit)
for t in tests/e2e/[0-9]*.sh; do
	t=${t##*/} t=${t%.sh}
	case $t in 05-policy-limits | 12-schema) continue ;; esac # the compiler alone, no kernel; they build programs
	CHECKS+=("$t")
done
[ ! -x tests/containment/run.sh ] || CHECKS+=(containment)
if [ "${1:-}" = --list ]; then printf '%s\n' "${CHECKS[@]}" | grep -- "^${2:-}" || { echo "guest.sh: no such check: $2" >&2; exit 2; }; exit 0; fi
[ $$ = 1 ] || { echo "guest.sh: runs as process 1 of a guest" >&2; exit 1; }

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb
export OSHT_GUEST=1 OSHT_SLOW=10
host_like() {
	echo nameserver 127.0.0.1 >/etc/resolv.conf
	mount -t tmpfs -o mode=755 run /run
	mkdir -p /run/lock
	mount -t tmpfs -o mode=1777 tmp /tmp
	mkdir -p /dev/pts /dev/shm
	mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
	mount -t tmpfs -o mode=1777 shm /dev/shm
	ln -sf /proc/self/fd /dev/fd
	ln -sf pts/ptmx /dev/ptmx 2>/dev/null
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mount -t bpf bpf /sys/fs/bpf
	mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
	mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
	modprobe -a inet_diag tcp_diag udp_diag veth overlay 2>/dev/null
	ip link set lo up
	hostname guest
	chown -R 0:0 /root
	date -s @"$(stat -c %Y build/osh-enforce)" >/dev/null 2>&1
}
CLASSES=() # of the containment suite
ROWS=0
result() { ROWS=$((ROWS + 1)); printf 'RESULT %s %d %d %d %d\n' "$@"; }
chosen() {
	local o
	[ ${#ONLY[@]} -gt 0 ] || return 0
	for o in "${ONLY[@]}"; do case $1 in "${o%%:*}"*) return 0 ;; esac; done
	return 1
}
# one NAME COMMAND...: its last `N passed, N failed` line counts; that line by layers, where it says so.
one() {
	local name=$1 log=/tmp/$1.log line p f rc layer start=$SECONDS; shift
	printf 'BEGIN %s\n' "$name"
	timeout -k 10 "${OSHT_LIMIT:-3600}" "$@" 2>&1 </dev/null | tee "$log"
	rc=${PIPESTATUS[0]}
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
	if [ -n "$line" ]; then
		read -r p _ f _ <<<"$line"
	else
		p=$(grep -c '^ok - ' "$log") f=$(grep -c '^not ok - ' "$log")
	fi
	if [ -z "$line" ] || { [ $rc != 0 ] && [ "$f" = 0 ]; }; then f=$((f + 1)); fi
	printf 'TIME %s %d\n' "$name" $((SECONDS - start))
	if ! grep -q '^layer ' "$log"; then
		result "$name" "$p" "$f" 0 "$(grep -c '^LIMIT (documented)' "$log")"
		return
	fi
	while read -r _ layer line; do
		read -r -a line <<<"$line"
		result "$name:$layer" "${line[@]}"
		f=$((f - line[1]))
	done < <(grep '^layer ' "$log")
	[ "$f" = 0 ] || result "$name" 0 "$f" 0 0 # what belongs to no layer
}

IFS=, read -r -a ONLY <<<"$*" # a kernel hands on few arguments only
for c in "${ONLY[@]}"; do case $c in containment:*) CLASSES+=("${c#*:}") ;; esac; done
host_like
printf 'guest: %s, %s\n' "$(uname -r)" "$(cat /sys/kernel/security/lsm 2>/dev/null)"
lsm_is() { grep -qw bpf /sys/kernel/security/lsm && echo on || echo off; }
if [ "$(lsm_is)" != "${osht_lsm:-}" ]; then # of the kernel's command line
	printf 'not ok - BPF LSM is %s, not %s\n' "$(lsm_is)" "${osht_lsm:-}"
	result guest 0 1 0 0
fi
for c in "${CHECKS[@]}"; do
	chosen "$c" || continue
	case $c in
	unit) one unit scripts/unit.sh build/clang/unit/test_* ;;
	containment) one containment tests/containment/run.sh "${CLASSES[@]}" ;;
	*) one "$c" bash "tests/e2e/$c.sh" ;;
	esac
done
echo "END OF GUEST $ROWS rows"
sync
echo o >/proc/sysrq-trigger
sleep 60
