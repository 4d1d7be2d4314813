/* The ranked list: what a product shows, and how it moves when its rank changes. */

import { el } from "./dom.js";
import { decimal, money, t, whole } from "./texts.js";

const MOVE_MS = 650;

export function renderResults(list, items, actions) {
  const before = placesOf(list);
  const best = Math.max(...items.map((item) => Math.max(item.score, item.relevance)), 1e-9);
  list.replaceChildren(...items.map((item) => resultOf(item, best, before.get(item.product_id)?.rank, actions)));
  animate(list, before);
}

function resultOf(item, best, rankBefore, actions) {
  const row = el("li", { class: "result" },
    el("div", { class: "rank" }, el("span", { text: whole(item.rank) }), moveOf(item.rank, rankBefore)),
    tileOf(item),
    el("div", { class: "what" },
      el("button", { type: "button", class: "title", text: item.title, onclick: () => actions.click(item) }),
      el("p", { class: "facts" },
        item.brand ? el("span", { text: item.brand }) : null,
        el("strong", { text: money(item.price, item.currency) }),
        stockOf(item)),
      item.description ? el("p", { class: "description", text: item.description }) : null,
      scoreBar(item, best)),
    el("div", { class: "actions" },
      el("button", { type: "button", class: "why", text: t("why"), onclick: () => actions.explain(item) }),
      el("button", { type: "button", class: "basket", text: t("basket"), disabled: item.in_stock === false,
        onclick: () => actions.basket(item) })));
  row.dataset.product = item.product_id;
  row.dataset.rank = item.rank;
  return row;
}

function moveOf(rank, before) {
  if (before === undefined || before === rank) return null;
  const up = before > rank;
  return el("span", { class: up ? "moved up" : "moved down", text: `${up ? "▲" : "▼"}${Math.abs(before - rank)}` });
}

function tileOf(item) {
  // no pictures in the sample shop: a colour from the shelf it stands on, and the first letter of its brand
  const shelf = Array.isArray(item.category) ? item.category.join("/") : String(item.category ?? item.brand ?? item.title);
  let hue = 0;
  for (const character of shelf) hue = (hue * 31 + character.codePointAt(0)) % 360;
  const letter = [...(item.brand || item.title || "?")][0];
  return el("div", { class: "tile", "aria-hidden": "true", text: letter, style: { "--hue": String(hue) } });
}

function stockOf(item) {
  if (typeof item.in_stock !== "boolean") return null;
  return el("span", { class: item.in_stock ? "stock" : "stock none", text: t(item.in_stock ? "in_stock" : "out_of_stock") });
}

function scoreBar(item, best) {
  const share = (value) => `${Math.min(100, (100 * value) / best).toFixed(2)}%`;
  const gained = item.weight >= 1;
  return el("div", { class: "score" },
    el("div", { class: "bar", "aria-hidden": "true" },
      el("span", { class: "part relevance", style: { width: share(gained ? item.relevance : item.score) } }),
      el("span", { class: gained ? "part gained" : "part lost", style: { width: share(Math.abs(item.score - item.relevance)) } })),
    el("span", { class: "sum" }, `${t("score")} `, el("b", { text: decimal(item.score, 3) }),
      ` = ${decimal(item.relevance, 3)} × ${decimal(item.weight, 3)}`));
}

function placesOf(list) {
  return new Map([...list.children].map((row) =>
    [row.dataset.product, { top: row.getBoundingClientRect().top, rank: Number(row.dataset.rank) }]));
}

function animate(list, before) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of list.children) {
    const old = before.get(row.dataset.product);
    const shift = old === undefined ? 0 : old.top - row.getBoundingClientRect().top;
    if (Math.abs(shift) > 1) {
      row.animate([{ transform: `translateY(${shift}px)` }, { transform: "none" }], { duration: MOVE_MS, easing: "cubic-bezier(.2,.8,.2,1)" });
    }
  }
}
