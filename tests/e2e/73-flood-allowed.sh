#!/usr/bin/env bash
# What is allowed, as fast as it goes: connections of one process and of ever new ones, requests on one connection.  What is
# not logged one by one is counted exactly, and the log keeps a line for each attempt of the others.  OSHT_SECONDS: how
# long each flood runs.
. "$(dirname "$0")/lib.sh"
SECS=${OSHT_SECONDS:-10}
e2e_up
OK_IP=93.184.216.80
W=$T/work
gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$W/flood" "$TOP/tests/e2e/flood.c" || die "flood.c"
for b in quiet allowed client; do cp "$W/flood" "$W/$b"; done
chmod 755 "$W"/*
cat >"$T/serve.py" <<'PY'
import asyncio
async def drop(r, w):
    w.close()
async def answer(r, w):
    try:
        while True:
            await r.readuntil(b"\r\n\r\n")
            w.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError):
        w.close()
async def main():
    s = [await asyncio.start_server(f, "0.0.0.0", port, backlog=4096) for f, port in ((drop, 4000), (answer, 8080))]
    print("ready", flush=True)
    await asyncio.gather(*(x.serve_forever() for x in s))
asyncio.run(main())
PY
"${INS[@]}" python3 -u "$T/serve.py" >"$T/log/serve.log" 2>&1 </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/serve.log"
policy p.yaml <<YAML
network_policies:
  p:
    endpoints: [{port: 4000, allowed_ips: [$OK_IP]}]
    binaries: [{path: $W/allowed}, {path: $W/flood}]
  api:
    endpoints:
      - host: "$OK_IP"
        port: 8080
        protocol: rest
        rules: [{allow: {method: GET, path: /it}}, {allow: {method: GET, path: "/long/**"}}]
    binaries: [{path: $W/client}]
YAML

cat >"$T/totals.py" <<'PY'
# Of what was allowed to a binary: lines of their own, suppressed, wrong summaries; lost; lines of the quiet ones.
import json, sys
binary, kind, w = sys.argv[2:]
lines = summed = bad = lost = together = all_summed = allowed = quiet = 0
for text in open(sys.argv[1]):
    f = json.loads(text)
    all_summed += f.get("suppressed", 0)
    if f["kind"] == "log":
        lost += f.get("count", 0)
        together += f.get("suppressed", 0)
    elif f.get("binary") == w + "/quiet":
        quiet += f.get("action") == "deny" and "suppressed" not in f
    elif f["kind"] == "connect" and f.get("binary") == w + "/allowed":
        allowed += f.get("action") == "allow" and "suppressed" not in f
    elif f["kind"] == kind and f.get("binary") == binary:
        if f.get("action", f.get("l7_decision")) != "allow":
            bad += 1
        elif "suppressed" in f:
            summed += f["suppressed"]
            bad += "since" not in f or f["dst_port"] not in (4000, 8080)
        else:
            lines += 1
print(lines, summed + together, bad, lost, all_summed, allowed, quiet)
PY
totals() { # totals NAME BINARY KIND
	"${OSHC[@]}" logs "$PFX$1" --format json --since 2h >"$T/$1.log" 2>/dev/null </dev/null
	read -r LINES_ SUMMED BAD_ LOST ALL_SUMMED ALLOWED QUIET < <(python3 "$T/totals.py" "$T/$1.log" "$W/$2" "$3" "$W")
}
# flooded NAME MOST WORDS...: the flood in sandbox NAME, and what else happens meanwhile; at most MOST lines.
flooded() {
	local n=$1 most=$2 flood quiet allowed quiets alloweds attempts rcs; shift 2
	must_start "$n" "$T/p.yaml"
	bg "$n" "$W/quiet" quiet "$SECS" 100 4001; quiet=$BG_PID quiets=$BG_OUT
	bg "$n" "$W/allowed" allowed "$SECS" $OK_IP 4000; allowed=$BG_PID alloweds=$BG_OUT
	bg "$n" "$W/flood" "$@"; flood=$BG_PID attempts=$BG_OUT
	wait "$flood"; rcs=$?
	wait "$quiet"; rcs=$rcs$?
	wait "$allowed"; rcs=$rcs$?
	OUT=$(cat "$attempts" "$quiets" "$alloweds")
	check "$1: nothing that is allowed is refused" test "$rcs" = 000
	attempts=$(cat "$attempts") quiets=$(cat "$quiets") alloweds=$(cut -d' ' -f1 "$alloweds")
	totals "$n" flood connect
	OUT="attempts $attempts = lines $LINES_ + suppressed $SUMMED + lost $LOST; wrong $BAD_; allowed $ALLOWED of $alloweds, quiet $QUIET of $quiets"
	printf '# %s\n' "$OUT"
	check "every attempt is a line, part of a summary, or counted as lost" \
		eval '[ "$attempts" -le $((LINES_ + SUMMED + LOST)) ] && [ $((LINES_ + SUMMED)) -le "$attempts" ]'
	# A slow machine may stay within the budget of those that make new processes, where each attempt has its line.
	check "beyond the budget there are summaries, which say what and since when" \
		eval '[ "$BAD_" = 0 ] && { [ "$SUMMED" -gt 0 ] || [ $((LINES_ + LOST)) -ge "$attempts" ]; }'
	check "the log stays small" test "$LINES_" -le "$most"
	check "another process's allowed connections and refusals have their lines" \
		all '[ "$alloweds" -gt 10 ]' '[ "$quiets" -gt 10 ]' '[ $((alloweds - ALLOWED + quiets - QUIET)) -le "$LOST" ]'
	check "status counts what was suppressed" test "$(json_field "$(status_json "$n")" events_suppressed)" = "$ALL_SUMMED"
}

section "ordinary use: as many connections as a large build makes"
must_start o "$T/p.yaml"
sb o "$W/flood" passforks 0.01 1 1000 $OK_IP 4000
check "they are made" all 'rc_is 0' '[ "$OUT" -ge 1000 ]'
MADE=$OUT
totals o flood connect
OUT="$MADE made, $LINES_ lines, $SUMMED suppressed, $LOST lost"
check "each has a line of its own" all '[ "$LINES_" = "$MADE" ]' '[ "$SUMMED" = 0 ]'

section "a process connects as fast as it can"
flooded s $((8192 + 100 * (SECS + 5))) pass "$SECS" 1 $OK_IP 4000

section "ever new processes do"
flooded f $((20000 + 500 * (SECS + 5))) passforks "$SECS" 2 2000 $OK_IP 4000

section "requests on one connection"
must_start r "$T/p.yaml"
LIMIT=200 sb r "$W/client" requests 9500 $OK_IP 8080 $OK_IP /it
check "they are answered" all 'rc_is 0' '[ "$OUT" = 9500 ]'
totals r client request
OUT="lines $LINES_, suppressed $SUMMED, lost $LOST, wrong $BAD_"
printf '# %s\n' "$OUT"
check "each is a line, part of a summary, or counted as lost" test $((LINES_ + SUMMED + LOST)) = 9500
# A machine that needs 13 s for them stays within the budget.
check "beyond the budget there is a summary" eval '[ "$BAD_" = 0 ] && { [ "$SUMMED" -gt 0 ] || [ "${OSHT_SLOW:-1}" != 1 ]; }'

section "the log has the whole of what was judged"
LONG=/long/$(printf '%4080s' '' | tr ' ' x)SECRETEND
sb r "$W/client" requests 1 $OK_IP 8080 $OK_IP "$LONG"
check "a path of ${#LONG} bytes is sent" all 'rc_is 0' 'out_is 1'
check "and stands in its line to the end" logged r "l7_target=/long/x{4080}SECRETEND "
mkdir -p "$W/deep"
D=$W/deep
for _ in 1 2; do D=$D/$(printf '%190s' '' | tr ' ' d); mkdir "$D"; done
for i in $(seq 12); do ln "$(real env)" "$D/e$i" 2>/dev/null || cp "$(real env)" "$D/e$i"; done
CHAIN=()
for i in $(seq 12); do CHAIN+=("$D/e$i"); done
sb r "${CHAIN[@]}" "$W/flood" pass 0.01 1 $OK_IP 4000
check "twelve programs with paths of ${#D} bytes start one another" rc_is 0
logs r --format json
ANC=$(grep -o "\"ancestors\":\"[^\"]*$D/e12,[^\"]*\"" <<<"$OUT" | head -1)
OUT=${#ANC}
check "all of them stand in the line of the last" eval '[ "$(grep -o "/e[0-9]*[,\"]" <<<"$ANC" | wc -l)" = 12 ]'
finish
