#!/usr/bin/env python3
"""30-http.py: HTTP/1 as no client should speak it.

    30-http.py --list                one line a check, fields with a tab between: name, what it is, control, what the
                                     log has (deny, none, or the target denied), block or allow, the harm
    30-http.py NAME HOST [control]   sends it (or the control of that name) and prints what comes back

A payload is sent as it is, @ standing for the host, (at) for @.  Policy allows GET and POST of /ok/**.  The harm is a regular
expression over what reached the server in one connection: the ambiguous form itself, or the request behind it.
"""
import os
import re
import socket
import sys

L = r"(?:[^\r\n]+\r\n)*"  # whole header lines
ROWS = {}


def row(name, what, payload, harm=None, control="plain", log="deny", expect="block"):
    """harm None: the hidden request, /evil/NAME.  log none: the form is taken out, what is left is allowed."""
    if isinstance(payload, str):
        payload = payload.encode("latin-1")
    ROWS[name] = (what, payload, harm or "/evil/" + name, control, log, expect)


def get(path, *headers, version="HTTP/1.1", method="GET"):
    return "%s %s %s\r\nHost: @\r\n%s\r\n" % (method, path, version, "".join(h + "\r\n" for h in headers))


def post(path, *headers, body=""):
    return get(path, *headers, method="POST") + body


def hidden(name):
    return get("/evil/" + name)


CHUNKED = "Transfer-Encoding: chunked"
OK_CHUNK = "5\r\nhello\r\n0\r\n\r\n"

# --- controls: must be answered 200 ------------------------------------------------------------------------------
CONTROLS = {
    "plain": get("/ok/plain"),
    "chunked": post("/ok/chunked", CHUNKED, body=OK_CHUNK),
    "length": post("/ok/length", "Content-Length: 5", body="hello"),
    "pipelined": get("/ok/first") + post("/ok/second", CHUNKED, body=OK_CHUNK) + get("/ok/third"),
    "absolute": "GET http://@:8080/ok/absolute HTTP/1.1\r\nHost: @:8080\r\n\r\n",
    "expect": post("/ok/expect", "Expect: 100-continue", "Content-Length: 5", body="hello"),
    "hints": get("/ok/103"),
    "extension": post("/ok/extension", CHUNKED, body="5;a=b\r\nhello\r\n0\r\n\r\n"),
}

