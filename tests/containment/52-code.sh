# shellcheck shell=bash
# An allowed program made to run what another one wants.  Programs of the system are named in the policy, and stand-ins
# in $B: what each is made to run connects to an address of its own.
B=$T/code E=$W/evil
mkdir -p "$B" "$E/lib" "$E/gconv" "$E/py" "$E/perl"
cat >"$T/evil.c" <<'EOP'
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
unsigned int la_version(unsigned int v) { return v; }
int dep(void) { return 0; }
__attribute__((constructor)) static void evil(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(4000)};
	const char *to = getenv("OSHT_D");
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (!to) return;
	inet_pton(AF_INET, to, &a.sin_addr);
	connect(fd, (struct sockaddr *)&a, sizeof(a));
	_exit(0);
}
EOP
cat >"$T/dyn.c" <<'EOP'
#include <dlfcn.h>
#include <stdio.h>
int dep(void);
int main(int argc, char **argv) { if (argc > 1 && !dlopen(argv[1], RTLD_NOW)) puts(dlerror()); return dep(); }
EOP
# `one` has one library, libnil.so, and neither of them the C library, so that one file can stand for all.
cat >"$T/alone.c" <<'EOP'
#include <linux/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
static long call(long nr, long a, long b, long c)
{
#ifdef __x86_64__
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
#else
	register long r0 __asm__("x0") = a, r1 __asm__("x1") = b, r2 __asm__("x2") = c, r8 __asm__("x8") = nr;
	__asm__ volatile("svc 0" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r8) : "memory");
	return r0;
#endif
}
void nil(void) {}
__attribute__((constructor)) static void evil(int argc, char **argv, char **env)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = 4000 >> 8 | (4000 & 255) << 8};
	unsigned char *to = (unsigned char *)&a.sin_addr;
	(void)argc, (void)argv;
	for (; *env; env++) {
		const char *s = *env, *name = "OSHT_D=";
		while (*name && *s == *name) s++, name++;
		if (*name) continue;
		for (int i = 0; i < 4; i++, s++)
			for (to[i] = 0; *s >= '0' && *s <= '9'; s++) to[i] = (unsigned char)(to[i] * 10 + *s - '0');
		call(SYS_connect, call(SYS_socket, AF_INET, SOCK_STREAM, 0), (long)&a, sizeof(a));
	}
	call(SYS_exit_group, 0, 0, 0);
}
EOP
echo 'void nil(void) {}' >"$T/nil.c"
echo 'void nil(void); void _start(void) { nil(); __builtin_trap(); }' >"$T/one.c"
echo 'int dep(void) { return 0; }' >"$T/dep.c"
gcc -shared -fPIC -o "$E/evil.so" "$T/evil.c" && gcc -shared -fPIC -o "$E/lib/libosht.so" "$T/evil.c" &&
	gcc -shared -fPIC -o "$B/libosht.so" "$T/dep.c" &&
	gcc -o "$B/dyn" "$T/dyn.c" -L"$B" -losht "-Wl,-rpath,$B" -ldl && gcc -nostdlib -shared -fPIC -o "$B/libnil.so" "$T/nil.c" &&
	gcc -nostdlib -o "$B/one" "$T/one.c" -L"$B" -lnil "-Wl,-rpath,$B" &&
	gcc -O1 -fno-stack-protector -fno-builtin -nostdlib -shared -fPIC -Wl,-soname,libnil.so -o "$E/alone.so" "$T/alone.c" || die "52-code: does not build"
