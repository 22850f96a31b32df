#!/usr/bin/env python3
"""32-tls.py: TLS as no client should speak it.

    32-tls.py --list       one line a check, fields with a tab between: name, host's domain, port, what it is, control, the
                           log's reason (or none), block or allow, the harm
    32-tls.py NAME HOST    tries it and prints what comes back; exit status 0 when an HTTP answer came

Hosts: NAME.tls.test, port 8443: inspected, TLS ends at the proxy.  NAME.skip.test, port 9443: relayed unopened, the server
name checked; there each hello holds exfil-NAME- as its random bytes, and the server writes down what arrives.
"""
import os
import socket
import ssl
import struct
import sys

ROWS, TRY = {}, {}
EVIL = "evil.test"
PATIENCE = int(os.environ.get("PATIENCE", 1))


def row(name, port, what, control, log, harm=None, expect="block"):
    ROWS[name] = (port, what, control, log, expect, harm or ("exfil-" + name + "-" if port == 9443 else "/t/" + name))

    def keep(f):
        TRY[name] = f
        return f
    return keep


# --- whole handshakes, by OpenSSL --------------------------------------------------------------------------------------
def context(low=None, high=None, alpn=None, own=False):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if own:
        c.load_cert_chain(*(os.path.join(os.path.dirname(__file__), "client" + e) for e in (".pem", ".key")))
    if low:
        c.set_ciphers("ALL:@SECLEVEL=0")
        c.minimum_version, c.maximum_version = low, high
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


def converse(host, port, sni, payload, ctx=None):
    with socket.create_connection((host, port), 5) as s:
        s.settimeout(2 * PATIENCE)
        with (ctx or context()).wrap_socket(s, server_hostname=sni) as t:
            print("TLS:", t.version())
            t.sendall(payload)
            r = t.recv(4096)
            print(r[:300].decode("latin-1"))
            return 0 if r.startswith(b"HTTP/1.1 200") else 1


