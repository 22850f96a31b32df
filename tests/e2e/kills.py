"""kills.py CONFIG: for 74-kill.sh: `kill -9` of supervisor and proxy at random moments of a sandbox's life, under load.

CONFIG: JSON: osh (command words), netns, name, start (options of run), policies [a, b], work (workdir), load (commands),
ask and url (a command that prints the status of a URL; both policies allow /both, a alone /one, b alone /two), kills
(processes, at least), slow.  Prints a line `bad: ...` for each thing that should not be, and at the end what was done.
"""
import json
import os
import random
import signal
import subprocess
import sys
import time

C = json.load(open(sys.argv[1]))
SEED = int(os.environ.get("OSHT_SEED", "0")) or random.randrange(1 << 30)
random.seed(SEED)
NAME, LOG = C["name"], "/var/lib/osh-enforce/%s/log" % C["name"]
RUN, REVISIONS = "/run/osh-enforce/" + NAME, "/var/lib/osh-enforce/%s/revisions" % NAME
NETNS = os.stat(C["netns"]).st_ino
done, bad, clients, haste = {}, 0, [], 1
DEV = subprocess.DEVNULL


def wrong(*what):
    global bad
    bad += 1
    print("bad:", *what, flush=True)


def osh(*words, check=None):
    p = subprocess.run(C["osh"] + list(words), stdin=DEV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=C["work"],
                       timeout=90 * C["slow"])
    if check is not None and p.returncode not in check:
        wrong(" ".join(words[:2]), "ended with", p.returncode, p.stderr.decode(errors="replace")[-300:])
    return p


def begin(*words):
    return subprocess.Popen(C["osh"] + list(words), stdin=DEV, stdout=DEV, stderr=subprocess.PIPE, cwd=C["work"])


def start_words(policy=0):
    return ["run", "--name", NAME, "--keep", "--policy", C["policies"][policy]] + C["start"] + ["--", "true"]


def ours(comm, but=()):
    """Supervisors or proxies of this test: by their network namespace; nobody else's are touched.  but: not looked at."""
    found = []
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and pid not in but and open("/proc/%s/comm" % pid).read().strip() == comm and \
                    os.stat("/proc/%s/ns/net" % pid).st_ino == NETNS:
                found.append(int(pid))
        except OSError:
            pass
    return found


def kill(*comms, first=()):
    """How many it were.  first: pids that are known."""
    n = 0
    for pid in list(first) or [pid for comm in comms for pid in ours(comm)]:
        try:
            os.kill(pid, signal.SIGKILL)
            n += 1
        except ProcessLookupError:  # a proxy ends with its supervisor
            pass
    return n


SUPERVISOR, PROXY = "osh-supervisor", "osh-enforce-pro"


def nap(most):
    time.sleep(random.random() * most * haste)


def load():
    clients[:] = [begin("exec", NAME, "--", *words) for words in C["load"]]


def acknowledged():
    """What `logs` gives, and the open segments: they outlive whoever clears up."""
    p = osh("logs", NAME, "--format", "json")
    if p.returncode != 0:
        wrong("logs of a living sandbox", p.returncode, p.stderr.decode(errors="replace")[-300:])
        return None
    return p.stdout, [open(os.path.join(LOG, f), "rb") for f in sorted(os.listdir(LOG))]


def check_log(before):
    if before is None:
        return
    text, files = before
    now = b"".join(f.read() for f in files)
    for f in files:
        f.close()
    if not now.startswith(text):
        wrong("the log lost acknowledged lines: %d bytes then, %d now" % (len(text), len(now)))
    for line in now[:now.rfind(b"\n") + 1].splitlines():
        try:
            json.loads(line)
        except ValueError:
            wrong("a damaged line", line[:200])
    if os.path.isdir(LOG):
        p = osh("logs", NAME, "--format", "json")
        if os.path.isdir(LOG) and (p.returncode != 0 or not p.stdout.startswith(text) or b"damaged" in p.stderr):
            wrong("logs after the death:", p.returncode, p.stderr.decode(errors="replace")[-300:])


