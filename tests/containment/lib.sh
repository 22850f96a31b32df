# shellcheck shell=bash
# containment/lib.sh - checks of the containment suite: how a class says them, how they are run, judged and counted.
#
# A class file makes its objects (at its top level, in both modes), sandboxes where it needs its own, and then checks:
#
#     box b policy-b.yaml --rw "$T/rw"          # a sandbox `b`; without enforcement nothing
#     fresh                                     # D and D6: addresses that no other check uses
#     try "TCP, IPv4 literal" layer=ebpf \
#         attempt="$A probe tcp $D 4000" \                # shell text, run inside
#         harm="arrived tcp $D 4000" \                    # shell text, run outside after all attempts of the class
#         control="$A probe tcp $OPEN 4000" \             # shell text, run inside, must succeed
#         log="action=deny dst_host=$D dst_port=4000 binary=$A "
#
# Fields of a check:
#   layer=WORDS     what should stop it: seccomp, ebpf, lsm, mounts, landlock, proxy, resolver, identity, ...
#   attempt=TEXT    the forbidden thing.  Attempts of a class run at the same time, each with an object of its own
#                   (address, file, process), so that whose doing the harm was is never in doubt.
#   alone=1         not at the same time as others: after them, one by one, judged at once
#   before=TEXT     outside, before the attempts
#   harm=TEXT       true when the forbidden thing happened.  Never the errno, never what the attempt says of itself,
#                   unless having the thing is the harm (`said REGEX`: a socket made, a secret read)
#   control=TEXT    the same action, allowed; control_in=NAME: in this sandbox, where the check's own will not live to see it
#   tried=TEXT      true when the attempt got as far as it must for its outcome to mean something (a packet was sent at
#                   it, a changed answer was handed out); run outside, with harm
#   log=REGEX       exactly one line of the sandbox's log matches; none=REGEX: none matches this
#   box=NAME        in this sandbox instead of `a`
#   expect=allow    harm is what the policy allows: the outcome must be `allowed as policy says`
#   limit=TEXT      shell text that is true where this machine lacks a layer; harm is then `LIMIT (documented)`
#   host=TEXT       without enforcement: shell text that prints the setting of the host that stops the attempt there,
#                   having made sure of it (no_cap, no_socket, or a class's own), false when none does
#
# Outcomes: blocked, allowed as policy says, LIMIT (documented), ESCAPED, or what is wrong with the check (its control
# fails, its log line is missing).  Counted as passed: the first two.
#
# Inside, attempts find $A (attack.c), the workdir $W (writable), and names of dnsmasq (`name IP NAME`).
# shellcheck source=../e2e/lib.sh
. "$DIR/../e2e/lib.sh"
: "${ENFORCED:=1}" "${ALL:=0}"
SLOW=${OSHT_SLOW:-1}
PATIENCE=$((SLOW > 4 ? 4 : SLOW)) # times as long as on a real machine that an attempt may take, and waits for answers
JOBS=${OSHT_JOBS:-$((SLOW > 1 ? 4 : 8))} # attempts at a time
ATTEMPT_S=8                     # seconds that one may take

OPEN=93.184.216.77 OPEN6=2606:4700::2222        # allowed on port 4000 to $A in sandbox `a`
TABLE=()                # class|check|outcome|layer
declare -A COUNT=()     # of outcomes
declare -A LAYERS=()    # "LAYER KIND": how many; KIND: all, good, limit, bad, escaped
CLASS='' BOXES=()
N=0                     # checks of the class; C_FIELD[i]
declare -a C_NAME C_LAYER C_ATTEMPT C_ALONE C_BEFORE C_HARM C_CONTROL C_LOG C_NONE C_BOX C_EXPECT C_LIMIT C_HOST C_CONTROL_IN C_TRIED

