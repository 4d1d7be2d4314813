/* The storefront: what is asked, what is shown, and what happens after a click. */

import { Problem, pageLanguage, search, visible } from "./api.js";
import { showBeside, speakBeside } from "./beside.js";
import { el, find } from "./dom.js";
import { explain } from "./explain.js";
import { renderFacets } from "./facets.js";
import { render as renderFreshness, showRanking, watchFreshness } from "./freshness.js";
import { renderResults } from "./results.js";
import { currentLanguage, decimal, t, useLanguage, whole } from "./texts.js";

const PAGE = 20, MOST = 100, TOAST_MS = 6000;

const asked = stateOfAddress();
let answer = null, latest = null, toastTimer = null;

function stateOfAddress() {
  const address = new URLSearchParams(location.search);
  const filters = new Map(address.getAll("filter").map((filter) => filter.split(/:(.*)/s)).filter(([field, value]) => field && value));
  return { q: address.get("q") ?? "", filters, sort: address.get("sort") ?? "relevance", k: PAGE };
}

function writeAddress() {
  const address = new URLSearchParams();
  if (asked.q) address.set("q", asked.q);
  for (const [field, value] of asked.filters) address.append("filter", `${field}:${value}`);
  if (asked.sort !== "relevance") address.set("sort", asked.sort);
  address.set("lang", currentLanguage());
  history.replaceState(null, "", `?${address}`);
}

/* Ask, show, and return the answer; null when a newer question overtook it or it failed.
   The first `seen` of its items were shown a moment ago: telling so again would count them twice. */
async function ask({ seen = 0 } = {}) {
  latest?.abort();
  const mine = (latest = new AbortController());
  const box = find(".answer");
  box.setAttribute("aria-busy", "true");
  try {
    answer = await search(asked, mine.signal);
    show();
    const shown = answer.items.slice(seen).map((item) => item.product_id);
    if (shown.length) window.freshet.impression({ token: answer.ranking.token, items: shown });
    return answer;
  } catch (error) {
    if (error.name !== "AbortError") complain(error, mine);
    return null;
  } finally {
    if (latest === mine) box.setAttribute("aria-busy", "false");
  }
}

function complain(error, mine) {
  const busy = error instanceof Problem && error.status === 429;
  message(busy ? t("busy", whole(error.retryAfterSeconds)) : error instanceof Problem ? error.message : t("failed"));
  if (busy) setTimeout(() => { if (latest === mine) ask(); }, error.retryAfterSeconds * 1000);
}

function message(text) {
  const line = find(".message");
  line.hidden = !text;
  line.textContent = text;
}

function show() {
  // `total` counts the candidates that were scored, not every product that could be called a match
  find(".count").textContent = answer.items.length ? t("count", whole(answer.items.length), whole(answer.total), asked.q) : "";
  message(answer.items.length === 0 ? t("nothing") : answer.corrected_query ? t("corrected", answer.corrected_query) : "");
  renderResults(find(".results"), answer.items, { click, basket, explain });
  renderFacets(find(".facet-groups"), answer.facets, asked.filters, choose);
  find(".more").hidden = answer.items.length < asked.k || asked.k >= MOST || answer.total <= asked.k;
  showRanking(answer.ranking);
}

function choose(field, value) {
  if (field === null) asked.filters.clear();
  else if (value === null) asked.filters.delete(field);
  else asked.filters.set(field, value);
  asked.k = PAGE;
  writeAddress();
  ask();
}

const click = (item) => tell("click", item);
const follow = (item, token) => tellOf("click", item, { token, product_id: item.product_id, rank: item.rank });
const basket = (item) => tell("add_to_cart", item);

/* Send what the visitor did; as soon as its receipt is visible ask again, so that she sees what it changed. */
function tell(kind, item) {
  return tellOf(kind, item, { token: answer.ranking.token, query: asked.q, product_id: item.product_id, rank: item.rank });
}

async function tellOf(kind, item, facts) {
  const question = JSON.stringify([asked.q, [...asked.filters], asked.sort]);
  const started = performance.now();
  toast(t("sent"));
  try {
    const receipt = await window.freshet[kind](facts);
    if (receipt === null) return;
    if (!(await visible(receipt))) {
      toast(t("late"));
      return;
    }
    const seconds = decimal((performance.now() - started) / 1000);
    if (question !== JSON.stringify([asked.q, [...asked.filters], asked.sort])) return;
    showBeside(item, follow);
    const again = await ask();  // what came from beside the results has no rank among them to compare with
    const after = facts.query ? again?.items.find((other) => other.product_id === item.product_id) : null;
    toast(`${t("seen", seconds)} ${after ? changeOf(item, after) : ""}`);
  } catch (error) {
    toast(error instanceof TypeError ? t("failed") : error instanceof Problem ? error.message : t("refused", error.message));
  }
}

function changeOf(before, after) {
  if (before.rank !== after.rank) return t("moved", after.title, whole(before.rank), whole(after.rank));
  return t("reweighed", after.title, decimal(before.weight, 3), decimal(after.weight, 3));
}

function toast(text) {
  const box = find(".toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.hidden = true; }, TOAST_MS);
}

function speak(language) {
  useLanguage(language);
  find(".examples").replaceChildren(...t("example_queries").map((query) =>
    el("button", { type: "button", text: query, onclick: () => searchFor(query) })));
  if (answer) show();
  speakBeside(follow);
  renderFreshness();
  writeAddress();
}

function searchFor(query) {
  Object.assign(asked, { q: query, k: PAGE });
  asked.filters.clear();
  find("input[name=q]").value = query;
  writeAddress();
  return ask();
}

function start() {
  find("form.search").addEventListener("submit", (event) => {
    event.preventDefault();
    const query = find("input[name=q]").value.trim();
    if (query) searchFor(query);
  });
  find("select[name=sort]").value = asked.sort;
  find("select[name=sort]").addEventListener("change", (event) => { asked.sort = event.target.value; writeAddress(); ask(); });
  find(".more").addEventListener("click", () => {
    const seen = asked.k;
    asked.k = Math.min(MOST, asked.k + PAGE);
    ask({ seen });
  });
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => speak(button.dataset.language));
  }
  if (matchMedia("(max-width: 760px)").matches) find(".facets details").open = false;
  speak(pageLanguage);
  asked.q ||= t("example_queries")[0];
  find("input[name=q]").value = asked.q;
  ask();
  showBeside(null, follow);
  watchFreshness();
}

start();
