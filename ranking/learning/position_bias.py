"""Position bias: P(click | product i, query q, rank) = θ_rank · γ_(q,i), fitted from what was shown and clicked (pure).

Richardson, Dominowska and Ragno, "Predicting Clicks: Estimating the Click-Through Rate for New Ads", 2007; Chuklin,
Markov and de Rijke, "Click Models for Web Search", 2015. θ is how likely a rank is looked at, γ how likely a product that
is looked at is clicked. What tells them apart is a product that a query showed at several ranks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ranking.weights.factors import examination

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Method: TypeAlias = Literal["em", "swaps"]
_LEAST = 1e-3  # of an estimate on its way, whose logarithm is taken
_GRID = (np.arange(20) + 0.5) / 20  # values of γ


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasOptions:
    """Options of an estimate. Simulated shoppers: 60 queries, 15 products each, ten shown, curves 1/rank and 1/log2(1+rank)."""

    method: Method = "em"
    """Where feedback moves products about, those are seen at a second rank that were clicked at the first: swaps then
    take 1/log2(1 + rank) for flatter, by 0.135 a rank after 12,000 visits; EM is off by 0.013. Shown at random, both are
    within 0.013."""
    ranks: int = 20
    """Of a first page, from 1; what lies beyond is looked at as the default curve falls from there."""
    least_clicks: int = 500
    """On products that were seen at several ranks: below, the default curve stays."""
    least_of_rank: int = 20
    """Clicks of that kind that make a rank known."""
    least_ranks: int = 5
    """So many ranks have to be known: two of them are no curve."""
    smoothing: float = 30.0
    """Clicks on a rank at which the estimate counts as much as the default curve, in logarithms: it is then known to
    about a fifth of itself, and shops differ by more."""
    plenty: int = 1000
    """Clicks on each rank, beyond which a curve may rise again, as in a grid whose corners are looked at."""
    least: float = 0.05
    """Clip of the curve: no click counts for more than twenty."""


DEFAULTS = BiasOptions()


@dataclass(frozen=True, slots=True)
class Looks:
    """How often each of P pairs of query and product was shown at a rank, and clicked, (N,) each, sorted by pair.

    `ranks` are from 1; `first` is the rank at which a pair was shown first, (P,).
    """

    pairs: Ints
    ranks: Ints
    shown: Floats
    clicked: Floats
    first: Ints

    def moved(self) -> Looks:
        """Those of the pairs that were shown at several ranks."""
        at = np.bincount(self.pairs, minlength=len(self.first)) > 1
        kept = at[self.pairs]
        numbers = np.cumsum(at) - 1
        return Looks(
            numbers[self.pairs[kept]], self.ranks[kept], self.shown[kept], self.clicked[kept], self.first[at]
        )  # fmt: skip

    def upto(self, ranks: int) -> Looks:
        """Those at the first ranks."""
        kept = self.ranks <= ranks
        known, numbers = np.unique(self.pairs[kept], return_inverse=True)
        return Looks(numbers, self.ranks[kept], self.shown[kept], self.clicked[kept], self.first[known])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A curve from rank 1 on, its first value 1, and the clicks on products seen at several ranks that it is made of."""

    curve: list[float]
    method: Method
    clicks: int


def estimate(looks: Looks, options: BiasOptions = DEFAULTS) -> Estimate | None:
    """The curve to use from here on; None while too few clicks at too few ranks tell it from the default."""
    looks = looks.upto(options.ranks)
    moved = looks.moved()
    clicks: Floats = np.bincount(moved.ranks - 1, moved.clicked, options.ranks).astype(np.float64)  # (K,)
    known = clicks >= options.least_of_rank
    if clicks.sum() < options.least_clicks or known.sum() < options.least_ranks or not known[0]:
        return None
    last = int(np.flatnonzero(known).max()) + 1
    options = replace(options, ranks=last)
    looks, clicks = looks.upto(last), clicks[:last]
    found = fit_em(looks, last) if options.method == "em" else fit_swaps(looks.moved(), last)
    return Estimate(
        [round(float(value), 4) for value in settled(found, clicks, options)], options.method, int(clicks.sum())
    )


def settled(curve: Floats, clicks: Floats, options: BiasOptions = DEFAULTS) -> Floats:
    """An estimate made safe, (K,): smoothed towards the default by its clicks, not rising where those are few, clipped."""
    trust = clicks / (clicks + options.smoothing)
    default = examination(np.arange(1, len(curve) + 1))
    found = np.exp(trust * np.log(np.maximum(curve, _LEAST)) + (1 - trust) * np.log(default))
    found = found / found[0]
    if clicks.min() < options.plenty:
        found = falling(found, clicks + options.smoothing)
        found = found / found[0]
    return np.asarray(np.clip(found, options.least, 1.0), dtype=np.float64)


