#!/usr/bin/env python3
"""knock.py OUT FAMILY:ADDRESS...: connects to every listener that an attempt announces, from where it is run.

An attempt's output in OUT/N that says `listening PORT` or `receiving PORT` gets connections, or datagrams, at each
ADDRESS until it is gone, all at the same time: plain ones, with ECN, and where the family is 6 behind a destination
options header; each sends `knock`.  `knocked N FAMILY:ADDRESS` is printed for each that was sent on its way, once.
Never ends by itself.
"""
import os
import re
import socket
import sys
import threading
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
        try:
            s.connect((address, port))
            s.send(b"knock")
        except (TimeoutError, ConnectionError):
            pass  # it went out


def knocker(name, family, address, port, stream):
    told = False
    while not os.path.exists(os.path.join(out, name + ".rc")):
        for header in (False, True):
            try:
                knock(family, address, port, stream, header)
            except OSError as e:
                print(f"{name} {family}:{address}: {e}", file=sys.stderr, flush=True)
                continue
            if not told:
                print(f"knocked {name} {family}:{address}", flush=True)
                told = True
        time.sleep(0.05)


print("ready", flush=True)
known = set()
while True:
    for name in os.listdir(out):
        if name in known or name.endswith(".rc"):
            continue
        try:
            with open(os.path.join(out, name)) as f:
                m = re.search(r"^(listening|receiving) (\d+)", f.read(), re.M)
        except (OSError, UnicodeDecodeError):
            continue
        if m:
            known.add(name)
            for family, address in where:
                threading.Thread(target=knocker, args=(name, family, address, int(m[2]), m[1] == "listening"), daemon=True).start()
    time.sleep(0.05)
