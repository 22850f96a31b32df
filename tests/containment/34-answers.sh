# shellcheck shell=bash
# HTTP/1 as no server should speak it (34-answers.py), to an inspected endpoint: what a program gets is one answer to each
# of its requests, in plain HTTP/1.1, of a size that it can hold.  Judged by what a client got that believes everything;
# without enforcement it gets it.  Each check has a host name of its own, and so connections of its own.
PY=$(real python3)
policy answers.yaml <<EOP
network_policies:
  web:
    endpoints: [{host: "*.answer.test", port: 8080, protocol: rest, access: full}]
    binaries: [{path: $PY}]
EOP
: >"$T/log/web.log"
"${INS[@]}" python3 "$DIR/34-answers.py" --serve >"$T/log/web.log" 2>&1 </dev/null &
WEB=$!
on_exit "stop $WEB"
until_true 10 grep -q ready "$T/log/web.log" || die "34-answers.py: $(cat "$T/log/web.log")"
class_down() { stop "$WEB"; }
cp "$DIR/34-answers.py" "$W/answers.py"
box ans answers.yaml
while IFS=$'\t' read -r n what log harm; do
	name "$OPEN" "$n.answer.test" c.answer.test
	expect=''
	[ "$n" != good ] || expect=allow
	case $log in
	error) log="l7_decision=(deny|error|allow) dst_host=$n\.answer\.test .*l7_target=/ok/$n .*reason=.*binary=$PY" ;;
	none) log='' ;;
	esac
	try "$what" layer=proxy box=ans attempt="python3 $W/answers.py $n $n.answer.test" harm="said '$harm'" expect="$expect" \
		control="python3 $W/answers.py good c.answer.test" log="$log"
done < <(python3 "$DIR/34-answers.py" --list)
