# shellcheck shell=bash
# Nobody outside reaches a listener of the sandbox: TCP and UDP, wildcard, one address, without bind().  knock.py tries
# from the server's side, with ECN and header options too.  Controls: within the sandbox loopback works.
ins sysctl -qw net.ipv4.tcp_ecn=1
inc sysctl -qw net.ipv4.tcp_ecn=1
"${INS[@]}" python3 "$DIR/knock.py" "$W/out" "4:$C_IP" "6:$C_IP6" >"$T/log/knock.log" 2>&1 </dev/null &
KNOCK=$!
on_exit "stop $KNOCK"
IN4="$A inside 0.0.0.0 127.0.0.1" IN6="$A inside :: ::1" DUAL="$A inside :: 127.0.0.1"
inbound() { local name=$1 how=$2 control=$3; shift 3; try "$name" layer=ebpf attempt="$A $how" harm="said 'accepted|received'" control="$control" "$@"; }
inbound "listener on 0.0.0.0" "accept 0.0.0.0" "$IN4"
inbound "listener on the host's address" "accept $C_IP" "$IN4"
inbound "listener on ::" "accept ::" "$DUAL"
inbound "listener on ::, IPv6 only" "accept :: v6only" "$IN6"
inbound "listener on the host's IPv6 address" "accept $C_IP6" "$IN6"
inbound "listener on ::ffff:0.0.0.0" "accept ::ffff:0.0.0.0" "$A inside ::ffff:127.0.0.1 127.0.0.1"
inbound "listen() without bind()" "accept any" "$IN4"
inbound "listen() without bind(), IPv6" "accept any6" "$IN6"
inbound "listen() after a connection" "acceptagain $OPEN 4000" "$IN4"
inbound "TCP_FASTOPEN listener" "accept 0.0.0.0 fastopen" "$IN4"
inbound "TCP_DEFER_ACCEPT listener" "accept 0.0.0.0 deferred" "$IN4"
own
inbound "listener bound to a device" "accept 0.0.0.0 device" "$IN4" attempt="$OWN accept 0.0.0.0 device" \
	log="kind=sockopt action=deny binary=$OWN deny_reason=\"socket option not allowed \(bound to a device\)\""
own
inbound "MPTCP listener" "" "$IN4" attempt="$OWN accept 0.0.0.0 mptcp" layer=seccomp host='no_socket 2 1 262 MPTCP' log="$SOCKET_LOG"
inbound "datagrams, 0.0.0.0" "receive 0.0.0.0" "$IN4"
inbound "datagrams, the host's address" "receive $C_IP" "$IN4"
inbound "datagrams, ::" "receive ::" "$IN6"
inbound "datagrams, the host's IPv6 address" "receive $C_IP6" "$IN6"
class_down() { stop "$KNOCK"; }
