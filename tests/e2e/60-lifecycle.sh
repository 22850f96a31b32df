#!/usr/bin/env bash
# A sandbox's life: exit statuses, what stays and what goes, several at once, reloads that are refused, sudden deaths.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
sniff_up
DENY=$TOP/examples/deny-all.yaml READONLY=$TOP/examples/github-readonly.yaml
URL=https://api.github.com
W=$T/work
field() { status_json "$1" | grep -oE "\"$2\": ?[0-9]+" | head -n 1 | grep -oE '[0-9]+$'; }
policy none.yaml </dev/null
NONE=$T/none.yaml
here() { (cd "$W" && timeout -k 5 60 "${OSHC[@]}" run --policy "$NONE" "$@" 2>&1 </dev/null); }
oneshot() { OUT=$(here "$@"); RC=$?; }

section "exit statuses"
oneshot -- true; check "0" rc_is 0
oneshot -- sh -c 'exit 3'; check "3" rc_is 3
oneshot -- sh -c 'kill -TERM $$'; check "killed by SIGTERM: 143" rc_is 143
oneshot -- sh -c 'kill -KILL $$'; check "killed by SIGKILL: 137" rc_is 137
oneshot -- osht-no-such-command; check "not found: 127" rc_is 127
oneshot -- /usr/bin/osht-no-such-command; check "absolute path not found: 127" rc_is 127
oneshot -- /etc/passwd; check "not executable: 126" rc_is 126
oneshot -- /usr; check "a directory: 126" rc_is 126
oneshot --name 'Bad Name' -- true; check "bad name: 125" rc_is 125
OUT=$(cd "$W" && osh run --policy /nonexistent.yaml -- true 2>&1 </dev/null); RC=$?
check "no such policy: 125, naming it" all 'rc_is 125' 'out_has nonexistent'
printf 'version: 1\nnetwork_policies:\n  a:\n    endpoints: [{host: x.example.test, port: 99999}]\n    binarys: [{path: /usr/bin/curl}]\n  b: 3\n' >"$T/bad.yaml"
OUT=$(cd "$W" && osh run --policy "$T/bad.yaml" -- true 2>&1 </dev/null); RC=$?
check "bad policy: 125" rc_is 125
run "$OSH" nonsense
check "unknown command: not 0" rc_not 0
oneshot -- sh -c 'echo out; echo err >&2'
check "both streams come through" all 'out_has "^out$"' 'out_has "^err$"'
OUT=$(cd "$W" && echo data | osh run --policy "$NONE" -- cat 2>"$T/err"); RC=$?
check "stdin goes through" out_is data
OUT=$(cd "$W" && osh run --policy "$NONE" -- sh -c 'head -c 50000000 /dev/zero' 2>"$T/err" </dev/null | wc -c); RC=$?
check "50 MB of output" out_is 50000000
OUT=$(cd "$W" && timeout -k 5 20 env OSH_ENFORCE_POLICY="$DENY" "${OSHC[@]}" run -- sh -c 'pwd; id -un' 2>&1 </dev/null); RC=$?
check "OSH_ENFORCE_POLICY, workdir, user" all 'rc_is 0' 'out_has "^$W$"' 'out_has "^sandbox$"'
# The signal goes to osh-enforce, as from a terminal or a CI job that gives up.
(cd "$W" && exec "${OSHC[@]}" run --name "${PFX}sig" --policy "$DENY" -- sh -c 'trap "echo got; exit 7" TERM; touch up; while :; do sleep 0.1; done') >"$T/sig.out" 2>&1 </dev/null &
P=$!
until_true 10 test -e "$W/up"
kill -TERM $P
wait $P; RC=$?
OUT=$(cat "$T/sig.out")
check "SIGTERM to osh-enforce reaches the command, its status comes back" all 'rc_is 7' 'out_has got'

section "without --keep everything goes"
OUT=$(cd "$W" && osh run --name "${PFX}gone" --policy "$DENY" -- sh -c 'sleep 300 & setsid sleep 301 & echo $!' 2>&1 </dev/null); RC=$?
check "a command that leaves processes behind" rc_is 0
sleep 0.3
LEFT=$OUT OUT=$(sandbox_left "${PFX}gone"; pgrep -u sandbox -fx 'sleep 30[01]')
check "nothing is left of it" all 'out_is ""' '[ -n "$LEFT" ]'
OUT=$(ls /run/osh-enforce 2>/dev/null | grep "^$PFX")
check "no sandbox of this test is left" out_is ''
run "${OSHC[@]}" exec "${PFX}gone" -- true
check "exec in a sandbox that is gone: 125" rc_is 125

