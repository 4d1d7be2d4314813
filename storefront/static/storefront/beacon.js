/* Freshet's beacon: tells the shop's search what its shoppers see and do.
 *
 *   <script src="https://freshet.example/static/storefront/beacon.js" data-key="fk_..." defer></script>
 *   freshet.impression({ token, items: ["77", "81"] })
 *   freshet.click({ token, query: "tea", product_id: "77", rank: 1 })   // returns a promise of the receipt
 *
 * Events are kept in sessionStorage until the API has taken them, so that a page change loses nothing; each is sent
 * with the same event_id as often as it takes, so that none counts twice. The key must have the scope `beacon`.
 */
(() => {
  "use strict";

  const QUEUE = "freshet.queue", SESSION = "freshet.session";
  const BATCH = 50, DELAY_MS = 150, FIRST_RETRY_MS = 1000, LAST_RETRY_MS = 60000, KEPT = 500;
  const script = document.currentScript;

  let key = script?.dataset.key ?? "";
  let url = new URL("/v1/events", script?.dataset.url ?? script?.src ?? location.href).href;
  let timer = null, sending = false, retryMs = FIRST_RETRY_MS, notBefore = 0;
  const waiting = new Map();  // event_id -> {resolve, reject}
  let queue = read(QUEUE, []);

  function read(name, otherwise) {
    try { return JSON.parse(sessionStorage.getItem(name)) ?? otherwise; } catch { return otherwise; }
  }

  function write(name, value) {
    // private windows and full storage: the page goes on with what it has in memory
    try { sessionStorage.setItem(name, JSON.stringify(value)); } catch { return; }
  }

  function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));  // randomUUID exists on https only
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  let known = null;
  function sessionId() {
    known ??= read(SESSION, null);
    if (known === null) write(SESSION, (known = newId()));
    return known;
  }

  function record(kind, { token, ...facts } = {}) {
    const event = { event_id: newId(), kind, occurred_at: new Date().toISOString(), session_id: sessionId(), ...facts };
    if (token) event.ranking_token = token;
    queue = [...queue, event].slice(-KEPT);
    write(QUEUE, queue);
    schedule(DELAY_MS);
    return new Promise((resolve, reject) => waiting.set(event.event_id, { resolve, reject }));
  }

  function schedule(delayMs) {
    if (timer === null && queue.length) timer = setTimeout(flush, Math.max(delayMs, notBefore - Date.now()));
  }

  async function flush() {
    timer = null;
    if (sending || !queue.length || !key) return;
    sending = true;
    const batch = queue.slice(0, BATCH);
    try {
      const response = await fetch(url, { method: "POST", keepalive: true, credentials: "omit",
        headers: { "Content-Type": "text/plain" }, body: JSON.stringify({ key, events: batch }) });
      if (response.status === 429 || response.status >= 500) throw new Error(response.headers.get("Retry-After") ?? "");
      const answer = await response.json();
      forget(batch);
      settle(batch, response.ok ? answer : { rejected: batch.map((_, index) => ({ index, ...answer })) });
      retryMs = FIRST_RETRY_MS;
    } catch (error) {
      const asked = Number.parseFloat(error.message) * 1000;
      notBefore = Date.now() + (asked > 0 ? asked : retryMs);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    } finally {
      sending = false;
      schedule(0);
    }
  }

  function forget(batch) {
    const done = new Set(batch.map((event) => event.event_id));
    queue = queue.filter((event) => !done.has(event.event_id));
    write(QUEUE, queue);
  }

  function settle(batch, answer) {
    const refused = new Map((answer.rejected ?? []).map((problem) => [problem.index, problem]));
    batch.forEach((event, index) => {
      const promise = waiting.get(event.event_id);
      waiting.delete(event.event_id);
      if (refused.has(index)) {
        const problem = refused.get(index);
        console.warn("freshet: event refused", event, problem);
        promise?.reject(new Error(problem.detail ?? problem.code ?? "refused"));
      } else promise?.resolve(answer.receipt);
    });
  }

  function leave() {
    // What cannot be sent before the page is gone stays in sessionStorage and goes with the next page.
    while (queue.length && key) {
      const batch = queue.slice(0, BATCH);
      if (!navigator.sendBeacon(url, new Blob([JSON.stringify({ key, events: batch })], { type: "text/plain" }))) return;
      forget(batch);
      for (const event of batch) {
        waiting.get(event.event_id)?.resolve(null);
        waiting.delete(event.event_id);
      }
    }
  }

  addEventListener("pagehide", leave);
  addEventListener("online", () => { notBefore = 0; schedule(0); });
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") leave(); });

  const kinds = ["impression", "view", "click", "add_to_cart", "purchase", "favourite", "dismiss"];
  const quietly = (kind) => (facts) => {
    const promise = record(kind, facts);
    promise.catch(() => undefined);  // a shop that does not wait for receipts need not catch anything
    return promise;
  };
  window.freshet = {
    ...Object.fromEntries(kinds.map((kind) => [kind, quietly(kind)])),
    configure(options) { key = options.key ?? key; url = options.url ?? url; schedule(0); },
    get session() { return sessionId(); },
  };
  schedule(DELAY_MS);
})();
