"""Shops that the bench of experiments makes up: shoppers who come back, and two rankers of whom one is better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.weights.factors import examination

Floats = NDArray[np.float64]
SHOWN, PRODUCTS, QUERIES, NOISE = 10, 30, 60, 0.36
SATISFIED = (
    0.6  # the chance that a shopper who clicked looks no further (dependent click model, Guo, Liu, Wang, WSDM 2009)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Shoppers of an A/B experiment. Each has a taste for clicking and for buying of its own, all its days.

    `tail` is that of what a purchase costs: "lognormal" (sigma 1.5) or "pareto" (index 2.2: hardly a variance).
    `once`: who has bought does not buy again, so that a shopper's days are no chances alike. `lift` of the variant's rates.
    """

    shoppers: int = 1500
    days: int = 28
    share: float = 0.5
    ctr: float = 0.3
    conversion: float = 0.02
    tail: str = "lognormal"
    once: bool = False
    lift: float = 0.0

    def days_of(self, chance: np.random.Generator) -> Iterator[tuple[NDArray[np.bool_], dict[str, Floats]]]:
        """Day after day: who is in the variant, and each shopper's requests n and sums of each metric so far."""
        count = self.shoppers
        inside = chance.random(count) < self.share
        arrives, eager = chance.integers(0, self.days, count), chance.gamma(1.0, 0.7, count)
        clicks = self._rates(chance, self.ctr, 3.0, inside)
        buys = self._rates(chance, self.conversion, 5.0, inside)
        sums = {name: np.zeros(count) for name in ("n", "ctr", "add_to_cart", "conversion", "revenue")}
        for day in range(self.days):
            visits = np.where(arrives <= day, chance.poisson(eager), 0)
            visits = np.where(arrives == day, np.maximum(visits, 1), visits)
            bought = chance.binomial(visits, buys)
            if self.once:
                bought = np.where(sums["conversion"] > 0, 0, np.minimum(bought, 1))
            sums["n"] += visits
            sums["ctr"] += chance.binomial(visits, clicks)
            sums["add_to_cart"] += bought + chance.binomial(visits - bought, 2 * self.conversion)
            sums["conversion"] += bought
            paid = self._prices(chance, int(bought.sum()))
            sums["revenue"] += np.bincount(np.repeat(np.arange(count), bought), paid, minlength=count)
            yield inside, {name: each.copy() for name, each in sums.items()}

    def _rates(self, chance: np.random.Generator, mean: float, alike: float, inside: NDArray[np.bool_]) -> Floats:
        rates = chance.beta(mean * alike, (1 - mean) * alike, self.shoppers)
        return np.minimum(np.where(inside, rates * (1 + self.lift), rates), 1.0)

    def _prices(self, chance: np.random.Generator, count: int) -> Floats:
        return chance.lognormal(3.0, 1.5, count) if self.tail == "lognormal" else 20 * (1 + chance.pareto(2.2, count))


# how the better ranker's errors come from the worse one's: its share of them that stays, its own, and of how many queries
RELATED = {
    "its next version": (0.85, 0.05, 1.0),
    "better on a third of the queries": (0.0, 0.26 / 0.36, 1 / 3),
    "an unrelated one": (0.0, 0.26 / 0.36, 1.0),
}


@dataclass(frozen=True, slots=True)
class Rankers:
    """Two rankings of each query (queries, SHOWN): the second sees relevance with less noise. `attracts` (queries, products)
    is how likely a product that is looked at is clicked."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    attracts: Floats

    @classmethod
    def of(cls, chance: np.random.Generator, related: str, *, blind: bool = False) -> Rankers:
        """A ranker and a better one; with `blind`, shoppers click whatever stands there, so that none is better."""
        kept, own, share = RELATED[related]
        relevance = chance.random((QUERIES, PRODUCTS)) ** 2
        noise, other = chance.standard_normal((2, QUERIES, PRODUCTS))
        moved = np.arange(QUERIES)[:, None] < share * QUERIES
        noises = (noise, np.where(moved, kept * noise + own * other, noise))
        first, second = (np.argsort(-(relevance + NOISE * each), axis=1)[:, :SHOWN] for each in noises)
        asked = chance.beta(1.0, 1.5, (QUERIES, 1))  # of some queries hardly anybody clicks, of others nearly all
        return cls(first, second, np.full_like(relevance, 0.15) if blind else asked * (0.02 + 0.7 * relevance))

    def clicked(self, chance: np.random.Generator, queries: NDArray[np.int64], lists: NDArray[np.int64]) -> Floats:
        """Which ranks (visits, SHOWN) of the lists shown are clicked: looked at, by attraction, until one satisfies."""
        likely = LOOKED * np.take_along_axis(self.attracts[queries], lists, axis=1)
        clicked = chance.random(likely.shape) < likely
        satisfied = clicked & (chance.random(likely.shape) < SATISFIED)
        before: NDArray[np.int64] = np.cumsum(satisfied, axis=1) - satisfied
        seen: Floats = (clicked & (before == 0)).astype(np.float64)
        return seen


LOOKED: Floats = examination(np.arange(1, SHOWN + 1))


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits of new shoppers: whose each is (numbered from 0), what is asked, and whether anything is clicked at all."""

    shopper: NDArray[np.int64]
    query: NDArray[np.int64]
    live: NDArray[np.bool_]

    @classmethod
    def of(cls, chance: np.random.Generator, shoppers: int) -> Visits:
        """Shoppers of about five visits each, some who click nearly always and some hardly ever."""
        each = 1 + chance.poisson(4.0, shoppers)
        shopper = np.repeat(np.arange(shoppers), each)
        mood = np.repeat(chance.beta(2.0, 1.0, shoppers), each)
        return cls(shopper, chance.integers(0, QUERIES, len(shopper)), chance.random(len(shopper)) < mood)
