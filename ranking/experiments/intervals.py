"""Intervals that hold at every moment at once, however often one looks and whenever one stops (pure).

The normal mixture of Robbins (Annals of Mathematical Statistics 41, 1970) around an estimate with a variance from the
data, which is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central
limit theory and asymptotic confidence sequences, Annals of Statistics 52(6), 2024, equation 5. Shoppers are the units,
not requests: docs/decisions/intervals-that-always-hold.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log, sqrt

import numpy as np
from numpy.typing import NDArray

TUNED = (
    250  # shoppers whose evidence weighs as much as the mixture: narrowest at some ten times as many, valid anywhere
)
TUNED_WINS = 50  # the same for interleaving, in squared net wins, of which it takes far fewer
LEAST_UNITS = 50  # shoppers on each side: below that a variance from the data says little
LEAST_ACTIVE = 10  # shoppers who did something, as many as a side of its size would have

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """A figure that is a ratio Σy / Σn over shoppers, for example of clicks y and requests n, as sums over them.

    `active` counts those whose y is not 0.
    """

    units: int
    active: int
    n: float
    y: float
    nn: float
    ny: float
    yy: float

    @property
    def value(self) -> float:
        return self.y / self.n if self.n else 0.0

    def squares(self, value: float) -> float:
        """Σ(y - value · n)²: over n², the variance of the ratio (delta method, robust to a shopper's many requests)."""
        return max(self.yy - 2 * value * self.ny + value**2 * self.nn, 0.0)

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def sums_of(n: Floats, y: Floats) -> Sums:
    """The sums of shoppers with n requests and y of the figure each, both (shoppers,)."""
    return Sums(len(n), int((y != 0).sum()), *map(float, (n.sum(), y.sum(), n @ n, n @ y, y @ y)))


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and what it lies between, at every moment at once but for the chance that was asked for."""

    estimate: float
    low: float
    high: float


def difference(control: Sums, other: Sums, *, alpha: float, margin: float = 0.0) -> Interval | None:
    """By how much a figure is larger than control's less the margin (a share of it); None while too little is known."""
    both = control + other
    fewer = min(control.units, other.units)
    if fewer < LEAST_UNITS or fewer * both.active < LEAST_ACTIVE * both.units:
        return None
    estimate = other.value - (1 - margin) * control.value
    variance = _variance(other, both) + (1 - margin) ** 2 * _variance(control, both)
    radius = sqrt(variance * stretch(both.units / TUNED, alpha))
    return Interval(estimate, estimate - radius, estimate + radius)


def _variance(side: Sums, both: Sums) -> float:
    """Of a side's figure. A small side that was lucky to lack its rare large values would think itself exact: what
    shoppers vary by on both sides together counts where that is more."""
    together = both.squares(both.value) / both.units * side.units
    return max(side.squares(side.value), together) / side.n**2 * side.units / (side.units - 1)


def stretch(information: float, alpha: float) -> float:
    """By how much the variance counts so that the interval always holds; `information` is 1 where it was tuned for."""
    return (information + 1) / information * (log(information + 1) - 2 * log(alpha))


def preference(sums: Sums, *, alpha: float) -> Interval | None:
    """Net wins a decided list, in [-1, 1], above 0 where the second ranking is preferred; None while nobody decided.

    `sums` has n decided lists and y net wins of each shopper. Where no ranking is better each shopper's y is as likely
    as -y, so that the bound holds with few shoppers already (de la Peña, Annals of Probability 27(1), 1999, with Σy² as
    the variance).
    """
    if not sums.n:
        return None
    radius = sqrt(sums.yy * stretch(sums.yy / TUNED_WINS, alpha)) / sums.n if sums.yy else 1.0
    return Interval(sums.value, max(sums.value - radius, -1.0), min(sums.value + radius, 1.0))


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p of so many wins and losses where both are as likely (exact). It counts for one look only."""
    total, fewer = wins + losses, min(wins, losses)
    tail = sum(exp(_log_choose(total, i) - total * log(2)) for i in range(fewer + 1))
    return min(1.0, 2 * tail)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
