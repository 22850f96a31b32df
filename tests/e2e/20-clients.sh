#!/usr/bin/env bash
# Real clients, unmodified, with TLS inspected: curl, wget, git, node, python, apt-get, npm; large transfers.
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
git_up
SRV=$T/srv W=$T/work

# --- content -------------------------------------------------------------------------------------------------------
git init -q --bare "$SRV/git/octo/hello.git"
git init -q -b main "$T/seed"
(cd "$T/seed" && git config user.name t && git config user.email t@example.test && head -c 300000 /dev/urandom >blob &&
	echo one >file && git add . && git commit -qm one && git push -q "$SRV/git/octo/hello.git" main) || die "git seed"
git -C "$SRV/git/octo/hello.git" symbolic-ref HEAD refs/heads/main
git -C "$SRV/git/octo/hello.git" config http.receivepack true

# An npm package with one dependency, and the registry that has them.
npm_package() { # npm_package NAME VERSION DEPENDENCIES-JSON
	local d=$T/npm-$1 tgz
	mkdir -p "$d/package" "$SRV/npm/$1"
	printf '{"name":"%s","version":"%s","main":"index.js","dependencies":%s}\n' "$1" "$2" "$3" >"$d/package/package.json"
	printf 'module.exports = "%s works";\n' "$1" >"$d/package/index.js"
	tgz=$SRV/npm/$1/$1-$2.tgz
	tar -C "$d" -czf "$tgz" package
	cat >"$SRV/npm/$1/index.json" <<-JSON
	{"name":"$1","dist-tags":{"latest":"$2"},"versions":{"$2":{"name":"$1","version":"$2","dependencies":$3,"dist":{
	 "tarball":"https://registry.example.test/$1/$1-$2.tgz","shasum":"$(sha1sum <"$tgz" | cut -d' ' -f1)",
	 "integrity":"sha512-$(openssl dgst -sha512 -binary <"$tgz" | openssl base64 -A)"}}}}
	JSON
}
npm_package left-room 1.0.0 '{}'
npm_package right-room 2.1.0 '{"left-room":"^1.0.0"}'

# An apt repository with one package.
mkdir -p "$T/deb/DEBIAN" "$T/deb/usr/share/osht" "$SRV/deb/pool"
printf 'Package: osht-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@example.test>\nDescription: test\n' >"$T/deb/DEBIAN/control"
head -c 100000 /dev/urandom >"$T/deb/usr/share/osht/data"
dpkg-deb --root-owner-group -b "$T/deb" "$SRV/deb/pool/osht-hello_1.0_all.deb" >/dev/null
(cd "$SRV/deb" && dpkg-scanpackages pool 2>/dev/null >Packages &&
	printf 'Origin: test\nSuite: ./\nDate: %s\nSHA256:\n %s %s Packages\n' "$(date -Ru)" \
		"$(sha256sum <Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" >Release)
chown -R www-data: "$SRV"

NODE=$(real node) PY=$(real python3) GIT=$(real git)
policy p.yaml <<EOP
network_policies:
  files:
    endpoints: [{host: files.example.test, port: 443, protocol: rest, access: read-write}]
    binaries: [{path: /usr/bin/curl}, {path: /usr/bin/wget}, {path: $PY}]
  api:
    endpoints: [{host: api.github.com, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: /usr/bin/curl}, {path: $NODE}, {path: $PY}]
  git:
    endpoints:
      - host: github.com
        port: 443
        protocol: rest
        rules:
          - allow: {method: GET, path: "/**/info/refs*"}
          - allow: {method: POST, path: "/**/git-upload-pack"}
    binaries: [{path: $GIT}, {path: "/usr/lib/git-core/**"}]
  npm:
    endpoints: [{host: registry.example.test, port: 443, protocol: rest, access: read-only}]
    binaries: [{path: $NODE}]
  apt:
    endpoints:
      - {host: deb.example.test, port: 443, protocol: rest, access: read-only}
      - {host: deb.example.test, port: 80, protocol: rest, access: read-only}
    binaries: [{path: "/usr/lib/apt/methods/*"}]
EOP
must_start c "$T/p.yaml"
inspected() { # the request was seen by the proxy: METHOD HOST PATH-REGEX
	logged c "l7_decision=allow dst_host=$2 l7_action=$1 l7_target=$3"
}
mark access

section curl
sb c curl -sS https://api.github.com/octocat
check "curl" says MMMMMM
check "was inspected" inspected GET api.github.com /octocat

section python
sb c python3 -c 'import urllib.request as u; print(u.urlopen("https://api.github.com/zen").read().decode())'
check "python urllib" says logically
sb c python3 -c 'import requests
s = requests.Session()
print(s.get("https://api.github.com/zen").text, s.post("https://api.github.com/zen", data="x").status_code, s.get("https://api.github.com/octocat").text)'
check "python requests: GET, denied POST, GET in one session" all 'rc_is 0' 'out_has logically' 'out_has "403"' 'out_has MMMM'
check "was inspected" inspected GET api.github.com /zen

section node
sb c node -e 'fetch("https://api.github.com/zen").then(r => r.text()).then(console.log)'
check "node fetch" says logically
sb c node -e 'require("https").get("https://api.github.com/octocat", r => r.pipe(process.stdout))'
check "node https" says MMMM
sb c node -e 'fetch("https://api.github.com/zen",{method:"POST",body:"x"}).then(r => console.log(r.status))'
check "node POST is denied" out_is 403

