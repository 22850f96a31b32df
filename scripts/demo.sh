#!/usr/bin/env bash
# demo.sh: the main job of osh-enforce in ten steps, with real curl against a real nginx, on this machine alone.
#
#     sudo scripts/demo.sh
#
# Installs what is missing, builds, makes a test host in a network namespace with no way out, plays the story, and takes
# everything away again.  Exit status 0 only if every step went as it says.  --no-deps, --no-build: use what is there.
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
DEPS=1 BUILD=1
for a in "$@"; do
	case $a in
	--no-deps) DEPS=0 ;;
	--no-build) BUILD=0 ;;
	*) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
	esac
done

BOLD='' DIM='' GREEN='' RED='' OFF=''
if [ -t 1 ]; then BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' OFF=$'\e[0m'; fi

# --- telling the story ----------------------------------------------------------------------------------------
STEP=0 TITLE='' STEP_BAD=0 SUMMARY=() FAILED=0
end_step() {
	[ "$STEP" -gt 0 ] || return 0
	local word="${GREEN}ok${OFF}"
	[ "$STEP_BAD" = 0 ] || { word="${RED}NOT OK${OFF}"; FAILED=$((FAILED + 1)); }
	SUMMARY+=("$(printf '%3d  %-82s %s' "$STEP" "$TITLE" "$word")")
	STEP_BAD=0
}
step() {
	end_step
	STEP=$((STEP + 1)) TITLE=$1
	printf '\n%s%2d. %s%s\n' "$BOLD" "$STEP" "$TITLE" "$OFF"
}
expect() { printf '    expected: %s\n' "$*"; }
# outcome WHAT COMMAND...: COMMAND tells whether it happened.
outcome() {
	local what=$1; shift
	if "$@"; then
		printf '    happened: %s%s%s\n' "$GREEN" "$what" "$OFF"
	else
		printf '    happened: %sNOT: %s%s\n' "$RED" "$what" "$OFF"
		STEP_BAD=1
	fi
}
# cmd ARGUMENT...: shows and runs osh-enforce in the client's namespace; output in OUT, exit status in RC.
cmd() {
	local shown='' a
	for a in "$@"; do
		case $a in *[!A-Za-z0-9_./:=@%+,-]*) a=\'${a//\'/\'\\\'\'}\' ;; esac
		shown+=" $a"
	done
	shown=${shown//"$TOP/"/}
	printf '    %s$ osh-enforce%s%s\n' "$BOLD" "${shown//"$T"/\$T}" "$OFF"
	OUT=$(cd "$T/work" && timeout 60 "${INC[@]}" "$OSH" "$@" 2>&1 </dev/null)
	RC=$?
	show "$OUT"
	printf '      %s[exit status %d]%s\n' "$DIM" "$RC" "$OFF"
}
show() { [ -z "$1" ] || printf '%s\n' "$1" | tail -n 12 | cut -c 1-400 | sed "s/^/      $DIM/; s/\$/$OFF/"; }
# in_shell COMMAND: in the shell that was started before all reloads.
in_shell() {
	SHELL_N=$((${SHELL_N:-0} + 1))
	printf '    %sthe old shell:%s %s\n' "$BOLD" "$OFF" "$1"
	printf '%s </dev/null >%q 2>&1; echo "end %d $?"\n' "$1" "$T/work/shell.$SHELL_N" "$SHELL_N" >&"$SHELL_IN"
	until_true 30 grep -q "^end $SHELL_N " "$T/shell.out"
	RC=$(sed -n "s/^end $SHELL_N //p" "$T/shell.out")
	RC=${RC:-none}
	OUT=$(cat "$T/work/shell.$SHELL_N" 2>/dev/null)
	show "$OUT"
	printf '      %s[exit status %s]%s\n' "$DIM" "$RC" "$OFF"
}
rc_is() { [ "$RC" = "$1" ]; }
out_has() { grep -qE -- "$1" <<<"$OUT"; }
nothing_came() { [ "$(seen sniff "^tcp .* $API_IP 443\$")" = 0 ]; }
came() { [ "$(seen access "$1")" -ge 1 ]; }
not_came() { [ "$(seen access "$1")" = 0 ]; }

# --- the stage ------------------------------------------------------------------------------------------------
printf '%sosh-enforce demo%s\n' "$BOLD" "$OFF"
if [ $DEPS = 1 ]; then "$TOP/scripts/deps.sh" build run || die "could not install what is missing"; fi
if [ $BUILD = 1 ]; then
	printf 'building ... '
	s=$(now_ms)
	out=$(make -C "$TOP" -j"$(nproc)" all 2>&1) || { printf '%s\n' "$out" | tail -n 40; die "build failed"; }
	printf '%d.%d s\n' $((($(now_ms) - s) / 1000)) $((($(now_ms) - s) / 100 % 10))
fi
[ -x "$OSH" ] || die "no $OSH: build first"
NAME=demo
if "$OSH" status demo >/dev/null 2>&1 </dev/null; then NAME=demo-$$; fi # one of the user's own
READONLY=$TOP/examples/github-readonly.yaml DENY=$TOP/examples/deny-all.yaml
user_up sandbox
host_up
chown sandbox: "$T/work"
nginx_up
sniff_up
mark access sniff
sed 's/enforcement: enforce/enforcement: audit/' "$READONLY" >"$T/audit.yaml"
printf 'test host: nginx for api.github.com at %s, in a network namespace with no way out\n' "$API_IP"

on_exit sandbox_down
sandbox_down() { [ -z "${UP:-}" ] || timeout 20 "${INC[@]}" "$OSH" delete "$NAME" >/dev/null 2>&1 </dev/null; }
URL=https://api.github.com

# --- the story ------------------------------------------------------------------------------------------------
step "A sandbox that denies everything"
expect "the sandbox starts and stays; curl is refused at connect; no packet reaches the server"
UP=1
cmd run --name "$NAME" --keep --policy "$DENY" --add-host "api.github.com:$API_IP" --upstream-ca "$CA" -- true
outcome "the sandbox is up" rc_is 0
mkfifo "$T/shell.in"
(cd "$T/work" && exec "${INC[@]}" "$OSH" exec "$NAME" -- bash) <"$T/shell.in" >"$T/shell.out" 2>&1 &
SHELL_PID=$!
on_exit "stop $SHELL_PID"
exec {SHELL_IN}>"$T/shell.in"
cmd exec "$NAME" -- curl -sS "$URL/zen"
outcome "curl could not connect (its exit status 7)" rc_is 7
in_shell "curl -sS $URL/zen"
outcome "neither could the one started from the old shell" rc_is 7
outcome "the server saw no connection attempt" nothing_came

step "The denial is in the log, with binary, host, port and reason"
expect 'action=deny dst_host=api.github.com dst_port=443 binary=/usr/bin/curl deny_reason="no matching network policy"'
cmd logs "$NAME" --since 5m
outcome "the line is there" out_has 'action=deny dst_host=api\.github\.com dst_port=443 binary=/usr/bin/curl deny_reason="no matching network policy"'

step "Hot reload: the read-only GitHub policy, for curl only"
expect "revision, hash and time; nothing is restarted"
cmd reload "$NAME" --policy "$READONLY" --wait
outcome "loaded" rc_is 0
outcome "it printed a revision, a hash and a time" eval 'out_has "revision 2" && out_has "[1-9a-f][0-9a-f]{7}" && out_has "[0-9.]+ ms"'

step "Reading is allowed now, through the proxy, verified against the run's own CA"
expect "the zen, from a new curl and from one of the old shell"
mark access
cmd exec "$NAME" -- curl -s "$URL/zen"
outcome "curl has its answer" out_has '^Keep it logically awesome\.$'
in_shell "curl -s -w '%{ssl_verify_result} %{http_code}\n' $URL/octocat"
outcome "the old shell gained the right (verify result 0, status 200)" out_has '^0 200$'
outcome "the server saw both GETs" eval 'came "GET /zen " && came "GET /octocat "'
cmd exec "$NAME" -- curl -sv "$URL/zen"
outcome "the certificate is the sandbox's own, not the server's" eval 'out_has "issuer:" && ! out_has "issuer:.*osh-enforce test CA"'

step "Writing is not: 403 with the reason, and nothing reaches the server"
expect '{"error":"policy_denied", ... "POST /repos/octocat/hello-world/issues not permitted by policy"}'
POST="$URL/repos/octocat/hello-world/issues"
mark access
cmd exec "$NAME" -- curl -sS -X POST "$POST" -d '{"title":"oops"}'
outcome "curl got the policy's 403" out_has '"error": ?"policy_denied"'
outcome "it names the policy and the request" eval 'out_has github-api-readonly && out_has "POST /repos/octocat/hello-world/issues not permitted by policy"'
in_shell "curl -s -o /dev/null -w '%{http_code}\n' $POST -d '{}'"
outcome "the old shell gets 403 too" out_has '^403$'
outcome "nginx saw no POST" not_came '"POST '

step "The same URL with other programs: denied at connect, each under its own name"
expect "wget, python3 and a copy of curl fail; the log has each binary"
mark sniff access
cmd exec "$NAME" -- wget -nv -t 1 -O - "$URL/zen"
outcome "wget failed" eval '! rc_is 0'
PYTHON=$(readlink -f "$(type -P python3)")
cmd exec "$NAME" -- python3 -c "import urllib.request as u; print(u.urlopen('$URL/zen').read())"
outcome "python3 failed" eval '! rc_is 0'
cmd exec "$NAME" -- sh -c "cp /usr/bin/curl /tmp/lruc && /tmp/lruc -sS $URL/zen"
outcome "the copy of curl failed at connect" rc_is 7
outcome "the server saw no connection attempt" nothing_came
OUT=$(osh logs "$NAME" --since 5m 2>&1 </dev/null)
for b in "$(readlink -f /usr/bin/wget)" "$PYTHON" /tmp/lruc; do
	outcome "the log has binary=$b" out_has "action=deny dst_host=api\.github\.com dst_port=443 binary=$b deny_reason=\"?binary not in policy"
done

step "The request that was refused is in the log"
expect "l7_decision=deny dst_host=api.github.com l7_action=POST l7_target=/repos/octocat/hello-world/issues ..."
cmd logs "$NAME" --level warn --since 5m
outcome "the line is there" out_has 'l7_decision=deny dst_host=api\.github\.com l7_action=POST l7_target=/repos/octocat/hello-world/issues l7_deny_reason="POST /repos/octocat/hello-world/issues not permitted by policy"'
outcome "no allow is shown at this level" eval '! out_has "l7_decision=allow"'

step "enforcement: audit lets the request through and says so"
expect "201 from the server, and an audit line"
mark access
cmd reload "$NAME" --policy "$T/audit.yaml" --wait
cmd exec "$NAME" -- curl -sS -X POST "$POST" -d '{"title":"oops"}'
outcome "the issue was created" out_has '"state":"open"'
outcome "nginx saw the POST" came '"POST /repos/octocat/hello-world/issues HTTP/1.1" 201'
in_shell "curl -s -o /dev/null -w '%{http_code}\n' $POST -d '{}'"
outcome "from the old shell as well" out_has '^201$'
OUT=$(osh logs "$NAME" --level warn --since 5m 2>&1 </dev/null)
show "$(grep -i audit <<<"$OUT" | tail -n 2)"
outcome "the log has an audit hit" out_has 'l7_decision=audit .*l7_action=POST'

step "Back to deny-all while a download is running: cut, and the next connect denied"
expect "the transfer ends in an error long before its end; a new connect is refused"
mark access sniff
printf '    %sthe old shell starts:%s curl %s/download (64 MiB, slowed to 300 kB/s)\n' "$BOLD" "$OFF" "$URL"
printf 'curl -sS -o dl %s/download >dl.out 2>&1 </dev/null; echo "end dl $?"\n' "$URL" >&"$SHELL_IN"
outcome "it is running" until_true 10 eval '[ "$(stat -c %s "$T/work/dl" 2>/dev/null || echo 0)" -gt 100000 ]'
s=$(now_ms)
cmd reload "$NAME" --policy "$DENY" --wait
until_true 5 grep -q '^end dl ' "$T/shell.out"
RC=$(sed -n 's/^end dl //p' "$T/shell.out") RC=${RC:-none}
size=$(stat -c %s "$T/work/dl" 2>/dev/null || echo 0)
outcome "cut $(($(now_ms) - s)) ms after the order, at $size of 67108864 bytes, curl's exit status $RC" \
	eval '[ "$RC" != none ] && [ "$RC" != 0 ] && [ "$size" -lt 67108864 ]'
mark sniff
in_shell "curl -sS $URL/zen"
outcome "the old shell lost the right" rc_is 7
cmd exec "$NAME" -- curl -sS "$URL/zen"
outcome "so has a new curl" rc_is 7
outcome "the server saw no connection attempt" nothing_came

step "Delete: nothing is left"
expect "no cgroup, no pins, no files, no processes"
status=$(osh status "$NAME" --format json 2>/dev/null </dev/null)
mapfile -t pids < <(sandbox_pids "$NAME" "$status")
printf '    processes of the sandbox: %s\n' "${pids[*]}"
cmd delete "$NAME"
outcome "deleted" rc_is 0
exec {SHELL_IN}>&-
left=$(until_true 3 eval '[ -z "$(sandbox_left "$NAME" "${pids[@]}")" ]' || sandbox_left "$NAME" "${pids[@]}")
show "$left"
outcome "nothing is left" test -z "$left"
outcome "there had been something" test ${#pids[@]} -ge 2
UP=''

end_step
printf '\n%sSummary%s\n' "$BOLD" "$OFF"
printf '%s\n' "${SUMMARY[@]}"
printf '%d passed, %d failed\n' $((STEP - FAILED)) "$FAILED"
[ "$FAILED" = 0 ]
