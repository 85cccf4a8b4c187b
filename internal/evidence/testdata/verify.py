"""A second implementation of docs/formats/evidence.md: makes every vector from
its tree and compares each byte, then verifies. Needs the module cryptography.
"""
import base64
import hashlib
import json
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def head(major, n):
    for size, info, form in ((1, 24, "B"), (2, 25, "H"), (4, 26, "I"), (8, 27, "Q")):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * size:
            return bytes([major << 5 | info]) + struct.pack(">" + form, n)
    raise ValueError(n)


def encode(t):
    if t is None:
        return b"\xf6"
    if t is False or t is True:
        return b"\xf5" if t else b"\xf4"
    if isinstance(t, int):
        return head(1, -1 - t) if t < 0 else head(0, t)
    if isinstance(t, str):
        return head(3, len(t.encode())) + t.encode()
    if isinstance(t, bytes):
        return head(2, len(t)) + t
    if isinstance(t, list):
        return head(4, len(t)) + b"".join(map(encode, t))
    if "$bytes" in t:
        return encode(bytes.fromhex(t["$bytes"]))
    if "$uint" in t:
        return head(0, int(t["$uint"]))
    if "$float" in t:
        return b"\xfb" + struct.pack(">d", t["$float"])
    pairs = sorted((encode(k), encode(x)) for k, x in t.items())
    return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)


def same(what, got, want):
    if got.hex() != want:
        sys.exit(f"{what}:\n got {got.hex()}\nwant {want}")


def sha256(b):
    return hashlib.sha256(b).digest()


v = json.load(open(sys.argv[1], encoding="utf-8"))
private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(v["key"]["seed"]))
raw = bytes.fromhex(v["key"]["public"])
same("public key", private.public_key().public_bytes_raw(), raw.hex())
spki = bytes.fromhex("302a300506032b6570032100") + raw
kid = sha256(spki)[:16]
same("key id", kid, v["key"]["key_id"])
assert v["key"]["fingerprint"] == "SHA256:" + base64.b64encode(sha256(spki)).decode().rstrip("=")
assert v["key"]["text"] == "yunhe-ed25519 " + base64.b64encode(raw).decode()

for d in v["data"]:
    same(d["name"], encode(d["tree"]), d["cbor"])
    same(d["name"] + ", hash", sha256(bytes.fromhex(d["cbor"])), d["hash"])

alg = -8
header = head(5, 2) + encode(1) + encode(alg) + encode(4) + encode(kid)
prev = bytes(32)
for e in v["entries"]:
    name, tree = e["name"], e["tree"]
    content = encode(tree)
    same(name + ", content", content, e["cbor"])
    same(name + ", prev", prev, tree[4]["$bytes"])
    signed = encode(["Signature1", header, v["context"].encode(), content])
    prev = sha256(signed)
    same(name + ", hash", prev, e["hash"])
    signature = private.sign(signed)
    same(name + ", entry", b"\xd2\x84" + encode(header) + b"\xa0" + encode(content) + encode(signature), e["cose"])
    Ed25519PublicKey.from_public_bytes(raw).verify(bytes.fromhex(e["cose"])[-64:], signed)
    if tree[1] == 1:
        body = [1, alg, kid] + tree[2:8] + [[row[5] for row in tree[8]], signature]
        same(name + ", body", encode(body), e["body"])
print(len(v["data"]), "data,", len(v["entries"]), "entries")
