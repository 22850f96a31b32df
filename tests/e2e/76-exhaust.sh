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
# use.py WHAT N [ADDRESS]: N processes of it; says `ready` when it has come to that, goes on until the file `stop` is there, and says
# what it was: `done MADE LIMITED`.  Each kind has a bound of its own, should no other one hold.
cat >"$W/use.py" <<'PY'
import mmap, os, resource, select, socket, struct, sys, time
what, many = sys.argv[1], int(sys.argv[2])
STOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stop")
counts = mmap.mmap(-1, 8 * 64)  # made and limited, of each process
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
hard = min(hard, 1000 if what == "descriptors" else 65536)  # so that 20 processes come to it before memory ends
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def stopped():
    return os.path.exists(STOP)


def count(i, made, limited):
    struct.pack_into("II", counts, 8 * i, made, limited)


def total(which):
    return sum(struct.unpack_from("II", counts, 8 * i)[which] for i in range(many))


def in_processes(f, ready):
    for i in range(many):
        if os.fork() == 0:
            f(i)
            os._exit(0)
    said = False
    while not stopped():
        if not said and ready():
            said = True
            print("ready", flush=True)
        time.sleep(0.1)
    for _ in range(many):
        os.wait()
    print("done", total(0), total(1))


def processes():
    made = fails = 0
    while not stopped() and made < 2000:
        try:
            pid = os.fork()
        except OSError:
            fails += 1
            if fails == 1:
                print("ready", flush=True)
            time.sleep(0.05)
            continue
        if pid == 0:
            while not stopped():
                time.sleep(0.5)
            os._exit(0)
        made += 1
    print("done", made, fails)


def memory():
    made = killed = 0
    while not stopped():
        made += 1
        if os.fork() == 0:
            kept = [bytearray(b"x") * (8 << 20) for _ in range(256)]
            os._exit(0)
        killed += os.wait()[1] == 9
        if made == 1:
            print("ready", flush=True)
    print("done", made, killed)


def descriptors(i):
    kept = []
    try:
        while len(kept) < 70000:
            kept.append(socket.socket())
    except OSError:
        count(i, len(kept), 1)
    while not stopped():
        time.sleep(0.1)


def connections(i):
    """To the proxy, never saying a word; 1500 at a time.  Limited: those that were closed."""
    to = (sys.argv[3], 8080)
    kept, made, ended, p = {}, 0, 0, select.poll()
    while not stopped():
        for _ in range(100):
            if len(kept) >= 1500:
                break
            try:
                s = socket.socket()
            except OSError:
                break
            s.setblocking(False)
            s.connect_ex(to)
            kept[s.fileno()] = s
            p.register(s, select.POLLERR | select.POLLHUP)
            made += 1
        for fd, _ in p.poll(0 if len(kept) < 1500 else 50):
            p.unregister(fd)
            kept.pop(fd).close()
            ended += 1
        count(i, made, ended)


def names():
    made = fails = 0
    while made < 20000 and fails < 100:
        try:
            socket.getaddrinfo("h%d.many.example.test" % made, 8080, socket.AF_INET)
        except OSError:
            fails += 1
        made += 1
        if made == 1000:
            print("ready", flush=True)
    while not stopped():
        time.sleep(0.1)
    print("done", made, fails)


if what == "descriptors":
    in_processes(descriptors, lambda: total(1) == many)
elif what == "connections":
    in_processes(connections, lambda: total(0) > 5000)
else:
    globals()[what]()
