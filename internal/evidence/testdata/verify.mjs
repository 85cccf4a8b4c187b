// A second implementation of docs/formats/evidence.md on Node.js alone: makes
// every vector from its tree and compares each byte, then verifies.
import { createHash, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const v = JSON.parse(readFileSync(process.argv[2], "utf8"));
const hex = (s) => Buffer.from(s, "hex");
const sha256 = (b) => createHash("sha256").update(b).digest();

function head(major, n) {
  n = BigInt(n);
  const b = Buffer.alloc(9);
  b.writeBigUInt64BE(n, 1);
  for (const [size, info, limit] of [[0, Number(n), 24n], [1, 24, 1n << 8n], [2, 25, 1n << 16n], [4, 26, 1n << 32n], [8, 27, 1n << 64n]]) {
    if (n < limit) {
      return Buffer.concat([Buffer.from([(major << 5) | info]), b.subarray(9 - size)]);
    }
  }
  throw new Error(`${n} is too large`);
}

function encode(t) {
  if (t === null) return Buffer.from([0xf6]);
  if (t === false) return Buffer.from([0xf4]);
  if (t === true) return Buffer.from([0xf5]);
  if (typeof t === "number") return t < 0 ? head(1, -1 - t) : head(0, t);
  if (typeof t === "string") return Buffer.concat([head(3, Buffer.byteLength(t)), Buffer.from(t)]);
  if (Buffer.isBuffer(t)) return Buffer.concat([head(2, t.length), t]);
  if (Array.isArray(t)) return Buffer.concat([head(4, t.length), ...t.map(encode)]);
  if ("$bytes" in t) return encode(hex(t.$bytes));
  if ("$uint" in t) return head(0, t.$uint);
  if ("$float" in t) {
    const b = Buffer.alloc(9, 0xfb);
    b.writeDoubleBE(t.$float, 1);
    return b;
  }
  const pairs = Object.entries(t).map(([k, x]) => [encode(k), encode(x)]);
  pairs.sort((a, b) => Buffer.compare(a[0], b[0]));
  return Buffer.concat([head(5, pairs.length), ...pairs.flat()]);
}

function same(what, got, want) {
  if (Buffer.compare(got, hex(want)) !== 0) throw new Error(`${what}:\n got ${got.toString("hex")}\nwant ${want}`);
}

const spki = Buffer.concat([hex("302a300506032b6570032100"), hex(v.key.public)]);
const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
const privateKey = createPrivateKey({ key: Buffer.concat([hex("302e020100300506032b657004220420"), hex(v.key.seed)]), format: "der", type: "pkcs8" });
same("public key", createPublicKey(privateKey).export({ format: "der", type: "spki" }), spki.toString("hex"));
const kid = sha256(spki).subarray(0, 16);
same("key id", kid, v.key.key_id);
if (v.key.fingerprint !== "SHA256:" + sha256(spki).toString("base64").replace(/=+$/, "")) throw new Error("fingerprint");
if (v.key.text !== "yunhe-ed25519 " + hex(v.key.public).toString("base64")) throw new Error("text");

for (const d of v.data) {
  same(d.name, encode(d.tree), d.cbor);
  same(`${d.name}, hash`, sha256(hex(d.cbor)), d.hash);
}

const alg = -8;
const header = Buffer.concat([head(5, 2), encode(1), encode(alg), encode(4), encode(kid)]);
let prev = Buffer.alloc(32);
for (const e of v.entries) {
  const content = encode(e.tree);
  same(`${e.name}, content`, content, e.cbor);
  same(`${e.name}, prev`, prev, e.tree[4].$bytes);
  const signed = encode(["Signature1", header, Buffer.from(v.context), content]);
  prev = sha256(signed);
  same(`${e.name}, hash`, prev, e.hash);
  const signature = sign(null, signed, privateKey);
  same(`${e.name}, entry`, Buffer.concat([Buffer.from([0xd2, 0x84]), encode(header), Buffer.from([0xa0]), encode(content), encode(signature)]), e.cose);
  if (!verify(null, signed, publicKey, hex(e.cose).subarray(-64))) throw new Error(`${e.name}: the signature does not verify`);
  if (e.tree[1] === 1) {
    same(`${e.name}, body`, encode([1, alg, kid, ...e.tree.slice(2, 8), e.tree[8].map((row) => row[5]), signature]), e.body);
  }
}
console.log(`${v.data.length} data, ${v.entries.length} entries`);
