# shellcheck shell=bash
# Unix sockets and descriptors of the host.  The workdir holds some that were there before the sandbox.
mkdir -p "$T/hidden" "$W/sub" "$W/given" "$T/listed"
chmod 777 "$T/hidden" "$T/listed"
for f in 1 2 3; do echo given >"$W/given/$f"; chmod 600 "$W/given/$f"; done
cat >"$W/given.py" <<'EOP'
import os, sys
f = "/proc/self/fd/0"
print("tried", flush=True)
{"write": lambda: os.write(os.open(f, os.O_WRONLY), b"taken"), "truncate": lambda: os.truncate(f, 0), "mode": lambda: os.fchmod(0, 0o666)}[sys.argv[1]]()
EOP
cat >"$T/unixd.py" <<'EOP'
import array, os, selectors, socket, sys
# NAME (stream), NAME.d (datagram), NAME.fd: hands out the descriptor 9
sel = selectors.DefaultSelector()
for p in sys.argv[1:]:
    kind = socket.SOCK_DGRAM if p.endswith(".d") else socket.SOCK_STREAM
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind("\0" + p[1:] if p[0] == "@" else p)
    if p[0] != "@": os.chmod(p, 0o777)
    if kind == socket.SOCK_STREAM: s.listen()
    sel.register(s, 1, (p, kind))
print("ready", flush=True)
while True:
    for k, _ in sel.select():
        name, kind = k.data
        data = b"x\n"
        if kind == socket.SOCK_STREAM:
            c = k.fileobj.accept()[0]
            c.settimeout(1)
            try:
                if name.endswith(".fd"): socket.send_fds(c, [b"x"], [9])
                data = c.recv(10)
            except OSError: pass
            c.close()
        else: data = k.fileobj.recv(10)
        print("got" if data == b"x\n" or name.endswith(".fd") else "other", name, flush=True) # other: nscd's own clients, outside
