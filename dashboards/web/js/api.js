// What the page asks of the API, and nothing else. Every function throws a
// Problem that carries the sentence of the problem document.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function call(path, options) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  if (!answer.ok) {
    let detail = `HTTP ${answer.status}`;
    try {
      const problem = await answer.json();
      detail = problem.detail || problem.title || detail;
    } catch { /* no problem document: the status says it */ }
    throw new Problem(answer.status, detail);
  }
  return answer.status === 204 ? null : answer.json();
}

const query = (params) => new URLSearchParams(
  Object.entries(params).filter(([, v]) => v !== undefined).flatMap(([k, v]) =>
    Array.isArray(v) ? v.map((x) => [k, x]) : [[k, v]]));

// login trades an API key for a session cookie that scripts cannot read.
export const login = (key) => call("api/v1/session", { method: "POST", headers: { Authorization: `Bearer ${key}` } });

export const sites = async () => (await call("api/v1/sites")).sites;
export const gateways = async (site) => (await call(`api/v1/gateways?${query({ site })}`)).gateways;
export const devices = async (site) => (await call(`api/v1/devices?${query({ site })}`)).devices;
export const points = async (site) => (await call(`api/v1/points?${query({ site })}`)).points;
export const latest = async (site) => (await call(`api/v1/readings/latest?${query({ site })}`)).readings;

// windows returns aggregated values, oldest first.
export const windows = async (params) => (await call(`api/v1/readings?${query({ ...params, format: "json" })}`)).readings;

// stream calls row for each stored row and state("live" | "lost") as the
// connection comes and goes; the browser resumes where it stopped.
export function stream(site, row, state) {
  const source = new EventSource(`api/v1/stream?${query({ site })}`);
  source.onopen = () => state("live");
  source.onerror = () => state("lost");
  const take = (e) => row(JSON.parse(e.data));
  source.onmessage = take;
  source.addEventListener("readings", take);
  return source;
}
