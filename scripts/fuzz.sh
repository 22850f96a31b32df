#!/usr/bin/env bash
# fuzz.sh SECONDS TARGET...: runs each target for SECONDS from its committed corpus; the corpus itself stays as it is.
# tests/fuzz/NAME.dict, where there is one, is the target's dictionary.  One input may take a minute: it is the clock on the
# wall that counts, on a machine that may be busy, and the sanitizers multiply it.
set -eu -o pipefail
seconds=$1; shift
top=$(cd "$(dirname "$0")/.." && pwd)
work=''
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for t in "$@"; do
	name=$(basename "$t"); name=${name#fuzz_}
	set_dict=
	work=$(mktemp -d); mkdir -p "$top/tests/fuzz/corpus/$name"
	printf 'fuzz %s for %s s\n' "$name" "$seconds"
	dict=$top/tests/fuzz/$name.dict
	[ ! -f "$dict" ] || set_dict=-dict=$dict
	( cd "$work" && "$top/$t" ${set_dict:+"$set_dict"} -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
		"$work" "$top/tests/fuzz/corpus/$name" 2>&1 | tail -n 12 )
	rm -rf "$work"
done
