#!/usr/bin/env bash
# `policy prove` and `policy diff` as commands: what they print, their exit statuses, their JSON.  Starts no sandbox.
. "$(dirname "$0")/lib.sh"
scratch_up
cd "$TOP" || exit 1
prove() { run "$OSH" policy prove "$@"; }
pdiff() { run "$OSH" policy diff "$@"; }
cat >"$T/old.yaml" <<'YAML'
version: 1
filesystem_policy: {read_only: [/usr, /opt]}
network_policies:
  github_api:
    endpoints:
      - host: api.github.com
        port: 443
        protocol: rest
        rules:
          - allow: {method: GET, path: "/repos/**"}
    binaries: [{path: /usr/bin/curl}]
  db:
    endpoints: [{host: db.example.com, port: 5432, allowed_ips: [10.0.0.0/8]}]
    binaries: [{path: /usr/bin/psql}]
YAML
# The same in another order and other words.
cat >"$T/same.yaml" <<'YAML'
version: 1
network_policies:
  database:
    binaries: [{path: /usr/bin/psql}]
    endpoints: [{host: DB.example.com., ports: [5432], allowed_ips: [10.128.0.0/9, 10.0.0.0/9]}]
  api:
    binaries: [{path: /usr/bin/curl}]
    endpoints:
      - host: api.github.com
        port: 443
        protocol: rest
        rules:
          - allow: {method: GET, path: "/repos/x/**"}
          - allow: {method: GET, path: "/repos/**"}
filesystem_policy: {read_only: [/opt, /usr]}
YAML
sed -e 's|- allow: .*|&\n          - allow: {method: POST, path: "/repos/*/issues"}|' -e 's|/opt|/srv|' -e 's|10.0.0.0/8|10.2.0.0/16|' \
	"$T/old.yaml" >"$T/new.yaml"
sed 's|^        rules:|        deny_rules: [{method: GET, path: "/repos/secret/**"}]\n&|' "$T/old.yaml" >"$T/less.yaml"

section prove
prove "$T/old.yaml" --never 'binary=/usr/bin/curl host=**.evil.test'
check "proven" all 'rc_is 0' 'out_has "^proven never: binary=/usr/bin/curl host=..\.evil\.test$"' \
	'out_has "for /usr/bin/curl as the executable, with any script and any ancestors"'
prove "$T/old.yaml" --never 'host=api.github.com method=DELETE' --never 'host=api.github.com method=GET'
check "two questions, one of them allowed: a request and the line" all 'rc_is 1' \
	'out_has "^proven never: host=api.github.com method=DELETE"' 'out_has "^allowed: host=api.github.com method=GET"' \
	'out_has "for example: /usr/bin/curl GET https://api.github.com:443/repos/$"' \
	"out_has 'allowed by .*/old.yaml:10: GET /repos/\*\* \(block github_api\)'"
prove "$T/old.yaml" --never 'host=db.example.com method=DELETE'
check "what is not inspected allows every request, which is said" all 'rc_is 1' 'out_has "not inspected"'
prove "$T/old.yaml" --never 'method=POST host=api.github.com' --format json
check "as JSON, proven" all 'rc_is 0' '[ "$(json_field "$OUT" proven)" = True ]' '[ "$(json_field "$OUT" answers.0.result)" = proven ]'
prove "$T/old.yaml" --never 'port=5432' --format json
check "as JSON, allowed" all 'rc_is 1' '[ "$(json_field "$OUT" answers.0.witness.host)" = db.example.com ]' \
	'[ "$(json_field "$OUT" answers.0.by.block)" = db ]'
{
	printf 'version: 1\nnetwork_policies:\n'
	for i in {1..20}; do
		printf '  b%d: {endpoints: [{host: h.io, port: 1, protocol: rest, rules: [{allow: {method: GET, path: /%d}}]}], binaries: [{path: /b%d}]}\n' "$i" "$i" "$i"
	done
} >"$T/many.yaml"
prove "$T/many.yaml" --never method=PUT
check "too complex: no answer, and never called proven" all 'rc_is 1' 'out_has "too complex"' 'out_lacks proven'
prove "$T/many.yaml" --never 'method=PUT ancestor=none'
check "a narrower question has one" rc_is 0
prove "$T/old.yaml" --never 'hots=x'
check "a bad expression" all 'rc_is 2' "out_has \"did you mean 'host'\""
prove "$T/old.yaml"
check "no question" rc_is 2

section diff
pdiff "$T/old.yaml" "$T/same.yaml"
check "the same in other words" all 'rc_is 0' 'out_is "no difference"'
pdiff "$T/old.yaml" "$T/new.yaml"
check "what is allowed now: the line, the block, a request" all 'rc_is 1' \
	"out_has '^\+ allowed now: POST /repos/\*/issues on api.github.com:443 for /usr/bin/curl \(.*/new.yaml:11, block github_api\); was: not permitted$'" \
	'out_has "for example: /usr/bin/curl POST https://api.github.com:443/repos/a/issues$"'
check "what a name may resolve to" out_has '^~ changed: connections to db.example.com:5432 .*may no longer resolve to 10\.0\.0\.0'
check "static sections: field and path" all 'out_has "^~ static: filesystem_policy.read_only: no longer /opt$"' \
	'out_has "^~ static: filesystem_policy.read_only: now also /srv$"'
pdiff "$T/new.yaml" "$T/old.yaml"
check "the other way round it is denied" all 'rc_is 1' 'out_has "^- denied now: POST /repos"' 'out_lacks "allowed now: POST"'
pdiff "$T/old.yaml" "$T/less.yaml"
check "a deny rule: the line that denies" all 'rc_is 1' 'out_has "; now: denied by rule GET /repos/secret/.* \(.*/less.yaml:9, block github_api\)$"' \
	'out_has "GET https://api.github.com:443/repos/secret/$"'
pdiff "$T/old.yaml" "$T/new.yaml" --format json
check "as JSON" all 'rc_is 1' '[ "$(json_field "$OUT" same)" = False ]' '[ "$(json_field "$OUT" allowed.0.witness.method)" = POST ]' \
	'[ "$(json_field "$OUT" allowed.0.after.line)" = 11 ]' '[ "$(json_field "$OUT" static.0.before)" = /opt ]'
pdiff "$T/old.yaml" "$T/same.yaml" --format json
check "as JSON, the same" all 'rc_is 0' '[ "$(json_field "$OUT" same)" = True ]'
pdiff "$T/old.yaml" "$T/none.yaml"
check "no such file" rc_is 2
pdiff "$T/old.yaml"
check "one file" rc_is 2
for f in examples/*.yaml; do
	pdiff "$f" "$f"
	check "$f does not differ from itself" rc_is 0
done
finish
