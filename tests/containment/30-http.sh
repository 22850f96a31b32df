# shellcheck shell=bash
# HTTP/1 as no client should speak it (30-http.py), to an inspected endpoint where GET and POST of /ok/** are allowed.
# Judged by a lenient server (web.py) that writes down every byte.  Each check has a host name of its own: its log line.
PY=$(real python3)
policy http.yaml <<EOP
network_policies:
  web:
    endpoints:
      - host: "*.web.test"
        port: 8080
        protocol: rest
        rules:
          - allow: {method: GET, path: "/ok/**"}
          - allow: {method: POST, path: "/ok/**"}
    binaries: [{path: $PY}]
EOP
web_up plain:8080
class_down() { stop "$WEB"; rm -rf "$T/web"; }
# recorded REGEX: in what one connection brought
recorded() { grep -rqaPz -- "$1" "$T/web"; }
name "$OPEN" c.web.test
cp "$DIR/30-http.py" "$W/http.py"
box h http.yaml
while IFS=$'\t' read -r n what control log expect harm; do
	name "$OPEN" "$n.web.test"
	case $log in
	deny) log="l7_decision=(deny|error) dst_host=$n\.web\.test .*binary=$PY" ;;
	none) log='' ;;
	*) log="l7_decision=deny dst_host=$n\.web\.test .*l7_target=$log .*binary=$PY" ;;
	esac
	try "$what" layer=proxy box=h attempt="python3 $W/http.py $n $n.web.test" harm="recorded '$harm'" expect="${expect%block}" \
		control="python3 $W/http.py $control c.web.test control" log="$log"
done < <(python3 "$DIR/30-http.py" --list)