def falling(values: Floats, weights: Floats) -> Floats:
    """The nearest sequence that never rises, in weighted least squares, (K,): pool adjacent violators.

    Barlow, Bartholomew, Bremner and Brunk, "Statistical Inference under Order Restrictions", 1972.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] < pool[0]:
            mean, mass, count = pools.pop()
            both = mass + pool[1]
            pool = ((mean * mass + pool[0] * pool[1]) / both, both, count + pool[2])
        pools.append(pool)
    return np.array([mean for mean, _, count in pools for _ in range(count)])


def fit_em(looks: Looks, ranks: int, *, steps: int = 300, tolerance: float = 1e-4) -> Floats:
    """θ by expectation maximisation, (K,), θ_1 = 1; γ is integrated out over a prior for each rank of first showing.

    That prior takes the place of the regression in Wang et al., "Position Bias Estimation for Unbiased Learning to Rank
    in Personal Search", 2018: where a product first stood is what the ranker thought of it before any click, so that
    only what was clicked later, elsewhere, tells θ from γ; and since the likelihood holds every pair, those that moved
    because they were clicked lead it nowhere. Steps are lengthened while the likelihood grows: Salakhutdinov and
    Roweis, "Adaptive Overrelaxed Bound Optimization Methods", 2003.
    """
    rank, first = looks.ranks - 1, np.minimum(looks.first, ranks) - 1
    starts = np.flatnonzero(np.diff(looks.pairs, prepend=-1))
    shown = np.bincount(rank, looks.shown, ranks)
    theta = np.log(examination(np.arange(1, ranks + 1)))  # (K,), logarithms
    prior = np.full((ranks, len(_GRID)), -np.log(len(_GRID)))  # (K, G), logarithms
    best, reached, stride = (theta, prior), -np.inf, 1.0
    for _ in range(steps):
        curve = np.exp(theta)
        given = curve[rank][:, None] * _GRID  # (N, G): P(click)
        of_looks = looks.clicked[:, None] * np.log(given) + (looks.shown - looks.clicked)[:, None] * np.log1p(-given)
        joint = np.add.reduceat(of_looks, starts, axis=0) + prior[first]  # (P, G)
        most = joint.max(axis=1, keepdims=True)
        chance = np.exp(joint - most)
        total = chance.sum(axis=1, keepdims=True)
        likelihood = float((most + np.log(total)).sum())
        if likelihood < reached and stride > 1.0:
            (theta, prior), reached, stride = best, -np.inf, 1.0  # too long a step
            continue
        gamma = chance / total  # (P, G): P(γ | what happened)
        unseen = (gamma[looks.pairs] * curve[rank][:, None] * (1 - _GRID) / (1 - given)).sum(
            axis=1
        )  # P(looked at | no click)
        looked = np.bincount(rank, looks.clicked + (looks.shown - looks.clicked) * unseen, ranks)
        after = np.where(shown > 0, looked / np.maximum(shown, 1.0), curve)
        after = np.clip(after / after[0], _LEAST, 1.0)
        share = np.full_like(prior, 1 / len(_GRID))  # one pair of every γ: no prior rules a value out
        np.add.at(share, first, gamma)
        best, reached = (np.log(after), np.log(share / share.sum(axis=1, keepdims=True))), likelihood
        if float(np.abs(after - curve).max()) < tolerance:
            break
        theta = np.clip(theta + stride * (best[0] - theta), np.log(_LEAST), 0.0)
        prior = prior + stride * (best[1] - prior)
        prior -= np.logaddexp.reduce(prior, axis=1, keepdims=True)
        stride = min(1.5 * stride, 50.0)
    return np.asarray(np.exp(best[0]), dtype=np.float64)


def fit_swaps(moved: Looks, ranks: int, *, steps: int = 500) -> Floats:
    """θ from products that were shown at two ranks whatever was clicked, (K,), θ_1 = 1: a shop that randomises.

    Joachims, Swaminathan and Schnabel, "Unbiased Learning-to-Rank with Biased Feedback", 2017 (swaps); Agarwal et al.,
    "Estimating Position Bias without Intrusive Interventions", 2019 (AllPairs): each two ranks k, l have one mean γ of
    the products shown at both, each weighted by how well its two rates are known. A rank without such products keeps
    the default.
    """
    pairs = len(moved.first)
    shown, clicked = np.zeros((pairs, ranks)), np.zeros((pairs, ranks))
    shown[moved.pairs, moved.ranks - 1], clicked[moved.pairs, moved.ranks - 1] = moved.shown, moved.clicked
    rate = clicked / np.maximum(shown, 1.0)
    clicks, passed = np.zeros((ranks, ranks)), np.zeros((ranks, ranks))  # (K, K): at k, of products seen at k and l
    for k in range(ranks):
        known = shown[:, k, None] * shown / np.maximum(shown[:, k, None] + shown, 1.0)  # (P, K): 0 unless shown at both
        known[:, k] = 0.0
        clicks[k], passed[k] = rate[:, k] @ known, (1 - rate[:, k]) @ known
    both = clicks + passed
    curve, gamma = examination(np.arange(1, ranks + 1)), np.full((ranks, ranks), 0.3)
    for _ in range(steps):
        given = curve[:, None] * gamma
        looked = (clicks + passed * curve[:, None] * (1 - gamma) / (1 - given)).sum(axis=1)
        liked = clicks + passed * gamma * (1 - curve[:, None]) / (1 - given)
        gamma = np.clip((liked + liked.T) / np.maximum(both + both.T, _LEAST), _LEAST, 1 - _LEAST)
        after = np.where(both.sum(axis=1) > 0, looked / np.maximum(both.sum(axis=1), _LEAST), curve)
        curve = np.clip(after / max(after[0], _LEAST), _LEAST, 1.0)
    return curve
