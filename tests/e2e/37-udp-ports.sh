#!/usr/bin/env bash
# A UDP port that a host process shares with SO_REUSEADDR (mDNS, SSDP): the sandbox does not get its datagrams.
. "$(dirname "$0")/lib.sh"
e2e_up
policy p.yaml <<EOP
EOP
cat >"$T/work/udp.py" <<'PY'
# udp.py NAME FAMILY ADDRESS PORT: binds with SO_REUSEADDR and prints what arrives.
import socket, sys
name, family, addr, port = sys.argv[1:5]
s = socket.socket(getattr(socket, family), socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    s.bind((addr, int(port)))
except OSError as e:
    sys.exit("%s refused: %s" % (name, e.strerror))
print(name, "bound", flush=True)
while True:
    print(name, "got", s.recv(100).decode(), flush=True)
PY
chmod 644 "$T/work/udp.py"
host() { # host FAMILY ADDRESS PORT
	"${INC[@]}" python3 -u "$T/work/udp.py" host "$@" >>"$T/log/host.log" 2>&1 </dev/null &
	on_exit "stop $!"
}
: >"$T/log/host.log"
host AF_INET 0.0.0.0 5353
host AF_INET "$C_IP" 1900
host AF_INET6 :: 5354
until_true 5 eval '[ "$(grep -c bound "$T/log/host.log")" = 3 ]' || die "no UDP services on the host"
must_start u "$T/p.yaml"
send() { "${INC[@]}" python3 -c 'import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
socket.socket(family, socket.SOCK_DGRAM).sendto(b"secret", (sys.argv[1], int(sys.argv[2])))' "$@"; }
taken() { # taken FAMILY BOUND SENT PORT: inside, and as a control outside
	local family=$1 bound=$2 sent=$3 port=$4
	mark host
	bg u python3 -u "$T/work/udp.py" inside "$family" "$bound" "$port"
	until_true 10 grep -qE 'bound|refused' "$BG_OUT"
	send "$sent" "$port"
	sleep 0.3
	OUT=$(cat "$BG_OUT") RC=0
	check "$bound port $port: not bound inside" all 'out_has "^inside refused: Operation not permitted"' 'out_lacks got'
	check "and the host's process gets what is sent" came host '^host got secret'
	"${INC[@]}" "${AS_USER[@]}" python3 -u "$T/work/udp.py" outside "$family" "$bound" "$port" >"$T/log/outside" 2>&1 </dev/null &
	outside=$!
	until_true 10 grep -q bound "$T/log/outside"
	send "$sent" "$port"
	check "control: outside a sandbox the same user's program gets it" until_true 5 grep -q '^outside got secret' "$T/log/outside"
	stop "$outside"
}
taken AF_INET 127.0.0.1 127.0.0.1 5353
taken AF_INET 0.0.0.0 127.0.0.1 5353
taken AF_INET "$C_IP" "$C_IP" 1900
taken AF_INET6 ::1 ::1 5354
taken AF_INET6 ::ffff:127.0.0.1 127.0.0.1 5353
check "logged" logged u 'kind=bind action=deny .*dst_port=5353 .*deny_reason="port reserved by the host"'
section "other ports"
sb u python3 -c '
import socket
a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
for s in a, b:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 5399))
c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); c.bind(("::", 0))
print("bound")'
check "free ones, its own twice, one of the kernel's choice" says '^bound'
finish
