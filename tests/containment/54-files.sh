# shellcheck shell=bash
# Files, IPC objects and processes of the same user that the policy does not open: nothing there may change.
mkdir -p "$T/ro" "$T/other"
cat >"$W/op.py" <<'EOP'
import fcntl, os, socket, struct, sys
op, d, w = sys.argv[1:4]
f, o = d + "/file", lambda flags: os.close(os.open(d + "/file", flags))
def chmod_fd(): os.chmod("/proc/self/fd/%d" % os.open(f, os.O_PATH), 0o777)
def flags():
    fd = os.open(f, os.O_RDONLY)
    n = struct.unpack("l", fcntl.ioctl(fd, 0x80086601, bytes(8)))[0]
    fcntl.ioctl(fd, 0x40086602, struct.pack("l", n ^ 0x80)) # FS_NOATIME_FL
def send(): os.sendfile(os.open(f, os.O_RDWR), os.open("/etc/hostname", os.O_RDONLY), 0, 4)
{
    "write": lambda: open(f, "w").write("changed"), "append": lambda: open(f, "a").write("changed"),
    "truncate": lambda: os.truncate(f, 0), "O_TRUNC read-only": lambda: o(os.O_RDONLY | os.O_TRUNC),
    "O_TRUNC with mode 3": lambda: o(3 | os.O_TRUNC), "sendfile": send,
    "chmod": lambda: os.chmod(f, 0o777), "chmod by /proc/self/fd": chmod_fd, "chmod of the directory": lambda: os.chmod(d, 0o700),
    "chown": lambda: os.chown(f, -1, os.getgid()), "utime": lambda: os.utime(f, (1, 1)),
    "setxattr": lambda: os.setxattr(f, "user.osht", b"x"), "inode flags": flags,
    "unlink": lambda: os.unlink(f), "rename within": lambda: os.rename(f, f + "2"),
    "rename out": lambda: os.rename(f, w + "/out-" + op), "rename in": lambda: (open(w + "/in", "w").close(), os.rename(w + "/in", d + "/in")),
    "link out": lambda: os.link(f, w + "/linked-" + os.path.basename(d)), "link in": lambda: (open(w + "/in2", "w").close(), os.link(w + "/in2", d + "/in")),
    "symlink": lambda: os.symlink("x", d + "/in"), "mkdir": lambda: os.mkdir(d + "/in"), "mkfifo": lambda: os.mkfifo(d + "/in"),
    "bind a socket": lambda: socket.socket(socket.AF_UNIX).bind(d + "/in"),
    "create": lambda: os.close(os.open(d + "/in", os.O_CREAT | os.O_WRONLY)),
}[op]()
EOP
object() { # object DIR: a directory with a file, and what they look like
	mkdir -p "$1"
	echo "secret-${1##*/}" >"$1/file"
	chmod 640 "$1/file"
	chown -R sandbox: "$1"
}
seen_as() { find "$1" -printf '%P %y %m %u %g %s %n %T@ %C@\n' | sort; cat "$1/file" 2>&1; }
changed() { [ "$(seen_as "$1")" != "$(cat "$T/as.${1//\//_}")" ]; }
OPS=(write append truncate 'O_TRUNC read-only' 'O_TRUNC with mode 3' sendfile chmod 'chmod by /proc/self/fd' 'chmod of the directory'
	chown utime setxattr 'inode flags' unlink 'rename within' 'rename out' 'rename in' 'link out' 'link in' symlink mkdir mkfifo
	'bind a socket' create)
n=0
for op in "${OPS[@]}"; do object "$T/ro/$((n += 1))"; done
for n in {1..12}; do object "$T/other/$n"; done
mkdir "$W/rw"; object "$W/rw/0"
chown sandbox: "$W/rw"
for d in "$T"/ro/* "$T"/other/*; do seen_as "$d" >"$T/as.${d//\//_}"; done
# A process of the same user that has a hidden directory for its own, and a hidden file open.
victim() { "${AS_USER[@]}" setsid "$@" </dev/null >/dev/null 2>&1 & VPID=$!; VICTIMS+=("$VPID"); on_exit "stop $VPID"; }
class_down() { stop "${VICTIMS[@]}"; ipcrm -m "$SHM" -q "$MSG" -s "$SEM" 2>/dev/null; "$A" mq unlink "/osht-$$" >/dev/null; rm -f "/dev/shm/osht-$$"; }
VICTIMS=()
"${AS_USER[@]}" bash -c "cd $T/other/1; exec 7<$T/other/2/file 9<>$T/other/3/file; exec sleep 600" </dev/null >/dev/null 2>&1 &
HOLDER=$!
on_exit "stop $HOLDER"
VICTIMS+=("$HOLDER")
until_true 5 eval '[ "$(cat /proc/$HOLDER/comm)" = sleep ]'
box files a.yaml --ro "$T/ro" --ro /dev/full

n=0
for op in "${OPS[@]}"; do
	d=$T/ro/$((n += 1))
	try "read-only: $op" box=files layer="mounts landlock" attempt="python3 $W/op.py '$op' $d $W" harm="changed $d" \
		control="grep secret $d/file && python3 $W/op.py write $W/rw/0 $W"
done
C='python3 $W/op.py write $W/rw/0 $W'
C=${C//\$W/$W}
for mode in w r+; do
	try "read-only: a device, opened with \"$mode\"" box=files layer=landlock attempt="python3 -c 'open(\"/dev/full\", \"${mode}b\", 0); print(\"opened\")'" \
		harm="said opened" control="python3 -c 'open(\"/dev/full\", \"rb\", 0); open(\"/dev/null\", \"${mode}b\", 0)'"
done
hid_() { try "hidden: $2" box=files layer="$1" attempt="$3" harm="$4" control="$C"; }
hid() { hid_ mounts "$@"; }
hid "read" "cat $T/other/4/file" "said secret-4"
hid "list" "ls $T/other/4" "said '^file$'"
hid "write" "python3 $W/op.py write $T/other/5 $W" "changed $T/other/5"
hid "chmod" "python3 $W/op.py chmod $T/other/6 $W" "changed $T/other/6"
hid "unlink" "python3 $W/op.py unlink $T/other/7 $W" "changed $T/other/7"
hid "rename out" "python3 $W/op.py 'rename out' $T/other/8 $W" "changed $T/other/8"
hid "link out" "python3 $W/op.py 'link out' $T/other/9 $W" "changed $T/other/9"
hid "through /proc/self/root" "cat /proc/self/root$T/other/10/file" "said secret-10"
hid "through .." "cd $W && cat ../other/10/file" "said secret-10"
hid "through a symbolic link" "ln -s $T/other/10/file $W/slink; cat $W/slink" "said secret-10"
hid_ landlock "/proc/PID/root of a process outside" "cat /proc/$HOLDER/root$T/other/11/file" "said secret-11"
hid_ landlock "/proc/PID/cwd of a process outside" "cat /proc/$HOLDER/cwd/file" "said secret-1"
hid_ landlock "/proc/PID/fd of a process outside" "cat /proc/$HOLDER/fd/7" "said secret-2"
hid_ landlock "written by /proc/PID/fd of a process outside" "echo changed >/proc/$HOLDER/fd/9" "changed $T/other/3"
hid_ landlock "environment of a process outside" "tr '\\0' '\\n' </proc/$HOLDER/environ | grep ^PATH" "said ^PATH"
hid_ landlock "memory map of a process outside" "grep -m 1 sleep /proc/$HOLDER/maps" "said sleep"
"$A" tohandle "$T/other/12/file" "$W/handle" >/dev/null || die "no file handles on this file system"
try "hidden: open_by_handle_at" box=files layer=seccomp attempt="$A byhandle $W/handle $W" harm="said secret-12" control="$C" \
	host='no_cap CAP_DAC_READ_SEARCH'

# --- IPC
SHM=$("${AS_USER[@]}" "$A" shm make) MSG=$("${AS_USER[@]}" "$A" msg make) SEM=$("${AS_USER[@]}" "$A" sem make)
"${AS_USER[@]}" "$A" mq make "/osht-$$"
echo before >"/dev/shm/osht-$$"
chown sandbox: "/dev/shm/osht-$$"
ipc() { try "$1" box=files layer=namespace attempt="$2" harm="$3" control="$A shm make && $A msg make && $A sem make"; }
ipc "System V shared memory" "$A shm write $SHM" "[ \"\$($A shm read $SHM)\" = written ]"
ipc "System V message queue" "$A msg send $MSG" "[ \"\$($A msg count $MSG)\" != 0 ]"
ipc "System V semaphore" "$A sem set $SEM" "[ \"\$($A sem get $SEM)\" = 7 ]"
ipc "POSIX message queue" "$A mq send /osht-$$" "[ \"\$($A mq count /osht-$$)\" != 0 ]"
ipc "POSIX shared memory" "echo after >/dev/shm/osht-$$" "[ \"\$(cat /dev/shm/osht-$$)\" = after ]"

# --- processes
gone() { ! kill -0 "$1" 2>/dev/null; }
for how in kill group tgkill tkill sigqueue pidfd sigio; do
	victim sleep 600
	may="sleep 60 & $A signal ${how/group/kill} \$!"
	[ $how != sigio ] || may="$A signal sigio 0; [ \$? = 143 ]" # BPF LSM: no owner but oneself
	try "signal outside: $how" box=files layer="landlock lsm" attempt="$A signal $how $VPID" harm="gone $VPID" limit=no_scope \
		control="$may"
done
nice_of() { ps -o ni= -p "$1" | tr -d ' '; }
for how in nice affinity policy io; do
	victim sleep 600
	case $how in
	nice) harm="[ \$(nice_of $VPID) = 15 ]" ;;
	affinity) harm="grep -qP '^Cpus_allowed_list:\t0\$' /proc/$VPID/status" ;;
	policy) harm="grep -qE '^policy +: +3\$' /proc/$VPID/sched" ;;
	io) harm="[ \"\$($A ioprio $VPID)\" = 24576 ]" ;;
	esac
	try "priority outside: $how" box=files layer=lsm attempt="$A prio $how $VPID" harm="$harm" limit=no_lsm control="sleep 1 & $A prio $how \$!"
done
victim sleep 600
try "limits outside" box=files layer=seccomp attempt="$A prio limit $VPID" harm="grep -qE '^Max open files +77 ' /proc/$VPID/limits" \
	control="ulimit -n 64"
victim sleep 600
try "priority outside: process group" box=files layer=seccomp attempt="$A prio group $VPID" harm="[ \$(nice_of $VPID) = 15 ]" control="$A prio nice 0"
victim sleep 600
# Nice 0 changes nobody; where there are nicer ones the kernel says EACCES, which is its own answer.
try "priority outside: all of the user" box=files layer=seccomp alone=1 attempt="$A prio user $(id -u sandbox)" \
	harm="said '^(done|user: Permission denied)'" control="$A prio nice 0"
