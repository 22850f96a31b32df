# shellcheck shell=bash
# Leaving the namespaces, the cgroup and the root directory; calls that reach deep into the kernel.  Having them is the
# harm, as what an attacker does with them then has no bounds that a test could name.
mkdir -p "$W/mnt" "$W/cores"
chown sandbox: "$W/mnt" "$W/cores"
"${AS_USER[@]}" sleep 600 </dev/null >/dev/null 2>&1 &
HOLDER=$!
on_exit "stop $HOLDER"
CG=$(findmnt -no TARGET -t cgroup2 | head -n 1)/osht-$$-k
mkdir "$CG" && chown -R sandbox: "$CG"
on_exit "rmdir $CG 2>/dev/null"
class_down() { stop "$HOLDER"; rmdir "$CG" 2>/dev/null; }
# k NAME LAYER APPLET... : it says `done`.  r NAME LAYER ERROR APPLET...: for root the kernel says ERROR.
OWN="$A probe socket 2 1 0 && bash -c 'true & wait'"
k() { try "$1" layer="$2" attempt="$3" harm="said ^done" control="$OWN"; }
r() { try "$1" layer="$2" attempt="$4" harm="said '$3'" control="$OWN" host='no_cap capability'; }
absent() { [ "$("$A" call "$1" 2>&1)" = "$1: Function not implemented" ] && echo "kernel without $1"; }

for n in user user,mnt user,net user,ipc user,pid user,uts user,cgroup user,time; do k "unshare: $n" seccomp "$A unshare $n"; done
for n in user user,net user,mnt; do k "clone: $n" seccomp "$A clone $n"; done
for n in user user,net; do k "clone3: $n" seccomp "$A clone3 $n"; done
for n in net mnt user pid; do r "setns: $n of a process outside" "seccomp landlock" '^(done|setns: Invalid argument)' "$A enter /proc/$HOLDER/ns/$n"; done
for n in mount bind umount chroot pivot_root fsopen open_tree fspick mount_setattr cgroup2; do k "$n in a new user namespace" seccomp "$A rooted $n $W/mnt"; done
k "open_tree_attr in a new user namespace" seccomp "$A rooted open_tree_attr $W/mnt"
C_HOST[N-1]='[ "$("$A" rooted open_tree_attr "$W/mnt")" = "open_tree_attr: Function not implemented" ] && echo "kernel without open_tree_attr"'
cg_as_root() { "${INC[@]}" bash -c "echo 0 >$CG/cgroup.procs && echo the common ancestor in the cgroup tree is root\'s"; }
try "cgroup.procs" layer=mounts attempt="echo 0 >$CG/cgroup.procs && echo done" harm="said ^done" control="$OWN" host=cg_as_root
try "cgroup.procs by /proc/PID/root" layer=landlock attempt="echo 0 >/proc/$HOLDER/root$CG/cgroup.procs && echo done" harm="said ^done" control="$OWN" host=cg_as_root

r "bpf: a map" seccomp ^done "$A call bpf"
r "bpf: maps of others" seccomp ^done "$A call bpf-next-id"
k perf_event_open seccomp "$A call perf"
C_HOST[N-1]='v=$(cat /proc/sys/kernel/perf_event_paranoid) && [ "$v" -gt 2 ] && echo "kernel.perf_event_paranoid=$v"'
k userfaultfd seccomp "$A call userfaultfd"
C_HOST[N-1]='absent userfaultfd'
k io_uring seccomp "$A call io_uring"
C_HOST[N-1]='absent io_uring || { v=$(cat /proc/sys/kernel/io_uring_disabled) && [ "$v" != 0 ] && echo "kernel.io_uring_disabled=$v"; }'
for n in add_key keyctl; do k $n seccomp "$A call $n"; C_HOST[N-1]="absent $n"; done
try request_key layer=seccomp attempt="$A call request_key" harm="said '^(done|request_key: Required key)'" control="$OWN" host="absent request_key"
for n in personality read-implies-exec traceme process_madvise; do k $n seccomp "$A call $n"; done
for n in kcmp fanotify modify_ldt move_pages cachestat statmount; do k $n seccomp "$A call $n"; C_HOST[N-1]="absent $n"; done
try TIOCSTI layer=seccomp attempt="$A call tiocsti" harm="said '^(done|tiocsti: (Inappropriate|Input/output))'" control="$OWN" \
	host='[ "$(cat /proc/sys/dev/tty/legacy_tiocsti 2>/dev/null)" = 0 ] && echo dev.tty.legacy_tiocsti=0'
try TIOCLINUX layer=seccomp attempt="$A call tioclinux" harm="said '^(done|tioclinux: (Inappropriate|Input/output))'" control="$OWN" host='no_cap CAP_SYS_TTY_CONFIG'
try TIOCSETD layer=seccomp attempt="$A call tiocsetd" harm="said '^(done|tiocsetd: (Inappropriate|Input/output))'" control="$OWN"
r kexec_load seccomp '^kexec_load: (Bad address|Invalid|Function)' "$A call kexec_load"
r init_module seccomp '^init_module: (Exec format|Function|Invalid|Bad)' "$A call init_module"
r finit_module seccomp '^finit_module: (Exec format|Function|Invalid|Bad)' "$A call finit_module"
r delete_module seccomp '^delete_module: (No such|Function)' "$A call delete_module"
r reboot seccomp '^reboot: Invalid' "$A call reboot"
r swapon seccomp '^swapon: (No such|Function)' "$A call swapon"
r acct seccomp '^acct: (No such|Function)' "$A call acct"
try settimeofday layer=seccomp attempt="$A call settimeofday" harm="said '^settimeofday: Invalid'" control="$OWN"
r iopl seccomp '^(done|iopl: Function)' "$A call iopl"

cores_elsewhere() { local p; p=$(cat /proc/sys/kernel/core_pattern); case $p in core*) false ;; *) echo "kernel.core_pattern=$p" ;; esac; }
try "core file" layer="limits seccomp" attempt="cd $W/cores && $A core" harm="compgen -G '$W/cores/*'" control="$OWN" host=cores_elsewhere
# At a limit of 0 the kernel runs a handler of the host, if core_pattern names one; at 1 it does not.
try "handler of core files" layer="limits seccomp" attempt="$A corelimit 0" harm="said '^limit 0'" control="$OWN"
cp "$(real id)" "$T/suid-id" && chmod 4755 "$T/suid-id"
box suid a.yaml --ro "$T/suid-id"
try "set-uid file" box=suid layer=no_new_privs attempt="$T/suid-id -u" harm="said ^0" control="$T/suid-id -u"
if [ "$(uname -m)" = x86_64 ]; then
	k "32-bit entry (int 0x80)" seccomp "$A int80"
	C_HOST[N-1]='! "$A" int80 >/dev/null 2>&1 && echo "kernel without 32-bit entry"'
	k "x32 call" seccomp "$A x32"
	C_HOST[N-1]='! "$A" x32 >/dev/null 2>&1 && echo "kernel without x32"'
fi
