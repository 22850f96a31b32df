#!/usr/bin/env bash
# docs/policy.schema.json says what the parser says, and the documents' YAML is policies: tests/schema.py.  No sandbox.
. "$(dirname "$0")/lib.sh"
scratch_up
cd "$TOP" || die "no $TOP"
gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -I. -o "$T/batch" tests/policy_batch.c "${OSH%/*}/libpolicy.a" \
	-lyaml || die "policy_batch.c"

part() { run /usr/bin/python3 tests/schema.py "$T/batch" "$1"; check "$2" says ', 0 wrong$'; }
part good "good policies validate"
part bad "bad ones are refused, or a reason says why a schema cannot"
part mutants "on policies made from good ones schema and parser agree"
part spoilt "a schema that says less or more is found out"
part documents "YAML in the documents is policies"
part messages "every message of the parser is in the corpus"

# An editor reads the patterns as ECMAScript, with the flag `u`.
run node -e '
const schema = JSON.parse(require("fs").readFileSync("docs/policy.schema.json"));
let n = 0;
(function walk(o) {
	if (!o || typeof o !== "object") return;
	if (typeof o.pattern === "string") { new RegExp(o.pattern, "u"); n++; }
	Object.values(o).forEach(walk);
})(schema);
console.log(n + " patterns");'
check "the schema's patterns are ECMAScript too" says '^1[0-9] patterns$'

finish
