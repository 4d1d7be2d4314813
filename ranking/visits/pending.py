"""Pairs that wait beside the lists of companions, and the sweep that takes them in.

A visit pairs with dozens of products. Rewriting each of their lists would cost a hundred times what a note beside it does,
so pairs are noted in log order, whoever asks reads both, and each batch takes in what waits for some products, in turn. The
lists come out the same as if each pair had gone in at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eventlog.database import copy_rows, query, rows
from ranking.visits.companions import COMPANION, PAIR, SUMS, Companions, Pairs, companions_add, companions_unpack

LEAST_SWEPT = 100  # products a batch
SWEPT_SHARE = 0.1  # of the products that a batch touches: about ten notes a product wait


def pairs_note(shop_id: int, pairs: Pairs, *, position: int) -> None:
    """Note pairs of a shop's visits, in log order up to this position, and take in what waits for the next products."""
    if not len(pairs):
        return
    pairs = pairs[np.argsort(pairs["of"], kind="stable")]
    bounds = np.flatnonzero(np.append(True, pairs["of"][1:] != pairs["of"][:-1]))
    packed = np.empty(len(pairs), dtype=COMPANION)
    for name in ("id", *SUMS):
        packed[name] = pairs[name]
    whole, width = packed.tobytes(), packed.itemsize
    ends = [*bounds[1:].tolist(), len(pairs)]
    noted = zip(pairs["of"][bounds].tolist(), bounds.tolist(), ends, strict=True)
    copy_rows(
        "ranking_copending",
        ("id", "shop_id", "position", "pairs"),
        ((id_, shop_id, position, whole[start * width : end * width]) for id_, start, end in noted),
    )
    _sweep(shop_id, max(LEAST_SWEPT, int(SWEPT_SHARE * len(bounds))))


_NEXT = """
WITH RECURSIVE next AS (
  SELECT (SELECT min(p.id) FROM ranking_copending p WHERE p.id > s.last) AS id, 1 AS n
    FROM (SELECT coalesce((SELECT last FROM ranking_cosweep WHERE shop_id = %(shop)s), 0) AS last) s
  UNION ALL
  SELECT (SELECT min(p.id) FROM ranking_copending p WHERE p.id > next.id), n + 1 FROM next WHERE id IS NOT NULL AND n < %(most)s
)
SELECT id FROM next WHERE id IS NOT NULL"""
_TAKE = """
DELETE FROM ranking_copending WHERE id = ANY(%b::bigint[]) AND shop_id = %b RETURNING id, position, pairs"""


def _sweep(shop_id: int, most: int) -> None:
    """Take in what waits for the next products, and begin again after the last."""
    ids = [id_ for (id_,) in rows(_NEXT, {"shop": shop_id, "most": most})]
    _take_in(shop_id, ids)
    query(
        """INSERT INTO ranking_cosweep (shop_id, last) VALUES (%s, %s)
           ON CONFLICT (shop_id) DO UPDATE SET last = excluded.last""",
        [shop_id, ids[-1] if len(ids) == most else 0],
    )


def _take_in(shop_id: int, ids: Sequence[int]) -> None:
    waiting = sorted(rows(_TAKE, [list(ids), shop_id], binary=True), key=lambda row: row[:2])
    if not waiting:
        return
    pairs = pairs_unpack([(id_, packed) for id_, _, packed in waiting])
    found = rows("SELECT id, companions FROM ranking_covisited WHERE id = ANY(%b::bigint[])", [list(ids)], binary=True)
    stored: dict[int, Companions] = {id_: companions_unpack(packed) for id_, packed in found}
    merged = companions_add(stored, pairs)
    owners, index = np.unique(pairs["of"], return_inverse=True)
    totals = [
        dict(zip(owners.tolist(), np.bincount(index, weights=pairs[name]).tolist(), strict=True)) for name in SUMS
    ]
    query(
        """INSERT INTO ranking_covisited AS t (id, shop_id, total, total_recent, companions)
           SELECT g.id, %b, g.total, g.recent, g.companions
             FROM unnest(%b::bigint[], %b::double precision[], %b::double precision[], %b::bytea[])
               AS g (id, total, recent, companions)
           ON CONFLICT (id) DO UPDATE SET total = t.total + excluded.total,
             total_recent = t.total_recent + excluded.total_recent, companions = excluded.companions""",
        [
            shop_id,
            list(merged),
            *([of[id_] for id_ in merged] for of in totals),
            [each.tobytes() for each in merged.values()],
        ],
    )


def pairs_unpack(noted: Sequence[tuple[int, bytes]]) -> Pairs:
    """Pairs from (product, packed pairs), in their order."""
    each = [companions_unpack(packed) for _, packed in noted]
    pairs = np.empty(sum(map(len, each)), dtype=PAIR)
    if len(pairs):
        pairs["of"] = np.repeat([id_ for id_, _ in noted], [len(some) for some in each])
        for name in ("id", *SUMS):
            pairs[name] = np.concatenate([some[name] for some in each])
    return pairs
