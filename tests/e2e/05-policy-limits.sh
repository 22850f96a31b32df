#!/usr/bin/env bash
# The worst texts of each kind, at the size that a policy may have: each is compiled, or refused with a message that
# names a line, and neither takes more than 512 MiB of address space.
. "$(dirname "$0")/lib.sh"
LIMIT=300 run make -s -C "$TOP" build/bench-policy
check "the generator builds" rc_is 0
LIMIT=300 run "$TOP/build/bench-policy" nasty
ALL=$OUT
check "none of them takes the compiler down" rc_is 0
while read -r line; do
	OUT=$line
	check "${line%% *}: an answer that is of use" out_has '(compiles to|line [1-9][0-9]*: .*).*MiB\]$'
done <<<"$ALL"
finish
