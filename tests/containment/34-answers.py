#!/usr/bin/env python3
"""34-answers.py: HTTP/1 as no server should speak it, for clients that believe it.

    34-answers.py --list        one line a check, fields with a tab between: name, what it is, what the log has (error,
                                none), the harm: a regular expression over what the client got, with \\r \\n \\0 spelt out
    34-answers.py --serve       answers GET /ok/NAME of port 8080 with that row, everything else with `next`
    34-answers.py NAME HOST     asks for it, then for /ok/next over the same connection; prints what came, spelt out;
                                exit status 0 when the second answer came and was `next`
"""
import re
import socket
import sys
import threading
import time

ROWS = {}
LATER = object()  # a pause


def row(name, what, *answer, harm=None, log="error", method="GET"):
    ROWS[name] = (what, [a.encode("latin-1") if isinstance(a, str) else a for a in answer], harm or "evil-" + name, log, method)


def ok(body, *headers, status="200 OK", version="HTTP/1.1"):
    return "%s %s\r\n%s\r\n%s" % (version, status, "".join(h + "\r\n" for h in headers), body)


def whole(body, *headers, **k):
    return ok(body, "Content-Length: %d" % len(body), *headers, **k)


def evil(name):
    return whole("evil-" + name)


row("good", "as it should be", whole("good"), harm="good.*next", log="none")

# --- whose answer it is ------------------------------------------------------------------------------------------------
row("two", "a second answer behind the first", whole("ok") + evil("two"), log="none")
row("late", "an answer that nobody asked for, later", whole("ok"), LATER, evil("late"), log="none")
row("head", "a body behind the answer to HEAD", ok("", "Content-Length: 9") + evil("head"), method="HEAD", log="none")
row("no204", "a body behind 204", ok(evil("no204"), status="204 No Content"), log="none")
row("no304", "a body behind 304", ok(evil("no304"), status="304 Not Modified"), log="none")
row("clte", "Content-Length and Transfer-Encoding", ok("0\r\n\r\n" + evil("clte"), "Content-Length: 200", "Transfer-Encoding: chunked"))
row("twocl", "two Content-Lengths", ok("ok" + evil("twocl"), "Content-Length: 2", "Content-Length: 200"))
row("cllist", "Content-Length with a list", ok("ok" + evil("cllist"), "Content-Length: 2, 200"))
row("clplus", "Content-Length with a sign", ok("ok" + evil("clplus"), "Content-Length: +2"))
row("clbig", "Content-Length beyond 64 bits", ok("ok" + evil("clbig"), "Content-Length: 18446744073709551618"))
row("techunked2", "chunked twice", ok("0\r\n\r\n" + evil("techunked2"), "Transfer-Encoding: chunked, chunked"))
row("tespace", "space before Transfer-Encoding's colon", ok("0\r\n\r\n" + evil("tespace"), "Transfer-Encoding : chunked"))
row("chex", "chunk size 0x5", ok("0x5\r\nevil-chex\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
row("cshort", "chunk longer than its size", ok("2\r\nokevil-cshort\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), harm="okevil-cshort")

# --- no end ------------------------------------------------------------------------------------------------------------
row("bighead", "a header of 1 MiB", ok("", "Content-Length: 0", "X: " + "a" * 1048576 + "evil-bighead"))
row("manylines", "a head of 20000 lines", "HTTP/1.1 200 OK\r\n" + "".join("X%d: evil-line-%d\r\n" % (i, i) for i in range(20000)), harm="evil-line-15000")
row("many103", "20000 early hints before the answer", "HTTP/1.1 103 Early Hints\r\nX: evil-hint\r\n\r\n" * 20000 + whole("evil-many103"))
row("cext", "a chunk extension of 1 MiB", ok("5;" + "a" * 1048576 + "evil-cext\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
row("trailers", "1 MiB of trailers", ok("5\r\nhello\r\n0\r\n" + "".join("X%d: %s\r\n" % (i, "a" * 1000) for i in range(1048)) + "X: evil-trailers\r\n\r\n",
    "Transfer-Encoding: chunked"))
row("reason", "a reason of 1 MiB", whole("evil-reason", status="200 " + "a" * 1048576))

# --- no HTTP/1.1 -------------------------------------------------------------------------------------------------------
row("http09", "HTTP/0.9: no head", "evil-http09\r\n\r\n")
row("version", "HTTP/9.9", whole("evil-version", version="HTTP/9.9"))
row("lower", "http/1.1", whole("evil-lower", version="http/1.1"))
row("status", "a status that is no number", whole("evil-status", status="2x0 OK"))
row("status4", "a status of four digits", whole("evil-status4", status="2000 OK"))
row("before", "bytes before the answer", "evil-before\r\n" + whole("ok"))
row("fold", "a folded line", whole("ok", "X: a\r\n evil-fold"), harm=r"X: a\\r\\n evil-fold")
row("lf", "lines that end in LF", "HTTP/1.1 200 OK\nContent-Length: 2\nX: evil-lf\n\nok", harm=r"[^r]\\nX: evil-lf")
row("cr", "bare CR in a value", whole("ok", "X: a\revil-cr"), harm=r"a\\revil-cr")
row("nul", "NUL in a value", whole("ok", "X: a\0evil-nul"), harm=r"a\\0evil-nul")
row("name", "space in a name", whole("ok", "X evil-name: a"))
row("colon", "no colon", whole("ok", "evil-colon"))


def read_some(s, ends, patience):
    got = b""
    s.settimeout(patience)
    try:
        while not any(e in got for e in ends):
            data = s.recv(65536)
            if not data:
                return got, True
            got += data
    except socket.timeout:
        pass
    except OSError:
        return got, True
    return got, False


def serve(s):
    with s:
        buf = b""
        while True:
            while b"\r\n\r\n" not in buf:
                data = s.recv(65536)
                if not data:
                    return
                buf += data
            head, _, buf = buf.partition(b"\r\n\r\n")
            name = re.match(rb"[A-Z]+ /ok/(\w*)", head)
            name = name[1].decode() if name else ""
            for part in ROWS[name][1] if name in ROWS else [whole("next").encode()]:
                if part is LATER:
                    time.sleep(0.3)
                else:
                    s.sendall(part)


def thread(s):
    try:
        serve(s)
    except OSError:
        pass


def main():
    if sys.argv[1] == "--list":
        for name, (what, _, harm, log, _) in ROWS.items():
            print(name, what, log, harm, sep="\t")
        return 0
    if sys.argv[1] == "--serve":
        listener = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
        print("ready", flush=True)
        while True:
            threading.Thread(target=thread, args=(listener.accept()[0],), daemon=True).start()
    name, host = sys.argv[1:3]
    s = socket.create_connection((host, 8080), 5)
    s.sendall(("%s /ok/%s HTTP/1.1\r\nHost: %s:8080\r\n\r\n" % (ROWS[name][4], name, host)).encode())
    got, over = read_some(s, (), 0.8)
    second = b""
    if not over:
        s.sendall(("GET /ok/next HTTP/1.1\r\nHost: %s:8080\r\n\r\n" % host).encode())
        second, _ = read_some(s, (b"next",), 3)
    text = repr(got + second)[2:-1].replace(r"\x00", r"\0")
    for part in [text[i:i + 60000] for i in range(0, len(text), 60000)]:
        print(part, end="")
    print()
    return 0 if second.startswith(b"HTTP/1.1 200") and second.endswith(b"next") else 1


sys.exit(main())
