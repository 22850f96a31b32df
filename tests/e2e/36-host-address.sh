#!/usr/bin/env bash
# Addresses that are the host's own but that nobody told the kernel programs of: made local by a route, or given to an
# interface when the supervisor is dead.  The policy allows them; the host's service behind them must not be reached.
. "$(dirname "$0")/lib.sh"
e2e_up
sinks_up
nginx_up
policy p.yaml <<EOP
network_policies:
  native:
    endpoints:
      - {host: 10.99.0.1, port: 4000}
      - {host: 10.99.0.2, port: 4000}
      - {host: "fd99::1", port: 4000}
      - {host: native.example.test, port: 4000, allowed_ips: [10.99.0.3]}
    binaries: [{path: "**"}]
  inspected:
    endpoints: [{host: 10.99.0.4, port: 80, protocol: rest, access: full}]
    binaries: [{path: "**"}]
EOP
cat >"$T/host.py" <<'PY'
# Services of the host, on every address: a line for each connection.
import selectors, socket
sel = selectors.DefaultSelector()
for port in 4000, 80:
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    sel.register(s, 1)
print("ready", flush=True)
while True:
    for k, _ in sel.select():
        c, a = k.fileobj.accept()
        print("host", c.getsockname()[0], flush=True)
        c.sendall(b"HTTP/1.0 200 OK\r\n\r\nfrom the host"); c.close()
PY
cat >"$T/work/reach.py" <<'PY'
import socket, sys, time
time.sleep(float(sys.argv[1]))
for a in sys.argv[2:]:
    host, port = a.split(",")
    try:
        s = socket.create_connection((host, int(port)), 3)
        s.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host.encode())
        print("answer", host, s.recv(100).split(b"\r\n")[0], flush=True)
    except OSError as e:
        print("none", host, e, flush=True)
PY
chmod 644 "$T/work/reach.py"
"${INC[@]}" python3 -u "$T/host.py" >"$T/log/host.log" 2>"$T/log/host.err" </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/host.log" || die "no service on the host"
must_start a "$T/p.yaml" --add-host "native.example.test:10.99.0.3"
ALL=("10.99.0.1,4000" "fd99::1,4000" "native.example.test,4000" "10.99.0.4,80")
reach() { sb a python3 "$T/work/reach.py" 0 "$@"; }
here() { # here ADDRESS...: local by a route, no interface has them
	local a
	for a; do ip -n "$C_NS" route add local "$a" dev lo; done
}

section "of another host"
mark sinks
reach "${ALL[@]}"
check "control: all four answer" all 'rc_is 0' '[ "$(grep -c ^answer <<<"$OUT")" = 4 ]'
check "control: over there" all 'came sinks "^tcp 10\.99\.0\.1 4000"' 'came sinks "^tcp fd99::1 4000"' 'came sinks "^tcp 10\.99\.0\.3 4000"'

section "made local by a route"
here 10.99.0.1 10.99.0.3 10.99.0.4 fd99::1
outside python3 "$T/work/reach.py" 0 "10.99.0.1,4000" "fd99::1,4000" "10.99.0.3,4000" "10.99.0.4,80"
check "control: outside a sandbox the host's service answers" '[' "$(grep -c ^host "$T/log/host.log")" = 4 ']'
mark host
for a in "${ALL[@]}"; do
	reach "$a"
	check "$a: the service sees nobody" came_not host .
	check "and the program gets no answer of it" out_lacks 'answer.* 200'
done
for h in 10.99.0.1 fd99::1 native.example.test; do
	check "logged: $h" logged a "action=deny dst_host=$h dst_port=4000 .*deny_reason=\"loopback service of the host\""
done
check "loopback inside still works" eval 'sb a python3 -c "
import socket
l = socket.create_server((\"127.0.0.1\", 0)); c = socket.create_connection(l.getsockname()); s, _ = l.accept()
s.sendall(b\"x\"); print(c.recv(1))"; says "x"'

section "new, with a dead supervisor"
bg a bash -c "python3 $T/work/reach.py 2 10.99.0.2,4000 >/tmp/alive 2>&1; sleep 30"
until_true 5 eval 'LEFT=$(pgrep -f "^python3 $T/work/reach.py 2 10.99"); [ "$LEFT" ]'
mark host
kill -9 "$(json_field "$(status_json a)" pid)"
ip -n "$C_NS" addr add 10.99.0.2/32 dev lo
until_true 10 eval '! kill -0 "$LEFT" 2>/dev/null'
check "the program outlived the supervisor" '[' "$LEFT" ']'
check "10.99.0.2: the service sees nobody" came_not host .
outside python3 "$T/work/reach.py" 0 "10.99.0.2,4000"
check "control: outside it answers" came host 10.99.0.2
finish
