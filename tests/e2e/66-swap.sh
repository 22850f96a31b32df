#!/usr/bin/env bash
# Policies swapped back to back under load: each decision is one that some policy in force would give, in the kernel and
# in the proxy, and each line of the log names one generation and says what that generation says.
#
# Two policies that differ in one host (and in one rule of an inspected host), each written in two orders, so that the
# block numbers of one image mean something else in every other: whoever mixes two lets through what neither policy does,
# or refuses what both allow.  OSHT_SECONDS: how long the load runs.
. "$(dirname "$0")/lib.sh"
SECS=${OSHT_SECONDS:-25}
e2e_up
IP_BOTH=93.184.216.70 IP_NEVER=93.184.216.71 IP_DIFF=93.184.216.72 IP_API=93.184.216.73
IP6_NEVER=2600:1406:5e00:6::17ce:bc71
W=$T/work
gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$W/one" "$TOP/tests/e2e/swap.c" -lpthread || die "swap.c"
gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -I"$TOP" -o "$T/swapper" "$TOP/tests/e2e/swapper.c" \
	"$TOP"/build/libuser.a "$TOP"/build/proxy/loop.o "$TOP"/build/libpolicy.a \
	-lyaml -ljansson -lseccomp -lbpf -lelf -lz -lmd -lpthread || die "swapper.c"
for b in two three wrong come http; do cp "$W/one" "$W/$b"; done
chmod 755 "$W"/*
"${INS[@]}" "$W/one" serve 4000 8080 >"$T/log/serve.log" 2>&1 </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/serve.log"

block() { # block NAME ab: as a policy has it
	case $1 in
	other) echo "  other: {endpoints: [{host: never.example.test, port: 4000, allowed_ips: [$IP_NEVER, "$IP6_NEVER"]}], binaries: [{path: /usr/bin/nobody}]}" ;;
	direct)
		echo "  direct:"
		echo "    endpoints:"
		echo "      - {host: both.example.test, port: 4000, allowed_ips: [$IP_BOTH]}"
		[ "$2" = b ] || echo "      - {host: differs.example.test, port: 4000, allowed_ips: [$IP_DIFF]}"
		echo "    binaries: [{path: $W/one}, {path: $W/two}, {path: $W/three}, {path: $W/come}]"
		;;
	api)
		echo "  api:"
		echo "    endpoints:"
		echo "      - host: api.example.test"
		echo "        port: 8080"
		echo "        protocol: rest"
		echo "        rules:"
		[ "$2" = b ] || echo "          - allow: {method: GET, path: /differs}"
		echo "          - allow: {method: GET, path: /both}"
		echo "    binaries: [{path: $W/http}]"
		;;
	more) echo "  more: {endpoints: [{host: a.more.test, port: 1}, {host: b.more.test, port: 2}], binaries: [{path: /bin/aa}, {path: /bin/bb}]}" ;;
	esac
}
# Odd generations are a1 and a2 in turn, even ones b1 and b2: each slot changes its block numbers and automata as well.
order() { # order FILE ab BLOCK...
	local f=$1 ab=$2 b; shift 2
	{ echo "network_policies:"; for b in "$@"; do block "$b" "$ab"; done; } | policy "$f"
}
# `direct` stands where `other` stood one generation before: a decision from one image and a half lets `never` through.
order a1.yaml a other direct api more
order b1.yaml b direct api other more
order a2.yaml a more api direct other
order b2.yaml b api other more direct
must_start s "$T/a1.yaml" --add-host "both.example.test:$IP_BOTH" --add-host "never.example.test:$IP_NEVER" \
	--add-host "differs.example.test:$IP_DIFF" --add-host "api.example.test:$IP_API"
LOGDIR=/var/lib/osh-enforce/${PFX}s/log
"$W/one" log "$LOGDIR" >"$T/lines" 2>"$T/log/follow.err" &
FOLLOW=$!
on_exit "stop $FOLLOW"

section "load for $SECS s"
OUTF=$W/out
: >"$OUTF"
chown sandbox: "$OUTF"
D="d,$IP_DIFF,4000" DN=d,differs.example.test,4000 N="n,$IP_NEVER,4000" NN=n,never.example.test,4000 N6="n,$IP6_NEVER,4000"
B="b,$IP_BOTH,4000" BN=b,both.example.test,4000
LOADS=()
runs() { bg s "$@"; LOADS+=("$BG_PID"); }
runs "$W/one" load "$OUTF" "$SECS" 0 "$N6" "$D" "$N6" "$N" "$N6" "$N6" "$NN" "$N6" "$B"
runs "$W/two" load "$OUTF" "$SECS" 0 "$N6" "$N" "$N6" "$D" "$NN" "$N6" "$DN" "$N6" "$BN"
runs "$W/three" load "$OUTF" "$SECS" 400 "$D" "$B" "$DN" "$BN"
runs "$W/wrong" load "$OUTF" "$SECS" 2000 "n,$IP_BOTH,4000" n,both.example.test,4000 "n,$IP_DIFF,4000" "$N"
runs "$W/one" spawn "$OUTF" "$SECS" "$W/come" "$B" "$N" "$D" "$DN"
runs "$W/http" http "$OUTF" "$SECS" once api.example.test 8080
runs "$W/http" http "$OUTF" "$SECS" keep api.example.test 8080
runs "$W/http" http "$OUTF" "$SECS" keep api.example.test 8080
runs "$W/one" names "$SECS" both.example.test differs.example.test never.example.test api.example.test
"$T/swapper" "${PFX}s" "$(id -u sandbox)" "$T/a1.yaml" "$T/b1.yaml" "$T/a2.yaml" "$T/b2.yaml" "$SECS" >"$T/swaps" 2>"$T/swapper.err" </dev/null
SWAPPER=$?
for p in "${LOADS[@]}"; do wait "$p" || not_ok "a load ended badly"; done
FLOWS=$(cat "$T"/log/bg.* | awk '/ flows$/ {n += $1} END {print n + 0}')
sed 's/^/# /' "$T/swapper.err" "$T"/log/bg.*
check "the policies are swapped back and forth" all '[ $SWAPPER = 0 ]' '[ "$(wc -l <"$T/swaps")" -gt 10 ]'
logs s --since 2999-01-01 # whatever is on its way is written
kill "$FOLLOW"
wait "$FOLLOW"

section "what the programs saw"
run "$W/one" judge "$OUTF" "$T/swaps"
sed 's/^/# /' <<<"$OUT"
check "not one decision that no policy in force would give" rc_is 0
count() { sed -n "s/^$1: allowed \([0-9]*\) refused \([0-9]*\) other \([0-9]*\)/\\$2/p" <<<"$OUT"; }
for what in connects requests; do
	check "control: $what that both allow, that neither does, and both answers where they differ" all \
		'[ "$(count "$what both" 1)" -gt 100 ]' '[ "$(count "$what neither" 2)" -gt 100 ]' \
		'[ "$(count "$what differs" 1)" -gt 100 ]' '[ "$(count "$what differs" 2)" -gt 100 ]'
done
DECISIONS=$(sed -n 's/^decisions \([0-9]*\).*/\1/p' <<<"$OUT")
CONNECTS=$((FLOWS + $(awk '/^connects/ {n += $4 + $6 + $8} END {print n + 0}' <<<"$OUT")))
check "1,000 decisions a second or more: $DECISIONS in $SECS s" test "$DECISIONS" -ge $((SECS * 1000))

