"""kills.py CONFIG: for 74-kill.sh: `kill -9` of supervisor and proxy at random moments of a sandbox's life, under load.

CONFIG: JSON: osh (command words), netns, name, start (options of run), policies [a, b], work (workdir), load (commands),
kills.  Prints a line `bad: ...` for each thing that should not be, and at the end what was done.
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
NETNS = os.stat(C["netns"]).st_ino
done, bad, clients = {}, 0, []
DEV = subprocess.DEVNULL


def wrong(*what):
    global bad
    bad += 1
    print("bad:", *what, flush=True)


def osh(*words, check=None):
    p = subprocess.run(C["osh"] + list(words), stdin=DEV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=C["work"],
                       timeout=90)
    if check is not None and p.returncode not in check:
        wrong(" ".join(words[:2]), "ended with", p.returncode, p.stderr.decode(errors="replace")[-300:])
    return p


def begin(*words):
    return subprocess.Popen(C["osh"] + list(words), stdin=DEV, stdout=DEV, stderr=subprocess.PIPE, cwd=C["work"])


def start_words(policy=0):
    return ["run", "--name", NAME, "--keep", "--policy", C["policies"][policy]] + C["start"] + ["--", "true"]


def ours(comm):
    """Supervisors or proxies of this test: by their network namespace; nobody else's are touched."""
    found = []
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and open("/proc/%s/comm" % pid).read().strip() == comm and \
                    os.stat("/proc/%s/ns/net" % pid).st_ino == NETNS:
                found.append(int(pid))
        except OSError:
            pass
    return found


def kill(*comms):
    n = 0
    for comm in comms:
        for pid in ours(comm):
            try:
                os.kill(pid, signal.SIGKILL)
                n += 1
            except ProcessLookupError:
                pass
    return n


SUPERVISOR, PROXY = "osh-supervisor", "osh-enforce-pro"


def nap(most):
    time.sleep(random.random() * most)


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
    """Straight after: the same name again, with or without `delete` before."""
    if random.random() < 0.5:
        p = osh("delete", NAME)
        if p.returncode != 0 and b"no sandbox named" not in p.stderr:
            wrong("delete after a death", p.returncode, p.stderr.decode(errors="replace")[-300:])


def round_proxy():
    osh(*start_words(), check=[0])
    load()
    for _ in range(5):
        nap(0.4)
        before = acknowledged()
        nap(0.1)
        n = kill(PROXY)
        done["proxy"] = done.get("proxy", 0) + n
        check_log(before)
    nap(0.3)
    end = time.time() + 10
    while time.time() < end:  # allowed requests work again
        if osh("exec", NAME, "--", *C["request"]).returncode == 0:
            break
        time.sleep(0.2)
    else:
        wrong("no request goes through after the proxy's deaths")
    for c in clients:
        if c.poll() is not None:
            wrong("a client did not live through the proxy's death:", c.returncode, c.communicate()[1][-200:])
    osh("delete", NAME, check=[0])
    gone()


def round_supervisor(*comms):
    osh(*start_words(), check=[0])
    load()
    nap(0.6)
    before = acknowledged()
    nap(0.2)
    kill(*comms)
    check_log(before)
    nap(0.2)
    clear()
    osh(*start_words(1), check=[0])
    osh("delete", NAME, check=[0])
    gone()


def during(command, most, *comms):
    p = begin(*command)
    nap(most)
    n = kill(*comms)
    err = p.communicate(timeout=90)[1]
    return p.returncode, n, err


def round_start():
    comms = random.choice(((SUPERVISOR,), (PROXY,), (SUPERVISOR, PROXY)))
    rc, n, err = during(start_words(), C["start_s"], *comms)
    if rc not in (0, 125):
        wrong("a start that was killed ends with", rc, err[-300:])
    clear()
    p = osh(*start_words())  # up already, when the kill missed
    if p.returncode != 0 and not (p.returncode == 125 and b"exists" in p.stderr and (rc == 0 or SUPERVISOR not in comms)):
        wrong("start after a killed start", rc, comms, p.returncode, p.stderr.decode(errors="replace")[-300:])
    osh("delete", NAME, check=[0])


def round_reload():
    osh(*start_words(), check=[0])
    load()
    comms = random.choice(((SUPERVISOR,), (PROXY,)))
    nap(0.2)
    rc, n, err = during(["reload", NAME, "--policy", C["policies"][1], "--wait", "--timeout", "20"], 0.06, *comms)
    if rc not in (0, 1, 124):
        wrong("a reload that was killed ends with", rc, err[-300:])
    if SUPERVISOR in comms:
        clear()
        osh(*start_words(), check=[0])
    else:
        osh("reload", NAME, "--policy", C["policies"][0], "--wait", check=[0])
        osh("reload", NAME, "--policy", C["policies"][1], "--wait", check=[0])
    osh("delete", NAME, check=[0])
    gone()


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


ROUNDS = [("supervisor", lambda: round_supervisor(SUPERVISOR)), ("proxy", round_proxy), ("start", round_start),
          ("reload", round_reload), ("both", lambda: round_supervisor(SUPERVISOR, PROXY)), ("delete", round_delete),
          ("start", round_start)]
i = 0
while sum(done.values()) < C["kills"]:
    what, f = ROUNDS[i % len(ROUNDS)]
    i += 1
    try:
        f()
    except (OSError, subprocess.TimeoutExpired) as e:
        wrong("%s: %r" % (what, e))
        gone()
        osh("delete", NAME)
    if what != "proxy":
        done[what] = done.get(what, 0) + 1
    left = kill(SUPERVISOR, PROXY)
    if left:
        wrong("%d processes were left after a round of '%s'" % (left, what))
print("seed", SEED, "kills", sum(done.values()), json.dumps(done), "bad", bad, flush=True)
sys.exit(bad != 0)
