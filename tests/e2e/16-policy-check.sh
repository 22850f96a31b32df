#!/usr/bin/env bash
# `policy check` as people and editors call it: text, JSON, --strict, several files, standard input, symbolic links.
. "$(dirname "$0")/lib.sh"
check_up() {
	T=$(mktemp -d /run/osh-check.XXXXXX)
	on_exit 'rm -rf "$T"'
	chmod 755 "$T"
}
check_up

good() { printf 'version: 1\nnetwork_policies:\n  b: {binaries: [{path: %s}], endpoints: [{host: a.test, port: 443, protocol: rest, access: full}]}\n' "$1"; }
# json JQ-LIKE: an expression over the output as python sees it, in `d`.
json() { python3 -c 'import json,sys; d = json.load(sys.stdin); sys.exit(0 if eval(sys.argv[1]) else 1)' "$1" <<<"$OUT"; }
# Only what goes to standard output.
run_out() { OUT=$(timeout -k 5 60 "$@" 2>/dev/null </dev/null); RC=$?; }

touch "$T/tool-1"
chmod 755 "$T/tool-1"
good "$T/tool-1" >"$T/good.yaml"
good /tmp/tool >"$T/warn.yaml"
printf 'version: 1\nnetwork_policies:\n  b: {binaries: [{path: /a}], endpoints: [{host: a.test, prot: 443}]}\nxyz: 1\n' >"$T/bad.yaml"

section text
run "$OSH" policy check "$T/good.yaml"
check "a good file: exit 0" says 'good.yaml: ok, 1 block, 1 endpoint$'
check "no warning" out_lacks 'warning'
run "$OSH" policy check "$T/warn.yaml"
check "a warning with its place, exit 0" says 'warn.yaml:3:25: warning: binary .*/tmp/tool'
check "and counted" out_has 'warn.yaml: ok, .*, 1 warning$'
run "$OSH" policy check --strict "$T/warn.yaml"
check "--strict: exit 1" all 'rc_is 1' 'out_has "warn.yaml:3:25: warning: "' 'out_lacks ": ok,"'
run "$OSH" policy check --strict "$T/good.yaml"
check "--strict of a good file: exit 0" says ': ok,'
run "$OSH" policy check "$T/bad.yaml"
check "errors: exit 1, all of them" all 'rc_is 1' 'out_has "bad.yaml:3:[0-9]+: .*did you mean .port."' 'out_has "bad.yaml:4:1: "' 'out_lacks ": ok"'
run "$OSH" policy check "$T/good.yaml" "$T/bad.yaml" "$T/warn.yaml"
check "several files, one bad: exit 1 and all looked at" all 'rc_is 1' 'out_has "good.yaml: ok"' 'out_has "bad.yaml:4:1"' 'out_has "warn.yaml: ok"'
OUT=$("$OSH" policy check - <"$T/warn.yaml" 2>&1) RC=$?
check "standard input" says '<stdin>:3:25: warning: '
run "$OSH" policy check "$T/none.yaml"
check "a missing file" all 'rc_is 1' 'out_has "none.yaml: cannot be read: No such file"'
run "$OSH" policy check
check "no file: usage" rc_is 2
run "$OSH" policy check --format xml "$T/good.yaml"
check "unknown format: usage" all 'rc_is 2' 'out_has xml'
run "$OSH" policy check --strct "$T/good.yaml"
check "a misspelt option is named" all 'rc_is 2' 'out_has "did you mean .--strict."'

