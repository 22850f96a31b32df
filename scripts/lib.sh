# shellcheck shell=bash
# lib.sh - a test host on this machine, and what tests, demo and bench share.  Sourced, never run.
#
# host_up makes two network namespaces joined by one veth pair and nothing else:
#
#     client (sandboxes run here)                 server (nginx, DNS, sinks run here)
#     10.77.0.2, fd77::2                          10.77.0.1, fd77::1
#     default route to the server  ---- veth ---- answers for EVERY address, forwards nothing
#
# So a packet to 8.8.8.8 or 169.254.169.254 reaches a server of ours that answers and writes it down, and none can
# leave the machine, enforcement on or off.  All that is made here is taken away by the EXIT trap, also after Ctrl-C.
#
# Entered with `nsenter --net`: `ip netns exec` would hide cgroup v2 and bpffs.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OSH=${OSH:-$TOP/build/osh-enforce}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin # the system's tools, whatever root's shell prefers
# Nothing of the caller's own about certificates and proxies.
unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE GIT_SSL_CAINFO REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS PIP_CERT \
	http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY OSH_ENFORCE_POLICY
LC_ALL=C.UTF-8
export LC_ALL
umask 022

T=                              # directory of this run, made by scratch_up
C_NS=osht-$$-c S_NS=osht-$$-s   # namespaces
C_IP=10.77.0.2 S_IP=10.77.0.1 C_IP6=fd77::2 S_IP6=fd77::1
API_IP=140.82.112.5 GITHUB_IP=140.82.112.3 FILES_IP=93.184.216.34 NPM_IP=104.16.24.35 DEB_IP=151.101.130.132
ANY_IP=93.184.216.77            # any other name of the test

