#!/usr/bin/env bash
# bench.sh: what enforcement costs, as medians and ratios within one run.  `sudo bench/bench.sh`, about four minutes.
#
# Both sides of every comparison run in turn, several rounds, on the same host and against the same server; a figure is
# the median of the rounds.  Aims are printed beside; a timing never makes this fail.
set -u
# shellcheck source=../scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"
need_root
"$TOP/scripts/deps.sh" build run test || die "could not install what is missing"
[ -x "$OSH" ] && [ -x "$TOP/build/bench-policy" ] || make -C "$TOP" -j"$(nproc)" all build/bench-policy >/dev/null || die "build failed"
ROUNDS=${ROUNDS:-9}

user_up sandbox
host_up
chown sandbox: "$T/work"
nginx_up
gcc -std=gnu17 -D_GNU_SOURCE -O2 -o "$T/work/net" "$TOP/bench/net.c" -lssl -lcrypto -lpthread || die "net.c"
NET=$T/work/net IP=93.184.216.77
PFX=bench$$-
on_exit 'sandboxes_down "$PFX"'
"${INS[@]}" "$NET" serve 5001 5002 >"$T/log/serve.log" </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/serve.log"
cat >"$T/head.yaml" <<'EOP'
version: 1
filesystem_policy: {include_workdir: true, read_only: [/usr, /lib, /proc, /dev/urandom, /etc], read_write: [/tmp, /dev/null]}
process: {run_as_user: sandbox, run_as_group: sandbox}
EOP
{ cat "$T/head.yaml"; cat <<EOP
network_policies:
  l4:
    endpoints: [{host: "$IP", ports: [5001, 5002]}]
    binaries: [{path: $NET}]
  l7:
    endpoints: [{host: api.github.com, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $NET}]
EOP
} >"$T/p.yaml"
OSHC=("${INC[@]}" "$OSH")
cd "$T/work" || exit 1
"${OSHC[@]}" run --name "${PFX}a" --keep --policy "$T/p.yaml" --add-host "api.github.com:$API_IP" --upstream-ca "$CA" -- true \
	</dev/null || die "no sandbox"
in_() { "${OSHC[@]}" exec "${PFX}a" -- "$@" </dev/null; }
out_() { "${INC[@]}" setpriv --reuid sandbox --regid sandbox --clear-groups env SSL_CERT_FILE="$CA" "$@" </dev/null; }

med() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
calc() { awk "BEGIN {printf \"%.*f\", $2, $1}" 2>/dev/null || echo '?'; }
# pair FILE: rounds of both sides; COMMAND's words after `--`.
pair() {
	local f=$1 i; shift
	: >"$T/$f.out"; : >"$T/$f.in"
	for ((i = 0; i < ROUNDS; i++)); do
		out_ "$@" >>"$T/$f.out" || return 1
		in_ "$@" >>"$T/$f.in" || return 1
	done
	compare "$T/$f.out" "$T/$f.in"
}
# compare OUTSIDE INSIDE: medians A and B, and of the rounds' own differences D and ratios R, which drift of the host
# between rounds does not touch.
compare() {
	A=$(med <"$1") B=$(med <"$2")
	D=$(paste "$1" "$2" | awk '{print $2 - $1}' | med)
	R=$(paste "$1" "$2" | awk '{print $2 / $1}' | med)
}
row() { printf '%-46s %14s %14s   %s\n' "$@"; }
row "" "not enforced" "enforced" "difference"

rss() { awk '/^VmRSS/ {print $2}' "/proc/$1/status" 2>/dev/null || echo 0; }
status=$("${OSHC[@]}" status "${PFX}a" --format json </dev/null)
pid() { grep -oE "\"$1\": ?[0-9]+" <<<"$status" | head -n 1 | grep -oE '[0-9]+$'; }
SUP=$(pid pid) PROXY=$(pid proxy_pid) INIT=$(pid init_pid)
IDLE_S=$(rss "$SUP") IDLE_P=$(rss "$PROXY")

pair connect "$NET" connect $IP 5001 4000 &&
	row "connect() to an allowed L4 endpoint" "$(calc "$A/1000" 2) us" "$(calc "$B/1000" 2) us" "$(calc "$D/1000" 2) us (aim: 0.5 or less)"
pair bulk "$NET" bulk $IP 5002 1 &&
	row "L4 bulk throughput" "$A MB/s" "$B MB/s" "ratio $(calc "$R" 3) (aim: 0.98 or more)"
column() { # of the rounds of pair_get
	local x
	for x in out in; do cut -d' ' -f"$1" "$T/get.$x" >"$T/column.$x"; done
	compare "$T/column.out" "$T/column.in"
}
pair_get() { # CONNECTIONS N
	local i
	: >"$T/get.out"; : >"$T/get.in"
	for ((i = 0; i < ROUNDS; i++)); do
		out_ "$NET" get api.github.com $API_IP 443 "$2" "$1" >>"$T/get.out" || return 1
		in_ "$NET" get api.github.com - 443 "$2" "$1" >>"$T/get.in" || return 1
	done
}
pair_get 1 1000 && column 1 &&
	row "small HTTPS GET, kept alive, inspected" "$A us" "$B us" "$(calc "$D" 1) us added"
