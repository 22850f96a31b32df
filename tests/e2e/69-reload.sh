#!/usr/bin/env bash
# Reloads that go wrong, meet each other, or meet a death: the old policy stays whole, or the new one is; never a mixture,
# and the next reload works.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
sinks_up
probe_up
OLD=93.184.216.80 NEW=93.184.216.81
one() { # one FILE HOST
	policy "$1" <<EOP
network_policies:
  direct: {endpoints: [{host: $2, port: 4000}], binaries: [{path: '**'}]}
  web: {endpoints: [{host: api.github.com, port: 443, protocol: rest, access: read-only}], binaries: [{path: '**'}]}
EOP
}
one old.yaml $OLD
one new.yaml $NEW
must_start r "$T/old.yaml"
field() { json_field "$(status_json r)" "$1"; }
reaches() { sb r "$PROBE" tcp "$1" 4000; rc_is 0; }
only() { # only OLD|NEW: that policy and nothing of the other
	local a=$OLD b=$NEW
	[ "$1" = "$OLD" ] || a=$NEW b=$OLD
	reaches "$a" && ! reaches "$b"
}
web() { sb r curl -sSf --max-time 5 https://api.github.com/zen; rc_is 0; }

section "a proxy that does not answer"
GEN=$(field generation)
PROXY=$(proxy_pid r)
on_exit 'kill -CONT "$PROXY" 2>/dev/null'
kill -STOP "$PROXY"
run "${OSHC[@]}" reload "${PFX}r" --policy "$T/new.yaml" --wait --timeout 1
check "times out with 124" rc_is 124
check "the old policy is wholly in force" only $OLD
check "no generation was used" test "$(field generation)" = "$GEN"
kill -CONT "$PROXY"
sleep 0.3
check "also when the proxy answers after all" only $OLD
check "and it inspects" web
reload r "$T/new.yaml"
check "the next reload works" all 'rc_is 0' 'only $NEW' web
check "in the other slot than the policy before" test $(($(field generation) % 2)) != $((GEN % 2))
reload r "$T/old.yaml"
check "and the next" all 'rc_is 0' 'only $OLD' web

section "a supervisor that does not answer"
SUP=$(field pid)
on_exit 'kill -CONT "$SUP" 2>/dev/null'
kill -STOP "$SUP"
run "${OSHC[@]}" reload "${PFX}r" --policy "$T/new.yaml" --wait --timeout 1
kill -CONT "$SUP"
check "asleep from the start: 124, and the old policy stays" all 'rc_is 124' 'only $OLD'
# It falls asleep somewhere on the way.
("${OSHC[@]}" reload "${PFX}r" --policy "$T/new.yaml" --wait --timeout 1 >"$T/log/late" 2>&1 </dev/null; echo "status $?" >>"$T/log/late") &
LATE=$!
sleep 0.02
kill -STOP "$SUP"
wait "$LATE"
sleep 1.2
kill -CONT "$SUP"
sleep 0.3
IN=$NEW
[ "$(field policy_path)" = "$T/new.yaml" ] || IN=$OLD
check "asleep on the way: one policy, wholly, and status says which" only $IN
OUT=$(cat "$T/log/late") RC=0
check "who asked was told 0, or 124 and no word that need not be true" \
	eval 'grep -q "^status 0" <<<"$OUT" || { grep -q "^status 124" <<<"$OUT" && { [ $IN = $OLD ] || ! grep -q "old policy is in force" <<<"$OUT"; }; }'
reload r "$T/old.yaml"

section "the same policy again"
mark sinks
bg r bash -c "sleep 20 | $PROBE hold $OLD 4000"
HELD=$BG_OUT HELD_PID=$BG_PID
until_true 5 grep -q connected "$HELD"
NATIVES=$(field natives)
bg r curl -sS --max-time 30 -o /tmp/got -w '%{http_code} %{size_download} %{num_connects}\n' --limit-rate 400k --range 0-1999999 https://api.github.com/download
GOT=$BG_OUT GOT_PID=$BG_PID
sleep 0.5
for _ in 1 2 3 4 5; do reload r "$T/old.yaml"; done
check "loaded" rc_is 0
check "cuts nothing direct" all '[ "$(field natives)" = "$NATIVES" ]' 'came_not sinks "closed 4000"'
wait "$GOT_PID"
OUT=$(cat "$GOT")
check "and no download" out_has '^206 2000000 1$'
stop "$HELD_PID"

section "many at once"
for i in 1 2 3 4 5 6 7 8; do
	f=old; [ $((i % 2)) = 0 ] && f=new
	("${OSHC[@]}" reload "${PFX}r" --policy "$T/$f.yaml" --wait >"$T/log/many.$i" 2>&1 </dev/null; echo "status $? $f" >>"$T/log/many.$i") &
	MANY[i]=$!
done
wait "${MANY[@]}"
OUT=$(cat "$T"/log/many.*)
check "each is loaded, or refused in words" all '[ "$(grep -c "^status [01] " <<<"$OUT")" = 8 ]' \
	'[ "$(grep -c "another reload is under way" <<<"$OUT")" = "$(grep -c "^status 1 " <<<"$OUT")" ]' 'out_has "^status 0"'
REV=$(field revision)
LAST=$(grep -lE "revision $REV loaded" "$T"/log/many.*)
check "control: who was last" grep -q '^status 0' "$LAST"
if grep -q 'status 0 old' "$LAST"; then WANT=$OLD; else WANT=$NEW; fi
check "the last loaded is what is in force" only $WANT

section "while proxies die"
GOOD_RELOADS=0
for i in 1 2 3 4 5 6; do
	f=old; [ $((i % 2)) = 0 ] && f=new
	PROXY=$(proxy_pid r)
	[ "${PROXY:-0}" -gt 1 ] && kill -9 "$PROXY"
	reload r "$T/$f.yaml"
	[ "$RC" = 0 ] && GOOD_RELOADS=$((GOOD_RELOADS + 1))
done
check "reloads wait for the next proxy ($GOOD_RELOADS of 6 loaded)" test $GOOD_RELOADS -ge 1
reload r "$T/new.yaml"
check "and then one works" rc_is 0
check "wholly" all 'only $NEW' 'until_true 10 web'

section "while the supervisor is killed"
SUP=$(field pid)
(for i in $(seq 50); do
	f=old; [ $((i % 2)) = 0 ] && f=new
	"${OSHC[@]}" reload "${PFX}r" --policy "$T/$f.yaml" --wait >/dev/null 2>&1 </dev/null || break
done) &
LOOP=$!
bg r bash -c "for i in \$(seq 60); do for a in $OLD $NEW 93.184.216.99; do (echo > /dev/tcp/\$a/4000) 2>/dev/null && echo \$i reached \$a; done; sleep 0.05; done; echo end"
OUTF=$BG_OUT
sleep 0.7
kill -9 "$SUP"
wait "$LOOP"
sleep 1
check "control: connections were made" grep -q reached "$OUTF"
check "nothing that neither policy allows" eval '! grep -q 93.184.216.99 "$OUTF"'
delete r
OUT=$(sandbox_left "${PFX}r")
check "what is left is cleared away" test -z "$OUT"
finish
