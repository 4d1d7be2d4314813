"""What would have happened had another version decided: IPS, SNIPS and doubly robust, with intervals (pure).

A unit is what was decided at once: an impression of a recommendation, a click-through of a search. Horvitz and Thompson,
"A Generalization of Sampling Without Replacement from a Finite Universe", 1952 (IPS); Swaminathan and Joachims, "The
Self-Normalized Estimator for Counterfactual Learning", 2015 (SNIPS); Dudík, Langford and Li, "Doubly Robust Policy
Evaluation and Learning", 2011; of rankings: Joachims, Swaminathan and Schnabel, "Unbiased Learning-to-Rank with Biased
Feedback", 2017, and Oosterhuis, "Doubly Robust Estimation for Correcting Position Bias in Click Feedback for Unbiased
Learning to Rank", 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ranking.bootstrap import Floats, intervals
from ranking.weights.factors import examination

MOST_WEIGHT = 10.0  # clip of a weight: one click at a rank that nobody looks at must not decide
RESAMPLES = 500  # of the bootstrap: ends of a 95 % interval are then known to a tenth of its length


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
Interval: TypeAlias = tuple[float, float, float]  # a value, and the ends of its 95 % interval


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


def compared(serving: Logged, candidate: Logged, *, seed: int, resamples: int = RESAMPLES) -> dict[str, Compared]:
    """Compare two versions by each estimator; units are drawn again together, so that what both share cancels."""
    return assessed(serving, candidate, seed=seed, resamples=resamples)[2]


def valued(logged: Logged, *, seed: int, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Value of one version by each estimator, with the ends of its interval."""
    found = intervals(_ratios(logged), np.array([[1.0]]), seed=seed, resamples=resamples)
    return {name: _interval(each[0]) for name, each in zip(ESTIMATORS, found, strict=True)}


def assessed(
    serving: Logged, candidate: Logged, *, seed: int, resamples: int = RESAMPLES
) -> tuple[dict[str, Interval], dict[str, Interval], dict[str, Compared]]:
    """Values of two versions on the same units, and how they compare, by each estimator and of the same draws."""
    size, contrasts = effective_size(candidate), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
    found = intervals(_ratios(serving, candidate), contrasts, seed=seed, resamples=resamples)
    ends = {name: [_interval(each) for each in rows] for name, rows in zip(ESTIMATORS, found, strict=True)}
    return (
        {name: before for name, (before, _, _) in ends.items()},
        {name: after for name, (_, after, _) in ends.items()},
        {name: Compared(before[0], after[0], *by, size) for name, (before, after, by) in ends.items()},
    )


def _ratios(*versions: Logged) -> Floats:
    """Terms of each estimator and version, (E, N, V, 2)."""
    return np.array(
        [np.stack([np.stack(terms(each), axis=-1) for each in versions], axis=1) for terms in ESTIMATORS.values()]
    )


def _interval(found: Floats) -> Interval:
    value, low, high = map(float, found)
    return value, low, high


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
