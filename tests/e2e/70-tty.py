#!/usr/bin/env python3
"""A person at a terminal: drives a command on a real pty and prints what a terminal would tell.

70-tty.py SCENARIO COMMAND...: COMMAND is `osh-enforce ... --` up to the command inside.  Prints lines for the test to
judge; every wait is bounded.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time


class Terminal:
    def __init__(self, argv, rows=31, cols=97):
        self.buf = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):  # a shell's background job ignores them
                signal.signal(s, signal.SIG_DFL)
            os.execvp(argv[0], argv)
        self.size(rows, cols)

    def size(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, text):
        os.write(self.fd, text.encode())

    def pump(self, seconds):
        r, _, _ = select.select([self.fd], [], [], seconds)
        if not r:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.buf += data
        return bool(data)

    def expect(self, pattern, seconds=15):
        """Text up to and including the match, which is taken out of the buffer; None when it does not come."""
        end = time.monotonic() + seconds
        rx = re.compile(pattern.encode(), re.S | re.M)
        while True:
            m = rx.search(self.buf)
            if m:
                self.buf = self.buf[m.end():]
                return m
            left = end - time.monotonic()
            if left <= 0 or not self.pump(left):
                m = rx.search(self.buf)
                if m:
                    self.buf = self.buf[m.end():]
                return m

    def wait(self, seconds=15):
        """Exit status as a shell's $?, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pump(0.05)
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None


def say(name, value):
    print(f"{name}: {value}", flush=True)


def group(m, n=1):
    return m.group(n).decode() if m else None


def scenario_basic(cmd):
    t = Terminal(cmd + ["sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo three; stty size; exit 5"])
    say("tty", group(t.expect(r"(/dev/(pts/|console)\S*)")))
    say("three", bool(t.expect("three")))
    say("size", group(t.expect(r"(\d+ \d+)\r")))
    say("status", t.wait())


def scenario_resize(cmd):
    t = Terminal(cmd + ["bash", "-c", "trap 'stty size' WINCH; echo ready; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.2; done"])
    say("ready", bool(t.expect("ready")))
    t.size(40, 120)
    say("size", group(t.expect(r"(\d+ \d+)\r", 5)))
    t.send("\x03")
    t.wait()


def scenario_interrupt(cmd):
    # Not sh: dash's child loses a SIGINT that comes between fork and exec, and dash then waits for it; any terminal shows it.
    t = Terminal(cmd + ["python3", "-c", "import time; print('ready', flush=True); time.sleep(60); print('not reached')"])
    say("ready", bool(t.expect("ready")))
    t.send("\x03")
    say("status", t.wait(5))
    say("reached", b"not reached" in t.buf)


def scenario_trap(cmd):
    t = Terminal(cmd + ["bash", "-c", "trap 'echo trapped; exit 9' INT; echo ready; while :; do sleep 0.1; done"])
    say("ready", bool(t.expect("ready")))
    t.send("\x03")
    say("trapped", bool(t.expect("trapped", 5)))
    say("status", t.wait(5))


def scenario_quit(cmd):
    t = Terminal(cmd + ["sh", "-c", "echo ready; exec sleep 60"])
    t.expect("ready")
    t.send("\x1c")
    say("status", t.wait(5))


def scenario_stop(cmd):
    """Ctrl-Z in an outer job-control shell, fg, done."""
    t = Terminal(["bash", "--norc", "-i"])
    t.send("PS1='ready> '\n")
    t.expect("ready> $")
    t.send(" ".join(cmd) + " sh -c 'echo begin; read x; echo got $x; exit 4'\n")
    say("begin", bool(t.expect("begin\r")))
    t.send("\x1a")
    say("stopped", bool(t.expect(r"Stopped", 5)))
    t.send("echo outer-$((40+2))\n")
    say("outer", bool(t.expect("outer-42", 5)))
    t.send("fg\n")
    time.sleep(0.5)
    t.send("word\n")
    say("got", bool(t.expect("got word", 5)))
    t.expect("ready> $", 5)
    t.send("echo st-$?\n")
    say("status", group(t.expect(r"st-(\d+)", 5)))
    t.send("exit\n")
    t.wait(5)


def scenario_inner_jobs(cmd):
    """A shell inside has job control of its own."""
    t = Terminal(cmd + ["bash", "--norc", "-i"])
    t.send("PS1='in> '\n")
    say("prompt", bool(t.expect("in> $")))
    say("no-complaint", b"no job control" not in t.buf)
    t.send("sleep 50\n")
    stopped = None
    for _ in range(10):  # a Ctrl-Z before sleep runs is nobody's
        time.sleep(0.4)
        t.send("\x1a")
        stopped = t.expect("Stopped", 1)
        if stopped:
            break
    say("stopped", bool(stopped))
    t.send("bg; jobs\n")
    say("running", bool(t.expect("Running", 5)))
    t.send("kill %1; wait; exit 6\n")
    say("status", t.wait(5))


def scenario_raw(cmd):
    """Keys come through unprocessed once the program asks for it; echo is off when it says so."""
    t = Terminal(cmd + ["bash", "-c", "stty raw -echo; echo ready; head -c 3 | od -An -tx1; stty sane; echo end"])
    t.expect("ready")
    t.send("\x03a\x1a")
    say("bytes", (group(t.expect(r"((?: [0-9a-f]{2}){3})", 5)) or "").strip())
    t.expect("end", 5)
    say("status", t.wait(5))


def scenario_hangup(cmd):
    t = Terminal(cmd + ["sh", "-c", "echo ready; sleep 60"])
    say("ready", bool(t.expect("ready")))
    os.close(t.fd)
    end = time.monotonic() + 6
    status = None
    while time.monotonic() < end and status is None:
        pid, st = os.waitpid(t.pid, os.WNOHANG)
        if pid:
            status = st
        time.sleep(0.05)
    say("ended", status is not None)
    if status is None:
        os.kill(t.pid, signal.SIGKILL)


def scenario_shell(cmd):
    """`connect`: a login of sorts."""
    t = Terminal(cmd)
    t.send("PS1='in> '\n")
    say("prompt", bool(t.expect("in> $")))
    t.send("id -un; tty\n")
    say("user", group(t.expect(r"([\w-]+)\r\n/dev/pts", 5)))
    t.send("exit 3\n")
    say("status", t.wait(5))


def scenario_restored(cmd):
    """The outer terminal's settings are as before, also when the command dies in raw mode."""
    t = Terminal(["bash", "--norc", "-i"])
    t.send("PS1='ready> '\n")
    t.expect("ready> $")
    t.send("A=$(stty -g); " + " ".join(cmd) + " bash -c 'stty raw -echo; kill -9 $$'; [ \"$A\" = \"$(stty -g)\" ] && echo sa''me || echo diff''ers\n")
    m = t.expect("(same|differs)", 15)
    say("settings", group(m))
    t.send("exit\n")
    t.wait(5)


def scenario_inject(cmd):
    """TIOCSTI from inside puts nothing into the outer terminal."""
    code = ("import fcntl,termios\nfor c in b'echo injected\\n':\n"
            "    try: fcntl.ioctl(0, termios.TIOCSTI, bytes([c]))\n    except OSError as e: print('refused', e.errno); break\n")
    t = Terminal(cmd + ["python3", "-c", code])
    say("refused", bool(t.expect("refused", 10)))
    t.wait(5)


globals()["scenario_" + sys.argv[1].replace("-", "_")](sys.argv[2:])
