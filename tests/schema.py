#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""schema.py BATCH PART: docs/policy.schema.json beside the parser.

BATCH is tests/policy_batch.c, built.  PART is one of

  good      every good policy validates
  bad       every bad policy is refused, but for those that tests/data/policies/schema-cannot.txt gives a reason for
  mutants   some thousand policies made from good ones: what the parser takes, the schema takes; what only the parser
            refuses, it refuses for a reason that a schema cannot give
  spoilt    with a schema that says less or more, the part `mutants` finds that out
  documents every YAML block of the documents is a policy, or a part of one
  messages  every message that the parser has is in the corpus

Prints what is wrong, exits 1 when anything is.
"""
import json
import random
import re
import subprocess
import sys
from glob import glob
from pathlib import Path

import jsonschema
import yaml

TOP = Path(__file__).resolve().parent.parent
DATA = TOP / "tests/data/policies"
FORMS = r"[-+]?0[xo][0-9a-fA-F]+|[-+]?[0-9]+"
SCHEMA = json.loads((TOP / "docs/policy.schema.json").read_text())


class Unreadable(Exception):
    """No YAML reader gets a value out of it."""


def scalar(node):
    """The value as policy/yaml_tree.c types it, which is the core schema of YAML 1.2 and so what editors do."""
    s = node.value
    if node.style is not None:
        return s
    if s in ("", "~", "null", "Null", "NULL"):
        return None
    if s in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return s[0] in "tT"
    if re.fullmatch(FORMS, s):
        sign, digits = (-1, s[1:]) if s[0] == "-" else (1, s.lstrip("+"))
        base = {"0x": 16, "0o": 8}.get(digits[:2], 10)
        return sign * int(digits[2:] if base != 10 else digits, base)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", s):
        return float(s)
    return s


def value(node, level=0):
    if level > 60:
        raise Unreadable("too deep, or an alias inside itself")
    if isinstance(node, yaml.ScalarNode):
        return scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [value(n, level + 1) for n in node.value]
    out = {}
    for key, val in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise Unreadable("a key that is no scalar")
        out.setdefault(key.value, value(val, level + 1))
    return out


def load(text):
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as e:
        raise Unreadable(str(e)) from e
    return None if node is None else value(node)


def sections(path):
    """(name, text, messages) of a corpus file, as tests/unit/test_policy_parse.c reads it."""
    for part in ("\n" + path.read_text()).split("\n=== ")[1:]:
        name, rest = part.split("\n", 1)
        text, _, messages = ("\n" + rest + "\n").rpartition("\n---\n")
        yield name, text[1:] + "\n" if text[1:] else "", messages.strip("\n").split("\n")


VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def accepts(doc):
    return VALIDATOR.is_valid(doc)


def why(doc):
    e = jsonschema.exceptions.best_match(VALIDATOR.iter_errors(doc))
    return "/".join(map(str, e.absolute_path)) + ": " + e.message[:300]


def parse(batch, texts):
    """The parser's messages for each text."""
    raw = [t.encode() for t in texts]
    out = subprocess.run([batch], input=b"".join(b"%d\n" % len(t) + t for t in raw), stdout=subprocess.PIPE,
                         check=True).stdout.decode().split("\n")
    at, result = 0, []
    for _ in raw:
        n = int(out[at])
        result.append([m.split(": ", 1)[1] for m in out[at + 1:at + 1 + n]])
        at += 1 + n
    return result


def good_texts():
    for name, text, _ in sections(DATA / "good.txt"):
        yield name, text
    files = ["policy/default.yaml", *glob("examples/*.yaml", root_dir=TOP),
             *glob("tests/data/vectors/decisions/*/policy.yaml", root_dir=TOP)]
    for f in sorted(files):
        yield f, (TOP / f).read_text()


def part_good(batch):
    names, texts = zip(*good_texts())
    wrong = []
    for name, text, messages in zip(names, texts, parse(batch, texts)):
        doc = load(text)
        if messages:
            wrong.append(f"{name}: the parser refuses it: {messages[0]}")
        if not accepts(doc):
            wrong.append(f"{name}: the schema refuses it: {why(doc)}")
    return wrong, f"{len(names)} good policies"


