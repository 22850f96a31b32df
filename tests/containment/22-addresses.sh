# shellcheck shell=bash
# Addresses in every spelling through real clients, names that resolve to what no name may have, and names whose answer
# changes after it was checked.
PORTS=$(seq -s , 6101 6199)
CURL=/usr/bin/curl PY=$(real python3)
# Names of the class; each has a port of its own, so that who came is known.
policy addr.yaml <<EOP
network_policies:
  names:
    endpoints:
      - {host: "$OPEN", port: 4000}
      - {host: "**.exact.test", ports: [4000, $PORTS]}
      - {host: "*.ips.test", ports: [$PORTS], allowed_ips: [93.184.216.0/24]}
      - {host: "*.rb.test", ports: [$PORTS]}
    binaries: [{path: $CURL}, {path: $PY}, {path: /usr/bin/wget}]
  inspected:
    endpoints:
      - {host: "**.l7.test", ports: [80, $PORTS], protocol: rest, access: full}
      - {host: "*.rb7.test", ports: [$PORTS], protocol: rest, access: full}
    binaries: [{path: $CURL}]
EOP
box d addr.yaml
"${INS[@]}" python3 "$DIR/web.py" plain:80 >"$T/log/web.log" 2>&1 </dev/null &
WEB=$!
on_exit "stop $WEB"
: >"$T/log/hostd.log"
cp "$DIR/hostd.py" "$T/hostd.py" # where any user may read it
"${INC[@]}" "${AS_USER[@]}" python3 "$T/hostd.py" $(printf 'tcp:::%s ' :{6101..6199}) >"$T/log/hostd.log" 2>"$T/log/hostd.err" </dev/null &
HOSTD=$!
on_exit "stop $HOSTD"
until_true 10 grep -q ready "$T/log/hostd.log" || die "host services: $(cat "$T/log/hostd.err")"
class_down() { stop "$HOSTD" "$WEB"; }
hit() { grep -qx "hit $1 $2" "$T/log/hostd.log"; }
PORT=6100
next() { PORT=$((PORT + 1)); }

# Same clients, where policy allows it; the sinks echo, which curl takes for an answer without end.
can() { echo "curl -sS -g -m $PATIENCE --http0.9 '$1' | grep -q '^GET /'"; }
CAN=$(can "http://$OPEN:4000/") CAN_NAME=$(can http://good.exact.test:4000/)
CAN_L7="curl -sS -m 3 -o /dev/null -w '%{http_code}' http://good.l7.test:80/ | grep -q 200"
CAN_OWN="python3 -c 'import socket; l = socket.create_server((\"127.0.0.1\", 0)); socket.create_connection(l.getsockname())'"

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
		control="$(can "http://$(spelled "$2" "$OPEN"):4000/")" \
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
for c in "wget|wget -q -t 1 -T 3 -O - 'http://@:4000/'|/usr/bin/wget" "python urllib|python3 -c 'import urllib.request as u; u.urlopen(\"http://@:4000/\", timeout=3)'|$PY" \
	"python, socket|python3 -c 'import socket; socket.create_connection((\"@\", 4000), 3)'|$PY"; do
	IFS='|' read -r n c b <<<"$c"
	fresh
	try "literal, $n, one number" layer=ebpf box=d attempt="${c/@/$(spelled "whole %d" "$D")}" harm="arrived tcp $D 4000" \
		control="$CAN" log="action=deny dst_host=$D dst_port=4000 binary=$b "
done
# Spellings of loopback; the policy names no such host, and could not.
for l in 2130706433 0x7f000001 017700000001 127.1 127.0.1 0x7f.1 0177.0.0.1 127.000.000.001 0 0x0 0.0.0.0 '[::1]' '[0:0:0:0:0:0:0:1]' '[::]' \
	'[::ffff:127.0.0.1]' '[::ffff:7f00:1]' '[0:0:0:0:0:ffff:7f00:0001]'; do
	next
	try "loopback as $l" layer=ebpf box=d attempt="curl -sS -g -m 3 'http://$l:$PORT/'" harm="hit tcp $PORT" \
		control="$CAN_OWN" \
		log="action=deny dst_host=(127.0.0.1|::1) dst_port=$PORT binary=$CURL deny_reason=\"loopback service of the host\""
done
next
try "loopback as localhost" layer=ebpf box=d attempt="curl -4 -sS -m 3 http://localhost:$PORT/" harm="hit tcp $PORT" control="$CAN_OWN" \
	log="action=deny dst_host=127.0.0.1 dst_port=$PORT binary=$CURL deny_reason=\"loopback service of the host\""
# What is not loopback for the kernel, but must never be reached.
p=4100
for a in 169.254.169.254 169.254.170.2 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1::1 2002:a9fe:a9fe::1 64:ff9b:1::7f00:1 fec0::1 100::1 \
	::7f00:1 ::ffff:169.254.169.254 ::ffff:0:7f00:1 2001:db8::1 fd00:ec2::254 10.1.2.3 172.16.1.1 192.168.1.1 100.64.1.1 192.0.2.1 \
	198.51.100.1 203.0.113.1 240.1.2.3 0.1.2.3 192.88.99.1; do
	n=${a#::ffff:} p=$((p + 1))
	[ "$a" != ::ffff:0:7f00:1 ] || n=$a
	case $a in # private ones a policy could name
	fec0::1 | 10.1.2.3 | 172.16.1.1 | 192.168.1.1 | 100.64.1.1) reason="no matching network policy" ;;
	::7f00:1) reason="address not allowed \(::127\.0\.0\.1: loopback\)" ;;
	*) reason="address not allowed \(${n//./\\.}: [a-z -]+\)" ;;
	esac
	try "literal $a" layer=ebpf box=d attempt="$A connect $a $p" harm="arrived tcp $n $p" control="$CAN" \
		log="action=deny dst_host=[0-9a-f:.]* dst_port=$p binary=$A deny_reason=\"$reason\""
