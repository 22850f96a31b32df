#!/usr/bin/env bash
# Every policy in examples/ loads and decides as it reads.
#
# Programs that the policies name and this host lacks (claude, gh) are copies of curl, on a tmpfs over /usr/local/bin
# in a mount namespace of the test's own.
[ -n "${OSHT_MOUNTS:-}" ] || exec unshare --mount --propagation private env OSHT_MOUNTS=1 bash "$0" "$@"
. "$(dirname "$0")/lib.sh"
e2e_up
nginx_up
git_up
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
cp -L "$(real curl)" /usr/local/bin/claude
NAMES=(raw.githubusercontent.com api.anthropic.com statsig.anthropic.com sentry.io platform.claude.com pypi.org
	integrate.api.nvidia.com files.pythonhosted.org update.code.visualstudio.com az764295.vo.msecnd.net api.example.com
	one.example.test evil.vo.msecnd.net.example.test)
HOSTS=()
for n in "${NAMES[@]}"; do HOSTS+=(--add-host "$n:$ANY_IP"); done
for r in ORG/REPO ORG/OTHER; do
	mkdir -p "$T/srv/git/$r.git"
	git init -q --bare "$T/srv/git/$r.git"
	git -C "$T/srv/git/$r.git" config http.receivepack true
done
chown -R www-data: "$T/srv/git"

# status NAME BINARY METHOD URL: HTTP status a client gets, or `refused` at connect.
status() {
	sb "$1" "$2" -s --path-as-is -o /dev/null -w '%{http_code}' -X "$3" "$4"
	[ "$RC" != 7 ] || OUT=refused
}
# want STATUS NAME BINARY METHOD URL: inspected (the sandbox trusts its own CA only), or refused.
want() {
	local w=$1; shift
	status "$@"
	check "${2##*/} $3 $4: $w" out_is "$w"
}
# native NAME BINARY METHOD URL: allowed, and TLS is the server's own, not opened on the way.
native() {
	sb "$1" "$2" -s -o /dev/null -w '%{http_code}' -X "$3" --cacert "$W/ca.pem" "$4"
	check "${2##*/} $3 $4: allowed, not opened" out_is 200
}
W=$T/work
cp "$CA" "$W/ca.pem"

CURL=$(real curl) CLAUDE=/usr/local/bin/claude

for f in "$TOP"/examples/*.yaml; do
	run "$OSH" policy check "$f"
	check "policy check ${f##*/}" rc_is 0
done

section default.yaml
if start d "$TOP/examples/default.yaml" "${HOSTS[@]}"; then
	want 200 d "$CURL" GET https://api.github.com/zen
	want 403 d "$CURL" POST https://api.github.com/repos/octocat/hello-world/issues
	native d "$CURL" POST https://integrate.api.nvidia.com/v1/x
	native d "$CURL" GET https://update.code.visualstudio.com/
	native d "$CURL" GET https://az764295.vo.msecnd.net/
	want refused d "$CURL" GET https://evil.vo.msecnd.net.example.test/
	want refused d "$CURL" GET https://pypi.org/simple/
	want refused d "$CURL" GET https://github.com/
	want refused d "$CURL" GET http://api.github.com/
	want 200 d "$CLAUDE" POST https://api.anthropic.com/v1/messages
	native d "$CLAUDE" GET https://statsig.anthropic.com/
	want 200 d "$CLAUDE" GET https://api.github.com/zen
	want 403 d "$CLAUDE" DELETE https://api.github.com/repos/a/b
	want refused d "$CLAUDE" GET https://integrate.api.nvidia.com/
	sb d wget --ca-certificate="$W/ca.pem" -q -t 1 -O - https://update.code.visualstudio.com/
	check "wget update.code.visualstudio.com" says 'host=update.code'
	sb d wget -q -t 1 -O - https://api.github.com/zen
	check "wget api.github.com: refused" rc_not 0
	PY="import ssl, urllib.request as u; print(u.urlopen(\"https://integrate.api.nvidia.com/\", context=ssl.create_default_context(cafile=\"$W/ca.pem\")).read().decode())"
	sb d python3 -c "$PY"
	check "python3 integrate.api.nvidia.com: refused" rc_not 0
	sbsh d "python3 -c '$PY'; true"
	check "python3 started by bash: allowed, for bash is listed" out_has 'host=integrate'
	sbsh d 'mkdir -p /sandbox/.venv/bin && cp /usr/bin/python3 /sandbox/.venv/bin/python'
	check "/sandbox is the sandbox's own and writable" rc_is 0
	sb d /sandbox/.venv/bin/python -c "${PY//integrate.api.nvidia.com/pypi.org}"
	check "/sandbox/.venv/bin/python pypi.org" out_has 'host=pypi.org'
	sb d git ls-remote https://github.com/ORG/REPO.git
	check "git reads github.com" rc_is 0
	sbsh d 'cd /tmp && git init -q p && cd p && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x &&
		git push -q https://github.com/ORG/REPO.git HEAD:refs/heads/x'
	check "git cannot push" all 'rc_not 0' 'out_has 403'
	want 200 d "$CURL" GET https://api.github.com/zen
	delete d
