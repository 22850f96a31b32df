#!/usr/bin/env bash
# run.sh: what a sandboxed program must not be able to do, tried.
#
#     sudo tests/containment/run.sh [--unenforced] [--list] [--all] [CLASS...]
#
# Each check tries one forbidden thing from inside a real sandbox and is judged outside: at the server, or at an object
# of the test's own.  Ends with a table (class, check, outcome, layer) and `N passed, N failed`.  CLASS: only these
# (names as --list shows them, or beginnings of such).  --all: the lines of what passed as well, as they come.
#
# --unenforced: the same attempts as the same user in the same network namespace, without osh-enforce.  Now each must
# do the harm that it stands for, or name the setting of the host that stops it: a check that could not fail is found.
#
# A class is a file NN-name.sh, sourced; how it says what it tries is in lib.sh.
DIR=$(cd "$(dirname "$0")" && pwd)
if [ -z "${OSHT_MOUNTS:-}" ] && [ "$(id -u)" = 0 ]; then # /etc/resolv.conf will name the test's own server
	exec unshare --mount --propagation private env OSHT_MOUNTS=1 bash "$0" "$@"
fi
LIST=0 ONLY=()
export ENFORCED=1 ALL=0 # for lib.sh
for a in "$@"; do
	case $a in
	--unenforced) ENFORCED=0 ;;
	--list) LIST=1 ;;
	--all) ALL=1 ;;
	-*) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
	*) ONLY+=("$a") ;;
	esac
done
CLASSES=()
for f in "$DIR"/[0-9][0-9]-*.sh; do
	n=${f##*/} n=${n%.sh}
	if [ ${#ONLY[@]} -gt 0 ]; then
		for o in "${ONLY[@]}"; do case $n in "$o"* | [0-9][0-9]-"$o"*) CLASSES+=("$n"); break ;; esac; done
	else
		CLASSES+=("$n")
	fi
done
for o in "${ONLY[@]}"; do
	case " ${CLASSES[*]}" in *" $o"* | *" "[0-9][0-9]"-$o"*) ;; *) echo "run.sh: no such class: $o" >&2; exit 2 ;; esac
done
if [ $LIST = 1 ]; then printf '%s\n' "${CLASSES[@]}"; exit 0; fi

# shellcheck source=lib.sh
. "$DIR/lib.sh"
containment_up
for c in "${CLASSES[@]}"; do class_run "$c"; done
table
finish
