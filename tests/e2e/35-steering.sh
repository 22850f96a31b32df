#!/usr/bin/env bash
# What is decided for one address must not go to another: source routes, options by device, addresses that embed
# loopback, the unspecified address on a bound socket, multicast reports.  Judged by a capture on the server's side.
. "$(dirname "$0")/lib.sh"
e2e_up
sinks_up
policy deny.yaml <<EOP
EOP
cat >"$T/capture.py" <<'PY'
# Prints a line for every packet that arrives from the client host: SYNs, datagrams, multicast reports of our group.
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
print("ready", flush=True)
while True:
    d, (dev, proto, kind, _, _) = s.recvfrom(65536)
    if kind == 4 or dev == "lo":
        continue
    if proto == 0x0800:
        p, n, dst = d[9], (d[0] & 15) * 4, socket.inet_ntoa(d[16:20])
    elif proto == 0x86dd:
        p, n, dst = d[6], 40, socket.inet_ntop(socket.AF_INET6, d[24:40])
    else:
        continue
    if p == 6 and d[n + 13] & 18 != 2:
        continue
    if (p in (0, 2, 58)) and b"EXFIL" not in d:
        continue
    print("packet", p, dst, flush=True)
PY
cat >"$T/work/steer.py" <<'PY'
import socket, struct, sys
A4, A6 = socket.AF_INET, socket.AF_INET6
D, S = socket.SOCK_DGRAM, socket.SOCK_STREAM
dev = [n for _, n in socket.if_nameindex() if n != "lo"][0]
index = socket.if_nametoindex(dev)
def srh(via):
    return bytes([0, 4, 4, 1, 1, 0, 0, 0]) + bytes(16) + socket.inet_pton(A6, via)
def own(family, addr, port):
    l = socket.socket(family); l.bind((addr, port)); l.listen(); return l
def udp_route_header():
    s = socket.socket(A6, D); s.setsockopt(41, 57, srh("2606:4700::1111")); s.sendto(b"EXFIL", ("2001:4860:4860::8888", 53))
def tcp_route_header():
    s = socket.socket(A6, S); s.settimeout(1); s.setsockopt(41, 57, srh("2606:4700::1111")); s.connect(("2001:4860:4860::8888", 53))
def udp_source_route():
    s = socket.socket(A4, D); s.setsockopt(0, 4, bytes([131, 7, 4]) + socket.inet_aton("93.184.216.99") + b"\0")
    s.sendto(b"EXFIL", ("8.8.8.8", 53))
def udp_device():
    s = socket.socket(A4, D); s.setsockopt(1, 25, dev.encode() + b"\0"); s.sendto(b"EXFIL", ("8.8.8.8", 53))
def udp_pktinfo():
    socket.socket(A4, D).sendmsg([b"EXFIL"], [(0, 8, struct.pack("iII", index, 0, 0))], 0, ("8.8.8.8", 53))
def udp_unicast_if():
    s = socket.socket(A4, D); s.setsockopt(0, 50, struct.pack("!I", index)); s.sendto(b"EXFIL", ("8.8.8.8", 53))
def tcp_device_fast_open():
    s = socket.socket(A4, S); s.setsockopt(1, 25, dev.encode() + b"\0"); s.settimeout(1); s.sendto(b"EXFIL", 0x20000000, ("8.8.8.8", 53))
def sixtofour():
    own(A6, "::", 4000); s = socket.socket(A6, S); s.settimeout(1); s.connect(("2002:7f00:1::beef", 4000))
def nat64():
    own(A6, "::", 4000); s = socket.socket(A6, S); s.settimeout(1); s.connect(("64:ff9b::7f00:1", 4000))
def zero_net():
    own(A4, "0.0.0.0", 4000); s = socket.socket(A4, S); s.settimeout(1); s.connect(("0.1.2.3", 4000))
def multicast6():
    s = socket.socket(A6, D); s.setsockopt(41, 20, socket.inet_pton(A6, "ff05::4558:4649:4c21") + struct.pack("I", index))
def any_bound():
    own(A4, "127.0.0.1", 6003); s = socket.socket(A4, S); s.settimeout(2); s.bind((sys.argv[2], 0)); s.connect(("0.0.0.0", 6003))
    s.sendall(b"GET / HTTP/1.0\r\n\r\n"); print("got", len(s.recv(1000)))
def any6_mapped():
    l = socket.socket(A6, S); l.setsockopt(41, 26, 1); l.bind(("::1", 6003)); l.listen()
    s = socket.socket(A6, S); s.settimeout(2); s.bind(("::ffff:127.0.0.1", 0)); s.connect(("::", 6003))
    s.sendall(b"GET / HTTP/1.0\r\n\r\n"); print("got", len(s.recv(1000)))
try:
    globals()[sys.argv[1]]()
    print("done")
except OSError as e:
    sys.exit("%s: %s" % (sys.argv[1], e))
PY
chmod 644 "$T/work/steer.py"
"${INS[@]}" python3 -u "$T/capture.py" >"$T/log/capture.log" 2>&1 </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/capture.log"
# A service of the host on its own address and on 127.0.0.1, but not on every address.
HOST_ADDR=$("${INC[@]}" ip -4 -o addr show scope global | awk '{sub("/.*", "", $4); print $4; exit}')
for a in "$HOST_ADDR" 127.0.0.1; do
	"${INC[@]}" bash -c "cd '$T/work' && exec python3 -m http.server --bind $a 6003" >>"$T/log/host-$a.log" 2>&1 </dev/null &
	on_exit "stop $!"
done
must_start d "$T/deny.yaml"

packets() { grep -c '^packet' "$T/log/capture.log"; }
section "packets that would go elsewhere"
reach=0
for what in udp_route_header tcp_route_header udp_source_route udp_device udp_pktinfo udp_unicast_if tcp_device_fast_open \
	sixtofour nat64 zero_net multicast6; do
	# the control afterwards: what it sets going (repeated reports) must not be taken for the sandbox's
	before=$(packets)
	sb d python3 "$T/work/steer.py" "$what"
	sleep 0.2
	check "$what: nothing arrives" test "$(packets)" = "$before"
	before=$(packets)
	outside python3 "$T/work/steer.py" "$what"
	sleep 0.2
	[ "$(packets)" -gt "$before" ] && reach=$((reach + 1))
done
check "control: outside a sandbox most of them reach the other host ($reach of 11)" test "$reach" -ge 5

section "services of the host by the unspecified address"
for what in any_bound any6_mapped; do
	before=$(cat "$T"/log/host-*.log | grep -c GET)
	sb d python3 "$T/work/steer.py" "$what" "$HOST_ADDR"
	check "$what: the service sees no request" test "$(cat "$T"/log/host-*.log | grep -c GET)" = "$before"
done
outside python3 -c "import urllib.request as u; u.urlopen('http://$HOST_ADDR:6003/').read()"
check "control: outside the service answers" rc_is 0
finish
