#!/usr/bin/env bash
# socket() calls that seccomp refuses: EPERM, one log line each with who and what; bounded under a flood; refused all
# the same when the supervisor is dead; and nobody inside can answer for them.
. "$(dirname "$0")/lib.sh"
e2e_up
probe_up
policy p.yaml </dev/null
must_start a "$T/p.yaml"
W=$T/work

section "each kind is refused and has its line"
# said FAMILY TYPE PROTOCOL WORD FIELDS
said() {
	sb a "$PROBE" socket "$1" "$2" "$3"
	check "$4 ($1 $2 $3) is refused" all 'rc_is 1' 'out_has "Operation not permitted"'
	check "and logged, with binary and words" logged a \
		"kind=socket action=deny binary=$PROBE deny_reason=\"protocol not allowed \\($4\\)\" policy=- $5 pid=[0-9]+ uid=$(id -u sandbox) "
}
said 2 3 1 icmp "family=inet type=raw protocol=icmp"
said 2 2 1 icmp "family=inet type=dgram protocol=icmp"
said 10 3 58 icmp "family=inet6 type=raw protocol=icmp"
said 2 3 6 raw "family=inet type=raw protocol=tcp"
said 2 3 255 raw 'family=inet type=raw protocol="protocol 255"'
said 2 1 132 sctp "family=inet type=stream protocol=sctp"
said 2 5 132 sctp "family=inet type=seqpacket protocol=sctp"
said 2 1 262 mptcp "family=inet type=stream protocol=mptcp"
said 2 2 136 udplite "family=inet type=dgram protocol=udplite"
said 17 3 768 packet "family=packet type=raw protocol=768"
said 38 5 0 alg "family=alg type=seqpacket protocol=0"
said 40 1 0 vsock "family=vsock type=stream protocol=0"
said 16 3 9 netlink "family=netlink type=raw protocol=9"
said 15 3 2 key "family=key type=raw protocol=2"
said 999 1 0 "family 999" 'family="family 999" type=stream protocol=0'
sb a "$PROBE" socket 2 $((2 | 02000000 | 04000)) 1
check "flags in the type change nothing" all 'rc_is 1' 'out_has "Operation not permitted"'
for ok in "2 1 6" "2 2 17" "10 1 0" "1 1 0" "16 3 0"; do
	# shellcheck disable=SC2086
	sb a "$PROBE" socket $ok
	check "control: socket $ok is made" rc_is 0
done
check "and not logged" all '! logged a "kind=socket.*type=(stream|dgram) protocol=(tcp|udp) "' '! logged a "kind=socket .*family=(unix|netlink) .*protocol=0 "'

section "who it was"
cat >"$W/thread.py" <<'EOP'
import os, socket, threading
def f():
    try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
    except PermissionError: print("tid", threading.get_native_id(), "pid", os.getpid())
t = threading.Thread(target=f); t.start(); t.join()
EOP
sbsh a "sh -c 'python3 $W/thread.py; true'"
PID=$(grep -oE 'pid [0-9]+$' <<<"$OUT" | grep -oE '[0-9]+')
check "a thread's call carries its process, its executable and its ancestors" logged a \
	"binary=$(real python3) deny_reason=\"protocol not allowed \\(raw\\)\" .*protocol=sctp pid=$PID uid=[0-9]+ ancestors=[^ ]*$(real bash)"

section "nobody inside answers"
cat >"$W/listener.py" <<'EOP'
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
prog = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))          # RET ALLOW
notify = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fc00000))        # RET USER_NOTIF
def load(code, flags):
    fprog = struct.pack("HxxxxxxP", 1, ctypes.addressof(code))
    r = libc.syscall(317 if os.uname().machine == "x86_64" else 277, 1, flags, fprog)
    return "loaded" if r >= 0 else os.strerror(ctypes.get_errno())
print("plain:", load(prog, 0))
print("listener:", load(notify, 8))
print("fds:", *[os.readlink("/proc/self/fd/" + f) for f in os.listdir("/proc/self/fd") if int(f) > 2 and os.path.islink("/proc/self/fd/" + f)])
EOP
sb a python3 "$W/listener.py"
check "a second listener is refused" out_has '^listener: Operation not permitted$'
check "control: a filter of its own without one loads" out_has '^plain: loaded$'
check "no command holds the listener" all 'rc_is 0' 'out_lacks seccomp'
INIT=$(json_field "$(status_json a)" init_pid)
check "nor does init" all '[ -n "$INIT" ]' '! ls -l "/proc/$INIT/fd" | grep -q seccomp'
check "control: the supervisor does" eval 'ls -l "/proc/$(json_field "$(status_json a)" pid)/fd" | grep -q seccomp'

