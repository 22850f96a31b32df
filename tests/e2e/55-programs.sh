#!/usr/bin/env bash
# Real programs behind all walls: what the filter, the mounts and Landlock refuse must not be what they live on.
#
# With OSHT_BROWSER=1 a browser as well (Debian's chromium, about 300 MB with what it needs; where it is missing
# it is there for the test only).
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
git_up
dns_up
cp "$TOP/tests/e2e/syscalls.c" "$T/work/" # any C file
W=$T/work SRV=$T/srv
git init -q --bare "$SRV/git/octo/hello.git"
git init -q -b main "$T/seed"
(cd "$T/seed" && git config user.name t && git config user.email t@example.test && echo one >file && git add . && git commit -qm one &&
	git push -q "$SRV/git/octo/hello.git" main) || die "git seed"
git -C "$SRV/git/octo/hello.git" symbolic-ref HEAD refs/heads/main
# An npm package that builds something when it is installed, and the registry that has it.
mkdir -p "$T/pkg/package" "$SRV/npm/osht-built"
cat >"$T/pkg/package/package.json" <<'EOP'
{"name": "osht-built", "version": "1.0.0", "main": "index.js", "bin": {"osht-built": "index.js"},
 "scripts": {"install": "sh build.sh"}}
EOP
printf '#!/usr/bin/env node\nconsole.log(require("child_process").execFileSync(__dirname + "/hello").toString().trim())\n' >"$T/pkg/package/index.js"
printf 'echo "int puts(const char *); int main(void) { return puts(\\"built\\") < 0; }" >hello.c && gcc -o hello hello.c\n' >"$T/pkg/package/build.sh"
tar -C "$T/pkg" -czf "$SRV/npm/osht-built/osht-built-1.0.0.tgz" package
cat >"$SRV/npm/osht-built/index.json" <<EOP
{"name": "osht-built", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"name": "osht-built", "version": "1.0.0",
 "bin": {"osht-built": "index.js"}, "hasInstallScript": true, "scripts": {"install": "sh build.sh"},
 "dist": {"tarball": "https://registry.example.test/osht-built/osht-built-1.0.0.tgz",
 "shasum": "$(sha1sum <"$SRV/npm/osht-built/osht-built-1.0.0.tgz" | cut -d' ' -f1)"}}}}
EOP
chown -R www-data: "$SRV"
policy p.yaml <<EOP
network_policies:
  git:
    endpoints:
      - host: github.com
        port: 443
        protocol: rest
        rules:
          - allow: {method: GET, path: "/**"}
          - allow: {method: POST, path: "/**/git-upload-pack"}
    binaries: [{path: $(real git)}, {path: "/usr/lib/git-core/**"}]
  npm:
    endpoints: [{host: registry.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $(real node)}]
  web:
    endpoints: [{host: api.github.com, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: "/usr/lib/chromium/**"}, {path: $(real python3)}, {path: $(real node)}]
EOP
must_start r "$T/p.yaml"

section shell
sbsh r 'set -e; cd $(mktemp -d); mkfifo f; (echo fifo >f &); read x <f; echo $x
seq 1 2000 | sort -R | sort -n | md5sum >a; tar czf a.tgz a; tar tzf a.tgz; find /usr/bin -name "z*" | xargs -P 4 -n 5 ls -d | wc -l
nice -n 5 true; ulimit -n 256; ulimit -c 0; timeout 5 sleep 0.1; trap "echo trapped" TERM; kill -TERM $$; wait'
check "pipes, fifos, jobs, limits, signals" all 'rc_is 0' 'out_has fifo' 'out_has trapped' 'out_has "^a$"'
sbsh r 'cd && mkdir d && cd d && touch -d 2001-01-01 x && chmod 600 x && ln x y && ln -s x z && cp -a . ../e && mv y w && rm -r . 2>/dev/null; stat -c "%y %a" ../e/x; setfattr -n user.a -v b ../e/x; truncate -s 5 ../e/x; stat -c %s ../e/x'
check "files: times, modes, links, copies, attributes, truncate" all 'rc_is 0' 'out_has "^2001-01-01.* 600$"' 'out_has "^5$"'

section python
cat >"$W/all.py" <<'EOP'
import asyncio, concurrent.futures as cf, ctypes, fcntl, mmap, multiprocessing as mp, os, socket, sqlite3, subprocess, tempfile
def square(x): return x * x
async def talk():
    p = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    assert (await p.communicate(b"async"))[0] == b"async"
    async def serve(r, w): w.write(await r.readline()); await w.drain(); w.close()
    s = await asyncio.start_server(serve, "127.0.0.1", 0)
    r, w = await asyncio.open_connection(*s.sockets[0].getsockname())
    w.write(b"loop\n"); assert await r.readline() == b"loop\n"; w.close(); s.close()
if __name__ == "__main__":
    assert subprocess.run(["sh", "-c", "echo x"], capture_output=True).stdout == b"x\n"
    for method in mp.get_all_start_methods():
        with mp.get_context(method).Pool(3) as p: assert p.map(square, range(50))[-1] == 2401
    from multiprocessing import shared_memory
    m = shared_memory.SharedMemory(create=True, size=64); m.buf[0] = 7; m.close(); m.unlink()
    with mp.Manager() as mgr: mgr.list([1]).append(2)
    with cf.ThreadPoolExecutor(8) as e: assert sum(e.map(square, range(10))) == 285
    asyncio.run(talk())
    d = tempfile.mkdtemp(); db = sqlite3.connect(d + "/a.db"); db.execute("pragma journal_mode=wal"); db.execute("create table t(a)"); db.commit()
    with open(d + "/m", "wb+") as f: f.truncate(8192); mmap.mmap(f.fileno(), 8192)[0] = 1; fcntl.flock(f, fcntl.LOCK_EX)
    pid, tty = os.forkpty()
    if pid == 0: os.execlp("tty", "tty")
    assert b"/dev/pts" in os.read(tty, 100); os.waitpid(pid, 0)
    os.sched_setaffinity(0, os.sched_getaffinity(0)); os.nice(1); os.memfd_create("x")
    assert socket.if_nameindex(); socket.getaddrinfo("localhost", 80); ctypes.CDLL(None).getpid()
    print("all fine")
