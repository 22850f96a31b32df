#!/usr/bin/env bash
# Runs cmocka programs one after the other and ends with "N passed, N failed" over all their tests.
set -u
passed=0 failed=0
for t in "$@"; do
	out=$(timeout $((300 * ${OSHT_SLOW:-1})) "$t" 2>&1); rc=$?
	p=$(grep -c '^\[       OK \]' <<<"$out"); f=$(grep -cE '^\[  FAILED  \] [a-zA-Z_0-9]+$' <<<"$out")
	if [ "$rc" -ne 0 ]; then
		[ "$f" -gt 0 ] || f=1
		printf '%s\n' "$out" | tail -n 60
		printf 'FAILED %s (exit %s)\n' "$t" "$rc"
	fi
	passed=$((passed + p)) failed=$((failed + f))
done
printf 'unit: %d programs\n%d passed, %d failed\n' "$#" "$passed" "$failed"
[ "$failed" -eq 0 ]
