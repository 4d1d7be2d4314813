/* The REST API as this page uses it: search, recommendations, receipts, freshness. */

const config = JSON.parse(document.getElementById("storefront-config").textContent);

export const pageLanguage = config.language;

export class Problem extends Error {
  constructor(status, problem, retryAfterSeconds) {
    super(problem?.detail ?? problem?.title ?? `HTTP ${status}`);
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

async function get(path, parameters, signal) {
  const query = new URLSearchParams(parameters).toString();
  const response = await fetch(query ? `${path}?${query}` : path, {
    headers: { Authorization: `Api-Key ${config.key}` }, credentials: "omit", signal,
  });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Problem(response.status, body, Number(response.headers.get("Retry-After")) || 1);
  return body;
}

export function search({ q, filters, sort, k }, signal) {
  const parameters = [["q", q], ["k", String(k)], ["facets", "brand,category,price"], ["sort", sort], ["explain", "1"]];
  for (const [field, value] of filters) parameters.push(["filter", `${field}:${value}`]);
  return get("/v1/search", parameters, signal);
}

export function recommendations(productId, k) {
  const about = productId ? [["surface", "product"], ["product_id", productId]] : [["surface", "home"]];
  return get("/v1/recommendations", [...about, ["k", String(k)]]);
}

export const freshness = () => get("/v1/freshness", []);

/* True when the events of a receipt are in the rankings, false when that takes longer than `patienceSeconds`. */
export async function visible(receipt, patienceSeconds = 10) {
  const until = Date.now() + patienceSeconds * 1000;
  while (Date.now() < until) {
    if ((await get(`/v1/receipts/${encodeURIComponent(receipt)}`, [["wait", "2"]])).visible) return true;
    await new Promise((done) => setTimeout(done, 200));
  }
  return false;
}

window.freshet.configure({ key: config.key, url: new URL("/v1/events", location.href).href });
