#!/usr/bin/env bash
# The walls around a command: files, sockets of the host, identity, system calls, descriptors, environment.
# Judged at the object that must stay as it was; every refusal beside the same action outside.
. "$(dirname "$0")/lib.sh"
e2e_up
sinks_up
probe_up
gcc -std=gnu17 -D_GNU_SOURCE -O1 -static -Wno-missing-field-initializers -o "$T/work/syscalls" "$TOP/tests/e2e/syscalls.c" ||
	die "syscalls.c"
W=$T/work
mkdir "$T/ro" "$T/rw" "$T/rw/ro" "$T/else" "$T/hid"
ln -s rw "$T/link"
for d in ro rw rw/ro else hid; do echo content >"$T/$d/file"; echo x >"$T/$d/two"; done
chown -R sandbox: "$T/ro" "$T/rw" "$T/else" "$T/hid" "$W"
chmod 755 "$T/ro" "$T/rw" "$T/else" "$T/hid"
cat >"$T/p.yaml" <<EOP
version: 1
filesystem_policy:
  include_workdir: true
  read_only: [/usr, /lib, /proc, /etc, $T/ro, $T/rw/ro, /dev/full]
  read_write: [/tmp, /dev/null, $T/rw]
process: {run_as_user: sandbox, run_as_group: sandbox}
EOP
# Unix sockets of the host, some of them where the sandbox will look.
cat >"$T/unixd.py" <<'EOP'
import os, selectors, socket, sys
sel = selectors.DefaultSelector()
for p in sys.argv[1:]:
    for kind, suffix in ((socket.SOCK_STREAM, ""), (socket.SOCK_DGRAM, ".d")):
        s = socket.socket(socket.AF_UNIX, kind)
        s.bind(("\0" + p[1:] if p[0] == "@" else p) + suffix)
        if p[0] != "@": os.chmod(p + suffix, 0o777)
        if kind == socket.SOCK_STREAM: s.listen()
        sel.register(s, 1, (p + suffix, kind))
print("ready", flush=True)
while True:
    for k, _ in sel.select():
        name, kind = k.data
        if kind == socket.SOCK_STREAM:
            c = k.fileobj.accept()[0]
            c.settimeout(1); c.recv(10); c.close()
        else: k.fileobj.recv(10)
        print("got", name, flush=True)
EOP
SOCKS=("$T/else/s" "/run/osht-$$.sock" "/tmp/osht-$$.sock" "$W/host.sock" "$T/rw/host.sock" "@osht-$$")
LINKED="$T/link/linked.sock"                  # bound through a link that the sandbox does not have
LATE=("$W/late.sock" "$T/rw/late.sock")      # made when the sandbox runs already
on_exit "rm -f /run/osht-$$.sock* /tmp/osht-$$.sock*"
"${INC[@]}" python3 "$T/unixd.py" "${SOCKS[@]}" "$LINKED" >>"$T/log/unixd.log" 2>&1 &
on_exit "stop $!"
until_true 5 grep -q ready "$T/log/unixd.log" || die "no Unix sockets"
must_start w "$T/p.yaml"

