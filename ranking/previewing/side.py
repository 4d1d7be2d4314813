"""One side of a preview: the sums of a shop in memory under one table of signals, brought forward event by event.

Sums are those of the projection `weights` (`weight_sums.Batch`), begun from what its own statement says of a position, so that
a preview counts as the shop would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from eventlog.database import rows
from eventlog.events import RecordedEvent
from feedback.events import InteractionRecorded
from ranking.events import ExaminationEstimated
from ranking.projections.weight_refill import SUMS, sums_params
from ranking.projections.weight_sums import Batch, ContextKey, Sum
from ranking.weights.decay import decayed
from ranking.weights.evidence import Evidence, ShopEvidence
from ranking.weights.formula import weights
from ranking.weights.near import neighbour_weight
from ranking.weights.options import WeightOptions

Floats: TypeAlias = NDArray[np.float64]
Near: TypeAlias = Sequence[tuple[str, float]]  # keys of near contexts and their similarity

_BEGIN = f"""{SUMS}
SELECT NULL, p.product_id, p.at, p.reward, p.exposure, 0, 0, coalesce(b.breadth, 0), coalesce(b.at, 0)
  FROM product p LEFT JOIN broad b ON b.product_id = p.product_id
UNION ALL
SELECT c.key, p.product_id, p.at, p.reward, p.exposure, p.recent_reward, p.recent_exposure, 0, p.rewarded_at
  FROM pair p JOIN context c ON c.id = p.id WHERE c.kind = 'query' AND c.key = ANY(%(keys)s::text[])"""


class Side:
    """What a shop knows under one table: of its catalogue by row, and of the queries that are asked or near."""

    def __init__(
        self, options: WeightOptions, *, shop_id: int, row_of: Mapping[str, int], documents: int, curve: Sequence[float]
    ) -> None:
        self.options, self.shop_id, self.row_of, self.documents = options, shop_id, row_of, documents
        self.batch = Batch(options, {shop_id: curve} if len(curve) else {})
        self.sums = np.zeros((3, len(row_of)))  # reward, exposure and time of each product
        self.breadth = np.zeros((2, len(row_of)))  # and its breadth, with its time
        self.shop_breadth = Sum(options.breadth_half_life_seconds)
        self.products_of: defaultdict[ContextKey, set[str]] = defaultdict(set)

    def begin(self, *, position: int, keys: Collection[str]) -> None:
        """Take in all feedback up to a position: of every product, and of these queries."""
        asked = sums_params(self.shop_id, position, self.options) | {"keys": sorted(keys)}
        for key, product_id, at, reward, exposure, recent, recent_exposure, breadth, breadth_at in rows(_BEGIN, asked):
            if key is None:
                self._begin_product(product_id, at, reward, exposure, breadth, breadth_at)
            else:
                pair = ((self.shop_id, "query", key), product_id)
                self._begin_pair(pair, at, (reward, exposure), (recent, recent_exposure), breadth_at)

    def _begin_product(
        self, product_id: str, at: float, reward: float, exposure: float, breadth: float, breadth_at: float
    ) -> None:
        self.batch.shops[self.shop_id].add(reward, exposure, at)
        self.batch.products[self.shop_id, product_id].add(reward, exposure, at)
        if breadth > 0.0:
            self.shop_breadth.add(breadth, 0.0, breadth_at)
        if product_id in self.row_of:
            row = self.row_of[product_id]
            self.sums[:, row] = reward, exposure, at
            self.breadth[:, row] = breadth, breadth_at

    def _begin_pair(
        self,
        pair: tuple[ContextKey, str],
        at: float,
        lasting: tuple[float, float],
        recent: tuple[float, float],
        rewarded_at: float | None,
    ) -> None:
        batch, (context, product_id) = self.batch, pair
        batch.contexts[context].add(*lasting, at)
        batch.recent_contexts[context].add(*recent, at)
        batch.pairs[pair].add(*lasting, at)
        batch.recent_pairs[pair].add(*recent, at)
        self.products_of[context].add(product_id)
        if rewarded_at is not None:
            batch.rewarded_at[pair] = rewarded_at

    def add(self, event: RecordedEvent) -> None:
        """Bring it forward by one event of feedback, or by an estimate of what is looked at."""
        if event.type == ExaminationEstimated.type:
            self.batch.estimate(event)
            return
        said = event.data.get("context")
        context = (self.shop_id, said["kind"], said["key"]) if said else None
        acted = event.type == InteractionRecorded.type
        products = [event.data["product_id"]] if acted else event.data["items"]
        before = self.batch.rewarded_at.get((context, products[0])) if acted and context else None
        self.batch.add(event)
        if context:
            self.products_of[context].update(products)
        if acted and context:
            self._broaden(products[0], before, self.batch.rewarded_at.get((context, products[0])))
        for product_id in products:
            if product_id in self.row_of:
                each = self.batch.products[self.shop_id, product_id]
                self.sums[:, self.row_of[product_id]] = each.reward, each.exposure, each.at

    def _broaden(self, product_id: str, before: float | None, after: float | None) -> None:
        """A context's newest reward moved: its old term goes, the new one comes."""
        if after is None or after == before:
            return
        sums = [self.shop_breadth]
        row = self.row_of.get(product_id)
        if row is not None:
            value, at = self.breadth[:, row]
            sums.append(Sum(self.options.breadth_half_life_seconds, value, 0.0, at))
        for each in sums:
            each.add(1.0, 0.0, after)
            if before is not None:
                each.add(-1.0, 0.0, before)
        if row is not None:
            self.breadth[:, row] = sums[1].reward, sums[1].at

    def score(self, *, key: str, near: Near, relevance: Floats, expected: Floats, now: float) -> Floats:
        """Score of every product of the catalogue for a query, (N,), but for what operators set."""
        evidence = self._evidence(key, near, expected, now)
        found: Floats = relevance * weights(relevance=relevance, evidence=evidence, options=self.options).weight
        return found

    def _evidence(self, key: str, near: Near, expected: Floats, now: float) -> Evidence:
        options, batch = self.options, self.batch
        context = (self.shop_id, "query", key)
        own, recent = (self._of_context(pairs, context, now) for pairs in (batch.pairs, batch.recent_pairs))
        lent, totals = self._lent(near, now)
        reward, exposure, at = self.sums
        shop = _left(batch.shops.get(self.shop_id), now)
        total, recent_total = (_left(each.get(context), now) for each in (batch.contexts, batch.recent_contexts))
        return Evidence(
            product_reward=decayed(reward, at, now, options.global_half_life_seconds),
            product_exposure=decayed(exposure, at, now, options.global_half_life_seconds) * expected,
            product_breadth=decayed(self.breadth[0], self.breadth[1], now, options.breadth_half_life_seconds),
            context_reward=own[0],
            context_exposure=own[1],
            recent_reward=recent[0],
            recent_exposure=recent[1],
            near_reward=lent[0],
            near_exposure=lent[1],
            operator=np.ones(len(self.row_of)),
            context_reward_total=total[0],
            context_exposure_total=total[1],
            recent_reward_total=recent_total[0],
            near_reward_total=totals[0],
            near_exposure_total=totals[1],
            shop=ShopEvidence(
                reward=shop[0], exposure=shop[1], breadth=_left(self.shop_breadth, now)[0], products=self.documents
            ),
        )

    def _of_context(self, pairs: Mapping[tuple[ContextKey, str], Sum], context: ContextKey, now: float) -> Floats:
        """Reward and exposure of each product in a context, (2, N)."""
        found = np.zeros((2, len(self.row_of)))
        for product_id in self.products_of.get(context, ()):
            if product_id in self.row_of:
                found[:, self.row_of[product_id]] = _left(pairs.get((context, product_id)), now)
        return found

    def _lent(self, near: Near, now: float) -> tuple[Floats, tuple[float, float]]:
        """What near contexts lend to each product, (2, N), and to all of them, those that are not in the catalogue too."""
        found, totals = np.zeros((2, len(self.row_of))), np.zeros(2)
        for key, similarity in near:
            context = (self.shop_id, "query", key)
            total = _left(self.batch.contexts.get(context), now)
            share = float(neighbour_weight(similarity, total[0], self.options))
            found += share * self._of_context(self.batch.pairs, context, now)
            totals += share * np.array(total)
        return found, (float(totals[0]), float(totals[1]))


def _left(each: Sum | None, now: float) -> tuple[float, float]:
    """What is left at a time of a sum's reward and exposure."""
    if each is None or each.at == float("-inf"):
        return 0.0, 0.0
    share = 0.5 ** min(max(0.0, now - each.at) / each.half_life, 1000.0)
    return each.reward * share, each.exposure * share