section "several at once"
rm -f "$T"/par.*
PIDS=()
for i in 1 2 3 4; do
	(cd "$W" && for k in 1 2 3 4 5; do "${OSHC[@]}" run --policy "$NONE" -- true || echo "run failed: $?"; done) >"$T/par.$i" 2>&1 </dev/null &
	PIDS+=($!)
done
wait "${PIDS[@]}"
OUT=$(cat "$T"/par.* | grep -v "^osh-enforce: warning: ")
check "20 sandboxes, started and ended four at a time" out_is ''
must_start a "$READONLY"
must_start b "$DENY" --add-host "only-b.example.test:$ANY_IP"
mark sniff
sb a curl -sS $URL/zen
check "a may" says logically
sb b curl -sS $URL/zen
check "b may not" rc_is 7
start a "$DENY"
check "a name in use is refused" all 'rc_is 125' 'out_has "${PFX}a"'
sb a curl -sS $URL/zen
check "and the sandbox of that name lives on" says logically
run "${OSHC[@]}" reload --policy "$DENY"
check "reload without a name: several run" all 'rc_not 0' 'out_has "(several|name|NAME)"'
sb a python3 -c 'import socket; print(socket.gethostbyname("only-b.example.test"))'
A=$OUT
sb b python3 -c 'import socket; print(socket.gethostbyname("only-b.example.test"))'
check "names of b are not names of a" all 'out_has "^198\.1[89]"' '! grep -q "$ANY_IP" <<<"$A"'
run "${OSHC[@]}" list
check "list shows both" all "out_has '${PFX}a'" "out_has '${PFX}b'"
delete b
sb a curl -sS $URL/zen
check "deleting one leaves the other" says logically

section "reloads that are refused"
mark sniff
reload a "$T/bad.yaml"
check "bad policy: exit 1" rc_is 1
check "every error, with line and column" all 'out_has "bad.yaml:4:[0-9]+: "' 'out_has "bad.yaml:5:[0-9]+: .*binaries"' 'out_has "bad.yaml:6:[0-9]+: "'
sb a curl -sS $URL/zen
check "the running policy is untouched" says logically
run "$OSH" policy check "$T/bad.yaml"
check "policy check says the same, exit 1" all 'rc_is 1' 'out_has "bad.yaml:4:"' 'out_has "bad.yaml:5:"' 'out_has "bad.yaml:6:"'
sed 's#/var/log#/var/log, /opt#' "$READONLY" >"$T/static.yaml"
reload a "$T/static.yaml"
check "a changed static section is refused, naming the field" all 'rc_is 1' 'out_has "(filesystem_policy|read_only)"'
sed 's/run_as_user: sandbox/run_as_user: nobody/' "$READONLY" >"$T/user.yaml"
reload a "$T/user.yaml"
check "another user too" all 'rc_is 1' 'out_has "run_as_user"'
head -c 5000000 /dev/zero | tr '\0' '#' >"$T/huge.yaml"
reload a "$T/huge.yaml"
check "a huge file" rc_is 1
head -c 60 "$READONLY" >"$T/cut.yaml"
reload a "$T/cut.yaml"
check "a file cut half-way" rc_is 1
{
	cat "$READONLY"
	echo '  bomb0: &b0 {endpoints: [{host: x.example.test, port: 1}], binaries: [{path: /bin/x}]}'
	for i in {1..30}; do echo "  bomb$i: &b$i [*b$((i - 1)), *b$((i - 1)), *b$((i - 1)), *b$((i - 1)), *b$((i - 1)), *b$((i - 1))]"; done
} >"$T/bomb.yaml"
reload a "$T/bomb.yaml"
check "an alias bomb" all 'rc_is 1' 'out_has "bomb.yaml:[0-9]+:[0-9]+: .*alias"'
reload a /nonexistent.yaml
check "no file" all 'rc_is 1' 'out_has nonexistent'
sb a curl -sS $URL/zen
check "the running policy is untouched" says logically
sed '/^filesystem_policy/d; /^landlock/d; /^process/d' "$READONLY" >"$T/omitted.yaml"
reload a "$T/omitted.yaml"
check "control: sections left out mean unchanged" rc_is 0
SUP=$(field a pid)
kill -STOP "${SUP:?}"
s=$(now_ms)
run "${OSHC[@]}" reload "${PFX}a" --policy "$READONLY" --wait --timeout 1
kill -CONT "$SUP"
check "a supervisor that does not answer: 124 after the time-out ($(($(now_ms) - s)) ms)" rc_is 124
run "${OSHC[@]}" reload "${PFX}a" --policy "$READONLY" --wait
check "control: it answers again" rc_is 0