pair_get 16 8000 && column 2 &&
	row "the same on 16 connections" "$A /s" "$B /s" "ratio $(calc "$R" 2)"
SERVED=$((ROUNDS * 9000))

printf '\n'
row "resident memory" "supervisor" "proxy" "together"
row "idle" "$IDLE_S kB" "$IDLE_P kB" "$(calc "($IDLE_S+$IDLE_P)/1024" 1) MiB (aim: 20 or less)"
row "after $SERVED requests" "$(rss "$SUP") kB" "$(rss "$PROXY") kB" "$(calc "($(rss "$SUP")+$(rss "$PROXY"))/1024" 1) MiB"
row "init" "$(rss "$INIT") kB" "" ""

printf '\n'
N=11
T_TRUE=$("${INC[@]}" "$NET" spawn $N true)
T_BWRAP=$("$NET" spawn $N bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all --die-with-parent true 2>&1)
cp "$T/head.yaml" "$T/none.yaml"
T_RUN=$("${INC[@]}" "$NET" spawn $N "$OSH" run --policy "$T/none.yaml" -- true 2>"$T/run.err")
T_EXEC=$("${INC[@]}" "$NET" spawn $N "$OSH" exec "${PFX}a" -- true 2>>"$T/run.err")
row "start and end of" "time" "against true" ""
row "true" "$T_TRUE ms" "1" ""
row "bwrap (new namespaces, /) true" "$T_BWRAP ms" "$(calc "$T_BWRAP/$T_TRUE" 1)" ""
row "osh-enforce run -- true" "$T_RUN ms" "$(calc "$T_RUN/$T_TRUE" 1)" "(aim: 50 ms or less)"
row "osh-enforce exec NAME -- true" "$T_EXEC ms" "$(calc "$T_EXEC/$T_TRUE" 1)" ""
printf '    of which, for %sa: %s\n' "$PFX" "$("${OSHC[@]}" logs "${PFX}a" </dev/null | grep -oE '[a-z]+_ms=[0-9.]+' | tr '\n' ' ')"

printf '\n'
row "reload --wait, from command to enforced" "command" "" "as it reports"
for n in 10 1000 10000; do
	{ cat "$T/head.yaml"; echo 'network_policies:'
	awk -v n=$n -v b="$NET" 'BEGIN {
		for (i = 0; i < n; i += 50) {
			printf "  b%d:\n    binaries: [{path: %s}]\n    endpoints:\n", i, b
			for (j = i; j < i + 50 && j < n; j++)
				printf "      - {host: h%d.example.test, port: 443, protocol: rest, access: read-only}\n", j
		}}'; } >"$T/n$n.yaml"
	: >"$T/reload"
	for ((i = 0; i < 5; i++)); do
		s=$(date +%s%N)
		out=$("${OSHC[@]}" reload "${PFX}a" --policy "$T/n$n.yaml" --wait 2>&1 </dev/null) || { row "$n endpoints" "failed" "" "$(head -n 1 <<<"$out")"; continue 2; }
		echo $((($(date +%s%N) - s) / 10000)) >>"$T/reload"
		"${OSHC[@]}" reload "${PFX}a" --policy "$T/p.yaml" --wait >/dev/null 2>&1 </dev/null
	done
	row "$n endpoints" "$(calc "$(med <"$T/reload")/100" 1) ms" "" "$(head -n 1 <<<"$out")"
done
printf '\n'
row "connect() in the kernel, by size of the policy" "10 hosts" "90000 hosts" "ratio"
for n in 10 90000; do
	{ cat "$T/head.yaml"; cat <<EOP
network_policies:
  l4:
    endpoints: [{host: "$IP", port: 5001}]
    binaries: [{path: $NET}]
  many:
    binaries: [{path: $NET}]
    endpoints: [
EOP
	awk -v n=$n 'BEGIN { for (i = 0; i < n; i++) printf "{host: h%05d.example.com, port: 443},\n", i; print "]" }'; } >"$T/hosts$n.yaml"
	: >"$T/connect.$n"
done
for ((i = 0; i < ROUNDS; i++)); do
	for n in 10 90000; do
		"${OSHC[@]}" reload "${PFX}a" --policy "$T/hosts$n.yaml" --wait >"$T/reload.err" 2>&1 </dev/null || cat "$T/reload.err"
		sleep 1 # what the reload leaves to do is not measured
		in_ "$NET" connect $IP 5001 4000 >>"$T/connect.$n"
	done
done
compare "$T/connect.10" "$T/connect.90000"
row "connect() to an allowed L4 endpoint" "$(calc "$A/1000" 2) us" "$(calc "$B/1000" 2) us" "$(calc "$R" 3) (aim: 1 within noise)"

printf '\n'
"$TOP/build/bench-policy" tables
printf '\nkernel %s, %s cores, %d rounds\n' "$(uname -r)" "$(nproc)" "$ROUNDS"
exit 0
