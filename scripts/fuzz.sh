#!/usr/bin/env bash
# fuzz.sh SECONDS TARGET...: runs each target for SECONDS from its committed corpus; the corpus itself stays as it is.
set -eu -o pipefail
seconds=$1; shift
top=$(cd "$(dirname "$0")/.." && pwd)
for t in "$@"; do
	name=$(basename "$t"); name=${name#fuzz_}
	work=$(mktemp -d); mkdir -p "$top/tests/fuzz/corpus/$name"
	printf 'fuzz %s for %s s\n' "$name" "$seconds"
	( cd "$work" && "$top/$t" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		"$work" "$top/tests/fuzz/corpus/$name" 2>&1 | tail -n 12 )
	rm -rf "$work"
done
