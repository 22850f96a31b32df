# shellcheck shell=bash
# Sockets of every other kind.  Judged by the packet where one can be sent, else by the socket: having it is the harm.
inc sysctl -qw net.ipv4.ping_group_range='0 2147483647'
TCP_CONTROL="$A connect $OPEN 4000"
# packet NAME 'HOW' HARM [FIELD...]
packet() {
	local name=$1 how=$2 harm=$3; shift 3
	try "$name" layer=seccomp attempt="$OWN $how" harm="$harm" control="$TCP_CONTROL" log="$SOCKET_LOG" "$@"
	fresh; own
}
# socket NAME FAMILY TYPE PROTOCOL [FIELD...]
socket() {
	local name=$1 f=$2 t=$3 p=$4; shift 4
	try "$name" layer=seccomp attempt="$OWN sock $f $t $p" harm="said '^made$'" control="$TCP_CONTROL" log="$SOCKET_LOG" \
		host="no_family $f $t $p" "$@"
	own
}
# no_family FAMILY TYPE PROTOCOL: the kernel has none, or only for root
no_family() {
	local why
	if why=$(inc "$A" sock "$1" "$2" "$3" 2>&1); then
		echo "only with a capability" # the attempt did not say `made`
	elif [ "${why%: Operation not permitted}" = "$why" ]; then
		echo "this kernel has none (${why#socket: })"
	else
		return 1
	fi
}
no_sctp() { no_family 2 1 132; }
no_dccp() { no_family 2 6 33; }
fresh; own
packet "raw ICMP" "raw $D 1" "arrived icmp $D" host='no_cap CAP_NET_RAW'
packet "raw ICMPv6" "raw $D6 58" "arrived icmp6 $D6" host='no_cap CAP_NET_RAW'
packet "raw TCP" "raw $D 6" "arrived tcp $D 4000" host='no_cap CAP_NET_RAW'
packet "raw UDP" "raw $D 17" "arrived udp $D 4000" host='no_cap CAP_NET_RAW'
packet "raw, IGMP" "raw $D 2" "arrived ip2 $D" host='no_cap CAP_NET_RAW'
packet "raw, GRE" "raw $D 47" "arrived ip47 $D" host='no_cap CAP_NET_RAW'
packet "raw IPv6, no next header" "raw $D6 59" "arrived ip59 $D6" host='no_cap CAP_NET_RAW'
packet "IP_HDRINCL" "hdrincl $D" "arrived icmp $D" host='no_cap CAP_NET_RAW'
packet "ping socket" "probe ping $D" "arrived icmp $D"
packet "IPv6 ping socket" "probe ping $D6" "arrived icmp6 $D6"
packet "packet socket, raw" "packet 3 v0 exfil-packetraw-" "leaked packetraw" host='no_cap CAP_NET_RAW'
packet "packet socket, datagram" "packet 2 v0 exfil-packetdgram-" "leaked packetdgram" host='no_cap CAP_NET_RAW'
packet "SOCK_PACKET" "spkt v0 exfil-spkt-" "leaked spkt" host='no_cap CAP_NET_RAW'
packet "SCTP stream" "other 1 132 $D 4000" "arrived sctp $D 4000" host=no_sctp
packet "SCTP one to many" "other 5 132 $D 4000" "arrived sctp $D 4000" host=no_sctp
packet "SCTP over IPv6" "other 1 132 $D6 4000" "arrived sctp $D6 4000" host=no_sctp
packet "DCCP" "other 6 33 $D 4000" "arrived ip33 $D" host=no_dccp
try "AF_ALG: the kernel's crypto" layer=seccomp attempt="$OWN alg" harm="said '^hashed$'" control="$TCP_CONTROL" \
	log="$SOCKET_LOG" host="no_family 38 5 0"
own
# name family type protocol
while read -r n f t p; do socket "${n//_/ }" "$f" "$t" "$p"; done <<'EOS'
AX.25 3 2 0
IPX 4 2 0
AppleTalk 5 2 0
X.25 9 5 0
AF_KEY 15 3 2
IrDA 23 1 0
LLC 26 1 0
CAN 29 3 1
CAN_BCM 29 2 2
TIPC 30 1 0
TIPC_datagram 30 2 0
Bluetooth_L2CAP 31 5 0
Bluetooth_RFCOMM 31 1 3
Bluetooth_HCI 31 3 1
RDS 21 5 0
RxRPC 33 2 2
phonet 35 2 1
IEEE_802.15.4 36 2 0
CAIF 37 5 0
NFC 39 5 0
vsock 40 1 0
vsock_datagram 40 2 0
KCM 41 2 0
QIPCRTR 42 2 0
SMC 43 1 0
SMC_over_IPv6 43 1 1
XDP 44 3 0
MCTP 45 2 0
netlink_usersock 16 3 2
netlink_sock_diag 16 3 4
netlink_nflog 16 3 5
netlink_xfrm 16 3 6
netlink_selinux 16 3 7
netlink_audit 16 3 9
netlink_fib_lookup 16 3 10
netlink_connector 16 3 11
netlink_netfilter 16 3 12
netlink_kobject_uevent 16 3 15
netlink_generic 16 3 16
netlink_crypto 16 3 21
ICMP_as_a_stream 2 1 1
UDP_number_on_a_stream 2 1 17
IPv6_ping 10 2 58
UDP-Lite 2 2 136
UDP-Lite_over_IPv6 10 2 136
MPTCP_over_IPv6 10 1 262
L2TP 2 2 115
seqpacket_IPv4 2 5 132
family_0 0 1 0
EOS
# Arguments dressed up.
try "ping socket, upper halves set" layer=seccomp attempt="$OWN wide 2 2 1" harm="said '^made$'" control="$TCP_CONTROL" log="$SOCKET_LOG"
own
try "ping socket with SOCK_CLOEXEC and SOCK_NONBLOCK" layer=seccomp attempt="$OWN sock 2 0x80802 1" harm="said '^made$'" \
	control="$A sock 2 0x80802 17" log="$SOCKET_LOG"
own
try "vsock, upper halves set" layer=seccomp attempt="$OWN wide 40 1 0" harm="said '^made$'" control="$A sock 2 1 0" log="$SOCKET_LOG" \
	host="no_family 40 1 0"
own
try "netlink of an interface, upper halves set" layer=seccomp attempt="$OWN wide 16 3 16" harm="said '^made$'" \
	control="$A sock 16 3 0" log="$SOCKET_LOG"
own
try "TIPC socket pair" layer=seccomp attempt="$OWN pair 30 1 0" harm="said '^made$'" control="$A pair 1 1 0" \
	host='kernel_lacks pair 30 1 0'
kernel_lacks() { local why; why=$(inc "$A" "$@" 2>&1) && return 1; echo "this kernel has none (${why#*: })"; }