# --- leaving --------------------------------------------------------------------------------------------------
CLEANUP=()
on_exit() { CLEANUP+=("$*"); }
leave() {
	local i rc=$?
	trap '' INT TERM HUP
	set +e
	for ((i = ${#CLEANUP[@]} - 1; i >= 0; i--)); do eval "${CLEANUP[i]}"; done
	CLEANUP=()
	exit "$rc"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
need_root() { [ "$(id -u)" = 0 ] || die "run as root: sudo $0"; }

# stop PID...: ends processes that this run started.
stop() {
	local p i
	for p in "$@"; do kill "$p" 2>/dev/null; done
	for p in "$@"; do
		for ((i = 0; i < 40; i++)); do kill -0 "$p" 2>/dev/null || break; sleep 0.05; done
		kill -9 "$p" 2>/dev/null
		wait "$p" 2>/dev/null
	done
	return 0
}
# until_true SECONDS COMMAND...: polls; 1 when time is up.  OSHT_SLOW: how many times slower than a real machine this is.
until_true() {
	local end=$(($(date +%s%N) / 1000000 + $1 * 1000 * ${OSHT_SLOW:-1})); shift
	until "$@"; do
		[ $(($(date +%s%N) / 1000000)) -lt "$end" ] || return 1
		sleep 0.05
	done
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# --- the run's own directory and users ------------------------------------------------------------------------
scratch_up() {
	[ -z "$T" ] || return 0
	T=$(mktemp -d "${TMPDIR:-/var/tmp}/osh-test.XXXXXX") || die "no temporary directory"
	chmod 755 "$T"
	on_exit 'keep_logs; rm -rf "$T"'
	mkdir "$T/srv" "$T/log" "$T/work"
}
# With KEEP_LOGS=DIR the servers' logs outlive the run.
keep_logs() { [ -z "${KEEP_LOGS:-}" ] || { mkdir -p "$KEEP_LOGS" && cp -r "$T/log/." "$KEEP_LOGS/"; }; }

USER_BOOK=${USER_BOOK:-/run/osh-test-users} # who uses which
# user_up NAME [HOME]: makes the user where it is missing and removes it when the last run that asked for it ends.
user_up() {
	local u=$1 home=${2:-} d=$USER_BOOK/$1
	mkdir -p "$d"
	exec {USER_LOCK}>"$USER_BOOK/.lock"
	flock "$USER_LOCK"
	if ! getent passwd "$u" >/dev/null; then
		if [ -n "$home" ]; then
			useradd --create-home --home-dir "$home" --shell /bin/bash "$u"
		else
			useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$u"
		fi || die "cannot make the user $u"
		: >"$d/made"
	fi
	: >"$d/$$"
	exec {USER_LOCK}>&-
	on_exit "user_down $u"
}
user_down() {
	local d=$USER_BOOK/$1 p
	exec {USER_LOCK}>"$USER_BOOK/.lock"
	flock "$USER_LOCK"
	rm -f "$d/$$"
	for p in "$d"/[0-9]*; do
		[ -e "$p" ] && ! kill -0 "${p##*/}" 2>/dev/null && rm -f "$p"
	done
	if [ -z "$(find "$d" -name '[0-9]*' 2>/dev/null)" ]; then
		if [ -e "$d/made" ]; then
			userdel "$1" 2>/dev/null
			getent group "$1" >/dev/null && groupdel "$1" 2>/dev/null
		fi
		rm -rf "$d"
	fi
	exec {USER_LOCK}>&-
	rmdir "$USER_BOOK" 2>/dev/null || { [ -z "$(find "$USER_BOOK" -mindepth 1 -type d 2>/dev/null)" ] &&
		rm -rf "$USER_BOOK"; }
}

# --- the test host --------------------------------------------------------------------------------------------
INC=(nsenter --net="/run/netns/$C_NS")   # what follows runs in the client's namespace
INS=(nsenter --net="/run/netns/$S_NS")   # in the server's
inc() { "${INC[@]}" "$@"; }              # never with &: $! would be a shell around it
ins() { "${INS[@]}" "$@"; }
osh() { inc "$OSH" "$@"; }

# Sandboxes and namespaces of runs that were killed outright.
host_sweep() {
	local f pid
	for f in /run/osh-enforce/osht*-* /var/lib/osh-enforce/osht*-*; do
		[[ ${f##*/} =~ ^osht([0-9]+)- ]] && [ -d "$f" ] || continue
		kill -0 "${BASH_REMATCH[1]}" 2>/dev/null || sandboxes_down "${f##*/}"
	done
	for f in /run/netns/osht-*; do
		[ -e "$f" ] || continue
		pid=${f##*/osht-} pid=${pid%-?}
		kill -0 "$pid" 2>/dev/null || ip netns del "${f##*/}"
	done
}

host_up() {
	local ip
	scratch_up
	host_sweep
	on_exit host_down
	{
		ip netns add "$C_NS" && ip netns add "$S_NS" &&
		ip link add v0 netns "$C_NS" type veth peer name v0 netns "$S_NS" &&
		ip -n "$C_NS" link set lo up && ip -n "$S_NS" link set lo up &&
		ip -n "$C_NS" addr add "$C_IP/24" dev v0 && ip -n "$S_NS" addr add "$S_IP/24" dev v0 &&
		ip -n "$C_NS" addr add "$C_IP6/64" dev v0 nodad && ip -n "$S_NS" addr add "$S_IP6/64" dev v0 nodad &&
		ip -n "$C_NS" link set v0 up && ip -n "$S_NS" link set v0 up &&
		ip -n "$C_NS" route add default via "$S_IP" && ip -n "$C_NS" -6 route add default via "$S_IP6" &&
		ins sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 net.ipv4.conf.all.rp_filter=0 &&
		ip -n "$S_NS" route add local 0.0.0.0/0 dev lo table main &&
		ip -n "$S_NS" -6 route add local ::/0 dev lo table main &&
		for ip in 8.8.8.8 8.8.4.4 1.1.1.1 9.9.9.9 169.254.169.254; do # dnsmasq answers over TCP only on such
			ip -n "$S_NS" addr add "$ip/32" dev lo || break
		done
	} || die "cannot make the network namespaces"
	certs_up
}
host_down() {
	ip -n "$C_NS" link del v0 2>/dev/null
	ip netns del "$C_NS" 2>/dev/null
	ip netns del "$S_NS" 2>/dev/null
	return 0
}

# --- certificates: a CA that lives as long as the run ---------------------------------------------------------
TLS_NAMES="api.github.com github.com raw.githubusercontent.com objects.githubusercontent.com api.example.com
	*.example.test example.test api.anthropic.com statsig.anthropic.com sentry.io platform.claude.com
	integrate.api.nvidia.com pypi.org files.pythonhosted.org downloads.python.org
	update.code.visualstudio.com *.vo.msecnd.net marketplace.visualstudio.com *.gallerycdn.vsassets.io"
certs_up() {
	CA=$T/ca.pem
	openssl ecparam -name prime256v1 -genkey -noout -out "$T/ca.key" &&
	chmod 600 "$T/ca.key" &&
	openssl req -x509 -new -key "$T/ca.key" -days 2 -subj "/CN=osh-enforce test CA $$" -out "$CA" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign || die "cannot make a CA"
	# shellcheck disable=SC2086
	leaf site $TLS_NAMES
}
# leaf FILE NAME...: a certificate for the names, $T/FILE.pem and .key.
leaf() {
	local f=$1 n san=; shift
	set -f
	for n in "$@"; do san+=${san:+,}DNS:$n; done
	set +f
	openssl ecparam -name prime256v1 -genkey -noout -out "$T/$f.key" &&
	openssl req -new -key "$T/$f.key" -subj "/CN=$f" | openssl x509 -req -CA "$CA" -CAkey "$T/ca.key" \
		-CAcreateserial -days 2 -out "$T/$f.pem" 2>/dev/null \
		-extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$san") ||
		die "cannot make a certificate for $f"
}

# --- servers --------------------------------------------------------------------------------------------------
# nginx_up: every name of the test over TLS and HTTP; what it serves is in tests/servers/nginx.conf.
nginx_up() {
	local root=$T/srv
	mkdir -p "$root/files" "$root/up" "$root/git" "$root/npm" "$root/deb" "$T/nginx"
	head -c 4194304 /dev/zero >"$root/files/4m"
	head -c 67108864 /dev/urandom >"$root/files/64m"
	chown -R www-data:www-data "$root"
	sed -e "s#@T@#$T#g" "$TOP/tests/servers/nginx.conf" >"$T/nginx.conf"
	"${INS[@]}" nginx -e "$T/log/error.log" -p "$T/nginx" -c "$T/nginx.conf" -g 'daemon off;' </dev/null >"$T/log/nginx.out" 2>&1 &
	NGINX_PID=$!
	on_exit "stop $NGINX_PID"
	until_true 10 ins curl -s -o /dev/null http://127.0.0.1/ || { cat "$T/log/nginx.out" "$T/log/error.log" >&2; die "nginx does not start"; }
	: >"$T/log/access.log"
}
# git_up: git http-backend behind nginx, as https://github.com/REPO.
git_up() {
	setpriv --reuid www-data --regid www-data --clear-groups env -i PATH="$PATH" HOME=/nonexistent \
		fcgiwrap -f -s "unix:$T/srv/fcgi.sock" </dev/null >"$T/log/fcgiwrap.log" 2>&1 &
	on_exit "stop $!"
	until_true 5 test -S "$T/srv/fcgi.sock" || die "fcgiwrap does not start"
}
# sinks_up: TCP and UDP on fixed ports of every address, tests/servers/sinks.py; writes down who came.
sinks_up() {
	: >"$T/log/sinks.log"
	"${INS[@]}" python3 "$TOP/tests/servers/sinks.py" >"$T/log/sinks.log" 2>"$T/log/sinks.err" </dev/null &
	on_exit "stop $!"
	until_true 5 grep -q ready "$T/log/sinks.log" || die "sinks do not start"
}
# sniff_up: writes down every packet that reaches the server (of TCP: connection attempts).
sniff_up() {
	: >"$T/log/sniff.log"
	"${INS[@]}" python3 "$TOP/tests/servers/sniff.py" v0 >"$T/log/sniff.log" 2>"$T/log/sniff.err" </dev/null &
	on_exit "stop $!"
	until_true 5 grep -q ready "$T/log/sniff.log" || die "sniffer does not start"
}
# dns_up: dnsmasq on every address of the server, names in $T/dns.hosts (dns_reload after a change), queries logged.
dns_up() {
	[ -e "$T/dns.hosts" ] || : >"$T/dns.hosts"
	: >"$T/log/dns.log"
	"${INS[@]}" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= \
		--addn-hosts="$T/dns.hosts" --address=/#/ --local-ttl="${DNS_TTL:-5}" --log-queries=extra --log-facility=- \
		--cache-size=0 "$@" </dev/null >"$T/log/dns.log" 2>&1 &
	DNS_PID=$!
	on_exit "stop $DNS_PID"
	until_true 5 grep -q 'started, version' "$T/log/dns.log" || { cat "$T/log/dns.log"; die "dnsmasq does not start"; }
}
dns_reload() { kill -HUP "$DNS_PID"; sleep 0.2; }

# --- reading what the servers saw ------------------------------------------------------------------------------
# mark LOG: from here on `seen LOG REGEX` counts lines.  LOG: access, sinks, sniff, dns.
declare -A MARK=()
mark() { local l; for l in "${@:-access}"; do MARK[$l]=$(wc -l <"$T/log/$l.log"); done; }
seen() {
	sleep "${SETTLE:-0.15}"
	tail -n +$((${MARK[$1]:-0} + 1)) "$T/log/$1.log" | grep -cE -- "$2"
}
show_seen() { tail -n +$((${MARK[$1]:-0} + 1)) "$T/log/$1.log"; }

# --- sandboxes -------------------------------------------------------------------------------------------------
# --add-host arguments for the names of the test.
ADD_HOSTS=(--add-host "api.github.com:$API_IP" --add-host "github.com:$GITHUB_IP" --add-host "files.example.test:$FILES_IP"
	--add-host "registry.example.test:$NPM_IP" --add-host "deb.example.test:$DEB_IP")

# Deletes the sandboxes of this run: those whose names begin with $1.
sandboxes_down() {
	local n
	[ -x "$OSH" ] || return 0
	for n in /run/osh-enforce/"$1"* /var/lib/osh-enforce/"$1"*; do # the revisions of a kept one that died
		[ -d "$n" ] && timeout 20 "$OSH" delete "${n##*/}" >/dev/null 2>&1 </dev/null
	done
	return 0
}

# Every process of a sandbox: what `status --format json` (in $2) names, and what sits in its cgroups.
sandbox_pids() {
	local f
	{
		grep -oE '"[a-z_]*pid"[: ]+[0-9]+' <<<"$2" | grep -oE '[0-9]+$'
		sandbox_cgroups "$1" | while read -r f; do cat "$f/cgroup.procs" 2>/dev/null; done
	} | sort -nu
}
sandbox_cgroups() {
	local mnt
	awk '$3 == "cgroup2" {print $2}' /proc/mounts | while read -r mnt; do
		find "$mnt" -depth -type d \( -path "*/osh-enforce/$1" -o -path "*/osh-enforce/$1/*" \) 2>/dev/null
	done | sort -u
}
# sandbox_left NAME PID...: what there still is of a sandbox.
sandbox_left() {
	local n=$1 p; shift
	sandbox_cgroups "$n"
	find /sys/fs/bpf /run/osh-enforce /var/lib/osh-enforce \( -name "$n" -o -path "*/$n/*" \) 2>/dev/null
	for p in "$@"; do
		grep -qE '^State:\s+[^ZX]' "/proc/$p/status" 2>/dev/null && printf 'process %s: %s\n' "$p" "$(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null)"
	done
	return 0
}
