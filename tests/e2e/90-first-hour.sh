#!/usr/bin/env bash
# The first hour of a user: `cd project && sudo osh-enforce run -- claude`, without a policy of one's own.
#
# The user, its home and a stand-in for Claude Code (a node script in the user's own npm prefix) are the test's; sudo is
# what sudo leaves behind: root, SUDO_USER and SUDO_UID, a PATH and HOME of root's.
. "$(dirname "$0")/lib.sh"
scratch_up
DEV=oshdev$((RANDOM % 900 + 100))
user_up "$DEV" "$T/home"
e2e_up
nginx_up
HOME_DIR=$T/home UID_=$(id -u "$DEV") GID_=$(id -g "$DEV")
chmod 755 "$HOME_DIR"
asdev() { setpriv --reuid "$DEV" --regid "$DEV" --init-groups env -i HOME="$HOME_DIR" PATH=/usr/bin:/bin "$@"; }
# --- the user's machine --------------------------------------------------------------------------------------------
PKG=$HOME_DIR/.npm-global/lib/node_modules/@anthropic-ai/claude-code
asdev mkdir -p "$PKG" "$HOME_DIR/.npm-global/bin" "$HOME_DIR/project" "$HOME_DIR/.claude" "$HOME_DIR/.ssh"
cat >"$PKG/cli.js" <<'EOP'
#!/usr/bin/env node
const fs = require("fs"), os = require("os"), cp = require("child_process");
const say = (k, v) => console.log(k + ": " + v);
const can = f => { try { return f(), "yes"; } catch (e) { return e.code; } };
say("cwd", process.cwd());
say("home", os.homedir());
say("uid", process.getuid());
say("user", os.userInfo().username);
say("term", process.env.TERM);
say("lang", process.env.LANG);
say("key", process.env.ANTHROPIC_API_KEY);
say("path", process.env.PATH);
say("secret", process.env.OSHT_SECRET);
say("write", can(() => fs.writeFileSync("made-by-agent", "x")));
say("state", can(() => fs.writeFileSync(os.homedir() + "/.claude/state", "x")));
say("config", can(() => fs.writeFileSync(os.homedir() + "/.claude.json", "{}")));
say("ssh", can(() => fs.readFileSync(os.homedir() + "/.ssh/id")));
say("own-install", can(() => fs.writeFileSync(__filename, "x")));
say("git", cp.spawnSync("git", ["log", "--format=%s"], {encoding: "utf8"}).stdout.trim());
say("commit", cp.spawnSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "by-agent"], {encoding: "utf8"}).status);
const url = (process.argv[2] || "https://api.anthropic.com/v1/messages");
fetch(url, {method: "POST", body: "{}"}).then(r => r.text()).then(t => say("api", t.trim()), e => say("api", "failed " + (e.cause && e.cause.code)))
	// Not inspected: the test's own certificate comes through, and the sandbox knows only its own CA and the system's.
	.then(() => new Promise(r => require("https").get("https://sentry.io/", {rejectUnauthorized: false},
		a => { say("sentry", a.statusCode); a.resume(); r(); }).on("error", e => { say("sentry", "failed"); r(); })))
	.then(() => fetch("https://pypi.org/").then(r => say("pypi", r.status), e => say("pypi", "failed")))
	.then(() => fetch("https://api.github.com/zen").then(r => say("github", r.status), e => say("github", "failed")))
	.then(() => process.exit(7));
EOP
chmod 755 "$PKG/cli.js"
ln -s ../lib/node_modules/@anthropic-ai/claude-code/cli.js "$HOME_DIR/.npm-global/bin/claude"
echo '{"name":"@anthropic-ai/claude-code","version":"1.0.0","bin":{"claude":"cli.js"}}' >"$PKG/package.json"
for f in .profile .bashrc .bash_profile; do
	# shellcheck disable=SC2016
	echo 'export PATH="$HOME/.npm-global/bin:$PATH"' >"$HOME_DIR/$f"
done
echo private >"$HOME_DIR/.ssh/id"
chmod 600 "$HOME_DIR/.ssh/id"
asdev git init -q "$HOME_DIR/project"
asdev git -C "$HOME_DIR/project" -c user.name=a -c user.email=a@b commit -q --allow-empty -m first-commit
chown -R "$DEV:" "$HOME_DIR"
NAMES=()
for n in api.anthropic.com statsig.anthropic.com sentry.io pypi.org platform.claude.com; do NAMES+=(--add-host "$n:$ANY_IP"); done

# assudo DIRECTORY OPTION... : `sudo osh-enforce run` by the user, in a directory.
assudo() {
	local d=$1; shift
	OUT=$(cd "$d" && timeout -k 5 60 env -i SUDO_USER="$DEV" SUDO_UID="$UID_" SUDO_GID="$GID_" SUDO_COMMAND=x HOME=/root USER=root \
		LOGNAME=root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=xterm-256color LANG=C.UTF-8 \
		OSHT_SECRET=hidden ANTHROPIC_API_KEY=sk-test-1 "${OSHC[@]}" run "$@" 2>&1 </dev/null)
	RC=$?
}
P=$HOME_DIR/project
mark access

