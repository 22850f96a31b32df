# shellcheck shell=bash
# The ports of the proxy and of the resolver: nobody in the sandbox takes them, neither while they live nor when supervisor
# and proxy are dead.  A program that is turned there asks all the time; harm is that somebody else heard it.  Without
# enforcement it asks a port of loopback that nobody holds.
F=$T/port GO=$W/port.go PORT_RANGE=$(inc sysctl -n net.ipv4.ip_local_port_range)
mkdir -p "$F"
cp "$A" "$F/allowed"
chmod 755 "$F/allowed"
policy port.yaml <<EOP
network_policies:
  flow:
    endpoints:
      - {host: "*.flow.test", port: 8080, protocol: rest, access: full}
      - {host: "$OPEN6", port: 8080, protocol: rest, access: full}
    binaries: [{path: $F/allowed}]
EOP
web_up plain:8080
HOLDER=''
class_down() {
	: >"$GO" # for who still waits for it
	stop "$WEB" ${HOLDER:+"$HOLDER"}
	rm -rf "$T/web" "$GO" "$W"/port.*
	inc sysctl -qw "net.ipv4.ip_local_port_range=$PORT_RANGE"
	JOBS=$JOBS_WERE ATTEMPT_S=8
}
# Few ports to choose from: the kernel soon chooses the one that was the proxy's.
inc sysctl -qw net.ipv4.ip_local_port_range='40000 40059'
box dead port.yaml --ro "$F"
box live port.yaml --ro "$F"
name "$OPEN" trust.flow.test
# ports BOX: TCP on 127.0.0.1, TCP on ::1, UDP on 127.0.0.1
ports() {
	local sup k out=()
	sup=$(json_field "$(status_json "$1")" pid)
	for k in "-lt 127.0.0.1" "-lt [::1]" "-lu 127.0.0.1"; do
		# shellcheck disable=SC2086
		out+=("$(inc ss -Hnp ${k% *} src "${k#* }" | grep -F "pid=$sup," | grep -oE ':[0-9]+ ' | head -n 1 | tr -d ': ')")
	done
	echo "${out[@]}"
}
P4=40031 P6=40033 PU=40035 L4=40037 LU=40039 # odd: connect() takes even ones for itself
V4=127.0.0.1 VP4=$P4 V6=::1 VP6=$P6 VU=127.0.0.1 VPU=$PU
if [ "$ENFORCED" = 1 ]; then
	read -r P4 P6 PU < <(ports dead)
	read -r L4 _ LU < <(ports live)
	V4="\$(cat $W/port.at)" V6=$OPEN6 VU=8.8.8.8 VP4=8080 VP6=8080 VPU=53
fi
[ -n "$PU" ] && [ -n "$LU" ] || die "port: the listeners are not to be found"

SUP=''
[ "$ENFORCED" = 0 ] || SUP=$(json_field "$(status_json dead)" pid)
asked() { [ "$(grep -lx served "$W"/out/[0-9]* 2>/dev/null | wc -l)" = "${#THIEF[@]}" ]; }
free() {
	! kill -0 "$SUP" 2>/dev/null && [ -z "$(inc ss -Hnlt src "127.0.0.1:$P4"; inc ss -Hnlt src "[::1]:$P6"; inc ss -Hnlu src "127.0.0.1:$PU")" ]
}
# Once all programs have been served, the supervisor dies, and with it the proxy.  Its lock is
# taken over, or the next command would clear the sandbox up.
murder() {
	[ "$ENFORCED" = 1 ] || { : >"$GO"; return; }
	"${OSHC[@]}" exec "${PFX}dead" -- getent ahostsv4 trust.flow.test </dev/null | awk '{print $1; exit}' >"$W/port.at"
	flock -x -F "/run/osh-enforce/${PFX}dead/lock" sleep 600 </dev/null >/dev/null 2>&1 &
	HOLDER=$!
	on_exit "stop $HOLDER"
	{ until_true 15 asked && kill -9 "$SUP" && until_true 10 free && : >"$GO"; } </dev/null >/dev/null 2>&1 &
	MURDER=$!
}
all_over() { local i; for i in "${THIEF[@]}"; do [ -e "$W/out/$i.rc" ] || return 1; done; }
# No client waits for commands of a dead supervisor: the judge does.
over() {
	[ -n "$MURDER" ] || return 0 # done, for all of them
	local died=1 i
	wait "$MURDER" || died=0
	MURDER=''
	until_true 30 all_over
	[ $died = 1 ] || for i in "${THIEF[@]}"; do rm -f "$W/out/$i.rc"; done # not all served, or it did not die: nothing was tried
	[ -z "$HOLDER" ] || stop "$HOLDER"
	HOLDER=''
}
JOBS_WERE=$JOBS
MURDER='' THIEF=() JOBS=40 ATTEMPT_S=30 # all at once: nobody starts anything in a dead sandbox
WINDOW=$((500 * (SLOW > 3 ? 3 : SLOW)))
# thief NAME 'HOW ADDRESS' PORT 'WHO ASKS'
thief() {
	THIEF+=("$N")
	try "after the proxy's death: $1" box=dead control_in=live layer=ebpf before="$([ ${#THIEF[@]} = 1 ] && echo murder || echo true)" \
		attempt="$F/allowed trust $4 & $A usurp $2 $3 $GO $W/port.turn $WINDOW; kill \$!" harm="over; said ^accepted" \
		control="$A inside 127.0.0.1 127.0.0.1 && $F/allowed leave fin $((22000 + N)) \$(getent ahostsv4 trust.flow.test | awk '{print \$1; exit}') 8080 trust.flow.test"
}
ASKS4="tcp $V4 $VP4" ASKS6="tcp $V6 $VP6" ASKSU="udp $VU $VPU"
thief "127.0.0.1" "tcp 127.0.0.1" "$P4" "$ASKS4"
thief "0.0.0.0" "tcp 0.0.0.0" "$P4" "$ASKS4"
thief "::" "tcp ::" "$P4" "$ASKS4"
thief "::ffff:127.0.0.1" "tcp ::ffff:127.0.0.1" "$P4" "$ASKS4"
thief "SO_REUSEPORT" "reuseport 127.0.0.1" "$P4" "$ASKS4"
thief "chosen by the kernel, bind()" "chosen 0.0.0.0" "$P4" "$ASKS4"
thief "chosen by the kernel, bind(), IPv6" "chosen ::" "$P4" "$ASKS4"
thief "chosen by the kernel, listen()" "unbound 0.0.0.0" "$P4" "$ASKS4"
thief "chosen by the kernel, listen(), IPv6" "unbound ::" "$P4" "$ASKS4"
thief "::1" "tcp ::1" "$P6" "$ASKS6"
thief ":: chosen by the kernel, for IPv6" "unbound ::" "$P6" "$ASKS6"
thief "the resolver's, 127.0.0.1" "udp 127.0.0.1" "$PU" "$ASKSU"
thief "the resolver's, 0.0.0.0, SO_REUSEPORT" "udpreuseport 0.0.0.0" "$PU" "$ASKSU"
thief "the resolver's, chosen by the kernel" "udpchosen 0.0.0.0" "$PU" "$ASKSU"
# And a process outside, for whom no port is closed: what was connected to the resolver goes on asking.
[ "$ENFORCED" = 1 ] || PU=40041 # inside, others want that one
outside() {
	"${INC[@]}" "${AS_USER[@]}" "$A" usurp udp 127.0.0.1 "$PU" "$GO" "$W/port.turn" "$WINDOW" </dev/null >"$T/log/usurp.out" 2>&1
	: >"$W/port.over"
}
THIEF+=("$N")
try "after the proxy's death: the resolver's, a process outside" box=dead control_in=live layer=ebpf before="outside & on_exit 'stop \$!'" \
	attempt="$F/allowed trust held $VU $([ "$ENFORCED" = 1 ] && echo 53 || echo "$PU") & while [ ! -e $W/port.over ]; do sleep 0.1; done; kill \$!" \
	harm="over; grep -q ^accepted '$T/log/usurp.out'" tried="grep -qx 'bound $PU' '$T/log/usurp.out'" \
	control="$A inside 127.0.0.1 127.0.0.1 && $F/allowed trust held 8.8.8.8 53 >$W/port.held & sleep 0.1; until grep -q served $W/port.held; do sleep 0.05; done; kill \$!"

# While they live: the port itself is the harm.
for k in "tcp 127.0.0.1" "tcp 0.0.0.0" "tcp ::" "reuseport 127.0.0.1" "udp 127.0.0.1" "udpreuseport 0.0.0.0"; do
	p=$L4
	case $k in udp*) p=$LU ;; esac
	[ "$ENFORCED" = 1 ] || p=$((23600 + N)) # nobody is in the way of the others
	own
	try "while it lives: $k" box=live layer=ebpf attempt="$OWN usurp $k $p" harm="said '^bound $p'" \
		control="$A usurp $k $((23456 + N)) && $A inside 127.0.0.1 127.0.0.1" \
		log="kind=bind action=deny dst_host=[0-9.:]* dst_port=$p binary=$OWN deny_reason=\"port reserved by the host\""
done