else
	not_ok "default.yaml starts"
fi

section github-push.yaml
if start p "$TOP/examples/github-push.yaml" "${HOSTS[@]}"; then
	sbsh p 'cd /tmp && git init -q p && cd p && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x'
	check "control: a commit" rc_is 0
	sbsh p 'cd /tmp/p && git push -q https://github.com/ORG/REPO.git HEAD:refs/heads/x'
	check "push to ORG/REPO" rc_is 0
	check "arrived" git -c safe.directory='*' -C "$T/srv/git/ORG/REPO.git" show-ref -q --verify refs/heads/x
	sbsh p 'cd /tmp/p && git push -q https://github.com/ORG/OTHER.git HEAD:refs/heads/x'
	check "push elsewhere is refused" rc_not 0
	check "and did not arrive" eval '! git -c safe.directory="*" -C "$T/srv/git/ORG/OTHER.git" show-ref -q --verify refs/heads/x'
	want 200 p "$CURL" POST https://api.github.com/graphql
	want 200 p "$CURL" PATCH https://api.github.com/repos/ORG/REPO/issues/1
	want 403 p "$CURL" GET https://api.github.com/repos/ORG/OTHER/issues
	want 403 p "$CURL" GET https://api.github.com/repos/ORG/REPO
	delete p
else
	not_ok "github-push.yaml starts"
fi

section granular.yaml
if start g "$TOP/examples/granular.yaml" "${HOSTS[@]}"; then
	A=https://api.github.com
	want 200 g "$CLAUDE" GET $A/zen
	want 200 g "$CLAUDE" POST $A/graphql
	want 403 g "$CLAUDE" POST $A/graphql/x
	want 200 g "$CLAUDE" PUT $A/repos/ORG/alpha-repo/contents/x
	want 200 g "$CLAUDE" POST $A/repos/ORG/bravo-repo/issues
	want 403 g "$CLAUDE" POST $A/repos/ORG/bravo-repo/pulls
	want 200 g "$CLAUDE" PATCH $A/repos/ORG/bravo-repo/issues/7
	want 403 g "$CLAUDE" PATCH $A/repos/ORG/bravo-repo/issues/7/labels
	want 403 g "$CLAUDE" PUT "$A/repos/ORG/alpha-repo/../bravo-repo/x"
	want 403 g "$CLAUDE" PUT "$A/repos/ORG/alpha-repo/%2e%2e/bravo-repo/x"
	want refused g "$CURL" GET $A/zen
	D=https://api.example.com/api/v1/download
	want 200 g "$CURL" GET "$D?slug=skill-a&version=1.2"
	want 200 g "$CURL" GET "$D?version=2.0&slug=skill-%61"
	want 403 g "$CURL" GET "$D?slug=skill-a&version=3.0"
	want 403 g "$CURL" GET "$D?slug=skill-a"
	want 403 g "$CURL" GET "$D?slug=skill-a&version=1.2&version=9"
	want 403 g "$CURL" POST "$D?slug=skill-a&version=1.2"
	delete g
else
	not_ok "granular.yaml starts"
fi

section read-everything-one-post.yaml
if start r "$TOP/examples/read-everything-one-post.yaml" "${HOSTS[@]}"; then
	want 200 r "$CURL" GET https://pypi.org/simple/
	want 200 r "$CLAUDE" GET https://one.example.test/
	want 403 r "$CURL" POST https://one.example.test/
	want 200 r "$CURL" POST https://api.github.com/repos/myorg/myrepo/issues/42/comments
	want 403 r "$CURL" POST https://api.github.com/repos/myorg/myrepo/issues/43/comments
	want 403 r "$CURL" PUT https://api.github.com/repos/myorg/myrepo/issues/42/comments
	want refused r "$CURL" GET http://pypi.org/
	sb r python3 -c 'import urllib.request as u; print(u.urlopen("https://pypi.org/").read().decode())'
	check "any binary: python3" out_has 'host=pypi.org'
	delete r
else
	not_ok "read-everything-one-post.yaml starts"
fi
finish
