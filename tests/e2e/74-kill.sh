#!/usr/bin/env bash
# kill -9 of supervisor and proxy at random moments under load: running, starting, reloading, being deleted.  Never a packet
# that policy forbids, never a leftover that the next start stumbles over, no acknowledged line of the log gone, no kept
# revision gone, never two policies at once, programs that run live on.  OSHT_KILLS: how many processes at least.  OSHT_SEED: the same moments again, near enough.
. "$(dirname "$0")/lib.sh"
KILLS=${OSHT_KILLS:-25} LIMIT=3600
e2e_up
sniff_up
OK_IP=93.184.216.80 NO_IP=93.184.216.81 API_IP_=93.184.216.82
NO6=2600:1406:5e00:6::17ce:bc81
W=$T/work
gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$W/one" "$TOP/tests/e2e/swap.c" -lpthread || die "swap.c"
cp "$W/one" "$W/http"
chmod 755 "$W"/*
"${INS[@]}" "$W/one" serve 4000 8080 >"$T/log/serve.log" 2>&1 </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/serve.log"
allow() { # allow NAME PATH
	policy "$1" <<-YAML
	network_policies:
	  direct: {endpoints: [{host: both.example.test, port: 4000, allowed_ips: [$OK_IP]}], binaries: [{path: $W/one}]}
	  api:
	    endpoints:
	      - {host: api.example.test, port: 8080, protocol: rest, rules: [{allow: {method: GET, path: /both}}, {allow: {method: GET, path: $2}}]}
	    binaries: [{path: $W/http}, {path: $(real curl)}]
	YAML
}
allow a.yaml /one
allow b.yaml /two
for f in direct api; do : >"$W/$f.out"; chown sandbox: "$W/$f.out"; done
python3 - "$T/config" <<PY
import json, sys
w, t = "$W", "$T"
json.dump({
    "osh": ["nsenter", "--net=/run/netns/$C_NS", "$OSH"], "netns": "/run/netns/$C_NS", "name": "${PFX}k", "work": w,
    "start": ["--upstream-ca", "$CA", "--add-host", "both.example.test:$OK_IP", "--add-host", "api.example.test:$API_IP_",
              "--add-host", "never.example.test:$NO_IP"],
    "start_s": 0.6 * ${OSHT_SLOW:-1}, "policies": [t + "/a.yaml", t + "/b.yaml"], "kills": $KILLS,
    "ask": ["curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}"], "url": "http://api.example.test:8080",
    "slow": ${OSHT_SLOW:-1},
    "load": [[w + "/one", "load", w + "/direct.out", "100", "0", "b,$OK_IP,4000", "n,$NO_IP,4000", "n,$NO6,4000",
              "b,both.example.test,4000", "n,never.example.test,4000"],
             [w + "/http", "http", w + "/api.out", "100", "keep", "api.example.test", "8080"]],
}, open(sys.argv[1], "w"))
PY
mark sniff
run timeout 3500 python3 "$TOP/tests/e2e/kills.py" "$T/config"
sed 's/^/# /' <<<"$OUT"
check "$KILLS kills: starts, logs, revisions, reloads, clients" all 'rc_is 0' 'out_has "^seed [0-9]+ kills [0-9]+ .* bad 0$"'
delete k
sleep 0.3
OUT=$(sandbox_left "${PFX}k")
check "nothing is left" out_is ''
OUT=$(show_seen sniff | grep -vE "^tcp $C_IP [0-9]+ ($OK_IP 4000|$API_IP_ 8080)$|^icmp6? ")
check "not one packet that policy forbids" out_is ''
check "control: those that it allows came" all 'came sniff " $OK_IP 4000"' 'came sniff " $API_IP_ 8080"'
printf '1 0 18446744073709551615\n' >"$T/one.swap"
for f in direct api; do
	run "$W/one" judge "$W/$f.out" "$T/one.swap"
	OUT=$(grep -E '^(connects|requests) ' <<<"$OUT")
	sed 's/^/# /' <<<"$OUT"
	check "$f: nothing was allowed that policy forbids" all 'out_lacks "neither: allowed [1-9]"' 'out_has "neither: allowed 0 refused [1-9]"' \
		'out_lacks "differs: allowed [1-9]"' '[ $f = direct ] || out_has "differs: allowed 0 refused [1-9]"'
	check "control: $f: and what it allows was" out_has "both: allowed [1-9]"
done
finish