section "read-only means read-only, though the user owns the files"
state() { stat -c '%n %a %u %s %Y %h' "$T/$1"/* ; cat "$T/$1"/*; getfattr -d "$T/$1"/* 2>/dev/null; }
cat >"$W/change.py" <<'EOP'
import os, sys
d = sys.argv[1]
def go(name, f):
    try: f(); print(name, "DONE")
    except OSError as e: print(name, "refused", e.strerror)
f, g = d + "/file", d + "/two"
go("open", lambda: os.close(os.open(f, os.O_WRONLY)))
go("append", lambda: os.close(os.open(f, os.O_WRONLY | os.O_APPEND)))
go("truncate", lambda: os.truncate(f, 3))
go("chmod", lambda: os.chmod(f, 0o600))
go("chmod-dir", lambda: os.chmod(d, 0o700))
go("utime", lambda: os.utime(f, (1, 1)))
go("chown", lambda: os.chown(f, os.getuid(), os.getgid()))
go("setxattr", lambda: os.setxattr(f, "user.osht", b"x"))
go("create", lambda: os.close(os.open(d + "/new", os.O_CREAT | os.O_WRONLY)))
go("mkdir", lambda: os.mkdir(d + "/dir"))
go("symlink", lambda: os.symlink("x", d + "/sym"))
go("link", lambda: os.link(f, d + "/hard"))
go("rename", lambda: os.rename(g, d + "/three"))
go("unlink", lambda: os.unlink(f))
EOP
BEFORE=$(state ro)
sb w python3 "$W/change.py" "$T/ro"
check "14 ways to change a read-only place are refused" all 'rc_is 0' 'out_lacks DONE' '[ "$(grep -c refused <<<"$OUT")" = 14 ]'
OUT=$(state ro)
check "it is as it was" out_is "$BEFORE"
sb w cat "$T/ro/file"
check "control: it can be read" out_is content
sb w python3 "$W/change.py" "$T/rw"
check "control: in a read-write place they work" all '[ "$(grep -c DONE <<<"$OUT")" -ge 13 ]'
sbsh w "echo new >$W/made && ln $W/made $W/made2"
check "the workdir is writable" all 'rc_is 0' 'grep -q new "$W/made2"'
check "as the sandbox's user" test "$(stat -c %U "$W/made")" = sandbox
BEFORE=$(state ro)
sbsh w "ln $T/ro/file $W/stolen; python3 -c 'import os; os.rename(\"$T/ro/file\", \"$W/stolen2\")'; exec 3<>$T/ro/file"
check "no link or rename across" test ! -e "$W/stolen" -a ! -e "$W/stolen2" -a "$(state ro)" = "$BEFORE"

section "a read-only device is not written"
cat >"$W/device.py" <<'EOP'
import os, sys
for name, flags in ("read", os.O_RDONLY), ("write", os.O_WRONLY), ("both", os.O_RDWR):
    for d in sys.argv[1:]:
        try: os.close(os.open(d, flags)); print(d, name, "DONE")
        except OSError as e: print(d, name, "refused", e.strerror)
EOP
outside python3 "$W/device.py" /dev/full /dev/urandom
check "control: outside both can be opened for writing" all '[ "$(grep -c DONE <<<"$OUT")" = 6 ]'
sb w python3 "$W/device.py" /dev/full /dev/urandom
check "inside for reading only" all '[ "$(grep -c "read DONE" <<<"$OUT")" = 2 ]' '[ "$(grep -c refused <<<"$OUT")" = 4 ]'
sb w python3 "$W/device.py" /dev/null
check "control: a read-write one for both" all '[ "$(grep -c DONE <<<"$OUT")" = 3 ]'

section "nothing else is visible"
for f in "$T/else/file" "$T/ca.key" /root /var/lib/osh-enforce "/run/osh-enforce/${PFX}w" /sys/fs/cgroup /sys/fs/bpf /boot \
	/proc/1/root/root "$W/../else/file" "/proc/self/root$T/else/file"; do
	sb w sh -c "[ ! -e $f ] || { [ -d $f ] && [ -z \"\$(ls -A $f)\" ]; } || ls -la $f"
	check "${f/$T/\$T}" all 'rc_is 0' 'out_is ""'
done
run "${AS_USER[@]}" cat "$T/else/file"
check "control: the user may read \$T/else outside" out_is content
sbsh w 'ls -d /home/* 2>/dev/null | grep -vx "$HOME"'
check "homes of others" out_is ''
echo hosttmp >"/tmp/osht-$$"
chmod 644 "/tmp/osht-$$"
on_exit "rm -f /tmp/osht-$$"
sb w cat "/tmp/osht-$$"
check "/tmp is the sandbox's own: the host's files are not there" rc_not 0
sbsh w "echo inside >/tmp/osht-in-$$ && cat /tmp/osht-in-$$"
check "and its own files work" out_is inside
check "and are not on the host" test ! -e "/tmp/osht-in-$$"
sb w sh -c 'ls /dev'
check "/dev holds listed devices only" all 'out_has null' 'out_lacks "(sda|vda|mem|kmsg|loop|fuse|kvm)"'
sbsh w 'find / -xdev -name cgroup.procs -writable 2>/dev/null; find /sys/fs -name cgroup.procs -writable 2>/dev/null'
check "no writable cgroup.procs" out_is ''

section "sockets of the host"
ln -s "$T/else/s" "$W/sym"
ln -s "$W/host.sock" "$W/sym2"
"${INC[@]}" python3 "$T/unixd.py" "${LATE[@]}" >>"$T/log/unixd.log" 2>&1 &
on_exit "stop $!"
until_true 5 test -S "${LATE[1]}.d"
for s in "${SOCKS[@]}" "${LATE[@]}"; do
	for kind in unix unixdgram; do
		p=$s; [ $kind = unix ] || p=$s.d
		mark unixd
		outside "$PROBE" $kind "$p"
		check "control: $kind ${p/$T/\$T} outside" all 'rc_is 0' "came unixd 'got'"
		mark unixd
		sb w "$PROBE" $kind "$p"
		# Made later in a directory that the policy opens: its peer is known only to BPF LSM.
		judge=check
		case $p in *late*) judge="limit_if no_lsm" ;; @*) judge="limit_if no_scope" ;; esac
		$judge "$kind ${p/$T/\$T}: nothing arrives" all 'rc_not 0' "came_not unixd 'got'"
	done
done
for kind in unix unixdgram; do
	p=$T/rw/linked.sock; [ $kind = unix ] || p=$p.d
	mark unixd
	outside "$PROBE" $kind "$p"
	check "control: $kind, bound through a symbolic link of the host, outside" all 'rc_is 0' "came unixd 'got'"
	mark unixd
	sb w "$PROBE" $kind "$p"
	check "$kind, bound through a symbolic link of the host: nothing arrives" all 'rc_not 0' "came_not unixd 'got'"
done
mark unixd
sb w "$PROBE" unix "$W/sym"
check "through a symlink" all 'rc_not 0' "came_not unixd 'got'"
sb w "$PROBE" unix "/proc/self/root$T/else/s"
check "through /proc/self/root, to what is not opened" all 'rc_not 0' "came_not unixd 'got'"
sb w "$PROBE" unix "$W/sym2"
check "through a symlink in the workdir" all 'rc_not 0' "came_not unixd 'got'"
sb w "$PROBE" unix "/proc/self/root$W/host.sock"
check "through /proc/self/root" all 'rc_not 0' "came_not unixd 'got'"
sb w sh -c 'ls /run/docker.sock /var/run/docker.sock /run/dbus/system_bus_socket /run/systemd/private /run/nscd /tmp/.X11-unix 2>/dev/null'
check "Docker, D-Bus, systemd, nscd, X11 are not there" out_is ''
sb w python3 -c 'import socket, threading
for name in ("/tmp/own.sock", "\0own"):
    s = socket.socket(socket.AF_UNIX); s.bind(name); s.listen()
    c = socket.socket(socket.AF_UNIX); c.connect(name); s.accept()
a, b = socket.socketpair(); a.send(b"x"); print("ok")'
check "control: the sandbox's own Unix sockets work" out_is ok
sed "s#read_write:#unix_sockets: [/run/osht-$$.sock]\n  read_write:#" "$T/p.yaml" >"$T/u.yaml"
if start u "$T/u.yaml"; then
	mark unixd
	sb u "$PROBE" unix "/run/osht-$$.sock"
	check "control: one that the policy lists is reached" all 'rc_is 0' "came unixd 'got'"
	mark unixd
	sb u "$PROBE" unix "$W/host.sock"
	check "and no other" came_not unixd got
	delete u
else
	not_ok "unix_sockets in a policy"
fi

section identity
sb w cat /proc/self/status
U=$(id -u sandbox) G=$(id -g sandbox)
check "uid" out_has "^Uid:\s$U\s$U\s$U\s$U$"
check "gid" out_has "^Gid:\s$G\s$G\s$G\s$G$"
check "no supplementary groups but its own" all "! grep -qE '^Groups:.*[0-9]' <<<\"\$(sed \"s/^Groups:\\s*$G *\$/Groups:/\" <<<\"\$OUT\")\""
check "no capabilities, in any set" all '[ "$(grep -cE "^Cap(Inh|Prm|Eff|Bnd|Amb):\s0+$" <<<"$OUT")" = 5 ]'
check "no_new_privs" out_has '^NoNewPrivs:\s1$'
check "seccomp filter" out_has '^Seccomp:\s2$'
sb w sh -c 'ulimit -c'
check "no core files" out_is 0
run cat /proc/self/status
check "control: outside there are capabilities" out_lacks '^CapEff:\s0+$'
cp "$(real id)" "$T/rw/suid-id" && chown root: "$T/rw/suid-id" && chmod 4755 "$T/rw/suid-id"
sb w "$T/rw/suid-id" -u
check "set-uid files give nothing" all '[ "$OUT" = "$U" ] || rc_not 0'
outside "$T/rw/suid-id" -u
check "control: outside they do" out_is 0

section "system calls"
run "$OSH" doctor --seccomp
check "doctor --seccomp: the table" all 'rc_is 0' 'out_has "^  bpf +EPERM +always"' 'out_has "^  AF_INET +SOCK_STREAM +IPPROTO_TCP"' 'out_lacks "SOCK_RAW.*IPPROTO"'
run "$OSH" doctor --seccomp --format json
check "and as one JSON document" python3 -c 'import json, sys
d = json.loads(sys.argv[1])
assert len(d["refused"]) > 100 and len(d["sockets"]) == 9 and all(r["reason"] for r in d["refused"])' "$OUT"
outside "$W/syscalls" self
check "control: outside many of them work" all '[ "$(grep -c DONE <<<"$OUT")" -ge 5 ]'
sb w "$W/syscalls" self
CONTEXT=40
while read -r name verdict rest; do
	OUT="$name $verdict $rest"
	check "$name is refused" test "$verdict" = refused
done <<<"$OUT"
CONTEXT=15
"${AS_USER[@]}" sleep 300 &
VICTIM=$!
on_exit "stop $VICTIM"
outside "$W/syscalls" $VICTIM
check "control: outside, a process of the same user can be signalled" out_has 'kill DONE'
sb w "$W/syscalls" $VICTIM
limit_if no_scope "processes outside cannot be signalled" out_has "kill refused"
check "nor traced, nor read" all 'out_has refused' '! grep -v "^kill " <<<"$OUT" | grep -qE "(DONE|REACHED)"'
SUP=$(status_json w | grep -oE '"pid": ?[0-9]+' | grep -oE '[0-9]+$')
sb w "$W/syscalls" "$(proxy_pid w)"
check "nor the proxy" all 'out_lacks "(DONE|REACHED)"' 'out_has "kill refused"'
sb w "$W/syscalls" "${SUP:-1}"
check "nor the supervisor" all 'out_lacks "(DONE|REACHED)"' 'out_has "kill refused"'

section "System V IPC"
KEY=$("${AS_USER[@]}" ipcmk -M 4096 | grep -oE '[0-9]+$')
on_exit "ipcrm -m $KEY 2>/dev/null"
outside ipcs -m
check "control: a segment is visible outside" out_has "\b$KEY\b"
sb w ipcs -m
check "not inside" out_lacks "\b$KEY\b"

section descriptors
exec 9<"$T/else/file"
sbsh w 'cat <&9'
exec 9<&-
check "descriptor 9 of the caller is closed" all 'rc_not 0' 'out_lacks content'
sb w ls -x /proc/self/fd
check "only 0, 1, 2 (and the one that ls opened)" out_has '^0 +1 +2 +3$'
cat >"$T/sock.py" <<'EOP'
import socket, subprocess, sys
kind, cmd = sys.argv[1], sys.argv[2:]
if kind == "tcp": s = socket.create_connection(("93.184.216.77", 4000), 3)
elif kind == "udp": s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
elif kind == "listen": s = socket.create_server(("127.0.0.1", 0))
else: s = socket.socketpair()[0]
p = subprocess.run(cmd, stdin=s, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
print(p.returncode, p.stdout.decode())
EOP
for kind in tcp udp listen; do
	run "${INC[@]}" python3 "$T/sock.py" $kind "$OSH" exec "${PFX}w" -- echo started
	check "a $kind socket as stdin: 125" all 'out_has "^125 "' 'out_lacks "started$"'
done
run "${INC[@]}" python3 "$T/sock.py" pair "$OSH" exec "${PFX}w" -- echo started
check "control: an unnamed Unix pair is taken" all 'out_has "^0 started"'

section "a file that is given to be read"
cat >"$W/given.py" <<'EOP'
import fcntl, mmap, os, struct
def go(name, f):
    try: f(); print(name, "DONE")
    except OSError as e: print(name, "refused", e.strerror)
def flags():
    n = struct.unpack("l", fcntl.ioctl(0, 0x80086601, bytes(8)))[0]
    fcntl.ioctl(0, 0x40086602, struct.pack("l", n ^ 0x80)) # FS_NOATIME_FL
go("write", lambda: os.write(os.open("/proc/self/fd/0", os.O_WRONLY | os.O_APPEND), b"changed\n"))
go("truncate", lambda: os.truncate("/proc/self/fd/0", 3))
go("chmod", lambda: os.fchmod(0, 0o666))
go("chmod by name", lambda: os.chmod("/proc/self/fd/0", 0o666))
go("utime", lambda: os.utime(0, (1, 1)))
go("setxattr", lambda: os.setxattr(0, "user.osht", b"x"))
go("flags", flags)
go("code", lambda: mmap.mmap(0, 8, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC))
EOP
given() { local f=$1; shift; run bash -c 'f=$1; shift; exec "$@" <"$f"' - "$f" "$@"; }
IN=("${OSHC[@]}" exec "${PFX}w" --)
for f in rw/ro/file hid/file; do
	BEFORE=$(state "${f%/*}")
	given "$T/$f" "${IN[@]}" python3 "$W/given.py"
	check "\$T/$f: nothing of it can be changed, or run" all 'rc_is 0' '[ "$(grep -c refused <<<"$OUT")" = 8 ]'
	OUT=$(state "${f%/*}")
	check "it is as it was" out_is "$BEFORE"
	given "$T/$f" "${IN[@]}" cat
	check "control: it can be read" out_is content
done
cp -p "$T/hid/file" "$T/hid/mine"
given "$T/hid/mine" "${INC[@]}" "${AS_USER[@]}" python3 "$W/given.py"
check "control: outside it can be changed" all '[ "$(grep -c DONE <<<"$OUT")" -ge 7 ]'
seq 3 >"$T/rw/ro/lines"
given "$T/rw/ro/lines" "${IN[@]}" cat /dev/stdin
check "/dev/stdin can be opened where the policy shows the file" out_is $'1\n2\n3'
given "$T/rw/ro/lines" bash -c 'read -r x; exec "$@"' - "${IN[@]}" cat
check "it is read from where the caller is" out_is $'2\n3'
given "$T/rw/ro/lines" bash -c '"$@"; echo then; cat' - "${IN[@]}" head -n 1
check "and the caller goes on behind the command" out_is $'1\nthen\n2\n3'
given "$T/rw/ro/lines" bash -c 'read -r x; "$@"; cat' - "${IN[@]}" true
check "or where it was" out_is $'2\n3'
given "$T/rw/ro/lines" bash -c 'rm "$1"; shift; exec "$@"' - "$T/rw/ro/lines" "${IN[@]}" cat
check "one that has no name any more" out_is $'1\n2\n3'
given "$T/hid/file" unshare -m "${IN[@]}" cat
check "one from another mount namespace" out_is content
given "$T/hid/mine" unshare -m bash -c 'rm "$1"; shift; exec "$@"' - "$T/hid/mine" "${IN[@]}" cat
check "both: refused, with the way out" all 'rc_is 125' 'out_has "standard input is a file .* cat FILE"' 'out_lacks content'
given /proc/version "${IN[@]}" cat
check "one of /proc" out_has "^Linux version"
run bash -c '"$@" >"$0"' "$T/hid/out" "${IN[@]}" sh -c 'echo one; echo two'
check "control: what is given to be written is written" all 'rc_is 0' 'grep -q two "$T/hid/out"'

section "environment and names"
run env OSHT_SECRET=s3cret AWS_SECRET_ACCESS_KEY=k LANG=C.UTF-8 TERM=vt100 TZ=UTC "${OSHC[@]}" exec "${PFX}w" -- env
check "the caller's variables are not passed on" all 'rc_is 0' 'out_lacks "(s3cret|AWS_SECRET)"'
check "identity is the user's" all 'out_has "^USER=sandbox$"' 'out_has "^LOGNAME=sandbox$"' 'out_has "^HOME=/"' 'out_has "^PATH=/"'
for v in SSL_CERT_FILE NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO PIP_CERT; do
	check "$v is set" out_has "^$v=/"
done
sbsh w 'test -r "$SSL_CERT_FILE" && grep -c BEGIN "$SSL_CERT_FILE"'
check "and readable" all 'rc_is 0' '[ "$OUT" -ge 1 ]'
sb w cat /etc/resolv.conf
check "/etc/resolv.conf is the sandbox's: one server, no search" all '[ "$(grep -c ^nameserver <<<"$OUT")" = 1 ]' 'out_lacks "^(search|domain)"' \
	'! grep -qxF "$(grep -m1 ^nameserver /etc/resolv.conf || echo none)" <<<"$OUT"'
sb w cat /etc/hosts
check "/etc/hosts has loopback names only" all 'out_has "^127\.0\.0\.1"' '! grep -vE "^(#|$|127\.|::1)" <<<"$OUT"'
finish
