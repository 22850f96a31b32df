#!/usr/bin/env python3
"""hostd.py SPEC...: services of the host, for attempts that must not reach them.

SPEC is tcp:ADDRESS:PORT, udp:ADDRESS:PORT or share:ADDRESS:PORT (TCP, SO_REUSEPORT, reachable for who joins).  `hit KIND
PORT` is printed for each connection or datagram; the answer is `host-secret`.
"""
import selectors
import socket
import sys

sel = selectors.DefaultSelector()
for spec in sys.argv[1:]:
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
print("ready", flush=True)
while True:
    for key, _ in sel.select():
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