EOP
unixd() { # unixd NAME...: as the sandbox's user, in its network; descriptor 9 is $W/handed, or a connection to GIVEN
	: >"$T/log/unixd.$1"
	"${INC[@]}" "${AS_USER[@]}" bash -c "exec 9${GIVEN:+<}>${GIVEN:->\"\$1\"}; shift; exec \"\$@\"" - "$W/handed" python3 "$T/unixd.py" "${@:2}" >"$T/log/unixd.$1" 2>&1 </dev/null &
	UNIXD+=("$!")
	on_exit "stop $!"
	until_true 10 grep -q ready "$T/log/unixd.$1" || die "no Unix sockets"
}
UNIXD=()
class_down() { stop "${UNIXD[@]}"; usual_down; }
: >"$W/handed"
chown -R sandbox: "$W/handed" "$W/sub" "$W/given"
reached() { grep -qxF "got $1" "$T"/log/unixd.*; }
U=/osht-$$
# Sockets where hosts have them.  Where this host has none, one of the test's own stands there: below /run in a directory
# that only this mount namespace sees.
NOBODY=$(id -u sandbox) USUAL=() THERE=() MADE=() MOUNTED=()
usual() { # usual DIRECTORY SOCKET...
	local top=$1 s made=0; shift
	for s in "$@"; do [ ! -S "$s" ] || THERE+=("$s") made=1; done
	[ $made = 0 ] || return 0
	[ -d "$top" ] || { mkdir "$top" && MADE+=("$top") && made=1; }
	case $top in /run/*) mount -t tmpfs osht "$top" && MOUNTED+=("$top") && made=1 || die "cannot mount $top" ;; esac
	for s in "$@"; do
		mkdir -p "${s%/*}"
		[ $made = 0 ] || chmod 1777 "$top" "${s%/*}"
		USUAL+=("$s")
	done
}
usual_down() {
	local d
	[ ${#USUAL[@]} = 0 ] || rm -f "${USUAL[@]}"
	for d in "${MOUNTED[@]}"; do umount -l "$d"; done
	for d in "${MADE[@]}"; do rmdir "$d" 2>/dev/null || rm -f "$d"; done
	USUAL=() MADE=() MOUNTED=()
}
on_exit usual_down
usual /run/dbus /run/dbus/system_bus_socket
usual /run/user "/run/user/$NOBODY/bus"
usual /run/containerd /run/containerd/containerd.sock
usual /run/nscd /run/nscd/socket
usual /run/systemd /run/systemd/private /run/systemd/resolve/io.systemd.Resolve /run/systemd/journal/stdout
usual "/tmp/ssh-osht$$" "/tmp/ssh-osht$$/agent.1"
usual "/tmp/tmux-$NOBODY" "/tmp/tmux-$NOBODY/osht$$"
usual /tmp/.X11-unix "/tmp/.X11-unix/X$$"
DOCKER=$T/hidden/docker.sock
if [ -S /run/docker.sock ]; then
	THERE+=(/run/docker.sock) DOCKER=''
else
	[ -e /run/docker.sock ] || { : >/run/docker.sock && MADE+=(/run/docker.sock); }
fi
mapfile -t EARLY < <(printf '%s\n' "$W"/s{1..9} "$W"/d{1..3}.d "$T"/hidden/s{1..6} "$T"/hidden/d1.d "@osht-$$-s"{1..2} "@osht-$$-d1.d" \
	"$W/sub/give.fd" "$T/hidden/give.fd" "$T/listed/a" "@/tmp/.X11-unix/X$$" "${USUAL[@]}" $DOCKER)
unixd early "${EARLY[@]}"
[ -z "$DOCKER" ] || { mount --bind "$DOCKER" /run/docker.sock && MOUNTED+=(/run/docker.sock); } || die "cannot mount /run/docker.sock"
fresh; GIVEN=/dev/tcp/$D/4000 unixd socket "$W/sub/socket.fd"
ln -s "$W" "$T/linked"
unixd linked "$T/linked/linked" "$T/linked/linked.d"
ln -s "$T/hidden/s3" "$W/l1"
ln -s "$W/s3" "$W/l2"
ln -s "$W" "$W/l3"
ln -s "$T/hidden" "$W/l4"
sed "s#read_write:#unix_sockets: [$T/listed/a], read_write:#" "$T/a.yaml" >"$T/unix.yaml"
box unix unix.yaml --ro "$W/given"
unixd late "$W/late" "$W/late.d" "$W/sub/late"
fresh; GIVEN=/dev/tcp/$D/4000 unixd later "$W/sub/later.fd"
OWN="python3 -c 'import os, socket
p = \"/tmp/own\" + str(os.getpid()); s = socket.socket(socket.AF_UNIX); s.bind(p); s.listen(); socket.socket(socket.AF_UNIX).connect(p)'"
un() { try "Unix: $1" box=unix layer="$2" attempt="$3" harm="reached '$4'" control="$OWN"; }
un "stream, workdir" mounts "$A probe unix $W/s1" "$W/s1"
un "datagram, workdir" mounts "$A probe unixdgram $W/d1.d" "$W/d1.d"
un "stream, directory that is not shown" mounts "$A probe unix $T/hidden/s1" "$T/hidden/s1"
un "datagram, directory that is not shown" mounts "$A probe unixdgram $T/hidden/d1.d" "$T/hidden/d1.d"
un "relative name" mounts "cd $W && $A probe unix s2" "$W/s2"
un "relative name through .." mounts "cd $W && $A probe unix ../hidden/s2" "$T/hidden/s2"
un "symbolic link to what is not shown" mounts "$A probe unix $W/l1" "$T/hidden/s3"
un "symbolic link in the workdir" mounts "$A probe unix $W/l2" "$W/s3"
un "through a linked directory" mounts "$A probe unix $W/l3/s4" "$W/s4"
un "through a linked directory that is not shown" mounts "$A probe unix $W/l4/s4" "$T/hidden/s4"
un "/proc/self/root" mounts "$A probe unix /proc/self/root$W/s5" "$W/s5"
un "/proc/self/root, not shown" mounts "$A probe unix /proc/self/root$T/hidden/s5" "$T/hidden/s5"
un "/proc/PID/root of a process outside" landlock "$A probe unix /proc/${UNIXD[0]}/root$T/hidden/s6" "$T/hidden/s6"
un "/proc/self/cwd" mounts "cd $W && $A probe unix /proc/self/cwd/s6" "$W/s6"
un "renamed in the workdir" mounts "mv $W/s7 $W/s7-moved && $A probe unix $W/s7-moved" "$W/s7"
un "hard link to it" mounts "ln $W/s8 $W/s8-linked && $A probe unix $W/s8-linked" "$W/s8"
un "bound through a symbolic link of the host, stream" mounts "$A probe unix $W/linked" "$T/linked/linked"
un "bound through a symbolic link of the host, datagram" mounts "$A probe unixdgram $W/linked.d" "$T/linked/linked.d"
un "abstract stream" "landlock lsm" "$A probe unix @osht-$$-s1" "@osht-$$-s1"; C_LIMIT[N-1]=no_scope
un "abstract datagram" "landlock lsm" "$A probe unixdgram @osht-$$-d1.d" "@osht-$$-d1.d"; C_LIMIT[N-1]=no_scope
un "stream, made later" lsm "$A probe unix $W/late" "$W/late"; C_LIMIT[N-1]=no_lsm
un "datagram, made later" lsm "$A probe unixdgram $W/late.d" "$W/late.d"; C_LIMIT[N-1]=no_lsm
un "made later, below" lsm "$A probe unix $W/sub/late" "$W/sub/late"; C_LIMIT[N-1]=no_lsm
un "one that the policy lists" none "$A probe unix $T/listed/a" "$T/listed/a"; C_EXPECT[N-1]=allow
for s in "${USUAL[@]}"; do un "$s" mounts "$A probe unix $s" "$s"; done
[ -z "$DOCKER" ] || un "/run/docker.sock" mounts "$A probe unix /run/docker.sock" "$DOCKER"
un "X11, abstract" "landlock lsm" "$A probe unix @/tmp/.X11-unix/X$$" "@/tmp/.X11-unix/X$$"; C_LIMIT[N-1]=no_scope
for s in "${THERE[@]}"; do try "Unix: $s" box=unix layer=mounts attempt="ls $s" harm="said '^$s'" control="$OWN"; done
NAMING=(SSH_AUTH_SOCK DBUS_SESSION_BUS_ADDRESS DOCKER_HOST TMUX DISPLAY XAUTHORITY)
for v in "${NAMING[@]}"; do export $v="$T/hidden/$v"; done
try "variables that name such sockets" box=unix layer=environment attempt="env" \
	harm="said '^(SSH_AUTH_SOCK|DBUS_SESSION_BUS_ADDRESS|DOCKER_HOST|TMUX|DISPLAY|XAUTHORITY)='" control="env"

# --- descriptors
got_taken() { grep -q "${1:-taken}" "$W/handed"; }
try "SCM_RIGHTS from a socket in the workdir" box=unix layer=mounts attempt="$A take $W/sub/give.fd" harm=got_taken control="$OWN"
for k in "socket:mounts" "later:lsm"; do
	n=${k%:*}
	try "SCM_RIGHTS: a connected TCP socket$([ "$n" = socket ] || echo " from a socket made later")" box=unix layer="${k#*:}" \
		attempt="$A take $W/sub/$n.fd exfil-scm$n-" harm="leaked scm$n" control="$OWN"
done
C_LIMIT[N-1]=no_lsm
try "pidfd_getfd of a process outside" box=unix layer=seccomp attempt="$A getfd ${UNIXD[0]} 9" harm=got_taken control="$OWN" alone=1 before=": >$W/handed"
try "/proc/PID/fd of a process outside" box=unix layer=landlock attempt="echo taken >>/proc/${UNIXD[0]}/fd/9" harm=got_taken control="$OWN" alone=1 before=": >$W/handed"
# with DESCRIPTORS COMMAND...: the command in the sandbox (without enforcement: as its user), called with more open
with() {
	local redirect=$1; shift
	if [ "$ENFORCED" = 1 ]; then set -- "${INC[@]}" "$OSH" exec "${PFX}unix" -- "$@"; else set -- "${INC[@]}" "${AS_USER[@]}" "$@"; fi
	timeout 20 "${INC[@]}" bash -c "exec $redirect; exec \"\$@\"" - "$@" >"$T/log/with" 2>&1
}
fresh; D7=$D; fresh; D0=$D
echo_came() { grep -qE "^closed 4001 .* [1-9][0-9]*$" "$T/log/sinks.log"; }
NI="control=$OWN"
try "inherited: file as descriptor 7" box=unix layer=exec alone=1 before="with '7>>$W/handed' $A inherited file7" attempt=true harm="got_taken file7" "$NI" tried="grep -q ' written' $T/log/with"
try "inherited: connected TCP socket as descriptor 7" box=unix layer=exec alone=1 before="with '7<>/dev/tcp/$D7/4001' $A inherited socket7" attempt=true harm=echo_came "$NI" \
	tried="grep -q ' written' $T/log/with"
sinks_seen() { wc -l <"$T/log/sinks.log"; }
try "inherited: connected TCP socket as standard input" box=unix layer=exec alone=1 before="B0=\$(sinks_seen); with '0<>/dev/tcp/$D0/4001' $A inherited socket0" \
	attempt=true harm='tail -n +$((B0 + 1)) "$T/log/sinks.log" | grep -qE "^closed 4001 .* [1-9][0-9]*$"' "$NI" \
	tried="grep -q 'standard input is .*, which may not enter a sandbox' $T/log/with"
given() { # given NAME ACTION FILE HARM
	try "given to be read: $1" box=unix layer="mounts exec" alone=1 before="with '0<$W/given/$3' python3 $W/given.py $2" attempt=true harm="$4" "$NI" \
		tried="grep -q tried $T/log/with"
}
given "written through /proc/self/fd" write 1 "grep -q taken $W/given/1"
given "truncated through /proc/self/fd" truncate 2 "[ ! -s $W/given/2 ]"
given "its mode" mode 3 "[ \$(stat -c %a $W/given/3) = 666 ]"
CG=$(findmnt -no TARGET -t cgroup2 | head -n 1)/osht-$$
mkdir "$CG" && chown -R sandbox: "$CG" && on_exit "rmdir $CG 2>/dev/null"
class_down() { stop "${UNIXD[@]}"; usual_down; rmdir "$CG" 2>/dev/null; unset "${NAMING[@]}"; }
try "inherited: cgroup directory" box=unix layer=exec alone=1 before="with '7<$CG' $A joincgroup" attempt=true harm="grep -q '^[1-9].* joined' $T/log/with" "$NI" \
	host='cgroup_as_root' tried="grep -q ' joined' $T/log/with"
# Moving between cgroups needs the common ancestor, which is root's.
cgroup_as_root() { "${INC[@]}" bash -c "exec 7<$CG; exec $A joincgroup" | grep -q '^[1-9].* joined' && echo "the common ancestor in the cgroup tree is root's"; }
