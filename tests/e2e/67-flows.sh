#!/usr/bin/env bash
# What a swap cuts and what it leaves alone: 200 transfers at once (direct, inspected, relayed; down and up) keep their
# sockets and every byte through swaps that do not concern them; then one swap cuts a part of them and no other.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
IP_KEEP=93.184.216.77 IP_DROP=93.184.216.78
gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -I"$TOP" -o "$T/swapper" "$TOP/tests/e2e/swapper.c" \
	"$TOP"/build/libuser.a "$TOP"/build/proxy/loop.o "$TOP"/build/libpolicy.a \
	-lyaml -ljansson -lseccomp -lbpf -lelf -lz -lmd -lpthread || die "swapper.c"
head -c 3000000 /dev/urandom >"$T/srv/files/data" && cp "$T/srv/files/data" "$T/srv/files/other"
cp "$T/srv/files/data" "$T/work/data"
chmod 644 "$T/srv/files"/* "$T/work/data"
SUM=$(sha256sum <"$T/work/data" | cut -c 1-64)

cat >"$T/slow.py" <<'PY'
# `down`: sends the file slowly.  `up`: takes as much, answers with its hash.  `idle`: says hello, then nothing.
import asyncio, hashlib, sys
data = open(sys.argv[1], "rb").read()
async def serve(r, w):
    try:
        what = await r.readline()
        if what == b"down\n":
            for i in range(0, len(data), 25000):
                w.write(data[i:i + 25000])
                await w.drain()
                await asyncio.sleep(0.1)
        elif what == b"up\n":
            h = hashlib.sha256(await r.readexactly(len(data)))
            w.write(h.hexdigest().encode())
        else:
            w.write(b"hello")
            await r.read()
        await w.drain()
        w.close()
    except (OSError, asyncio.IncompleteReadError):
        pass
async def main():
    s = await asyncio.start_server(serve, "0.0.0.0", 4000, backlog=4096)
    print("ready", flush=True)
    await s.serve_forever()
asyncio.run(main())
PY
"${INS[@]}" python3 -u "$T/slow.py" "$T/work/data" >"$T/log/slow.log" 2>&1 </dev/null &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/slow.log"

cat >"$T/work/flows.py" <<'PY'
# flows.py HOLD KIND,HOST,COUNT...: so many connections at once, one attempt each; a line for each when it is over:
# KIND HOST whole|differs|cut|held TIME (monotonic, ns) DETAIL.
import hashlib, http.client, os, socket, ssl, sys, threading, time
data = open("data", "rb").read()
good = hashlib.sha256(data).hexdigest()
hold = float(sys.argv[1])
lock = threading.Lock()
up = 0
def say(kind, host, how, detail=""):
    t = time.monotonic_ns()
    with lock:
        print(kind, host, how, t, str(detail).replace(" ", "_"), flush=True)
def started(n=1):
    global up
    with lock:
        up += n
        if up == total:
            print("all up", flush=True)
def slowly(send):
    for i in range(0, len(data), 25000):
        send(data[i:i + 25000])
        time.sleep(0.1)
def read_all(f):
    h = hashlib.sha256()
    while True:
        b = f.read(65536)
        if not b:
            return h.hexdigest()
        h.update(b)
def direct(kind, host):
    s = socket.create_connection((host, 4000))
    s.sendall(kind.encode() + b"\n")
    started()
    if kind == "down":
        return read_all(s.makefile("rb"))
    if kind == "up":
        slowly(s.sendall)
        return s.makefile("rb").read().decode()
    s.recv(5)
    s.settimeout(hold)
    try:
        return "closed" if not s.recv(1) else "odd"
    except TimeoutError:
        return "held"
def web(kind, host, n):
    if kind.startswith("skip"):
        c = http.client.HTTPSConnection(host, context=ssl._create_unverified_context())
        head = {"Host": "files.example.test"}
    else:
        c = http.client.HTTPSConnection(host)
        head = {}
    c.auto_open = True
    c.connect()
    c.auto_open = False # never a second socket
    if kind == "put":
        started()
        c.putrequest("PUT", "/up/%d" % n)
        c.putheader("Content-Length", str(len(data)))
        c.endheaders()
        slowly(c.send)
        r = c.getresponse()
        r.read()
        return good if r.status in (201, 204) else "status %d" % r.status
    if kind == "web-idle":
        c.request("GET", "/zen", headers=head)
        c.getresponse().read()
        started()
        c.sock.settimeout(hold)
        try:
            return "closed" if not c.sock.recv(1) else "odd"
        except TimeoutError:
            pass
        c.request("GET", "/zen", headers=head)
        return "held" if c.getresponse().status == 200 else "refused"
    path = {"get-api": "/download", "get-other": "/slow/other"}.get(kind, "/slow/data")
    c.request("GET", path, headers=head)
    r = c.getresponse()
    started()
    return read_all(r) if r.status == 200 else "status %d" % r.status
def one(kind, host, n):
    try:
        how = direct(kind, host) if kind in ("down", "up", "idle") else web(kind, host, n)
        say(kind, host, "whole" if how == good else how if how in ("held",) else "differs", how)
    except Exception as e:
        say(kind, host, "cut", repr(e))
jobs = [(k, h, i) for k, h, c in (a.split(",") for a in sys.argv[2:]) for i in range(int(c))]
total = len(jobs)
for j in jobs:
    threading.Thread(target=one, args=j).start()
    time.sleep(0.005)
PY
chmod 644 "$T/work/flows.py"

# part BLOCK KEEPALL: the blocks of the policies; `all` with what the last swap takes away.
part() {
	case $1 in
	direct)
		echo "  direct: {endpoints: [{host: keep.example.test, port: 4000}], binaries: [{path: '**/python3*'}]}"
		[ "$2" = some ] || echo "  gone: {endpoints: [{host: drop.example.test, port: 4000}], binaries: [{path: '**/python3*'}]}"
		;;
	web)
		echo "  web:"
		echo "    endpoints:"
		echo "      - host: files.example.test"
		echo "        port: 443"
		echo "        protocol: rest"
		echo "        rules:"
		echo "          - allow: {method: GET, path: /slow/data}"
		[ "$2" = some ] || echo "          - allow: {method: GET, path: /slow/other}"
		echo "          - allow: {method: PUT, path: '/up/*'}"
		[ "$2" = some ] || echo "      - {host: api.github.com, port: 443, protocol: rest, access: read-only}"
		echo "    binaries: [{path: '**/python3*'}]"
		;;
	skip)
		echo "  skip: {endpoints: [{host: skip.example.test, port: 443, protocol: rest, tls: skip}], binaries: [{path: '**/python3*'}]}"
		[ "$2" = some ] || echo "  skipgone: {endpoints: [{host: sdrop.example.test, port: 443, protocol: rest, tls: skip}], binaries: [{path: '**/python3*'}]}"
		;;
	more) echo "  more: {endpoints: [{host: more.example.test, port: 1}], binaries: [{path: /bin/true}]}" ;;
	esac
}
made() { # made FILE all|some BLOCK...
	local f=$1 which=$2 b; shift 2
	{ echo "network_policies:"; for b in "$@"; do part "$b" "$which"; done; } | policy "$f"
}
made all.yaml all direct web skip
made all2.yaml all more skip web direct
made all3.yaml all web more direct skip
made some.yaml some more web skip direct
must_start s "$T/all.yaml" --add-host "keep.example.test:$IP_KEEP" --add-host "drop.example.test:$IP_DROP" \
	--add-host "skip.example.test:$FILES_IP" --add-host "sdrop.example.test:$FILES_IP"
