#!/usr/bin/env bash
# The main path in short: deny, hot reload, read-only at the request level, logs; and the commands around it.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
sniff_up
mark access sniff
DENY=$TOP/examples/deny-all.yaml READONLY=$TOP/examples/github-readonly.yaml
URL=https://api.github.com
CODE=(curl -s -o /dev/null -w '%{http_code}')
no_connection() { came_not sniff "^tcp .* $API_IP 443\$"; }

section "control: outside a sandbox the server answers"
run "${INC[@]}" curl -sS --cacert "$CA" --resolve "api.github.com:443:$API_IP" "$URL/zen"
check "the server answers a plain client" says 'logically'
mark access sniff

section "deny-all"
must_start s "$DENY"
sb s curl -sS "$URL/zen"
check "curl is refused at connect" rc_is 7
sb s curl -sSv "$URL/zen"
check "with EPERM" out_has 'Operation not permitted'
check "nothing reached the server" no_connection
check "the log names binary, host, port and reason" logged s \
	'action=deny dst_host=api\.github\.com dst_port=443 binary=/usr/bin/curl deny_reason="no matching network policy"'

section "reload to read-only"
reload s "$READONLY"
check "reload succeeds" rc_is 0
check "and prints a revision, a hash and a time" all 'out_has "[0-9a-f]{8}"' 'out_has "ms"' 'out_has "2"'
mark access
sb s curl -sS "$URL/zen"
check "GET is allowed" says 'logically'
check "the server saw it" came access '"GET /zen HTTP/1.1" 200'
sb s curl -sSI "$URL/zen"
check "HEAD as well" says 'HTTP/1.1 200'
mark access
for m in POST PUT PATCH DELETE; do
	sb s "${CODE[@]}" -X $m "$URL/repos/octocat/hello-world/issues" -d '{"title":"oops"}'
	check "$m is answered 403" out_is 403
done
sb s curl -sSi -X POST "$URL/repos/octocat/hello-world/issues" -d '{"title":"oops"}'
check "the answer is JSON that tells why" all 'out_has "^[Cc]ontent-[Tt]ype: application/json"' \
	'out_has "^[Xx]-[Oo]sh-[Pp]olicy: github-api-readonly"' 'out_has "policy_denied"' \
	'out_has "POST /repos/octocat/hello-world/issues not permitted by policy"'
check "no such request reached the server" came_not access '"(POST|PUT|PATCH|DELETE) '
check "the log has the request" logged s \
	'l7_decision=deny dst_host=api\.github\.com l7_action=POST l7_target=/repos/octocat/hello-world/issues l7_deny_reason="POST /repos/octocat/hello-world/issues not permitted by policy"'
mark sniff
sb s wget -q -t 1 -O - "$URL/zen"
check "wget is refused" rc_not 0
check "by binary, in the log" logged s "binary=$(real wget) deny_reason=\"?binary not in policy github-api-readonly"
check "and reached nothing" no_connection

section "several requests of one connection are judged one by one"
mark access
sb s curl -s -w '%{http_code} ' -o /dev/null "$URL/zen" --next -s -w '%{http_code} ' -o /dev/null -X POST -d x "$URL/zen" \
	--next -s -w '%{http_code} %{num_connects}' -o /dev/null "$URL/octocat"
check "GET, POST, GET are answered 200, 403, 200 on one connection" out_is "200 403 200 0"

section "audit"
sed 's/enforcement: enforce/enforcement: audit/' "$READONLY" >"$T/audit.yaml"
reload s "$T/audit.yaml"
mark access
sb s "${CODE[@]}" -X POST "$URL/repos/octocat/hello-world/issues" -d '{}'
check "POST goes through" out_is 201
check "and reaches the server" came access '"POST .* 201'
check "and is logged as an audit hit" logged s 'l7_decision=audit .*l7_action=POST'

section "logs"
logs s --level warn
check "--level warn shows denies, no allows" all 'out_has "action=deny"' 'out_lacks "(action|l7_decision)=allow"'
logs s --format json
check "--format json is one object a line" python3 -c 'import json,sys
rows = [json.loads(l) for l in sys.argv[1].splitlines()]
assert any(r.get("l7_decision") == "deny" and r["dst_host"] == "api.github.com" for r in rows)
assert any(r.get("action") == "deny" and r["binary"] == "/usr/bin/curl" for r in rows)' "$OUT"
sbsh s 'd=$(printf "/tmp/a b\033[31m\nx\"y"); mkdir -p "$d"; cp /usr/bin/curl "$d/c"; "$d/c" -s https://api.github.com/zen'
logs s
check "a path with control bytes is escaped" all 'out_has "x1[bB]"' 'out_has "\\\\n"' '! grep -q "$(printf "\033")" <<<"$OUT"'
sleep 1.2
s=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1
sb s curl -sS https://other.example.test/
logs s --since "$s"
check "--since leaves older lines out" all 'out_has "other.example.test"' 'out_lacks "a b"'

section "the other commands"
run "${OSHC[@]}" list
check "list shows the sandbox" says "${PFX}s"
run "${OSHC[@]}" list --format json
check "list --format json parses" python3 -c 'import json,sys; assert json.loads(sys.argv[1])' "$OUT"
run "${OSHC[@]}" status "${PFX}s"
check "status shows it" says "${PFX}s"
check "status --format json parses" python3 -c 'import json,sys; json.loads(sys.argv[1])' "$(status_json s)"
run "$OSH" policy check "$READONLY"
check "policy check of a good file" rc_is 0
run "$OSH" --version
check "--version" says '[0-9]+\.[0-9]+'
for c in '' run exec connect list status reload delete logs policy doctor; do
	run "$OSH" $c --help
	check "${c:-osh-enforce} --help" says 'usage'
done
run "$OSH" doctor
check "doctor is content with this kernel" rc_is 0
# The host's own core_pattern stays as it is.
echo '@/run/cores.socket' >"$T/core_pattern"
cores() { run "${INC[@]}" unshare -m sh -c 'mount --bind "$1" /proc/sys/kernel/core_pattern && cd "$2" && shift 2 && "$@"' - "$T/core_pattern" "$T/work" "$OSH" "$@"; }
cores doctor
check "core files go to a socket: doctor says so" says 'remedy: sysctl -w kernel.core_pattern=core'
cores run --policy "$DENY" -- true
check "and run does" says "^osh-enforce run: warning: kernel.core_pattern begins with '@'"
echo core >"$T/core_pattern"
cores run --policy "$DENY" -- true
check "control: not where they do not" all 'rc_is 0' 'out_lacks core_pattern'

section "back to deny-all, and delete"
reload s "$DENY"
mark sniff
sb s curl -sS "$URL/zen"
check "denied again" rc_is 7
check "nothing reached the server" no_connection
mapfile -t PIDS < <(sandbox_pids "${PFX}s" "$(status_json s)")
delete s
check "delete" rc_is 0
sleep 0.3
OUT=$(sandbox_left "${PFX}s" "${PIDS[@]}")
check "leaves nothing of ${#PIDS[@]} processes, cgroup, pins, files" test -z "$OUT" -a ${#PIDS[@]} -ge 2
finish
