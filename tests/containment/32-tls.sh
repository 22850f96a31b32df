# shellcheck shell=bash
# TLS as no client should speak it (32-tls.py): to an endpoint where TLS ends at the proxy, judged by requests at the
# server, and to one that is relayed unopened, judged by the bytes of the hello at the server; and servers whose
# certificates are no good.
PY=$(real python3)
policy tls.yaml <<EOP
network_policies:
  inspected:
    endpoints: [{host: "*.tls.test", ports: [8443, 8444, 8445, 8446, 8447, 8448, 8449, 8450, 8451], protocol: rest, access: read-only}]
    binaries: [{path: $PY}]
  relayed:
    endpoints: [{host: "*.skip.test", port: 9443, tls: skip}]
    binaries: [{path: $PY}]
EOP
# certificate FILE DAYS-FROM DAYS-TO NAMES USAGE [self]
certificate() {
	local f=$1 from to
	from=$(date -u -d "$2 days" +%y%m%d%H%M%SZ) to=$(date -u -d "$3 days" +%y%m%d%H%M%SZ)
	mkdir -p "$T/tlsca" && : >"$T/tlsca/index" && printf "%04d" $((RANDOM % 10000)) >"$T/tlsca/serial"
	openssl ecparam -name prime256v1 -genkey -noout -out "$T/$f.key" &&
	openssl req -new -key "$T/$f.key" -subj "/CN=$f" -out "$T/$f.csr" &&
	openssl ca -batch -notext -config <(printf '[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=%s\ndatabase=%s/index\nserial=%s/serial\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n' \
		"$T/tlsca" "$T/tlsca" "$T/tlsca") -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=%s\n' "$4" "$5") \
		-startdate "$from" -enddate "$to" -in "$T/$f.csr" -out "$T/$f.pem" \
		-cert "${6:-$CA}" -keyfile "${7:-$T/ca.key}" 2>"$T/log/ca.log" || die "certificate $f: $(cat "$T/log/ca.log")"
}
NAMES_ALL="DNS:*.tls.test,DNS:*.skip.test"
certificate good -1 2 "$NAMES_ALL" serverAuth
certificate expired -20 -10 "$NAMES_ALL" serverAuth
certificate wrongname -1 2 DNS:other.example.test serverAuth
certificate future 10 20 "$NAMES_ALL" serverAuth
certificate notserver -1 2 "$NAMES_ALL" clientAuth
cp "$T/notserver.pem" "$W/client.pem" && install -o sandbox "$T/notserver.key" "$W/client.key"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=self -addext "subjectAltName=$NAMES_ALL" \
	-keyout "$T/selfsigned.key" -out "$T/selfsigned.pem" 2>/dev/null || die "self-signed certificate"
pair() { echo "$1:$2:$T/$3.pem:$T/$3.key"; }
web_up "$(pair tls 8443 good)" "$(pair tls 8444 expired)" "$(pair tls 8445 wrongname)" \
	"$(pair tls 8446 selfsigned)" "$(pair tls 8447 future)" "$(pair tls 8448 notserver)" "$(pair oldtls 8449 good)" \
	"$(pair asktls 8450 good):$CA" "$(pair certtls 8451 good):$CA" raw:9443
class_down() { stop "$WEB"; rm -rf "$T/web"; }
recorded() { grep -rqaPz -- "$1" "$T/web"; }
cp "$DIR/32-tls.py" "$W/tls.py"
box t tls.yaml
while IFS=$'\t' read -r n domain port what control log expect harm; do
	name "$OPEN" "$n.$domain.test"
	case $log in
	none) log='' ;;
	*) log="l7_decision=(deny|error) dst_host=$n\.$domain\.test .*reason=\"?[^\"]*($log).*binary=$PY" ;;
	esac
	case $domain in tls) what="inspected: $what" ;; skip) what="relayed: $what" ;; esac
	try "$what" layer=proxy box=t attempt="python3 $W/tls.py $n $n.$domain.test" harm="recorded '$harm'" expect="${expect%block}" \
		control="python3 $W/tls.py $control $control.$domain.test" log="$log"
done < <(python3 "$DIR/32-tls.py" --list)
