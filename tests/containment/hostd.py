#!/usr/bin/env python3
"""hostd.py SPEC...: services of the host, for attempts that must not reach them.

SPEC is tcp:ADDRESS:PORT, udp:ADDRESS:PORT or share:ADDRESS:PORT (TCP, SO_REUSEPORT, reachable for who joins), or
after:FILE:SPEC: one that starts when FILE is there, as soon as its port is free, and then makes FILE.taken.  `hit KIND
PORT` is printed for each connection or datagram; the answer is `host-secret`.
"""
import os
import selectors
import socket
import sys

sel = selectors.DefaultSelector()


def start(spec):
    kind, rest = spec.split(":", 1)
    address, port = rest.rsplit(":", 1)
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                      socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    if kind == "share":
        s.setsockopt(socket.SOL_SOCKET, 15, 1)
    elif kind == "tcp":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address == "::":
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind((address, int(port)))
    if kind != "udp":
        s.listen(64)
    sel.register(s, selectors.EVENT_READ, (kind, port))


def start_later(spec):
    _, file, spec = spec.split(":", 2)
    if not os.path.exists(file):
        return False
    try:
        start(spec)
    except OSError:
        return False
    open(file + ".taken", "w").close()
    return True


later = [a for a in sys.argv[1:] if a.startswith("after:")]
for spec in sys.argv[1:]:
    if spec not in later:
        start(spec)
print("ready", flush=True)
while True:
    later = [a for a in later if not start_later(a)]
    for key, _ in sel.select(0.01 if later else None):
        kind, port = key.data
        try:
            if kind == "udp":
                _, peer = key.fileobj.recvfrom(2048)
                print("hit", kind, port, flush=True)
                key.fileobj.sendto(b"host-secret", peer)
            else:
                c, _ = key.fileobj.accept()
                print("hit", kind, port, flush=True)
                c.settimeout(0.5)
                c.recv(4096)
                c.sendall(b"HTTP/1.0 200 OK\r\n\r\nhost-secret\n")
                c.close()
        except OSError:
            pass
