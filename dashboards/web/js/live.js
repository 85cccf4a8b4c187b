// Live values: tiles for the whole site and a table a device. It keeps the
// newest reading of each point and never shows a value without its time.
import * as api from "./api.js";
import { age, lang, number, t, unit } from "./words.js";

const staleAfter = 5 * 60 * 1000; // ms; older values are marked

// Which quantity of which kind of device stands on a tile.
const tiles = [
  { kind: "pv_inverter", quantity: "active_power", name: "pv", scale: 0.001, unit: "kW" },
  { kind: "electricity_meter", quantity: "active_power", name: "grid", scale: 0.001, unit: "kW" },
  { kind: "heat_meter", quantity: "thermal_power", name: "heat", scale: 0.001, unit: "kW" },
  { kind: "level_sensor", quantity: "level", name: "tank", scale: 1, unit: "m" },
];

export class Live {
  constructor(site, tileBox, deviceBox) {
    Object.assign(this, { site, tileBox, deviceBox });
    this.points = new Map(); // gateway/device/point → description
    this.newest = new Map(); // the same → { time, value, quality, clock_failed }
    this.cells = new Map(); // the same → { value, age }
    this.rain = null; // mm in 24 hours, from the chart
  }

  async load() {
    const [devices, points, readings] = await Promise.all([api.devices(this.site), api.points(this.site), api.latest(this.site)]);
    this.devices = devices;
    this.points = new Map(points.map((p) => [this.id(p.gateway, p.device, p.name), p]));
    for (const r of readings) this.put(this.id(r.gateway, r.device, r.point), r, Date.parse(r.time));
    this.draw();
  }

  id(gateway, device, point) { return `${gateway}/${device}/${point}`; }

  put(id, reading, time) {
    const old = this.newest.get(id);
    if (old && old.time >= time) return false;
    this.newest.set(id, { ...reading, time });
    return true;
  }

  // take shows one row of the stream. A device nobody described yet makes the
  // page ask again.
  take(row) {
    const time = Date.parse(row.time);
    let unknown = false;
    for (const r of row.readings) {
      const id = this.id(row.gateway, row.device, r.point);
      if (!this.put(id, { ...r, clock_failed: row.clock_failed }, time)) continue;
      if (this.cells.has(id)) this.fill(id);
      else unknown = true;
    }
    if (unknown && !this.asking) {
      this.asking = true;
      setTimeout(() => this.load().catch(() => {}).finally(() => { this.asking = false; }), 500);
    }
    this.drawTiles();
  }

  draw() {
    this.cells.clear();
    this.deviceBox.replaceChildren(...this.devices.map((d) => this.card(d)));
    for (const id of this.cells.keys()) this.fill(id);
    this.drawTiles();
  }

  card(device) {
    const card = element("article", "panel device");
    card.append(element("h2", "", device.name?.[lang()] || device.device));
    card.append(element("p", "what", [device.vendor, device.model, device.unsigned ? t("unproven") : device.profile].filter(Boolean).join(" · ")));
    const table = element("table");
    for (const [id, p] of this.points) {
      if (p.gateway !== device.gateway || p.device !== device.device) continue;
      const row = table.insertRow();
      const name = element("td", "name", this.title(p));
      name.title = p.name;
      const value = element("td", "number");
      const age = element("td", "age");
      row.append(name, value, element("td", "unit", unit(p.unit)), age);
      this.cells.set(id, { value, age });
    }
    card.append(table);
    return card;
  }

  // title says what a point is: its own name in words, and in Chinese the
  // quantity before what tells it from others of the quantity.
  title(p) {
    const own = p.name.replaceAll("_", " ");
    const zh = p.title?.zh;
    if (lang() !== "zh" || !zh) return own;
    const rest = p.name.replace(p.quantity, "").replace(/^_+|_+$/g, "").replaceAll("_", " ");
    return rest ? `${zh} · ${rest}` : zh;
  }

  fill(id) {
    const cell = this.cells.get(id), now = this.newest.get(id), p = this.points.get(id);
    if (!now) { cell.value.textContent = "–"; return; }
    cell.value.className = `number ${now.quality === "good" ? "" : now.quality}`;
    cell.value.replaceChildren(now.quality === "bad" || now.value === undefined || now.value === null ? "–" : number(now.value, p.class === "counter"));
    if (now.quality !== "good") cell.value.append(" ", element("span", "mark", t(now.quality)));
    if (now.clock_failed) cell.value.append(" ", element("span", "mark doubt", t("clock")));
    this.fillAge(cell, now.time);
  }

  fillAge(cell, time) {
    const ms = Date.now() - time;
    cell.age.textContent = age(ms);
    cell.age.classList.toggle("old", ms > staleAfter);
  }

  ages() {
    for (const [id, cell] of this.cells) {
      const now = this.newest.get(id);
      if (now) this.fillAge(cell, now.time);
    }
    this.drawTiles();
  }

  // find returns the first point of a kind of device and a quantity; the
  // shortest name is the total, not a phase.
  find(kind, quantity) {
    const found = [];
    for (const [id, p] of this.points) {
      const d = this.devices.find((x) => x.gateway === p.gateway && x.device === p.device);
      if (d?.kind === kind && p.quantity === quantity) found.push([id, p]);
    }
    return found.sort((a, b) => a[1].name.length - b[1].name.length)[0];
  }

  drawTiles() {
    const boxes = [];
    for (const tile of tiles) {
      const found = this.find(tile.kind, tile.quantity);
      const now = found && this.newest.get(found[0]);
      if (now) boxes.push(this.tile(t(tile.name), typeof now.value === "number" ? number(now.value * tile.scale) : "–", tile.unit, now.time));
    }
    if (this.rain) boxes.push(this.tile(t("rain24"), number(this.rain.mm), "mm", this.rain.time));
    this.tileBox.replaceChildren(...boxes);
  }

  tile(title, value, unit, time) {
    const box = element("div", "tile");
    const number = element("div", "value", value);
    number.append(" ", element("small", "", unit));
    const old = Date.now() - time > staleAfter;
    box.append(element("h3", "", title), number, element("p", `note ${old ? "old" : ""}`, t("ago")(age(Date.now() - time))));
    return box;
  }
}

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}
