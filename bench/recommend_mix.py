"""The best plain mix: each part divided by its maximum, weights picked on the tail before the cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bench.recommend_log import DAY, Log
from bench.recommend_peers import Ease, Floats, Peer
from bench.recommend_protocols import Past, Question

GAP_HALF_LIFE, AGE_HALF_LIFE, OWN_HALF_LIFE = 180.0, 365.0, 180.0  # days
APART, ITEMS = 50, 20  # events of a shopper that pair, newest items that are summed over
PARTS = ("covisits", "content_mean", "content_max", "popularity", "own")
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5)
ROUNDS = 3
TOP = 200  # of each part, that tuning looks at: what is first of none is hardly ever first of their sum
DISCOUNT = 1.0 / np.log2(np.arange(2, 12))


class Covisits:
    """Items that a shopper took at most 50 events apart: 2^(-gap/180 d) · 2^(-age/365 d), (N, N), dense and exact."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.sums = np.zeros((len(log.item_ids), len(log.item_ids)), dtype=np.float32)
        self._scaled_to = (
            int(log.at[-1]) if len(log) else 0
        )  # sums as of then: what is divided by its maximum has no scale

    def see(self, past: Past, number: int) -> None:
        """Add the pairs of an event that is about to be known."""
        item, at = int(self.log.item[number]), int(self.log.at[number])
        before = np.array(past.events.get(int(self.log.shopper[number]), ())[-APART:], dtype=np.int64)
        before = before[self.log.item[before] != item]
        if not len(before):
            return
        days = (at - self.log.at[before]) / DAY
        worth = np.exp2(-days / GAP_HALF_LIFE + (at - self._scaled_to) / DAY / AGE_HALF_LIFE).astype(np.float32)
        others = self.log.item[before]
        np.add.at(self.sums[item], others, worth)
        np.add.at(self.sums, (others, item), worth)


class PlainMix(Peer):
    """Σ weight · part / max part. `vectors` (N, D) are unit or zero; EASE is a part where it is given."""

    def __init__(self, log: Log, vectors: NDArray[np.float32], *, ease: Ease | None = None) -> None:
        self.names = (*PARTS, "ease") if ease else PARTS
        self.weights: Floats = np.zeros(len(self.names))
        self.refit_seconds = np.inf
        self._covisits = Covisits(log)
        self._vectors = vectors
        self._ease = ease

    def see(self, past: Past, number: int) -> None:
        self._covisits.see(past, number)

    def learn(self, past: Past) -> None:
        if self._ease:
            self._ease.learn(past)

    def scores(self, past: Past, question: Question) -> Floats | None:
        return self.weights @ self.parts(past, question)

    def parts(self, past: Past, question: Question) -> Floats:
        """Each part of each item in [0, 1], (P, N)."""
        items, at = past.newest_items(question.shopper, ITEMS)
        found = [np.zeros(len(self._vectors))] * len(self.names)
        found[3] = past.popular(question.at)
        if len(items):
            found[0] = self._covisits.sums[items].sum(axis=0)
            found[1:3] = self._content(items, at)
            found[4] = _own(past, question)
        if self._ease and (from_ease := self._ease.scores(past, question)) is not None:
            found[5] = from_ease
        stacked = np.maximum(np.stack(found).astype(np.float64), 0.0)
        return np.asarray(stacked / np.maximum(stacked.max(axis=1, keepdims=True), 1e-12))

    def _content(self, items: NDArray[np.int64], at: NDArray[np.int64]) -> list[Floats]:
        cosines = self._vectors[items] @ self._vectors.T  # (T, N)
        _, place = np.unique(-at, return_inverse=True)  # newer ones count more, those of one moment alike
        counts = np.exp2(-place / 3.0)
        return [(counts / counts.sum()) @ cosines, cosines.max(axis=0)]


def _own(past: Past, question: Question) -> Floats:
    """A shopper's own counts, decayed, (N,)."""
    numbers = past.of(question.shopper)
    left = np.exp2(-(question.at - past.log.at[numbers]) / DAY / OWN_HALF_LIFE)
    return np.bincount(past.log.item[numbers], weights=left, minlength=len(past.log.item_ids)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class MixCase:
    """The items of a question that tuning looks at: parts (P, C), which of them were wanted (C,), and how many were at all."""

    parts: NDArray[np.float32]
    wanted: NDArray[np.bool_]
    count: int


def mix_case(parts: Floats, question: Question, *, without: NDArray[np.int64]) -> MixCase:
    """Cut a question to what is best of each part, `without` some items."""
    allowed = parts.copy()
    allowed[:, without] = -1.0
    most = min(TOP, allowed.shape[1] - 1)
    rows = np.unique(np.argpartition(-allowed, most, axis=1)[:, :most])
    rows = rows[allowed[0, rows] >= 0]
    return MixCase(parts[:, rows].astype(np.float32), np.isin(rows, question.wanted), len(question.wanted))


def mix_ndcg(cases: Sequence[MixCase], weights: Floats) -> float:
    """Mean nDCG@10 of a mix."""
    return float(np.mean([_ndcg(case, weights.astype(np.float32)) for case in cases]))


def _ndcg(case: MixCase, weights: NDArray[np.float32]) -> float:
    scores = weights @ case.parts
    most = min(10, len(scores))
    best = np.argpartition(-scores, most - 1)[:most] if most else np.zeros(0, dtype=np.int64)
    best = best[np.argsort(-scores[best], kind="stable")]
    return float((case.wanted[best] * DISCOUNT[:most]).sum() / DISCOUNT[: min(10, case.count)].sum())


def mix_tune(cases: Sequence[MixCase], parts: int) -> Floats:
    """Weights (P,) with the best nDCG@10, from the best part alone and from all alike: either may end on a lesser hill."""
    alone = max(np.eye(parts), key=lambda each: mix_ndcg(cases, each))
    found = [_climb(cases, start) for start in (alone, np.full(parts, 0.5))]
    return max(found, key=lambda each: each[0])[1]


def _climb(cases: Sequence[MixCase], weights: Floats) -> tuple[float, Floats]:
    """Change a weight at a time until none makes it better."""
    best = mix_ndcg(cases, weights)
    for _ in range(ROUNDS):
        before = best
        for part, value in product(range(len(weights)), WEIGHTS):
            tried = weights.copy()
            tried[part] = value
            if tried.any() and (found := mix_ndcg(cases, tried)) > best + 1e-6:
                best, weights = found, tried
        if best == before:
            break
    return best, weights
