#!/usr/bin/env bash
# Anything may come and go in a running sandbox, the first endpoint of its kind included; and programs that were running
# before, their parents long dead, follow at their next connect.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
sinks_up
probe_up
LIT=93.184.216.80 LIT6=2600:1406:5e00:6::17ce:bc80 PRIV=10.99.0.7
HOSTS=(--add-host "direct.example.test:$ANY_IP" --add-host "a.wild.example.test:$ANY_IP" --add-host "inside.example.test:$PRIV"
	--add-host "skip.example.test:$FILES_IP" --add-host "scripted.example.test:$ANY_IP")
policy none.yaml </dev/null
policy l4.yaml <<EOP
network_policies:
  one: {endpoints: [{host: other.example.test, port: 4000}], binaries: [{path: /usr/bin/curl}]}
EOP
{ cat "$T/none.yaml"; echo 'network_policies: {}'; } >"$T/empty.yaml"
cat >"$T/work/tool" <<'EOS'
#!/bin/bash
exec 3<>/dev/tcp/scripted.example.test/4000 && echo scripted >&3 && read -r -t 3 l <&3 && echo "ok $l"
EOS
chmod 755 "$T/work/tool"

# What is added, by name: the block, and a command that succeeds with it and not without.
block() {
	local any="binaries: [{path: '**'}]"
	case $1 in
	native) echo "  native: {endpoints: [{host: direct.example.test, port: 4000}], $any}" ;;
	inspected) echo "  inspected: {endpoints: [{host: api.github.com, port: 443, protocol: rest, access: read-only}], $any}" ;;
	clear) echo "  clear: {endpoints: [{host: files.example.test, port: 80, protocol: rest, access: read-only}], $any}" ;;
	wildcard) echo "  wildcard: {endpoints: [{host: '*.wild.example.test', port: 4000}], $any}" ;;
	literal) echo "  literal: {endpoints: [{host: $LIT, port: 4000}], $any}" ;;
	literal6) echo "  literal6: {endpoints: [{host: '$LIT6', port: 4000}], $any}" ;;
	skip) echo "  skip: {endpoints: [{host: skip.example.test, port: 443, protocol: rest, tls: skip}], $any}" ;;
	cidr) echo "  cidr: {endpoints: [{host: inside.example.test, port: 4000, allowed_ips: [10.99.0.0/24]}], $any}" ;;
	script) echo "  script: {endpoints: [{host: scripted.example.test, port: 4000}], binaries: [{path: $T/work/tool, ancestors: false}]}" ;;
	glob) echo "  glob: {endpoints: [{host: $LIT, port: 4001}], binaries: [{path: '$T/work/pro*', ancestors: false}]}" ;;
	esac
}
KINDS="native inspected clear wildcard literal literal6 skip cidr script glob"
reach() {
	case $1 in
	native) echo "$PROBE name direct.example.test 4000" ;;
	inspected) echo "curl -sSf --max-time 5 https://api.github.com/zen" ;;
	clear) echo "curl -sSf --max-time 5 -o /dev/null http://files.example.test/4m" ;;
	wildcard) echo "$PROBE name a.wild.example.test 4000" ;;
	literal) echo "$PROBE tcp $LIT 4000" ;;
	literal6) echo "$PROBE tcp $LIT6 4000" ;;
	skip) echo "curl -sSfk --max-time 5 https://skip.example.test/" ;;
	cidr) echo "$PROBE tcp $PRIV 4000" ;;
	script) echo "$T/work/tool" ;;
	glob) echo "$PROBE tcp $LIT 4001 x" ;;
	esac
}
# 4001 answers only at the end of input: connected is enough there.
reached() {
	# shellcheck disable=SC2046
	sb "$1" $(reach "$2")
	rc_is 0 || { [ "$2" = glob ] && out_has '^recv'; }
}
not_reached() { ! reached "$1" "$2"; }
with() { # with FILE KIND...
	local f=$1 k; shift
	{ echo "network_policies:"; for k in "$@"; do block "$k"; done; } | policy "$f"
}

