#!/usr/bin/env bash
# After a reload: connections that the new policy would not admit are cut, others keep their socket and lose no byte;
# direct ones, inspected ones and one whose connect() crosses the swap.  And nobody takes the proxy's place.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
IP=93.184.216.77
cat >"$T/tick.py" <<'PY'
# Sends a number every 20 ms to whoever connects; prints what it accepted.
import socket, sys, threading, time
def serve(c, port):
    print("open", port, flush=True)
    try:
        for i in range(3000):
            c.sendall(b"%d\n" % i)
            time.sleep(0.02)
    except OSError:
        print("cut", port, flush=True)
def listen(port):
    s = socket.create_server(("0.0.0.0", port), backlog=4096)
    if port == 4000:
        print("ready", flush=True)
    while True:
        c, _ = s.accept()
        threading.Thread(target=serve, args=(c, port), daemon=True).start()
threading.Thread(target=listen, args=(4001,), daemon=True).start()
listen(4000)
PY
"${INS[@]}" python3 -u "$T/tick.py" >"$T/log/tick.log" 2>&1 </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/tick.log"

# Holds one connection to each of the destinations and says, a line each, how it went.
cat >"$T/work/hold.py" <<'PY'
import socket, sys, threading, time
def hold(name, host, port):
    s = socket.create_connection((host, port))
    f, n, t0 = s.makefile("rb"), 0, time.time()
    print(name, "up", flush=True)
    try:
        while time.time() - t0 < float(sys.argv[1]):
            line = f.readline()
            if line != b"%d\n" % n:
                print(name, "lost" if line else "ended", flush=True)
                return
            n += 1
        print(name, "whole", s.getpeername()[1], flush=True)
    except OSError as e:
        print(name, "cut", e.errno, round(time.time() * 1000), flush=True)
for a in sys.argv[2:]:
    name, host, port = a.split(",")
    threading.Thread(target=hold, args=(name, host, int(port))).start()
PY
chmod 644 "$T/work/hold.py"
both() { # both FILE HOST...: endpoints on 4000, native
	local f=$1 h; shift
	{ echo 'network_policies:'; echo '  direct:'; echo '    endpoints:'
	for h in "$@"; do printf '      - {host: "%s", ports: [4000, 4001]}\n' "$h"; done
	echo '    binaries: [{path: "**"}]'; } | policy "$f"
}
both all.yaml "$IP" keep.example.test drop.example.test
both some.yaml keep.example.test
HOSTS=(--add-host "keep.example.test:$IP" --add-host "drop.example.test:$IP")

section "direct connections"
must_start a "$T/all.yaml" "${HOSTS[@]}"
bg a python3 "$T/work/hold.py" 3 "literal,$IP,4000" "drop,drop.example.test,4000" "keep,keep.example.test,4000"
OUTF=$BG_OUT
until_true 5 eval '[ "$(grep -c " up$" "$OUTF")" = 3 ]'
reload a "$T/some.yaml"
SWAP=$(now_ms)
check "two are closed, as the command says" says '2 direct connections closed'
until_true 8 eval '[ "$(grep -cE "whole|cut|lost|ended" "$OUTF")" = 3 ]'
OUT=$(cat "$OUTF") RC=0
check "the literal address: cut" out_has '^literal cut'
check "the name that went: cut" out_has '^drop cut'
check "the name that stayed: the same socket, not a byte lost" out_has '^keep whole'
late=$(awk -v s="$SWAP" '/cut/ {d = $4 - s; if (d > m) m = d} END {print m + 0}' "$OUTF")
check "cut soon after the swap ($late ms after the command's end)" test "$late" -lt 5000
check "logged" logged a 'action=revoke dst_host=drop\.example\.test dst_port=4000'
run "${OSHC[@]}" exec "${PFX}a" -- python3 -c "import socket; socket.create_connection(('$IP', 4000))"
check "a new connection is refused" rc_not 0

