#!/usr/bin/env bash
# test.sh: all tests in one run.
#
#     sudo scripts/test.sh [--list] [--no-deps] [--keep-logs DIR] [CHECK...]
#
# Installs what is missing; builds with gcc and with clang (warnings are errors); unit tests under ASan and UBSan; a
# short run of each fuzz target; the end-to-end tests in tests/e2e; the containment suite, with enforcement and without;
# the demo; on x86_64 the short form of scripts/kernels.sh.  CHECK: only these (names as --list shows them, or beginnings
# of such).  Ends with `N passed, N failed` over all; exit status 0 when none failed.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd)
cd "$TOP" || exit 1
exec </dev/null
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LIMIT=${OSHT_LIMIT:-400}        # seconds for one end-to-end test
FUZZ_SECONDS=${OSHT_FUZZ_SECONDS:-3}

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
DEPS=1 KEEP='' LIST=0 ONLY=()
while [ $# -gt 0 ]; do
	case $1 in
	--list) LIST=1 ;;
	--no-deps) DEPS=0 ;;
	--keep-logs) KEEP=${2:-}; [ -n "$KEEP" ] || usage; shift ;;
	-*) usage ;;
	*) ONLY+=("$1") ;;
	esac
	shift
done
CHECKS=(build clang unit fuzz)
for t in tests/e2e/[0-9]*.sh; do t=${t##*/}; CHECKS+=("${t%.sh}"); done
CHECKS+=(containment containment-unenforced demo)
[ "$(uname -m)" != x86_64 ] || CHECKS+=(kernels) # guests of the same architecture
if [ $LIST = 1 ]; then printf '%s\n' "${CHECKS[@]}"; exit 0; fi
for o in "${ONLY[@]}"; do
	case " ${CHECKS[*]}" in *" $o"*) ;; *) echo "test.sh: no such check: $o (--list shows them)" >&2; exit 2 ;; esac
done
[ "$(id -u)" = 0 ] || { echo "test.sh: run as root: sudo $0" >&2; exit 1; }

chosen() {
	local o
	[ ${#ONLY[@]} -gt 0 ] || return 0
	for o in "${ONLY[@]}"; do case $1 in "$o"*) return 0 ;; esac; done
	return 1
}

LOGS=${KEEP:-$(mktemp -d)}
mkdir -p "$LOGS"
CHILD='' PASSED=0 FAILED=0
leave() {
	trap '' INT TERM HUP
	if [ -n "$CHILD" ]; then kill -TERM "$CHILD" 2>/dev/null; wait "$CHILD" 2>/dev/null; fi
	[ -n "$KEEP" ] || rm -rf "$LOGS"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# limited SECONDS LOG COMMAND...: in a process group of its own, ended as a whole when time is up or on Ctrl-C.
limited() {
	local seconds=$1 log=$2 rc; shift 2
	timeout --kill-after=30 "$seconds" "$@" >"$log" 2>&1 &
	CHILD=$!
	wait "$CHILD"
	rc=$?
	CHILD=''
	return $rc
}
# verdict NAME PASSED FAILED SECONDS LOG
verdict() {
	PASSED=$((PASSED + $2)) FAILED=$((FAILED + $3))
	printf '%-22s %4d passed, %d failed  (%d s)\n' "$1" "$2" "$3" "$4"
	[ "$3" = 0 ] && return
	if grep -q '^not ok' "$5"; then
		awk '/^not ok/ {p = 1; print "    " $0; next} /^#   / && p {print "    " $0; next} {p = 0}' "$5"
		grep -qE '^[0-9]+ passed, [0-9]+ failed$' "$5" || tail -n 20 "$5" | sed 's/^/    | /'
	else
		tail -n "${6:-60}" "$5" | sed 's/^/    | /'
	fi
}
# simple NAME SECONDS COMMAND...: one check, by exit status.
simple() {
	local name=$1 seconds=$2 start=$SECONDS; shift 2
	if limited "$seconds" "$LOGS/$name.log" "$@"; then
		verdict "$name" 1 0 $((SECONDS - start)) "$LOGS/$name.log"
	else
		verdict "$name" 0 1 $((SECONDS - start)) "$LOGS/$name.log"
		return 1
	fi
}
# counted NAME SECONDS COMMAND...: its last `N passed, N failed` line counts; a failure that it did not count is one more.
counted() {
	local name=$1 seconds=$2 start=$SECONDS rc p f line; shift 2
	limited "$seconds" "$LOGS/$name.log" "$@"
	rc=$?
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$LOGS/$name.log" | tail -n 1)
	if [ -n "$line" ]; then
		read -r p _ f _ <<<"$line"
	else
		p=$(grep -c '^ok - ' "$LOGS/$name.log") f=$(grep -c '^not ok - ' "$LOGS/$name.log")
	fi
	if [ -z "$line" ] || { [ $rc != 0 ] && [ "$f" = 0 ]; }; then f=$((f + 1)); echo "(ended with status $rc)" >>"$LOGS/$name.log"; fi
	verdict "$name" "$p" "$f" $((SECONDS - start)) "$LOGS/$name.log"
}

if [ $DEPS = 1 ]; then scripts/deps.sh build run test || { printf '0 passed, 1 failed\n'; exit 1; }; fi

# What follows needs the product; without it there is nothing to run.
JOBS=$(nproc)
if ! simple build 600 make -j"$JOBS" CC=gcc all; then
	printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
	exit 1
fi
chosen clang && simple clang 600 make -j"$JOBS" CC=clang B=build/clang all
chosen unit && counted unit 900 make -j"$JOBS" CC=gcc unit
if chosen fuzz; then
	targets=(tests/fuzz/fuzz_*.c)
	if [ -e "${targets[0]}" ] && simple fuzz-build 900 make -j"$JOBS" fuzz; then
		for t in "${targets[@]}"; do
			t=${t##*/} t=${t%.c}
			simple "$t" $((FUZZ_SECONDS + 120)) scripts/fuzz.sh "$FUZZ_SECONDS" "build/fuzz/$t"
		done
	fi
fi
for t in tests/e2e/[0-9]*.sh; do
	n=${t##*/} n=${n%.sh}
	chosen "$n" && counted "$n" "$LIMIT" env ${KEEP:+KEEP_LOGS="$LOGS/$n"} bash "$t"
done
chosen containment && counted containment "$LIMIT" tests/containment/run.sh
chosen containment-unenforced && counted containment-unenforced "$LIMIT" tests/containment/run.sh --unenforced
chosen demo && counted demo 300 scripts/demo.sh --no-deps
if [[ " ${CHECKS[*]} " == *" kernels "* ]]; then chosen kernels && counted kernels 2400 scripts/kernels.sh --short --jobs 2; fi

[ -z "$KEEP" ] || printf 'logs: %s\n' "$LOGS"
printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
[ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
