#!/usr/bin/env bash
# `policy test` and `policy explain` as commands: all vectors, the examples with their cases, and what they say when an
# expectation is wrong.  Starts no sandbox.
. "$(dirname "$0")/lib.sh"
scratch_up
cd "$TOP" || exit 1
V=tests/data/vectors/decisions
C='{name: n, binary: /usr/bin/wget, host: api.github.com, port: 443'
cases() { printf 'cases: [%s]\n' "$1" >"$T/cases.yaml"; }
ptest() { run "$OSH" policy test "$@"; }
explain() { run "$OSH" policy explain "$@"; }

section vectors
total=0
for d in "$V"/*/; do
	ptest "$d/policy.yaml" "$d/cases.yaml"
	check "${d#tests/data/}" all 'rc_is 0' 'out_has "^[0-9]+ passed, 0 failed$"'
	total=$((total + ${OUT%% *}))
done
check "every case of the vectors was asked" [ "$total" = "$(cat "$V"/*/cases.yaml | grep -c '"name"')" ]

section examples
for f in examples/*.yaml; do
	ptest "$f" "examples/cases/${f##*/}"
	check "$f decides as its cases say" all 'rc_is 0' 'out_has "^[1-9][0-9]* passed, 0 failed$"'
done

section 'wrong expectations'
P=examples/github-readonly.yaml
cases "$C, expect: allow}"
ptest "$P" "$T/cases.yaml"
check "denied, expected allowed" all 'rc_is 1' 'out_has "^not ok: .*/cases.yaml:1: n: expected allow, but$"' \
	'out_has "deny at connect: binary not in policy github-api-readonly"' \
	'out_has "nearest: $P:[0-9]+: block github_api allows this host for /usr/bin/curl, not for /usr/bin/wget"' \
	'[ "${OUT##*$'"'\n'"'}" = "0 passed, 1 failed" ]'
cases "$C, ancestors: [/usr/bin/curl], method: GET, path: /a/../b, expect: deny}"
ptest "$P" "$T/cases.yaml"
check "allowed, expected denied" all 'rc_is 1' 'out_has "allow the request"' 'out_has "judged as: /b"' \
	'out_has "/usr/bin/curl matches the ancestor"' 'out_has "access: read-only"'
cases "$C, ancestors: [/usr/bin/curl], expect: allow, policy: other}"
ptest "$P" "$T/cases.yaml"
check "allowed by another block" all 'rc_is 1' 'out_has "expected allow by policy other, but"'
ptest "$P" "$T/cases.yaml" "examples/cases/github-readonly.yaml" -v
check "several files, one count" all 'rc_is 1' 'out_has "^[0-9]+ passed, 1 failed$"' 'out_has "^ok: .*: curl reads$"'
ptest "$P" "$T/cases.yaml" --format json
check "as JSON" all 'rc_is 1' '[ "$(json_field "$OUT" failed)" = 1 ]' \
	'[ "$(json_field "$OUT" cases.0.got.decision)" = allow ]' '[ "$(json_field "$OUT" cases.0.ok)" = False ]'
cases "$C, expct: allow}, {name: m}"
ptest "$P" "$T/cases.yaml"
check "a bad file of cases: all errors, with their place" all 'rc_is 2' \
	'out_has "cases.yaml:1:[0-9]+: unknown field .expct. \(did you mean .expect.\?\)"' \
	'out_has "cases.yaml:1:[0-9]+: .binary. is missing"' 'out_lacks passed'
ptest "$T/none.yaml" "$T/cases.yaml"
check "no such policy" rc_is 2
ptest "$P"
check "no cases" all 'rc_is 2' 'out_has "at least one file of cases"'
cases '{name: o, never: [port=80, method=DELETE, binary=/usr/bin/curl method=HEAD]}'
ptest "$P" "$T/cases.yaml"
check "what must never be: proven, or refuted by a request that is allowed" all 'rc_is 1' 'out_has "^2 passed, 1 failed$"' \
	'out_has "^not ok: .*/cases.yaml:1: o: never binary=/usr/bin/curl method=HEAD, but$"' \
	'out_has "for example: /usr/bin/curl HEAD https://api.github.com"' 'out_has "allowed by $P:9: access: read-only"'
