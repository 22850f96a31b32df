#!/usr/bin/env bash
# Single changes to a running sandbox's policy, typed (`policy update`) or taken from its denials (`policy suggest`): what
# is added works at once, nothing else opens, and every other byte of the text stays.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
policy start.yaml <<'EOP'
# what the agent needs, and no more
network_policies:
  api:   # reading
    endpoints:
      - {host: api.github.com, port: 443, protocol: rest, access: read-only}   # GET
    binaries: [{path: /usr/bin/curl}]
EOP
must_start a "$T/start.yaml" --add-host "any.example.test:$ANY_IP"
code() { sb a curl -s -o /dev/null -w '%{http_code}' "$@"; }
update() { run "${OSHC[@]}" policy update "${PFX}a" "$@"; }
ANY=https://any.example.test

section "policy update"
code $ANY/x
check "before: no other host" rc_is 7
update --add-endpoint any.example.test:443:read-only --binary /usr/bin/curl --dry-run
check "--dry-run prints the new text" all 'rc_is 0' 'out_has "host: any.example.test, port: 443"' 'out_has "# what the agent needs"'
code $ANY/x
check "and changes nothing" rc_is 7
update --add-endpoint any.example.test:443:read-only --binary /usr/bin/curl --wait
check "an endpoint is added live" rc_is 0
code $ANY/x
check "and is there" all 'rc_is 0' 'out_is 200'
code -X POST $ANY/x
check "read-only" out_is 403
update --add-deny any.example.test:443:GET:/secret/** --add-deny api.github.com:443:GET:/zen --wait
check "two rules in one revision" all 'rc_is 0' 'out_has "(revision|loaded)"'
code $ANY/secret/a
check "the first holds" out_is 403
code https://api.github.com/zen
check "the second too" out_is 403
code $ANY/x
check "the rest is as before" out_is 200
update --remove-rule api.github.com:443:GET:/zen --add-endpoint nope --binary /usr/bin/curl
check "a wrong word: usage, and nothing is done" all 'rc_is 2' 'out_has "port is missing"'
update --remove-rule api.github.com:443:GET:/zen --remove-endpoint any.exmple.test:443
check "one operation that fails: none is done, and what was meant" all 'rc_is 1' 'out_has "any.example.test"'
code https://api.github.com/zen
check "the rule is still there" out_is 403
update --remove-rule api.github.com:443:GET:/zen --remove-endpoint any.example.test:443 --wait
check "removed live" rc_is 0
code $ANY/x
check "the endpoint is gone" rc_is 7
code https://api.github.com/zen
check "and the rule" out_is 200
update --remove-rule api.github.com:443:GET:/zen --dry-run
check "nothing to remove is an error" all 'rc_is 1' 'out_has "no rule"'
update --add-endpoint api.github.com:443:read-only --binary /usr/bin/curl
check "what is there already: said, and no new revision" all 'rc_is 0' 'out_has "is there already"'
OUT=$(osh policy update "${PFX}a" --add-endpoint api.github.com:443:read-only --binary /usr/bin/curl --dry-run 2>/dev/null </dev/null | diff - "$T/start.yaml")
RC=$?
# the deny rules that came and went leave api as it was
check "every byte is as it was at the start" all 'rc_is 0' 'out_is ""'

# Each fetches, edits and sends; who comes second on the same revision must try again on the other's.
PIDS=()
for i in 1 2 3 4; do
	"${OSHC[@]}" policy update "${PFX}a" --add-endpoint "h$i.example.test:443:read-only" --binary /usr/bin/curl --wait >"$T/log/par.$i" 2>&1 </dev/null &
	PIDS+=($!)
done
RC=0
for i in "${PIDS[@]}"; do wait "$i" || RC=1; done
OUT=$(cat "$T"/log/par.*; osh policy update "${PFX}a" --add-endpoint x.example.test:1 --binary /x --dry-run 2>/dev/null </dev/null)
check "four at once: each is one revision, none is lost" all 'rc_is 0' 'out_has "host: h1.ex"' 'out_has "host: h2.ex"' 'out_has "host: h3.ex"' 'out_has "host: h4.ex"'

section "policy suggest"
suggest() { OUT=$(timeout -k 5 60 "${OSHC[@]}" policy suggest "${PFX}a" "$@" 2>"$T/said" </dev/null); RC=$?; }
said() { grep -qE -- "$1" "$T/said"; }
same() { diff "$1" - <<<"$OUT" >/dev/null; }
reload a "$T/start.yaml"
sleep 1.1 # a time in seconds: what was denied before must be older
SINCE=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1.1
suggest --since 0s
check "nothing denied: the policy as it is, exit 0" all 'rc_is 0' 'same "$T/start.yaml"' 'said "nothing to suggest"'
ISSUES=https://api.github.com/repos/octocat/hello-world/issues
code -X POST $ISSUES
check "a POST is denied" out_is 403
code -X POST $ISSUES
code -X PUT https://api.github.com/repos/7/a*b
check "a PUT too" out_is 403
code $ANY/page
check "another host too" rc_is 7
sbsh a 'exec 3<>/dev/tcp/any.example.test/4000'
check "and a port for bash" rc_not 0
suggest --since "$SINCE"
CONTEXT=60
check "a policy" all 'rc_is 0' 'said "allows 4 different denials with 4 additions"'
check "the POST with its evidence" all 'out_has "# 2 times, .*/curl POST /repos/octocat/hello-world/issues at api.github.com:443$"' \
	'out_has "allow: .method: POST, path: /repos/octocat/hello-world/issues."'
