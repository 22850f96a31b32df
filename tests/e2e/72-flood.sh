#!/usr/bin/env bash
# Denied connects as fast as they go: what is not logged one by one is counted exactly, no other process disappears from
# the log behind it, and reloads, status and allowed connections go on.  OSHT_SECONDS: how long each flood runs.
. "$(dirname "$0")/lib.sh"
SECS=${OSHT_SECONDS:-10}
e2e_up
OK_IP=93.184.216.80 NO_IP=93.184.216.81
W=$T/work
gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$W/flood" "$TOP/tests/e2e/flood.c" || die "flood.c"
for b in quiet allowed burst; do cp "$W/flood" "$W/$b"; done
chmod 755 "$W"/*
cat >"$T/listen.py" <<'PY'
import socket
s = socket.create_server(("0.0.0.0", 4000), backlog=4096)
print("ready", flush=True)
while True:
    s.accept()[0].close()
PY
"${INS[@]}" python3 -u "$T/listen.py" >"$T/log/listen.log" 2>&1 </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/listen.log"
policy p.yaml <<YAML
network_policies:
  p:
    endpoints: [{port: 4000, allowed_ips: [$OK_IP]}]
    binaries: [{path: $W/allowed}]
YAML
sed 's/  p:/  q:/' "$T/p.yaml" >"$T/q.yaml"

# totals: of the log of a sandbox, attempts to NO_IP: lines of their own, suppressed, lost.
cat >"$T/totals.py" <<'PY'
import json, sys
binary, lines, summed, lost, quiet, burst = sys.argv[2], 0, 0, 0, set(), set()
bad = 0
for text in open(sys.argv[1]):
    f = json.loads(text)
    if f["kind"] == "log":
        lost += f.get("count", 0) - f.get("allow", 0)  # those of the process that is allowed
        summed += f.get("suppressed", 0)
        bad += "count" in f and not ("since" in f and "until" in f)
    if f["kind"] != "connect" or f.get("action") != "deny":
        continue
    if f["dst_host"].startswith("10.201."):
        quiet.add(f["dst_host"])
    elif f["dst_host"].startswith("10.200."):
        burst.add(f["dst_host"])
    elif "suppressed" in f:
        summed += f["suppressed"]
        bad += not (f["binary"] == binary and f["dst_port"] == 4001 and "since" in f)
    else:
        lines += 1
print(lines, summed, lost, len(quiet), len(burst), bad)
PY
# The log as it is, damaged or not.
all_lines() { "${OSHC[@]}" logs "$PFX$1" --format json --since 2h >"$T/$1.log" 2>/dev/null </dev/null; }
totals() { all_lines "$1" && read -r LINES_ SUMMED LOST QUIET BURST BAD_ < <(python3 "$T/totals.py" "$T/$1.log" "$W/flood"); }
cpu() { awk '{print ($14 + $15) * 10}' "/proc/$1/stat"; } # ms

section "ordinary use"
must_start s "$T/p.yaml"
sb s "$W/burst" burst 200 4001
check "200 attempts at once" rc_is 0
totals s
check "each has a line of its own" all '[ "$BURST" = 200 ]' '[ "$SUMMED" = 0 ]' '[ "$LOST" = 0 ]'
sb s "$W/allowed" allowed 2 $OK_IP 4000
check "control: connects that the policy allows" rc_is 0
printf '# alone: %s\n' "$OUT"

flooded() { # flooded NAME WORDS...: the flood in sandbox NAME, and what else happens meanwhile
	local n=$1 sup flood quiet allowed reloads=0 worst=0 t0 t1 cpu0; shift
	sup=$(json_field "$(status_json "$n")" pid)
	cpu0=$(cpu "$sup")
	bg "$n" "$W/quiet" quiet "$SECS" 100 4001; quiet=$BG_PID; QUIET_OUT=$BG_OUT
	bg "$n" "$W/allowed" allowed "$SECS" $OK_IP 4000; allowed=$BG_PID; ALLOWED_OUT=$BG_OUT
	bg "$n" "$W/flood" "$@"; flood=$BG_PID; FLOOD_OUT=$BG_OUT
	while kill -0 "$flood" 2>/dev/null; do
		t0=$(now_ms)
		reload "$n" "$T/$([ $((reloads % 2)) = 0 ] && echo q || echo p).yaml"
		[ "$RC" = 0 ] || break
		status_json "$n" >/dev/null || break
		t1=$(($(now_ms) - t0))
		[ "$t1" -le "$worst" ] || worst=$t1
		reloads=$((reloads + 1))
		sleep 0.5
	done
	wait "$flood"; FLOOD_RC=$?
	wait "$quiet"; QUIET_RC=$?
	wait "$allowed"; ALLOWED_RC=$?
	ATTEMPTS=$(cat "$FLOOD_OUT") QUIETS=$(cat "$QUIET_OUT") RELOADS=$reloads
	OUT="$ATTEMPTS attempts in $SECS s; reload and status: $reloads times, at most $worst ms; supervisor $(($(cpu "$sup") - cpu0)) ms CPU; allowed: $(cat "$ALLOWED_OUT")"
	printf '# %s\n' "$OUT"
}
judged() { # judged NAME WHAT
	local before=$1
	totals "$1"
	OUT="attempts $ATTEMPTS = lines $LINES_ + suppressed $SUMMED + lost $LOST; quiet $QUIET of $QUIETS; wrong summaries $BAD_"
	printf '# %s\n' "$OUT"
	check "$2: every attempt is a line, part of a summary, or counted as lost" \
		eval '[ "$ATTEMPTS" -le $((LINES_ + SUMMED + LOST)) ] && [ $((LINES_ + SUMMED + LOST)) -le $((ATTEMPTS + QUIETS - QUIET)) ]'
	check "$2: a summary names binary and destination and says since when" all '[ "$BAD_" = 0 ]' '[ "$SUMMED" -gt 0 ]'
	# A machine too busy to read the ring loses some of its lines too, counted above: never most of them.
	check "$2: the quiet process's attempts have their lines ($QUIET of $QUIETS)" all '[ "$QUIETS" -gt 10 ]' '[ "$QUIET" -gt $((QUIETS / 2)) ]'
}
section "four processes flood"
flooded s flood "$SECS" 4 $NO_IP 4001
check "the programs end well, reloads and status go on" all '[ "$FLOOD_RC$QUIET_RC$ALLOWED_RC" = 000 ]' '[ "$RELOADS" -ge 3 ]' 'rc_is 0'
judged s "a flood"
N=$(wc -l <"$T/s.log")
check "the log stays small ($N lines)" test "$N" -lt 10000
J=$(status_json s)
check "status counts what was suppressed" test "$(json_field "$J" events_suppressed)" = "$SUMMED"
check "and what was lost, by kind" test "$(($(json_field "$J" lost.deny) + $(json_field "$J" lost.log)))" = "$LOST"

section "a flood by ever new processes"
must_start f "$T/p.yaml"
flooded f forks "$SECS" 3 600 $NO_IP 4001
check "the programs end well, reloads and status go on" all '[ "$FLOOD_RC$QUIET_RC$ALLOWED_RC" = 000 ]' '[ "$RELOADS" -ge 3 ]' 'rc_is 0'
judged f "new processes"

section "a flood by hundreds of executables"
must_start x "$T/p.yaml"
mkdir "$W/many"
for i in $(seq 500); do ln "$W/flood" "$W/many/x$i"; done
LIMIT=300 sbsh x "for x in $W/many/*; do \$x burst 300 4002 || exit 1; done; echo done"
check "the programs end well" all 'rc_is 0' 'out_is done'
run "${OSHC[@]}" exec "${PFX}x" -- "$W/burst" burst 20 4001
all_lines x
read -r SUMMED LINES_ LOST NAMED OWN < <(python3 - "$T/x.log" "$W" <<'PY'
import json, sys
total = lines = lost = own = 0
named = set()
for text in open(sys.argv[1]):
    f = json.loads(text)
    if f["kind"] == "log":
        lost += f.get("count", 0)
        total += f.get("suppressed", 0)
    if f["kind"] != "connect" or f.get("action") != "deny":
        continue
    lines += 1
    if f["dst_port"] == 4002:
        total += f.get("suppressed", 1)
        named.add(f["binary"])
    own += f["binary"] == sys.argv[2] + "/burst" and "suppressed" not in f
print(total, lines, lost, len(named), own)
PY
)
OUT="attempts 150000 = counted $SUMMED + lost $LOST; lines $LINES_; executables named $NAMED of 500; lines of one that comes last $OWN of 20"
printf '# %s\n' "$OUT"
check "every attempt is a line, part of a summary, or counted as lost" eval '[ $((SUMMED + LOST)) -ge 150000 ]'
check "each executable is named" all '[ "$NAMED" -ge $((500 - LOST)) ]' '[ "$NAMED" -gt 250 ]'
check "one that comes late, with a few, has its lines" all '[ "$OWN" -ge $((20 - LOST)) ]' '[ "$OWN" -gt 10 ]'
check "all together have a bound ($LINES_ lines)" test "$LINES_" -lt 75000

section "what the kernel gives up is counted"
sb x python3 -c 'import os
fd = os.memfd_create("m", 0)
os.write(fd, open("/proc/self/exe", "rb").read())
os.execve(fd, ["m", "-c", "print(1)"], os.environ)'
check "a program in memory runs" rc_is 0
check "the log says that it has no identity" until_true 10 logged x 'kind=log .*have no identity.* programs=1'
check "status has the count" test "$(json_field "$(status_json x)" failed.paths)" = 1
OUT=$("${OSHC[@]}" status "${PFX}x" </dev/null)
check "for people too" out_has '^ +failed +paths 1 '
delete x
check "and the end says so" all 'rc_is 0' 'out_has "1 programs without identity"'

section "the ring is full while the supervisor stands still"
must_start r "$T/p.yaml"
SUP=$(json_field "$(status_json r)" pid)
bg r "$W/flood" forks 2 2 16 $NO_IP 4001
FLOOD_OUT=$BG_OUT
until_true 10 logged r 'binary=[^ ]*/flood'
kill -STOP "$SUP"
sleep 3
kill -CONT "$SUP"
wait "$BG_PID"
ATTEMPTS=$(cat "$FLOOD_OUT")
totals r
OUT="attempts $ATTEMPTS = lines $LINES_ + suppressed $SUMMED + lost $LOST"
printf '# %s\n' "$OUT"
check "what found no room is counted" test "$ATTEMPTS" = $((LINES_ + SUMMED + LOST))

