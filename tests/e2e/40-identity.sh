#!/usr/bin/env bash
# The decision follows the file that the kernel executed and its recorded ancestry, whatever a program calls itself.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
sinks_up
sniff_up
probe_up
W=$T/work
CURL=$(real curl) PY=$(real python3) NODE=$(real node) BASH_BIN=$(real bash) ENV_BIN=$(real env)
cp "$CURL" "$W/tool"
HELD=$W/held
mkdir -p "$HELD/a/tools"
cp "$CURL" "$HELD/a/tools/tool"
chown -R sandbox: "$HELD"
policy p.yaml <<EOP
network_policies:
  curl:
    endpoints: [{host: one.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $CURL}]
  script:
    endpoints: [{host: two.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $W/agent.py}, {path: $W/agent.js}, {path: $W/agent.sh}]
  bash:
    endpoints: [{host: three.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $BASH_BIN}]
  itself:
    endpoints: [{host: four.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $BASH_BIN, ancestors: false}]
  tool:
    endpoints: [{host: five.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $W/tool}]
  tainted:
    endpoints: [{host: six.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $CURL, allow_tainted: true}]
  seven:
    endpoints: [{host: seven.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $CURL}]
  held:
    endpoints: [{host: eight.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $HELD/a/tools/tool}]
  forbids:
    endpoints: [{host: seven.example.test, port: 443, protocol: rest, access: read-only, deny_rules: [{path: /}]}]
    binaries: [{path: $W/boss}]
EOP
HOSTS=()
for n in one two three four five six seven eight; do HOSTS+=(--add-host "$n.example.test:$ANY_IP"); done
must_start i "$T/p.yaml" "${HOSTS[@]}" --ro "$HELD/a/tools"
ONE=https://one.example.test/ TWO=https://two.example.test/ THREE=https://three.example.test/
FOUR=https://four.example.test/ FIVE=https://five.example.test/ SIX=https://six.example.test/
SEVEN=https://seven.example.test/ EIGHT=https://eight.example.test/
mark access sniff

# yes NAME HOST COMMAND...: allowed, and the server saw it.  no NAME COMMAND...: nothing arrived.
yes_() {
	local name=$1 host=$2; shift 2
	mark access
	sb i "$@"
	check "$name: allowed" all 'rc_is 0' "came access '$host\.example\.test \"GET'"
}
no_() {
	local name=$1; shift
	mark access sniff
	sb i "$@"
	check "$name: denied" all 'came_not sniff "^tcp .* $ANY_IP 443"' 'came_not access "example.test"'
}

section "files"
yes_ "curl itself (control)" one curl -sS $ONE
no_ "a copy" sh -c "cp $CURL /tmp/curl && /tmp/curl -sS $ONE"
check "under its own name in the log" logged i 'binary=/tmp/curl deny_reason="?binary not in policy curl'
no_ "another file" "$W/tool" -sS $ONE
no_ "exec -a with the allowed name" sh -c "exec bash -c 'exec -a $CURL $W/tool -sS $ONE'"
no_ "renamed over" sh -c "mkdir -p /tmp/r && cp $CURL /tmp/r/x && mv /tmp/r/x /tmp/r/curl && cd /tmp/r && ./curl -sS $ONE"
yes_ "a symlink to it (the file executed is curl)" one sh -c "ln -sf $CURL /tmp/link && /tmp/link -sS $ONE"
no_ "a symlink with the allowed name to another file" sh -c "cp $CURL /tmp/other; mkdir -p /tmp/usr; ln -sf /tmp/other /tmp/usr/curl; /tmp/usr/curl -sS $ONE"
no_ "a hard link of a copy" sh -c "cp $CURL /tmp/h1 && ln /tmp/h1 /tmp/h2 && /tmp/h2 -sS $ONE"
yes_ "/proc/self/root/... names the same file" one sh -c "/proc/self/root$CURL -sS $ONE"
yes_ "a relative path" one sh -c "cd $(dirname "$CURL")/../lib && ../bin/curl -sS $ONE"
yes_ "control: the tool in the workdir" five "$W/tool" -sS $FIVE
cat >"$W/deleted.py" <<EOP
import os, shutil
shutil.copy("$W/tool", "$W/kept"); os.unlink("$W/tool"); shutil.copy("$W/kept", "$W/tool")
r = os.open("$W/tool", os.O_RDONLY); os.unlink("$W/tool")
os.execve(r, ["$CURL", "-sS", "$FIVE"], os.environ)
EOP
no_ "a deleted file, by descriptor" python3 "$W/deleted.py"
cp "$CURL" "$W/tool"
cat >"$W/memfd.py" <<EOP
import os, sys
fd = os.memfd_create("curl")
os.write(fd, open("$CURL", "rb").read())
os.execve(fd, ["$CURL", "-sS", sys.argv[1]], os.environ)
EOP
no_ "memfd" python3 "$W/memfd.py" $ONE
check "has no path" logged i 'action=deny dst_host=one.example.test dst_port=443 binary=- '
cat >"$W/fdcurl.py" <<EOP
import os
os.execve(os.open("$CURL", os.O_RDONLY), ["x", "-sS", "$ONE"], os.environ)
EOP
yes_ "by descriptor of the file itself" one python3 "$W/fdcurl.py"

