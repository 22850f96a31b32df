#!/usr/bin/env bash
# Everything that a program sends is caught without its help: static binaries, own resolvers, literal addresses, every
# kind of socket, the host's loopback, inbound connections.  Judged at the server; every denial beside its control.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
sinks_up
dns_up
sniff_up
probe_up
inc sysctl -qw net.ipv4.ping_group_range='0 2147483647'
OPEN=93.184.216.77 OPEN2=93.184.216.78 SHUT=93.184.216.99 SHUT6=2606:4700::1111 OPEN6=2606:4700::2222
policy p.yaml <<EOP
network_policies:
  direct:
    endpoints:
      - {host: direct.example.test, port: 4000}
      - {host: "$OPEN2", port: 4000}
      - {host: "$OPEN6", port: 4000}
    binaries: [{path: $PROBE}]
  api:
    endpoints: [{host: api.github.com, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: /usr/bin/curl}]
EOP
must_start a "$T/p.yaml" --add-host "direct.example.test:$OPEN"
mark sinks sniff access dns

# denied NAME SNIFF-REGEX PROBE-ARGUMENT...: outside it arrives, from the sandbox nothing does.
denied() {
	local name=$1 what=$2; shift 2
	mark sniff
	outside "$PROBE" "$@"
	if ! came sniff "$what"; then
		not_ok "$name: control: it arrives from outside a sandbox"
		return
	fi
	mark sniff
	sb a "$PROBE" "$@"
	check "$name: no packet" all 'rc_not 0' "came_not sniff '$what'"
}

section "a static binary that connects by itself"
mark sinks
sb a "$PROBE" tcp $OPEN2 4000 hello
check "allowed literal address" says 'ok port=[0-9]+ echo=hello'
check "arrived" came sinks "^tcp $OPEN2 4000 "
sb a "$PROBE" name direct.example.test 4000 hello
check "allowed name, with its own reading of resolv.conf" says 'echo=hello'
check "arrived at the real address" came sinks "^tcp $OPEN 4000 "
denied "IPv4 literal" "^tcp .* $SHUT 4000" tcp $SHUT 4000
check "its log line" logged a "action=deny dst_host=$SHUT dst_port=4000 binary=$PROBE deny_reason=\"no matching network policy\""
denied "other port" "^tcp .* $OPEN2 4001" tcp $OPEN2 4001
denied "IPv4-mapped IPv6" "^tcp .* $SHUT 4000" tcp ::ffff:$SHUT 4000
denied "IPv6 literal" "^tcp .* $SHUT6 4000" tcp $SHUT6 4000
denied "cloud metadata" "^tcp .* 169.254.169.254 4000" tcp 169.254.169.254 4000
denied "fast open" "^tcp .* $SHUT 4000" fastopen $SHUT 4000
denied "MPTCP" "^tcp .* $SHUT 4000" mptcp $SHUT 4000
sb a "$PROBE" tcp ::ffff:$OPEN2 4000
check "control: mapped address of an allowed one" says 'ok port'
sb a "$PROBE" tcp $OPEN6 4000
check "control: allowed IPv6 literal" says 'ok port'
sb a "$PROBE" fastopen $OPEN2 4000
check "control: fast open to an allowed address" says 'ok port'
mark sniff
sbsh a "exec 3<>/dev/tcp/$SHUT/4000"
check "bash's /dev/tcp" all 'rc_not 0' "came_not sniff '$SHUT'"

section "proxy variables"
run env HTTPS_PROXY=http://$SHUT:4000 https_proxy=http://$SHUT:4000 ALL_PROXY=socks5://$SHUT:4000 \
	"${OSHC[@]}" exec "${PFX}a" -- env
check "the caller's are not passed on" all 'rc_is 0' '! grep -qi _proxy= <<<"$OUT"'
mark sniff
sbsh a "https_proxy=http://$SHUT:4000 curl -sS https://api.github.com/zen"
check "a program's own wish for a proxy is denied" all 'rc_not 0' "came_not sniff '$SHUT'"
sbsh a "no_proxy='*' https_proxy= curl -sS https://api.github.com/zen"
check "and unsetting all of them changes nothing" says logically

