"""Writes the seed corpora, fuzz/corpus, from the contract's vectors and the topics' samples. Run it when these change.

Only what is small: a fuzzer makes long bodies by itself."""

import base64
import hashlib
import json
import pathlib
import re

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parent / "tests" / "vectors"
SAMPLES = HERE.parent / "schemas" / "topics" / "samples"
LONGEST = 2048


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def write(target, name, body):
    if isinstance(body, dict):
        body = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    body = body if isinstance(body, bytes) else body.encode()
    if len(body) <= LONGEST:
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")).write_bytes(body)


def unsigned(record):
    return {key: value for key, value in record.items() if key != "sig"}


for case in vectors("malformed"):
    write("parse", case["name"], base64.b64decode(case["body_base64"]))

# The canonical cases have just the fields of the payload; what else a record needs is put beside them.
REST = {"schema": "s", "version": "v", "scales": [2], "N_j": {}, "regime": ""}
for case in vectors("canonical"):
    text = case.get("input_text") or json.dumps(case["input"], ensure_ascii=False)
    rest = {key: value for key, value in REST.items() if key not in json.loads(text)}
    body = text.rstrip().removesuffix("}") + "," + json.dumps(rest)[1:] if rest else text
    for target in ["canonical", "parse"]:
        write(target, case["name"], body)

for case in vectors("verdicts")["cases"]:
    write("judge", case["name"], case["pcs"])
    # Without a signature the target signs by itself, and the later checks are reached.
    if case["code"] not in ("malformed", "bad_signature"):
        write("judge", f"unsigned {case['name']}", unsigned(case["pcs"]))
        write("canonical", f"verdict {case['name']}", unsigned(case["pcs"]))

for n, case in enumerate(vectors("signatures")["cases"]):
    if case["alg"] == "hmac" and n % 4 == 0:
        write("judge", f"signature {n}", case["pcs"])

for sample in SAMPLES.glob("*.json"):
    write("topics", sample.stem, sample.read_bytes())
write("topics", "headers", "request-id:a-1\nreply-to:3\nreply-id:" + "0f" * 16 + "\ntenant:a\ntraceparent:00-" + "a1" * 16 + "-" + "b2" * 8 + "-01")
write("topics", "headers said twice", "reply-to:3\nreply-to:4\nreply-id:x\ntenant:a\ntenant:b\nrequest-id:" + "x" * 65)


# The compact form of a settled result, as common/results/src/codec.rs describes it.
def varint(number):
    number = number << 1 if number >= 0 else (-number << 1) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def digest(text):
    return hashlib.sha256(text).digest()


def compact(words, flags, numbers, key_id=b""):
    return bytes([2, words, flags]) + digest(b"payload") + digest(b"content") + b"".join(map(varint, numbers)) + key_id


MARK = b"\x01" + digest(b"the log\0pcs.raw")[:4]
ORIGIN = [40, 5_123_456_789, 1_767_225_600_000]
SIGNALS = [1_412_345_678, 1_412_345_671, 412_345_678]
BARE = compact(0x24, 3, ORIGIN + SIGNALS)
STEEP = compact(0x1B, 0x0B, [2**31 - 1, 2**63 - 1, 253_402_300_799_999, 0, -53 * 10**18, 10**9])

for name, value in {
    "key id in hex": MARK + b"\x01" + bytes(range(8)) + BARE,
    "key id as text": MARK + b"\x02\x06a-2026" + BARE,
    "key id apart": MARK + b"\x03" + digest(b"k" * 64)[:8] + STEEP,
    "without a key": MARK + b"\x00" + compact(0, 0, ORIGIN + SIGNALS[:1]),
    "of another log": b"\x01abcd\x00" + BARE,
}.items():
    write("read_side_value", name, value)

for name, value in {
    "behind its origin": varint(-5_000_000_000) + compact(0x24, 7, ORIGIN + SIGNALS, b"0123456789abcdef"),
    "at its origin": varint(0) + BARE,
    "the longest numbers": varint(0) + STEEP,
    "a key": b"default\0" + digest(b"id"),
}.items():
    write("index_value", name, value)
