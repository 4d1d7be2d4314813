"""Queries that never teach θ: by them the gate sees what a version does for queries that nobody asked before.

One query in seven, chosen by a hash of its words, is kept from every version of a shop whose kind takes long to train; what
trains quickly is judged by all (folds.py). Judged is what a search would answer if nobody had asked it yet: ŷ × w, with w
from near contexts and from how products do everywhere, but not from its own clicks.
What ŷ alone gains there may be what w knew already, and the same thing learned twice counts twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from eventlog.database import rows
from feedback.joining import ClickThrough
from feedback.selectors import newest_click_throughs
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.evaluate import Doubles, Ranker, mrr_at_k
from ranking.learning.examples import gain
from ranking.signals import signals_now
from ranking.weights.decay import decayed
from ranking.weights.evidence import Evidence, ShopEvidence
from ranking.weights.formula import weights
from ranking.weights.near import neighbour_weight
from ranking.weights.options import WeightOptions

KEPT_SHARE = 1 / 7
MOST = 500  # click-throughs of kept queries that judge, the newest: they cost a millisecond each
READ = 20  # times as many are looked through for them


def is_kept(shop_id: int, key: str) -> bool:
    """Whether a query judges versions and teaches none; follows from the query alone."""
    return int.from_bytes(sha256(f"{shop_id}/unasked/{key}".encode()).digest()[:8], "big") / 2**64 < KEPT_SHARE


def teaching(closed: Sequence[ClickThrough], *, shop_id: int) -> list[ClickThrough]:
    """Those of queries that may teach, in their order."""
    return [each for each in closed if each.context_key is None or not is_kept(shop_id, each.context_key)]


def unasked_read(*, shop_id: int, to_position: int) -> list[ClickThrough]:
    """The newest click-throughs with an outcome of queries that teach nothing, up to MOST, in closing order."""
    newest = newest_click_throughs(shop_id=shop_id, to_position=to_position, count=MOST * READ)
    return [each for each in newest if each.context_key is not None and is_kept(shop_id, each.context_key)][-MOST:]


Sums: TypeAlias = tuple[NDArray[np.int64], Doubles]  # rows (R,), and what is known of them (3, R)
NONE: Sums = (np.zeros(0, dtype=np.int64), np.zeros((3, 0)))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of products, by row of a catalogue: of all, lent to each key, and each key's own, which is taken out.

    `own` holds reward, exposure and breadth of a key's rows: what would not be known had nobody asked it.
    """

    product_reward: Doubles
    product_exposure: Doubles
    product_breadth: Doubles
    shop: ShopEvidence
    options: WeightOptions  # by the shop's table of signals
    lent: Mapping[str, tuple[Doubles, Doubles]]
    own: Mapping[str, Sums]
    asked: frozenset[str]

    def evidence(self, key: str, expected: Doubles) -> Evidence:
        """Evidence of a query that nobody asked yet; `expected` (N,) is what a version expects of exposure."""
        nothing = np.zeros_like(self.product_reward)
        reward, exposure = self.lent.get(key, (nothing, nothing))
        others = np.stack([self.product_reward, self.product_exposure, self.product_breadth])
        at, own = self.own.get(key, NONE)
        others[:, at] = np.maximum(others[:, at] - own, 0.0)
        return Evidence(
            product_reward=others[0],
            product_exposure=others[1] * expected,
            product_breadth=others[2],
            context_reward=nothing,
            context_exposure=nothing,
            near_reward=reward,
            near_exposure=exposure,
            near_reward_total=float(reward.sum()),
            near_exposure_total=float(exposure.sum()),
            operator=np.ones_like(nothing),
            shop=self.shop,
        )


def unasked_compared(
    *,
    serving: Ranker,
    candidate: Ranker,
    closed: Sequence[ClickThrough],
    shop_id: int,
    catalogue: CatalogueAt,
    lifts: tuple[Mapping[str, float], Mapping[str, float]],
) -> tuple[Doubles, Doubles]:
    """What both versions are worth to queries that never teach, (N,) each; `lifts` as in `unasked_mrr`, of both."""
    keys = sorted({each.context_key or "" for each in closed})
    now = max((each.shown_at.timestamp() for each in closed), default=0.0)
    around = surroundings_read(shop_id=shop_id, keys=keys, catalogue=catalogue, now=now)
    before, after = (
        unasked_mrr(ranker, closed, catalogue=catalogue, around=around, lifts=expected)
        for ranker, expected in zip((serving, candidate), lifts, strict=True)
    )
    return before, after


def unasked_mrr(
    ranker: Ranker, closed: Sequence[ClickThrough], *, catalogue: CatalogueAt, around: Surroundings, lifts: Mapping[str, float]
) -> Doubles:  # fmt: skip
    """One over the rank of the best product that was wanted, for each click-through, (N,); NaN where none is known.

    `lifts` is what the ranker's version expects of exposure, by product id.
    """
    expected = lifts_by_row(lifts, catalogue)
    scores: dict[str, Doubles] = {}
    found = []
    for each in closed:
        key = each.context_key or ""
        if key not in scores:
            scores[key] = score_unasked(
                ranker, each.context_text or key, key, catalogue=catalogue, around=around, expected=expected
            )
        wanted = np.zeros(len(catalogue.product_ids), dtype=np.bool_)
        wanted[[catalogue.rows[p] for p, kinds in each.outcomes.items() if p in catalogue.rows and gain(kinds) > 0]] = (
            True
        )
        found.append(mrr_at_k(scores[key], wanted, k=len(wanted)))
    return np.array(found, dtype=np.float64)