EOP
sb r python3 "$W/all.py"
check "subprocess, multiprocessing (fork, spawn, forkserver), asyncio, SQLite, mmap, pty, ctypes" says 'all fine'
sbsh r "cd && python3 -m venv --without-pip v && v/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'"
check "venv" says True
sb r python3 -c 'import urllib.request as u; print(u.urlopen("https://api.github.com/zen").status)'
check "https" says 200

section node
cat >"$W/all.js" <<'EOP'
const {Worker, isMainThread, parentPort} = require("worker_threads"), cp = require("child_process"), fs = require("fs"), cluster = require("cluster");
if (!isMainThread) { parentPort.postMessage("worker"); }
else if (cluster.isWorker) { process.send("cluster"); process.disconnect(); }
else (async () => {
  const seen = [];
  await new Promise(r => new Worker(__filename).on("message", m => { seen.push(m); r(); }));
  await new Promise(r => cluster.fork().on("message", m => { seen.push(m); r(); }));
  seen.push(cp.execSync("echo exec").toString().trim(), cp.spawnSync("cat", {input: "spawn"}).stdout.toString());
  await fs.promises.writeFile("/tmp/n", "x"); const w = fs.watch("/tmp/n"); w.close();
  require("crypto").pbkdf2Sync("a", "b", 1000, 32, "sha256"); require("zlib").gzipSync("x"); require("os").networkInterfaces();
  const net = require("net"); await new Promise(r => { const s = net.createServer(c => c.end()).listen(0, "127.0.0.1", () => net.connect(s.address().port).on("close", () => { s.close(); r(); }).resume()); });
  new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])); seen.push((await fetch("https://api.github.com/zen")).status);
  console.log(seen.join(" "));
})();
EOP
sb r node "$W/all.js"
check "workers, cluster, children, files, crypto, WebAssembly, fetch" says '^worker cluster exec spawn 200$'

section "git and npm"
sb r git clone -q https://github.com/octo/hello.git "$W/clone"
check "git clone" rc_is 0
sbsh r "cd $W/clone && git checkout -qb x && echo y >y && git add y && git -c user.name=a -c user.email=a@b commit -qm y && git log --oneline | wc -l && git gc -q && git fsck && git stash list && git worktree add -q ../wt && git status --short"
check "commit, gc, fsck, worktree" rc_is 0
sbsh r "mkdir -p $W/n && cd $W/n && npm init -y >/dev/null && npm install --registry https://registry.example.test --cache $W/npm-cache --no-audit --no-fund osht-built 2>&1 && npx --no-install osht-built"
check "npm install with an install script, npx" says '^built$'

section "gcc and make"
cat >"$W/Makefile" <<'EOP'
all: syscalls shared
syscalls: syscalls.o
%.o: %.c ; gcc -D_GNU_SOURCE -O2 -flto -pipe -c -o $@ $<
syscalls: ; gcc -flto=2 -o $@ syscalls.o
shared: ; printf 'int f(void) { return 3; }' | gcc -xc -shared -fPIC -o libf.so - && printf 'int f(void); int main(void) { return f() - 3; }' | gcc -xc - -o $@ -L. -lf -Wl,-rpath,. && ./$@
EOP
sbsh r "cd $W && make -j3 && ./syscalls self | grep -c refused"
check "a build with three jobs and LTO, and what it built runs" all 'rc_is 0' '[ "$(tail -n 1 <<<"$OUT")" -ge 25 ]'
sbsh r "perl -MSocket -e 'my @p; for (1..4) { my \$p = fork // die; if (!\$p) { exit 0 } push @p, \$p } waitpid \$_, 0 for @p; print \"perl\\n\"'"
check "perl" says perl

if [ "${OSHT_BROWSER:-0}" = 1 ]; then
	section browser
	packages() { dpkg-query -W -f '${Package}:${Architecture}\n' | sort; }
	if ! type -P chromium >/dev/null; then
		packages >"$T/before"
		apt-get install -qy --no-install-recommends chromium >"$T/log/apt.log" 2>&1
		on_exit "apt-get purge -qy $(packages | comm -13 "$T/before" - | tr '\n' ' ') >/dev/null 2>&1"
	fi
	LIMIT=120 sbsh r "cd && HOME=\$PWD chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --user-data-dir=\$PWD/profile \
		--dump-dom 'data:text/html,<body><script>document.body.append(\"sum \" + (40 + 2))</script>' 2>$W/chromium.err"
	check "renders a page with a script" says 'sum 42'
	LIMIT=120 sbsh r "cd && mkdir -p .pki/nssdb && HOME=\$PWD chromium --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir=\$PWD/profile2 \
		--ignore-certificate-errors --dump-dom https://api.github.com/zen 2>>$W/chromium.err"
	check "loads a page over inspected TLS" says logically
	tail -n 5 "$W/chromium.err" | sed 's/^/# /'
fi
finish