# --- what a class says -------------------------------------------------------------------------------------------
try() {
	local f k
	C_NAME[N]=$1; shift
	for f in LAYER ATTEMPT ALONE BEFORE HARM CONTROL LOG NONE EXPECT LIMIT HOST CONTROL_IN TRIED; do printf -v "C_${f}[$N]" ''; done
	C_BOX[N]=a
	for f in "$@"; do
		case ${f%%=*} in
		layer | attempt | alone | before | harm | control | control_in | log | none | box | expect | limit | host | tried)
			k=${f%%=*}
			printf -v "C_${k^^}[$N]" '%s' "${f#*=}"
			;;
		*) die "$CLASS: ${C_NAME[N]}: no field ${f%%=*}" ;;
		esac
	done
	[ -n "${C_ATTEMPT[N]}" ] && [ -n "${C_HARM[N]}" ] && [ -n "${C_CONTROL[N]}" ] && [ -n "${C_LAYER[N]}" ] ||
		die "$CLASS: ${C_NAME[N]}: layer, attempt, harm and control are needed"
	N=$((N + 1))
}
# fresh: the next addresses that nobody else uses, in D and D6.
FRESH=0
fresh() { FRESH=$((FRESH + 1)); D=93.184.$((100 + FRESH / 250)).$((FRESH % 250 + 1)) D6=2606:4700:9::$(printf %x $FRESH); }
# own: a link of $A with a name of its own, in OWN: for log lines that have no destination.
own() {
	OWNS=$((${OWNS:-0} + 1)) OWN=$W/attack-$OWNS
	ln "$A" "$OWN"
	SOCKET_LOG="kind=socket action=deny .*binary=$OWN deny_reason=\"protocol not allowed" # of a socket that cannot be made
}
# name IP NAME...: dnsmasq has them from the next start of attempts on.
name() { local ip=$1 n; shift; for n in "$@"; do echo "$ip $n" >>"$T/dns.hosts"; done; NAMES_NEW=1; }
# box NAME POLICY [OPTION...]: a sandbox of the class's own, gone after the class.  POLICY: a file in $T (`policy FILE`).
box() {
	local n=$1 p=$2; shift 2
	BOXES+=("$n")
	[ "$ENFORCED" = 1 ] || return 0
	OUT=$(cd "$W" && timeout --foreground -k 5 $((60 * SLOW)) "${OSHC[@]}" run --name "$PFX$n" --keep --policy "$T/$p" --upstream-ca "$CA" \
		"$@" -- true 2>&1 </dev/null)
	RC=$?
	[ "$RC" = 0 ] || { not_ok "$CLASS: sandbox $n starts"; finish; }
}

# web_up WHAT...: web.py with these listeners as $WEB, its records in $T/web; `stop "$WEB"; rm -rf "$T/web"` at the class's end.
web_up() {
	mkdir -p "$T/web"
	: >"$T/log/web.log"
	"${INS[@]}" python3 "$DIR/web.py" "$@" "$T/web" >"$T/log/web.log" 2>&1 </dev/null &
	WEB=$!
	on_exit "stop $WEB"
	until_true 10 grep -q ready "$T/log/web.log" || die "web.py: $(cat "$T/log/web.log")"
}

# --- what a judge may ask ----------------------------------------------------------------------------------------
# arrived PROTO ADDRESS [PORT]: such a packet reached the server since the class began (of TCP: a connection attempt).
arrived() { grep -qE -- "^$1 [^ ]+ [0-9]+ ${2//./\\.} ${3:-[0-9]+}\$" "$T/log/sniff.log"; }
# arrived_like REGEX: of the sniffer's lines (tests/servers/sniff.py).
arrived_like() { grep -qE -- "$1" "$T/log/sniff.log"; }
# leaked NAME: a packet with exfil-NAME- in it reached the server, whatever it was.
leaked() { grep -qx -- "$1" "$T/log/capture.log"; }
# said REGEX: the attempt's own words.
said() { grep -qE -- "$1" "$T/work/out/$I" 2>/dev/null; }

# --- settings of a host that stop an attempt without osh-enforce ---------------------------------------------------
# no_cap CAP_NAME: the user has not got it; with it (as root) the attempt does its harm.
no_cap() {
	("${INC[@]}" timeout 10 bash -c "$ENV_TEXT${C_ATTEMPT[I]}") >"$T/work/out/$I" 2>&1 </dev/null
	sleep "$SETTLE"
	eval "${C_HARM[I]}" || return 1
	echo "the user has no $1"
}
# no_socket FAMILY TYPE PROTOCOL NAME: the kernel has no such socket, for root either.
no_socket() {
	local why
	why=$(inc "$A" probe socket "$1" "$2" "$3" 2>&1) && return 1
	echo "kernel without $4 (${why#socket: })"
}

