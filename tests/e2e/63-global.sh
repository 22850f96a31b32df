#!/usr/bin/env bash
# The global policy: in all sandboxes or in none, running and future, and back.
#
# It would be in force in every sandbox of the host, so this test has a /run and a /var/lib of its own; the book of test
# users stays the host's.
. "$(dirname "$0")/lib.sh"
[ -n "${OSHT_PRIVATE:-}" ] || OSHT_PRIVATE=1 exec unshare --mount --propagation private "$0" "$@"
mount -t tmpfs -o mode=755 tmpfs /var/lib && mkdir /var/lib/host-run && mount --bind /run /var/lib/host-run &&
	mount -t tmpfs -o mode=755 tmpfs /run || die "cannot make a private /run"
USER_BOOK=/var/lib/host-run/osh-test-users
e2e_up
nginx_up
DENY=$TOP/examples/deny-all.yaml READONLY=$TOP/examples/github-readonly.yaml
URL=https://api.github.com
field() { json_field "$(status_json "$1")" "$2"; }
gset() { run "${OSHC[@]}" policy set --global --policy "$1" --wait "${@:2}"; }
gdelete() { run "${OSHC[@]}" policy delete --global; }
network() { printf 'version: 1\n'; sed -n '/^network_policies/,$p' "$1"; }
network "$READONLY" >"$T/allow.yaml"
printf 'version: 1\nnetwork_policies: {}\n' >"$T/none.yaml"
may() { sb "$1" curl -sS -m 10 $URL/zen; [ "$RC" = 0 ]; }
may_not() { ! may "$1"; }

section "none is set"
run "${OSHC[@]}" policy list --global
check "list: 1" all 'rc_is 1' 'out_has "global policy: none was ever set"'
gdelete
check "delete: 1" all 'rc_is 1' 'out_has "there is none"'
must_start a "$READONLY"
sed 's#/var/log#/opt, /var/log#' "$DENY" >"$T/bstatic.yaml"
must_start b "$T/bstatic.yaml"
check "control: a may, b may not" all 'may a' 'may_not b'
HA=$(field a hash) HB=$(field b hash)

section "all or nothing"
sed 's#/var/log#/var/log, /opt#' "$READONLY" >"$T/static.yaml"
gset "$T/static.yaml"
check "a static section that differs in one of them: 1, naming sandbox and field" all 'rc_is 1' \
	'out_has "${PFX}a: refuses the global policy: filesystem_policy.read_only"' 'out_lacks "${PFX}b: refuses"'
run "${OSHC[@]}" policy list --global
check "on record as failed" out_has '^1 +failed '
check "nothing has changed" all '[ "$(field a hash)" = "$HA" ]' '[ "$(field b hash)" = "$HB" ]' 'may a' 'may_not b'
printf 'version: 1\nnetwork_policies: 3\n' >"$T/bad.yaml"
gset "$T/bad.yaml"
check "errors: 1, with line and column" all 'rc_is 1' 'out_has "bad.yaml:2:[0-9]+: "'
PRX=$(proxy_pid b)
kill -STOP "${PRX:?}"
gset "$T/allow.yaml" --timeout 2
kill -CONT "$PRX"
check "a proxy that does not take it: 124" all 'rc_is 124' 'out_has "${PFX}b: refuses"'
check "and the other sandbox has not changed" all '[ "$(field a hash)" = "$HA" ]' 'may a' 'may_not b'

section "in force everywhere"
gset "$T/allow.yaml"
check "set: 0, in both" all 'rc_is 0' 'out_has "^${PFX}a: global revision 4 loaded"' 'out_has "^${PFX}b: global revision 4 loaded"'
check "one hash everywhere" all '[ "$(field a hash)" = "$(field b hash)" ]' '[ "$(field b global)" = 4 ]'
check "b may now" may b
run "${OSHC[@]}" status "${PFX}b"
check "status says so" out_has 'global +revision 4 of the global policy is in force'
run "${OSHC[@]}" list
check "list says so" out_has "^${PFX}b .*1 \(global 4\)"
logs b
check "the log says so" out_has 'message="global policy loaded" revision=1 status=loaded .*global=4'
run "${OSHC[@]}" policy list "${PFX}b"
check "its own revision is as it was, and waits" all 'out_has "^1 +loaded"' 'out_has "global policy \(revision 4\) is in force"'
run "${OSHC[@]}" policy get --global
check "get --global" all 'rc_is 0' 'out_has "^# osh-enforce policy: global, revision 4$"' 'out_has "api.github.com"'
for c in "reload ${PFX}a" "policy set ${PFX}a"; do
	# shellcheck disable=SC2086
	run "${OSHC[@]}" $c --policy "$DENY"
	check "$c is refused, with the way out" all 'rc_is 1' 'out_has "policy delete --global"'
done
gset "$T/none.yaml"
check "another one" all 'rc_is 0' 'may_not a' 'may_not b'
must_start c "$READONLY"
check "a sandbox that starts: said on stderr" out_has 'global policy \(revision 5\) is in force'
check "and so it is" all '[ "$(field c global)" = 5 ]' 'may_not c'
SUP=$(field c pid)
kill -9 "$(proxy_pid c)"
until_true 5 eval '[ -n "$(proxy_pid c)" ]'
check "also with a new proxy" may_not c

