#!/usr/bin/env bash
# Revisions: numbered, hashed by meaning, on record with what became of them; set, get, list; what survives and what goes.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
DENY=$TOP/examples/deny-all.yaml READONLY=$TOP/examples/github-readonly.yaml
URL=https://api.github.com
field() { json_field "$(status_json "$1")" "$2"; }
set_policy() { local n=$1 p=$2; shift 2; run "${OSHC[@]}" policy set "$PFX$n" --policy "$p" "$@"; }
listed() { "${OSHC[@]}" policy list "$PFX$1" --format json 2>/dev/null </dev/null; }
# rev NAME N KEY: of the record.
rev() { json_field "$(listed "$1")" "revisions.$(($2 - 1)).$3"; }
get() { local n=$1; shift; run "${OSHC[@]}" policy get "$PFX$n" "$@"; }
hash_of() { # hash_of FILE: as a sandbox would show it
	set_policy a "$1" --wait >/dev/null
	field a hash
}
# The network part only: sections left out mean unchanged.
network() { printf 'version: 1\n'; sed -n '/^network_policies/,$p' "$1"; }

section "number, hash, time, status"
must_start a "$READONLY"
check "the start is revision 1, loaded" all '[ "$(rev a 1 revision)" = 1 ]' '[ "$(rev a 1 status)" = loaded ]' \
	'[ "$(rev a 1 source)" = "$READONLY" ]'
check "with the hash that status shows" all '[ "$(rev a 1 hash)" = "$(field a hash)" ]' '[ "$(field a revision)" = 1 ]'
H1=$(field a hash)
set_policy a "$DENY" --wait
check "set --wait: loaded, revision 2" all 'rc_is 0' 'out_has "revision 2 loaded, sha256 $(field a hash | cut -c 1-16)"'
check "the one before is superseded" all '[ "$(rev a 1 status)" = superseded ]' '[ "$(rev a 2 status)" = loaded ]'
run "${OSHC[@]}" list
check "list shows the hash" out_has "${PFX}a .* $(field a hash | cut -c 1-12) "
logs a
check "the log has each event once, with revision, hash and status" all \
	'[ "$(grep -c "message=\"policy accepted\" revision=2 status=pending hash=$(field a hash)" <<<"$OUT")" = 1 ]' \
	'[ "$(grep -c "message=\"policy loaded\" revision=2 status=loaded .*hash=$(field a hash)" <<<"$OUT")" = 1 ]' \
	'[ "$(grep -c "message=\"policy loaded\" revision=1 " <<<"$OUT")" = 1 ]'
set_policy a "$READONLY"
check "without --wait it returns when accepted" all 'rc_is 0' 'out_has "revision 3 accepted"'
until_true 10 eval '[ "$(rev a 3 status)" = loaded ]'
check "and loads all the same" all '[ "$(rev a 3 status)" = loaded ]' '[ "$(rev a 3 hash)" = "$H1" ]'
sb a curl -sS $URL/zen
check "control: it is in force" says logically

section "the hash is over what is said, not how"
{ printf '# a comment\n\n\n'; sed 's/$/   # c/' "$READONLY"; } >"$T/spelt.yaml"
check "comments and spacing" [ "$(hash_of "$T/spelt.yaml")" = "$H1" ]
sed 's/access: read-only/access: full/' "$READONLY" >"$T/full.yaml"
check "control: another right, another hash" [ "$(hash_of "$T/full.yaml")" != "$H1" ]

section "what was set, had back"
get a --rev 1
check "get: a header of comments, then the text" all 'rc_is 0' 'out_has "^# osh-enforce policy: sandbox ${PFX}a, revision 1$"' \
	'out_has "^# sha256: $H1$"' 'out_has "^# status: superseded$"' 'out_has "^# set: 20"' 'out_has "^# source: $READONLY$"'