printf 'version: 1\nnetwork_policies: {a: {endpoints: [{host: h.test, port: 443}], binaries: [{path: "/e\\e[31m"}]}}\n' >"$T/p.yaml"
cases '{name: "\u202e", binary: "/x\u202e", host: h.test, port: 443, expect: allow}'
ptest "$T/p.yaml" "$T/cases.yaml"
check "nothing reaches the terminal raw" all 'out_has .' '! grep -qP "\x1b|\xe2\x80\xae" <<<"$OUT"'

section 'policy explain'
explain "$P" --binary /usr/bin/curl --host api.github.com --port 443 --method GET --path /zen
check "allowed: status 0" all 'rc_is 0' 'out_has "^allow the request"' 'out_has "$P:9: access: read-only"'
explain "$P" --binary /usr/bin/curl --host api.github.com --port 80
check "another port: status 1" all 'rc_is 1' 'out_has "nearest: $P:9: block github_api allows api.github.com on port 443, not 80"'
explain "$P" --binary /usr/bin/curl --host api.github.com --port 443 --method GET --path '/a/..%2fb'
check "a target that the proxy refuses" all 'rc_is 1' 'out_has "status 400.*encoded_slash"' 'out_has allow_encoded_slash'
explain "$P" --binary /usr/bin/curl --host api.github.com --port 443
check "the connection alone: what would be allowed on it" all 'rc_is 0' 'out_has "inspected"' 'out_has "rules:  line 9: access: read-only"'
explain examples/default.yaml --binary /sandbox/.venv/bin/pip --host pypi.org --port 443
check "a native connection" all 'rc_is 0' 'out_has "not inspected: every request passes"'
explain - --binary /x --host h.test --port 443 --method POST --path /
check "an empty policy on standard input: status 2" rc_is 2
sed 's/enforcement: enforce/enforcement: audit/' "$P" >"$T/audit.yaml"
explain "$T/audit.yaml" --binary /usr/bin/curl --host api.github.com --port 443 --method POST --path /x
check "audit: status 0, and said" all 'rc_is 0' 'out_has "^audit: POST /x not permitted by policy; logged and let through"'
explain examples/granular.yaml --binary /usr/bin/curl --host api.example.com --port 443 --method GET \
	--path /api/v1/download?slug=skill-a --query version=3 --format json
check "a query value, as JSON" all 'rc_is 1' '[ "$(json_field "$OUT" nearest.kind)" = query ]' \
	'[ "$(json_field "$OUT" nearest.line)" = 25 ]' '[ "$(json_field "$OUT" reason)" = "GET /api/v1/download not permitted by policy" ]'
ln -s "$(real curl)" "$T/link"
explain "$P" --binary "$T/link" --host api.github.com --port 443
check "a symbolic link is judged as the file that it leads to" all 'rc_is 0' 'out_has "$T/link is $(real curl) here"'
for o in "--binary curl" "--host a..b" "--port 0" "--port 65536" "--method GET" "--query x" "--format xml"; do
	# shellcheck disable=SC2086
	explain "$P" --binary /x --host h --port 1 $o
	check "explain $o: wrong usage" rc_is 2
done

section size
{
	printf 'version: 1\nnetwork_policies:\n'
	for b in $(seq 100); do
		printf '  b%s:\n    binaries: [{path: /usr/bin/p%s}]\n    endpoints:\n' "$b" "$b"
		seq 400 | sed "s/.*/      - {host: h&.b$b.example.com, port: 443}/"
	done
} >"$T/big.yaml"
explain "$T/big.yaml" --binary /usr/bin/p7 --host h1x.b50.example.com --port 443
check "40,000 endpoints: the nearest name is found" all 'rc_is 1' 'out_has "allows h1[0-9]?.b50.example.com, spelt almost like"'
finish
