#!/usr/bin/env python3
"""sniff.py IFACE: one line for each packet that arrives: of TCP only connection attempts (SYN), of all else everything.

    PROTO SRC SPORT DST DPORT      (ports 0 where the protocol has none; neighbour discovery and MLD are left out)
"""
import ipaddress
import socket
import struct
import sys

NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp", 136: "udplite"}

s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
# Classic BPF over the network header: accept unless IPv4 TCP without a bare SYN in its flags (bulk data stays out).
prog = [
    (0x30, 0, 0, 0),       # A = first byte
    (0x54, 0, 0, 0xF0),    # A &= 0xf0
    (0x15, 0, 6, 0x40),    # IPv4? else accept
    (0x30, 0, 0, 9),       # protocol
    (0x15, 0, 4, 6),       # TCP? else accept
    (0xB1, 0, 0, 0),       # X = header length
    (0x50, 0, 0, 13),      # A = flags
    (0x54, 0, 0, 0x12),    # SYN|ACK
    (0x15, 0, 1, 0x02),    # SYN alone
    (0x06, 0, 0, 256),     # accept
    (0x06, 0, 0, 0),       # drop
]
code = b"".join(struct.pack("HBBI", *i) for i in prog)
import ctypes  # noqa: E402

buf = ctypes.create_string_buffer(code)
s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", len(prog), ctypes.addressof(buf)))
s.bind((sys.argv[1], 3))
print("ready", flush=True)
while True:
    data, (_, proto, kind, _, _) = s.recvfrom(256)
    if kind == socket.PACKET_OUTGOING:
        continue
    if proto == 0x0800 and len(data) >= 20:
        n, p = (data[0] & 15) * 4, data[9]
        src, dst = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
    elif proto == 0x86DD and len(data) >= 40:
        n, p = 40, data[6]
        src, dst = str(ipaddress.IPv6Address(data[8:24])), str(ipaddress.IPv6Address(data[24:40]))
        if p == 0 or (p == 58 and 130 <= data[40] <= 143):
            continue
    else:
        if proto not in (0x0806,):
            print("ether", hex(proto), 0, "-", 0, flush=True)
        continue
    ports = (0, 0)
    if p in (6, 17, 132, 136) and len(data) >= n + 4:
        ports = struct.unpack("!HH", data[n:n + 4])
    if p == 6 and (len(data) < n + 14 or data[n + 13] & 0x12 != 2):
        continue
    print(NAMES.get(p, "ip%d" % p), src, ports[0], dst, ports[1], flush=True)