section "read-only below writable"
yes_ "the tool (control)" eight "$HELD/a/tools/tool" -sS $EIGHT
for d in "$HELD" "$HELD/a"; do
	no_ "${d##*/} renamed, and another tool in its place" sh -c \
		"mv $d $d.away && mkdir -p $HELD/a/tools && cp $CURL $HELD/a/tools/tool && $HELD/a/tools/tool -sS $EIGHT"
	check "${d##*/}: busy" all rc_not\ 0 'out_has "Device or resource busy"'
done
sbsh i "cd $HELD && echo x >f && mkdir d && mv f d/g && ln d/g h && mv h a/ && cat a/h && rm -r d a/h && ls"
check "directories on the way are written as others" says '^a$'

section "scripts"
GETPY="import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
printf '#!%s\n%s\n' "$PY" "$GETPY" >"$W/agent.py"
printf '#!%s python3\n%s\n' "$ENV_BIN" "$GETPY" >"$W/other.py"
printf '#!%s node\nfetch(process.argv[2]).then(r => r.text()).then(console.log)\n' "$ENV_BIN" >"$W/agent.js"
printf '#!%s\n%s "$@"\n' "$(real sh)" "$CURL -sS" >"$W/agent.sh"
chmod 755 "$W"/*.py "$W"/*.js "$W"/*.sh
yes_ "#! interpreter" two "$W/agent.py" $TWO
yes_ "#!/usr/bin/env interpreter" two "$W/agent.js" $TWO
no_ "another script of the same interpreter" "$W/other.py" $TWO
no_ "the interpreter on its own" python3 -c "$GETPY" $TWO
no_ "the script as an argument (the kernel executed the interpreter)" python3 "$W/agent.py" $TWO
no_ "another interpreter's argument named like it" sh -c "cd $W && node ./agent.js $TWO"
no_ "a copy of the script" sh -c "cp $W/agent.py /tmp/agent.py && /tmp/agent.py $TWO"
yes_ "what the script starts (ancestor)" two "$W/agent.sh" $TWO

section "ancestors"
yes_ "a child of bash" three bash -c "$CURL -sS $THREE; true"
yes_ "a grandchild of bash whose parents are dead" three bash -c "(setsid sh -c 'sleep 0.3; $CURL -sS $THREE' </dev/null & ) ; sleep 1"
no_ "the same without bash" sh -c "$CURL -sS $THREE; true"
no_ "ancestors: false: a child" bash -c "$CURL -sS $FOUR; true"
cat >"$W/devtcp" <<'EOP'
exec 3<>"/dev/tcp/four.example.test/443" && echo connected
EOP
sb i bash "$W/devtcp"
check "ancestors: false: bash itself" out_is connected
yes_ "an image that exec replaced is an ancestor" three bash -c "exec $CURL -sS $THREE"

section "taint"
for v in LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT GCONV_PATH OPENSSL_CONF; do
	val=/nonexistent; [ $v != LD_PRELOAD ] || val=$W/none.so
	no_ "$v" env "$v=$val" curl -sS $ONE
	check "$v: in the log" logged i "deny_reason=\"tainted: $v\""
done
no_ "a child of a tainted program" env LD_LIBRARY_PATH=/nonexistent sh -c "env -u LD_LIBRARY_PATH curl -sS $ONE; true"
yes_ "allow_tainted" six env LD_LIBRARY_PATH=/nonexistent curl -sS $SIX
cat >"$W/filtered.py" <<EOP
import ctypes, os, struct, sys
def filter():
    """One that lets all pass."""
    c = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7fff0000), 8)
    prog = ctypes.create_string_buffer(struct.pack("@HP", 1, ctypes.addressof(code)))
    for args in ((38, 1, 0, 0, 0), (22, 2, prog, 0, 0)):
        if c.prctl(*args): raise OSError(ctypes.get_errno(), "prctl")
if __name__ == "__main__":
    filter()
    os.execvp(sys.argv[1], sys.argv[1:])
EOP
no_ "a seccomp filter from before its exec" python3 "$W/filtered.py" curl -sS $ONE
check "a seccomp filter: in the log" logged i 'deny_reason="tainted: started under a seccomp filter"'
no_ "a child of a program under such a filter" python3 "$W/filtered.py" sh -c "curl -sS $ONE; true"
yes_ "a seccomp filter: allow_tainted" six python3 "$W/filtered.py" curl -sS $SIX
printf '#!%s\nimport sys; sys.path.insert(0, "%s")\nimport filtered, urllib.request as u\nfiltered.filter()\nprint(u.urlopen(sys.argv[1]).read().decode())\n' \
	"$PY" "$W" >"$W/t" && mv "$W/agent.py" "$W/agent.kept" && mv "$W/t" "$W/agent.py" && chmod 755 "$W/agent.py"
yes_ "a seccomp filter of its own, made after its exec" two "$W/agent.py" $TWO
mv "$W/agent.kept" "$W/agent.py"
PLAIN=("${OSHC[@]}")
OSHC=("${INC[@]}" python3 "$W/filtered.py" "$OSH")
must_start f "$T/p.yaml" "${HOSTS[@]}"
OSHC=("${PLAIN[@]}")
mark access
sb f curl -sS $ONE
check "a sandbox that is started under a seccomp filter: nobody is tainted by that one" all 'rc_is 0' 'came access "one\.example\.test \"GET"'
mark access sniff
sb f python3 "$W/filtered.py" curl -sS $ONE
check "and by one more: denied" all 'came_not sniff "^tcp .* $ANY_IP 443"' 'came_not access "example.test"'
no_ "interpreter variables take the script's part away" env PYTHONPATH=/tmp "$W/agent.py" $TWO
no_ "NODE_OPTIONS as well" env NODE_OPTIONS=--no-warnings "$W/agent.js" $TWO
yes_ "PYTHONPATH does not touch other binaries (control)" one env PYTHONPATH=/tmp curl -sS $ONE

section "ancestors bring deny rules along"
chain() { # chain N COMMAND...: N different programs, each started by the one before
	local n=$1 i; shift
	for ((i = n; i > 0; i--)); do set -- "$W/env$i" "$@"; done
	printf '%q ' "$@"
}
for i in {1..17}; do cp "$(real env)" "$W/env$i"; done
cp "$BASH_BIN" "$W/boss"
yes_ "control: without that ancestor" seven bash -c "$CURL -sS $SEVEN"
for n in 0 8; do
	sb i "$W/boss" -c "$(chain $n "$CURL" -sS -o /dev/null -w '%{http_code}' "$SEVEN"); true"
	check "through $n other programs: denied by the ancestor's block" out_is 403
done
yes_ "control: the chain itself is no obstacle" seven bash -c "$(chain 8 "$CURL" -sS "$SEVEN"); true"
no_ "through 17, which is too many" "$W/boss" -c "$(chain 17 "$CURL" -sS "$SEVEN"); true"
check "logged" logged i 'dst_host=seven.*deny_reason="no identity: too many ancestors"'
no_ "and what such a process starts" "$W/boss" -c "$(chain 17 bash -c "$CURL -sS $SEVEN; true"); true"

section "threads and forks"
cat >"$W/thread.py" <<EOP
import threading, urllib.request as u
t = threading.Thread(target=lambda: print(u.urlopen("$TWO").read().decode())); t.start(); t.join()
EOP
{ printf '#!%s\n' "$PY"; cat "$W/thread.py"; } >"$W/t" && mv "$W/t" "$W/agent.py" && chmod 755 "$W/agent.py"
yes_ "a thread of an allowed script" two "$W/agent.py"
{ printf '#!%s\nimport os\nif os.fork() == 0:\n' "$PY"; sed 's/^/    /' "$W/thread.py"; printf 'else: os.wait()\n'; } >"$W/t" && mv "$W/t" "$W/agent.py" && chmod 755 "$W/agent.py"
yes_ "a forked child without exec" two "$W/agent.py"

section "a running process across reloads, its parent dead"
policy none.yaml </dev/null
cat >"$W/loop.sh" <<EOP
while :; do $CURL -s -f -m 5 -o /dev/null $ONE && echo 200 || echo none; sleep 0.1; done
EOP
sbsh i "setsid sh $W/loop.sh >$W/loop.out 2>&1 </dev/null & exit 0"
# One process that never execs again, beside the shell with its fresh children.
cat >"$W/runner.py" <<EOP
import time, urllib.request as u
while True:
    try: print(u.urlopen("$TWO", timeout=5).status, flush=True)
    except Exception: print("none", flush=True)
    time.sleep(0.1)
EOP
{ printf '#!%s\n' "$PY"; cat "$W/runner.py"; } >"$W/t" && mv "$W/t" "$W/agent.py" && chmod 755 "$W/agent.py"
sbsh i "setsid $W/agent.py >$W/run.out 2>&1 </dev/null & exit 0"
settle() { : >"$W/loop.out"; : >"$W/run.out"; sleep 1; }
tail_is() { [ "$(tail -n 2 "$W/$1" | sort -u)" = "$2" ]; }
sleep 1
settle
check "both get through" all 'until_true 5 tail_is loop.out 200' 'until_true 5 tail_is run.out 200'
reload i "$T/none.yaml"
settle
check "both are denied after the reload" all 'until_true 5 tail_is loop.out none' 'until_true 5 tail_is run.out none'
OUT=$(tail -n 3 "$W/loop.out" "$W/run.out")
reload i "$T/p.yaml"
settle
check "and get through again" all 'until_true 5 tail_is loop.out 200' 'until_true 5 tail_is run.out 200'
finish
