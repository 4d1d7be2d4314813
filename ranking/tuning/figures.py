"""What a walk is judged by, and by how much one walk is better than another (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one walk: an entry a click-through with its query's key (N,), and nDCG@10 of each judged query (Q,).

    NaN where one cannot say: `accuracy` of pairs needs a list that was shown.
    """

    keys: Sequence[str]
    mrr: Doubles
    accuracy: Doubles
    ndcg: Doubles

    def means(self) -> dict[str, float]:
        """Mean of each figure, without those that nothing tells."""
        every = {"mrr": self.mrr, "accuracy": self.accuracy, "ndcg": self.ndcg}
        return {name: float(np.nanmean(values)) for name, values in every.items() if not np.isnan(values).all()}

    def score(self) -> float:
        """What a search makes as large as it can: the mean of the figures that there are, each in [0, 1]."""
        means = self.means()
        return sum(means.values()) / len(means) if means else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        arrays = {name: [None if np.isnan(x) else float(x) for x in getattr(self, name)] for name in _ARRAYS}
        return {"keys": list(self.keys), **arrays}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Figures:
        return cls(data["keys"], *(np.array(data[name], dtype=np.float64) for name in _ARRAYS))


_ARRAYS = ("mrr", "accuracy", "ndcg")


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much a score is larger than another, with a 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether it is more than noise."""
        return self.low > 0


def gain_of(tried: Figures, baseline: Figures, *, seed: int = 0) -> Gain:
    """Compare two walks over the same click-throughs and judged queries, in pairs.

    Bootstrap over queries, not over click-throughs: those of one query rise and fall together. Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993, percentile intervals.
    """
    rng = np.random.default_rng(seed)
    groups = np.unique(np.array(tried.keys, dtype=str), return_inverse=True)[1]
    drawn = _drawn(int(groups.max(initial=-1)) + 1, rng)
    parts = [_means(getattr(tried, name) - getattr(baseline, name), groups, drawn) for name in ("mrr", "accuracy")]
    change = tried.ndcg - baseline.ndcg
    parts.append(_means(change, np.arange(len(change)), _drawn(len(change), rng)))
    known = [part for part in parts if part is not None]
    if not known:
        return Gain(0.0, 0.0, 0.0)
    low, high = np.quantile(np.mean([draws for _, draws in known], axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Gain(float(np.mean([mean for mean, _ in known])), float(low), float(high))


def _drawn(count: int, rng: np.random.Generator) -> Doubles:
    """How often each of so many is in each draw, (DRAWS, count)."""
    return (
        rng.multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)
        if count
        else np.zeros((DRAWS, 0))
    )


def _means(change: Doubles, groups: NDArray[np.int64], drawn: Doubles) -> tuple[float, Doubles] | None:
    """The mean of what is known, and its mean in each draw of groups; None when nothing is known."""
    known = ~np.isnan(change)
    if not known.any():
        return None
    sums = np.bincount(groups[known], weights=change[known], minlength=drawn.shape[1])
    counts = np.bincount(groups[known], minlength=drawn.shape[1])
    totals = drawn @ counts
    mean = float(change[known].mean())
    return mean, np.where(totals > 0, drawn @ sums / np.maximum(totals, 1), mean)
