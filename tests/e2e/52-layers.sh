#!/usr/bin/env bash
# A start proves each wall, and ends where one that is required is not there or does nothing, unless --allow-missing
# names it: then status and each segment of the log say so.  Kernels that lack something are feigned with a filter
# around osh-enforce (without.c); =0 is a call that says it has succeeded and has done nothing.
. "$(dirname "$0")/lib.sh"
e2e_up
gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -o "$T/without" "$TOP/tests/e2e/without.c" -lseccomp || die "without.c"
gcc -std=gnu17 -D_GNU_SOURCE -O1 -static -Wno-missing-field-initializers -o "$T/work/syscalls" "$TOP/tests/e2e/syscalls.c" ||
	die "syscalls.c"
policy p.yaml </dev/null
{ sed '/^version/a landlock: {compatibility: hard_requirement}' "$T/p.yaml" | sed 's#, /lib##'; } >"$T/hard.yaml"
REAL=("${OSHC[@]}")
# lacking WHAT...: from here on osh-enforce runs on such a kernel.  `lacking` alone: on the real one.
lacking() {
	OSHC=("${REAL[@]}")
	[ $# = 0 ] || OSHC=("${INC[@]}" "$T/without" "$@" -- "$OSH")
}
N=0
# refused_start NAME REGEX [OPTION...]: the start ends with 125 and says REGEX; nothing of it is left.
refused_start() {
	local name=$1 re=$2; shift 2
	N=$((N + 1))
	start "n$N" "${POLICY:-$T/p.yaml}" "$@"
	check "$name: no start" all 'rc_is 125' "out_has '$re'"
	lacking_was=("${OSHC[@]}"); OSHC=("${REAL[@]}")
	check "and nothing is left of it" eval '! "${OSHC[@]}" list | grep -q "^${PFX}n$N "'
	OSHC=("${lacking_was[@]}")
}
# starts NAME SANDBOX OPTION...
starts() {
	local name=$1 s=$2; shift 2
	start "$s" "${POLICY:-$T/p.yaml}" "$@"
	check "$name" rc_is 0
}
missing_is() { [ "$(status_json "$1" | python3 -c 'import json,sys; print(*json.load(sys.stdin)["missing"])')" = "$2" ]; }
# The first lines: what was said before the layer was tried is before it.
first_line() { head -n 6 "/var/lib/osh-enforce/$PFX$1/log/00000001.jsonl"; }

section "the real kernel"
starts "control: all walls stand" a
check "status: nothing is missing" missing_is a ""
status_text() { run "${REAL[@]}" status "$PFX$1"; }
status_text a
check "status names each layer as proven" all 'out_has "ebpf +proven at start"' 'out_has "mounts +proven at start"' \
	'out_has "seccomp +proven at start"' 'out_has "proxy-jail +proven at start"' 'out_lacks MISSING'
LL=$(grep -c landlock /sys/kernel/security/lsm 2>/dev/null)
[ "$LL" = 0 ] || check "Landlock too" out_has 'landlock +proven at start, ABI [0-9]'

section "names"
run "${OSHC[@]}" run --allow-missing landlok -- true
check "a typo is answered with what was meant" all 'rc_is 125' "out_has \"did you mean 'landlock'\""
run "${OSHC[@]}" run --allow-missing nonsense -- true
check "another word with the list" all 'rc_is 125' 'out_has "want landlock, seccomp, proxy-jail or bpf-lsm"'
for l in ebpf mounts; do
	run "${OSHC[@]}" run --allow-missing $l -- true
	check "$l cannot be missing" all 'rc_is 125' "out_has '$l cannot be missing'"
done
starts "allowing what is not missing changes nothing" b --allow-missing landlock --allow-missing bpf-lsm
check "nothing is missing" missing_is b ""

section "mounts"
lacking mount_setattr=0
refused_start "read-only mounts that are not" 'the private mounts are not live: /.* is not read-only'
lacking mount_setattr=38
refused_start "mounts that cannot be made read-only" '.'
lacking unshare=1
refused_start "no mount namespace" '.'

section "eBPF"
lacking bpf=1
refused_start "no bpf()" 'osh-enforce doctor'
lacking bpf:28=0 bpf:8=0
refused_start "programs that are said to be attached" '.'

section "Landlock"
lacking landlock_create_ruleset=95
LONELY=$((3000000000 + $$)) # a user of whom nothing runs
sed "s/sandbox/$LONELY/g" "$T/p.yaml" >"$T/lonely.yaml"
if [ "$LL" != 0 ]; then
	POLICY=$T/lonely.yaml starts "best_effort: a kernel without Landlock" c
	check "warns" out_has 'no Landlock'
	status_text c
	check "status says so, and that nothing was asked to be missing" all 'out_has "landlock +not in this kernel"' 'missing_is c ""'
	delete c
	# The same user's other processes: what lies behind /proc/PID/root is not the sandbox's.
	mkdir "$T/private" && echo secret >"$T/private/key" && chown -R "$LONELY:$LONELY" "$T/private" && chmod 700 "$T/private"
	setpriv --reuid "$LONELY" --regid "$LONELY" --clear-groups sleep 600 &
	OTHER=$!
	on_exit "stop $OTHER"
	until_true 5 eval '[ "$(stat -c %u /proc/$OTHER)" = $LONELY ]'
	KEY=/proc/$OTHER/root$T/private/key
	if [ "$(json_field "$(status_json a)" layers.bpf-lsm)" = "proven at start" ]; then
		POLICY=$T/lonely.yaml starts "with another process of the user, and BPF LSM" lone
	else
		POLICY=$T/lonely.yaml refused_start "another process of the user" 'processes outside are in reach: .*run_as_user'
		POLICY=$T/lonely.yaml starts "allowed" lone --allow-missing landlock
		OSHC=("${REAL[@]}")
		sb lone cat "$KEY"
		check "control: it is a way out" out_is secret
		delete lone
		lacking
		POLICY=$T/lonely.yaml starts "control: with Landlock" lone
	fi
	OSHC=("${REAL[@]}")
	sb lone cat "$KEY"
	check "which is refused" out_lacks secret
	delete lone
	lacking landlock_create_ruleset=95
fi
POLICY=$T/hard.yaml refused_start "hard_requirement" 'hard_requirement.*--allow-missing landlock'
POLICY=$T/hard.yaml starts "hard_requirement with --allow-missing landlock" d --allow-missing landlock
check "warns at start" out_has 'warning: layer landlock is missing'
check "status --format json" missing_is d landlock
status_text d
check "status" all 'out_has "MISSING +landlock "' 'out_has "landlock +MISSING, as --allow-missing permits"' 'out_has "warning +layer landlock"'
OUT=$(first_line d)
check "the log says so in its first lines" out_has '"missing":"landlock"'
lacking
POLICY=$T/hard.yaml starts "control: hard_requirement on the real kernel" e
[ "$LL" != 0 ] || POLICY='' # a kernel without it: seen above
if [ "$LL" != 0 ]; then
	lacking landlock_restrict_self=0
	refused_start "a Landlock that does nothing: the proxy" 'the proxy could not lock itself in: Landlock has no effect.*--allow-missing proxy-jail'
	refused_start "and the sandbox" 'Landlock is not live: a file outside the sandbox was not refused.*--allow-missing landlock' --allow-missing proxy-jail
	starts "both allowed" f --allow-missing proxy-jail --allow-missing landlock
	check "both are named" all 'missing_is f "landlock proxy-jail"' 'first_line f | grep -q "\"missing\":\"landlock,proxy-jail\""'
	lacking landlock_restrict_self=1
	refused_start "a Landlock that refuses" 'cannot enforce Landlock' --allow-missing proxy-jail
	lacking landlock_add_rule=22
	refused_start "a rule that is refused" 'Landlock rule for' --allow-missing proxy-jail
fi

section "seccomp"
lacking seccomp=22 prctl:22=22
refused_start "no filters: the proxy" 'the proxy could not lock itself in: seccomp.*--allow-missing proxy-jail'
refused_start "and the sandbox" '(system call filter|newer system calls).*--allow-missing seccomp' --allow-missing proxy-jail
starts "both allowed" g --allow-missing proxy-jail --allow-missing seccomp
check "both are named" missing_is g "seccomp proxy-jail"
lacking
sb g "$T/work/syscalls" self
check "control: without the filter calls go through" out_has 'DONE|REACHED'
# The same list once more in the kernel programs: who has no filter still makes no other socket.
probe_up
inc sysctl -qw net.ipv4.ping_group_range='0 2147483647'
while read -r n f t p log; do
	outside "$PROBE" socket "$f" "$t" "$p"
	[ "$RC" = 0 ] || continue # not in this kernel
	sb g "$PROBE" socket "$f" "$t" "$p"
	check "without the filter, $n: refused by eBPF, and logged" all 'rc_not 0' \
		"until_true 3 logged g 'kind=socket action=deny .*binary=$PROBE deny_reason=\"protocol not allowed .*$log'"
done <<-'SOCKETS'
ping 2 2 1 icmp
ping6 10 2 58 icmp
MPTCP 2 1 262 mptcp
UDP-Lite 2 2 136 udplite
SOCKETS
sb g "$PROBE" socket 2 1 0
check "control: TCP is there" rc_is 0
sb a "$T/work/syscalls" self
check "control: with it they do not" all 'out_lacks DONE' 'out_lacks REACHED' 'out_has refused'
lacking seccomp:1+=0
refused_start "a filter that does nothing" 'seccomp has no effect'
refused_start "in the sandbox" 'the system call filter is not live' --allow-missing proxy-jail
lacking
for s in a b c d e f g; do "${OSHC[@]}" delete "$PFX$s" >/dev/null 2>&1; done
finish