def lifts_by_row(lifts: Mapping[str, float], catalogue: CatalogueAt) -> Doubles:
    """What a version expects of exposure, by row; 1 where it has seen none."""
    return np.array([lifts.get(product_id, 1.0) for product_id in catalogue.product_ids], dtype=np.float64)


def score_unasked(
    ranker: Ranker, text: str, key: str, *, catalogue: CatalogueAt, around: Surroundings, expected: Doubles
) -> Doubles:
    """ŷ × w of every product for a query as if nobody had asked it before, (N,)."""
    y = ranker.relevance(text, catalogue)
    found: Doubles = y * weights(relevance=y, evidence=around.evidence(key, expected), options=around.options).weight
    return found


_PRODUCTS = """
SELECT product_id, reward, exposure, at, breadth, breadth_at FROM ranking_productweight
 WHERE shop_id = %s AND product_id = ANY(%s::text[])"""
_SHOP = """
SELECT w.reward, w.exposure, w.at, w.breadth, w.breadth_at, coalesce(l.documents, 0)
  FROM ranking_shopweight w LEFT JOIN ranking_lexicon l ON l.shop_id = w.shop_id WHERE w.shop_id = %s"""
_NEAR = """
SELECT c.key, n.neighbour_id, n.similarity, o.reward, o.at
  FROM ranking_context c JOIN ranking_contextneighbour n ON n.context_id = c.id JOIN ranking_context o ON o.id = n.neighbour_id
 WHERE c.shop_id = %s AND c.kind = 'query' AND c.key = ANY(%s::text[])"""
_OWN = """
SELECT c.key, o.product_id, o.reward, o.exposure, o.at FROM ranking_context c JOIN ranking_contextweight o ON o.context_id = c.id
 WHERE c.shop_id = %s AND c.kind = 'query' AND c.key = ANY(%s::text[])"""
_LENT = """
SELECT context_id, product_id, reward, exposure, at FROM ranking_contextweight WHERE context_id = ANY(%s::bigint[])"""


def surroundings_read(*, shop_id: int, keys: Sequence[str], catalogue: CatalogueAt, now: float) -> Surroundings:
    """Read what is known at `now` (seconds) of a catalogue's products, everywhere and in the contexts near these keys."""
    count, row_of, options = len(catalogue.product_ids), catalogue.rows, signals_now(shop_id=shop_id)
    sums = np.zeros((3, count))
    for product_id, reward, exposure, at, breadth, breadth_at in rows(_PRODUCTS, [shop_id, catalogue.product_ids]):
        row = row_of[product_id]
        sums[:2, row] = decayed([reward, exposure], at, now, options.global_half_life_seconds)
        sums[2, row] = decayed(breadth, breadth_at, now, options.breadth_half_life_seconds)
    reward_, exposure_, breadth_ = sums
    shop, lent = _shop(shop_id, now, options), _lent(shop_id, keys, row_of, count, now, options)
    own = _own(shop_id, keys, row_of, now, options)
    return Surroundings(reward_, exposure_, breadth_, shop, options, lent, own, frozenset(keys))


def _own(
    shop_id: int, keys: Sequence[str], row_of: Mapping[str, int], now: float, options: WeightOptions
) -> dict[str, Sums]:
    """What each query itself added to what is known of products everywhere; its breadth as if it was rewarded when last seen."""
    told: dict[str, list[tuple[int, float, float, float]]] = defaultdict(list)
    for key, product_id, reward, exposure, at in rows(_OWN, [shop_id, list(keys)]):
        if product_id in row_of:
            left = decayed([reward, exposure], at, now, options.global_half_life_seconds)
            breadth = float(decayed(1.0, at, now, options.breadth_half_life_seconds)) if reward > 0 else 0.0
            told[key].append((row_of[product_id], float(left[0]), float(left[1]), breadth))
    return {
        key: (np.array([each[0] for each in of], dtype=np.int64), np.array([each[1:] for each in of]).T)
        for key, of in told.items()
    }


def _shop(shop_id: int, now: float, options: WeightOptions) -> ShopEvidence:
    found = rows(_SHOP, [shop_id])
    if not found:
        return ShopEvidence()
    reward, exposure, at, breadth, breadth_at, products = found[0]
    left = decayed([reward, exposure], at, now, options.global_half_life_seconds)
    return ShopEvidence(
        reward=float(left[0]),
        exposure=float(left[1]),
        breadth=float(decayed(breadth, breadth_at, now, options.breadth_half_life_seconds)),
        products=products,
    )


def _lent(
    shop_id: int, keys: Sequence[str], row_of: Mapping[str, int], count: int, now: float, options: WeightOptions
) -> dict[str, tuple[Doubles, Doubles]]:
    half_life = options.context_half_life_seconds
    shares: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for key, neighbour, similarity, reward, at in rows(_NEAR, [shop_id, list(keys)]):
        shares[key].append(
            (neighbour, float(neighbour_weight(similarity, decayed(reward, at, now, half_life), options)))
        )
    neighbours = sorted({neighbour for near in shares.values() for neighbour, _ in near})
    told: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
    for context_id, product_id, reward, exposure, at in rows(_LENT, [neighbours]):
        if product_id in row_of:
            left = decayed([reward, exposure], at, now, half_life)
            told[context_id].append((row_of[product_id], float(left[0]), float(left[1])))
    lent = {}
    for key, near in shares.items():
        reward_, exposure_ = np.zeros(count), np.zeros(count)
        for neighbour, share in near:
            for row, reward, exposure in told.get(neighbour, ()):
                reward_[row] += share * reward
                exposure_[row] += share * exposure
        lent[key] = (reward_, exposure_)
    return lent
