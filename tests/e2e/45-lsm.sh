#!/usr/bin/env bash
# What BPF LSM adds: whose Unix socket it is, processes outside, and code that a program may have written itself.
# Where the layer is not there each of its checks is a LIMIT line; the controls hold everywhere.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
sniff_up
probe_up
W=$T/work PY=$(real python3)
mkdir "$T/host"
chown sandbox: "$T/host"
cat >"$T/p.yaml" <<EOP
version: 1
filesystem_policy:
  include_workdir: true
  read_only: [/usr, /lib, /proc, /dev/urandom, /etc]
  read_write: [/tmp, /dev/null]
  unix_sockets: [$T/host/listed.sock]
process: {run_as_user: sandbox, run_as_group: sandbox}
network_policies:
  python:
    endpoints: [{host: one.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $PY}]
  tainted:
    endpoints: [{host: six.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $PY, allow_tainted: true}]
EOP
cat >"$T/unixd.py" <<'EOP'
import os, selectors, socket, sys
sel = selectors.DefaultSelector()
for p in sys.argv[1:]:
    for kind, suffix in ((socket.SOCK_STREAM, ""), (socket.SOCK_DGRAM, ".d"), (socket.SOCK_SEQPACKET, ".q")):
        s = socket.socket(socket.AF_UNIX, kind)
        s.bind(("\0" + p[1:] if p[0] == "@" else p) + suffix)
        if p[0] != "@": os.chmod(p + suffix, 0o777)
        if kind != socket.SOCK_DGRAM: s.listen()
        sel.register(s, 1, (p + suffix, kind))
print("ready", flush=True)
while True:
    for k, _ in sel.select():
        name, kind = k.data
        if kind != socket.SOCK_DGRAM:
            c = k.fileobj.accept()[0]
            c.settimeout(1)
            try: c.recv(10)
            except OSError: pass
            c.close()
        else: k.fileobj.recv(10)
        print("got", name, flush=True)
EOP
"${INC[@]}" "${AS_USER[@]}" python3 "$T/unixd.py" "$T/host/listed.sock" >>"$T/log/unixd.log" 2>&1 &
on_exit "stop $!"
until_true 20 grep -q ready "$T/log/unixd.log" || die "no Unix sockets"
must_start l "$T/p.yaml" --add-host "one.example.test:$ANY_IP" --add-host "six.example.test:$ANY_IP"
LAYER=$(json_field "$(status_json l)" layers.bpf-lsm)
case $LAYER in proven*) ON=1 ;; *) ON='' ;; esac
printf '# bpf-lsm: %s\n' "$LAYER"
[ "${osht_lsm:-}" != on ] || check "the layer is on in a guest that has it" test "$ON"
# lsm NAME COMMAND...: a check where the layer is on, else a limit.
lsm() { if [ "$ON" ]; then check "$@"; else limit "$@"; fi; }

section "Unix sockets of the host, made when the sandbox runs"
LATE=$W/late.sock
"${INC[@]}" "${AS_USER[@]}" python3 "$T/unixd.py" "$LATE" "@osht-late-$$" >>"$T/log/unixd.log" 2>&1 &
on_exit "stop $!"
until_true 20 test -S "$LATE.q"
cat >"$W/reach.py" <<'EOP'
import socket, sys
kind, how, path = sys.argv[1:4]
path = "\0" + path[1:] if path[0] == "@" else path
s = socket.socket(socket.AF_UNIX, getattr(socket, "SOCK_" + kind))
try:
    if how == "sendto": s.sendto(b"x", path)
    else: s.connect(path); s.send(b"x")
    print("sent")
except OSError as e: print("refused", e.strerror); sys.exit(1)
EOP
chmod 644 "$W/reach.py"
for p in "$LATE" "@osht-late-$$"; do
	for k in "STREAM connect " "DGRAM connect .d" "DGRAM sendto .d" "SEQPACKET connect .q"; do
		read -r kind how suffix <<<"$k"
		mark unixd
		outside python3 "$W/reach.py" "$kind" "$how" "$p$suffix"
		check "control: $kind $how ${p/$T/\$T} outside" all 'rc_is 0' "came unixd 'got'"
		mark unixd
		sb l python3 "$W/reach.py" "$kind" "$how" "$p$suffix"
		lsm "$kind $how ${p/$T/\$T}: nothing arrives" all 'rc_not 0' "came_not unixd 'got'"
	done