cp "$A" "$B/allowed"
cp "$E/evil.so" "$E/gconv/evil.so"
echo 'module OSHT// INTERNAL evil 1' >"$E/gconv/gconv-modules"
printf 'openssl_conf=oc\n[oc]\nproviders=p\n[p]\nevil=e\n[e]\nmodule=%s\nactivate=1\n' "$E/evil.so" >"$E/ssl.cnf"
echo 'require("net").connect(4000, process.env.OSHT_D).on("connect", () => process.exit()).on("error", () => process.exit())' | tee "$E/evil.js" >"$E/osht.js"
printf 'import os, socket\nsocket.create_connection((os.environ["OSHT_D"], 4000), 3)\n' | tee "$E/py/sitecustomize.py" >"$E/py/osht.py"
printf 'use IO::Socket::INET; IO::Socket::INET->new("$ENV{OSHT_D}:4000"); 1;\n' | tee "$E/perl/Evil.pm" >"$E/perl/Osht.pm"
echo 'exec 3<>"/dev/tcp/$OSHT_D/4000"' >"$E/evil.sh"
printf '#!%s\ntry { require("osht") } catch (e) {}\nif (process.argv[2]) require("net").connect(4000, process.argv[2]).on("connect", () => process.exit()).on("error", () => process.exit(1))\n' "$(real node)" >"$B/s.js"
printf '#!%s\nimport socket, sys\ntry: import osht\nexcept ImportError: pass\nif len(sys.argv) > 1: socket.create_connection((sys.argv[1], 4000), 3)\n' "$(real python3)" >"$B/s.py"
printf '#!%s\nuse IO::Socket::INET; eval { require Osht };\nif (@ARGV) { IO::Socket::INET->new("$ARGV[0]:4000") or exit 1 }\n' "$(real perl)" >"$B/s.pl"
printf '#!/bin/bash\ntrue\n[ -z "${1:-}" ] || exec 3<>"/dev/tcp/$1/4000"\n' >"$B/s.sh"
printf '#!/bin/bash\n[ -z "${1:-}" ] || exec 3<>"/dev/tcp/$1/4000"\n[ -n "${1:-}" ] || git ls-remote ssh://osht.example.test/x\n' >"$B/g.sh"
chmod -R a+rX "$B" "$E"
chmod 755 "$B"/*
chown -R sandbox: "$E"
ADDR=() CN=0
for k in {1..40}; do fresh; ADDR[k]=$D; done
{
	echo 'network_policies:'
	echo '  code:'
	echo '    endpoints:'
	printf '      - {host: "%s", port: 4000}\n' "${ADDR[@]}" "$OPEN"
	echo "    binaries: [{path: $B/allowed}, {path: $B/dyn}, {path: $B/one}, {path: $B/s.*}, {path: $B/g.sh}, {path: $(real iconv)}, {path: $(real openssl)}]"
	echo '  git:'
	echo '    endpoints:'
	printf '      - {host: "%s", port: 4000}\n' "${ADDR[40]}" "$OPEN"
	echo "    binaries: [{path: $(real git)}]"
} | policy code.yaml
box code code.yaml --ro "$B"
next() { CN=$((CN + 1)) D=${ADDR[CN]}; }
SELF="$B/allowed probe tcp $OPEN 4000"
# env_ NAME LAYER TEXT CONTROL: TEXT has the variable set, and OSHT_D.
env_() {
	try "$1" box=code layer="$2" attempt="export OSHT_D=$D; $3" harm="arrived tcp $D 4000" control="${4:-$SELF}" \
		log="action=deny dst_host=$D dst_port=4000 "
}
many() { env_ "$@"; C_LOG[N-1]=''; } # the program connects more than once
no() { try "$1" box=code layer="$2" attempt="$3" harm="arrived tcp $D 4000" control="$SELF"; }
yama() { local v; v=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null) && [ "$v" -gt "$1" ] && echo "kernel.yama.ptrace_scope=$v"; }

next; env_ LD_PRELOAD "ebpf (taint)" "LD_PRELOAD=$E/evil.so $B/dyn"
next; env_ LD_AUDIT "ebpf (taint)" "LD_AUDIT=$E/evil.so $B/dyn"
next; env_ LD_LIBRARY_PATH "ebpf (taint)" "LD_LIBRARY_PATH=$E/lib $B/dyn"
next; env_ "LD_PRELOAD of its parent" "ebpf (taint)" "LD_PRELOAD=$E/none.so sh -c 'unset LD_PRELOAD; exec $B/allowed probe tcp $D 4000' 2>&1"
next; env_ "LD_PRELOAD behind a megabyte of environment" "ebpf (taint)" \
	"v=\$(head -c 125000 /dev/zero | tr '\\0' x); for i in 1 2 3 4 5 6 7 8 9; do export V\$i=\$v; done; LD_PRELOAD=$E/evil.so $B/dyn"
next; env_ "LD_PRELOAD after one long variable" "ebpf (taint)" "export AAA=\$(head -c 100000 /dev/zero | tr '\\0' x); LD_PRELOAD=$E/evil.so $B/dyn"
next; env_ GCONV_PATH "ebpf (taint)" "echo x | GCONV_PATH=$E/gconv $(real iconv) -f OSHT -t UTF-8"
next; many OPENSSL_CONF "ebpf (taint)" "OPENSSL_CONF=$E/ssl.cnf $(real openssl) version; OPENSSL_CONF=$E/ssl.cnf $(real openssl) dgst /dev/null"
next; env_ BUN_OPTIONS "ebpf (taint)" "BUN_OPTIONS=--preload=$E/evil.js $B/allowed probe tcp $D 4000"
next; env_ NODE_OPTIONS "ebpf (script)" "NODE_OPTIONS='--require $E/evil.js' $B/s.js" "$B/s.js $OPEN"
next; env_ NODE_PATH "ebpf (script)" "NODE_PATH=$E $B/s.js" "$B/s.js $OPEN"
next; many PYTHONPATH "ebpf (script)" "PYTHONPATH=$E/py $B/s.py" "$B/s.py $OPEN"
next; many PERL5OPT "ebpf (script)" "PERL5OPT='-I$E/perl -MEvil' $B/s.pl" "$B/s.pl $OPEN"
next; env_ PERL5LIB "ebpf (script)" "PERL5LIB=$E/perl $B/s.pl" "$B/s.pl $OPEN"
# No ruby is needed: the variable alone is what counts.
next; env_ RUBYOPT "ebpf (script)" "RUBYOPT=-r$E/evil.rb $B/s.sh $D" "$B/s.sh $OPEN"
next; env_ BASH_ENV "ebpf (script)" "BASH_ENV=$E/evil.sh $B/s.sh" "$B/s.sh $OPEN"
next; env_ "BASH_FUNC_true%%" "ebpf (script)" "env 'BASH_FUNC_true%%=() { exec 3<>/dev/tcp/$D/4000; }' $B/s.sh" "$B/s.sh $OPEN"
next; many "PS4 and SHELLOPTS" "ebpf (script)" "env SHELLOPTS=xtrace 'PS4=\$(exec 3<>/dev/tcp/$D/4000)' $B/s.sh" "$B/s.sh $OPEN"
next; many "GIT_SSH_COMMAND of a script" "ebpf (script)" "GIT_SSH_COMMAND='$A probe tcp $D 4000 #' $B/g.sh" "$B/g.sh $OPEN"
next; many "GIT_CONFIG_COUNT of a script" "ebpf (script)" "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.sshCommand GIT_CONFIG_VALUE_0='$A probe tcp $D 4000 #' $B/g.sh" "$B/g.sh $OPEN"
D=${ADDR[40]} # what a program starts has its rights, however it came to start it
try "GIT_SSH_COMMAND of git itself: ancestor's rights" box=code layer=none limit=true harm="arrived tcp $D 4000" control="$SELF" \
	attempt="GIT_SSH_COMMAND='$A probe tcp $D 4000 #' git ls-remote ssh://osht.example.test/x"

next; no "ptrace of an allowed child" seccomp "$A hijack ptrace $B/allowed $D"
C_HOST[N-1]='yama 1'
next; no "ptrace from before its exec" seccomp "$A hijack traceme $B/allowed $D"
next; no "process_vm_writev" seccomp "$A hijack writev $B/allowed $D"
C_HOST[N-1]='yama 1'
next; no "/proc/PID/mem" "mounts landlock" "$A hijack mem $B/allowed $D"
C_HOST[N-1]='yama 1'
if type -P gdb >/dev/null; then
	next; no "gdb" seccomp "gdb -q -nx -batch -ex 'set startup-with-shell off' -ex run --args $B/allowed probe tcp $D 4000"
fi
try "strace of an allowed child" box=code layer=seccomp control="$SELF" harm="said '^traced$'" \
	attempt="strace -o $E/trace $B/allowed probe tcp $OPEN 4000; grep -q '^connect(' $E/trace && echo traced"
try "seccomp listener: answering an allowed program's calls" box=code layer=seccomp attempt="$A listener" harm="said ^done" control="$SELF"
# The answers of a filter to calls that are then not made, inherited over exec.
FILTER='.*deny_reason="tainted: started under a seccomp filter"'
filtered() { env_ "$@"; C_LOG[N-1]+=$FILTER; }
next; filtered "seccomp filter: an allowed program's library" "ebpf (taint)" "$A filtered library $E/alone.so $B/one"
next; filtered "seccomp filter: an allowed script" "ebpf (taint)" "$A filtered script $E/evil.sh $B/s.sh" "$B/s.sh $OPEN"
next; filtered "seccomp filter: of its parent" "ebpf (taint)" "$A filtered none /dev/null /bin/sh -c '$B/allowed probe tcp $D 4000; true'"
next; try "seccomp filter: an allowed program's own" box=code layer=identity expect=allow attempt="$B/allowed filterself $D" \
	harm="arrived tcp $D 4000" control="$SELF"
next; no "plug-in from a writable file (dlopen)" "lsm (code)" "OSHT_D=$D $B/dyn $E/evil.so"
C_LIMIT[N-1]=no_lsm
next; no "code mapped from a writable file" "lsm (code)" "$B/allowed mapcode mmap $E/evil.so $D"
C_LIMIT[N-1]=no_lsm
next; no "mprotect of a writable file's pages" "lsm (code)" "$B/allowed mapcode mprotect $E/evil.so $D"
C_LIMIT[N-1]=no_lsm