sed '1,/^# ---$/d' <<<"$OUT" >"$T/body.yaml"
check "byte for byte" cmp -s <(sed -e '$a\' "$READONLY") "$T/body.yaml"
"${OSHC[@]}" policy get "${PFX}a" --rev 1 >"$T/got.yaml" </dev/null
set_policy a "$T/got.yaml" --wait
check "set back with its header: the same hash" all 'rc_is 0' '[ "$(field a hash)" = "$H1" ]'
get a
check "a header is not repeated" [ "$(grep -c '^# osh-enforce policy:' <<<"$OUT")" = 1 ]
get a --full
check "--full says which files and which user stand" all 'rc_is 0' 'out_has "^#   : read_only /usr$"' 'out_has "^#   : user [0-9]+$"'
get a --rev 99
check "no such revision: 1, naming it" all 'rc_is 1' 'out_has "no revision 99"'
run "${OSHC[@]}" policy get "${PFX}nobody"
check "no such sandbox: 1" rc_is 1
run "${OSHC[@]}" policy get "${PFX}a" --rev x
check "not a number: 2" rc_is 2

section "what fails is on record too"
N=$(field a revision)
printf 'version: 1\nnetwork_policies: [\n' >"$T/bad.yaml"
set_policy a "$T/bad.yaml" --wait
check "a text that is no YAML: 1, with line and column" all 'rc_is 1' 'out_has "bad.yaml:[0-9]+:[0-9]+: "'
check "on record as failed, with its error" all '[ "$(rev a $((N + 1)) status)" = failed ]' \
	'grep -q "bad.yaml:" <<<"$(rev a $((N + 1)) error)"' '[ -z "$(rev a $((N + 1)) hash)" ]'
get a --rev $((N + 1))
check "and its text can be had" all 'rc_is 0' 'out_has "^# status: failed$"' 'out_has "^network_policies: \[$"'
sed 's#/var/log#/var/log, /opt#' "$READONLY" >"$T/static.yaml"
set_policy a "$T/static.yaml" --wait
check "a static section that changes: 1, naming the field" all 'rc_is 1' 'out_has "filesystem_policy.read_only"'
check "on record as failed, with hash and error" all '[ "$(rev a $((N + 2)) status)" = failed ]' \
	'grep -q filesystem_policy.read_only <<<"$(rev a $((N + 2)) error)"' '[ -n "$(rev a $((N + 2)) hash)" ]'
check "the one in force is what it was" all '[ "$(field a revision)" = "$N" ]' '[ "$(field a hash)" = "$H1" ]'
run "${OSHC[@]}" policy list "${PFX}a"
check "list says so" all 'rc_is 0' 'out_has "^$((N + 2)) +failed .*filesystem_policy.read_only"' 'out_has "^$N +loaded "'
logs a --level warn
check "and the log" out_has "message=\"policy refused\" revision=$((N + 2)) status=failed .*error="
printf 'version: 1\n# \033[31mred\nnetwork_policies: [\n' >"$T/esc"$'\033'.yaml
set_policy a "$T/esc"$'\033'.yaml
check "control bytes of a name reach neither terminal nor record raw" all \
	'! "${OSHC[@]}" policy list "${PFX}a" </dev/null | grep -q $'"'\\033'" '[ "$(rev a $((N + 3)) status)" = failed ]'

section "a proxy that does not take it: 124, the old one stays"
PRX=$(proxy_pid a)
kill -STOP "${PRX:?}"
set_policy a "$DENY" --wait --timeout 1
kill -CONT "$PRX"
check "124" all 'rc_is 124' 'out_has "old (one|policy) is in force"'
check "on record as failed" all '[ "$(rev a $((N + 4)) status)" = failed ]' '[ "$(field a revision)" = "$N" ]'
sb a curl -sS $URL/zen
check "the old policy is in force" says logically
set_policy a "$DENY" --wait --timeout 0
check "a time-out of 0: wrong usage" rc_is 2

section "static sections, by effective meaning"
same() { # same NAME SED: the policy of the start with its static sections spelt otherwise
	sed "$2" "$READONLY" >"$T/same.yaml"
	! cmp -s "$READONLY" "$T/same.yaml" || { not_ok "$1: the text is the same"; return; }
	set_policy a "$T/same.yaml" --wait
	check "$1" rc_is 0
}
same "a trailing slash" 's#/usr,#/usr/,#'
same "a path twice" 's#/usr,#/usr, /usr,#'
same "another order" 's#\[/usr, /lib,#[/lib, /usr,#'
same "the user by number" "s/run_as_user: sandbox/run_as_user: $(id -u sandbox)/"
same "the group by number" "s/run_as_group: sandbox/run_as_group: $(id -g sandbox)/"
same "the group left out: the user's own" 's/, run_as_group: sandbox//; /run_as_group/d'
same "a section left out" '/^landlock/,/^[a-z]/{/^landlock/d; /^ /d}'
network "$READONLY" >"$T/network.yaml"
set_policy a "$T/network.yaml" --wait
check "all of them left out" rc_is 0
must_start p "$T/network.yaml"
{ cat "$T/network.yaml"; printf 'filesystem_policy: {include_workdir: true}\nlandlock: {compatibility: best_effort}\nprocess: {}\n'; } >"$T/defaults.yaml"
set_policy p "$T/defaults.yaml" --wait
check "the defaults spelt out where nothing was said" rc_is 0
{ cat "$T/network.yaml"; printf 'landlock: {compatibility: hard_requirement}\n'; } >"$T/hard.yaml"
set_policy p "$T/hard.yaml" --wait
check "control: another value is refused, naming the field" all 'rc_is 1' 'out_has landlock.compatibility'
{ cat "$T/network.yaml"; printf 'process: {run_as_user: nobody}\n'; } >"$T/nobody.yaml"
set_policy p "$T/nobody.yaml" --wait
check "control: another user, too" all 'rc_is 1' 'out_has process.run_as_user'
delete p

section "two at once"
PIDS=()
for i in 1 2 3 4 5 6; do
	"${OSHC[@]}" policy set "${PFX}a" --policy "$READONLY" --wait </dev/null >"$T/par.$i" 2>&1 &
	PIDS+=($!)
done
wait "${PIDS[@]}"
OUT=$(cat "$T"/par.*)
check "each is loaded or refused for the other, none lost" [ "$(grep -cE 'revision [0-9]+ loaded|another reload is under way' <<<"$OUT")" = 6 ]
OUT=$(listed a | grep -c '"status": "loaded"')
check "one revision is loaded" out_is 1
OUT=$(listed a | grep -c '"status": "pending"')
check "none is pending" out_is 0

section "the supervisor killed"
LAST=$(field a revision) HASH=$(field a hash)
N=$(listed a | grep -c '"revision"')
SUP=$(field a pid) PRX=$(proxy_pid a)
# A revision that is pending at that moment: the proxy cannot answer.
kill -STOP "${PRX:?}"
set_policy a "$DENY"
check "accepted" all 'rc_is 0' '[ "$(rev a $((N + 1)) status)" = pending ]'
kill -9 "${SUP:?}" "$PRX"
sleep 0.3
check "nobody can load it any more: list says failed" all '[ "$(rev a $((N + 1)) status)" = failed ]' '[ "$(rev a "$LAST" hash)" = "$HASH" ]'
start a "$READONLY"
check "the name again: numbering goes on" all 'rc_is 0' '[ "$(field a revision)" = $((N + 2)) ]'
check "what was pending failed, what was loaded is superseded" all '[ "$(rev a $((N + 1)) status)" = failed ]' \
	'grep -q ended <<<"$(rev a $((N + 1)) error)"' '[ "$(rev a "$LAST" status)" = superseded ]' '[ "$(rev a $((N + 2)) status)" = loaded ]'
get a --rev 1
check "the first text is still there" all 'rc_is 0' 'out_has "^# revision|sandbox ${PFX}a, revision 1$"'
set_policy a "$T/static.yaml" --wait
check "static sections are judged by this start's" all 'rc_is 1' 'out_has filesystem_policy.read_only'
SUP=$(field a pid)
kill -TERM "${SUP:?}"
until_true 10 eval '! kill -0 $SUP 2>/dev/null'
run "${OSHC[@]}" policy list "${PFX}a"
check "after SIGTERM the record is there" all 'rc_is 0' 'out_has "^$((N + 2)) +loaded"'
printf 'x' >/var/lib/osh-enforce/"${PFX}a"/revisions/$((N + 3)).json
: >/var/lib/osh-enforce/"${PFX}a"/revisions/.new
OUT=$(cd "$T/work" && osh run --name "${PFX}a" --policy "$DENY" -- true 2>&1 </dev/null); RC=$?
check "a damaged record: counts as failed and keeps its number" all 'rc_is 0' '[ "$(rev a $((N + 3)) status)" = failed ]' \
	'grep -q damaged <<<"$(rev a $((N + 3)) error)"' '[ "$(rev a $((N + 4)) source)" = "$DENY" ]'
check "a run without --keep leaves the record that it found" [ "$(rev a 1 status)" = superseded ]

section "starts and ends that are killed half-way"
# What one leaves that was killed when it had just made its directory, or had all but removed it.
half_way() {
	mkdir /run/osh-enforce 2>/dev/null
	mkdir -m 700 "/run/osh-enforce/${PFX}a" && : >"/run/osh-enforce/${PFX}a/lock"
}
must_start a "$DENY"
N=$(field a revision)
set_policy a "$READONLY" --wait
kill -9 "$(field a pid)" "$(proxy_pid a)"
swept() { (cd "$T/work" && osh run --policy "$DENY" -- true) >/dev/null 2>&1 </dev/null; [ ! -e "/run/osh-enforce/${PFX}a" ]; }
check "control: a dead one is swept" until_true 10 swept
check "control: and its revisions stay" all '[ "$(rev a "$N" hash)" != "" ]' '[ "$(rev a $((N + 1)) source)" = "$READONLY" ]'
half_way
check "one that did not get further is swept" all swept
check "the revisions stay" all '[ "$(rev a "$N" hash)" != "" ]' '[ "$(rev a $((N + 1)) source)" = "$READONLY" ]'
(cd "$T/work" && exec "${OSHC[@]}" run --name "${PFX}u" --policy "$DENY" -- sleep 300) >/dev/null 2>&1 </dev/null &
P=$!
on_exit "stop $P"
check "control: one without --keep runs" until_true 20 eval '[ -n "$(field u pid)" ]'
kill -9 "$(field u pid)" "$(proxy_pid u)"
wait $P
gone() { swept; OUT=$(sandbox_left "${PFX}u"); [ -z "$OUT" ]; }
check "of one without --keep that is killed nothing stays" until_true 10 gone

section "delete"
delete a
OUT=$(sandbox_left "${PFX}a")
check "delete removes all of it" all 'rc_is 0' 'out_is ""'
delete a
check "and then there is nothing to delete" rc_is 1
OUT=$(cd "$T/work" && osh run --name "${PFX}n" --policy "$DENY" -- true 2>&1 </dev/null); RC=$?
OUT=$(sandbox_left "${PFX}n")
check "a run without --keep leaves nothing" all 'rc_is 0' 'out_is ""'
finish