section "claude from the user's project"
assudo "$P" --upstream-ca "$CA" "${ADD_HOSTS[@]}" "${NAMES[@]}" --env ANTHROPIC_API_KEY -- claude
CONTEXT=40
check "it runs, found on the user's own PATH; its exit status comes back" all 'rc_is 7'
check "in the project" out_has "^cwd: $P$"
check "as the user" all 'out_has "^uid: $UID_$"' 'out_has "^user: $DEV$"'
check "with the user's home" out_has "^home: $HOME_DIR$"
check "terminal and locale" all 'out_has "^term: xterm-256color$"' 'out_has "^lang: C.UTF-8$"'
check "the key" out_has '^key: sk-test-1$'
check "and no other variable of the caller" out_has '^secret: undefined$'
check "the user's PATH inside" out_has "^path: .*$HOME_DIR/.npm-global/bin"
check "project files are written as the user" all 'out_has "^write: yes$"' '[ "$(stat -c %U "$P/made-by-agent")" = "$DEV" ]'
check "~/.claude and ~/.claude.json are writable" all 'out_has "^state: yes$"' 'test -e "$HOME_DIR/.claude/state"' 'out_has "^config: yes"'
check "~/.ssh is not there" out_has '^ssh: (ENOENT|EACCES|EPERM)$'
check "its own install is read-only" out_has '^own-install: (EROFS|EACCES|EPERM)$'
check "git works" all 'out_has "^git: first-commit$"' 'out_has "^commit: 0$"' '[ "$(asdev git -C "$P" log -1 --format=%s)" = by-agent ]'
check "its API is reached" out_has '^api: host=api.anthropic.com .*method=POST'
check "inspected, at the server" came access 'api.anthropic.com "POST /v1/messages HTTP/1.1" 200'
check "its other services too" out_has '^sentry: 200$'
check "read-only GitHub" out_has '^github: 200$'
check "and nothing else" out_has '^pypi: failed$'
CONTEXT=15
assudo "$P" --env ANTHROPIC_API_KEY -v -- true
check "-v names the variables that were dropped" out_has 'OSHT_SECRET'
assudo "$P" --env A=b --env-file <(printf 'C=d\n') -- sh -c 'echo "$A $C"'
check "--env K=V and --env-file" out_is 'b d'
assudo "$P" -- sh -c 'id -un; git status --short | head -n 1; echo x >f && cat f'
check "any other command as the user" all 'rc_is 0' "out_has '^$DEV$'" 'out_has "^x$"'

section "--dry-run"
assudo "$P" --dry-run -- claude
check "shows the host section: the command's path and tree, and ~/.claude" all 'rc_is 0' "out_has '$PKG'" 'out_has "\.claude"'
check "and runs nothing" out_lacks '^cwd:'
assudo "$P" --policy "$TOP/examples/default.yaml" --dry-run -- claude
check "a host section is added to the built-in policy only" out_lacks "$PKG/cli.js.*binaries"

section "what it refuses, and says what would help"
mkdir "$T/tools"
cp "$(real true)" "$T/tools/tool"
chmod 755 "$T/tools/tool"
assudo "$P" --policy "$TOP/examples/default.yaml" -- "$T/tools/tool"
check "a command that the policy hides: 126, the path and the flag" all 'rc_is 126' 'out_has "$T/tools/tool"' 'out_has "[-]-ro"'
assudo "$P" --policy "$TOP/examples/default.yaml" --ro "$T/tools" -- "$T/tools/tool"
check "with that flag it runs" rc_is 0
assudo "$P" --rw "$T/tools/none" -- true
check "--rw of what does not exist: 125, naming it" all 'rc_is 125' 'out_has tools/none'
for d in / /etc "$HOME_DIR"; do
	assudo "$d" -- true
	check "workdir ${d/$T/\$T}: refused, naming the flag" all 'rc_is 125' 'out_has "allow-any-workdir"'
done
assudo "$HOME_DIR" --allow-any-workdir -- pwd
check "the whole home with the flag" all 'rc_is 0' 'out_has "^$HOME_DIR$"'
assudo "$P" -- no-such-agent
check "not found: 127" rc_is 127
# Root itself, on a host without the system user `sandbox`: seen through a passwd file that lacks it.
grep -v '^sandbox:' /etc/passwd >"$T/passwd"
OUT=$(cd "$T/work" && timeout -k 5 30 unshare --mount --propagation private sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' "$T/passwd" \
	"${OSHC[@]}" run -- true 2>&1 </dev/null)
RC=$?
check "root itself without the user sandbox: an error with the command that creates it" all 'rc_is 125' 'out_has "useradd .*sandbox"'
OUT=$(cd "$T/work" && timeout -k 5 30 "${OSHC[@]}" run -- id -un 2>&1 </dev/null); RC=$?
check "control: with it, it runs" out_has '^sandbox$'
finish
