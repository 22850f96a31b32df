# shellcheck shell=bash
# e2e/lib.sh - what every end-to-end test starts with: `. "$(dirname "$0")/lib.sh"`, checks, `finish`.
#
# A check prints `ok - NAME` or `not ok - NAME` with what was seen; scripts/test.sh counts them.  A test that dies
# before `finish` counts as failed.

set -u
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need_root
[ -x "$OSH" ] || die "no $OSH: build first"

PFX=osht$$-      # names of this test's sandboxes begin so
GOOD=0 BAD=0 OUT='' RC=0

ok() { GOOD=$((GOOD + 1)); printf 'ok - %s\n' "$*"; }
not_ok() {
	BAD=$((BAD + 1))
	printf 'not ok - %s\n' "$*"
	printf 'exit status %s\n%s\n' "$RC" "$OUT" | tail -n "${CONTEXT:-15}" | cut -c 1-600 | sed 's/^/#   /'
}
# check NAME COMMAND...: of the last run, or of anything else.
check() {
	local name=$1; shift
	if "$@"; then ok "$name"; else not_ok "$name"; fi
}
# limit NAME COMMAND...: a check that this kernel cannot meet, as README says; counted only where it is met.
limit() {
	local name=$1; shift
	if "$@"; then ok "$name"; else printf 'LIMIT (documented) - %s\n' "$name"; fi
}
# What a kernel may lack: BPF LSM; something that keeps signals and abstract Unix sockets inside (Landlock ABI 6, or that).
no_lsm() { ! grep -qw bpf /sys/kernel/security/lsm 2>/dev/null; }
no_scope() {
	[ -n "${ABI:-}" ] || ABI=$("$OSH" doctor --seccomp --format json | grep -oE '"landlock_abi": [0-9]+' | grep -oE '[0-9]+$')
	[ "${ABI:-}" ] || die "doctor does not say Landlock's ABI"
	[ "$ABI" -lt 6 ] && no_lsm
}
# limit_if COMMAND NAME COMMAND...: a limit where the first says so, else a check.
limit_if() { local lacks=$1; shift; if "$lacks"; then limit "$@"; else check "$@"; fi; }
finish() {
	printf '%d passed, %d failed\n' "$GOOD" "$BAD"
	[ "$BAD" = 0 ]
	exit
}
section() { printf '# %s\n' "$*"; }

# run COMMAND...: output in OUT (both streams), exit status in RC.
run() {
	OUT=$(timeout --foreground -k 5 $((${LIMIT:-60} * ${OSHT_SLOW:-1})) "$@" 2>&1 </dev/null)
	RC=$?
}
rc_is() { [ "$RC" = "$1" ]; }
rc_not() { [ "$RC" != "$1" ]; }
out_is() { [ "$OUT" = "$1" ]; }
out_has() { grep -qE -- "$1" <<<"$OUT"; }
out_lacks() { ! out_has "$1"; }
says() { rc_is 0 && out_has "$1"; }
all() { # all 'COMMAND' 'COMMAND'...: each must hold
	local c
	for c in "$@"; do eval "$c" || return 1; done
}
came() { [ "$(seen "$1" "$2")" -ge 1 ]; }
came_not() { [ "$(seen "$1" "$2")" = 0 ]; }
count_is() { [ "$(seen "$1" "$2")" = "$3" ]; }

# --- sandboxes ---------------------------------------------------------------------------------------------------
OSHC=("${INC[@]}" "$OSH")     # osh-enforce as the client host's root
# start NAME POLICY [OPTION...]: a kept sandbox with the test's names and CA, in $T/work.
start() {
	local n=$1 p=$2; shift 2
	OUT=$(cd "$T/work" && timeout --foreground -k 5 $((60 * ${OSHT_SLOW:-1})) "${OSHC[@]}" run --name "$PFX$n" --keep --policy "$p" --upstream-ca "$CA" \
		"${ADD_HOSTS[@]}" "$@" -- true 2>&1 </dev/null)
	RC=$?
	[ "$RC" = 0 ]
}
# must_start: as start, and the end of the test where it fails.
must_start() {
	start "$@" && return
	not_ok "sandbox $1 starts"
	finish
}
# sb NAME COMMAND...: in the sandbox.
sb() { local n=$1; shift; run "${OSHC[@]}" exec "$PFX$n" -- "$@"; }
# sbsh NAME SCRIPT: shell text in the sandbox.
sbsh() { sb "$1" bash -c "$2"; }
reload() { run "${OSHC[@]}" reload "$PFX$1" --policy "$2" --wait; }
delete() { run "${OSHC[@]}" delete "$PFX$1"; }
logs() { local n=$1; shift; run "${OSHC[@]}" logs "$PFX$n" "$@"; }
logged() { # logged NAME REGEX
	"${OSHC[@]}" logs "$PFX$1" 2>/dev/null </dev/null | grep -qE -- "$2"
}
status_json() { "${OSHC[@]}" status "$PFX$1" --format json 2>/dev/null </dev/null; }
# json_field TEXT PATH: json_field "$x" proxy.pid
json_field() {
	python3 -c 'import json,sys
v = json.loads(sys.argv[1])
for k in sys.argv[2].split("."): v = v[int(k)] if isinstance(v, list) else v[k]
print(v)' "$1" "$2" 2>/dev/null
}
proxy_pid() { status_json "$1" | grep -oE '"proxy_pid": ?[0-9]+' | grep -oE '[0-9]+$'; }

# --- policies ----------------------------------------------------------------------------------------------------
# policy FILE: the static part for tests, then the network_policies given on stdin (none: nothing allowed).
policy() {
	cat >"$T/$1" <<-'HEAD'
	version: 1
	filesystem_policy: {include_workdir: true, read_only: [/usr, /lib, /proc, /dev/urandom, /etc], read_write: [/tmp, /dev/null]}
	process: {run_as_user: sandbox, run_as_group: sandbox}
	HEAD
	[ -t 0 ] || cat >>"$T/$1"
}
# The file behind a command, as the kernel names it.
real() { readlink -f "$(type -P "$1")"; }

e2e_up() {
	user_up sandbox
	host_up
	on_exit 'sandboxes_down "$PFX"'
	chown sandbox: "$T/work"
}

# The static prober, in the workdir of the sandboxes: $PROBE.
probe_up() {
	PROBE=$T/work/probe
	gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -static -o "$PROBE" "$TOP/tests/e2e/probe.c" || die "probe.c"
	chmod 755 "$PROBE"
}
# The same action outside any sandbox, as the sandbox's user, in the same namespace.
AS_USER=(setpriv --reuid sandbox --regid sandbox --clear-groups)
outside() { run "${INC[@]}" "${AS_USER[@]}" "$@"; }
# bg NAME COMMAND...: in the sandbox, in the background; output in $T/log/bg.N, pid of osh-enforce in BG_PID.
bg() {
	local n=$1; shift
	BG_N=$((${BG_N:-0} + 1)) BG_OUT=$T/log/bg.$BG_N
	: >"$BG_OUT"
	"${OSHC[@]}" exec "$PFX$n" -- "$@" >"$BG_OUT" 2>&1 </dev/null &
	BG_PID=$!
	on_exit "stop $BG_PID"
}
