"""Writes the seed corpora, fuzz/corpus, from the contract's vectors. Run it when these change.

Only what is small: a fuzzer makes long bodies by itself."""

import base64
import json
import pathlib
import re

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parent / "tests" / "vectors"
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