done
lsm "logged" logged l "kind=unix action=deny binary=$PY deny_reason=\"unix socket not allowed\""
mark unixd
sb l python3 "$W/reach.py" STREAM connect "$T/host/listed.sock"
check "a listed socket is reached" all 'rc_is 0' "came unixd 'got'"

section "Unix sockets inside"
cat >"$W/peers.py" <<'EOP'
import array, os, socket, sys
U = socket.AF_UNIX
def pair(kind, name):
    a, b = socket.socket(U, kind), socket.socket(U, kind)
    a.bind(name)
    if kind == socket.SOCK_DGRAM:
        b.sendto(b"1", name); b.connect(name); b.send(b"2")
        return a.recv(9) + a.recv(9)
    a.listen(); b.connect(name); c = a.accept()[0]; b.send(b"12")
    return c.recv(9)
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    for name in ("/tmp/peer%d" % kind, "\0peer%d-%d" % (kind, os.getpid())):
        assert pair(kind, name) == b"12", name
    a, b = socket.socketpair(U, kind)
    a.send(b"x"); assert b.recv(9) == b"x"
a, b = socket.socketpair()
t = socket.socket(socket.AF_INET)
socket.send_fds(a, [b"x"], [t.fileno(), os.open("/etc/hostname", os.O_RDONLY)])
assert len(socket.recv_fds(b, 9, 4)[1]) == 2
print("all work")
EOP
sb l python3 "$W/peers.py"
check "stream, datagram, sequenced; by path, abstract, pairs; descriptors passed on" out_is "all work"

section "processes outside, of the same user"
"${AS_USER[@]}" sleep 600 &
OUTSIDE=$!
on_exit "stop $OUTSIDE"
NICE=$(ps -o ni= -p $OUTSIDE) MASK=$(taskset -p $OUTSIDE)
cat >"$W/outside.py" <<'EOP'
import fcntl, os, signal, socket, struct, sys
pid = int(sys.argv[1])
def go(name, f):
    try: f(); print(name, "DONE")
    except OSError as e: print(name, "refused", e.strerror)
def owner(set_owner):
    a, b = socket.socketpair()
    set_owner(a.fileno())
    fcntl.fcntl(a, 10, signal.SIGKILL)
    fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    b.send(b"x")
go("probe", lambda: os.kill(pid, 0))
go("kill", lambda: os.kill(pid, signal.SIGKILL))
go("pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL))
go("owner", lambda: owner(lambda fd: fcntl.fcntl(fd, fcntl.F_SETOWN, pid)))
go("owner-ex", lambda: owner(lambda fd: fcntl.fcntl(fd, 15, struct.pack("ii", 1, pid))))
go("owner-ioctl", lambda: owner(lambda fd: fcntl.ioctl(fd, 0x8901, struct.pack("i", pid))))
go("nice", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
go("affinity", lambda: os.sched_setaffinity(pid, [0]))
go("policy", lambda: os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0)))
go("mem", lambda: os.open("/proc/%d/mem" % pid, os.O_RDWR))
go("environ", lambda: open("/proc/%d/environ" % pid).read())
EOP
sb l python3 "$W/outside.py" $OUTSIDE
lsm "none of 11 ways reaches it" all 'rc_is 0' 'out_lacks "^(probe|kill|pidfd|nice|affinity|policy|mem|environ) DONE"'
lsm "it lives" kill -0 $OUTSIDE
lsm "its scheduling is as it was" all '[ "$(ps -o ni= -p $OUTSIDE)" = "$NICE" ]' '[ "$(taskset -p $OUTSIDE)" = "$MASK" ]'
lsm "logged" logged l 'kind=process action=deny binary=[^ ]*python[^ ]* deny_reason="process outside the sandbox"'
cat >"$W/inside.py" <<'EOP'
import fcntl, os, signal, socket, subprocess
p = subprocess.Popen(["sleep", "60"])
os.kill(p.pid, 0); os.setpriority(os.PRIO_PROCESS, p.pid, 5); os.sched_setaffinity(p.pid, os.sched_getaffinity(0))
open("/proc/%d/environ" % p.pid).read()
p.terminate(); assert p.wait() == -signal.SIGTERM
got = []
signal.signal(signal.SIGIO, lambda *a: got.append(1))
a, b = socket.socketpair()
fcntl.fcntl(a, fcntl.F_SETOWN, os.getpid()); fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
b.send(b"x")
assert got
print("all work")
EOP
sb l python3 "$W/inside.py"
check "inside the same things work" out_is "all work"
sb l ps aux
check "ps" all 'rc_is 0' 'out_has "ps aux"'