def gone():
    for c in clients:
        c.kill()
        c.communicate()
    clients.clear()


def clear():
    """Straight after: the same name again, with or without `delete` before.  Returns whether revisions are to be there."""
    if random.random() < 0.5:
        p = osh("delete", NAME)
        if p.returncode != 0 and b"no sandbox named" not in p.stderr:
            wrong("delete after a death", p.returncode, p.stderr.decode(errors="replace")[-300:])
        return False
    return True


def sweep():
    """Another sandbox's start clears up what is dead."""
    osh("run", "--name", NAME + "-o", "--policy", C["policies"][0], "--", "true", check=[0])


def texts():
    found = {}
    try:
        for f in os.listdir(REVISIONS):
            if f.endswith(".yaml"):
                found[f] = open(os.path.join(REVISIONS, f), "rb").read()
    except FileNotFoundError:
        pass
    return found


def check_kept(before, when):
    now = texts()
    for f in before:
        if now.get(f) != before[f]:
            wrong("%s: revision %s is %s" % (when, f, "another" if f in now else "gone"))


def in_force():
    """The revision that the record calls loaded; exactly one is."""
    p = osh("policy", "list", NAME, "--format", "json", check=[0])
    v = [r["revision"] for r in json.loads(p.stdout or b"{}").get("revisions", []) if r["status"] == "loaded"]
    if len(v) != 1:
        wrong("revisions that are loaded:", v)
    return v[-1] if v else 0


def holds(which, when):
    """Requests meet policy `which` (0 or 1), and nothing of the other."""
    want, got = ["200", "403", "200"] if which else ["200", "200", "403"], None
    end = time.time() + 15 * C["slow"]
    while time.time() < end:  # a new proxy may be just starting
        got = [osh("exec", NAME, "--", *C["ask"], C["url"] + p).stdout.decode() for p in ("/both", "/one", "/two")]
        if "000" not in got and "" not in got:
            break
        time.sleep(0.1)
    if got != want:
        wrong("%s: policy %d does not hold: %s" % (when, which, got))


def round_proxy():
    osh(*start_words(), check=[0])
    load()
    killed = 0
    for _ in range(5):
        nap(0.4)
        before = acknowledged()
        nap(0.1)
        killed += kill(PROXY)
        check_log(before)
    nap(0.3)
    holds(0, "after the proxy's deaths")
    for c in clients:
        if c.poll() is not None:
            wrong("a client did not live through the proxy's death:", c.returncode, c.communicate()[1][-200:])
    osh("delete", NAME, check=[0])
    gone()
    return killed


def round_supervisor(*comms):
    osh(*start_words(), check=[0])
    load()
    nap(0.6)
    before = acknowledged()
    nap(0.2)
    kept, n = texts(), kill(*comms)
    if not n:
        wrong("a sandbox that runs had no %s" % (comms,))
    check_log(before)
    nap(0.2)
    stay = clear()
    osh(*start_words(1), check=[0])
    if stay:
        check_kept(kept, "after a death")
    holds(1, "after a death, with another policy")
    osh("delete", NAME, check=[0])
    gone()
    return n


def during(command, most, *comms, until=None):
    """Kills at some moment of the command, or the supervisor as soon as the path `until` is there."""
    before = set(os.listdir("/proc"))  # a look at the others takes as long as the moment that is to be hit
    p, first = begin(*command), []
    if until:
        while p.poll() is None and not first:
            first = ours(SUPERVISOR, before)
        while not os.path.exists(until) and p.poll() is None:
            pass
        time.sleep(random.choice((0, 0.0005)))
    else:
        nap(most)
    n = kill(*comms, first=first)
    while n == 0 and p.poll() is None:  # too early: whoever comes first
        n = kill(*comms)
    err = p.communicate(timeout=90 * C["slow"])[1]
    return p.returncode, n, err


