/* The strip that says how fresh the answer on the page is. */

import { freshness } from "./api.js";
import { el, find } from "./dom.js";
import { decimal, t, whole } from "./texts.js";

const EVERY_MS = 5000;
// what a click changes; other kinds of change (prices, descriptions, models) have times of their own
const PREFERRED = ["weight", "weights", "interaction", "click", "event"];

let ranking = null, times = null;

export function showRanking(latest) {
  ranking = latest;
  render();
}

export function render() {
  const strip = find(".freshness");
  strip.hidden = ranking === null;
  if (ranking === null) return;
  const numbers = [
    [t("version"), ranking.version],
    [t("position"), whole(ranking.as_of_position)],
    [t("age"), t("seconds", decimal(ranking.age_seconds))],
    [t("visible_p50"), times ? t("seconds", decimal(times.p50, 3)) : "–"],
    [t("visible_p99"), times ? t("seconds", decimal(times.p99, 3)) : "–"],
  ];
  strip.replaceChildren(
    el("span", { class: ranking.age_seconds > 2 ? "pulse stale" : "pulse", "aria-hidden": "true" }),
    ...numbers.map(([name, value]) => el("div", { class: "number" }, el("b", { text: value }), el("small", { text: name }))));
}

async function ask() {
  if (document.visibilityState !== "visible") return;
  try {
    const kinds = (await freshness()).time_to_visible ?? {};
    const kind = PREFERRED.find((name) => kinds[name]?.count) ?? Object.keys(kinds).sort((a, b) => (kinds[b].count ?? 0) - (kinds[a].count ?? 0))[0];
    times = kinds[kind] ?? null;
    render();
  } catch {  // the strip is a gauge: without an answer it shows a dash, and the next one follows
    times = null;
    render();
  }
}

export function watchFreshness() {
  ask();
  setInterval(ask, EVERY_MS);
}