section "the supervisor dies under a flood"
# Every osh-enforce on the host clears up after the dead, and says it then: another one may be first.
for try in 1 2 3 4; do
	[ "$try" = 1 ] || must_start r "$T/p.yaml"
	SUP=$(json_field "$(status_json r)" pid)
	bg r "$W/flood" flood 30 1 $NO_IP 4001
	until_true 10 eval 'totals r; [ "$SUMMED" -gt 0 ] || sleep 0.5'
	kill -9 "$SUP"
	sleep 0.3
	delete r
	wait "$BG_PID" 2>/dev/null
	[ -z "$OUT" ] || break
done
check "clearing up states what is in no log" all 'rc_is 0' 'out_has "${PFX}r: its supervisor died; .*[1-9][0-9]+ suppressed"'
OUT=$(sandbox_left "${PFX}r")
check "nothing is left" out_is ''

section "the end of a run"
OUT=$(cd "$W" && timeout -k 5 $((60 * ${OSHT_SLOW:-1})) "${OSHC[@]}" run --name "${PFX}end" --policy "$T/p.yaml" -- "$W/burst" burst 200 4001 2>&1 </dev/null |
	grep -v '^osh-enforce: warning: '; exit "${PIPESTATUS[0]}"); RC=$?
check "says nothing when nothing was lost" all 'rc_is 0' 'out_is ""'
FULL=3 # seconds until the ring is full
[ "${OSHT_SLOW:-1}" = 1 ] || FULL=25
bgrun() { (cd "$W" && exec timeout -k 5 120 "${OSHC[@]}" run --name "${PFX}end" --policy "$T/p.yaml" -- "$W/flood" forks $((FULL + 2)) 2 16 $NO_IP 4001) >"$T/end.out" 2>&1 </dev/null & END=$!; }
bgrun
until_true 20 logged end 'binary=[^ ]*/flood'
SUP=$(json_field "$(status_json end)" pid)
kill -STOP "$SUP"
sleep $FULL
kill -CONT "$SUP"
wait "$END"; RC=$?
OUT=$(cat "$T/end.out")
check "says so when the ring was full" all 'rc_is 0' 'out_has "[0-9]+ events lost \(deny [0-9]+"'
finish
