#!/usr/bin/env bash
# On a terminal a command behaves as unwrapped: a pty, its size, Ctrl-C, Ctrl-\, Ctrl-Z and fg, hang-up; `connect`.
. "$(dirname "$0")/lib.sh"
e2e_up
chmod 755 "$T/work"
policy p.yaml </dev/null
cd "$T/work" || exit 1
must_start t "$T/p.yaml"
# play SCENARIO COMMAND...
play() { LIMIT=60 run env TERM=xterm python3 "$TOP/tests/e2e/70-tty.py" "$@"; }
RUN=("${OSHC[@]}" run --policy "$T/p.yaml" --)
EXEC=("${OSHC[@]}" exec "${PFX}t" --)
for how in run exec; do
	section "$how"
	if [ $how = run ]; then C=("${RUN[@]}"); else C=("${EXEC[@]}"); fi
	play basic "${C[@]}"
	check "$how: a terminal, all three descriptors" all 'out_has "^tty: /dev/pts"' 'out_has "^three: True"'
	check "$how: its size" out_has '^size: 31 97$'
	check "$how: exit status" out_has '^status: 5$'
	play resize "${C[@]}"
	check "$how: a new window size arrives" out_has '^size: 40 120$'
	play interrupt "${C[@]}"
	check "$how: Ctrl-C ends it: 130" all 'out_has "^ready: True"' 'out_has "^status: 130$"' 'out_has "^reached: False"'
	play trap "${C[@]}"
	check "$how: Ctrl-C can be caught" all 'out_has "^trapped: True"' 'out_has "^status: 9$"'
	play quit "${C[@]}"
	check "$how: Ctrl-\\: 131" out_has '^status: 131$'
	play stop "${C[@]}"
	check "$how: Ctrl-Z gives the outer shell back" all 'out_has "^begin: True"' 'out_has "^stopped: True"' 'out_has "^outer: True"'
	check "$how: fg goes on, status comes back" all 'out_has "^got: True"' 'out_has "^status: 4$"'
	play inner-jobs "${C[@]}"
	check "$how: a shell inside has job control" all 'out_has "^stopped: True"' 'out_has "^running: True"' 'out_has "^status: 6$"'
	play raw "${C[@]}"
	check "$how: raw keys" all 'out_has "^bytes: 03 61 1a$"' 'out_has "^status: 0$"'
	play restored "${C[@]}"
	check "$how: the terminal is restored" out_has '^settings: same$'
	play inject "${C[@]}"
	check "$how: TIOCSTI is refused" out_has '^refused: True$'
	play hangup "${C[@]}"
	check "$how: hang-up ends it" all 'out_has "^ready: True"' 'out_has "^ended: True"'
done
section connect
play shell "${OSHC[@]}" connect "${PFX}t"
check "connect: a shell of the sandbox's user" all 'out_has "^prompt: True"' 'out_has "^user: sandbox"' 'out_has "^status: 3$"'
# A system user's shell is often nologin: no reason to have none here.
sed 's/sandbox/www-data/g' "$T/p.yaml" >"$T/nologin.yaml"
if start n "$T/nologin.yaml" --allow-any-workdir; then
	play shell "${OSHC[@]}" connect "${PFX}n"
	check "connect: a user whose shell is nologin gets one" all 'out_has "^prompt: True"' 'out_has "^user: www-data"'
else
	not_ok "a sandbox as www-data"
fi
sleep 0.5
OUT=$(pgrep -u sandbox -a sleep)
check "no process is left of the scenarios" out_is ''
finish