section "what the log says"
cat >"$T/lines.py" <<'PY'
# Every kind of line, with how often it came, against what the generation that it names says.
import re, sys
connects, both, never, differs = int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
hosts = {"both.example.test": both, "never.example.test": never, "differs.example.test": differs, sys.argv[6]: never}
bad = logged = requests = lost = 0
def wrong(n, f, why):
    global bad
    bad += n
    print(f"wrong: {n} lines: {why}: {f}")
for line in open(sys.argv[1]):
    n, text = line.split(" ", 1)
    n, f = int(n), dict(re.findall(r"(\w+)=\[?((?<=\[)[^\]]*|[^ \]]+)", text))
    a = f["parity"] == "a"
    kind, host = f.get("kind"), hosts.get(f.get("dst_host"), f.get("dst_host"))
    if kind in ("connect", "request") and f["gens"] != "1":
        wrong(n, f, "not one generation")
    if kind == "connect" and f.get("action") in ("allow", "deny") and host in hosts.values():
        logged += n
        mine = f["binary"] in ("one", "two", "three", "come")
        allow = mine and (host == both or host == differs and a)
        policy = "other" if host == never else "-" if host == differs and not a else "direct"
        reason = None if allow else f"binary not in policy {policy}" if policy != "-" else "no matching network policy"
        if (f["action"] == "allow") != allow:
            wrong(n, f, "not what its generation says")
        elif f["policy"] != policy or f.get("deny_reason") != reason:
            wrong(n, f, f"not the words for it ({policy}, {reason})")
    elif kind == "connect" and f.get("action") in ("allow", "deny") and host == "api.example.test":
        logged += n
        if f["action"] != "allow" or f["policy"] != "api":
            wrong(n, f, "not what its generation says")
    elif kind == "request" and f.get("l7_target"):
        requests += n
        allow = f["l7_target"] == "/both" or f["l7_target"] == "/differs" and a
        if f.get("l7_decision") != ("allow" if allow else "deny") or f["policy"] != "api":
            wrong(n, f, "not what its generation says")
    elif kind == "connect" and f.get("action") == "revoke":
        if a or host != differs:
            wrong(n, f, "cut what the policy admits")
    elif kind == "log":
        lost += n
    elif kind == "request" and f.get("l7_decision") == "error" and f.get("dst_host") != "":
        wrong(n, f, "an error")
print(f"connects {connects} logged {logged} lost {lost} (the log says so itself); request lines {requests}; wrong {bad}")
sys.exit(bad != 0 or logged + lost < connects or not logged or not requests)
PY
run python3 "$T/lines.py" "$T/lines" "$CONNECTS" "$IP_BOTH" "$IP_NEVER" "$IP_DIFF" "$IP6_NEVER"
sed 's/^/# /' <<<"$OUT"
check "each line names one generation, and what it says is that generation's; what is missing is counted" rc_is 0
finish
