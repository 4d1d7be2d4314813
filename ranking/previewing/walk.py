"""The walk of a preview: the log, once, with both tables beside each other; each search with what lies strictly before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eventlog.selectors import read_types
from feedback.events import ImpressionRecorded, InteractionRecorded
from ranking.curves import curve_at
from ranking.events import ExaminationEstimated
from ranking.learning.evaluate import Doubles, Ranker, mrr_at_k
from ranking.model_diff import FIRST, Moved
from ranking.overlap import rank_biased_overlap
from ranking.previewing.reading import Asked, catalogue_read, documents_read
from ranking.previewing.side import Near, Side
from ranking.towers import Model, query_vectors
from ranking.weights.options import WeightOptions

QUERIES = 200  # whose first pages are compared at the end
_WALKED = frozenset({ImpressionRecorded.type, InteractionRecorded.type, ExaminationEstimated.type})


class Walk:
    """The log, walked once by both sides."""

    def __init__(
        self,
        shop_id: int,
        model: Model,
        asked: Sequence[Asked],
        near: Mapping[str, Near],
        options: Sequence[WeightOptions],
    ) -> None:
        self.asked, self.near = asked, near
        self.catalogue = catalogue_read(shop_id, model, asked)
        self.ranker = Ranker(lambda text: query_vectors.get(model, text), model.head)
        self.expected = model.expected_of(self.catalogue.product_ids)
        self.relevance: dict[str, Doubles] = {}
        start, documents = asked[0].position - 1, documents_read(shop_id)
        keys = {each.key for each in asked}.union(*({key for key, _ in of} for of in near.values()))
        curve = curve_at(shop_id=shop_id, position=start)
        self.sides = [
            Side(each, shop_id=shop_id, row_of=self.catalogue.rows, documents=documents, curve=curve)
            for each in options
        ]
        for side in self.sides:
            side.begin(position=start, keys=keys)
        self.events = read_types(types=_WALKED, after=start, to=asked[-1].position - 1, shop_id=shop_id)
        self.next = next(self.events, None)

    def ask(self, each: Asked) -> list[tuple[float, float]]:
        """MRR and average precision at 5 of a click-through, by both sides, with all that lies before it."""
        while self.next is not None and self.next.position < each.position:
            for side in self.sides:
                side.add(self.next)
            self.next = next(self.events, None)
        wanted = np.zeros(len(self.catalogue.product_ids), dtype=np.bool_)
        wanted[[self.catalogue.rows[product_id] for product_id in each.wanted if product_id in self.catalogue.rows]] = (
            True
        )
        scored = [self._scores(side, each.key, each.text, each.at) for side in self.sides]
        return [(_or_0(mrr_at_k(of, wanted, k=len(of))), average_precision_at_k(of, wanted, k=5)) for of in scored]

    def moved(self, now: float) -> list[Moved]:
        """The first pages of the busiest queries asked, at the end, most moved first."""
        texts = {each.key: each.text for each in self.asked}
        counted = Counter(each.key for each in self.asked).most_common(QUERIES)
        found = [self._moved(key, texts[key], now) for key, _ in counted]
        return sorted(found, key=lambda each: (each.overlap, each.query))

    def _moved(self, key: str, text: str, now: float) -> Moved:
        scored = (self._scores(side, key, text, now) for side in self.sides)
        first, second = (
            [self.catalogue.product_ids[i] for i in np.argsort(-of, kind="stable")[:FIRST]] for of in scored
        )
        return Moved(query=text, overlap=rank_biased_overlap(first, second), before=first, after=second)

    def _scores(self, side: Side, key: str, text: str, now: float) -> Doubles:
        if key not in self.relevance:
            self.relevance[key] = self.ranker.relevance(text, self.catalogue)
        return side.score(
            key=key, near=self.near.get(key, ()), relevance=self.relevance[key], expected=self.expected, now=now
        )


def average_precision_at_k(scores: Doubles, relevant: NDArray[np.bool_], *, k: int) -> float:
    """Sum of precisions at each relevant rank among the first k over min(k, relevant), in [0, 1]; 0 of none."""
    found = relevant[np.argsort(-scores, kind="stable")[:k]]
    most = min(k, int(relevant.sum()))
    return float((found * np.cumsum(found) / np.arange(1, len(found) + 1)).sum() / most) if most else 0.0


def _or_0(value: float) -> float:
    """A product that is not in the catalogue any more is found at no rank."""
    return 0.0 if np.isnan(value) else value