section json
run_out "$OSH" policy check --format json "$T/good.yaml"
check "a good file" all 'rc_is 0' "json \"d['ok'] is True and d['errors'] == d['warnings'] == 0 and d['diagnostics'] == [] and d['notes'] == []\""
check "what it holds" json "d['blocks'] == 1 and d['endpoints'] == 1 and d['file'].endswith('good.yaml')"
run_out "$OSH" policy check --format json "$T/warn.yaml"
check "a warning" all 'rc_is 0' "json \"d['ok'] is True and d['warnings'] == 1\""
check "its place" json "[(x['severity'], x['line'], x['column']) for x in d['diagnostics']] == [('warning', 3, 25)]"
run_out "$OSH" policy check --strict --format json "$T/warn.yaml"
check "--strict" all 'rc_is 1' "json \"d['ok'] is False and d['errors'] == 0 and d['warnings'] == 1\""
run_out "$OSH" policy check --format json "$T/bad.yaml"
check "errors" all 'rc_is 1' "json \"d['ok'] is False and d['errors'] == len(d['diagnostics']) == 2 and d['blocks'] is None\""
run_out "$OSH" policy check --format json "$T/none.yaml"
check "a missing file is JSON too" all 'rc_is 1' "json \"d['errors'] == 1 and d['diagnostics'][0]['line'] == 0 and 'cannot be read' in d['diagnostics'][0]['message']\""
run_out "$OSH" policy check --format json "$T/good.yaml" "$T/bad.yaml"
check "several files: an array" all 'rc_is 1' "json \"[x['ok'] for x in d] == [True, False]\""
cp "$T/good.yaml" "$T/$(printf 'a\xffb\x1b[1m.yaml')"
run_out "$OSH" policy check --format json "$T"/a*.yaml
check "a file name of any bytes" all 'rc_is 0' "json \"'a' in d['file']\""
{ echo 'version: 1'; echo 'network_policies: {b: {binaries: [{path: /a}], endpoints: [{host: a.test, port: 1, protocol: rest, rules: ['; \
	for i in $(seq 40); do echo "{allow: {method: GET, path: \"/**a$i??????????????????b\"}},"; done; echo ']}]}}'; } >"$T/huge.yaml"
run_out "$OSH" policy check --format json "$T/huge.yaml"
check "limits of compiling are errors" all 'rc_is 1' "json \"d['errors'] == 1 and 'too complicated' in d['diagnostics'][0]['message']\""
printf 'version: 1\nnetwork_policies:\n  b: {binaries: [{path: /a}], endpoints: [{host: a.test, port: 443}]}\n' >"$T/native.yaml"
run_out "$OSH" policy check --strict --format json "$T/native.yaml"
check "native endpoints are a note, no warning" all 'rc_is 0' "json \"len(d['notes']) == 1 and d['warnings'] == 0\""

section "a file's name does nothing to a terminal"
E=$'\e[31m'
printf 'versio: 1\n' >"$T/${E}bad.yaml"
printf 'version: 1\n' >"$T/${E}good.yaml"
harmless() { out_has '\\x1b.31m(bad|good|none).yaml' && out_lacks "$(printf '\e')"; }
for f in bad good none; do
	run "$OSH" policy check "$T/$E$f.yaml"
	check "check, $f" harmless
done
run "$OSH" policy explain "$T/${E}bad.yaml" --binary /a --host b.test --port 1
check "explain" harmless
run "$OSH" policy test "$T/${E}good.yaml" "$T/${E}good.yaml"
check "test" harmless

section "symbolic links"
ln -s tool-1 "$T/tool"
good "$T/tool" >"$T/link.yaml"
run "$OSH" policy check "$T/link.yaml"
check "a link: what it resolves to" says "link.yaml:3:25: warning: binary '$T/tool': .*'$T/tool-1' on this host, which is matched as well"
mkdir "$T/any"
chmod 1777 "$T/any"
ln -s ../tool-1 "$T/any/tool"
good "$T/any/tool" >"$T/any.yaml"
run "$OSH" policy check "$T/any.yaml"
check "a link that anybody could have placed is not followed" says "'$T/tool-1' on this host, which is not matched: "
ln -s nowhere "$T/dangling"
good "$T/dangling" >"$T/dangling.yaml"
run "$OSH" policy check --strict "$T/dangling.yaml"
check "a dangling link is nothing to warn about" rc_is 0
good "$T/missing" >"$T/missing.yaml"
run "$OSH" policy check --strict "$T/missing.yaml"
check "nor is a missing file" rc_is 0

section "without root"
run setpriv --reuid 65534 --regid 65534 --clear-groups "$OSH" policy check "$T/link.yaml"
check "works the same" says 'which is matched as well'
finish
