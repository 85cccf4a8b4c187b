// Reads a JSON array of payloads in hexadecimal from standard input, decodes
// them with sparkplug-payload and writes what it found as JSON. Long integers
// become text, so that JSON does not round them.
"use strict";
const { decodePayload } = require("sparkplug-payload").get("spBv1.0");

const plain = (v) => (v !== null && typeof v === "object" && "low" in v ? v.toString() : v);

const payloads = JSON.parse(require("fs").readFileSync(0, "utf8"));
const decoded = payloads.map((hex) => {
  const p = decodePayload(Buffer.from(hex, "hex"));
  return {
    timestamp: plain(p.timestamp),
    seq: "seq" in p ? plain(p.seq) : null,
    body: p.body ? Buffer.from(p.body).toString("hex") : "",
    metrics: p.metrics.map((m) => ({
      name: m.name,
      type: m.type,
      timestamp: plain(m.timestamp),
      value: plain(m.value),
      isNull: m.value === null, // a value that is missing is undefined
      isHistorical: m.isHistorical === true,
      properties: m.properties || {},
    })),
  };
});
process.stdout.write(JSON.stringify(decoded));
