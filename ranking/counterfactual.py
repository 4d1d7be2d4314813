"""What would have happened had another version decided: IPS, SNIPS and doubly robust, with intervals (pure).

A unit is what was decided at once: an impression of a recommendation, a click-through of a search. Horvitz and Thompson,
"A Generalization of Sampling Without Replacement from a Finite Universe", 1952 (IPS); Swaminathan and Joachims, "The
Self-Normalized Estimator for Counterfactual Learning", 2015 (SNIPS); Dudík, Langford and Li, "Doubly Robust Policy
Evaluation and Learning", 2011; of rankings: Joachims, Swaminathan and Schnabel, "Unbiased Learning-to-Rank with Biased
Feedback", 2017, and Oosterhuis, "Doubly Robust Estimation for Correcting Position Bias in Click Feedback for Unbiased
Learning to Rank", 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ranking.weights.factors import examination

Floats: TypeAlias = NDArray[np.float64]
MOST_WEIGHT = 10.0  # clip of a weight: one click at a rank that nobody looks at must not decide
RESAMPLES = 500  # of the bootstrap: ends of a 95 % interval are then known to a tenth of its length
LEVEL = 0.95
MOST_CELLS = 4_000_000  # of a table of draws: 32 MB


@dataclass(frozen=True, slots=True)
class Logged:
    """What was logged of N units, and what a model says of them, (N,) each.

    `gained`: Σ weight · reward, the weight being how much likelier the other version's decision was than the one made.
    `mass`: Σ weight, that SNIPS divides by. `squares`: Σ weight², for the effective sample size. `modelled`: the reward
    that a model expects of the version's own decisions; `explained`: Σ weight · the reward it expects of those made.
    """

    gained: Floats
    mass: Floats
    squares: Floats
    modelled: Floats
    explained: Floats


Terms: TypeAlias = tuple[Floats, Floats]


def ips(logged: Logged) -> Terms:
    """Weighted reward a unit, (N,) and (N,): unbiased but for the clip."""
    return logged.gained, np.ones_like(logged.gained)


def snips(logged: Logged) -> Terms:
    """Weighted reward by weight: biased a little, of less variance, in the range of the rewards; 0 without weight."""
    return logged.gained, logged.mass


def doubly_robust(logged: Logged) -> Terms:
    """What a model expects, put right by what it left unexplained: unbiased where either it or the weights are."""
    return logged.modelled + logged.gained - logged.explained, np.ones_like(logged.gained)


# each estimate is Σ of the first term of a unit / Σ of its second
ESTIMATORS: dict[str, Callable[[Logged], Terms]] = {"ips": ips, "snips": snips, "dr": doubly_robust}


@dataclass(frozen=True, slots=True)
class Compared:
    """Values of two versions on the same units; the interval is of their difference. `ess`: so many units say as much."""

    serving: float
    candidate: float
    difference: float
    low: float
    high: float
    ess: float


def compared(serving: Logged, candidate: Logged, *, seed: int) -> dict[str, Compared]:
    """Compare two versions by each estimator; units are drawn again together, so that what both share cancels."""
    tables = {name: np.column_stack([*terms(candidate), *terms(serving)]) for name, terms in ESTIMATORS.items()}
    ends = intervals(list(tables.values()), seed=seed)
    found = {}
    for (name, columns), (low, high) in zip(tables.items(), ends, strict=True):
        before, after = _value(columns[:, 2:]), _value(columns[:, :2])
        found[name] = Compared(before, after, after - before, low, high, effective_size(candidate))
    return found


def valued(logged: Logged, *, seed: int, resamples: int = RESAMPLES) -> dict[str, tuple[float, float, float]]:
    """Value of one version by each estimator, with the ends of its interval."""
    tables = [np.column_stack(terms(logged)) for terms in ESTIMATORS.values()]
    ends = intervals(tables, seed=seed, resamples=resamples)
    return {name: (_value(table), *end) for name, table, end in zip(ESTIMATORS, tables, ends, strict=True)}


def intervals(tables: Sequence[Floats], *, seed: int, resamples: int = RESAMPLES) -> list[tuple[float, float]]:
    """Ends of studentised bootstrap intervals, of the same draws of the N units: of Σ first / Σ second column of each table,
    (N, 2), less Σ third / Σ fourth where it has four, (N, 4).

    Each time the units are drawn again, the error is counted in standard errors of that draw (by the delta method), so that
    the skew of rare rewards with large weights widens the side that it should (`bench.policy` has the basic interval beside
    it). Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; Hall, "Theoretical Comparison of Bootstrap
    Confidence Intervals", 1988.
    """
    units = len(tables[0])
    centres = [_estimated(table, _products(table), np.ones((1, units))) for table in tables]
    products = [_products(table) for table in tables]
    drawn: list[list[tuple[Floats, Floats]]] = [[] for _ in tables]
    for times in _resampled(units, resamples, seed):
        for found, table, product in zip(drawn, tables, products, strict=True):
            found.append(_estimated(table, product, times))
    return [_ends(*centre, found) for centre, found in zip(centres, drawn, strict=True)]


def _ends(value: Floats, error: Floats, drawn: Sequence[tuple[Floats, Floats]]) -> tuple[float, float]:
    (value,), (error,) = value, error
    if error == 0.0:
        return float(value), float(value)
    values, errors = (np.concatenate(each) for each in zip(*drawn, strict=True))
    errors = np.where(errors > 0, errors, error)  # none of the few rewards was drawn: its own error says nothing
    low, high = np.quantile((values - value) / errors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(value - high * error), float(value - low * error)


def _value(columns: Floats) -> float:
    return float(_estimated(columns, _products(columns), np.ones((1, len(columns))))[0][0])


def _products(columns: Floats) -> Floats:
    """Each column times each, (N, C²)."""
    return (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)


def _estimated(columns: Floats, products: Floats, times: Floats) -> tuple[Floats, Floats]:
    """Value and standard error, (B,) each, with each unit counted so many times, (B, N)."""
    sums = times @ columns  # (B, 2 or 4)
    tops, bottoms = sums[:, ::2], sums[:, 1::2]
    held = np.where(bottoms > 0, bottoms, 1.0)
    ratios = np.where(bottoms > 0, tops / held, 0.0)
    signs = np.array([1.0, -1.0])[: ratios.shape[1]]
    gradient = np.stack([signs / held, -signs * ratios / held], axis=2).reshape(sums.shape)  # of a ratio's two sums
    moments = (times @ products).reshape(len(times), columns.shape[1], -1)
    variances = np.einsum("bi,bij,bj->b", gradient, moments, gradient)
    smallest = 1e-12 * np.einsum("bi,bij,bj->b", np.abs(gradient), np.abs(moments), np.abs(gradient))
    return ratios @ signs, np.sqrt(np.where(variances > smallest, variances, 0.0))  # less is rounding


def _resampled(units: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each unit is drawn when as many are drawn again, (B, N), a stretch of the draws at a time."""
    rng = np.random.default_rng(seed)
    stretch = max(1, MOST_CELLS // max(units, 1))
    for first in range(0, resamples, stretch):
        count = min(stretch, resamples - first)
        drawn = [np.bincount(rng.integers(units, size=units), minlength=units) for _ in range(count)]
        yield np.stack(drawn).astype(np.float64)


def effective_size(logged: Logged) -> float:
    """(Σ weight)² / Σ weight²: how many units of equal weight say as much. Kish, "Survey Sampling", 1965."""
    squares = float(logged.squares.sum())
    return float(logged.mass.sum()) ** 2 / squares if squares > 0 else 0.0


def choices_logged(
    *, rewards: Floats, logged: Floats, chosen: Floats, modelled: Floats, explained: Floats, most: float = MOST_WEIGHT
) -> Logged:
    """Units in which one of several arms was chosen, as the token of a recommendation says, (N,) each.

    `logged` is the propensity of the arm that was shown, `chosen` the other version's; `explained` the reward that a
    model expects of that arm, `modelled` that of the version's own choices. An arm of propensity 0 was not shown.
    """
    weights = np.minimum(np.where(logged > 0, chosen / np.where(logged > 0, logged, 1.0), 0.0), most)
    return Logged(weights * rewards, weights, weights**2, modelled, weights * explained)


@dataclass(frozen=True, slots=True)
class Page:
    """A click-through of P products at their ranks (from 1), which were clicked, and how likely each is clicked when
    looked at, as some model has it, (P,) each."""

    ranks: NDArray[np.int64]
    clicked: NDArray[np.bool_]
    appeal: Floats


def pages_logged(
    pages: Sequence[Page], scores: Sequence[Floats], curve: Sequence[float] = (), *, most: float = MOST_WEIGHT
) -> Logged:
    """Pages as a version would have ordered the same products, by its scores: clicks by θ_new rank / θ_old rank.

    By the position-based model a click says that the product was looked at, which it is θ_new/θ_old times as often
    elsewhere. SNIPS divides by Σ clicks / θ_old, so it is the share of wanted products that would be looked at. What was
    not shown nobody can have clicked: it takes no part. Where nothing is clipped, doubly robust is IPS.
    """
    units = [_page_logged(page, values, curve, most) for page, values in zip(pages, scores, strict=True)]
    return Logged(*np.array(units, dtype=np.float64).reshape(-1, 5).T)


def _page_logged(page: Page, scores: Floats, curve: Sequence[float], most: float) -> tuple[float, ...]:
    slots = np.sort(page.ranks)
    moved = np.empty_like(page.ranks)
    moved[np.argsort(-scores, kind="stable")] = slots  # ties stay as they were shown
    before, after = examination(page.ranks, curve), examination(moved, curve)
    weights = np.minimum(after / before, most)
    wanted = np.minimum(1 / before, most) * page.clicked
    return (
        float(weights @ page.clicked), float(wanted.sum()), float((wanted**2).sum()),
        float(after @ page.appeal), float((weights * before) @ page.appeal),
    )  # fmt: skip


def figures_of(found: Mapping[str, Compared]) -> dict[str, Any]:
    """The figures as a version keeps them, rounded to what they can say."""
    names = Compared.__slots__
    return {kind: {name: round(getattr(each, name), 4) for name in names} for kind, each in found.items()}
