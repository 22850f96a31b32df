# shellcheck shell=bash
# The record that a connection leaves for the proxy, taken by another one from the same source port.  $F/allowed may
# reach *.flow.test, which is inspected, and ends its connection in every way there is; a program that may not then takes
# its port, and goes to the proxy's port, to the same destination, or to the proxy by the one way that everybody has:
# DNS over TCP.  Judged by requests at the server.
F=$T/flows PP=8080 TO=$S_IP ASK=$S_IP:8080
mkdir -p "$F"
cp "$A" "$F/allowed"
chmod 755 "$F/allowed"
policy flows.yaml <<EOP
network_policies:
  flow:
    endpoints: [{host: "*.flow.test", port: 8080, protocol: rest, access: full}]
    binaries: [{path: $F/allowed}]
EOP
web_up plain:8080
class_down() { stop "$WEB"; rm -rf "$T/web"; }
recorded() { grep -rqaE -- "$1" "$T/web"; }
box flows flows.yaml --ro "$F"
if [ "$ENFORCED" = 1 ]; then # without enforcement the server stands in for the proxy, at another address
	PP=$(json_field "$(status_json flows)" proxy_port) TO=127.0.0.1 ASK=8.8.8.8:53
	[ -n "$PP" ] || die "flows: no port of the proxy"
fi
SP=20000 FN=0
address_of() { printf '$(getent ahostsv4 %s.flow.test | awk "{print \\$1; exit}")' "$1"; }
# flow NAME HOW WAY
flow() {
	local what=$1 how=$2 way=$3 to port log='' at n control
	FN=$((FN + 1)) SP=$((SP + 2)) n=f$FN
	own
	name "$OPEN" "$n.flow.test" "c$n.flow.test"
	at=$(address_of "$n")
	control="$F/allowed leave $how $((SP + 1)) $(address_of "c$n") 8080 c$n.flow.test end"
	case $way in
	proxy) to=$TO port=$PP log="action=deny dst_host=127.0.0.1 dst_port=$PP binary=$OWN deny_reason=\"loopback service of the host\"" ;;
	same) to=$at port=8080 log="action=deny dst_host=$n.flow.test dst_port=8080 binary=$OWN deny_reason=\"binary not in policy flow\"" ;;
	dns) to=${ASK%:*} port=${ASK#*:} control+=" && $OWN reuse $((SP + 1)) $to $port c$n.flow.test /evil/c$n | grep -x connected" ;;
	esac
	try "$what, then $way" layer="ebpf proxy" box=flows \
		attempt="exec 3< <($F/allowed leave $how $SP $at 8080 $n.flow.test); read -r -u 3 l; echo \"\$l\"; [ \"\$l\" = left ] && $OWN reuse $SP $to $port $n.flow.test /evil/$n" \
		harm="recorded 'GET /evil/$n '" log="$log" control="$control"
}
for w in proxy same dns; do
	for h in "fin|ended by FIN" "rst|ended by RST" "kill|its program killed" "half|closed while it connects" "lost|never answered" \
		"lostkill|never answered, its program killed" "lostopen|never answered, disconnected"; do
		flow "${h#*|}" "${h%%|*}" $w
	done
done
for h in "rst|ended by RST" "lost|never answered" "lostopen|never answered, disconnected"; do flow "IPv6 socket, ${h#*|}" "${h%%|*}6" dns; done
# The same while the proxy sleeps: it accepts both connections later, when the first one's program is long dead.
PROXY=''
[ "$ENFORCED" = 0 ] || PROXY=$(proxy_pid flows)
asleep() { # asleep NAME: its address is asked for before
	local get=("${INC[@]}" "${AS_USER[@]}")
	[ "$ENFORCED" = 0 ] || get=("${OSHC[@]}" exec "${PFX}flows" --)
	"${get[@]}" getent ahostsv4 "$1" </dev/null | awk '{print $1; exit}' >"$W/$1"
	[ -z "$PROXY" ] || kill -STOP "$PROXY"
}
awake() {
	[ -n "$PROXY" ] || return 0
	kill -CONT "$PROXY"
	until_true 10 answers # and has taken what came before
}
answers() { # each time from another port
	LATER=$((LATER + 1))
	"${OSHC[@]}" exec "${PFX}flows" -- bash -c "$F/allowed leave fin $LATER $(address_of cf1) 8080 cf1.flow.test" </dev/null 2>&1 | grep -qx left
}
LATER=$((SP + 100))
for h in "kill|its program killed before it is accepted" "killsent|killed with its request sent" "half|closed before it is accepted"; do
	FN=$((FN + 1)) SP=$((SP + 2)) n=f$FN
	own
	name "$OPEN" "$n.flow.test"
	try "${h#*|}, then dns" layer="ebpf proxy" box=flows alone=1 before="asleep $n.flow.test" \
		attempt="$F/allowed leave ${h%%|*} $SP \$(cat $W/$n.flow.test) 8080 $n.flow.test && $OWN reuse $SP ${ASK%:*} ${ASK#*:} $n.flow.test /evil/$n" \
		harm="awake; recorded 'GET /evil/$n '" control="$F/allowed leave fin $((SP + 1)) $(address_of cf1) 8080 cf1.flow.test"
done