section "L4 endpoints go directly, inspected ones through the proxy"
mark sinks sniff
sb a "$PROBE" name direct.example.test 4000 direct
PORT=$(sed -n 's/^ok port=\([0-9]*\) .*/\1/p' <<<"$OUT")
check "the server sees the program's own socket (port ${PORT:-?})" came sinks "^tcp $OPEN 4000 $C_IP ${PORT:-none}\$"
mark access
sb a curl -sS -o /dev/null -w '%{local_port}' https://api.github.com/zen
check "control: an inspected flow comes from another socket" all 'rc_is 0' "came access '\"GET /zen'" "came_not access '^$C_IP:$OUT '"

section "own resolvers"
mark sniff dns
outside dig +short +tries=1 +timeout=2 @8.8.8.8 direct.example.test
check "control: a query from outside arrives at 8.8.8.8" came sniff '^udp .* 8\.8\.8\.8 53$'
mark sniff dns
for s in 8.8.8.8 1.1.1.1 93.184.216.1; do
	sb a "$PROBE" dns $s direct.example.test
	check "UDP to $s is answered by the sandbox's resolver" says '^198\.1[89]\.'
	sb a "$PROBE" dnstcp $s direct.example.test
	check "TCP to $s as well" says '^198\.1[89]\.'
done
sb a dig +short +tries=1 +timeout=3 @8.8.8.8 api.github.com
check "dig @8.8.8.8" says '^198\.1[89]\.'
sb a dig +short +tries=1 +timeout=3 +tcp @8.8.8.8 api.github.com
check "dig +tcp @8.8.8.8" says '^198\.1[89]\.'
sb a "$PROBE" dns 2001:4860:4860::8888 direct.example.test
check "over IPv6" says '^198\.1[89]\.'
sb a dig +short +tries=1 +timeout=3 @8.8.8.8 leak-secret-data.example.test
check "a name of no policy gets an address" says '^198\.1[89]\.'
check "no packet to any resolver of the program's choice" came_not sniff '(8\.8\.8\.8|1\.1\.1\.1|93\.184\.216\.1|2001:4860)'
check "and no query upstream" came_not dns 'leak-secret'

section "UDP and other kinds"
denied "UDP sendto" "^udp .* $SHUT 4000" udp $SHUT 4000
denied "UDP to an address that TCP may reach" "^udp .* $OPEN2 4000" udp $OPEN2 4000
denied "UDP connected" "^udp .* $SHUT 4000" udpconn $SHUT 4000
denied "UDP over IPv6" "^udp .* $SHUT6 4000" udp $SHUT6 4000
denied "UDP to an IPv4-mapped address" "^udp .* $SHUT 4000" udp ::ffff:$SHUT 4000
denied "UDP, IPv6 socket, IPv4 address" "^udp .* $SHUT 4000" udp46 $SHUT 4000
denied "QUIC's port" "^udp .* $API_IP 443" udp $API_IP 443
check "logged" logged a 'action=deny .*deny_reason="protocol not allowed \(udp\)"'
mark sniff
outside "$PROBE" udplite $SHUT 4000
if rc_is 0; then denied "UDP-Lite" "^udplite .* $SHUT" udplite $SHUT 4000; fi
denied "ping socket" "^icmp .* $SHUT" ping $SHUT
denied "ping socket, IPv6" "^icmp6 .* $SHUT6" ping $SHUT6
# refused NAME FAMILY TYPE PROTOCOL: the socket cannot be made.
refused() {
	sb a "$PROBE" socket "$2" "$3" "$4"
	check "$1 socket refused" all 'rc_not 0' 'out_has "(not permitted|denied|not supported)"'
}
refused "raw ICMP" 2 3 1
refused "raw TCP" 2 3 6
refused "IPv6 raw" 10 3 58
refused packet 17 3 0
refused SCTP 2 1 132
refused DCCP 2 6 33
refused SMC 43 1 0
refused vsock 40 1 0
refused AF_ALG 38 5 0
refused AF_KEY 15 3 2
refused "netlink sock_diag" 16 3 4
refused "netlink netfilter" 16 3 12
refused XDP 44 3 0
refused TIPC 30 1 0
refused CAN 29 3 1
sb a "$PROBE" socket 16 3 0
check "control: route netlink" out_is ok
sb a "$PROBE" socket 2 1 0
check "control: TCP" out_is ok
sb a "$PROBE" socket 1 1 0
check "control: Unix" out_is ok
outside "$PROBE" socket 40 1 0
check "control: outside, the same user may have vsock" out_is ok

