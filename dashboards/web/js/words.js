// Words of the page in both languages; the order of languages is the order in
// which the button offers them.
const words = {
  zh: {
    other: "English", api: "接口文档", login: "登录", loginHint: "用访问密钥登录。密钥由管理员以 yunhe key create 生成。", key: "访问密钥", enter: "进入",
    live: "实时", lost: "连接中断，正在重连", loading: "正在读取",
    rainTank: "降雨与蓄水", rain: "降雨量", level: "水位", none: "暂无数据", perWindow: "每时段",
    day: "24 小时", week: "7 天", month: "35 天",
    power: "用电功率", pv: "光伏功率", heat: "供热功率", rain24: "24 小时降雨", tank: "蓄水水位", grid: "电网功率",
    good: "正常", uncertain: "存疑", bad: "无效", clock: "时钟未校", ago: (age) => `${age}前`,
    unproven: "未签名",
    backlog: (n) => `历史数据补传中：还有 ${n.toLocaleString()} 批`,
    legend: "每个数值都带有读取时间；「存疑」表示有值但有理由怀疑，「无效」表示没有值，绝不以 0 代替。",
    chartNote: (step) => `雨量为每 ${step} 的累计值（由计数器差得出）；断线处表示没有数据，不是零。`,
    yes: "是", no: "否",
    s: "秒", min: "分", h: "时", d: "天",
  },
  en: {
    other: "中文", api: "API", login: "Sign in", loginHint: "Sign in with an access key. An administrator makes one with: yunhe key create", key: "Access key", enter: "Enter",
    live: "live", lost: "connection lost, trying again", loading: "reading",
    rainTank: "Rain and storage", rain: "rain", level: "level", none: "no data yet", perWindow: "per window",
    day: "24 hours", week: "7 days", month: "35 days",
    power: "load", pv: "PV power", heat: "heat delivered", rain24: "rain, 24 h", tank: "tank level", grid: "grid power",
    good: "good", uncertain: "uncertain", bad: "bad", clock: "clock not set", ago: (age) => `${age} ago`,
    unproven: "unsigned",
    backlog: (n) => `history on its way: ${n.toLocaleString()} batches to come`,
    legend: "Every value carries the time it was read. “Uncertain” has a value and a reason to doubt it; “bad” has no value and is never shown as 0.",
    chartNote: (step) => `Rain is the difference of the counter over each ${step}; a gap in a line means no data, not zero.`,
    yes: "yes", no: "no",
    s: "s", min: "min", h: "h", d: "d",
  },
};

let language = localStorage.getItem("language") || (navigator.language.startsWith("zh") ? "zh" : "en");
export const lang = () => language;
export const t = (key) => words[language][key] ?? key;

export function toggle() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
}

// apply writes the words into every element that names one.
export function apply() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const e of document.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
}

// age says how old a time is in the largest fitting unit.
export function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 100) return `${s} ${t("s")}`;
  if (s < 6000) return `${Math.round(s / 60)} ${t("min")}`;
  if (s < 172800) return `${Math.round(s / 3600)} ${t("h")}`;
  return `${Math.round(s / 86400)} ${t("d")}`;
}

const plainUnits = { "kW.h": "kWh", Cel: "°C", deg: "°", "1": "", "V.A": "VA", "kV.A.h": "kVAh", "V.A{reactive}": "var", "kV.A{reactive}.h": "kvarh", m3: "m³", "m3/h": "m³/h", "W/m2": "W/m²", "{tip}": "", "{pulse}": "", "{rpm}": "rpm" };

// unit turns a UCUM code into what people write.
export const unit = (u) => plainUnits[u] ?? u;

// number shows four significant digits, and counters in full.
export function number(v, counter) {
  if (typeof v === "boolean") return t(v ? "yes" : "no");
  if (typeof v !== "number") return String(v);
  if (Number.isInteger(v)) return v.toLocaleString(language);
  const digits = counter ? 2 : Math.max(0, Math.min(3, 3 - Math.floor(Math.log10(Math.abs(v) || 1))));
  return v.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