section "revocation: running transfers are cut"
sb a true
bg a curl -sS -o /tmp/dl $URL/download
until_true 10 came access 'x' >/dev/null; sleep 0.7
reload a "$DENY"
until_true 5 eval "! kill -0 $BG_PID 2>/dev/null"
wait "$BG_PID"; RC=$? OUT=$(cat "$BG_OUT")
check "an inspected download is cut" all 'rc_not 0' 'rc_not 137' 'rc_not 143'
reload a "$READONLY"

section "kill -9 of the proxy"
ADDR=$(sb a python3 -c 'import socket; print(socket.gethostbyname("api.github.com"))'; echo "$OUT")
sbsh a 'cat $SSL_CERT_FILE | sha256sum'; CASUM=$OUT
sb a curl -sS -o /dev/null -w '%{certs}' $URL/zen
OLD=$(proxy_pid a)
kill -9 "${OLD:?}"
s=$(now_ms)
until_true 5 eval 'NEW=$(proxy_pid a); [ -n "$NEW" ] && [ "$NEW" != "$OLD" ] && kill -0 $NEW'
check "a new proxy within a second ($(($(now_ms) - s)) ms)" test $(($(now_ms) - s)) -lt 1000
sb a curl -sS --retry 3 --retry-all-errors $URL/zen
check "flows go on" says logically
check "the log has it, and what it leaves out" until_true 5 logged a 'the proxy ended .* requests that were under way.* in no line'
OUT=$(sb a python3 -c 'import socket; print(socket.gethostbyname("api.github.com"))'; echo "$OUT")
check "same address" out_is "$ADDR"
sbsh a 'cat $SSL_CERT_FILE | sha256sum'
check "same CA" out_is "$CASUM"
mark sniff access
sb a curl -s -o /dev/null -w '%{http_code}' -X POST $URL/zen
check "rules still hold: POST 403" out_is 403
sb a wget -q -t 1 -O - $URL/zen
check "other binaries still denied" all 'rc_not 0' "came_not access POST"
# A client that lives through it: same process, same trust.
cat >"$W/live.py" <<'EOP'
import time, sys, urllib.request as u
print(u.urlopen("https://api.github.com/zen").status, flush=True)
sys.stdin.readline()
for i in range(20):
    try: print("after", u.urlopen("https://api.github.com/zen").status, flush=True); break
    except OSError as e: time.sleep(0.2)
EOP
PY=$(real python3)
sed "s#/usr/bin/curl}#/usr/bin/curl}\n      - {path: $PY}#" "$READONLY" >"$T/withpy.yaml"
reload a "$T/withpy.yaml"
mkfifo "$T/live.in"
"${OSHC[@]}" exec "${PFX}a" -- python3 "$W/live.py" <"$T/live.in" >"$T/live.out" 2>&1 &
P=$!
on_exit "stop $P"
exec 8>"$T/live.in"
until_true 10 grep -q '^200' "$T/live.out"
kill -9 "$(proxy_pid a)"
echo >&8; exec 8>&-
wait $P
OUT=$(cat "$T/live.out")
check "a client that was running trusts the new proxy" out_has '^after 200'

section "kill -9 of the supervisor"
bg a sh -c "while :; do curl -s -m 2 -o /dev/null -w '%{http_code}\n' $URL/zen || echo none; wget -q -T 2 -t 1 -O - $URL/zen && echo LEAK; sleep 0.2; done"
until_true 10 grep -q 200 "$BG_OUT"
mapfile -t PIDS < <(sandbox_pids "${PFX}a" "$(status_json a)")
SUP=$(field a pid)
kill -9 "${SUP:?}"
sleep 1
mark sniff
sleep 1
OUT=$(tail -n 3 "$BG_OUT")
check "nothing new reaches the server" came_not sniff "^tcp .* $API_IP 443"
check "what was denied is denied" all '! grep -q LEAK "$BG_OUT"'
run "${OSHC[@]}" list
check "list shows it as dead, or it is swept" all 'rc_is 0' "out_lacks '${PFX}a +running'"
delete a
sleep 0.3
OUT=$(sandbox_left "${PFX}a" "${PIDS[@]}")
check "after delete nothing is left" out_is ''
start a "$READONLY"
check "the name can be used again" rc_is 0
sb a curl -sS $URL/zen
check "and works" says logically
SUP=$(field a pid) PRX=$(proxy_pid a)
kill -9 "$SUP" "$PRX"
sleep 0.3
oneshot -- true
check "the next run clears up" all 'rc_is 0'
OUT=$(sandbox_left "${PFX}a" "$SUP" "$PRX" | grep -v /var/lib/)
check "nothing of it is left (both killed)" out_is ''