UIDN=$(id -u sandbox)
results() { grep -cE "$1" "$OUTF"; }

section "200 transfers through swaps that do not concern them"
mark access
bg s python3 "$T/work/flows.py" 10 down,keep.example.test,60 up,keep.example.test,40 get,files.example.test,40 \
	put,files.example.test,30 skip-get,skip.example.test,26 idle,keep.example.test,2 web-idle,api.github.com,2
OUTF=$BG_OUT
check "control: all are under way" until_true 30 grep -q "^all up" "$OUTF"
"$T/swapper" "${PFX}s" "$UIDN" "$T/all.yaml" "$T/all2.yaml" "$T/all3.yaml" 9 >"$T/swaps" 2>"$T/swapper.err" </dev/null
OUT=$(cat "$T/swapper.err") RC=$?
check "50 swaps or more meanwhile ($OUT)" test "$(wc -l <"$T/swaps")" -gt 50
check "the last transfer ends" until_true 60 eval '[ "$(results "whole|held|cut|differs")" = 200 ]'
OUT=$(grep -vE " whole | held |^all up" "$OUTF") RC=0
check "every byte came, over the first socket" test "$(results ' whole ')" = 196 -a "$(results ' held ')" = 4
SETTLE=0.5
check "each request reached the server once" all 'count_is access "files.example.test .GET /slow/data" 66' 'count_is access "PUT /up/" 30'
OUT=$(sha256sum "$T"/srv/up/* | grep -v "^$SUM")
check "what was sent up is whole there" test -z "$OUT" -a "$(ls "$T/srv/up" | wc -l)" = 30
check "nothing was cut, says the log" all '! logged s "action=revoke"' '! logged s "closed: the new policy"' '! logged s "kind=request .*l7_decision=(deny|error)"'

section "a swap that takes some away"
bg s python3 "$T/work/flows.py" 6 down,keep.example.test,15 up,keep.example.test,10 get,files.example.test,10 \
	put,files.example.test,5 skip-get,skip.example.test,10 idle,keep.example.test,5 \
	down,drop.example.test,20 up,drop.example.test,10 idle,drop.example.test,10 get-api,api.github.com,10 \
	web-idle,api.github.com,10 get-other,files.example.test,10 skip-get,sdrop.example.test,10
OUTF=$BG_OUT
GONE='drop.example.test|api.github.com|^get-other'
check "control: all are under way" until_true 30 grep -q "^all up" "$OUTF"
"$T/swapper" "${PFX}s" "$UIDN" "$T/all.yaml" "$T/some.yaml" 0.001 >"$T/swaps" 2>"$T/swapper.err" </dev/null
OUT=$(cat "$T/swapper.err") RC=$?
check "the swap ($OUT)" test "$(wc -l <"$T/swaps")" = 2
check "what the new policy does not admit is cut within 5 s" until_true 5 eval '[ "$(grep -E "$GONE" "$OUTF" | grep -cE " cut | differs ")" = 80 ]'
read -r _ _ STORE < <(tail -n 1 "$T/swaps")
grep -E "$GONE" "$OUTF" | grep -E " cut | differs " | awk -v s="$STORE" '
	{ k = $1 " " $2; d = ($4 - s) / 1e6; v[++n] = d; if (d > m[k]) m[k] = d }
	END { for (k in m) printf "# %s: the last after %.1f ms\n", k, m[k] }'
# An upload notices when it next writes, so it is not in this.
MS=$(grep -E "$GONE" "$OUTF" | grep -v ^up | grep -E " cut | differs " | awk -v s="$STORE" '{printf "%.1f\n", ($4 - s) / 1e6}' | sort -g |
	awk '{v[NR] = $1} END {printf "median %s ms, longest %s ms after the store", v[int((NR + 1) / 2)], v[NR]}')
echo "# cut: $MS (aim: 100 ms)"
check "the last transfer ends" until_true 60 eval '[ "$(results "whole|held|cut|differs")" = 135 ]'
OUT=$(grep -vE "$GONE" "$OUTF" | grep -vE " whole | held |^all up")
check "the others lose no byte" test -z "$OUT"
OUT=$(grep -E "$GONE" "$OUTF" | grep -vE " cut | differs ")
check "none of those cut was whole" test -z "$OUT"
check "the log says which were closed" all 'logged s "action=revoke dst_host=drop\.example\.test"' '! logged s "action=revoke dst_host=keep"'
finish