PY
well() { # well WHAT: the sandbox as it should be
	local name=${2:-s}
	sb "$name" curl -s -m 20 --retry 5 --retry-all-errors -o /dev/null -w '%{http_code}' http://api.example.test:8080/both
	check "$1: afterwards an allowed request works" all 'rc_is 0' 'out_is 200'
	sb "$name" curl -s -m 20 -o /dev/null -w '%{http_code}' http://api.example.test:8080/no
	check "$1: and a forbidden one does not" out_is 403
}
use() { # use NAME WHAT N [ADDRESS]: begins it
	rm -f "$W/stop"
	bg s python3 "$W/use.py" "${@:2}"
	check "$1: it has come to that" until_true 120 grep -q '^ready' "$BG_OUT"
}
used() { # used NAME: ends it; made and limited in MADE and LIMITED, -1 where it did not end as it should
	touch "$W/stop"
	until_true 120 eval '! kill -0 $BG_PID 2>/dev/null' || stop "$BG_PID"
	wait "$BG_PID"
	RC=$? OUT=$(cat "$BG_OUT") MADE=-1 LIMITED=-1
	[ "$RC" = 0 ] && read -r _ MADE LIMITED < <(grep '^done ' "$BG_OUT" || echo done -1 -1)
	check "$1: it went on until it was ended (made $MADE, limited $LIMITED)" test "$MADE" -gt 0
}
during() { # during WHAT N [ADDRESS]: and while it goes on, status answers and a reload is done
	local t0
	use "$1" "$@"
	t0=$(now_ms)
	status_json s >"$T/status.json"
	check "$1: status answers meanwhile ($(($(now_ms) - t0)) ms)" test -s "$T/status.json"
	t0=$(now_ms)
	reload s "$T/p.yaml"
	check "$1: a reload is done meanwhile ($(($(now_ms) - t0)) ms)" rc_is 0
}
mark sniff
must_start s "$T/p.yaml" --pids-max 300 --memory-max 256M --add-host "api.example.test:$API_IP_" --add-host "no.example.test:$NO_IP"
OUT=$("${OSHC[@]}" status "${PFX}s" 2>&1); RC=$?
check "status says what holds" out_has 'limits +processes: 300 \(cgroup\); memory: 256 MiB \(cgroup\)'
SUP=$(json_field "$(status_json s)" pid)
well control

section "processes"
during processes 1
used processes
check "forks fail at the limit" all '[ "$LIMITED" -gt 0 ]' '[ "$MADE" -lt 300 ]' '[ "$MADE" -gt 200 ]'
well processes
section "memory"
during memory 1
used memory
check "each of them is killed, in its cgroup" test "$LIMITED" = "$MADE"
well memory
section "descriptors"
during descriptors 20
used descriptors
check "each process comes to its limit" all '[ "$LIMITED" = 20 ]' '[ "$MADE" -gt 10000 ]'
well descriptors
section "connections to the proxy"
sb s python3 -c 'import socket; print(socket.gethostbyname("api.example.test"))'
ADDRESS=$OUT
during connections 6 "$ADDRESS"
LINE='reason="reset: the proxy has as many connections as it can hold".*binary=[^ ]*/curl'
# Not refused by a time-out, which a slow machine may have as well; the line is written within a second of it.
refused() { sb s curl -s -m 10 -o /dev/null http://api.example.test:8080/both; [ "$RC" != 0 ] && [ "$RC" != 28 ] && until_true 1 logged s "$LINE"; }
check "while it holds all that it can, one more is refused, and the log says so, naming its program" until_true 20 refused
used connections
check "more than it can hold were made, and some were closed" all '[ "$MADE" -gt 5000 ]' '[ "$LIMITED" -gt 0 ]'
well connections
section "flows that the proxy does not take"
waiting() { [ "$("${INC[@]}" ss -Hltn | awk '$2 > n {n = $2} END {print n + 0}')" -ge 4096 ]; }
PRX=$(proxy_pid s)
kill -STOP "${PRX:?}"
use flows connections 8 "$ADDRESS" # the proxy is the resolver, too
check "flows: its queue is full" until_true 60 waiting
kill -CONT "$PRX"
used flows
check "control: afterwards it is not" until_true 60 eval '! waiting'
well flows
section "names"
during names 1
used names
check "names are answered until the table is full" all '[ "$MADE" -gt 8000 ]' '[ "$LIMITED" -ge 100 ]'
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