section "a command in another mount namespace"
must_start m "$DENY"
# There the host's bpf file system may not be mounted: clearing up after the last of *its* sandboxes must not take ours.
OUT=$(cd "$W" && unshare --mount --propagation private sh -c 'umount /run/osh-enforce/.bpf 2>/dev/null; exec "$@"' sh \
	timeout -k 5 60 "${OSHC[@]}" run --policy "$NONE" -- true 2>&1 </dev/null); RC=$?
check "a sandbox comes and goes there" rc_is 0
sb m curl -sS -m 3 $URL/zen
check "what was denied here still is, by the kernel" all 'rc_is 7'
OUT=$(find /sys/fs/bpf/osh-enforce /run/osh-enforce/.bpf/osh-enforce -path "*/${PFX}m/agent_connect4" 2>/dev/null)
check "and the programs are pinned" out_has agent_connect4
delete m

section "init's death ends the sandbox"
must_start d "$DENY"
mapfile -t PIDS < <(sandbox_pids "${PFX}d" "$(status_json d)")
INIT=$(field d init_pid)
if [ -n "$INIT" ]; then
	kill -9 "$INIT"
	none_left() { OUT=$(sandbox_left "${PFX}d" "${PIDS[@]}" | grep -v /var/lib/); [ -z "$OUT" ]; }
	check "nothing is left" until_true 3 none_left
else
	not_ok "init's pid in status"
fi

section "deleting what holds very many files"
policy home.yaml </dev/null
must_start big "$T/home.yaml"
sb big python3 -c 'import os
d = os.path.expanduser("~/many")
os.mkdir(d)
for i in range(10000): os.mkdir("%s/%d" % (d, i))
print("made")'
check "control: a sandbox makes 10000 directories in its home" says '^made$'
# Stops its supervisor when it has removed some of them, and starts another sandbox before it may go on.
cat >"$T/big.py" <<'PY'
import glob, os, signal, subprocess, sys
state, supervisor, delete, start = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
slow = int(os.environ.get("OSHT_SLOW", "1"))
fd = os.open(glob.glob(state + "/home/*/many")[0], os.O_RDONLY | os.O_DIRECTORY)
def left():
    with os.scandir(fd) as d:
        return sum(1 for _ in d)
full, d = left(), subprocess.Popen(delete, shell=True)
while d.poll() is None and left() == full:
    pass
os.kill(supervisor, signal.SIGSTOP)
n = left()
try:
    print("left %d" % n if 0 < n < full else "missed", flush=True)
    print("start", subprocess.run(start, shell=True, timeout=50 * slow).returncode, flush=True)
except subprocess.TimeoutExpired:
    print("start waits", flush=True)
finally:
    os.kill(supervisor, signal.SIGCONT)
print("delete", d.wait())
PY
run python3 "$T/big.py" "/var/lib/osh-enforce/${PFX}big" "$(field big pid)" "${OSHC[*]} delete ${PFX}big </dev/null" \
	"cd $W && timeout $((30 * ${OSHT_SLOW:-1})) ${OSHC[*]} run --name ${PFX}other --policy $NONE -- true </dev/null"
sed 's/^/# /' <<<"$OUT"
check "another one starts meanwhile" out_has '^start 0$'
check "delete ends well" out_has '^delete 0$'
OUT=$(sandbox_left "${PFX}big"; ls -d "/var/lib/osh-enforce/.removed/${PFX}big."* 2>/dev/null)
check "and nothing is left" out_is ''
# A delete that is killed half-way leaves files under no sandbox's name.
mkdir -p -m 700 "/var/lib/osh-enforce/.removed" && mkdir -p "/var/lib/osh-enforce/.removed/${PFX}x.1/a/b"
oneshot -- true
OUT=$(ls -d "/var/lib/osh-enforce/.removed/${PFX}x.1" 2>&1)
check "the next run removes what a killed delete left" all 'rc_is 0' 'out_has "No such file"'

section "a failed start leaves nothing"
sed 's/best_effort/hard_requirement/; s#/app#/nonexistent-osht#' "$DENY" >"$T/hard.yaml"
OUT=$(cd "$W" && osh run --name "${PFX}h" --policy "$T/hard.yaml" -- true 2>&1 </dev/null); RC=$?
check "hard_requirement with a missing path: 125, naming it" all 'rc_is 125' 'out_has nonexistent-osht'
OUT=$(sandbox_left "${PFX}h")
check "nothing is left" out_is ''
finish