def singles(doc):
    """The document with one endpoint, program, address or rule of each list, so that each has to be refused by itself."""
    if isinstance(doc, list) and len(doc) > 1:
        for v in doc:
            for one in singles(v):
                yield [one]
    elif isinstance(doc, (dict, list)):
        items = list(doc.items() if isinstance(doc, dict) else enumerate(doc))
        yield doc
        for key, v in items:
            if isinstance(v, (dict, list)):
                for one in singles(v):
                    if one is not v:
                        yield {**doc, key: one} if isinstance(doc, dict) else [one]
    else:
        yield doc


def part_bad(batch):
    cannot = {}
    for line in (DATA / "schema-cannot.txt").read_text().splitlines()[1:]:
        if line:
            name, reason = line.rsplit(": ", 1)
            cannot[name] = reason
    wrong, count, silent, ones = [], 0, set(), []
    for name, text, _ in sections(DATA / "bad.txt"):
        count += 1
        try:
            doc = load(text)
        except Unreadable:
            continue
        if accepts(doc):
            silent.add(name)
        ones += singles(doc)
    wrong += [f"{n}: the schema takes it, and schema-cannot.txt has no reason" for n in sorted(silent - set(cannot))]
    wrong += [f"{n}: stands in schema-cannot.txt, but the schema refuses it" for n in sorted(set(cannot) - silent)]
    more, seen = compare(batch, ones)
    return wrong + more, f"{count} bad policies, {len(silent)} of them beyond a schema; taken apart: {seen}"


# --------------------------------------------------------------------------------------------------- mutants --

# Messages about what a schema cannot say: something that two places of the file say together, a spelling that is gone
# once the text is a value, a sum over a pattern's braces, an address behind a spelling of its own.
CANNOT = [
    r"this endpoint and the one at line \d+ are both for .* disagree on '(tls|protocol)'",
    r"path '.*\{.*': .*",                     # braces are multiplied out first
    r"query value '.*\{.*': .*",
    r"(path|query value) '.*': '\[.-.\]' is a range from high to low",
    r"(path|query value) '.*': '/' cannot stand in '\[\.\.\.\]'",          # a range over it
    r"host '.*[:].*' is (reserved|loopback|unspecified|link-local|multicast), which is never allowed",
    r"host '.*' is longer than 253 characters",
    r"allowed_ips '.*/.*': .* is never allowed",                           # a wide network that holds one
    r"allowed_ips '.*': .* addresses are never allowed",
    r"allowed_ips '::.*': .* is never allowed",
    r"a name of \d+ bytes \(at most 128\)",                                # a schema counts characters
    r"a path of \d+ bytes \(at most (511|4096)\)",
    r"\d+ paths \(at most 256 together\)",
    r"'(port|ports|version)' must be .*, not a fraction",                  # 443.0 is an integer to a schema
    r"version 1\.0 is not supported .*",
    r"'run_as_(user|group)' must be a string, not a number \(quote it: .\d+\.0.\)",
]
CANNOT = [re.compile(c + r"\Z", re.S) for c in CANNOT]



def beyond(message):
    return any(c.match(message) for c in CANNOT)


WORDS = {
    "host": ["a.b.c", "A.B.C.", "*.example.com", "**.example.com", "*", "**", "*.com", "a.*", "127.0.0.1", "10.0.0.1",
             "::1", "fd00::1", "[fd00::1]", "1.2.3", "0x7f.1", "https://a.b", "a.b:443", "", "a..b", "x*y.b.c",
             "2606:4700::1111", "a**.b.c", "*.*", "*.*.*", "*.b.*", "169.254.1.1", "_a.b", "a b.c", "é.b"],
    "path": ["/a", "/**", "**", "*", "/a/*", "/a?c", "/[a-c]", "/[ab", "/{a,b}", "/a//b", "/a/../b", "/.", "/a;b",
             "/%41", "/%4", "/%0a", "/a/", "/", "", "a/b", "/proc", "/usr/bin/curl", "/a\\b", "/[!a]", "/é", "/[é]"],
    "network": ["10.0.0.0/8", "10.0.0.1", "127.0.0.1", "0.0.0.0/0", "169.254.0.0/16", "::1", "fd00::/8", "fe80::/10",
                "10.0.0.0/33", "10.0.0.0/08", "1.2.3", "a.b.c", "224.0.0.1", "::ffff:10.0.0.1", "[fd00::1]", "::/0"],
    "word": ["tcp", "rest", "websocket", "sql", "terminate", "passthrough", "skip", "enforce", "audit", "read-only",
             "read-write", "full", "best_effort", "hard_requirement", "REST", "yes", "", "GET", "get", "*", "M-SEARCH",
             "P*", "G T", "root", "1000", "0", "4294967295", "a/b", "-x", "sandbox"],
    "other": [None, True, False, 0, 1, 2, -1, 53, 443, 65535, 65536, 1.5, 1000, 4294967295, 10**20, [], {}, [1], {"a": 1},
              "x", [None], {"any": ["a"]}, {"any": []}, {"path": "/a"}, {"host": "a.b.c", "port": 1},
              {"allow": {"method": "GET"}}, {"method": "GET"}, [{"path": "/x"}], [443, 444], [443, "x"]],
}
FIELDS = ["version", "filesystem_policy", "landlock", "process", "network_policies", "include_workdir", "read_only",
          "read_write", "unix_sockets", "compatibility", "run_as_user", "run_as_group", "name", "endpoints", "binaries",
          "path", "ancestors", "allow_tainted", "host", "port", "ports", "protocol", "tls", "enforcement", "access",
          "rules", "deny_rules", "allowed_ips", "allow_encoded_slash", "allow", "deny", "method", "query", "any", "<<", "x"]
