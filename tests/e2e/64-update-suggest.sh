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
finish
