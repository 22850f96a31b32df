# shellcheck shell=bash
# The processes that enforce, their files and their port.  Without enforcement root's processes stand in for them.
box tamper a.yaml
STAND=()
if [ "$ENFORCED" = 1 ]; then
	SUPERVISOR=$(json_field "$(status_json tamper)" pid) PROXY=$(proxy_pid tamper)
else
	for w in SUPERVISOR PROXY; do sleep 600 </dev/null & STAND+=("$!"); on_exit "stop $!"; printf -v $w %s "$!"; done
fi
[ -d "/proc/${SUPERVISOR:-none}" ] && [ -d "/proc/${PROXY:-none}" ] || die "tamper: no supervisor, no proxy"
class_down() { [ ${#STAND[@]} = 0 ] || stop "${STAND[@]}"; }
state_of() { cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null; }
OWN="$A probe tcp $OPEN 4000"
t() { try "$1" box=tamper alone=1 layer="$2" attempt="$3" harm="$4" control="$OWN" host="no_cap capability" before="${5:-true}"; }
for who in SUPERVISOR PROXY; do
	p=${!who} name=${who,,}
	t "stop the $name" "uid landlock lsm" "$A strike 19 $p" "[ \"\$(state_of $p)\" = T ]"
	t "trace the $name" "seccomp landlock" "$A strike trace $p" "said ^done"
	t "write the $name's memory" "uid mounts landlock" "$A strike mem $p" "said ^done"
	t "open the $name's descriptors" "uid landlock" "$A strike fds $p" "said ^done"
	t "root directory of the $name" "uid landlock" "ls /proc/$p/root/proc/$p/status" "said ^/proc"
	t "kill the $name" "uid landlock lsm" "$A strike 9 $p; sleep 0.3" "[ -z \"\$(state_of $p)\" ] || [ \"\$(state_of $p)\" = Z ]"
done
# What is kept about sandboxes; stand-ins are made where nothing is kept.
if [ "$ENFORCED" = 0 ]; then
	mkdir -p "$T/state/run" && echo x >"$T/state/run/f" && chmod 700 "$T/state"
	RUN=$T/state/run STATE=$T/state/run
else
	RUN=/run/osh-enforce/${PFX}tamper STATE=/var/lib/osh-enforce/${PFX}tamper
fi
t "the supervisor's directory" "uid mounts" "ls -d $RUN/*" "said '^$RUN'"
t "the sandbox's state" "uid mounts" "ls -d $STATE/*" "said '^$STATE'"
t "leaving something there" "uid mounts" "touch $RUN/osht" "[ -e $RUN/osht ]"
if [ "$ENFORCED" = 1 ]; then PIN=$(find /sys/fs/bpf /run/osh-enforce/.bpf -mindepth 2 -path "*${PFX}tamper*" 2>/dev/null | head -n 1); else PIN=$T/state/run/f; fi
[ -n "$PIN" ] || die "no pinned programs"
t "pinned programs and tables" "uid mounts" "ls -d ${PIN%/*}/*" "said '^${PIN%/*}'"