RULE = {"method": "GET", "path": "/a"}
USUAL = {  # what a field usually has, so that a mutant often has one fault and no other
    "path": WORDS["path"], "host": WORDS["host"], "port": [1, 53, 54, 443, 65535], "ports": [[443], [53], [1, 2]],
    "protocol": ["tcp", "rest"], "tls": ["terminate", "passthrough", "skip"], "enforcement": ["enforce", "audit"],
    "access": ["read-only", "full"], "rules": [[{"allow": RULE}]], "deny_rules": [[RULE], [{"path": "/x"}]],
    "allowed_ips": [[n] for n in WORDS["network"]], "allow_encoded_slash": [True, False], "allow": [RULE],
    "method": WORDS["word"], "query": [{"a": "b"}, {"a": {"any": ["b", "c*"]}}], "ancestors": [True, False],
    "run_as_user": WORDS["word"] + [0, 1, 4294967294, 4294967295], "read_write": [[p] for p in WORDS["path"]],
}
KIN = [  # the fields of a map that has this one
    ("host", ["host", "port", "ports", "path", "protocol", "tls", "enforcement", "access", "rules", "deny_rules",
              "allowed_ips", "allow_encoded_slash"]),
    ("endpoints", ["name", "endpoints", "binaries"]),
    ("method", ["method", "path", "query"]),
    ("path", ["path", "ancestors", "allow_tainted"]),
]
LETTERS = list("aZ0159.*:/-_[]{}!^,%;\\#?~$@ \t\nfF\u00e9") + ["..", "//", "**", "::", "%2F", "/.", "127.", "0x", "::ffff:"]


def places(doc, out):
    """Every container of the document, with its key in the parent."""
    if isinstance(doc, (dict, list)):
        out.append(doc)
        for v in doc.values() if isinstance(doc, dict) else doc:
            places(v, out)
    return out


def any_value(r, field=None):
    if field in USUAL and r.randrange(3):
        return json.loads(json.dumps(r.choice(USUAL[field])))
    pool = r.choice(list(WORDS))
    return json.loads(json.dumps(r.choice(WORDS[pool])))


def spoil(r, s):
    """A character more, less or other."""
    at = r.randrange(len(s) + 1)
    return s[:at] + r.choice(["", *LETTERS]) + s[at + r.choice([0, 0, 1, 1, 2]):]


def mutate_dict(r, d):
    how = max(r.randrange(-5, 8), 0)
    key = r.choice(list(d)) if d else None
    if how == 0 or key is None:
        kin = next((k for has, k in KIN if has in d), FIELDS)
        key = r.choice(kin if r.randrange(4) else FIELDS)
        d[key] = any_value(r, key)
    elif how == 1:
        del d[key]
    elif how == 2:
        d[r.choice(FIELDS)] = d.pop(key)
    elif how == 3:
        d[spoil(r, key)] = d.pop(key)
    elif how in (4, 5) and isinstance(d[key], str):
        d[key] = spoil(r, d[key])
    elif how == 6 and isinstance(d[key], str):
        d[key] = r.choice(WORDS[r.choice(["host", "path", "network", "word"])])
    else:
        d[key] = any_value(r, key)


def mutate_list(r, v):
    how = r.randrange(5)
    at = r.randrange(len(v)) if v else 0
    if how == 0 or not v:
        v.insert(at, any_value(r))
    elif how == 1:
        del v[at]
    elif how == 2:
        v.append(v[at])
    elif isinstance(v[at], str) and how == 3:
        v[at] = spoil(r, v[at])
    else:
        v[at] = any_value(r)


