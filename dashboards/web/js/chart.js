// Rain hanging from above, water level rising from below, on one time axis.
import * as api from "./api.js";
import * as echarts from "../vendor/echarts/echarts.esm.min.js";
import { lang, t } from "./words.js";

const hour = 3600e3;
const spans = [
  { name: "day", hours: 24, every: "15m", ms: hour / 4, label: { zh: "15 分钟", en: "15 minutes" } },
  { name: "week", hours: 7 * 24, every: "1h", ms: hour, label: { zh: "1 小时", en: "hour" } },
  { name: "month", hours: 35 * 24, every: "6h", ms: 6 * hour, label: { zh: "6 小时", en: "6 hours" } },
];

export class Chart {
  constructor(site, live, box, buttons, note) {
    Object.assign(this, { site, live, box, buttons, note, span: spans[1] });
    this.echart = echarts.init(box, null, { renderer: "canvas" });
    new ResizeObserver(() => this.echart.resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  async load() {
    const rain = this.live.find("rain_gauge", "rainfall") || this.live.find("rain_gauge", "bucket_tips");
    const level = this.live.find("level_sensor", "level");
    const to = new Date(Math.ceil(Date.now() / this.span.ms) * this.span.ms);
    const from = new Date(to - this.span.hours * hour);
    const ask = (found, fn) => found ? api.windows({
      site: this.site.id, gateway: found[1].gateway, device: found[1].device, point: found[1].name,
      from: new Date(from - this.span.ms).toISOString(), to: to.toISOString(), every: this.span.every, function: fn,
    }) : [];
    const [counts, levels] = await Promise.all([ask(rain, "last"), ask(level, "mean")]);
    const depth = await this.depth(rain);
    this.rain = differences(counts, this.span.ms, depth);
    this.level = line(levels, this.span.ms);
    if (this.rain.length) {
      const since = Date.now() - 24 * hour;
      const mm = this.rain.reduce((sum, [at, fell]) => sum + (at >= since ? fell : 0), 0);
      this.live.rain = this.span.name === "month" ? this.live.rain : { mm, time: this.live.newest.get(rain[0])?.time ?? 0 };
      this.live.drawTiles();
    }
    this.draw();
  }

  // depth is what one count is worth in mm.
  async depth(rain) {
    if (!rain || rain[1].quantity === "rainfall") return 1;
    const found = this.live.find("rain_gauge", "depth_per_tip");
    return (found && this.live.newest.get(found[0])?.value) || NaN;
  }

  draw() {
    this.buttons.replaceChildren(...spans.map((s) => {
      const b = document.createElement("button");
      b.type = "button";
      b.textContent = t(s.name);
      b.setAttribute("aria-pressed", String(s === this.span));
      b.onclick = () => { this.span = s; this.load(); };
      return b;
    }));
    this.note.textContent = t("chartNote")(this.span.label[lang()]);
    const css = getComputedStyle(document.documentElement);
    const color = (name) => css.getPropertyValue(name).trim();
    const axis = { axisLine: { lineStyle: { color: color("--line") } }, axisLabel: { color: color("--quiet") }, nameTextStyle: { color: color("--quiet") }, splitLine: { lineStyle: { color: color("--line") } } };
    const noData = !this.rain?.length && !this.level?.length;
    this.echart.setOption({
      animation: false,
      title: { show: noData, text: t("none"), left: "center", top: "middle", textStyle: { color: color("--quiet"), fontWeight: "normal", fontSize: 14 } },
      grid: { left: 52, right: 52, top: 28, bottom: 28 },
      tooltip: {
        trigger: "axis", renderMode: "richText", confine: true, // drawn on the canvas: the page's policy admits no HTML with styles
        backgroundColor: color("--panel"), borderColor: color("--line"), textStyle: { color: color("--text") },
        valueFormatter: (v) => v === null || v === undefined ? "–" : Number(v).toFixed(2),
      },
      xAxis: { type: "time", ...axis, splitLine: { show: false } },
      yAxis: [
        { type: "value", name: `${t("level")} m`, min: 0, ...axis },
        { type: "value", name: `${t("rain")} mm`, inverse: true, min: 0, max: (v) => Math.max(5, Math.ceil(v.max * 2.5)), ...axis, splitLine: { show: false }, nameLocation: "start" },
      ],
      series: [
        { name: t("level"), type: "line", data: this.level ?? [], showSymbol: false, lineStyle: { width: 2, color: color("--tank") }, itemStyle: { color: color("--tank") }, areaStyle: { color: color("--tank"), opacity: .18 } },
        { name: t("rain"), type: "bar", yAxisIndex: 1, data: this.rain ?? [], itemStyle: { color: color("--rain") }, barMinWidth: 1, barMaxWidth: 14 },
      ],
    }, { replaceMerge: ["series"] });
  }
}

// differences turns counter values at the ends of windows into the growth of
// each window. Where a window is missing, or the counter fell, there is
// nothing to show: the next value starts afresh.
function differences(rows, step, depth) {
  const out = [];
  let before;
  for (const r of rows) {
    const at = Date.parse(r.from ?? r.time), value = r.value;
    if (typeof value !== "number") continue;
    if (before && at - before.at === step && value >= before.value) out.push([at, (value - before.value) * depth]);
    before = { at, value };
  }
  return out;
}

// line puts a break where windows are missing.
function line(rows, step) {
  const out = [];
  let before;
  for (const r of rows) {
    const at = Date.parse(r.from ?? r.time);
    if (before !== undefined && at - before > step * 1.5) out.push([before + step, null]);
    out.push([at, typeof r.value === "number" ? r.value : null]);
    before = at;
  }
  return out;
}
