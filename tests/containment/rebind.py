#!/usr/bin/env python3
"""rebind.py: a DNS server on 127.0.0.1:5300 whose answers change.

pN-GOOD-BAD.DOMAIN: the first question for it is answered with the address GOOD (eight hexadecimal digits), every later
one with BAD, TTL 0.
"""
import socket

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 5300))
asked = {}
while True:
    try:
        q, peer = s.recvfrom(2048)
        n = q[12]
        label, end = q[13:13 + n].decode().lower(), q.index(b"\0", 12) + 5
        kind = int.from_bytes(q[end - 4:end - 2], "big")
        head = q[:2] + b"\x84\x00" + q[4:6]
        if kind != 1:
            s.sendto(head + b"\0\0\0\0\0\0" + q[12:end], peer)
            continue
        asked[label] = asked.get(label, 0) + 1
        address = bytes.fromhex(label.split("-")[1 if asked[label] == 1 else 2])
        s.sendto(head + b"\0\1\0\0\0\0" + q[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + address, peer)
        print(label, asked[label], address.hex(), flush=True)
    except (OSError, ValueError, IndexError):
        pass