section wget
sb c wget -q -t 1 -O "$W/4m" https://files.example.test/4m
check "wget" cmp -s "$W/4m" "$SRV/files/4m"

section git
sb c git clone -q https://github.com/octo/hello.git "$W/clone"
check "git clone" rc_is 0
check "byte for byte" cmp -s "$T/seed/blob" "$W/clone/blob"
# From outside any sandbox, to the same server.
push() { inc git -C "$T/seed" -c http.sslCAInfo="$CA" -c "http.curloptResolve=github.com:443:$GITHUB_IP" push -q \
	https://github.com/octo/hello.git "$@"; }
(cd "$T/seed" && echo two >file && git commit -qam two && push main)
sbsh c "cd $W/clone && git pull -q && cat file"
check "git pull" out_is two
mark access
sbsh c "cd $W/clone && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git push origin HEAD:refs/heads/x"
check "git push is denied" all 'rc_not 0' 'out_has 403'
check "no push reached the server" came_not access 'git-receive-pack" 200|POST .*receive-pack'
check "control: the server takes pushes" push main:refs/heads/y

section apt-get
APT=(-o "Dir::State=$W/apt/state" -o "Dir::Cache=$W/apt/cache" -o Dir::Etc::sourceparts=/dev/null -o Acquire::Languages=none
	-o Debug::NoLocking=1 -o "Dir::Log=$W/apt/log")
for scheme in http https; do
	sbsh c "rm -rf $W/apt; mkdir -p $W/apt/state/lists/partial $W/apt/cache/archives/partial $W/apt/log && cp /var/lib/dpkg/status $W/apt/state/status 2>/dev/null || : >$W/apt/state/status
		echo 'deb [trusted=yes] $scheme://deb.example.test/ ./' >$W/apt/sources.list"
	sb c apt-get "${APT[@]}" -o "Dir::State::status=$W/apt/state/status" -o "Dir::Etc::sourcelist=$W/apt/sources.list" update
	check "apt-get update over $scheme" all 'rc_is 0' 'out_lacks "^(Err|W:|E:)"'
	sbsh c "cd $W && apt-get ${APT[*]} -o Dir::State::status=$W/apt/state/status -o Dir::Etc::sourcelist=$W/apt/sources.list download osht-hello"
	check "apt-get download over $scheme" rc_is 0
	check "byte for byte" cmp -s "$W/osht-hello_1.0_all.deb" "$SRV/deb/pool/osht-hello_1.0_all.deb"
	rm -f "$W/osht-hello_1.0_all.deb"
done
check "was inspected" inspected GET deb.example.test /pool/osht-hello_1.0_all.deb

section npm
sbsh c "mkdir -p $W/proj && cd $W/proj && echo '{\"name\":\"p\",\"version\":\"1.0.0\"}' >package.json &&
	npm install --registry https://registry.example.test --cache $W/npm-cache --no-audit --no-fund right-room 2>&1 &&
	node -e 'console.log(require(\"right-room\"), require(\"left-room\"))'"
check "npm install" says 'right-room works left-room works'
check "was inspected" inspected GET registry.example.test /right-room/right-room-2.1.0.tgz

section "large transfers, byte for byte, proxy memory flat"
MIB=1024 # 64 where the machine is slow; the upload is a tenth of it
[ "${OSHT_SLOW:-1}" = 1 ] || MIB=64
openssl enc -aes-128-ctr -nosalt -K 00112233445566778899aabbccddeeff -iv 0 -in /dev/zero 2>/dev/null |
	head -c ${MIB}M >"$SRV/files/large"
WANT=$(sha256sum <"$SRV/files/large")
sbsh c 'curl -sS https://files.example.test/4m >/dev/null'
PID=$(proxy_pid c)
check "the proxy's pid is known" test -d "/proc/${PID:-none}"
rss() { awk '/^VmRSS/ {print $2}' "/proc/$PID/status"; }
BEFORE=$(rss)
(PEAK=0; while sleep 0.1; do r=$(rss) || break; [ "$r" -gt "$PEAK" ] && PEAK=$r && echo "$PEAK" >"$T/peak"; done) 2>/dev/null &
SAMPLER=$!
on_exit "stop $SAMPLER"
LIMIT=180
s=$(now_ms)
sbsh c 'curl -sS https://files.example.test/large | sha256sum'
check "$MIB MiB download in $(($(now_ms) - s)) ms" out_is "$WANT"
head -c $((MIB / 10))M "$SRV/files/large" >"$W/tenth"
chmod 644 "$W/tenth"
sb c curl -sS -o /dev/null -w '%{http_code}' -T "$W/tenth" https://files.example.test/up/tenth
check "$((MIB / 10)) MiB upload is taken" out_is 201
check "byte for byte" cmp -s "$W/tenth" "$SRV/up/tenth"
sb c curl -sS -o /dev/null -w '%{http_code}' -H 'Transfer-Encoding: chunked' -T "$W/tenth" https://files.example.test/up/tenth-chunked
check "$((MIB / 10)) MiB chunked upload is taken" out_is 201
check "byte for byte" cmp -s "$W/tenth" "$SRV/up/tenth-chunked"
stop "$SAMPLER"
PEAK=$(cat "$T/peak" 2>/dev/null || echo 999999999) OUT="VmRSS before $BEFORE kB, peak $PEAK kB"
check "proxy memory flat ($OUT)" test $((PEAK - BEFORE)) -lt 16384
check "the upload was judged: PUT is logged" inspected PUT files.example.test /up/tenth
finish
