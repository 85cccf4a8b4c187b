// Shows the OpenAPI document of this server. Text from the document is only
// ever set as text, never as markup.

const spec = await (await fetch("/openapi.json")).json();

function element(tag, props, ...children) {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...children.filter((c) => c !== undefined && c !== null && c !== ""));
  return e;
}

const resolve = (s) => s?.$ref ? spec.components.schemas[s.$ref.split("/").pop()] : s;
const nameOf = (s) => s?.$ref?.split("/").pop();

function typeOf(s) {
  if (!s) return "";
  if (s.$ref) return nameOf(s);
  if (s.oneOf) return s.oneOf.map(typeOf).join(" or ");
  if (s.enum) return s.enum.join(" | ");
  const type = Array.isArray(s.type) ? s.type.join(" or ") : s.type ?? "any";
  if (type.includes("array")) return `list of ${typeOf(s.items)}`;
  return s.format ? `${type} (${s.format})` : type;
}

// text turns `code` and **strong** of a description into elements.
function text(s) {
  const p = element("p", {});
  for (const part of (s ?? "").split(/(`[^`]+`|\*\*[^*]+\*\*)/)) {
    if (part.startsWith("`")) p.append(element("code", { textContent: part.slice(1, -1) }));
    else if (part.startsWith("**")) p.append(element("strong", { textContent: part.slice(2, -2) }));
    else p.append(part);
  }
  return p;
}

function description(s) {
  const box = element("div", {});
  for (const block of (s ?? "").trim().split(/\n\n+/)) {
    if (!block.startsWith("- ")) { box.append(text(block)); continue; }
    box.append(element("ul", {}, ...block.split(/\n- |^- /).filter(Boolean).map((l) => element("li", {}, text(l)))));
  }
  return box;
}

function table(head, rows) {
  if (!rows.length) return "";
  return element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((h) => element("th", { textContent: h })))),
    element("tbody", {}, ...rows.map((r) => element("tr", {}, ...r.map((c) => element("td", {}, c ?? ""))))));
}

// fields lists the properties of a schema, nested ones folded under it.
function fields(schema, seen = []) {
  const s = resolve(schema);
  if (s?.oneOf) return element("div", {}, ...s.oneOf.map((o) => folded(o, seen)));
  if (!s?.properties) return "";
  const nested = [];
  const rows = Object.entries(s.properties).filter(([n]) => n !== "$schema").map(([name, p]) => {
    for (const inner of [p, p.items]) if (inner?.$ref && !seen.includes(inner.$ref)) nested.push(inner);
    return [element("code", { textContent: name }), typeOf(p), resolve(p)?.description ?? p.description];
  });
  return element("div", {}, table(["field", "type", "meaning"], rows), ...nested.map((n) => folded(n, [...seen, n.$ref])));
}

const folded = (schema, seen) => nameOf(schema)
  ? element("details", {}, element("summary", { textContent: nameOf(schema) }), fields(schema, [...seen, schema.$ref])) : fields(schema, seen);

function parameters(op) {
  const rows = (op.parameters ?? []).map((p) => [
    element("code", { textContent: p.name }), `${p.in}${p.required ? ", needed" : ""}`, typeOf(p.schema), p.description ?? p.schema?.description,
  ]);
  return rows.length ? element("div", {}, element("h3", { textContent: "Parameters" }), table(["name", "where", "type", "meaning"], rows)) : "";
}

function responses(op) {
  const box = element("div", {}, element("h3", { textContent: "Answers" }));
  for (const [status, r] of Object.entries(op.responses ?? {})) {
    const types = Object.entries(r.content ?? {});
    const line = element("summary", {}, element("strong", { textContent: status }), ` ${r.description ?? ""} `, element("span", { className: "quiet", textContent: types.map(([t]) => t).join(", ") }));
    const headers = table(["header", "meaning"], Object.entries(r.headers ?? {}).map(([n, h]) => [element("code", { textContent: n }), h.description]));
    box.append(element("details", { open: status.startsWith("2") }, line, headers, ...types.slice(0, status.startsWith("2") ? 9 : 0).map(([, m]) => folded(m.schema ?? {}, []))));
  }
  return box;
}

function operation(path, method, op) {
  const example = `curl -H "Authorization: Bearer $KEY" "${location.origin}${path}"`;
  return element("section", { id: op.operationId },
    element("h2", {}, element("span", { className: `method ${method}`, textContent: method }), element("code", { textContent: path })),
    element("p", {}, element("strong", { textContent: op.summary })), description(op.description),
    op.security?.length && method === "get" ? element("pre", { textContent: example }) : "", parameters(op), responses(op));
}

const list = element("ul", {}), content = document.getElementById("content");
content.replaceChildren(description(spec.info.description));
for (const [path, methods] of Object.entries(spec.paths)) {
  for (const [method, op] of Object.entries(methods)) {
    list.append(element("li", {}, element("a", { href: `#${op.operationId}` }, element("span", { className: `method ${method}`, textContent: method }), path)));
    content.append(operation(path, method, op));
  }
}
document.getElementById("paths").append(list);
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
