#!/usr/bin/env python3
"""capture.py: what reached the server that should not have, whatever carried it.

Prints one line for each arriving packet that holds a token `exfil-NAME-` (any case; NAME of a-z, 0-9) or a multicast
report of the group ff05::4558:4649:4c21: the token, in lower case.
"""
import re
import socket

token = re.compile(rb"exfil-([a-z0-9]+)-", re.I)
group = bytes.fromhex("455846494c21")
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
s.bind(("v0", 3))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
print("ready", flush=True)
while True:
    data, (_, _, kind, _, _) = s.recvfrom(65536)
    if kind == socket.PACKET_OUTGOING:
        continue
    for t in token.findall(data):
        print(t.decode().lower(), flush=True)
    if group in data:
        print(group.hex(), flush=True)
