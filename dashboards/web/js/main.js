// The first page: what is measured now, how good and how old it is, what fell
// and what is stored.
import * as api from "./api.js";
import { Live } from "./live.js";
import { Chart } from "./chart.js";
import { apply, t, toggle, lang } from "./words.js";

const $ = (id) => document.getElementById(id);
let site, live, chart, most = 0;

function words() {
  apply();
  $("lang").textContent = t("other");
  if (site) $("site").textContent = site.name?.[lang()] || site.id;
  if ($("link").className) $("link").textContent = t($("link").className);
}

$("lang").onclick = () => {
  toggle();
  words();
  live?.draw();
  chart?.draw();
};

$("login").onsubmit = async (event) => {
  event.preventDefault();
  await enter($("key").value.trim());
};

async function enter(key) {
  try {
    await api.login(key);
    $("login").hidden = true;
    $("refused").textContent = "";
    await open();
  } catch (problem) {
    $("refused").textContent = problem.message;
    $("login").hidden = false;
  }
}

async function open() {
  [site] = await api.sites();
  if (!site) throw new api.Problem(404, t("none"));
  $("content").hidden = false;
  words();
  live = new Live(site.id, $("tiles"), $("devices"));
  await live.load();
  chart = new Chart(site, live, $("chart"), $("spans"), $("chart-note"));
  await chart.load();
  api.stream(site.id, (row) => live.take(row), (state) => {
    $("link").className = state;
    $("link").textContent = t(state);
  });
  setInterval(() => live.ages(), 1000);
  setInterval(() => backlog(site.id).catch(() => {}), 2000);
  setInterval(() => chart.load().catch(() => {}), 30000);
  await backlog(site.id);
}

// backlog shows what gateways still have to send: history after an outage.
async function backlog(site) {
  const waiting = (await api.gateways(site)).reduce((sum, g) => sum + (g.backlog || 0), 0);
  const shown = !$("backlog").hidden;
  $("backlog").hidden = waiting < 200;
  most = $("backlog").hidden ? 0 : Math.max(most, waiting);
  if ($("backlog").hidden) {
    if (shown) await chart.load();
    return;
  }
  $("backlog-text").textContent = t("backlog")(waiting);
  $("backlog-bar").max = most;
  $("backlog-bar").value = most - waiting;
  await chart.load();
}

async function start() {
  words();
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    // The key came in the fragment, which browsers do not send; it must not
    // stay in the address bar either.
    history.replaceState(null, "", location.pathname);
    return enter(key);
  }
  try {
    await open();
  } catch (problem) {
    if (problem.status === 401) $("login").hidden = false;
    else $("link").textContent = problem.message;
  }
}

start();
