# shellcheck shell=bash
# Services of the host on loopback and on its own addresses, and those of another sandbox, for a sandbox whose policy
# names every host and address that there is.  Judged by the service.
PORTS=$(seq -s , 6001 6040)
policy all.yaml <<EOP
network_policies:
  all:
    endpoints:
      - {host: "**", ports: [80, $PORTS]}
    binaries: [{path: "**"}]
EOP
box b all.yaml
box c all.yaml
: >"$T/log/hostd.log" >"$T/log/other.log"
cp "$DIR/hostd.py" "$T/hostd.py" # where any user may read it
# HOW ADDRESS: the sandbox has a listener there; when that is gone, a service of the host takes the port.
OUTLIVE=("deferred 127.0.0.1" "deferred ::1" "deferred ::ffff:127.0.0.1" "deferred $C_IP" "deferred $C_IP6" "syn 127.0.0.1" "syn ::1"
	"syn ::ffff:127.0.0.1" "syn $C_IP" "syn $C_IP6" "udp 127.0.0.1" "udp ::1" "udp $C_IP")
AFTER=() p=6041
for h in "${OUTLIVE[@]}"; do
	case $h in udp*) k=udp ;; *) k=tcp ;; esac
	AFTER+=("after:$W/own.$p:$k:${h#* }:$p") p=$((p + 1))
done
"${INC[@]}" "${AS_USER[@]}" python3 "$T/hostd.py" tcp:127.0.0.1:6001 tcp:127.0.0.1:6002 tcp:::1:6003 tcp:::1:6004 "tcp:$C_IP:6005" \
	"tcp:$C_IP6:6006" $(printf 'tcp:::%s ' :{6007..6022}) udp:127.0.0.1:6023 udp:::1:6024 "udp:$C_IP:6025" "udp:$C_IP6:6026" \
	share:127.0.0.1:6027 "share::::6028" "${AFTER[@]}" >"$T/log/hostd.log" 2>"$T/log/hostd.err" </dev/null &
HOSTD=$!
on_exit "stop $HOSTD"
until_true 10 grep -q ready "$T/log/hostd.log" || die "host services: $(cat "$T/log/hostd.err")"
hit() { grep -qx "hit $1 $2" "$T/log/hostd.log"; }
# service NAME 'ATTEMPT' PORT CONTROL [FIELD...]
service() {
	local name=$1 attempt=$2 port=$3 control=$4; shift 4
	try "$name" layer=ebpf box=b attempt="$attempt" harm="hit tcp $port" control="$control" "$@"
}
LOG='action=deny dst_host=%s dst_port=%s binary=%s deny_reason="loopback service of the host"'
tcp_service() { # ADDRESS PORT LOGGED-AS INSIDE-LISTENER INSIDE-ADDRESS
	# shellcheck disable=SC2059
	service "$1, TCP" "$A connect $1 $2" "$2" "$A inside $4 $5" log="$(printf "$LOG" "$3" "$2" "$A")"
}
tcp_service 127.0.0.1 6001 127.0.0.1 127.0.0.1 127.0.0.1
tcp_service ::ffff:127.0.0.1 6002 127.0.0.1 ::ffff:127.0.0.1 ::ffff:127.0.0.1
tcp_service ::1 6003 ::1 ::1 ::1
tcp_service :: 6004 ::1 ::1 ::
tcp_service "$C_IP" 6005 "$C_IP" "$C_IP" "$C_IP"
tcp_service "$C_IP6" 6006 "$C_IP6" "$C_IP6" "$C_IP6"
tcp_service 127.9.9.9 6007 127.9.9.9 127.9.9.9 127.9.9.9
# The log has the address that the unspecified one stands for.
tcp_service 0.0.0.0 6008 127.0.0.1 0.0.0.0 0.0.0.0
tcp_service ::ffff:0.0.0.0 6009 127.0.0.1 0.0.0.0 ::ffff:0.0.0.0
tcp_service "::ffff:$C_IP" 6010 "$C_IP" "$C_IP" "::ffff:$C_IP"
tcp_service 127.255.255.254 6011 127.255.255.254 127.255.255.254 127.255.255.254
C_LL=$("${INC[@]}" ip -6 -o addr show dev v0 scope link | awk '{sub("/.*", "", $4); print $4; exit}')
for h in "MSG_FASTOPEN|tfosendmsg 127.0.0.1|6012" "TCP_FASTOPEN_CONNECT|tfoconnect 127.0.0.1|6013" \
	"bound to the host's address, to 0.0.0.0|boundto $C_IP 0.0.0.0|6014" "from a thread|tcpthread 127.0.0.1|6015"; do
	IFS='|' read -r n how p <<<"$h"
	service "127.0.0.1, $n" "$A $how $p" "$p" "$A inside 127.0.0.1 127.0.0.1"
