"""Reading visits for a recommendation: the shopper's newest steps and what she had, the items of a context, as of now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

from eventlog.database import query, rows
from ranking.visits.asked import OWNED, Asked, Floats, Ints
from ranking.visits.companions import SUMS, Companions, companions_unpack, scale
from ranking.visits.options import VISITS
from ranking.visits.pending import with_waiting
from ranking.visits.steps import NO_STEPS, Steps, steps_unpack
from ranking.weights.decay import decayed

MOST_OWNED = 2_000  # products of one shopper that are looked at, the newest


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a shopper did: her newest steps, and each product she ever touched (OWNED); both empty for nobody known."""

    steps: Steps = field(default_factory=lambda: NO_STEPS)
    owned: Any = field(default_factory=lambda: np.zeros(0, dtype=OWNED))


_VISITOR = """
SELECT v.steps, o.rows FROM feedback_shopper s
  LEFT JOIN ranking_visitor v ON v.subject_id = s.subject_id
  LEFT JOIN LATERAL (
    SELECT array_agg(ROW(visited_id, purchases, reward, first_at, at, coalesce(bought_at, 'NaN'),
                         coalesce(dismissed_at, 'NaN'))) AS rows
      FROM (SELECT * FROM ranking_owned t WHERE t.subject_id = s.subject_id ORDER BY at DESC, visited_id LIMIT %(most)s) t) o
    ON true
 WHERE s.shop_id = %(shop)s AND s.reference = %(reference)s"""


def visitor_read(*, shop_id: int, reference: UUID | None, now: float) -> Visitor:
    """What the shopper of a token's reference did until now; `reward` of each product is decayed to `now`."""
    if reference is None:
        return Visitor()
    found = query(_VISITOR, {"shop": shop_id, "reference": reference, "most": MOST_OWNED}, binary=True).fetchone()
    if found is None or found[0] is None:
        return Visitor()
    owned = np.array([tuple(each) for each in found[1] or ()], dtype=OWNED)
    owned["reward"] = decayed(owned["reward"], owned["at"], now, VISITS.owned_half_life_seconds)
    return Visitor(steps_unpack(found[0]), owned)


@dataclass(frozen=True, slots=True)
class Items:
    """T items of a context by number, and what they were visited with."""

    ids: Ints
    companions: Sequence[Companions]
    totals: Floats
    recent_totals: Floats
    product_ids: Sequence[str]


_WAITING = """LEFT JOIN LATERAL (SELECT string_agg(t.pairs, '' ORDER BY t.position) AS pairs
              FROM ranking_copending t WHERE t.id = v.id) w ON true"""
_BY_NUMBER = f"""
SELECT g.id, c.companions, w.pairs, coalesce(c.total, 0), coalesce(c.total_recent, 0), v.product_id
  FROM unnest(%b::bigint[]) WITH ORDINALITY AS g (id, n)
  LEFT JOIN ranking_visited v ON v.id = g.id
  LEFT JOIN ranking_covisited c ON c.id = g.id {_WAITING} ORDER BY g.n"""
_BY_PRODUCT = f"""
SELECT coalesce(v.id, 0), c.companions, w.pairs, coalesce(c.total, 0), coalesce(c.total_recent, 0), g.product_id
  FROM unnest(%b::text[]) WITH ORDINALITY AS g (product_id, n)
  LEFT JOIN ranking_visited v ON v.shop_id = %b AND v.product_id = g.product_id
  LEFT JOIN ranking_covisited c ON c.id = v.id {_WAITING} ORDER BY g.n"""


def items_by_number(ids: Sequence[int]) -> Items:
    """Visited products by their numbers."""
    return _items(rows(_BY_NUMBER, [list(ids)], binary=True)) if len(ids) else NO_ITEMS


def items_by_product(shop_id: int, product_ids: Sequence[str]) -> Items:
    """Products by the shop's own ids, visited or not."""
    return _items(rows(_BY_PRODUCT, [list(product_ids), shop_id], binary=True))


def _items(found: Sequence[tuple[Any, ...]]) -> Items:
    waiting = [companions_unpack(row[2] or b"") for row in found]
    lasting, recent = (
        np.array([row[3 + n] + float(noted[name].sum()) for row, noted in zip(found, waiting, strict=True)])
        for n, name in enumerate(SUMS)
    )
    return Items(
        np.array([row[0] for row in found], dtype=np.int64),
        [with_waiting(companions_unpack(row[1] or b""), row[2]) for row in found],
        lasting,
        recent,
        [row[5] for row in found],
    )


NO_ITEMS = Items(np.zeros(0, dtype=np.int64), [], np.zeros(0), np.zeros(0), [])


def asked_of_steps(visitor: Visitor, *, now: float, most: int) -> tuple[Asked, Items]:
    """A shopper's newest steps as a context: each product once, newest first."""
    newest = visitor.steps[::-1]
    _, first = np.unique(newest["id"], return_index=True)
    kept = newest[np.sort(first)][:most]
    items = items_by_number(kept["id"].tolist())
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
