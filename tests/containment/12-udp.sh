# shellcheck shell=bash
# Datagrams: nothing leaves the host but what the resolver itself asks.  The control of each is a question to the
# resolver, in the same way where that makes sense.
ASK="$A probe dns 8.8.8.8 direct.example.test" ASK6="$A probe dns 2001:4860:4860::8888 direct.example.test"
# udp NAME 'HOW' [FIELD...]: to an address of its own, port 4000.
udp() {
	local name=$1 how=$2; shift 2
	fresh
	try "$name" layer=ebpf attempt="$A $how $D 4000" harm="arrived_like '^(udp|udplite|ip17) [^ ]* [0-9]+ $D '" control="$ASK" \
		log="action=deny dst_host=$D dst_port=4000 binary=$A deny_reason=\"protocol not allowed \(udp\)\"" "$@"
}
udp6() {
	local name=$1 how=$2; shift 2
	fresh
	try "$name" layer=ebpf attempt="$A $how $D6 4000" harm="arrived_like '^(udp|udplite|ip44) [^ ]* [0-9]+ $D6 '" control="$ASK6" \
		log="action=deny dst_host=$D6 dst_port=4000 binary=$A deny_reason=\"protocol not allowed \(udp\)\"" "$@"
}
udp sendto "probe udp"
udp sendmsg udpsendmsg
udp "sendmmsg, the first to port 53" udpsendmmsg
udp "connect, then send" "probe udpconn"
udp "connected to port 53, sendto elsewhere" udpelse
udp "connected to port 53, connected again" udpagain
udp "address without a family" udpunspec
udp "IPv6 socket, IPv4 address, sendto" "probe udp46"
udp "IPv6 socket, IPv4 address, connect" udp46conn
udp6 "IPv6 sendto" "probe udp"
udp6 "IPv6 connect" "probe udpconn"
udp "UDP_SEGMENT" udpgso
udp "MSG_MORE" udpmore
udp "MSG_MORE to port 53, ended elsewhere" udpcork log=''
udp "fragments" udpfragments
udp "MSG_ZEROCOPY" udpzerocopy
udp sendfile udpsendfile
udp splice udpsplice
fresh
try "IPv4-mapped address" layer=ebpf attempt="$A probe udp ::ffff:$D 4000" harm="arrived udp $D 4000" \
	control="$A probe dns ::ffff:8.8.8.8 direct.example.test" \
	log="action=deny dst_host=$D dst_port=4000 binary=$A deny_reason=\"protocol not allowed \(udp\)\""
try "to an address and port that TCP may reach" layer=ebpf attempt="$A probe udp $OPEN 4000" harm="arrived udp $OPEN 4000" \
	control="$A connect $OPEN 4000" log="action=deny dst_host=$OPEN dst_port=4000 binary=$A deny_reason=\"protocol not allowed \(udp\)\""
for p in 443:QUIC 123:NTP 853:DNS-over-QUIC 3478:STUN 51820:WireGuard 161:SNMP 514:syslog; do
	fresh
	try "${p#*:} (UDP ${p%:*})" layer=ebpf attempt="$A quic $D ${p%:*}" harm="arrived udp $D ${p%:*}" control="$ASK" \
		log="action=deny dst_host=$D dst_port=${p%:*} binary=$A deny_reason=\"protocol not allowed \(udp\)\""
done
fresh
try "QUIC over IPv6" layer=ebpf attempt="$A quic $D6 443" harm="arrived udp $D6 443" control="$ASK6" \
	log="action=deny dst_host=$D6 dst_port=443 binary=$A deny_reason=\"protocol not allowed \(udp\)\""
try "broadcast to the network" layer=ebpf attempt="$A udpbroadcast 10.77.0.255 4711" harm="arrived udp 10.77.0.255 4711" \
	control="$ASK" log="action=deny dst_host=10.77.0.255 dst_port=4711 binary=$A "
try "broadcast" layer=ebpf attempt="$A udpbroadcast 255.255.255.255 4712" harm="arrived udp 255.255.255.255 4712" \
	control="$ASK" log="action=deny dst_host=255.255.255.255 dst_port=4712 binary=$A "
try "multicast" layer=ebpf attempt="$A multicast 239.7.7.7 4713" harm="arrived udp 239.7.7.7 4713" control="$ASK" \
	log="action=deny dst_host=239.7.7.7 dst_port=4713 binary=$A "
try "IPv6 multicast" layer=ebpf attempt="$A multicast ff05::7777 4714" harm="arrived udp ff05::7777 4714" control="$ASK6" \
	log="action=deny dst_host=ff05::7777 dst_port=4714 binary=$A "
try "mDNS" layer=ebpf attempt="$A multicast 224.0.0.251 5353" harm="arrived udp 224.0.0.251 5353" control="$ASK" \
	log="action=deny dst_host=224.0.0.251 dst_port=5353 binary=$A "
own
try "joining a multicast group: its report" layer=ebpf attempt="$OWN joingroup ff05::4558:4649:4c21 v0" \
	harm="leaked 455846494c21" control="$ASK6" log="kind=sockopt action=deny binary=$OWN "
fresh
own
try "UDP-Lite" layer=seccomp attempt="$OWN probe udplite $D 4000" harm="arrived_like '^udplite .* $D '" control="$ASK" \
	host='no_socket 2 2 136 UDP-Lite' log="$SOCKET_LOG"
fresh
own
try "UDP-Lite over IPv6" layer=seccomp attempt="$OWN udplite6 $D6 4000" harm="arrived_like '^udplite .* $D6 '" control="$ASK6" \
	host='no_socket 10 2 136 UDP-Lite' log="$SOCKET_LOG"
fresh
try "port 53, no DNS message" layer=resolver attempt="$A rawtext $D 53 exfil-udp53-text" harm="arrived udp $D 53" control="$ASK"