def small(r, doc):
    """At most one block with a few endpoints and programs, so that one fault is the only one."""
    doc = json.loads(json.dumps(doc))
    blocks = doc.get("network_policies") or {}
    if blocks:
        name = r.choice(list(blocks))
        block = blocks[name]
        block["endpoints"] = r.sample(block["endpoints"], min(len(block["endpoints"]), r.randint(1, 2)))
        block["binaries"] = r.sample(block["binaries"], min(len(block["binaries"]), 2))
        doc["network_policies"] = {name: block}
    return doc


def compare(batch, docs):
    """Both verdicts on each."""
    wrong = []
    taken = both = silent = 0
    for doc, messages in zip(docs, parse(batch, [json.dumps(d, ensure_ascii=False) for d in docs])):
        ok = accepts(doc)
        taken += not messages
        both += bool(messages) and not ok
        if not messages and not ok:
            wrong.append(f"the parser takes, the schema refuses: {why(doc)}")
        elif ok and messages:
            silent += 1
            rest = [m for m in messages if not beyond(m)]
            if rest:
                wrong.append(f"the schema takes what the parser refuses: {rest[0]}")
    if min(taken, both) < len(docs) / 20:
        wrong.append("too much alike to say anything")
    return wrong, f"{len(docs)} policies, {taken} good, {both} refused by both, {silent} beyond a schema"


def strings(doc):
    """Every place of a string: its container and key."""
    for c in places(doc, []):
        for key, v in c.items() if isinstance(c, dict) else enumerate(c):
            if isinstance(v, str):
                yield c, key


def mutants(count):
    r = random.Random(20)
    bases = [load(text) for _, text in good_texts()]
    docs = []
    for _ in range(count):
        doc = small(r, r.choice(bases))
        for _ in range(r.choice([0, 0, 1, 1, 2])):
            where = places(doc, [])
            kin = [p for p in where if isinstance(p, dict) and any(k in p for k, _ in KIN)]
            target = r.choice(kin if kin and r.randrange(2) else where)
            (mutate_dict if isinstance(target, dict) else mutate_list)(r, target)
        for _ in range(r.choice([0, 0, 1, 2])):
            c, key = r.choice(list(strings(doc)) or [({"": ""}, "")])
            c[key] = spoil(r, c[key])
        docs.append(doc)
    return docs


def part_mutants(batch):
    wrong, seen = compare(batch, mutants(8000))
    return wrong, "mutants: " + seen


# Each takes one thing from the schema, or adds one.
SPOILT = [
    "S['additionalProperties'] = True",
    "D['endpoint']['additionalProperties'] = True",
    "del D['endpoint']['allOf'][0]",
    "del D['endpoint']['allOf'][1]",
    "del D['endpoint']['allOf'][2]['then']",
    "del D['endpoint']['allOf'][2]['else']['properties']['path']",
    "D['endpoint']['allOf'][2]['else']['properties']['tls'] = False",
    "del D['endpoint']['allOf'][3]",
    "del D['port']['not']",
    "D['port']['maximum'] = 65534",
    "D['method'] = {'enum': ['GET', 'POST', '*']}",
    "del D['endpoint']['properties']['host']['pattern']",
    "del D['network']['pattern']",
    "del D['path_glob']['pattern']",
    "del D['query_glob']['pattern']",
    "del D['writable_path']['pattern']",
    "D['account']['type'] = 'string'",
    "D['endpoint']['properties']['rules']['minItems'] = 0",
    "D['binary']['properties']['ancestors'] = {}",
    "del D['block']['required']",
]


def part_spoilt(batch):
    global VALIDATOR
    wrong, docs = [], mutants(8000)
    messages = parse(batch, [json.dumps(d, ensure_ascii=False) for d in docs])
    for change in SPOILT:
        schema = json.loads(json.dumps(SCHEMA))
        exec(change, {"S": schema, "D": schema["definitions"]})
        VALIDATOR = jsonschema.Draft7Validator(schema)
        if not any(accepts(doc) == bool(m) and not all(beyond(x) for x in m or [""])
                   for doc, m in zip(docs, messages)):
            wrong.append(f"not found: {change}")
    VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
    return wrong, f"{len(SPOILT)} spoilt schemas"


# ------------------------------------------------------------------------------------------------- documents --