section "code from files that the program may write"
printf 'int answer(void) { return 42; }\n' >"$T/so.c"
gcc -shared -fPIC -o "$W/own.so" "$T/so.c" || die "own.so"
chown sandbox: "$W/own.so"
gcc -shared -fPIC -o "$W/foreign.so" "$T/so.c" || die "foreign.so"
chmod 755 "$W/foreign.so"
cat >"$W/code.py" <<'EOP'
import ctypes, mmap, os, subprocess, sys, urllib.request
def child(host): print(subprocess.run([sys.executable, __file__, host]).returncode)
host, how = sys.argv[1], sys.argv[2:]
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
def mapped(fd, prot, flags=2):
    p = libc.mmap(None, 4096, prot, flags, fd, 0)
    assert p not in (None, ctypes.c_void_p(-1).value), os.strerror(ctypes.get_errno())
    return p
if how[:1] == ["dlopen"]: assert "own" not in how[1] and "foreign" not in how[1] or ctypes.CDLL(how[1]).answer() == 42
if how[:1] == ["system"]: ctypes.CDLL("libm.so.6").cos
if how[:1] == ["mprotect"]:
    p = mapped(os.open(how[1], os.O_RDONLY), 1)
    assert libc.mprotect(p, 4096, 5) == 0
if how[:1] == ["memfd"]:
    fd = os.memfd_create("x"); os.write(fd, b"\xc3" * 4096); mapped(fd, 5)
if how[:1] == ["read"]: mapped(os.open(how[1], os.O_RDWR), 3, 1)
if how[:1] == ["parent"]: ctypes.CDLL(how[1]); sys.exit(subprocess.run([sys.executable, __file__, host]).returncode)
if how[:1] in (["traced"], ["untraced"]):
    r, w = os.pipe(); pid = os.fork()
    if pid:
        if how[0] == "traced":
            os.pread(os.open("/proc/%d/mem" % pid, os.O_RDONLY), 8, id(host))   # /proc is read-only; asked for is the same
        os.write(w, b"x")
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os.close(w); os.read(r, 1)
try: urllib.request.urlopen("https://%s.example.test/" % host).read(); print("answer"); code = 0
except OSError as e: print("denied", e); code = 3
sys.stdout.flush(); os._exit(code)
EOP
yes_() {
	local name=$1; shift
	mark access
	sb l python3 "$W/code.py" "$@"
	check "$name: allowed" all 'rc_is 0' "came access '$1\.example\.test \"GET'"
}
reasons() { "${OSHC[@]}" logs "${PFX}l" </dev/null | grep -cE "action=deny dst_host=$1\.example\.test .*deny_reason=\"tainted: $2\""; }
no_() { # no_ NAME REASON ARGUMENT...
	local name=$1 reason=$2 before after; shift 2
	mark access sniff
	before=$(reasons "$1" "$reason")
	sb l python3 "$W/code.py" "$@"
	after=$(reasons "$1" "$reason")
	lsm "$name: denied" all 'rc_is 3' 'came_not access "example.test"' "came_not sniff '^tcp .* $ANY_IP 443'"
	lsm "and the log says why" [ "$after" -gt "$before" ]
}
CODE="code from a file that it may write"
yes_ "control: python itself" one
yes_ "a library of the system" one system
yes_ "a library that somebody else owns" one dlopen "$W/foreign.so"
no_ "a library of its own" "$CODE" one dlopen "$W/own.so"
yes_ "allow_tainted: true" six dlopen "$W/own.so"
no_ "mapped first, made executable later" "$CODE" one mprotect "$W/own.so"
no_ "memfd" "$CODE" one memfd
no_ "a child of such a process" "$CODE" one parent "$W/own.so"
yes_ "control: a file of its own that is only read and written" one read "$W/own.so"
yes_ "control: a child that nobody touches" one untraced
no_ "a process whose memory another one opened" "traced" one traced
cp "$W/own.so" "$W/acl.so"
chown root: "$W/acl.so"
chmod 644 "$W/acl.so"
if setfacl -m u:sandbox:rw "$W/acl.so" 2>/dev/null; then
	no_ "a library that an ACL lets it write" "$CODE" one dlopen "$W/acl.so"
fi
finish