def round_start():
    """With revisions at stake, of a kept sandbox that died before."""
    osh(*start_words(), check=[0])
    osh("reload", NAME, "--policy", C["policies"][1], "--wait", check=[0])
    more = kill(SUPERVISOR, PROXY)
    kept = texts()
    if len(kept) != 2:
        wrong("a sandbox that was started and reloaded has the revisions", sorted(kept))
    end = time.time() + 30 * C["slow"]
    while os.path.exists(RUN) and time.time() < end:
        sweep()
    check_kept(kept, "after a death")
    comms = random.choice(((SUPERVISOR,), (PROXY,), (SUPERVISOR, PROXY)))
    until = RUN if SUPERVISOR in comms and random.random() < 0.5 else None
    rc, n, err = during(start_words(), C["start_s"], *comms, until=until)
    if rc not in (0, 125):
        wrong("a start that was killed ends with", rc, err[-300:])
    sweep()
    check_kept(kept, "after a start that was killed")
    stay = clear()
    p = osh(*start_words())  # up already, when the kill missed
    if p.returncode != 0 and not (p.returncode == 125 and b"exists" in p.stderr and (rc == 0 or SUPERVISOR not in comms)):
        wrong("start after a killed start", rc, comms, p.returncode, p.stderr.decode(errors="replace")[-300:])
    if stay:
        check_kept(kept, "after the start that followed")
    holds(0, "after the start that followed")
    osh("delete", NAME, check=[0])
    return n and n + more


def round_reload():
    osh(*start_words(), check=[0])
    load()
    comms = random.choice(((SUPERVISOR,), (PROXY,)))
    nap(0.2)
    rc, n, err = during(["reload", NAME, "--policy", C["policies"][1], "--wait", "--timeout", "20"], 0.06, *comms)
    if rc not in (0, 1, 124):
        wrong("a reload that was killed ends with", rc, err[-300:])
    loaded = in_force()
    if loaded not in (1, 2) or (rc == 0 and loaded != 2):
        wrong("a reload that was killed ended with %d, and revision %d is in force" % (rc, loaded))
    if SUPERVISOR in comms:
        clear()
        osh(*start_words(), check=[0])
        holds(0, "after a reload that was killed, started again")
    else:
        holds(loaded - 1, "after a reload that was killed (%d)" % rc)
        for policy in (0, 1):
            osh("reload", NAME, "--policy", C["policies"][policy], "--wait", check=[0])
            holds(policy, "after a reload")
    osh("delete", NAME, check=[0])
    gone()
    return n


def round_delete():
    osh(*start_words(), check=[0])
    load()
    comms = random.choice(((SUPERVISOR,), (SUPERVISOR, PROXY)))
    nap(0.2)
    rc, n, err = during(["delete", NAME], 0.06, *comms)
    if rc not in (0, 1):
        wrong("a delete that was killed ends with", rc, err[-300:])
    clear()
    osh(*start_words(1), check=[0])
    osh("delete", NAME, check=[0])
    gone()
    return n


ROUNDS = [("supervisor", lambda: round_supervisor(SUPERVISOR)), ("proxy", round_proxy), ("start", round_start),
          ("reload", round_reload), ("both", lambda: round_supervisor(SUPERVISOR, PROXY)), ("delete", round_delete),
          ("start", round_start)]
i = 0
while sum(done.values()) < C["kills"]:
    what, f = ROUNDS[i % len(ROUNDS)]
    i += 1
    for haste in (1, 0.2, 0.04, 0):  # until it kills something
        n = 0
        try:
            n = f()
        except (OSError, ValueError, subprocess.TimeoutExpired) as e:
            wrong("%s: %r" % (what, e))
            gone()
            osh("delete", NAME)
        done[what] = done.get(what, 0) + n
        if n:
            break
    else:
        wrong("rounds of '%s' kill nothing" % what)
        break
    left = kill(SUPERVISOR, PROXY)
    if left:
        wrong("%d processes were left after a round of '%s'" % (left, what))
print("seed", SEED, "kills", sum(done.values()), json.dumps(done), "bad", bad, flush=True)
sys.exit(bad != 0)
