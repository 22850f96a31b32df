# shellcheck shell=bash
# Nobody outside reaches a listener of the sandbox: TCP and UDP, wildcard, one address, without bind().  knock.py tries
# from the server's side, with ECN and header options too.  Controls: within the sandbox loopback works.
ins sysctl -qw net.ipv4.tcp_ecn=1
inc sysctl -qw net.ipv4.tcp_ecn=1
"${INS[@]}" python3 "$DIR/knock.py" "$W/out" "4:$C_IP" "6:$C_IP6" >"$T/log/knock.log" 2>&1 </dev/null &
KNOCK=$!
on_exit "stop $KNOCK"
until_true 10 grep -q ready "$T/log/knock.log" || die "knock.py: $(cat "$T/log/knock.log")"
# knocked 4|6...: what came to the attempt's listener, or would have.
knocked() { local f; said '^(listening|receiving) ' || return 1; for f in "$@"; do grep -q "^knocked $I $f:" "$T/log/knock.log" || return 1; done; }
IN4="$A inside 0.0.0.0 127.0.0.1" IN6="$A inside :: ::1" DUAL="$A inside :: 127.0.0.1"
# inbound NAME FAMILIES ATTEMPT CONTROL FIELD=...
inbound() {
	local name=$1 families=$2 how=$3 control=$4; shift 4
	try "$name" layer=ebpf attempt="$A $how" harm="said 'accepted|received'" tried="knocked $families" control="$control" "$@"
}
inbound "listener on 0.0.0.0" 4 "accept 0.0.0.0" "$IN4"
inbound "listener on the host's address" 4 "accept $C_IP" "$IN4"
inbound "listener on ::" "4 6" "accept ::" "$DUAL"
inbound "listener on ::, IPv6 only" 6 "accept :: v6only" "$IN6"
inbound "listener on the host's IPv6 address" 6 "accept $C_IP6" "$IN6"
inbound "listener on ::ffff:0.0.0.0" 4 "accept ::ffff:0.0.0.0" "$A inside ::ffff:127.0.0.1 127.0.0.1"
inbound "listen() without bind()" 4 "accept any" "$IN4"
inbound "listen() without bind(), IPv6" 6 "accept any6" "$IN6"
inbound "listen() after a connection" 4 "acceptagain $OPEN 4000" "$IN4"
inbound "TCP_FASTOPEN listener" 4 "accept 0.0.0.0 fastopen" "$IN4"
inbound "TCP_DEFER_ACCEPT listener" 4 "accept 0.0.0.0 deferred" "$IN4"
own
inbound "listener bound to a device" 4 "accept 0.0.0.0 device" "$IN4" attempt="$OWN accept 0.0.0.0 device" tried= \
	log="kind=sockopt action=deny binary=$OWN deny_reason=\"socket option not allowed \(bound to a device\)\""
own
inbound "MPTCP listener" 4 "" "$IN4" attempt="$OWN accept 0.0.0.0 mptcp" tried= layer=seccomp host='no_socket 2 1 262 MPTCP' log="$SOCKET_LOG"
inbound "datagrams, 0.0.0.0" 4 "receive 0.0.0.0" "$IN4"
inbound "datagrams, the host's address" 4 "receive $C_IP" "$IN4"
inbound "datagrams, ::" "4 6" "receive ::" "$IN6"
inbound "datagrams, the host's IPv6 address" 6 "receive $C_IP6" "$IN6"
class_down() { stop "$KNOCK"; }
