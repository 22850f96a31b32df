# shellcheck shell=bash
# Addresses in every spelling through real clients, names that resolve to what no name may have, and names whose answer
# changes after it was checked.
PORTS=$(seq -s , 6101 6160)
CURL=/usr/bin/curl PY=$(real python3)
# Names of the class; each has a port of its own, so that who came is known.
policy addr.yaml <<EOP
network_policies:
  names:
    endpoints:
      - {host: "$OPEN", port: 4000}
      - {host: "**.exact.test", ports: [$PORTS]}
      - {host: "loop.named.test", ports: [$PORTS]}
      - {host: "*.ips.test", ports: [$PORTS], allowed_ips: [93.184.216.0/24]}
      - {host: "*.rb.test", ports: [$PORTS]}
    binaries: [{path: $CURL}, {path: $PY}, {path: /usr/bin/wget}]
  inspected:
    endpoints:
      - {host: "**.l7.test", ports: [$PORTS], protocol: rest, access: full}
      - {host: "*.rb7.test", ports: [$PORTS], protocol: rest, access: full}
    binaries: [{path: $CURL}]
EOP
box d addr.yaml
: >"$T/log/hostd.log"
"${INC[@]}" "${AS_USER[@]}" python3 "$DIR/hostd.py" $(printf 'tcp:::%s ' :{6101..6160}) >"$T/log/hostd.log" 2>"$T/log/hostd.err" </dev/null &
HOSTD=$!
on_exit "stop $HOSTD"
until_true $((10 * SLOW)) grep -q ready "$T/log/hostd.log" || die "host services: $(cat "$T/log/hostd.err")"
class_down() { stop "$HOSTD" "$REBIND_PID"; }
hit() { grep -qx "hit $1 $2" "$T/log/hostd.log"; }
PORT=6100
next() { PORT=$((PORT + 1)); }

# --- literals ----------------------------------------------------------------------------------------------------
# spell NAME FORMAT: a public address as FORMAT (printf, four bytes) or as `whole FORMAT` (one number)
spelled() { # FORMAT ADDRESS
	local a b c d
	IFS=. read -r a b c d <<<"$2"
	# shellcheck disable=SC2059
	case $1 in
	whole*) printf "${1#whole }" $((a << 24 | b << 16 | c << 8 | d)) ;;
	three*) printf "${1#three }" "$a" "$b" $((c << 8 | d)) ;;
	two*) printf "${1#two }" "$a" $((b << 16 | c << 8 | d)) ;;
	*) printf "$1" "$a" "$b" "$c" "$d" ;;
	esac
}
spell() {
	fresh
	try "literal, $1" layer=ebpf box=d attempt="curl -sS -g -m 3 'http://$(spelled "$2" "$D"):4000/'" harm="arrived tcp $D 4000" \
		control="curl -sS -g -m 3 --http0.9 'http://$(spelled "$2" "$OPEN"):4000/' || [ \$? = 28 ]" \
		log="action=deny dst_host=$D dst_port=4000 binary=$CURL "
}
spell "dotted" %d.%d.%d.%d
spell "one number" "whole %d"
spell "one hexadecimal number" "whole 0x%x"
spell "one octal number" "whole 0%o"
spell "hexadecimal bytes" 0x%x.0x%x.0x%x.0x%x
spell "octal bytes" 0%o.0%o.0%o.0%o
spell "octal with many zeros" 0000%o.%d.000000%o.%d
spell "mixed bases" %d.0x%X.0%o.%d
spell "three parts" "three %d.%d.%d"
spell "two parts" "two %d.%d"
spell "two hexadecimal parts" "two 0x%x.0x%x"
spell "trailing dot" %d.%d.%d.%d.
spell "percent-encoded" %%39%%33.184.100.%4\$d
unset 'C_NAME[N-1]'; N=$((N - 1)) # (no client of ours decodes it)
fresh
for c in "wget|wget -q -t 1 -T 3 -O - 'http://@:4000/'|/usr/bin/wget" "python urllib|python3 -c 'import urllib.request as u; u.urlopen(\"http://@:4000/\", timeout=3)'|$PY" \
	"python, socket|python3 -c 'import socket; socket.create_connection((\"@\", 4000), 3)'|$PY"; do
	IFS='|' read -r n c b <<<"$c"
	fresh
	try "literal, $n, one number" layer=ebpf box=d attempt="${c/@/$(spelled "whole %d" "$D")}" harm="arrived tcp $D 4000" \
		control="curl -sS -m 3 --http0.9 http://$OPEN:4000/ || [ \$? = 28 ]" log="action=deny dst_host=$D dst_port=4000 binary=$b "