section "the host's loopback, and the sandbox's own"
mkdir "$T/www" && echo host-secret >"$T/www/index.html"
"${INC[@]}" python3 - "$T/www" >"$T/log/hostsvc.log" 2>&1 <<'PY' &
import functools, http.server, socket, sys, threading
h = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
class V6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", 6001), h).serve_forever).start()
V6(("::", 6002), h).serve_forever()
PY
on_exit "stop $!"
until_true 5 inc curl -s -o /dev/null http://127.0.0.1:6002/
policy b.yaml <<EOP
network_policies:
  lo:
    endpoints: [{host: "**", ports: [443, 6001, 6002, 6100, 6200]}]
    binaries: [{path: "**"}]
EOP
must_start b "$T/b.yaml"
for u in 127.0.0.1:6001 127.9.9.9:6002 0.0.0.0:6001 '[::1]:6002' '[::ffff:127.0.0.1]:6001' '[::]:6002' localhost:6001 \
	"$C_IP:6002" "[$C_IP6]:6002"; do
	outside curl -sS -g -m 3 --noproxy '*' "http://$u/"
	check "control: $u answers outside" out_has host-secret
	: >"$T/log/hostsvc.log"
	sb b curl -sS -g -m 3 "http://$u/"
	check "$u from a sandbox that may reach every name" all 'rc_not 0' 'out_lacks host-secret'
	sleep 0.1
	check "$u: the service saw no request" test ! -s "$T/log/hostsvc.log"
done
check "logged" logged b 'deny_reason="loopback service of the host"'
bg b python3 -m http.server --bind 127.0.0.1 6100
sbsh b 'for i in $(seq 50); do curl -s -o /dev/null http://127.0.0.1:6100/ && exit 0; sleep 0.1; done; exit 1'
check "the sandbox's own loopback server works" rc_is 0
sb b curl -s -o /dev/null -w '%{http_code}' http://localhost:6100/
check "by name too" out_is 200
bg b python3 -m http.server --bind :: 6200
sbsh b 'for i in $(seq 50); do curl -s -g -o /dev/null "http://[::1]:6200/" && curl -s -o /dev/null http://127.0.0.1:6200/ && exit 0; sleep 0.1; done; exit 1'
check "a dual-stack one as well" rc_is 0
must_start c "$T/b.yaml"
: >"$BG_OUT"
sb c curl -sS -m 3 http://127.0.0.1:6200/
check "another sandbox cannot reach it" all 'rc_not 0' '! grep -q GET "$BG_OUT"'
# A host process of the same user with SO_REUSEPORT: a second listener would get some of its connections.
"${INC[@]}" "${AS_USER[@]}" timeout 60 "$PROBE" reuseport 127.0.0.1 6400 >"$T/log/reuse" 2>&1 &
on_exit "stop $!"
until_true 5 grep -q listening "$T/log/reuse"
LIMIT=2 outside "$PROBE" reuseport 127.0.0.1 6400
check "control: outside a listener can join the group" out_has listening
LIMIT=2 sb b "$PROBE" reuseport 127.0.0.1 6400
check "from the sandbox it cannot" out_lacks listening

section "inbound connections"
reach() { ins python3 -c 'import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)' "$1" "$2" >/dev/null 2>&1; }
listening() { until_true 5 grep -q '^listening' "$BG_OUT" && PORT=$(sed -n 's/^listening //p' "$BG_OUT"); }
for l in "$C_IP 6301" "0.0.0.0 6302" ":: 6303" "any 0"; do
	# shellcheck disable=SC2086
	"${INC[@]}" "${AS_USER[@]}" "$PROBE" listen $l >"$T/log/outside-listen" 2>&1 &
	BG_PID=$! BG_OUT=$T/log/outside-listen
	on_exit "stop $BG_PID"
	listening && reach "$C_IP" "$PORT"
	check "control: listener on $l outside is reached" grep -q accepted "$BG_OUT"
	stop "$BG_PID"
	# shellcheck disable=SC2086
	bg b "$PROBE" listen $l
	if listening; then
		reach "$C_IP" "$PORT"
		OUT=$(cat "$BG_OUT")
		check "listener on $l in the sandbox is not reached" out_lacks accepted
		sb b "$PROBE" tcp 127.0.0.1 "$PORT"
		[ "${l%% *}" = "$C_IP" ] || check "control: from inside it is" grep -q accepted "$BG_OUT"
	else
		OUT=$(cat "$BG_OUT")
		check "listener on $l is refused already" grep -qE 'bind|listen' "$BG_OUT"
	fi
	stop "$BG_PID"
done
finish
