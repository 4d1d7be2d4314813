"""Which stored result lists are stale, and why: one statement over all of a shop's lists and its busiest queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from catalog.events import description_stream, offer_stream
from eventlog.database import rows
from feedback.contexts import query_context
from ranking.towers import busiest

Reason: TypeAlias = Literal["new", "model", "products", "feedback", "age", "operator", "unasked"]

AGE_SECONDS = 86_400.0  # near contexts, popularity and decay move a list too, a little each hour
UNASKED_SECONDS = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class StaleList:
    """A list that must be made or made again; or retired, when its reason is "unasked"."""

    context_key: str
    query: str
    reason: Reason
    version: int  # of its stream as the read model knows it; 0: there never was one
    items: list[str] | None  # as they stand; None: there is no list now


# A product changed where the newest event of one of its two streams has a position behind the list's. The shop's feedback
# is read once, from the position of the oldest list on; `at` of a context is the time of its newest feedback.
_STALE = """
WITH busy AS (
  SELECT * FROM unnest(%(keys)s::text[], %(texts)s::text[]) WITH ORDINALITY AS b (context_key, query, place)
), known AS MATERIALIZED (
  SELECT * FROM ranking_resultlist WHERE shop_id = %(shop)s
), live AS (
  SELECT * FROM known WHERE retired_at IS NULL
), oldest AS (
  SELECT coalesce(min(as_of_position), 9223372036854775807) AS position FROM live
), fed AS (
  SELECT context_key, max(position) AS position FROM (
    SELECT context_key, position FROM feedback_impression
     WHERE shop_id = %(shop)s AND context_kind = 'query' AND position > (SELECT position FROM oldest)
    UNION ALL
    SELECT context_key, position FROM feedback_interaction
     WHERE shop_id = %(shop)s AND context_kind = 'query' AND position > (SELECT position FROM oldest)) f
   GROUP BY context_key
), product AS MATERIALIZED (
  SELECT i.product_id, max(p.position) AS position
    FROM (SELECT DISTINCT unnest(items) AS product_id FROM live) i
   CROSS JOIN LATERAL (VALUES (%(description)s || i.product_id), (%(offer)s || i.product_id)) s (stream)
    JOIN eventlog_stream h ON h.shop_id = %(shop)s AND h.stream = s.stream
    JOIN eventlog_event e ON e.shop_id = h.shop_id AND e.stream = h.stream AND e.version = h.version
    JOIN eventlog_position p ON p.event_id = e.id
   GROUP BY i.product_id
), changed AS (
  SELECT DISTINCT l.context_key
    FROM live l CROSS JOIN LATERAL unnest(l.items) i (product_id) JOIN product p USING (product_id)
   WHERE p.position > l.as_of_position
), judged AS (
  SELECT context_key, coalesce(b.query, l.query) AS query, b.place, coalesce(l.version, 0) AS version,
         CASE WHEN l.retired_at IS NULL THEN l.items END AS items,
         CASE WHEN l.context_key IS NULL OR l.retired_at IS NOT NULL
              THEN CASE WHEN b.context_key IS NOT NULL AND (c.at < %(asked_since)s) IS NOT TRUE THEN 'new' END
              WHEN c.at < %(asked_since)s THEN 'unasked'
              WHEN l.model <> %(model)s THEN 'model'
              WHEN EXISTS (SELECT 1 FROM changed x WHERE x.context_key = l.context_key) THEN 'products'
              WHEN f.position > l.as_of_position THEN 'feedback'
              WHEN l.refreshed_at < to_timestamp(%(refreshed_since)s) THEN 'age'
              WHEN %(everything)s THEN 'operator' END AS reason
    FROM known l FULL JOIN busy b USING (context_key)
    LEFT JOIN ranking_context c ON c.shop_id = %(shop)s AND c.kind = 'query' AND c.key = context_key
    LEFT JOIN fed f USING (context_key)
)
SELECT context_key, query, reason, version, items FROM judged
 WHERE reason IS NOT NULL ORDER BY place NULLS LAST, context_key"""


def stale_lists(
    *, shop_id: int, model: str, limit: int, now: float, everything: bool = False
) -> tuple[list[StaleList], list[str]]:
    """The stale lists of a shop, busiest queries first, and the `limit` busiest queries themselves.

    Reasons, the first that fits: "new" (busy, no list), "unasked" (not asked for 30 days), "model" (another version
    serves), "products" (a listed one changed or was retired), "feedback" (there was some in its own context), "age" (a day
    old), "operator" (`everything`: refresh what is not stale too). `now` in seconds since 1970.
    """
    queries = busiest(shop_id, limit)
    keyed = {context.key: text for text in queries if (context := query_context(text))}
    params = {
        "shop": shop_id,
        "keys": list(keyed),
        "texts": list(keyed.values()),
        "model": model,
        "description": description_stream(""),
        "offer": offer_stream(""),
        "asked_since": now - UNASKED_SECONDS,
        "refreshed_since": now - AGE_SECONDS,
        "everything": everything,
    }
    return [StaleList(*row) for row in rows(_STALE, params)], queries