done
service "localhost by name, curl" "curl -sS -m 3 http://localhost:6016/" 6016 "$A inside 127.0.0.1 127.0.0.1"
service "::1 by curl" "curl -sS -g -m 3 'http://[::1]:6017/'" 6017 "$A inside ::1 ::1"
service "[::ffff:127.0.0.1] by curl" "curl -sS -g -m 3 'http://[::ffff:7f00:1]:6018/'" 6018 "$A inside ::1 ::1"
service "127.1, python" "python3 -c 'import socket; socket.create_connection((\"127.1\", 6019), 2).send(b\"x\")'" 6019 \
	"$A inside 127.0.0.1 127.0.0.1"
service "$C_LL, link-local" "python3 -c 'import socket; socket.create_connection((\"$C_LL%v0\", 6020), 2).send(b\"x\")'" 6020 \
	"$A inside ::1 ::1"
i=0
for a in 127.0.0.1 ::1 "$C_IP" "$C_IP6"; do
	p=$((6023 + i)) i=$((i + 1))
	try "$a, UDP" layer=ebpf box=b attempt="$A probe udp $a $p" harm="hit udp $p" control="$A probe dns 8.8.8.8 direct.example.test" \
		log="action=deny dst_host=$a dst_port=$p binary=$A deny_reason=\"protocol not allowed \(udp\)\""
done
# What was decided for a listener of the sandbox's own, and gets to the host's that has its port by then.
taken() { [ -e "$W/own.$1.taken" ]; }
logged_late() { log_lines b; grep -qE -- "$1" "$T/log/box.b"; }
p=6041
for h in "${OUTLIVE[@]}"; do
	how=${h% *} a=${h#* } k=tcp t="taken $p"
	case $how in
	deferred) n="connect() put off" ;;
	syn)
		n="SYN sent again"
		# shellcheck disable=SC2059
		t+=" && until_true 3 logged_late '$(printf "$LOG" "${a#::ffff:}" "$p" "$A")'" # as often as it was sent
		;;
	udp) n="connected socket, UDP" k=udp ;;
	esac
	try "$a, own listener gone, $n" layer=ebpf box=b attempt="$A outlive $how $a $p $W/own.$p $W/own.$p.taken" harm="hit $k $p" \
		control="$A inside 127.0.0.1 127.0.0.1" tried="$t"
	p=$((p + 1))
done
# Answers of a host process to a socket that asks the resolver.
forge() { # forge FILE
	{ until_true $((ATTEMPT_S * PATIENCE)) test -e "$1" &&
		inc python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'forged', ('127.0.0.1', $(cat "$1")))" &&
		: >"$1.sent"; } </dev/null >/dev/null 2>&1 &
}
SERVER=8.8.8.8
[ "$ENFORCED" = 1 ] || SERVER=$S_IP
try "a name server's answer from a service of the host" layer=ebpf box=b before="forge '$W/own.forged'" \
	attempt="$A forged $SERVER $W/own.forged" harm="said '^got forged'" control="$A probe dns 8.8.8.8 direct.example.test" \
	tried="said ^asked && [ -e '$W/own.forged.sent' ]"
# A group of listeners shared with a host process: connections meant for the host's would come here, and the other way.
share() { # share NAME ADDRESS PORT CONNECT-TO
	local before="for i in \$(seq 60); do inc python3 -c 'import socket; socket.create_connection((\"$4\", $3), 1).send(b\"x\")'; sleep 0.03; done >/dev/null 2>&1 &"
	own
	try "$1" layer=ebpf box=b before="$before" attempt="$OWN accept $2 reuseport $3" harm="said accepted" \
		control="$A inside 127.0.0.1 127.0.0.1" \
		log="kind=sockopt action=deny binary=$OWN deny_reason=\"socket option not allowed \(SO_REUSEPORT\)\""
}
share "SO_REUSEPORT group of the host, IPv4" 127.0.0.1 6027 127.0.0.1
share "SO_REUSEPORT group of the host, IPv6" :: 6028 ::1
# Another sandbox's listener.
cp "$DIR/hostd.py" "$W/hostd.py"
OTHER=("${INC[@]}" "${AS_USER[@]}")
[ "$ENFORCED" = 0 ] || OTHER=("${OSHC[@]}" exec "${PFX}c" --)
"${OTHER[@]}" python3 "$W/hostd.py" tcp:127.0.0.1:6030 tcp:::1:6031 "tcp:$C_IP:6032" >"$T/log/other.log" 2>&1 </dev/null &
OTHER_PID=$!
on_exit "stop $OTHER_PID"
until_true 10 grep -q ready "$T/log/other.log" || die "no listener in the other sandbox: $(cat "$T/log/other.log")"
i=0
for a in 127.0.0.1 ::1 "$C_IP"; do
	p=$((6030 + i)) i=$((i + 1))
	# shellcheck disable=SC2059
	try "another sandbox's listener, $a" layer=ebpf box=b attempt="$A connect $a $p" harm="grep -qx 'hit tcp $p' '$T/log/other.log'" \
		control="$A inside $a $a" log="$(printf "$LOG" "$a" "$p" "$A")"
done
class_down() {
	stop "$HOSTD" "$OTHER_PID"
	rm -f "$W"/own.*
}
