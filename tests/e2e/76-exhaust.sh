#!/usr/bin/env bash
# What a program can use up from inside: processes, memory, descriptors, sockets, the tables of the kernel side, the proxy's
# connections, the log's disk.  Supervisor and host go on working, what is denied stays denied, and when it stops an allowed
# request works again.  Only in a guest (scripts/kernels.sh): a host of its own, which nothing else needs.
if [ "${OSHT_GUEST:-}" != 1 ]; then
	echo "skipped: only in a guest (scripts/kernels.sh)"
	echo "0 passed, 0 failed"
	exit 0
fi
. "$(dirname "$0")/lib.sh"
# As systemd does on a host.
for c in pids memory; do echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control; done 2>/dev/null
e2e_up
sniff_up
OK_IP=93.184.216.80 NO_IP=93.184.216.81 API_IP_=93.184.216.82
W=$T/work
gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$W/one" "$TOP/tests/e2e/swap.c" -lpthread || die "swap.c"
"${INS[@]}" "$W/one" serve 4000 8080 >"$T/log/serve.log" 2>&1 </dev/null &
on_exit "stop $!"
until_true 10 grep -q ready "$T/log/serve.log"
policy p.yaml <<YAML
network_policies:
  api:
    endpoints:
      - {host: api.example.test, port: 8080, protocol: rest, rules: [{allow: {method: GET, path: /both}}]}
      - {host: "*.many.example.test", port: 8080, protocol: rest, access: read-only}
    binaries: [{path: $(real curl)}, {path: $(real python3)}]
YAML
cat >"$W/use.py" <<'PY'
import os, resource, socket, sys, time
what, seconds = sys.argv[1], float(sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
end = time.time() + seconds
n, kept, fails = 0, [], 0
if what == "processes":
    while time.time() < end:
        try:
            pid = os.fork()
        except OSError:
            fails += 1
            time.sleep(0.01)
            continue
        if pid == 0:
            time.sleep(max(0, end - time.time()))
            os._exit(0)
        n += 1
elif what == "memory":
    if os.fork() == 0:
        while True:
            kept.append(bytearray(b"x") * (8 << 20))
    n = os.wait()[1]
elif what == "descriptors":
    for _ in range(20):
        if os.fork() == 0:
            try:
                while True:
                    kept.append(socket.socket())
            except OSError:
                time.sleep(max(0, end - time.time()))
                os._exit(0)
    while time.time() < end:
        time.sleep(0.1)
        n += 1
elif what == "connections":
    # To the proxy, never saying a word.
    a = socket.getaddrinfo("api.example.test", 8080, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    for _ in range(int(sys.argv[3])):
        if os.fork() == 0:
            while time.time() < end:
                try:
                    s = socket.socket()
                    s.setblocking(False)
                    s.connect_ex(a)
                    kept.append(s)
                except OSError:
                    time.sleep(0.1)
            os._exit(0)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
elif what == "names":
    while time.time() < end or n < 20000:
        try:
            socket.getaddrinfo("h%d.many.example.test" % n, 8080, socket.AF_INET)
        except OSError:
            fails += 1
        n += 1
        if time.time() > end + 60:
            break
print("done", n, fails)
PY
well() { # well WHAT: the sandbox as it should be
	local name=${2:-s}
	sb "$name" curl -s -m 20 --retry 5 --retry-all-errors -o /dev/null -w '%{http_code}' http://api.example.test:8080/both
	check "$1: afterwards an allowed request works" all 'rc_is 0' 'out_is 200'
	sb "$name" curl -s -m 20 -o /dev/null -w '%{http_code}' http://api.example.test:8080/no
	check "$1: and a forbidden one does not" out_is 403
}
during() { # during WHAT SECONDS [N]: and while it goes on, status answers and a reload is done
	local what=$1 s=$2 t0; shift
	bg s python3 "$W/use.py" "$what" "$@"
	sleep $((s / 2))
	t0=$(now_ms)
	status_json s >"$T/status.json"
	check "$what: status answers meanwhile ($(($(now_ms) - t0)) ms)" test -s "$T/status.json"
	t0=$(now_ms)
	reload s "$T/p.yaml"
	check "$what: a reload is done meanwhile ($(($(now_ms) - t0)) ms)" rc_is 0
	wait "$BG_PID"
	RC=$? OUT=$(cat "$BG_OUT")
	printf '# %s\n' "$OUT"
}
mark sniff
must_start s "$T/p.yaml" --pids-max 300 --memory-max 256M --add-host "api.example.test:$API_IP_" --add-host "no.example.test:$NO_IP"
OUT=$("${OSHC[@]}" status "${PFX}s" 2>&1); RC=$?
check "status says what holds" out_has 'limits +processes: 300 \(cgroup\); memory: 256 MiB \(cgroup\)'
SUP=$(json_field "$(status_json s)" pid)
well control

section "processes"
during processes 8
check "forks fail at the limit" all 'rc_is 0' '[ "$(awk "/^done/ {print \$3}" "$BG_OUT")" -gt 0 ]' '[ "$(awk "/^done/ {print \$2}" "$BG_OUT")" -lt 300 ]'
well processes
section "memory"
during memory 8
check "the process is killed, in its cgroup" out_has '^done 9 '
well memory
section "descriptors"
during descriptors 8
well descriptors
section "connections to the proxy"
during connections 20 6
well connections
section "flows that the proxy does not take"
kill -STOP "$(proxy_pid s)"
bg s python3 "$W/use.py" connections 12 8
sleep 10
kill -CONT "$(proxy_pid s)"
wait "$BG_PID"
well flows
section "names"
during names 20
well names

section "the log's disk is full"
LOGS=/var/lib/osh-enforce
mkdir -p "$LOGS"
mount -t tmpfs -o size=6m tmpfs "$LOGS" && on_exit "umount $LOGS"
must_start d "$T/p.yaml" --add-host "api.example.test:$API_IP_"
head -c 6000000 /dev/zero >"$LOGS/fill" 2>/dev/null
cat /dev/zero >>"$LOGS/fill" 2>/dev/null
# More than the 2 MiB of lines that are kept in memory until there is room again.
for i in {1..16}; do sb d python3 -c 'import socket
for i in range(500):
    s = socket.socket()
    try: s.connect(("10.9.%d.%d" % (i / 250, i % 250 + 1), 81))
    except PermissionError: pass'; done
sb d curl -s -m 20 -o /dev/null -w '%{http_code}' http://api.example.test:8080/both
check "enforcement goes on: allowed" out_is 200
sb d curl -s -m 20 -o /dev/null -w '%{http_code}' http://api.example.test:8080/no
check "and denied" out_is 403
LOST=$(json_field "$(status_json d)" lost.log)
check "what could not be written is counted ($LOST)" test "${LOST:-0}" -gt 0
rm -f "$LOGS/fill"
sleep 1
logs d
check "and stated in the log once there is room" out_has 'message="records could not be written and are lost" count=[1-9][0-9]* .*since='
well "disk" d
delete d

section "in the end"
check "the supervisor lived through all of it" test "$(json_field "$(status_json s)" pid)" = "$SUP"
OUT=$(show_seen sniff | grep -vE "^tcp $C_IP [0-9]+ $API_IP_ 8080$|^icmp6? ")
check "not one packet that policy forbids" out_is ''
delete s
OUT=$(sandbox_left "${PFX}s")
check "nothing is left" out_is ''
finish
