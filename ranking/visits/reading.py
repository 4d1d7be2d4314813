"""Reading visits for a recommendation: the shopper's newest steps and what she had, the items of a context, as of now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

from eventlog.database import query, rows
from ranking.vector_formats import ids_text
from ranking.visits.asked import OWNED, Asked, Floats, Ints
from ranking.visits.companions import SUMS, Companions, companions_unpack, scale
from ranking.visits.options import VISITS
from ranking.visits.sizes import CONTENT_ITEMS
from ranking.visits.steps import NO_STEPS, Steps, steps_unpack
from ranking.weights.decay import decayed

MOST_OWNED = 2_000  # products of one shopper that are looked at, the newest


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a shopper did: her newest steps, and each product she ever touched (OWNED); both empty for nobody known."""

    steps: Steps = field(default_factory=lambda: NO_STEPS)
    owned: Any = field(default_factory=lambda: np.zeros(0, dtype=OWNED))


_VISITOR = """
SELECT v.steps, o.* FROM feedback_shopper s
  LEFT JOIN ranking_visitor v ON v.subject_id = s.subject_id
  LEFT JOIN LATERAL (
    SELECT array_agg(visited_id), array_agg(purchases), array_agg(reward), array_agg(first_at), array_agg(at),
           array_agg(coalesce(bought_at, 'NaN')), array_agg(coalesce(dismissed_at, 'NaN'))
      FROM (SELECT * FROM ranking_owned t WHERE t.subject_id = s.subject_id
             ORDER BY at DESC, visited_id LIMIT %(most)s) t) o ON true
 WHERE s.shop_id = %(shop)s AND s.reference = %(reference)s"""


def visitor_read(*, shop_id: int, reference: UUID | None, now: float) -> Visitor:
    """What the shopper of a token's reference did until now; `reward` of each product is decayed to `now`."""
    if reference is None:
        return Visitor()
    found = query(_VISITOR, {"shop": shop_id, "reference": reference, "most": MOST_OWNED}, binary=True).fetchone()
    if found is None or found[0] is None:
        return Visitor()
    steps, *columns = found
    owned = np.empty(len(columns[0] or ()), dtype=OWNED)
    for name, column in zip(OWNED.names or (), columns, strict=True):
        owned[name] = column or ()
    owned["reward"] = decayed(owned["reward"], owned["at"], now, VISITS.owned_half_life_seconds)
    return Visitor(steps_unpack(steps), owned)


@dataclass(frozen=True, slots=True)
class Items:
    """T items of a context by number, and what they were visited with: lists, and at their ends what waits beside them.

    `vectors` are those of the newest items, in the binary form, None where there is none.
    """

    ids: Ints
    companions: Sequence[Companions]
    totals: Floats
    recent_totals: Floats
    vectors: Sequence[bytes | None] = ()


_BY_NUMBER = """FROM unnest(%(asked)s::bigint[]) WITH ORDINALITY AS g (id, n)
  LEFT JOIN ranking_visited v ON v.id = g.id"""
_BY_PRODUCT = """FROM unnest(%(asked)s::text[]) WITH ORDINALITY AS g (product_id, n)
  LEFT JOIN ranking_visited v ON v.shop_id = %(shop)s AND v.product_id = g.product_id"""


def _items_sql(source: str, product_id: str, table: str | None) -> str:
    vector = f"""(SELECT t.vector FROM ranking_document d JOIN {table} t ON t.document_id = d.id
                   WHERE d.shop_id = %(shop)s AND d.product_id = {product_id})""" if table else "NULL"  # fmt: skip
    return f"""
SELECT coalesce(v.id, 0), c.companions, w.pairs, coalesce(c.total, 0), coalesce(c.total_recent, 0),
       CASE WHEN g.n <= {CONTENT_ITEMS} THEN {vector} END
  {source}
  LEFT JOIN ranking_covisited c ON c.id = v.id
  LEFT JOIN LATERAL (SELECT string_agg(t.pairs, '' ORDER BY t.position) AS pairs
                       FROM ranking_copending t WHERE t.id = v.id) w ON true
 ORDER BY g.n"""


def items_by_number(ids: Sequence[int], *, shop_id: int = 0, table: str | None = None) -> Items:
    """Visited products by their numbers, with vectors where `table` holds them."""
    if not len(ids):
        return NO_ITEMS
    sql = _items_sql(_BY_NUMBER, "v.product_id", table)
    return _items(rows(sql, {"asked": ids_text(ids), "shop": shop_id}, binary=True))


def items_by_product(shop_id: int, product_ids: Sequence[str], *, table: str | None = None) -> Items:
    """Products by the shop's own ids, visited or not."""
    sql = _items_sql(_BY_PRODUCT, "g.product_id", table)
    return _items(rows(sql, {"asked": list(product_ids), "shop": shop_id}, binary=True))


def _items(found: Sequence[tuple[Any, ...]]) -> Items:
    waiting = [companions_unpack(row[2] or b"") for row in found]
    lasting, recent = (
        np.array([row[3 + n] + float(noted[name].sum()) for row, noted in zip(found, waiting, strict=True)])
        for n, name in enumerate(SUMS)
    )
    return Items(
        np.array([row[0] for row in found], dtype=np.int64),
        [companions_unpack((row[1] or b"") + (row[2] or b"")) for row in found],
        lasting,
        recent,
        [row[5] for row in found[:CONTENT_ITEMS]],
    )


NO_ITEMS = Items(np.zeros(0, dtype=np.int64), [], np.zeros(0), np.zeros(0))


def asked_of_steps(
    visitor: Visitor, *, shop_id: int, now: float, most: int, table: str | None = None
) -> tuple[Asked, Items]:
    """A shopper's newest steps as a context: each product once, newest first."""
    newest = visitor.steps[::-1]
    _, first = np.unique(newest["id"], return_index=True)
    kept = newest[np.sort(first)][:most]
    items = items_by_number(kept["id"].tolist(), shop_id=shop_id, table=table)
    asked = Asked(
        now=now,
        ids=items.ids,
        at=kept["at"].astype(np.float64),
        pull=kept["pull"].astype(np.float64),
        companions=items.companions,
        totals=items.totals / scale(now),
        recent_totals=items.recent_totals / scale(now, "recent"),
        owned=visitor.owned,
    )
    return asked, items


def asked_of_products(visitor: Visitor, items: Items, *, now: float) -> Asked:
    """Products of a page or of a basket as a context: all of them are there now."""
    return Asked(
        now=now,
        ids=items.ids,
        at=np.full(len(items.ids), now),
        pull=np.ones(len(items.ids)),
        companions=items.companions,
        totals=items.totals / scale(now),
        recent_totals=items.recent_totals / scale(now, "recent"),
        owned=visitor.owned,
    )