section "connects while policies are swapped back and forth"
cat >"$T/work/storm.py" <<'PY'
# Connects as fast as it can for some seconds; leaves every connection open and counts those that still live at the end.
import socket, sys, time
end, ok, refused, live = time.time() + float(sys.argv[2]), 0, 0, []
while time.time() < end:
    s = socket.socket()
    try:
        s.connect((sys.argv[1], 4001))
        ok += 1
        live.append(s)
        if len(live) > 500:
            live.pop(0).close()
    except PermissionError:
        refused += 1
        time.sleep(0.001)
    except OSError:
        refused += 1
print("connected", ok, "refused", refused, flush=True)
time.sleep(2)
alive = 0
for s in live:
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
    except BlockingIOError:
        alive += 1
    except OSError:
        pass
print("alive", alive, flush=True)
PY
chmod 644 "$T/work/storm.py"
bg a python3 "$T/work/storm.py" "$IP" 4
OUTF=$BG_OUT
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
	reload a "$T/all.yaml"
	reload a "$T/some.yaml"
done
until_true 15 grep -q '^alive' "$OUTF"
OUT=$(cat "$OUTF") RC=0
check "control: some were let through, some refused ($(head -1 "$OUTF"))" out_has 'connected [1-9][0-9]* refused [1-9]'
check "under the last policy none of them lives" out_has '^alive 0$'

policy l7.yaml <<EOP
network_policies:
  api:
    endpoints: [{host: api.github.com, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: "**"}]
EOP

section "a connection whose endpoint is inspected no more, and again"
policy l4.yaml <<EOP
network_policies:
  api:
    endpoints: [{host: api.github.com, port: 443}]
    binaries: [{path: "**"}]
EOP
cat >"$T/work/posts.py" <<'PY'
import http.client, sys, time
c = http.client.HTTPSConnection("api.github.com", timeout=20)
c.connect()
port, last, end = c.sock.getsockname()[1], None, time.time() + 30
c.auto_open = 0
while time.time() < end:
    try:
        c.request("POST", "/repos/octocat/hello-world/issues", b"{}")
        r = c.getresponse()
        r.read()
    except Exception as e:
        print("gone", type(e).__name__, flush=True)
        break
    if r.status != last:
        last = r.status
        print(last, "same" if c.sock and c.sock.getsockname()[1] == port else "another", flush=True)
    time.sleep(0.05)
PY
chmod 644 "$T/work/posts.py"
must_start c "$T/l7.yaml"
bg c python3 "$T/work/posts.py"
OUTF=$BG_OUT
check "inspected: a POST is refused" until_true 8 grep -q '^403 same' "$OUTF"
reload c "$T/l4.yaml"
check "not inspected any more: the same connection goes on, its POST passes" until_true 8 grep -q '^201 same' "$OUTF"
reload c "$T/l7.yaml"
check "inspected again: the same connection, refused" until_true 8 eval '[ "$(grep -c "^403 same" "$OUTF")" = 2 ]'
check "nothing was cut" eval '! grep -qE "gone|another" "$OUTF"'

section "nobody takes the place of a dead proxy"
must_start b "$T/l7.yaml"
PORT=$(json_field "$(status_json b)" proxy_port)
SUP=$(json_field "$(status_json b)" pid)
bg b bash -c 'for i in $(seq 40); do (echo > /dev/tcp/api.github.com/443) && echo connected || echo refused; sleep 0.2; done 2>&1'
OUTF=$BG_OUT
check "control: connections are turned to the proxy" until_true 5 grep -q connected "$OUTF"
kill -9 "$SUP"
until_true 3 eval '! kill -0 "$SUP" 2>/dev/null'
"${INC[@]}" python3 -u -c "
import socket
s = socket.create_server(('127.0.0.1', $PORT)); s.settimeout(3)
print('listening', flush=True)
try:
    while True:
        c, _ = s.accept(); print('stolen', flush=True)
except OSError: pass" >"$T/log/thief.log" 2>&1 </dev/null &
THIEF=$!
on_exit "stop $THIEF"
check "control: the port is free for somebody else" until_true 3 grep -q listening "$T/log/thief.log"
wait "$THIEF"
check "no connection of the sandbox reaches it" eval '! grep -q stolen "$T/log/thief.log"'
delete b # or another command's sweep was first
check "the dead supervisor's sandbox is cleared up" test ! -e "/run/osh-enforce/${PFX}b"
finish
