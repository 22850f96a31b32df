#!/usr/bin/env python3
"""knock.py OUT FAMILY:ADDRESS...: connects to every listener that an attempt announces, from where it is run.

An attempt's output in OUT/N that says `listening PORT` or `receiving PORT` gets connections, or datagrams, at each
ADDRESS until it is gone: plain ones, with ECN, and where the family is 6 behind a destination options header; each
sends `knock`.  Never ends by itself.
"""
import os
import re
import socket
import sys
import time

out, where = sys.argv[1], [a.split(":", 1) for a in sys.argv[2:]]
families = {"4": socket.AF_INET, "6": socket.AF_INET6}


def knock(family, address, port, stream, header):
    with socket.socket(families[family], socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as s:
        s.settimeout(0.3)
        if header and family == "6":
            s.setsockopt(41, 59, bytes([0, 0, 1, 4, 0, 0, 0, 0]))  # IPV6_DSTOPTS: padding
        elif header:
            s.setsockopt(0, 4, b"\x01\x01\x01\x00")  # IP_OPTIONS: no-operations
        s.connect((address, port))
        s.send(b"knock")


print("ready", flush=True)
while True:
    for name in os.listdir(out):
        try:
            with open(os.path.join(out, name)) as f:
                m = re.search(r"^(listening|receiving) (\d+)", f.read(), re.M)
        except (OSError, UnicodeDecodeError):
            continue
        if not m or os.path.exists(os.path.join(out, name + ".rc")):
            continue
        for family, address in where:
            for header in (False, True):
                try:
                    knock(family, address, int(m[2]), m[1] == "listening", header)
                except OSError:
                    pass
    time.sleep(0.05)
