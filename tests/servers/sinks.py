#!/usr/bin/env python3
"""Listeners of the test's server namespace, on every address, IPv4 and IPv6.

TCP 4000 and UDP 4000 echo; TCP 4001 reads to the end and answers the number of bytes; every arrival is one line:
    tcp LOCAL LPORT PEER PPORT / udp LPORT PEER PPORT BYTES / closed LPORT PEER PPORT BYTES
"""
import selectors
import socket


def say(*words):
    print(*words, flush=True)


def plain(address):
    return address[7:] if address.startswith("::ffff:") else address


sel = selectors.DefaultSelector()
state = {}


def on_accept(listener):
    s, peer = listener.accept()
    local = s.getsockname()
    say("tcp", plain(local[0]), local[1], plain(peer[0]), peer[1])
    state[s] = [local[1], plain(peer[0]), peer[1], 0]
    sel.register(s, selectors.EVENT_READ, on_data)


def on_data(s):
    st = state[s]
    try:
        data = s.recv(65536)
        if data:
            st[3] += len(data)
            if st[0] != 4001:
                s.sendall(data)
            return
        if st[0] == 4001:
            s.sendall(b"%d\n" % st[3])
    except OSError:
        pass
    sel.unregister(s)
    say("closed", *st)
    del state[s]
    s.close()


def on_datagram(s):
    data, peer = s.recvfrom(65536)
    say("udp", s.getsockname()[1], plain(peer[0]), peer[1], len(data))
    try:
        s.sendto(data, peer)
    except OSError:
        pass


for port in (4000, 4001):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    sel.register(s, selectors.EVENT_READ, on_accept)
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
u.bind(("::", 4000))
sel.register(u, selectors.EVENT_READ, on_datagram)
say("ready")
while True:
    for key, _ in sel.select():
        key.data(key.fileobj)