POLICY = "version: 1\nnetwork_policies:\n  b:\n"
ENDPOINT = "    binaries: [{path: /a}]\n    endpoints:\n      - host: a.b.c\n        port: 443\n        protocol: rest\n"
WRAP = [  # how a fragment begins, what makes a policy of it, and how deep it then stands
    (r"version:", "", 0),
    (r"(network_policies|filesystem_policy|landlock|process):", "version: 1\n", 0),
    (r"(endpoints|binaries):", POLICY, 4),
    (r"(rules|deny_rules|access):", POLICY + ENDPOINT, 8),
]


def fragments(path):
    text = path.read_text()
    for m in re.finditer(r"^```yaml\n(.*?)^```$", text, re.S | re.M):
        yield text[:m.start()].count("\n") + 2, m.group(1)


def whole(text):
    """A policy around a fragment."""
    body = re.sub(r"^#.*\n", "", text, flags=re.M)
    for begin, before, depth in WRAP:
        if re.match(begin, body):
            return before + "".join(" " * depth + line for line in text.splitlines(True))
    return text


def part_documents(batch):
    found = [(f"{f}:{line}", whole(text)) for f in ["README.md", *sorted(glob("docs/*.md", root_dir=TOP))]
             for line, text in fragments(TOP / f)]
    wrong = []
    for (where, text), messages in zip(found, parse(batch, [t for _, t in found])):
        if messages:
            wrong.append(f"{where}: {messages[0]}")
        elif not accepts(load(text)):
            wrong.append(f"{where}: {why(load(text))}")
    if len(found) < 5:
        wrong.append(f"only {len(found)} YAML blocks found")
    return wrong, f"{len(found)} YAML blocks"


# -------------------------------------------------------------------------------------------------- messages --

CALL = re.compile(r"\b(check_error|check_warning|diag_add|fail|bad)\(")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"|(SLICE_FMT)')


def sources():
    for f in sorted([*glob("policy/check*.c", root_dir=TOP), "policy/yaml_tree.c", "policy/glob.c", "policy/host.c"]):
        text = (TOP / f).read_text()
        for m in CALL.finditer(text):
            depth, end = 1, m.end()
            while depth:  # no call holds a parenthesis in a character constant
                for s in re.finditer(r'"(?:[^"\\]|\\.)*"|[()]', text[end:]):
                    depth += {"(": 1, ")": -1}.get(s.group(), 0)
                    if not depth:
                        end += s.end()
                        break
            yield f"{f}:{text.count(chr(10), 0, m.start()) + 1}", text[m.end():end]


def formats(args):
    """The format strings of a call, as patterns; a choice between two is two."""
    for m in re.finditer(r'\?\s*"([^"]*)"\s*:\s*"([^"]*)"', args):  # what is chosen for a %s, or as the whole
        yield from (re.escape(t) for t in m.groups())
    args = re.sub(r'\?[^,:"]*(?:"[^"]*")?\s*:\s*"[^"]*"', "?", args)
    run, last = "", 0
    for m in STRING.finditer(args):
        if run and args[last:m.start()].strip():
            yield run
            run = ""
        run += r"\x00" if m.group(2) else re.escape(bytes(m.group(1), "utf-8").decode("unicode_escape"))
        last = m.end()
    if run:
        yield run


def as_pattern(fmt):
    fmt = fmt.replace("%%", "\x01")
    fmt = re.sub(r"%(?:\\?[.0-9*#-])*(?:zu|lu|[sucdX])|%02x|%04X|\\x00", "(?:.|\\n)*", fmt)
    return fmt.replace("\x01", "%")


def part_messages(_):
    said = "\n".join(m for _, _, ms in sections(DATA / "bad.txt") for m in ms)
    for f in glob("tests/unit/test_policy_*.c", root_dir=TOP):  # what no text file holds: bytes, sizes, depth
        said += "\n" + re.sub(r'"\s*\n\s*"', "", (TOP / f).read_text())
    wrong, count = [], 0
    for where, args in sources():
        for fmt in formats(args):
            if " " not in fmt.replace("\\ ", " "):
                continue
            count += 1
            if not any(re.search(as_pattern(fmt), line) for line in said.split("\n")):
                wrong.append(f"{where}: no case of the corpus has this message: {fmt}")
    if count < 60:
        wrong.append(f"only {count} messages found")
    return wrong, f"{count} messages"


def main():
    part = {n[5:]: f for n, f in globals().items() if n.startswith("part_")}[sys.argv[2]]
    wrong, seen = part(sys.argv[1])
    for w in wrong[:40]:
        print(w)
    print(f"{seen}, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