done
# Spellings of loopback; the policy names no such host, and could not.
for l in 2130706433 0x7f000001 017700000001 127.1 127.0.1 0x7f.1 0177.0.0.1 127.000.000.001 0 0x0 0.0.0.0 '[::1]' '[0:0:0:0:0:0:0:1]' '[::]' \
	'[::ffff:127.0.0.1]' '[::ffff:7f00:1]' '[0:0:0:0:0:ffff:7f00:0001]' localhost; do
	next
	try "loopback as $l" layer=ebpf box=d attempt="curl -sS -g -m 3 'http://$l:$PORT/'" harm="hit tcp $PORT" \
		control="python3 -c 'import socket; l = socket.create_server((\"127.0.0.1\", 0)); socket.create_connection(l.getsockname())'" \
		log="action=deny dst_host=(127.0.0.1|::1) dst_port=$PORT binary=$CURL deny_reason=\"loopback service of the host\""
done
# What is not loopback for the kernel, but must never be reached.
for a in 169.254.169.254 169.254.170.2 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1::1 2002:a9fe:a9fe::1 64:ff9b:1::7f00:1 fec0::1 100::1 \
	::7f00:1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 2001:db8::1 fd00:ec2::254 10.1.2.3 172.16.1.1 192.168.1.1 100.64.1.1 192.0.2.1 \
	198.51.100.1 203.0.113.1 240.1.2.3 0.1.2.3 192.88.99.1; do
	n=${a#::ffff:}
	[ "$n" != 0:127.0.0.1 ] || n=::ffff:0:7f00:1
	try "literal $a" layer=ebpf box=d attempt="$A connect $a 4009" harm="arrived tcp $n 4009" control="curl -sS -m 3 --http0.9 http://$OPEN:4000/ || [ \$? = 28 ]" \
		log="action=deny dst_host=$n dst_port=4009 binary=$A deny_reason="
done

# --- names that resolve to them ------------------------------------------------------------------------------------
# resolves NAME ADDRESS [HARM]: a name of its own with that address, by curl: native, and inspected
resolves() {
	local a=$2 n7 harm=${3:-}
	next
	name "$a" "n$PORT.exact.test"
	try "name with $1" layer=resolver box=d attempt="curl -sS -m 3 http://n$PORT.exact.test:$PORT/" harm="${harm:-arrived tcp $a $PORT} || hit tcp $PORT" \
		control="curl -sS -m 3 --http0.9 http://good.exact.test:6159/ || [ \$? = 28 ] || [ \$? = 52 ] || [ \$? = 7 ]" \
		log="action=deny dst_host=n$PORT.exact.test dst_port=$PORT binary=$CURL deny_reason=\"address not allowed "
	next
	name "$a" "n$PORT.l7.test"
	try "inspected name with $1" layer=proxy box=d attempt="curl -sS -m 3 http://n$PORT.l7.test:$PORT/" harm="${harm:-arrived tcp $a $PORT} || hit tcp $PORT" \
		control="curl -sS -m 3 --http0.9 http://good.exact.test:6159/ || [ \$? = 28 ] || [ \$? = 52 ] || [ \$? = 7 ]" \
		log="deny .*dst_host=n$PORT.l7.test .*binary=$CURL"
}