for from in none empty l4; do
	section "from $from, each kind as the first"
	must_start "$from" "$T/$from.yaml" "${HOSTS[@]}"
	for k in $KINDS; do
		# From no policies at all everything; elsewhere every third is enough.
		[ $from = none ] || case $k in native | inspected | wildcard) ;; *) continue ;; esac
		check "$k: not reached before" not_reached $from $k
		with one.yaml $k
		reload $from "$T/one.yaml"
		check "$k: reached when it is the first endpoint" reached $from $k
		reload $from "$T/$from.yaml"
		check "$k: not reached when it is gone again" not_reached $from $k
	done
done

section "programs that were there before, their parents dead"
# Tries one thing whenever the file `go` changes, and says how it went; its starter ends at once.
cat >"$T/work/orphan.py" <<'PY'
import os, socket, sys, time, urllib.request
kind, out = sys.argv[1], sys.argv[2]
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.dup2(os.open("/dev/null", os.O_RDWR), 1)
os.dup2(1, 2)
def attempt():
    if kind == "web":
        return urllib.request.urlopen("https://api.github.com/zen", timeout=5).status
    s = socket.create_connection({"name": ("direct.example.test", 4000), "literal": (sys.argv[3], 4000)}[kind], timeout=5)
    s.sendall(b"hello")
    return s.recv(5).decode()
seen = ""
while not os.path.exists("end"):
    try:
        go = open("go").read()
    except OSError:
        go = ""
    if go == seen:
        time.sleep(0.02)
        continue
    seen = go
    try:
        how = "ok %s" % attempt()
    except Exception as e:
        how = "no %r" % e
    with open(out, "a") as f:
        f.write("%s %d %s\n" % (go.strip(), os.getppid(), how))
PY
chmod 644 "$T/work/orphan.py"
must_start o "$T/none.yaml" "${HOSTS[@]}"
(cd "$T/work" && for k in web name literal; do : >"$k.out"; chown sandbox: "$k.out"; done)
for k in web name literal; do sb o python3 orphan.py $k $k.out $LIT; done
on_exit 'touch "$T/work/end"'
turn() { # turn NAME: each tries once more
	echo "$1" >"$T/work/go"
	until_true 15 eval '[ "$(cat "$T"/work/{web,name,literal}.out | grep -c "^'"$1"' ")" = 3 ]' || return
	OUT=$(cd "$T/work" && grep "^$1 " web.out name.out literal.out)
	RC=0
}
gave() { grep -q "^$1.out:[a-z0-9]* [0-9]* $2" <<<"$OUT"; }
turn start
check "nothing allowed: all refused" all 'gave web no' 'gave name no' 'gave literal no'
with all.yaml native inspected literal
reload o "$T/all.yaml"
turn gain
check "all gain what came" all 'gave web "ok 200"' 'gave name "ok hello"' 'gave literal "ok hello"'
INIT=$(json_field "$(status_json o)" init_pid)
check "control: their starters are gone, init has them" test "$(grep -c ":gain $INIT " <<<"$OUT")" = 3
with web.yaml inspected
reload o "$T/web.yaml"
turn loss
check "direct ones lose, the inspected one keeps" all 'gave web "ok 200"' 'gave name no' 'gave literal no'
sed "s#'\*\*'#/usr/bin/nobody#" "$T/all.yaml" >"$T/others.yaml"
reload o "$T/others.yaml"
turn others
check "for other programs only: all lose" all 'gave web no' 'gave name no' 'gave literal no'
{ echo "network_policies:"; block literal | sed "s#'\*\*'#$(real python3)#"; } | policy mine.yaml
reload o "$T/mine.yaml"
turn mine
check "by their own path: the one gains" all 'gave web no' 'gave name no' 'gave literal "ok hello"'
reload o "$T/none.yaml"
turn none
check "nothing again" all 'gave web no' 'gave name no' 'gave literal no'
finish
