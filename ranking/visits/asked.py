"""What a recommendation is asked from: the items of its context, and what the shopper did with each product (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ranking.visits.companions import SUMS, Companions

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
OWNED = np.dtype(
    [("id", "<i8"), ("purchases", "<i4"), ("reward", "<f8"), ("first_at", "<f8"), ("at", "<f8"), ("bought_at", "<f8"),
     ("dismissed_at", "<f8")]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Joined:
    """The companions of all items as one: L entries of M different products, in the order of the items."""

    ids: Ints  # (M,), ascending
    place: Ints  # of each entry among them, (L,)
    item: Ints  # that each entry is of, (L,)
    sums: Mapping[str, Floats]  # by SUMS, (L,) each


def joined(companions: Sequence[Companions]) -> Joined:
    """Join lists, in which a product may be several times: what waits beside a list counts with it."""
    sizes = [len(each) for each in companions]
    if not sum(sizes):
        return Joined(_NONE, _NONE, _NONE, {name: np.zeros(0) for name in SUMS})
    ids, place = np.unique(np.concatenate([each["id"] for each in companions]), return_inverse=True)
    sums = {name: np.concatenate([each[name] for each in companions]) for name in SUMS}
    return Joined(ids, place, np.repeat(np.arange(len(sizes)), sizes), sums)


_NONE: Ints = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The T items of a context, newest first: the products of a page or a basket, or those of a shopper's newest steps.

    `ids` (T,) are numbers of visited products (0: never visited), `at` (T,) their times, `pull` (T,) what the interaction
    said; `companions` are what they were visited with, in several parts or one, `totals` and `recent_totals` (T,) how often
    in all. `owned` is what the shopper did with each product, by number; times in seconds, NaN for never.
    """

    now: float
    ids: Ints
    at: Floats
    pull: Floats
    companions: Sequence[Companions]
    totals: Floats
    recent_totals: Floats
    owned: NDArray[Any] = field(default_factory=lambda: np.zeros(0, dtype=OWNED))
    joined: Joined = field(init=False, repr=False, compare=False)  # companions, as several strategies need them

    def __post_init__(self) -> None:
        object.__setattr__(self, "joined", joined(self.companions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The N candidates of a recommendation, one entry a product, shape (N,) each.

    `numbers`: as visited products, 0 for one that nobody ever visited; `dense`: cosine with the context, stretched so that
    what has nothing to do with it is at 0, NaN where there is no vector; `day`, `week`, `month`, `year`: decayed visits as of now;
    `age`: seconds since it came into the catalogue; `accessory`: 1 for one of a product of the page or basket; `nearest`,
    `around`: how near it is to single items of the context, see ranking.strategies.nearness.
    """

    numbers: Ints
    dense: Floats
    day: Floats
    week: Floats
    month: Floats
    year: Floats
    age: Floats
    accessory: Floats
    nearest: Floats
    around: Floats
    shop: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # the same visits of the whole shop

    def __len__(self) -> int:
        return len(self.numbers)


def stretched(cosines: Floats, unrelated: float) -> Floats:
    """Cosines measured from that of products that have nothing to do with each other (0) to that of the same (1)."""
    return (cosines - unrelated) / (1.0 - unrelated)


def spread(numbers: Ints, ids: Ints, values: Floats) -> Floats:
    """Values of some products, by number, over the candidates, (N,); 0 for all others. `ids` (M,) are each there once."""
    if not len(ids):
        return np.zeros(len(numbers))
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], numbers), len(ids) - 1)
    return np.where(ids[order][at] == numbers, values[order][at], 0.0)