check "a star in a path is no pattern" out_has 'path: "/repos/7/a%2Ab"'
check "the host, to read" out_has 'host: any.example.test, port: 443, protocol: rest, access: read-only'
check "the program itself" out_has 'path: .*/curl, ancestors: false'
check "another port: not looked at" all 'out_has "host: any.example.test, port: 4000.$"' 'out_has "# the bytes are not looked at"'
OUT=$(diff "$T/start.yaml" - <<<"$OUT" | grep '^<')
check "no byte of the old text is lost" out_is ''
suggest --since "$SINCE" -o "$T/suggested.yaml"
check "-o" all 'rc_is 0' 'out_is ""' '[ -s "$T/suggested.yaml" ]'
echo precious >"$T/precious"
ln -s "$T/precious" "$T/work/link.yaml" && ln "$T/precious" "$T/work/twin.yaml" # as an agent could leave them there
suggest --since "$SINCE" -o "$T/work/link.yaml"
check "-o does not write through a symbolic link" all 'rc_is 1' 'said "is a symbolic link"' '[ "$(cat "$T/precious")" = precious ]'
suggest --since "$SINCE" -o "$T/work/twin.yaml"
check "nor into a file with another name" all 'rc_is 1' 'said "hard link"' '[ "$(cat "$T/precious")" = precious ]'
rm -f "$T/work/link.yaml" "$T/work/twin.yaml"
run "$OSH" policy check "$T/suggested.yaml"
check "policy check has nothing to say" all 'rc_is 0' 'out_lacks warning'
suggest --since "$SINCE" --generalise
check "--generalise" out_has 'path: "/repos/\*/a%2Ab"'
reload a "$T/suggested.yaml"
check "it loads" rc_is 0
code -X POST $ISSUES
check "the POST is allowed" out_is 201
code -X PUT https://api.github.com/repos/7/a*b
check "the PUT too" out_is 200
code $ANY/page
check "the host too" out_is 200
code -X POST https://api.github.com/repos/octocat/hello-world/pulls
check "another path is not" out_is 403
code -X DELETE $ISSUES
check "another method is not" out_is 403
code -X PUT https://api.github.com/repos/7/axb
check "what the star would have matched is not" out_is 403
code -X POST $ANY/page
check "the new host is for reading" out_is 403
sb a python3 -c 'import socket; socket.create_connection(("any.example.test", 443), 5)'
check "another program is not" rc_not 0
suggest --since "$SINCE"
check "the next suggestion has what is denied now" all 'rc_is 0' 'out_has "method: DELETE"' 'out_has "method: POST, path: /page"'
check "and each program what it asked for itself" out_has 'binaries: ..path: .*/python3[^,]*, ancestors: false..$'
update --add-deny api.github.com:443:DELETE:** --wait
suggest --since "$SINCE"
check "a deny rule is not undone, and it is said" all 'rc_is 0' 'out_lacks "method: DELETE, path: /repos"' 'said "deny rule forbids it"' 'said "DELETE /repos"'
sbsh a 'exec 3<>/dev/udp/192.0.2.1/99; echo x >&3'
sb a curl -s -m 3 http://169.254.169.254/
suggest --since "$SINCE"
check "what no policy can allow is listed with the reason" all 'rc_is 0' 'said "not suggested: .*169.254.169.254:80"'
finish