# --- who is meant --------------------------------------------------------------------------------------------------
row("twohosts", "two Host lines", get("/ok/twohosts", "Host: evil.test"), r"/ok/twohosts [^\r]*\r\n" + L + "Host: evil")
row("twohosts2", "two Host lines, the other first", "GET /ok/twohosts2 HTTP/1.1\r\nHost: evil.test\r\nHost: @\r\n\r\n", "/ok/twohosts2")
row("otherhost", "Host of another site", "GET /ok/otherhost HTTP/1.1\r\nHost: evil.test\r\n\r\n", "/ok/otherhost")
row("nohost", "no Host", "GET /ok/nohost HTTP/1.1\r\n\r\n", "/ok/nohost")
row("emptyhost", "empty Host", "GET /ok/emptyhost HTTP/1.1\r\nHost:\r\n\r\n", "/ok/emptyhost")
row("hostport", "Host with another port", "GET /ok/hostport HTTP/1.1\r\nHost: @:80\r\n\r\n", "/ok/hostport")
row("hostuser", "Host with a user", "GET /ok/hostuser HTTP/1.1\r\nHost: evil.test(at)@\r\n\r\n", "/ok/hostuser")
row("hostlist", "Host with a list", "GET /ok/hostlist HTTP/1.1\r\nHost: @, evil.test\r\n\r\n", "/ok/hostlist")
row("hosttab", "Host with another behind a tab", "GET /ok/hosttab HTTP/1.1\r\nHost: @\tevil.test\r\n\r\n", "/ok/hosttab")
row("absolute", "absolute form of another site", "GET http://evil.test/ok/abs HTTP/1.1\r\nHost: @\r\n\r\n", r"GET (http://evil\.test)?/ok/abs ", "absolute")
row("absoluteuser", "absolute form with a user", "GET http://@(at)@:8080/ok/absuser HTTP/1.1\r\nHost: @:8080\r\n\r\n", "absuser", "absolute")
row("absolutehttps", "absolute form, https", "GET https://evil.test/ok/abss HTTP/1.1\r\nHost: @\r\n\r\n", "/ok/abss", "absolute")
row("secondhost", "second request of a connection, another Host", get("/ok/first") + "GET /ok/secondhost HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    "/ok/secondhost", "pipelined")
row("connect", "CONNECT to another site", "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n" + hidden("connect"), "CONNECT|/evil/connect")
row("connectsame", "CONNECT to the same site", "CONNECT @:8080 HTTP/1.1\r\nHost: @:8080\r\n\r\n" + hidden("connectsame"), "CONNECT|/evil/connectsame")

# --- where a body ends ---------------------------------------------------------------------------------------------
row("clte", "Content-Length and Transfer-Encoding", post("/ok/clte", "Content-Length: 4", CHUNKED, body="0\r\n\r\n" + hidden("clte")),
    r"/evil/clte|/ok/clte [^\r]*\r\n" + L + r"Content-Length:[^\r]*\r\n" + L + "Transfer-Encoding", "chunked")
row("tecl", "Transfer-Encoding and Content-Length", post("/ok/tecl", CHUNKED, "Content-Length: 300", body="0\r\n\r\n" + hidden("tecl")), None, "chunked")
for n, what, headers in (
        ("twocl", "two Content-Lengths", ("Content-Length: 5", "Content-Length: 0")),
        ("twocl2", "two Content-Lengths, the longer second", ("Content-Length: 0", "Content-Length: 5")),
        ("cllist", "Content-Length with a list", ("Content-Length: 0, 5",)),
        ("clplus", "Content-Length with a sign", ("Content-Length: +0",)),
        ("clminus", "negative Content-Length", ("Content-Length: -1",)),
        ("clhex", "hexadecimal Content-Length", ("Content-Length: 0x0",)),
        ("clbig", "Content-Length beyond 64 bits", ("Content-Length: 18446744073709551616",)),
        ("clempty", "empty Content-Length", ("Content-Length:",)),
        ("clspace", "space before Content-Length's colon", ("Content-Length : 0",)),
        ("clname", "Content-Length behind a NUL", ("Content-Length: 0\x001",)),
        ("texchunked", "Transfer-Encoding: xchunked", ("Transfer-Encoding: xchunked",)),
        ("teidentity", "chunked, then identity", ("Transfer-Encoding: chunked, identity",)),
        ("tegzip", "gzip, then chunked", ("Transfer-Encoding: gzip, chunked",)),
        ("tetwice", "two Transfer-Encodings", (CHUNKED, "Transfer-Encoding: identity")),
        ("techunked2", "chunked twice", ("Transfer-Encoding: chunked, chunked",)),
        ("tespace", "space before Transfer-Encoding's colon", ("Transfer-Encoding : chunked",)),
        ("tevt", "vertical tab in Transfer-Encoding", ("Transfer-Encoding:\x0bchunked",)),
        ("tequoted", "quoted chunked", ('Transfer-Encoding: "chunked"',)),
        ("tefold", "Transfer-Encoding on a folded line", ("X: y\r\n Transfer-Encoding: chunked",)),
        ("tefold2", "chunked on a folded line", ("Transfer-Encoding:\r\n chunked",))):
    row(n, what, post("/ok/" + n, *headers, body="0\r\n\r\n" + hidden(n)), "/(ok|evil)/" + n, "chunked" if n[0] == "t" else "length")
row("clhidden", "Content-Length shorter than what follows", post("/ok/clhidden", "Content-Length: 5", body="hello" + hidden("clhidden")), None, "length")
row("nobody", "a request where the body should be", post("/ok/nobody", "Content-Length: 0", body=hidden("nobody")), None, "length")
for n, what, body in (
        ("chex", "chunk size 0x5", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("cminus", "negative chunk size", "-5\r\nhello\r\n0\r\n\r\n"),
        ("cplus", "chunk size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("cempty", "empty chunk size", "\r\nhello\r\n0\r\n\r\n"),
        ("cbig", "chunk size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("cspace", "space before the chunk size", " 5\r\nhello\r\n0\r\n\r\n"),
        ("clf", "chunk size line that ends in LF", "5\nhello\r\n0\r\n\r\n"),
        ("ccr", "chunk size line with a bare CR", "5\rX\r\nhello\r\n0\r\n\r\n"),
        ("cshort", "chunk longer than its size", "2\r\nhello\r\n0\r\n\r\n"),
        ("cnocrlf", "no line end behind a chunk", "5\r\nhello0\r\n\r\n"),
        ("cextlf", "chunk extension with LF", "5;a\n\r\nhello\r\n0\r\n\r\n"),
        ("cextnul", "chunk extension with NUL", "5;a=\x00\r\nhello\r\n0\r\n\r\n"),
        ("ctrailerlf", "trailer that ends in LF", "5\r\nhello\r\n0\r\nX: y\n\r\n"),
        ("clastlf", "last chunk that ends in LF", "5\r\nhello\r\n0\n\n")):
    row(n, what, post("/ok/" + n, CHUNKED, body=body + hidden(n)), None, "extension" if "ext" in n else "chunked")
row("cextlong", "chunk extension of 100 KiB", post("/ok/cextlong", CHUNKED, body="5;" + "a" * 102400 + "\r\nhello\r\n0\r\n\r\n" + hidden("cextlong")),
    "a{1000}|/evil/cextlong", "extension")
row("trailer", "Host in a trailer", post("/ok/trailer", CHUNKED, body="5\r\nhello\r\n0\r\nHost: evil.test\r\n\r\n"), r"\r\n0\r\nHost: evil", "chunked", "none")
row("trailertest", "Content-Length in a trailer", post("/ok/trailertest", CHUNKED, body="0\r\nContent-Length: 9\r\n\r\n" + hidden("trailertest")),
    r"\r\n0\r\nContent-Length|/evil/trailertest", "chunked")

# --- one request behind another --------------------------------------------------------------------------------------
row("pipe", "pipelined second request", get("/ok/pipe") + hidden("pipe"), None, "pipelined")
row("pipechunk", "second request behind a chunked body", post("/ok/pipechunk", CHUNKED, body=OK_CHUNK + hidden("pipechunk")), None, "pipelined")
row("pipemany", "after fifty good ones", get("/ok/pipemany") * 50 + hidden("pipemany"), None, "pipelined")
row("pipedenied", "behind a denied one with a body", post("/evil/x", "Content-Length: 5", body="hello") + hidden("pipedenied"), None, "pipelined", "/evil/pipedenied")
row("pipeget", "behind a GET with a body", get("/ok/pipeget", "Content-Length: 5") + "hello" + hidden("pipeget"), None, "length")
row("pipehead", "behind a HEAD with a body", get("/ok/pipehead", "Content-Length: 5", method="HEAD") + "hello" + hidden("pipehead"), None, "length")
row("pipeclose", "behind Connection: close", get("/ok/pipeclose", "Connection: close") + hidden("pipeclose"), None, "plain", "none")
row("pipe10", "behind HTTP/1.0", get("/ok/pipe10", "Connection: keep-alive", version="HTTP/1.0") + hidden("pipe10"), None, "plain")
row("expect", "behind Expect: 100-continue", post("/ok/expectx", "Expect: 100-continue", "Content-Length: 5", body="hello" + hidden("expect")), None, "expect")
row("expectevil", "Expect: 100-continue of a denied one", post("/evil/expectevil", "Expect: 100-continue", "Content-Length: 5", body="hello"), None, "expect")
row("expectother", "another expectation", get("/ok/expectother", "Expect: 200-maybe"), "Expect: 200", "expect")
row("hints", "behind a 103 of the server", get("/ok/103/hints") + hidden("hints"), None, "hints")

# --- leaving HTTP/1 --------------------------------------------------------------------------------------------------
UP = ("Connection: Upgrade", "Upgrade: ")
row("upgrade", "Upgrade, then anything", get("/ok/upgrade", UP[0], UP[1] + "raw") + hidden("upgrade"), None, log="/evil/upgrade")
row("websocket", "WebSocket on an endpoint without", get("/ok/upgrade/ws", UP[0], UP[1] + "websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==") + hidden("websocket"), None, log="/evil/websocket")
row("wsdenied", "denied WebSocket upgrade, then frames", get("/evil/upgrade/wsdenied", UP[0], UP[1] + "websocket",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==") + "\x81\x05hello" + hidden("wsdenied"), "wsdenied", log="/evil/upgrade/wsdenied")
row("h2c", "Upgrade: h2c", get("/ok/h2c", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "Upgrade: h2c", log="none")
row("prior", "h2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\0\0\0\4\0\0\0\0\0", r"PRI \*")
row("ssh", "SSH", "SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0")
row("tlsplain", "a TLS hello on a plain endpoint", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03exfil-tlsplain-\r\n\r\n", "exfil-tlsplain")
row("binary", "no HTTP at all", b"\xff\xfe\x00\x01exfil-binary-\r\n\r\n", "exfil-binary")

# --- the request line --------------------------------------------------------------------------------------------------
row("trace", "TRACE", get("/ok/trace", method="TRACE"), "TRACE ")
row("lower", "method in lower case", get("/ok/lower", method="get"), "/ok/lower")
row("custom", "custom method", get("/ok/custom", method="GETS"), "/ok/custom")
row("delete", "DELETE", get("/ok/delete", method="DELETE"), "/ok/delete")
row("methodnul", "NUL in the method", get("/ok/methodnul", method="GET\0"), "/ok/methodnul")
row("override", "a query that looks like a path", get("/evil/override?/ok/x"), None)
row("http09", "HTTP/0.9", "GET /ok/http09\r\n\r\n", "/ok/http09")
row("http20", "HTTP/2.0 in the request line", get("/ok/http20", version="HTTP/2.0"), "/ok/http20 HTTP/2")
row("http12", "HTTP/1.2", get("/ok/http12", version="HTTP/1.2"), "/ok/http12")
row("http111", "HTTP/1.11", get("/ok/http111", version="HTTP/1.11"), "/ok/http111")
row("httplower", "http/1.1", get("/ok/httplower", version="http/1.1"), "/ok/httplower")
row("httpextra", "a fourth word", get("/ok/httpextra", version="HTTP/1.1 x"), "/ok/httpextra")
row("twospaces", "two spaces", "GET  /ok/twospaces HTTP/1.1\r\nHost: @\r\n\r\n", "/ok/twospaces")
row("tab", "tab for a space", "GET\t/ok/tab HTTP/1.1\r\nHost: @\r\n\r\n", "/ok/tab")
row("linelf", "request line that ends in LF", "GET /ok/linelf HTTP/1.1\nHost: @\r\n\r\n", "/ok/linelf")
row("linecr", "bare CR in the request line", "GET /ok/linecr\rX HTTP/1.1\r\nHost: @\r\n\r\n", "/ok/linecr")
for n, what, target, harm in (
        ("dots", "/ok/../", "/ok/../evil/dots", r"GET (/ok/\.\.)?/evil/dots "),
        ("dots2", "%2e%2e", "/ok/%2e%2e/evil/dots2", "GET (/ok/%2e%2e)?/evil/dots2 "),
        ("dots3", "..%2f", "/ok/..%2fevil/dots3", "evil/dots3"),
        ("dots5", "a backslash", "/ok/..\\evil/dots5", r"\\evil/dots5|GET /evil/dots5"),
        ("dots6", "..; as Tomcat reads it", "/ok/..;/evil/dots6", r"\.\.;/evil/dots6|GET /evil/dots6"),
        ("dots8", "//", "//evil/dots8", "/evil/dots8"),
        ("fragment", "#", "/evil/fragment#/ok/", "evil/fragment"),
        ("nulpath", "%00", "/ok/%00/../evil/nulpath", "evil/nulpath"),
        ("crlfpath", "%0d%0a", "/ok/%0d%0aevil/crlfpath", "evil/crlfpath"),
        ("rawbyte", "a byte above ASCII", "/ok/\xe9vil/rawbyte", "vil/rawbyte"),
        ("badhex", "%zz", "/ok/%zz/evil/badhex", "evil/badhex"),
        ("long", "100 KiB", "/ok/" + "a" * 102400 + "/long", "a{1000}/long"),
        ("relative", "no slash", "evil/relative", "evil/relative"),
        ("star", "nothing but *", "*", r"GET \* ")):
    row(n, "target with " + what, get(target), harm, log="none" if n == "dots5" else "deny")
# Decoded once, as a server does, these are names within /ok/; they are sent as they were judged.
for n, what, target in (("dots4", "%252e%252e", "/ok/%252e%252e/evil/dots4"), ("dots7", "%5c", "/ok/..%5Cevil/dots7"),
                        ("dots9", "overlong UTF-8", "/ok/%C0%AE%C0%AE/evil/dots9")):
    row(n, "target with " + what, get(target), "GET " + target + " ", log="none", expect="allow")

# --- headers -----------------------------------------------------------------------------------------------------------
row("fold", "folded line", get("/ok/fold", "X: a\r\n b"), r"/ok/fold [^\r]*\r\n" + L + "[ \t]")
row("foldfirst", "first header line begins with a space", "GET /ok/foldfirst HTTP/1.1\r\n Host: evil.test\r\nHost: @\r\n\r\n", "/ok/foldfirst")
row("barelf", "header line that ends in LF", "GET /ok/barelf HTTP/1.1\r\nHost: @\nX: y\r\n\r\n", "/ok/barelf")
row("alllf", "LF everywhere", "GET /ok/alllf HTTP/1.1\nHost: @\n\n", "/ok/alllf")
row("barecr", "bare CR in a value", get("/ok/barecr", "X: a\rY: b"), "/ok/barecr")
row("nulvalue", "NUL in a value", get("/ok/nulvalue", "X: a\0b"), "/ok/nulvalue")
row("nulname", "NUL in a name", get("/ok/nulname", "X\0: a"), "/ok/nulname")
row("colonspace", "space before a colon", get("/ok/colonspace", "X : a"), "/ok/colonspace")
row("namespace", "space in a name", get("/ok/namespace", "X Y: a"), "/ok/namespace")
row("noname", "empty name", get("/ok/noname", ": a"), "/ok/noname")
row("nocolon", "no colon", get("/ok/nocolon", "Xa"), "/ok/nocolon")
row("control", "control byte in a value", get("/ok/control", "X: a\x01b"), "/ok/control")
row("highname", "name that is not ASCII", get("/ok/highname", "X\xe9: a"), "/ok/highname")
row("bighead", "head of 300 KiB", get("/ok/bighead", "X: " + "a" * 307200), "/ok/bighead")
row("manyheads", "5000 header lines", get("/ok/manyheads", *["X%d: a" % i for i in range(5000)]), "/ok/manyheads")
row("hophost", "Connection: Host", get("/ok/hophost", "Connection: close, Host"), r"/ok/hophost [^\r]*\r\n" + L + "Connection:[^\r]*Host", log="none")
row("hoplength", "Connection: Content-Length", post("/ok/hoplength", "Content-Length: 5", "Connection: close, Content-Length", body="hello"),
    r"/ok/hoplength [^\r]*\r\n" + L + "Connection:[^\r]*Content-Length", "length", "none")


def main():
    if sys.argv[1] == "--list":
        for name, (what, _, harm, control, log, expect) in ROWS.items():
            print(name, what, control, log, expect, harm, sep="\t")
        return 0
    name, host = sys.argv[1:3]
    control = len(sys.argv) > 3
    payload = CONTROLS[name].encode() if control else ROWS[name][1]
    s = socket.create_connection((host, 8080), 5)
    s.sendall(payload.replace(b"@", host.encode()).replace(b"(at)", b"@"))
    s.settimeout(1.2 * int(os.environ.get("PATIENCE", 1)))
    reply = b""
    try:
        while True:
            data = s.recv(65536)
            if not data:
                break
            reply += data
            if control and reply.count(b" 200 ") >= len(re.findall(rb"HTTP/1.1\r\n", payload)):
                break
    except OSError:
        pass
    sys.stdout.write(reply.decode("latin-1")[:2000])
    return 0 if reply.startswith(b"HTTP/1.1 200") or b"\r\n\r\nHTTP/1.1 200" in reply else 1


sys.exit(main())