done

# --- names that resolve to them ------------------------------------------------------------------------------------
# resolves WHAT ADDRESS...: names of their own with these addresses, by curl: native, and inspected
resolves() {
	local what=$1 a harm reason=; shift
	for a in "$@"; do [ "$a" = "$OPEN" ] || reason+=${reason:+|}${a#::ffff:}; done
	reason=${reason//./\\.}
	for kind in exact l7; do
		next
		harm="hit tcp $PORT"
		for a in "$@"; do
			name "$a" "n$PORT.$kind.test"
			[ "$a" = "$OPEN" ] || harm+=" || arrived tcp ${a#::ffff:} $PORT"
		done
		if [ $kind = l7 ]; then
			try "inspected name with $what" layer=proxy box=d attempt="curl -sS -m 4 http://n$PORT.l7.test:$PORT/" harm="$harm" control="$CAN_L7" \
				log="l7_decision=deny dst_host=n$PORT.l7.test .*l7_deny_reason=\"?[^\"]*(not allowed|ssrf)"
		else
			try "name with $what" layer=resolver box=d attempt="for i in 1 2 3; do curl -sS -m 4 http://n$PORT.exact.test:$PORT/; [ \$? != 7 ] || exit 7; done" \
				harm="$harm" control="$CAN_NAME" \
				log="action=deny dst_host=n$PORT.exact.test dst_port=$PORT binary=$CURL deny_reason=\"address not allowed \((::ffff:)?($reason): [a-z -]+\)\""
		fi
	done
}
name "$OPEN" good.exact.test good.l7.test
for a in 127.0.0.1 127.8.8.8 0.0.0.0 ::1 :: ::ffff:127.0.0.1 169.254.169.254 ::ffff:169.254.169.254 64:ff9b::7f00:1 2002:7f00:1::1 "$C_IP" "$C_IP6" \
	10.1.2.3 192.168.1.1 100.64.1.1 fd12::1 0.1.2.3 240.1.2.3 198.18.0.77 fec0::1; do
	resolves "$a" "$a"
done
resolves "a public and a loopback address" "$OPEN" 127.0.0.1
resolves "a public address and ::1" "$OPEN" ::1
next
name 93.184.217.5 "n$PORT.ips.test"
try "name with an address outside its allowed_ips" layer=resolver box=d attempt="curl -sS -m 3 http://n$PORT.ips.test:$PORT/" \
	harm="arrived tcp 93.184.217.5 $PORT" control="$CAN_NAME" \
	log="action=deny dst_host=n$PORT.ips.test dst_port=$PORT binary=$CURL deny_reason=\"address not allowed \(93\.184\.217\.5: [a-z_ -]+\)\""

# --- names whose answer changes ------------------------------------------------------------------------------------
# Each is asked for once, and reached, before anything else of the class; and again when that answer is too old to be
# used (LOOKUP_TTL_MIN): then it has another.
REBIND=() # NAME:PORT
rebind() { # rebind WHAT HEX ADDRESS
	local kind n what bad=$3 layer
	for kind in rb rb7; do
		next
		n=p$PORT-5db8d84d-$2.$kind.test # 93.184.216.77, $OPEN
		REBIND+=("$n:$PORT")
		layer=resolver what=native
		[ $kind = rb ] || layer=proxy what=inspected
		try "rebinding to $1, $what" layer=$layer box=d alone=1 before=old_answers \
			attempt="curl -sS -m $((4 * PATIENCE)) http://$n:$PORT/" harm="hit tcp $PORT || arrived tcp $bad $PORT" \
			tried="arrived tcp $OPEN $PORT && handed_out $n 2" control="$CAN_NAME"
		if [ $kind = rb ]; then
			C_LOG[N-1]="action=deny dst_host=$n dst_port=$PORT binary=$CURL deny_reason=\"address not allowed \(${bad//./\\.}: [a-z -]+\)\""
		else
			C_LOG[N-1]="l7_decision=deny dst_host=$n .*l7_deny_reason=\"?[^\"]*(not allowed|ssrf)" C_CONTROL[N-1]=$CAN_L7
		fi
	done
}
# handed_out NAME N: that answer to it, the Nth.
handed_out() { grep -q "^${1%%.*} $2 " "$T/log/rebind.log"; }
old_answers() { [ "$ENFORCED" = 0 ] || while [ $SECONDS -le $((REBIND_SINCE + 31)) ]; do sleep 0.5; done; }
rebind loopback 7f000001 127.0.0.1
rebind metadata a9fea9fe 169.254.169.254
rebind "the host" "$(printf %02x ${C_IP//./ })" "$C_IP"
rebind "a private address" 0a010203 10.1.2.3
rebind "0.0.0.0" 00000000 0.0.0.0
REBIND_TEXT=()
for r in "${REBIND[@]}"; do REBIND_TEXT+=("first.${r##*:}" "curl -sS -m $((2 * PATIENCE)) http://$r/"); done
script "$W/first.sh" "$JOBS" "${REBIND_TEXT[@]}"
inside d "$W/first.sh"
REBIND_SINCE=$SECONDS