section "a flood"
cat >"$W/flood.py" <<'EOP'
import socket, sys
n = int(sys.argv[1])
for i in range(n):
    try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 2)
    except PermissionError: continue
    print("MADE")
print("refused", n)
EOP
"${OSHC[@]}" exec "${PFX}a" -- python3 "$W/flood.py" 60000 >"$T/flood.out" 2>&1 </dev/null &
FLOOD=$!
sb a "$PROBE" socket 2 1 33
check "another process's line is not hidden by it" logged a 'deny_reason="protocol not allowed \(dccp\)"'
run "${OSHC[@]}" status "${PFX}a"
check "the supervisor answers meanwhile" rc_is 0
wait "$FLOOD"
check "each of 60,000 is refused" grep -qx 'refused 60000' "$T/flood.out"
sb a true
logs a --format json
SUM=$(python3 -c '
import json, sys
n = 0
for line in sys.stdin:
    try: e = json.loads(line)
    except ValueError: continue
    if e.get("kind") != "socket": continue
    if e.get("protocol") == "protocol 2": n += e.get("suppressed", 1)
print(n)' <<<"$OUT")
LINES=$(grep -c '"protocol 2"' <<<"$OUT")
OUT="counted $SUM, lines $LINES"
check "each is a line or in a count" [ "$SUM" = 60000 ]
check "few of them are lines" [ "$LINES" -lt 30000 ]

section "many processes flood"
cat >"$W/floods.py" <<'EOP'
import os, socket, sys, time
go, end = sys.argv[1], sys.argv[2]
children = []
for i in range(12):
    if (pid := os.fork()) == 0:
        n = 0
        while not os.path.exists(end):
            for _ in range(100):
                try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 3)
                except PermissionError: n += 1
            if i == 0: open(go, "w").close()
        open(f"{end}.{i}", "w").write(str(n))
        os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
print(sum(int(open(f"{end}.{i}").read()) for i in range(12)))
EOP
bg a python3 "$W/floods.py" "$W/go12" "$W/end12"
FLOOD=$BG_PID FLOOD_OUT=$BG_OUT
until_true 30 test -e "$W/go12"
for _ in $(seq 20); do sb a "$PROBE" socket 2 2 77; done
: >"$W/end12"
wait "$FLOOD"
logs a --format json
read -r OWN SUM LINES NAMED < <(python3 -c '
import json, sys
own = n = lines = 0
pids = set()
for line in sys.stdin:
    try: e = json.loads(line)
    except ValueError: continue
    if e.get("kind") != "socket": continue
    own += e.get("protocol") == "protocol 77" and "suppressed" not in e
    if e.get("protocol") == "protocol 3":
        n += e.get("suppressed", 1)
        lines += 1
        pids.add(e["pid"])
print(own, n, lines, len(pids))' <<<"$OUT")
OUT="of another 20 lines: $OWN; made $(cat "$FLOOD_OUT"), counted $SUM, lines $LINES, processes named $NAMED"
printf '# %s\n' "$OUT"
check "another executable has a line for each of its sockets" [ "$OWN" = 20 ]
check "each of the flood is a line or in a count" [ "$SUM" = "$(cat "$FLOOD_OUT")" ]
check "each of its processes is named" [ "$NAMED" = 12 ]

section "without a supervisor"
cat >"$W/orphan.py" <<'EOP'
import os, signal, socket, sys, time
def attempt():
    try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); return "MADE"
    except OSError as e: return e.strerror
signal.signal(signal.SIGHUP, signal.SIG_IGN)
out = open(sys.argv[1], "w")
print("before", attempt(), file=out, flush=True)
while not os.path.exists(sys.argv[2]): time.sleep(0.05)
print("after", attempt(), file=out, flush=True)
EOP
must_start b "$T/p.yaml"
"${OSHC[@]}" exec "${PFX}b" -- setsid python3 "$W/orphan.py" "$W/orphan.out" "$W/go" >/dev/null 2>&1 </dev/null &
CLIENT=$!
until_true 15 grep -q '^before' "$W/orphan.out"
check "control: it is answered" grep -qx 'before Operation not permitted' "$W/orphan.out"
kill -9 "$(json_field "$(status_json b)" pid)"
wait "$CLIENT"
: >"$W/go"
if until_true 10 grep -q '^after' "$W/orphan.out"; then
	check "refused, whatever is dead" grep -qxE 'after (Function not implemented|Operation not permitted)' "$W/orphan.out"
else
	ok "it did not outlive the supervisor"
fi
delete b
finish