# --- running -----------------------------------------------------------------------------------------------------
containment_up() {
	SETTLE=$(awk -v s="$PATIENCE" 'BEGIN {print 0.15 * s}')
	e2e_up
	printf 'nameserver %s\n' "$S_IP" >"$T/resolv.conf"
	mount --bind "$T/resolv.conf" "$(readlink -f /etc/resolv.conf)" || die "cannot bind /etc/resolv.conf"
	W=$T/work A=$T/work/attack
	gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -c -Dmain=probe_main -o "$T/probe.o" "$TOP/tests/e2e/probe.c" &&
		gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -static -pthread -o "$A" "$DIR"/*.c "$T/probe.o" ||
		die "the attempts do not build"
	mkdir "$W/out"
	chmod 755 "$A"
	chown sandbox: "$W/out"
	sinks_up
	sniff_up
	: >"$T/log/capture.log"
	"${INS[@]}" python3 "$DIR/capture.py" >"$T/log/capture.log" 2>&1 </dev/null &
	on_exit "stop $!"
	until_true 10 grep -q ready "$T/log/capture.log" || die "no capture"
	name "$OPEN" direct.example.test
	"${INS[@]}" python3 "$DIR/rebind.py" >"$T/log/rebind.log" 2>&1 </dev/null & # names below rb.test and rb7.test
	on_exit "stop $!"
	DNS_TTL=1 dns_up --server=/rb.test/127.0.0.1#5300 --server=/rb7.test/127.0.0.1#5300
	NAMES_NEW=0
	# Clients trust the test's CA in both modes.
	ENV_TEXT="export PATIENCE=$PATIENCE; "
	if [ "$ENFORCED" = 0 ]; then
		chmod 644 "$CA"
		ENV_TEXT+="export CURL_CA_BUNDLE='$CA' SSL_CERT_FILE='$CA' REQUESTS_CA_BUNDLE='$CA' NODE_EXTRA_CA_CERTS='$CA'; cd '$W'; "
	fi
	policy a.yaml <<-EOP
	network_policies:
	  direct:
	    endpoints:
	      - {host: direct.example.test, port: 4000}
	      - {host: "$OPEN", port: 4000}
	      - {host: "$OPEN6", port: 4000}
	    binaries: [{path: $A}]
	EOP
	CLASS=start
	box a a.yaml
	BOXES=()
}
# inside BOX FILE: the script in FILE, inside the sandbox; without enforcement, as its user.
inside() {
	if [ "$ENFORCED" = 1 ]; then
		timeout --foreground -k 5 $((120 * SLOW)) "${OSHC[@]}" exec "$PFX$1" -- bash "$2" </dev/null >"$T/log/inside.out" 2>&1
	else
		timeout --foreground -k 5 $((120 * SLOW)) "${INC[@]}" "${AS_USER[@]}" env HOME="$W" bash "$2" </dev/null >"$T/log/inside.out" 2>&1
	fi
}
# script FILE JOBS 'ID TEXT'...: a script that runs the texts, JOBS at a time, and leaves out/ID and out/ID.rc.
script() {
	local file=$1 jobs=$2 id text; shift 2
	{
		printf 'cd %q\nj=0\n%s\n' "$W" "$ENV_TEXT"
		while [ $# -gt 0 ]; do
			id=$1 text=$2; shift 2
			printf 'one() { timeout -k 1 %d bash -c %q >out/%s 2>&1 </dev/null; echo $? >out/%s.rc; }\n' \
				$((ATTEMPT_S * PATIENCE)) "$text" "$id" "$id"
			printf 'one & j=$((j + 1)); if [ $j -ge %d ]; then wait -n; j=$((j - 1)); fi\n' "$jobs"
		done
		printf 'wait\n'
	} >"$file"
	chmod 644 "$file"
}
# attempts ID...: of one class, by box.
attempts() {
	local b i args
	for b in a "${BOXES[@]}"; do
		args=()
		for i in "$@"; do [ "${C_BOX[i]}" != "$b" ] || args+=("$i" "${C_ATTEMPT[i]}"); done
		[ ${#args[@]} -gt 0 ] || continue
		script "$W/attempts.sh" "$JOBS" "${args[@]}"
		inside "$b" "$W/attempts.sh"
	done
}
# controls: those of all checks of the class, equal ones once; out/c.I.rc
controls() {
	local b i args
	local key
	declare -A seen=()
	for b in a "${BOXES[@]}"; do
		args=()
		for ((i = 0; i < N; i++)); do
			[ "${C_CONTROL_IN[i]:-${C_BOX[i]}}" = "$b" ] || continue
			key="$b ${C_CONTROL[i]}"
			if [ -n "${seen[$key]:-}" ]; then
				C_SAME[i]=${seen[$key]}
			else
				seen[$key]=$i C_SAME[i]=$i
				args+=("c.$i" "${C_CONTROL[i]}")
			fi
		done
		[ ${#args[@]} -gt 0 ] || continue
		script "$W/controls.sh" "$JOBS" "${args[@]}"
		inside "$b" "$W/controls.sh"
	done
}
# log_lines BOX: what the log of the sandbox has got since the class began (the supervisor writes it within a moment).
log_lines() { "${OSHC[@]}" logs "$PFX$1" 2>/dev/null </dev/null >"$T/log/box.$1"; }
log_right() {
	local log=$T/log/box.${C_BOX[I]}
	[ -z "${C_LOG[I]}" ] || [ "$(grep -cE -- "${C_LOG[I]}" "$log")" = 1 ] || return 1
	[ -z "${C_NONE[I]}" ] || ! grep -qE -- "${C_NONE[I]}" "$log"
}

# What is late may come within a few seconds, for the whole class together.
log_comes() {
	until log_right; do
		[ $SECONDS -lt $((LATE + 3 * SLOW)) ] || return 1
		sleep 0.1
		log_lines "${C_BOX[I]}"
	done
}

# outcome CHECK OUTCOME good|limit|bad [WHAT TO SHOW]
outcome() {
	local i=$1 what=$2 kind=$3 line="$CLASS: ${C_NAME[$1]}"
	TABLE+=("$CLASS|${C_NAME[i]}|$what|${C_LAYER[i]}")
	COUNT[${what%%:*}]=$((${COUNT[${what%%:*}]:-0} + 1))
	local layer=${C_LAYER[i]// /+} k
	for k in all "$kind" "${what,,}"; do
		case $k in all | good | limit | bad | escaped) LAYERS["$layer $k"]=$((${LAYERS["$layer $k"]:-0} + 1)) ;; esac
	done
	case $kind in
	good) GOOD=$((GOOD + 1)); [ "$ALL" = 0 ] || printf 'ok - %s: %s\n' "$line" "$what" ;;
	limit) printf 'LIMIT (documented) - %s\n' "$line" ;;
	*)
		BAD=$((BAD + 1))
		printf 'not ok - %s: %s\n' "$line" "$what"
		{
			printf 'attempt: %s\n' "${C_ATTEMPT[i]}"
			sed 's/^/  /' "$W/out/$i" 2>/dev/null | tail -n 6
			printf 'harm: %s\n' "${C_HARM[i]}"
			[ -z "${4:-}" ] || printf '%s\n' "$4"
		} | cut -c 1-400 | sed 's/^/#   /'
		;;
	esac
}
harmed() {
	HARMED[I]=0 TRIED[I]=1
	eval "${C_HARM[I]}" && HARMED[I]=1
	[ -e "$W/out/$I.rc" ] && eval "${C_TRIED[I]:-true}" || TRIED[I]=0
}
log_wrong() {
	echo "want one line like: ${C_LOG[I]:-(anything)}${C_NONE[I]:+; none like: ${C_NONE[I]}}
what it denied last:"
	grep -E "(action|decision)=(deny|error)" "$T/log/box.${C_BOX[I]}" | grep -v 'no matching network policy' | tail -n 4
}
judge_enforced() {
	local harm=${HARMED[I]} c=${C_SAME[I]:-$I}
	if [ "$(cat "$W/out/c.$c.rc" 2>/dev/null)" != 0 ]; then
		outcome "$I" "control fails" bad "control: ${C_CONTROL[I]}
$(tail -n 5 "$W/out/c.$c" 2>/dev/null)"
	elif [ "${C_EXPECT[I]}" = allow ]; then
		if [ $harm = 0 ]; then
			outcome "$I" "not allowed, though policy says so" bad
		elif ! log_comes; then
			outcome "$I" "allowed, log line wrong" bad "$(log_wrong)"
		else
			outcome "$I" "allowed as policy says" good
		fi
	elif [ $harm = 1 ]; then
		if [ -n "${C_LIMIT[I]}" ] && eval "${C_LIMIT[I]}"; then outcome "$I" "LIMIT (documented)" limit; else outcome "$I" ESCAPED bad; fi
	elif [ "${TRIED[I]}" = 0 ]; then
		outcome "$I" "not tried" bad "${C_TRIED[I]:+true only where it was: ${C_TRIED[I]}
}$(tail -n 5 "$T/log/inside.out")"
	elif ! log_comes; then
		outcome "$I" "blocked, log line wrong" bad "$(log_wrong)"
	else
		outcome "$I" blocked good
	fi
}
judge_unenforced() {
	local why
	if [ "${HARMED[I]}" = 1 ]; then
		outcome "$I" "does harm" good
	elif [ -n "${C_HOST[I]}" ] && why=$(eval "${C_HOST[I]}"); then
		outcome "$I" "stopped by the host: $why" good
	else
		outcome "$I" "NO HARM: the check proves nothing" bad
	fi
}
judge() { if [ "$ENFORCED" = 1 ]; then judge_enforced; else judge_unenforced; fi; }

class_run() {
	local i together=() b
	CLASS=${1#[0-9][0-9]-} N=0 BOXES=()
	C_SAME=() HARMED=() TRIED=()
	rm -rf "$W/out" && mkdir "$W/out" && chown sandbox: "$W/out"
	# shellcheck disable=SC1090
	bash -n "$DIR/$1.sh" && . "$DIR/$1.sh" # its own last status says nothing
	[ $N -gt 0 ] || die "$CLASS: no check"
	[ "$NAMES_NEW" = 0 ] || { dns_reload; NAMES_NEW=0; }
	for ((i = 0; i < N; i++)); do
		[ -z "${C_BEFORE[i]}" ] || [ -n "${C_ALONE[i]}" ] || eval "${C_BEFORE[i]}"
		[ -n "${C_ALONE[i]}" ] || together+=("$i")
	done
	attempts "${together[@]}"
	sleep "$SETTLE"
	for I in "${together[@]}"; do harmed; done # before controls do the same where it is allowed
	for ((i = 0; i < N; i++)); do
		[ -n "${C_ALONE[i]}" ] || continue
		I=$i
		[ -z "${C_BEFORE[i]}" ] || eval "${C_BEFORE[i]}"
		attempts "$i"
		sleep "$SETTLE"
		harmed
	done
	[ "$ENFORCED" = 0 ] || { controls; for b in a "${BOXES[@]}"; do log_lines "$b"; done; }
	LATE=$SECONDS
	for ((I = 0; I < N; I++)); do judge; done
	[ "$ENFORCED" = 0 ] || for b in "${BOXES[@]}"; do "${OSHC[@]}" delete "$PFX$b" >/dev/null 2>&1 </dev/null; done
	if declare -F class_down >/dev/null; then class_down; unset -f class_down; fi
}

table() {
	local row k n
	printf '\n'
	for row in "class|check|outcome|layer" "${TABLE[@]}"; do
		IFS='|' read -r a b c d <<<"$row"
		printf '%-14s %-52s %-24s %s\n' "$a" "$b" "$c" "$d"
	done
	printf '\n%-22s %6s %6s %7s %6s\n' 'stopped by' passed failed ESCAPED limit
	for k in "${!LAYERS[@]}"; do
		[[ $k == *" all" ]] || continue
		n=${k% all}
		printf 'layer %-16s %6d %6d %7d %6d\n' "$n" "${LAYERS["$n good"]:-0}" "${LAYERS["$n bad"]:-0}" "${LAYERS["$n escaped"]:-0}" \
			"${LAYERS["$n limit"]:-0}"
	done | sort
	printf '\nchecks: %d' ${#TABLE[@]}
	for k in "${!COUNT[@]}"; do printf ', %d %s' "${COUNT[$k]}" "$k"; done
	printf '\n'
}
