/* What the page says, in both languages; numbers and prices in the language's own way. */

const TEXTS = {
  en: {
    tagline: "Search that stays fresh",
    placeholder: "What are you looking for?",
    search: "Search",
    examples: "Try",
    filters: "Filters",
    brand: "Brand", category: "Category", price: "Price", from: "from", to: "to", clear: "Clear",
    sort: "Sort by", sort_relevance: "Relevance", sort_price: "Price, low to high", sort_price_down: "Price, high to low", sort_newest: "Newest",
    more: "Show more",
    why: "Why this rank?", close: "Close",
    popular: "Popular now", beside: (title) => `Goes with “${title}”`,
    count: (shown, n, q) => `Showing ${shown} of ${n} candidates for “${q}”`, nothing: "Nothing found. Try other words, or fewer filters.",
    corrected: (q) => `Showing results for “${q}”.`,
    in_stock: "In stock", out_of_stock: "Out of stock",
    basket: "Add to basket", score: "Score",
    freshness: "Freshness", version: "Ranking version", position: "Log position", age: "Age of this answer",
    visible_p50: "Event visible after, median", visible_p99: "99 of 100 within",
    seconds: (s) => `${s} s`,
    relevance: "Relevance", relevance_hint: "how well the model thinks it answers the query",
    dense: "Meaning", lexical: "Words",
    weight: "Weight", weight_hint: "what shoppers and the shop have taught",
    global: "Everywhere", query: "For this query", operator: "Set by the shop",
    learned_from: "Learned from", evidence: (n, basis) => `${n} events, older ones count less${basis}`, evidence_none: "nothing yet",
    basis_impressions: " (what was shown and clicked)", basis_clicks: " (clicks alone)", basis_none: "",
    description_version: "Description version", product_id: "Product",
    sent: "Sent. Waiting for the ranking …",
    seen: (s) => `In the ranking after ${s} s.`,
    moved: (title, from, to) => `“${title}” moved from ${from} to ${to}.`,
    reweighed: (title, from, to) => `“${title}”: weight ${from} → ${to}.`,
    late: "Accepted, but not in the ranking yet.",
    refused: (detail) => `The event was refused: ${detail}`,
    busy: (s) => `Many searches at once; asking again in ${s} s.`,
    failed: "The search API does not answer. Please try again.",
    example_queries: ["waterproof hiking boots", "gift for a baker", "noise cancelling headphones", "crime novel", "蓝牙音箱"],
  },
  zh: {
    tagline: "时刻新鲜的搜索",
    placeholder: "想找什么？",
    search: "搜索",
    examples: "试试",
    filters: "筛选",
    brand: "品牌", category: "类别", price: "价格", from: "最低", to: "最高", clear: "清除",
    sort: "排序", sort_relevance: "相关度", sort_price: "价格从低到高", sort_price_down: "价格从高到低", sort_newest: "最新上架",
    more: "显示更多",
    why: "为何排在这里？", close: "关闭",
    popular: "正在热卖", beside: (title) => `与“${title}”相配`,
    count: (shown, n, q) => `“${q}”：显示 ${n} 个候选商品中的 ${shown} 个`, nothing: "没有找到。换个词，或减少筛选条件。",
    corrected: (q) => `已按“${q}”搜索。`,
    in_stock: "有货", out_of_stock: "缺货",
    basket: "加入购物车", score: "得分",
    freshness: "新鲜度", version: "排序版本", position: "日志位置", age: "本次结果滞后",
    visible_p50: "事件生效用时（中位）", visible_p99: "99% 在此之内",
    seconds: (s) => `${s} 秒`,
    relevance: "相关度", relevance_hint: "模型认为它有多符合查询",
    dense: "语义", lexical: "字词",
    weight: "权重", weight_hint: "顾客与店家教给它的",
    global: "总体表现", query: "在此查询中", operator: "店家设定",
    learned_from: "学习依据", evidence: (n, basis) => `${n} 个事件，越早的计得越少${basis}`, evidence_none: "暂无",
    basis_impressions: "（展示与点击）", basis_clicks: "（仅点击）", basis_none: "",
    description_version: "描述版本", product_id: "商品",
    sent: "已发送，等待排序更新……",
    seen: (s) => `${s} 秒后已进入排序。`,
    moved: (title, from, to) => `“${title}”从第 ${from} 位移到第 ${to} 位。`,
    reweighed: (title, from, to) => `“${title}”权重 ${from} → ${to}。`,
    late: "已接收，尚未进入排序。",
    refused: (detail) => `事件被拒绝：${detail}`,
    busy: (s) => `搜索较多，${s} 秒后重试。`,
    failed: "搜索接口没有响应，请重试。",
    example_queries: ["防水登山鞋", "送烘焙爱好者的礼物", "降噪头戴耳机", "睡前故事绘本", "fountain pen"],
  },
};

let language = "en";

export function useLanguage(name) {
  language = name in TEXTS ? name : "en";
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = t(node.dataset.placeholder);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
  for (const node of document.querySelectorAll("[data-language]")) {
    node.setAttribute("aria-pressed", String(node.dataset.language === language));
  }
}

export const currentLanguage = () => language;

export function t(name, ...values) {
  const text = TEXTS[language][name];
  return typeof text === "function" ? text(...values) : text ?? name;
}

export function decimal(value, digits = 2) {
  if (typeof value !== "number") return "–";
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const whole = (value) => (typeof value === "number" ? value.toLocaleString(language) : "–");

export function money(value, currency) {
  if (typeof value !== "number") return "";
  try {
    return value.toLocaleString(language, { style: "currency", currency: currency ?? "EUR" });
  } catch {  // a currency that browsers do not know
    return `${decimal(value)} ${currency}`;
  }
}