def request(path, host):
    return ("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, host)).encode()


def inspected(name, what, sni, log, host=None, payload=None, ctx=None, harm=None, expect="block", port=8443, control="good"):
    def go(me):
        return converse(me, port, sni(me) if sni else None, payload or request("/t/" + name, (host or "%s:" + str(port)) % me if "%" in (host or "%s") else host),
                        ctx() if ctx else None)
    row(name, port, what, control, log, harm, expect)(go)


def same(me):
    return me


inspected("good", "the name itself", same, "none", expect="allow")
inspected("nosni", "no server name: the connection's host counts", None, "none", expect="allow")
inspected("uppersni", "server name in upper case", str.upper, "none", expect="allow")
inspected("dotsni", "server name with a trailing dot", lambda me: me + ".", "none", expect="allow")
inspected("othersni", "server name of another site", lambda me: EVIL, "TLS refused")
inspected("subsni", "server name below the host's", lambda me: "x." + me, "TLS refused")
inspected("suffixsni", "server name that ends alike", lambda me: "x" + me, "TLS refused")
inspected("fronting", "server name right, Host of another site", same, "authority|Host|differ", host="evil.test")
inspected("frontingother", "server name right, Host another of the policy", same, "authority|Host|differ", host="good.tls.test:8443")
inspected("tls10", "TLS 1.0", same, "TLS", ctx=lambda: context(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1))
inspected("tls11", "TLS 1.1", same, "TLS", ctx=lambda: context(ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1))
inspected("h2only", "h2 and nothing else by ALPN", same, "TLS", ctx=lambda: context(alpn=["h2"]),
          payload=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nh2only", harm="h2only")
inspected("h2prior", "h2 without ALPN", same, "bad|malformed|HTTP", payload=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0h2prior",
          harm="h2prior")
inspected("h2alpn", "h2 offered with http/1.1, spoken all the same", same, "bad|malformed|HTTP", ctx=lambda: context(alpn=["h2", "http/1.1"]),
          payload=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nh2alpn", harm="h2alpn")
inspected("inner", "no HTTP within", same, "bad|malformed|method|HTTP", payload=b"SSH-2.0-exfil-inner-\r\n\r\n", harm="exfil-inner")
inspected("innertls", "TLS within TLS", same, "bad|malformed|method|HTTP", payload=b"\x16\x03\x01\x00\x10exfil-innertls-\r\n\r\n", harm="exfil-innertls")
inspected("denied", "a denied method within", same, "not permitted", payload=b"DELETE /t/denied HTTP/1.1\r\nHost: denied.tls.test:8443\r\n\r\n")
for n, p, w in (("expired", 8444, "an expired certificate"), ("wrongname", 8445, "a certificate of another name"),
                ("selfsigned", 8446, "a self-signed certificate"), ("future", 8447, "a certificate that is not valid yet"),
                ("notserver", 8448, "a client's certificate"), ("oldtls", 8449, "TLS 1.1 and no later")):
    inspected(n, "the server has " + w if n != "oldtls" else "the server speaks " + w, same, "upstream_tls_failed|TLS|certificate",
              port=p, ctx=(lambda: context(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3)) if n == "oldtls" else None)
inspected("bighello", "a hello of 3 KiB, as post-quantum ones are", same, "none", expect="allow",
          ctx=lambda: context(alpn=["http/1.1"] + ["x" * 200 + str(i) for i in range(15)]))
inspected("bigother", "a hello of 3 KiB, name of another site", lambda me: EVIL, "TLS refused",
          ctx=lambda: context(alpn=["http/1.1"] + ["x" * 200 + str(i) for i in range(15)]))
inspected("askscert", "the server asks for a certificate and can do without", same, "none", expect="allow", port=8450,
          ctx=lambda: context(own=True))
inspected("wantscert", "the server wants a certificate, which the program has", same, "upstream_tls_failed|TLS|certificate", port=8451,
          ctx=lambda: context(own=True))


# --- hellos by hand ---------------------------------------------------------------------------------------------------
def vec(n, b):
    return len(b).to_bytes(n, "big") + b


def ext(kind, body):
    return struct.pack("!H", kind) + vec(2, body)


def sni(*names, kind=0):
    return ext(0, vec(2, b"".join(bytes([kind]) + vec(2, n.encode("latin-1")) for n in names)))


def hello(name, *exts, versions=(0x0304, 0x0303), legacy=0x0303, tail=b""):
    random = ("exfil-" + name + "-").encode().ljust(32, b"x")
    share = ext(51, vec(2, struct.pack("!H", 29) + vec(2, b"k" * 32)))
    base = ext(10, vec(2, b"\0\x1d")) + ext(13, vec(2, b"\x04\x03\x08\x04")) + share
    if versions:
        base += ext(43, vec(1, b"".join(struct.pack("!H", v) for v in versions)))
    body = struct.pack("!H", legacy) + random[:32] + vec(1, b"") + vec(2, b"\x13\x01\xc0\x2f") + b"\x01\0" + vec(2, b"".join(exts) + base) + tail
    return b"\x01" + vec(3, body)


def records(message, size=16384, version=0x0301):
    return b"".join(b"\x16" + struct.pack("!H", version) + vec(2, message[i:i + size]) for i in range(0, len(message), size))


def relayed(name, what, make, log="TLS refused", expect="block"):
    def go(me):
        with socket.create_connection((me, 9443), 5) as s:
            s.settimeout(PATIENCE)
            for part in make(me) if isinstance(make(me), (list, tuple)) else [make(me)]:
                s.sendall(part)
            try:
                r = s.recv(100)
                print(r)
                return 0 if r == b"seen" else 1
            except OSError as e:
                print(e)
                return 1
    row(name, 9443, what, "relay", log, None, expect)(go)


def plain(name, **k):
    return lambda me: records(hello(name, sni(me), **k))


PAD = ext(21, b"\0" * 1500)
relayed("relay", "the name itself", plain("relay"), "none", "allow")
relayed("rsplit", "the name in a second record", lambda me: records(hello("rsplit", PAD, sni(me)), 700), "none", "allow")
relayed("rbytes", "one byte a record", lambda me: records(hello("rbytes", sni(me)), 1), "none", "allow")
relayed("rlarge", "the name behind 8 KiB", lambda me: records(hello("rlarge", *[ext(0x5a00 + i, b"\0" * 1000) for i in range(8)], sni(me))), "none", "allow")
relayed("rupper", "upper case", lambda me: records(hello("rupper", sni(me.upper()))), "none", "allow")
relayed("rdot", "a trailing dot", lambda me: records(hello("rdot", sni(me + "."))), "none", "allow")
relayed("rother", "the name of another site", lambda me: records(hello("rother", sni(EVIL))))
relayed("rnone", "no name", lambda me: records(hello("rnone")))
relayed("rempty", "an empty name", lambda me: records(hello("rempty", sni(""))))
relayed("rnoname", "an empty list of names", lambda me: records(hello("rnoname", sni())))
relayed("raddress", "an address for a name", lambda me: records(hello("raddress", sni("93.184.216.77"))))
relayed("rsuffix", "a name that ends alike", lambda me: records(hello("rsuffix", sni("x" + me))))
relayed("rnul", "NUL behind the name", lambda me: records(hello("rnul", sni(me + "\0." + EVIL))))
relayed("rnul2", "NUL before the name", lambda me: records(hello("rnul2", sni("\0" + me))))
relayed("rspace", "space behind the name", lambda me: records(hello("rspace", sni(me + " "))))
relayed("rdots", "two trailing dots", lambda me: records(hello("rdots", sni(me + ".."))))
relayed("rhigh", "bytes that are not ASCII", lambda me: records(hello("rhigh", sni(me + "\xe9"))))
relayed("rtwo", "two names in the list", lambda me: records(hello("rtwo", sni(me, EVIL))))
relayed("rtwo2", "two names, the other first", lambda me: records(hello("rtwo2", sni(EVIL, me))))
relayed("rtwice", "two server_name extensions", lambda me: records(hello("rtwice", sni(me), sni(EVIL))))
relayed("rkind", "a name of another type", lambda me: records(hello("rkind", sni(me, kind=1))))
relayed("rsplitother", "another site in a second record", lambda me: records(hello("rsplitother", PAD, sni(EVIL)), 700))
relayed("rbytesother", "another site, one byte a record", lambda me: records(hello("rbytesother", sni(EVIL)), 1))
relayed("rfar", "another site behind 8 KiB", lambda me: records(hello("rfar", *[ext(0x5a00 + i, b"\0" * 1000) for i in range(8)], sni(EVIL))))
relayed("rhuge", "a hello of 128 KiB", lambda me: b"\x16\x03\x01\x40\x00\x01\x01\xff\xff\x03\x03exfil-rhuge-" + b"x" * 16369)
relayed("rech", "an encrypted hello behind the name", lambda me: records(hello("rech", sni(me), ext(0xfe0d, b"\0\0\1\0\1\0" + vec(2, b"e" * 32) + vec(2, b"p" * 200)))))
relayed("rechinner", "an inner hello's marker", lambda me: records(hello("rechinner", sni(me), ext(0xfe0d, b"\1"))))
relayed("rearly", "early data", lambda me: records(hello("rearly", sni(me), ext(42, b""))))
relayed("rold", "TLS 1.0 hello", lambda me: records(hello("rold", sni(me), versions=(), legacy=0x0301)))
relayed("rold2", "TLS 1.1 in supported_versions only", lambda me: records(hello("rold2", sni(me), versions=(0x0302,))))
relayed("rssl3", "SSL 3.0 hello", lambda me: records(hello("rssl3", sni(me), versions=(), legacy=0x0300)))
relayed("rssl2", "SSL 2.0 hello", lambda me: b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\0\x80" + b"exfil-rssl2-")
relayed("rtail", "bytes behind the extensions", lambda me: records(hello("rtail", sni(me), tail=b"\0")))
relayed("rbehind", "another message in the hello's record", lambda me: records(hello("rbehind", sni(me)) + hello("rbehind", sni(EVIL))))
relayed("rlength", "an extension longer than there is", lambda me: records(hello("rlength", sni(me), b"\0\x15\xff\xff")))
relayed("rsnilength", "a list of names longer than there is", lambda me: records(hello("rsnilength", ext(0, b"\0\xff\0" + vec(2, me.encode())))))
relayed("rserver", "a ServerHello", lambda me: records(b"\x02" + hello("rserver", sni(me))[1:]))
relayed("ralert", "an alert first", lambda me: b"\x15\x03\x01\0\2\1\0" + records(hello("ralert", sni(me))))
relayed("rccs", "ChangeCipherSpec first", lambda me: b"\x14\x03\x01\0\1\1" + records(hello("rccs", sni(me))))
relayed("rdata", "application data first", lambda me: b"\x17\x03\x03" + vec(2, b"exfil-rdata-"))
relayed("rzero", "an empty record first", lambda me: b"\x16\x03\x01\0\0" + records(hello("rzero", sni(me))))
relayed("rlong", "a record longer than TLS has", lambda me: b"\x16\x03\x01\xff\xff" + hello("rlong", sni(me)))
relayed("rhttp", "HTTP", lambda me: b"GET /exfil-rhttp- HTTP/1.1\r\nHost: x\r\n\r\n")
relayed("rssh", "SSH", lambda me: b"SSH-2.0-exfil-rssh-\r\n")
relayed("rsecond", "a second hello, of another site", lambda me: [records(hello("other", sni(me))), records(hello("rsecond", sni(EVIL)))])
relayed("rsecondccs", "a second hello behind ChangeCipherSpec", lambda me: [records(hello("other", sni(me))) + b"\x14\x03\x03\0\1\1" + records(hello("rsecondccs", sni(EVIL)))])
relayed("rsecondsplit", "a second hello in records of one byte", lambda me: [records(hello("other", sni(me))), records(hello("rsecondsplit", sni(EVIL)), 1)])


def main():
    if sys.argv[1] == "--list":
        for name, (port, what, control, log, expect, harm) in ROWS.items():
            print(name, "skip" if port == 9443 else "tls", port, what, control, log, expect, harm, sep="\t")
        return 0
    return TRY[sys.argv[1]](sys.argv[2])


try:
    sys.exit(main())
except OSError as e:
    sys.exit("%s: %s" % (sys.argv[1], e))
