"""How well a tower and head rank click-throughs that neither was trained on: pure metrics, and two models side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.learning.calibrate import Encode
from ranking.learning.catalogue import CatalogueAt, Floats
from ranking.learning.counterfactual import Compared, Page, compared, pages_logged
from ranking.learning.examples import Example
from ranking.learning.robust import crowding
from ranking.overlap import rank_biased_overlap
from ranking.relevance import Head, relevance

NEAREST = 50  # of each of the two models: the products that either could put on a first page
FIRST = 10  # products of a first page: those whose moving shoppers notice
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """Figures of one model, an entry a click-through, NaN where one cannot say.

    Among the products shown: `accuracy` of pairs in [0, 1], `ndcg`, `log_loss`. `mrr`: one over the rank of the
    first clicked product among those that either model finds.
    """

    accuracy: Doubles
    ndcg: Doubles
    mrr: Doubles
    log_loss: Doubles

    def means(self) -> dict[str, float | None]:
        """Mean of each figure over the click-throughs that can say, None where none can."""
        figures = {"accuracy": self.accuracy, "ndcg": self.ndcg, "mrr": self.mrr, "log_loss": self.log_loss}
        return {name: mean_known(values) for name, values in figures.items()}


@dataclass(frozen=True, slots=True)
class Ranker:
    """A query tower with its head; `vectors` (N, D) are a product tower's where it is not that of the catalogue's."""

    encode: Encode
    head: Head
    vectors: Floats | None = None

    def relevance(self, text: str, catalogue: CatalogueAt) -> Doubles:
        """ŷ of every product of the catalogue for a query, (N,)."""
        vectors = catalogue.vectors if self.vectors is None else self.vectors
        return relevance(vectors @ self.encode(text), catalogue.lexical(text), self.head, "query")


def judge(
    *, serving: Ranker, candidate: Ranker, examples: Sequence[Example], catalogue: CatalogueAt
) -> tuple[Judged, Judged]:
    """Judge two models on the same click-throughs, among the same products."""
    sides = [[_judge(ranker, each, _found(serving, candidate, each, catalogue), catalogue) for each in examples]
             for ranker in (serving, candidate)]  # fmt: skip
    before, after = (Judged(*np.array(side, dtype=np.float64).reshape(-1, 4).T) for side in sides)
    return before, after


def worth(
    ranker: Ranker, *, serving: Ranker, examples: Sequence[Example], catalogue: CatalogueAt
) -> float:  # fmt: skip
    """What a model is worth where training may end, in [0, 2]: both figures by which the gate wants progress, together."""
    _, found = judge(serving=serving, candidate=ranker, examples=examples, catalogue=catalogue)
    return (mean_known(found.accuracy) or 0.0) + (mean_known(found.mrr) or 0.0)


def overlaps(*, serving: Ranker, candidate: Ranker, examples: Sequence[Example], catalogue: CatalogueAt) -> Doubles:
    """How alike the first ten products of two models are for each query asked, in [0, 1], (Q,)."""
    texts = sorted({example.text for example in examples})
    tops = [[np.argsort(-ranker.relevance(text, catalogue), kind="stable")[:FIRST].tolist()
             for ranker in (serving, candidate)] for text in texts]  # fmt: skip
    return np.array([rank_biased_overlap(before, after) for before, after in tops], dtype=np.float64)


def crowding_in(
    *, serving: Ranker, candidate: Ranker, examples: Sequence[Example], catalogue: CatalogueAt
) -> tuple[str | None, float]:
    """The product that comes from far to most first pages, and to what share of the queries asked."""
    texts = sorted({example.text for example in examples})
    before, after = ([np.argsort(-ranker.relevance(text, catalogue), kind="stable") for text in texts]
                     for ranker in (serving, candidate))  # fmt: skip
    row, count = crowding(before, after, first=FIRST)
    return (catalogue.product_ids[row], count / len(texts)) if count else (None, 0.0)


def clicks_compared(
    *, serving: Ranker, candidate: Ranker, examples: Sequence[Example], catalogue: CatalogueAt,
    curve: Sequence[float], seed: int,
) -> dict[str, Compared]:  # fmt: skip
    """Clicks a page, had either model ordered what was shown; nothing where no page was. The serving one's ŷ explains
    what is looked at and clicked, for both."""
    shown = [example for example in examples if example.shown]
    if not shown:
        return {}
    said = [[ranker.relevance(each.text, catalogue)[each.products] for each in shown]
            for ranker in (serving, candidate)]  # fmt: skip
    pages = [Page(each.ranks, each.gains > 0, appeal) for each, appeal in zip(shown, said[0], strict=True)]
    before, after = (pages_logged(pages, scores, curve) for scores in said)
    return compared(before, after, seed=seed)


def _found(serving: Ranker, candidate: Ranker, example: Example, catalogue: CatalogueAt) -> NDArray[np.int64]:
    """Rows that either model ranks first, and those of the example."""
    near = [np.argsort(-ranker.relevance(example.text, catalogue), kind="stable")[:NEAREST]
            for ranker in (serving, candidate)]  # fmt: skip
    return np.unique(np.concatenate([*near, example.products]))


def _judge(
    ranker: Ranker, example: Example, found: NDArray[np.int64], catalogue: CatalogueAt
) -> tuple[float, float, float, float]:
    y = ranker.relevance(example.text, catalogue)
    own, gains = y[example.products], example.gains.astype(np.float64)
    clicked = example.products[example.gains > 0]
    first = mrr_at_k(y[found], np.isin(found, clicked), k=len(found))
    if not example.shown:
        return np.nan, np.nan, first, np.nan
    accuracy = pair_accuracy(own, gains, example.weights)
    return accuracy, ndcg_at_k(own, gains, k=10), first, log_loss(own, gains > 0, example.weights)


def pair_accuracy(scores: Doubles, gains: Doubles, weights: Floats) -> float:
    """Weighted share of the pairs in which i gained more than j that score i higher; a tie is half. NaN without pairs.

    All arrays are (P,). A pair counts weight_i · weight_j · (gain_i - gain_j).
    """
    more = np.maximum(gains[:, None] - gains[None, :], 0.0) * np.outer(weights, weights)  # (P, P)
    if not more.any():
        return float("nan")
    right = (scores[:, None] > scores[None, :]) + 0.5 * (scores[:, None] == scores[None, :])
    return float((more * right).sum() / more.sum())


def mrr_at_k(scores: Doubles, relevant: NDArray[np.bool_], *, k: int) -> float:
    """One over the rank of the first relevant product if that is at most k, else 0; NaN when none is relevant.

    Products of the same score share their mean rank, so that an undecided model gains nothing by order.
    """
    if not relevant.any():
        return float("nan")
    best = scores[relevant].max()
    rank = 1 + float((scores > best).sum()) + (float((scores == best).sum()) - 1) / 2
    return 1.0 / rank if rank <= k else 0.0


def ndcg_at_k(scores: Doubles, gains: Doubles, *, k: int) -> float:
    """Normalised discounted cumulative gain in [0, 1] with linear gain; NaN when there is nothing to gain.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    discounts = 1 / np.log2(2 + np.arange(min(k, len(gains))))
    ideal = float((np.sort(gains)[::-1][:k] * discounts).sum())
    order = np.argsort(-scores, kind="stable")[:k]
    return float((gains[order] * discounts).sum() / ideal) if ideal > 0 else float("nan")


def log_loss(probabilities: Doubles, labels: NDArray[np.bool_], weights: Floats) -> float:
    """Weighted mean of -log p(label): what a probability that is not calibrated costs. NaN without weight."""
    p = np.clip(probabilities, 1e-9, 1 - 1e-9)
    total = float(weights.sum())
    return float(-(weights * np.where(labels, np.log(p), np.log1p(-p))).sum() / total) if total > 0 else float("nan")


def mean_known(values: Doubles) -> float | None:
    """Mean of what is known, None when nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def remember(encode: Callable[[str], Floats]) -> Encode:
    """Encode each text once."""
    kept: dict[str, Floats] = {}

    def encoded(text: str) -> Floats:
        if text not in kept:
            kept[text] = encode(text)
        return kept[text]

    return encoded
