/* Filters: the values of each facet with their counts, and a price range. One value a field is chosen at a time. */

import { el } from "./dom.js";
import { t, whole } from "./texts.js";

const SHOWN = 8;

export function renderFacets(box, facets, filters, choose) {
  const names = Object.keys(facets ?? {}).filter((name) => name !== "price");
  box.replaceChildren(...names.map((name) => groupOf(name, facets[name], filters, choose)), priceOf(facets?.price, filters, choose));
}

function groupOf(name, values, filters, choose) {
  const chosen = filters.get(name);
  return el("fieldset", {},
    el("legend", { text: t(name) }),
    ...values.slice(0, SHOWN).map((entry) => valueOf(name, entry, chosen, choose)),
    chosen !== undefined && !values.some((entry) => textOf(entry.value) === chosen)
      ? valueOf(name, { value: chosen }, chosen, choose) : null);
}

function textOf(value) {
  return Array.isArray(value) ? value.join(" > ") : String(value);
}

function valueOf(name, { value, count }, chosen, choose) {
  const text = textOf(value);
  const on = text === chosen;
  return el("button", { type: "button", class: "facet", "aria-pressed": String(on), onclick: () => choose(name, on ? null : text) },
    el("span", { text: name === "price" ? text.replace("..", " – ") : text }),
    el("small", { text: count === undefined ? "" : whole(count) }));
}

function priceOf(buckets, filters, choose) {
  const [low, high] = (filters.get("price") ?? "..").split("..");
  const field = (label, value) => el("input", { type: "number", min: "0", step: "any", inputmode: "decimal", placeholder: t(label), "aria-label": `${t("price")} ${t(label)}`, value });
  const from = field("from", low), to = field("to", high);
  const form = el("form", { class: "price-range", onsubmit: (event) => {
    event.preventDefault();
    choose("price", from.value || to.value ? `${from.value}..${to.value}` : null);
  } }, from, el("span", { text: "–" }), to, el("button", { type: "submit", text: "→", "aria-label": t("search") }));
  return el("fieldset", {},
    el("legend", { text: t("price") }),
    ...(Array.isArray(buckets) ? buckets : []).slice(0, SHOWN).map((entry) => valueOf("price", entry, filters.get("price"), choose)),
    form,
    filters.size ? el("button", { type: "button", class: "clear", text: t("clear"), onclick: () => choose(null, null) }) : null);
}
