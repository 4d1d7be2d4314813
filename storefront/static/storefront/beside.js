/* What goes with the product that was touched last; before that, what is popular. */

import { recommendations } from "./api.js";
import { el, find } from "./dom.js";
import { money, t } from "./texts.js";

const MOST = 6;
let about = null, answer = null;

/* Ask for a product, or for nobody in particular, and tell what was shown. It is an extra: without an answer it stays away. */
export async function showBeside(item, click) {
  try {
    answer = await recommendations(item?.product_id, MOST);
    about = item;
  } catch {
    return;
  }
  speakBeside(click);
  const items = answer.items.map((each) => each.product_id);
  if (items.length) window.freshet.impression({ token: answer.ranking.token, items });
}

export function speakBeside(click) {
  if (!answer) return;
  const box = find(".beside");
  box.hidden = answer.items.length === 0;
  box.replaceChildren(
    el("h2", { text: about ? t("beside", about.title) : t("popular") }),
    el("ul", {}, ...answer.items.map((each) => el("li", {},
      el("button", { type: "button", text: each.title, onclick: () => click(each, answer.ranking.token) }),
      el("span", { text: money(each.price, each.currency) })))));
}
