#!/usr/bin/env python3
"""web.py SPEC... [RECORDS]: an HTTP server that writes down, byte for byte, what reached it, and is not strict.

SPEC is plain:PORT, or tls:PORT:CERTIFICATE:KEY (any version of TLS), oldtls:... (TLS 1.1 at most), asktls:...:CA or
certtls:...:CA (asks for a client's certificate, insists on one), or raw:PORT (whatever comes is answered `seen`).  Each connection
has a file in the directory RECORDS, PORT-N: what came, decrypted; behind raw: once more without the frames of TLS records.  A request is answered 200, after its body; a target that
holds `/103` with an early hint first, one with `/upgrade` with 101; `Expect` with 100.
"""
import os
import re
import socket
import ssl
import sys
import threading

records = next((a for a in sys.argv[1:] if a.startswith("/")), None)
count = 0
lock = threading.Lock()


class Gone(Exception):
    pass


class Connection:
    def __init__(self, s, port):
        global count
        self.s, self.buf = s, b""
        with lock:
            count += 1
            self.record = open(os.path.join(records, "%d-%d" % (port, count)), "wb", 0) if records else None

    def more(self):
        data = self.s.recv(65536)
        if not data:
            raise Gone
        if self.record:
            self.record.write(data)
        self.buf += data

    def unframed(self):
        out, rest = b"", self.buf
        while len(rest) > 5:
            n = int.from_bytes(rest[3:5], "big")
            out, rest = out + rest[5:5 + n], rest[5 + n:]
        self.record.seek(len(self.buf))
        self.record.write(out)
        self.record.seek(len(self.buf))

    def until(self, *ends):
        while True:
            at = [(self.buf.find(e), len(e)) for e in ends if e in self.buf]
            if at:
                i, n = min(at)
                r, self.buf = self.buf[:i], self.buf[i + n:]
                return r
            self.more()

    def take(self, n):
        while len(self.buf) < n:
            self.more()
        self.buf = self.buf[n:]

    def body(self, head):
        if re.search(rb"\ntransfer-encoding[ \t]*:[^\n]*chunked", head, re.I):
            while True:
                n = int(self.until(b"\n").split(b";")[0].strip() or b"0", 16)
                if n == 0:
                    while self.until(b"\n").strip():
                        pass
                    return
                self.take(n)
                self.until(b"\n")
        m = re.search(rb"\ncontent-length[ \t]*:[ \t]*(\d+)", head, re.I)
        if m:
            self.take(int(m[1]))

    def serve(self):
        while True:
            head = self.until(b"\r\n\r\n", b"\n\n")
            target = (head.split(b" ") + [b""])[1]
            if b"/103" in target:
                self.s.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            if b"/upgrade" in target:
                self.s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n")
                while True:
                    self.more()
            if re.search(rb"\nexpect:", head, re.I):
                self.s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.body(head)
            self.s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")


def handle(s, port, context):
    try:
        with s:
            s.settimeout(60)
            if context:
                s = context.wrap_socket(s, server_side=True)
            c = Connection(s, port)
            while port in raw:
                c.more()
                c.unframed()
                s.sendall(b"seen")
            c.serve()
    except (OSError, ValueError, Gone):
        pass


def listen(port, context):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    while True:
        s, _ = listener.accept()
        threading.Thread(target=handle, args=(s, port, context), daemon=True).start()


raw = set()
threads = []
for spec in sys.argv[1:]:
    if spec.startswith("/"):
        continue
    kind, port, *files = spec.split(":")
    tls = None
    if kind.endswith("tls"):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.set_ciphers("ALL:@SECLEVEL=0")
        tls.minimum_version = ssl.TLSVersion.TLSv1
        if kind == "oldtls":
            tls.maximum_version = ssl.TLSVersion.TLSv1_1
        tls.load_cert_chain(*files[:2])
        if kind in ("asktls", "certtls"):
            tls.load_verify_locations(files[2])
            tls.verify_mode = ssl.CERT_REQUIRED if kind == "certtls" else ssl.CERT_OPTIONAL
    elif kind == "raw":
        raw.add(int(port))
    threads.append(threading.Thread(target=listen, args=(int(port), tls)))
    threads[-1].start()
print("ready", flush=True)
