# shellcheck shell=bash
# TCP, in every way that a program may open a connection.  No policy names the addresses.  The server echoes, so each
# control is the same way to an allowed address; the two ways that are never there (MPTCP, io_uring) fall back to TCP.
DENIED="deny_reason=\"no matching network policy\""
# tcp NAME 'HOW' [FIELD...]: HOW with ADDRESS and PORT behind it must not reach the server.
tcp() {
	local name=$1 how=$2; shift 2
	fresh
	try "$name" layer=ebpf attempt="$A $how $D 4000" harm="arrived tcp $D 4000" control="$A $how $OPEN 4000" \
		log="action=deny dst_host=$D dst_port=4000 binary=$A $DENIED" "$@"
}
tcp6() {
	local name=$1 how=$2; shift 2
	fresh
	try "$name" layer=ebpf attempt="$A $how $D6 4000" harm="arrived tcp $D6 4000" control="$A $how $OPEN6 4000" \
		log="action=deny dst_host=$D6 dst_port=4000 binary=$A $DENIED" "$@"
}
# Ways that no sandbox has: the control is a plain connection.
never() {
	local name=$1 how=$2 layer=$3; shift 3
	try "$name" layer="$layer" attempt="$how" harm="arrived tcp $D 4000" control="$A connect $OPEN 4000" "$@"
}
tcp "IPv4 literal" connect
tcp6 "IPv6 literal" connect
tcp "non-blocking connect" nonblock
tcp "MSG_FASTOPEN, sendto" "probe fastopen"
tcp "MSG_FASTOPEN, sendmsg" tfosendmsg
tcp "MSG_FASTOPEN, sendmmsg" tfosendmmsg
tcp "TCP_FASTOPEN_CONNECT" tfoconnect
tcp6 "MSG_FASTOPEN over IPv6" tfosendmsg
tcp6 "TCP_FASTOPEN_CONNECT over IPv6" tfoconnect
tcp "longer sockaddr than the family's" longaddr
tcp6 "24 byte sockaddr_in6" short6
tcp6 "flow label and scope" flow6
tcp "source port bound first" bound
tcp "another thread" tcpthread
tcp "a vfork child" tcpvfork
tcp "an orphan in a session of its own" tcporphan
tcp "socket inherited over exec" tcpinherited
tcp "socket passed with SCM_RIGHTS" passed
fresh
try "IPv4-mapped address" layer=ebpf attempt="$A connect ::ffff:$D 4000" harm="arrived tcp $D 4000" \
	control="$A connect ::ffff:$OPEN 4000" log="action=deny dst_host=$D dst_port=4000 binary=$A $DENIED"
fresh
try "IPv4-mapped address, MSG_FASTOPEN" layer=ebpf attempt="$A tfosendmsg ::ffff:$D 4000" harm="arrived tcp $D 4000" \
	control="$A tfosendmsg ::ffff:$OPEN 4000" log="action=deny dst_host=$D dst_port=4000 binary=$A $DENIED"
fresh
try "the same socket, after an allowed connection" layer=ebpf attempt="$A reconnect $OPEN 4000 $D 4000" \
	harm="arrived tcp $D 4000" control="$A reconnect $OPEN 4000 $OPEN 4000" \
	log="action=deny dst_host=$D dst_port=4000 binary=$A $DENIED"
try "another port of an allowed address" layer=ebpf attempt="$A connect $OPEN 4001" harm="arrived tcp $OPEN 4001" \
	control="$A connect $OPEN 4000" log="action=deny dst_host=$OPEN dst_port=4001 binary=$A $DENIED"
try "another binary" layer=ebpf attempt="exec 3<>/dev/tcp/$OPEN/4002" harm="arrived tcp $OPEN 4002" \
	control="$A connect $OPEN 4000" log="action=deny dst_host=$OPEN dst_port=4002 binary=$(real bash) "
try "another binary to an allowed address and port" layer=ebpf box=a \
	attempt="timeout 3 bash -c 'exec 3<>/dev/tcp/$OPEN/4000; echo exfil-bash >&3; head -c 3 <&3'" harm='said exf' \
	control="$A connect $OPEN 4000" log="action=deny dst_host=$OPEN dst_port=4000 binary=$(real bash) deny_reason=\"binary not in policy direct\""
fresh; own
never "MPTCP" "$OWN probe mptcp $D 4000" seccomp host="no_socket 2 1 262 MPTCP" log="$SOCKET_LOG"
fresh; own
never "MPTCP with MSG_FASTOPEN" "$OWN mptcpfo $D 4000" seccomp host="no_socket 2 1 262 MPTCP" log="$SOCKET_LOG"
fresh
never "io_uring connect" "$A uring $D 4000" seccomp host=no_uring
fresh
never "io_uring socket and connect" "$A uring $D 4000 own" seccomp host=no_uring
no_uring() {
	local v
	v=$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null)
	case ${v:-0} in [12]) echo "kernel.io_uring_disabled=$v" ;; *) inc "$A" uring "$OPEN" 4000 2>&1 | grep -E 'not implemented' ;; esac
}

# Decided for one address, sent to another.  Port 53 is the resolver's: without these options the packet stays inside.
# steered NAME OPTION 'ARGUMENTS' HARM CONTROL [FIELD...]
steered() {
	local name=$1 option=$2 args=$3 harm=$4 control=$5; shift 5
	own
	try "$name" layer=ebpf attempt="$OWN $args" harm="$harm" control="$control" \
		log="kind=sockopt action=deny binary=$OWN deny_reason=\"socket option not allowed \($option\)\"" "$@"
	fresh
}
DNS4="$A probe dns 8.8.8.8 direct.example.test" DNS6="$A probe dns 2001:4860:4860::8888 direct.example.test"
fresh
steered "loose source route, UDP to port 53" IP_OPTIONS "srcroute 8.8.8.8 53 $D dgram" "arrived udp $D 53" "$DNS4" \
	host='no_cap CAP_NET_RAW'
steered "loose source route, TCP to an allowed address" IP_OPTIONS "srcroute $OPEN 4000 $D stream" "arrived tcp $D 4000" \
	"$A connect $OPEN 4000" host='no_cap CAP_NET_RAW'
steered "routing header, UDP to port 53" IPV6_RTHDR "srcroute 2001:4860:4860::8888 53 $D6 dgram" "arrived_like ' $D6 0$'" "$DNS6"
steered "routing header, TCP to an allowed address" IPV6_RTHDR "srcroute $OPEN6 4000 $D6 stream" "arrived_like ' $D6 0$'" \
	"$A connect $OPEN6 4000"
steered "SO_BINDTODEVICE, UDP to port 53" "bound to a device" "device $D 53 v0 dgram" \
	"arrived_like '^udp .* ($D|127[0-9.]*) [0-9]+$'" "$DNS4"
steered "SO_BINDTODEVICE, TCP to port 53" "bound to a device" "device $D 53 v0 stream" \
	"arrived_like '^tcp .* ($D|127[0-9.]*) [0-9]+$'" "$A probe dnstcp $D direct.example.test"
steered "IP_UNICAST_IF, UDP to port 53" IP_UNICAST_IF "unicastif $D 53 v0" "arrived_like '^udp .* ($D|127[0-9.]*) [0-9]+$'" "$DNS4"
try "IP_PKTINFO with a device, UDP to port 53" layer=ebpf attempt="$A pktinfo $D 53 v0" \
	harm="arrived_like '^udp .* ($D|127[0-9.]*) [0-9]+$'" control="$DNS4"
