/* "Why this rank?": score = relevance × weight, with the factors of both. */

import { el, find } from "./dom.js";
import { decimal, t } from "./texts.js";

export function explain(item) {
  const drawer = find(".drawer");
  const reasons = item.explanation ?? {};
  drawer.replaceChildren(
    el("header", {},
      el("div", {}, el("p", { class: "eyebrow", text: `${t("why")} #${item.rank}` }), el("h2", { text: item.title })),
      el("button", { type: "button", class: "close", "aria-label": t("close"), text: "×", onclick: () => drawer.close() })),
    el("p", { class: "formula" },
      term(item.score, t("score")), el("span", { text: "=" }), term(item.relevance, t("relevance")),
      el("span", { text: "×" }), term(item.weight, t("weight"))),
    group(t("relevance"), t("relevance_hint"), [[t("dense"), reasons.dense, 1], [t("lexical"), reasons.lexical, 1]]),
    group(t("weight"), t("weight_hint"), ["global", "query", "operator"].map((name) => [t(name), reasons.weight?.[name], 2])),
    el("dl", { class: "facts-list" },
      ...fact(t("learned_from"), evidenceOf(reasons)),
      ...fact(t("description_version"), item.description_version),
      ...fact(t("product_id"), item.product_id)));
  if (!drawer.open) drawer.showModal();
}

function term(value, name) {
  return el("span", { class: "term" }, el("b", { text: decimal(value, 3) }), el("small", { text: name }));
}

function group(name, hint, rows) {
  const known = rows.filter(([, value]) => typeof value === "number");
  return el("section", { class: "factors" },
    el("h3", { text: name }), el("p", { class: "hint", text: hint }),
    ...known.map(([label, value, full]) => el("div", { class: full === 2 ? "factor around-one" : "factor" },
      el("span", { text: label }),
      el("span", { class: "bar" }, el("i", { style: { width: `${Math.max(0, Math.min(100, (100 * value) / full))}%` } })),
      el("b", { text: decimal(value, 3) }))));
}

/* `events` is a sum that decays: 20.689 of them is no number of thousands, so one decimal is always written. */
function evidenceOf({ events, basis }) {
  if (typeof events !== "number") return null;
  return events === 0 ? t("evidence_none") : t("evidence", decimal(events, 1), t(`basis_${basis ?? "none"}`));
}

function fact(name, value) {
  if (value === null || value === undefined) return [];
  return [el("dt", { text: name }), el("dd", { text: String(value) })];
}

// a click beside the drawer closes it
find(".drawer").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();
});