section "and back"
gdelete
check "delete: 0, naming them" all 'rc_is 0' 'out_has "^${PFX}a: its own revision 1 loaded"' 'out_has "3 running sandboxes are back"'
check "each has its own again, with its hash" all '[ "$(field a hash)" = "$HA" ]' '[ "$(field b hash)" = "$HB" ]' 'may a' 'may_not b' 'may c'
check "status says nothing of it any more" [ -z "$(field a global)" ]
reload a "$DENY"
check "and can be set" all 'rc_is 0' 'may_not a'
run "${OSHC[@]}" policy list --global
check "its revisions stay on record" all 'out_has "^5 +superseded"' '! out_has " loaded "'

section "who sets it dies in between"
REVS=/var/lib/osh-enforce/.global/revisions
# Held: all is done but for the word to go on.  Without a decision on disk it is off, with one it is on.
PRX=$(proxy_pid b)
kill -STOP "${PRX:?}"
"${OSHC[@]}" policy set --global --policy "$T/allow.yaml" --timeout 30 </dev/null >"$T/killed" 2>&1 &
P=$!
until_true 5 test -s $REVS/6.json
sleep 0.5 # a is ready by now and waits
kill -9 $P; wait $P 2>/dev/null
kill -CONT "$PRX"
until_true 10 eval '"${OSHC[@]}" reload "${PFX}a" --policy "$READONLY" </dev/null >"$T/again" 2>&1'
check "before the decision: every sandbox keeps its own" all '[ -z "$(field a global)" ]' '[ -z "$(field b global)" ]' 'may a' 'may_not b'
gset "$T/allow.yaml"
check "and it can be set" all 'rc_is 0' 'may b'
run "${OSHC[@]}" policy list --global
check "what was pending failed" all 'out_has "^6 +failed"' 'out_has "^7 +loaded"'
gdelete
PRX=$(proxy_pid b)
kill -STOP "${PRX:?}"
"${OSHC[@]}" policy set --global --policy "$T/none.yaml" --timeout 30 </dev/null >"$T/killed" 2>&1 &
P=$!
until_true 5 test -s $REVS/8.json
sleep 0.5
echo 8 >$REVS/../current # as it would have written itself, were b ready too
kill -9 $P; wait $P 2>/dev/null
until_true 5 eval '[ "$(field a global)" = 8 ]'
kill -CONT "$PRX"
check "after the decision: a sandbox that waited reads it" all '[ "$(field a global)" = 8 ]' 'may_not a'
until_true 10 gset "$T/none.yaml"
check "and the next set or delete puts all right" all 'gdelete' 'may a'

section "sandboxes that start and end meanwhile"
(for i in $(seq 12); do (cd "$T/work" && "${OSHC[@]}" run --policy "$DENY" -- true </dev/null 2>&1 | grep -v 'global policy\|not shown'); done >"$T/runs") &
P=$!
for i in 1 2 3 4; do
	gset "$T/allow.yaml" >/dev/null; echo "$RC $OUT" >>"$T/sets"
	gdelete; echo "$RC $OUT" >>"$T/sets"
done
wait $P
OUT=$(cat "$T/runs")
check "every start comes up" out_is ''
OUT=$(grep -v '^0' "$T/sets" | grep '^[0-9]')
check "every change is made" out_is ''

section "a sandbox with no room for one more connection"
cat >"$T/crowd.py" <<'PY'
import socket, sys, time
crowd = []
for _ in range(300):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    crowd.append(s)
print("up", flush=True)
time.sleep(600)
PY
python3 "$T/crowd.py" "/run/osh-enforce/${PFX}a/control" >"$T/crowd" &
P=$!
on_exit "stop $P"
until_true 30 grep -q up "$T/crowd"
until_true 10 eval '[ "$(field a state)" != running ]'
check "is not said to be dead" [ "$(field a state)" = 'not answering' ]
gset "$T/none.yaml" --timeout 5
check "and not passed over: the global policy is refused" all 'rc_not 0' 'out_has "${PFX}a: refuses"' 'out_has "nothing has changed"'
stop $P
until_true 10 eval '[ "$(field a state)" = running ]'
gset "$T/none.yaml"
check "with room again it is set, there too" all 'rc_is 0' 'out_has "^${PFX}a: global revision"' 'may_not a'
gdelete
P=()
for i in $(seq 240); do "${OSHC[@]}" exec "${PFX}a" -- sleep 600 </dev/null >>"$T/execs" 2>&1 & P+=($!); on_exit "stop $!"; done
until_true 60 grep -q 'no more can be' "$T/execs"
gset "$T/none.yaml"
check "commands leave room for it" all 'rc_is 0' 'out_has "^${PFX}a: global revision"'
gdelete
kill "${P[@]}" 2>/dev/null
for n in a b c; do delete $n; done
finish
